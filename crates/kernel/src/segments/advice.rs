//! madvise, msync, mincore, and the end of a program.

use super::{SegmentKernel, SegmentPlatform};
use crate::{Errno, SpaceId};
use pagewalk_mmu::VirtAddr;

impl SegmentKernel {
    /// Drops what a range has (MADV_DONTNEED): anonymous memory is zeroes again, private copies of
    /// a file are the file's, shared ones stay. No memory becomes free: it is the mapping's.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range; what is mapped is dropped all the same. `Eio` if a
    /// file cannot be read.
    pub fn madvise_dontneed(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        for part in self.regions_within(id, start, end) {
            if !part.shared || part.file_at(part.start).is_none() {
                self.fill(platform, id, &part)?;
            }
        }
        self.no_hole(id, start, end)
    }

    /// Checks that a range is mapped, for advice that has no effect.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range.
    pub fn check_mapped(&self, id: SpaceId, start: VirtAddr, len: u64) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        self.no_hole(id, start, end)
    }

    /// Writes shared file mappings back (MS_SYNC).
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range, `Eio` or `Enospc` if a page could not be written;
    /// what can be written is.
    pub fn msync(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        self.write_back_within(platform, id, start, end)?;
        self.no_hole(id, start, end)
    }

    /// One byte for each page from `start` on: 1, since what is mapped is in memory.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range.
    pub fn mincore(&self, id: SpaceId, start: VirtAddr, pages: &mut [u8]) -> Result<(), Errno> {
        let len = (pages.len() as u64).checked_mul(self.page.bytes()).ok_or(Errno::Enomem)?;
        self.check_mapped(id, start, len)?;
        pages.fill(1);
        Ok(())
    }

    /// Writes back what a program's shared mappings hold, when it ends.
    ///
    /// # Errors
    /// The first error; the others are tried all the same.
    pub fn finish(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
    ) -> Result<(), Errno> {
        let end = self.layout(id).user_end;
        self.write_back_within(platform, id, VirtAddr(0), end)
    }

    fn no_hole(&self, id: SpaceId, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
        match self.space(id).regions.first_hole(start, end) {
            None => Ok(()),
            Some(_) => Err(Errno::Enomem),
        }
    }
}
