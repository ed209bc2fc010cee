//! /proc/PID/pagemap: one 64-bit entry for each page (Linux: fs/proc/task_mmu.c,
//! Documentation/admin-guide/mm/pagemap.rst).
//!
//! ```text
//!   63       62     61    56         54                                              0
//!   present swapped file  exclusive  page frame number; swapped: type 0 4 … 0, offset 5 … 54
//! ```

use pagewalk_kernel::SpaceId;

use crate::errno::Errno;
use crate::memory::{PageEntry, UserMemory};

const ENTRY_BYTES: u64 = 8;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;
const SWAP_TYPE_BITS: u32 = 5;

/// Reads entries; fewer at the end of the address space.
///
/// # Errors
/// EINVAL unless offset and length are multiples of an entry's.
pub(crate) fn read(
    memory: &dyn UserMemory,
    space: SpaceId,
    offset: u64,
    out: &mut [u8],
) -> Result<usize, Errno> {
    if !offset.is_multiple_of(ENTRY_BYTES) || !(out.len() as u64).is_multiple_of(ENTRY_BYTES) {
        return Err(Errno::EINVAL);
    }
    let page = memory.page_bytes();
    let first = offset / ENTRY_BYTES;
    let pages = (memory.user_end() / page).saturating_sub(first);
    let count = pages.min(out.len() as u64 / ENTRY_BYTES) as usize;
    for (n, bytes) in out.chunks_exact_mut(ENTRY_BYTES as usize).take(count).enumerate() {
        let entry = encode(memory.page_entry(space, (first + n as u64) * page));
        bytes.copy_from_slice(&entry.to_le_bytes());
    }
    Ok(count * ENTRY_BYTES as usize)
}

fn encode(entry: PageEntry) -> u64 {
    let flag = |is: bool, bit: u64| if is { bit } else { 0 };
    match entry {
        PageEntry::None => 0,
        PageEntry::Present { frame, is_file, is_exclusive } => {
            PRESENT | frame | flag(is_file, FILE) | flag(is_exclusive, EXCLUSIVE)
        }
        PageEntry::Swapped { device, slot } => SWAPPED | slot << SWAP_TYPE_BITS | device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_laid_out_as_documented() {
        let present = PageEntry::Present { frame: 0x123, is_file: true, is_exclusive: false };
        assert_eq!(encode(present), 0xa000_0000_0000_0123);
        assert_eq!(encode(PageEntry::Swapped { device: 2, slot: 3 }), 0x4000_0000_0000_0062);
        assert_eq!(encode(PageEntry::None), 0);
    }
}
