//! Which page is in which frame, by names that do not depend on where pages were when.
//!
//! ```text
//!   page_loaded ──► frame: not named ──first reference──► named: 0, 1, 2 … in that order
//!        ▲                                                  │ Evict
//!        │ PageIn: the slot's or the file's page            ▼
//!        └───────────────────────────── name of the slot, of (file, offset), or,
//!                                        for zeroes that are in no store, of (space, address)
//! ```
//!
//! A private page begins when its frame is filled with zeroes or with a copy, and ends when nobody
//! has it any more. In between its name goes with it, from frame to slot to frame, whoever shares
//! it; a file's page is always the page of that file. So what has one name is one page, and two runs
//! whose programs refer to the same pages in the same order give them the same names, whatever was
//! in memory when.
//!
//! Invariants:
//! 1. A page has no name before it is referenced: pages that are brought in for nothing have none.
//! 2. The names given are 0 to `len() - 1`.
//! 3. A page is in one frame at most.

use std::collections::BTreeMap;

use pagewalk_kernel::{FileId, SpaceId, Store};
use pagewalk_mmu::{Pfn, VirtAddr};

/// The most pages that are told apart; the tables by page take up to 64 bytes for each.
const PAGES_MAX: u32 = 1 << 24;

/// The page was not referenced since it was loaded.
const FRESH: u32 = 1 << 31;
const UNNAMED: u32 = FRESH - 1;

/// What a page without a name will be found by when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Nowhere,
    /// A file's page.
    File(u32, u64),
    /// A page that was all zeroes at first.
    Zeroes(SpaceId, VirtAddr),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The name, and [`FRESH`].
    name: u32,
    home: Home,
}

/// A reference to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referred {
    /// Its name; `None` if there are too many pages.
    pub page: Option<u32>,
    /// It was loaded since the last reference.
    pub loaded: bool,
    /// It was never referenced before.
    pub first: bool,
}

/// The names; see the module.
#[derive(Clone, Debug)]
pub struct PageNames {
    frames: Vec<Frame>,
    slots: Vec<u32>,
    files: BTreeMap<(u32, u64), u32>,
    dropped: BTreeMap<(u32, VirtAddr), u32>,
    /// What was read since programs last ran, and by nobody taken over yet.
    read: Vec<(Pfn, Store)>,
    next: u32,
}

impl PageNames {
    /// No page of so many frames has a name.
    pub fn new(frames: u64) -> Self {
        let frame = Frame { name: UNNAMED | FRESH, home: Home::Nowhere };
        Self {
            frames: vec![frame; frames as usize],
            slots: Vec::new(),
            files: BTreeMap::new(),
            dropped: BTreeMap::new(),
            read: Vec::new(),
            next: 0,
        }
    }

    /// How many frames there are.
    pub const fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    /// How many pages there were.
    pub const fn len(&self) -> u32 {
        self.next
    }

    /// The page in a frame is referenced.
    #[inline]
    pub fn refer(&mut self, pfn: Pfn) -> Referred {
        let frame = &mut self.frames[pfn.0 as usize];
        let loaded = frame.name & FRESH != 0;
        frame.name &= !FRESH;
        match frame.name {
            UNNAMED => self.name(pfn),
            name => Referred { page: Some(name), loaded, first: false },
        }
    }

    /// The name of the page in a frame, if it has one.
    pub fn of(&self, pfn: Pfn) -> Option<u32> {
        Some(self.frames[pfn.0 as usize].name & !FRESH).filter(|&name| name != UNNAMED)
    }

    #[cold]
    fn name(&mut self, pfn: Pfn) -> Referred {
        if self.next == PAGES_MAX {
            return Referred { page: None, loaded: true, first: true };
        }
        let frame = &mut self.frames[pfn.0 as usize];
        frame.name = self.next;
        self.next += 1;
        if let Home::File(file, offset) = frame.home {
            self.files.insert((file, offset), frame.name);
        }
        Referred { page: Some(frame.name), loaded: true, first: true }
    }

    /// A page was read into a frame.
    pub fn read(&mut self, from: Store, pfn: Pfn) {
        self.read.push((pfn, from));
    }

    /// A frame holds another page from now on.
    pub fn loaded(&mut self, pfn: Pfn) {
        let read = self.read.iter().rposition(|&(frame, _)| frame == pfn);
        let (name, home) = match read.map(|at| self.read.swap_remove(at).1) {
            None => (UNNAMED, Home::Nowhere),
            Some(Store::Swap(slot)) => {
                let name = self.slots.get(slot.0 as usize).copied().unwrap_or(UNNAMED);
                (name, Home::Nowhere)
            }
            Some(Store::File { file, offset }) => {
                let name = self.files.get(&(file.0, offset)).copied().unwrap_or(UNNAMED);
                (name, Home::File(file.0, offset))
            }
        };
        self.frames[pfn.0 as usize] = Frame { name: name | FRESH, home };
    }

    /// A page is in another frame from now on.
    pub fn moved(&mut self, from: Pfn, to: Pfn) {
        let gone = Frame { name: UNNAMED | FRESH, home: Home::Nowhere };
        let frame = std::mem::replace(&mut self.frames[from.0 as usize], gone);
        self.frames[to.0 as usize] = frame;
    }

    /// A frame held a page of a file before anybody looked.
    pub fn is_files(&mut self, pfn: Pfn, file: FileId, offset: u64) {
        self.frames[pfn.0 as usize].home = Home::File(file.0, offset);
    }

    /// A frame was filled with zeroes for a page of a space: perhaps one that had been dropped,
    /// because it still was all zeroes.
    pub fn zero_filled(&mut self, space: SpaceId, va: VirtAddr, pfn: Pfn) {
        let frame = &mut self.frames[pfn.0 as usize];
        frame.home = Home::Zeroes(space, va);
        if let Some(name) = self.dropped.remove(&(space.0, va)) {
            frame.name = name | FRESH;
        }
    }

    /// A page left memory.
    pub fn evicted(&mut self, pfn: Pfn, store: Option<Store>) {
        let frame = &mut self.frames[pfn.0 as usize];
        let name = frame.name & !FRESH;
        match (store, frame.home) {
            (Some(Store::Swap(slot)), _) => {
                let at = slot.0 as usize;
                if at >= self.slots.len() {
                    self.slots.resize(at + 1, UNNAMED);
                }
                self.slots[at] = name;
            }
            (None, Home::Zeroes(space, va)) if name != UNNAMED => {
                self.dropped.insert((space.0, va), name);
            }
            _ => {}
        }
        *frame = Frame { name: UNNAMED | FRESH, home: Home::Nowhere };
    }

    /// What a space had in a range is gone.
    pub fn gone(&mut self, space: SpaceId, from: VirtAddr, to: VirtAddr) {
        let range = (space.0, from)..(space.0, to);
        while let Some((&key, _)) = self.dropped.range(range.clone()).next() {
            self.dropped.remove(&key);
        }
    }

    /// Checks that no page is in two frames of those that hold pages.
    ///
    /// # Errors
    /// The page and the frames.
    pub fn audit(&self, holds_page: impl Fn(Pfn) -> bool) -> Result<(), String> {
        let mut places = BTreeMap::new();
        let held = (0..self.frames()).map(Pfn).filter(|&pfn| holds_page(pfn));
        for (pfn, name) in held.filter_map(|pfn| self.of(pfn).map(|name| (pfn, name))) {
            if let Some(other) = places.insert(name, pfn) {
                return Err(format!("page {name} is seen in two frames, {other} and {pfn}"));
            }
        }
        Ok(())
    }

    /// Programs run again: what was read and not taken over never will be.
    pub fn settle(&mut self) {
        self.read.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagewalk_kernel::SwapSlot;

    const SPACE: SpaceId = SpaceId(3);

    fn name(names: &mut PageNames, pfn: u64) -> u32 {
        names.refer(Pfn(pfn)).page.expect("there are few pages")
    }

    #[test]
    fn names_are_given_in_the_order_of_first_references() {
        let mut names = PageNames::new(4);
        for pfn in [0, 1, 2] {
            names.loaded(Pfn(pfn));
        }
        assert_eq!([2, 0, 2].map(|pfn| name(&mut names, pfn)), [0, 1, 0]);
        assert_eq!(names.of(Pfn(1)), None);
        assert_eq!(names.len(), 2);
        let again = Referred { page: Some(1), loaded: false, first: false };
        assert_eq!(names.refer(Pfn(0)), again);
    }

    #[test]
    fn a_name_goes_to_swap_and_back() {
        let mut names = PageNames::new(4);
        let slot = Store::Swap(SwapSlot(9));
        names.loaded(Pfn(1));
        assert_eq!(name(&mut names, 1), 0);
        names.evicted(Pfn(1), Some(slot));
        names.loaded(Pfn(1));
        assert_eq!(name(&mut names, 1), 1, "another page");
        names.read(slot, Pfn(2));
        names.loaded(Pfn(2));
        let back = Referred { page: Some(0), loaded: true, first: false };
        assert_eq!(names.refer(Pfn(2)), back);
    }

    #[test]
    fn a_files_page_has_one_name() {
        let mut names = PageNames::new(4);
        let page = |offset| Store::File { file: FileId(1), offset };
        for (pfn, offset, expected) in [(0, 0, 0), (1, 4096, 1), (2, 0, 0), (0, 4096, 1)] {
            names.read(page(offset), Pfn(pfn));
            names.loaded(Pfn(pfn));
            assert_eq!(name(&mut names, pfn), expected);
            names.evicted(Pfn(pfn), Some(page(offset)));
        }
    }

    #[test]
    fn dropped_zeroes_come_back_unless_they_were_unmapped() {
        for unmapped in [false, true] {
            let mut names = PageNames::new(2);
            let va = VirtAddr(0x5000);
            names.loaded(Pfn(0));
            names.zero_filled(SPACE, va, Pfn(0));
            assert_eq!(name(&mut names, 0), 0);
            names.evicted(Pfn(0), None);
            if unmapped {
                names.gone(SPACE, VirtAddr(0x4000), VirtAddr(0x6000));
            }
            names.gone(SPACE, VirtAddr(0), va);
            names.gone(SpaceId(2), VirtAddr(0), VirtAddr(u64::MAX));
            names.loaded(Pfn(1));
            names.zero_filled(SPACE, va, Pfn(1));
            assert_eq!(name(&mut names, 1), u32::from(unmapped));
        }
    }

    #[test]
    fn a_page_in_two_frames_is_found() {
        let mut names = PageNames::new(3);
        let slot = Store::Swap(SwapSlot(0));
        names.loaded(Pfn(0));
        assert_eq!(name(&mut names, 0), 0);
        names.evicted(Pfn(0), Some(slot));
        for pfn in [1, 2] {
            assert_eq!(names.audit(|_| true), Ok(()));
            names.read(slot, Pfn(pfn));
            names.loaded(Pfn(pfn));
        }
        let error = names.audit(|_| true).unwrap_err();
        assert!(error.starts_with("page 0 is seen in two frames"), "{error}");
        assert_eq!(names.audit(|pfn| pfn != Pfn(1)), Ok(()));
    }
}
