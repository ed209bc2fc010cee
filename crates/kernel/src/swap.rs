//! Slots of the swap device.
//!
//! ```text
//!            allocate             free
//!     free ───────────► used ───────────► free
//!                        │
//!                        └── retire ────► bad       a write to it failed
//! ```
//!
//! A used slot is named by one page-table entry, or by the frame that still holds its bytes. Slots
//! are given out in a circle, so that pages evicted together lie together.

use crate::SwapSlot;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Which slots are used.
#[derive(Clone, Debug)]
pub struct SwapMap {
    words: Vec<u64>,
    slots: u32,
    free: u32,
    hand: u32,
    bad: BTreeSet<u32>,
}

impl SwapMap {
    pub(crate) fn new(slots: u32) -> Self {
        let words = vec![0; slots.div_ceil(64) as usize];
        Self { words, slots, free: slots, hand: 0, bad: BTreeSet::new() }
    }

    /// All slots, bad ones as well.
    pub fn total(&self) -> u64 {
        u64::from(self.slots)
    }

    /// Slots that can be allocated.
    pub fn free(&self) -> u64 {
        u64::from(self.free)
    }

    /// Slots that failed.
    pub fn bad(&self) -> u64 {
        self.bad.len() as u64
    }

    /// Slots that hold a page.
    pub fn used(&self) -> u64 {
        self.total() - self.free() - self.bad()
    }

    /// Whether a slot holds a page.
    pub fn is_used(&self, slot: SwapSlot) -> bool {
        slot.0 < self.slots && self.bit(slot) && !self.bad.contains(&slot.0)
    }

    pub(crate) fn allocate(&mut self) -> Option<SwapSlot> {
        if self.free == 0 {
            return None;
        }
        let found =
            self.first_free(self.hand, self.slots).or_else(|| self.first_free(0, self.hand))?;
        self.words[found as usize / 64] |= 1 << (found % 64);
        self.free -= 1;
        self.hand = found + 1;
        Some(SwapSlot(found))
    }

    pub(crate) fn free_slot(&mut self, slot: SwapSlot) {
        assert!(self.is_used(slot), "slot {} is freed but not used", slot.0);
        self.words[slot.0 as usize / 64] &= !(1 << (slot.0 % 64));
        self.free += 1;
    }

    /// A used slot is never given out again.
    pub(crate) fn retire(&mut self, slot: SwapSlot) {
        assert!(self.is_used(slot), "slot {} is retired but not used", slot.0);
        self.bad.insert(slot.0);
    }

    fn bit(&self, slot: SwapSlot) -> bool {
        self.words[slot.0 as usize / 64] & 1 << (slot.0 % 64) != 0
    }

    fn first_free(&self, from: u32, to: u32) -> Option<u32> {
        let mut at = from;
        while at < to {
            let free = !self.words[at as usize / 64] >> (at % 64);
            if free != 0 {
                let found = at + free.trailing_zeros();
                return (found < to).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }
}
