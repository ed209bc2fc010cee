//! The idealised machine: references are seen without a trace, strings do not depend on what was in
//! memory, and no policy is better than OPT.

mod common;

use common::{Capture, FORMATS, PROGRAMS, config, input, machine, run};
use pagewalk_machine::{
    Config, Entry, HugePolicy, Machine, Recording, Report, SizesConfig, SizesFormat,
};
use pagewalk_replacement::PolicyKind;

/// Programs of several processes and threads, whose harts take turns by instructions.
const TOGETHER: &[&[&str]] =
    &[&["fork-snapshot"], &["cowstorm"], &["threads"], &["pingpong", "50"]];

/// Runs a program with its references recorded; audited after the run.
fn record(config: &Config, args: &[&str]) -> (Machine, String) {
    let root = input();
    let (mut machine, output) = machine(config.clone(), args, root.path());
    machine.record_references().expect("a temporary file");
    run(&mut machine);
    machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    (machine, output.text())
}

fn entries(recording: &Recording) -> Vec<Entry> {
    recording.read().collect::<Result<_, _>>().expect("a readable recording")
}

/// About 1 MiB where pages are of 4 KiB.
fn small(format: &str) -> Config {
    let page = config(format, 1 << 20).hardware.base_page();
    config(format, 280 * page.bytes())
}

#[test]
fn nobody_notices_that_references_are_seen() {
    let formats = FORMATS.iter().filter(|format| small(format).hardware.tables().is_some());
    // Every fourth, another with each format, so that each program has its turn.
    let cases = formats.enumerate().flat_map(|(n, format)| {
        PROGRAMS.iter().skip(n % 4).step_by(4).map(move |program| (format, program))
    });
    for (format, program) in cases {
        let config = small(format);
        let root = input();
        let (mut unseen, output) = machine(config.clone(), program, root.path());
        run(&mut unseen);
        let (seen, seen_output) = record(&config, program);
        assert_eq!(seen.report(), unseen.report(), "{program:?} on {format}");
        assert_eq!(seen_output, output.text());
    }
}

/// The names of pages and the order of references are the program's alone: the same with every
/// policy, with enough memory, and on the plain path.
#[test]
fn the_string_is_the_programs() {
    let programs = PROGRAMS.iter().chain(&TOGETHER[..2]).filter(|program| program[0] != "nbody");
    for program in programs {
        let record = |config: Config| {
            let (mut machine, output) = record(&config, program);
            (entries(&machine.take_recording().expect("a recording")), output)
        };
        let plenty = record(config("sv39", 16 << 20));
        assert!(!plenty.0.is_empty());
        for policy in [PolicyKind::Clock, PolicyKind::Random, PolicyKind::Lru] {
            for slow in [false, true].into_iter().take(1 + usize::from(policy == PolicyKind::Lru)) {
                let few = Config { policy, slow, ..config("sv39", 1 << 20) };
                let (entries, output) = record(few);
                let same = entries.iter().zip(&plenty.0).take_while(|(one, other)| one == other);
                let same = same.count();
                let differ = [&entries, &plenty.0].map(|entries| entries.get(same));
                assert_eq!(differ, [None; 2], "{program:?}, {policy}, slow: {slow}: entry {same}");
                assert_eq!(output, plenty.1);
            }
        }
    }
}

/// The report of a run that was compared with OPT.
fn compared(config: &Config, args: &[&str]) -> Report {
    let (mut machine, _) = record(config, args);
    machine.compare_with_opt().expect("a recording");
    machine.report()
}

#[test]
fn no_policy_is_better_than_opt() {
    let mut compared_refaults = 0;
    for args in [&["extsort", "/in", "/out"][..], &["matmul-naive", "40"], &["fork-snapshot"]] {
        let mut cold = None;
        for policy in PolicyKind::ALL {
            let config = Config { policy, ..config("sv39", 400 << 10) };
            let report = compared(&config, args);
            assert_eq!(report.exit.code, 0, "{args:?} with {policy}: {:?}", report.exit);
            let opt = report.opt.expect("a comparison");
            assert!(opt.gap >= 1.0 && opt.refaults >= opt.opt_refaults, "{policy}: {opt:?}");
            assert_eq!(opt.faults, opt.cold_faults + opt.refaults);
            assert!(opt.frames < 100, "{opt:?}");
            // The same pages, whatever the policy.
            assert_eq!(*cold.get_or_insert(opt.cold_faults), opt.cold_faults, "{policy}");
            assert_eq!(opt.pages, opt.cold_faults);
            compared_refaults += opt.opt_refaults;
        }
    }
    assert!(compared_refaults > 1000, "there was no need to choose");
}

/// Two runs with OPT: the second knows what the first did.
fn opt_in_two_runs(config: &Config, args: &[&str]) -> (Report, String) {
    let (mut first, _) = record(config, args);
    let recording = first.take_recording().expect("a recording");
    let root = input();
    // Each page is in one frame, after every stop.
    let (mut second, output) =
        machine(Config { policy: PolicyKind::Opt, ..config.clone() }, args, root.path());
    second.foresee(recording).expect("there are pages");
    second.record_references().expect("a temporary file");
    second.audit_always();
    run(&mut second);
    second.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    second.compare_with_opt().expect("a recording");
    (second.report(), output.text())
}

#[test]
fn the_second_run_meets_the_future_and_is_near_opt() {
    for args in [&["extsort", "/in", "/out"][..], &["matmul-naive", "40"], &["hashjoin", "2000"]] {
        let config = config("sv39", 400 << 10);
        let (report, output) = opt_in_two_runs(&config, args);
        let foresight = report.foresight.expect("a second run");
        assert_eq!(foresight.apart_at, None, "{args:?}");
        let opt = report.opt.expect("a comparison");
        assert_eq!(foresight.references, opt.references);
        assert!(opt.gap < 1.2, "{args:?}: {opt:?}");
        let (machine, expected) = record(&Config { policy: PolicyKind::Lru, ..config }, args);
        assert_eq!(output, expected);
        let (lru, opt) = (machine.report().swap, report.swap);
        assert!(
            opt.pages_in <= lru.pages_in,
            "{args:?}: {} pages swapped in, LRU {}",
            opt.pages_in,
            lru.pages_in
        );
    }
}

/// A first run of another program is no use, and the report says so.
#[test]
fn a_future_that_is_not_met_is_told() {
    let config = Config { policy: PolicyKind::Opt, ..config("sv39", 400 << 10) };
    let (mut other, _) = record(&config, &["matmul", "40"]);
    let root = input();
    let (mut machine, output) = machine(config.clone(), &["extsort", "/in", "/out"], root.path());
    machine.foresee(other.take_recording().expect("a recording")).expect("there are pages");
    run(&mut machine);
    machine.audit().expect("a sound machine");
    let report = machine.report();
    assert_eq!(report.exit.code, 0, "{}", output.text());
    let apart = report.foresight.expect("a second run").apart_at.expect("another program");
    assert!(apart > 0 && apart < 10_000, "{apart}");
}

/// On a loop over a little more than memory LRU is at its worst, and even drawing lots is better.
#[test]
fn policies_differ_as_the_books_say() {
    let args = &["sieve", "300000"];
    let faults = |policy| {
        let config = Config { policy, ..config("sv39", 240 << 10) };
        compared(&config, args).opt.expect("a comparison")
    };
    let (lru, random) = (faults(PolicyKind::Lru), faults(PolicyKind::Random));
    assert!(lru.gap > 1.5, "{lru:?}");
    assert!(random.refaults < lru.refaults, "{random:?} {lru:?}");
}

#[test]
fn machines_of_every_kind_can_be_seen() {
    let cases = [
        Config { harts: 4, ..config("sv39", 1 << 20) },
        Config { huge: HugePolicy::Always, ..config("sv39", 8 << 20) },
        Config { tlb: None, ..config("sv48", 1 << 20) },
        Config { swap: Vec::new(), ..config("x86-64", 4 << 20) },
        Config { harts: 2, ..config("r3000", 1 << 20) },
    ];
    for case in cases {
        for args in TOGETHER {
            for policy in [PolicyKind::Clock, PolicyKind::Lru, PolicyKind::Opt] {
                let opt = compared(&Config { policy, ..case.clone() }, args).opt;
                let opt = opt.expect("a comparison");
                assert!(opt.gap >= 1.0 && opt.cold_faults > 0, "{args:?}: {opt:?}");
            }
        }
    }
}

#[test]
fn without_pages_there_is_nothing_to_record() {
    let root = input();
    let (mut machine, _) = machine(config("segments", 4 << 20), &["hello"], root.path());
    let error = machine.record_references().expect_err("no pages").to_string();
    assert_eq!(error, "a machine without pages has no page references");
    assert!(machine.take_recording().is_err());
}

/// What `--sizes` writes, as numbers.
fn sizes(config: &Config, args: &[&str], tau: u64, step: u64) -> Vec<Vec<u64>> {
    let root = input();
    let (mut machine, _) = machine(config.clone(), args, root.path());
    let out = Capture::default();
    let how = SizesConfig { tau, step, format: SizesFormat::Csv };
    machine.measure_sizes(how, Box::new(out.clone())).expect("there are pages");
    run(&mut machine);
    machine.finish_sizes().expect("a stream that can be written");
    let text = out.text();
    let rows = text.lines().skip(1);
    rows.map(|row| row.split(',').map(|n| n.parse().expect("a number")).collect()).collect()
}

/// Working sets are the program's: the same in any memory, with any policy, on the plain path, and
/// whatever the step.
#[test]
fn working_sets_do_not_depend_on_memory() {
    let programs = [&["extsort", "/in", "/out"][..], &["recurse", "1500"], &["fork-snapshot"]];
    for args in programs {
        let programs_own = |config: &Config, step| {
            let mut rows = sizes(config, args, 30_000, step);
            rows.sort();
            rows.into_iter().map(|row| [row[0], row[1], row[2], row[6]]).collect::<Vec<_>>()
        };
        let plenty = programs_own(&config("sv39", 16 << 20), 10_000);
        assert!(plenty.len() > 10, "{args:?}");
        for policy in [PolicyKind::Fifo, PolicyKind::Lru] {
            for slow in [false, true] {
                let few = Config { policy, slow, ..config("sv39", 1 << 20) };
                assert_eq!(programs_own(&few, 10_000), plenty, "{args:?} {policy}, slow: {slow}");
            }
        }
        let coarse = programs_own(&config("sv39", 16 << 20), 40_000);
        assert!(coarse.len() < plenty.len() && coarse.iter().all(|row| plenty.contains(row)));
    }
}

/// A window as long as the run holds every page that was ever referenced, and each is missing once.
#[test]
fn an_endless_window_holds_all_pages() {
    let args = &["extsort", "/in", "/out"];
    let config = config("sv39", 1 << 20);
    let rows = sizes(&config, args, u64::MAX, 10_000);
    let report = compared(&config, args);
    let last = rows.last().expect("a row");
    let pages = report.opt.expect("a comparison").pages;
    assert_eq!((last[1], last[2], last[6]), (report.instructions, pages, pages));
    assert!(rows.is_sorted_by_key(|row| row[2]));
    // The resident set is at most what memory holds, and less than all pages.
    assert!(rows.iter().all(|row| row[3] <= report.memory.frames));
    let faults = report.faults.minor + report.faults.major;
    assert!(last[4] <= faults && last[4] > faults / 2, "{} of {faults}", last[4]);
}

/// Thirteen processes at a time have page tables in more than half of memory: frames that OPT could
/// not have had either.
#[test]
fn opt_has_no_frames_that_hold_page_tables() {
    let config = config("sv39", 512 << 10);
    let (report, _) = opt_in_two_runs(&config, &["cowstorm"]);
    let opt = report.opt.expect("a comparison");
    assert!(opt.frames_least < opt.frames - 30, "{opt:?}");
    assert!(opt.opt_refaults > 500 && opt.gap < 1.2, "{opt:?}");
}
