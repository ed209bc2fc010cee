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
//!              │ L2 │ hit: copied into the L1 that missed        or an L2I and an L2D
//!              └─┬──┘
//!                │ miss: the walk's result fills the L2 and that L1
//! ```
//!
//! A level of a side is one array, or several side by side, each for pages of other sizes: Intel's
//! cores look 4 KiB, 2 MiB and 1 GiB pages up in different arrays.
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
//! 1. At most one entry of a level matches any (page, page size, address space), unless software
//!    has written a second one ([`Tlb::fill_slot`]).
//! 2. Every entry that leaves the first level, whatever the reason, is listed until taken.
//! 3. Entries change only by being filled anew: rights and the dirty bit are those of the walk.
//! 4. No level has what is noted as missing: whatever puts an entry in takes the notes away, and
//!    nothing else can make them wrong.

mod bank;
mod compared;
mod config;
mod dropped;
mod entry;
mod hints;
mod key;
mod line;
mod replacement;
mod text;

pub use compared::{ComparedSet, ComparedWay};
pub use config::{
    ASID_BITS_MAX, ArrayConfig, Arrays, ENTRIES_MAX, GeometryError, LevelConfig, PageSizes,
    TlbConfig, TlbConfigError, TlbConfigReason, WAYS_MAX,
};
pub use dropped::Dropped;
pub use entry::{Allowed, Globals, Place, Side, Slot, TlbEntry};
pub(crate) use line::Line;
pub(crate) use replacement::Chooser;
pub use replacement::Replacement;
pub(crate) use text::parse_policy;

use crate::{Access, Asid, PageSize, VirtAddr, Vpn};
pub(crate) use bank::Bank;
use bank::Found;
use core::iter;
use dropped::DroppedList;
pub(crate) use key::Key;

/// A TLB.
#[derive(Clone, Debug)]
pub struct Tlb {
    config: TlbConfig,
    base_page: PageSize,
    l1: Level,
    l2: Option<Level>,
    dropped: DroppedList,
    missing: Missing,
}

/// What no level has (invariant 4): to look for it again finds nothing and changes nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Missing {
    /// The base page that was looked up last in vain, on which side, and for which space.
    page: Option<(Side, Vpn, Asid)>,
    /// The space that was flushed last; global entries may be there.
    space: Option<Asid>,
}

/// One level.
#[derive(Clone, Debug)]
struct Level {
    /// `None` if the level is unified: then `data` serves both sides.
    instruction: Option<Bank>,
    data: Bank,
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
    /// An empty TLB for a format with this base page, of two bytes at least.
    pub fn new(config: TlbConfig, base_page: PageSize) -> Self {
        let level = |level: &LevelConfig| Level::new(level, base_page, config.asid_mask());
        let (l1, l2) = (level(&config.l1), config.l2.as_ref().map(level));
        Self {
            config,
            base_page,
            l1,
            l2,
            dropped: DroppedList::default(),
            missing: Missing::default(),
        }
    }

    /// The geometry.
    pub const fn config(&self) -> &TlbConfig {
        &self.config
    }

    /// Looks the base page `vpn` up for `asid` at time `now`. Where an entry is found, its stamp is
    /// set; an entry of the second level is copied into the first.
    pub fn lookup(&mut self, side: Side, vpn: Vpn, asid: Asid, now: u64) -> Lookup {
        let va = vpn.base(self.base_page);
        if let Some((slot, key, line)) = self.reference_l1(side, va, asid, now) {
            return Lookup::L1 { slot, entry: line.entry(key, self.base_page) };
        }
        match self.reference_l2(side, va, asid, now) {
            Some((key, line)) => Lookup::L2 {
                slot: self.copy_to_l1(side, key, line, now),
                entry: line.entry(key, self.base_page),
            },
            None => Lookup::Miss,
        }
    }

    /// Puts a translation into the second level and the first of `side`. Returns its slot in the
    /// first, unless that does not hold pages of this size.
    pub fn fill(&mut self, side: Side, entry: TlbEntry, now: u64) -> Option<Slot> {
        self.missing = Missing::default();
        if let Some(l2) = &mut self.l2 {
            l2.bank_mut(side).insert(&entry, now, |_, _| {});
        }
        let (l1, label, dropped) = self.l1_and_dropped(side);
        l1.insert(&entry, now, |slot, key| dropped.push(label, slot, key))
    }

    /// Puts a translation of a base page into one slot of the first level, whatever that held, as
    /// the TLB-write instructions of software-loaded TLBs do. If other entries have the same page,
    /// they stay, and are listed as if they had left: what they translate may be ambiguous now.
    /// Says whether there are such.
    ///
    /// # Panics
    /// If the page's set has no such slot.
    pub fn fill_slot(&mut self, side: Side, slot: Slot, entry: TlbEntry) -> bool {
        self.missing = Missing::default();
        let (l1, label, dropped) = self.l1_and_dropped(side);
        let mut is_second = false;
        l1.replace(slot, &entry, |left, key| {
            is_second |= left != slot;
            dropped.push(label, left, key);
        });
        is_second
    }

    /// The slots of the first level of `side` that translate the base page `vpn` for `asid`, lowest
    /// first: none, one, or as many as software has written. Large pages are not looked for.
    pub fn matches(&self, side: Side, vpn: Vpn, asid: Asid) -> impl Iterator<Item = Slot> {
        self.l1.bank(side).matches(vpn.base(self.base_page), asid)
    }

    /// The first-level entry in `slot`, if there is one.
    pub fn entry(&self, side: Side, slot: Slot) -> Option<TlbEntry> {
        self.l1.bank(side).entry(slot)
    }

    /// The stamps of the first level of `side`, by slot: the time of each slot's last reference.
    /// Writing the time of a reference to the slot of a current entry is a hit.
    #[inline]
    pub fn stamps_mut(&mut self, side: Side) -> &mut [u64] {
        self.l1.bank_mut(side).stamps_mut()
    }

    /// Takes the list of what has left the first level since it was taken last. After a fill, take
    /// it before trusting the new slot: the list may name the slot's former entry.
    #[inline]
    pub fn take_dropped(&mut self) -> impl Iterator<Item = Dropped> + '_ {
        self.dropped.take()
    }

    /// All entries of all arrays, for checks.
    pub fn entries(&self) -> impl Iterator<Item = (Place, TlbEntry)> {
        let levels = [(1, Some(&self.l1)), (2, self.l2.as_ref())];
        levels.into_iter().flat_map(|(level, banks)| {
            let banks = banks.into_iter().flat_map(Level::banks);
            banks.flat_map(move |(side, bank)| {
                bank.entries().map(move |entry| (Place { level, side }, entry))
            })
        })
    }

    /// All entries of all arrays, each with its set and way: to look at.
    pub fn placed(&self) -> impl Iterator<Item = (Place, u64, u64, TlbEntry)> {
        let levels = [(1, Some(&self.l1)), (2, self.l2.as_ref())];
        levels.into_iter().flat_map(|(level, banks)| {
            let banks = banks.into_iter().flat_map(Level::banks);
            banks.flat_map(move |(side, bank)| {
                let place = Place { level, side };
                bank.placed().map(move |(set, way, entry)| (place, set, way, entry))
            })
        })
    }

    /// Drops the entries that an access of `side` to `vpn` would find at either level.
    pub fn drop_found(&mut self, side: Side, vpn: Vpn, asid: Asid) {
        let va = vpn.base(self.base_page);
        let (l1, label, dropped) = self.l1_and_dropped(side);
        l1.remove_page(va, Some(asid), Globals::Drop, |slot, key| {
            dropped.push(label, slot, key);
        });
        if let Some(l2) = &mut self.l2 {
            l2.bank_mut(side).remove_page(va, Some(asid), Globals::Drop, |_, _| {});
        }
    }
}

/// Invalidation. Each returns the number of entries dropped, both levels together.
impl Tlb {
    /// Drops everything.
    pub fn flush_all(&mut self) -> u64 {
        self.dropped.everything();
        self.flush_banks(|bank, _| bank.clear())
    }

    /// Drops all entries that are not global.
    pub fn flush_non_global(&mut self) -> u64 {
        self.flush_space(None)
    }

    /// Drops the entries of an address space, except global ones.
    pub fn flush_asid(&mut self, asid: Asid) -> u64 {
        // Who unmaps or ends much flushes often, and nobody runs in between.
        if self.missing.space == Some(asid) {
            debug_assert_eq!(self.flush_space(Some(asid)), 0);
            return 0;
        }
        self.missing.space = Some(asid);
        self.flush_space(Some(asid))
    }

    /// Drops the entries, of every page size, that hold the base page `vpn` in the address space
    /// `asid` (`None`: in any).
    pub fn flush_page(&mut self, vpn: Vpn, asid: Option<Asid>, globals: Globals) -> u64 {
        let va = vpn.base(self.base_page);
        self.flush_banks(|bank, drop| bank.remove_page(va, asid, globals, drop))
    }

    fn flush_space(&mut self, asid: Option<Asid>) -> u64 {
        self.flush_banks(|bank, drop| bank.remove_space(asid, drop))
    }

    /// Lets `flush` drop entries of each bank; those of the first level are listed.
    fn flush_banks(&mut self, flush: impl Fn(&mut Bank, &mut dyn FnMut(Slot, Key)) -> u64) -> u64 {
        let Self { l1, l2, dropped, .. } = self;
        let mut removed = 0;
        for (side, bank) in l1.banks_mut() {
            removed += flush(bank, &mut |slot, key| dropped.push(side, slot, key));
        }
        for (_, bank) in l2.iter_mut().flat_map(Level::banks_mut) {
            removed += flush(bank, &mut |_, _| {});
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
        va: VirtAddr,
        asid: Asid,
        now: u64,
    ) -> Option<Found> {
        self.l1.bank_mut(side).reference_and_hint(va, asid, now)
    }

    /// [`Tlb::reference_l1`], but only where the hint is right and the entry allows `access`; else
    /// nothing happens.
    #[inline]
    pub(crate) fn reference_hinted(
        &mut self,
        va: VirtAddr,
        asid: Asid,
        access: Access,
        now: u64,
    ) -> Option<(Slot, Key, &Line)> {
        self.l1.bank_mut(Side::of(access.kind)).reference_hinted(va, asid, access, now)
    }

    /// The second half of [`Tlb::lookup`], without the copy into the first level.
    #[inline]
    pub(crate) fn reference_l2(
        &mut self,
        side: Side,
        va: VirtAddr,
        asid: Asid,
        now: u64,
    ) -> Option<(Key, Line)> {
        let (_, key, line) = self.l2.as_mut()?.bank_mut(side).reference(va, asid, now)?;
        Some((key, line))
    }

    /// Neither level has an entry of the page of `va`.
    pub(crate) fn note_absent(&mut self, side: Side, va: VirtAddr, asid: Asid) {
        debug_assert!(self.has_none(side, va, asid));
        self.missing.page = Some((side, va.vpn(self.base_page), asid));
    }

    /// Whether neither level has an entry of the page of `va`, as far as that was noted.
    #[inline]
    pub(crate) fn is_noted_absent(&self, side: Side, va: VirtAddr, asid: Asid) -> bool {
        let is_absent = self.missing.page == Some((side, va.vpn(self.base_page), asid));
        debug_assert!(!is_absent || self.has_none(side, va, asid));
        is_absent
    }

    fn has_none(&self, side: Side, va: VirtAddr, asid: Asid) -> bool {
        let mut banks = iter::once(&self.l1).chain(&self.l2).map(|level| level.bank(side));
        banks.all(|bank| !bank.holds(va, asid))
    }

    /// Puts an entry of the second level into the first level of `side`.
    #[inline]
    pub(crate) fn copy_to_l1(
        &mut self,
        side: Side,
        key: Key,
        line: Line,
        now: u64,
    ) -> Option<Slot> {
        self.missing = Missing::default();
        let (l1, label, dropped) = self.l1_and_dropped(side);
        l1.insert_line(key, line, now, |slot, key| dropped.push(label, slot, key))
    }

    /// The first level of `side`, how [`Dropped`] names it, and the list.
    #[inline]
    fn l1_and_dropped(&mut self, side: Side) -> (&mut Bank, Option<Side>, &mut DroppedList) {
        let label = self.l1.instruction.is_some().then_some(side);
        (self.l1.bank_mut(side), label, &mut self.dropped)
    }
}

impl Level {
    fn new(config: &LevelConfig, base_page: PageSize, asid_mask: u16) -> Self {
        let bank = |arrays| Bank::new(arrays, base_page, asid_mask);
        let (instruction, data) = match config {
            LevelConfig::Split { instruction, data } => (Some(bank(instruction)), bank(data)),
            LevelConfig::Unified(unified) => (None, bank(unified)),
        };
        Self { instruction, data }
    }

    #[inline]
    fn bank(&self, side: Side) -> &Bank {
        match (side, &self.instruction) {
            (Side::Instruction, Some(bank)) => bank,
            _ => &self.data,
        }
    }

    #[inline]
    fn bank_mut(&mut self, side: Side) -> &mut Bank {
        match (side, &mut self.instruction) {
            (Side::Instruction, Some(bank)) => bank,
            _ => &mut self.data,
        }
    }

    /// The banks, with the side of each if there are two.
    fn banks(&self) -> impl Iterator<Item = (Option<Side>, &Bank)> {
        let data_side = self.instruction.is_some().then_some(Side::Data);
        let instruction = self.instruction.as_ref().map(|bank| (Some(Side::Instruction), bank));
        instruction.into_iter().chain([(data_side, &self.data)])
    }

    /// [`Level::banks`], to change.
    fn banks_mut(&mut self) -> impl Iterator<Item = (Option<Side>, &mut Bank)> {
        let data_side = self.instruction.is_some().then_some(Side::Data);
        let instruction = self.instruction.as_mut().map(|bank| (Some(Side::Instruction), bank));
        instruction.into_iter().chain([(data_side, &mut self.data)])
    }
}
