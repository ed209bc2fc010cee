//! LRU: least recently used, with every reference seen.
//!
//! Paper: R. L. Mattson, J. Gecsei, D. R. Slutz and I. L. Traiger, "Evaluation techniques for
//! storage hierarchies", IBM Systems Journal 9(2), 1970.
//!
//! The idea:
//! 1. The pages stand in a list in the order of their last references.
//! 2. A reference takes its page to the recent end ([`Policy::reference`]).
//! 3. The victim is the page at the other end.
//! 4. What was used lately is used again soon: the past in a mirror is the guess at the future.
//! 5. No machine shows every reference to its kernel. This is what CLOCK and its kin are after, and
//!    only a simulator can run it: hence *ideal*.
//!
//! ```text
//!   least recent ─► [ f2  f0  f1 ] ◄─ most recent          reference(f2): [ f0  f1  f2 ]
//! ```
//!
//! Invariants:
//! 1. Every known frame is on the list once.
//! 2. Loading counts as a reference, as does the look at a busy frame and being chosen in vain.
//! 3. The pages that `m` frames hold are among those that `m + 1` frames hold (inclusion): more
//!    memory never means more faults.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Lru, NEVER, Policy, Probe};
//!
//! let mut lru = Lru::new(3);
//! for frame in [2, 0, 1] {
//!     lru.insert(Pfn(frame));
//! }
//! lru.reference(Pfn(2), NEVER);
//! // Frame 2 came first, but was used since: 0 is the one that was not for longest. What the
//! // hardware's bit says is of no interest.
//! assert_eq!(lru.victim(&mut |_: Pfn| Probe::Referenced), Some(Pfn(0)));
//! ```
//!
//! Known weakness: a scan of more pages than there are frames, again and again, misses at every
//! page, although OPT would keep most of them.

use crate::lists::Lists;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use pagewalk_mmu::Pfn;

const RECENCY: u8 = 0;

/// LRU; see the module for paper, idea and example.
#[derive(Clone, Debug)]
pub struct Lru {
    lists: Lists,
}

impl Lru {
    /// An empty list for `frames` frames.
    ///
    /// # Panics
    /// If there are about 2^32 frames or more.
    pub fn new(frames: u64) -> Self {
        Self { lists: Lists::new(frames, 1) }
    }
}

impl Policy for Lru {
    fn insert(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            self.lists.push_back(RECENCY, frame.0 as u32);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
        }
    }

    fn reference(&mut self, frame: Pfn, _next: u64) {
        if self.contains(frame) {
            self.lists.push_back(RECENCY, frame.0 as u32);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..self.len() {
            let frame = self.lists.front(RECENCY)?;
            self.lists.push_back(RECENCY, frame);
            if pages.probe(Pfn(u64::from(frame))) != Probe::Busy {
                return Some(Pfn(u64::from(frame)));
            }
        }
        None
    }

    fn contains(&self, frame: Pfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|frame| self.lists.list(frame).is_some())
    }

    fn len(&self) -> usize {
        self.lists.len(RECENCY)
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
