//! `pagewalk policies`, and `--policy` with parameters.

mod common;

use common::{guest, number, pagewalk, report};
use serde_json::Value;

const NAMES: [&str; 18] = [
    "clock",
    "fifo",
    "random",
    "second-chance",
    "gclock",
    "nru",
    "aging",
    "freebsd",
    "freebsd-laundry",
    "linux",
    "car",
    "clock-pro",
    "lirs-scan",
    "ws",
    "wsclock",
    "pff",
    "vms",
    "mglru",
];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_list_says_what_each_policy_is() {
    let list = pagewalk(["policies"]);
    assert_eq!((list.status, list.stderr.as_str()), (0, ""));
    assert!(list.stdout.lines().all(|line| line.chars().count() <= 100));
    let items = json(&pagewalk(["policies", "--json", "-"]).stdout);
    let items = items.as_array().expect("a list");
    for name in NAMES {
        assert!(list.stdout.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
        let item = items.iter().find(|item| item["name"] == name).expect(name);
        for field in ["idea", "weakness", "source"] {
            assert!(item[field].as_str().is_some_and(|text| text.len() > 3), "{name}: {field}");
        }
    }
    assert!(list.stdout.contains("tau=1..; default ws:tau=10000000"), "{}", list.stdout);
}

#[test]
fn all_policies_run_one_program_side_by_side() {
    let program = [guest("randaccess"), "1".into(), "3000".into()];
    let words = |more: &[&str]| {
        let options = ["policies", "-q", "--ram=256KiB"].iter().chain(more).map(|w| w.to_string());
        options.chain(program.clone()).collect::<Vec<String>>()
    };
    let table = pagewalk(words(&[]));
    assert_eq!((table.status, table.stderr.as_str()), (0, ""), "{}", table.stdout);
    assert!(table.stdout.lines().all(|line| line.chars().count() <= 100), "{}", table.stdout);
    assert!(table.stdout.contains("is the same in all"), "{}", table.stdout);
    let comparison = json(&pagewalk(words(&["--json=-"])).stdout);
    assert_eq!(comparison["same_output"], true);
    let runs = comparison["runs"].as_array().expect("runs");
    for name in NAMES {
        assert!(table.stdout.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
        let run = runs.iter().find(|run| run["policy"] == name).expect(name);
        assert!(number(run, "/replacement/steals") > 0, "{name}");
        assert!(number(run, "/faults") >= number(run, "/major_faults"), "{name}");
        let options = ["--ram=256KiB", "--policy", name];
        let (done, alone) = report(&options, &[&program[0], &program[1], &program[2]]);
        assert_eq!(done.status, 0, "{name}");
        assert_eq!(alone["replacement"], run["replacement"], "{name}: as in a run of its own");
        assert_eq!(number(&alone, "/cycles"), number(run, "/cycles"), "{name}");
    }
}

#[test]
fn parameters_are_taken_and_shown() {
    let guest = guest("randaccess");
    let program = [&*guest, "1", "3000"];
    let refaults = |policy: &str| {
        let (done, report) = report(&["--ram=256KiB", "--policy", policy], &program);
        assert_eq!(done.status, 0, "{policy}");
        (report["replacement"]["policy"].clone(), number(&report, "/replacement/scans"))
    };
    let (one, few) = refaults("gclock:bits=1");
    let (eight, many) = refaults("gclock:bits=8");
    assert_eq!((one, eight), ("gclock:bits=1".into(), "gclock:bits=8".into()));
    assert_ne!(few, many, "the width of a counter makes a difference");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let hello = guest("hello");
    let cases: [(&[&str], &[&str]); 9] = [
        (&["run", "--policy", "lru2"], &["lru2", "clock", "mglru"]),
        (&["run", "--policy", "gclock:bits=9"], &["bits=9", "bits=1..8"]),
        (&["run", "--policy", "vms:secondary=0"], &["secondary=0", "secondary=1..100"]),
        (&["run", "--policy", "clock:bits=2"], &["clock", "no parameters"]),
        (&["run", "--policy", "ws:tau"], &["'tau'", "tau=1.."]),
        (&["run", "--policy", "nru:pick=best"], &["pick=best", "random|first"]),
        (&["run", "--harvest", "0"], &["--harvest", "at least 1"]),
        (&["policies", "--policy", "fifo"], &["--policy", "leave it out"]),
        (&["policies", "--mmu", "base-bounds"], &["base-bounds", "pages"]),
    ];
    for (words, fragments) in cases {
        let done = pagewalk([words, &[&*hello]].concat());
        assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{words:?}: {}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{words:?}: {}", done.stderr);
        for fragment in fragments {
            assert!(done.stderr.contains(fragment), "{words:?}: {}", done.stderr);
        }
    }
}
