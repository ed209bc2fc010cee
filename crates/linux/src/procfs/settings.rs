//! Settings below /proc/sys and /sys: what programs read to find out about a system, and may write.
//!
//! Most are kept and told again, without effect.

use std::collections::BTreeMap;

use crate::errno::Errno;
use crate::memory::UserMemory;
use crate::vfs::BuiltIn;
use pagewalk_kernel::{CollapseSettings, Merging, Overcommit};

use super::Text;

/// The longest value that is kept.
const VALUE_BYTES_MAX: usize = 256;

/// How a setting is written and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Told alone.
    Fixed,
    /// A number.
    Number,
    /// One of several words: the present one is told in brackets, the others after it as they are.
    Choice,
    /// Any text.
    Free,
}

use Rule::{Choice, Fixed, Free, Number};

/// The settings by path, in order, with what they are at first.
const SETTINGS: [(&str, Rule, &str); 65] = [
    ("proc/sys/fs/file-max", Number, "9223372036854775807"),
    ("proc/sys/fs/nr_open", Number, "1048576"),
    ("proc/sys/fs/pipe-max-size", Number, "1048576"),
    ("proc/sys/fs/pipe-user-pages-hard", Number, "0"),
    ("proc/sys/fs/pipe-user-pages-soft", Number, "16384"),
    ("proc/sys/kernel/cap_last_cap", Fixed, "40"),
    ("proc/sys/kernel/hostname", Free, "pagewalk"),
    ("proc/sys/kernel/msgmax", Number, "8192"),
    ("proc/sys/kernel/msgmnb", Number, "16384"),
    ("proc/sys/kernel/msgmni", Number, "32000"),
    ("proc/sys/kernel/ngroups_max", Fixed, "65536"),
    ("proc/sys/kernel/osrelease", Fixed, "6.1.0"),
    ("proc/sys/kernel/ostype", Fixed, "Linux"),
    ("proc/sys/kernel/pid_max", Number, "32768"),
    ("proc/sys/kernel/randomize_va_space", Number, "0"),
    ("proc/sys/kernel/sem", Free, "32000\t1024000000\t500\t32000"),
    ("proc/sys/kernel/shmall", Number, "18446744073692774399"),
    ("proc/sys/kernel/shmmax", Number, "18446744073692774399"),
    ("proc/sys/kernel/shmmni", Number, "4096"),
    ("proc/sys/kernel/tainted", Number, "0"),
    ("proc/sys/kernel/threads-max", Number, "8192"),
    ("proc/sys/kernel/version", Fixed, "#1 pagewalk"),
    ("proc/sys/vm/compact_memory", Number, "0"),
    ("proc/sys/vm/drop_caches", Number, "0"),
    ("proc/sys/vm/max_map_count", Number, "65530"),
    ("proc/sys/vm/memfd_noexec", Number, "0"),
    ("proc/sys/vm/min_free_kbytes", Number, "4096"),
    ("proc/sys/vm/mmap_min_addr", Number, "65536"),
    ("proc/sys/vm/nr_hugepages", Number, "0"),
    ("proc/sys/vm/nr_overcommit_hugepages", Number, "0"),
    ("proc/sys/vm/overcommit_memory", Number, "1"),
    ("proc/sys/vm/overcommit_ratio", Number, "50"),
    ("proc/sys/vm/swappiness", Number, "60"),
    ("proc/sys/vm/unprivileged_userfaultfd", Number, "1"),
    ("sys/devices/system/cpu/online", Fixed, "0"),
    ("sys/devices/system/cpu/possible", Fixed, "0"),
    ("sys/devices/system/cpu/present", Fixed, "0"),
    ("sys/devices/system/node/online", Fixed, "0"),
    ("sys/kernel/mm/ksm/full_scans", Fixed, "0"),
    ("sys/kernel/mm/ksm/max_page_sharing", Number, "256"),
    ("sys/kernel/mm/ksm/merge_across_nodes", Number, "1"),
    ("sys/kernel/mm/ksm/pages_shared", Fixed, "0"),
    ("sys/kernel/mm/ksm/pages_sharing", Fixed, "0"),
    ("sys/kernel/mm/ksm/pages_to_scan", Number, "100"),
    ("sys/kernel/mm/ksm/pages_unshared", Fixed, "0"),
    ("sys/kernel/mm/ksm/pages_volatile", Fixed, "0"),
    ("sys/kernel/mm/ksm/run", Number, "1"),
    ("sys/kernel/mm/ksm/sleep_millisecs", Number, "20"),
    ("sys/kernel/mm/ksm/stable_node_chains", Fixed, "0"),
    ("sys/kernel/mm/ksm/stable_node_chains_prune_millisecs", Number, "2000"),
    ("sys/kernel/mm/ksm/stable_node_dups", Fixed, "0"),
    ("sys/kernel/mm/ksm/use_zero_pages", Number, "0"),
    ("sys/kernel/mm/transparent_hugepage/defrag", Choice, "madvise always defer never"),
    ("sys/kernel/mm/transparent_hugepage/enabled", Choice, "madvise always never"),
    ("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", Fixed, ""),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs", Number, "60"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/defrag", Number, "1"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/full_scans", Fixed, "0"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none", Number, "511"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_shared", Number, "256"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_swap", Number, "64"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/pages_collapsed", Fixed, "0"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan", Number, "4096"),
    ("sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", Number, "10"),
    ("sys/kernel/mm/transparent_hugepage/shmem_enabled", Choice, "never always advise"),
];

/// The order in which Linux tells the words of a choice.
const ORDERS: [&[&str]; 3] = [
    &["always", "defer", "defer+madvise", "madvise", "never"],
    &["always", "madvise", "never"],
    &["always", "within_size", "advise", "never", "deny", "force"],
];

/// What was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(BTreeMap<&'static str, Vec<u8>>);

impl Settings {
    /// A setting's text.
    pub fn read(&self, path: &'static str, memory: &dyn UserMemory) -> Vec<u8> {
        let Some((_, rule, first)) = entry(path.as_bytes()) else { return Vec::new() };
        let kept = self.0.get(path).map_or(first.as_bytes(), Vec::as_slice);
        let mut text = match (path, rule) {
            ("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", _) => {
                memory.large_page_bytes().unwrap_or(0).to_string().into_bytes()
            }
            ("sys/kernel/mm/ksm/full_scans", _) => number(memory.ksm().full_scans),
            ("sys/kernel/mm/ksm/pages_shared", _) => number(memory.ksm().pages_shared),
            ("sys/kernel/mm/ksm/pages_sharing", _) => number(memory.ksm().pages_sharing),
            _ if let Some(value) = khugepaged(path, memory) => number(value),
            (_, Choice) => choice(path, kept),
            _ => kept.to_vec(),
        };
        text.push(b'\n');
        text
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// EINVAL if it cannot have that value, EACCES if it cannot be changed.
    pub fn write(&mut self, path: &'static str, bytes: &[u8]) -> Result<(), Errno> {
        let (_, rule, _) = entry(path.as_bytes()).ok_or(Errno::ENOENT)?;
        let value = bytes.trim_ascii();
        let fits = match rule {
            Fixed => return Err(Errno::EACCES),
            Number => !value.is_empty() && value.iter().all(u8::is_ascii_digit),
            Choice => order(path).iter().any(|word| word.as_bytes() == value),
            Free => true,
        };
        if !fits || value.len() > VALUE_BYTES_MAX {
            return Err(Errno::EINVAL);
        }
        self.0.insert(path, value.to_vec());
        Ok(())
    }
}

/// Where what the daemon goes by, and has done, is told.
const KHUGEPAGED: &str = "sys/kernel/mm/transparent_hugepage/khugepaged/";

/// What one of its files says; `None` for other files, and where there is no such daemon.
fn khugepaged(path: &str, memory: &dyn UserMemory) -> Option<u64> {
    let (name, daemon) = (path.strip_prefix(KHUGEPAGED)?, memory.khugepaged()?);
    let mut settings = daemon.settings();
    match name {
        "full_scans" => Some(daemon.full_scans()),
        "pages_collapsed" => Some(daemon.pages_collapsed()),
        _ => collapse_setting(&mut settings, name).copied(),
    }
}

/// The setting that a file of the daemon's is about.
fn collapse_setting<'a>(settings: &'a mut CollapseSettings, name: &str) -> Option<&'a mut u64> {
    Some(match name {
        "alloc_sleep_millisecs" => &mut settings.alloc_sleep_ms,
        "max_ptes_none" => &mut settings.max_ptes_none,
        "max_ptes_shared" => &mut settings.max_ptes_shared,
        "max_ptes_swap" => &mut settings.max_ptes_swap,
        "pages_to_scan" => &mut settings.pages_to_scan,
        "scan_sleep_millisecs" => &mut settings.scan_sleep_ms,
        _ => return None,
    })
}

fn set_collapse(memory: &mut dyn UserMemory, name: &str, value: &[u8]) -> Result<(), Errno> {
    let Some(daemon) = memory.khugepaged() else { return Ok(()) };
    let mut settings = daemon.settings();
    if let Some(setting) = collapse_setting(&mut settings, name) {
        let text = std::str::from_utf8(value).map_err(|_| Errno::EINVAL)?;
        *setting = text.parse().map_err(|_| Errno::EINVAL)?;
        memory.set_collapse(settings);
    }
    Ok(())
}

fn number(value: u64) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Does what a setting is about, where it has an effect.
///
/// # Errors
/// EINVAL if there is no such behaviour, ENOMEM.
pub(super) fn apply(memory: &mut dyn UserMemory, path: &str, bytes: &[u8]) -> Result<(), Errno> {
    match (path, bytes.trim_ascii()) {
        ("proc/sys/vm/overcommit_memory", b"0") => memory.set_overcommit(Overcommit::Heuristic),
        ("proc/sys/vm/overcommit_memory", b"1") => memory.set_overcommit(Overcommit::Always),
        ("proc/sys/vm/overcommit_memory", b"2") => memory.set_overcommit(Overcommit::Never),
        ("proc/sys/vm/overcommit_ratio", value) => {
            let text = std::str::from_utf8(value).map_err(|_| Errno::EINVAL)?;
            memory.set_overcommit_ratio(text.parse().map_err(|_| Errno::EINVAL)?);
        }
        ("sys/kernel/mm/ksm/run", b"0") => memory.set_merging(Merging::Stopped)?,
        ("sys/kernel/mm/ksm/run", b"1") => memory.set_merging(Merging::On)?,
        ("sys/kernel/mm/ksm/run", b"2") => memory.set_merging(Merging::Undone)?,
        ("proc/sys/vm/overcommit_memory" | "sys/kernel/mm/ksm/run", _) => {
            return Err(Errno::EINVAL);
        }
        (path, value) => {
            if let Some(name) = path.strip_prefix(KHUGEPAGED) {
                set_collapse(memory, name, value)?;
            }
        }
    }
    Ok(())
}

/// All words, the present one in brackets.
fn choice(path: &str, kept: &[u8]) -> Vec<u8> {
    let present = kept.split(|&byte| byte == b' ').next().unwrap_or_default();
    let words = order(path).iter().map(|word| match word.as_bytes() == present {
        true => format!("[{word}]"),
        false => (*word).to_owned(),
    });
    words.collect::<Vec<_>>().join(" ").into_bytes()
}

fn order(path: &str) -> &'static [&'static str] {
    match path.rsplit('/').next() {
        Some("defrag") => ORDERS[0],
        Some("shmem_enabled") => ORDERS[2],
        _ => ORDERS[1],
    }
}

/// Whether a setting may be written.
pub(super) fn is_writable(path: &str) -> bool {
    entry(path.as_bytes()).is_some_and(|(_, rule, _)| rule != Fixed)
}

/// What a path leads to: a setting, or a directory of settings.
///
/// # Errors
/// ENOENT, ENOTDIR.
pub(super) fn find(path: &[u8]) -> Result<BuiltIn, Errno> {
    if let Some((path, ..)) = entry(path) {
        return Ok(BuiltIn::Text(Text::Setting(path)));
    }
    let is_below = |above: &[u8], below: &[u8]| {
        below.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    let mut known = SETTINGS.iter().map(|(known, ..)| known.as_bytes());
    if known.clone().any(|known| is_below(path, known)) {
        return Ok(BuiltIn::Directory);
    }
    match known.any(|known| is_below(known, path)) {
        true => Err(Errno::ENOTDIR),
        false => Err(Errno::ENOENT),
    }
}

/// The names in a directory of settings.
pub(super) fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let below = SETTINGS.iter().filter_map(|(known, ..)| {
        let rest = known.as_bytes().strip_prefix(path)?.strip_prefix(b"/")?;
        rest.split(|&byte| byte == b'/').next().map(<[u8]>::to_vec)
    });
    let mut names: Vec<Vec<u8>> = below.collect();
    names.dedup();
    names
}

fn entry(path: &[u8]) -> Option<(&'static str, Rule, &'static str)> {
    SETTINGS.iter().find(|(known, ..)| known.as_bytes() == path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flat_memory::FlatMemory;

    #[test]
    fn paths_ascend_and_directories_are_found() {
        assert!(SETTINGS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(find(b"proc/sys/vm"), Ok(BuiltIn::Directory));
        assert_eq!(find(b"sys/kernel"), Ok(BuiltIn::Directory));
        assert_eq!(find(b"proc/sys/v"), Err(Errno::ENOENT));
        assert_eq!(find(b"proc/sys/vm/swappiness/x"), Err(Errno::ENOTDIR));
        assert_eq!(names(b"proc/sys"), [b"fs".to_vec(), b"kernel".to_vec(), b"vm".to_vec()]);
    }

    #[test]
    fn what_is_written_is_told_again() {
        let mut settings = Settings::default();
        let memory = FlatMemory::new();
        let enabled = "sys/kernel/mm/transparent_hugepage/enabled";
        assert_eq!(settings.read(enabled, &memory), b"always [madvise] never\n");
        assert_eq!(settings.write(enabled, b"always\n"), Ok(()));
        assert_eq!(settings.read(enabled, &memory), b"[always] madvise never\n");
        assert_eq!(settings.write(enabled, b"sometimes"), Err(Errno::EINVAL));
        assert_eq!(settings.write("proc/sys/vm/swappiness", b"x"), Err(Errno::EINVAL));
        assert_eq!(settings.write("proc/sys/kernel/ostype", b"x"), Err(Errno::EACCES));
    }
}
