//! The cost model: what everything takes, in processor cycles.
//!
//! The defaults are round numbers of a processor of 1 GHz with an NVMe-like swap device. They are
//! a model's, not a measurement's: change them with `--cost FILE`, a TOML file that sets some of
//! the keys below.
//!
//! ```text
//!   cycles = compute  (instructions × instruction)
//!          + tlb      (L2 hits × tlb_l2_hit + root loads × root_load
//!                      + shoot-downs × shootdown_send, shootdown_receive)
//!          + walks    (entries read × walk_read + entries written × walk_write; with caches, for
//!                      each entry what the level that served it takes: cache_l1 … cache_memory)
//!          + caches   (loads and stores that the first level did not serve × cache_l2 …)
//!          + refills  (refill exceptions × tlb_refill + other TLB exceptions × tlb_general)
//!          + faults   (traps × trap + faults × fault + frames × zero_frame, copy_frame …)
//!          + syscalls (system calls × syscall + bytes copied × copy_byte)
//!          + reclaim  (pages scanned × scan_page + flushes × flush + bytes compressed …)
//!          + disk     (transfers × latency + bytes × per byte)
//!          + idle     (time slept)
//! ```

use pagewalk_kernel::refill::{GENERAL_INSTRUCTIONS, REFILL_INSTRUCTIONS};
use pagewalk_mmu::PageSize;
use pagewalk_mmu::cache::LEVELS_MAX;
use serde::{Deserialize, Serialize};

/// Costs in cycles, unless the name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CostModel {
    /// The processor's clock: cycles in a microsecond.
    pub clock_mhz: u64,
    /// One instruction that hits everywhere.
    pub instruction: u64,
    /// A first-level TLB miss that the second level serves.
    pub tlb_l2_hit: u64,
    /// One page-table entry read by a walk.
    pub walk_read: u64,
    /// One page-table entry written by a walk (accessed and dirty bits).
    pub walk_write: u64,
    /// A load of the root register: at a switch to another program's space, or on the way into a
    /// kernel with a space of its own and out of it.
    pub root_load: u64,
    /// A TLB shoot-down for the hart that asks for it: interrupting others and waiting for them.
    pub shootdown_send: u64,
    /// A TLB shoot-down for each hart that is interrupted by it: entry, invalidation, exit.
    pub shootdown_receive: u64,
    /// A page-table entry that the first level of the caches served. For loads and stores this is
    /// part of the instruction.
    pub cache_l1: u64,
    /// A reference that the second level of the caches served.
    pub cache_l2: u64,
    /// A reference that the third level of the caches served.
    pub cache_l3: u64,
    /// A reference that no cache served.
    pub cache_memory: u64,
    /// The refill handler of a TLB that software loads, but for the entries that it reads.
    pub tlb_refill: u64,
    /// The general handler, for a TLB exception that it serves or finds to be a page fault.
    pub tlb_general: u64,
    /// Entering and leaving the kernel for an exception.
    pub trap: u64,
    /// The page-fault handler itself.
    pub fault: u64,
    /// Zeroing a frame.
    pub zero_frame: u64,
    /// Copying a frame.
    pub copy_frame: u64,
    /// One system call, entry and exit included.
    pub syscall: u64,
    /// A thousand bytes copied between the kernel and the program.
    pub copy_kilobyte: u64,
    /// A page looked at by reclaim, or by the harvest of referenced bits.
    pub scan_page: u64,
    /// An invalidation of TLB entries.
    pub flush: u64,
    /// Latency of a swap transfer in nanoseconds.
    pub swap_latency_ns: u64,
    /// A thousand bytes of a swap transfer, in nanoseconds.
    pub swap_kilobyte_ns: u64,
    /// A thousand bytes compressed by LZ4 into zswap, in nanoseconds.
    pub lz4_compress_kilobyte_ns: u64,
    /// A thousand bytes decompressed, in nanoseconds.
    pub lz4_decompress_kilobyte_ns: u64,
    /// A thousand bytes compressed by Zstandard into zswap, in nanoseconds.
    pub zstd_compress_kilobyte_ns: u64,
    /// A thousand bytes decompressed, in nanoseconds.
    pub zstd_decompress_kilobyte_ns: u64,
    /// Latency of a file transfer in nanoseconds.
    pub file_latency_ns: u64,
    /// A thousand bytes of a file transfer, in nanoseconds.
    pub file_kilobyte_ns: u64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            clock_mhz: 1000,
            instruction: 1,
            tlb_l2_hit: 7,
            walk_read: 20,
            walk_write: 30,
            root_load: 100,
            shootdown_send: 1000,
            shootdown_receive: 500,
            cache_l1: 4,
            cache_l2: 14,
            cache_l3: 40,
            cache_memory: 100,
            tlb_refill: REFILL_INSTRUCTIONS,
            tlb_general: GENERAL_INSTRUCTIONS,
            trap: 200,
            fault: 500,
            zero_frame: 250,
            copy_frame: 500,
            syscall: 150,
            copy_kilobyte: 100,
            scan_page: 50,
            flush: 100,
            swap_latency_ns: 80_000,
            swap_kilobyte_ns: 400,
            lz4_compress_kilobyte_ns: 1282,
            lz4_decompress_kilobyte_ns: 201,
            zstd_compress_kilobyte_ns: 1942,
            zstd_decompress_kilobyte_ns: 725,
            file_latency_ns: 80_000,
            file_kilobyte_ns: 400,
        }
    }
}

/// The largest value of any cost: high enough for a tape robot, low enough that no sum of a run's
/// costs reaches the largest number, where sums stop.
const COST_MAX: u64 = 1_000_000_000_000;

impl CostModel {
    /// Nanoseconds of the transfer of a page from or to a file.
    pub(crate) const fn file_ns(&self, page: PageSize) -> u64 {
        let bytes_ns = page.bytes().saturating_mul(self.file_kilobyte_ns) / 1000;
        self.file_latency_ns.saturating_add(bytes_ns)
    }

    /// Reads a model from TOML; keys that are absent keep their defaults.
    ///
    /// # Errors
    /// What is wrong, with line and column where the syntax is.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let model: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        model.check()?;
        Ok(model)
    }

    fn check(&self) -> Result<(), String> {
        if self.clock_mhz == 0 || self.clock_mhz > 1_000_000 {
            return Err(format!("clock_mhz is {}: give 1 to 1000000", self.clock_mhz));
        }
        let value = serde_json::to_value(self).map_err(|e| e.to_string())?;
        for (key, value) in value.as_object().into_iter().flatten() {
            if value.as_u64().is_none_or(|cost| cost > COST_MAX) {
                return Err(format!("{key} is {value}: give at most {COST_MAX}"));
            }
        }
        Ok(())
    }

    /// What a reference takes that each level of the caches served, the first level first.
    pub(crate) const fn cache_levels(&self) -> [u64; LEVELS_MAX] {
        [self.cache_l1, self.cache_l2, self.cache_l3]
    }

    /// Cycles in a span of nanoseconds.
    pub const fn cycles(&self, ns: u64) -> u64 {
        // This is asked at every fault, and a division of 128 bits takes longer than the rest.
        match ns.checked_mul(self.clock_mhz) {
            Some(product) => product / 1000,
            None => clamp(ns as u128 * self.clock_mhz as u128 / 1000),
        }
    }

    /// The first cycle at which so many nanoseconds have passed.
    pub const fn cycles_until(&self, ns: u64) -> u64 {
        clamp((ns as u128 * self.clock_mhz as u128).div_ceil(1000))
    }

    /// Nanoseconds in a span of cycles.
    pub const fn nanoseconds(&self, cycles: u64) -> u64 {
        match cycles.checked_mul(1000) {
            Some(product) => product / self.clock_mhz,
            None => clamp(cycles as u128 * 1000 / self.clock_mhz as u128),
        }
    }
}

const fn clamp(value: u128) -> u64 {
    if value > u64::MAX as u128 { u64::MAX } else { value as u64 }
}

#[cfg(test)]
mod tests {
    use super::CostModel;

    #[test]
    fn absent_keys_keep_their_defaults() {
        let model = CostModel::from_toml("walk_read = 100\n").unwrap();
        assert_eq!(model, CostModel { walk_read: 100, ..CostModel::default() });
    }

    #[test]
    fn long_spans_are_as_exact_as_short_ones() {
        let exact = |value: u64, by: u64, over: u64| {
            let value = u128::from(value) * u128::from(by) / u128::from(over);
            u64::try_from(value).unwrap_or(u64::MAX)
        };
        for clock_mhz in [1, 7, 1000, 3300, 1_000_000] {
            let model = CostModel { clock_mhz, ..CostModel::default() };
            let edges = [u64::MAX / 1000, u64::MAX / clock_mhz];
            let around =
                edges.into_iter().flat_map(|edge| [edge - 1, edge, edge.saturating_add(1)]);
            for span in around.chain([0, 1, 999, 1001, u64::MAX]) {
                assert_eq!(model.cycles(span), exact(span, clock_mhz, 1000), "{span} ns");
                assert_eq!(model.nanoseconds(span), exact(span, 1000, clock_mhz), "{span} cycles");
            }
        }
    }

    #[test]
    fn errors_name_the_key() {
        assert!(CostModel::from_toml("walk_reed = 1").unwrap_err().contains("walk_reed"));
        assert!(CostModel::from_toml("clock_mhz = 0").unwrap_err().contains("clock_mhz"));
        assert!(CostModel::from_toml("trap = 2000000000000").unwrap_err().contains("trap"));
    }
}
