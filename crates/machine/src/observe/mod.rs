//! An idealised machine: every reference of its programs is seen.
//!
//! ```text
//!   hart ─► ObservedBus ─► Memory                    the machine's own path, unchanged
//!               │ data, fetch
//!               ▼                    kernel: page_loaded, page_referenced, pages_gone, events
//!           Observer ◄───────────────────────────────────┘
//!               ├─► PageNames     which page is it?
//!               ├─► Policy        lru,ideal and opt: reference(frame, next)
//!               ├─► Recorder      the string, for the gap to OPT and for a second run
//!               ├─► Future        what a first run recorded
//!               └─► Sizes         working sets and resident sets over time
//! ```
//!
//! What counts as a reference: each load, store and fetch that succeeded, an access into two pages
//! as one to each; and each page that the kernel copies from or to on behalf of a program, once for
//! each call of its copying. What the kernel does to page tables and to frames when it resolves
//! faults, transfers of devices, and reads and writes of files in memory are none. A reference to
//! the page that was referenced just before is a repeat and makes no difference to anybody.
//!
//! Fetches are told late, as they are stamped: every instruction is fetched from the page that
//! the hart is in, so it is enough to look before something else is referenced.
//!
//! Invariants:
//! 1. The string is that of the program: the same whatever was in memory, as long as the program
//!    does not look at time or memory. An instruction that faults has made no reference until it is
//!    made again.
//! 2. A machine without an observer does not change by an instruction: what looks is another bus
//!    ([`bus`]).
//! 3. All counters of the report are those of a machine without.

mod bus;
mod capacity;
mod future;
mod gap;
mod names;
mod recording;
mod run;
mod sizes;

use std::cell::Cell;
use std::io;

use pagewalk_cpu::RefTime;
use pagewalk_kernel::{Event, FaultCause, SpaceId};
use pagewalk_mmu::{PageSize, Pfn, PhysAddr, VirtAddr};
use pagewalk_replacement::{NEVER, Policy};

use crate::report::{ForesightReport, OptReport};
use capacity::Capacity;
use future::{Future, UNKNOWN};
use names::PageNames;
use recording::Recorder;
use sizes::{Running, Sizes};

pub use recording::{Entry, Reader, Recording};
pub use sizes::{SizesConfig, SizesFormat};

/// No page, no frame.
const NONE: u64 = u64::MAX;

/// Sees every reference; see the module.
#[derive(Debug)]
pub(crate) struct Observer {
    page: PageSize,
    /// Frames of a large page, of which the policy knows the first alone.
    frames_per_large: u64,
    names: PageNames,
    /// The number of references, repeats not counted.
    references: u64,
    last_page: Option<u32>,
    last_frame: u64,
    /// The frame that instructions are fetched from.
    code: u64,
    /// Instructions of the hart whose fetches have been told.
    fetched: u64,
    epoch: Cell<u64>,
    feeds_policy: bool,
    recording: State,
    /// What the policy's faults were while it was recorded.
    faults: Faults,
    /// The frames that it had.
    capacity: Capacity,
    future: Option<Future>,
    /// The policy has been told that the future is not known after all.
    is_blind: bool,
    outcome: Option<OptReport>,
    sizes: Option<Sizes>,
}

/// The recording.
#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Running(Box<Recorder>),
    /// It is as long as it can be; after so many references.
    Cut(Box<Recorder>, u64),
}

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    cold: u64,
    refaults: u64,
}

impl Observer {
    fn new(frames: u64, page: PageSize, large: Option<PageSize>, feeds_policy: bool) -> Self {
        Self {
            page,
            frames_per_large: large.map_or(1, |large| large.bytes() >> page.shift()),
            names: PageNames::new(frames),
            references: 0,
            last_page: None,
            last_frame: NONE,
            code: NONE,
            fetched: 0,
            epoch: Cell::new(u64::MAX),
            feeds_policy,
            recording: State::None,
            faults: Faults::default(),
            capacity: Capacity::default(),
            future: None,
            is_blind: false,
            outcome: None,
            sizes: None,
        }
    }

    /// An epoch that never was: far above those of any hart.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epoch.set(self.epoch.get() - 1);
        self.epoch.get()
    }

    /// A hart goes on, having retired so many instructions, with a process of those alive.
    fn enter(&mut self, retired: u64, running: Option<Running>, is_alive: impl Fn(u32) -> bool) {
        self.names.settle();
        self.code = NONE;
        self.fetched = retired;
        if let (Some(sizes), Some(running)) = (&mut self.sizes, running) {
            sizes.enter(running, retired, is_alive);
        }
    }

    /// It stops.
    fn leave(&mut self, retired: u64, policy: &mut Option<&mut dyn Policy>) {
        self.catch_up(retired, policy);
        if let Some(sizes) = &mut self.sizes {
            sizes.leave(retired);
        }
        let is_apart = self.future.as_ref().is_some_and(Future::is_apart);
        if let Some(policy) = policy
            && is_apart
            && !std::mem::replace(&mut self.is_blind, true)
        {
            // What it was told of the future is worth nothing any more.
            (0..self.names.frames()).for_each(|frame| policy.reference(Pfn(frame), UNKNOWN));
        }
    }

    /// Tells the fetches of the instructions before number `retired`.
    #[inline]
    fn catch_up(&mut self, retired: u64, policy: &mut Option<&mut dyn Policy>) {
        if retired > self.fetched && self.code != NONE {
            if self.sizes.is_some() {
                self.write_rows(retired, policy);
            }
            self.fetched = retired;
            self.see(self.code, policy);
        }
        self.fetched = retired;
    }

    /// Writes the rows of sizes that are due before the instruction number `retired`, from 1 on.
    fn write_rows(&mut self, retired: u64, policy: &mut Option<&mut dyn Policy>) {
        while let Some(due) = self.sizes.as_ref().map(Sizes::next_row).filter(|&due| due < retired)
        {
            if due > self.fetched {
                self.fetched = due;
                self.see(self.code, policy);
            }
            if let Some(sizes) = &mut self.sizes {
                sizes.row();
            }
        }
    }

    /// A load or store succeeded.
    #[inline]
    pub(crate) fn data(
        &mut self,
        first: PhysAddr,
        second: Option<PhysAddr>,
        now: RefTime,
        policy: &mut Option<&mut dyn Policy>,
    ) {
        self.catch_up(now.instructions() + 1, policy);
        self.see(first.pfn(self.page).0, policy);
        if let Some(second) = second {
            self.see(second.pfn(self.page).0, policy);
        }
    }

    /// A fetch succeeded: of an instruction's first half, or of the second in another page.
    pub(crate) fn fetch(
        &mut self,
        pa: PhysAddr,
        now: RefTime,
        policy: &mut Option<&mut dyn Policy>,
    ) {
        let retired = now.instructions();
        if now > now.own_fetch() {
            self.catch_up(retired + 1, policy);
            // Its data reference has the second page's fetch before it.
            self.fetched = retired;
        } else {
            self.catch_up(retired, policy);
        }
        self.code = pa.pfn(self.page).0;
    }

    #[inline]
    fn see(&mut self, frame: u64, policy: &mut Option<&mut dyn Policy>) {
        if frame == self.last_frame {
            if let (Some(sizes), Some(page)) = (&mut self.sizes, self.last_page) {
                sizes.reference(page, self.fetched);
            }
            return;
        }
        let next = self.refer(Pfn(frame));
        if let Some(policy) = policy {
            policy.reference(self.known(Pfn(frame), &**policy), next);
        }
    }

    /// The frame by which the policy knows a page.
    fn known(&self, pfn: Pfn, policy: &dyn Policy) -> Pfn {
        match self.frames_per_large > 1 && !policy.contains(pfn) {
            true => Pfn(pfn.0 & !(self.frames_per_large - 1)),
            false => pfn,
        }
    }

    /// A page is referenced; returns when it is next, as far as that is known.
    fn refer(&mut self, pfn: Pfn) -> u64 {
        self.last_frame = pfn.0;
        let referred = self.names.refer(pfn);
        let Some(page) = referred.page else {
            self.last_page = None;
            self.cut();
            return NEVER;
        };
        if let Some(sizes) = &mut self.sizes {
            sizes.reference(page, self.fetched);
        }
        let is_repeat = self.last_page == Some(page);
        self.last_page = Some(page);
        self.references += u64::from(!is_repeat);
        if let State::Running(recorder) = &mut self.recording {
            self.faults.cold += u64::from(referred.first);
            self.faults.refaults += u64::from(referred.loaded && !referred.first);
            if !is_repeat && !recorder.reference(page, self.references) {
                self.cut();
            }
        }
        match &mut self.future {
            None => NEVER,
            Some(future) if is_repeat => future.of(page),
            Some(future) => future.refer(page, self.references),
        }
    }

    /// Ends a recording that is as long as it can be.
    #[cold]
    fn cut(&mut self) {
        if let State::Running(recorder) = std::mem::take(&mut self.recording) {
            self.recording = State::Cut(recorder, self.references);
        }
    }

    /// A frame holds another page; when that is referenced next, if that is known.
    pub(crate) fn page_loaded(&mut self, pfn: Pfn) -> Option<u64> {
        self.names.loaded(pfn);
        if self.last_frame == pfn.0 {
            self.last_frame = NONE;
        }
        self.future.as_ref().zip(self.names.of(pfn)).map(|(future, page)| future.of(page))
    }

    /// A page is in another frame from now on.
    pub(crate) fn page_moved(&mut self, from: Pfn, to: Pfn) -> Option<u64> {
        self.names.moved(from, to);
        if self.last_frame == from.0 || self.last_frame == to.0 {
            self.last_frame = NONE;
        }
        self.future.as_ref().zip(self.names.of(to)).map(|(future, page)| future.of(page))
    }

    /// The kernel refers to a page for a program; when that is referenced next, if the policy is to
    /// know.
    pub(crate) fn page_referenced(&mut self, pfn: Pfn) -> Option<u64> {
        if pfn.0 == self.last_frame {
            return None;
        }
        let next = self.refer(pfn);
        self.feeds_policy.then_some(next)
    }

    /// What a space had in a range is gone.
    pub(crate) fn pages_gone(&mut self, space: SpaceId, from: VirtAddr, to: VirtAddr) {
        self.names.gone(space, from, to);
    }

    /// The kernel did something.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::PageIn { from, pfn } => self.names.read(from, pfn),
            Event::Evict { pfn, store, .. } => self.names.evicted(pfn, store),
            Event::Fault { space, va, cause, pfn, major, .. } => {
                if cause == FaultCause::ZeroFill {
                    self.names.zero_filled(space, va.page_base(self.page), pfn);
                }
                if let Some(sizes) = &mut self.sizes {
                    sizes.fault(major);
                }
            }
            _ => {}
        }
    }

    /// Checks that what it knows of pages can be, with the policy's knowledge of frames.
    pub(crate) fn audit(&self, policy: &dyn Policy) -> Result<(), String> {
        self.names.audit(|pfn| policy.contains(pfn))
    }

    /// What a second run that knew the future found.
    pub(crate) fn foresight(&self) -> Option<ForesightReport> {
        let apart = self.future.as_ref()?.apart_after(self.references);
        Some(ForesightReport {
            references: self.references,
            apart_at: apart.as_ref().map(|apart| apart.reference),
            reason: apart.and_then(|apart| apart.error),
        })
    }

    /// How far the policy was from OPT, once that was computed.
    pub(crate) fn outcome(&self) -> Option<&OptReport> {
        self.outcome.as_ref()
    }

    /// Ends the recording; says after how many references it was cut off, if it was.
    fn take_recording(&mut self) -> io::Result<(Recording, Option<u64>)> {
        let (recorder, cut) = match std::mem::take(&mut self.recording) {
            State::None => return Err(io::Error::other("nothing was recorded")),
            State::Running(recorder) => (recorder, None),
            State::Cut(recorder, at) => (recorder, Some(at)),
        };
        let references = cut.unwrap_or(self.references);
        Ok((recorder.finish(references, self.names.len())?, cut))
    }

    /// Since this was asked last, so many frames at most could hold pages.
    fn note_frames(&mut self, frames: u64) {
        if let State::Running(_) = self.recording {
            self.capacity.note(self.references, frames);
        }
    }

    /// Compares the policy's faults with those of OPT, in as many frames as ever held pages.
    fn compare(&mut self, peak_pages: u64) -> io::Result<OptReport> {
        let (recording, cut) = self.take_recording()?;
        let fewest = recording.exact_from();
        let frames = peak_pages.max(fewest);
        let Faults { cold, refaults } = self.faults;
        let opt_faults = gap::opt_faults(&recording, &self.capacity, fewest, frames)?;
        let frames_least = self.capacity.frames().min().unwrap_or(frames).clamp(fewest, frames);
        let faults = cold + refaults;
        Ok(OptReport {
            references: recording.references(),
            references_kept: recording.entries(),
            cut_at: cut,
            pages: recording.pages().into(),
            frames,
            frames_least,
            cold_faults: cold,
            refaults,
            faults,
            opt_refaults: opt_faults.saturating_sub(cold),
            opt_faults,
            gap: if opt_faults == 0 { 1.0 } else { faults as f64 / opt_faults as f64 },
        })
    }
}
