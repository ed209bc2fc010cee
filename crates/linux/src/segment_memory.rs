//! [`UserMemory`] over the manager of machines without pages.

use crate::errno::Errno;
use crate::memory::{Usage, UserMemory};
use pagewalk_kernel::{
    Advice, CopyError, FileId, Geometry, Layout, Lock, MapRequest, Msync, Prot, Remap,
    SegmentKernel, SegmentPlatform, Shortage, SpaceId,
};
use pagewalk_mmu::VirtAddr;

/// A process's memory.
pub struct SegmentMemory<'a, M: SegmentPlatform> {
    kernel: &'a mut SegmentKernel,
    platform: &'a mut M,
    space: SpaceId,
    shortage: Option<Shortage>,
}

impl<'a, M: SegmentPlatform> SegmentMemory<'a, M> {
    /// The memory of an address space.
    pub fn new(kernel: &'a mut SegmentKernel, platform: &'a mut M, space: SpaceId) -> Self {
        Self { kernel, platform, space, shortage: None }
    }

    fn layout(&self) -> Layout {
        self.kernel.layout(self.space)
    }

    /// As over pages: a stack that cannot grow is not the program's fault, and kills it.
    fn copied(&mut self, result: Result<(), CopyError>) -> Result<(), Errno> {
        if let Err(CopyError::OutOfMemory(shortage)) = result {
            self.shortage = Some(shortage);
        }
        result.map_err(|_| Errno::EFAULT)
    }
}

impl<M: SegmentPlatform> UserMemory for SegmentMemory<'_, M> {
    fn page_bytes(&self) -> u64 {
        self.kernel.page().bytes()
    }

    fn user_end(&self) -> u64 {
        self.layout().user_end.0
    }

    /// Behind bounds all that lies between is memory, too: the lowest place.
    fn relocation_base(&self) -> u64 {
        match self.kernel.geometry() {
            Geometry::BaseBounds => self.layout().user_start.0,
            _ => self.user_end() / 3 * 2,
        }
    }

    fn stack_top(&self) -> u64 {
        self.layout().stack_top.0
    }

    fn stack_limit(&self) -> u64 {
        self.layout().stack_limit
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let result = self.kernel.copy_in(self.platform, self.space, VirtAddr(at), buf);
        self.copied(result)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        let result = self.kernel.copy_out(self.platform, self.space, VirtAddr(at), bytes);
        self.copied(result)
    }

    fn map(&mut self, request: MapRequest) -> Result<u64, Errno> {
        Ok(self.kernel.mmap(self.platform, self.space, request)?.0)
    }

    fn unmap(&mut self, at: u64, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.munmap(self.platform, self.space, VirtAddr(at), len)?)
    }

    fn protect(&mut self, at: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        Ok(self.kernel.mprotect(self.platform, self.space, VirtAddr(at), len, prot)?)
    }

    fn remap(&mut self, at: u64, old: u64, new: u64, how: Remap) -> Result<u64, Errno> {
        Ok(self.kernel.mremap(self.platform, self.space, VirtAddr(at), old, new, how)?.0)
    }

    fn set_heap_start(&mut self, at: u64) {
        self.kernel.set_heap_start(self.space, VirtAddr(at));
    }

    fn brk(&mut self, end: u64) -> u64 {
        self.kernel.brk(self.platform, self.space, VirtAddr(end)).0
    }

    /// All memory is there from the start: most advice says what is so anyhow.
    fn advise(&mut self, at: u64, len: u64, advice: Advice) -> Result<(), Errno> {
        let start = VirtAddr(at);
        match advice {
            // Freeing at once is one of the times at which MADV_FREE may free.
            Advice::DontNeed { .. } | Advice::Free => {
                Ok(self.kernel.madvise_dontneed(self.platform, self.space, start, len)?)
            }
            Advice::Huge(_) | Advice::Collapse | Advice::Remove | Advice::WipeOnFork => {
                Err(Errno::EINVAL)
            }
            _ => Ok(self.kernel.check_mapped(self.space, start, len)?),
        }
    }

    /// What is never paged out is locked.
    fn lock(&mut self, at: u64, len: u64, _: Lock) -> Result<(), Errno> {
        Ok(self.kernel.check_mapped(self.space, VirtAddr(at), len)?)
    }

    fn lock_all(&mut self, _: Option<Lock>, _: Lock) -> Result<(), Errno> {
        Ok(())
    }

    fn sync(&mut self, at: u64, len: u64, how: Msync) -> Result<(), Errno> {
        let start = VirtAddr(at);
        match how.write {
            true => Ok(self.kernel.msync(self.platform, self.space, start, len)?),
            false => Ok(self.kernel.check_mapped(self.space, start, len)?),
        }
    }

    fn resident(&mut self, at: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.kernel.mincore(self.space, VirtAddr(at), out)?;
        Ok(out.len())
    }

    fn before_file_read(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno> {
        let range = offset..offset.saturating_add(len);
        Ok(self.kernel.sync_file(self.platform, file, range)?)
    }

    fn file_changed(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno> {
        let range = offset..offset.saturating_add(len);
        Ok(self.kernel.file_changed(self.platform, file, range)?)
    }

    fn forget_file(&mut self, file: FileId) -> bool {
        self.kernel.forget_file(file)
    }

    fn destroy_space(&mut self, id: SpaceId) {
        self.kernel.destroy_space(self.platform, id);
    }

    fn usage(&self) -> Usage {
        let summary = self.kernel.summary();
        Usage {
            total: summary.frames,
            free: summary.frames_free,
            peak_resident: self.kernel.segment_counters().peak_frames,
            ..Usage::default()
        }
    }

    fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }

    fn bytes_missing(&self) -> Option<u64> {
        Some(self.kernel.segment_counters().bytes_missing).filter(|&bytes| bytes > 0)
    }
}
