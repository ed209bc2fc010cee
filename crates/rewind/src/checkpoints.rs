//! Copies of the machine, from which a run goes on again.
//!
//! ```text
//!   0        1·i       2·i       3·i       4·i   …    kept all the way, i instructions apart
//!   ├─────────┼─────────┼─────────┼─────────┼──►
//!                                      ┊ ┊ ┊┊●        near the position that was gone back to,
//!                                                     each 16 times nearer than the one before
//! ```
//!
//! When the copies need more memory than they may, every second one goes and `i` doubles: so how
//! far the last copy before any position is depends on how much memory the machine has and what
//! may be used for copies, not on where the position is. Those near the position make one step back
//! after the other cheap.

use std::collections::BTreeMap;

use pagewalk_machine::Machine;

use crate::files::{Keeper, SavedFiles};
use crate::streams::Mark;

/// Copies are so many instructions apart at first.
const INTERVAL: u64 = 1 << 24;

/// So far before a position that was gone back to copies are made.
const NEAR: [u64; 4] = [1 << 22, 1 << 18, 1 << 14, 1 << 10];

/// A copy takes this much besides the frames in use.
const FIXED_BYTES: u64 = 1 << 20;

/// What checkpoints may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the host's memory for copies of the machine.
    pub bytes_max: u64,
    /// The fewest instructions between two of them.
    pub interval: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 1 << 30, interval: INTERVAL }
    }
}

/// A machine as it was.
#[derive(Debug)]
pub(crate) struct Saved {
    pub machine: Machine,
    pub streams: Mark,
    /// Its files, if it has a directory.
    pub files: Option<SavedFiles>,
    pub bytes: u64,
}

/// The checkpoints of a run, by the instructions that were done.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    kept: BTreeMap<u64, Saved>,
    near: BTreeMap<u64, Saved>,
    interval: u64,
    bytes_max: u64,
}

impl Checkpoints {
    pub fn new(limits: Limits) -> Self {
        Self {
            kept: BTreeMap::new(),
            near: BTreeMap::new(),
            interval: limits.interval.max(1),
            bytes_max: limits.bytes_max,
        }
    }

    /// The next number of instructions behind `instructions` at which there should be one.
    pub fn next(&self, instructions: u64) -> u64 {
        (instructions / self.interval + 1).saturating_mul(self.interval)
    }

    /// Whether a copy that is made now would be kept.
    pub fn wants(&self, instructions: u64) -> bool {
        instructions.is_multiple_of(self.interval) && !self.kept.contains_key(&instructions)
    }

    /// Keeps a copy.
    pub fn keep(&mut self, instructions: u64, saved: Saved) {
        self.kept.insert(instructions, saved);
        while self.kept.len() > 2 && self.bytes() > self.bytes_max {
            let Some(wider) = self.interval.checked_mul(2) else { return };
            self.interval = wider;
            self.kept.retain(|instructions, _| instructions.is_multiple_of(wider));
        }
    }

    /// Where the last copy at or before a number of instructions is.
    pub fn last(&self, instructions: u64) -> Option<u64> {
        let last = |map: &'_ BTreeMap<u64, Saved>| {
            map.range(..=instructions).next_back().map(|(at, _)| *at)
        };
        last(&self.kept).max(last(&self.near))
    }

    /// The copy that was made there.
    pub fn at(&mut self, instructions: u64) -> Option<&mut Saved> {
        self.kept.get_mut(&instructions).or_else(|| self.near.get_mut(&instructions))
    }

    /// Where copies are wanted on the way from `from` to `to`, which was gone back to.
    pub fn begin_near(&mut self, from: u64, to: u64) -> Vec<u64> {
        let places = NEAR.iter().filter_map(|before| to.checked_sub(*before));
        let places: Vec<u64> = places.filter(|&at| at > from).collect();
        if !places.is_empty() {
            self.near.retain(|at, _| *at <= from && to - *at <= 2 * NEAR[0]);
        }
        places
    }

    /// Keeps a copy near the position.
    pub fn keep_near(&mut self, instructions: u64, saved: Saved) {
        self.near.insert(instructions, saved);
        while self.near.len() > 2 * NEAR.len() {
            self.near.pop_first();
        }
    }

    fn bytes(&self) -> u64 {
        self.kept.values().map(|saved| saved.bytes).sum()
    }
}

impl Saved {
    /// A copy of a machine as it is.
    ///
    /// # Errors
    /// If its swap devices or files cannot be copied.
    pub fn of(
        machine: &mut Machine,
        streams: Mark,
        keeper: Option<&mut Keeper>,
    ) -> std::io::Result<Self> {
        let page = machine.ram().page().bytes();
        let (free, total) = machine.inspect().free_frames();
        let frames = (total - free).saturating_mul(page);
        let files = keeper.map(|keeper| keeper.save(machine)).transpose()?;
        Ok(Self { machine: machine.snapshot()?, streams, files, bytes: frames + FIXED_BYTES })
    }
}
