//! Every scenario that comes with the command does what it says, on every MMU that it can have.

use pagewalk_scenario::{BUILT_IN, Overrides, Player, StoryOptions, check, parse, story};
use pagewalk_step::{Grain, Stepper};

const PAGED: [&str; 15] = [
    "ia32",
    "pae",
    "x86-64",
    "x86-64-la57",
    "sv32",
    "sv39",
    "sv48",
    "sv57",
    "aarch64",
    "aarch64-16k",
    "aarch64-64k",
    "inverted",
    "hashed",
    "ppc",
    "r3000",
];

fn open(text: &str, name: &str, overrides: &Overrides) -> Player {
    let parsed = parse(text, name, overrides).unwrap_or_else(|error| panic!("{error}"));
    Player::new(parsed).unwrap_or_else(|error| panic!("{name} {overrides:?}: {error}"))
}

#[test]
fn every_expectation_holds() {
    let mut wrong = Vec::new();
    for scenario in BUILT_IN {
        let mut player = open(scenario.text, scenario.name, &Overrides::default());
        wrong.extend(check(&mut player).iter().map(ToString::to_string));
        assert_eq!(player.cut(), None, "{}", scenario.name);
        player.audit().unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever the way, a step's state is the same; back undoes forward.
#[test]
fn a_state_depends_on_the_step_alone() {
    for scenario in BUILT_IN {
        let mut player = open(scenario.text, scenario.name, &Overrides::default());
        let last = player.last_step();
        let few = (last / 40).max(1);
        let straight: Vec<_> = (0..=last).step_by(few as usize).collect();
        let states: Vec<_> = straight.iter().map(|&step| player.state_at(step).unwrap()).collect();
        for (&step, state) in straight.iter().zip(&states).rev() {
            player.go_to(step).unwrap();
            assert_eq!(player.state(), *state, "{} step {step}", scenario.name);
        }
        for grain in Grain::ALL {
            player.go_to(0).unwrap();
            let mut stops = vec![0];
            while player.forward(grain).unwrap() {
                stops.push(player.step());
            }
            let mut back = vec![];
            if player.step() != *stops.last().unwrap() {
                player.back(grain).unwrap();
            }
            back.push(player.step());
            while player.back(grain).unwrap() {
                back.push(player.step());
            }
            back.push(player.step());
            back.dedup();
            back.reverse();
            assert_eq!(back, stops, "{} {grain:?}", scenario.name);
        }
    }
}

/// What a program computes does not depend on the MMU.
#[test]
fn every_paged_scenario_runs_on_every_mmu() {
    for scenario in BUILT_IN {
        let mut own = open(scenario.text, scenario.name, &Overrides::default());
        if own.state().frames.is_empty() || own.scenario().is_unpaged() {
            continue;
        }
        let end = own.state_at(own.last_step()).unwrap();
        let registers = |state: &pagewalk_step::State| -> Vec<_> {
            state.processes.iter().map(|process| process.registers.clone()).collect()
        };
        for mmu in PAGED {
            let overrides = Overrides { mmu: Some(mmu.to_owned()), ..Overrides::default() };
            let mut player = open(scenario.text, scenario.name, &overrides);
            let there = player.state_at(player.last_step()).unwrap();
            let (ours, theirs) = (registers(&end), registers(&there));
            assert_eq!(ours, theirs, "{} on {mmu}", scenario.name);
            player.audit().unwrap_or_else(|error| panic!("{} on {mmu}: {error}", scenario.name));
        }
    }
}

#[test]
fn stories_are_at_most_80_columns_wide() {
    for scenario in BUILT_IN {
        let mut player = open(scenario.text, scenario.name, &Overrides::default());
        for backwards in [false, true] {
            let options = StoryOptions { grain: Grain::Event, backwards, pictures: true };
            let told = story(&mut player, &options);
            let wide = told.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", scenario.name);
        }
    }
}
