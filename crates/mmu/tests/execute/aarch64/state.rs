//! A state: controls, a path of descriptors, an address and an access, by its number.

use super::layout::{AREA, TABLES, UNUSED, UPPER};
use crate::execute::Digits;
use pagewalk_mmu::radix::{Aarch64, Aarch64Controls, Granule, Radix, Root};
use pagewalk_mmu::{Access, AccessKind, Level, PhysAddr, Privilege, VirtAddr};
use std::fmt;

const VALID: u64 = 1;
const TABLE: u64 = 2;
const DBM: u64 = 1 << 51;

/// One access and everything that it depends on.
#[derive(Clone, Debug)]
pub struct State {
    pub format: Aarch64,
    pub root: Root,
    pub va: VirtAddr,
    pub access: Access,
    /// Addresses and descriptors, the leaf's first; those that are not needed lie outside.
    pub path: [(PhysAddr, u64); 4],
}

/// Which base register is tested, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Lower,
    Upper,
    /// The upper half while TCR_EL1.EPD1 is set.
    UpperDisabled,
    /// An address of neither half.
    Neither,
}

/// How the descriptors of tables are spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoilt {
    No,
    /// Bits 1:0 as given; 01 only where the level has no blocks.
    Type(u64),
    /// A bit of the address is set.
    Address(u8),
}

/// How many states there are.
pub fn count() -> u64 {
    let mut digits = Digits::new(0);
    State::from_digits(&mut digits);
    digits.product()
}

impl State {
    /// State `number`, below [`count`].
    pub fn new(number: u64) -> Self {
        Self::from_digits(&mut Digits::new(number))
    }

    fn from_digits(digits: &mut Digits) -> Self {
        use AccessKind::{Execute, Read, Write};
        let kind = digits.pick(&[Read, Write, Execute]);
        let privilege = digits.pick(&[Privilege::User, Privilege::Supervisor]);
        let granule = digits.pick(&[Granule::Kib4, Granule::Kib16, Granule::Kib64]);
        let format = Aarch64::new(granule, controls(digits));
        let geometry = format.geometry();

        let leaf_level = digits.pick(&[0, 1, 0, if granule == Granule::Kib4 { 2 } else { 1 }]);
        // Four pages that answer, in different base and contiguous pages.
        let target = AREA + digits.pick(&[0x0_0ff8, 0x1_3008, 0x21_2340, 0x3f_f000]);
        let index = digits.pick(&[0, 1, 0x1555, 0x1fff]);
        let mut va = target & (geometry.level(Level(leaf_level)).page().bytes() - 1);
        for shape in &geometry.levels[usize::from(leaf_level)..] {
            va |= (index & ((1 << shape.bits) - 1)) << shape.shift;
        }
        let half = digits.pick(&HALVES);
        va |= match half {
            Half::Lower => 0,
            Half::Upper | Half::UpperDisabled => UPPER,
            Half::Neither => hole(index),
        };
        let va = VirtAddr(va);

        let mut path = [0, 1, 2, 3].map(|n| (PhysAddr(UNUSED + 8 * n), 0));
        let top = geometry.top().0;
        let tables = tables(digits);
        for level in leaf_level..=top {
            let at = table(level).0 + 8 * geometry.level(Level(level)).index(va);
            let raw = if level == leaf_level {
                0
            } else {
                let has_blocks = geometry.level(Level(level)).leaf;
                tables[usize::from(top - level).min(2)](table(level - 1).0, has_blocks)
            };
            path[usize::from(level)] = (PhysAddr(at), raw);
        }
        let span = geometry.level(Level(leaf_level)).page().bytes();
        path[usize::from(leaf_level)].1 = leaf(digits, leaf_level, target & !(span - 1), span);

        let top_table = table(top);
        let root = match half {
            Half::Lower | Half::Neither => Root { table: top_table, upper: None, registers: None },
            Half::Upper => Root { table: PhysAddr(0), upper: Some(top_table), registers: None },
            Half::UpperDisabled => Root { table: PhysAddr(0), upper: None, registers: None },
        };
        Self { format, root, va, access: Access { kind, privilege }, path }
    }

    /// Whether TTBR1_EL1 is tested, and the guest runs in the lower half.
    pub fn tests_upper(&self) -> bool {
        self.root.table == PhysAddr(0)
    }

    /// The same while the hardware does not keep the dirty state.
    pub fn without_dirty_state(&self) -> Self {
        let controls = Aarch64Controls { hd: false, ..*self.format.controls() };
        Self { format: Aarch64::new(self.format.granule(), controls), ..self.clone() }
    }

    /// Whether a leaf on the path is *writable-clean*: read-only, but DBM makes it writable.
    pub fn has_clean_leaf(&self) -> bool {
        const READ_ONLY: u64 = 1 << 7;
        let clean = |&(_, raw): &(PhysAddr, u64)| raw & (DBM | READ_ONLY) == DBM | READ_ONLY;
        let controls = self.format.controls();
        controls.ha && controls.hd && self.path.iter().any(clean)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = match (self.tests_upper(), self.root.upper) {
            (false, _) => "TTBR0",
            (true, Some(_)) => "TTBR1",
            (true, None) => "TTBR1, EPD1",
        };
        let (granule, controls) = (self.format.granule(), self.format.controls());
        writeln!(f, "{:?} at {} by {half}", self.access, self.va)?;
        writeln!(f, "  {granule:?}, {controls:?}")?;
        let levels = self.format.geometry().levels.len();
        for (level, (at, raw)) in self.path[..levels].iter().enumerate().rev() {
            writeln!(f, "  level {}: {raw:#018x} at {at}", 3 - level)?;
        }
        Ok(())
    }
}

/// Where the table of `level` is.
fn table(level: u8) -> PhysAddr {
    PhysAddr(TABLES + (u64::from(level) << 16))
}

/// One base register as often as the other, and now and then what has neither.
const HALVES: [Half; 16] = {
    use Half::{Lower, Neither, Upper, UpperDisabled};
    [
        Lower,
        Upper,
        Lower,
        Upper,
        Lower,
        Upper,
        Lower,
        Upper,
        Lower,
        Upper,
        Lower,
        Upper,
        Lower,
        Upper,
        UpperDisabled,
        Neither,
    ]
};

/// Some of bits 63:48, but not all.
fn hole(index: u64) -> u64 {
    match index {
        0 => 1 << 48,
        1 => 0x7fff << 48,
        0x1555 => 0x8000 << 48,
        _ => 0xfffe << 48,
    }
}

fn controls(digits: &mut Digits) -> Aarch64Controls {
    Aarch64Controls {
        ha: digits.flag(),
        hd: digits.flag(),
        pan: digits.flag(),
        wxn: digits.flag(),
        output_bits: digits.pick(&[48, 48, 48, 44, 42, 40, 36, 32]),
    }
}

/// The descriptors of tables, from the top, as functions of the next table: hierarchical
/// permissions in all combinations, and at most one of them spoilt.
fn tables(digits: &mut Digits) -> [impl Fn(u64, bool) -> u64 + use<>; 3] {
    let spoilt_at = digits.below(3);
    let spoilt = match digits.below(32) {
        kind @ 0..=2 => Spoilt::Type(kind),
        3 => Spoilt::Address(32),
        4 => Spoilt::Address(40),
        5 => Spoilt::Address(47),
        _ => Spoilt::No,
    };
    // Most tables allow everything.
    let restricts = digits.below(2) == 1;
    let hierarchical = [0, 1, 2].map(|_| digits.bits(0b1111 << 59));
    let ignored = digits.pick(&[0, 0x07f8_0000_0000_0ffc, 1 << 63, 0x0007_0000_0000_0000]);
    [0, 1, 2].map(|place| {
        let spoilt = if spoilt_at == place as u64 { spoilt } else { Spoilt::No };
        let bits = ignored | if restricts { hierarchical[place] } else { 0 };
        move |next: u64, has_blocks: bool| {
            let raw = next | bits | VALID | TABLE;
            match spoilt {
                Spoilt::No => raw,
                Spoilt::Type(0b01) if has_blocks => raw,
                // If it counted as a block, it should at least hit no memory.
                Spoilt::Type(0b01) => raw & !0b11 | 0b01 | 1 << 47,
                Spoilt::Type(kind) => raw & !0b11 | kind,
                Spoilt::Address(bit) => raw | 1 << bit,
            }
        }
    })
}

fn leaf(digits: &mut Digits, level: u8, frame: u64, span: u64) -> u64 {
    // UXN, PXN, contiguous, DBM, nG, AF, AP[2:1].
    let mut raw = digits.bits(0x0078_0000_0000_0cc0);
    // SH, AttrIndx, NS; software's; ignored or of extensions that are off; reserved.
    raw |= digits.pick(&[
        0,
        0x3c | 0x300,
        0xf << 55,
        0x1f << 59,
        1 << 50,
        0b11 << 48,
        0x0780_0000_0000_0024,
        0x0007_0000_0000_0300,
    ]);
    raw |= frame | VALID | if level == 0 { TABLE } else { 0 };
    match digits.below(64) {
        0 | 1 => raw & !VALID,
        // Bits 1:0 = 01, which at level 3 are reserved; in a block they are right.
        2 | 3 => raw & !TABLE,
        // A bit of the address beyond memory, and with some controls beyond IPS.
        4 => raw | 1 << 32,
        5 => raw | 1 << 36,
        6 => raw | 1 << 40,
        7 => raw | 1 << 42,
        8 => raw | 1 << 44,
        9 => raw | 1 << 47,
        // Reserved bits below the frame of a granule of 64 KiB, and of a block.
        10..=13 => raw | (span - 1) & 0xf000,
        14..=17 => raw | (span - 1) & !0xffff,
        _ => raw,
    }
}
