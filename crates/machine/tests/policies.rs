//! Every page-replacement policy under real programs: same output, same report on both paths, and
//! nothing that an audit objects to.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::{Config, Report};
use pagewalk_replacement::PolicyKind;

const EXTSORT: &[&str] = &["extsort", "/in", "/out", "16"];

fn policies() -> impl Iterator<Item = PolicyKind> {
    PolicyKind::ALL.into_iter().filter(|kind| !kind.sees_references())
}

/// Runs a program, with an audit after every stop if that is wanted, and gives report and output.
fn outcome(config: Config, args: &[&str], audited: bool) -> (Report, String) {
    let root = input();
    let (mut machine, output) = machine(config, args, root.path());
    if audited {
        machine.audit_always();
    }
    run(&mut machine);
    machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    (machine.report(), output.text())
}

#[test]
fn the_output_is_the_same_under_every_policy_and_in_any_memory() {
    let programs: [&[&str]; 3] = [EXTSORT, &["randaccess", "1", "5000"], &["recurse", "1500"]];
    for program in programs {
        let (expected, text) = outcome(config("sv39", 4 << 20), program, false);
        assert_eq!(expected.exit.code, 0, "{program:?}");
        for policy in policies() {
            for (format, kib) in [("sv39", 160), ("ia32", 160), ("hashed", 256), ("r3000", 640)] {
                let config = Config { policy, ..config(format, kib << 10) };
                let (report, output) = outcome(config, program, false);
                let what = format!("{program:?} under {policy} on {format} in {kib} KiB");
                assert_eq!(report.exit, expected.exit, "{what}");
                assert_eq!(output, text, "{what}");
                check_sums(&report, &what);
                if format == "sv39" {
                    check_pressure(&report, &what);
                }
            }
        }
    }
}

/// What the section on replacement says, and what other sections say of the same.
fn check_sums(report: &Report, what: &str) {
    let replacement = report.replacement.as_ref().expect("a machine with pages");
    let refaults = replacement.refaults_anon + replacement.refaults_file;
    assert!(replacement.refaults_anon <= report.swap.pages_in, "{what}");
    assert!(refaults <= replacement.steals + replacement.given_up, "{what}");
    assert_eq!(replacement.refault_distance.is_some(), refaults > 0, "{what}");
    assert!(replacement.launders <= report.swap.pages_out + report.files.pages_out, "{what}");
}

/// Memory was short: or the test would show nothing.
fn check_pressure(report: &Report, what: &str) {
    let replacement = report.replacement.as_ref().expect("a machine with pages");
    assert!(replacement.steals > 0 && replacement.scans >= replacement.steals, "{what}");
    assert!(replacement.referenced > 0 || replacement.policy.starts_with("fifo"), "{what}");
}

#[test]
fn the_plain_path_gives_the_same_report_under_every_policy() {
    for policy in policies() {
        for format in ["sv39", "ia32", "hashed"] {
            let reports = [false, true].map(|slow| {
                let config = Config { policy, slow, harvest: 500, ..config(format, 256 << 10) };
                let (mut report, output) = outcome(config, &["randaccess", "1", "5000"], false);
                report.machine.slow = false;
                (report, output)
            });
            assert_eq!(reports[0], reports[1], "{policy} on {format}");
        }
    }
}

#[test]
fn everything_holds_after_every_stop_under_every_policy() {
    for policy in policies() {
        let config = Config { policy, harvest: 200, ..config("sv39", 160 << 10) };
        let (report, _) = outcome(config, EXTSORT, true);
        assert_eq!(report.exit.code, 0, "{policy}: {:?}", report.exit.reason);
    }
}
