//! The guest programs on the whole machine: what they print does not depend on the machine, what
//! is counted does not depend on how it is run, and the parts make up the totals.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{
    Done, FORMATS, assert_parts_sum_to_totals, guest, number, pagewalk, report, repository, words,
};
use pagewalk_machine::Hardware;
use serde_json::Value;

/// Without pages: what these programs do with the rights of single pages, the hardware cannot
/// refuse there.
const UNPAGED: [(&str, &[&str]); 3] = [
    ("none", &["sigsegv", "growsegv", "rotext"]),
    ("base-bounds", &["sigsegv", "growsegv", "rotext"]),
    ("segments", &["sigsegv"]),
];

/// Little RAM, but enough for the kernel, which takes more of larger pages; some; plenty.
fn ram(mmu: &str) -> [&'static str; 3] {
    let little = match mmu {
        "aarch64-64k" | "linear" => "1280KiB",
        _ => "1MiB",
    };
    [little, "4MiB", "64MiB"]
}

/// Programs, their arguments, and what the report gives as their exit code. Files are those of the
/// repository, which is their root directory.
const PROGRAMS: [(&str, &[&str], u64); 15] = [
    ("hello", &["a", "--b"], 0),
    ("matmul", &["64"], 0),
    ("matmul-naive", &["64"], 0),
    ("hashjoin", &["1000"], 0),
    ("randaccess", &["2", "2000"], 0),
    ("recurse", &["10000"], 0),
    ("sieve", &["10000"], 0),
    ("nbody", &["100"], 0),
    ("selfmodify", &[], 0),
    ("sigsegv", &[], 0),
    ("growsegv", &["256"], 0),
    ("protect", &[], 0),
    ("wordfreq", &["/programs/README.md", "5"], 0),
    ("nullderef", &[], 139),
    ("rotext", &[], 139),
];

#[test]
fn the_machine_does_not_change_the_program() {
    let root = format!("--root={}", repository().display());
    for (name, args, code) in PROGRAMS {
        let path = guest(name);
        let mut first: Option<Done> = None;
        // Programs ask for the page size, and go by it.
        let mut instructions = BTreeMap::new();
        for (mmu, ram) in FORMATS.iter().flat_map(|mmu| ram(mmu).map(|ram| (*mmu, ram))) {
            let what = format!("{name} on {mmu} with {ram}");
            let options = ["--mmu", mmu, "--ram", ram, root.as_str()];
            let (done, report) = report(&options, &words(&path, args));
            assert_eq!(number(&report, "/exit/code"), code, "{what}: {done:?}");
            assert_eq!(done.status, i32::from(code != 0), "{what}");
            assert_parts_sum_to_totals(&report, &what);
            let retired = number(&report, "/instructions");
            let page = number(&report, "/machine/page_bytes");
            assert_eq!(*instructions.entry(page).or_insert(retired), retired, "{what}");
            match &first {
                None => first = Some(done),
                Some(first) => assert_eq!(&done, first, "{what}"),
            }
        }
    }
}

/// Without pages programs must fit, and the hardware cannot protect page by page.
#[test]
fn without_pages_only_protection_shows() {
    let root = format!("--root={}", repository().display());
    // Nothing can forbid a store where there is no table of rights, and nothing at all can forbid
    // it to one page of a segment.
    let differs = |name: &str, mmu: &str| match name {
        "sigsegv" => mmu != "segments-paging",
        "growsegv" | "rotext" => matches!(mmu, "none" | "base-bounds"),
        _ => false,
    };
    for (name, args, _) in PROGRAMS {
        let path = guest(name);
        let expected = report(&[&root], &words(&path, args));
        for mmu in ["none", "base-bounds", "segments", "segments-paging"] {
            for ram in ["16MiB", "64MiB"] {
                let what = format!("{name} on {mmu} with {ram}");
                let options = ["--mmu", mmu, "--ram", ram, root.as_str()];
                let (done, report) = report(&options, &words(&path, args));
                assert_parts_sum_to_totals(&report, &what);
                assert!(report["segments"].is_object(), "{what}");
                if !differs(name, mmu) {
                    let count = |report| number(report, "/instructions");
                    assert_eq!(done, expected.0, "{what}");
                    assert_eq!(count(&report), count(&expected.1), "{what}");
                    assert_eq!(report["exit"]["code"], expected.1["exit"]["code"], "{what}");
                } else {
                    assert_eq!(done.status, 1, "{what}: the program tells that it could");
                }
            }
        }
    }
}

#[test]
fn segments_grow_by_moving_and_programs_that_do_not_fit_are_told() {
    for fit in ["first", "best", "worst", "next"] {
        let options = ["--mmu", "segments", "--fit", fit];
        let (_, report) = report(&options, &[&guest("recurse")]);
        assert!(number(&report, "/segments/blocks/moves") > 0, "{report}");
        assert_eq!(number(&report, "/segments/descriptors"), 1024);
        assert_eq!(report["machine"]["fit"], fit);
        assert_eq!(report["machine"]["policy"], "none");
        assert_eq!(number(&report, "/walks/walks"), 0);
    }

    let done = pagewalk(["run", "-q", "--mmu=base-bounds", "--ram=64KiB", &guest("extsort")]);
    assert_eq!(done.status, 2, "{done:?}");
    assert!(done.stderr.contains("bytes are missing, give more --ram"), "{done:?}");

    for (mmu, option, value) in
        [("none", "--tlb", "64"), ("segments", "--swap", "1MiB"), ("sv39", "--fit", "best")]
    {
        let done = pagewalk(["run", "--mmu", mmu, option, value, &guest("hello")]);
        assert_eq!(done.status, 2, "{done:?}");
        assert!(done.stderr.contains("leave the option out"), "{done:?}");
    }
}

/// Exec Shield's and OpenBSD's no-execute: the code segment ends where code does.
#[test]
fn the_code_segment_ends_where_code_does() {
    let (_, report) = report(&["--mmu", "segments-paging"], &[&guest("hello")]);
    let rows = report["segments"]["table"].as_array().expect("an array");
    let row = |n: usize, field| number(&rows[n], field);
    assert_eq!((rows[0]["name"].as_str(), rows[0]["rights"].as_str()), (Some("cs"), Some("r-x")));
    assert!(row(0, "/bytes") <= 0x2_0000, "data begins at 0x20000: {report}");
    assert_eq!((row(1, "/start"), row(1, "/bytes")), (0, 1 << 32));
}

#[test]
fn nor_does_a_machine_without_pages() {
    let root = format!("--root={}", repository().display());
    let all: Vec<&str> = FORMATS.into_iter().chain(UNPAGED.map(|(mmu, _)| mmu)).collect();
    assert_eq!(all.len(), Hardware::NAMES.len(), "a kind of machine is not tested");
    for (mmu, exempt) in UNPAGED {
        for (name, args, code) in PROGRAMS {
            let path = guest(name);
            let run = |mmu: &str| report(&["--mmu", mmu, root.as_str()], &words(&path, args));
            let (done, found) = run(mmu);
            let same = done == run("sv39").0 && number(&found, "/exit/code") == code;
            assert_eq!(same, !exempt.contains(&name), "{name} on {mmu}: {done:?}");
        }
    }
}

#[test]
fn the_plain_path_gives_the_same_report() {
    let root = format!("--root={}", repository().display());
    for (name, args, _) in PROGRAMS {
        let path = guest(name);
        for (mmu, tlb) in [
            ("sv39", "l1i=16x4,l1d=16x4,l2=128x12"),
            ("ia32", "l1=2x4:plru"),
            ("segments-paging", "l1=2x4:plru"),
        ] {
            let run = |slow: &[&str]| {
                let options = ["--mmu", mmu, "--tlb", tlb, "--ram", "1MiB", root.as_str()];
                let (done, mut report) = report(&[&options, slow].concat(), &words(&path, args));
                report["machine"]["slow"] = Value::Null;
                (done, report)
            };
            assert_eq!(run(&[]), run(&["--slow"]), "{name} on {mmu}");
        }
    }
}

#[test]
fn a_machine_without_a_tlb_walks_at_every_reference() {
    let path = guest("sieve");
    let with = report(&[], &[&path, "1000"]).1;
    let without = report(&["--tlb", "none"], &[&path, "1000"]).1;
    assert_eq!(number(&with, "/instructions"), number(&without, "/instructions"));
    assert_eq!(without["references"], with["references"]);
    let references: u64 = ["fetches", "loads", "stores"]
        .map(|kind| number(&without, &format!("/references/{kind}")))
        .iter()
        .sum();
    assert!(number(&without, "/walks/walks") >= references);
    for level in ["l1", "l1i", "l1d", "l2"] {
        assert!(without["tlb"][level].is_null());
    }
    assert_parts_sum_to_totals(&without, "no TLB");
}

/// Two MiB of records whose order says nothing about their value.
fn records() -> Vec<u64> {
    let step = |n: u64| n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    std::iter::successors(Some(1), |&n| Some(step(n))).take(1 << 18).collect()
}

#[test]
fn a_file_larger_than_the_ram_is_sorted() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let mut records = records();
    let bytes: Vec<u8> = records.iter().flat_map(|record| record.to_le_bytes()).collect();
    fs::write(file("in"), bytes).unwrap();
    let root = directory.path().display().to_string();
    let swap = format!("{}:16MiB", file("swap").display());
    let options = ["--ram", "512KiB", "--root", &root, "--swap", &swap];
    let (done, report) = report(&options, &[&guest("extsort"), "/in", "/out"]);
    assert_eq!(done.status, 0, "{done:?}");

    records.sort_unstable();
    let sorted: Vec<u8> = records.iter().flat_map(|record| record.to_le_bytes()).collect();
    assert!(fs::read(file("out")).unwrap() == sorted, "the output is not the sorted input");
    assert_parts_sum_to_totals(&report, "extsort");
    let pages = (sorted.len() / 4096) as u64;
    assert!(number(&report, "/swap/pages_out") >= pages - 128, "the area does not fit into RAM");
    assert!(number(&report, "/files/pages_in") >= pages, "the input was mapped and read");
    let causes = report["faults"]["by_cause"].as_object().expect("an object");
    let resolved: u64 = causes.values().filter_map(Value::as_u64).sum();
    assert_eq!(resolved, number(&report, "/counters/pgfault"), "every fault was resolved");
    assert!(file("swap").exists(), "a named swap file stays");
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let run = || {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).display().to_string();
        let (json, events) = (file("report.json"), file("events.ndjson"));
        let path = guest("randaccess");
        let options = ["run", "-q", "--ram=1MiB", "--policy=random", "--json", &json];
        let words = [&options, ["--events", &events, &path, "2", "1000"].as_slice()].concat();
        assert_eq!(pagewalk(words).status, 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else is left");
        (fs::read(json).unwrap(), fs::read_to_string(events).unwrap())
    };
    let (report, events) = run();
    assert_eq!(run(), (report, events.clone()));
    assert!(events.lines().count() > 512, "more pages than RAM, an event for each fault");
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event.is_object(), "{line}");
    }
}

#[test]
fn the_json_has_what_the_schema_promises() {
    let (done, report) = report(&["--seed", "7"], &[&guest("hello"), "x"]);
    assert_eq!(done.status, 0);
    assert_eq!(number(&report, "/schema_version"), 1);
    assert_eq!(number(&report, "/exit/code"), 0);
    assert_eq!(report["command"], serde_json::json!([guest("hello"), "x"]));
    assert_eq!(number(&report, "/machine/seed"), 7);
    assert!(number(&report, "/instructions") > 100);
    assert!(number(&report, "/cycles") > number(&report, "/instructions"));
    for name in ["pgfault", "pgmajfault", "pswpin", "pswpout"] {
        number(&report, &format!("/counters/{name}"));
    }
    assert!(number(&report, "/tlb/l1i/lookups") > 0);
}

#[test]
fn output_goes_to_stdout_and_the_report_to_stderr() {
    let hello = guest("hello");
    let done = pagewalk(["run", &hello]);
    assert_eq!(done.stdout.lines().next(), Some("Hello from a page near you."));
    assert!(done.stderr.contains("Ended         exit code 0"), "{}", done.stderr);
    assert!(done.stderr.contains("Instructions"), "{}", done.stderr);
    assert!(!done.stderr.contains('\u{1b}'), "no colours for a pipe");

    let quiet = pagewalk(["run", "--quiet", &hello]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (done.stdout.clone(), ""));

    let json = pagewalk(["run", "--quiet", "--json", "-", &hello]);
    let document = json.stdout.strip_prefix(&done.stdout).expect("the program's output is first");
    assert_eq!(number(&serde_json::from_str(document).unwrap(), "/exit/code"), 0);
}

#[test]
fn a_killed_program_is_told_with_its_reason() {
    let done = pagewalk(["run", &guest("nullderef")]);
    assert_eq!(done.status, 1);
    assert_eq!(done.stdout, "about to dereference null\n");
    assert!(done.stderr.contains("killed by SIGSEGV, exit code 139"), "{}", done.stderr);
}

#[test]
fn the_budget_of_instructions_ends_a_run() {
    let options = ["--max-instructions", "100k"];
    let (done, report) = report(&options, &[&guest("sieve"), "1000000"]);
    assert_eq!(done.status, 0, "it was stopped as asked");
    assert_eq!(number(&report, "/instructions"), 100_000);
    assert!(report["exit"]["reason"].as_str().unwrap().contains("100000"), "{report}");
}

#[test]
fn without_memory_and_swap_the_program_is_killed() {
    let options = ["--ram", "1MiB", "--swap", "none"];
    let (done, report) = report(&options, &[&guest("randaccess"), "4", "1000"]);
    assert_eq!(done.status, 1);
    assert_eq!(number(&report, "/exit/code"), 137, "{report}");
    assert_eq!(report["exit"]["signal"], "SIGKILL");
    assert!(report["exit"]["reason"].as_str().unwrap().contains("out of memory"), "{report}");
}

#[test]
fn results_that_cannot_be_written_fail_the_run() {
    if !cfg!(target_os = "linux") {
        return;
    }
    for option in ["--json", "--events"] {
        let done = pagewalk(["run", "--quiet", option, "/dev/full", &guest("hello")]);
        assert_eq!(done.status, 1, "{done:?}");
        assert!(done.stderr.contains("/dev/full: not written"), "{done:?}");
    }
}

/// Ctrl-C, and a polite request to end, stop the program; its report still comes.
#[cfg(unix)]
#[test]
fn an_interrupted_run_is_reported() {
    use std::process::Command;
    use std::thread::sleep;
    use std::time::Duration;

    for signal in ["-INT", "-TERM"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagewalk"));
        command.current_dir(repository()).args(["run", &guest("nbody"), "1000000000"]);
        let done = common::finish(&mut command, |child| {
            sleep(Duration::from_millis(500));
            // The shell's own `kill`: the program of that name is not everywhere.
            let kill = format!("kill {signal} {}", child.id());
            let kill = Command::new("sh").args(["-c", &kill]).status();
            assert!(kill.expect("kill starts").success());
        });
        assert_eq!(done.status, 1, "{done:?}");
        assert!(done.stderr.contains("interrupted"), "{done:?}");
        assert!(done.stderr.contains("Instructions"), "{done:?}");
    }
}
