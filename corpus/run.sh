#!/usr/bin/env bash
# Runs the programs that build.sh built, and compares what they print with what is expected.
#
#     corpus/run.sh DIRECTORY [PROGRAM]...
#
# RUNNER says on what: a pagewalk executable (default: target/release/pagewalk), `qemu`, which is
# QEMU's user mode, the reference, or `host`, for programs of the same names on the host's PATH.
# PAGEWALK_OPTIONS are options of `pagewalk run`. UPDATE=1 writes what came out as what is expected.
# The exit status is 1 if one program's output is not as expected.
set -euo pipefail

corpus=$(cd "$(dirname "$0")" && pwd)
. "$corpus/lib.sh"

[ $# -ge 1 ] || fail 'usage: corpus/run.sh DIRECTORY [PROGRAM]...'
directory=$(cd "$1" && pwd)
shift
if [ $# -eq 0 ]; then
    programs=("$corpus"/*/expected)
    programs=("${programs[@]%/expected}")
    set -- "${programs[@]##*/}"
fi
runner=${RUNNER:-${CARGO_TARGET_DIR:-$corpus/../target}/release/pagewalk}
case $runner in
qemu | host) ;;
*) command -v "$runner" > /dev/null || fail "no $runner: cargo build --release" ;;
esac
read -r -a options <<< "${PAGEWALK_OPTIONS:---ram 256MiB}"

# Runs a program of the corpus in the directory $root, which is all that it can see of the host. A
# status other than 0 is part of the output.
guest() { # PROGRAM [ARGUMENTS]...
    local name=$1 status=0
    shift
    case $runner in
    qemu) (cd "$root" && limited qemu-riscv64 -L "$root" "$bin/$name" "$@") || status=$? ;;
    host) (cd "$root" && limited "$name" "$@") || status=$? ;;
    *)
        limited "$runner" run --quiet "${options[@]}" --json "$scratch/report.json" --root "$root" "$bin/$name" "$@" ||
            status=$?
        # pagewalk's own status is 1 for every failure of the guest.
        [ "$status" -ne 1 ] || status=$(guest_status < "$scratch/report.json") || true
        ;;
    esac < /dev/null 2>> "$log"
    printf '%s\n' "$status" > "$scratch/status"
    [ "$status" -eq 0 ] || printf 'exit status of %s: %s\n' "$name" "$status"
}

# The status that a shell would show for how the guest ended.
guest_status() {
    python3 -c 'import json, sys
end = json.load(sys.stdin)["exit"]
print(end["code"] if end.get("code") is not None else 128 + (end.get("signal") or 0))'
}

limited() {
    timeout -k 5 "${LIMIT_SECONDS:-300}" "$@"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs one program and prints how it went. What it wrote to standard error is shown if it failed.
run() ( # PROGRAM
    program=$1
    here=$corpus/$program
    bin=$directory/bin/$program
    if [ -e "$bin/absent" ]; then
        printf 'skipped: %s, which could not be fetched\n' "$program"
        exit 0
    fi
    scratch=$work/$program
    root=$scratch/root
    log=$scratch/log
    mkdir -p "$root"
    started=$(date +%s%N)
    (. "$here/run.sh") > "$scratch/out" 2>> "$log" || printf 'status of run.sh: %s\n' "$?" >> "$scratch/out"
    milliseconds=$((($(date +%s%N) - started) / 1000000))
    if [ "${UPDATE:-}" = 1 ]; then
        cp "$scratch/out" "$here/expected"
    fi
    if diff -u "$here/expected" "$scratch/out" > "$scratch/diff"; then
        printf '%-10s as expected  %d.%03d s\n' "$program" $((milliseconds / 1000)) $((milliseconds % 1000))
    else
        printf '%-10s FAILED\n' "$program"
        sed 's/^/    /' "$scratch/diff" | head -n "${DIFF_LINES:-40}"
        tail -n "${LOG_LINES:-10}" "$log" | sed 's/^/    stderr: /'
        exit 1
    fi
)

# As many at a time as there are processors; their lines appear when they end.
failed=0
for program in "$@"; do
    if [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; then
        wait -n || failed=1
    fi
    run "$program" &
done
while [ -n "$(jobs -p)" ]; do
    wait -n || failed=1
done
exit "$failed"
