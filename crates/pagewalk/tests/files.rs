//! Files that are not the host's: in memory, locked, generated. What programs see of the first two is
//! what they see under `qemu-riscv64` on the host's own kernel; /proc has the shape of the host's.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{FORMATS, finish, pagewalk};

/// Builds a program from beside this file; `None`, and said so, if a tool is missing.
fn build(source: &str) -> Option<PathBuf> {
    common::tool("qemu-riscv64")?;
    let options = ["-O1", "-static", "-Wl,-z,max-page-size=65536"];
    common::build("riscv64-linux-gnu-gcc", &format!("files/{source}.c"), &options)
}

/// Both sides print the same.
fn compare(source: &str, machines: &[&[&str]]) {
    let Some(program) = build(source) else { return };
    let expected = finish(Command::new("qemu-riscv64").arg(&program), |_| ());
    let path = program.to_str().expect("a path in UTF-8");
    for options in machines {
        let done = pagewalk([&["run", "--quiet", "--audit"], *options, &[path]].concat());
        assert_eq!(done.stdout, expected.stdout, "{options:?}: {}", done.stderr);
        assert_eq!(done.status, expected.status, "{options:?}: {}", done.stderr);
    }
}

#[test]
fn files_in_memory_are_as_the_hosts() {
    compare("memory", &[&[], &["--mmu", "ia32", "--ram", "1MiB"]]);
}

#[test]
fn locks_are_as_the_hosts() {
    compare("locks", &[&[], &["--harts", "2"]]);
}

#[test]
fn the_swap_device_can_be_taken_out_of_use() {
    let Some(program) = build("swap") else { return };
    let path = program.to_str().expect("a path in UTF-8");
    for mmu in FORMATS {
        let done = pagewalk(["run", "--quiet", "--audit", "--mmu", mmu, path]);
        let expected = "something is out: 1\n\
             on twice: -1 errno 16\n\
             not a device: -1 errno 22\n\
             not there: -1 errno 2\n\
             wrong flags: -1 errno 22\n\
             not privileged: -1 errno 1\n\
             off: 0\n\
             in /proc/swaps: -1\n\
             off twice: -1 errno 22\n\
             wrong: 0\n\
             on: 0\n\
             in use: 0\n\
             stat: 0\n\
             block device: 1\n";
        assert_eq!(done.stdout, expected, "{mmu}: {}", done.stderr);
    }
}

/// What the guest reads of each file, by name.
fn show(program: &Path, options: &[&str], names: &[&str]) -> Vec<String> {
    let path = program.to_str().expect("a path in UTF-8");
    let done = pagewalk([&["run", "--quiet"], options, &[path], names].concat());
    assert_eq!(done.status, 0, "{}", done.stderr);
    let mut left = done.stdout.as_str();
    let mut texts = Vec::new();
    for (i, name) in names.iter().enumerate() {
        left = left.strip_prefix(&format!("== {name}\n")).expect("a heading");
        let end = names.get(i + 1).and_then(|next| left.find(&format!("== {next}\n")));
        let (text, rest) = left.split_at(end.unwrap_or(left.len()));
        texts.push(text.to_owned());
        left = rest;
    }
    texts
}

/// The keys of `key: value` lines.
fn keys(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect()
}

/// Those of our keys that the host has stand in the host's order, and most are there. Hosts of other
/// architectures and versions have some more or less.
fn assert_same_order(what: &str, ours: &str, hosts: &str) {
    let (ours, hosts) = (keys(ours), keys(hosts));
    let common: Vec<_> = hosts.iter().filter(|key| ours.contains(key)).collect();
    let shared: Vec<_> = ours.iter().filter(|key| hosts.contains(key)).collect();
    assert_eq!(shared, common, "{what}");
    assert!(shared.len() * 10 >= ours.len() * 8, "{what}: {ours:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn proc_has_the_shape_of_the_hosts() {
    let Some(program) = build("proc") else { return };
    let host = |name: &str| std::fs::read_to_string(name).expect("the host's /proc");
    let names = ["/proc/meminfo", "/proc/self/status", "/proc/self/smaps_rollup"];
    let texts = show(&program, &[], &names);
    for (name, text) in names.iter().zip(&texts) {
        assert_same_order(name, text, &host(name));
    }
    let width = |text: &str| text.lines().map(str::len).min();
    assert_eq!(width(&texts[0]), width("MemTotal:          65536 kB\nHugePages_Total:       0"));
    let names = ["/proc/self/stat", "/proc/self/statm", "/proc/loadavg", "/proc/uptime"];
    for (name, text) in names.iter().zip(show(&program, &[], &names)) {
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(words(&text), words(&host(name)), "{name}: {text}");
    }
    let limits = &show(&program, &[], &["/proc/self/limits"])[0];
    let rows = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.get(..25).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(rows(limits), rows(&host("/proc/self/limits")));
    let smaps = &show(&program, &[], &["/proc/self/smaps"])[0];
    let of_first = |text: &str| text.lines().take(26).collect::<Vec<_>>().join("\n");
    assert_same_order("smaps", &of_first(smaps), &of_first(&host("/proc/self/smaps")));
}

#[test]
fn maps_names_what_is_mapped() {
    let Some(program) = build("proc") else { return };
    let maps = &show(&program, &[], &["/proc/self/maps"])[0];
    let named: Vec<&str> = maps.lines().filter_map(|line| line.get(73..)).collect();
    assert_eq!(named.first(), Some(&"/proc"), "{maps}");
    for name in ["[heap]", "/dev/zero (deleted)", "[vdso]", "[stack]"] {
        assert!(named.contains(&name), "{name}: {maps}");
    }
    let rights: Vec<&str> = maps.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(rights.contains(&"r-xp") && rights.contains(&"rw-s"), "{maps}");
    let path = program.to_str().expect("a path in UTF-8");
    let from_outside = pagewalk(["run", "--quiet", "--maps", path]);
    let text = |text: &str| -> Vec<String> {
        // The heap and the stack can have grown since.
        text.lines().filter(|line| !line.ends_with("p]")).map(str::to_owned).collect()
    };
    let last = |lines: Vec<String>| lines.last().cloned();
    assert_eq!(last(text(&from_outside.stderr)), last(text(maps)));
    let usage = pagewalk(["run", "--quiet", "--smaps", path]);
    assert_eq!(
        usage.stderr.matches("VmFlags:").count(),
        from_outside.stderr.matches("-p").count().max(usage.stderr.matches("Rss:").count())
    );
}

#[test]
fn proc_leads_nowhere_else() {
    let Some(program) = build("proc") else { return };
    let temp = tempfile::tempdir().expect("a temporary directory");
    let root = temp.path().join("root");
    std::fs::create_dir_all(root.join("etc")).expect("a root");
    std::fs::write(temp.path().join("secret"), "secret").expect("a file outside");
    std::os::unix::fs::symlink("/proc/self/root/../../secret", root.join("out")).expect("a link");
    std::os::unix::fs::symlink("/proc/self/cwd", root.join("etc/cwd")).expect("a link");
    let root = root.to_str().expect("a path in UTF-8");
    let ways = [
        "open:/proc/self/root/../secret",
        "open:/proc/self/root/../../../../etc/passwd",
        "open:/proc/self/cwd/../secret",
        "open:/proc/2/root/proc/self/cwd/../../secret",
        "open:/out",
        "open:/etc/cwd/../../secret",
        "open:/dev/fd/../../../secret",
        "open:/proc/1/root/secret",
        "open:/proc/self/fd/77",
        "open:/proc/self/task/99/maps",
    ];
    for (way, text) in ways.iter().zip(show(&program, &["--root", root], &ways)) {
        assert_eq!(text, "No such file or directory\n", "{way}");
    }
    let refused = ["open:/proc/self/exe/x", "open:/dev/null/x", "open:/proc/self/fd/1/../../x"];
    for (way, text) in refused.iter().zip(show(&program, &["--root", root], &refused)) {
        assert_eq!(text, "Not a directory\n", "{way}");
    }
    let links = ["link:/proc/self", "link:/proc/self/exe", "link:/proc/self/cwd"];
    assert_eq!(show(&program, &["--root", root], &links), ["2\n", "/proc\n", "/\n"]);
}
