#!/bin/sh
# Guest speed: pagewalk with the default TLB, with --tlb none, and qemu-riscv64, on programs that
# compute.
#
#     benches/qemu.sh [RUNS]        RUNS (default 5) of each; the median counts
#
# The three take turns, so that what else the machine does in between hits all alike. Seconds are
# processor time (user and system), start included; million instructions a second divide the
# instruction count of pagewalk's report by them, for QEMU too: it runs the same instructions.
#
#   TLB cost    seconds with the default TLB / seconds with --tlb none
#   QEMU ahead  pagewalk's seconds / QEMU's. QEMU translates to host code and models no MMU at all
#
# PAGEWALK=FILE measures that binary instead of the release build.
set -eu
. "$(dirname "$0")/common.sh"
need qemu-riscv64 qemu-user

exec python3 - "$pagewalk" "${1:-5}" <<'PY'
import json, os, statistics, subprocess, sys, tempfile

pagewalk, runs = sys.argv[1], int(sys.argv[2])
PROGRAMS = [
    ["sieve", "20000000"],
    ["matmul", "384"],
    ["nbody", "500000"],
    ["sha256", "random.bin"],
    ["hashjoin", "300000"],
    ["recurse"],
    ["randaccess", "16", "2000000"],
]
FILE_BYTES = 16 << 20


def seconds(command, directory):
    """Processor time of one run, and what it printed."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, cwd=directory)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"{' '.join(command)}: ended with {child.returncode}")
        output.seek(0)
        return usage.ru_utime + usage.ru_stime, output.read()


def measure(program, directory):
    path = os.path.abspath(os.path.join("programs/bin", program[0]))
    report = os.path.join(directory, "report.json")
    run = [os.path.abspath(pagewalk), "run", "--quiet", "--root", directory, "--json", report]
    sides = {
        "tlb": run + [path] + program[1:],
        "none": run + ["--tlb", "none", path] + program[1:],
        "qemu": ["qemu-riscv64", path] + program[1:],
    }
    times = {side: [] for side in sides}
    outputs = set()
    for _ in range(runs):
        for side, command in sides.items():
            elapsed, output = seconds(command, directory)
            times[side].append(elapsed)
            outputs.add(output)
    if len(outputs) != 1:
        sys.exit(f"{' '.join(program)}: the outputs differ")
    with open(report) as file:
        instructions = json.load(file)["instructions"]
    return instructions, {side: statistics.median(t) for side, t in times.items()}


def row(name, instructions, t):
    rate = {side: instructions / s / 1e6 if s else float("inf") for side, s in t.items()}
    print(f"{name:<26}{instructions / 1e6:>11.1f}{rate['tlb']:>12.0f}{rate['none']:>12.0f}"
          f"{t['tlb'] / t['none']:>11.2f}{t['qemu']:>10.3f}{rate['qemu']:>10.0f}"
          f"{t['tlb'] / t['qemu']:>12.1f}", flush=True)


with tempfile.TemporaryDirectory() as directory:
    with open(os.path.join(directory, "random.bin"), "wb") as file:
        file.write(os.urandom(FILE_BYTES))
    print(f"{'':<26}{'million':>11}{'pagewalk':>12}{'--tlb none':>12}{'TLB':>11}{'QEMU':>10}"
          f"{'QEMU':>10}{'QEMU':>12}")
    print(f"{'program':<26}{'instr.':>11}{'M instr/s':>12}{'M instr/s':>12}{'cost':>11}"
          f"{'s':>10}{'M instr/s':>10}{'ahead':>12}")
    total = 0
    sums = {"tlb": 0.0, "none": 0.0, "qemu": 0.0}
    for program in PROGRAMS:
        instructions, medians = measure(program, directory)
        row(" ".join(program), instructions, medians)
        total += instructions
        sums = {side: s + medians[side] for side, s in sums.items()}
    row("all", total, sums)
PY
