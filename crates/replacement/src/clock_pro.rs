//! CLOCK-Pro: LIRS with a clock.
//!
//! Paper: S. Jiang, F. Chen, X. Zhang, "CLOCK-Pro: An Effective Improvement of the CLOCK
//! Replacement", USENIX Annual Technical Conference 2005.
//!
//! ```text
//!                    list head: new pages, pages that change their state
//!                        ▼
//!      … cold ─ hot ─ ghost ─ [HAND_hot] hot ─ cold, test ─ … ─ [HAND_cold] … ─ [HAND_test] …
//!                                  sweep ────►
//!
//!   loaded, unknown ──► cold, in test                loaded, a ghost ──► hot; mc + 1
//!   HAND_cold   cold          not referenced: victim, and forgotten
//!               cold, test    not referenced: victim, and a ghost in its place
//!               cold          referenced: test, to the head
//!               cold, test    referenced: hot, to the head; mc + 1
//!   HAND_hot    hot           not referenced: cold                     referenced: passed
//!   HAND_hot    cold, test    cold; mc − 1           ghost: forgotten; mc − 1
//!   HAND_test   the same, while there are more ghosts than frames
//! ```
//!
//! `mc` is how many frames cold pages should have; the others are for hot pages. A test period lasts
//! as long as HAND_hot takes to come by: a page that is used again within it has a smaller reuse
//! distance than the oldest hot page.
//!
//! What the paper leaves open: `mc` starts at its minimum and stays within max(2, 1 %) and 99 % of
//! the frames. HAND_hot runs when a frame is wanted, before HAND_cold, while there are more hot
//! pages than `mc` leaves room for: at a load nobody can look at referenced bits. After it turned a
//! page cold it goes on to the next hot one.
//!
//! Invariants:
//! 1. All pages are on one ring: at most c resident, at most c ghosts, which are in test.
//! 2. The list head is the place before HAND_hot, which gets there last: the ring is kept as a queue
//!    whose front is where HAND_hot stands.
//! 3. No hand stands on a page that is not on the ring.
//! 4. The reference that a page was loaded for does not count.
//! 5. Hands pass busy pages without a look. If no cold page can go, one hot page turns cold.
//! 6. HAND_cold stands behind its victim: if its eviction fails, the next call finds another.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{ClockPro, Page, PageId, Policy, Probe};
//!
//! let page = |id| Page { id: PageId(id), ..Page::default() };
//! let mut policy = ClockPro::new(3);
//! (0..3).for_each(|at| policy.insert_page(Pfn(at), page(at + 1)));
//! let mut idle = |_: Pfn| Probe::Unreferenced;
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(0)));
//! policy.evict(Pfn(0)); // page 1 leaves a ghost in its test period,
//! policy.insert_page(Pfn(0), page(1)); // so it is hot when it comes back
//! assert!(policy.is_hot(Pfn(0)));
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(1)));
//! ```
//!
//! Known weakness: three hands on one list, of which each ends the others' business; the paper is
//! read in several ways, and programs that call themselves CLOCK-Pro count differently.

use crate::directory::{Directory, names_of};
use crate::queues::{GROUP, Queues};
use crate::references::References;
use crate::{Activity, Page, PageId, Pages, Policy};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

const RING: u8 = 0;
/// Ghosts that stand for no page.
const UNUSED: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hot,
    Cold,
    /// Cold, resident, in its test period.
    Test,
}

/// The hands that stand on a node of the ring; HAND_hot is where the ring begins.
const COLD: usize = 0;
const TEST: usize = 1;

/// CLOCK-Pro; see the module for the paper, the hands and an example.
#[derive(Clone, Debug)]
pub struct ClockPro {
    /// Nodes: the frames, then the ghosts, which are the slots of `ghosts`.
    lists: Queues,
    states: Vec<State>,
    names: Vec<PageId>,
    ghosts: Directory<()>,
    references: References,
    hands: [Option<u32>; 2],
    /// Steps of HAND_cold, which reads ahead every so many.
    looks: u32,
    hot: usize,
    len: usize,
    cold_target: usize,
    activity: Activity,
}

impl ClockPro {
    /// A policy over `frames` frames, none known.
    pub fn new(frames: u64) -> Self {
        let mut lists = Queues::new(2 * frames, 2);
        (frames..2 * frames).for_each(|node| lists.push_back(UNUSED, node as u32));
        let mut policy = Self {
            lists,
            states: vec![State::Cold; frames as usize],
            names: vec![PageId::UNKNOWN; frames as usize],
            ghosts: Directory::new(frames),
            references: References::new(frames),
            hands: [None; 2],
            looks: 0,
            hot: 0,
            len: 0,
            cold_target: 0,
            activity: Activity::default(),
        };
        policy.adapt(false);
        policy
    }

    /// Whether the frame's page is hot.
    pub fn is_hot(&self, frame: Pfn) -> bool {
        self.contains(frame) && self.states[frame.0 as usize] == State::Hot
    }

    /// `mc`: how many frames cold pages should have.
    pub fn cold_target(&self) -> usize {
        self.cold_target
    }

    fn frames(&self) -> u32 {
        self.states.len() as u32
    }

    /// A test period ended, with a reference or without.
    fn adapt(&mut self, referenced: bool) {
        let frames = self.states.len();
        let least = (frames / 100).max(2).min(frames);
        let most = (frames * 99 / 100).max(least);
        let target =
            if referenced { self.cold_target + 1 } else { self.cold_target.saturating_sub(1) };
        self.cold_target = target.clamp(least, most);
    }

    /// The node behind this one on the ring.
    fn behind(&self, node: u32) -> Option<u32> {
        self.lists.next(node).or_else(|| self.lists.front(RING)).filter(|&next| next != node)
    }

    /// HAND_hot leaves its node, which so becomes the last.
    fn pass(&mut self, node: u32) {
        self.lists.push_back(RING, node);
    }

    /// The node at the hand, which moves on.
    fn step(&mut self, hand: usize) -> Option<u32> {
        let node = self.hands[hand]?;
        self.hands[hand] = self.behind(node).or(Some(node));
        Some(node)
    }

    /// Hands that stand on the node move on.
    fn chase(&mut self, node: u32) {
        for hand in [COLD, TEST] {
            if self.hands[hand] == Some(node) {
                self.hands[hand] = self.behind(node);
            }
        }
    }

    /// Takes the node off the ring.
    fn detach(&mut self, node: u32) {
        self.chase(node);
        self.lists.remove(node);
    }

    /// Puts a node that is on no list at the list head.
    fn attach(&mut self, node: u32) {
        self.lists.push_back(RING, node);
        self.hands = self.hands.map(|hand| hand.or(Some(node)));
    }

    /// Puts a ghost where the frame's page was, before any hand that stands there.
    fn leave_ghost(&mut self, node: u32, ghost: u32) {
        self.lists.remove(ghost);
        if self.lists.front(RING) == Some(node) {
            self.detach(node);
            self.attach(ghost);
        } else {
            self.chase(node);
            self.lists.replace(node, ghost);
        }
    }

    fn move_to_head(&mut self, node: u32) {
        self.detach(node);
        self.attach(node);
    }

    fn set_state(&mut self, node: u32, state: State) {
        let was = core::mem::replace(&mut self.states[node as usize], state);
        self.hot -= usize::from(was == State::Hot);
        self.hot += usize::from(state == State::Hot);
        self.activity.activations += u64::from(was != State::Hot && state == State::Hot);
    }

    /// What HAND_hot and HAND_test do to a page in its test period.
    fn end_test(&mut self, node: u32) {
        if node >= self.frames() {
            self.forget(node);
            self.adapt(false);
        } else if self.states[node as usize] == State::Test {
            self.set_state(node, State::Cold);
            self.adapt(false);
        }
    }

    fn forget(&mut self, ghost: u32) {
        self.detach(ghost);
        self.ghosts.clear(ghost - self.frames());
        self.lists.push_back(UNUSED, ghost);
    }

    /// The frame's page has left the ring.
    fn drop_state(&mut self, frame: Pfn) {
        self.set_state(frame.0 as u32, State::Cold);
        self.references.forget(frame);
        self.len -= 1;
    }

    /// HAND_hot turns one hot page cold and stops at the next hot one; false if it cannot.
    fn demote(&mut self, pages: &mut dyn Pages) -> bool {
        // The first turn takes all bits.
        for _ in 0..2 * self.lists.len(RING) {
            let Some(node) = self.lists.head(RING, |_| {}) else { return false };
            self.pass(node);
            if node >= self.frames() || self.states[node as usize] != State::Hot {
                self.end_test(node);
            } else if self.references.take(Pfn(node.into()), pages) == Some(false) {
                self.set_state(node, State::Cold);
                self.activity.deactivations += 1;
                self.stop_at_hot();
                return true;
            }
        }
        false
    }

    fn stop_at_hot(&mut self) {
        if self.hot == 0 {
            return;
        }
        while let Some(node) = self.lists.head(RING, |_| {})
            && (node >= self.frames() || self.states[node as usize] != State::Hot)
        {
            self.pass(node);
            self.end_test(node);
        }
    }

    /// Reads what HAND_cold and the evictions that follow will want.
    fn read_ahead(&self) {
        let Some(node) = self.hands[COLD] else { return };
        let read = |nodes: &[u32]| self.ghosts.read_ahead(names_of(&self.names, nodes));
        self.lists.read_behind(node, read);
    }

    /// HAND_cold goes round until it finds a victim.
    fn sweep_cold(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..self.lists.len(RING) {
            self.looks = self.looks.wrapping_add(1);
            if (self.looks as usize).is_multiple_of(GROUP) {
                self.read_ahead();
            }
            let node = self.step(COLD)?;
            if node >= self.frames() || self.states[node as usize] == State::Hot {
                continue;
            }
            match self.references.take(Pfn(node.into()), pages) {
                None => {}
                Some(false) => return Some(Pfn(node.into())),
                Some(true) if self.states[node as usize] == State::Test => {
                    self.adapt(true);
                    self.set_state(node, State::Hot);
                    self.move_to_head(node);
                }
                Some(true) => {
                    self.set_state(node, State::Test);
                    self.move_to_head(node);
                }
            }
        }
        None
    }
}

impl Policy for ClockPro {
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
        self.len += 1;
        match self.ghosts.find(page.id) {
            None => self.set_state(node, State::Test),
            Some(slot) => {
                self.forget(self.frames() + slot);
                self.adapt(true);
                self.set_state(node, State::Hot);
            }
        }
        self.attach(node);
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.detach(frame.0 as u32);
            self.drop_state(frame);
        }
    }

    fn evict(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            return;
        }
        let name = self.names[frame.0 as usize];
        let tested = self.states[frame.0 as usize] == State::Test;
        if tested && name != PageId::UNKNOWN && self.ghosts.find(name).is_none() {
            while self.lists.len(UNUSED) == 0 {
                let Some(node) = self.step(TEST) else { break };
                self.end_test(node);
            }
            if let Some(ghost) = self.lists.head(UNUSED, |_| {}) {
                self.ghosts.set(ghost - self.frames(), name, ());
                self.leave_ghost(frame.0 as u32, ghost);
                self.drop_state(frame);
                return;
            }
        }
        self.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..3 {
            while self.hot > self.states.len() - self.cold_target && self.demote(pages) {}
            let found = self.sweep_cold(pages);
            if found.is_some() {
                return found;
            }
            self.demote(pages);
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
        frame.0 < u64::from(self.frames()) && self.lists.queue(frame.0 as u32).is_some()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
