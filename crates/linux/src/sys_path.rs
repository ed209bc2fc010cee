//! Names: making, moving and removing them.
//!
//! ```text
//!   place ─► its mount:  the host's root    done there; FIFOs stand beside it, in memory
//!                        a tree in memory   tmpfs.rs
//!                        /sys/fs/cgroup     directories alone (cgroups.rs)
//!                        /dev, /proc, /sys  refused
//! ```

use cap_std::fs::{DirBuilder, DirBuilderExt, MetadataExt, OpenOptions};

use crate::call::{Args, Call};
use crate::errno::Errno;
use crate::fd::{O_CREAT, O_EXCL, O_RDWR, O_WRONLY};
use crate::host::unix_ns;
use crate::memory::read_path;
use crate::path::{LastLink, Location};
use crate::root::host_error;
use crate::stat::{S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK, Times};
use crate::sys_file;
use crate::sys_open::{AT_FDCWD, locate, memory_place};
use crate::tmpfs::{Gone, NodeId, NodeKind, Tmpfs};
use crate::vfs::{Mount, Node, beside};

const AT_REMOVEDIR: u64 = 0x200;

/// A place whose last component is itself meant, not what it links to.
fn place(call: &mut Call<'_>, dirfd: u64, path_at: u64) -> Result<Location, Errno> {
    let path = read_path(call.memory, path_at)?;
    locate(call, dirfd, &path, LastLink::Keep)
}

/// A place where something is to be made: nothing is there.
fn free_place(call: &mut Call<'_>, dirfd: u64, path_at: u64) -> Result<Location, Errno> {
    let at = place(call, dirfd, path_at)?;
    let mut bare = at.clone();
    bare.must_be_directory = false;
    match call.view().node(&bare) {
        Err(Errno::ENOENT) => Ok(at),
        Ok(_) => Err(Errno::EEXIST),
        Err(errno) => Err(errno),
    }
}

/// The mount of a place, if names there can be changed.
fn changeable(call: &Call<'_>, at: &Location) -> Result<Mount, Errno> {
    match call.view().mount(at) {
        (Mount::Dev | Mount::Proc | Mount::Sys | Mount::Groups, _) => Err(Errno::EPERM),
        (Mount::Host | Mount::Memory(_), []) => Err(Errno::EBUSY),
        (mount, _) => Ok(mount),
    }
}

/// Lets go what no name or description leads to.
fn let_go(call: &mut Call<'_>, gone: Option<Gone>) {
    call.system.let_go_node(gone, call.memory);
}

pub(crate) fn mkdirat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let at = free_place(call, args[0], args[1])?;
    let mode = args[2] as u32 & 0o1777 & !call.process.umask;
    if let (Mount::Groups, names) = call.view().mount(&at) {
        return call.system.groups.make(call.memory, names).map(|()| 0);
    }
    match changeable(call, &at)? {
        Mount::Memory(_) => {
            let (parent, name) = memory_place(call, &at)?;
            let now = unix_ns(call.clock);
            call.system.tmpfs.make_directory(parent, &name, mode, now)?;
        }
        _ => {
            let mut builder = DirBuilder::new();
            builder.mode(mode & 0o777);
            let dir = call.host.root.dir()?;
            dir.create_dir_with(at.host_path(), &builder).map_err(host_error)?;
            touch_place(call, &at)?;
        }
    }
    Ok(0)
}

/// Gives what the guest has just made on the host the virtual time.
fn touch_place(call: &mut Call<'_>, at: &Location) -> Result<(), Errno> {
    let metadata = call.host.root.metadata(at)?;
    let number = call.host.inodes.number((metadata.dev(), metadata.ino()));
    let ns = unix_ns(call.clock);
    let times = Times { access_ns: ns, modify_ns: ns, change_ns: ns };
    call.host.inodes.set_times(number, times);
    Ok(())
}

/// Regular files, FIFOs and names of sockets; devices are built in.
pub(crate) fn mknodat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, mode, ..] = args;
    let at = free_place(call, dirfd, path)?;
    let kind = match mode as u32 & S_IFMT {
        0 | S_IFREG => {
            let flags = u64::from(O_CREAT | O_EXCL | O_WRONLY);
            let fd = crate::sys_open::openat(call, [dirfd, path, flags, mode & 0o7777, 0, 0])?;
            return call.close(fd).map(|()| 0);
        }
        S_IFIFO => NodeKind::Fifo(None),
        S_IFSOCK => NodeKind::Socket,
        _ => return Err(Errno::EPERM),
    };
    make_node(call, &at, kind, mode as u32 & 0o7777).map(|_| 0)
}

/// Makes a node in memory at a place where nothing is: beside the host's root if that is its mount.
pub(crate) fn make_node(
    call: &mut Call<'_>,
    at: &Location,
    kind: NodeKind,
    mode: u32,
) -> Result<NodeId, Errno> {
    let mode = mode & !call.process.umask;
    let now = unix_ns(call.clock);
    let (parent, name) = match changeable(call, at)? {
        Mount::Memory(_) => memory_place(call, at)?,
        _ => {
            call.host.root.dir()?;
            (Tmpfs::BESIDE, beside(at.components()))
        }
    };
    call.system.tmpfs.make(parent, &name, kind, mode, now)
}

pub(crate) fn unlinkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, flags, ..] = args;
    let at = place(call, dirfd, path)?;
    let node = call.view().node(&at)?;
    let removes_directory = flags & AT_REMOVEDIR != 0;
    if let (Mount::Groups, names) = call.view().mount(&at)
        && removes_directory
    {
        return call.system.groups.remove(call.memory, names).map(|()| 0);
    }
    let mount = changeable(call, &at)?;
    if let Node::Memory(_) = node {
        let (parent, name) = match mount {
            Mount::Memory(_) => memory_place(call, &at)?,
            _ => (Tmpfs::BESIDE, beside(at.components())),
        };
        let now = unix_ns(call.clock);
        let gone = call.system.tmpfs.unlink(parent, &name, removes_directory, now)?;
        let_go(call, gone);
        return Ok(0);
    }
    let is_dir = matches!(&node, Node::Host(metadata) if metadata.is_dir());
    let dir = call.host.root.writable(&at)?;
    match (removes_directory, is_dir) {
        (true, true) => dir.remove_dir(at.host_path()).map_err(host_error).map(|()| 0),
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (false, false) => dir.remove_file(at.host_path()).map_err(host_error).map(|()| 0),
    }
}

pub(crate) fn renameat2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const NOREPLACE: u64 = 1;
    const EXCHANGE: u64 = 2;
    let [from_dir, from, to_dir, to, flags, _] = args;
    if flags & !(NOREPLACE | EXCHANGE) != 0 || flags == NOREPLACE | EXCHANGE {
        return Err(Errno::EINVAL);
    }
    let from = place(call, from_dir, from)?;
    let to = place(call, to_dir, to)?;
    if from.is_root() || to.is_root() {
        return Err(Errno::EBUSY);
    }
    if flags & NOREPLACE != 0 && call.view().node(&to).is_ok() {
        return Err(Errno::EEXIST);
    }
    let node = call.view().node(&from)?;
    let mounts = (changeable(call, &from)?, changeable(call, &to)?);
    match (mounts, node) {
        ((Mount::Memory(a), Mount::Memory(b)), _) if a == b => {
            let (from, to) = (memory_place(call, &from)?, memory_place(call, &to)?);
            let now = unix_ns(call.clock);
            let exchanges = flags & EXCHANGE != 0;
            let (from, to) = ((from.0, from.1.as_slice()), (to.0, to.1.as_slice()));
            let gone = call.system.tmpfs.rename(from, to, exchanges, now)?;
            let_go(call, gone);
            Ok(0)
        }
        ((Mount::Host, Mount::Host), Node::Host(..)) if flags & EXCHANGE == 0 => {
            let dir = call.host.root.writable(&from)?;
            dir.rename(from.host_path(), dir, to.host_path()).map_err(host_error)?;
            if let Ok(metadata) = call.host.root.metadata(&to) {
                let inode = (metadata.dev(), metadata.ino());
                call.host.files.rename(inode, &to.guest_path());
            }
            Ok(0)
        }
        ((Mount::Host, Mount::Host), _) => Err(Errno::EINVAL),
        _ => Err(Errno::EXDEV),
    }
}

pub(crate) fn symlinkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let link = read_path(call.memory, args[0])?;
    if link.is_empty() {
        return Err(Errno::ENOENT);
    }
    let at = free_place(call, args[1], args[2])?;
    if let Mount::Memory(_) = changeable(call, &at)? {
        let (parent, name) = memory_place(call, &at)?;
        let now = unix_ns(call.clock);
        call.system.tmpfs.make(parent, &name, NodeKind::Link(link), 0o777, now)?;
        return Ok(0);
    }
    let dir = call.host.root.dir()?;
    // Where it leads is decided when the guest follows it, below its root. On the host an absolute
    // or climbing link could lead elsewhere: cap-std's own check keeps such links out.
    dir.symlink(std::ffi::OsStr::from_bytes(&link), at.host_path()).map_err(host_error)?;
    Ok(0)
}

pub(crate) fn linkat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const AT_SYMLINK_FOLLOW: u64 = 0x400;
    const AT_EMPTY_PATH: u64 = 0x1000;
    let [from_dir, from, to_dir, to, flags, _] = args;
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = read_path(call.memory, from)?;
    let last = if flags & AT_SYMLINK_FOLLOW != 0 { LastLink::Follow } else { LastLink::Keep };
    let from = locate(call, from_dir, &path, last)?;
    let to = free_place(call, to_dir, to)?;
    let node = linked_node(call, &from)?;
    match (node, changeable(call, &to)?) {
        (Node::Memory(id), Mount::Memory(_)) => {
            let (parent, name) = memory_place(call, &to)?;
            let now = unix_ns(call.clock);
            call.system.tmpfs.link(parent, &name, id, now)?;
            Ok(0)
        }
        (Node::Host(metadata), Mount::Host) => {
            if metadata.is_dir() {
                return Err(Errno::EPERM);
            }
            let dir = call.host.root.writable(&from)?;
            dir.hard_link(from.host_path(), dir, to.host_path()).map_err(host_error)?;
            Ok(0)
        }
        _ => Err(Errno::EXDEV),
    }
}

/// What gets one more name: /proc/PID/fd/N may lead to a file in memory that has none.
fn linked_node(call: &Call<'_>, from: &Location) -> Result<Node, Errno> {
    use crate::fd::Object;
    use crate::vfs::{BuiltIn, Magic};
    match call.view().node(from)? {
        Node::BuiltIn(BuiltIn::Magic(pid, Magic::Descriptor(fd))) if from.is_followed => {
            let view = call.view();
            let process = view.process(pid).ok_or(Errno::ENOENT)?;
            let id = process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
            match call.system.descriptions.get(id)?.object {
                Object::File(file) => {
                    call.system.tmpfs.of_file(file).map(Node::Memory).ok_or(Errno::EXDEV)
                }
                _ => Err(Errno::EXDEV),
            }
        }
        node => Ok(node),
    }
}

pub(crate) fn truncate(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let path = read_path(call.memory, args[0])?;
    let at = locate(call, AT_FDCWD as u64, &path, LastLink::Follow)?;
    match call.view().node(&at)? {
        Node::Host(metadata) if metadata.is_dir() => Err(Errno::EISDIR),
        Node::Host(metadata) if metadata.is_file() => {
            let options = OpenOptions::new().write(true).clone();
            let file = call.host.root.open_with(&at, &options, true)?;
            let id = call.host.register(file, false, true, &at.guest_path())?;
            sys_file::set_length(call, id, args[1]).map(|()| 0)
        }
        Node::Memory(id) => match call.system.tmpfs.node(id).kind {
            NodeKind::File(file) => sys_file::set_length(call, file, args[1]).map(|()| 0),
            NodeKind::Directory { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        },
        _ => {
            // What a descriptor leads to is opened to be cut.
            let flags = u64::from(O_RDWR);
            let fd = crate::sys_open::openat(call, [AT_FDCWD as u64, args[0], flags, 0, 0, 0])?;
            let result = sys_file::ftruncate(call, [fd, args[1], 0, 0, 0, 0]);
            call.close(fd)?;
            result
        }
    }
}

pub(crate) fn umask(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let before = call.process.umask;
    call.process.umask = args[0] as u32 & 0o777;
    Ok(before.into())
}
