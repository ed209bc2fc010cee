//! The fast path gives the same report as the plain path, to the last counter.

mod common;

use common::{FORMATS, PROGRAMS, UNPAGED, config, input, machine, run};
use pagewalk_machine::report::{HartReport, WalkReport};
use pagewalk_machine::{Config, Fit, HugePolicy, Report, Scope};
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_replacement::PolicyKind;

/// Runs a program both ways, audits both machines, and compares reports and output.
fn compare(config: &Config, args: &[&str]) -> Report {
    let root = input();
    let reports = [false, true].map(|slow| {
        let (mut machine, output) = machine(Config { slow, ..config.clone() }, args, root.path());
        run(&mut machine);
        machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
        let mut report = machine.report();
        assert_eq!(report.machine.slow, slow);
        report.machine.slow = false;
        (report, output.text())
    });
    assert_eq!(reports[0], reports[1], "{args:?} on {}", reports[0].0.machine.mmu);
    let [(report, _), _] = reports;
    assert_eq!(report.cycle_parts.total(), report.cycles);
    report
}

#[test]
fn every_program_on_every_format() {
    for (format, program) in FORMATS.iter().flat_map(|f| PROGRAMS.iter().map(move |p| (f, p))) {
        // About 1 MiB where pages are of 4 KiB: a linear table alone takes most of it.
        let page = config(format, 1 << 20).hardware.base_page();
        compare(&config(format, 280 * page.bytes()), program);
    }
}

/// Without pages nothing can be elsewhere: the program must fit.
#[test]
fn without_pages_by_every_fit() {
    let programs: [&[&str]; 4] = [
        &["extsort", "/in", "/out", "16"],
        &["wordfreq", "/words", "5"],
        &["recurse", "3000"],
        &["protect"],
    ];
    for (format, program) in UNPAGED.iter().flat_map(|f| programs.iter().map(move |p| (f, p))) {
        for fit in [Fit::First, Fit::Best, Fit::Worst, Fit::Next] {
            let report = compare(&Config { fit, ..config(format, 4 << 20) }, program);
            assert_eq!(report.exit.code, 0, "{program:?} on {format}");
            assert_eq!(report.walks, WalkReport::default());
            assert_eq!(report.faults.minor + report.faults.major, 0);
            assert!(report.segments.is_some_and(|segments| segments.blocks.is_some()));
        }
    }
}

#[test]
fn under_pressure_with_every_kind_of_tlb() {
    let tlbs = [
        "none",
        "4",
        "l1=1x8:plru",
        "l1i=1x2,l1d=2x2:fifo,l2=4x4:random",
        "l1i=2x2:plru,l1d=1x3,l2=8x2:plru",
        "l1=1x64,untagged",
        "l1=1x8:random,software",
        "l1i=1x2,l1d=2x2,l2=4x4:fifo,software",
    ];
    let programs: [&[&str]; 4] = [
        &["extsort", "/in", "/out", "16"],
        &["hashjoin", "1500"],
        &["selfmodify"],
        &["recurse", "900"],
    ];
    for (tlb, program) in tlbs.iter().flat_map(|t| programs.iter().map(move |p| (t, p))) {
        let paged = ["segments-paging", "ia32", "pae", "sv39", "x86-64-la57", "aarch64"];
        let larger = [("aarch64-16k", 24 << 14), ("aarch64-64k", 18 << 16)];
        for (format, ram_bytes) in paged.map(|format| (format, 160 << 10)).into_iter().chain(larger)
        {
            let tlb = (*tlb != "none").then(|| TlbConfig::parse(tlb).expect("a TLB"));
            compare(&Config { tlb, ..config(format, ram_bytes) }, program);
        }
    }
}

/// Large pages, with room for them and without, that TLBs of many shapes hold.
#[test]
fn with_large_pages_that_come_and_fall_apart() {
    let machines = [
        ("ia32", "l1i=1x4,l1d=1x2,l2=4x2:fifo", 9),
        ("pae", "none", 16),
        ("sv39", "l1=1x4:plru", 6),
        ("sv48", "l1i=16x4,l1d=16x4,l2=128x12", 64),
        ("x86-64", "l1i=2x2,l1d=2x2:random", 7),
        ("aarch64", "4", 5),
    ];
    let mut splits = 0;
    for (format, tlb, mib) in machines {
        let tlb = (tlb != "none").then(|| TlbConfig::parse(tlb).expect("a TLB"));
        let never = config(format, mib << 20);
        let program = &["randaccess", "8", "5000"];
        let report = compare(&Config { tlb, huge: HugePolicy::Always, ..never }, program);
        assert!(report.counters["thp_fault_alloc"] > 0, "{format}");
        splits += report.counters["thp_split_page"];
    }
    assert!(splits > 1, "{splits} large pages fell apart: no pressure, no test");
}

#[test]
fn under_pressure_on_the_r3000() {
    let programs: [&[&str]; 3] =
        [&["extsort", "/in", "/out", "16"], &["hashjoin", "1500"], &["selfmodify"]];
    for program in programs {
        compare(&config("r3000", 160 << 10), program);
    }
}

#[test]
fn with_a_policy_for_each_process() {
    for (policy, resident) in [
        (PolicyKind::Clock, None),
        (PolicyKind::Linux { swappiness: 60 }, Some(24)),
        (PolicyKind::WorkingSet { tau: 100_000 }, None),
    ] {
        let ram_bytes = 640 << 10;
        let scope = Scope::Process;
        let config = Config { policy, scope, resident, ..config("sv39", ram_bytes) };
        let report = compare(&config, &["cowstorm", "4", "128"]);
        let replacement = report.replacement.expect("a machine with pages");
        assert!(replacement.own_steals + replacement.given_up > 0, "{policy:?}");
    }
}

#[test]
fn the_same_run_twice_is_the_same() {
    let root = input();
    let reports = [(); 2].map(|()| {
        let args = ["extsort", "/in", "/out"];
        let (mut machine, _) = machine(config("sv48", 256 << 10), &args, root.path());
        run(&mut machine);
        machine.report()
    });
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn a_snapshot_goes_on_as_the_machine_does() {
    let root = input();
    let args = ["hashjoin", "2000"];
    let (mut machine, _) = machine(config("sv39", 160 << 10), &args, root.path());
    machine.run_until(100_000);
    let mut copy = machine.snapshot().expect("a copy of the swap device");
    run(&mut machine);
    run(&mut copy);
    assert!(machine.report().swap.pages_out > 0, "no pressure, no test");
    assert_eq!(machine.report(), copy.report());
}

/// Threads that change mappings under each other; what goes stale is told of by the program, by the
/// audit in between, and by the other path.
#[test]
fn threads_on_several_harts() {
    let machines = [
        ("sv39", "l1i=2x2,l1d=2x4,l2=8x4", 3),
        ("sv48", "l1=1x16,untagged", 2),
        ("x86-64", "l1i=2x2,l1d=2x4,asid=1", 4),
        ("pae", "none", 2),
        ("ia32", "l1=1x8:random,software", 3),
        ("segments-paging", "8", 2),
        ("inverted", "l1=4x4", 3),
    ];
    for (format, tlb, harts) in machines {
        let tlb = (tlb != "none").then(|| TlbConfig::parse(tlb).expect("a TLB"));
        let has_tlb = tlb.is_some();
        let config = Config { tlb, harts, ..config(format, 2 << 20) };
        let report = compare(&config, &["threads", "3", "3"]);
        assert_eq!((report.exit.code, report.harts.len()), (0, harts as usize), "{format}");
        let sum = |of: fn(&HartReport) -> u64| report.harts.iter().map(of).sum::<u64>();
        assert_eq!(sum(|hart| hart.instructions), report.instructions);
        assert_eq!(sum(|hart| hart.cycles), report.cycles);
        assert_eq!(sum(|hart| hart.walks), report.walks.walks);
        assert_eq!(sum(|hart| hart.space_switches), report.tlb.space_switches);
        let sent = report.counters["nr_tlb_remote_flush"];
        assert_eq!(sum(|hart| hart.shootdowns_sent), sent);
        let received = report.counters["nr_tlb_remote_flush_received"];
        assert_eq!(sum(|hart| hart.shootdowns_received), received);
        assert_eq!(sent > 0 && received >= sent, has_tlb, "{format}: {sent}, {received}");
        assert!(report.harts.iter().all(|hart| hart.instructions > 1000), "{format}: all work");
    }
}

#[test]
fn no_hart_holds_anything_stale_in_between() {
    let root = input();
    for format in ["sv39", "r3000"] {
        let config = Config { harts: 3, ..config(format, 2 << 20) };
        let (mut machine, output) = machine(config, &["threads", "4", "3"], root.path());
        while machine.end().is_none() {
            machine.run_until(machine.instructions() + 5_000);
            machine.audit().unwrap_or_else(|error| panic!("{format}: {error}"));
        }
        assert_eq!(machine.report().exit.code, 0, "{format}: {}", output.text());
    }
}
