//! How much memory is promised, and how much can be.
//!
//! ```text
//!   overcommit_memory    a call may be promised
//!   0 heuristic          not more than RAM and swap, each call by itself
//!   1 always             whatever it asks for
//!   2 never              what is left of  RAM × overcommit_ratio / 100 + swap  (CommitLimit)
//!                        after all promises before (Committed_AS)
//! ```
//!
//! Promised is private memory that can be stored to, unless MAP_NORESERVE was given (in mode 2 that
//! means nothing), and the pages of memory objects. As Linux (mm/util.c, `__vm_enough_memory`) mode 2
//! keeps a little from each process: 1/32 of what it has mapped, at most 1/32 of RAM or 128 MiB, so
//! that one that took all leaves room to end it.
//!
//! What a region is promised follows its rights as they are now: memory that is made read-only is
//! promised no more. Linux goes on counting it.

use crate::{Errno, Kernel, KernelError, Pmap, Region, RegionFlags, Shortage, SpaceId};

/// How much memory programs are promised (Linux: vm.overcommit_memory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overcommit {
    /// Not more in a single call than there is RAM and swap (0, the default of Linux).
    Heuristic,
    /// Whatever they ask for (1).
    #[default]
    Always,
    /// No more in all than the commit limit (2).
    Never,
}

/// The part of RAM that is promised in mode 2, in percent, at first (Linux: sysctl_overcommit_ratio).
pub const OVERCOMMIT_RATIO: u64 = 50;

/// What is kept from a process: this part of what it has mapped, and of RAM,
const RESERVE_PART: u64 = 32;
/// and so many bytes at most (Linux: vm.user_reserve_kbytes).
const RESERVE_MAX: u64 = 128 << 20;

/// Memory that is promised, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commitment {
    /// All promises (Committed_AS).
    pub committed: u64,
    /// The most there can be in mode 2 (CommitLimit).
    pub limit: u64,
}

impl<P: Pmap> Kernel<P> {
    /// Sets how much memory programs are promised from now on.
    pub fn set_overcommit(&mut self, overcommit: Overcommit) {
        self.config.overcommit = overcommit;
    }

    /// Sets the part of RAM that can be promised in mode 2, in percent; it may be above 100.
    pub fn set_overcommit_ratio(&mut self, percent: u64) {
        self.config.overcommit_ratio = percent;
    }

    /// What is promised now.
    pub fn commitment(&self) -> Commitment {
        let bytes = |pages: u64| pages.saturating_mul(self.page.bytes());
        let spaces = self.spaces.iter().flatten().map(|space| space.regions.sizes().committed);
        let objects = self.objects.by_id.values().map(|object| bytes(object.pages.len() as u64));
        let ram = bytes(self.frames.total()) as u128 * self.config.overcommit_ratio as u128 / 100;
        let ram = u64::try_from(ram).unwrap_or(u64::MAX);
        Commitment {
            committed: spaces.chain(objects).fold(0, u64::saturating_add),
            limit: ram.saturating_add(bytes(self.swap.capacity())),
        }
    }

    /// Whether `bytes` bytes of memory can be promised to a region of a space, after promises for
    /// `replaced` bytes went.
    pub(crate) fn may_commit(
        &mut self,
        id: SpaceId,
        region: &Region,
        bytes: u64,
        replaced: u64,
    ) -> Result<(), Errno> {
        let refused = region.is_accountable() && self.exceeds_memory(id, bytes, replaced);
        self.refusals.commitment += u64::from(refused);
        if refused { Err(Errno::Enomem) } else { Ok(()) }
    }

    /// Whether memory can be promised to the object behind new shared anonymous memory, whatever
    /// its rights, and the object's pages can be numbered.
    pub(crate) fn may_commit_object(&mut self, id: SpaceId, region: &Region) -> Result<(), Errno> {
        let counts = !region.flags.contains(RegionFlags::NO_RESERVE);
        let refused = (counts && self.exceeds_memory(id, region.len(), 0))
            || (region.len() - 1) >> self.page.shift() > u64::from(u32::MAX);
        self.refusals.commitment += u64::from(refused);
        if refused { Err(Errno::Enomem) } else { Ok(()) }
    }

    /// Whether a copy of the space can be promised what the space is.
    pub(crate) fn may_commit_fork(&mut self, parent: SpaceId) -> Result<(), KernelError> {
        if self.config.overcommit != Overcommit::Never {
            return Ok(());
        }
        let copied = self.space(parent).regions.iter().filter_map(Region::forked);
        let bytes = copied.filter(Region::is_accountable).map(|region| region.len()).sum();
        let refused = self.exceeds_memory(parent, bytes, 0);
        self.refusals.commitment += u64::from(refused);
        if refused { Err(KernelError::OutOfMemory(Shortage::Promises)) } else { Ok(()) }
    }

    /// What of `[start, end)` is promised already.
    pub(crate) fn committed_within(&self, id: SpaceId, region: &Region) -> u64 {
        let parts = self.space(id).regions.within(region.start, region.end);
        parts.filter(Region::is_accountable).map(|part| part.len()).sum()
    }

    fn exceeds_memory(&self, id: SpaceId, bytes: u64, replaced: u64) -> bool {
        match self.config.overcommit {
            Overcommit::Always => false,
            Overcommit::Heuristic => {
                let pages = self.frames.total().saturating_add(self.swap.capacity());
                bytes >> self.page.shift() > pages
            }
            Overcommit::Never => {
                let Commitment { committed, limit } = self.commitment();
                let mapped = self.space(id).regions.sizes().total;
                let ram = self.frames.total().saturating_mul(self.page.bytes());
                let kept = (mapped / RESERVE_PART).min(ram / RESERVE_PART).min(RESERVE_MAX);
                let wanted = committed.saturating_sub(replaced).saturating_add(bytes);
                bytes > 0 && wanted >= limit.saturating_sub(kept)
            }
        }
    }
}
