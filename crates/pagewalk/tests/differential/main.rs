//! Random sequences of operations on memory do here what they do on the host's own Linux: the same
//! bytes, the same errors, the same signals, on several MMUs, in much memory and in little.
//!
//! `executor/` is a C program of our own that is compiled for both; `run.sh` runs and compares, more
//! sequences than here if it is asked to.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

#[test]
fn sequences() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/run.sh");
    let mut command = Command::new(script);
    command.arg("400").env("PAGEWALK", env!("CARGO_BIN_EXE_pagewalk"));
    let output = command.output().expect("the script starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{told}");
    println!("{text}");
}
