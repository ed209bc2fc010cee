//! Domains: a run of a program's addresses in one block of physical memory.
//!
//! ```text
//!   unit (a segment)  │ n           │ n+1         │ n+2         │
//!   grows up          ├─── domain ────────────┤                      starts at a unit
//!   grows down                    ├─── domain ───────────────────┤    ends at a unit
//!   RAM                    ├──── one block ────────┤                 frame …
//! ```
//!
//! Invariants:
//! 1. A unit belongs to one domain at most.
//! 2. A domain that grows up starts at a unit (behind bounds: at the lower bound), one that grows
//!    down ends at one; both cover whole pages.
//! 3. Every region lies in domains. What of a domain is in no region is waste: internal
//!    fragmentation.

use crate::{Prot, RegionSet};
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::segment::{Descriptor, Direction};
use pagewalk_mmu::{PageSize, Pfn, PhysAddr, Rights, VirtAddr};

/// A domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The first address.
    pub start: VirtAddr,
    /// The first address behind it.
    pub end: VirtAddr,
    /// The first frame of its block.
    pub frame: Pfn,
    /// Where it grows.
    pub direction: Direction,
}

impl Domain {
    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// The size in frames.
    pub fn frames(&self, page: PageSize) -> u64 {
        self.bytes() >> page.shift()
    }

    /// The frames of its block.
    pub fn block(&self, page: PageSize) -> Range<u64> {
        self.frame.0..self.frame.0 + self.frames(page)
    }

    /// Whether it has the address.
    pub fn contains(&self, va: VirtAddr) -> bool {
        self.start <= va && va < self.end
    }

    /// The frame of a page that it has.
    pub fn frame_of(&self, va: VirtAddr, page: PageSize) -> Pfn {
        debug_assert!(self.contains(va));
        Pfn(self.frame.0 + ((va.0 - self.start.0) >> page.shift()))
    }

    /// The first address of its first unit and that behind its last one.
    pub(super) fn units(&self, unit: u64) -> Range<u64> {
        self.start.0 & !(unit - 1)..self.end.0.next_multiple_of(unit)
    }

    /// The part from `start` to `end`, its block where it is.
    fn part(&self, start: VirtAddr, end: VirtAddr, page: PageSize) -> Self {
        let direction = if end == self.end { self.direction } else { Direction::Up };
        Self { start, end, frame: self.frame_of(start, page), direction }
    }

    /// What is left of the domain when units without a region go, and what no region needs at the
    /// side where it grows.
    pub(super) fn trimmed(&self, regions: &RegionSet, unit: u64, page: PageSize) -> Vec<Self> {
        let mut parts: Vec<(Range<u64>, Range<u64>)> = Vec::new();
        for region in regions.iter_from(self.start) {
            let used = region.start.0.max(self.start.0)..region.end.0.min(self.end.0);
            if used.is_empty() {
                break;
            }
            let units = used.start & !(unit - 1)..used.end.next_multiple_of(unit);
            match parts.last_mut().filter(|(held, _)| units.start <= held.end) {
                Some((held, extent)) => {
                    held.end = units.end;
                    extent.end = used.end;
                }
                None => parts.push((units, used)),
            }
        }
        let cut = |(units, used): (Range<u64>, Range<u64>)| {
            let down = self.direction == Direction::Down && units.end >= self.end.0;
            let (start, end) = match down {
                true => (used.start, self.end.0),
                false => (units.start.max(self.start.0), used.end),
            };
            self.part(VirtAddr(start), VirtAddr(end), page)
        };
        parts.into_iter().map(cut).collect()
    }

    /// The descriptor of the unit that starts at `unit_start`.
    pub(super) fn descriptor(
        &self,
        unit_start: u64,
        unit: u64,
        rights: Rights,
        page: PageSize,
    ) -> Descriptor {
        let from = self.start.0.max(unit_start) - unit_start;
        let to = self.end.0.min(unit_start + unit) - unit_start;
        let (direction, bounds) = match self.direction {
            Direction::Down => (Direction::Down, from),
            Direction::Up => (Direction::Up, to),
        };
        let PhysAddr(block) = self.frame.base(page);
        let base = block.wrapping_add(unit_start).wrapping_sub(self.start.0);
        Descriptor { base, bounds, direction, rights }
    }
}

/// What the hardware is told to allow: who may store may load.
pub(super) fn rights_of(prot: Prot) -> Rights {
    let mut rights = Rights::empty();
    rights.set(Rights::READ, prot.intersects(Prot::READ | Prot::WRITE));
    rights.set(Rights::WRITE, prot.contains(Prot::WRITE));
    rights.set(Rights::EXECUTE, prot.contains(Prot::EXEC));
    rights
}
