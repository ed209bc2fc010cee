//! Trees of files in memory: /dev/shm, /tmp, and files without a name (memfd, O_TMPFILE).
//!
//! ```text
//!   root of /dev/shm ─► Directory { "seg" ─┐ }
//!   root of /tmp     ─► Directory { "a" ───┼─► Node { links 2, opens 1, File(object) }
//!                                   "b" ───┘        ▲
//!   Description { File(object) } ───────────────────┘ by_file
//! ```
//!
//! The bytes of a file are a memory object of the kernel: pages of the machine's own RAM, which go to
//! swap like any others. Here are names and what stat tells.
//!
//! Invariants:
//! 1. A node lives while a name or an open description leads to it; a file's node has one handle of
//!    its object for all of them together.
//! 2. Directories make a tree: `parent` leads to the one that names it.
//! 3. There are at most [`NODES_MAX`] names and nodes, and [`BYTES_MAX`] bytes in names and links:
//!    they take memory of the host.

use std::collections::BTreeMap;

use crate::errno::Errno;
use crate::files::FileId;
use crate::pipe::PipeId;
use crate::stat::{S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, Stat, Times};

/// Nodes and names at once.
pub const NODES_MAX: usize = 1 << 16;
/// Bytes in all names and symbolic links.
pub const BYTES_MAX: usize = 8 << 20;
/// The device numbers of the two mounts and of files without a name, as stat tells them.
const DEVICE: u64 = 0x16;
/// Inode numbers of nodes, so that they look like no host file's.
const INODE_BASE: u64 = 1 << 32;

/// A node's number; they are not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u64);

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A directory: its entries, and the directory that names it (itself for a root).
    Directory {
        /// By name.
        entries: BTreeMap<Vec<u8>, NodeId>,
        /// Where `..` leads.
        parent: NodeId,
    },
    /// A regular file.
    File(FileId),
    /// A symbolic link.
    Link(Vec<u8>),
    /// A named pipe, and the pipe behind it while somebody has it open.
    Fifo(Option<PipeId>),
    /// A name that a socket is bound to.
    Socket,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Its times.
    pub times: Times,
    /// What may not be done to the file any more (F_ADD_SEALS).
    pub seals: u32,
    links: u32,
    opens: u32,
}

/// What is behind a node that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// A file: the tree's handle of its object is to be released.
    File(FileId),
    /// A named pipe, which has no name any more.
    Fifo(PipeId),
}

/// F_SEAL_SEAL: no more seals. All but memfds that allow sealing have it from the start.
pub const SEAL_SEAL: u32 = 1;

/// The trees.
#[derive(Clone, Debug)]
pub struct Tmpfs {
    nodes: BTreeMap<NodeId, Node>,
    by_file: BTreeMap<FileId, NodeId>,
    names: usize,
    /// Bytes in names and links.
    bytes: usize,
    next: u64,
}

impl Tmpfs {
    /// The root of /dev/shm.
    pub const SHM: NodeId = NodeId(0);
    /// The root of /tmp.
    pub const TMP: NodeId = NodeId(1);
    /// FIFOs and sockets that have a name below the host's root: named by their paths.
    pub const BESIDE: NodeId = NodeId(2);

    /// Three empty directories, made at `now_ns` since 1970.
    pub fn new(now_ns: i128) -> Self {
        let (nodes, by_file) = (BTreeMap::new(), BTreeMap::new());
        let mut tree = Self { nodes, by_file, names: 0, bytes: 0, next: 0 };
        for root in [Self::SHM, Self::TMP, Self::BESIDE] {
            let entries = BTreeMap::new();
            let kind = NodeKind::Directory { entries, parent: root };
            let made = tree.insert(kind, 0o1777, now_ns);
            tree.node_mut(made).links = 2;
            debug_assert_eq!(made, root);
        }
        tree
    }

    /// A node.
    ///
    /// # Panics
    /// If it is gone: who has a number found it in the tree during the same call.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    /// A node, to be changed.
    ///
    /// # Panics
    /// As [`Tmpfs::node`].
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node in use")
    }

    /// The node that names below `root` lead to.
    ///
    /// # Errors
    /// ENOENT, or ENOTDIR if one on the way is no directory.
    pub fn find(&self, root: NodeId, names: &[Vec<u8>]) -> Result<NodeId, Errno> {
        names.iter().try_fold(root, |at, name| match &self.node(at).kind {
            NodeKind::Directory { entries, .. } => entries.get(name).copied().ok_or(Errno::ENOENT),
            _ => Err(Errno::ENOTDIR),
        })
    }

    /// The node of an open file.
    pub fn of_file(&self, file: FileId) -> Option<NodeId> {
        self.by_file.get(&file).copied()
    }

    /// What is in a directory, by name.
    pub fn entries(&self, id: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        let entries = match &self.node(id).kind {
            NodeKind::Directory { entries, .. } => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(name, &id)| (name.as_slice(), id))
    }

    /// Where `..` leads from a directory.
    pub fn parent(&self, id: NodeId) -> NodeId {
        match self.node(id).kind {
            NodeKind::Directory { parent, .. } => parent,
            _ => id,
        }
    }

    /// Makes a node without a name, opened once.
    ///
    /// # Errors
    /// ENOSPC if there are too many.
    pub fn make_unnamed(
        &mut self,
        kind: NodeKind,
        mode: u32,
        now_ns: i128,
    ) -> Result<NodeId, Errno> {
        self.check_room()?;
        let id = self.insert(kind, mode, now_ns);
        self.node_mut(id).opens = 1;
        Ok(id)
    }

    /// Makes a node with a name. Directories are made by [`Tmpfs::make_directory`].
    ///
    /// # Errors
    /// EEXIST, ENOTDIR, or ENOSPC if there are too many.
    pub fn make(
        &mut self,
        directory: NodeId,
        name: &[u8],
        kind: NodeKind,
        mode: u32,
        now_ns: i128,
    ) -> Result<NodeId, Errno> {
        self.check_free(directory, name)?;
        let id = self.insert(kind, mode, now_ns);
        self.enter(directory, name, id, now_ns);
        Ok(id)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As [`Tmpfs::make`].
    pub fn make_directory(
        &mut self,
        directory: NodeId,
        name: &[u8],
        mode: u32,
        now_ns: i128,
    ) -> Result<NodeId, Errno> {
        let kind = NodeKind::Directory { entries: BTreeMap::new(), parent: directory };
        let id = self.make(directory, name, kind, mode, now_ns)?;
        // `.` names it as well, and its `..` the directory.
        self.node_mut(id).links += 1;
        self.node_mut(directory).links += 1;
        Ok(id)
    }

    /// Gives a node one more name.
    ///
    /// # Errors
    /// As [`Tmpfs::make`]; EPERM for directories.
    pub fn link(
        &mut self,
        directory: NodeId,
        name: &[u8],
        id: NodeId,
        now_ns: i128,
    ) -> Result<(), Errno> {
        if matches!(self.node(id).kind, NodeKind::Directory { .. }) {
            return Err(Errno::EPERM);
        }
        self.check_free(directory, name)?;
        self.enter(directory, name, id, now_ns);
        Ok(())
    }

    /// Takes a name away; returns what nothing leads to any more, for the caller to let go.
    ///
    /// # Errors
    /// ENOENT, ENOTEMPTY, EISDIR or ENOTDIR if it is not the kind that is to be removed.
    pub fn unlink(
        &mut self,
        directory: NodeId,
        name: &[u8],
        is_directory: bool,
        now_ns: i128,
    ) -> Result<Option<Gone>, Errno> {
        let id = self.find(directory, &[name.to_vec()])?;
        match (&self.node(id).kind, is_directory) {
            (NodeKind::Directory { entries, .. }, true) if !entries.is_empty() => {
                return Err(Errno::ENOTEMPTY);
            }
            (NodeKind::Directory { .. }, false) => return Err(Errno::EISDIR),
            (NodeKind::Directory { .. }, true) => {
                self.node_mut(directory).links -= 1;
                self.node_mut(id).links -= 1;
            }
            (_, true) => return Err(Errno::ENOTDIR),
            (_, false) => {}
        }
        Ok(self.leave(directory, name, now_ns))
    }

    /// Moves a name; what had the new name loses it. With `exchanges` the two change places.
    ///
    /// # Errors
    /// As rename(2): ENOENT, EISDIR, ENOTDIR, ENOTEMPTY, EINVAL if a directory were to become its
    /// own descendant.
    pub fn rename(
        &mut self,
        from: (NodeId, &[u8]),
        to: (NodeId, &[u8]),
        exchanges: bool,
        now_ns: i128,
    ) -> Result<Option<Gone>, Errno> {
        let id = self.find(from.0, &[from.1.to_vec()])?;
        let there = self.find(to.0, &[to.1.to_vec()]);
        let moves_directory = matches!(self.node(id).kind, NodeKind::Directory { .. });
        if moves_directory && self.is_below(to.0, id) {
            return Err(Errno::EINVAL);
        }
        let replaced = match there {
            Ok(other) if other == id => return Ok(None),
            Ok(other) if exchanges => {
                if self.is_below(from.0, other) {
                    return Err(Errno::EINVAL);
                }
                self.place(from, other);
                self.place(to, id);
                return Ok(None);
            }
            Ok(_) => self.unlink(to.0, to.1, moves_directory, now_ns)?,
            Err(Errno::ENOENT) if !exchanges => None,
            Err(errno) => return Err(errno),
        };
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(from.0).kind {
            entries.remove(from.1);
        }
        self.bytes = self.bytes - from.1.len() + to.1.len();
        self.place(to, id);
        self.touch(from.0, now_ns);
        self.touch(to.0, now_ns);
        Ok(replaced)
    }

    /// One more description of a node.
    pub fn open(&mut self, id: NodeId) {
        self.node_mut(id).opens += 1;
    }

    /// One description less; returns what nothing leads to any more.
    pub fn close(&mut self, id: NodeId) -> Option<Gone> {
        let node = self.nodes.get_mut(&id)?;
        node.opens -= 1;
        self.drop_unused(id)
    }

    /// Forgets all nodes; returns the files whose handles are to be released.
    pub fn clear(&mut self) -> Vec<FileId> {
        let files = std::mem::take(&mut self.by_file).into_keys().collect();
        *self = Self::new(0);
        files
    }

    /// Notes that a file or directory was changed.
    pub fn touch(&mut self, id: NodeId, now_ns: i128) {
        let times = &mut self.node_mut(id).times;
        (times.modify_ns, times.change_ns) = (now_ns, now_ns);
    }

    /// The node's status; a file's length is its object's.
    pub fn stat(&self, id: NodeId, file_len: impl FnOnce(FileId) -> u64) -> Stat {
        let node = self.node(id);
        let size = match &node.kind {
            NodeKind::File(file) => file_len(*file),
            NodeKind::Link(target) => target.len() as u64,
            NodeKind::Directory { entries, .. } => 20 * (entries.len() as u64 + 2),
            NodeKind::Fifo(_) | NodeKind::Socket => 0,
        };
        Stat {
            device: DEVICE,
            inode: Self::inode(id),
            mode: node.kind.type_bits() | node.mode,
            links: node.links,
            owner: node.owner,
            special: 0,
            size,
            blocks: None,
            times: node.times,
        }
    }

    /// The inode number of a node.
    pub const fn inode(id: NodeId) -> u64 {
        INODE_BASE + id.0
    }

    /// A path by which an open file can be told: none if all its names are gone.
    pub fn has_name(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.links > 0)
    }

    fn insert(&mut self, kind: NodeKind, mode: u32, now_ns: i128) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        match &kind {
            NodeKind::File(file) => drop(self.by_file.insert(*file, id)),
            NodeKind::Link(target) => self.bytes += target.len(),
            _ => {}
        }
        let times = Times { access_ns: now_ns, modify_ns: now_ns, change_ns: now_ns };
        let node = Node { kind, mode, owner: (0, 0), times, seals: SEAL_SEAL, links: 0, opens: 0 };
        self.nodes.insert(id, node);
        id
    }

    fn check_room(&self) -> Result<(), Errno> {
        let full = self.nodes.len().max(self.names) >= NODES_MAX || self.bytes >= BYTES_MAX;
        if full { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    fn check_free(&self, directory: NodeId, name: &[u8]) -> Result<(), Errno> {
        match self.find(directory, &[name.to_vec()]) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) if self.node(directory).links == 0 => Err(Errno::ENOENT),
            Err(Errno::ENOENT) => self.check_room(),
            Err(errno) => Err(errno),
        }
    }

    fn enter(&mut self, directory: NodeId, name: &[u8], id: NodeId, now_ns: i128) {
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(directory).kind {
            entries.insert(name.to_vec(), id);
            self.names += 1;
            self.bytes += name.len();
        }
        self.node_mut(id).links += 1;
        self.touch(directory, now_ns);
    }

    fn leave(&mut self, directory: NodeId, name: &[u8], now_ns: i128) -> Option<Gone> {
        let NodeKind::Directory { entries, .. } = &mut self.node_mut(directory).kind else {
            return None;
        };
        let id = entries.remove(name)?;
        self.names -= 1;
        self.bytes -= name.len();
        self.touch(directory, now_ns);
        let node = self.node_mut(id);
        node.links -= 1;
        node.times.change_ns = now_ns;
        self.drop_unused(id)
    }

    /// Puts a node under a name, whatever had it.
    fn place(&mut self, (directory, name): (NodeId, &[u8]), id: NodeId) {
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(directory).kind {
            entries.insert(name.to_vec(), id);
        }
        let mut before = directory;
        if let NodeKind::Directory { parent, .. } = &mut self.node_mut(id).kind {
            before = std::mem::replace(parent, directory);
        }
        if before != directory {
            self.node_mut(before).links -= 1;
            self.node_mut(directory).links += 1;
        }
    }

    /// Whether `id` is `above` or somewhere below it.
    fn is_below(&self, id: NodeId, above: NodeId) -> bool {
        let mut at = id;
        loop {
            if at == above {
                return true;
            }
            let parent = self.parent(at);
            if parent == at {
                return false;
            }
            at = parent;
        }
    }

    fn drop_unused(&mut self, id: NodeId) -> Option<Gone> {
        let node = self.node(id);
        if node.links > 0 || node.opens > 0 {
            return None;
        }
        let node = self.nodes.remove(&id)?;
        match node.kind {
            NodeKind::File(file) => {
                self.by_file.remove(&file);
                Some(Gone::File(file))
            }
            NodeKind::Fifo(pipe) => pipe.map(Gone::Fifo),
            NodeKind::Link(target) => {
                self.bytes -= target.len();
                None
            }
            NodeKind::Directory { .. } | NodeKind::Socket => None,
        }
    }
}

impl NodeKind {
    /// The mode's type bits.
    pub const fn type_bits(&self) -> u32 {
        match self {
            Self::Directory { .. } => S_IFDIR,
            Self::File(_) => S_IFREG,
            Self::Link(_) => S_IFLNK,
            Self::Fifo(_) => S_IFIFO,
            Self::Socket => S_IFSOCK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(1 << 31);

    fn tree() -> (Tmpfs, NodeId) {
        let mut tree = Tmpfs::new(5);
        let dir = tree.make_directory(Tmpfs::TMP, b"dir", 0o755, 6).unwrap();
        (tree, dir)
    }

    #[test]
    fn a_file_lives_while_a_name_or_a_description_leads_to_it() {
        let (mut tree, dir) = tree();
        let file = tree.make(dir, b"a", NodeKind::File(FILE), 0o600, 7).unwrap();
        tree.link(Tmpfs::TMP, b"b", file, 8).unwrap();
        tree.open(file);
        assert_eq!(tree.stat(file, |_| 11).links, 2);
        assert_eq!(tree.unlink(dir, b"a", false, 9), Ok(None));
        assert_eq!(tree.unlink(Tmpfs::TMP, b"b", false, 9), Ok(None), "it is open");
        assert_eq!(tree.of_file(FILE), Some(file));
        assert_eq!(tree.close(file), Some(Gone::File(FILE)));
        assert_eq!(tree.of_file(FILE), None);
    }

    #[test]
    fn directories_count_their_links() {
        let (mut tree, dir) = tree();
        assert_eq!(tree.stat(Tmpfs::TMP, |_| 0).links, 3);
        let sub = tree.make_directory(dir, b"sub", 0o755, 7).unwrap();
        assert_eq!(tree.stat(dir, |_| 0).links, 3);
        assert_eq!(tree.unlink(Tmpfs::TMP, b"dir", true, 8), Err(Errno::ENOTEMPTY));
        assert_eq!(tree.rename((dir, b"sub"), (Tmpfs::TMP, b"up"), false, 8), Ok(None));
        assert_eq!(tree.parent(sub), Tmpfs::TMP);
        assert_eq!(tree.stat(dir, |_| 0).links, 2);
        assert_eq!(tree.stat(Tmpfs::TMP, |_| 0).links, 4);
        assert_eq!(tree.unlink(Tmpfs::TMP, b"dir", true, 9), Ok(None));
        assert_eq!(tree.stat(Tmpfs::TMP, |_| 0).links, 3);
        assert_eq!(tree.find(Tmpfs::TMP, &[b"dir".to_vec()]), Err(Errno::ENOENT));
    }

    #[test]
    fn no_directory_becomes_its_own_descendant() {
        let (mut tree, dir) = tree();
        let sub = tree.make_directory(dir, b"sub", 0o755, 7).unwrap();
        let into = |tree: &mut Tmpfs, to| {
            tree.rename((Tmpfs::TMP, b"dir"), (to, b"x"), false, 8).unwrap_err()
        };
        assert_eq!(into(&mut tree, sub), Errno::EINVAL);
        assert_eq!(into(&mut tree, dir), Errno::EINVAL);
    }

    #[test]
    fn a_rename_replaces_and_an_exchange_does_not() {
        let (mut tree, dir) = tree();
        let other = FileId(FILE.0 + 1);
        tree.make(dir, b"a", NodeKind::File(FILE), 0o600, 7).unwrap();
        let b = tree.make(dir, b"b", NodeKind::File(other), 0o600, 7).unwrap();
        assert_eq!(tree.rename((dir, b"a"), (dir, b"b"), true, 8), Ok(None));
        assert_eq!(tree.find(dir, &[b"a".to_vec()]), Ok(b));
        assert_eq!(tree.rename((dir, b"a"), (dir, b"b"), false, 8), Ok(Some(Gone::File(FILE))));
        assert_eq!(tree.entries(dir).collect::<Vec<_>>(), [(&b"b"[..], b)]);
        assert_eq!(tree.rename((dir, b"b"), (Tmpfs::TMP, b"dir"), false, 8), Err(Errno::EISDIR));
    }
}
