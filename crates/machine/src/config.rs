//! What a machine is made of.

use std::path::PathBuf;

use pagewalk_kernel::{Fit, HugePolicy, KernelMapping};
use pagewalk_mmu::WalkCacheConfig;
use pagewalk_mmu::cache::CacheConfig;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_replacement::PolicyKind;

use crate::cost::CostModel;
use crate::hardware::Hardware;

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
    /// The swap device. Without pages there is none.
    pub swap: SwapConfig,
    /// Page replacement.
    pub policy: PolicyKind,
    /// What large pages are used for.
    pub huge: HugePolicy,
    /// Where the kernel's own memory is mapped.
    pub kernel: KernelMapping,
    /// The top table of each space maps itself.
    pub self_map: bool,
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

/// The swap device's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapConfig {
    /// No swap.
    None,
    /// An unnamed temporary file of this many bytes, grown as it is used.
    Temporary {
        /// Its size in bytes; rounded down to whole pages.
        bytes: u64,
    },
    /// A named file: made if absent, refused if it is something else than a swap file.
    File {
        /// Where.
        path: PathBuf,
        /// Its size in bytes; rounded down to whole pages.
        bytes: u64,
    },
}

impl SwapConfig {
    /// The size in bytes.
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Temporary { bytes } | Self::File { bytes, .. } => *bytes,
        }
    }
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
