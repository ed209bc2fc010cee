//! What an explanation looks at: translation hardware and the memory behind it.

use pagewalk_mmu::segment::{BaseBounds, Identity, SegmentTable};
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{Access, Asid, FaultCause, Mmu, PhysAddr, Tables, VirtAddr};

use crate::memory::SparseMemory;
use crate::r3000;
use crate::segment::{DescriptorTable, SegmentUnit};

/// Translation hardware and its memory, between two accesses.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What translates.
    pub hardware: Hardware,
    /// Physical memory.
    pub memory: SparseMemory,
    /// How many accesses were made.
    pub now: u64,
}

/// What translates.
#[derive(Clone, Debug)]
pub enum Hardware {
    /// An MMU, its root loaded.
    Paged(Box<Mmu>),
    /// IA-32's segments in front of one.
    Segmented(DescriptorTable, Box<Mmu>),
    /// No pages.
    Unpaged(Unpaged),
}

/// Hardware without pages.
#[derive(Clone, Debug)]
pub enum Unpaged {
    /// Addresses are physical.
    Identity(Identity),
    /// A pair of bounds.
    Bounds(BaseBounds),
    /// A table of segments.
    Table(SegmentTable),
}

impl Unpaged {
    /// The hardware, to look at.
    pub const fn unit(&self) -> SegmentUnit<'_> {
        match self {
            Self::Identity(bus) => SegmentUnit::Identity(bus),
            Self::Bounds(bounds) => SegmentUnit::Bounds(bounds),
            Self::Table(table) => SegmentUnit::Table(table),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The virtual address.
    pub va: VirtAddr,
    /// The access.
    pub access: Access,
}

impl Scene {
    /// An MMU with `root` in its base register, and an empty TLB. The R3000 has its own TLB,
    /// whatever is given.
    ///
    /// # Errors
    /// If the hardware refuses the root.
    pub fn new(
        tables: Tables,
        tlb: Option<TlbConfig>,
        memory: SparseMemory,
        root: PhysAddr,
        asid: Asid,
    ) -> Result<Self, FaultCause> {
        let mmu = mmu(tables, tlb, &memory, root, asid)?;
        Ok(Self { hardware: Hardware::Paged(Box::new(mmu)), memory, now: 0 })
    }

    /// Hardware without pages.
    pub const fn unpaged(unpaged: Unpaged) -> Self {
        let memory = SparseMemory::new(0);
        Self { hardware: Hardware::Unpaged(unpaged), memory, now: 0 }
    }
}

/// An MMU with `root` in its base register, and an empty TLB.
///
/// # Errors
/// If the hardware refuses the root.
pub fn mmu(
    tables: Tables,
    tlb: Option<TlbConfig>,
    memory: &SparseMemory,
    root: PhysAddr,
    asid: Asid,
) -> Result<Mmu, FaultCause> {
    let mut mmu = Mmu::new(tables, r3000::own_tlb(&tables).or(tlb));
    mmu.load_root(asid, root, memory)?;
    Ok(mmu)
}
