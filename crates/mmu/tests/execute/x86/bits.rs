//! The bits of an entry, from the manual's figures, and random choices of them.
//!
//! Permissive choices are the more frequent ones, so that a walk gets to the deep levels.

use super::layout::Mode;
use super::space::Space;
use crate::common::Random;

pub const P: u64 = 1 << 0;
pub const RW: u64 = 1 << 1;
pub const US: u64 = 1 << 2;
pub const PWT: u64 = 1 << 3;
pub const PCD: u64 = 1 << 4;
pub const A: u64 = 1 << 5;
pub const D: u64 = 1 << 6;
pub const PS: u64 = 1 << 7;
/// Of a PTE.
pub const PAT: u64 = 1 << 7;
/// Of a large page.
pub const PAT_LARGE: u64 = 1 << 12;
pub const G: u64 = 1 << 8;
/// Bits 11:9 are ignored at every level.
pub const SOFTWARE: u64 = 7 << 9;
/// Bits 62:52 are ignored in 64-bit paging.
const SOFTWARE_HIGH: u64 = 0x7ff << 52;
pub const XD: u64 = 1 << 63;

/// An entry that allows everything and points to a table. PAE's top level has no R/W, U/S and A,
/// D and G are ignored in all tables.
pub fn permissive_table(mode: Mode, random: &mut Random, level: usize) -> u64 {
    match mode {
        Mode::Pae if level == mode.top() => P | random.next() & (PWT | PCD | SOFTWARE),
        _ => P | RW | US | random.next() & (PWT | PCD | A | D | G | SOFTWARE),
    }
}

/// Any entry that points to a table.
pub fn any_table(space: &Space, random: &mut Random, level: usize) -> u64 {
    let mode = space.mode;
    if mode == Mode::Pae && level == mode.top() {
        return any_pdpte(space, random);
    }
    let mut raw = common(random);
    if mode == Mode::Ia32 {
        return raw;
    }
    raw |= high(space, random);
    // PS where it is reserved. (Where it makes a large page, it is the leaf's.)
    if level > space.leaf_max() && random.once_in(16) {
        raw |= PS;
    }
    raw
}

/// An entry of PAE's top level. Reserved bits only where MOV to CR3 judges them.
fn any_pdpte(space: &Space, random: &mut Random) -> u64 {
    let mut raw = random.next() & (PWT | PCD | SOFTWARE);
    raw |= if random.once_in(16) { 0 } else { P };
    if space.processor.judges_roots() && random.once_in(16) {
        raw |= 1 << random.pick(&[1, 2, 5, 6, 7, 8, 52, 62, 63]);
    }
    raw
}

/// Any leaf of `level`, without its frame and, if it is large, without PS.
pub fn any_leaf(space: &Space, random: &mut Random, level: usize) -> u64 {
    let mut raw = common(random);
    if space.mode != Mode::Ia32 {
        raw |= high(space, random);
    }
    if level == 0 {
        return raw | random.next() & PAT;
    }
    raw |= random.next() & PAT_LARGE;
    // Reserved are the bits below the frame; those that PSE-36 uses are not.
    let first = if space.mode == Mode::Ia32 { space.pse36_bits() - 19 } else { 13 };
    if random.once_in(8) {
        raw |= 1 << (first + random.below(space.mode.shift(level) as u64 - first));
    }
    raw
}

/// The flags that tables and leaves have in common, and those that tables ignore.
fn common(random: &mut Random) -> u64 {
    let mut raw = random.next() & (PWT | PCD | A | D | G | SOFTWARE);
    for (bit, clear_once_in) in [(P, 16), (RW, 4), (US, 4)] {
        raw |= if random.once_in(clear_once_in) { 0 } else { bit };
    }
    raw
}

/// XD, ignored bits, and now and then a reserved one, of an entry of eight bytes.
fn high(space: &Space, random: &mut Random) -> u64 {
    let mut raw = if random.once_in(6) { XD } else { 0 };
    if space.mode.long() {
        raw |= random.next() & SOFTWARE_HIGH;
    }
    if random.once_in(24) {
        let m = u64::from(space.processor.phys_bits);
        raw |= 1 << (m + random.below(63 - m));
    }
    raw
}
