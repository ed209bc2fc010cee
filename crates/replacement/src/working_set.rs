//! Working set: the pages used in the last τ of virtual time stay, the others go.
//!
//! Paper: P. J. Denning, "The Working Set Model for Program Behavior", Communications of the ACM
//! 11(5), 1968.
//!
//! ```text
//!            t − τ                                 t = now
//!   ───────────┼─────────────────────────────────────┼──► virtual time
//!    surplus   │           W(t, τ): last used in (t − τ, t]
//!
//!   order of last use:   [ oldest ……… latest ] ◄── used at a look or a tick, or loaded
//! ```
//!
//! It is a policy for each process, with the process's time; over all memory it is one for the
//! system as a whole. It wants to give frames up by itself, which [`Policy::surplus`] does; a victim
//! is asked for only when the working sets do not fit, and then the oldest page goes.
//!
//! Invariants:
//! 1. The order of last uses is kept: whatever is used goes to the end, and time never goes back.
//! 2. Last use is known as exactly as ticks are frequent: a page found used was used *now*.
//! 3. A page outside the window is surplus unless it turns out to be used.
//! 4. A busy page is in use.
//! 5. A page named that is still there at the next call counts as used now.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Policy, Probe, WorkingSet};
//!
//! let mut policy = WorkingSet::new(2, 100);
//! policy.insert(Pfn(0));
//! policy.insert(Pfn(1));
//! policy.set_time(60);
//! let mut used_1 = |frame| if frame == Pfn(1) { Probe::Referenced } else { Probe::Unreferenced };
//! policy.tick(&mut used_1);
//! policy.set_time(100);
//! // The window is (0, 100]: frame 0 was last used at 0, frame 1 at 60.
//! assert_eq!(policy.working_set(), 1);
//! assert_eq!(policy.surplus(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(0)));
//! ```
//!
//! Known weakness: τ is right for one phase of one program; between phases the set holds both. And
//! true virtual-time windows need every reference, where hardware shows one bit a tick.

use crate::lists::Lists;
use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

const ORDER: u8 = 0;

/// The working set; see the module for the window and an example.
#[derive(Clone, Debug)]
pub struct WorkingSet {
    lists: Lists,
    last_used: Vec<u64>,
    tau: u64,
    now: u64,
    named: Option<Pfn>,
}

impl WorkingSet {
    /// A policy over `frames` frames whose window is `tau` units of virtual time.
    pub fn new(frames: u64, tau: u64) -> Self {
        let last_used = vec![0; frames as usize];
        Self { lists: Lists::new(frames, 1), last_used, tau, now: 0, named: None }
    }

    /// |W(t, τ)|: how many known pages were used in the window, as far as looks tell.
    pub fn working_set(&self) -> usize {
        let mut outside = 0;
        let mut at = self.lists.front(ORDER);
        while let Some(node) = at.filter(|&node| self.is_outside(node)) {
            outside += 1;
            at = self.lists.next(node);
        }
        self.len() - outside
    }

    fn is_outside(&self, node: u32) -> bool {
        self.now - self.last_used[node as usize] >= self.tau
    }

    fn touch(&mut self, node: u32) {
        self.last_used[node as usize] = self.now;
        self.lists.push_back(ORDER, node);
    }

    /// The oldest page that is not used, within the window only if `any`.
    fn oldest(&mut self, any: bool, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            self.touch(frame.0 as u32);
        }
        for _ in 0..2 * self.len() {
            let node = self.lists.front(ORDER).filter(|&node| any || self.is_outside(node))?;
            let answer = pages.probe(Pfn(node.into()));
            if answer == Probe::Unreferenced {
                self.named = Some(Pfn(node.into()));
                break;
            }
            self.touch(node);
        }
        self.named
    }
}

impl Policy for WorkingSet {
    fn insert(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            self.touch(frame.0 as u32);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        self.oldest(true, pages)
    }

    fn surplus(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        self.oldest(false, pages)
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        for node in 0..self.last_used.len() as u32 {
            if self.lists.list(node).is_some()
                && pages.probe(Pfn(node.into())) != Probe::Unreferenced
            {
                self.touch(node);
            }
        }
    }

    fn set_time(&mut self, now: u64) {
        debug_assert!(now >= self.now, "virtual time goes forward");
        self.now = self.now.max(now);
    }

    fn contains(&self, frame: Pfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|node| self.lists.list(node).is_some())
    }

    fn len(&self) -> usize {
        self.lists.len(ORDER)
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
