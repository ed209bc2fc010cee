//! Reading and writing.
//!
//! ```text
//!   guest buffers ◄─ pieces of at most CHUNK_BYTES ─► host file, stream or pipe
//! ```
//!
//! Files are read and written on the host, not through the page cache: before a read, dirty pages
//! of shared mappings are written back; after a write, cached pages are told.

use crate::buffers::{Buffers, MAX_OFFSET, copy_prefix};
use crate::call::Then;
use crate::call::{Args, Call, descriptor};
use crate::errno::Errno;
use crate::fd::{O_APPEND, O_NONBLOCK, Object, OpenText};
use crate::files::FileId;
use crate::memory::CHUNK_BYTES;
use crate::pipe::{PIPE_BYTES, PipeEnd, PipeId, PipeResult};
use crate::procfs;
use crate::signal::Signal;
use crate::sys_open::text_object;
use crate::sys_poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use crate::{sys_file, sys_seal};

/// Where a transfer takes place in the file.
#[derive(Clone, Copy)]
enum Position {
    /// At the description's offset, which moves on.
    Current,
    /// There, and the offset stays.
    At(u64),
}

impl Position {
    fn explicit(call: &Call<'_>, fd: u64, offset: u64) -> Result<Self, Errno> {
        if offset > MAX_OFFSET {
            return Err(Errno::EINVAL);
        }
        match call.file(fd)?.object {
            Object::Pipe(..)
            | Object::Anonymous(_)
            | Object::Socket(_)
            | Object::Stdin
            | Object::Stdout
            | Object::Stderr => Err(Errno::ESPIPE),
            _ => Ok(Self::At(offset)),
        }
    }

    /// preadv2 and pwritev2: -1 is the current offset.
    fn optional(call: &Call<'_>, fd: u64, offset: u64) -> Result<Self, Errno> {
        if offset == u64::MAX { Ok(Self::Current) } else { Self::explicit(call, fd, offset) }
    }
}

/// What has been done counts; an error after that comes again with the next call.
fn partial(done: u64, error: Errno) -> Result<u64, Errno> {
    if done > 0 { Ok(done) } else { Err(error) }
}

fn read_buffers(
    call: &mut Call<'_>,
    fd: u64,
    buffers: &Buffers,
    position: Position,
) -> Result<u64, Errno> {
    let description = call.file(fd)?;
    if !description.readable() {
        return Err(Errno::EBADF);
    }
    buffers.check(call.memory)?;
    let mut object = description.object.clone();
    let nonblocking = description.flags & O_NONBLOCK != 0;
    let start = match position {
        Position::Current => description.offset,
        Position::At(offset) => offset,
    };
    if let (Object::Text(open), 0) = (&object, start) {
        object = text_object(call, open.text)?;
        call.file_mut(fd)?.object = object.clone();
    }
    if matches!(object, Object::Directory(_)) {
        return Err(Errno::EISDIR);
    }
    if let Object::Socket(id) = object {
        return call.read_socket(id, buffers, nonblocking);
    }
    let mut bytes = vec![0; buffers.total().min(CHUNK_BYTES as u64) as usize];
    let mut done: u64 = 0;
    for piece in buffers.pieces() {
        let result = piece.and_then(|(at, len)| {
            // A stream or pipe that has given something is not waited for again.
            let waits = matches!(object, Object::Stdin | Object::Pipe(..) | Object::Anonymous(_));
            if waits && done > 0 {
                return Ok((0, len));
            }
            let offset = start.saturating_add(done);
            let n = read_object(call, &object, offset, &mut bytes[..len], nonblocking)?;
            let page_bytes = call.memory.page_bytes();
            let copied =
                copy_prefix(page_bytes, at, n, |to, range| call.memory.write(to, &bytes[range]))?;
            Ok((copied, len))
        });
        match result {
            Err(e) => return finish(call, fd, position, done, partial(done, e)),
            Ok((n, len)) => {
                done += n as u64;
                if n < len {
                    break;
                }
            }
        }
    }
    finish(call, fd, position, done, Ok(done))
}

/// Moves the offset on by what was done.
fn finish(
    call: &mut Call<'_>,
    fd: u64,
    position: Position,
    done: u64,
    result: Result<u64, Errno>,
) -> Result<u64, Errno> {
    if matches!(position, Position::Current) {
        let description = call.file_mut(fd)?;
        description.offset = description.offset.saturating_add(done).min(MAX_OFFSET);
    }
    result
}

pub(crate) fn read_object(
    call: &mut Call<'_>,
    object: &Object,
    offset: u64,
    bytes: &mut [u8],
    nonblocking: bool,
) -> Result<usize, Errno> {
    match object {
        Object::Null => Ok(0),
        Object::Zero | Object::Full => {
            bytes.fill(0);
            Ok(bytes.len())
        }
        Object::Random => {
            call.clock.random(bytes);
            Ok(bytes.len())
        }
        Object::Stdin => call.host.read_stdin(bytes),
        Object::File(id) if id.is_memory() => call.memory.read_object(*id, offset, bytes),
        Object::File(id) => {
            call.memory.before_file_read(*id, offset, bytes.len() as u64)?;
            Ok(call.host.files.read_at(*id, offset, bytes)?)
        }
        Object::Pipe(id, PipeEnd::Read) => match call.system.pipes.read(*id, bytes) {
            PipeResult::Moved(n) => {
                call.system.wake_for(id.channel(), POLLOUT | POLLWRNORM);
                Ok(n)
            }
            PipeResult::WouldBlock if nonblocking => Err(Errno::EAGAIN),
            PipeResult::WouldBlock => {
                let channels = vec![id.channel()];
                Err(call.wait("read from a pipe", channels, None, Errno::ERESTARTSYS))
            }
            PipeResult::Broken => Ok(0),
        },
        Object::Anonymous(id) => call.read_anonymous(*id, bytes, nonblocking),
        Object::Text(open) => read_text(call, open, offset, bytes),
        Object::Directory(_) => Err(Errno::EISDIR),
        // A call of one piece, as sendfile makes it, has no place in sockets.
        Object::Socket(_) => Err(Errno::EINVAL),
        Object::Stdout | Object::Stderr | Object::Pipe(..) => Err(Errno::EBADF),
    }
}

/// Reads text as it was when it was read from its start; the pages of a process as they are now.
fn read_text(
    call: &mut Call<'_>,
    open: &OpenText,
    offset: u64,
    bytes: &mut [u8],
) -> Result<usize, Errno> {
    if let Some(pid) = open.text.pagemap() {
        let view = call.view();
        let process = view.process(pid).filter(|process| process.ended.is_none());
        let space = process.ok_or(Errno::ESRCH)?.space;
        return procfs::read_pagemap(call.memory, space, offset, bytes);
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(open.bytes.len());
    let n = bytes.len().min(open.bytes.len() - start);
    bytes[..n].copy_from_slice(&open.bytes[start..start + n]);
    Ok(n)
}

fn write_buffers(
    call: &mut Call<'_>,
    fd: u64,
    buffers: &Buffers,
    position: Position,
) -> Result<u64, Errno> {
    let description = call.file(fd)?;
    if !description.writable() {
        return Err(Errno::EBADF);
    }
    buffers.check(call.memory)?;
    let object = description.object.clone();
    let nonblocking = description.flags & O_NONBLOCK != 0;
    let append = description.flags & O_APPEND != 0;
    if let Object::Socket(id) = object {
        return call.write_socket(id, buffers, nonblocking);
    }
    let mut start = match position {
        Position::Current => description.offset,
        Position::At(offset) => offset,
    };
    // As Linux, O_APPEND holds for pwrite as well.
    if let (Object::File(id), true) = (&object, append) {
        start = sys_file::length(call, *id)?;
        if matches!(position, Position::Current) {
            call.file_mut(fd)?.offset = start;
        }
    }
    let mut bytes = vec![0; buffers.total().min(CHUNK_BYTES as u64) as usize];
    // What was moved before the call had to wait.
    let mut done: u64 = call.thread.progress.moved;
    for piece in buffers.pieces_from(done) {
        let result = piece.and_then(|(at, len)| {
            let page_bytes = call.memory.page_bytes();
            let copied = copy_prefix(page_bytes, at, len, |from, range| {
                call.memory.read(from, &mut bytes[range])
            })?;
            let offset = start.checked_add(done).ok_or(Errno::EFBIG)?;
            let n = write_object(call, &object, offset, &bytes[..copied], nonblocking)?;
            Ok((n, copied, len))
        });
        match result {
            Err(e) if matches!(call.then, Then::Wait(_)) => {
                call.thread.progress.moved = done;
                return Err(e);
            }
            Err(e) => return finish(call, fd, position, done, partial(done, e)),
            Ok((n, copied, len)) => {
                done += n as u64;
                let waits = !nonblocking && matches!(object, Object::Pipe(..));
                // The rest of the buffer cannot be read, or not be written.
                if copied < len || (n < len && !waits) {
                    break;
                }
                // A pipe takes what it has room for; its writer waits with the rest.
                if n < len {
                    call.thread.progress.moved = done;
                    return write_buffers(call, fd, buffers, position);
                }
            }
        }
    }
    finish(call, fd, position, done, Ok(done))
}

pub(crate) fn write_object(
    call: &mut Call<'_>,
    object: &Object,
    offset: u64,
    bytes: &[u8],
    nonblocking: bool,
) -> Result<usize, Errno> {
    let result = match object {
        Object::Null | Object::Zero | Object::Random => Ok(bytes.len()),
        Object::Full => Err(Errno::ENOSPC),
        Object::Stdout => call.host.write_stdout(bytes),
        Object::Stderr => call.host.write_stderr(bytes),
        Object::File(id) => write_file(call, *id, offset, bytes),
        Object::Pipe(id, PipeEnd::Write) => write_pipe(call, *id, bytes, nonblocking),
        Object::Anonymous(id) => call.write_anonymous(*id, bytes, nonblocking),
        Object::Text(open) => procfs::write(call, open.text, bytes),
        Object::Socket(_) => Err(Errno::EINVAL),
        Object::Stdin | Object::Pipe(..) | Object::Directory(_) => Err(Errno::EBADF),
    };
    if result == Err(Errno::EPIPE) {
        call.signal_self(Signal::SIGPIPE);
    }
    result
}

/// Writes to a pipe, or waits for room in it.
fn write_pipe(
    call: &mut Call<'_>,
    id: PipeId,
    bytes: &[u8],
    nonblocking: bool,
) -> Result<usize, Errno> {
    // The queue grows by doubling.
    call.charge(2 * bytes.len().min(PIPE_BYTES) as u64)?;
    match call.system.pipes.write(id, bytes) {
        PipeResult::Moved(n) => {
            call.system.wake_for(id.channel(), POLLIN | POLLRDNORM);
            Ok(n)
        }
        PipeResult::Broken => Err(Errno::EPIPE),
        PipeResult::WouldBlock if nonblocking => Err(Errno::EAGAIN),
        PipeResult::WouldBlock => {
            let channels = vec![id.channel()];
            Err(call.wait("write to a pipe", channels, None, Errno::ERESTARTSYS))
        }
    }
}

fn write_file(call: &mut Call<'_>, id: FileId, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let room = MAX_OFFSET.saturating_sub(offset);
    if room == 0 && !bytes.is_empty() {
        return Err(Errno::EFBIG);
    }
    let len = (bytes.len() as u64).min(room) as usize;
    if id.is_memory() {
        return sys_seal::write(call, id, offset, &bytes[..len]);
    }
    // A dirty page of a shared mapping must not overwrite this later.
    call.memory.before_file_read(id, offset, len as u64)?;
    let n = call.host.files.write_at(id, offset, &bytes[..len])?;
    call.memory.file_changed(id, offset, n as u64)?;
    call.host.touch(id, call.clock)?;
    Ok(n)
}

pub(crate) fn read(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let buffers = Buffers::one(args[1], args[2])?;
    read_buffers(call, descriptor(args[0]), &buffers, Position::Current)
}

pub(crate) fn write(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let buffers = Buffers::one(args[1], args[2])?;
    write_buffers(call, descriptor(args[0]), &buffers, Position::Current)
}

/// Reads into buffers whose array is the second argument, their number the third. Nothing to read
/// asks no file, so that a directory does not mind: unlike read().
fn read_vector(call: &mut Call<'_>, args: Args, position: Position) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    let buffers = Buffers::vector(call, args[1], args[2])?;
    if buffers.total() == 0 && matches!(call.file(fd)?.object, Object::Directory(_)) {
        return buffers.check(call.memory).map(|()| 0);
    }
    read_buffers(call, fd, &buffers, position)
}

pub(crate) fn readv(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    // A descriptor that is none, or not for this, shows before buffers that are none.
    if !call.file(descriptor(args[0]))?.readable() {
        return Err(Errno::EBADF);
    }
    read_vector(call, args, Position::Current)
}

pub(crate) fn writev(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    // A descriptor that is none, or not for this, shows before buffers that are none.
    if !call.file(descriptor(args[0]))?.writable() {
        return Err(Errno::EBADF);
    }
    let buffers = Buffers::vector(call, args[1], args[2])?;
    write_buffers(call, descriptor(args[0]), &buffers, Position::Current)
}

pub(crate) fn pread64(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    let position = Position::explicit(call, fd, args[3])?;
    read_buffers(call, fd, &Buffers::one(args[1], args[2])?, position)
}

pub(crate) fn pwrite64(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    let position = Position::explicit(call, fd, args[3])?;
    write_buffers(call, fd, &Buffers::one(args[1], args[2])?, position)
}

pub(crate) fn preadv(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    let position = Position::explicit(call, fd, args[3])?;
    read_vector(call, args, position)
}

pub(crate) fn pwritev(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    let position = Position::explicit(call, fd, args[3])?;
    let buffers = Buffers::vector(call, args[1], args[2])?;
    write_buffers(call, fd, &buffers, position)
}

pub(crate) fn preadv2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    // Without flags only; RWF_ hints concern devices that are not here.
    if args[5] != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let position = Position::optional(call, fd, args[3])?;
    read_vector(call, args, position)
}

pub(crate) fn pwritev2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let fd = descriptor(args[0]);
    if args[5] != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let position = Position::optional(call, fd, args[3])?;
    let buffers = Buffers::vector(call, args[1], args[2])?;
    write_buffers(call, fd, &buffers, position)
}
