//! The guest programs of several processes and threads, on the whole machine: what they print does
//! not depend on the hardware, the RAM or the number of harts, and what sharing saves is counted.
//!
//! Each of them compares what it finds in memory with what must be there, and exits with 1 if one
//! word is wrong; so exit code 0 says more than that the outputs agree.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::{
    Done, FORMATS, assert_parts_sum_to_totals, finish, guest, number, report, repository, words,
};
use serde_json::Value;

/// Programs, and arguments for little work.
const PROGRAMS: [(&str, &[&str]); 7] = [
    ("fork-snapshot", &["512", "2", "snapshot"]),
    ("shmcount", &["3", "100"]),
    ("prodcons", &["300"]),
    ("cowstorm", &["4", "256"]),
    ("filedb", &["db", "600"]),
    ("threads", &["3", "3"]),
    ("pingpong", &["100", "32"]),
];

/// Those with a process or thread that waits for another by looking at memory first: how often it
/// must sleep depends on who came first, and so does the number of instructions.
const WAIT_IF_THEY_MUST: [&str; 4] = ["shmcount", "prodcons", "cowstorm", "threads"];

/// Little RAM, but enough for the page tables of seven processes, which stay there; some; plenty.
fn ram(mmu: &str) -> [&'static str; 3] {
    match mmu {
        // A table of a megabyte for each.
        "linear" => ["8MiB", "16MiB", "64MiB"],
        "aarch64-64k" => ["4MiB", "8MiB", "64MiB"],
        _ => ["1MiB", "4MiB", "64MiB"],
    }
}

/// Runs a program in an empty directory of its own.
fn run(options: &[&str], name: &str, args: &[&str]) -> (Done, Value) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let root_option = format!("--root={}", root.path().display());
    report(&[options, &[&root_option]].concat(), &words(&guest(name), args))
}

fn arguments(name: &str) -> &'static [&'static str] {
    PROGRAMS.iter().find(|program| program.0 == name).expect("one of the programs").1
}

/// What Linux programs print under QEMU, which hands their system calls to the host's own Linux.
/// None where there is no QEMU.
fn under_qemu(name: &str, args: &[&str]) -> Option<Done> {
    const QEMU: &str = "qemu-riscv64";
    if Command::new(QEMU).arg("--version").output().is_err() {
        let required = std::env::var_os("CI_ORACLES").is_some_and(|value| value == "require");
        assert!(!required, "{QEMU} not found, and CI_ORACLES is require");
        println!("skipped: {QEMU} not found");
        return None;
    }
    let root = tempfile::tempdir().expect("a temporary directory");
    let path = repository().canonicalize().expect("a repository").join(guest(name));
    Some(finish(Command::new(QEMU).arg(path).args(args).current_dir(root.path()), |_| ()))
}

/// On all hardware with pages, with all amounts of RAM and numbers of harts.
fn assert_nothing_changes_it(name: &str) {
    let args = arguments(name);
    let expected = run(&[], name, args).0;
    assert_eq!(expected.status, 0, "{expected:?}");
    if let Some(done) = under_qemu(name, args) {
        assert_eq!(done, expected, "{name} under QEMU");
    }
    // Programs ask for the page size, and go by it.
    let mut instructions = BTreeMap::new();
    for mmu in FORMATS {
        for (ram, harts) in ram(mmu).iter().flat_map(|ram| ["1", "2", "4"].map(|n| (ram, n))) {
            let what = format!("{name} on {mmu} with {ram} and {harts} harts");
            let options = ["--mmu", mmu, "--ram", ram, "--harts", harts];
            let (done, report) = run(&options, name, args);
            assert_eq!(done, expected, "{what}");
            assert_eq!(number(&report, "/exit/code"), 0, "{what}");
            assert_parts_sum_to_totals(&report, &what);
            if WAIT_IF_THEY_MUST.contains(&name) {
                continue;
            }
            let retired = number(&report, "/instructions");
            let page = number(&report, "/machine/page_bytes");
            assert_eq!(*instructions.entry(page).or_insert(retired), retired, "{what}");
        }
    }
}

#[test]
fn a_snapshot_is_of_the_moment_of_the_fork_everywhere() {
    assert_nothing_changes_it("fork-snapshot");
}

#[test]
fn a_segment_at_several_addresses_is_one_everywhere() {
    assert_nothing_changes_it("shmcount");
}

#[test]
fn producers_and_consumers_agree_everywhere() {
    assert_nothing_changes_it("prodcons");
}

#[test]
fn children_and_grandchildren_are_isolated_everywhere() {
    assert_nothing_changes_it("cowstorm");
}

#[test]
fn a_mapped_file_and_read_agree_everywhere() {
    assert_nothing_changes_it("filedb");
}

#[test]
fn no_thread_uses_a_stale_entry_anywhere() {
    assert_nothing_changes_it("threads");
}

#[test]
fn context_switches_keep_memories_apart_everywhere() {
    assert_nothing_changes_it("pingpong");
}

/// What the report shows of sharing: how many pages forks shared, how many of them were copied
/// after all, and how many written to without a copy because nobody else had them any more.
#[test]
fn the_report_shows_what_sharing_saves() {
    for mmu in FORMATS {
        let counts = |name: &str| {
            let (_, report) = run(&["--mmu", mmu], name, arguments(name));
            let page = number(&report, "/machine/page_bytes");
            let get = |counter: &str| number(&report, &format!("/counters/{counter}"));
            let forks = (get("forks"), get("fork_pages_shared"));
            (page, forks, get("cow_copied"), get("cow_reused"))
        };
        // The store alone has 32 KiB; a quarter of it and what is beside it changes meanwhile.
        let (page, (forks, shared), copied, reused) = counts("fork-snapshot");
        assert_eq!(forks, 2, "{mmu}");
        assert!(shared >= 2 * (32 << 10) / page, "{mmu}: {shared} shared");
        assert!(copied > 0 && reused > 0, "{mmu}: {copied} copied, {reused} reused");
        assert!(page > 4096 || copied < shared, "{mmu}: {copied} of {shared} copied");

        // Four children and two grandchildren, each of whom inherits all.
        let (page, (forks, shared), copied, reused) = counts("cowstorm");
        let pages = (256 << 10) / page;
        assert_eq!(forks, 6, "{mmu}");
        assert!(shared >= 6 * pages, "{mmu}: {shared} shared");
        // Each writes to a fourth of the pieces (or to all pages, if those are large); the parent
        // to all.
        let written = (6 * pages).div_ceil(4) + pages;
        assert!(copied >= written - pages, "{mmu}: {copied} copied");
        assert!(reused > 0, "{mmu}: the last owner copies nothing");
        assert!(page > 4096 || copied < shared, "{mmu}: {copied} of {shared} copied");

        // One frame for all: no page of the segment or the ring is copied, only those of stacks and
        // data, a few for each process.
        for name in ["shmcount", "prodcons"] {
            let (_, (forks, _), copied, _) = counts(name);
            assert!(copied <= 6 * (forks + 1), "{name} on {mmu}: {copied} copied");
        }
    }
}

/// With identifiers of address spaces in the TLB a switch costs nothing there; without, every one
/// costs the entries of both sides.
#[test]
fn the_report_shows_what_a_switch_costs() {
    let cost = |tlb: &str| {
        let (_, report) = run(&["--tlb", tlb], "pingpong", arguments("pingpong"));
        let get = |pointer: &str| number(&report, pointer);
        assert!(get("/tlb/space_switches") >= 200, "100 round trips: {report}");
        (get("/tlb/entries_flushed_by_switches"), get("/walks/walks"), get("/instructions"))
    };
    let (flushed, walks, instructions) = cost("l1=64x4");
    let (flushed_untagged, walks_untagged, same_instructions) = cost("l1=64x4,untagged");
    assert_eq!(flushed, 0);
    assert!(flushed_untagged >= 200 * 8, "eight pages and more a side: {flushed_untagged}");
    assert!(walks_untagged >= walks + 200 * 8, "{walks_untagged} walks against {walks}");
    assert_eq!(instructions, same_instructions);
}

/// Without pages there is nothing to share copy-on-write: fork says so. Threads work.
#[test]
fn without_pages_fork_is_refused() {
    for mmu in ["none", "base-bounds", "segments"] {
        for (name, args) in PROGRAMS {
            let done = run(&["--mmu", mmu], name, args).0;
            assert_eq!(done.status, 1, "{name} on {mmu}: {done:?}");
            let reason = if name == "shmcount" { "ENOSYS" } else { "fork needs pages" };
            assert!(done.stderr.contains(reason), "{name} on {mmu}: {done:?}");
            let counted = done.stdout.contains("3 threads counted 450 and 450");
            assert_eq!(counted, name == "threads", "{name} on {mmu}: {done:?}");
        }
    }
}

/// The same run gives the same report, to the byte; and so does the plain path.
#[test]
fn the_interleaving_of_harts_is_determined() {
    for (name, args) in PROGRAMS {
        for (mmu, harts) in [("sv39", "1"), ("sv39", "4"), ("ia32", "2")] {
            let once = |slow: &[&str]| {
                let options = ["--mmu", mmu, "--harts", harts, "--ram", "1MiB"];
                let (done, mut report) = run(&[&options, slow].concat(), name, args);
                report["machine"]["slow"] = Value::Null;
                (done, report)
            };
            let first = once(&[]);
            assert_eq!(first, once(&[]), "{name} on {mmu}, {harts} harts, again");
            assert_eq!(first, once(&["--slow"]), "{name} on {mmu}, {harts} harts, plainly");
        }
    }
}

/// What `programs/README.md` says they print is what they print.
#[test]
fn the_documented_output_is_the_output() {
    let readme = std::fs::read_to_string(repository().join("programs/README.md")).unwrap();
    for (name, args) in [
        ("fork-snapshot", [].as_slice()),
        ("shmcount", &[]),
        ("prodcons", &[]),
        ("cowstorm", &[]),
        ("filedb", &["db"]),
        ("threads", &[]),
        ("pingpong", &[]),
    ] {
        for harts in ["1", "3"] {
            let done = run(&["--harts", harts], name, args).0;
            assert_eq!(done.status, 0, "{name}: {done:?}");
            for line in done.stdout.lines() {
                assert!(readme.contains(line), "{name} with {harts} harts: {line}");
            }
        }
    }
}
