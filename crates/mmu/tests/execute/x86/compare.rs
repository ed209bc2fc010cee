//! Runs states on a machine and compares them with what our walker says.

use super::bits::A;
use super::expected::{Expected, Outcome, expected};
use super::layout::{Mode, RECORDS_MAX};
use super::machine::{Machine, Observed, Task};
use super::pages::offset_of;
use super::space::Space;
use super::states::{State, combinations};
use crate::execute::Shuffle;
use pagewalk_mmu::AccessKind;
use std::collections::BTreeMap;

/// States of one batch: few enough for most stores to have a word of their own.
const BATCH: u64 = 20_000;
const _: () = assert!(BATCH <= RECORDS_MAX);
const DIFFERENCES_SHOWN: usize = 10;

/// How often each outcome was met.
pub type Tally = BTreeMap<&'static str, u64>;

/// Runs `count` states of the sample `seed`. Differences are a panic that shows the first.
///
/// # Errors
/// What went wrong with the machine.
pub fn compare(machine: &mut Machine, count: u64, seed: u64) -> Result<Tally, String> {
    let shuffle = Shuffle::new(combinations(machine.space()), seed);
    let mut tally = Tally::new();
    for first in (0..count).step_by(BATCH as usize) {
        let numbers = first..count.min(first + BATCH);
        let mut states: Vec<State> =
            numbers.map(|n| state(machine.space(), &shuffle, n, seed)).collect();
        // The guest writes a control register only if it changes.
        states.sort_by_key(|state| state.modes.key());
        run_batch(machine, states, &mut tally)?;
    }
    Ok(tally)
}

/// State `n` of a run: the two enumerations take turns.
fn state(space: &Space, shuffle: &Shuffle, n: u64, seed: u64) -> State {
    if n.is_multiple_of(2) {
        State::leaf(space, shuffle.at(n / 2), seed)
    } else {
        State::path(space, n / 2, seed)
    }
}

fn run_batch(machine: &mut Machine, states: Vec<State>, tally: &mut Tally) -> Result<(), String> {
    machine.pages().begin();
    let tasks: Vec<Task> =
        states.into_iter().zip(1..).map(|(state, marker)| task(machine, state, marker)).collect();
    let answers: Vec<Expected> =
        tasks.iter().map(|task| expected(machine.space(), &task.state, task.va)).collect();
    let observed = machine.run(&tasks)?;

    let mut differences = Vec::new();
    for ((task, ours), theirs) in tasks.iter().zip(&answers).zip(observed) {
        *tally.entry(name(&ours.outcome)).or_default() += 1;
        let theirs = corrected(machine.space(), task, ours, theirs);
        if !outcomes_agree(machine, task, ours, &theirs) || !entries_agree(ours, &theirs) {
            let Task { state, va, .. } = task;
            differences
                .push(format!("{va:#x}, {state:x?}\n    ours   {ours:x?}\n    theirs {theirs:x?}"));
        }
    }
    for (pa, ours, theirs) in machine.differences() {
        differences.push(format!("the word at {pa:#x}: ours {ours:#x}, theirs {theirs:#x}"));
    }
    let shown = differences[..differences.len().min(DIFFERENCES_SHOWN)].join("\n");
    assert!(differences.is_empty(), "{} differences, the first:\n{shown}", differences.len());
    Ok(())
}

/// Chooses the offset in the page.
fn task(machine: &mut Machine, state: State, marker: u32) -> Task {
    let inside = match state.access.kind {
        AccessKind::Write => {
            let page = match expected(machine.space(), &state, state.va).outcome {
                Outcome::Page(pa) => Some(pa),
                _ => None,
            };
            machine.pages().store(page, marker)
        }
        kind => offset_of(kind, state.random),
    };
    Task { va: state.va | inside, state, marker }
}

/// A store's page shows in memory, after the batch; that it is one of the pages, here.
fn outcomes_agree(machine: &mut Machine, task: &Task, ours: &Expected, theirs: &Observed) -> bool {
    let store = task.state.access.kind == AccessKind::Write;
    match (ours.outcome, &theirs.outcome) {
        (Outcome::Page(pa), Ok(Outcome::Stored)) => store && machine.pages().holds(pa),
        (ours, Ok(theirs)) => ours == *theirs,
        (_, Err(_)) => false,
    }
}

/// On a fault, the tables above the entry that decided may have been marked accessed or not: they
/// were used (SDM vol. 3A, 4.8), and may be cached (4.10.3). Our walker leaves them.
fn entries_agree(ours: &Expected, theirs: &Observed) -> bool {
    let fault = matches!(ours.outcome, Outcome::PageFault { .. });
    (0..ours.after.len()).all(|level| {
        let used = if fault && level > ours.level { A } else { 0 };
        ours.after[level] | used == theirs.after[level] | used
    })
}

/// What was observed, without what TCG is known to do otherwise than the manual.
fn corrected(space: &Space, task: &Task, ours: &Expected, theirs: Observed) -> Observed {
    let mut theirs = theirs;
    if space.processor.kvm {
        return theirs;
    }
    // SDM vol. 3A, 4.7: a reserved bit is found only in a present entry, so RSVD comes with P.
    if let Ok(Outcome::PageFault { error_code, .. }) = &mut theirs.outcome
        && *error_code & 1 << 3 != 0
    {
        *error_code |= 1 << 0;
    }
    // Table 4-8: bit 5 of a PDPTE is reserved with PAE paging, and not A.
    if space.mode == Mode::Pae {
        theirs.after[2] &= !A;
    }
    // A leaf that does not allow the access translates nothing. TCG leaves A clear in 4 KiB and
    // 2 MiB pages then, but sets it in 1 GiB pages.
    let fault = matches!(ours.outcome, Outcome::PageFault { .. });
    if space.mode.long() && fault && ours.level == 2 {
        theirs.after[2] = theirs.after[2] & !A | task.state.entries[2] & A;
    }
    theirs
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Page(_) | Outcome::Stored => "allowed",
        Outcome::Nowhere => "allowed, no memory",
        Outcome::PageFault { error_code, .. } if error_code & 1 << 3 != 0 => "#PF reserved",
        Outcome::PageFault { error_code, .. } if error_code & 1 << 0 != 0 => "#PF protection",
        Outcome::PageFault { .. } => "#PF not present",
        Outcome::GeneralProtection => "#GP",
        Outcome::RootRefused => "#GP at MOV to CR3",
    }
}
