//! Paths: from what a program writes to the place that it means.
//!
//! ```text
//!   guest path   "/etc/../lib/libc.so"      absolute: from the root; otherwise from the cwd
//!        │ component by component: ".." stops at the root, a symbolic link is read and its target
//!        ▼ walked in its place, an absolute target from the guest's root
//!   Location     "usr/lib/libc.so"          no "..", no symbolic link on the way
//! ```
//!
//! What names mean the walk asks of [`Names`]: the host's directories alone ([`crate::root::Root`]),
//! or all that the guest sees ([`crate::vfs::View`]).

use crate::errno::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Symbolic links followed in one path, as Linux.
const MAX_LINKS: usize = 40;
/// The longest component of a path.
pub const NAME_MAX: usize = 255;
/// The longest path from the root to a place, as Linux's bound on one call's path. There it may be
/// reached in several steps; here places keep their paths, which thus stay short.
const PATH_MAX: usize = 4096;
/// Components that a path may grow to while links are walked.
const MAX_COMPONENTS: usize = 4096;

/// A place in the guest's tree: the components of a path without links, `.` or `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    components: Vec<Vec<u8>>,
    /// The path ended in a slash or `.`: only a directory will do.
    pub must_be_directory: bool,
    /// The last component is a link that leads to no path (/proc/PID/fd/N), and was followed: what
    /// it leads to is meant.
    pub is_followed: bool,
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

    /// What it takes of the host's memory.
    pub(crate) fn host_bytes(&self) -> u64 {
        const COMPONENT: u64 = 56;
        self.components.iter().map(|name| COMPONENT + name.len() as u64).sum()
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.components.is_empty()
    }

    /// The names from the root on.
    pub fn components(&self) -> &[Vec<u8>] {
        &self.components
    }

    /// The directory that holds it, and its name there; `None` for the root.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        let (name, parent) = self.components.split_last()?;
        Some((Self { components: parent.to_vec(), ..Self::default() }, name))
    }

    /// The place of a name in this directory.
    pub fn child(&self, name: &[u8]) -> Self {
        let mut components = self.components.clone();
        components.push(name.to_vec());
        Self { components, ..Self::default() }
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

/// What is at a place, as far as a walk has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// Where a symbolic link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Wherever this path leads from the link's directory.
    Path(Vec<u8>),
    /// To a place, whatever its path may be called by now.
    Place(Location),
    /// To something that no path need lead to.
    Object,
}

/// What names mean.
pub trait Names {
    /// What is at a place.
    ///
    /// # Errors
    /// ENOENT, or why it cannot be looked at.
    fn kind(&self, at: &Location) -> Result<Kind, Errno>;

    /// Where the link at a place leads.
    ///
    /// # Errors
    /// If it is gone.
    fn target(&self, at: &Location) -> Result<Target, Errno>;
}

/// Finds the place that a path names. The last component need not exist.
///
/// # Errors
/// ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, or what the names say.
pub fn resolve(
    names: &dyn Names,
    cwd: &Location,
    path: &[u8],
    last_link: LastLink,
) -> Result<Location, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut walk = Walk {
        names,
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

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// A path on its way to a [`Location`].
struct Walk<'a> {
    names: &'a dyn Names,
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
                self.at.is_followed = false;
                continue;
            }
            self.step(&name, last_link)?;
        }
        Ok(())
    }

    fn step(&mut self, name: &[u8], last_link: LastLink) -> Result<(), Errno> {
        let next = self.at.child(name);
        if next.components.iter().map(|name| name.len() + 1).sum::<usize>() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let is_last = self.left.is_empty();
        match self.names.kind(&next) {
            Ok(Kind::Link) if !(is_last && last_link == LastLink::Keep) => {
                return self.follow(next);
            }
            Ok(Kind::Link | Kind::Other) if !is_last => return Err(Errno::ENOTDIR),
            // The caller may be about to create it.
            Err(Errno::ENOENT) if is_last => {}
            Err(e) => return Err(e),
            Ok(_) => {}
        }
        self.at = next;
        Ok(())
    }

    fn follow(&mut self, link: Location) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        let target = match self.names.target(&link)? {
            Target::Path(path) => path,
            Target::Place(place) => {
                self.at = place;
                return Ok(());
            }
            Target::Object if self.left.is_empty() => {
                self.at = Location { is_followed: true, ..link };
                return Ok(());
            }
            Target::Object => return Err(Errno::ENOTDIR),
        };
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
