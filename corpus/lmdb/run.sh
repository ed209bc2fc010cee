# Each test twice, in a database of its own: the second time it is mapped at the address that the
# first one recorded in it. (In one database for all, a larger lock file can lie at that address,
# where layouts are not random; then LMDB says EBUSY, as it documents.) Then the tools on a database.
# Addresses are not compared.
for test in mtest mtest2 mtest3 mtest4 mtest5; do
    rm -rf "$root/testdb"
    mkdir "$root/testdb"
    for time in first second; do
        guest $test | sed 's/0x[0-9a-f]*/ADDRESS/g' > "$root/$test.out"
        printf '%s, %s time: %s lines, %s\n' "$test" "$time" "$(wc -l < "$root/$test.out")" \
            "$(md5sum < "$root/$test.out")"
    done
    guest mdb_stat -a testdb
done
mkdir "$root/copy"
guest mdb_copy -c testdb copy
guest mdb_dump -a testdb > "$root/dump"
guest mdb_dump -a copy | diff "$root/dump" - > "$root/difference" && printf 'the copy is equal\n'
