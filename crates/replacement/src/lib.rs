//! Page-replacement policies as pure algorithms over frame numbers.
//!
//! ```text
//!            insert(frame)                      remove(frame)
//!   loaded ────────────────►  known frames  ────────────────────►  freed
//!                               │      ▲
//!                        victim │      │ probe(frame): busy? referenced since the last look?
//!                               ▼      │
//!                           the frame to evict (still known: the eviction may fail)
//! ```
//!
//! A policy sees only what hardware and faults show to an operating system, through the [`Pages`]
//! that its caller lends: the referenced bit, which is taken with each look, and the modified bit.
//! Of a page it knows a name ([`PageId`]), so that it can tell when one that was evicted comes
//! back, and whether it is anonymous, of a file, or program text.
//!
//! Two are idealised: [`Lru`] sees every reference, which no hardware shows, and [`Opt`] the future
//! as well. What both do on a string of references can be computed from the string ([`Belady`]), and
//! from one that was made shorter ([`Reducer`]); so can the sizes of working sets ([`WorkingSets`]).
//!
//! Time passes in two ways, both the caller's: [`Policy::tick`] lets a policy harvest the
//! referenced bits of all frames, and [`Policy::set_time`] tells the virtual time.
//!
//! Invariants:
//! 1. A policy never names a frame that was not inserted, nor one whose probe said [`Probe::Busy`].
//! 2. A victim stays known until it is removed, so that a failed eviction loses nothing; where the
//!    policy would choose it for ever, it counts as loaded again at the next call.
//! 3. Same calls and same probe answers, same victims: randomness comes from the seed alone.
//! 4. [`Policy::victim`] ends: it gives up when a full search finds every frame busy.
//! 5. Memory is bounded by the number of frames: a policy that remembers evicted pages remembers
//!    at most about as many as there are frames.
//! 6. A look takes the referenced bit; a policy that needs it later remembers it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod about;
pub mod aging;
pub mod belady;
pub mod car;
pub mod clock;
pub mod clock_pro;
pub mod denning;
mod directory;
pub mod fifo;
mod frame_set;
pub mod freebsd;
pub mod freebsd_laundry;
pub mod gclock;
mod kind;
pub mod linux;
pub mod lirs_scan;
mod lists;
pub mod lru;
pub mod mglru;
mod min_tree;
pub mod nru;
pub mod opt;
pub mod pff;
mod pid;
mod queues;
pub mod random;
pub mod reduce;
mod references;
pub mod second_chance;
mod splitmix;
pub mod vms;
pub mod working_set;
pub mod ws_clock;

pub use about::About;
pub use aging::Aging;
pub use belady::Belady;
pub use car::Car;
pub use clock::Clock;
pub use clock_pro::ClockPro;
pub use denning::WorkingSets;
pub use fifo::Fifo;
pub use freebsd::{FreeBsd, FreeBsdConfig};
pub use freebsd_laundry::{FreeBsdLaundry, FreeBsdLaundryConfig};
pub use gclock::GClock;
pub use kind::{PolicyError, PolicyKind};
pub use linux::Linux;
pub use lirs_scan::LirsScan;
pub use lru::Lru;
pub use mglru::Mglru;
pub use nru::{Nru, NruPick};
pub use opt::Opt;
pub use pff::Pff;
pub use random::Random;
pub use reduce::Reducer;
pub use second_chance::SecondChance;
pub use vms::Vms;
pub use working_set::WorkingSet;
pub use ws_clock::WsClock;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use pagewalk_mmu::Pfn;

/// What the caller says about a frame that the policy considers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// The frame cannot be evicted now: pinned, under I/O, or nowhere to write it.
    Busy,
    /// It was referenced since the last probe; its referenced bit is clear from now on.
    Referenced,
    /// It was not referenced since the last probe.
    Unreferenced,
}

/// What the caller shows of its frames, and does to them, while a policy decides.
///
/// A closure from frame to [`Probe`] will do for policies that look at nothing else: to them all
/// pages are clean.
pub trait Pages {
    /// Takes the referenced bit of a known frame.
    fn probe(&mut self, frame: Pfn) -> Probe;

    /// Whether the page would have to be written before it could go.
    fn modified(&mut self, frame: Pfn) -> bool;

    /// Asks for the page to be written without being evicted, so that it is clean some time later.
    /// The caller is free not to.
    fn launder(&mut self, frame: Pfn);
}

impl<F: FnMut(Pfn) -> Probe> Pages for F {
    fn probe(&mut self, frame: Pfn) -> Probe {
        self(frame)
    }

    fn modified(&mut self, _: Pfn) -> bool {
        false
    }

    fn launder(&mut self, _: Pfn) {}
}

/// The name of a page, resident or not: the same page gets the same name when it is loaded again.
///
/// What it is made of is the caller's business (a space and an address, a file and an index); two
/// pages of one name are one page to a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u64);

impl PageId {
    /// A page without a name: it is new whenever it is loaded.
    pub const UNKNOWN: Self = Self(0);
}

/// What a page is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PageKind {
    /// Anonymous or shared memory: goes to swap.
    #[default]
    Anon,
    /// Of a file.
    File,
    /// Of a file that is mapped for execution.
    Text,
}

/// What a policy is told of a page that is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Page {
    /// Its name.
    pub id: PageId,
    /// What it is made of.
    pub kind: PageKind,
}

/// How often a policy changed its mind about pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Pages that were found worth keeping longer (Linux: `pgactivate`).
    pub activations: u64,
    /// Pages that no longer were (Linux: `pgdeactivate`).
    pub deactivations: u64,
}

/// The time of a reference that does not come, or of which nobody knows.
pub const NEVER: u64 = u64::MAX;

/// A page-replacement policy over a fixed number of frames.
pub trait Policy: fmt::Debug + Send + Sync {
    /// A page was loaded into `frame`, which was not known before. Known frames are ignored.
    ///
    /// # Panics
    /// If `frame` is outside the frames that the policy was built for.
    fn insert(&mut self, frame: Pfn);

    /// As [`Policy::insert`], for a page of which more is known: policies that remember evicted
    /// pages recognise it.
    ///
    /// # Panics
    /// If `frame` is outside the frames that the policy was built for.
    fn insert_page(&mut self, frame: Pfn, _page: Page) {
        self.insert(frame);
    }

    /// The page in `frame` is gone for good: freed by its owner. Unknown frames are ignored.
    fn remove(&mut self, frame: Pfn);

    /// The page in `frame` was evicted and may come back. Unknown frames are ignored.
    fn evict(&mut self, frame: Pfn) {
        self.remove(frame);
    }

    /// Chooses a frame to evict, or `None` if there is none that is not busy.
    ///
    /// The frame stays known; the caller removes it once it is evicted.
    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn>;

    /// A frame that the policy would give up although no frame is wanted: its page has left the
    /// working set. As a victim, it stays known until it is removed.
    fn surplus(&mut self, _pages: &mut dyn Pages) -> Option<Pfn> {
        None
    }

    /// The page in `frame` is referenced, and then at the time `next`, or [`NEVER`] again. Unknown
    /// frames are ignored.
    ///
    /// Only an idealised machine tells its policies of every reference
    /// ([`PolicyKind::sees_references`]), and of the next one only in a second run of the same
    /// program. All that is needed of times is that they grow.
    fn reference(&mut self, _frame: Pfn, _next: u64) {}

    /// The periodic harvest of referenced bits: looks at every known frame, if the policy needs it.
    fn tick(&mut self, _pages: &mut dyn Pages) {}

    /// Whether [`Policy::tick`], [`Policy::set_time`] or [`Policy::surplus`] change what it decides.
    fn follows_time(&self) -> bool {
        false
    }

    /// Virtual time is `now`, in the unit in which the policy's parameters are given. It never
    /// goes back.
    fn set_time(&mut self, _now: u64) {}

    /// How often it changed its mind, for a policy that keeps some pages longer than others.
    fn activity(&self) -> Option<Activity> {
        None
    }

    /// What it keeps, for whoever wants to see it: its queues by name, each with the next to be looked
    /// at first. Empty for a policy that shows nothing.
    fn queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        Vec::new()
    }

    /// Whether `frame` is known.
    fn contains(&self, frame: Pfn) -> bool;

    /// How many frames are known.
    fn len(&self) -> usize;

    /// Whether no frame is known.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy, for snapshots of a whole machine.
    fn boxed_clone(&self) -> Box<dyn Policy>;
}

impl Clone for Box<dyn Policy> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}
