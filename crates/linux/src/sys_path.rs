//! Names: status, access, links, directories, renaming and removing.

use crate::call::{Args, Call, descriptor, int};
use crate::devices::{BuiltIn, built_in};
use crate::errno::Errno;
use crate::fd::{Description, Object};
use crate::host::unix_ns;
use crate::memory::{CHUNK_BYTES, UserMemory, read_path};
use crate::root::{LastLink, Location, host_error, path_bytes};
use crate::stat::{DirectoryEntry, Layout, S_IFCHR, S_IFDIR, S_IFIFO, Stat, Times};
use crate::sys_file;
use crate::sys_open::{AT_FDCWD, locate};
use cap_std::fs::{DirBuilder, DirBuilderExt, MetadataExt, OpenOptions};
use std::collections::BTreeMap;
use std::sync::Arc;

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_REMOVEDIR: u64 = 0x200;
const AT_EMPTY_PATH: u64 = 0x1000;

/// What a path and its flags mean.
enum Target {
    /// An open description.
    Descriptor(u64),
    /// A built-in path.
    BuiltIn(BuiltIn),
    /// A place below the root.
    Place(Location),
}

fn target(call: &mut Call<'_>, dirfd: u64, path_at: u64, flags: u64) -> Result<Target, Errno> {
    // A null path with AT_EMPTY_PATH: newer C libraries do that for fstat.
    let empty_allowed = flags & AT_EMPTY_PATH != 0;
    let path =
        if path_at == 0 && empty_allowed { Vec::new() } else { read_path(call.memory, path_at)? };
    if path.is_empty() && empty_allowed {
        return Ok(match int(dirfd) {
            AT_FDCWD => Target::Place(call.process.cwd.clone()),
            _ => Target::Descriptor(descriptor(dirfd)),
        });
    }
    match built_in(&path) {
        Some(BuiltIn::Descriptor(fd)) if flags & AT_SYMLINK_NOFOLLOW == 0 => {
            call.file(fd).map_err(|_| Errno::ENOENT)?;
            return Ok(Target::Descriptor(fd));
        }
        Some(special) => return Ok(Target::BuiltIn(special)),
        None => {}
    }
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { LastLink::Keep } else { LastLink::Follow };
    locate(call, dirfd, &path, last).map(Target::Place)
}

fn stat_target(call: &mut Call<'_>, target: &Target) -> Result<Stat, Errno> {
    const LINK: u32 = crate::stat::S_IFLNK | 0o777;
    match target {
        Target::Descriptor(fd) => stat_descriptor(call, *fd),
        Target::BuiltIn(BuiltIn::Device(device)) => Ok(device.stat()),
        Target::BuiltIn(BuiltIn::Terminal) => Err(Errno::ENXIO),
        Target::BuiltIn(BuiltIn::Descriptor(_)) => Ok(Stat::special(LINK, 0, 10)),
        Target::BuiltIn(BuiltIn::Executable) => {
            let metadata = call.host.files.metadata(call.process.executable)?;
            Ok(call.host.stat(&metadata))
        }
        Target::Place(at) => {
            let metadata = call.host.root.metadata(at)?;
            Ok(call.host.stat(&metadata))
        }
    }
}

fn stat_descriptor(call: &mut Call<'_>, fd: u64) -> Result<Stat, Errno> {
    /// The major number of UNIX98 pseudo-terminals.
    const TERMINAL_MAJOR: u64 = 136;
    let stream = |terminal: bool, fd: u64| match terminal {
        true => Stat::special(S_IFCHR | 0o620, TERMINAL_MAJOR << 8, 3),
        false => Stat::special(S_IFIFO | 0o600, 0, 11 + fd),
    };
    let terminals = call.host.terminals;
    match &call.file(fd)?.object {
        Object::Null => Ok(crate::devices::Device::Null.stat()),
        Object::Zero => Ok(crate::devices::Device::Zero.stat()),
        Object::Full => Ok(crate::devices::Device::Full.stat()),
        Object::Random => Ok(crate::devices::Device::Urandom.stat()),
        Object::Stdin => Ok(stream(terminals[0], 0)),
        Object::Stdout => Ok(stream(terminals[1], 1)),
        Object::Stderr => Ok(stream(terminals[2], 2)),
        Object::Pipe(..) => Ok(Stat::special(S_IFIFO | 0o600, 0, 14)),
        // Linux gives all of them one inode, without a file type.
        Object::Anonymous(_) => Ok(Stat::special(0o600, 0, 15)),
        Object::File(id) => {
            let metadata = call.host.files.metadata(*id)?;
            Ok(call.host.stat(&metadata))
        }
        Object::Directory(directory) => {
            let metadata = call.host.root.metadata(&directory.location)?;
            Ok(call.host.stat(&metadata))
        }
    }
}

pub(crate) fn fstat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let stat = stat_descriptor(call, descriptor(args[0]))?;
    call.memory.write(args[1], &stat.encode()).map(|()| 0)
}

pub(crate) fn newfstatat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, args[0], args[1], args[3])?;
    let stat = stat_target(call, &target)?;
    call.memory.write(args[2], &stat.encode()).map(|()| 0)
}

pub(crate) fn statx(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, args[0], args[1], args[2])?;
    let stat = stat_target(call, &target)?;
    call.memory.write(args[4], &stat.encode_extended()).map(|()| 0)
}

/// Root may read and write everything, and execute what anyone may.
fn access(call: &mut Call<'_>, args: Args, flags: u64) -> Result<u64, Errno> {
    const X_OK: u64 = 1;
    const ANY: u64 = 7;
    let [dirfd, path, mode, ..] = args;
    if mode & !ANY != 0 {
        return Err(Errno::EINVAL);
    }
    let target = target(call, dirfd, path, flags)?;
    let stat = stat_target(call, &target)?;
    let executable = stat.mode & 0o111 != 0 || stat.mode & crate::stat::S_IFMT == S_IFDIR;
    if mode & X_OK != 0 && !executable { Err(Errno::EACCES) } else { Ok(0) }
}

pub(crate) fn faccessat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    access(call, args, 0)
}

pub(crate) fn faccessat2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    access(call, args, args[3])
}

pub(crate) fn readlinkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, to, len, ..] = args;
    if int(len) <= 0 {
        return Err(Errno::EINVAL);
    }
    let link = match target(call, dirfd, path, AT_SYMLINK_NOFOLLOW)? {
        Target::BuiltIn(BuiltIn::Executable) => call.process.executable_path.clone(),
        Target::BuiltIn(BuiltIn::Descriptor(fd)) => {
            call.file(fd).map_err(|_| Errno::ENOENT)?.path.to_vec()
        }
        Target::BuiltIn(_) | Target::Descriptor(_) => return Err(Errno::EINVAL),
        Target::Place(at) => {
            if !call.host.root.metadata(&at)?.is_symlink() {
                return Err(Errno::EINVAL);
            }
            call.host.root.read_link(&at)?
        }
    };
    let n = link.len().min(int(len) as usize);
    call.memory.write(to, &link[..n])?;
    Ok(n as u64)
}

pub(crate) fn getdents64(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, to, len, ..] = args;
    let fd = descriptor(fd);
    let room = (len as u32 as usize).min(CHUNK_BYTES);
    let entries = directory_entries(call, fd)?;
    let start = call.file(fd)?.offset;
    let mut position = start;
    let mut out = Vec::new();
    while let Some(entry) = usize::try_from(position).ok().and_then(|i| entries.get(i)) {
        let bytes = entry.encode(position + 1);
        if out.len() + bytes.len() > room {
            break;
        }
        out.extend(bytes);
        position += 1;
    }
    if out.is_empty() && (position as usize) < entries.len() {
        return Err(Errno::EINVAL);
    }
    call.memory.write(to, &out)?;
    call.file_mut(fd)?.offset = position;
    Ok(out.len() as u64)
}

fn directory_entries(call: &mut Call<'_>, fd: u64) -> Result<Arc<Vec<DirectoryEntry>>, Errno> {
    let Object::Directory(directory) = &call.file(fd)?.object else {
        return Err(Errno::ENOTDIR);
    };
    if let Some(entries) = &directory.entries {
        return Ok(Arc::clone(entries));
    }
    let location = directory.location.clone();
    let read = Arc::new(read_directory(call, &location)?);
    if let Description { object: Object::Directory(directory), .. } = call.file_mut(fd)? {
        directory.entries = Some(Arc::clone(&read));
    }
    Ok(read)
}

fn read_directory(call: &mut Call<'_>, at: &Location) -> Result<Vec<DirectoryEntry>, Errno> {
    let host = &mut *call.host;
    let own = host.root.metadata(at)?;
    let mut found = BTreeMap::new();
    for (_, dir) in host.root.layers() {
        let entries = match dir.read_dir(at.host_path()).map_err(host_error) {
            Ok(entries) => entries,
            // The other layer has it.
            Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
            Err(errno) => return Err(errno),
        };
        for entry in entries {
            let entry = entry.map_err(host_error)?;
            // A name that is gone before it is looked at was not there.
            let Ok(metadata) = entry.metadata() else { continue };
            found.entry(path_bytes(entry.file_name().as_ref())).or_insert(metadata);
        }
    }
    let own_number = host.inodes.number((own.dev(), own.ino()));
    let dots = [&b"."[..], b".."];
    let dots = dots.map(|name| DirectoryEntry {
        inode: own_number,
        type_bits: S_IFDIR,
        name: name.to_vec(),
    });
    let named = found.into_iter().map(|(name, metadata)| {
        let inode = host.inodes.number((metadata.dev(), metadata.ino()));
        DirectoryEntry::new(inode, metadata.file_type(), name)
    });
    Ok(dots.into_iter().chain(named).collect())
}

pub(crate) fn getcwd(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let mut path = call.process.cwd.guest_path();
    path.push(0);
    if args[1] < path.len() as u64 {
        return Err(Errno::ERANGE);
    }
    call.memory.write(args[0], &path)?;
    Ok(path.len() as u64)
}

fn enter(call: &mut Call<'_>, at: Location) -> Result<u64, Errno> {
    if !call.host.root.metadata(&at)?.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    call.process.cwd = at;
    Ok(0)
}

pub(crate) fn chdir(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let path = read_path(call.memory, args[0])?;
    let at = locate(call, AT_FDCWD as u64, &path, LastLink::Follow)?;
    enter(call, at)
}

pub(crate) fn fchdir(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    match &call.file(descriptor(args[0]))?.object {
        Object::Directory(directory) => {
            let at = directory.location.clone();
            enter(call, at)
        }
        _ => Err(Errno::ENOTDIR),
    }
}

/// A place whose last component is itself meant, not what it links to.
fn place(call: &mut Call<'_>, dirfd: u64, path_at: u64) -> Result<Location, Errno> {
    let path = read_path(call.memory, path_at)?;
    if built_in(&path).is_some() {
        return Err(Errno::EPERM);
    }
    locate(call, dirfd, &path, LastLink::Keep)
}

pub(crate) fn mkdirat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let at = place(call, args[0], args[1])?;
    if at.is_root() {
        return Err(Errno::EEXIST);
    }
    let mut builder = DirBuilder::new();
    builder.mode(args[2] as u32 & 0o777 & !call.process.umask);
    let dir = call.host.root.dir()?;
    dir.create_dir_with(at.host_path(), &builder).map_err(host_error)?;
    touch_place(call, &at)?;
    Ok(0)
}

/// Gives what the guest has just made the virtual time.
fn touch_place(call: &mut Call<'_>, at: &Location) -> Result<(), Errno> {
    let metadata = call.host.root.metadata(at)?;
    let number = call.host.inodes.number((metadata.dev(), metadata.ino()));
    let ns = unix_ns(call.clock);
    let times = Times { access_ns: ns, modify_ns: ns, change_ns: ns };
    call.host.inodes.set_times(number, times);
    Ok(())
}

pub(crate) fn unlinkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, flags, ..] = args;
    let at = place(call, dirfd, path)?;
    let is_dir = call.host.root.metadata(&at)?.is_dir();
    let dir = call.host.root.writable(&at)?;
    match (flags & AT_REMOVEDIR != 0, is_dir) {
        (true, _) if at.is_root() => Err(Errno::EBUSY),
        (true, true) => dir.remove_dir(at.host_path()).map_err(host_error).map(|()| 0),
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (false, false) => dir.remove_file(at.host_path()).map_err(host_error).map(|()| 0),
    }
}

pub(crate) fn renameat2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const NOREPLACE: u64 = 1;
    let [from_dir, from, to_dir, to, flags, _] = args;
    if flags & !NOREPLACE != 0 {
        return Err(Errno::EINVAL);
    }
    let from = place(call, from_dir, from)?;
    let to = place(call, to_dir, to)?;
    if from.is_root() || to.is_root() {
        return Err(Errno::EBUSY);
    }
    if flags & NOREPLACE != 0 && call.host.root.metadata(&to).is_ok() {
        return Err(Errno::EEXIST);
    }
    let dir = call.host.root.writable(&from)?;
    dir.rename(from.host_path(), dir, to.host_path()).map_err(host_error)?;
    Ok(0)
}

pub(crate) fn symlinkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let link = read_path(call.memory, args[0])?;
    if link.is_empty() {
        return Err(Errno::ENOENT);
    }
    let at = place(call, args[1], args[2])?;
    let dir = call.host.root.dir()?;
    // Where it leads is decided when the guest follows it, below its root. On the host an absolute
    // or climbing link could lead elsewhere: cap-std's own check keeps such links out.
    dir.symlink(std::ffi::OsStr::from_bytes(&link), at.host_path()).map_err(host_error)?;
    Ok(0)
}

pub(crate) fn linkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const AT_SYMLINK_FOLLOW: u64 = 0x400;
    let [from_dir, from, to_dir, to, flags, _] = args;
    if flags & !AT_SYMLINK_FOLLOW != 0 {
        return Err(Errno::EINVAL);
    }
    let path = read_path(call.memory, from)?;
    let last = if flags == 0 { LastLink::Keep } else { LastLink::Follow };
    let from = locate(call, from_dir, &path, last)?;
    let to = place(call, to_dir, to)?;
    if call.host.root.metadata(&from)?.is_dir() {
        return Err(Errno::EPERM);
    }
    let dir = call.host.root.writable(&from)?;
    dir.hard_link(from.host_path(), dir, to.host_path()).map_err(host_error)?;
    Ok(0)
}

pub(crate) fn truncate(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let path = read_path(call.memory, args[0])?;
    let at = locate(call, AT_FDCWD as u64, &path, LastLink::Follow)?;
    let metadata = call.host.root.metadata(&at)?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    if !metadata.is_file() {
        return Err(Errno::EINVAL);
    }
    let options = OpenOptions::new().write(true).clone();
    let file = call.host.root.open_with(&at, &options, true)?;
    let id = call.host.files.insert(file, false, true)?;
    sys_file::set_length(call, id, args[1]).map(|()| 0)
}

pub(crate) fn utimensat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, times_at, flags, ..] = args;
    let flags = if path == 0 { flags | AT_EMPTY_PATH } else { flags };
    let target = target(call, dirfd, path, flags)?;
    let stat = stat_target(call, &target)?;
    let now = unix_ns(call.clock);
    let mut times = Times { access_ns: now, modify_ns: now, change_ns: now };
    if times_at != 0 {
        let second = times_at.checked_add(16).ok_or(Errno::EFAULT)?;
        times.access_ns = one_time(call.memory, times_at, now, stat.times.access_ns)?;
        times.modify_ns = one_time(call.memory, second, now, stat.times.modify_ns)?;
    }
    // Kept for this run; the host's files carry the host's times.
    call.host.inodes.set_times(stat.inode, times);
    Ok(0)
}

/// One of utimensat's times.
fn one_time(
    memory: &mut dyn UserMemory,
    at: u64,
    now: i128,
    unchanged: i128,
) -> Result<i128, Errno> {
    const UTIME_NOW: u64 = 0x3fff_ffff;
    const UTIME_OMIT: u64 = 0x3fff_fffe;
    let seconds = crate::memory::read_u64(memory, at)? as i64;
    let ns = crate::memory::read_u64(memory, at.checked_add(8).ok_or(Errno::EFAULT)?)?;
    match ns {
        UTIME_NOW => Ok(now),
        UTIME_OMIT => Ok(unchanged),
        0..crate::clock::NS_PER_S => {
            Ok(i128::from(seconds) * i128::from(crate::clock::NS_PER_S) + i128::from(ns))
        }
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn umask(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let before = call.process.umask;
    call.process.umask = args[0] as u32 & 0o777;
    Ok(before.into())
}

/// A file system of no particular size.
fn write_statfs(call: &mut Call<'_>, to: u64) -> Result<u64, Errno> {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    const BLOCKS: u64 = 1 << 20;
    const NAME_MAX: u64 = 255;
    let page = call.memory.page_bytes();
    let mut out = Layout::<120>::new();
    let fields = [(0, TMPFS_MAGIC), (8, page), (16, BLOCKS), (24, BLOCKS / 2), (32, BLOCKS / 2)];
    for (at, value) in fields.into_iter().chain([(64, NAME_MAX), (72, page)]) {
        out.u64(at, value);
    }
    call.memory.write(to, &out.0).map(|()| 0)
}

pub(crate) fn statfs(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, AT_FDCWD as u64, args[0], 0)?;
    stat_target(call, &target)?;
    write_statfs(call, args[1])
}

pub(crate) fn fstatfs(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    stat_descriptor(call, descriptor(args[0]))?;
    write_statfs(call, args[1])
}

/// Permissions and owners stay as they are on the host: the guest is root and would not notice.
pub(crate) fn fchmod(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    stat_descriptor(call, descriptor(args[0])).map(|_| 0)
}

pub(crate) fn fchmodat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, args[0], args[1], 0)?;
    stat_target(call, &target).map(|_| 0)
}

pub(crate) fn fchown(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    fchmod(call, args)
}

pub(crate) fn fchownat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, args[0], args[1], args[4])?;
    stat_target(call, &target).map(|_| 0)
}
