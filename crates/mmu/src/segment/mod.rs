//! Translation without pages: nothing at all, one pair of bounds, a table of them, and the
//! segments of IA-32, behind which pages follow.
//!
//! ```text
//!                        ┌─ Identity     physical = virtual                     ─► RAM
//!   effective address ──►├─ BaseBounds   lower ≤ address < upper, + base        ─► RAM
//!                        ├─ SegmentTable number chooses a descriptor, + base    ─► RAM
//!                        └─ ia32::Segmentation   register, limit, type, + base  ─► linear
//!                                                            address ─► radix::Ia32 ─► RAM
//! ```
//!
//! Each is one file, without an operating system and without a memory manager: what is loaded into
//! the registers is somebody else's decision.
//!
//! Architecture invariants:
//! 1. A check covers every byte of an access, not only the first.
//! 2. An address that passes is answered with the run of addresses around it that pass alike
//!    ([`Placed`]): whoever keeps the answer knows how far it holds.
//! 3. Registers change in supervisor mode alone ([`privileged`]).

pub mod ia32;

mod base_bounds;
mod identity;
mod table;

pub use base_bounds::BaseBounds;
pub use identity::Identity;
pub use table::{Descriptor, Direction, SegmentTable, Shape};

use crate::{Access, ArchFault, Fault, FaultCause, Privilege, VirtAddr};
use core::fmt;

/// The answer to an access that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The physical address of the first byte; where pages follow, the linear address.
    pub address: u64,
    /// The first effective address of the run in which this kind of access passes …
    pub first: u64,
    /// … and the last. In between, effective and resulting addresses keep their distance.
    pub last: u64,
}

/// Why an access did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentCause {
    /// No RAM answers there.
    NoRam,
    /// A byte lies outside the bounds.
    OutOfBounds,
    /// The segment's descriptor is not valid, or its register holds a null selector.
    InvalidSegment,
    /// The segment does not allow this kind of access.
    Permission,
    /// The privilege is too low.
    Privilege,
    /// The segment is not present (IA-32: P is clear).
    NotPresent,
    /// The descriptor is none of those that may be loaded here.
    WrongType,
    /// The selector points behind the end of its table.
    OutsideTable,
}

impl SegmentCause {
    /// A few words for a person.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::NoRam => "no memory answers there",
            Self::OutOfBounds => "address outside the segment's bounds",
            Self::InvalidSegment => "no such segment",
            Self::Permission => "the segment does not permit the access",
            Self::Privilege => "privilege too low for the segment",
            Self::NotPresent => "segment not present",
            Self::WrongType => "descriptor of the wrong type",
            Self::OutsideTable => "selector outside its descriptor table",
        }
    }
}

/// The exception as the hardware without pages raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentTrap {
    /// A bus error: the memory system did not answer.
    BusError,
    /// The bounds register's comparison failed (IBM 7030: address protection).
    Bounds,
    /// The segment table refused, for this segment number.
    Segment(u32),
    /// An IA-32 exception with its error code.
    X86 {
        /// Which.
        vector: ia32::Vector,
        /// The selector's index and TI, 0 if no selector is to blame.
        error_code: u16,
    },
}

impl fmt::Display for SegmentTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BusError => f.write_str("bus error"),
            Self::Bounds => f.write_str("bounds trap"),
            Self::Segment(number) => write!(f, "segment trap ({number})"),
            Self::X86 { vector, error_code } => write!(f, "{vector}({error_code:#x})"),
        }
    }
}

/// The fault of an access.
const fn fault(va: u64, access: Access, cause: SegmentCause, trap: SegmentTrap) -> Fault {
    Fault {
        va: VirtAddr(va),
        access,
        level: None,
        cause: FaultCause::Segment(cause),
        arch: ArchFault::Segment(trap),
    }
}

/// Whether `[va, va + bytes)`, not empty, lies in `[first, last]`.
#[inline]
const fn lies_within(va: u64, bytes: u64, first: u64, last: u64) -> bool {
    // The subtraction cannot wrap: the first comparison stands before it.
    first <= va && va <= last && bytes - 1 <= last - va
}

/// Registers of protection change in supervisor mode alone: a program that could move its own
/// bounds would have none.
///
/// # Errors
/// [`SegmentCause::Privilege`] in user mode.
pub const fn privileged(who: Privilege) -> Result<(), SegmentCause> {
    match who {
        Privilege::Supervisor => Ok(()),
        Privilege::User => Err(SegmentCause::Privilege),
    }
}
