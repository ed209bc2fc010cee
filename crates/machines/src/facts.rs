//! What the simulator's MMUs have: the bounds that a description must keep.

use pagewalk_machine::Hardware;
use pagewalk_mmu::hashed::{self, HashedTable};
use pagewalk_mmu::radix::{Format, Linear, Radix};
use pagewalk_mmu::{Asid, PageSize, Tables};

use crate::description::Loading;

/// The name of the MMU whose page and width a description chooses.
pub const LINEAR: &str = "linear";
/// The bytes of a hashed table's entry: PowerPC's, the smallest.
const HASHED_ENTRY_BYTES: u64 = 8;

/// The bits of the simulator's address-space identifiers.
const ASID_BITS_MAX: u8 = 8 * size_of::<Asid>() as u8;

/// What an MMU has.
pub struct Facts {
    /// The page sizes in bytes, smallest first.
    pub pages: Vec<u64>,
    /// The spans of address space below an entry that points to a table, in bytes.
    pub reaches: Vec<u64>,
    /// The bytes of a page-table entry.
    pub entry_bytes: u64,
    /// The widest virtual address.
    pub virtual_bits: u8,
    /// The widest physical address.
    pub physical_bits: u8,
    /// The widest address-space identifier.
    pub asid_bits: u8,
    /// Who loads the TLB.
    pub load: Loading,
}

/// The names of the MMUs with pages: those that a description can name.
pub fn names() -> impl Iterator<Item = &'static str> {
    Hardware::NAMES.iter().copied().filter(|name| Tables::by_name(name, 1).is_some())
}

/// The page tables called `name` in a machine with `ram_bytes` of RAM; `linear` gives the table of
/// that name its page and the width of its addresses.
pub fn tables(name: &str, linear: Option<(PageSize, u8)>, ram_bytes: u64) -> Option<Tables> {
    match linear {
        Some((page, bits)) if name == LINEAR => {
            Linear::new(page.shift(), bits).map(|linear| Tables::Radix(Format::Linear(linear)))
        }
        _ => {
            let base_page = Tables::by_name(name, 1)?.base_page();
            Tables::by_name(name, ram_bytes / base_page.bytes())
        }
    }
}

impl Facts {
    /// What `tables` have.
    pub fn of(tables: &Tables) -> Self {
        let asid_bits = asid_bits(tables.name());
        let load = match tables.name() {
            "r3000" => Loading::Software,
            _ => Loading::Hardware,
        };
        match tables {
            Tables::Radix(format) => Self { asid_bits, load, ..Self::of_radix(format) },
            Tables::Hashed(table) => Self { asid_bits, load, ..Self::of_hashed(table) },
        }
    }

    fn of_radix(format: &Format) -> Self {
        let geometry = format.geometry();
        let leaves = geometry.levels.iter().filter(|level| level.leaf);
        Self {
            pages: leaves.map(|level| level.page().bytes()).collect(),
            reaches: geometry.levels.iter().skip(1).map(|level| 1 << level.shift).collect(),
            entry_bytes: geometry.entry.bytes(),
            virtual_bits: geometry.va_bits,
            physical_bits: geometry.pa_bits,
            asid_bits: 0,
            load: Loading::Hardware,
        }
    }

    fn of_hashed(table: &hashed::Format) -> Self {
        let page = table.base_page();
        let frame_bits = table.frames_max().checked_ilog2().unwrap_or(0) as u8;
        Self {
            pages: vec![page.bytes()],
            reaches: Vec::new(),
            entry_bytes: HASHED_ENTRY_BYTES,
            virtual_bits: table.va_bits(),
            physical_bits: frame_bits + page.shift(),
            asid_bits: 0,
            load: Loading::Hardware,
        }
    }
}

/// The bits of an address-space identifier: Intel SDM vol. 3A, 4.10.1 (PCIDs exist in 64-bit mode
/// alone); RISC-V Privileged Architecture, `satp`; MIPS R3000, EntryHi; otherwise what the
/// simulator's TLB carries.
fn asid_bits(name: &str) -> u8 {
    match name {
        "ia32" | "pae" => 0,
        "x86-64" | "x86-64-la57" => 12,
        "sv32" => 9,
        "r3000" => 6,
        _ => ASID_BITS_MAX,
    }
}
