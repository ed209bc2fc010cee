//! The AArch64 formats against QEMU executing the access.
//!
//! What is compared for every state: whether the access is made; the exception class, WnR, fault
//! status code and FAR_EL1 of an abort; which page answered a load, a store or a fetch; and the
//! descriptors afterwards. `benches/execute.sh aarch64` makes the long run.

#[path = "execute/aarch64/mod.rs"]
mod aarch64;
mod common;
mod execute;

use aarch64::expected::{Answer, Expected, Outcome, expected};
use aarch64::machine::{BATCH_MAX, Machine};
use aarch64::state::{self, State};
use common::skip;
use execute::{Missing, Shuffle, seed, states_wanted};
use pagewalk_mmu::{AccessKind, FaultCause};
use std::collections::BTreeMap;

const MISMATCHES_SHOWN: usize = 12;

/// What QEMU is to answer.
fn judged(state: &State) -> Expected {
    // QEMU (7.2 to now, get_phys_addr_lpae) takes a writable-clean page for read-only except in a
    // store. By the manual AP[2] counts as clear in every access while HA and HD are set
    // (AArch64.S1ApplyOutputPerms: "Descriptors marked with DBM set have the effective value of
    // AP[2] cleared"), which takes execution away under WXN, and from EL1 where EL0 may write.
    if state.access.kind == AccessKind::Execute && state.has_clean_leaf() {
        return expected(&state.without_dirty_state());
    }
    expected(state)
}

/// Whether QEMU may differ: 7.2 takes 01 in bits 1:0 for a block at every level above 3, also
/// where AArch64.BlockDescSupported says that there is none and the descriptor is invalid.
fn is_block_out_of_place(expected: &Expected) -> bool {
    matches!(expected.refusal, Some((FaultCause::Reserved, Some(level))) if level.0 > 0)
}

fn name(expected: &Expected) -> String {
    match (expected.refusal, expected.answer.outcome) {
        (Some((cause, _)), _) => format!("{cause:?}"),
        (None, Outcome::Done { .. }) => "done".into(),
        (None, Outcome::Abort { .. }) => "outside memory".into(),
    }
}

fn compare(machine: &mut Machine, wanted: u64) -> Result<BTreeMap<String, u64>, String> {
    let shuffle = Shuffle::new(state::count(), seed());
    let mut tally = BTreeMap::new();
    let mut mismatches = Vec::new();
    for first in (0..wanted).step_by(BATCH_MAX) {
        let numbers = first..wanted.min(first + BATCH_MAX as u64);
        let states: Vec<State> = numbers.map(|n| State::new(shuffle.at(n))).collect();
        let expected: Vec<Expected> = states.iter().map(judged).collect();
        let words = expected.iter().map(|expected| expected.word_at);
        let batch: Vec<(State, u64)> = states.into_iter().zip(words).collect();
        let answers: Vec<Answer> = machine.run(&batch)?;
        for (((state, _), expected), answer) in batch.iter().zip(&expected).zip(&answers) {
            *tally.entry(name(expected)).or_default() += 1;
            if *answer != expected.answer && !is_block_out_of_place(expected) {
                mismatches
                    .push(format!("{state}  ours {:x?}\n  QEMU {answer:x?}", expected.answer));
            }
        }
    }
    if mismatches.is_empty() {
        return Ok(tally);
    }
    let shown = &mismatches[..mismatches.len().min(MISMATCHES_SHOWN)];
    Err(format!("{} of {wanted} states differ:\n{}", mismatches.len(), shown.join("\n")))
}

#[test]
fn qemu_executes_as_we_walk() {
    let mut machine = match Machine::start() {
        Ok(machine) => machine,
        Err(Missing(what)) => return skip(&what),
    };
    let wanted = states_wanted();
    let tally = compare(&mut machine, wanted).unwrap_or_else(|error| panic!("{error}"));
    println!("{wanted} states: {tally:?}");
    if wanted >= 10_000 {
        for cause in [
            FaultCause::NonCanonical,
            FaultCause::NotPresent,
            FaultCause::Reserved,
            FaultCause::AddressSize,
            FaultCause::AccessedClear,
            FaultCause::Protection,
            FaultCause::Privilege,
            FaultCause::NoMemory,
        ] {
            assert!(tally.contains_key(&format!("{cause:?}")), "no state gave {cause:?}");
        }
        assert!(tally["done"] > wanted / 10, "too few accesses were made: {tally:?}");
    }
}
