//! System V message queues.
//!
//! ```text
//!   msgsnd ─► [ type 3 | type 1 | type 3 | … ] ─► msgrcv(0) the first │ (t) the first of type t
//!             bytes ≤ msg_qbytes                         (−t) the lowest type up to t
//! ```
//!
//! Source: msgget(2), msgop(2), msgctl(2); Linux ipc/msg.c.

use std::collections::VecDeque;

use crate::account::{MESSAGE, OBJECT};
use crate::anonymous::ObjectId;
use crate::call::{Args, Call, int};
use crate::errno::Errno;
use crate::ipc::{
    Entry, IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, MAY_READ, MAY_WRITE, Table,
};
use crate::memory::read_u64;
use crate::stat::Layout;
use crate::wait::Pid;

/// Queues at most (MSGMNI; Linux: 32,000, of a larger machine's memory).
const QUEUES_MAX: usize = 1024;
/// Bytes of a message (MSGMAX).
const MESSAGE_BYTES_MAX: u64 = 8192;
/// Bytes of a queue (MSGMNB).
const QUEUE_BYTES: u64 = 16_384;
/// Messages of all queues: each takes memory of the host, even an empty one.
const MESSAGES_MAX: usize = 65_536;
const MSG_NOERROR: u32 = 0o10000;
const MSG_EXCEPT: u32 = 0o20000;
const MSG_COPY: u32 = 0o40000;

#[derive(Clone, Debug)]
struct Message {
    kind: i64,
    bytes: Vec<u8>,
}

/// A queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    /// Who waits for it waits for this.
    object: ObjectId,
    messages: VecDeque<Message>,
    bytes: u64,
    bytes_max: u64,
    sent_s: u64,
    received_s: u64,
    changed_s: u64,
    last_sender: Pid,
    last_receiver: Pid,
}

impl Queue {
    /// What its messages take of the host's memory.
    pub(crate) fn host_bytes(&self) -> u64 {
        self.messages.iter().map(|message| MESSAGE + message.bytes.len() as u64).sum()
    }
}

/// All queues.
pub(crate) type Queues = Table<Queue>;

pub(crate) fn msgget(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (key, flags) = (int(args[0]), args[1] as u32);
    call.charge(OBJECT)?;
    let changed_s = call.seconds();
    let object = call.system.new_object();
    let queue = Queue {
        object,
        messages: VecDeque::new(),
        bytes: 0,
        bytes_max: QUEUE_BYTES,
        sent_s: 0,
        received_s: 0,
        changed_s,
        last_sender: 0,
        last_receiver: 0,
    };
    let who = &call.process.credentials;
    let queues = &mut call.system.queues;
    let id = queues.find_or_make(key, flags, who, QUEUES_MAX, |_| Ok(()), || Ok(queue))?;
    Ok(id as u64)
}

/// The queue of a call; one that is gone when the call is made again was removed under it.
fn queue<'a>(call: &'a mut Call<'_>, id: i32, wanted: u32) -> Result<&'a mut Queue, Errno> {
    let missing = if call.thread.progress.again { Errno::EIDRM } else { Errno::EINVAL };
    let entry = call.system.queues.get_mut(id).map_err(|_| missing)?;
    entry.permissions.check(&call.process.credentials, wanted)?;
    Ok(&mut entry.object)
}

pub(crate) fn msgsnd(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [id, from, len, flags, ..] = args;
    let kind = read_u64(call.memory, from)? as i64;
    if len > MESSAGE_BYTES_MAX || int(id) < 0 || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; len as usize];
    call.memory.read(from.checked_add(8).ok_or(Errno::EFAULT)?, &mut bytes)?;
    call.charge(MESSAGE + len)?;
    let (now, pid) = (call.seconds(), call.process.pid);
    let all: usize = call.system.queues.iter().map(|(_, entry)| entry.object.messages.len()).sum();
    let queue = queue(call, int(id), MAY_WRITE)?;
    let object = queue.object;
    if all >= MESSAGES_MAX {
        return Err(Errno::ENOMEM);
    }
    let fits =
        queue.bytes + len <= queue.bytes_max && (queue.messages.len() as u64) < queue.bytes_max;
    if !fits {
        return Err(wait(call, object, flags, "msgsnd", Errno::EAGAIN));
    }
    queue.messages.push_back(Message { kind, bytes });
    queue.bytes += len;
    (queue.sent_s, queue.last_sender) = (now, pid);
    call.system.wake(object.channel());
    Ok(0)
}

fn wait(
    call: &mut Call<'_>,
    object: ObjectId,
    flags: u64,
    what: &'static str,
    otherwise: Errno,
) -> Errno {
    if flags as u32 & IPC_NOWAIT != 0 {
        return otherwise;
    }
    call.wait(what, vec![object.channel()], None, Errno::ERESTARTNOHAND)
}

/// The message at a place of the queue, which keeps it (MSG_COPY).
fn copy(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [id, to, room, place, flags, _] = args;
    let bits = flags as u32;
    if bits & MSG_EXCEPT != 0 || bits & IPC_NOWAIT == 0 {
        return Err(Errno::EINVAL);
    }
    let queue = queue(call, int(id), MAY_READ)?;
    let place = usize::try_from(place).map_err(|_| Errno::ENOMSG)?;
    let message = queue.messages.get(place).ok_or(Errno::ENOMSG)?.clone();
    match message.bytes.len() as u64 > room {
        true if bits & MSG_NOERROR == 0 => return Err(Errno::E2BIG),
        true => return Err(Errno::EINVAL),
        false => {}
    }
    call.memory.write(to, &message.kind.to_le_bytes())?;
    call.memory.write(to.checked_add(8).ok_or(Errno::EFAULT)?, &message.bytes)?;
    Ok(message.bytes.len() as u64)
}

pub(crate) fn msgrcv(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [id, to, room, kind, flags, _] = args;
    let (kind, bits) = (kind as i64, flags as u32);
    if room > i64::MAX as u64 || int(id) < 0 {
        return Err(Errno::EINVAL);
    }
    if bits & MSG_COPY != 0 {
        return copy(call, args);
    }
    let (now, pid) = (call.seconds(), call.process.pid);
    let queue = queue(call, int(id), MAY_READ)?;
    let object = queue.object;
    let Some(place) = find(&queue.messages, kind, bits & MSG_EXCEPT != 0) else {
        return Err(wait(call, object, flags, "msgrcv", Errno::ENOMSG));
    };
    let len = queue.messages[place].bytes.len();
    if len as u64 > room && bits & MSG_NOERROR == 0 {
        return Err(Errno::E2BIG);
    }
    let Some(message) = queue.messages.remove(place) else { return Err(Errno::ENOMSG) };
    queue.bytes -= len as u64;
    (queue.received_s, queue.last_receiver) = (now, pid);
    call.system.wake(object.channel());
    let given = &message.bytes[..len.min(room as usize)];
    call.memory.write(to, &message.kind.to_le_bytes())?;
    call.memory.write(to.checked_add(8).ok_or(Errno::EFAULT)?, given)?;
    Ok(given.len() as u64)
}

/// The place of the message that a receiver asks for.
fn find(messages: &VecDeque<Message>, kind: i64, except: bool) -> Option<usize> {
    match kind {
        0 => (!messages.is_empty()).then_some(0),
        1.. => messages.iter().position(|message| (message.kind == kind) != except),
        _ => {
            let most = kind.checked_neg().unwrap_or(i64::MAX);
            let fitting = messages.iter().enumerate().filter(|(_, one)| one.kind <= most);
            fitting.min_by_key(|&(place, one)| (one.kind, place)).map(|(place, _)| place)
        }
    }
}

pub(crate) fn msgctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const MSG_STAT: i32 = 11;
    const MSG_INFO: i32 = 12;
    const MSG_STAT_ANY: i32 = 13;
    let (id, command, at) = (int(args[0]), int(args[1]), args[2]);
    match command {
        IPC_INFO | MSG_INFO => write_limits(call, at, command == MSG_INFO),
        IPC_STAT => write_status(call, id, at, MAY_READ).map(|()| 0),
        MSG_STAT | MSG_STAT_ANY => {
            let id = call.system.queues.id_at(id)?;
            let wanted = if command == MSG_STAT { MAY_READ } else { 0 };
            write_status(call, id, at, wanted).map(|()| id as u64)
        }
        IPC_SET => set(call, id, at),
        IPC_RMID => {
            own(call, id)?;
            if let Some(queue) = call.system.queues.remove(id) {
                call.system.wake(queue.object.channel());
            }
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn own<'a>(call: &'a Call<'_>, id: i32) -> Result<&'a Entry<Queue>, Errno> {
    let entry = call.system.queues.get(id)?;
    entry.permissions.check_owner(&call.process.credentials)?;
    Ok(entry)
}

fn set(call: &mut Call<'_>, id: i32, at: u64) -> Result<u64, Errno> {
    const BYTES_AT: u64 = 88;
    let mut permissions = own(call, id)?.permissions.clone();
    permissions.set(call, at)?;
    let bytes_max = read_u64(call.memory, at.checked_add(BYTES_AT).ok_or(Errno::EFAULT)?)?;
    // Root might make it larger on Linux; the host's memory is bounded here.
    if bytes_max > QUEUE_BYTES {
        return Err(Errno::EPERM);
    }
    let now = call.seconds();
    let entry = call.system.queues.get_mut(id)?;
    entry.permissions = permissions;
    (entry.object.bytes_max, entry.object.changed_s) = (bytes_max, now);
    let object = entry.object.object;
    call.system.wake(object.channel());
    Ok(0)
}

/// `struct msqid64_ds`.
fn write_status(call: &mut Call<'_>, id: i32, at: u64, wanted: u32) -> Result<(), Errno> {
    let entry = call.system.queues.get(id)?;
    entry.permissions.check(&call.process.credentials, wanted)?;
    let queue = &entry.object;
    let mut out = Layout::<120>::new();
    entry.permissions.encode(&mut out);
    let count = queue.messages.len() as u64;
    let times = [queue.sent_s, queue.received_s, queue.changed_s];
    let words = times.into_iter().chain([queue.bytes, count, queue.bytes_max]);
    for (n, word) in words.enumerate() {
        out.u64(48 + 8 * n, word);
    }
    out.u32(96, queue.last_sender);
    out.u32(100, queue.last_receiver);
    call.memory.write(at, &out.0)
}

/// `struct msginfo`.
fn write_limits(call: &mut Call<'_>, at: u64, in_use: bool) -> Result<u64, Errno> {
    const SEGMENT_BYTES: u32 = 16;
    let queues = &call.system.queues;
    let messages: usize = queues.iter().map(|(_, entry)| entry.object.messages.len()).sum();
    let bytes: u64 = queues.iter().map(|(_, entry)| entry.object.bytes).sum();
    let [pool, map, total] = match in_use {
        true => [queues.len() as u32, messages as u32, bytes as u32],
        false => [QUEUES_MAX as u32 * 16, QUEUE_BYTES as u32, QUEUE_BYTES as u32],
    };
    let (largest, queue_bytes) = (MESSAGE_BYTES_MAX as u32, QUEUE_BYTES as u32);
    let words = [pool, map, largest, queue_bytes, QUEUES_MAX as u32, SEGMENT_BYTES, total, 0xffff];
    let mut out = Layout::<32>::new();
    for (n, word) in words.into_iter().enumerate() {
        out.u32(4 * n, word);
    }
    call.memory.write(at, &out.0)?;
    Ok(call.system.queues.highest_place() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_chosen() {
        let message = |kind| Message { kind, bytes: Vec::new() };
        let queue: VecDeque<Message> = [3, 1, 2, 1].map(message).into();
        assert_eq!(find(&queue, 0, false), Some(0));
        assert_eq!(find(&queue, 1, false), Some(1));
        assert_eq!(find(&queue, 9, false), None);
        assert_eq!(find(&queue, 3, true), Some(1));
        assert_eq!(find(&queue, -2, false), Some(1), "the lowest, the first of them");
        assert_eq!(find(&queue, i64::MIN, false), Some(1));
        assert_eq!(find(&VecDeque::new(), 0, false), None);
    }
}
