//! The radix formats as a [`Pmap`]: page tables in frames, swap slots in absent entries.
//!
//! Invariants:
//! 1. A table's frame counts its entries that are not empty (`live`). A table between the top and
//!    level 0 is never empty, except those that the processor keeps in registers; a table at level 0
//!    can be empty until its range is unmapped. The top table can take several frames in a row:
//!    each counts its own entries.
//! 2. A leaf is at level 0, or it is a large page at level 1, for which a table's frame is in
//!    `deposits`.
//! 3. A table at level 0 has one entry that points to it, unless it is shared (`shared.rs`).
//! 4. Where the processor holds the top entries in registers (PAE), all tables below the top exist
//!    from the start, so that the registers never go stale.

mod entry;
mod large;
mod share;
mod shared;
mod tree;

pub(crate) use entry::{prot_of, rights_of};

use crate::pmap::{Gather, Gathered, OnWrite, TableInUse, TableShared, Unmapped};
use crate::{
    AuditError, FlushDebt, FrameTable, KernelMap, KernelMapping, LargePage, Mapping, Platform,
    Pmap, Prot, Resident, SwapSlot, Use, kernel_map,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use entry::KIND_BITS;
use pagewalk_mmu::radix::{Entry, Format, Geometry, Radix};
use pagewalk_mmu::{Asid, Level, PageSize, Pfn, PhysAddr, TableMemory, VirtAddr};
use tree::{Descent, Found};

/// A radix tree.
#[derive(Clone, Debug)]
pub struct RadixPmap<F = Format> {
    format: F,
    /// The format's, which is asked for all the time.
    geometry: Geometry,
    root: PhysAddr,
    asid: Asid,
    /// Frames of the space's tables, root and deposits included.
    tables: u64,
    /// Frames for the tables that splitting the large pages takes.
    deposits: Vec<Pfn>,
    /// The tables at level 0 that others refer to as well, by the first address that they map.
    shared: BTreeMap<VirtAddr, TableShared>,
    /// Where the kernel's part begins, if the space shares it: its tables are not the space's.
    kernel: Option<VirtAddr>,
}

/// Memory of zeroes, to ask a format about its root before there is any.
struct Zeroes;

impl TableMemory for Zeroes {
    fn read_entry(
        &self,
        _: PhysAddr,
        _: pagewalk_mmu::EntryWidth,
    ) -> Result<u64, pagewalk_mmu::OutOfMemory> {
        Ok(0)
    }

    fn write_entry(
        &mut self,
        _: PhysAddr,
        _: pagewalk_mmu::EntryWidth,
        _: u64,
    ) -> Result<(), pagewalk_mmu::OutOfMemory> {
        Ok(())
    }
}

/// How many tables below the top exist from the start.
fn tables_preloaded(format: &impl Radix) -> u64 {
    let root = format.load_root(&Zeroes, PhysAddr(0));
    root.ok().and_then(|root| root.registers).map_or(0, |registers| registers.len() as u64)
}

impl<F: Radix> RadixPmap<F> {
    /// What a change of the leaf of `level` that maps `va` owes.
    fn debt_of(&self, level: Level, va: VirtAddr) -> FlushDebt {
        let size = self.geometry.level(level).page();
        FlushDebt::page(self.asid, va.page_base(size), size)
    }

    /// Rewrites the leaf that maps `va`.
    fn update(
        &self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
        change: impl FnOnce(&mut Resident),
    ) -> FlushDebt {
        let Descent::Entry { at, level } = self.descend(platform, va) else {
            return FlushDebt::none();
        };
        let Mapping::Resident(mut page) = self.decode_leaf(level, self.read(platform, at)) else {
            return FlushDebt::none();
        };
        let before = page;
        change(&mut page);
        if page == before {
            return FlushDebt::none();
        }
        self.write(platform, at, self.encode(level, page));
        self.debt_for_all(frames, level, va)
    }
}

impl<F: Radix + Clone + core::fmt::Debug> Pmap for RadixPmap<F> {
    type Hardware = F;

    fn page(hardware: &F) -> PageSize {
        hardware.geometry().base_page()
    }

    fn frames_max(hardware: &F) -> u64 {
        let geometry = hardware.geometry();
        let page_shift = geometry.base_page().shift();
        // A root can have fewer bits than an entry's frame (PAE: CR3 has 32; R3000: kseg0 is the
        // lowest 512 MiB), and any frame can become a root.
        let is_refused = |bits: &u8| hardware.load_root(&Zeroes, PhysAddr(1 << bits)).is_err();
        let bits = (page_shift..geometry.pa_bits).find(is_refused);
        1 << (bits.unwrap_or(geometry.pa_bits) - page_shift)
    }

    fn user_end_max(hardware: &F) -> VirtAddr {
        let bits = hardware.geometry().va_bits;
        let half = VirtAddr(1 << (bits - 1));
        match hardware.check_address(half) {
            Ok(()) => VirtAddr(1 << bits),
            Err(_) => half,
        }
    }

    fn slots_max(hardware: &F) -> u64 {
        1 << (hardware.absent_bits() - KIND_BITS).min(31)
    }

    fn kernel_window(hardware: &F) -> Option<(VirtAddr, u64)> {
        kernel_map::window(hardware)
    }

    fn kernel_tables(hardware: &F, bytes: u64) -> u64 {
        kernel_map::tables(hardware, bytes)
    }

    fn build_kernel(
        hardware: &F,
        platform: &mut impl Platform,
        mapping: KernelMapping,
        first: Pfn,
        bytes: u64,
    ) -> Option<KernelMap> {
        kernel_map::build(hardware, platform, mapping, first, bytes)
    }

    fn share_kernel(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        map: &KernelMap,
    ) {
        self.tables -= kernel_map::share(&self.format, platform, frames, self.root, map);
        self.kernel = Some(map.base);
        // The processor may hold the top entries in registers.
        platform.root_changed(self.asid, self.root);
    }

    fn map_itself(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
    ) -> Option<VirtAddr> {
        let raw = self.format.encode_self_map(self.root)?;
        let geometry = self.geometry;
        let shape = geometry.level(geometry.top());
        let index = (1 << shape.bits) - 1;
        let at = PhysAddr(self.root.0 + index * geometry.entry.bytes());
        if self.read(platform, at) != 0 {
            return None;
        }
        // Where there is a sign it is set in the last entry's addresses.
        let signed = u64::MAX << shape.shift;
        let va = match self.format.check_address(VirtAddr(signed)) {
            Ok(()) => VirtAddr(signed),
            Err(_) => VirtAddr(index << shape.shift),
        };
        self.write(platform, at, raw);
        frames.add_live(self.frame_of(at), 1);
        self.kernel = Some(self.kernel.map_or(va, |kernel| kernel.min(va)));
        Some(va)
    }

    fn tables_initial(hardware: &F) -> u64 {
        Self::root_frames(hardware) + tables_preloaded(hardware)
    }

    fn root_frames(hardware: &F) -> u64 {
        let geometry = hardware.geometry();
        geometry.table_bytes(geometry.top()).div_ceil(geometry.base_page().bytes())
    }

    /// A table of a single level may lie anywhere.
    fn root_alignment(hardware: &F) -> u64 {
        if hardware.geometry().top() == Level(0) { 1 } else { Self::root_frames(hardware) }
    }

    fn tables_per_path(hardware: &F) -> u64 {
        u64::from(hardware.geometry().top().0) - u64::from(tables_preloaded(hardware) > 0)
    }

    fn create(
        hardware: &F,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        asid: Asid,
    ) -> Self {
        let tables = Self::root_frames(hardware);
        let align = Self::root_alignment(hardware) as u32;
        let first = frames.allocate_run(tables as u32, align, Use::Table { live: 0 });
        let first = first.expect("the frames of the root were reserved in a row");
        (first.0..first.0 + tables).for_each(|pfn| platform.zero_frame(Pfn(pfn)));
        let root = first.base(Self::page(hardware));
        let (deposits, shared, kernel) = (Vec::new(), BTreeMap::new(), None);
        let (format, geometry) = (hardware.clone(), *hardware.geometry());
        let mut pmap = Self { format, geometry, root, asid, tables, deposits, shared, kernel };
        let top = hardware.geometry().top();
        for index in 0..tables_preloaded(hardware) {
            let va = VirtAddr(index << hardware.geometry().level(top).shift);
            pmap.add_table(platform, frames, root, top, va);
        }
        platform.root_changed(asid, root);
        pmap
    }

    fn root(&self) -> PhysAddr {
        self.root
    }

    fn tables(&self) -> u64 {
        self.tables
    }

    fn destroy(self, platform: &mut impl Platform, frames: &mut FrameTable) {
        let page = self.page_size();
        let top = self.geometry.top();
        for index in 0..tables_preloaded(&self.format) {
            let va = VirtAddr(index << self.geometry.level(top).shift);
            if self.is_kernels(va) {
                continue;
            }
            let raw = self.read(platform, self.entry_at(self.root, top, va));
            if let Entry::Table { next, .. } = self.format.decode(top, raw) {
                frames.release(next.pfn(page));
            }
        }
        let root = self.root.pfn(page).0;
        let frames_of_root = root..root + Self::root_frames(&self.format);
        frames_of_root.rev().for_each(|pfn| frames.release(Pfn(pfn)));
    }

    fn lookup(&self, platform: &impl Platform, va: VirtAddr) -> Mapping {
        match self.descend(platform, va) {
            Descent::Entry { at, level } => {
                self.seen(level, va, self.decode_leaf(level, self.read(platform, at)))
            }
            Descent::Missing { .. } => Mapping::None,
        }
    }

    fn table(&self, platform: &impl Platform, va: VirtAddr, level: Level) -> Option<Pfn> {
        let mut table = self.root;
        for above in (level.0 + 1..=self.geometry.top().0).rev().map(Level) {
            let raw = self.read(platform, self.entry_at(table, above, va));
            match self.format.decode(above, raw) {
                Entry::Table { next, .. } => table = next,
                _ => return None,
            }
        }
        // A table larger than a frame has the frame that the entry is in.
        Some(self.entry_at(table, level, va).pfn(self.page_size()))
    }

    fn tables_missing(&self, platform: &impl Platform, va: VirtAddr) -> u64 {
        match self.descend(platform, va) {
            Descent::Entry { .. } => 0,
            Descent::Missing { level, .. } => u64::from(level.0),
        }
    }

    fn enter(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        new: Resident,
    ) {
        let at = self.entry_made(platform, frames, va, Level(0));
        let old = self.read(platform, at);
        debug_assert!(
            !matches!(self.decode_leaf(Level(0), old), Mapping::Resident(_)),
            "{va} is mapped"
        );
        if old == 0 {
            frames.add_live(self.frame_of(at), 1);
        }
        self.write(platform, at, self.encode(Level(0), new));
    }

    fn large_page(hardware: &F) -> Option<PageSize> {
        large::large_page(hardware)
    }

    fn large_at(&self, platform: &impl Platform, va: VirtAddr) -> Option<LargePage> {
        self.find_large(platform, va)
    }

    fn has_room_for_large(&self, platform: &impl Platform, va: VirtAddr) -> bool {
        matches!(self.descend(platform, va), Descent::Missing { .. })
    }

    fn enter_large(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        first: Resident,
    ) {
        self.add_large(platform, frames, va, first);
    }

    fn split(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<(LargePage, FlushDebt)> {
        self.split_large(platform, frames, va)
    }

    fn evict(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: Option<SwapSlot>,
    ) -> Option<Unmapped> {
        let Descent::Entry { at, level } = self.descend(platform, va) else { return None };
        debug_assert_eq!(level, Level(0), "{va} is evicted out of a large page");
        let Mapping::Resident(was) = self.decode_leaf(level, self.read(platform, at)) else {
            return None;
        };
        self.write(platform, at, self.encode_slot(slot));
        if slot.is_none() {
            frames.add_live(self.frame_of(at), -1);
        }
        Some(Unmapped::new(self.debt_for_all(frames, level, va), was))
    }

    fn take_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<SwapSlot> {
        let Descent::Entry { at, level } = self.descend(platform, va) else { return None };
        let Mapping::Swapped(slot) = self.decode_leaf(level, self.read(platform, at)) else {
            return None;
        };
        self.write(platform, at, 0);
        frames.add_live(self.frame_of(at), -1);
        Some(slot)
    }

    fn put_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: SwapSlot,
    ) {
        let at = self.entry_made(platform, frames, va, Level(0));
        debug_assert_eq!(self.read(platform, at), 0, "{va} has a mapping");
        self.write(platform, at, self.encode_slot(Some(slot)));
        frames.add_live(self.frame_of(at), 1);
    }

    fn clear_range(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        gather: &mut Gather,
    ) -> Option<VirtAddr> {
        let mut va = from;
        while va < to {
            let mut at = match self.descend(platform, va) {
                Descent::Entry { at, level } if level.0 > 0 => {
                    if gather.is_full() {
                        return Some(va);
                    }
                    va = self.clear_large(platform, frames, at, va, gather)?;
                    continue;
                }
                Descent::Entry { at, .. } => at,
                Descent::Missing { level, .. } => {
                    va = self.next_span(va, level)?;
                    continue;
                }
            };
            let (within, table) = (va, self.frame_of(at));
            let frame_end = self.next_frame(va);
            while va < to && Some(va) != frame_end && frames.live(table) > 0 {
                let raw = self.read(platform, at);
                if raw != 0 {
                    if gather.is_full() {
                        return Some(va);
                    }
                    self.write(platform, at, 0);
                    frames.add_live(table, -1);
                    match self.decode_leaf(Level(0), raw) {
                        Mapping::Resident(was) => gather.push(
                            Gathered::Page { va, was },
                            self.debt_for_all(frames, Level(0), va),
                        ),
                        Mapping::Swapped(slot) => {
                            gather.push(Gathered::Slot { va, slot }, FlushDebt::none());
                        }
                        Mapping::None => unreachable!("an entry that is not empty"),
                    }
                }
                va.0 += self.page_size().bytes();
                at.0 += self.geometry.entry.bytes();
            }
            // A table that others refer to as well stays with them, and here.
            if frames.live(table) == 0 && self.shared_at(within).is_none() {
                self.prune(platform, frames, within, gather);
            }
            va = frame_end?;
        }
        None
    }

    fn protect_range(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        prot: &mut dyn FnMut(Pfn) -> Prot,
    ) -> FlushDebt {
        let mut debt = FlushDebt::none();
        let mut next = Some(from);
        while let Some(found) = next.and_then(|from| self.next_entry(platform, from, to)) {
            let Found { va, at, level, raw } = found;
            if let Mapping::Resident(page) = self.decode_leaf(level, raw) {
                let new = self.encode(level, Resident { prot: prot(page.pfn), ..page });
                if new != raw {
                    self.write(platform, at, new);
                    debt = debt.and(self.debt_for_all(frames, level, va));
                }
            }
            next = self.next_span(va, level);
        }
        debt
    }

    fn share_range(
        &mut self,
        child: &mut Self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        range: (VirtAddr, VirtAddr),
        share: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> Mapping,
    ) -> (Option<VirtAddr>, FlushDebt) {
        self.share_entries(child, platform, frames, range, share)
    }

    fn next_mapping(
        &self,
        platform: &impl Platform,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<(VirtAddr, Mapping)> {
        let Found { va, level, raw, .. } = self.next_entry(platform, from, to)?;
        Some((va, self.seen(level, va, self.decode_leaf(level, raw))))
    }

    fn take_referenced(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt> {
        let mut was = false;
        let debt = self.update(platform, frames, va, |page| {
            was = core::mem::take(&mut page.referenced);
        });
        if was { Some(debt) } else { None }
    }

    fn take_modified(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt> {
        let mut was = false;
        let debt =
            self.update(platform, frames, va, |page| was = core::mem::take(&mut page.modified));
        if was { Some(debt) } else { None }
    }

    fn touch(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        store: bool,
    ) -> FlushDebt {
        self.update(platform, frames, va, |page| {
            page.referenced = true;
            page.modified |= store;
        })
    }

    fn shared_span(hardware: &F) -> Option<PageSize> {
        shared::span(hardware)
    }

    #[inline]
    fn shared_at(&self, va: VirtAddr) -> Option<TableShared> {
        if self.shared.is_empty() { None } else { self.find_shared(va) }
    }

    fn next_shared(&self, from: VirtAddr, to: VirtAddr) -> Option<VirtAddr> {
        self.first_shared(from, to)
    }

    fn visit_table(
        &self,
        platform: &impl Platform,
        va: VirtAddr,
        show: &mut impl FnMut(VirtAddr, Mapping),
    ) {
        self.show_entries(platform, va, show);
    }

    fn begin_sharing(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        on_write: OnWrite,
    ) -> FlushDebt {
        self.share_own(platform, frames, va, on_write)
    }

    fn refer_to(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        shared: TableShared,
    ) {
        self.share_others(platform, frames, va, shared);
    }

    fn copy_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        copy: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> (Mapping, Mapping),
    ) -> FlushDebt {
        self.copy_shared(platform, frames, va, copy)
    }

    fn drop_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        gather: &mut Gather,
    ) -> FlushDebt {
        self.leave_shared(platform, frames, va, gather)
    }

    fn end_sharing(&mut self, platform: &mut impl Platform, va: VirtAddr) -> FlushDebt {
        self.keep_shared(platform, va)
    }

    fn audit_shared(
        &self,
        platform: &impl Platform,
        frames: &FrameTable,
    ) -> Result<u64, AuditError> {
        self.check_shared(platform, frames)
    }

    fn visit_tables(&self, platform: &impl Platform, visit: &mut dyn FnMut(TableInUse)) {
        let top = self.geometry.top();
        self.visit_below(platform, self.root, top, VirtAddr(0), visit);
        self.deposits.iter().for_each(|&pfn| visit(TableInUse { pfn, live: 0 }));
    }
}
