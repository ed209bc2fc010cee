//! OPT: the page whose next reference is furthest away.
//!
//! Paper: L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM
//! Systems Journal 5(2), 1966 (there: MIN); that it is optimal was proved by R. L. Mattson, J.
//! Gecsei, D. R. Slutz and I. L. Traiger, IBM Systems Journal 9(2), 1970.
//!
//! The idea:
//! 1. With each reference comes the time of the same page's next one ([`Policy::reference`]).
//! 2. The victim is the page whose next reference is furthest, or that has none.
//! 3. No other choice can have fewer faults: any schedule can be turned into this one, exchange by
//!    exchange, without adding a fault.
//! 4. It needs the future: a first run tells it, and the second one acts on it.
//! 5. It is no policy for a machine. It says how much better any policy could be.
//!
//! ```text
//!   string   1 2 3 1 2 4 …        full with 1 2 3; who goes for 4?
//!   next use of 1: 9, of 2: 7, of 3: never          3
//! ```
//!
//! Invariants:
//! 1. Every known frame is in the order once, under the time of its page's next reference.
//! 2. Of pages with the same time the one in the highest frame goes first.
//! 3. A page that was loaded and never referenced counts as never needed, as does any page while
//!    nobody knows the future.
//! 4. A victim counts as needed at once until the next reference tells better: if its eviction
//!    failed, the next call finds another.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{NEVER, Opt, Policy, Probe};
//!
//! let mut opt = Opt::new(3);
//! for (frame, next) in [(2, 30), (0, 90), (1, NEVER)] {
//!     opt.insert(Pfn(frame));
//!     opt.reference(Pfn(frame), next);
//! }
//! assert_eq!(opt.victim(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(1)));
//! opt.remove(Pfn(1));
//! assert_eq!(opt.victim(&mut |_: Pfn| Probe::Referenced), Some(Pfn(0)));
//! ```
//!
//! Known weakness: it counts faults alone. That a dirty page costs a write it does not know.

use crate::{NEVER, Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// OPT; see the module for paper, idea and example.
#[derive(Clone, Debug)]
pub struct Opt {
    /// When the page in each frame is referenced next; `None` for frames that are not known.
    next: Vec<Option<u64>>,
    order: BTreeSet<(u64, u64)>,
}

impl Opt {
    /// No pages in `frames` frames.
    pub fn new(frames: u64) -> Self {
        Self { next: vec![None; frames as usize], order: BTreeSet::new() }
    }

    /// Gives a frame its place in the order, or takes it away.
    fn set(&mut self, frame: u64, next: Option<u64>) {
        let was = core::mem::replace(&mut self.next[frame as usize], next);
        if let Some(was) = was {
            self.order.remove(&(was, frame));
        }
        if let Some(next) = next {
            self.order.insert((next, frame));
        }
    }
}

impl Policy for Opt {
    fn insert(&mut self, frame: Pfn) {
        assert!((frame.0 as usize) < self.next.len(), "frame {frame} is outside the policy's");
        if !self.contains(frame) {
            self.set(frame.0, Some(NEVER));
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.set(frame.0, None);
        }
    }

    fn reference(&mut self, frame: Pfn, next: u64) {
        if self.contains(frame) && self.next[frame.0 as usize] != Some(next) {
            self.set(frame.0, Some(next));
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let mut furthest = self.order.iter().rev().map(|&(_, frame)| Pfn(frame));
        let victim = furthest.find(|&frame| pages.probe(frame) != Probe::Busy)?;
        self.set(victim.0, Some(0));
        Some(victim)
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.next.get(frame.0 as usize).is_some_and(Option::is_some)
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
