//! Memory objects: shared memory without a device, in and out of memory, and their life.

mod common;

use common::*;
use pagewalk_kernel::{Backing, Config, Errno, FileId, MapRequest, ObjectPages, Signal, SpaceId};

const BUS: Stop = Stop::Signal(Signal::Bus);

fn roomy(name: &str) -> Machine {
    let frames = frames_min(name).max(400);
    Machine::new(name, Config { frames, ..Config::default() })
}

fn map_object(m: &mut Machine, file: FileId, place: u64, pages: u64, shared: bool) -> u64 {
    let backing = Backing::File { file, offset: 0 };
    let place = at(place);
    m.map(MapRequest { place, backing, shared, ..MapRequest::anonymous(pages * PAGE, RW) })
}

fn inside<T>(m: &mut Machine, space: SpaceId, act: impl FnOnce(&mut Machine) -> T) -> T {
    let before = std::mem::replace(&mut m.space, space);
    let result = act(m);
    m.space = before;
    m.audit();
    result
}

fn end(m: &mut Machine, spaces: &[SpaceId]) {
    for &space in spaces {
        m.kernel.destroy_space(&mut m.mock, space);
        m.audit();
    }
    let frames = m.kernel.frames();
    assert_eq!((frames.anon, frames.file, m.kernel.swap().used()), (0, 0, 0), "{frames:?}");
}

fn read(m: &mut Machine, file: FileId, offset: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0xcc; len];
    let read = m.kernel.read_object(&mut m.mock, file, offset, &mut buf).expect("readable");
    buf.truncate(read);
    m.audit();
    buf
}

fn write(m: &mut Machine, file: FileId, offset: u64, bytes: &[u8]) {
    let written = m.kernel.write_object(&mut m.mock, file, offset, bytes);
    assert_eq!(written, Ok(bytes.len()));
    m.audit();
}

#[test]
fn two_spaces_share_an_object_at_different_addresses() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let one = m.space;
        let two = m.kernel.create_space(&mut m.mock, LAYOUT).unwrap();
        let file = m.kernel.create_object(3 * PAGE).unwrap();
        let here = map_object(&mut m, file, 0x10_0000, 3, true);
        let there = inside(&mut m, two, |m| map_object(m, file, 0x2000_0000, 3, true));
        for turn in 0..6 {
            m.store(here + PAGE, turn).unwrap();
            m.audit();
            assert_eq!(inside(&mut m, two, |m| m.load(there + PAGE)), Ok(turn), "{name}");
            inside(&mut m, two, |m| m.store(there + PAGE + 1, turn)).unwrap();
            assert_eq!(m.load(here + PAGE + 1), Ok(turn), "{name}");
        }
        assert_eq!(read(&mut m, file, PAGE, 3), [5, 5, 0]);
        assert_eq!(m.kernel.mapped_bytes(file), 6 * PAGE);
        m.kernel.release_object(&mut m.mock, file);
        assert_eq!(m.kernel.object_len(file), Some(3 * PAGE), "mappings keep it");
        end(&mut m, &[one, two]);
        assert_eq!(m.kernel.object_len(file), None);
    });
}

#[test]
fn anonymous_shared_memory_is_seen_by_a_forked_child() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let parent = m.space;
        let va = m.map(MapRequest { shared: true, ..MapRequest::anonymous(4 * PAGE, RW) });
        m.store(va, 1).unwrap();
        let child = m.kernel.fork_space(&mut m.mock, parent).unwrap();
        m.audit();
        assert_eq!(inside(&mut m, child, |m| m.load(va)), Ok(1));
        inside(&mut m, child, |m| m.store(va + PAGE, 2)).unwrap();
        m.store(va, 3).unwrap();
        assert_eq!((m.load(va + PAGE), inside(&mut m, child, |m| m.load(va))), (Ok(2), Ok(3)));
        assert_eq!(m.kernel.counters().cow_copied, 0);
        end(&mut m, &[parent, child]);
    });
}

#[test]
fn objects_go_to_swap_and_come_back() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 12, 500);
        let file = m.kernel.create_object(40 * PAGE).unwrap();
        let va = map_object(&mut m, file, 0x10_0000, 40, true);
        for page in 0..40 {
            m.store(va + page * PAGE, page as u8 + 1).unwrap();
            m.audit();
        }
        let ObjectPages { resident, swapped } = m.kernel.object_pages(file);
        assert!(resident + swapped == 40 && swapped > 0, "{name}: {resident} {swapped}");
        for page in 0..40 {
            assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1), "{name}");
            m.audit();
        }
        m.unmap(va, 40);
        m.audit();
        assert_eq!(read(&mut m, file, 7 * PAGE, 1), [8]);
        m.kernel.release_object(&mut m.mock, file);
        m.audit();
        let space = m.space;
        end(&mut m, &[space]);
    });
}

#[test]
fn private_mappings_of_an_object_copy() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.kernel.create_object(2 * PAGE).unwrap();
        write(&mut m, file, 0, &[9; 10]);
        let private = map_object(&mut m, file, 0x10_0000, 2, false);
        assert_eq!(m.load(private + 9), Ok(9));
        m.store(private, 1).unwrap();
        m.store(private + PAGE, 2).unwrap();
        m.audit();
        assert_eq!((read(&mut m, file, 0, 2), read(&mut m, file, PAGE, 1)), (vec![9, 9], vec![0]));
        assert_eq!((m.load(private), m.load(private + 1)), (Ok(1), Ok(9)));
        m.kernel.release_object(&mut m.mock, file);
        let space = m.space;
        end(&mut m, &[space]);
    });
}

#[test]
fn shrinking_unmaps_everywhere_and_growing_gives_zeroes() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.kernel.create_object(4 * PAGE).unwrap();
        let shared = map_object(&mut m, file, 0x10_0000, 4, true);
        let private = map_object(&mut m, file, 0x20_0000, 4, false);
        for page in 0..4 {
            m.store(shared + page * PAGE + 50, 1).unwrap();
            m.store(private + page * PAGE + 60, 2).unwrap();
        }
        let len = PAGE + 40;
        m.kernel.set_object_len(&mut m.mock, file, len).unwrap();
        m.audit();
        assert_eq!(m.load(shared + 2 * PAGE), Err(BUS));
        assert_eq!(m.store(private + 2 * PAGE, 1), Err(BUS), "{name}: copies go as well");
        assert_eq!((m.load(shared + PAGE + 50), m.load(private + PAGE + 60)), (Ok(0), Ok(2)));
        m.store(shared + PAGE + 45, 7).unwrap();
        m.kernel.set_object_len(&mut m.mock, file, 4 * PAGE).unwrap();
        m.audit();
        assert_eq!(read(&mut m, file, PAGE, 100), [0; 100]);
        assert_eq!((m.load(shared + 2 * PAGE + 50), m.load(private + 3 * PAGE)), (Ok(0), Ok(0)));
        m.kernel.release_object(&mut m.mock, file);
        let space = m.space;
        end(&mut m, &[space]);
    });
}

#[test]
fn holes_are_told_and_made() {
    let mut m = roomy("sv39");
    let file = m.kernel.create_object(0).unwrap();
    write(&mut m, file, 2 * PAGE + 5, &[1; 10]);
    write(&mut m, file, 5 * PAGE, &vec![2; 2 * PAGE as usize]);
    let k = &m.kernel;
    assert_eq!(k.object_len(file), Some(7 * PAGE));
    assert_eq!((k.object_data(file, 0), k.object_hole(file, 0)), (Some(2 * PAGE), Some(0)));
    let from = 2 * PAGE + 7;
    assert_eq!(
        (k.object_data(file, from), k.object_hole(file, from)),
        (Some(from), Some(3 * PAGE))
    );
    assert_eq!(k.object_hole(file, 5 * PAGE), Some(7 * PAGE));
    assert_eq!((k.object_data(file, 7 * PAGE), k.object_hole(file, 7 * PAGE)), (None, None));
    assert_eq!(read(&mut m, file, 0, 20), [0; 20]);
    assert_eq!(m.kernel.object_pages(file), ObjectPages { resident: 3, swapped: 0 });
    let range = 5 * PAGE + 10..6 * PAGE + 10;
    m.kernel.punch_object(&mut m.mock, file, range).unwrap();
    m.audit();
    let edge = read(&mut m, file, 5 * PAGE, 2 * PAGE as usize);
    let kept: Vec<usize> = (0..2 * PAGE as usize).filter(|&at| edge[at] != 0).collect();
    assert_eq!((kept.len(), kept[9], kept[10]), (PAGE as usize, 9, PAGE as usize + 10));
    m.kernel.punch_object(&mut m.mock, file, 0..u64::MAX).unwrap();
    m.audit();
    assert_eq!(m.kernel.object_pages(file), ObjectPages::default());
    assert_eq!(m.kernel.object_len(file), Some(7 * PAGE));
    assert_eq!(m.kernel.create_object(u64::MAX), Err(Errno::Eoverflow));
    m.kernel.release_object(&mut m.mock, file);
    m.audit();
}

#[test]
fn a_punched_page_is_zero_for_those_who_map_it() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let file = m.kernel.create_object(2 * PAGE).unwrap();
        let va = map_object(&mut m, file, 0x10_0000, 2, true);
        m.store(va, 1).unwrap();
        m.store(va + PAGE, 2).unwrap();
        m.kernel.punch_object(&mut m.mock, file, 0..PAGE).unwrap();
        m.audit();
        assert_eq!((m.load(va), m.load(va + PAGE)), (Ok(0), Ok(2)), "{name}");
        m.kernel.release_object(&mut m.mock, file);
        let space = m.space;
        end(&mut m, &[space]);
    });
}

#[test]
fn a_truncated_host_file_takes_copies_with_it() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        m.mock.files.push(vec![5; 3 * PAGE as usize]);
        let shared = m.map_file(0, 3, RW, true);
        let private = m.map_file(0, 3, RW, false);
        (0..3).for_each(|page| m.store(private + page * PAGE, 1).unwrap());
        m.store(shared + PAGE + 100, 2).unwrap();
        let (before, len) = (3 * PAGE, PAGE + 50);
        m.kernel.sync_file(&mut m.mock, FileId(0), 0..u64::MAX).unwrap();
        m.mock.files[0].truncate(len as usize);
        m.kernel.file_resized(&mut m.mock, FileId(0), before, len).unwrap();
        m.audit();
        assert_eq!((m.load(shared + 2 * PAGE), m.load(private + 2 * PAGE)), (Err(BUS), Err(BUS)));
        assert_eq!((m.load(shared + PAGE + 100), m.load(private + PAGE)), (Ok(0), Ok(1)));
        m.mock.files[0].resize(before as usize, 0);
        m.kernel.file_resized(&mut m.mock, FileId(0), len, before).unwrap();
        assert_eq!((m.load(shared + 2 * PAGE), m.load(private + 2 * PAGE)), (Ok(0), Ok(0)));
        m.audit();
        assert!(!m.kernel.forget_file(&mut m.mock, FileId(0)), "regions map it");
        m.unmap(shared, 3);
        m.unmap(private, 3);
        assert!(m.kernel.forget_file(&mut m.mock, FileId(0)));
        m.audit();
    });
}
