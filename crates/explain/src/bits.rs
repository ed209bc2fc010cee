//! The names of the bits of entries, format by format, as the manuals draw them.
//!
//! Sources: Intel SDM vol. 3A, 4.3 to 4.5 (figures 4-4, 4-7, 4-11); the RISC-V privileged
//! architecture, "Supervisor" chapter; Arm DDI 0487, D8.3; the PowerPC programming environments
//! manual (PEM), 7.6.1; Kane and Heinrich, "MIPS RISC Architecture", chapter 6.

use pagewalk_mmu::radix::{Entry, Format, Radix};
use pagewalk_mmu::{Level, ProbeKind, hashed};

use crate::record::BitField;

/// A field: its name, highest and lowest bit.
type Field = (&'static str, u8, u8);

const X86_FLAGS: &[Field] =
    &[("PCD", 4, 4), ("PWT", 3, 3), ("U/S", 2, 2), ("R/W", 1, 1), ("P", 0, 0)];
const IA32_PTE: &[Field] =
    &[("frame", 31, 12), ("G", 8, 8), ("PAT", 7, 7), ("D", 6, 6), ("A", 5, 5)];
const IA32_LARGE: &[Field] = &[
    ("frame", 31, 22),
    ("frame 39:32", 20, 13),
    ("PAT", 12, 12),
    ("G", 8, 8),
    ("PS", 7, 7),
    ("D", 6, 6),
    ("A", 5, 5),
];
const IA32_TABLE: &[Field] = &[("table", 31, 12), ("PS", 7, 7), ("A", 5, 5)];
const X64_PTE: &[Field] =
    &[("XD", 63, 63), ("frame", 51, 12), ("G", 8, 8), ("PAT", 7, 7), ("D", 6, 6), ("A", 5, 5)];
const X64_LARGE: &[Field] = &[
    ("XD", 63, 63),
    ("frame", 51, 13),
    ("PAT", 12, 12),
    ("G", 8, 8),
    ("PS", 7, 7),
    ("D", 6, 6),
    ("A", 5, 5),
];
const X64_TABLE: &[Field] = &[("XD", 63, 63), ("table", 51, 12), ("PS", 7, 7), ("A", 5, 5)];
const PDPTE: &[Field] = &[("directory", 51, 12), ("PCD", 4, 4), ("PWT", 3, 3), ("P", 0, 0)];

const RISCV_FLAGS: &[Field] = &[
    ("D", 7, 7),
    ("A", 6, 6),
    ("G", 5, 5),
    ("U", 4, 4),
    ("X", 3, 3),
    ("W", 2, 2),
    ("R", 1, 1),
    ("V", 0, 0),
];
const RISCV_32: &[Field] = &[("PPN", 31, 10)];
const RISCV_64: &[Field] = &[("N", 63, 63), ("PBMT", 62, 61), ("PPN", 53, 10)];

const AARCH64_LEAF: &[Field] = &[
    ("UXN", 54, 54),
    ("PXN", 53, 53),
    ("Contiguous", 52, 52),
    ("DBM", 51, 51),
    ("output address", 47, 12),
    ("nG", 11, 11),
    ("AF", 10, 10),
    ("SH", 9, 8),
    ("AP", 7, 6),
    ("NS", 5, 5),
    ("AttrIndx", 4, 2),
    ("type", 1, 1),
    ("valid", 0, 0),
];
const AARCH64_TABLE: &[Field] = &[
    ("NSTable", 63, 63),
    ("APTable", 62, 61),
    ("UXNTable", 60, 60),
    ("PXNTable", 59, 59),
    ("next table", 47, 12),
    ("type", 1, 1),
    ("valid", 0, 0),
];

const LINEAR: &[Field] = &[
    ("frame", 31, 10),
    ("C", 8, 8),
    ("D", 7, 7),
    ("A", 6, 6),
    ("G", 5, 5),
    ("U", 4, 4),
    ("X", 3, 3),
    ("W", 2, 2),
    ("R", 1, 1),
    ("V", 0, 0),
];

/// The fields of an entry of a radix table, highest first; of one that is not present only the
/// bit that says so, and what software keeps there.
pub fn entry_fields(format: &Format, level: Level, raw: u64, entry: &Entry) -> Vec<BitField> {
    if *entry == Entry::NotPresent {
        let high = format.geometry().entry.bytes() as u8 * 8 - 1;
        return values(raw, &[&[("software", high, 1), (valid_name(format), 0, 0)]]);
    }
    let top = level == format.geometry().top();
    match (format.name(), entry) {
        ("ia32", Entry::Table { .. }) => values(raw, &[IA32_TABLE, X86_FLAGS]),
        ("ia32", _) if level.0 == 0 => values(raw, &[IA32_PTE, X86_FLAGS]),
        ("ia32", _) => values(raw, &[IA32_LARGE, X86_FLAGS]),
        ("pae", _) if top => values(raw, &[PDPTE]),
        ("pae" | "x86-64" | "x86-64-la57", Entry::Table { .. }) => {
            values(raw, &[X64_TABLE, X86_FLAGS])
        }
        ("pae" | "x86-64" | "x86-64-la57", _) if level.0 == 0 => values(raw, &[X64_PTE, X86_FLAGS]),
        ("pae" | "x86-64" | "x86-64-la57", _) => values(raw, &[X64_LARGE, X86_FLAGS]),
        ("sv32", _) => values(raw, &[RISCV_32, RISCV_FLAGS]),
        ("sv39" | "sv48" | "sv57", _) => values(raw, &[RISCV_64, RISCV_FLAGS]),
        ("r3000", Entry::Table { .. }) => values(raw, &[R3000_ROOT]),
        ("r3000", _) => values(raw, &[R3000_PTE]),
        ("linear", _) => values(raw, &[LINEAR]),
        (name, Entry::Table { .. }) if name.starts_with("aarch64") => values(raw, &[AARCH64_TABLE]),
        (name, _) if name.starts_with("aarch64") => values(raw, &[AARCH64_LEAF]),
        _ => Vec::new(),
    }
}

const CHAIN_TAG: &[Field] = &[("V", 63, 63), ("asid", 51, 36), ("page", 35, 0)];
const CHAIN_DATA: &[Field] = &[
    ("L", 63, 63),
    ("next", 62, 36),
    ("frame", 35, 8),
    ("WT", 7, 7),
    ("CD", 6, 6),
    ("M", 5, 5),
    ("R", 4, 4),
    ("u", 3, 3),
    ("x", 2, 2),
    ("w", 1, 1),
    ("r", 0, 0),
];
const CHAIN_ANCHOR: &[Field] = &[("L", 31, 31), ("entry", 30, 0)];
// Bit numbers from the right; PEM 7.6.1 counts from the left.
const PPC_TAG: &[Field] = &[("V", 31, 31), ("VSID", 30, 7), ("H", 6, 6), ("API", 5, 0)];
const PPC_DATA: &[Field] =
    &[("RPN", 31, 12), ("R", 8, 8), ("C", 7, 7), ("WIMG", 6, 3), ("PP", 1, 0)];

/// The fields of a word of a hashed table, highest first.
pub fn probe_fields(table: &hashed::Format, what: ProbeKind, raw: u64) -> Vec<BitField> {
    let fields = match (table, what) {
        (hashed::Format::Ppc(_), ProbeKind::Tag) => PPC_TAG,
        (hashed::Format::Ppc(_), _) => PPC_DATA,
        (_, ProbeKind::Anchor) => CHAIN_ANCHOR,
        (_, ProbeKind::Tag) => CHAIN_TAG,
        (_, ProbeKind::Data | ProbeKind::Link) => CHAIN_DATA,
    };
    values(raw, &[fields])
}

// Intel SDM vol. 3A, figure 3-8; base and limit are cut to pieces that say nothing one by one.
const DESCRIPTOR: &[Field] =
    &[("G", 55, 55), ("D/B", 54, 54), ("P", 47, 47), ("DPL", 46, 45), ("S", 44, 44)];
const DESCRIPTOR_CODE: &[Field] = &[("code", 43, 43), ("C", 42, 42), ("R", 41, 41), ("A", 40, 40)];
const DESCRIPTOR_DATA: &[Field] = &[("code", 43, 43), ("E", 42, 42), ("W", 41, 41), ("A", 40, 40)];
const DESCRIPTOR_SYSTEM: &[Field] = &[("type", 43, 40)];

/// The fields of a segment descriptor of IA-32, highest first.
pub fn descriptor_fields(raw: u64) -> Vec<BitField> {
    let kind = match (raw >> 44 & 1, raw >> 43 & 1) {
        (0, _) => DESCRIPTOR_SYSTEM,
        (_, 0) => DESCRIPTOR_DATA,
        (..) => DESCRIPTOR_CODE,
    };
    values(raw, &[DESCRIPTOR, kind])
}

// pagewalk_mmu::radix::R3000: N, D, V, G are EntryLo's, the bits below are software's.
const R3000_PTE: &[Field] = &[
    ("PFN", 31, 12),
    ("N", 11, 11),
    ("D", 10, 10),
    ("V", 9, 9),
    ("G", 8, 8),
    ("M", 4, 4),
    ("A", 3, 3),
    ("W", 2, 2),
    ("U", 1, 1),
    ("present", 0, 0),
];
const R3000_ROOT: &[Field] =
    &[("PFN", 31, 12), ("N", 11, 11), ("D", 10, 10), ("V", 9, 9), ("G", 8, 8), ("present", 0, 0)];

/// The names of the one-bit fields that are set in `bits`.
pub fn set_names(fields: &[BitField], bits: u64) -> Vec<String> {
    let single = fields.iter().filter(|field| field.high == field.low);
    single.filter(|field| bits >> field.low & 1 == 1).map(|field| field.name.clone()).collect()
}

fn valid_name(format: &Format) -> &'static str {
    match format.name() {
        "ia32" | "pae" | "x86-64" | "x86-64-la57" => "P",
        name if name.starts_with("aarch64") => "valid",
        "r3000" => "present",
        _ => "V",
    }
}

fn values(raw: u64, groups: &[&[Field]]) -> Vec<BitField> {
    let fields = groups.iter().copied().flatten();
    fields
        .map(|&(name, high, low)| BitField {
            name: name.into(),
            high,
            low,
            value: (raw >> low) & (u64::MAX >> (63 - (high - low))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_order_and_do_not_overlap() {
        for name in Format::NAMES {
            let format = Format::by_name(name).unwrap();
            let geometry = *format.geometry();
            for level in (0..geometry.levels.len() as u8).map(Level) {
                for raw in [0, 1, 3, 0x81, 0x403, 0xcf, u64::MAX] {
                    let raw = raw & (u64::MAX >> (64 - geometry.entry.bytes() * 8));
                    let entry = format.decode(level, raw);
                    let fields = entry_fields(&format, level, raw, &entry);
                    for pair in fields.windows(2) {
                        assert!(pair[0].low > pair[1].high, "{name}: {pair:?}");
                    }
                }
            }
        }
    }
}
