//! PTEs and PTEGs: where they lie, what they hold, how they are searched.
//!
//! ```text
//!   group (PTEG)   64 bytes, aligned    │ PTE 0 │ PTE 1 │ … │ PTE 7 │
//!   PTE             8 bytes             │ word 0: compared │ word 1: where and how │
//! ```

use super::{GROUP, PTE_BYTES};
use crate::{
    EntryWidth, OutOfMemory, Pfn, PhysAddr, Probe, ProbeKind, TableMemory, VirtAddr, WalkObserver,
};

const VALID: u32 = 1 << 31;
const VSID_SHIFT: u32 = 7;
const H: u32 = 1 << 6;
const API: u32 = 0x3f;
/// The API's place in the page index.
const API_SHIFT: u32 = 10;

const RPN_SHIFT: u32 = 12;
const REFERENCED: u32 = 1 << 8;
const CHANGED: u32 = 1 << 7;
/// W: write-through.
pub(super) const WRITE_THROUGH: u32 = 1 << 6;
/// I: caching inhibited.
pub(super) const INHIBITED: u32 = 1 << 5;
/// M: memory coherence.
pub(super) const COHERENT: u32 = 1 << 4;
/// G: guarded.
pub(super) const GUARDED: u32 = 1 << 3;
const PP: u32 = 3;

/// The bits of a hash that a group's address always has: bits 9 to 18.
const HASH_LOW: u32 = 0x3ff;
const HASH_BITS: u32 = 0x7_ffff;
const GROUP_SHIFT: u32 = 6;

/// Where word 1 of the PTE at `pte` lies.
pub(super) const fn word1_at(pte: PhysAddr) -> PhysAddr {
    PhysAddr(pte.0 + 4)
}

/// A page-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Pte {
    /// V, VSID, H, API.
    pub word0: u32,
    /// RPN, R, C, WIMG, PP.
    pub word1: u32,
}

impl Pte {
    /// The word that a look-up compares: the valid PTE of a page, in the group of hash 1 or
    /// (`secondary`) hash 2. `page_index` has 16 bits.
    pub const fn tag(vsid: u32, page_index: u32, secondary: bool) -> u32 {
        VALID
            | (vsid & 0xff_ffff) << VSID_SHIFT
            | if secondary { H } else { 0 }
            | (page_index >> API_SHIFT) & API
    }

    /// V.
    pub const fn is_valid(self) -> bool {
        self.word0 & VALID != 0
    }

    /// VSID.
    pub const fn vsid(self) -> u32 {
        self.word0 >> VSID_SHIFT & 0xff_ffff
    }

    /// H: the PTE is in the group of hash 2.
    pub const fn is_secondary(self) -> bool {
        self.word0 & H != 0
    }

    /// API: the upper six bits of the page index.
    pub const fn api(self) -> u32 {
        self.word0 & API
    }

    /// RPN.
    pub const fn frame(self) -> Pfn {
        Pfn((self.word1 >> RPN_SHIFT) as u64)
    }

    /// R.
    pub const fn referenced(self) -> bool {
        self.word1 & REFERENCED != 0
    }

    /// C.
    pub const fn changed(self) -> bool {
        self.word1 & CHANGED != 0
    }

    /// PP.
    pub const fn protection(self) -> u8 {
        (self.word1 & PP) as u8
    }

    /// G.
    pub const fn guarded(self) -> bool {
        self.word1 & GUARDED != 0
    }

    /// Word 1 of a page in frame `pfn` (20 bits) with WIMG in place and PP.
    pub(super) const fn word1_of(pfn: Pfn, r: bool, c: bool, wimg: u32, pp: u32) -> u32 {
        (pfn.0 as u32) << RPN_SHIFT
            | if r { REFERENCED } else { 0 }
            | if c { CHANGED } else { 0 }
            | wimg
            | pp
    }

    /// After an access: R, and C if it stores.
    pub(super) const fn touched(self, stores: bool) -> Self {
        let changed = if stores { CHANGED } else { 0 };
        Self { word1: self.word1 | REFERENCED | changed, ..self }
    }

    /// The page index, of which the API is six bits and the place of the PTE's group, by its hash,
    /// the others.
    pub(super) const fn page_index(self, hash: u32) -> u32 {
        let hash1 = if self.is_secondary() { !hash } else { hash };
        self.api() << API_SHIFT | (hash1 ^ self.vsid()) & HASH_LOW
    }
}

/// Bits 4 to 19 of an effective address.
pub(super) const fn page_index(va: VirtAddr) -> u32 {
    (va.0 >> 12) as u32 & 0xffff
}

/// The hash functions (7.6.1.2): 19 bits.
pub const fn hash(vsid: u32, page_index: u32, secondary: bool) -> u32 {
    let hash1 = (vsid ^ page_index) & HASH_BITS;
    if secondary { !hash1 & HASH_BITS } else { hash1 }
}

/// The address of the group that a hash selects (7.6.1.3).
pub const fn group_address(sdr1: u32, hash: u32) -> PhysAddr {
    let upper = hash >> 10 & sdr1 & 0x1ff;
    let offset = (upper << 10 | hash & HASH_LOW) << GROUP_SHIFT;
    PhysAddr((sdr1 & 0xffff_0000 | offset) as u64)
}

/// A PTE that matches.
pub(super) struct Found {
    pub at: PhysAddr,
    pub pte: Pte,
    /// References made.
    pub reads: u8,
}

/// Searches both groups of a page.
pub(super) fn search<M: TableMemory + ?Sized, O: WalkObserver>(
    memory: &M,
    sdr1: u32,
    vsid: u32,
    page_index: u32,
    observer: &mut O,
) -> Result<Option<Found>, OutOfMemory> {
    let mut reads = 0;
    for secondary in [false, true] {
        let tag = Pte::tag(vsid, page_index, secondary);
        for at in places(sdr1, hash(vsid, page_index, secondary)) {
            let word0 = read_word(memory, at)?;
            reads += 1;
            let matches = word0 == tag;
            observer.probe(&probe(at, word0, ProbeKind::Tag, matches));
            if matches {
                let word1 = read_word(memory, word1_at(at))?;
                observer.probe(&probe(word1_at(at), word1, ProbeKind::Data, true));
                return Ok(Some(Found { at, pte: Pte { word0, word1 }, reads: reads + 1 }));
            }
        }
    }
    Ok(None)
}

fn probe(at: PhysAddr, raw: u32, what: ProbeKind, matches: bool) -> Probe {
    Probe { at, width: EntryWidth::Four, raw: u64::from(raw), what, matches }
}

/// The eight places of a group.
pub(super) fn places(sdr1: u32, hash: u32) -> impl Iterator<Item = PhysAddr> {
    let group = group_address(sdr1, hash);
    (0..GROUP).map(move |n| PhysAddr(group.0 + n * PTE_BYTES))
}

/// Reads a word, which lies in memory with its highest byte first.
pub(super) fn read_word<M: TableMemory + ?Sized>(
    memory: &M,
    at: PhysAddr,
) -> Result<u32, OutOfMemory> {
    memory.read_entry(at, EntryWidth::Four).map(|raw| (raw as u32).swap_bytes())
}

/// Writes a word.
pub(super) fn write_word<M: TableMemory + ?Sized>(
    memory: &mut M,
    at: PhysAddr,
    word: u32,
) -> Result<(), OutOfMemory> {
    memory.write_entry(at, EntryWidth::Four, u64::from(word.swap_bytes()))
}

/// Reads a PTE.
pub(super) fn read<M: TableMemory + ?Sized>(memory: &M, at: PhysAddr) -> Result<Pte, OutOfMemory> {
    Ok(Pte { word0: read_word(memory, at)?, word1: read_word(memory, word1_at(at))? })
}

/// Writes a PTE: V, which is in word 0, last (7.6.3.1).
pub(super) fn write<M: TableMemory + ?Sized>(
    memory: &mut M,
    at: PhysAddr,
    pte: Pte,
) -> Result<(), OutOfMemory> {
    write_word(memory, word1_at(at), pte.word1)?;
    write_word(memory, at, pte.word0)
}
