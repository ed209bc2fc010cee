//! FreeBSD's queues with the counter of activity, as they were up to its version 6.
//!
//! Source: `sys/vm/vm_pageout.c` and `vm_page.h` of FreeBSD, whose names are used here; M. K.
//! McKusick, G. V. Neville-Neil, "The Design and Implementation of the FreeBSD Operating System",
//! Addison-Wesley 2005, chapter 5.
//!
//! ```text
//!            referenced: act_count + advance, to the tail
//!             ┌──┐
//!   loaded ─► active ── act_count = 0 ──► inactive ── clean ──► cache ──► victim
//!    init       ▲                          │ │  ▲                 │ │
//!               │        referenced        │ └──┘ modified:       │ │
//!               ├──────────────────────────┘      two trips       │ │
//!               └─────────── referenced: its second chance ───────┘ │
//!                                  inactive ◄── stored to ──────────┘
//!
//!   look in active     referenced: act_count := min(64, act_count + advance + 1)
//!                      not:        act_count := max(0, act_count − decline)
//!   modified, inactive first trip: passed over; second: laundered where it is, at most 32 a scan;
//!                      at the next scan: clean, or else taken as it is
//! ```
//!
//! The queues *wired* and *free* are the caller's: what is in them is busy, or not known here. The
//! inactive queue is refilled to `v_inactive_target`: with `v_free_min = 4 + (pages − 1024) / 200`
//! and `v_free_reserved = pages / 768`, it is 3/2 of `4 · v_free_min + v_free_reserved`, and at most
//! a third of all pages.
//!
//! Invariants:
//! 1. A known frame is on one queue. `act_count` is 1 to 64 in `active`, and 0 elsewhere.
//! 2. A victim comes from the head of `cache`: clean and unreferenced at two looks in a row; or it
//!    is a modified page for which laundering came too late. A scan ends when it has laundered 32
//!    (`vm_max_launder`), so that a page is looked at a few times in `inactive`, whatever is modified.
//! 3. A tick is one sweep of `active`, and of nothing else.
//! 4. A busy frame goes to the tail of its queue, its bit not taken, its counter as it was.
//! 5. A victim that is still there at the next call counts as loaded again.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{FreeBsd, FreeBsdConfig, Policy, Probe};
//!
//! let mut policy = FreeBsd::new(3, FreeBsdConfig { init: 1, ..Default::default() });
//! for frame in 0..3 {
//!     policy.insert(Pfn(frame));
//! }
//! // A sweep finds frame 1 used, 1 + 3 + 1; the others' counts fall to 0: they are inactive.
//! let mut used_1 = |frame| if frame == Pfn(1) { Probe::Referenced } else { Probe::Unreferenced };
//! policy.tick(&mut used_1);
//! assert_eq!(policy.act_count(Pfn(1)), 5);
//! // Frame 0 is used again, so it is active again; 2 goes through cache.
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(2)));
//! ```
//!
//! Known weakness: a page once hot needs up to 64 sweeps to become inactive, and sweeps look at
//! every active page.

use crate::frame_set::FrameSet;
use crate::queues::Queues;
use crate::{Activity, Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

const ACTIVE: u8 = 0;
const INACTIVE: u8 = 1;
const CACHE: u8 = 2;
/// The pages at the head of the inactive queue that were asked to be laundered.
const ASKED: u8 = 3;

/// `ACT_MAX`: what `act_count` is clipped to.
pub const ACT_MAX: u8 = 64;
/// `vm_max_launder`: pages laundered in one scan.
const LAUNDER_MAX: u32 = 32;

/// Parameters of [`FreeBsd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FreeBsdConfig {
    /// `ACT_INIT`: the counter of a page that is loaded, 1 to 64.
    pub init: u8,
    /// `ACT_ADVANCE`: what a reference adds besides 1, 0 to 64.
    pub advance: u8,
    /// `ACT_DECLINE`: what a look in vain takes away, 1 to 64.
    pub decline: u8,
}

impl FreeBsdConfig {
    /// FreeBSD's own values.
    pub const DEFAULT: Self = Self { init: 5, advance: 3, decline: 1 };
}

impl Default for FreeBsdConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// FreeBSD's page queues; see the module for the states and an example.
#[derive(Clone, Debug)]
pub struct FreeBsd {
    config: FreeBsdConfig,
    lists: Queues,
    act_counts: Vec<u8>,
    /// `PG_WINATCFLS`: modified, and passed over in `inactive` once.
    passed: FrameSet,
    inactive_target: usize,
    named: Option<Pfn>,
    activity: Activity,
}

impl FreeBsd {
    /// A policy over `frames` frames, none known.
    pub fn new(frames: u64, config: FreeBsdConfig) -> Self {
        let free_min = 4 + frames.saturating_sub(1024) / 200;
        let free_target = 4 * free_min + frames / 768;
        Self {
            config,
            lists: Queues::new(frames, 4),
            act_counts: vec![0; frames as usize],
            passed: FrameSet::new(frames),
            inactive_target: (free_target * 3 / 2).min(frames / 3) as usize,
            named: None,
            activity: Activity::default(),
        }
    }

    /// The page's `act_count`, 0 to 64; 0 if the frame is not known.
    pub fn act_count(&self, frame: Pfn) -> u8 {
        self.act_counts.get(frame.0 as usize).copied().unwrap_or(0)
    }

    fn activate(&mut self, frame: Pfn, act_count: u8) {
        self.passed.remove(frame);
        self.act_counts[frame.0 as usize] = act_count;
        self.lists.push_back(ACTIVE, frame.0 as u32);
    }

    /// A page of another queue was used.
    fn reactivate(&mut self, frame: Pfn) {
        self.activity.activations += 1;
        self.activate(frame, self.advanced(frame));
    }

    /// What a reference makes of the counter.
    fn advanced(&self, frame: Pfn) -> u8 {
        self.act_count(frame).saturating_add(self.config.advance).saturating_add(1).min(ACT_MAX)
    }

    /// Looks at the head of `active`.
    fn scan_active(&mut self, pages: &mut dyn Pages) {
        let Some(node) = self.lists.head(ACTIVE, |_| {}) else { return };
        let frame = Pfn(node.into());
        let act_count = match pages.probe(frame) {
            Probe::Busy => self.act_count(frame),
            Probe::Referenced => self.advanced(frame),
            Probe::Unreferenced => self.act_count(frame).saturating_sub(self.config.decline),
        };
        self.act_counts[node as usize] = act_count;
        self.activity.deactivations += u64::from(act_count == 0);
        self.lists.push_back(if act_count == 0 { INACTIVE } else { ACTIVE }, node);
    }

    /// Looks for a victim in `cache`.
    fn scan_cache(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..self.lists.len(CACHE) {
            let node = self.lists.head(CACHE, |_| {})?;
            let frame = Pfn(node.into());
            match pages.probe(frame) {
                Probe::Busy => self.lists.push_back(CACHE, node),
                Probe::Referenced => self.reactivate(frame),
                Probe::Unreferenced if pages.modified(frame) => {
                    self.lists.push_back(INACTIVE, node);
                }
                Probe::Unreferenced => return Some(frame),
            }
        }
        None
    }

    /// Looks through `inactive` once, until a page is clean and goes to `cache`, or was laundered in
    /// vain: that is the victim.
    fn scan_inactive(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        let mut launder = LAUNDER_MAX;
        for _ in 0..self.inactive_len() {
            let asked = self.lists.front(ASKED).filter(|_| launder == LAUNDER_MAX);
            let node = asked.or_else(|| self.lists.head(INACTIVE, |_| {}))?;
            let frame = Pfn(node.into());
            match pages.probe(frame) {
                Probe::Busy => self.lists.push_back(INACTIVE, node),
                Probe::Referenced => self.reactivate(frame),
                Probe::Unreferenced if !pages.modified(frame) => {
                    self.passed.remove(frame);
                    self.lists.push_back(CACHE, node);
                    return None;
                }
                Probe::Unreferenced if asked.is_some() => return Some(frame),
                Probe::Unreferenced if self.passed.insert(frame) => {
                    self.lists.push_back(INACTIVE, node);
                }
                Probe::Unreferenced => {
                    self.lists.push_back(ASKED, node);
                    pages.launder(frame);
                    launder -= 1;
                    if launder == 0 {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn inactive_len(&self) -> usize {
        self.lists.len(INACTIVE) + self.lists.len(ASKED)
    }
}

impl Policy for FreeBsd {
    fn insert(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            self.activate(frame, self.config.init);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
            self.passed.remove(frame);
            self.act_counts[frame.0 as usize] = 0;
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            self.activate(frame, self.config.init);
        }
        let mut wanted = self.inactive_target;
        // Each round goes once through `active`, where every look takes one count away, and once
        // through `inactive`, where every look begins a trip or ends the search.
        for round in 0..usize::from(ACT_MAX) + 8 {
            let mut found = self.scan_cache(pages);
            if found.is_none() {
                for _ in 0..self.lists.len(ACTIVE) {
                    if self.inactive_len() >= wanted {
                        break;
                    }
                    self.scan_active(pages);
                }
                found = self.scan_inactive(pages);
            }
            if found.is_some() {
                self.named = found;
                return found;
            }
            // Nothing there that could go: more must become inactive.
            if round > 0 && self.lists.len(CACHE) == 0 {
                wanted = self.len();
            }
        }
        None
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        (0..self.lists.len(ACTIVE)).for_each(|_| self.scan_active(pages));
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        let inactive = [self.lists.frames(ASKED), self.lists.frames(INACTIVE)].concat();
        let (active, cache) = (self.lists.frames(ACTIVE), self.lists.frames(CACHE));
        vec![("active", active), ("inactive", inactive), ("cache", cache)]
    }

    fn contains(&self, frame: Pfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|node| self.lists.queue(node).is_some())
    }

    fn len(&self) -> usize {
        [ACTIVE, INACTIVE, CACHE, ASKED].map(|list| self.lists.len(list)).into_iter().sum()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
