//! MGLRU: Linux's multi-generational LRU.
//!
//! Source: `mm/vmscan.c`, `include/linux/mmzone.h` and `Documentation/mm/multigen_lru.rst` of Linux
//! 6.6, whose names are used here.
//!
//! ```text
//!   for anonymous pages, and the same for pages of files:
//!
//!   victim ◄── [ min_seq ]  [ … ]  [ … ]  [ max_seq ] ◄── loaded; referenced, when looked at
//!               oldest       two to four generations       youngest
//!
//!   aging   looks at every page: referenced ones go to max_seq; then max_seq + 1
//!           wanted if there are only two generations, and with three if the youngest has more
//!           than half of the pages, or the oldest that both types have less than a quarter
//!   type    the one with the older min_seq; of the same age, files unless they refault more:
//!           file_refaulted · (anon_total + 64) · swappiness
//!              > (anon_refaulted + 1) · file_total · (200 − swappiness), and 64 or more
//! ```
//!
//! Pages of the two youngest generations are active (`lru_gen_is_active`): a page is activated when
//! it comes to the youngest from an older one, and deactivated when its generation becomes the third.
//!
//! A refault counts if the page was evicted less than four generations ago. The counts are averaged
//! with half weights at each aging (`reset_ctrl_pos`).
//!
//! Left out: tiers, which tell references through file descriptors apart and so are all tier 0
//! here; the look around a page's neighbours in its page table, which a policy over frames does not
//! see; `lru_gen_min_ttl`.
//!
//! Invariants:
//! 1. A known frame is in one generation of its type, `min_seq` to `max_seq` of the type.
//! 2. Each type has two to four generations; only its oldest gives victims.
//! 3. Before a fifth would begin, what is left of the oldest joins the next one, ahead of its pages.
//! 4. An evicted page is remembered for as many evictions as there are frames, with the `min_seq`
//!    that it had.
//! 5. A busy page goes to the young end of its generation, its bit not taken. So does a victim: if
//!    its eviction fails, the next call finds another.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Mglru, Policy, Probe};
//!
//! let mut policy = Mglru::new(3, 60);
//! (0..3).for_each(|at| policy.insert(Pfn(at)));
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! // The first aging goes to the end of the generation in which all were loaded.
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(1)));
//! policy.evict(Pfn(1));
//! // The next one finds 0 used again, and leaves 2 behind.
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(2)));
//! assert!(policy.generation(Pfn(0)) > policy.generation(Pfn(2)));
//! ```
//!
//! Known weakness: an aging looks at all pages at once, and pages within a generation are in the
//! order in which they came, whatever their use.

use crate::directory::{Directory, names_of};
use crate::queues::{GROUP, Queues};
use crate::{Activity, Page, PageId, PageKind, Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

const ANON: usize = 0;
const FILE: usize = 1;
const TYPES: [usize; 2] = [ANON, FILE];

const GENS_MAX: u64 = 4; // MAX_NR_GENS
const GENS_MIN: u64 = 2; // MIN_NR_GENS
const BATCH: u64 = 64; // MIN_LRU_BATCH

/// The list of a generation.
fn list(kind: usize, seq: u64) -> u8 {
    (kind as u64 * GENS_MAX + seq % GENS_MAX) as u8
}

/// What the controller knows of a type.
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    refaulted: u64,
    evicted: u64,
    refaulted_average: u64,
    total_average: u64,
}

impl Control {
    fn refaulted(self) -> u64 {
        self.refaulted_average + self.refaulted
    }

    fn total(self) -> u64 {
        self.total_average + self.evicted
    }

    /// `reset_ctrl_pos`
    fn carry_over(&mut self) {
        let [refaulted_average, total_average] = [self.refaulted() / 2, self.total() / 2];
        *self = Self { refaulted: 0, evicted: 0, refaulted_average, total_average };
    }
}

/// MGLRU; see the module for the generations and an example.
#[derive(Clone, Debug)]
pub struct Mglru {
    lists: Queues,
    names: Vec<PageId>,
    /// With the `min_seq` that evicted pages had.
    ghosts: Directory<u64>,
    /// The slot of the next evicted page: the oldest one's.
    ghost_hand: u32,
    swappiness: u64,
    max_seq: u64,
    min_seq: [u64; 2],
    controls: [Control; 2],
    activity: Activity,
}

impl Mglru {
    /// A policy over `frames` frames; `swappiness` is 0 to 200.
    ///
    /// # Panics
    /// If `swappiness` is above 200.
    pub fn new(frames: u64, swappiness: u8) -> Self {
        assert!(swappiness <= 200, "swappiness is 0 to 200");
        Self {
            lists: Queues::new(frames, 2 * GENS_MAX as u8),
            names: vec![PageId::UNKNOWN; frames as usize],
            ghosts: Directory::new(frames),
            ghost_hand: 0,
            swappiness: swappiness.into(),
            max_seq: GENS_MIN - 1,
            min_seq: [0; 2],
            controls: [Control::default(); 2],
            activity: Activity::default(),
        }
    }

    /// The generation of the frame's page, larger for younger ones; `None` if it is not known.
    pub fn generation(&self, frame: Pfn) -> Option<u64> {
        let at = self.list(frame)?;
        let kind = usize::from(at) / GENS_MAX as usize;
        (self.min_seq[kind]..=self.max_seq).find(|&seq| list(kind, seq) == at)
    }

    fn list(&self, frame: Pfn) -> Option<u8> {
        u32::try_from(frame.0).ok().and_then(|node| self.lists.queue(node))
    }

    fn kind_len(&self, kind: usize) -> usize {
        (self.min_seq[kind]..=self.max_seq).map(|seq| self.lists.len(list(kind, seq))).sum()
    }

    /// How many pages of both types are in this generation.
    fn generation_len(&self, seq: u64) -> usize {
        let there = TYPES.into_iter().filter(|&kind| self.min_seq[kind] <= seq);
        there.map(|kind| self.lists.len(list(kind, seq))).sum()
    }

    /// `should_run_aging`
    fn wants_aging(&self) -> bool {
        let min_seq = self.min_seq[ANON].min(self.min_seq[FILE]);
        if min_seq + GENS_MIN > self.max_seq {
            return true;
        }
        if min_seq + GENS_MIN < self.max_seq {
            return false;
        }
        let young = self.generation_len(self.max_seq);
        let old = self.generation_len(self.max_seq - GENS_MIN);
        young * GENS_MIN as usize > self.len() || old * (GENS_MIN as usize + 2) < self.len()
    }

    /// Looks at every page and begins a generation (`try_to_inc_max_seq`).
    fn age(&mut self, pages: &mut dyn Pages) {
        for node in 0..self.names.len() as u32 {
            if let Some(at) = self.lists.queue(node)
                && pages.probe(Pfn(node.into())) == Probe::Referenced
            {
                self.count_activation(at);
                self.promote(node, usize::from(at) / GENS_MAX as usize);
            }
        }
        for kind in TYPES {
            if self.max_seq - self.min_seq[kind] + 1 == GENS_MAX {
                self.join_oldest(kind);
            }
            self.controls[kind].carry_over();
        }
        self.activity.deactivations += self.generation_len(self.max_seq - 1) as u64;
        self.max_seq += 1;
        self.drop_empty();
    }

    /// A page leaves this list for the youngest one.
    fn count_activation(&mut self, from: u8) {
        let kind = usize::from(from) / GENS_MAX as usize;
        let active = [self.max_seq, self.max_seq - 1].map(|seq| list(kind, seq));
        self.activity.activations += u64::from(!active.contains(&from));
    }

    fn promote(&mut self, node: u32, kind: usize) {
        self.lists.push_back(list(kind, self.max_seq), node);
    }

    /// What is left of the oldest generation joins the next one (`inc_min_seq`).
    fn join_oldest(&mut self, kind: usize) {
        let [oldest, next] = [0, 1].map(|behind| list(kind, self.min_seq[kind] + behind));
        while let Some(node) = self.lists.back(oldest) {
            self.lists.push_front(next, node);
        }
        self.min_seq[kind] += 1;
    }

    /// `try_to_inc_min_seq`
    fn drop_empty(&mut self) {
        for kind in TYPES {
            while self.min_seq[kind] + GENS_MIN <= self.max_seq
                && self.lists.len(list(kind, self.min_seq[kind])) == 0
            {
                self.min_seq[kind] += 1;
            }
        }
    }

    /// `get_type_to_scan`, among the types that have pages.
    fn kind_to_scan(&self) -> usize {
        let [anon, file] = self.controls;
        match TYPES.map(|kind| self.kind_len(kind)) {
            [0, _] => return FILE,
            [_, 0] => return ANON,
            _ if self.min_seq[ANON] < self.min_seq[FILE] && self.swappiness > 0 => return ANON,
            _ => {}
        }
        match self.swappiness {
            0 | 1 => FILE,
            200 => ANON,
            swappiness => {
                // positive_ctrl_err
                let left =
                    u128::from(file.refaulted() * swappiness) * u128::from(anon.total() + BATCH);
                let right = u128::from((anon.refaulted() + 1) * (200 - swappiness))
                    * u128::from(file.total());
                if file.refaulted() < BATCH || left <= right { FILE } else { ANON }
            }
        }
    }

    /// Looks through the oldest generation of a type.
    fn scan(&mut self, kind: usize, pages: &mut dyn Pages) -> Option<Pfn> {
        let oldest = list(kind, self.min_seq[kind]);
        for _ in 0..self.lists.len(oldest) {
            let (names, ghosts) = (&self.names, &self.ghosts);
            let read = |nodes: &[u32]| ghosts.read_ahead(names_of(names, nodes));
            let node = self.lists.head(oldest, read)?;
            self.lists.push_back(oldest, node);
            match pages.probe(Pfn(node.into())) {
                Probe::Busy => {}
                Probe::Referenced => {
                    self.count_activation(oldest);
                    self.promote(node, kind);
                }
                Probe::Unreferenced => return Some(Pfn(node.into())),
            }
        }
        None
    }
}

impl Policy for Mglru {
    fn insert(&mut self, frame: Pfn) {
        self.insert_page(frame, Page::default());
    }

    fn insert_page(&mut self, frame: Pfn, page: Page) {
        if self.contains(frame) {
            return;
        }
        let kind = if page.kind == PageKind::Anon { ANON } else { FILE };
        self.names[frame.0 as usize] = page.id;
        self.promote(frame.0 as u32, kind);
        if let Some(slot) = self.ghosts.find(page.id) {
            self.ghosts.clear(slot);
            let recent = self.max_seq - self.ghosts.kept(slot) < GENS_MAX;
            self.controls[kind].refaulted += u64::from(recent);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
        }
    }

    fn evict(&mut self, frame: Pfn) {
        let Some(at) = self.list(frame) else { return };
        let kind = usize::from(at) / GENS_MAX as usize;
        self.controls[kind].evicted += 1;
        let name = self.names[frame.0 as usize];
        if name != PageId::UNKNOWN && self.ghosts.find(name).is_none() {
            let slot = self.ghost_hand;
            if (slot as usize).is_multiple_of(GROUP) {
                self.ghosts.read_slots_ahead(slot..slot + GROUP as u32);
            }
            self.ghost_hand = (slot + 1) % self.names.len() as u32;
            self.ghosts.set(slot, name, self.min_seq[kind]);
        }
        self.remove(frame);
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        // After four agings every page that is not used or busy is in the oldest generation.
        for _ in 0..2 * GENS_MAX {
            self.drop_empty();
            if self.wants_aging() {
                self.age(pages);
            }
            let kind = self.kind_to_scan();
            let found = self.scan(kind, pages).or_else(|| self.scan(ANON + FILE - kind, pages));
            if found.is_some() {
                return found;
            }
            self.age(pages);
        }
        None
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.list(frame).is_some()
    }

    fn len(&self) -> usize {
        (0..2 * GENS_MAX as u8).map(|list| self.lists.len(list)).sum()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
