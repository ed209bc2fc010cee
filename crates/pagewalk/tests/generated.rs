//! What the command generates from its own definition, and the documents that must agree with it.

mod common;

use std::fs;

use common::{number, pagewalk, report, repository};

fn generated(words: &[&str]) -> String {
    let done = pagewalk(words);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{words:?}");
    done.stdout
}

fn document(name: &str) -> String {
    let path = repository().join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn help_and_version_are_data() {
    assert_eq!(generated(&["--version"]).trim(), concat!("pagewalk ", env!("CARGO_PKG_VERSION")));
    assert!(generated(&["--help"]).contains("completions"));
    let help = generated(&["run", "--help"]);
    assert!(help.contains("--max-instructions"));
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = generated(&["completions", shell]);
        assert!(script.contains("max-instructions"), "{shell}");
    }
}

#[test]
fn manual_pages_are_roff() {
    let page = generated(&["man"]);
    assert!(page.contains(".TH pagewalk 1") && page.contains(".SH NAME"), "{page}");
    let page = generated(&["man", "run"]);
    assert!(page.contains(".TH pagewalk-run 1") && page.contains("max\\-instructions"), "{page}");
}

#[test]
fn the_schema_is_the_documented_one() {
    for (of, file) in [
        ("run", "report.schema.json"),
        ("policies", "policies.schema.json"),
        ("thrash", "thrash.schema.json"),
        ("step", "step.schema.json"),
        ("explain", "explain.schema.json"),
        ("quiz", "quiz.schema.json"),
        ("grade", "grade.schema.json"),
    ] {
        let words = ["schema", of];
        let is_same = document(file) == generated(&words);
        assert!(is_same, "docs/{file} is out of date: cargo run -- {}", words.join(" "));
    }
}

#[test]
fn every_cost_is_documented_with_its_default() {
    let text = document("cost-model.md");
    let model = serde_json::to_value(pagewalk_machine::CostModel::default()).unwrap();
    for (key, value) in model.as_object().unwrap() {
        let row = format!("| `{key}` | {value} |");
        assert!(text.contains(&row), "docs/cost-model.md has no row beginning with {row}");
    }
}

#[test]
fn every_counter_is_in_the_glossary() {
    let text = document("counters.md");
    let (_, report) = report(&["--ram", "1MiB"], &["programs/bin/randaccess", "2", "1000"]);
    assert!(number(&report, "/counters/pgfault") > 0);
    for name in report["counters"].as_object().unwrap().keys() {
        let row = format!("| `{name}` |");
        assert!(text.contains(&row), "docs/counters.md has no row beginning with {row}");
    }
}
