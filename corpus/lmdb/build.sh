# LMDB's own tests and tools; mtest6 needs a debugging build, and LMDB's makefile leaves it out, too.
# The tests take their numbers from rand(), seeded by the time of day; here the seed is fixed, so
# that what they print can be compared.
source=$(debian_source lmdb)/libraries/liblmdb
for file in mdb midl; do
    "$cc" -O2 -pthread -c "$source/$file.c" -o "$objects/$file.o"
done
for program in mtest mtest2 mtest3 mtest4 mtest5 mdb_stat mdb_dump mdb_copy mdb_load; do
    sed 's/srand(time(NULL))/srand(1)/' "$source/$program.c" > "$objects/$program.c"
    "$cc" -O2 -static -pthread -I "$source" "$objects/$program.c" "$objects/mdb.o" "$objects/midl.o" \
        -o "$out/$program"
done
