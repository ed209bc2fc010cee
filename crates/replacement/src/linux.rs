//! Linux's active and inactive lists, with refault distance.
//!
//! Source: `mm/vmscan.c`, `mm/workingset.c` and `mm/swap.c` of Linux 6, whose names are used here;
//! J. Weiner, "Thrash detection-based file cache sizing", 2013 (`mm/workingset.c` opens with it).
//! Without control groups and with swap on.
//!
//! ```text
//!   for anonymous pages, and the same for pages of files:
//!
//!                      young twice, or text
//!                    ┌────────────────────────────┐
//!   loaded ─► [ inactive ] ─► not young: victim   │
//!                 ▲  ▲ │ young once: kept, marked ▼
//!                 │  └─┘                  [ active ] ◄── refault, not too far
//!                 └──────────────────────────┘  │  ▲
//!                    deactivated: young or not  └──┘ text, if young
//!
//!   refault distance    R − E, of the clock `nonresident_age` that advances with every eviction
//!                       and activation; E is noted at the eviction
//!   not too far         R − E ≤ active_file + active_anon + inactive list of the other type
//!   inactive is low     inactive · √(10 · GiB) < active, or · 1 below a GiB
//!   scanned             anon : file as  anon · ap : file · fp, with
//!                       ap = swappiness · (total + 1) / (anon_cost + 1), fp = (200 − swappiness) …
//! ```
//!
//! Scans are planned 64 looks at a time; 32 active pages (`SWAP_CLUSTER_MAX`) are looked at where
//! the inactive list is low or its pages refault.
//!
//! Invariants:
//! 1. A known frame is on one of the four lists; a victim was on an inactive one.
//! 2. An evicted page is remembered for as many evictions as there are frames. No distance beyond
//!    that could activate a page, so nothing is lost by forgetting it.
//! 3. Costs are halved while they sum up to more than a quarter of the pages (`lru_note_cost`).
//! 4. The mark (`PG_referenced`) is taken with every look in an inactive list.
//! 5. A busy frame goes to the young end of its list; its bit and its mark stay.
//! 6. A victim goes to the young end: if its eviction fails, the next call finds another.
//! 7. If a lap finds no victim, pages are deactivated whether their list is low or not, and both
//!    types are scanned alike.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Linux, Page, PageId, Policy, Probe};
//!
//! let mut policy = Linux::new(2, 60);
//! let page = |id| Page { id: PageId(id), ..Page::default() };
//! policy.insert_page(Pfn(0), page(1));
//! policy.insert_page(Pfn(1), page(2));
//! let mut idle = |_: Pfn| Probe::Unreferenced;
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(0)));
//! policy.evict(Pfn(0));
//! policy.insert_page(Pfn(0), page(3));
//! // Page 1 goes and 2 goes; 2 comes back at distance 1, but nothing is active or of a file: 1 > 0.
//! assert_eq!(policy.victim(&mut idle), Some(Pfn(1)));
//! policy.evict(Pfn(1));
//! policy.insert_page(Pfn(1), page(2));
//! assert!(!policy.is_active(Pfn(1)));
//! ```
//!
//! Known weakness: one young bit in the inactive list must tell pages in use from pages read
//! once, so a page used twice quickly and never again becomes active.

use crate::directory::{Directory, names_of};
use crate::frame_set::FrameSet;
use crate::queues::{GROUP, Queues};
use crate::{Activity, Page, PageId, PageKind, Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// The types of pages, which index what each has of its own.
const ANON: usize = 0;
const FILE: usize = 1;
const TYPES: [usize; 2] = [ANON, FILE];

const CLUSTER: usize = 32; // SWAP_CLUSTER_MAX
/// Looks that are shared out between the types at once.
const PLAN: usize = 2 * CLUSTER;
/// Pages in a GiB of 4 KiB, as a shift.
const GIB_SHIFT: u32 = 18;

/// The inactive list of a type; the active one is the next.
fn inactive(kind: usize) -> u8 {
    2 * kind as u8
}

fn active(kind: usize) -> u8 {
    inactive(kind) + 1
}

/// What is remembered of an evicted page, packed as its shadow entry is.
#[derive(Clone, Copy, Debug, Default)]
struct Shadow(u64);

impl Shadow {
    fn new(age: u64, workingset: bool) -> Self {
        Self(age << 1 | u64::from(workingset))
    }

    fn age(self) -> u64 {
        self.0 >> 1
    }

    fn workingset(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Linux's two lists; see the module for the states and an example.
#[derive(Clone, Debug)]
pub struct Linux {
    lists: Queues,
    names: Vec<PageId>,
    /// `PG_referenced`.
    marked: FrameSet,
    /// Mapped for execution.
    text: FrameSet,
    /// `PG_workingset`: was active before.
    workingset: FrameSet,
    ghosts: Directory<Shadow>,
    /// The slot of the next evicted page: the oldest one's.
    ghost_hand: u32,
    nonresident_age: u64,
    swappiness: u64,
    costs: [u64; 2],
    /// A refault was activated and `active` not looked at since.
    refaulted: [bool; 2],
    /// Looks at the inactive lists that are still to be made.
    plan: [usize; 2],
    activity: Activity,
}

impl Linux {
    /// A policy over `frames` frames; `swappiness` is 0 to 200.
    ///
    /// # Panics
    /// If `swappiness` is above 200.
    pub fn new(frames: u64, swappiness: u8) -> Self {
        assert!(swappiness <= 200, "swappiness is 0 to 200");
        Self {
            lists: Queues::new(frames, 4),
            names: vec![PageId::UNKNOWN; frames as usize],
            marked: FrameSet::new(frames),
            text: FrameSet::new(frames),
            workingset: FrameSet::new(frames),
            ghosts: Directory::new(frames),
            ghost_hand: 0,
            nonresident_age: 0,
            swappiness: swappiness.into(),
            costs: [0; 2],
            refaulted: [false; 2],
            plan: [0; 2],
            activity: Activity::default(),
        }
    }

    /// Whether the frame is on an active list.
    pub fn is_active(&self, frame: Pfn) -> bool {
        self.list(frame).is_some_and(|list| list % 2 == 1)
    }

    fn list(&self, frame: Pfn) -> Option<u8> {
        u32::try_from(frame.0).ok().and_then(|node| self.lists.queue(node))
    }

    /// `workingset_refault`: where a page that was evicted before belongs.
    fn refault(&mut self, frame: Pfn, kind: usize, shadow: Shadow) {
        let distance = self.nonresident_age - shadow.age();
        let in_lists = [active(FILE), active(ANON), inactive(ANON + FILE - kind)];
        let room: usize = in_lists.into_iter().map(|list| self.lists.len(list)).sum();
        if distance > room as u64 {
            return;
        }
        self.activate(frame, kind);
        self.refaulted[kind] = true;
        if shadow.workingset() {
            self.workingset.insert(frame);
            self.note_cost(kind, CLUSTER as u64);
        }
    }

    fn activate(&mut self, frame: Pfn, kind: usize) {
        self.lists.push_back(active(kind), frame.0 as u32);
        self.activity.activations += 1;
        self.nonresident_age += 1;
    }

    /// `lru_note_cost`
    fn note_cost(&mut self, kind: usize, cost: u64) {
        self.costs[kind] += cost;
        while self.costs[ANON] + self.costs[FILE] > self.len() as u64 / 4 {
            self.costs.iter_mut().for_each(|cost| *cost /= 2);
        }
    }

    /// `get_scan_count`: shares [`PLAN`] looks out between the types.
    fn make_plan(&mut self, alike: bool) {
        let sizes = TYPES.map(|kind| self.lists.len(inactive(kind)) + self.lists.len(active(kind)));
        let total = self.costs[ANON] + self.costs[FILE];
        let costs = self.costs.map(|cost| total + cost);
        let sum = costs[ANON] + costs[FILE];
        let wish = [self.swappiness, 200 - self.swappiness];
        let weights = TYPES.map(|kind| {
            let pressure = if alike { 1 } else { wish[kind] * (sum + 1) / (costs[kind] + 1) };
            sizes[kind] as u64 * pressure
        });
        let anon = match weights {
            [_, 0] if sizes[ANON] > 0 => PLAN,
            [_, 0] => 0,
            [anon, file] => (PLAN as u64 * anon).div_ceil(anon + file) as usize,
        };
        self.plan = [anon, PLAN - anon];
    }

    /// `inactive_is_low`
    fn is_low(&self, kind: usize) -> bool {
        let [inactive, active] =
            [inactive(kind), active(kind)].map(|list| self.lists.len(list) as u64);
        let gib = (inactive + active) >> GIB_SHIFT;
        let ratio = if gib == 0 { 1 } else { (10 * gib).isqrt() };
        inactive * ratio < active
    }

    /// `shrink_active_list`
    fn shrink_active(&mut self, kind: usize, pages: &mut dyn Pages) {
        for _ in 0..CLUSTER.min(self.lists.len(active(kind))) {
            let Some(node) = self.lists.head(active(kind), |_| {}) else { return };
            let frame = Pfn(node.into());
            let answer = pages.probe(frame);
            let text = answer == Probe::Referenced && self.text.contains(frame);
            if answer == Probe::Busy || text {
                self.lists.push_back(active(kind), node);
                self.note_cost(kind, 1);
            } else {
                self.lists.push_back(inactive(kind), node);
                self.activity.deactivations += 1;
                self.workingset.insert(frame);
            }
        }
    }

    /// Looks at the oldest inactive page (`shrink_inactive_list`, `folio_check_references`).
    fn shrink_inactive(&mut self, kind: usize, pages: &mut dyn Pages) -> Option<Pfn> {
        let (names, ghosts) = (&self.names, &self.ghosts);
        let node =
            self.lists.head(inactive(kind), |nodes| ghosts.read_ahead(names_of(names, nodes)))?;
        let frame = Pfn(node.into());
        self.lists.push_back(inactive(kind), node);
        let answer = pages.probe(frame);
        if answer == Probe::Busy {
            return None;
        }
        let marked = self.marked.remove(frame);
        if answer == Probe::Referenced {
            if marked || self.text.contains(frame) {
                self.activate(frame, kind);
            } else {
                self.marked.insert(frame);
            }
            self.note_cost(kind, 1);
            return None;
        }
        let modified = pages.modified(frame);
        if marked && kind == FILE && modified {
            // Was in use a short while ago: goes only when clean.
            pages.launder(frame);
            self.note_cost(kind, 1);
            return None;
        }
        if modified {
            self.note_cost(kind, CLUSTER as u64);
        }
        Some(frame)
    }
}

impl Policy for Linux {
    fn insert(&mut self, frame: Pfn) {
        self.insert_page(frame, Page::default());
    }

    fn insert_page(&mut self, frame: Pfn, page: Page) {
        if self.contains(frame) {
            return;
        }
        let kind = if page.kind == PageKind::Anon { ANON } else { FILE };
        self.lists.push_back(inactive(kind), frame.0 as u32);
        self.names[frame.0 as usize] = page.id;
        if page.kind == PageKind::Text {
            self.text.insert(frame);
        }
        if let Some(slot) = self.ghosts.find(page.id) {
            let shadow = self.ghosts.kept(slot);
            self.ghosts.clear(slot);
            self.refault(frame, kind, shadow);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
            for flags in [&mut self.marked, &mut self.text, &mut self.workingset] {
                flags.remove(frame);
            }
        }
    }

    fn evict(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            return;
        }
        let name = self.names[frame.0 as usize];
        if name != PageId::UNKNOWN && self.ghosts.find(name).is_none() {
            let slot = self.ghost_hand;
            if (slot as usize).is_multiple_of(GROUP) {
                self.ghosts.read_slots_ahead(slot..slot + GROUP as u32);
            }
            self.ghost_hand = (slot + 1) % self.names.len() as u32;
            let workingset = self.workingset.contains(frame);
            self.ghosts.set(slot, name, Shadow::new(self.nonresident_age, workingset));
        }
        self.nonresident_age += 1;
        self.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let lap = self.len() + PLAN;
        for step in 0..6 * lap {
            let forced = step > 2 * lap;
            if self.plan == [0; 2] {
                self.make_plan(forced);
            }
            let kind = if self.plan[ANON] > 0 { ANON } else { FILE };
            self.plan[kind] -= 1;
            let refaulted = core::mem::take(&mut self.refaulted[kind]);
            if refaulted || forced || self.is_low(kind) {
                self.shrink_active(kind, pages);
            }
            let found = self.shrink_inactive(kind, pages);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        let queue = |name, list| (name, self.lists.frames(list));
        vec![
            queue("active_anon", active(ANON)),
            queue("inactive_anon", inactive(ANON)),
            queue("active_file", active(FILE)),
            queue("inactive_file", inactive(FILE)),
        ]
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.list(frame).is_some()
    }

    fn len(&self) -> usize {
        (0..4).map(|list| self.lists.len(list)).sum()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
