//! Random operations on several spaces that fork, share objects and die, on a machine with hardly
//! any memory, against a model that is a plain map of pages. After every operation the whole kernel
//! is audited; at the end every page of every space is compared, and nothing may be left.
//!
//! With shared page tables, calls that change a range can lack the frame for a table's copy: they
//! say so, and nothing has changed then.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::{AccessKind, VirtAddr};
use pagewalk_replacement::PolicyKind;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Where everything happens: around a border of page tables.
const BASE: u64 = 0x2000_0000 - 24 * PAGE;
const PAGES: u64 = 48;
const SPACES: usize = 5;
const OBJECTS: usize = 3;
const OBJECT_PAGES: u64 = 12;
/// The bytes of a page that are looked at.
const OFFSETS: [u64; 2] = [17, PAGE - 1];

type Bytes = [u8; 2];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Anonymous,
    SharedAnonymous,
    Shared(usize),
    Private(usize),
}

#[derive(Clone, Debug)]
enum Op {
    Map {
        space: usize,
        page: u64,
        len: u64,
        kind: Kind,
        from: u64,
        writable: bool,
    },
    Unmap {
        space: usize,
        page: u64,
        len: u64,
    },
    Protect {
        space: usize,
        page: u64,
        len: u64,
        writable: bool,
    },
    Move {
        space: usize,
        page: u64,
        to: u64,
    },
    Advise {
        space: usize,
        page: u64,
        len: u64,
        advice: Advice,
    },
    Load {
        space: usize,
        page: u64,
        len: u64,
        which: usize,
    },
    Store {
        space: usize,
        page: u64,
        len: u64,
        which: usize,
        byte: u8,
        by_kernel: bool,
    },
    EvictFrom {
        space: usize,
        page: u64,
        len: u64,
    },
    Fork {
        space: usize,
    },
    Exit {
        space: usize,
    },
    ReadObject {
        object: usize,
        page: u64,
        which: usize,
    },
    WriteObject {
        object: usize,
        page: u64,
        which: usize,
        byte: u8,
    },
    Resize {
        object: usize,
        pages: u64,
    },
    Punch {
        object: usize,
        page: u64,
        len: u64,
    },
    Renew {
        object: usize,
    },
    Daemon,
    Failing(bool),
    /// A fault that is not waited for.
    Touch {
        space: usize,
        page: u64,
        store: bool,
    },
    /// One of the transfers under way is done.
    Complete {
        which: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    // The first spaces are there more often than the others.
    let space = || (0..SPACES, 0..SPACES).prop_map(|(a, b)| a.min(b));
    let page = || 0..PAGES;
    let len = || 1..16u64;
    let object = || 0..OBJECTS;
    let object_page = || 0..OBJECT_PAGES;
    let which = || 0..2usize;
    let kind = prop_oneof![
        3 => Just(Kind::Anonymous),
        1 => Just(Kind::SharedAnonymous),
        2 => object().prop_map(Kind::Shared),
        1 => object().prop_map(Kind::Private),
    ];
    let advice = prop_oneof![
        2 => Just(Advice::DontNeed { locked: false }),
        4 => Just(Advice::PageOut),
        1 => Just(Advice::Cold),
        1 => Just(Advice::WipeOnFork),
        1 => Just(Advice::DontFork),
        1 => Just(Advice::DoFork),
        1 => Just(Advice::KeepOnFork),
    ];
    prop_oneof![
        2 => (space(), page(), len(), kind, object_page(), any::<bool>()).prop_map(
            |(space, page, len, kind, from, w)| {
                Op::Map { space, page, len, kind, from, writable: w }
            }),
        1 => (space(), page(), len()).prop_map(|(space, page, len)| Op::Unmap { space, page, len }),
        1 => (space(), page(), len(), any::<bool>()).prop_map(
            |(space, page, len, writable)| Op::Protect { space, page, len, writable }),
        1 => (space(), page(), page()).prop_map(|(space, page, to)| Op::Move { space, page, to }),
        4 => (space(), page(), len(), advice).prop_map(
            |(space, page, len, advice)| Op::Advise { space, page, len, advice }),
        6 => (space(), page(), len(), which()).prop_map(
            |(space, page, len, which)| Op::Load { space, page, len, which }),
        12 => (space(), page(), len(), which(), any::<u8>(), any::<bool>()).prop_map(
            |(space, page, len, which, byte, by_kernel)| {
                Op::Store { space, page, len, which, byte, by_kernel }
            }),
        6 => (space(), page(), len()).prop_map(
            |(space, page, len)| Op::EvictFrom { space, page, len }),
        6 => space().prop_map(|space| Op::Fork { space }),
        2 => space().prop_map(|space| Op::Exit { space }),
        1 => (object(), object_page(), which()).prop_map(
            |(object, page, which)| Op::ReadObject { object, page, which }),
        1 => (object(), object_page(), which(), any::<u8>()).prop_map(
            |(object, page, which, byte)| Op::WriteObject { object, page, which, byte }),
        1 => (object(), object_page()).prop_map(|(object, pages)| Op::Resize { object, pages }),
        1 => (object(), object_page(), len()).prop_map(
            |(object, page, len)| Op::Punch { object, page, len }),
        1 => object().prop_map(|object| Op::Renew { object }),
        1 => Just(Op::Daemon),
        1 => any::<bool>().prop_map(Op::Failing),
        6 => (space(), page(), any::<bool>()).prop_map(
            |(space, page, store)| Op::Touch { space, page, store }),
        4 => (0..64usize).prop_map(|which| Op::Complete { which }),
    ]
}

/// A page of a space in the model.
#[derive(Clone, Copy, Debug)]
struct Page {
    prot: Prot,
    /// The object's number in the model and the page in it, and whether it is shared.
    object: Option<(usize, u64, bool)>,
    own: Option<Bytes>,
    skip: bool,
    wipe: bool,
}

type Pages = BTreeMap<u64, Page>;

#[derive(Default)]
struct Model {
    spaces: Vec<Option<(SpaceId, Pages)>>,
    /// Objects' pages, dead ones included: nobody names those.
    objects: Vec<Vec<Bytes>>,
    /// The objects that have handles.
    handles: Vec<(FileId, usize)>,
}

fn va(page: u64) -> u64 {
    BASE + page * PAGE
}

impl Model {
    fn byte(
        &mut self,
        space: usize,
        page: u64,
        which: usize,
        store: bool,
    ) -> Result<&mut u8, Signal> {
        let Self { spaces, objects, .. } = self;
        let pages = &mut spaces[space].as_mut().expect("a live space").1;
        let entry = pages.get_mut(&page).ok_or(Signal::Segv(SegvCode::MapErr))?;
        if store && !entry.prot.contains(Prot::WRITE) {
            return Err(Signal::Segv(SegvCode::AccErr));
        }
        let Some((object, index, shared)) = entry.object.filter(|_| entry.own.is_none()) else {
            return Ok(&mut entry.own.get_or_insert([0; 2])[which]);
        };
        let bytes = objects[object].get_mut(index as usize).ok_or(Signal::Bus)?;
        if store && !shared {
            return Ok(&mut entry.own.insert(*bytes)[which]);
        }
        Ok(&mut bytes[which])
    }

    /// The pages of an object are so many now.
    fn resize(&mut self, object: usize, pages: u64) {
        self.objects[object].resize(pages as usize, [0; 2]);
        for (_, space) in self.spaces.iter_mut().flatten() {
            for page in space.values_mut() {
                if page.object.is_some_and(|(of, index, _)| of == object && index >= pages) {
                    page.own = None;
                }
            }
        }
    }
}

struct Pair {
    machine: Machine,
    model: Model,
}

impl Pair {
    fn new(name: &str, spare: u64, config: Config) -> Self {
        let frames = frames_min(name) + spare;
        let config = Config { frames, ..config };
        let machine = Machine::new(name, config);
        let spaces = vec![Some((machine.space, Pages::new()))];
        let mut pair = Self { machine, model: Model { spaces, ..Model::default() } };
        (0..OBJECTS).for_each(|_| pair.create_object());
        pair
    }

    fn create_object(&mut self) {
        let id = self.machine.kernel.create_object(OBJECT_PAGES * PAGE).expect("a length");
        self.model.handles.push((id, self.model.objects.len()));
        self.model.objects.push(vec![[0; 2]; OBJECT_PAGES as usize]);
    }

    /// The space of this number, if it lives.
    fn enter(&mut self, space: usize) -> Option<usize> {
        let (id, _) = self.model.spaces.get(space)?.as_ref()?;
        self.machine.space = *id;
        Some(space)
    }

    fn pages(&mut self, space: usize) -> &mut Pages {
        &mut self.model.spaces[space].as_mut().expect("a live space").1
    }

    fn load(&mut self, space: usize, page: u64, which: usize) {
        let got = self.machine.load(va(page) + OFFSETS[which]);
        let expected = self.model.byte(space, page, which, false).map(|byte| *byte);
        match got {
            Err(Stop::OutOfMemory) => {}
            Err(Stop::Signal(signal)) => assert_eq!(expected, Err(signal), "{space}: {page}"),
            Ok(byte) => assert_eq!(expected, Ok(byte), "space {space}, page {page}, {which}"),
        }
    }

    fn store(&mut self, space: usize, page: u64, which: usize, byte: u8, by_kernel: bool) {
        let (m, at) = (&mut self.machine, va(page) + OFFSETS[which]);
        let result = if by_kernel {
            match m.kernel.copy_out(&mut m.mock, m.space, VirtAddr(at), &[byte]) {
                Ok(()) => Ok(()),
                Err(CopyError::OutOfMemory(_)) => Err(Stop::OutOfMemory),
                Err(_) => Err(m.store(at, byte).expect_err("the program cannot store it either")),
            }
        } else {
            m.store(at, byte)
        };
        match result {
            Ok(()) => {
                let of_model = self.model.byte(space, page, which, true);
                *of_model.expect("the store was allowed") = byte;
            }
            Err(Stop::OutOfMemory) => {}
            Err(Stop::Signal(signal)) => {
                let expected = self.model.byte(space, page, which, true).map(|byte| *byte);
                assert_eq!(expected, Err(signal), "space {space}, page {page}");
            }
        }
    }

    fn map(&mut self, space: usize, (page, len): (u64, u64), kind: Kind, from: u64, prot: Prot) {
        let len = len.min(PAGES - page);
        let mut request =
            MapRequest { place: at(va(page)), ..MapRequest::anonymous(len * PAGE, prot) };
        let offset = from * PAGE;
        let object = match kind {
            Kind::Anonymous => None,
            Kind::SharedAnonymous => {
                request.shared = true;
                self.model.objects.push(vec![[0; 2]; len as usize]);
                Some((self.model.objects.len() - 1, 0, true))
            }
            Kind::Shared(n) | Kind::Private(n) => {
                let (file, of) = self.model.handles[n];
                request.shared = matches!(kind, Kind::Shared(_));
                request.backing = Backing::File { file, offset };
                Some((of, from, request.shared))
            }
        };
        let m = &mut self.machine;
        match m.kernel.mmap(&mut m.mock, m.space, request) {
            Ok(_) => {}
            Err(error) => return self.lacks_a_table(error, Errno::Enomem),
        }
        for step in 0..len {
            let object = object.map(|(of, first, shared)| (of, first + step, shared));
            let new = Page { prot, object, own: None, skip: false, wipe: false };
            self.pages(space).insert(page + step, new);
        }
    }

    /// There was no frame for the copy of a table.
    fn lacks_a_table(&self, error: Errno, expected: Errno) {
        let shares = self.machine.kernel.config().share_tables != ShareTables::Off;
        assert!(shares && error == expected, "{error:?}");
    }

    fn advise(&mut self, space: usize, page: u64, advice: Advice) {
        let m = &mut self.machine;
        let result = m.kernel.madvise(&mut m.mock, m.space, VirtAddr(va(page)), PAGE, advice);
        if result == Err(Errno::Eagain) {
            return self.lacks_a_table(Errno::Eagain, Errno::Eagain);
        }
        let Some(page) = self.pages(space).get_mut(&page) else {
            return assert_eq!(result, Err(Errno::Enomem));
        };
        let private = page.object.is_none();
        match advice {
            Advice::WipeOnFork if !private => return assert_eq!(result, Err(Errno::Einval)),
            Advice::WipeOnFork => page.wipe = true,
            Advice::KeepOnFork => page.wipe = false,
            Advice::DontFork => page.skip = true,
            Advice::DoFork => page.skip = false,
            Advice::DontNeed { .. } if page.object.is_none_or(|(_, _, shared)| !shared) => {
                page.own = None;
            }
            _ => {}
        }
        assert_eq!(result, Ok(()));
    }

    /// Moves one page.
    fn remap(&mut self, space: usize, page: u64, to: u64) {
        let m = &mut self.machine;
        let (from, how) = (VirtAddr(va(page)), Remap::Fixed(VirtAddr(va(to))));
        let result = m.kernel.mremap(&mut m.mock, m.space, from, PAGE, PAGE, how);
        let is_there = m.kernel.region(m.space, VirtAddr(va(to))).is_some();
        let pages = self.pages(space);
        match result {
            Ok(_) => {
                let moved = pages.remove(&page).expect("it was mapped");
                pages.insert(to, moved);
            }
            // What was there stays if the frame for the copy of its table is missing.
            Err(Errno::Enomem) if is_there => self.lacks_a_table(Errno::Enomem, Errno::Enomem),
            Err(Errno::Enomem) => drop(pages.remove(&to)),
            Err(Errno::Einval) => assert_eq!(page, to),
            Err(error) => assert_eq!((error, pages.get(&page).is_none()), (Errno::Efault, true)),
        }
    }

    fn fork(&mut self, space: usize) {
        let m = &mut self.machine;
        let used = m.kernel.frames().page_table;
        match m.kernel.fork_space(&mut m.mock, m.space) {
            Ok(child) => {
                let mut pages = self.pages(space).clone();
                pages.retain(|_, page| !page.skip);
                for page in pages.values_mut().filter(|page| page.wipe) {
                    page.own = None;
                }
                let spaces = &mut self.model.spaces;
                let free = spaces.iter().position(Option::is_none).unwrap_or(spaces.len());
                if free == spaces.len() {
                    spaces.push(None);
                }
                spaces[free] = Some((child, pages));
            }
            Err(error) => {
                assert!(matches!(error, KernelError::OutOfMemory(_)), "{error}");
                assert!(m.kernel.frames().page_table <= used, "tables are left");
            }
        }
    }

    /// An access whose thread is killed before the instruction runs again. Nothing is stored, but the
    /// program may have a copy of its own of an object's page by now.
    fn touch(&mut self, space: usize, page: u64, store: bool) {
        let kind = if store { AccessKind::Write } else { AccessKind::Read };
        let _what = self.machine.attempt(VirtAddr(va(page)), kind, Waited::default());
        let Machine { kernel, mock, space: id } = &self.machine;
        let is_own = match kernel.lookup(mock, *id, VirtAddr(va(page))) {
            Mapping::None => false,
            Mapping::Swapped(_) => true,
            Mapping::Resident(now) => {
                matches!(kernel.frame_table().used(now.pfn), Use::Anon { .. })
            }
        };
        if is_own {
            // It is a copy of what the object held then, and that is now.
            let _of_model = self.model.byte(space, page, 0, true);
        }
    }

    fn renew(&mut self, object: usize) {
        let (id, _) = self.model.handles[object];
        let m = &mut self.machine;
        m.kernel.release_object(&mut m.mock, id);
        self.create_object();
        self.model.handles.swap_remove(object);
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Map { space, page, len, kind, from, writable } => {
                let prot = if writable { RW } else { Prot::READ };
                if let Some(space) = self.enter(space) {
                    self.map(space, (page, len), kind, from, prot);
                }
            }
            Op::Unmap { space, page, len } => {
                let Some(space) = self.enter(space) else { return };
                let m = &mut self.machine;
                let bytes = len.min(PAGES - page) * PAGE;
                let start = VirtAddr(va(page));
                if let Err(error) = m.kernel.munmap(&mut m.mock, m.space, start, bytes) {
                    return self.lacks_a_table(error, Errno::Enomem);
                }
                self.pages(space).retain(|&at, _| at < page || at >= page + len);
            }
            Op::Protect { space, page, len, writable } => {
                let Some(space) = self.enter(space) else { return };
                let prot = if writable { RW } else { Prot::READ };
                for at in page..(page + len).min(PAGES) {
                    let m = &mut self.machine;
                    let start = VirtAddr(va(at));
                    let result = m.kernel.mprotect(&mut m.mock, m.space, start, PAGE, prot);
                    match (self.pages(space).get_mut(&at), result) {
                        (Some(page), Ok(())) => page.prot = prot,
                        (Some(_), Err(error)) => self.lacks_a_table(error, Errno::Enomem),
                        (None, _) => assert_eq!(result, Err(Errno::Enomem)),
                    }
                }
            }
            Op::Move { space, page, to } => {
                let Some(space) = self.enter(space) else { return };
                self.remap(space, page, to);
            }
            Op::Advise { space, page, len, advice } => {
                let Some(space) = self.enter(space) else { return };
                (page..(page + len).min(PAGES)).for_each(|at| self.advise(space, at, advice));
            }
            Op::Load { space, page, len, which } => {
                let Some(space) = self.enter(space) else { return };
                (page..(page + len).min(PAGES)).for_each(|at| self.load(space, at, which));
            }
            Op::Store { space, page, len, which, byte, by_kernel } => {
                let Some(space) = self.enter(space) else { return };
                for at in page..(page + len).min(PAGES) {
                    self.store(space, at, which, byte, by_kernel);
                }
            }
            Op::EvictFrom { space, page, len } => {
                if self.enter(space).is_none() {
                    return;
                }
                let Machine { kernel, mock, space } = &mut self.machine;
                for at in page..page + len {
                    let _left = kernel.evict_from(mock, *space, VirtAddr(va(at)));
                }
            }
            Op::Fork { space } => {
                let lives = self.model.spaces.iter().flatten().count();
                if lives < SPACES && self.enter(space).is_some() {
                    self.fork(space);
                }
            }
            Op::Exit { space } => {
                let lives = self.model.spaces.iter().flatten().count();
                if lives > 1 && self.enter(space).is_some() {
                    let m = &mut self.machine;
                    m.kernel.destroy_space(&mut m.mock, m.space);
                    self.model.spaces[space] = None;
                }
            }
            Op::Daemon => self.machine.kernel.daemon(&mut self.machine.mock),
            Op::Failing(true) => self.machine.mock.swap_write_fails = sometimes(4, 11),
            Op::Failing(false) => self.machine.mock.heal(),
            Op::Touch { space, page, store } => {
                if self.enter(space).is_some() {
                    self.touch(space, page, store);
                }
            }
            Op::Complete { which } => {
                let pending = &self.machine.mock.pending;
                if let Some(&id) = pending.get(which % pending.len().max(1)) {
                    self.machine.complete(id);
                }
            }
            ref other => self.apply_to_object(other),
        }
    }

    fn apply_to_object(&mut self, op: &Op) {
        let Machine { kernel, mock, .. } = &mut self.machine;
        match *op {
            Op::ReadObject { object, page, which } => {
                let (id, of) = self.model.handles[object];
                let mut buf = [0];
                let at = page * PAGE + OFFSETS[which];
                let expected = self.model.objects[of].get(page as usize).map(|page| page[which]);
                match kernel.read_object(mock, id, at, &mut buf) {
                    Ok(read) => assert_eq!((read > 0).then_some(buf[0]), expected),
                    Err(error) => assert_eq!(error, Errno::Enomem),
                }
            }
            Op::WriteObject { object, page, which, byte } => {
                let (id, of) = self.model.handles[object];
                let at = page * PAGE + OFFSETS[which];
                let result = kernel.write_object(mock, id, at, &[byte]);
                // The model's objects have whole pages.
                let len = kernel.object_len(id).expect("a handle").next_multiple_of(PAGE);
                if kernel.set_object_len(mock, id, len).is_ok() {
                    self.model.resize(of, len / PAGE);
                    match result {
                        Ok(_) => self.model.objects[of][page as usize][which] = byte,
                        Err(error) => assert_eq!(error, Errno::Enomem),
                    }
                }
            }
            Op::Resize { object, pages } => {
                let (id, of) = self.model.handles[object];
                kernel.set_object_len(mock, id, pages * PAGE).expect("whole pages");
                self.model.resize(of, pages);
            }
            Op::Punch { object, page, len } => {
                let (id, of) = self.model.handles[object];
                let range = page * PAGE..(page + len) * PAGE;
                kernel.punch_object(mock, id, range).expect("whole pages");
                let pages = &mut self.model.objects[of];
                let end = (page + len).min(pages.len() as u64) as usize;
                if let Some(punched) = pages.get_mut(page as usize..end) {
                    punched.fill([0; 2]);
                }
            }
            Op::Renew { object } => self.renew(object),
            _ => unreachable!("{op:?} is of a space"),
        }
    }

    fn finish(&mut self) {
        self.machine.mock.heal();
        self.machine.kernel.complete_all(&mut self.machine.mock);
        // Only the writes that were withdrawn.
        for id in std::mem::take(&mut self.machine.mock.pending) {
            self.machine.complete(id);
            self.machine.audit();
        }
        for space in 0..self.model.spaces.len() {
            if let Some(space) = self.enter(space) {
                (0..PAGES).for_each(|page| (0..2).for_each(|n| self.load(space, page, n)));
            }
        }
        let m = &mut self.machine;
        m.kernel.complete_all(&mut m.mock);
        for (id, _) in self.model.spaces.iter().flatten() {
            m.kernel.destroy_space(&mut m.mock, *id);
            m.audit();
        }
        for (id, _) in self.model.handles.drain(..) {
            m.kernel.release_object(&mut m.mock, id);
            m.audit();
        }
        let frames = m.kernel.frames();
        let tables = machine_tables(m);
        assert_eq!((frames.free + tables, m.kernel.swap().used()), (frames.total, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 250, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn spaces_that_share_equal_maps_of_pages(
        name in prop::sample::select(formats().collect::<Vec<_>>()),
        slots in prop::sample::select(vec![0, 12, 40, 400u64]),
        spare in prop::sample::select(vec![4, 12, 60u64]),
        wait in prop::sample::select(vec![DeviceWait::Hart, DeviceWait::Thread]),
        (scope, resident) in prop::sample::select(vec![
            (Scope::Global, None), (Scope::Global, Some(RESIDENT_MIN)), (Scope::Process, None),
            (Scope::Process, Some(20)),
        ]),
        share_tables in prop::sample::select(ShareTables::ALL.to_vec()),
        policy in prop::sample::select(
            PolicyKind::ALL.into_iter().filter(|kind| !kind.sees_references()).collect::<Vec<_>>()),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let config = Config { swap_slots: slots, device_wait: wait, scope, resident, policy,
            share_tables, ..Config::default() };
        let mut pair = Pair::new(name, spare, config);
        let (space, kind) = (0, Kind::Anonymous);
        pair.apply(&Op::Map { space, page: 0, len: PAGES, kind, from: 0, writable: true });
        for op in &ops {
            pair.apply(op);
            pair.machine.audit();
        }
        pair.finish();
    }
}
