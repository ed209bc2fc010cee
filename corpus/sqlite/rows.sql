PRAGMA journal_mode = WAL;
PRAGMA mmap_size = 268435456;
CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT NOT NULL, weight REAL, payload BLOB);
CREATE INDEX rows_by_name ON rows (name);
BEGIN;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO rows SELECT i, printf('row %05d', i * 7919 % 20011), i / 7.0, zeroblob(i % 200) FROM n;
COMMIT;
SELECT count(*), sum(id), min(name), max(name), sum(length(payload)) FROM rows;
UPDATE rows SET weight = weight * 2 WHERE id % 5 = 0;
DELETE FROM rows WHERE id % 3 = 0;
BEGIN;
DELETE FROM rows;
ROLLBACK;
VACUUM;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA integrity_check;
SELECT id % 10 AS digit, count(*), printf('%.3f', sum(weight)) FROM rows GROUP BY digit ORDER BY digit;
