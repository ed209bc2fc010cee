//! The memory system as the harts see it: RAM behind their MMUs, with a fast path.
//!
//! ```text
//!   load, store, fetch ──► host pages ──found──► RAM          the fast path
//!                              │ not found
//!                              ▼
//!                          Segmentation ──► RAM               without pages
//!                              ▼
//!                          Mmu::translate ──► RAM             the slow path
//!                              │      └─────► host pages, if nothing forbids
//!                              ▼
//!                            fault
//! ```
//!
//! Invariants:
//! 1. The fast path changes exactly what the slow path would change: the bytes and one stamp.
//! 2. A host page follows its TLB entry: dropped with it, and never made for a store to a frame
//!    whose decoded code is kept.
//! 3. Segments of the machine's kernel are whole granules: one that passes passes to its end.
//! 4. With `plain` set no host page is ever made; all counters come out the same.
//! 5. With caches no host page is made for loads and stores, so that each of them goes through the
//!    caches; without a TLB but with caches or a walk cache, none at all, so that each walk does.

use std::iter;

use pagewalk_cpu::{AccessKind, Bus, Code, Counter, Effect, MemFault, RefTime, Value};
use pagewalk_kernel::refill::{self, When};
use pagewalk_mmu::cache::{Caches, LineAccess, Requester};
use pagewalk_mmu::segment::Descriptor;
use pagewalk_mmu::tlb::{Side, TlbConfig};
use pagewalk_mmu::{
    Access, AccessKind as MmuKind, Asid, Fault, FaultCause, Hit, Mmu, PageSize, PhysAddr, Source,
    TableMemory, Tables, VirtAddr, WalkCacheConfig, WalkCacheError,
};

use crate::cached_tables::CachedTables;
use crate::hart_memory::{Extra, HartMemory};
use crate::host_pages::{GRANULE, GRANULE_SHIFT};
use crate::ram::Ram;
use crate::segmentation::Segmentation;
use crate::time::Time;

/// RAM, and each hart's MMU and fast path over it.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Physical memory.
    pub ram: Ram,
    page: PageSize,
    plain: bool,
    /// What virtual time it is, but for what the harts and their MMUs count.
    pub time: Time,
    /// What the hart that runs has of it.
    pub(crate) hart: HartMemory,
    /// What the others have, in any order (`harts.rs`).
    pub(crate) parked: Vec<HartMemory>,
}

/// Bytes that a fetch asks for at least: the shortest instruction.
const PARCEL_BYTES: u64 = 2;

impl Memory {
    /// A memory system of one hart over RAM that is all zero.
    pub fn new(ram: Ram, tables: Tables, tlb: Option<TlbConfig>, plain: bool, time: Time) -> Self {
        Self {
            page: ram.page(),
            // A granule must not reach beyond a page.
            plain: plain || ram.page().shift() < GRANULE_SHIFT,
            ram,
            time,
            hart: HartMemory::new(tables, tlb),
            parked: Vec::new(),
        }
    }

    /// The same with segmentation in front of the MMU; where that is not followed by pages, the MMU
    /// is switched off.
    pub fn with_segmentation(mut self, segmentation: Segmentation) -> Self {
        self.hart.segmentation = segmentation;
        self
    }

    /// The same with a walk cache.
    ///
    /// # Errors
    /// If the page tables can have no such walk cache.
    pub fn with_walk_cache(mut self, config: WalkCacheConfig) -> Result<Self, WalkCacheError> {
        self.hart = self.hart.with_walk_cache(config)?;
        Ok(self)
    }

    /// The same with caches, which loads, stores and walks go through.
    pub fn with_caches(mut self, caches: Caches) -> Self {
        self.hart.caches = Some(caches);
        self
    }

    /// Whether every reference walks, and each walk leaves its trace in a cache: then nothing may
    /// be performed without asking the MMU.
    pub fn is_plain(&self) -> bool {
        self.hart.is_plain()
    }

    /// References into a second page by the hart that runs.
    pub const fn extra(&self) -> Extra {
        self.hart.extra
    }

    /// Loads the bounds of the hart that runs.
    pub fn load_bounds(&mut self, block: PhysAddr, lower: u64, upper: u64) {
        self.hart.segmentation.load_bounds(block, lower, upper);
        self.hart.drop_everything();
    }

    /// Loads the descriptor of a segment of the hart that runs, or makes it invalid.
    pub fn load_descriptor(&mut self, number: u32, descriptor: Option<Descriptor>) {
        self.hart.segmentation.load_descriptor(number, descriptor);
        self.hart.drop_everything();
    }

    /// The first address behind the code segment of the hart that runs, if there is one.
    pub const fn code_end(&self) -> Option<u64> {
        match &self.hart.segmentation {
            Segmentation::Ia32(segments) => Some(segments.code_end()),
            _ => None,
        }
    }

    /// The caches of the hart that runs, to look at.
    pub const fn caches(&self) -> Option<&Caches> {
        self.hart.caches.as_ref()
    }

    /// The segmentation of the hart that runs, to look at.
    pub const fn segmentation(&self) -> &Segmentation {
        &self.hart.segmentation
    }

    /// The MMU of the hart that runs, to look at.
    pub const fn mmu(&self) -> &Mmu {
        &self.hart.mmu
    }

    /// Why the last access of the hart that runs failed, as its MMU told it.
    pub const fn last_fault(&self) -> Option<&Fault> {
        self.hart.last_fault.as_ref()
    }

    /// Loads the root register of the hart that runs: it is to run the program in that space. Also
    /// to be done when the hart ran the same space before, but that was another of the same number.
    ///
    /// # Errors
    /// If the format refuses the root.
    pub fn load_root(&mut self, asid: Asid, table: PhysAddr) -> Result<(), FaultCause> {
        self.hart.enter_space(asid, table);
        let kernel = &mut self.hart.kernel;
        if kernel.as_mut().is_some_and(|view| view.postpone_root(asid, table)) {
            return Ok(());
        }
        self.hart.load_root(asid, table, &self.ram)?;
        self.hart.drop_everything();
        Ok(())
    }

    /// Loads the root register on the way into the kernel or out of it: the program does not run
    /// in between, so its host pages stay as long as their TLB entries.
    pub(crate) fn load_root_in_passing(&mut self, asid: Asid, table: PhysAddr) {
        let loaded = self.hart.load_root(asid, table, &self.ram);
        // Both roots were loaded before, or made by the format's own rules.
        loaded.expect("the kernel's roots are well formed");
        self.hart.follow_dropped();
    }

    /// Loads the base register of the upper half, which is the kernel's, on every hart.
    ///
    /// # Errors
    /// If the format refuses it.
    pub fn load_upper_root(&mut self, table: PhysAddr) -> Result<(), FaultCause> {
        let mut harts = iter::once(&mut self.hart).chain(&mut self.parked);
        harts.try_for_each(|hart| hart.mmu.load_upper_root(table, &self.ram))
    }

    /// A reference of the kernel's own; nothing is kept of it but what the TLB keeps.
    pub(crate) fn translate_for_kernel(&mut self, va: VirtAddr, access: Access, now: RefTime) {
        // With a TLB that software loads, the map has every page: the handler finds it.
        let _found = self.ask_mmu(va, access, now);
        self.hart.follow_dropped();
    }

    /// The place of `bytes` within one page: segmentation, and then the pages if there are any.
    #[inline]
    fn reach(
        &mut self,
        va: u64,
        bytes: u64,
        kind: AccessKind,
        now: RefTime,
    ) -> Result<Hit, MemFault> {
        match self.hart.segmentation {
            Segmentation::Off => self.translate(va, kind, now),
            _ => self.reach_through_segments(va, bytes, kind, now),
        }
    }

    /// [`Memory::reach`] behind segmentation.
    #[inline(never)]
    fn reach_through_segments(
        &mut self,
        va: u64,
        bytes: u64,
        kind: AccessKind,
        now: RefTime,
    ) -> Result<Hit, MemFault> {
        let placed = self.hart.segmentation.translate(va, bytes, Access::user(mmu_kind(kind)));
        match placed {
            Err(fault) => {
                self.hart.last_fault = Some(fault);
                Err(MemFault { va, kind })
            }
            Ok(placed) if self.hart.segmentation.is_paged() => {
                self.translate(placed.address, kind, now).map_err(|_| MemFault { va, kind })
            }
            Ok(placed) => Ok(Hit {
                pa: PhysAddr(placed.address),
                page: self.page,
                slot: None,
                source: Source::Unmapped,
            }),
        }
    }

    /// Whether the granule of `va` lies in one piece behind segmentation, so that what holds for
    /// `va` holds for all of it; and, where translations of it are dropped by its linear address,
    /// whether that is its own.
    fn is_whole(&self, va: u64, kind: AccessKind) -> bool {
        if let Segmentation::Off = self.hart.segmentation {
            return true;
        }
        let start = va & !(GRANULE - 1);
        let access = Access::user(mmu_kind(kind));
        let placed = self.hart.segmentation.translate(start, GRANULE, access);
        placed.is_ok_and(|placed| match self.hart.segmentation.is_paged() {
            true => placed.address == start,
            false => placed.address % GRANULE == 0,
        })
    }

    #[inline]
    fn translate(&mut self, va: u64, kind: AccessKind, now: RefTime) -> Result<Hit, MemFault> {
        self.hart.translated += 1;
        let access = Access::user(mmu_kind(kind));
        let result = self.ask_mmu(VirtAddr(va), access, now);
        match result {
            Ok(hit) => {
                self.hart.follow_dropped();
                Ok(hit)
            }
            Err(fault) => {
                self.hart.follow_dropped();
                self.hart.last_fault = Some(fault);
                Err(MemFault { va, kind })
            }
        }
    }

    /// Asks the MMU; walks go through the caches, if there are any.
    #[inline]
    fn ask_mmu(&mut self, va: VirtAddr, access: Access, now: RefTime) -> Result<Hit, Fault> {
        let when = When { now: now.0, instructions: now.instructions() };
        let mmu = &mut self.hart.mmu;
        match &mut self.hart.caches {
            None => translate_or_refill(mmu, &mut self.ram, va, access, when),
            Some(caches) => {
                let mut memory = CachedTables::new(&mut self.ram, caches);
                translate_or_refill(mmu, &mut memory, va, access, when)
            }
        }
    }

    /// The physical addresses of an access: of its first byte, and of its first byte in a second
    /// page if it reaches into one.
    fn places(
        &mut self,
        va: u64,
        bytes: u64,
        kind: AccessKind,
        now: RefTime,
    ) -> Result<(Hit, Option<Hit>), MemFault> {
        self.touch_code(now.own_fetch());
        let room = self.page.bytes() - VirtAddr(va).offset(self.page);
        let first = self.reach(va, bytes.min(room), kind, now)?;
        if room >= bytes {
            return Ok((first, None));
        }
        match kind {
            AccessKind::Store => self.hart.extra.stores += 1,
            _ => self.hart.extra.loads += 1,
        }
        let rest = va.wrapping_add(room);
        let second = self.reach(rest, bytes - room, kind, now.second_page())?;
        Ok((first, Some(second)))
    }

    /// Sends an access through the caches.
    fn refer(&mut self, bytes: u64, access: LineAccess, first: &Hit, second: Option<&Hit>) {
        let Some(caches) = &mut self.hart.caches else { return };
        let head = match second {
            None => bytes,
            Some(_) => self.page.bytes() - (first.pa.0 & (self.page.bytes() - 1)),
        };
        caches.refer(first.pa, head, access, Requester::Data);
        if let Some(second) = second {
            caches.refer(second.pa, bytes - head, access, Requester::Data);
        }
    }

    #[cold]
    #[inline(never)]
    fn load_slow<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        see: impl FnOnce(PhysAddr, Option<PhysAddr>),
    ) -> Result<(T, Effect), MemFault> {
        let epoch = self.epoch();
        let (first, second) = self.places(va, T::BYTES as u64, AccessKind::Load, now)?;
        self.refer(T::BYTES as u64, LineAccess::Read, &first, second.as_ref());
        let value = self.gather::<T>(&first, second.as_ref());
        if second.is_none() {
            self.install(va, AccessKind::Load, &first);
        }
        see(first.pa, second.map(|hit| hit.pa));
        Ok((value, self.effect_since(epoch)))
    }

    #[cold]
    #[inline(never)]
    fn store_slow<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        new: impl FnOnce(T) -> T,
        see: impl FnOnce(PhysAddr, Option<PhysAddr>),
    ) -> Result<(T, Effect), MemFault> {
        let epoch = self.epoch();
        let (first, second) = self.places(va, T::BYTES as u64, AccessKind::Store, now)?;
        self.refer(T::BYTES as u64, LineAccess::Write, &first, second.as_ref());
        let old = self.gather::<T>(&first, second.as_ref());
        self.scatter(&first, second.as_ref(), new(old));
        if second.is_none() {
            self.install(va, AccessKind::Store, &first);
        }
        see(first.pa, second.map(|hit| hit.pa));
        Ok((old, self.effect_since(epoch)))
    }

    fn gather<T: Value>(&self, first: &Hit, second: Option<&Hit>) -> T {
        let mut bytes = [0; 8];
        let head = self.head::<T>(first, second);
        self.ram.read(first.pa, &mut bytes[..head]);
        if let Some(second) = second {
            self.ram.read(second.pa, &mut bytes[head..T::BYTES]);
        }
        T::from_le(&bytes[..T::BYTES])
    }

    fn scatter<T: Value>(&mut self, first: &Hit, second: Option<&Hit>, value: T) {
        let mut bytes = [0; 8];
        value.to_le(&mut bytes[..T::BYTES]);
        let head = self.head::<T>(first, second);
        self.ram.write(first.pa, &bytes[..head]);
        if let Some(second) = second {
            self.ram.write(second.pa, &bytes[head..T::BYTES]);
        }
    }

    /// The bytes of an access that lie in its first page.
    fn head<T: Value>(&self, first: &Hit, second: Option<&Hit>) -> usize {
        match second {
            None => T::BYTES,
            Some(_) => (self.page.bytes() - (first.pa.0 & (self.page.bytes() - 1))) as usize,
        }
    }

    /// Makes a host page of a translation, where that keeps the counters exact.
    fn install(&mut self, va: u64, kind: AccessKind, hit: &Hit) {
        let slot = match (self.hart.mmu.tlb(), hit.slot) {
            (Some(_), Some(slot)) => slot.0,
            // Without a TLB a walk is counted by the number of levels: only full walks count, and
            // none where the number varies.
            (None, _) if hit.page == self.page && self.hart.walks_are_equal() => 0,
            _ => return,
        };
        if self.hart.is_plain() || self.hart.caches.is_some() && kind != AccessKind::Fetch {
            return;
        }
        let (offset, bytes) = (hit.pa.0 & !(GRANULE - 1), hit.page.bytes());
        if self.plain || kind == AccessKind::Store && self.ram.is_watched(hit.pa.pfn(self.page)) {
            return;
        }
        if !self.is_whole(va, kind) {
            return;
        }
        match kind {
            AccessKind::Load => _ = self.hart.readable.insert(va, offset, slot, bytes),
            AccessKind::Store => _ = self.hart.writable.insert(va, offset, slot, bytes),
            // The page pushed out would not be missed when its translation goes: whoever relies
            // on it must look it up again.
            AccessKind::Fetch => {
                self.hart.epoch += u64::from(self.hart.executable.insert(va, offset, slot, bytes));
            }
        }
    }

    fn effect_since(&self, epoch: u64) -> Effect {
        if self.epoch() == epoch { Effect::None } else { Effect::CodeChanged }
    }
}

/// A translation; where software loads the TLB, with the handlers that it takes.
fn translate_or_refill<M: TableMemory>(
    mmu: &mut Mmu,
    memory: &mut M,
    va: VirtAddr,
    access: Access,
    when: When,
) -> Result<Hit, Fault> {
    match mmu.translate(memory, va, access, when.now) {
        Err(fault) if mmu.is_software_loaded() => refill::serve(mmu, memory, &fault, when),
        result => result,
    }
}

const fn mmu_kind(kind: AccessKind) -> MmuKind {
    match kind {
        AccessKind::Fetch => MmuKind::Execute,
        AccessKind::Load => MmuKind::Read,
        AccessKind::Store => MmuKind::Write,
    }
}

/// The accesses of [`Bus`]. `see` hears where those that succeed are made: of the first byte, and of
/// the first in a second page. A machine that looks at no reference has it do nothing.
impl Memory {
    #[inline(always)]
    pub(crate) fn load_seen<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        see: impl FnOnce(PhysAddr, Option<PhysAddr>),
    ) -> Result<(T, Effect), MemFault> {
        let page = *self.hart.readable.at(va);
        // Offset bits below the value's size stay: a misaligned address equals no tag.
        if page.tag != va & (!(GRANULE - 1) | (T::BYTES as u64 - 1)) {
            return self.load_slow(va, now, see);
        }
        self.hart.stamp(Side::Data, page.slot, now);
        see(PhysAddr(page.offset), None);
        Ok((self.ram.get(page.offset + va % GRANULE), Effect::None))
    }

    #[inline(always)]
    pub(crate) fn store_seen<T: Value>(
        &mut self,
        va: u64,
        value: T,
        now: RefTime,
        see: impl FnOnce(PhysAddr, Option<PhysAddr>),
    ) -> Result<Effect, MemFault> {
        let page = *self.hart.writable.at(va);
        if page.tag != va & (!(GRANULE - 1) | (T::BYTES as u64 - 1)) {
            return self.store_slow(va, now, |_| value, see).map(|(_, effect)| effect);
        }
        self.hart.stamp(Side::Data, page.slot, now);
        see(PhysAddr(page.offset), None);
        self.ram.put(page.offset + va % GRANULE, value);
        Ok(Effect::None)
    }

    #[inline(always)]
    pub(crate) fn update_seen<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        new: impl FnOnce(T) -> T,
        see: impl FnOnce(PhysAddr, Option<PhysAddr>),
    ) -> Result<(T, Effect), MemFault> {
        let page = *self.hart.writable.at(va);
        if page.tag != va & (!(GRANULE - 1) | (T::BYTES as u64 - 1)) {
            return self.store_slow(va, now, new, see);
        }
        self.hart.stamp(Side::Data, page.slot, now);
        see(PhysAddr(page.offset), None);
        let at = page.offset + va % GRANULE;
        let old = self.ram.get(at);
        self.ram.put(at, new(old));
        Ok((old, Effect::None))
    }
}

/// Nobody looks.
#[inline(always)]
fn unseen(_: PhysAddr, _: Option<PhysAddr>) {}

impl Bus for Memory {
    #[inline(always)]
    fn load<T: Value>(&mut self, va: u64, now: RefTime) -> Result<(T, Effect), MemFault> {
        self.load_seen(va, now, unseen)
    }

    #[inline(always)]
    fn store<T: Value>(&mut self, va: u64, value: T, now: RefTime) -> Result<Effect, MemFault> {
        self.store_seen(va, value, now, unseen)
    }

    fn update<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        new: impl FnOnce(T) -> T,
    ) -> Result<(T, Effect), MemFault> {
        self.update_seen(va, now, new, unseen)
    }

    fn fetch(&mut self, pc: u64, now: RefTime) -> Result<Code, MemFault> {
        let room = (self.page.bytes() - VirtAddr(pc).offset(self.page)) as u32;
        if let Some(&page) = self.hart.executable.find(pc) {
            self.hart.stamp(Side::Instruction, page.slot, now);
            return Ok(Code { pa: page.offset + pc % GRANULE, room, slot: page.slot });
        }
        let hit = self.reach(pc, PARCEL_BYTES, AccessKind::Fetch, now)?;
        self.install(pc, AccessKind::Fetch, &hit);
        let slot = hit.slot.map_or(0, |slot| slot.0);
        Ok(Code { pa: hit.pa.0, room, slot })
    }

    fn code_parcel(&self, pa: u64) -> u16 {
        self.ram.get(pa)
    }

    fn watch_code(&mut self, pa: u64) {
        let pfn = PhysAddr(pa).pfn(self.page);
        if !self.ram.is_watched(pfn) {
            self.ram.watch(pfn);
            self.drop_writable(pfn.base(self.page));
        }
    }

    fn take_changed_code(&mut self) -> Option<u64> {
        self.ram.take_changed().map(|pfn| pfn.base(self.page).0)
    }

    fn code_frame_shift(&self) -> u8 {
        self.page.shift()
    }

    fn epoch(&self) -> u64 {
        self.hart.epoch + self.ram.epoch()
    }

    fn enter_code(&mut self, slot: u32) {
        self.hart.code_slot = slot;
    }

    fn touch_code(&mut self, now: RefTime) {
        let slot = self.hart.code_slot as usize;
        if let Some(stamps) = self.hart.mmu.stamps_mut(Side::Instruction) {
            let stamp = &mut stamps[slot];
            *stamp = now.0.max(*stamp);
        }
    }

    fn counter(&mut self, which: Counter, retired: u64, references: u64) -> u64 {
        if which == Counter::Instret {
            return retired;
        }
        let references = references + self.hart.extra.loads + self.hart.extra.stores;
        let cycles = self.time.cycles(retired, references, self);
        match which {
            Counter::Cycle => cycles,
            _ => self.time.cost.nanoseconds(cycles),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::CostModel;
    use pagewalk_mmu::Pfn;

    /// Code is kept by frames, host pages by granules, of which a large page has several.
    #[test]
    fn code_anywhere_in_a_large_frame_follows_its_changes() {
        let tables = Tables::by_name("aarch64-16k", 4).expect("a known name");
        let ram = Ram::new(4, PageSize::from_shift(14));
        let mut memory = Memory::new(ram, tables, None, false, Time::new(CostModel::default()));
        let (first, last) = (0x4000, 0x7000);
        memory.hart.writable.insert(last, last, 0, GRANULE);
        memory.watch_code(first);
        assert!(memory.hart.writable.find(last).is_none(), "a store would go unnoticed");
        memory.watch_code(last);
        memory.ram.frame_mut(Pfn(1)).fill(0);
        let changed = memory.take_changed_code().expect("a changed frame");
        let shift = memory.code_frame_shift();
        assert!([first, last].iter().all(|pa| pa >> shift == changed >> shift));
    }
}
