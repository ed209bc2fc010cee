//! Affinity: which harts a thread asks to run on, and which it runs on.
//!
//! Any hart takes any thread; a mask is kept for the program to read.
//!
//! Source: sched_setaffinity(2), getcpu(2).

use crate::call::{Args, Call, int};
use crate::errno::Errno;
use crate::thread::Thread;
use crate::wait::Pid;

/// Harts that a mask can name.
const HARTS_MAX: u32 = 64;

/// The thread of that number, 0 being the caller.
fn thread<'a>(call: &'a mut Call<'_>, tid: u64) -> Result<&'a mut Thread, Errno> {
    match int(tid) {
        ..0 => Err(Errno::ESRCH),
        0 => Ok(call.thread),
        tid if tid as Pid == call.thread.tid => Ok(call.thread),
        tid => call.system.thread_mut(tid as Pid).ok_or(Errno::ESRCH),
    }
}

fn harts(call: &Call<'_>) -> u64 {
    let count = call.clock.harts().clamp(1, HARTS_MAX);
    u64::MAX >> (HARTS_MAX - count)
}

pub(crate) fn sched_setaffinity(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [tid, len, at, ..] = args;
    let mut bytes = [0; 8];
    let len = len.min(8) as usize;
    call.memory.read(at, &mut bytes[..len])?;
    let mask = u64::from_le_bytes(bytes) & harts(call);
    let thread = thread(call, tid)?;
    if mask == 0 {
        return Err(Errno::EINVAL);
    }
    thread.affinity = mask;
    Ok(0)
}

pub(crate) fn sched_getaffinity(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const MASK_BYTES: u64 = 8;
    let [tid, len, at, ..] = args;
    if len < MASK_BYTES || !len.is_multiple_of(MASK_BYTES) {
        return Err(Errno::EINVAL);
    }
    let mask = thread(call, tid)?.affinity & harts(call);
    call.memory.write(at, &mask.to_le_bytes())?;
    Ok(MASK_BYTES)
}

pub(crate) fn getcpu(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    for (at, value) in [(args[0], call.clock.hart()), (args[1], 0)] {
        if at != 0 {
            call.memory.write(at, &value.to_le_bytes())?;
        }
    }
    Ok(0)
}
