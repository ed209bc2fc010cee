//! Ideal policies, the gap to OPT and sizes over time, as a user asks for them.

mod common;

use std::fs;
use std::path::Path;

use common::{Done, guest, number, pagewalk, report};

/// A root directory with a file to sort in less memory than it takes.
fn root() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut state = 7_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        state.to_le_bytes()
    })
    .take(40_000)
    .flatten()
    .collect();
    fs::write(directory.path().join("in"), bytes).expect("an input file");
    directory
}

/// Sorts in 384 KiB, and gives the report and what was written.
fn sort(options: &[&str], root: &Path) -> (serde_json::Value, Vec<u8>) {
    let place = format!("--root={}", root.display());
    let extsort = guest("extsort");
    let options = [&["--ram=384KiB", "--audit", &place], options].concat();
    let (done, report) = report(&options, &[&extsort, "/in", "/out"]);
    assert_eq!(done.status, 0, "{options:?}: {}", done.stderr);
    (report, fs::read(root.join("out")).expect("the program's output"))
}

#[test]
fn opt_is_run_in_two_runs_and_beats_the_others() {
    let root = root();
    let (clock, expected) = sort(&["--gap"], root.path());
    assert!(clock.pointer("/foresight").is_some_and(serde_json::Value::is_null));
    let (lru, output) = sort(&["--gap", "--policy=lru,ideal"], root.path());
    assert_eq!(output, expected);
    // The first run leaves the root as it is: its output is gone, and the second writes it anew.
    fs::remove_file(root.path().join("out")).expect("the output");
    let (opt, output) = sort(&["--gap", "--policy=opt"], root.path());
    assert_eq!(output, expected);
    assert!(opt["foresight"]["apart_at"].is_null(), "{}", opt["foresight"]);
    for other in [&clock, &lru] {
        let refaults = |report| number(report, "/opt/refaults");
        assert!(refaults(&opt) < refaults(other), "{} {}", opt["opt"], other["opt"]);
        assert!(other["opt"]["gap"].as_f64().expect("a ratio") > 1.1);
        assert_eq!(number(&opt, "/opt/pages"), number(other, "/opt/pages"));
    }
    assert!(opt["opt"]["gap"].as_f64().expect("a ratio") < 1.1, "{}", opt["opt"]);
}

#[test]
fn equal_runs_with_opt_are_equal() {
    let root = root();
    let runs = [(); 2].map(|()| {
        fs::remove_file(root.path().join("out")).ok();
        sort(&["--gap", "--policy=opt"], root.path()).0.to_string()
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn all_policies_are_compared_with_opt() {
    let root = root();
    let place = format!("--root={}", root.path().display());
    let extsort = guest("extsort");
    let words = ["policies", "--gap", "--json=-", "--ram=384KiB", &place, &extsort, "/in", "/out"];
    let Done { status, stdout, stderr } = pagewalk(words);
    assert_eq!(status, 0, "{stderr}");
    let comparison: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(comparison["same_output"], true);
    let runs = comparison["runs"].as_array().expect("runs");
    let figures = runs.iter().map(|run| {
        let gap = run["opt"]["gap"].as_f64().unwrap_or_else(|| panic!("no gap: {run}"));
        (run["policy"].as_str().expect("a name"), number(run, "/opt/refaults"), gap)
    });
    let figures: Vec<_> = figures.collect();
    for name in ["clock", "linux", "freebsd", "mglru", "lru,ideal", "opt"] {
        assert!(figures.iter().any(|figure| figure.0 == name), "{name}: {figures:?}");
    }
    let (_, best, _) = figures.iter().find(|figure| figure.0 == "opt").expect("a run with OPT");
    assert!(
        figures.iter().all(|&(_, refaults, gap)| gap >= 1.0 && refaults >= *best),
        "{figures:?}"
    );
}

/// The gap is in the text where it was asked for, and only there.
#[test]
fn the_text_names_the_gap() {
    let root = root();
    let place = format!("--root={}", root.path().display());
    let extsort = guest("extsort");
    let words = ["run", "--ram=384KiB", "--gap", "--policy=opt", &place, &extsort, "/in", "/out"];
    let Done { status, stderr, .. } = pagewalk(words);
    assert_eq!(status, 0, "{stderr}");
    for line in ["Gap to OPT", "refaults", "Second run", "other than in the first"] {
        assert!(stderr.contains(line), "{line}: {stderr}");
    }
    let words = ["run", "--ram=384KiB", &place, &extsort, "/in", "/out"];
    assert!(!pagewalk(words).stderr.contains("Gap to OPT"));
}

#[test]
fn sizes_are_rows_at_equal_steps() {
    let root = root();
    let sizes = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| sizes.path().join(name).display().to_string();
    let [csv, lines] = ["a.csv", "a.jsonl"].map(file);
    for file in [&csv, &lines] {
        let option = format!("--sizes={file}");
        sort(&[&option, "--sizes-step=50k", "--tau", "200k"], root.path());
    }
    let csv = fs::read_to_string(csv).expect("rows");
    let mut rows = csv.lines();
    let names: Vec<&str> = rows.next().expect("a header").split(',').collect();
    assert_eq!(names[..4], ["process", "time", "working_set", "resident_set"]);
    let rows: Vec<Vec<u64>> = rows
        .map(|row| row.split(',').map(|cell| cell.parse().expect("a number")).collect())
        .collect();
    let (last, even) = rows.split_last().expect("rows");
    assert!(even.len() > 10);
    for (n, row) in even.iter().enumerate() {
        assert_eq!(row[1], 50_000 * (n as u64 + 1));
        assert!(row[2] > 0 && row[3] > 0 && row[3] < 96, "{row:?}");
    }
    assert!(last[1] > even[even.len() - 1][1]);
    let lines = fs::read_to_string(lines).expect("rows");
    let objects = lines.lines().map(|line| {
        let object: serde_json::Value = serde_json::from_str(line).expect("an object");
        names.iter().map(|&name| number(&object, &format!("/{name}"))).collect::<Vec<_>>()
    });
    assert_eq!(objects.collect::<Vec<_>>(), rows);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |options: &[&str], fragment: &str| {
        let hello = guest("hello");
        let done = pagewalk([&["run"], options, &[hello.as_str()]].concat());
        assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{options:?}: {}", done.stderr);
        assert!(done.stderr.contains(fragment), "{options:?}: {}", done.stderr);
    };
    refused(&["--gap", "--mmu=segments"], "there are no pages");
    refused(&["--sizes=x.csv", "--mmu=none"], "there are no pages");
    refused(&["--sizes=-"], "give a file");
    refused(&["--sizes=/no/such/directory/x"], "/no/such/directory/x");
    refused(&["--sizes=x", "--json=x"], "give two files");
    refused(&["--sizes=x", "--tau=0"], "give at least 1");
    refused(&["--sizes=x", "--sizes-step=often"], "often");
    refused(&["--tau=5"], "--sizes");
    refused(&["--policy=lru"], "lru,ideal");
}
