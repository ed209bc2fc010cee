//! Eviction of a page by one of the processes that share it.
//!
//! ```text
//!                      A          B          C         swap cache     slot S
//!                    frame P    frame P    frame P         -            -
//!   A evicts         slot S     frame P    frame P       (S, P)       reserved
//!   B evicts         slot S     slot S     frame P       (S, P)       reserved
//!   C evicts         slot S     slot S     slot S          -          written; P is free
//!   A swaps in       frame P'   slot S     slot S        (S, P')      read
//!   B, C swap in     frame P'   frame P'   frame P'        -          kept, in case P' stays clean
//! ```
//!
//! The first who evicts reserves the slot; the others find it, and all of them write the same slot
//! in their page tables. Nothing is written before the last of them: until then the frame has the
//! bytes, and each eviction but the last has saved a write. Who faults meanwhile finds the pair.
//!
//! A store of somebody who still has the page copies it, as of any page with several owners: what
//! the slot stands for does not change. When the frame's last mapping goes so, or by munmap, the
//! pair stays until the frame is evicted: written, with no mapping to take.
//!
//! Pages of files and of shared memory need no pair: the file's cache, or the object's index, tells
//! the others where the page is. One process's eviction only unmaps them.
//!
//! Invariants:
//! 1. A slot that is reserved and not written has its frame: kept, dirty, in the swap cache.
//! 2. Entries that name a slot, or the frame that keeps it, are of the same page.
//! 3. A page that its process locked, or that the last faults brought in, stays.

use crate::frame::Part;
use crate::pageout::Kept;
use crate::space::space_in;
use crate::{
    Event, Kernel, Mapping, Platform, Pmap, Resident, ReverseMapping, SpaceId, SwapSlot, Use,
};
use pagewalk_mmu::{Pfn, VirtAddr};

/// What became of a page that one process evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// Others have it still.
    Shared,
    /// It was the last: the page has left memory.
    Gone,
}

impl<P: Pmap> Kernel<P> {
    /// Takes the page at `va` out of one space. `None` if it is not in memory, is locked there, is
    /// needed by the instruction at hand, or cannot be written to anywhere.
    pub fn evict_from(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Option<Evicted> {
        self.evict_from_space(platform, id, va, false)
    }

    /// As [`Kernel::evict_from`]; the page's write may be left to the device if a `daemon` does it.
    pub(crate) fn evict_from_space(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        daemon: bool,
    ) -> Option<Evicted> {
        let va = va.page_base(self.page);
        let Mapping::Resident(now) = self.space(id).pmap.lookup(platform, va) else { return None };
        if self.recent.contains(now.pfn) || self.space(id).regions.is_locked(va) {
            return None;
        }
        match self.leave(platform, ReverseMapping { space: id, va }, now.pfn, daemon) {
            Ok(evicted) => Some(evicted),
            Err(Kept::Io(Some(slot))) => {
                self.swap.drop_names(slot, 1);
                None
            }
            Err(_) => None,
        }
    }

    /// The frame that the swap cache pairs with a slot.
    pub fn cached_frame(&self, slot: SwapSlot) -> Option<Pfn> {
        self.swap_cache.find(&self.frames, slot)
    }

    /// Takes a page out of one place, and out of memory if that was its last.
    pub(crate) fn leave(
        &mut self,
        platform: &mut impl Platform,
        place: ReverseMapping,
        pfn: Pfn,
        daemon: bool,
    ) -> Result<Evicted, Kept> {
        if self.frames.part(pfn) != Part::Base {
            self.split_at(platform, place.space, place.va);
        }
        if self.frames.mappings(pfn) == 1 {
            return self.evict(platform, pfn, daemon).map(|()| Evicted::Gone);
        }
        let slot = match self.frames.used(pfn) {
            Use::Anon { slot } => self.slot_of_shared(pfn, slot)?,
            _ => None,
        };
        let was = self.unmap_from(platform, place, slot);
        if was.modified {
            self.frames.set_dirty(pfn, true);
        }
        if slot.is_some() {
            self.each_owner(place, |residency| residency.swapped += 1);
            self.counters.swap_writes_saved += u64::from(self.frames.dirty(pfn));
        }
        platform.event(Event::EvictFrom { space: place.space, va: place.va, pfn, slot });
        Ok(Evicted::Shared)
    }

    /// The slot that an entry for a shared private page gets instead of its frame, and names from now
    /// on: the one that the frame has, or a new one.
    fn slot_of_shared(
        &mut self,
        pfn: Pfn,
        kept: Option<SwapSlot>,
    ) -> Result<Option<SwapSlot>, Kept> {
        match kept {
            Some(slot) => {
                match self.swap.names(slot) {
                    // Only the frame knew the slot: others have to find the pair.
                    0 => self.swap_cache.insert(&self.frames, pfn),
                    _ => self.counters.swap_cache_evict_hit += 1,
                }
                self.swap.add_names(slot, 1);
                Ok(Some(slot))
            }
            None => {
                let slot = self.allocate_slot().ok_or(Kept::NoSlot)?;
                self.keep_slot(pfn, slot);
                // Even if it is zeroes: a new page of zeroes would be another page than the others'.
                self.frames.set_dirty(pfn, true);
                self.counters.swap_shared_slots += 1;
                Ok(Some(slot))
            }
        }
    }

    /// Puts the slot, or nothing, in the entry, and flushes it.
    fn unmap_from(
        &mut self,
        platform: &mut impl Platform,
        place: ReverseMapping,
        slot: Option<SwapSlot>,
    ) -> Resident {
        let space = space_in(&mut self.spaces, place.space);
        let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, place.va, slot) else {
            unreachable!("no page is mapped at {}", place.va)
        };
        let (was, flushed) = unmapped.flush(platform);
        self.counters.count_flush(flushed);
        self.note_unmapped(place, was);
        was
    }
}
