//! Receiving: read, recvfrom, recvmsg, recvmmsg on sockets.
//!
//! Source: recv(2), recvmmsg(2), cmsg(3), unix(7).

use crate::address::{Address, Family};
use crate::anonymous::ObjectId;
use crate::buffers::Buffers;
use crate::call::{Args, Call};
use crate::errno::Errno;
use crate::fd::DescriptionId;
use crate::socket::{Kind, Sender};
use crate::sys_poll::{POLLOUT, POLLWRNORM};
use crate::sys_send::{
    HEADER_BYTES, Header, MESSAGES_MAX, MSG_DONTWAIT, MSG_OOB, SCM_CREDENTIALS, SCM_RIGHTS,
    SOL_SOCKET, VECTOR_STRIDE, with_status,
};

const MSG_PEEK: u32 = 2;
const MSG_CTRUNC: u32 = 8;
const MSG_TRUNC: u32 = 0x20;
const MSG_WAITALL: u32 = 0x100;
const MSG_WAITFORONE: u32 = 0x1_0000;
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;

/// What was received besides the bytes.
#[derive(Default)]
struct Received {
    /// Bytes that are in the buffers.
    bytes: u64,
    /// Bytes that there were.
    whole: u64,
    from: Option<Address>,
    sender: Option<Sender>,
    rights: Vec<DescriptionId>,
}

pub(crate) fn recvfrom(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, at, len, flags, name, name_bytes] = args;
    let id = call.socket(fd)?;
    let flags = with_status(call, fd, flags as u32)?;
    let received = call.receive(id, &Buffers::one(at, len)?, flags)?;
    call.let_go(&received.rights, flags);
    if name != 0 {
        match &received.from {
            Some(from) => call.write_address(from, name, name_bytes)?,
            None => call.memory.write(name_bytes, &[0; 4])?,
        }
    }
    Ok(if flags & MSG_TRUNC != 0 { received.whole } else { received.bytes })
}

pub(crate) fn recvmsg(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, at, flags, ..] = args;
    let id = call.socket(fd)?;
    let flags = with_status(call, fd, flags as u32)?;
    receive_message(call, id, at, flags)
}

pub(crate) fn recvmmsg(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, at, count, flags, timeout, _] = args;
    let id = call.socket(fd)?;
    let mut flags = with_status(call, fd, flags as u32)?;
    let timeout_ns = call.read_timespec(timeout)?;
    let deadline = call.deadline(timeout_ns);
    let count = u64::from(count as u32).min(MESSAGES_MAX);
    for n in call.thread.progress.messages..count {
        let place = at.checked_add(n * VECTOR_STRIDE).ok_or(Errno::EFAULT)?;
        let bytes = match receive_message(call, id, place, flags) {
            Err(errno) if call.waits() => {
                call.thread.progress.messages = n;
                return Err(errno);
            }
            Err(_) if n > 0 => return Ok(n),
            result => result?,
        };
        call.memory.write(place + HEADER_BYTES, &(bytes as u32).to_le_bytes())?;
        if flags & MSG_WAITFORONE != 0 {
            flags |= MSG_DONTWAIT;
        }
        // As Linux, which looks at the time between messages only.
        if timeout_ns.is_some() && call.is_over(deadline) {
            return Ok(n + 1);
        }
    }
    Ok(count)
}

fn receive_message(call: &mut Call<'_>, id: ObjectId, at: u64, flags: u32) -> Result<u64, Errno> {
    let header = Header::read(call, at)?;
    let buffers = Buffers::vector(call, header.iov, header.iov_count)?;
    let received = call.receive(id, &buffers, flags)?;
    let mut told = if received.bytes < received.whole { MSG_TRUNC } else { 0 };
    told |= flags & MSG_CMSG_CLOEXEC;
    if header.name != 0 {
        let bytes = received.from.as_ref().map(Address::encode).unwrap_or_default();
        let room = bytes.len().min(header.name_bytes as usize);
        call.memory.write(header.name, &bytes[..room])?;
        call.memory.write(at + 8, &(bytes.len() as u32).to_le_bytes())?;
    }
    let (control_bytes, truncated) = write_control(call, id, &header, &received, flags)?;
    told |= if truncated { MSG_CTRUNC } else { 0 };
    call.memory.write(at + 40, &control_bytes.to_le_bytes())?;
    call.memory.write(at + 48, &told.to_le_bytes())?;
    Ok(if flags & MSG_TRUNC != 0 { received.whole } else { received.bytes })
}

/// Writes the control messages; returns their length, and whether some did not fit.
fn write_control(
    call: &mut Call<'_>,
    id: ObjectId,
    header: &Header,
    received: &Received,
    flags: u32,
) -> Result<(u64, bool), Errno> {
    const PREFIX: u64 = 16;
    const SO_PASSCRED: i32 = 16;
    let mut offset = 0;
    let mut truncated = false;
    let wants_sender = call.system.sockets.get(id)?.option(SOL_SOCKET, SO_PASSCRED) != 0;
    if let (true, Some((pid, user, group))) = (wants_sender, received.sender) {
        let bytes: Vec<u8> = [pid, user, group].into_iter().flat_map(u32::to_le_bytes).collect();
        let len = PREFIX + bytes.len() as u64;
        if header.control_bytes >= len {
            write_one(call, header.control, SCM_CREDENTIALS, &bytes)?;
            offset = len.next_multiple_of(8);
        } else {
            truncated = true;
        }
    }
    if !received.rights.is_empty() {
        let room = header.control_bytes.saturating_sub(offset + PREFIX) / 4;
        let room = if header.control == 0 { 0 } else { room as usize };
        let (given, lost) = received.rights.split_at(received.rights.len().min(room));
        truncated |= !lost.is_empty();
        let mut bytes = Vec::new();
        for &description in given {
            let close_on_exec = flags & MSG_CMSG_CLOEXEC != 0;
            match call.process.fds.open(description, close_on_exec, 0) {
                Ok(fd) => bytes.extend_from_slice(&(fd as u32).to_le_bytes()),
                Err(_) => {
                    truncated = true;
                    call.system.release(description, call.memory);
                }
            }
        }
        call.let_go(lost, flags & !MSG_PEEK);
        if !bytes.is_empty() {
            let at = header.control.checked_add(offset).ok_or(Errno::EFAULT)?;
            write_one(call, at, SCM_RIGHTS, &bytes)?;
            let len = PREFIX + bytes.len() as u64;
            offset = (offset + len.next_multiple_of(8)).min(header.control_bytes);
        }
    }
    Ok((offset, truncated))
}

fn write_one(call: &mut Call<'_>, at: u64, kind: i32, data: &[u8]) -> Result<(), Errno> {
    let len = 16 + data.len() as u64;
    let prefix = [SOL_SOCKET.to_le_bytes(), kind.to_le_bytes()].concat();
    call.memory.write(at, &[&len.to_le_bytes()[..], &prefix, data].concat())
}

impl Call<'_> {
    /// read(2) and readv(2) on a socket.
    pub(crate) fn read_socket(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        nonblocking: bool,
    ) -> Result<u64, Errno> {
        if buffers.total() == 0 && self.system.sockets.get(id)?.kind == Kind::Stream {
            return Ok(0);
        }
        let flags = if nonblocking { MSG_DONTWAIT } else { 0 };
        let received = self.receive(id, buffers, flags)?;
        self.let_go(&received.rights, flags);
        Ok(received.bytes)
    }

    /// Descriptors that nobody asked for are closed.
    fn let_go(&mut self, rights: &[DescriptionId], flags: u32) {
        debug_assert!(flags & MSG_PEEK == 0 || rights.is_empty(), "peeking takes nothing");
        for &description in rights {
            self.system.release(description, self.memory);
        }
    }

    fn receive(&mut self, id: ObjectId, buffers: &Buffers, flags: u32) -> Result<Received, Errno> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::EINVAL);
        }
        let socket = self.system.sockets.get_mut(id)?;
        if socket.kind == Kind::Stream && !socket.is_connected() {
            let unix = socket.family == Family::Unix;
            return Err(if unix { Errno::EINVAL } else { Errno::ENOTCONN });
        }
        if socket.kind == Kind::SeqPacket && !socket.is_connected() {
            return Err(Errno::ENOTCONN);
        }
        if socket.kind == Kind::Stream {
            return self.receive_stream(id, buffers, flags);
        }
        if socket.inbox.is_empty() {
            if let Some(errno) = socket.error.take() {
                return Err(errno);
            }
            if socket.is_at_end() {
                return Ok(Received::default());
            }
            let nonblocking = flags & MSG_DONTWAIT != 0;
            return Err(self.wait_for_socket(id, "receive", nonblocking, true));
        }
        let received = self.copy_first(id, buffers, 0)?;
        Ok(self.taken(id, received, flags))
    }

    /// The first message has been copied: it goes, unless it was only looked at.
    fn taken(&mut self, id: ObjectId, mut received: Received, flags: u32) -> Received {
        let first = self.system.sockets.get(id).ok().and_then(|socket| socket.inbox.front());
        let all = first.map_or(0, |message| message.bytes.len());
        let stream = self.system.sockets.get(id).is_ok_and(|s| s.kind == Kind::Stream);
        if flags & MSG_PEEK != 0 {
            return received;
        }
        let bytes = if stream { received.bytes as usize } else { all };
        received.rights = self.system.sockets.take(id, bytes);
        self.tell_senders(id);
        received
    }

    /// There is room in an inbox: its peer may send, and whoever waits for the socket itself.
    fn tell_senders(&mut self, id: ObjectId) {
        let peer = self.system.sockets.get(id).ok().and_then(|socket| socket.peer);
        for channel in [Some(id), peer].into_iter().flatten().map(ObjectId::channel) {
            self.system.wake_for(channel, POLLOUT | POLLWRNORM);
        }
    }

    /// Copies the first message into the buffers behind their first `skipped` bytes.
    fn copy_first(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        skipped: u64,
    ) -> Result<Received, Errno> {
        let socket = self.system.sockets.get_mut(id)?;
        let from_named = socket.remote.clone();
        let Some(message) = socket.inbox.front_mut() else { return Ok(Received::default()) };
        let bytes: &[u8] = message.bytes.make_contiguous();
        let from = match (&message.from, from_named) {
            (Address::Ip(..) | Address::Unnamed(Family::Inet | Family::Inet6), Some(_))
                if socket.kind == Kind::Stream =>
            {
                None
            }
            (Address::Unnamed(_), _) => None,
            (from, _) => Some(from.clone()),
        };
        let mut done = 0;
        for piece in buffers.pieces_from(skipped) {
            let (at, len) = piece?;
            let part = &bytes[done..bytes.len().min(done + len)];
            self.memory.write(at, part)?;
            done += part.len();
            if done == bytes.len() {
                break;
            }
        }
        Ok(Received {
            bytes: done as u64,
            whole: bytes.len() as u64,
            from,
            sender: Some(message.sender),
            rights: Vec::new(),
        })
    }

    fn receive_stream(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        flags: u32,
    ) -> Result<Received, Errno> {
        let total = buffers.total();
        // What was moved before the call had to wait for all of it.
        let mut all = Received { bytes: self.thread.progress.moved, ..Received::default() };
        loop {
            let socket = self.system.sockets.get_mut(id)?;
            let next = socket.inbox.front();
            // Bytes that come with descriptors, or from another, are told apart.
            let joins = next.is_some_and(|next| {
                all.sender.is_none_or(|sender| next.rights.is_empty() && sender == next.sender)
            });
            if all.bytes == total || (next.is_some() && !joins) {
                break;
            }
            if next.is_none() {
                let waits_on = all.bytes == 0 || flags & MSG_WAITALL != 0;
                if socket.is_at_end() || !waits_on || (flags & MSG_PEEK != 0 && all.bytes > 0) {
                    if all.bytes == 0
                        && let Some(errno) = socket.error.take()
                    {
                        return Err(errno);
                    }
                    break;
                }
                let nonblocking = flags & MSG_DONTWAIT != 0;
                let errno = self.wait_for_socket(id, "receive", nonblocking, true);
                if all.bytes > 0 && !self.waits() {
                    break;
                }
                self.thread.progress.moved = all.bytes;
                return Err(errno);
            }
            let part = match self.copy_first(id, buffers, all.bytes) {
                Err(_) if all.bytes > 0 => break,
                result => result?,
            };
            let part = self.taken(id, part, flags);
            all.bytes += part.bytes;
            (all.sender, all.from) = (part.sender, part.from);
            let ends = !part.rights.is_empty() || flags & MSG_PEEK != 0;
            all.rights = part.rights;
            if ends {
                break;
            }
        }
        all.whole = all.bytes;
        Ok(all)
    }
}
