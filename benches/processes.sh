#!/bin/sh
# Processes, threads and faults: the same C program (benches/native/processes.c) on the host's own
# Linux and on pagewalk's, side by side.
#
#     benches/processes.sh [RUNS] [OPTION...]    RUNS (default 3) of each; the fastest counts
#                                                OPTIONs go to `pagewalk run`, such as --mmu ia32
#
# Seconds are wall-clock time of the run that does the thing so many times, less that of the run that
# does it not at all. Both sides are kept on one processor: the host's two processes then take turns
# as pagewalk's do. The last column is pagewalk's time over the host's.
#
# The aims: 3 million minor faults a second; fork of a process with 100,000 resident pages in under
# 5 ms; 1,000 processes of 1,000 pages each in one machine, with a fault costing no more than in one
# process. Exits with 1 if one is missed.
#
# PAGEWALK=FILE measures that binary instead of the release build; CC and RISCV_CC name compilers.
set -eu
. "$(dirname "$0")/common.sh"
cc=${CC:-cc}
riscv_cc=${RISCV_CC:-riscv64-linux-gnu-gcc}
need "$cc" gcc
need "$riscv_cc" "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross"

runs=3
case ${1:-} in
[0-9]*) runs=$1 && shift ;;
esac

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT TERM
for side in native guest; do
    compiler=$cc
    [ "$side" = native ] || compiler=$riscv_cc
    "$compiler" -O2 -Wall -Wextra -Werror -static -pthread benches/native/processes.c \
        -o "$directory/$side"
done

python3 - "$pagewalk" "$directory" "$runs" "$@" <<'PY'
import os, subprocess, sys, time

pagewalk, directory, runs, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

# What is done, how often natively and on pagewalk, with how many pages, and the aim: the most
# microseconds that one may take on pagewalk.
THINGS = [
    ("fault", "page fault, fresh page", 2_000_000, 2_000_000, 0, 1 / 3),
    ("cow", "page fault, copy-on-write", 1_000_000, 1_000_000, 0, None),
    ("fork", "fork + exit + wait, 10 pages", 4_000, 4_000, 10, None),
    ("fork", "the same, 1,000 pages", 4_000, 2_000, 1_000, None),
    ("fork", "the same, 100,000 pages", 100, 50, 100_000, 5_000),
    ("exec", "fork + exec + exit + wait, 10 pages", 1_000, 1_000, 10, None),
    ("exec", "the same, 1,000 pages", 1_000, 1_000, 1_000, None),
    ("switch", "round trip through pipes", 200_000, 200_000, 0, None),
    ("futex", "round trip of threads, futex", 200_000, 200_000, 0, None),
]
CROWD, CROWD_PAGES = 1000, 1000
RAM = "--ram=2GiB"
CROWD_RAM = "--ram=5GiB"


def command(side, ram, what, count, pages):
    words = [what, str(count), str(pages)]
    native = os.path.join(directory, "native")
    if side == "native":
        return [native, *words, native]
    run = [pagewalk, "run", "--quiet", "--root", directory, ram, *options]
    return run + [os.path.join(directory, "guest"), *words, "/guest"]


def seconds(*what):
    """The fastest of some runs, or None where it does not run at all."""
    best = None
    for _ in range(runs):
        start = time.perf_counter()
        done = subprocess.run(command(*what), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        elapsed = time.perf_counter() - start
        if done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip().splitlines()
            print(f"  {what[0]} {what[2]}: exit status {done.returncode}: {message[-1:]}")
            return None
        best = min(best or elapsed, elapsed)
    return best


def each(side, ram, what, count, pages):
    """Microseconds of one."""
    many, none = seconds(side, ram, what, count, pages), seconds(side, ram, what, 0, pages)
    return None if many is None or none is None else max(many - none, 1e-9) / count * 1e6


def row(name, native, guest, aim=None):
    cells = [f"{1e6 / t:>14,.0f}{t:>12,.2f}" if t else f"{'-':>14}{'-':>12}" for t in (native, guest)]
    ratio = f"{guest / native:>10.2f}" if native and guest else f"{'-':>10}"
    note = ""
    if aim:
        met = guest is not None and guest <= aim
        note = f"  aim {aim:,.2f} us: {'met' if met else 'MISSED'}"
    print(f"{name:<38}{''.join(cells)}{ratio}{note}", flush=True)
    return bool(aim) and "MISSED" in note


print(f"{'':<38}{'host':>14}{'host':>12}{'pagewalk':>14}{'pagewalk':>12}{'time':>10}")
print(f"{'what':<38}{'a second':>14}{'us each':>12}{'a second':>14}{'us each':>12}{'ratio':>10}")
missed = False
alone = None
for what, name, native_count, guest_count, pages, aim in THINGS:
    native = each("native", RAM, what, native_count, pages)
    guest = each("guest", RAM, what, guest_count, pages)
    alone = guest if what == "fault" else alone
    missed |= row(name, native, guest, aim)

native = each("native", CROWD_RAM, "many", CROWD, CROWD_PAGES)
guest = each("guest", CROWD_RAM, "many", CROWD, CROWD_PAGES)
row(f"{CROWD:,} processes of {CROWD_PAGES:,} pages, each", native, guest)
native, guest = (t and t / CROWD_PAGES for t in (native, guest))
row("  the same, by the page", native, guest)
if alone and guest:
    print(f"a page costs {guest / alone:.2f} times what it costs in one process, "
          "making and ending the processes included")
sys.exit(missed)
PY
