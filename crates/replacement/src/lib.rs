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
//! A policy sees only what hardware shows to an operating system: the referenced bit, which it
//! reads and clears through the *probe* that its caller lends. It knows no page, no file, no time.
//!
//! Invariants:
//! 1. A policy never names a frame that was not inserted, nor one whose probe said [`Probe::Busy`].
//! 2. A victim stays known until it is removed, so that a failed eviction loses nothing.
//! 3. Same calls and same probe answers, same victims: randomness comes from the seed alone.
//! 4. [`Policy::victim`] ends: it gives up when a full search finds every frame busy.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod clock;
pub mod fifo;
mod frame_set;
mod kind;
pub mod random;

pub use clock::Clock;
pub use fifo::Fifo;
pub use kind::{PolicyKind, UnknownPolicy};
pub use random::Random;

use alloc::boxed::Box;
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

/// A page-replacement policy over a fixed number of frames.
pub trait Policy: fmt::Debug + Send + Sync {
    /// A page was loaded into `frame`, which was not known before.
    ///
    /// # Panics
    /// If `frame` is outside the frames that the policy was built for.
    fn insert(&mut self, frame: Pfn);

    /// The page in `frame` is gone: evicted, or freed by its owner. Unknown frames are ignored.
    fn remove(&mut self, frame: Pfn);

    /// Chooses a frame to evict, or `None` if there is none that is not busy.
    ///
    /// The frame stays known; the caller removes it once it is evicted.
    fn victim(&mut self, probe: &mut dyn FnMut(Pfn) -> Probe) -> Option<Pfn>;

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
