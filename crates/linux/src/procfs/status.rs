//! /proc/PID/status, and the sizes that it shares with stat and statm (Linux: fs/proc/array.c,
//! fs/proc/task_mmu.c).

use std::fmt::Write;

use pagewalk_kernel::{Backing, Prot, Region, RegionFlags, RegionName, Residency};

use crate::process::Process;
use crate::signal::{SIG_IGN, Signal};
use crate::thread::Thread;
use crate::wait::Pid;

use super::Scene;
use super::process::{name, state};

/// All capabilities: everybody is root.
const ALL_CAPABILITIES: u64 = 0x1ff_ffff_ffff;

/// What an address space has, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// All mappings.
    pub total: u64,
    /// Pages in memory.
    pub resident_pages: u64,
    /// Those of files and objects.
    pub shared_pages: u64,
    /// The program's code: from, to.
    pub text: (u64, u64),
    /// The program's data: from, to.
    pub data: (u64, u64),
    /// The first stack: from, to.
    pub stack: (u64, u64),
    /// Where the heap begins.
    pub heap: u64,
    /// Private and writable.
    pub data_bytes: u64,
    /// What grows down.
    pub stack_bytes: u64,
    /// Code of other files.
    pub library_bytes: u64,
    /// Locked.
    pub locked: u64,
    pub residency: Residency,
}

impl Sizes {
    pub fn of(scene: &Scene<'_>, process: &Process) -> Self {
        if process.ended.is_some() {
            return Self::default();
        }
        let residency = scene.memory.residency(process.space);
        let mut sizes = Self {
            resident_pages: residency.rss(),
            shared_pages: residency.rss_file,
            residency,
            ..Self::default()
        };
        for region in scene.memory.regions(process.space) {
            sizes.add(process, &region);
        }
        sizes
    }

    fn add(&mut self, process: &Process, region: &Region) {
        let (start, end) = (region.start.0, region.end.0);
        self.total += region.len();
        let is_own =
            matches!(region.backing, Backing::File { file, .. } if file == process.executable);
        let spread = |of: &mut (u64, u64)| *of = (if of.0 == 0 { start } else { of.0 }, end);
        if region.prot.contains(Prot::EXEC) && !region.prot.contains(Prot::WRITE) {
            match is_own {
                true => spread(&mut self.text),
                false => self.library_bytes += region.len(),
            }
        } else if region.grows_down {
            self.stack_bytes += region.len();
        } else if region.is_data() {
            self.data_bytes += region.len();
        }
        if is_own && region.prot.contains(Prot::WRITE) {
            spread(&mut self.data);
        }
        match region.name {
            RegionName::Stack => self.stack = (start, end),
            RegionName::Heap if self.heap == 0 => self.heap = start,
            _ => {}
        }
        if region.flags.contains(RegionFlags::LOCKED) {
            self.locked += region.len();
        }
    }
}

/// The sets of signals that a process ignores and catches.
pub(super) fn handled(process: &Process) -> (u64, u64) {
    let mut sets = (0, 0);
    for number in 1..=64 {
        let Ok(signal) = Signal::new(number) else { continue };
        match process.signals.action(signal).handler {
            0 => {}
            SIG_IGN => sets.0 |= signal.bit(),
            _ => sets.1 |= signal.bit(),
        }
    }
    sets
}

/// The text of `status`.
pub(super) fn make(scene: &Scene<'_>, process: &Process, tid: Pid) -> String {
    let view = &scene.view;
    let mut text = String::new();
    let mut put = |key: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{key}:\t{value}");
    };
    let thread = view.thread(tid);
    let (letter, word) = state(view, process, tid);
    put("Name", &String::from_utf8_lossy(&name(view, process, tid)).replace('\n', "\\n"));
    put("Umask", &format!("{:04o}", process.umask));
    put("State", &format!("{letter} ({word})"));
    put("Tgid", &process.pid);
    put("Ngid", &0);
    put("Pid", &tid);
    put("PPid", &process.parent);
    put("TracerPid", &0);
    put("Uid", &"0\t0\t0\t0");
    put("Gid", &"0\t0\t0\t0");
    put("FDSize", &64);
    put("Groups", &" ");
    put("NStgid", &process.pid);
    put("NSpid", &tid);
    put("NSpgid", &process.group);
    put("NSsid", &process.session);
    put("Kthread", &0);
    if process.ended.is_none() {
        memory(scene, process, &mut put);
    }
    put("Threads", &view.tids(process.pid).len().max(1));
    signals(process, thread, &mut put);
    for (key, set) in [
        ("CapInh", 0),
        ("CapPrm", ALL_CAPABILITIES),
        ("CapEff", ALL_CAPABILITIES),
        ("CapBnd", ALL_CAPABILITIES),
        ("CapAmb", 0),
    ] {
        put(key, &format!("{set:016x}"));
    }
    put("NoNewPrivs", &0);
    put("Seccomp", &0);
    put("Seccomp_filters", &0);
    put("Speculation_Store_Bypass", &"unknown");
    put("SpeculationIndirectBranch", &"unsupported");
    put("Cpus_allowed", &1);
    put("Cpus_allowed_list", &0);
    put("Mems_allowed", &1);
    put("Mems_allowed_list", &0);
    put("voluntary_ctxt_switches", &0);
    put("nonvoluntary_ctxt_switches", &thread.map_or(0, |thread| thread.switches));
    text
}

fn memory(
    scene: &Scene<'_>,
    process: &Process,
    put: &mut impl FnMut(&str, &dyn std::fmt::Display),
) {
    let page = scene.memory.page_bytes();
    let sizes = Sizes::of(scene, process);
    let held = sizes.residency;
    let amounts = [
        ("VmPeak", sizes.total),
        ("VmSize", sizes.total),
        ("VmLck", sizes.locked),
        ("VmPin", 0),
        ("VmHWM", held.peak_rss * page),
        ("VmRSS", held.rss() * page),
        ("RssAnon", held.rss_anon * page),
        ("RssFile", held.rss_file * page),
        ("RssShmem", 0),
        ("VmData", sizes.data_bytes),
        ("VmStk", sizes.stack_bytes),
        ("VmExe", sizes.text.1 - sizes.text.0),
        ("VmLib", sizes.library_bytes),
        ("VmPTE", held.page_tables * page),
        ("VmSwap", held.swapped * page),
        ("HugetlbPages", 0),
    ];
    for (key, bytes) in amounts {
        put(key, &format!("{:8} kB", bytes >> 10));
    }
    put("CoreDumping", &0);
    put("THP_enabled", &u8::from(scene.memory.large_page_bytes().is_some()));
    put("untag_mask", &"0xffffffffffffffff");
}

fn signals(
    process: &Process,
    thread: Option<&Thread>,
    put: &mut impl FnMut(&str, &dyn std::fmt::Display),
) {
    let (ignored, caught) = handled(process);
    put("SigQ", &"0/8192");
    let sets = [
        ("SigPnd", thread.map_or(0, |thread| thread.signals.pending.set())),
        ("ShdPnd", process.signals.pending.set()),
        ("SigBlk", thread.map_or(0, |thread| thread.signals.mask())),
        ("SigIgn", ignored),
        ("SigCgt", caught),
    ];
    for (key, set) in sets {
        put(key, &format!("{set:016x}"));
    }
}
