//! The states: what one access meets.
//!
//! Two enumerations take turns:
//!
//! 1. [`State::leaf`] is exhaustive: every combination of a present leaf's R/W, U/S, PWT, PCD, A,
//!    D, PAT, G and XD, at every level that has leaves, × CR0.WP, CR4.PSE, PGE, SMEP, SMAP and
//!    PCIDE, EFER.NXE, EFLAGS.AC × privilege × load, store, fetch. Tables allow everything. The
//!    rest (address, frame, ignored bits) is drawn.
//! 2. [`State::path`] draws everything, at all levels: P, R/W, U/S, A, PS, XD, reserved and
//!    ignored bits, addresses that are not canonical, frames where there is no memory, a CR3
//!    beyond MAXPHYADDR.

use super::bits::{A, D, G, P, PAT, PAT_LARGE, PCD, PS, PWT, RW, US, XD};
use super::bits::{any_leaf, any_table, permissive_table};
use super::layout::{Mode, TableSet};
use super::pages::INDICES;
use super::space::Space;
use crate::common::Random;
use crate::execute::Digits;
use pagewalk_mmu::radix::X86Controls;
use pagewalk_mmu::{Access, AccessKind, Privilege};

const KINDS: [AccessKind; 3] = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];
const PRIVILEGES: [Privilege; 2] = [Privilege::Supervisor, Privilege::User];

/// One state.
#[derive(Clone, Debug)]
pub struct State {
    pub modes: Modes,
    pub access: Access,
    /// The address, without the offset in the 4 KiB page.
    pub va: u64,
    /// The same, if `va` was made not canonical; the entries are this address's.
    pub canonical_va: u64,
    pub set: TableSet,
    pub cr3: u64,
    /// Lowest level first; those below the leaf are 0.
    pub entries: [u64; 5],
    /// The leaf's frame is not RAM.
    pub nowhere: bool,
    /// For the offset in the page.
    pub random: u64,
}

/// The control bits: what the formats know, and CR4.PCIDE.
#[derive(Clone, Copy, Debug)]
pub struct Modes {
    pub controls: X86Controls,
    pub pcide: bool,
}

impl Modes {
    /// Each bit that the processor has is `flag`.
    fn choose(space: &Space, mut flag: impl FnMut() -> bool) -> Self {
        let processor = &space.processor;
        let mut has = |feature: bool| feature && flag();
        let controls = X86Controls {
            wp: has(true),
            nxe: has(processor.nx),
            smep: has(processor.smep),
            smap: has(processor.smap),
            ac: has(true),
            pse: has(true),
            page1gb: processor.page1gb,
            pge: has(true),
            phys_bits: processor.phys_bits,
        };
        Self { controls, pcide: has(space.mode.long() && processor.pcid) }
    }

    /// A number that is the same for the same modes.
    pub fn key(&self) -> u32 {
        let c = &self.controls;
        let flags = [c.nxe, self.pcide, c.smap, c.smep, c.pge, c.pse, c.wp, c.ac];
        flags.into_iter().fold(0, |key, flag| key << 1 | u32::from(flag))
    }
}

/// A choice of the exhaustive enumeration.
struct Combination {
    level: usize,
    flags: u64,
    modes: Modes,
    access: Access,
}

impl Combination {
    fn from_digits(space: &Space, digits: &mut Digits) -> Self {
        let level = digits.below(space.leaf_max() as u64 + 1) as usize;
        let pat = if level == 0 { PAT } else { PAT_LARGE };
        let mut flags = P | digits.bits(RW | US | PWT | PCD | A | D | G | pat);
        if space.mode != Mode::Ia32 {
            flags |= digits.bits(XD);
        }
        let modes = Modes::choose(space, || digits.flag());
        let access = Access { kind: digits.pick(&KINDS), privilege: digits.pick(&PRIVILEGES) };
        Self { level, flags, modes, access }
    }
}

/// The number of states of the exhaustive enumeration.
pub fn combinations(space: &Space) -> u64 {
    let mut digits = Digits::new(0);
    Combination::from_digits(space, &mut digits);
    digits.product()
}

impl State {
    /// State `number` of the exhaustive enumeration; `seed` chooses the rest.
    pub fn leaf(space: &Space, number: u64, seed: u64) -> Self {
        let chosen = Combination::from_digits(space, &mut Digits::new(number));
        let mut random = Random(number ^ seed << 48);
        let mut state = Self::draw(space, &mut random, chosen.modes);
        state.access = chosen.access;
        let frame = random.pick(space.frames(chosen.level));
        state.set_path(space, chosen.level, frame, chosen.flags, |level| {
            permissive_table(space.mode, &mut random, level)
        });
        state
    }

    /// State `number` of the drawn ones.
    pub fn path(space: &Space, number: u64, seed: u64) -> Self {
        let random = &mut Random(!number ^ seed << 48);
        let modes = Modes::choose(space, || random.once_in(2));
        let mut state = Self::draw(space, random, modes);
        state.access = Access { kind: random.pick(&KINDS), privilege: random.pick(&PRIVILEGES) };

        // Without Page1GB, a leaf of level 2 is one with PS reserved.
        let level = random.below(space.mode.leaf_max() as u64 + 1) as usize;
        let mut frame = random.pick(space.frames(level));
        let nowhere = space.nowhere(level);
        let fetch = state.access.kind == AccessKind::Execute;
        if !fetch && !nowhere.is_empty() && random.once_in(16) {
            frame |= 1 << random.pick(&nowhere);
            state.nowhere = true;
        }
        let leaf = any_leaf(space, random, level);
        state.set_path(space, level, frame, leaf, |level| any_table(space, random, level));
        if space.mode.long() {
            state.leave_bounds(space, random);
        }
        state
    }

    /// Address, tables and CR3; access and entries are still missing.
    fn draw(space: &Space, random: &mut Random, modes: Modes) -> Self {
        let mode = space.mode;
        let mut va = random.pick(&space.top_indices()) << mode.shift(mode.top());
        for level in 0..mode.top() {
            va |= (random.pick(&INDICES) & (mode.entries(level) - 1)) << mode.shift(level);
        }
        if mode.long() {
            let sign = 64 - mode.address_bits();
            va = ((va << sign) as i64 >> sign) as u64;
        }
        let set = random.pick(space.sets());
        // PCID, or PWT, PCD and ignored bits; bits 11:5 are PAE's address.
        let low = if mode == Mode::Pae { 0x1f } else { 0xfff };
        Self {
            modes,
            access: Access::supervisor(AccessKind::Read),
            va,
            canonical_va: va,
            set,
            cr3: mode.table(set, mode.top()) | random.next() & low,
            entries: [0; 5],
            nowhere: false,
            random: random.next(),
        }
    }

    /// Sets the entries: a leaf at `level`, tables above. Where the mode ignores PS, a leaf above
    /// level 0 becomes a table with PS set, above a permissive leaf.
    fn set_path(
        &mut self,
        space: &Space,
        level: usize,
        frame: u64,
        leaf: u64,
        mut table: impl FnMut(usize) -> u64,
    ) {
        let mode = space.mode;
        for above in level + 1..=mode.top() {
            self.entries[above] = mode.table(self.set, above - 1) | table(above);
        }
        let ps_ignored = mode == Mode::Ia32 && !self.modes.controls.pse;
        self.entries[level] = if level == 0 {
            frame | leaf
        } else if ps_ignored {
            self.entries[0] = space.frames(0)[0] | P | RW | US;
            self.nowhere = false;
            // From bit 12 on, the leaf's bits would be the table's address.
            mode.table(self.set, 0) | PS | leaf & 0xfff
        } else if mode == Mode::Ia32 {
            // PSE-36: bits 39:32 of the frame are in bits 20:13.
            frame & 0xffff_ffff | frame >> 32 << 13 | PS | leaf
        } else {
            frame | PS | leaf
        };
    }

    /// Now and then, a page of 512 GiB, an address that is not canonical, or a root beyond
    /// MAXPHYADDR.
    fn leave_bounds(&mut self, space: &Space, random: &mut Random) {
        // PS in a PML4E is reserved, even where all else is as in a large page. The frame, the
        // lowest aligned one but 0, is not RAM.
        let frame = 1 << space.mode.shift(3);
        if space.processor.phys_bits > 39 && random.once_in(32) {
            self.entries[3] = frame | PS | self.entries[3] & 0x7f;
        }
        if random.once_in(16) {
            let sign = space.mode.address_bits() - 1;
            self.va ^= 1 << random.pick(&[63, 62, sign, sign + 1]);
        }
        if space.processor.judges_roots() && random.once_in(32) {
            // Bits 61 to 63 have other uses.
            let bits = u64::from(space.processor.phys_bits);
            self.cr3 |= 1 << (bits + random.below(61 - bits));
        }
    }
}
