//! Reports made by hand, as text and as JSON.

use std::collections::BTreeMap;

use pagewalk_machine::report::*;
use pagewalk_report::{COLUMNS, json, schema, text};
use proptest::prelude::*;

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|&(name, count)| (name.into(), count)).collect()
}

fn level(hits: u64, misses: u64) -> TlbLevel {
    let lookups = hits + misses;
    TlbLevel { lookups, hits, misses, miss_ratio: misses as f64 / lookups as f64 }
}

/// Numbers that could be a run's; none was measured.
fn sample() -> Report {
    let cycle_parts = CycleParts {
        compute: 1_000_000,
        tlb: 70_000,
        walks: 40_000,
        caches: 0,
        refills: 0,
        faults: 25_000,
        syscalls: 3_000,
        reclaim: 12_000,
        disk: 850_000,
        idle: 0,
    };
    Report {
        schema_version: SCHEMA_VERSION,
        command: vec!["bin/extsort".into(), "/in put".into(), "/out\u{1b}[2J".into()],
        machine: MachineReport {
            name: None,
            mmu: "sv39".into(),
            page_bytes: 4096,
            levels: 3,
            harts: 1,
            ram_bytes: 1 << 20,
            swap_bytes: 256 << 20,
            tlb: "l1i=16x4:lru,l1d=16x4:lru,l2=128x12:lru".into(),
            walk_cache: "none".into(),
            cache: "none".into(),
            policy: "clock".into(),
            huge: "always".into(),
            huge_page_bytes: Some(2 << 20),
            fit: None,
            seed: 0,
            slow: false,
        },
        exit: ExitReport { code: 0, signal: None, reason: None },
        instructions: 1_000_000,
        cycles: cycle_parts.total(),
        time_ns: cycle_parts.total(),
        cycle_parts,
        references: References { fetches: 1_000_000, loads: 250_000, stores: 125_000 },
        tlb: TlbReport {
            l1i: Some(level(999_990, 10)),
            l1d: Some(level(365_000, 10_000)),
            l1: None,
            l2i: None,
            l2d: None,
            l2: Some(level(10_000, 10)),
            flushes: 37,
            entries_flushed: 1_234,
            space_switches: 0,
            entries_flushed_by_switches: 0,
            references_per_access: 1.001_45,
        },
        walks: WalkReport {
            walks: 700,
            reads: 2_000,
            writes: 40,
            rewalks: 7,
            references_per_walk: 2_040.0 / 700.0,
            cycles_per_walk: 40_000.0 / 700.0,
            cache: None,
        },
        harts: Vec::new(),
        caches: Vec::new(),
        refills: None,
        processes: None,
        kernel: None,
        faults: FaultReport {
            minor: 60,
            major: 15,
            by_cause: counts(&[("file", 10), ("swap-in", 5), ("zero-fill", 60)]),
        },
        memory: MemoryReport {
            frames: 256,
            peak_used: 250,
            peak_resident: 200,
            anon: 190,
            anon_huge: 0,
            peak_anon_huge: 512,
            file: 10,
            page_cache: 12,
            page_tables: 6,
            peak_page_tables: 7,
            oom_kills: vec![],
            free: 38,
        },
        shared_tables: None,
        segments: None,
        replacement: Some(ReplacementReport {
            policy: "linux:swappiness=60".into(),
            scope: "global".into(),
            resident_limit: None,
            group_limit: None,
            group_steals: 0,
            own_steals: 0,
            scans: 130,
            harvests: 70,
            referenced: 50,
            steals: 48,
            given_up: 3,
            launders: 9,
            refaults_anon: 5,
            refaults_file: 2,
            refault_distance: Some(17.25),
            activations: Some(12),
            deactivations: Some(4),
        }),
        pressure: None,
        swap: SwapReport {
            slots: 65_536,
            used: 40,
            peak_used: 44,
            pages_in: 5,
            pages_out: 45,
            cache_hits: 0,
            shared_slots: 0,
            writes_saved: 0,
            errors: 0,
            ..SwapReport::default()
        },
        files: FileReport { pages_in: 10, pages_out: 0, errors: 0 },
        opt: Some(OptReport {
            references: 80_000,
            references_kept: 2_000,
            cut_at: None,
            pages: 300,
            frames: 240,
            frames_least: 230,
            cold_faults: 300,
            refaults: 150,
            faults: 450,
            opt_refaults: 75,
            opt_faults: 375,
            gap: 1.2,
        }),
        foresight: None,
        syscalls: (b'a'..=b'j').map(|c| (char::from(c).into(), u64::from(c % 4))).collect(),
        counters: counts(&[("pgfault", 75), ("pgmajfault", 15)]),
    }
}

#[test]
fn the_text_of_a_run() {
    insta::assert_snapshot!(text(&sample()));
}

#[test]
fn shared_page_tables_show_what_they_save() {
    let mut report = sample();
    report.shared_tables = Some(SharedTableReport {
        which: "all".into(),
        shared: 40,
        entries_not_copied: 16_384,
        faults_saved: 12,
        copied: 3,
        entries_copied: 1_100,
        frames_saved: 1,
        peak_frames_saved: 33,
        cycles_saved: 775_000,
    });
    let shown = text(&report);
    let part: Vec<&str> =
        shown.lines().skip_while(|line| !line.starts_with("Shared page tables")).take(7).collect();
    insta::assert_snapshot!(part.join("\n"));
}

#[test]
fn caches_and_a_walk_cache_show_what_they_did() {
    let lookups = |hits: u64, misses: u64| CacheLookups {
        lookups: hits + misses,
        hits,
        misses,
        miss_ratio: misses as f64 / (hits + misses) as f64,
    };
    let mut report = sample();
    report.machine.walk_cache = "l1=1x32:lru,l2=1x4:lru".into();
    report.machine.cache = "l1=32KiB:8:lru,l2=256KiB:8:lru".into();
    let hits = [(1, 500), (2, 150)].into_iter().collect();
    report.walks.cache = Some(WalkCacheReport { hits, misses: 50 });
    report.cycle_parts.caches = report.cycle_parts.compute / 2;
    report.cycle_parts.compute /= 2;
    report.caches = vec![
        CacheLevelReport {
            data: lookups(370_000, 5_000),
            walks: lookups(2_000, 40),
            writebacks: 1_200,
        },
        CacheLevelReport { data: lookups(4_000, 1_000), walks: lookups(30, 10), writebacks: 7 },
    ];
    let text = text(&report);
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS));
    insta::assert_snapshot!(text);
}

#[test]
fn processes_are_shown_with_what_they_share() {
    let mut report = sample();
    report.processes = Some(ProcessReport {
        processes: 13,
        threads: 15,
        peak_threads: 9,
        execs: 2,
        context_switches: 1_234,
        forks: 12,
        fork_shared: 1_650,
        copied: 345,
        copies_avoided: 24,
        peak_shared_frames: 140,
        shared_frames: 1,
        mapped_files: vec![
            MappedFileReport {
                path: "/usr/lib/libc.so.6".to_owned(),
                pages: 131,
                mappings: 1_310,
                pages_saved: 1_179,
            },
            MappedFileReport {
                path: format!("/{}\x1b[2J", "far/".repeat(20)),
                pages: 2,
                mappings: 3,
                pages_saved: 1,
            },
            MappedFileReport { path: String::new(), pages: 1, mappings: 2, pages_saved: 1 },
        ],
    });
    insta::assert_snapshot!(text(&report));
}

#[test]
fn several_harts_are_shown_one_by_one() {
    let mut report = sample();
    report.machine.harts = 2;
    report.tlb.space_switches = 13;
    report.tlb.entries_flushed_by_switches = 1_001;
    let hart = HartReport {
        instructions: 700_000,
        cycles: 1_200_000,
        references: References { fetches: 700_000, loads: 200_000, stores: 100_000 },
        tlb: Some(level(990_000, 10_000)),
        walks: 650,
        context_switches: 20,
        space_switches: 12,
        shootdowns_sent: 3,
        shootdowns_received: 5,
    };
    let other = HartReport { tlb: None, walks: 50, space_switches: 1, ..hart.clone() };
    report.harts = vec![hart, other];
    insta::assert_snapshot!(text(&report));
}

/// Swap of which more was asked than a device.
#[test]
fn the_text_of_swap_devices_with_zswap_and_read_ahead() {
    let mut report = sample();
    let device = SwapDeviceReport {
        name: "/dev/swap".into(),
        on: "memory".into(),
        priority: 10,
        model: None,
        slots: 256,
        used: 256,
        pages_in: 4,
        pages_out: 400,
        errors: 0,
        busy_ns: 404_000,
    };
    let second = SwapDeviceReport {
        name: "/dev/swap1".into(),
        on: "/tmp/\u{1b}swap".into(),
        priority: -2,
        model: Some("hdd".into()),
        slots: 65_280,
        used: 0,
        pages_in: 1,
        pages_out: 12_345,
        errors: 3,
        busy_ns: 12_345_678_901,
    };
    report.swap.devices = vec![device, second];
    report.swap.read_ahead =
        Some(ReadAheadReport { window_max: 8, pages: 4, hits: 3, hit_ratio: 0.75 });
    report.swap.zswap = Some(ZswapReport {
        compressor: "zstd".into(),
        capacity_bytes: 1 << 18,
        peak_bytes: 1 << 18,
        used_bytes: 4096,
        pages: 9,
        pages_in: 100,
        pages_out: 200,
        written_back: 91,
        same_filled: 20,
        rejected: 7,
        compression_ratio: 2.875,
    });
    insta::assert_snapshot!(text(&report));
}

#[test]
fn the_text_of_a_run_that_was_killed_without_a_tlb() {
    let mut report = sample();
    report.exit = ExitReport {
        code: 139,
        signal: Some("SIGSEGV".into()),
        reason: Some("load from 0x0 (SEGV_MAPERR) at 0x10124: nothing is mapped there".into()),
    };
    report.machine.swap_bytes = 0;
    report.machine.slow = true;
    report.machine.tlb = "none".into();
    report.swap = SwapReport::default();
    (report.tlb.l1i, report.tlb.l1d, report.tlb.l2) = (None, None, None);
    insta::assert_snapshot!(text(&report));
}

/// The same on a machine without pages.
fn segmented() -> Report {
    let mut report = sample();
    report.machine.mmu = "segments".into();
    report.machine.levels = 0;
    report.machine.swap_bytes = 0;
    report.machine.tlb = "none".into();
    report.machine.policy = "none".into();
    report.machine.fit = Some("best".into());
    report.replacement = None;
    report.swap = SwapReport::default();
    report.walks = WalkReport::default();
    report.faults = FaultReport::default();
    (report.tlb.l1i, report.tlb.l1d, report.tlb.l2) = (None, None, None);
    let row = |name: &str, descriptors, start, bytes, at, rights: &str, grows_down| SegmentRow {
        name: name.into(),
        descriptors,
        start,
        bytes,
        at,
        rights: rights.into(),
        grows_down,
    };
    report.segments = Some(SegmentReport {
        table: vec![
            row("1", 1, 0x1_0000, 4096, 0, "r-x", false),
            row("2", 18, 0x2_0000, 1_150_976, 0x4_0000, "rw-", false),
            row("1022", 2, 0x3fe_f000, 69_632, 0x1000, "rw-", true),
        ],
        descriptors: 1024,
        peak_used: 23,
        blocks: Some(BlockReport {
            total: 1 << 20,
            free: 400_000,
            largest_free: 300_000,
            free_blocks: 3,
            fragmentation: 0.25,
            wasted: 8192,
            moves: 7,
            bytes_moved: 123_456,
            compactions: 1,
            refused_memory: 2,
            refused_segments: 0,
        }),
    });
    report
}

#[test]
fn the_text_of_a_run_in_segments() {
    insta::assert_snapshot!(text(&segmented()));
}

#[test]
fn the_json_of_segments() {
    let value: serde_json::Value = serde_json::from_str(&json(&segmented())).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&value["segments"]).unwrap());
}

#[test]
fn the_json_of_a_run() {
    insta::assert_snapshot!(json(&sample()));
}

#[test]
fn a_run_of_nothing_divides_by_nothing() {
    let mut report = sample();
    report.instructions = 0;
    report.cycles = 0;
    report.cycle_parts = CycleParts::default();
    report.references = References::default();
    report.walks = WalkReport::default();
    report.faults = FaultReport::default();
    report.tlb.l2 = Some(TlbLevel::default());
    report.memory = MemoryReport::default();
    let text = text(&report);
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn a_tlb_that_software_loads_shows_its_exceptions() {
    let counts =
        RefillReport { refill: 1_234, kernel_refill: 56, invalid: 7, modified: 8, address: 9 };
    let text = text(&Report { refills: Some(counts), ..sample() });
    let start = text.find("TLB exceptions").expect("a section");
    let section: Vec<&str> = text[start..].lines().take(6).collect();
    insta::assert_snapshot!(section.join("\n"));
}

#[test]
fn a_second_run_that_went_another_way_says_where() {
    let reason = Some("the recording cannot be read".into());
    let foresight = ForesightReport { references: 80_000, apart_at: Some(1_234), reason };
    let text = text(&Report { foresight: Some(foresight), ..sample() });
    let start = text.find("Second run").expect("a section");
    let section: Vec<&str> = text[start..].lines().take(4).collect();
    insta::assert_snapshot!(section.join("\n"));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    assert!(text(&sample()).chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn the_schema_names_every_field_of_the_json() {
    let schema = schema();
    let value: serde_json::Value = serde_json::from_str(&json(&sample())).unwrap();
    for field in value.as_object().unwrap().keys() {
        assert!(schema.contains(&format!("\"{field}\": {{")), "{field} is not in the schema");
    }
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_page(
        n in prop::array::uniform8(0..1_000_000_000_000_000u64),
        command in prop::collection::vec(".{0,120}", 0..5),
    ) {
        let mut report = sample();
        report.command = command;
        report.instructions = n[0];
        report.cycles = n[1];
        report.cycle_parts = CycleParts { compute: n[1], ..CycleParts::default() };
        report.references = References { fetches: n[2], loads: n[3], stores: 0 };
        report.tlb.l2 = Some(TlbLevel { lookups: n[4], hits: n[5], misses: n[6], miss_ratio: 1.0 });
        let [walks, reads, writes, rewalks] = [n[7], n[6], n[5], n[7]];
        report.walks = WalkReport { walks, reads, writes, rewalks, ..report.walks };
        let hits = (1..=4).map(|level| (level, n[usize::from(level)])).collect();
        report.walks.cache = Some(WalkCacheReport { hits, misses: n[0] });
        let lookups = CacheLookups { lookups: n[4], hits: n[5], misses: n[6], miss_ratio: 1.0 };
        let level = CacheLevelReport { data: lookups, walks: lookups, writebacks: n[3] };
        report.caches = vec![level; 3];
        let [refill, kernel_refill, invalid, modified, address, ..] = n;
        let refills = RefillReport { refill, kernel_refill, invalid, modified, address };
        report.refills = Some(refills);
        report.faults.minor = n[6];
        report.memory = MemoryReport { frames: n[7] / 1000, free: n[7] / 1000, ..report.memory };
        for line in text(&report).lines() {
            prop_assert!(line.chars().count() <= COLUMNS, "{}", line);
        }
    }
}
