#!/bin/sh
# Start to exit of a trivial program: `pagewalk run programs/bin/hello` against `true`, which takes
# what starting any process takes.
#
#     benches/start.sh [RUNS]       RUNS (default 50) of each, taking turns; the median counts
#
# The aim: under 20 ms more than `true`. PAGEWALK=FILE measures that binary instead of the release
# build.
set -eu
. "$(dirname "$0")/common.sh"

exec python3 - "$pagewalk" "${1:-50}" <<'PY'
import shutil, statistics, subprocess, sys, time

pagewalk, runs = sys.argv[1], int(sys.argv[2])
AIM_MS = 20
COMMANDS = {
    "true": [shutil.which("true")],
    "hello, no report": [pagewalk, "run", "--quiet", "programs/bin/hello"],
    "hello, with the report": [pagewalk, "run", "programs/bin/hello"],
    "hello, 16 GiB of RAM": [pagewalk, "run", "--ram", "16GiB", "programs/bin/hello"],
}
times = {name: [] for name in COMMANDS}
for _ in range(runs):
    for name, command in COMMANDS.items():
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times[name].append((time.perf_counter() - start) * 1000)
base = statistics.median(times["true"])
for name in COMMANDS:
    median = statistics.median(times[name])
    print(f"{name:<26}{median:8.2f} ms{median - base:+9.2f} ms")
print(f"aim: less than {AIM_MS} ms more than true")
PY
