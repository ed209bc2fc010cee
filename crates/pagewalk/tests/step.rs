//! `pagewalk step` without a terminal: commands, JSON, and what it refuses.

mod common;

use std::fs;

use common::{Done, pagewalk};
use serde_json::Value;

fn step(words: &[&str]) -> Done {
    pagewalk([&["step"], words].concat())
}

/// A directory with a file to sort that is larger than memory.
fn input() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut state = 1u64;
    let records = (0..32 * 1024).flat_map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()
    });
    fs::write(root.path().join("in"), records.collect::<Vec<_>>()).expect("an input file");
    root
}

/// The number behind a word of a text.
fn number(text: &str, word: &str) -> u64 {
    let behind = text.split(word).nth(1).unwrap_or_else(|| panic!("no '{word}' in {text}"));
    let digits: String = behind.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind '{word}' in {text}"))
}

/// The number of an address behind a word.
fn address(text: &str, word: &str) -> u64 {
    let behind = text.split(word).nth(1).unwrap_or_else(|| panic!("no '{word}' in {text}"));
    let digits: String =
        behind.trim_start_matches("0x").chars().take_while(char::is_ascii_hexdigit).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("no address in {text}"))
}

/// Break at the first swap-in, step back to the eviction that caused it.
#[test]
fn the_eviction_that_caused_the_first_swap_in_of_a_sort() {
    let root = input();
    let root_option = root.path().to_str().expect("a path of text");
    let line = |commands| {
        let options = ["--ram", "256KiB", "--root", root_option, "--do", commands];
        step(&[&options[..], &["programs/bin/extsort", "/in", "/out"]].concat())
    };
    let done = line("run swap-in; cause; state");
    assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{done:?}");
    let mut parts = done.stdout.split("swap-in of slot ");
    let (swap_in, cause) = (parts.next().unwrap(), parts.next().expect("a cause"));
    let slot = number(swap_in, "is read from slot");
    assert_eq!(number(cause, "written to slot"), slot, "{cause}");
    assert_eq!(address(swap_in, "Page 0x"), address(cause, "Page 0x"), "{cause}");
    let places = [number(swap_in, "instruction "), number(cause, "instruction ")];
    assert!(places[1] < places[0], "{places:?}");
    for title in ["Code", "Registers", "Page table", "Frames", "TLB", "Swap", "Counters"] {
        assert!(cause.contains(&format!("\n{title}\n")), "no {title} in {cause}");
    }
    // Back and there again.
    let again = line("run swap-in; cause; run swap-in; what");
    let last = again.stdout.lines().rfind(|line| line.contains("[swap-in]")).expect("the swap-in");
    assert!(swap_in.contains(last), "{}", again.stdout);
    assert!(!root.path().join("out").exists(), "the user's directory stays as it is");
}

#[test]
fn a_scenario_forwards_and_backwards() {
    let there = step(&["--do", "step event 5; what", "copy-on-write"]);
    assert_eq!((there.status, there.stderr.as_str()), (0, ""));
    let back = step(&["--do", "end; start; step event 9; back event 4; what", "copy-on-write"]);
    let last = |done: &Done| {
        let place = done.stdout.lines().rfind(|line| line.starts_with("step "));
        place.expect("a place").to_owned()
    };
    assert_eq!(last(&there), last(&back));
    assert!(there.stdout.contains(" of "), "{}", there.stdout);
}

#[test]
fn the_state_is_json() {
    let done = step(&["--json", "-", "--at", "100.2", "programs/bin/hello"]);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    let state: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(state["step"], 100 * 65_536 + 2);
    assert_eq!(state["instructions"], 100);
    assert_eq!(state["processes"][0]["name"], "hello");
    let other = step(&["--do", "end; go 100; step reference 2; json", "programs/bin/hello"]);
    assert!(other.stdout.ends_with(&done.stdout), "{}", other.stdout);
}

#[test]
fn what_is_wrong_is_said() {
    for (words, status, said) in [
        (&["programs/bin/hello"][..], 2, "--do 'COMMANDS'"),
        (&["--do", "what", "programs/bin/none"], 2, "programs/bin/none"),
        (&["--do", "what", "none.toml"], 2, "none.toml"),
        (&["--do", "what", "--at", "9G", "programs/bin/hello"], 2, "the last is"),
        (&["--do", "what", "--at", "x", "copy-on-write"], 2, "whole number"),
        (&["--do", "what", "--gap", "programs/bin/hello"], 2, "pagewalk run"),
        (&["--do", "what", "--memory", "x", "programs/bin/hello"], 2, "64K"),
        (&["--do", "what", "--policy", "opt", "programs/bin/hello"], 2, "real kernel"),
        (&["--do", "what", "--mmu", "x", "copy-on-write"], 2, "--mmu"),
    ] {
        let done = step(words);
        assert_eq!((done.status, done.stdout.as_str()), (status, ""), "{words:?}");
        assert!(done.stderr.contains(said), "{words:?}: {}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
    let done = step(&["--do", "step; fly; what", "programs/bin/hello"]);
    assert_eq!(done.status, 1);
    assert!(done.stdout.ends_with("fly: there is no such command; help lists them\n"));
}

#[test]
fn every_command_of_the_help_works() {
    let commands = "help; step reference 3; step access; step event; step fault; back; back fault; \
                    break store process=2; run; clear; run counter=pgfault:6; run-back fault; \
                    code; registers; regions; pages; frames; tlb; swap; queues; counters; output; \
                    processes; decimal; binary; hex; json; run exit; run; run-back; end; quit; fly";
    for line in [&["--ram", "1MiB", "programs/bin/hello"][..], &["copy-on-write"]] {
        let done = step(&[&["--do", commands][..], line].concat());
        assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{line:?}: {}", done.stdout);
    }
}
