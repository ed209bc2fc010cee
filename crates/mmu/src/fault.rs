//! Why an access could not be translated.

use crate::r3000::{ExcCode, Vector};
use crate::segment::{SegmentCause, SegmentTrap};
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
    /// An entry yields an address beyond the physical address size in force (AArch64).
    AddressSize,
    /// The accessed bit is clear and software must set it (Svade).
    AccessedClear,
    /// The dirty bit is clear, this is a store, and software must set it (Svade).
    DirtyClear,
    /// A table lies where there is no memory.
    NoMemory,
    /// The TLB has no entry, and software is to load it.
    TlbMiss,
    /// Two entries of the TLB matched, and it shut down (R3000).
    TlbShutdown,
    /// Segmentation refused the access, before any page.
    Segment(SegmentCause),
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
            Self::AddressSize => "output address too large",
            Self::AccessedClear => "accessed bit clear",
            Self::DirtyClear => "dirty bit clear on a store",
            Self::NoMemory => "page table outside physical memory",
            Self::TlbMiss => "no TLB entry",
            Self::TlbShutdown => "TLB shut down by a double match",
            Self::Segment(cause) => cause.describe(),
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
    /// A page fault of a text-book table, which reports the address and nothing else.
    PageFault,
    /// A PowerPC data storage interrupt (PEM 6.4.3).
    PpcDsi {
        /// DSISR.
        dsisr: u32,
    },
    /// A PowerPC instruction storage interrupt (PEM 6.4.4).
    PpcIsi {
        /// The bits of SRR1 that say why.
        srr1: u32,
    },
    /// A PowerPC machine check: the table is where there is no memory.
    PpcMachineCheck,
    /// A RISC-V exception (privileged manual, table "scause values").
    RiscV {
        /// 1, 5, 7: access fault; 12, 13, 15: page fault (fetch, load, store/AMO).
        scause: u8,
    },
    /// An AArch64 instruction or data abort, as ESR_EL1 reports it (Arm ARM, ESR_EL1).
    Aarch64 {
        /// EC: 0x20, 0x21 instruction abort from EL0, EL1; 0x24, 0x25 data abort.
        exception_class: u8,
        /// WnR: the access was a store.
        write: bool,
        /// IFSC or DFSC: the kind of fault in bits 5:2, the manual's level in bits 1:0.
        fault_status: u8,
    },
    /// An exception of the R3000 (manual, chapter 6).
    R3000 {
        /// Cause.ExcCode.
        exc_code: ExcCode,
        /// Where the processor goes on.
        vector: Vector,
    },
    /// A TLB that software loads has no entry for the access, or one that refuses it, on an
    /// architecture whose own TLB is loaded by hardware.
    SoftwareTlb,
    /// What hardware without pages, or in front of them, raises.
    Segment(SegmentTrap),
}

impl fmt::Display for ArchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(trap) => trap.fmt(f),
            Self::X86PageFault { error_code } => write!(f, "#PF({error_code:#x})"),
            Self::X86GeneralProtection => f.write_str("#GP(0)"),
            Self::PageFault => f.write_str("page fault"),
            Self::PpcDsi { dsisr } => write!(f, "DSI, DSISR {dsisr:#010x}"),
            Self::PpcIsi { srr1 } => write!(f, "ISI, SRR1 {srr1:#010x}"),
            Self::PpcMachineCheck => f.write_str("machine check"),
            Self::RiscV { scause } => write!(f, "scause {scause}"),
            Self::Aarch64 { exception_class, write, fault_status } => {
                let operation = if *write { ", WnR" } else { "" };
                write!(f, "EC {exception_class:#x}, FSC {fault_status:#04x}{operation}")
            }
            Self::R3000 { exc_code, vector } => {
                let vector = if *vector == Vector::Utlb { ", UTLB vector" } else { "" };
                write!(f, "ExcCode {} ({}){vector}", exc_code.code(), exc_code.name())
            }
            Self::SoftwareTlb => f.write_str("TLB exception"),
        }
    }
}
