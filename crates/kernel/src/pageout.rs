//! Page-out: getting frames back.
//!
//! ```text
//!   victim                     then                                         it ends as
//!   anon, clean, no slot       unmap ─ flush ─ free                         nothing: it was zeroes
//!   anon, clean, slot          unmap, PTE := slot ─ flush ─ free            Swapped(slot)
//!   anon, dirty                slot ─ unmap, PTE := slot ─ flush ─ write    Swapped(slot)
//!                                └ write failed: map again, slot bad ─────► resident, dirty
//!   file, clean                unmap ─ flush ─ free                         only in its file
//!   file, dirty                take modified bits ─ flush ─ write ─ …       only in its file
//!                                └ write failed ──────────────────────────► resident, dirty
//! ```
//!
//! The entry names the slot and the TLB is flushed *before* the write: nobody can store to the page
//! while it is written. The frame is free only *after* the write.
//!
//! Who calls: the page daemon, at the end of every entry into the kernel, if fewer than `low`
//! frames are free; a fault itself ("direct"), if fewer than `min` are, or than it needs.

use crate::fault::Fault;
use crate::{
    Event, IoError, Kernel, Mapping, Platform, Pmap, Resident, Shortage, Store, SwapSlot, Use,
};
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::Probe;

/// How many failed evictions end one search for a frame: a device that fails always would
/// otherwise be asked for every page of memory.
const FAILURES_MAX: u32 = 8;

/// Why a victim stays.
enum Kept {
    NoSlot,
    Io,
}

impl<P: Pmap> Kernel<P> {
    /// The page daemon: does nothing while enough frames are free. Called at the end of every
    /// entry into the kernel.
    #[inline]
    pub fn daemon(&mut self, platform: &mut impl Platform) {
        if self.frames.free() < self.marks.low {
            self.counters.pageoutrun += 1;
            let _enough = self.reclaim(platform, self.marks.high, true);
        }
    }

    /// Makes sure that the fault finds the frames that it takes.
    #[inline]
    pub(crate) fn reserve(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Result<(), Shortage> {
        let plenty = self.marks.min.max(Self::fault_frames_max(&self.hardware));
        if self.frames.free() >= plenty {
            return Ok(());
        }
        self.reserve_short(platform, fault)
    }

    #[cold]
    fn reserve_short(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Result<(), Shortage> {
        if self.frames.free() < self.marks.min {
            self.counters.allocstall += 1;
            // Failing is no harm while the fault itself finds enough.
            let _enough = self.reclaim(platform, self.marks.min, false);
        }
        // What is needed changes with what is evicted.
        while self.frames.free() < self.frames_needed(platform, fault) {
            self.reclaim(platform, self.frames.free() + 1, false)?;
        }
        Ok(())
    }

    /// Makes sure that `count` frames are free.
    pub(crate) fn reserve_frames(
        &mut self,
        platform: &mut impl Platform,
        count: u64,
    ) -> Result<(), Shortage> {
        self.reclaim(platform, count, false)
    }

    /// Evicts until `target` frames are free.
    fn reclaim(
        &mut self,
        platform: &mut impl Platform,
        target: u64,
        daemon: bool,
    ) -> Result<(), Shortage> {
        while self.frames.free() < target {
            self.evict_one(platform, daemon)?;
        }
        Ok(())
    }

    fn evict_one(&mut self, platform: &mut impl Platform, daemon: bool) -> Result<(), Shortage> {
        let mut failures = 0;
        while let Some(victim) = self.choose(platform, daemon) {
            match self.evict(platform, victim, daemon) {
                Ok(()) => {
                    let c = &mut self.counters;
                    *(if daemon { &mut c.pgsteal_kswapd } else { &mut c.pgsteal_direct }) += 1;
                    return Ok(());
                }
                Err(Kept::NoSlot) => return Err(self.shortage()),
                Err(Kept::Io) => failures += 1,
            }
            if failures >= FAILURES_MAX {
                return Err(Shortage::IoErrors);
            }
        }
        Err(if failures > 0 { Shortage::IoErrors } else { self.shortage() })
    }

    /// What is short, if there is no victim.
    fn shortage(&self) -> Shortage {
        let summary = self.frames.summary();
        if summary.page_table > summary.anon + summary.file {
            Shortage::PageTables
        } else if self.swap.total() == 0 {
            Shortage::NoSwap
        } else if self.swap.bad() == self.swap.total() {
            Shortage::IoErrors
        } else {
            Shortage::SwapFull
        }
    }

    /// Asks the policy, with referenced bits taken from the page tables.
    fn choose(&mut self, platform: &mut impl Platform, daemon: bool) -> Option<Pfn> {
        let Self { policy, frames, spaces, counters, swap, slots_kept, .. } = self;
        let room = swap.free() > 0 || *slots_kept > 0;
        policy.victim(&mut |pfn| {
            *(if daemon { &mut counters.pgscan_kswapd } else { &mut counters.pgscan_direct }) += 1;
            if !room && matches!(frames.used(pfn), Use::Anon { slot: None }) {
                let modified = frames.reverse(pfn).any(|mapping| {
                    let space = spaces[mapping.space.0 as usize].as_ref();
                    let found = space.map(|space| space.pmap.lookup(platform, mapping.va));
                    matches!(found, Some(Mapping::Resident(now)) if now.modified)
                });
                if modified || frames.dirty(pfn) {
                    return Probe::Busy;
                }
            }
            let mut answer = Probe::Unreferenced;
            for mapping in frames.reverse(pfn) {
                let Some(space) = spaces[mapping.space.0 as usize].as_mut() else { continue };
                if let Some(debt) = space.pmap.take_referenced(platform, mapping.va) {
                    counters.flush_page += u64::from(debt.discharge(platform));
                    counters.pgreferenced += 1;
                    answer = Probe::Referenced;
                }
            }
            answer
        })
    }

    fn evict(&mut self, platform: &mut impl Platform, pfn: Pfn, daemon: bool) -> Result<(), Kept> {
        match self.frames.used(pfn) {
            Use::Anon { slot } => self.evict_anon(platform, pfn, slot, daemon),
            Use::File { .. } => self.evict_file(platform, pfn, daemon),
            other => unreachable!("the policy chose frame {pfn}, which is {other:?}"),
        }
    }

    fn evict_file(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        daemon: bool,
    ) -> Result<(), Kept> {
        self.collect_modified(platform, pfn);
        let dirty = self.frames.dirty(pfn);
        if dirty {
            self.write_back(platform, pfn).map_err(|_told| Kept::Io)?;
        }
        self.unmap_everywhere(platform, pfn);
        let store = match self.frames.used(pfn) {
            Use::File { file, index, .. } => {
                Some(Store::File { file, offset: u64::from(index) << self.page.shift() })
            }
            _ => None,
        };
        self.finish_eviction(platform, pfn, dirty, store, daemon);
        Ok(())
    }

    fn evict_anon(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        kept: Option<SwapSlot>,
        daemon: bool,
    ) -> Result<(), Kept> {
        let place = self.frames.reverse_nth(pfn, 0).expect("a private page is mapped");
        let Mapping::Resident(now) = self.space(place.space).pmap.lookup(platform, place.va) else {
            unreachable!("frame {pfn} is mapped at {}", place.va)
        };
        let dirty = now.modified || self.frames.dirty(pfn);
        let slot = match kept {
            Some(slot) => Some(slot),
            None if dirty => Some(self.allocate_slot().ok_or(Kept::NoSlot)?),
            None => None,
        };
        let space = self.spaces[place.space.0 as usize].as_mut().expect("a space in use");
        let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, place.va, slot) else {
            unreachable!("frame {pfn} is mapped at {}", place.va)
        };
        let was = unmapped.flush(platform);
        self.counters.flush_page += 1;
        if let Some(slot) = slot.filter(|_| dirty) {
            if let Err(error) = platform.swap_write(slot, pfn) {
                self.restore(platform, place.va, place.space, was, kept.is_some(), slot, error);
                return Err(Kept::Io);
            }
            self.counters.pswpout += 1;
            let to = Store::Swap(slot);
            platform.event(Event::PageOut { pfn, to, bytes: self.page.bytes() });
        }
        self.note_unmapped(place, was);
        if slot.is_some() {
            self.space_mut(place.space).residency.swapped += 1;
        }
        if kept.is_some() {
            // The slot is the entry's now.
            self.frames.set_slot(pfn, None);
            self.slots_kept -= 1;
        }
        self.finish_eviction(platform, pfn, dirty, slot.map(Store::Swap), daemon);
        Ok(())
    }

    fn finish_eviction(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        dirty: bool,
        store: Option<Store>,
        daemon: bool,
    ) {
        self.counters.pgdrop_clean += u64::from(!dirty);
        self.free_page(pfn);
        platform.event(Event::Evict { pfn, dirty, store, daemon });
    }

    /// The write to `slot` failed: the page is mapped again as it was, and dirty. The slot is bad,
    /// unless the device was merely full.
    #[expect(clippy::too_many_arguments, reason = "all of what the eviction had in hand")]
    fn restore(
        &mut self,
        platform: &mut impl Platform,
        va: VirtAddr,
        id: crate::SpaceId,
        was: Resident,
        kept: bool,
        slot: SwapSlot,
        error: IoError,
    ) {
        let space = self.spaces[id.0 as usize].as_mut().expect("a space in use");
        let _same = space.pmap.take_slot(platform, &mut self.frames, va);
        space.pmap.enter(platform, &mut self.frames, va, was);
        self.frames.set_dirty(was.pfn, true);
        if kept {
            self.frames.set_slot(was.pfn, None);
            self.slots_kept -= 1;
        }
        match error {
            IoError::NoSpace => self.swap.free_slot(slot),
            IoError::Io | IoError::Short => self.swap.retire(slot),
        }
        self.counters.swap_io_errors += 1;
        let store = Store::Swap(slot);
        platform.event(Event::IoError { store, pfn: was.pfn, write: true, error });
    }

    /// A free slot; if there is none, one that a resident page keeps, which is dirty from then on.
    fn allocate_slot(&mut self) -> Option<SwapSlot> {
        if self.swap.free() == 0 && self.slots_kept > 0 {
            self.take_kept_slot();
        }
        self.swap.allocate()
    }

    fn take_kept_slot(&mut self) {
        let total = self.frames.total();
        for step in 0..total {
            let pfn = Pfn((self.slot_hand + step) % total);
            if matches!(self.frames.used(pfn), Use::Anon { slot: Some(_) }) {
                self.drop_slot(pfn);
                self.counters.slots_reclaimed += 1;
                self.slot_hand = pfn.0 + 1;
                return;
            }
        }
    }
}
