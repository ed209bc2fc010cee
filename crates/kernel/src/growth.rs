//! Regions that grow: the heap by brk, a stack by faults below it.
//!
//! ```text
//!          accessible region      gap ≥ stack_guard_pages      stack
//!     ├──────────────────────┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┤◄────────────────┤
//!                                                       new start        end
//!                                                       end − new start ≤ stack_limit
//! ```

use crate::{
    Backing, Event, HugeAdvice, Kernel, Platform, Pmap, Prot, Region, RegionFlags, RegionName,
    SpaceId,
};
use pagewalk_mmu::VirtAddr;

impl<P: Pmap> Kernel<P> {
    /// Says where the heap begins, once, when the program is loaded. Rounded up to a page.
    pub fn set_heap_start(&mut self, id: SpaceId, at: VirtAddr) {
        let at = self.round_up(at).unwrap_or(at);
        let space = self.space_mut(id);
        space.heap_start = at;
        space.heap_end = at;
    }

    /// Moves the heap's end to `new` if that is possible, and returns where it is then.
    pub fn brk(&mut self, platform: &mut impl Platform, id: SpaceId, new: VirtAddr) -> VirtAddr {
        let space = self.space(id);
        let from = space.heap_end;
        let bounds = (self.round_up(from), self.round_up(new));
        let (Some(mapped), Some(wanted)) = bounds else { return from };
        if new < space.heap_start || wanted > space.layout.user_end {
            return from;
        }
        if wanted > mapped {
            let flags = self.space(id).future_lock;
            let grown = Region { flags, ..heap(mapped, wanted) };
            if !self.heap_can_reach(id, mapped, wanted) {
                self.refusals.addresses += 1;
                return from;
            }
            if !self.may_grow(id, &grown) {
                return from;
            }
            self.space_mut(id).regions.insert(grown);
            if flags == RegionFlags::LOCKED {
                self.populate_quietly(platform, id, mapped..wanted);
            }
        } else {
            if self.unmap_range(platform, id, wanted, mapped).is_err() {
                return from;
            }
            self.settle_mapped(platform, id);
        }
        self.space_mut(id).heap_end = new;
        platform.event(Event::Brk { space: id, from, to: new });
        new
    }

    /// Whether the space's limits and the machine's memory allow a region to be added.
    fn may_grow(&mut self, id: SpaceId, grown: &Region) -> bool {
        self.may_split(id, grown.start, grown.end, 1)
            .and_then(|()| self.may_expand(id, grown, grown.len(), 0))
            .and_then(|()| self.may_commit(id, grown, grown.len(), 0))
            .is_ok()
    }

    /// Whether nothing is in the way: a page stays free behind the heap, and a stack's guard.
    fn heap_can_reach(&self, id: SpaceId, mapped: VirtAddr, wanted: VirtAddr) -> bool {
        let above = self.space(id).regions.at_or_above(mapped);
        above.is_none_or(|region| {
            self.guarded_start(region).0 >= wanted.0.saturating_add(self.page.bytes())
        })
    }

    /// Grows the region above `va` down to it, if it is a stack and may.
    pub(crate) fn grow_stack(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Option<Region> {
        let space = self.space(id);
        let start = va.page_base(self.page);
        let stack = *space.regions.at_or_above(va).filter(|region| region.grows_down)?;
        let guard = self.config.stack_guard_pages * self.page.bytes();
        // Another stack below keeps its distance by itself; what cannot be accessed is a guard.
        let crowded = space.regions.below(start).is_some_and(|below| {
            !below.grows_down && !below.prot.is_empty() && start.0 - below.end.0 < guard
        });
        if crowded
            || start < space.layout.user_start
            || stack.end.0 - start.0 > space.layout.stack_limit
        {
            return None;
        }
        let grown = Region { start, end: stack.start, ..stack };
        if !self.may_grow(id, &grown) {
            return None;
        }
        self.counters.stack_grow += 1;
        let regions = &mut self.space_mut(id).regions;
        regions.insert(grown);
        let grown = regions.find_hinted(va);
        platform.event(Event::StackGrow { space: id, from: stack.start, to: start });
        grown
    }
}

fn heap(start: VirtAddr, end: VirtAddr) -> Region {
    Region {
        start,
        end,
        prot: Prot::READ | Prot::WRITE,
        backing: Backing::Anonymous,
        shared: false,
        may_write: true,
        grows_down: false,
        name: RegionName::Heap,
        huge: HugeAdvice::None,
        flags: RegionFlags::empty(),
    }
}
