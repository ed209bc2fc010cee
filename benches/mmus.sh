#!/bin/sh
# Guest speed of every MMU against sv39's, on programs that compute and programs that miss.
#
#     benches/mmus.sh [ROUNDS]      ROUNDS (default 5) of each; the least time counts
#
# Each MMU has its own default TLB; `sv39 software` is sv39 with a TLB of the default shape that
# software loads. All take turns, run by run, so that what else the machine does in between hits all
# alike. Speed is guest instructions by seconds of processor time, start included: user and system,
# as how the host divides a short run between them is chance. The aims: 0.8 of sv39's, and 0.5 where
# software loads the TLB. What is below is marked, and listed with what the report says of reasons:
# walks and refills, references to page tables, and page faults, each per thousand instructions and
# beside sv39's.
#
# The R3000's 64 entries have no second level behind them, sv39's 128 have 1536. `sv39 1x64` is sv39
# with such a TLB, for comparison and without an aim.
#
# PAGEWALK=FILE measures that binary instead of the release build. Exits with 1 if an aim is missed.
set -eu
. "$(dirname "$0")/common.sh"

exec python3 - "$pagewalk" "${1:-5}" <<'PY'
import json, os, re, subprocess, sys, tempfile

pagewalk, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2])
PROGRAMS = [
    ["sieve", "4000000"],
    ["matmul", "160"],
    ["nbody", "60000"],
    ["sha256", "random.bin"],
    ["hashjoin", "100000"],
    ["recurse", "50000"],
    ["randaccess", "16", "300000"],
]
FILE_BYTES = 1 << 20
DEFAULT_TLB = "l1i=16x4,l1d=16x4,l2=128x12"
R3000_TLB = "l1=1x64:random,software"
HARDWARE_AIM, SOFTWARE_AIM = 0.8, 0.5


def mmus():
    text = subprocess.run([pagewalk, "run", "--help"], capture_output=True, check=True, text=True)
    listed = re.search(r"--mmu <MMU>.*?possible values: ([^\]]*)\]", text.stdout, re.DOTALL)
    return [name.strip() for name in listed[1].split(",")]


def sides():
    """Name, options, aim; sv39 first."""
    names = mmus()
    names.remove("sv39")
    yield "sv39", [], None
    for name in names:
        yield name, ["--mmu", name], SOFTWARE_AIM if name == "r3000" else HARDWARE_AIM
    yield "sv39 software", ["--tlb", DEFAULT_TLB + ",software"], SOFTWARE_AIM
    yield "sv39 1x64", ["--tlb", R3000_TLB], None


def seconds(command, directory):
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, cwd=directory)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"{' '.join(command)}: ended with {child.returncode}")
        output.seek(0)
        return usage.ru_utime + usage.ru_stime, output.read()


def measure(program, sides, directory):
    """Per side: the best speed, and the last report."""
    path = os.path.abspath(os.path.join("programs/bin", program[0]))
    report = os.path.join(directory, "report.json")
    best, reports, outputs = {}, {}, set()
    for _ in range(rounds):
        for name, options, _ in sides:
            command = [pagewalk, "run", "--quiet", "--root", directory, "--json", report]
            elapsed, output = seconds(command + options + [path] + program[1:], directory)
            best[name] = min(elapsed, best.get(name, elapsed))
            outputs.add(output)
            with open(report) as file:
                reports[name] = json.load(file)
    if len(outputs) != 1:
        sys.exit(f"{' '.join(program)}: the outputs differ")
    speed = {name: reports[name]["instructions"] / max(s, 1e-4) for name, s in best.items()}
    return speed, reports


def reasons(report):
    """Walks and refills, references to page tables, page faults: per thousand instructions."""
    thousands = report["instructions"] / 1e3
    walks, faults = report["walks"] or {}, report["faults"]
    counts = (walks.get("walks", 0), walks.get("reads", 0), faults["minor"] + faults["major"])
    return [count / thousands for count in counts]


def table(sides, measured):
    """Prints the ratios; the pairs of side and program below their aim."""
    below = []
    heads = "".join(f"{program[0]:>12}" for program in PROGRAMS)
    print(f"{'speed / sv39':<16}{heads}{'aim':>7}")
    print(f"{'sv39, M instr/s':<16}" + "".join(f"{s['sv39'] / 1e6:>12.0f}" for s, _ in measured))
    for name, _, aim in sides[1:]:
        ratios = [speed[name] / speed["sv39"] for speed, _ in measured]
        missed = [aim is not None and ratio < aim for ratio in ratios]
        below += [(name, at) for at, is_missed in enumerate(missed) if is_missed]
        cells = [f"{ratio:.2f}{'*' if m else ' '}" for ratio, m in zip(ratios, missed)]
        print(f"{name:<16}" + "".join(f"{cell:>12}" for cell in cells) + f"{aim or '-':>7}")
    return below


def explain(below, measured):
    heads = ["walks", "table refs", "faults"]
    print(f"\n* below the aim; per thousand instructions, and sv39's:\n{'':<30}"
          + "".join(f"{head:>18}" for head in heads))
    for name, at in below:
        reports = measured[at][1]
        pairs = zip(reasons(reports[name]), reasons(reports["sv39"]))
        cells = [f"{own:.3f} / {other:.3f}" for own, other in pairs]
        print(f"{name:<16}{PROGRAMS[at][0]:<14}" + "".join(f"{cell:>18}" for cell in cells))


all_sides = list(sides())
with tempfile.TemporaryDirectory() as directory:
    with open(os.path.join(directory, "random.bin"), "wb") as file:
        file.write(os.urandom(FILE_BYTES))
    measured = [measure(program, all_sides, directory) for program in PROGRAMS]
below = table(all_sides, measured)
if below:
    explain(below, measured)
sys.exit(bool(below))
PY
