//! What went wrong, in one line, and the exit status for it.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;

/// The guest, or the writing of its results, failed.
pub const FAILED: u8 = 1;
/// What was asked for cannot be done; nothing has been written.
const REFUSED: u8 = 2;

/// Why the command ends early.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Wrong usage or input: `place` is the option or file, `problem` says what would work.
    pub fn refused(place: impl Display, problem: impl Display) -> Self {
        Self { status: REFUSED, message: one_line(&format!("{place}: {problem}")) }
    }

    /// [`Failure::refused`] for an option's value.
    pub fn bad_value(option: &str, value: &str, problem: impl Display) -> Self {
        Self::refused(format_args!("--{option} '{value}'"), problem)
    }

    /// [`Failure::refused`] for a file.
    pub fn bad_file(path: &Path, problem: impl Display) -> Self {
        Self::refused(path.display(), problem)
    }

    /// An error that speaks for itself, found before anything was done.
    pub fn unusable(error: impl Display) -> Self {
        Self { status: REFUSED, message: one_line(&error.to_string()) }
    }

    /// A text of several lines that speaks for itself, found before anything was done.
    pub fn shown(text: String) -> Self {
        Self { status: REFUSED, message: text }
    }

    /// Results could not be written to `place`.
    pub fn not_written(place: impl Display, error: impl Display) -> Self {
        Self { status: FAILED, message: one_line(&format!("{place}: not written: {error}")) }
    }

    /// Tells the user and gives the exit status.
    pub fn tell(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        ExitCode::from(self.status)
    }
}

/// Ends after clap refused the command line, or showed help or the version.
pub fn refused_by_parser(error: &clap::Error) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_help {
        // A reader who closed the pipe has seen enough.
        let _ = error.print();
    } else {
        eprintln!("{}", condensed(&error.to_string()));
    }
    ExitCode::from(error.exit_code() as u8)
}

/// clap's message without the usage that follows it, in one line.
fn condensed(message: &str) -> String {
    let lines = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty());
    let mut text = String::new();
    for line in lines {
        let is_continued = text.ends_with(':') || line.starts_with('[');
        text.push_str(match is_continued {
            _ if text.is_empty() => "",
            true => " ",
            false => "; ",
        });
        text.push_str(line);
    }
    one_line(&(text + " (--help lists what there is)"))
}

/// `text` with nothing in it that could break the line or control a terminal. The multi-line
/// messages of parsers come as one sentence, without the quotation of the source.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_quotation(line));
    let joined = lines.collect::<Vec<_>>().join(": ");
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.into(),
    };
    joined.chars().map(escape).collect()
}

/// Whether the line is `|`, `7 | text` or `| ^^^`, as parsers quote their source.
fn is_quotation(line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsers_messages_become_one_line() {
        let toml =
            "TOML parse error at line 1, column 1\n  |\n1 | x = 1\n  | ^\nunknown field `x`\n";
        assert_eq!(one_line(toml), "TOML parse error at line 1, column 1: unknown field `x`");
        assert_eq!(one_line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }

    #[test]
    fn the_usage_is_left_out() {
        let clap = "error: unexpected argument '--rim' found\n\n  tip: a similar argument exists: \
                    '--ram'\n\nUsage: pagewalk\n\nFor more information, try '--help'.\n";
        let expected = "error: unexpected argument '--rim' found; tip: a similar argument exists: \
                        '--ram' (--help lists what there is)";
        assert_eq!(condensed(clap), expected);
    }
}
