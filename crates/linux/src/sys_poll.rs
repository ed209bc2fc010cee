//! Waiting for descriptors. Streams and files are always ready; a pipe depends on its other end,
//! which this process alone holds: what is not ready now never will be.

use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{MAX_DESCRIPTORS, Object};
use crate::memory::read_array;
use crate::pipe::PipeEnd;

const POLLIN: u16 = 1;
const POLLOUT: u16 = 4;
const POLLNVAL: u16 = 0x20;
/// POLLRDNORM and POLLWRNORM.
const POLLRDNORM: u16 = 0x40;
const POLLWRNORM: u16 = 0x100;

/// What is ready on a descriptor.
fn readiness(call: &Call<'_>, fd: u64) -> u16 {
    let Ok(description) = call.process.fds.get(fd) else { return POLLNVAL };
    let ready = match description.object {
        Object::Pipe(id, end) => match (end, call.process.pipes.ready(id, end)) {
            (_, false) => 0,
            (PipeEnd::Read, true) => POLLIN | POLLRDNORM,
            (PipeEnd::Write, true) => POLLOUT | POLLWRNORM,
        },
        _ => POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM,
    };
    let readable = if description.readable() { POLLIN | POLLRDNORM } else { 0 };
    let writable = if description.writable() { POLLOUT | POLLWRNORM } else { 0 };
    ready & (readable | writable)
}

/// Nothing is ready: time passes, or nothing ever happens.
fn wait(call: &mut Call<'_>, timeout_ns: Option<u64>, what: &str) -> Result<u64, Errno> {
    match timeout_ns {
        Some(ns) => {
            call.clock.sleep(ns);
            Ok(0)
        }
        None => Err(call.deadlock(what)),
    }
}

pub(crate) fn ppoll(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const ENTRY_BYTES: u64 = 8;
    let [entries, count, timeout, ..] = args;
    let timeout_ns = call.read_timespec(timeout)?;
    if count > MAX_DESCRIPTORS as u64 {
        return Err(Errno::EINVAL);
    }
    let mut ready = 0;
    for i in 0..count {
        let at = entries.checked_add(i * ENTRY_BYTES).ok_or(Errno::EFAULT)?;
        let [f0, f1, f2, f3, e0, e1, ..]: [u8; 8] = read_array(call.memory, at)?;
        let fd = i32::from_le_bytes([f0, f1, f2, f3]);
        let asked = u16::from_le_bytes([e0, e1]) | POLLNVAL;
        let events = if fd < 0 { 0 } else { readiness(call, fd as u64) & asked };
        ready += u64::from(events != 0);
        call.memory.write(at.saturating_add(6), &events.to_le_bytes())?;
    }
    if ready > 0 { Ok(ready) } else { wait(call, timeout_ns, "ppoll") }
}

pub(crate) fn pselect6(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [count, read_set, write_set, except_set, timeout, _] = args;
    let timeout_ns = call.read_timespec(timeout)?;
    if int(count) < 0 {
        return Err(Errno::EINVAL);
    }
    let count = (int(count) as usize).min(MAX_DESCRIPTORS);
    let mut ready = 0;
    for (set, event) in [(read_set, POLLIN), (write_set, POLLOUT), (except_set, 0)] {
        if set != 0 {
            ready += select_set(call, set, count, event)?;
        }
    }
    if ready > 0 { Ok(ready) } else { wait(call, timeout_ns, "pselect6") }
}

/// Leaves in a set of descriptors those that are ready; returns how many.
fn select_set(call: &mut Call<'_>, set: u64, count: usize, event: u16) -> Result<u64, Errno> {
    let mut bits = [0; MAX_DESCRIPTORS / 8];
    // The set is an array of 64-bit words.
    let bytes = &mut bits[..count.div_ceil(64) * 8];
    call.memory.read(set, bytes)?;
    let mut ready = 0;
    for fd in 0..count {
        let bit = 1 << (fd % 8);
        if bytes[fd / 8] & bit == 0 {
            continue;
        }
        let events = readiness(call, descriptor(fd as u64));
        if events == POLLNVAL {
            return Err(Errno::EBADF);
        }
        if events & event == 0 {
            bytes[fd / 8] &= !bit;
        } else {
            ready += 1;
        }
    }
    call.memory.write(set, bytes)?;
    Ok(ready)
}
