//! mmap and its kin: what they return, and what memory holds then.

use crate::mock::{Machine, PAGE, geometries, small_table};
use pagewalk_kernel::segments::Geometry;
use pagewalk_kernel::{
    Backing, CopyError, Errno, FileId, Fit, IoError, MapRequest, Placement, Prot, Remap,
};
use pagewalk_mmu::{AccessKind, VirtAddr};

const RW: Prot = Prot::READ.union(Prot::WRITE);
const FILE: FileId = FileId(0);

fn each(mut test: impl FnMut(&mut Machine)) {
    for geometry in geometries() {
        let mut machine = Machine::new(geometry, 256, Fit::First);
        machine.mock.files.push((0..3 * PAGE + 100).map(|n| (n / PAGE + 1) as u8).collect());
        test(&mut machine);
        machine.audit();
    }
}

fn map(machine: &mut Machine, request: MapRequest) -> Result<u64, Errno> {
    let result = machine.kernel.mmap(&mut machine.mock, machine.space, request);
    machine.audit();
    result.map(|at| at.0)
}

fn file(len: u64, shared: bool, prot: Prot) -> MapRequest {
    let backing = Backing::File { file: FILE, offset: 0 };
    MapRequest { backing, shared, ..MapRequest::anonymous(len, prot) }
}

#[test]
fn mappings_are_zeroes_and_apart() {
    each(|machine| {
        let places: Vec<u64> = (1..6)
            .map(|pages| map(machine, MapRequest::anonymous(pages * PAGE, RW)).unwrap())
            .collect();
        for (n, &at) in places.iter().enumerate() {
            for byte in [at, at + (n as u64 + 1) * PAGE - 1] {
                assert_eq!(machine.load(byte), Some(0));
                machine.store(byte, n as u8 + 1).unwrap();
            }
        }
        for (n, &at) in places.iter().enumerate() {
            assert_eq!(machine.load(at), Some(n as u8 + 1));
        }
    });
}

#[test]
fn the_calls_refuse_as_linux_does() {
    each(|machine| {
        let at = map(machine, MapRequest::anonymous(4 * PAGE, RW)).unwrap();
        let (mock, kernel, space) = (&mut machine.mock, &mut machine.kernel, machine.space);
        let map = |kernel: &mut pagewalk_kernel::SegmentKernel, mock: &mut _, place, len| {
            kernel.mmap(mock, space, MapRequest { place, ..MapRequest::anonymous(len, RW) })
        };
        let anywhere = Placement::Anywhere { hint: VirtAddr(0) };
        assert_eq!(map(kernel, mock, anywhere, 0), Err(Errno::Einval));
        assert_eq!(map(kernel, mock, anywhere, 1 << 62), Err(Errno::Enomem));
        assert_eq!(map(kernel, mock, anywhere, u64::MAX), Err(Errno::Enomem));
        let odd = Placement::Fixed(VirtAddr(at + 1));
        assert_eq!(map(kernel, mock, odd, PAGE), Err(Errno::Einval));
        let null = Placement::Fixed(VirtAddr(0));
        assert_eq!(map(kernel, mock, null, PAGE), Err(Errno::Eperm));
        let taken = Placement::FixedNoReplace(VirtAddr(at));
        assert_eq!(map(kernel, mock, taken, PAGE), Err(Errno::Eexist));
        assert_eq!(kernel.munmap(mock, space, VirtAddr(at + 1), PAGE), Err(Errno::Einval));
        assert_eq!(kernel.munmap(mock, space, VirtAddr(at), 0), Err(Errno::Einval));
        kernel.munmap(mock, space, VirtAddr(at + PAGE), PAGE).unwrap();
        kernel.munmap(mock, space, VirtAddr(at + PAGE), PAGE).unwrap();
        let across = kernel.mprotect(mock, space, VirtAddr(at), 3 * PAGE, Prot::READ);
        assert_eq!(across, Err(Errno::Enomem), "a hole");
        let mut out = [9; 4];
        assert_eq!(kernel.mincore(space, VirtAddr(at), &mut out), Err(Errno::Enomem));
        assert_eq!(kernel.mincore(space, VirtAddr(at), &mut out[..1]), Ok(()));
        assert_eq!(out, [1, 9, 9, 9]);
    });
}

/// The hardware knows less than the regions; system calls go by the regions.
#[test]
fn copies_honour_what_was_asked_for_page_by_page() {
    each(|machine| {
        let at = map(machine, MapRequest::anonymous(3 * PAGE, RW)).unwrap();
        let (mock, kernel, space) = (&mut machine.mock, &mut machine.kernel, machine.space);
        kernel.mprotect(mock, space, VirtAddr(at + PAGE), PAGE, Prot::READ).unwrap();
        kernel.munmap(mock, space, VirtAddr(at + 2 * PAGE), PAGE).unwrap();
        let bytes = [7; 16];
        let fault = |va| Err(CopyError::Fault(VirtAddr(va)));
        let first = kernel.copy_out(mock, space, VirtAddr(at + PAGE - 8), &bytes);
        assert_eq!(first, fault(at + PAGE), "up to the page that is read-only");
        let mut read = [0; 16];
        kernel.copy_in(mock, space, VirtAddr(at + PAGE - 8), &mut read).unwrap();
        assert_eq!(read, [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        let gone = kernel.copy_in(mock, space, VirtAddr(at + 2 * PAGE - 8), &mut read);
        assert_eq!(gone, fault(at + 2 * PAGE));
        let wrap = kernel.copy_in(mock, space, VirtAddr(u64::MAX - 4), &mut read);
        assert!(wrap.is_err());
    });
}

#[test]
fn a_segment_allows_what_one_of_its_regions_allows() {
    let mut machine = Machine::new(small_table(), 64, Fit::First);
    let at = map(&mut machine, MapRequest::anonymous(2 * PAGE, RW)).unwrap();
    let protect = |machine: &mut Machine, at, len, prot| {
        let (mock, space) = (&mut machine.mock, machine.space);
        machine.kernel.mprotect(mock, space, VirtAddr(at), len, prot).unwrap();
        machine.audit();
    };
    protect(&mut machine, at, 2 * PAGE, Prot::READ);
    assert_eq!(machine.store(at, 1), None);
    protect(&mut machine, at + PAGE, PAGE, RW);
    assert_eq!(machine.store(at, 1), Some(()), "the union of both");
    assert_eq!(machine.access(at, AccessKind::Execute), None);
}

#[test]
fn brk_moves_the_heap_and_zeroes_what_comes_back() {
    each(|machine| {
        let space = machine.space;
        machine.kernel.set_heap_start(space, VirtAddr(0x2_1234));
        let start = machine.kernel.brk(&mut machine.mock, space, VirtAddr(0));
        let brk = |machine: &mut Machine, end: u64| {
            let at = machine.kernel.brk(&mut machine.mock, space, VirtAddr(end)).0;
            machine.audit();
            at
        };
        let first = start.0.next_multiple_of(PAGE);
        assert_eq!(brk(machine, first + 3 * PAGE + 5), first + 3 * PAGE + 5);
        machine.store(first + 3 * PAGE, 7).unwrap();
        assert_eq!(brk(machine, first), first);
        assert_eq!(brk(machine, first + 4 * PAGE), first + 4 * PAGE);
        assert_eq!(machine.load(first + 3 * PAGE), Some(0));
        assert_eq!(brk(machine, first + (1 << 40)), first + 4 * PAGE, "too much");
        assert_eq!(brk(machine, start.0 - 1), first + 4 * PAGE, "below the start");
    });
}

#[test]
fn files_are_read_when_they_are_mapped() {
    each(|machine| {
        let at = map(machine, file(5 * PAGE, false, RW)).unwrap();
        let found =
            [0, PAGE, 3 * PAGE + 99, 3 * PAGE + 100, 4 * PAGE].map(|n| machine.load(at + n));
        assert_eq!(found, [Some(1), Some(2), Some(4), Some(0), Some(0)]);
        machine.store(at, 77).unwrap();
        machine.kernel.munmap(&mut machine.mock, machine.space, VirtAddr(at), 5 * PAGE).unwrap();
        assert_eq!(machine.mock.files[0][0], 1, "private");
    });
}

#[test]
fn stores_to_shared_mappings_reach_the_file_by_every_way() {
    type End = fn(&mut Machine, VirtAddr);
    let ends: [(&str, End); 6] = [
        ("msync", |m, at| m.kernel.msync(&mut m.mock, m.space, at, PAGE).unwrap()),
        ("munmap", |m, at| m.kernel.munmap(&mut m.mock, m.space, at, PAGE).unwrap()),
        ("mprotect", |m, at| {
            m.kernel.mprotect(&mut m.mock, m.space, at, PAGE, Prot::READ).unwrap();
        }),
        ("read", |m, _| m.kernel.sync_file(&mut m.mock, FILE, 0..1).unwrap()),
        ("exit", |m, _| {
            m.kernel.destroy_space(&mut m.mock, m.space);
            m.space =
                m.kernel.create_space(m.kernel.geometry().layout(256 * PAGE, m.kernel.page()));
        }),
        ("mmap", |m, at| {
            let place = Placement::Fixed(at);
            let request = MapRequest { place, ..MapRequest::anonymous(PAGE, RW) };
            m.kernel.mmap(&mut m.mock, m.space, request).unwrap();
        }),
    ];
    for (name, end) in ends {
        each(|machine| {
            let at = map(machine, file(4 * PAGE, true, RW)).unwrap();
            machine.store(at + 3, 88).unwrap();
            assert_eq!(machine.mock.files[0][3], 1);
            end(machine, VirtAddr(at));
            assert_eq!(machine.mock.files[0][3], 88, "{name}");
            assert_eq!(machine.mock.files[0].len() as u64, 3 * PAGE + 100, "never longer");
        });
    }
}

#[test]
fn a_file_that_changes_shows_in_shared_mappings() {
    each(|machine| {
        let at = map(machine, file(2 * PAGE, true, Prot::READ)).unwrap();
        machine.mock.files[0][5] = 55;
        assert_eq!(machine.load(at + 5), Some(1));
        machine.kernel.file_changed(&mut machine.mock, FILE, 5..6).unwrap();
        assert_eq!(machine.load(at + 5), Some(55));
        assert!(!machine.kernel.forget_file(FILE));
        machine.kernel.munmap(&mut machine.mock, machine.space, VirtAddr(at), 2 * PAGE).unwrap();
        assert!(machine.kernel.forget_file(FILE));
    });
}

#[test]
fn a_file_that_fails_loses_nothing() {
    each(|machine| {
        let at = map(machine, file(2 * PAGE, true, RW)).unwrap();
        machine.store(at, 66).unwrap();
        let before = machine.kernel.summary();
        machine.mock.file_fails = Box::new(|| Some(IoError::NoSpace));
        let (mock, kernel, space) = (&mut machine.mock, &mut machine.kernel, machine.space);
        let unmap = kernel.munmap(mock, space, VirtAddr(at), 2 * PAGE);
        assert_eq!(unmap, Err(Errno::Enospc));
        let protect = kernel.mprotect(mock, space, VirtAddr(at), PAGE, Prot::READ);
        assert_eq!(protect, Err(Errno::Enospc));
        let mut calls = 0;
        machine.mock.file_fails = Box::new(move || {
            calls += 1;
            (calls > 1).then_some(IoError::Io)
        });
        assert_eq!(map(machine, file(4 * PAGE, false, RW)), Err(Errno::Eio), "the second page");
        assert_eq!(machine.kernel.summary(), before);
        machine.mock.file_fails = Box::new(|| None);
        assert_eq!(machine.load(at), Some(66));
        machine.kernel.munmap(&mut machine.mock, machine.space, VirtAddr(at), 2 * PAGE).unwrap();
        assert_eq!(machine.mock.files[0][0], 66);
    });
}

#[test]
fn a_mapping_is_resized_and_moved_with_its_bytes() {
    each(|machine| {
        let at = map(machine, MapRequest::anonymous(4 * PAGE, RW)).unwrap();
        let wall = map(machine, MapRequest::anonymous(PAGE, RW)).unwrap();
        machine.store(at + PAGE, 5).unwrap();
        machine.store(wall, 6).unwrap();
        let remap = |machine: &mut Machine, at, old: u64, new: u64, how| {
            let (mock, space) = (&mut machine.mock, machine.space);
            let (old, new) = (old * PAGE, new * PAGE);
            let result = machine.kernel.mremap(mock, space, VirtAddr(at), old, new, how);
            machine.audit();
            result.map(|at| at.0)
        };
        assert_eq!(remap(machine, at, 4, 2, Remap::InPlace), Ok(at));
        assert_eq!(
            machine.load(at + 2 * PAGE).is_some(),
            *machine.kernel.geometry() == Geometry::Identity
                || at < wall && *machine.kernel.geometry() == Geometry::BaseBounds
        );
        let moved = remap(machine, at, 2, 40, Remap::MayMove).unwrap();
        assert_eq!(machine.load(moved + PAGE), Some(5));
        assert_eq!(machine.load(moved + 39 * PAGE), Some(0));
        let fixed = remap(machine, moved, 40, 1, Remap::Fixed(VirtAddr(wall))).unwrap();
        assert_eq!(fixed, wall);
        assert_eq!(machine.load(wall), Some(0), "the first page, over what was there");
        let overlap = remap(machine, wall, 1, 1, Remap::Fixed(VirtAddr(wall)));
        assert_eq!(overlap, Err(Errno::Einval));
        assert_eq!(
            remap(machine, 0x3000_0000, 1, 1, Remap::MayMove),
            Err(if *machine.kernel.geometry() == Geometry::BaseBounds {
                Errno::Efault
            } else {
                Errno::Einval
            })
        );
    });
}

#[test]
fn dropped_pages_are_what_they_were_at_first() {
    each(|machine| {
        let at = map(machine, MapRequest::anonymous(2 * PAGE, RW)).unwrap();
        let private = map(machine, file(PAGE, false, RW)).unwrap();
        let shared = map(machine, file(PAGE, true, RW)).unwrap();
        for va in [at, private, shared] {
            machine.store(va, 99).unwrap();
            let (mock, space) = (&mut machine.mock, machine.space);
            machine.kernel.madvise_dontneed(mock, space, VirtAddr(va), PAGE).unwrap();
        }
        let found = [at, private, shared].map(|va| machine.load(va));
        assert_eq!(found, [Some(0), Some(1), Some(99)]);
    });
}
