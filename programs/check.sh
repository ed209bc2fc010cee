#!/bin/sh
# Proves that the committed programs are what their sources say: rebuilds all in a temporary
# directory and compares byte by byte. Exit 0: identical. Exit 1: the names that differ are on
# stderr.
set -eu

cc=${RISCV_CC:-riscv64-linux-gnu-gcc}
root=$(cd "$(dirname "$0")" && pwd)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
trap 'exit 1' HUP INT TERM

"$root/build.sh" "$fresh"

different=0
for path in "$fresh"/* "$root"/bin/*; do
    name=${path##*/}
    cmp -- "$root/bin/$name" "$fresh/$name" >&2 || different=1
done

if [ "$different" -ne 0 ]; then
    echo "check.sh: bin/ does not match src/: run programs/build.sh and commit the result." >&2
    echo "check.sh: the committed files are built by Debian 12's GCC 12.2.0; this is:" >&2
    "$cc" --version | head -n 1 >&2
    exit 1
fi
echo "all programs match their sources"
