//! TLB misses against cachegrind, a cache simulator that we did not write: a fully associative TLB
//! of 64 entries is a cache of 64 ways whose lines are pages, and so on for other geometries.
//!
//! ```text
//!   workload.c ──► static program ──► valgrind --tool=lackey ──► references ──► Tlb ──► misses
//!                                └──► valgrind --tool=cachegrind ──────────────────────► misses
//! ```
//!
//! Both tools run the program under the same instrumentation, and the program depends on nothing
//! outside itself, so both see the same references to the same addresses, from the first
//! instruction to the last: the numbers of references are compared first. The workload is made so
//! that no reference lies in two pages, where cachegrind would count two look-ups as one.
//!
//! Cachegrind's first level is split, its second is referenced by what misses in the first and
//! takes nothing that the first gives up: so is ours.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod common;

use common::skip;
use pagewalk_mmu::cache::{CacheConfig, Caches, LineAccess, Requester};
use pagewalk_mmu::tlb::{Allowed, Lookup, Side, Tlb, TlbConfig, TlbEntry};
use pagewalk_mmu::{Asid, PageSize, Pfn, PhysAddr, Rights, VirtAddr, Vpn};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PAGE: PageSize = PageSize::from_shift(12);
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cachegrind/workload.c");

/// Sets and ways of the first level (instruction and data alike) and of the second.
const GEOMETRIES: [[(u64, u64); 2]; 6] = [
    [(1, 64), (128, 12)],
    [(16, 4), (128, 12)],
    [(16, 4), (1, 1024)],
    [(1, 32), (256, 6)],
    [(8, 8), (64, 4)],
    [(32, 2), (512, 2)],
];

/// What a reference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fetch,
    Read,
    Write,
}

/// References and misses at both levels, of fetches, reads and writes: in the order of
/// cachegrind's summary, `Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw`.
type Counts = [u64; 9];

/// The place of a kind's references in [`Counts`]; its misses at both levels follow.
const fn place(kind: Kind) -> usize {
    match kind {
        Kind::Fetch => 0,
        Kind::Read => 3,
        Kind::Write => 6,
    }
}

/// A directory of this test's own, removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles the workload; `None` if there is no C compiler.
fn compile(directory: &Path) -> Option<PathBuf> {
    let program = directory.join("workload");
    let status = Command::new("cc")
        .args(["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-pic", "-no-pie"])
        .args(["-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-o"])
        .arg(&program)
        .arg(SOURCE)
        .status()
        .ok()?;
    assert!(status.success(), "the workload compiles");
    Some(program)
}

/// The references of the program, by lackey.
fn references(program: &Path) -> Vec<(Kind, VirtAddr)> {
    let mut lackey = Command::new("valgrind")
        .args(["-q", "--tool=lackey", "--trace-mem=yes", "--log-fd=1"])
        .arg(program)
        .stdout(Stdio::piped())
        .spawn()
        .expect("valgrind starts");
    let output = lackey.stdout.take().expect("piped");
    let lines = BufReader::new(output).lines().map(|line| line.expect("text"));
    // Lines such as `==123== Counted 0 calls to main()` are no references.
    let references = lines.filter(|line| !line.starts_with("=="));
    let references = references
        .map(|line| reference(&line).unwrap_or_else(|| panic!("no reference: {line}")))
        .collect();
    assert!(lackey.wait().expect("lackey ends").success());
    references
}

/// Reads a line such as ` L 00473ff8,8`. `M`, read and written by one instruction, is one reference
/// of cachegrind's: a read.
fn reference(line: &str) -> Option<(Kind, VirtAddr)> {
    let (kind, place) = line.trim_start().split_once(' ')?;
    let (address, bytes) = place.trim_start().split_once(',')?;
    let kind = match kind {
        "I" => Kind::Fetch,
        "L" | "M" => Kind::Read,
        "S" => Kind::Write,
        _ => return None,
    };
    let first = VirtAddr(u64::from_str_radix(address, 16).ok()?);
    let last = VirtAddr(first.0 + bytes.parse::<u64>().ok()? - 1);
    assert_eq!(first.vpn(PAGE), last.vpn(PAGE), "a reference to two pages: {line}");
    Some((kind, first))
}

/// The counts of our TLB.
fn ours(references: &[(Kind, VirtAddr)], [l1, l2]: [(u64, u64); 2]) -> Counts {
    let text = format!("l1i={0}x{1},l1d={0}x{1},l2={2}x{3}", l1.0, l1.1, l2.0, l2.1);
    let mut tlb = Tlb::new(TlbConfig::parse(&text).expect("a good description"), PAGE);
    let mut counts = [0; 9];
    for (now, &(kind, va)) in (1..).zip(references) {
        let vpn = va.vpn(PAGE);
        let side = if kind == Kind::Fetch { Side::Instruction } else { Side::Data };
        let missed = match tlb.lookup(side, vpn, Asid(0), now) {
            Lookup::L1 { .. } => 0,
            Lookup::L2 { .. } => 1,
            Lookup::Miss => {
                tlb.fill(side, entry(vpn), now);
                2
            }
        };
        tlb.take_dropped().for_each(drop);
        for count in &mut counts[place(kind)..=place(kind) + missed] {
            *count += 1;
        }
    }
    counts
}

fn entry(vpn: Vpn) -> TlbEntry {
    TlbEntry {
        vpn,
        page: PAGE,
        asid: Asid(0),
        global: false,
        pfn: Pfn(vpn.0),
        rights: Rights::all(),
        dirty: true,
        allowed: Allowed::ALL,
    }
}

/// Cachegrind's counts for caches of lines of so many bytes, of these sets and ways.
fn cachegrind(
    program: &Path,
    directory: &Path,
    [l1, l2]: [(u64, u64); 2],
    line_bytes: u64,
) -> Counts {
    let file = directory.join("cachegrind.out");
    let cache = |(sets, ways)| format!("{},{ways},{line_bytes}", sets * ways * line_bytes);
    let status = Command::new("valgrind")
        .args(["-q", "--tool=cachegrind", "--cache-sim=yes", "--log-fd=1"])
        .arg(format!("--I1={}", cache(l1)))
        .arg(format!("--D1={}", cache(l1)))
        .arg(format!("--LL={}", cache(l2)))
        .arg(format!("--cachegrind-out-file={}", file.display()))
        .arg(program)
        .stdout(Stdio::null())
        .status()
        .expect("valgrind starts");
    assert!(status.success(), "cachegrind accepts the geometry");
    let out = std::fs::read_to_string(file).expect("cachegrind's report");
    let line = |name: &str| out.lines().find_map(|line| line.strip_prefix(name));
    assert_eq!(line("events: ").map(str::trim_end), Some("Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw"));
    let level = format!("{} B, {line_bytes} B, {}-way", l1.0 * l1.1 * line_bytes, l1.1);
    assert!(line("desc: D1 cache:").is_some_and(|desc| desc.contains(&level)), "{out:.300}");
    let summary = line("summary: ").expect("a summary").split_whitespace();
    let counts: Vec<u64> = summary.map(|count| count.parse().expect("a number")).collect();
    counts.try_into().expect("nine counts")
}

#[test]
fn cachegrind_agrees() {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("valgrind not found");
    }
    let scratch = std::env::temp_dir().join(format!("pagewalk-cachegrind-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a temporary directory");
    let scratch = Scratch(scratch);
    let Some(program) = compile(&scratch.0) else { return skip("cc not found") };
    let references = references(&program);
    for geometry in GEOMETRIES {
        let ours = ours(&references, geometry);
        println!("{geometry:?}: {ours:?}");
        assert_eq!(ours, cachegrind(&program, &scratch.0, geometry, PAGE.bytes()), "{geometry:?}");
        // Hits and misses of all kinds take part.
        assert!(ours.iter().all(|&count| count > 10), "{ours:?}");
        assert!(ours[1] > 500 && ours[4] > 10_000 && ours[7] > 3000, "{ours:?}");
    }
    for l1 in [(64, 8), (128, 2), (32, 4)] {
        lines_agree(&program, &scratch.0, &references, l1);
    }
}

/// The data caches' first level against cachegrind's, for lines of 64 bytes. The second level has
/// instructions as well there.
fn lines_agree(program: &Path, directory: &Path, references: &[(Kind, VirtAddr)], l1: (u64, u64)) {
    const LINE: u64 = 64;
    let text = format!("l1={}:{},line={LINE}", l1.0 * l1.1 * LINE, l1.1);
    let mut caches = Caches::new(CacheConfig::parse(&text).expect("a good description"));
    for &(kind, va) in references {
        let access = match kind {
            Kind::Fetch => continue,
            Kind::Read => LineAccess::Read,
            Kind::Write => LineAccess::Write,
        };
        // The addresses are virtual here; no reference of the workload lies in two lines.
        caches.refer(PhysAddr(va.0), 1, access, Requester::Data);
    }
    let data = caches.counters().next().expect("a level").data;
    let theirs = cachegrind(program, directory, [l1, (1024, 16)], LINE);
    assert_eq!(data.hits + data.misses, theirs[3] + theirs[6], "{text}");
    assert_eq!(data.misses, theirs[4] + theirs[7], "{text}");
    assert!(data.misses > 10_000, "{data:?}");
}
