//! Who watches a walk: each reference that the hardware makes to its tables is shown once.
//!
//! ```text
//!   radix tables      step ─► step ─► step (leaf) ─► update …
//!   hashed tables     probe ─► probe ─► probe (match) ─► update
//! ```
//!
//! `()` watches nothing and compiles to nothing.

use crate::radix::{Entry, WalkStart};
use crate::{EntryWidth, Level, PhysAddr};

/// Sees every step of a walk.
pub trait WalkObserver {
    /// An entry of a radix table was read and decoded.
    fn step(&mut self, step: &Step) {
        let _ = step;
    }

    /// The walk goes on with a table of the next level.
    fn descend(&mut self, to: &WalkStart) {
        let _ = to;
    }

    /// A word of a hashed table was read.
    fn probe(&mut self, probe: &Probe) {
        let _ = probe;
    }

    /// An entry was written, to set accessed or dirty bits.
    fn update(&mut self, at: PhysAddr, raw: u64) {
        let _ = (at, raw);
    }
}

impl WalkObserver for () {}

/// One step down a radix tree: one entry read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The level of the table.
    pub level: Level,
    /// Where the entry lies; `None` if it came from a register.
    pub at: Option<PhysAddr>,
    /// The index into the table.
    pub index: u64,
    /// The bits read.
    pub raw: u64,
    /// Their meaning.
    pub entry: Entry,
}

/// One word of a hashed table read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where it lies.
    pub at: PhysAddr,
    /// Its width.
    pub width: EntryWidth,
    /// The bits read.
    pub raw: u64,
    /// What it is.
    pub what: ProbeKind,
    /// Whether the look-up goes on with what it says: an anchor or link that points on, an entry
    /// that matches.
    pub matches: bool,
}

/// What a probe read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// The head of a chain, picked by the hash.
    Anchor,
    /// The part of an entry that is compared.
    Tag,
    /// The part of an entry that says where the page is and what it allows.
    Data,
    /// The link to the chain's next entry.
    Link,
}
