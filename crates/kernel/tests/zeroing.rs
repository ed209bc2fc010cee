//! Free frames that are zeroed while nobody runs.

mod common;

use common::{Machine, PAGE, on_all_formats};
use pagewalk_kernel::Config;

fn machine(name: &str) -> Machine {
    Machine::new(name, Config { frames: 128, ..Config::default() })
}

/// Zeroed ahead, and found zeroed.
fn counts(m: &Machine) -> (u64, u64) {
    (m.kernel.counters().pgzero_ahead, m.kernel.counters().pgzero_hit)
}

#[test]
fn new_pages_take_zeroed_frames_and_are_zeroes() {
    on_all_formats(|name| {
        let mut m = machine(name);
        let va = m.map_anon(60);
        // Frames that hold something when they are free again.
        (0..30).for_each(|page| m.store(va + page * PAGE, 0xff).unwrap());
        m.unmap(va, 60);
        assert_eq!(m.kernel.zero_ahead(&mut m.mock, 20), 20, "{name}");
        m.audit();
        let va = m.map_anon(40);
        for page in 0..40 {
            assert_eq!(m.load(va + page * PAGE), Ok(0), "{name}");
        }
        assert_eq!(counts(&m), (20, 20), "{name}");
        assert_eq!(m.kernel.frame_table().zeroed(), 0, "{name}");
        m.audit();
    });
}

#[test]
fn it_rests_when_most_free_frames_are_zeroed_and_starts_again_when_they_are_used() {
    let mut m = machine("sv39");
    let done = m.kernel.zero_ahead(&mut m.mock, 1000);
    let free = m.kernel.frames().free;
    assert_eq!(done, (free * 4).div_ceil(5));
    assert_eq!(m.kernel.zero_ahead(&mut m.mock, 1000), 0, "it rests");
    m.audit();
    let va = m.map_anon(100);
    let mut page = 0;
    while m.kernel.frame_table().zeroed() * 3 >= m.kernel.frames().free * 2 {
        m.store(va + page * PAGE, 1).unwrap();
        assert!(page == 0 || m.kernel.zero_ahead(&mut m.mock, 0) == 0);
        page += 1;
    }
    assert!(m.kernel.zero_ahead(&mut m.mock, 1000) > 0, "too few are left");
    m.audit();
}

#[test]
fn frames_of_other_pages_and_of_tables_are_taken_from_the_others_first() {
    on_all_formats(|name| {
        let mut m = machine(name);
        m.mock.files = vec![vec![7; (8 * PAGE) as usize]];
        let zeroed = m.kernel.zero_ahead(&mut m.mock, 10);
        let va = m.map_file(0, 8, pagewalk_kernel::Prot::READ, true);
        (0..8).for_each(|page| assert_eq!(m.load(va + page * PAGE), Ok(7)));
        assert_eq!(m.kernel.frame_table().zeroed(), zeroed, "{name}");
        // When nothing else is free, a zeroed frame will do.
        let hog = m.map_anon(200);
        (0..200).for_each(|page| m.store(hog + page * PAGE, page as u8).unwrap());
        (0..200).for_each(|page| assert_eq!(m.load(hog + page * PAGE), Ok(page as u8), "{name}"));
        m.audit();
    });
}
