//! mlock and its kin: pages that stay in memory.
//!
//! ```text
//!   mlock      region LOCKED                  pages brought in now       never a victim
//!   mlock2     region LOCKED | LOCK_ON_FAULT  brought in when touched    never a victim
//!   mlockall   all regions now, or those to come (`Space::future_lock`), or both
//! ```
//!
//! The lock is the region's. A page is locked while any of its mappings lies in a locked region;
//! reclaim asks the regions ([`crate::RegionSet::is_locked`]) and passes such pages over.

use crate::populate::access_of;
use crate::{Errno, Kernel, Platform, Pmap, Region, RegionFlags, SpaceId};
use core::ops::Range;
use pagewalk_mmu::VirtAddr;

/// How a range is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lock {
    /// Not at all (munlock).
    Not,
    /// With all its pages (mlock).
    Now,
    /// Each page from its first touch on (MLOCK_ONFAULT).
    OnFault,
}

impl Lock {
    /// What a region under this lock says.
    pub const fn flags(self) -> RegionFlags {
        match self {
            Self::Not => RegionFlags::empty(),
            Self::Now => RegionFlags::LOCKED,
            Self::OnFault => RegionFlags::LOCK,
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Locks the pages of a range, or unlocks them.
    ///
    /// # Errors
    /// As mlock(2): `Enomem` if there is a hole in the range (what is mapped before it is locked)
    /// or a page that the program may not access, `Eagain` if memory is short.
    pub fn mlock(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        lock: Lock,
    ) -> Result<(), Errno> {
        let range = self.advised_range(start, len)?;
        let regions = &self.space(id).regions;
        let hole = regions.first_hole(range.start, range.end);
        let end = hole.unwrap_or(range.end);
        self.advise_parts(id, range.start..end, |kernel, part| {
            kernel.set_lock(platform, id, part, lock)
        })?;
        if hole.is_some() {
            return Err(Errno::Enomem);
        }
        if lock != Lock::Now {
            return Ok(());
        }
        self.populate_locked(platform, id, range).map_err(|error| match error {
            Errno::Enomem => Errno::Eagain,
            _ => Errno::Enomem,
        })
    }

    /// Locks all mappings: those that are there, if `current` says how, and those to come, as
    /// `future` says.
    ///
    /// # Errors
    /// None: what cannot be brought in comes later, as with mlockall(2).
    pub fn mlockall(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        current: Option<Lock>,
        future: Lock,
    ) -> Result<(), Errno> {
        self.space_mut(id).future_lock = future.flags();
        let Some(lock) = current else { return Ok(()) };
        let all = VirtAddr(0)..self.space(id).layout.user_end;
        let _holes = self.advise_parts(id, all.clone(), |kernel, part| {
            kernel.set_lock(platform, id, part, lock)
        });
        if lock == Lock::Now {
            let _holes = self.advise_parts(id, all, |kernel, part| {
                kernel.populate_quietly(platform, id, part.start..part.end);
                Ok(())
            });
        }
        Ok(())
    }

    /// Whether mappings to come are locked.
    pub fn locks_future(&self, id: SpaceId) -> bool {
        self.space(id).future_lock.contains(RegionFlags::LOCKED)
    }

    fn set_lock(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
        lock: Lock,
    ) -> Result<(), Errno> {
        if lock != Lock::Not {
            self.own_tables(platform, id, part.start, part.end).map_err(|_| Errno::Eagain)?;
        }
        self.change_part(platform, id, part, |region| Region {
            flags: (region.flags - RegionFlags::LOCK) | lock.flags(),
            ..region
        })
    }

    /// Brings in the pages of a range that was just locked.
    fn populate_locked(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        range: Range<VirtAddr>,
    ) -> Result<(), Errno> {
        self.advise_parts(id, range, |kernel, part| {
            let kind = access_of(part).ok_or(Errno::Efault)?;
            kernel.populate_pages(platform, id, part.start..part.end, kind)
        })
    }
}
