//! A table of bases and bounds: the top bits of an address choose the pair.
//!
//! ```text
//!            number bits       offset bits
//!          ┌─────────────┬─────────────────────┐
//!   address│   number    │       offset        │       more bits: no such segment
//!          └──────┬──────┴──────────┬──────────┘
//!                 ▼                 │ within the bounds?
//!     ┌─valid─base─bounds─dir─rwx─┐ │ kind of access allowed?
//!   0 │                           │ ▼
//!   1 │  ●───────────────────────────(+)─► physical address
//!   … │                           │
//!     └───────────────────────────┘
//!
//!   direction   up    0 ──── bounds ┄┄┄┄┄┄┄┄ size         offset < bounds
//!               down  0 ┄┄┄┄┄┄┄┄ bounds ──── size         offset ≥ bounds     (stacks)
//! ```
//!
//! The table is registers of the MMU, as in the Zilog Z8010, whose 64 descriptors hold a base, a
//! limit, read-only and execute-only bits and the direction, for segments of 64 KiB; several of
//! them share a processor. So a reference costs no other reference, a change is in force at once,
//! and there is nothing to flush. The number of descriptors is fixed: when all are in use, there is
//! no further segment, however much memory is free.
//!
//! An object larger than a segment takes consecutive numbers, whose bases follow each other by the
//! size of a segment (80286 programmers call it tiling). Hardware knows nothing of it: each
//! reference is checked against one descriptor, and one that crosses into the next segment makes
//! two references.
//!
//! A segment that grows down has its base where offset 0 would lie, though no memory may be there:
//! base + offset is taken modulo 2⁶⁴.

use super::{Placed, SegmentCause, SegmentTrap, fault, privileged};
use crate::{Access, AccessKind, Fault, Privilege, Rights};
use alloc::vec::Vec;

/// How addresses are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    number_bits: u8,
    offset_bits: u8,
}

impl Shape {
    /// 1024 segments of up to 64 KiB: 64 MiB of addresses, sixteen Z8010s.
    pub const DEFAULT: Self = Self { number_bits: 10, offset_bits: 16 };

    /// Segments numbered by `number_bits` (1 to 16), each of up to 2^`offset_bits` (8 to 47) bytes.
    /// `None` if a width is out of range.
    pub const fn new(number_bits: u8, offset_bits: u8) -> Option<Self> {
        if matches!(number_bits, 1..=16) && matches!(offset_bits, 8..=47) {
            Some(Self { number_bits, offset_bits })
        } else {
            None
        }
    }

    /// The number of segments.
    pub const fn segments(&self) -> u32 {
        1 << self.number_bits
    }

    /// The most bytes of a segment.
    pub const fn segment_bytes(&self) -> u64 {
        1 << self.offset_bits
    }

    /// The width of an address in bits.
    pub const fn va_bits(&self) -> u8 {
        self.number_bits + self.offset_bits
    }
}

/// Which offsets of a segment are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Those below the bounds.
    Up,
    /// Those from the bounds on: a stack.
    Down,
}

/// A descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Where offset 0 lies, or would lie, in physical memory.
    pub base: u64,
    /// Bounds in bytes, at most the size of a segment.
    pub bounds: u64,
    /// Which side of the bounds is valid.
    pub direction: Direction,
    /// READ, WRITE and EXECUTE are judged; each stands for itself alone.
    pub rights: Rights,
}

/// The table.
#[derive(Clone, Debug)]
pub struct SegmentTable {
    shape: Shape,
    descriptors: Vec<Option<Descriptor>>,
}

impl SegmentTable {
    /// A table after reset: no segment is valid.
    pub fn new(shape: Shape) -> Self {
        Self { shape, descriptors: alloc::vec![None; shape.segments() as usize] }
    }

    /// How addresses are split.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// A segment's descriptor, `None` if it is not valid, or beyond the table.
    pub fn descriptor(&self, number: u32) -> Option<&Descriptor> {
        self.descriptors.get(number as usize)?.as_ref()
    }

    /// Loads a descriptor, or (`None`) makes it invalid.
    ///
    /// # Errors
    /// [`SegmentCause::Privilege`] in user mode, [`SegmentCause::OutsideTable`] if there is no such
    /// number, [`SegmentCause::OutOfBounds`] if the bounds exceed the size of a segment. Nothing is
    /// changed then.
    pub fn load(
        &mut self,
        who: Privilege,
        number: u32,
        descriptor: Option<Descriptor>,
    ) -> Result<(), SegmentCause> {
        privileged(who)?;
        let segment_bytes = self.shape.segment_bytes();
        let place = self.descriptors.get_mut(number as usize).ok_or(SegmentCause::OutsideTable)?;
        if descriptor.is_some_and(|new| new.bounds > segment_bytes) {
            return Err(SegmentCause::OutOfBounds);
        }
        *place = descriptor;
        Ok(())
    }

    /// An access of `bytes`, at least one, none of them behind the segment of the first.
    ///
    /// # Errors
    /// A segment trap: no such segment, a byte out of its bounds, or not permitted; judged in this
    /// order.
    pub fn translate(&self, va: u64, bytes: u64, access: Access) -> Result<Placed, Fault> {
        let number = va >> self.shape.offset_bits;
        let offset = va & (self.shape.segment_bytes() - 1);
        let refuse = |cause| {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            fault(va, access, cause, SegmentTrap::Segment(number))
        };
        let found = self.descriptors.get(usize::try_from(number).unwrap_or(usize::MAX));
        let Some(Some(segment)) = found else { return Err(refuse(SegmentCause::InvalidSegment)) };
        let valid = match segment.direction {
            Direction::Up => 0..segment.bounds,
            Direction::Down => segment.bounds..self.shape.segment_bytes(),
        };
        if !valid.contains(&offset) || bytes > valid.end - offset {
            return Err(refuse(SegmentCause::OutOfBounds));
        }
        if !segment.rights.contains(right_for(access.kind)) {
            return Err(refuse(SegmentCause::Permission));
        }
        let start = va - offset;
        Ok(Placed {
            address: segment.base.wrapping_add(offset),
            first: start + valid.start,
            last: start + (valid.end - 1),
        })
    }
}

const fn right_for(kind: AccessKind) -> Rights {
    match kind {
        AccessKind::Read => Rights::READ,
        AccessKind::Write => Rights::WRITE,
        AccessKind::Execute => Rights::EXECUTE,
    }
}
