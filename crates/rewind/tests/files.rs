//! Files are what they were, forwards, back and forwards again, and the caller's stay as they are.

mod common;

use std::fs;
use std::path::Path;

use common::{Numbers, config, input, near, rewind};
use pagewalk_rewind::{Limits, Place, Rewind};
use pagewalk_step::{Grain, State, Stepper};

/// Programs that write files: made, written through mappings, truncated, grown, read back.
const RUNS: &[(&[&str], u64)] = &[
    (&["extsort", "/in", "/out", "16"], 128 << 10),
    (&["filedb", "/db", "300"], 256 << 10),
    (&["fork-snapshot", "256", "2", "/snap"], 512 << 10),
];

/// The state at places all over the run, each gone to from the start of a run of its own.
fn expected(args: &[&str], ram: u64, places: &[u64]) -> Vec<State> {
    let at = |&step: &u64| {
        let root = input();
        let mut fresh = rewind(config("sv39", ram), args, root.path(), Limits::default());
        fresh.go_to(step).unwrap();
        fresh.state()
    };
    places.iter().map(at).collect()
}

fn end(walker: &mut Rewind) -> State {
    walker.forward(Grain::End).unwrap();
    walker.state()
}

#[test]
fn going_back_takes_the_files_along() {
    for (seed, &(args, ram)) in RUNS.iter().enumerate() {
        let root = input();
        let mut walker = rewind(config("sv39", ram), args, root.path(), near());
        let ended = end(&mut walker);
        assert_eq!(ended.happened.sentence, "The program has ended with status 0.", "{args:?}");
        let instructions = Place::of(ended.step).instructions;
        let mut numbers = Numbers(seed as u64);
        let mut places: Vec<u64> =
            (0..4).map(|_| Place::behind(numbers.below(instructions)).step()).collect();
        let states = expected(args, ram, &places);
        for round in 0..3 {
            for (place, state) in places.iter().zip(&states) {
                walker.go_to(*place).unwrap();
                assert_eq!(walker.state(), *state, "{args:?}, round {round}");
                // From here the run ends as it did: its own checks of its files among it.
                if round == 1 {
                    assert_eq!(end(&mut walker), ended, "{args:?}");
                }
            }
        }
        places.sort_unstable();
        for place in places.iter().rev() {
            walker.go_to(*place).unwrap();
            assert_eq!(walker.step(), *place);
        }
        assert_eq!(end(&mut walker), ended);
    }
}

/// A program whose file has lost its name goes on with it, in any directory.
#[test]
fn the_first_directory_is_used_once() {
    let (args, ram) = RUNS[0];
    let root = input();
    let before = names(root.path());
    let mut walker = rewind(config("sv39", ram), args, root.path(), near());
    let ended = end(&mut walker);
    assert_eq!(names(root.path()).len(), before.len() + 1, "the output was written");
    walker.go_to(0).unwrap();
    walker.state();
    assert_eq!(end(&mut walker), ended);
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
