//! CLOCK, the second-chance algorithm on a circle of frames.
//!
//! Paper: F. J. Corbató, "A Paging Experiment with the Multics System", MIT Project MAC report
//! MAC-M-384, 1968.
//!
//! The idea:
//! 1. The frames stand in a circle in the order of their numbers; a hand points at one of them.
//! 2. On a replacement the hand looks at its frame. Referenced? Clear the bit and move on.
//! 3. Not referenced? This is the victim, and the hand stops behind it.
//! 4. So a page survives a whole turn if it was used once since the last turn.
//! 5. If all were used, the turn clears every bit and the first frame goes: FIFO.
//!
//! Variant: the referenced bit is *set* when a page is loaded, as an operating system does that
//! restarts the faulting instruction (some simulators load it clear, and count differently). The
//! new page goes in the victim's frame, behind the hand, so it is looked at last.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Clock, Policy, Probe};
//!
//! let mut clock = Clock::new(3);
//! for frame in 0..3 {
//!     clock.insert(Pfn(frame)); // A, B, C: all referenced by being loaded
//! }
//! // The first turn clears three bits and comes back to frame 0.
//! let mut idle = |_: Pfn| Probe::Unreferenced;
//! assert_eq!(clock.victim(&mut idle), Some(Pfn(0)));
//! clock.remove(Pfn(0));
//! clock.insert(Pfn(0)); // D takes A's frame; the hand is at 1
//! // Frame 1 was used meanwhile: it gets its second chance, and 2 goes.
//! let mut used_1 = |frame: Pfn| if frame == Pfn(1) { Probe::Referenced } else { Probe::Unreferenced };
//! assert_eq!(clock.victim(&mut used_1), Some(Pfn(2)));
//! ```
//!
//! Known weakness: one bit tells a page used once from one used a thousand times as little as it
//! tells a scan from a loop, so a large scan sweeps the working set out.

use crate::frame_set::FrameSet;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// CLOCK; see the module for paper, variant and example.
#[derive(Clone, Debug)]
pub struct Clock {
    known: FrameSet,
    /// Loaded since the hand last came by: counts as referenced.
    fresh: FrameSet,
    hand: u64,
}

impl Clock {
    /// A clock of `frames` frames, its hand at frame 0.
    pub fn new(frames: u64) -> Self {
        Self { known: FrameSet::new(frames), fresh: FrameSet::new(frames), hand: 0 }
    }
}

impl Policy for Clock {
    fn insert(&mut self, frame: Pfn) {
        self.known.insert(frame);
        self.fresh.insert(frame);
    }

    fn remove(&mut self, frame: Pfn) {
        self.known.remove(frame);
        self.fresh.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        // Two turns clear every bit and come back to the first frame; what is still not found
        // then is referenced faster than the hand moves, or busy.
        for _ in 0..2 * self.known.len() + 1 {
            let frame = self.known.next_circular(self.hand)?;
            self.hand = frame.0 + 1;
            // Both bits are taken: a frame that is fresh is mostly referenced as well.
            let answer = pages.probe(frame);
            if answer != Probe::Busy && !self.fresh.remove(frame) && answer == Probe::Unreferenced {
                return Some(frame);
            }
        }
        None
    }

    fn queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        let mut hand = self.hand;
        let frames = (0..self.known.len()).map_while(|_| {
            let frame = self.known.next_circular(hand)?;
            hand = frame.0 + 1;
            Some(frame)
        });
        vec![("clock, from the hand", frames.collect())]
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
