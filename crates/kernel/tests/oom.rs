//! Who is killed for lack of memory, and that the others go on.

mod common;

use common::*;
use pagewalk_kernel::{Config, MapRequest, Shortage, SpaceId};

/// A machine without swap, and `more` spaces beside the first.
fn machine(name: &str, spare: u64, more: usize) -> (Machine, Vec<SpaceId>) {
    let frames = frames_min(name) + spare;
    let mut m = Machine::new(name, Config { frames, swap_slots: 0, ..Config::default() });
    m.kernel.set_oom_score_adj(m.space, 0);
    let new = |_| m.kernel.create_space(&mut m.mock, LAYOUT).expect("memory");
    let others: Vec<SpaceId> = (0..more).map(new).collect();
    let spaces = [m.space].into_iter().chain(others).collect();
    (m, spaces)
}

/// Stores to so many pages of a space, until one fails.
fn fill(m: &mut Machine, space: SpaceId, pages: u64) -> (u64, Result<(), Stop>) {
    m.space = space;
    let va = m.map_anon(pages);
    let done = (0..pages).try_for_each(|page| m.store(va + page * PAGE, page as u8));
    m.audit();
    (va, done)
}

#[test]
fn the_worst_is_killed_and_the_others_go_on() {
    on_all_formats(|name| {
        let (mut m, spaces) = machine(name, 300, 2);
        let [a, hog, b] = spaces[..] else { unreachable!() };
        let (kept, done) = fill(&mut m, a, 20);
        assert_eq!(done, Ok(()));
        let free = m.kernel.frames().free;
        let (_, done) = fill(&mut m, hog, free - 40);
        assert_eq!(done, Ok(()), "{name}");
        assert!(!m.kernel.has_oom_kills(), "{name}");
        // Not the one whose fault finds no memory, nor the one that it stole from, but the hog.
        let (va, done) = fill(&mut m, b, 100);
        assert_eq!(done, Ok(()), "{name}");
        let kills = m.kernel.take_oom_kills();
        let [kill] = kills[..] else { panic!("{name}: {kills:?}") };
        assert_eq!((kill.victim, kill.asked, kill.candidates), (hog, b, 3), "{name}");
        assert_eq!(kill.shortage, Shortage::NoSwap);
        let held = kill.held;
        assert_eq!(kill.badness, Some((held.rss() + held.swapped + held.page_tables) as i64));
        assert!(m.kernel.is_killed(hog) && m.kernel.regions(hog).next().is_none());
        assert_eq!(m.kernel.counters().oom_kill, 1);
        (0..100).for_each(|page| assert_eq!(m.load(va + page * PAGE), Ok(page as u8)));
        m.space = a;
        (0..20).for_each(|page| assert_eq!(m.load(kept + page * PAGE), Ok(page as u8)));
        // What is left of it goes like any space.
        m.kernel.destroy_space(&mut m.mock, hog);
        m.audit();
    });
}

#[test]
fn who_holds_most_is_killed_by_its_own_fault() {
    let (mut m, spaces) = machine("sv39", 100, 1);
    let (_, done) = fill(&mut m, spaces[1], 1000);
    assert_eq!(done, Err(Stop::OutOfMemory));
    let kills = m.kernel.take_oom_kills();
    assert_eq!((kills[0].victim, kills[0].asked), (spaces[1], spaces[1]));
    assert!(m.kernel.regions(spaces[1]).next().is_some(), "its memory is left to whoever ends it");
}

#[test]
fn adjustments_protect_and_expose() {
    // (adjustment of the hog, adjustment of the small one, who is killed)
    for (hog_adj, small_adj, small_dies) in [
        (0, 0, false),
        (-1000, 0, true),
        (0, 1000, true),
        (-100, 100, false),
        (-1000, -1000, false),
    ] {
        let (mut m, spaces) = machine("sv39", 300, 2);
        let [asking, hog, small] = spaces[..] else { unreachable!() };
        m.kernel.set_oom_score_adj(asking, -999);
        m.kernel.set_oom_score_adj(hog, hog_adj);
        m.kernel.set_oom_score_adj(small, small_adj);
        assert_eq!(fill(&mut m, small, 30).1, Ok(()));
        let free = m.kernel.frames().free;
        assert_eq!(fill(&mut m, hog, free - 20).1, Ok(()));
        let done = fill(&mut m, asking, 40).1;
        let first = m.kernel.take_oom_kills()[0].victim;
        match (hog_adj, small_adj) {
            // Nobody else may be killed: the one that asks is what is left.
            (-1000, -1000) => assert_eq!((first, done), (asking, Err(Stop::OutOfMemory))),
            _ => assert_eq!(first == small, small_dies, "{hog_adj} {small_adj}"),
        }
    }
}

#[test]
fn scores_are_those_of_linux() {
    // 2048 frames and 2048 slots: a thousandth is 4 pages.
    let config = Config { frames: 2048, swap_slots: 2048, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    let space = m.space;
    m.kernel.set_oom_score_adj(space, 0);
    assert_eq!(fill(&mut m, space, 500).1, Ok(()));
    let held = m.kernel.residency(space);
    let pages = held.rss_anon + held.page_tables;
    assert_eq!(m.kernel.badness(space), Some(pages as i64));
    // fs/proc/base.c: (1000 + badness * 1000 / totalpages) * 2 / 3.
    assert_eq!(m.kernel.oom_score(space), (1000 + pages * 1000 / 4096) * 2 / 3);
    m.kernel.set_oom_score_adj(space, 500);
    assert_eq!(m.kernel.badness(space), Some(pages as i64 + 500 * 4));
    m.kernel.set_oom_score_adj(space, -999);
    assert_eq!(m.kernel.badness(space), Some(pages as i64 - 999 * 4));
    m.kernel.set_oom_score_adj(space, -1000);
    assert_eq!((m.kernel.badness(space), m.kernel.oom_score(space)), (None, 0));
    // A fork is as its parent.
    let child = m.kernel.fork_space(&mut m.mock, space).expect("memory");
    assert_eq!(m.kernel.oom_score_adj(child), -1000);
}

#[test]
fn nobody_is_killed_as_long_as_somebody_may_be_and_memory_comes() {
    // Everybody but the one that asks is killed in turn, each once.
    let (mut m, spaces) = machine("sv39", 300, 5);
    let asking = spaces[0];
    m.kernel.set_oom_score_adj(asking, -1000);
    for &space in &spaces[1..] {
        assert_eq!(fill(&mut m, space, 40).1, Ok(()));
    }
    m.space = asking;
    let va = m.map(MapRequest::anonymous(1000 * PAGE, RW));
    let stored = (0..1000).take_while(|page| m.store(va + page * PAGE, 1).is_ok()).count();
    m.audit();
    let kills = m.kernel.take_oom_kills();
    let mut victims: Vec<u32> = kills.iter().map(|kill| kill.victim.0).collect();
    assert_eq!(kills.len(), 6, "{kills:?}");
    assert_eq!(victims.pop(), Some(asking.0), "it is the last, for want of another");
    assert_eq!(kills[5].badness, None);
    victims.sort_unstable();
    assert_eq!(victims, [1, 2, 3, 4, 5]);
    assert!(stored > 250, "{stored} pages");
}
