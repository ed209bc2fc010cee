//! The Arm manual's tables (DDI 0487, chapter D8), row by row. The bit patterns are written out by
//! hand.

mod common;

use common::Ram;
use pagewalk_mmu::radix::{
    Aarch64, Aarch64Controls, Entry, Granule, Leaf, Radix, Root, Touch, walk,
};
use pagewalk_mmu::{
    Access, AccessKind::*, ArchFault, EntryWidth, FaultCause, Level, PageSize, Pfn, PhysAddr,
    Rights, TableMemory, VirtAddr,
};

/// The manual's levels, in our counting.
const L3: Level = Level(0);
const L2: Level = Level(1);
const L1: Level = Level(2);
const L0: Level = Level(3);
const INVALID: Entry = Entry::Invalid(FaultCause::Reserved);
const TOO_LARGE: Entry = Entry::Invalid(FaultCause::AddressSize);

fn format(granule: Granule) -> Aarch64 {
    Aarch64::new(granule, Aarch64Controls::default())
}

/// r, w, x (EL0), s (EL1 executes), u.
fn rights(text: &str) -> Rights {
    text.chars().fold(Rights::empty(), |rights, c| {
        rights
            | match c {
                'r' => Rights::READ,
                'w' => Rights::WRITE,
                'x' => Rights::EXECUTE,
                's' => Rights::EXECUTE_SUPERVISOR,
                'u' => Rights::USER,
                _ => panic!("rights are r, w, x, s, u"),
            }
    })
}

fn table(next: u64, allowed: &str) -> Entry {
    Entry::Table { next: PhysAddr(next), rights: rights(allowed) }
}

/// A leaf; `flags` are g, a, d, c and t.
fn leaf(pfn: u64, allowed: &str, flags: &str) -> Leaf {
    Leaf {
        pfn: Pfn(pfn),
        rights: rights(allowed),
        global: flags.contains('g'),
        accessed: flags.contains('a'),
        dirty: flags.contains('d'),
        cache_disable: flags.contains('c'),
        write_through: flags.contains('t'),
    }
}

fn page(pfn: u64, allowed: &str, flags: &str) -> Entry {
    Entry::Leaf(leaf(pfn, allowed, flags))
}

fn check(format: &Aarch64, rows: &[(Level, u64, Entry)]) {
    for &(level, raw, expected) in rows {
        assert_eq!(format.decode(level, raw), expected, "{:?} {level} {raw:#x}", format.granule());
    }
}

/// Table, block and page descriptor formats.
#[test]
fn descriptors() {
    let rows = [
        // Bit 0 clear: invalid at every level, the rest is software's.
        (L3, 0xffff_ffff_ffff_fffe, Entry::NotPresent),
        (L0, 0xffff_ffff_ffff_fffc, Entry::NotPresent),
        // Bits 1:0 = 01: reserved at level 3, a block at levels 1 and 2, none at level 0.
        (L3, 0x5001, INVALID),
        (L2, 0x4020_0001, page(0x4_0200, "rwxs", "gd")),
        (L1, 0x4000_0001, page(0x4_0000, "rwxs", "gd")),
        (L0, 0x4000_0001, INVALID),
        // Tables: 47:12; 11:2 and 58:51 are ignored.
        (L2, 0x3003, table(0x3000, "rwxsu")),
        (L1, 0x07f8_ffff_ffff_ffff, table(0xffff_ffff_f000, "rwxsu")),
        // PXNTable, UXNTable, APTable[0], APTable[1], NSTable.
        (L0, 0x0800_0000_0000_3003, table(0x3000, "rwxu")),
        (L0, 0x1000_0000_0000_3003, table(0x3000, "rwsu")),
        (L0, 0x2000_0000_0000_3003, table(0x3000, "rwxs")),
        (L0, 0x4000_0000_0000_3003, table(0x3000, "rxsu")),
        (L0, 0x8000_0000_0000_3003, table(0x3000, "rwxsu")),
        // Pages, one bit a row: AttrIndx 1 and 2 as this format lays MAIR_EL1 out, AttrIndx[2],
        // NS, AP[1], AP[2], SH, AF, nG.
        (L3, 0x5003, page(5, "rwxs", "gd")),
        (L3, 0x5007, page(5, "rwxs", "gdt")),
        (L3, 0x500b, page(5, "rwxs", "gdc")),
        (L3, 0x5013, page(5, "rwxs", "gd")),
        (L3, 0x5023, page(5, "rwxs", "gd")),
        (L3, 0x5043, page(5, "rwxsu", "gd")),
        (L3, 0x5083, page(5, "rxs", "g")),
        (L3, 0x5303, page(5, "rwxs", "gd")),
        (L3, 0x5403, page(5, "rwxs", "gda")),
        (L3, 0x5803, page(5, "rwxs", "d")),
        // DBM, contiguous, PXN, UXN, the software bit that keeps a written page, the rest.
        (L3, 0x0008_0000_0000_5083, page(5, "rwxs", "g")),
        (L3, 0x0010_0000_0000_5003, page(5, "rwxs", "gd")),
        (L3, 0x0020_0000_0000_5003, page(5, "rwx", "gd")),
        (L3, 0x0040_0000_0000_5003, page(5, "rws", "gd")),
        (L3, 0x0080_0000_0000_5083, page(5, "rxs", "gd")),
        (L3, 0xff07_0000_0000_5003, page(5, "rwxs", "gd")),
        // A block's reserved bits below its frame.
        (L2, 0x403f_f001, page(0x4_0200, "rwxs", "gd")),
    ];
    check(&format(Granule::Kib4), &rows);

    // 16 KiB: tables 47:14; blocks at level 2 alone.
    let rows = [
        (L3, 0x1_7003, page(5, "rwxs", "gd")),
        (L2, 0x4200_0001, page(0x1_0800, "rwxs", "gd")),
        (L2, 0x43ff_f001, page(0x1_0800, "rwxs", "gd")),
        (L1, 0x4200_0001, INVALID),
        (L0, 0x4200_0001, INVALID),
        (L2, 0x1_7003, table(0x1_4000, "rwxsu")),
    ];
    check(&format(Granule::Kib16), &rows);

    // 64 KiB: tables 47:16; blocks at level 2 alone (without 52-bit addresses).
    let rows = [
        (L3, 0x5_f003, page(5, "rwxs", "gd")),
        (L2, 0x6000_0001, page(0x6000, "rwxs", "gd")),
        (L2, 0x7fff_f001, page(0x6000, "rwxs", "gd")),
        (L1, 0x6000_0001, INVALID),
        (L2, 0x5_f003, table(0x5_0000, "rwxsu")),
    ];
    check(&format(Granule::Kib64), &rows);
}

/// TCR_EL1.IPS limits tables and pages; a descriptor that is not valid has no
/// address.
#[test]
fn output_addresses() {
    for (output_bits, ips_bit) in [(32, 32), (36, 36), (40, 40), (42, 42), (44, 44)] {
        let controls = Aarch64Controls { output_bits, ..Aarch64Controls::default() };
        let format = Aarch64::new(Granule::Kib4, controls);
        let last = 1u64 << (ips_bit - 1);
        check(
            &format,
            &[
                (L3, 1 << ips_bit | 3, TOO_LARGE),
                (L2, 1 << ips_bit | 1, TOO_LARGE),
                (L0, 1 << 47 | 3, TOO_LARGE),
                (L3, 1 << ips_bit, Entry::NotPresent),
                (L0, 1 << ips_bit | 1, INVALID),
                (L2, last | 3, table(last, "rwxsu")),
            ],
        );
        let ram = Ram::new(0, 0);
        assert_eq!(format.load_root(&ram, PhysAddr(1 << ips_bit)), Err(FaultCause::AddressSize));
    }
    // Bits 49:48 are no address.
    check(&format(Granule::Kib4), &[(L3, 0x0003_0000_0000_5003, page(5, "rwxs", "gd"))]);
}

/// Which register translates an address, and the alignment of the top table.
#[test]
fn halves_and_roots() {
    let ram = Ram::new(0, 0);
    for (granule, aligned) in [
        (Granule::Kib4, 0xffff_ffff_f000),
        (Granule::Kib16, 0xffff_ffff_fff0),
        (Granule::Kib64, 0xffff_ffff_fe00),
    ] {
        let format = format(granule);
        let root = Root { table: PhysAddr(aligned), upper: None, registers: None };
        assert_eq!(format.load_root(&ram, PhysAddr(0xffff_ffff_ffff)), Ok(root));
        let both = Root { table: PhysAddr(0x1000), upper: Some(PhysAddr(0x2000)), ..root };
        for (va, expected) in [
            (0, Ok(0x1000)),
            (0x0000_ffff_ffff_ffff, Ok(0x1000)),
            (0x0001_0000_0000_0000, Err(FaultCause::NonCanonical)),
            (0x8000_0000_0000_0000, Err(FaultCause::NonCanonical)),
            (0x7fff_0000_0000_0000, Err(FaultCause::NonCanonical)),
            (0xfffe_ffff_ffff_ffff, Err(FaultCause::NonCanonical)),
            (0xffff_0000_0000_0000, Ok(0x2000)),
            (u64::MAX, Ok(0x2000)),
        ] {
            let va = VirtAddr(va);
            let got = format.check_address(va).and_then(|()| format.top_table(&both, va));
            assert_eq!(got, expected.map(PhysAddr), "{va}");
        }
        // TCR_EL1.EPD1.
        assert_eq!(format.top_table(&root, VirtAddr(u64::MAX)), Err(FaultCause::NotPresent));
    }
}

/// Tables of 4 KiB at 0, 0x1000, … whose entries 0 are `entries`.
fn path(entries: &[u64]) -> Ram {
    let mut ram = Ram::new(0, entries.len() * 0x1000);
    for (index, &raw) in entries.iter().enumerate() {
        ram.write_entry(PhysAddr(index as u64 * 0x1000), EntryWidth::Eight, raw).unwrap();
    }
    ram
}

const ROOT: Root = Root { table: PhysAddr(0), upper: None, registers: None };
const OK: Result<u64, u8> = Ok(0);

/// Direct permissions, PAN and WXN, and ESR_EL1's fault status codes: 0b0011LL, LL the level.
#[test]
fn permissions() {
    let plain = Aarch64Controls::default();
    let pan = Aarch64Controls { pan: true, ..plain };
    let wxn = Aarch64Controls { wxn: true, ..plain };
    let (el0, el1) = (Access::user, Access::supervisor);
    const REFUSED: Result<u64, u8> = Err(0b001111);
    const PXN: u64 = 1 << 53;
    const UXN: u64 = 1 << 54;
    // AP[2:1] in bits 7:6, with AF set.
    const RW_EL1: u64 = 0x400;
    const RW: u64 = 0x440;
    const RO_EL1: u64 = 0x480;
    const RO: u64 = 0x4c0;
    let rows = [
        (plain, RW_EL1, el1(Read), OK),
        (plain, RW_EL1, el1(Write), OK),
        (plain, RW_EL1, el0(Read), REFUSED),
        (plain, RW_EL1, el0(Write), REFUSED),
        (plain, RW, el1(Write), OK),
        (plain, RW, el0(Read), OK),
        (plain, RW, el0(Write), OK),
        (plain, RO_EL1, el1(Read), OK),
        (plain, RO_EL1, el1(Write), REFUSED),
        (plain, RO_EL1, el0(Read), REFUSED),
        (plain, RO, el1(Write), REFUSED),
        (plain, RO, el0(Read), OK),
        (plain, RO, el0(Write), REFUSED),
        // Execution: UXN for EL0, even of what it cannot read; PXN for EL1, and never what EL0
        // can write.
        (plain, RW_EL1, el0(Execute), OK),
        (plain, RO_EL1 | PXN, el0(Execute), OK),
        (plain, RO | UXN, el0(Execute), REFUSED),
        (plain, RW, el0(Execute), OK),
        (plain, RW_EL1, el1(Execute), OK),
        (plain, RO, el1(Execute), OK),
        (plain, RO | UXN, el1(Execute), OK),
        (plain, RO | PXN, el1(Execute), REFUSED),
        (plain, RW, el1(Execute), REFUSED),
        // WXN: what one can write, one cannot execute.
        (wxn, RW, el0(Execute), REFUSED),
        (wxn, RW_EL1, el0(Execute), OK),
        (wxn, RW_EL1, el1(Execute), REFUSED),
        (wxn, RO_EL1, el1(Execute), OK),
        (wxn, RO, el0(Execute), OK),
        // PAN: data that EL0 can access, not fetches.
        (pan, RW, el1(Read), REFUSED),
        (pan, RO, el1(Read), REFUSED),
        (pan, RW, el1(Write), REFUSED),
        (pan, RO, el1(Execute), OK),
        (pan, RW_EL1, el1(Write), OK),
        (pan, RW, el0(Write), OK),
    ];
    for (controls, bits, access, expected) in rows {
        let format = Aarch64::new(Granule::Kib4, controls);
        let mut ram = path(&[0x1003, 0x2003, 0x3003, 0x5003 | bits]);
        let got = walk(&format, &mut ram, &ROOT, VirtAddr(0), access);
        let got = got.map(|_| 0).map_err(|fault| match fault.arch {
            ArchFault::Aarch64 { fault_status, .. } => fault_status,
            other => panic!("{other}"),
        });
        assert_eq!(got, expected, "{controls:?} {bits:#x} {access:?}");
    }
}

/// Hierarchical permissions: each table takes away, whatever level it is of; and APTable[1] gives
/// EL1 back the execution of what EL0 can no longer write.
#[test]
fn tables_restrict() {
    let format = Aarch64::default();
    for level in 0..3 {
        for (bit, privilege, kind, allowed) in [
            (59, true, Execute, false),
            (60, false, Execute, false),
            (61, false, Read, false),
            (61, true, Read, true),
            (62, true, Write, false),
            (62, false, Write, false),
            (62, true, Execute, true),
            (61, true, Execute, true),
            (63, false, Write, true),
        ] {
            // A page that EL0 can write.
            let mut entries = [0x1003, 0x2003, 0x3003, 0x5443];
            entries[level] |= 1u64 << bit;
            let access = if privilege { Access::supervisor(kind) } else { Access::user(kind) };
            let got = walk(&format, &mut path(&entries), &ROOT, VirtAddr(0), access);
            assert_eq!(got.is_ok(), allowed, "level {level}, bit {bit}, {access:?}");
        }
    }
}

/// ESR_EL1: the exception class, WnR and the fault status code with the level, per kind of fault.
#[test]
fn fault_status_codes() {
    let no_ha = Aarch64Controls { ha: false, hd: false, ..Aarch64Controls::default() };
    let bits32 = Aarch64Controls { output_bits: 32, ..no_ha };
    let tables = [0x1003, 0x2003, 0x3003, 0x5443];
    let with = |at: usize, raw: u64| {
        let mut entries = tables;
        entries[at] = raw;
        entries
    };
    let rows = [
        // Translation faults, levels 0 to 3.
        (no_ha, with(0, 0), 0b000100),
        (no_ha, with(1, 2), 0b000101),
        (no_ha, with(2, 0), 0b000110),
        (no_ha, with(3, 0), 0b000111),
        (no_ha, with(3, 0x5001), 0b000111),
        (no_ha, with(0, 0x1001), 0b000100),
        // Address size faults.
        (bits32, with(0, 1 << 40 | 3), 0b000000),
        (bits32, with(1, 1 << 40 | 3), 0b000001),
        (bits32, with(2, 1 << 40 | 1), 0b000010),
        (bits32, with(3, 1 << 40 | 3), 0b000011),
        // Access flag faults, at the levels that have leaves.
        (no_ha, with(1, 0x4000_0041), 0b001001),
        (no_ha, with(2, 0x4020_0041), 0b001010),
        (no_ha, with(3, 0x5043), 0b001011),
        // They go before permission faults.
        (no_ha, with(3, 0x5083), 0b001011),
        (no_ha, with(3, 0x5483), 0b001111),
        (no_ha, with(2, 0x4020_0481), 0b001110),
        (no_ha, with(1, 0x4000_0481), 0b001101),
        // External aborts on the walk.
        (no_ha, with(0, 0x10_0003), 0b010101),
        (no_ha, with(2, 0x10_0003), 0b010111),
    ];
    for (controls, entries, fault_status) in rows {
        for (access, exception_class) in
            [(Access::user(Write), 0x24), (Access::supervisor(Write), 0x25)]
        {
            // What EL0 may not write either.
            let format = Aarch64::new(Granule::Kib4, controls);
            let fault = walk(&format, &mut path(&entries), &ROOT, VirtAddr(0), access).unwrap_err();
            let expected = ArchFault::Aarch64 { exception_class, write: true, fault_status };
            assert_eq!(fault.arch, expected, "{entries:x?}");
        }
    }
    let format = Aarch64::default();
    for (access, exception_class) in [
        (Access::user(Execute), 0x20),
        (Access::supervisor(Execute), 0x21),
        (Access::user(Read), 0x24),
        (Access::supervisor(Read), 0x25),
    ] {
        // An address in neither half: level 0, as with every granule.
        let va = VirtAddr(1 << 48);
        let fault = walk(&format, &mut path(&[0]), &ROOT, va, access).unwrap_err();
        let arch = ArchFault::Aarch64 { exception_class, write: false, fault_status: 0b000100 };
        assert_eq!((fault.arch, fault.level), (arch, None));
    }
}

/// FEAT_HAFDBS: what the hardware writes under HA and HD, and what DBM promises.
#[test]
fn access_flag_and_dirty_state() {
    const DBM: u64 = 1 << 51;
    let off = Aarch64Controls { ha: false, hd: false, ..Aarch64Controls::default() };
    let ha = Aarch64Controls { ha: true, ..off };
    let both = Aarch64Controls { hd: true, ..ha };
    let hd_alone = Aarch64Controls { hd: true, ..off };
    let rows = [
        (off, 0x5443, Read, Ok(0x5443)),
        (off, 0x5043, Read, Err(FaultCause::AccessedClear)),
        (hd_alone, 0x5043, Read, Err(FaultCause::AccessedClear)),
        (ha, 0x5043, Read, Ok(0x5443)),
        (ha, 0x5043, Write, Ok(0x5443)),
        (ha, DBM | 0x50c3, Read, Ok(DBM | 0x54c3)),
        (ha, DBM | 0x50c3, Write, Err(FaultCause::Protection)),
        (hd_alone, DBM | 0x54c3, Write, Err(FaultCause::Protection)),
        (both, DBM | 0x54c3, Write, Ok(DBM | 0x5443)),
        (both, DBM | 0x50c3, Write, Ok(DBM | 0x5443)),
        (both, DBM | 0x50c3, Read, Ok(DBM | 0x54c3)),
        (both, DBM | 0x50c3, Execute, Ok(DBM | 0x54c3)),
        (both, 0x54c3, Write, Err(FaultCause::Protection)),
        // Refused for another reason: nothing is written.
        (both, DBM | 0x5083, Write, Err(FaultCause::Privilege)),
    ];
    for (controls, raw, kind, expected) in rows {
        let format = Aarch64::new(Granule::Kib4, controls);
        let mut ram = path(&[0x1003, 0x2003, 0x3003, raw]);
        let got = walk(&format, &mut ram, &ROOT, VirtAddr(0), Access::user(kind));
        let after = ram.read_entry(PhysAddr(0x3000), EntryWidth::Eight).unwrap();
        assert_eq!(got.map(|_| after).map_err(|fault| fault.cause), expected, "{raw:#x} {kind:?}");
        assert_eq!(after, expected.unwrap_or(raw));
    }
    // A writable-clean page counts as writable: EL1 does not execute what EL0 may write.
    let system = Access::supervisor(Execute);
    for (controls, allowed) in [(both, false), (ha, true)] {
        let format = Aarch64::new(Granule::Kib4, controls);
        let mut ram = path(&[0x1003, 0x2003, 0x3003, DBM | 0x54c3]);
        assert_eq!(walk(&format, &mut ram, &ROOT, VirtAddr(0), system).is_ok(), allowed);
        assert_eq!(format.touch(0x1003, false, system), Touch::Nothing);
    }
}

/// The contiguous bit: how many entries, per granule and level.
#[test]
fn contiguous_runs() {
    const CONTIGUOUS: u64 = 1 << 52;
    let mib = |n: u32| PageSize::from_shift(20 + n as u8);
    for (granule, level, expected) in [
        (Granule::Kib4, L3, PageSize::from_shift(16)),
        (Granule::Kib4, L2, mib(5)),
        (Granule::Kib4, L1, mib(14)),
        (Granule::Kib16, L3, mib(1)),
        (Granule::Kib16, L2, mib(10)),
        (Granule::Kib64, L3, mib(1)),
        (Granule::Kib64, L2, mib(14)),
    ] {
        assert_eq!(format(granule).contiguous(level, CONTIGUOUS | 1), Some(expected));
        assert_eq!(format(granule).contiguous(level, !CONTIGUOUS), None);
    }
    assert_eq!(Aarch64::CONTIGUOUS, CONTIGUOUS);

    // The fifth page of a run of 64 KiB at frame 0x20: one translation of them all.
    let mut ram = path(&[0x1003, 0x2003, 0x3003]);
    ram.bytes.resize(0x4000, 0);
    let at = PhysAddr(0x3000 + 5 * 8);
    let read = Access::user(Read);
    let format = Aarch64::default();
    for (raw, page_shift, pfn) in [
        (CONTIGUOUS | 0x2_5443, 16, 0x20),
        (0x2_5443, 12, 0x25),
        // A frame that is not the fifth of its run: the entry stands for itself.
        (CONTIGUOUS | 0x2_6443, 12, 0x26),
    ] {
        ram.write_entry(at, EntryWidth::Eight, raw).unwrap();
        let got = walk(&format, &mut ram, &ROOT, VirtAddr(0x5678), read).unwrap();
        assert_eq!((got.page, got.pfn), (PageSize::from_shift(page_shift), Pfn(pfn)));
        assert_eq!(got.pa.0, (raw & 0xf_f000) | 0x678);
    }
}

/// Encoders, against bit patterns.
#[test]
fn encodings() {
    let kib4 = Aarch64::default();
    for (raw, leaf) in [
        // Read by EL0: AP = 11, UXN and PXN, AF, nG, inner shareable.
        (0x0060_0000_0000_5fc3, leaf(5, "ru", "a")),
        // Writable and clean: DBM and AP[2]; then dirty: DBM alone.
        (0x0068_0000_0000_5fc3, leaf(5, "rwu", "a")),
        (0x0068_0000_0000_5f43, leaf(5, "rwu", "ad")),
        // Read-only, but written before.
        (0x00e0_0000_0000_5fc3, leaf(5, "ru", "ad")),
        (0x0020_0000_0000_53c3, leaf(5, "rxu", "g")),
        (0x0040_0000_0000_538f, leaf(5, "rs", "gct")),
    ] {
        assert_eq!(kib4.encode_leaf(L3, leaf), raw, "{leaf:?}");
    }
    assert_eq!(kib4.encode_leaf(L1, leaf(0x8_0000, "rs", "g")), 0x0040_0000_8000_0381);
    assert_eq!(kib4.encode_table(L0, PhysAddr(0x3000)), 0x3003);
    assert_eq!(format(Granule::Kib64).encode_leaf(L3, leaf(5, "ru", "a")), 0x0060_0000_0005_0fc3);
    // While software keeps the dirty state, a clean page is read-only, but its rights are known.
    let ha = Aarch64Controls { hd: false, ..Aarch64Controls::default() };
    let by_software = Aarch64::new(Granule::Kib4, ha);
    let asked = leaf(5, "rwu", "a");
    let raw = by_software.encode_leaf(L3, asked);
    assert_eq!(raw, 0x0068_0000_0000_5fc3);
    let seen = leaf(5, "ru", "a");
    assert_eq!(by_software.decode(L3, raw), Entry::Leaf(seen));
    assert_eq!(by_software.granted(&seen, raw), asked.rights);
}
