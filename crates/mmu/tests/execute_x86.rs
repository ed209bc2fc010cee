//! The x86 formats against QEMU and KVM executing the access.
//!
//! What is compared for every state: whether the access faults; the exception, its error code and
//! CR2; which page answered; and the entries afterwards. `benches/execute.sh x86` makes the long
//! run.

mod common;
mod execute;
#[path = "execute/x86/mod.rs"]
mod x86;

use common::skip;
use execute::{Missing, Shuffle, seed, states_wanted};
use pagewalk_mmu::{AccessKind};
use std::collections::BTreeMap;
use x86::expected::{Expected, Outcome, expected};
use x86::layout::Mode;
use x86::machine::{Machine, Model, Observed};
use x86::pages::offset_of;
use x86::states::{Space, State};

/// A: accessed, of a table.
const A: u64 = 1 << 5;
/// States of one batch.
const BATCH: u64 = 20_000;
const MISMATCHES_SHOWN: usize = 12;

/// State `n` of the run: the two enumerations take turns.
fn state(space: &Space, shuffle: &Shuffle, n: u64, seed: u64) -> State {
    if n.is_multiple_of(2) {
        State::leaf(space, shuffle.at(n / 2), seed)
    } else {
        State::path(space, n / 2, seed)
    }
}

/// Whether the entries afterwards are right. On a fault, the tables above the entry that decided
/// may have been marked accessed or not: they were used (SDM vol. 3A, 4.8), and a processor may
/// cache them. Ours are not.
fn entries_agree(expected: &Expected, observed: &Observed) -> bool {
    let fault = matches!(expected.outcome, Outcome::PageFault { .. });
    (0..5).all(|level| {
        let used = if fault && level > expected.level { A } else { 0 };
        expected.after[level] | used == observed.after[level] | used
    })
}

/// Runs `count` states; returns how often each outcome was met.
fn compare(machine: &mut Machine, count: u64) -> Result<BTreeMap<&'static str, u64>, String> {
    let seed = seed();
    let shuffle = Shuffle::new(machine.space.leaf_states(), seed);
    let mut tally = BTreeMap::new();
    let mut mismatches = Vec::new();
    for first in (0..count).step_by(BATCH as usize) {
        machine.pages().begin();
        let states = (first..count.min(first + BATCH))
            .map(|n| state(&machine.space, &shuffle, n, seed));
        let mut states: Vec<State> = states.collect();
        // Control registers are slow to write.
        states.sort_by_key(|s| (s.controls.nxe, s.pcide, s.controls.smap, s.controls.smep, s.controls.pge, s.controls.pse, s.controls.wp));
        let mut batch = Vec::new();
        let mut answers = Vec::new();
        for (state, marker) in states.into_iter().zip(0x8000_0000..) {
            let page = expected(&machine.space, &state, state.va);
            let inside = match (state.access.kind, page.outcome) {
                (AccessKind::Write, Outcome::Page(pa)) => machine.pages().store(pa, marker),
                (AccessKind::Write, _) => machine.pages().store(0, marker),
                (kind, _) => offset_of(kind == AccessKind::Read, state.random),
            };
            let va = state.va | inside;
            answers.push(expected(&machine.space, &state, va));
            batch.push((state, va, marker));
        }
        let observed = machine.run(&batch)?;
        for (((state, va, _), expected), observed) in batch.iter().zip(&answers).zip(&observed) {
            *tally.entry(name(&expected.outcome)).or_default() += 1;
            let mut observed = observed.clone();
            if !machine.space.processor.kvm {
                if let Ok(Outcome::PageFault { error_code, .. }) = &mut observed.outcome && *error_code & 8 != 0 { *error_code |= 1; }
                if machine.space.mode == Mode::Pae { observed.after[2] &= !A; }
                if machine.space.mode.long() && expected.level == 2 && state.entries[2] & A == 0 { observed.after[2] &= !A; }
            }
            let observed = &observed;
            let same = match (expected.outcome, &observed.outcome) {
                (Outcome::Page(pa), Ok(Outcome::Page(_))) if state.access.kind == AccessKind::Write => machine.pages().holds(pa),
                (expected, Ok(observed)) => expected == *observed,
                (_, Err(_)) => false,
            };
            if !same || !entries_agree(expected, observed) {
                mismatches.push(format!("{va:#x}: {state:x?}\n  ours   {expected:x?}\n  theirs {observed:x?}"));
            }
        }
        for (pa, expected, found) in machine.differences() {
            mismatches.push(format!("memory at {pa:#x}: ours {expected:#x}, theirs {found:#x}"));
        }
        if mismatches.len() > 0 { break; }
    }
    let shown = mismatches.iter().take(MISMATCHES_SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(mismatches.is_empty(), "{} differences, the first:\n{shown}", mismatches.len());
    Ok(tally)
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Page(_) => "page",
        Outcome::Nowhere => "no memory",
        Outcome::PageFault { error_code, .. } if error_code & 8 != 0 => "#PF reserved",
        Outcome::PageFault { error_code, .. } if error_code & 1 != 0 => "#PF protection",
        Outcome::PageFault { .. } => "#PF not present",
        Outcome::GeneralProtection => "#GP",
        Outcome::RootRefused => "#GP at CR3",
    }
}

fn run(mode: Mode, model: &Model, count: u64) {
    let what = format!("{} on {} -cpu {}", mode.name(), if model.kvm { "KVM" } else { "TCG" }, model.cpu);
    let mut machine = match Machine::start(mode, model) {
        Ok(Ok(machine)) => machine,
        Ok(Err(error)) if model.kvm => return println!("not compared: {what} ({error})"),
        Ok(Err(error)) => panic!("{what}: {error}"),
        Err(Missing(tool)) => return skip(&tool),
    };
    let started = std::time::Instant::now();
    match compare(&mut machine, count) {
        Ok(tally) => println!("{what}: {count} states, {tally:?} {:?} {:?}", started.elapsed(), machine.space.processor),
        Err(error) => panic!("{what}: {error}"),
    }
}

fn tcg(cpu: &str) -> Model {
    Model { kvm: false, cpu: cpu.to_owned(), phys_bits: 40, ram_bytes: 256 << 30 }
}

#[test]
fn ia32() { run(Mode::Ia32, &tcg("max"), states_wanted() / 4); }
#[test]
fn pae() { run(Mode::Pae, &tcg("max"), states_wanted() / 4); }
#[test]
fn four() { run(Mode::FourLevels, &tcg("max"), states_wanted() / 4); }
#[test]
fn five() { run(Mode::FiveLevels, &tcg("max"), states_wanted() / 4); }

fn kvm(bits: u8) -> Model {
    Model { kvm: true, cpu: format!("host,vendor=GenuineIntel,phys-bits={bits},host-phys-bits=off"), phys_bits: bits, ram_bytes: 8 << 30 }
}
#[test]
fn kvm_ia32() { run(Mode::Ia32, &kvm(36), states_wanted() / 4); }
#[test]
fn kvm_pae() { run(Mode::Pae, &kvm(40), states_wanted() / 4); }
#[test]
fn kvm_four() { run(Mode::FourLevels, &kvm(46), states_wanted() / 4); }
#[test]
fn kvm_five() { run(Mode::FiveLevels, &kvm(46), states_wanted() / 4); }
