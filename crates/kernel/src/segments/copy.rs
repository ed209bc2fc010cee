//! The manager's own access to a program's memory, for system calls: page by page, by what the
//! regions allow, whatever the hardware would.

use super::{SegmentKernel, SegmentPlatform};
use crate::{CopyError, FaultResult, SpaceId};
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};

impl SegmentKernel {
    /// Copies from the program; on an error the rest of `buf` is as it was.
    ///
    /// # Errors
    /// At the first byte that the program could not load itself.
    pub fn copy_in(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        va: VirtAddr,
        buf: &mut [u8],
    ) -> Result<(), CopyError> {
        let mut done = 0;
        while done < buf.len() {
            let at = advance(va, done)?;
            let pfn = self.frame_for(platform, id, at, AccessKind::Read)?;
            let bytes = &platform.frame(pfn)[at.offset(self.page) as usize..];
            let len = bytes.len().min(buf.len() - done);
            buf[done..done + len].copy_from_slice(&bytes[..len]);
            self.counters.bytes_copied += len as u64;
            done += len;
        }
        Ok(())
    }

    /// Copies to the program; on an error what comes before the bad byte's page is written.
    ///
    /// # Errors
    /// At the first byte that the program could not store itself.
    pub fn copy_out(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        va: VirtAddr,
        bytes: &[u8],
    ) -> Result<(), CopyError> {
        let mut done = 0;
        while done < bytes.len() {
            let at = advance(va, done)?;
            let pfn = self.frame_for(platform, id, at, AccessKind::Write)?;
            let to = &mut platform.frame_mut(pfn)[at.offset(self.page) as usize..];
            let len = to.len().min(bytes.len() - done);
            to[..len].copy_from_slice(&bytes[done..done + len]);
            self.counters.bytes_copied += len as u64;
            done += len;
        }
        Ok(())
    }

    fn frame_for(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> Result<Pfn, CopyError> {
        match self.may_access(platform, id, va, kind) {
            Ok(()) => self.frame_at(id, va).ok_or(CopyError::Fault(va)),
            Err(FaultResult::OutOfMemory(shortage)) => Err(CopyError::OutOfMemory(shortage)),
            Err(_) => Err(CopyError::Fault(va)),
        }
    }
}

fn advance(va: VirtAddr, by: usize) -> Result<VirtAddr, CopyError> {
    va.0.checked_add(by as u64).map(VirtAddr).ok_or(CopyError::Fault(va))
}
