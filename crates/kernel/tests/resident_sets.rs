//! Resident sets: who gives up pages for whom, and that memory holds what it should meanwhile.

mod common;

use common::*;
use pagewalk_kernel::{
    Config, Errno, Mapping, MemoryLimits, RESIDENT_MIN, Scope, Shortage, SpaceId,
};
use pagewalk_mmu::VirtAddr;
use pagewalk_replacement::PolicyKind;

fn machine(name: &str, config: Config) -> (Machine, SpaceId) {
    let mut m = Machine::new(name, config);
    let other = m.kernel.create_space(&mut m.mock, LAYOUT).expect("memory");
    (m, other)
}

/// Stores to so many new pages of a space; returns where.
fn fill(m: &mut Machine, space: SpaceId, pages: u64) -> u64 {
    m.space = space;
    let va = m.map_anon(pages);
    for page in 0..pages {
        m.store(va + page * PAGE, page as u8).unwrap();
        m.audit();
    }
    va
}

fn check(m: &mut Machine, space: SpaceId, va: u64, pages: u64) {
    m.space = space;
    for page in 0..pages {
        assert_eq!(m.load(va + page * PAGE), Ok(page as u8));
        m.audit();
    }
}

fn rss(m: &Machine, space: SpaceId) -> u64 {
    m.kernel.residency(space).rss()
}

/// Memory is plentiful, and each process has its limit.
fn limited(frames: u64, scope: Scope) -> Config {
    Config { frames, scope, resident: Some(40), ..Config::default() }
}

#[test]
fn a_process_at_its_limit_takes_its_own_pages() {
    for scope in [Scope::Global, Scope::Process] {
        on_all_formats(|name| {
            let frames = frames_min(name).max(400);
            let (mut m, other) = machine(name, limited(frames, scope));
            let quiet = fill(&mut m, other, 30);
            let space = SpaceId(0);
            let va = fill(&mut m, space, 100);
            // The hog pages against itself, and memory is not even short.
            assert_eq!((rss(&m, space), rss(&m, other)), (40, 30), "{name}");
            assert_eq!(m.kernel.counters().pgsteal_own, 60, "{name}");
            assert_eq!(m.kernel.counters().pswpout, 60, "{name}");
            check(&mut m, space, va, 100);
            assert!(rss(&m, space) <= 40, "{name}");
            let reads = m.kernel.counters().pswpin;
            check(&mut m, other, quiet, 30);
            assert_eq!(m.kernel.counters().pswpin, reads, "{name}: nothing of it was taken");
        });
    }
}

#[test]
fn equal_shares_of_memory() {
    // The same two programs under both scopes: the quiet one loses pages under one of them alone.
    let mut lost = Vec::new();
    for scope in [Scope::Global, Scope::Process] {
        let config = Config { frames: 200, scope, ..Config::default() };
        let (mut m, other) = machine("sv39", config);
        let quiet = fill(&mut m, other, 40);
        let va = fill(&mut m, SpaceId(0), 300);
        for _ in 0..3 {
            check(&mut m, SpaceId(0), va, 300);
        }
        lost.push(40 - rss(&m, other));
        check(&mut m, other, quiet, 40);
        if scope == Scope::Process {
            let shares = m.kernel.resident_limit(other).zip(m.kernel.resident_limit(SpaceId(0)));
            assert!(shares.is_some_and(|(a, b)| a == b && a > 60 && a < 100), "{shares:?}");
        }
    }
    assert!(lost[0] > 20 && lost[1] == 0, "{lost:?}");
}

#[test]
fn the_set_furthest_above_its_share_gives() {
    // One program has all of memory; more come, and its share shrinks.
    let config = Config { frames: 300, scope: Scope::Process, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    let first = m.space;
    let va = fill(&mut m, first, 240);
    let alone = rss(&m, first);
    assert!(alone > 220, "{alone}");
    let spaces = [(); 2].map(|()| m.kernel.create_space(&mut m.mock, LAYOUT).expect("memory"));
    let others = spaces.map(|space| (space, fill(&mut m, space, 60)));
    for (space, va) in others {
        assert_eq!(rss(&m, space), 60, "below its share, it gives nothing");
        check(&mut m, space, va, 60);
    }
    assert!(rss(&m, first) < 180, "{}", rss(&m, first));
    check(&mut m, first, va, 240);
}

#[test]
fn a_shared_page_is_in_several_sets() {
    for policy in PolicyKind::ALL.into_iter().filter(|policy| !policy.sees_references()) {
        let config = Config { policy, ..limited(600, Scope::Process) };
        let mut m = Machine::new("sv39", config);
        let parent = m.space;
        let va = fill(&mut m, parent, 30);
        let child = m.kernel.fork_space(&mut m.mock, parent).expect("memory");
        m.audit();
        assert_eq!((rss(&m, parent), rss(&m, child)), (30, 30), "{policy:?}");
        // The child's own pages push what it shares out of its set; the parent keeps all.
        let own = fill(&mut m, child, 40);
        assert!(rss(&m, child) <= 40 && rss(&m, parent) == 30, "{policy:?}");
        assert!(m.kernel.counters().swap_shared_slots > 0, "{policy:?}");
        check(&mut m, child, va, 30);
        check(&mut m, child, own, 40);
        let reads = m.kernel.counters().pswpin;
        check(&mut m, parent, va, 30);
        assert_eq!(m.kernel.counters().pswpin, reads, "{policy:?}");
        for space in [parent, child] {
            m.kernel.destroy_space(&mut m.mock, space);
            m.audit();
        }
        assert_eq!((m.kernel.frames().anon, m.kernel.swap().used()), (0, 0), "{policy:?}");
    }
}

#[test]
fn rlimit_rss_holds_from_when_it_is_set_and_across_fork() {
    let mut m = Machine::new("sv39", Config { frames: 400, ..Config::default() });
    let parent = m.space;
    let va = fill(&mut m, parent, 60);
    let limits = MemoryLimits { resident: 20 * PAGE, ..MemoryLimits::stack(PAGE) };
    m.kernel.set_limits(parent, limits);
    m.kernel.need_resident_set(&mut m.mock, parent);
    m.audit();
    assert_eq!(rss(&m, parent), 60, "what is there stays until the next fault");
    fill(&mut m, parent, 2);
    assert!(rss(&m, parent) <= 20, "{}", rss(&m, parent));
    let child = m.kernel.fork_space(&mut m.mock, parent).expect("memory");
    m.audit();
    check(&mut m, child, va, 60);
    assert!(rss(&m, child) <= 20);
    // A limit that nothing could run in is raised to what one instruction needs.
    m.kernel.set_limits(child, MemoryLimits { resident: 1, ..limits });
    assert_eq!(m.kernel.resident_limit(child), Some(RESIDENT_MIN));
    check(&mut m, child, va, 60);
}

#[test]
fn a_group_is_bounded_and_its_worst_is_killed() {
    let (mut m, other) = machine("sv39", Config { frames: 600, ..Config::default() });
    let first = m.space;
    let outside = m.kernel.create_space(&mut m.mock, LAYOUT).expect("memory");
    let group = m.kernel.create_group(100);
    for space in [first, other] {
        m.kernel.set_oom_score_adj(space, 0);
        m.kernel.join_group(&mut m.mock, space, Some(group)).expect("memory");
    }
    let free = fill(&mut m, outside, 150);
    let quiet = fill(&mut m, other, 30);
    let va = fill(&mut m, first, 150);
    let charge = |m: &Machine| {
        let of = |space| {
            let held = m.kernel.residency(space);
            held.rss() + held.page_tables
        };
        (m.kernel.group_charge(group), of(first) + of(other))
    };
    let (charged, held) = charge(&m);
    assert!(charged == held && charged <= 100 && charged > 95, "{charged} {held}");
    assert_eq!(rss(&m, outside), 150, "memory is not short, and it is in no group");
    check(&mut m, first, va, 150);
    check(&mut m, other, quiet, 30);
    check(&mut m, outside, free, 150);
    let group_now = *m.kernel.group(group).expect("it was made");
    assert!(group_now.steals > 80 && group_now.peak <= 100 && group_now.kills == 0);
    // What a fork makes is in the group as well.
    let child = m.kernel.fork_space(&mut m.mock, other).expect("memory");
    assert_eq!(m.kernel.group_of(child), Some(group));
    check(&mut m, child, quiet, 30);
    m.kernel.destroy_space(&mut m.mock, child);
    // Locked pages cannot be given up: the worst of the group goes, not the one outside.
    m.space = other;
    let lock = pagewalk_kernel::Lock::Now;
    m.kernel.set_oom_score_adj(first, -1000);
    let locked = m.map_anon(200);
    let result = m.kernel.mlock(&mut m.mock, other, VirtAddr(locked), 200 * PAGE, lock);
    assert_eq!(result, Err(Errno::Eagain), "a call that fails kills nobody");
    let touched = (0..200).try_for_each(|page| m.store(locked + page * PAGE, 1));
    assert_eq!(touched, Err(Stop::OutOfMemory));
    let kills = m.kernel.take_oom_kills();
    assert_eq!((kills[0].victim, kills[0].candidates), (other, 1));
    assert_eq!(kills[0].shortage, Shortage::GroupLimit { group, pages: 100 });
    check(&mut m, outside, free, 150);
}

#[test]
fn locked_pages_stay_beyond_the_limit() {
    let (mut m, _) = machine("sv39", limited(600, Scope::Process));
    let space = SpaceId(0);
    let va = fill(&mut m, space, 30);
    let lock = pagewalk_kernel::Lock::Now;
    assert_eq!(m.kernel.mlock(&mut m.mock, space, VirtAddr(va), 30 * PAGE, lock), Ok(()));
    let more = fill(&mut m, space, 60);
    for page in 0..30 {
        let found = m.kernel.lookup(&m.mock, space, VirtAddr(va + page * PAGE));
        assert!(matches!(found, Mapping::Resident(_)), "page {page}: {found:?}");
    }
    check(&mut m, space, more, 60);
    // All of it locked: the limit gives way.
    let all: Result<(), Errno> =
        m.kernel.mlock(&mut m.mock, space, VirtAddr(more), 60 * PAGE, lock);
    assert_eq!((all, rss(&m, space)), (Ok(()), 90));
    m.audit();
}
