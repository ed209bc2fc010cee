//! Pages that several processes share and evict one by one, as the text on the swap cache tells it:
//! the sentences are quoted where they are tried.

mod common;

use common::*;
use pagewalk_kernel::{
    Config, Evicted, IoError, MapRequest, Mapping, ReverseMapping, SpaceId, SwapSlot, Use,
};
use pagewalk_mmu::{Pfn, VirtAddr};

/// A machine whose first program has a page that two children share.
struct Story {
    m: Machine,
    name: &'static str,
    spaces: [SpaceId; 3],
    va: u64,
}

const BYTE: u8 = 42;

impl Story {
    fn new(name: &'static str) -> Self {
        let frames = frames_min(name).max(400);
        let mut m = Machine::new(name, Config { frames, ..Config::default() });
        let va = m.map_anon(8);
        m.store(va, BYTE).unwrap();
        let a = m.space;
        let [b, c] = [(); 2].map(|()| m.kernel.fork_space(&mut m.mock, a).expect("memory"));
        let mut story = Self { m, name, spaces: [a, b, c], va };
        story.forget_recent();
        story
    }

    /// The last faults' pages are held: other pages take their place.
    fn forget_recent(&mut self) {
        self.m.space = self.spaces[0];
        for page in 4..8 {
            self.m
                .kernel
                .madvise(
                    &mut self.m.mock,
                    self.spaces[0],
                    VirtAddr(self.va + page * PAGE),
                    PAGE,
                    DONTNEED,
                )
                .unwrap();
            self.m.load(self.va + page * PAGE).unwrap();
        }
    }

    fn evict(&mut self, space: SpaceId) -> Option<Evicted> {
        let evicted = self.m.kernel.evict_from(&mut self.m.mock, space, VirtAddr(self.va));
        self.m.audit();
        evicted
    }

    fn entry(&self, space: SpaceId) -> Mapping {
        self.m.kernel.lookup(&self.m.mock, space, VirtAddr(self.va))
    }

    fn frame(&self, space: SpaceId) -> Pfn {
        match self.entry(space) {
            Mapping::Resident(now) => now.pfn,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// The frame of the pair (S, P) that the swap cache has for a slot.
    fn cached(&self, slot: SwapSlot) -> Option<Pfn> {
        self.m.kernel.cached_frame(slot)
    }

    fn load(&mut self, space: SpaceId) -> Result<u8, Stop> {
        self.m.space = space;
        let byte = self.m.load(self.va);
        self.m.audit();
        byte
    }

    fn store(&mut self, space: SpaceId, byte: u8) -> Result<(), Stop> {
        self.m.space = space;
        let done = self.m.store(self.va, byte);
        self.m.audit();
        done
    }

    fn writes(&self) -> u64 {
        self.m.kernel.counters().pswpout
    }

    fn reads(&self) -> u64 {
        self.m.kernel.counters().pswpin
    }

    fn mappings(&self, pfn: Pfn) -> u32 {
        self.m.kernel.frame_table().mappings(pfn)
    }
}

fn on_all_stories(test: impl Fn(Story)) {
    formats().for_each(|name| test(Story::new(name)));
}

#[test]
fn the_story_of_the_swap_cache() {
    on_all_stories(|mut t| {
        let [a, b, c] = t.spaces;
        let p = t.frame(a);
        assert_eq!((t.frame(b), t.frame(c), t.mappings(p)), (p, p, 3), "{}", t.name);
        // "When the first process evicts the page, the entry (S,P) is created, and the slot S is
        // written in the evicting processes page table."
        assert_eq!(t.evict(a), Some(Evicted::Shared));
        let Mapping::Swapped(s) = t.entry(a) else { panic!("{:?}", t.entry(a)) };
        assert_eq!(t.cached(s), Some(p));
        // "P is the current page frame, and S is the swap slot reserved for the page, when it does
        // leave physical memory": it has not yet.
        assert_eq!((t.frame(b), t.frame(c), t.writes()), (p, p, 0));
        // "Further evictions will find the (S,P) entry in the cache and write consistently the slot
        // S for the page;"
        assert_eq!(t.evict(b), Some(Evicted::Shared));
        assert_eq!(t.entry(b), Mapping::Swapped(s));
        assert_eq!(t.m.kernel.counters().swap_cache_evict_hit, 1);
        // "reference counts must be kept of the number of times a page frame appears in any page
        // table, and the number of times a swap slot appears in any page table."
        assert_eq!((t.mappings(p), t.m.kernel.swap().names(s)), (1, 2));
        // "however only when all processes evict does the actual write to swap occur, and the (S,P)
        // entry can now be removed."
        assert_eq!(t.writes(), 0);
        assert_eq!(t.evict(c), Some(Evicted::Gone));
        assert_eq!((t.entry(c), t.writes()), (Mapping::Swapped(s), 1));
        // "When the page frame reference count reaches zero, then there are no more references to
        // P, so the page is moved to slot S and the (S,P) entry is dropped."
        assert_eq!((t.cached(s), t.m.kernel.frame_table().used(p)), (None, Use::Free));
        assert_eq!((t.mappings(p), t.m.kernel.swap().names(s)), (0, 3));
        // "On first swap in, a new page P' will be chosen and the entry (S,P') will be written to
        // the cache,"
        assert_eq!(t.load(b), Ok(BYTE));
        let p2 = t.frame(b);
        assert_eq!((t.cached(s), t.reads()), (Some(p2), 1));
        // "so that the remaining processes, if they swap the page in, will find the (S,P') entry in
        // the cache and will simply update the page table."
        let frames = t.m.kernel.frames().free;
        assert_eq!(t.load(a), Ok(BYTE));
        assert_eq!((t.frame(a), t.reads()), (p2, 1));
        assert_eq!(t.m.kernel.frames().free, frames, "{}: no frame was taken", t.name);
        assert_eq!(t.m.kernel.counters().swap_cache_hit, 1);
        // "Likewise when the reference count on the swap slot drops to zero, the entry (S,P') is
        // useless, and can be dropped."
        assert_eq!((t.cached(s), t.m.kernel.swap().names(s)), (Some(p2), 1));
        assert_eq!(t.load(c), Ok(BYTE));
        assert_eq!((t.cached(s), t.m.kernel.swap().names(s)), (None, 0));
        // The page has not changed since: it leaves again without being written.
        t.forget_recent();
        for (space, evicted) in [(a, Evicted::Shared), (b, Evicted::Shared), (c, Evicted::Gone)] {
            assert_eq!(t.evict(space), Some(evicted));
            assert_eq!(t.entry(space), Mapping::Swapped(s));
        }
        assert_eq!(t.writes(), 1);
        assert_eq!(t.m.kernel.counters().swap_shared_slots, 1);
        assert_eq!(t.m.kernel.counters().swap_writes_saved, 2, "the first two, the first time");
        assert_eq!([a, b, c].map(|space| t.load(space)), [Ok(BYTE); 3]);
    });
}

#[test]
fn who_evicted_alone_finds_the_page_where_it_is() {
    on_all_stories(|mut t| {
        let [a, b, _] = t.spaces;
        let p = t.frame(b);
        assert_eq!(t.evict(a), Some(Evicted::Shared));
        let Mapping::Swapped(s) = t.entry(a) else { panic!("{:?}", t.entry(a)) };
        assert_eq!(t.load(a), Ok(BYTE));
        assert_eq!((t.frame(a), t.reads(), t.writes()), (p, 0, 0), "{}", t.name);
        // Nobody needs the slot, which nothing was written to.
        assert!(!t.m.kernel.swap().is_used(s), "{}", t.name);
        // A store is the program's own, as ever.
        t.store(a, 1).unwrap();
        assert_eq!((t.load(a), t.load(b)), (Ok(1), Ok(BYTE)));
    });
}

#[test]
fn a_store_of_the_last_who_has_the_page_does_not_reach_the_slot() {
    on_all_stories(|mut t| {
        let [a, b, c] = t.spaces;
        t.m.kernel.destroy_space(&mut t.m.mock, c);
        assert_eq!(t.evict(a), Some(Evicted::Shared));
        let Mapping::Swapped(s) = t.entry(a) else { panic!("{:?}", t.entry(a)) };
        let p = t.frame(b);
        t.store(b, 7).unwrap();
        assert_ne!(t.frame(b), p, "{}: b got a copy", t.name);
        assert_eq!((t.cached(s), t.mappings(p)), (Some(p), 0));
        // Nothing maps the frame: reclaim moves it to the slot.
        t.m.space = b;
        t.m.press();
        t.m.audit();
        assert_eq!(t.cached(s), None, "{}", t.name);
        assert_eq!((t.load(a), t.load(b)), (Ok(BYTE), Ok(7)), "{}", t.name);
    });
}

#[test]
fn ends_of_processes_free_what_nobody_needs() {
    // Whoever ends first and last, and whoever had evicted, nothing is left.
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        for evicting in 1..8 {
            let mut t = Story::new("sv39");
            for n in (0..3).filter(|n| evicting & 1 << n != 0) {
                assert!(t.evict(t.spaces[n]).is_some());
            }
            for n in order {
                t.m.kernel.destroy_space(&mut t.m.mock, t.spaces[n]);
                t.m.audit();
            }
            assert_eq!((t.m.kernel.frames().anon, t.m.kernel.swap().used()), (0, 0));
        }
    }
}

#[test]
fn a_page_that_nobody_stored_to_stays_one_page() {
    on_all_formats(|name| {
        let frames = frames_min(name).max(400);
        let mut m = Machine::new(name, Config { frames, ..Config::default() });
        let va = m.map_anon(8);
        (0..8).for_each(|page| assert_eq!(m.load(va + page * PAGE), Ok(0)));
        let child = m.kernel.fork_space(&mut m.mock, m.space).expect("memory");
        let evicted = m.kernel.evict_from(&mut m.mock, child, VirtAddr(va));
        m.audit();
        assert_eq!(evicted, Some(Evicted::Shared), "{name}");
        let slot = m.kernel.lookup(&m.mock, child, VirtAddr(va));
        assert!(matches!(slot, Mapping::Swapped(_)), "{name}: {slot:?}");
        assert_eq!((m.kernel.swap().used(), m.load(va)), (1, Ok(0)));
        m.space = child;
        assert_eq!((m.load(va), m.kernel.counters().swap_cache_hit), (Ok(0), 1));
        m.audit();
    });
}

#[test]
fn pages_of_files_and_of_shared_memory_leave_one_process() {
    on_all_formats(|name| {
        let frames = frames_min(name).max(400);
        let mut m = Machine::new(name, Config { frames, ..Config::default() });
        m.mock.files.push(vec![3; 8 * PAGE as usize]);
        let file = m.map_file(0, 8, RW, true);
        let shared = m.map(MapRequest { shared: true, ..MapRequest::anonymous(PAGE, RW) });
        m.store(file, 1).unwrap();
        m.store(shared, 2).unwrap();
        let [parent, child] = [m.space, m.kernel.fork_space(&mut m.mock, m.space).unwrap()];
        m.space = child;
        assert_eq!((m.load(file), m.load(shared)), (Ok(1), Ok(2)));
        (4..8).for_each(|page| assert_eq!(m.load(file + page * PAGE), Ok(3)));
        for va in [file, shared] {
            let mut evict = |space| {
                let evicted = m.kernel.evict_from(&mut m.mock, space, VirtAddr(va));
                m.audit();
                evicted
            };
            assert_eq!(evict(parent), Some(Evicted::Shared), "{name}");
            assert_eq!(evict(child), Some(Evicted::Gone), "{name}");
        }
        assert_eq!(m.mock.files[0][0], 1, "{name}: the last writes it back");
        assert_eq!(m.kernel.counters().pswpout, 1, "{name}");
        assert_eq!((m.load(file), m.load(shared)), (Ok(1), Ok(2)));
        m.space = parent;
        assert_eq!((m.load(file), m.load(shared)), (Ok(1), Ok(2)));
        m.audit();
    });
}

#[test]
fn a_failing_device_loses_no_shared_page() {
    on_all_stories(|mut t| {
        let [a, b, c] = t.spaces;
        assert_eq!(t.evict(a), Some(Evicted::Shared));
        assert_eq!(t.evict(b), Some(Evicted::Shared));
        t.m.mock.swap_write_fails = always(IoError::Io);
        assert_eq!(t.evict(c), None, "{}: it has nowhere to go", t.name);
        assert_eq!([a, b, c].map(|space| t.load(space)), [Ok(BYTE); 3], "{}", t.name);
        // Without an owner that maps it, the frame is all there is.
        t.forget_recent();
        assert_eq!(t.evict(a), Some(Evicted::Shared));
        t.m.kernel.destroy_space(&mut t.m.mock, b);
        t.m.kernel.destroy_space(&mut t.m.mock, c);
        t.m.audit();
        t.m.press();
        t.m.audit();
        t.m.mock.heal();
        t.m.press();
        assert_eq!(t.load(a), Ok(BYTE), "{}", t.name);
    });
}

#[test]
fn a_locked_page_stays_with_its_process() {
    on_all_stories(|mut t| {
        let [a, b, _] = t.spaces;
        let lock = pagewalk_kernel::Lock::Now;
        t.m.kernel.mlock(&mut t.m.mock, a, VirtAddr(t.va), PAGE, lock).unwrap();
        t.forget_recent();
        assert_eq!(t.evict(a), None, "{}", t.name);
        if t.frame(a) == t.frame(b) {
            assert_eq!(t.evict(b), Some(Evicted::Shared), "{}: b locked nothing", t.name);
        }
        let place = ReverseMapping { space: a, va: VirtAddr(t.va) };
        assert!(t.m.kernel.frame_table().reverse(t.frame(a)).any(|held| held == place));
    });
}
