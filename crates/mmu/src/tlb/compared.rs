//! What a look-up compares, for who wants to see it: the sets that the address picks, and all that
//! they hold.
//!
//! ```text
//!   va ──┬─ 4 KiB: set 3 of the first array ──► ways 0 to 3      smallest pages first, as they
//!        └─ 2 MiB: set 1 of the second ───────► ways 0 to 7      are looked up
//! ```
//!
//! A set is shown once, for the smallest page that picked it, even if pages of several sizes share
//! it. An array is probed for the page sizes that it holds at that time; one that holds nothing is
//! shown by its smallest.

use super::bank::Bank;
use super::entry::{Place, Side, Slot, TlbEntry};
use super::{Level, Tlb};
use crate::{Asid, PageSize, VirtAddr, Vpn};
use alloc::vec::Vec;

/// A set that a look-up compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedSet {
    /// The level and the side.
    pub place: Place,
    /// The array's number in its level and side.
    pub array: u8,
    /// The page size whose number picked the set.
    pub page: PageSize,
    /// The set's number.
    pub set: u64,
    /// The number of sets.
    pub sets: u64,
    /// What each way holds.
    pub ways: Vec<ComparedWay>,
}

/// A way that a look-up compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComparedWay {
    /// Where it is.
    pub slot: Slot,
    /// What it holds.
    pub entry: Option<TlbEntry>,
    /// Whether both page and address space are those that are looked for.
    pub matches: bool,
}

impl Tlb {
    /// The sets in which a look-up of the base page `vpn` for `asid` compares entries, the first
    /// level's before the second's. Nothing is changed, no stamp either.
    pub fn compared(&self, side: Side, vpn: Vpn, asid: Asid) -> Vec<ComparedSet> {
        let va = vpn.base(self.base_page);
        let levels = [(1, Some(&self.l1)), (2, self.l2.as_ref())];
        let banks = levels.into_iter().filter_map(|(level, banks)| {
            let banks: &Level = banks?;
            let side = banks.instruction.is_some().then_some(side);
            Some((Place { level, side }, banks.bank(side.unwrap_or(Side::Data))))
        });
        banks.flat_map(|(place, bank)| compared(bank, place, va, asid)).collect()
    }
}

fn compared(bank: &Bank, place: Place, va: VirtAddr, asid: Asid) -> Vec<ComparedSet> {
    let mut sets: Vec<ComparedSet> = Vec::new();
    for picked in bank.picked_sets(va) {
        let is_known = |known: &ComparedSet| (known.array, known.set) == (picked.array, picked.set);
        if sets.iter().any(is_known) {
            continue;
        }
        let ways = picked.slots.map(|slot| {
            let slot = Slot(slot as u32);
            let (entry, matches) = (bank.entry(slot), bank.is_match(slot, va, asid));
            ComparedWay { slot, entry, matches }
        });
        sets.push(ComparedSet {
            place,
            array: picked.array,
            page: picked.page,
            set: picked.set,
            sets: picked.sets,
            ways: ways.collect(),
        });
    }
    sets
}
