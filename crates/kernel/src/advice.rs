//! madvise: what a program expects of its memory, and what it wants done to it.
//!
//! ```text
//!   said of the region, for later          done to its pages now
//!   NORMAL SEQUENTIAL RANDOM               DONTNEED   dropped            FREE  dropped lazily
//!   DONTFORK WIPEONFORK DONTDUMP …         COLD       not referenced     PAGEOUT      evicted
//!   HUGEPAGE NOHUGEPAGE MERGEABLE …        WILLNEED, POPULATE_*   brought in
//!                                          REMOVE     zeroes, for all who share the object
//! ```
//!
//! Holes: what is mapped is advised all the same, then the call fails (`Enomem`). An error in one
//! region ends the call there.

use crate::{Errno, FileId, HugeAdvice, Kernel, Platform, Pmap, Region, RegionFlags, SpaceId};
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::VirtAddr;

/// Advice, as madvise(2) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// No order of references is expected (MADV_NORMAL).
    Normal,
    /// MADV_RANDOM.
    Random,
    /// MADV_SEQUENTIAL.
    Sequential,
    /// Bring pages in that lie on a device, as far as free memory goes (MADV_WILLNEED).
    WillNeed,
    /// Drop the pages: anonymous ones are zeroes at the next access (MADV_DONTNEED).
    DontNeed {
        /// Also where they are locked (MADV_DONTNEED_LOCKED).
        locked: bool,
    },
    /// Drop anonymous pages when memory is short, unless they are stored to before (MADV_FREE).
    Free,
    /// Drop the pages and what they hold from a shared object (MADV_REMOVE).
    Remove,
    /// MADV_DONTFORK.
    DontFork,
    /// MADV_DOFORK.
    DoFork,
    /// MADV_MERGEABLE.
    Mergeable,
    /// MADV_UNMERGEABLE.
    Unmergeable,
    /// MADV_HUGEPAGE, MADV_NOHUGEPAGE.
    Huge(HugeAdvice),
    /// Make large pages now (MADV_COLLAPSE).
    Collapse,
    /// MADV_DONTDUMP.
    DontDump,
    /// MADV_DODUMP.
    DoDump,
    /// MADV_WIPEONFORK.
    WipeOnFork,
    /// MADV_KEEPONFORK.
    KeepOnFork,
    /// Not referenced lately (MADV_COLD).
    Cold,
    /// Evict now (MADV_PAGEOUT).
    PageOut,
    /// Bring all pages in, as loads would (MADV_POPULATE_READ).
    PopulateRead,
    /// Bring all pages in, as stores would (MADV_POPULATE_WRITE).
    PopulateWrite,
}

impl<P: Pmap> Kernel<P> {
    /// Takes advice on a range.
    ///
    /// # Errors
    /// As madvise(2): `Einval` for a range that is none or advice that a region cannot take,
    /// `Enomem` if there is a hole in the range (what is mapped takes the advice all the same),
    /// `Eagain` if there would be too many regions or too little memory, `Eacces` for MADV_REMOVE of what may not be
    /// stored to, `Eio` of a file that cannot be written, `Efault` if a page cannot be populated.
    pub fn madvise(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        advice: Advice,
    ) -> Result<(), Errno> {
        let range = self.advised_range(start, len)?;
        match advice {
            Advice::PopulateRead => self.populate(platform, id, range, false),
            Advice::PopulateWrite => self.populate(platform, id, range, true),
            _ => self.advise_parts(id, range, |kernel, part| {
                kernel.advise_part(platform, id, part, advice)
            }),
        }
    }

    /// A range of whole pages; where it ends, nothing needs to be.
    pub(crate) fn advised_range(
        &self,
        start: VirtAddr,
        len: u64,
    ) -> Result<Range<VirtAddr>, Errno> {
        if start.offset(self.page) != 0 {
            return Err(Errno::Einval);
        }
        let len = self.round_up(VirtAddr(len)).ok_or(Errno::Einval)?;
        let end = start.0.checked_add(len.0).ok_or(Errno::Einval)?;
        Ok(start..VirtAddr(end))
    }

    /// Calls `advise` for the part of each region in a range, lowest first, up to the first error.
    pub(crate) fn advise_parts(
        &mut self,
        id: SpaceId,
        range: Range<VirtAddr>,
        mut advise: impl FnMut(&mut Self, &Region) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let parts: Vec<Region> = self.space(id).regions.within(range.start, range.end).collect();
        for part in &parts {
            advise(self, part)?;
        }
        self.no_hole(id, range.start, range.end)
    }

    fn advise_part(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
        advice: Advice,
    ) -> Result<(), Errno> {
        let locked = part.flags.contains(RegionFlags::LOCKED);
        match advice {
            Advice::DontNeed { locked: false } | Advice::Free | Advice::Cold | Advice::PageOut
                if locked =>
            {
                return Err(Errno::Einval);
            }
            Advice::DontNeed { .. } => {
                self.part_tables(platform, id, part.start, part.end).map_err(|_| Errno::Eagain)?;
                self.split_ends(platform, id, part.start, part.end);
                self.clear_pages(platform, id, part.start, part.end);
            }
            Advice::Free if part.shared || part.file_at(part.start).is_some() => {
                return Err(Errno::Einval);
            }
            Advice::Free => {
                self.own_tables(platform, id, part.start, part.end).map_err(|_| Errno::Eagain)?;
                self.free_lazily(platform, id, part);
            }
            Advice::Cold => self.make_cold(platform, id, part),
            Advice::PageOut => self.page_out(platform, id, part),
            Advice::WillNeed => self.read_ahead(platform, id, part),
            Advice::Remove => return self.remove_part(platform, part),
            Advice::Huge(huge) => return self.advise_huge_part(platform, id, part, huge),
            Advice::Collapse => return self.collapse_part(platform, id, part),
            Advice::PopulateRead | Advice::PopulateWrite => {}
            _ => return self.advise_flags(platform, id, part, advice),
        }
        Ok(())
    }

    /// Advice that is only noted.
    fn advise_flags(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
        advice: Advice,
    ) -> Result<(), Errno> {
        let none = RegionFlags::empty();
        let (gone, new) = match advice {
            Advice::Normal => (RegionFlags::ORDER, none),
            Advice::Random => (RegionFlags::ORDER, RegionFlags::RANDOM),
            Advice::Sequential => (RegionFlags::ORDER, RegionFlags::SEQUENTIAL),
            Advice::DontFork => (none, RegionFlags::DONT_FORK),
            Advice::DoFork => (RegionFlags::DONT_FORK, none),
            Advice::DontDump => (none, RegionFlags::DONT_DUMP),
            Advice::DoDump => (RegionFlags::DONT_DUMP, none),
            Advice::WipeOnFork if part.shared || part.file_at(part.start).is_some() => {
                return Err(Errno::Einval);
            }
            Advice::WipeOnFork => (none, RegionFlags::WIPE_ON_FORK),
            Advice::KeepOnFork => (RegionFlags::WIPE_ON_FORK, none),
            // What is shared has one copy anyhow.
            Advice::Mergeable if part.shared => return Ok(()),
            Advice::Mergeable => {
                self.start_merging();
                (none, RegionFlags::MERGEABLE)
            }
            Advice::Unmergeable => {
                self.unmerge_part(platform, id, part).map_err(|_| Errno::Eagain)?;
                (RegionFlags::MERGEABLE, none)
            }
            _ => return Ok(()),
        };
        let change = |region: Region| Region { flags: (region.flags - gone) | new, ..region };
        // As Linux: the program may try again when it has fewer regions.
        self.change_part(platform, id, part, change).map_err(|_| Errno::Eagain)
    }

    /// Changes what a part of a region says, cutting the region if need be. Pages stay as they
    /// are.
    pub(crate) fn change_part(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
        change: impl Fn(Region) -> Region,
    ) -> Result<(), Errno> {
        if change(*part) == *part {
            return Ok(());
        }
        self.may_split(id, part.start, part.end, 0)?;
        self.split_ends(platform, id, part.start, part.end);
        let regions = &mut self.space_mut(id).regions;
        for piece in regions.remove(part.start, part.end) {
            regions.insert(change(piece));
        }
        Ok(())
    }

    /// Takes away what backs a part of a region: it is a hole in the object or file then.
    fn remove_part(&mut self, platform: &mut impl Platform, part: &Region) -> Result<(), Errno> {
        let (file, offset) = part.file_at(part.start).ok_or(Errno::Einval)?;
        if part.flags.contains(RegionFlags::LOCKED) {
            return Err(Errno::Einval);
        }
        if !part.shared || !part.may_write {
            return Err(Errno::Eacces);
        }
        match file.is_memory() {
            true => self.punch_object(platform, file, offset..offset + part.len()),
            false => self.punch_file(platform, file, offset..offset + part.len()),
        }
    }

    fn punch_file(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        self.sync_file(platform, file, range.clone())
            .and_then(|()| platform.file_punch(file, range.clone()))
            .and_then(|()| self.file_changed(platform, file, range))
            .map_err(|_| Errno::Eio)
    }

    /// Checks that a range is mapped.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range.
    pub fn check_mapped(&self, id: SpaceId, start: VirtAddr, len: u64) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        self.no_hole(id, start, end)
    }

    pub(crate) fn no_hole(&self, id: SpaceId, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
        match self.space(id).regions.first_hole(start, end) {
            None => Ok(()),
            Some(_) => Err(Errno::Enomem),
        }
    }
}
