//! Filling memory, and files: read when they are mapped, written back when a mapping ends.
//!
//! Hardware without pages has no modified bits, so every page of a shared mapping that can be
//! stored to is written back. The other shared mappings of these bytes then read them again.

use super::{SegmentKernel, SegmentPlatform};
use crate::{Errno, Event, FileId, IoError, Prot, Region, SpaceId, Store};
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::{Pfn, VirtAddr};

impl SegmentKernel {
    /// Gives a region's memory, which is covered, the bytes that it has at first.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn fill(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        region: &Region,
    ) -> Result<(), Errno> {
        for va in self.pages(region.start, region.end) {
            let Some(pfn) = self.frame_at(id, va) else { continue };
            match region.file_at(va) {
                None => {
                    platform.zero_frame(pfn);
                    self.counters.pgzeroed += 1;
                }
                Some((file, offset)) => self.read_page(platform, file, offset, pfn)?,
            }
        }
        Ok(())
    }

    /// The pages of a range.
    pub(super) fn pages(
        &self,
        from: VirtAddr,
        to: VirtAddr,
    ) -> impl Iterator<Item = VirtAddr> + use<> {
        (from.0..to.0).step_by(self.page.bytes() as usize).map(VirtAddr)
    }

    /// The frame of a page, if it is in a domain.
    pub(super) fn frame_at(&self, id: SpaceId, va: VirtAddr) -> Option<Pfn> {
        self.space(id).domain_of(va).map(|domain| domain.frame_of(va, self.page))
    }

    fn read_page(
        &mut self,
        platform: &mut impl SegmentPlatform,
        file: FileId,
        offset: u64,
        pfn: Pfn,
    ) -> Result<(), IoError> {
        let store = Store::File { file, offset };
        match platform.file_read(file, offset, pfn) {
            Ok(bytes) => {
                if bytes > 0 {
                    self.counters.pgpgin += self.page.bytes() / 1024;
                    platform.event(Event::PageIn { from: store, pfn });
                }
                Ok(())
            }
            Err(error) => {
                self.counters.file_io_errors += 1;
                platform.event(Event::IoError { store, pfn, write: false, error });
                Err(error)
            }
        }
    }

    fn write_page(
        &mut self,
        platform: &mut impl SegmentPlatform,
        file: FileId,
        offset: u64,
        pfn: Pfn,
    ) -> Result<(), IoError> {
        let store = Store::File { file, offset };
        let bytes = self.page.bytes();
        if let Err(error) = platform.file_write(file, offset, pfn, bytes as usize) {
            self.counters.file_io_errors += 1;
            platform.event(Event::IoError { store, pfn, write: true, error });
            return Err(error);
        }
        self.counters.pgpgout += bytes / 1024;
        platform.event(Event::PageOut { pfn, to: store, bytes });
        Ok(())
    }

    /// Writes the shared mappings of a range back that can be stored to.
    ///
    /// # Errors
    /// The first error; the other pages are tried all the same.
    pub(super) fn write_back_within(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) -> Result<(), Errno> {
        let mut result = Ok(());
        for part in self.regions_within(id, start, end) {
            result = result.and(self.write_back(platform, id, &part));
        }
        Ok(result?)
    }

    fn write_back(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        part: &Region,
    ) -> Result<(), IoError> {
        let Some((file, offset)) = part.file_at(part.start) else { return Ok(()) };
        if !part.shared || !part.prot.contains(Prot::WRITE) {
            return Ok(());
        }
        let mut result = Ok(());
        for va in self.pages(part.start, part.end) {
            let at = offset + (va.0 - part.start.0);
            if let Some(pfn) = self.frame_at(id, va) {
                result = result.and(self.write_page(platform, file, at, pfn));
            }
        }
        let range = offset..offset + part.len();
        result.and(self.reread(platform, file, range, Some((id, part.start))))
    }

    /// Writes back what all mappings of a file's byte range may have stored.
    ///
    /// # Errors
    /// The first error; the other pages are tried all the same.
    pub fn sync_file(
        &mut self,
        platform: &mut impl SegmentPlatform,
        file: FileId,
        range: Range<u64>,
    ) -> Result<(), IoError> {
        let mut result = Ok(());
        for (id, part) in self.mapped_parts(file, &range) {
            result = result.and(self.write_back(platform, id, &part));
        }
        result
    }

    /// The file's bytes changed other than through a mapping: shared mappings show what is there
    /// now.
    ///
    /// # Errors
    /// The first error; the other pages are read all the same.
    pub fn file_changed(
        &mut self,
        platform: &mut impl SegmentPlatform,
        file: FileId,
        range: Range<u64>,
    ) -> Result<(), IoError> {
        self.reread(platform, file, range, None)
    }

    /// Whether nothing maps the file: it can be closed.
    pub fn forget_file(&self, file: FileId) -> bool {
        self.mapped_parts(file, &(0..u64::MAX)).is_empty()
    }

    /// Reads the shared mappings of a byte range again, but for the one at `except`.
    fn reread(
        &mut self,
        platform: &mut impl SegmentPlatform,
        file: FileId,
        range: Range<u64>,
        except: Option<(SpaceId, VirtAddr)>,
    ) -> Result<(), IoError> {
        let mut result = Ok(());
        for (id, part) in self.mapped_parts(file, &range) {
            if !part.shared || except == Some((id, part.start)) {
                continue;
            }
            for va in self.pages(part.start, part.end) {
                if let (Some(pfn), Some((file, offset))) = (self.frame_at(id, va), part.file_at(va))
                {
                    result = result.and(self.read_page(platform, file, offset, pfn));
                }
            }
        }
        result
    }

    /// The parts of regions, of all spaces, that map a byte range of a file, in whole pages.
    fn mapped_parts(&self, file: FileId, range: &Range<u64>) -> Vec<(SpaceId, Region)> {
        let mask = self.page.bytes() - 1;
        let mut parts = Vec::new();
        for (number, space) in self.spaces.iter().enumerate() {
            for region in space.iter().flat_map(|space| space.regions.iter()) {
                let Some((of, offset)) = region.file_at(region.start) else { continue };
                let first = (range.start & !mask).max(offset);
                let end = range.end.checked_add(mask).map_or(u64::MAX, |end| end & !mask);
                let end = end.min(offset + region.len());
                if of == file && first < end {
                    let va = |at: u64| VirtAddr(region.start.0 + (at - offset));
                    parts.push((SpaceId(number as u32), region.cut(va(first), va(end))));
                }
            }
        }
        parts
    }

    /// The parts of regions within a range.
    pub(super) fn regions_within(
        &self,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) -> Vec<Region> {
        let regions = self.space(id).regions.iter_from(start);
        let within = regions.take_while(|region| region.start < end);
        within.map(|region| region.cut(start, end)).collect()
    }
}
