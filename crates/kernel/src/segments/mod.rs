//! Memory without pages: the manager for machines whose programs lie in physical memory as they
//! are, between bounds, or in segments.
//!
//! ```text
//!     mmap, munmap, mprotect, brk, mremap, …      fault           copy_in, copy_out
//!                       │                           │                    │
//!     what is asked for ▼                           ▼                    ▼
//!     ┌───────────────────────────────────────────────────────────────────────┐
//!     │ RegionSet (in pages)                                                  │ one per program
//!     │ Domains: [addresses] ─► [block of frames] ─► bounds, descriptors      │
//!     └──────────────────────────────┬────────────────────────────────────────┘
//!     what backs it                  ▼ cover, grow, move, compact, trim
//!                Blocks: free memory, by first, best, worst or next fit         one per machine
//!     ════════════ trait SegmentPlatform: RAM, registers, files ═════════════
//! ```
//!
//! Regions say what the program asked for, page by page, so that the memory calls and EFAULT
//! behave as they do over pages. What the hardware can say is less, and that is the difference a
//! program can see:
//!
//! - A segment allows what *some* of its regions allows: a store to a read-only page that shares its
//!   segment with a writable one succeeds. Behind bounds, and without translation, everything
//!   within them is allowed. (`rotext` on those two; `sigsegv` on all three.)
//! - All memory is there when a call returns: there are no faults but a stack's growth. A file is
//!   read when it is mapped; what lies behind its end is zeroes, not SIGBUS. A shared mapping is
//!   written back by msync, munmap, mprotect to read-only, read(2) of the file, and exit; two shared
//!   mappings of the same page see each other's stores only then.
//! - Memory that does not fit is refused by the call (ENOMEM), never by a later signal.
//!
//! Architecture invariants:
//! 1. A call that fails for want of memory has changed nothing that the program can see.
//! 2. Free memory that suffices in sum is given, by moving what is in the way, wherever addresses
//!    are translated: only [`Geometry::Identity`] can fail by fragmentation.
//! 3. Shared pages without write permission hold nothing that their file does not have.

mod advice;
mod audit;
mod blocks;
mod claim;
mod compact;
mod copy;
mod domain;
mod file;
mod fit;
mod geometry;
mod growth;
mod kernel;
mod map;
mod place;
mod platform;
mod remap;
mod summary;

pub use blocks::Blocks;
pub use domain::Domain;
pub use fit::Fit;
pub use geometry::{Geometry, USER_START};
pub use kernel::SegmentKernel;
pub use platform::{Registers, SegmentPlatform};
pub use summary::{SegmentCounters, SegmentSummary};
