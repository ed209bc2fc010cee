//! PAE paging: 32-bit addresses on up to 52 bits of physical space (Intel SDM vol. 3A, 4.4).
//!
//! ```text
//!     31 30 29        21 20       12 11        0
//!    ┌─────┬────────────┬───────────┬───────────┐
//!    │ pdp │ directory  │   table   │  offset   │    4 KiB page: 2 / 9 / 9 / 12
//!    ├─────┼────────────┼───────────┴───────────┤
//!    │ pdp │ directory  │        offset         │    2 MiB page: 2 / 9 / 21
//!    └──┬──┴────────────┴───────────────────────┘
//!       └─► one of four PDPTE registers, loaded with CR3
//! ```

use super::x86::{self, P, PCD, PS, PWT, RW, US, X86Controls, XD};
use super::{Entry, Geometry, Leaf, LevelShape, Radix, Root, Touch};
use crate::{
    Access, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Rights, TableMemory, VirtAddr,
};

const GEOMETRY: Geometry = Geometry {
    levels: &[
        LevelShape { shift: 12, bits: 9, leaf: true },
        LevelShape { shift: 21, bits: 9, leaf: true },
        LevelShape { shift: 30, bits: 2, leaf: false },
    ],
    entry: EntryWidth::Eight,
    va_bits: 32,
    pa_bits: 52,
};

/// The level of the PDPTEs.
const PDPT: Level = Level(2);
/// CR3 (table 4-7): bits 31:5 are the address of the four PDPTEs.
const PDPT_ADDRESS: u64 = 0xffff_ffe0;
/// Bits that are reserved in every PDPTE: 2:1 and 8:5 (table 4-8).
const PDPTE_RESERVED: u64 = 0b1_1110_0110;
/// Bits 20:13 of a PDE that maps a 2 MiB page (table 4-9).
const LARGE_RESERVED: u64 = x86::bits(13, 21);

/// PAE paging: 2/9/9/12 with entries of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pae {
    controls: X86Controls,
    /// Bits M-1:12, the address of a 4 KiB frame.
    frame: u64,
    /// Bits 62:M, and 63 too unless it is XD.
    reserved: u64,
}

impl Default for Pae {
    fn default() -> Self {
        Self::new(X86Controls::default())
    }
}

impl Pae {
    /// PAE paging under `controls`. `pse` has no meaning here.
    ///
    /// # Panics
    /// If `controls.phys_bits` is not 32 to 52.
    pub const fn new(controls: X86Controls) -> Self {
        let controls = controls.checked();
        let m = controls.phys_bits;
        let reserved = x86::bits(m, if controls.nxe { 63 } else { 64 });
        Self { controls, frame: x86::bits(12, m), reserved }
    }

    /// The control bits in force.
    #[inline]
    pub const fn controls(&self) -> &X86Controls {
        &self.controls
    }
}

impl Radix for Pae {
    #[inline]
    fn geometry(&self) -> &Geometry {
        &GEOMETRY
    }

    /// SDM 4.4.1: MOV to CR3 loads the four PDPTEs from memory into registers, and raises #GP(0)
    /// if a present one has a reserved bit set. Later changes in memory are not seen.
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        if table.0 >> 32 != 0 {
            return Err(FaultCause::Reserved);
        }
        let table = PhysAddr(table.0 & PDPT_ADDRESS);
        let mut registers = [0; 4];
        for (index, register) in registers.iter_mut().enumerate() {
            let at = PhysAddr(table.0 + index as u64 * GEOMETRY.entry.bytes());
            *register = memory.read_entry(at, GEOMETRY.entry).map_err(|_| FaultCause::NoMemory)?;
            if let Entry::Invalid(cause) = self.decode(PDPT, *register) {
                return Err(cause);
            }
        }
        Ok(Root { table, upper: None, registers: Some(registers) })
    }

    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        if va.0 >> 32 == 0 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    /// Figure 4-7.
    ///
    /// ```text
    ///              63  62..M  M-1..21    20..13   12  11..9  8  7   6  5  4   3   2   1   0
    ///   PDPTE     │ 0 │  0  │ directory M-1..12     │ soft │ 0   0   0  0 │PCD│PWT│ 0   0 │ 1 │
    ///   PDE 2 MiB │XD │  0  │ frame    │   0    │PAT│ soft │G │ 1 │ D │A │PCD│PWT│U/S│R/W│ 1 │
    ///   PDE table │XD │  0  │ page table M-1..12    │ soft │- │ 0 │ - │A │PCD│PWT│U/S│R/W│ 1 │
    ///   PTE       │XD │  0  │ frame M-1..12         │ soft │G │PAT│ D │A │PCD│PWT│U/S│R/W│ 1 │
    ///   absent    │ software                                                            │ 0 │
    /// ```
    ///
    /// A PDPTE has no rights of its own: it allows everything below it.
    #[inline]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        if raw & P == 0 {
            return Entry::NotPresent;
        }
        let reserved = match level.0 {
            2 => self.reserved | XD | PDPTE_RESERVED,
            1 if raw & PS != 0 => self.reserved | LARGE_RESERVED,
            _ => self.reserved,
        };
        if raw & reserved != 0 {
            return Entry::Invalid(FaultCause::Reserved);
        }
        let frame = raw & self.frame;
        match level.0 {
            2 => Entry::Table { next: PhysAddr(frame), rights: Rights::all() },
            1 if raw & PS == 0 => Entry::Table { next: PhysAddr(frame), rights: x86::rights(raw) },
            1 => {
                let pfn = Pfn((frame & !x86::bits(0, 21)) >> 12);
                Entry::Leaf(x86::leaf(raw, pfn, self.controls.pge))
            }
            _ => Entry::Leaf(x86::leaf(raw, Pfn(frame >> 12), self.controls.pge)),
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

    /// Table 4-8: bit 5 of a PDPTE is reserved, not A.
    #[inline]
    fn has_accessed_bit(&self, level: Level, _: bool) -> bool {
        level != PDPT
    }

    #[inline]
    fn arch_fault(&self, _: Option<Level>, cause: FaultCause, access: Access) -> ArchFault {
        self.controls.arch_fault(true, cause, access)
    }

    #[inline]
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64 {
        debug_assert!(next.0 & !self.frame == 0, "a table lies in a frame below MAXPHYADDR");
        let flags = if level == PDPT { P } else { P | RW | US };
        next.0 & self.frame | flags
    }

    /// R/W is clear; a PDPTE has none.
    #[inline]
    fn encode_table_read_only(&self, level: Level, next: PhysAddr) -> Option<u64> {
        (level < PDPT).then(|| self.encode_table(level, next) & !RW)
    }

    /// Not expressible: no READ; no EXECUTE is lost while NXE is off.
    #[inline]
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64 {
        debug_assert!(level < PDPT, "PAE has no 1 GiB pages");
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

// PWT and PCD are the only flags of a PDPTE beside P.
const _: () = assert!(PDPTE_RESERVED & (P | PWT | PCD) == 0);
