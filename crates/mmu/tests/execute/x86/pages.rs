//! The frames that test mappings lead to, and how a page shows which one it is.
//!
//! ```text
//!   0x000  code cells    8 bytes each: MOV EAX, signature; DIV ESI (0: #DE)
//!   0x400  words         each the signature
//!   0x800  store slots   one word for one store of a batch
//! ```
//!
//! A load gives the signature, fetched code leaves it in EAX; a store's slot is looked up in the
//! RAM file when the batch is done. Slots are given out so that, as far as they suffice, no two
//! stores of a batch share one.

use super::layout::{Mode, offset, ram_end};
use super::space::Space;
use crate::execute::RamFile;
use pagewalk_mmu::AccessKind;
use std::collections::BTreeMap;

const PAGE_BYTES: usize = 0x1000;
const CELL_BYTES: u64 = 8;
const WORDS: u64 = 0x400;
const SLOTS: u64 = 0x800;
const SLOTS_PER_PAGE: u64 = (PAGE_BYTES as u64 - SLOTS) / 4;
const SIGNATURE: u32 = 0x5000_0000;
/// In the low memory of the runner no frame lies.
const FRAMES_MIN: u64 = 0x400_0000;

/// The indices that the lower levels of an address take: every bit both ways.
pub const INDICES: [u64; 4] = [0, 0x155, 0x2aa, 0x3ff];

/// The frames of pages of `1 << shift` bytes: one, and those that differ from it in one bit.
pub fn frames(mode: Mode, shift: usize, ram_bytes: u64) -> Vec<u64> {
    let end = ram_end(ram_bytes);
    let top = match (mode, shift) {
        (Mode::Ia32, 12) => 31,
        // PSE-36 reaches bit 39.
        (Mode::Ia32, _) => 39,
        _ => 51,
    };
    let base = match shift {
        12 => 0x800_3000,
        21 => 0x820_0000,
        22 => 0x840_0000,
        _ => 0,
    };
    let flipped = (shift..=top).map(|bit| base ^ 1 << bit);
    let fits = |&frame: &u64| frame >= FRAMES_MIN && frame + (1 << shift) <= end;
    (base > 0).then_some(base).into_iter().chain(flipped).filter(fits).collect()
}

/// The number of a page's frame, made unlike anything else: frames are below 2^28.
fn signature(pa: u64) -> u32 {
    SIGNATURE | (pa >> 12) as u32
}

/// Whether `value` is the signature of a page.
pub fn is_signature(value: u32) -> bool {
    value >> 28 == SIGNATURE >> 28
}

/// The address of the page with this signature.
pub fn page_of(signature: u32) -> u64 {
    u64::from(signature ^ SIGNATURE) << 12
}

/// A page as it should be now.
struct Page {
    words: Vec<u32>,
    stores: u64,
}

/// All pages that the mappings can lead to.
pub struct Pages(BTreeMap<u64, Page>);

impl Pages {
    /// Writes the pages into RAM.
    pub fn new(space: &Space, ram: &RamFile) -> Self {
        let mut pages = BTreeMap::new();
        for level in 0..=space.mode.leaf_max() {
            for frame in space.frames(level) {
                for inside in offsets(space.mode, level) {
                    let pa = frame + inside;
                    pages.entry(pa >> 12).or_insert_with(|| {
                        let bytes = content(pa);
                        ram.write(offset(pa), &bytes);
                        Page { words: words(&bytes), stores: 0 }
                    });
                }
            }
        }
        Self(pages)
    }

    /// Begins a batch: all slots are free.
    pub fn begin(&mut self) {
        self.0.values_mut().for_each(|page| page.stores = 0);
    }

    /// Whether `pa` lies in one of the pages.
    pub fn holds(&self, pa: u64) -> bool {
        self.0.contains_key(&(pa >> 12))
    }

    /// The offset in the page of a store of `marker`, which is expected to reach the page at `pa`
    /// or, if there is none, to fault.
    pub fn store(&mut self, pa: Option<u64>, marker: u32) -> u64 {
        let page = pa.and_then(|pa| self.0.get_mut(&(pa >> 12)));
        let Some(page) = page else { return SLOTS };
        let at = SLOTS + page.stores % SLOTS_PER_PAGE * 4;
        page.stores += 1;
        page.words[at as usize / 4] = marker;
        at
    }

    /// The words of the RAM file that are not as expected: address, expected, found.
    pub fn differences(&self, ram: &RamFile) -> Vec<(u64, u32, u32)> {
        let mut bytes = vec![0; PAGE_BYTES];
        let mut differences = Vec::new();
        for (pfn, page) in &self.0 {
            ram.read(offset(pfn << 12), &mut bytes);
            let found = words(&bytes);
            let unlike = page.words.iter().zip(found).enumerate().filter(|(_, (e, f))| **e != *f);
            differences.extend(unlike.map(|(i, (&e, f))| ((pfn << 12) + 4 * i as u64, e, f)));
        }
        differences
    }
}

/// The offset of a load or a fetch in a page, from a few random bits.
pub fn offset_of(kind: AccessKind, random: u64) -> u64 {
    if kind == AccessKind::Execute {
        random % (WORDS / CELL_BYTES) * CELL_BYTES
    } else {
        WORDS + random % ((SLOTS - WORDS) / 4) * 4
    }
}

/// The offsets of 4 KiB pages in a page of `level` that addresses can have.
fn offsets(mode: Mode, level: usize) -> Vec<u64> {
    (0..level).fold(vec![0], |offsets, level| {
        let with = |offset: u64| {
            INDICES.map(|index| offset | (index & (mode.entries(level) - 1)) << mode.shift(level))
        };
        offsets.into_iter().flat_map(with).collect()
    })
}

fn content(pa: u64) -> Vec<u8> {
    let [a, b, c, d] = signature(pa).to_le_bytes();
    let cell: [u8; CELL_BYTES as usize] = [0xb8, a, b, c, d, 0xf7, 0xf6, 0x90];
    let mut bytes = cell.repeat((WORDS / CELL_BYTES) as usize);
    bytes.extend([a, b, c, d].repeat((SLOTS - WORDS) as usize / 4));
    bytes.resize(PAGE_BYTES, 0);
    bytes
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}
