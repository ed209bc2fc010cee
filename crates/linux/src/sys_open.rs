//! Descriptors: opening, closing, duplicating, and their flags.

use crate::call::{Args, Call, descriptor, int};
use crate::devices::{BuiltIn, built_in};
use crate::errno::Errno;
use crate::fd::{
    Description, Directory, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW,
    O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY, Object,
};
use crate::memory::read_path;
use crate::pipe::{PIPE_BYTES, PipeEnd};
use crate::root::{LastLink, Location};
use cap_std::fs::{OpenOptions, OpenOptionsExt};

/// "Relative to the working directory."
pub(crate) const AT_FDCWD: i32 = -100;

/// Host files kept open for their cached pages beyond what descriptors and mappings name.
const IDLE_FILES: usize = 256;

/// The directory that relative paths start from.
pub(crate) fn base(call: &Call<'_>, dirfd: u64, path: &[u8]) -> Result<Location, Errno> {
    if path.starts_with(b"/") || int(dirfd) == AT_FDCWD {
        return Ok(call.process.cwd.clone());
    }
    match &call.file(descriptor(dirfd))?.object {
        Object::Directory(directory) => Ok(directory.location.clone()),
        _ => Err(Errno::ENOTDIR),
    }
}

/// The place that a path names.
pub(crate) fn locate(
    call: &mut Call<'_>,
    dirfd: u64,
    path: &[u8],
    last: LastLink,
) -> Result<Location, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let base = base(call, dirfd, path)?;
    if !call.host.root.is_given() {
        let shown = String::from_utf8_lossy(path).escape_debug().to_string();
        call.host.say_once_about_root(&shown);
    }
    call.host.root.resolve(&base, path, last)
}

pub(crate) fn openat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, flags, mode, ..] = args;
    let path = read_path(call.memory, path)?;
    let flags = flags as u32;
    let description = match built_in(&path) {
        Some(special) => open_built_in(call, special, flags, &path)?,
        None => open_below_root(call, dirfd, &path, flags, mode as u32)?,
    };
    let close_on_exec = flags & O_CLOEXEC != 0;
    call.open(description, close_on_exec)
}

fn open_built_in(
    call: &mut Call<'_>,
    special: BuiltIn,
    flags: u32,
    path: &[u8],
) -> Result<Description, Errno> {
    if flags & O_DIRECTORY != 0 {
        return Err(Errno::ENOTDIR);
    }
    if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        return Err(Errno::EEXIST);
    }
    match special {
        BuiltIn::Device(device) => Ok(Description::new(device.object(), flags & !O_CLOEXEC, path)),
        BuiltIn::Terminal => Err(Errno::ENXIO),
        BuiltIn::Descriptor(fd) => {
            let original = call.file(fd).map_err(|_| Errno::ENOENT)?.clone();
            let wants = Description::new(original.object.clone(), flags & !O_CLOEXEC, path);
            // A pipe's ends are counted by description, and its other end cannot be had this way.
            let refused = matches!(original.object, Object::Pipe(..) | Object::Anonymous(_))
                || (wants.readable() && !original.readable())
                || (wants.writable() && !original.writable());
            if refused { Err(Errno::EACCES) } else { Ok(wants) }
        }
        BuiltIn::Executable if flags & O_ACCMODE == O_RDONLY => {
            let object = Object::File(call.process.executable);
            Ok(Description::new(object, flags & !O_CLOEXEC, &call.process.executable_path))
        }
        BuiltIn::Executable => Err(Errno::ETXTBSY),
    }
}

fn open_below_root(
    call: &mut Call<'_>,
    dirfd: u64,
    path: &[u8],
    flags: u32,
    mode: u32,
) -> Result<Description, Errno> {
    if flags & O_TMPFILE == O_TMPFILE {
        return Err(Errno::EOPNOTSUPP);
    }
    let exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
    let keep = flags & O_NOFOLLOW != 0 || exclusive;
    let last = if keep { LastLink::Keep } else { LastLink::Follow };
    let at = locate(call, dirfd, path, last)?;
    match call.host.root.metadata(&at) {
        Ok(_) if exclusive => Err(Errno::EEXIST),
        Ok(metadata) if metadata.is_dir() => open_directory(at, flags),
        Ok(_) if flags & O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
        Ok(metadata) if metadata.is_symlink() => Err(Errno::ELOOP),
        Ok(metadata) if metadata.is_file() => open_file(call, &at, flags, None),
        // FIFOs, sockets and devices of the host are not the guest's.
        Ok(_) => Err(Errno::ENXIO),
        Err(Errno::ENOENT) if flags & O_CREAT != 0 => {
            if at.must_be_directory {
                return Err(Errno::EISDIR);
            }
            let mode = mode & 0o777 & !call.process.umask;
            open_file(call, &at, flags, Some(mode))
        }
        Err(e) => Err(e),
    }
}

fn open_directory(at: Location, flags: u32) -> Result<Description, Errno> {
    if flags & O_PATH == 0 && (flags & O_ACCMODE != O_RDONLY || flags & O_CREAT != 0) {
        return Err(Errno::EISDIR);
    }
    let path = at.guest_path();
    let object = Object::Directory(Directory { location: at, entries: None });
    Ok(Description::new(object, flags & !O_CLOEXEC, &path))
}

/// Opens a regular file, or creates one with the mode given.
fn open_file(
    call: &mut Call<'_>,
    at: &Location,
    flags: u32,
    create: Option<u32>,
) -> Result<Description, Errno> {
    sweep_idle_files(call);
    let access = if flags & O_PATH != 0 { O_RDONLY } else { flags & O_ACCMODE };
    let readable = matches!(access, O_RDONLY | O_RDWR);
    let writable = matches!(access, O_WRONLY | O_RDWR);
    // Linux truncates even for readers, if the permissions allow it.
    let truncate = flags & O_TRUNC != 0 && create.is_none() && flags & O_PATH == 0;
    let changes = writable || truncate || create.is_some();
    let mut options = OpenOptions::new();
    options.read(readable).write(changes);
    if let Some(mode) = create {
        options.create_new(true).mode(mode);
    }
    let file = call.host.root.open_with(at, &options, changes)?;
    // What was a regular file may have been replaced since.
    if !file.metadata()?.is_file() {
        return Err(Errno::ENXIO);
    }
    let id = call.host.files.insert(file, readable, changes)?;
    if truncate {
        call.host.files.set_len(id, 0)?;
        call.memory.file_resized(id, u64::MAX, 0)?;
    }
    if truncate || create.is_some() {
        call.host.touch(id, call.clock)?;
    }
    Ok(Description::new(Object::File(id), flags & !O_CLOEXEC, &at.guest_path()))
}

/// Closes host files that no one names, oldest first, once there are many: until then they stay,
/// as their pages would in Linux's cache.
fn sweep_idle_files(call: &mut Call<'_>) {
    if call.host.files.count() < IDLE_FILES {
        return;
    }
    for id in call.host.files.ids() {
        let idle = id != call.process.executable && !call.system.names_file(id);
        if idle && call.memory.forget_file(id) {
            call.host.files.close(id);
        }
    }
}

pub(crate) fn close(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.close(descriptor(args[0])).map(|()| 0)
}

pub(crate) fn close_range(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const CLOEXEC: u64 = 4;
    let [first, last, flags, ..] = args;
    let range = u64::from(first as u32)..=u64::from(last as u32);
    if range.is_empty() || flags & !CLOEXEC != 0 {
        return Err(Errno::EINVAL);
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
    const F_UNLCK: u16 = 2;
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
        // No one else is there to hold a lock, or to be kept out by one.
        F_GETLK => {
            call.file(fd)?;
            call.memory.write(args[2], &F_UNLCK.to_le_bytes()).map(|()| 0)
        }
        F_SETLK | F_SETLKW => call.file(fd).map(|_| 0),
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
    let [fd, request, to, ..] = args;
    let description = call.file(descriptor(fd))?;
    let terminal = match description.object {
        Object::Stdin => call.host.terminals[0],
        Object::Stdout => call.host.terminals[1],
        Object::Stderr => call.host.terminals[2],
        _ => false,
    };
    match request & 0xffff_ffff {
        TCGETS if terminal => call.memory.write(to, &TERMIOS).map(|()| 0),
        // 24 rows of 80 columns, whatever the host's window has.
        TIOCGWINSZ if terminal => call.memory.write(to, &[24, 0, 80, 0, 0, 0, 0, 0]).map(|()| 0),
        FIONREAD => match description.object {
            Object::Pipe(id, PipeEnd::Read) => {
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
