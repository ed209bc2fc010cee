//! Physical memory as a list of free blocks.
//!
//! ```text
//!   frames  start                                                end
//!             ├─used─┤ free ├──used──┤ free ├─used─┤    free      ┤
//! ```
//!
//! Invariants:
//! 1. Free blocks are not empty, in order, and none touches the next: neighbours are one block.
//! 2. A frame is in a free block or in use; who uses it is not known here.

use super::Fit;
use alloc::vec::Vec;
use core::ops::Range;

/// The free blocks of a pool of frames.
#[derive(Clone, Debug)]
pub struct Blocks {
    pool: Range<u64>,
    free: Vec<Range<u64>>,
    /// Where the last search by [`Fit::Next`] ended.
    hand: u64,
}

impl Blocks {
    /// A pool whose frames are all free.
    pub fn new(pool: Range<u64>) -> Self {
        let mut free = Vec::new();
        if !pool.is_empty() {
            free.push(pool.clone());
        }
        Self { hand: pool.start, free, pool }
    }

    /// All frames of the pool.
    pub fn pool(&self) -> &Range<u64> {
        &self.pool
    }

    /// The free blocks, lowest first.
    pub fn free(&self) -> &[Range<u64>] {
        &self.free
    }

    /// Free frames.
    pub fn free_frames(&self) -> u64 {
        self.free.iter().map(len).sum()
    }

    /// Frames of the largest free block.
    pub fn largest(&self) -> u64 {
        self.free.iter().map(len).max().unwrap_or(0)
    }

    /// The start of a free block for `frames` frames, at least one, among those that `allowed`
    /// lets be considered. Nothing is taken yet.
    pub fn find(
        &self,
        frames: u64,
        fit: Fit,
        allowed: impl Fn(&Range<u64>) -> bool,
    ) -> Option<u64> {
        let mut fitting = self.free.iter().filter(|block| len(block) >= frames && allowed(block));
        match fit {
            Fit::First => fitting.next(),
            Fit::Best => fitting.min_by_key(|block| len(block)),
            Fit::Worst => fitting.max_by_key(|block| (len(block), core::cmp::Reverse(block.start))),
            Fit::Next => {
                let ahead = |block: &&Range<u64>| block.start >= self.hand;
                fitting.clone().find(ahead).or_else(|| fitting.next())
            }
        }
        .map(|block| block.start)
    }

    /// Takes `frames` frames, at least one, where `fit` says; returns the first.
    pub fn allocate(&mut self, frames: u64, fit: Fit) -> Option<u64> {
        let start = self.find(frames, fit, |_| true)?;
        self.allocate_at(start, frames);
        self.hand = start + frames;
        Some(start)
    }

    /// Takes these frames; `false`, and nothing is taken, if one of them is not free.
    pub fn allocate_at(&mut self, start: u64, frames: u64) -> bool {
        let Some(end) = start.checked_add(frames) else { return false };
        let holds = |block: &Range<u64>| block.start <= start && end <= block.end;
        let Some(index) = self.free.iter().position(holds) else { return false };
        let block = self.free[index].clone();
        let rest = [block.start..start, end..block.end];
        self.free.splice(index..=index, rest.into_iter().filter(|rest| !rest.is_empty()));
        true
    }

    /// Gives frames back that were taken.
    ///
    /// # Panics
    /// If one of them is free or not of this pool.
    pub fn release(&mut self, start: u64, frames: u64) {
        let mut new = start..start + frames;
        if new.is_empty() {
            return;
        }
        assert!(self.pool.start <= start && new.end <= self.pool.end, "frames of this pool");
        let index = self.free.partition_point(|block| block.start < start);
        assert!(self.free.get(index).is_none_or(|next| new.end <= next.start), "freed twice");
        assert!(index == 0 || self.free[index - 1].end <= start, "freed twice");
        let mut replaced = index..index;
        if index > 0 && self.free[index - 1].end == new.start {
            replaced.start -= 1;
            new.start = self.free[index - 1].start;
        }
        if self.free.get(index).is_some_and(|next| next.start == new.end) {
            replaced.end += 1;
            new.end = self.free[index].end;
        }
        self.free.splice(replaced, [new]);
    }

    /// After a compaction: one free block, or none if it is empty.
    pub(super) fn set_gap(&mut self, gap: Range<u64>) {
        self.free.clear();
        if !gap.is_empty() {
            self.free.push(gap);
        }
    }
}

fn len(block: &Range<u64>) -> u64 {
    block.end - block.start
}
