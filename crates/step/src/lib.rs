//! Steps: a run that can be looked at anywhere, and walked through forwards and backwards.
//!
//! ```text
//!          ◄── back ──  State at step 41  ── forward ──►
//!   ───┬────┬────┬────┬────┬────┬────┬────┬────┬────┬────┬───►
//!      │    │    │    │    │    │    │    │    │    │    │  table references
//!      ├────┴────┼────┴────┴────┴────┼────┴────┴────┼────┴  accesses, instructions
//!      └─────────┴───── fault ───────┴──────────────┴       faults, … to the end
//! ```
//!
//! Whoever can run a program and stop anywhere is a [`Stepper`]: the word machine's scenarios, and
//! machines with real programs. Whatever shows a run (a terminal, JSON, a page) needs a [`State`]
//! and nothing else.
//!
//! Invariants:
//! 1. The state at a step is a pure function of the run and the step: going there by another way,
//!    or twice, gives the same [`State`], byte for byte.
//! 2. Going back and forward again over the same grain ends where it began.
//! 3. Sentences are made from what happened, with its numbers; none is written for one scenario.

#![forbid(unsafe_code)]

mod happened;
mod picture;
mod state;
mod stepper;

pub use happened::{Happened, Kind};
pub use picture::{Base, picture};
pub use state::{
    CodeLine, FrameState, PageState, Presence, ProcessState, ProcessStatus, QueueState, Region,
    Register, SlotState, State, TlbEntryState, Word,
};
pub use stepper::{Break, Grain, StepError, Stepper};

/// A state as indented JSON with a final newline.
pub fn json(state: &State) -> String {
    let text = serde_json::to_string_pretty(state);
    // Serialising to memory fails only on maps whose keys are not strings.
    text.expect("the keys of a state are strings") + "\n"
}

/// The JSON Schema (draft 2020-12) of what [`json`] writes.
pub fn schema() -> String {
    let schema = schemars::schema_for!(State);
    serde_json::to_string_pretty(&schema).expect("a schema has string keys") + "\n"
}
