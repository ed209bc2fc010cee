# zstd's command, with threads.
source=$(debian_source libzstd)
cp -r "$source/lib" "$source/programs" "$objects"
make -s -C "$objects/programs" CC="$cc" AR="$host-ar" LDFLAGS=-static HAVE_THREAD=1 HAVE_ZLIB=0 \
    HAVE_LZMA=0 HAVE_LZ4=0 UNAME=Linux TARGET_SYSTEM=Linux BACKTRACE=0 -j"$jobs" zstd > "$objects/log" 2>&1 ||
    fail "$(tail -n 20 "$objects/log")"
cp "$objects/programs/zstd" "$out/zstd"
