//! Collapse: what was split becomes a large page again, and nobody can tell by the bytes.

mod common;

use common::*;
use pagewalk_kernel::{
    Advice, AnyPmap, CollapseSettings, Config, Errno, HugeAdvice, HugePolicy, IoError, MapRequest,
    Pmap, Prot, SpaceId, Watermarks,
};
use pagewalk_mmu::VirtAddr;
use pagewalk_replacement::{FreeBsdConfig, PolicyKind};

const VA: u64 = 0x2000_0000;

fn large(name: &str) -> u64 {
    AnyPmap::large_page(&tables(name, 0)).map_or(0, |size| size.bytes() / PAGE)
}

/// Runs a test on all tables with large pages: on a machine with room for three, and with the base
/// pages of one. `VA` is mapped for two.
fn on_large_formats(test: impl Fn(&mut Machine, u64)) {
    for name in formats().filter(|name| large(name) > 0) {
        let pages = large(name);
        let config = Config {
            frames: 4 * pages + 400,
            huge: HugePolicy::Always,
            watermarks: Some(Watermarks::none()),
            ..Config::default()
        };
        let mut m = Machine::new(name, config);
        m.map(MapRequest { place: at(VA), ..MapRequest::anonymous(2 * pages * PAGE, RW) });
        test(&mut m, pages);
        m.audit();
        m.kernel.destroy_space(&mut m.mock, m.space);
        m.audit();
        assert_eq!(m.kernel.frames().free, m.kernel.frames().total, "{name}");
    }
}

/// Stores a byte of its own to every page of the first large page, and splits it.
fn fill_and_split(m: &mut Machine, pages: u64) {
    (0..pages).for_each(|page| m.store(VA + page * PAGE + 9, byte(page)).expect("memory"));
    assert_eq!(m.kernel.residency(m.space).anon_huge, pages);
    split(m);
}

fn byte(page: u64) -> u8 {
    page as u8 | 1
}

/// A page of the first large page is evicted, and comes back.
fn split(m: &mut Machine) {
    advise(m, VA, 1, Advice::PageOut).expect("a range");
    assert_eq!(m.kernel.residency(m.space).anon_huge, 0);
    m.load(VA).expect("the page comes back");
    m.audit();
}

fn advise(m: &mut Machine, va: u64, pages: u64, advice: Advice) -> Result<(), Errno> {
    m.kernel.madvise(&mut m.mock, m.space, VirtAddr(va), pages * PAGE, advice)
}

fn check(m: &mut Machine, pages: u64) {
    for page in 0..pages {
        assert_eq!(m.load(VA + page * PAGE + 9), Ok(byte(page)), "page {page}");
    }
    m.audit();
}

/// The daemon wakes up; large pages made since.
fn wake(m: &mut Machine) -> u64 {
    let before = m.kernel.khugepaged().pages_collapsed();
    let due = m.kernel.collapse_due_ns().unwrap_or(u64::MAX);
    m.kernel.set_elapsed(due);
    m.kernel.daemon(&mut m.mock);
    m.audit();
    m.kernel.khugepaged().pages_collapsed() - before
}

fn settings(m: &Machine) -> CollapseSettings {
    m.kernel.khugepaged().settings()
}

fn huge(m: &Machine) -> u64 {
    m.kernel.residency(m.space).anon_huge
}

#[test]
fn what_was_split_becomes_a_large_page_again() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        let before = (*m.kernel.counters(), m.kernel.residency(m.space), m.kernel.frames());
        assert_eq!((wake(m), huge(m)), (1, pages));
        let after = (*m.kernel.counters(), m.kernel.residency(m.space), m.kernel.frames());
        assert_eq!(after.1.rss_anon, before.1.rss_anon);
        assert_eq!(after.1.page_tables, before.1.page_tables, "the table is kept for a split");
        assert_eq!(after.2.free, before.2.free);
        assert_eq!(after.0.thp_collapse_alloc - before.0.thp_collapse_alloc, 1);
        assert_eq!(after.0.thp_collapse_scan - before.0.thp_collapse_scan, pages);
        assert_eq!(after.0.pgsteal_direct + after.0.pgsteal_kswapd, 0, "nothing was evicted");
        check(m, pages);
        assert_eq!(m.kernel.counters().pgfault, after.0.pgfault, "one entry serves all");
        split(m);
        assert_eq!((wake(m), huge(m)), (1, pages));
        check(m, pages);
    });
}

#[test]
fn the_daemon_sleeps_until_its_time_and_rests_when_there_is_nothing_new() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        let due = m.kernel.collapse_due_ns().expect("something to do");
        assert_eq!(due, settings(m).scan_sleep_ms * 1_000_000);
        m.kernel.set_elapsed(due - 1);
        m.kernel.daemon(&mut m.mock);
        assert_eq!(huge(m), 0, "it sleeps");
        assert_eq!(wake(m), 1);
        // The round that found something, and one that finds nothing.
        for _ in 0..3 {
            wake(m);
        }
        assert_eq!(m.kernel.collapse_due_ns(), None, "nothing has happened since");
        split(m);
        assert!(m.kernel.collapse_due_ns().is_some());
    });
}

#[test]
fn absent_pages_are_zeroes_as_many_as_the_bound_allows() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        advise(m, VA + PAGE, pages - 2, DONTNEED).expect("a range");
        let bounded = CollapseSettings { max_ptes_none: pages - 3, ..settings(m) };
        m.kernel.set_collapse(bounded);
        assert_eq!(wake(m), 0);
        m.kernel.set_collapse(CollapseSettings { max_ptes_none: pages - 2, ..bounded });
        assert_eq!(wake(m), 1);
        assert_eq!(m.kernel.residency(m.space).rss_anon, pages);
        assert_eq!(m.load(VA + 9), Ok(byte(0)));
        assert_eq!(m.load(VA + PAGE + 9), Ok(0));
        assert_eq!(m.load(VA + (pages - 1) * PAGE + 9), Ok(byte(pages - 1)));
        // What is zeroes yet needs no slot.
        let written = m.kernel.counters().pswpout;
        advise(m, VA, pages, Advice::PageOut).expect("a range");
        assert_eq!(m.kernel.counters().pswpout - written, 2);
        m.audit();
    });
}

#[test]
fn pages_on_swap_are_read_as_many_as_the_bound_allows() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        let bound = settings(m).max_ptes_swap;
        advise(m, VA, bound + 1, Advice::PageOut).expect("a range");
        assert_eq!(wake(m), 0);
        m.load(VA).expect("the page comes back");
        let majors = m.kernel.counters().pgmajfault;
        assert_eq!(wake(m), 1);
        assert_eq!(m.kernel.counters().pgmajfault - majors, bound);
        let residency = m.kernel.residency(m.space);
        assert_eq!((residency.swapped, m.kernel.swap().used()), (0, 0));
        check(m, pages);
    });
}

#[test]
fn what_cannot_be_read_stays_on_swap() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        advise(m, VA, 2, Advice::PageOut).expect("a range");
        m.mock.swap_read_fails = always(IoError::Io);
        let free = m.kernel.frames().free;
        assert_eq!(wake(m), 0);
        assert_eq!(advise(m, VA, pages, Advice::Collapse), Err(Errno::Einval));
        assert_eq!((m.kernel.frames().free, m.kernel.residency(m.space).swapped), (free, 2));
        m.mock.heal();
        check(m, pages);
    });
}

#[test]
fn what_was_not_used_lately_stays() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        advise(m, VA, pages, Advice::Cold).expect("a range");
        assert_eq!(wake(m), 0);
        m.load(VA + 5 * PAGE).expect("memory");
        assert_eq!(wake(m), 1);
        check(m, pages);
    });
}

#[test]
fn what_was_given_up_stays() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        advise(m, VA + 3 * PAGE, 1, Advice::Free).expect("a range");
        assert_eq!(wake(m), 0);
        assert_eq!(advise(m, VA, pages, Advice::Collapse), Err(Errno::Eagain));
    });
}

#[test]
fn without_a_run_of_frames_it_waits_longer() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        let hog = m.map_anon(4 * pages);
        advise(m, hog, 4 * pages, Advice::Huge(HugeAdvice::Avoid)).expect("a range");
        let mut page = 0;
        while m.kernel.frames().free > pages {
            m.store(hog + page * PAGE, 1).expect("memory");
            page += 1;
        }
        assert_eq!((wake(m), m.kernel.counters().thp_collapse_alloc_failed), (0, 1));
        assert_eq!(m.kernel.collapse_due_ns(), None, "nobody has freed memory since");
        assert_eq!(advise(m, VA, pages, Advice::Collapse), Err(Errno::Enomem));
        m.unmap(hog, 4 * pages);
        let due = m.kernel.collapse_due_ns().expect("memory was freed");
        let sleep = settings(m).alloc_sleep_ms - settings(m).scan_sleep_ms;
        assert!(due > sleep * 1_000_000, "{due}");
        assert_eq!(wake(m), 1);
        check(m, pages);
    });
}

/// Fills memory with pages with bytes of their own; every other one is given back. Returns where they
/// are, and how many.
fn fragment(m: &mut Machine, pages: u64) -> (u64, u64) {
    let hog = m.map_anon(4 * pages);
    advise(m, hog, 4 * pages, Advice::Huge(HugeAdvice::Avoid)).expect("a range");
    let mut count = 0;
    while m.kernel.frames().free > 8 {
        m.store(hog + count * PAGE, count as u8 | 1).expect("memory");
        count += 1;
    }
    for page in (1..count).step_by(2) {
        advise(m, hog + page * PAGE, 1, DONTNEED).expect("a range");
    }
    (hog, count)
}

#[test]
fn pages_move_so_that_a_run_is_free() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        let (hog, count) = fragment(m, pages);
        // Some of the pages that move keep a slot, and some have two owners.
        for page in (0..count).step_by(6) {
            advise(m, hog + page * PAGE, 1, Advice::PageOut).expect("a range");
            m.load(hog + page * PAGE).expect("memory");
        }
        with_child(m, |m, child| {
            let own = pages - settings(m).max_ptes_shared;
            (0..own).for_each(|page| m.store(VA + page * PAGE + 10, 1).expect("memory"));
            let before = (*m.kernel.counters(), m.kernel.frames().free);
            assert!(before.1 > pages, "{before:?}");
            // The child keeps what is shared, and the others' frames are free again.
            let copied = pages - own;
            assert_eq!((wake(m), m.kernel.frames().free), (1, before.1 - copied));
            let after = m.kernel.counters();
            assert_eq!(after.compact_success, 1);
            assert!(after.pgmigrate_success > 0 && after.compact_migrate_scanned >= pages);
            assert_eq!(after.pswpout, before.0.pswpout, "nothing was evicted");
            for id in [m.space, child] {
                let parent = std::mem::replace(&mut m.space, id);
                for page in (0..count).step_by(2) {
                    assert_eq!(m.load(hog + page * PAGE), Ok(page as u8 | 1), "page {page}");
                }
                m.space = parent;
            }
            check(m, pages);
        });
    });
}

/// Makes a child, which `run` is called with.
fn with_child(m: &mut Machine, run: impl FnOnce(&mut Machine, SpaceId)) {
    let child = m.kernel.fork_space(&mut m.mock, m.space).expect("memory for a child");
    run(m, child);
    m.audit();
    m.kernel.destroy_space(&mut m.mock, child);
}

#[test]
fn a_page_that_others_have_is_copied_as_far_as_the_bound_allows() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        with_child(m, |m, child| {
            assert_eq!(wake(m), 0, "all of it is shared");
            let bound = settings(m).max_ptes_shared;
            for page in 0..pages - bound {
                m.store(VA + page * PAGE + 10, 1).expect("memory");
            }
            assert_eq!((wake(m), huge(m)), (1, pages));
            check(m, pages);
            (0..pages).for_each(|page| m.store(VA + page * PAGE + 9, 0).expect("memory"));
            let parent = std::mem::replace(&mut m.space, child);
            check(m, pages);
            assert_eq!(m.load(VA + 10), Ok(0), "what the parent stored is its own");
            m.space = parent;
            split(m);
        });
    });
}

#[test]
fn a_program_can_ask_for_it() {
    on_large_formats(|m, pages| {
        assert_eq!(advise(m, VA, pages, Advice::Collapse), Err(Errno::Einval), "nothing is there");
        fill_and_split(m, pages);
        advise(m, VA, pages, Advice::PageOut).expect("a range");
        assert_eq!(advise(m, VA, pages - 1, Advice::Collapse), Err(Errno::Einval), "too short");
        assert_eq!(advise(m, VA, pages, Advice::Collapse), Ok(()));
        assert_eq!((huge(m), advise(m, VA, pages, Advice::Collapse)), (pages, Ok(())));
        check(m, pages);
        split(m);
        advise(m, VA, 2 * pages, Advice::Huge(HugeAdvice::Avoid)).expect("a range");
        assert_eq!(advise(m, VA, pages, Advice::Collapse), Err(Errno::Einval));
        assert_eq!(wake(m), 0);
    });
}

#[test]
fn a_dirty_large_page_is_laundered_part_by_part() {
    let pages = large("sv39");
    let policy = PolicyKind::FreeBsd(FreeBsdConfig::DEFAULT);
    let config =
        Config { frames: 2 * pages, huge: HugePolicy::Always, policy, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    m.map(MapRequest { place: at(VA), ..MapRequest::anonymous(pages * PAGE, RW) });
    (0..pages).for_each(|page| m.store(VA + page * PAGE + 9, byte(page)).expect("memory"));
    assert_eq!(huge(&m), pages);
    // Nothing but the large page is dirty while a file is read that takes the rest of memory.
    m.mock.files.push(vec![1; (2 * pages * PAGE) as usize]);
    let file = m.map_file(0, 2 * pages, Prot::READ, false);
    (0..2 * pages).for_each(|page| assert_eq!(m.load(file + page * PAGE), Ok(1)));
    let counters = *m.kernel.counters();
    assert_eq!((huge(&m), counters.thp_split_page), (0, 1));
    assert!(counters.pglaunder > 0);
    // It was split to be written, not to be evicted: if the page goes at once, it goes clean.
    let split = m.mock.events.iter().position(|event| event.starts_with("Split"));
    let then = &m.mock.events[split.expect("it was split") + 1..][..2];
    assert!(then[0].starts_with("PageOut") && !then[1].contains("dirty: true"), "{then:?}");
    check(&mut m, pages);
}

#[test]
fn no_store_of_another_processor_is_lost() {
    on_large_formats(|m, pages| {
        fill_and_split(m, pages);
        // Its TLB may store to the page while it is copied, unless it was flushed before.
        m.mock.racer = Some((m.kernel.asid(m.space), VirtAddr(VA + 2 * PAGE + 9)));
        m.store(VA + 2 * PAGE + 9, byte(2)).expect("memory");
        assert_eq!((wake(m), m.mock.raced), (1, 0));
        m.mock.racer = None;
        check(m, pages);
    });
}
