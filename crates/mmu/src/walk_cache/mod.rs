//! Caches of page-table entries that point to tables, which let a walk start in its middle.
//!
//! ```text
//!            level 3    level 2    level 1    level 0
//!   root ──► PML4E ───► PDPTE ───► PDE ─────► PTE ───► page
//!              │          │          │
//!              ▼          ▼          ▼
//!            va 47:39   va 47:30   va 47:21     what each entry of the cache is found by, with
//!            ► table    ► table    ► table      the address space
//! ```
//!
//! Intel calls them paging-structure caches (SDM vol. 3A, 4.10.3), AMD and Arm page-walk caches. An
//! entry holds what a walk knows once it has read the entries of that level and above: the next
//! table, and what all of them allow. A walk takes the deepest that it finds.
//!
//! Invariants:
//! 1. Only walks that succeeded fill it: each entry on their way is present, well formed, and has
//!    its accessed bit set.
//! 2. A fault drops what is held for its address (4.10.4.1), and no fault of rights is believed that
//!    rests on an entry of the cache: the walk is made again from the root.
//! 3. Every invalidation of one page or of a space drops all that is held for that space, whatever
//!    the address (4.10.4.1 on INVLPG and MOV to CR3); so a table that is freed after an
//!    invalidation of its space is never read through a stale pointer.
//! 4. Only the entry that a walk starts from counts as used.

mod config;
mod text;

pub(crate) use config::LEVELS;
pub use config::{WalkCacheConfig, WalkCacheError, WalkCacheReason};

use crate::radix::{Geometry, WalkStart};
use crate::tlb::{Bank, Globals, Key, Line, Slot};
use crate::{Asid, Level, PageSize, PhysAddr, Rights, Tables, VirtAddr};
use alloc::{vec, vec::Vec};

/// A cache of pointers to tables.
#[derive(Clone, Debug)]
pub struct WalkCache {
    config: WalkCacheConfig,
    geometry: Geometry,
    asid_mask: u16,
    bank: Bank,
    /// What the bank's slots hold.
    starts: Vec<WalkStart>,
}

/// A pointer that is held, for checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedPointer {
    /// The space.
    pub asid: Asid,
    /// The first address that is translated through the table.
    pub va: VirtAddr,
    /// The table's level.
    pub level: Level,
    /// Where the table lies.
    pub table: PhysAddr,
}

impl WalkCache {
    /// An empty cache for walks of these tables.
    pub(crate) fn new(
        config: WalkCacheConfig,
        tables: &Tables,
        asid_mask: u16,
    ) -> Result<Self, WalkCacheError> {
        let geometry = config.geometry(tables)?;
        let arrays = config.arrays(geometry)?;
        let nowhere = WalkStart {
            level: Level(0),
            table: PhysAddr(0),
            rights: Rights::empty(),
            global: false,
        };
        Ok(Self {
            starts: vec![nowhere; arrays.entries() as usize],
            // The span of a pointer takes the part of a page's size.
            bank: Bank::new(&arrays, geometry.base_page(), asid_mask),
            config,
            geometry: *geometry,
            asid_mask,
        })
    }

    /// The geometry.
    pub const fn config(&self) -> &WalkCacheConfig {
        &self.config
    }

    /// Where the walk of `va` may start at the earliest: the deepest table known.
    pub(crate) fn deepest(&mut self, va: VirtAddr, asid: Asid, now: u64) -> Option<WalkStart> {
        let (slot, ..) = self.bank.reference(va, asid, now)?;
        Some(self.starts[slot.0 as usize])
    }

    /// A walk of `va` that succeeded came by `start`.
    pub(crate) fn fill(&mut self, va: VirtAddr, asid: Asid, start: WalkStart, now: u64) {
        let key = Key::new(va, self.span(start.level));
        let line = Line::tag(asid, self.asid_mask);
        if let Some(slot) = self.bank.insert_line(key, line, now, |_, _| {}) {
            self.starts[slot.0 as usize] = start;
        }
    }

    /// Drops what is held for `va`, at all levels.
    pub(crate) fn drop_path(&mut self, va: VirtAddr, asid: Asid) {
        self.bank.remove_page(va, Some(asid), Globals::Drop, |_, _| {});
    }

    /// Drops all that is held for a space, or (`None`) for all.
    pub(crate) fn flush(&mut self, asid: Option<Asid>) {
        match asid {
            None => self.bank.clear(),
            Some(asid) => self.bank.remove_space(Some(asid), |_, _| {}),
        };
    }

    /// All that is held.
    pub fn pointers(&self) -> impl Iterator<Item = CachedPointer> {
        (0..).zip(&self.starts).filter_map(|(slot, start)| {
            let held = self.bank.entry(Slot(slot))?;
            let va = held.vpn.base(self.geometry.base_page());
            Some(CachedPointer { asid: held.asid, va, level: start.level, table: start.table })
        })
    }

    /// What one entry that points to a table of `level` maps.
    const fn span(&self, level: Level) -> PageSize {
        self.geometry.level(Level(level.0 + 1)).page()
    }
}
