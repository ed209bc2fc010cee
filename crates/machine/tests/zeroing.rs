//! Free frames are zeroed while a hart waits for devices, and new pages find them so.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::{Config, DeviceWait, Report};

fn sort(zero_ahead: bool, slow: bool) -> (Report, String) {
    let root = input();
    let base = config("sv39", 160 << 10);
    let config = Config { zero_ahead, slow, device_wait: DeviceWait::Thread, ..base };
    let (mut machine, output) = machine(config, &["extsort", "/in", "/out", "16"], root.path());
    machine.audit_always();
    run(&mut machine);
    let mut report = machine.report();
    assert_eq!(report.exit.code, 0, "{:?}", report.exit.reason);
    report.machine.slow = false;
    (report, output.text())
}

#[test]
fn new_pages_find_frames_zeroed_in_time_that_was_idle() {
    let (without, expected) = sort(false, false);
    let (with, output) = sort(true, false);
    assert_eq!(output, expected);
    let count = |report: &Report, name: &str| report.counters[name];
    assert_eq!((count(&without, "pgzero_ahead"), count(&without, "pgzero_hit")), (0, 0));
    let (ahead, hits) = (count(&with, "pgzero_ahead"), count(&with, "pgzero_hit"));
    assert!(hits > 0 && hits <= ahead, "{hits} of {ahead}");
    assert!(hits <= count(&with, "pgzeroed"));
    assert!(with.cycle_parts.idle < without.cycle_parts.idle, "it takes idle time");
}

#[test]
fn the_plain_path_zeroes_the_same_frames() {
    assert_eq!(sort(true, false), sort(true, true));
}
