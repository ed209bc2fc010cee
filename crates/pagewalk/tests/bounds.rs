//! Hostile guests: they take all that they can get, look for ways out of the root, and go on for
//! ever without an instruction. None of them takes more of the host's memory than ARCHITECTURE.md
//! says, none gets out, all of them end.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Done, finish, pagewalk};

const RAM_MIB: u64 = 16;

/// Builds a program from beside this file; `None`, and said so, if there is no compiler.
fn build(name: &str) -> Option<PathBuf> {
    let options = ["-O1", "-static", "-pthread", "-Wno-unused-result"];
    common::build("riscv64-linux-gnu-gcc", &format!("bounds/{name}.c"), &options)
}

/// What ARCHITECTURE.md allows, in KiB, where `tables_mib` of RAM may hold page tables.
fn bound_kib(tables_mib: u64) -> u64 {
    const FRAMES: u64 = RAM_MIB * 256;
    let fixed = 128 << 10;
    let ram = RAM_MIB << 10;
    let frames = FRAMES * 128 / 1024;
    let account = (64 << 10) + ram / 2;
    let regions = (65_530 + FRAMES) * 256 / 1024;
    fixed + ram + frames + account + regions + 4 * (tables_mib << 10)
}

/// Runs a program of so many processes on a machine whose host gives it no more memory than is
/// documented: an allocation beyond that would end it by SIGABRT.
fn run_bounded(program: &Path, kind: &str, processes: &str, tables_mib: u64) -> Done {
    let limit = bound_kib(tables_mib).to_string();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -d $0 && exec \"$@\"", &limit, env!("CARGO_BIN_EXE_pagewalk")]);
    command.args(["run", "--quiet", &format!("--ram={RAM_MIB}MiB"), "--swap=16MiB"]);
    finish(command.arg(program).args([kind, processes]), |_| ())
}

/// One kind of thing, and what processes are told, one after the other, when there is no more of it.
fn assert_bounded(kind: &str, processes: &str, refusals: &[&str]) {
    let Some(program) = build("bombs") else { return };
    let done = run_bounded(&program, kind, processes, 0);
    assert_eq!(done.status, 0, "{kind}: {done:?}");
    let told: Vec<&str> = done.stdout.lines().collect();
    // Whether a fork is refused, or what comes behind it, or both, is a matter of a few bytes.
    let is_known = told.iter().all(|told| refusals.contains(told));
    assert!(is_known && told.iter().any(|&told| told != "enough"), "{kind}: {done:?}");
}

#[test]
fn processes_are_bounded() {
    let Some(program) = build("bombs") else { return };
    // Page tables fill the RAM: the last fork is refused, or whoever needs a page next is killed.
    for (kind, processes) in [("processes", "20000"), ("arguments", "100")] {
        let done = run_bounded(&program, kind, processes, 0);
        assert!(matches!(done.status, 0 | 1), "{kind}: {done:?}");
    }
}

#[test]
fn what_spaces_hold_is_bounded() {
    assert_bounded("regions", "40", &["ENOMEM", "fork: ENOMEM"]);
    assert_bounded("mappings", "40", &["ENOMEM"]);
}

#[test]
fn bytes_on_their_way_are_bounded() {
    assert_bounded("pipes", "40", &["EMFILE", "ENOMEM", "fork: ENOMEM"]);
    assert_bounded("sockets", "40", &["ENOMEM", "fork: ENOMEM"]);
    assert_bounded("streams", "40", &["ENOMEM", "fork: ENOMEM"]);
    assert_bounded("rights", "40", &["ETOOMANYREFS"]);
    assert_bounded("messages", "40", &["ENOSPC"]);
}

#[test]
fn objects_of_all_processes_are_bounded() {
    assert_bounded("segments", "4", &["ENOSPC"]);
    assert_bounded("semaphores", "4", &["ENOSPC"]);
    assert_bounded("files", "4", &["ENOSPC"]);
    assert_bounded("locks", "2", &["ENOLCK"]);
}

#[test]
fn what_a_process_has_many_of_is_bounded() {
    assert_bounded("directories", "2", &["ENOMEM", "fork: ENOMEM"]);
    assert_bounded("texts", "2", &["ENOMEM", "fork: ENOMEM"]);
    assert_bounded("watches", "2", &["EMFILE"]);
    assert_bounded("signals", "2", &["EAGAIN"]);
    assert_bounded("timers", "2", &["EAGAIN"]);
    assert_bounded("groups", "400", &["enough", "ENOMEM", "fork: ENOMEM"]);
}

/// Bytes of a memfd are pages of the machine: it is RAM that runs out, and a process is killed.
#[test]
fn files_in_memory_are_ram() {
    assert_bounded("memfds", "1", &["killed"]);
}

/// None retires instructions for ever that nobody counts, or none at all: all are killed, or end
/// when their instructions are used up.
#[test]
fn nothing_goes_on_for_ever() {
    const KILLED: i32 = 1;
    const OUT_OF_INSTRUCTIONS: i32 = 0;
    let Some(program) = build("endless") else { return };
    let path = program.to_str().expect("a path in UTF-8");
    let ways = [
        ("blocked", KILLED),
        ("ignored", KILLED),
        ("handler-nowhere", KILLED),
        ("stack-nowhere", KILLED),
        ("timers", KILLED),
        ("nothing", KILLED),
        ("pages", KILLED),
        ("handled", OUT_OF_INSTRUCTIONS),
        ("jump-nowhere", OUT_OF_INSTRUCTIONS),
        ("alarms", OUT_OF_INSTRUCTIONS),
        ("yields", OUT_OF_INSTRUCTIONS),
        ("unknown", OUT_OF_INSTRUCTIONS),
        ("forks", OUT_OF_INSTRUCTIONS),
        ("execs", OUT_OF_INSTRUCTIONS),
        ("copies", OUT_OF_INSTRUCTIONS),
    ];
    for (how, status) in ways {
        let machine = ["run", "--quiet", "--ram=4MiB", "--swap=1MiB", "--max-instructions=200000"];
        let done = pagewalk([&machine[..], &[path, how]].concat());
        assert_eq!(done.status, status, "{how}: {done:?}");
    }
}

/// `canary` lies beside the root, and links in the root lead to it.
#[test]
fn no_way_leads_out_of_the_root() {
    use std::os::unix::fs::symlink;
    let Some(program) = build("escape") else { return };
    let temp = tempfile::tempdir().expect("a temporary directory");
    let (outside, root) = (temp.path(), temp.path().join("root"));
    std::fs::create_dir_all(root.join("a")).expect("a root");
    std::fs::write(outside.join("canary"), "canary.").expect("a canary");
    std::fs::write(root.join("inside"), "inside").expect("a file");
    symlink("../canary", root.join("climb")).expect("a link");
    symlink(outside.join("canary"), root.join("absolute")).expect("a link");
    symlink(outside, root.join("directory")).expect("a link");
    let option = format!("--root={}", root.display());
    let [program, outside_path] = [&program, outside].map(|path| path.to_str().expect("UTF-8"));
    for harts in ["--harts=1", "--harts=2"] {
        let done = pagewalk(["run", "--quiet", &option, harts, program, outside_path]);
        assert_eq!((done.status, done.stdout.as_str()), (0, "0 ways out\n"), "{done:?}");
        let mut names: Vec<_> = std::fs::read_dir(outside)
            .expect("the directory outside")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["canary", "root"], "nothing is made outside");
        let canary = std::fs::read_to_string(outside.join("canary")).expect("the canary");
        assert_eq!(canary, "canary.", "nothing is changed outside");
    }
}
