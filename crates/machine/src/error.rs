//! Why a machine cannot be built.

use thiserror::Error;

/// Why a machine cannot be built; one line that says what would work.
#[derive(Debug, Error)]
pub enum MachineError {
    /// RAM is too small or too large.
    #[error("--ram: {0}")]
    Ram(String),
    /// There cannot be so many harts.
    #[error("--harts: {0}")]
    Harts(String),
    /// The hardware has no such TLB.
    #[error("--tlb: {0}")]
    Tlb(String),
    /// The hardware has no place for the kernel's own memory.
    #[error("--kernel: {0}")]
    Kernel(String),
    /// The page tables cannot map themselves.
    #[error("--self-map: {0}")]
    SelfMap(String),
    /// The page tables can have no such walk cache.
    #[error("--walk-cache: {0}")]
    WalkCache(#[from] pagewalk_mmu::WalkCacheError),
    /// The swap device cannot be used. The text names the option.
    #[error("{0}")]
    Swap(String),
    /// The guest's root directory, or its sysroot, cannot be opened.
    #[error("--{option} {path}: {source}")]
    Root {
        /// The option that names it.
        option: &'static str,
        /// The directory.
        path: String,
        /// The host's reason.
        source: std::io::Error,
    },
    /// The program's file cannot be opened.
    #[error("{path}: {source}")]
    Program {
        /// The file.
        path: String,
        /// The host's reason.
        source: std::io::Error,
    },
    /// The program cannot be loaded.
    #[error(transparent)]
    Load(#[from] pagewalk_linux::LoadError),
}
