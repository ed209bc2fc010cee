//! An executable's segments in whole pages.
//!
//! ```text
//!        start      address              zero_from            end
//!          ├──────────┼──────────────────────┼───────┬──────────┤
//!          │ the file's bytes, page by page          │ zeroes   │
//!          └────────── file_bytes ───────────────────┴ zero_bytes
//! ```

use crate::elf::{Executable, Segment};
use crate::elf_error::{ElfError, Problem, error};

/// A segment in units of pages, as it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The segment.
    pub segment: Segment,
    /// The first page's address.
    pub start: u64,
    /// The page-aligned offset in the file.
    pub file_offset: u64,
    /// Bytes to map from the file: whole pages; may be 0.
    pub file_bytes: u64,
    /// Bytes of anonymous memory after them: whole pages; may be 0.
    pub zero_bytes: u64,
    /// Where the file's bytes end and zeroes begin.
    pub zero_from: u64,
}

impl Mapping {
    /// The first address after the mapping.
    pub const fn end(&self) -> u64 {
        self.start + self.file_bytes + self.zero_bytes
    }
}

impl Executable {
    /// The segments in whole pages of `page_bytes`, a power of two, before relocation.
    ///
    /// # Errors
    /// If a segment cannot be mapped page by page.
    pub fn layout(&self, page_bytes: u64) -> Result<Vec<Mapping>, ElfError> {
        let mut mappings: Vec<Mapping> = Vec::with_capacity(self.segments.len());
        for &segment in &self.segments {
            let mapping = map_pages(segment, page_bytes)?;
            if let Some(before) = mappings.last().filter(|m| m.end() > mapping.start) {
                return Err(shared_page(before.segment, segment));
            }
            mappings.push(mapping);
        }
        Ok(mappings)
    }
}

fn map_pages(segment: Segment, page_bytes: u64) -> Result<Mapping, ElfError> {
    let mask = page_bytes - 1;
    if (segment.address ^ segment.offset) & mask != 0 && segment.file_len > 0 {
        let what = "address and offset differ modulo the page (linked with -N?)";
        let problem = Problem::Segment { index: segment.index, what };
        return Err(error(segment.offset, "p_vaddr", problem));
    }
    let start = segment.address & !mask;
    let zero_from = segment.address + segment.file_len;
    let round_up = |at: u64| (at + mask) & !mask;
    let file_end = if segment.file_len == 0 { start } else { round_up(zero_from) };
    let end = round_up(segment.address + segment.mem_len);
    Ok(Mapping {
        segment,
        start,
        file_offset: segment.offset & !mask,
        file_bytes: file_end - start,
        zero_bytes: end - file_end,
        zero_from,
    })
}

fn shared_page(before: Segment, segment: Segment) -> ElfError {
    error(
        segment.offset,
        "p_vaddr",
        Problem::Conflict {
            first: before.index,
            second: segment.index,
            what: "share the page",
            at: segment.address,
            advice: "link with -z max-page-size set to the machine's page size",
        },
    )
}
