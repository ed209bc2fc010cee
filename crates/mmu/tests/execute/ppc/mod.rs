//! The PowerPC's part of the verification by execution.

mod machine;
mod state;

pub use machine::Machine;
pub use state::{Effect, Observed, State, combinations};
