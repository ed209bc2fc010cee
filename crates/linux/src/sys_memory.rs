//! Memory: brk, mmap and their kin. The kernel does the work; here flags are judged as Linux does.

use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{O_PATH, Object};
use crate::memory::CHUNK_BYTES;
use pagewalk_kernel::{Backing, HugeAdvice, MapRequest, Placement, Prot, Remap};
use pagewalk_mmu::VirtAddr;

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
/// PROT_GROWSDOWN, PROT_GROWSUP and PROT_SEM: known, without effect here.
const PROT_OTHER: u64 = 0x0300_0008;

const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_TYPE: u64 = 0xf;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x100;
const MAP_HUGETLB: u64 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
/// All that MAP_SHARED_VALIDATE lets pass besides the type (LEGACY_MAP_MASK and newer ones).
const MAP_KNOWN: u64 = 0x1f_ff30 | MAP_GROWSDOWN;

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;

const MS_ASYNC: u64 = 1;
const MS_INVALIDATE: u64 = 2;
const MS_SYNC: u64 = 4;

pub(crate) fn brk(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(call.memory.brk(args[0]))
}

fn protection(bits: u64) -> Result<Prot, Errno> {
    if bits & !(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_OTHER) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut prot = Prot::empty();
    prot.set(Prot::READ, bits & PROT_READ != 0);
    prot.set(Prot::WRITE, bits & PROT_WRITE != 0);
    prot.set(Prot::EXEC, bits & PROT_EXEC != 0);
    Ok(prot)
}

pub(crate) fn mmap(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, prot, flags, fd, offset] = args;
    let page_mask = call.memory.page_bytes() - 1;
    if len == 0 || offset & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    let shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED => true,
        MAP_SHARED_VALIDATE if flags & !(MAP_TYPE | MAP_KNOWN) != 0 => {
            return Err(Errno::EOPNOTSUPP);
        }
        MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL),
    };
    if flags & MAP_HUGETLB != 0 {
        // As on a system with no huge pages reserved.
        return Err(Errno::ENOMEM);
    }
    let prot = protection(prot & 7)?;
    let grows_down = flags & MAP_GROWSDOWN != 0;
    let place = placement(VirtAddr(at), flags);
    let anonymous = MapRequest { place, shared, grows_down, ..MapRequest::anonymous(len, prot) };
    let request = if flags & MAP_ANONYMOUS != 0 {
        anonymous
    } else {
        offset.checked_add(len).ok_or(Errno::EOVERFLOW)?;
        file_mapping(call, anonymous, descriptor(fd), offset)?
    };
    call.memory.map(request)
}

fn placement(at: VirtAddr, flags: u64) -> Placement {
    if flags & MAP_FIXED_NOREPLACE != 0 {
        Placement::FixedNoReplace(at)
    } else if flags & MAP_FIXED != 0 {
        Placement::Fixed(at)
    } else {
        Placement::Anywhere { hint: at }
    }
}

/// The mapping of the file behind a descriptor, if it may be mapped so.
fn file_mapping(
    call: &Call<'_>,
    request: MapRequest,
    fd: u64,
    offset: u64,
) -> Result<MapRequest, Errno> {
    let description = call.file(fd)?;
    if description.flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    // Stores of a private mapping never reach the file.
    let may_write = !request.shared || description.writable();
    if !description.readable() || (request.prot.contains(Prot::WRITE) && !may_write) {
        return Err(Errno::EACCES);
    }
    let Object::File(file) = description.object else { return Err(Errno::ENODEV) };
    Ok(MapRequest { backing: Backing::File { file, offset }, may_write, ..request })
}

pub(crate) fn munmap(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.memory.unmap(args[0], args[1]).map(|()| 0)
}

pub(crate) fn mprotect(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, prot, ..] = args;
    let prot = protection(prot)?;
    let page_mask = call.memory.page_bytes() - 1;
    if at & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    call.memory.protect(at, len, prot).map(|()| 0)
}

pub(crate) fn mremap(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, old, new, flags, to, _] = args;
    let page_mask = call.memory.page_bytes() - 1;
    let how = match flags {
        0 => Remap::InPlace,
        MREMAP_MAYMOVE => Remap::MayMove,
        f if f == MREMAP_MAYMOVE | MREMAP_FIXED && to & page_mask == 0 => {
            Remap::Fixed(VirtAddr(to))
        }
        // MREMAP_DONTUNMAP comes with the calls on shared memory.
        _ => return Err(Errno::EINVAL),
    };
    if at & page_mask != 0 || new == 0 || old == 0 {
        return Err(Errno::EINVAL);
    }
    call.memory.remap(at, old, new, how)
}

/// Rounds a length up to pages.
fn page_range(call: &Call<'_>, at: u64, len: u64) -> Result<u64, Errno> {
    let page_mask = call.memory.page_bytes() - 1;
    if at & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    let rounded = len.checked_add(page_mask).ok_or(Errno::EINVAL)? & !page_mask;
    at.checked_add(rounded).ok_or(Errno::EINVAL)?;
    Ok(rounded)
}

pub(crate) fn madvise(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const NORMAL: i32 = 0;
    const WILLNEED: i32 = 3;
    const DONTNEED: i32 = 4;
    const FREE: i32 = 8;
    const HUGEPAGE: i32 = 14;
    const NOHUGEPAGE: i32 = 15;
    let [at, len, advice, ..] = args;
    let len = page_range(call, at, len)?;
    if len == 0 {
        return Ok(0);
    }
    match int(advice) {
        // Freeing at once is one of the times at which MADV_FREE may free.
        DONTNEED | FREE => call.memory.discard(at, len).map(|()| 0),
        HUGEPAGE => call.memory.advise_huge(at, len, HugeAdvice::Use).map(|()| 0),
        NOHUGEPAGE => call.memory.advise_huge(at, len, HugeAdvice::Avoid).map(|()| 0),
        // RANDOM, SEQUENTIAL, WILLNEED, DONTDUMP, DODUMP, COLD, PAGEOUT: hints that may be ignored.
        NORMAL..=WILLNEED | 16 | 17 | 20 | 21 => call.memory.check_mapped(at, len).map(|()| 0),
        // DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK: without fork they hold by themselves.
        10 | 11 | 18 | 19 => call.memory.check_mapped(at, len).map(|()| 0),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn mincore(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, out, ..] = args;
    let page = call.memory.page_bytes();
    let len = page_range(call, at, len)
        .map_err(|e| if at & (page - 1) == 0 { Errno::ENOMEM } else { e })?;
    let pages = len / page;
    let mut bytes = vec![0; pages.min(CHUNK_BYTES as u64) as usize];
    let mut done = 0;
    while done < pages {
        let piece = &mut bytes[..(pages - done).min(CHUNK_BYTES as u64) as usize];
        call.memory.resident(at + done * page, piece)?;
        call.memory.write(out.checked_add(done).ok_or(Errno::EFAULT)?, piece)?;
        done += piece.len() as u64;
    }
    Ok(0)
}

pub(crate) fn msync(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, flags, ..] = args;
    let both = MS_ASYNC | MS_SYNC;
    if flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let page_mask = call.memory.page_bytes() - 1;
    if at & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    let len = page_range(call, at, len).map_err(|_| Errno::ENOMEM)?;
    if len == 0 {
        return Ok(0);
    }
    if flags & MS_SYNC != 0 {
        return call.memory.sync(at, len).map(|()| 0);
    }
    call.memory.check_mapped(at, len).map(|()| 0)
}

/// mlock and munlock: a check of the range. Pages stay pageable: there is no memory to lock them
/// into that the user did not give for paging.
pub(crate) fn lock(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let page_mask = call.memory.page_bytes() - 1;
    let start = args[0] & !page_mask;
    let end = args[0].checked_add(args[1]).ok_or(Errno::EINVAL)?;
    if args[1] == 0 {
        return Ok(0);
    }
    let len = page_range(call, start, end - start)?;
    call.memory.check_mapped(start, len).map(|()| 0)
}

/// mlockall and munlockall.
pub(crate) fn succeed(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(0)
}
