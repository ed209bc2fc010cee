//! The daemon that makes large pages of base pages (Linux: khugepaged).
//!
//! ```text
//!   state      condition                                        then
//!   asleep     before its time                                  nothing
//!   asleep     its time has come                                scanning, for `pages_to_scan` pages
//!   scanning   a range whose pages fit its bounds               collapsed; goes on behind it
//!   scanning   a range whose pages do not                       goes on behind it
//!   scanning   a range that would fit, but no run is free       asleep, for `alloc_sleep_ms`; there
//!                                                               it goes on
//!   scanning   it has looked at so many pages                   asleep, for `scan_sleep_ms`
//!   scanning   behind the last range of the last space          `full_scans` + 1; asleep, likewise
//! ```
//!
//! It looks at the aligned ranges of regions that may have large pages (huge.rs), in the order of
//! spaces and addresses, and goes on where it was. Bounds and their defaults are Linux's
//! (Documentation/admin-guide/mm/transhuge.rst); with N base pages in a large page:
//!
//! ```text
//!   max_ptes_none     N - 1   a range is made large for one page that is there
//!   max_ptes_swap     N / 8   pages read from swap for it
//!   max_ptes_shared   N / 2   pages copied though others keep them
//!   pages_to_scan     8 × N   between two sleeps
//! ```
//!
//! The sleeps are a thousandth of Linux's 10 s and 60 s: there a system runs for days, here for
//! seconds. At 50 cycles a look the scan takes at most a fiftieth of the time.
//!
//! Time is the caller's to tell, in nanoseconds, and passes while nobody runs as well.
//!
//! Invariants:
//! 1. A round that has collapsed nothing is not worth another before something has changed: while all
//!    sleep, the daemon wakes up for finitely many rounds.
//! 2. A space that is being killed is not looked at.

use crate::collapse::{Bounds, Stays};
use crate::huge::holds;
use crate::{HugePolicy, Kernel, Platform, Pmap, Region, SpaceId};
use pagewalk_mmu::VirtAddr;

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// What the daemon goes by: /sys/kernel/mm/transparent_hugepage/khugepaged has files of these names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollapseSettings {
    /// Base pages looked at between two sleeps.
    pub pages_to_scan: u64,
    /// Milliseconds of sleep between two scans.
    pub scan_sleep_ms: u64,
    /// Milliseconds of sleep after no run of frames was free.
    pub alloc_sleep_ms: u64,
    /// The most pages of a range that are nowhere.
    pub max_ptes_none: u64,
    /// The most that are on swap.
    pub max_ptes_swap: u64,
    /// The most that others have as well.
    pub max_ptes_shared: u64,
}

impl CollapseSettings {
    /// Those at first, where a large page has so many base pages.
    const fn new(pages: u64) -> Self {
        Self {
            pages_to_scan: 8 * pages,
            scan_sleep_ms: 10,
            alloc_sleep_ms: 60,
            max_ptes_none: pages - 1,
            max_ptes_swap: pages / 8,
            max_ptes_shared: pages / 2,
        }
    }

    const fn bounds(&self) -> Bounds {
        Bounds {
            none: self.max_ptes_none,
            swap: self.max_ptes_swap,
            shared: self.max_ptes_shared,
            referenced: true,
        }
    }
}

/// The daemon.
#[derive(Clone, Copy, Debug, Default)]
pub struct Khugepaged {
    settings: CollapseSettings,
    now_ns: u64,
    /// When it wakes up.
    due_ns: u64,
    /// Where the scan goes on.
    space: u32,
    at: VirtAddr,
    full_scans: u64,
    pages_collapsed: u64,
    /// Large pages made when this round began.
    collapsed_before: u64,
    /// What had happened when a round was made for nothing.
    idle_at: Option<u64>,
}

impl Khugepaged {
    /// Asleep, where a large page has so many base pages; 1 if there are none.
    pub(crate) fn new(pages: Option<u64>) -> Self {
        let settings = CollapseSettings::new(pages.unwrap_or(1));
        Self { settings, due_ns: settings.scan_sleep_ms * MS, ..Self::default() }
    }

    /// What it goes by.
    pub const fn settings(&self) -> CollapseSettings {
        self.settings
    }

    /// Times that it was through with all there is.
    pub const fn full_scans(&self) -> u64 {
        self.full_scans
    }

    /// Large pages that it made.
    pub const fn pages_collapsed(&self) -> u64 {
        self.pages_collapsed
    }

    fn sleep(&mut self, ms: u64) {
        self.due_ns = self.now_ns.saturating_add(ms.saturating_mul(MS));
    }
}

impl<P: Pmap> Kernel<P> {
    /// The daemon that makes large pages.
    pub const fn khugepaged(&self) -> &Khugepaged {
        &self.khugepaged
    }

    /// Changes what it goes by, from its next sleep on.
    pub fn set_collapse(&mut self, settings: CollapseSettings) {
        self.khugepaged.settings = settings;
    }

    /// Whether there is such a daemon.
    pub const fn collapses(&self) -> bool {
        self.large.is_some()
    }

    /// It is so many nanoseconds after the start. A time before one that was told is ignored.
    pub fn set_elapsed(&mut self, now_ns: u64) {
        self.khugepaged.now_ns = self.khugepaged.now_ns.max(now_ns);
    }

    /// When the daemon is worth being run though nobody else runs, in nanoseconds after the start;
    /// `None` if it is not.
    pub fn collapse_due_ns(&self) -> Option<u64> {
        let changed = self.khugepaged.idle_at != Some(self.happenings());
        (self.collapses() && changed).then_some(self.khugepaged.due_ns)
    }

    /// A number that changes when there may be something to collapse that was not before.
    const fn happenings(&self) -> u64 {
        let c = &self.counters;
        c.pgfault + c.pgfree + c.forks
    }

    /// Scans, if its time has come.
    #[inline]
    pub(crate) fn collapse_pages(&mut self, platform: &mut impl Platform) {
        if self.large.is_some() && self.khugepaged.now_ns >= self.khugepaged.due_ns {
            self.scan_ranges(platform);
        }
    }

    #[cold]
    fn scan_ranges(&mut self, platform: &mut impl Platform) {
        let Some(size) = self.large else { return };
        let mut left = self.khugepaged.settings.pages_to_scan;
        while left > 0 {
            let Some((id, region, start)) = self.next_range() else {
                self.end_collapse_round();
                break;
            };
            self.khugepaged.at = VirtAddr(start.0 + size.bytes());
            left = left.saturating_sub(self.pages_per(size));
            let bounds = self.khugepaged.settings.bounds();
            match self.collapse(platform, id, &region, start, bounds) {
                Ok(()) => self.khugepaged.pages_collapsed += 1,
                Err(Stays::NoFrames) => {
                    self.khugepaged.at = start;
                    self.khugepaged.idle_at = Some(self.happenings());
                    return self.khugepaged.sleep(self.khugepaged.settings.alloc_sleep_ms);
                }
                Err(_) => {}
            }
        }
        self.khugepaged.sleep(self.khugepaged.settings.scan_sleep_ms);
    }

    fn end_collapse_round(&mut self) {
        let happenings = self.happenings();
        let daemon = &mut self.khugepaged;
        let made = daemon.pages_collapsed - daemon.collapsed_before;
        daemon.idle_at = (made == 0).then_some(happenings);
        daemon.collapsed_before = daemon.pages_collapsed;
        daemon.full_scans += 1;
        (daemon.space, daemon.at) = (0, VirtAddr(0));
    }

    /// The next aligned range that may be a large page, and its region.
    fn next_range(&mut self) -> Option<(SpaceId, Region, VirtAddr)> {
        let (size, policy): (_, HugePolicy) = (self.large?, self.config.huge);
        while let Some(space) = self.spaces.get(self.khugepaged.space as usize) {
            let at = self.khugepaged.at;
            let start_in = |region: &Region| {
                let from = region.start.max(at).0.checked_next_multiple_of(size.bytes())?;
                let start = VirtAddr(from);
                (policy.wants(region) && holds(region, start, size)).then_some((*region, start))
            };
            let live = space.as_ref().filter(|space| !space.is_killed);
            let found = live.and_then(|space| space.regions.iter_from(at).find_map(start_in));
            if let Some((region, start)) = found {
                return Some((SpaceId(self.khugepaged.space), region, start));
            }
            (self.khugepaged.space, self.khugepaged.at) = (self.khugepaged.space + 1, VirtAddr(0));
        }
        None
    }
}
