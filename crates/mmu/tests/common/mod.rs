//! What the tests share: plain memory, a builder of page tables, a seeded generator.
#![allow(dead_code, reason = "each test file uses its part")]

use pagewalk_mmu::radix::{Entry, Format, Leaf, Radix, Root};
use pagewalk_mmu::{EntryWidth, Level, OutOfMemory, Pfn, PhysAddr, Rights, TableMemory, VirtAddr};

/// Plain memory from a physical address on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ram {
    pub base: u64,
    pub bytes: Vec<u8>,
}

impl Ram {
    pub fn new(base: u64, len: usize) -> Self {
        Self { base, bytes: vec![0; len] }
    }

    fn range(
        &self,
        at: PhysAddr,
        width: EntryWidth,
    ) -> Result<core::ops::Range<usize>, OutOfMemory> {
        assert_eq!(at.0 % width.bytes(), 0, "entries are aligned");
        let start = at.0.checked_sub(self.base).ok_or(OutOfMemory(at))?;
        let end = start + width.bytes();
        if end > self.bytes.len() as u64 {
            return Err(OutOfMemory(at));
        }
        Ok(start as usize..end as usize)
    }
}

impl TableMemory for Ram {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let range = self.range(at, width)?;
        let mut raw = [0; 8];
        raw[..range.len()].copy_from_slice(&self.bytes[range]);
        Ok(u64::from_le_bytes(raw))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let range = self.range(at, width)?;
        let len = range.len();
        self.bytes[range].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
}

/// Page tables under construction, made through the format's own encoders.
pub struct Tables {
    pub format: Format,
    pub ram: Ram,
    pub table: PhysAddr,
    /// The top table of the upper half, where it has one of its own.
    pub upper: Option<PhysAddr>,
    free: u64,
}

impl Tables {
    /// An empty tree whose tables are taken from `free` on, in memory of `len` bytes from `base`.
    pub fn new(format: Format, base: u64, free: u64, len: usize) -> Self {
        let ram = Ram::new(base, len);
        let mut tables = Self { format, ram, table: PhysAddr(0), upper: None, free };
        tables.table = tables.take();
        tables.upper = matches!(format, Format::Aarch64(_)).then(|| tables.take());
        tables
    }

    fn take(&mut self) -> PhysAddr {
        let frame = self.format.geometry().base_page().bytes();
        self.free += frame;
        PhysAddr(self.free - frame)
    }

    /// The table that the walk of `va` starts at.
    pub fn top(&self, va: VirtAddr) -> PhysAddr {
        self.upper.filter(|_| va.0 >> 63 != 0).unwrap_or(self.table)
    }

    /// Whether a mapping may need more tables than there is room for.
    pub fn full(&self) -> bool {
        let frame = self.format.geometry().base_page().bytes();
        self.free + 5 * frame > self.ram.base + self.ram.bytes.len() as u64
    }

    /// Maps the page of `level` at `va`; `false` if something is mapped there.
    pub fn map(&mut self, va: VirtAddr, level: Level, leaf: Leaf) -> bool {
        let geometry = *self.format.geometry();
        let mut at = self.top(va);
        let mut here = geometry.top();
        loop {
            at.0 += geometry.level(here).index(va) * geometry.entry.bytes();
            let raw = self.ram.read_entry(at, geometry.entry).unwrap();
            if here == level {
                if raw == 0 {
                    let raw_leaf = self.format.encode_leaf(level, leaf);
                    self.ram.write_entry(at, geometry.entry, raw_leaf).unwrap();
                }
                return raw == 0;
            }
            let entry = self.format.decode(here, raw);
            at = match entry {
                Entry::Table { next, .. } => next,
                Entry::NotPresent => {
                    let next = self.take();
                    let pointer = self.format.encode_table(here, next);
                    self.ram.write_entry(at, geometry.entry, pointer).unwrap();
                    next
                }
                _ => return false,
            };
            here = Level(here.0 - 1);
        }
    }

    /// Where the entries lie that translate `va`, down to the first that is not a table.
    pub fn path(&self, va: VirtAddr) -> Vec<(PhysAddr, u64)> {
        let geometry = self.format.geometry();
        let (mut path, mut table) = (Vec::new(), self.top(va));
        for level in (0..=geometry.top().0).rev().map(Level) {
            let index = geometry.level(level).index(va);
            let at = PhysAddr(table.0 + index * geometry.entry.bytes());
            let raw = self.ram.read_entry(at, geometry.entry).unwrap();
            path.push((at, raw));
            let Entry::Table { next, .. } = self.format.decode(level, raw) else { break };
            table = next;
        }
        path
    }

    pub fn root(&self) -> Root {
        let root = self.format.load_root(&self.ram, self.table).expect("the root is well formed");
        Root { upper: self.upper, ..root }
    }
}

/// The levels of `format` that can hold a leaf.
pub fn leaf_levels(format: &Format) -> Vec<Level> {
    let levels = format.geometry().levels;
    (0..levels.len()).filter(|&l| levels[l].leaf).map(|l| Level(l as u8)).collect()
}

/// Sign-extends `va` from the format's width, where the format does.
pub fn canonical(format: &Format, va: u64) -> VirtAddr {
    let unused = 64 - u32::from(format.geometry().va_bits);
    VirtAddr(match unused {
        32 => va << 32 >> 32,
        _ => ((va << unused) as i64 >> unused) as u64,
    })
}

/// An address from few bits: a dense choice of indices at every level, so that addresses meet.
pub fn dense_address(format: &Format, mut seed: u64) -> VirtAddr {
    let mut va = seed & 0xfff;
    seed >>= 12;
    for shape in format.geometry().levels {
        let last = (1u64 << shape.bits) - 1;
        let index = [0, 1, 2, last / 2, last / 2 + 1, last, 3, 5][seed as usize & 7] & last;
        va |= index << shape.shift;
        seed >>= 3;
    }
    if matches!(format, Format::Aarch64(_)) {
        va |= (seed & 1) << 48;
    }
    canonical(format, va)
}

/// A leaf of `level` from random bits, with the frame below 2^`frame_bits` base pages.
pub fn leaf_from(format: &Format, level: Level, seed: u64, frame: u64, frame_bits: u8) -> Leaf {
    let geometry = format.geometry();
    let base = geometry.base_page().shift();
    let low = (1u64 << (geometry.level(level).shift - base)) - 1;
    Leaf {
        pfn: Pfn(frame & ((1 << frame_bits) - 1) & !low),
        rights: Rights::from_bits_truncate(seed as u8 & 0xf | (seed >> 5) as u8 & 0x10),
        global: seed & 0x10 != 0,
        accessed: seed & 0x20 != 0,
        dirty: seed & 0x40 != 0,
        cache_disable: seed & 0x80 != 0,
        write_through: seed & 0x100 != 0,
    }
}

/// Says that an oracle is absent: a skip, or a failure where CI_ORACLES=require.
pub fn skip(missing: &str) {
    let required = std::env::var("CI_ORACLES").is_ok_and(|value| value == "require");
    assert!(!required, "{missing}, but CI_ORACLES=require");
    println!("skipped: {missing}");
}

/// splitmix64: the same sequence everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Random tables: mappings of all sizes at dense addresses, then one bit flipped in
/// `damage` percent of the entries in use. Returns the addresses that were mapped.
pub fn random_tables(
    tables: &mut Tables,
    random: &mut Random,
    frame_bits: u8,
    mappings: usize,
    damage: u64,
) -> Vec<VirtAddr> {
    let format = tables.format;
    let levels = leaf_levels(&format);
    let mut mapped = Vec::new();
    for _ in 0..mappings {
        if tables.full() {
            break;
        }
        let va = dense_address(&format, random.next());
        let level = levels[random.below(levels.len() as u64) as usize];
        let leaf = leaf_from(&format, level, random.next(), random.next(), frame_bits);
        if tables.map(va, level, leaf) {
            mapped.push(va);
        }
    }
    let width = format.geometry().entry;
    let first = tables.table.0;
    for at in (first..tables.free).step_by(width.bytes() as usize) {
        let raw = tables.ram.read_entry(PhysAddr(at), width).unwrap();
        // PDPTEs go to registers: a bad one is the load's error, not the walk's.
        let pdpte = format.name() == "pae" && at < first + 0x1000;
        if raw != 0 && !pdpte && random.below(100) < damage {
            // Half of the flips go to the flags and the lowest bits of the frame.
            let bits = if random.below(2) == 0 { 14 } else { 8 * width.bytes() };
            let bit = 1 << random.below(bits);
            tables.ram.write_entry(PhysAddr(at), width, raw ^ bit).unwrap();
        }
    }
    mapped
}
