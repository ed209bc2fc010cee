//! Opening: from a path to a description.
//!
//! ```text
//!   path ─► locate ─► Location ─► View::node ─► open: host file, object, device, text, directory
//!                                     └─ ENOENT and O_CREAT ─► made: on the host or in memory
//! ```

use std::sync::Arc;

use cap_std::fs::{OpenOptions, OpenOptionsExt};

use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{
    Description, Directory, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW,
    O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY, Object, OpenText,
};
use crate::files::FileId;
use crate::host::unix_ns;
use crate::memory::read_path;
use crate::path::{self, Kind, LastLink, Location};
use crate::pipe::PipeEnd;
use crate::procfs::{Scene, Text};
use crate::sys_seal;
use crate::tmpfs::{NodeId, NodeKind};
use crate::vfs::{BuiltIn, Magic, Mount, Node};
use crate::wait::{FifoWait, Pid};

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
    let found = path::resolve(&call.view(), &base, path, last);
    if !call.host.root.is_given() {
        let is_there = |at: &Location| !matches!(call.view().node(at), Err(Errno::ENOENT));
        let is_host = |at: &Location| call.view().mount(at).0 == Mount::Host;
        let is_missed = found.as_ref().is_ok_and(|at| is_host(at) && !is_there(at));
        if is_missed || found == Err(Errno::ENOENT) {
            let shown = String::from_utf8_lossy(path).escape_debug().to_string();
            call.host.say_once_about_root(&shown);
        }
    }
    found
}

pub(crate) fn openat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, flags, mode, ..] = args;
    let path = read_path(call.memory, path)?;
    let flags = flags as u32;
    let description = open_path(call, dirfd, &path, flags, mode as u32)?;
    call.open(description, flags & O_CLOEXEC != 0)
}

fn open_path(
    call: &mut Call<'_>,
    dirfd: u64,
    path: &[u8],
    flags: u32,
    mode: u32,
) -> Result<Description, Errno> {
    let exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
    let keep = flags & O_NOFOLLOW != 0 || exclusive;
    let last = if keep { LastLink::Keep } else { LastLink::Follow };
    let at = locate(call, dirfd, path, last)?;
    let mode = mode & 0o7777 & !call.process.umask;
    if flags & O_TMPFILE == O_TMPFILE {
        return open_unnamed(call, &at, flags, mode);
    }
    match call.view().node(&at) {
        Ok(_) if exclusive => Err(Errno::EEXIST),
        Ok(node) => open_node(call, at, node, flags),
        Err(Errno::ENOENT) if flags & O_CREAT != 0 => match at.must_be_directory {
            true => Err(Errno::EISDIR),
            false => create(call, &at, flags, mode),
        },
        Err(e) => Err(e),
    }
}

/// Opens what is there.
fn open_node(
    call: &mut Call<'_>,
    at: Location,
    node: Node,
    flags: u32,
) -> Result<Description, Errno> {
    if call.view().kind_of(&node) == Kind::Directory {
        return open_directory(at, flags);
    }
    if flags & O_DIRECTORY != 0 {
        return Err(Errno::ENOTDIR);
    }
    match node {
        Node::Host(metadata) if metadata.is_symlink() => Err(Errno::ELOOP),
        Node::Host(metadata) if metadata.is_file() => open_file(call, &at, flags, None),
        // FIFOs, sockets and devices of the host are not the guest's.
        Node::Host(..) => Err(Errno::ENXIO),
        Node::Memory(id) => match call.system.tmpfs.node(id).kind {
            NodeKind::File(file) => open_object(call, id, file, flags, &at.guest_path()),
            NodeKind::Fifo(_) => open_fifo(call, id, flags, &at.guest_path()),
            NodeKind::Link(_) => Err(Errno::ELOOP),
            NodeKind::Directory { .. } | NodeKind::Socket => Err(Errno::ENXIO),
        },
        Node::BuiltIn(BuiltIn::Device(device)) => {
            Ok(Description::new(device.object(), flags & !O_CLOEXEC, &at.guest_path()))
        }
        Node::BuiltIn(BuiltIn::Text(text)) => open_text(call, text, flags, &at.guest_path()),
        Node::BuiltIn(BuiltIn::Magic(pid, magic)) if at.is_followed => {
            open_magic(call, pid, magic, flags)
        }
        Node::BuiltIn(BuiltIn::Link(_) | BuiltIn::Magic(..)) => Err(Errno::ELOOP),
        Node::BuiltIn(BuiltIn::SwapDevice(_)) => Err(Errno::EBUSY),
        Node::BuiltIn(BuiltIn::Terminal | BuiltIn::Directory) => Err(Errno::ENXIO),
    }
}

/// Makes a regular file and opens it.
fn create(call: &mut Call<'_>, at: &Location, flags: u32, mode: u32) -> Result<Description, Errno> {
    match call.view().mount(at).0 {
        Mount::Host => open_file(call, at, flags, Some(mode & 0o777)),
        Mount::Memory(_) => {
            let (parent, name) = memory_place(call, at)?;
            let file = call.memory.create_object(0)?;
            let now = unix_ns(call.clock);
            let made = call.system.tmpfs.make(parent, &name, NodeKind::File(file), mode, now);
            let id = made.or_else(|errno| call.memory.release_object(file).and(Err(errno)))?;
            open_object(call, id, file, flags & !O_TRUNC, &at.guest_path())
        }
        Mount::Dev | Mount::Proc | Mount::Sys | Mount::Groups => Err(Errno::EACCES),
    }
}

/// The directory in memory that holds a place, and the name there.
///
/// # Errors
/// EPERM if the place is not in memory, EBUSY if it is a mount's root.
pub(crate) fn memory_place(call: &Call<'_>, at: &Location) -> Result<(NodeId, Vec<u8>), Errno> {
    let view = call.view();
    let (Mount::Memory(root), names) = view.mount(at) else { return Err(Errno::EPERM) };
    let (name, parents) = names.split_last().ok_or(Errno::EBUSY)?;
    Ok((call.system.tmpfs.find(root, parents)?, name.clone()))
}

/// A file without a name (O_TMPFILE): in memory, where the directory is.
fn open_unnamed(
    call: &mut Call<'_>,
    at: &Location,
    flags: u32,
    mode: u32,
) -> Result<Description, Errno> {
    if flags & O_ACCMODE == O_RDONLY {
        return Err(Errno::EINVAL);
    }
    let node = call.view().node(at)?;
    if call.view().kind_of(&node) != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    if !matches!(node, Node::Memory(_)) {
        return Err(Errno::EOPNOTSUPP);
    }
    let path = [at.guest_path(), b"/#unnamed".to_vec()].concat();
    let (file, _) = make_unnamed(call, &path, mode)?;
    Ok(Description::new(Object::File(file), flags & !O_CLOEXEC, &path))
}

/// Makes a file in memory without a name, opened once.
pub(crate) fn make_unnamed(
    call: &mut Call<'_>,
    path: &[u8],
    mode: u32,
) -> Result<(FileId, NodeId), Errno> {
    let file = call.memory.create_object(0)?;
    let now = unix_ns(call.clock);
    let made = call.system.tmpfs.make_unnamed(NodeKind::File(file), mode, now);
    let id = made.or_else(|errno| call.memory.release_object(file).and(Err(errno)))?;
    call.system.name_object(call.memory, file, path);
    Ok((file, id))
}

fn open_object(
    call: &mut Call<'_>,
    id: NodeId,
    file: FileId,
    flags: u32,
    path: &[u8],
) -> Result<Description, Errno> {
    if flags & O_TRUNC != 0 && flags & O_PATH == 0 {
        sys_seal::set_length(call, file, 0)?;
    }
    call.system.tmpfs.open(id);
    call.system.name_object(call.memory, file, path);
    Ok(Description::new(Object::File(file), flags & !O_CLOEXEC, path))
}

/// Opens one end of a named pipe, and waits for the other (fifo(7)).
fn open_fifo(
    call: &mut Call<'_>,
    id: NodeId,
    flags: u32,
    path: &[u8],
) -> Result<Description, Errno> {
    let (end, other) = match flags & O_ACCMODE {
        O_RDONLY => (PipeEnd::Read, PipeEnd::Write),
        O_WRONLY => (PipeEnd::Write, PipeEnd::Read),
        // Both ends at once are more than a description here can be.
        _ => return Err(Errno::EINVAL),
    };
    let node = call.system.tmpfs.node_mut(id);
    let NodeKind::Fifo(pipe) = &mut node.kind else { return Err(Errno::ENXIO) };
    let pipe = *pipe.get_or_insert_with(|| call.system.pipes.create_named());
    let pipes = &mut call.system.pipes;
    let (is_open, others) = (pipes.is_open(pipe, other), pipes.opened(pipe, other));
    let waits = flags & O_NONBLOCK == 0;
    if end == PipeEnd::Write && !is_open && !waits {
        return Err(Errno::ENXIO);
    }
    let met = match call.thread.progress.fifo {
        Some(begun) => others != begun.others,
        None => {
            // While it waits it counts as open already: the other end need not wait for it.
            pipes.open(pipe, end);
            call.system.wake(pipe.channel());
            is_open
        }
    };
    if !met && waits {
        let errno = call.wait("open of a FIFO", vec![pipe.channel()], None, Errno::ERESTARTSYS);
        if call.waits() {
            call.thread.progress.fifo.get_or_insert(FifoWait { pipe, end, others });
        } else {
            call.system.pipes.close(pipe, end);
        }
        return Err(errno);
    }
    Ok(Description::new(Object::Pipe(pipe, end), flags & !O_CLOEXEC, path))
}

fn open_text(
    call: &mut Call<'_>,
    text: Text,
    flags: u32,
    path: &[u8],
) -> Result<Description, Errno> {
    let mut description = Description::new(Object::Null, flags & !O_CLOEXEC, path);
    if description.writable() && !text.is_writable() {
        return Err(Errno::EACCES);
    }
    description.object = match description.readable() {
        true => text_object(call, text)?,
        false => Object::Text(Arc::new(OpenText { text, bytes: Vec::new() })),
    };
    Ok(description)
}

/// What a file of /proc or /sys says now.
pub(crate) fn text_object(call: &mut Call<'_>, text: Text) -> Result<Object, Errno> {
    let scene = Scene { view: call.view(), memory: call.memory, now_ns: call.clock.now_ns() };
    let bytes = text.make(&scene)?;
    Ok(Object::Text(Arc::new(OpenText { text, bytes })))
}

/// Opens what a process runs or has open.
fn open_magic(
    call: &mut Call<'_>,
    pid: Pid,
    magic: Magic,
    flags: u32,
) -> Result<Description, Errno> {
    let view = call.view();
    let process = view.process(pid).ok_or(Errno::ENOENT)?;
    let Magic::Descriptor(fd) = magic else {
        if flags & O_ACCMODE != O_RDONLY {
            return Err(Errno::ETXTBSY);
        }
        let object = Object::File(process.executable);
        return Ok(Description::new(object, flags & !O_CLOEXEC, &process.executable_path));
    };
    let id = process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
    let original = call.system.descriptions.get(id)?.clone();
    let wants = Description::new(original.object.clone(), flags & !O_CLOEXEC, &original.path);
    let exceeds =
        (wants.readable() && !original.readable()) || (wants.writable() && !original.writable());
    match original.object {
        Object::File(file) if file.is_memory() => {
            let node = call.system.tmpfs.of_file(file).ok_or(Errno::ENOENT)?;
            open_object(call, node, file, flags, &original.path)
        }
        Object::Text(open) => open_text(call, open.text, flags, &original.path),
        Object::Anonymous(_) | Object::Socket(_) => Err(Errno::ENXIO),
        _ if exceeds => Err(Errno::EACCES),
        Object::Pipe(pipe, end) => {
            call.system.pipes.open(pipe, end);
            Ok(wants)
        }
        _ => Ok(wants),
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

/// Opens a regular file of the host, or creates one with the mode given.
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
    let id = call.host.register(file, readable, changes, &at.guest_path())?;
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
