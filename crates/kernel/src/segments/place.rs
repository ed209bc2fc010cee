//! Where a mapping goes, in a program's addresses.
//!
//! ```text
//!   Identity     a free block of memory, by fit; the one behind the heap last, and from its end
//!   BaseBounds   the lowest gap between regions; the one behind the heap not, but room for it is
//!                left before the first mapping above
//!   Table        the highest run of segments that nobody has, below the stack
//! ```

use super::{Geometry, SegmentKernel};
use crate::{Errno, Placement, SpaceId};
use core::ops::Range;
use pagewalk_mmu::VirtAddr;

/// What a heap behind bounds has before the first mapping above it, as a part of memory …
const HEAP_PART: u64 = 16;
/// … and at least.
const HEAP_ROOM: u64 = 64 << 10;

impl SegmentKernel {
    /// The address for a mapping of `len` bytes, a multiple of the page.
    pub(super) fn place(
        &mut self,
        id: SpaceId,
        placement: Placement,
        len: u64,
    ) -> Result<VirtAddr, Errno> {
        let layout = self.layout(id);
        match placement {
            Placement::Anywhere { hint } => {
                let hint = self.round_up(hint.0).filter(|&hint| hint != 0);
                let found = hint.filter(|&hint| self.is_vacant(id, hint, len));
                let found = found.or_else(|| self.find_vacant(id, len));
                found.map(VirtAddr).ok_or_else(|| {
                    self.segment_counters.refused_segments += 1;
                    Errno::Enomem
                })
            }
            Placement::Fixed(at) | Placement::FixedNoReplace(at) => {
                if at.offset(self.page) != 0 {
                    return Err(Errno::Einval);
                }
                let end = at.0.checked_add(len).ok_or(Errno::Enomem)?;
                if end > layout.user_end.0 {
                    return Err(Errno::Enomem);
                }
                if at < layout.user_start {
                    return Err(Errno::Eperm);
                }
                let fixed = matches!(placement, Placement::Fixed(_));
                if !fixed && self.space(id).regions.overlaps(at, VirtAddr(end)) {
                    return Err(Errno::Eexist);
                }
                Ok(at)
            }
        }
    }

    /// The least multiple of the page that is not below.
    pub(super) fn round_up(&self, at: u64) -> Option<u64> {
        at.checked_next_multiple_of(self.page.bytes())
    }

    /// Whether a mapping can be put there without costing another one anything.
    fn is_vacant(&self, id: SpaceId, at: u64, len: u64) -> bool {
        let layout = self.layout(id);
        let Some(end) = at.checked_add(len) else { return false };
        let space = self.space(id);
        let vacant = !space.regions.overlaps(VirtAddr(at), VirtAddr(end));
        let inside = at >= layout.user_start.0 && end <= layout.user_end.0;
        inside
            && vacant
            && match self.geometry {
                Geometry::Identity => {
                    let page = self.page.shift();
                    let holds =
                        |block: &&Range<u64>| block.start <= at >> page && end >> page <= block.end;
                    self.blocks.free().iter().any(|block| holds(&block))
                }
                Geometry::BaseBounds => space.domains.iter().any(|domain| end <= domain.end.0),
                Geometry::Table(_) => {
                    let unit = self.unit();
                    let units = at..end.next_multiple_of(unit);
                    let touches = |held: Range<u64>| held.start < units.end && at < held.end;
                    at.is_multiple_of(unit)
                        && units.end <= layout.mmap_base.0
                        && !space.domains.iter().any(|domain| touches(domain.units(unit)))
                }
            }
    }

    fn find_vacant(&self, id: SpaceId, len: u64) -> Option<u64> {
        match self.geometry {
            Geometry::Identity => self.find_block(id, len),
            Geometry::BaseBounds => self.find_gap(id, len),
            Geometry::Table(_) => self.find_units(id, len),
        }
    }

    /// A free block whose place is the mapping's address.
    fn find_block(&self, id: SpaceId, len: u64) -> Option<u64> {
        let page = self.page.shift();
        let frames = len >> page;
        let space = self.space(id);
        let heap_end = self.round_up(space.heap_end.0)? >> page;
        let is_heaps = |block: &Range<u64>| block.start == heap_end;
        let found = self.blocks.find(frames, self.fit, |block| !is_heaps(block));
        let frame = found.or_else(|| {
            let last = self.blocks.free().iter().find(|block| is_heaps(block))?;
            (last.end - last.start >= frames).then(|| last.end - frames)
        })?;
        Some(frame << page)
    }

    fn find_gap(&self, id: SpaceId, len: u64) -> Option<u64> {
        let space = self.space(id);
        let heap_end = self.round_up(space.heap_end.0)?;
        let mut at = space.layout.user_start.0;
        for region in space.regions.iter() {
            if at != heap_end && region.start.0 - at >= len {
                return Some(at);
            }
            at = region.end.0;
        }
        let at = if at <= heap_end { heap_end + self.heap_room() } else { at };
        (at.checked_add(len)? <= space.layout.user_end.0).then_some(at)
    }

    fn heap_room(&self) -> u64 {
        let pool = self.blocks.pool();
        let part = (pool.end - pool.start) / HEAP_PART;
        (part << self.page.shift()).max(HEAP_ROOM)
    }

    fn find_units(&self, id: SpaceId, len: u64) -> Option<u64> {
        let unit = self.unit();
        let len = len.checked_next_multiple_of(unit)?;
        let space = self.space(id);
        let mut ceiling = space.layout.mmap_base.0 & !(unit - 1);
        for domain in space.domains.iter().rev() {
            let units = domain.units(unit);
            if units.end <= ceiling && ceiling - units.end >= len {
                break;
            }
            ceiling = ceiling.min(units.start);
        }
        let start = ceiling.checked_sub(len)?;
        (start >= space.layout.user_start.0).then_some(start)
    }
}
