//! What a TLB holds: one translation.

use crate::{Access, AccessKind, Asid, PageSize, Pfn, PhysAddr, Rights, VirtAddr, Vpn};
use core::fmt;

/// One cached translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlbEntry {
    /// The page's first base page.
    pub vpn: Vpn,
    /// The page's size, at least the base page.
    pub page: PageSize,
    /// The address space that the walk was made in.
    pub asid: Asid,
    /// Valid in every address space.
    pub global: bool,
    /// The page's first base frame.
    pub pfn: Pfn,
    /// What all levels of the walk together allow.
    pub rights: Rights,
    /// The leaf's dirty bit was set when the entry was filled.
    pub dirty: bool,
}

impl TlbEntry {
    /// The physical address of `va`, which lies in the page.
    #[inline]
    pub const fn translate(&self, va: VirtAddr, base_page: PageSize) -> PhysAddr {
        PhysAddr(self.pfn.base(base_page).0.wrapping_add(va.offset(self.page)))
    }

    /// Whether an invalidation for `asid` (`None`: all spaces) concerns the entry of a tagged TLB.
    pub(crate) fn is_covered(&self, asid: Option<Asid>, globals: Globals) -> bool {
        match self.global {
            true => globals == Globals::Drop,
            false => asid.is_none_or(|asid| self.asid == asid),
        }
    }

    /// Whether the entry spares `access` the walk's update of the dirty bit.
    #[inline]
    pub fn is_dirty_enough(&self, access: Access) -> bool {
        self.dirty || access.kind != AccessKind::Write
    }
}

/// Which of the first-level TLBs an access uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Instruction fetches.
    Instruction,
    /// Loads and stores.
    Data,
}

impl Side {
    /// The side that an access of `kind` uses.
    #[inline]
    pub const fn of(kind: AccessKind) -> Self {
        match kind {
            AccessKind::Execute => Self::Instruction,
            AccessKind::Read | AccessKind::Write => Self::Data,
        }
    }
}

/// A place in an array: the index into its stamps, set × ways + way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Which array of a TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The first level of one side.
    L1(Side),
    /// The first level that both sides share.
    L1Unified,
    /// The second level.
    L2,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1(Side::Instruction) => "L1 instruction TLB",
            Self::L1(Side::Data) => "L1 data TLB",
            Self::L1Unified => "L1 TLB",
            Self::L2 => "L2 TLB",
        })
    }
}

/// What an invalidation of one page does to entries that are marked global.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Globals {
    /// They stay (RISC-V `SFENCE.VMA` with an ASID).
    Keep,
    /// They go too (x86 `INVLPG`, RISC-V `SFENCE.VMA` without an ASID).
    Drop,
}
