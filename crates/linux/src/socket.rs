//! Sockets: ends of connections and letter boxes, all inside the machine.
//!
//! ```text
//!   stream, seqpacket                                    datagram
//!   connect(a) ─► listener's queue ─► accept             sendto(a) ─► the socket bound to a
//!      │                                │
//!    client ◄── peer ──► server       send puts a message into the other's inbox, receive takes it
//! ```
//!
//! Invariants:
//! 1. Peers of a connection name each other, until one is closed.
//! 2. An inbox holds at most its capacity; all of them at most [`BYTES_MAX`], and a little more for
//!    those that were empty. Descriptors in messages are at most [`RIGHTS_MAX`].
//! 3. Whoever puts into an inbox wakes the receiver; whoever takes wakes the sender.
//!
//! Source: socket(7), unix(7), tcp(7), udp(7).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::account::{MESSAGE, SOCKET};
use crate::address::{Address, Family, IpAddress};
use crate::anonymous::ObjectId;
use crate::errno::Errno;
use crate::fd::DescriptionId;
use crate::sys_poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use crate::tmpfs::NodeId;
use crate::wait::Pid;

/// Sockets of the machine at most.
pub(crate) const SOCKETS_MAX: usize = 65_536;
/// Bytes in all inboxes.
const BYTES_MAX: usize = 64 << 20;
/// What an empty inbox takes even then.
const LEAST_ROOM: usize = 4096;
/// Descriptors in messages at most.
pub(crate) const RIGHTS_MAX: usize = 16_384;
/// An inbox's capacity at first (net.core.rmem_default).
pub(crate) const CAPACITY: usize = 212_992;
/// What a message costs besides its bytes, so that empty ones are bounded.
const MESSAGE_COST: usize = 256;

/// How a socket carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Datagram,
    SeqPacket,
}

impl Kind {
    /// SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Stream => 1,
            Self::Datagram => 2,
            Self::SeqPacket => 5,
        }
    }
}

/// Who sent: process, user, group (`struct ucred`).
pub(crate) type Sender = (Pid, u32, u32);

/// What was sent at once, or for a stream in a row.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub bytes: VecDeque<u8>,
    pub from: Address,
    /// Descriptors that come with it; the message holds them.
    pub rights: Vec<DescriptionId>,
    pub sender: Sender,
}

/// A socket.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    pub family: Family,
    pub kind: Kind,
    pub local: Option<Address>,
    pub remote: Option<Address>,
    /// What others find it by, if it is a UNIX socket.
    pub name: Option<Name>,
    pub peer: Option<ObjectId>,
    /// Connections that were not accepted yet, and how many there may be.
    pub listening: Option<(VecDeque<ObjectId>, usize)>,
    pub inbox: VecDeque<Message>,
    used: usize,
    pub capacity: usize,
    /// It was connected, and the other end is gone.
    pub hung_up: bool,
    /// The other end sends nothing more, or nobody wants it.
    pub read_shut: bool,
    pub write_shut: bool,
    /// What the next call is told.
    pub error: Option<Errno>,
    /// A connect that did not wait has not been told of its success.
    pub connecting: bool,
    pub peer_credentials: Sender,
    /// Options that are kept for the program to read, by level and name.
    pub options: BTreeMap<(i32, i32), u64>,
}

impl Socket {
    pub(crate) fn new(family: Family, kind: Kind) -> Self {
        Self {
            family,
            kind,
            local: None,
            remote: None,
            name: None,
            peer: None,
            listening: None,
            inbox: VecDeque::new(),
            used: 0,
            capacity: CAPACITY,
            hung_up: false,
            read_shut: false,
            write_shut: false,
            error: None,
            connecting: false,
            peer_credentials: (0, u32::MAX, u32::MAX),
            options: BTreeMap::new(),
        }
    }

    /// Whether it is, or was, one end of a connection.
    pub(crate) const fn is_connected(&self) -> bool {
        self.peer.is_some() || self.hung_up
    }

    pub(crate) fn option(&self, level: i32, name: i32) -> u64 {
        self.options.get(&(level, name)).copied().unwrap_or(0)
    }

    /// Nothing more will come.
    pub(crate) fn is_at_end(&self) -> bool {
        self.read_shut || self.hung_up
    }

    fn room(&self, all: usize) -> usize {
        let capacity = if all >= BYTES_MAX { LEAST_ROOM } else { self.capacity };
        capacity.saturating_sub(self.used)
    }

    fn is_ip(&self) -> bool {
        self.family != Family::Unix
    }

    fn local_ip(&self) -> Option<IpAddress> {
        match self.local {
            Some(Address::Ip(_, ip)) => Some(ip),
            _ => None,
        }
    }

    fn remote_ip(&self) -> Option<IpAddress> {
        match self.remote {
            Some(Address::Ip(_, ip)) => Some(ip),
            _ => None,
        }
    }

    fn only_v6(&self) -> bool {
        const IPPROTO_IPV6: i32 = 41;
        const IPV6_V6ONLY: i32 = 26;
        self.option(IPPROTO_IPV6, IPV6_V6ONLY) != 0
    }
}

/// All sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    table: BTreeMap<ObjectId, Socket>,
    /// Sockets bound to names: nodes of the file system, abstract names.
    pub names: BTreeMap<Name, ObjectId>,
    /// Bytes in all inboxes, with what messages cost.
    used: usize,
    /// Descriptors in messages.
    pub rights: usize,
    last_port: u16,
}

/// What a UNIX socket is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// The node that bind made at a path.
    Node(NodeId),
    /// The kind of socket, each of which has its own abstract names, and the name.
    Abstract(u32, Vec<u8>),
}

impl Sockets {
    pub(crate) fn add(&mut self, id: ObjectId, socket: Socket) -> Result<(), Errno> {
        if self.table.len() >= SOCKETS_MAX {
            return Err(Errno::ENFILE);
        }
        self.table.insert(id, socket);
        Ok(())
    }

    pub(crate) fn get(&self, id: ObjectId) -> Result<&Socket, Errno> {
        self.table.get(&id).ok_or(Errno::EBADF)
    }

    pub(crate) fn get_mut(&mut self, id: ObjectId) -> Result<&mut Socket, Errno> {
        self.table.get_mut(&id).ok_or(Errno::EBADF)
    }

    /// Takes a socket out with its names; the caller lets go of what it holds.
    pub(crate) fn remove(&mut self, id: ObjectId) -> Option<Socket> {
        let socket = self.table.remove(&id)?;
        if let Some(name) = &socket.name
            && self.names.get(name) == Some(&id)
        {
            self.names.remove(name);
        }
        self.used -= socket.used;
        Some(socket)
    }

    /// What they take of the host's memory.
    pub(crate) fn bytes(&self) -> u64 {
        let message = |message: &Message| MESSAGE + message.bytes.capacity() as u64;
        let inbox = |socket: &Socket| socket.inbox.iter().map(message).sum::<u64>();
        self.table.values().map(|socket| SOCKET + inbox(socket)).sum()
    }

    /// Bytes that an inbox has room for.
    pub(crate) fn room(&self, id: ObjectId) -> usize {
        self.table.get(&id).map_or(0, |socket| socket.room(self.used))
    }

    /// Puts a message into an inbox; a stream's goes on the last one's end if that may be.
    pub(crate) fn put(&mut self, id: ObjectId, message: Message) {
        let Some(socket) = self.table.get_mut(&id) else { return };
        let is_stream = socket.kind == Kind::Stream;
        let bytes = message.bytes.len();
        let joins = |last: &Message| {
            is_stream
                && last.rights.is_empty()
                && message.rights.is_empty()
                && last.sender == message.sender
        };
        let cost = match socket.inbox.back_mut().filter(|last| joins(last)) {
            Some(last) => {
                last.bytes.extend(&message.bytes);
                bytes
            }
            None => {
                self.rights += message.rights.len();
                socket.inbox.push_back(message);
                // A stream's capacity is told in bytes: its messages are few.
                bytes + if is_stream { 0 } else { MESSAGE_COST }
            }
        };
        socket.used += cost;
        self.used += cost;
    }

    /// Takes `bytes` of the first message; the whole of it unless it is a stream's.
    pub(crate) fn take(&mut self, id: ObjectId, bytes: usize) -> Vec<DescriptionId> {
        let Some(socket) = self.table.get_mut(&id) else { return Vec::new() };
        let is_stream = socket.kind == Kind::Stream;
        let Some(first) = socket.inbox.front_mut() else { return Vec::new() };
        let rights = std::mem::take(&mut first.rights);
        self.rights -= rights.len();
        let cost = if is_stream { bytes } else { first.bytes.len() + MESSAGE_COST };
        first.bytes.drain(..bytes.min(first.bytes.len()));
        if !is_stream || first.bytes.is_empty() {
            socket.inbox.pop_front();
        }
        socket.used -= cost;
        self.used -= cost;
        rights
    }

    /// Bytes that a read would give.
    pub(crate) fn waiting(&self, id: ObjectId) -> usize {
        let Some(socket) = self.table.get(&id) else { return 0 };
        let bytes = |message: &Message| message.bytes.len();
        match socket.kind {
            Kind::Stream => socket.inbox.iter().map(bytes).sum(),
            _ => socket.inbox.front().map_or(0, bytes),
        }
    }

    /// The socket that listens at an IP address.
    pub(crate) fn listener(&self, to: IpAddress) -> Option<ObjectId> {
        self.bound(to, |socket| socket.kind == Kind::Stream && socket.listening.is_some())
    }

    /// The datagram socket that gets what `from` sends to an IP address.
    pub(crate) fn letter_box(&self, to: IpAddress, from: IpAddress) -> Option<ObjectId> {
        let takes = |socket: &Socket| {
            socket.kind == Kind::Datagram && socket.remote_ip().is_none_or(|remote| remote == from)
        };
        self.bound(to, takes)
    }

    fn bound(&self, to: IpAddress, wanted: impl Fn(&Socket) -> bool) -> Option<ObjectId> {
        let fits = |socket: &Socket| {
            let here = socket.local_ip().is_some_and(|ip| ip.accepts(&to, socket.only_v6()));
            here && socket.is_ip() && wanted(socket)
        };
        let fitting = self.table.iter().filter(|(_, socket)| fits(socket));
        // One bound to just this address, or connected, goes before one that takes any.
        let rank = |socket: &Socket| {
            (socket.remote.is_none(), socket.local_ip().is_none_or(|ip| ip.host != to.host))
        };
        fitting.min_by_key(|(_, socket)| rank(socket)).map(|(&id, _)| id)
    }

    /// Checks that an IP address is free for a socket of a kind.
    pub(crate) fn check_free(&self, id: ObjectId, ip: IpAddress) -> Result<(), Errno> {
        const SOL_SOCKET: i32 = 1;
        const SO_REUSEADDR: i32 = 2;
        const SO_REUSEPORT: i32 = 15;
        let new = self.get(id)?;
        let both = |other: &Socket, name| {
            new.option(SOL_SOCKET, name) != 0 && other.option(SOL_SOCKET, name) != 0
        };
        let clashes = |other: &Socket| {
            let Some(theirs) = other.local_ip().filter(|_| other.kind == new.kind) else {
                return false;
            };
            // Ends of connections share their listener's port.
            if other.kind == Kind::Stream && other.is_connected() {
                return false;
            }
            let overlap =
                theirs.accepts(&ip, other.only_v6()) || ip.accepts(&theirs, new.only_v6());
            let shares = (both(other, SO_REUSEADDR) && other.listening.is_none())
                || both(other, SO_REUSEPORT);
            overlap && !shares
        };
        let taken = self.table.iter().any(|(&other, socket)| other != id && clashes(socket));
        if taken { Err(Errno::EADDRINUSE) } else { Ok(()) }
    }

    /// A port that no socket of the kind has.
    pub(crate) fn free_port(&mut self, kind: Kind) -> Result<u16, Errno> {
        const FIRST: u16 = 32_768;
        const LAST: u16 = 60_999;
        let all = self.table.values().filter(|socket| socket.kind == kind);
        let taken: BTreeSet<u16> =
            all.filter_map(|socket| socket.local_ip().map(|ip| ip.port)).collect();
        let start = self.last_port.clamp(FIRST - 1, LAST) + 1;
        let port = (start..=LAST).chain(FIRST..start).find(|port| !taken.contains(port));
        self.last_port = port.unwrap_or(FIRST);
        port.ok_or(Errno::EADDRNOTAVAIL)
    }

    /// What poll tells of a socket.
    pub(crate) fn events(&self, id: ObjectId) -> u16 {
        let Some(socket) = self.table.get(&id) else { return POLLHUP };
        let error = if socket.error.is_some() { POLLERR } else { 0 };
        if let Some((queue, _)) = &socket.listening {
            return error | if queue.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        }
        let has_input = !socket.inbox.is_empty() || socket.is_at_end() || error != 0;
        let input = if has_input { POLLIN | POLLRDNORM } else { 0 };
        if socket.kind == Kind::Datagram {
            let is_full =
                |peer| self.table.get(&peer).is_some_and(|peer| peer.room(self.used) == 0);
            let is_full = socket.peer.is_some_and(is_full);
            return error | input | if is_full { 0 } else { POLLOUT | POLLWRNORM };
        }
        if !socket.is_connected() {
            return error | input | POLLOUT | POLLWRNORM | POLLHUP;
        }
        let is_over = socket.hung_up || (socket.read_shut && socket.write_shut);
        let ends = if socket.is_at_end() { POLLRDHUP } else { 0 };
        let room = socket.peer.is_none_or(|peer| self.room(peer) > 0) || socket.write_shut;
        error
            | input
            | ends
            | if is_over { POLLHUP } else { 0 }
            | if room { POLLOUT | POLLWRNORM } else { 0 }
    }
}
