//! The manuals' tables, row by row. The bit patterns are written out by hand.

mod common;

use common::Ram;
use pagewalk_mmu::radix::{
    AdUpdate, Entry, Format, Ia32, Leaf, Pae, Radix, RiscV, RiscVControls, Root, Scheme, Touch,
    X86_64, X86Controls, walk,
};
use pagewalk_mmu::{
    Access, AccessKind::*, ArchFault, EntryWidth, FaultCause, Level, Pfn, PhysAddr, Rights,
    TableMemory, VirtAddr,
};

const PTE: Level = Level(0);
const PDE: Level = Level(1);
const PDPTE: Level = Level(2);
const PML4E: Level = Level(3);
const PML5E: Level = Level(4);
const RESERVED: Entry = Entry::Invalid(FaultCause::Reserved);
const MISALIGNED: Entry = Entry::Invalid(FaultCause::Misaligned);

fn controls(phys_bits: u8) -> X86Controls {
    X86Controls { phys_bits, ..X86Controls::default() }
}

fn rights(text: &str) -> Rights {
    text.chars().fold(Rights::empty(), |rights, c| {
        rights
            | match c {
                'r' => Rights::READ,
                'w' => Rights::WRITE,
                'x' => Rights::EXECUTE,
                'u' => Rights::USER,
                's' => Rights::EXECUTE_SUPERVISOR,
                '*' => Rights::all(),
                _ => panic!("rights are r, w, x, u, s, or * for all"),
            }
    })
}

fn table(next: u64, allowed: &str) -> Entry {
    Entry::Table { next: PhysAddr(next), rights: rights(allowed) }
}

/// A leaf; `flags` are g, a, d, c (PCD) and t (PWT).
fn leaf(pfn: u64, allowed: &str, flags: &str) -> Entry {
    Entry::Leaf(Leaf {
        pfn: Pfn(pfn),
        rights: rights(allowed),
        global: flags.contains('g'),
        accessed: flags.contains('a'),
        dirty: flags.contains('d'),
        cache_disable: flags.contains('c'),
        write_through: flags.contains('t'),
    })
}

fn check<F: Radix>(format: &F, rows: &[(Level, u64, Entry)]) {
    for &(level, raw, expected) in rows {
        assert_eq!(format.decode(level, raw), expected, "level {level}, {raw:#x}");
    }
}

/// SDM vol. 3A, tables 4-4 (4 MiB page), 4-5 (PDE), 4-6 (PTE).
#[test]
fn ia32_entries() {
    let rows = [
        // Bit 0 clear: nothing else counts.
        (PDE, 0xffff_fffe, Entry::NotPresent),
        (PTE, 0xffff_fffe, Entry::NotPresent),
        // Table 4-5: R/W, U/S, PWT, PCD, A, ignored 6, PS = 0, ignored 11:8, 31:12.
        (PDE, 0x0000_3001, table(0x3000, "rx")),
        (PDE, 0x0000_3003, table(0x3000, "rwx")),
        (PDE, 0x0000_3005, table(0x3000, "rxu")),
        (PDE, 0xffff_ff7f, table(0xffff_f000, "rwxu")),
        // Table 4-6: one bit per row; 7 is PAT.
        (PTE, 0x0000_5001, leaf(5, "rx", "")),
        (PTE, 0x0000_5003, leaf(5, "rwx", "")),
        (PTE, 0x0000_5005, leaf(5, "rxu", "")),
        (PTE, 0x0000_5009, leaf(5, "rx", "t")),
        (PTE, 0x0000_5011, leaf(5, "rx", "c")),
        (PTE, 0x0000_5021, leaf(5, "rx", "a")),
        (PTE, 0x0000_5041, leaf(5, "rx", "d")),
        (PTE, 0x0000_5081, leaf(5, "rx", "")),
        (PTE, 0x0000_5101, leaf(5, "rx", "g")),
        (PTE, 0x0000_5e01, leaf(5, "rx", "")),
        (PTE, 0xffff_ffff, leaf(0xf_ffff, "rwxu", "gadct")),
        // Table 4-4: 12 is PAT; 20:13 are address bits 39:32; 21 is reserved; 31:22 the frame.
        (PDE, 0x0040_0081, leaf(0x400, "rx", "")),
        (PDE, 0x0040_1081, leaf(0x400, "rx", "")),
        (PDE, 0xffc0_01ff, leaf(0xf_fc00, "rwxu", "gadct")),
        (PDE, 0x0040_2081, leaf(0x10_0400, "rx", "")),
        (PDE, 0x0050_0081, leaf(0x800_0400, "rx", "")),
        (PDE, 0x005f_e081, leaf(0xff0_0400, "rx", "")),
        (PDE, 0x0060_0081, RESERVED),
    ];
    check(&Ia32::new(controls(46)), &rows);

    // MAXPHYADDR 36: bits 21:17 are reserved. 32: bits 21:13.
    let rows = [
        (PDE, 0x0041_e081, leaf(0xf0_0400, "rx", "")),
        (PDE, 0x0042_0081, RESERVED),
        (PDE, 0x0060_0081, RESERVED),
    ];
    check(&Ia32::new(controls(36)), &rows);
    check(&Ia32::new(controls(32)), &[(PDE, 0x0040_2081, RESERVED), (PDE, 0x0060_0081, RESERVED)]);

    // CR4.PSE = 0: bit 7 of a PDE is ignored. CR4.PGE = 0: G is ignored.
    let off = Ia32::new(X86Controls { pse: false, pge: false, ..controls(46) });
    check(&off, &[(PDE, 0x0060_0081, table(0x60_0000, "rx")), (PTE, 0x101, leaf(0, "rx", ""))]);
}

/// SDM vol. 3A, tables 4-8 (PDPTE), 4-9 (2 MiB page), 4-10 (PDE), 4-11 (PTE); MAXPHYADDR 40.
#[test]
fn pae_entries() {
    let rows = [
        (PDPTE, 0xffff_ffff_ffff_fffe, Entry::NotPresent),
        (PDPTE, 0x0000_0000_0000_3001, table(0x3000, "*")),
        (PDPTE, 0x0000_00ff_ffff_fe19, table(0xff_ffff_f000, "*")),
        (PDPTE, 0x3003, RESERVED),
        (PDPTE, 0x3005, RESERVED),
        (PDPTE, 0x3021, RESERVED),
        (PDPTE, 0x3041, RESERVED),
        (PDPTE, 0x3081, RESERVED),
        (PDPTE, 0x3101, RESERVED),
        (PDPTE, 0x0000_0100_0000_3001, RESERVED),
        (PDPTE, 0x8000_0000_0000_3001, RESERVED),
        (PDE, 0x0000_0000_0000_3001, table(0x3000, "rx")),
        (PDE, 0x8000_0000_0000_3007, table(0x3000, "rwu")),
        (PDE, 0x0000_00ff_ffff_ff7f, table(0xff_ffff_f000, "rwxu")),
        (PDE, 0x0000_0100_0000_3001, RESERVED),
        (PDE, 0x4000_0000_0000_3001, RESERVED),
        (PDE, 0x0000_0000_0020_0081, leaf(0x200, "rx", "")),
        (PDE, 0x0000_0000_0020_1081, leaf(0x200, "rx", "")),
        (PDE, 0x8000_00ff_ffe0_01ff, leaf(0xfff_fe00, "rwu", "gadct")),
        (PDE, 0x0000_0000_0020_2081, RESERVED),
        (PDE, 0x0000_0000_0030_0081, RESERVED),
        (PDE, 0x0000_0100_0020_0081, RESERVED),
        (PTE, 0x0000_0000_0000_5001, leaf(5, "rx", "")),
        (PTE, 0x0000_0000_0000_5081, leaf(5, "rx", "")),
        (PTE, 0x8000_00ff_ffff_ffff, leaf(0xfff_ffff, "rwu", "gadct")),
        (PTE, 0x0000_0100_0000_5001, RESERVED),
        (PTE, 0x0010_0000_0000_5001, RESERVED),
        (PTE, 0x4000_0000_0000_5001, RESERVED),
    ];
    check(&Pae::new(controls(40)), &rows);

    // IA32_EFER.NXE = 0: bit 63 is reserved.
    let without = Pae::new(X86Controls { nxe: false, ..controls(40) });
    check(&without, &[(PDE, 0x8000_0000_0000_3001, RESERVED), (PTE, 1 << 63 | 1, RESERVED)]);
}

/// SDM 4.4.1: the registers are loaded with CR3, and a bad PDPTE refuses the load.
#[test]
fn pae_registers() {
    let mut ram = Ram::new(0, 0x1000);
    for (index, raw) in [0x1001, 0, 0x3019, 0xfffe].into_iter().enumerate() {
        ram.write_entry(PhysAddr(0x20 + index as u64 * 8), EntryWidth::Eight, raw).unwrap();
    }
    let pae = Pae::default();
    let root = pae.load_root(&ram, PhysAddr(0x38)).unwrap();
    assert_eq!(
        root,
        Root { table: PhysAddr(0x20), upper: None, registers: Some([0x1001, 0, 0x3019, 0xfffe]) }
    );
    ram.write_entry(PhysAddr(0x28), EntryWidth::Eight, 0x2003).unwrap();
    assert_eq!(pae.load_root(&ram, PhysAddr(0x20)), Err(FaultCause::Reserved));
    assert_eq!(pae.load_root(&ram, PhysAddr(0x1000)), Err(FaultCause::NoMemory));
    assert_eq!(pae.load_root(&ram, PhysAddr(1 << 32)), Err(FaultCause::Reserved));
}

/// SDM vol. 3A, tables 4-14 to 4-20; MAXPHYADDR 46.
#[test]
fn x86_64_entries() {
    let all = [PTE, PDE, PDPTE, PML4E, PML5E];
    let format = X86_64::new(5, controls(46));
    for level in all {
        let rows = [
            (level, 0xffff_ffff_ffff_fffe, Entry::NotPresent),
            (level, 0x0000_4000_0000_0001, RESERVED),
            (level, 0x0008_0000_0000_0001, RESERVED),
        ];
        check(&format, &rows);
    }
    for level in [PDE, PDPTE, PML4E, PML5E] {
        let rows = [
            (level, 0x0000_0000_0000_3001, table(0x3000, "rx")),
            (level, 0x0000_0000_0000_3003, table(0x3000, "rwx")),
            (level, 0x0000_0000_0000_3005, table(0x3000, "rxu")),
            (level, 0x8000_0000_0000_3001, table(0x3000, "r")),
            (level, 0x7ff0_3fff_ffff_ff7f, table(0x3fff_ffff_f000, "rwxu")),
        ];
        check(&format, &rows);
    }
    let rows = [
        // PS is reserved in a PML5E and a PML4E.
        (PML5E, 0x81, RESERVED),
        (PML4E, 0x81, RESERVED),
        // 1 GiB: 29:13 reserved.
        (PDPTE, 0x0000_0000_4000_0081, leaf(0x4_0000, "rx", "")),
        (PDPTE, 0x0000_0000_4000_1081, leaf(0x4_0000, "rx", "")),
        (PDPTE, 0xfff0_3fff_c000_01ff, leaf(0x3_fffc_0000, "rwu", "gadct")),
        (PDPTE, 0x0000_0000_4000_2081, RESERVED),
        (PDPTE, 0x0000_0000_6000_0081, RESERVED),
        (PDPTE, 0x0000_0000_4020_0081, RESERVED),
        // 2 MiB: 20:13 reserved.
        (PDE, 0x0000_0000_0020_0081, leaf(0x200, "rx", "")),
        (PDE, 0x0000_0000_0020_1081, leaf(0x200, "rx", "")),
        (PDE, 0xfff0_3fff_ffe0_01ff, leaf(0x3_ffff_fe00, "rwu", "gadct")),
        (PDE, 0x0000_0000_0020_2081, RESERVED),
        (PDE, 0x0000_0000_0030_0081, RESERVED),
        // 4 KiB: bit 7 is PAT.
        (PTE, 0x0000_0000_0000_5001, leaf(5, "rx", "")),
        (PTE, 0x0000_0000_0000_5081, leaf(5, "rx", "")),
        (PTE, 0x0000_0000_0000_5e01, leaf(5, "rx", "")),
        (PTE, 0x7ff0_0000_0000_5001, leaf(5, "rx", "")),
        (PTE, 0xfff0_3fff_ffff_ffff, leaf(0x3_ffff_ffff, "rwu", "gadct")),
    ];
    check(&format, &rows);

    // CPUID Page1GB = 0: PS is reserved in a PDPTE too.
    let small = X86_64::new(4, X86Controls { page1gb: false, ..controls(46) });
    check(&small, &[(PDPTE, 0x4000_0081, RESERVED), (PDE, 0x0020_0081, leaf(0x200, "rx", ""))]);
    check(&small, &[(PDPTE, 0x4000_0001, table(0x4000_0000, "rx"))]);

    let without = X86_64::new(4, X86Controls { nxe: false, ..controls(52) });
    for level in [PTE, PDE, PDPTE, PML4E] {
        check(&without, &[(level, 0x8000_0000_0000_3001, RESERVED)]);
    }
    check(&without, &[(PTE, 0x000f_ffff_ffff_f001, leaf(0xff_ffff_ffff, "rx", ""))]);
}

/// SDM vol. 1, 3.3.7.1, and vol. 3A, tables 4-3, 4-7, 4-12: addresses and CR3.
#[test]
fn addresses_and_roots() {
    let bad = Err(FaultCause::NonCanonical);
    let four = X86_64::new(4, controls(46));
    let five = X86_64::new(5, controls(46));
    let rows = [
        (0x0000_7fff_ffff_ffff, Ok(()), Ok(())),
        (0x0000_8000_0000_0000, bad, Ok(())),
        (0xffff_7fff_ffff_ffff, bad, Ok(())),
        (0xffff_8000_0000_0000, Ok(()), Ok(())),
        (0x00ff_ffff_ffff_ffff, bad, Ok(())),
        (0x0100_0000_0000_0000, bad, bad),
        (0xfeff_ffff_ffff_ffff, bad, bad),
        (0xff00_0000_0000_0000, bad, Ok(())),
    ];
    for (va, on_four, on_five) in rows {
        assert_eq!(four.check_address(VirtAddr(va)), on_four, "{va:#x}");
        assert_eq!(five.check_address(VirtAddr(va)), on_five, "{va:#x}");
    }
    for (name, last) in [("ia32", u32::MAX), ("pae", u32::MAX), ("sv32", u32::MAX)] {
        let format = Format::by_name(name).unwrap();
        assert_eq!(format.check_address(VirtAddr(last.into())), Ok(()));
        assert_eq!(format.check_address(VirtAddr(1 << 32)), bad);
    }
    for (name, hole) in [("sv39", 1 << 38), ("sv48", 1 << 47), ("sv57", 1u64 << 56)] {
        let format = Format::by_name(name).unwrap();
        assert_eq!(format.check_address(VirtAddr(hole - 1)), Ok(()));
        assert_eq!(format.check_address(VirtAddr(hole)), bad);
        assert_eq!(format.check_address(VirtAddr(!hole)), bad);
        assert_eq!(format.check_address(VirtAddr(hole.wrapping_neg())), Ok(()));
    }

    let ram = Ram::new(0, 0);
    let root = |table| Ok(Root { table: PhysAddr(table), upper: None, registers: None });
    assert_eq!(four.load_root(&ram, PhysAddr(0x3fff_ffff_ffff)), root(0x3fff_ffff_f000));
    assert_eq!(four.load_root(&ram, PhysAddr(0x4000_0000_0000)), Err(FaultCause::Reserved));
    let ia32 = Ia32::default();
    assert_eq!(ia32.load_root(&ram, PhysAddr(0xffff_ffff)), root(0xffff_f000));
    assert_eq!(ia32.load_root(&ram, PhysAddr(0x1_0000_0000)), Err(FaultCause::Reserved));
}

/// SDM 4.6.1 and 4.7: who may do what, and the error code of each refusal.
#[test]
fn x86_permissions_and_error_codes() {
    let base = controls(46);
    let smep = X86Controls { smep: true, ..base };
    let smap = X86Controls { smap: true, ..base };
    let stac = X86Controls { smap: true, ac: true, ..base };
    let no_wp = X86Controls { wp: false, ..base };
    let no_nxe = X86Controls { nxe: false, ..base };
    let (user, system) = (Access::user, Access::supervisor);
    const OK: Result<(), u32> = Ok(());
    // Leaf bits P, R/W, U/S (and XD) in a PTE; the error code: P 1, W/R 2, U/S 4, RSVD 8, I/D 16.
    const XD: u64 = 1 << 63;
    let rows = [
        (base, 0b000, user(Read), Err(0b00100)),
        (base, 0b000, user(Write), Err(0b00110)),
        (base, 0b000, user(Execute), Err(0b10100)),
        (base, 0b000, system(Read), Err(0b00000)),
        (base, 0b000, system(Write), Err(0b00010)),
        (base, 0b000, system(Execute), Err(0b10000)),
        (base, 0b001, user(Read), Err(0b00101)),
        (base, 0b011, user(Write), Err(0b00111)),
        (base, 0b001, user(Execute), Err(0b10101)),
        (base, 0b101, user(Read), OK),
        (base, 0b101, user(Write), Err(0b00111)),
        (base, 0b111, user(Write), OK),
        (base, 0b101, user(Execute), OK),
        (base, XD | 0b101, user(Execute), Err(0b10101)),
        (base, XD | 0b001, system(Execute), Err(0b10001)),
        (base, 0b001, system(Read), OK),
        (base, 0b001, system(Write), Err(0b00011)),
        (base, 0b101, system(Write), Err(0b00011)),
        (no_wp, 0b001, system(Write), OK),
        (no_wp, 0b101, system(Write), OK),
        (no_wp, 0b101, user(Write), Err(0b00111)),
        (base, 0b101, system(Execute), OK),
        (smep, 0b101, system(Execute), Err(0b10001)),
        (smep, 0b001, system(Execute), OK),
        (smep, 0b101, system(Read), OK),
        (smap, 0b111, system(Read), Err(0b00001)),
        (smap, 0b111, system(Write), Err(0b00011)),
        (smap, 0b111, system(Execute), OK),
        (smap, 0b011, system(Write), OK),
        (stac, 0b111, system(Write), OK),
        (stac, 0b101, system(Write), Err(0b00011)),
        (X86Controls { wp: false, ..stac }, 0b101, system(Write), OK),
        (X86Controls { wp: false, ..smap }, 0b101, system(Write), Err(0b00011)),
        // A reserved bit: RSVD with P. Without NXE, XD is one, and fetches do not set I/D.
        (base, 1 << 50 | 1, system(Read), Err(0b01001)),
        (base, 1 << 50 | 1, user(Execute), Err(0b11101)),
        (no_nxe, XD | 0b111, user(Read), Err(0b01101)),
        (no_nxe, XD | 0b111, user(Execute), Err(0b01101)),
        (no_nxe, 0b000, user(Execute), Err(0b00100)),
        (X86Controls { nxe: false, ..smep }, 0b000, user(Execute), Err(0b10100)),
    ];
    for (controls, bits, access, expected) in rows {
        let format = X86_64::new(4, controls);
        let mut ram = one_page(&[0x1007, 0x2007, 0x3007, 0x5000 | bits]);
        let root = format.load_root(&ram, PhysAddr(0)).unwrap();
        let got = walk(&format, &mut ram, &root, VirtAddr(0), access);
        let got = got.map(|_| ()).map_err(|fault| fault.arch);
        let expected = expected.map_err(|error_code| ArchFault::X86PageFault { error_code });
        assert_eq!(got, expected, "{controls:?} {bits:#x} {access:?}");
    }

    // IA-32 paging has no XD: I/D needs SMEP.
    for (controls, error_code) in [(base, 0b00100), (smep, 0b10100)] {
        let got = Ia32::new(controls).arch_fault(Some(PTE), FaultCause::NotPresent, user(Execute));
        assert_eq!(got, ArchFault::X86PageFault { error_code });
    }
    let general = Format::by_name("x86-64").unwrap();
    let got = general.walk(&mut Ram::new(0, 0), &ROOT, VirtAddr(1 << 47), user(Read));
    assert_eq!(got.unwrap_err().arch, ArchFault::X86GeneralProtection);
}

const ROOT: Root = Root { table: PhysAddr(0), upper: None, registers: None };

/// Tables at 0, 0x1000, … whose entries 0 are `entries`.
fn one_page(entries: &[u64]) -> Ram {
    let mut ram = Ram::new(0, entries.len() * 0x1000);
    for (index, &raw) in entries.iter().enumerate() {
        ram.write_entry(PhysAddr(index as u64 * 0x1000), EntryWidth::Eight, raw).unwrap();
    }
    ram
}

/// SDM 4.6: R/W and U/S count if set at every level, XD if set at any. 4.8: A at every level,
/// D in the leaf.
#[test]
fn x86_levels_combine() {
    let x86_64 = X86_64::default();
    for level in 0..4 {
        for (withheld, denied) in [(0b010, Write), (0b100, Read), (1 << 63, Execute)] {
            let mut entries = [0x1007, 0x2007, 0x3007, 0x5007];
            entries[level] ^= withheld;
            for kind in [Read, Write, Execute] {
                let result =
                    walk(&x86_64, &mut one_page(&entries), &ROOT, VirtAddr(0), Access::user(kind));
                let allowed = kind != denied && withheld != 0b100;
                assert_eq!(result.is_ok(), allowed, "{level} {withheld:#x} {kind:?}");
            }
        }
    }
    for (kind, expected) in [
        (Read, [0x1027, 0x2027, 0x3027, 0x5027]),
        (Execute, [0x1027, 0x2027, 0x3027, 0x5027]),
        (Write, [0x1027, 0x2027, 0x3027, 0x5067]),
    ] {
        let mut ram = one_page(&[0x1007, 0x2007, 0x3007, 0x5007]);
        let got = walk(&x86_64, &mut ram, &ROOT, VirtAddr(0x123), Access::user(kind)).unwrap();
        assert_eq!((got.pa, got.reads, got.writes), (PhysAddr(0x5123), 4, 4));
        assert_eq!(got.dirty, kind == Write);
        assert_eq!(ram, one_page(&expected));
        let again = walk(&x86_64, &mut ram, &ROOT, VirtAddr(0x123), Access::user(kind)).unwrap();
        assert_eq!(again.writes, 0);
    }
}

/// Privileged manual, figures "Sv32/Sv39 page table entry" and table "Encoding of PTE R/W/X
/// fields", with the reserved bits of Sv39, Sv48 and Sv57.
#[test]
fn riscv_entries() {
    let all = "*";
    for name in ["sv32", "sv39", "sv48", "sv57"] {
        let format = Format::by_name(name).unwrap();
        let rows = [
            (PDE, 0x0c00, Entry::NotPresent),
            (PDE, 0x0cfe, Entry::NotPresent),
            // X W R = 0 0 0: a pointer; G is allowed in it, RSW ignored; D, A, U are reserved.
            (PDE, 0x0c01, table(0x3000, all)),
            (PDE, 0x0f21, table(0x3000, all)),
            (PDE, 0x0c11, RESERVED),
            (PDE, 0x0c41, RESERVED),
            (PDE, 0x0c81, RESERVED),
            (PTE, 0x0c01, RESERVED),
            // The eight encodings.
            (PTE, 0x0c03, leaf(3, "r", "")),
            (PTE, 0x0c05, RESERVED),
            (PTE, 0x0c07, leaf(3, "rw", "")),
            (PTE, 0x0c09, leaf(3, "x", "")),
            (PTE, 0x0c0b, leaf(3, "rx", "")),
            (PTE, 0x0c0d, RESERVED),
            (PTE, 0x0c0f, leaf(3, "rwx", "")),
            (PDE, 0x0c05, RESERVED),
            (PDE, 0x0c0d, RESERVED),
            // U, G, A, D, RSW.
            (PTE, 0x0c13, leaf(3, "ru", "")),
            (PTE, 0x0c23, leaf(3, "r", "g")),
            (PTE, 0x0c43, leaf(3, "r", "a")),
            (PTE, 0x0c83, leaf(3, "r", "d")),
            (PTE, 0x0f03, leaf(3, "r", "")),
            // Superpages: 512 or 1024 base pages.
            (PDE, 0x0010_0003, leaf(0x400, "r", "")),
            (PDE, 0x0010_0403, MISALIGNED),
            (PDE, 0x0014_0003, MISALIGNED),
            (PDE, 0x0000_0403, MISALIGNED),
        ];
        check(&format, &rows);
        if name == "sv32" {
            check(&format, &[(PTE, 0xffff_fc03, leaf(0x3f_ffff, "r", ""))]);
            continue;
        }
        check(&format, &[(PTE, 0x003f_ffff_ffff_fc03, leaf(0xfff_ffff_ffff, "r", ""))]);
        check(&format, &[(PDE, 0x0008_0003, leaf(0x200, "r", ""))]);
        for bit in 54..64 {
            check(&format, &[(PTE, 1 << bit | 0x0c03, RESERVED), (PDE, 1 << bit | 1, RESERVED)]);
        }
    }
    let sv57 = Format::by_name("sv57").unwrap();
    for (level, aligned) in [(2, 28), (3, 37), (4, 46u32)] {
        let pfn = 1 << (aligned - 10);
        check(&sv57, &[(Level(level), 1 << aligned | 3, leaf(pfn, "r", ""))]);
        check(&sv57, &[(Level(level), 1 << (aligned - 1) | 3, MISALIGNED)]);
    }
}

/// "Virtual Address Translation Process", steps 6, 8 and 9; the scause of each refusal.
#[test]
fn riscv_permissions_and_causes() {
    let plain = RiscVControls::default();
    let sum = RiscVControls { sum: true, ..plain };
    let mxr = RiscVControls { mxr: true, ..plain };
    let svade = RiscVControls { ad: AdUpdate::Svade, ..plain };
    let (user, system) = (Access::user, Access::supervisor);
    // The low byte of the PTE: D A G U X W R V; on success, the byte afterwards.
    let rows = [
        (plain, 0x00, system(Read), Err(13)),
        (plain, 0x00, system(Write), Err(15)),
        (plain, 0x00, system(Execute), Err(12)),
        (plain, 0x03, system(Read), Ok(0x43)),
        (plain, 0x03, system(Write), Err(15)),
        (plain, 0x03, system(Execute), Err(12)),
        (plain, 0x07, system(Write), Ok(0xc7)),
        (plain, 0x47, system(Write), Ok(0xc7)),
        (plain, 0xc7, system(Read), Ok(0xc7)),
        (plain, 0x09, system(Execute), Ok(0x49)),
        (plain, 0x09, system(Read), Err(13)),
        (mxr, 0x09, system(Read), Ok(0x49)),
        (mxr, 0x09, system(Write), Err(15)),
        (mxr, 0x19, user(Read), Ok(0x59)),
        (plain, 0x0f, user(Read), Err(13)),
        (plain, 0x1f, user(Read), Ok(0x5f)),
        (plain, 0x1f, user(Write), Ok(0xdf)),
        (plain, 0x1f, user(Execute), Ok(0x5f)),
        (plain, 0x1f, system(Read), Err(13)),
        (plain, 0x1f, system(Write), Err(15)),
        (sum, 0x1f, system(Read), Ok(0x5f)),
        (sum, 0x1f, system(Write), Ok(0xdf)),
        (sum, 0x1f, system(Execute), Err(12)),
        (svade, 0x0f, system(Read), Err(13)),
        (svade, 0x0f, system(Execute), Err(12)),
        (svade, 0x4f, system(Read), Ok(0x4f)),
        (svade, 0x4f, system(Write), Err(15)),
        (svade, 0x8f, system(Write), Err(15)),
        (svade, 0xcf, system(Write), Ok(0xcf)),
    ];
    for (controls, byte, access, expected) in rows {
        let format = RiscV::new(Scheme::Sv39, controls);
        let mut ram = one_page(&[0x0401, 0x0801, 0x0c00 | byte]);
        let got = walk(&format, &mut ram, &ROOT, VirtAddr(0x123), access);
        let after = if let Ok(after) = expected { after } else { byte };
        let expected = expected.map(|_| PhysAddr(0x3123));
        let expected = expected.map_err(|scause| ArchFault::RiscV { scause });
        assert_eq!(got.map(|t| t.pa).map_err(|f| f.arch), expected, "{byte:#x} {access:?}");
        assert_eq!(ram, one_page(&[0x0401, 0x0801, 0x0c00 | after]), "{byte:#x} {access:?}");
    }

    // Step 2: a table outside memory is an access fault of the original access.
    for (kind, scause) in [(Execute, 1), (Read, 5), (Write, 7)] {
        let format = RiscV::new(Scheme::Sv39, plain);
        let mut ram = one_page(&[0x0401]);
        let fault = walk(&format, &mut ram, &ROOT, VirtAddr(0), user(kind)).unwrap_err();
        assert_eq!(fault.arch, ArchFault::RiscV { scause });
        assert_eq!(fault.level, Some(Level(1)));
    }
    // G in a pointer makes everything below it global.
    let format = RiscV::new(Scheme::Sv39, plain);
    for (entries, global) in [([0x0401, 0x0801, 0x0c43], false), ([0x0421, 0x0801, 0x0c43], true)] {
        let got = walk(&format, &mut one_page(&entries), &ROOT, VirtAddr(0), system(Read)).unwrap();
        assert_eq!((got.global, got.writes), (global, 0));
    }
}

/// Encoders, against bit patterns.
#[test]
fn encodings() {
    let encode = |name: &str, level, expected: u64, entry| {
        let format = Format::by_name(name).unwrap();
        let raw = match entry {
            Entry::Leaf(leaf) => format.encode_leaf(level, leaf),
            Entry::Table { next, .. } => format.encode_table(level, next),
            _ => unreachable!("only valid entries are encoded"),
        };
        assert_eq!(raw, expected, "{name} {entry:?}");
    };
    encode("ia32", PDE, 0x3007, table(0x3000, ""));
    encode("ia32", PTE, 0x5007, leaf(5, "rwxu", ""));
    encode("ia32", PTE, 0x5179, leaf(5, "", "gadct"));
    encode("ia32", PDE, 0x0040_2083, leaf(0x10_0400, "rwx", ""));
    encode("pae", PDPTE, 0x3001, table(0x3000, ""));
    encode("pae", PDE, 0x3007, table(0x3000, ""));
    encode("pae", PDE, 0x8000_0000_0020_0081, leaf(0x200, "r", ""));
    encode("x86-64", PML4E, 0x3007, table(0x3000, ""));
    encode("x86-64", PDPTE, 0x8000_0000_4000_01e7, leaf(0x4_0000, "rwu", "gad"));
    encode("x86-64", PTE, 0x5025, leaf(5, "rxu", "a"));
    encode("sv39", PDPTE, 0x0c01, table(0x3000, ""));
    encode("sv39", PTE, 0x0c07, leaf(3, "w", ""));
    encode("sv39", PTE, 0x0c03, leaf(3, "", ""));
    encode("sv39", PTE, 0x0cd9, leaf(3, "xu", "ad"));
    encode("sv32", PTE, 0xffff_fc2f, leaf(0x3f_ffff, "rwx", "gct"));
    let wide = 0x7fff_ffff_ffff_ffff;
    for (name, payload) in Format::NAMES.iter().zip([0x7fff_ffff, wide, wide, wide]) {
        let format = Format::by_name(name).unwrap();
        assert_eq!(format.encode_absent(payload), payload * 2);
        assert_eq!(format.encode_absent(0), 0);
        assert_eq!(format.decode_absent(payload * 2), payload);
    }
    assert_eq!(Format::by_name("sv32").unwrap().encode_absent(0x7fff_ffff), 0xffff_fffe);
    assert_eq!(X86_64::default().touch(0x21, false, Access::user(Write)), Touch::Nothing);
}
