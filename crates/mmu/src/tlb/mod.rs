//! Translation lookaside buffers: two levels, any geometry.
//!
//! ```text
//!    fetch            load, store
//!      │                   │
//!   ┌──▼──┐             ┌──▼──┐
//!   │ L1I │             │ L1D │        or one unified L1
//!   └──┬──┘             └──┬──┘
//!      │ miss              │ miss
//!      └──────►┌────┐◄─────┘
//!              │ L2 │ hit: copied into the L1 that missed
//!              └─┬──┘
//!                │ miss: the walk's result fills the L2 and that L1
//! ```
//!
//! The levels are *mostly inclusive*: what enters the first level is in the second as well, but the
//! second replaces by its own recency, which a first-level hit does not refresh, and takes nothing
//! from the first when it drops an entry. A first-level victim is not written back: the TLB holds
//! copies of what lies in memory.
//!
//! Time is the caller's: a number that grows with every reference, in program order. A hit stores it
//! in its slot's stamp and does nothing else, so a caller that keeps host pointers to the pages of
//! the first level performs hits by itself, through [`Tlb::stamps_mut`], and hears of every entry
//! that leaves through [`Tlb::take_dropped`].
//!
//! Invariants:
//! 1. At most one entry of an array matches any (page, page size, address space), unless software
//!    has written a second one ([`Tlb::fill_slot`]).
//! 2. Every entry that leaves the first level, whatever the reason, is listed until taken.
//! 3. Entries change only by being filled anew: rights and the dirty bit are those of the walk.

mod array;
mod config;
mod dropped;
mod entry;
mod replacement;
mod text;

pub use config::{
    ArrayConfig, ENTRIES_MAX, GeometryError, L1Config, PageSizes, TlbConfig, TlbConfigError,
    TlbConfigReason, WAYS_MAX,
};
pub use dropped::Dropped;
pub use entry::{Globals, Place, Side, Slot, TlbEntry};
pub use replacement::Replacement;

use crate::{Asid, PageSize, Vpn};
use array::Array;
use dropped::DroppedList;

/// A TLB.
#[derive(Clone, Debug)]
pub struct Tlb {
    config: TlbConfig,
    /// `None` if the first level is unified: then `data` serves both sides.
    instruction: Option<Array>,
    data: Array,
    l2: Option<Array>,
    dropped: DroppedList,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The first level has it.
    L1 {
        /// Where.
        slot: Slot,
        /// The translation.
        entry: TlbEntry,
    },
    /// The second level has it; the first now has it too.
    L2 {
        /// Where in the first level, unless that does not hold pages of this size.
        slot: Option<Slot>,
        /// The translation.
        entry: TlbEntry,
    },
    /// No level has it.
    Miss,
}

impl Tlb {
    /// An empty TLB for a format with this base page.
    pub fn new(config: TlbConfig, base_page: PageSize) -> Self {
        let array = |array: &ArrayConfig| Array::new(array, base_page, config.tagged);
        let (instruction, data) = match &config.l1 {
            L1Config::Split { instruction, data } => (Some(array(instruction)), array(data)),
            L1Config::Unified(unified) => (None, array(unified)),
        };
        let l2 = config.l2.as_ref().map(array);
        Self { config, instruction, data, l2, dropped: DroppedList::default() }
    }

    /// The geometry.
    pub const fn config(&self) -> &TlbConfig {
        &self.config
    }

    /// Looks the base page `vpn` up for `asid` at time `now`. Where an entry is found, its stamp is
    /// set; an entry of the second level is copied into the first.
    #[inline]
    pub fn lookup(&mut self, side: Side, vpn: Vpn, asid: Asid, now: u64) -> Lookup {
        if let Some((slot, &entry)) = self.reference_l1(side, vpn, asid, now) {
            return Lookup::L1 { slot, entry };
        }
        match self.reference_l2(vpn, asid, now) {
            Some(entry) => Lookup::L2 { slot: self.fill_l1(side, entry, now), entry },
            None => Lookup::Miss,
        }
    }

    /// Puts a translation into the second level and the first of `side`. Returns its slot in the
    /// first, unless that does not hold pages of this size.
    pub fn fill(&mut self, side: Side, entry: TlbEntry, now: u64) -> Option<Slot> {
        if let Some(l2) = &mut self.l2 {
            l2.insert(entry, now, |_, _| {});
        }
        self.fill_l1(side, entry, now)
    }

    /// Puts a translation of a base page into one slot of the first level, whatever that held, as
    /// the TLB-write instructions of software-loaded TLBs do. If other entries have the same page,
    /// they stay, and are listed as if they had left: what they translate may be ambiguous now.
    ///
    /// # Panics
    /// If the page's set has no such slot.
    pub fn fill_slot(&mut self, side: Side, slot: Slot, entry: TlbEntry) {
        let label = self.label(side);
        let (l1, dropped) = self.l1_and_dropped(side);
        l1.replace(slot, entry, |slot, entry| dropped.push(label, slot, entry));
    }

    /// The slots of the first level of `side` that translate the base page `vpn` for `asid`, lowest
    /// first: none, one, or as many as software has written. Large pages are not looked for.
    pub fn matches(&self, side: Side, vpn: Vpn, asid: Asid) -> impl Iterator<Item = Slot> {
        self.l1(side).matches(vpn, asid)
    }

    /// The first-level entry in `slot`, if there is one.
    #[inline]
    pub fn entry(&self, side: Side, slot: Slot) -> Option<&TlbEntry> {
        self.l1(side).entry(slot)
    }

    /// The stamps of the first level of `side`, by slot: the time of each slot's last reference.
    /// Writing the time of a reference to the slot of a current entry is a hit.
    #[inline]
    pub fn stamps_mut(&mut self, side: Side) -> &mut [u64] {
        self.l1_mut(side).stamps_mut()
    }

    /// Takes the list of what has left the first level since it was taken last. After a fill, take
    /// it before trusting the new slot: the list may name the slot's former entry.
    #[inline]
    pub fn take_dropped(&mut self) -> impl Iterator<Item = Dropped> + '_ {
        self.dropped.take()
    }

    /// All entries of all arrays, for checks.
    pub fn entries(&self) -> impl Iterator<Item = (Place, &TlbEntry)> {
        let data = if self.is_split() { Place::L1(Side::Data) } else { Place::L1Unified };
        let arrays = [
            (Place::L1(Side::Instruction), self.instruction.as_ref()),
            (data, Some(&self.data)),
            (Place::L2, self.l2.as_ref()),
        ];
        arrays.into_iter().flat_map(|(place, array)| {
            array.into_iter().flat_map(Array::entries).map(move |entry| (place, entry))
        })
    }

    /// Drops the entries that an access of `side` to `vpn` would find at either level.
    pub fn drop_found(&mut self, side: Side, vpn: Vpn, asid: Asid) {
        let label = self.label(side);
        let (l1, dropped) = self.l1_and_dropped(side);
        l1.remove_page(vpn, Some(asid), Globals::Drop, |slot, entry| {
            dropped.push(label, slot, entry);
        });
        if let Some(l2) = &mut self.l2 {
            l2.remove_page(vpn, Some(asid), Globals::Drop, |_, _| {});
        }
    }
}

/// Invalidation. Each returns the number of entries dropped, both levels together.
impl Tlb {
    /// Drops everything.
    pub fn flush_all(&mut self) -> u64 {
        self.dropped.everything();
        self.flush_arrays(|array, _| array.clear())
    }

    /// Drops all entries that are not global.
    pub fn flush_non_global(&mut self) -> u64 {
        self.flush_space(None)
    }

    /// Drops the entries of an address space, except global ones.
    pub fn flush_asid(&mut self, asid: Asid) -> u64 {
        self.flush_space(Some(asid))
    }

    /// Drops the entries, of every page size, that hold the base page `vpn` in the address space
    /// `asid` (`None`: in any).
    pub fn flush_page(&mut self, vpn: Vpn, asid: Option<Asid>, globals: Globals) -> u64 {
        self.flush_arrays(|array, drop| array.remove_page(vpn, asid, globals, drop))
    }

    fn flush_space(&mut self, asid: Option<Asid>) -> u64 {
        self.flush_arrays(|array, drop| array.remove_space(asid, drop))
    }

    /// Lets `flush` drop entries of each array; those of the first level are listed.
    fn flush_arrays(
        &mut self,
        flush: impl Fn(&mut Array, &mut dyn FnMut(Slot, TlbEntry)) -> u64,
    ) -> u64 {
        let data_label = self.label(Side::Data);
        let Self { instruction, data, l2, dropped, .. } = self;
        let mut removed = flush(data, &mut |slot, entry| dropped.push(data_label, slot, entry));
        if let Some(array) = instruction {
            let label = Some(Side::Instruction);
            removed += flush(array, &mut |slot, entry| dropped.push(label, slot, entry));
        }
        if let Some(array) = l2 {
            removed += flush(array, &mut |_, _| {});
        }
        removed
    }
}

impl Tlb {
    /// The first half of [`Tlb::lookup`].
    #[inline]
    pub(crate) fn reference_l1(
        &mut self,
        side: Side,
        vpn: Vpn,
        asid: Asid,
        now: u64,
    ) -> Option<(Slot, &TlbEntry)> {
        self.l1_mut(side).reference(vpn, asid, now)
    }

    /// The second half of [`Tlb::lookup`], without the copy into the first level.
    pub(crate) fn reference_l2(&mut self, vpn: Vpn, asid: Asid, now: u64) -> Option<TlbEntry> {
        let (_, &entry) = self.l2.as_mut()?.reference(vpn, asid, now)?;
        Some(entry)
    }

    /// Puts a translation into the first level of `side` alone.
    pub(crate) fn fill_l1(&mut self, side: Side, entry: TlbEntry, now: u64) -> Option<Slot> {
        let label = self.label(side);
        let (l1, dropped) = self.l1_and_dropped(side);
        l1.insert(entry, now, |slot, entry| dropped.push(label, slot, entry))
    }

    const fn is_split(&self) -> bool {
        self.instruction.is_some()
    }

    /// How [`Dropped`] names a side.
    fn label(&self, side: Side) -> Option<Side> {
        self.is_split().then_some(side)
    }

    #[inline]
    fn l1(&self, side: Side) -> &Array {
        match (side, &self.instruction) {
            (Side::Instruction, Some(array)) => array,
            _ => &self.data,
        }
    }

    #[inline]
    fn l1_mut(&mut self, side: Side) -> &mut Array {
        self.l1_and_dropped(side).0
    }

    #[inline]
    fn l1_and_dropped(&mut self, side: Side) -> (&mut Array, &mut DroppedList) {
        let array = match (side, &mut self.instruction) {
            (Side::Instruction, Some(array)) => array,
            _ => &mut self.data,
        };
        (array, &mut self.dropped)
    }
}
