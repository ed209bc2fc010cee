//! How the hardware cuts a program's addresses, as far as the memory manager must know.
//!
//! ```text
//!                   a unit is …                          units       a block moves
//!   Identity        a page, at its own address           RAM         never
//!   BaseBounds      all that the program has             1           base changes
//!   Table           a segment, offset 0 at its start     as many as  descriptors change
//!                                                        the table
//! ```

use crate::{Layout, SegmentPlatform};
use pagewalk_mmu::segment::Shape;
use pagewalk_mmu::{PageSize, VirtAddr};

/// The kind of hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// Addresses are physical.
    Identity,
    /// One pair of bounds.
    BaseBounds,
    /// A table of segments.
    Table(Shape),
}

/// No program has memory below: a null pointer meets nothing.
pub const USER_START: u64 = 64 << 10;

/// Linux's default of RLIMIT_STACK.
const STACK_LIMIT: u64 = 8 << 20;

/// Where a stack cannot grow it gets this part of RAM at the start.
const STACK_PART: u64 = 4;

/// Addresses of a program behind bounds: more than there will be memory.
const BOUNDED_BITS: u8 = 46;

impl Geometry {
    /// The unit that one base serves, in bytes: a power of two.
    pub fn unit(&self, page: PageSize) -> u64 {
        match self {
            Self::Identity => page.bytes(),
            Self::BaseBounds => 1 << BOUNDED_BITS,
            Self::Table(shape) => shape.segment_bytes().max(page.bytes()),
        }
    }

    /// Whether stacks grow as they are used. Elsewhere they have all their memory from the start,
    /// and overflow into what lies below.
    pub fn stacks_grow(&self) -> bool {
        matches!(self, Self::Table(_))
    }

    /// Whether memory can be moved without the program's knowledge.
    pub fn moves(&self) -> bool {
        !matches!(self, Self::Identity)
    }

    /// A program's address space on a machine with so many bytes of RAM.
    ///
    /// ```text
    ///   Identity     64 KiB  program  heap ─►    mappings, as they fit    stack  end of RAM
    ///   BaseBounds   64 KiB  program  stack  heap ─►  mappings ─►               upper bound
    ///   Table        segment 1  program  heap ─►         ◄─ mappings   ◄─ stack  last segment
    /// ```
    pub fn layout(&self, ram_bytes: u64, page: PageSize) -> Layout {
        let whole = |bytes: u64| bytes & !(page.bytes() - 1);
        let reserved = whole((ram_bytes / STACK_PART).min(STACK_LIMIT));
        let end = match self {
            Self::Identity => whole(ram_bytes),
            Self::BaseBounds => 1 << BOUNDED_BITS,
            Self::Table(shape) => 1 << shape.va_bits(),
        };
        let stack_limit = match self {
            Self::Table(_) => STACK_LIMIT.min(whole(end / STACK_PART)),
            _ => reserved,
        };
        Layout {
            user_start: VirtAddr(USER_START.max(match self {
                Self::Table(shape) => shape.segment_bytes(),
                _ => 0,
            })),
            user_end: VirtAddr(end),
            mmap_base: VirtAddr(end - stack_limit),
            stack_top: VirtAddr(end),
            stack_limit,
        }
    }

    /// Loads no segment at all: what a switch to another program begins with.
    pub(super) fn clear(&self, platform: &mut impl SegmentPlatform) {
        match self {
            Self::Identity => {}
            Self::BaseBounds => platform.load_bounds(pagewalk_mmu::PhysAddr(0), 0, 0),
            Self::Table(shape) => {
                (0..shape.segments()).for_each(|number| platform.load_descriptor(number, None));
            }
        }
    }
}
