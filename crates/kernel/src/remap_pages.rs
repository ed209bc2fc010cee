//! remap_file_pages: another part of the file behind the same addresses.
//!
//! As on Linux since 4.0 there are no nonlinear mappings: the range becomes a mapping of its own.

use crate::{
    Backing, Errno, Kernel, MapRequest, Placement, Platform, Pmap, Region, RegionFlags, SpaceId,
};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

impl<P: Pmap> Kernel<P> {
    /// Lets a range of a shared mapping show its file from page `index` on, and brings that in.
    /// `start` and `len` are rounded down to pages.
    ///
    /// # Errors
    /// As remap_file_pages(2): `Einval` if the range is not one of a shared mapping that may be
    /// stored to, or the file's pages cannot be numbered so far; else as [`Kernel::mmap`].
    pub fn remap_file_pages(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        index: u64,
    ) -> Result<(), Errno> {
        let start = start.page_base(self.page);
        let len = VirtAddr(len).page_base(self.page).0;
        let end = start.0.checked_add(len).filter(|&end| end > start.0).ok_or(Errno::Einval)?;
        index.checked_add(len >> self.page.shift()).ok_or(Errno::Einval)?;
        let offset = index.checked_mul(self.page.bytes()).ok_or(Errno::Eoverflow)?;
        let region = self.one_file(id, start, VirtAddr(end))?;
        let Backing::File { file, .. } = region.backing else { return Err(Errno::Einval) };
        let request = MapRequest {
            place: Placement::Fixed(start),
            backing: Backing::File { file, offset },
            shared: true,
            may_write: region.may_write,
            // A lock is all that the new mapping inherits.
            flags: region.flags & RegionFlags::LOCKED,
            populate: true,
            ..MapRequest::anonymous(len, region.prot)
        };
        self.mmap(platform, id, request).map(|_| ())
    }

    /// The first region of a range without holes that has one file throughout, mapped alike.
    fn one_file(&self, id: SpaceId, start: VirtAddr, end: VirtAddr) -> Result<Region, Errno> {
        let regions = &self.space(id).regions;
        let parts: Vec<Region> = regions.within(start, end).collect();
        let first = *parts.first().ok_or(Errno::Einval)?;
        let file = |region: &Region| region.file_at(region.start).map(|(file, _)| file);
        let alike = |part: &Region| {
            file(part) == file(&first) && part.prot == first.prot && part.flags == first.flags
        };
        let writable = first.shared && first.may_write;
        let whole = regions.first_hole(start, end).is_none();
        if writable && whole && parts.iter().all(alike) { Ok(first) } else { Err(Errno::Einval) }
    }
}
