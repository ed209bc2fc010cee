//! Transfers in flight: the device works, and others run.
//!
//! ```text
//!   page-in    frame := Transit ─ submit ─ the fault waits ─── done ─► read into the cache, fault again
//!   page-out   PTE := slot ─ flush ─ submit ────────────────── done ─► written; frame free
//!                 │ in the swap cache meanwhile:
//!                 ├─ somebody faults on it: mapped again ───── done ─► written; resident
//!                 └─ somebody stores to it, or lets it go ─► withdrawn: nothing is written any more
//! ```
//!
//! The bytes move when the device is done, not before: a store that reached the frame after the
//! write began would be written, or lost. It cannot, because the entries are marked and the TLBs
//! flushed before the device is asked (text 004: `removal_policy`); what comes back in between goes
//! through the swap cache.
//!
//! Only faults of programs wait, and only as often as [`WAITS_MAX`]; then, and on all other ways into
//! the kernel, the device is waited for on the spot, as if there were nobody else.
//!
//! Anonymous pages are written this way. Pages of files and of memory objects are read this way, and
//! written on the spot.
//!
//! Invariants:
//! 1. A frame under transfer is no victim: one that is read into is `Transit`, one that is written is
//!    unknown to the policy.
//! 2. A slot that is read is named by its transfer, so that it is not given to another page.
//! 3. A frame that is written is in the swap cache, dirty, under the slot that it is written to.
//! 4. At most [`WRITES_MAX`] writes are in flight.

use crate::fault::{Fault, Refusal};
use crate::space::space_in;
use crate::{
    Event, FaultResult, FileId, Kernel, Platform, Pmap, Resident, ReverseMapping, SpaceId, Store,
    SwapSlot, Use,
};
use alloc::collections::BTreeMap;
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};
use pagewalk_replacement::PageKind;

/// How often one access waits before the device is waited for on the spot: what was brought in for it
/// can be gone again before its thread runs.
pub const WAITS_MAX: u32 = 8;

/// Writes in flight (Linux: twice SWAP_CLUSTER_MAX).
const WRITES_MAX: usize = 64;

/// Who waits for devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceWait {
    /// The hart: nobody else runs on it meanwhile.
    #[default]
    Hart,
    /// The thread: others run.
    Thread,
}

impl DeviceWait {
    /// The names of all, the default first.
    pub const NAMES: &'static [&'static str] = &["sync", "async"];

    /// The one called `name`, one of [`DeviceWait::NAMES`].
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Hart, Self::Thread].into_iter().find(|wait| wait.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hart => "sync",
            Self::Thread => "async",
        }
    }
}

/// The number of a transfer; none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// What an access has waited for already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// How often.
    pub times: u32,
    /// A page was read for it.
    pub major: bool,
}

/// What became of a fault that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Attempt {
    /// It is over.
    Done(FaultResult),
    /// It is to be tried again when a transfer is done: this one, or any that frees a frame.
    Wait {
        /// The transfer of the page; without it, memory is waited for.
        on: Option<TransferId>,
        /// What it has waited for then.
        waited: Waited,
    },
}

/// What a transfer moves.
#[derive(Clone, Debug)]
enum Transfer {
    Read { from: Source, pfn: Pfn, kind: PageKind, ahead: bool },
    Write { slot: SwapSlot, pfn: Pfn },
}

/// Where a page is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A slot of a private page.
    Slot(SwapSlot),
    /// A file, at this offset.
    File(FileId, u64),
    /// The slot of a page of an object.
    Object(FileId, u32, SwapSlot),
}

impl Source {
    fn store(self) -> Store {
        match self {
            Self::Slot(slot) | Self::Object(_, _, slot) => Store::Swap(slot),
            Self::File(file, offset) => Store::File { file, offset },
        }
    }

    fn slot(self) -> Option<SwapSlot> {
        match self {
            Self::Slot(slot) | Self::Object(_, _, slot) => Some(slot),
            Self::File(..) => None,
        }
    }
}

/// All transfers in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfers {
    last: u64,
    by_id: BTreeMap<TransferId, Transfer>,
    reads: BTreeMap<Source, TransferId>,
    writes: BTreeMap<u64, TransferId>,
    /// A write has failed, and none has succeeded since: pages are written on the spot, where what
    /// follows from errors is known at once.
    degraded: bool,
    /// The fault that is being served, if it may wait.
    patience: Option<Waited>,
}

impl Transfers {
    /// Whether the frame is being written.
    pub fn is_writing(&self, pfn: Pfn) -> bool {
        self.writes.contains_key(&pfn.0)
    }

    /// Frames that are being written: as good as free soon.
    pub fn writes(&self) -> u64 {
        self.writes.len() as u64
    }

    /// Whether a page was read for the fault that is being served, which finds it in the cache now.
    pub fn has_read(&self) -> bool {
        self.patience.is_some_and(|waited| waited.major)
    }

    /// Whether the fault that is being served is tried again.
    pub fn is_again(&self) -> bool {
        self.patience.is_some_and(|waited| waited.times > 0)
    }

    /// Whether the fault that is being served may wait.
    pub fn may_wait(&self) -> bool {
        self.patience.is_some_and(|waited| waited.times < WAITS_MAX)
    }

    /// The frame's write is no longer wanted; whether there was one.
    pub fn withdraw(&mut self, pfn: Pfn) -> bool {
        let id = if self.writes.is_empty() { None } else { self.writes.remove(&pfn.0) };
        id.is_some_and(|id| self.by_id.remove(&id).is_some())
    }

    /// A write on the spot succeeded.
    pub fn recover(&mut self) {
        self.degraded = false;
    }

    /// The slots that transfers name, for the audit.
    pub fn named(&self) -> impl Iterator<Item = SwapSlot> + '_ {
        self.reads.keys().filter_map(|source| source.slot())
    }

    /// The frames that are read into, for the audit.
    pub fn read_into(&self) -> impl Iterator<Item = Pfn> + '_ {
        self.by_id.values().filter_map(|transfer| match transfer {
            Transfer::Read { pfn, .. } => Some(*pfn),
            Transfer::Write { .. } => None,
        })
    }

    /// The frames that are written and their slots, for the audit.
    pub fn written_to(&self) -> impl Iterator<Item = (Pfn, SwapSlot)> + '_ {
        self.by_id.values().filter_map(|transfer| match transfer {
            Transfer::Write { pfn, slot, .. } => Some((*pfn, *slot)),
            Transfer::Read { .. } => None,
        })
    }

    fn next(&mut self) -> TransferId {
        self.last += 1;
        TransferId(self.last)
    }
}

impl<P: Pmap> Kernel<P> {
    /// Resolves a page fault, or says what its thread must wait for: then nothing has happened but
    /// that a transfer was begun, and the fault is to be tried again, with what it `waited` for.
    ///
    /// Where devices are waited for on the spot this is [`Kernel::fault`].
    pub fn fault_or_wait(
        &mut self,
        platform: &mut impl Platform,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
        waited: Waited,
    ) -> Attempt {
        if self.config.device_wait == DeviceWait::Hart {
            return Attempt::Done(self.fault(platform, space, va, kind));
        }
        self.transfers.patience = Some(waited);
        let attempt = self.try_fault(platform, space, va, kind);
        self.transfers.patience = None;
        match attempt {
            Ok(result) => Attempt::Done(result),
            Err(on) => {
                let major = waited.major || on.is_some();
                self.counters.pgmajfault += u64::from(major && !waited.major);
                Attempt::Wait { on, waited: Waited { times: waited.times + 1, major } }
            }
        }
    }

    /// A transfer is done: its bytes move. Says whether memory may be had now.
    pub fn complete(&mut self, platform: &mut impl Platform, id: TransferId) -> bool {
        match self.transfers.by_id.remove(&id) {
            // It was withdrawn.
            None => true,
            Some(Transfer::Read { from, pfn, kind, ahead }) => {
                self.transfers.reads.remove(&from);
                self.frames.release(pfn);
                self.finish_read(platform, from, kind, ahead);
                false
            }
            Some(Transfer::Write { slot, pfn }) => {
                self.transfers.writes.remove(&pfn.0);
                self.finish_write(platform, slot, pfn);
                true
            }
        }
    }

    /// Waits on the spot for all transfers.
    pub fn complete_all(&mut self, platform: &mut impl Platform) {
        while let Some((&id, _)) = self.transfers.by_id.first_key_value() {
            platform.wait(id);
            self.complete(platform, id);
        }
    }

    /// Waits on the spot for the oldest write; whether there was one.
    pub(crate) fn complete_write(&mut self, platform: &mut impl Platform) -> bool {
        let Some(&id) = self.transfers.writes.values().min() else { return false };
        platform.wait(id);
        self.complete(platform, id);
        true
    }

    /// Makes sure that the fault finds the frames that it takes, or begins to write pages and has it
    /// wait for them.
    #[inline]
    pub(crate) fn reserve_or_wait(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Result<(), Refusal> {
        if self.transfers.may_wait() && self.frames.free() < self.marks.min {
            self.reclaim_or_wait(platform, fault)
        } else {
            self.reserve(platform, fault).map_err(Refusal::OutOfMemory)
        }
    }

    #[cold]
    fn reclaim_or_wait(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Result<(), Refusal> {
        self.check_refused().map_err(Refusal::OutOfMemory)?;
        self.counters.allocstall += 1;
        // That it fails is no harm while there is something to wait for.
        let _enough = self.reclaim_ahead(platform, self.marks.min, false);
        if self.frames.free() >= self.frames_needed(platform, fault) {
            Ok(())
        } else if self.transfers.writes() > 0 {
            Err(Refusal::Wait(None))
        } else {
            self.reserve(platform, fault).map_err(Refusal::OutOfMemory)
        }
    }

    /// The page is on a device: begins to read it, and has the fault wait. Returns if the fault does
    /// not wait: then the caller reads it on the spot.
    pub(crate) fn read_or_wait(
        &mut self,
        platform: &mut impl Platform,
        from: Source,
        kind: PageKind,
    ) -> Result<(), Refusal> {
        if !self.transfers.may_wait() {
            return Ok(());
        }
        match self.transfers.reads.get(&from) {
            Some(&id) => Err(Refusal::Wait(Some(id))),
            None => Err(Refusal::Wait(Some(self.begin_read(platform, from, kind, false)))),
        }
    }

    /// As [`Kernel::read_or_wait`], for a private page on swap, with its neighbours.
    pub(crate) fn read_slot_or_wait(
        &mut self,
        platform: &mut impl Platform,
        slot: SwapSlot,
    ) -> Result<(), Refusal> {
        if !self.transfers.may_wait() {
            return Ok(());
        }
        if let Some(id) = self.join_read(slot) {
            return Err(Refusal::Wait(Some(id)));
        }
        let [before, behind] = self.neighbours(slot);
        self.begin_reads_around(platform, &before);
        let id = self.begin_read(platform, Source::Slot(slot), PageKind::Anon, false);
        self.begin_reads_around(platform, &behind);
        Err(Refusal::Wait(Some(id)))
    }

    /// Somebody wants a page that is being read; it may have been read ahead.
    fn join_read(&mut self, slot: SwapSlot) -> Option<TransferId> {
        let id = *self.transfers.reads.get(&Source::Slot(slot))?;
        if let Some(Transfer::Read { ahead, .. }) = self.transfers.by_id.get_mut(&id)
            && core::mem::take(ahead)
        {
            self.counters.swap_ra += 1;
            self.note_read_ahead_hit();
        }
        Some(id)
    }

    /// Begins to read slots as long as there are frames that nobody needs.
    fn begin_reads_around(&mut self, platform: &mut impl Platform, slots: &[SwapSlot]) {
        for &slot in slots {
            let source = Source::Slot(slot);
            if self.frames.free() <= self.kept_from_read_ahead() {
                return;
            }
            if !self.transfers.reads.contains_key(&source) {
                self.begin_read(platform, source, PageKind::Anon, true);
            }
        }
    }

    /// Begins to read a page; the caller reserved a frame.
    fn begin_read(
        &mut self,
        platform: &mut impl Platform,
        from: Source,
        kind: PageKind,
        ahead: bool,
    ) -> TransferId {
        let pfn = self.frames.allocate(Use::Transit).expect("the fault reserved its frames");
        if let Some(slot) = from.slot() {
            self.swap.add_names(slot, 1);
        }
        let id = self.transfers.next();
        self.transfers.by_id.insert(id, Transfer::Read { from, pfn, kind, ahead });
        self.transfers.reads.insert(from, id);
        self.submit(platform, id, from.store(), pfn, false);
        id
    }

    /// Whether a page that is evicted now may be written while others run.
    pub(crate) fn defers_writes(&self, daemon: bool) -> bool {
        let transfers = &self.transfers;
        self.config.device_wait == DeviceWait::Thread
            && (daemon || transfers.may_wait())
            && !transfers.degraded
            && transfers.writes.len() < WRITES_MAX
    }

    /// Begins to write a page whose entries name the slot and are flushed; its frame goes to the swap
    /// cache until it is done.
    pub(crate) fn begin_write(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        slot: SwapSlot,
        owners: &[(ReverseMapping, Resident)],
    ) {
        self.keep_slot(pfn, slot);
        self.frames.set_dirty(pfn, true);
        self.dismiss(pfn, Some(Store::Swap(slot)));
        self.recent.remove(pfn);
        for &(place, was) in owners {
            self.note_unmapped(place, was);
            self.each_owner(place, |residency| residency.swapped += 1);
        }
        let id = self.transfers.next();
        self.transfers.by_id.insert(id, Transfer::Write { slot, pfn });
        self.transfers.writes.insert(pfn.0, id);
        self.submit(platform, id, Store::Swap(slot), pfn, true);
    }

    fn submit(
        &mut self,
        platform: &mut impl Platform,
        id: TransferId,
        store: Store,
        pfn: Pfn,
        write: bool,
    ) {
        platform.event(Event::Submit { store, pfn, write });
        platform.submit(id, store, write);
    }

    /// Tries a fault; `Err` says what it waits for.
    fn try_fault(
        &mut self,
        platform: &mut impl Platform,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> Result<FaultResult, Option<TransferId>> {
        let page = va.page_base(self.page);
        let pmap = &mut space_in(&mut self.spaces, space).pmap;
        if pmap.refill(platform, &mut self.frames, page) {
            self.counters.pgspill += 1;
            return Ok(FaultResult::Resolved { major: false });
        }
        loop {
            match self.attempt(platform, space, va, kind) {
                Err(Refusal::Wait(on)) => return Err(on),
                result => {
                    if let Some(end) = self.tell(platform, space, va, kind, result) {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// The frame that was kept for the page is the one that it is read into: the last freed is used
    /// first. Errors have been counted and told; who waits tries again on the spot.
    fn finish_read(
        &mut self,
        platform: &mut impl Platform,
        from: Source,
        kind: PageKind,
        ahead: bool,
    ) {
        match from {
            Source::Slot(slot) => {
                if self.swap.names(slot) > 1
                    && !self.swap.is_kept(slot)
                    && let Ok(pfn) = self.read_slot(platform, slot)
                {
                    self.frames.set_read_ahead(pfn, ahead);
                    self.counters.swap_ra += u64::from(ahead);
                }
                self.drop_slot_name(slot);
            }
            // Once nobody maps a file, it may be closed: its pages are forgotten, and a page that came
            // now would be there still when the file is opened again, whatever became of it.
            Source::File(file, _) if self.mapped_bytes(file) == 0 => {}
            Source::File(file, offset) => {
                let _told = self.cached_page(platform, file, offset, kind);
            }
            Source::Object(id, index, slot) => {
                let absent = !self.swap.is_kept(slot);
                if absent && self.objects.slot(id, index) == Some(slot) {
                    let _told = self.object_page(platform, id, index);
                }
                self.swap.drop_names(slot, 1);
            }
        }
    }

    /// After an error the slot is only reserved: the page stays in the swap cache, dirty.
    fn finish_write(&mut self, platform: &mut impl Platform, slot: SwapSlot, pfn: Pfn) {
        let written = self.swap_write(platform, slot, pfn).is_ok();
        self.transfers.degraded = !written;
        self.frames.set_dirty(pfn, !written);
        if written && self.frames.mappings(pfn) == 0 {
            self.free_page(pfn);
            let store = Some(Store::Swap(slot));
            platform.event(Event::Evict { pfn, dirty: true, store, daemon: true });
        } else {
            self.know_again(pfn);
        }
    }
}
