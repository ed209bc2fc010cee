//! What a machine is made of.

use std::path::PathBuf;

use pagewalk_kernel::{DeviceWait, Fit, HugePolicy, KernelMapping, Scope, ShareTables};
use pagewalk_mmu::WalkCacheConfig;
use pagewalk_mmu::cache::CacheConfig;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_replacement::PolicyKind;

use crate::cost::CostModel;
use crate::device_model::DeviceModel;
use crate::hardware::Hardware;
use crate::zswap::ZswapConfig;

/// The smallest RAM that can be asked for; whether a program starts in it is another matter.
pub const RAM_BYTES_MIN: u64 = 64 << 10;

/// The largest RAM that can be asked for: one TiB.
pub const RAM_BYTES_MAX: u64 = 1 << 40;

/// A machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the real machine that it stands for.
    pub name: Option<String>,
    /// What translates addresses.
    pub hardware: Hardware,
    /// The TLB; `None` for a machine that walks at every reference. Without pages there is none.
    pub tlb: Option<TlbConfig>,
    /// The cache of pointers to page tables; `None` for walks that all start at the root.
    pub walk_cache: Option<WalkCacheConfig>,
    /// The data caches; `None` for a flat memory.
    pub cache: Option<CacheConfig>,
    /// Harts, each with an MMU of its own: from 1 to [`HARTS_MAX`](crate::HARTS_MAX). Without pages
    /// there is one.
    pub harts: u32,
    /// RAM in bytes; rounded down to whole frames.
    pub ram_bytes: u64,
    /// The swap devices, at most [`SWAP_DEVICES_MAX`](pagewalk_kernel::SWAP_DEVICES_MAX). Without
    /// pages there is none.
    pub swap: Vec<SwapConfig>,
    /// A store of compressed pages before the swap devices. Without swap there is none.
    pub zswap: Option<ZswapConfig>,
    /// How many slots in a row are read from swap together at most: a power of two up to
    /// [`READ_AHEAD_MAX`](pagewalk_kernel::READ_AHEAD_MAX). Up to 1, nothing is read ahead.
    pub read_ahead: u32,
    /// Page replacement.
    pub policy: PolicyKind,
    /// Whose pages are taken when memory is short.
    pub scope: Scope,
    /// The most pages that each process has in memory, at least
    /// [`RESIDENT_MIN`](pagewalk_kernel::RESIDENT_MIN).
    pub resident: Option<u64>,
    /// The most pages that all processes together have in memory, their page tables counted: they
    /// are one group.
    pub limit: Option<u64>,
    /// How often referenced bits are harvested: every so many cycles of work for each frame of RAM.
    pub harvest: u64,
    /// Free frames are zeroed while a hart has nothing else to do.
    pub zero_ahead: bool,
    /// Modified pages are written ahead of need while the swap devices have nothing to do; where
    /// threads wait for devices.
    pub launder_ahead: bool,
    /// What large pages are used for.
    pub huge: HugePolicy,
    /// Which page tables processes share.
    pub share_tables: ShareTables,
    /// Where the kernel's own memory is mapped.
    pub kernel: KernelMapping,
    /// The top table of each space maps itself.
    pub self_map: bool,
    /// Who waits for devices.
    pub device_wait: DeviceWait,
    /// Swap whole processes out when memory is too small for all; where threads wait for devices.
    pub load_control: bool,
    /// Which free block a request gets, without pages.
    pub fit: Fit,
    /// What everything takes.
    pub cost: CostModel,
    /// The seed of all randomness.
    pub seed: u64,
    /// Run the plain path: no decoded blocks, no host pointers. The report is the same.
    pub slow: bool,
    /// Stop after so many instructions.
    pub instructions_max: Option<u64>,
}

/// A swap device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapConfig {
    /// What it keeps its pages on.
    pub store: SwapStore,
    /// Its size in bytes; rounded down to whole pages.
    pub bytes: u64,
    /// The device with the highest priority is filled first, those of one priority take turns.
    /// `None` is below all priorities that can be given, and below the devices before it.
    pub priority: Option<u16>,
    /// How long its transfers take; `None` for what the cost model says of swap transfers.
    pub model: Option<DeviceModel>,
}

impl SwapConfig {
    /// A temporary file of so many bytes, without priority or model.
    pub const fn temporary(bytes: u64) -> Self {
        Self { store: SwapStore::Temporary, bytes, priority: None, model: None }
    }
}

/// What a swap device keeps its pages on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapStore {
    /// An unnamed temporary file, grown as it is used.
    Temporary,
    /// A named file: made if absent, refused if it is something else than a swap file.
    File(PathBuf),
    /// Memory of the host's, beside the machine's RAM.
    Ram,
}

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable on the host.
    pub path: PathBuf,
    /// Its arguments, the program's name first.
    pub args: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The host directory that is the guest's root; without one the guest has no files.
    pub root: Option<PathBuf>,
    /// The host directory below which the guest finds, to read, what its root does not have.
    pub sysroot: Option<PathBuf>,
}
