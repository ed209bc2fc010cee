//! `quiz` and `grade` as they are typed.

mod common;

use std::fs;

use common::{pagewalk, repository};

fn shown(words: &[&str]) -> String {
    let done = pagewalk(words);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{words:?}");
    done.stdout
}

fn refused(words: &[&str], told: &[&str]) {
    let done = pagewalk(words);
    assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{words:?}: {}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    for part in told {
        assert!(done.stderr.contains(part), "{words:?}: {}", done.stderr);
    }
}

#[test]
fn topics_are_listed() {
    let list = shown(&["quiz"]);
    for topic in ["base-bounds", "linear", "swap-cache", "ostep"] {
        assert!(list.lines().any(|line| line.starts_with(topic)), "{list}");
    }
}

#[test]
fn options_stand_before_and_behind_the_topic() {
    let expected = shown(&["quiz", "--seed", "3", "--answers", "linear"]);
    assert_eq!(shown(&["quiz", "linear", "--answers", "--seed=3"]), expected);
    let expected = shown(&["quiz", "ostep:relocation", "-s", "1", "-n", "2", "-c", "--json"]);
    assert!(expected.contains("\"answer\": \"0x"), "{expected}");
    let words = ["quiz", "--seed", "1", "--json", "--answers", "ostep:relocation", "-n2"];
    assert_eq!(shown(&words), expected);
}

#[test]
fn wrong_usage_is_told() {
    refused(&["quiz", "lineal"], &["no topic", "base-bounds", "ostep"]);
    refused(&["quiz", "linear:x"], &["decimal, binary"]);
    refused(&["quiz", "linear", "-n", "3"], &["-n", "OSTEP"]);
    refused(&["quiz", "linear", "--seed", "x"], &["--seed 'x'", "whole number"]);
    refused(&["quiz", "linear", "--json", "--html"], &["one of --json"]);
    refused(&["quiz", "ostep:policy", "-p", "NEXT"], &["FIFO, LRU"]);
    refused(&["quiz", "ostep:policy", "-f", "/no/such/file"], &["/no/such/file"]);
    refused(&["grade", "/no/such/file"], &["/no/such/file"]);
    refused(&["grade", "ARCHITECTURE.md"], &["ARCHITECTURE.md", "line"]);
    refused(&["grade", "programs/bin/hello"], &["programs/bin/hello"]);
}

#[test]
fn answers_are_graded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("answers.json");
    let path = file.to_str().unwrap();
    fs::write(&file, shown(&["quiz", "tlb", "--seed", "5", "--json", "--answers"])).unwrap();
    assert!(shown(&["grade", path]).ends_with("34 of 34 right (tlb, seed 5)\n"));
    fs::write(&file, shown(&["quiz", "tlb", "--seed", "5", "--json"])).unwrap();
    let done = pagewalk(["grade", "--json", path]);
    assert_eq!((done.status, done.stderr.as_str()), (1, ""));
    let grade: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&grade["right"], &grade["of"]), (&0.into(), &34.into()));
}

#[test]
fn addresses_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("addresses");
    fs::write(&file, "1\n2\n3\n1\n").unwrap();
    let words = ["quiz", "ostep:policy", "-f", file.to_str().unwrap(), "-c"];
    assert_eq!(shown(&words), shown(&["quiz", "ostep:policy", "-a", "1,2,3,1", "-c"]));
}

/// A page to print has nothing to load, and no tag is left open.
#[test]
fn pages_are_complete() {
    let page = shown(&["quiz", "processor:x86-64", "--html", "--answers"]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    for foreign in ["http", "src=", "href=", "<script", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for tag in ["table", "tr", "td", "th", "ol", "ul", "li", "dl", "dt", "dd", "section", "p"] {
        let opened = page.matches(&format!("<{tag}>")).count();
        let opened = opened + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

/// `docs/exercises.md` shows what the commands beside it print.
#[test]
fn the_documentation_is_what_comes_out() {
    let text = fs::read_to_string(repository().join("docs/exercises.md")).unwrap();
    let mut checked = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (command, expected) = block.split_once('\n').unwrap();
        let words = command.strip_prefix("$ pagewalk ").expect("a command");
        let done = pagewalk(words.split(' '));
        assert_eq!(done.stdout, expected, "{command}: {}", done.stderr);
        checked += 1;
    }
    assert!(checked >= 6);
    // Every topic is in the table.
    let list = shown(&["quiz"]);
    for topic in list.lines().filter(|line| !line.starts_with(' ')) {
        let name = topic.split(' ').next().unwrap();
        assert!(text.contains(&format!("| `{name}` |")), "{name} is not in docs/exercises.md");
    }
}
