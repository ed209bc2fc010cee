//! Machines without pages, and with segments before them, audited all along the way.

mod common;

use common::{UNPAGED, config, input, machine, run};
use pagewalk_machine::{Config, Fit};

const PROGRAMS: [&[&str]; 5] = [
    &["protect"],
    &["wordfreq", "/words", "5"],
    &["extsort", "/in", "/out", "16"],
    &["recurse", "4000"],
    &["selfmodify"],
];

#[test]
fn everything_holds_after_every_thousand_instructions() {
    let kinds = UNPAGED.iter().chain(&["segments-paging"]);
    for (kind, args) in kinds.flat_map(|kind| PROGRAMS.iter().map(move |args| (kind, args))) {
        let root = input();
        let (mut machine, _) = machine(config(kind, 2 << 20), args, root.path());
        for step in 1..100 {
            machine.run_until(step * 1000);
            machine.audit().unwrap_or_else(|error| panic!("{args:?} on {kind}: {error}"));
        }
        run(&mut machine);
        machine.audit().unwrap_or_else(|error| panic!("{args:?} on {kind}: {error}"));
        let report = machine.report();
        assert_eq!(report.exit.code, 0, "{args:?} on {kind}: {:?}", report.exit);
        machine.tear_down().unwrap_or_else(|error| panic!("{args:?} on {kind}: {error}"));
    }
}

#[test]
fn a_snapshot_goes_on_as_the_machine_does() {
    let root = input();
    for kind in UNPAGED {
        let config = Config { fit: Fit::Worst, ..config(kind, 1 << 20) };
        let (mut machine, _) = machine(config, &["recurse", "1500"], root.path());
        machine.run_until(50_000);
        let mut copy = machine.snapshot().expect("a copy");
        run(&mut machine);
        run(&mut copy);
        assert_eq!(machine.report(), copy.report(), "{kind}");
    }
}

/// The GDT lies in RAM, out of the kernel's reach.
#[test]
fn the_descriptor_table_is_not_the_kernels_to_give() {
    let root = input();
    let paged = machine(config("ia32", 1 << 20), &["hello"], root.path()).0.report();
    let segmented = machine(config("segments-paging", 1 << 20), &["hello"], root.path()).0;
    assert_eq!(segmented.report().memory.frames, paged.memory.frames - 1);
    let segments = segmented.report().segments.expect("IA-32 has segments");
    let rows: Vec<_> = segments.table.iter().map(|row| (row.name.as_str(), row.start)).collect();
    assert_eq!(rows, [("cs", 0), ("ds", 0)]);
    assert!(segments.blocks.is_none(), "memory is given in pages");
}
