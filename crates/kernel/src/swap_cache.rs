//! The swap cache: which frame holds the page of a swap slot.
//!
//! ```text
//!   page table of A     slot S ──┐                    slot S on the device
//!   page table of B     slot S ──┤
//!                                ▼
//!   swap cache         (S, frame P)                   P: the page, read when somebody wanted it
//!                                ▲
//!   page table of C     frame P ─┘
//! ```
//!
//! A page that several spaces share leaves memory once, under one slot, and comes back once: the
//! first who faults reads it, the others find the frame here. A pair comes about when the first
//! process evicts the page (evict_from.rs) or swaps it in; it is useless, and dropped, when nothing
//! refers to the frame, which is written to the slot then, or when no page table names the slot. The
//! frame still knows its slot then, and is not written again as long as it is clean.
//!
//! A hash table of frame numbers only: the slot is in the frame table. It is never iterated, so that
//! its order shows nowhere.
//!
//! Invariant: a frame is here exactly if it is `Anon` with a slot, and page tables name the slot.

use crate::{FrameTable, SwapSlot, Use};
use hashbrown::HashTable;
use pagewalk_mmu::Pfn;

/// Slot → frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct SwapCache {
    table: HashTable<u32>,
}

impl SwapCache {
    /// The frame that holds the slot's page.
    pub fn find(&self, frames: &FrameTable, slot: SwapSlot) -> Option<Pfn> {
        let is = |&pfn: &u32| slot_of(frames, pfn) == Some(slot);
        self.table.find(hash(slot), is).map(|&pfn| Pfn(u64::from(pfn)))
    }

    /// Pages held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Adds a frame, whose entry in the frame table has a slot.
    pub fn insert(&mut self, frames: &FrameTable, pfn: Pfn) {
        if let Some(slot) = slot_of(frames, pfn.0 as u32) {
            let rehash = |&pfn: &u32| slot_of(frames, pfn).map_or(0, hash);
            self.table.insert_unique(hash(slot), pfn.0 as u32, rehash);
        }
    }

    /// Removes a frame, before its entry in the frame table changes.
    pub fn remove(&mut self, frames: &FrameTable, pfn: Pfn) {
        let Some(slot) = slot_of(frames, pfn.0 as u32) else { return };
        if let Ok(entry) = self.table.find_entry(hash(slot), |&held| u64::from(held) == pfn.0) {
            entry.remove();
        }
    }
}

/// Slots are numbers in a row: a multiplication spreads them (Knuth's, as rustc-hash does).
fn hash(slot: SwapSlot) -> u64 {
    u64::from(slot.0).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20)
}

fn slot_of(frames: &FrameTable, pfn: u32) -> Option<SwapSlot> {
    match frames.used(Pfn(u64::from(pfn))) {
        Use::Anon { slot } => slot,
        _ => None,
    }
}
