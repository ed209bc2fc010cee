//! The list of free blocks against a model that has a flag for each frame.

use pagewalk_kernel::Fit;
use pagewalk_kernel::segments::Blocks;
use proptest::prelude::*;
use std::ops::Range;

/// The free runs, by looking at every frame.
fn runs(used: &[bool], first: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (n, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        let frame = first + n as u64;
        match runs.last_mut().filter(|run| run.end == frame) {
            Some(run) => run.end += 1,
            None => runs.push(frame..frame + 1),
        }
    }
    runs
}

/// Where the books say that a request goes.
fn expected(runs: &[Range<u64>], frames: u64, fit: Fit, hand: u64) -> Option<u64> {
    let len = |run: &Range<u64>| run.end - run.start;
    let fitting: Vec<_> = runs.iter().filter(|run| len(run) >= frames).collect();
    let extreme = match fit {
        Fit::First => return fitting.first().map(|run| run.start),
        Fit::Next => {
            let ahead = fitting.iter().find(|run| run.start >= hand);
            return ahead.or(fitting.first()).map(|run| run.start);
        }
        Fit::Best => fitting.iter().map(|run| len(run)).min()?,
        Fit::Worst => fitting.iter().map(|run| len(run)).max()?,
    };
    fitting.iter().find(|run| len(run) == extreme).map(|run| run.start)
}

#[derive(Clone, Debug)]
enum Step {
    Allocate(u64),
    AllocateAt(u64, u64),
    /// The n-th of those that are held.
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..12u64).prop_map(Step::Allocate),
        1 => (90..170u64, 1..12u64).prop_map(|(at, frames)| Step::AllocateAt(at, frames)),
        4 => any::<usize>().prop_map(Step::Release),
    ]
}

const FIRST: u64 = 100;
const FRAMES: usize = 64;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_are_given_as_the_books_say(
        steps in prop::collection::vec(step(), 1..120),
        fit in 0..4usize,
    ) {
        let fit = Fit::by_name(Fit::NAMES[fit]).unwrap();
        let mut blocks = Blocks::new(FIRST..FIRST + FRAMES as u64);
        let mut used = [false; FRAMES];
        let mut held: Vec<(u64, u64)> = Vec::new();
        let mut hand = FIRST;
        for step in steps {
            let before = runs(&used, FIRST);
            let given = match step {
                Step::Allocate(frames) => {
                    let given = blocks.allocate(frames, fit);
                    prop_assert_eq!(given, expected(&before, frames, fit, hand));
                    hand = given.map_or(hand, |start| start + frames);
                    given.map(|start| (start, frames))
                }
                Step::AllocateAt(start, frames) => {
                    let free = before.iter().any(|r| r.start <= start && start + frames <= r.end);
                    prop_assert_eq!(blocks.allocate_at(start, frames), free);
                    free.then_some((start, frames))
                }
                Step::Release(_) if held.is_empty() => None,
                Step::Release(n) => {
                    let (start, frames) = held.swap_remove(n % held.len());
                    blocks.release(start, frames);
                    let at = (start - FIRST) as usize;
                    used[at..at + frames as usize].fill(false);
                    None
                }
            };
            if let Some((start, frames)) = given {
                let at = (start - FIRST) as usize;
                prop_assert!(used[at..at + frames as usize].iter().all(|used| !used));
                used[at..at + frames as usize].fill(true);
                held.push((start, frames));
            }
            let now = runs(&used, FIRST);
            prop_assert_eq!(blocks.free(), now.as_slice());
            prop_assert_eq!(blocks.free_frames(), used.iter().filter(|used| !**used).count() as u64);
            prop_assert_eq!(blocks.largest(), now.iter().map(|r| r.end - r.start).max().unwrap_or(0));
        }
    }
}

/// The example of most text books: holes of 5, 3 and 8, and a request for 3.
#[test]
fn four_fits_choose_four_blocks() {
    for (fit, expected) in [(Fit::First, 10), (Fit::Best, 20), (Fit::Worst, 30), (Fit::Next, 30)] {
        let mut blocks = Blocks::new(0..40);
        assert_eq!(blocks.allocate(25, fit), Some(0), "the hand is behind 25");
        assert!(blocks.allocate_at(25, 15));
        for (start, frames) in [(10, 5), (20, 3), (30, 8)] {
            blocks.release(start, frames);
        }
        assert_eq!(blocks.allocate(3, fit), Some(expected), "{fit:?}");
    }
}

#[test]
#[should_panic(expected = "freed twice")]
fn a_block_is_freed_once() {
    let mut blocks = Blocks::new(0..8);
    assert!(blocks.allocate_at(2, 2));
    blocks.release(2, 2);
    blocks.release(3, 1);
}

#[test]
fn names_are_those_of_the_fits() {
    for name in Fit::NAMES {
        assert_eq!(Fit::by_name(name).unwrap().name(), *name);
    }
    assert_eq!(Fit::by_name("nearest"), None);
}
