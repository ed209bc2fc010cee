//! Modified pages are written while the swap device has nothing to do, and page-out finds them clean.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::{Config, DeviceWait, Report};

fn sort(launder_ahead: bool, slow: bool) -> (Report, String) {
    let root = input();
    let base = config("sv39", 160 << 10);
    let config = Config { launder_ahead, slow, device_wait: DeviceWait::Thread, ..base };
    let (mut machine, output) = machine(config, &["extsort", "/in", "/out", "16"], root.path());
    machine.audit_always();
    run(&mut machine);
    let mut report = machine.report();
    assert_eq!(report.exit.code, 0, "{:?}", report.exit.reason);
    report.machine.slow = false;
    (report, output.text())
}

#[test]
fn pages_are_written_while_the_device_is_idle_and_leave_clean() {
    let (without, expected) = sort(false, false);
    let (with, output) = sort(true, false);
    assert_eq!(output, expected);
    let count = |report: &Report, name: &str| report.counters[name];
    assert_eq!((count(&without, "pglaunder_ahead"), count(&without, "pgscan_launder")), (0, 0));
    let ahead = count(&with, "pglaunder_ahead");
    assert!(ahead > 0 && ahead <= count(&with, "pswpout"), "{ahead}");
    assert!(count(&with, "pgdrop_clean") > count(&without, "pgdrop_clean"));
}

#[test]
fn the_plain_path_launders_the_same_pages() {
    assert_eq!(sort(true, false), sort(true, true));
}
