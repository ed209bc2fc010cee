//! /proc and /sys: text about the system in Linux's formats, made when it is opened.
//!
//! ```text
//!   path ── find() ──► Text ── open ── make() ──► bytes, read like a file's
//!                       └───── write() ─────────► a setting changed, at once
//!   /proc/PID/pagemap is no text: its entries are made as they are read.
//! ```
//!
//! What is told is a function of the system at the time of the open: of virtual time and of what the
//! kernel counts. What this machine does not have is told as 0.
//!
//! Source: Documentation/filesystems/proc.rst; fs/proc/ of Linux 6.18, whose order and widths these
//! files have.

mod machine;
mod maps;
mod pagemap;
mod process;
mod settings;
mod status;

pub(crate) use pagemap::read as read_pagemap;
pub(crate) use settings::Settings;

use crate::call::Call;
use crate::cgroups;
use crate::errno::Errno;
use crate::memory::UserMemory;
use crate::process::Process;
use crate::system::FIRST;
use crate::vfs::{BuiltIn, Magic, View};
use crate::wait::Pid;
use pagewalk_kernel::GroupId;

/// The system and its memory, as far as they are told about.
pub(crate) struct Scene<'a> {
    pub view: View<'a>,
    pub memory: &'a dyn UserMemory,
    pub now_ns: u64,
}

/// A file whose text is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// About the machine.
    Machine(machine::File),
    /// About a process.
    Process(Pid, process::File),
    /// About a thread.
    Thread(Pid, Pid, process::File),
    /// A setting, by its path.
    Setting(&'static str),
    /// About a group; about all processes if none is named and there is no group above all.
    Group(Option<GroupId>, cgroups::File),
}

impl Text {
    /// Whether it may be written.
    pub fn is_writable(self) -> bool {
        match self {
            Self::Machine(_) => false,
            Self::Process(_, file) | Self::Thread(_, _, file) => file.is_writable(),
            Self::Setting(path) => settings::is_writable(path),
            Self::Group(_, file) => file.is_writable(),
        }
    }

    /// The process whose pages it shows, entry by entry.
    pub fn pagemap(self) -> Option<Pid> {
        match self {
            Self::Process(pid, process::File::Pagemap) => Some(pid),
            Self::Thread(pid, _, process::File::Pagemap) => Some(pid),
            _ => None,
        }
    }

    /// The text as of now.
    ///
    /// # Errors
    /// ESRCH if the process is gone.
    pub fn make(self, scene: &Scene<'_>) -> Result<Vec<u8>, Errno> {
        match self {
            Self::Machine(file) => Ok(machine::make(scene, file)),
            Self::Process(pid, file) => process::make(scene, pid, None, file),
            Self::Thread(pid, tid, file) => process::make(scene, pid, Some(tid), file),
            Self::Setting(path) => Ok(scene.view.system.settings.read(path, scene.memory)),
            Self::Group(group, file) => cgroups::make(scene, group, file),
        }
    }
}

/// Writes to a file of /proc or /sys: the whole text at once.
///
/// # Errors
/// EINVAL if that cannot be its text, EACCES if it cannot be written.
pub(crate) fn write(call: &mut Call<'_>, text: Text, bytes: &[u8]) -> Result<usize, Errno> {
    match text {
        Text::Machine(_) => return Err(Errno::EACCES),
        Text::Setting(path) => {
            settings::apply(call.memory, path, bytes)?;
            call.system.settings.write(path, bytes)?;
        }
        Text::Group(group, file) => cgroups::write(call, group, file, bytes)?,
        Text::Process(pid, file) => process::write(call, pid, pid, file, bytes)?,
        Text::Thread(pid, tid, file) => process::write(call, pid, tid, file, bytes)?,
    }
    Ok(bytes.len())
}

/// The maps of all processes, or their smaps, each under its number and program if there are several:
/// for somebody who looks at the machine from outside.
pub(crate) fn all_maps(scene: &Scene<'_>, with_usage: bool) -> String {
    let processes: Vec<&Process> = scene
        .view
        .pids()
        .into_iter()
        .filter_map(|pid| scene.view.process(pid))
        // The first one's memory stays when it has ended.
        .filter(|process| process.ended.is_none() || process.pid == FIRST)
        .collect();
    let one = |process: &&Process| {
        let text = match with_usage {
            true => maps::smaps(scene, process.space),
            false => maps::maps(scene, process.space),
        };
        match processes.len() {
            1 => text,
            _ => {
                let path = String::from_utf8_lossy(&process.executable_path).into_owned();
                format!("{} {path}\n{text}", process.pid)
            }
        }
    };
    processes.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// What the names from the root on lead to.
///
/// # Errors
/// ENOENT, ENOTDIR.
pub(crate) fn find(view: &View<'_>, names: &[Vec<u8>]) -> Result<BuiltIn, Errno> {
    let text: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    match text.as_slice() {
        [b"proc" | b"sys"] | [b"sys", b"fs"] => Ok(BuiltIn::Directory),
        [b"proc", b"self"] => own_link(view, false),
        [b"proc", b"thread-self"] => own_link(view, true),
        [b"proc", b"mounts"] => Ok(BuiltIn::Link(b"self/mounts".to_vec())),
        [b"proc", first, rest @ ..] if first.first().is_some_and(u8::is_ascii_digit) => {
            find_process(view, number(first)?, rest)
        }
        [b"proc", name] if machine::File::find(name).is_some() => {
            machine::File::find(name).map(|f| BuiltIn::Text(Text::Machine(f))).ok_or(Errno::ENOENT)
        }
        [b"proc", name, _, ..] if machine::File::find(name).is_some() => Err(Errno::ENOTDIR),
        _ => settings::find(&names.join(&b'/')),
    }
}

/// The names in a directory.
pub(crate) fn names(view: &View<'_>, at: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let text: Vec<&[u8]> = at.iter().map(Vec::as_slice).collect();
    let owned = |names: &mut dyn Iterator<Item = &'static str>| -> Vec<Vec<u8>> {
        names.map(|name| name.as_bytes().to_vec()).collect()
    };
    let decimal = |n: u64| n.to_string().into_bytes();
    match text.as_slice() {
        [b"sys"] => {
            let mut found = settings::names(b"sys");
            found.push(b"fs".to_vec());
            found
        }
        [b"sys", b"fs"] => vec![b"cgroup".to_vec()],
        [b"proc"] => {
            let links = ["self", "thread-self", "mounts", "sys"].into_iter();
            let files = machine::File::ALL.iter().map(|(name, _)| *name);
            let mut found = owned(&mut files.chain(links));
            found.extend(view.pids().into_iter().map(|pid| decimal(pid.into())));
            found
        }
        [b"proc", pid] if number(pid).is_ok() => {
            let links = ["cwd", "exe", "fd", "root", "task"].into_iter();
            owned(&mut process::File::ALL.iter().map(|(name, _)| *name).chain(links))
        }
        [b"proc", _, b"task", tid] if number(tid).is_ok() => {
            let links = ["cwd", "exe", "fd", "root"].into_iter();
            owned(&mut process::File::ALL.iter().map(|(name, _)| *name).chain(links))
        }
        [b"proc", pid, b"task"] => {
            let tids = number(pid).map(|pid| view.tids(pid)).unwrap_or_default();
            tids.into_iter().map(|tid| decimal(tid.into())).collect()
        }
        [b"proc", pid, b"fd"] | [b"proc", pid, b"task", _, b"fd"] => {
            let process = number(pid).ok().and_then(|pid| view.process(pid));
            let fds = process.map(|process| process.fds.open_descriptors().map(decimal).collect());
            fds.unwrap_or_default()
        }
        _ => settings::names(&at.join(&b'/')),
    }
}

fn own_link(view: &View<'_>, thread: bool) -> Result<BuiltIn, Errno> {
    let (process, own) = view.own.ok_or(Errno::ENOENT)?;
    let path = match thread {
        false => process.pid.to_string(),
        true => format!("{}/task/{}", process.pid, own.tid),
    };
    Ok(BuiltIn::Link(path.into_bytes()))
}

fn find_process(view: &View<'_>, pid: Pid, names: &[&[u8]]) -> Result<BuiltIn, Errno> {
    view.process(pid).ok_or(Errno::ENOENT)?;
    match names {
        [] | [b"task"] => Ok(BuiltIn::Directory),
        [b"task", tid, rest @ ..] => {
            let tid = number(tid)?;
            let is_its = view.tids(pid).contains(&tid);
            match rest {
                _ if !is_its => Err(Errno::ENOENT),
                [] => Ok(BuiltIn::Directory),
                rest => find_file(view, pid, rest, |file| Text::Thread(pid, tid, file)),
            }
        }
        rest => find_file(view, pid, rest, |file| Text::Process(pid, file)),
    }
}

fn find_file(
    view: &View<'_>,
    pid: Pid,
    names: &[&[u8]],
    text: impl Fn(process::File) -> Text,
) -> Result<BuiltIn, Errno> {
    match names {
        [b"fd"] => Ok(BuiltIn::Directory),
        [b"fd", fd] => {
            let fd = number(fd)?.into();
            let process = view.process(pid).ok_or(Errno::ENOENT)?;
            process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
            Ok(BuiltIn::Magic(pid, Magic::Descriptor(fd)))
        }
        [b"exe"] => Ok(BuiltIn::Magic(pid, Magic::Executable)),
        [b"cwd"] => Ok(BuiltIn::Magic(pid, Magic::WorkingDirectory)),
        [b"root"] => Ok(BuiltIn::Magic(pid, Magic::Root)),
        [name] => {
            let file = process::File::find(name).ok_or(Errno::ENOENT)?;
            Ok(BuiltIn::Text(text(file)))
        }
        [name, ..] if process::File::find(name).is_some() => Err(Errno::ENOTDIR),
        _ => Err(Errno::ENOENT),
    }
}

/// A number as Linux takes it in /proc: decimal, no sign, no leading zero.
fn number(digits: &[u8]) -> Result<Pid, Errno> {
    let plain = digits.iter().all(u8::is_ascii_digit) && (digits[..] == *b"0" || digits[0] != b'0');
    let text = std::str::from_utf8(digits).map_err(|_| Errno::ENOENT)?;
    text.parse().ok().filter(|_| plain).ok_or(Errno::ENOENT)
}
