//! PFF: page-fault frequency.
//!
//! Paper: W. W. Chu, H. Opderbeck, "The Page Fault Frequency Replacement Algorithm", AFIPS Fall
//! Joint Computer Conference 1972.
//!
//! ```text
//!   fault    time since the last fault ≤ T    faults too often: it grows, nothing is given up
//!            time since the last fault > T    pages with R = 0 are surplus, then R := 0 for all
//! ```
//!
//! It is a policy for each process, with the process's time. It chooses how much memory, not which
//! page: when a frame is wanted and none is surplus, it is second chance.
//!
//! Invariants:
//! 1. A page is given up if it was not used between two faults that found the interval longer
//!    than T. Loading is a use. R is remembered over the looks of [`Policy::victim`].
//! 2. The page that the fault loads is never surplus by that fault.
//! 3. Surplus pages are found one at a time; a fault that comes before all are found starts anew
//!    if its interval is longer than T, and changes nothing otherwise.
//! 4. A busy page is in use.
//! 5. A page named goes to the tail of the queue: if its eviction fails, it is not named again
//!    before the others.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Pff, Policy, Probe};
//!
//! let mut policy = Pff::new(4, 100);
//! (0..2).for_each(|at| policy.insert(Pfn(at)));
//! let mut used_1 = |frame| if frame == Pfn(1) { Probe::Referenced } else { Probe::Unreferenced };
//! policy.set_time(200);
//! policy.insert(Pfn(2)); // 200 after the last fault: it shrinks, but all were just loaded
//! assert_eq!(policy.surplus(&mut used_1), None);
//! policy.set_time(250);
//! policy.insert(Pfn(3)); // 50 after it: it grows
//! assert_eq!(policy.surplus(&mut used_1), None);
//! policy.set_time(400);
//! policy.remove(Pfn(3));
//! policy.insert(Pfn(3)); // 150 after it: what was not used goes
//! assert_eq!(policy.surplus(&mut used_1), Some(Pfn(0)));
//! assert_eq!(policy.surplus(&mut used_1), Some(Pfn(2)));
//! assert_eq!(policy.surplus(&mut used_1), None);
//! ```
//!
//! Known weakness: it learns only at faults. A program that moves to a new locality faults often, and
//! holds the old one and the new until the faults become rare.

use crate::frame_set::FrameSet;
use crate::lists::Lists;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use pagewalk_mmu::Pfn;

const QUEUE: u8 = 0;

/// PFF; see the module for the rule and an example.
#[derive(Clone, Debug)]
pub struct Pff {
    lists: Lists,
    known: FrameSet,
    /// R, taken by looks since the last shrinking.
    seen: FrameSet,
    threshold: u64,
    now: u64,
    last_fault: u64,
    /// Where the search for surplus pages stands.
    shrinking: Option<u64>,
}

impl Pff {
    /// A policy over `frames` frames that shrinks where faults are more than `threshold` units of
    /// virtual time apart.
    pub fn new(frames: u64, threshold: u64) -> Self {
        Self {
            lists: Lists::new(frames, 1),
            known: FrameSet::new(frames),
            seen: FrameSet::new(frames),
            threshold,
            now: 0,
            last_fault: 0,
            shrinking: None,
        }
    }
}

impl Policy for Pff {
    fn insert(&mut self, frame: Pfn) {
        if !self.known.insert(frame) {
            return;
        }
        self.lists.push_back(QUEUE, frame.0 as u32);
        self.seen.insert(frame);
        if self.now - self.last_fault > self.threshold {
            self.shrinking = Some(0);
        }
        self.last_fault = self.now;
    }

    fn remove(&mut self, frame: Pfn) {
        if self.known.remove(frame) {
            self.lists.remove(frame.0 as u32);
            self.seen.remove(frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..2 * self.len() {
            let node = self.lists.front(QUEUE)?;
            let frame = Pfn(node.into());
            self.lists.push_back(QUEUE, node);
            match pages.probe(frame) {
                Probe::Busy => {}
                Probe::Referenced => _ = self.seen.insert(frame),
                Probe::Unreferenced => return Some(frame),
            }
        }
        None
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn surplus(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        while let Some(frame) = self.shrinking.and_then(|from| self.known.next(from)) {
            self.shrinking = Some(frame.0 + 1);
            let seen = self.seen.remove(frame);
            if pages.probe(frame) == Probe::Unreferenced && !seen {
                self.lists.push_back(QUEUE, frame.0 as u32);
                return Some(frame);
            }
        }
        self.shrinking = None;
        None
    }

    fn set_time(&mut self, now: u64) {
        debug_assert!(now >= self.now, "virtual time goes forward");
        self.now = self.now.max(now);
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.known.contains(frame)
    }

    fn len(&self) -> usize {
        self.known.len()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
