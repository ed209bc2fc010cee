//! Random operations on a kernel that uses large pages, and on a map of pages: the program cannot
//! tell them apart. After every operation the whole kernel is audited.

mod common;

use common::*;
use pagewalk_kernel::{
    Advice, AnyPmap, Config, CopyError, Errno, HugeAdvice, HugePolicy, Kernel, MapRequest,
    OOM_SCORE_ADJ_MIN, Pmap, Prot, Remap, SegvCode, ShareTables, Signal, SpaceId,
};
use pagewalk_mmu::VirtAddr;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The window begins a few pages before a large page, in all formats.
const BASE: u64 = 0x2000_0000 - 8 * PAGE;
/// The byte of each page that is looked at.
const OFFSET: u64 = 19;
/// Far from the window: what makes memory short.
const HOG: u64 = 0x5000_0000;
const HOG_PAGES: u64 = 3000;

#[derive(Clone, Debug)]
enum Op {
    Map {
        page: u64,
        len: u64,
    },
    Unmap {
        page: u64,
        len: u64,
    },
    Protect {
        page: u64,
        len: u64,
        prot: u8,
    },
    DontNeed {
        page: u64,
        len: u64,
    },
    Advise {
        page: u64,
        len: u64,
        advice: HugeAdvice,
    },
    Remap {
        page: u64,
        to: u64,
        len: u64,
    },
    Store {
        page: u64,
        byte: u8,
        by_kernel: bool,
    },
    Load {
        page: u64,
    },
    Sweep {
        from: u64,
        len: u64,
        byte: Option<u8>,
    },
    /// Memory becomes short: so many base pages elsewhere are stored to.
    Hog {
        from: u64,
        len: u64,
    },
    Failing(bool),
    Collapse {
        page: u64,
        len: u64,
    },
    /// Time passes, and the daemon scans.
    Later,
    /// A child shares all pages for a while, or ends.
    Fork(bool),
}

/// Ranges of the window: often whole large pages, often a few pages.
fn op(pages: u64) -> impl Strategy<Value = Op> {
    let page = move || prop_oneof![0..pages, (0..pages).prop_map(|page| 8 + page / 512 * 512)];
    let len = move || prop_oneof![1..20u64, Just(512), Just(1024), 1..pages];
    let advice = prop::sample::select(vec![HugeAdvice::Use, HugeAdvice::Avoid]);
    prop_oneof![
        3 => (page(), len()).prop_map(|(page, len)| Op::Map { page, len }),
        1 => (0..20u64).prop_map(move |page| Op::Map { page, len: pages }),
        2 => (page(), len()).prop_map(|(page, len)| Op::Unmap { page, len }),
        2 => (page(), len(), 0..4u8).prop_map(|(page, len, prot)| Op::Protect { page, len, prot }),
        1 => (page(), len()).prop_map(|(page, len)| Op::DontNeed { page, len }),
        2 => (page(), len(), advice).prop_map(|(page, len, advice)| Op::Advise { page, len, advice }),
        1 => (page(), page(), len()).prop_map(|(page, to, len)| Op::Remap { page, to, len }),
        8 => (page(), any::<u8>(), any::<bool>())
            .prop_map(|(page, byte, by_kernel)| Op::Store { page, byte, by_kernel }),
        4 => page().prop_map(|page| Op::Load { page }),
        3 => (page(), len(), any::<Option<u8>>())
            .prop_map(|(from, len, byte)| Op::Sweep { from, len, byte }),
        3 => (0..HOG_PAGES, 1..HOG_PAGES).prop_map(|(from, len)| Op::Hog { from, len }),
        1 => any::<bool>().prop_map(Op::Failing),
        3 => (page(), len()).prop_map(|(page, len)| Op::Collapse { page, len }),
        4 => Just(Op::Later),
        1 => any::<bool>().prop_map(Op::Fork),
    ]
}

struct Pair {
    machine: Machine,
    /// Rights and byte of every mapped page.
    model: BTreeMap<u64, (Prot, u8)>,
    pages: u64,
    /// Nanoseconds.
    now: u64,
    child: Option<SpaceId>,
}

fn va(page: u64) -> VirtAddr {
    VirtAddr(BASE + page * PAGE)
}

impl Pair {
    fn new(
        name: &str,
        huge: HugePolicy,
        slots: u64,
        spare: u64,
        share_tables: ShareTables,
    ) -> Self {
        let tables = tables(name, 0);
        let large = AnyPmap::large_page(&tables).map_or(512, |size| size.bytes() / PAGE);
        // A run of frames is aligned: the first large page lies behind the tables' frames.
        let frames = Kernel::<AnyPmap>::frames_min(&tables) + 2 * large + spare;
        let config = Config { frames, swap_slots: slots, huge, share_tables, ..Config::default() };
        let mut machine = Machine::new(name, config);
        let hog = MapRequest { place: at(HOG), ..MapRequest::anonymous(HOG_PAGES * PAGE, RW) };
        machine.map(hog);
        let Machine { kernel, mock, space } = &mut machine;
        let (start, len) = (VirtAddr(HOG), HOG_PAGES * PAGE);
        kernel
            .madvise(mock, *space, start, len, Advice::Huge(HugeAdvice::Avoid))
            .expect("large pages");
        Self { machine, model: BTreeMap::new(), pages: 8 + 2 * large + 8, now: 0, child: None }
    }

    fn access(&mut self, page: u64, store: Option<u8>, by_kernel: bool) {
        let m = &mut self.machine;
        let at = VirtAddr(va(page).0 + OFFSET);
        let result = match store {
            None => m.load(at.0),
            Some(byte) if by_kernel => match m.kernel.copy_out(&mut m.mock, m.space, at, &[byte]) {
                Ok(()) => Ok(byte),
                Err(CopyError::OutOfMemory(_)) => Err(Stop::OutOfMemory),
                Err(_) => Err(m.store(at.0, byte).expect_err("nor can the program")),
            },
            Some(byte) => m.store(at.0, byte).map(|()| byte),
        };
        let needed = if store.is_some() { Prot::WRITE } else { Prot::READ | Prot::WRITE };
        let expected = match self.model.get_mut(&page) {
            None => Err(Signal::Segv(SegvCode::MapErr)),
            Some((prot, _)) if !prot.intersects(needed) => Err(Signal::Segv(SegvCode::AccErr)),
            Some((_, byte)) => {
                if let (Some(new), Ok(_)) = (store, result) {
                    *byte = new;
                }
                Ok(*byte)
            }
        };
        match result {
            Err(Stop::OutOfMemory) => {}
            Err(Stop::Signal(signal)) => assert_eq!(expected, Err(signal), "page {page}"),
            Ok(byte) => assert_eq!(expected, Ok(byte), "page {page}"),
        }
    }

    fn apply(&mut self, op: &Op) {
        let pages = self.pages;
        let bytes = move |page: u64, len: u64| len.min(pages - page) * PAGE;
        let m = &mut self.machine;
        let (kernel, mock, space) = (&mut m.kernel, &mut m.mock, m.space);
        match *op {
            Op::Map { page, len } => {
                let len = bytes(page, len);
                let request =
                    MapRequest { place: at(va(page).0), ..MapRequest::anonymous(len, RW) };
                kernel.mmap(mock, space, request).expect("room");
                self.model.extend((page..page + len / PAGE).map(|page| (page, (RW, 0))));
            }
            Op::Unmap { page, len } => {
                let len = bytes(page, len);
                kernel.munmap(mock, space, va(page), len).expect("a range");
                self.model.retain(|&at, _| at < page || at >= page + len / PAGE);
            }
            Op::Protect { page, len, prot } => {
                let (len, prot) = (bytes(page, len), Prot::from_bits_truncate(prot));
                let result = kernel.mprotect(mock, space, va(page), len, prot);
                let end = page + len / PAGE;
                let hole = (page..end).find(|at| !self.model.contains_key(at));
                assert_eq!(result, hole.map_or(Ok(()), |_| Err(Errno::Enomem)));
                for (_, (of, _)) in self.model.range_mut(page..hole.unwrap_or(end)) {
                    *of = prot;
                }
            }
            Op::DontNeed { page, len } => {
                let len = bytes(page, len);
                let _hole = kernel.madvise(mock, space, va(page), len, DONTNEED);
                for (_, (_, byte)) in self.model.range_mut(page..page + len / PAGE) {
                    *byte = 0;
                }
            }
            Op::Advise { page, len, advice } => {
                let _hole =
                    kernel.madvise(mock, space, va(page), bytes(page, len), Advice::Huge(advice));
            }
            Op::Remap { page, to, len } => {
                let len = bytes(page, len).min(bytes(to, len));
                let how = Remap::Fixed(va(to));
                let result = kernel.mremap(mock, space, va(page), len, len, how);
                let count = len / PAGE;
                let moved: Vec<_> =
                    (page..page + count).map(|at| self.model.get(&at).copied()).collect();
                match result {
                    Ok(_) => {
                        self.model.retain(|&at, _| at < page || at >= page + count);
                        // Holes are taken along: there the target stays what it was.
                        for (at, moved) in (to..).zip(moved) {
                            if let Some(page) = moved {
                                self.model.insert(at, page);
                            }
                        }
                    }
                    // Short of frames for page tables: the target is unmapped, the source is whole.
                    Err(Errno::Enomem) => self.model.retain(|&at, _| at < to || at >= to + count),
                    Err(Errno::Efault | Errno::Einval) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Op::Store { page, byte, by_kernel } => self.access(page, Some(byte), by_kernel),
            Op::Load { page } => self.access(page, None, false),
            Op::Sweep { from, len, byte } => {
                // So wide that there is pressure, so coarse that it takes no time.
                for page in (from..from + len).step_by(1 + len as usize / 64) {
                    self.access(page % pages, byte, false);
                }
            }
            Op::Hog { from, len } => {
                for page in from..(from + len).min(HOG_PAGES) {
                    let _full = m.store(HOG + page * PAGE, 1);
                }
            }
            Op::Failing(true) => mock.swap_write_fails = sometimes(4, 11),
            Op::Failing(false) => mock.heal(),
            Op::Collapse { page, len } => {
                let _refused =
                    kernel.madvise(mock, space, va(page), bytes(page, len), Advice::Collapse);
            }
            Op::Later => {
                self.now += 100_000_000;
                kernel.set_elapsed(self.now);
                kernel.daemon(mock);
            }
            Op::Fork(true) => {
                if self.child.is_none()
                    && let Ok(child) = kernel.fork_space(mock, space)
                {
                    kernel.set_oom_score_adj(child, OOM_SCORE_ADJ_MIN);
                    self.child = Some(child);
                }
            }
            Op::Fork(false) => self.end_child(),
        }
    }

    fn end_child(&mut self) {
        if let Some(child) = self.child.take() {
            self.machine.kernel.destroy_space(&mut self.machine.mock, child);
        }
    }

    fn finish(&mut self) {
        self.end_child();
        self.machine.mock.heal();
        (0..self.pages).for_each(|page| self.access(page, None, false));
        let m = &mut self.machine;
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.audit();
        let frames = m.kernel.frames();
        assert_eq!((frames.free, m.kernel.swap().used()), (frames.total, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_kernel_with_large_pages_equals_a_map_of_pages(
        name in prop::sample::select(trees().filter(|name| {
            AnyPmap::large_page(&tables(name, 0)).is_some()
        }).collect::<Vec<_>>()),
        huge in prop::sample::select(vec![HugePolicy::Always, HugePolicy::Madvise]),
        slots in prop::sample::select(vec![0, 300, 5000u64]),
        spare in prop::sample::select(vec![0, 100, 700u64]),
        share_tables in prop::sample::select(vec![ShareTables::Off, ShareTables::All]),
        ops in prop::collection::vec(op(1040), 1..60),
    ) {
        let mut pair = Pair::new(name, huge, slots, spare, share_tables);
        pair.apply(&Op::Map { page: 0, len: u64::MAX });
        for op in &ops {
            pair.apply(op);
            pair.machine.audit();
        }
        pair.finish();
    }
}
