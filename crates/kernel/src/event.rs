//! What the kernel does, told as it happens. The machine adds time and instruction counts; every
//! report and picture is made from these.

use crate::{FileId, IoError, OomKill, Prot, Region, Shortage, Signal, SpaceId, SwapSlot};
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};

/// How a fault was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCause {
    /// A new page of zeroes.
    ZeroFill,
    /// A new large page of zeroes.
    ZeroFillLarge,
    /// A page of a file was read and mapped.
    File,
    /// A page came back from swap.
    SwapIn,
    /// A store to a private page that is a file's, or that others own as well: the program got its
    /// own copy.
    CopyOnWrite,
    /// A store to a private page whose other owners are gone: no copy was needed.
    Reuse,
    /// A page that was in the cache was mapped.
    MinorMap,
    /// The page was there: rights or referenced and modified bits were brought up to date.
    Update,
}

impl FaultCause {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::ZeroFill,
        Self::ZeroFillLarge,
        Self::File,
        Self::SwapIn,
        Self::CopyOnWrite,
        Self::Reuse,
        Self::MinorMap,
        Self::Update,
    ];
}

/// Where a transferred page lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// A page of a file.
    File {
        /// The file.
        file: FileId,
        /// The page's offset in it.
        offset: u64,
    },
    /// A slot of the swap device.
    Swap(SwapSlot),
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A fault was resolved.
    Fault {
        /// Where.
        space: SpaceId,
        /// The address.
        va: VirtAddr,
        /// The access.
        kind: AccessKind,
        /// How.
        cause: FaultCause,
        /// The frame that is mapped now.
        pfn: Pfn,
        /// Whether a disk was waited for.
        major: bool,
    },
    /// An access that the program may not make.
    Signal {
        /// Where.
        space: SpaceId,
        /// The address.
        va: VirtAddr,
        /// The access.
        kind: AccessKind,
        /// What the program gets.
        signal: Signal,
    },
    /// A fault could not be resolved for want of memory.
    OutOfMemory {
        /// Where.
        space: SpaceId,
        /// The address.
        va: VirtAddr,
        /// What is short.
        shortage: Shortage,
    },
    /// A device was asked to transfer a page, while others run.
    Submit {
        /// From where, or to where.
        store: Store,
        /// Into this frame, or from it.
        pfn: Pfn,
        /// Whether it is a write.
        write: bool,
    },
    /// A space was killed for lack of memory.
    OomKill {
        /// Which, and why it.
        kill: &'a OomKill,
    },
    /// A page was read.
    PageIn {
        /// From where.
        from: Store,
        /// Into this frame.
        pfn: Pfn,
    },
    /// A page was written.
    PageOut {
        /// From this frame.
        pfn: Pfn,
        /// To where.
        to: Store,
        /// How many bytes.
        bytes: u64,
    },
    /// A large page was split into base pages.
    Split {
        /// Where.
        space: SpaceId,
        /// Its first address.
        va: VirtAddr,
        /// Its size.
        bytes: u64,
    },
    /// Base pages were collapsed into a large page.
    Collapse {
        /// Where.
        space: SpaceId,
        /// Its first address.
        va: VirtAddr,
        /// Its size.
        bytes: u64,
        /// Base pages that were copied; the others are zeroes.
        pages: u64,
    },
    /// A page left memory.
    Evict {
        /// The frame that is free now.
        pfn: Pfn,
        /// Whether it had to be written.
        dirty: bool,
        /// Where its bytes are; `None` for a page that was all zeroes.
        store: Option<Store>,
        /// Whether the page daemon did it, rather than a fault.
        daemon: bool,
    },
    /// A page left one space; others have it still.
    EvictFrom {
        /// The space.
        space: SpaceId,
        /// The page's address there.
        va: VirtAddr,
        /// The frame, which stays.
        pfn: Pfn,
        /// The slot that its entry names from now on, if the page is private and not all zeroes.
        slot: Option<SwapSlot>,
    },
    /// A transfer failed.
    IoError {
        /// From or to here.
        store: Store,
        /// The frame.
        pfn: Pfn,
        /// Whether it was a write.
        write: bool,
        /// Why.
        error: IoError,
    },
    /// A region was made.
    Map {
        /// Where.
        space: SpaceId,
        /// The region, before it was joined with its neighbours.
        region: &'a Region,
    },
    /// A part of a region was removed.
    Unmap {
        /// Where.
        space: SpaceId,
        /// The part.
        region: &'a Region,
    },
    /// A part of a region got other rights.
    Protect {
        /// Where.
        space: SpaceId,
        /// The part, with its old rights.
        region: &'a Region,
        /// The new rights.
        prot: Prot,
    },
    /// A space was made from another.
    Fork {
        /// The old one.
        parent: SpaceId,
        /// The new one.
        child: SpaceId,
        /// Pages in memory that they share now.
        pages: u64,
        /// Swapped pages that they share now.
        slots: u64,
        /// Page tables of the new one.
        tables: u64,
    },
    /// A stack grew.
    StackGrow {
        /// Where.
        space: SpaceId,
        /// Its old start.
        from: VirtAddr,
        /// Its new start.
        to: VirtAddr,
    },
    /// The heap's end moved.
    Brk {
        /// Where.
        space: SpaceId,
        /// From here,
        from: VirtAddr,
        /// to here.
        to: VirtAddr,
    },
}
