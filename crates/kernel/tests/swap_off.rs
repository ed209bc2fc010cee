//! Taking the swap device out of use while it is in use.

mod common;

use common::*;
use pagewalk_kernel::{Backing, Config, Errno, IoError, MapRequest, Prot};
use pagewalk_mmu::VirtAddr;

const PAGES: u64 = 40;

/// A machine in which private pages, an object's and a forked child's are on the device, and then
/// some memory is free again.
fn swapped(name: &str) -> (Machine, u64, u64) {
    let frames = frames_min(name) + 250;
    let mut m = Machine::new(name, Config { frames, ..Config::default() });
    let private = m.map_anon(PAGES);
    let file = m.kernel.create_object(PAGES * PAGE).unwrap();
    let backing = Backing::File { file, offset: 0 };
    let shared =
        m.map(MapRequest { backing, shared: true, ..MapRequest::anonymous(PAGES * PAGE, RW) });
    for page in 0..PAGES {
        m.store(private + page * PAGE, page as u8).unwrap();
        m.store(shared + page * PAGE, 100 + page as u8).unwrap();
    }
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
