//! Moving a host to a copy of its root directory.
//!
//! ```text
//!   copy of a machine ──► files below root A, by inode      A has been changed since
//!          │ move_to
//!          └────────────► the same files below root B       B is what A was
//! ```
//!
//! The guest sees the same: descriptors, mappings and inode numbers keep naming the same files.

use crate::files::Inode;
use crate::host::Host;
use crate::root::Root;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// A host file's identity: device and inode.
pub type HostInode = Inode;

/// Where a file is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What it is there.
    pub inode: HostInode,
    /// Its name, by which it can be opened for reading and writing.
    pub path: PathBuf,
}

impl Host {
    /// How often something below the root was changed, or may have been: by this machine or its
    /// copies.
    pub fn changes(&self) -> u64 {
        self.root.changes().wrapping_add(self.files.changes())
    }

    /// Open files that have lost all their names, each open for reading.
    ///
    /// # Errors
    /// The host's.
    pub fn nameless(&self) -> io::Result<Vec<(HostInode, File)>> {
        self.files.nameless()
    }

    /// Has another root directory, and the files there in place of those here.
    ///
    /// # Errors
    /// If a file cannot be opened there.
    pub fn move_to(&mut self, root: Root, moved: &BTreeMap<HostInode, Moved>) -> io::Result<()> {
        self.files.move_to(moved)?;
        self.inodes.move_to(moved);
        self.root = self.root.moved_to(root);
        Ok(())
    }
}
