//! No sequence of system calls brings the host down: a program that calls everything, with arguments at
//! which kernels break, on several MMUs, in little memory, on several harts, audited.
//!
//! `guest.c` says what it does. However its processes end, the machine ends with its first, and
//! the audit holds.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::Command;

const MACHINES: [&[&str]; 6] = [
    &["--mmu", "sv39", "--ram", "1MiB", "--swap", "4MiB", "--audit"],
    &["--mmu", "x86-64", "--ram", "8MiB", "--harts", "2"],
    &["--mmu", "ia32", "--ram", "2MiB"],
    &["--mmu", "inverted", "--ram", "4MiB"],
    &["--mmu", "r3000", "--ram", "4MiB"],
    &["--mmu", "sv48", "--ram", "64MiB", "--huge", "always", "--harts", "2"],
];

/// Processes for each machine, each of which makes up to 80 calls.
const LIVES: usize = 60;

/// The program; `None`, and said so, without the compiler.
fn program() -> Option<PathBuf> {
    let options = ["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"];
    common::build("riscv64-linux-gnu-gcc", "wild_calls/guest.c", &options)
}

#[test]
fn calls_that_no_honest_program_makes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(program) = program() else { return };
    for (number, options) in MACHINES.into_iter().enumerate() {
        let root = dir.path().join(number.to_string());
        std::fs::create_dir(&root).expect("a directory");
        let (from, to) = (number * LIVES, (number + 1) * LIVES);
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagewalk"));
        command.args(["run", "--quiet", "--max-instructions", "2G"]).args(options);
        command.arg("--root").arg(&root).arg(&program);
        let output = command.args([from.to_string(), to.to_string()]).output();
        let output = output.expect("the command starts");
        let told = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{options:?} from {from}: {told}");
        assert!(said.ends_with(&format!("{LIVES} lives\n")), "{options:?}: {said}");
        assert!(!told.contains("the audit failed"), "{options:?} from {from}: {told}");
    }
}
