//! Why an access could not be translated.

use crate::{Access, Level, VirtAddr};
use core::fmt;

/// A translation that failed: what the processor would tell the operating system, and where in
/// the walk it was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The address that faulted (x86: CR2; RISC-V: stval).
    pub va: VirtAddr,
    /// The access that faulted.
    pub access: Access,
    /// The level whose entry decided; `None` if no entry was read.
    pub level: Option<Level>,
    /// The reason, in words common to all formats.
    pub cause: FaultCause,
    /// The reason as the architecture reports it.
    pub arch: ArchFault,
}

/// Why, in words common to all formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCause {
    /// The address is outside the format's virtual address space, or in its hole.
    NonCanonical,
    /// An entry on the way is not valid.
    NotPresent,
    /// The page does not allow this kind of access.
    Protection,
    /// The page is not for this privilege (U/S, SUM, SMEP, SMAP).
    Privilege,
    /// An entry has a reserved bit or a reserved combination set.
    Reserved,
    /// A leaf above level 0 whose frame is not aligned to its size.
    Misaligned,
    /// The accessed bit is clear and software must set it (Svade).
    AccessedClear,
    /// The dirty bit is clear, this is a store, and software must set it (Svade).
    DirtyClear,
    /// A table lies where there is no memory.
    NoMemory,
}

impl FaultCause {
    /// A few words for a person.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::NonCanonical => "address outside the virtual address space",
            Self::NotPresent => "page not present",
            Self::Protection => "access not permitted",
            Self::Privilege => "page not accessible at this privilege",
            Self::Reserved => "reserved bits set",
            Self::Misaligned => "misaligned superpage",
            Self::AccessedClear => "accessed bit clear",
            Self::DirtyClear => "dirty bit clear on a store",
            Self::NoMemory => "page table outside physical memory",
        }
    }
}

impl fmt::Display for FaultCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// The exception as the architecture delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArchFault {
    /// x86 #PF with its error code (Intel SDM vol. 3A, 4.7).
    X86PageFault {
        /// P, W/R, U/S, RSVD and I/D in bits 0 to 4.
        error_code: u32,
    },
    /// x86 #GP(0): a non-canonical address.
    X86GeneralProtection,
    /// A RISC-V exception (privileged manual, table "scause values").
    RiscV {
        /// 1, 5, 7: access fault; 12, 13, 15: page fault (fetch, load, store/AMO).
        scause: u8,
    },
}

impl fmt::Display for ArchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X86PageFault { error_code } => write!(f, "#PF({error_code:#x})"),
            Self::X86GeneralProtection => f.write_str("#GP(0)"),
            Self::RiscV { scause } => write!(f, "scause {scause}"),
        }
    }
}
