//! Programs of several processes do the same whether these share page tables or not; what is saved
//! shows in the report. Paging-structure caches hold pointers to the tables, and every event is
//! audited.

mod common;

use common::{FORMATS, config, input, machine, run};
use pagewalk_kernel::{AnyPmap, Pmap};
use pagewalk_machine::{Config, Report, ShareTables};
use pagewalk_mmu::WalkCacheConfig;

const PROGRAMS: &[&[&str]] = &[
    &["fork-snapshot", "64", "2", "snapshot"],
    &["cowstorm", "4", "64"],
    &["shmcount", "3", "20"],
    &["prodcons", "50"],
];

/// The formats whose tables can be shared.
fn formats() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().copied().filter(|format| {
        let hardware = config(format, 1 << 20).hardware;
        hardware.tables().is_some_and(|tables| AnyPmap::shared_span(tables).is_some())
    })
}

/// A machine with caches of pointers to tables, and so many times the least RAM that makes sense.
fn small(format: &str, pages: u64, share_tables: ShareTables) -> Config {
    let page = config(format, 1 << 20).hardware.base_page();
    // The R3000 walks by software.
    let walk_cache = (format != "r3000").then(|| WalkCacheConfig::parse("all=16"));
    let walk_cache = walk_cache.map(|config| config.expect("a walk cache"));
    Config { share_tables, walk_cache, ..config(format, pages * page.bytes()) }
}

fn report(config: Config, args: &[&str]) -> (Report, String) {
    let root = input();
    let (mut machine, output) = machine(config, args, root.path());
    machine.audit_always();
    run(&mut machine);
    machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    (machine.report(), output.text())
}

#[test]
fn programs_do_the_same_with_shared_tables() {
    for format in formats() {
        for args in PROGRAMS {
            let [plain, shared] = [ShareTables::Off, ShareTables::All]
                .map(|choice| report(small(format, 600, choice), args));
            assert_eq!(plain.1, shared.1, "{args:?} on {format}");
            assert_eq!(plain.0.exit, shared.0.exit, "{args:?} on {format}");
            assert_eq!(plain.0.shared_tables, None);
            let tables = shared.0.shared_tables.expect("tables are shared");
            assert!(tables.shared > 0 && tables.peak_frames_saved > 0, "{args:?} on {format}");
        }
    }
}

#[test]
fn programs_do_the_same_under_pressure() {
    for format in formats().filter(|format| !format.ends_with('k')) {
        for args in &PROGRAMS[..2] {
            let [plain, shared] = [ShareTables::Off, ShareTables::All]
                .map(|choice| report(small(format, 96, choice), args));
            assert_eq!(plain.1, shared.1, "{args:?} on {format}");
        }
    }
}

/// Two harts have the parent and the child in their TLBs at once, and the plain path does the same.
#[test]
fn harts_and_the_plain_path_agree() {
    for format in ["sv39", "x86-64"] {
        for args in PROGRAMS {
            let of = |slow, harts| {
                let config = small(format, 600, ShareTables::All);
                let (mut report, output) = report(Config { slow, harts, ..config }, args);
                report.machine.slow = false;
                (report, output)
            };
            let two = of(false, 2);
            assert_eq!(two, of(true, 2), "{args:?} on {format}");
            assert_eq!(two.1, of(false, 1).1, "{args:?} on {format}");
        }
    }
}
