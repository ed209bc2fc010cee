//! What a TLB holds: one translation.

use crate::{Access, AccessKind, Asid, PageSize, Pfn, Rights, Vpn};
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
    /// The accesses that may go by the entry.
    pub allowed: Allowed,
}

impl TlbEntry {
    /// Whether an invalidation for `asid` (`None`: all spaces) concerns the entry of a tagged TLB.
    pub(crate) fn is_covered(&self, asid: Option<Asid>, globals: Globals) -> bool {
        match self.global {
            true => globals == Globals::Drop,
            false => asid.is_none_or(|asid| self.asid == asid),
        }
    }
}

/// A set of accesses: each kind at each privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Allowed(u8);

impl Allowed {
    /// Every access.
    pub const ALL: Self = Self(0x77);

    /// The accesses for which `judge` says yes.
    pub fn judged(judge: impl Fn(Access) -> bool) -> Self {
        let kinds = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];
        let accesses = kinds.map(|kind| [Access::user(kind), Access::supervisor(kind)]);
        let allowed = accesses.into_iter().flatten().filter(|&access| judge(access));
        Self(allowed.fold(0, |bits, access| bits | Self::bit(access)))
    }

    /// The same but for stores.
    #[must_use]
    pub const fn without_stores(self) -> Self {
        let stores = Self::bit(Access::user(AccessKind::Write))
            | Self::bit(Access::supervisor(AccessKind::Write));
        Self(self.0 & !stores)
    }

    /// Whether `access` is one of them.
    #[inline]
    pub const fn contains(self, access: Access) -> bool {
        self.0 & Self::bit(access) != 0
    }

    /// Read, write, execute in bits 0 to 2 for user mode, in bits 4 to 6 for supervisor mode.
    #[inline]
    const fn bit(access: Access) -> u8 {
        1 << (access.kind as u8 + 4 * access.privilege as u8)
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

/// A place in one level of one side: the index into its stamps. The slots of several arrays are
/// numbered one array after the other, each set by set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Which level of a TLB, and of which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// 1 or 2.
    pub level: u8,
    /// The side, or `None` if both share the level.
    pub side: Option<Side>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Some(Side::Instruction) => " instruction",
            Some(Side::Data) => " data",
            None => "",
        };
        write!(f, "L{}{side} TLB", self.level)
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
