//! A virtual-memory kernel: frames, address spaces, faults, swap and page-out.
//!
//! ```text
//!                    mmap, brk, …          fault             copy_in, copy_out
//!                         │                  │                      │
//!     what is asked for   ▼                  ▼                      ▼
//!     ┌──────────────────────────────────────────────────────────────────┐
//!     │ Space: RegionSet ─────────── fault.rs ───────────── Pmap         │   one per program
//!     └─────────────────────────────────┬──────────────────────▲─────────┘
//!     what backs it now                 ▼                      │ evict
//!     ┌───────────┐  ┌────────────┐  ┌─────────┐  ┌────────────┴─────────┐
//!     │ PageCache │  │ FrameTable │  │ SwapMap │  │ pageout.rs ◄─ Policy │   one per machine
//!     └───────────┘  └────────────┘  └─────────┘  └──────────────────────┘
//!     ═══════════════════════ trait Platform: RAM, TLB, disks ═══════════
//! ```
//!
//! Architecture invariants:
//! 1. Nothing above [`Pmap`] assumes that memory is simulated, or knows a page-table format.
//! 2. What a program may do is in its regions, never read back from page-table entries.
//! 3. A fault reserves all frames that it can need, page tables included, before it looks at
//!    anything; from then on it evicts nothing and cannot run out. So no frame that a fault works
//!    on can be a victim; nor are the frames of the last four faults, so that the instruction that
//!    faulted finds all of its pages.
//! 4. No byte of a program is lost by an I/O error: a page whose write failed stays in memory.
//! 5. No clock, no random numbers, no order that depends on addresses of host memory.
//!
//! Execute protection is honoured as far as the format can express it: IA-32 tables have no such
//! bit, so there a program can execute what it can read, as on the real machine; and an
//! execute-only page can be read on all x86 formats. The *fault handler* always goes by the region.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod read_ahead;
pub mod refill;

mod advice;
mod aging;
mod any_pmap;
mod asid;
mod audit;
mod collapse;
mod commit;
mod compact;
mod copy;
mod counters;
mod cow;
mod errno;
mod event;
mod evict_from;
mod fault;
mod file;
mod fork;
mod frame;
mod group;
mod growth;
mod hashed_pmap;
mod huge;
mod identity;
mod inject;
mod kernel;
mod kernel_map;
mod khugepaged;
mod ksm;
mod launder;
mod launder_ahead;
mod limits;
mod lock;
mod mincore;
mod mmap;
mod names;
mod object;
mod oom;
mod page_cache;
mod pageout;
mod pages;
mod placement;
mod platform;
mod pmap;
mod populate;
mod radix_pmap;
mod region;
mod region_set;
mod remap;
mod remap_pages;
mod resident_set;
pub mod segments;
mod sharing;
mod smaps;
mod space;
mod swap;
mod swap_cache;
mod swap_off;
mod swap_out;
mod sync;
mod table_sharing;
mod transfer;
mod unmap;
mod watermarks;
mod zeroing;

pub use advice::Advice;
pub use any_pmap::AnyPmap;
pub use asid::AsidOwners;
pub use audit::AuditError;
pub use commit::{Commitment, OVERCOMMIT_RATIO, Overcommit};
pub use copy::CopyError;
pub use counters::Vmstat;
pub use errno::Errno;
pub use event::{Event, FaultCause, Store};
pub use evict_from::Evicted;
pub use fault::{FaultResult, SegvCode, Shortage, Signal};
pub use frame::{FrameSummary, FrameTable, Part, ReverseMapping, Sharer, Use};
pub use group::{GROUPS_MAX, Group, GroupId, GroupLimits, GroupUse};
pub use hashed_pmap::HashedPmap;
pub use huge::HugePolicy;
pub use kernel::{
    Config, ConfigError, FIRST_PRIORITY, HARVEST_DEFAULT, Kernel, KernelError,
    PAGES_PER_INSTRUCTION,
};
pub use kernel_map::{KernelMap, KernelMapping};
pub use khugepaged::{CollapseSettings, Khugepaged};
pub use ksm::{KsmStats, Merging};
pub use limits::{MemoryLimits, REGIONS_MAX, Refusals};
pub use lock::Lock;
pub use mmap::MapRequest;
pub use names::{NAME_BYTES_MAX, NameId};
pub use object::ObjectPages;
pub use oom::{OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN, OomKill};
pub use page_cache::PageCache;
pub use placement::Placement;
pub use platform::{CachedTable, CachedTranslation, FileId, Flush, IoError, Platform, SwapSlot};
pub use pmap::{
    FlushDebt, Flushed, Gather, Gathered, LargePage, Mapping, OnWrite, Pmap, Prot, Resident,
    TableInUse, TableShared, Unmapped,
};
pub use radix_pmap::RadixPmap;
pub use read_ahead::READ_AHEAD_MAX;
pub use region::{Backing, HugeAdvice, Region, RegionFlags, RegionName};
pub use region_set::{RegionSet, VmSizes};
pub use remap::Remap;
pub use resident_set::{RESIDENT_MIN, Scope};
pub use segments::{Fit, Geometry, SegmentKernel, SegmentPlatform};
pub use sharing::FileSharing;
pub use smaps::{Holdings, RegionUsage};
pub use space::{Layout, Residency, SpaceId};
pub use swap::{SWAP_DEVICES_MAX, SwapArea, SwapDevice, SwapMap, TURN_SLOTS};
pub use sync::Msync;
pub use table_sharing::ShareTables;
pub use transfer::{Attempt, DeviceWait, TransferId, Waited};
pub use watermarks::Watermarks;

/// The chapter of the book on these crates, whose examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/book/kernel-developers.md")]
struct Book;
