//! Real programs forwards and backwards: a machine as a [`Stepper`](pagewalk_step::Stepper).
//!
//! ```text
//!   checkpoint      checkpoint            checkpoint          position
//!       ├───────────────┼──────────────────────┼─────────────────●──► run
//!                                              └── run again ──►●
//!                                                       back: to here
//! ```
//!
//! A machine runs forwards only. Going back means to take a copy of it that was made before, and to
//! run that again: the same program, machine and input give the same run, so it ends where the first
//! one was. [`Rewind`] keeps such copies, and runs them with nobody listening.
//!
//! # Positions
//!
//! A position is a number of instructions, and how many things happened after the last of them:
//!
//! ```text
//!   instruction n is done                          n + 1 is done
//!   ────┬────────┬────────┬────────┬─ … ─┬───────────┬──────────►
//!       │        │        │        │     │           │
//!      n.0      n.1      n.2      n.3   n.k       (n+1).0
//!     Retired  begins,  TLB     table  fault,     Retired
//!              split    miss    read   swap-in …
//! ```
//!
//! So it is known without what lies before, and `go_to` finds instruction two billion without
//! having counted the references of the others. [`State::step`](pagewalk_step::State::step) is
//! `n × 65,536 + k`; [`Place`] makes it and takes it apart. The numbers `n.k` beyond a window's last
//! thing name nothing.
//!
//! Architecture invariants:
//! 1. The state at a position is a pure function of program, machine, input and position.
//! 2. References, look-ups and splits are those of an explanation made on a copy of the MMU, the
//!    machine's own: looking changes nothing.
//! 3. The kernel is not interrupted. What it did in one entry happened at positions of their own,
//!    and the state at all of them is that behind the entry; the state at the fault that it was
//!    entered for is that before.
//! 4. The program's files are a copy that nobody else has. A checkpoint keeps what they were, and
//!    going back puts them there.
//! 5. Output is what was written up to the position; input is read once and kept.

#![forbid(unsafe_code)]

mod accesses;
mod checkpoints;
mod events;
mod files;
mod instruction;
mod place;
mod rewind;
mod search;
mod sentences;
mod state;
mod streams;
mod window;

pub use checkpoints::Limits;
pub use place::Place;
pub use rewind::{Interrupt, Rewind, StartError};
