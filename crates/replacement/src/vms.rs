//! VMS: FIFO working sets before standby and modified lists (segmented FIFO).
//!
//! Paper: H. M. Levy, P. H. Lipman, "Virtual Memory Management in the VAX/VMS Operating System",
//! IEEE Computer 15(3), 1982; analysed in R. Turner, H. Levy, "Segmented FIFO Page Replacement",
//! SIGMETRICS 1981.
//!
//! ```text
//!             ┌──────────────── used: a fault without I/O ───────────────┐
//!             ▼                                                          │
//!   loaded ─► [ working set, FIFO ] ─┬─ clean ────► [ standby, FIFO ] ───┴─► victim
//!                                    └─ modified ─► [ modified, FIFO ] ── written ──► standby
//! ```
//!
//! The working set holds what `secondary` percent of the frames leave; the rest are on the two
//! lists, which so act as a cache for what FIFO was wrong about. Windows' working sets with standby
//! and modified lists descend from it.
//!
//! Invariants:
//! 1. A known frame is on one list. In the working set no bit is looked at: it costs nothing.
//! 2. A victim is the first page of standby that was not used there. If standby has none, the modified
//!    list is laundered, 16 pages (a cluster) at a time; what is clean by then goes to standby.
//! 3. If no page of the cluster is clean, its first page goes as it is.
//! 4. A page leaves the working set only for a list that is short of pages when a victim is wanted.
//! 5. The bit that the load itself set is cleared when the page leaves the working set: what counts
//!    is use on the lists, which on the VAX is a fault. A busy page goes to its list's tail.
//! 6. A victim that is still there at the next call counts as loaded again.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Policy, Probe, Vms};
//!
//! let mut policy = Vms::new(4, 50);
//! (0..4).for_each(|at| policy.insert(Pfn(at)));
//! // Two pages go to standby. Frame 0 is used there, so it comes back; 1 is taken.
//! let mut looks = 0;
//! let mut used_0 = |frame| {
//!     looks += usize::from(frame == Pfn(0));
//!     if frame == Pfn(0) && looks == 2 { Probe::Referenced } else { Probe::Unreferenced }
//! };
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(1)));
//! ```
//!
//! Known weakness: the working set's FIFO sends the hottest pages through the lists again and again,
//! which costs a fault each time, and the share of the lists must be guessed.

use crate::frame_set::FrameSet;
use crate::queues::Queues;
use crate::{Activity, Pages, Policy, Probe};
use alloc::boxed::Box;
use pagewalk_mmu::Pfn;

const WORKING_SET: u8 = 0;
const STANDBY: u8 = 1;
const MODIFIED: u8 = 2;

/// Pages laundered together.
const CLUSTER: usize = 16;

/// VMS's lists; see the module for the states and an example.
#[derive(Clone, Debug)]
pub struct Vms {
    lists: Queues,
    /// Modified, and asked to be laundered.
    asked: FrameSet,
    secondary: u64,
    named: Option<Pfn>,
    activity: Activity,
}

impl Vms {
    /// A policy over `frames` frames of which `secondary` percent are on the standby and modified
    /// lists.
    ///
    /// # Panics
    /// If `secondary` is not 1 to 100.
    pub fn new(frames: u64, secondary: u8) -> Self {
        assert!((1..=100).contains(&secondary), "the lists have 1 to 100 % of the frames");
        Self {
            lists: Queues::new(frames, 3),
            asked: FrameSet::new(frames),
            secondary: secondary.into(),
            named: None,
            activity: Activity::default(),
        }
    }

    fn admit(&mut self, frame: Pfn) {
        self.asked.remove(frame);
        self.lists.push_back(WORKING_SET, frame.0 as u32);
    }

    /// How many pages the lists should have.
    fn share(&self) -> usize {
        (self.len() as u64 * self.secondary).div_ceil(100) as usize
    }

    /// Sends pages out of the working set until the lists have `wanted`.
    fn trim(&mut self, wanted: usize, pages: &mut dyn Pages) {
        for _ in 0..self.lists.len(WORKING_SET) {
            if self.lists.len(STANDBY) + self.lists.len(MODIFIED) >= wanted {
                return;
            }
            let Some(node) = self.lists.head(WORKING_SET, |_| {}) else { return };
            let frame = Pfn(node.into());
            let list = if pages.probe(frame) == Probe::Busy {
                WORKING_SET
            } else if pages.modified(frame) {
                MODIFIED
            } else {
                STANDBY
            };
            self.activity.deactivations += u64::from(list != WORKING_SET);
            self.lists.push_back(list, node);
        }
    }

    /// Looks at the first page of a list, which goes back to the working set if it was used; `None`
    /// if it is not to go now.
    fn first(&mut self, list: u8, pages: &mut dyn Pages) -> Option<Pfn> {
        let node = self.lists.head(list, |_| {})?;
        let frame = Pfn(node.into());
        match pages.probe(frame) {
            Probe::Busy => self.lists.push_back(list, node),
            Probe::Referenced => {
                self.activity.activations += 1;
                self.admit(frame);
            }
            Probe::Unreferenced => return Some(frame),
        }
        None
    }

    fn search_standby(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..self.lists.len(STANDBY) {
            let Some(frame) = self.first(STANDBY, pages) else { continue };
            if !pages.modified(frame) {
                return Some(frame);
            }
            self.lists.push_back(MODIFIED, frame.0 as u32);
        }
        None
    }

    /// Goes through a cluster of the modified list. Unless one of it is clean by now, its first page
    /// is the victim, and the others are laundered ahead of need.
    fn write_modified(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let mut late = None;
        let mut cleaned = false;
        for _ in 0..self.lists.len(MODIFIED).min(CLUSTER) {
            let Some(frame) = self.first(MODIFIED, pages) else { continue };
            if !pages.modified(frame) {
                cleaned = true;
                self.asked.remove(frame);
                self.lists.push_back(STANDBY, frame.0 as u32);
                continue;
            }
            self.lists.push_back(MODIFIED, frame.0 as u32);
            if late.is_none() {
                late = Some(frame);
            } else if self.asked.insert(frame) {
                pages.launder(frame);
            }
        }
        late.filter(|_| !cleaned)
    }
}

impl Policy for Vms {
    fn insert(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            self.admit(frame);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
            self.asked.remove(frame);
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            self.admit(frame);
        }
        self.trim(self.share(), pages);
        // Enough rounds to go through the modified list.
        for _ in 0..4 + 2 * self.len() / CLUSTER {
            self.named = self.search_standby(pages).or_else(|| self.write_modified(pages));
            if self.named.is_some() {
                return self.named;
            }
            // The lists have nothing that could go: more comes out of the working set.
            let there = self.lists.len(STANDBY) + self.lists.len(MODIFIED);
            self.trim(there + 1, pages);
        }
        None
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn contains(&self, frame: Pfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|node| self.lists.queue(node).is_some())
    }

    fn len(&self) -> usize {
        [WORKING_SET, STANDBY, MODIFIED].map(|list| self.lists.len(list)).into_iter().sum()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
