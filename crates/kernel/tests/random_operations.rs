//! Random operations on a machine with hardly any memory, against a model that is a plain map of
//! pages. After every operation the whole kernel is audited; at the end every byte is compared.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::VirtAddr;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The window in which everything happens: around a border of page tables (4 MiB, so that it is
/// one in all formats).
const BASE: u64 = 0x2000_0000 - 40 * PAGE;
const PAGES: u64 = 80;
const FILE_PAGES: u64 = 6;
const FILE_LEN: usize = 5 * PAGE as usize + 100;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Anonymous,
    Private,
    Shared,
}

#[derive(Clone, Debug)]
enum Op {
    Map { page: u64, len: u64, kind: Kind, file_page: u64, writable: bool },
    Unmap { page: u64, len: u64 },
    Protect { page: u64, len: u64, prot: u8 },
    Store { page: u64, offset: u64, byte: u8 },
    Load { page: u64, offset: u64 },
    CopyOut { page: u64, offset: u64, byte: u8 },
    Brk { pages: u64 },
    DontNeed { page: u64, len: u64 },
    Remap { page: u64, to: u64, len: u64, new: u64 },
    WriteFile { offset: usize, byte: u8 },
    Sync { page: u64, len: u64 },
    Advise { page: u64, len: u64, advice: Advice },
    Lock { page: u64, len: u64 },
    Daemon,
    SweepLoad { from: u64, len: u64 },
    SweepStore { from: u64, len: u64, byte: u8 },
    Failing(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let page = || 0..PAGES;
    let len = || 1..24u64;
    let offset = || 0..PAGE;
    let kind = prop_oneof![
        2 => Just(Kind::Anonymous), 1 => Just(Kind::Private), 1 => Just(Kind::Shared)
    ];
    prop_oneof![
        4 => (page(), len(), kind, 0..FILE_PAGES, any::<bool>()).prop_map(
            |(page, len, kind, file_page, writable)| Op::Map { page, len, kind, file_page, writable }
        ),
        2 => (page(), len()).prop_map(|(page, len)| Op::Unmap { page, len }),
        2 => (page(), len(), 0..4u8).prop_map(|(page, len, prot)| Op::Protect { page, len, prot }),
        8 => (page(), offset(), any::<u8>())
            .prop_map(|(page, offset, byte)| Op::Store { page, offset, byte }),
        4 => (page(), offset()).prop_map(|(page, offset)| Op::Load { page, offset }),
        2 => (page(), offset(), any::<u8>())
            .prop_map(|(page, offset, byte)| Op::CopyOut { page, offset, byte }),
        1 => (0..20u64).prop_map(|pages| Op::Brk { pages }),
        1 => (page(), len()).prop_map(|(page, len)| Op::DontNeed { page, len }),
        2 => (page(), page(), len(), len())
            .prop_map(|(page, to, len, new)| Op::Remap { page, to, len, new }),
        1 => (0..FILE_LEN, any::<u8>()).prop_map(|(offset, byte)| Op::WriteFile { offset, byte }),
        1 => (page(), len()).prop_map(|(page, len)| Op::Sync { page, len }),
        3 => (page(), len(), advice())
            .prop_map(|(page, len, advice)| Op::Advise { page, len, advice }),
        1 => (page(), len()).prop_map(|(page, len)| Op::Lock { page, len }),
        1 => Just(Op::Daemon),
        4 => (page(), 1..PAGES).prop_map(|(from, len)| Op::SweepLoad { from, len }),
        4 => (page(), 1..PAGES, any::<u8>())
            .prop_map(|(from, len, byte)| Op::SweepStore { from, len, byte }),
        1 => any::<bool>().prop_map(Op::Failing),
    ]
}

/// Advice that changes no bytes, and copies none: a private page of a file that was copied shows
/// changes of the file no more.
fn advice() -> impl Strategy<Value = Advice> {
    prop_oneof![
        Just(Advice::Cold),
        Just(Advice::PageOut),
        Just(Advice::WillNeed),
        Just(Advice::Mergeable),
        Just(Advice::Unmergeable),
        Just(Advice::PopulateRead),
        Just(Advice::Sequential),
        Just(Advice::DontDump),
    ]
}

/// A page of the model.
#[derive(Clone, Debug)]
struct Page {
    prot: Prot,
    /// The page of the file, and whether it is shared.
    file: Option<(u64, bool)>,
    /// The program's own bytes, once it has any.
    own: Option<Vec<u8>>,
}

struct Model {
    pages: BTreeMap<u64, Page>,
    file: Vec<u8>,
    heap_pages: u64,
}

fn va(page: u64) -> u64 {
    BASE + page * PAGE
}

impl Model {
    /// What a load or store gives: the model's byte, or the signal.
    fn byte(&mut self, page: u64, offset: u64, store: bool) -> Result<&mut u8, Signal> {
        let file = &mut self.file;
        let entry = self.pages.get_mut(&page).ok_or(Signal::Segv(SegvCode::MapErr))?;
        let needed = if store { Prot::WRITE } else { Prot::READ | Prot::WRITE };
        if !entry.prot.intersects(needed) {
            return Err(Signal::Segv(SegvCode::AccErr));
        }
        let at = offset as usize;
        let Some((index, shared)) = entry.file.filter(|_| entry.own.is_none()) else {
            let own = entry.own.get_or_insert_with(|| vec![0; PAGE as usize]);
            return Ok(&mut own[at]);
        };
        if index * PAGE >= FILE_LEN as u64 {
            return Err(Signal::Bus);
        }
        let from = (index * PAGE) as usize;
        if store && !shared {
            let bytes = file[from..from + PAGE as usize].to_vec();
            return Ok(&mut entry.own.insert(bytes)[at]);
        }
        Ok(&mut file[from + at])
    }
}

struct Pair {
    machine: Machine,
    model: Model,
}

impl Pair {
    fn new(name: &str, slots: u64) -> Self {
        // With frames that nobody needs there is something to read ahead into.
        let frames = frames_min(name) + if slots.is_multiple_of(2) { 8 } else { 24 };
        let config = Config { frames, swap_slots: slots, read_ahead: 8, ..Config::default() };
        let mut machine = Machine::new(name, config);
        // Two devices that take turns, and one that is filled first.
        let third = slots as u32 / 3;
        let devices = [(third, 1), (third, 1), (slots as u32 - 2 * third, 2)];
        let devices = devices.map(|(slots, priority)| SwapDevice { slots, priority });
        machine.kernel.set_swap_devices(&devices).expect("as many slots as before");
        let bytes: Vec<u8> = (0..FILE_LEN).map(|at| at as u8 ^ (at >> 8) as u8).collect();
        machine.mock.files.push(bytes.clone());
        machine.kernel.set_heap_start(machine.space, VirtAddr(va(PAGES)));
        // The model's file has whole pages; what is beyond the end is zero and never compared
        // after a store, because it is not the file's.
        let mut file = bytes;
        file.resize((FILE_PAGES * PAGE) as usize, 0);
        Self { machine, model: Model { pages: BTreeMap::new(), file, heap_pages: 0 } }
    }

    fn load(&mut self, page: u64, offset: u64) {
        if beyond_file(&self.model, page, offset) {
            return;
        }
        let expected = self.model.byte(page, offset, false).map(|byte| *byte);
        let found = self.machine.load(va(page) + offset);
        self.compare(page, offset, expected, found);
    }

    fn compare(&self, page: u64, offset: u64, expected: Result<u8, Signal>, got: Result<u8, Stop>) {
        match got {
            Err(Stop::OutOfMemory) => {}
            Err(Stop::Signal(signal)) => assert_eq!(expected, Err(signal), "{page} + {offset}"),
            Ok(byte) => assert_eq!(expected, Ok(byte), "{page} + {offset}"),
        }
    }

    fn store(&mut self, page: u64, offset: u64, byte: u8, by_kernel: bool) {
        if beyond_file(&self.model, page, offset) {
            return;
        }
        let m = &mut self.machine;
        let at = va(page) + offset;
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
            Ok(()) => *self.model.byte(page, offset, true).expect("the store was allowed") = byte,
            Err(Stop::OutOfMemory) => {}
            Err(Stop::Signal(signal)) => {
                assert_eq!(self.model.byte(page, offset, true).map(|byte| *byte), Err(signal));
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        let m = &mut self.machine;
        match *op {
            Op::Map { page, len, kind, file_page, writable } => {
                let len = len.min(PAGES - page);
                let (backing, shared) = match kind {
                    Kind::Anonymous => (Backing::Anonymous, false),
                    _ => {
                        let backing = Backing::File { file: FileId(0), offset: file_page * PAGE };
                        (backing, matches!(kind, Kind::Shared))
                    }
                };
                let prot = if writable { RW } else { Prot::READ };
                let place = at(va(page));
                let request = MapRequest {
                    place,
                    backing,
                    shared,
                    ..MapRequest::anonymous(len * PAGE, prot)
                };
                m.map(request);
                for step in 0..len {
                    let file = match kind {
                        Kind::Anonymous => None,
                        _ => Some((file_page + step, shared)),
                    };
                    self.model.pages.insert(page + step, Page { prot, file, own: None });
                }
            }
            Op::Unmap { page, len } => {
                let len = len.min(PAGES - page);
                m.unmap(va(page), len);
                self.model.pages.retain(|&at, _| at < page || at >= page + len);
            }
            Op::Protect { page, len, prot } => {
                let len = len.min(PAGES - page);
                let prot = Prot::from_bits_truncate(prot);
                let (start, bytes) = (VirtAddr(va(page)), len * PAGE);
                let result = m.kernel.mprotect(&mut m.mock, m.space, start, bytes, prot);
                let hole = (page..page + len).find(|at| !self.model.pages.contains_key(at));
                assert_eq!(result, hole.map_or(Ok(()), |_| Err(Errno::Enomem)));
                for at in page..hole.unwrap_or(page + len) {
                    self.model.pages.get_mut(&at).expect("mapped").prot = prot;
                }
            }
            Op::Store { page, offset, byte } => self.store(page, offset, byte, false),
            Op::CopyOut { page, offset, byte } => self.store(page, offset, byte, true),
            Op::Load { page, offset } => self.load(page, offset),
            Op::Brk { pages } => {
                let wanted = VirtAddr(va(PAGES + pages));
                assert_eq!(m.kernel.brk(&mut m.mock, m.space, wanted), wanted);
                for at in self.model.heap_pages..pages {
                    let page = Page { prot: RW, file: None, own: None };
                    self.model.pages.insert(PAGES + at, page);
                }
                for at in pages..self.model.heap_pages {
                    self.model.pages.remove(&(PAGES + at));
                }
                self.model.heap_pages = pages;
            }
            Op::DontNeed { page, len } => {
                let len = len.min(PAGES - page);
                let start = VirtAddr(va(page));
                let _hole = m.kernel.madvise(&mut m.mock, m.space, start, len * PAGE, DONTNEED);
                for (_, page) in self.model.pages.range_mut(page..page + len) {
                    page.own = None;
                }
            }
            Op::Remap { page, to, len, new } => self.remap(page, to, len, new),
            Op::WriteFile { offset, byte } => {
                let range = offset as u64..offset as u64 + 1;
                if m.kernel.sync_file(&mut m.mock, FileId(0), range.clone()).is_ok() {
                    m.mock.files[0][offset] = byte;
                    m.kernel.file_changed(&mut m.mock, FileId(0), range).expect("readable");
                    self.model.file[offset] = byte;
                }
            }
            Op::Sync { page, len } => {
                let len = len.min(PAGES - page);
                let _result =
                    m.kernel.msync(&mut m.mock, m.space, VirtAddr(va(page)), len * PAGE, SYNC);
            }
            Op::Advise { page, len, advice } => {
                let len = len.min(PAGES - page);
                let start = VirtAddr(va(page));
                let _done = m.kernel.madvise(&mut m.mock, m.space, start, len * PAGE, advice);
            }
            Op::Lock { page, len } => {
                let len = len.min(PAGES - page);
                let (start, bytes) = (VirtAddr(va(page)), len * PAGE);
                let _done = m.kernel.mlock(&mut m.mock, m.space, start, bytes, Lock::OnFault);
                m.audit();
                m.kernel.daemon(&mut m.mock);
                let _done = m.kernel.mlock(&mut m.mock, m.space, start, bytes, Lock::Not);
            }
            Op::Daemon => (0..30).for_each(|_| m.kernel.daemon(&mut m.mock)),
            Op::SweepLoad { from, len } => {
                (from..from + len).for_each(|page| self.load(page % PAGES, 17));
            }
            Op::SweepStore { from, len, byte } => {
                (from..from + len).for_each(|page| self.store(page % PAGES, 17, byte, false));
            }
            Op::Failing(true) => {
                m.mock.swap_write_fails = sometimes(4, 11);
                m.mock.file_write_fails = sometimes(3, 12);
            }
            Op::Failing(false) => m.mock.heal(),
        }
    }

    fn remap(&mut self, page: u64, to: u64, len: u64, new: u64) {
        let len = len.min(PAGES - page);
        let new = new.min(PAGES - to);
        let m = &mut self.machine;
        let (start, how) = (VirtAddr(va(page)), Remap::Fixed(VirtAddr(va(to))));
        let result = m.kernel.mremap(&mut m.mock, m.space, start, len * PAGE, new * PAGE, how);
        let pages = &mut self.model.pages;
        match result {
            Ok(at) => {
                assert_eq!(at, VirtAddr(va(to)));
                let region = *m.kernel.regions(m.space).find(|r| r.contains(at)).expect("moved");
                let moved: Vec<_> = (0..len).map(|step| pages.remove(&(page + step))).collect();
                // A hole moves along, and uncovers nothing of the target.
                let replaces = |step: &u64| moved.get(*step as usize).is_none_or(Option::is_some);
                (0..new).filter(replaces).for_each(|step| drop(pages.remove(&(to + step))));
                let first = moved[0].clone().expect("the first page was mapped");
                assert_eq!(first.prot, region.prot);
                for step in 0..new {
                    let grown = Page {
                        own: None,
                        file: first.file.map(|(index, shared)| (index + step, shared)),
                        ..first.clone()
                    };
                    match moved.get(step as usize) {
                        Some(Some(page)) => pages.insert(to + step, page.clone()),
                        Some(None) => None,
                        None => pages.insert(to + step, grown),
                    };
                }
            }
            Err(Errno::Enomem) => {
                // Short of frames for page tables: regions before are there, the others still here.
                for step in 0..new {
                    pages.remove(&(to + step));
                    let there = VirtAddr(va(to + step));
                    if m.kernel.regions(m.space).any(|region| region.contains(there)) {
                        let moved = pages.remove(&(page + step)).expect("moved");
                        pages.insert(to + step, moved);
                    }
                }
                (new..len).for_each(|step| drop(pages.remove(&(page + step))));
            }
            Err(Errno::Efault | Errno::Einval) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn finish(&mut self) {
        self.machine.mock.heal();
        for page in 0..PAGES + self.model.heap_pages {
            for offset in [0, 17, 100, PAGE - 1] {
                self.load(page, offset);
            }
        }
        let m = &mut self.machine;
        m.kernel.sync_file(&mut m.mock, FileId(0), 0..u64::MAX).expect("a healed device");
        assert_eq!(m.mock.files[0], self.model.file[..FILE_LEN]);
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.audit();
        let frames = m.kernel.frames();
        let wired = machine_tables(m);
        assert_eq!((frames.anon, frames.page_table, m.kernel.swap().used()), (0, wired, 0));
        assert!(m.kernel.forget_file(&mut m.mock, FileId(0)));
        assert_eq!(m.kernel.frames().free, frames.total - wired);
    }
}

/// Whether the byte lies behind the end of its file, in the file's last page: what a program
/// stores there is its own, for as long as the page stays in memory.
fn beyond_file(model: &Model, page: u64, offset: u64) -> bool {
    let Some(entry) = model.pages.get(&page) else { return false };
    let file = entry.file.filter(|_| entry.own.is_none());
    file.is_some_and(|(index, _)| {
        let at = index * PAGE + offset;
        index * PAGE < FILE_LEN as u64 && at >= FILE_LEN as u64
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_equals_a_map_of_pages(
        name in prop::sample::select(formats().collect::<Vec<_>>()),
        slots in prop_oneof![Just(0u64), Just(20), Just(60), Just(2000), Just(61)],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut pair = Pair::new(name, slots);
        for op in &ops {
            pair.apply(op);
            pair.machine.audit();
        }
        pair.finish();
    }
}
