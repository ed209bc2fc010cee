//! /proc/PID/maps, smaps and smaps_rollup (Linux: fs/proc/task_mmu.c).
//!
//! ```text
//!   start    end      rwxp offset   dev   inode                   name, from column 73
//!   00010000-00012000 r-xp 00000000 08:01 17                      /bin/program
//! ```

use std::fmt::Write;

use pagewalk_kernel::{Backing, Holdings, Prot, Region, RegionName, RegionUsage, SpaceId};

use crate::files::FileId;
use crate::tmpfs::Tmpfs;
use crate::vfs::View;

use super::Scene;

/// The column of the name, from 0 (Linux: 25 + sizeof(void *) * 6 - 1, and a blank).
const NAME_COLUMN: usize = 73;
/// The device numbers of the root, of trees in memory, and of memory without a name.
const ROOT_DEVICE: &str = "08:01";
const TREE_DEVICE: &str = "00:16";
const MEMORY_DEVICE: &str = "00:01";

/// The text of `maps`.
pub(crate) fn maps(scene: &Scene<'_>, space: SpaceId) -> String {
    let regions = scene.memory.regions(space);
    regions.iter().map(|region| line(scene, region)).collect()
}

/// The text of `smaps`.
pub(crate) fn smaps(scene: &Scene<'_>, space: SpaceId) -> String {
    let page = scene.memory.page_bytes();
    let mut text = String::new();
    for RegionUsage { region, holds } in scene.memory.smaps(space) {
        text += &line(scene, &region);
        for (label, bytes) in [("Size:", region.len()), ("KernelPageSize:", page)] {
            kib(&mut text, label, bytes);
        }
        kib(&mut text, "MMUPageSize:", page);
        for (label, bytes) in amounts(&holds) {
            kib(&mut text, label, bytes);
        }
        let eligible = scene.memory.large_page_bytes().is_some_and(|large| {
            matches!(region.backing, Backing::Anonymous)
                && (region.start.0.next_multiple_of(large)).saturating_add(large) <= region.end.0
        });
        let _ = writeln!(text, "THPeligible:    {:>8}", u8::from(eligible));
        let flags: String = region.vm_flags().map(|flag| format!("{flag} ")).collect();
        let _ = writeln!(text, "VmFlags: {flags}");
    }
    text
}

/// The text of `smaps_rollup`.
pub(super) fn smaps_rollup(scene: &Scene<'_>, space: SpaceId) -> String {
    let usage = scene.memory.smaps(space);
    let (Some(first), Some(last)) = (usage.first(), usage.last()) else { return String::new() };
    let mut sum = Holdings::default();
    let (mut pss_file, mut pss_memory) = (0, 0);
    for RegionUsage { region, holds } in &usage {
        add(&mut sum, holds);
        match region.backing {
            Backing::File { file, .. } if file.is_memory() => pss_memory += holds.pss,
            Backing::File { .. } => pss_file += holds.pss.saturating_sub(holds.anonymous),
            Backing::Anonymous => {}
        }
    }
    let prefix =
        format!("{:08x}-{:08x} ---p 00000000 00:00 0", first.region.start.0, last.region.end.0);
    let mut text = format!("{prefix:<NAME_COLUMN$}[rollup]\n");
    let pss_anon = sum.pss.saturating_sub(pss_file + pss_memory);
    for (label, bytes) in amounts(&sum) {
        kib(&mut text, label, bytes);
        if label == "Pss_Dirty:" {
            kib(&mut text, "Pss_Anon:", pss_anon);
            kib(&mut text, "Pss_File:", pss_file);
            kib(&mut text, "Pss_Shmem:", pss_memory);
        }
    }
    text
}

/// Amounts in smaps' order.
fn amounts(holds: &Holdings) -> [(&'static str, u64); 19] {
    [
        ("Rss:", holds.rss),
        ("Pss:", holds.pss),
        ("Pss_Dirty:", holds.pss_dirty),
        ("Shared_Clean:", holds.shared_clean),
        ("Shared_Dirty:", holds.shared_dirty),
        ("Private_Clean:", holds.private_clean),
        ("Private_Dirty:", holds.private_dirty),
        ("Referenced:", holds.referenced),
        ("Anonymous:", holds.anonymous),
        ("KSM:", holds.ksm),
        ("LazyFree:", holds.lazy_free),
        ("AnonHugePages:", holds.anon_huge),
        ("ShmemPmdMapped:", 0),
        ("FilePmdMapped:", 0),
        ("Shared_Hugetlb:", 0),
        ("Private_Hugetlb:", 0),
        ("Swap:", holds.swap),
        ("SwapPss:", holds.swap_pss),
        ("Locked:", holds.locked),
    ]
}

fn add(sum: &mut Holdings, more: &Holdings) {
    sum.rss += more.rss;
    sum.pss += more.pss;
    sum.pss_dirty += more.pss_dirty;
    sum.shared_clean += more.shared_clean;
    sum.shared_dirty += more.shared_dirty;
    sum.private_clean += more.private_clean;
    sum.private_dirty += more.private_dirty;
    sum.referenced += more.referenced;
    sum.anonymous += more.anonymous;
    sum.lazy_free += more.lazy_free;
    sum.ksm += more.ksm;
    sum.anon_huge += more.anon_huge;
    sum.swap += more.swap;
    sum.swap_pss += more.swap_pss;
    sum.locked += more.locked;
}

fn kib(text: &mut String, label: &str, bytes: u64) {
    let _ = writeln!(text, "{label:<16}{:>8} kB", bytes >> 10);
}

fn line(scene: &Scene<'_>, region: &Region) -> String {
    let right = |flag, letter| if region.prot.contains(flag) { letter } else { '-' };
    let rights = [right(Prot::READ, 'r'), right(Prot::WRITE, 'w'), right(Prot::EXEC, 'x')];
    let rights: String =
        rights.into_iter().chain([if region.shared { 's' } else { 'p' }]).collect();
    let (offset, device, inode, name) = match region.backing {
        Backing::Anonymous => (0, "00:00", 0, anonymous_name(scene, region)),
        Backing::File { file, offset } => {
            let (device, inode, name) = file_name(&scene.view, file);
            (offset, device, inode, name)
        }
    };
    let (start, end) = (region.start.0, region.end.0);
    let mut line = format!("{start:08x}-{end:08x} {rights} {offset:08x} {device} {inode} ");
    if !name.is_empty() {
        line = format!("{line:<NAME_COLUMN$}{}", escaped(&name));
    }
    line.push('\n');
    line
}

fn anonymous_name(scene: &Scene<'_>, region: &Region) -> Vec<u8> {
    match region.name {
        RegionName::None => Vec::new(),
        RegionName::Heap => b"[heap]".to_vec(),
        RegionName::Stack => b"[stack]".to_vec(),
        RegionName::Vdso => b"[vdso]".to_vec(),
        RegionName::Anon(_) => {
            let name = scene.memory.anonymous_name(region);
            [b"[anon:", name.as_slice(), b"]"].concat()
        }
    }
}

/// The device, the inode and the path of a mapped file.
fn file_name(view: &View<'_>, file: FileId) -> (&'static str, u64, Vec<u8>) {
    if !file.is_memory() {
        let inode = view.host.inode_number(file);
        let path = view.host.files.path(file);
        return (ROOT_DEVICE, inode, view.file_path(file, &path));
    }
    let node = view.system.tmpfs.of_file(file);
    let named = node.is_some_and(|id| view.system.tmpfs.has_name(id));
    let path = view.system.object_names.get(&file).map_or(&b"/dev/zero"[..], Vec::as_slice);
    let mark: &[u8] = if named { b"" } else { b" (deleted)" };
    let device = if path.starts_with(b"/dev/shm/") || path.starts_with(b"/tmp/") {
        TREE_DEVICE
    } else {
        MEMORY_DEVICE
    };
    let inode = node.map_or(1024 + u64::from(file.0 & 0x7fff_ffff), Tmpfs::inode);
    (device, inode, [path, mark].concat())
}

/// Newlines would look like further lines: Linux writes them as octal escapes.
fn escaped(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace('\n', "\\012")
}
