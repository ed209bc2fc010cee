//! What grows: the heap by brk, a stack by faults below it.
//!
//! ```text
//!            region      heap             gap           stack
//!     ├──────────────┼────────────►┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄◄───────────────┤
//!                       the domain of what is below grows, and moves if it must
//! ```
//!
//! A stack grows by at least [`STACK_STEP`], since each growth may move it.

use super::claim::Claim;
use super::{Geometry, SegmentKernel, SegmentPlatform};
use crate::{
    Backing, Event, FaultResult, HugeAdvice, Prot, Region, RegionFlags, RegionName, SegvCode,
    Shortage, Signal, SpaceId,
};
use pagewalk_mmu::{AccessKind, VirtAddr};

/// By how many bytes a stack grows at least, if it may.
const STACK_STEP: u64 = 64 << 10;

/// What came of an access below a stack.
enum Grown {
    /// There is no stack that may reach so far.
    No,
    /// It reaches there now.
    Yes,
    /// Memory does not suffice.
    Short,
}

impl SegmentKernel {
    /// Says where the program ends, once, when it is loaded. The heap begins there; behind bounds,
    /// behind the stack, which takes the place.
    pub fn set_heap_start(&mut self, id: SpaceId, at: VirtAddr) {
        let bounded = self.geometry == Geometry::BaseBounds;
        let mut at = VirtAddr(self.round_up(at.0).unwrap_or(at.0));
        let layout = &mut self.space_mut(id).layout;
        if bounded {
            at = VirtAddr(at.0.saturating_add(layout.stack_limit));
            layout.stack_top = at;
        }
        let space = self.space_mut(id);
        space.heap_start = at;
        space.heap_end = at;
    }

    /// Moves the heap's end to `new` if that is possible, and returns where it is then.
    pub fn brk(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        new: VirtAddr,
    ) -> VirtAddr {
        let space = self.space(id);
        let from = space.heap_end;
        let (Some(mapped), Some(wanted)) = (self.round_up(from.0), self.round_up(new.0)) else {
            return from;
        };
        if new < space.heap_start || wanted > space.layout.user_end.0 {
            return from;
        }
        let done = match wanted > mapped {
            true => self.grow_heap(platform, id, VirtAddr(mapped), VirtAddr(wanted)),
            false => self.unmap_range(platform, id, VirtAddr(wanted), VirtAddr(mapped)).is_ok(),
        };
        if !done {
            return from;
        }
        self.space_mut(id).heap_end = new;
        platform.event(Event::Brk { space: id, from, to: new });
        new
    }

    fn grow_heap(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) -> bool {
        let above = self.space(id).regions.at_or_above(from);
        let free = above.is_none_or(|region| self.lowest_of(id, region) >= to.0);
        if !free {
            self.segment_counters.refused_segments += 1;
            return false;
        }
        let heap = Region {
            start: from,
            end: to,
            prot: Prot::READ | Prot::WRITE,
            backing: Backing::Anonymous,
            shared: false,
            may_write: true,
            grows_down: false,
            name: RegionName::Heap,
            huge: HugeAdvice::None,
            flags: RegionFlags::empty(),
        };
        if self.cover(platform, id, from, to, Claim::Grow).is_err()
            || self.fill(platform, id, &heap).is_err()
        {
            return false;
        }
        self.space_mut(id).regions.insert(heap);
        self.load_registers(platform, id, from.0..to.0);
        true
    }

    /// How far down a region may come to reach.
    fn lowest_of(&self, id: SpaceId, region: &Region) -> u64 {
        match region.grows_down && self.geometry.stacks_grow() {
            true => region.end.0.saturating_sub(self.layout(id).stack_limit),
            false => region.start.0,
        }
    }

    /// The hardware refused an access. A stack grows; anything else is the program's fault.
    pub fn fault(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> FaultResult {
        let code = match self.space(id).regions.find(va) {
            // What the region allows the segment allows: the hardware cannot have meant the rights.
            Some(region) if region.allows(kind) => SegvCode::MapErr,
            Some(_) => SegvCode::AccErr,
            None => match self.grow_stack(platform, id, va) {
                Grown::Yes => return FaultResult::Resolved { major: false },
                Grown::Short => {
                    let shortage =
                        Shortage::NoBlock { bytes_missing: self.segment_counters.bytes_missing };
                    platform.event(Event::OutOfMemory { space: id, va, shortage });
                    return FaultResult::OutOfMemory(shortage);
                }
                Grown::No => SegvCode::MapErr,
            },
        };
        let signal = Signal::Segv(code);
        platform.event(Event::Signal { space: id, va, kind, signal });
        FaultResult::Signal { signal, addr: va }
    }

    /// Grows the stack above `va` down to it, if there is one and it may.
    fn grow_stack(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Grown {
        let space = self.space(id);
        let Some(&stack) = space.regions.at_or_above(va).filter(|region| region.grows_down) else {
            return Grown::No;
        };
        let lowest = self.lowest_of(id, &stack).max(space.layout.user_start.0);
        let lowest = space.regions.below(va).map_or(lowest, |below| lowest.max(below.end.0));
        let index = space.domains.partition_point(|domain| domain.end <= stack.start);
        let below = index.checked_sub(1).map(|below| space.domains[below].units(self.unit()).end);
        let lowest = lowest.max(below.unwrap_or(0));
        let least = va.page_base(self.page);
        if !self.geometry.stacks_grow() || least.0 < lowest {
            return Grown::No;
        }
        let step = VirtAddr(stack.start.0.saturating_sub(STACK_STEP).max(lowest)).min(least);
        let mut starts = [step, least].into_iter();
        let grown = starts.find(|&start| self.grow_down(platform, id, index, start).is_ok());
        let Some(start) = grown else { return Grown::Short };
        self.note_peaks();
        let grown = Region { start, end: stack.start, ..stack };
        if self.fill(platform, id, &grown).is_err() {
            self.trim(platform, id, start, stack.start);
            return Grown::Short;
        }
        self.counters.stack_grow += 1;
        self.space_mut(id).regions.insert(grown);
        self.load_registers(platform, id, start.0..stack.start.0);
        platform.event(Event::StackGrow { space: id, from: stack.start, to: start });
        Grown::Yes
    }

    /// Whether the program may do this to the byte at `va`, a stack growing for it if it must.
    pub(super) fn may_access(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> Result<(), FaultResult> {
        if self.space(id).regions.find(va).is_some_and(|region| region.allows(kind)) {
            return Ok(());
        }
        match self.fault(platform, id, va, kind) {
            FaultResult::Resolved { .. } => Ok(()),
            refused => Err(refused),
        }
    }
}
