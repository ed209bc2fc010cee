//! Files as a whole: position, length, durability, and copying one to another.

use crate::buffers::{MAX_BYTES, MAX_OFFSET};
use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{O_APPEND, O_PATH, Object};
use crate::files::FileId;
use crate::memory::{CHUNK_BYTES, read_u64};
use crate::sys_io::{read_object, write_object};
use crate::sys_seal;
use std::ops::Range;

pub(crate) fn lseek(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SEEK_SET: i32 = 0;
    const SEEK_CUR: i32 = 1;
    const SEEK_END: i32 = 2;
    const SEEK_DATA: i32 = 3;
    const SEEK_HOLE: i32 = 4;
    let [fd, offset, whence, ..] = args;
    let fd = descriptor(fd);
    let description = call.file(fd)?;
    if description.flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let length = match &description.object {
        Object::File(id) => length(call, *id)?,
        Object::Text(open) => open.bytes.len() as u64,
        Object::Directory(_) => 0,
        Object::Null | Object::Zero | Object::Full | Object::Random => return Ok(0),
        _ => return Err(Errno::ESPIPE),
    };
    let memory_file = match description.object {
        Object::File(id) if id.is_memory() => Some(id),
        _ => None,
    };
    let is_directory = matches!(description.object, Object::Directory(_));
    let from = match int(whence) {
        SEEK_SET => 0,
        SEEK_CUR => description.offset,
        SEEK_END if !is_directory => length,
        SEEK_DATA | SEEK_HOLE if memory_file.is_some() => {
            let to = seek_object(call, memory_file, offset, int(whence) == SEEK_HOLE)?;
            call.file_mut(fd)?.offset = to;
            return Ok(to);
        }
        // A file of the host is all data, with a hole at its end: the simplest truth that Linux allows.
        SEEK_DATA | SEEK_HOLE if offset >= length => return Err(Errno::ENXIO),
        SEEK_DATA => 0,
        SEEK_HOLE => length - offset,
        _ => return Err(Errno::EINVAL),
    };
    let to = from.checked_add_signed(offset as i64).filter(|&to| to <= MAX_OFFSET);
    let to = to.ok_or(Errno::EINVAL)?;
    let description = call.file_mut(fd)?;
    description.offset = to;
    if let (Object::Directory(directory), 0) = (&mut description.object, to) {
        // Rewinding reads the directory anew.
        directory.entries = None;
    }
    Ok(to)
}

fn seek_object(
    call: &Call<'_>,
    file: Option<FileId>,
    offset: u64,
    to_hole: bool,
) -> Result<u64, Errno> {
    let file = file.ok_or(Errno::EINVAL)?;
    if offset > MAX_OFFSET {
        return Err(Errno::ENXIO);
    }
    match to_hole {
        true => call.memory.object_hole(file, offset),
        false => call.memory.object_data(file, offset),
    }
}

/// A regular file's length.
pub(crate) fn length(call: &Call<'_>, id: FileId) -> Result<u64, Errno> {
    match id.is_memory() {
        true => call.memory.object_len(id),
        false => Ok(call.host.files.len(id)?),
    }
}

/// The regular file behind a descriptor that may be written.
fn writable_file(call: &Call<'_>, fd: u64, otherwise: Errno) -> Result<FileId, Errno> {
    let description = call.file(fd)?;
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
    if id.is_memory() {
        return sys_seal::set_length(call, id, len);
    }
    let before = call.host.files.len(id)?;
    // What lies beyond would come back with a later write-back.
    call.memory.before_file_read(id, 0, u64::MAX)?;
    call.host.files.set_len(id, len)?;
    call.memory.file_resized(id, before, len)?;
    call.host.touch(id, call.clock)
}

pub(crate) fn ftruncate(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if args[1] > MAX_OFFSET {
        return Err(Errno::EINVAL);
    }
    let id = writable_file(call, descriptor(args[0]), Errno::EINVAL)?;
    set_length(call, id, args[1]).map(|()| 0)
}

pub(crate) fn fallocate(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const KEEP_SIZE: u64 = 1;
    const PUNCH_HOLE: u64 = 2;
    const COLLAPSE_RANGE: u64 = 8;
    const ZERO_RANGE: u64 = 0x10;
    const INSERT_RANGE: u64 = 0x20;
    const UNSHARE_RANGE: u64 = 0x40;
    const PUNCH: u64 = PUNCH_HOLE | KEEP_SIZE;
    const ZERO_KEEP: u64 = ZERO_RANGE | KEEP_SIZE;
    const UNSHARE_KEEP: u64 = UNSHARE_RANGE | KEEP_SIZE;
    let [fd, mode, offset, len, ..] = args;
    let (fd, mode) = (descriptor(fd), mode & u64::from(u32::MAX));
    call.file(fd)?;
    if offset > MAX_OFFSET || len > MAX_OFFSET || len == 0 {
        return Err(Errno::EINVAL);
    }
    // What no file can comes before what this file may: vfs_fallocate's order.
    let (0 | KEEP_SIZE | PUNCH | ZERO_RANGE | ZERO_KEEP | COLLAPSE_RANGE | INSERT_RANGE
    | UNSHARE_RANGE | UNSHARE_KEEP) = mode
    else {
        return Err(Errno::EOPNOTSUPP);
    };
    let id = writable_file(call, fd, Errno::EBADF)?;
    let end = offset + len;
    if end > MAX_OFFSET {
        return Err(Errno::EFBIG);
    }
    let is_longer = end > length(call, id)?;
    match mode {
        0 if is_longer => set_length(call, id, end)?,
        0 | KEEP_SIZE => {}
        PUNCH if id.is_memory() => sys_seal::punch(call, id, offset..end)?,
        PUNCH | ZERO_KEEP if !id.is_memory() => zero_host_file(call, id, offset..end)?,
        ZERO_RANGE if !id.is_memory() => {
            zero_host_file(call, id, offset..end)?;
            if is_longer {
                set_length(call, id, end)?;
            }
        }
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(0)
}

/// Zeroes a range of a file of the host, up to the file's end. Where the host can it becomes a hole.
fn zero_host_file(call: &mut Call<'_>, id: FileId, range: Range<u64>) -> Result<(), Errno> {
    let end = range.end.min(call.host.files.len(id)?);
    if range.start >= end {
        return Ok(());
    }
    let len = end - range.start;
    call.memory.before_file_read(id, range.start, len)?;
    call.host.files.punch(id, range.start..end)?;
    call.memory.file_changed(id, range.start, len)?;
    call.host.touch(id, call.clock)
}

pub(crate) fn sync_file(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    match call.file(descriptor(args[0]))?.object {
        Object::File(id) if id.is_memory() => Ok(0),
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
    call.file(descriptor(args[0])).map(|_| 0)
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
    let source = call.file(from)?;
    let sink = call.file(to)?;
    if !source.readable() || !sink.writable() {
        return Err(Errno::EBADF);
    }
    let (Object::File(_) | Object::Text(_), sink) = (&source.object, sink.object.clone()) else {
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
        let description = call.file(fd)?;
        return match description.object {
            Object::File(id) if description.flags & O_APPEND != 0 => length(call, id),
            _ => Ok(description.offset),
        };
    }
    let offset = read_u64(call.memory, at)?;
    if offset > MAX_OFFSET { Err(Errno::EINVAL) } else { Ok(offset) }
}

fn store_offset(call: &mut Call<'_>, fd: u64, at: u64, offset: u64) -> Result<(), Errno> {
    if at != 0 {
        return call.memory.write(at, &offset.to_le_bytes());
    }
    call.file_mut(fd)?.offset = offset;
    Ok(())
}
