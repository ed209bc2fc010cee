//! Large pages: when they are mapped, when they are split, and that nobody can tell by the bytes.

mod common;

use common::*;
use pagewalk_kernel::{
    Advice, AnyPmap, Config, Errno, FaultResult, HugeAdvice, HugePolicy, IoError, Placement, Pmap,
    Prot, Remap, Watermarks,
};
use pagewalk_mmu::{AccessKind, VirtAddr};

/// Base pages of a large page, on the tables called `name`; 0 if they have none.
fn large(name: &str) -> u64 {
    AnyPmap::large_page(&tables(name, 0)).map_or(0, |size| size.bytes() / PAGE)
}

/// Runs a test on all tables with large pages: with the tables' name, and with the base pages of a
/// large page.
fn on_large_formats(test: impl Fn(&str, u64)) {
    let names: Vec<_> = formats().filter(|name| large(name) > 0).collect();
    assert!(names.contains(&"ia32") && names.contains(&"sv39") && names.contains(&SVADE));
    names.into_iter().for_each(|name| test(name, large(name)));
}

/// A machine with room for two large pages and at least as many base pages.
fn machine(name: &str, huge: HugePolicy) -> Machine {
    let frames = 3 * large(name) + 400;
    let config = Config { frames, huge, watermarks: Some(Watermarks::none()), ..Config::default() };
    Machine::new(name, config)
}

/// Maps `count` large pages at a multiple of their size.
fn map_large(m: &mut Machine, pages: u64, count: u64) -> u64 {
    let va = 0x2000_0000;
    assert_eq!(va % (pages * PAGE), 0);
    m.map(pagewalk_kernel::MapRequest {
        place: at(va),
        ..pagewalk_kernel::MapRequest::anonymous(count * pages * PAGE, RW)
    })
}

/// Fills memory with base pages until `rest` frames are free. Returns where the next page goes.
fn fill(m: &mut Machine, rest: u64) -> u64 {
    let pages = m.kernel.frames().total;
    let hog = m.map_anon(pages);
    let (start, len) = (VirtAddr(hog), pages * PAGE);
    m.kernel.madvise(&mut m.mock, m.space, start, len, Advice::Huge(HugeAdvice::Avoid)).unwrap();
    let mut next = hog;
    while m.kernel.frames().free > rest {
        m.store(next, 1).unwrap();
        next += PAGE;
    }
    next
}

fn huge_pages(m: &Machine) -> u64 {
    m.kernel.residency(m.space).anon_huge
}

fn splits(m: &Machine) -> u64 {
    m.kernel.counters().thp_split_page
}

/// Gives some pages of a large page bytes of their own, and says which.
fn mark(m: &mut Machine, va: u64, pages: u64) -> Vec<u64> {
    let marked = vec![0, 1, pages / 2 - 1, pages / 2, pages - 1];
    for &page in &marked {
        m.store(va + page * PAGE + 7, page as u8 | 1).unwrap();
    }
    marked
}

/// Checks the bytes of [`mark`] and those of pages between, except in `gone`.
fn check(m: &mut Machine, va: u64, marked: &[u64], gone: std::ops::Range<u64>) {
    for &page in marked.iter().filter(|page| !gone.contains(page)) {
        assert_eq!(m.load(va + page * PAGE + 7), Ok(page as u8 | 1), "page {page}");
    }
    assert_eq!(m.load(va + 2 * PAGE + 7), Ok(0));
    m.audit();
}

#[test]
fn a_fault_maps_a_large_page_of_zeroes() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let tables = m.kernel.residency(m.space).page_tables;
        let va = map_large(&mut m, pages, 2);
        m.store(va + 5 * PAGE + 3, 9).unwrap();
        m.audit();
        let counters = m.kernel.counters();
        assert_eq!((counters.thp_fault_alloc, counters.pgzeroed), (1, pages), "{name}");
        assert_eq!((huge_pages(&m), m.kernel.residency(m.space).rss_anon), (pages, pages));
        let faults = m.kernel.counters().pgfault;
        for page in 0..pages {
            assert_eq!(m.load(va + page * PAGE + 3), Ok(if page == 5 { 9 } else { 0 }));
        }
        assert_eq!(m.kernel.counters().pgfault, faults, "the large page serves all its parts");
        m.unmap(va, 2 * pages);
        m.audit();
        assert_eq!((huge_pages(&m), splits(&m)), (0, 0));
        assert_eq!(m.kernel.residency(m.space).page_tables, tables);
        assert_eq!(m.kernel.frames().free, m.kernel.frames().total - tables);
    });
}

#[test]
fn large_pages_lie_within_their_region() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 2);
        // A page is missing at either end.
        m.unmap(va, 1);
        m.unmap(va + (2 * pages - 1) * PAGE, 1);
        m.store(va + PAGE, 1).unwrap();
        m.store(va + (2 * pages - 2) * PAGE, 1).unwrap();
        let counters = m.kernel.counters();
        assert_eq!((counters.thp_fault_alloc, counters.thp_fault_fallback), (0, 0), "{name}");
        m.audit();
    });
}

#[test]
fn files_have_no_large_pages() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        m.mock.files.push(vec![1; 2 * PAGE as usize]);
        let va = m.map_file(0, 3 * pages, RW, false);
        m.store(va, 1).unwrap();
        assert_eq!((huge_pages(&m), m.kernel.residency(m.space).rss()), (0, 1), "{name}");
        m.audit();
    });
}

#[test]
fn advice_decides() {
    let cases = [
        (HugePolicy::Never, [false, false, false]),
        (HugePolicy::Madvise, [false, true, false]),
        (HugePolicy::Always, [true, true, false]),
    ];
    let advices = [None, Some(HugeAdvice::Use), Some(HugeAdvice::Avoid)];
    on_large_formats(|name, pages| {
        for (policy, expected) in cases {
            let mut m = machine(name, policy);
            let va = map_large(&mut m, pages, 3);
            for (n, advice) in advices.iter().enumerate() {
                let part = va + n as u64 * pages * PAGE;
                if let Some(advice) = *advice {
                    let (start, len) = (VirtAddr(part), pages * PAGE);
                    m.kernel
                        .madvise(&mut m.mock, m.space, start, len, Advice::Huge(advice))
                        .unwrap();
                }
                let before = huge_pages(&m);
                m.store(part, 1).unwrap();
                assert_eq!(huge_pages(&m) > before, expected[n], "{name}, {policy:?}, {advice:?}");
                m.audit();
            }
        }
    });
}

#[test]
fn where_a_base_page_is_there_is_no_large_one() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Madvise);
        let va = map_large(&mut m, pages, 1);
        m.store(va, 3).unwrap();
        let (start, len) = (VirtAddr(va), pages * PAGE);
        m.kernel.madvise(&mut m.mock, m.space, start, len, Advice::Huge(HugeAdvice::Use)).unwrap();
        m.store(va + PAGE, 4).unwrap();
        assert_eq!((huge_pages(&m), m.load(va)), (0, Ok(3)), "{name}");
        assert_eq!(m.kernel.counters().thp_fault_fallback, 0, "nothing was tried");
        m.audit();
    });
}

#[test]
fn advice_wants_large_pages_and_no_holes() {
    let mut m = Machine::new("hashed", Config::default());
    let va = VirtAddr(m.map_anon(2));
    let result = m.kernel.madvise(&mut m.mock, m.space, va, PAGE, Advice::Huge(HugeAdvice::Use));
    assert_eq!(result, Err(Errno::Einval));
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Madvise);
        let va = map_large(&mut m, pages, 3);
        m.unmap(va + pages * PAGE, pages);
        let (start, len) = (VirtAddr(va), 3 * pages * PAGE);
        let result =
            m.kernel.madvise(&mut m.mock, m.space, start, len, Advice::Huge(HugeAdvice::Use));
        assert_eq!(result, Err(Errno::Enomem));
        let odd = m.kernel.madvise(
            &mut m.mock,
            m.space,
            VirtAddr(va + 1),
            1,
            Advice::Huge(HugeAdvice::Use),
        );
        assert_eq!(odd, Err(Errno::Einval));
        // What is behind the hole took the advice, too.
        m.store(va + 2 * pages * PAGE, 1).unwrap();
        assert_eq!(huge_pages(&m), pages, "{name}");
    });
}

#[test]
fn without_a_run_there_are_base_pages() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 3);
        // One frame in the middle of every run is in use.
        let end = fill(&mut m, 10);
        for page in (1..3 * pages).filter(|page| page % 100 != 0) {
            m.unmap(end - page * PAGE, 1);
        }
        m.audit();
        assert!(m.kernel.frames().free > 2 * pages);
        m.store(va + 3 * PAGE, 1).unwrap();
        let counters = m.kernel.counters();
        assert_eq!((counters.thp_fault_alloc, counters.thp_fault_fallback), (0, 1), "{name}");
        assert_eq!(m.kernel.residency(m.space).anon_huge, 0);
        m.audit();
    });
}

#[test]
fn a_large_page_leaves_the_low_watermark_free() {
    on_large_formats(|name, pages| {
        let frames = pages + 100;
        let marks = |low| Watermarks { min: 2, low, high: low + 1 };
        for (low, expected) in [(100, 0), (20, 1)] {
            let watermarks = Some(marks(low));
            let config =
                Config { frames, watermarks, huge: HugePolicy::Always, ..Config::default() };
            let mut m = Machine::new(name, config);
            let va = map_large(&mut m, pages, 1);
            m.store(va, 1).unwrap();
            // On some formats the root is in the one run that there is.
            let allocated = m.kernel.counters().thp_fault_alloc;
            assert!(allocated <= expected, "{name} with {low}");
            m.audit();
        }
    });
}

/// A part of a large page changes: what it is done with is `change`, given the part's address.
fn splits_for(parts: std::ops::Range<u64>, change: impl Fn(&mut Machine, u64, u64)) {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 1);
        let marked = mark(&mut m, va, pages);
        assert_eq!(huge_pages(&m), pages, "{name}");
        change(&mut m, va + parts.start * PAGE, parts.end - parts.start);
        assert_eq!((splits(&m), huge_pages(&m)), (1, 0), "{name}");
        m.audit();
        check(&mut m, va, &marked, parts.clone());
        m.unmap(va, pages);
        m.audit();
    });
}

#[test]
fn protecting_a_part_splits() {
    splits_for(4..9, |m, va, pages| {
        let (start, len) = (VirtAddr(va), pages * PAGE);
        m.kernel.mprotect(&mut m.mock, m.space, start, len, Prot::READ).unwrap();
        assert!(m.store(va, 1).is_err());
        assert!(m.store(va - 1, 1).is_ok());
        assert!(m.store(va + len, 1).is_ok());
    });
}

#[test]
fn unmapping_a_part_splits() {
    splits_for(0..2, |m, va, pages| {
        m.unmap(va, pages);
        assert!(m.load(va).is_err() && m.load(va + pages * PAGE).is_ok());
    });
    splits_for(200..201, |m, va, pages| m.unmap(va, pages));
}

#[test]
fn dropping_a_part_splits() {
    splits_for(0..1, |m, va, pages| {
        m.kernel.madvise(&mut m.mock, m.space, VirtAddr(va), pages * PAGE, DONTNEED).unwrap();
        assert_eq!(m.load(va + 7), Ok(0));
    });
}

#[test]
fn advice_for_a_part_splits() {
    splits_for(3..3 + 64, |m, va, pages| {
        let (start, len) = (VirtAddr(va), pages * PAGE);
        m.kernel
            .madvise(&mut m.mock, m.space, start, len, Advice::Huge(HugeAdvice::Avoid))
            .unwrap();
    });
}

#[test]
fn moving_splits() {
    splits_for(0..2, |m, va, pages| {
        let len = pages * PAGE;
        let how = Remap::Fixed(VirtAddr(0x4000_0000));
        let moved = m.kernel.mremap(&mut m.mock, m.space, VirtAddr(va), len, len, how).unwrap();
        assert_eq!(m.load(moved.0 + 7), Ok(1));
        m.unmap(moved.0, pages);
    });
}

#[test]
fn what_is_changed_as_a_whole_stays_whole() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 2);
        let marked = mark(&mut m, va, pages);
        let (start, len) = (VirtAddr(va), pages * PAGE);
        for prot in [Prot::empty(), Prot::READ] {
            m.kernel.mprotect(&mut m.mock, m.space, start, len, prot).unwrap();
            m.audit();
            assert_eq!(m.load(va).is_ok(), prot == Prot::READ, "{name}");
            assert!(m.store(va + (pages - 1) * PAGE, 1).is_err());
        }
        m.kernel.mprotect(&mut m.mock, m.space, start, len, RW).unwrap();
        check(&mut m, va, &marked, 0..0);
        assert_eq!((huge_pages(&m), splits(&m)), (pages, 0), "{name}");
        m.kernel.madvise(&mut m.mock, m.space, start, len, DONTNEED).unwrap();
        assert_eq!((huge_pages(&m), splits(&m), m.load(va + 7)), (0, 0, Ok(0)), "{name}");
    });
}

#[test]
fn eviction_splits_and_loses_nothing() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 2);
        let marked = mark(&mut m, va, pages);
        m.press();
        m.audit();
        assert!(splits(&m) > 0 && m.kernel.counters().pswpout > 0, "{name}");
        check(&mut m, va, &marked, 0..0);
    });
}

#[test]
fn parts_inherit_the_modified_bit() {
    on_large_formats(|name, pages| {
        for stores in [false, true] {
            let mut m = machine(name, HugePolicy::Always);
            let va = map_large(&mut m, pages, 1);
            m.load(va).unwrap();
            if stores {
                m.store(va + PAGE, 1).unwrap();
            }
            m.unmap(va + 2 * PAGE, 1);
            assert_eq!(splits(&m), 1, "{name}");
            m.press();
            let dropped = m.kernel.counters().pgdrop_clean;
            assert_eq!(dropped, if stores { 0 } else { pages - 1 }, "{name}");
            assert_eq!(m.load(va + PAGE), Ok(u8::from(stores)));
            m.audit();
        }
    });
}

#[test]
fn a_large_page_can_be_evicted_when_no_frame_is_free() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 2);
        (0..2).for_each(|n| m.store(va + n * pages * PAGE, 1).unwrap());
        assert_eq!(huge_pages(&m), 2 * pages);
        let hog = fill(&mut m, 0);
        assert_eq!((m.kernel.frames().free, splits(&m)), (0, 0), "{name}");
        // The policy gets to the large pages in its own time.
        let turn = (0..2 * pages).find(|page| {
            m.store(hog + page * PAGE, 1).unwrap();
            splits(&m) > 0
        });
        assert!(turn.is_some(), "{name}");
        m.audit();
    });
}

#[test]
fn failing_devices_lose_nothing_of_a_large_page() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 2);
        let marked = mark(&mut m, va, pages);
        let hog = fill(&mut m, 0);
        m.mock.swap_write_fails = always(IoError::Io);
        assert_eq!(m.store(hog, 1), Err(Stop::OutOfMemory));
        m.audit();
        m.mock.swap_write_fails = sometimes(3, 5);
        for page in 0..2 * pages {
            let _full = m.store(hog + page * PAGE, 2);
        }
        m.audit();
        assert!(m.kernel.counters().swap_io_errors > 0 && splits(&m) > 0, "{name}");
        m.mock.heal();
        check(&mut m, va, &marked, 0..0);
    });
}

#[test]
fn without_swap_large_pages_stay_unless_they_are_clean() {
    on_large_formats(|name, pages| {
        let frames = 3 * pages + 100;
        let huge = HugePolicy::Always;
        let mut m = Machine::new(name, Config { frames, swap_slots: 0, huge, ..Config::default() });
        let va = map_large(&mut m, pages, 2);
        m.store(va, 1).unwrap();
        m.load(va + pages * PAGE).unwrap();
        assert_eq!(huge_pages(&m), 2 * pages, "{name}");
        m.press();
        m.audit();
        assert_eq!((huge_pages(&m), splits(&m)), (pages, 1), "{name}");
        assert_eq!((m.load(va), m.load(va + pages * PAGE)), (Ok(1), Ok(0)));
    });
}

#[test]
fn large_mappings_are_placed_at_multiples_of_large_pages() {
    on_large_formats(|name, pages| {
        let size = pages * PAGE;
        for (huge, aligned) in [(HugePolicy::Never, false), (HugePolicy::Always, true)] {
            let mut m = machine(name, huge);
            let small = m.map_anon(3);
            let first = m.map_anon(pages + 1);
            let second = m.map_anon(2 * pages);
            assert_eq!(
                first.is_multiple_of(size) && second.is_multiple_of(size),
                aligned,
                "{name}"
            );
            assert!(second + 2 * size <= first && first + size < small);
            let hint = Placement::Anywhere { hint: VirtAddr(0x3000_1000) };
            let request = pagewalk_kernel::MapRequest::anonymous(size, RW);
            let asked = m.map(pagewalk_kernel::MapRequest { place: hint, ..request });
            assert_eq!(asked, 0x3000_1000);
        }
    });
}

#[test]
fn a_fault_beside_the_tlb_finds_the_large_page() {
    on_large_formats(|name, pages| {
        let mut m = machine(name, HugePolicy::Always);
        let va = map_large(&mut m, pages, 1);
        m.store(va, 1).unwrap();
        // A fault that another processor has resolved meanwhile.
        let again = VirtAddr(va + 9 * PAGE);
        let result = m.kernel.fault(&mut m.mock, m.space, again, AccessKind::Write);
        assert_eq!(result, FaultResult::Resolved { major: false }, "{name}");
        m.audit();
        let mut byte = [0];
        m.kernel.copy_out(&mut m.mock, m.space, VirtAddr(va + 5 * PAGE), &[7]).unwrap();
        m.kernel.copy_in(&mut m.mock, m.space, VirtAddr(va + 5 * PAGE), &mut byte).unwrap();
        assert_eq!((byte, m.load(va + 5 * PAGE)), ([7], Ok(7)));
        let mut resident = [0; 3];
        m.kernel.mincore(&m.mock, m.space, VirtAddr(va + PAGE), &mut resident).unwrap();
        assert_eq!((resident, huge_pages(&m)), ([1; 3], pages));
        m.audit();
    });
}
