//! Random mappings, random accesses, random controls: the walk against a plain map, for every
//! format; accessed and dirty bits exactly where they belong; no panic on arbitrary memory.

mod common;

use common::{Ram, Tables, canonical, dense_address, leaf_from, leaf_levels};
use pagewalk_mmu::radix::{
    Aarch64, Aarch64Controls, AdUpdate, Entry, Format, Ia32, Leaf, Pae, Radix, RiscV,
    RiscVControls, Root, X86_64, X86Controls, walk,
};
use pagewalk_mmu::{
    Access, AccessKind, FaultCause, Level, PageSize, PhysAddr, Privilege, Rights, Step,
    TableMemory, VirtAddr, WalkObserver,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// `name` with the controls that the bits of `seed` say.
fn format_with(name: &str, seed: u64) -> Format {
    let bit = |n: u32| seed >> n & 1 != 0;
    let x86 = X86Controls {
        wp: bit(0),
        nxe: bit(1),
        smep: bit(2),
        smap: bit(3),
        ac: bit(4),
        pse: bit(5),
        pge: bit(6),
        page1gb: bit(15),
        phys_bits: 32 + (seed >> 7 & 0xff) as u8 % 21,
    };
    let ad = if bit(2) { AdUpdate::Svade } else { AdUpdate::Svadu };
    let riscv = RiscVControls { sum: bit(0), mxr: bit(1), ad };
    let aarch64 = Aarch64Controls {
        ha: bit(0),
        hd: bit(1),
        pan: bit(2),
        wxn: bit(3),
        output_bits: [32, 36, 40, 42, 44, 48, 48, 48][(seed >> 7 & 7) as usize],
    };
    match Format::by_name(name).expect("a known name") {
        Format::Ia32(_) => Format::Ia32(Ia32::new(x86)),
        Format::Pae(_) => Format::Pae(Pae::new(x86)),
        Format::X86_64(format) => {
            Format::X86_64(X86_64::new(format.geometry().levels.len() as u8, x86))
        }
        Format::RiscV(format) => Format::RiscV(RiscV::new(format.scheme, riscv)),
        Format::Aarch64(format) => Format::Aarch64(Aarch64::new(format.granule(), aarch64)),
        same @ (Format::Linear(_) | Format::R3000(_)) => same,
    }
}

/// Base frames that every size of page and every control can hold.
fn frame_bits(format: &Format) -> u8 {
    match format {
        Format::Ia32(_) => 20,
        Format::Pae(format) => format.controls().phys_bits - 12,
        Format::X86_64(format) => format.controls().phys_bits - 12,
        Format::RiscV(_) | Format::Linear(_) | Format::R3000(_) => {
            format.geometry().pa_bits - format.geometry().base_page().shift()
        }
        Format::Aarch64(f) => f.controls().output_bits - f.geometry().base_page().shift(),
    }
}

/// What was mapped, by the page's first address.
type Model = BTreeMap<u64, (PageSize, Level, Leaf)>;

fn look_up(model: &Model, va: VirtAddr) -> Option<(PageSize, Level, Leaf)> {
    let (&base, &found) = model.range(..=va.0).next_back()?;
    (va.0 - base < found.0.bytes()).then_some(found)
}

/// The rights that a leaf ends up with, after what the format cannot withhold, and what it
/// withholds until software has seen the first store.
fn effective(format: &Format, leaf: &Leaf) -> Rights {
    let mut rights = leaf.rights;
    if let Format::Aarch64(f) = format {
        let keeps_dirty = f.controls().ha && f.controls().hd;
        rights.set(Rights::WRITE, rights.contains(Rights::WRITE) && (leaf.dirty || keeps_dirty));
        return rights | Rights::READ;
    }
    rights.remove(Rights::EXECUTE_SUPERVISOR);
    match format {
        Format::Ia32(_) | Format::R3000(_) => rights |= Rights::READ | Rights::EXECUTE,
        Format::Pae(f) if !f.controls().nxe => rights |= Rights::READ | Rights::EXECUTE,
        Format::X86_64(f) if !f.controls().nxe => rights |= Rights::READ | Rights::EXECUTE,
        Format::Pae(_) | Format::X86_64(_) => rights |= Rights::READ,
        Format::RiscV(_) => {
            if rights.contains(Rights::WRITE) || !rights.contains(Rights::EXECUTE) {
                rights |= Rights::READ;
            }
        }
        Format::Linear(_) => {}
        Format::Aarch64(_) => unreachable!("returned above"),
    }
    rights
}

/// The manuals' rules once more, as sentences rather than as the formats compute them.
fn allowed(format: &Format, page: Rights, access: Access) -> bool {
    let user_page = page.contains(Rights::USER);
    let supervisor = access.privilege == Privilege::Supervisor;
    let (read, write, execute) =
        (page.contains(Rights::READ), page.contains(Rights::WRITE), page.contains(Rights::EXECUTE));
    let x86 = |c: &X86Controls| match access.kind {
        AccessKind::Read if supervisor => !user_page || !c.smap || c.ac,
        AccessKind::Write if supervisor => (!user_page || !c.smap || c.ac) && (write || !c.wp),
        AccessKind::Execute if supervisor => execute && !(user_page && c.smep),
        AccessKind::Read => user_page,
        AccessKind::Write => user_page && write,
        AccessKind::Execute => user_page && execute,
    };
    match format {
        Format::Ia32(f) => x86(f.controls()),
        Format::Pae(f) => x86(f.controls()),
        Format::X86_64(f) => x86(f.controls()),
        Format::RiscV(f) => {
            let mode = match (supervisor, user_page) {
                (false, user_page) => user_page,
                (true, false) => true,
                (true, true) => f.controls.sum && access.kind != AccessKind::Execute,
            };
            mode && match access.kind {
                AccessKind::Read => read || (f.controls.mxr && execute),
                AccessKind::Write => write,
                AccessKind::Execute => execute,
            }
        }
        Format::Linear(_) | Format::R3000(_) => {
            (supervisor || user_page)
                && match access.kind {
                    AccessKind::Read => read,
                    AccessKind::Write => write,
                    AccessKind::Execute => execute,
                }
        }
        Format::Aarch64(f) => {
            let mine = supervisor || user_page;
            match access.kind {
                AccessKind::Read => mine && !(supervisor && user_page && f.controls().pan),
                AccessKind::Write => {
                    mine && write && !(supervisor && user_page && f.controls().pan)
                }
                AccessKind::Execute if f.controls().wxn && write && mine => false,
                AccessKind::Execute if !supervisor => execute,
                AccessKind::Execute => {
                    page.contains(Rights::EXECUTE_SUPERVISOR) && !(user_page && write)
                }
            }
        }
    }
}

/// What one access must do to memory: the entries on the way with their bits set.
fn touched(tables: &Tables, ram: &Ram, va: VirtAddr, leaf: Level, access: Access) -> Ram {
    let (accessed, dirty) = match tables.format {
        Format::RiscV(_) | Format::Linear(_) => (0x40, 0x80),
        Format::Aarch64(_) => (0x400, 0),
        Format::R3000(_) => (0x08, 0x10),
        _ => (0x20, 0x40),
    };
    let geometry = tables.format.geometry();
    let mut after = ram.clone();
    let mut table = tables.top(va);
    for level in (leaf.0..=geometry.top().0).rev().map(Level) {
        let at = PhysAddr(table.0 + geometry.level(level).index(va) * geometry.entry.bytes());
        let raw = ram.read_entry(at, geometry.entry).unwrap();
        let is_leaf = level == leaf;
        let in_register = matches!(tables.format, Format::Pae(_)) && level.0 == 2;
        let has_no_bits =
            matches!(tables.format, Format::RiscV(_) | Format::Aarch64(_) | Format::R3000(_));
        let pointer = has_no_bits && !is_leaf;
        let set = match (is_leaf, access.kind) {
            _ if in_register || pointer => 0,
            (true, AccessKind::Write) => accessed | dirty,
            _ => accessed,
        };
        // AArch64's dirty state: a store clears AP[2].
        let is_store = access.kind == AccessKind::Write;
        let clear = match tables.format {
            Format::Aarch64(_) if is_leaf && is_store => 0x80,
            _ => 0,
        };
        after.write_entry(at, geometry.entry, (raw | set) & !clear).unwrap();
        if let Entry::Table { next, .. } = tables.format.decode(level, raw) {
            table = next;
        }
    }
    after
}

fn access() -> impl Strategy<Value = Access> {
    use AccessKind::{Execute, Read, Write};
    use Privilege::{Supervisor, User};
    (prop_oneof![Just(Read), Just(Write), Just(Execute)], prop_oneof![Just(User), Just(Supervisor)])
        .prop_map(|(kind, privilege)| Access { kind, privilege })
}

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(Format::NAMES)
}

/// (address seed, level seed, leaf seed, frame) of one mapping.
type Mapping = (u64, u8, u64, u64);

fn build(format: Format, mappings: &[Mapping]) -> (Tables, Model) {
    let frame = format.geometry().base_page().bytes();
    let mut tables =
        Tables::new(format, 4 * frame, 4 * frame, (64 * 0x1000).max(16 * frame) as usize);
    let mut model = Model::new();
    let levels = leaf_levels(&format);
    for &(at, level, seed, frame) in mappings {
        if tables.full() {
            break;
        }
        let va = dense_address(&format, at);
        let level = levels[usize::from(level) % levels.len()];
        let leaf = leaf_from(&format, level, seed, frame, frame_bits(&format));
        if tables.map(va, level, leaf) {
            let page = format.geometry().level(level).page();
            assert!(model.insert(va.page_base(page).0, (page, level, leaf)).is_none());
        }
    }
    (tables, model)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// The walk finds what was mapped, refuses what was not, and touches what it must.
    #[test]
    fn walk_agrees_with_a_map(
        name in name(),
        controls: u64,
        mappings in prop::collection::vec(any::<Mapping>(), 0..24),
        accesses in prop::collection::vec((any::<u64>(), any::<bool>(), any::<u64>(), access()), 1..64),
    ) {
        let format = format_with(name, controls);
        let (mut tables, model) = build(format, &mappings);
        let root = tables.root();
        for (pick, mapped, offset, access) in accesses {
            let va = match model.iter().nth(pick as usize % model.len().max(1)) {
                Some((&base, &(page, ..))) if mapped => VirtAddr(base + offset % page.bytes()),
                _ if offset & 7 == 0 => VirtAddr(pick),
                _ => dense_address(&format, pick),
            };
            let before = tables.ram.clone();
            let result = format.walk(&mut tables.ram, &root, va, access);
            let Some((page, level, leaf)) = look_up(&model, va) else {
                let cause = result.expect_err("nothing is mapped here").cause;
                let in_space = canonical(&format, va.0) == va;
                let expected =
                    if in_space { FaultCause::NotPresent } else { FaultCause::NonCanonical };
                prop_assert_eq!(cause, expected);
                prop_assert!(tables.ram == before, "a fault leaves memory as it was");
                continue;
            };
            let rights = effective(&format, &leaf);
            let global = leaf.global && match &format {
                Format::Ia32(f) => f.controls().pge,
                Format::Pae(f) => f.controls().pge,
                Format::X86_64(f) => f.controls().pge,
                Format::RiscV(_) | Format::Aarch64(_) | Format::Linear(_) | Format::R3000(_) => {
                    true
                }
            };
            let by_software = matches!(&format, Format::Aarch64(f) if !f.controls().ha);
            if by_software && !leaf.accessed {
                let cause = result.expect_err("software must set AF").cause;
                prop_assert_eq!(cause, FaultCause::AccessedClear);
                prop_assert!(tables.ram == before, "a fault leaves memory as it was");
                continue;
            }
            if !allowed(&format, rights, access) {
                let cause = result.expect_err("the page does not allow this").cause;
                prop_assert!(matches!(cause, FaultCause::Protection | FaultCause::Privilege));
                prop_assert!(tables.ram == before, "a fault leaves memory as it was");
                continue;
            }
            let after = touched(&tables, &before, va, level, access);
            let svade = match &format {
                Format::RiscV(f) => f.controls.ad == AdUpdate::Svade,
                other => matches!(other, Format::R3000(_)),
            };
            if svade && after != before {
                let cause = result.expect_err("software must set A or D").cause;
                prop_assert!(matches!(cause, FaultCause::AccessedClear | FaultCause::DirtyClear));
                prop_assert!(tables.ram == before, "a fault leaves memory as it was");
                continue;
            }
            let got = result.expect("mapped and allowed");
            let base_shift = format.geometry().base_page().shift();
            prop_assert_eq!(got.pa.0, (leaf.pfn.0 << base_shift) + va.0 % page.bytes());
            prop_assert_eq!((got.page, got.pfn, got.global), (page, leaf.pfn, global));
            prop_assert_eq!(got.rights, rights);
            prop_assert!(tables.ram == after, "exactly these bits are set");
        }
    }

    /// What is encoded is what is decoded.
    #[test]
    fn leaves_and_payloads_round_trip(
        name in name(), controls: u64, level: u8, seed: u64, frame: u64, payload: u64,
    ) {
        let format = format_with(name, controls);
        let levels = leaf_levels(&format);
        let level = levels[usize::from(level) % levels.len()];
        let mut leaf = leaf_from(&format, level, seed, frame, frame_bits(&format));
        let raw = format.encode_leaf(level, leaf);
        let width_bits = 8 * format.geometry().entry.bytes();
        prop_assert!(width_bits == 64 || raw >> width_bits == 0);
        let asked = leaf.rights;
        leaf.rights = effective(&format, &leaf);
        match &format {
            Format::Ia32(f) => leaf.global &= f.controls().pge,
            Format::Pae(f) => leaf.global &= f.controls().pge,
            Format::X86_64(f) => leaf.global &= f.controls().pge,
            Format::RiscV(_) => (leaf.cache_disable, leaf.write_through) = (false, false),
            Format::Aarch64(_) => {}
            Format::Linear(_) | Format::R3000(_) => leaf.write_through = false,
        }
        prop_assert_eq!(format.decode(level, raw), Entry::Leaf(leaf));
        prop_assert_eq!(format.granted(&leaf, raw), leaf.rights | asked & Rights::WRITE);

        let payload = payload & ((1 << format.absent_bits()) - 1);
        let absent = format.encode_absent(payload);
        prop_assert!(width_bits == 64 || absent >> width_bits == 0);
        prop_assert_eq!(format.decode_absent(absent), payload);
        for level in 0..=format.geometry().top().0 {
            prop_assert_eq!(format.decode(Level(level), absent), Entry::NotPresent);
        }
    }

    /// Arbitrary bits for tables: no panic; dispatch per step, dispatch once and an observer
    /// all see the same walk.
    #[test]
    fn arbitrary_memory_never_panics(
        name in name(),
        controls: u64,
        words in prop::collection::vec(any::<u64>(), 512),
        table: u64,
        accesses in prop::collection::vec((any::<u64>(), access()), 1..32),
    ) {
        let format = format_with(name, controls);
        // Frames of few bits, so that pointers often stay inside memory.
        let bytes = (0..4).flat_map(|page| {
            words.iter().flat_map(move |w| (w.rotate_left(page * 7) & 0x8020_0000_0000_3fffu64).to_le_bytes())
        });
        let mut ram = Ram::new(0, 0);
        ram.bytes = bytes.collect();
        let Ok(root) = format.load_root(&ram, PhysAddr(table & 0x3fff)) else { return Ok(()) };
        for (seed, access) in accesses {
            let va = canonical(&format, seed);
            let (mut once, mut stepwise) = (ram.clone(), ram.clone());
            let mut seen = Replay { ram: ram.clone(), format, reads: 0 };
            let got = format.walk_observed(&mut ram, &root, va, access, &mut seen);
            prop_assert_eq!(format.walk(&mut once, &root, va, access), got);
            prop_assert_eq!(walk(&format, &mut stepwise, &root, va, access), got);
            prop_assert!(once == ram && stepwise == ram && seen.ram == ram);
            prop_assert!(got.is_err() || got.unwrap().reads == seen.reads);
        }
    }
}

/// Rebuilds memory from what an observer is told.
struct Replay {
    ram: Ram,
    format: Format,
    reads: u8,
}

impl WalkObserver for Replay {
    fn step(&mut self, step: &Step) {
        assert_eq!(self.format.decode(step.level, step.raw), step.entry);
        if let Some(at) = step.at {
            let width = self.format.geometry().entry;
            assert_eq!(self.ram.read_entry(at, width), Ok(step.raw));
            self.reads += 1;
        }
    }

    fn update(&mut self, at: PhysAddr, raw: u64) {
        let width = self.format.geometry().entry;
        self.ram.write_entry(at, width, raw).unwrap();
    }
}

/// A PAE root without registers (as under nested paging on AMD) walks through memory, and leaves
/// bit 5 of the PDPTE, which is reserved there, alone.
#[test]
fn pae_without_registers() {
    let pae = Format::by_name("pae").unwrap();
    let mut tables = Tables::new(pae, 0, 0x1000, 0x8000);
    let leaf = leaf_from(&pae, Level(0), 0xf, 5, 20);
    assert!(tables.map(VirtAddr(0x4000_0000), Level(0), leaf));
    let before = tables.ram.clone();
    let root = Root { registers: None, ..tables.root() };
    let va = VirtAddr(0x4000_0000);
    let got = pae.walk(&mut tables.ram, &root, va, Access::user(AccessKind::Read)).unwrap();
    assert_eq!((got.pa, got.reads, got.writes), (PhysAddr(0x5000), 3, 2));
    assert_eq!(tables.ram.bytes[0x1000..0x2000], before.bytes[0x1000..0x2000]);
}
