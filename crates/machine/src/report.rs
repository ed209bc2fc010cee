//! What a run was and did: the data behind every report, text or JSON.
//!
//! Counters carry the names that users know: those of `/proc/vmstat` and of perf. Each figure is
//! defined once, here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// The version of the JSON schema; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// A complete report.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The machine that it ran on.
    pub machine: MachineReport,
    /// How it ended.
    pub exit: ExitReport,
    /// Instructions retired.
    pub instructions: u64,
    /// Cycles of the virtual clock; the sum of `cycle_parts`.
    pub cycles: u64,
    /// Virtual time in nanoseconds.
    pub time_ns: u64,
    /// Where the cycles went.
    pub cycle_parts: CycleParts,
    /// Memory references that the program made, by the hart's count.
    pub references: References,
    /// The TLB, level by level.
    pub tlb: TlbReport,
    /// Page-table walks.
    pub walks: WalkReport,
    /// What each hart did, by its number; empty on a machine of one.
    pub harts: Vec<HartReport>,
    /// The data caches, first level first; empty without.
    pub caches: Vec<CacheLevelReport>,
    /// Exceptions of the TLB, if software loads it.
    pub refills: Option<RefillReport>,
    /// Processes and threads, if there was more than one.
    pub processes: Option<ProcessReport>,
    /// The kernel's own references, if they are modelled.
    pub kernel: Option<KernelReport>,
    /// Page faults.
    pub faults: FaultReport,
    /// Memory.
    pub memory: MemoryReport,
    /// Page tables that processes share; null without `--share-tables`.
    pub shared_tables: Option<SharedTableReport>,
    /// Segments, on a machine that has them.
    pub segments: Option<SegmentReport>,
    /// Page replacement; null without pages.
    pub replacement: Option<ReplacementReport>,
    /// How long threads waited for memory; null where harts wait for devices.
    pub pressure: Option<PressureReport>,
    /// Swap.
    pub swap: SwapReport,
    /// Files.
    pub files: FileReport,
    /// How far the replacement policy was from OPT, if that was asked for.
    pub opt: Option<OptReport>,
    /// Whether the policy OPT knew the future, where it is the policy.
    pub foresight: Option<ForesightReport>,
    /// System calls made, by name.
    pub syscalls: BTreeMap<String, u64>,
    /// Counters by the names of `/proc/vmstat` and perf.
    pub counters: BTreeMap<String, u64>,
}

/// What page replacement did, in pages.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ReplacementReport {
    /// The policy with its parameters, as `--policy` takes it.
    pub policy: String,
    /// Whose pages are taken: `global` (anybody's) or `process` (those of the process that faults).
    pub scope: String,
    /// The most pages that each process may have in memory; null if that was not bounded.
    pub resident_limit: Option<u64>,
    /// The most pages that all processes together may have in memory and in page tables; null if that
    /// was not bounded.
    pub group_limit: Option<u64>,
    /// Pages that processes gave up because all of them together were at that limit.
    pub group_steals: u64,
    /// Pages that processes gave up for their own faults, at their limit or at their share of memory.
    pub own_steals: u64,
    /// Frames looked at because a frame was wanted.
    pub scans: u64,
    /// Frames looked at by the periodic harvest of referenced bits, or in search of pages that left
    /// the working set.
    pub harvests: u64,
    /// Looks of both kinds that found a page referenced.
    pub referenced: u64,
    /// Frames freed because one was wanted.
    pub steals: u64,
    /// Pages given up because they left the working set.
    pub given_up: u64,
    /// Pages written ahead of need, and kept.
    pub launders: u64,
    /// Private and shared pages that came back from swap.
    pub refaults_anon: u64,
    /// Pages of files that were evicted and read again; the last evictions are remembered, as many as
    /// there are frames.
    pub refaults_file: u64,
    /// Pages evicted between a page's eviction and its coming back, on average; null if none came
    /// back.
    pub refault_distance: Option<f64>,
    /// Pages that the policy found worth keeping longer (Linux: pgactivate); null for a policy that
    /// knows no such states.
    pub activations: Option<u64>,
    /// Pages that it no longer did (Linux: pgdeactivate).
    pub deactivations: Option<u64>,
}

/// The policy's faults beside those of OPT, on the page references that were made: a fault is a
/// reference to a page that was brought into memory since it was referenced last.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OptReport {
    /// Page references, repeats of the page before not counted.
    pub references: u64,
    /// Those of them that were kept: without the others LRU and OPT fault as often.
    pub references_kept: u64,
    /// After how many references the recording was as long as it can be; all figures are of those
    /// before. Absent if it was not.
    pub cut_at: Option<u64>,
    /// Different pages.
    pub pages: u64,
    /// Frames that OPT has at most: as many as ever held pages at one time.
    pub frames: u64,
    /// Frames that OPT has at least: it never has those that hold page tables just then.
    pub frames_least: u64,
    /// Faults at the first reference of a page, which no policy avoids.
    pub cold_faults: u64,
    /// The policy's faults on pages that had been evicted.
    pub refaults: u64,
    /// The policy's faults: both together.
    pub faults: u64,
    /// Faults of OPT on pages that it evicted.
    pub opt_refaults: u64,
    /// Faults of OPT.
    pub opt_faults: u64,
    /// The policy's faults divided by those of OPT; never below 1.
    pub gap: f64,
}

/// Whether a second run was as the first, which had told it the future.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForesightReport {
    /// Page references of this run, repeats of the page before not counted.
    pub references: u64,
    /// The number of the first reference that was another than in the first run, from which on OPT
    /// was LRU; absent if there was none.
    pub apart_at: Option<u64>,
    /// Why, if not because the program did something else.
    pub reason: Option<String>,
}

/// Processes, threads, and the memory that they share.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ProcessReport {
    /// Processes that ever were, the first included.
    pub processes: u64,
    /// Threads that ever were, the first of each process included.
    pub threads: u64,
    /// Threads alive at one time, at most.
    pub peak_threads: u64,
    /// Programs that processes went on as.
    pub execs: u64,
    /// How often a hart was given another thread than before.
    pub context_switches: u64,
    /// Address spaces copied by fork.
    pub forks: u64,
    /// Pages and swapped pages that they had in common after their forks.
    pub fork_shared: u64,
    /// Copies that stores made of private pages, shared or of files.
    pub copied: u64,
    /// Stores to shared pages that needed no copy: all others had gone, or made their own.
    pub copies_avoided: u64,
    /// Frames mapped more than once at one time, at most.
    pub peak_shared_frames: u64,
    /// Frames mapped more than once at the end.
    pub shared_frames: u64,
    /// Files and memory objects of which several processes mapped the same pages, those that saved
    /// most first.
    pub mapped_files: Vec<MappedFileReport>,
}

/// A file whose pages were in memory once for several processes, at the moment when that saved most,
/// as far as the ends of processes show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MappedFileReport {
    /// Where the guest saw it; empty for memory that has no path.
    pub path: String,
    /// Frames that held pages of it.
    pub pages: u64,
    /// Mappings of these, in all processes.
    pub mappings: u64,
    /// Pages that would have been needed beside these, had each mapping had its own.
    pub pages_saved: u64,
}

/// The kernel's own references, which the TLB's look-ups include.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct KernelReport {
    /// `shared` or `separate`.
    pub mapping: String,
    /// The address at which it sees physical address 0.
    pub base: u64,
    /// Frames of the tables that map it.
    pub page_tables: u64,
    /// Times that it was entered.
    pub entries: u64,
    /// References that it made.
    pub references: References,
    /// Those of them that the first level of the TLB could not serve.
    pub tlb_misses: u64,
    /// Loads of the root register on the way in and out.
    pub root_loads: u64,
    /// TLB entries that these loads dropped.
    pub entries_flushed: u64,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct MachineReport {
    /// The real machine that it stands for, by its name.
    pub name: Option<String>,
    /// The page-table format, or what is there in its place.
    pub mmu: String,
    /// Base page size in bytes; without pages, the unit of the memory calls.
    pub page_bytes: u64,
    /// Levels of the page table; 0 without pages.
    pub levels: u8,
    /// Harts, each with an MMU of its own.
    pub harts: u32,
    /// RAM in bytes.
    pub ram_bytes: u64,
    /// Swap space in bytes.
    pub swap_bytes: u64,
    /// The TLB's geometry, as `--tlb` takes it.
    pub tlb: String,
    /// The walk cache's geometry, as `--walk-cache` takes it.
    pub walk_cache: String,
    /// The data caches' geometry, as `--cache` takes it.
    pub cache: String,
    /// The replacement policy; `none` without pages.
    pub policy: String,
    /// What large pages are used for: `never`, `always` or `madvise`.
    pub huge: String,
    /// Size of a large page in bytes; absent if the machine has none or they are not used.
    pub huge_page_bytes: Option<u64>,
    /// Which free block a request gets, without pages.
    pub fit: Option<String>,
    /// The seed of all randomness.
    pub seed: u64,
    /// Whether the plain path ran (`--slow`).
    pub slow: bool,
}

/// What one hart of several did.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HartReport {
    /// Instructions retired.
    pub instructions: u64,
    /// Cycles of its clock.
    pub cycles: u64,
    /// Memory references that programs made on it.
    pub references: References,
    /// The first level of its TLB, both sides together; absent without a TLB.
    pub tlb: Option<TlbLevel>,
    /// Its page-table walks.
    pub walks: u64,
    /// Times that it went from one thread to another.
    pub context_switches: u64,
    /// Those of them that went from one address space to another.
    pub space_switches: u64,
    /// TLB shoot-downs that it asked others for.
    pub shootdowns_sent: u64,
    /// TLB shoot-downs that others asked it for, each an interrupt.
    pub shootdowns_received: u64,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExitReport {
    /// The exit status as a shell shows it: 128 + signal if killed by one.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<String>,
    /// Why, in a sentence, if it did not exit by itself.
    pub reason: Option<String>,
}

/// Cycles by where they went; each part is a sum of counts times costs of the cost model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CycleParts {
    /// Instructions.
    pub compute: u64,
    /// First-level TLB misses that the second level served, loads of the root register, and TLB
    /// shoot-downs.
    pub tlb: u64,
    /// Page-table entries that walks read and wrote.
    pub walks: u64,
    /// Loads and stores that the first level of the caches did not serve.
    pub caches: u64,
    /// The handlers of a TLB that software loads, but for the entries that they read.
    pub refills: u64,
    /// Page faults: traps, the handler, zeroing and copying of frames.
    pub faults: u64,
    /// System calls and the bytes that they copied.
    pub syscalls: u64,
    /// Reclaim: scans and TLB invalidations.
    pub reclaim: u64,
    /// Waiting for swap and file transfers.
    pub disk: u64,
    /// Time slept by request.
    pub idle: u64,
}

impl CycleParts {
    /// Cycles in which the processor worked: all but waiting for devices and sleeping.
    pub const fn working(&self) -> u64 {
        self.total().saturating_sub(self.disk).saturating_sub(self.idle)
    }

    /// The sum of all parts.
    pub const fn total(&self) -> u64 {
        self.compute
            .saturating_add(self.tlb)
            .saturating_add(self.walks)
            .saturating_add(self.caches)
            .saturating_add(self.refills)
            .saturating_add(self.faults)
            .saturating_add(self.syscalls)
            .saturating_add(self.reclaim)
            .saturating_add(self.disk)
            .saturating_add(self.idle)
    }

    /// The parts of both, combined one by one.
    pub(crate) fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            compute: combine(self.compute, other.compute),
            tlb: combine(self.tlb, other.tlb),
            walks: combine(self.walks, other.walks),
            caches: combine(self.caches, other.caches),
            refills: combine(self.refills, other.refills),
            faults: combine(self.faults, other.faults),
            syscalls: combine(self.syscalls, other.syscalls),
            reclaim: combine(self.reclaim, other.reclaim),
            disk: combine(self.disk, other.disk),
            idle: combine(self.idle, other.idle),
        }
    }
}

/// References by kind. An access that crosses into a second page makes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct References {
    /// Instruction fetches.
    pub fetches: u64,
    /// Loads.
    pub loads: u64,
    /// Stores and read-modify-writes.
    pub stores: u64,
}

/// The TLB. Levels that the machine has not are absent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TlbReport {
    /// First level, instruction side.
    pub l1i: Option<TlbLevel>,
    /// First level, data side.
    pub l1d: Option<TlbLevel>,
    /// First level, if both sides share it.
    pub l1: Option<TlbLevel>,
    /// Second level, instruction side.
    pub l2i: Option<TlbLevel>,
    /// Second level, data side.
    pub l2d: Option<TlbLevel>,
    /// Second level, if both sides share it.
    pub l2: Option<TlbLevel>,
    /// Invalidations, of whatever extent.
    pub flushes: u64,
    /// Entries that they dropped.
    pub entries_flushed: u64,
    /// Switches of a hart from one address space to another.
    pub space_switches: u64,
    /// Those of the entries flushed that loads of the root register dropped: without tags all that
    /// were there.
    pub entries_flushed_by_switches: u64,
    /// Page-table references per program reference, plus the reference itself: what text books call
    /// the average number of memory references per access.
    pub references_per_access: f64,
}

/// One level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct TlbLevel {
    /// Look-ups.
    pub lookups: u64,
    /// Look-ups that found a usable entry.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Misses divided by look-ups; 0 without look-ups.
    pub miss_ratio: f64,
}

/// Page-table walks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct WalkReport {
    /// Walks, with those that ended in a fault.
    pub walks: u64,
    /// Entries read from memory.
    pub reads: u64,
    /// Entries written, to set accessed and dirty bits.
    pub writes: u64,
    /// Walks although the TLB had an entry: it did not allow the access, or was not dirty.
    pub rewalks: u64,
    /// Entries read and written, divided by walks; 0 without walks.
    pub references_per_walk: f64,
    /// Cycles of walks (`cycle_parts.walks`) divided by walks; 0 without walks.
    pub cycles_per_walk: f64,
    /// The walk cache, if there is one.
    pub cache: Option<WalkCacheReport>,
}

/// The cache of pointers to page tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WalkCacheReport {
    /// Walks that started at an entry of the cache, by the entry's level: after one of level 1
    /// (x86: PDE) only the page's own entry is left to read.
    pub hits: BTreeMap<u8, u64>,
    /// Walks that started at the root.
    pub misses: u64,
}

/// One level of the data caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CacheLevelReport {
    /// Look-ups for loads and stores; one that crosses into a second line makes two.
    pub data: CacheLookups,
    /// Look-ups for walks.
    pub walks: CacheLookups,
    /// Dirty lines that it handed down.
    pub writebacks: u64,
}

/// Look-ups of one level of the data caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CacheLookups {
    /// Look-ups.
    pub lookups: u64,
    /// Look-ups that found the line.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Misses divided by look-ups; 0 without look-ups.
    pub miss_ratio: f64,
}

/// Exceptions of a TLB that software loads, by vector and by what the handler found. One reference
/// can raise several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefillReport {
    /// The refill vector: no entry (R3000: UTLB misses, in kuseg).
    pub refill: u64,
    /// The general vector: no entry for the page table's own page, met by the refill handler
    /// (R3000: misses in kseg2).
    pub kernel_refill: u64,
    /// The general vector: the entry is not valid, or gives no right to the access.
    pub invalid: u64,
    /// The general vector: a store, and the entry's dirty bit is clear.
    pub modified: u64,
    /// The general vector: an address that user mode may not use.
    pub address: u64,
}

/// Page faults by how they were resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FaultReport {
    /// Without waiting for a device.
    pub minor: u64,
    /// With a read from swap or from a file.
    pub major: u64,
    /// By cause: `zero-fill`, `file`, `swap-in`, `copy-on-write` …
    pub by_cause: BTreeMap<String, u64>,
}

/// Memory, in frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemoryReport {
    /// Frames of RAM.
    pub frames: u64,
    /// The most that were in use at once.
    pub peak_used: u64,
    /// The most that the program had mapped at once.
    pub peak_resident: u64,
    /// Mapped by the program at the end: anonymous.
    pub anon: u64,
    /// Those of `anon` that large pages map (AnonHugePages).
    pub anon_huge: u64,
    /// The most that large pages mapped at once.
    pub peak_anon_huge: u64,
    /// Mapped by the program at the end: pages of files.
    pub file: u64,
    /// Pages of files held in the page cache at the end, mapped or not.
    pub page_cache: u64,
    /// Frames of page tables at the end.
    pub page_tables: u64,
    /// The most frames of page tables at once.
    pub peak_page_tables: u64,
    /// Free at the end.
    pub free: u64,
    /// Processes that were ended for lack of memory, in order: the first 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub oom_kills: Vec<OomKillReport>,
}

/// A process that was ended for lack of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OomKillReport {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// How bad it was, in pages: what it held in memory, on swap and in page tables, and what its
    /// `oom_score_adj` adds. `null` if no process was chosen.
    pub badness: Option<i64>,
    /// Its `oom_score_adj`, thousandths of RAM and swap.
    pub oom_score_adj: i16,
    /// What was short, and what it held.
    pub reason: String,
}

/// Segments at the end, and what was done to have them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct SegmentReport {
    /// What is loaded, lowest addresses first: runs of descriptors that continue each other, the
    /// pair of bounds, runs of memory in use, or IA-32's code and data segments.
    pub table: Vec<SegmentRow>,
    /// Descriptors that the hardware has; 0 where they are not numbered.
    pub descriptors: u64,
    /// The most of them in use at once; where they are not numbered, the most rows.
    pub peak_used: u64,
    /// Memory, on machines whose segments lie in memory as they are.
    pub blocks: Option<BlockReport>,
}

/// One segment, or a run of them that lies in one block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentRow {
    /// The first segment's number, or the register.
    pub name: String,
    /// How many descriptors.
    pub descriptors: u64,
    /// The first address.
    pub start: u64,
    /// Bytes that can be accessed.
    pub bytes: u64,
    /// Where they lie: a physical address; before paging, a linear one.
    pub at: u64,
    /// What some of it allows: `rwx`.
    pub rights: String,
    /// Grows downwards.
    pub grows_down: bool,
}

/// Physical memory as a list of blocks, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct BlockReport {
    /// Memory for programs.
    pub total: u64,
    /// Free memory.
    pub free: u64,
    /// The largest free block.
    pub largest_free: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// External fragmentation: the part of free memory that is not in the largest free block; 0 if
    /// nothing is free.
    pub fragmentation: f64,
    /// Memory in use that no mapping needs: internal fragmentation.
    pub wasted: u64,
    /// Blocks moved.
    pub moves: u64,
    /// Bytes that moves copied.
    pub bytes_moved: u64,
    /// Compactions: free memory sufficed, but not in one block.
    pub compactions: u64,
    /// Requests refused because memory did not suffice.
    pub refused_memory: u64,
    /// Requests refused because segments, or addresses, did not suffice.
    pub refused_segments: u64,
}

/// Page tables that processes share, and what that saves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedTableReport {
    /// Which are shared: `fork`, `maps` or `all`.
    pub which: String,
    /// References to tables that other processes had.
    pub shared: u64,
    /// Entries of these tables that forks would have copied.
    pub entries_not_copied: u64,
    /// Entries of tables of shared mappings that a process found filled in: as many minor faults it
    /// can no longer need, at most.
    pub faults_saved: u64,
    /// Shared tables that were copied after all, because one process was to change them alone.
    pub copied: u64,
    /// Entries copied then.
    pub entries_copied: u64,
    /// Frames that tables of their own would take beside the shared ones, at the end.
    pub frames_saved: u64,
    /// The same at its most.
    pub peak_frames_saved: u64,
    /// Cycles by the cost model that all this saves, at most, less what the copies took: an entry is
    /// one read and one write of a walk, a table a frame zeroed, a fault a trap and its handler. It
    /// is no part of `cycles`, which no copied entry takes any.
    pub cycles_saved: i64,
}

/// How long threads waited for pages and for memory (Linux: pressure stall information), and what was
/// done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PressureReport {
    /// Cycles in which some thread waited.
    pub some_cycles: u64,
    /// Those of them in which no hart ran anything.
    pub full_cycles: u64,
    /// Processes swapped out.
    pub swapped_out: u64,
    /// Processes swapped in again.
    pub swapped_in: u64,
}

/// Swap traffic, in pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct SwapReport {
    /// Slots on the device.
    pub slots: u64,
    /// Slots in use at the end.
    pub used: u64,
    /// The most slots in use at once.
    pub peak_used: u64,
    /// Pages read.
    pub pages_in: u64,
    /// Pages written.
    pub pages_out: u64,
    /// Faults that found their page in memory, in the swap cache: another process had read it.
    pub cache_hits: u64,
    /// Slots reserved for pages that one process evicted while others had them still.
    pub shared_slots: u64,
    /// Evictions by one process that wrote nothing, because others had the page still.
    pub writes_saved: u64,
    /// Transfers that failed.
    pub errors: u64,
    /// The devices, in the order of their slots; empty if there is one without priority and model.
    pub devices: Vec<SwapDeviceReport>,
    /// Reading ahead; null if it was not asked for.
    pub read_ahead: Option<ReadAheadReport>,
    /// Compressed pages in RAM, before the devices; null if they were not asked for.
    pub zswap: Option<ZswapReport>,
}

/// A swap device, in pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct SwapDeviceReport {
    /// Its name in the guest's /dev.
    pub name: String,
    /// What it is on: a file, `temporary file` or `memory`.
    pub on: String,
    /// The higher, the earlier it is filled.
    pub priority: i32,
    /// How long its transfers take: `hdd`, `ssd`, `nvme` or `ram`; null for the cost model's figures.
    pub model: Option<String>,
    /// Its slots.
    pub slots: u64,
    /// Those in use at the end.
    pub used: u64,
    /// Pages read from it.
    pub pages_in: u64,
    /// Pages written to it.
    pub pages_out: u64,
    /// Transfers that failed.
    pub errors: u64,
    /// Nanoseconds that it was busy.
    pub busy_ns: u64,
}

/// Pages read from swap ahead of need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ReadAheadReport {
    /// The largest window in slots.
    pub window_max: u32,
    /// Pages read ahead (`swap_ra`).
    pub pages: u64,
    /// Those that were wanted then (`swap_ra_hit`).
    pub hits: u64,
    /// Hits per page read ahead.
    pub hit_ratio: f64,
}

/// Compressed pages in RAM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ZswapReport {
    /// `lz4` or `zstd`.
    pub compressor: String,
    /// RAM that it has, in bytes.
    pub capacity_bytes: u64,
    /// The most that its pages took of it.
    pub peak_bytes: u64,
    /// What they take at the end.
    pub used_bytes: u64,
    /// Pages in it at the end.
    pub pages: u64,
    /// Pages brought back from it (`zswpin`).
    pub pages_in: u64,
    /// Pages put into it (`zswpout`).
    pub pages_out: u64,
    /// Pages written from it to their devices for want of room (`zswpwb`).
    pub written_back: u64,
    /// Pages put into it that were one word over and over, which take no memory.
    pub same_filled: u64,
    /// Pages that compression made no smaller, and that went to their devices.
    pub rejected: u64,
    /// Bytes of the pages compressed into it per byte that they took.
    pub compression_ratio: f64,
}

/// File traffic by page faults and write-back, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileReport {
    /// Pages read into the page cache.
    pub pages_in: u64,
    /// Pages written back.
    pub pages_out: u64,
    /// Transfers that failed.
    pub errors: u64,
}
