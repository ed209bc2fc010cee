//! /sys/fs/cgroup: groups of processes and their limits on memory, as a program sees and makes them.
//!
//! ```text
//!   mkdir, rmdir                makes a group, removes one that is empty
//!   cgroup.procs                its processes; a number written to it moves that process here
//!   memory.max .high .swap.max  bytes, or max
//!   memory.current .peak .swap.current .stat .events
//! ```
//!
//! Formats are Linux's (Documentation/admin-guide/cgroup-v2.rst). The memory manager keeps the groups
//! and holds to the limits (kernel/src/group.rs); here are their names. The root has limits only where
//! the machine has one for all processes, as the root of a container has.
//!
//! Memory is the only controller, and always on: what is written to cgroup.subtree_control may name it
//! and changes nothing. Processes may be in groups that have groups below. Those that share an address
//! space are in one group, and move together.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pagewalk_kernel::{Group, GroupId, GroupLimits, GroupUse, SpaceId};

use crate::call::Call;
use crate::errno::Errno;
use crate::memory::UserMemory;
use crate::procfs::{Scene, Text};
use crate::vfs::BuiltIn;
use crate::wait::Pid;

/// A file in the directory of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Controllers,
    Events,
    Processes,
    Stat,
    SubtreeControl,
    Type,
    MemoryCurrent,
    MemoryEvents,
    MemoryHigh,
    MemoryMax,
    MemoryPeak,
    MemoryStat,
    SwapCurrent,
    SwapMax,
}

impl File {
    /// All of them, by name.
    const ALL: [(&'static str, Self); 14] = [
        ("cgroup.controllers", Self::Controllers),
        ("cgroup.events", Self::Events),
        ("cgroup.procs", Self::Processes),
        ("cgroup.stat", Self::Stat),
        ("cgroup.subtree_control", Self::SubtreeControl),
        ("cgroup.type", Self::Type),
        ("memory.current", Self::MemoryCurrent),
        ("memory.events", Self::MemoryEvents),
        ("memory.high", Self::MemoryHigh),
        ("memory.max", Self::MemoryMax),
        ("memory.peak", Self::MemoryPeak),
        ("memory.stat", Self::MemoryStat),
        ("memory.swap.current", Self::SwapCurrent),
        ("memory.swap.max", Self::SwapMax),
    ];

    /// Whether it may be written.
    pub const fn is_writable(self) -> bool {
        matches!(
            self,
            Self::Processes
                | Self::SubtreeControl
                | Self::MemoryHigh
                | Self::MemoryMax
                | Self::SwapMax
        )
    }

    /// Whether the root has it, where nothing limits all processes.
    const fn is_roots(self) -> bool {
        matches!(self, Self::Controllers | Self::Processes | Self::Stat | Self::SubtreeControl)
    }
}

/// The directories of groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupNames {
    /// By path from the root on, which is not among them.
    by_path: BTreeMap<Vec<u8>, GroupId>,
    /// One limit holds for all processes.
    is_root_limited: bool,
}

impl GroupNames {
    /// The root alone; whether one limit holds for all processes.
    pub const fn new(is_root_limited: bool) -> Self {
        Self { by_path: BTreeMap::new(), is_root_limited }
    }

    /// What is at a path from the root on.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR.
    pub fn find(&self, names: &[Vec<u8>]) -> Result<BuiltIn, Errno> {
        if names.is_empty() || self.by_path.contains_key(&names.join(&b'/')) {
            return Ok(BuiltIn::Directory);
        }
        let Some((last, above)) = names.split_last() else { return Err(Errno::ENOENT) };
        match self.group_at(above) {
            Some(group) => {
                let file = self.files(above).find(|(name, _)| name.as_bytes() == last);
                let (_, file) = file.ok_or(Errno::ENOENT)?;
                Ok(BuiltIn::Text(Text::Group(group, file)))
            }
            None => match self.find(above)? {
                BuiltIn::Directory => Err(Errno::ENOENT),
                _ => Err(Errno::ENOTDIR),
            },
        }
    }

    /// The names in a directory.
    pub fn names(&self, at: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let files = self.files(at).map(|(name, _)| name.as_bytes().to_vec());
        let groups = self.by_path.keys().filter_map(|path| {
            let (above, name) = split(path);
            (above == at.join(&b'/')).then(|| name.to_vec())
        });
        files.chain(groups).collect()
    }

    /// Makes a group.
    ///
    /// # Errors
    /// ENOENT, or what the memory manager says.
    pub fn make(&mut self, memory: &mut dyn UserMemory, names: &[Vec<u8>]) -> Result<(), Errno> {
        let (_, above) = names.split_last().ok_or(Errno::EEXIST)?;
        let parent = self.group_at(above).ok_or(Errno::ENOENT)?;
        let group = memory.create_group(parent)?;
        self.by_path.insert(names.join(&b'/'), group);
        Ok(())
    }

    /// Removes a group.
    ///
    /// # Errors
    /// EBUSY if it has processes, or groups below it; ENOTDIR.
    pub fn remove(&mut self, memory: &mut dyn UserMemory, names: &[Vec<u8>]) -> Result<(), Errno> {
        let path = names.join(&b'/');
        let group = match self.by_path.get(&path) {
            Some(group) => *group,
            None if names.is_empty() => return Err(Errno::EBUSY),
            None => return Err(Errno::ENOTDIR),
        };
        memory.remove_group(group)?;
        self.by_path.remove(&path);
        Ok(())
    }

    /// What /proc/PID/cgroup says of a process in a space.
    pub fn path_of(&self, memory: &dyn UserMemory, space: SpaceId) -> Vec<u8> {
        let of_space = memory.group_of(space);
        let named = self.by_path.iter().find(|(_, group)| Some(**group) == of_space);
        let path = named.map_or(&b""[..], |(path, _)| path);
        [b"0::/", path, b"\n"].concat()
    }

    /// The group of a directory; `Some(None)` is the root.
    fn group_at(&self, names: &[Vec<u8>]) -> Option<Option<GroupId>> {
        match names {
            [] => Some(None),
            names => self.by_path.get(&names.join(&b'/')).copied().map(Some),
        }
    }

    fn files(&self, at: &[Vec<u8>]) -> impl Iterator<Item = (&'static str, File)> + use<> {
        let all = !at.is_empty() || self.is_root_limited;
        File::ALL.into_iter().filter(move |(_, file)| all || file.is_roots())
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// The text of a file of a group; `None` is the root.
///
/// # Errors
/// ENODEV if the group is gone.
pub(crate) fn make(
    scene: &Scene<'_>,
    group: Option<GroupId>,
    file: File,
) -> Result<Vec<u8>, Errno> {
    let memory = scene.memory;
    let id = group.or_else(|| memory.root_group());
    let (found, held) = match id {
        Some(id) => memory.group(id).ok_or(Errno::ENODEV)?,
        None => (Group::default(), GroupUse::default()),
    };
    let page = memory.page_bytes();
    let bytes = |pages: u64| format!("{}\n", pages.saturating_mul(page));
    let limit = |pages| if pages == u64::MAX { "max\n".to_owned() } else { bytes(pages) };
    let text = match file {
        File::Controllers | File::SubtreeControl => "memory\n".to_owned(),
        File::Type => "domain\n".to_owned(),
        File::Events => format!("populated {}\nfrozen 0\n", u8::from(held.spaces > 0)),
        File::Stat => {
            let below = descendants(scene, group);
            format!("nr_descendants {below}\nnr_dying_descendants 0\n")
        }
        File::Processes => processes(scene, group),
        File::MemoryCurrent => bytes(held.charge()),
        File::MemoryPeak => bytes(found.peak),
        File::MemoryMax => limit(found.limits.max),
        File::MemoryHigh => limit(found.limits.high),
        File::SwapMax => limit(found.limits.swap),
        File::SwapCurrent => bytes(held.swapped),
        File::MemoryEvents => format!(
            "low 0\nhigh {}\nmax {}\noom {}\noom_kill {}\noom_group_kill 0\n",
            found.high_hits, found.max_hits, found.failures, found.kills
        ),
        File::MemoryStat => memory_stat(&found, &held, page),
    };
    Ok(text.into_bytes())
}

fn memory_stat(group: &Group, held: &GroupUse, page: u64) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("anon", held.anon * page),
        ("file", held.file * page),
        ("kernel", held.tables * page),
        ("pagetables", held.tables * page),
        ("file_mapped", held.file * page),
        ("anon_thp", held.anon_huge * page),
        ("pgfault", group.faults),
        ("pgmajfault", group.major_faults),
    ] {
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

/// How many groups are below one.
fn descendants(scene: &Scene<'_>, group: Option<GroupId>) -> usize {
    let names = &scene.view.system.groups.by_path;
    let above = names.iter().find(|(_, id)| Some(**id) == group).map(|(path, _)| path.as_slice());
    let is_below = |path: &Vec<u8>| match above {
        None => true,
        Some(above) => path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/')),
    };
    names.keys().filter(|path| is_below(path)).count()
}

/// The numbers of the processes in a group itself.
fn processes(scene: &Scene<'_>, group: Option<GroupId>) -> String {
    let group = group.or_else(|| scene.memory.root_group());
    let mut text = String::new();
    for pid in scene.view.pids() {
        let process = scene.view.process(pid).filter(|process| process.ended.is_none());
        if process.is_some_and(|process| scene.memory.group_of(process.space) == group) {
            let _ = writeln!(text, "{pid}");
        }
    }
    text
}

/// Writes to a file of a group; `None` is the root.
///
/// # Errors
/// EINVAL if that cannot be its text, ESRCH if there is no such process, ENODEV if the group is gone,
/// EACCES if it cannot be written.
pub(crate) fn write(
    call: &mut Call<'_>,
    group: Option<GroupId>,
    file: File,
    bytes: &[u8],
) -> Result<(), Errno> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?.trim();
    let id = group.or_else(|| call.memory.root_group());
    let pages = |call: &Call<'_>| match text {
        "max" => Ok::<u64, Errno>(u64::MAX),
        text => Ok(parse_bytes(text).ok_or(Errno::EINVAL)? / call.memory.page_bytes()),
    };
    let change = |call: &mut Call<'_>, set: fn(&mut GroupLimits, u64)| {
        let id = id.ok_or(Errno::EACCES)?;
        let mut limits = call.memory.group(id).ok_or(Errno::ENODEV)?.0.limits;
        set(&mut limits, pages(call)?);
        call.memory.set_group_limits(id, limits);
        Ok(())
    };
    match file {
        File::MemoryMax => change(call, |limits, pages| limits.max = pages),
        File::MemoryHigh => change(call, |limits, pages| limits.high = pages),
        File::SwapMax => change(call, |limits, pages| limits.swap = pages),
        File::SubtreeControl => match text.split_whitespace().all(|word| word == "+memory") {
            true => Ok(()),
            false => Err(Errno::EINVAL),
        },
        File::Processes => {
            let pid: Pid = text.parse().map_err(|_| Errno::EINVAL)?;
            let pid = if pid == 0 { call.process.pid } else { pid };
            if id.is_some_and(|id| call.memory.group(id).is_none()) {
                return Err(Errno::ENODEV);
            }
            let view = call.view();
            let process = view.process(pid).filter(|process| process.ended.is_none());
            let space = process.ok_or(Errno::ESRCH)?.space;
            call.memory.join_group(space, id)
        }
        _ => Err(Errno::EACCES),
    }
}

/// A number of bytes, with K, M or G after it if need be (Linux: memparse).
fn parse_bytes(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b'k' | b'K' => 1 << 10,
        b'm' | b'M' => 1 << 20,
        b'g' | b'G' => 1 << 30,
        _ => return text.parse().ok(),
    };
    let digits: u64 = text[..text.len() - 1].parse().ok()?;
    digits.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        let cases = [("4096", Some(4096)), ("8K", Some(8192)), ("2m", Some(2 << 20))];
        for (text, bytes) in cases.into_iter().chain([("", None), ("K", None), ("-1", None)]) {
            assert_eq!(parse_bytes(text), bytes, "{text:?}");
        }
        assert_eq!(parse_bytes("99999999999999999999"), None);
        assert_eq!(parse_bytes("99999999999G"), None);
    }

    #[test]
    fn the_root_has_limits_only_where_the_machine_has_one() {
        let mut names = GroupNames::default();
        let path = |text: &str| -> Vec<Vec<u8>> {
            text.split('/').map(|name| name.as_bytes().to_vec()).collect()
        };
        assert_eq!(names.find(&path("memory.max")), Err(Errno::ENOENT));
        assert!(names.find(&path("cgroup.procs")).is_ok());
        names.is_root_limited = true;
        assert!(names.find(&path("memory.max")).is_ok());
        assert_eq!(names.find(&path("memory.max/x")), Err(Errno::ENOTDIR));
        assert_eq!(names.find(&path("a/memory.max")), Err(Errno::ENOENT));
        names.by_path.insert(b"a".to_vec(), GroupId(1));
        names.by_path.insert(b"a/b".to_vec(), GroupId(2));
        assert!(names.find(&path("a/b/memory.max")).is_ok());
        assert!(names.names(&path("a")).contains(&b"b".to_vec()));
        assert!(!names.names(&[]).contains(&b"b".to_vec()));
    }
}
