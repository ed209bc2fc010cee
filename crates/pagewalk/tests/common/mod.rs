//! Runs the command as a user does.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What the command did.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// No run of a test takes nearly as long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `pagewalk WORDS` from the top of the repository, with nothing on standard input.
pub fn pagewalk<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagewalk"));
    finish(command.args(words).current_dir(repository()), |_| ())
}

/// Runs a command to its end, and `meanwhile` once it is started.
pub fn finish(command: &mut Command, meanwhile: impl FnOnce(&Child)) -> Done {
    let file = || tempfile::tempfile().expect("a temporary file");
    let (stdout, stderr) = (file(), file());
    let same = |file: &File| file.try_clone().expect("a second handle");
    command.stdin(Stdio::null()).stdout(same(&stdout)).stderr(same(&stderr));
    let mut child = command.spawn().expect("the command starts");
    meanwhile(&child);
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the command can be waited for") {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().expect("the command can be killed");
            panic!("{command:?} hangs: {}", text(stderr));
        }
        sleep(Duration::from_millis(2));
    };
    let status = status.code().expect("the command is not killed by a signal");
    Done { status, stdout: text(stdout), stderr: text(stderr) }
}

fn text(mut file: File) -> String {
    let mut text = String::new();
    file.rewind().expect("the file can be read again");
    file.read_to_string(&mut text).expect("the output is text");
    text
}

/// Runs a program with `--json` and gives what it wrote, and the report.
pub fn report(options: &[&str], program: &[&str]) -> (Done, Value) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("report.json");
    let json_option = format!("--json={}", json.display());
    let done = pagewalk([&["run", "--quiet", &json_option], options, program].concat());
    let text = std::fs::read_to_string(json)
        .unwrap_or_else(|error| panic!("{options:?} {program:?}: no report: {error}: {done:?}"));
    (done, serde_json::from_str(&text).expect("the report is JSON"))
}

/// A number of a report, by its JSON pointer.
pub fn number(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {report}"));
    value.as_u64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The path of a guest program, from the top of the repository.
pub fn guest(name: &str) -> String {
    format!("programs/bin/{name}")
}
