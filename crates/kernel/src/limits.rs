//! How much address space a program may have, and how much memory it may be promised.
//!
//! ```text
//!                            mmap   brk   mremap   mprotect   stack       refused with
//!   RLIMIT_AS     VmSize      x      x      x                   x         ENOMEM, SIGSEGV (stack)
//!   RLIMIT_DATA   VmData      x      x      x         x                   ENOMEM
//!   RLIMIT_STACK  one stack                                     x         SIGSEGV
//!   commitment    one call    x      x      x         x         x         ENOMEM, SIGSEGV (stack)
//! ```
//!
//! Commitment counts only private memory that can be written, unless MAP_NORESERVE was given:
//! reservations without rights are free. What can be promised is commit.rs's to say.
//!
//! Regions take memory of the kernel's own, which no frame stands for. So all spaces together have
//! at most [`REGIONS_MAX`] of them and one more for each frame of RAM: what many processes could
//! fill grows with the machine, as Linux's slabs do. An upper bound of their number is kept; they
//! are counted only when it reaches the limit.

use crate::{Errno, Kernel, Pmap, Region, SpaceId};
use pagewalk_mmu::VirtAddr;

/// The most regions that a space can have (Linux: vm.max_map_count).
pub const REGIONS_MAX: usize = 65530;

/// Bounds on a space, in bytes; `u64::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// All mappings together (RLIMIT_AS).
    pub address_space: u64,
    /// Private writable mappings together (RLIMIT_DATA).
    pub data: u64,
    /// A region that grows down (RLIMIT_STACK).
    pub stack: u64,
    /// What is in memory at once (RLIMIT_RSS); at the limit the space's own pages make room.
    pub resident: u64,
}

impl MemoryLimits {
    /// No bounds but on the stack.
    pub const fn stack(bytes: u64) -> Self {
        Self { address_space: u64::MAX, data: u64::MAX, stack: bytes, resident: u64::MAX }
    }
}

/// How many calls were refused, and for want of what. Want of RAM and swap themselves shows when
/// pages are touched: [`crate::Shortage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// No gap in the address space is large enough.
    pub addresses: u64,
    /// RLIMIT_AS, RLIMIT_DATA.
    pub limit: u64,
    /// More memory than can be promised.
    pub commitment: u64,
    /// Too many regions.
    pub regions: u64,
}

impl<P: Pmap> Kernel<P> {
    /// Sets a space's bounds. What is mapped already stays.
    pub fn set_limits(&mut self, id: SpaceId, limits: MemoryLimits) {
        let space = self.space_mut(id);
        space.limits = limits;
        space.layout.stack_limit = limits.stack;
    }

    /// A space's bounds.
    pub fn limits(&self, id: SpaceId) -> MemoryLimits {
        self.space(id).limits
    }

    /// Memory calls that were refused so far, in all spaces.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// Whether the space may grow by `bytes` bytes like `region`'s, after `replaced` bytes of the
    /// same kind went.
    pub(crate) fn may_expand(
        &mut self,
        id: SpaceId,
        region: &Region,
        bytes: u64,
        replaced: u64,
    ) -> Result<(), Errno> {
        let space = self.space(id);
        let (sizes, limits) = (space.regions.sizes(), space.limits);
        let exceeds =
            |size: u64, limit| size.saturating_sub(replaced).saturating_add(bytes) > limit;
        let refused = exceeds(sizes.total, limits.address_space)
            || (region.is_data() && exceeds(sizes.data, limits.data));
        self.refusals.limit += u64::from(refused);
        if refused { Err(Errno::Enomem) } else { Ok(()) }
    }

    /// Whether `bytes` bytes that are mapped may become data.
    pub(crate) fn may_expand_data(&mut self, id: SpaceId, bytes: u64) -> Result<(), Errno> {
        let space = self.space(id);
        let size = space.regions.sizes().data.saturating_add(bytes);
        let refused = size > space.limits.data;
        self.refusals.limit += u64::from(refused);
        if refused { Err(Errno::Enomem) } else { Ok(()) }
    }

    /// Whether there is room for the regions that a change of `[start, end)` adds, and for `more`.
    pub(crate) fn may_split(
        &mut self,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
        more: usize,
    ) -> Result<(), Errno> {
        let regions = &self.space(id).regions;
        // Two at most: no need to look while there is room for any.
        let refused = regions.len() + more + 2 > REGIONS_MAX
            && regions.len() + more + regions.splits(start, end) > REGIONS_MAX;
        let refused = refused || !self.may_add_regions(more + 2);
        self.refusals.regions += u64::from(refused);
        if refused { Err(Errno::Enomem) } else { Ok(()) }
    }

    /// Whether all spaces together may have so many regions more, which are about to be made.
    pub(crate) fn may_add_regions(&mut self, more: usize) -> bool {
        let most = REGIONS_MAX + self.frames.total() as usize;
        if self.regions_bound + more > most {
            self.regions_bound = self.spaces.iter().flatten().map(|s| s.regions.len()).sum();
        }
        let fits = self.regions_bound + more <= most;
        if fits {
            self.regions_bound += more;
        }
        fits
    }
}
