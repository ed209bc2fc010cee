//! Which way of a full set makes room.
//!
//! A hit does the same under every policy: it stores the time of the reference in the slot's
//! *stamp*. Victims are computed from the stamps when one is needed, which is rare; so whoever
//! keeps a host pointer to a page can account for a hit by one store, and replacement stays exact.
//!
//! ```text
//!   LRU     the smallest stamp
//!   PLRU    from the root of the tree, always into the half whose newest stamp is older:
//!
//!               stamps   5   9 │ 7   3        newest 9 │ 7     ──► right
//!                              │ 7 │ 3        newest 7 │ 3     ──► right: way 3
//!
//!           A tree-PLRU bit points away from the half that was touched last, and each touch
//!           stamps: the two descriptions name the same way.
//!   FIFO    the smallest fill number
//!   random  xorshift64*, drawn only when a victim is needed
//! ```

use alloc::{vec, vec::Vec};

/// A replacement policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Replacement {
    /// The least recently used way.
    #[default]
    Lru,
    /// The way that a binary tree of one-bit hints points to; the ways are a power of two.
    TreePlru,
    /// The way that was filled first.
    Fifo,
    /// Any way, from a generator of its own.
    Random {
        /// Where the generator starts.
        seed: u64,
    },
}

impl Replacement {
    /// The names that [`Replacement::by_name`] knows.
    pub const NAMES: [&'static str; 4] = ["lru", "plru", "fifo", "random"];

    /// The policy of that name; `random` starts from a fixed seed.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "lru" => Self::Lru,
            "plru" => Self::TreePlru,
            "fifo" => Self::Fifo,
            "random" => Self::Random { seed: Self::DEFAULT_SEED },
            _ => return None,
        })
    }

    /// The policy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::TreePlru => "plru",
            Self::Fifo => "fifo",
            Self::Random { .. } => "random",
        }
    }

    /// The seed of `random` where none is given.
    pub(super) const DEFAULT_SEED: u64 = 1;
}

/// A policy at work in one array: what it must remember beyond the stamps.
#[derive(Clone, Debug)]
pub(crate) enum Chooser {
    Lru,
    TreePlru,
    /// The fill number of each slot, and the next one.
    Fifo {
        filled: Vec<u64>,
        next: u64,
    },
    Random(XorShift),
}

impl Chooser {
    pub fn new(policy: Replacement, slots: usize) -> Self {
        match policy {
            Replacement::Lru => Self::Lru,
            Replacement::TreePlru => Self::TreePlru,
            Replacement::Fifo => Self::Fifo { filled: vec![0; slots], next: 0 },
            Replacement::Random { seed } => Self::Random(XorShift::new(seed)),
        }
    }

    /// The victim's way in a set where all ways hold entries: `stamps` are the set's, `first` is
    /// its first slot in the array.
    #[inline]
    pub fn victim(&mut self, stamps: &[u64], first: usize) -> usize {
        let ways = stamps.len();
        let way = match self {
            Self::Lru => oldest(stamps),
            Self::TreePlru => pseudo_oldest(stamps),
            Self::Fifo { filled, .. } => oldest(&filled[first..first + ways]),
            Self::Random(generator) => generator.below(ways),
        };
        debug_assert!(way < ways);
        way
    }

    /// An entry was put into the array's slot `slot`.
    #[inline]
    pub fn filled(&mut self, slot: usize) {
        if let Self::Fifo { filled, next } = self {
            filled[slot] = *next;
            *next += 1;
        }
    }
}

/// The index of the smallest value, the lowest on ties.
#[inline]
fn oldest(values: &[u64]) -> usize {
    let (mut index, mut smallest) = (0, u64::MAX);
    for (other, &value) in values.iter().enumerate() {
        if value < smallest {
            (index, smallest) = (other, value);
        }
    }
    index
}

/// The index that tree-PLRU points to. The number of stamps is a power of two.
fn pseudo_oldest(stamps: &[u64]) -> usize {
    debug_assert!(stamps.len().is_power_of_two());
    let mut first = 0;
    let mut rest = stamps;
    while rest.len() > 1 {
        let (left, right) = rest.split_at(rest.len() / 2);
        if newest(left) <= newest(right) {
            rest = left;
        } else {
            first += left.len();
            rest = right;
        }
    }
    first
}

fn newest(stamps: &[u64]) -> u64 {
    stamps.iter().copied().max().unwrap_or(0)
}

/// Vigna's xorshift64*: period 2^64 - 1, and the same numbers everywhere.
#[derive(Clone, Debug)]
pub(crate) struct XorShift(u64);

impl XorShift {
    fn new(seed: u64) -> Self {
        // The state must not be zero; an odd multiplier spreads small seeds over all bits.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    /// A number below `bound`: the high half of a product, so no division and no bias that a set
    /// of at most 2^12 ways could show.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * bound as u64) >> 32) as usize
    }
}
