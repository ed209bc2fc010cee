//! mmap, munmap, mprotect.
//!
//! They change regions; pages follow when they are touched. What goes away goes at once.

use crate::cow::prot_in;
use crate::space::space_in;
use crate::{
    Backing, Errno, Event, ForkAdvice, HugeAdvice, Kernel, Placement, Platform, Pmap, Prot, Region,
    RegionName, SpaceId,
};
use pagewalk_mmu::VirtAddr;

/// A mapping that a program wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRequest {
    /// Where.
    pub place: Placement,
    /// How many bytes; rounded up to pages.
    pub len: u64,
    /// What the program may do.
    pub prot: Prot,
    /// Where the pages come from.
    pub backing: Backing,
    /// Stores reach the file and are seen by others. (Anonymous memory has no others to see it as
    /// long as there is no fork.)
    pub shared: bool,
    /// Whether mprotect may allow stores.
    pub may_write: bool,
    /// Grows downwards.
    pub grows_down: bool,
    /// What it is for.
    pub name: RegionName,
}

impl MapRequest {
    /// Private anonymous memory anywhere.
    pub const fn anonymous(len: u64, prot: Prot) -> Self {
        Self {
            place: Placement::Anywhere { hint: VirtAddr(0) },
            len,
            prot,
            backing: Backing::Anonymous,
            shared: false,
            may_write: true,
            grows_down: false,
            name: RegionName::None,
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Makes a mapping, and returns where it is.
    ///
    /// # Errors
    /// As mmap(2). `Enomem` is want of addresses: memory is not needed before it is touched.
    pub fn mmap(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        request: MapRequest,
    ) -> Result<VirtAddr, Errno> {
        if request.len == 0 {
            return Err(Errno::Einval);
        }
        let len = self.round_up(VirtAddr(request.len)).ok_or(Errno::Enomem)?.0;
        self.check_backing(&request.backing, len)?;
        if request.shared && request.prot.contains(Prot::WRITE) && !request.may_write {
            return Err(Errno::Eacces);
        }
        let start = self.place(id, request.place, len)?;
        let end = VirtAddr(start.0 + len);
        if matches!(request.place, Placement::Fixed(_)) {
            self.unmap_range(platform, id, start, end);
        }
        let region = Region {
            start,
            end,
            prot: request.prot,
            backing: request.backing,
            shared: request.shared,
            may_write: request.may_write,
            grows_down: request.grows_down,
            name: request.name,
            huge: HugeAdvice::None,
            fork: ForkAdvice::Inherit,
        };
        self.space_mut(id).regions.insert(region);
        platform.event(Event::Map { space: id, region: &region });
        Ok(start)
    }

    fn check_backing(&self, backing: &Backing, len: u64) -> Result<(), Errno> {
        let Backing::File { offset, .. } = *backing else { return Ok(()) };
        if offset & (self.page.bytes() - 1) != 0 {
            return Err(Errno::Einval);
        }
        // The frame table has 32 bits for a page's index in its file.
        let end = offset.checked_add(len).ok_or(Errno::Eoverflow)?;
        if (end - 1) >> self.page.shift() > u64::from(u32::MAX) {
            return Err(Errno::Eoverflow);
        }
        Ok(())
    }

    /// Removes all mappings of a range.
    ///
    /// # Errors
    /// `Einval` if the range is not one of pages in user space.
    pub fn munmap(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Einval)?;
        if start == end {
            return Err(Errno::Einval);
        }
        self.unmap_range(platform, id, start, end);
        Ok(())
    }

    /// Changes what the program may do with a range.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range: what is before the hole is changed, as on Linux.
    /// `Eacces` if stores are wanted to a shared mapping of a file that was opened for reading.
    pub fn mprotect(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        prot: Prot,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        let (end, result) = self.protectable(id, start, end, prot);
        self.split_ends(platform, id, start, end);
        for part in self.space_mut(id).regions.remove(start, end) {
            let region = Region { prot, ..part };
            platform.event(Event::Protect { space: id, region: &part, prot });
            self.space_mut(id).regions.insert(region);
            self.protect_pages(platform, id, &region);
        }
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

    fn protect_pages(&mut self, platform: &mut impl Platform, id: SpaceId, region: &Region) {
        let Self { spaces, frames, swap, .. } = self;
        let space = space_in(spaces, id);
        let mut prot = |pfn| prot_in(frames, swap, region, pfn);
        let debt = space.pmap.protect_range(platform, region.start, region.end, &mut prot);
        self.discharge(platform, debt);
    }

    /// Removes the regions of a range, and everything that backs them.
    pub(crate) fn unmap_range(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) {
        self.split_ends(platform, id, start, end);
        for region in self.space_mut(id).regions.remove(start, end) {
            self.clear_pages(platform, id, region.start, region.end);
            platform.event(Event::Unmap { space: id, region: &region });
        }
    }

    /// A page-aligned range within user space, its length rounded up.
    pub(crate) fn range(
        &self,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        outside: Errno,
    ) -> Result<(VirtAddr, VirtAddr), Errno> {
        if start.offset(self.page) != 0 {
            return Err(Errno::Einval);
        }
        let len = self.round_up(VirtAddr(len)).ok_or(outside)?.0;
        let end = start.0.checked_add(len).ok_or(outside)?;
        if end > self.space(id).layout.user_end.0 {
            return Err(outside);
        }
        Ok((start, VirtAddr(end)))
    }
}
