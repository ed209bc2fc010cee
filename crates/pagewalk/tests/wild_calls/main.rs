//! No sequence of system calls brings the host down: a program that calls everything, with arguments at
//! which kernels break, on several MMUs, in little memory, on several harts, audited.
//!
//! `guest.c` says what it does. However its processes end, the machine ends with its first, and
//! the audit holds.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

const COMPILER: &str = "riscv64-linux-gnu-gcc";

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

/// The program, or `None` without the compiler.
fn program(dir: &Path) -> Option<()> {
    if Command::new(COMPILER).arg("--version").output().is_err() {
        assert!(std::env::var("CI_ORACLES").as_deref() != Ok("require"), "no {COMPILER}");
        println!("skipped: no {COMPILER}");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wild_calls/guest.c");
    let flags = ["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o"];
    let mut command = Command::new(COMPILER);
    let built = command.args(flags).arg(dir.join("guest")).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()), "the program compiles");
    Some(())
}

#[test]
fn calls_that_no_honest_program_makes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(()) = program(dir.path()) else { return };
    for (number, options) in MACHINES.into_iter().enumerate() {
        let root = dir.path().join(number.to_string());
        std::fs::create_dir(&root).expect("a directory");
        let (from, to) = (number * LIVES, (number + 1) * LIVES);
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagewalk"));
        command.args(["run", "--quiet", "--max-instructions", "2G"]).args(options);
        command.arg("--root").arg(&root).arg(dir.path().join("guest"));
        let output = command.args([from.to_string(), to.to_string()]).output();
        let output = output.expect("the command starts");
        let told = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{options:?} from {from}: {told}");
        assert!(said.ends_with(&format!("{LIVES} lives\n")), "{options:?}: {said}");
        assert!(!told.contains("the audit failed"), "{options:?} from {from}: {told}");
    }
}
