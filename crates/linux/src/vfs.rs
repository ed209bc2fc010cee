//! All that the guest sees under `/`: which file system a place is in, and what is there.
//!
//! ```text
//!   /              the root, below it the sysroot      root.rs       files of the host
//!   /dev           devices, links to descriptors       devices.rs
//!   /dev/shm, /tmp trees in memory                     tmpfs.rs      objects of the kernel
//!   /proc, /sys    text about the system               procfs/
//!   /sys/fs/cgroup groups of processes                 cgroups.rs
//! ```
//!
//! /tmp is the root's own if it has one. The other mounts hide what the root has of their names.
//!
//! Architecture invariant: nothing that the guest names leads to the host but through
//! [`crate::root::Root`]; links in /proc lead to places of the guest's tree or to open files.

use cap_std::fs::Metadata;

use crate::call::Call;
use crate::devices::{self, Device};
use crate::errno::Errno;
use crate::fd::Object;
use crate::host::Host;
use crate::path::{Kind, Location, Names, Target};
use crate::process::Process;
use crate::procfs::{self, Text};
use crate::system::System;
use crate::thread::Thread;
use crate::tmpfs::{NodeId, NodeKind, Tmpfs};
use crate::wait::Pid;

/// The file system that a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    Host,
    Dev,
    Memory(NodeId),
    Proc,
    Sys,
    Groups,
}

/// What is at a place.
#[derive(Debug)]
pub(crate) enum Node {
    /// A file of the host.
    Host(Metadata),
    /// A node in memory.
    Memory(NodeId),
    /// Something built in.
    BuiltIn(BuiltIn),
}

/// What is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    /// A directory.
    Directory,
    /// A character device.
    Device(Device),
    /// The terminal, which there is none of.
    Terminal,
    /// The swap device of this number.
    SwapDevice(usize),
    /// Text about the system, made when it is opened.
    Text(Text),
    /// A symbolic link.
    Link(Vec<u8>),
    /// A link to what a process has.
    Magic(Pid, Magic),
}

/// What of a process a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Magic {
    Executable,
    WorkingDirectory,
    Root,
    Descriptor(u64),
}

/// The system as a process sees it while it makes a call: its own process and thread are out of the
/// system's tables.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub system: &'a System,
    pub own: Option<(&'a Process, &'a Thread)>,
    pub host: &'a Host,
}

impl Call<'_> {
    /// The system as the caller sees it.
    pub(crate) fn view(&self) -> View<'_> {
        View { system: self.system, own: Some((self.process, self.thread)), host: self.host }
    }
}

impl View<'_> {
    /// A process that has not been waited for.
    pub fn process(&self, pid: Pid) -> Option<&Process> {
        match self.own {
            Some((process, _)) if process.pid == pid => Some(process),
            _ => self.system.process(pid),
        }
    }

    /// A thread.
    pub fn thread(&self, tid: Pid) -> Option<&Thread> {
        match self.own {
            Some((_, thread)) if thread.tid == tid => Some(thread),
            _ => self.system.thread(tid),
        }
    }

    /// The processes' numbers, ascending.
    pub fn pids(&self) -> Vec<Pid> {
        let mut pids: Vec<Pid> = self.system.processes.keys().copied().collect();
        pids.extend(self.own.map(|(process, _)| process.pid));
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The numbers of a process's threads, ascending.
    pub fn tids(&self, pid: Pid) -> Vec<Pid> {
        let others = self.system.threads.values().filter(|thread| thread.pid == pid);
        let mut tids: Vec<Pid> = others.map(|thread| thread.tid).collect();
        tids.extend(self.own.filter(|(of, _)| of.pid == pid).map(|(_, thread)| thread.tid));
        tids.sort_unstable();
        tids.dedup();
        tids
    }

    /// The file system of a place, and the names below its root.
    pub fn mount<'p>(&self, at: &'p Location) -> (Mount, &'p [Vec<u8>]) {
        let names = at.components();
        let is = |i: usize, name: &[u8]| names.get(i).is_some_and(|n| n.as_slice() == name);
        if is(0, b"dev") && is(1, b"shm") {
            (Mount::Memory(Tmpfs::SHM), &names[2..])
        } else if is(0, b"dev") {
            (Mount::Dev, &names[1..])
        } else if is(0, b"proc") {
            (Mount::Proc, &names[1..])
        } else if is(0, b"sys") && is(1, b"fs") && is(2, b"cgroup") {
            (Mount::Groups, &names[3..])
        } else if is(0, b"sys") {
            (Mount::Sys, &names[1..])
        } else if is(0, b"tmp") && self.system.has_own_tmp {
            (Mount::Memory(Tmpfs::TMP), &names[1..])
        } else {
            (Mount::Host, names)
        }
    }

    /// What is at a place, not followed if it is a link.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR if what is no directory is named like one, or what the host says.
    pub fn node(&self, at: &Location) -> Result<Node, Errno> {
        let node = match self.mount(at) {
            (Mount::Host, names) => match self.system.tmpfs.find(Tmpfs::BESIDE, &[beside(names)]) {
                Ok(id) => Node::Memory(id),
                Err(_) if names.is_empty() && !self.host.root.is_given() => {
                    Node::BuiltIn(BuiltIn::Directory)
                }
                Err(_) => Node::Host(self.host.root.metadata(at)?),
            },
            (Mount::Memory(root), names) => Node::Memory(self.system.tmpfs.find(root, names)?),
            (Mount::Dev, names) => Node::BuiltIn(devices::find(names, self.system.swap_devices)?),
            (Mount::Proc | Mount::Sys, _) => Node::BuiltIn(procfs::find(self, at.components())?),
            (Mount::Groups, names) => Node::BuiltIn(self.system.groups.find(names)?),
        };
        if at.must_be_directory && self.kind_of(&node) != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        Ok(node)
    }

    /// What a node is.
    pub fn kind_of(&self, node: &Node) -> Kind {
        match node {
            Node::Host(metadata) if metadata.is_dir() => Kind::Directory,
            Node::Host(metadata) if metadata.is_symlink() => Kind::Link,
            Node::Memory(id) => match self.system.tmpfs.node(*id).kind {
                NodeKind::Directory { .. } => Kind::Directory,
                NodeKind::Link(_) => Kind::Link,
                _ => Kind::Other,
            },
            Node::BuiltIn(BuiltIn::Directory) => Kind::Directory,
            Node::BuiltIn(BuiltIn::Link(_) | BuiltIn::Magic(..)) => Kind::Link,
            _ => Kind::Other,
        }
    }

    /// What a link of /proc says.
    ///
    /// # Errors
    /// ENOENT if the process or its descriptor is gone.
    pub fn magic_path(&self, pid: Pid, magic: Magic) -> Result<Vec<u8>, Errno> {
        let process = self.process(pid).filter(|p| p.ended.is_none()).ok_or(Errno::ENOENT)?;
        match magic {
            Magic::Executable => Ok(process.executable_path.clone()),
            Magic::WorkingDirectory => Ok(process.cwd.guest_path()),
            Magic::Root => Ok(b"/".to_vec()),
            Magic::Descriptor(fd) => {
                let id = process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
                let description = self.system.descriptions.get(id)?;
                Ok(match description.object {
                    Object::File(file) => self.file_path(file, &description.path),
                    _ => description.path.to_vec(),
                })
            }
        }
    }

    /// The path by which a file is told, marked if it has lost its name.
    pub fn file_path(&self, file: crate::FileId, opened_as: &[u8]) -> Vec<u8> {
        let is_deleted = match self.system.tmpfs.of_file(file) {
            Some(id) => !self.system.tmpfs.has_name(id),
            None => self.host.files.is_deleted(file),
        };
        let mark: &[u8] = if is_deleted { b" (deleted)" } else { b"" };
        [opened_as, mark].concat()
    }

    /// Names in a built-in directory, and in one of the host what is mounted there.
    pub fn built_in_names(&self, at: &Location) -> Vec<Vec<u8>> {
        match self.mount(at) {
            (Mount::Dev, names) => devices::names(names, self.system.swap_devices),
            (Mount::Proc | Mount::Sys, _) => procfs::names(self, at.components()),
            (Mount::Groups, names) => self.system.groups.names(names),
            (Mount::Host, []) => {
                let tmp = self.system.has_own_tmp.then_some(&b"tmp"[..]);
                let mounts = [&b"dev"[..], b"proc", b"sys"].into_iter().chain(tmp);
                mounts.map(<[u8]>::to_vec).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The name of a node in memory that stands at a path of the host's.
pub(crate) fn beside(names: &[Vec<u8>]) -> Vec<u8> {
    names.join(&b'/')
}

impl Names for View<'_> {
    fn kind(&self, at: &Location) -> Result<Kind, Errno> {
        self.node(at).map(|node| self.kind_of(&node))
    }

    fn target(&self, at: &Location) -> Result<Target, Errno> {
        match self.node(at)? {
            Node::Host(..) => self.host.root.read_link(at).map(Target::Path),
            Node::Memory(id) => match &self.system.tmpfs.node(id).kind {
                NodeKind::Link(target) => Ok(Target::Path(target.clone())),
                _ => Err(Errno::EINVAL),
            },
            Node::BuiltIn(BuiltIn::Link(target)) => Ok(Target::Path(target)),
            Node::BuiltIn(BuiltIn::Magic(pid, magic)) => self.magic_target(pid, magic),
            Node::BuiltIn(_) => Err(Errno::EINVAL),
        }
    }
}

impl View<'_> {
    fn magic_target(&self, pid: Pid, magic: Magic) -> Result<Target, Errno> {
        let process = self.process(pid).filter(|p| p.ended.is_none()).ok_or(Errno::ENOENT)?;
        Ok(match magic {
            Magic::Executable => Target::Object,
            Magic::WorkingDirectory => Target::Place(process.cwd.clone()),
            Magic::Root => Target::Place(Location::default()),
            Magic::Descriptor(fd) => {
                let id = process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
                match &self.system.descriptions.get(id)?.object {
                    Object::Directory(directory) => Target::Place(directory.location.clone()),
                    _ => Target::Object,
                }
            }
        })
    }
}
