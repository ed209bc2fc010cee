//! mmap, munmap, mprotect.
//!
//! ```text
//!   mmap     place ─► cover ─► replace ─► fill (zeroes, file) ─► region ─► registers
//!                       │ ENOMEM: nothing has happened
//!   munmap   write back ─► regions ─► trim, registers
//!              │ EIO: nothing has happened
//! ```

use super::claim::Claim;
use super::{SegmentKernel, SegmentPlatform};
use crate::{
    Backing, Errno, Event, HugeAdvice, MapRequest, Placement, Prot, Region, RegionFlags,
    RegionName, SpaceId,
};
use pagewalk_mmu::VirtAddr;

impl SegmentKernel {
    /// Makes a mapping, all of it in memory, and returns where it is.
    ///
    /// # Errors
    /// As mmap(2). `Enomem` if memory, addresses or segments do not suffice; nothing is changed
    /// then. `Eio` if a file cannot be read; what a fixed mapping was to replace is gone then.
    pub fn mmap(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        request: MapRequest,
    ) -> Result<VirtAddr, Errno> {
        let region = self.region_for(id, &request)?;
        let (start, end) = (region.start, region.end);
        let down = request.grows_down && self.geometry.stacks_grow();
        let claim = if down { Claim::NewDown } else { Claim::New };
        self.cover(platform, id, start, end, claim)?;
        if matches!(request.place, Placement::Fixed(_)) {
            if let Err(error) = self.write_back_within(platform, id, start, end) {
                self.trim(platform, id, start, end);
                return Err(error);
            }
            self.remove_regions(platform, id, start, end);
        }
        if let Err(error) = self.fill(platform, id, &region) {
            self.trim(platform, id, start, end);
            return Err(error);
        }
        self.space_mut(id).regions.insert(region);
        self.load_registers(platform, id, start.0..end.0);
        platform.event(Event::Map { space: id, region: &region });
        Ok(start)
    }

    /// The region that a request asks for, in its place.
    fn region_for(&mut self, id: SpaceId, request: &MapRequest) -> Result<Region, Errno> {
        if request.len == 0 {
            return Err(Errno::Einval);
        }
        let len = self.round_up(request.len).ok_or(Errno::Enomem)?;
        if let Backing::File { offset, .. } = request.backing {
            if !offset.is_multiple_of(self.page.bytes()) {
                return Err(Errno::Einval);
            }
            offset.checked_add(len).ok_or(Errno::Eoverflow)?;
        }
        if request.shared && request.prot.contains(Prot::WRITE) && !request.may_write {
            return Err(Errno::Eacces);
        }
        let start = self.place(id, request.place, len)?;
        let end = VirtAddr(start.0 + len);
        let start = if request.name == RegionName::Stack {
            self.stack_start(id, start, end)
        } else {
            start
        };
        Ok(Region {
            start,
            end,
            prot: request.prot,
            backing: request.backing,
            shared: request.shared,
            may_write: request.may_write,
            grows_down: request.grows_down,
            name: request.name,
            huge: HugeAdvice::None,
            flags: RegionFlags::empty(),
        })
    }

    /// Where a stack that cannot grow has to start: it gets all that it may ever have.
    fn stack_start(&self, id: SpaceId, start: VirtAddr, end: VirtAddr) -> VirtAddr {
        if self.geometry.stacks_grow() {
            return start;
        }
        let space = self.space(id);
        let lowest = end.0.saturating_sub(space.layout.stack_limit);
        let below = space.regions.below(start).map_or(space.layout.user_start, |region| region.end);
        VirtAddr(lowest.max(below.0)).min(start)
    }

    /// Removes all mappings of a range.
    ///
    /// # Errors
    /// `Einval` if the range is not one of pages in user space; `Eio`, `Enospc` if stores to a
    /// shared mapping cannot be written back: it stays then.
    pub fn munmap(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Einval)?;
        if start == end {
            return Err(Errno::Einval);
        }
        self.unmap_range(platform, id, start, end)
    }

    /// Changes what the program may do with a range.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range: what is before the hole is changed, as on Linux.
    /// `Eacces` if stores are wanted to a shared mapping of a file that was opened for reading.
    /// `Eio`, `Enospc` if stores to a shared mapping that is to become read-only cannot be written
    /// back: nothing is changed then.
    pub fn mprotect(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        prot: Prot,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        let (end, result) = self.protectable(id, start, end, prot);
        if !prot.contains(Prot::WRITE) {
            self.write_back_within(platform, id, start, end)?;
        }
        for part in self.space_mut(id).regions.remove(start, end) {
            platform.event(Event::Protect { space: id, region: &part, prot });
            self.space_mut(id).regions.insert(Region { prot, ..part });
        }
        self.load_registers(platform, id, start.0..end.0);
        result
    }

    /// How far from `start` the rights can be changed, and what stops it there.
    fn protectable(
        &self,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
        prot: Prot,
    ) -> (VirtAddr, Result<(), Errno>) {
        let mut at = start;
        while at < end {
            match self.space(id).regions.find(at) {
                None => return (at, Err(Errno::Enomem)),
                Some(region) if !region.may_become(prot) => return (at, Err(Errno::Eacces)),
                Some(region) => at = region.end,
            }
        }
        (end, Ok(()))
    }

    /// Removes the regions of a range, and gives their memory back.
    pub(super) fn unmap_range(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) -> Result<(), Errno> {
        self.write_back_within(platform, id, start, end)?;
        self.remove_regions(platform, id, start, end);
        self.trim(platform, id, start, end);
        Ok(())
    }

    /// Removes the regions of a range, but not their memory.
    pub(super) fn remove_regions(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) {
        for region in self.space_mut(id).regions.remove(start, end) {
            platform.event(Event::Unmap { space: id, region: &region });
        }
    }

    /// A page-aligned range within user space, its length rounded up.
    pub(super) fn range(
        &self,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        outside: Errno,
    ) -> Result<(VirtAddr, VirtAddr), Errno> {
        if start.offset(self.page) != 0 {
            return Err(Errno::Einval);
        }
        let len = self.round_up(len).ok_or(outside)?;
        let end = start.0.checked_add(len).ok_or(outside)?;
        if end > self.layout(id).user_end.0 {
            return Err(outside);
        }
        Ok((start, VirtAddr(end)))
    }
}
