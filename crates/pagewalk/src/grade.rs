//! `pagewalk grade`: a file of answers against the right ones.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use pagewalk_exercises::grade;

use crate::args::GradeArgs;
use crate::failure::{FAILED, Failure};
use crate::options::plain;
use crate::run::print;

/// What a file of answers has at most, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Grades a file. The exit status is 1 unless everything is right.
///
/// # Errors
/// If it cannot be read, or answers no quiz.
pub fn run(args: &GradeArgs) -> Result<ExitCode, Failure> {
    let path = &args.file;
    let grade = grade(&read(path)?, args.answers);
    let grade = grade.map_err(|error| Failure::bad_file(path, error))?;
    print(&if args.json { grade.json() } else { grade.text() })?;
    Ok(ExitCode::from(if grade.is_full() { 0 } else { FAILED }))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::bad_file(path, plain(&error));
    let mut source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    source.by_ref().take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Failure::bad_file(path, "more than 1 MiB; that is no sheet of answers"));
    }
    String::from_utf8(bytes).map_err(|_| Failure::bad_file(path, "is not text in UTF-8"))
}
