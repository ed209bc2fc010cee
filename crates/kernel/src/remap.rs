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

use crate::space::space_in;
use crate::{
    Errno, Event, Kernel, Mapping, Placement, Platform, Pmap, Region, ReverseMapping, SpaceId,
};
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
}

impl<P: Pmap> Kernel<P> {
    /// Changes the length of a mapping, moving it if it must and may.
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
        let (start, old_end) = self.range(id, start, old_len, Errno::Einval)?;
        let new_len = self.round_up(VirtAddr(new_len)).ok_or(Errno::Enomem)?.0;
        let old_len = old_end.0 - start.0;
        if new_len == 0 || old_len == 0 {
            return Err(Errno::Einval);
        }
        let region = *self.space(id).regions.find(start).ok_or(Errno::Efault)?;
        if let Remap::Fixed(to) = how {
            self.check_fixed(id, start, old_len, to, new_len)?;
        }
        if region.end < old_end {
            return Err(Errno::Efault);
        }
        if new_len < old_len {
            self.unmap_range(platform, id, VirtAddr(start.0 + new_len), old_end);
        }
        let old_end = old_end.min(VirtAddr(start.0 + new_len));
        if !matches!(how, Remap::Fixed(_)) {
            self.check_growth(&region, start, new_len)?;
            let new_end = VirtAddr(start.0.checked_add(new_len).ok_or(Errno::Enomem)?);
            if new_len <= old_len || self.grow_in_place(platform, id, &region, old_end, new_end) {
                return Ok(start);
            }
            if how == Remap::InPlace {
                return Err(Errno::Enomem);
            }
        }
        let piece = region.cut(start, old_end);
        self.check_growth(&region, start, new_len)?;
        self.move_region(platform, id, &piece, new_len, how)
    }

    fn check_fixed(
        &self,
        id: SpaceId,
        start: VirtAddr,
        old_len: u64,
        to: VirtAddr,
        new_len: u64,
    ) -> Result<(), Errno> {
        self.place(id, Placement::Fixed(to), new_len).map_err(|error| match error {
            Errno::Enomem => Errno::Einval,
            other => other,
        })?;
        let overlap = to.0 < start.0 + old_len && start.0 < to.0 + new_len;
        if overlap { Err(Errno::Einval) } else { Ok(()) }
    }

    /// A file's pages must be numbered up to the new end.
    fn check_growth(&self, region: &Region, start: VirtAddr, len: u64) -> Result<(), Errno> {
        let Some((_, offset)) = region.file_at(start) else { return Ok(()) };
        let end = offset.checked_add(len).ok_or(Errno::Einval)?;
        let last = (end - 1) >> self.page.shift();
        if last > u64::from(u32::MAX) { Err(Errno::Einval) } else { Ok(()) }
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
        let above = space.regions.at_or_above(old_end);
        let room = new_end <= space.layout.user_end
            && above.is_none_or(|above| self.guarded_start(above) >= new_end);
        if region.end != old_end || !room {
            return false;
        }
        let tail = Region { end: new_end, ..*region }.cut(old_end, new_end);
        self.space_mut(id).regions.insert(tail);
        platform.event(Event::Map { space: id, region: &tail });
        true
    }

    fn move_region(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        piece: &Region,
        new_len: u64,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        let to = match how {
            Remap::Fixed(to) => {
                self.unmap_range(platform, id, to, VirtAddr(to.0 + new_len));
                to
            }
            _ => self.place(id, Placement::Anywhere { hint: VirtAddr(0) }, new_len)?,
        };
        self.split_ends(platform, id, piece.start, piece.end);
        self.move_pages(platform, id, piece, to)?;
        let new = Region { start: to, end: VirtAddr(to.0 + new_len), ..*piece };
        self.unmap_range(platform, id, piece.start, piece.end);
        self.space_mut(id).regions.insert(new);
        platform.event(Event::Map { space: id, region: &new });
        Ok(to)
    }

    fn move_pages(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        piece: &Region,
        to: VirtAddr,
    ) -> Result<(), Errno> {
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
