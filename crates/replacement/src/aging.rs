//! Aging: NFU (not frequently used) that forgets, an approximation of LRU in software.
//!
//! Paper: A. S. Tanenbaum, "Modern Operating Systems", Prentice-Hall 1992, section 3.4.
//!
//! ```text
//!   tick:    R ─► │ c7 c6 c5 c4 c3 c2 c1 c0 │ ─► lost        c := (c >> 1) | (R << 7), R cleared
//!   victim:  the smallest c; of several the first frame
//! ```
//!
//! Invariants:
//! 1. A counter tells the last eight ticks, the last first: used in the last tick beats used in all
//!    seven before it.
//! 2. Between ticks nothing but loading changes a counter: references count at the tick. A look
//!    in between takes the hardware's bit and keeps it for the tick.
//! 3. A page is loaded with 1000 0000, as used in the last tick: with 0 it would be the next victim
//!    before it was ever used.
//! 4. A victim that is still there at the next call counts as loaded again.
//! 5. A busy frame's bit is not taken, and its counter ages as if it were clear.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Aging, Policy, Probe};
//!
//! let mut policy = Aging::new(3);
//! for frame in 0..3 {
//!     policy.insert(Pfn(frame));
//! }
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! policy.tick(&mut used_0);
//! let mut used_2 = |frame| if frame == Pfn(2) { Probe::Referenced } else { Probe::Unreferenced };
//! policy.tick(&mut used_2);
//! // 0: 0110 0000, 1: 0010 0000, 2: 1010 0000.
//! assert_eq!(policy.victim(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(1)));
//! policy.evict(Pfn(1));
//! assert_eq!(policy.victim(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(0)));
//! ```
//!
//! Known weakness: it cannot tell what happened within a tick, and after eight ticks all that
//! were not used are alike.

use crate::frame_set::FrameSet;
use crate::min_tree::MinTree;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// A counter whose page was used in the last tick.
const USED: u16 = 0x80;

/// Aging; see the module for the idea and an example.
#[derive(Clone, Debug)]
pub struct Aging {
    counters: MinTree,
    /// Bits taken by looks since the last tick.
    seen: FrameSet,
    frames: u64,
    len: usize,
    named: Option<Pfn>,
}

impl Aging {
    /// A policy over `frames` frames, none known.
    pub fn new(frames: u64) -> Self {
        Self {
            counters: MinTree::new(frames),
            seen: FrameSet::new(frames),
            frames,
            len: 0,
            named: None,
        }
    }
}

impl Policy for Aging {
    fn insert(&mut self, frame: Pfn) {
        assert!(frame.0 < self.frames, "frame {frame} is outside the policy's frames");
        if !self.contains(frame) {
            self.counters.set(frame.0, USED);
            self.len += 1;
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.counters.set(frame.0, MinTree::NONE);
            self.seen.remove(frame);
            self.len -= 1;
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            self.counters.set(frame.0, USED);
        }
        let mut busy = Vec::new();
        while let Some(at) = self.counters.first() {
            match pages.probe(Pfn(at)) {
                Probe::Busy => {
                    busy.push((at, self.counters.get(at)));
                    self.counters.set(at, MinTree::NONE);
                    continue;
                }
                Probe::Referenced => _ = self.seen.insert(Pfn(at)),
                Probe::Unreferenced => {}
            }
            self.named = Some(Pfn(at));
            break;
        }
        busy.into_iter().for_each(|(at, counter)| self.counters.set(at, counter));
        self.named
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        let seen = &self.seen;
        self.counters.update(|at, counter| {
            let referenced = pages.probe(Pfn(at)) == Probe::Referenced || seen.contains(Pfn(at));
            (counter >> 1) | if referenced { USED } else { 0 }
        });
        self.seen.clear();
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.counters.get(frame.0) != MinTree::NONE
    }

    fn len(&self) -> usize {
        self.len
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
