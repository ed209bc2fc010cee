//! What the four x86 formats share: control bits, permissions, error codes, accessed and dirty
//! bits.
//!
//! ```text
//!    63  62..52      51..M   M-1..12     11..9  8  7   6  5  4    3    2    1    0
//!   ┌───┬───────────┬───────┬───────────┬──────┬──┬───┬──┬──┬────┬────┬────┬────┬───┐
//!   │XD │ software  │   0   │ address   │ soft │G │PS │D │A │PCD │PWT │U/S │R/W │P  │
//!   └───┴───────────┴───────┴───────────┴──────┴──┴───┴──┴──┴────┴────┴────┴────┴───┘
//! ```
//!
//! Bits 0 to 8 mean the same in all formats. G and D count in leaves only; bit 7 is PS above the
//! lowest level and PAT in it (the PAT bit of a large page is bit 12). M is MAXPHYADDR.
//!
//! Sections, tables and figures of the Intel SDM vol. 3A are those of the editions in which paging
//! is chapter 4; in later ones it is chapter 5, with the same numbers after the dot.

use super::{Leaf, Touch};
use crate::{Access, AccessKind, ArchFault, FaultCause, Level, Pfn, Privilege, Rights};

/// P: the entry is valid.
pub(super) const P: u64 = 1 << 0;
/// R/W: writes are allowed.
pub(super) const RW: u64 = 1 << 1;
/// U/S: user-mode accesses are allowed.
pub(super) const US: u64 = 1 << 2;
/// PWT: write-through.
pub(super) const PWT: u64 = 1 << 3;
/// PCD: cache disable.
pub(super) const PCD: u64 = 1 << 4;
/// A: accessed.
pub(super) const A: u64 = 1 << 5;
/// D: dirty.
pub(super) const D: u64 = 1 << 6;
/// PS: the entry maps a large page.
pub(super) const PS: u64 = 1 << 7;
/// G: global.
pub(super) const G: u64 = 1 << 8;
/// XD (AMD: NX): no instruction fetches. Formats with entries of eight bytes only.
pub(super) const XD: u64 = 1 << 63;

/// The control bits and features that paging depends on (Intel SDM vol. 3A, 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X86Controls {
    /// CR0.WP: supervisor writes respect R/W.
    pub wp: bool,
    /// IA32_EFER.NXE: bit 63 is XD instead of reserved.
    pub nxe: bool,
    /// CR4.SMEP: the supervisor does not execute user pages.
    pub smep: bool,
    /// CR4.SMAP: the supervisor does not access user pages while EFLAGS.AC is clear.
    pub smap: bool,
    /// EFLAGS.AC: suspends SMAP for explicit accesses (all accesses here are explicit).
    pub ac: bool,
    /// CR4.PSE: 4 MiB pages in IA-32 paging. The other formats have large pages regardless.
    pub pse: bool,
    /// CPUID.80000001H:EDX\[26\], Page1GB: 1 GiB pages in 64-bit paging. Without them, PS is
    /// reserved in a PDPTE.
    pub page1gb: bool,
    /// CR4.PGE: the G bit counts.
    pub pge: bool,
    /// MAXPHYADDR (CPUID.80000008H:EAX\[7:0\]): the physical address bits from here on are
    /// reserved. 32 to 52.
    pub phys_bits: u8,
}

impl Default for X86Controls {
    /// What a 64-bit operating system without SMEP and SMAP sets, on 64 TiB of physical space.
    fn default() -> Self {
        Self {
            wp: true,
            nxe: true,
            smep: false,
            smap: false,
            ac: false,
            pse: true,
            page1gb: true,
            pge: true,
            phys_bits: 46,
        }
    }
}

impl X86Controls {
    /// Checks what the format files rely on.
    ///
    /// # Panics
    /// If `phys_bits` is not a MAXPHYADDR that a processor can have.
    pub(super) const fn checked(self) -> Self {
        assert!(32 <= self.phys_bits && self.phys_bits <= 52, "MAXPHYADDR is 32 to 52");
        self
    }

    /// SDM 4.6.1, "Determination of Access Rights". `rights` are those of all levels together:
    /// WRITE is R/W of every entry, USER is U/S of every entry, EXECUTE is XD of none.
    #[inline]
    pub(super) fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        let user_page = rights.contains(Rights::USER);
        let allowed = match access.privilege {
            // "For user-mode accesses": never to supervisor-mode addresses.
            Privilege::User if !user_page => return Err(FaultCause::Privilege),
            Privilege::User => rights.contains(right_for(access.kind)),
            // "For supervisor-mode accesses": SMEP guards fetches from user-mode addresses, SMAP
            // data accesses to them; R/W binds the supervisor only if CR0.WP is set.
            Privilege::Supervisor => {
                let guarded = match access.kind {
                    AccessKind::Execute => self.smep,
                    AccessKind::Read | AccessKind::Write => self.smap && !self.ac,
                };
                if user_page && guarded {
                    return Err(FaultCause::Privilege);
                }
                rights.contains(right_for(access.kind))
                    || (access.kind == AccessKind::Write && !self.wp)
            }
        };
        if allowed { Ok(()) } else { Err(FaultCause::Protection) }
    }

    /// SDM 4.7, "Page-Fault Exceptions", figure 4-12: the error code.
    ///
    /// ```text
    ///   bit 0  P     0 if an entry was not present, else 1
    ///   bit 1  W/R   the access was a write
    ///   bit 2  U/S   the access was in user mode
    ///   bit 3  RSVD  an entry had a reserved bit set
    ///   bit 4  I/D   the access was a fetch, and NXE (`has_xd`: PAE and above) or SMEP is on
    /// ```
    ///
    /// A table outside memory is reported as RSVD: an unclaimed read on a PC gives all ones, in
    /// which reserved bits are set.
    #[inline]
    pub(super) fn arch_fault(&self, has_xd: bool, cause: FaultCause, access: Access) -> ArchFault {
        let (present, reserved) = match cause {
            FaultCause::NonCanonical | FaultCause::Segment(_) => {
                return ArchFault::X86GeneralProtection;
            }
            FaultCause::NotPresent | FaultCause::TlbMiss | FaultCause::TlbShutdown => {
                (false, false)
            }
            FaultCause::Reserved
            | FaultCause::Misaligned
            | FaultCause::AddressSize
            | FaultCause::NoMemory => (true, true),
            FaultCause::Protection
            | FaultCause::Privilege
            | FaultCause::AccessedClear
            | FaultCause::DirtyClear => (true, false),
        };
        let write = access.kind == AccessKind::Write;
        let user = access.privilege == Privilege::User;
        let fetch = access.kind == AccessKind::Execute && (self.smep || (has_xd && self.nxe));
        let bits = [present, write, user, reserved, fetch];
        let error_code = bits.iter().rev().fold(0, |code, &bit| code << 1 | u32::from(bit));
        ArchFault::X86PageFault { error_code }
    }
}

/// The right that an access of `kind` needs.
#[inline]
pub(super) const fn right_for(kind: AccessKind) -> Rights {
    match kind {
        AccessKind::Read => Rights::READ,
        AccessKind::Write => Rights::WRITE,
        AccessKind::Execute => Rights::EXECUTE,
    }
}

/// SDM 4.8: A is set in every entry used, D in the leaf of a write. (Processors may also set A in
/// the tables above an entry that faults, which were used too. This walk does not.)
#[inline]
pub(super) const fn touch(raw: u64, is_leaf: bool, access: Access) -> Touch {
    let dirty = if is_leaf && matches!(access.kind, AccessKind::Write) { D } else { 0 };
    let touched = raw | A | dirty;
    if touched == raw { Touch::Nothing } else { Touch::Write(touched) }
}

/// The rights of one entry. Present implies readable.
#[inline]
pub(super) fn rights(raw: u64) -> Rights {
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, raw & RW != 0);
    rights.set(Rights::USER, raw & US != 0);
    rights.set(Rights::EXECUTE, raw & XD == 0);
    rights
}

/// The leaf with flag bits `raw` whose frame is `pfn`.
#[inline]
pub(super) fn leaf(raw: u64, pfn: Pfn, pge: bool) -> Leaf {
    Leaf {
        pfn,
        rights: rights(raw),
        global: pge && raw & G != 0,
        accessed: raw & A != 0,
        dirty: raw & D != 0,
        cache_disable: raw & PCD != 0,
        write_through: raw & PWT != 0,
    }
}

/// The flag bits 0 to 8 of a leaf, without PS. READ is implied by P, whether asked for or not.
#[inline]
pub(super) fn leaf_flags(leaf: &Leaf) -> u64 {
    let flag = |on, bit| if on { bit } else { 0 };
    P | flag(leaf.rights.contains(Rights::WRITE), RW)
        | flag(leaf.rights.contains(Rights::USER), US)
        | flag(leaf.write_through, PWT)
        | flag(leaf.cache_disable, PCD)
        | flag(leaf.accessed, A)
        | flag(leaf.dirty, D)
        | flag(leaf.global, G)
}

/// Bits `from..to`.
#[inline]
pub(super) const fn bits(from: u8, to: u8) -> u64 {
    let below_to = if to >= 64 { u64::MAX } else { (1 << to) - 1 };
    below_to & (u64::MAX << from)
}

/// A leaf of eight bytes, at any level of PAE, 4-level or 5-level paging; `frame` are the bits
/// that hold the address of a base frame.
#[inline]
pub(super) fn encode_wide_leaf(level: Level, leaf: &Leaf, frame: u64, nxe: bool) -> u64 {
    let address = leaf.pfn.0 << 12;
    debug_assert!(address & !frame == 0, "the frame lies below MAXPHYADDR");
    debug_assert!(address & bits(0, 12 + 9 * level.0) == 0, "a page is aligned to its size");
    let large = if level.0 > 0 { PS } else { 0 };
    let no_execute = if nxe && !leaf.rights.contains(Rights::EXECUTE) { XD } else { 0 };
    address & frame | large | no_execute | leaf_flags(leaf)
}
