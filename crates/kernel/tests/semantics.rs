//! What a program sees, on all page tables.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::{AccessKind, VirtAddr};

const MAP_ERR: Stop = Stop::Signal(Signal::Segv(SegvCode::MapErr));
const ACC_ERR: Stop = Stop::Signal(Signal::Segv(SegvCode::AccErr));
const BUS: Stop = Stop::Signal(Signal::Bus);

fn roomy(name: &str) -> Machine {
    Machine::new(name, Config::default())
}

#[test]
fn anonymous_memory_is_zero_and_keeps_stores() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(4);
        assert_eq!(m.load(va), Ok(0));
        assert_eq!(m.store(va + PAGE + 5, 7), Ok(()));
        assert_eq!(m.load(va + PAGE + 5), Ok(7));
        assert_eq!(m.load(va + PAGE + 6), Ok(0));
        assert_eq!(m.kernel.counters().pgfault, 2);
        assert_eq!(m.kernel.counters().pgmajfault, 0);
        assert_eq!(m.kernel.residency(m.space).rss_anon, 2);
        m.audit();
    });
}

#[test]
fn illegal_accesses_have_the_right_code() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        assert_eq!(m.load(0), Err(MAP_ERR));
        assert_eq!(m.store(8, 1), Err(MAP_ERR));
        let va = m.map(MapRequest::anonymous(PAGE, Prot::READ));
        assert_eq!(m.load(va), Ok(0));
        assert_eq!(m.store(va, 1), Err(ACC_ERR));
        let result = m.kernel.fault(&mut m.mock, m.space, VirtAddr(va), AccessKind::Execute);
        let signal = Signal::Segv(SegvCode::AccErr);
        assert_eq!(result, FaultResult::Signal { signal, addr: VirtAddr(va) });
        assert_eq!((signal.signo(), signal.si_code()), (11, 2));
        assert_eq!(m.load(va + PAGE), Err(MAP_ERR));
        let none = m.map(MapRequest::anonymous(PAGE, Prot::empty()));
        assert_eq!(m.load(none), Err(ACC_ERR));
        m.audit();
    });
}

#[test]
fn write_only_memory_can_be_read() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map(MapRequest::anonymous(PAGE, Prot::WRITE));
        assert_eq!(m.load(va), Ok(0));
        assert_eq!(m.store(va, 3), Ok(()));
        assert_eq!(m.load(va), Ok(3));
        m.audit();
    });
}

#[test]
fn page_zero_is_refused() {
    let mut m = roomy("sv39");
    for (place, error) in [
        (at(0), Errno::Eperm),
        (at(0x1001), Errno::Einval),
        (at(LAYOUT.user_end.0 - PAGE), Errno::Enomem),
    ] {
        let request = MapRequest { place, ..MapRequest::anonymous(2 * PAGE, RW) };
        assert_eq!(m.kernel.mmap(&mut m.mock, m.space, request), Err(error));
    }
    let hint = MapRequest {
        place: Placement::Anywhere { hint: VirtAddr(0x1000) },
        ..MapRequest::anonymous(PAGE, RW)
    };
    assert_eq!(m.map(hint), LAYOUT.user_start.0, "as near as can be");
}

#[test]
fn mappings_are_placed_downwards_and_fill_gaps() {
    let mut m = roomy("sv48");
    let a = m.map(MapRequest::anonymous(2 * PAGE, RW));
    let b = m.map(MapRequest::anonymous(PAGE, Prot::READ));
    let c = m.map(MapRequest::anonymous(PAGE, RW));
    assert_eq!((a, b, c), (0x6fff_e000, 0x6fff_d000, 0x6fff_c000));
    m.unmap(b, 1);
    assert_eq!(m.map(MapRequest::anonymous(2 * PAGE, RW)), 0x6fff_a000);
    assert_eq!(m.map(MapRequest::anonymous(PAGE, Prot::READ)), b);
    let no_replace = MapRequest {
        place: Placement::FixedNoReplace(VirtAddr(a)),
        ..MapRequest::anonymous(PAGE, RW)
    };
    assert_eq!(m.kernel.mmap(&mut m.mock, m.space, no_replace), Err(Errno::Eexist));
    let all = MapRequest::anonymous(LAYOUT.user_end.0, RW);
    assert_eq!(m.kernel.mmap(&mut m.mock, m.space, all), Err(Errno::Enomem));
    m.audit();
}

#[test]
fn private_file_pages_are_copied_by_a_store() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; 2 * PAGE as usize]);
        let va = m.map_file(0, 2, RW, false);
        let other = m.map_file(0, 2, Prot::READ, false);
        assert_eq!(m.load(va), Ok(5));
        assert_eq!(m.load(other), Ok(5));
        assert_eq!(m.kernel.frames().file, 1, "one frame for both mappings");
        m.audit();
        assert_eq!(m.store(va, 9), Ok(()));
        assert_eq!((m.load(va), m.load(va + 1), m.load(other)), (Ok(9), Ok(5), Ok(5)));
        assert_eq!(m.store(va + PAGE, 8), Ok(()), "copied without having been mapped");
        assert_eq!((m.load(va + PAGE), m.load(other + PAGE)), (Ok(8), Ok(5)));
        assert_eq!(m.kernel.counters().cow_copied, 2);
        m.audit();
        m.press();
        assert_eq!((m.load(va), m.load(va + PAGE), m.load(other)), (Ok(9), Ok(8), Ok(5)));
        assert_eq!(m.mock.files[0], vec![5; 2 * PAGE as usize]);
        m.audit();
    });
}

#[test]
fn shared_file_pages_reach_the_file() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; PAGE as usize + 100]);
        let va = m.map_file(0, 2, RW, true);
        let other = m.map_file(0, 2, Prot::READ, true);
        m.store(va, 9).unwrap();
        m.store(va + PAGE + 99, 8).unwrap();
        m.store(va + PAGE + 100, 7).unwrap();
        assert_eq!(m.load(other), Ok(9));
        assert_eq!(m.mock.files[0][0], 5, "not yet");
        m.kernel.msync(&mut m.mock, m.space, VirtAddr(va), PAGE, SYNC).unwrap();
        assert_eq!(m.mock.files[0][0], 9);
        m.audit();
        m.store(va, 10).unwrap();
        m.unmap(va, 2);
        m.unmap(other, 2);
        assert_eq!((m.mock.files[0][0], m.mock.files[0][PAGE as usize + 99]), (10, 8));
        assert_eq!(m.mock.files[0].len(), PAGE as usize + 100, "what is beyond the end is lost");
        m.audit();
    });
}

#[test]
fn dirty_shared_pages_are_written_when_evicted() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 8, 0);
        m.mock.files.push(vec![0; 64 * PAGE as usize]);
        let va = m.map_file(0, 64, RW, true);
        for page in 0..64 {
            m.store(va + page * PAGE, page as u8 + 1).unwrap();
            m.audit();
        }
        assert!(m.kernel.counters().pgpgout > 0);
        for page in 0..64 {
            assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1));
        }
        m.kernel.destroy_space(&mut m.mock, m.space);
        for page in 0..64 {
            assert_eq!(m.mock.files[0][page * PAGE as usize], page as u8 + 1);
        }
    });
}

#[test]
fn beyond_the_end_of_a_file_is_a_bus_error() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; 100]);
        let va = m.map_file(0, 2, RW, false);
        assert_eq!((m.load(va + 99), m.load(va + 100)), (Ok(5), Ok(0)));
        assert_eq!(m.load(va + PAGE), Err(BUS));
        assert_eq!(m.store(va + PAGE, 1), Err(BUS));
        assert_eq!((Signal::Bus.signo(), Signal::Bus.si_code()), (7, 2));
        m.audit();
    });
}

#[test]
fn the_stack_grows_to_its_limit_and_keeps_its_distance() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let top = LAYOUT.stack_top.0;
        let stack = MapRequest {
            place: at(top - 2 * PAGE),
            grows_down: true,
            name: RegionName::Stack,
            ..MapRequest::anonymous(2 * PAGE, RW)
        };
        m.map(stack);
        assert_eq!(m.store(top - 20 * PAGE, 1), Ok(()));
        assert_eq!(m.store(top - 64 * PAGE, 1), Ok(()));
        assert_eq!(m.store(top - 64 * PAGE - 1, 1), Err(MAP_ERR));
        let regions: Vec<_> = m.kernel.regions(m.space).map(|region| region.to_string()).collect();
        assert_eq!(regions, ["7ffbf000-7ffff000 rw-p 00000000 [stack]"]);
        m.audit();

        let mut m = roomy(name);
        m.map(stack);
        let below = top - 40 * PAGE - 256 * PAGE;
        m.map(MapRequest { place: at(below), ..MapRequest::anonymous(PAGE, RW) });
        assert_eq!(m.store(below + PAGE + 256 * PAGE, 1), Ok(()));
        assert_eq!(m.store(below + PAGE + 256 * PAGE - 1, 1), Err(MAP_ERR), "the guard");
        m.audit();
    });
}

#[test]
fn the_heap_grows_and_shrinks() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let start = 0x4_0123;
        m.kernel.set_heap_start(m.space, VirtAddr(start));
        let base = 0x4_1000;
        let brk = |m: &mut Machine, to| m.kernel.brk(&mut m.mock, m.space, VirtAddr(to)).0;
        assert_eq!(brk(&mut m, 0), base);
        assert_eq!(brk(&mut m, base + 10), base + 10);
        assert_eq!(m.store(base + PAGE - 1, 4), Ok(()));
        assert_eq!(m.store(base + PAGE, 4), Err(MAP_ERR));
        assert_eq!(brk(&mut m, base + 3 * PAGE), base + 3 * PAGE);
        assert_eq!(m.store(base + 2 * PAGE, 4), Ok(()));
        assert_eq!(m.kernel.regions(m.space).count(), 1, "the heap is one region");
        assert_eq!(brk(&mut m, base + PAGE), base + PAGE);
        assert_eq!(m.load(base + 2 * PAGE), Err(MAP_ERR));
        assert_eq!(brk(&mut m, base + 3 * PAGE), base + 3 * PAGE);
        assert_eq!(m.load(base + 2 * PAGE), Ok(0), "what was given back is zero again");
        let wall = base + 10 * PAGE;
        m.map(MapRequest { place: at(wall), ..MapRequest::anonymous(PAGE, RW) });
        assert_eq!(brk(&mut m, wall), base + 3 * PAGE, "a page stays free");
        assert_eq!(brk(&mut m, wall - PAGE), wall - PAGE);
        m.audit();
    });
}

#[test]
fn protection_can_be_taken_and_given_back() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(3);
        for page in 0..3 {
            m.store(va + page * PAGE, 1).unwrap();
        }
        let protect = |m: &mut Machine, at, prot| {
            m.kernel.mprotect(&mut m.mock, m.space, VirtAddr(at), PAGE, prot)
        };
        protect(&mut m, va + PAGE, Prot::READ).unwrap();
        assert_eq!(m.store(va + PAGE, 2), Err(ACC_ERR));
        assert_eq!((m.store(va, 2), m.store(va + 2 * PAGE, 2)), (Ok(()), Ok(())));
        assert_eq!(m.kernel.regions(m.space).count(), 3);
        protect(&mut m, va + PAGE, Prot::empty()).unwrap();
        assert_eq!(m.load(va + PAGE), Err(ACC_ERR));
        m.audit();
        m.press();
        m.audit();
        protect(&mut m, va + PAGE, RW).unwrap();
        assert_eq!(m.load(va + PAGE), Ok(1));
        assert_eq!(m.store(va + PAGE, 3), Ok(()));
        assert_eq!(m.kernel.regions(m.space).count(), 1, "joined again");
        assert_eq!(protect(&mut m, va + 3 * PAGE, RW), Err(Errno::Enomem));
        m.audit();
    });
}

#[test]
fn a_file_opened_for_reading_stays_so() {
    let mut m = roomy("sv39");
    m.mock.files.push(vec![5; PAGE as usize]);
    let request = MapRequest {
        backing: Backing::File { file: FileId(0), offset: 0 },
        shared: true,
        may_write: false,
        ..MapRequest::anonymous(PAGE, Prot::READ)
    };
    let va = VirtAddr(m.map(request));
    assert_eq!(m.kernel.mprotect(&mut m.mock, m.space, va, PAGE, RW), Err(Errno::Eacces));
    let writable = MapRequest { prot: RW, ..request };
    assert_eq!(m.kernel.mmap(&mut m.mock, m.space, writable), Err(Errno::Eacces));
    m.audit();
}

#[test]
fn memory_larger_than_ram_goes_through_swap() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 10, 200);
        let va = m.map_anon(150);
        for page in 0..150 {
            m.store(va + page * PAGE + page, page as u8).unwrap();
            m.audit();
        }
        for page in 0..150 {
            assert_eq!(m.load(va + page * PAGE + page), Ok(page as u8));
        }
        m.audit();
        let c = *m.kernel.counters();
        assert!(c.pswpout > 100 && c.pswpin > 100 && c.pgmajfault == c.pswpin, "{c:?}");
        assert!(c.pgdrop_clean > 0, "clean pages are not written again: {c:?}");
        assert!(c.pswpout < 250, "{c:?}");
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.audit();
        let frames = m.kernel.frames();
        let wired = machine_tables(&m);
        assert_eq!((frames.free, frames.page_table, frames.anon), (frames.total - wired, wired, 0));
        assert_eq!(m.kernel.swap().used(), 0);
    });
}

#[test]
fn zero_pages_are_dropped_without_a_write() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 8, 0);
        let va = m.map_anon(100);
        for page in 0..100 {
            assert_eq!(m.load(va + page * PAGE), Ok(0), "read only: no swap is needed");
        }
        m.audit();
    });
}

#[test]
fn exhaustion_says_what_is_short() {
    on_all_formats(|name| {
        for (slots, expected) in [(0, Shortage::NoSwap), (20, Shortage::SwapFull)] {
            let mut m = Machine::tight(name, 10, slots);
            let va = m.map_anon(200);
            let stored = (0..200).take_while(|page| m.store(va + page * PAGE, 1).is_ok()).count();
            assert!(stored as u64 >= slots + 10, "{name}: {stored}");
            let next = VirtAddr(va + stored as u64 * PAGE);
            let result = m.kernel.fault(&mut m.mock, m.space, next, AccessKind::Write);
            assert_eq!(result, FaultResult::OutOfMemory(expected), "{name}");
            m.audit();
            for page in 0..stored as u64 {
                // A load may need a frame that is not to be had, but never shows other bytes.
                assert!(matches!(m.load(va + page * PAGE), Ok(1) | Err(Stop::OutOfMemory)));
            }
        }
    });
}

#[test]
fn slots_kept_by_clean_pages_are_reclaimed() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 30, 40);
        let va = m.map_anon(60);
        for page in 0..60 {
            m.store(va + page * PAGE, page as u8).unwrap();
        }
        for round in 0..4 {
            for page in 0..60 {
                assert_eq!(m.load(va + page * PAGE), Ok(page as u8), "{name} {round}");
            }
            m.audit();
        }
    });
}

#[test]
fn a_failing_swap_device_loses_nothing() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 12, 400);
        let va = m.map_anon(60);
        m.mock.swap_write_fails = sometimes(3, 1);
        for page in 0..60 {
            while m.store(va + page * PAGE, page as u8) != Ok(()) {}
            m.audit();
        }
        assert!(m.kernel.counters().swap_io_errors > 0);
        assert!(m.kernel.swap().bad() > 0);
        m.mock.swap_write_fails = always(IoError::Io);
        for page in 60..100 {
            let _ = m.store(va + page % 60 * PAGE, (page % 60) as u8);
            m.audit();
        }
        m.mock.heal();
        for page in 0..60 {
            assert_eq!(m.load(va + page * PAGE), Ok(page as u8));
        }
        m.audit();
    });
}

#[test]
fn a_dead_swap_device_ends_in_out_of_memory() {
    let mut m = Machine::tight("sv39", 10, 1000);
    m.mock.swap_write_fails = always(IoError::Io);
    let va = m.map_anon(100);
    let stored = (0..100).take_while(|page| m.store(va + page * PAGE, 1).is_ok()).count() as u64;
    assert!(stored < 100);
    let result =
        m.kernel.fault(&mut m.mock, m.space, VirtAddr(va + stored * PAGE), AccessKind::Write);
    assert_eq!(result, FaultResult::OutOfMemory(Shortage::IoErrors));
    assert!((0..stored).all(|page| m.load(va + page * PAGE) == Ok(1)));
    m.audit();
}

#[test]
fn a_page_that_cannot_be_read_back_is_a_bus_error() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 10, 200);
        let va = m.map_anon(100);
        for page in 0..100 {
            m.store(va + page * PAGE, 1).unwrap();
        }
        m.mock.swap_read_fails = always(IoError::Short);
        assert_eq!(m.load(va), Err(BUS));
        m.audit();
        m.mock.heal();
        assert_eq!(m.load(va), Ok(1), "the slot is still there");
        m.audit();
    });
}

#[test]
fn a_file_that_cannot_be_written_stays_dirty() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 20, 100);
        m.mock.files.push(vec![0; 8 * PAGE as usize]);
        let va = m.map_file(0, 8, RW, true);
        m.mock.file_write_fails = always(IoError::NoSpace);
        for page in 0..8 {
            m.store(va + page * PAGE + 4095, 7).unwrap();
        }
        m.press();
        m.audit();
        let result = m.kernel.msync(&mut m.mock, m.space, VirtAddr(va), 8 * PAGE, SYNC);
        assert_eq!(result, Err(Errno::Enospc));
        m.unmap(va, 8);
        assert!(m.kernel.counters().file_io_errors > 8);
        assert_eq!(m.kernel.frames().file, 8);
        assert!(!m.kernel.forget_file(&mut m.mock, FileId(0)));
        m.audit();
        m.mock.heal();
        assert!(m.kernel.forget_file(&mut m.mock, FileId(0)));
        assert!((0..8).all(|page| m.mock.files[0][page * 4096 + 4095] == 7));
        assert_eq!(m.kernel.frames().file, 0);
        m.audit();
    });
}

#[test]
fn unreadable_files_are_bus_errors() {
    let mut m = roomy("x86-64");
    m.mock.files.push(vec![5; PAGE as usize]);
    let va = m.map_file(0, 1, RW, false);
    m.mock.file_read_fails = always(IoError::Io);
    assert_eq!(m.load(va), Err(BUS));
    assert_eq!(m.store(va, 1), Err(BUS));
    m.audit();
    m.mock.heal();
    assert_eq!(m.load(va), Ok(5));
    assert_eq!(m.kernel.counters().file_io_errors, 2);
}

#[test]
fn advice_drops_pages() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; PAGE as usize]);
        let (anon, file) = (m.map_anon(2), m.map_file(0, 1, RW, false));
        for va in [anon, anon + PAGE, file] {
            m.store(va, 1).unwrap();
            m.kernel.madvise(&mut m.mock, m.space, VirtAddr(va), PAGE, DONTNEED).unwrap();
        }
        assert_eq!((m.load(anon), m.load(anon + PAGE), m.load(file)), (Ok(0), Ok(0), Ok(5)));
        let hole = m.kernel.madvise(&mut m.mock, m.space, VirtAddr(anon), 9 * PAGE, DONTNEED);
        assert_eq!(hole, Err(Errno::Enomem));
        m.audit();
    });
}

#[test]
fn mincore_sees_memory_and_cache() {
    let mut m = roomy("pae");
    m.mock.files.push(vec![5; 2 * PAGE as usize]);
    let (a, b) = (m.map_file(0, 2, RW, false), m.map_file(0, 2, Prot::READ, true));
    m.load(b + PAGE).unwrap();
    let mut pages = [9; 2];
    m.kernel.mincore(&m.mock, m.space, VirtAddr(a), &mut pages).unwrap();
    assert_eq!(pages, [0, 1], "in the cache, though not mapped there");
    let hole = m.kernel.mincore(&m.mock, m.space, VirtAddr(0x10_0000), &mut pages);
    assert_eq!(hole, Err(Errno::Enomem));
}

#[test]
fn mremap_shrinks_grows_and_moves() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 16, 300);
        let remap = |m: &mut Machine, va, old, new, how| {
            let va = VirtAddr(va);
            m.kernel.mremap(&mut m.mock, m.space, va, old * PAGE, new * PAGE, how).map(|va| va.0)
        };
        m.map(MapRequest::anonymous(PAGE, Prot::READ)); // in the way above
        let va = m.map_anon(40);
        for page in 0..40 {
            m.store(va + page * PAGE, page as u8 + 1).unwrap();
        }
        assert_eq!(remap(&mut m, va, 40, 30, Remap::InPlace), Ok(va));
        assert_eq!(m.load(va + 30 * PAGE), Err(MAP_ERR));
        assert_eq!(remap(&mut m, va, 30, 40, Remap::InPlace), Ok(va));
        assert_eq!(m.load(va + 30 * PAGE), Ok(0));
        assert_eq!(remap(&mut m, va, 40, 50, Remap::InPlace), Err(Errno::Enomem));
        let to = remap(&mut m, va, 40, 50, Remap::MayMove).unwrap();
        assert_ne!(to, va);
        m.audit();
        assert_eq!(m.load(va), Err(MAP_ERR));
        let fixed = 0x2000_0000;
        let how = Remap::Fixed(VirtAddr(fixed));
        assert_eq!(remap(&mut m, to, 50, 50, how), Ok(fixed));
        m.audit();
        for page in 0..50 {
            let expected = if page < 30 { page as u8 + 1 } else { 0 };
            assert_eq!(m.load(fixed + page * PAGE), Ok(expected));
        }
        assert_eq!(remap(&mut m, 0x3000_0000, 1, 2, Remap::MayMove), Err(Errno::Efault));
        m.audit();
    });
}

#[test]
fn system_calls_copy_through_faults() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = VirtAddr(m.map_anon(3) + PAGE - 3);
        let text = b"hello, pages\0";
        m.kernel.copy_out(&mut m.mock, m.space, va, text).unwrap();
        let mut back = [0; 13];
        m.kernel.copy_in(&mut m.mock, m.space, va, &mut back).unwrap();
        assert_eq!(&back, text);
        let string = m.kernel.read_cstr(&mut m.mock, m.space, va, 100).unwrap();
        assert_eq!(string, b"hello, pages");
        let short = m.kernel.read_cstr(&mut m.mock, m.space, va, 5);
        assert_eq!(short, Err(CopyError::TooLong));
        m.audit();
        m.press();
        assert_eq!(m.load(va.0), Ok(b'h'), "the copy made the page dirty");

        let read_only = VirtAddr(m.map(MapRequest::anonymous(PAGE, Prot::READ)));
        let refused = m.kernel.copy_out(&mut m.mock, m.space, read_only, b"x");
        assert_eq!(refused, Err(CopyError::Fault(read_only)));
        let null = m.kernel.copy_in(&mut m.mock, m.space, VirtAddr(4), &mut back);
        assert_eq!(null, Err(CopyError::Fault(VirtAddr(4))));
        m.mock.files.push(vec![5; PAGE as usize]);
        let file = VirtAddr(m.map_file(0, 1, RW, false));
        m.kernel.copy_in(&mut m.mock, m.space, file, &mut back).unwrap();
        m.kernel.copy_out(&mut m.mock, m.space, file, b"x").unwrap();
        assert_eq!((m.load(file.0), m.mock.files[0][0]), (Ok(b'x'), 5), "copied on write");
        m.audit();
    });
}

#[test]
fn files_written_by_calls_show_in_mappings() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; 2 * PAGE as usize]);
        let va = m.map_file(0, 2, RW, true);
        m.store(va, 1).unwrap();
        m.load(va + PAGE).unwrap();
        m.kernel.sync_file(&mut m.mock, FileId(0), 0..10).unwrap();
        m.mock.files[0][1] = 77;
        m.kernel.file_changed(&mut m.mock, FileId(0), 1..2).unwrap();
        assert_eq!((m.load(va), m.load(va + 1)), (Ok(1), Ok(77)));
        m.mock.files[0].truncate(PAGE as usize);
        m.kernel.file_changed(&mut m.mock, FileId(0), PAGE..u64::MAX).unwrap();
        assert_eq!(m.load(va + PAGE), Err(BUS));
        assert!(!m.kernel.forget_file(&mut m.mock, FileId(0)), "still mapped");
        m.audit();
    });
}

#[test]
fn huge_sparse_regions_come_and_go() {
    for name in ["x86-64", "sv39", "sv57", "x86-64-la57", "inverted", "hashed", TINY] {
        let mut m = Machine::new(name, Config::default());
        let wide = Layout {
            user_end: VirtAddr(1 << 38),
            mmap_base: VirtAddr((1 << 38) - (1 << 30)),
            ..LAYOUT
        };
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.space = m.kernel.create_space(&mut m.mock, wide).unwrap();
        let free = m.kernel.frames().free;
        let va = m.map(MapRequest::anonymous(64 << 30, RW));
        for gib in 0..8 {
            m.store(va + (gib << 33), 1).unwrap();
        }
        m.audit();
        m.unmap(va, (64 << 30) / PAGE);
        m.audit();
        assert_eq!(m.kernel.frames().free, free, "{name}");
    }
}

#[test]
fn page_tables_go_when_they_are_empty() {
    on_all_trees(|name| {
        let mut m = roomy(name);
        let before = m.kernel.residency(m.space).page_tables;
        let va = m.map_anon(3000);
        for page in (0..3000).step_by(150) {
            m.load(va + page * PAGE).unwrap();
        }
        assert!(m.kernel.residency(m.space).page_tables > before);
        m.unmap(va, 3000);
        assert_eq!(m.kernel.residency(m.space).page_tables, before);
        m.audit();
    });
}

#[test]
fn too_little_memory_is_refused_with_the_minimum() {
    on_all_formats(|name| {
        let minimum = frames_min(name);
        assert!(minimum < 32, "{name} needs {minimum} frames");
        let config = Config { frames: minimum - 1, ..Config::default() };
        let error = Kernel::<AnyPmap>::new(tables(name, minimum - 1), config).unwrap_err();
        assert!(error.to_string().contains(&format!("at least {minimum}")), "{error}");
        // The minimum is enough to make progress.
        let mut m = Machine::tight(name, 0, 100);
        let va = m.map_anon(50);
        for page in 0..50 {
            m.store(va + page * PAGE, page as u8).unwrap();
        }
        assert!((0..50).all(|page| m.load(va + page * PAGE) == Ok(page as u8)));
        m.audit();
    });
}

#[test]
fn every_policy_pages() {
    for policy in pagewalk_replacement::PolicyKind::ALL {
        let config = Config { frames: 40, policy, ..Config::default() };
        let mut m = Machine::new("sv39", config);
        let va = m.map_anon(100);
        for page in 0..100 {
            m.store(va + page * PAGE, page as u8).unwrap();
        }
        assert!((0..100).all(|page| m.load(va + page * PAGE) == Ok(page as u8)), "{policy}");
        m.audit();
    }
}

#[test]
fn spaces_are_isolated() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let request = MapRequest { place: at(0x10_0000), ..MapRequest::anonymous(PAGE, RW) };
        let va = m.map(request);
        m.store(va, 1).unwrap();
        let first = m.space;
        m.space = m.kernel.create_space(&mut m.mock, LAYOUT).unwrap();
        assert_eq!(m.load(va), Err(MAP_ERR));
        m.map(request);
        m.store(va, 2).unwrap();
        m.audit();
        m.kernel.destroy_space(&mut m.mock, first);
        assert_eq!(m.load(va), Ok(2));
        m.audit();
    });
}

#[test]
fn a_snapshot_goes_its_own_way() {
    let mut m = roomy("sv39");
    let va = m.map_anon(1);
    m.store(va, 1).unwrap();
    let (kernel, ram) = (m.kernel.clone(), m.mock.ram.clone());
    m.store(va, 2).unwrap();
    m.unmap(va, 1);
    (m.kernel, m.mock.ram) = (kernel, ram);
    m.mock.flush(Flush::All);
    assert_eq!(m.load(va), Ok(1));
    m.audit();
}

#[test]
fn write_only_private_files_can_be_read_before_the_copy() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; PAGE as usize]);
        let va = m.map_file(0, 1, Prot::WRITE, false);
        assert_eq!(m.load(va), Ok(5));
        assert_eq!(m.store(va, 3), Ok(()));
        assert_eq!((m.load(va), m.load(va + 1)), (Ok(3), Ok(5)));
        m.audit();
    });
}

#[test]
fn a_full_machine_still_runs_what_can_be_dropped() {
    // Everything but a file's clean pages is stuck: the daemon must not take the page that was
    // just read before the instruction restarts.
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 10, 0);
        m.mock.files.push(vec![5; 40 * PAGE as usize]);
        let (file, anon) = (m.map_file(0, 40, Prot::READ, false), m.map_anon(100));
        let mut stuck = 0;
        while m.store(anon + stuck * PAGE, 1).is_ok() {
            stuck += 1;
        }
        for page in 0..40 {
            assert!(matches!(m.load(file + page * PAGE), Ok(5) | Err(Stop::OutOfMemory)));
            m.audit();
        }
    });
}

#[test]
fn a_page_that_arrives_after_its_file_was_closed_is_not_kept() {
    let config = Config { device_wait: DeviceWait::Thread, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    m.mock.files.push(vec![1; PAGE as usize]);
    let va = m.map_file(0, 1, RW, true);
    let attempt = m.attempt(VirtAddr(va), AccessKind::Read, Waited::default());
    let Attempt::Wait { on: Some(read), .. } = attempt else { panic!("{attempt:?}") };
    // Who waited is killed, and its descriptors are closed.
    m.unmap(va, 1);
    assert!(m.kernel.forget_file(&mut m.mock, FileId(0)));
    m.complete(read);
    m.audit();
    // Opened again, and truncated, which nobody is told: no page of it is known.
    m.mock.files[0].fill(2);
    let va = m.map_file(0, 1, RW, true);
    assert_eq!(m.load(va), Ok(2));
}
