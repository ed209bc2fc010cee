//! Virtual time: a pure function of what was counted.

use pagewalk_kernel::Vmstat;
use pagewalk_mmu::PageSize;
use pagewalk_mmu::cache::{CacheCounters, Caches, LookupCounts};

use crate::cost::CostModel;
use crate::listener::Traffic;
use crate::machine::Tally;
use crate::memory::Memory;
use crate::report::CycleParts;

/// The part of virtual time that passes outside the program: in the kernel, waiting for devices,
/// asleep. What the program's own instructions, TLB misses and walks take is computed from their
/// counts when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Time {
    /// What everything takes.
    pub cost: CostModel,
    /// Cycles spent outside the program; `compute`, `tlb`, `walks`, `caches` and `refills` stay zero.
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
            compute: sum([(retired, self.cost.instruction)]),
            tlb: sum([
                (counters.l2_hits.total(), self.cost.tlb_l2_hit),
                (memory.kernel_traffic().root_loads, self.cost.root_load),
            ]),
            walks: match memory.caches() {
                Some(caches) => self.served(caches, self.cost.cache_l1, |level| level.walks),
                None => sum([
                    (counters.walk_reads + unseen, self.cost.walk_read),
                    (counters.walk_writes, self.cost.walk_write),
                ]),
            },
            // What the first level serves is part of the instruction.
            caches: memory.caches().map_or(0, |caches| self.served(caches, 0, |level| level.data)),
            refills: sum([
                (counters.exceptions.refill, self.cost.tlb_refill),
                (counters.exceptions.general(), self.cost.tlb_general),
            ]),
            ..self.outside
        }
    }

    /// What the references take that are counted by `of`, those that the first level served taking
    /// `first` each.
    fn served(
        &self,
        caches: &Caches,
        first: u64,
        of: impl Fn(&CacheCounters) -> LookupCounts,
    ) -> u64 {
        let [_, below @ ..] = self.cost.cache_levels();
        let costs = [first].into_iter().chain(below);
        let served = sum_of(caches.counters().map(|level| of(level).hits).zip(costs));
        let missed = caches.counters().last().map_or(0, |level| of(level).misses);
        served.saturating_add(sum([(missed, self.cost.cache_memory)]))
    }

    /// The sum of [`Time::parts`].
    pub fn cycles(&self, retired: u64, references: u64, memory: &Memory) -> u64 {
        self.parts(retired, references, memory).total()
    }
}

/// The cycles that passed outside the program, from what the kernel and the machine have counted.
pub(crate) fn outside(
    cost: &CostModel,
    kernel: &Vmstat,
    tally: &Tally,
    traffic: &Traffic,
    page: PageSize,
) -> CycleParts {
    let transfer_ns = |latency_ns: u64, kilobyte_ns: u64| {
        latency_ns.saturating_add(page.bytes().saturating_mul(kilobyte_ns) / 1000)
    };
    let disk_ns = sum([
        (
            traffic.swap_reads + traffic.swap_writes,
            transfer_ns(cost.swap_latency_ns, cost.swap_kilobyte_ns),
        ),
        (
            traffic.file_reads + traffic.file_writes,
            transfer_ns(cost.file_latency_ns, cost.file_kilobyte_ns),
        ),
    ]);
    CycleParts {
        compute: 0,
        tlb: 0,
        walks: 0,
        caches: 0,
        refills: 0,
        faults: sum([
            (tally.traps, cost.trap),
            (kernel.pgfault, cost.fault),
            (traffic.frames_zeroed, cost.zero_frame),
            (traffic.frames_copied, cost.copy_frame),
        ]),
        syscalls: sum([
            (tally.syscalls_total, cost.syscall),
            (kernel.bytes_copied / 1000, cost.copy_kilobyte),
        ]),
        reclaim: sum([
            (kernel.pgscan_kswapd + kernel.pgscan_direct, cost.scan_page),
            (traffic.flushes, cost.flush),
        ]),
        disk: cost.cycles(disk_ns),
        idle: tally.slept,
    }
}

/// The sum of counts times costs. It stops at the largest number: a model in which a reference
/// takes years is absurd, but no reason to fail.
fn sum<const N: usize>(items: [(u64, u64); N]) -> u64 {
    sum_of(items.into_iter())
}

fn sum_of(items: impl Iterator<Item = (u64, u64)>) -> u64 {
    items.fold(0, |sum, (count, cost)| sum.saturating_add(count.saturating_mul(cost)))
}
