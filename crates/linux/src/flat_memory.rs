//! A user memory for unit tests: one flat run of bytes, and a list of the calls made on it.

use crate::errno::Errno;
use crate::memory::{Usage, UserMemory};
use pagewalk_kernel::{Advice, FileId, Lock, MapRequest, Msync, Placement, Prot, Remap, Shortage};

/// Bytes from [`FlatMemory::START`] to [`FlatMemory::END`]; mappings are noted, not made.
pub(crate) struct FlatMemory {
    bytes: Vec<u8>,
    /// The mappings asked for.
    pub maps: Vec<MapRequest>,
    /// File ranges reported as changed.
    pub changes: Vec<(FileId, u64, u64)>,
    heap_end: u64,
}

impl FlatMemory {
    pub(crate) const START: u64 = 0x1_0000;
    pub(crate) const END: u64 = 0x10_0000;
    const PAGE: u64 = 4096;

    pub(crate) fn new() -> Self {
        let bytes = vec![0; (Self::END - Self::START) as usize];
        Self { bytes, maps: Vec::new(), changes: Vec::new(), heap_end: 0 }
    }

    fn range(at: u64, len: usize) -> Result<std::ops::Range<usize>, Errno> {
        let start = at.checked_sub(Self::START).ok_or(Errno::EFAULT)? as usize;
        let end = start.checked_add(len).ok_or(Errno::EFAULT)?;
        if end > (Self::END - Self::START) as usize { Err(Errno::EFAULT) } else { Ok(start..end) }
    }

    fn mapped(at: u64, len: u64) -> Result<(), Errno> {
        Self::range(at, len as usize).map(|_| ()).map_err(|_| Errno::ENOMEM)
    }
}

impl UserMemory for FlatMemory {
    fn page_bytes(&self) -> u64 {
        Self::PAGE
    }

    fn user_end(&self) -> u64 {
        Self::END
    }

    fn stack_top(&self) -> u64 {
        Self::END
    }

    fn stack_limit(&self) -> u64 {
        0x2_0000
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
        buf.copy_from_slice(&self.bytes[Self::range(at, buf.len())?]);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.bytes[Self::range(at, bytes.len())?].copy_from_slice(bytes);
        Ok(())
    }

    fn map(&mut self, request: MapRequest) -> Result<u64, Errno> {
        self.maps.push(request);
        Ok(match request.place {
            Placement::Fixed(at) | Placement::FixedNoReplace(at) => at.0,
            Placement::Anywhere { .. } => Self::END - 0x8_0000,
        })
    }

    fn unmap(&mut self, _: u64, _: u64) -> Result<(), Errno> {
        Ok(())
    }

    fn protect(&mut self, _: u64, _: u64, _: Prot) -> Result<(), Errno> {
        Ok(())
    }

    fn remap(&mut self, at: u64, _: u64, _: u64, _: Remap) -> Result<u64, Errno> {
        Ok(at)
    }

    fn set_heap_start(&mut self, at: u64) {
        self.heap_end = at;
    }

    fn brk(&mut self, end: u64) -> u64 {
        self.heap_end = self.heap_end.max(end);
        self.heap_end
    }

    fn advise(&mut self, at: u64, len: u64, _: Advice) -> Result<(), Errno> {
        Self::mapped(at, len)
    }

    fn lock(&mut self, at: u64, len: u64, _: Lock) -> Result<(), Errno> {
        Self::mapped(at, len)
    }

    fn lock_all(&mut self, _: Option<Lock>, _: Lock) -> Result<(), Errno> {
        Ok(())
    }

    fn sync(&mut self, at: u64, len: u64, _: Msync) -> Result<(), Errno> {
        Self::mapped(at, len)
    }

    fn resident(&mut self, at: u64, out: &mut [u8]) -> Result<usize, Errno> {
        Self::mapped(at, out.len() as u64 * Self::PAGE)?;
        out.fill(1);
        Ok(out.len())
    }

    fn before_file_read(&mut self, _: FileId, _: u64, _: u64) -> Result<(), Errno> {
        Ok(())
    }

    fn file_changed(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno> {
        self.changes.push((file, offset, len));
        Ok(())
    }

    fn forget_file(&mut self, _: FileId) -> bool {
        true
    }

    fn usage(&self) -> Usage {
        Usage { total: 256, free: 128, ..Usage::default() }
    }

    fn shortage(&self) -> Option<Shortage> {
        None
    }
}
