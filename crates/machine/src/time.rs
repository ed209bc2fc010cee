//! Virtual time: a pure function of what was counted.

use crate::cost::CostModel;
use crate::memory::Memory;
use crate::report::CycleParts;

/// The part of virtual time that passes outside the program: in the kernel, waiting for devices,
/// asleep. What the program's own instructions, TLB misses and walks take is computed from their
/// counts when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Time {
    /// What everything takes.
    pub cost: CostModel,
    /// Cycles spent outside the program; `compute`, `tlb` and `walks` stay zero.
    pub outside: CycleParts,
}

impl Time {
    /// No time has passed.
    pub fn new(cost: CostModel) -> Self {
        Self { cost, outside: CycleParts::default() }
    }

    /// All cycles by where they went, `retired` instructions having made `references`.
    pub fn parts(&self, retired: u64, references: u64, memory: &Memory) -> CycleParts {
        let counters = memory.mmu().counters();
        let unseen = memory.unseen_walks(references) * memory.reads_per_walk();
        CycleParts {
            compute: retired * self.cost.instruction,
            tlb: counters.l2_hits.total() * self.cost.tlb_l2_hit,
            walks: (counters.walk_reads + unseen) * self.cost.walk_read
                + counters.walk_writes * self.cost.walk_write,
            ..self.outside
        }
    }

    /// The sum of [`Time::parts`].
    pub fn cycles(&self, retired: u64, references: u64, memory: &Memory) -> u64 {
        self.parts(retired, references, memory).total()
    }
}
