//! Virtual time: a pure function of what was counted.

use pagewalk_kernel::Vmstat;
use pagewalk_mmu::PageSize;
use pagewalk_mmu::cache::{CacheCounters, Caches, LookupCounts};

use crate::cost::CostModel;
use crate::listener::Traffic;
use crate::machine::Tally;
use crate::memory::Memory;
use crate::report::CycleParts;

/// The part of virtual time that passes outside the programs: in the kernel, waiting for devices,
/// asleep. What the programs' own instructions, TLB misses and walks take is computed from their
/// counts when somebody asks.
///
/// Each hart has its own time. Whatever passes outside, passes for the hart that runs:
///
/// ```text
///   outside  =  parked: what passed for the others  +  what passed for the hart that runs
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Time {
    /// What everything takes.
    pub cost: CostModel,
    /// Cycles spent outside the programs, for all harts; `compute`, `tlb`, `walks`, `caches` and
    /// `refills` stay zero.
    pub outside: CycleParts,
    parked: CycleParts,
}

impl Time {
    /// No time has passed.
    pub fn new(cost: CostModel) -> Self {
        Self { cost, ..Self::default() }
    }

    /// All cycles of the hart that runs by where they went, `retired` instructions of its having
    /// made `references`.
    pub fn parts(&self, retired: u64, references: u64, memory: &Memory) -> CycleParts {
        self.parts_of(memory.hart(), retired, references, memory)
    }

    /// All cycles of a hart by where they went, `retired` instructions of its having made
    /// `references`.
    ///
    /// # Panics
    /// If there is no such hart.
    pub fn parts_of(
        &self,
        hart: u32,
        retired: u64,
        references: u64,
        memory: &Memory,
    ) -> CycleParts {
        let runs = hart == memory.hart();
        let hart = memory.hart_memory(hart);
        let outside = if runs { self.of_running() } else { hart.outside };
        let counters = hart.mmu().counters();
        let unseen = hart.unseen_walks(references) * hart.reads_per_walk();
        let shootdowns = hart.shootdowns();
        // Where the kernel has a space of its own, its way out leads into whatever space comes next.
        let kernels = hart.kernel_traffic().root_loads;
        let root_loads = if kernels > 0 { kernels } else { hart.switches().spaces };
        CycleParts {
            compute: sum([(retired, self.cost.instruction)]),
            tlb: sum([
                (counters.l2_hits.total(), self.cost.tlb_l2_hit),
                (root_loads, self.cost.root_load),
                (shootdowns.sent, self.cost.shootdown_send),
                (shootdowns.received, self.cost.shootdown_receive),
            ]),
            walks: match hart.caches() {
                Some(caches) => self.served(caches, self.cost.cache_l1, |level| level.walks),
                None => sum([
                    (counters.walk_reads + unseen, self.cost.walk_read),
                    (counters.walk_writes, self.cost.walk_write),
                ]),
            },
            // What the first level serves is part of the instruction.
            caches: hart.caches().map_or(0, |caches| self.served(caches, 0, |level| level.data)),
            refills: sum([
                (counters.exceptions.refill, self.cost.tlb_refill),
                (counters.exceptions.general(), self.cost.tlb_general),
            ]),
            ..outside
        }
    }

    /// The hart that runs is parked: what has passed for it.
    pub(crate) fn park(&mut self) -> CycleParts {
        let outside = self.of_running();
        self.parked = self.parked.zip(&outside, u64::saturating_add);
        outside
    }

    /// A parked hart, for which so much has passed, is to run.
    pub(crate) fn resume(&mut self, outside: &CycleParts) {
        self.parked = self.parked.zip(outside, u64::saturating_sub);
    }

    fn of_running(&self) -> CycleParts {
        self.outside.zip(&self.parked, u64::saturating_sub)
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
    let disk_ns = sum([
        (traffic.swap_ns, 1),
        (traffic.file_reads + traffic.file_writes - traffic.file_deferred, cost.file_ns(page)),
    ]);
    CycleParts {
        compute: 0,
        tlb: 0,
        walks: 0,
        caches: 0,
        refills: 0,
        faults: sum([
            (tally.traps + tally.interrupts, cost.trap),
            (kernel.pgfault, cost.fault),
            (traffic.frames_zeroed, cost.zero_frame),
            (traffic.frames_copied, cost.copy_frame),
        ]),
        syscalls: sum([
            (tally.syscalls_total, cost.syscall),
            (kernel.bytes_copied / 1000, cost.copy_kilobyte),
        ]),
        reclaim: sum([
            (kernel.pgscan_kswapd + kernel.pgscan_direct + kernel.pgscan_harvest, cost.scan_page),
            (kernel.pgscan_launder, cost.scan_page),
            (kernel.thp_collapse_scan + kernel.compact_migrate_scanned, cost.scan_page),
            (traffic.flushes, cost.flush),
            (cost.cycles(traffic.zswap_ns), 1),
        ]),
        disk: cost.cycles(disk_ns).saturating_add(traffic.waited),
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
