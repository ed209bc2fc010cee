//! Why an executable is refused.

use std::io;
use thiserror::Error;

/// Why a file cannot be executed: the place, what was found and what would work.
#[derive(Debug, Error)]
#[error("at offset {offset:#x} ({field}): {problem}")]
pub struct ElfError {
    /// The byte offset in the file.
    pub offset: u64,
    /// The field there.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an ELF file.
#[derive(Debug, Error)]
pub enum Problem {
    /// The magic number is missing.
    #[error(
        "not an ELF file (starts with {0:02x?}, expected 7f 45 4c 46): give a RISC-V executable, e.g. from riscv64-linux-gnu-gcc"
    )]
    NotElf(Vec<u8>),
    /// The header or a table ends after the file.
    #[error("truncated: needs {need:#x} bytes but the file has {have:#x}; copy or link it again")]
    Truncated {
        /// The file length needed.
        need: u64,
        /// The file length.
        have: u64,
    },
    /// The host could not read.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// A field of the file header has a value that this machine cannot run.
    #[error("{what} {found}, expected {expected}: {advice}")]
    Unsupported {
        /// The meaning of the field.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What it must be.
        expected: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// There is nothing to load.
    #[error("no loadable segment: link an executable, not an object or debug file")]
    NoSegments,
    /// A segment is inconsistent.
    #[error("segment {index}: {what}; link the program again")]
    Segment {
        /// The program header's index.
        index: u16,
        /// What is wrong.
        what: &'static str,
    },
    /// Two segments are in each other's way.
    #[error("segments {first} and {second} {what} at address {at:#x}; {advice}")]
    Conflict {
        /// The index of the earlier.
        first: u16,
        /// The index of the later.
        second: u16,
        /// In which way.
        what: &'static str,
        /// Where the later starts.
        at: u64,
        /// What to do.
        advice: &'static str,
    },
    /// The entry is not in a text segment.
    #[error(
        "entry point {0:#x} is in no executable segment: link with -e naming a symbol in .text"
    )]
    Entry(u64),
}

/// An error at a place.
pub(crate) fn error(offset: u64, field: &'static str, problem: Problem) -> ElfError {
    ElfError { offset, field, problem }
}
