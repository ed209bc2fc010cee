//! The order in which a page leaves memory (text 004, `removal_policy`): its entries are marked, the
//! TLBs are flushed, and only then is it written. Otherwise a store that comes in between is lost: it
//! reaches the frame after its bytes have been taken, and nobody knows.
//!
//! Another processor stores to the page whenever a device is about to take it, by what its TLB and the
//! page tables say at that moment.

mod common;

use common::*;
use pagewalk_kernel::*;
use pagewalk_mmu::{AccessKind, VirtAddr};

const WAITS: [DeviceWait; 2] = [DeviceWait::Hart, DeviceWait::Thread];

fn machine(name: &str, device_wait: DeviceWait) -> Machine {
    let frames = frames_min(name) + 24;
    Machine::new(name, Config { frames, device_wait, ..Config::default() })
}

/// Has all pages of the machine written that can be, while the racer stores to `va`.
fn press_against(m: &mut Machine, va: u64) {
    m.mock.racer = Some((m.kernel.asid(m.space), VirtAddr(va)));
    m.press();
    m.kernel.complete_all(&mut m.mock);
    m.mock.racer = None;
    m.audit();
}

#[test]
fn nobody_can_store_to_a_page_that_a_device_takes() {
    on_all_formats(|name| {
        for wait in WAITS {
            let mut m = machine(name, wait);
            let va = m.map_anon(1);
            m.store(va, 7).unwrap();
            press_against(&mut m, va);
            let out = m.kernel.lookup(&m.mock, m.space, VirtAddr(va));
            assert!(matches!(out, Mapping::Swapped(_)), "{name} {wait:?}: {out:?}");
            // The racer may have stored as long as the page was its own, and other pages were taken.
            let expected = if m.mock.raced.is_multiple_of(2) { 7 } else { 7 ^ 0xff };
            assert_eq!(m.load(va), Ok(expected), "{name} {wait:?}: a store is lost");
        }
    });
}

/// What the test above would see if the flush came too late.
#[test]
fn a_store_is_lost_if_the_flush_comes_after_the_write() {
    for wait in WAITS {
        let mut m = machine("sv39", wait);
        let va = m.map_anon(1);
        m.store(va, 7).unwrap();
        m.mock.deaf = true;
        m.mock.racer = Some((m.kernel.asid(m.space), VirtAddr(va)));
        m.kernel.swap_out_space(&mut m.mock, m.space);
        // The page is one of those that the last faults brought in.
        let hog = m.map_anon(8);
        (0..8).for_each(|page| m.store(hog + page * PAGE, 1).unwrap());
        m.kernel.swap_out_space(&mut m.mock, m.space);
        m.kernel.complete_all(&mut m.mock);
        m.mock.deaf = false;
        m.mock.flush(Flush::All);
        m.mock.racer = None;
        assert!(m.mock.raced > 0, "{wait:?}: the TLB lets it store");
        assert_eq!(
            m.load(va),
            Ok(if m.mock.raced.is_multiple_of(2) { 7 ^ 0xff } else { 7 }),
            "{wait:?}"
        );
    }
}

#[test]
fn who_stores_while_the_device_works_takes_the_page_back() {
    on_all_formats(|name| {
        let mut m = machine(name, DeviceWait::Thread);
        let va = m.map_anon(1);
        m.store(va, 7).unwrap();
        m.kernel.swap_out_space(&mut m.mock, m.space);
        let hog = m.map_anon(8);
        (0..8).for_each(|page| m.store(hog + page * PAGE, 1).unwrap());
        m.kernel.swap_out_space(&mut m.mock, m.space);
        let Mapping::Swapped(slot) = m.kernel.lookup(&m.mock, m.space, VirtAddr(va)) else {
            panic!("{name}: the page is still mapped");
        };
        assert!(m.kernel.cached_frame(slot).is_some(), "{name}: the swap cache has it");
        assert_eq!(m.kernel.counters().pswpout, 0, "{name}: nothing is written yet");
        let attempt = m.attempt(VirtAddr(va), AccessKind::Write, Waited::default());
        let back = Attempt::Done(FaultResult::Resolved { major: false });
        assert_eq!(attempt, back, "{name}: it is found without a read");
        m.store(va, 8).unwrap();
        m.audit();
        m.kernel.complete_all(&mut m.mock);
        m.audit();
        m.press();
        m.kernel.complete_all(&mut m.mock);
        assert_eq!(m.load(va), Ok(8), "{name}");
    });
}

#[test]
fn several_wait_for_one_read() {
    on_all_formats(|name| {
        let mut m = machine(name, DeviceWait::Thread);
        let va = m.map_anon(1);
        m.store(va, 7).unwrap();
        let child = m.kernel.fork_space(&mut m.mock, m.space).expect("memory");
        m.press();
        m.kernel.complete_all(&mut m.mock);
        let read = |m: &mut Machine, space| {
            m.space = space;
            m.attempt(VirtAddr(va), AccessKind::Read, Waited::default())
        };
        let parent = m.space;
        let Attempt::Wait { on: Some(first), waited } = read(&mut m, parent) else {
            panic!("{name}: it does not wait");
        };
        let Attempt::Wait { on: second, .. } = read(&mut m, child) else {
            panic!("{name}: it does not wait");
        };
        assert_eq!(second, Some(first), "{name}: for another read");
        assert!(waited.major && waited.times == 1);
        m.audit();
        let before = m.kernel.counters().pswpin;
        m.complete(first);
        m.audit();
        assert_eq!((m.load(va), m.kernel.counters().pswpin - before), (Ok(7), 1), "{name}");
        m.space = parent;
        assert_eq!((m.load(va), m.kernel.counters().pswpin - before), (Ok(7), 1), "{name}");
    });
}
