//! Page-out: getting frames back.
//!
//! ```text
//!   victim                     then                                         it ends as
//!   large page                 split; then as one of these                  the others: resident
//!   anon, clean, no slot       unmap ─ flush ─ free                         nothing: it was zeroes
//!   anon, clean, slot          unmap, PTE := slot ─ flush ─ free            Swapped(slot)
//!   anon, dirty                slot ─ unmap, PTE := slot ─ flush ─ write    Swapped(slot)
//!                                └ write failed: map again ───────────────► resident, dirty
//!   object's page              as an anon page; the slot is the object's    the object's slot
//!   file, clean                unmap ─ flush ─ free                         only in its file
//!   file, dirty                take modified bits ─ flush ─ write ─ …       only in its file
//!                                └ write failed ──────────────────────────► resident, dirty
//! ```
//!
//! A page with several owners leaves them all at once: each of its entries names the slot. A frame that
//! is only in the swap cache has no entry, and is dropped: its slot has the bytes.
//!
//! The entry names the slot and the TLB is flushed *before* the write: nobody can store to the page
//! while it is written. The frame is free only *after* the write.
//!
//! Who calls: the page daemon, at the end of every entry into the kernel, if fewer than `low`
//! frames are free; a fault itself ("direct"), if fewer than `min` are, or than it needs.

use crate::fault::Fault;
use crate::frame::Part;
use crate::space::space_in;
use crate::{
    Event, FileId, IoError, Kernel, Mapping, Platform, Pmap, Resident, ReverseMapping, Scope,
    Shortage, Store, SwapSlot, Use,
};
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// How many failed evictions end one search for a frame: a device that fails always would
/// otherwise be asked to take every page of memory.
const FAILURES_MAX: u32 = 8;

/// Why a victim stays.
pub(crate) enum Kept {
    /// There is no slot to write it to (or no victim at all).
    NoSlot,
    /// The write failed; the slot is still taken.
    Io(Option<SwapSlot>),
    /// The device of its slot has no space left.
    NoSpace,
}

impl<P: Pmap> Kernel<P> {
    /// The daemons: reclaim, which does nothing while enough frames are free, what the policy wants
    /// done in its own time, the merging of pages and the making of large pages. Called at the end of every entry into the
    /// kernel.
    #[inline]
    pub fn daemon(&mut self, platform: &mut impl Platform) {
        if self.frames.free() < self.marks.low {
            self.counters.pageoutrun += 1;
            let _enough = self.reclaim_ahead(platform, self.marks.high, true);
        }
        self.follow_policy(platform);
        if self.config.launder_ahead {
            self.launder_ahead(platform);
        }
        self.merge_pages(platform);
        self.collapse_pages(platform);
        while let Some(slot) = self.swap.take_freed() {
            platform.swap_freed(slot);
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
        if self.frames.free() >= plenty && !self.refused.armed {
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
        self.check_refused()?;
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
        self.check_refused()?;
        self.reclaim(platform, count, false)
    }

    /// Makes sure that `count` frames are free, `run` of which are in a row, the first a multiple of
    /// `align`. Pages are evicted as
    /// their turn comes until that is so: runs this long are taken when a space is made, and not
    /// for a page.
    pub(crate) fn reserve_run(
        &mut self,
        platform: &mut impl Platform,
        count: u64,
        run: u64,
        align: u64,
    ) -> Result<(), Shortage> {
        self.check_refused()?;
        self.reclaim(platform, count, false)?;
        while run > 1 && !self.frames.has_run(run as u32, align as u32) {
            if !self.complete_write(platform) {
                self.evict_one(platform, false)?;
            }
        }
        Ok(())
    }

    /// Fails where a test wants a reservation to fail.
    pub(crate) fn check_refused(&mut self) -> Result<(), Shortage> {
        if self.refused.refuses() { Err(self.shortage()) } else { Ok(()) }
    }

    /// Evicts until `target` frames are free, or will be when they are written.
    pub(crate) fn reclaim_ahead(
        &mut self,
        platform: &mut impl Platform,
        target: u64,
        daemon: bool,
    ) -> Result<(), Shortage> {
        while self.frames.free() + self.transfers.writes() < target {
            self.evict_one(platform, daemon)?;
        }
        Ok(())
    }

    /// Evicts until `target` frames are free.
    fn reclaim(
        &mut self,
        platform: &mut impl Platform,
        target: u64,
        daemon: bool,
    ) -> Result<(), Shortage> {
        while self.frames.free() < target {
            if !self.complete_write(platform) {
                self.evict_one(platform, daemon)?;
            }
        }
        Ok(())
    }

    /// Frees one frame, or begins to write its page. Slots whose write failed turn out bad only if a write to another succeeds: a
    /// device that fails always is not made of bad slots, whatever goes without being written.
    fn evict_one(&mut self, platform: &mut impl Platform, daemon: bool) -> Result<(), Shortage> {
        let mut suspects = Vec::new();
        let written = self.counters.pswpout;
        let result = self.evict_first(platform, daemon, &mut suspects);
        let works = self.counters.pswpout > written;
        for slot in suspects {
            match works {
                true => self.swap.retire(slot),
                false => self.swap.drop_names(slot, 1),
            }
        }
        self.launder_queued(platform);
        let c = &mut self.counters;
        *(if daemon { &mut c.pgsteal_kswapd } else { &mut c.pgsteal_direct }) +=
            u64::from(result.is_ok());
        result
    }

    /// Evicts this page, if it can be (MADV_PAGEOUT).
    pub(crate) fn evict_now(&mut self, platform: &mut impl Platform, pfn: Pfn) {
        if let Err(Kept::Io(Some(slot))) = self.evict(platform, pfn, false) {
            self.swap.drop_names(slot, 1);
        }
    }

    /// Evicts a page that the policy gives up; whether it could go.
    pub(crate) fn evict_surplus(&mut self, platform: &mut impl Platform, pfn: Pfn) -> bool {
        match self.evict(platform, pfn, true) {
            Ok(()) => true,
            Err(Kept::Io(Some(slot))) => {
                self.swap.drop_names(slot, 1);
                false
            }
            Err(_) => false,
        }
    }

    /// Evicts the first victim that can be, and collects the slots that failed on the way.
    fn evict_first(
        &mut self,
        platform: &mut impl Platform,
        daemon: bool,
        suspects: &mut Vec<SwapSlot>,
    ) -> Result<(), Shortage> {
        let mut shortage = Shortage::SwapFull;
        for failures in 0..FAILURES_MAX {
            match self.evict_next(platform, daemon) {
                Ok(()) => return Ok(()),
                Err(Kept::NoSlot) if failures == 0 => return Err(self.shortage()),
                Err(Kept::NoSlot) => break,
                Err(Kept::NoSpace) => {}
                Err(Kept::Io(slot)) => {
                    shortage = Shortage::IoErrors;
                    suspects.extend(slot);
                }
            }
        }
        Err(shortage)
    }

    /// Evicts what the policy, or the policies of processes, name next.
    fn evict_next(&mut self, platform: &mut impl Platform, daemon: bool) -> Result<(), Kept> {
        if self.config.scope == Scope::Process {
            return self.evict_by_sets(platform, daemon);
        }
        let victim = self.choose(platform, daemon);
        victim.map_or(Err(Kept::NoSlot), |pfn| self.evict(platform, pfn, daemon))
    }

    /// What is short, if there is no victim.
    fn shortage(&self) -> Shortage {
        let summary = self.frames.summary();
        if summary.page_table > summary.anon + summary.file {
            Shortage::PageTables
        } else if self.locked_pages() * 2 > summary.anon + summary.file {
            Shortage::Locked
        } else if !self.swap.is_on() {
            Shortage::NoSwap
        } else if self.swap.bad() == self.swap.total() {
            Shortage::IoErrors
        } else {
            Shortage::SwapFull
        }
    }

    /// Pages that no victim is chosen from, at most.
    fn locked_pages(&self) -> u64 {
        let locked = self.spaces.iter().flatten().map(|space| space.regions.sizes().locked);
        locked.sum::<u64>() >> self.page.shift()
    }

    /// Takes a page out of memory, and from all its owners.
    pub(crate) fn evict(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        daemon: bool,
    ) -> Result<(), Kept> {
        if self.transfers.is_writing(pfn) {
            return Err(Kept::NoSlot);
        }
        if self.frames.part(pfn) == Part::First {
            let place = self.frames.first_mapping(pfn).expect("a large page is mapped");
            self.split_at(platform, place.space, place.va);
        }
        match self.frames.used(pfn) {
            Use::Anon { slot } => self.evict_anon(platform, pfn, slot, daemon),
            Use::File { file, index, .. } if file.is_memory() => {
                self.evict_object(platform, pfn, file, index, daemon)
            }
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
            self.write_back(platform, pfn).map_err(|_told| Kept::Io(None))?;
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

    /// Evicts a page of an object: its slot, if it has one, is the object's again.
    fn evict_object(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        file: FileId,
        index: u32,
        daemon: bool,
    ) -> Result<(), Kept> {
        self.collect_modified(platform, pfn);
        let dirty = self.frames.dirty(pfn);
        let kept = self.objects.slot(file, index);
        let slot = match kept {
            Some(slot) => {
                self.swap.add_names(slot, 1);
                self.swap.unkeep(slot);
                slot
            }
            None => self.allocate_slot().ok_or(Kept::NoSlot)?,
        };
        self.swap.set_object(slot);
        if dirty && let Err(error) = self.swap_write(platform, slot, pfn) {
            self.objects.set_slot(file, index, None);
            return Err(self.suspect(slot, error));
        }
        self.unmap_everywhere(platform, pfn);
        self.objects.set_slot(file, index, Some(slot));
        self.finish_eviction(platform, pfn, dirty, Some(Store::Swap(slot)), daemon);
        Ok(())
    }

    fn evict_anon(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        kept: Option<SwapSlot>,
        daemon: bool,
    ) -> Result<(), Kept> {
        let dirty = self.frames.dirty(pfn) || self.is_modified(platform, pfn);
        let slot = match kept {
            Some(slot) => Some(slot),
            None if dirty => Some(self.allocate_slot().ok_or(Kept::NoSlot)?),
            None => None,
        };
        let owners = self.replace_entries(platform, pfn, slot);
        if let Some(slot) = slot {
            // A new slot has one name.
            let names = owners.len() as u32 - u32::from(kept.is_none());
            self.swap.add_names(slot, names);
            self.forget_slot(pfn);
            if dirty && self.defers_writes(daemon) {
                self.begin_write(platform, pfn, slot, &owners);
                return Ok(());
            }
            if dirty {
                self.swap_out(platform, pfn, &owners, slot)?;
                self.transfers.recover();
            }
        }
        for (place, was) in owners {
            self.note_unmapped(place, was);
            self.each_owner(place, |residency| residency.swapped += u64::from(slot.is_some()));
        }
        self.finish_eviction(platform, pfn, dirty, slot.map(Store::Swap), daemon);
        Ok(())
    }

    /// Whether an entry says that the page was stored to.
    pub(crate) fn is_modified(&self, platform: &impl Platform, pfn: Pfn) -> bool {
        self.frames.reverse(pfn).any(|place| {
            let found = self.space(place.space).pmap.lookup(platform, place.va);
            matches!(found, Mapping::Resident(now) if now.modified)
        })
    }

    /// Puts the slot, or nothing, in all entries that name the frame, and returns what they were.
    /// The frame table still counts them.
    pub(crate) fn replace_entries(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        slot: Option<SwapSlot>,
    ) -> Vec<(ReverseMapping, Resident)> {
        let places: Vec<ReverseMapping> = self.frames.reverse(pfn).collect();
        let mut owners = Vec::with_capacity(places.len());
        for place in places {
            let space = space_in(&mut self.spaces, place.space);
            let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, place.va, slot)
            else {
                unreachable!("frame {pfn} is mapped at {}", place.va)
            };
            let (was, flushed) = unmapped.flush(platform);
            self.counters.count_flush(flushed);
            owners.push((place, was));
        }
        owners
    }

    /// Writes an unmapped page to its slot. If that fails, the page is mapped again as it was, and
    /// dirty; the slot has one name left, or belongs to the frame again if others name it.
    fn swap_out(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        owners: &[(ReverseMapping, Resident)],
        slot: SwapSlot,
    ) -> Result<(), Kept> {
        let Err(error) = self.swap_write(platform, slot, pfn) else { return Ok(()) };
        for &(place, was) in owners {
            let space = space_in(&mut self.spaces, place.space);
            let _same = space.pmap.take_slot(platform, &mut self.frames, place.va);
            space.pmap.enter(platform, &mut self.frames, place.va, was);
        }
        self.frames.set_dirty(pfn, true);
        let owners = owners.len() as u32;
        if self.swap.names(slot) > owners {
            // Whoever evicted it before waits for this slot.
            self.swap.drop_names(slot, owners);
            self.keep_slot(pfn, slot);
            return Err(Kept::Io(None));
        }
        self.swap.drop_names(slot, owners - 1);
        Err(self.suspect(slot, error))
    }

    /// Writes a slot; an error is counted and told.
    pub(crate) fn swap_write(
        &mut self,
        platform: &mut impl Platform,
        slot: SwapSlot,
        pfn: Pfn,
    ) -> Result<(), IoError> {
        let result = platform.swap_write(slot, pfn);
        self.count_swap_write(platform, slot, pfn, result)
    }

    /// A slot was written, or not.
    pub(crate) fn count_swap_write(
        &mut self,
        platform: &mut impl Platform,
        slot: SwapSlot,
        pfn: Pfn,
        result: Result<(), IoError>,
    ) -> Result<(), IoError> {
        let store = Store::Swap(slot);
        match result {
            Ok(()) => {
                self.counters.pswpout += 1;
                platform.event(Event::PageOut { pfn, to: store, bytes: self.page.bytes() });
            }
            Err(error) => {
                self.counters.swap_io_errors += 1;
                platform.event(Event::IoError { store, pfn, write: true, error });
            }
        }
        result
    }

    /// What a failed write says of a slot that has one name.
    fn suspect(&mut self, slot: SwapSlot, error: IoError) -> Kept {
        match error {
            // The device is full: no fault of the slot.
            IoError::NoSpace => {
                self.swap.drop_names(slot, 1);
                self.swap.set_full(slot);
                Kept::NoSpace
            }
            IoError::Io | IoError::Short | IoError::Corrupt => Kept::Io(Some(slot)),
        }
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
        self.dismiss(pfn, store);
        self.free_page(pfn);
        platform.event(Event::Evict { pfn, dirty, store, daemon });
    }

    /// A free slot; if there is none, one that a resident page keeps, which is dirty from then on.
    pub(crate) fn allocate_slot(&mut self) -> Option<SwapSlot> {
        if !self.swap.has_free() && self.swap.has_room() {
            self.take_kept_slot();
        }
        self.swap.allocate()
    }

    fn take_kept_slot(&mut self) {
        let total = self.frames.total();
        for step in 0..total {
            let pfn = Pfn((self.slot_hand + step) % total);
            let is_on = self.kept_slot(pfn).is_some_and(|slot| self.swap.is_slot_on(slot));
            if is_on && self.give_up_slot(pfn) {
                self.counters.slots_reclaimed += 1;
                self.slot_hand = pfn.0 + 1;
                return;
            }
        }
    }

    /// The slot that a frame keeps.
    pub(crate) fn kept_slot(&self, pfn: Pfn) -> Option<SwapSlot> {
        match self.frames.used(pfn) {
            Use::Anon { slot } => slot,
            Use::File { file, index, .. } => self.objects.slot(file, index),
            _ => None,
        }
    }

    /// Takes the slot that a frame keeps, if nobody names it.
    pub(crate) fn give_up_slot(&mut self, pfn: Pfn) -> bool {
        match self.frames.used(pfn) {
            Use::Anon { slot: Some(slot) } if self.swap.names(slot) == 0 => self.drop_slot(pfn),
            Use::File { file, index, .. } if self.objects.slot(file, index).is_some() => {
                self.drop_object_slot(pfn, file, index);
            }
            _ => return false,
        }
        true
    }
}
