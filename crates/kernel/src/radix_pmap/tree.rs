//! Finding entries, and making and freeing the tables on the way to them.

use super::RadixPmap;
use crate::pmap::{Gather, Gathered, TableInUse};
use crate::{FlushDebt, FrameTable, Platform, Use};
use pagewalk_mmu::radix::{self, Entry, Radix};
use pagewalk_mmu::{Level, PageSize, Pfn, PhysAddr, TableMemory, VirtAddr};

/// What every access to a page table relies on.
const IN_RAM: &str = "page tables lie in RAM";

/// Where a descent ended.
pub(super) enum Descent {
    /// At the entry that maps the address, or would: at level 0, unless a large page is there.
    Entry { at: PhysAddr, level: Level },
    /// The entry at this level is empty; it is in this table.
    Missing { level: Level, table: PhysAddr },
}

/// An entry that is not empty, and the first address of what was asked for that it maps.
pub(super) struct Found {
    pub va: VirtAddr,
    pub at: PhysAddr,
    pub level: Level,
    pub raw: u64,
}

impl<F: Radix> RadixPmap<F> {
    #[inline]
    pub(super) fn page_size(&self) -> PageSize {
        self.geometry.base_page()
    }

    #[inline]
    pub(super) fn read(&self, platform: &impl TableMemory, at: PhysAddr) -> u64 {
        platform.read_entry(at, self.geometry.entry).expect(IN_RAM)
    }

    #[inline]
    pub(super) fn write(&self, platform: &mut impl TableMemory, at: PhysAddr, raw: u64) {
        platform.write_entry(at, self.geometry.entry, raw).expect(IN_RAM);
    }

    /// Where the entry of `va` in a table of `level` is.
    #[inline]
    pub(super) fn entry_at(&self, table: PhysAddr, level: Level, va: VirtAddr) -> PhysAddr {
        let geometry = self.geometry;
        PhysAddr(table.0 + geometry.level(level).index(va) * geometry.entry.bytes())
    }

    /// The frame that an entry is in.
    #[inline]
    pub(super) fn frame_of(&self, entry: PhysAddr) -> Pfn {
        entry.pfn(self.page_size())
    }

    pub(super) fn descend(&self, platform: &impl TableMemory, va: VirtAddr) -> Descent {
        match self.format.descend(platform, self.root, va).expect(IN_RAM) {
            radix::Descent::Entry { at, level } => Descent::Entry { at, level },
            radix::Descent::Missing { level, table } => Descent::Missing { level, table },
            radix::Descent::Invalid(cause) => unreachable!("{va}: the kernel wrote {cause:?}"),
        }
    }

    /// The entry of `va` at `level`, with the tables on the way made if need be.
    pub(super) fn entry_made(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        level: Level,
    ) -> PhysAddr {
        loop {
            match self.descend(platform, va) {
                Descent::Entry { at, level: of } => {
                    debug_assert_eq!(of, level, "{va} lies in a large page");
                    return at;
                }
                Descent::Missing { level: of, table } if of == level => {
                    return self.entry_at(table, level, va);
                }
                Descent::Missing { level: of, table } => {
                    self.add_table(platform, frames, table, of, va);
                }
            }
        }
    }

    /// Makes a table below an empty entry of `parent`.
    pub(super) fn add_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        parent: PhysAddr,
        level: Level,
        va: VirtAddr,
    ) {
        let new = self.allocate_table(frames);
        platform.zero_frame(new);
        let raw = self.format.encode_table(level, new.base(self.page_size()));
        let at = self.entry_at(parent, level, va);
        self.write(platform, at, raw);
        frames.add_live(self.frame_of(at), 1);
    }

    /// A frame for a table, not zeroed. Callers of the pmap reserve frames before they start.
    pub(super) fn allocate_table(&mut self, frames: &mut FrameTable) -> Pfn {
        self.tables += 1;
        frames.allocate(Use::Table { live: 0 }).expect("table frames were reserved")
    }

    /// The first address after the span of the entry of `va` at `level`; `None` at the end of the
    /// 64-bit space.
    pub(super) fn next_span(&self, va: VirtAddr, level: Level) -> Option<VirtAddr> {
        let span = 1 << self.geometry.level(level).shift;
        (va.0 & !(span - 1)).checked_add(span).map(VirtAddr)
    }

    /// The first address after those whose entries at level 0 are in the same frame as that of
    /// `va`; `None` at the end of the 64-bit space.
    pub(super) fn next_frame(&self, va: VirtAddr) -> Option<VirtAddr> {
        let geometry = self.geometry;
        let entries =
            geometry.table_bytes(Level(0)).min(self.page_size().bytes()) / geometry.entry.bytes();
        let span = entries << self.page_size().shift();
        (va.0 & !(span - 1)).checked_add(span).map(VirtAddr)
    }

    /// The first entry in `[from, to)` that maps something.
    pub(super) fn next_entry(
        &self,
        platform: &impl TableMemory,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<Found> {
        let mut va = from;
        while va < to {
            match self.descend(platform, va) {
                Descent::Missing { level, .. } => va = self.next_span(va, level)?,
                Descent::Entry { at, level } if level.0 > 0 => {
                    return Some(Found { va, at, level, raw: self.read(platform, at) });
                }
                Descent::Entry { mut at, level } => {
                    let frame_end = self.next_frame(va)?;
                    while va < to && va < frame_end {
                        let raw = self.read(platform, at);
                        if raw != 0 {
                            return Some(Found { va, at, level, raw });
                        }
                        va.0 += self.page_size().bytes();
                        at.0 += self.geometry.entry.bytes();
                    }
                }
            }
        }
        None
    }

    /// Frees the tables on the way to `va` that are empty, from the lowest up.
    pub(super) fn prune(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        gather: &mut Gather,
    ) {
        let geometry = self.geometry;
        let kept = if self.preloads(platform) { geometry.top().0 } else { geometry.top().0 + 1 };
        for level in (1..kept).map(Level) {
            // The parent is the table of `level` on the way to `va`; all above it exist.
            let mut parent = self.root;
            for above in (level.0 + 1..=geometry.top().0).rev().map(Level) {
                let raw = self.read(platform, self.entry_at(parent, above, va));
                let Entry::Table { next, .. } = self.format.decode(above, raw) else { return };
                parent = next;
            }
            let at = self.entry_at(parent, level, va);
            let raw = self.read(platform, at);
            // Where a large page was, the lowest table is the parent itself.
            let Entry::Table { next, .. } = self.format.decode(level, raw) else { continue };
            let child = next.pfn(self.page_size());
            if frames.live(child) > 0 {
                return;
            }
            self.write(platform, at, 0);
            frames.add_live(self.frame_of(at), -1);
            self.tables -= 1;
            // A paging-structure cache can hold the pointer for every page below it.
            gather.push(Gathered::Table(child), FlushDebt::space(self.asid));
        }
    }

    /// Whether an entry of the top table for `va` (as its index says, without the sign) is the
    /// kernel's.
    pub(super) fn is_kernels(&self, va: VirtAddr) -> bool {
        let bits = self.geometry.va_bits;
        self.kernel.is_some_and(|base| va.0 >= base.0 & (u64::MAX >> (64 - bits)))
    }

    /// Whether the processor holds the top entries in registers.
    fn preloads(&self, platform: &impl TableMemory) -> bool {
        let root = self.format.load_root(platform, self.root);
        root.is_ok_and(|root| root.registers.is_some())
    }

    /// Shows the frames of a table, whose first entry is that of `va`, and of all below it.
    pub(super) fn visit_below(
        &self,
        platform: &impl Platform,
        table: PhysAddr,
        level: Level,
        va: VirtAddr,
        visit: &mut dyn FnMut(TableInUse),
    ) {
        let geometry = self.geometry;
        let (width, page) = (geometry.entry.bytes() as usize, self.page_size().bytes());
        let end = table.0 + geometry.table_bytes(level);
        let entries = |from, to| (from..to).step_by(width).map(PhysAddr);
        for frame in (table.0..end).step_by(page as usize) {
            let within = entries(frame, end.min(frame + page));
            let live = within.filter(|&at| self.read(platform, at) != 0).count() as u32;
            visit(TableInUse { pfn: self.frame_of(PhysAddr(frame)), live });
        }
        if level.0 == 0 {
            return;
        }
        for (index, at) in (0..).zip(entries(table.0, end)) {
            let va = VirtAddr(va.0 | index << geometry.level(level).shift);
            if self.is_kernels(va) {
                return;
            }
            if let Entry::Table { next, .. } = self.format.decode(level, self.read(platform, at)) {
                self.visit_below(platform, next, Level(level.0 - 1), va, visit);
            }
        }
    }
}
