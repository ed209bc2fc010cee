//! Wrong usage and bad input: exit status 2, one line that says what would work, nothing written.

mod common;

use std::fs;
use std::path::Path;

use common::{Done, guest, pagewalk};

/// Checks that `words` are refused in one line with all `fragments`.
#[track_caller]
fn refused(words: &[&str], fragments: &[&str]) {
    let Done { status, stdout, stderr } = pagewalk(words);
    assert_eq!(status, 2, "{words:?}: {stderr}");
    assert_eq!(stdout, "", "{words:?}");
    assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{words:?}: {stderr}");
    for fragment in fragments {
        assert!(stderr.contains(fragment), "{words:?}: no '{fragment}' in: {stderr}");
    }
}

/// [`refused`] for options of a run of `hello`.
#[track_caller]
fn refused_option(options: &[&str], fragments: &[&str]) {
    let hello = guest("hello");
    let words: Vec<&str> = [&["run"], options, &[hello.as_str()]].concat();
    refused(&words, fragments);
}

/// [`refused`] for a program.
#[track_caller]
fn refused_program(path: &Path, fragments: &[&str]) {
    let path = path.to_str().unwrap();
    refused(&["run", path], &[&[path], fragments].concat());
}

#[test]
fn unknown_words() {
    refused(&["runn"], &["'runn'", "similar", "'run'"]);
    refused(&["run"], &["PROGRAM"]);
    refused_option(&["--rim", "1MiB"], &["'--rim'", "'--ram'"]);
    refused_option(&["--quiet=1"], &["'--quiet'"]);
    refused(&["completions", "tcsh"], &["'tcsh'", "bash", "zsh"]);
    refused(&["man", "walk"], &["'walk'", "run"]);
}

#[test]
fn unknown_formats_and_policies_come_with_the_known_ones() {
    let formats =
        ["ia32", "pae", "x86-64", "x86-64-la57", "sv32", "sv39", "sv48", "sv57"].as_slice();
    refused_option(&["--mmu", "sv40"], &[&["'sv40'", "--mmu"], formats].concat());
    refused_option(&["--mmu", ""], &["--mmu"]);
    refused_option(&["--policy", "lru2"], &["'lru2'", "--policy", "clock", "fifo", "random"]);
}

#[test]
fn bad_sizes_of_ram() {
    for size in ["", "big", "1.5GiB", "-1", "64MB", "0x1000"] {
        let option = format!("--ram={size}");
        refused_option(&[&option], &["--ram", size, "64K"]);
    }
    refused_option(&["--ram", "99999999999999999999"], &["--ram", "too large"]);
    for size in ["0", "4K", "65535", "2TiB"] {
        refused_option(&["--ram", size], &["--ram", size, "64KiB to 1TiB"]);
    }
}

#[test]
fn ram_too_small_for_the_kernel() {
    refused_option(&["--ram", "64K", "--mmu", "sv57", "--swap", "none"], &["--ram", "at least"]);
}

#[test]
fn bad_swap() {
    for swap in ["", "nothing", "file:", "file:big", "file"] {
        let option = format!("--swap={swap}");
        refused_option(&[&option], &["--swap", swap, "none", "FILE:SIZE"]);
    }
    refused_option(&["--swap", ":1MiB"], &["--swap", "FILE:SIZE"]);
    refused_option(&["--swap", "0"], &["--swap", "too small", "4096", "none"]);
    refused_option(&["--swap", "/tmp/pagewalk-swap:4095"], &["too small", "4096"]);
    assert!(!Path::new("/tmp/pagewalk-swap").exists());
    refused_option(&["--swap", "/tmp:1MiB"], &["--swap", "/tmp", "directory"]);
    refused_option(&["--swap", "/no/such/place:1MiB"], &["--swap", "/no/such/place"]);
    refused_option(&["--swap", "1M", "--swap", "none"], &["--swap", "none", "leave it out"]);
    refused_option(&["--swap", "ram:1M,pri=high"], &["--swap", "pri", "0 to 32767"]);
    refused_option(&["--swap", "1M,model=drum"], &["--swap", "model", "hdd, ssd, nvme, ram"]);
    refused_option(&["--swap", "1M,now"], &["--swap", "pri=N", "model=NAME"]);
    let most = ["--swap", "1G"].repeat(24);
    refused_option(&most, &["--swap", "at most 23"]);
    refused_option(&["--mmu", "ia32", "--swap", "4T"], &["--swap", "swap slots", "at most"]);
}

#[test]
fn bad_read_ahead_and_zswap() {
    for pages in ["", "3", "64", "-1", "many"] {
        refused_option(&[&format!("--read-ahead={pages}")], &["--read-ahead", pages]);
    }
    refused_option(&["--zswap", "0"], &["--zswap", "more than 0"]);
    refused_option(&["--zswap", "64MiB", "--ram", "64MiB"], &["--zswap", "less than"]);
    refused_option(&["--zswap", "1M,lzma"], &["--zswap", "lz4, zstd"]);
    refused_option(&["--zswap", "much"], &["--zswap", "SIZE,lz4"]);
    refused_option(&["--zswap", "1M", "--swap", "none"], &["--zswap", "--swap"]);
    refused_option(&["--zswap", "1M", "--mmu", "segments"], &["--zswap", "no pages"]);
    refused_option(&["--read-ahead", "8", "--mmu", "none"], &["--read-ahead", "no pages"]);
    refused_option(&["--ram", "128K", "--zswap", "124K"], &["at least"]);
}

#[test]
fn bad_tlbs() {
    for (tlb, fragment) in [
        ("", "example"),
        ("big", "l1i=16x4"),
        ("0", "ways"),
        ("l1=12x4", "power of two"),
        ("l1=16x4:mru", "lru"),
        ("l2=16x4", "l1"),
        ("l1=16x4,l1=16x4", "twice"),
        ("l1=16x4@3K", "4K"),
        ("l1=1048576x4096", "at most"),
        ("l1=16x4@4K,l1=8x4@4K+2M", "4 KiB"),
        ("l1=16x4,l2d=8x4", "l2i="),
        ("l1=16x4,asid=17", "0 to 16"),
    ] {
        let option = format!("--tlb={tlb}");
        refused_option(&[&option], &["--tlb", tlb, fragment]);
    }
}

#[test]
fn bad_caches() {
    for (cache, fragment) in [
        ("", "l1=32KiB:8"),
        ("l1=32KiB", "SIZE:WAYS"),
        ("l1=48KiB:8", "power of two"),
        ("l2=1MiB:8", "l1"),
        ("l1=1K:4,line=7", "power of two"),
    ] {
        let option = format!("--cache={cache}");
        refused_option(&[&option], &["--cache", cache, fragment]);
    }
    for (mmu, walk_cache, fragment) in [
        ("sv39", "", "l1=32"),
        ("sv39", "l3=4", "levels 1 to 2"),
        ("sv39", "l1=12x4", "power of two"),
        ("hashed", "l1=4", "no tree"),
        ("none", "l1=4", "no page tables"),
    ] {
        let option = format!("--walk-cache={walk_cache}");
        refused_option(&["--mmu", mmu, &option], &["--walk-cache", walk_cache, fragment]);
    }
}

#[test]
fn bad_numbers() {
    for harts in ["0", "65", "4294967297"] {
        refused_option(&["--harts", harts], &["--harts", harts, "1 to 64"]);
    }
    let unpaged = ["--mmu", "base-bounds", "--harts", "2"];
    refused_option(&unpaged, &["--harts", "'2'", "base-bounds"]);
    refused_option(&["--seed", "x"], &["--seed", "'x'", "whole number"]);
    refused_option(&["--seed", "18446744073709551616"], &["--seed", "18446744073709551615"]);
    refused_option(&["--max-instructions", "5m"], &["--max-instructions", "'5m'", "5M"]);
    refused_option(&["--max-instructions", "0"], &["--max-instructions", "at least 1"]);
}

#[test]
fn bad_environment_and_root() {
    refused_option(&["--env", "HOME"], &["--env", "'HOME'", "NAME=VALUE"]);
    refused_option(&["--env", "=x"], &["--env", "NAME=VALUE"]);
    refused_option(&["--root", "/no/such/place"], &["--root", "/no/such/place", "directory"]);
    refused_option(&["--root", "Cargo.toml"], &["--root", "Cargo.toml", "not a directory"]);
}

#[test]
fn bad_cost_models() {
    refused_option(&["--cost", "/no/such/file"], &["--cost", "/no/such/file", "TOML"]);
    refused_option(&["--cost", "."], &["--cost", "directory"]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cost.toml");
    let name = path.to_str().unwrap();
    for (text, fragments) in [
        ("walk_reed = 1", ["line 1", "`walk_reed`", "`walk_read`"].as_slice()),
        ("trap = -1", &["line 1"]),
        ("\ntrap = 'x'", &["line 2"]),
        ("clock_mhz = 0", &["clock_mhz", "1 to 1000000"]),
        ("trap = 2000000000000", &["trap", "at most"]),
    ] {
        fs::write(&path, text).unwrap();
        refused_option(&["--cost", name], &[&[name], fragments].concat());
    }
}

#[test]
fn bad_result_files() {
    refused_option(&["--json", "/no/such/place/r.json"], &["--json", "/no/such/place/r.json"]);
    refused_option(&["--json", "programs"], &["--json", "programs", "directory"]);
    refused_option(&["--events", "/no/such/place/e"], &["--events", "/no/such/place/e"]);
    refused_option(&["--events", "-"], &["--events", "standard output", "file"]);
    refused_option(&["--json", "x", "--events", "x"], &["--events", "'x'", "--json", "two files"]);
}

#[test]
fn what_is_no_program() {
    let directory = tempfile::tempdir().unwrap();
    refused_program(Path::new("/no/such/program"), &["no such file", "RISC-V executable"]);
    refused_program(directory.path(), &["directory", "RISC-V executable"]);
    let path = directory.path().join("program");
    let hello = fs::read(common::repository().join(guest("hello"))).unwrap();
    let mut x86 = hello.clone();
    x86[18..20].copy_from_slice(&62u16.to_le_bytes());
    let mut no_segments = hello.clone();
    no_segments[56..58].copy_from_slice(&0u16.to_le_bytes());
    let mut entry_elsewhere = hello.clone();
    entry_elsewhere[24..32].copy_from_slice(&0x7f00_0000u64.to_le_bytes());
    for (bad, fragments) in [
        (b"".as_slice(), ["not an ELF file", "RISC-V"]),
        (b"#!/bin/sh\n", ["offset 0x0", "RISC-V"]),
        (&hello[..40], ["offset 0x0", "truncated"]),
        (&hello[..100], ["offset", "truncated"]),
        (&x86, ["offset 0x12", "RISC-V"]),
        (&no_segments, ["offset", "segment"]),
        (&entry_elsewhere, ["offset 0x18", "entry"]),
    ] {
        fs::write(&path, bad).unwrap();
        refused_program(&path, &fragments);
    }
}

#[test]
fn a_refused_run_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (json, events) = (file("report.json"), file("events.ndjson"));
    refused(&["run", "--json", &json, "--events", &events, "README.md"], &["README.md"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn control_characters_are_shown_escaped() {
    refused(&["run", "--ram", "1\u{1b}[2J\n", "x"], &["\\u{1b}[2J"]);
    refused(&["run", "no\nfile"], &["no"]);
}

#[test]
fn a_kernel_that_has_no_place() {
    refused_option(&["--kernel", "upper"], &["--kernel", "'upper'", "none", "shared", "separate"]);
    refused_option(&["--mmu", "r3000", "--kernel", "shared"], &["--kernel", "without translation"]);
    refused_option(&["--mmu", "none", "--kernel", "shared"], &["--kernel", "without pages"]);
    let ram = ["--mmu", "ia32", "--kernel", "shared", "--ram", "2GiB"];
    refused_option(&ram, &["--kernel", "at most 1073741824 bytes"]);
    refused_option(&["--mmu", "sv39", "--self-map"], &["--self-map", "ia32 and x86-64 can"]);
}

#[test]
fn a_snapshot_has_no_segments() {
    for mmu in ["none", "base-bounds", "segments", "segments-paging"] {
        let options = ["--mmu", mmu, "--snapshot", "/absent/machine"];
        refused_option(&options, &["--snapshot", "'/absent/machine'", mmu, "leave it out"]);
    }
}
