//! The audit finds what is broken.

mod common;

use common::*;
use pagewalk_kernel::{Platform, Prot};
use pagewalk_mmu::radix::{Entry, Format, Radix};
use pagewalk_mmu::{Level, PhysAddr, TableMemory, VirtAddr};

/// Where the entry of `va` at level 0 is.
fn entry_at(m: &Machine, va: u64) -> PhysAddr {
    let format = m.mock.format;
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
    m.map(pagewalk_kernel::MapRequest::anonymous(PAGE, Prot::READ));
    m.store(va, 1).unwrap();
    m.store(va + PAGE, 2).unwrap();
    m.load(va - PAGE).unwrap();
    m.audit();
    m.mock.flush(pagewalk_kernel::Flush::All);
    let width = m.mock.format.geometry().entry;
    let (first, second) = (entry_at(&m, va), entry_at(&m, va + PAGE));
    let raws = [first, second].map(|at| m.mock.read_entry(at, width).unwrap());
    let format = m.mock.format;
    m.mock.write_entry(first, width, change(&format, raws[0], raws[1])).unwrap();
    m.kernel.audit(&m.mock).expect_err("the entry is broken").to_string()
}

#[test]
fn broken_page_tables_are_found() {
    on_all_formats(|name| {
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
            leaf.rights.remove(pagewalk_mmu::Rights::WRITE);
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
