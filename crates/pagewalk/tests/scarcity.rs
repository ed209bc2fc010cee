//! Programs of several processes in less and less RAM, down to the least that there are machines
//! of: they do all that they do, or it is told that memory was short. Nothing between: no wrong
//! output, no silent end, no panic; and the audit holds at every stop.

mod common;

use common::{Done, guest, pagewalk, words};
use serde_json::Value;

/// Programs, and arguments for little work.
const PROGRAMS: [(&str, &[&str]); 7] = [
    ("fork-snapshot", &["64", "2", "snapshot"]),
    ("shmcount", &["3", "20"]),
    ("prodcons", &["50"]),
    ("cowstorm", &["4", "64"]),
    ("filedb", &["db", "200"]),
    ("threads", &["3", "3"]),
    ("pingpong", &["20", "32"]),
];

/// From enough for all of them to the least that can be asked for.
const RAM_KIB: [u64; 8] = [512, 256, 160, 112, 80, 72, 68, 64];

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// As it does with plenty.
    Done,
    /// A system call told the program that there is no memory, and the program told the user.
    Refused,
    /// Somebody was killed, and the report says so.
    Killed,
    /// There is no such machine, and it is said what would be one.
    NoMachine,
}

/// Runs a program, audited, in an empty directory of its own. No report if nothing ran.
fn run(options: &[&str], name: &str, args: &[&str]) -> (Done, Option<Value>) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let (root, json) = (temp.path().join("root"), temp.path().join("report.json"));
    std::fs::create_dir(&root).expect("a directory");
    let own = [format!("--root={}", root.display()), format!("--json={}", json.display())];
    let machine = ["run", "--quiet", "--audit", &own[0], &own[1]];
    let program = guest(name);
    let done = pagewalk([&machine[..], options, &words(&program, args)].concat());
    let report = std::fs::read_to_string(json).unwrap_or_default();
    (done, serde_json::from_str(&report).ok())
}

/// What a run came to; `Err` if it is none of what is allowed.
fn outcome(done: &Done, report: Option<&Value>, expected: &Done) -> Result<Outcome, &'static str> {
    let Some(report) = report else {
        let says_what_would = done.status == 2 && done.stderr.contains("give at least");
        return if says_what_would { Ok(Outcome::NoMachine) } else { Err("no report") };
    };
    if done.stderr.contains("audit failed") {
        return Err("the audit");
    }
    if done == expected {
        return Ok(Outcome::Done);
    }
    if done.status == 0 {
        return Err("a wrong output, or messages");
    }
    let kills = report.pointer("/counters/oom_kill").and_then(Value::as_u64).unwrap_or_default();
    match report.pointer("/exit/reason").and_then(Value::as_str) {
        Some(reason) if !reason.contains("memory") => Err("ended for a reason that is not memory"),
        Some(_) if kills > 0 => Ok(Outcome::Killed),
        Some(_) => Err("killed, but not counted"),
        None if done.stderr.contains("ENOMEM") => Ok(Outcome::Refused),
        // A program that sees that its child was killed.
        None if kills > 0 && !done.stderr.is_empty() => Ok(Outcome::Killed),
        None => Err("failed, and nobody says why"),
    }
}

/// All programs in all amounts of RAM; `least` is the smallest machine in KiB.
fn descend(mmu: &str, least: u64) {
    for (name, args) in PROGRAMS {
        let (expected, _) = run(&["--mmu", mmu], name, args);
        assert_eq!(expected.status, 0, "{name} on {mmu}: {expected:?}");
        for swap in ["64KiB", "none"] {
            let mut outcomes = Vec::new();
            for kib in RAM_KIB {
                let ram = format!("{kib}KiB");
                let options = ["--mmu", mmu, "--ram", &ram, "--swap", swap];
                let (done, report) = run(&options, name, args);
                let what = format!("{name} on {mmu}, {ram} and {swap} of swap");
                let outcome = outcome(&done, report.as_ref(), &expected)
                    .unwrap_or_else(|wrong| panic!("{what}: {wrong}: {done:?}, {report:?}"));
                assert_eq!(outcome == Outcome::NoMachine, kib < least, "{what}: {done:?}");
                outcomes.push(outcome);
            }
            assert_eq!(outcomes[0], Outcome::Done, "{name} on {mmu}, {swap} of swap");
            let is_done = outcomes[RAM_KIB.len() - 1] == Outcome::Done;
            assert!(!is_done || name != "cowstorm", "there is no place for it all on {mmu}");
            println!("{name} on {mmu}, {swap} of swap: {outcomes:?}");
        }
    }
}

#[test]
fn three_levels_of_tables() {
    descend("sv39", 68);
}

#[test]
fn two_levels_of_tables() {
    descend("ia32", 64);
}

#[test]
fn an_inverted_table() {
    descend("inverted", 64);
}
