//! The page-fault handler.
//!
//! ```text
//!   fault(va, kind)
//!     1 find the region, growing a stack if need be   ── none ─────────► SIGSEGV, SEGV_MAPERR
//!     2 may the program do this?                      ── no ───────────► SIGSEGV, SEGV_ACCERR
//!     3 reserve frames, evicting if need be           ── cannot ───────► out of memory: the worst
//!                                                                        space is killed (oom.rs);
//!                                                                        if it is another, again
//!     4 what backs the page?
//!         a frame      store; the file's, private, or with other owners ─► copy
//!                      else ─► bring rights and bits up to date
//!         a slot       from the swap cache, else read it back
//!                      store; other owners ─► copy    ── error ────────► SIGBUS, BUS_ADRERR
//!         nothing      anonymous ─► a page of zeroes, a large one if that can be (huge.rs)
//!                      file ─► from the page cache, else from the file or the object's slot
//!                              (object.rs); private, store ─► copy
//!                                                     ── error, EOF ───► SIGBUS, BUS_ADRERR
//!     5 enter the mapping; the instruction restarts
//! ```
//!
//! After step 3 nothing is evicted and no frame is missing.

use crate::cow::without_stores;
use crate::pmap::Resident;
use crate::space::space_in;
use crate::transfer::{Source, TransferId};
use crate::{
    Event, FaultCause, FileId, FlushDebt, GroupId, Kernel, Mapping, Platform, Pmap, Prot, Region,
    ReverseMapping, ShareTables, SpaceId, Store, SwapSlot, Use,
};
use core::fmt;
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};
use pagewalk_replacement::PageKind;

/// Why a SIGSEGV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegvCode {
    /// Nothing is mapped there (SEGV_MAPERR).
    MapErr,
    /// What is mapped does not allow it (SEGV_ACCERR).
    AccErr,
}

/// A signal for an access that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGSEGV.
    Segv(SegvCode),
    /// SIGBUS with BUS_ADRERR: beyond the end of the file, or its disk failed.
    Bus,
}

impl Signal {
    /// Linux's signal number.
    pub const fn signo(self) -> i32 {
        match self {
            Self::Segv(_) => 11,
            Self::Bus => 7,
        }
    }

    /// Linux's `si_code`.
    pub const fn si_code(self) -> i32 {
        match self {
            Self::Segv(SegvCode::MapErr) => 1,
            Self::Segv(SegvCode::AccErr) | Self::Bus => 2,
        }
    }
}

/// What is short when a frame cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shortage {
    /// Memory is full of what cannot be evicted, and there is no swap.
    NoSwap,
    /// Memory and swap are full.
    SwapFull,
    /// Pages could not be written out because their devices fail.
    IoErrors,
    /// Memory is full of page tables.
    PageTables,
    /// No fault fails, but pages of files are dropped and read again all the time.
    Thrashing,
    /// Memory is full of locked pages.
    Locked,
    /// The processes of a group have all that they may have together.
    GroupLimit {
        /// Which group.
        group: GroupId,
        /// How much that is.
        pages: u64,
    },
    /// More is promised than may be: no page is short yet.
    Promises,
    /// No block of memory is large enough, on a machine without pages.
    NoBlock {
        /// What all free memory together lacks.
        bytes_missing: u64,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoBlock { bytes_missing } => {
                return write!(f, "memory is {bytes_missing} bytes too small, and is not paged");
            }
            Self::GroupLimit { pages, .. } => {
                return write!(f, "the limit of the group is reached, {pages} pages");
            }
            Self::NoSwap => "memory is full and there is no swap",
            Self::SwapFull => "memory and swap are full",
            Self::IoErrors => "memory is full and pages cannot be written out: device errors",
            Self::PageTables => "memory is full of page tables",
            Self::Thrashing => {
                "memory is too small for what runs: pages of files are read again all the time, and \
                 nothing else can go"
            }
            Self::Locked => "memory is full of locked pages",
            Self::Promises => "no more memory may be promised (vm.overcommit_memory is 2)",
        };
        f.write_str(text)
    }
}

/// How a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum FaultResult {
    /// The instruction can restart.
    Resolved {
        /// Whether a disk was waited for.
        major: bool,
    },
    /// The program may not do that.
    Signal {
        /// What it gets.
        signal: Signal,
        /// The address that faulted.
        addr: VirtAddr,
    },
    /// There is no memory, and nobody worse to take it from: the program is killed.
    OutOfMemory(Shortage),
}

/// Why a fault cannot be resolved.
pub(crate) enum Refusal {
    Signal(Signal),
    OutOfMemory(Shortage),
    /// The fault may wait, and has to: for this transfer, or for any that frees a frame.
    Wait(Option<TransferId>),
}

const MAP_ERR: Refusal = Refusal::Signal(Signal::Segv(SegvCode::MapErr));
const ACC_ERR: Refusal = Refusal::Signal(Signal::Segv(SegvCode::AccErr));

/// How a fault was resolved.
pub(crate) struct Resolution {
    pub cause: FaultCause,
    pub pfn: Pfn,
    pub major: bool,
}

/// A fault on its way through the handler.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub space: SpaceId,
    /// The page's first address.
    pub page: VirtAddr,
    pub kind: AccessKind,
    pub region: Region,
}

impl Fault {
    fn place(&self) -> ReverseMapping {
        ReverseMapping { space: self.space, va: self.page }
    }

    pub(crate) fn stores(&self) -> bool {
        self.kind == AccessKind::Write
    }

    fn copies(&self) -> bool {
        self.stores() && self.region.copies_on_write()
    }

    /// The mapping to enter; the access that faulted counts as a reference.
    pub(crate) fn resident(&self, pfn: Pfn, prot: Prot) -> Resident {
        Resident { pfn, prot, referenced: true, modified: self.stores() }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Resolves a page fault.
    pub fn fault(
        &mut self,
        platform: &mut impl Platform,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> FaultResult {
        let page = va.page_base(self.page);
        let pmap = &mut space_in(&mut self.spaces, space).pmap;
        if pmap.refill(platform, &mut self.frames, page) {
            self.counters.pgspill += 1;
            return FaultResult::Resolved { major: false };
        }
        loop {
            let result = self.attempt(platform, space, va, kind);
            if let Some(end) = self.tell(platform, space, va, kind, result) {
                return end;
            }
        }
    }

    /// Tells how a fault ended. `None` if it is to be tried again: another space was killed for it.
    pub(crate) fn tell(
        &mut self,
        platform: &mut impl Platform,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
        result: Result<bool, Refusal>,
    ) -> Option<FaultResult> {
        match result {
            Ok(major) => Some(FaultResult::Resolved { major }),
            Err(Refusal::Signal(signal)) => {
                platform.event(Event::Signal { space, va, kind, signal });
                Some(FaultResult::Signal { signal, addr: va })
            }
            Err(Refusal::OutOfMemory(shortage)) => {
                platform.event(Event::OutOfMemory { space, va, shortage });
                let victim = self.kill_worst(platform, space, shortage);
                (victim == space).then_some(FaultResult::OutOfMemory(shortage))
            }
            Err(Refusal::Wait(_)) => unreachable!("only a fault that may wait waits"),
        }
    }

    /// Does what a fault would, and tells nobody if it cannot: whether a disk was waited for.
    pub(crate) fn attempt(
        &mut self,
        platform: &mut impl Platform,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> Result<bool, Refusal> {
        self.counters.pgfault += u64::from(!self.transfers.is_again());
        let Resolution { cause, pfn, major } = self.resolve(platform, space, va, kind)?;
        self.counters.pgmajfault += u64::from(major && !self.transfers.has_read());
        self.note_group_fault(space, major);
        self.recent.push(pfn, self.config.instruction_pages);
        platform.event(Event::Fault { space, va, kind, cause, pfn, major });
        Ok(major)
    }

    fn resolve(
        &mut self,
        platform: &mut impl Platform,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> Result<Resolution, Refusal> {
        let region = self.region_for_access(platform, space, va).ok_or(MAP_ERR)?;
        if !region.allows(kind) {
            return Err(ACC_ERR);
        }
        let fault = Fault { space, page: va.page_base(self.page), kind, region };
        self.make_room(platform, space, fault.page).map_err(Refusal::OutOfMemory)?;
        self.reserve_or_wait(platform, &fault)?;
        if self.config.share_tables != ShareTables::Off {
            self.ready_tables(platform, &fault)?;
        }
        match self.space(space).pmap.lookup(platform, fault.page) {
            Mapping::Resident(now) => Ok(self.resident_fault(platform, &fault, now)),
            Mapping::Swapped(slot) => self.swap_in(platform, &fault, slot),
            Mapping::None => match region.file_at(fault.page) {
                None => Ok(match self.fill_large(platform, &fault) {
                    Some(resolution) => resolution,
                    None => self.zero_fill(platform, &fault),
                }),
                Some((file, offset)) => self.file_fault(platform, &fault, file, offset),
            },
        }
    }

    /// How many frames the fault takes as things are now.
    pub(crate) fn frames_needed(&self, platform: &impl Platform, fault: &Fault) -> u64 {
        let pmap = &self.space(fault.space).pmap;
        match pmap.lookup(platform, fault.page) {
            Mapping::Resident(now) => u64::from(self.must_copy(fault, now.pfn)),
            Mapping::Swapped(slot) => {
                let cached = self.swap_cache.find(&self.frames, slot);
                let mapped = cached.is_some_and(|pfn| self.frames.mappings(pfn) > 0);
                let copied = fault.stores() && (mapped || self.swap.names(slot) > 1);
                u64::from(cached.is_none()) + u64::from(copied)
            }
            Mapping::None => {
                let cached = fault.region.file_at(fault.page).is_some_and(|(file, offset)| {
                    let index = (offset >> self.page.shift()) as u32;
                    self.cache.find(&self.frames, file, index).is_some()
                });
                pmap.tables_missing(platform, fault.page)
                    + u64::from(!cached)
                    + u64::from(fault.copies())
            }
        }
    }

    /// The region of an access, with a stack grown to reach it.
    pub(crate) fn region_for_access(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Option<Region> {
        match self.space_mut(id).regions.find_hinted(va) {
            Some(region) => Some(region),
            None => self.grow_stack(platform, id, va),
        }
    }

    /// The page is in memory.
    fn resident_fault(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
        now: Resident,
    ) -> Resolution {
        if self.must_copy(fault, now.pfn) {
            let space = space_in(&mut self.spaces, fault.space);
            if let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, fault.page, None) {
                let (was, flushed) = unmapped.flush(platform);
                self.counters.count_flush(flushed);
                self.note_unmapped(fault.place(), was);
                if was.modified {
                    self.frames.set_dirty(was.pfn, true);
                }
            }
            return self.copy_on_write(platform, fault, now.pfn, false);
        }
        self.update_mapping(platform, fault, now)
    }

    /// The page is there and the program's to use: the referenced or modified bit is software's to
    /// set (Svade), or the rights are behind the region's. A private page whose other owners are
    /// gone is written to without a copy.
    fn update_mapping(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
        now: Resident,
    ) -> Resolution {
        let end = VirtAddr(fault.page.0 + self.page.bytes());
        let prot = self.prot_of(&fault.region, now.pfn);
        let copied = self.is_copied_on_write(fault.space, fault.page);
        let pmap = &mut space_in(&mut self.spaces, fault.space).pmap;
        let rights = match copied {
            // The right to store is not this entry's alone to have.
            true => FlushDebt::none(),
            false => pmap.protect_range(platform, &self.frames, fault.page, end, &mut |_| prot),
        };
        let bits = pmap.touch(platform, &mut self.frames, fault.page, fault.stores());
        self.discharge(platform, rights.and(bits));
        self.counters.pgminor_map += 1;
        let mut cause = FaultCause::Update;
        if fault.stores() {
            self.drop_slot(now.pfn);
            if self.frames.cow(now.pfn) {
                self.frames.set_cow(now.pfn, false);
                self.counters.cow_reused += 1;
                cause = FaultCause::Reuse;
            }
        }
        Resolution { cause, pfn: now.pfn, major: false }
    }

    fn zero_fill(&mut self, platform: &mut impl Platform, fault: &Fault) -> Resolution {
        let pfn = self.allocate_zero_page(platform, Use::Anon { slot: None });
        self.map_frame(platform, fault.place(), fault.resident(pfn, fault.region.prot));
        self.admit(platform, pfn, self.new_page(fault.space, fault.page), PageKind::Anon);
        Resolution { cause: FaultCause::ZeroFill, pfn, major: false }
    }

    /// The page is on the swap device, or in the swap cache already. Its slot stays with the frame,
    /// so that others find it there, and the page can be dropped without a write as long as it is
    /// clean.
    pub(crate) fn swap_in(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
        slot: SwapSlot,
    ) -> Result<Resolution, Refusal> {
        let (pfn, major) = match self.swap_cache.find(&self.frames, slot) {
            Some(pfn) => {
                if self.transfers.has_read() {
                    (pfn, true)
                } else {
                    self.note_cache_hit(pfn);
                    (pfn, false)
                }
            }
            None => {
                self.read_slot_or_wait(platform, slot)?;
                let [before, behind] = self.neighbours(slot);
                self.read_around(platform, &before);
                let pfn = self.read_slot(platform, slot)?;
                self.read_around(platform, &behind);
                (pfn, true)
            }
        };
        if fault.stores() && (self.frames.mappings(pfn) > 0 || self.swap.names(slot) > 1) {
            self.drop_pair_name(pfn, slot);
            self.each_owner(fault.place(), |residency| residency.swapped -= 1);
            return Ok(self.copy_on_write(platform, fault, pfn, major));
        }
        self.map_cached(platform, fault, slot, pfn);
        if fault.stores() {
            self.drop_slot(pfn);
        }
        let cause = if major { FaultCause::SwapIn } else { FaultCause::MinorMap };
        self.counters.pgminor_map += u64::from(!major);
        Ok(Resolution { cause, pfn, major })
    }

    /// Maps a frame of the swap cache where its slot was named; others who have the page as well keep
    /// it from being stored to.
    pub(crate) fn map_cached(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
        slot: SwapSlot,
        pfn: Pfn,
    ) {
        self.drop_pair_name(pfn, slot);
        self.each_owner(fault.place(), |residency| residency.swapped -= 1);
        let shared = self.frames.mappings(pfn) > 0
            || self.swap.names(slot) > 0
            || self.is_copied_on_write(fault.space, fault.page);
        let prot = if shared { without_stores(fault.region.prot) } else { fault.region.prot };
        self.map_frame(platform, fault.place(), fault.resident(pfn, prot));
        if shared {
            self.frames.set_cow(pfn, true);
        }
    }

    /// Reads a slot into a frame of the swap cache.
    pub(crate) fn read_slot(
        &mut self,
        platform: &mut impl Platform,
        slot: SwapSlot,
    ) -> Result<Pfn, Refusal> {
        let pfn = self.allocate_page(Use::Anon { slot: None });
        if !self.swap_read(platform, slot, pfn) {
            self.free_page(pfn);
            return Err(Refusal::Signal(Signal::Bus));
        }
        self.keep_slot(pfn, slot);
        self.admit_from(platform, pfn, slot);
        Ok(pfn)
    }

    /// Reads a slot; an error is counted and told.
    pub(crate) fn swap_read(
        &mut self,
        platform: &mut impl Platform,
        slot: SwapSlot,
        pfn: Pfn,
    ) -> bool {
        let store = Store::Swap(slot);
        match platform.swap_read(slot, pfn) {
            Ok(()) => {
                self.counters.pswpin += 1;
                platform.event(Event::PageIn { from: store, pfn });
                true
            }
            Err(error) => {
                self.counters.swap_io_errors += 1;
                platform.event(Event::IoError { store, pfn, write: false, error });
                false
            }
        }
    }

    fn file_fault(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
        file: FileId,
        offset: u64,
    ) -> Result<Resolution, Refusal> {
        let kind = match fault.region.prot.contains(Prot::EXEC) {
            true => PageKind::Text,
            false => PageKind::File,
        };
        let (pfn, major) = self.cached_page(platform, file, offset, kind)?;
        if fault.copies() {
            return Ok(self.copy_on_write(platform, fault, pfn, major));
        }
        let prot = fault.region.prot_of(self.frames.used(pfn));
        self.map_frame(platform, fault.place(), fault.resident(pfn, prot));
        let cause = match (major, file.is_memory()) {
            (false, _) => FaultCause::MinorMap,
            (true, false) => FaultCause::File,
            (true, true) => FaultCause::SwapIn,
        };
        self.counters.pgminor_map += u64::from(!major);
        Ok(Resolution { cause, pfn, major })
    }

    /// The frame of a file's page, read if it is not in the cache, and whether it was read.
    pub(crate) fn cached_page(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        offset: u64,
        kind: PageKind,
    ) -> Result<(Pfn, bool), Refusal> {
        let index = (offset >> self.page.shift()) as u32;
        if file.is_memory() {
            return match self.is_beyond_object(file, offset) {
                true => Err(Refusal::Signal(Signal::Bus)),
                false => self.object_page(platform, file, index),
            };
        }
        if let Some(pfn) = self.cache.find(&self.frames, file, index) {
            return Ok((pfn, self.transfers.has_read()));
        }
        self.read_or_wait(platform, Source::File(file, offset), kind)?;
        let pfn = self.allocate_page(Use::File { file, index, valid: 0 });
        let valid = self.read_page(platform, file, offset, pfn);
        let Some(valid) = valid.filter(|&valid| valid > 0) else {
            // Not in the cache yet, so that freeing it must not look there.
            self.frames.release(pfn);
            self.counters.pgfree += 1;
            return Err(Refusal::Signal(Signal::Bus));
        };
        self.frames.set_valid(pfn, valid as u32);
        self.cache.insert(&self.frames, pfn);
        self.admit_of(platform, pfn, file, index, kind);
        Ok((pfn, true))
    }

    /// Gives the program its own copy of a page that is a file's, or that others own as well.
    fn copy_on_write(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
        from: Pfn,
        major: bool,
    ) -> Resolution {
        let pfn = self.allocate_page(Use::Anon { slot: None });
        platform.copy_frame(from, pfn);
        self.counters.cow_copied += 1;
        // Unlike a page of zeroes it has no other source, even before the store.
        self.frames.set_dirty(pfn, true);
        self.map_frame(platform, fault.place(), fault.resident(pfn, fault.region.prot));
        self.admit(platform, pfn, self.copied_page(from, fault.space, fault.page), PageKind::Anon);
        Resolution { cause: FaultCause::CopyOnWrite, pfn, major }
    }
}
