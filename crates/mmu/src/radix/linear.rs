//! The single-level page table of the text books: one entry for each page of the address space.
//!
//! ```text
//!     29            12 11         0
//!    ┌────────────────┬────────────┐
//!    │      page      │   offset   │     pages of any power of two, from one byte up
//!    └───────┬────────┴────────────┘
//!    base ──►│ PTE ──► frame             physical address = frame | offset
//!
//!              31         10  9    8   7   6   5   4   3   2   1   0
//!   PTE      │    frame     │soft│ C │ D │ A │ G │ U │ X │ W │ R │ V │
//!   absent   │ software                                          │ 0 │
//! ```
//!
//! No machine had just this table; the nearest, the VAX-11, cut it in three by length registers.
//! The bits are those that every text names: valid, frame, read, write, execute, user, global,
//! referenced (A), modified (D), cache disable (C).

use super::{Entry, Geometry, Leaf, LevelShape, Radix, Touch};
use crate::{
    Access, AccessKind, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Privilege, Rights,
    VirtAddr,
};

const V: u64 = 1 << 0;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const G: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const C: u64 = 1 << 8;
const FRAME_SHIFT: u8 = 10;
const FRAME_BITS: u8 = 32 - FRAME_SHIFT;

/// The largest page: 16 MiB.
const PAGE_SHIFT_MAX: u8 = 24;
/// The widest address.
const VA_BITS_MAX: u8 = 32;

/// Every shape that there is, by the page's shift and the number of index bits.
static SHAPES: [[[LevelShape; 1]; VA_BITS_MAX as usize + 1]; PAGE_SHIFT_MAX as usize + 1] = {
    let mut shapes = [[[LevelShape { shift: 0, bits: 0, leaf: true }]; VA_BITS_MAX as usize + 1];
        PAGE_SHIFT_MAX as usize + 1];
    let mut shift = 0;
    while shift <= PAGE_SHIFT_MAX as usize {
        let mut bits = 0;
        while bits <= VA_BITS_MAX as usize {
            shapes[shift][bits][0] =
                LevelShape { shift: shift as u8, bits: bits as u8, leaf: true };
            bits += 1;
        }
        shift += 1;
    }
    shapes
};

/// A single-level page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    geometry: Geometry,
}

impl Default for Linear {
    /// Pages of 4 KiB, addresses of 30 bits: a table of 1 MiB.
    fn default() -> Self {
        Self::of(12, 30)
    }
}

impl Linear {
    /// A table of pages of 2^`page_shift` bytes over addresses of `va_bits` bits. `None` if there
    /// is no such table: `page_shift` is above 24, `va_bits` above 32 or below `page_shift`.
    pub fn new(page_shift: u8, va_bits: u8) -> Option<Self> {
        let possible =
            page_shift <= PAGE_SHIFT_MAX && va_bits <= VA_BITS_MAX && va_bits > page_shift;
        possible.then(|| Self::of(page_shift, va_bits))
    }

    /// The same address space in pages of 2^`page_shift` bytes.
    pub fn with_page(self, page_shift: u8) -> Option<Self> {
        Self::new(page_shift, self.geometry.va_bits)
    }

    const fn of(page_shift: u8, va_bits: u8) -> Self {
        let geometry = Geometry {
            levels: &SHAPES[page_shift as usize][(va_bits - page_shift) as usize],
            entry: EntryWidth::Four,
            va_bits,
            pa_bits: FRAME_BITS + page_shift,
        };
        Self { geometry }
    }
}

impl Radix for Linear {
    #[inline]
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The index must lie within the table.
    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        if va.0 >> self.geometry.va_bits == 0 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    #[inline]
    fn decode(&self, _: Level, raw: u64) -> Entry {
        if raw & V == 0 {
            return Entry::NotPresent;
        }
        let mut rights = Rights::empty();
        rights.set(Rights::READ, raw & R != 0);
        rights.set(Rights::WRITE, raw & W != 0);
        rights.set(Rights::EXECUTE, raw & X != 0);
        rights.set(Rights::USER, raw & U != 0);
        Entry::Leaf(Leaf {
            pfn: Pfn((raw & 0xffff_ffff) >> FRAME_SHIFT),
            rights,
            global: raw & G != 0,
            accessed: raw & A != 0,
            dirty: raw & D != 0,
            cache_disable: raw & C != 0,
            write_through: false,
        })
    }

    /// The user needs U; everybody needs R, W or X.
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
    fn touch(&self, raw: u64, _: bool, access: Access) -> Touch {
        let dirty = if access.kind == AccessKind::Write { D } else { 0 };
        match raw | A | dirty {
            touched if touched == raw => Touch::Nothing,
            touched => Touch::Write(touched),
        }
    }

    #[inline]
    fn arch_fault(&self, _: Option<Level>, _: FaultCause, _: Access) -> ArchFault {
        ArchFault::PageFault
    }

    fn encode_table(&self, _: Level, _: PhysAddr) -> u64 {
        unreachable!("a single level has no pointers to tables")
    }

    /// Not expressible: `write_through`.
    #[inline]
    fn encode_leaf(&self, _: Level, leaf: Leaf) -> u64 {
        debug_assert!(leaf.pfn.0 >> FRAME_BITS == 0, "a frame that fits");
        let flag = |on, bit| if on { bit } else { 0 };
        let has = |right| leaf.rights.contains(right);
        (leaf.pfn.0 << FRAME_SHIFT) & 0xffff_ffff
            | V
            | flag(has(Rights::READ), R)
            | flag(has(Rights::WRITE), W)
            | flag(has(Rights::EXECUTE), X)
            | flag(has(Rights::USER), U)
            | flag(leaf.global, G)
            | flag(leaf.accessed, A)
            | flag(leaf.dirty, D)
            | flag(leaf.cache_disable, C)
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
        debug_assert!(raw & V == 0);
        (raw & 0xffff_ffff) >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text 000: pages of 16 addresses, page 0x123 in frame 0xabc.
    #[test]
    fn address_1234_is_at_abc4() {
        let linear = Linear::new(4, 16).unwrap();
        let va = VirtAddr(0x1234);
        let shape = linear.geometry().level(Level(0));
        assert_eq!((shape.index(va), va.offset(shape.page())), (0x123, 4));
        assert_eq!(linear.geometry().table_bytes(Level(0)), 4096 * 4);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        assert!(Linear::new(25, 30).is_none());
        assert!(Linear::new(12, 33).is_none());
        assert!(Linear::new(12, 12).is_none());
        assert!(Linear::new(0, 32).is_some());
    }
}
