//! Pages of files: reading, writing back, and staying coherent with read(2) and write(2).
//!
//! ```text
//!   read(2):   sync_file(range)    dirty mapped pages reach the file     then the host reads
//!   write(2):  sync_file(range)    …                                     then the host writes
//!              file_changed(range) cached pages are read again in place, and pages
//!                                  beyond a new end are unmapped and dropped
//! ```

use crate::pmap::FlushDebt;
use crate::space::space_in;
use crate::{Event, FileId, IoError, Kernel, Platform, Pmap, Store, Use};
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::Pfn;

impl<P: Pmap> Kernel<P> {
    /// Writes the dirty cached pages of a file's byte range back. An object has nowhere to be written
    /// to.
    ///
    /// # Errors
    /// The first error; the other pages are tried all the same, and what failed stays dirty.
    pub fn sync_file(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        range: Range<u64>,
    ) -> Result<(), IoError> {
        let mut result = Ok(());
        if file.is_memory() {
            return result;
        }
        for pfn in self.cached_pages(file, range) {
            self.collect_modified(platform, pfn);
            if self.frames.dirty(pfn) {
                result = result.and(self.write_back(platform, pfn));
            }
        }
        result
    }

    /// Writes the dirty cached pages of all files back (sync).
    ///
    /// # Errors
    /// As [`Kernel::sync_file`].
    pub fn sync_all(&mut self, platform: &mut impl Platform) -> Result<(), IoError> {
        let mut result = Ok(());
        for pfn in (0..self.frames.total()).map(Pfn) {
            let Use::File { file, .. } = self.frames.used(pfn) else { continue };
            if file.is_memory() {
                continue;
            }
            self.collect_modified(platform, pfn);
            if self.frames.dirty(pfn) {
                result = result.and(self.write_back(platform, pfn));
            }
        }
        result
    }

    /// The file ends at `len` now: what is behind is unmapped everywhere, copies of private mappings
    /// too, and faults with SIGBUS. Called after the file was made shorter or longer.
    ///
    /// # Errors
    /// As [`Kernel::file_changed`], for the page that the end lies in.
    pub fn file_resized(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        before: u64,
        len: u64,
    ) -> Result<(), IoError> {
        if len < before {
            self.unmap_file_from(platform, file, len);
        }
        self.file_changed(platform, file, before.min(len)..u64::MAX)
    }

    /// The file's bytes changed other than through a mapping: cached pages show what is there
    /// now; pages beyond the file's end are unmapped, and fault with SIGBUS from then on.
    ///
    /// # Errors
    /// The first error; such a page is unmapped and read again when it is used.
    pub fn file_changed(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        range: Range<u64>,
    ) -> Result<(), IoError> {
        let mut result = Ok(());
        if file.is_memory() {
            return result;
        }
        for pfn in self.cached_pages(file, range) {
            let Use::File { index, .. } = self.frames.used(pfn) else { continue };
            let offset = u64::from(index) << self.page.shift();
            match self.read_page_or_error(platform, file, offset, pfn) {
                Ok(valid) if valid > 0 => self.frames.set_valid(pfn, valid as u32),
                outcome => {
                    result = result.and(outcome.map(|_| ()));
                    self.unmap_everywhere(platform, pfn);
                    self.free_page(pfn);
                }
            }
        }
        result
    }

    /// Drops the cached pages of a file that is closed. `false`, and nothing is dropped, if a region
    /// maps it or a page cannot be written back. An object keeps its pages.
    pub fn forget_file(&mut self, platform: &mut impl Platform, file: FileId) -> bool {
        if self.mapped_bytes(file) > 0 || self.sync_file(platform, file, 0..u64::MAX).is_err() {
            return false;
        }
        if file.is_memory() {
            return true;
        }
        let pages = self.cached_pages(file, 0..u64::MAX);
        for pfn in pages {
            self.free_page(pfn);
        }
        true
    }

    /// The frames that hold pages of a file's byte range: asked for one by one, or, if the range
    /// has more pages than there are frames, by looking at every frame.
    pub(crate) fn cached_pages(&self, file: FileId, range: Range<u64>) -> Vec<Pfn> {
        if self.cache.is_empty() || range.is_empty() {
            return Vec::new();
        }
        let first = range.start >> self.page.shift();
        let last = (range.end - 1) >> self.page.shift();
        if last - first < self.frames.total() {
            let indices = (first..=last).filter_map(|index| u32::try_from(index).ok());
            return indices.filter_map(|i| self.cache.find(&self.frames, file, i)).collect();
        }
        let within = |pfn: &Pfn| match self.frames.used(*pfn) {
            Use::File { file: of, index, .. } => {
                of == file && (first..=last).contains(&u64::from(index))
            }
            _ => false,
        };
        (0..self.frames.total()).map(Pfn).filter(within).collect()
    }

    /// Reads a page of a file; an error is counted and told.
    pub(crate) fn read_page(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        offset: u64,
        pfn: Pfn,
    ) -> Option<usize> {
        self.read_page_or_error(platform, file, offset, pfn).ok()
    }

    fn read_page_or_error(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        offset: u64,
        pfn: Pfn,
    ) -> Result<usize, IoError> {
        let store = Store::File { file, offset };
        let read = platform.file_read(file, offset, pfn);
        match read {
            Ok(0) => {}
            Ok(_) => {
                self.counters.pgpgin += self.page.bytes() / 1024;
                platform.event(Event::PageIn { from: store, pfn });
            }
            Err(error) => {
                self.counters.file_io_errors += 1;
                platform.event(Event::IoError { store, pfn, write: false, error });
            }
        }
        read
    }

    /// Writes a page of a file back; it is clean afterwards, unless there was an error, which is
    /// counted and told.
    pub(crate) fn write_back(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
    ) -> Result<(), IoError> {
        let Use::File { file, index, valid } = self.frames.used(pfn) else { return Ok(()) };
        let offset = u64::from(index) << self.page.shift();
        let store = Store::File { file, offset };
        if let Err(error) = platform.file_write(file, offset, pfn, valid as usize) {
            self.counters.file_io_errors += 1;
            platform.event(Event::IoError { store, pfn, write: true, error });
            return Err(error);
        }
        self.counters.pgpgout += self.page.bytes() / 1024;
        platform.event(Event::PageOut { pfn, to: store, bytes: u64::from(valid) });
        self.frames.set_dirty(pfn, false);
        Ok(())
    }

    /// Moves the modified bits of a frame's mappings to the frame.
    pub(crate) fn collect_modified(&mut self, platform: &mut impl Platform, pfn: Pfn) {
        let Self { frames, spaces, counters, .. } = self;
        let mut modified = false;
        for mapping in frames.reverse(pfn) {
            let pmap = &mut space_in(spaces, mapping.space).pmap;
            if let Some(debt) = pmap.take_modified(platform, frames, mapping.va) {
                counters.count_flush(debt.discharge(platform));
                modified = true;
            }
        }
        if modified {
            frames.set_dirty(pfn, true);
        }
    }

    /// Removes all mappings of a file's frame; their modified bits go to the frame.
    pub(crate) fn unmap_everywhere(&mut self, platform: &mut impl Platform, pfn: Pfn) {
        while let Some(mapping) = self.frames.first_mapping(pfn) {
            let space = space_in(&mut self.spaces, mapping.space);
            let Some(unmapped) = space.pmap.evict(platform, &mut self.frames, mapping.va, None)
            else {
                unreachable!("frame {pfn} is mapped at {}", mapping.va)
            };
            let (was, flushed) = unmapped.flush(platform);
            self.counters.count_flush(flushed);
            if was.modified {
                self.frames.set_dirty(pfn, true);
            }
            self.note_unmapped(mapping, was);
        }
    }

    pub(crate) fn discharge(&mut self, platform: &mut impl Platform, debt: FlushDebt) {
        self.counters.count_flush(debt.discharge(platform));
    }
}
