//! Swapping a whole process out: all pages of its space leave memory, in batches.
//!
//! ```text
//!   each page    locked, or wanted by one of the last faults   stays
//!                with other owners                             leaves this space alone (evict_from.rs)
//!                else                                          is evicted; written while others run,
//!                                                              where threads wait for devices
//! ```
//!
//! What the space asked for stays as it is, its page tables as well: the process comes back by
//! faulting, page after page.

use crate::{DeviceWait, Kernel, Mapping, Platform, Pmap, SpaceId};
use pagewalk_mmu::VirtAddr;

impl<P: Pmap> Kernel<P> {
    /// Evicts pages of a space, as many as can be written at one time; what cannot go stays. To be
    /// called again until [`Residency::rss`](crate::Residency::rss) falls no more.
    pub fn swap_out_space(&mut self, platform: &mut impl Platform, id: SpaceId) {
        let end = self.space(id).layout.user_end;
        let mut at = VirtAddr(0);
        while !self.writes_are_full()
            && let Some((va, mapping)) = self.space(id).pmap.next_mapping(platform, at, end)
        {
            if let Mapping::Resident(_) = mapping {
                self.evict_from_space(platform, id, va, true);
            }
            at = VirtAddr(va.0 + self.page.bytes());
        }
    }

    fn writes_are_full(&self) -> bool {
        self.config.device_wait == DeviceWait::Thread && !self.defers_writes(true)
    }
}
