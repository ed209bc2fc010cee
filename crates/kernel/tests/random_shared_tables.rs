//! Random operations on spaces that map the same objects over whole page tables, at the same and at
//! other addresses, on a machine with little memory: against a model that knows no page tables. After
//! every operation the whole kernel is audited.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::VirtAddr;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SPACES: usize = 4;
const OBJECTS: usize = 2;
/// Where objects are mapped: at two places the tables are the objects' own parts, at one they are
/// not. Each place has room for two tables.
const PLACES: [u64; 3] = [0x1000_0000, 0x2000_0000, 0x3000_0000 + PAGE];
/// Pages of each table that are looked at, from its first and from its last.
const NEAR: u64 = 3;

#[derive(Clone, Debug)]
enum Op {
    Map { space: usize, place: usize, object: usize, writable: bool },
    Private { space: usize, place: usize },
    Unmap { space: usize, place: usize, from: u64, len: u64 },
    Protect { space: usize, place: usize, from: u64, len: u64, writable: bool },
    Lock { space: usize, place: usize, from: u64, lock: bool },
    Load { space: usize, place: usize, from: u64, len: u64 },
    Store { space: usize, place: usize, from: u64, len: u64, byte: u8 },
    Advise { space: usize, place: usize, from: u64, advice: Advice },
    EvictFrom { space: usize, place: usize, from: u64 },
    Fork { space: usize },
    Exit { space: usize },
    Truncate { object: usize, pages: u64 },
    Press,
}

fn op() -> impl Strategy<Value = Op> {
    let space = || (0..SPACES, 0..SPACES).prop_map(|(a, b)| a.min(b));
    let place = || 0..PLACES.len();
    // An index among the pages that are looked at.
    let from = || 0..4 * NEAR;
    let len = || 1..2 * NEAR;
    let object = || 0..OBJECTS;
    let advice = prop_oneof![
        Just(DONTNEED),
        Just(Advice::Cold),
        Just(Advice::PageOut),
        Just(Advice::DontFork),
        Just(Advice::DoFork),
    ];
    prop_oneof![
        3 => (space(), place(), object(), any::<bool>()).prop_map(
            |(space, place, object, w)| Op::Map { space, place, object, writable: w }),
        1 => (space(), place()).prop_map(|(space, place)| Op::Private { space, place }),
        1 => (space(), place(), from(), len()).prop_map(
            |(space, place, from, len)| Op::Unmap { space, place, from, len }),
        1 => (space(), place(), from(), len(), any::<bool>()).prop_map(
            |(space, place, from, len, writable)| Op::Protect { space, place, from, len, writable }),
        1 => (space(), place(), from(), any::<bool>()).prop_map(
            |(space, place, from, lock)| Op::Lock { space, place, from, lock }),
        8 => (space(), place(), from(), len()).prop_map(
            |(space, place, from, len)| Op::Load { space, place, from, len }),
        8 => (space(), place(), from(), len(), any::<u8>()).prop_map(
            |(space, place, from, len, byte)| Op::Store { space, place, from, len, byte }),
        2 => (space(), place(), from(), advice).prop_map(
            |(space, place, from, advice)| Op::Advise { space, place, from, advice }),
        2 => (space(), place(), from()).prop_map(
            |(space, place, from)| Op::EvictFrom { space, place, from }),
        4 => space().prop_map(|space| Op::Fork { space }),
        2 => space().prop_map(|space| Op::Exit { space }),
        1 => (object(), from()).prop_map(|(object, pages)| Op::Truncate { object, pages }),
        1 => Just(Op::Press),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Page {
    /// The object; a private page has its own byte.
    object: Option<usize>,
    own: u8,
    writable: bool,
    skip: bool,
}

/// By place and page in it.
type Pages = BTreeMap<(usize, u64), Page>;

struct Pair {
    m: Machine,
    files: Vec<FileId>,
    /// The first byte of each page, those beyond the end left out.
    objects: Vec<BTreeMap<u64, u8>>,
    ends: Vec<u64>,
    spaces: Vec<Option<(SpaceId, Pages)>>,
    table: u64,
}

impl Pair {
    fn new(name: &str, config: Config) -> Self {
        let frames = frames_min(name) + config.frames;
        let mut m = Machine::new(name, Config { frames, ..config });
        let table = AnyPmap::shared_span(&m.mock.tables).expect("a tree").bytes() / PAGE;
        let object = |_| m.kernel.create_object(2 * table * PAGE).expect("a length");
        let files = (0..OBJECTS).map(object).collect();
        let spaces = vec![Some((m.space, Pages::new()))];
        let (objects, ends) = (vec![BTreeMap::new(); OBJECTS], vec![2 * table; OBJECTS]);
        Self { m, files, objects, ends, spaces, table }
    }

    /// The page of an index among those that are looked at.
    fn page(&self, index: u64) -> u64 {
        let (table, near) = (index / (2 * NEAR), index % (2 * NEAR));
        let within = if near < NEAR { near } else { self.table - 2 * NEAR + near };
        table * self.table + within
    }

    fn enter(&mut self, space: usize) -> bool {
        let Some(Some((id, _))) = self.spaces.get(space) else { return false };
        self.m.space = *id;
        true
    }

    fn pages(&mut self, space: usize) -> &mut Pages {
        &mut self.spaces[space].as_mut().expect("it lives").1
    }

    fn va(&self, place: usize, page: u64) -> u64 {
        PLACES[place] + page * PAGE
    }

    fn map(&mut self, space: usize, place: usize, object: Option<usize>, prot: Prot) {
        let len = 2 * self.table * PAGE;
        let mut request =
            MapRequest { place: at(PLACES[place]), ..MapRequest::anonymous(len, prot) };
        if let Some(n) = object {
            request.backing = Backing::File { file: self.files[n], offset: 0 };
            request.shared = true;
        }
        if self.m.kernel.mmap(&mut self.m.mock, self.m.space, request).is_err() {
            return;
        }
        for index in 0..4 * NEAR {
            let (page, writable) = (self.page(index), prot.contains(Prot::WRITE));
            let new = Page { object, own: 0, writable, skip: false };
            self.pages(space).insert((place, page), new);
        }
    }

    /// The first and the last page of a range of indices, which pages between are not among.
    fn range(&self, from: u64, len: u64) -> (u64, u64) {
        (self.page(from), self.page((from + len - 1).min(4 * NEAR - 1)))
    }

    fn expected(&mut self, space: usize, place: usize, page: u64, store: bool) -> Result<u8, ()> {
        let Some(&now) = self.pages(space).get(&(place, page)) else { return Err(()) };
        if store && !now.writable {
            return Err(());
        }
        match now.object {
            None => Ok(now.own),
            Some(n) if page < self.ends[n] => Ok(self.objects[n].get(&page).copied().unwrap_or(0)),
            Some(_) => Err(()),
        }
    }

    fn load(&mut self, space: usize, place: usize, page: u64) {
        let expected = self.expected(space, place, page, false);
        match self.m.load(self.va(place, page)) {
            Ok(byte) => assert_eq!(Ok(byte), expected, "space {space}, {place}, page {page}"),
            Err(Stop::Signal(_)) => assert_eq!(expected, Err(()), "{space}, {place}, {page}"),
            Err(Stop::OutOfMemory) => {}
        }
    }

    fn store(&mut self, space: usize, place: usize, page: u64, byte: u8) {
        let expected = self.expected(space, place, page, true);
        match self.m.store(self.va(place, page), byte) {
            Ok(()) => {
                assert!(expected.is_ok(), "{space}, {place}, {page}");
                let now = self.pages(space).get_mut(&(place, page)).expect("mapped");
                now.own = byte;
                if let Some(n) = now.object {
                    self.objects[n].insert(page, byte);
                }
            }
            Err(Stop::Signal(_)) => assert_eq!(expected, Err(()), "{space}, {place}, {page}"),
            Err(Stop::OutOfMemory) => {}
        }
    }

    fn unmap(&mut self, space: usize, place: usize, (first, last): (u64, u64)) {
        let (va, bytes) = (VirtAddr(self.va(place, first)), (last - first + 1) * PAGE);
        if self.m.kernel.munmap(&mut self.m.mock, self.m.space, va, bytes).is_ok() {
            let gone = |of: usize, page: u64| of == place && (first..=last).contains(&page);
            self.pages(space).retain(|&(of, page), _| !gone(of, page));
        }
    }

    fn protect(&mut self, space: usize, place: usize, page: u64, writable: bool) {
        let prot = if writable { RW } else { Prot::READ };
        let va = VirtAddr(self.va(place, page));
        let done = self.m.kernel.mprotect(&mut self.m.mock, self.m.space, va, PAGE, prot);
        if let Some(now) = self.pages(space).get_mut(&(place, page))
            && done.is_ok()
        {
            now.writable = writable;
        }
    }

    fn advise(&mut self, space: usize, place: usize, page: u64, advice: Advice) {
        let va = VirtAddr(self.va(place, page));
        let done = self.m.kernel.madvise(&mut self.m.mock, self.m.space, va, PAGE, advice);
        let Some(now) = self.pages(space).get_mut(&(place, page)) else { return };
        match advice {
            _ if done.is_err() => {}
            Advice::DontNeed { .. } => now.own = 0,
            Advice::DontFork => now.skip = true,
            Advice::DoFork => now.skip = false,
            _ => {}
        }
    }

    fn fork(&mut self, space: usize) {
        if self.spaces.iter().flatten().count() == SPACES {
            return;
        }
        if let Ok(child) = self.m.kernel.fork_space(&mut self.m.mock, self.m.space) {
            let mut pages = self.pages(space).clone();
            pages.retain(|_, page| !page.skip);
            let free = self.spaces.iter().position(Option::is_none);
            let new = Some((child, pages));
            match free {
                Some(free) => self.spaces[free] = new,
                None => self.spaces.push(new),
            }
        }
    }

    fn truncate(&mut self, object: usize, end: u64) {
        let file = self.files[object];
        self.m.kernel.set_object_len(&mut self.m.mock, file, end * PAGE).expect("a length");
        self.objects[object].retain(|&page, _| page < end);
        self.ends[object] = end;
    }

    fn apply(&mut self, op: &Op) {
        let space = match *op {
            Op::Truncate { object, pages } => return self.truncate(object, self.page(pages)),
            Op::Press => {
                let lives = self.spaces.iter().position(Option::is_some).expect("one lives");
                self.enter(lives);
                return self.m.press();
            }
            Op::Map { space, .. }
            | Op::Private { space, .. }
            | Op::Unmap { space, .. }
            | Op::Protect { space, .. }
            | Op::Lock { space, .. }
            | Op::Load { space, .. }
            | Op::Store { space, .. }
            | Op::Advise { space, .. }
            | Op::EvictFrom { space, .. }
            | Op::Fork { space }
            | Op::Exit { space } => space,
        };
        if !self.enter(space) {
            return;
        }
        let last = 4 * NEAR;
        match *op {
            Op::Map { place, object, writable, .. } => {
                let prot = if writable { RW } else { Prot::READ };
                self.map(space, place, Some(object), prot);
            }
            Op::Private { place, .. } => self.map(space, place, None, RW),
            Op::Unmap { place, from, len, .. } => self.unmap(space, place, self.range(from, len)),
            Op::Protect { place, from, len, writable, .. } => {
                for index in from..(from + len).min(last) {
                    self.protect(space, place, self.page(index), writable);
                }
            }
            Op::Lock { place, from, lock, .. } => {
                let how = if lock { Lock::OnFault } else { Lock::Not };
                let va = VirtAddr(self.va(place, self.page(from)));
                let _done = self.m.kernel.mlock(&mut self.m.mock, self.m.space, va, PAGE, how);
            }
            Op::Load { place, from, len, .. } => {
                (from..(from + len).min(last))
                    .for_each(|index| self.load(space, place, self.page(index)));
            }
            Op::Store { place, from, len, byte, .. } => {
                (from..(from + len).min(last))
                    .for_each(|index| self.store(space, place, self.page(index), byte));
            }
            Op::Advise { place, from, advice, .. } => {
                self.advise(space, place, self.page(from), advice);
            }
            Op::EvictFrom { place, from, .. } => {
                let va = VirtAddr(self.va(place, self.page(from)));
                let _left = self.m.kernel.evict_from(&mut self.m.mock, self.m.space, va);
            }
            Op::Fork { .. } => self.fork(space),
            Op::Exit { .. } if self.spaces.iter().flatten().count() > 1 => {
                self.m.kernel.destroy_space(&mut self.m.mock, self.m.space);
                self.spaces[space] = None;
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        for space in 0..self.spaces.len() {
            for place in 0..PLACES.len() {
                for index in 0..4 * NEAR {
                    if self.enter(space) {
                        self.load(space, place, self.page(index));
                    }
                }
            }
        }
        for (id, _) in self.spaces.drain(..).flatten() {
            self.m.kernel.destroy_space(&mut self.m.mock, id);
            self.m.audit();
        }
        for id in self.files.drain(..) {
            self.m.kernel.release_object(&mut self.m.mock, id);
        }
        self.m.audit();
        let frames = self.m.kernel.frames();
        assert_eq!((frames.free, self.m.kernel.swap().used()), (frames.total, 0));
        assert_eq!(self.m.kernel.frame_table().table_frames_saved().0, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn spaces_that_share_tables_equal_maps_of_pages(
        name in prop::sample::select(trees().collect::<Vec<_>>()),
        swap_slots in prop::sample::select(vec![0, 30, 400u64]),
        frames in prop::sample::select(vec![12, 40, 150u64]),
        share_tables in prop::sample::select(vec![ShareTables::Maps, ShareTables::All]),
        ops in prop::collection::vec(op(), 1..100),
    ) {
        let mut pair = Pair::new(name, Config { frames, swap_slots, share_tables,
            ..Config::default() });
        for space in 0..2 {
            pair.apply(&Op::Map { space, place: space, object: 0, writable: true });
            pair.apply(&Op::Fork { space });
        }
        for op in &ops {
            pair.apply(op);
            pair.m.audit();
        }
        pair.finish();
    }
}
