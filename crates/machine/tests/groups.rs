//! Limits on memory that programs set for each other: rlimits and groups.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::{Config, DeviceWait};

fn outcome(config: Config, program: &str) -> String {
    let root = input();
    let (mut machine, output) = machine(config, &[program], root.path());
    machine.audit_always();
    run(&mut machine);
    let report = machine.report();
    assert_eq!(report.exit.code, 0, "{program}: {:?}\n{}", report.exit.reason, output.text());
    machine.tear_down().expect("nothing is held");
    output.text()
}

#[test]
fn limits_hold_across_execve_and_for_other_processes() {
    for format in ["sv39", "ia32", "hashed"] {
        let text = outcome(config(format, 3 << 20), "limits");
        assert!(text.ends_with("0 failures\n"), "{format}: {text}");
    }
}

#[test]
fn groups_are_made_and_limited_by_programs() {
    for (format, device_wait) in
        [("sv39", DeviceWait::Hart), ("sv39", DeviceWait::Thread), ("ia32", DeviceWait::Hart)]
    {
        let text = outcome(Config { device_wait, ..config(format, 4 << 20) }, "groups");
        assert!(text.ends_with("0 failures\n"), "{format}: {text}");
    }
}

#[test]
fn the_limit_for_all_holds_for_the_groups_that_programs_make() {
    let limit = Some((3 << 20) / 4096);
    let text = outcome(Config { limit, ..config("sv39", 8 << 20) }, "groups");
    assert!(text.ends_with("0 failures\n"), "{text}");
}
