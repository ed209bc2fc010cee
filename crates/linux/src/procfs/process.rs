//! The files of one process in /proc, but for maps, pagemap and status, which have their own module.

use std::fmt::Write;

use crate::call::Call;
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::process::Process;
use crate::stack::CLOCK_TICKS_PER_S;
use crate::system::Outcome;
use crate::thread::State;
use crate::vfs::View;
use crate::wait::Pid;

use super::Scene;
use super::maps::{maps, smaps, smaps_rollup};
use super::status::{self, Sizes};

/// A file of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Cgroup,
    ClearRefs,
    CommandLine,
    Name,
    Environment,
    Limits,
    Maps,
    Mounts,
    OomScore,
    OomScoreAdj,
    Pagemap,
    Smaps,
    SmapsRollup,
    Stat,
    Statm,
    Status,
}

impl File {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 16] = [
        ("cgroup", Self::Cgroup),
        ("clear_refs", Self::ClearRefs),
        ("cmdline", Self::CommandLine),
        ("comm", Self::Name),
        ("environ", Self::Environment),
        ("limits", Self::Limits),
        ("maps", Self::Maps),
        ("mounts", Self::Mounts),
        ("oom_score", Self::OomScore),
        ("oom_score_adj", Self::OomScoreAdj),
        ("pagemap", Self::Pagemap),
        ("smaps", Self::Smaps),
        ("smaps_rollup", Self::SmapsRollup),
        ("stat", Self::Stat),
        ("statm", Self::Statm),
        ("status", Self::Status),
    ];

    /// The file of that name.
    pub fn find(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, file)| *file)
    }

    /// Whether it may be written.
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::ClearRefs | Self::Name | Self::OomScoreAdj)
    }
}

/// The text of a file, of the thread `tid` if one is asked about.
pub(super) fn make(
    scene: &Scene<'_>,
    pid: Pid,
    tid: Option<Pid>,
    file: File,
) -> Result<Vec<u8>, Errno> {
    let process = scene.view.process(pid).ok_or(Errno::ESRCH)?;
    // Nothing but its status is left of one that has ended.
    let space = process.ended.is_none().then_some(process.space);
    let with_space = |text: fn(&Scene<'_>, pagewalk_kernel::SpaceId) -> String| {
        space.map(|space| text(scene, space).into_bytes()).unwrap_or_default()
    };
    Ok(match file {
        File::Maps => with_space(maps),
        File::Smaps => with_space(smaps),
        File::SmapsRollup => with_space(smaps_rollup),
        File::Status => status::make(scene, process, tid.unwrap_or(pid)).into_bytes(),
        File::Stat => stat(scene, process, tid.unwrap_or(pid)),
        File::Statm => statm(scene, process).into_bytes(),
        File::CommandLine => space.map(|_| process.command_line.clone()).unwrap_or_default(),
        File::Environment => space.map(|_| process.environment.clone()).unwrap_or_default(),
        File::Name => [name(&scene.view, process, tid.unwrap_or(pid)), b"\n".to_vec()].concat(),
        File::Limits => limits(process).into_bytes(),
        File::Mounts => mounts(&scene.view).into_bytes(),
        File::OomScore => {
            let score = space.map_or(0, |space| scene.memory.oom_score(space));
            format!("{score}\n").into_bytes()
        }
        File::OomScoreAdj => format!("{}\n", process.oom_score_adj).into_bytes(),
        File::Cgroup => scene.view.system.groups.path_of(scene.memory, process.space),
        File::ClearRefs | File::Pagemap => Vec::new(),
    })
}

/// Writes to a file.
pub(super) fn write(
    call: &mut Call<'_>,
    pid: Pid,
    tid: Pid,
    file: File,
    bytes: &[u8],
) -> Result<(), Errno> {
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    match file {
        File::Name => {
            let name = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let name =
                std::array::from_fn(|i| if i < 15 { name.get(i).copied().unwrap_or(0) } else { 0 });
            match call.thread.tid == tid {
                true => call.thread.name = name,
                false => call.system.thread_mut(tid).ok_or(Errno::ESRCH)?.name = name,
            }
        }
        File::OomScoreAdj => {
            let score: i32 = text.parse().map_err(|_| Errno::EINVAL)?;
            if !(-1000..=1000).contains(&score) {
                return Err(Errno::EINVAL);
            }
            let process = match call.process.pid == pid {
                true => &mut *call.process,
                false => call.system.processes.get_mut(&pid).ok_or(Errno::ESRCH)?,
            };
            process.oom_score_adj = score;
            if process.ended.is_none() {
                call.memory.set_oom_score_adj(process.space, score as i16);
            }
        }
        // Referenced and soft-dirty bits, which are not told from here: nothing to clear.
        File::ClearRefs => {
            let what: u32 = text.parse().map_err(|_| Errno::EINVAL)?;
            if !(1..=5).contains(&what) {
                return Err(Errno::EINVAL);
            }
        }
        _ => return Err(Errno::EACCES),
    }
    Ok(())
}

/// The name of a thread, as it is told in `comm`.
pub(super) fn name(view: &View<'_>, process: &Process, tid: Pid) -> Vec<u8> {
    let thread = view.thread(tid).or_else(|| view.thread(*view.tids(process.pid).first()?));
    let name = thread.map_or(process.last_name, |thread| thread.name);
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name[..end].to_vec()
}

/// R, S, T or Z, and the word for it.
pub(super) fn state(view: &View<'_>, process: &Process, tid: Pid) -> (char, &'static str) {
    if process.ended.is_some() {
        return ('Z', "zombie");
    }
    match view.thread(tid).map(|thread| &thread.state) {
        Some(State::Blocked(_)) => ('S', "sleeping"),
        Some(State::Stopped) => ('T', "stopped"),
        Some(State::Runnable | State::Running | State::SwappedOut) => ('R', "running"),
        // Its leader has ended, others go on.
        None => ('Z', "zombie"),
    }
}

/// 52 numbers and words in a line.
fn stat(scene: &Scene<'_>, process: &Process, tid: Pid) -> Vec<u8> {
    let view = &scene.view;
    let ticks = |ns: u64| ns / (NS_PER_S / CLOCK_TICKS_PER_S);
    let sizes = Sizes::of(scene, process);
    let tids = view.tids(process.pid);
    let threads = tids.iter().filter_map(|&tid| view.thread(tid));
    let cpu_ns = process.cpu_ns_gone + threads.map(|thread| thread.cpu_ns).sum::<u64>();
    let thread = view.thread(tid).or_else(|| view.thread(*tids.first()?));
    let mask = thread.map_or(0, |thread| thread.signals.mask());
    let pending = thread.map_or(0, |thread| thread.signals.pending.set());
    let (ignored, caught) = status::handled(process);
    let exit_signal = process.exit_signal.map_or(0, |signal| u64::from(signal.number()));
    let exit_code = match &process.ended {
        Some(Outcome::Exit(status)) => ((*status & 0xff) as u64) << 8,
        Some(Outcome::Killed { signal, .. }) => signal.number().into(),
        None => 0,
    };
    let usage = scene.memory.usage();
    let mut text = format!("{tid} (").into_bytes();
    text.extend(name(view, process, tid));
    let (state, _) = state(view, process, tid);
    let mut rest =
        format!(") {state} {} {} {} 0 -1 4194304", process.parent, process.group, process.session);
    let numbers = [
        usage.minor_faults,
        0,
        usage.major_faults,
        0,
        ticks(cpu_ns),
        0,
        ticks(process.cpu_ns_children),
        0,
        20,
        0,
        tids.len() as u64,
        0,
        0,
        sizes.total,
        sizes.resident_pages,
        u64::MAX,
        sizes.text.0,
        sizes.text.1,
        sizes.stack.1,
        0,
        0,
        pending,
        mask,
        ignored,
        caught,
        0,
        0,
        0,
        exit_signal,
        0,
        0,
        0,
        0,
        0,
        0,
        sizes.data.0,
        sizes.data.1,
        sizes.heap,
        0,
        0,
        0,
        0,
        exit_code,
    ];
    for number in numbers {
        let _ = write!(rest, " {number}");
    }
    rest.push('\n');
    text.extend(rest.into_bytes());
    text
}

/// Size, resident, shared, text, lib (0), data + stack, dirty (0); in pages.
fn statm(scene: &Scene<'_>, process: &Process) -> String {
    let page = scene.memory.page_bytes();
    let sizes = Sizes::of(scene, process);
    format!(
        "{} {} {} {} 0 {} 0\n",
        sizes.total / page,
        sizes.resident_pages,
        sizes.shared_pages,
        (sizes.text.1 - sizes.text.0).div_ceil(page),
        (sizes.data_bytes + sizes.stack_bytes) / page,
    )
}

fn limits(process: &Process) -> String {
    const ROWS: [(&str, &str); 16] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let mut text = row("Limit", "Soft Limit", "Hard Limit", "Units");
    let shown = |value: u64| match value {
        u64::MAX => "unlimited".to_owned(),
        value => value.to_string(),
    };
    for (i, (name, unit)) in ROWS.into_iter().enumerate() {
        let [soft, hard] = process.limits.get(i);
        text += &row(name, &shown(soft), &shown(hard), unit);
    }
    text
}

fn row(name: &str, soft: &str, hard: &str, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!("{unit:<10}") };
    format!("{name:<25} {soft:<20} {hard:<20} {unit}\n")
}

fn mounts(view: &View<'_>) -> String {
    let mut text = String::from(
        "rootfs / rootfs rw 0 0\n\
         devtmpfs /dev devtmpfs rw,relatime,mode=755 0 0\n\
         tmpfs /dev/shm tmpfs rw,relatime 0 0\n\
         proc /proc proc rw,relatime 0 0\n\
         sysfs /sys sysfs rw,relatime 0 0\n\
         cgroup2 /sys/fs/cgroup cgroup2 rw,relatime 0 0\n",
    );
    if view.system.has_own_tmp {
        text += "tmpfs /tmp tmpfs rw,relatime 0 0\n";
    }
    text
}
