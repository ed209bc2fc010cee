//! Mappings: brk, mmap, munmap, mprotect, mremap, remap_file_pages. The kernel does the work; here
//! flags are judged as Linux does (mm/mmap.c, mm/mprotect.c, mm/mremap.c of 6.18).
//!
//! Advice on memory and locks are in `sys_advice.rs`.

use crate::buffers::MAX_OFFSET;
use crate::call::{Args, Call, descriptor};
use crate::errno::Errno;
use crate::fd::{O_PATH, Object};
use crate::sys_advice::check_lock;
use crate::sys_seal;
use pagewalk_kernel::{Backing, MapRequest, Placement, Prot, RegionFlags, Remap};
use pagewalk_mmu::VirtAddr;

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
/// Known, without effect.
const PROT_SEM: u64 = 8;
const PROT_GROWSDOWN: u64 = 0x0100_0000;
const PROT_GROWSUP: u64 = 0x0200_0000;

const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_TYPE: u64 = 0xf;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x100;
const MAP_LOCKED: u64 = 0x2000;
const MAP_NORESERVE: u64 = 0x4000;
const MAP_POPULATE: u64 = 0x8000;
const MAP_NONBLOCK: u64 = 0x1_0000;
const MAP_HUGETLB: u64 = 0x4_0000;
const MAP_SYNC: u64 = 0x8_0000;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
/// The logarithm of a huge page's size, in MAP_HUGETLB mappings.
const MAP_HUGE_SHIFT: u32 = 26;
const MAP_HUGE_MASK: u64 = 0x3f;
/// All that MAP_SHARED_VALIDATE lets pass (LEGACY_MAP_MASK where there is neither MAP_32BIT nor
/// MAP_ABOVE4G). MAP_FIXED_NOREPLACE is not among them.
const LEGACY_MAP_MASK: u64 = MAP_SHARED
    | MAP_PRIVATE
    | MAP_FIXED
    | MAP_ANONYMOUS
    | MAP_GROWSDOWN
    | 0x800 // MAP_DENYWRITE
    | 0x1000 // MAP_EXECUTABLE
    | MAP_LOCKED
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_NONBLOCK
    | 0x2_0000 // MAP_STACK
    | MAP_HUGETLB
    | (21 | 30) << MAP_HUGE_SHIFT;

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const MREMAP_DONTUNMAP: u64 = 4;

pub(crate) fn brk(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(call.memory.brk(args[0]))
}

fn protection(bits: u64) -> Prot {
    let mut prot = Prot::empty();
    prot.set(Prot::READ, bits & PROT_READ != 0);
    prot.set(Prot::WRITE, bits & PROT_WRITE != 0);
    prot.set(Prot::EXEC, bits & PROT_EXEC != 0);
    prot
}

pub(crate) fn mmap(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, prot, flags, fd, offset] = args;
    let page_mask = call.memory.page_bytes() - 1;
    if offset & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    let anonymous = flags & MAP_ANONYMOUS != 0;
    if !anonymous {
        check_descriptor(call, descriptor(fd))?;
    }
    if flags & MAP_HUGETLB != 0 {
        return Err(no_huge_pages(anonymous, flags));
    }
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let len = len.checked_add(page_mask).ok_or(Errno::ENOMEM)? & !page_mask;
    let place = placement(VirtAddr(at), flags);
    call.memory.check_place(place, len)?;
    if flags & MAP_LOCKED != 0 || call.memory.locks_future() {
        // What it replaces counts, too.
        check_lock(call, u64::MAX, len).map_err(|errno| match errno {
            Errno::ENOMEM => Errno::EAGAIN,
            other => other,
        })?;
    }
    let request = MapRequest {
        place,
        grows_down: flags & MAP_GROWSDOWN != 0,
        flags: region_flags(flags),
        populate: flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE,
        // Bits that are no rights are ignored here, unlike in mprotect.
        ..MapRequest::anonymous(len, protection(prot))
    };
    let request = match anonymous {
        true => anonymous_mapping(request, flags)?,
        false => file_mapping(call, request, descriptor(fd), flags, offset)?,
    };
    call.memory.map(request)
}

/// As on a system whose pool of huge pages is empty.
fn no_huge_pages(anonymous: bool, flags: u64) -> Errno {
    // The sizes that RV64 has above the base page; 0 is the default one.
    let known = [0, 16, 21, 30].contains(&(flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK));
    if anonymous && known { Errno::ENOMEM } else { Errno::EINVAL }
}

fn region_flags(flags: u64) -> RegionFlags {
    let mut result = RegionFlags::empty();
    result.set(RegionFlags::LOCKED, flags & MAP_LOCKED != 0);
    result.set(RegionFlags::NO_RESERVE, flags & MAP_NORESERVE != 0);
    result
}

fn anonymous_mapping(request: MapRequest, flags: u64) -> Result<MapRequest, Errno> {
    match flags & MAP_TYPE {
        MAP_PRIVATE => Ok(request),
        MAP_SHARED if !request.grows_down => Ok(MapRequest { shared: true, ..request }),
        // MAP_SHARED_VALIDATE is for files.
        _ => Err(Errno::EINVAL),
    }
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

/// Whether there is something behind a descriptor that could be mapped.
fn check_descriptor(call: &Call<'_>, fd: u64) -> Result<(), Errno> {
    match call.file(fd)?.flags & O_PATH {
        0 => Ok(()),
        _ => Err(Errno::EBADF),
    }
}

/// The mapping of the file behind a descriptor, if it may be mapped so.
fn file_mapping(
    call: &Call<'_>,
    request: MapRequest,
    fd: u64,
    flags: u64,
    offset: u64,
) -> Result<MapRequest, Errno> {
    let description = call.file(fd)?;
    let is_file = matches!(description.object, Object::File(_));
    if is_file && offset > MAX_OFFSET.saturating_sub(request.len) {
        return Err(Errno::EOVERFLOW);
    }
    let shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED => true,
        MAP_SHARED_VALIDATE if flags & !LEGACY_MAP_MASK != 0 => return Err(Errno::EOPNOTSUPP),
        MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL),
    };
    // Stores of a private mapping never reach the file.
    let may_write = !shared || description.writable();
    if !description.readable() || (request.prot.contains(Prot::WRITE) && !may_write) {
        return Err(Errno::EACCES);
    }
    let file = match description.object {
        Object::File(file) => file,
        // Pages of zeroes, of nobody's or shared.
        Object::Zero => return Ok(MapRequest { shared, may_write, ..request }),
        _ => return Err(Errno::ENODEV),
    };
    let writes = shared && request.prot.contains(Prot::WRITE);
    let may_write = may_write && (!shared || sys_seal::may_map_writable(call, file, writes)?);
    if request.grows_down {
        return Err(Errno::EINVAL);
    }
    if flags & MAP_SYNC != 0 {
        // No file here is persistent memory.
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(MapRequest { backing: Backing::File { file, offset }, shared, may_write, ..request })
}

pub(crate) fn munmap(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.memory.unmap(args[0], args[1]).map(|()| 0)
}

pub(crate) fn mprotect(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, prot, ..] = args;
    let down = prot & PROT_GROWSDOWN != 0;
    let up = prot & PROT_GROWSUP != 0;
    let page_mask = call.memory.page_bytes() - 1;
    if (down && up) || at & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let len = len.checked_add(page_mask).ok_or(Errno::ENOMEM)? & !page_mask;
    at.checked_add(len).ok_or(Errno::ENOMEM)?;
    let known = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN;
    // Nothing grows up on this architecture.
    if prot & !known != 0 {
        return Err(Errno::EINVAL);
    }
    match down {
        true => call.memory.protect_stack(at, len, protection(prot)),
        false => call.memory.protect(at, len, protection(prot)),
    }
    .map(|()| 0)
}

pub(crate) fn mremap(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, old, new, flags, to, _] = args;
    if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 {
        return Err(Errno::EINVAL);
    }
    // Like Linux's PAGE_ALIGN, which wraps: the last page's worth of lengths is none.
    let page_mask = call.memory.page_bytes() - 1;
    let [old, new] = [old, new].map(|len| len.wrapping_add(page_mask) & !page_mask);
    let may_move = flags & MREMAP_MAYMOVE != 0;
    let how = match (flags & MREMAP_FIXED != 0, flags & MREMAP_DONTUNMAP != 0) {
        (false, false) if may_move => Remap::MayMove,
        (false, false) => Remap::InPlace,
        // A place, or to leave the mapping behind, implies a move.
        _ if !may_move => return Err(Errno::EINVAL),
        (true, false) => Remap::Fixed(VirtAddr(to)),
        (fixed, true) => {
            if old != new {
                return Err(Errno::EINVAL);
            }
            let to = VirtAddr(to);
            Remap::DontUnmap(match fixed {
                true => Placement::Fixed(to),
                false => Placement::Anywhere { hint: to },
            })
        }
    };
    call.memory.remap(at, old, new, how)
}

pub(crate) fn remap_file_pages(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, prot, index, ..] = args;
    // The flags are ignored but for MAP_NONBLOCK, which says nothing any more.
    if prot != 0 {
        return Err(Errno::EINVAL);
    }
    call.memory.remap_file_pages(at, len, index).map(|()| 0)
}
