#!/bin/sh
# Builds every guest program from src/ into a directory (default: bin/ beside this script).
#
#     programs/build.sh [OUTPUT_DIRECTORY]
#
# The result depends on the sources and the compiler only, not on where or when it is built;
# check.sh holds the committed files to that. RISCV_CC names another compiler.
set -eu

cc=${RISCV_CC:-riscv64-linux-gnu-gcc}
root=$(cd "$(dirname "$0")" && pwd)
out=${1:-$root/bin}
mkdir -p "$out"
out=$(cd "$out" && pwd)
command -v "$cc" >/dev/null || {
    echo "build.sh: $cc not found (Debian: apt install gcc-riscv64-linux-gnu)" >&2
    exit 1
}

objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
trap 'exit 1' HUP INT TERM

# Relative source names from here on: the first half of being reproducible.
cd "$root/src"

# Machine and language. medlow is enough for code and data below 2 GiB.
cflags="-std=gnu11 -O2 -march=rv64gc -mabi=lp64d -mcmodel=medlow -ffreestanding -fno-pic"
# No contraction into fused multiply-add, so that doubles give the same bits as anywhere else; sqrt
# is an instruction, not a library call that sets errno.
cflags="$cflags -ffp-contract=off -fno-math-errno"
# memcpy must not be "recognised" as memcpy and call itself; a load from address 0 is a real load.
cflags="$cflags -fno-tree-loop-distribute-patterns -fno-delete-null-pointer-checks"
# Nothing in the file that no one uses: no canaries, no unwind tables, no function that is not
# called.
cflags="$cflags -fno-stack-protector -fno-asynchronous-unwind-tables"
cflags="$cflags -ffunction-sections -fdata-sections"
cflags="$cflags -ffile-prefix-map=$root=programs -Wall -Wextra -Werror"

# Two segments, as Unix has had them from the start: code and constants (r-x) at 0x10000, data (rw-)
# 64 KiB further up. So far apart they never share a page, on any MMU whose pages are 64 KiB or
# smaller, while the file itself has no padding.
ldflags="-static -no-pie -nostdlib -Wl,-Ttext-segment=0x10000 -Wl,-z,noseparate-code"
ldflags="$ldflags -Wl,-z,max-page-size=65536 -Wl,-z,common-page-size=65536"
ldflags="$ldflags -Wl,-z,norelro -Wl,-z,noexecstack -Wl,--gc-sections"
ldflags="$ldflags -Wl,--build-id=none -Wl,--discard-locals -Wl,--fatal-warnings"

# The flags are split at white space below, and $root is part of one of them: refuse what would fail
# oddly.
case $root in
*[[:space:]]*)
    echo "build.sh: the path '$root' contains white space; build from a path without" >&2
    exit 1
    ;;
esac

# shellcheck disable=SC2086 # the flags are meant to be split
compile() { # SOURCE OBJECT
    "$cc" $cflags -c "$1" -o "$2"
}

# The linker leaves out what a program does not call.
compile rt/start.S "$objects/start.o"
runtime=
for part in rt.c process.c sync.c thread.c thread.S; do
    compile "rt/$part" "$objects/rt-$part.o"
    runtime="$runtime $objects/rt-$part.o"
done
for source in *.c; do
    name=${source%.c}
    compile "$source" "$objects/$name.o"
    # shellcheck disable=SC2086
    "$cc" $cflags $ldflags "$objects/start.o" "$objects/$name.o" $runtime -o "$out/$name"
done
