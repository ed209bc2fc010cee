//! Options of sockets: those that mean something here, and those that are kept to be read.
//!
//! Source: socket(7), tcp(7), unix(7); Linux net/core/sock.c.

use crate::address::Family;
use crate::call::{Args, Call, int};
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::memory::{read_array, read_u32};
use crate::socket::Kind;

const SOL_SOCKET: i32 = 1;
const SO_TYPE: i32 = 3;
const SO_ERROR: i32 = 4;
const SO_SNDBUF: i32 = 7;
const SO_RCVBUF: i32 = 8;
const SO_LINGER: i32 = 13;
const SO_PEERCRED: i32 = 17;
const SO_RCVLOWAT: i32 = 18;
const SO_RCVTIMEO: i32 = 20;
const SO_SNDTIMEO: i32 = 21;
const SO_ACCEPTCONN: i32 = 30;
const SO_SNDBUFFORCE: i32 = 32;
const SO_RCVBUFFORCE: i32 = 33;
const SO_PROTOCOL: i32 = 38;
const SO_DOMAIN: i32 = 39;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;
const TCP_MAXSEG: i32 = 2;
/// The highest that a program may ask for (net.core.rmem_max), which Linux doubles.
const BUFFER_MAX: u64 = 212_992;
const SEND_MIN: u64 = 4608;
const RECEIVE_MIN: u64 = 2304;
/// What TCP sends in one segment over the loopback device.
const SEGMENT_BYTES: u32 = 65_483;

/// Whether an option is one whose value is only kept.
fn is_kept(level: i32, name: i32, family: Family) -> bool {
    const IPPROTO_IP: i32 = 0;
    const IPPROTO_IPV6: i32 = 41;
    match level {
        // DEBUG, REUSEADDR, DONTROUTE, BROADCAST, KEEPALIVE, OOBINLINE, NO_CHECK, PRIORITY,
        // REUSEPORT, PASSCRED, RCVLOWAT, TIMESTAMP, MARK, RXQ_OVFL, BUSY_POLL …
        SOL_SOCKET => {
            matches!(name, 1 | 2 | 5 | 6 | 9 | 10 | 11 | 12 | 15 | 16 | 18 | 29 | 34 | 36 | 40 | 46)
        }
        // NODELAY, CORK, KEEPIDLE, KEEPINTVL, KEEPCNT, SYNCNT, LINGER2, DEFER_ACCEPT,
        // WINDOW_CLAMP, QUICKACK, USER_TIMEOUT, FASTOPEN, NOTSENT_LOWAT
        IPPROTO_TCP => family != Family::Unix && matches!(name, 1 | 3..=10 | 12 | 18 | 23 | 25),
        IPPROTO_IP => family != Family::Unix && matches!(name, 1..=24),
        IPPROTO_IPV6 => family == Family::Inet6 && matches!(name, 1..=80),
        _ => false,
    }
}

pub(crate) fn setsockopt(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, level, name, at, len, _] = args;
    let (level, name, len) = (int(level), int(name), int(len));
    let id = call.socket(fd)?;
    if len < 0 {
        return Err(Errno::EINVAL);
    }
    let family = call.system.sockets.get(id)?.family;
    let value = match (level, name) {
        (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO | SO_LINGER) => wide_option(call, name, at, len)?,
        _ if len >= 4 => read_u32(call.memory, at)?.into(),
        // One byte is enough for options of IP.
        (0, _) if len >= 1 => read_array::<1>(call.memory, at)?[0].into(),
        _ => return Err(Errno::EINVAL),
    };
    let socket = call.system.sockets.get_mut(id)?;
    match (level, name) {
        (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO | SO_LINGER) => {}
        (SOL_SOCKET, SO_SNDBUF | SO_SNDBUFFORCE) => {
            let bytes = (value.min(BUFFER_MAX) * 2).max(SEND_MIN);
            socket.options.insert((SOL_SOCKET, SO_SNDBUF), bytes);
            return Ok(0);
        }
        (SOL_SOCKET, SO_RCVBUF | SO_RCVBUFFORCE) => {
            let bytes = (value.min(BUFFER_MAX) * 2).max(RECEIVE_MIN);
            socket.options.insert((SOL_SOCKET, SO_RCVBUF), bytes);
            socket.capacity = bytes as usize;
            return Ok(0);
        }
        _ if is_kept(level, name, family) => {}
        _ => return Err(Errno::ENOPROTOOPT),
    }
    socket.options.insert((level, name), value);
    Ok(0)
}

/// Timeouts in nanoseconds; SO_LINGER's two words as one.
fn wide_option(call: &mut Call<'_>, name: i32, at: u64, len: i32) -> Result<u64, Errno> {
    const US_PER_S: u64 = 1_000_000;
    if name == SO_LINGER {
        let words: [u8; 8] = match len {
            8.. => read_array(call.memory, at)?,
            _ => return Err(Errno::EINVAL),
        };
        return Ok(u64::from_le_bytes(words));
    }
    let bytes: [u8; 16] = match len {
        16.. => read_array(call.memory, at)?,
        _ => return Err(Errno::EINVAL),
    };
    let [seconds, us] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i])));
    match (seconds as i64, us) {
        (_, US_PER_S..) => Err(Errno::EDOM),
        // Linux takes less than nothing for nothing: the call does not wait.
        (..0, _) => Ok(1),
        _ => Ok(seconds.saturating_mul(NS_PER_S).saturating_add(us * 1000)),
    }
}

pub(crate) fn getsockopt(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, level, name, at, len_at, _] = args;
    let (level, name) = (int(level), int(name));
    let id = call.socket(fd)?;
    let room = read_u32(call.memory, len_at)? as i32;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let socket = call.system.sockets.get_mut(id)?;
    let kept = socket.option(level, name);
    let word = |value: u32| value.to_le_bytes().to_vec();
    let is_ip = socket.family != Family::Unix;
    let bytes = match (level, name) {
        (SOL_SOCKET, SO_TYPE) => word(socket.kind.number()),
        (SOL_SOCKET, SO_DOMAIN) => word(socket.family.number().into()),
        (SOL_SOCKET, SO_PROTOCOL) => word(match (is_ip, socket.kind) {
            (true, Kind::Stream) => IPPROTO_TCP as u32,
            (true, _) => IPPROTO_UDP as u32,
            _ => 0,
        }),
        (SOL_SOCKET, SO_ERROR) => word(socket.error.take().map_or(0, |errno| errno.0.into())),
        (SOL_SOCKET, SO_ACCEPTCONN) => word(u32::from(socket.listening.is_some())),
        (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => {
            word(if kept == 0 { BUFFER_MAX as u32 } else { kept as u32 })
        }
        (SOL_SOCKET, SO_RCVLOWAT) => word(kept.max(1) as u32),
        (SOL_SOCKET, SO_LINGER) => kept.to_le_bytes().to_vec(),
        (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO) => {
            let pair = [kept / NS_PER_S, kept % NS_PER_S / 1000];
            pair.into_iter().flat_map(u64::to_le_bytes).collect()
        }
        (SOL_SOCKET, SO_PEERCRED) => {
            let (pid, user, group) = socket.peer_credentials;
            [pid, user, group].into_iter().flat_map(u32::to_le_bytes).collect()
        }
        (IPPROTO_TCP, TCP_MAXSEG) if is_ip => word(SEGMENT_BYTES),
        _ if is_kept(level, name, socket.family) => word(kept as u32),
        _ => return Err(Errno::ENOPROTOOPT),
    };
    let told = bytes.len().min(room);
    call.memory.write(at, &bytes[..told])?;
    call.memory.write(len_at, &(told as u32).to_le_bytes())?;
    Ok(0)
}
