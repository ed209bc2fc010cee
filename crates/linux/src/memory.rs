//! The process's memory as system calls see it.
//!
//! ```text
//!   sys_*.rs ──► dyn UserMemory ──► KernelMemory { kernel, platform, space }   in the machine
//!                              └──► FlatMemory                                 in unit tests
//! ```
//!
//! Architecture invariants:
//! 1. A guest address reaches host memory only through [`UserMemory::read`] and
//!    [`UserMemory::write`], which fault pages in and honour the regions' protection.
//! 2. No length that the guest gives is allocated on the host: whatever can be long moves in pieces
//!    of at most [`CHUNK_BYTES`].

use crate::errno::Errno;
use pagewalk_kernel::{
    Advice, CollapseSettings, Commitment, FileId, FrameSummary, Group, GroupId, GroupLimits,
    GroupUse, Khugepaged, KsmStats, Lock, MapRequest, MemoryLimits, Merging, Msync, ObjectPages,
    OomKill, Overcommit, Placement, Prot, Region, RegionUsage, Remap, Residency, Shortage, SpaceId,
    Vmstat,
};
use std::ops::Range;

/// The largest piece in which system calls move bytes between the guest and the host.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Linux's bound on a path, including its terminator.
pub const PATH_MAX: usize = 4096;

/// Memory in use, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Frames of the machine.
    pub total: u64,
    /// Frames that are free.
    pub free: u64,
    /// Swap slots of the machine.
    pub swap_total: u64,
    /// Swap slots that are free.
    pub swap_free: u64,
    /// The process's highest residency.
    pub peak_resident: u64,
    /// Faults without input.
    pub minor_faults: u64,
    /// Faults with input.
    pub major_faults: u64,
}

/// A swap device, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwapUsage {
    /// Its slots.
    pub total: u64,
    /// Slots that hold a page.
    pub used: u64,
    /// The higher, the earlier it is filled.
    pub priority: i32,
    /// Whether it is in use.
    pub is_on: bool,
}

/// What backs a page, as /proc/PID/pagemap tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageEntry {
    /// Nothing.
    None,
    /// A frame.
    Present {
        /// Its number.
        frame: u64,
        /// It holds a page of a file or object.
        is_file: bool,
        /// Nothing else maps it.
        is_exclusive: bool,
    },
    /// A slot of a swap device.
    Swapped {
        /// The device's number.
        device: u64,
        /// The slot's within the device.
        slot: u64,
    },
}

/// The memory calls, and access to the guest's bytes.
pub trait UserMemory {
    /// The base page.
    fn page_bytes(&self) -> u64;

    /// The first address above the user's.
    fn user_end(&self) -> u64;

    /// Where a position-independent program is put: at two thirds of user space, as Linux on
    /// RISC-V does without randomisation.
    fn relocation_base(&self) -> u64 {
        self.user_end() / 3 * 2
    }

    /// The highest address of the first stack.
    fn stack_top(&self) -> u64;

    /// How far the first stack may grow, in bytes.
    fn stack_limit(&self) -> u64;

    /// Copies from the guest.
    ///
    /// # Errors
    /// EFAULT if some byte cannot be read; `buf` is then unspecified.
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<(), Errno>;

    /// Copies to the guest.
    ///
    /// # Errors
    /// EFAULT if some byte cannot be written; those before it may have been.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Errno>;

    /// Whether there is a place for a mapping: what mmap asks before it looks at the rest.
    ///
    /// # Errors
    /// As mmap(2).
    fn check_place(&self, place: Placement, len: u64) -> Result<(), Errno> {
        let _ = (place, len);
        Ok(())
    }

    /// Makes a mapping and returns its address.
    ///
    /// # Errors
    /// As mmap(2).
    fn map(&mut self, request: MapRequest) -> Result<u64, Errno>;

    /// Removes mappings.
    ///
    /// # Errors
    /// As munmap(2).
    fn unmap(&mut self, at: u64, len: u64) -> Result<(), Errno>;

    /// Changes protection.
    ///
    /// # Errors
    /// As mprotect(2).
    fn protect(&mut self, at: u64, len: u64, prot: Prot) -> Result<(), Errno>;

    /// Resizes or moves a mapping.
    ///
    /// # Errors
    /// As mremap(2).
    fn remap(&mut self, at: u64, old: u64, new: u64, how: Remap) -> Result<u64, Errno>;

    /// Says where the heap begins, once, when the program is loaded.
    fn set_heap_start(&mut self, at: u64);

    /// Moves the end of the heap if that is possible; returns where it is then.
    fn brk(&mut self, end: u64) -> u64;

    /// Takes advice.
    ///
    /// # Errors
    /// As madvise(2).
    fn advise(&mut self, at: u64, len: u64, advice: Advice) -> Result<(), Errno>;

    /// Locks pages into memory, or unlocks them.
    ///
    /// # Errors
    /// As mlock(2).
    fn lock(&mut self, at: u64, len: u64, lock: Lock) -> Result<(), Errno>;

    /// Locks all mappings: those that are there, if `current` says how, and those to come.
    ///
    /// # Errors
    /// As mlockall(2).
    fn lock_all(&mut self, current: Option<Lock>, future: Lock) -> Result<(), Errno>;

    /// Changes protection from the start of a region that grows down (PROT_GROWSDOWN).
    ///
    /// # Errors
    /// As mprotect(2).
    fn protect_stack(&mut self, at: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        self.protect(at, len, prot)
    }

    /// Shows another part of a file in a shared mapping, from this page of the file on.
    ///
    /// # Errors
    /// As remap_file_pages(2).
    fn remap_file_pages(&mut self, at: u64, len: u64, index: u64) -> Result<(), Errno> {
        let _ = (at, len, index);
        Err(Errno::EINVAL)
    }

    /// Names anonymous memory, as far as it can be named.
    ///
    /// # Errors
    /// As prctl(2) with PR_SET_VMA_ANON_NAME.
    fn name_memory(&mut self, at: u64, len: u64, name: Option<&[u8]>) -> Result<(), Errno> {
        let _ = (at, len, name);
        Err(Errno::EINVAL)
    }

    /// Sets the bounds of the process's memory.
    fn set_limits(&mut self, limits: MemoryLimits) {
        let _ = limits;
    }

    /// The machine's swap devices, in their order.
    fn swap_devices(&self) -> Vec<SwapUsage> {
        Vec::new()
    }

    /// Takes a swap device out of use, all its pages brought back.
    ///
    /// # Errors
    /// As swapoff(2).
    fn swap_off(&mut self, device: usize) -> Result<(), Errno> {
        let _ = device;
        Err(Errno::EINVAL)
    }

    /// Takes a swap device into use again, with this priority if one is given.
    ///
    /// # Errors
    /// As swapon(2).
    fn swap_on(&mut self, device: usize, priority: Option<i32>) -> Result<(), Errno> {
        let _ = (device, priority);
        Err(Errno::EINVAL)
    }

    /// Brings files up to date with shared pages.
    ///
    /// # Errors
    /// As msync(2).
    fn sync(&mut self, at: u64, len: u64, how: Msync) -> Result<(), Errno>;

    /// One byte for each page, 1 if resident. Answers for at most `out.len()` pages, or up to the
    /// end of a region, and returns for how many.
    ///
    /// # Errors
    /// ENOMEM if the first page is not mapped.
    fn resident(&mut self, at: u64, out: &mut [u8]) -> Result<usize, Errno>;

    /// Brings the host's file up to date with stores to shared mappings, before it is read.
    ///
    /// # Errors
    /// EIO, ENOSPC if the host cannot write.
    fn before_file_read(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno>;

    /// Says that the host's file has changed, so that mapped pages show it.
    ///
    /// # Errors
    /// EIO if a page cannot be read again.
    fn file_changed(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno>;

    /// Says that the host's file has `len` bytes now, and had `before`: pages behind the end are
    /// unmapped everywhere, copies of private mappings too.
    ///
    /// # Errors
    /// EIO if the page at the end cannot be read again.
    fn file_resized(&mut self, file: FileId, before: u64, len: u64) -> Result<(), Errno> {
        let start = before.min(len);
        self.file_changed(file, start, u64::MAX - start)
    }

    /// Makes a memory object of so many bytes, with one handle: a file without a device, whose
    /// pages are zeroes at first.
    ///
    /// # Errors
    /// EOVERFLOW if it is too long; ENOSYS where there are no pages to share, here and in all calls
    /// on objects.
    fn create_object(&mut self, len: u64) -> Result<FileId, Errno> {
        let _ = len;
        Err(Errno::ENOSYS)
    }

    /// One more handle of an object.
    ///
    /// # Errors
    /// ENOSYS.
    fn retain_object(&mut self, file: FileId) -> Result<(), Errno> {
        let _ = file;
        Err(Errno::ENOSYS)
    }

    /// One handle less: without handles and mappings the object is gone.
    ///
    /// # Errors
    /// ENOSYS.
    fn release_object(&mut self, file: FileId) -> Result<(), Errno> {
        let _ = file;
        Err(Errno::ENOSYS)
    }

    /// An object's length in bytes.
    ///
    /// # Errors
    /// EINVAL if there is no such object.
    fn object_len(&self, file: FileId) -> Result<u64, Errno> {
        let _ = file;
        Err(Errno::ENOSYS)
    }

    /// Changes an object's length. What is cut off is unmapped everywhere.
    ///
    /// # Errors
    /// EOVERFLOW if it is too long, ENOMEM or EIO if its last page cannot be brought in.
    fn set_object_len(&mut self, file: FileId, len: u64) -> Result<(), Errno> {
        let _ = (file, len);
        Err(Errno::ENOSYS)
    }

    /// Copies from an object; returns how many bytes there were before its end.
    ///
    /// # Errors
    /// ENOMEM or EIO if the first page cannot be brought in.
    fn read_object(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let _ = (file, offset, buf);
        Err(Errno::ENOSYS)
    }

    /// Copies to an object, which grows if need be; returns how many bytes were copied.
    ///
    /// # Errors
    /// As [`UserMemory::set_object_len`], for the first page.
    fn write_object(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let _ = (file, offset, bytes);
        Err(Errno::ENOSYS)
    }

    /// Makes a hole in an object; its length stays.
    ///
    /// # Errors
    /// ENOMEM or EIO if a page at an end of the range cannot be brought in.
    fn punch_object(&mut self, file: FileId, range: Range<u64>) -> Result<(), Errno> {
        let _ = (file, range);
        Err(Errno::ENOSYS)
    }

    /// The first byte from `offset` on that is not in a hole (SEEK_DATA).
    ///
    /// # Errors
    /// ENXIO if there is none before the object's end.
    fn object_data(&self, file: FileId, offset: u64) -> Result<u64, Errno> {
        let _ = (file, offset);
        Err(Errno::ENOSYS)
    }

    /// The first byte from `offset` on that is in a hole, or the object's end (SEEK_HOLE).
    ///
    /// # Errors
    /// ENXIO if `offset` is not before the object's end.
    fn object_hole(&self, file: FileId, offset: u64) -> Result<u64, Errno> {
        let _ = (file, offset);
        Err(Errno::ENOSYS)
    }

    /// How many pages of an object are in memory, and on swap alone.
    ///
    /// # Errors
    /// ENOSYS.
    fn object_pages(&self, file: FileId) -> Result<ObjectPages, Errno> {
        let _ = file;
        Err(Errno::ENOSYS)
    }

    /// Bytes that mappings of all address spaces have of a file.
    fn mapped_bytes(&self, file: FileId) -> u64 {
        let _ = file;
        0
    }

    /// Drops the pages cached of a file that no mapping names; false if one does.
    fn forget_file(&mut self, file: FileId) -> bool;

    /// The regions of a space, lowest first.
    fn regions(&self, space: SpaceId) -> Vec<Region> {
        let _ = space;
        Vec::new()
    }

    /// The regions of a space with what they hold.
    fn smaps(&self, space: SpaceId) -> Vec<RegionUsage> {
        let _ = space;
        Vec::new()
    }

    /// The name that a program gave to a region; empty if none.
    fn anonymous_name(&self, region: &Region) -> Vec<u8> {
        let _ = region;
        Vec::new()
    }

    /// What a space holds.
    fn residency(&self, space: SpaceId) -> Residency {
        let _ = space;
        Residency::default()
    }

    /// What backs a page of a space.
    fn page_entry(&self, space: SpaceId, at: u64) -> PageEntry {
        let _ = (space, at);
        PageEntry::None
    }

    /// What the kernel counted.
    fn counters(&self) -> Vmstat {
        Vmstat::default()
    }

    /// How the frames are used.
    fn frames(&self) -> FrameSummary {
        FrameSummary::default()
    }

    /// Whether mappings to come are locked (MCL_FUTURE).
    fn locks_future(&self) -> bool {
        false
    }

    /// What same-page merging did.
    fn ksm(&self) -> KsmStats {
        KsmStats::default()
    }

    /// Stops same-page merging, lets it go on, or undoes it.
    ///
    /// # Errors
    /// ENOMEM if there is no memory for the pages that were saved.
    fn set_merging(&mut self, merging: Merging) -> Result<(), Errno> {
        let _ = merging;
        Ok(())
    }

    /// The daemon that makes large pages, if there is one.
    fn khugepaged(&self) -> Option<Khugepaged> {
        None
    }

    /// Changes what it goes by.
    fn set_collapse(&mut self, settings: CollapseSettings) {
        let _ = settings;
    }

    /// The group that a space is in.
    fn group_of(&self, space: SpaceId) -> Option<GroupId> {
        let _ = space;
        None
    }

    /// The group that all others are below, if there is one.
    fn root_group(&self) -> Option<GroupId> {
        None
    }

    /// What a group may have, and what its members have; `None` if there is no such group.
    fn group(&self, group: GroupId) -> Option<(Group, GroupUse)> {
        let _ = group;
        None
    }

    /// Makes a group below another, or below the root.
    ///
    /// # Errors
    /// ENOSPC if there are too many, EPERM if there are no groups.
    fn create_group(&mut self, parent: Option<GroupId>) -> Result<GroupId, Errno> {
        let _ = parent;
        Err(Errno::EPERM)
    }

    /// Removes a group.
    ///
    /// # Errors
    /// EBUSY if it has members, or groups below it.
    fn remove_group(&mut self, group: GroupId) -> Result<(), Errno> {
        let _ = group;
        Err(Errno::EPERM)
    }

    /// Puts a space into a group, or into none.
    ///
    /// # Errors
    /// ENOMEM.
    fn join_group(&mut self, space: SpaceId, group: Option<GroupId>) -> Result<(), Errno> {
        let _ = (space, group);
        Err(Errno::EPERM)
    }

    /// Changes what a group may have.
    fn set_group_limits(&mut self, group: GroupId, limits: GroupLimits) {
        let _ = (group, limits);
    }

    /// Sets how much memory programs are promised.
    fn set_overcommit(&mut self, overcommit: Overcommit) {
        let _ = overcommit;
    }

    /// Sets the part of RAM that can be promised in mode 2, in percent.
    fn set_overcommit_ratio(&mut self, percent: u64) {
        let _ = percent;
    }

    /// What is promised, if anybody counts that.
    fn commitment(&self) -> Option<Commitment> {
        None
    }

    /// The size of large pages, if there are any.
    fn large_page_bytes(&self) -> Option<u64> {
        None
    }

    /// The address space that all this is about.
    fn space(&self) -> SpaceId {
        SpaceId(0)
    }

    /// Goes on with another address space.
    fn switch_space(&mut self, to: SpaceId) {
        let _ = to;
    }

    /// Makes an empty address space like the present one.
    ///
    /// # Errors
    /// ENOMEM, or ENOSYS where there is one for ever.
    fn create_space(&mut self) -> Result<SpaceId, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Makes a copy of the present address space.
    ///
    /// # Errors
    /// ENOMEM, or ENOSYS where there is one for ever.
    fn fork_space(&mut self) -> Result<SpaceId, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Frees an address space and all that it alone holds.
    fn destroy_space(&mut self, id: SpaceId) {
        let _ = id;
    }

    /// What a byte of shared memory is a byte of: the file and the offset in it.
    fn shared_place(&self, at: u64) -> Option<(FileId, u64)> {
        let _ = at;
        None
    }

    /// Memory in use.
    fn usage(&self) -> Usage;

    /// Sets how soon a space is killed for lack of memory.
    fn set_oom_score_adj(&mut self, space: SpaceId, adj: i16) {
        let _ = (space, adj);
    }

    /// What /proc/PID/oom_score says of a space.
    fn oom_score(&self, space: SpaceId) -> u64 {
        let _ = space;
        0
    }

    /// The spaces that were killed for lack of memory since this was last asked.
    fn take_oom_kills(&mut self) -> Vec<OomKill> {
        Vec::new()
    }

    /// Why an access failed for want of memory rather than of a mapping, if one did; the process is
    /// killed for it.
    fn shortage(&self) -> Option<Shortage>;

    /// How many bytes the last call that failed for want of memory lacked, where memory is given
    /// by the call and not by a later fault.
    fn bytes_missing(&self) -> Option<u64> {
        None
    }
}

/// Reads a value of `N` bytes.
///
/// # Errors
/// EFAULT if it cannot be read.
pub fn read_array<const N: usize>(memory: &mut dyn UserMemory, at: u64) -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    memory.read(at, &mut bytes)?;
    Ok(bytes)
}

/// Reads a 64-bit value.
///
/// # Errors
/// EFAULT if it cannot be read.
pub fn read_u64(memory: &mut dyn UserMemory, at: u64) -> Result<u64, Errno> {
    read_array(memory, at).map(u64::from_le_bytes)
}

/// Reads a 32-bit value.
///
/// # Errors
/// EFAULT if it cannot be read.
pub fn read_u32(memory: &mut dyn UserMemory, at: u64) -> Result<u32, Errno> {
    read_array(memory, at).map(u32::from_le_bytes)
}

/// Reads a path: bytes up to a zero, which is not returned.
///
/// # Errors
/// EFAULT if it cannot be read, ENAMETOOLONG if there is no zero within [`PATH_MAX`].
pub fn read_path(memory: &mut dyn UserMemory, at: u64) -> Result<Vec<u8>, Errno> {
    let mut path = Vec::new();
    let mut piece = [0; 64];
    while path.len() < PATH_MAX {
        let from = at.checked_add(path.len() as u64).ok_or(Errno::EFAULT)?;
        // A piece never crosses a 64-byte line, so never into a page that the string does not reach.
        let len = piece.len() - (from % piece.len() as u64) as usize;
        let part = &mut piece[..len];
        memory.read(from, part)?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            path.extend_from_slice(&part[..end]);
            return if path.len() < PATH_MAX { Ok(path) } else { Err(Errno::ENAMETOOLONG) };
        }
        path.extend_from_slice(part);
    }
    Err(Errno::ENAMETOOLONG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flat_memory::FlatMemory;

    #[test]
    fn paths_end_at_zero() {
        let mut memory = FlatMemory::new();
        memory.write(FlatMemory::START + 60, b"/etc/passwd\0junk").unwrap();
        let path = read_path(&mut memory, FlatMemory::START + 60).unwrap();
        assert_eq!(path, b"/etc/passwd");
    }

    #[test]
    fn a_path_may_end_with_memory() {
        let mut memory = FlatMemory::new();
        memory.write(FlatMemory::END - 3, b"ab\0").unwrap();
        assert_eq!(read_path(&mut memory, FlatMemory::END - 3).unwrap(), b"ab");
        memory.write(FlatMemory::END - 3, b"abc").unwrap();
        assert_eq!(read_path(&mut memory, FlatMemory::END - 3), Err(Errno::EFAULT));
        assert_eq!(read_path(&mut memory, u64::MAX), Err(Errno::EFAULT));
    }

    #[test]
    fn an_endless_path_is_too_long() {
        let mut memory = FlatMemory::new();
        memory.write(FlatMemory::START, &[b'a'; PATH_MAX]).unwrap();
        assert_eq!(read_path(&mut memory, FlatMemory::START), Err(Errno::ENAMETOOLONG));
    }
}
