# A database with a write-ahead log and a memory-mapped file: 20,000 rows, changed, vacuumed, checked,
# and read again by a second process.
cp "$here/rows.sql" "$here/again.sql" "$root"
guest sqlite3 rows.db '.read rows.sql'
guest sqlite3 rows.db '.read again.sql'
