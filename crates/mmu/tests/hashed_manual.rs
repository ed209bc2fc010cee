//! The machine-wide tables against what is written about them: the worked examples and tables of
//! the PowerPC Programming Environments Manual (PEM), chapters 6 and 7, and text 003's look-ups.

mod common;

use common::Ram;
use pagewalk_mmu::hashed::ppc::{self, Pte, Segment, group_address, hash};
use pagewalk_mmu::hashed::{Hashed, HashedTable, Inverted, Ppc};
use pagewalk_mmu::radix::Leaf;
use pagewalk_mmu::{
    Access, AccessKind, AccessKind::*, ArchFault, Asid, EntryWidth, Fault, FaultCause, Pfn,
    PhysAddr, Privilege, Probe, ProbeKind, Rights, TableMemory, Translation, VirtAddr, Vpn,
    WalkObserver,
};

/// PEM 7.6.1.6, "Page Table Address Generation Examples": SDR1, the segment register and address.
const SDR1: u32 = 0x0f98_0007;
const SEGMENT: u32 = 0x20ca_701c;
const EA: VirtAddr = VirtAddr(0x00ff_a01b);

const USER: Rights = Rights::READ.union(Rights::WRITE).union(Rights::USER);

fn leaf(pfn: u64, rights: Rights) -> Leaf {
    Leaf {
        pfn: Pfn(pfn),
        rights,
        global: false,
        accessed: false,
        dirty: false,
        cache_disable: false,
        write_through: false,
    }
}

/// Records what a walk shows.
#[derive(Default)]
struct Log {
    probes: Vec<Probe>,
    updates: Vec<(PhysAddr, u64)>,
}

impl WalkObserver for Log {
    fn probe(&mut self, probe: &Probe) {
        self.probes.push(*probe);
    }

    fn update(&mut self, at: PhysAddr, raw: u64) {
        self.updates.push((at, raw));
    }
}

impl Log {
    fn kinds(&self) -> Vec<(ProbeKind, bool)> {
        self.probes.iter().map(|probe| (probe.what, probe.matches)).collect()
    }
}

#[test]
fn ppc_example_hashes_and_addresses() {
    let segment = Segment::from_raw(SEGMENT);
    assert_eq!((segment.vsid, segment.user_key), (0xca_701c, true));
    assert!(!segment.supervisor_key && !segment.no_execute);
    assert_eq!(segment.raw(), SEGMENT);
    let index = (EA.0 >> 12) as u32 & 0xffff;
    assert_eq!(index, 0x0ffa);
    assert_eq!(hash(segment.vsid, index, false), 0x27fe6);
    assert_eq!(hash(segment.vsid, index, true), 0x58019);
    assert_eq!(group_address(SDR1, 0x27fe6), PhysAddr(0x0f9f_f980));
    assert_eq!(group_address(SDR1, 0x58019), PhysAddr(0x0f98_0640));
    assert_eq!(Pte::tag(segment.vsid, index, false), 0xe538_0e03);
    assert_eq!(Pte::tag(segment.vsid, index, true), 0xe538_0e43);
}

/// The example's translation, from either group, with the bytes in memory written out by hand.
#[test]
fn ppc_example_translates_from_both_groups() {
    for (group, slot, word0) in [(0x0f9f_f980u64, 5, 0xe538_0e03u32), (0x0f98_0640, 7, 0xe538_0e43)]
    {
        let mut ram = Ram::new(0x0f98_0000, 1 << 19);
        let at = group + slot * 8;
        let offset = (at - ram.base) as usize;
        // RPN 0x12345, R = C = 0, WIMG = 0, PP = 10.
        ram.bytes[offset..offset + 4].copy_from_slice(&word0.to_be_bytes());
        ram.bytes[offset + 4..offset + 8].copy_from_slice(&0x1234_5002u32.to_be_bytes());
        let mut log = Log::default();
        let (segment, store) = (Segment::from_raw(SEGMENT), Access::user(Write));
        let got = ppc::translate(&mut ram, SDR1, segment, EA, store, &mut log).unwrap();
        assert_eq!((got.pa, got.pfn), (PhysAddr(0x1234_501b), Pfn(0x12345)));
        assert!(got.dirty && got.writes == 1);
        let secondary = word0 & 0x40 != 0;
        assert_eq!(u64::from(got.reads), if secondary { 8 } else { 0 } + slot + 2);
        assert_eq!(log.probes.len(), usize::from(got.reads));
        assert_eq!(log.probes[0].at, PhysAddr(0x0f9f_f980));
        let data = log.probes.last().unwrap();
        assert_eq!((data.at, data.raw), (PhysAddr(at + 4), 0x1234_5002));
        assert_eq!(log.updates, [(PhysAddr(at + 4), 0x1234_5182)], "R and C");
        assert_eq!(ram.bytes[offset + 4..offset + 8], 0x1234_5182u32.to_be_bytes());
    }
}

/// PEM table 7-20, "Minimum Recommended Page Table Sizes".
#[test]
fn ppc_table_sizes() {
    for (memory_mib, table_kib, mask) in [
        (8u64, 64u64, 0u64),
        (16, 128, 1),
        (32, 256, 3),
        (64, 512, 7),
        (128, 1 << 10, 0xf),
        (256, 2 << 10, 0x1f),
        (512, 4 << 10, 0x3f),
        (1 << 10, 8 << 10, 0x7f),
        (2 << 10, 16 << 10, 0xff),
        (4 << 10, 32 << 10, 0x1ff),
    ] {
        let table = Ppc::new(memory_mib << 8);
        assert_eq!(table.table_bytes(), table_kib << 10, "{memory_mib} MiB");
        assert_eq!(table.table_align(), table_kib << 10);
        assert_eq!(table.root(PhysAddr(0x1000_0000)), PhysAddr(0x1000_0000 | mask));
    }
    assert_eq!(Ppc::new(1).table_bytes(), 64 << 10);
    assert_eq!(Ppc::new(u64::MAX).table_bytes(), 32 << 20);
}

/// PEM table 7-10, "Protection Key and PP bits": what loads and stores may do.
#[test]
fn ppc_key_and_pp() {
    for (key, pp, read, write) in [
        (false, 0b00, true, true),
        (false, 0b01, true, true),
        (false, 0b10, true, true),
        (false, 0b11, true, false),
        (true, 0b00, false, false),
        (true, 0b01, true, false),
        (true, 0b10, true, true),
        (true, 0b11, true, false),
    ] {
        for other in [false, true] {
            let user = Segment { user_key: key, supervisor_key: other, ..Segment::from_raw(0) };
            let supervisor = Segment { user_key: other, supervisor_key: key, ..user };
            let allowed = |segment: Segment, kind, privilege| {
                let rights = segment.rights(pp, false);
                ppc::permit(rights, Access { kind, privilege }).is_ok()
            };
            for (kind, expected) in [(Read, read), (Write, write), (Execute, read)] {
                assert_eq!(allowed(user, kind, Privilege::User), expected, "{pp:b} {kind:?}");
                assert_eq!(allowed(supervisor, kind, Privilege::Supervisor), expected);
            }
        }
    }
}

fn outcome(
    segment: Segment,
    word1: u32,
    mapped: bool,
    access: Access,
) -> Result<Translation, Fault> {
    let mut ram = Ram::new(0x0f98_0000, 1 << 19);
    let word0 = Pte::tag(segment.vsid, 0x0ffa, false) & if mapped { !0 } else { !(1 << 31) };
    for (at, word) in [(0x0f9f_f980, word0), (0x0f9f_f984, word1)] {
        ram.write_entry(PhysAddr(at), EntryWidth::Four, u64::from(word.swap_bytes())).unwrap();
    }
    let before = ram.clone();
    let got = ppc::translate(&mut ram, SDR1, segment, EA, access, &mut ());
    assert!(got.is_ok() || ram == before, "a fault changes nothing");
    got
}

/// PEM tables 6-9 (DSISR after a DSI) and 6-10 (SRR1 after an ISI).
#[test]
fn ppc_exception_codes() {
    let plain = Segment::from_raw(SEGMENT);
    let no_execute = Segment { no_execute: true, ..plain };
    let dsi = |dsisr| Err(ArchFault::PpcDsi { dsisr });
    let isi = |srr1| Err(ArchFault::PpcIsi { srr1 });
    for (segment, word1, mapped, kind, expected) in [
        (plain, 0x2, false, Read, dsi(0x4000_0000)),
        (plain, 0x2, false, Write, dsi(0x4200_0000)),
        (plain, 0x2, false, Execute, isi(0x4000_0000)),
        (plain, 0x0, true, Read, dsi(0x0800_0000)),
        (plain, 0x0, true, Write, dsi(0x0a00_0000)),
        (plain, 0x1, true, Write, dsi(0x0a00_0000)),
        (plain, 0x3, true, Write, dsi(0x0a00_0000)),
        (plain, 0x0, true, Execute, isi(0x0800_0000)),
        (plain, 0xa, true, Execute, isi(0x1000_0000)),
        (no_execute, 0x2, true, Execute, isi(0x1000_0000)),
        (no_execute, 0x2, false, Execute, isi(0x1000_0000)),
        (no_execute, 0x2, true, Write, Ok(())),
        (plain, 0x1, true, Execute, Ok(())),
        (plain, 0xa, true, Read, Ok(())),
    ] {
        let got = outcome(segment, word1, mapped, Access::user(kind));
        let got = got.map(drop).map_err(|fault| fault.arch);
        assert_eq!(got, expected, "{segment:?} {word1:#x} {mapped} {kind:?}");
    }
    // A supervisor's store goes through where the user's does not (Ks = 0).
    assert!(outcome(plain, 0x0, true, Access::supervisor(Write)).is_ok());
    // 33 bits are no address, and a table outside memory is a machine check.
    let mut ram = Ram::new(0, 0);
    let load = Access::user(Read);
    let beyond = ppc::translate(&mut ram, SDR1, plain, VirtAddr(1 << 32), load, &mut ());
    assert_eq!(beyond.unwrap_err().cause, FaultCause::NonCanonical);
    let nowhere = ppc::translate(&mut ram, SDR1, plain, EA, load, &mut ());
    assert_eq!(nowhere.unwrap_err().arch, ArchFault::PpcMachineCheck);
}

/// No two segments of any spaces share a VSID.
#[test]
fn ppc_segments_are_apart() {
    let mut seen = vec![false; 1 << 24];
    for asid in 0..=u16::MAX {
        for number in 0..16 {
            let segment = Ppc::segment(Asid(asid), number);
            assert!(!std::mem::replace(&mut seen[segment.vsid as usize], true));
            assert!(segment.user_key && !segment.supervisor_key && !segment.no_execute);
        }
    }
}

/// Sixteen pages of one hash fill both groups; the seventeenth has no place until one goes.
#[test]
fn ppc_groups_overflow() {
    let table = Ppc::new(2048);
    let root = table.root(PhysAddr(0));
    let mut ram = Ram::new(0, table.table_bytes() as usize);
    // 1024 groups: page indices that differ in the API alone have one hash.
    let page = |n: u64| Vpn(n << 10 | 5);
    for n in 0..16 {
        table.insert(&mut ram, root, Asid(1), page(n), leaf(n, USER)).unwrap();
    }
    assert!(table.insert(&mut ram, root, Asid(1), page(16), leaf(16, USER)).is_err());
    let mut count = 0;
    table.audit(&ram, root, &mut |_| count += 1).unwrap();
    assert_eq!(count, 16);
    for (n, reads) in [(0, 2), (7, 9), (8, 10), (15, 17)] {
        let va = VirtAddr(page(n).0 << 12);
        let got =
            table.walk_observed(&mut ram, root, Asid(1), va, Access::user(Read), &mut ()).unwrap();
        assert_eq!((got.pfn, got.reads), (Pfn(n), reads));
    }
    let mut log = Log::default();
    let va = VirtAddr(page(16).0 << 12);
    let fault = table.walk_observed(&mut ram, root, Asid(1), va, Access::user(Read), &mut log);
    assert_eq!(fault.unwrap_err().cause, FaultCause::NotPresent);
    assert_eq!(log.kinds(), [(ProbeKind::Tag, false); 16]);
    for turn in 0..8 {
        let gone = table.make_room(&mut ram, root, Asid(1), page(16), Pfn(16), turn).unwrap();
        assert_eq!((gone.asid, gone.vpn, gone.leaf.pfn), (Asid(1), page(turn), Pfn(turn)));
    }
    table.insert(&mut ram, root, Asid(1), page(16), leaf(16, USER)).unwrap();
    assert_eq!(table.find(&ram, root, Asid(1), page(16)).map(|leaf| leaf.pfn), Some(Pfn(16)));
}

/// What the kernel asks for, and what it gets: PP and back.
#[test]
fn ppc_rights() {
    let table = Ppc::new(1);
    let root = table.root(PhysAddr(0));
    let both = Rights::READ_SUPERVISOR | Rights::WRITE_SUPERVISOR;
    let read = Rights::READ | Rights::USER | Rights::READ_SUPERVISOR | Rights::EXECUTE;
    for (asked, pp, granted) in [
        (Rights::READ, 0b00, both | Rights::EXECUTE),
        (Rights::READ | Rights::USER, 0b11, read),
        (Rights::EXECUTE | Rights::USER, 0b11, read),
        (USER, 0b10, USER | both | Rights::EXECUTE),
    ] {
        let mut ram = Ram::new(0, table.table_bytes() as usize);
        table.insert(&mut ram, root, Asid(0), Vpn(0), leaf(9, asked)).unwrap();
        assert_eq!(ram.bytes[7], pp, "{asked:?}");
        assert_eq!(table.find(&ram, root, Asid(0), Vpn(0)).unwrap().rights, granted);
        assert_eq!(table.granted(asked), granted);
    }
}

/// Two pages with one hash in a table of four anchors or entries, and a third without.
fn colliding(home: impl Fn(Vpn) -> PhysAddr) -> [Vpn; 3] {
    let pages: Vec<Vpn> = (0..64).map(Vpn).collect();
    let first = pages[0];
    let second = *pages[1..].iter().find(|&&page| home(page) == home(first)).unwrap();
    let third = *pages[1..].iter().find(|&&page| home(page) != home(first)).unwrap();
    [first, second, third]
}

/// Text 003, "Inverted Page Table": the index is the frame; a mismatch goes on with the chain; a
/// null chain entry is a page fault.
#[test]
fn inverted_look_up() {
    let table = Inverted::new(4);
    assert_eq!((table.anchors(), table.table_bytes()), (4, 4 * 4 + 4 * 16));
    let (root, asid) = (PhysAddr(0x100), Asid(7));
    let mut ram = Ram::new(0, 0x200);
    let [first, second, other] =
        colliding(|page| table.anchor_of(root, asid, page).expect("a page"));
    table.insert(&mut ram, root, asid, first, leaf(2, USER)).unwrap();
    table.insert(&mut ram, root, asid, second, leaf(1, USER)).unwrap();
    let mut walk = |page: Vpn, asid, kind: AccessKind| {
        let mut log = Log::default();
        let va = VirtAddr(page.0 << 12 | 0x34);
        let got = table.walk_observed(&mut ram, root, asid, va, Access::user(kind), &mut log);
        (got, log)
    };
    // Entered last, found first: anchor, tag, data.
    let (got, log) = walk(second, asid, Read);
    let got = got.unwrap();
    assert_eq!((got.pa, got.pfn, got.reads, got.writes), (PhysAddr(0x1034), Pfn(1), 3, 1));
    use ProbeKind::{Anchor, Data, Link, Tag};
    assert_eq!(log.kinds(), [(Anchor, true), (Tag, true), (Data, true)]);
    // The entry's address says which frame: its index is 1.
    assert_eq!(log.probes[1].at, PhysAddr(root.0 + 16 + 16));
    // The other one is behind it.
    let (got, log) = walk(first, asid, Write);
    assert_eq!(got.unwrap().pfn, Pfn(2));
    let way = [(Anchor, true), (Tag, false), (Link, true), (Tag, true), (Data, true)];
    assert_eq!(log.kinds(), way);
    assert_eq!(log.updates.len(), 1, "referenced and modified at once");
    // Referenced already, and a load: nothing is written.
    assert_eq!(walk(first, asid, Read).0.unwrap().writes, 0);
    // Another process's page of that number is another page: the PID is compared.
    let (got, log) = walk(other, asid, Read);
    assert_eq!(got.unwrap_err().cause, FaultCause::NotPresent);
    assert_eq!(log.kinds(), [(Anchor, false)]);
    let strangers = (0..64u16).map(Asid).filter(|&of| of != asid);
    for stranger in strangers {
        let (got, log) = walk(first, stranger, Read);
        let fault = got.unwrap_err();
        assert_eq!((fault.cause, fault.arch), (FaultCause::NotPresent, ArchFault::PageFault));
        assert!(log.kinds().iter().all(|&(what, matches)| !matches || what != Tag));
    }
    // One mapping for a frame: a second needs the first to go.
    assert!(table.insert(&mut ram, root, asid, other, leaf(2, USER)).is_err());
    let gone = table.make_room(&mut ram, root, asid, other, Pfn(2), 0).unwrap();
    assert_eq!((gone.vpn, gone.leaf.dirty, gone.leaf.accessed), (first, true, true));
    table.insert(&mut ram, root, asid, other, leaf(2, USER)).unwrap();
    table.audit(&ram, root, &mut |_| {}).unwrap();
}

/// Text 003, "Hashed Page Table": the frame is in the entry, so that pages share a frame.
#[test]
fn hashed_look_up() {
    let table = Hashed::with_entries(4);
    let (root, asid) = (PhysAddr(0x40), Asid(7));
    let mut ram = Ram::new(0, 0x80);
    let [first, second, other] = colliding(|page| table.home_of(root, asid, page).expect("a page"));
    for page in [first, second, other] {
        table.insert(&mut ram, root, asid, page, leaf(0xabc, USER)).unwrap();
    }
    let mut kinds = |page: Vpn| {
        let mut log = Log::default();
        let va = VirtAddr(page.0 << 12 | 0xfff);
        let access = Access::user(Read);
        let got = table.walk_observed(&mut ram, root, asid, va, access, &mut log).unwrap();
        assert_eq!((got.pa, got.reads), (PhysAddr(0xab_cfff), log.probes.len() as u8));
        log.kinds()
    };
    use ProbeKind::{Data, Link, Tag};
    assert_eq!(kinds(first), [(Tag, true), (Data, true)]);
    assert_eq!(kinds(second), [(Tag, false), (Link, true), (Tag, true), (Data, true)]);
    // A stranger in its home had to move.
    assert_eq!(kinds(other), [(Tag, true), (Data, true)]);
    table.audit(&ram, root, &mut |_| {}).unwrap();
    // The first goes, the second comes home.
    assert_eq!(table.remove(&mut ram, root, asid, first).unwrap().pfn, Pfn(0xabc));
    table.audit(&ram, root, &mut |_| {}).unwrap();
    let home = table.home_of(root, asid, second).unwrap();
    assert_eq!(home, table.home_of(root, asid, first).unwrap());
    assert_ne!(ram.read_entry(home, EntryWidth::Eight), Ok(0));
}

/// Sizes follow RAM: 4 KiB pages, entries of 16 bytes.
#[test]
fn text_book_sizes_follow_ram() {
    for (mib, inverted, hashed) in [
        (1, 256 * 20, 512 * 16),
        (64, 16384 * 20, 32768 * 16),
        (65, 32768 * 4 + 16640 * 16, 65536 * 16),
        (1 << 10, 262_144 * 20, 524_288 * 16),
    ] {
        assert_eq!(Inverted::new(mib << 8).table_bytes(), inverted, "{mib} MiB");
        assert_eq!(Hashed::new(mib << 8).table_bytes(), hashed, "{mib} MiB");
    }
    assert_eq!(Hashed::with_entries(1000).entries(), 1024);
}

/// Rights of the text-book tables are those that are asked for.
#[test]
fn text_book_rights() {
    let all = [Rights::READ, Rights::WRITE, Rights::EXECUTE];
    for bits in 0..8 {
        let rights = all.into_iter().enumerate().filter(|(n, _)| bits >> n & 1 != 0);
        let rights = rights.fold(Rights::empty(), |sum, (_, right)| sum | right);
        for user in [Rights::empty(), Rights::USER] {
            let table = Hashed::with_entries(4);
            assert_eq!(table.granted(rights | user), rights | user);
            for (kind, needed) in [Read, Write, Execute].into_iter().zip(all) {
                let allowed = |access| table.permit(rights | user, access).is_ok();
                assert_eq!(allowed(Access::supervisor(kind)), rights.contains(needed));
                let expected = rights.contains(needed) && !user.is_empty();
                assert_eq!(allowed(Access::user(kind)), expected);
            }
        }
    }
}
