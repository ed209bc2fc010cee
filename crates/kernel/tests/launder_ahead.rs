//! The daemon that writes modified pages before a frame is wanted.

mod common;

use common::{Machine, PAGE, always, on_all_formats};
use pagewalk_kernel::{Advice, Config, IoError, Watermarks};
use pagewalk_mmu::VirtAddr;

const PAGES: u64 = 40;

/// Memory that is nearly short, with pages that were stored to and not used since the policy looked.
fn machine(name: &str, launder_ahead: bool) -> (Machine, u64) {
    let watermarks = Some(Watermarks { min: 8, low: 10, high: 60 });
    let config = Config { frames: 128, launder_ahead, watermarks, ..Config::default() };
    let mut m = Machine::new(name, config);
    let va = m.map_anon(PAGES);
    (0..PAGES).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
    let pages = PAGES * PAGE;
    m.kernel.madvise(&mut m.mock, m.space, VirtAddr(va), pages, Advice::Cold).unwrap();
    (m, va)
}

/// So many entries into the kernel.
fn enter(m: &mut Machine, times: u32) {
    (0..times).for_each(|_| m.kernel.daemon(&mut m.mock));
}

#[test]
fn idle_modified_pages_are_written_in_clusters_and_stay() {
    on_all_formats(|name| {
        let (mut m, va) = machine(name, true);
        // A lap at rest finds them; then a cluster at a time.
        enter(&mut m, 10);
        let begun = m.kernel.counters().pglaunder_ahead;
        enter(&mut m, 1);
        let more = m.kernel.counters().pglaunder_ahead - begun;
        assert!(more <= 16, "{name}: {more} at once");
        enter(&mut m, 20);
        let counters = m.kernel.counters();
        assert!(counters.pglaunder_ahead >= PAGES - 4, "{name}: {}", counters.pglaunder_ahead);
        assert_eq!(counters.pglaunder, counters.pglaunder_ahead, "{name}");
        assert_eq!(counters.pswpout, counters.pglaunder_ahead, "{name}");
        assert_eq!(m.kernel.residency(m.space).rss_anon, PAGES, "{name}");
        m.audit();
        // What is stored to afterwards is written again, and nothing else is.
        (0..3).for_each(|page| m.store(va + page * PAGE, 0x90 + page as u8).unwrap());
        m.audit();
        m.press();
        for page in 0..PAGES {
            let expected = if page < 3 { 0x90 + page as u8 } else { page as u8 + 1 };
            assert_eq!(m.load(va + page * PAGE), Ok(expected), "{name}: page {page}");
        }
        assert!(m.kernel.counters().pgdrop_clean > 0, "{name}");
        m.audit();
    });
}

#[test]
fn pages_in_use_are_left_alone_and_so_are_all_when_it_is_off_or_frames_are_plenty() {
    let (mut m, va) = machine("sv39", true);
    (0..PAGES).for_each(|page| _ = m.load(va + page * PAGE).unwrap());
    enter(&mut m, 40);
    assert!(m.kernel.counters().pgscan_launder > 0);
    assert_eq!(m.kernel.counters().pglaunder_ahead, 0, "their bits are set");

    let (mut m, _) = machine("sv39", false);
    enter(&mut m, 40);
    assert_eq!(m.kernel.counters().pgscan_launder, 0, "off");

    let mut m = Machine::new("sv39", Config { launder_ahead: true, ..Config::default() });
    enter(&mut m, 40);
    assert_eq!(m.kernel.counters().pgscan_launder, 0, "plenty");
}

#[test]
fn a_device_that_fails_is_asked_once_a_lap() {
    let (mut m, va) = machine("sv39", true);
    m.mock.swap_write_fails = always(IoError::Io);
    enter(&mut m, 80);
    let counters = m.kernel.counters();
    let laps = counters.pgscan_launder / 128;
    assert_eq!(counters.pglaunder_ahead, 0);
    assert!((1..=laps).contains(&counters.swap_io_errors), "{}", counters.swap_io_errors);
    m.audit();
    m.mock.heal();
    m.press();
    (0..PAGES).for_each(|page| assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1)));
}
