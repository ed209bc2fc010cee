//! Reading ahead from swap.

mod common;

use common::*;
use pagewalk_kernel::{Backing, Config, IoError, MapRequest, SwapDevice, Vmstat};

const PAGES: u64 = 96;

/// Pages that were stored to in order and are on swap, with most of memory free.
fn swapped(name: &str, read_ahead: u32) -> (Machine, u64) {
    let frames = frames_min(name) + 400;
    let mut m = Machine::new(name, Config { frames, read_ahead, ..Config::default() });
    let at = m.map_anon(PAGES);
    (0..PAGES).for_each(|n| m.store(at + n * PAGE, n as u8).unwrap());
    m.press();
    m.audit();
    (m, at)
}

fn load_all(m: &mut Machine, at: u64, order: impl Iterator<Item = u64>) -> Vmstat {
    let before = *m.kernel.counters();
    for n in order {
        assert_eq!(m.load(at + n * PAGE), Ok(n as u8));
        m.audit();
    }
    let after = *m.kernel.counters();
    Vmstat {
        swap_ra: after.swap_ra - before.swap_ra,
        swap_ra_hit: after.swap_ra_hit - before.swap_ra_hit,
        pgmajfault: after.pgmajfault - before.pgmajfault,
        pswpin: after.pswpin - before.pswpin,
        ..Vmstat::default()
    }
}

#[test]
fn pages_that_left_together_come_back_together() {
    on_all_formats(|name| {
        let (mut plain, at) = swapped(name, 0);
        let without = load_all(&mut plain, at, 0..PAGES);
        assert_eq!((without.swap_ra, without.swap_ra_hit), (0, 0), "{name}");
        let (mut m, at) = swapped(name, 8);
        let with = load_all(&mut m, at, 0..PAGES);
        // The same pages are read, most of them ahead, and none is waited for twice.
        assert_eq!(with.pswpin, without.pswpin, "{name}");
        assert_eq!(with.swap_ra_hit, with.swap_ra, "{name}");
        assert_eq!(with.pgmajfault + with.swap_ra, without.pgmajfault, "{name}");
        assert!(with.pgmajfault * 4 < without.pgmajfault, "{name}: {}", with.pgmajfault);
    });
}

#[test]
fn a_scattered_program_is_read_ahead_for_less_and_less() {
    let (mut m, at) = swapped("sv39", 8);
    // Far from each other, and each in a window of its own.
    let order = (0..PAGES).map(|n| n * 37 % PAGES).filter(|n| n % 8 == 3);
    let with = load_all(&mut m, at, order.take(8));
    assert!(with.swap_ra_hit <= 4 && with.swap_ra < 24, "{with:?}");
}

#[test]
fn nothing_is_evicted_to_read_ahead() {
    let mut m = Machine::tight("sv39", 8, 500);
    let at = m.map_anon(PAGES);
    (0..PAGES).for_each(|n| m.store(at + n * PAGE, n as u8).unwrap());
    let frames = frames_min("sv39") + 8;
    let config = Config { frames, swap_slots: 500, read_ahead: 32, ..Config::default() };
    let mut ahead = Machine::new("sv39", config);
    assert_eq!(ahead.map_anon(PAGES), at);
    (0..PAGES).for_each(|n| ahead.store(at + n * PAGE, n as u8).unwrap());
    let low = ahead.kernel.watermarks().low;
    for n in 0..PAGES {
        let before = ahead.kernel.counters().swap_ra;
        assert_eq!(ahead.load(at + n * PAGE), Ok(n as u8));
        let read = ahead.kernel.counters().swap_ra - before;
        assert!(read == 0 || ahead.kernel.frames().free >= low);
        ahead.audit();
    }
}

#[test]
fn a_slot_that_cannot_be_read_ahead_harms_nobody() {
    let (mut m, at) = swapped("sv39", 8);
    // The page that is wanted is read; its neighbours are not, and are read when they are wanted.
    let mut reads = 0;
    m.mock.swap_read_fails = Box::new(move || {
        reads += 1;
        (reads % 2 == 0).then_some(IoError::Corrupt)
    });
    assert_eq!(m.load(at), Ok(0));
    m.audit();
    m.mock.heal();
    load_all(&mut m, at, 0..PAGES);
}

#[test]
fn objects_and_other_devices_are_left_alone() {
    let frames = frames_min("sv39") + 400;
    let config = Config { frames, read_ahead: 32, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    let device = |slots, priority| SwapDevice { slots, priority };
    m.kernel.set_swap_devices(&[device(21, 2), device(2000, 1)]).unwrap();
    let file = m.kernel.create_object(PAGES * PAGE).unwrap();
    let backing = Backing::File { file, offset: 0 };
    let request = MapRequest::anonymous(PAGES * PAGE, RW);
    let shared = m.map(MapRequest { backing, shared: true, ..request });
    let private = m.map_anon(PAGES);
    for n in 0..PAGES {
        m.store(private + n * PAGE, n as u8).unwrap();
        m.store(shared + n * PAGE, n as u8).unwrap();
    }
    m.press();
    let [first, second] = m.kernel.swap().areas() else { panic!("two devices") };
    assert!(first.used() == 21 && second.used() > PAGES);
    load_all(&mut m, private, 0..PAGES);
    load_all(&mut m, shared, 0..PAGES);
    assert!(m.kernel.counters().swap_ra_hit > 0);
    m.kernel.swap_off(&mut m.mock, 0).unwrap();
    m.audit();
    load_all(&mut m, shared, 0..PAGES);
}
