//! Where everything lies in the x86 guest's memory, and the tables that the guest itself runs on.
//!
//! ```text
//!   linear                  physical
//!   0x0000_8000  mailbox    the same: the low 32 MiB map to themselves, for the supervisor
//!   0x000f_0000  guest      (ROM)
//!   0x0010_0000  runner's tables
//!   0x0020_0000  tables of set 0
//!   0x0100_0000  records
//!   0x0200_0000  windows    2 MiB each: the tables of set n
//!   0x0300_0000  user page  ACCESSES, for the user
//!   under test   any        frames from 128 MiB on; the walk starts in the same root
//! ```
//!
//! The addresses under test differ from all these in the index of the top level, so that runner
//! and test share a root and nothing else. The runner's entries are written out by hand here.

use crate::execute::RamFile;
use pagewalk_mmu::EntryWidth;

/// A paging mode, as x86.S names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Ia32 = 32,
    Pae = 36,
    FourLevels = 48,
    FiveLevels = 57,
}

pub const COMMAND: u64 = 0x8000;
pub const FEATURES: u64 = 0x8010;
/// The last word that the guest writes before the first batch; it writes all ones.
pub const READY: u64 = 0x8048;
pub const RECORDS: u64 = 0x100_0000;
/// How many records there is room for.
pub const RECORDS_MAX: u64 = (WINDOWS - RECORDS) / RECORD_BYTES as u64;
pub const RECORD_BYTES: usize = 176;
const ACCESSES: u64 = 0xf_8000;
const RUNNER_ROOT: u64 = 0x10_0000;
const RUNNER_DIRECTORY: u64 = 0x10_1000;
const RUNNER_PDPT: u64 = 0x10_2000;
const RUNNER_PML4: u64 = 0x10_3000;
const RUNNER_TABLES: u64 = 0x11_0000;
const WINDOWS: u64 = 0x200_0000;
const WINDOW_BYTES: u64 = 0x20_0000;
const USER_PAGE: u64 = 0x300_0000;

/// P, R/W, A, D: a supervisor's page.
const SUPERVISOR: u64 = 0x63;
/// P, U/S, A: the user's page.
const USER: u64 = 0x25;
/// P, R/W, U/S, A: a table.
const TABLE: u64 = 0x27;
const PS: u64 = 0x80;

/// The PC has RAM below 3 GiB and from 4 GiB on, if it has more than 3.5 GiB.
const RAM_LOW_BYTES: u64 = 3 << 30;
const RAM_HIGH: u64 = 4 << 30;

/// The offset in the RAM file of a physical address.
pub fn offset(pa: u64) -> u64 {
    assert!(!(RAM_LOW_BYTES..RAM_HIGH).contains(&pa), "{pa:#x} is not RAM");
    if pa < RAM_LOW_BYTES { pa } else { pa - (RAM_HIGH - RAM_LOW_BYTES) }
}

/// The first physical address behind RAM.
pub fn ram_end(ram_bytes: u64) -> u64 {
    ram_bytes + (RAM_HIGH - RAM_LOW_BYTES)
}

/// Tables for one path, one of each level.
#[derive(Clone, Copy, Debug)]
pub struct TableSet {
    number: u64,
    base: u64,
}

impl TableSet {
    fn window(self) -> u64 {
        WINDOWS + self.number * WINDOW_BYTES
    }
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ia32 => "ia32",
            Self::Pae => "pae",
            Self::FourLevels => "x86-64",
            Self::FiveLevels => "x86-64-la57",
        }
    }

    pub fn long(self) -> bool {
        matches!(self, Self::FourLevels | Self::FiveLevels)
    }

    pub fn width(self) -> EntryWidth {
        if self == Self::Ia32 { EntryWidth::Four } else { EntryWidth::Eight }
    }

    /// The top level.
    pub fn top(self) -> usize {
        match self {
            Self::Ia32 => 1,
            Self::Pae => 2,
            Self::FourLevels => 3,
            Self::FiveLevels => 4,
        }
    }

    /// The highest level with leaves, if the processor has 1 GiB pages.
    pub fn leaf_max(self) -> usize {
        if self.long() { 2 } else { 1 }
    }

    /// The lowest bit of a level's index: also the size of its pages.
    pub fn shift(self, level: usize) -> usize {
        if self == Self::Ia32 { 12 + 10 * level } else { 12 + 9 * level }
    }

    /// The number of a level's entries.
    pub fn entries(self, level: usize) -> u64 {
        match self {
            Self::Ia32 => 1024,
            Self::Pae if level == 2 => 4,
            _ => 512,
        }
    }

    /// The number of bits of a linear address.
    pub fn address_bits(self) -> usize {
        self.shift(self.top()) + self.entries(self.top()).ilog2() as usize
    }

    /// Where the tables of the sets lie: set 0 in the low memory that is mapped to itself, the
    /// others at addresses whose bits differ, as high as the entries and RAM reach.
    pub fn table_sets(self, ram_bytes: u64) -> Vec<TableSet> {
        let others: &[u64] = match self {
            Self::Ia32 => &[0x5555_5000, 0xaaaa_a000],
            _ => &[0x1_aa80_0000, 0x2a_5560_0000, 0x15_2aa0_0000],
        };
        let fits = others.iter().copied().filter(|&base| base < ram_end(ram_bytes));
        let bases = [0x20_0000].into_iter().chain(fits);
        bases.enumerate().map(|(number, base)| TableSet { number: number as u64, base }).collect()
    }

    /// The physical address of the table of `level`. PAE's four top entries lie below 4 GiB,
    /// aligned to 32 bytes.
    pub fn table(self, set: TableSet, level: usize) -> u64 {
        let pdpt = self == Self::Pae && level == self.top();
        if pdpt { 0x20_7000 + set.number * 0x4a0 } else { set.base + 0x1000 * level as u64 }
    }

    /// The linear address at which the runner reaches `pa`, in a table of `set`.
    pub fn window(self, set: TableSet, pa: u64) -> u64 {
        let inside = pa.checked_sub(set.base).filter(|&offset| offset < WINDOW_BYTES);
        match inside {
            Some(offset) if set.number > 0 => set.window() + offset,
            _ => pa,
        }
    }

    /// The entry of the top table, number 0, that maps the runner.
    pub fn runner_entry(self) -> u64 {
        match self {
            Self::Ia32 => RUNNER_TABLES | TABLE,
            Self::Pae => RUNNER_DIRECTORY | 1,
            Self::FourLevels => RUNNER_PDPT | TABLE,
            Self::FiveLevels => RUNNER_PML4 | TABLE,
        }
    }

    /// Writes the runner's tables, and its entries into the root of every set.
    pub fn write_runner(self, ram: &RamFile, sets: &[TableSet]) {
        let put = |table: u64, index: u64, raw: u64| {
            let bytes = self.width().bytes();
            ram.write(offset(table) + index * bytes, &raw.to_le_bytes()[..bytes as usize]);
        };
        let roots = sets.iter().map(|&set| self.table(set, self.top())).chain([RUNNER_ROOT]);
        if self == Self::Ia32 {
            write_small_pages(sets, put);
            for root in roots {
                (0..=USER_PAGE >> 22)
                    .for_each(|index| put(root, index, small_table(index) | TABLE));
            }
        } else {
            write_large_pages(sets, put);
            roots.for_each(|root| put(root, 0, self.runner_entry()));
        }
    }
}

/// IA-32's page table number `index`.
fn small_table(index: u64) -> u64 {
    RUNNER_TABLES + 0x1000 * index
}

/// Pages of 4 KiB throughout: CR4.PSE may be off.
fn write_small_pages(sets: &[TableSet], put: impl Fn(u64, u64, u64)) {
    let map = |linear: u64, pa: u64, flags: u64| {
        put(small_table(linear >> 22), linear >> 12 & 0x3ff, pa | flags);
    };
    (0..WINDOWS).step_by(0x1000).for_each(|pa| map(pa, pa, SUPERVISOR));
    for set in &sets[1..] {
        for page in [0, 0x1000] {
            map(set.window() + page, set.base + page, SUPERVISOR);
        }
    }
    map(USER_PAGE, ACCESSES, USER);
}

/// Pages of 2 MiB, in a directory that all modes with entries of eight bytes share.
fn write_large_pages(sets: &[TableSet], put: impl Fn(u64, u64, u64)) {
    let map = |linear: u64, raw: u64| put(RUNNER_DIRECTORY, linear / WINDOW_BYTES, raw);
    for pa in (0..WINDOWS).step_by(WINDOW_BYTES as usize) {
        map(pa, pa | SUPERVISOR | PS);
    }
    for set in &sets[1..] {
        map(set.window(), set.base | SUPERVISOR | PS);
    }
    map(USER_PAGE, RUNNER_TABLES | TABLE);
    put(RUNNER_TABLES, 0, ACCESSES | USER);
    put(RUNNER_PDPT, 0, RUNNER_DIRECTORY | TABLE);
    put(RUNNER_PML4, 0, RUNNER_PDPT | TABLE);
}
