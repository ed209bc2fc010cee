//! The state at a position is the same whatever the way there.

mod common;

use common::{Numbers, config, input, near, program, rewind};
use pagewalk_machine::{Config, DeviceWait, Machine, Stdio};
use pagewalk_rewind::{Limits, Place, Rewind};
use pagewalk_step::{Break, Grain, Kind, State, Stepper};

const RUNS: &[(&[&str], u64)] = &[
    (&["extsort", "/in", "/out", "16"], 128 << 10),
    (&["pingpong", "20", "16"], 256 << 10),
    (&["sigsegv"], 256 << 10),
    (&["nullderef"], 256 << 10),
];

/// The same run, from the start, at a step.
fn straight(config: &Config, args: &[&str], step: u64) -> State {
    let root = input();
    let mut fresh = rewind(config.clone(), args, root.path(), Limits::default());
    fresh.go_to(step).unwrap_or_else(|error| panic!("{args:?}: {step}: {error}"));
    fresh.state()
}

fn last(rewind: &mut Rewind) -> u64 {
    rewind.forward(Grain::End).expect("an end");
    rewind.last().expect("the end is known")
}

#[test]
fn every_way_leads_to_the_same_state() {
    for (seed, &(args, ram)) in RUNS.iter().enumerate() {
        for device_wait in [DeviceWait::Hart, DeviceWait::Thread] {
            let config = Config { device_wait, ..config("sv39", ram) };
            let root = input();
            let mut walker = rewind(config.clone(), args, root.path(), near());
            let last = last(&mut walker);
            let mut numbers = Numbers(seed as u64);
            let instructions = Place::of(last).instructions;
            for _ in 0..6 {
                walker.go_to(Place::behind(numbers.below(instructions)).step()).unwrap();
                for _ in 0..numbers.below(12) {
                    walker.forward(Grain::Reference).unwrap();
                }
                let (step, state) = (walker.step(), walker.state());
                assert_eq!(state, straight(&config, args, step), "{args:?} at {}", Place::of(step));
                // Away and back.
                walker.go_to(Place::behind(numbers.below(instructions)).step()).unwrap();
                walker.go_to(step).unwrap();
                assert_eq!(walker.state(), state, "{args:?} at {}", Place::of(step));
            }
        }
    }
}

#[test]
fn back_undoes_forward() {
    for &(args, ram) in RUNS {
        let root = input();
        let mut walker = rewind(config("sv39", ram), args, root.path(), near());
        let instructions = Place::of(last(&mut walker)).instructions;
        let mut numbers = Numbers(7);
        for grain in [Grain::Reference, Grain::Access, Grain::Event, Grain::Instruction] {
            walker.go_to(Place::behind(numbers.below(instructions - 40)).step()).unwrap();
            // Where a walk of that grain stops.
            walker.forward(grain).unwrap();
            let mut passed = Vec::new();
            for _ in 0..30 {
                passed.push((walker.step(), walker.state()));
                assert!(walker.forward(grain).unwrap(), "{args:?}: {grain:?}");
            }
            while let Some((step, state)) = passed.pop() {
                assert!(walker.back(grain).unwrap());
                assert_eq!(walker.step(), step, "{args:?}: {grain:?}");
                assert_eq!(walker.state(), state, "{args:?}: {grain:?}");
            }
        }
    }
}

#[test]
fn counters_are_those_of_a_machine_that_is_run() {
    let (args, ram) = RUNS[0];
    let root = input();
    let mut walker = rewind(config("sv39", ram), args, root.path(), near());
    let instructions = Place::of(last(&mut walker)).instructions;
    let mut numbers = Numbers(3);
    for _ in 0..5 {
        let wanted = numbers.below(instructions);
        walker.go_to(Place::behind(wanted).step()).unwrap();
        let root = input();
        let mut machine =
            Machine::new(config("sv39", ram), program(args, root.path()), Stdio::null()).unwrap();
        machine.run_until(wanted);
        let mut counters = machine.report().counters;
        counters.retain(|_, value| *value != 0);
        assert_eq!(walker.state().counters, counters, "behind {wanted}");
    }
}

#[test]
fn faults_are_found_in_both_directions() {
    let (args, ram) = RUNS[0];
    let root = input();
    let mut walker = rewind(config("sv39", ram), args, root.path(), near());
    let faults = [Break { kind: Some(Kind::Fault), ..Break::default() }];
    let mut forwards = Vec::new();
    while walker.run(&faults).unwrap() {
        let state = walker.state();
        assert_eq!(state.happened.kind, Kind::Fault);
        forwards.push(state.step);
    }
    let counters = walker.state().counters;
    let all = counters["pgfault"];
    assert_eq!(walker.state().happened.kind, Kind::End);
    // Those that the kernel makes for the program in its calls are no faults of an instruction.
    assert!(forwards.len() as u64 <= all && forwards.len() as u64 > all / 2, "{}", forwards.len());
    let mut backwards = Vec::new();
    while walker.run_back(&faults).unwrap() {
        backwards.push(walker.step());
    }
    backwards.reverse();
    assert_eq!(backwards, forwards);
    assert_eq!(walker.step(), 0);
}

#[test]
fn the_eviction_that_a_swap_in_undoes_is_found() {
    let (args, ram) = RUNS[0];
    let root = input();
    let mut walker = rewind(config("sv39", ram), args, root.path(), near());
    let swap_in = Break { kind: Some(Kind::SwapIn), ..Break::default() };
    for _ in 0..5 {
        assert!(walker.run(std::slice::from_ref(&swap_in)).unwrap());
    }
    let found = walker.state().happened;
    let (slot, address) = (found.slot.expect("a slot"), found.address.expect("an address"));
    assert!(found.sentence.contains(&format!("slot {slot}")), "{}", found.sentence);
    let here = walker.step();
    let evict = Break { kind: Some(Kind::Evict), slot: Some(slot), ..Break::default() };
    assert!(walker.run_back(&[evict]).unwrap());
    let cause = walker.state().happened;
    assert_eq!((cause.kind, cause.slot), (Kind::Evict, Some(slot)));
    assert_eq!(cause.address.map(|va| va / 4096), Some(address / 4096), "{}", cause.sentence);
    assert!(walker.step() < here);
}

#[test]
fn the_machine_at_its_ends() {
    let root = input();
    let mut walker = rewind(config("sv39", 1 << 20), &["hello"], root.path(), near());
    assert_eq!(walker.state().happened.kind, Kind::Start);
    assert!(!walker.back(Grain::Reference).unwrap());
    assert!(walker.forward(Grain::End).unwrap());
    let end = walker.state();
    assert_eq!(end.happened.kind, Kind::End);
    assert_eq!(end.steps, Some(end.step));
    assert!(end.output.contains("hello"), "{}", end.output);
    for grain in Grain::ALL {
        assert!(!walker.forward(grain).unwrap(), "{grain:?}");
    }
    let error = walker.go_to(end.step + 1).unwrap_err();
    assert!(error.to_string().contains("there is no step"), "{error}");
    assert_eq!(walker.step(), end.step);
    assert!(walker.back(Grain::Instruction).unwrap());
    assert!(walker.forward(Grain::Instruction).unwrap());
    assert_eq!(walker.state(), end);
}
