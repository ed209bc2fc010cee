//! Names of evicted pages, found again by name: a hash table with open addresses over numbered slots.
//!
//! ```text
//!   hash(name) ─► cell ─► cell ─► empty        a cell: 32 bits of the hash, the slot
//!                  │
//!                  └─► slot: name, what is kept with it
//! ```
//!
//! Which slot a name gets, and for how long, is its policy's business. Eight cells of 8 bytes are a
//! line of memory, and names that differ in the last three bits alone begin in the same: they are
//! those of neighbours, of which one comes soon after the other. To find that a name is not there,
//! as most often it is not, reads one line. Up to two thirds of the cells are in use.
//!
//! Invariants:
//! 1. Between the cell where a name's hash points and the cell where it stands none is empty.
//! 2. A slot has a cell exactly if it has a name, and no two slots have the same.

use crate::PageId;
use crate::splitmix::mix;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

const NONE: u32 = u32::MAX;
/// Cells in a line of memory.
const LINE: u64 = 8;

#[derive(Clone, Debug)]
pub(crate) struct Directory<T> {
    cells: Vec<Cell>,
    slots: Vec<(PageId, T)>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u32,
    /// [`NONE`]: the cell is empty.
    slot: u32,
}

const EMPTY: Cell = Cell { hash: 0, slot: NONE };

impl<T: Copy + Default> Directory<T> {
    pub(crate) fn new(slots: u64) -> Self {
        let slots = slots as usize;
        let cells = (slots + slots / 2 + 1).next_power_of_two();
        Self { cells: vec![EMPTY; cells], slots: vec![(PageId::UNKNOWN, T::default()); slots] }
    }

    /// The slot of this name.
    pub(crate) fn find(&self, name: PageId) -> Option<u32> {
        if name == PageId::UNKNOWN {
            return None;
        }
        let hash = hash(name);
        let mut at = self.home(hash);
        loop {
            let cell = self.cells[at];
            if cell.slot == NONE {
                return None;
            }
            if cell.hash == hash && self.slots[cell.slot as usize].0 == name {
                return Some(cell.slot);
            }
            at = self.behind(at);
        }
    }

    /// Reads ahead where these names would be found.
    pub(crate) fn read_ahead(&self, names: impl Iterator<Item = PageId>) {
        black_box(names.fold(0, |sum, name| sum ^ self.cells[self.home(hash(name))].hash));
    }

    /// Reads ahead what it takes to clear these slots, as far as there are such.
    pub(crate) fn read_slots_ahead(&self, slots: impl Iterator<Item = u32>) {
        let slots = slots.filter_map(|slot| self.slots.get(slot as usize));
        self.read_ahead(slots.map(|slot| slot.0));
    }

    /// What was kept with the slot's name.
    pub(crate) fn kept(&self, slot: u32) -> T {
        self.slots[slot as usize].1
    }

    /// Gives the slot, in place of what it had, to a name that has none.
    pub(crate) fn set(&mut self, slot: u32, name: PageId, kept: T) {
        self.clear(slot);
        debug_assert!(name != PageId::UNKNOWN && self.find(name).is_none());
        self.slots[slot as usize] = (name, kept);
        let hash = hash(name);
        let mut at = self.home(hash);
        while self.cells[at].slot != NONE {
            at = self.behind(at);
        }
        self.cells[at] = Cell { hash, slot };
    }

    /// Makes the slot empty.
    pub(crate) fn clear(&mut self, slot: u32) {
        let name = core::mem::take(&mut self.slots[slot as usize].0);
        if name == PageId::UNKNOWN {
            return;
        }
        let mut at = self.home(hash(name));
        while self.cells[at].slot != slot {
            at = self.behind(at);
        }
        self.close(at);
    }

    /// Empties a cell; those behind it that belong before it move up.
    fn close(&mut self, mut empty: usize) {
        let mask = self.cells.len() - 1;
        let mut at = empty;
        loop {
            at = self.behind(at);
            let cell = self.cells[at];
            if cell.slot == NONE {
                break;
            }
            // How far it stands behind its home, and behind the empty cell.
            let [home, gap] =
                [self.home(cell.hash), empty].map(|from| at.wrapping_sub(from) & mask);
            if home >= gap {
                self.cells[empty] = cell;
                empty = at;
            }
        }
        self.cells[empty] = EMPTY;
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.cells.len() - 1)
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }
}

/// The names of those of the nodes that stand for frames.
pub(crate) fn names_of(names: &[PageId], nodes: &[u32]) -> impl Iterator<Item = PageId> {
    nodes.iter().filter_map(|&node| names.get(node as usize).copied())
}

fn hash(name: PageId) -> u32 {
    (mix(name.0 / LINE).wrapping_mul(LINE) | (name.0 % LINE)) as u32
}

#[cfg(test)]
mod tests {
    use super::Directory;
    use crate::PageId;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_a_plain_map(
            slots in 1_u32..20, ops in prop::collection::vec((0_u32..20, 0_u64..30), 1..300),
        ) {
            let mut directory = Directory::new(slots.into());
            let mut plain = BTreeMap::new();
            for (slot, name) in ops {
                let slot = slot % slots;
                let there = plain.values().any(|&named| named == name);
                plain.remove(&slot);
                if name == 0 || there {
                    directory.clear(slot);
                } else {
                    plain.insert(slot, name);
                    directory.set(slot, PageId(name), name);
                }
                for name in 0..30 {
                    let slot = plain.iter().find(|&(_, &named)| named == name).map(|(&slot, _)| slot);
                    prop_assert_eq!(directory.find(PageId(name)), slot);
                    prop_assert!(slot.is_none_or(|slot| directory.kept(slot) == name));
                }
            }
        }
    }
}
