//! Real machines: listed, shown, run on, and laid under other options.

mod common;

use std::fs;

use common::{guest, number, pagewalk, report, repository};
use pagewalk_machines::NAMES;
use serde_json::Value;

fn stdout(words: &[&str]) -> String {
    let done = pagewalk(words);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{words:?}");
    done.stdout
}

fn refusal(words: &[&str]) -> String {
    let done = pagewalk(words);
    assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{words:?}: {}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    done.stderr
}

#[test]
fn machines_are_listed_and_shown() {
    let list = stdout(&["machines"]);
    assert_eq!(list.lines().count(), NAMES.len() + 1);
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    let page = stdout(&["machines", "skylake"]);
    assert!(page.contains("1536 entries, 12 ways") && page.contains("Sources"), "{page}");
    assert_eq!(page, stdout(&["machines", "machines/skylake.toml"]));
}

#[test]
fn machines_are_json() {
    let all: Value = serde_json::from_str(&stdout(&["machines", "--json"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), NAMES.len());
    let one: Value = serde_json::from_str(&stdout(&["machines", "k8", "--json"])).unwrap();
    assert_eq!(one["tlb"]["arrays"][4]["entries"], 512);
    assert_eq!(one["options"]["mmu"], "x86-64");
    assert!(one["sources"]["cpuid"]["url"].as_str().unwrap().starts_with("https://"));
}

#[test]
fn a_program_does_the_same_on_every_machine() {
    let hello = guest("hello");
    let program = [hello.as_str(), "a", "--b"];
    let (expected, _) = report(&["--mmu", "sv39"], &program);
    for name in NAMES {
        let (done, told) = report(&["--machine", name], &program);
        assert_eq!(done, expected, "{name}");
        assert_eq!(told["machine"]["name"], *name);
        let (slow, told_slow) = report(&["--machine", name, "--slow"], &program);
        assert_eq!(slow, expected, "{name} --slow");
        assert_eq!(number(&told, "/cycles"), number(&told_slow, "/cycles"), "{name}");
    }
}

#[test]
fn a_machine_is_what_its_options_say() {
    let hello = guest("hello");
    for name in ["nehalem", "skylake", "zen4", "c910"] {
        let one: Value = serde_json::from_str(&stdout(&["machines", name, "--json"])).unwrap();
        let keys = [
            ("mmu", "mmu"),
            ("tlb", "tlb"),
            ("walk-cache", "walk_cache"),
            ("cache", "cache"),
            ("ram", "ram"),
        ];
        let options = keys.map(|(option, key)| {
            format!("--{option}={}", one["options"][key].as_str().unwrap_or("none"))
        });
        let options = options.each_ref().map(String::as_str);
        let (_, given) = report(&options, &[&hello]);
        let (_, machine) = report(&["--machine", name], &[&hello]);
        for pointer in ["/tlb", "/walks/reads", "/caches", "/faults", "/memory", "/references"] {
            assert_eq!(given.pointer(pointer), machine.pointer(pointer), "{name}: {pointer}");
        }
    }
}

#[test]
fn options_win_over_the_machine() {
    let hello = guest("hello");
    let told = |options: &[&str]| report(options, &[&hello]).1;
    let skylake = told(&["--machine", "skylake"]);
    assert_eq!(skylake["machine"]["mmu"], "x86-64");
    assert_eq!(number(&skylake, "/machine/ram_bytes"), 4 << 30);
    assert_eq!(skylake["machine"]["walk_cache"], "l1=8x4:lru");
    assert_eq!(skylake["caches"].as_array().unwrap().len(), 3);
    let bare = told(&["--machine", "skylake", "--cache", "none", "--walk-cache", "none"]);
    assert_eq!(bare["machine"]["walk_cache"], "none");
    assert_eq!(bare["caches"].as_array().map(Vec::len), Some(0));
    let other = told(&["--machine", "skylake", "--ram", "1M", "--mmu", "sv48", "--tlb", "8"]);
    assert_eq!(other["machine"]["mmu"], "sv48");
    assert_eq!(other["machine"]["tlb"], "l1=1x8:lru");
    assert_eq!(number(&other, "/machine/ram_bytes"), 1 << 20);

    let costs = tempfile::NamedTempFile::new().unwrap();
    fs::write(&costs, "instruction = 3\n").unwrap();
    let path = costs.path().to_str().unwrap();
    let costly = told(&["--machine", "skylake", "--cost", path]);
    let compute = |report: &Value| number(report, "/cycle_parts/compute");
    assert_eq!(compute(&costly), 3 * compute(&skylake));
    // The others stay the machine's.
    assert_eq!(costly.pointer("/cycle_parts/caches"), skylake.pointer("/cycle_parts/caches"));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let hello = guest("hello");
    let refuse = |options: &[&str]| refusal(&[&["run"], options, &[&hello]].concat());
    assert!(refuse(&["--machine", "skylark"]).contains("no such machine: give one of vax-11-780"));
    assert!(refuse(&["--machine", "i386", "--ram", "8G"]).contains("32 bits: give less"));
    let wide = refuse(&["--machine", "skylake", "--mmu", "aarch64-64k"]);
    assert!(wide.contains("no pages of 64 KiB") && wide.contains("--tlb"), "{wide}");
}

#[test]
fn a_bad_file_is_told_with_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.toml");
    let good = fs::read_to_string(repository().join("machines/u74.toml")).unwrap();
    fs::write(&path, good.replace("entries = 512", "entries = 500")).unwrap();
    let name = path.to_str().unwrap();
    let line = good.lines().position(|line| line.contains("entries = 512")).unwrap() + 1;
    let expected = format!("{name}:{line}:11: 500 sets: the set is picked by address bits");
    let told = refusal(&["machines", name]);
    assert!(told.contains(&expected), "{told}");
    let told = refusal(&["run", "--machine", name, &guest("hello")]);
    assert!(told.contains(&expected), "{told}");
}
