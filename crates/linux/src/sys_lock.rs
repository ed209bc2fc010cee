//! Locks: fcntl's F_SETLK, F_SETLKW, F_GETLK and F_OFD_*, and flock.
//!
//! ```text
//!   struct flock (64 bits)    0 l_type  2 l_whence  8 l_start  16 l_len  24 l_pid
//! ```

use crate::buffers::MAX_OFFSET;
use crate::call::{Args, Call, Then, descriptor, int};
use crate::errno::Errno;
use crate::fd::{DescriptionId, O_PATH, Object};
use crate::files::FileId;
use crate::locks::{Lock, LockedFile, Owner};
use crate::memory::read_array;
use crate::sys_file::length;
use crate::system::System;
use crate::wait::{Channel, Pid};

const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;

/// What fcntl is asked to do with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// To tell what is in its way.
    Get,
    /// To take it or give it up.
    Set,
    /// The same, waiting for whoever has it.
    SetAndWait,
}

/// fcntl(fd, …LK…, lock), for the process or, with `by_description`, for the open file.
pub(crate) fn fcntl_lock(
    call: &mut Call<'_>,
    fd: u64,
    at: u64,
    command: Command,
    by_description: bool,
) -> Result<u64, Errno> {
    let id = call.process.fds.description(fd)?;
    let description = call.file(fd)?;
    if description.flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let (readable, writable) = (description.readable(), description.writable());
    let file = LockedFile::Records(number(call, fd)?);
    let raw: [u8; 32] = read_array(call.memory, at)?;
    let kind = i16::from_le_bytes([raw[0], raw[1]]);
    let pid = u32::from_le_bytes([raw[24], raw[25], raw[26], raw[27]]);
    if by_description && pid != 0 {
        return Err(Errno::EINVAL);
    }
    let owner = match by_description {
        true => Owner::Description(id),
        false => Owner::Process(call.process.pid),
    };
    let (start, last) = range(call, fd, &raw)?;
    let wanted = Lock { owner, start, last, is_write: kind == F_WRLCK };
    let is_allowed = match (command, kind) {
        (_, F_RDLCK) => readable || command == Command::Get,
        (_, F_WRLCK) => writable || command == Command::Get,
        (Command::Set | Command::SetAndWait, F_UNLCK) => true,
        _ => return Err(Errno::EINVAL),
    };
    match command {
        _ if !is_allowed => Err(Errno::EBADF),
        Command::Get => tell(call, at, call.system.locks.conflict(file, &wanted)),
        _ if kind == F_UNLCK => {
            call.system.locks.clear(file, &wanted);
            call.system.wake_locks(file);
            Ok(0)
        }
        _ => take(call, file, wanted, command == Command::SetAndWait),
    }
}

/// The first and last byte that a `struct flock` means.
fn range(call: &Call<'_>, fd: u64, raw: &[u8; 32]) -> Result<(u64, u64), Errno> {
    const SEEK_SET: i16 = 0;
    const SEEK_CUR: i16 = 1;
    const SEEK_END: i16 = 2;
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
    let (offset, len) = (word(8), word(16));
    let description = call.file(fd)?;
    let from = match i16::from_le_bytes([raw[2], raw[3]]) {
        SEEK_SET => 0,
        SEEK_CUR => description.offset,
        SEEK_END => match description.object {
            Object::File(file) => length(call, file)?,
            _ => 0,
        },
        _ => return Err(Errno::EINVAL),
    };
    let start = from.checked_add_signed(offset).filter(|&at| at <= MAX_OFFSET);
    let start = start.ok_or(Errno::EINVAL)?;
    match len {
        0 => Ok((start, u64::MAX)),
        1.. => {
            let last = start.checked_add(len as u64 - 1).filter(|&at| at <= MAX_OFFSET);
            last.map(|last| (start, last)).ok_or(Errno::EOVERFLOW)
        }
        _ => {
            // What lies before.
            let first = start.checked_add_signed(len).ok_or(Errno::EINVAL)?;
            Ok((first, start - 1))
        }
    }
}

fn tell(call: &mut Call<'_>, at: u64, conflict: Option<Lock>) -> Result<u64, Errno> {
    let Some(lock) = conflict else {
        return call.memory.write(at, &F_UNLCK.to_le_bytes()).map(|()| 0);
    };
    let kind = if lock.is_write { F_WRLCK } else { F_RDLCK };
    let len = if lock.last == u64::MAX { 0 } else { lock.last - lock.start + 1 };
    let pid = match lock.owner {
        Owner::Process(pid) => pid,
        // -1: nobody's in particular.
        Owner::Description(_) => u32::MAX,
    };
    let mut out = [0; 32];
    out[..2].copy_from_slice(&kind.to_le_bytes());
    out[8..16].copy_from_slice(&lock.start.to_le_bytes());
    out[16..24].copy_from_slice(&len.to_le_bytes());
    out[24..28].copy_from_slice(&pid.to_le_bytes());
    call.memory.write(at, &out).map(|()| 0)
}

/// Takes a lock, or waits until it can be had.
fn take(call: &mut Call<'_>, file: LockedFile, wanted: Lock, waits: bool) -> Result<u64, Errno> {
    let pid = call.process.pid;
    call.system.locks.end_wait(pid);
    if call.system.locks.conflict(file, &wanted).is_none() {
        call.system.locks.set(file, wanted)?;
        // What was a lock for writing may be one for reading now.
        call.system.wake_locks(file);
        return Ok(0);
    }
    if !waits {
        return Err(Errno::EAGAIN);
    }
    if let Owner::Process(_) = wanted.owner {
        call.system.locks.wait(pid, file, &wanted)?;
    }
    let channels = vec![channel(file)];
    let errno = call.wait("the lock of a file", channels, None, Errno::ERESTARTSYS);
    if !matches!(call.then, Then::Wait(_)) {
        call.system.locks.end_wait(pid);
    }
    Err(errno)
}

pub(crate) fn flock(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const LOCK_SH: i32 = 1;
    const LOCK_EX: i32 = 2;
    const LOCK_NB: i32 = 4;
    const LOCK_UN: i32 = 8;
    let fd = descriptor(args[0]);
    let id = call.process.fds.description(fd)?;
    let owner = Owner::Description(id);
    let operation = int(args[1]);
    let is_write = operation & !LOCK_NB == LOCK_EX;
    let file = LockedFile::Whole(number(call, fd)?);
    match operation & !LOCK_NB {
        LOCK_UN => {
            call.system.locks.release(file, owner);
            call.system.wake_locks(file);
            Ok(0)
        }
        LOCK_SH | LOCK_EX => {
            // One of the other kind is given up first: two who both share do not wait for ever.
            if call.system.locks.held(file, owner).is_some_and(|held| held != is_write) {
                call.system.locks.release(file, owner);
                call.system.wake_locks(file);
            }
            let wanted = Lock { owner, start: 0, last: u64::MAX, is_write };
            take(call, file, wanted, operation & LOCK_NB == 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The number by which the locks of what a descriptor names are kept.
fn number(call: &Call<'_>, fd: u64) -> Result<u32, Errno> {
    match &call.file(fd)?.object {
        Object::File(file) => Ok(file.0),
        // Other things are nobody's to share: locks on one are as good as on all of them.
        _ => Ok(u32::MAX),
    }
}

fn channel(file: LockedFile) -> Channel {
    match file {
        LockedFile::Records(number) | LockedFile::Whole(number) => Channel::Lock(number),
    }
}

impl System {
    /// Who waits for a lock of the file looks again.
    fn wake_locks(&mut self, file: LockedFile) {
        self.wake(channel(file));
    }

    /// A process closed a descriptor of a file: its record locks there are gone, as POSIX has it.
    pub(crate) fn close_locks(&mut self, pid: Pid, file: FileId) {
        let file = LockedFile::Records(file.0);
        if self.locks.release(file, Owner::Process(pid)) {
            self.wake_locks(file);
        }
    }

    /// A process is gone.
    pub(crate) fn release_process_locks(&mut self, pid: Pid) {
        self.locks.end_wait(pid);
        self.release_locks(Owner::Process(pid));
    }

    /// The locks of a description that is gone.
    pub(crate) fn release_description_locks(&mut self, id: DescriptionId) {
        self.release_locks(Owner::Description(id));
    }

    fn release_locks(&mut self, owner: Owner) {
        for file in self.locks.release_all(owner) {
            self.wake_locks(file);
        }
    }
}
