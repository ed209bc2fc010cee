//! Waiting for descriptors. Streams and files are always ready; the others have a channel that is
//! woken when their readiness changes.

use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{Description, MAX_DESCRIPTORS, Object};
use crate::memory::{read_array, read_u64};
use crate::pipe::PipeEnd;
use crate::wait::Channel;

pub(crate) const POLLIN: u16 = 1;
pub(crate) const POLLOUT: u16 = 4;
pub(crate) const POLLERR: u16 = 8;
pub(crate) const POLLHUP: u16 = 0x10;
pub(crate) const POLLNVAL: u16 = 0x20;
/// POLLRDNORM and POLLWRNORM.
pub(crate) const POLLRDNORM: u16 = 0x40;
pub(crate) const POLLWRNORM: u16 = 0x100;
pub(crate) const POLLRDHUP: u16 = 0x2000;

/// What is ready on a descriptor.
pub(crate) fn readiness(call: &Call<'_>, fd: u64) -> u16 {
    call.file(fd).map_or(POLLNVAL, |description| readiness_of(call, description))
}

/// What is ready on an open file.
pub(crate) fn readiness_of(call: &Call<'_>, description: &Description) -> u16 {
    let ready = match description.object {
        Object::Pipe(id, end) => match (end, call.system.pipes.ready(id, end)) {
            (_, false) => 0,
            (PipeEnd::Read, true) => call.system.pipes.read_events(id),
            (PipeEnd::Write, true) => call.system.pipes.write_events(id),
        },
        Object::Anonymous(id) => return call.anonymous_events(id),
        Object::Socket(id) => return call.system.sockets.events(id),
        _ => POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM,
    };
    let readable = if description.readable() { POLLIN | POLLRDNORM } else { 0 };
    let writable = if description.writable() { POLLOUT | POLLWRNORM } else { 0 };
    ready & (readable | writable | POLLHUP | POLLERR)
}

/// What is woken when the readiness of a descriptor changes.
pub(crate) fn channel(call: &Call<'_>, fd: u64) -> Option<Channel> {
    channel_of(call, call.file(fd).ok()?)
}

/// What is woken when the readiness of an open file changes.
pub(crate) fn channel_of(call: &Call<'_>, description: &Description) -> Option<Channel> {
    match description.object {
        Object::Pipe(id, _) => Some(id.channel()),
        Object::Anonymous(id) => Some(call.anonymous_channel(id)),
        Object::Socket(id) => Some(id.channel()),
        _ => None,
    }
}

/// Nothing is ready yet.
fn wait(
    call: &mut Call<'_>,
    channels: Vec<Channel>,
    timeout_ns: Option<u64>,
    what: &'static str,
) -> Result<u64, Errno> {
    let deadline = call.deadline(timeout_ns);
    if timeout_ns.is_some() && call.is_over(deadline) {
        return Ok(0);
    }
    Err(call.wait(what, channels, deadline, Errno::ERESTARTNOHAND))
}

/// Blocks the signals of a mask in the program's memory while the call waits.
fn mask(call: &mut Call<'_>, at: u64) -> Result<(), Errno> {
    if at != 0 {
        let mask = read_u64(call.memory, at)?;
        call.mask_for_call(mask);
    }
    Ok(())
}

pub(crate) fn ppoll(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const ENTRY_BYTES: u64 = 8;
    let [entries, count, timeout, sigmask, ..] = args;
    let timeout_ns = call.read_timespec(timeout)?;
    mask(call, sigmask)?;
    let mut channels = Vec::new();
    if count > MAX_DESCRIPTORS as u64 {
        return Err(Errno::EINVAL);
    }
    let mut ready = 0;
    for i in 0..count {
        let at = entries.checked_add(i * ENTRY_BYTES).ok_or(Errno::EFAULT)?;
        let [f0, f1, f2, f3, e0, e1, ..]: [u8; 8] = read_array(call.memory, at)?;
        let fd = i32::from_le_bytes([f0, f1, f2, f3]);
        let asked = u16::from_le_bytes([e0, e1]) | POLLNVAL | POLLHUP | POLLERR;
        let events = if fd < 0 { 0 } else { readiness(call, fd as u64) & asked };
        ready += u64::from(events != 0);
        if fd >= 0 {
            channels.extend(channel(call, fd as u64));
        }
        call.memory.write(at.saturating_add(6), &events.to_le_bytes())?;
    }
    if ready > 0 { Ok(ready) } else { wait(call, channels, timeout_ns, "ppoll") }
}

pub(crate) fn pselect6(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [count, read_set, write_set, except_set, timeout, sigmask] = args;
    let timeout_ns = call.read_timespec(timeout)?;
    if int(count) < 0 {
        return Err(Errno::EINVAL);
    }
    if sigmask != 0 {
        // A pointer to the set, and its size.
        let at = read_u64(call.memory, sigmask)?;
        mask(call, at)?;
    }
    let count = (int(count) as usize).min(MAX_DESCRIPTORS);
    let events = [POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, 0];
    let mut sets = Vec::new();
    let (mut ready, mut channels) = (0, Vec::new());
    for (at, event) in [read_set, write_set, except_set].into_iter().zip(events) {
        if at != 0 {
            let set = select_set(call, at, count, event, &mut channels)?;
            ready += set.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
            sets.push((at, set));
        }
    }
    if ready == 0 {
        // On an error the sets stay as they are, for the next time.
        wait(call, channels, timeout_ns, "pselect6")?;
    }
    for (at, set) in sets {
        call.memory.write(at, &set)?;
    }
    Ok(ready)
}

/// Those descriptors of a set that are ready; adds what the others wait for.
fn select_set(
    call: &mut Call<'_>,
    set: u64,
    count: usize,
    event: u16,
    channels: &mut Vec<Channel>,
) -> Result<Vec<u8>, Errno> {
    // The set is an array of 64-bit words.
    let mut bytes = vec![0; count.div_ceil(64) * 8];
    call.memory.read(set, &mut bytes)?;
    for fd in 0..count {
        let bit = 1 << (fd % 8);
        if bytes[fd / 8] & bit == 0 {
            continue;
        }
        let fd = descriptor(fd as u64);
        let events = readiness(call, fd);
        if events == POLLNVAL {
            return Err(Errno::EBADF);
        }
        if events & event == 0 {
            bytes[fd as usize / 8] &= !bit;
        }
        channels.extend(channel(call, fd));
    }
    Ok(bytes)
}
