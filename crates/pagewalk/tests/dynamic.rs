//! Dynamically linked programs: the dynamic linker and the libraries of Debian's cross compiler,
//! mapped from the sysroot, do here what they do under `qemu-riscv64`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Done, finish, pagewalk, report};

/// Where Debian's packages libc6-riscv64-cross and libstdc++6-riscv64-cross put their files.
const SYSROOT: &str = "/usr/riscv64-linux-gnu";

/// Builds a program from beside this file; `None`, and said so, if a tool is missing.
fn build(source: &str, options: &[&str]) -> Option<PathBuf> {
    let (compiler, library) = match source.ends_with(".cc") {
        true => ("riscv64-linux-gnu-g++", "libstdc++.so.6"),
        false => ("riscv64-linux-gnu-gcc", "libc.so.6"),
    };
    common::tool("qemu-riscv64")?;
    common::found_or_skipped(&format!("{SYSROOT}/lib/{library}"), |library| {
        Some(PathBuf::from(library)).filter(|library| library.exists())
    })?;
    // So that segments share no page, of whatever size.
    let options = [&["-O1", "-Wl,-z,max-page-size=65536"], options, &["-lm"]].concat();
    common::build(compiler, &format!("dynamic/{source}"), &options)
}

/// Runs a program here, with options, and under the emulator.
fn compare(program: &Path, options: &[&str], args: &[&str]) {
    let mut emulator = Command::new("qemu-riscv64");
    let expected = finish(emulator.args(["-L", SYSROOT]).arg(program).args(args), |_| ());
    let path = program.to_str().expect("a path in UTF-8");
    let (done, report) =
        report(&[&["--sysroot", SYSROOT], options].concat(), &[&[path], args].concat());
    let what = format!("{path} {options:?}: {}", done.stderr);
    assert_eq!(done.stdout, expected.stdout, "{what}");
    let code = report["exit"]["code"].as_i64();
    assert_eq!(code, Some(expected.status.into()), "{what}");
}

#[test]
fn c_programs_run_wherever_they_are_linked() {
    for options in [&[][..], &["-no-pie"], &["-static-pie"]] {
        if options == ["-static-pie"] && !Path::new(SYSROOT).join("lib/rcrt1.o").exists() {
            continue;
        }
        let Some(program) = build("plain.c", options) else { return };
        compare(&program, &[], &["one", "two"]);
    }
}

#[test]
fn cpp_programs_run_on_any_mmu() {
    let Some(program) = build("classes.cc", &[]) else { return };
    for mmu in ["sv39", "ia32", "x86-64", "segments-paging", "r3000", "hashed", "segments"] {
        compare(&program, &["--mmu", mmu], &["a", "b", "a"]);
    }
    compare(&program, &["--ram", "2MiB"], &["little", "room"]);
}

#[test]
fn a_program_without_its_interpreter_is_told_where_to_look() {
    let Some(program) = build("plain.c", &[]) else { return };
    let Done { status, stderr, .. } = pagewalk([Path::new("run"), &program]);
    assert_eq!(status, 2, "{stderr}");
    for word in ["plain", "/lib/ld-linux-riscv64-lp64d.so.1", "--sysroot DIR", "-static"] {
        assert!(stderr.contains(word), "{word} is not in {stderr}");
    }
}

/// The text of a library is in memory once for both, and the report says so.
#[test]
fn processes_share_the_text_of_libraries() {
    let Some(program) = build("twins.c", &[]) else { return };
    let path = program.to_str().expect("a path in UTF-8");
    for mmu in ["sv39", "ia32", "hashed", "r3000"] {
        let (done, report) = report(&["--sysroot", SYSROOT, "--mmu", mmu], &[path]);
        assert_eq!(done.stdout, "the second, number 2\nthe first, after 0\n", "{mmu}: {done:?}");
        let files = report["processes"]["mapped_files"].as_array().expect("a list");
        let is_libc = |file: &&serde_json::Value| {
            file["path"].as_str().is_some_and(|path| path.ends_with("/libc.so.6"))
        };
        let libc = files.iter().find(is_libc).unwrap_or_else(|| panic!("{mmu}: {files:?}"));
        let [pages, mappings, saved] = ["pages", "mappings", "pages_saved"]
            .map(|field| libc[field].as_u64().expect("a count"));
        // What the second maps of it, of which the first maps more than half: in the same frames.
        assert_eq!(mappings - pages, saved, "{mmu}: {libc}");
        assert!(pages >= 20 && mappings <= 2 * pages, "{mmu}: {libc}");
        assert!(saved * 2 >= pages, "{mmu}: {libc}");
    }
}
