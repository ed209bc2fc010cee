//! fork: what parent and child see, what it costs, who copies, and what is left at the end.

mod common;

use common::*;
use pagewalk_kernel::{Config, SpaceId};

fn roomy(name: &str) -> Machine {
    let frames = frames_min(name).max(400);
    Machine::new(name, Config { frames, ..Config::default() })
}

fn fork(m: &mut Machine) -> SpaceId {
    let child = m.kernel.fork_space(&mut m.mock, m.space).expect("enough memory");
    m.audit();
    child
}

/// Runs `act` in another space.
fn inside<T>(m: &mut Machine, space: SpaceId, act: impl FnOnce(&mut Machine) -> T) -> T {
    let before = std::mem::replace(&mut m.space, space);
    let result = act(m);
    m.space = before;
    m.audit();
    result
}

/// Ends the spaces: nothing may be left.
fn end(m: &mut Machine, spaces: impl IntoIterator<Item = SpaceId>) {
    for space in spaces {
        m.kernel.destroy_space(&mut m.mock, space);
        m.audit();
    }
    let frames = m.kernel.frames();
    assert_eq!((frames.anon, m.kernel.swap().used()), (0, 0), "{frames:?}");
    assert_eq!(frames.page_table, machine_tables(m), "{frames:?}");
}

#[test]
fn parent_and_child_go_their_own_ways() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let parent = m.space;
        let va = m.map_anon(4);
        (0..3).for_each(|page| m.store(va + page * PAGE, page as u8).unwrap());
        let before = m.kernel.frames();
        let child = fork(&mut m);
        let after = m.kernel.frames();
        assert_eq!(after.anon, before.anon, "{name}: a fork copies no page");
        assert_eq!(m.kernel.counters().fork_pages_shared, 3);
        m.store(va, 10).unwrap();
        assert_eq!(inside(&mut m, child, |m| m.load(va)), Ok(0));
        inside(&mut m, child, |m| m.store(va + PAGE, 11)).unwrap();
        assert_eq!(m.load(va + PAGE), Ok(1));
        assert_eq!(m.kernel.counters().cow_copied, 2);
        // Both have stored to one page: one copy, and the other is alone.
        inside(&mut m, child, |m| m.store(va, 12)).unwrap();
        m.store(va + PAGE, 13).unwrap();
        assert_eq!((m.kernel.counters().cow_copied, m.kernel.counters().cow_reused), (2, 2));
        assert_eq!(inside(&mut m, child, |m| m.load(va + 3 * PAGE)), Ok(0));
        m.store(va + 3 * PAGE, 14).unwrap();
        assert_eq!(inside(&mut m, child, |m| m.load(va + 3 * PAGE)), Ok(0));
        let all = |m: &mut Machine| [0, 1, 2, 3].map(|page| m.load(va + page * PAGE).unwrap());
        assert_eq!(all(&mut m), [10, 13, 2, 14], "{name}");
        assert_eq!(inside(&mut m, child, all), [12, 11, 2, 0], "{name}");
        end(&mut m, [child, parent]);
    });
}

#[test]
fn the_last_owner_writes_without_a_copy() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(8);
        (0..8).for_each(|page| m.store(va + page * PAGE, page as u8).unwrap());
        let child = fork(&mut m);
        m.kernel.destroy_space(&mut m.mock, child);
        m.audit();
        (0..8).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
        assert_eq!((m.kernel.counters().cow_copied, m.kernel.counters().cow_reused), (0, 8));
        m.audit();
        let parent = m.space;
        end(&mut m, [parent]);
    });
}

#[test]
fn a_program_and_its_files_are_inherited() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let parent = m.space;
        m.mock.files.push(vec![7; 3 * PAGE as usize]);
        let private = m.map_file(0, 3, RW, false);
        let shared = m.map_file(0, 3, RW, true);
        m.store(private, 1).unwrap();
        m.load(private + PAGE).unwrap();
        let child = fork(&mut m);
        inside(&mut m, child, |m| {
            assert_eq!((m.load(private), m.load(private + PAGE)), (Ok(1), Ok(7)));
            m.store(private, 2).unwrap();
            m.store(shared + 5, 3).unwrap();
        });
        assert_eq!((m.load(private), m.load(shared + 5)), (Ok(1), Ok(3)));
        assert_eq!(m.load(private + 2 * PAGE), Ok(7));
        end(&mut m, [parent, child]);
        assert_eq!(m.mock.files[0][5], 3);
    });
}

#[test]
fn swapped_pages_are_shared_by_their_slots() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 30, 1000);
        let parent = m.space;
        let va = m.map_anon(8);
        (0..8).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
        m.press();
        let swapped = m.kernel.residency(parent).swapped;
        assert_eq!(swapped, 8, "{name}");
        let child = fork(&mut m);
        assert_eq!(m.kernel.residency(child).swapped, 8);
        assert_eq!(m.kernel.swap().used(), 8);
        // The first who wants a page reads it, the other finds it.
        assert_eq!(m.load(va), Ok(1));
        let reads = m.kernel.counters().pswpin;
        assert_eq!(inside(&mut m, child, |m| m.load(va)), Ok(1));
        assert_eq!((m.kernel.counters().pswpin, m.kernel.counters().swap_cache_hit), (reads, 1));
        // A store is the program's own, the page stays for the other.
        inside(&mut m, child, |m| m.store(va + PAGE, 50)).unwrap();
        let reads = m.kernel.counters().pswpin;
        assert_eq!(m.load(va + PAGE), Ok(2));
        assert_eq!(m.kernel.counters().pswpin, reads);
        m.store(va + PAGE, 51).unwrap();
        assert_eq!(inside(&mut m, child, |m| m.load(va + PAGE)), Ok(50));
        // Shared pages leave once, with one slot.
        m.press();
        m.audit();
        for page in 2..8 {
            assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1));
            assert_eq!(inside(&mut m, child, |m| m.load(va + page * PAGE)), Ok(page as u8 + 1));
        }
        assert_eq!((m.load(va), m.load(va + PAGE)), (Ok(1), Ok(51)));
        end(&mut m, [parent, child]);
    });
}
