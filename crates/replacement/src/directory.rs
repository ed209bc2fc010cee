//! Names of evicted pages, found again by name: a hash table with chains over numbered slots.
//!
//! ```text
//!   hash(name) ─► bucket ─► slot ─► slot ─► end
//! ```
//!
//! Which slot a name gets, and for how long, is its policy's business. 24 to 32 bytes a slot: twice as
//! many buckets as slots keep the chains short.

use crate::PageId;
use crate::splitmix::mix;
use alloc::vec;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Directory {
    buckets: Vec<u32>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    name: PageId,
    /// The next of the chain.
    next: u32,
}

impl Directory {
    pub(crate) fn new(slots: u64) -> Self {
        let slots = slots as usize;
        Self {
            buckets: vec![NONE; 2 * slots.next_power_of_two()],
            slots: vec![Slot { name: PageId::UNKNOWN, next: NONE }; slots],
        }
    }

    /// The slot of this name.
    pub(crate) fn find(&self, name: PageId) -> Option<u32> {
        if name == PageId::UNKNOWN {
            return None;
        }
        let mut slot = self.buckets[self.bucket(name)];
        while slot != NONE && self.slots[slot as usize].name != name {
            slot = self.slots[slot as usize].next;
        }
        (slot != NONE).then_some(slot)
    }

    /// Gives the slot, in place of what it had, to a name that has none.
    pub(crate) fn set(&mut self, slot: u32, name: PageId) {
        self.clear(slot);
        debug_assert!(name != PageId::UNKNOWN && self.find(name).is_none());
        let bucket = self.bucket(name);
        self.slots[slot as usize] = Slot { name, next: self.buckets[bucket] };
        self.buckets[bucket] = slot;
    }

    /// Makes the slot empty.
    pub(crate) fn clear(&mut self, slot: u32) {
        let name = core::mem::take(&mut self.slots[slot as usize].name);
        if name == PageId::UNKNOWN {
            return;
        }
        let bucket = self.bucket(name);
        let behind = self.slots[slot as usize].next;
        let mut at = self.buckets[bucket];
        if at == slot {
            self.buckets[bucket] = behind;
            return;
        }
        while self.slots[at as usize].next != slot {
            at = self.slots[at as usize].next;
        }
        self.slots[at as usize].next = behind;
    }

    fn bucket(&self, name: PageId) -> usize {
        mix(name.0) as usize & (self.buckets.len() - 1)
    }
}
