//! fork: a space made from another, with the same memory.
//!
//! ```text
//!   region                 child's region      child's entries
//!   private                the same            frame ─► shared, neither may store to it directly
//!                                              slot ──► shared, named once more
//!                                              frame of a file ─► left to fault in
//!   shared                 the same            left to fault in: the object or file has the pages
//!   advised not to fork    none                none
//!   advised to be wiped    the same            none: zeroes
//! ```
//!
//! A fork costs page tables and entries, not pages. Entries are copied in the order of their
//! addresses. When frames for the child's tables run out, reclaim gets some, and the copy goes on
//! where it stopped: what was evicted meanwhile is a slot in both, in the parent alone, or shared
//! in its turn. If reclaim fails, the child is destroyed: the parent has lost nothing, only the
//! right to store in entries whose next store gives it back.
//!
//! Whole tables that the child would have as they are it can refer to instead (`table_sharing.rs`).
//!
//! The parent's stale translations, those that allow stores, are flushed once at the end. Nobody can
//! use one meanwhile: the program is in the kernel.

use crate::cow::without_stores;
use crate::space::space_in;
use crate::{
    Event, FlushDebt, Kernel, KernelError, Mapping, Platform, Pmap, Region, Resident,
    ReverseMapping, Shortage, SpaceId, Use,
};
use pagewalk_mmu::VirtAddr;

/// How many pages and slots a fork shares.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    pages: u64,
    slots: u64,
}

impl<P: Pmap> Kernel<P> {
    /// Makes a space with the memory of `parent`: what one stores to private pages afterwards, the
    /// other does not see.
    ///
    /// # Errors
    /// If there is no memory for the child's page tables, no identifier for it, all spaces together
    /// would have too many regions, or more memory than may be would be promised; everything is as
    /// before then.
    pub fn fork_space(
        &mut self,
        platform: &mut impl Platform,
        parent: SpaceId,
    ) -> Result<SpaceId, KernelError> {
        let regions = self.space(parent).regions.len();
        if !self.may_add_regions(regions) {
            self.refusals.regions += 1;
            return Err(KernelError::TooManyRegions);
        }
        self.may_commit_fork(parent)?;
        let layout = self.space(parent).layout;
        let child = self.create_space(platform, layout)?;
        self.copy_regions(parent, child);
        self.settle_mapped(platform, child);
        match self.share_pages(platform, parent, child) {
            Ok(Shared { pages, slots }) => {
                if self.space(parent).set.is_some() {
                    self.begin_resident_set(platform, child);
                    self.join_all(platform, child);
                }
                self.counters.forks += 1;
                self.counters.fork_pages_shared += pages;
                self.counters.fork_slots_shared += slots;
                let tables = self.space(child).pmap.tables();
                platform.event(Event::Fork { parent, child, pages, slots, tables });
                Ok(child)
            }
            Err(shortage) => {
                self.destroy_space(platform, child);
                Err(KernelError::OutOfMemory(shortage))
            }
        }
    }

    fn copy_regions(&mut self, parent: SpaceId, child: SpaceId) {
        let space = self.space(parent);
        let (heap_start, heap_end, limits) = (space.heap_start, space.heap_end, space.limits);
        let (oom_score_adj, group) = (space.oom_score_adj, space.group);
        let mut regions = crate::RegionSet::default();
        for region in space.regions.iter().filter_map(Region::forked) {
            regions.insert(region);
        }
        let space = self.space_mut(child);
        (space.heap_start, space.heap_end) = (heap_start, heap_end);
        space.limits = limits;
        space.oom_score_adj = oom_score_adj;
        space.group = group;
        space.regions = regions;
    }

    fn share_pages(
        &mut self,
        platform: &mut impl Platform,
        parent: SpaceId,
        child: SpaceId,
    ) -> Result<Shared, Shortage> {
        let inherits = |region: &&Region| region.is_copied_by_fork();
        let regions: alloc::vec::Vec<Region> =
            self.space(parent).regions.iter().filter(inherits).copied().collect();
        let (tables, mut debt) = self.fork_tables(platform, parent, child);
        let mut shared = Shared::default();
        let mut result = tables.map(|holds| {
            shared = Shared { pages: holds.rss_anon, slots: holds.swapped };
        });
        let copied = if result.is_ok() { &regions[..] } else { &[] };
        for region in copied {
            self.split_within(platform, parent, region);
            let owed;
            (result, owed) = self.share_region(platform, (parent, child), region, &mut shared);
            debt = debt.and(owed);
            if result.is_err() {
                break;
            }
        }
        self.discharge(platform, debt);
        result.map(|()| shared)
    }

    /// Splits all large pages of a region: parts of one cannot be copied by themselves.
    fn split_within(&mut self, platform: &mut impl Platform, id: SpaceId, region: &Region) {
        let Some(size) = self.large.filter(|_| self.space(id).residency.anon_huge > 0) else {
            return;
        };
        let mut va = region.start.page_base(size);
        while va < region.end {
            self.split_at(platform, id, va);
            let Some(next) = va.0.checked_add(size.bytes()) else { return };
            va = VirtAddr(next);
        }
    }

    fn share_region(
        &mut self,
        platform: &mut impl Platform,
        (parent, child): (SpaceId, SpaceId),
        region: &Region,
        shared: &mut Shared,
    ) -> (Result<(), Shortage>, FlushDebt) {
        let mut debt = FlushDebt::none();
        let mut from = region.start;
        loop {
            let (next, owed) = self.share_range(platform, (parent, child), from, region, shared);
            debt = debt.and(owed);
            let Some(next) = next else { return (Ok(()), debt) };
            from = next;
            let missing = self.space(child).pmap.tables_missing(platform, from);
            if let Err(shortage) = self.reserve_frames(platform, missing) {
                return (Err(shortage), debt);
            }
        }
    }

    /// Shares what can be shared without reclaim, and returns where frames ran out.
    fn share_range(
        &mut self,
        platform: &mut impl Platform,
        (parent, child): (SpaceId, SpaceId),
        from: VirtAddr,
        region: &Region,
        shared: &mut Shared,
    ) -> (Option<VirtAddr>, FlushDebt) {
        let Self { spaces, frames, swap, .. } = self;
        // Both are borrowed at once.
        let mut new = spaces[child.0 as usize].take().expect("the child was made");
        let prot = without_stores(region.prot);
        let before = *shared;
        let result = space_in(spaces, parent).pmap.share_range(
            &mut new.pmap,
            platform,
            frames,
            (from, region.end),
            &mut |frames, va, mapping| match mapping {
                Mapping::Resident(now) if matches!(frames.used(now.pfn), Use::Anon { .. }) => {
                    shared.pages += 1;
                    frames.share(now.pfn, ReverseMapping { space: child, va }, now.modified);
                    let (referenced, modified) = (false, false);
                    Mapping::Resident(Resident { pfn: now.pfn, prot, referenced, modified })
                }
                Mapping::Swapped(slot) => {
                    shared.slots += 1;
                    swap.add_names(slot, 1);
                    mapping
                }
                _ => Mapping::None,
            },
        );
        new.residency.add_anon(shared.pages - before.pages);
        new.residency.swapped += shared.slots - before.slots;
        spaces[child.0 as usize] = Some(new);
        result
    }
}
