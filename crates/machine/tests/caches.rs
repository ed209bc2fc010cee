//! Walk caches and data caches in a machine: the same counts on both paths, sums that hold, and
//! what a textbook says about the cost of an access.

mod common;

use common::{config, input, machine, program, run};
use pagewalk_machine::{Config, Machine, Report, Stdio};
use pagewalk_mmu::WalkCacheConfig;
use pagewalk_mmu::cache::CacheConfig;
use pagewalk_mmu::tlb::TlbConfig;

const PROGRAMS: [&[&str]; 3] =
    [&["extsort", "/in", "/out", "16"], &["hashjoin", "1500"], &["selfmodify"]];

fn tlb(text: &str) -> Option<TlbConfig> {
    (text != "none").then(|| TlbConfig::parse(text).expect("a TLB"))
}

fn walk_cache(text: &str) -> Option<WalkCacheConfig> {
    (text != "none").then(|| WalkCacheConfig::parse(text).expect("a walk cache"))
}

fn cache(text: &str) -> Option<CacheConfig> {
    (text != "none").then(|| CacheConfig::parse(text).expect("caches"))
}

/// The report of a run, which is the same on both paths, after an audit of both machines.
fn report(config: &Config, args: &[&str]) -> Report {
    let root = input();
    let [fast, slow] = [false, true].map(|slow| {
        let (mut machine, output) = machine(Config { slow, ..config.clone() }, args, root.path());
        run(&mut machine);
        machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
        let mut report = machine.report();
        report.machine.slow = false;
        (report, output.text())
    });
    assert_eq!(fast, slow, "{args:?} on {:?}", fast.0.machine);
    check_sums(&fast.0);
    fast.0
}

fn check_sums(report: &Report) {
    assert_eq!(report.cycle_parts.total(), report.cycles);
    let walks = &report.walks;
    if let Some(cache) = &walks.cache {
        assert_eq!(cache.hits.values().sum::<u64>() + cache.misses, walks.walks);
    }
    let Some(first) = report.caches.first() else { return };
    assert_eq!(first.walks.lookups, walks.reads + walks.writes);
    // An access that faults is a reference, but reaches no memory.
    let reached = first.data.lookups + report.faults.minor + report.faults.major;
    assert!(reached >= report.references.loads + report.references.stores);
    for pair in report.caches.windows(2) {
        assert_eq!(pair[1].data.lookups, pair[0].data.misses);
        assert_eq!(pair[1].walks.lookups, pair[0].walks.misses);
    }
}

#[test]
fn both_paths_count_the_same() {
    let machines = [
        ("sv39", "l1i=2x2,l1d=2x2,l2=4x4", "l1=4,l2=1", "none"),
        ("x86-64", "l1=1x4", "all=3", "l1=2KiB:2,l2=16KiB:4:plru"),
        ("x86-64-la57", "none", "l1=2x2,l2=2,l3=1,l4=1", "none"),
        ("pae", "none", "none", "l1=1KiB:1,line=32"),
        ("ia32", "l1=1x8:random,untagged", "l1=2", "l1=4KiB:4:fifo"),
        ("aarch64", "l1i=1x2,l1d=1x3,l2i=2x2,l2d=4x2", "l1=8", "none"),
        ("hashed", "none", "none", "l1=4KiB:4,l2=8KiB:8,l3=16KiB:16"),
        ("sv32", "l1=1x8,software", "none", "l1=4KiB:4"),
    ];
    for (mmu, tlb_text, walk_text, cache_text) in machines {
        for args in PROGRAMS {
            let config = Config {
                tlb: tlb(tlb_text),
                walk_cache: walk_cache(walk_text),
                cache: cache(cache_text),
                ..config(mmu, 192 << 10)
            };
            let report = report(&config, args);
            assert_eq!(report.caches.is_empty(), cache_text == "none");
            assert_eq!(report.walks.cache.is_some(), walk_text != "none");
        }
    }
}

#[test]
fn machines_without_page_tables_have_data_caches() {
    let config = Config { cache: cache("l1=4KiB:4"), ..config("base-bounds", 4 << 20) };
    let report = report(&config, &["hashjoin", "1500"]);
    assert_eq!(report.walks.walks, 0);
    assert!(report.caches[0].data.misses > 0 && report.cycle_parts.caches > 0);
}

#[test]
fn a_walk_cache_shortens_walks_and_nothing_else() {
    let plain = Config { tlb: tlb("l1=1x8"), ..config("sv48", 1 << 20) };
    let cached = Config { walk_cache: walk_cache("l1=8,l2=2,l3=2"), ..plain.clone() };
    let [plain, cached] = [plain, cached].map(|config| report(&config, &["hashjoin", "2000"]));
    assert_eq!(plain.walks.walks, cached.walks.walks);
    assert_eq!((plain.faults, plain.tlb.l1), (cached.faults, cached.tlb.l1));
    assert!(plain.walks.references_per_walk > 3.9, "{:?}", plain.walks);
    assert!(cached.walks.references_per_walk < 2.0, "{:?}", cached.walks);
    assert!(cached.cycle_parts.walks < plain.cycle_parts.walks);
    // Each walk from a level-n entry reads n entries, each other one all four, but for those that
    // end in a fault.
    let hits = &cached.walks.cache.as_ref().expect("a walk cache").hits;
    let most: u64 = hits.iter().map(|(level, count)| u64::from(*level) * count).sum();
    let misses = cached.walks.cache.as_ref().map_or(0, |cache| cache.misses);
    assert!(cached.walks.reads <= most + 4 * misses);
}

/// With caches, walks and data cost what the level that serves them takes.
#[test]
fn the_cost_of_walks_is_what_the_caches_say() {
    let mut config = Config { cache: cache("l1=2KiB:2,l2=16KiB:4"), ..config("sv39", 1 << 20) };
    config.tlb = tlb("l1=1x4");
    config.cost.cache_l1 = 3;
    config.cost.cache_l2 = 50;
    config.cost.cache_memory = 700;
    let report = report(&config, &["hashjoin", "2000"]);
    let [l1, l2] = report.caches[..] else { panic!("two levels") };
    let expected = 3 * l1.walks.hits + 50 * l2.walks.hits + 700 * l2.walks.misses;
    assert_eq!(report.cycle_parts.walks, expected);
    assert_eq!(report.cycle_parts.caches, 50 * l2.data.hits + 700 * l2.data.misses);
    let per_walk = expected as f64 / report.walks.walks as f64;
    assert_eq!(report.walks.cycles_per_walk, per_walk);
    assert!(l2.walks.misses > 0 && l2.walks.hits > 0 && l1.walks.hits > 0);
}

/// Text 003: where a walk takes one reference and 99 of 100 accesses hit, an access takes 1.01
/// references on average.
#[test]
fn at_a_hit_ratio_of_99_percent_an_access_takes_1_01_references() {
    const ROUNDS: u64 = 20_000;
    let root = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(root.path().join("program"), two_pages_in_turn()).expect("a program");
    let config = Config { tlb: tlb("l1i=1x4,l1d=1x1"), ..config("linear", 16 << 20) };
    let mut spec = program(&["hello"], root.path());
    spec.path = root.path().join("program");
    let mut machine = Machine::new(config, spec, Stdio::null()).expect("a machine");

    // The first round faults its pages in.
    machine.run_until(SETUP + ROUND);
    let before = machine.report();
    machine.run_until(SETUP + ROUND * (1 + ROUNDS));
    let after = machine.report();

    let references = |r: &Report| r.references.fetches + r.references.loads + r.references.stores;
    let misses = |r: &Report| r.walks.walks;
    let accesses = references(&after) - references(&before);
    assert_eq!(accesses, 200 * ROUNDS);
    assert_eq!(misses(&after) - misses(&before), 2 * ROUNDS, "1 of 100 misses");
    let walks = after.walks.reads + after.walks.writes - before.walks.reads - before.walks.writes;
    assert_eq!((accesses + walks) as f64 / accesses as f64, 1.01);
    // The report is of the whole run: the first round is one of many.
    assert_eq!(format!("{:.4}", after.tlb.references_per_access), "1.0100");
}

/// Instructions before the loop, and in each of its rounds: with two loads, 200 references.
const SETUP: u64 = 2;
const ROUND: u64 = 198;

/// A program that loads from two pages in turn, for ever.
fn two_pages_in_turn() -> Vec<u8> {
    const NOP: u32 = 0x0000_0013;
    let lui = |register: u32, address: u32| address & 0xffff_f000 | register << 7 | 0x37;
    let lbu_t0 = |from: u32| from << 15 | 4 << 12 | 5 << 7 | 0x03;
    let (a0, a1) = (10, 11);
    let mut round = vec![NOP; ROUND as usize];
    round[0] = lbu_t0(a0);
    round[99] = lbu_t0(a1);
    // jal zero, back to the round's first instruction.
    let back = -4 * (ROUND as i32 - 1);
    let offset = back as u32;
    round[ROUND as usize - 1] = (offset >> 20 & 1) << 31
        | (offset >> 1 & 0x3ff) << 21
        | (offset >> 11 & 1) << 20
        | (offset >> 12 & 0xff) << 12
        | 0x6f;
    let code = [lui(a0, 0x1_1000), lui(a1, 0x1_2000)].into_iter().chain(round);
    elf(&code.flat_map(u32::to_le_bytes).collect::<Vec<_>>())
}

/// A static RISC-V executable: one segment at 64 KiB, whose first page begins with the code and
/// which has two more pages, of zeroes.
fn elf(code: &[u8]) -> Vec<u8> {
    const START: u64 = 0x1_0000;
    const HEADERS: u64 = 64 + 56;
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // ET_EXEC, EM_RISCV, EV_CURRENT.
    file.extend([2, 0, 0xf3, 0, 1, 0, 0, 0]);
    for word in [START + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    // Flags; sizes of the headers, one program header, no sections.
    file.extend([0; 4]);
    for half in [64u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable, writable and executable.
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let file_bytes = HEADERS + code.len() as u64;
    for word in [0, START, START, file_bytes, 3 * 4096, 4096] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
