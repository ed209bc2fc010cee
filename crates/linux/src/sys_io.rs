//! Reading, writing, seeking.
//!
//! ```text
//!   guest buffers ◄─ pieces of at most CHUNK_BYTES ─► host file, stream or pipe
//! ```
//!
//! Files are read and written on the host, not through the page cache: before a read, dirty pages
//! of shared mappings are written back; after a write, cached pages are told.

use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{O_APPEND, O_NONBLOCK, O_PATH, Object};
use crate::files::FileId;
use crate::memory::{CHUNK_BYTES, read_array};
use crate::pipe::{PipeEnd, PipeResult};
use crate::signal::{Cause, SI_USER, Signal, SignalInfo};

/// The most that one call moves, as Linux (MAX_RW_COUNT).
const MAX_BYTES: u64 = 0x7fff_f000;
/// The most buffers in one call.
const IOV_MAX: u64 = 1024;
const IOVEC_BYTES: u64 = 16;
/// Files end here, as with 64-bit `off_t`.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// A buffer of the guest's.
#[derive(Clone, Copy)]
struct Buffer {
    at: u64,
    len: u64,
}

/// Buffers of one call, whose lengths together do not exceed [`MAX_BYTES`].
struct Buffers(Vec<Buffer>);

impl Buffers {
    fn one(at: u64, len: u64) -> Result<Self, Errno> {
        if len > MAX_OFFSET {
            return Err(Errno::EINVAL);
        }
        Ok(Self(vec![Buffer { at, len: len.min(MAX_BYTES) }]))
    }

    /// Reads an array of `struct iovec`.
    fn vector(call: &mut Call<'_>, at: u64, count: u64) -> Result<Self, Errno> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let mut total: u64 = 0;
        let mut buffers = Vec::new();
        for i in 0..count {
            let place = at.checked_add(i * IOVEC_BYTES).ok_or(Errno::EFAULT)?;
            let bytes: [u8; 16] = read_array(call.memory, place)?;
            let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * n + j]));
            let (at, len) = (word(0), word(1));
            if len > MAX_OFFSET {
                return Err(Errno::EINVAL);
            }
            let len = len.min(MAX_BYTES - total);
            total += len;
            buffers.push(Buffer { at, len });
        }
        Ok(Self(buffers))
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|b| b.len).sum()
    }

    /// The buffers in pieces, one after the other.
    fn pieces(&self) -> impl Iterator<Item = Result<(u64, usize), Errno>> {
        self.0.iter().flat_map(|buffer| {
            (0..buffer.len).step_by(CHUNK_BYTES).map(|start| {
                let at = buffer.at.checked_add(start).ok_or(Errno::EFAULT)?;
                Ok((at, (buffer.len - start).min(CHUNK_BYTES as u64) as usize))
            })
        })
    }
}

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
        match call.process.fds.get(fd)?.object {
            Object::Pipe(..) | Object::Stdin | Object::Stdout | Object::Stderr => {
                Err(Errno::ESPIPE)
            }
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
    let description = call.process.fds.get(fd)?;
    if !description.readable() {
        return Err(Errno::EBADF);
    }
    let object = description.object.clone();
    let nonblocking = description.flags & O_NONBLOCK != 0;
    let start = match position {
        Position::Current => description.offset,
        Position::At(offset) => offset,
    };
    if matches!(object, Object::Directory(_)) {
        return Err(Errno::EISDIR);
    }
    let mut bytes = vec![0; buffers.total().min(CHUNK_BYTES as u64) as usize];
    let mut done: u64 = 0;
    for piece in buffers.pieces() {
        let result = piece.and_then(|(at, len)| {
            // A stream or pipe that has given something is not waited for again.
            let waits = matches!(object, Object::Stdin | Object::Pipe(..));
            if waits && done > 0 {
                return Ok((0, len));
            }
            let offset = start.saturating_add(done);
            let n = read_object(call, &object, offset, &mut bytes[..len], nonblocking)?;
            call.memory.write(at, &bytes[..n])?;
            Ok((n, len))
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
        let description = call.process.fds.get_mut(fd)?;
        description.offset = description.offset.saturating_add(done).min(MAX_OFFSET);
    }
    result
}

fn read_object(
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
        Object::File(id) => {
            call.memory.before_file_read(*id, offset, bytes.len() as u64)?;
            Ok(call.host.files.read_at(*id, offset, bytes)?)
        }
        Object::Pipe(id, PipeEnd::Read) => match call.process.pipes.read(*id, bytes) {
            PipeResult::Moved(n) => Ok(n),
            PipeResult::WouldBlock if nonblocking => Err(Errno::EAGAIN),
            _ => Err(call.deadlock("read from an empty pipe")),
        },
        Object::Directory(_) => Err(Errno::EISDIR),
        Object::Stdout | Object::Stderr | Object::Pipe(..) => Err(Errno::EBADF),
    }
}

fn write_buffers(
    call: &mut Call<'_>,
    fd: u64,
    buffers: &Buffers,
    position: Position,
) -> Result<u64, Errno> {
    let description = call.process.fds.get(fd)?;
    if !description.writable() {
        return Err(Errno::EBADF);
    }
    let object = description.object.clone();
    let nonblocking = description.flags & O_NONBLOCK != 0;
    let append = description.flags & O_APPEND != 0;
    let mut start = match position {
        Position::Current => description.offset,
        Position::At(offset) => offset,
    };
    // As Linux, O_APPEND holds for pwrite as well.
    if let (Object::File(id), true) = (&object, append) {
        start = call.host.files.len(*id)?;
        if matches!(position, Position::Current) {
            call.process.fds.get_mut(fd)?.offset = start;
        }
    }
    let mut bytes = vec![0; buffers.total().min(CHUNK_BYTES as u64) as usize];
    let mut done: u64 = 0;
    for piece in buffers.pieces() {
        let result = piece.and_then(|(at, len)| {
            call.memory.read(at, &mut bytes[..len])?;
            let offset = start.checked_add(done).ok_or(Errno::EFBIG)?;
            Ok((write_object(call, &object, offset, &bytes[..len], nonblocking)?, len))
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

fn write_object(
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
        Object::Pipe(id, PipeEnd::Write) => match call.process.pipes.write(*id, bytes) {
            PipeResult::Moved(n) => Ok(n),
            PipeResult::Broken => Err(Errno::EPIPE),
            PipeResult::WouldBlock if nonblocking => Err(Errno::EAGAIN),
            PipeResult::WouldBlock => Err(call.deadlock("write to a full pipe")),
        },
        Object::Stdin | Object::Pipe(..) | Object::Directory(_) => Err(Errno::EBADF),
    };
    if result == Err(Errno::EPIPE) {
        let cause = Cause::Sender { code: SI_USER, pid: crate::process::PID };
        call.process.signals.raise(SignalInfo { signal: Signal::SIGPIPE, cause });
    }
    result
}

fn write_file(call: &mut Call<'_>, id: FileId, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let room = MAX_OFFSET.saturating_sub(offset);
    if room == 0 && !bytes.is_empty() {
        return Err(Errno::EFBIG);
    }
    let len = (bytes.len() as u64).min(room) as usize;
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

pub(crate) fn readv(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let buffers = Buffers::vector(call, args[1], args[2])?;
    read_buffers(call, descriptor(args[0]), &buffers, Position::Current)
}

pub(crate) fn writev(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
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
    let buffers = Buffers::vector(call, args[1], args[2])?;
    read_buffers(call, fd, &buffers, position)
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
    let buffers = Buffers::vector(call, args[1], args[2])?;
    read_buffers(call, fd, &buffers, position)
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

pub(crate) fn lseek(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SEEK_SET: i32 = 0;
    const SEEK_CUR: i32 = 1;
    const SEEK_END: i32 = 2;
    const SEEK_DATA: i32 = 3;
    const SEEK_HOLE: i32 = 4;
    let [fd, offset, whence, ..] = args;
    let fd = descriptor(fd);
    let description = call.process.fds.get(fd)?;
    if description.flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let length = match &description.object {
        Object::File(id) => call.host.files.len(*id)?,
        Object::Directory(_) => 0,
        Object::Null | Object::Zero | Object::Full | Object::Random => return Ok(0),
        _ => return Err(Errno::ESPIPE),
    };
    let is_directory = matches!(description.object, Object::Directory(_));
    let from = match int(whence) {
        SEEK_SET => 0,
        SEEK_CUR => description.offset,
        SEEK_END if !is_directory => length,
        // Every file is all data, with a hole at its end: the simplest truth that Linux allows.
        SEEK_DATA | SEEK_HOLE if offset >= length => return Err(Errno::ENXIO),
        SEEK_DATA => 0,
        SEEK_HOLE => length - offset,
        _ => return Err(Errno::EINVAL),
    };
    let to = from.checked_add_signed(offset as i64).filter(|&to| to <= MAX_OFFSET);
    let to = to.ok_or(Errno::EINVAL)?;
    let description = call.process.fds.get_mut(fd)?;
    description.offset = to;
    if let (Object::Directory(directory), 0) = (&mut description.object, to) {
        // Rewinding reads the directory anew.
        directory.entries = None;
    }
    Ok(to)
}

/// The regular file behind a descriptor that may be written.
fn writable_file(call: &Call<'_>, fd: u64, otherwise: Errno) -> Result<FileId, Errno> {
    let description = call.process.fds.get(fd)?;
    match description.object {
        Object::File(id) if description.writable() => Ok(id),
        _ => Err(otherwise),
    }
}

/// Sets a file's length, with mappings told.
pub(crate) fn set_length(call: &mut Call<'_>, id: FileId, len: u64) -> Result<(), Errno> {
    if len > MAX_OFFSET {
        return Err(Errno::EINVAL);
    }
    let before = call.host.files.len(id)?;
    // What lies beyond would come back with a later write-back.
    call.memory.before_file_read(id, 0, u64::MAX)?;
    call.host.files.set_len(id, len)?;
    let start = before.min(len);
    call.memory.file_changed(id, start, u64::MAX - start)?;
    call.host.touch(id, call.clock)
}

pub(crate) fn ftruncate(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = writable_file(call, descriptor(args[0]), Errno::EINVAL)?;
    set_length(call, id, args[1]).map(|()| 0)
}

pub(crate) fn fallocate(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const KEEP_SIZE: u64 = 1;
    let [fd, mode, offset, len, ..] = args;
    let id = writable_file(call, descriptor(fd), Errno::EBADF)?;
    if offset > MAX_OFFSET || len > MAX_OFFSET || len == 0 {
        return Err(Errno::EINVAL);
    }
    let end = offset + len;
    if end > MAX_OFFSET {
        return Err(Errno::EFBIG);
    }
    match mode {
        0 if end > call.host.files.len(id)? => set_length(call, id, end).map(|()| 0),
        0 | KEEP_SIZE => Ok(0),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

pub(crate) fn sync_file(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    match call.process.fds.get(descriptor(args[0]))?.object {
        Object::File(id) => {
            call.memory.before_file_read(id, 0, u64::MAX)?;
            // A handle for reading has nothing to make durable, whatever the host says to it.
            match call.host.files.sync(id) {
                Err(e) if e.kind() != std::io::ErrorKind::PermissionDenied => Err(e.into()),
                _ => Ok(0),
            }
        }
        Object::Directory(_) => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// sync: everything of everyone. The host's caches are the host's.
pub(crate) fn sync(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    for id in call.host.files.ids() {
        call.memory.before_file_read(id, 0, u64::MAX)?;
    }
    Ok(0)
}

/// Advice and locks: checked and without effect, for no one else is there.
pub(crate) fn advise(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.process.fds.get(descriptor(args[0])).map(|_| 0)
}

pub(crate) fn sendfile(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [to, from, offset_at, count, ..] = args;
    copy_between(call, descriptor(from), offset_at, descriptor(to), 0, count)
}

pub(crate) fn copy_file_range(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [from, from_at, to, to_at, count, flags] = args;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    writable_file(call, descriptor(to), Errno::EBADF)?;
    copy_between(call, descriptor(from), from_at, descriptor(to), to_at, count)
}

/// Copies from a file to a descriptor. Offsets are the descriptions', or where pointers lead, which
/// are then updated.
fn copy_between(
    call: &mut Call<'_>,
    from: u64,
    from_at: u64,
    to: u64,
    to_at: u64,
    count: u64,
) -> Result<u64, Errno> {
    let source = call.process.fds.get(from)?;
    let sink = call.process.fds.get(to)?;
    if !source.readable() || !sink.writable() {
        return Err(Errno::EBADF);
    }
    let (Object::File(_), sink) = (&source.object, sink.object.clone()) else {
        return Err(Errno::EINVAL);
    };
    let source = source.object.clone();
    let mut read_offset = start_offset(call, from, from_at)?;
    let mut write_offset = start_offset(call, to, to_at)?;
    let count = count.min(MAX_BYTES);
    let mut bytes = vec![0; count.min(CHUNK_BYTES as u64) as usize];
    let mut done: u64 = 0;
    while done < count {
        let piece = &mut bytes[..(count - done).min(CHUNK_BYTES as u64) as usize];
        let moved = read_object(call, &source, read_offset, piece, false)
            .and_then(|n| write_object(call, &sink, write_offset, &piece[..n], false));
        match moved {
            Ok(0) => break,
            Ok(n) => {
                done += n as u64;
                read_offset = read_offset.saturating_add(n as u64);
                write_offset = write_offset.saturating_add(n as u64);
            }
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
    }
    store_offset(call, from, from_at, read_offset)?;
    store_offset(call, to, to_at, write_offset)?;
    Ok(done)
}

fn start_offset(call: &mut Call<'_>, fd: u64, at: u64) -> Result<u64, Errno> {
    if at == 0 {
        let description = call.process.fds.get(fd)?;
        return match description.object {
            Object::File(id) if description.flags & O_APPEND != 0 => Ok(call.host.files.len(id)?),
            _ => Ok(description.offset),
        };
    }
    let offset = crate::memory::read_u64(call.memory, at)?;
    if offset > MAX_OFFSET { Err(Errno::EINVAL) } else { Ok(offset) }
}

fn store_offset(call: &mut Call<'_>, fd: u64, at: u64, offset: u64) -> Result<(), Errno> {
    if at != 0 {
        return call.memory.write(at, &offset.to_le_bytes());
    }
    call.process.fds.get_mut(fd)?.offset = offset;
    Ok(())
}
