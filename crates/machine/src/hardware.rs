//! The translation hardware of a machine, by name.

use pagewalk_kernel::{AnyPmap, Geometry, Pmap};
use pagewalk_mmu::r3000::Cp0;
use pagewalk_mmu::radix::Format;
use pagewalk_mmu::segment::Shape;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{PageSize, Tables, VirtAddr};

/// What translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// Page tables that the hardware walks.
    Paged(Tables),
    /// Segments of IA-32 in front of its page tables.
    SegmentedPages(Tables),
    /// Nothing, bounds, or a table of segments: no pages, and no TLB.
    Unpaged(Geometry),
}

/// IA-32's segments and pages.
const SEGMENTS_PAGING: &str = "segments-paging";

/// The pages behind [`SEGMENTS_PAGING`].
const IA32: &str = "ia32";

/// The machines without pages.
const UNPAGED: [(&str, Geometry); 3] = [
    ("none", Geometry::Identity),
    ("base-bounds", Geometry::BaseBounds),
    ("segments", Geometry::Table(Shape::DEFAULT)),
];

/// Without pages, the unit of the memory calls: programs are linked for pages of 4 KiB at least.
const UNPAGED_SHIFT: u8 = 12;

impl Hardware {
    /// The names of all.
    pub const NAMES: &'static [&'static str] = &[
        "none",
        "base-bounds",
        "segments",
        SEGMENTS_PAGING,
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
        if let Some(&(_, geometry)) = UNPAGED.iter().find(|(known, _)| *known == name) {
            return Some(Self::Unpaged(geometry));
        }
        let (tables, make): (_, fn(Tables) -> Self) = match name {
            SEGMENTS_PAGING => (IA32, Self::SegmentedPages),
            name => (name, Self::Paged),
        };
        // The page is needed to count the frames.
        let page = Tables::by_name(tables, 1)?.base_page();
        Tables::by_name(tables, ram_bytes / page.bytes()).map(make)
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Paged(tables) => tables.name(),
            Self::SegmentedPages(_) => SEGMENTS_PAGING,
            Self::Unpaged(geometry) => {
                let is = |known: &Geometry| {
                    core::mem::discriminant(known) == core::mem::discriminant(geometry)
                };
                UNPAGED.iter().find(|(_, known)| is(known)).map_or("", |(name, _)| name)
            }
        }
    }

    /// The page tables, if there are any.
    pub fn tables(&self) -> Option<&Tables> {
        match self {
            Self::Paged(tables) | Self::SegmentedPages(tables) => Some(tables),
            Self::Unpaged(_) => None,
        }
    }

    /// The unit in which memory is given to programs: the base page.
    pub fn base_page(&self) -> PageSize {
        self.tables().map_or(PageSize::from_shift(UNPAGED_SHIFT), Tables::base_page)
    }

    /// The width of a virtual address in bits.
    pub fn va_bits(&self) -> u8 {
        match self {
            Self::Paged(tables) | Self::SegmentedPages(tables) => tables.va_bits(),
            Self::Unpaged(Geometry::Table(shape)) => shape.va_bits(),
            Self::Unpaged(_) => u64::BITS as u8,
        }
    }

    /// The first address above the program's that the page tables allow.
    pub fn user_end_max(&self) -> VirtAddr {
        self.tables().map_or(VirtAddr(u64::MAX), AnyPmap::user_end_max)
    }

    /// The TLB that it comes with. Without pages there is none, whatever is configured.
    pub fn default_tlb(&self) -> TlbConfig {
        match self {
            Self::Paged(Tables::Radix(Format::R3000(_))) => Cp0::tlb_config(),
            _ => TlbConfig::default(),
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
            _ => Ok(()),
        }
    }

    /// How many references a walk to a base page makes at least: the levels of a tree. 0 without
    /// page tables.
    pub fn levels(&self) -> u8 {
        self.tables().map_or(0, Tables::levels)
    }
}
