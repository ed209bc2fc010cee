//! Advice on memory, and what it is like: madvise, process_madvise, mincore, msync, mlock and its
//! kin, names. Flags and ranges are judged as Linux does (mm/madvise.c, mm/mincore.c, mm/msync.c,
//! mm/mlock.c of 6.18); the kernel does the work.

use crate::buffers::Buffers;
use crate::call::{Args, Call, descriptor, int};
use crate::credentials::CAP_IPC_LOCK;
use crate::errno::Errno;
use crate::memory::{CHUNK_BYTES, read_array};
use pagewalk_kernel::{Advice, HugeAdvice, Lock, Msync, NAME_BYTES_MAX, Region, RegionFlags};

const MS_ASYNC: u64 = 1;
const MS_INVALIDATE: u64 = 2;
const MS_SYNC: u64 = 4;

const MLOCK_ONFAULT: u64 = 1;

const MCL_CURRENT: u64 = 1;
const MCL_FUTURE: u64 = 2;
const MCL_ONFAULT: u64 = 4;

/// What a number means to madvise; `None` if nothing: so MADV_HWPOISON, on a kernel without
/// memory failures, and MADV_GUARD_INSTALL.
fn advice_of(number: i32) -> Option<Advice> {
    Some(match number {
        0 => Advice::Normal,
        1 => Advice::Random,
        2 => Advice::Sequential,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed { locked: false },
        8 => Advice::Free,
        9 => Advice::Remove,
        10 => Advice::DontFork,
        11 => Advice::DoFork,
        12 => Advice::Mergeable,
        13 => Advice::Unmergeable,
        14 => Advice::Huge(HugeAdvice::Use),
        15 => Advice::Huge(HugeAdvice::Avoid),
        16 => Advice::DontDump,
        17 => Advice::DoDump,
        18 => Advice::WipeOnFork,
        19 => Advice::KeepOnFork,
        20 => Advice::Cold,
        21 => Advice::PageOut,
        22 => Advice::PopulateRead,
        23 => Advice::PopulateWrite,
        24 => Advice::DontNeed { locked: true },
        25 => Advice::Collapse,
        _ => return None,
    })
}

/// The length of a range in whole pages; nothing may wrap.
fn advised_len(call: &Call<'_>, at: u64, len: u64) -> Result<u64, Errno> {
    let page_mask = call.memory.page_bytes() - 1;
    if at & page_mask != 0 {
        return Err(Errno::EINVAL);
    }
    let rounded = len.checked_add(page_mask).ok_or(Errno::EINVAL)? & !page_mask;
    at.checked_add(rounded).ok_or(Errno::EINVAL)?;
    Ok(rounded)
}

pub(crate) fn madvise(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, advice, ..] = args;
    let advice = advice_of(int(advice)).ok_or(Errno::EINVAL)?;
    advise(call, at, len, advice).map(|()| 0)
}

fn advise(call: &mut Call<'_>, at: u64, len: u64, advice: Advice) -> Result<(), Errno> {
    match advised_len(call, at, len)? {
        0 => Ok(()),
        len => call.memory.advise(at, len, advice),
    }
}

/// Advice on this process's own memory, by its descriptor.
pub(crate) fn process_madvise(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [pidfd, at, count, advice, flags, _] = args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let ranges = Buffers::vector(call, at, count)?;
    check_own_pidfd(call, descriptor(pidfd))?;
    let advice = advice_of(int(advice)).ok_or(Errno::EINVAL)?;
    let mut done = 0;
    for (at, len) in ranges.ranges() {
        match advise(call, at, len, advice) {
            Ok(()) => done += len,
            Err(error) if done == 0 => return Err(error),
            // What was advised before counts.
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Whether a descriptor names this very process: as PIDFD_SELF_THREAD and
/// PIDFD_SELF_THREAD_GROUP do.
fn check_own_pidfd(call: &Call<'_>, fd: u64) -> Result<(), Errno> {
    if [-10000, -20000].contains(&int(fd)) {
        return Ok(());
    }
    call.file(fd)?;
    Err(Errno::EBADF)
}

pub(crate) fn mincore(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, out, ..] = args;
    let page = call.memory.page_bytes();
    if at & (page - 1) != 0 {
        return Err(Errno::EINVAL);
    }
    let user_end = call.memory.user_end();
    if at.checked_add(len).is_none_or(|end| end > user_end) {
        return Err(Errno::ENOMEM);
    }
    let pages = len.div_ceil(page);
    if out.checked_add(pages).is_none_or(|end| end > user_end) {
        return Err(Errno::EFAULT);
    }
    let mut bytes = vec![0; pages.min(CHUNK_BYTES as u64) as usize];
    let mut done = 0;
    while done < pages {
        let piece = &mut bytes[..(pages - done).min(CHUNK_BYTES as u64) as usize];
        let known = call.memory.resident(at + done * page, piece)?;
        call.memory.write(out + done, &piece[..known])?;
        done += known as u64;
    }
    Ok(0)
}

pub(crate) fn msync(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, len, flags, ..] = args;
    let both = MS_ASYNC | MS_SYNC;
    let page_mask = call.memory.page_bytes() - 1;
    if flags & !(both | MS_INVALIDATE) != 0 || at & page_mask != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    // As Linux: a length that wraps when it is rounded up is no length.
    let len = len.wrapping_add(page_mask) & !page_mask;
    at.checked_add(len).ok_or(Errno::ENOMEM)?;
    match len {
        0 => Ok(0),
        len => {
            let how = Msync { write: flags & MS_SYNC != 0, invalidate: flags & MS_INVALIDATE != 0 };
            call.memory.sync(at, len, how).map(|()| 0)
        }
    }
}

/// Whether a range may be locked: what is locked already does not count twice.
///
/// # Errors
/// EPERM if nothing may be locked, ENOMEM if it would be more than RLIMIT_MEMLOCK.
pub(crate) fn check_lock(call: &Call<'_>, start: u64, len: u64) -> Result<(), Errno> {
    let limit = call.process.limits.locked_bytes();
    if call.process.credentials.can(CAP_IPC_LOCK) {
        return Ok(());
    }
    if limit == 0 {
        return Err(Errno::EPERM);
    }
    let end = start.saturating_add(len);
    let regions = call.memory.regions(call.process.space);
    let locked = regions.iter().filter(|region| region.flags.contains(RegionFlags::LOCKED));
    let elsewhere = locked.map(|region| {
        let within = region.end.0.min(end).saturating_sub(region.start.0.max(start));
        region.len() - within
    });
    match elsewhere.sum::<u64>().saturating_add(len) <= limit {
        true => Ok(()),
        false => Err(Errno::ENOMEM),
    }
}

/// Whether everything that is mapped may be locked, or what is mapped from now on.
fn check_lock_all(call: &Call<'_>, current: bool) -> Result<(), Errno> {
    let limit = call.process.limits.locked_bytes();
    if call.process.credentials.can(CAP_IPC_LOCK) {
        return Ok(());
    }
    let mapped = call.memory.regions(call.process.space).iter().map(Region::len).sum::<u64>();
    match limit {
        0 => Err(Errno::EPERM),
        _ if current && mapped > limit => Err(Errno::ENOMEM),
        _ => Ok(()),
    }
}

/// Locks or unlocks the pages that a range touches.
fn lock_range(call: &mut Call<'_>, at: u64, len: u64, lock: Lock) -> Result<u64, Errno> {
    let page_mask = call.memory.page_bytes() - 1;
    // As Linux: a length that wraps when it is rounded up is no length.
    let len = len.wrapping_add(at & page_mask).wrapping_add(page_mask) & !page_mask;
    let start = at & !page_mask;
    if lock != Lock::Not {
        check_lock(call, start, len)?;
    }
    start.checked_add(len).ok_or(Errno::EINVAL)?;
    match len {
        0 => Ok(0),
        len => call.memory.lock(start, len, lock).map(|()| 0),
    }
}

pub(crate) fn mlock(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    lock_range(call, args[0], args[1], Lock::Now)
}

pub(crate) fn mlock2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    match u64::from(args[2] as u32) {
        0 => lock_range(call, args[0], args[1], Lock::Now),
        MLOCK_ONFAULT => lock_range(call, args[0], args[1], Lock::OnFault),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn munlock(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    lock_range(call, args[0], args[1], Lock::Not)
}

pub(crate) fn mlockall(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let flags = u64::from(args[0] as u32);
    let known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
    if flags == 0 || flags & !known != 0 || flags == MCL_ONFAULT {
        return Err(Errno::EINVAL);
    }
    check_lock_all(call, flags & MCL_CURRENT != 0)?;
    let lock = if flags & MCL_ONFAULT != 0 { Lock::OnFault } else { Lock::Now };
    let current = (flags & MCL_CURRENT != 0).then_some(lock);
    let future = if flags & MCL_FUTURE != 0 { lock } else { Lock::Not };
    call.memory.lock_all(current, future).map(|()| 0)
}

pub(crate) fn munlockall(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    call.memory.lock_all(Some(Lock::Not), Lock::Not).map(|()| 0)
}

/// prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, len, name): a null `name` takes the name away.
pub(crate) fn name_memory(call: &mut Call<'_>, at: u64, len: u64, name: u64) -> Result<u64, Errno> {
    let name = match name {
        0 => None,
        at => Some(read_name(call, at)?),
    };
    match advised_len(call, at, len)? {
        0 => Ok(0),
        len => call.memory.name_memory(at, len, name.as_deref()).map(|()| 0),
    }
}

/// A name: printable, and nothing that would be taken for another field of `maps`.
fn read_name(call: &mut Call<'_>, at: u64) -> Result<Vec<u8>, Errno> {
    let mut name = Vec::new();
    while name.len() <= NAME_BYTES_MAX {
        let place = at.checked_add(name.len() as u64).ok_or(Errno::EFAULT)?;
        let [byte] = read_array(call.memory, place)?;
        match byte {
            0 => return Ok(name),
            b'\\' | b'`' | b'$' | b'[' | b']' => return Err(Errno::EINVAL),
            b' '..=b'~' => name.push(byte),
            _ => return Err(Errno::EINVAL),
        }
    }
    Err(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_linux() {
        // include/uapi/asm-generic/mman-common.h
        assert_eq!(advice_of(4), Some(Advice::DontNeed { locked: false }));
        assert_eq!(advice_of(8), Some(Advice::Free));
        assert_eq!(advice_of(18), Some(Advice::WipeOnFork));
        assert_eq!(advice_of(23), Some(Advice::PopulateWrite));
        for unknown in [-1, 5, 6, 7, 26, 100, 101] {
            assert_eq!(advice_of(unknown), None);
        }
    }
}
