//! LIRS from referenced bits: its stack as exact as looks are frequent.
//!
//! Paper: S. Jiang, X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement Policy
//! to Improve Buffer Cache Performance", SIGMETRICS 2002.
//!
//! ```text
//!   stack S   bottom  LIR  hir  LIR  ghost  hir  LIR  top      by last use, as far as it is known
//!   list Q    front   hir  hir  hir                            the resident pages that are not LIR
//!               │
//!               └──► victim; it stays in S as a ghost, if it is there
//!
//!   used, LIR           to the top                          then all that is not LIR leaves
//!   used, in S and Q    LIR, to the top; out of Q           the bottom of S
//!   used, in Q alone    to the top of S, to the end of Q
//!   loaded, a ghost     LIR, to the top
//!   loaded, unknown     LIR while there are too few, else to the top of S and the end of Q
//!   LIR are too many    the bottom one to the end of Q, out of S
//! ```
//!
//! LIRS wants to know of every use when it happens. Hardware shows a bit: so *used* is what a look
//! finds: at the periodic harvest, which looks at all pages in the order of S, at the front of Q, and
//! at the bottom of S before a page loses its state. With a harvest after each reference this is LIRS
//! itself. CLOCK-Pro is its authors' own way to do with a bit, without the order.
//!
//! At a load nobody can look at bits: where that makes too many LIR, the next call finds it so.
//!
//! Invariants (c frames, `Lhirs = max(1, hirs % of c)`):
//! 1. A known frame is LIR and in S, or in Q, and then maybe in S as well.
//! 2. The bottom of S is LIR. At most c − `Lhirs` pages are LIR, once the policy was asked.
//! 3. At most `ghosts` percent of c are remembered; of more, the one gone for longest is forgotten.
//!    The paper has no bound.
//! 4. The reference that a page was loaded for does not count.
//! 5. A busy page's bit is not taken: in Q it goes to the end, at the bottom of S to the top.
//! 6. A victim goes to the end of Q: if its eviction fails, the next call finds another.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{LirsScan, Page, PageId, Policy, Probe};
//!
//! let page = |id| Page { id: PageId(id), ..Page::default() };
//! let mut policy = LirsScan::new(3, 34, 100);
//! (0..3).for_each(|at| policy.insert_page(Pfn(at), page(at + 1)));
//! assert!(policy.is_lir(Pfn(0)) && policy.is_lir(Pfn(1)) && !policy.is_lir(Pfn(2)));
//! let mut idle = |_: Pfn| Probe::Unreferenced;
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(2)));
//! policy.evict(Pfn(2)); // page 3 leaves a ghost in S,
//! policy.insert_page(Pfn(2), page(3)); // so it was used again soon: LIR, and page 1 is no longer
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(0)));
//! assert!(policy.is_lir(Pfn(2)) && !policy.is_lir(Pfn(0)));
//! ```
//!
//! Known weakness: pages used between two harvests are alike, so that with rare harvests S is in the
//! order of loads; and with few pages in Q one that is used a little late never becomes LIR.

use crate::directory::Directory;
use crate::queues::Queues;
use crate::references::References;
use crate::{Activity, Page, PageId, Pages, Policy};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// In the first set of queues.
const S: u8 = 0;
/// In the second: resident pages that are not LIR, ghosts by age, and slots without a ghost.
const Q: u8 = 0;
const GHOSTS: u8 = 1;
const UNUSED: u8 = 2;

/// LIRS by looks; see the module for the stack and an example.
#[derive(Clone, Debug)]
pub struct LirsScan {
    /// Nodes of both: the frames, then the ghosts, which are the slots of `ghosts`.
    stack: Queues,
    lists: Queues,
    is_lir: Vec<bool>,
    names: Vec<PageId>,
    ghosts: Directory<()>,
    references: References,
    lir: usize,
    lir_max: usize,
    activity: Activity,
}

impl LirsScan {
    /// A policy over `frames` frames, of which `hirs` percent, but one at least, are for pages that are
    /// not LIR; it remembers evicted pages for `ghosts` percent of the frames.
    ///
    /// # Panics
    /// If `hirs` is not 1 to 99.
    pub fn new(frames: u64, hirs: u8, ghosts: u16) -> Self {
        assert!((1..=99).contains(&hirs), "1 to 99 % of the frames are not for LIR pages");
        let slots = frames * u64::from(ghosts) / 100;
        let mut lists = Queues::new(frames + slots, 3);
        (frames..frames + slots).for_each(|node| lists.push_back(UNUSED, node as u32));
        Self {
            stack: Queues::new(frames + slots, 1),
            lists,
            is_lir: vec![false; frames as usize],
            names: vec![PageId::UNKNOWN; frames as usize],
            ghosts: Directory::new(slots),
            references: References::new(frames),
            lir: 0,
            lir_max: (frames - (frames * u64::from(hirs) / 100).max(1).min(frames)) as usize,
            activity: Activity::default(),
        }
    }

    /// Whether the frame's page is LIR: used again soon, the last times.
    pub fn is_lir(&self, frame: Pfn) -> bool {
        self.is_lir.get(frame.0 as usize).copied().unwrap_or(false)
    }

    fn frames(&self) -> u32 {
        self.names.len() as u32
    }

    fn is_lir_node(&self, node: u32) -> bool {
        self.is_lir(Pfn(node.into()))
    }

    fn make_lir(&mut self, node: u32) {
        self.is_lir[node as usize] = true;
        self.lir += 1;
        self.lists.remove(node);
        self.stack.push_back(S, node);
    }

    /// A look found the page used.
    fn used(&mut self, node: u32) {
        if self.is_lir_node(node) {
            self.stack.push_back(S, node);
        } else if self.stack.queue(node).is_some() {
            self.activity.activations += 1;
            self.make_lir(node);
        } else {
            self.stack.push_back(S, node);
            self.lists.push_back(Q, node);
        }
        self.prune();
    }

    /// What is not LIR leaves the bottom of S.
    fn prune(&mut self) {
        while let Some(node) = self.stack.front(S).filter(|&node| !self.is_lir_node(node)) {
            if node < self.frames() {
                self.stack.remove(node);
            } else {
                self.forget(node);
            }
        }
    }

    fn forget(&mut self, ghost: u32) {
        self.stack.remove(ghost);
        self.ghosts.clear(ghost - self.frames());
        self.lists.push_back(UNUSED, ghost);
    }

    /// Makes room for the LIR pages that are too many.
    fn settle(&mut self, pages: &mut dyn Pages) {
        while self.lir > self.lir_max && self.demote(pages) {}
    }

    /// The lowest LIR page that is not used is no longer LIR; false if all are busy.
    fn demote(&mut self, pages: &mut dyn Pages) -> bool {
        // The first lap takes all bits.
        for _ in 0..2 * self.lir {
            let Some(node) = self.stack.front(S) else { return false };
            if self.references.take(Pfn(node.into()), pages) == Some(false) {
                self.is_lir[node as usize] = false;
                self.lir -= 1;
                self.activity.deactivations += 1;
                self.stack.remove(node);
                self.lists.push_back(Q, node);
                self.prune();
                return true;
            }
            self.stack.push_back(S, node);
            self.prune();
        }
        false
    }

    /// Puts a ghost in place of a page that is evicted from Q and S.
    fn leave_ghost(&mut self, node: u32, name: PageId) {
        if let Some(oldest) = self.lists.front(GHOSTS).filter(|_| self.lists.len(UNUSED) == 0) {
            self.forget(oldest);
        }
        if let Some(ghost) = self.lists.front(UNUSED) {
            self.ghosts.set(ghost - self.frames(), name, ());
            self.lists.push_back(GHOSTS, ghost);
            self.stack.replace(node, ghost);
        }
    }
}

impl Policy for LirsScan {
    fn insert(&mut self, frame: Pfn) {
        self.insert_page(frame, Page::default());
    }

    fn insert_page(&mut self, frame: Pfn, page: Page) {
        if self.contains(frame) {
            return;
        }
        let node = frame.0 as u32;
        self.names[node as usize] = page.id;
        self.references.load(frame);
        let ghost = self.ghosts.find(page.id);
        if let Some(slot) = ghost {
            self.forget(self.frames() + slot);
            self.activity.activations += 1;
        }
        if ghost.is_some() || self.lir < self.lir_max {
            self.make_lir(node);
        } else {
            self.stack.push_back(S, node);
            self.lists.push_back(Q, node);
        }
        self.prune();
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            let node = frame.0 as u32;
            self.stack.remove(node);
            self.lists.remove(node);
            self.lir -= usize::from(core::mem::take(&mut self.is_lir[node as usize]));
            self.references.forget(frame);
            self.prune();
        }
    }

    fn evict(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            return;
        }
        let node = frame.0 as u32;
        let name = self.names[node as usize];
        let in_both = !self.is_lir(frame) && self.stack.queue(node).is_some();
        if in_both && name != PageId::UNKNOWN && self.ghosts.find(name).is_none() {
            self.leave_ghost(node, name);
        }
        self.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        self.settle(pages);
        let mut busy = 0;
        loop {
            if busy == self.lists.len(Q) {
                // All that are not LIR are busy: one more joins them, which is not.
                if !self.demote(pages) {
                    return None;
                }
                busy = 0;
            }
            let node = self.lists.head(Q, |_| {})?;
            self.lists.push_back(Q, node);
            match self.references.take(Pfn(node.into()), pages) {
                None => busy += 1,
                Some(false) => return Some(Pfn(node.into())),
                Some(true) => {
                    self.used(node);
                    self.settle(pages);
                    busy = 0;
                }
            }
        }
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        self.settle(pages);
        let mut all = Vec::with_capacity(self.len());
        let mut at = self.stack.front(S);
        while let Some(node) = at {
            all.extend(Some(node).filter(|&node| node < self.frames()));
            at = self.stack.next(node);
        }
        let mut at = self.lists.front(Q);
        while let Some(node) = at {
            all.extend(Some(node).filter(|&node| self.stack.queue(node).is_none()));
            at = self.lists.next(node);
        }
        for node in all {
            if self.references.take(Pfn(node.into()), pages) == Some(true) {
                self.used(node);
                self.settle(pages);
            }
        }
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.is_lir(frame) || {
            let node = u32::try_from(frame.0).ok().filter(|&node| node < self.frames());
            node.is_some_and(|node| self.lists.queue(node).is_some())
        }
    }

    fn len(&self) -> usize {
        self.lir + self.lists.len(Q)
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
