//! Taking the swap device out of use while it is in use.

mod common;

use common::*;
use pagewalk_kernel::{Backing, Config, Errno, IoError, MapRequest, Prot, SwapDevice};
use pagewalk_mmu::VirtAddr;

const PAGES: u64 = 40;

/// Makes private pages and an object's, and stores to all of them.
fn fill(m: &mut Machine) -> (u64, u64) {
    let private = m.map_anon(PAGES);
    let file = m.kernel.create_object(PAGES * PAGE).unwrap();
    let backing = Backing::File { file, offset: 0 };
    let shared =
        m.map(MapRequest { backing, shared: true, ..MapRequest::anonymous(PAGES * PAGE, RW) });
    for page in 0..PAGES {
        m.store(private + page * PAGE, page as u8).unwrap();
        m.store(shared + page * PAGE, 100 + page as u8).unwrap();
    }
    (private, shared)
}

/// A machine in which private pages, an object's and a forked child's are on the device, and then
/// some memory is free again.
fn swapped(name: &str) -> (Machine, u64, u64) {
    let frames = frames_min(name) + 250;
    let mut m = Machine::new(name, Config { frames, ..Config::default() });
    let (private, shared) = fill(&mut m);
    m.kernel.fork_space(&mut m.mock, m.space).unwrap();
    m.press();
    m.audit();
    assert!(m.kernel.swap().used() > PAGES, "{name}: {}", m.kernel.swap().used());
    (m, private, shared)
}

fn check(m: &mut Machine, private: u64, shared: u64) {
    for page in 0..PAGES {
        assert_eq!(m.load(private + page * PAGE), Ok(page as u8));
        assert_eq!(m.load(shared + page * PAGE), Ok(100 + page as u8));
    }
    m.audit();
}

fn protect(m: &mut Machine, page: u64, prot: Prot) {
    m.kernel.mprotect(&mut m.mock, m.space, VirtAddr(page), PAGE, prot).unwrap();
}

#[test]
fn everything_comes_back_and_nothing_goes_out_until_it_is_on() {
    on_all_formats(|name| {
        let (mut m, private, shared) = swapped(name);
        assert_eq!(m.kernel.swap_on(0, None), Err(Errno::Ebusy));
        // The kernel brings back what the program may not touch.
        protect(&mut m, private, Prot::empty());
        assert_eq!(m.kernel.swap_off(&mut m.mock, 0), Ok(()));
        m.audit();
        assert_eq!((m.kernel.swap().used(), m.kernel.swap().capacity()), (0, 0), "{name}");
        assert_eq!(m.kernel.swap_off(&mut m.mock, 0), Err(Errno::Einval));
        protect(&mut m, private, RW);
        check(&mut m, private, shared);
        let out = m.kernel.counters().pswpout;
        let big = m.map_anon(400);
        let stored = (0..400).take_while(|n| m.store(big + n * PAGE, 1).is_ok()).count();
        assert!(stored < 400, "{name}: memory ends");
        m.audit();
        assert_eq!(m.kernel.counters().pswpout, out);
        assert_eq!(m.kernel.swap_on(0, None), Ok(()));
        assert_eq!(m.store(big + 399 * PAGE, 1), Ok(()), "{name}: it goes on");
        check(&mut m, private, shared);
    });
}

#[test]
fn a_device_whose_pages_do_not_fit_stays_in_use() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 12, 500);
        let at = m.map_anon(PAGES * 2);
        (0..PAGES * 2).for_each(|n| m.store(at + n * PAGE, n as u8).unwrap());
        assert_eq!(m.kernel.swap_off(&mut m.mock, 0), Err(Errno::Enomem), "{name}");
        m.audit();
        assert!(m.kernel.swap().is_on());
        (0..PAGES * 2).for_each(|n| assert_eq!(m.load(at + n * PAGE), Ok(n as u8)));
    });
}

#[test]
fn a_device_that_cannot_be_read_stays_in_use() {
    let (mut m, private, shared) = swapped("sv39");
    m.mock.swap_read_fails = always(IoError::Io);
    assert_eq!(m.kernel.swap_off(&mut m.mock, 0), Err(Errno::Eio));
    m.mock.heal();
    m.audit();
    check(&mut m, private, shared);
}

#[test]
fn a_machine_without_a_device_has_none_to_take_out() {
    let mut m = Machine::tight("sv39", 12, 0);
    assert_eq!(m.kernel.swap_off(&mut m.mock, 0), Err(Errno::Einval));
    assert_eq!(m.kernel.swap_on(0, None), Err(Errno::Einval));
}

/// As [`swapped`], on devices of these priorities, none of which has room for everything.
fn swapped_on(name: &str, priorities: &[i32]) -> (Machine, u64, u64) {
    let frames = frames_min(name) + 250;
    let mut m = Machine::new(name, Config { frames, ..Config::default() });
    let device = |&priority| SwapDevice { slots: 70, priority };
    let devices: Vec<SwapDevice> = priorities.iter().map(device).collect();
    m.kernel.set_swap_devices(&devices).unwrap();
    let (private, shared) = fill(&mut m);
    m.press();
    m.audit();
    (m, private, shared)
}

fn used(m: &Machine) -> Vec<u64> {
    m.kernel.swap().areas().iter().map(|area| area.used()).collect()
}

fn priorities(m: &Machine) -> Vec<i32> {
    m.kernel.swap().areas().iter().map(|area| area.priority()).collect()
}

#[test]
fn devices_are_taken_out_of_use_one_by_one() {
    on_all_formats(|name| {
        let (mut m, private, shared) = swapped_on(name, &[-2, 9, -3]);
        let [first, second, third] = used(&m)[..] else { panic!("three devices") };
        assert_eq!((second, third), (70, 0), "{name}: the best is full first");
        assert!(first > 0, "{name}");
        assert_eq!(m.kernel.swap_off(&mut m.mock, 1), Ok(()));
        m.audit();
        assert_eq!((used(&m)[1], m.kernel.swap().capacity()), (0, 140), "{name}");
        check(&mut m, private, shared);
        // What is pressed out now goes to those that are left.
        m.press();
        m.audit();
        assert_eq!(used(&m)[1], 0, "{name}");
        assert_eq!(m.kernel.swap_on(1, Some(3)), Ok(()));
        assert_eq!(m.kernel.swap_on(3, None), Err(Errno::Einval));
        assert_eq!(priorities(&m), [-2, 3, -3], "{name}");
        m.press();
        check(&mut m, private, shared);
    });
}

#[test]
fn priorities_that_nobody_gave_are_linuxs() {
    let (mut m, private, shared) = swapped_on("sv39", &[-2, -3, -4]);
    assert_eq!(m.kernel.swap_off(&mut m.mock, 0), Ok(()));
    assert_eq!(priorities(&m)[1..], [-2, -3]);
    assert_eq!(m.kernel.swap_on(0, None), Ok(()));
    assert_eq!(priorities(&m), [-4, -2, -3]);
    check(&mut m, private, shared);
}

#[test]
fn a_full_device_leaves_the_pages_to_the_others() {
    let frames = frames_min("sv39") + 20;
    let mut m = Machine::new("sv39", Config { frames, ..Config::default() });
    let device = |priority| SwapDevice { slots: 1000, priority };
    m.kernel.set_swap_devices(&[device(5), device(1)]).unwrap();
    let at = m.map_anon(PAGES);
    let mut writes = 0;
    m.mock.swap_write_fails = Box::new(move || {
        writes += 1;
        (writes == 10).then_some(IoError::NoSpace)
    });
    for page in 0..PAGES {
        m.store(at + page * PAGE, page as u8).unwrap();
        m.audit();
    }
    let on_second = m.mock.swap.keys().filter(|&&slot| slot >= 1000).count();
    assert!(on_second > 0 && on_second < PAGES as usize, "{on_second}");
    for page in 0..PAGES {
        assert_eq!(m.load(at + page * PAGE), Ok(page as u8));
    }
}
