//! Bringing pages in before they are touched: MAP_POPULATE, locks, MADV_POPULATE_*, MADV_WILLNEED.
//!
//! ```text
//!                      what                          how            when memory is short
//!   MAP_POPULATE       what may be accessed          as a fault     stops, tells nobody
//!   locks              everything                    as a fault     fails
//!   MADV_POPULATE_*    everything                    as a fault     fails
//!   MADV_WILLNEED      what lies on swap or in files as a fault     stops at the low watermark
//! ```
//!
//! A page is brought in by the fault handler: it is counted and told as a fault, as on Linux. What
//! cannot be brought in is the caller's to tell, and no signal.
//! Pages that can be stored to and are private are stored to, so that no copy is due later.

use crate::fault::Refusal;
use crate::{Errno, Kernel, Mapping, Platform, Pmap, Prot, Region, SpaceId, SwapSlot};
use core::ops::Range;
use pagewalk_mmu::{AccessKind, VirtAddr};

/// The access that populates a region for its program, if any is allowed.
pub(crate) fn access_of(region: &Region) -> Option<AccessKind> {
    let writable = region.prot.contains(Prot::WRITE);
    if writable && !region.shared {
        Some(AccessKind::Write)
    } else if region.allows(AccessKind::Read) {
        Some(AccessKind::Read)
    } else {
        region.allows(AccessKind::Execute).then_some(AccessKind::Execute)
    }
}

impl<P: Pmap> Kernel<P> {
    /// Brings all pages of a range in (MADV_POPULATE_READ, MADV_POPULATE_WRITE).
    pub(crate) fn populate(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        range: Range<VirtAddr>,
        store: bool,
    ) -> Result<(), Errno> {
        let (needed, kind) = match store {
            true => (Prot::WRITE, AccessKind::Write),
            false => (Prot::READ, AccessKind::Read),
        };
        let mut at = range.start;
        while at < range.end {
            let region = *self.space(id).regions.find(at).ok_or(Errno::Enomem)?;
            if !region.prot.contains(needed) {
                return Err(Errno::Einval);
            }
            let end = region.end.min(range.end);
            self.populate_pages(platform, id, at..end, kind)?;
            at = end;
        }
        Ok(())
    }

    /// Brings the pages of a range in as far as that goes.
    pub(crate) fn populate_quietly(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        range: Range<VirtAddr>,
    ) {
        let Some(region) = self.space(id).regions.find(range.start) else { return };
        if let Some(kind) = access_of(region) {
            let _told_nobody = self.populate_pages(platform, id, range, kind);
        }
    }

    /// Makes pages of one region resident, for accesses of this kind. `Efault` if one cannot be
    /// (SIGBUS), `Enomem` for want of memory: also if the range is longer than RAM and swap
    /// together, so that nobody waits for pages that push each other out.
    pub(crate) fn populate_pages(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        range: Range<VirtAddr>,
        kind: AccessKind,
    ) -> Result<(), Errno> {
        let mut left = self.frames.total() + self.swap.capacity();
        let mut at = range.start;
        while at < range.end {
            if !self.is_there(platform, id, at, kind) {
                left = left.checked_sub(1).ok_or(Errno::Enomem)?;
                self.attempt(platform, id, at, kind).map_err(|refusal| match refusal {
                    Refusal::Signal(_) => Errno::Efault,
                    Refusal::OutOfMemory(_) | Refusal::Wait(_) => Errno::Enomem,
                })?;
            }
            at = VirtAddr(at.0 + self.page.bytes());
        }
        Ok(())
    }

    /// Whether the page is resident and an access of this kind would not fault for its rights.
    fn is_there(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> bool {
        match self.space(id).pmap.lookup(platform, va) {
            Mapping::Resident(now) => kind != AccessKind::Write || now.prot.contains(Prot::WRITE),
            Mapping::Swapped(_) | Mapping::None => false,
        }
    }

    /// Brings in what lies on a device, while frames are free without evicting any.
    pub(crate) fn read_ahead(&mut self, platform: &mut impl Platform, id: SpaceId, part: &Region) {
        let Some(kind) = access_of(part).map(|kind| match kind {
            // No copy is made ahead.
            AccessKind::Write => AccessKind::Read,
            other => other,
        }) else {
            return;
        };
        let of_file = part.file_at(part.start).is_some();
        let mut at = part.start;
        while self.frames.free() > self.marks.low + Self::fault_frames_max(&self.hardware) {
            let next = match of_file {
                true => Some(at).filter(|&at| at < part.end),
                false => self.next_swapped(platform, id, at, part.end).map(|(va, _)| va),
            };
            let Some(va) = next else { return };
            if !self.is_there(platform, id, va, kind)
                && self.attempt(platform, id, va, kind).is_err()
            {
                return;
            }
            at = VirtAddr(va.0 + self.page.bytes());
        }
    }

    /// The first page at or above `at` that is on swap, and its slot.
    pub(crate) fn next_swapped(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        mut at: VirtAddr,
        end: VirtAddr,
    ) -> Option<(VirtAddr, SwapSlot)> {
        loop {
            let (va, now) = self.space(id).pmap.next_mapping(platform, at, end)?;
            if let Mapping::Swapped(slot) = now {
                return Some((va, slot));
            }
            at = VirtAddr(va.0 + self.page.bytes());
        }
    }
}
