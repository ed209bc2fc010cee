//! The parts of `execute_aarch64.rs`: what a state is, what our walker says to it, and the machine
//! that executes it.

pub mod expected;
pub mod layout;
pub mod machine;
pub mod state;
