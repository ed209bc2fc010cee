//! A page table for the MIPS R3000, whose hardware reads none: entries that software can load into
//! the TLB as they are.
//!
//! ```text
//!   31        22 21        12 11         0
//!  │ 0 │ table  │    page    │  offset    │     kuseg
//!        │             │
//!   root ▼ kseg0       ▼ a page of kseg2
//!  ┌────────┐        ┌────────┐
//!  │  512   ├───────►│  1024  ├─────► page
//!  └────────┘        └────────┘
//!
//!   kseg2  c000_0000 ┌──────┬──────┬──────┬─
//!                    │ PTEs │ PTEs │ PTEs │ …   all page-table pages in a row: the entry of page n
//!                    └──────┴──────┴──────┴─    is at c000_0000 + 4 n, where Context points
//! ```
//!
//! Seen through kseg2 the table is linear, 2 MiB for the 2 GiB of kuseg, and only those of its
//! pages exist that are needed: kseg2 is mapped by the TLB like the rest. The root says where they
//! are, in the same entries.
//!
//! ```text
//!            31                 12 11 10  9  8  7   5  4   3   2   1   0
//!   PTE     │        PFN         │ N│ D│ V│ G│   0   │ M │ A │ W │ U │ P │
//!   root    │        PFN         │ 0│ 1│ 1│ 0│       0               │ 1 │
//!   absent  │     software       │  software │ 0 │ 0 │   software    │ 0 │
//! ```
//!
//! The hardware ignores bits 7:0 of EntryLo, so software keeps there what it must know: present,
//! user, writable, accessed, modified. Of these V and D follow:
//!
//! ```text
//!   V = P and U and A        the first reference to a page traps as invalid and sets A
//!   D = V and W and M        the first store traps as modified and sets M
//! ```
//!
//! That is how BSD on the MIPS and Ultrix had referenced and modified bits. An absent entry has V
//! clear, so that the refill handler may load it without a look, and G, so that it matches in its
//! own space alone.

use super::{Entry, Geometry, Leaf, LevelShape, Radix, Root, Touch};
use crate::r3000::{EntryLo, ExcCode, Vector};
use crate::{
    Access, AccessKind, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Privilege, Rights,
    TableMemory, VirtAddr,
};

const N: u64 = EntryLo::N as u64;
const D: u64 = EntryLo::D as u64;
const V: u64 = EntryLo::V as u64;
const G: u64 = EntryLo::G as u64;
const RESERVED: u64 = 0xe0;
const M: u64 = 1 << 4;
const A: u64 = 1 << 3;
const W: u64 = 1 << 2;
const U: u64 = 1 << 1;
const P: u64 = 1 << 0;

/// The first address above kuseg.
const KUSEG_END: u64 = 0x8000_0000;

/// What kseg0 reaches.
const KSEG0_BYTES: u64 = 512 << 20;

/// The low bits of an absent entry's payload, which are below V and G.
const PAYLOAD_LOW_BITS: u8 = 7;
/// Where the others start.
const PAYLOAD_HIGH_SHIFT: u8 = 10;

const GEOMETRY: Geometry = Geometry {
    levels: &[
        LevelShape { shift: 12, bits: 10, leaf: true },
        LevelShape { shift: 22, bits: 9, leaf: false },
    ],
    entry: EntryWidth::Four,
    va_bits: 32,
    pa_bits: 32,
};

/// The page table that the kernel keeps for the R3000's TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct R3000;

impl R3000 {
    /// PTEBase: where the table starts in kseg2. The same in every space, whose ASID tells its
    /// pages from others'.
    pub const PTE_BASE: u32 = 0xc000_0000;

    /// The lowest user address whose entry is in the page of the table that is at `va` in kseg2;
    /// `None` if the table does not reach there.
    pub fn mapped_by(va: VirtAddr) -> Option<VirtAddr> {
        let table = va.0.checked_sub(u64::from(Self::PTE_BASE))? >> GEOMETRY.base_page().shift();
        let mapped = table << GEOMETRY.level(Level(1)).shift;
        (mapped < KUSEG_END).then_some(VirtAddr(mapped))
    }

    /// V and D, as the software bits of `raw` say.
    #[inline]
    const fn with_hardware_bits(raw: u64) -> u64 {
        let raw = raw & !(V | D);
        let valid = if raw & (P | U | A) == P | U | A { V } else { 0 };
        let dirty = if valid != 0 && raw & (W | M) == W | M { D } else { 0 };
        raw | valid | dirty
    }
}

impl Radix for R3000 {
    #[inline]
    fn geometry(&self) -> &Geometry {
        &GEOMETRY
    }

    /// The kernel reads the root in kseg0, the lowest 512 MiB. It fills half a page.
    #[inline]
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        _: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        if table.0 >= KSEG0_BYTES {
            return Err(FaultCause::Reserved);
        }
        let table = PhysAddr(table.0 & !(GEOMETRY.table_bytes(Level(1)) - 1));
        Ok(Root { table, upper: None, registers: None })
    }

    /// The table is kuseg's.
    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        if va.0 < KUSEG_END { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    #[inline]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        if raw & P == 0 {
            // The hardware would take it for a page.
            return match raw & (V | G) {
                0 => Entry::NotPresent,
                _ => Entry::Invalid(FaultCause::Reserved),
            };
        }
        let pfn = Pfn(raw >> GEOMETRY.base_page().shift());
        if level.0 > 0 {
            let expected = self.encode_table(level, pfn.base(GEOMETRY.base_page()));
            return match raw == expected {
                true => {
                    Entry::Table { next: pfn.base(GEOMETRY.base_page()), rights: Rights::all() }
                }
                false => Entry::Invalid(FaultCause::Reserved),
            };
        }
        if raw & RESERVED != 0 || raw != Self::with_hardware_bits(raw) {
            return Entry::Invalid(FaultCause::Reserved);
        }
        let mut rights = Rights::READ | Rights::EXECUTE;
        rights.set(Rights::WRITE, raw & W != 0);
        rights.set(Rights::USER, raw & U != 0);
        Entry::Leaf(Leaf {
            pfn,
            rights,
            global: raw & G != 0,
            accessed: raw & A != 0,
            dirty: raw & M != 0,
            cache_disable: raw & N != 0,
            write_through: false,
        })
    }

    /// Software's own rule: user pages are the user's, and the kernel's in his stead.
    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        if access.privilege == Privilege::User && !rights.contains(Rights::USER) {
            return Err(FaultCause::Privilege);
        }
        let needed = match access.kind {
            AccessKind::Read => Rights::READ,
            AccessKind::Write => Rights::WRITE,
            AccessKind::Execute => Rights::EXECUTE,
        };
        if rights.contains(needed) { Ok(()) } else { Err(FaultCause::Protection) }
    }

    #[inline]
    fn has_accessed_bit(&self, _: Level, is_leaf: bool) -> bool {
        is_leaf
    }

    /// Software sets A and M, in the handlers of the invalid and the modified exception.
    #[inline]
    fn touch(&self, raw: u64, is_leaf: bool, access: Access) -> Touch {
        let store = access.kind == AccessKind::Write;
        match is_leaf {
            true if raw & A == 0 => Touch::Fault(FaultCause::AccessedClear),
            true if store && raw & M == 0 => Touch::Fault(FaultCause::DirtyClear),
            _ => Touch::Nothing,
        }
    }

    /// The exception that leads to a handler's finding this out: a store through an entry that is
    /// valid is modified, everything else in kuseg a TLB exception.
    #[inline]
    fn arch_fault(&self, _: Option<Level>, cause: FaultCause, access: Access) -> ArchFault {
        let store = access.kind == AccessKind::Write;
        let exc_code = match cause {
            FaultCause::NonCanonical if store => ExcCode::Ades,
            FaultCause::NonCanonical => ExcCode::Adel,
            FaultCause::Protection | FaultCause::DirtyClear => ExcCode::Mod,
            _ if store => ExcCode::Tlbs,
            _ => ExcCode::Tlbl,
        };
        ArchFault::R3000 { exc_code, vector: Vector::General }
    }

    /// An entry of kseg2's page: valid, and writable to the kernel.
    #[inline]
    fn encode_table(&self, _: Level, next: PhysAddr) -> u64 {
        next.0 & !0xfff | D | V | P
    }

    /// Not expressible: absence of READ and EXECUTE, which the TLB gives with V; `write_through`.
    #[inline]
    fn encode_leaf(&self, _: Level, leaf: Leaf) -> u64 {
        debug_assert!(leaf.pfn.0 >> 20 == 0, "a frame that fits");
        let flag = |on, bit| if on { bit } else { 0 };
        Self::with_hardware_bits(
            leaf.pfn.0 << GEOMETRY.base_page().shift()
                | flag(leaf.cache_disable, N)
                | flag(leaf.global, G)
                | flag(leaf.dirty, M)
                | flag(leaf.accessed, A)
                | flag(leaf.rights.contains(Rights::WRITE), W)
                | flag(leaf.rights.contains(Rights::USER), U)
                | P,
        )
    }

    /// Bits 31:10 and 7:1.
    #[inline]
    fn absent_bits(&self) -> u8 {
        32 - PAYLOAD_HIGH_SHIFT + PAYLOAD_LOW_BITS
    }

    #[inline]
    fn encode_absent(&self, payload: u64) -> u64 {
        assert!(payload >> self.absent_bits() == 0, "the payload fits beside V, G and P");
        let low = payload & ((1 << PAYLOAD_LOW_BITS) - 1);
        payload >> PAYLOAD_LOW_BITS << PAYLOAD_HIGH_SHIFT | low << 1
    }

    #[inline]
    fn decode_absent(&self, raw: u64) -> u64 {
        debug_assert!(raw & (V | G | P) == 0);
        let low = raw >> 1 & ((1 << PAYLOAD_LOW_BITS) - 1);
        raw >> PAYLOAD_HIGH_SHIFT << PAYLOAD_LOW_BITS | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_maps_kuseg_and_no_more() {
        let page = |n: u64| VirtAddr(u64::from(R3000::PTE_BASE) + n * 4096);
        assert_eq!(R3000::mapped_by(page(0)), Some(VirtAddr(0)));
        assert_eq!(R3000::mapped_by(page(511)), Some(VirtAddr(0x7fc0_0000)));
        assert_eq!(R3000::mapped_by(page(512)), None);
        assert_eq!(R3000::mapped_by(VirtAddr(0x7fff_f000)), None);
    }

    #[test]
    fn absent_entries_can_be_loaded_without_a_look() {
        for payload in [0, 1, 0x7f, 0x80, 0x1555_5555, 0x1fff_ffff] {
            let raw = R3000.encode_absent(payload);
            assert_eq!((raw >> 32, raw & (V | G | P)), (0, 0), "{payload:#x}");
            assert_eq!(R3000.decode_absent(raw), payload);
        }
    }
}
