//! Where a mapping goes.
//!
//! ```text
//!   user_start        ◄──── second, upwards ────  mmap_base               user_end
//!   ├──────────────────────────────────────────────────┤───────────────────────┤
//!        first: downwards from mmap_base, the highest gap that is large enough
//! ```
//!
//! Where large pages are used, a mapping that can hold one begins at a multiple of it, if there is
//! room for that (as on Linux since 6.7).

use crate::{Errno, Kernel, Pmap, Region, SpaceId};
use pagewalk_mmu::VirtAddr;

/// Where a mapping is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Anywhere; at the hint if that is free and not 0. A hint is rounded down to a page, and up to
    /// the lowest address that can be mapped.
    Anywhere {
        /// The wish.
        hint: VirtAddr,
    },
    /// There, replacing what is there (MAP_FIXED).
    Fixed(VirtAddr),
    /// There, or not at all (MAP_FIXED_NOREPLACE).
    FixedNoReplace(VirtAddr),
}

impl<P: Pmap> Kernel<P> {
    /// The address for a mapping of `len` bytes, a multiple of the page.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn place(&self, id: SpaceId, placement: Placement, len: u64) -> Result<VirtAddr, Errno> {
        let space = self.space(id);
        match placement {
            Placement::Anywhere { hint } => {
                let wished = hint.page_base(self.page).0 != 0;
                let hint = hint.page_base(self.page).max(space.layout.user_start);
                let wished = wished && self.is_gap(id, hint, len);
                wished
                    .then_some(hint)
                    .or_else(|| self.find_aligned_gap(id, len))
                    .or_else(|| self.find_gap(id, len))
                    .ok_or(Errno::Enomem)
            }
            Placement::Fixed(at) | Placement::FixedNoReplace(at) => {
                let end = at.0.checked_add(len).ok_or(Errno::Enomem)?;
                if end > space.layout.user_end.0 {
                    return Err(Errno::Enomem);
                }
                if at.offset(self.page) != 0 {
                    return Err(Errno::Einval);
                }
                if at < space.layout.user_start {
                    return Err(Errno::Eperm);
                }
                let fixed = matches!(placement, Placement::Fixed(_));
                if !fixed && space.regions.overlaps(at, VirtAddr(end)) {
                    return Err(Errno::Eexist);
                }
                Ok(at)
            }
        }
    }

    /// The least multiple of the page that is not below.
    pub(crate) fn round_up(&self, va: VirtAddr) -> Option<VirtAddr> {
        let mask = self.page.bytes() - 1;
        va.0.checked_add(mask).map(|end| VirtAddr(end & !mask))
    }

    /// Where nothing may be placed any more, going up towards `region`: its start, or the end of
    /// the gap that is left for it to grow.
    pub(crate) fn guarded_start(&self, region: &Region) -> VirtAddr {
        let guard = self.config.stack_guard_pages * self.page.bytes();
        let guard = if region.grows_down { guard } else { 0 };
        VirtAddr(region.start.0.saturating_sub(guard))
    }

    fn is_gap(&self, id: SpaceId, at: VirtAddr, len: u64) -> bool {
        let space = self.space(id);
        let Some(end) = at.0.checked_add(len) else { return false };
        let above = space.regions.at_or_above(at);
        at >= space.layout.user_start
            && end <= space.layout.user_end.0
            && above.is_none_or(|region| self.guarded_start(region).0 >= end)
    }

    /// The highest start in the highest gap with room for `len` bytes wherever they begin.
    fn find_aligned_gap(&self, id: SpaceId, len: u64) -> Option<VirtAddr> {
        let size = self.large.filter(|size| len >= size.bytes())?;
        let padding = size.bytes() - self.page.bytes();
        let start = self.find_gap(id, len.checked_add(padding)?)?;
        Some(VirtAddr(start.0 + padding).page_base(size))
    }

    fn find_gap(&self, id: SpaceId, len: u64) -> Option<VirtAddr> {
        let space = self.space(id);
        let mut ceiling = space.layout.mmap_base;
        for region in space.regions.iter().rev() {
            if region.end <= ceiling && ceiling.0 - region.end.0 >= len {
                break;
            }
            ceiling = ceiling.min(self.guarded_start(region));
        }
        let start = ceiling.0.checked_sub(len).map(VirtAddr);
        let found = start.filter(|&start| self.is_gap(id, start, len));
        found.or_else(|| self.find_gap_upwards(id, len))
    }

    fn find_gap_upwards(&self, id: SpaceId, len: u64) -> Option<VirtAddr> {
        let space = self.space(id);
        let mut at = space.layout.mmap_base;
        let base = at;
        for region in space.regions.iter().filter(|region| region.end > base) {
            if self.guarded_start(region) >= at && self.guarded_start(region).0 - at.0 >= len {
                break;
            }
            at = at.max(region.end);
        }
        self.is_gap(id, at, len).then_some(at)
    }
}
