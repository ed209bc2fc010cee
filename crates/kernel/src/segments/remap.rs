//! mremap: resizing a mapping, and copying it elsewhere if there is no room where it is.

use super::claim::Claim;
use super::{Geometry, SegmentKernel, SegmentPlatform};
use crate::{Errno, Event, Placement, Region, Remap, SpaceId};
use pagewalk_mmu::VirtAddr;

impl SegmentKernel {
    /// Changes the length of a mapping, moving it if it must and may.
    ///
    /// # Errors
    /// As mremap(2): `Efault` if the old range is not within one region, `Enomem` if there is no
    /// room, `Einval` for ranges that are none; `Eio` if a file cannot be read or written.
    pub fn mremap(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        start: VirtAddr,
        old_len: u64,
        new_len: u64,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        let (start, old_end) = self.range(id, start, old_len, Errno::Einval)?;
        let new_len = self.round_up(new_len).ok_or(Errno::Enomem)?;
        let old_len = old_end.0 - start.0;
        if new_len == 0 || old_len == 0 {
            return Err(Errno::Einval);
        }
        let region = *self.space(id).regions.find(start).ok_or(Errno::Efault)?;
        if matches!(how, Remap::DontUnmap(_)) {
            // There are no pages to go without their mapping.
            return Err(Errno::Einval);
        }
        if let Remap::Fixed(to) = how {
            self.check_fixed(id, start, old_len, to, new_len)?;
        }
        if region.end < old_end {
            return Err(Errno::Efault);
        }
        if let Some((_, offset)) = region.file_at(start) {
            offset.checked_add(new_len).ok_or(Errno::Einval)?;
        }
        if new_len < old_len {
            self.unmap_range(platform, id, VirtAddr(start.0 + new_len), old_end)?;
        }
        let old_end = old_end.min(VirtAddr(start.0 + new_len));
        if !matches!(how, Remap::Fixed(_)) {
            let new_end = VirtAddr(start.0.checked_add(new_len).ok_or(Errno::Enomem)?);
            if new_len <= old_len || self.grow_in_place(platform, id, &region, old_end, new_end) {
                return Ok(start);
            }
            if how == Remap::InPlace {
                return Err(Errno::Enomem);
            }
        }
        let piece = region.cut(start, old_end);
        self.copy_region(platform, id, &piece, new_len, how)
    }

    fn check_fixed(
        &mut self,
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

    fn grow_in_place(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        region: &Region,
        old_end: VirtAddr,
        new_end: VirtAddr,
    ) -> bool {
        let space = self.space(id);
        let limit = match self.geometry {
            Geometry::Table(_) => space.layout.mmap_base,
            _ => space.layout.user_end,
        };
        if region.end != old_end
            || new_end > limit
            || space.regions.overlaps(old_end, new_end)
            || self.cover(platform, id, old_end, new_end, Claim::Grow).is_err()
        {
            return false;
        }
        let tail = Region { end: new_end, ..*region }.cut(old_end, new_end);
        if self.fill(platform, id, &tail).is_err() {
            self.trim(platform, id, old_end, new_end);
            return false;
        }
        self.space_mut(id).regions.insert(tail);
        self.load_registers(platform, id, old_end.0..new_end.0);
        platform.event(Event::Map { space: id, region: &tail });
        true
    }

    /// Makes the mapping anew, copies what it had, and removes the old one.
    fn copy_region(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        piece: &Region,
        new_len: u64,
        how: Remap,
    ) -> Result<VirtAddr, Errno> {
        let fixed = matches!(how, Remap::Fixed(_));
        let to = match how {
            Remap::Fixed(to) => to,
            _ => self.place(id, Placement::Anywhere { hint: VirtAddr(0) }, new_len)?,
        };
        let new = Region { start: to, end: VirtAddr(to.0 + new_len), ..*piece };
        self.cover(platform, id, new.start, new.end, Claim::New)?;
        let tail = new.cut(VirtAddr(to.0 + piece.len()), new.end);
        let prepared = match fixed {
            true => self.write_back_within(platform, id, new.start, new.end),
            false => Ok(()),
        };
        let prepared = prepared.and_then(|()| {
            if fixed {
                self.remove_regions(platform, id, new.start, new.end);
            }
            if tail.is_empty() { Ok(()) } else { self.fill(platform, id, &tail) }
        });
        if let Err(error) = prepared {
            self.trim(platform, id, new.start, new.end);
            return Err(error);
        }
        for va in self.pages(piece.start, piece.end) {
            let target = VirtAddr(va.0 - piece.start.0 + to.0);
            if let (Some(from), Some(into)) = (self.frame_at(id, va), self.frame_at(id, target)) {
                platform.copy_frame(from, into);
            }
        }
        // What the old place had for its file the new one has now.
        self.remove_regions(platform, id, piece.start, piece.end);
        self.space_mut(id).regions.insert(new);
        self.trim(platform, id, piece.start, piece.end);
        self.load_registers(platform, id, new.start.0..new.end.0);
        platform.event(Event::Map { space: id, region: &new });
        Ok(to)
    }
}
