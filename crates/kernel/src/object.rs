//! Memory objects: files that have no device behind them (tmpfs, memfd, System V and anonymous shared
//! memory).
//!
//! ```text
//!   object, page by index
//!     nothing            a hole: reads as zeroes
//!     frame              in the page cache, under the object's FileId
//!     frame + slot       … and the slot has the same bytes, or had them
//!     slot               evicted
//!
//!            touch, write             evict                 touch
//!     hole ──────────────► frame ──────────────► slot ──────────────► frame + slot ─► …
//!       ▲                    │                    │                        │
//!       └────────────────────┴─ punch, shrink ────┴────────────────────────┘
//! ```
//!
//! Mappings see an object as any file: faults find its pages in the page cache, private mappings
//! copy on write. What differs is where a page comes from when it is not there, and where it goes
//! when it is evicted.
//!
//! An object lives while it has a handle (an open file, a System V identifier) or a region maps it.
//! How many bytes regions map of each file is counted as regions come and go
//! ([`Objects::mapped`]), so that nothing has to be searched.
//!
//! Invariants:
//! 1. `pages` has every page that is in the cache or on the swap device, and no other; none lies
//!    beyond the object's end.
//! 2. A page's slot is named once (by the object) while the page is not in memory; else it is kept.
//! 3. A page in memory without a slot is dirty: it must not be taken for a hole.

use crate::fault::Refusal;
use crate::identity::file_page;
use crate::space::space_in;
use crate::transfer::Source;
use crate::{Errno, FileId, Kernel, Platform, Pmap, Signal, SpaceId, SwapSlot, Use};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::PageKind;

/// What of an object is in use, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectPages {
    /// In memory.
    pub resident: u64,
    /// On the swap device alone.
    pub swapped: u64,
}

/// One object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub len: u64,
    /// The pages that are not holes, and the slot of each if it has one.
    pub pages: BTreeMap<u32, Option<SwapSlot>>,
    /// How many of them are in memory.
    pub resident: u64,
    pub handles: u32,
}

/// All objects, and how much of each file is mapped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    pub by_id: BTreeMap<FileId, Object>,
    next: u32,
    /// Bytes that regions map of each file, objects or not.
    pub mapped: BTreeMap<FileId, u64>,
}

impl Objects {
    /// Makes an object; numbers are used again only when all are used up.
    fn create(&mut self, len: u64, handles: u32) -> FileId {
        let mut id = FileId::memory(self.next);
        while self.by_id.contains_key(&id) {
            self.next = self.next.wrapping_add(1);
            id = FileId::memory(self.next);
        }
        self.next = self.next.wrapping_add(1);
        self.by_id.insert(id, Object { len, handles, ..Object::default() });
        id
    }

    pub fn get_mut(&mut self, id: FileId) -> Option<&mut Object> {
        self.by_id.get_mut(&id)
    }

    /// The slot of a page.
    pub fn slot(&self, id: FileId, index: u32) -> Option<SwapSlot> {
        self.by_id.get(&id)?.pages.get(&index).copied().flatten()
    }

    /// Changes the slot of a page, which is no hole.
    pub fn set_slot(&mut self, id: FileId, index: u32, slot: Option<SwapSlot>) {
        if let Some(object) = self.by_id.get_mut(&id) {
            object.pages.insert(index, slot);
        }
    }

    /// The pages that have a slot, in order.
    pub fn swapped(&self) -> Vec<(FileId, u32)> {
        let of = |(&id, object): (&FileId, &Object)| {
            let with_slot = |(&index, slot): (&u32, &Option<_>)| slot.is_some().then_some(index);
            let pages: Vec<u32> = object.pages.iter().filter_map(with_slot).collect();
            pages.into_iter().map(move |index| (id, index))
        };
        self.by_id.iter().flat_map(of).collect()
    }

    fn is_mapped(&self, id: FileId) -> bool {
        self.mapped.contains_key(&id)
    }
}

impl<P: Pmap> Kernel<P> {
    /// Makes an object of so many bytes, all zeroes, with one handle.
    ///
    /// # Errors
    /// `Eoverflow` if its pages cannot be numbered.
    pub fn create_object(&mut self, len: u64) -> Result<FileId, Errno> {
        self.check_object_len(len)?;
        Ok(self.objects.create(len, 1))
    }

    /// Makes an object for a mapping that nobody has a handle of.
    pub(crate) fn create_mapped_object(&mut self, len: u64) -> FileId {
        self.objects.create(len, 0)
    }

    /// The length of an object, in bytes; `None` if there is no such object.
    pub fn object_len(&self, id: FileId) -> Option<u64> {
        self.objects.by_id.get(&id).map(|object| object.len)
    }

    /// How much of an object is in use; nothing if there is no such object.
    pub fn object_pages(&self, id: FileId) -> ObjectPages {
        self.objects.by_id.get(&id).map_or_else(ObjectPages::default, |object| ObjectPages {
            resident: object.resident,
            swapped: object.pages.len() as u64 - object.resident,
        })
    }

    /// Bytes that the regions of all spaces map of a file, an object or not.
    pub fn mapped_bytes(&self, file: FileId) -> u64 {
        self.objects.mapped.get(&file).copied().unwrap_or(0)
    }

    /// One more handle.
    ///
    /// # Panics
    /// If there is no such object: who copies a handle has one.
    pub fn retain_object(&mut self, id: FileId) {
        self.objects.get_mut(id).expect("an object in use").handles += 1;
    }

    /// One handle less. The object is gone with the last, unless it is mapped: then with the last
    /// mapping.
    ///
    /// # Panics
    /// If it has no handle.
    pub fn release_object(&mut self, platform: &mut impl Platform, id: FileId) {
        let object = self.objects.get_mut(id).expect("an object in use");
        object.handles = object.handles.checked_sub(1).expect("a handle");
        self.free_object_unused(platform, id);
    }

    /// Makes an object longer, by zeroes, or shorter: what is cut off is unmapped everywhere, copies
    /// of private mappings too, and accesses there are SIGBUS.
    ///
    /// # Errors
    /// `Eoverflow` if its pages cannot be numbered, `Eio` or `Enomem` if the last page that stays
    /// cannot be brought in to be zeroed behind the end (nothing is changed then), `Einval` if there
    /// is no such object.
    pub fn set_object_len(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        len: u64,
    ) -> Result<(), Errno> {
        self.check_object_len(len)?;
        let before = self.object_len(id).ok_or(Errno::Einval)?;
        let end = before.min(len);
        // Programs can have stored behind the end, in the last page.
        let behind = end..end.next_multiple_of(self.page.bytes());
        self.zero_object(platform, id, behind)?;
        if len < before {
            self.unmap_file_from(platform, id, len);
            self.drop_object_pages(platform, id, self.pages_within(len..u64::MAX));
        }
        if let Some(object) = self.objects.get_mut(id) {
            object.len = len;
        }
        Ok(())
    }

    /// Makes a hole: the range reads as zeroes, and its whole pages take no memory. Bytes beyond the
    /// end are none.
    ///
    /// # Errors
    /// As [`Kernel::set_object_len`], for the pages at both ends that are in the range in part.
    pub fn punch_object(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        let len = self.object_len(id).ok_or(Errno::Einval)?;
        let page = self.page.bytes();
        let (start, end) = (range.start, range.end.min(len));
        if start >= end {
            return Ok(());
        }
        // What is behind the end of the last page is zero, or nobody's.
        let whole_end = if end == len { end.next_multiple_of(page) } else { end / page * page };
        let whole = start.next_multiple_of(page)..whole_end;
        if whole.start > whole.end {
            return self.zero_object(platform, id, start..end);
        }
        self.zero_object(platform, id, start..whole.start.min(end))?;
        self.zero_object(platform, id, whole.end.min(end)..end)?;
        self.drop_object_pages(platform, id, self.pages_within(whole));
        Ok(())
    }

    /// Copies from an object; returns how many bytes there were before its end. Holes are not
    /// filled.
    ///
    /// # Errors
    /// `Eio` or `Enomem` if the first page cannot be brought in, `Einval` if there is no such object.
    pub fn read_object(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<usize, Errno> {
        let len = self.object_len(id).ok_or(Errno::Einval)?;
        let count = (buf.len() as u64).min(len.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let within = (at % self.page.bytes()) as usize;
            let part = (self.page.bytes() as usize - within).min(count - done);
            let to = &mut buf[done..done + part];
            match self.object_page_if_any(platform, id, at) {
                Ok(Some(pfn)) => to.copy_from_slice(&platform.frame(pfn)[within..within + part]),
                Ok(None) => to.fill(0),
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
            done += part;
        }
        Ok(done)
    }

    /// Copies to an object, which grows if need be; returns how many bytes were copied.
    ///
    /// # Errors
    /// `Eoverflow` if the first byte's page cannot be numbered, `Eio` or `Enomem` if it cannot be
    /// brought in, `Einval` if there is no such object.
    pub fn write_object(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, Errno> {
        let len = self.object_len(id).ok_or(Errno::Einval)?;
        if offset > len && !bytes.is_empty() {
            self.set_object_len(platform, id, offset)?;
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = offset.checked_add(done as u64).ok_or(Errno::Eoverflow)?;
            match self.write_object_part(platform, id, at, &bytes[done..]) {
                Ok(part) => done += part,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Writes up to the end of one page.
    fn write_object_part(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        at: u64,
        bytes: &[u8],
    ) -> Result<usize, Errno> {
        let within = (at % self.page.bytes()) as usize;
        let part = (self.page.bytes() as usize - within).min(bytes.len());
        let end = at.checked_add(part as u64).ok_or(Errno::Eoverflow)?;
        self.check_object_len(end)?;
        self.reserve_frames(platform, 1).map_err(|_| Errno::Enomem)?;
        let (pfn, _) = self.object_page(platform, id, self.index_of(at)).map_err(|_| Errno::Eio)?;
        platform.frame_mut(pfn)[within..within + part].copy_from_slice(&bytes[..part]);
        self.frames.set_dirty(pfn, true);
        if let Some(object) = self.objects.get_mut(id) {
            object.len = object.len.max(end);
        }
        Ok(part)
    }

    /// The first byte from `offset` on that is not in a hole (SEEK_DATA); `None` if there is none
    /// before the end.
    pub fn object_data(&self, id: FileId, offset: u64) -> Option<u64> {
        let object = self.objects.by_id.get(&id)?;
        let first = u32::try_from(offset >> self.page.shift()).ok()?;
        let (&index, _) = object.pages.range(first..).next()?;
        let at = offset.max(u64::from(index) << self.page.shift());
        (at < object.len).then_some(at)
    }

    /// The first byte from `offset` on that is in a hole, or the end (SEEK_HOLE); `None` if `offset`
    /// is not before the end.
    pub fn object_hole(&self, id: FileId, offset: u64) -> Option<u64> {
        let object = self.objects.by_id.get(&id).filter(|object| offset < object.len)?;
        let first = u32::try_from(offset >> self.page.shift()).ok()?;
        let mut end = u64::from(first);
        for (&index, _) in object.pages.range(first..) {
            if u64::from(index) != end {
                break;
            }
            end += 1;
        }
        Some(offset.max(end << self.page.shift()).min(object.len))
    }

    /// The frame of an object's page, read or made if it is not in the cache, and whether it was
    /// read. The caller reserved a frame, and knows that the object ends behind the page, or makes
    /// it so.
    pub(crate) fn object_page(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        index: u32,
    ) -> Result<(Pfn, bool), Refusal> {
        if let Some(pfn) = self.cache.find(&self.frames, id, index) {
            return Ok((pfn, self.transfers.has_read()));
        }
        let slot = self.objects.slot(id, index);
        if let Some(slot) = slot {
            self.read_or_wait(platform, Source::Object(id, index, slot), PageKind::Anon)?;
        }
        let valid = self.page.bytes() as u32;
        let pfn = self.allocate_page(Use::File { file: id, index, valid });
        match slot {
            None => {
                platform.zero_frame(pfn);
                self.counters.pgzeroed += 1;
                self.frames.set_dirty(pfn, true);
            }
            Some(slot) => {
                if !self.swap_read(platform, slot, pfn) {
                    self.frames.release(pfn);
                    self.counters.pgfree += 1;
                    return Err(Refusal::Signal(Signal::Bus));
                }
                self.swap.keep(slot);
                self.swap.drop_names(slot, 1);
            }
        }
        if let Some(object) = self.objects.get_mut(id) {
            object.pages.insert(index, slot);
            object.resident += 1;
        }
        self.cache.insert(&self.frames, pfn);
        match slot {
            Some(slot) => self.admit_from(platform, pfn, slot),
            None => self.admit(platform, pfn, file_page(id, index), PageKind::Anon),
        }
        Ok((pfn, slot.is_some()))
    }

    /// The same, but a hole stays one.
    fn object_page_if_any(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        at: u64,
    ) -> Result<Option<Pfn>, Errno> {
        let index = self.index_of(at);
        let object = self.objects.by_id.get(&id);
        if !object.is_some_and(|object| object.pages.contains_key(&index)) {
            return Ok(None);
        }
        if self.cache.find(&self.frames, id, index).is_none() {
            self.reserve_frames(platform, 1).map_err(|_| Errno::Enomem)?;
        }
        let (pfn, _) = self.object_page(platform, id, index).map_err(|_| Errno::Eio)?;
        Ok(Some(pfn))
    }

    /// Zeroes a range within one page.
    fn zero_object(
        &mut self,
        platform: &mut impl Platform,
        id: FileId,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        if let Some(pfn) = self.object_page_if_any(platform, id, range.start)? {
            let from = (range.start % self.page.bytes()) as usize;
            let len = (range.end - range.start) as usize;
            platform.frame_mut(pfn)[from..from + len].fill(0);
            self.frames.set_dirty(pfn, true);
        }
        Ok(())
    }

    /// Makes pages holes, unmapping them.
    fn drop_object_pages(&mut self, platform: &mut impl Platform, id: FileId, pages: Range<u64>) {
        let Some(object) = self.objects.get_mut(id) else { return };
        let Ok(first) = u32::try_from(pages.start) else { return };
        let mut cut = object.pages.split_off(&first);
        if let Ok(end) = u32::try_from(pages.end) {
            object.pages.append(&mut cut.split_off(&end));
        }
        for (index, slot) in cut {
            let frame = self.cache.find(&self.frames, id, index);
            if let Some(pfn) = frame {
                self.unmap_everywhere(platform, pfn);
                self.free_page(pfn);
            }
            match (slot, frame) {
                (Some(slot), Some(_)) => self.swap.unkeep(slot),
                (Some(slot), None) => self.swap.drop_names(slot, 1),
                (None, _) => {}
            }
        }
    }

    /// Takes its slot from an object's page that is in memory, which is dirty from then on.
    pub(crate) fn drop_object_slot(&mut self, pfn: Pfn, id: FileId, index: u32) {
        if let Some(slot) = self.objects.slot(id, index) {
            self.swap.unkeep(slot);
            self.frames.set_dirty(pfn, true);
            self.objects.set_slot(id, index, None);
        }
    }

    /// Whether the object ends before the page.
    pub(crate) fn is_beyond_object(&self, id: FileId, offset: u64) -> bool {
        self.object_len(id).is_none_or(|len| offset >= len)
    }

    /// Takes over what a space's regions map now, and frees the objects that nobody needs any more.
    /// Called at the end of every call that changes regions.
    pub(crate) fn settle_mapped(&mut self, platform: &mut impl Platform, id: SpaceId) {
        let changes = self.space_mut(id).regions.take_changes();
        for (file, change) in changes {
            let bytes = self.mapped_bytes(file).wrapping_add_signed(change);
            match bytes {
                0 => drop(self.objects.mapped.remove(&file)),
                _ => drop(self.objects.mapped.insert(file, bytes)),
            }
            if bytes == 0 {
                self.free_object_unused(platform, file);
            }
        }
    }

    fn free_object_unused(&mut self, platform: &mut impl Platform, id: FileId) {
        let idle = self.objects.by_id.get(&id).is_some_and(|object| object.handles == 0);
        if idle && !self.objects.is_mapped(id) {
            self.drop_object_pages(platform, id, 0..u64::MAX);
            self.objects.by_id.remove(&id);
        }
    }

    /// Unmaps a file's pages from `offset` on, rounded up to a page, in all spaces: private copies as
    /// well.
    pub(crate) fn unmap_file_from(
        &mut self,
        platform: &mut impl Platform,
        file: FileId,
        offset: u64,
    ) {
        if !self.objects.is_mapped(file) {
            return;
        }
        let offset = offset.next_multiple_of(self.page.bytes());
        for index in 0..self.spaces.len() {
            if self.spaces[index].is_none() {
                continue;
            }
            let id = SpaceId(index as u32);
            let regions = space_in(&mut self.spaces, id).regions.iter();
            let ranges: Vec<(VirtAddr, VirtAddr)> = regions
                .filter_map(|region| {
                    let (of, start) = region.file_at(region.start)?;
                    let from = offset.saturating_sub(start);
                    (of == file && from < region.len())
                        .then(|| (VirtAddr(region.start.0 + from), region.end))
                })
                .collect();
            for (from, to) in ranges {
                self.clear_pages(platform, id, from, to);
            }
        }
    }

    fn index_of(&self, offset: u64) -> u32 {
        (offset >> self.page.shift()) as u32
    }

    /// The pages that begin in a range of bytes.
    fn pages_within(&self, bytes: Range<u64>) -> Range<u64> {
        let up = |at: u64| at.div_ceil(self.page.bytes());
        up(bytes.start)..up(bytes.end)
    }

    /// Pages are numbered with 32 bits.
    fn check_object_len(&self, len: u64) -> Result<(), Errno> {
        if len > 1 << (32 + self.page.shift()) { Err(Errno::Eoverflow) } else { Ok(()) }
    }
}
