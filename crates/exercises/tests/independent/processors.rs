//! The walks of real processors: Intel SDM volume 3A chapter 4, RISC-V privileged architecture
//! chapter on supervisor-level ISA.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Computed, array, int, or, spaced, text};

type Memory = BTreeMap<u64, u64>;

pub fn processor(data: &Value, out: &mut Computed) {
    let words = array(&data["memory"]).iter();
    let memory: Memory = words.map(|word| (int(&word["address"]), int(&word["raw"]))).collect();
    let root = int(&data["root"]);
    for (n, access) in (1..).zip(array(&data["accesses"])) {
        let address = int(&access["address"]);
        let write = text(&access["kind"]) == "write";
        let (read, physical) = match text(&data["format"]) {
            "ia32" => intel(&memory, root, address, write, &[22, 12], 10, 4),
            "pae" => intel(&memory, root, address, write, &[30, 21, 12], 9, 8),
            "x86-64" if !is_extended(address, 48) => (Vec::new(), None),
            "x86-64" => intel(&memory, root, address, write, &[39, 30, 21, 12], 9, 8),
            "sv39" if !is_extended(address, 39) => (Vec::new(), None),
            "sv48" if !is_extended(address, 48) => (Vec::new(), None),
            "sv32" => riscv(&memory, root, address, write, 2, 10, 4),
            "sv39" => riscv(&memory, root, address, write, 3, 9, 8),
            _ => riscv(&memory, root, address, write, 4, 9, 8),
        };
        out.put(n, "indices", spaced(&read));
        out.put(n, "physical", or(physical, "fault"));
    }
}

/// Whether the upper bits are copies of the highest of `bits`.
fn is_extended(address: u64, bits: u32) -> bool {
    let upper = address as i64 >> (bits - 1);
    upper == 0 || upper == -1
}

/// P, R/W and U/S at every level that has them; PS one level above the last.
fn intel(
    memory: &Memory,
    root: u64,
    address: u64,
    write: bool,
    shifts: &[u32],
    bits: u32,
    bytes: u64,
) -> (Vec<u64>, Option<u64>) {
    let mut table = root;
    let mut read = Vec::new();
    for (level, shift) in shifts.iter().enumerate() {
        let index = (address >> shift) % (1 << bits);
        read.push(index);
        let entry = memory.get(&(table + index * bytes)).copied().unwrap_or(0);
        let left = shifts.len() - 1 - level;
        // The pointer table of PAE has neither R/W nor U/S.
        let has_rights = !(shifts.len() == 3 && level == 0);
        if entry & 1 == 0 || has_rights && (entry & 4 == 0 || write && entry & 2 == 0) {
            return (read, None);
        }
        let frame = entry & 0x000f_ffff_ffff_f000;
        if left == 0 || left == 1 && entry & 0x80 != 0 {
            let offset = address % (1 << shift);
            return (read, Some((frame >> shift << shift) + offset));
        }
        table = frame;
    }
    unreachable!("the last level is a leaf")
}

/// The algorithm of the privileged architecture, "virtual address translation process".
fn riscv(
    memory: &Memory,
    root: u64,
    address: u64,
    write: bool,
    levels: u32,
    bits: u32,
    bytes: u64,
) -> (Vec<u64>, Option<u64>) {
    let mut table = root;
    let mut read = Vec::new();
    for level in (0..levels).rev() {
        let shift = 12 + level * bits;
        let index = (address >> shift) % (1 << bits);
        read.push(index);
        let entry = memory.get(&(table + index * bytes)).copied().unwrap_or(0);
        let [v, r, w, x, u] = [0, 1, 2, 3, 4].map(|bit| entry >> bit & 1 == 1);
        if !v || !r && w {
            return (read, None);
        }
        let frame = (entry >> 10 & 0xfff_ffff_ffff) << 12;
        if r || x {
            let is_allowed = u && if write { w } else { r };
            let is_aligned = frame % (1 << shift) == 0;
            return (read, (is_allowed && is_aligned).then(|| frame + address % (1 << shift)));
        }
        table = frame;
    }
    (read, None)
}
