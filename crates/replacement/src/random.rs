//! RANDOM: any page, with equal chances.
//!
//! Paper: L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM
//! Systems Journal 5(2), 1966, where it is the yardstick for all others. Generator: S. Vigna,
//! SplitMix64.
//!
//! The idea:
//! 1. Draw a frame number; the victim is the first known frame from there on.
//! 2. Nothing is remembered and nothing is looked at, except that a busy frame is passed over.
//! 3. So no access pattern is its worst case: a loop just larger than memory, which makes FIFO,
//!    LRU and CLOCK miss always, still hits.
//! 4. The draws come from a seed; the same seed gives the same victims.
//! 5. With all frames in use, every frame has the same chance.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Policy, Probe, Random};
//!
//! let mut random = Random::new(4, 1);
//! for frame in 0..4 {
//!     random.insert(Pfn(frame));
//! }
//! let mut only_3 = |frame: Pfn| if frame == Pfn(3) { Probe::Unreferenced } else { Probe::Busy };
//! assert_eq!(random.victim(&mut only_3), Some(Pfn(3)));
//! // The same seed draws the same frame.
//! let draw = |mut policy: Random| policy.victim(&mut |_: Pfn| Probe::Unreferenced);
//! assert_eq!(draw(random.clone()), draw(random));
//! ```
//!
//! Known weakness: the page used most has the same chance to go as the one used never. And where
//! many frames are unknown (free), the frame behind a gap has the chances of the gap.

use crate::frame_set::FrameSet;
use crate::splitmix::SplitMix;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use pagewalk_mmu::Pfn;

/// RANDOM; see the module for paper, idea and example.
#[derive(Clone, Debug)]
pub struct Random {
    known: FrameSet,
    frames: u64,
    draws: SplitMix,
}

impl Random {
    /// A policy over `frames` frames that draws from `seed`.
    pub fn new(frames: u64, seed: u64) -> Self {
        Self { known: FrameSet::new(frames), frames, draws: SplitMix(seed) }
    }
}

impl Policy for Random {
    fn insert(&mut self, frame: Pfn) {
        self.known.insert(frame);
    }

    fn remove(&mut self, frame: Pfn) {
        self.known.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let mut from = self.draws.below(self.frames);
        for _ in 0..self.known.len() {
            let frame = self.known.next_circular(from)?;
            if pages.probe(frame) != Probe::Busy {
                return Some(frame);
            }
            from = frame.0 + 1;
        }
        None
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
