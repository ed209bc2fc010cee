#!/bin/sh
# Processes, threads and faults: the same C program (benches/native/processes.c) on the host's own
# Linux and on pagewalk's, side by side.
#
#     benches/processes.sh [RUNS] [OPTION...]    RUNS (default 3) of each; the fastest counts
#                                                OPTIONs go to `pagewalk run`, such as --mmu ia32
#
# Seconds are processor time (user and system, of all processes) of the run that does the thing so
# many times, less that of the run that does it not at all. Both sides are kept on one processor:
# the host's two processes then take turns as pagewalk's do. The last column is pagewalk's time over
# the host's.
#
# The aims: 3 million minor faults a second; fork of a process with 100,000 resident pages in under
# 5 ms, here with the child's exit; 1,000 processes of 1,000 pages each in one machine. Exits with 1
# if one is missed.
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
import os, subprocess, sys, tempfile

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
        with tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(command(*what), stdout=subprocess.DEVNULL, stderr=errors)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                errors.seek(0)
                message = errors.read().decode(errors="replace").strip()
                print(f"  {what[0]} {what[2]}: ended with {child.returncode}: {message[-200:]}")
                return None
        elapsed = usage.ru_utime + usage.ru_stime
        best = elapsed if best is None else min(best, elapsed)
    return best


def each(side, ram, what, count, pages):
    """Microseconds of one."""
    many, none = seconds(side, ram, what, count, pages), seconds(side, ram, what, 0, pages)
    return None if many is None or none is None else max(many - none, 1e-9) / count * 1e6


def row(name, native, guest, aim=None):
    absent = f"{'-':>14}{'-':>12}"
    cells = [f"{1e6 / t:>14,.0f}{t:>12,.2f}" if t else absent for t in (native, guest)]
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
for what, name, native_count, guest_count, pages, aim in THINGS:
    native = each("native", RAM, what, native_count, pages)
    guest = each("guest", RAM, what, guest_count, pages)
    missed |= row(name, native, guest, aim)

# The same memory in one process and in many: what is touched for the first time in the guest is so
# on the host too, which is most of it.
by_page = []
for count, pages in [(1, CROWD * CROWD_PAGES), (CROWD, CROWD_PAGES)]:
    sides = [each(side, CROWD_RAM, "many", count, pages) for side in ("native", "guest")]
    native, guest = (t and t / pages for t in sides)
    noun = "process" if count == 1 else "processes"
    row(f"{count:,} {noun} of {pages:,} pages, by page", native, guest)
    by_page.append(guest)
if all(by_page):
    ratio = by_page[1] / by_page[0]
    print(f"in {CROWD:,} processes a page costs {ratio:.2f} times what it costs in one, "
          "fork and exit included")
sys.exit(missed)
PY
