//! The kernel's part of the address spaces: where it is, who may go there, what it takes.

mod common;

use common::*;
use pagewalk_kernel::{Config, ConfigError, Kernel, KernelMapping};
use pagewalk_mmu::radix::Root;
use pagewalk_mmu::{
    Access, AccessKind, Fault, FaultCause, PhysAddr, Tables, Translation, VirtAddr,
};

/// RAM of no round size, so that the map ends in small pages.
const FRAMES: u64 = 2500;

fn config(kernel: KernelMapping) -> Config {
    Config { frames: FRAMES, kernel, ..Config::default() }
}

/// Looks up as the supervisor or as the user, from the root of the machine's first space or, for
/// the kernel's own space, from `root`.
fn walk(
    m: &mut Machine,
    root: PhysAddr,
    va: VirtAddr,
    access: Access,
) -> Result<Translation, Fault> {
    let tables = m.mock.tables;
    let upper = m.mock.upper_root;
    let root = Root { upper, ..tables.load_root(&m.mock, root).unwrap() };
    let asid = m.kernel.asid(m.space);
    tables.walk_observed(&mut m.mock, &root, asid, va, access, &mut ())
}

#[test]
fn every_space_sees_all_of_ram_through_the_shared_map() {
    on_all_trees(|name| {
        if name == "r3000" {
            return;
        }
        let mut m = Machine::new(name, config(KernelMapping::Shared));
        m.audit();
        let map = *m.kernel.kernel_map().expect("a map");
        let second = m.kernel.create_space(&mut m.mock, LAYOUT).unwrap();
        for space in [m.space, second] {
            let root = m.kernel.root(space);
            for pfn in (0..FRAMES).step_by(7).chain([FRAMES - 1]) {
                let pa = PhysAddr(pfn * PAGE + 24);
                let va = map.address(pa);
                assert_eq!(map.physical(va), Some(pa));
                for kind in [AccessKind::Read, AccessKind::Write, AccessKind::Execute] {
                    let found = walk(&mut m, root, va, Access::supervisor(kind)).unwrap();
                    assert_eq!(found.pa, pa, "{name}: {va}");
                    assert!(found.global, "{name}: {va}");
                }
                let refused = walk(&mut m, root, va, Access::user(AccessKind::Read)).unwrap_err();
                assert_eq!(refused.cause, FaultCause::Privilege, "{name}: {va}");
            }
            let beyond = map.address(PhysAddr(FRAMES * PAGE));
            let beyond = walk(&mut m, root, beyond, Access::supervisor(AccessKind::Read));
            assert!(beyond.is_err(), "{name}: RAM ends");
        }
        m.audit();
    });
}

#[test]
fn a_separate_kernel_is_not_in_the_programs_spaces() {
    on_all_trees(|name| {
        if name == "r3000" {
            return;
        }
        let mut m = Machine::new(name, config(KernelMapping::Separate));
        let map = *m.kernel.kernel_map().expect("a map");
        let va = map.address(PhysAddr(0x5008));
        let access = Access::supervisor(AccessKind::Read);
        let program = m.kernel.root(m.space);
        assert!(walk(&mut m, program, va, access).is_err(), "{name}");
        if m.mock.upper_root.is_none() {
            m.mock.upper_root = Some(map.root);
        }
        let found = walk(&mut m, map.root, va, access).unwrap();
        assert_eq!((found.pa, found.global), (PhysAddr(0x5008), false), "{name}");
        m.audit();
    });
}

#[test]
fn programs_run_beside_it_and_leave_nothing() {
    on_all_trees(|name| {
        if name == "r3000" {
            return;
        }
        for mapping in [KernelMapping::Shared, KernelMapping::Separate] {
            let mut m = Machine::new(name, config(mapping));
            let tables = m.kernel.frames().page_table;
            let va = m.map_anon(40);
            for page in 0..40 {
                m.store(va + page * PAGE, page as u8).unwrap();
                m.audit();
            }
            m.kernel.munmap(&mut m.mock, m.space, VirtAddr(va), 40 * PAGE).unwrap();
            m.audit();
            assert_eq!(m.kernel.frames().page_table, tables, "{name}");
            let own = m.kernel.residency(m.space).page_tables;
            m.kernel.destroy_space(&mut m.mock, m.space);
            assert_eq!(m.kernel.frames().page_table, tables - own, "{name}: the map stays");
            m.space = m.kernel.create_space(&mut m.mock, LAYOUT).unwrap();
            m.audit();
            assert_eq!(m.kernel.frames().page_table, tables, "{name}");
        }
    });
}

/// The address of a page's entry is that of the tables, plus its number times the entry's size.
#[test]
fn tables_that_map_themselves_are_pages_of_their_space() {
    for (name, tables, bytes) in [
        ("ia32", 0xffc0_0000, 4),
        ("x86-64", 0xffff_ff80_0000_0000, 8),
        ("x86-64-la57", 0xffff_0000_0000_0000, 8),
    ] {
        let own = Config { self_map: true, ..config(KernelMapping::Shared) };
        let mut m = Machine::new(name, own);
        let va = m.map_anon(3);
        for page in 0..3 {
            m.store(va + page * PAGE, 7).unwrap();
        }
        let root = m.kernel.root(m.space);
        for page in 0..3 {
            let target = m.access(VirtAddr(va + page * PAGE), AccessKind::Read).unwrap();
            let entry = VirtAddr(tables + (va / PAGE + page) * bytes);
            let load = Access::supervisor(AccessKind::Read);
            let found = walk(&mut m, root, entry, load).unwrap();
            let mut raw = [0; 8];
            let at = found.pa.0 as usize;
            raw[..bytes as usize].copy_from_slice(&m.mock.ram[at..at + bytes as usize]);
            let frame = u64::from_le_bytes(raw) & 0x000f_ffff_ffff_f000;
            assert_eq!(frame, target.0 & !(PAGE - 1), "{name}: the entry names the page's frame");
            let refused = walk(&mut m, root, entry, Access::user(AccessKind::Read)).unwrap_err();
            assert_eq!(refused.cause, FaultCause::Privilege, "{name}");
        }
        m.audit();
        m.kernel.destroy_space(&mut m.mock, m.space);
    }
}

#[test]
fn other_tables_cannot_map_themselves() {
    for name in ["sv39", "pae", "aarch64", "inverted"] {
        let tables = tables(name, FRAMES);
        let mut mock = Mock::new(tables, FRAMES);
        let own = Config { frames: FRAMES, self_map: true, ..Config::default() };
        let mut kernel = Kernel::<pagewalk_kernel::AnyPmap>::new(tables, own).unwrap();
        let free = kernel.frames().free;
        let refused = kernel.create_space(&mut mock, LAYOUT).expect_err("refused");
        assert_eq!(refused, pagewalk_kernel::KernelError::NoSelfMap, "{name}");
        assert_eq!(kernel.frames().free, free, "{name}: nothing is lost");
    }
}

#[test]
fn ram_must_fit() {
    let refused = |name: &str, frames: u64| {
        let tables = tables(name, frames);
        let config = Config { frames, kernel: KernelMapping::Shared, ..Config::default() };
        Kernel::<pagewalk_kernel::AnyPmap>::new(tables, config).expect_err("refused")
    };
    // 3 GiB for the program, 1 GiB for the kernel.
    let ram = 1 << 30;
    let expected = ConfigError::KernelWindow { ram: ram + PAGE, maximum: ram };
    assert_eq!(refused("ia32", ram / PAGE + 1), expected);
    assert_eq!(refused("sv32", ram / PAGE + 1), expected);
    for name in ["r3000", "inverted", "ppc"] {
        let none = ConfigError::KernelWindow { ram: 2500 * PAGE, maximum: 0 };
        assert_eq!(refused(name, 2500), none, "{name}");
    }
}

/// 2500 frames: two pages of 4 MiB and 452 of 4 KiB, which need one table.
#[test]
fn ia32_takes_large_pages_where_it_can() {
    let m = Machine::new("ia32", config(KernelMapping::Shared));
    let Tables::Radix(_) = m.mock.tables else { panic!("a tree") };
    let own = m.kernel.residency(m.space).page_tables;
    assert_eq!(m.kernel.frames().page_table - own, 2, "the kernel's directory and one table");
}
