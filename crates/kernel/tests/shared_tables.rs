//! Page tables that several spaces refer to: what is saved, who sees what, and that every sharer's
//! translations are flushed. The mock's TLB forgets nothing that is not flushed, and the audit looks
//! into it.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::radix::{Format, Radix};
use pagewalk_mmu::{Level, PhysAddr, Tables, VirtAddr};

/// Pages that one table maps.
fn table_pages(m: &Machine) -> u64 {
    AnyPmap::shared_span(&m.mock.tables).expect("a tree").bytes() / PAGE
}

fn machine(name: &str, share_tables: ShareTables) -> Machine {
    let frames = frames_min(name) + 200;
    Machine::new(name, Config { frames, share_tables, ..Config::default() })
}

/// Whether entries that point to tables can forbid stores.
fn has_rights_above(m: &Machine) -> bool {
    let Tables::Radix(format) = m.mock.tables else { return false };
    let above: Option<u64> = Format::encode_table_read_only(&format, Level(1), PhysAddr(0));
    above.is_some()
}

/// Private memory of three tables, a page of each stored to: the first address of each.
fn three_tables(m: &mut Machine) -> [u64; 3] {
    let pages = table_pages(m);
    let base = 0x2000_0000;
    let request = MapRequest::anonymous(3 * pages * PAGE, RW);
    m.map(MapRequest { place: at(base), ..request });
    let tables = [0, 1, 2].map(|n| base + n * pages * PAGE);
    for (byte, va) in (1..).zip(tables) {
        m.store(va, byte).unwrap();
        m.store(va + PAGE, byte + 10).unwrap();
    }
    tables
}

fn fork(m: &mut Machine) -> SpaceId {
    let child = m.kernel.fork_space(&mut m.mock, m.space).expect("memory");
    m.audit();
    child
}

fn tables_of(m: &Machine) -> u64 {
    m.kernel.frames().page_table
}

#[test]
fn a_child_refers_to_its_parents_tables() {
    on_all_trees(|name| {
        let [plain, shared] = [ShareTables::Off, ShareTables::Fork].map(|choice| {
            let mut m = machine(name, choice);
            three_tables(&mut m);
            let before = tables_of(&m);
            let child = fork(&mut m);
            let counters = *m.kernel.counters();
            assert_eq!(counters.fork_pages_shared, 6, "{name}");
            assert_eq!(m.kernel.residency(child).rss_anon, 6, "{name}");
            (tables_of(&m) - before, counters.tables_shared, counters.table_entries_shared)
        });
        assert_eq!((plain.1, plain.2), (0, 0), "{name}");
        assert_eq!((plain.0 - shared.0, shared.1, shared.2), (3, 3, 6), "{name}");
    });
}

#[test]
fn hashed_tables_are_copied_as_ever() {
    for name in formats().filter(|name| !trees().any(|tree| tree == *name)) {
        let mut m = machine(name, ShareTables::All);
        let va = m.map_anon(4);
        m.store(va, 3).unwrap();
        m.space = fork(&mut m);
        assert_eq!((m.load(va), m.kernel.counters().tables_shared), (Ok(3), 0), "{name}");
    }
}

#[test]
fn who_stores_first_gets_its_own_table() {
    on_all_trees(|name| {
        for child_first in [false, true] {
            let mut m = machine(name, ShareTables::Fork);
            let [first, second, third] = three_tables(&mut m);
            let parent = m.space;
            let child = fork(&mut m);
            let (storing, other) = if child_first { (child, parent) } else { (parent, child) };
            m.space = storing;
            let flushes = m.kernel.counters().flush_space;
            m.store(second, 99).unwrap();
            m.audit();
            // A cache can hold the pointer to the table that one has no more, and that the other may
            // not store through it.
            let spaces = if has_rights_above(&m) { 2 } else { 1 };
            assert_eq!(m.kernel.counters().flush_space - flushes, spaces, "{name}");
            assert_eq!(m.kernel.counters().tables_copied, 1, "{name}");
            assert_eq!(m.kernel.counters().table_entries_copied, 2, "{name}");
            assert_eq!(m.load(second + PAGE), Ok(12), "{name}");
            m.space = other;
            assert_eq!(m.load(second), Ok(2), "{name}");
            m.store(second, 77).unwrap();
            assert_eq!(m.kernel.counters().tables_copied, 1, "{name}: it has it alone");
            m.space = storing;
            assert_eq!(m.load(second), Ok(99), "{name}");
            assert_eq!((m.load(first), m.load(third)), (Ok(1), Ok(3)), "{name}");
            m.audit();
        }
    });
}

#[test]
fn a_page_that_is_first_touched_by_one_is_not_the_others() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [first, ..] = three_tables(&mut m);
        let parent = m.space;
        let child = fork(&mut m);
        let untouched = first + 2 * PAGE;
        assert_eq!(m.load(untouched), Ok(0), "{name}");
        m.audit();
        m.store(untouched, 5).unwrap();
        m.space = child;
        assert_eq!(m.load(untouched), Ok(0), "{name}");
        m.space = parent;
        assert_eq!(m.load(untouched), Ok(5), "{name}");
        m.audit();
    });
}

#[test]
fn a_child_that_stores_to_nothing_costs_its_parent_no_faults() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let tables = three_tables(&mut m);
        let child = fork(&mut m);
        m.kernel.destroy_space(&mut m.mock, child);
        m.audit();
        assert_eq!(m.kernel.frame_table().table_frames_saved(), (0, 3), "{name}");
        let before = *m.kernel.counters();
        tables.into_iter().for_each(|va| m.store(va, 50).unwrap());
        let after = m.kernel.counters();
        let faults = after.pgfault - before.pgfault;
        // Elsewhere the right to store was taken from each entry.
        assert_eq!(faults, if has_rights_above(&m) { 0 } else { 3 }, "{name}");
        assert_eq!(after.cow_copied - before.cow_copied, 0, "{name}");
        m.audit();
    });
}

#[test]
fn a_parent_that_goes_first_leaves_its_tables() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let tables = three_tables(&mut m);
        let parent = m.space;
        let children = [fork(&mut m), fork(&mut m)];
        assert_eq!(m.kernel.counters().tables_shared, 6, "{name}");
        m.kernel.destroy_space(&mut m.mock, parent);
        m.audit();
        m.space = children[0];
        m.store(tables[0], 40).unwrap();
        m.audit();
        m.kernel.destroy_space(&mut m.mock, children[0]);
        m.audit();
        m.space = children[1];
        assert_eq!(tables.map(|va| m.load(va)), [Ok(1), Ok(2), Ok(3)], "{name}");
        m.kernel.destroy_space(&mut m.mock, children[1]);
        m.audit();
        assert_eq!(m.kernel.frames().free, m.kernel.frames().total, "{name}");
    });
}

/// A page leaves a shared table for all: one slot with one name, and no TLB that still has it.
#[test]
fn a_page_that_is_evicted_is_flushed_for_every_sharer() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [va, ..] = three_tables(&mut m);
        let parent = m.space;
        let spaces = [parent, fork(&mut m), fork(&mut m)];
        for space in spaces {
            m.space = space;
            assert_eq!(m.load(va), Ok(1), "{name}");
        }
        m.press();
        for space in spaces {
            let now = m.kernel.lookup(&m.mock, space, VirtAddr(va));
            let Mapping::Swapped(slot) = now else { panic!("{name}: {now:?} in {space:?}") };
            assert_eq!(m.kernel.swap().names(slot), 1, "{name}");
            assert_eq!(m.kernel.residency(space).swapped, 6, "{name}");
        }
        m.audit();
        let before = m.kernel.counters().pswpin;
        for space in spaces {
            m.space = space;
            assert_eq!(m.load(va), Ok(1), "{name}");
            m.audit();
        }
        assert_eq!(m.kernel.counters().pswpin - before, 1, "{name}: once for all");
        m.store(va, 9).unwrap();
        m.space = parent;
        assert_eq!(m.load(va), Ok(1), "{name}");
        m.audit();
    });
}

/// What the tests of this file would see if the flushes were left out.
#[test]
fn without_the_flush_a_parent_stores_to_its_childs_page() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [va, ..] = three_tables(&mut m);
        m.mock.deaf = true;
        let child = m.kernel.fork_space(&mut m.mock, m.space).expect("memory");
        m.mock.deaf = false;
        let stale = m.kernel.audit(&m.mock).expect_err("the TLB lets the parent store");
        assert!(stale.to_string().contains("stale"), "{name}: {stale}");
        m.store(va, 66).unwrap();
        m.space = child;
        assert_eq!(m.load(va), Ok(66), "{name}: it went to the table of both");
    });
}

#[test]
fn without_the_flush_a_sharer_keeps_a_page_that_left() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [va, ..] = three_tables(&mut m);
        let parent = m.space;
        m.space = fork(&mut m);
        assert_eq!(m.load(va), Ok(1), "{name}");
        m.mock.deaf = true;
        m.space = parent;
        m.kernel.swap_out_space(&mut m.mock, parent);
        m.mock.deaf = false;
        m.kernel.audit(&m.mock).expect_err("a stale translation");
    });
}

#[test]
fn a_change_of_rights_is_one_spaces_alone() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [va, ..] = three_tables(&mut m);
        let parent = m.space;
        let child = fork(&mut m);
        let start = VirtAddr(va);
        m.kernel.mprotect(&mut m.mock, child, start, PAGE, Prot::empty()).unwrap();
        m.audit();
        assert_eq!(m.load(va), Ok(1), "{name}");
        m.space = child;
        assert!(matches!(m.load(va), Err(Stop::Signal(_))), "{name}");
        m.kernel.mlock(&mut m.mock, parent, start, PAGE, Lock::Now).unwrap();
        m.audit();
        let grandchild = {
            m.space = parent;
            fork(&mut m)
        };
        let locked = m.kernel.table_shared(grandchild, start);
        assert_eq!(locked, None, "{name}: a locked page is in no shared table");
        m.kernel.munmap(&mut m.mock, parent, VirtAddr(va + PAGE), PAGE).unwrap();
        m.audit();
        m.space = grandchild;
        assert_eq!((m.load(va), m.load(va + PAGE)), (Ok(1), Ok(11)), "{name}");
    });
}

#[test]
fn a_range_that_has_all_of_a_table_is_unmapped_without_a_copy() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [first, second, _] = three_tables(&mut m);
        let child = fork(&mut m);
        m.space = child;
        let pages = table_pages(&m);
        m.unmap(first, pages);
        m.unmap(second, 2);
        m.audit();
        assert_eq!(m.kernel.counters().tables_copied, 0, "{name}");
        assert_eq!(m.kernel.residency(child).rss(), 2, "{name}");
        assert!(m.load(second).is_err(), "{name}");
    });
}

#[test]
fn regions_that_a_child_does_not_have_keep_their_table_to_themselves() {
    on_all_trees(|name| {
        for advice in [Advice::DontFork, Advice::WipeOnFork] {
            let mut m = machine(name, ShareTables::Fork);
            let [first, second, _] = three_tables(&mut m);
            m.kernel.madvise(&mut m.mock, m.space, VirtAddr(first), PAGE, advice).unwrap();
            let child = fork(&mut m);
            assert_eq!(m.kernel.table_shared(child, VirtAddr(first)), None, "{name}");
            assert!(m.kernel.table_shared(child, VirtAddr(second)).is_some(), "{name}");
            m.space = child;
            let found = m.load(first);
            match advice {
                Advice::DontFork => assert!(found.is_err(), "{name}"),
                _ => assert_eq!(found, Ok(0), "{name}"),
            }
            assert_eq!(m.load(first + PAGE), Ok(11), "{name}");
            m.audit();
        }
    });
}

#[test]
fn a_resident_set_of_its_own_goes_with_tables_of_its_own() {
    let config = Config { frames: 400, share_tables: ShareTables::All, ..Config::default() };
    let mut m = Machine::new("sv39", Config { scope: Scope::Process, ..config });
    three_tables(&mut m);
    fork(&mut m);
    assert_eq!(m.kernel.counters().tables_shared, 0);
}

#[test]
fn a_limit_of_its_own_comes_with_tables_of_its_own() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        three_tables(&mut m);
        let child = fork(&mut m);
        m.kernel.need_resident_set(&mut m.mock, child);
        m.audit();
        assert_eq!(m.kernel.frame_table().table_frames_saved(), (0, 3), "{name}");
    });
}

#[test]
fn a_call_that_cannot_copy_a_table_changes_nothing() {
    on_all_trees(|name| {
        let mut m = machine(name, ShareTables::Fork);
        let [va, ..] = three_tables(&mut m);
        let parent = m.space;
        let child = fork(&mut m);
        m.kernel.refuse_frames(0, u64::MAX);
        let start = VirtAddr(va);
        let unmapped = m.kernel.munmap(&mut m.mock, child, start, PAGE);
        let protected = m.kernel.mprotect(&mut m.mock, child, start, PAGE, Prot::READ);
        let dropped = m.kernel.madvise(&mut m.mock, child, start, PAGE, DONTNEED);
        m.kernel.refuse_frames(0, 0);
        assert_eq!((unmapped, protected), (Err(Errno::Enomem), Err(Errno::Enomem)), "{name}");
        assert_eq!(dropped, Err(Errno::Eagain), "{name}");
        m.audit();
        for space in [parent, child] {
            m.space = space;
            assert_eq!(m.load(va), Ok(1), "{name}");
        }
        m.store(va, 2).unwrap();
        m.audit();
    });
}

/// An object of two tables, mapped by two spaces at two addresses.
fn shared_object(name: &str) -> (Machine, [SpaceId; 2], [u64; 2], FileId) {
    let mut m = machine(name, ShareTables::Maps);
    let bytes = 2 * table_pages(&m) * PAGE;
    let file = m.kernel.create_object(bytes).unwrap();
    let second = m.kernel.create_space(&mut m.mock, LAYOUT).unwrap();
    let (spaces, bases) = ([m.space, second], [0x2000_0000, 0x3000_0000]);
    for (space, base) in spaces.into_iter().zip(bases) {
        m.space = space;
        let backing = Backing::File { file, offset: 0 };
        let request = MapRequest::anonymous(bytes, RW);
        m.map(MapRequest { place: at(base), backing, shared: true, ..request });
    }
    (m, spaces, bases, file)
}

#[test]
fn who_maps_the_same_object_finds_the_table_that_another_filled() {
    on_all_trees(|name| {
        let (mut m, [a, b], [here, there], _) = shared_object(name);
        m.space = a;
        (0..8).for_each(|page| m.store(here + page * PAGE, page as u8 + 1).unwrap());
        let tables = tables_of(&m);
        m.space = b;
        let before = m.kernel.counters().pgfault;
        for page in 0..8 {
            assert_eq!(m.load(there + page * PAGE), Ok(page as u8 + 1), "{name}");
        }
        m.audit();
        let counters = *m.kernel.counters();
        let software = name.contains("software") || name == SVADE || name == "r3000";
        if !software {
            assert_eq!(counters.pgfault - before, 1, "{name}: the one that found the table");
        }
        assert_eq!((counters.tables_shared, counters.table_entries_found), (1, 8), "{name}");
        assert!(tables_of(&m) - tables < AnyPmap::tables_per_path(&m.mock.tables), "{name}");
        m.store(there + 9 * PAGE, 42).unwrap();
        m.audit();
        assert_eq!(m.kernel.residency(a).rss_file, 9, "{name}: it is there for both");
        m.space = a;
        assert_eq!(m.load(here + 9 * PAGE), Ok(42), "{name}");
        assert_eq!(m.kernel.counters().tables_copied, 0, "{name}");
    });
}

#[test]
fn what_leaves_a_table_of_shared_memory_leaves_it_for_all() {
    on_all_trees(|name| {
        let (mut m, spaces, bases, file) = shared_object(name);
        for (space, base) in spaces.into_iter().zip(bases) {
            m.space = space;
            m.store(base, 3).unwrap();
            m.store(base + 5 * PAGE, 4).unwrap();
        }
        assert_eq!(m.kernel.counters().tables_shared, 1, "{name}");
        m.press();
        m.audit();
        for (space, base) in spaces.into_iter().zip(bases) {
            assert_eq!(m.kernel.lookup(&m.mock, space, VirtAddr(base)), Mapping::None, "{name}");
        }
        for (space, base) in spaces.into_iter().zip(bases) {
            m.space = space;
            assert_eq!(m.load(base), Ok(3), "{name}");
        }
        m.kernel.set_object_len(&mut m.mock, file, PAGE).unwrap();
        m.audit();
        for (space, base) in spaces.into_iter().zip(bases) {
            m.space = space;
            assert_eq!(m.load(base), Ok(3), "{name}");
            assert_eq!(m.load(base + 5 * PAGE), Err(Stop::Signal(Signal::Bus)), "{name}");
        }
    });
}

#[test]
fn rights_of_its_own_need_a_table_of_its_own() {
    on_all_trees(|name| {
        let (mut m, [a, b], [here, there], _) = shared_object(name);
        m.space = a;
        m.store(here, 1).unwrap();
        m.kernel.mprotect(&mut m.mock, b, VirtAddr(there), PAGE, Prot::READ).unwrap();
        m.space = b;
        assert_eq!(m.load(there), Ok(1), "{name}");
        assert_eq!(m.kernel.counters().tables_shared, 0, "{name}: a region covers not all of it");
        // The second table has the same rights in both; then no more.
        let second = table_pages(&m) * PAGE;
        m.store(there + second, 2).unwrap();
        m.space = a;
        m.store(here + second, 3).unwrap();
        assert_eq!(m.kernel.counters().tables_shared, 1, "{name}");
        let start = VirtAddr(here + second);
        m.kernel.mprotect(&mut m.mock, a, start, PAGE, Prot::READ).unwrap();
        m.audit();
        assert!(m.store(here + second, 4).is_err(), "{name}");
        m.space = b;
        m.store(there + second, 5).unwrap();
        m.space = a;
        assert_eq!(m.load(here + second), Ok(5), "{name}");
        assert_eq!(m.kernel.counters().tables_copied, 1, "{name}");
        m.audit();
    });
}
