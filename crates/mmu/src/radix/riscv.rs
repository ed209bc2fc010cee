//! RISC-V paging: Sv32, Sv39, Sv48 and Sv57 (privileged manual 1.13, chapter "Supervisor-Level
//! ISA", sections Sv32 to Sv57).
//!
//! ```text
//!   Sv32                                          31   22 21   12 11    0
//!                                                │ VPN1  │ VPN0  │ offset │
//!         63    57 56   48 47   39 38   30 29   21 20   12 11    0
//!   Sv57 │ sign   │ VPN4 │ VPN3 │ VPN2 │ VPN1 │ VPN0 │ offset │
//!   Sv48 │ sign          │ VPN3 │ VPN2 │ VPN1 │ VPN0 │ offset │
//!   Sv39 │ sign                 │ VPN2 │ VPN1 │ VPN0 │ offset │
//! ```
//!
//! The steps in the comments are those of "Virtual Address Translation Process". A leaf may be at
//! any level. Extensions that give meaning to reserved bits (Svnapot, Svpbmt) are absent.

use super::{Entry, Geometry, Leaf, LevelShape, Radix, Root, Touch, x86::right_for};
use crate::{
    Access, AccessKind, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Privilege, Rights,
    TableMemory, VirtAddr,
};

const V: u64 = 1 << 0;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const G: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;

/// Where the PPN starts, after RSW (bits 9:8, software's).
const PPN_SHIFT: u8 = 10;
/// Bits 63:54 of an Sv39, Sv48 or Sv57 PTE: N, PBMT and reserved.
const RESERVED_64: u64 = 0xffc0_0000_0000_0000;

const SV32: Geometry = Geometry {
    levels: &[
        LevelShape { shift: 12, bits: 10, leaf: true },
        LevelShape { shift: 22, bits: 10, leaf: true },
    ],
    entry: EntryWidth::Four,
    va_bits: 32,
    pa_bits: 34,
};
const LEVELS_64: [LevelShape; 5] = [
    LevelShape { shift: 12, bits: 9, leaf: true },
    LevelShape { shift: 21, bits: 9, leaf: true },
    LevelShape { shift: 30, bits: 9, leaf: true },
    LevelShape { shift: 39, bits: 9, leaf: true },
    LevelShape { shift: 48, bits: 9, leaf: true },
];
const SV57: Geometry =
    Geometry { levels: &LEVELS_64, entry: EntryWidth::Eight, va_bits: 57, pa_bits: 56 };
const SV48: Geometry = Geometry { levels: LEVELS_64.split_at(4).0, va_bits: 48, ..SV57 };
const SV39: Geometry = Geometry { levels: LEVELS_64.split_at(3).0, va_bits: 39, ..SV57 };

/// The translation scheme (satp.MODE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Two levels, entries of four bytes, 34-bit physical addresses.
    Sv32,
    /// Three levels.
    Sv39,
    /// Four levels.
    Sv48,
    /// Five levels.
    Sv57,
}

/// Who sets accessed and dirty bits (step 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdUpdate {
    /// Software: the hardware faults where a bit would have to be set.
    Svade,
    /// The hardware.
    Svadu,
}

/// The control bits that the walk depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiscVControls {
    /// sstatus.SUM: the supervisor may load from and store to user pages.
    pub sum: bool,
    /// sstatus.MXR: pages that may be executed may be read.
    pub mxr: bool,
    /// Who sets accessed and dirty bits.
    pub ad: AdUpdate,
}

impl Default for RiscVControls {
    /// SUM and MXR clear, as after reset; the hardware sets accessed and dirty bits.
    fn default() -> Self {
        Self { sum: false, mxr: false, ad: AdUpdate::Svadu }
    }
}

/// RISC-V paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiscV {
    /// The translation scheme.
    pub scheme: Scheme,
    /// The control bits in force.
    pub controls: RiscVControls,
}

impl RiscV {
    /// The scheme `scheme` under `controls`.
    pub const fn new(scheme: Scheme, controls: RiscVControls) -> Self {
        Self { scheme, controls }
    }

    /// The PPN of `raw`, all of it.
    #[inline]
    const fn ppn(raw: u64) -> u64 {
        (raw & !RESERVED_64) >> PPN_SHIFT
    }

    /// The PPN bits that a leaf of `level` takes from the virtual address: ppn\[i-1:0\].
    #[inline]
    fn low_ppn(&self, level: Level) -> u64 {
        (1 << (self.geometry().level(level).shift - 12)) - 1
    }
}

impl Radix for RiscV {
    #[inline]
    fn geometry(&self) -> &Geometry {
        match self.scheme {
            Scheme::Sv32 => &SV32,
            Scheme::Sv39 => &SV39,
            Scheme::Sv48 => &SV48,
            Scheme::Sv57 => &SV57,
        }
    }

    /// Step 1: a = satp.ppn × PAGESIZE. The PPN of satp has 22 bits on RV32 and 44 on RV64.
    #[inline]
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        _: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        if table.0 >> self.geometry().pa_bits != 0 {
            return Err(FaultCause::Reserved);
        }
        Ok(Root { table: PhysAddr(table.0 & !0xfff), upper: None, registers: None })
    }

    /// Sv39, Sv48, Sv57: the bits above the VPN must equal its highest bit, or a page fault
    /// occurs. Sv32: addresses have 32 bits.
    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        let sign = 64 - u32::from(self.geometry().va_bits);
        let expected = match self.scheme {
            Scheme::Sv32 => va.0 << sign >> sign,
            _ => ((va.0 << sign) as i64 >> sign) as u64,
        };
        if expected == va.0 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    /// ```text
    ///           63 62..61 60..54 53              10 9..8  7   6   5   4   3   2   1   0
    ///   Sv39.. │ N │ PBMT │  0  │       PPN        │ RSW │ D │ A │ G │ U │ X │ W │ R │ V │
    ///                            31             10 9..8  7   6   5   4   3   2   1   0
    ///   Sv32                    │       PPN        │ RSW │ D │ A │ G │ U │ X │ W │ R │ V │
    ///
    ///   X W R                            X W R
    ///   0 0 0  pointer to a table        1 0 0  execute only
    ///   0 0 1  read only                 1 0 1  read and execute
    ///   0 1 0  reserved                  1 1 0  reserved
    ///   0 1 1  read and write            1 1 1  read, write and execute
    /// ```
    #[inline]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        // Step 3: V = 0; R = 0 and W = 1; reserved bits.
        if raw & V == 0 {
            return Entry::NotPresent;
        }
        if raw & RESERVED_64 != 0 || raw & (R | W) == W {
            return Entry::Invalid(FaultCause::Reserved);
        }
        // Step 4: a pointer to the next level; D, A and U are reserved in it; i < 0 faults.
        if raw & (R | X) == 0 {
            if level.0 == 0 || raw & (D | A | U) != 0 {
                return Entry::Invalid(FaultCause::Reserved);
            }
            return Entry::Table { next: PhysAddr(Self::ppn(raw) << 12), rights: Rights::all() };
        }
        // Step 5: i > 0 and ppn[i-1:0] ≠ 0 is a misaligned superpage.
        if Self::ppn(raw) & self.low_ppn(level) != 0 {
            return Entry::Invalid(FaultCause::Misaligned);
        }
        let mut rights = Rights::empty();
        rights.set(Rights::READ, raw & R != 0);
        rights.set(Rights::WRITE, raw & W != 0);
        rights.set(Rights::EXECUTE, raw & X != 0);
        rights.set(Rights::USER, raw & U != 0);
        Entry::Leaf(Leaf {
            pfn: Pfn(Self::ppn(raw)),
            rights,
            global: raw & G != 0,
            accessed: raw & A != 0,
            dirty: raw & D != 0,
            cache_disable: false,
            write_through: false,
        })
    }

    /// "For non-leaf PTEs, the global setting implies that all mappings in the subsequent levels
    /// of the page table are global."
    #[inline]
    fn table_global(&self, raw: u64) -> bool {
        raw & G != 0
    }

    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        // Step 6: U pages are for user mode; with SUM also for the supervisor's data, never for
        // its fetches.
        let privileged = match (access.privilege, rights.contains(Rights::USER)) {
            (Privilege::User, user_page) => user_page,
            (Privilege::Supervisor, false) => true,
            (Privilege::Supervisor, true) => {
                self.controls.sum && access.kind != AccessKind::Execute
            }
        };
        if !privileged {
            return Err(FaultCause::Privilege);
        }
        // Step 8: R, W and X; with MXR, X implies R.
        let readable = self.controls.mxr && rights.contains(Rights::EXECUTE);
        let allowed = rights.contains(right_for(access.kind))
            || (access.kind == AccessKind::Read && readable);
        if allowed { Ok(()) } else { Err(FaultCause::Protection) }
    }

    /// Step 9: A = 0, or a store and D = 0. Pointers have neither bit.
    #[inline]
    fn touch(&self, raw: u64, is_leaf: bool, access: Access) -> Touch {
        let store = access.kind == AccessKind::Write;
        let touched = raw | A | if store { D } else { 0 };
        match self.controls.ad {
            _ if !is_leaf || touched == raw => Touch::Nothing,
            AdUpdate::Svadu => Touch::Write(touched),
            AdUpdate::Svade if raw & A == 0 => Touch::Fault(FaultCause::AccessedClear),
            AdUpdate::Svade => Touch::Fault(FaultCause::DirtyClear),
        }
    }

    #[inline]
    fn has_accessed_bit(&self, _: Level, is_leaf: bool) -> bool {
        is_leaf
    }

    /// Table "Supervisor cause register (scause) values": 12, 13, 15 are the page faults of a
    /// fetch, a load and a store or AMO; 1, 5, 7 the access faults (step 2).
    #[inline]
    fn arch_fault(&self, _: Option<Level>, cause: FaultCause, access: Access) -> ArchFault {
        let scause = match (cause, access.kind) {
            (FaultCause::NoMemory, AccessKind::Execute) => 1,
            (FaultCause::NoMemory, AccessKind::Read) => 5,
            (FaultCause::NoMemory, AccessKind::Write) => 7,
            (_, AccessKind::Execute) => 12,
            (_, AccessKind::Read) => 13,
            (_, AccessKind::Write) => 15,
        };
        ArchFault::RiscV { scause }
    }

    #[inline]
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64 {
        debug_assert!(level.0 > 0, "a PTE of level 0 points to no table");
        debug_assert!(next.0 & 0xfff == 0 && next.0 >> self.geometry().pa_bits == 0);
        next.0 >> 12 << PPN_SHIFT | V
    }

    /// Not expressible: WRITE without READ is reserved, and neither READ nor EXECUTE would be a
    /// table, so READ is added to both; `cache_disable` and `write_through`.
    #[inline]
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64 {
        debug_assert!(leaf.pfn.0 & self.low_ppn(level) == 0, "a page is aligned to its size");
        debug_assert!(leaf.pfn.0 >> (self.geometry().pa_bits - 12) == 0, "a frame that fits");
        let flag = |on, bit| if on { bit } else { 0 };
        let has = |right| leaf.rights.contains(right);
        let readable = has(Rights::READ) || has(Rights::WRITE) || !has(Rights::EXECUTE);
        leaf.pfn.0 << PPN_SHIFT
            | V
            | flag(readable, R)
            | flag(has(Rights::WRITE), W)
            | flag(has(Rights::EXECUTE), X)
            | flag(has(Rights::USER), U)
            | flag(leaf.global, G)
            | flag(leaf.accessed, A)
            | flag(leaf.dirty, D)
    }

    #[inline]
    fn absent_bits(&self) -> u8 {
        self.geometry().entry.bytes() as u8 * 8 - 1
    }

    #[inline]
    fn encode_absent(&self, payload: u64) -> u64 {
        assert!(payload >> self.absent_bits() == 0, "the payload fits beside V");
        payload << 1
    }

    #[inline]
    fn decode_absent(&self, raw: u64) -> u64 {
        debug_assert!(raw & V == 0);
        raw >> 1
    }
}
