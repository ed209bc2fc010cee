//! IA-32 two-level paging, "32-bit paging" in the manual (Intel SDM vol. 3A, 4.3).
//!
//! ```text
//!     31       22 21       12 11        0
//!    ┌───────────┬───────────┬───────────┐
//!    │ directory │   table   │  offset   │    4 KiB page: 10 / 10 / 12
//!    ├───────────┼───────────┴───────────┤
//!    │ directory │        offset         │    4 MiB page: 10 / 22
//!    └─────┬─────┴───────────────────────┘
//!    CR3 ─►│ PDE ──► page table ──► PTE ──► frame
//! ```

use super::x86::{self, A, P, PS, RW, US, X86Controls};
use super::{Entry, Geometry, Leaf, LevelShape, Radix, Root, Touch};
use crate::{
    Access, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Rights, TableMemory, VirtAddr,
};

const PAGE: LevelShape = LevelShape { shift: 12, bits: 10, leaf: true };
const WITHOUT_PSE: Geometry = Geometry {
    levels: &[PAGE, LevelShape { shift: 22, bits: 10, leaf: false }],
    entry: EntryWidth::Four,
    va_bits: 32,
    pa_bits: 32,
};
const WITH_PSE: Geometry =
    Geometry { levels: &[PAGE, LevelShape { shift: 22, bits: 10, leaf: true }], ..WITHOUT_PSE };

/// Bits 31:12 of a PDE or PTE: the address of a 4 KiB frame.
const FRAME: u64 = 0xffff_f000;
/// Bits 31:22 of a PDE: bits 31:22 of the address of a 4 MiB frame.
const LARGE_FRAME: u64 = 0xffc0_0000;
/// PSE-36: bits 32 and up of a 4 MiB frame's address lie in bits 13 and up of the PDE.
const PSE36_SHIFT: u8 = 32 - 13;
/// PSE-36 reaches 40 bits at most, whatever MAXPHYADDR is (table 4-4, note 2).
const PSE36_BITS_MAX: u8 = 40;

/// IA-32 paging: 10/10/12 with entries of four bytes.
///
/// There is no XD: every present page may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ia32 {
    controls: X86Controls,
    /// The PDE bits that are reserved in a 4 MiB page.
    large_reserved: u64,
}

impl Default for Ia32 {
    fn default() -> Self {
        Self::new(X86Controls::default())
    }
}

impl Ia32 {
    /// IA-32 paging under `controls`. `nxe` has no meaning here.
    ///
    /// # Panics
    /// If `controls.phys_bits` is not 32 to 52.
    pub const fn new(controls: X86Controls) -> Self {
        let controls = controls.checked();
        let m =
            if controls.phys_bits < PSE36_BITS_MAX { controls.phys_bits } else { PSE36_BITS_MAX };
        // Table 4-4: bits 21:(M-19) are reserved, M being the width of the address.
        Self { controls, large_reserved: x86::bits(m - PSE36_SHIFT, 22) }
    }

    /// The control bits in force.
    #[inline]
    pub const fn controls(&self) -> &X86Controls {
        &self.controls
    }
}

impl Radix for Ia32 {
    #[inline]
    fn geometry(&self) -> &Geometry {
        if self.controls.pse { &WITH_PSE } else { &WITHOUT_PSE }
    }

    /// CR3 (table 4-3): bits 31:12 are the directory; PCD, PWT and the ignored bits are dropped.
    #[inline]
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        _: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        if table.0 >> 32 != 0 {
            return Err(FaultCause::Reserved);
        }
        Ok(Root { table: PhysAddr(table.0 & FRAME), upper: None, registers: None })
    }

    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        if va.0 >> 32 == 0 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    /// Figure 4-4.
    ///
    /// ```text
    ///             31      22 21  20    13   12  11  9  8   7   6   5   4    3    2    1    0
    ///   PDE 4 MiB │ 31:22   │ 0 │ 39:32  │ PAT │ soft │ G │ 1 │ D │ A │ PCD│ PWT│ U/S│ R/W│ 1 │
    ///   PDE table │ page table 31:12           │ soft │ - │ 0 │ - │ A │ PCD│ PWT│ U/S│ R/W│ 1 │
    ///   PTE       │ frame 31:12                │ soft │ G │PAT│ D │ A │ PCD│ PWT│ U/S│ R/W│ 1 │
    ///   absent    │ software                                                              │ 0 │
    /// ```
    ///
    /// Without CR4.PSE, bit 7 of a PDE is ignored.
    #[inline]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        if raw & P == 0 {
            return Entry::NotPresent;
        }
        if level.0 == 0 {
            return Entry::Leaf(x86::leaf(raw, Pfn((raw & FRAME) >> 12), self.controls.pge));
        }
        if !(self.controls.pse && raw & PS != 0) {
            return Entry::Table { next: PhysAddr(raw & FRAME), rights: x86::rights(raw) };
        }
        if raw & self.large_reserved != 0 {
            return Entry::Invalid(FaultCause::Reserved);
        }
        let high = raw & x86::bits(13, 21) & !self.large_reserved;
        let frame = raw & LARGE_FRAME | high << PSE36_SHIFT;
        Entry::Leaf(x86::leaf(raw, Pfn(frame >> 12), self.controls.pge))
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
        self.controls.arch_fault(false, cause, access)
    }

    fn encode_self_map(&self, root: PhysAddr) -> Option<u64> {
        Some(root.0 & FRAME | P | RW)
    }

    #[inline]
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64 {
        debug_assert!(level.0 == 1 && next.0 & !FRAME == 0, "a PDE points to a 32-bit frame");
        next.0 & FRAME | P | RW | US
    }

    /// R/W is clear.
    #[inline]
    fn encode_table_read_only(&self, level: Level, next: PhysAddr) -> Option<u64> {
        Some(self.encode_table(level, next) & !RW)
    }

    /// Not expressible: no READ, no EXECUTE (a present page has both); with 4 KiB pages, frames
    /// from 4 GiB on. The accessed bit of a table entry is set by the walk.
    #[inline]
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64 {
        let frame = leaf.pfn.0 << 12;
        if level.0 == 0 {
            debug_assert!(frame & !FRAME == 0, "a PTE holds a 32-bit frame");
            return frame & FRAME | x86::leaf_flags(&leaf);
        }
        debug_assert!(self.controls.pse, "4 MiB pages need CR4.PSE");
        let high = frame >> 32 << 13;
        debug_assert!(high & (self.large_reserved | !x86::bits(13, 21)) == 0, "PSE-36 frame");
        debug_assert!(frame & x86::bits(0, 22) == 0, "a 4 MiB page is aligned");
        frame & LARGE_FRAME | high & x86::bits(13, 21) | PS | x86::leaf_flags(&leaf)
    }

    #[inline]
    fn absent_bits(&self) -> u8 {
        31
    }

    #[inline]
    fn encode_absent(&self, payload: u64) -> u64 {
        assert!(payload >> 31 == 0, "an absent entry has 31 bits for software");
        payload << 1
    }

    #[inline]
    fn decode_absent(&self, raw: u64) -> u64 {
        debug_assert!(raw & P == 0);
        (raw & 0xffff_ffff) >> 1
    }
}

// The walker sets A in both entries: the bit must not overlap what a frame address holds.
const _: () = assert!(FRAME & A == 0);
