//! Second chance: FIFO that looks at the referenced bit.
//!
//! Paper: A. S. Tanenbaum, "Operating Systems: Design and Implementation", Prentice-Hall 1987,
//! under this name; the algorithm is that of F. J. Corbató, "A Paging Experiment with the Multics
//! System", MIT Project MAC report MAC-M-384, 1968.
//!
//! ```text
//!   loaded ──► [ tail … head ] ──► referenced? ── no ──► victim
//!                ▲                      │ yes: bit cleared, as if just loaded
//!                └──────────────────────┘
//! ```
//!
//! Invariants:
//! 1. Every known frame is in the queue once, in the order of loading or of its last second chance.
//! 2. Loading counts as a reference: the first look at a page never makes it a victim.
//! 3. A busy frame goes to the tail and keeps what it has: its bit is not taken.
//!
//! It differs from CLOCK only where frames become free: there a new page takes the frame's place
//! in the circle, here it goes to the tail.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Policy, Probe, SecondChance};
//!
//! let mut policy = SecondChance::new(3);
//! for frame in [2, 0, 1] {
//!     policy.insert(Pfn(frame));
//! }
//! // Frame 2 came first, but was used: the queue is 0 1 2 now, then all have had their chance.
//! assert_eq!(policy.victim(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(2)));
//! policy.evict(Pfn(2));
//! // The queue is 0 1. Frame 0 was used since: 1 goes.
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(1)));
//! ```
//!
//! Known weakness: when all pages are used between two replacements it is FIFO, with a queue that is
//! turned once around for nothing.

use crate::frame_set::FrameSet;
use crate::lists::Lists;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use pagewalk_mmu::Pfn;

const QUEUE: u8 = 0;

/// Second chance; see the module for the idea and an example.
#[derive(Clone, Debug)]
pub struct SecondChance {
    lists: Lists,
    /// Loaded and not looked at since.
    fresh: FrameSet,
}

impl SecondChance {
    /// An empty queue for `frames` frames.
    ///
    /// # Panics
    /// If there are about 2^32 frames or more.
    pub fn new(frames: u64) -> Self {
        Self { lists: Lists::new(frames, 1), fresh: FrameSet::new(frames) }
    }
}

impl Policy for SecondChance {
    fn insert(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            self.fresh.insert(frame);
            self.lists.push_back(QUEUE, frame.0 as u32);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.fresh.remove(frame);
            self.lists.remove(frame.0 as u32);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        // The first turn takes all bits, the second ends at the first frame that is not busy.
        for _ in 0..2 * self.len() {
            let node = self.lists.front(QUEUE)?;
            let frame = Pfn(node.into());
            // A victim as well: if its eviction fails, the next call finds another.
            self.lists.push_back(QUEUE, node);
            let answer = pages.probe(frame);
            if answer != Probe::Busy && !self.fresh.remove(frame) && answer == Probe::Unreferenced {
                return Some(frame);
            }
        }
        None
    }

    fn contains(&self, frame: Pfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|node| self.lists.list(node).is_some())
    }

    fn len(&self) -> usize {
        self.lists.len(QUEUE)
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
