#!/usr/bin/env bash
# Builds other people's programs for riscv64 from Debian's source packages.
#
#     corpus/build.sh DIRECTORY [PROGRAM]...
#
# Executables go to DIRECTORY/bin/PROGRAM/, sources and archives to DIRECTORY/sources/. A program is
# built again only if the version of its source package, its recipe or the compiler changed. Nothing
# that is fetched or built belongs into the repository.
#
# RISCV_HOST names another prefix of the cross tools than riscv64-linux-gnu.
set -euo pipefail

corpus=$(cd "$(dirname "$0")" && pwd)
. "$corpus/lib.sh"

[ $# -ge 1 ] || fail 'usage: corpus/build.sh DIRECTORY [PROGRAM]...'
mkdir -p "$1/sources" "$1/bin"
directory=$(cd "$1" && pwd)
shift
if [ $# -eq 0 ]; then
    programs=("$corpus"/*/build.sh)
    programs=("${programs[@]%/build.sh}")
    set -- "${programs[@]##*/}"
fi

host=${RISCV_HOST:-riscv64-linux-gnu}
cc=$host-gcc
jobs=$(nproc)
sources=$directory/sources
command -v "$cc" > /dev/null || fail "$cc not found (Debian: apt install gcc-$host)"

# What a build depends on, as one line.
stamp_of() { # PROGRAM
    {
        cat "$corpus/lib.sh" "$corpus/$1"/build.sh
        find "$corpus/$1" -type f -path '*/src/*' | LC_ALL=C sort | xargs -r cat
        "$cc" --version
        # Looked up in the recipe, not executed: each package that it names.
        sed -n 's/.*debian_source \([a-z0-9.+-]*\).*/\1/p' "$corpus/$1/build.sh" |
            while read -r package; do source_version "$package"; done
    } | sha256sum
}

build() ( # PROGRAM
    recipe=$corpus/$1/build.sh
    [ -f "$recipe" ] || fail "$1: no $recipe"
    out=$directory/bin/$1
    stamp=$(stamp_of "$1")
    if [ "$(cat "$out/.stamp" 2> /dev/null)" = "$stamp" ]; then
        exit 0
    fi
    printf 'building %s\n' "$1" >&2
    rm -rf "$out"
    mkdir -p "$out"
    objects=$(mktemp -d)
    trap 'rm -rf "$objects"' EXIT
    here=$corpus/$1
    . "$recipe"
    printf '%s\n' "$stamp" > "$out/.stamp"
)

# As many at a time as there are processors.
apt_private cache policy > "$sources/policy"
failed=0
for program in "$@"; do
    if [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; then
        wait -n || failed=1
    fi
    build "$program" &
done
while [ -n "$(jobs -p)" ]; do
    wait -n || failed=1
done
exit "$failed"
