//! NRU: not recently used.
//!
//! Paper: A. S. Tanenbaum, "Modern Operating Systems", Prentice-Hall 1992, section 3.4.
//!
//! ```text
//!   class   R M
//!     0     0 0   ◄── victims come from the lowest class that is not empty
//!     1     0 1   was stored to, not used lately
//!     2     1 0
//!     3     1 1
//!   tick:   R := 0 for every frame (3 → 1, 2 → 0)
//! ```
//!
//! Which page of the class: drawn from the seed ([`NruPick::Random`]), or the one in the first
//! frame ([`NruPick::First`]).
//!
//! Invariants:
//! 1. A known frame is in one class, that of the last look at it. Between ticks R only rises, and M
//!    falls only by laundering, so a class is looked at again before it gives a victim.
//! 2. A look takes the hardware's R and remembers it until the tick, which alone forgets it.
//! 3. Loading sets R.
//! 4. A victim that is still there at the next call counts as loaded again.
//! 5. That a page was laundered is noticed when it is looked at: at the latest at the tick.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Nru, NruPick, Policy, Probe};
//!
//! let mut policy = Nru::new(3, NruPick::First, 0);
//! for frame in 0..3 {
//!     policy.insert(Pfn(frame));
//! }
//! policy.tick(&mut |_: Pfn| Probe::Referenced); // clears all R: all are in class 0
//! // Frame 0 was used since, so it is in class 2; 1 is the first of class 0.
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(1)));
//! ```
//!
//! Known weakness: just after a tick a page in constant use looks like one that is never used, and
//! long after it all look alike.

use crate::frame_set::FrameSet;
use crate::splitmix::SplitMix;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use pagewalk_mmu::Pfn;

const REFERENCED: usize = 2;

/// Which page of the lowest class NRU takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NruPick {
    /// Any: the first of the class behind a frame that is drawn.
    #[default]
    Random,
    /// That in the first frame.
    First,
}

/// NRU; see the module for the classes and an example.
#[derive(Clone, Debug)]
pub struct Nru {
    known: FrameSet,
    classes: [FrameSet; 4],
    pick: NruPick,
    draws: SplitMix,
    frames: u64,
    named: Option<Pfn>,
}

impl Nru {
    /// A policy over `frames` frames; `seed` feeds [`NruPick::Random`].
    pub fn new(frames: u64, pick: NruPick, seed: u64) -> Self {
        Self {
            known: FrameSet::new(frames),
            classes: [(); 4].map(|()| FrameSet::new(frames)),
            pick,
            draws: SplitMix(seed),
            frames,
            named: None,
        }
    }

    /// The class of a known frame.
    fn class(&self, frame: Pfn) -> usize {
        let found = self.classes.iter().position(|class| class.contains(frame));
        found.expect("a known frame has a class")
    }

    fn set_class(&mut self, frame: Pfn, from: usize, to: usize) {
        if from != to {
            self.classes[from].remove(frame);
            self.classes[to].insert(frame);
        }
    }

    /// Looks at the frame, which is in `class`, and puts it where it belongs; `None` if it is busy.
    fn look(&mut self, frame: Pfn, class: usize, pages: &mut dyn Pages) -> Option<usize> {
        let referenced = match pages.probe(frame) {
            Probe::Busy => return None,
            Probe::Referenced => REFERENCED,
            Probe::Unreferenced => class & REFERENCED,
        };
        let now = referenced | usize::from(pages.modified(frame));
        self.set_class(frame, class, now);
        Some(now)
    }

    /// The first victim of `class`, and its frames that are in it by mistake put right.
    fn search(&mut self, class: usize, pages: &mut dyn Pages) -> Option<Pfn> {
        let start = match self.pick {
            NruPick::Random => self.draws.below(self.frames),
            NruPick::First => 0,
        };
        let mut from = start;
        // Busy frames stay: no frame is looked at twice.
        for _ in 0..self.classes[class].len() {
            let frame = self.classes[class].next_circular(from)?;
            if self.look(frame, class, pages) == Some(class) {
                return Some(frame);
            }
            from = frame.0 + 1;
        }
        None
    }
}

impl Policy for Nru {
    fn insert(&mut self, frame: Pfn) {
        if self.known.insert(frame) {
            self.classes[REFERENCED].insert(frame);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.known.remove(frame) {
            let class = self.class(frame);
            self.classes[class].remove(frame);
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            let class = self.class(frame);
            self.set_class(frame, class, class | REFERENCED);
        }
        // A frame may turn out to be clean by now and sink: one more round finds it.
        let found = (0..8).find_map(|round| self.search(round % 4, pages));
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
            if pages.probe(frame) != Probe::Busy {
                let class = self.class(frame);
                self.set_class(frame, class, usize::from(pages.modified(frame)));
            }
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
