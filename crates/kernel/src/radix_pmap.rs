//! The radix formats as a [`Pmap`]: page tables in frames, swap slots in absent entries.
//!
//! ```text
//!   absent entry, as the format's software bits (`Radix::encode_absent`):
//!      n        2 1      0
//!     ┌──────────┬────────┐
//!     │   slot   │ device │     device 0: the entry is empty; device 1: the swap device
//!     └──────────┴────────┘
//! ```
//!
//! Invariants:
//! 1. A table's frame counts its entries that are not empty (`live`). A table between the top and
//!    level 0 is never empty, except those that the processor keeps in registers; a table at level 0
//!    can be empty until its range is unmapped. The top table can take several frames in a row:
//!    each counts its own entries.
//! 2. All leaves are base pages.
//! 3. Where the processor holds the top entries in registers (PAE), all tables below the top exist
//!    from the start, so that the registers never go stale.
//!
//! A page that its region forbids altogether (PROT_NONE) stays mapped as a page of the supervisor:
//! all formats can say that, and the program faults.

use crate::pmap::{Gather, Gathered, TableInUse, Unmapped};
use crate::{
    FlushDebt, FrameTable, KernelMap, KernelMapping, Mapping, Platform, Pmap, Prot, Resident,
    SwapSlot, Use, kernel_map,
};
use pagewalk_mmu::radix::{Entry, Format, Leaf, Radix};
use pagewalk_mmu::{Asid, Level, PageSize, Pfn, PhysAddr, Rights, TableMemory, VirtAddr};

/// Bits of an absent entry that name the device.
const DEVICE_BITS: u8 = 2;
/// The swap device.
const SWAP_DEVICE: u64 = 1;

/// What every access to a page table relies on.
const IN_RAM: &str = "page tables lie in RAM";

/// A radix tree.
#[derive(Clone, Debug)]
pub struct RadixPmap<F = Format> {
    format: F,
    root: PhysAddr,
    asid: Asid,
    /// Tables of the space, the root included.
    tables: u64,
    /// Where the kernel's part begins, if the space shares it: its tables are not the space's.
    kernel: Option<VirtAddr>,
}

/// Where a descent ended.
enum Descent {
    /// At level 0: the entry of the address.
    Entry { at: PhysAddr },
    /// The entry at this level is empty; it is in this table.
    Missing { level: Level, table: PhysAddr },
}

impl<F: Radix + Clone + core::fmt::Debug> RadixPmap<F> {
    fn page_size(&self) -> PageSize {
        self.format.geometry().base_page()
    }

    fn read(&self, platform: &impl TableMemory, at: PhysAddr) -> u64 {
        platform.read_entry(at, self.format.geometry().entry).expect(IN_RAM)
    }

    fn write(&self, platform: &mut impl TableMemory, at: PhysAddr, raw: u64) {
        platform.write_entry(at, self.format.geometry().entry, raw).expect(IN_RAM);
    }

    /// Where the entry of `va` in a table of `level` is.
    fn entry_at(&self, table: PhysAddr, level: Level, va: VirtAddr) -> PhysAddr {
        let geometry = self.format.geometry();
        PhysAddr(table.0 + geometry.level(level).index(va) * geometry.entry.bytes())
    }

    fn descend(&self, platform: &impl TableMemory, va: VirtAddr) -> Descent {
        let mut table = self.root;
        let mut level = self.format.geometry().top();
        loop {
            let at = self.entry_at(table, level, va);
            if level.0 == 0 {
                return Descent::Entry { at };
            }
            match self.format.decode(level, self.read(platform, at)) {
                Entry::Table { next, .. } => table = next,
                Entry::NotPresent => return Descent::Missing { level, table },
                other => unreachable!("{other:?} where the kernel writes only tables"),
            }
            level = Level(level.0 - 1);
        }
    }

    /// The entry of `va` at level 0, with the tables on the way made if need be.
    fn entry_made(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> PhysAddr {
        loop {
            match self.descend(platform, va) {
                Descent::Entry { at } => return at,
                Descent::Missing { level, table } => {
                    self.add_table(platform, frames, table, level, va);
                }
            }
        }
    }

    fn add_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        parent: PhysAddr,
        level: Level,
        va: VirtAddr,
    ) {
        let new = new_table(platform, frames);
        let raw = self.format.encode_table(level, new.base(self.page_size()));
        let at = self.entry_at(parent, level, va);
        self.write(platform, at, raw);
        frames.add_live(self.frame_of(at), 1);
        self.tables += 1;
    }

    /// The frame that an entry is in.
    fn frame_of(&self, entry: PhysAddr) -> Pfn {
        entry.pfn(self.page_size())
    }

    fn decode_leaf(&self, raw: u64) -> Mapping {
        match self.format.decode(Level(0), raw) {
            Entry::Leaf(leaf) => Mapping::Resident(Resident {
                pfn: leaf.pfn,
                prot: prot_of(self.format.granted(&leaf, raw)),
                referenced: leaf.accessed,
                modified: leaf.dirty,
            }),
            Entry::NotPresent => {
                let payload = self.format.decode_absent(raw);
                if payload == 0 {
                    return Mapping::None;
                }
                debug_assert_eq!(payload & ((1 << DEVICE_BITS) - 1), SWAP_DEVICE);
                Mapping::Swapped(SwapSlot((payload >> DEVICE_BITS) as u32))
            }
            other => unreachable!("{other:?} at level 0, where the kernel writes only leaves"),
        }
    }

    fn encode(&self, new: Resident) -> u64 {
        let leaf = Leaf {
            pfn: new.pfn,
            rights: rights_of(new.prot),
            global: false,
            accessed: new.referenced,
            dirty: new.modified,
            cache_disable: false,
            write_through: false,
        };
        self.format.encode_leaf(Level(0), leaf)
    }

    fn encode_slot(&self, slot: Option<SwapSlot>) -> u64 {
        let payload = slot.map_or(0, |slot| u64::from(slot.0) << DEVICE_BITS | SWAP_DEVICE);
        self.format.encode_absent(payload)
    }

    /// The first address after the span of the entry of `va` at `level`; `None` at the end of the
    /// 64-bit space.
    fn next_span(&self, va: VirtAddr, level: Level) -> Option<VirtAddr> {
        let span = 1 << self.format.geometry().level(level).shift;
        (va.0 & !(span - 1)).checked_add(span).map(VirtAddr)
    }

    /// The first address after those whose entries at level 0 are in the same frame as that of
    /// `va`; `None` at the end of the 64-bit space.
    fn next_frame(&self, va: VirtAddr) -> Option<VirtAddr> {
        let geometry = self.format.geometry();
        let entries =
            geometry.table_bytes(Level(0)).min(self.page_size().bytes()) / geometry.entry.bytes();
        let span = entries << self.page_size().shift();
        (va.0 & !(span - 1)).checked_add(span).map(VirtAddr)
    }

    /// The first entry at level 0 in `[from, to)` that is not empty.
    fn next_entry(
        &self,
        platform: &impl TableMemory,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<(VirtAddr, PhysAddr, u64)> {
        let mut va = from;
        while va < to {
            match self.descend(platform, va) {
                Descent::Missing { level, .. } => va = self.next_span(va, level)?,
                Descent::Entry { mut at } => {
                    let frame_end = self.next_frame(va)?;
                    while va < to && va < frame_end {
                        let raw = self.read(platform, at);
                        if raw != 0 {
                            return Some((va, at, raw));
                        }
                        va.0 += self.page_size().bytes();
                        at.0 += self.format.geometry().entry.bytes();
                    }
                }
            }
        }
        None
    }

    /// Frees the tables on the way to `va` that are empty, from the lowest up.
    fn prune(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        gather: &mut Gather,
    ) {
        let geometry = self.format.geometry();
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
            let Entry::Table { next, .. } = self.format.decode(level, raw) else { return };
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
    fn is_kernels(&self, va: VirtAddr) -> bool {
        let bits = self.format.geometry().va_bits;
        self.kernel.is_some_and(|base| va.0 >= base.0 & (u64::MAX >> (64 - bits)))
    }

    /// Whether the processor holds the top entries in registers.
    fn preloads(&self, platform: &impl TableMemory) -> bool {
        let root = self.format.load_root(platform, self.root);
        root.is_ok_and(|root| root.registers.is_some())
    }

    /// Rewrites the leaf of a resident page.
    fn update(
        &self,
        platform: &mut impl Platform,
        va: VirtAddr,
        change: impl FnOnce(&mut Resident),
    ) -> FlushDebt {
        let Descent::Entry { at } = self.descend(platform, va) else {
            return FlushDebt::none();
        };
        let Mapping::Resident(mut page) = self.decode_leaf(self.read(platform, at)) else {
            return FlushDebt::none();
        };
        let before = page;
        change(&mut page);
        if page == before {
            return FlushDebt::none();
        }
        self.write(platform, at, self.encode(page));
        FlushDebt::page(self.asid, va, self.page_size())
    }
}

/// A zeroed table. Callers reserve the frames they need before they start.
fn new_table(platform: &mut impl Platform, frames: &mut FrameTable) -> Pfn {
    let new = frames.allocate(Use::Table { live: 0 }).expect("table frames were reserved");
    platform.zero_frame(new);
    new
}

/// What the hardware is asked to grant.
pub(crate) fn rights_of(prot: Prot) -> Rights {
    if prot.is_empty() {
        return Rights::READ;
    }
    let mut rights = Rights::USER;
    rights.set(Rights::READ, prot.intersects(Prot::READ | Prot::WRITE));
    rights.set(Rights::WRITE, prot.contains(Prot::WRITE));
    rights.set(Rights::EXECUTE, prot.contains(Prot::EXEC));
    rights
}

/// What the hardware's rights let the program do.
pub(crate) fn prot_of(rights: Rights) -> Prot {
    let mut prot = Prot::empty();
    if rights.contains(Rights::USER) {
        prot.set(Prot::READ, rights.contains(Rights::READ));
        prot.set(Prot::WRITE, rights.contains(Rights::WRITE));
        prot.set(Prot::EXEC, rights.contains(Rights::EXECUTE));
    }
    prot
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
        1 << (hardware.absent_bits() - DEVICE_BITS).min(31)
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
        platform.load_root(self.asid, self.root);
    }

    fn map_itself(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
    ) -> Option<VirtAddr> {
        let raw = self.format.encode_self_map(self.root)?;
        let geometry = self.format.geometry();
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
        let first = frames.allocate_run(tables as u32, Use::Table { live: 0 });
        let first = first.expect("the frames of the root were reserved in a row");
        (first.0..first.0 + tables).for_each(|pfn| platform.zero_frame(Pfn(pfn)));
        let root = first.base(Self::page(hardware));
        let mut pmap = Self { format: hardware.clone(), root, asid, tables, kernel: None };
        let top = hardware.geometry().top();
        for index in 0..tables_preloaded(hardware) {
            let va = VirtAddr(index << hardware.geometry().level(top).shift);
            pmap.add_table(platform, frames, root, top, va);
        }
        platform.load_root(asid, root);
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
        let top = self.format.geometry().top();
        for index in 0..tables_preloaded(&self.format) {
            let va = VirtAddr(index << self.format.geometry().level(top).shift);
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
            Descent::Entry { at } => self.decode_leaf(self.read(platform, at)),
            Descent::Missing { .. } => Mapping::None,
        }
    }

    fn table(&self, platform: &impl Platform, va: VirtAddr) -> Option<Pfn> {
        match self.descend(platform, va) {
            Descent::Entry { at, .. } => Some(at.pfn(self.page_size())),
            Descent::Missing { .. } => None,
        }
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
        let at = self.entry_made(platform, frames, va);
        let old = self.read(platform, at);
        debug_assert!(!matches!(self.decode_leaf(old), Mapping::Resident(_)), "{va} is mapped");
        if old == 0 {
            frames.add_live(self.frame_of(at), 1);
        }
        self.write(platform, at, self.encode(new));
    }

    fn evict(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: Option<SwapSlot>,
    ) -> Option<Unmapped> {
        let Descent::Entry { at } = self.descend(platform, va) else { return None };
        let Mapping::Resident(was) = self.decode_leaf(self.read(platform, at)) else {
            return None;
        };
        self.write(platform, at, self.encode_slot(slot));
        if slot.is_none() {
            frames.add_live(self.frame_of(at), -1);
        }
        Some(Unmapped::new(FlushDebt::page(self.asid, va, self.page_size()), was))
    }

    fn take_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<SwapSlot> {
        let Descent::Entry { at } = self.descend(platform, va) else { return None };
        let Mapping::Swapped(slot) = self.decode_leaf(self.read(platform, at)) else {
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
        let at = self.entry_made(platform, frames, va);
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
                Descent::Entry { at } => at,
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
                    match self.decode_leaf(raw) {
                        Mapping::Resident(was) => gather.push(
                            Gathered::Page { va, was },
                            FlushDebt::page(self.asid, va, self.page_size()),
                        ),
                        Mapping::Swapped(slot) => {
                            gather.push(Gathered::Slot(slot), FlushDebt::none());
                        }
                        Mapping::None => unreachable!("an entry that is not empty"),
                    }
                }
                va.0 += self.page_size().bytes();
                at.0 += self.format.geometry().entry.bytes();
            }
            if frames.live(table) == 0 {
                self.prune(platform, frames, within, gather);
            }
            va = frame_end?;
        }
        None
    }

    fn protect_range(
        &mut self,
        platform: &mut impl Platform,
        from: VirtAddr,
        to: VirtAddr,
        prot: &mut dyn FnMut(Pfn) -> Prot,
    ) -> FlushDebt {
        let mut debt = FlushDebt::none();
        let mut next = from;
        while let Some((va, at, raw)) = self.next_entry(platform, next, to) {
            if let Mapping::Resident(page) = self.decode_leaf(raw) {
                let new = self.encode(Resident { prot: prot(page.pfn), ..page });
                if new != raw {
                    self.write(platform, at, new);
                    debt = debt.and(FlushDebt::page(self.asid, va, self.page_size()));
                }
            }
            next = VirtAddr(va.0 + self.page_size().bytes());
        }
        debt
    }

    fn next_mapping(
        &self,
        platform: &impl Platform,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<(VirtAddr, Mapping)> {
        self.next_entry(platform, from, to).map(|(va, _, raw)| (va, self.decode_leaf(raw)))
    }

    fn take_referenced(&mut self, platform: &mut impl Platform, va: VirtAddr) -> Option<FlushDebt> {
        let mut was = false;
        let debt = self.update(platform, va, |page| {
            was = core::mem::take(&mut page.referenced);
        });
        if was { Some(debt) } else { None }
    }

    fn take_modified(&mut self, platform: &mut impl Platform, va: VirtAddr) -> Option<FlushDebt> {
        let mut was = false;
        let debt = self.update(platform, va, |page| was = core::mem::take(&mut page.modified));
        if was { Some(debt) } else { None }
    }

    fn touch(
        &mut self,
        platform: &mut impl Platform,
        _: &mut FrameTable,
        va: VirtAddr,
        store: bool,
    ) -> FlushDebt {
        self.update(platform, va, |page| {
            page.referenced = true;
            page.modified |= store;
        })
    }

    fn visit_tables(&self, platform: &impl Platform, visit: &mut dyn FnMut(TableInUse)) {
        let top = self.format.geometry().top();
        self.visit_below(platform, self.root, top, VirtAddr(0), visit);
    }
}

impl<F: Radix + Clone + core::fmt::Debug> RadixPmap<F> {
    fn visit_below(
        &self,
        platform: &impl Platform,
        table: PhysAddr,
        level: Level,
        va: VirtAddr,
        visit: &mut dyn FnMut(TableInUse),
    ) {
        let geometry = self.format.geometry();
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
