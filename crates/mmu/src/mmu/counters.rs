//! What the MMU counts.

use crate::AccessKind;
use crate::walk_cache::LEVELS;
use core::array;
use core::iter::Sum;
use core::ops::Add;

/// A count for each kind of access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    /// Instruction fetches (perf: iTLB).
    pub fetches: u64,
    /// Data loads (perf: dTLB-load).
    pub loads: u64,
    /// Data stores (perf: dTLB-store).
    pub stores: u64,
}

impl KindCounts {
    /// Loads and stores.
    pub const fn data(&self) -> u64 {
        self.loads + self.stores
    }

    /// All accesses.
    pub const fn total(&self) -> u64 {
        self.fetches + self.data()
    }

    #[inline]
    pub(super) fn count(&mut self, kind: AccessKind) {
        match kind {
            AccessKind::Execute => self.fetches += 1,
            AccessKind::Read => self.loads += 1,
            AccessKind::Write => self.stores += 1,
        }
    }
}

impl Add for KindCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            fetches: self.fetches + other.fetches,
            loads: self.loads + other.loads,
            stores: self.stores + other.stores,
        }
    }
}

/// Exceptions of a TLB that software loads, by what the handler has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlbExceptions {
    /// No entry: the refill handler loads one (R3000: the UTLB vector).
    pub refill: u64,
    /// No entry for the refill handler's own access (R3000: kseg2, through the general vector).
    pub kernel_refill: u64,
    /// The entry is not valid, or gives no right to the access.
    pub invalid: u64,
    /// A store, and the entry's dirty bit is clear.
    pub modified: u64,
    /// An address that user mode may not use (R3000: address error).
    pub address: u64,
}

impl TlbExceptions {
    /// All that went through the general vector.
    pub const fn general(&self) -> u64 {
        self.kernel_refill + self.invalid + self.modified + self.address
    }
}

impl Add for TlbExceptions {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            refill: self.refill + other.refill,
            kernel_refill: self.kernel_refill + other.kernel_refill,
            invalid: self.invalid + other.invalid,
            modified: self.modified + other.modified,
            address: self.address + other.address,
        }
    }
}

/// What an [`Mmu`](crate::Mmu) has done since it was made.
///
/// References are not counted here but by the processor, which performs most first-level hits
/// without coming here: hits of the first level are references less `l1_misses`. These relations
/// always hold:
///
/// ```text
///   with an L2      l1_misses = l2_hits + l2_misses     walks = l2_misses
///   without         l2_hits = l2_misses = 0             walks = l1_misses
///   without a TLB   l1_misses = 0                       walks = references
///   faults ≤ walks      rewalks ≤ walks
/// ```
///
/// Where software loads the TLB, a walk is what its handlers do for one access: from the first
/// exception until the access succeeds, or is known to be a page fault. Their loads of page-table
/// entries are `walk_reads`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MmuCounters {
    /// Accesses that the first level could not serve; of perf's names, `fetches` are the L1
    /// iTLB misses, `loads` and `stores` those of the L1 dTLB.
    pub l1_misses: KindCounts,
    /// Those of them that the second level served (perf on Intel: `*_misses.stlb_hit`).
    pub l2_hits: KindCounts,
    /// Those that it did not.
    pub l2_misses: KindCounts,
    /// Walks of the page table (perf: `iTLB-load-misses`, `dTLB-load-misses`,
    /// `dTLB-store-misses`), with those that ended in a fault.
    pub walks: KindCounts,
    /// Table entries that walks read from memory.
    pub walk_reads: u64,
    /// Table entries that walks wrote, to set accessed and dirty bits.
    pub walk_writes: u64,
    /// Walks although the TLB had an entry, because it did not allow the access or its dirty bit
    /// was clear and the access a store.
    pub rewalks: u64,
    /// Walks that ended in a fault.
    pub faults: u64,
    /// Walks that began at a table that the walk cache knew, by the level of the table: those at
    /// index 0 read entries of level 0 alone (unless a fault had them made again).
    pub walk_cache_hits: [u64; LEVELS],
    /// Exceptions, where software loads the TLB.
    pub exceptions: TlbExceptions,
    /// Loads of the root register.
    pub root_loads: u64,
    /// Invalidations of everything.
    pub flushes_all: u64,
    /// Invalidations of all entries that are not global, those by a load of the root included.
    pub flushes_non_global: u64,
    /// Invalidations of an address space.
    pub flushes_asid: u64,
    /// Invalidations of a page.
    pub flushes_page: u64,
    /// Entries, of both levels, that invalidations dropped.
    pub entries_flushed: u64,
}

impl Add for MmuCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let levels = |n: usize| self.walk_cache_hits[n] + other.walk_cache_hits[n];
        Self {
            l1_misses: self.l1_misses + other.l1_misses,
            l2_hits: self.l2_hits + other.l2_hits,
            l2_misses: self.l2_misses + other.l2_misses,
            walks: self.walks + other.walks,
            walk_reads: self.walk_reads + other.walk_reads,
            walk_writes: self.walk_writes + other.walk_writes,
            rewalks: self.rewalks + other.rewalks,
            faults: self.faults + other.faults,
            walk_cache_hits: array::from_fn(levels),
            exceptions: self.exceptions + other.exceptions,
            root_loads: self.root_loads + other.root_loads,
            flushes_all: self.flushes_all + other.flushes_all,
            flushes_non_global: self.flushes_non_global + other.flushes_non_global,
            flushes_asid: self.flushes_asid + other.flushes_asid,
            flushes_page: self.flushes_page + other.flushes_page,
            entries_flushed: self.entries_flushed + other.entries_flushed,
        }
    }
}

/// The counters of several MMUs together.
impl Sum for MmuCounters {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), Add::add)
    }
}
