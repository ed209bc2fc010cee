//! Sockets: making, naming, connecting and closing them.
//!
//! Source: socket(2), socketpair(2), bind(2), listen(2), accept(2), connect(2), shutdown(2).

use std::collections::VecDeque;

use crate::account::SOCKET;
use crate::address::{ADDRESS_BYTES_MAX, Address, Family, IpAddress};
use crate::anonymous::ObjectId;
use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{Description, DescriptionId, O_CLOEXEC, O_NONBLOCK, O_RDWR, Object};
use crate::path::LastLink;
use crate::socket::{Kind, Message, Name, Sender, Socket};
use crate::sys_open::{AT_FDCWD, locate};
use crate::sys_path::make_node;
use crate::sys_poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use crate::system::System;
use crate::tmpfs::NodeKind;
use crate::vfs::Node;

/// SOMAXCONN.
const BACKLOG_MAX: usize = 4096;

/// Family, kind and flags of a new socket.
fn what(args: Args) -> Result<(Family, Kind, u32), Errno> {
    const TYPE: u32 = 0xf;
    const TCP: i32 = 6;
    const UDP: i32 = 17;
    let (flags, protocol) = (args[1] as u32 & !TYPE, int(args[2]));
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let family = match int(args[0]) {
        1 => Family::Unix,
        2 => Family::Inet,
        10 => Family::Inet6,
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    let kind = match (family, args[1] as u32 & TYPE, protocol) {
        (Family::Unix, _, protocol) if protocol != 0 && protocol != 1 => {
            return Err(Errno::EPROTONOSUPPORT);
        }
        (Family::Unix, 1, _) => Kind::Stream,
        // SOCK_RAW is a datagram socket there.
        (Family::Unix, 2 | 3, _) => Kind::Datagram,
        (Family::Unix, 5, _) => Kind::SeqPacket,
        (Family::Inet | Family::Inet6, 1, 0 | TCP) => Kind::Stream,
        (Family::Inet | Family::Inet6, 2, 0 | UDP) => Kind::Datagram,
        (Family::Inet | Family::Inet6, 1 | 2, _) => return Err(Errno::EPROTONOSUPPORT),
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    Ok((family, kind, flags))
}

pub(crate) fn socket(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (family, kind, flags) = what(args)?;
    call.charge(SOCKET)?;
    let id = call.system.new_object();
    call.system.sockets.add(id, Socket::new(family, kind))?;
    call.open_socket(id, flags)
}

pub(crate) fn socketpair(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (family, kind, flags) = what(args)?;
    if family != Family::Unix {
        return Err(Errno::EOPNOTSUPP);
    }
    call.charge(2 * SOCKET)?;
    let ids = [call.system.new_object(), call.system.new_object()];
    for (id, peer) in [(ids[0], ids[1]), (ids[1], ids[0])] {
        let mut socket = Socket::new(family, kind);
        socket.peer = Some(peer);
        socket.remote = Some(Address::Unnamed(family));
        socket.peer_credentials = call.sender_ids();
        if let Err(errno) = call.system.sockets.add(id, socket) {
            call.system.sockets.remove(ids[0]);
            return Err(errno);
        }
    }
    let first = call.open_socket(ids[0], flags).inspect_err(|_| {
        call.system.sockets.remove(ids[1]);
    })?;
    let second = call.open_socket(ids[1], flags);
    let written = second.and_then(|second| {
        let bytes = (first | second << 32).to_le_bytes();
        call.memory.write(args[3], &bytes).inspect_err(|_| {
            let _closed = call.close(second);
        })
    });
    if written.is_err() {
        call.close(first)?;
    }
    written.map(|()| 0)
}

pub(crate) fn bind(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = call.socket(args[0])?;
    let family = call.system.sockets.get(id)?.family;
    let address = call.read_address(args[1], args[2], family)?;
    if call.system.sockets.get(id)?.local.is_some() {
        return Err(Errno::EINVAL);
    }
    match address {
        Address::Unnamed(_) => auto_bind_unix(call, id),
        Address::Path(_) | Address::Abstract(_) => bind_name(call, id, address),
        Address::Ip(family, ip) => bind_ip(call, id, family, ip),
    }?;
    Ok(0)
}

fn bind_name(call: &mut Call<'_>, id: ObjectId, address: Address) -> Result<(), Errno> {
    let name = match &address {
        Address::Path(path) => {
            let at = locate(call, AT_FDCWD as u64, path, LastLink::Keep)?;
            if call.view().node(&at).is_ok() {
                return Err(Errno::EADDRINUSE);
            }
            Name::Node(make_node(call, &at, NodeKind::Socket, 0o777)?)
        }
        Address::Abstract(name) => {
            Name::Abstract(call.system.sockets.get(id)?.kind.number(), name.clone())
        }
        _ => return Err(Errno::EINVAL),
    };
    if call.system.sockets.names.contains_key(&name) {
        return Err(Errno::EADDRINUSE);
    }
    call.system.sockets.names.insert(name.clone(), id);
    let socket = call.system.sockets.get_mut(id)?;
    (socket.local, socket.name) = (Some(address), Some(name));
    Ok(())
}

/// An abstract name of five digits that is free.
fn auto_bind_unix(call: &mut Call<'_>, id: ObjectId) -> Result<(), Errno> {
    const NAMES: u64 = 0x10_0000;
    let start = id.0 % NAMES;
    let numbers = (start..NAMES).chain(0..start);
    let names = numbers.map(|number| format!("{number:05x}").into_bytes());
    let kind = call.system.sockets.get(id)?.kind.number();
    let taken = |name: &Vec<u8>| {
        call.system.sockets.names.contains_key(&Name::Abstract(kind, name.clone()))
    };
    let mut free = names.filter(|name| !taken(name));
    let name = free.next().ok_or(Errno::ENOSPC)?;
    drop(free);
    bind_name(call, id, Address::Abstract(name))
}

fn bind_ip(
    call: &mut Call<'_>,
    id: ObjectId,
    family: Family,
    mut ip: IpAddress,
) -> Result<(), Errno> {
    if !ip.is_own() {
        return Err(Errno::EADDRNOTAVAIL);
    }
    let sockets = &mut call.system.sockets;
    match ip.port {
        0 => ip.port = sockets.free_port(sockets.get(id)?.kind)?,
        _ => sockets.check_free(id, ip)?,
    }
    sockets.get_mut(id)?.local = Some(Address::Ip(family, ip));
    Ok(())
}

pub(crate) fn listen(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = call.socket(args[0])?;
    let socket = call.system.sockets.get(id)?;
    if socket.kind == Kind::Datagram {
        return Err(Errno::EOPNOTSUPP);
    }
    if socket.is_connected() || (socket.family == Family::Unix && socket.local.is_none()) {
        return Err(Errno::EINVAL);
    }
    if socket.local.is_none() {
        let family = socket.family;
        bind_ip(call, id, family, IpAddress::any(family, 0))?;
    }
    let backlog = (args[1] as u32 as usize).min(BACKLOG_MAX);
    let sender = call.sender_ids();
    let socket = call.system.sockets.get_mut(id)?;
    let queue = socket.listening.take().map_or_else(VecDeque::new, |(queue, _)| queue);
    socket.listening = Some((queue, backlog));
    socket.peer_credentials = sender;
    Ok(0)
}

pub(crate) fn accept(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    accept4(call, [args[0], args[1], args[2], 0, 0, 0])
}

pub(crate) fn accept4(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, address, len, flags, ..] = args;
    let flags = flags as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let id = call.socket(fd)?;
    let nonblocking = call.file(descriptor(fd))?.flags & O_NONBLOCK != 0;
    let socket = call.system.sockets.get_mut(id)?;
    if socket.kind == Kind::Datagram {
        return Err(Errno::EOPNOTSUPP);
    }
    let (queue, _) = socket.listening.as_mut().ok_or(Errno::EINVAL)?;
    let Some(new) = queue.pop_front() else {
        return Err(call.wait_for_socket(id, "accept", nonblocking, true));
    };
    // Whoever waits for a place in the queue.
    call.system.wake_for(id.channel(), POLLOUT);
    let remote = call.system.sockets.get(new)?.remote.clone();
    let new = call.open_socket(new, flags)?;
    let remote = remote.unwrap_or(Address::Unnamed(Family::Unix));
    if address != 0
        && let Err(errno) = call.write_address(&remote, address, len)
    {
        call.close(new)?;
        return Err(errno);
    }
    Ok(new)
}

pub(crate) fn connect(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = call.socket(args[0])?;
    let nonblocking = call.file(descriptor(args[0]))?.flags & O_NONBLOCK != 0;
    let family = call.system.sockets.get(id)?.family;
    if disconnects(call, args)? {
        let socket = call.system.sockets.get_mut(id)?;
        (socket.remote, socket.peer) = (None, None);
        return Ok(0);
    }
    let address = call.read_address(args[1], args[2], family)?;
    let socket = call.system.sockets.get_mut(id)?;
    if socket.kind == Kind::Datagram {
        return connect_datagram(call, id, address);
    }
    if socket.listening.is_some() {
        return Err(if family == Family::Unix { Errno::EINVAL } else { Errno::EISCONN });
    }
    if std::mem::take(&mut socket.connecting) {
        return socket.error.take().map_or(Ok(0), Err);
    }
    if socket.is_connected() {
        return Err(Errno::EISCONN);
    }
    let found = find_listener(call, id, &address);
    let waits = found.is_ok_and(|listener| {
        let listening = call.system.sockets.get(listener).map(|socket| &socket.listening);
        matches!(listening, Ok(Some((queue, backlog))) if queue.len() > *backlog)
    });
    if let (Ok(listener), true) = (found, waits) {
        return Err(call.wait_for_socket(listener, "connect", nonblocking, false));
    }
    let result = found.and_then(|listener| join(call, id, listener, address));
    if family == Family::Unix || !nonblocking || result == Err(Errno::ENETUNREACH) {
        return result.map(|()| 0);
    }
    let socket = call.system.sockets.get_mut(id)?;
    socket.connecting = true;
    socket.error = result.err();
    Err(Errno::EINPROGRESS)
}

/// An address of family AF_UNSPEC takes a datagram socket's peer away.
fn disconnects(call: &mut Call<'_>, args: Args) -> Result<bool, Errno> {
    let mut family = [0; 2];
    if args[2] >= 2 {
        call.memory.read(args[1], &mut family)?;
    }
    Ok(args[2] >= 2 && family == [0; 2])
}

fn connect_datagram(call: &mut Call<'_>, id: ObjectId, address: Address) -> Result<u64, Errno> {
    let peer = match &address {
        Address::Ip(_, ip) => {
            check_reachable(ip)?;
            call.bind_for_sending(id, *ip)?;
            None
        }
        _ => {
            let peer = call.find_name(&address, Kind::Datagram)?;
            if call.system.sockets.get(peer)?.kind != Kind::Datagram {
                return Err(Errno::EPROTOTYPE);
            }
            Some(peer)
        }
    };
    let remote = match address {
        Address::Ip(family, ip) => Address::Ip(family, ip.target()),
        other => other,
    };
    let socket = call.system.sockets.get_mut(id)?;
    (socket.peer, socket.remote, socket.hung_up) = (peer, Some(remote), false);
    Ok(0)
}

/// Nothing but loopback is here.
pub(crate) fn check_reachable(ip: &IpAddress) -> Result<(), Errno> {
    if ip.is_own() { Ok(()) } else { Err(Errno::ENETUNREACH) }
}

fn find_listener(call: &mut Call<'_>, id: ObjectId, address: &Address) -> Result<ObjectId, Errno> {
    if let Address::Ip(_, ip) = address {
        check_reachable(ip)?;
        return call.system.sockets.listener(ip.target()).ok_or(Errno::ECONNREFUSED);
    }
    let kind = call.system.sockets.get(id)?.kind;
    let listener = call.find_name(address, kind)?;
    let socket = call.system.sockets.get(listener)?;
    match &socket.listening {
        _ if socket.kind != kind => Err(Errno::EPROTOTYPE),
        None => Err(Errno::ECONNREFUSED),
        Some(_) => Ok(listener),
    }
}

/// Makes the other end, and puts it into the listener's queue.
fn join(
    call: &mut Call<'_>,
    id: ObjectId,
    listener: ObjectId,
    address: Address,
) -> Result<(), Errno> {
    let mut remote = address;
    if let Address::Ip(family, ip) = remote {
        call.bind_for_sending(id, ip)?;
        remote = Address::Ip(family, ip.target());
    }
    call.charge(SOCKET)?;
    let me = call.sender_ids();
    let other = call.system.new_object();
    let sockets = &mut call.system.sockets;
    let (client, server) = (sockets.get(id)?.clone_names(), sockets.get(listener)?);
    let mut end = Socket::new(server.family, server.kind);
    end.local = match (&remote, server.family) {
        // The address that was asked for, in the listener's own family.
        (Address::Ip(_, ip), family) => Some(Address::Ip(family, *ip)),
        _ => server.local.clone(),
    };
    end.remote = match client {
        Address::Ip(_, ip) => Some(Address::Ip(server.family, ip)),
        unix => Some(unix),
    };
    end.capacity = server.capacity;
    end.options = server.options.clone();
    (end.peer, end.peer_credentials) = (Some(id), me);
    let server_credentials = server.peer_credentials;
    sockets.add(other, end)?;
    let socket = sockets.get_mut(id)?;
    (socket.peer, socket.remote) = (Some(other), Some(remote));
    socket.peer_credentials = server_credentials;
    if let Some((queue, _)) = &mut sockets.get_mut(listener)?.listening {
        queue.push_back(other);
    }
    call.system.wake_for(listener.channel(), POLLIN | POLLRDNORM);
    call.system.wake_for(id.channel(), POLLOUT | POLLWRNORM);
    Ok(())
}

impl Socket {
    /// Its own address, as others see it.
    fn clone_names(&self) -> Address {
        self.local.clone().unwrap_or(Address::Unnamed(self.family))
    }
}

pub(crate) fn shutdown(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = call.socket(args[0])?;
    let (reads, writes) = match int(args[1]) {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    let socket = call.system.sockets.get_mut(id)?;
    if !socket.is_connected() && socket.remote.is_none() {
        return Err(Errno::ENOTCONN);
    }
    socket.read_shut |= reads;
    socket.write_shut |= writes;
    let connection = socket.kind != Kind::Datagram;
    let is_unix = socket.family == Family::Unix;
    if let Some(peer) = socket.peer.filter(|_| connection) {
        let other = call.system.sockets.get_mut(peer)?;
        other.read_shut |= writes;
        // TCP's other end does not hear that nobody reads.
        other.write_shut |= reads && is_unix;
        call.system.wake(peer.channel());
    }
    call.system.wake(id.channel());
    Ok(0)
}

pub(crate) fn getsockname(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = call.socket(args[0])?;
    let address = call.system.sockets.get(id)?.clone_names();
    call.write_address(&address, args[1], args[2])?;
    Ok(0)
}

pub(crate) fn getpeername(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = call.socket(args[0])?;
    let socket = call.system.sockets.get(id)?;
    let connected = socket.remote.clone().filter(|_| !socket.hung_up || !socket.write_shut);
    let address = connected.ok_or(Errno::ENOTCONN)?;
    call.write_address(&address, args[1], args[2])?;
    Ok(0)
}

impl Call<'_> {
    /// The socket that a descriptor names.
    pub(crate) fn socket(&self, fd: u64) -> Result<ObjectId, Errno> {
        match self.file(descriptor(fd))?.object {
            Object::Socket(id) => Ok(id),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn open_socket(&mut self, id: ObjectId, flags: u32) -> Result<u64, Errno> {
        let description =
            Description::new(Object::Socket(id), O_RDWR | flags & !O_CLOEXEC, b"socket:");
        self.open(description, flags & O_CLOEXEC != 0)
    }

    /// The caller as the one who sent something.
    pub(crate) fn sender_ids(&self) -> Sender {
        let who = &self.process.credentials;
        (self.process.pid, who.user.effective, who.group.effective)
    }

    pub(crate) fn read_address(
        &mut self,
        at: u64,
        len: u64,
        family: Family,
    ) -> Result<Address, Errno> {
        let len = usize::try_from(int(len)).map_err(|_| Errno::EINVAL)?;
        if len > ADDRESS_BYTES_MAX {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; len];
        self.memory.read(at, &mut bytes)?;
        Address::decode(&bytes, family)
    }

    /// Writes as much of an address as there is room for, and its whole length.
    pub(crate) fn write_address(
        &mut self,
        address: &Address,
        at: u64,
        len_at: u64,
    ) -> Result<(), Errno> {
        let room = crate::memory::read_u32(self.memory, len_at)? as i32;
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
        let bytes = address.encode();
        self.memory.write(at, &bytes[..bytes.len().min(room)])?;
        self.memory.write(len_at, &(bytes.len() as u32).to_le_bytes())
    }

    /// The socket of a UNIX address, for a socket of a kind.
    pub(crate) fn find_name(&mut self, address: &Address, kind: Kind) -> Result<ObjectId, Errno> {
        let name = match address {
            Address::Abstract(name) => Name::Abstract(kind.number(), name.clone()),
            Address::Path(path) => {
                let at = locate(self, AT_FDCWD as u64, path, LastLink::Follow)?;
                match self.view().node(&at)? {
                    Node::Memory(id) => Name::Node(id),
                    _ => return Err(Errno::ECONNREFUSED),
                }
            }
            _ => return Err(Errno::EINVAL),
        };
        self.system.sockets.names.get(&name).copied().ok_or(Errno::ECONNREFUSED)
    }

    /// Gives an IP socket an address to talk to `to` from.
    pub(crate) fn bind_for_sending(&mut self, id: ObjectId, to: IpAddress) -> Result<(), Errno> {
        let sockets = &mut self.system.sockets;
        let socket = sockets.get(id)?;
        let (family, kind) = (socket.family, socket.kind);
        match socket.local {
            Some(Address::Ip(_, ip)) if ip.is_any() && kind == Kind::Stream => {
                sockets.get_mut(id)?.local = Some(Address::Ip(family, to.source_for(ip.port)));
            }
            Some(_) => {}
            None => {
                let port = sockets.free_port(kind)?;
                sockets.get_mut(id)?.local = Some(Address::Ip(family, to.source_for(port)));
            }
        }
        Ok(())
    }

    /// Waits for a socket, unless the description does not, and no longer than its options say.
    pub(crate) fn wait_for_socket(
        &mut self,
        id: ObjectId,
        what: &'static str,
        nonblocking: bool,
        receives: bool,
    ) -> Errno {
        const SOL_SOCKET: i32 = 1;
        const SO_RCVTIMEO: i32 = 20;
        const SO_SNDTIMEO: i32 = 21;
        if nonblocking {
            return Errno::EAGAIN;
        }
        let name = if receives { SO_RCVTIMEO } else { SO_SNDTIMEO };
        let timeout = self.system.sockets.get(id).map_or(0, |s| s.option(SOL_SOCKET, name));
        let deadline = self.deadline((timeout > 0).then_some(timeout));
        if self.is_over(deadline) {
            return Errno::EAGAIN;
        }
        let interrupted = if timeout > 0 { Errno::EINTR } else { Errno::ERESTARTSYS };
        self.wait(what, vec![id.channel()], deadline, interrupted)
    }
}

impl System {
    /// The last descriptor of a socket is gone. Returns the descriptors that its messages held.
    pub(crate) fn close_socket(&mut self, id: ObjectId) -> Vec<DescriptionId> {
        let mut held = Vec::new();
        // A connection that nobody accepted was never had.
        let mut closing = vec![(id, false)];
        while let Some((id, was_queued)) = closing.pop() {
            let Some(socket) = self.sockets.remove(id) else { continue };
            let is_reset = was_queued || !socket.inbox.is_empty();
            let before = held.len();
            held.extend(socket.inbox.into_iter().flat_map(|Message { rights, .. }| rights));
            self.sockets.rights -= held.len() - before;
            // A letter box has nobody who waits for it but by its own channel.
            if let Some(peer) = socket.peer.filter(|_| socket.kind != Kind::Datagram) {
                self.hang_up(peer, is_reset);
            }
            self.wake(id.channel());
            let queue = socket.listening.into_iter().flat_map(|(queue, _)| queue);
            closing.extend(queue.map(|queued| (queued, true)));
        }
        held
    }

    /// The other end is gone.
    fn hang_up(&mut self, id: ObjectId, is_reset: bool) {
        let Ok(socket) = self.sockets.get_mut(id) else { return };
        (socket.peer, socket.hung_up) = (None, true);
        socket.error = is_reset.then_some(Errno::ECONNRESET);
        self.wake(id.channel());
    }
}
