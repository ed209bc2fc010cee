//! Where a run is stopped, copied or watched makes no difference to it.

mod common;

use std::sync::{Arc, Mutex};

use common::{config, input, machine, run};
use pagewalk_kernel::Event;
use pagewalk_machine::{Config, DeviceWait, EventWatcher, Machine, Report};

/// Programs with several threads, waiting, signals and swapping.
const RUNS: &[(&[&str], u64)] = &[
    (&["extsort", "/in", "/out", "16"], 192 << 10),
    (&["threads", "3", "4"], 512 << 10),
    (&["pingpong", "40", "16"], 512 << 10),
    (&["jobs", "3", "64", "2", "200"], 256 << 10),
    (&["sigsegv"], 256 << 10),
];

fn configs(ram: u64) -> [Config; 3] {
    let base = config("sv39", ram);
    let several = Config { harts: 3, ..base.clone() };
    let waiting = Config { device_wait: DeviceWait::Thread, ..base.clone() };
    [base, several, waiting]
}

/// Steps of 1 to `most` instructions or stops.
struct Steps(u64);

impl Steps {
    fn next(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1 + (self.0 >> 33) % most
    }
}

/// Goes to the end in odd steps; now and then a copy goes on in place of the machine.
fn stumble(mut machine: Machine, seed: u64) -> Report {
    let mut steps = Steps(seed);
    while machine.end().is_none() {
        let limit = machine.instructions() + steps.next(5000);
        match steps.next(3) {
            1 => machine.advance(limit, steps.next(4)),
            2 => machine.dispatch_next(),
            _ => machine.advance(limit, u64::MAX),
        }
        if steps.next(200) == 1 {
            machine = machine.snapshot().expect("a copy");
        }
    }
    machine.audit().expect("a sound machine");
    machine.report()
}

#[test]
fn stops_and_copies_change_nothing() {
    for (seed, &(args, ram)) in RUNS.iter().enumerate() {
        for config in configs(ram) {
            let root = input();
            let (mut whole, expected) = machine(config.clone(), args, root.path());
            run(&mut whole);
            let root = input();
            let (machine, output) = machine(config, args, root.path());
            let report = stumble(machine, seed as u64);
            assert_eq!(report, whole.report(), "{args:?}");
            assert_eq!(output.text(), expected.text(), "{args:?}");
        }
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(u64, String)>>>);

impl EventWatcher for Log {
    fn kernel(&mut self, window: u64, event: &Event<'_>) {
        self.0.lock().unwrap().push((window, format!("{event:?}")));
    }

    fn syscall(&mut self, window: u64, tid: u32, number: u64, arguments: [u64; 6]) {
        self.0.lock().unwrap().push((window, format!("{tid}: {number} {arguments:?}")));
    }
}

/// An event is told in the window between two instructions in which a run in single instructions
/// finds it.
#[test]
fn events_are_told_in_their_windows() {
    let &(args, ram) = &RUNS[0];
    let [config, ..] = configs(ram);
    let root = input();
    let (mut whole, _) = machine(config.clone(), args, root.path());
    let log = Log::default();
    whole.tell_events(Box::new(log.clone()));
    run(&mut whole);
    let expected = log.0.lock().unwrap().clone();
    assert!(expected.len() > 100, "{} events", expected.len());

    let root = input();
    let (mut single, _) = machine(config, args, root.path());
    let log = Log::default();
    single.tell_events(Box::new(log.clone()));
    let mut seen = 0;
    while single.end().is_none() && seen < 400 {
        let window = single.instructions();
        single.advance(window + 1, u64::MAX);
        let log = log.0.lock().unwrap();
        assert!(log[seen..].iter().all(|(told, _)| *told == window), "window {window}");
        seen = log.len();
    }
    assert_eq!(log.0.lock().unwrap()[..], expected[..seen]);
}
