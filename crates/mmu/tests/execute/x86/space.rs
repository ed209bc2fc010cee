//! What the states of one mode on one processor are chosen from.

use super::layout::{Mode, TableSet, ram_end};
use super::pages::frames;

/// The processor under test.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    pub kvm: bool,
    /// MAXPHYADDR.
    pub phys_bits: u8,
    pub ram_bytes: u64,
    pub page1gb: bool,
    pub smep: bool,
    pub smap: bool,
    pub pcid: bool,
    pub nx: bool,
}

impl Processor {
    /// Whether MOV to CR3 refuses what it must. TCG does not: it takes bits beyond MAXPHYADDR
    /// (SDM vol. 2B, MOV to CR), and judges a PDPTE when it is used, where the manual has MOV to
    /// CR3 judge all four (vol. 3A, 4.4.1).
    pub fn judges_roots(&self) -> bool {
        self.kvm
    }

    /// The top indices of 64-bit modes. Entry 256 is one that some KVMs (pvm) have a use of their
    /// own for, which user accesses meet.
    fn top_indices(&self) -> [u64; 5] {
        let half = if self.kvm { 0x101 } else { 0x100 };
        [0x40, 0x155, half, 0xaa, 0x1ff]
    }
}

pub struct Space {
    pub mode: Mode,
    pub processor: Processor,
    sets: Vec<TableSet>,
    frames: Vec<Vec<u64>>,
}

impl Space {
    pub fn new(mode: Mode, processor: Processor) -> Self {
        let ram_bytes = processor.ram_bytes;
        let frames =
            (0..=mode.leaf_max()).map(|level| frames(mode, mode.shift(level), ram_bytes)).collect();
        Self { mode, processor, sets: mode.table_sets(ram_bytes), frames }
    }

    /// The sets of tables.
    pub fn sets(&self) -> &[TableSet] {
        &self.sets
    }

    /// The frames of leaves of `level`.
    pub fn frames(&self, level: usize) -> &[u64] {
        &self.frames[level]
    }

    /// The highest level with leaves.
    pub fn leaf_max(&self) -> usize {
        if self.processor.page1gb { self.mode.leaf_max() } else { self.mode.leaf_max().min(1) }
    }

    /// The indices in the top table. Index 0 is the runner's, and IA-32's first 13 are.
    pub fn top_indices(&self) -> Vec<u64> {
        match self.mode {
            Mode::Ia32 => vec![0x40, 0x155, 0x200, 0x2aa, 0x3ff],
            Mode::Pae => vec![1, 2, 3],
            _ => self.processor.top_indices().to_vec(),
        }
    }

    /// The width of physical addresses that PSE-36 reaches.
    pub fn pse36_bits(&self) -> u64 {
        u64::from(self.processor.phys_bits).min(40)
    }

    /// The address bits that leaves of `level` can hold and no RAM has.
    pub fn nowhere(&self, level: usize) -> Vec<u64> {
        let first = u64::from(ram_end(self.processor.ram_bytes).ilog2()) + 1;
        let end = match (self.mode, level) {
            (Mode::Ia32, 0) => 32,
            (Mode::Ia32, _) => self.pse36_bits(),
            _ => u64::from(self.processor.phys_bits),
        };
        (first..end).collect()
    }
}
