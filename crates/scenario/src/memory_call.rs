//! What a process asks of the manager of memory, pages or segments.

use pagewalk_kernel::{
    AnyPmap, Errno, Evicted, Kernel, MapRequest, Placement, Prot, SegmentKernel, SpaceId,
};
use pagewalk_mmu::VirtAddr;

use crate::board::Wires;

/// Who manages memory.
pub enum Manager<'a> {
    /// Page by page.
    Pages(&'a mut Kernel<AnyPmap>),
    /// Segment by segment.
    Segments(&'a mut SegmentKernel),
}

/// A call: of whom, by whom, about what address.
pub struct MemoryCall<'a> {
    /// Who serves it.
    pub manager: Manager<'a>,
    /// The board.
    pub wires: Wires<'a>,
    /// Whose memory.
    pub space: SpaceId,
    /// The first address.
    pub va: VirtAddr,
}

/// Runs `$body` with `$manager` bound to whoever manages memory.
macro_rules! each {
    ($call:expr, $manager:ident => $body:expr) => {
        match &mut $call.manager {
            Manager::Pages($manager) => $body,
            Manager::Segments($manager) => $body,
        }
    };
}

impl MemoryCall<'_> {
    /// Maps `bytes` of zeroes.
    pub fn map(mut self, bytes: u64, prot: Prot) -> Result<(), Errno> {
        let place = Placement::FixedNoReplace(self.va);
        let request = MapRequest { place, ..MapRequest::anonymous(bytes, prot) };
        let (wires, space) = (&mut self.wires, self.space);
        each!(self, manager => manager.mmap(wires, space, request)).map(|_| ())
    }

    /// Unmaps `bytes`.
    pub fn unmap(mut self, bytes: u64) -> Result<(), Errno> {
        let (wires, space, va) = (&mut self.wires, self.space, self.va);
        each!(self, manager => manager.munmap(wires, space, va, bytes))
    }

    /// Changes what may be done with `bytes`.
    pub fn protect(mut self, bytes: u64, prot: Prot) -> Result<(), Errno> {
        let (wires, space, va) = (&mut self.wires, self.space, self.va);
        each!(self, manager => manager.mprotect(wires, space, va, bytes, prot))
    }

    /// Takes the page out of the process.
    pub fn evict(mut self) -> Result<(), Errno> {
        let Manager::Pages(kernel) = self.manager else { return Err(Errno::Eopnotsupp) };
        match kernel.evict_from(&mut self.wires, self.space, self.va) {
            Some(Evicted::Shared | Evicted::Gone) => Ok(()),
            None => Err(Errno::Ebusy),
        }
    }
}
