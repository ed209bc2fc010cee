# Lua's interpreter. Its test suite is not part of Debian's source package; run.sh has a script of ours.
source=$(debian_source lua5.4)
# Debian's build writes this header.
printf '#define DEB_HOST_MULTIARCH "%s"\n' "$host" > "$objects/lua5.4-deb-multiarch.h"
rm -f "$objects/files"
for file in "$source"/src/l*.c; do
    [ "${file##*/}" = luac.c ] || printf '%s\n' "$file" >> "$objects/files"
done
"$cc" -O2 -std=gnu99 -static -DLUA_USE_POSIX -I "$objects" "@$objects/files" -lm -o "$out/lua" \
    2> "$objects/log" || fail "$(tail -n 5 "$objects/log")"
