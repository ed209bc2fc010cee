//! The translation hardware of a machine, by name.

use pagewalk_kernel::{AnyPmap, Pmap};
use pagewalk_mmu::r3000::Cp0;
use pagewalk_mmu::radix::Format;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{PageSize, Tables, VirtAddr};

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
        "r3000",
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

    /// The first address above the program's that the page tables allow.
    pub fn user_end_max(&self) -> VirtAddr {
        match self {
            Self::Paged(tables) => AnyPmap::user_end_max(tables),
        }
    }

    /// The TLB that it comes with.
    pub fn default_tlb(&self) -> TlbConfig {
        match self {
            Self::Paged(Tables::Radix(Format::R3000(_))) => Cp0::tlb_config(),
            Self::Paged(_) => TlbConfig::default(),
        }
    }

    /// Whether it can have this TLB (`None`: no TLB).
    ///
    /// # Errors
    /// What it can have.
    pub fn check_tlb(&self, tlb: Option<&TlbConfig>) -> Result<(), String> {
        let own = Cp0::tlb_config();
        match self {
            Self::Paged(Tables::Radix(Format::R3000(_))) if tlb != Some(&own) => Err(format!(
                "the R3000 has a TLB of its own, {own}, and no other: leave the option out"
            )),
            Self::Paged(_) => Ok(()),
        }
    }

    /// How many references a walk to a base page makes at least: the levels of a tree.
    pub fn levels(&self) -> u8 {
        match self {
            Self::Paged(tables) => tables.levels(),
        }
    }
}
