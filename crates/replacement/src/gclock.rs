//! GCLOCK: CLOCK with a counter of n bits instead of one bit.
//!
//! Paper: A. J. Smith, "Sequentiality and Prefetching in Database Systems", ACM TODS 3(3), 1978,
//! as generalised clock; analysed in V. F. Nicola, A. Dan, D. M. Dias, "Analysis of the Generalized
//! Clock Buffer Replacement Scheme for Database Transaction Processing", SIGMETRICS 1992.
//!
//! ```text
//!   hand looks:   count := min(2^n − 1, count + R), R cleared
//!                 count = 0 ──► victim; the hand stops behind it
//!                 count > 0 ──► count − 1, the hand moves on
//!   tick:         count := min(2^n − 1, count + R), R cleared, for every frame
//! ```
//!
//! Invariants:
//! 1. A count is at most 2^n − 1, so a page survives at most 2^n − 1 turns without a reference.
//! 2. Hardware has one bit: uses between two looks count once. Ticks between the turns are what
//!    makes counts climb; without them a count says only whether there was a use.
//! 3. Loading counts as a reference, taken together with the hardware's bit at the first look.
//! 4. With n = 1 and no ticks it is CLOCK, victim for victim.
//! 5. A busy frame keeps its count and its bit; if all are busy, the hand stays.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{GClock, Policy, Probe};
//!
//! let mut policy = GClock::new(2, 2);
//! policy.insert(Pfn(0));
//! policy.insert(Pfn(1));
//! // Two ticks find frame 0 used: its count is 2, the other's 1 by being loaded.
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! policy.tick(&mut used_0);
//! policy.tick(&mut used_0);
//! // The hand passes 0 (2 → 1), 1 (1 → 0), 0 (1 → 0), and takes 1.
//! assert_eq!(policy.victim(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(1)));
//! ```
//!
//! Known weakness: a page that was popular once needs 2^n − 1 turns to go, and when all counts are
//! high one search may turn that often.

use crate::frame_set::FrameSet;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// GCLOCK; see the module for papers, variant and example.
#[derive(Clone, Debug)]
pub struct GClock {
    known: FrameSet,
    /// Loaded since it was last looked at: counts as referenced.
    fresh: FrameSet,
    counts: Vec<u8>,
    count_max: u8,
    hand: u64,
}

impl GClock {
    /// A clock of `frames` frames with counters of `bits` bits, its hand at frame 0.
    ///
    /// # Panics
    /// If `bits` is not 1 to 8.
    pub fn new(frames: u64, bits: u8) -> Self {
        assert!((1..=8).contains(&bits), "counters have 1 to 8 bits");
        Self {
            known: FrameSet::new(frames),
            fresh: FrameSet::new(frames),
            counts: vec![0; frames as usize],
            count_max: u8::MAX >> (8 - bits),
            hand: 0,
        }
    }

    /// Takes the frame's bit into its count; `None` if the frame is busy.
    fn count(&mut self, frame: Pfn, pages: &mut dyn Pages) -> Option<&mut u8> {
        let answer = pages.probe(frame);
        if answer == Probe::Busy {
            return None;
        }
        let fresh = self.fresh.remove(frame);
        let count = &mut self.counts[frame.0 as usize];
        if (fresh || answer == Probe::Referenced) && *count < self.count_max {
            *count += 1;
        }
        Some(count)
    }
}

impl Policy for GClock {
    fn insert(&mut self, frame: Pfn) {
        if self.known.insert(frame) {
            self.fresh.insert(frame);
            self.counts[frame.0 as usize] = 0;
        }
    }

    fn remove(&mut self, frame: Pfn) {
        self.known.remove(frame);
        self.fresh.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let start = self.hand;
        // In the first turn no count sinks that was zero; each turn after it takes one away.
        for _ in 0..(usize::from(self.count_max) + 1) * self.known.len() + 1 {
            let frame = self.known.next_circular(self.hand)?;
            self.hand = frame.0 + 1;
            match self.count(frame, pages) {
                None => {}
                Some(0) => return Some(frame),
                Some(count) => *count -= 1,
            }
        }
        self.hand = start;
        None
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        let mut from = 0;
        while let Some(frame) = self.known.next(from) {
            let _taken = self.count(frame, pages);
            from = frame.0 + 1;
        }
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
