//! Names of evicted pages, found again by name: a hash table with chains over numbered slots.
//!
//! ```text
//!   hash(name) ─► bucket ─► slot ─► slot ─► end
//! ```
//!
//! Which slot a name gets, and for how long, is its policy's business. 16 to 20 bytes a slot.

use crate::PageId;
use crate::splitmix::mix;
use alloc::vec;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Directory {
    buckets: Vec<u32>,
    next: Vec<u32>,
    names: Vec<PageId>,
}

impl Directory {
    pub(crate) fn new(slots: u64) -> Self {
        let slots = slots as usize;
        Self {
            buckets: vec![NONE; slots.next_power_of_two()],
            next: vec![NONE; slots],
            names: vec![PageId::UNKNOWN; slots],
        }
    }

    /// The slot of this name.
    pub(crate) fn find(&self, name: PageId) -> Option<u32> {
        if name == PageId::UNKNOWN {
            return None;
        }
        let mut slot = self.buckets[self.bucket(name)];
        while slot != NONE && self.names[slot as usize] != name {
            slot = self.next[slot as usize];
        }
        (slot != NONE).then_some(slot)
    }

    /// Gives the slot, in place of what it had, to a name that has none.
    pub(crate) fn set(&mut self, slot: u32, name: PageId) {
        self.clear(slot);
        debug_assert!(name != PageId::UNKNOWN && self.find(name).is_none());
        let bucket = self.bucket(name);
        self.names[slot as usize] = name;
        self.next[slot as usize] = self.buckets[bucket];
        self.buckets[bucket] = slot;
    }

    /// Makes the slot empty.
    pub(crate) fn clear(&mut self, slot: u32) {
        let name = core::mem::take(&mut self.names[slot as usize]);
        if name == PageId::UNKNOWN {
            return;
        }
        let bucket = self.bucket(name);
        let behind = self.next[slot as usize];
        let mut at = self.buckets[bucket];
        if at == slot {
            self.buckets[bucket] = behind;
            return;
        }
        while self.next[at as usize] != slot {
            at = self.next[at as usize];
        }
        self.next[at as usize] = behind;
    }

    fn bucket(&self, name: PageId) -> usize {
        mix(name.0) as usize & (self.buckets.len() - 1)
    }
}
