//! msync: shared pages reach their files.

use crate::{Errno, IoError, Kernel, Platform, Pmap, RegionFlags, SpaceId};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

/// What msync(2) is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Msync {
    /// Write dirty pages of shared mappings back, and wait for it (MS_SYNC).
    pub write: bool,
    /// Other mappings of the files must show what is there (MS_INVALIDATE); with one page cache
    /// they do.
    pub invalidate: bool,
}

impl<P: Pmap> Kernel<P> {
    /// Brings files up to date with a range.
    ///
    /// # Errors
    /// `Enomem` if there is a hole in the range; what is mapped is written all the same. `Ebusy`,
    /// at once, if a locked region is to be invalidated. `Eio` or `Enospc`, at once, if a region's
    /// page could not be written.
    pub fn msync(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        how: Msync,
    ) -> Result<(), Errno> {
        let (start, end) = self.range(id, start, len, Errno::Enomem)?;
        let parts: Vec<_> = self.space(id).regions.within(start, end).collect();
        for part in parts {
            if how.invalidate && part.flags.contains(RegionFlags::LOCKED) {
                return Err(Errno::Ebusy);
            }
            let file = part.file_at(part.start).filter(|_| how.write && part.shared);
            if let Some((file, offset)) = file {
                let written: Result<(), IoError> =
                    self.sync_file(platform, file, offset..offset + part.len());
                written?;
            }
        }
        self.no_hole(id, start, end)
    }
}
