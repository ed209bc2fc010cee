//! The machine-wide tables against a plain map, and against damage: whatever the bits are, a walk
//! ends, nothing panics, and what software does to the table stays within it.

mod common;

use common::Ram;
use pagewalk_mmu::hashed::{Format, Hashed, HashedTable, Inverted, Mapped, Ppc};
use pagewalk_mmu::radix::Leaf;
use pagewalk_mmu::{
    Access, AccessKind, Asid, EntryWidth, FaultCause, Pfn, PhysAddr, Privilege, Probe, ProbeKind,
    Rights, TableMemory, VirtAddr, Vpn, WalkObserver,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Where the table lies: aligned for the smallest table of the PowerPC.
const BASE: PhysAddr = PhysAddr(0x10_0000);

/// All kinds, from crowded to roomy.
fn tables() -> impl Strategy<Value = Format> {
    prop_oneof![
        (1..40u64).prop_map(|frames| Format::Inverted(Inverted::new(frames))),
        (1..80u64).prop_map(|entries| Format::Hashed(Hashed::with_entries(entries))),
        Just(Format::Ppc(Ppc::new(1))),
    ]
}

fn memory(table: &Format) -> Ram {
    Ram::new(BASE.0, table.table_bytes() as usize)
}

/// Few spaces and pages, so that they meet; on the PowerPC, pages of few hashes.
fn page(table: &Format, seed: u64) -> (Asid, Vpn) {
    let asid = Asid((seed & 3) as u16);
    let page = seed >> 2 & 0x1f;
    let stride = if matches!(table, Format::Ppc(_)) { 10 } else { 0 };
    (asid, Vpn(page << stride | seed >> 7 & 1))
}

fn leaf(table: &Format, seed: u64) -> Leaf {
    let rights = [
        Rights::READ,
        Rights::READ | Rights::USER,
        Rights::READ | Rights::WRITE | Rights::USER,
        Rights::EXECUTE | Rights::USER,
        Rights::READ | Rights::WRITE | Rights::EXECUTE | Rights::USER,
    ];
    Leaf {
        pfn: Pfn((seed >> 8) % table.frames_max().min(48)),
        rights: table.granted(rights[(seed % 5) as usize]),
        global: false,
        accessed: seed & 0x10 != 0,
        dirty: seed & 0x20 != 0,
        cache_disable: seed & 0x40 != 0,
        write_through: seed & 0x80 != 0,
    }
}

fn access(seed: u64) -> Access {
    let kind = [AccessKind::Read, AccessKind::Write, AccessKind::Execute][(seed % 3) as usize];
    let privilege = if seed & 8 == 0 { Privilege::User } else { Privilege::Supervisor };
    Access { kind, privilege }
}

/// Sees what is referenced, and that memory says so.
#[derive(Default)]
struct Counting {
    reads: u64,
    matches: Vec<ProbeKind>,
    updates: Vec<(PhysAddr, u64)>,
}

impl WalkObserver for Counting {
    fn probe(&mut self, probe: &Probe) {
        self.reads += 1;
        if probe.matches {
            self.matches.push(probe.what);
        }
    }

    fn update(&mut self, at: PhysAddr, raw: u64) {
        self.updates.push((at, raw));
    }
}

type Model = BTreeMap<(Asid, Vpn), Leaf>;

/// Enters a page as the kernel does: what is in the way goes.
fn install(table: &Format, ram: &mut Ram, model: &mut Model, at: (Asid, Vpn), leaf: Leaf) {
    let root = table.root(BASE);
    let mut turn = leaf.pfn.0;
    while table.insert(ram, root, at.0, at.1, leaf).is_err() {
        let gone = table.make_room(ram, root, at.0, at.1, leaf.pfn, turn);
        let Mapped { asid, vpn, leaf } = gone.expect("something is in the way");
        assert_eq!(model.remove(&(asid, vpn)), Some(leaf), "what is displaced was there");
        turn += 1;
        assert!(turn < 200, "room is made in few steps");
    }
    model.insert(at, leaf);
}

fn contents(table: &Format, ram: &Ram) -> Model {
    let mut found = Model::new();
    let shown = &mut |Mapped { asid, vpn, leaf }| {
        assert_eq!(found.insert((asid, vpn), leaf), None, "shown once");
    };
    table.audit(ram, table.root(BASE), shown).expect("a table that is whole");
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// After each operation the table holds what the map holds, and is whole.
    #[test]
    fn a_table_equals_a_map(
        table in tables(),
        ops in prop::collection::vec((0..5u8, any::<u64>(), any::<u64>()), 1..150),
    ) {
        let root = table.root(BASE);
        let mut ram = memory(&table);
        ram.bytes.fill(0xff);
        table.initialise(&mut ram, root);
        let mut model = Model::new();
        for (op, place, seed) in ops {
            let (asid, vpn) = page(&table, place);
            let known = model.get(&(asid, vpn)).copied();
            prop_assert_eq!(table.find(&ram, root, asid, vpn), known);
            match op {
                0 | 1 if known.is_none() => {
                    install(&table, &mut ram, &mut model, (asid, vpn), leaf(&table, seed));
                }
                0..=2 => {
                    let new = leaf(&table, seed);
                    let change = |leaf: &mut Leaf| *leaf = Leaf { pfn: leaf.pfn, ..new };
                    let was = table.update(&mut ram, root, asid, vpn, change);
                    prop_assert_eq!(was, known);
                    model.entry((asid, vpn)).and_modify(change);
                }
                3 => {
                    prop_assert_eq!(table.remove(&mut ram, root, asid, vpn), known);
                    model.remove(&(asid, vpn));
                }
                _ => {
                    let (access, va) = (access(seed), VirtAddr(vpn.0 << 12 | seed >> 52));
                    let mut seen = Counting::default();
                    let got = table.walk_observed(&mut ram, root, asid, va, access, &mut seen);
                    let expected = known.ok_or(FaultCause::NotPresent).and_then(|leaf| {
                        table.permit(leaf.rights, access).map(|()| leaf)
                    });
                    match (got, expected) {
                        (Ok(got), Ok(leaf)) => {
                            prop_assert_eq!(got.pa.0, leaf.pfn.0 << 12 | va.0 & 0xfff);
                            prop_assert_eq!((got.pfn, got.rights), (leaf.pfn, leaf.rights));
                            prop_assert_eq!(u64::from(got.reads), seen.reads);
                            prop_assert_eq!(usize::from(got.writes), seen.updates.len());
                            let store = access.kind == AccessKind::Write;
                            let touched = model.get_mut(&(asid, vpn)).unwrap();
                            let complete = touched.accessed && (touched.dirty || !store);
                            prop_assert_eq!(got.writes == 0, complete);
                            touched.accessed = true;
                            touched.dirty |= store;
                            prop_assert_eq!(got.dirty, touched.dirty);
                            prop_assert_eq!(seen.matches.last(), Some(&ProbeKind::Data));
                        }
                        (Err(fault), Err(cause)) => {
                            prop_assert_eq!((fault.cause, fault.va, fault.access), (cause, va, access));
                            prop_assert_eq!(fault.arch, table.arch_fault(cause, access));
                            prop_assert!(seen.updates.is_empty());
                        }
                        (got, expected) => prop_assert!(false, "{:?}, not {:?}", got, expected),
                    }
                }
            }
            prop_assert_eq!(&contents(&table, &ram), &model);
        }
    }

    /// Random bits, sparse and dense, for a table: everything ends within the table, a walk within
    /// so many references as it has words, and a fault leaves memory as it was.
    #[test]
    fn garbage_is_walked_to_an_end(
        table in tables(),
        seed: u64,
        density in 1..=4u32,
        cut in 0..2usize,
        places in prop::collection::vec((any::<u64>(), any::<u64>()), 1..20),
    ) {
        let root = table.root(BASE);
        let mut ram = memory(&table);
        let mut random = common::Random(seed);
        for at in (0..ram.bytes.len()).step_by(8) {
            // Small numbers in all fields, so that links and tags often lead somewhere.
            let mask = (0..density).fold(u64::MAX, |mask, _| mask & random.next());
            let raw = (mask & 0xc000_01ff_0000_003f) | random.next() & 0x8000_0000_0000_0000;
            ram.bytes[at..at + 8].copy_from_slice(&raw.to_le_bytes());
        }
        // Some tables have their end outside memory.
        let len = ram.bytes.len() - cut * ram.bytes.len() / 3 / 16 * 16;
        ram.bytes.truncate(len);
        let words = table.table_bytes() / 4;
        for (place, seed) in places {
            let (asid, vpn) = page(&table, place);
            let (va, access) = (VirtAddr(vpn.0 << 12), access(seed));
            let before = ram.clone();
            let mut seen = Counting::default();
            let got = table.walk_observed(&mut ram, root, asid, va, access, &mut seen);
            prop_assert!(seen.reads <= words);
            prop_assert!(got.is_ok() || ram == before);
            let _audited = table.audit(&ram, root, &mut |_| {});
            let found = table.find(&ram, root, asid, vpn);
            let leaf = leaf(&table, seed);
            let _ = table.make_room(&mut ram, root, asid, vpn, leaf.pfn, place);
            if found.is_none() && table.find(&ram, root, asid, vpn).is_none() {
                let _ = table.insert(&mut ram, root, asid, vpn, leaf);
            }
            let _ = table.update(&mut ram, root, asid, vpn, |leaf| leaf.dirty = true);
            let _ = table.remove(&mut ram, root, asid, vpn);
        }
        table.initialise(&mut ram, root);
    }
}

/// A chain that is a ring: the look-up of a page that is not on it ends in a fault for a malformed
/// table, and software finds nothing.
#[test]
fn rings_end_in_faults() {
    for table in [Format::Inverted(Inverted::new(8)), Format::Hashed(Hashed::with_entries(8))] {
        let root = table.root(BASE);
        let mut ram = memory(&table);
        // The chain that gets two pages first, and the last one of its hash.
        let (mut pages, mut missing) = (Vec::new(), None);
        for vpn in (0..200).map(Vpn) {
            let mut seen = Counting::default();
            let va = VirtAddr(vpn.0 << 12);
            let load = Access::user(AccessKind::Read);
            let fault = table.walk_observed(&mut ram, root, Asid(1), va, load, &mut seen);
            let begun = seen.reads > 1;
            assert_eq!(fault.unwrap_err().cause, FaultCause::NotPresent);
            if pages.is_empty() || (begun && pages.len() < 2) {
                let leaf = leaf(&table, 1 | (pages.len() as u64) << 8);
                table.insert(&mut ram, root, Asid(1), vpn, leaf).unwrap();
                pages.push(vpn);
            } else if begun {
                missing = Some(vpn);
                break;
            }
        }
        let missing = missing.expect("hashes repeat");
        // The last of the chain, which has no link, is linked to the first.
        let entries: Vec<PhysAddr> = (first_entry(&table)..ram.bytes.len() as u64)
            .step_by(16)
            .map(|offset| PhysAddr(BASE.0 + offset))
            .filter(|&at| ram.read_entry(at, EntryWidth::Eight).unwrap() >> 63 == 1)
            .collect();
        let index = |at: PhysAddr| (at.0 - BASE.0 - first_entry(&table)) / 16;
        let data = |at: PhysAddr| PhysAddr(at.0 + 8);
        let is_last =
            |at: &&PhysAddr| ram.read_entry(data(**at), EntryWidth::Eight).unwrap() >> 63 == 0;
        let last = *entries.iter().find(is_last).expect("a chain has an end");
        let first = *entries.iter().find(|&&at| at != last).expect("two entries");
        let raw = ram.read_entry(data(last), EntryWidth::Eight).unwrap();
        for (target, cause) in [(index(first), "ring"), (1 << 20, "out of the table")] {
            let link = raw | 1 << 63 | target << 36;
            ram.write_entry(data(last), EntryWidth::Eight, link).unwrap();
            let va = VirtAddr(missing.0 << 12);
            let load = Access::user(AccessKind::Read);
            let mut seen = Counting::default();
            let fault = table.walk_observed(&mut ram, root, Asid(1), va, load, &mut seen);
            assert_eq!(fault.unwrap_err().cause, FaultCause::Reserved, "{cause}");
            assert!(seen.reads <= 17, "{} references", seen.reads);
            assert_eq!(table.find(&ram, root, Asid(1), missing), None);
            let broken = table.audit(&ram, root, &mut |_| {}).unwrap_err();
            assert!(broken.why.contains("link"), "{broken}");
        }
    }
}

/// Where the entries begin: behind the anchors of an inverted table.
fn first_entry(table: &Format) -> u64 {
    match table {
        Format::Inverted(table) => table.anchors() * 4,
        _ => 0,
    }
}

/// Names and tables belong together, and addresses beyond the space are none.
#[test]
fn names_and_limits() {
    for name in Format::NAMES {
        let table = Format::by_name(name, 64).unwrap();
        assert_eq!(table.name(), *name);
        let root = table.root(BASE);
        let mut ram = memory(&table);
        let load = Access::user(AccessKind::Read);
        let beyond = VirtAddr(1 << table.va_bits());
        let fault = table.walk_observed(&mut ram, root, Asid(0), beyond, load, &mut ());
        let fault = fault.unwrap_err();
        assert_eq!((fault.cause, fault.level), (FaultCause::NonCanonical, None));
        let vpn = beyond.vpn(table.base_page());
        let leaf = leaf(&table, 1);
        assert!(table.insert(&mut ram, root, Asid(0), vpn, leaf).is_err());
        assert_eq!(table.find(&ram, root, Asid(0), vpn), None);
        let frame = Leaf { pfn: Pfn(table.frames_max()), ..leaf };
        assert!(table.insert(&mut ram, root, Asid(0), Vpn(0), frame).is_err());
        let last = Leaf { pfn: Pfn(table.frames_max() - 1), ..leaf };
        table.insert(&mut ram, root, Asid(u16::MAX), Vpn(vpn.0 - 1), last).unwrap();
        assert_eq!(table.find(&ram, root, Asid(u16::MAX), Vpn(vpn.0 - 1)), Some(last));
    }
    assert_eq!(Format::by_name("none", 64), None);
}
