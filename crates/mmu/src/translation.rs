//! What a look-up in page tables finds.

use crate::{PageSize, Pfn, PhysAddr, Rights};

/// A successful walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address.
    pub pa: PhysAddr,
    /// The page that the entry maps.
    pub page: PageSize,
    /// The first base frame of that page.
    pub pfn: Pfn,
    /// What all levels together allow.
    pub rights: Rights,
    /// Valid in every address space.
    pub global: bool,
    /// The entry's dirty bit is set (after this walk's update).
    pub dirty: bool,
    /// References to memory that read the tables.
    pub reads: u8,
    /// References that wrote them (accessed and dirty bits).
    pub writes: u8,
}
