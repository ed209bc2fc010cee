//! Threads that wait for devices while others run, and processes that are swapped out as a whole: what
//! programs print does not depend on it, the system is as it must be after every step, and the
//! processor is used the better for it.

mod common;

use common::{guest, number, pagewalk, report, words};
use serde_json::Value;

const ASYNC: [&str; 2] = ["--io", "async"];

/// Programs of several processes or threads, with RAM that is too small for them on tables of the
/// given kind, and what they print.
const PROGRAMS: [(&str, &[&str], &str); 4] = [
    ("jobs", &["5", "96", "3", "100"], "448KiB"),
    ("fork-snapshot", &["512", "2", "snapshot"], "768KiB"),
    ("cowstorm", &["4", "128"], "512KiB"),
    ("threads", &["3", "3"], "256KiB"),
];

fn run(options: &[&str], name: &str, args: &[&str]) -> (String, Value) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let root_option = format!("--root={}", root.path().display());
    let (done, report) = report(&[options, &[&root_option]].concat(), &words(&guest(name), args));
    assert_eq!(done.status, 0, "{name} {options:?}: {done:?}");
    (done.stdout, report)
}

#[test]
fn what_programs_print_does_not_depend_on_who_waits() {
    for (name, args, ram) in PROGRAMS {
        let (expected, _) = run(&[], name, args);
        for mmu in ["sv39", "ia32", "r3000"] {
            let mut options = vec!["--ram", ram, "--mmu", mmu, "--audit"];
            options.extend(ASYNC);
            for more in [&[][..], &["--harts", "3"], &["--load-control"], &["--read-ahead", "8"]] {
                let options = [&options, more].concat();
                assert_eq!(run(&options, name, args).0, expected, "{options:?}");
            }
        }
    }
}

#[test]
fn the_fast_path_waits_as_the_plain_one() {
    for (name, args, ram) in PROGRAMS {
        for harts in ["1", "3"] {
            let options = ["--ram", ram, "--io", "async", "--load-control", "--harts", harts];
            let (_, mut fast) = run(&options, name, args);
            let (_, plain) = run(&[&options[..], &["--slow"]].concat(), name, args);
            fast["machine"]["slow"] = true.into();
            assert_eq!(fast, plain, "{name} on {harts} harts");
        }
    }
}

#[test]
fn others_run_while_one_waits() {
    let jobs = |options: &[&str]| {
        run(&[&["--ram", "448KiB"], options].concat(), "jobs", &["5", "96", "6"])
    };
    let (_, by_harts) = jobs(&[]);
    let (_, by_threads) = jobs(&ASYNC);
    assert_eq!(by_harts["pressure"], Value::Null);
    let part = |report: &Value, name| number(report, &format!("/cycle_parts/{name}"));
    assert!(number(&by_threads, "/cycles") < number(&by_harts, "/cycles"));
    assert!(
        part(&by_threads, "disk") < part(&by_harts, "disk") / 4,
        "most reads are not waited for"
    );
    let [some, full] =
        ["some", "full"].map(|n| number(&by_threads, &format!("/pressure/{n}_cycles")));
    assert!(full > 0 && full < some && some < number(&by_threads, "/cycles"), "{full} {some}");
}

#[test]
fn load_control_keeps_a_system_from_thrashing() {
    let done = pagewalk(["thrash", "--processes", "8", "--rounds", "12", "-q", "--json", "-"]);
    assert_eq!(done.status, 0, "{done:?}");
    let curve: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let points = curve["points"].as_array().expect("points");
    let percent = |point: &Value, side: &str| {
        let of = |what| number(point, &format!("/{side}/{what}"));
        of("useful_cycles") * 100 / of("cycles")
    };
    let without: Vec<u64> = points.iter().map(|point| percent(point, "without")).collect();
    let with: Vec<u64> = points.iter().map(|point| percent(point, "with")).collect();
    // One waits half of the time; three use the processor; eight do nothing but page.
    assert!(without[2] > 2 * without[0], "{without:?}");
    assert!(without[7] * 5 < without[2], "{without:?}");
    assert_eq!(with[..3], without[..3], "nobody is swapped out as long as memory is enough");
    assert!(with[7] > 3 * without[7], "{with:?}, without {without:?}");
    let swapped = |point: &Value| number(point, "/with/swapped_out");
    assert!(swapped(&points[0]) == 0 && swapped(&points[7]) > 0);
    assert_eq!(number(&points[7], "/without/swapped_out"), 0);
}

#[test]
fn wrong_options_are_refused() {
    for (words, problem) in [
        (&["thrash", "--processes", "0"][..], "--processes '0': give a number from 1 to 256"),
        (&["thrash", "--kib", "x"], "--kib 'x': give a number from 4 to 1048576"),
        (&["thrash", "--rounds", "0"], "--rounds '0'"),
        (&["run", "--mmu", "none", "--io", "async", "programs/bin/hello"], "--io 'async'"),
        (
            &["run", "--mmu", "none", "--scope", "process", "programs/bin/hello"],
            "--scope 'process'",
        ),
        (&["thrash", "--ram", "1"], "--ram '1'"),
        (&["thrash", "--policy", "best"], "--policy"),
        (&["run", "--load-control", "programs/bin/jobs"], "--load-control: needs --io async"),
        (&["run", "--io", "later", "programs/bin/jobs"], "--io"),
    ] {
        let done = pagewalk(words);
        assert_eq!(done.status, 2, "{words:?}: {done:?}");
        assert!(done.stderr.contains(problem), "{words:?}: {}", done.stderr);
    }
}
