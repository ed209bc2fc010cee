//! The files in /proc about the machine as a whole.

use std::fmt::Write;

use crate::clock::{BOOT_UNIX_S, NS_PER_S};
use crate::devices::swap_device_path;
use crate::memory::SwapUsage;
use crate::stack::CLOCK_TICKS_PER_S;
use crate::thread::State;

use super::Scene;

/// A file about the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Cpuinfo,
    Filesystems,
    Loadavg,
    Meminfo,
    Stat,
    Swaps,
    Uptime,
    Version,
    Vmstat,
}

impl File {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("cpuinfo", Self::Cpuinfo),
        ("filesystems", Self::Filesystems),
        ("loadavg", Self::Loadavg),
        ("meminfo", Self::Meminfo),
        ("stat", Self::Stat),
        ("swaps", Self::Swaps),
        ("uptime", Self::Uptime),
        ("version", Self::Version),
        ("vmstat", Self::Vmstat),
    ];

    /// The file of that name.
    pub fn find(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, file)| *file)
    }
}

/// The text of a file.
pub(super) fn make(scene: &Scene<'_>, file: File) -> Vec<u8> {
    let text = match file {
        File::Cpuinfo => {
            "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\n\n".to_owned()
        }
        File::Filesystems => {
            "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\n".to_owned()
        }
        File::Loadavg => loadavg(scene),
        File::Meminfo => meminfo(scene),
        File::Stat => stat(scene),
        File::Swaps => swaps(scene),
        File::Uptime => uptime(scene),
        File::Version => "Linux version 6.1.0 (pagewalk) #1 pagewalk\n".to_owned(),
        File::Vmstat => vmstat(scene),
    };
    text.into_bytes()
}

/// Threads that can run.
fn runnable(scene: &Scene<'_>) -> usize {
    let threads = scene.view.pids().into_iter().flat_map(|pid| scene.view.tids(pid));
    let runs = |tid: &u32| {
        let thread = scene.view.thread(*tid);
        thread.is_some_and(|t| matches!(t.state, State::Runnable | State::Running))
    };
    threads.filter(runs).count()
}

fn loadavg(scene: &Scene<'_>) -> String {
    let all: usize = scene.view.pids().into_iter().map(|pid| scene.view.tids(pid).len()).sum();
    let last = scene.view.system.last_id();
    format!("0.00 0.00 0.00 {}/{} {last}\n", runnable(scene), all + 1)
}

/// In kB; what a machine of this kind has not is 0.
fn meminfo(scene: &Scene<'_>) -> String {
    let page = scene.memory.page_bytes();
    let usage = scene.memory.usage();
    let frames = scene.memory.frames();
    let large = scene.memory.large_page_bytes();
    let spaces: Vec<_> = scene
        .view
        .pids()
        .into_iter()
        .filter_map(|pid| scene.view.process(pid))
        .filter(|process| process.ended.is_none())
        .map(|process| scene.memory.residency(process.space))
        .collect();
    let huge: u64 = spaces.iter().map(|held| held.anon_huge).sum();
    let mapped: u64 = spaces.iter().map(|held| held.rss_file).sum();
    let swap_used = usage.swap_total - usage.swap_free;
    let (committed, limit) = match scene.memory.commitment() {
        Some(promised) => (promised.committed / page, promised.limit / page),
        None => (frames.anon + swap_used, usage.swap_total + usage.total / 2),
    };
    let rows = [
        ("MemTotal", usage.total),
        ("MemFree", usage.free),
        ("MemAvailable", usage.free + frames.file),
        ("Buffers", 0),
        ("Cached", frames.file),
        ("SwapCached", 0),
        ("Active", frames.anon + frames.file),
        ("Inactive", 0),
        ("Active(anon)", frames.anon),
        ("Inactive(anon)", 0),
        ("Active(file)", frames.file),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", usage.swap_total),
        ("SwapFree", usage.swap_free),
        ("Zswap", 0),
        ("Zswapped", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", frames.anon),
        ("Mapped", mapped.min(frames.file)),
        ("Shmem", 0),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", frames.page_table),
        ("SecPageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", limit),
        ("Committed_AS", committed),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
        ("Percpu", 0),
        ("AnonHugePages", huge),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FileHugePages", 0),
        ("FilePmdMapped", 0),
        ("Balloon", 0),
    ];
    let mut text = String::new();
    for (label, pages) in rows {
        let _ = writeln!(text, "{:<16}{:>8} kB", format!("{label}:"), (pages * page) >> 10);
    }
    for label in ["HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp"] {
        let _ = writeln!(text, "{:<16}{:>8}", format!("{label}:"), 0);
    }
    let _ = writeln!(text, "Hugepagesize:   {:>8} kB", large.unwrap_or(2 << 20) >> 10);
    let _ = writeln!(text, "Hugetlb:        {:>8} kB", 0);
    text
}

fn stat(scene: &Scene<'_>) -> String {
    let system = scene.view.system;
    let ticks = scene.now_ns / (NS_PER_S / CLOCK_TICKS_PER_S);
    let switches: u64 = system.threads.values().map(|thread| thread.switches).sum();
    let times = format!("{ticks} 0 0 0 0 0 0 0 0 0");
    format!(
        "cpu  {times}\ncpu0 {times}\nintr 0\nctxt {switches}\nbtime {BOOT_UNIX_S}\n\
         processes {}\nprocs_running {}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        system.last_id(),
        runnable(scene),
    )
}

fn swaps(scene: &Scene<'_>) -> String {
    let page = scene.memory.page_bytes();
    let mut text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned();
    let in_use = |(_, device): &(usize, SwapUsage)| device.is_on;
    for (index, device) in scene.memory.swap_devices().into_iter().enumerate().filter(in_use) {
        let (size, used) = ((device.total * page) >> 10, (device.used * page) >> 10);
        let tab = |n: u64| if n < 10_000_000 { "\t" } else { "" };
        let _ = writeln!(
            text,
            "{:<40}partition\t{size}\t{}{used}\t{}{}",
            swap_device_path(index),
            tab(size),
            tab(used),
            device.priority,
        );
    }
    text
}

fn uptime(scene: &Scene<'_>) -> String {
    let hundredths = scene.now_ns / (NS_PER_S / 100);
    format!("{}.{:02} 0.00\n", hundredths / 100, hundredths % 100)
}

/// The kernel's counters by their names, after those of what there is now.
fn vmstat(scene: &Scene<'_>) -> String {
    let frames = scene.memory.frames();
    let mut text = String::new();
    for (name, value) in [
        ("nr_free_pages", frames.free),
        ("nr_anon_pages", frames.anon),
        ("nr_file_pages", frames.file),
        ("nr_page_table_pages", frames.page_table),
    ] {
        let _ = writeln!(text, "{name} {value}");
    }
    for (name, value) in scene.memory.counters().iter() {
        let _ = writeln!(text, "{name} {value}");
    }
    text
}
