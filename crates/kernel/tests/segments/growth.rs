//! Growing, moving, compacting, running out.

use crate::mock::{Machine, PAGE, geometries, layout, small_table};
use pagewalk_kernel::segments::Geometry;
use pagewalk_kernel::{Errno, Fit, MapRequest, Placement, Prot, RegionName};
use pagewalk_mmu::{AccessKind, VirtAddr};

const RW: Prot = Prot::READ.union(Prot::WRITE);
const UNIT: u64 = 64 << 10;

fn map(machine: &mut Machine, pages: u64) -> Result<u64, Errno> {
    let space = machine.space;
    let at = machine.kernel.map_domain(&mut machine.mock, space, pages * PAGE, RW);
    machine.audit();
    at.map(|at| at.0)
}

fn grow(machine: &mut Machine, at: u64, old: u64, new: u64) -> Result<u64, Errno> {
    use pagewalk_kernel::Remap;
    let space = machine.space;
    let (old, new) = (old * PAGE, new * PAGE);
    let (mock, how) = (&mut machine.mock, Remap::InPlace);
    let result = machine.kernel.mremap(mock, space, VirtAddr(at), old, new, how);
    machine.audit();
    result.map(|at| at.0)
}

fn unmap(machine: &mut Machine, at: u64, pages: u64) {
    let space = machine.space;
    machine.kernel.munmap(&mut machine.mock, space, VirtAddr(at), pages * PAGE).unwrap();
    machine.audit();
}

/// Text 004: "What if one wants to grow a segment? It's very expensive since you would have to move
/// a lot of data".
#[test]
fn a_segment_that_cannot_grow_where_it_is_moves() {
    let mut machine = Machine::new(small_table(), 32, Fit::First);
    let first = map(&mut machine, 4).unwrap();
    let second = map(&mut machine, 4).unwrap();
    machine.store(first + 5, 11).unwrap();
    machine.store(second + 5, 22).unwrap();
    assert_eq!(grow(&mut machine, first, 4, 6), Ok(first));
    let counters = *machine.kernel.segment_counters();
    assert_eq!((counters.moves, counters.bytes_moved, counters.compactions), (1, 4 * PAGE, 0));
    assert_eq!(machine.mock.bytes_copied, 4 * PAGE, "the copying is the platform's to charge");
    // The last one has free memory behind it.
    assert_eq!(grow(&mut machine, first, 6, 8), Ok(first));
    assert_eq!(machine.kernel.segment_counters().moves, 1);
    assert_eq!(machine.load(first + 5), Some(11));
    assert_eq!(machine.load(second + 5), Some(22));
    assert_eq!(machine.load(first + 7 * PAGE), Some(0));
}

#[test]
fn scattered_memory_is_gathered_when_it_must_be() {
    let mut machine = Machine::new(small_table(), 24, Fit::First);
    let domains: Vec<u64> = (0..8).map(|_| map(&mut machine, 3).unwrap()).collect();
    for (n, &at) in domains.iter().enumerate() {
        machine.store(at, n as u8).unwrap();
    }
    for &at in domains.iter().step_by(2) {
        unmap(&mut machine, at, 3);
    }
    let summary = machine.kernel.summary();
    assert_eq!((summary.frames_free, summary.frames_largest, summary.free_blocks), (12, 3, 4));
    let large = map(&mut machine, 12).unwrap();
    let counters = *machine.kernel.segment_counters();
    assert_eq!((counters.compactions, counters.moves), (1, 4));
    for (n, &at) in domains.iter().enumerate().skip(1).step_by(2) {
        assert_eq!(machine.load(at), Some(n as u8));
    }
    assert_eq!(machine.load(large + 12 * PAGE - 1), Some(0));
    assert_eq!(map(&mut machine, 1), Err(Errno::Enomem));
    assert_eq!(machine.kernel.segment_counters().bytes_missing, PAGE);
}

#[test]
fn growth_in_a_full_memory_pushes_the_others_aside() {
    let mut machine = Machine::new(small_table(), 12, Fit::First);
    let domains: Vec<u64> = (0..3).map(|_| map(&mut machine, 3).unwrap()).collect();
    for (n, &at) in domains.iter().enumerate() {
        machine.store(at + 2 * PAGE, n as u8 + 1).unwrap();
    }
    // Three frames are free behind the last; no block of six is.
    assert_eq!(grow(&mut machine, domains[0], 3, 6), Ok(domains[0]));
    assert_eq!(machine.kernel.segment_counters().compactions, 1);
    for (n, &at) in domains.iter().enumerate() {
        assert_eq!(machine.load(at + 2 * PAGE), Some(n as u8 + 1));
    }
}

#[test]
fn segments_run_out_though_memory_does_not() {
    let mut machine = Machine::new(small_table(), 4096, Fit::First);
    // Of 64 one is null, and a quarter is the stack's.
    for n in 0..47 {
        assert!(map(&mut machine, 1).is_ok(), "{n}");
    }
    assert_eq!(map(&mut machine, 1), Err(Errno::Enomem));
    let counters = machine.kernel.segment_counters();
    assert_eq!((counters.refused_segments, counters.refused_memory), (1, 0));
    assert_eq!(counters.peak_segments, 47);
    assert!(machine.kernel.summary().frames_free > 4000);
}

#[test]
fn without_translation_scattered_memory_is_lost() {
    let mut machine = Machine::new(Geometry::Identity, 24, Fit::First);
    let domains: Vec<u64> = (0..8).map(|_| map(&mut machine, 3).unwrap()).collect();
    for &at in domains.iter().step_by(2) {
        unmap(&mut machine, at, 3);
    }
    assert_eq!(machine.kernel.summary().frames_free, 12);
    assert_eq!(map(&mut machine, 4), Err(Errno::Enomem), "nothing can be moved");
    assert!(map(&mut machine, 3).is_ok());
    assert_eq!(machine.kernel.segment_counters().moves, 0);
}

fn stack(machine: &mut Machine) -> u64 {
    let space = machine.space;
    machine.kernel.set_heap_start(space, VirtAddr(2 * UNIT));
    let top = machine.kernel.layout(space).stack_top.0;
    let request = MapRequest {
        place: Placement::FixedNoReplace(VirtAddr(top - PAGE)),
        grows_down: true,
        name: RegionName::Stack,
        ..MapRequest::anonymous(PAGE, RW)
    };
    machine.kernel.mmap(&mut machine.mock, space, request).unwrap();
    machine.audit();
    top
}

#[test]
fn a_stack_grows_down_to_its_limit() {
    let mut machine = Machine::new(small_table(), 1024, Fit::Best);
    let top = stack(&mut machine);
    let limit = machine.kernel.layout(machine.space).stack_limit;
    let mut at = top;
    while at > top - limit {
        at -= PAGE / 2;
        machine.store(at, (at / PAGE) as u8).unwrap();
        machine.audit();
    }
    assert_eq!(machine.store(top - limit - 1, 1), None, "beyond the limit");
    let mut at = top;
    while at > top - limit {
        at -= PAGE / 2;
        assert_eq!(machine.load(at), Some((at / PAGE) as u8));
    }
    assert!(machine.kernel.counters().stack_grow > 1);
}

#[test]
fn a_stack_that_cannot_grow_has_all_its_memory() {
    for geometry in [Geometry::Identity, Geometry::BaseBounds] {
        let mut machine = Machine::new(geometry, 256, Fit::First);
        let top = stack(&mut machine);
        let limit = machine.kernel.layout(machine.space).stack_limit;
        assert!(limit >= 16 * PAGE);
        assert!(machine.store(top - limit, 1).is_some(), "{geometry:?}");
        assert_eq!(machine.kernel.counters().stack_grow, 0);
    }
}

/// Text 000's machine without translation, and text 004's with bounds.
#[test]
fn two_programs_are_kept_apart_where_there_are_bounds() {
    for geometry in geometries() {
        let mut machine = Machine::new(geometry, 64, Fit::First);
        let one = map(&mut machine, 2).unwrap();
        machine.store(one, 1).unwrap();
        let first = machine.space;
        machine.space = machine.kernel.create_space(layout(geometry, 64));
        machine.kernel.activate(&mut machine.mock, machine.space);
        let two = map(&mut machine, 2).unwrap();
        machine.store(two, 2).unwrap();
        let neighbour = machine.mock.translate(one, 1, AccessKind::Write);
        if geometry == Geometry::Identity {
            assert_ne!(one, two);
            assert!(neighbour.is_ok(), "nothing protects the first program");
            machine.mock.ram[one as usize] = 99;
        } else {
            assert_eq!(one, two, "the same address, another place");
        }
        machine.kernel.activate(&mut machine.mock, first);
        machine.space = first;
        let expected = if geometry == Geometry::Identity { 99 } else { 1 };
        assert_eq!(machine.load(one), Some(expected), "{geometry:?}");
        machine.kernel.destroy_space(&mut machine.mock, first);
        machine.audit();
    }
}

/// One block per program: the first one can grow only by moving behind the second.
#[test]
fn a_program_behind_bounds_moves_as_a_whole() {
    let mut machine = Machine::new(Geometry::BaseBounds, 128, Fit::First);
    let one = map(&mut machine, 2).unwrap();
    machine.store(one, 1).unwrap();
    let first = machine.space;
    machine.space = machine.kernel.create_space(layout(Geometry::BaseBounds, 128));
    map(&mut machine, 2).unwrap();
    machine.space = first;
    let base = machine.mock.bounds.base();
    assert_eq!(grow(&mut machine, one, 2, 4), Ok(one));
    assert_ne!(machine.mock.bounds.base(), base);
    assert_eq!(machine.kernel.segment_counters().moves, 1);
    assert_eq!(machine.load(one), Some(1));
}
