//! A small page-table format, so that whole trees fit on paper.
//!
//! ```text
//!   text 004's entry:   │ frame            │ 0 │ W │ V │      PAGE_TABLE[v] >> 8 is the frame
//!                        31              8  …   1   0
//! ```
//!
//! An entry takes four bytes, and a table just fills a frame: with pages of 2^n bytes an index has
//! n − 2 bits. That is what makes IA-32's 10 and 12 bits fit each other.

use pagewalk_mmu::radix::{Entry, Geometry, Leaf, LevelShape, Radix, Touch};
use pagewalk_mmu::{
    Access, AccessKind, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Rights, VirtAddr,
};

/// The entry is valid.
pub const VALID: u64 = 1;
/// The page can be written.
pub const WRITABLE: u64 = 2;
/// Where the frame's number begins.
pub const FRAME_SHIFT: u8 = 8;

const fn level(shift: u8, bits: u8, leaf: bool) -> LevelShape {
    LevelShape { shift, bits, leaf }
}

const fn geometry(levels: &'static [LevelShape]) -> Geometry {
    let top = levels[levels.len() - 1];
    let page = levels[0].shift;
    Geometry { levels, entry: EntryWidth::Four, va_bits: top.shift + top.bits, pa_bits: 24 + page }
}

static TWO_OF_6: [LevelShape; 2] = [level(6, 4, true), level(10, 4, false)];
static TWO_OF_5: [LevelShape; 2] = [level(5, 3, true), level(8, 3, false)];
static THREE_OF_5: [LevelShape; 3] = [level(5, 3, true), level(8, 3, false), level(11, 3, false)];
static THREE_OF_4: [LevelShape; 3] = [level(4, 2, true), level(6, 2, false), level(8, 2, false)];

/// The shapes that there are.
static SHAPES: [Geometry; 4] =
    [geometry(&TWO_OF_6), geometry(&TWO_OF_5), geometry(&THREE_OF_5), geometry(&THREE_OF_4)];

/// A small format.
#[derive(Clone, Copy, Debug)]
pub struct Small(&'static Geometry);

impl Small {
    /// All of so many levels.
    pub fn of_levels(levels: usize) -> Vec<Self> {
        SHAPES.iter().filter(|shape| shape.levels.len() == levels).map(Self).collect()
    }
}

impl Radix for Small {
    fn geometry(&self) -> &Geometry {
        self.0
    }

    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        if va.0 >> self.0.va_bits == 0 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    fn decode(&self, level: Level, raw: u64) -> Entry {
        let frame = raw >> FRAME_SHIFT;
        if raw & VALID == 0 {
            return Entry::NotPresent;
        }
        if level.0 > 0 {
            let next = Pfn(frame).base(self.0.base_page());
            return Entry::Table { next, rights: Rights::all() };
        }
        let mut rights = Rights::all();
        rights.set(Rights::WRITE, raw & WRITABLE != 0);
        let (global, accessed, dirty) = (false, true, true);
        let (cache_disable, write_through) = (false, false);
        let pfn = Pfn(frame);
        Entry::Leaf(Leaf { pfn, rights, global, accessed, dirty, cache_disable, write_through })
    }

    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        let is_allowed = access.kind != AccessKind::Write || rights.contains(Rights::WRITE);
        if is_allowed { Ok(()) } else { Err(FaultCause::Protection) }
    }

    fn has_accessed_bit(&self, _: Level, _: bool) -> bool {
        false
    }

    fn touch(&self, _: u64, _: bool, _: Access) -> Touch {
        Touch::Nothing
    }

    fn arch_fault(&self, _: Option<Level>, _: FaultCause, _: Access) -> ArchFault {
        ArchFault::PageFault
    }

    fn encode_table(&self, _: Level, next: PhysAddr) -> u64 {
        next.pfn(self.0.base_page()).0 << FRAME_SHIFT | VALID
    }

    fn encode_leaf(&self, _: Level, leaf: Leaf) -> u64 {
        let writable = if leaf.rights.contains(Rights::WRITE) { WRITABLE } else { 0 };
        leaf.pfn.0 << FRAME_SHIFT | writable | VALID
    }

    fn absent_bits(&self) -> u8 {
        0
    }

    fn encode_absent(&self, _: u64) -> u64 {
        0
    }

    fn decode_absent(&self, _: u64) -> u64 {
        0
    }
}
