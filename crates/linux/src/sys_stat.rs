//! What is told of files by name or descriptor: status, access, links, times, file systems.

use crate::call::{Args, Call, descriptor, int};
use crate::devices::Device;
use crate::errno::Errno;
use crate::fd::Object;
use crate::files::FileId;
use crate::host::unix_ns;
use crate::memory::{UserMemory, read_path};
use crate::path::{LastLink, Location};
use crate::stat::{
    Layout, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, Stat, Times,
};
use crate::sys_open::{AT_FDCWD, locate};
use crate::tmpfs::{NodeId, NodeKind};
use crate::vfs::{BuiltIn, Magic, Mount, Node};

/// The major number of the swap device: the first of those that are given out at run time.
const SWAP_MAJOR: u64 = 254;

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;

/// What a path and its flags mean.
pub(crate) enum Target {
    /// An open description.
    Descriptor(u64),
    /// A place.
    Place(Location),
}

pub(crate) fn target(
    call: &mut Call<'_>,
    dirfd: u64,
    path_at: u64,
    flags: u64,
) -> Result<Target, Errno> {
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
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { LastLink::Keep } else { LastLink::Follow };
    locate(call, dirfd, &path, last).map(Target::Place)
}

fn stat_target(call: &mut Call<'_>, target: &Target) -> Result<Stat, Errno> {
    match target {
        Target::Descriptor(fd) => stat_descriptor(call, *fd),
        Target::Place(at) => stat_place(call, at),
    }
}

fn stat_place(call: &mut Call<'_>, at: &Location) -> Result<Stat, Errno> {
    match call.view().node(at)? {
        Node::Host(metadata) => Ok(call.host.stat(&metadata)),
        Node::Memory(id) => Ok(stat_node(call, id)),
        Node::BuiltIn(BuiltIn::Device(device)) => Ok(device.stat()),
        Node::BuiltIn(BuiltIn::SwapDevice(index)) => {
            let device = SWAP_MAJOR << 8 | index as u64;
            let inode = if index == 0 { 6 } else { built_in_inode(at) };
            Ok(Stat::special(S_IFBLK | 0o660, device, inode))
        }
        Node::BuiltIn(BuiltIn::Terminal) => Ok(Stat::special(S_IFCHR | 0o666, 5 << 8, 12)),
        Node::BuiltIn(BuiltIn::Magic(pid, magic)) if at.is_followed => stat_magic(call, pid, magic),
        Node::BuiltIn(built_in) => {
            let mode = match built_in {
                BuiltIn::Directory => S_IFDIR | 0o555,
                BuiltIn::Text(text) if text.is_writable() => S_IFREG | 0o644,
                BuiltIn::Text(_) => S_IFREG | 0o444,
                _ => S_IFLNK | 0o777,
            };
            Ok(Stat::special(mode, 0, built_in_inode(at)))
        }
    }
}

/// An inode number of what is built in: its path's, by FNV-1a, so that it is the same in each run.
pub(crate) fn built_in_inode(at: &Location) -> u64 {
    let hash = at.guest_path().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Above those of the host's files and of nodes in memory.
    1 << 62 | hash >> 16
}

/// The status of a node in memory.
pub(crate) fn stat_node(call: &Call<'_>, id: NodeId) -> Stat {
    let memory = &call.memory;
    let mut stat = call.system.tmpfs.stat(id, |file| memory.object_len(file).unwrap_or(0));
    if let NodeKind::File(file) = call.system.tmpfs.node(id).kind {
        let pages = memory.object_pages(file).map(|pages| pages.resident + pages.swapped);
        stat.blocks = Some(pages.unwrap_or(0) * memory.page_bytes() / 512);
    }
    stat
}

fn stat_magic(call: &mut Call<'_>, pid: u32, magic: Magic) -> Result<Stat, Errno> {
    let view = call.view();
    let process = view.process(pid).ok_or(Errno::ENOENT)?;
    match magic {
        Magic::Descriptor(fd) => {
            let id = process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
            let object = call.system.descriptions.get(id)?.object.clone();
            stat_object(call, &object)
        }
        _ => stat_file(call, process.executable),
    }
}

fn stat_file(call: &mut Call<'_>, file: FileId) -> Result<Stat, Errno> {
    if file.is_memory() {
        let id = call.system.tmpfs.of_file(file).ok_or(Errno::EBADF)?;
        return Ok(stat_node(call, id));
    }
    let metadata = call.host.files.metadata(file)?;
    Ok(call.host.stat(&metadata))
}

fn stat_descriptor(call: &mut Call<'_>, fd: u64) -> Result<Stat, Errno> {
    let object = call.object(fd)?;
    stat_object(call, &object)
}

fn stat_object(call: &mut Call<'_>, object: &Object) -> Result<Stat, Errno> {
    /// The major number of UNIX98 pseudo-terminals.
    const TERMINAL_MAJOR: u64 = 136;
    let stream = |terminal: bool, fd: u64| match terminal {
        true => Stat::special(S_IFCHR | 0o620, TERMINAL_MAJOR << 8, 3),
        false => Stat::special(S_IFIFO | 0o600, 0, 11 + fd),
    };
    let terminals = call.host.terminals;
    match object {
        Object::Null => Ok(Device::Null.stat()),
        Object::Zero => Ok(Device::Zero.stat()),
        Object::Full => Ok(Device::Full.stat()),
        Object::Random => Ok(Device::Urandom.stat()),
        Object::Stdin => Ok(stream(terminals[0], 0)),
        Object::Stdout => Ok(stream(terminals[1], 1)),
        Object::Stderr => Ok(stream(terminals[2], 2)),
        Object::Pipe(..) => Ok(Stat::special(S_IFIFO | 0o600, 0, 14)),
        // Linux gives all of them one inode, without a file type.
        Object::Socket(id) => Ok(Stat::special(S_IFSOCK | 0o777, 0, 100 + id.number())),
        Object::Anonymous(_) => Ok(Stat::special(0o600, 0, 15)),
        Object::Text(open) => {
            let mode = if open.text.is_writable() { 0o644 } else { 0o444 };
            Ok(Stat::special(S_IFREG | mode, 0, 1 << 62))
        }
        Object::File(file) => stat_file(call, *file),
        Object::Directory(directory) => {
            let at = directory.location.clone();
            stat_place(call, &at)
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
    const W_OK: u64 = 2;
    const ANY: u64 = 7;
    let [dirfd, path, mode, ..] = args;
    if mode & !ANY != 0 {
        return Err(Errno::EINVAL);
    }
    let target = target(call, dirfd, path, flags)?;
    let stat = stat_target(call, &target)?;
    if let (true, Target::Place(at)) = (mode & W_OK != 0, &target)
        && let Node::Host(..) = call.view().node(at)?
    {
        call.host.root.writable(at)?;
    }
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
    let Target::Place(at) = target(call, dirfd, path, AT_SYMLINK_NOFOLLOW)? else {
        return Err(Errno::EINVAL);
    };
    let link = match call.view().node(&at)? {
        Node::Host(metadata) if metadata.is_symlink() => call.host.root.read_link(&at)?,
        Node::Memory(id) => match &call.system.tmpfs.node(id).kind {
            NodeKind::Link(target) => target.clone(),
            _ => return Err(Errno::EINVAL),
        },
        Node::BuiltIn(BuiltIn::Link(target)) => target,
        Node::BuiltIn(BuiltIn::Magic(pid, magic)) => call.view().magic_path(pid, magic)?,
        _ => return Err(Errno::EINVAL),
    };
    let n = link.len().min(int(len) as usize);
    call.memory.write(to, &link[..n])?;
    Ok(n as u64)
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
    match node_of(call, &target)? {
        Some(id) => call.system.tmpfs.node_mut(id).times = times,
        // Kept for this run; the host's files carry the host's times.
        None => call.host.inodes.set_times(stat.inode, times),
    }
    Ok(0)
}

/// The node in memory that is meant, if it is one.
fn node_of(call: &Call<'_>, target: &Target) -> Result<Option<NodeId>, Errno> {
    match target {
        Target::Place(at) => match call.view().node(at)? {
            Node::Memory(id) => Ok(Some(id)),
            _ => Ok(None),
        },
        Target::Descriptor(fd) => match call.file(*fd)?.object {
            Object::File(file) => Ok(call.system.tmpfs.of_file(file)),
            _ => Ok(None),
        },
    }
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

/// A file system of no particular size.
fn write_statfs(call: &mut Call<'_>, magic: u64, to: u64) -> Result<u64, Errno> {
    const BLOCKS: u64 = 1 << 20;
    const NAME_MAX: u64 = 255;
    let page = call.memory.page_bytes();
    let mut out = Layout::<120>::new();
    let fields = [(0, magic), (8, page), (16, BLOCKS), (24, BLOCKS / 2), (32, BLOCKS / 2)];
    for (at, value) in fields.into_iter().chain([(64, NAME_MAX), (72, page)]) {
        out.u64(at, value);
    }
    call.memory.write(to, &out.0).map(|()| 0)
}

// Magic numbers of file systems (statfs(2)).
const TMPFS_MAGIC: u64 = 0x0102_1994;
const EXT4_SUPER_MAGIC: u64 = 0xef53;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
const SYSFS_MAGIC: u64 = 0x6265_6572;
const PIPEFS_MAGIC: u64 = 0x5049_5045;
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

fn magic_of(mount: Mount) -> u64 {
    match mount {
        // What the host has is its own business; this one every program knows.
        Mount::Host => EXT4_SUPER_MAGIC,
        Mount::Dev | Mount::Memory(_) => TMPFS_MAGIC,
        Mount::Proc => PROC_SUPER_MAGIC,
        Mount::Sys => SYSFS_MAGIC,
        Mount::Groups => CGROUP2_SUPER_MAGIC,
    }
}

pub(crate) fn statfs(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, AT_FDCWD as u64, args[0], 0)?;
    stat_target(call, &target)?;
    let Target::Place(at) = target else { return Err(Errno::ENOENT) };
    let magic = magic_of(call.view().mount(&at).0);
    write_statfs(call, magic, args[1])
}

pub(crate) fn fstatfs(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let magic = match call.object(descriptor(args[0]))? {
        Object::File(file) if file.is_memory() => TMPFS_MAGIC,
        Object::File(_) => EXT4_SUPER_MAGIC,
        Object::Directory(directory) => magic_of(call.view().mount(&directory.location).0),
        Object::Text(_) => PROC_SUPER_MAGIC,
        Object::Pipe(..) => PIPEFS_MAGIC,
        Object::Anonymous(_) => ANON_INODE_FS_MAGIC,
        _ => TMPFS_MAGIC,
    };
    write_statfs(call, magic, args[1])
}

/// On the host permissions and owners stay as they are: the guest is root and would not notice.
fn change(
    call: &mut Call<'_>,
    target: &Target,
    change: impl FnOnce(&mut crate::tmpfs::Node),
) -> Result<u64, Errno> {
    stat_target(call, target)?;
    if let Some(id) = node_of(call, target)? {
        let now = unix_ns(call.clock);
        let node = call.system.tmpfs.node_mut(id);
        change(node);
        node.times.change_ns = now;
    }
    Ok(0)
}

fn set_mode(mode: u64) -> impl FnOnce(&mut crate::tmpfs::Node) {
    move |node| node.mode = mode as u32 & 0o7777
}

/// Numbers of -1 leave what there is.
fn set_owner(user: u64, group: u64) -> impl FnOnce(&mut crate::tmpfs::Node) {
    move |node| {
        let given = |id: u64, before| if id as u32 == u32::MAX { before } else { id as u32 };
        node.owner = (given(user, node.owner.0), given(group, node.owner.1));
    }
}

pub(crate) fn fchmod(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    change(call, &Target::Descriptor(descriptor(args[0])), set_mode(args[1]))
}

pub(crate) fn fchmodat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, args[0], args[1], 0)?;
    change(call, &target, set_mode(args[2]))
}

pub(crate) fn fchown(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    change(call, &Target::Descriptor(descriptor(args[0])), set_owner(args[1], args[2]))
}

pub(crate) fn fchownat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let target = target(call, args[0], args[1], args[4])?;
    change(call, &target, set_owner(args[2], args[3]))
}
