//! A set of frames as one bit each, found through a tree of summaries.
//!
//! ```text
//!   level 1   0 1 ……………   bit i: word i of level 0 is not zero
//!               └──────┐
//!   level 0   000…0  0100…  bit f: frame f is in the set
//! ```
//!
//! So the next member is found in a step for each level, four for sixteen million frames, however
//! few there are.

use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

#[derive(Clone, Debug)]
pub(crate) struct FrameSet {
    levels: Vec<Vec<u64>>,
    frames: u64,
    len: usize,
}

impl FrameSet {
    pub(crate) fn new(frames: u64) -> Self {
        let mut levels = Vec::new();
        let mut bits = frames as usize;
        loop {
            bits = bits.div_ceil(64);
            levels.push(vec![0; bits]);
            if bits <= 1 {
                return Self { levels, frames, len: 0 };
            }
        }
    }

    /// Whether the frame was not yet in the set.
    pub(crate) fn insert(&mut self, frame: Pfn) -> bool {
        assert!(frame.0 < self.frames, "frame {frame} is outside the policy's frames");
        if self.contains(frame) {
            return false;
        }
        let mut at = frame.0 as usize;
        for level in &mut self.levels {
            let was = level[at / 64];
            level[at / 64] |= 1 << (at % 64);
            if was != 0 {
                break;
            }
            at /= 64;
        }
        self.len += 1;
        true
    }

    /// Whether the frame was in the set.
    pub(crate) fn remove(&mut self, frame: Pfn) -> bool {
        if !self.contains(frame) {
            return false;
        }
        let mut at = frame.0 as usize;
        for level in &mut self.levels {
            level[at / 64] &= !(1 << (at % 64));
            if level[at / 64] != 0 {
                break;
            }
            at /= 64;
        }
        self.len -= 1;
        true
    }

    pub(crate) fn contains(&self, frame: Pfn) -> bool {
        frame.0 < self.frames
            && self.levels[0][(frame.0 / 64) as usize] & (1 << (frame.0 % 64)) != 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        self.levels.iter_mut().for_each(|level| level.fill(0));
        self.len = 0;
    }

    /// The first frame of the set at or after `from`, going round; `None` if the set is empty.
    pub(crate) fn next_circular(&self, from: u64) -> Option<Pfn> {
        self.next(from).or_else(|| self.next(0))
    }

    /// The first frame of the set at or after `from`.
    pub(crate) fn next(&self, from: u64) -> Option<Pfn> {
        let mut at = from as usize;
        for (height, level) in self.levels.iter().enumerate() {
            let word = level.get(at / 64)? & (u64::MAX << (at % 64));
            if word != 0 {
                let found = at / 64 * 64 + word.trailing_zeros() as usize;
                return Some(Pfn(self.descend(height, found) as u64));
            }
            at = at / 64 + 1;
        }
        None
    }

    /// The lowest frame below bit `at` of a level.
    fn descend(&self, height: usize, at: usize) -> usize {
        let below = self.levels[..height].iter().rev();
        below.fold(at, |at, level| at * 64 + level[at].trailing_zeros() as usize)
    }
}
