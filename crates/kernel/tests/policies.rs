//! What the kernel shows to page-replacement policies, and does for them.

mod common;

use common::{DONTNEED, Machine, PAGE, RW, SVADE, always, on_all_formats};
use pagewalk_kernel::{Config, IoError, MapRequest, Prot, Vmstat};
use pagewalk_mmu::{AccessKind, VirtAddr};
use pagewalk_replacement::{PageId, PolicyKind};
use std::collections::BTreeSet;

/// A machine whose harvests come after every 64 units of time.
fn machine(name: &str, policy: &str) -> Machine {
    let policy: PolicyKind = policy.parse().expect("a policy");
    let mut m = Machine::new(name, Config { frames: 64, policy, harvest: 1, ..Config::default() });
    m.mock.files = vec![(0..32 * PAGE).map(|at| (at / PAGE) as u8 + 1).collect()];
    m
}

/// The name of the page at an address, which is loaded for it.
fn id_at(m: &mut Machine, va: u64) -> PageId {
    let pa = m.access(VirtAddr(va), AccessKind::Read).expect("a page");
    m.kernel.page_id(pa.pfn(m.kernel.page()))
}

fn counters(m: &Machine) -> Vmstat {
    *m.kernel.counters()
}

/// Lets time pass, in steps in which `touched` is read.
fn pass(m: &mut Machine, steps: std::ops::Range<u64>, touched: &[u64]) {
    for step in steps {
        for &va in touched {
            m.load(va).unwrap();
        }
        m.kernel.set_time(step * 64);
        m.kernel.daemon(&mut m.mock);
        m.audit();
    }
}

#[test]
fn a_page_has_the_same_name_whenever_it_is_in_memory() {
    on_all_formats(|name| {
        let mut m = machine(name, "clock");
        let anon = m.map_anon(6);
        let file = m.map_file(0, 4, Prot::READ, true);
        let copied = m.map_file(0, 4, RW, false);
        let pages: Vec<u64> = [(anon, 6), (file, 4), (copied, 4)]
            .into_iter()
            .flat_map(|(va, pages)| (0..pages).map(move |page| va + page * PAGE))
            .collect();
        for page in 0..6 {
            m.store(anon + page * PAGE, 1).unwrap();
        }
        for page in 0..4 {
            m.store(copied + page * PAGE, 1).unwrap();
        }
        let names: Vec<PageId> = pages.iter().map(|&va| id_at(&mut m, va)).collect();
        assert!(!names.contains(&PageId::UNKNOWN));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{name}");
        let before = counters(&m);
        m.press();
        let again: Vec<PageId> = pages.iter().map(|&va| id_at(&mut m, va)).collect();
        assert_eq!(names, again, "{name}");
        let after = counters(&m);
        assert_eq!(after.workingset_refault_anon - before.workingset_refault_anon, 10, "{name}");
        assert_eq!(after.workingset_refault_file - before.workingset_refault_file, 4, "{name}");
        assert!(after.refault_distance > before.refault_distance, "{name}");
        m.audit();
    });
}

#[test]
fn what_is_mapped_in_place_of_a_page_is_another_page() {
    let mut m = machine("sv39", "clock");
    let va = m.map_anon(1);
    m.store(va, 1).unwrap();
    let first = id_at(&mut m, va);
    m.press();
    m.kernel.madvise(&mut m.mock, m.space, VirtAddr(va), PAGE, DONTNEED).unwrap();
    m.store(va, 2).unwrap();
    assert_ne!(id_at(&mut m, va), first);
}

#[test]
fn a_fork_shares_names_and_a_copy_has_its_own() {
    let mut m = machine("sv39", "clock");
    let va = m.map_anon(2);
    (0..2).for_each(|page| m.store(va + page * PAGE, 1).unwrap());
    let names = [id_at(&mut m, va), id_at(&mut m, va + PAGE)];
    let child = m.kernel.fork_space(&mut m.mock, m.space).unwrap();
    m.store(va, 2).unwrap();
    assert_ne!(id_at(&mut m, va), names[0]);
    // The child finds the page where both left it: on swap.
    m.press();
    m.space = child;
    assert_eq!([id_at(&mut m, va), id_at(&mut m, va + PAGE)], names);
    m.audit();
}

#[test]
fn harvests_come_with_time_and_only_for_those_who_want_them() {
    for policy in PolicyKind::ALL {
        let mut m = machine("sv39", &policy.to_string());
        let va = m.map_anon(4);
        (0..4).for_each(|page| m.store(va + page * PAGE, 1).unwrap());
        let follows = m.kernel.follows_time();
        pass(&mut m, 1..2, &[]);
        let looks = counters(&m).pgscan_harvest;
        m.kernel.daemon(&mut m.mock);
        assert_eq!(counters(&m).pgscan_harvest, looks, "{policy}: no time has passed");
        pass(&mut m, 2..9, &[va]);
        assert!(follows || counters(&m).pgscan_harvest == 0, "{policy}");
        assert_eq!(counters(&m).pgsteal_kswapd + counters(&m).pgsteal_direct, 0, "{policy}");
    }
    let mut m = machine("sv39", "aging");
    let va = m.map_anon(8);
    (0..8).for_each(|page| m.store(va + page * PAGE, 1).unwrap());
    pass(&mut m, 1..9, &[va]);
    // One page when time began, and eight harvests of eight pages. Those of the last four faults are
    // busy; the others were used before the first harvest, and one before each other.
    assert_eq!((counters(&m).pgscan_harvest, counters(&m).pgreferenced), (1 + 64, 4 + 7));
}

#[test]
fn pages_that_left_the_working_set_are_given_up_and_come_back() {
    on_all_formats(|name| {
        let mut m = machine(name, "ws:tau=256");
        let va = m.map_anon(12);
        (0..12).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
        let used = [va, va + PAGE];
        let before = m.kernel.residency(m.space).rss_anon;
        pass(&mut m, 1..20, &used);
        let now = m.kernel.residency(m.space);
        // Two pages are used; those of the last four faults stay in any case, and uses are faults
        // where bits are software's to set.
        assert!(before == 12 && (4..=6).contains(&now.rss_anon), "{name}: {now:?}");
        assert_eq!(now.rss_anon + now.swapped, 12, "{name}");
        assert_eq!(counters(&m).pgsurplus, now.swapped, "{name}");
        (0..12).for_each(|page| assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1)));
    });
}

/// Pages that were stored to and not used for long, so that WSClock launders them for its next victim;
/// on hardware that may be deaf to flushes from then on.
fn stored_long_ago(name: &str, deaf: bool) -> (Machine, u64) {
    let mut m = machine(name, "wsclock:tau=64,launder=4");
    let va = m.map_anon(4);
    (0..4).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
    m.mock.deaf = deaf;
    let recent = m.map_file(0, 8, Prot::READ, true);
    for step in 1..8 {
        (0..8).for_each(|page| _ = m.load(recent + page * PAGE).unwrap());
        m.kernel.set_time(step * 64);
        m.kernel.daemon(&mut m.mock);
    }
    (m, va)
}

/// Maps more pages until the policy has had to look for victims.
fn want_a_frame(m: &mut Machine) {
    let hog = m.map_anon(64);
    let mut page = 0;
    while counters(m).pgsteal_kswapd + counters(m).pgsteal_direct == 0 {
        m.load(hog + page * PAGE).unwrap();
        page += 1;
    }
    m.unmap(hog, 64);
}

#[test]
fn what_is_laundered_stays_is_clean_and_takes_stores() {
    on_all_formats(|name| {
        let (mut m, va) = stored_long_ago(name, false);
        want_a_frame(&mut m);
        m.audit();
        let pages = counters(&m).pglaunder;
        assert!((1..=4).contains(&pages), "{name}: {pages} laundered");
        assert!(counters(&m).pswpout >= pages, "{name}");
        // Stored to after it was written: the slot has old bytes, and the store must be seen.
        (0..4).for_each(|page| m.store(va + page * PAGE, page as u8 + 0x81).unwrap());
        m.audit();
        m.press();
        (0..4).for_each(|page| {
            assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 0x81), "{name}");
        });
        m.audit();
    });
}

#[test]
fn without_the_flush_a_store_after_laundering_would_be_lost() {
    let (mut m, va) = stored_long_ago("sv39", true);
    want_a_frame(&mut m);
    assert!(counters(&m).pglaunder > 0);
    (0..4).for_each(|page| m.store(va + page * PAGE, page as u8 + 0x81).unwrap());
    m.mock.deaf = false;
    m.kernel.fork_space(&mut m.mock, m.space).unwrap();
    m.press();
    let kept = (0..4).all(|page| m.load(va + page * PAGE) == Ok(page as u8 + 0x81));
    assert!(!kept, "the test above would not notice");
}

#[test]
fn a_write_that_fails_leaves_the_page_dirty() {
    for name in ["sv39", SVADE, "ia32"] {
        let (mut m, va) = stored_long_ago(name, false);
        m.mock.swap_write_fails = always(IoError::Io);
        let before = counters(&m);
        want_a_frame(&mut m);
        let after = counters(&m);
        assert_eq!(after.pglaunder, before.pglaunder, "{name}");
        assert!(after.swap_io_errors > before.swap_io_errors, "{name}");
        m.audit();
        m.mock.heal();
        m.press();
        (0..4).for_each(|page| assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1), "{name}"));
    }
}

#[test]
fn every_policy_keeps_every_byte_on_every_format() {
    on_all_formats(|name| {
        for policy in PolicyKind::ALL {
            let mut m = machine(name, &policy.to_string());
            let (anon, file) = (m.map_anon(60), m.map_file(0, 32, RW, true));
            let shared = MapRequest { shared: true, ..MapRequest::anonymous(20 * PAGE, RW) };
            let object = m.map(shared);
            let mut bytes = [0; 60];
            let mut state = 1u64;
            for step in 0..600 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (state >> 33) % 60;
                let page = anon + at * PAGE;
                match step % 4 {
                    0 => {
                        bytes[at as usize] = step as u8;
                        m.store(page, step as u8).unwrap();
                    }
                    1 => m.store(object + at % 20 * PAGE, at as u8 % 20).unwrap(),
                    2 => assert_eq!(m.load(file + at % 32 * PAGE), Ok(at as u8 % 32 + 1)),
                    _ => assert_eq!(m.load(page), Ok(bytes[at as usize]), "{name}, {policy}"),
                }
                m.kernel.set_time(step * 300);
                m.kernel.daemon(&mut m.mock);
                if step % 100 == 99 {
                    m.audit();
                }
            }
            let c = counters(&m);
            assert!(c.pgsteal_kswapd + c.pgsteal_direct + c.pgsurplus > 0, "{name}, {policy}");
            for at in 0..60 {
                assert_eq!(m.load(anon + at * PAGE), Ok(bytes[at as usize]), "{name}, {policy}");
            }
        }
    });
}
