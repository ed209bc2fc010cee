//! Collapse: base pages become a large page.
//!
//! ```text
//!   look     count pages in memory, on swap, shared, referenced   ── too many, too few ──► stays
//!   reserve  a run of frames above the high watermark (compact.rs) ─ none ───────────────► stays
//!   fetch    read the pages on swap                               ── error ──────────────► stays
//!   unmap    all entries and their table := empty
//!   flush    no TLB has a page of the range, nor a pointer to its table
//!   copy     each page to its place in the run, zeroes where there was none
//!   release  the old frames; those that others have as well stay theirs
//!   map      one large entry
//! ```
//!
//! The order of the last five is what keeps it sound (Linux: `pmdp_collapse_flush` before
//! `__collapse_huge_page_copy`, mm/khugepaged.c). A store through an entry that is still cached while
//! its page is copied would be lost; a large and a base page cached for one address are undefined on
//! most processors. Until the large page is mapped, whoever touches the range faults.
//!
//! It undoes what split a page: eviction of a part, fork, protection of a part that was taken back.
//! Who asks is the daemon (khugepaged.rs) or a program (MADV_COLLAPSE).
//!
//! Invariants:
//! 1. Nothing is evicted for a collapse, and what stays, stays as it was but for pages read from swap.
//! 2. A page that others have as well is copied; what they have is not changed.
//! 3. No page under transfer, and none that its program gave up (MADV_FREE), is in a collapse.

use crate::cow::is_shared;
use crate::fault::Fault;
use crate::huge::holds;
use crate::pmap::{Gather, Gathered};
use crate::space::space_in;
use crate::{
    Errno, Event, HugeAdvice, Kernel, LargePage, Mapping, Platform, Pmap, Region, Resident,
    SpaceId, SwapSlot, Use,
};
use alloc::vec::Vec;
use pagewalk_mmu::{AccessKind, PageSize, Pfn, VirtAddr};

/// How much of a range may be what, for it to be collapsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most pages that are neither in memory nor on swap.
    pub none: u64,
    /// The most that are on swap.
    pub swap: u64,
    /// The most that others have as well.
    pub shared: u64,
    /// Some must have been referenced lately, and half of them if any is on swap.
    pub referenced: bool,
}

impl Bounds {
    /// What a program asks for is done whatever it costs (MADV_COLLAPSE).
    pub const ANY: Self =
        Self { none: u64::MAX, swap: u64::MAX, shared: u64::MAX, referenced: false };
}

/// Why a range stays as it is; in brackets what Linux calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stays {
    /// It is a large page (SCAN_PMD_MAPPED).
    Large,
    /// Nothing of it is in memory or on swap (SCAN_PMD_NULL).
    Empty,
    /// Too much of it is absent, on swap or shared (SCAN_EXCEED_NONE_PTE and others).
    Exceeds,
    /// It was not used lately (SCAN_LACK_REFERENCED_PAGE).
    Unused,
    /// A page is under transfer, or was given up (SCAN_PAGE_COUNT, SCAN_PAGE_LAZYFREE).
    Busy,
    /// No run of frames is free (SCAN_ALLOC_HUGE_PAGE_FAIL).
    NoFrames,
    /// The process, or its group, may not have so much (SCAN_CGROUP_CHARGE_FAIL).
    Limit,
    /// A page on swap could not be read (SCAN_FAIL).
    Unreadable,
}

impl Stays {
    /// What a program is told (Linux: `madvise_collapse_errno`).
    const fn errno(self) -> Errno {
        match self {
            Self::NoFrames => Errno::Enomem,
            Self::Limit | Self::Exceeds => Errno::Ebusy,
            Self::Busy => Errno::Eagain,
            Self::Large | Self::Empty | Self::Unused | Self::Unreadable => Errno::Einval,
        }
    }
}

/// What a range holds.
#[derive(Default)]
struct Census {
    resident: u64,
    swapped: Vec<(VirtAddr, SwapSlot)>,
    shared: u64,
    referenced: u64,
}

impl Census {
    /// Whether the range is to be collapsed.
    fn check(&self, bounds: Bounds, pages: u64) -> Result<(), Stays> {
        let (present, swapped) = (self.resident, self.swapped.len() as u64);
        if present + swapped == 0 {
            return Err(Stays::Empty);
        }
        if pages - present - swapped > bounds.none
            || swapped > bounds.swap
            || self.shared > bounds.shared
        {
            return Err(Stays::Exceeds);
        }
        let wanted = if swapped > 0 { pages / 2 } else { 1 };
        match bounds.referenced && self.referenced < wanted {
            true => Err(Stays::Unused),
            false => Ok(()),
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Makes large pages of all that lies in a part of a region (MADV_COLLAPSE).
    ///
    /// # Errors
    /// `Einval` if nothing can be a large page there, or nothing is there to become one; else what
    /// the last range that stayed as it was stayed for.
    pub(crate) fn collapse_part(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
    ) -> Result<(), Errno> {
        let size = self.large_page().ok_or(Errno::Einval)?;
        let anonymous = !part.shared && part.file_at(part.start).is_none();
        if !anonymous || part.huge == HugeAdvice::Avoid {
            return Err(Errno::Einval);
        }
        let first = part.start.0.checked_next_multiple_of(size.bytes()).ok_or(Errno::Einval)?;
        let starts = (first..part.end.0).step_by(size.bytes() as usize).map(VirtAddr);
        let mut result = Err(Errno::Einval);
        for start in starts.take_while(|&start| holds(part, start, size)) {
            match self.collapse(platform, id, part, start, Bounds::ANY) {
                Ok(()) | Err(Stays::Large) if result == Err(Errno::Einval) => result = Ok(()),
                Ok(()) | Err(Stays::Large) => {}
                Err(stays) => result = Err(stays.errno()),
            }
        }
        result
    }

    /// Makes a large page of the pages from `start` on, all of which the region holds.
    pub(crate) fn collapse(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        region: &Region,
        start: VirtAddr,
        bounds: Bounds,
    ) -> Result<(), Stays> {
        let size = self.large_page().ok_or(Stays::Empty)?;
        if self.space(id).pmap.large_at(platform, start).is_some() {
            return Err(Stays::Large);
        }
        let pages = self.pages_per(size);
        if self.shared_at(id, start).is_some() {
            // Others have all of it.
            if bounds.shared < pages {
                return Err(Stays::Exceeds);
            }
            let end = VirtAddr(start.0 + size.bytes());
            self.own_tables(platform, id, start, end).map_err(|_| Stays::NoFrames)?;
        }
        let census = self.take_census(platform, id, start, size)?;
        census.check(bounds, pages)?;
        let swapped = census.swapped.len() as u64;
        if !self.has_room_in_set(id, pages - census.resident) {
            return Err(Stays::Limit);
        }
        let first = self.reserve_for_collapse(platform, size, swapped)?;
        if let Err(stays) = self.fetch_swapped(platform, id, region, &census.swapped) {
            (0..pages).rev().for_each(|n| self.free_unused(Pfn(first.0 + n)));
            return Err(stays);
        }
        self.move_to_run(platform, id, region, start, size, first);
        Ok(())
    }

    /// Looks at the pages of a range.
    fn take_census(
        &mut self,
        platform: &impl Platform,
        id: SpaceId,
        start: VirtAddr,
        size: PageSize,
    ) -> Result<Census, Stays> {
        let Self { spaces, frames, swap, transfers, counters, .. } = self;
        let pmap = &space_in(spaces, id).pmap;
        let (mut census, mut next) = (Census::default(), start);
        let end = VirtAddr(start.0 + size.bytes());
        while let Some((va, mapping)) = pmap.next_mapping(platform, next, end) {
            counters.thp_collapse_scan += 1;
            next = VirtAddr(va.0 + self.page.bytes());
            match mapping {
                Mapping::Resident(now) => {
                    if transfers.is_writing(now.pfn) || frames.lazy(now.pfn) {
                        return Err(Stays::Busy);
                    }
                    census.resident += 1;
                    census.referenced += u64::from(now.referenced);
                    census.shared += u64::from(is_shared(frames, swap, now.pfn));
                }
                Mapping::Swapped(slot) => census.swapped.push((va, slot)),
                Mapping::None => {}
            }
        }
        Ok(census)
    }

    /// Takes the run, if that leaves frames for the pages on swap and the tables, and the high
    /// watermark: else the page daemon would soon split what was made. Pages move for it.
    fn reserve_for_collapse(
        &mut self,
        platform: &mut impl Platform,
        size: PageSize,
        swapped: u64,
    ) -> Result<Pfn, Stays> {
        let more = swapped + P::tables_per_path(&self.hardware) + 1;
        let spare = more + self.marks.high.saturating_sub(self.marks.low);
        let count = self.pages_per(size);
        let found = match self.allocate_large(size, spare) {
            None if self.has_frames_for(count, spare) => self.compact_run(platform, count),
            found => found,
        };
        match found {
            Some(first) => {
                self.counters.thp_collapse_alloc += 1;
                Ok(first)
            }
            None => {
                self.counters.thp_collapse_alloc_failed += 1;
                Err(Stays::NoFrames)
            }
        }
    }

    /// A frame of the run, which holds nothing, is free again.
    fn free_unused(&mut self, pfn: Pfn) {
        self.frames.release(pfn);
        self.counters.pgfree += 1;
    }

    /// Reads the pages on swap, as loads would.
    fn fetch_swapped(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        region: &Region,
        swapped: &[(VirtAddr, SwapSlot)],
    ) -> Result<(), Stays> {
        for &(page, slot) in swapped {
            // Reading around a slot takes frames as well.
            if self.frames.free() == 0 {
                return Err(Stays::NoFrames);
            }
            let fault = Fault { space: id, page, kind: AccessKind::Read, region: *region };
            let fetched = self.swap_in(platform, &fault, slot).map_err(|_| Stays::Unreadable)?;
            self.counters.pgmajfault += u64::from(fetched.major);
            // It was in the swap cache because it is being written.
            if self.transfers.is_writing(fetched.pfn) {
                return Err(Stays::Busy);
            }
        }
        Ok(())
    }

    /// Moves the pages of a range, all of which are in memory, to the frames from `first` on.
    fn move_to_run(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        region: &Region,
        start: VirtAddr,
        size: PageSize,
        first: Pfn,
    ) {
        let pages = self.empty_range(platform, id, start, size);
        // The run is dirty frame by frame: its entry says nothing of that.
        let referenced = pages.iter().any(|(_, was)| was.referenced);
        let entry = Resident { pfn: first, prot: region.prot, referenced, modified: false };
        let large = LargePage { va: start, size, first: entry };
        self.copy_to_run(platform, large, &pages);
        let moved = self.release_moved(platform, id, &pages);
        if moved.len() < pages.len() {
            // What has the name of a page that others have still is another page from now on.
            self.space_mut(id).epoch += 1;
        }
        self.enter_run(platform, id, large);
        for (va, from) in moved {
            let at = (va.0 - start.0) >> self.page.shift();
            if let Some(next) = platform.page_moved(from, Pfn(first.0 + at)) {
                self.policy.reference(first, next);
            }
        }
        platform.event(Event::Collapse {
            space: id,
            va: start,
            bytes: size.bytes(),
            pages: pages.len() as u64,
        });
    }

    /// Copies pages to their places in a run, with zeroes between.
    fn copy_to_run(
        &mut self,
        platform: &mut impl Platform,
        large: LargePage,
        pages: &[(VirtAddr, Resident)],
    ) {
        let mut next = pages.iter().peekable();
        for (to, va) in self.parts(large) {
            match next.next_if(|page| page.0 == va) {
                Some(&(_, was)) => {
                    platform.copy_frame(was.pfn, to);
                    let unwritten = self.frames.used(was.pfn) == Use::Anon { slot: None };
                    let zeroes = unwritten && !was.modified && !self.frames.dirty(was.pfn);
                    self.frames.set_dirty(to, !zeroes);
                }
                None => {
                    platform.zero_frame(to);
                    self.counters.pgzeroed += 1;
                }
            }
        }
    }

    /// Empties a range, and flushes: what it held, lowest first. Its tables are free.
    fn empty_range(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        size: PageSize,
    ) -> Vec<(VirtAddr, Resident)> {
        let end = VirtAddr(start.0 + size.bytes());
        let (mut gather, mut pages) = (Gather::default(), Vec::new());
        let mut next = Some(start);
        while let Some(from) = next {
            let pmap = &mut space_in(&mut self.spaces, id).pmap;
            next = pmap.clear_range(platform, &mut self.frames, from, end, &mut gather);
            let (cleared, flushed) = gather.flush(platform);
            self.counters.count_flush(flushed);
            for entry in cleared {
                match entry {
                    Gathered::Page { va, was } => pages.push((va, was)),
                    Gathered::Table(table) => self.frames.release(table),
                    other => unreachable!("{other:?} in a range whose pages are in memory"),
                }
            }
        }
        pages
    }

    /// Lets go of the frames that pages were copied from. Returns those that nobody else has.
    fn release_moved(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        pages: &[(VirtAddr, Resident)],
    ) -> Vec<(VirtAddr, Pfn)> {
        let mut moved = Vec::with_capacity(pages.len());
        for &(va, was) in pages {
            if !is_shared(&self.frames, &self.swap, was.pfn) {
                moved.push((va, was.pfn));
            }
            self.release_page(platform, id, va, was);
        }
        moved
    }
}
