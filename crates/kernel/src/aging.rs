//! Advice that ages pages: MADV_FREE, MADV_COLD, MADV_PAGEOUT.
//!
//! ```text
//!                 in memory                                        on swap
//!   FREE     bits cleared, slot freed: clean, so reclaim drops     slot freed: zeroes again
//!            it without a write; a store makes it dirty again
//!   COLD     referenced bit cleared                                as it was
//!   PAGEOUT  evicted, if nobody else maps it                       as it was
//! ```
//!
//! A lazily freed page holds its bytes until it is taken. Such a frame is marked `lazy`: it is
//! clean, has no slot, and need not be zeroes.

use crate::cow::is_shared;
use crate::space::space_in;
use crate::{Kernel, Mapping, Platform, Pmap, Region, SpaceId, Use};
use pagewalk_mmu::VirtAddr;

impl<P: Pmap> Kernel<P> {
    /// Calls `visit` for every page of a part of a region that is in memory or on swap.
    pub(crate) fn each_page<M: Platform>(
        &mut self,
        platform: &mut M,
        id: SpaceId,
        part: &Region,
        mut visit: impl FnMut(&mut Self, &mut M, VirtAddr, Mapping),
    ) {
        let mut at = part.start;
        while let Some((va, now)) = self.space(id).pmap.next_mapping(platform, at, part.end) {
            visit(self, platform, va, now);
            at = VirtAddr(va.0 + self.page.bytes());
        }
    }

    /// Lets reclaim drop the anonymous pages of a part of a region.
    pub(crate) fn free_lazily(&mut self, platform: &mut impl Platform, id: SpaceId, part: &Region) {
        self.space_mut(id).epoch += 1;
        self.each_page(platform, id, part, |kernel, platform, va, now| match now {
            Mapping::None => {}
            Mapping::Swapped(_) => kernel.release_slot(platform, id, va),
            Mapping::Resident(now) => {
                kernel.split_at(platform, id, va);
                let Use::Anon { slot } = kernel.frames.used(now.pfn) else { return };
                // What others map as well is theirs to keep.
                if is_shared(&kernel.frames, &kernel.swap, now.pfn) {
                    return;
                }
                if slot.is_some() {
                    kernel.drop_slot(now.pfn);
                }
                kernel.take_bits(platform, id, va, true);
                kernel.frames.set_dirty(now.pfn, false);
                kernel.frames.set_lazy(now.pfn);
            }
        });
    }

    /// The page on swap is wanted no more.
    fn release_slot(&mut self, platform: &mut impl Platform, id: SpaceId, va: VirtAddr) {
        let space = space_in(&mut self.spaces, id);
        if let Some(slot) = space.pmap.take_slot(platform, &mut self.frames, va) {
            space.residency.swapped -= 1;
            self.drop_slot_name(slot);
        }
    }

    /// Clears the referenced bit, and the modified bit as well if that is wanted.
    fn take_bits(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        modified: bool,
    ) {
        let pmap = &mut space_in(&mut self.spaces, id).pmap;
        if let Some(debt) = pmap.take_referenced(platform, &self.frames, va) {
            self.discharge(platform, debt);
        }
        if modified {
            let pmap = &mut space_in(&mut self.spaces, id).pmap;
            if let Some(debt) = pmap.take_modified(platform, &self.frames, va) {
                self.discharge(platform, debt);
            }
        }
    }

    /// Forgets that the pages of a part of a region were referenced.
    pub(crate) fn make_cold(&mut self, platform: &mut impl Platform, id: SpaceId, part: &Region) {
        self.split_ends(platform, id, part.start, part.end);
        self.each_page(platform, id, part, |kernel, platform, va, now| {
            if matches!(now, Mapping::Resident(_)) {
                kernel.take_bits(platform, id, va, false);
            }
        });
    }

    /// Evicts the pages of a part of a region that nobody else maps. What cannot go stays.
    pub(crate) fn page_out(&mut self, platform: &mut impl Platform, id: SpaceId, part: &Region) {
        self.each_page(platform, id, part, |kernel, platform, va, now| {
            let Mapping::Resident(now) = now else { return };
            kernel.split_at(platform, id, va);
            if kernel.owners(now.pfn) == 1 {
                kernel.evict_now(platform, now.pfn);
            }
        });
    }
}
