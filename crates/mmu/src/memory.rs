//! The physical memory that page tables live in.

use crate::PhysAddr;

/// The width of a page-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryWidth {
    /// Four bytes (IA-32 two-level, Sv32).
    Four,
    /// Eight bytes (all others).
    Eight,
}

impl EntryWidth {
    /// The width in bytes.
    #[inline]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// An entry's address lies outside physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory(pub PhysAddr);

/// Physical memory as the walker's hardware sees it: aligned, little-endian entries.
pub trait TableMemory {
    /// Reads the entry at `at`, which is aligned to `width`, zero-extended.
    ///
    /// # Errors
    /// If the address is outside memory.
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory>;

    /// Writes the entry at `at`; only the low `width` bytes of `value` count.
    ///
    /// # Errors
    /// If the address is outside memory.
    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory>;
}
