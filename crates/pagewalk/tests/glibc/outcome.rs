//! One run of a program under either side, and what must be the same.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::toolchain::Toolchain;

/// More than any of the programs needs: one that hangs fails instead.
const INSTRUCTIONS_MAX: &str = "20G";

/// How many differing lines a failure shows.
const LINES_SHOWN: usize = 20;

/// What a program is given, and the machine that it runs on here.
#[derive(Clone, Copy, Default)]
pub struct Case<'a> {
    args: &'a [&'a str],
    env: &'a [&'a str],
    input: &'a str,
    machine: &'a [&'a str],
}

impl<'a> Case<'a> {
    /// No arguments, no environment, no input, the default machine.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn args(self, args: &'a [&'a str]) -> Self {
        Self { args, ..self }
    }

    pub fn env(self, env: &'a [&'a str]) -> Self {
        Self { env, ..self }
    }

    pub fn input(self, input: &'a str) -> Self {
        Self { input, ..self }
    }

    /// Options of `pagewalk run`.
    pub fn machine(self, machine: &'a [&'a str]) -> Self {
        Self { machine, ..self }
    }
}

/// Runs the executable under both, each in a new directory, and fails if anything differs.
pub fn compare(toolchain: &Toolchain, executable: &Path, case: &Case<'_>) {
    let expected = under_qemu(toolchain, executable, case);
    let found = under_pagewalk(executable, case);
    let name = executable.file_name().unwrap().to_string_lossy();
    let title = format!("{name} {:.60?} on {:?}", case.args, case.machine);
    let mut differences = String::new();
    if expected.code != found.code {
        writeln!(differences, "exit code: qemu {}, pagewalk {}", expected.code, found.code)
            .unwrap();
    }
    differences.push_str(&different_lines("stdout", &expected.stdout, &found.stdout));
    differences.push_str(&different_lines("stderr", &expected.stderr, &found.stderr));
    assert!(differences.is_empty(), "{title}\n{differences}");
}

/// What is compared. Killed by a signal is 128 + its number, as in a shell.
struct Outcome {
    stdout: String,
    stderr: String,
    code: i32,
}

fn under_qemu(toolchain: &Toolchain, executable: &Path, case: &Case<'_>) -> Outcome {
    let directory = new_root();
    let mut command = toolchain.emulator();
    command.arg(executable).args(case.args).current_dir(&directory).env_clear();
    command.envs(case.env.iter().filter_map(|variable| variable.split_once('=')));
    let output = output(&mut command, case.input);
    let code = shell_code(output.status);
    outcome(&output, code, |line| line.starts_with("qemu: "))
}

fn under_pagewalk(executable: &Path, case: &Case<'_>) -> Outcome {
    let directory = new_root();
    let results = tempfile::tempdir().unwrap();
    let json = results.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagewalk"));
    command.args(["run", "--quiet", "--max-instructions", INSTRUCTIONS_MAX]);
    command.arg("--root").arg(directory.path()).arg("--json").arg(&json).args(case.machine);
    for variable in case.env {
        command.args(["--env", variable]);
    }
    let output = output(command.arg(executable).args(case.args), case.input);
    let report = fs::read_to_string(&json)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let code = report["exit"]["code"].as_i64().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(code != 0)), "status of the command");
    outcome(&output, code as i32, |line| line.starts_with("pagewalk: "))
}

/// A directory to be the root, with a place for temporary files.
fn new_root() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("tmp")).unwrap();
    directory
}

/// The input comes from a file: it is there before the program is, and neither a terminal nor a
/// pipe.
fn output(command: &mut Command, input: &str) -> Output {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    command.stdin(Stdio::from(file)).output().unwrap()
}

/// Leaves out the lines of standard error that are the emulator's own.
fn outcome(output: &Output, code: i32, is_own: impl Fn(&str) -> bool) -> Outcome {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr
        .lines()
        .filter(|line| !is_own(line))
        .fold(String::new(), |text, line| text + line + "\n");
    Outcome { stdout, stderr, code }
}

fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The lines that differ, up to a number; nothing if none does.
fn different_lines(name: &str, expected: &str, found: &str) -> String {
    let mut text = String::new();
    let (mut left, mut right) = (expected.lines(), found.lines());
    let mut shown = 0;
    for number in 1.. {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            break;
        }
        if a == b {
            continue;
        }
        shown += 1;
        if shown > LINES_SHOWN {
            text.push_str("and more\n");
            break;
        }
        let end = "(end)";
        writeln!(text, "{name}:{number}: qemu     {}", a.unwrap_or(end)).unwrap();
        writeln!(text, "{name}:{number}: pagewalk {}", b.unwrap_or(end)).unwrap();
    }
    text
}
