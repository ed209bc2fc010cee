//! TLBs that software loads, under real programs: what is counted, and that nothing stale stays.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::report::RefillReport;
use pagewalk_machine::{Config, Report};
use pagewalk_mmu::tlb::TlbConfig;

fn report_of(config: Config, args: &[&str]) -> Report {
    let root = input();
    let (mut machine, _) = machine(config, args, root.path());
    run(&mut machine);
    machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    machine.report()
}

fn refills(report: &Report) -> RefillReport {
    report.refills.expect("software loads this TLB")
}

#[test]
fn hardware_that_walks_has_no_refills() {
    assert_eq!(report_of(config("sv39", 1 << 20), &["hello"]).refills, None);
}

#[test]
fn the_r3000_refills_from_a_table_that_is_mapped_itself() {
    // 4 MiB of data at random addresses: far more than 64 pages, in more than one page of the table.
    let report = report_of(config("r3000", 16 << 20), &["randaccess", "4", "200000"]);
    let counts = refills(&report);
    assert!(counts.refill > 100_000, "{counts:?}");
    assert!(counts.kernel_refill > 2, "pages of the table leave the TLB, too: {counts:?}");
    assert!(counts.kernel_refill < counts.refill / 2, "{counts:?}");
    assert!(counts.invalid > 1000, "each page's first reference: {counts:?}");
    assert_eq!(report.walks.walks, report.tlb.l1.expect("one level").misses);
    // One load for each refill, one more for each miss in kseg2, and those of page faults.
    assert!(report.walks.reads >= counts.refill + counts.kernel_refill);
    let general = counts.kernel_refill + counts.invalid + counts.modified + counts.address;
    assert_eq!(report.cycle_parts.refills, 9 * counts.refill + 20 * general);
    assert_eq!(report.cycle_parts.total(), report.cycles);
}

/// Referenced and modified bits come from invalid and modified exceptions alone: reclaim goes by
/// them, and loses nothing.
#[test]
fn the_r3000_pages_without_referenced_and_modified_bits() {
    let counts = |format| {
        let report = report_of(config(format, 160 << 10), &["hashjoin", "6000"]);
        assert!(report.swap.pages_out > 0, "no pressure, no test");
        report
    };
    let r3000 = counts("r3000");
    assert!(r3000.faults.by_cause["update"] > 0);
    assert!(refills(&r3000).modified > 0);
    assert_eq!(counts("sv32").refills, None);
}

#[test]
fn nothing_stale_stays_while_the_r3000_pages() {
    let root = input();
    let (mut machine, _) = machine(config("r3000", 160 << 10), &["hashjoin", "6000"], root.path());
    for step in 1..200 {
        machine.run_until(step * 20_000);
        machine.audit().unwrap_or_else(|error| panic!("step {step}: {error}"));
    }
    assert!(machine.report().swap.pages_out > 0, "no pressure, no test");
}

/// The handler walks as the hardware does: the same tables, the same number of references.
#[test]
fn a_software_walk_reads_what_a_hardware_walk_reads() {
    for format in ["ia32", "sv39", "x86-64", "aarch64"] {
        let with = |tlb| {
            let tlb = Some(TlbConfig::parse(tlb).expect("a TLB"));
            report_of(Config { tlb, ..config(format, 1 << 20) }, &["wordfreq", "/words", "5"])
        };
        let (hard, soft) = (with("l1=1x16"), with("l1=1x16,software"));
        assert_eq!(hard.walks, soft.walks, "{format}");
        assert_eq!((hard.tlb.l1, hard.faults.clone()), (soft.tlb.l1, soft.faults.clone()));
        let counts = refills(&soft);
        assert_eq!(counts.refill + counts.invalid + counts.modified, soft.walks.walks);
        assert_eq!((counts.kernel_refill, counts.address), (0, 0));
    }
}

#[test]
fn the_r3000_has_no_other_tlb_than_its_own() {
    let config = config("r3000", 1 << 20);
    let own = config.tlb.expect("a TLB").to_string();
    assert!(own.starts_with("l1=1x64:random,") && own.ends_with(",software"), "{own}");
    for other in [None, Some(TlbConfig::default())] {
        let error = config.hardware.check_tlb(other.as_ref()).expect_err("not the R3000's");
        assert!(error.contains("leave the option out"), "{error}");
    }
}
