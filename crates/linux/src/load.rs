//! Loading: the executable's segments become mappings, and the program faults itself in.
//!
//! ```text
//!   file     ┌──────── r-x ────────┐┌──── rw- ────┬ tail ┐
//!   memory   │ private file pages  ││ private     │ 0000 │ 0000 anonymous 0000 │ heap (brk) …
//!            start                                ▲      ▲                     ▲
//!                                         zero_from      file_bytes            end
//! ```
//!
//! 1. Every segment is a private mapping of the file; only the tail of a segment's last file page
//!    is touched while loading, to zero it.
//! 2. The heap begins at the first page after the last segment.
//! 3. A position-independent program is based where the memory says, by default at two thirds of
//!    user space.
//! 4. A program with an interpreter starts in that: it is loaded below the stack like any mapping,
//!    and finds the program through the auxiliary vector (Linux: load_elf_interp in
//!    fs/binfmt_elf.c). The libraries it maps by itself.

use crate::elf::{ElfError, Executable, Image, Mapping};
use crate::errno::Errno;
use crate::files::FileId;
use crate::memory::{CHUNK_BYTES, UserMemory};
use pagewalk_kernel::{Backing, MapRequest, Placement, Prot};
use pagewalk_mmu::VirtAddr;
use std::io;
use thiserror::Error;

/// A loaded image, as the auxiliary vector describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Where execution begins.
    pub entry: u64,
    /// The program headers in memory.
    pub headers_at: u64,
    /// The number of program headers.
    pub header_count: u16,
    /// The first address after all segments, where the heap begins.
    pub end: u64,
    /// Where the interpreter was put, if there is one.
    pub interpreter: Option<Interpreter>,
}

/// A loaded interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// What was added to its addresses (AT_BASE).
    pub base: u64,
    /// Where execution begins, before it is the program's turn.
    pub entry: u64,
}

impl Loaded {
    /// The first instruction of all.
    pub const fn start(&self) -> u64 {
        match self.interpreter {
            Some(interpreter) => interpreter.entry,
            None => self.entry,
        }
    }
}

/// Why a program cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The host cannot give the file.
    #[error("{file}: {source}")]
    Open {
        /// The file.
        file: String,
        /// The host's reason.
        source: io::Error,
    },
    /// The file is not an executable for this machine.
    #[error("{file}: {source}")]
    Elf {
        /// The file.
        file: String,
        /// What is wrong and where.
        source: ElfError,
    },
    /// The program's interpreter cannot be had.
    #[error("{file}: interpreter {interpreter}: {problem}")]
    Interpreter {
        /// The program.
        file: String,
        /// The interpreter's path, as the program names it.
        interpreter: String,
        /// What is wrong and what to do.
        problem: String,
        /// What execve says.
        errno: Errno,
    },
    /// A segment lies above what the MMU can address.
    #[error(
        "{file}: segment {index} ends at {end:#x}, above this machine's user space ({user_end:#x}): {advice}"
    )]
    OutsideUserSpace {
        /// The file.
        file: String,
        /// The program header's index.
        index: u16,
        /// The segment's end.
        end: u64,
        /// The end of user space.
        user_end: u64,
        /// Which MMU would do.
        advice: String,
    },
    /// A memory call failed.
    #[error("{file}: cannot map {what} at {at:#x}: {errno}{advice}")]
    Map {
        /// The file.
        file: String,
        /// What was to be mapped.
        what: &'static str,
        /// Where.
        at: u64,
        /// The kernel's reason.
        errno: Errno,
        /// What to do.
        advice: String,
    },
    /// Arguments and environment do not fit on the stack.
    #[error(
        "arguments and environment need {need} bytes of stack, a quarter of it is {limit}: pass fewer"
    )]
    TooManyArguments {
        /// Bytes needed.
        need: u64,
        /// Bytes allowed.
        limit: u64,
    },
}

impl LoadError {
    /// A failed memory call; want of memory is the one reason that options can change.
    pub(crate) fn map(
        file: &str,
        what: &'static str,
        at: u64,
        errno: Errno,
        memory: &dyn UserMemory,
    ) -> Self {
        let advice = match memory.bytes_missing() {
            _ if memory.shortage().is_none() && errno != Errno::ENOMEM => String::new(),
            None => "; give more --ram or --swap".to_owned(),
            Some(bytes) => format!("; {bytes} bytes are missing, give more --ram"),
        };
        Self::Map { file: file.to_owned(), what, at, errno, advice }
    }
}

/// Formats by the end of the user space that a machine makes of them: half of the addresses, and
/// never more than the 47 bits that Linux promises to programs.
const FORMATS: [(u64, &str); 2] =
    [(1 << 38, "--mmu sv39"), (1 << 47, "--mmu sv48, sv57, x86-64, x86-64-la57 or aarch64")];

fn which_mmu(end: u64) -> String {
    match FORMATS.iter().find(|(limit, _)| end <= *limit) {
        Some((_, names)) => {
            format!("{names} would do, or link it lower (-Wl,-Ttext-segment=0x10000)")
        }
        None => "no MMU has such addresses; link it lower (-Wl,-Ttext-segment=0x10000)".to_owned(),
    }
}

/// Maps the executable's segments.
///
/// # Errors
/// If a segment cannot be where it must be.
pub fn load(
    memory: &mut dyn UserMemory,
    executable: &Executable,
    file: FileId,
    name: &str,
) -> Result<Loaded, LoadError> {
    let mappings = layout(executable, name, memory)?;
    let base = load_base(executable, &mappings, memory);
    let end = map_segments(memory, &mappings, base, file, name)?;
    memory.set_heap_start(end);
    Ok(Loaded {
        entry: executable.entry + base,
        headers_at: if executable.headers_at == 0 { 0 } else { executable.headers_at + base },
        header_count: executable.header_count,
        end,
        interpreter: None,
    })
}

/// Maps an interpreter's segments: where there is room if it can be anywhere.
///
/// # Errors
/// If a segment cannot be where it must be.
pub fn load_interpreter(
    memory: &mut dyn UserMemory,
    executable: &Executable,
    file: FileId,
    name: &str,
) -> Result<Interpreter, LoadError> {
    let mappings = layout(executable, name, memory)?;
    let base = match executable.relocatable {
        true => free_place(memory, &mappings, name)?,
        false => 0,
    };
    map_segments(memory, &mappings, base, file, name)?;
    Ok(Interpreter { base, entry: executable.entry + base })
}

fn layout(
    executable: &Executable,
    name: &str,
    memory: &dyn UserMemory,
) -> Result<Vec<Mapping>, LoadError> {
    let elf_error = |source| LoadError::Elf { file: name.to_owned(), source };
    executable.layout(memory.page_bytes()).map_err(elf_error)
}

/// Maps everything `base` higher than it was linked; returns the end.
fn map_segments(
    memory: &mut dyn UserMemory,
    mappings: &[Mapping],
    base: u64,
    file: FileId,
    name: &str,
) -> Result<u64, LoadError> {
    let mut end = 0;
    for mapping in mappings {
        end = base.saturating_add(mapping.end());
        check_user_space(memory, name, mapping, end)?;
        map_segment(memory, mapping, base, file)
            .map_err(|(what, at, e)| LoadError::map(name, what, at, e, memory))?;
    }
    Ok(end)
}

/// What to add to the addresses of `mappings` so that all of them are where nothing is.
fn free_place(
    memory: &mut dyn UserMemory,
    mappings: &[Mapping],
    name: &str,
) -> Result<u64, LoadError> {
    let first = mappings.first().map_or(0, |mapping| mapping.start);
    let len = mappings.last().map_or(0, |mapping| mapping.end() - first);
    // Mapped as one, then given up: the place is the memory's choice.
    let request = MapRequest::anonymous(len, Prot::READ | Prot::EXEC);
    let found = memory.map(request).and_then(|at| memory.unmap(at, len).map(|()| at));
    let at = found.map_err(|e| LoadError::map(name, "the interpreter", 0, e, memory))?;
    // Linkers put interpreters at 0; one that is higher than the place has no base of its own.
    at.checked_sub(first)
        .ok_or_else(|| LoadError::map(name, "the interpreter", at, Errno::ENOMEM, memory))
}

/// What is added to every address.
fn load_base(executable: &Executable, mappings: &[Mapping], memory: &dyn UserMemory) -> u64 {
    if !executable.relocatable {
        return 0;
    }
    let first = mappings.first().map_or(0, |m| m.start);
    let base = memory.relocation_base();
    (base & !(memory.page_bytes() - 1)).saturating_sub(first)
}

fn check_user_space(
    memory: &dyn UserMemory,
    name: &str,
    mapping: &Mapping,
    end: u64,
) -> Result<(), LoadError> {
    let user_end = memory.user_end();
    if end <= user_end {
        return Ok(());
    }
    Err(LoadError::OutsideUserSpace {
        file: name.to_owned(),
        index: mapping.segment.index,
        end,
        user_end,
        advice: which_mmu(end),
    })
}

type MapFailure = (&'static str, u64, Errno);

fn map_segment(
    memory: &mut dyn UserMemory,
    mapping: &Mapping,
    base: u64,
    file: FileId,
) -> Result<(), MapFailure> {
    let segment = &mapping.segment;
    let mut prot = Prot::empty();
    prot.set(Prot::READ, segment.read);
    prot.set(Prot::WRITE, segment.write);
    prot.set(Prot::EXEC, segment.execute);
    let request = |at, len| MapRequest {
        place: Placement::FixedNoReplace(VirtAddr(at)),
        ..MapRequest::anonymous(len, prot)
    };
    let start = base + mapping.start;
    if mapping.file_bytes > 0 {
        let backing = Backing::File { file, offset: mapping.file_offset };
        memory
            .map(MapRequest { backing, ..request(start, mapping.file_bytes) })
            .map_err(|e| ("a segment", start, e))?;
    }
    let zero_start = start + mapping.file_bytes;
    if mapping.zero_bytes > 0 {
        memory
            .map(request(zero_start, mapping.zero_bytes))
            .map_err(|e| ("zeroed memory", zero_start, e))?;
    }
    // As in Linux, a read-only segment keeps the file's bytes in its tail: no one can have meant
    // zeroes that no one can write.
    let zero_from = base + mapping.zero_from;
    if segment.write && segment.mem_len > segment.file_len && mapping.file_bytes > 0 {
        zero(memory, zero_from, zero_start).map_err(|e| ("the zeroed tail", zero_from, e))?;
    }
    Ok(())
}

/// Zeroes `from..to`, less than a page.
fn zero(memory: &mut dyn UserMemory, from: u64, to: u64) -> Result<(), Errno> {
    static ZEROES: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];
    let mut at = from;
    while at < to {
        let len = (to - at).min(CHUNK_BYTES as u64);
        memory.write(at, &ZEROES[..len as usize])?;
        at += len;
    }
    Ok(())
}

/// An open host file as an ELF image.
pub(crate) struct FileImage<'a> {
    pub files: &'a crate::files::Files,
    pub id: FileId,
    pub len: u64,
}

impl Image for FileImage<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.files.read_at(self.id, offset, buf)? < buf.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
