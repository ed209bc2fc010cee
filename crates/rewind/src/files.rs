//! The program's files, as they were at each checkpoint.
//!
//! ```text
//!   --root ─► copy ─► the program's directory ── changed by it ──►
//!                        │ at a checkpoint, if something was changed since the last
//!                        ▼
//!                     Tree: names, rights, times, bytes (shared with the tree before where equal)
//!                        │ going back
//!                        ▼
//!                     a new directory, which the copied machine is moved to
//! ```
//!
//! Files that were changed since must not be seen by the copy, and files that were removed must be
//! there for it, open descriptors and mappings among them. So a directory is made anew, and the
//! machine's descriptors are opened there again: what names which is kept by inode.
//!
//! Nothing of this is done while the program changes no files.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pagewalk_linux::{HostInode, Moved};
use pagewalk_machine::Machine;
use tempfile::TempDir;

/// A directory and all below it, at a moment.
#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    /// Below the directory; none for a file that is open and has no name.
    path: Option<PathBuf>,
    what: What,
    mode: u32,
    times: FileTimes,
}

#[derive(Debug)]
enum What {
    Directory,
    Link(PathBuf),
    /// The bytes, in a file that nobody else has.
    File(Arc<File>),
    /// Another name of the node of this number.
    Same(usize),
}

/// The files of a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct SavedFiles {
    tree: Arc<Tree>,
    /// The inode of each node, in the directory that the checkpoint's machine knows.
    inodes: Arc<Vec<HostInode>>,
}

/// The program's directory.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// The first directory is the caller's; those made since are here.
    made: Option<TempDir>,
    path: PathBuf,
    /// What the directory is, if the machine has counted so many changes.
    is: Option<(u64, SavedFiles)>,
}

impl Keeper {
    /// Of a directory that is nobody else's.
    pub const fn new(path: PathBuf) -> Self {
        Self { made: None, path, is: None }
    }

    /// What the files are now.
    ///
    /// # Errors
    /// The host's.
    pub fn save(&mut self, machine: &Machine) -> io::Result<SavedFiles> {
        let changes = machine.file_changes();
        let before = self.is.take();
        if let Some((at, saved)) = &before
            && *at == changes
        {
            self.is = before.clone();
            return Ok(saved.clone());
        }
        let before = before.map(|(_, saved)| saved);
        let saved = read(&self.path, machine, before.as_ref())?;
        self.is = Some((changes, saved.clone()));
        Ok(saved)
    }

    /// Has the files be what they were when a machine was copied, and the machine use them.
    ///
    /// # Errors
    /// The host's.
    pub fn load(&mut self, machine: &mut Machine, saved: &mut SavedFiles) -> io::Result<()> {
        let changes = machine.file_changes();
        let has_nameless = saved.tree.nodes.iter().any(|node| node.path.is_none());
        let is_there = !has_nameless
            && self
                .is
                .as_ref()
                .is_some_and(|(at, is)| *at == changes && Arc::ptr_eq(&is.tree, &saved.tree));
        let nameless = if is_there { None } else { Some(self.make(&saved.tree)?) };
        let Some((_, is)) = &self.is else { return Ok(()) };
        if !Arc::ptr_eq(&is.inodes, &saved.inodes) {
            let moved = moved(&saved.tree, &saved.inodes, &is.inodes, &self.path, &nameless);
            machine.move_files(&self.path, &moved)?;
            saved.inodes = Arc::clone(&is.inodes);
        }
        if nameless.is_some() {
            settle(&saved.tree, &self.path)?;
            // Opening and closing is no change of the program's.
            if let Some((at, _)) = &mut self.is {
                *at = machine.file_changes();
            }
        }
        Ok(())
    }

    /// Makes a directory; the files without names are in another, which is returned.
    fn make(&mut self, tree: &Arc<Tree>) -> io::Result<TempDir> {
        let (made, nameless) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let root = made.path().to_owned();
        let mut inodes = Vec::new();
        for (number, node) in tree.nodes.iter().enumerate() {
            let path = place(node, number, &root, nameless.path());
            match &node.what {
                What::Directory if path == root => {}
                What::Directory => fs::create_dir(&path)?,
                What::Link(target) => symlink(target, &path)?,
                What::File(bytes) => drop(copy(bytes, File::create_new(&path)?)?),
                What::Same(first) => {
                    let first = place(&tree.nodes[*first], *first, &root, nameless.path());
                    fs::hard_link(first, &path)?;
                }
            }
            inodes.push(inode(&fs::symlink_metadata(&path)?));
        }
        let saved = SavedFiles { tree: Arc::clone(tree), inodes: Arc::new(inodes) };
        // The count is set when the machine has moved.
        self.is = Some((u64::MAX, saved));
        self.path = root;
        self.made = Some(made);
        Ok(nameless)
    }
}

fn inode(metadata: &fs::Metadata) -> HostInode {
    (metadata.dev(), metadata.ino())
}

/// Where a node is made.
fn place(node: &Node, number: usize, root: &Path, nameless: &Path) -> PathBuf {
    match &node.path {
        Some(path) if path.as_os_str().is_empty() => root.to_owned(),
        Some(path) => root.join(path),
        None => nameless.join(number.to_string()),
    }
}

/// Which inode stands for which.
fn moved(
    tree: &Tree,
    from: &[HostInode],
    to: &[HostInode],
    root: &Path,
    nameless: &Option<TempDir>,
) -> BTreeMap<HostInode, Moved> {
    let nameless = nameless.as_ref().map_or(root, |dir| dir.path());
    let all = tree.nodes.iter().enumerate().zip(from.iter().zip(to));
    let moved = all.map(|((number, node), (&from, &to))| {
        (from, Moved { inode: to, path: place(node, number, root, nameless) })
    });
    moved.collect()
}

/// Gives everything its rights and times, directories last: what is made in them changes theirs.
fn settle(tree: &Tree, root: &Path) -> io::Result<()> {
    for node in tree.nodes.iter().rev() {
        let Some(path) = &node.path else { continue };
        let path = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
        if matches!(node.what, What::Link(_) | What::Same(_)) {
            continue;
        }
        File::open(&path)?.set_times(node.times)?;
        fs::set_permissions(&path, Permissions::from_mode(node.mode))?;
    }
    Ok(())
}

/// Reads a directory.
fn read(root: &Path, machine: &Machine, before: Option<&SavedFiles>) -> io::Result<SavedFiles> {
    let known = before.map(|before| before.inodes.iter().copied().zip(0..).collect());
    let known = known.unwrap_or_default();
    let mut reader = Reader { nodes: Vec::new(), inodes: Vec::new(), before, known };
    reader.directory(root, PathBuf::new())?;
    for (inode, file) in machine.nameless_files()? {
        let metadata = file.metadata()?;
        let bytes = reader.bytes(inode, file)?;
        reader.add(None, What::File(bytes), &metadata)?;
    }
    let Reader { nodes, inodes, .. } = reader;
    Ok(SavedFiles { tree: Arc::new(Tree { nodes }), inodes: Arc::new(inodes) })
}

struct Reader<'a> {
    nodes: Vec<Node>,
    inodes: Vec<HostInode>,
    before: Option<&'a SavedFiles>,
    /// The numbers that inodes have there.
    known: BTreeMap<HostInode, usize>,
}

impl Reader<'_> {
    fn directory(&mut self, from: &Path, path: PathBuf) -> io::Result<()> {
        self.add(Some(path.clone()), What::Directory, &fs::metadata(from)?)?;
        let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (source, name) = (entry.path(), path.join(entry.file_name()));
            let metadata = entry.metadata()?;
            let has_names = metadata.is_file() && metadata.nlink() > 1;
            let first = has_names
                .then(|| self.inodes.iter().position(|held| *held == inode(&metadata)))
                .flatten();
            if metadata.is_dir() {
                self.directory(&source, name)?;
            } else if metadata.is_symlink() {
                self.add(Some(name), What::Link(fs::read_link(&source)?), &metadata)?;
            } else if let Some(first) = first {
                self.add(Some(name), What::Same(first), &metadata)?;
            } else if metadata.is_file() {
                let bytes = self.bytes(inode(&metadata), open(&source, &metadata)?)?;
                self.add(Some(name), What::File(bytes), &metadata)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: Option<PathBuf>,
        what: What,
        metadata: &fs::Metadata,
    ) -> io::Result<()> {
        let times =
            FileTimes::new().set_modified(metadata.modified()?).set_accessed(metadata.accessed()?);
        let mode = metadata.permissions().mode() & 0o7777;
        self.nodes.push(Node { path, what, mode, times });
        self.inodes.push(inode(metadata));
        Ok(())
    }

    /// A file's bytes: those of the tree before, if they are the same.
    fn bytes(&self, inode: HostInode, file: File) -> io::Result<Arc<File>> {
        let before = self.before.and_then(|before| {
            match &before.tree.nodes[*self.known.get(&inode)?].what {
                What::File(bytes) => Some(bytes),
                _ => None,
            }
        });
        if let Some(bytes) = before
            && is_same(bytes, &file)?
        {
            return Ok(Arc::clone(bytes));
        }
        Ok(Arc::new(copy(&file, tempfile::tempfile()?)?))
    }
}

/// Opens a file that the program may have made unreadable.
fn open(path: &Path, metadata: &fs::Metadata) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            let file = File::open(path);
            fs::set_permissions(path, metadata.permissions())?;
            file
        }
        opened => opened,
    }
}

fn copy(from: &File, to: File) -> io::Result<File> {
    let mut reader = from;
    reader.seek(SeekFrom::Start(0))?;
    io::copy(&mut reader, &mut &to)?;
    Ok(to)
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (one, other);
    let (mut a, mut b) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    one.seek(SeekFrom::Start(0))?;
    other.seek(SeekFrom::Start(0))?;
    loop {
        let (got, too) = (fill(&mut one, &mut a)?, fill(&mut other, &mut b)?);
        if a[..got] != b[..too] {
            return Ok(false);
        }
        if got == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..])? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}
