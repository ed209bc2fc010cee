//! Everything that the kernel needs from outside: memory, TLB, disks, a listener.
//!
//! ```text
//!   kernel ──frame, zero, copy──► RAM
//!          ──flush, load_root───► MMU            all of it injected, so that a run is a pure
//!          ──file_*, swap_*─────► disks          function of its inputs, and a plain mock
//!          ──event──────────────► listener       is enough to test with
//! ```
//!
//! The kernel never asks for the time and never draws a random number.

use crate::{Event, SpaceId, Store, TransferId};
use core::fmt;
use core::ops::Range;
use pagewalk_mmu::{Asid, Level, Pfn, PhysAddr, TableMemory, VirtAddr};

/// A file that the kernel can page from and to. Two names of one file have one `FileId`, or their
/// mappings are not coherent.
///
/// The upper half of the numbers are the kernel's memory objects (`object.rs`), which a platform
/// never sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

impl FileId {
    const MEMORY: u32 = 1 << 31;

    /// The object of this number, whose highest bit has no meaning.
    pub(crate) const fn memory(number: u32) -> Self {
        Self(number | Self::MEMORY)
    }

    /// The number of an object.
    pub(crate) const fn number(self) -> u32 {
        self.0 & !Self::MEMORY
    }

    /// Whether it is a memory object of the kernel, rather than a file of the platform.
    pub const fn is_memory(self) -> bool {
        self.0 & Self::MEMORY != 0
    }
}

/// A page-sized place on one of the swap devices, which share one row of numbers (`swap.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwapSlot(pub u32);

/// A transfer that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoError {
    /// The device reported an error (EIO).
    Io,
    /// There is no space left (ENOSPC).
    NoSpace,
    /// Fewer bytes were transferred than asked for.
    Short,
    /// What was read is not what was written: its checksum differs.
    Corrupt,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "input/output error",
            Self::NoSpace => "no space left on device",
            Self::Short => "short transfer",
            Self::Corrupt => "wrong checksum",
        })
    }
}

impl core::error::Error for IoError {}

/// What to forget in the TLBs and paging-structure caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flush {
    /// One page of one space (INVLPG, `sfence.vma va, asid`).
    Page {
        /// The space.
        asid: Asid,
        /// Any address of the page.
        va: VirtAddr,
    },
    /// One space (`sfence.vma x0, asid`).
    Space {
        /// The space.
        asid: Asid,
    },
    /// Everything.
    All,
}

/// A translation that some TLB holds, for [`crate::Kernel::audit`]; of a larger page, one for each
/// base page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedTranslation {
    /// The space.
    pub asid: Asid,
    /// The page.
    pub va: VirtAddr,
    /// The frame.
    pub pfn: Pfn,
    /// Whether stores go through it.
    pub writable: bool,
}

/// A table that is cached, for [`crate::Kernel::audit`]: a pointer to it in a walk cache, or a
/// page of it in a TLB, where the refill handler reads the table through that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedTable {
    /// The space.
    pub asid: Asid,
    /// An address whose entry is in the table.
    pub va: VirtAddr,
    /// The table's level.
    pub level: Level,
    /// The frame.
    pub pfn: Pfn,
}

/// The machine below the kernel.
pub trait Platform: TableMemory {
    /// The bytes of a frame.
    fn frame(&self, pfn: Pfn) -> &[u8];

    /// The bytes of a frame, to be changed.
    fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8];

    /// Copies one frame over another.
    fn copy_frame(&mut self, from: Pfn, to: Pfn);

    /// Fills a frame with zeroes.
    fn zero_frame(&mut self, pfn: Pfn);

    /// Invalidates cached translations.
    fn flush(&mut self, what: Flush);

    /// Loads the root register: a program is to run in the space.
    fn load_root(&mut self, asid: Asid, table: PhysAddr);

    /// The top table of a space is new or changed. Who runs in the space, and holds top entries in
    /// registers (PAE), loads it.
    fn root_changed(&mut self, asid: Asid, table: PhysAddr) {
        self.load_root(asid, table);
    }

    /// Loads the base register of the upper half, where the hardware has one.
    fn load_upper_root(&mut self, table: PhysAddr) {
        let _ = table;
    }

    /// Reads the page at `offset` of a file into a frame; what lies beyond the end of the file
    /// becomes zeroes. Returns how many bytes came from the file.
    ///
    /// # Errors
    /// If the transfer failed; the frame's bytes are then unspecified.
    fn file_read(&mut self, file: FileId, offset: u64, into: Pfn) -> Result<usize, IoError>;

    /// Writes the first `len` bytes of a frame to a file. Never makes the file longer.
    ///
    /// # Errors
    /// If the transfer failed; the file's bytes in the range are then unspecified.
    fn file_write(
        &mut self,
        file: FileId,
        offset: u64,
        from: Pfn,
        len: usize,
    ) -> Result<(), IoError>;

    /// Makes bytes of a file zeroes, as a hole where that can be. Never makes the file longer.
    ///
    /// # Errors
    /// If it failed; the file's bytes in the range are then unspecified.
    fn file_punch(&mut self, file: FileId, range: Range<u64>) -> Result<(), IoError>;

    /// Reads a slot into a frame.
    ///
    /// # Errors
    /// If the transfer failed; the frame's bytes are then unspecified.
    fn swap_read(&mut self, slot: SwapSlot, into: Pfn) -> Result<(), IoError>;

    /// Writes a frame to a slot.
    ///
    /// # Errors
    /// If the transfer failed; the slot's bytes are then unspecified.
    fn swap_write(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError>;

    /// As [`Platform::swap_write`], and nobody waits for it: the device is at work meanwhile, and what is
    /// asked of it next comes after.
    ///
    /// # Errors
    /// As [`Platform::swap_write`].
    fn swap_write_behind(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError> {
        self.swap_write(slot, from)
    }

    /// Whether no swap device is at work.
    fn swap_is_idle(&self) -> bool {
        true
    }

    /// A device begins a transfer; [`crate::Kernel::complete`] is called when it is done. Only where
    /// threads wait for devices ([`crate::DeviceWait::Thread`]).
    fn submit(&mut self, id: TransferId, store: Store, write: bool) {
        let _ = (id, store, write);
    }

    /// The hart waits until a transfer is done, which the kernel then completes by itself.
    fn wait(&mut self, id: TransferId) {
        let _ = id;
    }

    /// Nobody wants a slot's page any more. Told at the end of an entry into the kernel, and only
    /// after [`Kernel::tell_freed_slots`](crate::Kernel::tell_freed_slots).
    fn swap_freed(&mut self, slot: SwapSlot) {
        let _ = slot;
    }

    /// Something happened.
    fn event(&mut self, event: Event<'_>);

    /// A frame holds a page from now on: what was read into it just now, or a new page. Says when
    /// that is referenced next, where somebody knows the future; `None` where nobody does.
    fn page_loaded(&mut self, pfn: Pfn) -> Option<u64> {
        let _ = pfn;
        None
    }

    /// A page is in another frame from now on, of which [`Platform::page_loaded`] may have told. Says
    /// when the page is referenced next, as that does.
    fn page_moved(&mut self, from: Pfn, to: Pfn) -> Option<u64> {
        let _ = (from, to);
        None
    }

    /// The kernel itself refers to a page on behalf of a program. Says when that is referenced next,
    /// where the replacement policy sees every reference; `None` where it does not.
    fn page_referenced(&mut self, pfn: Pfn) -> Option<u64> {
        let _ = pfn;
        None
    }

    /// What a space had in a range is gone: what comes there are other pages.
    fn pages_gone(&mut self, space: SpaceId, from: VirtAddr, to: VirtAddr) {
        let _ = (space, from, to);
    }

    /// Shows every cached translation, so that an audit can find stale ones. A platform without
    /// TLBs has none.
    fn cached_translations(&self, visit: &mut dyn FnMut(CachedTranslation)) {
        let _ = visit;
    }

    /// Shows every cached table, likewise.
    fn cached_tables(&self, visit: &mut dyn FnMut(CachedTable)) {
        let _ = visit;
    }
}
