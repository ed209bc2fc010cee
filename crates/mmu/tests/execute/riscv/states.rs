//! The states: which entries, address and controls the guest is asked to make an access with.
//!
//! ```text
//!   number ──► Recipe: instruction, privilege, SUM, MXR, low byte, level, variation
//!                │
//!                ▼
//!              State: address, the entry of each level and where it lies ──► the guest's record
//! ```

use crate::execute::Digits;
use pagewalk_mmu::radix::{AdUpdate, Geometry, Radix, RiscV, RiscVControls, Scheme};
use pagewalk_mmu::{Access, AccessKind, Level, PhysAddr, Privilege, VirtAddr};

/// The guest's memory, by physical address.
pub const RAM: u64 = 0x8000_0000;
pub const RAM_BYTES: u64 = 64 << 20;
pub const MAILBOX: u64 = 0x8000_1000;
pub const TABLES: u64 = 0x8001_0000;
pub const DENIED: u64 = 0x8010_0000;
pub const DENIED_BYTES: u64 = 64 << 10;
pub const STATES: u64 = 0x8200_0000;

/// What leaves are to reach: large pages by the address's offset in them (their bases are the
/// target, rounded down to their size), small ones by their PPN, different from that.
pub const LARGE_TARGETS: [u64; 2] = [0x8055_5000, 0x8040_0000];
pub const SMALL_TARGETS: [u64; 2] = [0x8040_1000, 0x807f_f000];
/// What stands above the page in an address, in either half, and the offset in the target page.
pub const PATTERNS: [(u64, u64); 4] =
    [(0, 0), (u64::MAX, 0xff8), (0x5555_5555_5555_5555, 0x334), (0xaaaa_aaaa_aaaa_aaaa, 0x7f0)];
/// Stores go beside what the page says at the offset.
pub const STORE_BESIDE: u64 = 8;

const V: u64 = 1 << 0;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const G: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;

/// What is not plain about a state, besides the entry's low byte.
#[derive(Clone, Copy, Debug)]
pub enum Variation {
    /// Nothing: RSW, which address, which target.
    Plain { rsw: u64, pattern: usize, target: usize },
    /// These bits of the entry are flipped: reserved ones, or PPN bits that make a superpage
    /// misaligned or lead out of memory.
    Entry(u64),
    /// The entry leads to memory that PMP denies.
    Denied,
    /// These bits of the pointer at a level above are flipped.
    Pointer(u8, u64),
    /// An address whose sign extension has this bit flipped.
    Address { flip: u64, pattern: usize },
}

/// The bit of an entry that is bit `bit` of the physical address.
pub const fn ppn_bit(bit: u8) -> u64 {
    1 << (bit - 12 + 10)
}

/// A pointer to a table, or a leaf, without its low byte.
pub const fn leads_to(pa: u64) -> u64 {
    pa >> 12 << 10
}

/// The table of `level`.
pub const fn table(level: u8) -> u64 {
    TABLES + level as u64 * 0x1000
}

/// All variations of an entry of `level`.
pub fn variations(format: &RiscV, level: u8) -> Vec<Variation> {
    let geometry = format.geometry();
    let wide = format.scheme != Scheme::Sv32;
    let reserved: Vec<u64> = (54..64).filter(|_| wide).map(|bit| 1 << bit).collect();
    // Neither memory nor a device of QEMU's machine `virt` lies there.
    let outside = if wide { 36..56 } else { 32..34 };
    let mut all = Vec::new();
    for (rsw, pattern) in (0..4).flat_map(|rsw| (0..PATTERNS.len()).map(move |p| (rsw, p))) {
        all.extend([0, 1].map(|target| Variation::Plain { rsw, pattern, target }));
    }
    all.extend(reserved.iter().map(|&bit| Variation::Entry(bit)));
    all.extend((12..geometry.level(Level(level)).shift).map(|b| Variation::Entry(ppn_bit(b))));
    all.extend(outside.map(|bit| Variation::Entry(ppn_bit(bit))));
    all.push(Variation::Denied);
    for above in level + 1..=geometry.top().0 {
        let flips = [V, R, W, X, U, G, A, D, W | X, U | A | D, 1 << 8, 1 << 9];
        all.extend(flips.map(|flip| Variation::Pointer(above, flip)));
        all.extend(reserved.iter().map(|&flip| Variation::Pointer(above, flip)));
    }
    for bit in (geometry.va_bits - 1..64).filter(|_| wide) {
        all.extend([2, 3].map(|pattern| Variation::Address { flip: 1 << bit, pattern }));
    }
    all
}

/// How the guest makes the access, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    Load,
    Store,
    Amo,
    Fetch,
}

impl Instruction {
    pub const ALL: [Self; 4] = [Self::Load, Self::Store, Self::Amo, Self::Fetch];

    pub const fn kind(self) -> AccessKind {
        match self {
            Self::Load => AccessKind::Read,
            Self::Store | Self::Amo => AccessKind::Write,
            Self::Fetch => AccessKind::Execute,
        }
    }
}

/// One access, and the entries on its way.
#[derive(Clone, Debug)]
pub struct State {
    pub format: RiscV,
    pub instruction: Instruction,
    pub access: Access,
    pub va: VirtAddr,
    /// Where each level's entry lies, and the entry; the top level first.
    pub path: Vec<(u64, u64)>,
}

/// What a state is made of.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub format: RiscV,
    pub instruction: Instruction,
    pub access: Access,
    pub low_byte: u64,
    pub level: u8,
    pub variation: Variation,
}

impl Recipe {
    /// The recipe of number `number`, and how many there are.
    pub fn new(scheme: Scheme, entries: &[(u8, Variation)], number: u64) -> (Self, u64) {
        let mut digits = Digits::new(number);
        let instruction = digits.pick(&Instruction::ALL);
        let privilege = digits.pick(&[Privilege::User, Privilege::Supervisor]);
        let (sum, mxr) = (digits.flag(), digits.flag());
        let low_byte = digits.below(256);
        let (level, variation) = digits.pick(entries);
        let format = RiscV::new(scheme, RiscVControls { sum, mxr, ad: AdUpdate::Svadu });
        let access = Access { kind: instruction.kind(), privilege };
        (Self { format, instruction, access, low_byte, level, variation }, digits.product())
    }

    pub fn state(&self) -> State {
        let geometry = self.format.geometry();
        let va = self.address();
        let entry_at = |level: u8| {
            let index = geometry.level(Level(level)).index(va);
            (table(level) + index * geometry.entry.bytes(), self.entry(level))
        };
        let path = (0..=geometry.top().0).rev().map(entry_at).collect();
        State { format: self.format, instruction: self.instruction, access: self.access, va, path }
    }

    /// The target of large pages, and the address that reaches it.
    fn large_target(&self) -> u64 {
        match self.variation {
            Variation::Plain { target, .. } => LARGE_TARGETS[target],
            Variation::Denied => DENIED,
            _ => LARGE_TARGETS[0],
        }
    }

    fn address(&self) -> VirtAddr {
        let (pattern, flip) = match self.variation {
            Variation::Plain { pattern, .. } => (pattern, 0),
            Variation::Address { flip, pattern } => (pattern, flip),
            _ => (0, 0),
        };
        let (above, offset) = PATTERNS[pattern];
        let beside = if self.access.kind == AccessKind::Write { STORE_BESIDE } else { 0 };
        let geometry = self.format.geometry();
        let span = span(geometry, self.level);
        let va = above & !span | self.large_target() & span | offset ^ beside;
        let unused = 64 - u32::from(geometry.va_bits);
        let canonical = match self.format.scheme {
            Scheme::Sv32 => va << unused >> unused,
            _ => ((va << unused) as i64 >> unused) as u64,
        };
        VirtAddr(canonical ^ flip)
    }

    /// The entry of `level`.
    fn entry(&self, level: u8) -> u64 {
        if level > self.level {
            let flip = match self.variation {
                Variation::Pointer(at, flip) if at == level => flip,
                _ => 0,
            };
            return (leads_to(table(level - 1)) | V) ^ flip;
        }
        if level < self.level {
            // Reached where the entry is a pointer: a leaf that allows everything.
            let user = if self.access.privilege == Privilege::User { U } else { 0 };
            return leads_to(self.leaf_target(level)) | V | R | W | X | user;
        }
        let is_pointer = self.low_byte & (R | W | X) == 0 && level > 0;
        let goal = match self.variation {
            Variation::Denied if is_pointer => DENIED,
            _ if is_pointer => table(level - 1),
            _ => self.leaf_target(level),
        };
        let others = match self.variation {
            Variation::Plain { rsw, .. } => rsw << 8,
            // Without low bits that must be zero, a pointer would lead into the unknown.
            Variation::Entry(flip) if is_pointer && flip < ppn_bit(32) => 0,
            Variation::Entry(flip) => flip,
            _ => 0,
        };
        leads_to(goal) ^ others | self.low_byte
    }

    /// Where a leaf of `level` leads.
    fn leaf_target(&self, level: u8) -> u64 {
        match (level, self.variation) {
            (0, Variation::Plain { target, .. }) => SMALL_TARGETS[target],
            (0, Variation::Denied) => DENIED,
            (0, _) => SMALL_TARGETS[0],
            _ => self.large_target() & !span(self.format.geometry(), level),
        }
    }
}

/// The offset bits of a page of `level`.
pub fn span(geometry: &Geometry, level: u8) -> u64 {
    geometry.level(Level(level)).page().bytes() - 1
}

impl State {
    pub fn root(&self) -> PhysAddr {
        PhysAddr(table(self.format.geometry().top().0))
    }

    pub fn word_bytes(&self) -> usize {
        self.format.geometry().entry.bytes() as usize
    }

    /// Appends the record that the guest reads (tests/execute/riscv.S).
    pub fn record(&self, out: &mut Vec<u8>) {
        let mode = match self.format.scheme {
            Scheme::Sv32 => 1 << 31,
            Scheme::Sv39 => 8 << 60,
            Scheme::Sv48 => 9 << 60,
            Scheme::Sv57 => 10 << 60,
        };
        let kind = self.instruction as u64;
        let mprv = u64::from(self.instruction != Instruction::Fetch);
        let mpp = u64::from(self.access.privilege == Privilege::Supervisor);
        let RiscVControls { sum, mxr, .. } = self.format.controls;
        let status = mpp << 11 | mprv << 17 | u64::from(sum) << 18 | u64::from(mxr) << 19;
        let satp = mode | self.root().0 >> 12;
        let head = [satp, status, self.va.0, kind, 0, 0, 0, self.path.len() as u64];
        for word in head.into_iter().chain(self.path.iter().flat_map(|&(at, raw)| [at, raw])) {
            out.extend(&word.to_le_bytes()[..self.word_bytes()]);
        }
    }
}
