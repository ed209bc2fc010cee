//! One set-associative array of translations.
//!
//! ```text
//!            vpn  | tag                  | set    |      (low bits of a large page cut off)
//!                                           │
//!                  way 0   way 1   way 2    ▼
//!                 ┌───────┬───────┬───────┐
//!          set 0  │ slot 0│ slot 1│ slot 2│         keys     first base page, scanned first
//!                 ├───────┼───────┼───────┤         entries  the translations
//!          set 1  │ slot 3│ slot 4│ slot 5│         stamps   time of the last reference
//!                 └───────┴───────┴───────┘
//! ```
//!
//! A page's set follows from its number in units of its own size, so pages of several sizes can
//! share an array; a look-up then probes once for each size that the array holds at that time.
//!
//! Invariants:
//! 1. At most one entry of a page size matches any (page, address space), unless software has put
//!    a second one in ([`Array::replace`]).
//! 2. A slot without an entry keeps its stamp: the policy's memory of it outlives the entry.
//! 3. `held` counts the entries of each page size.

use super::config::{ArrayConfig, PageSizes};
use super::entry::{Globals, Slot, TlbEntry};
use super::replacement::Chooser;
use crate::{Asid, PageSize, Vpn};
use alloc::{vec, vec::Vec};

/// One array.
#[derive(Clone, Debug)]
pub(super) struct Array {
    /// The number of sets less one; a power of two less one.
    set_mask: u64,
    ways: usize,
    pages: PageSizes,
    base_page: PageSize,
    /// Whether entries of several address spaces can be told apart.
    tagged: bool,
    keys: Vec<u64>,
    entries: Vec<Option<TlbEntry>>,
    stamps: Vec<u64>,
    chooser: Chooser,
    held: Held,
}

impl Array {
    pub fn new(config: &ArrayConfig, base_page: PageSize, tagged: bool) -> Self {
        let slots = config.entries() as usize;
        Self {
            set_mask: u64::from(config.sets()) - 1,
            ways: config.ways() as usize,
            pages: config.pages(),
            base_page,
            tagged,
            keys: vec![0; slots],
            entries: vec![None; slots],
            stamps: vec![0; slots],
            chooser: Chooser::new(config.replacement(), slots),
            held: Held::default(),
        }
    }

    /// Finds the entry that translates the base page `vpn` for `asid`, and sets its stamp.
    #[inline]
    pub fn reference(&mut self, vpn: Vpn, asid: Asid, now: u64) -> Option<(Slot, &TlbEntry)> {
        let slot = self.find(vpn, asid)?;
        self.stamps[slot] = now;
        Some((Slot(slot as u32), self.entries[slot].as_ref()?))
    }

    /// The entry in `slot`.
    #[inline]
    pub fn entry(&self, slot: Slot) -> Option<&TlbEntry> {
        self.entries.get(slot.0 as usize)?.as_ref()
    }

    /// The time of the last reference through each slot.
    #[inline]
    pub fn stamps_mut(&mut self) -> &mut [u64] {
        &mut self.stamps
    }

    /// Puts `entry` in, unless the array does not hold pages of that size: over an entry that it
    /// contradicts, else into the lowest free way, else over the policy's victim. Entries that
    /// leave are shown to `dropped`.
    pub fn insert(
        &mut self,
        entry: TlbEntry,
        now: u64,
        mut dropped: impl FnMut(Slot, TlbEntry),
    ) -> Option<Slot> {
        if entry.page < self.base_page || !self.pages.contains(entry.page) {
            return None;
        }
        self.remove_conflicts(&entry, &mut dropped);
        let (key, first) = self.probe(entry.vpn, self.order(&entry));
        let free = (first..first + self.ways).find(|&slot| self.entries[slot].is_none());
        let slot = free.unwrap_or_else(|| {
            let victim = self.chooser.victim(&self.stamps, first, self.ways);
            self.remove(victim, &mut dropped);
            victim
        });
        self.keys[slot] = key;
        self.entries[slot] = Some(TlbEntry { vpn: Vpn(key), ..entry });
        self.stamps[slot] = now;
        self.chooser.filled(slot);
        self.held.add(self.order(&entry));
        Some(Slot(slot as u32))
    }

    /// Puts `entry`, of the base page's size, into `slot`, whatever that held. Shows `left` what the
    /// slot held, and the entries elsewhere that have the same page.
    ///
    /// # Panics
    /// If there is no such slot, or it is not of the entry's set.
    pub fn replace(&mut self, slot: Slot, entry: TlbEntry, mut left: impl FnMut(Slot, TlbEntry)) {
        let (key, first) = self.probe(entry.vpn, 0);
        let slot = slot.0 as usize;
        assert!(entry.page == self.base_page && (first..first + self.ways).contains(&slot));
        self.remove(slot, &mut left);
        for other in first..first + self.ways {
            if self.keys[other] == key
                && other != slot
                && let Some(twin) = self.entries[other]
            {
                left(Slot(other as u32), twin);
            }
        }
        self.keys[slot] = key;
        self.entries[slot] = Some(entry);
        self.chooser.filled(slot);
        self.held.add(0);
    }

    /// The slots whose entries, of the base page's size, translate `vpn` for `asid`.
    pub fn matches(&self, vpn: Vpn, asid: Asid) -> impl Iterator<Item = Slot> {
        let (key, first) = self.probe(vpn, 0);
        let is_match = move |&slot: &usize| {
            self.keys[slot] == key
                && self.entries[slot].is_some_and(|e| self.order(&e) == 0 && self.serves(&e, asid))
        };
        (first..first + self.ways).filter(is_match).map(|slot| Slot(slot as u32))
    }

    /// Drops the entries of every page size that hold the base page `vpn`, in the address space
    /// `asid` or in all. Returns how many.
    pub fn remove_page(
        &mut self,
        vpn: Vpn,
        asid: Option<Asid>,
        globals: Globals,
        mut dropped: impl FnMut(Slot, TlbEntry),
    ) -> u64 {
        let mut sizes = self.held.sizes;
        let mut removed = 0;
        while sizes != 0 {
            let order = sizes.trailing_zeros();
            sizes &= sizes - 1;
            let (key, first) = self.probe(vpn, order);
            for slot in first..first + self.ways {
                let Some(entry) = self.entries[slot] else { continue };
                let page_matches = self.keys[slot] == key && self.order(&entry) == order;
                if page_matches && self.is_covered(&entry, asid, globals) {
                    self.remove(slot, &mut dropped);
                    removed += 1;
                }
            }
        }
        removed
    }

    /// Drops the entries that are not global, of the address space `asid` or of all. Returns how
    /// many.
    pub fn remove_space(
        &mut self,
        asid: Option<Asid>,
        mut dropped: impl FnMut(Slot, TlbEntry),
    ) -> u64 {
        let mut removed = 0;
        for slot in 0..self.entries.len() {
            let Some(entry) = self.entries[slot] else { continue };
            if self.is_covered(&entry, asid, Globals::Keep) {
                self.remove(slot, &mut dropped);
                removed += 1;
            }
        }
        removed
    }

    /// Drops every entry. Returns how many.
    pub fn clear(&mut self) -> u64 {
        if self.held.sizes == 0 {
            return 0;
        }
        let removed = self.entries.iter().flatten().count() as u64;
        self.entries.fill(None);
        self.held = Held::default();
        removed
    }

    /// The entries held, by slot.
    pub fn entries(&self) -> impl Iterator<Item = &TlbEntry> {
        self.entries.iter().flatten()
    }

    /// The slot whose entry translates the base page `vpn` for `asid`; smaller pages go first.
    #[inline]
    fn find(&self, vpn: Vpn, asid: Asid) -> Option<usize> {
        let mut sizes = self.held.sizes;
        while sizes != 0 {
            let order = sizes.trailing_zeros();
            if let Some(found) = self.find_sized(vpn, order, asid) {
                return Some(found);
            }
            sizes &= sizes - 1;
        }
        None
    }

    #[inline]
    fn find_sized(&self, vpn: Vpn, order: u32, asid: Asid) -> Option<usize> {
        let (key, first) = self.probe(vpn, order);
        let keys = self.keys.get(first..first + self.ways)?;
        (first..).zip(keys).filter(|&(_, &held)| held == key).map(|(slot, _)| slot).find(|&slot| {
            let entry = &self.entries[slot];
            entry.as_ref().is_some_and(|e| self.order(e) == order && self.serves(e, asid))
        })
    }

    fn remove(&mut self, slot: usize, dropped: &mut impl FnMut(Slot, TlbEntry)) {
        if let Some(entry) = self.entries[slot].take() {
            self.held.remove(self.order(&entry));
            dropped(Slot(slot as u32), entry);
        }
    }

    /// Drops what would match the same look-ups as `entry` (invariant 1).
    fn remove_conflicts(&mut self, entry: &TlbEntry, dropped: &mut impl FnMut(Slot, TlbEntry)) {
        let (key, first) = self.probe(entry.vpn, self.order(entry));
        for slot in first..first + self.ways {
            if self.keys[slot] != key {
                continue;
            }
            let Some(other) = self.entries[slot] else { continue };
            let spaces_meet = entry.global || self.serves(&other, entry.asid);
            if other.page == entry.page && spaces_meet {
                self.remove(slot, dropped);
            }
        }
    }

    /// The key of the page of `order` that holds `vpn`, and the first slot of its set.
    #[inline]
    fn probe(&self, vpn: Vpn, order: u32) -> (u64, usize) {
        let number = vpn.0 >> order;
        (number << order, (number & self.set_mask) as usize * self.ways)
    }

    /// The binary logarithm of the page's size in base pages.
    #[inline]
    fn order(&self, entry: &TlbEntry) -> u32 {
        u32::from(entry.page.shift() - self.base_page.shift())
    }

    #[inline]
    fn serves(&self, entry: &TlbEntry, asid: Asid) -> bool {
        entry.global || !self.tagged || entry.asid == asid
    }

    /// Whether an invalidation for `asid` (`None`: all spaces) concerns the entry.
    fn is_covered(&self, entry: &TlbEntry, asid: Option<Asid>, globals: Globals) -> bool {
        if entry.global {
            return globals == Globals::Drop;
        }
        asid.is_none_or(|asid| self.serves(entry, asid))
    }
}

/// How many entries of each page size (by its order) an array holds.
#[derive(Clone, Debug)]
struct Held {
    counts: [u32; 64],
    /// Bit n is set if there are pages of order n.
    sizes: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self { counts: [0; 64], sizes: 0 }
    }
}

impl Held {
    fn add(&mut self, order: u32) {
        self.counts[order as usize] += 1;
        self.sizes |= 1 << order;
    }

    fn remove(&mut self, order: u32) {
        let count = &mut self.counts[order as usize];
        debug_assert!(*count > 0);
        *count -= 1;
        if *count == 0 {
            self.sizes &= !(1 << order);
        }
    }
}
