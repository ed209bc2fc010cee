#!/bin/sh
# Host memory that simulated RAM costs: the largest resident set of runs that fill all of it, against
# the aim of N + 2 % + 64 MiB for N bytes of RAM; and of a small program in a lot of RAM, where only
# what is used may count: used + 2 % of N + 64 MiB.
#
#     benches/memory.sh
#
# "used" is the share of the frames that held something at once, by pagewalk's report. PAGEWALK=FILE measures that binary instead of the release build. Exits with
# 1 if a run needs more than the aim.
set -eu
. "$(dirname "$0")/common.sh"

exec python3 - "$pagewalk" <<'PY'
import json, os, subprocess, sys, tempfile

pagewalk = sys.argv[1]
MIB = 1 << 20
RUNS = [
    ("64MiB", 64, ["randaccess", "96", "10000"]),
    ("256MiB", 256, ["randaccess", "300", "10000"]),
    ("1GiB", 1024, ["randaccess", "1000", "1000000"]),
    ("16GiB", 16384, ["hello"]),
]


def peak_bytes(ram, program, report):
    command = [pagewalk, "run", "--quiet", "--ram", ram, "--json", report,
               "programs/bin/" + program[0]] + program[1:]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)}: ended with {child.returncode}")
    # KiB on Linux, bytes on macOS.
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


failed = False
print(f"{'RAM':>8}  {'program':<26}{'used':>7}{'host peak':>14}{'aim':>14}")
with tempfile.TemporaryDirectory() as directory:
    report = os.path.join(directory, "report.json")
    for ram, mib, program in RUNS:
        peak = peak_bytes(ram, program, report)
        with open(report) as file:
            memory = json.load(file)["memory"]
        used = memory["peak_used"] / memory["frames"]
        aim = mib * MIB * (used + 0.02) + 64 * MIB
        failed |= peak > aim
        print(f"{ram:>8}  {' '.join(program):<26}{used:>7.1%}{peak / MIB:>10.1f} MiB"
              f"{aim / MIB:>10.1f} MiB", flush=True)
sys.exit(failed)
PY
