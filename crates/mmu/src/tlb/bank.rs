//! The arrays of one level of one side: sets × ways of translations, an array for each choice of
//! page sizes.
//!
//! ```text
//!            va   | tag                  | set    | offset |
//!                                           │
//!                  way 0   way 1   way 2    ▼
//!                 ┌───────┬───────┬───────┐
//!          set 0  │ slot 0│ slot 1│ slot 2│         keys     page and size, scanned first
//!                 ├───────┼───────┼───────┤         lines    where it is, whose, what it allows
//!          set 1  │ slot 3│ slot 4│ slot 5│         stamps   time of the last reference
//!                 ╞═══════╪═══════╪═══════╛
//!          set 0  │ slot 6│ slot 7│                 the next array's slots go on counting
//!                 └───────┴───────┘
//! ```
//!
//! A page's set follows from its number in units of its own size, so pages of several sizes can
//! share an array; a look-up then probes once for each size that is held at that time.
//!
//! Invariants:
//! 1. At most one entry of a page size matches any (page, address space), unless software has put
//!    a second one in ([`Bank::replace`]).
//! 2. A slot without an entry keeps its stamp: the policy's memory of it outlives the entry.
//! 3. `held` counts the entries of each page size; `probes` has the sizes of which there are any.
//! 4. Where pages of two sizes hold an address, the smaller is found.

use super::config::Arrays;
use super::entry::{Globals, Slot, TlbEntry};
use super::hints::Hints;
use super::key::Key;
use super::line::Line;
use super::replacement::Chooser;
use crate::{Access, Asid, PageSize, VirtAddr};
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// No array holds pages of this size.
const NO_ARRAY: u8 = u8::MAX;

/// One level of one side.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    keys: Vec<Key>,
    lines: Vec<Line>,
    stamps: Vec<u64>,
    hints: Hints,
    held: Held,
    /// The page sizes held, smallest first, and where such pages are: what a look-up probes.
    probes: Vec<(PageSize, Sets)>,
    arrays: Vec<Array>,
    /// The array of each page size, by its binary logarithm.
    array_of: [u8; 64],
    base_page: PageSize,
    /// The bits of an ASID that entries carry.
    asid_mask: u16,
}

/// What a look-up finds: where, and the entry's two parts.
pub(crate) type Found = (Slot, Key, Line);

/// A set that a look-up probes.
pub(crate) struct PickedSet {
    /// The array's number in its bank.
    pub array: u8,
    /// The page size whose number picked the set.
    pub page: PageSize,
    /// The set's number …
    pub set: u64,
    /// … of so many.
    pub sets: u64,
    /// Its slots.
    pub slots: Range<usize>,
}

/// One array.
#[derive(Clone, Debug)]
struct Array {
    sets: Sets,
    chooser: Chooser,
}

/// The sets of one array.
#[derive(Clone, Copy, Debug)]
struct Sets {
    /// The first slot.
    first: usize,
    /// The number of sets less one; a power of two less one.
    mask: u64,
    ways: usize,
}

impl Bank {
    pub fn new(config: &Arrays, base_page: PageSize, asid_mask: u16) -> Self {
        let mut array_of = [NO_ARRAY; 64];
        let mut arrays = Vec::new();
        let mut slots = 0;
        for array in config.iter() {
            for page in array.pages().iter().filter(|&page| page >= base_page) {
                array_of[usize::from(page.shift())] = arrays.len() as u8;
            }
            let entries = array.entries() as usize;
            let (mask, ways) = (u64::from(array.sets()) - 1, array.ways() as usize);
            arrays.push(Array {
                sets: Sets { first: slots, mask, ways },
                chooser: Chooser::new(array.replacement(), entries),
            });
            slots += entries;
        }
        Self {
            keys: vec![Key::NONE; slots],
            lines: vec![Line::default(); slots],
            stamps: vec![0; slots],
            hints: Hints::new(base_page),
            held: Held::default(),
            probes: Vec::new(),
            arrays,
            array_of,
            base_page,
            asid_mask,
        }
    }

    /// [`Bank::reference`], but only where the hint is right and the entry allows `access`; else
    /// nothing happens.
    #[inline]
    pub fn reference_hinted(
        &mut self,
        va: VirtAddr,
        asid: Asid,
        access: Access,
        now: u64,
    ) -> Option<(Slot, Key, &Line)> {
        let slot = self.hints.slot(va);
        let key = self.held.smallest_key(va);
        let line = self.lines.get(slot)?;
        let allowed = line.serves(asid) && line.allowed.contains(access);
        if *self.keys.get(slot)? != key || !allowed {
            return None;
        }
        *self.stamps.get_mut(slot)? = now;
        Some((Slot(slot as u32), key, line))
    }

    /// [`Bank::reference`], to be hinted at next time.
    pub fn reference_and_hint(&mut self, va: VirtAddr, asid: Asid, now: u64) -> Option<Found> {
        let found = self.reference(va, asid, now)?;
        self.hints.found(va, found.0.0 as usize);
        Some(found)
    }

    /// Finds the entry that translates `va` for `asid`, and sets its stamp.
    #[inline]
    pub fn reference(&mut self, va: VirtAddr, asid: Asid, now: u64) -> Option<Found> {
        let slot = self.find(va, asid)?;
        self.stamps[slot] = now;
        Some((Slot(slot as u32), self.keys[slot], self.lines[slot]))
    }

    /// Whether an entry translates `va` for `asid`.
    pub fn holds(&self, va: VirtAddr, asid: Asid) -> bool {
        self.find(va, asid).is_some()
    }

    /// The entry in `slot`.
    pub fn entry(&self, slot: Slot) -> Option<TlbEntry> {
        let slot = slot.0 as usize;
        let key = *self.keys.get(slot)?;
        (key != Key::NONE).then(|| self.lines[slot].entry(key, self.base_page))
    }

    /// The time of the last reference through each slot.
    #[inline]
    pub fn stamps_mut(&mut self) -> &mut [u64] {
        &mut self.stamps
    }

    /// Puts `entry` in, unless no array holds pages of that size: over an entry that it
    /// contradicts, else into the lowest free way, else over the policy's victim. The pages of
    /// entries that leave are shown to `dropped`.
    pub fn insert(
        &mut self,
        entry: &TlbEntry,
        now: u64,
        dropped: impl FnMut(Slot, Key),
    ) -> Option<Slot> {
        let key = Key::new(entry.vpn.base(self.base_page), entry.page);
        let line = Line::new(key, entry, self.base_page, self.asid_mask);
        self.insert_line(key, line, now, dropped)
    }

    /// [`Bank::insert`] of an entry of another bank.
    pub fn insert_line(
        &mut self,
        key: Key,
        line: Line,
        now: u64,
        mut dropped: impl FnMut(Slot, Key),
    ) -> Option<Slot> {
        let page = key.page();
        let set = self.array(page)?.sets.of(key.base(), page);
        if self.keys[set.clone()].contains(&key) {
            self.remove_contradicted(key, &line, set.clone(), &mut dropped);
        }
        let free = self.keys[set.clone()].iter().position(|&held| held == Key::NONE);
        let slot = match free {
            Some(way) => set.start + way,
            None => {
                let Self { arrays, stamps, array_of, .. } = self;
                let array = &mut arrays[usize::from(array_of[usize::from(page.shift())])];
                array.victim(stamps, set)
            }
        };
        let left = core::mem::replace(&mut self.keys[slot], key);
        if left != Key::NONE {
            dropped(Slot(slot as u32), left);
        }
        if self.held.replace(left, page) {
            self.set_probes();
        }
        self.lines[slot] = line;
        self.stamps[slot] = now;
        self.array_mut(page)?.filled(slot);
        self.hints.found(key.base(), slot);
        Some(Slot(slot as u32))
    }

    /// Puts `entry`, of the base page's size, into `slot`, whatever that held. Shows `left` what the
    /// slot held, and the entries elsewhere that have the same page.
    ///
    /// # Panics
    /// If there is no such slot, or it is not of the entry's set.
    pub fn replace(&mut self, slot: Slot, entry: &TlbEntry, mut left: impl FnMut(Slot, Key)) {
        let va = entry.vpn.base(self.base_page);
        let slot = slot.0 as usize;
        let (key, set) = self.probe(va, self.base_page).expect("base pages are held");
        assert!(entry.page == self.base_page && set.contains(&slot));
        if self.keys[slot] != Key::NONE {
            self.remove(slot, &mut left);
        }
        if position(&self.keys[set.clone()], key).is_some() {
            for other in set.filter(|&other| self.keys[other] == key) {
                left(Slot(other as u32), key);
            }
        }
        self.keys[slot] = key;
        self.lines[slot] = Line::new(key, entry, self.base_page, self.asid_mask);
        let array = self.array_of[usize::from(self.base_page.shift())];
        self.arrays[usize::from(array)].filled(slot);
        if self.held.add(self.base_page) {
            self.set_probes();
        }
        self.hints.found(va, slot);
    }

    /// The slots whose entries, of the base page's size, translate `va` for `asid`.
    pub fn matches(&self, va: VirtAddr, asid: Asid) -> impl Iterator<Item = Slot> {
        self.probe(va, self.base_page).into_iter().flat_map(move |(key, set)| {
            let is_match =
                move |&slot: &usize| self.keys[slot] == key && self.lines[slot].serves(asid);
            set.filter(is_match).map(|slot| Slot(slot as u32))
        })
    }

    /// The sets that a look-up of `va` probes: smallest page first, an array that holds nothing by
    /// its smallest page.
    pub fn picked_sets(&self, va: VirtAddr) -> impl Iterator<Item = PickedSet> {
        let pages = (0..64).map(PageSize::from_shift);
        pages.filter_map(move |page| {
            let number = self.array_of[usize::from(page.shift())];
            let array = self.arrays.get(usize::from(number))?;
            let is_of_array = |page: PageSize| self.array_of[usize::from(page.shift())] == number;
            let shown = match self.held.pages().any(is_of_array) {
                true => self.held.pages().any(|held| held == page),
                false => {
                    (0..page.shift()).all(|smaller| !is_of_array(PageSize::from_shift(smaller)))
                }
            };
            shown.then(|| PickedSet {
                array: number,
                page,
                set: va.0 >> page.shift() & array.sets.mask,
                sets: array.sets.mask + 1,
                slots: array.sets.of(va, page),
            })
        })
    }

    /// Whether the entry in `slot` translates `va` for `asid`.
    pub fn is_match(&self, slot: Slot, va: VirtAddr, asid: Asid) -> bool {
        let slot = slot.0 as usize;
        self.keys.get(slot).is_some_and(|&key| {
            key != Key::NONE && key == Key::new(va, key.page()) && self.lines[slot].serves(asid)
        })
    }

    /// Drops the entries of every page size that hold `va`, in the address space `asid` or in all.
    /// Returns how many.
    pub fn remove_page(
        &mut self,
        va: VirtAddr,
        asid: Option<Asid>,
        globals: Globals,
        mut dropped: impl FnMut(Slot, Key),
    ) -> u64 {
        let mut removed = 0;
        for page in self.held.pages() {
            let Some((key, set)) = self.probe(va, page) else { continue };
            for slot in set {
                if self.keys[slot] == key && self.lines[slot].is_covered(asid, globals) {
                    self.remove(slot, &mut dropped);
                    removed += 1;
                }
            }
        }
        removed
    }

    /// Drops the entries that are not global, of the address space `asid` or of all. Returns how
    /// many.
    pub fn remove_space(&mut self, asid: Option<Asid>, mut dropped: impl FnMut(Slot, Key)) -> u64 {
        let mut removed = 0;
        for slot in 0..self.keys.len() {
            let is_held = self.keys[slot] != Key::NONE;
            if is_held && self.lines[slot].is_covered(asid, Globals::Keep) {
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
        let removed = self.held.total();
        self.keys.fill(Key::NONE);
        self.held = Held::default();
        self.probes.clear();
        removed
    }

    /// The entries held, by slot.
    pub fn entries(&self) -> impl Iterator<Item = TlbEntry> {
        (0..self.keys.len() as u32).filter_map(|slot| self.entry(Slot(slot)))
    }

    /// The entries held, each with the set and the way of its array.
    pub fn placed(&self) -> impl Iterator<Item = (u64, u64, TlbEntry)> {
        let arrays = self.arrays.iter().map(|array| array.sets);
        arrays.flat_map(move |sets| {
            let slots = (sets.mask as usize + 1) * sets.ways;
            (0..slots).filter_map(move |n| {
                let entry = self.entry(Slot((sets.first + n) as u32))?;
                Some(((n / sets.ways) as u64, (n % sets.ways) as u64, entry))
            })
        })
    }

    /// The slot whose entry translates `va` for `asid`; smaller pages go first (invariant 4).
    #[inline]
    fn find(&self, va: VirtAddr, asid: Asid) -> Option<usize> {
        for &(page, sets) in &self.probes {
            let (key, set) = (Key::new(va, page), sets.of(va, page));
            let (mut slot, mut rest) = (set.start, &self.keys[set]);
            // The first way with the key is the right one, unless it is another space's.
            while let Some(way) = rest.iter().position(|&held| held == key) {
                slot += way;
                if self.lines[slot].serves(asid) {
                    return Some(slot);
                }
                slot += 1;
                rest = &rest[way + 1..];
            }
        }
        None
    }

    /// The key of the page of this size that holds `va`, and its set.
    #[inline]
    fn probe(&self, va: VirtAddr, page: PageSize) -> Option<(Key, Range<usize>)> {
        Some((Key::new(va, page), self.array(page)?.sets.of(va, page)))
    }

    /// Other page sizes are held than before.
    #[cold]
    fn set_probes(&mut self) {
        self.probes.clear();
        for page in self.held.pages() {
            if let Some(array) = self.array(page) {
                self.probes.push((page, array.sets));
            }
        }
    }

    /// The array for pages of this size.
    #[inline]
    fn array(&self, page: PageSize) -> Option<&Array> {
        self.arrays.get(usize::from(self.array_of[usize::from(page.shift() & 63)]))
    }

    #[inline]
    fn array_mut(&mut self, page: PageSize) -> Option<&mut Array> {
        self.arrays.get_mut(usize::from(self.array_of[usize::from(page.shift() & 63)]))
    }

    fn remove(&mut self, slot: usize, dropped: &mut impl FnMut(Slot, Key)) {
        let key = core::mem::replace(&mut self.keys[slot], Key::NONE);
        if self.held.remove(key.page()) {
            self.set_probes();
        }
        dropped(Slot(slot as u32), key);
    }

    /// Drops what would match the same look-ups as the page of `key` (invariant 1).
    #[inline(never)]
    fn remove_contradicted(
        &mut self,
        key: Key,
        line: &Line,
        set: Range<usize>,
        dropped: &mut impl FnMut(Slot, Key),
    ) {
        for slot in set {
            if self.keys[slot] == key && self.lines[slot].meets(line) {
                self.remove(slot, dropped);
            }
        }
    }
}

/// The first way with this key. Many ways are compared a few at once, without a branch for each.
#[inline]
fn position(ways: &[Key], key: Key) -> Option<usize> {
    const AT_ONCE: usize = 16;
    let mut passed = 0;
    if ways.len() >= AT_ONCE {
        let has_none = |some: &&[Key]| !some.iter().fold(false, |any, &held| any | (held == key));
        passed = ways.chunks_exact(AT_ONCE).take_while(has_none).count() * AT_ONCE;
    }
    let way = ways[passed..].iter().position(|&held| held == key)?;
    Some(passed + way)
}

impl Sets {
    /// The slots of the set of the page of this size that holds `va`.
    #[inline]
    fn of(self, va: VirtAddr, page: PageSize) -> Range<usize> {
        let set = va.0 >> page.shift() & self.mask;
        let first = self.first + set as usize * self.ways;
        first..first + self.ways
    }
}

impl Array {
    /// The slot to be filled, in a set where all hold entries.
    fn victim(&mut self, stamps: &[u64], set: Range<usize>) -> usize {
        let first = set.start;
        first + self.chooser.victim(&stamps[set], first - self.sets.first)
    }

    /// `slot` was filled.
    fn filled(&mut self, slot: usize) {
        self.chooser.filled(slot - self.sets.first);
    }
}

/// How many entries of each page size a bank holds.
#[derive(Clone, Debug)]
struct Held {
    counts: [u32; 64],
    /// Bit n is set if there are pages of 2^n bytes.
    sizes: u64,
    /// The lowest bit of `sizes`; any bit if there is none.
    smallest: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self { counts: [0; 64], sizes: 0, smallest: 1 << 63 }
    }
}

/// Each change says whether other sizes are held now.
impl Held {
    #[inline]
    fn add(&mut self, page: PageSize) -> bool {
        self.counts[usize::from(page.shift())] += 1;
        self.set_sizes(self.sizes | page.bytes())
    }

    #[inline]
    fn remove(&mut self, page: PageSize) -> bool {
        let count = &mut self.counts[usize::from(page.shift())];
        debug_assert!(*count > 0);
        *count -= 1;
        *count == 0 && self.set_sizes(self.sizes & !page.bytes())
    }

    /// A page of size `new` takes the place of `old`, if there was any.
    #[inline]
    fn replace(&mut self, old: Key, new: PageSize) -> bool {
        if old == Key::NONE {
            self.add(new)
        } else {
            old.page() != new && self.remove(old.page()) | self.add(new)
        }
    }

    #[inline]
    const fn set_sizes(&mut self, sizes: u64) -> bool {
        let changed = self.sizes != sizes;
        self.sizes = sizes;
        self.smallest = if sizes == 0 { 1 << 63 } else { sizes & sizes.wrapping_neg() };
        changed
    }

    /// The key of the page of the smallest size held that has `va`. It is no empty slot's.
    #[inline]
    const fn smallest_key(&self, va: VirtAddr) -> Key {
        Key::of_bytes(va, self.smallest)
    }

    /// The sizes held, smallest first.
    #[inline]
    fn pages(&self) -> impl Iterator<Item = PageSize> + use<> {
        let mut sizes = self.sizes;
        core::iter::from_fn(move || {
            let page = (sizes != 0).then(|| PageSize::from_shift(sizes.trailing_zeros() as u8))?;
            sizes &= sizes - 1;
            Some(page)
        })
    }

    fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }
}
