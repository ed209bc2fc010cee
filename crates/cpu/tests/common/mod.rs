//! What the tests share: a flat memory behind [`Bus`], the instruction listing, random numbers.

#![allow(dead_code, unused_imports, reason = "each test uses its own part")]

pub mod bus;
pub mod encode;
pub mod listing;
pub mod program;
pub mod random;
pub mod rng;

pub use bus::{Access, FlatBus, PAGE};
pub use encode::{Row, rows};
pub use rng::Rng;
