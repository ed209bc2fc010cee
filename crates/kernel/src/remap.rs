//! mremap: resizing a mapping, and moving it with its pages.
//!
//! ```text
//!   old  ├─ page ─┼─ slot ─┼─ none ─┤          new  ├─ page ─┼─ slot ─┼─ none ─┼┄ none ┄┤
//!            │         │                                ▲        ▲
//!            └─────────┴──── entry by entry ────────────┴────────┘
//! ```
//!
//! Entries move, pages do not. The old tables stay until all entries have moved, so that they can
//! be moved back if there are no frames for new ones. Large pages are split: the new place need not
//! be aligned as the old one was.
//!
//! As Linux since 6.17, a move that keeps the length may take several regions along, holes between
//! them included.

use crate::space::space_in;
use crate::{
    Errno, Event, Kernel, Mapping, Placement, Platform, Pmap, Region, RegionFlags, RegionName,
    ReverseMapping, SpaceId,
};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

/// Where a mapping may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remap {
    /// Only where it is.
    InPlace,
    /// Anywhere, if it cannot stay (MREMAP_MAYMOVE).
    MayMove,
    /// There, replacing what is there (MREMAP_FIXED).
    Fixed(VirtAddr),
    /// The pages go, the mapping stays (MREMAP_DONTUNMAP); there, replacing what is there, or
    /// anywhere.
    DontUnmap(Placement),
}

/// A move of one region's part.
#[derive(Clone, Copy)]
struct Move {
    /// What is moved; empty if a shared mapping is made once more.
    piece: Region,
    /// The length there.
    len: u64,
    how: Remap,
}

impl<P: Pmap> Kernel<P> {
    /// Changes the length of a mapping, moving it if it must and may. An `old_len` of 0 makes
    /// another mapping of what a shared one shows.
    ///
    /// # Errors
    /// As mremap(2): `Efault` if the old range is not within one region, `Enomem` if there is no
    /// room, `Einval` for ranges that are none.
    pub fn mremap(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        old_len: u64,
        new_len: u64,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        let result = self.remap(platform, id, (start, old_len), new_len, how);
        self.settle_mapped(platform, id);
        result
    }

    fn remap(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        (start, old_len): (VirtAddr, u64),
        new_len: u64,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        if start.offset(self.page) != 0 {
            return Err(Errno::Einval);
        }
        let old_len = self.round_up(VirtAddr(old_len)).ok_or(Errno::Einval)?.0;
        let new_len = self.round_up(VirtAddr(new_len)).ok_or(Errno::Einval)?.0;
        if new_len == 0 || new_len > self.space(id).layout.user_end.0 {
            return Err(Errno::Einval);
        }
        self.check_target(id, start, old_len, new_len, how)?;
        match how {
            Remap::Fixed(to) | Remap::DontUnmap(Placement::Fixed(to)) if old_len == new_len => {
                self.move_regions(platform, id, start, old_len, to, how)
            }
            _ => self.resize(platform, id, start, old_len, new_len, how),
        }
    }

    /// Whether the place asked for is one.
    fn check_target(
        &self,
        id: SpaceId,
        start: VirtAddr,
        old_len: u64,
        new_len: u64,
        how: Remap,
    ) -> Result<(), Errno> {
        let (to, fixed) = match how {
            Remap::Fixed(to) | Remap::DontUnmap(Placement::Fixed(to)) => (to, true),
            Remap::DontUnmap(Placement::Anywhere { hint }) => (hint, false),
            _ => return Ok(()),
        };
        let end = to.0.checked_add(new_len).ok_or(Errno::Einval)?;
        // As Linux, which finds later that no mapping is as long as one that wraps.
        let old_end = start.0.wrapping_add(old_len);
        let overlap = to.0 < old_end && start.0 < end;
        if end > self.space(id).layout.user_end.0 || to.offset(self.page) != 0 || overlap {
            return Err(Errno::Einval);
        }
        if fixed && to < self.space(id).layout.user_start {
            return Err(Errno::Eperm);
        }
        Ok(())
    }

    /// Moves all that `[start, start + len)` has, and the holes between.
    fn move_regions(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        to: VirtAddr,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        let end = VirtAddr(start.0.checked_add(len).ok_or(Errno::Efault)?);
        let pieces: Vec<Region> = self.space(id).regions.within(start, end).collect();
        if pieces.first().is_none_or(|first| first.start != start) {
            return Err(Errno::Efault);
        }
        for piece in pieces {
            let there = VirtAddr(piece.start.0 - start.0 + to.0);
            let how = match how {
                Remap::DontUnmap(_) => Remap::DontUnmap(Placement::Fixed(there)),
                _ => Remap::Fixed(there),
            };
            self.check_growth(id, &piece, piece.start, piece.len(), piece.len(), how)?;
            self.move_region(platform, id, Move { piece, len: piece.len(), how })?;
        }
        Ok(to)
    }

    /// Unmaps what is behind the new length, whatever is there.
    fn shrink_in_place(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        old_len: u64,
        new_len: u64,
    ) -> Result<VirtAddr, Errno> {
        if new_len < old_len {
            // What is given up must be a range.
            self.range(id, start, old_len, Errno::Einval)?;
            let (kept, end) = (VirtAddr(start.0 + new_len), VirtAddr(start.0 + old_len));
            self.may_split(id, kept, end, 0)?;
            self.unmap_range(platform, id, kept, end)?;
        }
        Ok(start)
    }

    /// Changes the length of one region's part, or makes a shared one once more.
    fn resize(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        old_len: u64,
        new_len: u64,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        let region = *self.space(id).regions.find(start).ok_or(Errno::Efault)?;
        if old_len == 0 && !region.shared {
            return Err(Errno::Einval);
        }
        if new_len <= old_len && matches!(how, Remap::InPlace | Remap::MayMove) {
            return self.shrink_in_place(platform, id, start, old_len, new_len);
        }
        if let Remap::Fixed(to) = how
            && (to.0..to.0 + new_len).contains(&start.0)
        {
            // As Linux: clearing the place takes away what was to be shown once more.
            self.unmap_range(platform, id, to, VirtAddr(to.0 + new_len))?;
            return Err(Errno::Efault);
        }
        // What is given up is unmapped first, and may be anything.
        if old_len.min(new_len) > region.end.0 - start.0 {
            return Err(Errno::Efault);
        }
        self.check_growth(id, &region, start, old_len, new_len, how)?;
        let kept = VirtAddr(start.0 + old_len.min(new_len));
        let piece = Region { end: kept, ..region.cut(start, region.end) };
        if new_len < old_len {
            let old_end = VirtAddr(start.0 + old_len);
            self.may_split(id, kept, old_end, 0)?;
            self.unmap_range(platform, id, kept, old_end)?;
        }
        match how {
            Remap::InPlace | Remap::MayMove if old_len > 0 => {
                let new_end = start.0.checked_add(new_len).map(VirtAddr);
                let grows = |end| self.grow_in_place(platform, id, &region, kept, end);
                if new_end.is_some_and(grows) {
                    return Ok(start);
                }
            }
            _ => {}
        }
        match how {
            Remap::InPlace => Err(Errno::Enomem),
            _ => self.move_region(platform, id, Move { piece, len: new_len, how }),
        }
    }

    /// Whether the mapping may grow so far: a file's pages must be numbered up to the new end.
    fn check_growth(
        &mut self,
        id: SpaceId,
        region: &Region,
        start: VirtAddr,
        old_len: u64,
        new_len: u64,
        how: Remap,
    ) -> Result<(), Errno> {
        if let Some((_, offset)) = region.file_at(start) {
            let end = offset.checked_add(new_len).ok_or(Errno::Einval)?;
            if (end - 1) >> self.page.shift() > u64::from(u32::MAX) {
                return Err(Errno::Einval);
            }
        }
        let more = match how {
            // The old mapping stays.
            Remap::DontUnmap(_) => old_len,
            _ => new_len.saturating_sub(old_len),
        };
        if more == 0 {
            return Ok(());
        }
        self.may_expand(id, region, more, 0)?;
        self.may_commit(id, region, more, 0)
    }

    fn grow_in_place(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        region: &Region,
        old_end: VirtAddr,
        new_end: VirtAddr,
    ) -> bool {
        let space = self.space(id);
        let room = new_end <= space.layout.user_end && !space.regions.overlaps(old_end, new_end);
        if region.end != old_end || !room {
            return false;
        }
        let tail = Region { end: new_end, ..*region }.cut(old_end, new_end);
        self.space_mut(id).regions.insert(tail);
        platform.event(Event::Map { space: id, region: &tail });
        self.populate_tail(platform, id, &tail, old_end);
        true
    }

    /// Brings in what a locked mapping grew by.
    fn populate_tail(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        region: &Region,
        from: VirtAddr,
    ) {
        if region.flags & RegionFlags::LOCK == RegionFlags::LOCKED && from < region.end {
            self.populate_quietly(platform, id, from..region.end);
        }
    }

    fn move_region(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        Move { piece, len, how }: Move,
    ) -> Result<VirtAddr, Errno> {
        self.may_split(id, piece.start, piece.end, 2)?;
        let to = match how {
            Remap::Fixed(to) | Remap::DontUnmap(Placement::Fixed(to)) => {
                self.unmap_range(platform, id, to, VirtAddr(to.0 + len))?;
                to
            }
            Remap::DontUnmap(place) => self.place(id, place, len)?,
            _ => self.place(id, Placement::Anywhere { hint: VirtAddr(0) }, len)?,
        };
        self.split_ends(platform, id, piece.start, piece.end);
        let there = VirtAddr(to.0 + len);
        self.own_tables(platform, id, piece.start, piece.end)
            .and_then(|()| self.own_tables(platform, id, to, there))
            .map_err(|_| Errno::Enomem)?;
        self.move_pages(platform, id, &piece, to)?;
        let name = match piece.name {
            // Only where the kernel put them are they the heap and the stack.
            RegionName::Heap | RegionName::Stack => RegionName::None,
            other => other,
        };
        let new = Region { start: to, end: VirtAddr(to.0 + len), name, ..piece };
        if matches!(how, Remap::DontUnmap(_)) {
            self.change_part(platform, id, &piece, |region| Region {
                flags: region.flags - RegionFlags::LOCK,
                ..region
            })?;
        } else if piece.start < piece.end {
            self.unmap_range(platform, id, piece.start, piece.end)?;
        }
        self.space_mut(id).regions.insert(new);
        platform.event(Event::Map { space: id, region: &new });
        self.populate_tail(platform, id, &new, VirtAddr(to.0 + piece.len()));
        Ok(to)
    }

    fn move_pages(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        piece: &Region,
        to: VirtAddr,
    ) -> Result<(), Errno> {
        self.space_mut(id).epoch += 1;
        let mut at = piece.start;
        while let Some((va, _)) = self.space(id).pmap.next_mapping(platform, at, piece.end) {
            let target = VirtAddr(va.0 - piece.start.0 + to.0);
            // Reserving evicts: what is at `va` is looked at again afterwards.
            let missing = self.space(id).pmap.tables_missing(platform, target);
            if self.reserve_frames(platform, missing).is_err() {
                self.move_back(platform, id, piece, to, va);
                return Err(Errno::Enomem);
            }
            self.split_at(platform, id, va);
            self.move_entry(platform, id, va, target);
            at = VirtAddr(va.0 + self.page.bytes());
        }
        platform.pages_gone(id, piece.start, piece.end);
        Ok(())
    }

    /// Moves what was moved back, up to `end`; the old tables are all there.
    fn move_back(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        piece: &Region,
        to: VirtAddr,
        end: VirtAddr,
    ) {
        let to_end = VirtAddr(end.0 - piece.start.0 + to.0);
        let mut at = to;
        while let Some((va, _)) = self.space(id).pmap.next_mapping(platform, at, to_end) {
            self.move_entry(platform, id, va, VirtAddr(va.0 - to.0 + piece.start.0));
            at = VirtAddr(va.0 + self.page.bytes());
        }
        self.clear_pages(platform, id, to, to_end);
    }

    fn move_entry(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) {
        let Self { spaces, frames, counters, .. } = self;
        let pmap = &mut space_in(spaces, id).pmap;
        match pmap.lookup(platform, from) {
            Mapping::None => {}
            Mapping::Swapped(_) => {
                if let Some(slot) = pmap.take_slot(platform, frames, from) {
                    pmap.put_slot(platform, frames, to, slot);
                }
            }
            Mapping::Resident(_) => {
                if let Some(unmapped) = pmap.evict(platform, frames, from, None) {
                    let (was, flushed) = unmapped.flush(platform);
                    counters.count_flush(flushed);
                    pmap.enter(platform, frames, to, was);
                    frames.remove_mapping(was.pfn, ReverseMapping { space: id, va: from });
                    frames.add_mapping(was.pfn, ReverseMapping { space: id, va: to });
                }
            }
        }
    }
}
