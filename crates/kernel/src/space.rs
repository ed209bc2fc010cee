//! Address spaces: regions over a [`Pmap`].
//!
//! ```text
//!   0        user_start                 brk ──►            ◄── mmap_base     ◄── stack_top   user_end
//!   ├─ never ─┼──── program ────┼─ heap ─┼──── … ────┼─ mappings ─┼─ … ─┼─ stack ─┼──────────┤
//! ```
//!
//! The heap grows upwards from where the program's segments end, mappings are placed downwards
//! from `mmap_base`, the stack grows downwards from `stack_top`. Nothing is mapped below
//! `user_start`, so that a null pointer faults.

use crate::{MemoryLimits, Pmap, RegionFlags, RegionSet};
use pagewalk_mmu::{Asid, VirtAddr};

/// An address space of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub u32);

/// Where things lie in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The lowest address that can be mapped (mmap_min_addr).
    pub user_start: VirtAddr,
    /// The first address above the program's.
    pub user_end: VirtAddr,
    /// Mappings are placed below this address.
    pub mmap_base: VirtAddr,
    /// The first stack ends here.
    pub stack_top: VirtAddr,
    /// How large a region that grows down may become, in bytes (RLIMIT_STACK).
    pub stack_limit: u64,
}

/// What a space holds, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// Private pages in memory (RssAnon).
    pub rss_anon: u64,
    /// Private pages in memory that large pages map (AnonHugePages).
    pub anon_huge: u64,
    /// Mapped pages of files in memory (RssFile); a page mapped twice counts twice.
    pub rss_file: u64,
    /// Page tables (VmPTE).
    pub page_tables: u64,
    /// Pages on the swap device (VmSwap).
    pub swapped: u64,
    /// The most pages that were ever in memory (VmHWM).
    pub peak_rss: u64,
}

impl Residency {
    /// Pages in memory (VmRSS).
    pub fn rss(&self) -> u64 {
        self.rss_anon + self.rss_file
    }

    /// Counts one page more.
    #[inline]
    pub(crate) fn add_page(&mut self, anon: bool) {
        *(if anon { &mut self.rss_anon } else { &mut self.rss_file }) += 1;
        self.peak_rss = self.peak_rss.max(self.rss());
    }

    /// Adds what a table holds.
    pub(crate) fn add(&mut self, table: &Self) {
        self.rss_file += table.rss_file;
        self.swapped += table.swapped;
        self.add_anon(table.rss_anon);
    }

    /// Takes away what a table holds.
    pub(crate) fn remove(&mut self, table: &Self) {
        self.rss_anon -= table.rss_anon;
        self.rss_file -= table.rss_file;
        self.swapped -= table.swapped;
    }

    pub(crate) fn add_anon(&mut self, pages: u64) {
        self.rss_anon += pages;
        self.peak_rss = self.peak_rss.max(self.rss());
    }
}

/// One address space.
#[derive(Clone, Debug)]
pub(crate) struct Space<P: Pmap> {
    pub pmap: P,
    pub asid: Asid,
    /// A number that no other space ever has.
    pub serial: u64,
    /// How often pages were given back or moved: what comes in their place is not the same page.
    pub epoch: u64,
    pub layout: Layout,
    pub regions: RegionSet,
    /// Where the heap starts.
    pub heap_start: VirtAddr,
    /// Where the heap ends, to the byte.
    pub heap_end: VirtAddr,
    /// What it may grow to.
    pub limits: MemoryLimits,
    /// What it has in memory and the policy over that, if it has one of its own.
    pub set: Option<alloc::boxed::Box<crate::resident_set::ResidentSet>>,
    /// The group that it shares a limit with.
    pub group: Option<crate::GroupId>,
    /// A group of its may have no more on swap.
    pub swap_full: bool,
    /// How soon it is killed for lack of memory.
    pub oom_score_adj: i16,
    /// It was killed for lack of memory (oom.rs).
    pub is_killed: bool,
    /// How regions to come are locked (MCL_FUTURE).
    pub future_lock: RegionFlags,
    /// Without `page_tables`, which the pmap counts.
    pub residency: Residency,
}

/// The space, without borrowing the rest of the kernel.
///
/// # Panics
/// If it does not exist: identifiers come from `create_space` alone.
pub(crate) fn space_in<P: Pmap>(spaces: &mut [Option<Space<P>>], id: SpaceId) -> &mut Space<P> {
    spaces[id.0 as usize].as_mut().expect("a space in use")
}
