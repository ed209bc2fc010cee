# SQLite's shell, from the amalgamation that its own makefile makes (which needs tclsh).
source=$(debian_source sqlite3)
mkdir -p "$objects/amalgamation"
(
    cd "$objects/amalgamation"
    "$source/configure" --disable-tcl --disable-readline > configure.log
    make -s sqlite3.c shell.c > make.log 2>&1
)
"$cc" -O2 -static -pthread -DSQLITE_THREADSAFE=1 -DSQLITE_OMIT_LOAD_EXTENSION \
    -DSQLITE_ENABLE_DBSTAT_VTAB -I "$objects/amalgamation" \
    "$objects/amalgamation/shell.c" "$objects/amalgamation/sqlite3.c" -lm -o "$out/sqlite3"
