//! Slots of the swap device.
//!
//! ```text
//!            allocate                    add_names
//!     free ───────────► named × 1 ────────────────────► named × n
//!      ▲ ▲                 │  ▲   keep                      │
//!      │ │                 │  └─────── also kept ───────────┤
//!      │ └── last name gone, not kept ──┴───────────────────┘
//!      └──── last name gone, no longer kept
//!
//!     named × 1 ── retire ──► bad       a write to it failed
//! ```
//!
//! A slot is *named* by page-table entries, one for each that lost the page, or by an object's index
//! (object.rs). It is *kept* by the frame that holds its bytes again: that frame is in the swap cache
//! (swap_cache.rs), or is the object's page. A slot that is kept and not named can be had back
//! whenever slots are short: the frame has the bytes.
//!
//! Slots are given out in a circle, so that pages evicted together lie together.

use crate::SwapSlot;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// A frame keeps the slot; the other bits of a slot's count say how often it is named.
const KEPT: u32 = 1 << 31;

/// Which slots are used.
#[derive(Clone, Debug)]
pub struct SwapMap {
    words: Vec<u64>,
    counts: Vec<u32>,
    slots: u32,
    free: u32,
    /// Slots that are kept and not named.
    reclaimable: u32,
    hand: u32,
    bad: BTreeSet<u32>,
    /// Slots are not given out (swapoff).
    is_off: bool,
}

impl SwapMap {
    pub(crate) fn new(slots: u32) -> Self {
        let (words, counts) = (vec![0; slots.div_ceil(64) as usize], vec![0; slots as usize]);
        let bad = BTreeSet::new();
        Self { words, counts, slots, free: slots, reclaimable: 0, hand: 0, bad, is_off: false }
    }

    /// Whether the device is in use: never, if it has no slots.
    pub fn is_on(&self) -> bool {
        self.slots > 0 && !self.is_off
    }

    pub(crate) fn set_on(&mut self, on: bool) {
        self.is_off = !on;
    }

    /// Slots that pages can count on: all of them, or none while the device is off.
    pub fn capacity(&self) -> u64 {
        if self.is_on() { self.total() } else { 0 }
    }

    /// Whether a slot can be allocated, if need be one that is only kept.
    pub(crate) fn has_room(&self) -> bool {
        self.is_on() && (self.free > 0 || self.reclaimable > 0)
    }

    /// All slots, bad ones as well.
    pub fn total(&self) -> u64 {
        u64::from(self.slots)
    }

    /// Slots that hold nothing and have not failed.
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

    /// How many page-table entries, or objects, name a slot.
    pub fn names(&self, slot: SwapSlot) -> u32 {
        self.counts[slot.0 as usize] & !KEPT
    }

    /// Whether a frame keeps a slot.
    pub fn is_kept(&self, slot: SwapSlot) -> bool {
        self.counts[slot.0 as usize] & KEPT != 0
    }

    /// Slots that are only kept by frames, and can be had back.
    pub fn reclaimable(&self) -> u64 {
        u64::from(self.reclaimable)
    }

    /// A free slot, named once.
    pub(crate) fn allocate(&mut self) -> Option<SwapSlot> {
        if self.free == 0 || self.is_off {
            return None;
        }
        let found =
            self.first_free(self.hand, self.slots).or_else(|| self.first_free(0, self.hand))?;
        self.words[found as usize / 64] |= 1 << (found % 64);
        self.counts[found as usize] = 1;
        self.free -= 1;
        self.hand = found + 1;
        Some(SwapSlot(found))
    }

    /// More names of a used slot.
    pub(crate) fn add_names(&mut self, slot: SwapSlot, more: u32) {
        self.change(slot, |count| count + more);
    }

    /// Fewer names; a slot that nothing names or keeps is free.
    pub(crate) fn drop_names(&mut self, slot: SwapSlot, fewer: u32) {
        assert!(self.names(slot) >= fewer, "slot {} has fewer names than that", slot.0);
        self.change(slot, |count| count - fewer);
    }

    /// A frame holds the slot's bytes.
    pub(crate) fn keep(&mut self, slot: SwapSlot) {
        debug_assert!(!self.is_kept(slot), "slot {} is kept twice", slot.0);
        self.change(slot, |count| count | KEPT);
    }

    /// No frame does any more; a slot that nothing names is free then.
    pub(crate) fn unkeep(&mut self, slot: SwapSlot) {
        debug_assert!(self.is_kept(slot), "slot {} is not kept", slot.0);
        self.change(slot, |count| count & !KEPT);
    }

    /// A slot that is named once, and not kept, is never given out again.
    pub(crate) fn retire(&mut self, slot: SwapSlot) {
        assert!(self.is_used(slot), "slot {} is retired but not used", slot.0);
        assert!(self.counts[slot.0 as usize] == 1, "slot {} is still needed", slot.0);
        self.counts[slot.0 as usize] = 0;
        self.bad.insert(slot.0);
    }

    fn change(&mut self, slot: SwapSlot, new: impl FnOnce(u32) -> u32) {
        assert!(self.is_used(slot), "slot {} is not used", slot.0);
        let count = &mut self.counts[slot.0 as usize];
        let before = core::mem::replace(count, new(*count));
        let now = *count;
        self.reclaimable -= u32::from(before == KEPT);
        self.reclaimable += u32::from(now == KEPT);
        if now == 0 {
            self.words[slot.0 as usize / 64] &= !(1 << (slot.0 % 64));
            self.free += 1;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_when_nothing_names_or_keeps_it() {
        let mut map = SwapMap::new(2);
        let slot = map.allocate().unwrap();
        map.add_names(slot, 2);
        map.keep(slot);
        assert_eq!((map.names(slot), map.reclaimable(), map.used()), (3, 0, 1));
        map.drop_names(slot, 3);
        assert_eq!((map.names(slot), map.reclaimable(), map.used()), (0, 1, 1));
        map.add_names(slot, 1);
        map.unkeep(slot);
        assert_eq!((map.reclaimable(), map.used()), (0, 1));
        map.drop_names(slot, 1);
        assert_eq!((map.free(), map.is_used(slot)), (2, false));
    }

    #[test]
    fn a_bad_slot_is_never_given_out_again() {
        let mut map = SwapMap::new(2);
        let slot = map.allocate().unwrap();
        map.retire(slot);
        assert_eq!(map.allocate(), Some(SwapSlot(1)));
        assert_eq!((map.allocate(), map.used(), map.bad()), (None, 1, 1));
    }
}
