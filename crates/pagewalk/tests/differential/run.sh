#!/usr/bin/env bash
# Runs N random sequences of operations on memory on the host's own Linux and on ours, and compares
# what both say: results, errors, signals, bytes, mappings.
#
#   run.sh [N [FROM]]            the sequences FROM (0) up to FROM + N (1000), spread over machines
#   run.sh --shrink SEED [MACHINE]    one sequence on one machine, with the operations left out that
#                                the difference does without, as text from both sides
#
# PAGEWALK is the command (target/release/pagewalk), JOBS how many run at a time, EXECUTOR what is
# given to the executor besides, such as `ops=100` or `without=shm` (executor/main.c).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
pagewalk=${PAGEWALK:-$repository/target/release/pagewalk}
executor_options=${EXECUTOR:-}

# Machines with pages of 4 KiB: plenty of RAM, and so little that pages go and come meanwhile.
machines=(
    '--mmu sv39 --ram 4MiB --audit'
    '--mmu sv39 --ram 1MiB --swap 16MiB'
    '--mmu x86-64 --ram 4MiB'
    '--mmu ia32 --ram 4MiB --harts 2'
    '--mmu inverted --ram 4MiB'
    '--mmu r3000 --ram 4MiB'
    '--mmu sv48 --ram 64MiB --policy fifo'
    '--mmu aarch64 --ram 1MiB --swap 16MiB --audit'
)

for tool in cc riscv64-linux-gnu-gcc; do
    if ! command -v "$tool" > /dev/null; then
        echo "skipped: no $tool"
        [ "${CI_ORACLES:-}" != require ] && exit 0
        exit 1
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags='-O2 -static -Wall -Wextra -D_GNU_SOURCE'
# shellcheck disable=SC2086
{
    cc $flags "$here"/executor/*.c -o "$work/native"
    riscv64-linux-gnu-gcc $flags "$here"/executor/*.c -o "$work/guest"
}

# What the executor leaves out on a machine that has no large pages, or no right to execute.
words_for() {
    case $1 in *inverted* | *hashed* | *r3000*) echo large=0 ;; esac
    case $1 in *r3000* | *ia32*) echo nx=0 ;; esac
}

# native NAME WORDS…; guest MACHINE NAME WORDS…: NAME is that of the file that they work on.
native() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    "$work/native" "file=$work/$name" $executor_options "$@"
}
guest() {
    local machine=$1 name=$2
    shift 2
    # shellcheck disable=SC2086
    timeout 3000 "$pagewalk" run --quiet $machine --root "$work" "$work/guest" "file=/$name" \
        $executor_options "$@"
}

# One part of the sequences on one machine; says which differ.
part() {
    local machine=$1 from=$2 to=$3 name="file-$2" words
    words=$(words_for "$machine")
    # shellcheck disable=SC2086
    native "$name-n" $words "$from" "$to" > "$work/native-$from"
    local report="$work/report-$from"
    # shellcheck disable=SC2086
    guest "$machine --json $report" "$name-g" $words "$from" "$to" \
        > "$work/guest-$from" 2> "$work/told-$from" || true
    # Pages that are locked may be more than the RAM; somebody is killed then, as on a Linux of that
    # size. That is no difference, but twice the RAM must be enough.
    if grep -qs '"oom_kill": *[1-9]' "$report" && [[ $machine = *1MiB* ]]; then
        machine=${machine/1MiB/2MiB}
        # shellcheck disable=SC2086
        guest "$machine" "$name-g" $words "$from" "$to" \
            > "$work/guest-$from" 2> "$work/told-$from" || true
    fi
    rm -f "$work/$name-n" "$work/$name-g"
    if cmp -s "$work/native-$from" "$work/guest-$from"; then
        echo "same: $from up to $to on $machine"
    else
        echo "DIFFERENT: on $machine, of $from up to $to:"
        diff "$work/native-$from" "$work/guest-$from" > "$work/difference-$from" || true
        sed -n 's/^< /    /p' "$work/difference-$from" | sed 10q
        head -n 5 "$work/told-$from"
        touch "$work/different"
    fi
}

# Leaves out operations as long as the last lines still differ.
shrink() {
    local seed=$1 machine=${2:-${machines[0]}} skip='' number
    local both
    read -r -a both <<< "verbose=1 every=1 $(words_for "$machine" | xargs)"
    differs() {
        native n "${both[@]}" "skip=$1" "$seed" $((seed + 1)) > "$work/n.txt"
        guest "$machine" g "${both[@]}" "skip=$1" "$seed" $((seed + 1)) > "$work/g.txt" 2>&1 || true
        ! cmp -s "$work/n.txt" "$work/g.txt"
    }
    differs '' || { echo "no difference"; return; }
    for number in $(grep -o '^[0-9]*\.[0-9]*' "$work/n.txt" | tac); do
        if differs "$skip,$number"; then skip="$skip,$number"; fi
    done
    differs "$skip" || true
    diff -U 1000 "$work/n.txt" "$work/g.txt" | grep -v '^ \{2\}' || true
}

if [ "${1:-}" = --shrink ]; then
    shift
    shrink "$@"
    exit
fi

count=${1:-1000}
from=${2:-0}
jobs=${JOBS:-$(nproc)}
# Parts small enough for every machine to get several, and for a difference to show soon.
size=$(((count + ${#machines[@]} - 1) / ${#machines[@]}))
[ "$size" -gt 1000 ] && size=1000
end=$((from + count))
index=0
while [ "$from" -lt "$end" ]; do
    machine=${machines[index % ${#machines[@]}]}
    # An audit after every stop of a hart takes thirty times as long.
    case $machine in *--audit*) piece=$(((size + 7) / 8)) ;; *) piece=$size ;; esac
    to=$((from + piece < end ? from + piece : end))
    part "$machine" "$from" "$to" &
    index=$((index + 1))
    from=$to
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
done
wait
[ ! -e "$work/different" ]
echo "$count sequences do the same on Linux $(uname -r)"
