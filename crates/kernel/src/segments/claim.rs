//! Memory for addresses, and back: covering, growing, trimming.
//!
//! ```text
//!   grow up     ├─ domain ─┤ free ├            taken where it is
//!               ├─ domain ─┤▒▒▒▒▒▒├ … free … ┤ copied to a free block that is large enough
//!               ▒▒├─ domain ─┤▒▒ free ▒▒ free  compacted, so that all free memory is behind it
//! ```
//!
//! Each step is tried when the one before it cannot be; only the sum of free memory decides.

use super::{Domain, Geometry, SegmentKernel, SegmentPlatform};
use crate::segments::compact::Gap;
use crate::{Errno, SpaceId};
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::segment::Direction;
use pagewalk_mmu::{Pfn, VirtAddr};

/// How addresses behind a domain become memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// An object of its own: in units that no domain has, a new domain.
    New,
    /// As `New`, but it grows down if it can.
    NewDown,
    /// A part of the object that ends there: its domain grows.
    Grow,
}

impl SegmentKernel {
    /// Has all of `[from, to)`, whole pages, lie in domains.
    ///
    /// # Errors
    /// `Enomem` if memory does not suffice; domains are as they were then, but for their places.
    pub(super) fn cover(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
        claim: Claim,
    ) -> Result<(), Errno> {
        let result = self.cover_or_stop(platform, id, from, to, claim);
        if result.is_err() {
            self.trim(platform, id, from, to);
        }
        self.note_peaks();
        result
    }

    fn cover_or_stop(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
        claim: Claim,
    ) -> Result<(), Errno> {
        let mut at = from;
        while at < to {
            at = match self.owner(id, at) {
                Some(index) => {
                    let domain = self.space(id).domains[index];
                    if domain.contains(at) {
                        domain.end
                    } else if at < domain.start {
                        self.grow_down(platform, id, index, at)?;
                        domain.start
                    } else {
                        let limit = match claim {
                            Claim::Grow => self.units_free_until(id, index),
                            _ => domain.units(self.unit()).end,
                        };
                        let end = VirtAddr(to.0.min(limit));
                        self.grow_up(platform, id, index, end)?;
                        end
                    }
                }
                None if claim == Claim::Grow && self.ends_at(id, at).is_some() => {
                    let index = self.ends_at(id, at).ok_or(Errno::Enomem)?;
                    let end = VirtAddr(to.0.min(self.units_free_until(id, index)));
                    self.grow_up(platform, id, index, end)?;
                    end
                }
                None => self.add_domain(platform, id, at, to, claim)?,
            };
        }
        Ok(())
    }

    /// The domain that has the unit of `at`, though perhaps not `at` itself.
    pub(super) fn owner(&self, id: SpaceId, at: VirtAddr) -> Option<usize> {
        let unit = self.unit();
        self.space(id).domains.iter().position(|domain| domain.units(unit).contains(&at.0))
    }

    fn ends_at(&self, id: SpaceId, at: VirtAddr) -> Option<usize> {
        let grows = |domain: &Domain| domain.end == at && domain.direction == Direction::Up;
        self.space(id).domains.iter().position(grows).filter(|_| self.geometry.moves())
    }

    /// The start of the first unit behind a domain that another one has.
    fn units_free_until(&self, id: SpaceId, index: usize) -> u64 {
        let space = self.space(id);
        let next = space.domains.get(index + 1);
        next.map_or(space.layout.user_end.0, |next| next.units(self.unit()).start)
    }

    /// Makes a domain that begins at the unit of `at` and reaches to `to`, or to a unit that
    /// another one has. Returns its end.
    fn add_domain(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        at: VirtAddr,
        to: VirtAddr,
        claim: Claim,
    ) -> Result<VirtAddr, Errno> {
        let unit = self.unit();
        let index = self.space(id).domains.partition_point(|domain| domain.end <= at);
        let next = self.space(id).domains.get(index).map(|next| next.units(unit).start);
        let end = VirtAddr(to.0.min(next.unwrap_or(u64::MAX)));
        let down = claim == Claim::NewDown && end.0.is_multiple_of(unit);
        let lowest = self.space(id).layout.user_start;
        let (start, direction) = match down {
            true => (at, Direction::Down),
            false => (VirtAddr(at.0 & !(unit - 1)).max(lowest), Direction::Up),
        };
        let frames = (end.0 - start.0) >> self.page.shift();
        let frame = match self.geometry {
            Geometry::Identity => {
                let frame = start.0 >> self.page.shift();
                let taken = self.blocks.allocate_at(frame, frames);
                taken.then_some(frame).ok_or_else(|| self.refuse_memory(frames))?
            }
            _ => self.block(platform, frames)?,
        };
        let domain = Domain { start, end, frame: Pfn(frame), direction };
        self.space_mut(id).domains.insert(index, domain);
        self.load_registers(platform, id, domain.units(unit));
        Ok(end)
    }

    /// A block, by fit, and else by compaction.
    fn block(&mut self, platform: &mut impl SegmentPlatform, frames: u64) -> Result<u64, Errno> {
        if let Some(frame) = self.blocks.allocate(frames, self.fit) {
            return Ok(frame);
        }
        if self.blocks.free_frames() < frames {
            return Err(self.refuse_memory(frames));
        }
        self.compact(platform, Gap::AtTheEnd);
        self.blocks.allocate(frames, self.fit).ok_or(Errno::Enomem)
    }

    /// Makes a domain longer at its end.
    fn grow_up(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        index: usize,
        end: VirtAddr,
    ) -> Result<(), Errno> {
        let old = self.space(id).domains[index];
        let more = (end.0 - old.end.0) >> self.page.shift();
        let held = old.frames(self.page);
        let frame = if self.blocks.allocate_at(old.frame.0 + held, more) {
            old.frame
        } else if let Some(new) = self.larger_block(held + more) {
            self.move_frames(platform, old.frame.0, new, held);
            self.blocks.release(old.frame.0, held);
            Pfn(new)
        } else if self.geometry.moves() && self.blocks.free_frames() >= more {
            let frame = self.compact(platform, Gap::Behind { space: id, index });
            self.blocks.allocate_at(frame.0 + held, more);
            frame
        } else {
            return Err(self.refuse_memory(more));
        };
        let domain = Domain { end, frame, ..old };
        self.space_mut(id).domains[index] = domain;
        self.load_registers(platform, id, domain.units(self.unit()));
        Ok(())
    }

    /// Makes a domain longer at its start.
    pub(super) fn grow_down(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        index: usize,
        start: VirtAddr,
    ) -> Result<(), Errno> {
        let old = self.space(id).domains[index];
        let more = (old.start.0 - start.0) >> self.page.shift();
        let held = old.frames(self.page);
        let below = old.frame.0.checked_sub(more);
        let frame = if below.is_some_and(|below| self.blocks.allocate_at(below, more)) {
            old.frame.0 - more
        } else if let Some(new) = self.larger_block(held + more) {
            self.move_frames(platform, old.frame.0, new + more, held);
            self.blocks.release(old.frame.0, held);
            new
        } else if self.geometry.moves() && self.blocks.free_frames() >= more {
            let frame = self.compact(platform, Gap::Before { space: id, index });
            self.blocks.allocate_at(frame.0 - more, more);
            frame.0 - more
        } else {
            return Err(self.refuse_memory(more));
        };
        let domain = Domain { start, frame: Pfn(frame), ..old };
        self.space_mut(id).domains[index] = domain;
        self.load_registers(platform, id, domain.units(self.unit()));
        Ok(())
    }

    fn larger_block(&mut self, frames: u64) -> Option<u64> {
        if self.geometry.moves() { self.blocks.allocate(frames, self.fit) } else { None }
    }

    /// Copies a block, in the order that keeps it whole where the places overlap.
    pub(super) fn move_frames(
        &mut self,
        platform: &mut impl SegmentPlatform,
        from: u64,
        to: u64,
        frames: u64,
    ) {
        if from == to || frames == 0 {
            return;
        }
        let copy = |n: u64| platform.copy_frame(Pfn(from + n), Pfn(to + n));
        match to < from {
            true => (0..frames).for_each(copy),
            false => (0..frames).rev().for_each(copy),
        }
        self.segment_counters.moves += 1;
        self.segment_counters.bytes_moved += frames << self.page.shift();
    }

    fn refuse_memory(&mut self, frames: u64) -> Errno {
        // Without translation the sum of free memory may suffice: then one frame is in the way.
        let missing = frames.saturating_sub(self.blocks.free_frames()).max(1);
        self.segment_counters.refused_memory += 1;
        self.segment_counters.bytes_missing = missing << self.page.shift();
        Errno::Enomem
    }

    /// Gives back what domains with units in `[from, to)` have and no region needs.
    pub(super) fn trim(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) {
        let unit = self.unit();
        let range = from.0 & !(unit - 1)..to.0.saturating_add(unit - 1) & !(unit - 1);
        let concerned = |domain: &Domain| domain.start.0 < range.end && range.start < domain.end.0;
        let domains = core::mem::take(&mut self.space_mut(id).domains);
        let mut kept = Vec::with_capacity(domains.len());
        let mut changed: Range<u64> = range.clone();
        for domain in domains {
            if !concerned(&domain) {
                kept.push(domain);
                continue;
            }
            let units = domain.units(unit);
            changed = changed.start.min(units.start)..changed.end.max(units.end);
            let parts = domain.trimmed(&self.space(id).regions, unit, self.page);
            self.release_rest(&domain, &parts);
            kept.extend(parts);
        }
        self.space_mut(id).domains = kept;
        let end = self.space(id).layout.user_end.0;
        self.load_registers(platform, id, changed.start..changed.end.min(end));
    }

    /// Frees the frames of a domain that are not in its parts.
    fn release_rest(&mut self, domain: &Domain, parts: &[Domain]) {
        let block = domain.block(self.page);
        let mut at = block.start;
        for part in parts {
            let held = part.block(self.page);
            self.blocks.release(at, held.start - at);
            at = held.end;
        }
        self.blocks.release(at, block.end - at);
    }
}
