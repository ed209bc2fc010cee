//! Page-table formats, page walkers and TLBs of real machines, bit for bit.
//!
//! ```text
//!   access ──► Tlb ──hit──► physical address
//!                │miss
//!                ▼
//!             walk(format, memory, root, address)      one walker
//!                │              ▲
//!                ▼              │ index, decode, check, encode
//!          Translation     Radix: ia32, pae, x86_64, riscv, aarch64   one file per format
//! ```
//!
//! A *format* is data and small pure functions; the *walker* is shared; page tables live in the
//! simulated physical memory that the caller lends through [`TableMemory`], as the bits that the
//! real machine would read.
//!
//! Architecture invariants:
//! 1. Nothing here decides policy, logs, or knows an operating system.
//! 2. Every memory reference that the hardware would make is made through [`TableMemory`], once.
//! 3. A walk changes memory only to set accessed and dirty bits, and only after all checks passed.
//! 4. No bare integer crosses a module border: addresses, frames and pages have types.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod addr;
mod fault;
mod memory;
mod mmu;
mod observer;
mod tables;
mod translation;
mod walk_cache;

pub mod cache;
pub mod hashed;
pub mod r3000;
pub mod radix;
pub mod segment;
pub mod tlb;

pub use access::{Access, AccessKind, Privilege, Rights};
pub use addr::{Asid, Level, PageSize, Pfn, PhysAddr, VirtAddr, Vpn};
pub use fault::{ArchFault, Fault, FaultCause};
pub use memory::{EntryWidth, OutOfMemory, TableMemory};
pub use mmu::{Hit, KindCounts, Mmu, MmuCounters, Source, TlbExceptions};
pub use observer::{Probe, ProbeKind, Step, WalkObserver};
pub use tables::Tables;
pub use translation::Translation;
pub use walk_cache::{CachedPointer, WalkCache, WalkCacheConfig, WalkCacheError, WalkCacheReason};
