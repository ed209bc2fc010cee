//! Kernel same-page merging: pages of MADV_MERGEABLE regions with the same bytes share a frame.
//!
//! ```text
//!   scan, a few pages a call, all mergeable regions in a circle:
//!
//!   the page's bytes      known as merged ───────────────► the page gives up its frame
//!                         changed since the last round ──► wait for the next round
//!                         like another page's ───────────► that page's frame becomes merged
//!                         else ──────────────────────────► the page is remembered for this round
//!
//!   merged frame: MERGED | COW, no entry may store; a store copies, as after a fork
//! ```
//!
//! Linux keeps merged pages and candidates in two trees by content; here they are in tables by a
//! hash, and bytes are compared before anything is merged. What a table says of a frame or a page
//! is only a hint, looked at anew before it is used: nothing has to be told when pages go.
//!
//! A page waits one round to be sure that it does not change all the time. After a fault, the frames
//! of the last faults are passed over, so that an instruction that was just given a page can use it.

use crate::cow::{is_shared, without_stores};
use crate::frame::Part;
use crate::space::space_in;
use crate::{
    Errno, Kernel, Mapping, Platform, Pmap, Region, RegionFlags, Resident, ReverseMapping, SpaceId,
    Use,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::Hasher;
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::PageKind;
use rustc_hash::FxHasher;

/// Pages looked at in one call of the daemon.
const PAGES_TO_SCAN: u32 = 4;

/// How many mappings a merged frame can have (Linux: max_page_sharing).
const MAPPINGS_MAX: u32 = 256;

/// What merging did, with the names of /sys/kernel/mm/ksm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KsmStats {
    /// Frames that are merged and in memory.
    pub pages_shared: u64,
    /// Mappings of them beyond the first of each: pages saved.
    pub pages_sharing: u64,
    /// Pages looked at.
    pub pages_scanned: u64,
    /// Rounds through all mergeable regions.
    pub full_scans: u64,
}

/// What the daemon does, as /sys/kernel/mm/ksm/run says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// Nothing; what is merged stays so (0).
    Stopped,
    /// It merges (1).
    On,
    /// Nothing, and no page is merged any more (2).
    Undone,
}

/// The scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ksm {
    /// The daemon does not run.
    stopped: bool,
    /// There may be mergeable regions.
    active: bool,
    /// Whether this round met one.
    met: bool,
    /// Where the scan goes on.
    space: u32,
    at: VirtAddr,
    /// Merged frames by the hash of their bytes.
    merged: BTreeMap<u64, Pfn>,
    /// Pages of this round that were like none before, by hash.
    candidates: BTreeMap<u64, ReverseMapping>,
    /// The hashes of the last round and of this one, by space and address.
    before: BTreeMap<(u32, u64), u64>,
    now: BTreeMap<(u32, u64), u64>,
    scanned: u64,
    rounds: u64,
    /// All faults up to the last scan, and whether there was one between it and the scan before.
    faults: u64,
    after_fault: bool,
}

impl<P: Pmap> Kernel<P> {
    /// What merging did.
    pub fn ksm(&self) -> KsmStats {
        let merged = (0..self.frames.total()).map(Pfn).filter(|&pfn| self.frames.merged(pfn));
        let mut stats = KsmStats {
            pages_scanned: self.ksm.scanned,
            full_scans: self.ksm.rounds,
            ..KsmStats::default()
        };
        for pfn in merged {
            stats.pages_shared += 1;
            stats.pages_sharing += u64::from(self.frames.mappings(pfn).saturating_sub(1));
        }
        stats
    }

    /// Stops merging, lets it go on, or gives all merged pages frames of their own.
    ///
    /// # Errors
    /// `Enomem` if there are no frames for them: pages up to there have their own.
    pub fn set_merging(
        &mut self,
        platform: &mut impl Platform,
        merging: Merging,
    ) -> Result<(), Errno> {
        self.ksm.stopped = merging != Merging::On;
        if merging != Merging::Undone {
            return Ok(());
        }
        for space in 0..self.spaces.len() as u32 {
            let Some(there) = &self.spaces[space as usize] else { continue };
            let mergeable = |region: &&Region| region.flags.contains(RegionFlags::MERGEABLE);
            let parts: Vec<Region> = there.regions.iter().filter(mergeable).copied().collect();
            for part in &parts {
                self.unmerge_part(platform, SpaceId(space), part)?;
            }
        }
        Ok(())
    }

    /// Regions became mergeable.
    pub(crate) fn start_merging(&mut self) {
        self.ksm.active = true;
    }

    /// Looks at a few pages, if any region is mergeable.
    #[inline]
    pub(crate) fn merge_pages(&mut self, platform: &mut impl Platform) {
        if self.ksm.active && !self.ksm.stopped {
            let faults = core::mem::replace(&mut self.ksm.faults, self.counters.pgfault);
            self.ksm.after_fault = faults != self.counters.pgfault;
            (0..PAGES_TO_SCAN).for_each(|_| self.scan_page(platform));
        }
    }

    #[cold]
    fn scan_page(&mut self, platform: &mut impl Platform) {
        let Some((id, region)) = self.next_mergeable() else { return self.end_round() };
        self.ksm.met = true;
        let from = self.ksm.at.max(region.start);
        let found = self.space(id).pmap.next_mapping(platform, from, region.end);
        let Some((va, mapping)) = found else {
            self.ksm.at = region.end;
            return;
        };
        self.ksm.at = VirtAddr(va.0 + self.page.bytes());
        if let Mapping::Resident(now) = mapping
            && self.is_mergeable(now.pfn)
        {
            self.ksm.scanned += 1;
            self.consider(platform, ReverseMapping { space: id, va }, now.pfn);
        }
    }

    /// The first mergeable region that ends above where the scan is.
    fn next_mergeable(&mut self) -> Option<(SpaceId, Region)> {
        while let Some(space) = self.spaces.get(self.ksm.space as usize) {
            let mergeable = |region: &&Region| region.flags.contains(RegionFlags::MERGEABLE);
            let at = self.ksm.at;
            let regions = space.as_ref().map(|space| &space.regions);
            if let Some(region) = regions.and_then(|regions| regions.iter_from(at).find(mergeable))
            {
                return Some((SpaceId(self.ksm.space), *region));
            }
            (self.ksm.space, self.ksm.at) = (self.ksm.space + 1, VirtAddr(0));
        }
        None
    }

    fn end_round(&mut self) {
        let Self { ksm, frames, .. } = self;
        ksm.rounds += 1;
        (ksm.space, ksm.at) = (0, VirtAddr(0));
        ksm.active = core::mem::take(&mut ksm.met);
        ksm.before = core::mem::take(&mut ksm.now);
        ksm.candidates.clear();
        ksm.merged.retain(|_, &mut pfn| frames.merged(pfn));
    }

    /// Whether the frame holds a page that could be merged with another.
    fn is_mergeable(&self, pfn: Pfn) -> bool {
        matches!(self.frames.used(pfn), Use::Anon { .. })
            && self.frames.part(pfn) == Part::Base
            && !self.frames.merged(pfn)
            && !self.frames.lazy(pfn)
            && !(self.ksm.after_fault && self.recent.contains(pfn))
    }

    fn consider(&mut self, platform: &mut impl Platform, place: ReverseMapping, pfn: Pfn) {
        let hash = hash(platform.frame(pfn));
        if let Some(&merged) = self.ksm.merged.get(&hash)
            && self.frames.merged(merged)
            && self.frames.mappings(merged) < MAPPINGS_MAX
            && platform.frame(merged) == platform.frame(pfn)
        {
            return self.join(platform, place, merged);
        }
        let key = (place.space.0, place.va.0);
        // A round that goes on for ever, after a program that runs ahead of it, remembers no more.
        if self.ksm.now.len() as u64 >= 2 * self.frames.total() {
            return;
        }
        self.ksm.now.insert(key, hash);
        if self.ksm.before.get(&key) != Some(&hash) {
            return;
        }
        let like = self.ksm.candidates.get(&hash).copied();
        match like.and_then(|other| self.candidate(platform, other)) {
            Some(with) if with == pfn => {}
            Some(with) if platform.frame(with) == platform.frame(pfn) => {
                self.ksm.merged.insert(hash, with);
                self.join(platform, place, with);
            }
            _ => {
                self.ksm.candidates.insert(hash, place);
            }
        }
    }

    /// The frame of a page that was remembered, if it can still be merged.
    fn candidate(&self, platform: &impl Platform, place: ReverseMapping) -> Option<Pfn> {
        let space = self.spaces[place.space.0 as usize].as_ref()?;
        let region = space.regions.find(place.va)?;
        let Mapping::Resident(now) = space.pmap.lookup(platform, place.va) else { return None };
        let mergeable = region.flags.contains(RegionFlags::MERGEABLE) && self.is_mergeable(now.pfn);
        mergeable.then_some(now.pfn)
    }

    /// Gives a page up for a frame with the same bytes, which is merged from then on.
    fn join(&mut self, platform: &mut impl Platform, place: ReverseMapping, with: Pfn) {
        self.take_right_to_store(platform, with);
        let space = space_in(&mut self.spaces, place.space);
        let Some(region) = space.regions.find(place.va).copied() else { return };
        let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, place.va, None) else {
            return;
        };
        let (was, flushed) = unmapped.flush(platform);
        self.counters.count_flush(flushed);
        self.release_page(platform, place.space, place.va, was);
        let prot = without_stores(region.prot_of(self.frames.used(with)));
        self.map_frame(platform, place, Resident { pfn: with, prot, modified: false, ..was });
    }

    /// Makes a frame a merged one, that others are about to use. A single owner may have the right to
    /// store, even of a frame that was merged before: it gets it back when the others are gone.
    fn take_right_to_store(&mut self, platform: &mut impl Platform, pfn: Pfn) {
        let single = self.frames.first_mapping(pfn).filter(|_| self.frames.mappings(pfn) == 1);
        if let Some(place) = single {
            let end = VirtAddr(place.va.0 + self.page.bytes());
            let Self { spaces, frames, .. } = self;
            let space = space_in(spaces, place.space);
            let Some(region) = space.regions.find(place.va).copied() else { return };
            let mut prot = |pfn| without_stores(region.prot_of(frames.used(pfn)));
            let debt = space.pmap.protect_range(platform, frames, place.va, end, &mut prot);
            self.discharge(platform, debt);
            // The bit is this entry's; the bytes are the frame's.
            self.collect_modified(platform, pfn);
        }
        self.frames.set_cow(pfn, true);
        self.frames.set_merged(pfn);
    }

    /// Gives each page of a part of a region a frame of its own again (MADV_UNMERGEABLE).
    ///
    /// # Errors
    /// `Enomem` if there are no frames: pages up to there have their own.
    pub(crate) fn unmerge_part(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
    ) -> Result<(), Errno> {
        self.own_tables(platform, id, part.start, part.end).map_err(|_| Errno::Enomem)?;
        let mut at = part.start;
        while let Some((va, now)) = self.space(id).pmap.next_mapping(platform, at, part.end) {
            at = VirtAddr(va.0 + self.page.bytes());
            if let Mapping::Resident(now) = now
                && self.frames.merged(now.pfn)
            {
                self.unmerge(platform, ReverseMapping { space: id, va }, part)?;
            }
        }
        Ok(())
    }

    fn unmerge(
        &mut self,
        platform: &mut impl Platform,
        place: ReverseMapping,
        region: &Region,
    ) -> Result<(), Errno> {
        self.reserve_frames(platform, 1).map_err(|_| Errno::Enomem)?;
        let space = space_in(&mut self.spaces, place.space);
        let Mapping::Resident(now) = space.pmap.lookup(platform, place.va) else {
            // Evicted just now: it comes back by itself.
            return Ok(());
        };
        if !is_shared(&self.frames, &self.swap, now.pfn) {
            self.frames.clear_merged(now.pfn);
            return Ok(());
        }
        let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, place.va, None) else {
            return Ok(());
        };
        let (was, flushed) = unmapped.flush(platform);
        self.counters.count_flush(flushed);
        let pfn = self.allocate_page(Use::Anon { slot: None });
        platform.copy_frame(was.pfn, pfn);
        let name = self.copied_page(was.pfn, place.space, place.va);
        self.frames.set_dirty(pfn, true);
        self.release_page(platform, place.space, place.va, was);
        let prot = self.prot_of(region, pfn);
        self.map_frame(platform, place, Resident { pfn, prot, modified: false, ..was });
        self.admit(platform, pfn, name, PageKind::Anon);
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
