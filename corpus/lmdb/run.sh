# The tests, one after the other in one database, then the tools on it. Addresses are not compared.
mkdir "$root/testdb" "$root/copy"
for test in mtest mtest2 mtest3 mtest4 mtest5; do
    guest $test | sed 's/0x[0-9a-f]*/ADDRESS/g' > "$root/$test.out"
    printf '%s: %s lines, %s\n' "$test" "$(wc -l < "$root/$test.out")" "$(md5sum < "$root/$test.out")"
done
guest mdb_stat -a testdb
guest mdb_copy -c testdb copy
guest mdb_dump -a testdb > "$root/dump"
guest mdb_dump -a copy | diff "$root/dump" - > "$root/difference" && printf 'the copy is equal\n'
