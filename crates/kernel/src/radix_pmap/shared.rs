//! Tables at level 0 that several spaces refer to.
//!
//! ```text
//!   space 1, level 1       level 0               space 2, level 1
//!   ┌────────────┐        ┌───────────┐        ┌────────────┐
//!   │ table   r  ├───────►│ n   rw  D │◄───────┤ table   r  │
//!   └────────────┘        │ slot      │        └────────────┘
//!                         │ empty     │
//!                         └───────────┘
//!   space 2 stores: its copy first, with full rights on the way to it; what both own is read-only
//!   ┌────────────┐        ┌───────────┐        ┌───────────┐        ┌────────────┐
//!   │ table  rw  ├───────►│ n   r     │        │ n   r     │◄───────┤ table  rw  │
//!   └────────────┘        │ slot      │        │ slot      │        └────────────┘
//!                         │ empty     │        │ empty     │
//!                         └───────────┘        └───────────┘
//! ```
//!
//! After a fork this is copy-on-write of tables: a child costs one entry for each table, and most
//! children end or execute another program before they store to most of them (Zhao, Gong, Fonseca,
//! "On-Demand-Fork: A Microsecond Fork for Memory-Intensive and Latency-Sensitive Applications",
//! EuroSys 2021). Tables of memory that is shared anyhow need no copy: what one program brings in,
//! the others find (Linux: `huge_pmd_share`, mm/hugetlb.c).
//!
//! Where the entries that point to tables have a right to store that the hardware asks for (R/W of
//! the x86 formats, APTable of AArch64), it is taken there, and the table stays as it is: if the
//! others go before anybody stores, the last has lost nothing. Elsewhere (RISC-V: "the D, A and U
//! bits are reserved" in such entries, and R and W make them leaves) the entries of private pages
//! lose theirs when the table is shared first.
//!
//! Invariants:
//! 1. `shared` has a table if and only if the frame table knows this space as a sharer of it, and
//!    the entry that points to it says the same table.
//! 2. No space can store to a private page through a table with [`OnWrite::Copy`]: the entry that
//!    points to it forbids it, or the page's own entry.
//! 3. What the pmap says of a page's rights is what both entries together allow.
//! 4. A change of an entry owes flushes for all sharers. A space that begins or ceases to refer to
//!    a table, or that has the right to store again, owes one for all its translations: a
//!    paging-structure cache can hold the pointer, and the rights on the way.

use super::RadixPmap;
use crate::pmap::{Gather, OnWrite, TableShared};
use crate::{AuditError, FlushDebt, FrameTable, Mapping, Platform, Prot, Resident, Use};
use alloc::format;
use core::fmt::Debug;
use pagewalk_mmu::radix::{Entry, Radix};
use pagewalk_mmu::{Level, PageSize, Pfn, PhysAddr, Rights, TableMemory, VirtAddr};

const BASE: Level = Level(0);
/// The level of the entries that point to shared tables.
const ABOVE: Level = Level(1);

/// What a table at level 0 maps, if it is a frame and not the root.
pub(super) fn span(format: &impl Radix) -> Option<PageSize> {
    let geometry = format.geometry();
    let whole = geometry.table_bytes(BASE) == geometry.base_page().bytes();
    let above = geometry.levels.get(ABOVE.0 as usize)?;
    whole.then(|| above.page())
}

impl<F: Radix> RadixPmap<F> {
    #[cold]
    pub(super) fn find_shared(&self, va: VirtAddr) -> Option<TableShared> {
        self.shared.get(&self.table_base(va)).copied()
    }

    pub(super) fn first_shared(&self, from: VirtAddr, to: VirtAddr) -> Option<VirtAddr> {
        if self.shared.is_empty() || from >= to {
            return None;
        }
        self.shared.range(self.table_base(from)..to).next().map(|(&va, _)| va)
    }

    /// The first address that the table of `va` maps.
    fn table_base(&self, va: VirtAddr) -> VirtAddr {
        va.page_base(self.geometry.level(ABOVE).page())
    }

    /// A mapping as the space has it: without stores, if the way to its table forbids them.
    #[inline]
    pub(super) fn seen(&self, level: Level, va: VirtAddr, mapping: Mapping) -> Mapping {
        let mapping = self.part_of(level, va, mapping);
        match mapping {
            Mapping::Resident(now) if !self.shared.is_empty() => {
                Mapping::Resident(self.without_stores_above(va, now))
            }
            _ => mapping,
        }
    }

    #[cold]
    fn without_stores_above(&self, va: VirtAddr, now: Resident) -> Resident {
        match self.find_shared(va) {
            Some(TableShared { table, on_write: OnWrite::Copy })
                if self.read_only(table).is_some() =>
            {
                Resident { prot: now.prot - Prot::WRITE, ..now }
            }
            _ => now,
        }
    }

    /// The entry that points to the table and forbids stores, if the format has such entries.
    fn read_only(&self, table: Pfn) -> Option<u64> {
        self.format.encode_table_read_only(ABOVE, table.base(self.page_size()))
    }

    /// What a change of the leaf that maps `va` owes: if its table is shared, for every sharer.
    #[inline]
    pub(super) fn debt_for_all(
        &self,
        frames: &FrameTable,
        level: Level,
        va: VirtAddr,
    ) -> FlushDebt {
        let own = self.debt_of(level, va);
        if self.shared.is_empty() { own } else { self.with_sharers(frames, va, own) }
    }

    #[cold]
    fn with_sharers(&self, frames: &FrameTable, va: VirtAddr, own: FlushDebt) -> FlushDebt {
        let Some(shared) = self.find_shared(va) else { return own };
        let offset = va.0 - self.table_base(va).0;
        let others = frames.sharers(shared.table).iter().filter(|sharer| sharer.asid != self.asid);
        others.fold(own, |debt, sharer| {
            let va = VirtAddr(sharer.va.0 + offset);
            debt.and(FlushDebt::page(sharer.asid, va, self.page_size()))
        })
    }

    /// The entry that points to the table of `va`, and the table.
    fn pointer_to(&self, platform: &impl TableMemory, va: VirtAddr) -> Option<(PhysAddr, Pfn)> {
        let mut table = self.root;
        for level in (ABOVE.0..=self.geometry.top().0).rev().map(Level) {
            let at = self.entry_at(table, level, va);
            let Entry::Table { next, .. } = self.format.decode(level, self.read(platform, at))
            else {
                return None;
            };
            if level == ABOVE {
                return Some((at, self.frame_of(next)));
            }
            table = next;
        }
        None
    }

    fn pointer(&self, platform: &impl TableMemory, va: VirtAddr) -> (PhysAddr, Pfn) {
        self.pointer_to(platform, va).expect("a table that is, or will be, shared")
    }

    /// What [`Pmap::visit_table`](crate::Pmap::visit_table) says.
    pub(super) fn show_entries(
        &self,
        platform: &impl TableMemory,
        va: VirtAddr,
        show: &mut impl FnMut(VirtAddr, Mapping),
    ) {
        let Some((_, table)) = self.pointer_to(platform, va) else { return };
        let mut va = self.table_base(va);
        for at in self.entries(table) {
            let raw = self.read(platform, at);
            if raw != 0 {
                show(va, self.seen(BASE, va, self.decode_leaf(BASE, raw)));
            }
            va.0 += self.page_size().bytes();
        }
    }

    /// Where the entries of a table are.
    fn entries(&self, table: Pfn) -> impl Iterator<Item = PhysAddr> + use<F> {
        let (base, width) = (table.base(self.page_size()), self.geometry.entry.bytes());
        (0..1 << self.geometry.level(BASE).bits).map(move |n| PhysAddr(base.0 + n * width))
    }
}

impl<F: Radix + Clone + Debug> RadixPmap<F> {
    /// What [`Pmap::begin_sharing`] says.
    pub(super) fn share_own(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        on_write: OnWrite,
    ) -> FlushDebt {
        let (at, table) = self.pointer(platform, va);
        self.shared.insert(self.table_base(va), TableShared { table, on_write });
        match (on_write, self.read_only(table)) {
            (OnWrite::Keep, _) => return FlushDebt::none(),
            (OnWrite::Copy, Some(raw)) => self.write(platform, at, raw),
            (OnWrite::Copy, None) => self.forbid_stores(platform, frames, table),
        }
        FlushDebt::space(self.asid)
    }

    /// Takes the right to store from the entries of private pages, as a fork that copies them does.
    fn forbid_stores(&self, platform: &mut impl Platform, frames: &mut FrameTable, table: Pfn) {
        for at in self.entries(table) {
            let raw = self.read(platform, at);
            if raw == 0 {
                continue;
            }
            if let Mapping::Resident(now) = self.decode_leaf(BASE, raw)
                && matches!(frames.used(now.pfn), Use::Anon { .. })
            {
                frames.note_shared(now.pfn, now.modified);
                let prot = now.prot - Prot::WRITE;
                let new = Resident { prot, modified: false, ..now };
                self.write(platform, at, self.encode(BASE, new));
            }
        }
    }

    /// What [`Pmap::refer_to`] says.
    pub(super) fn share_others(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        shared: TableShared,
    ) {
        let at = self.entry_made(platform, frames, va, ABOVE);
        debug_assert_eq!(self.read(platform, at), 0, "{va} has a table");
        let full = self.format.encode_table(ABOVE, shared.table.base(self.page_size()));
        let raw = match shared.on_write {
            OnWrite::Copy => self.read_only(shared.table).unwrap_or(full),
            OnWrite::Keep => full,
        };
        self.write(platform, at, raw);
        frames.add_live(self.frame_of(at), 1);
        self.tables += 1;
        self.shared.insert(self.table_base(va), shared);
    }

    /// What [`Pmap::copy_table`] says.
    pub(super) fn copy_shared(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        copy: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> (Mapping, Mapping),
    ) -> FlushDebt {
        let mut va = self.table_base(va);
        let (pointer, old) = self.pointer(platform, va);
        self.shared.remove(&va);
        let new = frames.allocate(Use::Table { live: 0 }).expect("the frame was reserved");
        let mut live = 0;
        for (from, to) in self.entries(old).zip(self.entries(new)) {
            let raw = self.read(platform, from);
            let mut copied = 0;
            if raw != 0 {
                let now = self.decode_leaf(BASE, raw);
                let (kept, copy) = copy(frames, va, now);
                if kept != now {
                    self.write(platform, from, self.raw(kept));
                }
                copied = self.raw(copy);
                live += 1;
            }
            self.write(platform, to, copied);
            va.0 += self.page_size().bytes();
        }
        frames.add_live(new, live);
        let raw = self.format.encode_table(ABOVE, new.base(self.page_size()));
        self.write(platform, pointer, raw);
        FlushDebt::space(self.asid)
    }

    fn raw(&self, mapping: Mapping) -> u64 {
        match mapping {
            Mapping::None => 0,
            Mapping::Resident(page) => self.encode(BASE, page),
            Mapping::Swapped(slot) => self.encode_slot(Some(slot)),
        }
    }

    /// What [`Pmap::drop_table`] says.
    pub(super) fn leave_shared(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        gather: &mut Gather,
    ) -> FlushDebt {
        let (at, _) = self.pointer(platform, va);
        self.shared.remove(&self.table_base(va));
        self.write(platform, at, 0);
        frames.add_live(self.frame_of(at), -1);
        self.tables -= 1;
        self.prune(platform, frames, va, gather);
        FlushDebt::space(self.asid)
    }

    /// What [`Pmap::end_sharing`] says.
    pub(super) fn keep_shared(&mut self, platform: &mut impl Platform, va: VirtAddr) -> FlushDebt {
        let (at, table) = self.pointer(platform, va);
        let shared = self.shared.remove(&self.table_base(va));
        let copied = shared.is_some_and(|shared| shared.on_write == OnWrite::Copy);
        if !copied || self.read_only(table).is_none() {
            return FlushDebt::none();
        }
        let raw = self.format.encode_table(ABOVE, table.base(self.page_size()));
        self.write(platform, at, raw);
        FlushDebt::space(self.asid)
    }

    /// What [`Pmap::audit_shared`] says.
    pub(super) fn check_shared(
        &self,
        platform: &impl Platform,
        frames: &FrameTable,
    ) -> Result<u64, AuditError> {
        for (&va, shared) in &self.shared {
            let wrong = |what: &str| Err(AuditError(format!("the shared table of {va}: {what}")));
            let Some((at, table)) = self.pointer_to(platform, va) else {
                return wrong("nothing points to it");
            };
            let sharers = frames.sharers(table);
            if table != shared.table
                || !sharers.iter().any(|sharer| (sharer.asid, sharer.va) == (self.asid, va))
            {
                return wrong("the space is not known as a sharer");
            }
            let Entry::Table { rights, .. } = self.format.decode(ABOVE, self.read(platform, at))
            else {
                return wrong("no pointer");
            };
            let forbids = !rights.contains(Rights::WRITE);
            let expected = shared.on_write == OnWrite::Copy && self.read_only(table).is_some();
            if forbids != expected {
                return wrong("the rights on the way to it");
            }
            let stores = |at: PhysAddr| {
                let raw = self.read(platform, at);
                matches!(self.decode_leaf(BASE, raw), Mapping::Resident(now)
                    if now.prot.contains(Prot::WRITE)
                        && matches!(frames.used(now.pfn), Use::Anon { .. }))
            };
            if !forbids && self.entries(table).any(stores) {
                return wrong("a private page can be stored to");
            }
        }
        Ok(self.shared.len() as u64)
    }
}
