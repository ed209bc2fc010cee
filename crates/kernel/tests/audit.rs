//! The audit finds what is broken.

mod common;

use common::*;
use pagewalk_kernel::{MapRequest, Platform, Prot};
use pagewalk_mmu::hashed::{self, HashedTable};
use pagewalk_mmu::radix::{Entry, Format, Radix};
use pagewalk_mmu::{Asid, Level, PhysAddr, Rights, TableMemory, Tables, VirtAddr, Vpn};

/// Where the entry of `va` at level 0 is.
fn entry_at(m: &Machine, va: u64) -> PhysAddr {
    let Tables::Radix(format) = m.mock.tables else { panic!("not a tree") };
    let geometry = format.geometry();
    let mut table = m.kernel.root(m.space);
    for level in (0..=geometry.top().0).rev().map(Level) {
        let index = geometry.level(level).index(VirtAddr(va));
        let at = PhysAddr(table.0 + index * geometry.entry.bytes());
        if level.0 == 0 {
            return at;
        }
        let raw = m.mock.read_entry(at, geometry.entry).unwrap();
        let Entry::Table { next, .. } = format.decode(level, raw) else { panic!("no table") };
        table = next;
    }
    unreachable!()
}

/// Breaks an entry behind the kernel's back, and returns what the audit says.
fn broken(name: &str, change: impl Fn(&Format, u64, u64) -> u64) -> String {
    let mut m = Machine::new(name, Default::default());
    let va = m.map_anon(2);
    m.map(MapRequest::anonymous(PAGE, Prot::READ));
    m.store(va, 1).unwrap();
    m.store(va + PAGE, 2).unwrap();
    m.load(va - PAGE).unwrap();
    m.audit();
    m.mock.flush(pagewalk_kernel::Flush::All);
    let Tables::Radix(format) = m.mock.tables else { panic!("not a tree") };
    let width = format.geometry().entry;
    let (first, second) = (entry_at(&m, va), entry_at(&m, va + PAGE));
    let raws = [first, second].map(|at| m.mock.read_entry(at, width).unwrap());
    m.mock.write_entry(first, width, change(&format, raws[0], raws[1])).unwrap();
    m.kernel.audit(&m.mock).expect_err("the entry is broken").to_string()
}

#[test]
fn broken_page_tables_are_found() {
    on_all_trees(|name| {
        let leaf = |format: &Format, raw| match format.decode(Level(0), raw) {
            Entry::Leaf(leaf) => leaf,
            other => panic!("{other:?}"),
        };
        let lost = broken(name, |_, _, _| 0);
        assert!(lost.contains("but its table says"), "{lost}");
        let twice = broken(name, |_, _, second| second);
        assert!(twice.contains("does not know"), "{twice}");
        let rights = broken(name, |format, raw, _| {
            let mut leaf = leaf(format, raw);
            leaf.rights.remove(Rights::WRITE);
            format.encode_leaf(Level(0), leaf)
        });
        assert!(rights.contains("but may be"), "{rights}");
        let clean = broken(name, |format, raw, _| {
            let leaf = pagewalk_mmu::radix::Leaf { dirty: false, ..leaf(format, raw) };
            format.encode_leaf(Level(0), leaf)
        });
        assert!(clean.contains("is not zero"), "{clean}");
        let slot = broken(name, |format, _, _| format.encode_absent(5 << 2 | 1));
        assert!(slot.contains("slot 5"), "{slot}");
        let free = broken(name, |format, raw, _| {
            let mut leaf = leaf(format, raw);
            leaf.pfn.0 = 200;
            format.encode_leaf(Level(0), leaf)
        });
        assert!(free.contains("frame 0xc8"), "{free}");
    });
}

#[test]
fn a_stale_translation_is_found() {
    let mut m = Machine::new("sv39", Default::default());
    let va = m.map_anon(1);
    m.store(va, 1).unwrap();
    let snapshot = m.kernel.clone();
    m.audit();
    m.unmap(va, 1);
    m.audit();
    // The kernel of before, on memory of after: the mapping is gone.
    m.kernel = snapshot;
    let error = m.kernel.audit(&m.mock).expect_err("memory and kernel disagree");
    assert!(!error.to_string().is_empty());

    let mut m = Machine::new("sv39", Default::default());
    let va = m.map_anon(1);
    m.store(va, 1).unwrap();
    m.mock.deaf = true;
    m.unmap(va, 1);
    let error = m.kernel.audit(&m.mock).expect_err("the TLB was not flushed").to_string();
    assert!(error.contains("stale TLB entry"), "{error}");
}

/// Changes a hashed table behind the kernel's back, and returns what the audit says.
fn broken_table(name: &str, change: impl Fn(&hashed::Format, &mut Mock, PhysAddr)) -> String {
    let mut m = Machine::new(name, Default::default());
    let va = m.map(MapRequest { place: at(0x10_0000), ..MapRequest::anonymous(2 * PAGE, RW) });
    m.store(va, 1).unwrap();
    m.store(va + PAGE, 2).unwrap();
    m.audit();
    m.mock.flush(pagewalk_kernel::Flush::All);
    let Tables::Hashed(table) = m.mock.tables else { panic!("a tree") };
    let root = m.kernel.root(m.space);
    change(&table, &mut m.mock, root);
    m.kernel.audit(&m.mock).expect_err("the table is broken").to_string()
}

#[test]
fn broken_hashed_tables_are_found() {
    for name in hashed::Format::NAMES {
        let (first, third) = (Vpn(0x100), Vpn(0x102));
        let space = Asid(1);
        let stray = broken_table(name, |table, mock, root| {
            let leaf = table.remove(mock, root, space, first).unwrap();
            table.insert(mock, root, space, third, leaf).unwrap();
        });
        assert!(stray.contains("is recorded as None"), "{stray}");
        let nobody = broken_table(name, |table, mock, root| {
            let leaf = table.remove(mock, root, space, first).unwrap();
            table.insert(mock, root, Asid(9), first, leaf).unwrap();
        });
        assert!(nobody.contains("is recorded as None"), "{nobody}");
        let clean = broken_table(name, |table, mock, root| {
            table.update(mock, root, space, first, |leaf| leaf.dirty = false).unwrap();
        });
        assert!(clean.contains("is not zero"), "{clean}");
        let rights = broken_table(name, |table, mock, root| {
            let readable = Rights::READ | Rights::USER;
            table.update(mock, root, space, first, |leaf| leaf.rights = readable).unwrap();
        });
        assert!(rights.contains("is recorded as Some"), "{rights}");
        let moved = broken_table(name, |table, mock, _| {
            mock.ram[..table.table_bytes() as usize].rotate_right(64);
        });
        // In a PowerPC's table the place is a part of the name: it is another page's entry there.
        let other = *name == "ppc" && moved.contains("is recorded as");
        assert!(moved.contains("the table's word at") || other, "{moved}");
    }
}

/// A page whose frame has two names in an inverted table is displaced again and again, and loses
/// nothing.
#[test]
fn two_names_of_one_frame_take_turns() {
    let mut m = Machine::new("inverted", Default::default());
    m.mock.files.push(vec![5; PAGE as usize]);
    let (one, two) = (m.map_file(0, 1, RW, true), m.map_file(0, 1, RW, true));
    for turn in 0..10 {
        m.store(one + 1, turn).unwrap();
        m.audit();
        assert_eq!(m.load(two + 1), Ok(turn));
        m.store(two + 2, turn).unwrap();
        m.audit();
        assert_eq!(m.load(one + 2), Ok(turn));
    }
    assert_eq!(m.kernel.counters().pgfault, 2, "{:?}", m.kernel.counters());
    assert_eq!(m.kernel.counters().pgspill, 19, "every turn but the first");
    m.kernel.msync(&mut m.mock, m.space, VirtAddr(one), PAGE, SYNC).unwrap();
    assert_eq!(m.mock.files[0][..3], [5, 9, 9]);
    // Clean, and its other name is displaced: the next store is seen all the same.
    m.store(one + 1, 77).unwrap();
    m.store(two + 2, 78).unwrap();
    m.unmap(one, 1);
    m.unmap(two, 1);
    assert_eq!(m.mock.files[0][..3], [5, 77, 78]);
    m.audit();
}
