//! mmap, munmap, mprotect.
//!
//! They change regions; pages follow when they are touched. What goes away goes at once.

use crate::cow::prot_in;
use crate::space::space_in;
use crate::{
    Backing, Errno, Event, HugeAdvice, Kernel, Overcommit, Placement, Platform, Pmap, Prot, Region,
    RegionFlags, RegionName, SpaceId,
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
    /// Stores reach the file and are seen by others: of anonymous memory, by those who are forked.
    pub shared: bool,
    /// Whether mprotect may allow stores.
    pub may_write: bool,
    /// Grows downwards.
    pub grows_down: bool,
    /// What it is for.
    pub name: RegionName,
    /// What else is known of it: locks, whether it is reserved.
    pub flags: RegionFlags,
    /// Bring its pages in at once, as far as that goes (MAP_POPULATE).
    pub populate: bool,
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
            flags: RegionFlags::empty(),
            populate: false,
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Makes a mapping, and returns where it is.
    ///
    /// # Errors
    /// As mmap(2). `Enomem` is want of addresses, or a limit: memory is not needed before it is
    /// touched.
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
        let start = self.place(id, request.place, len).inspect_err(|&error| {
            self.refusals.addresses += u64::from(error == Errno::Enomem);
        })?;
        if request.shared && request.prot.contains(Prot::WRITE) && !request.may_write {
            return Err(Errno::Eacces);
        }
        let mut region = Region {
            start,
            end: VirtAddr(start.0 + len),
            prot: request.prot,
            backing: request.backing,
            shared: request.shared,
            may_write: request.may_write,
            grows_down: request.grows_down,
            name: request.name,
            huge: HugeAdvice::None,
            flags: request.flags | self.space(id).future_lock,
        };
        if self.config.overcommit == Overcommit::Never {
            region.flags -= RegionFlags::NO_RESERVE;
        }
        self.check_room(id, &region)?;
        if matches!(request.place, Placement::Fixed(_)) {
            self.unmap_range(platform, id, region.start, region.end)?;
        }
        region.backing = self.backing_of(&region);
        self.space_mut(id).regions.insert(region);
        platform.event(Event::Map { space: id, region: &region });
        self.settle_mapped(platform, id);
        let locked = region.flags & RegionFlags::LOCK == RegionFlags::LOCKED;
        if request.populate || locked {
            self.populate_quietly(platform, id, region.start..region.end);
        }
        Ok(start)
    }

    /// Whether the space's limits and the machine's memory allow a new region.
    fn check_room(&mut self, id: SpaceId, region: &Region) -> Result<(), Errno> {
        self.may_split(id, region.start, region.end, 1)?;
        let replaced = self.space(id).regions.mapped_within(region.start, region.end);
        self.may_expand(id, region, region.len(), replaced)?;
        let of_object = region.shared && region.backing == Backing::Anonymous;
        if of_object {
            return self.may_commit_object(id, region);
        }
        let replaced = self.committed_within(id, region);
        self.may_commit(id, region, region.len(), replaced)
    }

    /// Anonymous memory that is shared has an object of its own: a fork has others see it.
    fn backing_of(&mut self, region: &Region) -> Backing {
        match region.backing {
            Backing::Anonymous if region.shared => {
                Backing::File { file: self.create_mapped_object(region.len()), offset: 0 }
            }
            backing => backing,
        }
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
    /// `Einval` if the range is not one of pages in user space; `Enomem` if a page table that others
    /// have as well cannot be copied.
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
        if self.space(id).regions.splits(start, end) == 2 {
            self.may_split(id, start, end, 0)?;
        }
        self.unmap_range(platform, id, start, end)?;
        self.settle_mapped(platform, id);
        Ok(())
    }

    /// Changes what the program may do with a range.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range, too many regions or too much data: what is before
    /// is changed, as on Linux. `Eacces` if stores are wanted to a shared mapping of a file that
    /// was opened for reading.
    pub fn mprotect(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        prot: Prot,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        // Nothing is changed unless the range begins in a region.
        let hole = self.space(id).regions.first_hole(start, end);
        self.advise_parts(id, start..hole.unwrap_or(end), |kernel, part| {
            kernel.protect_part(platform, id, part, prot)
        })?;
        hole.map_or(Ok(()), |_| Err(Errno::Enomem))
    }

    /// As [`Kernel::mprotect`], from the start of the region that holds `start`, which must be one
    /// that grows down (PROT_GROWSDOWN).
    ///
    /// # Errors
    /// `Einval` if it is not; then as [`Kernel::mprotect`].
    pub fn mprotect_stack(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        prot: Prot,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        let region = *self.space(id).regions.at_or_above(start).ok_or(Errno::Enomem)?;
        if region.start >= end {
            return Err(Errno::Enomem);
        }
        if !region.grows_down {
            return Err(Errno::Einval);
        }
        self.mprotect(platform, id, region.start, end.0 - region.start.0, prot)
    }

    fn protect_part(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
        prot: Prot,
    ) -> Result<(), Errno> {
        if !part.may_become(prot) {
            return Err(Errno::Eacces);
        }
        let new = Region { prot, ..*part };
        if new.is_data() && !part.is_data() {
            self.may_expand_data(id, part.len())?;
        }
        if !part.is_accountable() {
            self.may_commit(id, &new, part.len(), 0)?;
        }
        self.own_tables(platform, id, part.start, part.end).map_err(|_| Errno::Enomem)?;
        platform.event(Event::Protect { space: id, region: part, prot });
        self.change_part(platform, id, part, |region| Region { prot, ..region })?;
        self.protect_pages(platform, id, &new);
        if part.owes_locked_copies(prot) {
            self.populate_quietly(platform, id, part.start..part.end);
        }
        Ok(())
    }

    fn protect_pages(&mut self, platform: &mut impl Platform, id: SpaceId, region: &Region) {
        let Self { spaces, frames, swap, .. } = self;
        let space = space_in(spaces, id);
        let mut prot = |pfn| prot_in(frames, swap, region, pfn);
        let debt = space.pmap.protect_range(platform, frames, region.start, region.end, &mut prot);
        self.discharge(platform, debt);
    }

    /// Removes the regions of a range, and everything that backs them.
    ///
    /// # Errors
    /// `Enomem` if a page table that others have as well cannot be copied: nothing is removed.
    pub(crate) fn unmap_range(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) -> Result<(), Errno> {
        self.part_tables(platform, id, start, end).map_err(|_| Errno::Enomem)?;
        self.split_ends(platform, id, start, end);
        for region in self.space_mut(id).regions.remove(start, end) {
            self.clear_pages(platform, id, region.start, region.end);
            platform.event(Event::Unmap { space: id, region: &region });
        }
        Ok(())
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
