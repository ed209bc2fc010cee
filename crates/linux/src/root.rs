//! Files of the host: what the guest names there lies below one of two directories.
//!
//! ```text
//!   Location     "usr/lib/libc.so"          no "..", no symbolic link on the way (path.rs)
//!        │ cap-std
//!        ▼
//!   host file    below the root; if that has no such name, below the sysroot
//! ```
//!
//! Architecture invariants:
//! 1. Host files are reached through the two [`Dir`] capabilities only. Their own sandbox holds even
//!    if a directory is replaced by a symbolic link between walk and use.
//! 2. No path names anything but regular files and directories: a device or FIFO of the host is
//!    never opened.
//! 3. The sysroot is never written: what would change it fails with EROFS.

use crate::errno::Errno;
use crate::path::{Kind, Location, Names, Target};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which of the two directories a name is found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The root, where everything is made and changed.
    Root,
    /// The sysroot below it, which is only read.
    Sysroot,
}

/// The directories that the guest sees as `/`: the first that has a name answers for it. Without
/// any the tree is empty.
#[derive(Clone, Debug, Default)]
pub struct Root {
    dir: Option<Arc<Dir>>,
    sysroot: Option<Arc<Dir>>,
    /// How often the directory was given to somebody who changes it; copies share it.
    changes: Arc<AtomicU64>,
}

impl Root {
    /// The tree below a directory of the host.
    pub fn below(dir: Dir) -> Self {
        Self { dir: Some(Arc::new(dir)), ..Self::default() }
    }

    /// The tree below the directory at `path`, and what it has not of that at `sysroot`.
    ///
    /// # Errors
    /// If the host cannot open one as a directory: which, and why.
    pub fn open(path: Option<&Path>, sysroot: Option<&Path>) -> Result<Self, (Layer, io::Error)> {
        let open = |layer, path: Option<&Path>| {
            let dir = path.map(|path| Dir::open_ambient_dir(path, ambient_authority()));
            dir.transpose().map(|dir| dir.map(Arc::new)).map_err(|error| (layer, error))
        };
        let (dir, sysroot) = (open(Layer::Root, path)?, open(Layer::Sysroot, sysroot)?);
        Ok(Self { dir, sysroot, changes: Arc::default() })
    }

    /// Whether the guest sees any files at all.
    pub const fn is_given(&self) -> bool {
        self.dir.is_some() || self.sysroot.is_some()
    }

    /// The directory in which things are made and changed.
    ///
    /// # Errors
    /// EROFS if there is only a sysroot, ENOENT if there is nothing.
    pub fn dir(&self) -> Result<&Dir, Errno> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let absent = if self.sysroot.is_some() { Errno::EROFS } else { Errno::ENOENT };
        self.dir.as_deref().ok_or(absent)
    }

    /// The directory, if `at` is not in the sysroot alone: for what is to be changed.
    ///
    /// # Errors
    /// EROFS, or why there is no such place.
    pub fn writable(&self, at: &Location) -> Result<&Dir, Errno> {
        match self.find(at)? {
            (Layer::Root, _) => self.dir(),
            (Layer::Sysroot, _) => Err(Errno::EROFS),
        }
    }

    /// How often somebody was given the directory to change it.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The directory of `other` in place of this one; the sysroot stays.
    pub(crate) fn moved_to(&self, other: Self) -> Self {
        Self { dir: other.dir, ..self.clone() }
    }

    /// The directories, with what they are.
    pub fn layers(&self) -> impl Iterator<Item = (Layer, &Dir)> {
        let root = self.dir.as_deref().map(|dir| (Layer::Root, dir));
        root.into_iter().chain(self.sysroot.as_deref().map(|dir| (Layer::Sysroot, dir)))
    }

    fn layer(&self, layer: Layer) -> Result<&Dir, Errno> {
        self.layers().find(|(is, _)| *is == layer).map(|(_, dir)| dir).ok_or(Errno::ENOENT)
    }

    /// The layer that has a place, and its metadata there, without following it.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR if a file is named like a directory, or what the host says.
    pub fn find(&self, at: &Location) -> Result<(Layer, Metadata), Errno> {
        for (layer, dir) in self.layers() {
            match dir.symlink_metadata(at.host_path()).map_err(host_error) {
                Ok(metadata) if at.must_be_directory && !metadata.is_dir() => {
                    return Err(Errno::ENOTDIR);
                }
                Ok(metadata) => return Ok((layer, metadata)),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::ENOENT)
    }

    /// Opens what is at a place, as `options` say.
    ///
    /// # Errors
    /// EROFS if they ask for changes of the sysroot, or what the host says.
    pub fn open_with(
        &self,
        at: &Location,
        options: &OpenOptions,
        changes: bool,
    ) -> Result<std::fs::File, Errno> {
        let layer = match self.find(at) {
            Ok((Layer::Sysroot, _)) if changes => return Err(Errno::EROFS),
            Ok((layer, _)) => layer,
            // To be made.
            Err(Errno::ENOENT) if changes => Layer::Root,
            Err(errno) => return Err(errno),
        };
        let dir = if changes { self.dir()? } else { self.layer(layer)? };
        Ok(dir.open_with(at.host_path(), options).map_err(host_error)?.into_std())
    }

    /// The metadata of a place, without following it.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR if a file is named like a directory, or what the host says.
    pub fn metadata(&self, at: &Location) -> Result<Metadata, Errno> {
        self.find(at).map(|(_, metadata)| metadata)
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
        let file = self.open_with(at, &options, false)?;
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
        let (layer, _) = self.find(at)?;
        let target = self.layer(layer)?.read_link_contents(at.host_path()).map_err(host_error)?;
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

impl Names for Root {
    fn kind(&self, at: &Location) -> Result<Kind, Errno> {
        self.metadata(at).map(|metadata| match metadata {
            directory if directory.is_dir() => Kind::Directory,
            link if link.is_symlink() => Kind::Link,
            _ => Kind::Other,
        })
    }

    fn target(&self, at: &Location) -> Result<Target, Errno> {
        self.read_link(at).map(Target::Path)
    }
}

/// The bytes of a host path.
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{self, LastLink};
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
        let at = path::resolve(root, &Location::default(), path.as_bytes(), LastLink::Follow)?;
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
        let etc = path::resolve(&root, &Location::default(), b"dir", LastLink::Follow).unwrap();
        assert_eq!(etc.guest_path(), b"/etc");
        let up = path::resolve(&root, &etc, b"deep/../passwd", LastLink::Follow).unwrap();
        assert_eq!(up.guest_path(), b"/etc/passwd");
        let kept =
            path::resolve(&root, &Location::default(), b"/absolute", LastLink::Keep).unwrap();
        assert_eq!(root.read_link(&kept).unwrap(), b"/etc/passwd");
    }

    #[test]
    fn the_sysroot_has_what_the_root_has_not() {
        let (temp, _) = tree();
        let sysroot = temp.path().join("sysroot");
        fs::create_dir_all(sysroot.join("lib")).unwrap();
        fs::create_dir_all(sysroot.join("etc")).unwrap();
        fs::write(sysroot.join("lib/libc.so"), b"library").unwrap();
        fs::write(sysroot.join("etc/passwd"), b"hidden").unwrap();
        symlink("../../outside/secret", sysroot.join("lib/climb")).unwrap();
        symlink("/etc/passwd", sysroot.join("lib/up")).unwrap();
        let root = Root::open(Some(&temp.path().join("root")), Some(&sysroot)).unwrap();
        let find = |path: &str| {
            let at = path::resolve(&root, &Location::default(), path.as_bytes(), LastLink::Follow)?;
            root.find(&at).map(|(layer, metadata)| (layer, metadata.len()))
        };
        assert_eq!(find("/lib/libc.so"), Ok((Layer::Sysroot, 7)));
        assert_eq!(find("/etc/passwd"), Ok((Layer::Root, 5)), "the root hides the sysroot's");
        assert_eq!(find("/lib/up"), Ok((Layer::Root, 5)), "links go through both");
        assert_eq!(find("/lib/climb"), Err(Errno::ENOENT));
        let at =
            path::resolve(&root, &Location::default(), b"/lib/libc.so", LastLink::Follow).unwrap();
        assert_eq!(root.writable(&at).unwrap_err(), Errno::EROFS);
        let options = OpenOptions::new().write(true).clone();
        assert_eq!(root.open_with(&at, &options, true).unwrap_err(), Errno::EROFS);
        let (layer, _) = Root::open(None, Some(&temp.path().join("none"))).unwrap_err();
        assert_eq!(layer, Layer::Sysroot);
    }

    #[test]
    fn without_a_root_nothing_exists() {
        assert_eq!(resolve(&Root::default(), "/etc/passwd"), Err(Errno::ENOENT));
        assert_eq!(resolve(&Root::default(), "/"), Err(Errno::ENOENT));
    }
}
