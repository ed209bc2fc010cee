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

/// Everything with pages.
pub const FORMATS: [&str; 17] = [
    "segments-paging",
    "ia32",
    "pae",
    "x86-64",
    "x86-64-la57",
    "sv32",
    "sv39",
    "sv48",
    "sv57",
    "aarch64",
    "aarch64-16k",
    "aarch64-64k",
    "linear",
    "inverted",
    "hashed",
    "ppc",
    "r3000",
];

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

/// Where a program of the host is; [`found_or_skipped`].
pub fn tool(name: &str) -> Option<PathBuf> {
    found_or_skipped(name, |name| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
    })
}

/// What `find` finds; `None`, and said so, if that is nothing: a failure if CI_ORACLES is `require`.
pub fn found_or_skipped(name: &str, find: impl FnOnce(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        let required = std::env::var_os("CI_ORACLES").is_some_and(|value| value == "require");
        assert!(!required, "{name} not found, and CI_ORACLES is require");
        println!("skipped: {name} not found");
    }
    found
}

/// Builds a guest program from a source below `tests/`; `None` without the compiler. Tests may build
/// the same side by side.
pub fn build(compiler: &str, source: &str, options: &[&str]) -> Option<PathBuf> {
    let mut command = Command::new(tool(compiler)?);
    let variant: String = options.concat().chars().filter(char::is_ascii_alphanumeric).collect();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(variant).join(source);
    let program = program.with_extension("");
    let directory = program.parent().expect("a directory");
    std::fs::create_dir_all(directory).expect("a directory");
    let built = tempfile::NamedTempFile::new_in(directory).expect("a file");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source));
    let done = finish(command.args(options).arg("-o").arg(built.path()), |_| ());
    assert_eq!(done.status, 0, "{}", done.stderr);
    built.persist(&program).expect("a program");
    Some(program)
}

/// The path of a guest program, from the top of the repository.
pub fn guest(name: &str) -> String {
    format!("programs/bin/{name}")
}

/// The words of a program with its arguments.
pub fn words<'a>(path: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&[path], args].concat()
}

/// A report is consistent: parts of a count make up the whole, by whatever way they are counted.
pub fn assert_parts_sum_to_totals(report: &Value, what: &str) {
    let sum = |pointer: &str| -> u64 {
        let parts = report.pointer(pointer).and_then(Value::as_object).expect("an object");
        parts.values().map(|part| part.as_u64().expect("a count")).sum()
    };
    let equal = |left: u64, right: u64, of: &str| assert_eq!(left, right, "{what}: {of}");
    let get = |pointer: &str| number(report, pointer);
    equal(sum("/cycle_parts"), get("/cycles"), "cycles");
    equal(get("/faults/minor") + get("/faults/major"), get("/counters/pgfault"), "faults");
    equal(get("/faults/major"), get("/counters/pgmajfault"), "major faults");
    // What became a signal has no cause.
    assert!(sum("/faults/by_cause") <= get("/counters/pgfault"), "{what}: faults by cause");
    equal(get("/swap/pages_in"), get("/counters/pswpin"), "pages read from swap");
    equal(get("/swap/pages_out"), get("/counters/pswpout"), "pages written to swap");
    for (level, fields) in report["tlb"].as_object().expect("an object") {
        if let Some(lookups) = fields.get("lookups").and_then(Value::as_u64) {
            equal(number(fields, "/hits") + number(fields, "/misses"), lookups, level);
        }
    }
    let data = get("/references/loads") + get("/references/stores");
    if report["tlb"]["l1i"].is_object() {
        equal(get("/tlb/l1i/lookups"), get("/references/fetches"), "instruction look-ups");
        equal(get("/tlb/l1d/lookups"), data, "data look-ups");
    }
    if report["tlb"]["l2"].is_object() {
        let misses = get("/tlb/l1i/misses") + get("/tlb/l1d/misses");
        equal(get("/tlb/l2/lookups"), misses, "second-level look-ups");
        equal(get("/tlb/l2/misses"), get("/walks/walks"), "walks");
    }
    assert!(get("/memory/peak_used") <= get("/memory/frames"), "{what}: frames");
}
