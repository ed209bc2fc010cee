//! Paths: everything the guest names lies below one directory of the host.
//!
//! ```text
//!   guest path   "/etc/../lib/libc.so"      absolute: from the root; otherwise from the cwd
//!        │ component by component: ".." stops at the root, a symbolic link is read and its target
//!        ▼ walked in its place, an absolute target from the guest's root
//!   Location     "usr/lib/libc.so"          no "..", no symbolic link on the way
//!        │ cap-std
//!        ▼
//!   host file
//! ```
//!
//! Architecture invariants:
//! 1. Host files are reached through the one [`Dir`] capability only. Its own sandbox holds even if
//!    a directory is replaced by a symbolic link between walk and use.
//! 2. No path names anything but regular files and directories: a device or FIFO of the host is
//!    never opened.

use crate::errno::Errno;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Symbolic links followed in one path, as Linux.
const MAX_LINKS: usize = 40;
/// The longest component of a path.
const NAME_MAX: usize = 255;
/// Components that a path may grow to while links are walked.
const MAX_COMPONENTS: usize = 4096;

/// A place below the root: the components of a path without links, `.` or `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    components: Vec<Vec<u8>>,
    /// The path ended in a slash or `.`: only a directory will do.
    pub must_be_directory: bool,
}

impl Location {
    /// The path for the host, relative to the root.
    pub fn host_path(&self) -> PathBuf {
        if self.components.is_empty() {
            return PathBuf::from(".");
        }
        self.components.iter().map(|c| OsString::from_vec(c.clone())).collect()
    }

    /// The absolute path, as the guest sees it.
    pub fn guest_path(&self) -> Vec<u8> {
        if self.components.is_empty() {
            return b"/".to_vec();
        }
        let mut path = Vec::new();
        for component in &self.components {
            path.push(b'/');
            path.extend_from_slice(component);
        }
        path
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.components.is_empty()
    }

    fn child(&self, name: &[u8]) -> Self {
        let mut components = self.components.clone();
        components.push(name.to_vec());
        Self { components, must_be_directory: false }
    }
}

/// Whether the last component is followed if it is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// It is.
    Follow,
    /// The link itself is meant.
    Keep,
}

/// The directory that the guest sees as `/`; without one the tree is empty.
#[derive(Clone, Debug, Default)]
pub struct Root {
    dir: Option<Arc<Dir>>,
}

impl Root {
    /// The tree below a directory of the host.
    pub fn below(dir: Dir) -> Self {
        Self { dir: Some(Arc::new(dir)) }
    }

    /// The tree below the directory at `path`.
    ///
    /// # Errors
    /// If the host cannot open it as a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Dir::open_ambient_dir(path, ambient_authority()).map(Self::below)
    }

    /// Whether the guest sees any files at all.
    pub const fn is_given(&self) -> bool {
        self.dir.is_some()
    }

    /// The directory.
    ///
    /// # Errors
    /// ENOENT if there is none.
    pub fn dir(&self) -> Result<&Dir, Errno> {
        self.dir.as_deref().ok_or(Errno::ENOENT)
    }

    /// Finds the place that a path names. The last component need not exist.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, or what the host says.
    pub fn resolve(
        &self,
        cwd: &Location,
        path: &[u8],
        last_link: LastLink,
    ) -> Result<Location, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut walk = Walk {
            root: self,
            at: if path[0] == b'/' { Location::default() } else { cwd.clone() },
            left: components(path).map(<[u8]>::to_vec).collect(),
            links: 0,
        };
        walk.at.must_be_directory = false;
        let slash = path.ends_with(b"/") || path.ends_with(b"/.") || path == b".";
        walk.run(if slash { LastLink::Follow } else { last_link })?;
        walk.at.must_be_directory |= slash;
        Ok(walk.at)
    }

    /// The metadata of a place, without following it.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR if a file is named like a directory, or what the host says.
    pub fn metadata(&self, at: &Location) -> Result<Metadata, Errno> {
        let metadata = self.dir()?.symlink_metadata(at.host_path()).map_err(host_error)?;
        if at.must_be_directory && !metadata.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        Ok(metadata)
    }

    /// Whether somebody may execute a file: the guest is root, to whom one is enough.
    pub fn is_executable(&self, metadata: &Metadata) -> bool {
        metadata.mode() & 0o111 != 0
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// EACCES if it is none, or what the host says.
    pub fn open_file(&self, at: &Location) -> Result<std::fs::File, Errno> {
        let mut options = OpenOptions::new();
        options.read(true);
        let file = self.dir()?.open_with(at.host_path(), &options).map_err(host_error)?.into_std();
        if !file.metadata()?.is_file() {
            return Err(Errno::EACCES);
        }
        Ok(file)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// EINVAL if it is no link, or what the host says.
    pub fn read_link(&self, at: &Location) -> Result<Vec<u8>, Errno> {
        let target = self.dir()?.read_link_contents(at.host_path()).map_err(host_error)?;
        Ok(target.into_os_string().into_vec())
    }
}

/// A host error, where cap-std's refusal to leave the root reads as EACCES.
pub(crate) fn host_error(error: io::Error) -> Errno {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::PermissionDenied, None) => Errno::EACCES,
        _ => Errno::from(error),
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// A path on its way to a [`Location`].
struct Walk<'a> {
    root: &'a Root,
    at: Location,
    left: VecDeque<Vec<u8>>,
    links: usize,
}

impl Walk<'_> {
    fn run(&mut self, last_link: LastLink) -> Result<(), Errno> {
        while let Some(name) = self.left.pop_front() {
            if name.len() > NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            if name == b".." {
                self.at.components.pop();
                continue;
            }
            self.step(&name, last_link)?;
        }
        Ok(())
    }

    fn step(&mut self, name: &[u8], last_link: LastLink) -> Result<(), Errno> {
        let next = self.at.child(name);
        let is_last = self.left.is_empty();
        match self.root.metadata(&next) {
            Ok(m) if m.is_symlink() && !(is_last && last_link == LastLink::Keep) => {
                return self.follow(&next);
            }
            Ok(m) if !is_last && !m.is_dir() => return Err(Errno::ENOTDIR),
            // The caller may be about to create it.
            Err(Errno::ENOENT) if is_last => {}
            Err(e) => return Err(e),
            Ok(_) => {}
        }
        self.at = next;
        Ok(())
    }

    fn follow(&mut self, link: &Location) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        let target = self.root.read_link(link)?;
        if target.starts_with(b"/") {
            self.at = Location::default();
        }
        for component in components(&target).rev() {
            self.left.push_front(component.to_vec());
        }
        if self.left.len() > MAX_COMPONENTS {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(())
    }
}

/// The bytes of a host path.
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// `outside/secret` beside `root/`, with ways in and out.
    fn tree() -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir_all(root.join("etc/deep")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        fs::write(temp.path().join("outside/secret"), b"secret").unwrap();
        fs::write(root.join("etc/passwd"), b"guest").unwrap();
        symlink("../../outside/secret", root.join("etc/climb")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        symlink("etc", root.join("dir")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink(temp.path().join("outside"), root.join("hostpath")).unwrap();
        let dir = Dir::open_ambient_dir(&root, ambient_authority()).unwrap();
        (temp, Root::below(dir))
    }

    fn resolve(root: &Root, path: &str) -> Result<String, Errno> {
        let at = root.resolve(&Location::default(), path.as_bytes(), LastLink::Follow)?;
        root.metadata(&at)?;
        Ok(String::from_utf8(at.guest_path()).unwrap())
    }

    #[test]
    fn dots_stop_at_the_root() {
        let (_temp, root) = tree();
        assert_eq!(resolve(&root, "/../../etc/./passwd").unwrap(), "/etc/passwd");
        assert_eq!(resolve(&root, "../../..").unwrap(), "/");
        assert_eq!(resolve(&root, "/../outside/secret"), Err(Errno::ENOENT));
    }

    #[test]
    fn links_cannot_escape() {
        let (_temp, root) = tree();
        assert_eq!(resolve(&root, "/etc/climb"), Err(Errno::ENOENT));
        assert_eq!(resolve(&root, "/hostpath/secret"), Err(Errno::ENOENT));
        assert_eq!(resolve(&root, "/loop"), Err(Errno::ELOOP));
    }

    #[test]
    fn absolute_links_start_at_the_guests_root() {
        let (_temp, root) = tree();
        assert_eq!(resolve(&root, "/absolute").unwrap(), "/etc/passwd");
        assert_eq!(resolve(&root, "/dir/passwd").unwrap(), "/etc/passwd");
    }

    #[test]
    fn files_are_not_directories() {
        let (_temp, root) = tree();
        assert_eq!(resolve(&root, "/etc/passwd/"), Err(Errno::ENOTDIR));
        assert_eq!(resolve(&root, "/etc/passwd/x"), Err(Errno::ENOTDIR));
        assert_eq!(resolve(&root, "/nowhere/x"), Err(Errno::ENOENT));
        assert_eq!(resolve(&root, ""), Err(Errno::ENOENT));
        assert_eq!(resolve(&root, &format!("/{}", "n".repeat(256))), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn the_working_directory_is_where_relative_paths_start() {
        let (_temp, root) = tree();
        let etc = root.resolve(&Location::default(), b"dir", LastLink::Follow).unwrap();
        assert_eq!(etc.guest_path(), b"/etc");
        let up = root.resolve(&etc, b"deep/../passwd", LastLink::Follow).unwrap();
        assert_eq!(up.guest_path(), b"/etc/passwd");
        let kept = root.resolve(&Location::default(), b"/absolute", LastLink::Keep).unwrap();
        assert_eq!(root.read_link(&kept).unwrap(), b"/etc/passwd");
    }

    #[test]
    fn without_a_root_nothing_exists() {
        assert_eq!(resolve(&Root::default(), "/etc/passwd"), Err(Errno::ENOENT));
        assert_eq!(resolve(&Root::default(), "/"), Err(Errno::ENOENT));
    }
}
