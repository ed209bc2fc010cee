//! Keys of frames, with the smallest found in a step for each level.
//!
//! ```text
//!   level 1    min of 32      min of 32   …
//!              ┌──┴──┐        ┌──┴──┐
//!   level 0    key … key      key … key   one for each frame
//! ```

use alloc::vec;
use alloc::vec::Vec;

const FAN: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct MinTree {
    levels: Vec<Vec<u16>>,
}

impl MinTree {
    /// The key of a frame that is not to be found.
    pub(crate) const NONE: u16 = u16::MAX;

    pub(crate) fn new(frames: u64) -> Self {
        let mut levels = vec![vec![Self::NONE; frames as usize]];
        while levels[levels.len() - 1].len() > 1 {
            let keys = levels[levels.len() - 1].len().div_ceil(FAN);
            levels.push(vec![Self::NONE; keys]);
        }
        Self { levels }
    }

    pub(crate) fn get(&self, at: u64) -> u16 {
        self.levels[0].get(at as usize).copied().unwrap_or(Self::NONE)
    }

    pub(crate) fn set(&mut self, at: u64, key: u16) {
        let mut at = at as usize;
        let mut was = core::mem::replace(&mut self.levels[0][at], key);
        for height in 1..self.levels.len() {
            at /= FAN;
            let (below, here) = self.levels.split_at_mut(height);
            let parent = &mut here[0][at];
            // Where the child was not the smallest, and is not now, nothing changes above it.
            let now = match (key <= *parent, was == *parent) {
                (true, _) => key,
                (false, true) => smallest(&below[height - 1], at),
                (false, false) => return,
            };
            was = core::mem::replace(parent, now);
            if was == now {
                return;
            }
        }
    }

    /// Gives every frame that has a key another one.
    pub(crate) fn update(&mut self, mut key: impl FnMut(u64, u16) -> u16) {
        for (at, now) in self.levels[0].iter_mut().enumerate() {
            if *now != Self::NONE {
                *now = key(at as u64, *now);
            }
        }
        for height in 1..self.levels.len() {
            let (below, here) = self.levels.split_at_mut(height);
            for (at, now) in here[0].iter_mut().enumerate() {
                *now = smallest(&below[height - 1], at);
            }
        }
    }

    /// The first frame with the smallest key.
    pub(crate) fn first(&self) -> Option<u64> {
        let top = self.levels.last()?.first().copied()?;
        if top == Self::NONE {
            return None;
        }
        let below = self.levels[..self.levels.len() - 1].iter().rev();
        let found = below.fold(0, |at, level| {
            let from = at * FAN;
            let family = &level[from..level.len().min(from + FAN)];
            from + family.iter().position(|&key| key == top).expect("a parent is a child's key")
        });
        Some(found as u64)
    }
}

/// The smallest of the children of parent `at`.
fn smallest(level: &[u16], at: usize) -> u16 {
    let from = at * FAN;
    level[from..level.len().min(from + FAN)].iter().copied().min().unwrap_or(MinTree::NONE)
}
