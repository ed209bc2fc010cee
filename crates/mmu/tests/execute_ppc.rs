//! The 32-bit PowerPC's hashed page table against QEMU's 604 executing the access.
//!
//! What is compared for every state: whether the access faults; DSI or ISI, DSISR and DAR, or SRR1
//! and SRR0; which page answered a load or a fetch, or took a store; and the PTEs afterwards, with
//! R and C. `benches/execute.sh ppc` makes the long run.
//!
//! QEMU's fetches are judged by N alone: of those that the manual forbids for another reason
//! ([`State::unchecked_fetch`]), only the place that they come from is compared.
#![cfg(unix)]

mod common;
mod execute;
#[path = "execute/ppc/mod.rs"]
mod ppc;

use common::skip;
use execute::{Missing, Shuffle, seed, states_wanted};
use pagewalk_mmu::{AccessKind, ArchFault};
use ppc::{Effect, Machine, Observed, State, combinations};
use std::collections::BTreeMap;

/// States of one batch: few enough for each store to have a word of its own.
const BATCH: u64 = 10_000;
const DIFFERENCES_SHOWN: usize = 10;

/// How often each outcome was met.
type Tally = BTreeMap<&'static str, u64>;

#[test]
fn qemu_executes_hashed_page_tables() {
    let mut machine = match Machine::start() {
        Ok(machine) => machine,
        Err(Missing(tool)) => return skip(&tool),
    };
    let (count, seed) = (states_wanted(), seed());
    let shuffle = Shuffle::new(combinations(&machine), seed);
    let mut tally = Tally::new();
    for first in (0..count).step_by(BATCH as usize) {
        let states = (first..count.min(first + BATCH))
            .map(|n| State::new(&machine, shuffle.at(n), seed))
            .collect();
        run_batch(&mut machine, states, &mut tally);
    }
    println!("{count} states agree, of {} combinations: {tally:?}", shuffle.size());
    let outcomes =
        ["allowed", "DSI not found", "DSI protection", "ISI not found", "ISI no-execute"];
    for outcome in outcomes {
        assert!(count < 1000 || tally.contains_key(outcome), "{outcome} is among the outcomes");
    }
}

fn run_batch(machine: &mut Machine, mut states: Vec<State>, tally: &mut Tally) {
    for (state, marker) in states.iter_mut().zip(0x8000_0000..) {
        if state.access.kind == AccessKind::Write {
            state.marker = marker;
            let pa = state.walk().0.ok().map(|translation| translation.pa);
            state.ea |= machine.store_offset(pa, marker) as u32;
        }
    }
    let observed = machine.run(&states).unwrap_or_else(|error| panic!("{error}"));
    let mut differences = Vec::new();
    for (state, theirs) in states.iter().zip(observed) {
        let unchecked = state.unchecked_fetch();
        let outcome = if unchecked.is_some() { UNCHECKED } else { name(&state.expected()) };
        *tally.entry(outcome).or_default() += 1;
        let ours = unchecked.unwrap_or_else(|| state.expected());
        if ours != theirs {
            differences.push(format!("{state:x?}\n    ours   {ours:x?}\n    theirs {theirs:x?}"));
        }
    }
    let shown = differences[..differences.len().min(DIFFERENCES_SHOWN)].join("\n");
    assert!(differences.is_empty(), "{} differences, the first:\n{shown}", differences.len());
}

/// Not compared with our walk, but with what QEMU makes of it.
const UNCHECKED: &str = "fetch that QEMU does not check";

fn name(ours: &Observed) -> &'static str {
    const NOT_FOUND: u32 = 0x4000_0000;
    const NO_EXECUTE: u32 = 0x1000_0000;
    match ours.effect {
        Ok(Effect::Fault(ArchFault::PpcDsi { dsisr })) if dsisr & NOT_FOUND != 0 => "DSI not found",
        Ok(Effect::Fault(ArchFault::PpcDsi { .. })) => "DSI protection",
        Ok(Effect::Fault(ArchFault::PpcIsi { srr1: NOT_FOUND })) => "ISI not found",
        Ok(Effect::Fault(ArchFault::PpcIsi { srr1: NO_EXECUTE })) => "ISI no-execute",
        Ok(Effect::Fault(_)) => "ISI protection",
        _ => "allowed",
    }
}
