//! WSClock: the working set, found by a clock.
//!
//! Paper: R. W. Carr, J. L. Hennessy, "WSClock: A Simple and Effective Algorithm for Virtual Memory
//! Management", SOSP 1981.
//!
//! ```text
//!   hand looks:   referenced                    last use := now, bit cleared     on
//!                 not, age ≤ τ                  in the working set               on
//!                 not, age > τ, modified        laundered                        on
//!                 not, age > τ, clean           victim                           stops behind it
//!   a whole turn, or `launder` pages laundered: the oldest clean page of the 64 oldest, or else
//!                                               the oldest page; others passed are laundered
//! ```
//!
//! Invariants:
//! 1. Age is now − last use, and last use is as exact as looks and ticks are frequent.
//! 2. The order of last uses is kept beside the clock, so the oldest page is known. While even that
//!    is not older than τ no look could find a victim: the turn is left out, and its bits stay.
//! 3. One search launders at most `launder` pages, and so does the choice among the oldest where it
//!    failed: what is passed over for being modified is clean at the next call.
//! 4. A busy page is passed; what it has stays.
//! 5. A victim that is still there at the next call counts as used now.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Policy, Probe, WsClock};
//!
//! let mut policy = WsClock::new(3, 100, 8);
//! (0..3).for_each(|at| policy.insert(Pfn(at)));
//! policy.set_time(101);
//! // Frame 0 is used, 1 is older than τ: the hand stops behind it.
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(1)));
//! policy.evict(Pfn(1));
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(2)));
//! ```
//!
//! Known weakness: τ again; and where few pages are old, or all the old are modified, the hand goes
//! far for each victim.

use crate::frame_set::FrameSet;
use crate::lists::Lists;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

const ORDER: u8 = 0;
/// Pages among which a clean one is looked for when the hand finds nothing.
const OLDEST: u32 = 64;

/// WSClock; see the module for the looks and an example.
#[derive(Clone, Debug)]
pub struct WsClock {
    known: FrameSet,
    /// By last use.
    lists: Lists,
    last_used: Vec<u64>,
    hand: u64,
    tau: u64,
    launder_max: u32,
    now: u64,
    named: Option<Pfn>,
}

impl WsClock {
    /// A policy over `frames` frames with a window of `tau` units of virtual time, which launders at
    /// most `launder_max` pages in one search.
    pub fn new(frames: u64, tau: u64, launder_max: u32) -> Self {
        Self {
            known: FrameSet::new(frames),
            lists: Lists::new(frames, 1),
            last_used: vec![0; frames as usize],
            hand: 0,
            tau,
            launder_max,
            now: 0,
            named: None,
        }
    }

    fn touch(&mut self, frame: Pfn) {
        self.last_used[frame.0 as usize] = self.now;
        self.lists.push_back(ORDER, frame.0 as u32);
    }

    fn is_old(&self, frame: Pfn) -> bool {
        self.now - self.last_used[frame.0 as usize] > self.tau
    }

    /// Whether the page is used, which is noted; `None` if it is busy.
    fn look(&mut self, frame: Pfn, pages: &mut dyn Pages) -> Option<bool> {
        match pages.probe(frame) {
            Probe::Busy => None,
            Probe::Unreferenced => Some(false),
            Probe::Referenced => {
                self.touch(frame);
                Some(true)
            }
        }
    }

    /// The hand goes round for an old and clean page.
    fn turn(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let mut launder = self.launder_max;
        for _ in 0..self.known.len() {
            let frame = self.known.next_circular(self.hand)?;
            self.hand = frame.0 + 1;
            if self.look(frame, pages) != Some(false) || !self.is_old(frame) {
                continue;
            }
            if !pages.modified(frame) {
                return Some(frame);
            }
            if launder == 0 {
                return None;
            }
            launder -= 1;
            pages.launder(frame);
        }
        None
    }

    /// The oldest clean page of the oldest that are idle, or else the oldest.
    fn oldest(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let mut first = None;
        let mut idle = 0;
        let mut at = self.lists.front(ORDER);
        for _ in 0..self.len() {
            let Some(node) = at else { break };
            at = self.lists.next(node);
            let frame = Pfn(node.into());
            if self.look(frame, pages) != Some(false) {
                continue;
            }
            if !pages.modified(frame) {
                return Some(frame);
            }
            match first {
                None => first = Some(frame),
                // It is one of the next victims.
                Some(_) if idle <= self.launder_max => pages.launder(frame),
                Some(_) => {}
            }
            idle += 1;
            if idle == OLDEST {
                break;
            }
        }
        first
    }
}

impl Policy for WsClock {
    fn insert(&mut self, frame: Pfn) {
        if self.known.insert(frame) {
            self.touch(frame);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.known.remove(frame) {
            self.lists.remove(frame.0 as u32);
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            self.touch(frame);
        }
        let oldest = Pfn(self.lists.front(ORDER)?.into());
        let found = if self.is_old(oldest) { self.turn(pages) } else { None };
        // All may have been used: the second search finds the bits taken.
        let found = found.or_else(|| self.oldest(pages)).or_else(|| self.oldest(pages));
        self.named = found;
        found
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        let mut from = 0;
        while let Some(frame) = self.known.next(from) {
            from = frame.0 + 1;
            let _noted = self.look(frame, pages);
        }
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
