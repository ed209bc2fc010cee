//! CAR: Clock with Adaptive Replacement.
//!
//! Paper: S. Bansal, D. S. Modha, "CAR: Clock with Adaptive Replacement", USENIX FAST 2004.
//!
//! ```text
//!             gone, remembered        resident: two clocks            gone, remembered
//!   oldest  B1 ◄──── not referenced ──── T1   T2 ──── not referenced ────►  B2  oldest
//!           │                   new ─►   │     ▲ ▲                          │
//!           │                            └─────┘ │ referenced: to T2's tail │
//!           └─── p up ───────────────────────────┴──────────────── p down ──┘
//!
//!   victim    from T1 while |T1| ≥ max(1, p), else from T2
//!   p         p + max(1, |B2| / |B1|) up to c when a page of B1 comes back,
//!             p − max(1, |B1| / |B2|) down to 0 when one of B2 does
//! ```
//!
//! T1 holds what was used once, T2 what was used again; `p` is the size that T1 should have, a real
//! number. What comes back out of memory of T1 would have been a hit, had T1 been larger.
//!
//! Invariants (c frames; the paper's I1 to I4):
//! 1. |T1| + |T2| ≤ c, |T1| + |B1| ≤ c, and all four together hold 2c pages at most.
//! 2. A page is on one list. Pages without a name leave no trace in B1 and B2.
//! 3. Room in B1 and B2 is made on a complete miss alone, after the eviction: B1's oldest goes if
//!    |T1| + |B1| = c, else B2's oldest if all hold 2c. Where frames are freed ahead of need B1 and
//!    B2 may ask for more than c + 1 places together; then the longer one's oldest goes.
//! 4. The reference that a page was loaded for does not count, so that T1 and T2 differ.
//! 5. A busy page goes to its clock's tail, its bit not taken. So does a victim: if its eviction
//!    fails, the next call finds another.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Car, Page, PageId, Policy, Probe};
//!
//! let page = |id| Page { id: PageId(id), ..Page::default() };
//! let mut policy = Car::new(2);
//! policy.insert_page(Pfn(0), page(1));
//! policy.insert_page(Pfn(1), page(2));
//! let mut idle = |_: Pfn| Probe::Unreferenced;
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(0)));
//! policy.evict(Pfn(0)); // page 1 goes to B1
//! policy.insert_page(Pfn(0), page(1)); // and comes back: to T2, and T1 should be larger
//! assert_eq!(policy.target(), 1.0);
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(1)));
//! ```
//!
//! Known weakness: two uses in quick succession make a page one of T2, as in the paper's own CART,
//! which asks for more. And hardware's one bit hides how often a page was used.

use crate::directory::{Directory, names_of};
use crate::queues::Queues;
use crate::references::References;
use crate::{Activity, Page, PageId, Pages, Policy};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

const T1: u8 = 0;
const T2: u8 = 1;
const B1: u8 = 2;
const B2: u8 = 3;
/// Ghosts that stand for no page.
const UNUSED: u8 = 4;

/// CAR; see the module for the paper, the lists and an example.
#[derive(Clone, Debug)]
pub struct Car {
    /// Nodes: the frames, then the ghosts, which are the slots of `ghosts`.
    lists: Queues,
    names: Vec<PageId>,
    ghosts: Directory<()>,
    references: References,
    target: f64,
    activity: Activity,
}

impl Car {
    /// A policy over `frames` frames, none known.
    pub fn new(frames: u64) -> Self {
        let ghosts = frames + 1;
        let mut lists = Queues::new(frames + ghosts, 5);
        (frames..frames + ghosts).for_each(|node| lists.push_back(UNUSED, node as u32));
        Self {
            lists,
            names: vec![PageId::UNKNOWN; frames as usize],
            ghosts: Directory::new(ghosts),
            references: References::new(frames),
            target: 0.0,
            activity: Activity::default(),
        }
    }

    /// `p`: how many pages T1 should have, 0 to the number of frames.
    pub fn target(&self) -> f64 {
        self.target
    }

    fn frames(&self) -> u32 {
        self.names.len() as u32
    }

    fn list(&self, frame: Pfn) -> Option<u8> {
        let node = u32::try_from(frame.0).ok().filter(|&node| node < self.frames())?;
        self.lists.queue(node)
    }

    /// Forgets the oldest page of B1 or B2.
    fn forget_oldest(&mut self, list: u8) {
        let (frames, ghosts) = (self.frames(), &self.ghosts);
        let slots = |nodes: &[u32]| {
            ghosts.read_slots_ahead(nodes.iter().map(|node| node.saturating_sub(frames)));
        };
        if let Some(node) = self.lists.head(list, slots) {
            self.ghosts.clear(node - self.frames());
            self.lists.push_back(UNUSED, node);
        }
    }

    /// A page that is in no list is about to come in.
    fn make_room(&mut self) {
        let [t1, t2, b1, b2] = [T1, T2, B1, B2].map(|list| self.lists.len(list));
        let frames = self.names.len();
        if t1 + b1 >= frames {
            self.forget_oldest(B1);
        } else if t1 + t2 + b1 + b2 >= 2 * frames {
            self.forget_oldest(B2);
        }
    }

    /// A page of B1 or B2 comes back: T1's size is adapted.
    fn adapt(&mut self, slot: u32) {
        let node = self.frames() + slot;
        let [b1, b2] = [B1, B2].map(|list| self.lists.len(list) as f64);
        if self.lists.queue(node) == Some(B1) {
            self.target = (self.target + (b2 / b1).max(1.0)).min(self.names.len() as f64);
        } else {
            self.target = (self.target - (b1 / b2).max(1.0)).max(0.0);
        }
        self.ghosts.clear(slot);
        self.lists.push_back(UNUSED, node);
    }

    fn remember(&mut self, name: PageId, list: u8) {
        if name == PageId::UNKNOWN || self.ghosts.find(name).is_some() {
            return;
        }
        if self.lists.len(UNUSED) == 0 {
            let longer = if self.lists.len(B1) >= self.lists.len(B2) { B1 } else { B2 };
            self.forget_oldest(longer);
        }
        if let Some(node) = self.lists.head(UNUSED, |_| {}) {
            self.ghosts.set(node - self.frames(), name, ());
            self.lists.push_back(list, node);
        }
    }
}

impl Policy for Car {
    fn insert(&mut self, frame: Pfn) {
        self.insert_page(frame, Page::default());
    }

    fn insert_page(&mut self, frame: Pfn, page: Page) {
        if self.contains(frame) {
            return;
        }
        self.names[frame.0 as usize] = page.id;
        self.references.load(frame);
        let list = match self.ghosts.find(page.id) {
            None => {
                self.make_room();
                T1
            }
            Some(slot) => {
                self.adapt(slot);
                self.activity.activations += 1;
                T2
            }
        };
        self.lists.push_back(list, frame.0 as u32);
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
            self.references.forget(frame);
        }
    }

    fn evict(&mut self, frame: Pfn) {
        if let Some(list) = self.list(frame) {
            self.remove(frame);
            self.remember(self.names[frame.0 as usize], if list == T1 { B1 } else { B2 });
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        // Busy pages found in a row: that many, and the whole clock is busy.
        let mut busy = [0; 2];
        // Every page of T1 moves to T2 at most, and T2 is turned twice.
        for _ in 0..4 * self.len() {
            let [t1, t2] = [T1, T2].map(|list| self.lists.len(list));
            let open = [busy[0] < t1, busy[1] < t2];
            let list = match open {
                [true, true] if t1 as f64 >= self.target.max(1.0) => T1,
                [true, true] => T2,
                [true, false] => T1,
                [false, true] => T2,
                [false, false] => return None,
            };
            let (names, ghosts) = (&self.names, &self.ghosts);
            let read = |nodes: &[u32]| ghosts.read_ahead(names_of(names, nodes));
            let node = self.lists.head(list, read)?;
            self.lists.push_back(list, node);
            match self.references.take(Pfn(node.into()), pages) {
                None => busy[usize::from(list)] += 1,
                Some(true) => {
                    self.activity.activations += u64::from(list == T1);
                    self.lists.push_back(T2, node);
                    busy[1] = 0; // T2 has one more that may go
                }
                Some(false) => return Some(Pfn(node.into())),
            }
        }
        None
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        for node in 0..self.frames() {
            if self.lists.queue(node).is_some() {
                self.references.harvest(Pfn(node.into()), pages);
            }
        }
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.list(frame).is_some()
    }

    fn len(&self) -> usize {
        self.lists.len(T1) + self.lists.len(T2)
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
