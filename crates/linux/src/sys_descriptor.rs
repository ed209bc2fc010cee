//! Descriptors: closing, duplicating, their flags; pipes and what ioctl tells of terminals.

use crate::account::{PIPE, SLOT};
use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{Description, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY, Object};
use crate::memory::read_u32;
use crate::pipe::{PIPE_BYTES, PipeEnd};
use crate::sys_lock::{Command, fcntl_lock};
use crate::{sys_clone, sys_seal};

pub(crate) fn close(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.close(descriptor(args[0])).map(|()| 0)
}

pub(crate) fn close_range(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const UNSHARE: u64 = 2;
    const CLOEXEC: u64 = 4;
    let [first, last, flags, ..] = args;
    let flags = u64::from(flags as u32);
    let range = u64::from(first as u32)..=u64::from(last as u32);
    if range.is_empty() || flags & !(UNSHARE | CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & UNSHARE != 0 {
        sys_clone::unshare(call, [sys_clone::CLONE_FILES, 0, 0, 0, 0, 0])?;
    }
    let open: Vec<u64> = call.process.fds.open_descriptors().collect();
    for fd in open.into_iter().filter(|fd| range.contains(fd)) {
        if flags & CLOEXEC != 0 {
            call.process.fds.set_close_on_exec(fd, true)?;
        } else {
            close(call, [fd, 0, 0, 0, 0, 0])?;
        }
    }
    Ok(0)
}

pub(crate) fn dup(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    duplicate(call, descriptor(args[0]), 0, false)
}

/// A second descriptor for the same description, at least `lowest`.
fn duplicate(call: &mut Call<'_>, fd: u64, lowest: u64, close_on_exec: bool) -> Result<u64, Errno> {
    let id = call.process.fds.description(fd)?;
    call.charge(SLOT * call.process.fds.growth(lowest))?;
    let new = call.process.fds.open(id, close_on_exec, lowest)?;
    call.system.descriptions.share(id);
    Ok(new)
}

pub(crate) fn dup3(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [old, new, flags, ..] = args;
    let (old, new) = (descriptor(old), descriptor(new));
    if old == new || flags as u32 & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let id = call.process.fds.description(old)?;
    if call.file(new).is_ok() {
        call.close(new)?;
    } else {
        call.charge(SLOT * call.process.fds.growth(new))?;
    }
    call.process.fds.open_at(id, new, flags as u32 & O_CLOEXEC != 0)?;
    call.system.descriptions.share(id);
    Ok(new)
}

pub(crate) fn fcntl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const F_DUPFD: i32 = 0;
    const F_GETFD: i32 = 1;
    const F_SETFD: i32 = 2;
    const F_GETFL: i32 = 3;
    const F_SETFL: i32 = 4;
    const F_GETLK: i32 = 5;
    const F_SETLK: i32 = 6;
    const F_SETLKW: i32 = 7;
    const F_DUPFD_CLOEXEC: i32 = 1030;
    const F_GETPIPE_SZ: i32 = 1032;
    const F_ADD_SEALS: i32 = 1033;
    const F_GET_SEALS: i32 = 1034;
    const F_OFD_GETLK: i32 = 36;
    const F_OFD_SETLK: i32 = 37;
    const F_OFD_SETLKW: i32 = 38;
    let fd = descriptor(args[0]);
    match int(args[1]) {
        F_DUPFD => duplicate(call, fd, args[2], false),
        F_DUPFD_CLOEXEC => duplicate(call, fd, args[2], true),
        F_GETFD => call.process.fds.close_on_exec(fd).map(u64::from),
        F_SETFD => call.process.fds.set_close_on_exec(fd, args[2] & 1 != 0).map(|()| 0),
        F_GETFL => Ok(call.file(fd)?.flags.into()),
        F_SETFL => {
            call.file_mut(fd)?.set_status(args[2] as u32);
            Ok(0)
        }
        F_GETLK => fcntl_lock(call, fd, args[2], Command::Get, false),
        F_SETLK => fcntl_lock(call, fd, args[2], Command::Set, false),
        F_SETLKW => fcntl_lock(call, fd, args[2], Command::SetAndWait, false),
        F_OFD_GETLK => fcntl_lock(call, fd, args[2], Command::Get, true),
        F_OFD_SETLK => fcntl_lock(call, fd, args[2], Command::Set, true),
        F_OFD_SETLKW => fcntl_lock(call, fd, args[2], Command::SetAndWait, true),
        F_ADD_SEALS => sys_seal::add_seals(call, fd, args[2] as u32),
        F_GET_SEALS => sys_seal::get_seals(call, fd),
        F_GETPIPE_SZ => match call.file(fd)?.object {
            Object::Pipe(..) => Ok(PIPE_BYTES as u64),
            _ => Err(Errno::EBADF),
        },
        _ => call.file(fd).and(Err(Errno::EINVAL)),
    }
}

pub(crate) fn pipe2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let flags = args[1] as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    call.charge(PIPE)?;
    let id = call.system.pipes.create();
    let cloexec = flags & O_CLOEXEC != 0;
    let status = flags & O_NONBLOCK;
    let end = |end, mode| Description::new(Object::Pipe(id, end), mode | status, b"pipe:");
    let read = call.open(end(PipeEnd::Read, O_RDONLY), cloexec).inspect_err(|_| {
        call.system.pipes.close(id, PipeEnd::Write);
    })?;
    let write = call.open(end(PipeEnd::Write, O_WRONLY), cloexec);
    let result = write.and_then(|write| {
        let bytes = (read | write << 32).to_le_bytes();
        call.memory.write(args[0], &bytes).inspect_err(|_| {
            let _closed = call.close(write);
        })
    });
    if result.is_err() {
        call.close(read)?;
    }
    result.map(|()| 0)
}

pub(crate) fn ioctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const TCGETS: u64 = 0x5401;
    const TIOCGWINSZ: u64 = 0x5413;
    const FIONREAD: u64 = 0x541b;
    const FIONBIO: u64 = 0x5421;
    const FIONCLEX: u64 = 0x5450;
    const FIOCLEX: u64 = 0x5451;
    let [fd, request, to, ..] = args;
    let description = call.file(descriptor(fd))?;
    let terminal = match description.object {
        Object::Stdin => call.host.terminals[0],
        Object::Stdout => call.host.terminals[1],
        Object::Stderr => call.host.terminals[2],
        _ => false,
    };
    let request = request & 0xffff_ffff;
    match request {
        FIONBIO => {
            let on = read_u32(call.memory, to)? != 0;
            let description = call.file_mut(descriptor(fd))?;
            let flags = description.flags & !O_NONBLOCK | if on { O_NONBLOCK } else { 0 };
            description.set_status(flags);
            Ok(0)
        }
        FIOCLEX | FIONCLEX => {
            let fd = descriptor(fd);
            call.process.fds.set_close_on_exec(fd, request == FIOCLEX).map(|()| 0)
        }
        TCGETS if terminal => call.memory.write(to, &TERMIOS).map(|()| 0),
        // 24 rows of 80 columns, whatever the host's window has.
        TIOCGWINSZ if terminal => call.memory.write(to, &[24, 0, 80, 0, 0, 0, 0, 0]).map(|()| 0),
        FIONREAD => match description.object {
            Object::Socket(id) => {
                let waiting = call.system.sockets.waiting(id) as u32;
                call.memory.write(to, &waiting.to_le_bytes()).map(|()| 0)
            }
            Object::Pipe(id, _) => {
                let waiting = call.system.pipes.waiting(id) as u32;
                call.memory.write(to, &waiting.to_le_bytes()).map(|()| 0)
            }
            _ => Err(Errno::ENOTTY),
        },
        _ => Err(Errno::ENOTTY),
    }
}

/// `struct termios` of a terminal in its usual state: ICRNL|IXON, OPOST|ONLCR, B38400|CS8|CREAD,
/// ISIG|ICANON|ECHO and kin.
const TERMIOS: [u8; 36] = {
    let mut bytes = [0; 36];
    bytes[1] = 0x05;
    bytes[4] = 0x05;
    bytes[8] = 0xbf;
    bytes[12] = 0x3b;
    bytes[13] = 0x8a;
    bytes
};
