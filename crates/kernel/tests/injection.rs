//! Everything that can fail fails in its turn: each reservation of frames, each transfer of each
//! device, once and for good, in one fixed life of two spaces that fork, copy on write, share an
//! object, map files, move mappings, merge pages and go on as another program.
//!
//! After every operation the whole kernel is audited. What was acknowledged is there at the end, when
//! the devices work again; and nothing is held when the spaces are gone.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::VirtAddr;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// Around a border of page tables.
const HEAP: u64 = 0x2000_0000 - 8 * PAGE;
const OBJECT: [u64; 2] = [0x1000_0000, 0x3000_0000];
const FILE: u64 = 0x4000_0000;
const TEXT: u64 = 0x5000_0000;
const MOVED: u64 = 0x6000_0000;

const HEAP_PAGES: u64 = 14;
const OBJECT_PAGES: u64 = 6;
const FILE_PAGES: u64 = 5;
const SHARED_FILE: u32 = 0;
const TEXT_FILE: u32 = 1;
/// The byte of a page that is stored to and looked at.
const OFFSET: u64 = 17;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Frames,
    SwapRead,
    SwapWrite,
    FileRead,
    FileWrite,
}

const PARTS: [Part; 5] =
    [Part::Frames, Part::SwapRead, Part::SwapWrite, Part::FileRead, Part::FileWrite];

/// What the bytes of a page are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Private(SpaceId, u64),
    Object(u64),
    File(u64),
}

/// One life, and what was acknowledged in it.
struct Life {
    m: Machine,
    object: FileId,
    known: BTreeMap<Place, u8>,
    asked: Rc<Cell<u64>>,
}

impl Life {
    /// With the failures `which` of `part`, by number.
    fn new(name: &str, part: Part, which: Range<u64>) -> Self {
        let frames = frames_min(name) + 24;
        let config = Config { frames, swap_slots: 64, ..Config::default() };
        let mut m = Machine::new(name, config);
        m.mock.quiet = true;
        m.mock.files = vec![vec![0x11; (FILE_PAGES * PAGE) as usize]; 2];
        let object = m.kernel.create_object(OBJECT_PAGES * PAGE).expect("a small object");
        let asked = Rc::new(Cell::new(0));
        let counter = asked.clone();
        let window = which.clone();
        let fails: Faults = Box::new(move || {
            let number = counter.replace(counter.get() + 1);
            window.contains(&number).then_some(IoError::Io)
        });
        match part {
            Part::Frames => m.kernel.refuse_frames(which.start, which.end - which.start),
            Part::SwapRead => m.mock.swap_read_fails = fails,
            Part::SwapWrite => m.mock.swap_write_fails = fails,
            Part::FileRead => m.mock.file_read_fails = fails,
            Part::FileWrite => m.mock.file_write_fails = fails,
        }
        Self { m, object, known: BTreeMap::new(), asked }
    }

    /// How often the part that may fail was asked.
    fn asked(&self, part: Part) -> u64 {
        if part == Part::Frames { self.m.kernel.reservations() } else { self.asked.get() }
    }

    /// Works again for ever.
    fn heal(&mut self) {
        self.m.kernel.refuse_frames(0, 0);
        self.m.mock.heal();
    }

    fn within<T>(&mut self, space: SpaceId, act: impl FnOnce(&mut Machine) -> T) -> T {
        let before = std::mem::replace(&mut self.m.space, space);
        let result = act(&mut self.m);
        self.m.space = before;
        self.m.audit();
        result
    }

    fn place(space: SpaceId, va: u64) -> Place {
        let page = |start: u64| (va - start) / PAGE;
        let of_object = |start: &&u64| (**start..**start + OBJECT_PAGES * PAGE).contains(&va);
        match OBJECT.iter().find(of_object) {
            Some(&start) => Place::Object(page(start)),
            None if (FILE..FILE + FILE_PAGES * PAGE).contains(&va) => Place::File(page(FILE)),
            None => Place::Private(space, va),
        }
    }

    fn map(&mut self, space: SpaceId, request: MapRequest, va: u64) {
        let request = MapRequest { place: at(va), ..request };
        let mapped = self.within(space, |m| m.kernel.mmap(&mut m.mock, space, request));
        assert_eq!(mapped, Ok(VirtAddr(va)), "a mapping takes no frames");
    }

    fn map_file(&mut self, space: SpaceId, va: u64, file: FileId, pages: u64, shared: bool) {
        let backing = Backing::File { file, offset: 0 };
        let request = MapRequest::anonymous(pages * PAGE, RW);
        self.map(space, MapRequest { backing, shared, ..request }, va);
    }

    /// Stores to pages of a mapping; what fails is not known to be there.
    fn store(&mut self, space: SpaceId, start: u64, pages: Range<u64>, byte: u8) {
        for page in pages {
            let va = start + page * PAGE;
            if self.within(space, |m| m.store(va + OFFSET, byte)).is_ok() {
                self.known.insert(Self::place(space, va), byte);
            }
        }
    }

    /// Loads from pages of a mapping; what can be loaded is what is known.
    fn load(&mut self, space: SpaceId, start: u64, pages: Range<u64>) {
        for page in pages {
            let va = start + page * PAGE;
            let untouched = if (FILE..MOVED).contains(&va) { 0x11 } else { 0 };
            let known = self.known.get(&Self::place(space, va)).copied().unwrap_or(untouched);
            if let Ok(byte) = self.within(space, |m| m.load(va + OFFSET)) {
                assert_eq!(byte, known, "at {va:#x} of {space:?}");
            }
        }
    }

    fn advise(&mut self, space: SpaceId, va: u64, pages: u64, advice: Advice) -> bool {
        let (at, len) = (VirtAddr(va), pages * PAGE);
        self.within(space, |m| m.kernel.madvise(&mut m.mock, space, at, len, advice)).is_ok()
    }

    fn fork(&mut self, parent: SpaceId) -> Option<SpaceId> {
        let child = self.within(parent, |m| m.kernel.fork_space(&mut m.mock, parent)).ok()?;
        let inherited: Vec<(Place, u8)> =
            self.known.iter().map(|(&place, &b)| (place, b)).collect();
        for (place, byte) in inherited {
            if let Place::Private(space, va) = place
                && space == parent
            {
                self.known.insert(Place::Private(child, va), byte);
            }
        }
        Some(child)
    }

    fn end(&mut self, space: SpaceId) {
        self.m.kernel.destroy_space(&mut self.m.mock, space);
        self.m.audit();
        self.known.retain(|place, _| !matches!(place, Place::Private(of, _) if *of == space));
    }

    /// What exec does: a new space is laid out, then the old one goes.
    fn exec(&mut self, old: SpaceId) -> SpaceId {
        let Ok(new) = self.m.kernel.create_space(&mut self.m.mock, LAYOUT) else { return old };
        self.m.kernel.set_oom_score_adj(new, OOM_SCORE_ADJ_MIN);
        self.m.audit();
        self.map_file(new, TEXT, FileId(TEXT_FILE), FILE_PAGES, false);
        self.map(new, MapRequest::anonymous(HEAP_PAGES * PAGE, RW), HEAP);
        let words = [0x55; 40];
        let to = VirtAddr(HEAP + PAGE - 20);
        let copied = self.within(new, |m| m.kernel.copy_out(&mut m.mock, new, to, &words));
        self.store(new, TEXT, 2..4, 0x61);
        if copied.is_ok() {
            let mut back = [0; 40];
            let read = self.within(new, |m| m.kernel.copy_in(&mut m.mock, new, to, &mut back));
            assert!(read.is_err() || back == words, "{back:x?}");
        }
        self.end(old);
        new
    }

    fn share_object(&mut self, spaces: [Option<SpaceId>; 2]) {
        let object = self.object;
        for (space, va) in spaces.into_iter().zip(OBJECT) {
            let Some(space) = space else { continue };
            self.map_file(space, va, object, OBJECT_PAGES, true);
            self.store(space, va, 0..4, 0x21 + va.trailing_zeros() as u8);
        }
        for (space, va) in spaces.into_iter().zip(OBJECT) {
            let Some(space) = space else { continue };
            self.load(space, va, 0..OBJECT_PAGES);
            self.advise(space, va, OBJECT_PAGES, Advice::PageOut);
            self.load(space, va, 0..3);
        }
        let written = self.m.kernel.write_object(
            &mut self.m.mock,
            object,
            4 * PAGE + OFFSET,
            &vec![0x77; PAGE as usize],
        );
        self.m.audit();
        // The second page's byte is the last of a page's worth, which may have stopped before.
        if written.is_ok() {
            self.known.insert(Place::Object(4), 0x77);
        }
        let mut grow = |len| {
            let done = self.m.kernel.set_object_len(&mut self.m.mock, object, len);
            self.m.audit();
            done
        };
        if grow(2 * PAGE + 100).is_ok() {
            self.known.retain(|place, _| !matches!(place, Place::Object(page) if *page > 2));
            assert_eq!(grow(OBJECT_PAGES * PAGE), Ok(()), "to grow takes no frames");
        }
    }

    fn use_files(&mut self, space: SpaceId) {
        self.map_file(space, FILE, FileId(SHARED_FILE), FILE_PAGES, true);
        self.map_file(space, TEXT, FileId(TEXT_FILE), FILE_PAGES, false);
        self.load(space, FILE, 0..FILE_PAGES);
        self.store(space, FILE, 0..3, 0x31);
        self.store(space, TEXT, 0..2, 0x32);
        let synced = self.within(space, |m| {
            m.kernel.msync(&mut m.mock, space, VirtAddr(FILE), FILE_PAGES * PAGE, SYNC)
        });
        if synced.is_ok() {
            self.check_file();
        }
        self.advise(space, TEXT, FILE_PAGES, Advice::PageOut);
        self.load(space, TEXT, 0..FILE_PAGES);
        self.store(space, FILE, 1..4, 0x33);
    }

    /// What was stored through the shared mapping is in the file.
    fn check_file(&self) {
        for page in 0..FILE_PAGES {
            let byte = self.m.mock.files[0][(page * PAGE + OFFSET) as usize];
            let known = self.known.get(&Place::File(page)).copied().unwrap_or(0x11);
            assert_eq!(byte, known, "page {page} of the file");
        }
    }

    fn remap(&mut self, space: SpaceId) {
        let (from, to, len) = (VirtAddr(HEAP + 4 * PAGE), VirtAddr(MOVED), 6 * PAGE);
        let how = Remap::Fixed(to);
        let moved =
            self.within(space, |m| m.kernel.mremap(&mut m.mock, space, from, len, len, how));
        if moved.is_ok() {
            for page in 0..6 {
                let was = Place::Private(space, from.0 + page * PAGE);
                if let Some(byte) = self.known.remove(&was) {
                    self.known.insert(Place::Private(space, to.0 + page * PAGE), byte);
                }
            }
            self.load(space, MOVED, 0..6);
            self.map(space, MapRequest::anonymous(len, RW), from.0);
        }
        self.load(space, HEAP, 0..HEAP_PAGES);
    }

    fn merge(&mut self, space: SpaceId) {
        self.store(space, HEAP, 10..HEAP_PAGES, 0x44);
        self.advise(space, HEAP, HEAP_PAGES, Advice::Mergeable);
        for _ in 0..40 {
            self.m.kernel.daemon(&mut self.m.mock);
        }
        self.m.audit();
        self.load(space, HEAP, 0..HEAP_PAGES);
        self.advise(space, HEAP, 12, Advice::Unmergeable);
        self.store(space, HEAP, 12..HEAP_PAGES, 0x45);
    }

    fn lock(&mut self, space: SpaceId) {
        let lock = |how| {
            move |m: &mut Machine| m.kernel.mlock(&mut m.mock, space, VirtAddr(HEAP), 3 * PAGE, how)
        };
        let _maybe = self.within(space, lock(Lock::Now));
        self.load(space, HEAP, 0..3);
        assert_eq!(self.within(space, lock(Lock::Not)), Ok(()));
        self.advise(space, HEAP, HEAP_PAGES, Advice::PopulateWrite);
        assert!(self.advise(space, HEAP, 2, DONTNEED));
        for page in 0..2 {
            self.known.remove(&Place::Private(space, HEAP + page * PAGE));
        }
    }

    /// All but the end; the spaces that are left.
    fn live(&mut self) -> [Option<SpaceId>; 3] {
        let parent = self.m.space;
        self.map(parent, MapRequest::anonymous(HEAP_PAGES * PAGE, RW), HEAP);
        self.store(parent, HEAP, 0..HEAP_PAGES, 0x01);
        let child = self.fork(parent);
        self.store(parent, HEAP, 0..5, 0x02);
        if let Some(child) = child {
            self.store(child, HEAP, 3..8, 0x03);
            self.load(child, HEAP, 0..HEAP_PAGES);
        }
        self.advise(parent, HEAP, HEAP_PAGES, Advice::PageOut);
        let second = self.fork(parent);
        for space in [second, Some(parent), child].into_iter().flatten() {
            self.load(space, HEAP, 6..10);
            self.store(space, HEAP, 7..9, 0x04 + space.0 as u8);
        }
        if let Some(second) = second {
            self.end(second);
        }
        self.share_object([Some(parent), child]);
        self.use_files(parent);
        let program = child.map(|child| self.exec(child));
        self.remap(parent);
        self.merge(parent);
        self.lock(parent);
        let last = self.fork(parent);
        if let Some(program) = program {
            self.store(program, HEAP, 4..HEAP_PAGES, 0x09);
        }
        self.load(parent, HEAP, 0..HEAP_PAGES);
        [Some(parent), program, last]
    }

    /// Everything works again: what is known is there, and then nothing is left.
    fn finish(&mut self, spaces: [Option<SpaceId>; 3]) {
        self.heal();
        for space in spaces.into_iter().flatten() {
            let pages: Vec<u64> = self
                .known
                .keys()
                .filter_map(|place| match place {
                    Place::Private(of, va) if *of == space => Some(*va),
                    _ => None,
                })
                .collect();
            for va in pages {
                let byte = self.within(space, |m| m.load(va + OFFSET));
                assert_eq!(byte, Ok(self.known[&Place::Private(space, va)]), "{va:#x} {space:?}");
            }
        }
        for page in 0..OBJECT_PAGES {
            let mut byte = [0xcc];
            let at = page * PAGE + OFFSET;
            let read = self.m.kernel.read_object(&mut self.m.mock, self.object, at, &mut byte);
            assert_eq!(read, Ok(1));
            let known = self.known.get(&Place::Object(page)).copied().unwrap_or(0);
            assert_eq!(byte[0], known, "page {page} of the object");
        }
        assert_eq!(self.m.kernel.sync_all(&mut self.m.mock), Ok(()));
        self.check_file();
        for space in spaces.into_iter().flatten() {
            self.end(space);
        }
        self.m.kernel.release_object(&mut self.m.mock, self.object);
        for file in [SHARED_FILE, TEXT_FILE] {
            assert!(self.m.kernel.forget_file(&mut self.m.mock, FileId(file)));
        }
        self.m.audit();
        let frames = self.m.kernel.frames();
        let slots = self.m.kernel.swap();
        assert_eq!((frames.anon, frames.file, slots.used()), (0, 0, 0), "{frames:?}");
        assert_eq!(frames.page_table, machine_tables(&self.m), "{frames:?}");
    }
}

/// How often a part is asked in a life in which nothing fails.
fn asked(name: &str, part: Part) -> u64 {
    let mut life = Life::new(name, part, 0..0);
    life.live();
    life.asked(part)
}

fn fail_each(name: &str) {
    for part in PARTS {
        let count = asked(name, part);
        assert!(count > 0, "{name}: {part:?} is never asked");
        for first in 0..count {
            for last in [first, u64::MAX - 1] {
                let mut life = Life::new(name, part, first..last + 1);
                let spaces = life.live();
                life.finish(spaces);
            }
        }
        println!("{name}: {count} × {part:?}");
    }
}

#[test]
fn each_failure_on_a_tree() {
    fail_each("sv39");
}

#[test]
fn each_failure_on_an_inverted_table() {
    fail_each("inverted");
}

#[test]
fn each_failure_on_a_tiny_hashed_table() {
    fail_each(TINY);
}
