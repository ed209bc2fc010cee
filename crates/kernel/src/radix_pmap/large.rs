//! Large pages: leaves one level above the base pages.
//!
//! ```text
//!   level 1          level 0                        level 1          level 0
//!   ┌────────┐                                      ┌────────┐      ┌──────────┐
//!   │ leaf   ├─────► frames n … n + 2ᵏ - 1   split  │ table  ├─────►│ n        │
//!   └────────┘      ┌──────────┐             ────►  └────────┘      │ n + 1    │
//!                   │ deposit  │ a frame, unused                    │ …        │
//!                   └──────────┘                                    └──────────┘
//! ```
//!
//! The table that a split will need is taken when the large page is mapped: memory may be full when
//! a part of the page must go so that there is some. It counts as a table of the space.

use super::RadixPmap;
use super::tree::Descent;
use crate::pmap::{Gather, Gathered};
use crate::{FlushDebt, FrameTable, LargePage, Mapping, Platform, Resident};
use pagewalk_mmu::radix::Radix;
use pagewalk_mmu::{Level, PageSize, Pfn, PhysAddr, TableMemory, VirtAddr};

/// The level of large pages. Higher ones are never mapped, as on Linux, where only the level above
/// the base pages (PMD) serves anonymous memory.
const LARGE: Level = Level(1);
const BASE: Level = Level(0);

/// The large page of a format.
pub(super) fn large_page(format: &impl Radix) -> Option<PageSize> {
    let shape = format.geometry().levels.get(LARGE.0 as usize)?;
    shape.leaf.then(|| shape.page())
}

impl<F: Radix> RadixPmap<F> {
    /// What the page at `va` is within the mapping of an entry of `level` around it.
    #[inline]
    pub(super) fn part_of(&self, level: Level, va: VirtAddr, mapping: Mapping) -> Mapping {
        let Mapping::Resident(first) = mapping else { return mapping };
        if level == BASE {
            return mapping;
        }
        let offset = va.offset(self.geometry.level(level).page());
        let pfn = Pfn(first.pfn.0 + (offset >> self.page_size().shift()));
        Mapping::Resident(Resident { pfn, ..first })
    }

    pub(super) fn find_large(
        &self,
        platform: &impl TableMemory,
        va: VirtAddr,
    ) -> Option<LargePage> {
        match self.descend(platform, va) {
            Descent::Entry { at, level: LARGE } => Some(self.large_in(platform, at, va)),
            _ => None,
        }
    }

    /// The large page in the entry `at`.
    fn large_in(&self, platform: &impl TableMemory, at: PhysAddr, va: VirtAddr) -> LargePage {
        let size = self.geometry.level(LARGE).page();
        match self.decode_leaf(LARGE, self.read(platform, at)) {
            Mapping::Resident(first) => LargePage { va: va.page_base(size), size, first },
            other => unreachable!("{other:?} in the entry of a large page"),
        }
    }

    pub(super) fn add_large(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        first: Resident,
    ) {
        let at = self.entry_made(platform, frames, va, LARGE);
        debug_assert_eq!(self.read(platform, at), 0, "{va} has a mapping");
        self.write(platform, at, self.encode(LARGE, first));
        frames.add_live(self.frame_of(at), 1);
        let deposit = self.allocate_table(frames);
        self.deposits.push(deposit);
    }

    pub(super) fn split_large(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<(LargePage, FlushDebt)> {
        let Descent::Entry { at, level: LARGE } = self.descend(platform, va) else { return None };
        let large = self.large_in(platform, at, va);
        let table = self.take_deposit();
        let base = table.base(self.page_size());
        let count = 1 << self.geometry.level(BASE).bits;
        for n in 0..count {
            let part = Resident { pfn: Pfn(large.first.pfn.0 + n), ..large.first };
            let entry = PhysAddr(base.0 + n * self.geometry.entry.bytes());
            self.write(platform, entry, self.encode(BASE, part));
        }
        frames.add_live(table, count as i32);
        self.write(platform, at, self.format.encode_table(LARGE, base));
        Some((large, FlushDebt::page(self.asid, large.va, large.size)))
    }

    /// Unmaps the large page in the entry `at`. Returns the first address behind it.
    pub(super) fn clear_large(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        at: PhysAddr,
        va: VirtAddr,
        gather: &mut Gather,
    ) -> Option<VirtAddr> {
        let large = self.large_in(platform, at, va);
        debug_assert_eq!(large.va, va, "callers split a large page that they want a part of");
        self.write(platform, at, 0);
        frames.add_live(self.frame_of(at), -1);
        gather.push(Gathered::Large(large), FlushDebt::page(self.asid, va, large.size));
        self.tables -= 1;
        gather.push(Gathered::Table(self.take_deposit()), FlushDebt::none());
        self.prune(platform, frames, va, gather);
        self.next_span(va, LARGE)
    }

    fn take_deposit(&mut self) -> Pfn {
        self.deposits.pop().expect("every large page has its deposit")
    }
}
