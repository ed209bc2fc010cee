//! futex_waitv: a wait at several words at once.
//!
//! ```text
//!   struct futex_waitv   0        8          16       20          24
//!                        │ value  │ address  │ flags  │ reserved  │
//! ```
//!
//! All words have their values: the thread waits until one is woken, and is told the number of that.
//!
//! Source: Linux Documentation/userspace-api/futex2.rst.

use crate::call::{Args, Call};
use crate::errno::Errno;
use crate::memory::{read_u32, read_u64};
use crate::sys_futex::{ANY_BIT, CLOCK_REALTIME, PRIVATE, key, now};
use crate::wait::{Channel, FutexKey};

const WORDS_MAX: u64 = 128;
const ENTRY_BYTES: u64 = 24;
/// FUTEX_32: the only size that there is.
const SIZE_U32: u32 = 2;

pub(crate) fn futex_waitv(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [entries, count, flags, timeout, clock, _] = args;
    if flags as u32 != 0 || count as u32 == 0 || u64::from(count as u32) > WORDS_MAX || entries == 0
    {
        return Err(Errno::EINVAL);
    }
    if timeout != 0 && clock as u32 > 1 {
        return Err(Errno::EINVAL);
    }
    let progress = &call.thread.progress;
    if progress.woken {
        // The words may be unmapped by now.
        let is_it = |&key: &FutexKey| Some(key) == progress.woken_at;
        return Ok(progress.several.iter().position(is_it).unwrap_or(0) as u64);
    }
    if !progress.again {
        let words = read(call, entries, count as u32)?;
        // CLOCK_REALTIME is clock 0; futex(2) says the same with a flag.
        let operation = if clock as u32 == 0 { CLOCK_REALTIME } else { 0 };
        let until = call.read_timespec(timeout)?;
        let now = now(call, operation);
        call.deadline(until.map(|ns| ns.saturating_sub(now)));
        for word in &words {
            if read_u32(call.memory, word.at)? != word.value {
                return Err(Errno::EAGAIN);
            }
        }
        call.thread.progress.several = words.iter().map(|word| word.key).collect();
    }
    let deadline = call.thread.progress.deadline_ns;
    if call.is_over(deadline) {
        return Err(Errno::ETIMEDOUT);
    }
    let keys = &call.thread.progress.several;
    let channels = keys.iter().map(|&key| Channel::Futex(key)).collect();
    call.thread.progress.futex = keys.first().map(|&key| (key, ANY_BIT));
    Err(call.wait("futex_waitv", channels, deadline, Errno::ERESTARTSYS))
}

struct Word {
    key: FutexKey,
    at: u64,
    value: u32,
}

/// Reads the entries; there is at least one.
fn read(call: &mut Call<'_>, entries: u64, count: u32) -> Result<Vec<Word>, Errno> {
    (0..u64::from(count))
        .map(|index| {
            let entry = entries.checked_add(index * ENTRY_BYTES).ok_or(Errno::EFAULT)?;
            let value = read_u64(call.memory, entry)? as u32;
            let at = read_u64(call.memory, entry.wrapping_add(8))?;
            let flags = read_u32(call.memory, entry.wrapping_add(16))?;
            let reserved = read_u32(call.memory, entry.wrapping_add(20))?;
            let is_private = flags & PRIVATE as u32 != 0;
            if flags & !(PRIVATE as u32) != SIZE_U32 || reserved != 0 || !at.is_multiple_of(4) {
                return Err(Errno::EINVAL);
            }
            Ok(Word { key: key(call.memory, at, is_private), at, value })
        })
        .collect()
}
