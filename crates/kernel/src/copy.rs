//! The kernel's own access to a program's memory, for system calls.
//!
//! It goes page by page through the page tables, faults pages in as the program's own access would,
//! honours the regions' protection and sets referenced and modified bits. It does not go through
//! the TLB.

use crate::pmap::Resident;
use crate::space::space_in;
use crate::{FaultResult, Kernel, Mapping, Platform, Pmap, Prot, Shortage, SpaceId};
use alloc::vec::Vec;
use core::fmt;
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};

/// Why a copy stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The program may not access this address itself (EFAULT).
    Fault(VirtAddr),
    /// A page could not be made resident.
    OutOfMemory(Shortage),
    /// No terminator was found ([`Kernel::read_cstr`]).
    TooLong,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(va) => write!(f, "bad address {va}"),
            Self::OutOfMemory(shortage) => shortage.fmt(f),
            Self::TooLong => f.write_str("string without terminator"),
        }
    }
}

impl core::error::Error for CopyError {}

impl<P: Pmap> Kernel<P> {
    /// Copies from the program; on an error the rest of `buf` is as it was.
    ///
    /// # Errors
    /// At the first byte that the program could not load itself.
    pub fn copy_in(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        buf: &mut [u8],
    ) -> Result<(), CopyError> {
        let mut done = 0;
        while done < buf.len() {
            let at = advance(va, done)?;
            let pfn = self.page_for(platform, id, at, AccessKind::Read)?;
            let offset = at.offset(self.page) as usize;
            let bytes = &platform.frame(pfn)[offset..];
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
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        bytes: &[u8],
    ) -> Result<(), CopyError> {
        let mut done = 0;
        while done < bytes.len() {
            let at = advance(va, done)?;
            let pfn = self.page_for(platform, id, at, AccessKind::Write)?;
            let offset = at.offset(self.page) as usize;
            let to = &mut platform.frame_mut(pfn)[offset..];
            let len = to.len().min(bytes.len() - done);
            to[..len].copy_from_slice(&bytes[done..done + len]);
            self.counters.bytes_copied += len as u64;
            done += len;
        }
        Ok(())
    }

    /// Reads a string up to its terminator, which is not part of the result.
    ///
    /// # Errors
    /// As [`Kernel::copy_in`]; `TooLong` if `max` bytes hold no terminator.
    pub fn read_cstr(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        max: usize,
    ) -> Result<Vec<u8>, CopyError> {
        let mut string = Vec::new();
        while string.len() < max {
            let at = advance(va, string.len())?;
            let pfn = self.page_for(platform, id, at, AccessKind::Read)?;
            let bytes = &platform.frame(pfn)[at.offset(self.page) as usize..];
            let bytes = &bytes[..bytes.len().min(max - string.len())];
            match bytes.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    string.extend_from_slice(&bytes[..end]);
                    return Ok(string);
                }
                None => string.extend_from_slice(bytes),
            }
        }
        Err(CopyError::TooLong)
    }

    /// The frame of the page at `va`, resident and accessible. It stays so until the kernel is
    /// called again.
    fn page_for(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
    ) -> Result<Pfn, CopyError> {
        // Three times at most: the hardware can need its mapping back before the fault is one, and
        // the fault handler leaves the page resident and accessible.
        for _ in 0..3 {
            let region = self.space_mut(id).regions.find_hinted(va);
            let now = self.space(id).pmap.lookup(platform, va);
            if let (Some(region), Mapping::Resident(now)) = (region, now) {
                let store = kind == AccessKind::Write;
                let storable = self.prot_of(&region, now.pfn).contains(Prot::WRITE)
                    && !self.frames.cow(now.pfn)
                    && !self.is_copied_on_write(id, va);
                let allowed = region.allows(kind) && (!store || storable);
                if allowed {
                    self.touch_page(platform, id, va, now, kind);
                    return Ok(now.pfn);
                }
            }
            match self.fault(platform, id, va, kind) {
                FaultResult::Resolved { .. } => {}
                FaultResult::Signal { addr, .. } => return Err(CopyError::Fault(addr)),
                FaultResult::OutOfMemory(shortage) => {
                    return Err(CopyError::OutOfMemory(shortage));
                }
            }
        }
        Err(CopyError::Fault(va))
    }

    fn touch_page(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        now: Resident,
        kind: AccessKind,
    ) {
        let store = kind == AccessKind::Write;
        if let Some(next) = platform.page_referenced(now.pfn) {
            self.policy.reference(now.pfn, next);
        }
        if store {
            self.drop_slot(now.pfn);
        }
        if !now.referenced || (store && !now.modified) {
            let pmap = &mut space_in(&mut self.spaces, id).pmap;
            let debt = pmap.touch(platform, &mut self.frames, va, store);
            self.discharge(platform, debt);
        }
    }
}

fn advance(va: VirtAddr, by: usize) -> Result<VirtAddr, CopyError> {
    va.0.checked_add(by as u64).map(VirtAddr).ok_or(CopyError::Fault(va))
}
