//! FreeBSD's queues as they are since version 12: a laundry, a controller, a clock of two hands.
//!
//! Source: `sys/vm/vm_pageout.c` and `sys/kern/subr_pidctrl.c` of FreeBSD 13, whose names are used
//! here; M. Johnston, "The FreeBSD virtual memory system: PQ_LAUNDRY", 2016.
//!
//! ```text
//!             act_count = 0,                       clean
//!   loaded ─► active ──┬─────────► inactive ──┬──────────────────► free ──► victim
//!    5          ▲      │            ▲  modified│                    │
//!               │      │ modified,  │          ▼   asked            │ referenced: back to
//!               │      │ in a       └─── laundry ◄──── unswappable  │ active; stored to:
//!               │      │ shortage    at the   ▲ ▲     (asked for    │ to the laundry
//!               │      └─────────────front────┘ │      in vain)     │
//!               └────────── referenced, from any of them ───────────┘
//!
//!   page daemon    every interval, and when a frame is wanted and none is free:
//!     inactive     as many clean pages as the controller says go to `free`, which is to have
//!                  free_target pages
//!     active       shortage = weight · (inactive_target + free_target − free
//!                                       − inactive − laundry / weight)
//!                  one look at every page in a shortage; else so many that all have one in 6000
//!                  intervals. A clean page that leaves counts `weight`, a modified one 1.
//!   laundry        asleep until the page daemon asks, which it does when it frees pages
//!     shortfall    inactive had too few clean pages: as many as `free` lacks, at once
//!     background   begins if  laundry · √⌈(freed + 1) / (free_target − free_min)⌉ ≥ clean;
//!                  (free_target − free_min) / 10 pages, `rate` / 10 an interval
//! ```
//!
//! FreeBSD frees a page when it finds it clean: here it is in `free`, with its bytes, until a frame
//! is wanted, and may come back. An interval is FreeBSD's tenth of a second. Where FreeBSD waits for
//! a write, the first page of the laundry is the victim as it is.
//!
//! `free_min = 4 + (pages − 1024) / 200`; `free_target = 4 · free_min + pages / 768`, at most a quarter of
//! the pages, and `free_target − free_min` (which both have what is reserved) is 3 `free_min`;
//! `inactive_target` is 3/2 of `free_target`, at most a third.
//!
//! Invariants:
//! 1. A known frame is on one queue. `act_count` is 1 to 64 in `active`.
//! 2. Active pages are looked at in the order of their queue, which looks leave as it is: what is
//!    activated meanwhile comes behind the second hand, for the next turn.
//! 3. A victim is clean and not referenced at two looks; or it was just asked to be laundered.
//! 4. A page is asked to be laundered once a trip through the laundry; where that was in vain, it is
//!    laundered again before all others.
//! 5. A busy page goes to the tail of its queue, or of the inactive one, its bit not taken.
//! 6. A victim that is still there at the next call counts as loaded again.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{FreeBsdLaundry, FreeBsdLaundryConfig, Policy, Probe};
//!
//! let mut policy = FreeBsdLaundry::new(3, FreeBsdLaundryConfig::DEFAULT);
//! (0..3).for_each(|at| policy.insert(Pfn(at)));
//! // A frame is wanted: five looks at each bring frames 1 and 2 down to 0, and the next
//! // run finds 1 still unused.
//! let mut used_0 = |frame| if frame == Pfn(0) { Probe::Referenced } else { Probe::Unreferenced };
//! assert_eq!(policy.victim(&mut used_0), Some(Pfn(1)));
//! assert_eq!(policy.act_count(Pfn(0)), 29);
//! ```
//!
//! Known weakness: in a shortage every active page is looked at for each run of the daemon, and
//! modified pages wait for two queues before they are written.

use crate::frame_set::FrameSet;
use crate::freebsd::ACT_MAX;
use crate::pid::Pid;
use crate::queues::Queues;
use crate::{Activity, Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// The active pages before the first hand and between the hands, which change their parts.
const ACTIVE: [u8; 2] = [0, 1];
/// Activated since the second hand was put at the tail.
const NEW: u8 = 2;
const INACTIVE: u8 = 3;
/// The front of the inactive queue: pages that were laundered.
const LAUNDERED: u8 = 4;
const LAUNDRY: u8 = 5;
const UNSWAPPABLE: u8 = 6;
const FREE: u8 = 7;
const QUEUES: u8 = 8;

const ACT_INIT: u8 = 5;
const ACT_ADVANCE: u8 = 3;
const ACT_DECLINE: u8 = 1;

/// Intervals in which every active page has a look (`vm_pageout_update_period`, 600 seconds).
const UPDATE_PERIOD: u128 = 6000;
/// Laundry runs a second (`VM_LAUNDER_RATE`), as many as intervals.
const LAUNDER_RATE: u64 = 10;
/// Pages laundered in the background while none are freed (`background_launder_max`, 20 MiB).
const BACKGROUND_MAX: u64 = 5120;

/// Parameters of [`FreeBsdLaundry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FreeBsdLaundryConfig {
    /// The time between two runs of the page daemon, a tenth of a second to FreeBSD, in units of
    /// virtual time; 1 or more.
    pub interval: u64,
    /// `act_scan_laundry_weight`: what a clean page counts in a shortage, where a modified one
    /// counts 1; 1 to 64.
    pub weight: u8,
    /// `background_launder_rate`: pages laundered in the background in ten intervals, 10 or more.
    pub rate: u32,
}

impl FreeBsdLaundryConfig {
    /// FreeBSD's own values: a weight of 3, and 4 MiB a second. The second is 10 million units.
    pub const DEFAULT: Self = Self { interval: 1_000_000, weight: 3, rate: 1024 };
}

impl Default for FreeBsdLaundryConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the page daemon wants of the laundry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Idle,
    Background,
    Shortfall,
}

/// The laundry thread.
#[derive(Clone, Debug)]
struct Laundry {
    request: Request,
    /// Pages still to be laundered in this run.
    target: u64,
    /// The target when pages were last freed.
    last_target: u64,
    /// Pages freed since the last run began.
    freed: u64,
    /// Of these, those that the thread does not know of.
    freed_now: u64,
}

/// FreeBSD's page queues since version 12; see the module for the states and an example.
#[derive(Clone, Debug)]
pub struct FreeBsdLaundry {
    config: FreeBsdLaundryConfig,
    lists: Queues,
    /// Which of [`ACTIVE`] the first hand is in front of.
    lap: usize,
    act_counts: Vec<u8>,
    /// Asked to be laundered, and not seen since.
    asked: FrameSet,
    /// The first page that was asked to be laundered in this call: with those behind it in
    /// `LAUNDERED`, it is being written.
    writing: Option<u32>,
    pid: Pid,
    laundry: Laundry,
    free_target: u64,
    /// `free_target − free_min`.
    free_range: u64,
    inactive_target: u64,
    now: u64,
    /// When the daemon's next run is due.
    due: u64,
    last_active_scan: u64,
    /// Looks at pages that were not busy.
    idle_looks: u64,
    named: Option<Pfn>,
    activity: Activity,
}

impl FreeBsdLaundry {
    /// A policy over `frames` frames, none known.
    pub fn new(frames: u64, config: FreeBsdLaundryConfig) -> Self {
        let free_min = 4 + frames.saturating_sub(1024) / 200;
        let free_target = (4 * free_min + frames / 768).min(frames / 4).max(1);
        Self {
            config,
            lists: Queues::new(frames, QUEUES),
            lap: 0,
            act_counts: vec![0; frames as usize],
            asked: FrameSet::new(frames),
            writing: None,
            pid: Pid::new(free_target, config.interval),
            laundry: Laundry {
                request: Request::Idle,
                target: 0,
                last_target: 0,
                freed: 0,
                freed_now: 0,
            },
            free_target,
            free_range: 3 * free_min,
            inactive_target: (free_target * 3 / 2).min(frames / 3),
            now: 0,
            due: config.interval,
            last_active_scan: 0,
            idle_looks: 0,
            named: None,
            activity: Activity::default(),
        }
    }

    /// The page's `act_count`, 0 to 64; 0 if the frame is not known.
    pub fn act_count(&self, frame: Pfn) -> u8 {
        self.act_counts.get(frame.0 as usize).copied().unwrap_or(0)
    }

    fn count(&self, queues: &[u8]) -> u64 {
        queues.iter().map(|&queue| self.lists.len(queue) as u64).sum()
    }

    fn active(&self) -> u64 {
        self.count(&[ACTIVE[0], ACTIVE[1], NEW])
    }

    /// `vm_paging_target`
    fn paging_target(&self) -> i64 {
        self.free_target as i64 - self.count(&[FREE]) as i64
    }

    fn activate(&mut self, frame: Pfn, act_count: u8) {
        self.asked.remove(frame);
        self.act_counts[frame.0 as usize] = act_count;
        self.lists.push_back(NEW, frame.0 as u32);
    }

    /// A page of another queue was used.
    fn reactivate(&mut self, frame: Pfn) {
        self.activity.activations += 1;
        let act_count = self.act_count(frame).max(ACT_INIT) + ACT_ADVANCE + 1;
        self.activate(frame, act_count.min(ACT_MAX));
    }

    /// Looks at a page off the active queue: whether it is modified. If it is used, it goes there;
    /// if it is busy, to the tail of `queue`.
    fn look(&mut self, node: u32, queue: u8, pages: &mut dyn Pages) -> Look {
        let frame = Pfn(node.into());
        match pages.probe(frame) {
            Probe::Busy => {
                self.lists.push_back(queue, node);
                return Look::Busy;
            }
            Probe::Referenced => {
                self.reactivate(frame);
                self.idle_looks += 1;
                return Look::Referenced;
            }
            Probe::Unreferenced => {}
        }
        self.idle_looks += 1;
        if pages.modified(frame) { Look::Modified } else { Look::Clean }
    }

    /// Runs the daemon and the laundry if it is time.
    fn wake(&mut self, pages: &mut dyn Pages) {
        self.writing = None;
        if self.now >= self.due {
            self.due = self.now.saturating_add(self.config.interval);
            self.run(0, false, pages);
            self.wash(pages);
        }
    }

    /// `vm_pageout_worker`, once; `deficit` frames are wanted that are not there.
    fn run(&mut self, deficit: u64, force: bool, pages: &mut dyn Pages) {
        let wanted = self.pid.output(self.now, self.count(&[FREE])) + deficit;
        let mut stuck = 0;
        if wanted > 0 {
            let freed;
            (freed, stuck) = self.scan_inactive(wanted, pages);
            self.laundry.freed_now += freed;
            if self.laundry.request == Request::Idle {
                let short = freed < wanted;
                self.laundry.request = if short { Request::Shortfall } else { Request::Background };
            }
        }
        let weight = i64::from(self.config.weight);
        let there =
            self.count(&[INACTIVE, LAUNDERED]) as i64 + self.count(&[LAUNDRY]) as i64 / weight;
        let lacking = self.inactive_target as i64 + self.paging_target() - there;
        let shortage = lacking * weight + (stuck + deficit) as i64;
        self.scan_active(if force { shortage.max(1) } else { shortage }, pages);
    }

    /// `vm_pageout_scan_inactive`: how many pages went to `free`, and how many are stuck.
    fn scan_inactive(&mut self, wanted: u64, pages: &mut dyn Pages) -> (u64, u64) {
        let laundered = if self.writing.is_some() { 0 } else { self.lists.len(LAUNDERED) };
        let (mut freed, mut stuck) = (0, 0);
        for at in 0..laundered + self.lists.len(INACTIVE) {
            let from = if at < laundered { LAUNDERED } else { INACTIVE };
            let Some(node) = self.lists.head(from, |_| {}).filter(|_| freed < wanted) else {
                break;
            };
            let frame = Pfn(node.into());
            match self.look(node, INACTIVE, pages) {
                Look::Busy => stuck += 1,
                Look::Referenced => {}
                Look::Clean => {
                    freed += 1;
                    self.asked.remove(frame);
                    self.lists.push_back(FREE, node);
                }
                Look::Modified => {
                    let to = if self.asked.remove(frame) { UNSWAPPABLE } else { LAUNDRY };
                    self.lists.push_back(to, node);
                }
            }
        }
        (freed, stuck)
    }

    /// `vm_pageout_scan_active`
    fn scan_active(&mut self, mut shortage: i64, pages: &mut dyn Pages) {
        let active = u128::from(self.active());
        let since = u128::from(self.now - self.last_active_scan);
        let period = u128::from(self.config.interval) * UPDATE_PERIOD;
        let looks = if shortage > 0 { active } else { active.min(active * since / period) };
        if looks > 0 {
            self.last_active_scan = self.now;
        }
        for _ in 0..looks {
            let Some(node) = self.next_active() else { return };
            let frame = Pfn(node.into());
            let act_count = self.act_count(frame);
            let act_count = match pages.probe(frame) {
                Probe::Busy => continue,
                Probe::Referenced => (act_count + ACT_ADVANCE + 1).min(ACT_MAX),
                Probe::Unreferenced => act_count.saturating_sub(ACT_DECLINE),
            };
            self.idle_looks += 1;
            self.act_counts[node as usize] = act_count;
            if act_count > 0 {
                continue;
            }
            self.activity.deactivations += 1;
            let modified = shortage > 0 && pages.modified(frame);
            shortage -= if modified { 1 } else { self.config.weight.into() };
            self.lists.push_back(if modified { LAUNDRY } else { INACTIVE }, node);
        }
    }

    /// The page that the first hand passes. Where the hands meet, they go to the ends of the queue.
    fn next_active(&mut self) -> Option<u32> {
        if self.lists.len(ACTIVE[self.lap]) == 0 {
            self.lap = 1 - self.lap;
            while let Some(node) = self.lists.front(NEW) {
                self.lists.push_back(ACTIVE[self.lap], node);
            }
        }
        let node = self.lists.head(ACTIVE[self.lap], |_| {})?;
        self.lists.push_back(ACTIVE[1 - self.lap], node);
        Some(node)
    }

    /// `vm_pageout_laundry_worker`, once.
    fn wash(&mut self, pages: &mut dyn Pages) {
        if self.laundry.request == Request::Shortfall {
            self.laundry.target = 0;
            let target = self.paging_target().max(1) as u64;
            self.launder(target, true, pages);
        } else if self.laundry.request == Request::Background || self.laundry.target > 0 {
            self.wash_in_background(pages);
        }
        if self.laundry.target == 0 {
            self.laundry.request = Request::Idle;
        }
        self.laundry.freed += core::mem::take(&mut self.laundry.freed_now);
    }

    fn wash_in_background(&mut self, pages: &mut dyn Pages) {
        let clean = self.count(&[FREE, INACTIVE, LAUNDERED]);
        let dirty = self.count(&[LAUNDRY]);
        let laundry = &mut self.laundry;
        let pressure = (laundry.freed + 1).div_ceil(self.free_range).isqrt();
        if laundry.target == 0 && dirty * pressure >= clean {
            laundry.target = (self.free_range / 10).max(1);
        }
        if laundry.target == 0 {
            return;
        }
        if laundry.freed > 0 {
            laundry.freed = 0;
            laundry.last_target = laundry.target;
        } else if laundry.last_target.saturating_sub(laundry.target) >= BACKGROUND_MAX {
            laundry.target = 0;
        }
        let now = laundry.target.min(u64::from(self.config.rate) / LAUNDER_RATE);
        let done = self.launder(now, false, pages);
        self.laundry.target -= done.min(self.laundry.target);
    }

    /// `vm_pageout_launder`: asks for pages to be laundered, and says how many left the queues for
    /// the target's sake.
    fn launder(&mut self, target: u64, shortfall: bool, pages: &mut dyn Pages) -> u64 {
        let mut done = 0;
        for queue in [UNSWAPPABLE, LAUNDRY] {
            for _ in 0..self.lists.len(queue) {
                let Some(node) = self.lists.head(queue, |_| {}).filter(|_| done < target) else {
                    break;
                };
                match self.look(node, queue, pages) {
                    Look::Busy => {}
                    Look::Referenced => done += u64::from(!shortfall),
                    Look::Clean => self.lists.push_back(FREE, node),
                    Look::Modified => {
                        done += 1;
                        self.writing = self.writing.or(Some(node));
                        self.asked.insert(Pfn(node.into()));
                        self.lists.push_back(LAUNDERED, node);
                        pages.launder(Pfn(node.into()));
                    }
                }
            }
        }
        done
    }

    /// The first page of `free` that is still as it was.
    fn take_free(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..self.lists.len(FREE) {
            let node = self.lists.head(FREE, |_| {})?;
            match self.look(node, INACTIVE, pages) {
                Look::Clean => return Some(Pfn(node.into())),
                Look::Modified => self.lists.push_back(LAUNDRY, node),
                Look::Busy | Look::Referenced => {}
            }
        }
        None
    }

    /// Where FreeBSD would wait for the laundry: its first page, as it is.
    fn take_modified(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        self.laundry.request = Request::Shortfall;
        self.wash(pages);
        self.writing.map(|node| Pfn(node.into()))
    }
}

/// What a look at a page found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Busy,
    Referenced,
    Clean,
    Modified,
}

impl Policy for FreeBsdLaundry {
    fn insert(&mut self, frame: Pfn) {
        if !self.contains(frame) {
            self.activate(frame, ACT_INIT);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.lists.remove(frame.0 as u32);
            self.asked.remove(frame);
            self.act_counts[frame.0 as usize] = 0;
            self.named = self.named.filter(|&named| named != frame);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        if let Some(frame) = self.named.take() {
            self.activate(frame, ACT_INIT);
        }
        self.wake(pages);
        // A forced round takes one count from every active page that is not used.
        for round in 0..usize::from(ACT_MAX) + 8 {
            let looks = self.idle_looks;
            self.named = self.take_free(pages);
            if self.named.is_none() {
                self.run(1, round > 0, pages);
                self.named = self.take_free(pages).or_else(|| self.take_modified(pages));
            }
            let all_busy = round > 0 && self.idle_looks == looks;
            if self.named.is_some() || all_busy {
                break;
            }
        }
        self.named
    }

    fn surplus(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        self.wake(pages);
        None
    }

    fn follows_time(&self) -> bool {
        true
    }

    fn tick(&mut self, pages: &mut dyn Pages) {
        self.wake(pages);
    }

    fn set_time(&mut self, now: u64) {
        debug_assert!(now >= self.now, "virtual time goes forward");
        self.now = self.now.max(now);
    }

    fn activity(&self) -> Option<Activity> {
        Some(self.activity)
    }

    fn contains(&self, frame: Pfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|node| self.lists.queue(node).is_some())
    }

    fn len(&self) -> usize {
        (0..QUEUES).map(|queue| self.lists.len(queue)).sum()
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
