//! Simulated RAM.
//!
//! One host mapping of zeroes, which the host's own demand paging makes lazy: memory that the
//! guest never touches costs nothing. The host is asked for large pages (Linux: MADV_HUGEPAGE):
//! frames fill from the lowest on, so few of their bytes are touched in vain, and where the guest
//! goes from page to page the host would take a TLB miss for each.
//!
//! ```text
//!   frame   0      1      2      3      4
//!        │      │ code │      │      │      │      watched: decoded code is kept of it
//!                  │ a write
//!                  ▼
//!          watched no more, listed as changed, epoch moves
//! ```
//!
//! Invariants:
//! 1. Every change of a byte goes through [`Ram::write`], [`Ram::frame_mut`] or [`Ram::put`]; the
//!    last is for frames that are not watched.
//! 2. A frame is listed as changed between the first change after it was watched and its being
//!    taken from the list.

use memmap2::MmapMut;
use pagewalk_cpu::Value;
use pagewalk_mmu::{EntryWidth, OutOfMemory, PageSize, Pfn, PhysAddr, TableMemory};

/// Simulated RAM.
#[derive(Debug)]
pub struct Ram {
    bytes: MmapMut,
    page: PageSize,
    watched: Vec<u64>,
    changed: Vec<Pfn>,
    epoch: u64,
}

impl Ram {
    /// RAM of `frames` frames, all zero.
    pub fn new(frames: u64, page: PageSize) -> Self {
        let bytes = usize::try_from(frames * page.bytes()).expect("RAM fits the host's addresses");
        Self {
            bytes: zeroes(bytes),
            page,
            watched: vec![0; frames.div_ceil(64) as usize],
            changed: Vec::new(),
            epoch: 0,
        }
    }

    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The size of a frame.
    pub const fn page(&self) -> PageSize {
        self.page
    }

    /// Reads a value that lies within RAM.
    #[inline(always)]
    pub fn get<T: Value>(&self, at: u64) -> T {
        T::from_le(&self.bytes[at as usize..][..T::BYTES])
    }

    /// Writes a value into a frame that is not watched.
    #[inline(always)]
    pub fn put<T: Value>(&mut self, at: u64, value: T) {
        value.to_le(&mut self.bytes[at as usize..][..T::BYTES]);
    }

    /// Reads bytes that lie within RAM.
    pub fn read(&self, at: PhysAddr, into: &mut [u8]) {
        into.copy_from_slice(&self.bytes[at.0 as usize..][..into.len()]);
    }

    /// Writes bytes within one frame.
    pub fn write(&mut self, at: PhysAddr, bytes: &[u8]) {
        self.notice(at.pfn(self.page));
        self.bytes[at.0 as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// A frame's bytes.
    pub fn frame(&self, pfn: Pfn) -> &[u8] {
        let start = pfn.base(self.page).0 as usize;
        &self.bytes[start..][..self.page.bytes() as usize]
    }

    /// A frame's bytes, to be changed.
    pub fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        self.notice(pfn);
        let start = pfn.base(self.page).0 as usize;
        &mut self.bytes[start..][..self.page.bytes() as usize]
    }

    /// Copies a frame.
    pub fn copy_frame(&mut self, from: Pfn, to: Pfn) {
        self.notice(to);
        let start = from.base(self.page).0 as usize;
        let range = start..start + self.page.bytes() as usize;
        self.bytes.copy_within(range, to.base(self.page).0 as usize);
    }

    /// Whether decoded code of the frame is kept.
    #[inline]
    pub fn is_watched(&self, pfn: Pfn) -> bool {
        self.watched[pfn.0 as usize / 64] >> (pfn.0 % 64) & 1 != 0
    }

    /// Keeps watch over a frame.
    pub fn watch(&mut self, pfn: Pfn) {
        self.watched[pfn.0 as usize / 64] |= 1 << (pfn.0 % 64);
    }

    /// A frame that changed while it was watched.
    pub fn take_changed(&mut self) -> Option<Pfn> {
        self.changed.pop()
    }

    /// How often a watched frame changed.
    #[inline]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    #[inline]
    fn notice(&mut self, pfn: Pfn) {
        if self.is_watched(pfn) {
            self.watched[pfn.0 as usize / 64] &= !(1 << (pfn.0 % 64));
            self.changed.push(pfn);
            self.epoch += 1;
        }
    }
}

/// So many bytes of the host's memory.
///
/// # Panics
/// If the host refuses so many: as when any other memory is refused, there is no way on.
fn zeroes(bytes: usize) -> MmapMut {
    let mapped = MmapMut::map_anon(bytes);
    let mapped = mapped.unwrap_or_else(|error| panic!("{bytes} bytes of RAM: {error}"));
    #[cfg(target_os = "linux")]
    {
        // A host without large pages refuses, and nothing but time is lost.
        let _in_vain = mapped.advise(memmap2::Advice::HugePage);
    }
    mapped
}

/// A copy costs only the frames that are not all zero.
impl Clone for Ram {
    fn clone(&self) -> Self {
        let mut bytes = zeroes(self.bytes.len());
        let frame = self.page.bytes() as usize;
        for (from, to) in self.bytes.chunks(frame).zip(bytes.chunks_mut(frame)) {
            if from.iter().any(|&byte| byte != 0) {
                to.copy_from_slice(from);
            }
        }
        Self {
            bytes,
            page: self.page,
            watched: self.watched.clone(),
            changed: self.changed.clone(),
            epoch: self.epoch,
        }
    }
}

impl TableMemory for Ram {
    #[inline]
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let bytes = usize::try_from(at.0)
            .ok()
            .and_then(|start| self.bytes.get(start..)?.get(..width.bytes() as usize))
            .ok_or(OutOfMemory(at))?;
        Ok(match width {
            EntryWidth::Four => u64::from(<u32 as Value>::from_le(bytes)),
            EntryWidth::Eight => <u64 as Value>::from_le(bytes),
        })
    }

    #[inline]
    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let end = at.0.checked_add(width.bytes()).ok_or(OutOfMemory(at))?;
        if end > self.bytes.len() as u64 {
            return Err(OutOfMemory(at));
        }
        self.notice(at.pfn(self.page));
        match width {
            EntryWidth::Four => self.put(at.0, value as u32),
            EntryWidth::Eight => self.put(at.0, value),
        }
        Ok(())
    }
}
