//! madvise, msync, mincore.

use crate::{Errno, IoError, Kernel, Mapping, Platform, Pmap, Region, SpaceId};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

impl<P: Pmap> Kernel<P> {
    /// Drops the pages of a range (MADV_DONTNEED): anonymous ones are zeroes at the next access,
    /// private copies of a file are the file's again, shared ones are only unmapped.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range; what is mapped is dropped all the same.
    pub fn madvise_dontneed(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        self.split_ends(platform, id, start, end);
        for part in self.regions_within(id, start, end) {
            self.clear_pages(platform, id, part.start, part.end);
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

    /// Writes the dirty pages of shared file mappings back (MS_SYNC).
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range, `Eio` or `Enospc` if a page could not be written;
    /// what can be written is.
    pub fn msync(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        let mut result: Result<(), IoError> = Ok(());
        for part in self.regions_within(id, start, end) {
            if let Some((file, offset)) = part.file_at(part.start).filter(|_| part.shared) {
                result = result.and(self.sync_file(platform, file, offset..offset + part.len()));
            }
        }
        result?;
        self.no_hole(id, start, end)
    }

    /// One byte for each page from `start` on, 1 if the page is in memory, whether it is mapped or
    /// only in the page cache.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range.
    pub fn mincore(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        start: VirtAddr,
        pages: &mut [u8],
    ) -> Result<(), Errno> {
        let len = (pages.len() as u64).checked_mul(self.page.bytes()).ok_or(Errno::Enomem)?;
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        self.no_hole(id, start, end)?;
        let mut va = start;
        for byte in pages {
            *byte = u8::from(self.in_memory(platform, id, va));
            va.0 += self.page.bytes();
        }
        Ok(())
    }

    fn in_memory(&self, platform: &impl Platform, id: SpaceId, va: VirtAddr) -> bool {
        match self.space(id).pmap.lookup(platform, va) {
            Mapping::Resident(_) => true,
            Mapping::Swapped(_) => false,
            Mapping::None => {
                let region = self.space(id).regions.find(va);
                region.and_then(|region| region.file_at(va)).is_some_and(|(file, offset)| {
                    let index = (offset >> self.page.shift()) as u32;
                    self.cache.find(&self.frames, file, index).is_some()
                })
            }
        }
    }

    fn no_hole(&self, id: SpaceId, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
        match self.space(id).regions.first_hole(start, end) {
            None => Ok(()),
            Some(_) => Err(Errno::Enomem),
        }
    }

    /// The parts of regions within a range.
    fn regions_within(&self, id: SpaceId, start: VirtAddr, end: VirtAddr) -> Vec<Region> {
        let regions = self.space(id).regions.iter();
        let within = regions.filter(|region| region.start < end && start < region.end);
        within.map(|region| region.cut(start, end)).collect()
    }
}
