//! Ordinary C programs, linked with glibc, do here what they do under `qemu-riscv64`: the same
//! output, the same messages, the same end.
//!
//! Each program beside this file runs in a directory of its own, once under either. What it prints
//! must not depend on addresses, time or chance. Then some run again, built otherwise, on other MMUs
//! and in little RAM: none of that may show.

#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod outcome;
mod toolchain;

use outcome::{Case, compare};
use pagewalk_mmu::radix::{Format, Radix};
use toolchain::{Build, Toolchain};

const NUMBERS: &str = "one 1.5\ntwo -2.25e3\nthree 0x1.8p4\nfour inf\n";
const TEXT: &str = "hello, this is standard input\n";

/// Builds the program and compares both sides of each case.
fn check(program: &str, build: Build, cases: &[Case]) {
    let Some(toolchain) = Toolchain::find() else { return };
    let executable = toolchain.build(program, build);
    for case in cases {
        compare(&toolchain, &executable, case);
    }
}

/// [`check`] of one case on several machines.
fn check_on(machines: &[&[&str]], program: &str, build: Build, case: Case<'_>) {
    let cases: Vec<Case> = machines.iter().map(|machine| case.machine(machine)).collect();
    check(program, build, &cases);
}

#[test]
fn formats() {
    check("formats", Build::Static, &[Case::new().input(NUMBERS), Case::new()]);
}

#[test]
fn heap() {
    check("heap", Build::Static, &[Case::new()]);
}

#[test]
fn mathematics() {
    check("mathematics", Build::Static, &[Case::new()]);
}

#[test]
fn strings() {
    check("strings", Build::Static, &[Case::new()]);
}

#[test]
fn arithmetic() {
    check("arithmetic", Build::Static, &[Case::new()]);
}

#[test]
fn files() {
    check("files", Build::Static, &[Case::new()]);
}

#[test]
fn memory() {
    check("memory", Build::Static, &[Case::new().input(TEXT)]);
}

#[test]
fn signals() {
    check("signals", Build::Static, &[Case::new()]);
}

#[test]
fn events() {
    check("events", Build::Static, &[Case::new()]);
}

#[test]
fn sysv() {
    check("sysv", Build::Static, &[Case::new()]);
}

#[test]
fn sockets() {
    check("sockets", Build::Static, &[Case::new()]);
}

#[test]
fn timers() {
    check("timers", Build::Static, &[Case::new()]);
}

#[test]
fn attributes() {
    check("attributes", Build::Static, &[Case::new()]);
}

#[test]
fn control() {
    check("control", Build::Static, &[Case::new(), Case::new().args(&["1000"])]);
}

#[test]
fn system() {
    check("system", Build::Static, &[Case::new().input(TEXT)]);
}

#[test]
fn times() {
    check("times", Build::Static, &[Case::new()]);
}

#[test]
fn environment() {
    let env = ["GIVEN=by the caller", "EMPTY=", "ODD= a=b "];
    let args = ["-v", "first", "", "--output=file", "two words", "-x", "--", "-last"];
    let long = "x".repeat(5000);
    let long_args = [long.as_str(); 5];
    let long = format!("LONG={long}");
    let long_env = [long.as_str()];
    let cases = [
        Case::new(),
        Case::new().env(&env).args(&args),
        Case::new().env(&long_env).args(&long_args),
    ];
    check("environment", Build::Static, &cases);
}

#[test]
fn endings() {
    let ways = [
        "return",
        "_exit",
        "negative",
        "quick",
        "abort",
        "lost",
        "assert",
        "null",
        "text",
        "overflow",
        "illegal",
        "breakpoint",
        "terminate",
        "kill",
        "user",
        "double-free",
        "blocked",
        "ignored",
        "abort-handled",
        "bus",
        "pipe",
    ];
    let cases: Vec<Case> = ways.chunks(1).map(|way| Case::new().args(way)).collect();
    check("ending", Build::Static, &cases);
}

#[test]
fn position_independent() {
    for (program, input) in
        [("formats", NUMBERS), ("heap", ""), ("control", ""), ("signals", ""), ("system", TEXT)]
    {
        check(program, Build::StaticPie, &[Case::new().input(input)]);
    }
}

#[test]
fn bit_manipulation_instructions() {
    for program in ["arithmetic", "strings", "heap", "mathematics"] {
        check(program, Build::BitManipulation, &[Case::new()]);
    }
}

#[test]
fn little_memory() {
    let machines = [["--ram", "512KiB"].as_slice(), &["--ram", "1MiB"]];
    check_on(&machines, "heap", Build::Static, Case::new().args(&["10000", "3000"]));
    check_on(&machines, "formats", Build::Static, Case::new().input(NUMBERS));
    check_on(&machines, "memory", Build::Static, Case::new().input(TEXT));
    for program in ["files", "signals", "control", "strings"] {
        check_on(&machines, program, Build::Static, Case::new());
    }
}

#[test]
fn every_mmu() {
    let base_page =
        |mmu: &str| Format::by_name(mmu).expect("a name in NAMES").geometry().base_page().bytes();
    // The kernel takes more RAM of larger pages.
    let ram = |mmu: &str| if base_page(mmu) > 16 << 10 { "2MiB" } else { "1MiB" };
    let machines: Vec<_> =
        Format::NAMES.iter().map(|mmu| ["--ram", ram(mmu), "--mmu", mmu]).collect();
    let machines: Vec<_> = machines.iter().map(<[&str; 4]>::as_slice).collect();
    check_on(&machines, "heap", Build::Static, Case::new().args(&["10000", "3000"]));
    check_on(&machines, "control", Build::StaticPie, Case::new());
    // These count in pages, and the emulator's have 4 KiB.
    let alike: Vec<_> =
        machines.iter().copied().filter(|machine| base_page(machine[3]) == 4 << 10).collect();
    check_on(&alike, "memory", Build::Static, Case::new().input(TEXT));
    // IA-32 without PAE cannot forbid execution.
    check_on(&alike, "signals", Build::Static, Case::new().args(&["no jump to data"]));
}

#[test]
fn other_tlbs_and_policies() {
    let machines = [
        ["--ram", "768KiB", "--tlb", "none", "--policy", "clock"].as_slice(),
        &["--ram", "768KiB", "--tlb", "4", "--policy", "fifo"],
        &["--ram", "768KiB", "--tlb", "l1=1x1", "--policy", "random"],
    ];
    check_on(&machines, "formats", Build::Static, Case::new().input(NUMBERS));
    check_on(&machines, "memory", Build::Static, Case::new().input(TEXT));
    check_on(&machines, "signals", Build::Static, Case::new());
}
