//! Scenarios: stories of virtual memory, told by the very MMUs and kernel that run real programs.
//!
//! ```text
//!   scenarios/*.toml ─► parse ─► Scenario ─► Player ──► State at any step, sentences
//!                        │                     │
//!                        └ error with          └ World: Board (RAM, MMU, swap, files)
//!                          file:line:column             System (processes, Kernel)
//! ```
//!
//! A scenario is a machine of words, what is in its memory, processes with a few lines of code, and
//! what must hold at certain steps. The machine of words has one word at each address, and pages of
//! any number of words; below it are the page tables, TLBs and the kernel of the other crates, bit
//! for bit.
//!
//! Architecture invariants:
//! 1. Nothing is translated, replaced or handled here: MMU and kernel do it, and are watched.
//! 2. The state at a step is a function of the scenario and the step alone.
//! 3. What is wrong with a scenario is said with file, line and column; nothing that a file says
//!    can make this crate panic.

#![forbid(unsafe_code)]

mod board;
mod build;
mod built_in;
mod check;
mod error;
mod expect;
mod file;
mod geometry;
mod journal;
mod memory_call;
mod player;
mod scenario;
mod state;
mod story;
mod system;
mod tell;
mod world;

pub use built_in::{BUILT_IN, BuiltIn, find};
pub use check::parse;
pub use error::ScenarioError;
pub use expect::check;
pub use player::Player;
pub use scenario::{Overrides, Scenario};
pub use story::{StoryOptions, scene, story};
