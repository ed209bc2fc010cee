//! The translation hardware of a machine, by name.

use pagewalk_mmu::{PageSize, Tables};

/// What translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// Page tables that the hardware walks.
    Paged(Tables),
}

impl Hardware {
    /// The names of all.
    pub const NAMES: &'static [&'static str] = &[
        "ia32",
        "pae",
        "x86-64",
        "x86-64-la57",
        "sv32",
        "sv39",
        "sv48",
        "sv57",
        "aarch64",
        "aarch64-16k",
        "aarch64-64k",
        "linear",
        "inverted",
        "hashed",
        "ppc",
    ];

    /// The hardware called `name`, one of [`Hardware::NAMES`], as it is after reset, for RAM of
    /// `ram_bytes`: a hashed table's size depends on it.
    pub fn by_name(name: &str, ram_bytes: u64) -> Option<Self> {
        // The page is needed to count the frames.
        let page = Tables::by_name(name, 1)?.base_page();
        Tables::by_name(name, ram_bytes / page.bytes()).map(Self::Paged)
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Paged(tables) => tables.name(),
        }
    }

    /// The unit in which memory is given to programs: the base page.
    pub fn base_page(&self) -> PageSize {
        match self {
            Self::Paged(tables) => tables.base_page(),
        }
    }

    /// The width of a virtual address in bits.
    pub fn va_bits(&self) -> u8 {
        match self {
            Self::Paged(tables) => tables.va_bits(),
        }
    }

    /// How many references a walk to a base page makes at least: the levels of a tree.
    pub fn levels(&self) -> u8 {
        match self {
            Self::Paged(tables) => tables.levels(),
        }
    }
}
