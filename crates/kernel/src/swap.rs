//! Slots of the swap devices.
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
//! All devices share one row of numbers, each having a part of it (an *area*), so that a slot's number
//! names the device and the slot within, and fits the entry of a page table whatever the devices'
//! sizes are:
//!
//! ```text
//!     0             a.slots       a.slots + b.slots                total
//!     ├── device 0 ────┼─── device 1 ────┼──── device 2 ────────────┤       slot 0 of device 1 is
//!                      ▲                                                    number a.slots
//! ```
//!
//! A new slot is one of the area with the highest priority that has a free one. Areas of the same
//! priority take turns, of [`TURN_SLOTS`] each, as under Linux (`get_swap_pages`: a batch for the
//! cache of slots, then `plist_requeue`). Within an area slots are given out in a circle, so that pages
//! evicted together lie together.
//!
//! Invariants:
//! 1. An area's `free` and `reclaimable` are those of its slots, and the map's are the areas' sums.
//! 2. `order` has every area once, a higher priority before a lower.

use crate::{FIRST_PRIORITY, SwapSlot};
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// A frame keeps the slot.
const KEPT: u32 = 1 << 31;
/// The slot is a memory object's; the other bits of a slot's count say how often it is named.
const OBJECT: u32 = 1 << 30;

/// Slots that an area gives before it is the turn of another of the same priority (Linux:
/// SWAP_SLOTS_CACHE_SIZE, 64).
pub const TURN_SLOTS: u32 = 64;

/// The most devices: what Linux has room for (swapon(2): 23 since 5.19, as MAX_SWAPFILES).
pub const SWAP_DEVICES_MAX: usize = 23;

/// A swap device, to be put into the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapDevice {
    /// Its slots.
    pub slots: u32,
    /// The higher, the earlier its slots are given out.
    pub priority: i32,
}

/// A device's part of the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapArea {
    slots: Range<u32>,
    free: u32,
    /// Slots that are kept and not named.
    reclaimable: u32,
    bad: u32,
    priority: i32,
    hand: u32,
    /// Slots given since it is its turn.
    given: u32,
    /// Slots are not given out (swapoff).
    is_off: bool,
    /// The device said that it has no space left, and no slot has become free since.
    is_full: bool,
}

impl SwapArea {
    /// Its slots' numbers.
    pub fn slots(&self) -> Range<u32> {
        self.slots.clone()
    }

    /// All slots, bad ones as well.
    pub fn total(&self) -> u64 {
        u64::from(self.slots.end - self.slots.start)
    }

    /// Slots that hold a page.
    pub fn used(&self) -> u64 {
        self.total() - u64::from(self.free) - u64::from(self.bad)
    }

    /// Slots that failed.
    pub fn bad(&self) -> u64 {
        u64::from(self.bad)
    }

    /// The higher, the earlier its slots are given out.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// Whether the device is in use.
    pub fn is_on(&self) -> bool {
        !self.is_off
    }

    fn has_free(&self) -> bool {
        !self.is_off && self.free > 0
    }

    fn has_room(&self) -> bool {
        self.has_free() || !self.is_off && self.reclaimable > 0
    }
}

/// Which slots are used.
#[derive(Clone, Debug)]
pub struct SwapMap {
    words: Vec<u64>,
    counts: Vec<u32>,
    slots: u32,
    free: u32,
    /// Slots that are kept and not named.
    reclaimable: u32,
    bad: BTreeSet<u32>,
    areas: Vec<SwapArea>,
    /// The areas in the order in which they are asked for slots.
    order: Vec<u8>,
    /// Slots that became free, of which the platform is to be told; perhaps used again by now.
    freed: Option<Vec<u32>>,
}

impl SwapMap {
    /// One device after the other. Their slots together are at most 2^32 - 1.
    pub(crate) fn new(devices: &[SwapDevice]) -> Self {
        let mut areas: Vec<SwapArea> = Vec::with_capacity(devices.len());
        for device in devices.iter().filter(|device| device.slots > 0) {
            let start = areas.last().map_or(0, |before| before.slots.end);
            areas.push(SwapArea {
                slots: start..start + device.slots,
                free: device.slots,
                reclaimable: 0,
                bad: 0,
                priority: device.priority,
                hand: start,
                given: 0,
                is_off: false,
                is_full: false,
            });
        }
        let slots = areas.last().map_or(0, |last| last.slots.end);
        let (words, counts) = (vec![0; slots.div_ceil(64) as usize], vec![0; slots as usize]);
        let order = (0..areas.len() as u8).collect();
        let bad = BTreeSet::new();
        let (free, reclaimable, freed) = (slots, 0, None);
        let mut map = Self { words, counts, slots, free, reclaimable, bad, areas, order, freed };
        map.sort();
        map
    }

    /// The devices' parts, in the order of their slots.
    pub fn areas(&self) -> &[SwapArea] {
        &self.areas
    }

    /// The device of a slot, and the slot's number within it.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn place(&self, slot: SwapSlot) -> (usize, u32) {
        let index = self.area_of(slot);
        (index, slot.0 - self.areas[index].slots.start)
    }

    /// Whether some device is in use.
    pub fn is_on(&self) -> bool {
        self.areas.iter().any(SwapArea::is_on)
    }

    /// Takes a device out of use or into it.
    pub(crate) fn set_on(&mut self, device: usize, on: bool) {
        self.areas[device].is_off = !on;
    }

    /// Gives a device another priority.
    pub(crate) fn set_priority(&mut self, device: usize, priority: i32) {
        self.areas[device].priority = priority;
        self.sort();
    }

    /// The priority of the next device that nobody gives one: below all others (Linux:
    /// `--least_priority`).
    pub(crate) fn next_priority(&self) -> i32 {
        let is_automatic = |area: &&SwapArea| area.is_on() && area.priority < 0;
        FIRST_PRIORITY - self.areas.iter().filter(is_automatic).count() as i32
    }

    /// A device is out of use: those below it, if nobody gave it its priority, move up, as under
    /// Linux.
    pub(crate) fn close_gap(&mut self, device: usize) {
        let gap = self.areas[device].priority;
        let is_below = |area: &&mut SwapArea| gap < 0 && area.is_on() && area.priority < gap;
        self.areas.iter_mut().filter(is_below).for_each(|area| area.priority += 1);
        self.sort();
    }

    /// Slots that pages can count on: those of the devices that are in use.
    pub fn capacity(&self) -> u64 {
        self.areas.iter().filter(|area| area.is_on()).map(SwapArea::total).sum()
    }

    /// Free slots of the devices that are in use.
    pub fn available(&self) -> u64 {
        self.areas.iter().filter(|area| area.is_on()).map(|area| u64::from(area.free)).sum()
    }

    /// Whether a slot can be allocated, if need be one that is only kept.
    pub(crate) fn has_room(&self) -> bool {
        self.areas.iter().any(SwapArea::has_room)
    }

    /// Whether a slot can be allocated that is free.
    pub(crate) fn has_free(&self) -> bool {
        self.areas.iter().any(SwapArea::has_free)
    }

    /// Whether a slot's device is in use.
    pub(crate) fn is_slot_on(&self, slot: SwapSlot) -> bool {
        self.areas[self.area_of(slot)].is_on()
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
        self.counts[slot.0 as usize] & !(KEPT | OBJECT)
    }

    /// Whether a frame keeps a slot.
    pub fn is_kept(&self, slot: SwapSlot) -> bool {
        self.counts[slot.0 as usize] & KEPT != 0
    }

    /// Whether the slot has a private page that is not in memory.
    pub(crate) fn is_on_device_alone(&self, slot: SwapSlot) -> bool {
        let count = self.counts[slot.0 as usize];
        self.is_used(slot) && count & (KEPT | OBJECT) == 0
    }

    /// A used slot is a memory object's, until it is free.
    pub(crate) fn set_object(&mut self, slot: SwapSlot) {
        self.counts[slot.0 as usize] |= OBJECT;
    }

    /// Slots that are only kept by frames, and can be had back.
    pub fn reclaimable(&self) -> u64 {
        u64::from(self.reclaimable)
    }

    /// A free slot, named once.
    pub(crate) fn allocate(&mut self) -> Option<SwapSlot> {
        let with_free = |is_full| {
            let found = |&index: &u8| {
                let area = &self.areas[usize::from(index)];
                area.has_free() && area.is_full == is_full
            };
            self.order.iter().position(found)
        };
        let turn = with_free(false).or_else(|| with_free(true))?;
        let index = usize::from(self.order[turn]);
        let Range { start, end } = self.areas[index].slots();
        let hand = self.areas[index].hand;
        let found = self.first_free(hand, end).or_else(|| self.first_free(start, hand))?;
        self.words[found as usize / 64] |= 1 << (found % 64);
        self.counts[found as usize] = 1;
        self.free -= 1;
        let area = &mut self.areas[index];
        (area.free, area.hand) = (area.free - 1, found + 1);
        self.count_turn(turn);
        Some(SwapSlot(found))
    }

    /// The device of a slot had no space for its page: others are asked first, until one of its slots
    /// is free again.
    pub(crate) fn set_full(&mut self, slot: SwapSlot) {
        let index = self.area_of(slot);
        let area = &mut self.areas[index];
        // A file that cannot grow still has room where it was written to before: from the start.
        (area.is_full, area.hand) = (true, area.slots.start);
    }

    /// Keeps the slots that become free from now on.
    pub(crate) fn keep_freed(&mut self) {
        self.freed = Some(Vec::new());
    }

    /// Takes a slot that became free, and still is.
    #[inline]
    pub(crate) fn take_freed(&mut self) -> Option<SwapSlot> {
        loop {
            let slot = SwapSlot(self.freed.as_mut()?.pop()?);
            if !self.is_used(slot) {
                return Some(slot);
            }
        }
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
        let count = self.counts[slot.0 as usize] & !OBJECT;
        assert!(count == 1, "slot {} is still needed", slot.0);
        self.counts[slot.0 as usize] = 0;
        self.bad.insert(slot.0);
        let index = self.area_of(slot);
        self.areas[index].bad += 1;
    }

    fn change(&mut self, slot: SwapSlot, new: impl FnOnce(u32) -> u32) {
        assert!(self.is_used(slot), "slot {} is not used", slot.0);
        let count = &mut self.counts[slot.0 as usize];
        let (before, mut now) = (*count & !OBJECT, new(*count));
        if now == OBJECT {
            now = 0;
        }
        *count = now;
        now &= !OBJECT;
        if before != KEPT && now != KEPT && now != 0 {
            return;
        }
        let index = self.area_of(slot);
        let area = &mut self.areas[index];
        for reclaimable in [&mut self.reclaimable, &mut area.reclaimable] {
            *reclaimable -= u32::from(before == KEPT);
            *reclaimable += u32::from(now == KEPT);
        }
        if now == 0 {
            self.words[slot.0 as usize / 64] &= !(1 << (slot.0 % 64));
            self.free += 1;
            area.free += 1;
            area.is_full = false;
            if let Some(freed) = &mut self.freed {
                freed.push(slot.0);
            }
        }
    }

    /// The area at this place of the order has given a slot: perhaps it is another's turn.
    fn count_turn(&mut self, turn: usize) {
        let area = &mut self.areas[usize::from(self.order[turn])];
        area.given += 1;
        if area.given < TURN_SLOTS {
            return;
        }
        area.given = 0;
        let priority = area.priority;
        let is_equal = |&&index: &&u8| self.areas[usize::from(index)].priority == priority;
        let equals = self.order[turn..].iter().take_while(is_equal).count();
        self.order[turn..turn + equals].rotate_left(1);
    }

    fn sort(&mut self) {
        let Self { order, areas, .. } = self;
        order.sort_by_key(|&index| (core::cmp::Reverse(areas[usize::from(index)].priority), index));
    }

    fn area_of(&self, slot: SwapSlot) -> usize {
        self.areas.partition_point(|area| area.slots.end <= slot.0)
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

    /// Checks what the map keeps of its areas.
    ///
    /// # Errors
    /// What is wrong first.
    pub(crate) fn check_areas(&self) -> Result<(), alloc::string::String> {
        use alloc::format;
        let priorities = self.order.iter().map(|&i| self.areas[usize::from(i)].priority);
        if !priorities.is_sorted_by(|a, b| a >= b) || self.order.len() != self.areas.len() {
            return Err(format!("areas are asked in the order {:?}", self.order));
        }
        for (index, area) in self.areas.iter().enumerate() {
            let slots = || area.slots().map(SwapSlot);
            let is_reclaimable = |slot: &SwapSlot| self.counts[slot.0 as usize] & !OBJECT == KEPT;
            let free = slots().filter(|&slot| !self.bit(slot)).count();
            let bad = slots().filter(|slot| self.bad.contains(&slot.0)).count();
            let seen = (free, slots().filter(is_reclaimable).count(), bad);
            let counted = (area.free as usize, area.reclaimable as usize, area.bad as usize);
            if seen != counted {
                return Err(format!(
                    "swap device {index} has (free, reclaimable, bad) {seen:?}, counted: {counted:?}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(devices: &[(u32, i32)]) -> SwapMap {
        let device = |&(slots, priority)| SwapDevice { slots, priority };
        SwapMap::new(&devices.iter().map(device).collect::<Vec<_>>())
    }

    /// The devices of the next slots.
    fn devices(map: &mut SwapMap, slots: u32) -> Vec<usize> {
        (0..slots).map_while(|_| map.allocate().map(|slot| map.place(slot).0)).collect()
    }

    #[test]
    fn a_slot_is_free_when_nothing_names_or_keeps_it() {
        let mut map = map(&[(2, 0)]);
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
        let mut map = map(&[(2, 0)]);
        let slot = map.allocate().unwrap();
        map.retire(slot);
        assert_eq!(map.allocate(), Some(SwapSlot(1)));
        assert_eq!((map.allocate(), map.used(), map.bad()), (None, 1, 1));
    }

    #[test]
    fn the_highest_priority_is_filled_first() {
        let mut map = map(&[(3, -2), (2, 5), (1, 9)]);
        assert_eq!(devices(&mut map, 9), [2, 1, 1, 0, 0, 0]);
        // Whatever is freed is had again, the best first.
        map.drop_names(SwapSlot(0), 1);
        map.drop_names(SwapSlot(4), 1);
        assert_eq!(map.allocate(), Some(SwapSlot(4)));
        assert_eq!(map.place(SwapSlot(4)), (1, 1));
        map.set_priority(0, 10);
        map.drop_names(SwapSlot(4), 1);
        assert_eq!(devices(&mut map, 2), [0, 1]);
        map.check_areas().unwrap();
    }

    #[test]
    fn devices_of_one_priority_take_turns() {
        let mut map = map(&[(200, 1), (200, 1), (10, 7)]);
        assert_eq!(devices(&mut map, 10), [2; 10]);
        for device in [0, 1, 0, 1] {
            assert_eq!(devices(&mut map, TURN_SLOTS), [device; TURN_SLOTS as usize]);
        }
        // What is left of both.
        assert_eq!(devices(&mut map, 400).len(), 400 - 4 * TURN_SLOTS as usize);
        map.check_areas().unwrap();
    }

    #[test]
    fn a_device_that_is_off_gives_nothing_and_a_full_one_is_asked_last() {
        let mut map = map(&[(4, 2), (4, 1)]);
        let first = map.allocate().unwrap();
        map.set_full(first);
        assert_eq!(devices(&mut map, 1), [1]);
        map.drop_names(first, 1);
        assert_eq!(devices(&mut map, 1), [0]);
        map.set_on(0, false);
        assert_eq!((devices(&mut map, 9), map.has_room()), (vec![1; 3], false));
        assert_eq!((map.capacity(), map.available(), map.free()), (4, 0, 3));
        // Better a device that was full than none.
        map.set_on(0, true);
        map.set_full(first);
        assert_eq!(devices(&mut map, 9), [0; 3]);
    }
}
