//! Directories: listing them, and the working directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use cap_std::fs::MetadataExt;

use crate::call::{Args, Call, descriptor};
use crate::errno::Errno;
use crate::fd::{Description, Directory, Object};
use crate::memory::{CHUNK_BYTES, read_path};
use crate::path::{Kind, LastLink, Location};
use crate::root::{host_error, path_bytes};
use crate::stat::{DirectoryEntry, S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG};
use crate::sys_open::{AT_FDCWD, locate};
use crate::sys_stat::built_in_inode;
use crate::tmpfs::{NodeId, Tmpfs};
use crate::vfs::{BuiltIn, Node};

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
    let (entries, location) = (Some(Arc::clone(&read)), location);
    call.charge(Object::Directory(Directory { location, entries }).host_bytes())?;
    if let Description { object: Object::Directory(directory), .. } = call.file_mut(fd)? {
        directory.entries = Some(Arc::clone(&read));
    }
    Ok(read)
}

/// What is in a directory, by name, after itself and its parent.
fn read_directory(call: &mut Call<'_>, at: &Location) -> Result<Vec<DirectoryEntry>, Errno> {
    let mut found = match call.view().node(at)? {
        Node::Host(..) => host_entries(call, at)?,
        Node::Memory(id) => memory_entries(call, id),
        Node::BuiltIn(_) => BTreeMap::new(),
    };
    // What is mounted hides what is there.
    for name in call.view().built_in_names(at) {
        if let Some(entry) = built_in_entry(call, &at.child(&name), &name) {
            found.insert(name, entry);
        }
    }
    let own = built_in_inode(at);
    let dot = |name: &[u8]| DirectoryEntry { inode: own, type_bits: S_IFDIR, name: name.to_vec() };
    let dots = [&b"."[..], b".."].map(|name| found.remove(name).unwrap_or_else(|| dot(name)));
    Ok(dots.into_iter().chain(found.into_values()).collect())
}

type Entries = BTreeMap<Vec<u8>, DirectoryEntry>;

fn host_entries(call: &mut Call<'_>, at: &Location) -> Result<Entries, Errno> {
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
    let own = host.inodes.number((own.dev(), own.ino()));
    let dot = |name: &[u8]| DirectoryEntry { inode: own, type_bits: S_IFDIR, name: name.to_vec() };
    let dots = [&b"."[..], b".."].map(|name| (name.to_vec(), dot(name)));
    let named = found.into_iter().map(|(name, metadata)| {
        let inode = host.inodes.number((metadata.dev(), metadata.ino()));
        (name.clone(), DirectoryEntry::new(inode, metadata.file_type(), name))
    });
    Ok(dots.into_iter().chain(named).collect())
}

fn memory_entries(call: &Call<'_>, id: NodeId) -> Entries {
    let tree = &call.system.tmpfs;
    let entry = |name: &[u8], id: NodeId| {
        let type_bits = tree.node(id).kind.type_bits();
        (name.to_vec(), DirectoryEntry { inode: Tmpfs::inode(id), type_bits, name: name.to_vec() })
    };
    let dots = [entry(b".", id), entry(b"..", tree.parent(id))];
    dots.into_iter().chain(tree.entries(id).map(|(name, id)| entry(name, id))).collect()
}

/// The entry of something built in; `None` if it is gone.
fn built_in_entry(call: &Call<'_>, at: &Location, name: &[u8]) -> Option<DirectoryEntry> {
    let (type_bits, inode) = match call.view().node(at).ok()? {
        Node::Memory(id) => (call.system.tmpfs.node(id).kind.type_bits(), Tmpfs::inode(id)),
        Node::BuiltIn(built_in) => {
            let type_bits = match built_in {
                BuiltIn::Directory => S_IFDIR,
                BuiltIn::Device(_) | BuiltIn::Terminal => S_IFCHR,
                BuiltIn::SwapDevice(_) => S_IFBLK,
                BuiltIn::Text(_) => S_IFREG,
                BuiltIn::Link(_) | BuiltIn::Magic(..) => S_IFLNK,
            };
            (type_bits, built_in_inode(at))
        }
        Node::Host(..) => return None,
    };
    Some(DirectoryEntry { inode, type_bits, name: name.to_vec() })
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
    let node = call.view().node(&at)?;
    if call.view().kind_of(&node) != Kind::Directory {
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
