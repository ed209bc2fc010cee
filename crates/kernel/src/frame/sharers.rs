//! Page tables that several spaces refer to: who, and what the tables hold.
//!
//! ```text
//!   space 1 ──┐                        sharers        holds
//!   space 2 ──┼──► table in frame 77   1 at 0x20_0000 3 private pages
//!   space 5 ──┘                        2 at 0x20_0000 1 page of a file
//!                                      5 at 0x20_0000 2 on swap
//! ```
//!
//! Invariants:
//! 1. A table is here if and only if two spaces or more refer to it; each is named once.
//! 2. The first sharer stands for the table: what the table maps has reverse mappings of this space
//!    and no other's, one for each entry. So a frame's mappings count entries of tables, and who
//!    owns the page is found through the table.
//! 3. `holds` counts the entries of the table as [`Residency`] counts those of a
//!    space: what a sharer that comes or goes gains or loses.

use super::FrameTable;
use crate::{Residency, ReverseMapping, SpaceId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use pagewalk_mmu::{Asid, Pfn, VirtAddr};

/// A space that refers to a shared table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// The space.
    pub space: SpaceId,
    /// Its identifier in the TLB.
    pub asid: Asid,
    /// The first address that the table maps there.
    pub va: VirtAddr,
}

/// A table that several spaces refer to.
#[derive(Clone, Debug)]
pub(crate) struct SharedTable {
    pub sharers: Vec<Sharer>,
    pub holds: Residency,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedTables {
    by_frame: BTreeMap<Pfn, SharedTable>,
    /// Frames that one table for each sharer would take beside these.
    saved: u64,
    saved_max: u64,
}

impl FrameTable {
    /// The spaces that refer to a page table, if they are several: the first stands for all.
    pub fn sharers(&self, table: Pfn) -> &[Sharer] {
        self.tables_shared.by_frame.get(&table).map_or(&[], |shared| &shared.sharers)
    }

    /// Frames that are not taken because tables are shared, and the most that ever were.
    pub fn table_frames_saved(&self) -> (u64, u64) {
        (self.tables_shared.saved, self.tables_shared.saved_max)
    }

    /// Whether there is any shared table.
    #[inline]
    pub(crate) fn has_shared_tables(&self) -> bool {
        self.tables_shared.saved > 0
    }

    /// The page tables that are shared.
    pub(crate) fn shared_tables(&self) -> impl Iterator<Item = (Pfn, &SharedTable)> {
        self.tables_shared.by_frame.iter().map(|(&pfn, shared)| (pfn, shared))
    }

    pub(crate) fn shared_table(&self, table: Pfn) -> Option<&SharedTable> {
        self.tables_shared.by_frame.get(&table)
    }

    pub(crate) fn shared_table_mut(&mut self, table: Pfn) -> Option<&mut SharedTable> {
        self.tables_shared.by_frame.get_mut(&table)
    }

    /// Lets another space refer to a table, which `owner` has had alone if it was not shared, and
    /// which holds so much.
    pub(crate) fn add_sharer(&mut self, table: Pfn, owner: Sharer, new: Sharer, holds: Residency) {
        let tables = &mut self.tables_shared;
        let alone = || SharedTable { sharers: Vec::from([owner]), holds };
        tables.by_frame.entry(table).or_insert_with(alone).sharers.push(new);
        tables.saved += 1;
        tables.saved_max = tables.saved_max.max(tables.saved);
    }

    /// A space no longer refers to a table. If it stood for the table, the next does. Returns the
    /// one that is left alone with it, if only one is.
    pub(crate) fn remove_sharer(&mut self, table: Pfn, space: SpaceId) -> Option<Sharer> {
        let tables = &mut self.tables_shared;
        let shared = tables.by_frame.get_mut(&table)?;
        let before = shared.sharers.len();
        shared.sharers.retain(|sharer| sharer.space != space);
        tables.saved -= (before - shared.sharers.len()) as u64;
        match shared.sharers[..] {
            [last] => {
                tables.by_frame.remove(&table);
                Some(last)
            }
            _ => None,
        }
    }

    /// A mapping is another's from now on.
    pub(crate) fn move_mapping(&mut self, pfn: Pfn, from: ReverseMapping, to: ReverseMapping) {
        self.add_mapping(pfn, to);
        self.remove_mapping(pfn, from);
    }
}
