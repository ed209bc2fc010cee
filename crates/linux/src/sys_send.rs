//! Sending: write, sendto, sendmsg, sendmmsg on sockets, with descriptors and credentials.
//!
//! ```text
//!   msghdr  0 name  8 namelen  16 iov  24 iovlen  32 control  40 controllen  48 flags   56 bytes
//!   cmsghdr 0 len (with itself)  8 level  12 type  16 data …  to a multiple of 8
//! ```
//!
//! Source: send(2), cmsg(3), unix(7).

use crate::account::MESSAGE;
use crate::address::{Address, Family};
use crate::anonymous::ObjectId;
use crate::buffers::Buffers;
use crate::call::{Args, Call, descriptor};
use crate::errno::Errno;
use crate::fd::{DescriptionId, O_NONBLOCK};
use crate::memory::{CHUNK_BYTES, read_array};
use crate::signal::Signal;
use crate::socket::{Kind, Message, RIGHTS_MAX, Sender};
use crate::sys_poll::{POLLIN, POLLRDNORM};
use crate::sys_socket::check_reachable;

pub(crate) const MSG_OOB: u32 = 1;
pub(crate) const MSG_DONTWAIT: u32 = 0x40;
const MSG_NOSIGNAL: u32 = 0x4000;
pub(crate) const SOL_SOCKET: i32 = 1;
pub(crate) const SCM_RIGHTS: i32 = 1;
pub(crate) const SCM_CREDENTIALS: i32 = 2;
/// Descriptors of one message (SCM_MAX_FD).
pub(crate) const RIGHTS_OF_MESSAGE: usize = 253;
/// A UDP datagram's bytes at most.
const UDP_MAX: u64 = 65_507;
pub(crate) const HEADER_BYTES: u64 = 56;
/// Messages of sendmmsg and recvmmsg (UIO_MAXIOV).
pub(crate) const MESSAGES_MAX: u64 = 1024;
/// `struct mmsghdr`: a header and how many bytes were moved.
pub(crate) const VECTOR_STRIDE: u64 = 64;
/// Bytes of control messages that are looked at (net.core.optmem_max).
const CONTROL_MAX: u64 = 20_480;

/// A `struct msghdr`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub name: u64,
    pub name_bytes: u32,
    pub iov: u64,
    pub iov_count: u64,
    pub control: u64,
    pub control_bytes: u64,
}

impl Header {
    pub(crate) fn read(call: &mut Call<'_>, at: u64) -> Result<Self, Errno> {
        let bytes: [u8; HEADER_BYTES as usize] = read_array(call.memory, at)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let header = Self {
            name: word(0),
            name_bytes: word(8) as u32,
            iov: word(16),
            iov_count: word(24),
            control: word(32),
            control_bytes: word(40),
        };
        match (header.name_bytes as i32, header.iov_count) {
            (..0, _) => Err(Errno::EINVAL),
            (_, 1025..) => Err(Errno::EMSGSIZE),
            _ => Ok(header),
        }
    }
}

/// What goes with the bytes.
#[derive(Default)]
struct Extras {
    to: Option<Address>,
    rights: Vec<DescriptionId>,
    sender: Option<Sender>,
}

pub(crate) fn sendto(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, at, len, flags, name, name_bytes] = args;
    let id = call.socket(fd)?;
    let buffers = Buffers::one(at, len)?;
    let mut extras = Extras::default();
    if name != 0 {
        let family = call.system.sockets.get(id)?.family;
        extras.to = Some(call.read_address(name, name_bytes, family)?);
    }
    let flags = with_status(call, fd, flags as u32)?;
    call.send(id, &buffers, extras, flags)
}

pub(crate) fn sendmsg(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, at, flags, ..] = args;
    let id = call.socket(fd)?;
    let flags = with_status(call, fd, flags as u32)?;
    send_message(call, id, at, flags)
}

pub(crate) fn sendmmsg(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, at, count, flags, ..] = args;
    let id = call.socket(fd)?;
    let flags = with_status(call, fd, flags as u32)?;
    let count = u64::from(count as u32).min(MESSAGES_MAX);
    let start = call.thread.progress.messages;
    for n in start..count {
        let place = at.checked_add(n * VECTOR_STRIDE).ok_or(Errno::EFAULT)?;
        let sent = match send_message(call, id, place, flags) {
            Err(errno) if call.waits() => {
                call.thread.progress.messages = n;
                return Err(errno);
            }
            Err(_) if n > 0 => return Ok(n),
            result => result?,
        };
        call.thread.progress.moved = 0;
        call.memory.write(place + HEADER_BYTES, &(sent as u32).to_le_bytes())?;
    }
    Ok(count)
}

/// The flags of a call, with those of the description.
pub(crate) fn with_status(call: &Call<'_>, fd: u64, flags: u32) -> Result<u32, Errno> {
    let nonblocking = call.file(descriptor(fd))?.flags & O_NONBLOCK != 0;
    Ok(flags | if nonblocking { MSG_DONTWAIT } else { 0 })
}

fn send_message(call: &mut Call<'_>, id: ObjectId, at: u64, flags: u32) -> Result<u64, Errno> {
    let header = Header::read(call, at)?;
    let buffers = Buffers::vector(call, header.iov, header.iov_count)?;
    let mut extras = Extras::default();
    if header.name != 0 && header.name_bytes > 0 {
        let family = call.system.sockets.get(id)?.family;
        extras.to = Some(call.read_address(header.name, header.name_bytes.into(), family)?);
    }
    read_control(call, &header, &mut extras)?;
    call.send(id, &buffers, extras, flags)
}

/// The control messages: descriptors and credentials to send along.
fn read_control(call: &mut Call<'_>, header: &Header, extras: &mut Extras) -> Result<(), Errno> {
    const PREFIX: u64 = 16;
    if header.control_bytes > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut offset = 0;
    while header.control_bytes.saturating_sub(offset) >= PREFIX {
        let at = header.control.checked_add(offset).ok_or(Errno::EFAULT)?;
        let bytes: [u8; PREFIX as usize] = read_array(call.memory, at)?;
        let len = u64::from_le_bytes(std::array::from_fn(|i| bytes[i]));
        let word = |at: usize| i32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        if len < PREFIX || len > header.control_bytes - offset {
            return Err(Errno::EINVAL);
        }
        let mut data = vec![0; (len - PREFIX) as usize];
        call.memory.read(at.checked_add(PREFIX).ok_or(Errno::EFAULT)?, &mut data)?;
        let words = || data.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
        match (word(8), word(12)) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                for fd in words() {
                    let fd = descriptor(fd.into());
                    extras.rights.push(call.process.fds.description(fd)?);
                }
            }
            (SOL_SOCKET, SCM_CREDENTIALS) => {
                let [pid, user, group] = words().collect::<Vec<_>>()[..] else {
                    return Err(Errno::EINVAL);
                };
                check_credentials(call, (pid, user, group))?;
                extras.sender = Some((pid, user, group));
            }
            _ => return Err(Errno::EINVAL),
        }
        offset += len.next_multiple_of(8);
    }
    if extras.rights.len() > RIGHTS_OF_MESSAGE { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Only root may say that it is somebody else.
fn check_credentials(call: &Call<'_>, (pid, user, group): Sender) -> Result<(), Errno> {
    let who = &call.process.credentials;
    let honest = pid == call.process.pid && who.user.holds(user) && who.group.holds(group);
    if honest || who.user.effective == 0 { Ok(()) } else { Err(Errno::EPERM) }
}

impl Call<'_> {
    /// write(2) and writev(2) on a socket.
    pub(crate) fn write_socket(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        nonblocking: bool,
    ) -> Result<u64, Errno> {
        let flags = if nonblocking { MSG_DONTWAIT } else { 0 };
        self.send(id, buffers, Extras::default(), flags)
    }

    fn send(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        extras: Extras,
        flags: u32,
    ) -> Result<u64, Errno> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let kind = self.system.sockets.get(id)?.kind;
        let result = match kind {
            Kind::Stream => self.send_stream(id, buffers, &extras, flags),
            Kind::SeqPacket => self.send_packet(id, buffers, &extras, flags),
            Kind::Datagram => self.send_datagram(id, buffers, &extras, flags),
        };
        if result == Err(Errno::EPIPE) && flags & MSG_NOSIGNAL == 0 && kind == Kind::Stream {
            self.signal_self(Signal::SIGPIPE);
        }
        result
    }

    /// The other end of a connection, if it may be sent to.
    fn receiver(&mut self, id: ObjectId) -> Result<ObjectId, Errno> {
        let socket = self.system.sockets.get_mut(id)?;
        let is_reset = socket.error.is_some() && socket.family != Family::Unix;
        if socket.write_shut || (socket.hung_up && !is_reset) {
            return Err(Errno::EPIPE);
        }
        if let Some(errno) = socket.error.take() {
            return Err(errno);
        }
        match (socket.peer, socket.family) {
            (Some(peer), _) => Ok(peer),
            (None, Family::Unix) => Err(Errno::ENOTCONN),
            (None, _) => Err(Errno::EPIPE),
        }
    }

    /// Who a message is from, if either end wants it told.
    fn sender_of(&self, id: ObjectId, to: Option<ObjectId>, extras: &Extras) -> Sender {
        const SO_PASSCRED: i32 = 16;
        const NOBODY: Sender = (0, 65_534, 65_534);
        let wants =
            |id| self.system.sockets.get(id).is_ok_and(|s| s.option(SOL_SOCKET, SO_PASSCRED) != 0);
        match extras.sender {
            Some(sender) => sender,
            None if wants(id) || to.is_some_and(wants) => self.sender_ids(),
            None => NOBODY,
        }
    }

    fn message(
        &mut self,
        id: ObjectId,
        to: Option<ObjectId>,
        bytes: Vec<u8>,
        extras: &Extras,
    ) -> Result<Message, Errno> {
        if self.system.sockets.rights + extras.rights.len() > RIGHTS_MAX {
            return Err(Errno::ETOOMANYREFS);
        }
        // A stream's bytes are put behind others, in a queue that grows by doubling.
        self.charge(MESSAGE + 2 * bytes.len() as u64)?;
        let socket = self.system.sockets.get(id)?;
        let from = socket.local.clone().unwrap_or(Address::Unnamed(socket.family));
        let sender = self.sender_of(id, to, extras);
        for &description in &extras.rights {
            self.system.descriptions.share(description);
        }
        Ok(Message { bytes: bytes.into(), from, rights: extras.rights.clone(), sender })
    }

    fn deliver_message(&mut self, to: ObjectId, message: Message) {
        self.system.sockets.put(to, message);
        self.system.wake_for(to.channel(), POLLIN | POLLRDNORM);
    }

    /// Reads the buffers, without their first `skipped` bytes, up to `most`.
    fn gather(&mut self, buffers: &Buffers, skipped: u64, most: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        for piece in buffers.pieces_from(skipped) {
            let (at, len) = piece?;
            let len = len.min(most - bytes.len());
            let start = bytes.len();
            bytes.resize(start + len, 0);
            self.memory.read(at, &mut bytes[start..])?;
            if bytes.len() == most {
                break;
            }
        }
        Ok(bytes)
    }

    fn send_stream(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        extras: &Extras,
        flags: u32,
    ) -> Result<u64, Errno> {
        if extras.to.is_some() && self.system.sockets.get(id)?.family == Family::Unix {
            let connected = self.system.sockets.get(id)?.is_connected();
            return Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
        }
        let total = buffers.total();
        // What was moved before the call had to wait.
        let mut done = self.thread.progress.moved;
        let nothing = Extras::default();
        loop {
            let peer = match self.receiver(id) {
                Err(_) if done > 0 => return Ok(done),
                result => result?,
            };
            if done == total {
                return Ok(done);
            }
            let room = self.system.sockets.room(peer).min(CHUNK_BYTES);
            if room == 0 {
                let nonblocking = flags & MSG_DONTWAIT != 0;
                let errno = self.wait_for_socket(id, "send", nonblocking, false);
                self.thread.progress.moved = done;
                return if done > 0 && !self.waits() { Ok(done) } else { Err(errno) };
            }
            let bytes = match self.gather(buffers, done, room) {
                Err(_) if done > 0 => return Ok(done),
                result => result?,
            };
            // Descriptors go with the first byte.
            let extras = if done == 0 { extras } else { &nothing };
            done += bytes.len() as u64;
            let message = self.message(id, Some(peer), bytes, extras)?;
            self.deliver_message(peer, message);
        }
    }

    fn send_packet(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        extras: &Extras,
        flags: u32,
    ) -> Result<u64, Errno> {
        let peer = self.receiver(id)?;
        self.send_whole(id, peer, buffers, extras, flags)
    }

    /// Puts one message into an inbox, or waits for room for all of it.
    fn send_whole(
        &mut self,
        id: ObjectId,
        to: ObjectId,
        buffers: &Buffers,
        extras: &Extras,
        flags: u32,
    ) -> Result<u64, Errno> {
        let total = buffers.total();
        let socket = self.system.sockets.get(to)?;
        if total > socket.capacity as u64 {
            return Err(Errno::EMSGSIZE);
        }
        let is_empty = socket.inbox.is_empty();
        if (self.system.sockets.room(to) as u64) < total.max(1) && !is_empty {
            // Who waits for the receiver is woken when it takes something.
            let nonblocking = flags & MSG_DONTWAIT != 0;
            return Err(self.wait_for_socket(to, "send", nonblocking, false));
        }
        let bytes = self.gather(buffers, 0, total as usize)?;
        let message = self.message(id, Some(to), bytes, extras)?;
        self.deliver_message(to, message);
        Ok(total)
    }

    fn send_datagram(
        &mut self,
        id: ObjectId,
        buffers: &Buffers,
        extras: &Extras,
        flags: u32,
    ) -> Result<u64, Errno> {
        let socket = self.system.sockets.get_mut(id)?;
        if socket.family != Family::Unix {
            return self.send_udp(id, buffers, extras);
        }
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        let peer = socket.peer;
        let to = match (&extras.to, peer) {
            (Some(address), _) => self.find_name(address, Kind::Datagram)?,
            (None, Some(peer)) => peer,
            (None, None) => return Err(Errno::ENOTCONN),
        };
        let Ok(receiver) = self.system.sockets.get(to) else {
            let socket = self.system.sockets.get_mut(id)?;
            (socket.peer, socket.remote) = (None, None);
            return Err(Errno::ECONNREFUSED);
        };
        if receiver.kind != Kind::Datagram {
            return Err(Errno::EPROTOTYPE);
        }
        // One that is connected hears its peer alone.
        if receiver.peer.is_some_and(|its| its != id) {
            return Err(Errno::EPERM);
        }
        if receiver.read_shut {
            return Err(Errno::EPIPE);
        }
        self.send_whole(id, to, buffers, extras, flags)
    }

    /// A datagram that nobody takes is lost; a connected sender hears of it with its next call.
    fn send_udp(&mut self, id: ObjectId, buffers: &Buffers, extras: &Extras) -> Result<u64, Errno> {
        let socket = self.system.sockets.get_mut(id)?;
        if let Some(errno) = socket.error.take() {
            return Err(errno);
        }
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        if !extras.rights.is_empty() || extras.sender.is_some() {
            return Err(Errno::EINVAL);
        }
        let connected = socket.remote.is_some();
        let to = extras.to.clone().or_else(|| socket.remote.clone());
        let Some(Address::Ip(_, to)) = to else { return Err(Errno::EDESTADDRREQ) };
        if to.port == 0 {
            return Err(Errno::EINVAL);
        }
        let total = buffers.total();
        if total > UDP_MAX {
            return Err(Errno::EMSGSIZE);
        }
        check_reachable(&to)?;
        let to = to.target();
        self.bind_for_sending(id, to)?;
        let bytes = self.gather(buffers, 0, total as usize)?;
        let mut message = self.message(id, None, bytes, extras)?;
        if let Address::Ip(family, ip) = message.from
            && ip.is_any()
        {
            message.from = Address::Ip(family, to.source_for(ip.port));
        }
        let Address::Ip(_, from) = message.from else { return Err(Errno::EINVAL) };
        match self.system.sockets.letter_box(to, from) {
            Some(receiver) if self.system.sockets.room(receiver) as u64 >= total.max(1) => {
                let family = self.system.sockets.get(receiver)?.family;
                message.from = Address::Ip(family, from);
                self.deliver_message(receiver, message);
            }
            Some(_) => {}
            None if connected => {
                self.system.sockets.get_mut(id)?.error = Some(Errno::ECONNREFUSED);
                self.system.wake(id.channel());
            }
            None => {}
        }
        Ok(total)
    }
}
