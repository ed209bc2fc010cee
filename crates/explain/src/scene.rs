//! What an explanation looks at: an MMU and the memory behind it.

use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{Access, Asid, FaultCause, Mmu, PhysAddr, Tables, VirtAddr};

use crate::memory::SparseMemory;

/// An MMU and its memory, between two accesses.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The MMU, its root loaded.
    pub mmu: Mmu,
    /// Physical memory.
    pub memory: SparseMemory,
    /// How many accesses were made.
    pub now: u64,
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
    /// An MMU with `root` in its base register, and an empty TLB.
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
        let mut mmu = Mmu::new(tables, tlb);
        mmu.load_root(asid, root, &memory)?;
        Ok(Self { mmu, memory, now: 0 })
    }
}
