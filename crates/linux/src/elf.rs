//! ELF executables: parsed and checked before anything is mapped.
//!
//! ```text
//!   0 ┌──────────────┐
//!     │ file header  │ e_ident, e_type, e_machine, e_entry, e_phoff, e_phnum
//!     ├──────────────┤ e_phoff
//!     │ program      │ PT_LOAD    p_offset p_vaddr p_filesz p_memsz p_flags
//!     │ headers      │ PT_LOAD    …                 ascending, not overlapping
//!     ├──────────────┤ PT_INTERP  the name of the dynamic linker, which is loaded as well
//!     │ contents …   │ PT_GNU_STACK  whether the stack is executable
//!     └──────────────┘
//! ```
//!
//! What [`parse`] returns holds:
//! 1. Every segment's file range lies within the file, and `file_len <= mem_len`.
//! 2. Segments are ascending in address and no two overlap; none wraps around the address space.
//! 3. The entry lies within an executable segment.
//!
//! [`Executable::layout`] adds what depends on the page size: addresses and offsets are congruent
//! modulo the page, and no two segments share a page.

use crate::elf_error::error;
use object::elf;
use object::endian::LittleEndian as LE;
use object::pod::{Pod, from_bytes};
use std::io;

pub use crate::elf_error::{ElfError, Problem};
pub use crate::elf_layout::Mapping;

/// The bytes of an ELF file, read in small pieces: a program may be larger than memory.
pub trait Image {
    /// The file's length.
    fn len(&self) -> u64;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// If the host cannot read, or the file ends before.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl Image for [u8] {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let part = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(part);
        Ok(())
    }
}

/// A checked executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Whether the addresses are relative to a base of the loader's choice (static PIE).
    pub relocatable: bool,
    /// Where execution begins.
    pub entry: u64,
    /// The address of the program headers in memory, 0 if no segment holds them.
    pub headers_at: u64,
    /// The number of program headers.
    pub header_count: u16,
    /// The loadable segments, ascending.
    pub segments: Vec<Segment>,
    /// Whether the program asks for an executable stack.
    pub executable_stack: bool,
    /// The path of the dynamic linker, which runs in the program's stead and loads the rest.
    pub interpreter: Option<Vec<u8>>,
}

/// A loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its index among the program headers, for messages.
    pub index: u16,
    /// Where its bytes start in the file.
    pub offset: u64,
    /// Where it starts in memory.
    pub address: u64,
    /// How many bytes come from the file.
    pub file_len: u64,
    /// How many bytes it has in memory; what the file does not give is zero.
    pub mem_len: u64,
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

const HEADER_BYTES: usize = size_of::<elf::FileHeader64<LE>>();
const PHDR_BYTES: usize = size_of::<elf::ProgramHeader64<LE>>();

/// Linux's bound on the program headers together (`fs/binfmt_elf.c`, load_elf_phdrs).
const MAX_PHDRS_BYTES: u64 = 65536;

/// Linux's bound on the interpreter's name (PATH_MAX).
const MAX_INTERPRETER_BYTES: u64 = 4096;

/// Parses and checks an executable.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse<I: Image + ?Sized>(image: &I) -> Result<Executable, ElfError> {
    let header = read_header(image)?;
    let headers = read_program_headers(image, &header)?;
    let interpreter = interpreter(image, &header, &headers)?;
    let segments = load_segments(image, &header, &headers)?;
    let entry = header.e_entry.get(LE);
    check_entry(entry, &segments)?;
    Ok(Executable {
        relocatable: header.e_type.get(LE) == elf::ET_DYN,
        entry,
        headers_at: headers_address(&header, headers.len(), &segments),
        header_count: headers.len() as u16,
        segments,
        executable_stack: headers
            .iter()
            .find(|h| h.p_type.get(LE) == elf::PT_GNU_STACK)
            .is_some_and(|h| flags(h) & PF_X != 0),
        interpreter,
    })
}

type Header = elf::FileHeader64<LE>;
type ProgramHeader = elf::ProgramHeader64<LE>;

const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

fn flags(header: &ProgramHeader) -> u32 {
    header.p_flags.get(LE).0
}

/// Reads one plain structure from the file.
fn read_struct<T: Pod, I: Image + ?Sized>(
    image: &I,
    offset: u64,
    field: &'static str,
) -> Result<T, ElfError> {
    let need = offset.saturating_add(size_of::<T>() as u64);
    if need > image.len() {
        let have = image.len();
        return Err(error(offset, field, Problem::Truncated { need, have }));
    }
    let mut bytes = vec![0; size_of::<T>()];
    let failed = |e| error(offset, field, Problem::Read(e));
    image.read_exact_at(offset, &mut bytes).map_err(failed)?;
    // The structures of `object` are unaligned, so that only the length could be wrong.
    from_bytes::<T>(&bytes)
        .map(|(value, _)| *value)
        .map_err(|()| failed(io::ErrorKind::InvalidData.into()))
}

fn read_header<I: Image + ?Sized>(image: &I) -> Result<Header, ElfError> {
    let mut magic = [0; 4];
    let shown = image.len().min(4) as usize;
    image
        .read_exact_at(0, &mut magic[..shown])
        .map_err(|e| error(0, "e_ident", Problem::Read(e)))?;
    if magic != elf::ELFMAG {
        return Err(error(0, "e_ident", Problem::NotElf(magic[..shown].to_vec())));
    }
    let header: Header = read_struct(image, 0, "file header")?;
    check_header(&header)?;
    Ok(header)
}

/// The fields that decide whether this machine can run the file at all. Offsets as in the ELF
/// specification's Elf64_Ehdr.
fn check_header(header: &Header) -> Result<(), ElfError> {
    const ADVICE: &str = "compile for 64-bit RISC-V Linux, e.g. with riscv64-linux-gnu-gcc";
    let require = |ok: bool, offset, field, what, found: u64, expected, advice| {
        if ok {
            return Ok(());
        }
        Err(error(offset, field, Problem::Unsupported { what, found, expected, advice }))
    };
    let class = header.e_ident.class;
    require(
        class == elf::ELFCLASS64,
        4,
        "e_ident[EI_CLASS]",
        "class",
        class.0.into(),
        "2 (64-bit)",
        ADVICE,
    )?;
    let data = header.e_ident.data;
    require(
        data == elf::ELFDATA2LSB,
        5,
        "e_ident[EI_DATA]",
        "byte order",
        data.0.into(),
        "1 (little-endian)",
        ADVICE,
    )?;
    let machine = header.e_machine.get(LE);
    require(
        machine == elf::EM_RISCV,
        18,
        "e_machine",
        "machine",
        machine.0.into(),
        "243 (RISC-V)",
        ADVICE,
    )?;
    let kind = header.e_type.get(LE);
    require(
        kind == elf::ET_EXEC || kind == elf::ET_DYN,
        16,
        "e_type",
        "file type",
        kind.0.into(),
        "2 (executable) or 3 (position-independent)",
        "link an executable",
    )?;
    let entry_bytes = header.e_phentsize.get(LE);
    require(
        usize::from(entry_bytes) == PHDR_BYTES,
        54,
        "e_phentsize",
        "program header size",
        entry_bytes.into(),
        "56",
        "link it again",
    )?;
    let count = header.e_phnum.get(LE);
    require(
        u64::from(count) * PHDR_BYTES as u64 <= MAX_PHDRS_BYTES,
        56,
        "e_phnum",
        "program header count",
        count.into(),
        "at most 1170, as Linux",
        "link it again",
    )
}

fn read_program_headers<I: Image + ?Sized>(
    image: &I,
    header: &Header,
) -> Result<Vec<ProgramHeader>, ElfError> {
    let start = header.e_phoff.get(LE);
    let count = u64::from(header.e_phnum.get(LE));
    let need = start.saturating_add(count * PHDR_BYTES as u64);
    if need > image.len() {
        let have = image.len();
        return Err(error(32, "e_phoff", Problem::Truncated { need, have }));
    }
    (0..count)
        .map(|i| read_struct(image, start + i * PHDR_BYTES as u64, "program header"))
        .collect()
}

/// The interpreter's path, as Linux takes it: the first PT_INTERP, which ends with a zero byte.
fn interpreter<I: Image + ?Sized>(
    image: &I,
    header: &Header,
    headers: &[ProgramHeader],
) -> Result<Option<Vec<u8>>, ElfError> {
    let Some(index) = headers.iter().position(|h| h.p_type.get(LE) == elf::PT_INTERP) else {
        return Ok(None);
    };
    let at = header_offset(header, index);
    let offset = headers[index].p_offset.get(LE);
    let length = headers[index].p_filesz.get(LE);
    let refuse = |what| {
        let index = index as u16;
        error(at + P_FILESZ, "PT_INTERP", Problem::Segment { index, what })
    };
    if !(2..=MAX_INTERPRETER_BYTES).contains(&length) {
        return Err(refuse("the interpreter's name is empty or longer than a path"));
    }
    let need = offset.saturating_add(length);
    if need > image.len() {
        let have = image.len();
        return Err(error(at, "PT_INTERP", Problem::Truncated { need, have }));
    }
    let mut name = vec![0; length as usize];
    image
        .read_exact_at(offset, &mut name)
        .map_err(|e| error(offset, "PT_INTERP", Problem::Read(e)))?;
    if name.pop() != Some(0) {
        return Err(refuse("the interpreter's name does not end"));
    }
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name.truncate(end);
    Ok(Some(name))
}

/// The offset of the program header `index` in the file.
fn header_offset(header: &Header, index: usize) -> u64 {
    // The table lies within the file, so this does not overflow.
    header.e_phoff.get(LE) + (index * PHDR_BYTES) as u64
}

fn load_segments<I: Image + ?Sized>(
    image: &I,
    header: &Header,
    headers: &[ProgramHeader],
) -> Result<Vec<Segment>, ElfError> {
    let mut segments: Vec<Segment> = Vec::new();
    for (index, raw) in headers.iter().enumerate() {
        if raw.p_type.get(LE) != elf::PT_LOAD || raw.p_memsz.get(LE) == 0 {
            continue;
        }
        let at = header_offset(header, index);
        let segment = check_segment(image.len(), at, index as u16, raw)?;
        if let Some(before) = segments.last() {
            check_order(at, before, &segment)?;
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        return Err(error(56, "e_phnum", Problem::NoSegments));
    }
    Ok(segments)
}

/// Offsets of the fields within Elf64_Phdr.
const P_OFFSET: u64 = 8;
const P_VADDR: u64 = 16;
const P_FILESZ: u64 = 32;
const P_MEMSZ: u64 = 40;
const P_ALIGN: u64 = 48;

fn check_segment(have: u64, at: u64, index: u16, raw: &ProgramHeader) -> Result<Segment, ElfError> {
    let segment = Segment {
        index,
        offset: raw.p_offset.get(LE),
        address: raw.p_vaddr.get(LE),
        file_len: raw.p_filesz.get(LE),
        mem_len: raw.p_memsz.get(LE),
        read: flags(raw) & PF_R != 0,
        write: flags(raw) & PF_W != 0,
        execute: flags(raw) & PF_X != 0,
    };
    let reject = |field, name, what| Err(error(at + field, name, Problem::Segment { index, what }));
    if segment.file_len > segment.mem_len {
        return reject(P_FILESZ, "p_filesz", "more bytes in the file than in memory");
    }
    // Anything near the top would wrap around when rounded to pages; no format has such addresses.
    if segment.address.checked_add(segment.mem_len).is_none_or(|end| end > i64::MAX as u64) {
        return reject(P_MEMSZ, "p_memsz", "huge: ends after the user half of any address space");
    }
    let align = raw.p_align.get(LE);
    if align > 1 && !align.is_power_of_two() {
        return reject(P_ALIGN, "p_align", "alignment is not a power of two");
    }
    if align > 1 && !segment.address.wrapping_sub(segment.offset).is_multiple_of(align) {
        return reject(P_VADDR, "p_vaddr", "address and offset differ modulo p_align");
    }
    let need = segment.offset.saturating_add(segment.file_len);
    if need > have {
        return Err(error(at + P_OFFSET, "p_offset", Problem::Truncated { need, have }));
    }
    Ok(segment)
}

fn check_order(at: u64, before: &Segment, next: &Segment) -> Result<(), ElfError> {
    // Neither sum overflows: `check_segment` saw to it.
    if next.address >= before.address + before.mem_len {
        return Ok(());
    }
    let overlap = next.address + next.mem_len > before.address;
    let what = if overlap { "overlap" } else { "are not in ascending order" };
    Err(error(
        at + P_VADDR,
        "p_vaddr",
        Problem::Conflict {
            first: before.index,
            second: next.index,
            what,
            at: next.address,
            advice: "link the program again without moving sections by hand",
        },
    ))
}

fn check_entry(entry: u64, segments: &[Segment]) -> Result<(), ElfError> {
    let holds = |s: &&Segment| entry.checked_sub(s.address).is_some_and(|at| at < s.mem_len);
    match segments.iter().find(holds) {
        // An odd address could never be fetched: instructions are aligned to two bytes.
        Some(segment) if segment.execute && entry.is_multiple_of(2) => Ok(()),
        _ => Err(error(24, "e_entry", Problem::Entry(entry))),
    }
}

/// Where the program headers are in memory (AT_PHDR), or 0.
fn headers_address(header: &Header, count: usize, segments: &[Segment]) -> u64 {
    let start = header.e_phoff.get(LE);
    let bytes = (count * PHDR_BYTES) as u64;
    segments
        .iter()
        .find(|s| start >= s.offset && start + bytes <= s.offset + s.file_len)
        .map_or(0, |s| s.address + (start - s.offset))
}

/// The length of the ELF file header.
pub const FILE_HEADER_BYTES: usize = HEADER_BYTES;
/// The length of a program header (AT_PHENT).
pub const PROGRAM_HEADER_BYTES: usize = PHDR_BYTES;
