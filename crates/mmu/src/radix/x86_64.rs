//! 4-level and 5-level paging of 64-bit mode (Intel SDM vol. 3A, 4.5).
//!
//! ```text
//!     63      57 56     48 47     39 38     30 29     21 20     12 11       0
//!    ┌──────────┬─────────┬─────────┬─────────┬─────────┬─────────┬──────────┐
//!    │ sign     │  PML5   │  PML4   │  PDPT   │   PD    │   PT    │  offset  │   4 KiB page
//!    ├──────────┼─────────┼─────────┼─────────┼─────────┼─────────┴──────────┤
//!    │ sign     │  PML5   │  PML4   │  PDPT   │   PD    │      offset        │   2 MiB page
//!    ├──────────┼─────────┼─────────┼─────────┼─────────┴────────────────────┤
//!    │ sign     │  PML5   │  PML4   │  PDPT   │           offset             │   1 GiB page
//!    └──────────┴─────────┴─────────┴─────────┴──────────────────────────────┘
//! ```
//!
//! With four levels there is no PML5 and the sign is bits 63:48. The PCID in CR3 bits 11:0 tags
//! TLB entries; the walk does not use it.

use super::x86::{self, P, PS, RW, US, X86Controls};
use super::{Entry, Geometry, Leaf, LevelShape, Radix, Root, Touch};
use crate::{
    Access, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Rights, TableMemory, VirtAddr,
};

const LEVELS: [LevelShape; 5] = [
    LevelShape { shift: 12, bits: 9, leaf: true },
    LevelShape { shift: 21, bits: 9, leaf: true },
    LevelShape { shift: 30, bits: 9, leaf: true },
    LevelShape { shift: 39, bits: 9, leaf: false },
    LevelShape { shift: 48, bits: 9, leaf: false },
];
const FIVE_LEVELS: Geometry =
    Geometry { levels: &LEVELS, entry: EntryWidth::Eight, va_bits: 57, pa_bits: 52 };
const FOUR_LEVELS: Geometry = Geometry { levels: LEVELS.split_at(4).0, va_bits: 48, ..FIVE_LEVELS };

/// The same where the processor has no 1 GiB pages.
const LEVELS_2M: [LevelShape; 5] =
    [LEVELS[0], LEVELS[1], LevelShape { leaf: false, ..LEVELS[2] }, LEVELS[3], LEVELS[4]];
const FIVE_LEVELS_2M: Geometry = Geometry { levels: &LEVELS_2M, ..FIVE_LEVELS };
const FOUR_LEVELS_2M: Geometry = Geometry { levels: LEVELS_2M.split_at(4).0, ..FOUR_LEVELS };

/// The highest level with large pages (1 GiB).
const LARGE_MAX: u8 = 2;

/// 64-bit paging: (9/)9/9/9/9/12 with entries of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X86_64 {
    controls: X86Controls,
    geometry: &'static Geometry,
    /// Bits M-1:12, the address of a 4 KiB frame.
    frame: u64,
    /// Bits 51:M, and 63 unless it is XD. Bits 62:52 are ignored (software, protection key).
    reserved: u64,
}

impl Default for X86_64 {
    fn default() -> Self {
        Self::new(4, X86Controls::default())
    }
}

impl X86_64 {
    /// Paging with 4 or 5 `levels` (CR4.LA57) under `controls`. `pse` has no meaning here.
    ///
    /// # Panics
    /// If `levels` is neither 4 nor 5, or `controls.phys_bits` is not 32 to 52.
    pub const fn new(levels: u8, controls: X86Controls) -> Self {
        let controls = controls.checked();
        let geometry = match (levels, controls.page1gb) {
            (4, true) => &FOUR_LEVELS,
            (4, false) => &FOUR_LEVELS_2M,
            (5, true) => &FIVE_LEVELS,
            (5, false) => &FIVE_LEVELS_2M,
            _ => panic!("64-bit paging has 4 or 5 levels"),
        };
        let m = controls.phys_bits;
        let reserved = x86::bits(m, 52) | if controls.nxe { 0 } else { x86::XD };
        Self { controls, geometry, frame: x86::bits(12, m), reserved }
    }

    /// The control bits in force.
    #[inline]
    pub const fn controls(&self) -> &X86Controls {
        &self.controls
    }
}

impl Radix for X86_64 {
    #[inline]
    fn geometry(&self) -> &Geometry {
        self.geometry
    }

    /// CR3 (tables 4-12, 4-13): bits M-1:12 are the top table, the rest below is PCID, or PCD and
    /// PWT. MOV to CR3 raises #GP(0) if bits 63:M are set.
    #[inline]
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        _: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        if table.0 >> self.controls.phys_bits != 0 {
            return Err(FaultCause::Reserved);
        }
        Ok(Root { table: PhysAddr(table.0 & self.frame), upper: None, registers: None })
    }

    /// Canonical addresses (SDM vol. 1, 3.3.7.1): all bits from the highest translated one up are
    /// equal.
    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        let sign = 64 - u32::from(self.geometry.va_bits);
        let extended = ((va.0 << sign) as i64 >> sign) as u64;
        if extended == va.0 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    /// Figure 4-11.
    ///
    /// ```text
    ///             63  62..52  51..M  M-1..30/21/12        12   11..9  8  7   6  5  4   3   2   1   0
    ///   PML5E   │XD │ soft  │  0  │ PML4 table M-1..12       │ soft │- │ 0 │ - │A │PCD│PWT│U/S│R/W│ 1 │
    ///   PML4E   │XD │ soft  │  0  │ PDP table M-1..12        │ soft │- │ 0 │ - │A │PCD│PWT│U/S│R/W│ 1 │
    ///   PDPTE   │XD │ soft  │  0  │ directory M-1..12        │ soft │- │ 0 │ - │A │PCD│PWT│U/S│R/W│ 1 │
    ///    1 GiB  │XD │ soft  │  0  │ M-1..30 │ 29..13 = 0│PAT │ soft │G │ 1 │ D │A │PCD│PWT│U/S│R/W│ 1 │
    ///   PDE     │XD │ soft  │  0  │ page table M-1..12       │ soft │- │ 0 │ - │A │PCD│PWT│U/S│R/W│ 1 │
    ///    2 MiB  │XD │ soft  │  0  │ M-1..21 │ 20..13 = 0│PAT │ soft │G │ 1 │ D │A │PCD│PWT│U/S│R/W│ 1 │
    ///   PTE     │XD │ soft  │  0  │ frame M-1..12            │ soft │G │PAT│ D │A │PCD│PWT│U/S│R/W│ 1 │
    ///   absent  │ software                                                                      │ 0 │
    /// ```
    #[inline(always)]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        if raw & P == 0 {
            return Entry::NotPresent;
        }
        let large = level.0 > 0 && raw & PS != 0;
        // Bits below a large page's frame, except PAT (bit 12), are reserved; so is PS itself
        // in a PML4E and a PML5E, and in a PDPTE without Page1GB (tables 4-14 to 4-20).
        let reserved = match level.0 {
            LARGE_MAX if large && !self.controls.page1gb => self.reserved | PS,
            1..=LARGE_MAX if large => self.reserved | x86::bits(13, 12 + 9 * level.0),
            0..=LARGE_MAX => self.reserved,
            _ => self.reserved | PS,
        };
        if raw & reserved != 0 {
            return Entry::Invalid(FaultCause::Reserved);
        }
        if level.0 == 0 || large {
            let frame = raw & self.frame & (u64::MAX << (12 + 9 * level.0));
            Entry::Leaf(x86::leaf(raw, Pfn(frame >> 12), self.controls.pge))
        } else {
            Entry::Table { next: PhysAddr(raw & self.frame), rights: x86::rights(raw) }
        }
    }

    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        self.controls.permit(rights, access)
    }

    #[inline]
    fn touch(&self, raw: u64, is_leaf: bool, access: Access) -> Touch {
        x86::touch(raw, is_leaf, access)
    }

    #[inline]
    fn arch_fault(&self, _: Option<Level>, cause: FaultCause, access: Access) -> ArchFault {
        self.controls.arch_fault(true, cause, access)
    }

    fn encode_self_map(&self, root: PhysAddr) -> Option<u64> {
        Some(root.0 & self.frame | P | RW)
    }

    #[inline]
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64 {
        debug_assert!(level.0 > 0, "a PTE points to no table");
        debug_assert!(next.0 & !self.frame == 0, "a table lies in a frame below MAXPHYADDR");
        next.0 & self.frame | P | RW | US
    }

    /// R/W is clear.
    #[inline]
    fn encode_table_read_only(&self, level: Level, next: PhysAddr) -> Option<u64> {
        Some(self.encode_table(level, next) & !RW)
    }

    /// Not expressible: no READ; no EXECUTE is lost while NXE is off.
    #[inline]
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64 {
        debug_assert!(level.0 <= LARGE_MAX, "the largest page is 1 GiB");
        debug_assert!(level.0 < LARGE_MAX || self.controls.page1gb, "1 GiB pages need Page1GB");
        x86::encode_wide_leaf(level, &leaf, self.frame, self.controls.nxe)
    }

    #[inline]
    fn absent_bits(&self) -> u8 {
        63
    }

    #[inline]
    fn encode_absent(&self, payload: u64) -> u64 {
        assert!(payload >> 63 == 0, "an absent entry has 63 bits for software");
        payload << 1
    }

    #[inline]
    fn decode_absent(&self, raw: u64) -> u64 {
        debug_assert!(raw & P == 0);
        raw >> 1
    }
}
