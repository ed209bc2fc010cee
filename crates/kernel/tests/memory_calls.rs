//! The memory calls, as Linux 6.18 answers them: every error was seen on the real one.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::VirtAddr;

const NONE: Prot = Prot::empty();

fn roomy(name: &str) -> Machine {
    Machine::new(name, Config::default())
}

impl Machine {
    fn mmap(&mut self, request: MapRequest) -> Result<u64, Errno> {
        self.kernel.mmap(&mut self.mock, self.space, request).map(|va| va.0)
    }

    fn advise(&mut self, va: u64, pages: u64, advice: Advice) -> Result<(), Errno> {
        let result =
            self.kernel.madvise(&mut self.mock, self.space, VirtAddr(va), pages * PAGE, advice);
        self.audit();
        result
    }

    fn lock(&mut self, va: u64, pages: u64, lock: Lock) -> Result<(), Errno> {
        let start = VirtAddr(va);
        let result = self.kernel.mlock(&mut self.mock, self.space, start, pages * PAGE, lock);
        self.audit();
        result
    }

    fn remap(&mut self, va: u64, old: u64, new: u64, how: Remap) -> Result<u64, Errno> {
        let (start, old, new) = (VirtAddr(va), old * PAGE, new * PAGE);
        let result = self.kernel.mremap(&mut self.mock, self.space, start, old, new, how);
        self.audit();
        result.map(|va| va.0)
    }

    fn protect(&mut self, va: u64, pages: u64, prot: Prot) -> Result<(), Errno> {
        let start = VirtAddr(va);
        self.kernel.mprotect(&mut self.mock, self.space, start, pages * PAGE, prot)
    }

    fn region(&self, va: u64) -> Region {
        let found = self.kernel.regions(self.space).find(|region| region.contains(VirtAddr(va)));
        *found.expect("a region")
    }

    fn rss(&self) -> u64 {
        self.kernel.residency(self.space).rss()
    }

    fn is_resident(&self, va: u64) -> bool {
        let found = self.kernel.lookup(&self.mock, self.space, VirtAddr(va));
        matches!(found, Mapping::Resident(_))
    }

    /// A file of `pages` pages, each filled with its number plus one.
    fn add_file(&mut self, pages: u64) -> u32 {
        let bytes = (0..pages * PAGE).map(|at| ((at / PAGE) as u8).wrapping_add(1)).collect();
        self.mock.files.push(bytes);
        self.mock.files.len() as u32 - 1
    }

    /// `pages` pages, each stored to with its number plus one.
    fn filled(&mut self, pages: u64) -> u64 {
        let va = self.map_anon(pages);
        (0..pages).for_each(|n| self.store(va + n * PAGE, n as u8 + 1).expect("mapped"));
        va
    }
}

#[test]
fn a_hint_is_rounded_down_and_up_to_the_lowest_address() {
    let mut m = roomy("sv39");
    let mut hinted = |hint| {
        let place = Placement::Anywhere { hint: VirtAddr(hint) };
        m.map(MapRequest { place, ..MapRequest::anonymous(PAGE, RW) })
    };
    assert_eq!(hinted(0x2000_0123), 0x2000_0000);
    assert_eq!(hinted(0x1000), LAYOUT.user_start.0);
    assert_ne!(hinted(0x2000_0000), 0x2000_0000, "taken");
}

#[test]
fn fixed_noreplace_replaces_nothing() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(2);
        let place = Placement::FixedNoReplace(VirtAddr(va + PAGE));
        let request = MapRequest { place, ..MapRequest::anonymous(2 * PAGE, RW) };
        assert_eq!(m.mmap(request), Err(Errno::Eexist));
        assert_eq!(m.load(va + PAGE), Ok(2), "what was there still is");
        let place = Placement::FixedNoReplace(VirtAddr(va + 2 * PAGE));
        let beside = MapRequest { place, ..MapRequest::anonymous(PAGE, RW) };
        assert_eq!(m.mmap(beside), Ok(va + 2 * PAGE));
        let odd = Placement::FixedNoReplace(VirtAddr(va + 1));
        let odd = MapRequest { place: odd, ..MapRequest::anonymous(PAGE, RW) };
        assert_eq!(m.mmap(odd), Err(Errno::Einval));
        m.audit();
    });
}

#[test]
fn populate_brings_pages_in_before_they_are_touched() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.add_file(3);
        let request = MapRequest { populate: true, ..MapRequest::anonymous(4 * PAGE, RW) };
        let va = m.map(request);
        assert_eq!(m.rss(), 4);
        let faults = m.kernel.counters().pgfault;
        (0..4).for_each(|n| assert_eq!(m.store(va + n * PAGE, 1), Ok(())));
        assert_eq!(m.kernel.counters().pgfault, faults, "stores find their own pages");
        m.map(MapRequest { prot: NONE, ..request });
        assert_eq!(m.rss(), 4, "what may not be accessed is not brought in, and is no error");
        let backing = Backing::File { file: FileId(file), offset: 0 };
        let va = m.map(MapRequest { backing, ..MapRequest { len: 5 * PAGE, ..request } });
        assert_eq!(m.rss(), 7, "up to the end of the file");
        assert!(!m.mock.events.iter().any(|event| event.contains("Signal")), "nobody is told");
        assert_eq!(m.load(va + 3 * PAGE), Err(Stop::Signal(Signal::Bus)));
        m.audit();
    });
}

#[test]
fn populating_by_advice_tells_rights_from_ends_of_files() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.add_file(2);
        let read_only = m.map(MapRequest::anonymous(2 * PAGE, Prot::READ));
        let guard = m.map(MapRequest::anonymous(PAGE, NONE));
        let of_file = m.map_file(file, 4, RW, true);
        let private = m.map_anon(3);
        assert_eq!(m.advise(private, 3, Advice::PopulateWrite), Ok(()));
        assert!((0..3).all(|n| m.is_resident(private + n * PAGE)));
        assert_eq!(m.advise(read_only, 2, Advice::PopulateRead), Ok(()));
        assert_eq!(m.advise(read_only, 2, Advice::PopulateWrite), Err(Errno::Einval));
        assert_eq!(m.advise(guard, 1, Advice::PopulateRead), Err(Errno::Einval));
        assert_eq!(m.advise(of_file, 2, Advice::PopulateRead), Ok(()));
        assert_eq!(m.advise(of_file, 3, Advice::PopulateRead), Err(Errno::Efault));
        assert_eq!(m.advise(0x20_0000, 1, Advice::PopulateRead), Err(Errno::Enomem));
    });
}

#[test]
fn populating_more_than_memory_ends() {
    let mut m = Machine::tight("sv39", 16, 8);
    let pages = m.kernel.frames().total * 100;
    let va = m.map_anon(pages);
    assert_eq!(m.advise(va, pages, Advice::PopulateWrite), Err(Errno::Enomem));
    let file = m.add_file(pages);
    let va = m.map_file(file, pages, Prot::READ, true);
    m.unmap(va, 1);
    let before = m.kernel.counters().pgfault;
    assert_eq!(m.advise(va + PAGE, pages - 1, Advice::PopulateRead), Err(Errno::Enomem));
    assert!(m.kernel.counters().pgfault - before <= m.kernel.frames().total + 8);
}

#[test]
fn dontneed_gives_zeroes_or_the_file_again() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.add_file(2);
        let anon = m.filled(4);
        let private = m.map_file(file, 2, RW, false);
        assert_eq!(m.store(private, 99), Ok(()));
        assert_eq!(m.advise(anon, 3, DONTNEED), Ok(()));
        assert_eq!(m.advise(private, 1, DONTNEED), Ok(()));
        assert_eq!((m.load(anon), m.load(anon + 3 * PAGE)), (Ok(0), Ok(4)));
        assert_eq!(m.load(private), Ok(1));
        m.press();
        assert_eq!(m.advise(anon, 4, DONTNEED), Ok(()));
        assert_eq!(m.load(anon + 3 * PAGE), Ok(0), "from swap as well");
        m.unmap(anon + PAGE, 1);
        m.store(anon, 5).unwrap();
        m.store(anon + 2 * PAGE, 5).unwrap();
        assert_eq!(m.advise(anon, 4, DONTNEED), Err(Errno::Enomem), "with a hole");
        assert_eq!((m.load(anon), m.load(anon + 2 * PAGE)), (Ok(0), Ok(0)), "but done");
    });
}

#[test]
fn freed_pages_stay_until_memory_is_short_unless_stored_to() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(8);
        assert_eq!(m.advise(va, 8, Advice::Free), Ok(()));
        assert_eq!(m.rss(), 8);
        assert_eq!(m.load(va + PAGE), Ok(2), "nothing took it yet");
        assert_eq!(m.kernel.smaps(&m.mock, m.space)[0].holds.lazy_free, 8 * PAGE);
        assert_eq!(m.store(va, 50), Ok(()));
        assert_eq!(m.kernel.smaps(&m.mock, m.space)[0].holds.lazy_free, 7 * PAGE);
        let written = m.kernel.counters().pswpout;
        m.press();
        assert_eq!(m.load(va), Ok(50), "the store took it back");
        (1..8).for_each(|n| assert_eq!(m.load(va + n * PAGE), Ok(0)));
        assert!(m.kernel.counters().pswpout > written);
        m.audit();
    });
}

#[test]
fn freeing_pages_on_swap_frees_their_slots() {
    let mut m = roomy("sv39");
    let va = m.filled(8);
    assert_eq!(m.advise(va, 8, Advice::PageOut), Ok(()));
    assert_eq!((m.kernel.residency(m.space).swapped, m.kernel.swap().used()), (8, 8));
    assert_eq!(m.advise(va, 8, Advice::Free), Ok(()));
    assert_eq!((m.kernel.residency(m.space).swapped, m.kernel.swap().used()), (0, 0));
    assert_eq!(m.load(va + PAGE), Ok(0));
}

#[test]
fn lazily_freed_pages_survive_a_fork_until_they_are_taken() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(4);
        assert_eq!(m.advise(va, 4, Advice::Free), Ok(()));
        let child = m.kernel.fork_space(&mut m.mock, m.space).expect("room");
        m.audit();
        // The child's page stays the parent's, too: it is not freed for one of them.
        let (parent, start) = (m.space, VirtAddr(va));
        m.kernel.madvise(&mut m.mock, child, start, 4 * PAGE, Advice::Free).unwrap();
        m.audit();
        m.space = child;
        assert_eq!(m.store(va, 9), Ok(()));
        m.space = parent;
        assert!([Ok(0), Ok(1)].contains(&m.load(va)));
        m.press();
        m.space = child;
        assert_eq!(m.load(va), Ok(9));
        m.kernel.destroy_space(&mut m.mock, child);
        m.space = parent;
        m.audit();
    });
}

#[test]
fn willneed_reads_back_and_pageout_writes_out() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.add_file(3);
        let va = m.filled(6);
        assert_eq!(m.advise(va, 6, Advice::PageOut), Ok(()));
        assert_eq!((m.rss(), m.kernel.counters().pswpout), (0, 6));
        assert_eq!(m.advise(va, 6, Advice::WillNeed), Ok(()));
        assert_eq!((m.rss(), m.kernel.counters().pswpin), (6, 6));
        let faults = m.kernel.counters().pgmajfault;
        (0..6).for_each(|n| assert_eq!(m.load(va + n * PAGE), Ok(n as u8 + 1)));
        assert_eq!(m.kernel.counters().pgmajfault, faults, "they were there");
        let of_file = m.map_file(file, 3, Prot::READ, true);
        assert_eq!(m.advise(of_file, 3, Advice::WillNeed), Ok(()));
        let mut resident = [0; 3];
        let start = VirtAddr(of_file);
        assert_eq!(m.kernel.mincore(&m.mock, m.space, start, &mut resident), Ok(3));
        assert_eq!(resident, [1; 3]);
    });
}

#[test]
fn cold_pages_are_not_referenced() {
    on_all_trees(|name| {
        let mut m = roomy(name);
        m.filled(4);
        let va = m.filled(4);
        assert_eq!(m.kernel.smaps(&m.mock, m.space)[0].holds.referenced, 8 * PAGE);
        assert_eq!(m.advise(va, 4, Advice::Cold), Ok(()));
        assert_eq!(m.kernel.smaps(&m.mock, m.space)[0].holds.referenced, 4 * PAGE);
        assert_eq!(m.rss(), 8);
    });
}

#[test]
fn advice_that_a_mapping_cannot_take() {
    let mut m = roomy("sv39");
    let file = m.add_file(2);
    let anon = m.filled(2);
    let private = m.map_file(file, 1, RW, false);
    let shared = m.map_file(file, 1, RW, true);
    let locked = m.map_anon(1);
    m.lock(locked, 1, Lock::Now).unwrap();
    let all = [
        (Advice::Free, Ok(()), Err(Errno::Einval), Err(Errno::Einval), Err(Errno::Einval)),
        (Advice::Remove, Err(Errno::Einval), Err(Errno::Eacces), Ok(()), Err(Errno::Einval)),
        (Advice::WipeOnFork, Ok(()), Err(Errno::Einval), Err(Errno::Einval), Ok(())),
        (DONTNEED, Ok(()), Ok(()), Ok(()), Err(Errno::Einval)),
        (Advice::DontNeed { locked: true }, Ok(()), Ok(()), Ok(()), Ok(())),
        (Advice::Cold, Ok(()), Ok(()), Ok(()), Err(Errno::Einval)),
        (Advice::PageOut, Ok(()), Ok(()), Ok(()), Err(Errno::Einval)),
        (Advice::Sequential, Ok(()), Ok(()), Ok(()), Ok(())),
        (Advice::Mergeable, Ok(()), Ok(()), Ok(()), Ok(())),
        (Advice::DontFork, Ok(()), Ok(()), Ok(()), Ok(())),
        (Advice::DontDump, Ok(()), Ok(()), Ok(()), Ok(())),
    ];
    for (advice, of_anon, of_private, of_shared, of_locked) in all {
        assert_eq!(m.advise(anon, 1, advice), of_anon, "{advice:?}");
        assert_eq!(m.advise(private, 1, advice), of_private, "{advice:?}");
        assert_eq!(m.advise(shared, 1, advice), of_shared, "{advice:?}");
        assert_eq!(m.advise(locked, 1, advice), of_locked, "{advice:?}");
        assert_eq!(m.advise(0x20_0000, 1, advice), Err(Errno::Enomem), "{advice:?}");
        assert_eq!(m.advise(anon + 1, 1, advice), Err(Errno::Einval), "{advice:?}");
    }
    let wraps = m.kernel.madvise(&mut m.mock, m.space, VirtAddr(anon), u64::MAX, DONTNEED);
    assert_eq!(wraps, Err(Errno::Einval));
}

#[test]
fn a_child_has_what_advice_leaves_it() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(4);
        m.advise(va, 1, Advice::DontFork).unwrap();
        m.advise(va + PAGE, 1, Advice::WipeOnFork).unwrap();
        m.advise(va + 2 * PAGE, 1, Advice::WipeOnFork).unwrap();
        m.advise(va + 2 * PAGE, 1, Advice::KeepOnFork).unwrap();
        m.lock(va + 3 * PAGE, 1, Lock::Now).unwrap();
        let parent = m.space;
        m.space = m.kernel.fork_space(&mut m.mock, parent).expect("room");
        m.audit();
        assert_eq!(m.load(va), Err(Stop::Signal(Signal::Segv(SegvCode::MapErr))));
        assert_eq!(m.load(va + PAGE), Ok(0));
        assert_eq!(m.load(va + 2 * PAGE), Ok(3));
        assert!(!m.region(va + 3 * PAGE).flags.contains(RegionFlags::LOCKED));
        assert!(m.region(va + PAGE).flags.contains(RegionFlags::WIPE_ON_FORK));
        m.space = parent;
        (0..4).for_each(|n| assert_eq!(m.load(va + n * PAGE), Ok(n as u8 + 1)));
    });
}

#[test]
fn removing_takes_the_pages_from_all_who_share_them() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map(MapRequest { shared: true, ..MapRequest::anonymous(4 * PAGE, RW) });
        (0..4).for_each(|n| m.store(va + n * PAGE, 7).unwrap());
        let twin = m.remap(va, 0, 4, Remap::MayMove).unwrap();
        assert_eq!(m.load(twin + PAGE), Ok(7));
        assert_eq!(m.advise(va + PAGE, 2, Advice::Remove), Ok(()));
        let found: Vec<_> = (0..4).map(|n| m.load(twin + n * PAGE).unwrap()).collect();
        assert_eq!(found, [7, 0, 0, 7]);
        assert_eq!(m.advise(va, 1, DONTNEED), Ok(()));
        assert_eq!(m.load(va), Ok(7), "only unmapped: the object has it");
        m.press();
        let holds = m.kernel.smaps(&m.mock, m.space)[0].holds;
        assert!(holds.swap > 0 && holds.rss + holds.swap <= 4 * PAGE, "{holds:?}");
        assert_eq!(m.remap(va, 4, 5, Remap::MayMove).map(|_| ()), Ok(()));
        m.audit();
    });
}

#[test]
fn a_grown_mapping_of_an_object_ends_where_the_object_does() {
    let mut m = roomy("sv39");
    let va = m.map(MapRequest { shared: true, ..MapRequest::anonymous(2 * PAGE, RW) });
    m.store(va + PAGE, 7).unwrap();
    let grown = m.remap(va, 2, 4, Remap::MayMove).unwrap();
    assert_eq!(m.load(grown + PAGE), Ok(7));
    assert_eq!(m.load(grown + 2 * PAGE), Err(Stop::Signal(Signal::Bus)));
}

#[test]
fn flags_of_advice_cut_and_join_regions() {
    let mut m = roomy("sv39");
    let va = m.map_anon(6);
    m.advise(va + PAGE, 2, Advice::Random).unwrap();
    assert_eq!(m.kernel.regions(m.space).count(), 3);
    assert_eq!(
        m.region(va + PAGE).vm_flags().collect::<Vec<_>>().join(" "),
        "rd wr mr mw me rr ac"
    );
    m.advise(va, 6, Advice::Sequential).unwrap();
    assert_eq!(m.kernel.regions(m.space).count(), 1);
    m.advise(va, 6, Advice::Normal).unwrap();
    assert_eq!(m.region(va).flags, RegionFlags::empty());
}

#[test]
fn locked_pages_stay() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.add_file(3);
        let anon = m.map_anon(4);
        let of_file = m.map_file(file, 3, Prot::READ, true);
        assert_eq!(m.lock(anon, 4, Lock::Now), Ok(()));
        assert_eq!(m.lock(of_file, 3, Lock::Now), Ok(()));
        assert_eq!(m.rss(), 7, "brought in");
        m.press();
        let all = [(anon, 4), (of_file, 3)];
        let stayed = |m: &Machine| {
            all.iter().all(|&(va, n)| (0..n).all(|page| m.is_resident(va + page * PAGE)))
        };
        assert!(stayed(&m));
        m.audit();
        assert_eq!(m.lock(anon, 4, Lock::Not), Ok(()));
        m.press();
        assert!(!stayed(&m));
        m.audit();
    });
}

#[test]
fn locked_pages_that_become_writable_are_copied_at_once() {
    on_all_formats(|name| {
        for (lock, copies) in [(Lock::Now, 2), (Lock::OnFault, 0), (Lock::Not, 0)] {
            let mut m = roomy(name);
            let file = m.add_file(2);
            let va = m.map_file(file, 2, Prot::READ, false);
            assert_eq!(m.lock(va, 2, lock), Ok(()));
            assert_eq!(m.protect(va, 2, RW), Ok(()));
            assert_eq!(m.kernel.residency(m.space).rss_anon, copies, "{name}, {lock:?}");
            m.audit();
        }
    });
}

#[test]
fn locks_on_fault_wait_for_the_touch() {
    let mut m = roomy("sv39");
    let va = m.map_anon(4);
    assert_eq!(m.lock(va, 4, Lock::OnFault), Ok(()));
    assert_eq!(m.rss(), 0);
    m.store(va, 1).unwrap();
    m.press();
    assert!(m.is_resident(va));
    assert_eq!(m.kernel.regions(m.space).next().unwrap().flags, RegionFlags::LOCK);
}

#[test]
fn locks_that_cannot_be() {
    let mut m = roomy("sv39");
    let file = m.add_file(3);
    let va = m.map_anon(4);
    let guard = m.map(MapRequest::anonymous(PAGE, NONE));
    let of_file = m.map_file(file, 5, Prot::READ, true);
    let code = m.map(MapRequest::anonymous(PAGE, Prot::EXEC));
    assert_eq!(m.lock(guard, 1, Lock::Now), Err(Errno::Enomem));
    assert_eq!(m.lock(of_file, 5, Lock::Now), Err(Errno::Enomem), "beyond the file");
    assert_eq!(m.lock(code, 1, Lock::Now), Ok(()));
    m.unmap(va + 2 * PAGE, 1);
    assert_eq!(m.lock(va, 4, Lock::Now), Err(Errno::Enomem));
    assert!(m.region(va).flags.contains(RegionFlags::LOCKED), "before the hole it is locked");
    assert!(!m.region(va + 3 * PAGE).flags.contains(RegionFlags::LOCKED));
    assert_eq!(m.lock(0x20_0000, 1, Lock::Not), Err(Errno::Enomem));
}

#[test]
fn all_of_a_space_is_locked_now_and_later() {
    let mut m = roomy("sv39");
    let now = m.map_anon(3);
    m.kernel.mlockall(&mut m.mock, m.space, Some(Lock::Now), Lock::Not).unwrap();
    assert_eq!(m.rss(), 3);
    let later = m.map_anon(2);
    assert_eq!(m.rss(), 3, "those to come were not asked for");
    m.kernel.mlockall(&mut m.mock, m.space, None, Lock::Now).unwrap();
    assert!(!m.region(later).flags.contains(RegionFlags::LOCKED), "only those to come");
    assert!(m.region(now).flags.contains(RegionFlags::LOCKED));
    m.map(MapRequest::anonymous(PAGE, Prot::READ));
    assert_eq!(m.rss(), 4);
    m.kernel.mlockall(&mut m.mock, m.space, Some(Lock::Not), Lock::Not).unwrap();
    assert!(m.kernel.regions(m.space).all(|region| region.flags.is_empty()));
    m.map_anon(1);
    assert_eq!(m.rss(), 4);
}

#[test]
fn memory_full_of_locked_pages_says_so() {
    let mut m = roomy("sv39");
    let pages = m.kernel.frames().total;
    let va = m.map_anon(pages);
    assert_eq!(m.lock(va, pages, Lock::Now), Err(Errno::Eagain));
    m.audit();
    let other = m.map_anon(1);
    let result =
        m.kernel.fault(&mut m.mock, m.space, VirtAddr(other), pagewalk_mmu::AccessKind::Write);
    assert_eq!(result, FaultResult::OutOfMemory(Shortage::Locked));
}

#[test]
fn msync_tells_of_holes_and_locks() {
    let mut m = roomy("sv39");
    let file = m.add_file(2);
    let va = m.map_file(file, 2, RW, true);
    m.store(va, 77).unwrap();
    let sync = |m: &mut Machine, at, pages, how| {
        m.kernel.msync(&mut m.mock, m.space, VirtAddr(at), pages * PAGE, how)
    };
    let invalidate = Msync { invalidate: true, ..Msync::default() };
    assert_eq!(sync(&mut m, va, 2, Msync::default()), Ok(()));
    assert_eq!(m.mock.files[file as usize][0], 1, "not asked to write");
    assert_eq!(sync(&mut m, va, 2, invalidate), Ok(()));
    assert_eq!(sync(&mut m, va, 2, SYNC), Ok(()));
    assert_eq!(m.mock.files[file as usize][0], 77);
    m.lock(va, 2, Lock::Now).unwrap();
    assert_eq!(sync(&mut m, va, 2, invalidate), Err(Errno::Ebusy));
    assert_eq!(sync(&mut m, va - 4 * PAGE, 6, SYNC), Err(Errno::Enomem));
}

#[test]
fn mremap_answers_as_linux_does() {
    let mut m = roomy("sv39");
    let va = m.filled(10);
    let there = Remap::Fixed(VirtAddr(0x3000_0000));
    let stay = |hint| Remap::DontUnmap(Placement::Anywhere { hint: VirtAddr(hint) });
    let user_pages = LAYOUT.user_end.0 / PAGE;
    for (old, new, how, error) in [
        (0, 1, Remap::MayMove, Errno::Einval),
        (10, 0, Remap::MayMove, Errno::Einval),
        (10, user_pages + 1, Remap::MayMove, Errno::Einval),
        (10, user_pages, Remap::MayMove, Errno::Enomem),
        (10, 11, Remap::Fixed(VirtAddr(0x3000_0001)), Errno::Einval),
        (4, 4, Remap::Fixed(VirtAddr(va + PAGE)), Errno::Einval),
        (1, 1, Remap::Fixed(VirtAddr(0x1000)), Errno::Eperm),
        (1, 1, Remap::Fixed(LAYOUT.user_end), Errno::Einval),
        (2, 2, stay(va), Errno::Einval),
        (11, 12, Remap::MayMove, Errno::Efault),
        (11, 12, there, Errno::Efault),
        (11, 11, stay(0), Errno::Efault),
    ] {
        assert_eq!(m.remap(va, old, new, how), Err(error), "{old} to {new}, {how:?}");
    }
    assert_eq!(m.remap(0x20_0000, 1, 1, Remap::MayMove), Err(Errno::Efault));
    (0..10).for_each(|n| assert_eq!(m.load(va + n * PAGE), Ok(n as u8 + 1)));
    // What is behind the new length may be anything.
    assert_eq!(m.remap(va, 11, 11, Remap::MayMove), Ok(va));
    assert_eq!(m.remap(va, 11, 10, Remap::InPlace), Ok(va));
    let beside = MapRequest { place: at(va + 10 * PAGE), ..MapRequest::anonymous(PAGE, NONE) };
    m.map(beside);
    assert_eq!(m.remap(va, 10, 12, Remap::InPlace), Err(Errno::Enomem));
    let moved = m.remap(va, 10, 12, Remap::MayMove).unwrap();
    (0..10).for_each(|n| assert_eq!(m.load(moved + n * PAGE), Ok(n as u8 + 1)));
    assert_eq!(m.load(moved + 11 * PAGE), Ok(0));
    assert_eq!(m.load(va), Err(Stop::Signal(Signal::Segv(SegvCode::MapErr))));
}

#[test]
fn a_move_takes_several_regions_and_their_holes_along() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(10);
        m.protect(va + 3 * PAGE, 1, Prot::READ).unwrap();
        m.unmap(va + 5 * PAGE, 1);
        let to = 0x3000_0000;
        assert_eq!(m.remap(va, 10, 10, Remap::Fixed(VirtAddr(to))), Ok(to));
        for n in (0..10).filter(|&n| n != 5) {
            assert_eq!(m.load(to + n * PAGE), Ok(n as u8 + 1));
        }
        let map_err = Err(Stop::Signal(Signal::Segv(SegvCode::MapErr)));
        assert_eq!(m.load(to + 5 * PAGE), map_err);
        assert_eq!(m.region(to + 3 * PAGE).prot, Prot::READ);
        let result = m.remap(to + 5 * PAGE, 2, 2, Remap::Fixed(VirtAddr(va)));
        assert_eq!(result, Err(Errno::Efault), "a hole first");
        assert_eq!(m.remap(to, 10, 8, Remap::Fixed(VirtAddr(va))), Err(Errno::Efault));
    });
}

#[test]
fn pages_go_and_the_mapping_stays() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(3);
        m.lock(va, 3, Lock::Now).unwrap();
        let how = Remap::DontUnmap(Placement::Anywhere { hint: VirtAddr(0x3000_0000) });
        assert_eq!(m.remap(va, 3, 3, how), Ok(0x3000_0000));
        (0..3).for_each(|n| assert_eq!(m.load(0x3000_0000 + n * PAGE), Ok(n as u8 + 1)));
        assert!(m.region(0x3000_0000).flags.contains(RegionFlags::LOCKED));
        assert!(!m.region(va).flags.contains(RegionFlags::LOCKED), "the lock goes with them");
        (0..3).for_each(|n| assert_eq!(m.load(va + n * PAGE), Ok(0)));
        m.audit();
    });
}

#[test]
fn shared_mappings_are_grown_and_made_once_more() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.add_file(4);
        let va = m.map_file(file, 2, RW, true);
        m.map(MapRequest { place: at(va + 2 * PAGE), ..MapRequest::anonymous(PAGE, NONE) });
        m.store(va + PAGE, 70).unwrap();
        let grown = m.remap(va, 2, 5, Remap::MayMove).unwrap();
        assert_eq!((m.load(grown + PAGE), m.load(grown + 3 * PAGE)), (Ok(70), Ok(4)));
        assert_eq!(m.load(grown + 4 * PAGE), Err(Stop::Signal(Signal::Bus)));
        let twin = m.remap(grown + PAGE, 0, 2, Remap::MayMove).unwrap();
        assert_ne!(twin, grown);
        assert_eq!(m.load(twin), Ok(70));
        m.store(twin, 71).unwrap();
        assert_eq!(m.load(grown + PAGE), Ok(71), "one page, two places");
        assert_eq!(m.remap(grown, 0, 1, Remap::InPlace), Err(Errno::Enomem));
        let private = m.map_file(file, 2, RW, false);
        assert_eq!(m.remap(private, 0, 1, Remap::MayMove), Err(Errno::Einval));
    });
}

#[test]
fn another_part_of_the_file_behind_the_same_addresses() {
    let mut m = roomy("sv39");
    let file = m.add_file(4);
    let va = m.map_file(file, 3, RW, true);
    let private = m.map_file(file, 3, RW, false);
    let anon = m.map_anon(1);
    let pages = |m: &mut Machine, at, pages, index| {
        m.kernel.remap_file_pages(&mut m.mock, m.space, VirtAddr(at), pages * PAGE, index)
    };
    assert_eq!(pages(&mut m, va, 1, 3), Ok(()));
    assert_eq!((m.load(va), m.load(va + PAGE)), (Ok(4), Ok(2)));
    assert_eq!(pages(&mut m, va, 3, 1), Ok(()), "across two mappings of the file");
    assert_eq!((m.load(va), m.load(va + 2 * PAGE)), (Ok(2), Ok(4)));
    for (at, len, index, error) in [
        (private, 1, 0, Errno::Einval),
        (anon, 1, 0, Errno::Einval),
        (va, 0, 0, Errno::Einval),
        (va, 1, u64::MAX, Errno::Einval),
        (va, 1, 1 << 52, Errno::Eoverflow),
        (0x20_0000, 1, 0, Errno::Einval),
    ] {
        assert_eq!(pages(&mut m, at, len, index), Err(error));
    }
    m.audit();
}

#[test]
fn limits_bound_address_space_data_and_stack() {
    let mut m = roomy("sv39");
    m.kernel.set_heap_start(m.space, VirtAddr(0x100_0000));
    let va = m.map_anon(4);
    let none = m.map(MapRequest::anonymous(2 * PAGE, NONE));
    let limits = |total: u64, data: u64| MemoryLimits {
        address_space: total * PAGE,
        data: data * PAGE,
        ..MemoryLimits::stack(4 * PAGE)
    };
    m.kernel.set_limits(m.space, limits(7, 100));
    assert_eq!(m.mmap(MapRequest::anonymous(2 * PAGE, NONE)), Err(Errno::Enomem));
    let again = MapRequest { place: at(va), ..MapRequest::anonymous(5 * PAGE, RW) };
    assert_eq!(m.mmap(MapRequest { place: at(va), ..again }), Ok(va), "what is replaced is free");
    assert_eq!(m.mmap(MapRequest::anonymous(PAGE, NONE)), Err(Errno::Enomem));
    assert_eq!(m.remap(va, 4, 20, Remap::MayMove), Err(Errno::Enomem));
    let heap = m.kernel.brk(&mut m.mock, m.space, VirtAddr(0x100_1000));
    assert_eq!(heap, VirtAddr(0x100_0000), "the heap stays where it was");
    assert_eq!(m.kernel.refusals(), Refusals { limit: 4, ..Refusals::default() });

    m.kernel.set_limits(m.space, limits(100, 6));
    assert_eq!(m.protect(none, 2, RW), Err(Errno::Enomem));
    assert_eq!(m.mmap(MapRequest::anonymous(2 * PAGE, RW)), Err(Errno::Enomem));
    m.map(MapRequest::anonymous(2 * PAGE, Prot::READ));
    let stack =
        MapRequest { place: at(0x4000_0000), grows_down: true, ..MapRequest::anonymous(PAGE, RW) };
    let stack = m.map(stack);
    assert_eq!(m.store(stack - 3 * PAGE, 1), Ok(()));
    assert_eq!(m.store(stack - 4 * PAGE, 1), Err(Stop::Signal(Signal::Segv(SegvCode::MapErr))));
    m.kernel.set_limits(m.space, MemoryLimits { stack: 100 * PAGE, ..limits(13, 6) });
    assert_eq!(m.store(stack - 4 * PAGE, 1), Err(Stop::Signal(Signal::Segv(SegvCode::MapErr))));
    m.audit();
}

#[test]
fn one_call_is_not_promised_more_than_there_is() {
    let config = Config { overcommit: Overcommit::Heuristic, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    let all = (config.frames + config.swap_slots) * PAGE;
    let request = MapRequest::anonymous(all + PAGE, RW);
    assert_eq!(m.mmap(request), Err(Errno::Enomem));
    let free = MapRequest { flags: RegionFlags::NO_RESERVE, ..request };
    assert!(m.mmap(free).is_ok());
    let reserved = m.map(MapRequest { prot: NONE, ..request });
    assert_eq!(m.protect(reserved, all / PAGE + 1, RW), Err(Errno::Enomem));
    assert_eq!(m.protect(reserved, all / PAGE, RW), Ok(()));
    assert!(m.mmap(MapRequest::anonymous(all, RW)).is_ok(), "each call by itself");
    assert_eq!(m.kernel.refusals().commitment, 2);
}

#[test]
fn no_more_is_promised_than_the_commit_limit() {
    let config = Config { overcommit: Overcommit::Never, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    // Half of RAM, and swap.
    let limit = (config.frames / 2 + config.swap_slots) * PAGE;
    assert_eq!(m.kernel.commitment(), Commitment { committed: 0, limit });
    let half = MapRequest::anonymous(limit / 2, RW);
    let va = m.map(half);
    assert_eq!(m.kernel.commitment().committed, limit / 2);
    // All promises count together, in all spaces, and reservations that ask not to be counted too.
    assert_eq!(m.mmap(half), Err(Errno::Enomem));
    let unreserved = MapRequest { flags: RegionFlags::NO_RESERVE, ..half };
    assert_eq!(m.mmap(unreserved), Err(Errno::Enomem));
    let error = m.kernel.fork_space(&mut m.mock, m.space).unwrap_err();
    assert_eq!(error, KernelError::OutOfMemory(Shortage::Promises));
    // What cannot be stored to is free until it can; what replaces something is no more than it.
    let reserved = m.map(MapRequest { prot: Prot::READ, ..half });
    assert_eq!(m.protect(reserved, limit / 2 / PAGE, RW), Err(Errno::Enomem));
    assert_eq!(m.mmap(MapRequest { place: at(va), ..half }), Ok(va));
    // The more is mapped, the more is kept from it: a thirty-second part, of RAM at most.
    let kept = config.frames * PAGE / 32;
    let rest = limit - limit / 2 - kept;
    assert_eq!(m.mmap(MapRequest::anonymous(rest, RW)), Err(Errno::Enomem));
    m.map(MapRequest::anonymous(rest - PAGE, RW));
    assert_eq!(m.kernel.refusals().commitment, 5);
    m.unmap(va, limit / 2 / PAGE);
    assert!(m.kernel.fork_space(&mut m.mock, m.space).is_ok());
    m.kernel.set_overcommit_ratio(200);
    assert_eq!(m.kernel.commitment().limit, (2 * config.frames + config.swap_slots) * PAGE);
    m.audit();
}

#[test]
fn a_space_has_so_many_regions() {
    let mut m = roomy("sv39");
    let pages = 2 * REGIONS_MAX as u64 + 10;
    let va = m.map_anon(pages);
    let mut cut = 0;
    let error = loop {
        match m.kernel.madvise(
            &mut m.mock,
            m.space,
            VirtAddr(va + (2 * cut + 1) * PAGE),
            PAGE,
            Advice::DontDump,
        ) {
            Ok(()) => cut += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Errno::Eagain);
    assert!(m.kernel.regions(m.space).count() <= REGIONS_MAX);
    let last = va + (2 * cut + 1) * PAGE;
    assert_eq!(m.protect(last, 1, Prot::READ), Err(Errno::Enomem));
    let unmapped = m.kernel.munmap(&mut m.mock, m.space, VirtAddr(last), PAGE);
    assert_eq!(unmapped, Err(Errno::Enomem), "a cut in the middle");
    assert_eq!(m.kernel.munmap(&mut m.mock, m.space, VirtAddr(va), pages * PAGE), Ok(()));
}

#[test]
fn stacks_are_protected_from_their_start() {
    let mut m = roomy("sv39");
    let place = at(0x4000_0000);
    let va = m.map(MapRequest { place, grows_down: true, ..MapRequest::anonymous(4 * PAGE, RW) });
    let anon = m.map_anon(1);
    let mut down =
        |at| m.kernel.mprotect_stack(&mut m.mock, m.space, VirtAddr(at), PAGE, Prot::READ);
    assert_eq!(down(va + 2 * PAGE), Ok(()));
    assert_eq!(down(anon), Err(Errno::Einval));
    assert_eq!(down(0x20_0000), Err(Errno::Enomem));
    let rights: Vec<_> = m.kernel.regions(m.space).map(|r| (r.start.0, r.prot)).collect();
    assert_eq!(rights[0], (va, Prot::READ));
    assert_eq!(rights[1], (va + 3 * PAGE, RW));
}

#[test]
fn programs_name_their_memory() {
    let mut m = roomy("sv39");
    let va = m.map_anon(4);
    let file = m.add_file(1);
    let of_file = m.map_file(file, 1, RW, true);
    let mut name = |at, pages, name| {
        m.kernel.name_range(&mut m.mock, m.space, VirtAddr(at), pages * PAGE, name)
    };
    assert_eq!(name(va, 2, Some(&b"arena 1"[..])), Ok(()));
    assert_eq!(name(of_file, 1, Some(&b"x"[..])), Err(Errno::Ebadf));
    assert_eq!(name(va, 2, Some(&[b'a'; NAME_BYTES_MAX + 1])), Err(Errno::Einval));
    assert_eq!(name(0x20_0000, 1, None), Err(Errno::Enomem));
    assert_eq!(name(va + PAGE, 1, None), Ok(()));
    let names: Vec<_> =
        m.kernel.regions(m.space).map(|r| m.kernel.region_name(r).map(<[u8]>::to_vec)).collect();
    assert_eq!(names, [None, Some(b"arena 1".to_vec()), None], "the file, the named, the rest");
}

#[test]
fn smaps_divides_what_is_shared() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.filled(3);
        m.lock(va, 3, Lock::Now).unwrap();
        let child = m.kernel.fork_space(&mut m.mock, m.space).expect("room");
        let parent = core::mem::replace(&mut m.space, child);
        m.store(va, 9).unwrap();
        let of = |m: &Machine, id| m.kernel.smaps(&m.mock, id)[0].holds;
        let holds = of(&m, parent);
        assert_eq!((holds.rss, holds.anonymous), (3 * PAGE, 3 * PAGE));
        assert_eq!((holds.private_dirty, holds.shared_dirty), (PAGE, 2 * PAGE));
        assert_eq!((holds.pss, holds.locked), (2 * PAGE, 2 * PAGE));
        assert_eq!(of(&m, child).locked, 0);
        m.space = parent;
        m.lock(va, 3, Lock::Not).unwrap();
        m.press();
        let holds = of(&m, parent);
        assert_eq!((holds.rss, holds.swap), (0, 3 * PAGE));
        assert_eq!(holds.swap_pss, 2 * PAGE);
        m.audit();
    });
}

/// Lets the scan go round often enough to have seen everything twice. The frames of the last four
/// faults are not looked at: there must be others.
fn merge(m: &mut Machine) {
    let scratch = m.filled(4);
    for _ in 0..40 {
        m.kernel.daemon(&mut m.mock);
        m.audit();
    }
    m.unmap(scratch, 4);
}

#[test]
fn pages_with_the_same_bytes_share_a_frame_until_a_store() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(12);
        (0..12).for_each(|n| m.store(va + n * PAGE, (n / 4) as u8).unwrap());
        m.advise(va, 12, Advice::Mergeable).unwrap();
        let frames = m.kernel.frames().anon;
        merge(&mut m);
        let stats = m.kernel.ksm();
        assert_eq!((stats.pages_shared, stats.pages_sharing), (3, 9), "{name}");
        assert_eq!((m.kernel.frames().anon, m.rss()), (frames - 9, 12));
        assert_eq!(m.kernel.smaps(&m.mock, m.space)[0].holds.ksm, 12 * PAGE);
        assert_eq!(m.store(va, 40), Ok(()));
        let found: Vec<_> = (0..12).map(|n| m.load(va + n * PAGE).unwrap()).collect();
        assert_eq!(found, [40, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(m.kernel.ksm().pages_sharing, 8);
        assert_eq!(m.advise(va, 8, Advice::Unmergeable), Ok(()));
        let stats = m.kernel.ksm();
        assert_eq!((stats.pages_shared, stats.pages_sharing), (1, 3));
        m.press();
        let found: Vec<_> = (0..12).map(|n| m.load(va + n * PAGE).unwrap()).collect();
        assert_eq!(found, [40, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        m.audit();
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.audit();
        assert_eq!((m.kernel.frames().anon, m.kernel.swap().used()), (0, 0));
    });
}

#[test]
fn pages_are_merged_across_spaces_and_forks() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(4);
        (0..4).for_each(|n| m.store(va + n * PAGE, 7).unwrap());
        m.advise(va, 4, Advice::Mergeable).unwrap();
        merge(&mut m);
        let parent = m.space;
        m.space = m.kernel.fork_space(&mut m.mock, parent).expect("room");
        m.store(va + PAGE, 8).unwrap();
        m.store(va + 2 * PAGE, 8).unwrap();
        merge(&mut m);
        let stats = m.kernel.ksm();
        assert_eq!((stats.pages_shared, stats.pages_sharing), (2, 6));
        assert_eq!((m.load(va), m.load(va + PAGE)), (Ok(7), Ok(8)));
        m.store(va + 2 * PAGE, 9).unwrap();
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.space = parent;
        m.audit();
        (0..4).for_each(|n| assert_eq!(m.load(va + n * PAGE), Ok(7)));
    });
}

#[test]
fn the_last_owner_of_a_merged_page_shares_it_again() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(4);
        (0..4).for_each(|n| m.store(va + n * PAGE, (n / 2) as u8 + 1).unwrap());
        m.advise(va, 4, Advice::Mergeable).unwrap();
        merge(&mut m);
        m.unmap(va + PAGE, 1);
        // The right to store comes back without a store.
        assert_eq!(m.protect(va, 1, Prot::READ), Ok(()));
        assert_eq!(m.protect(va, 1, RW), Ok(()));
        (2..4).for_each(|n| m.store(va + n * PAGE, 1).unwrap());
        merge(&mut m);
        assert_eq!(m.kernel.ksm().pages_sharing, 2, "{name}");
        m.store(va, 9).unwrap();
        assert_eq!((2..4).map(|n| m.load(va + n * PAGE)).collect::<Vec<_>>(), [Ok(1), Ok(1)]);
        m.audit();
    });
}

#[test]
fn pages_that_change_between_rounds_are_left_alone() {
    let mut m = roomy("sv39");
    let va = m.map_anon(2);
    m.advise(va, 2, Advice::Mergeable).unwrap();
    for round in 0..20 {
        m.store(va, round).unwrap();
        m.store(va + PAGE, round).unwrap();
        let before = m.kernel.ksm().full_scans;
        while m.kernel.ksm().full_scans == before {
            m.kernel.daemon(&mut m.mock);
        }
    }
    assert_eq!(m.kernel.ksm().pages_sharing, 0);
    m.unmap(va, 2);
    merge(&mut m);
    let scans = m.kernel.ksm().full_scans;
    (0..100).for_each(|_| m.kernel.daemon(&mut m.mock));
    assert_eq!(m.kernel.ksm().full_scans, scans, "nothing to merge, nothing to do");
}
