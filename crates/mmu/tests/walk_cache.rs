//! Walk caches: what a walk reads that starts in its middle, and what makes it start at the root
//! again.

mod sparse;

use pagewalk_mmu::radix::{Format, Leaf, Radix};
use pagewalk_mmu::tlb::Globals;
use pagewalk_mmu::{
    Access, AccessKind, Asid, FaultCause, Level, Mmu, Pfn, PhysAddr, Rights, TableMemory, Tables,
    VirtAddr, WalkCacheConfig,
};
use proptest::prelude::*;
use sparse::{Builder, Sparse};

const PAGE: u64 = 1 << 12;
const MIB2: u64 = 1 << 21;
const GIB: u64 = 1 << 30;
const GIB512: u64 = 1 << 39;

/// Two x86-64 spaces, of ASIDs 1 and 2, with a page at each of these addresses, and no TLB.
struct World {
    mmu: Mmu,
    memory: Sparse,
    builder: Builder,
    roots: [PhysAddr; 2],
}

const PAGES: [u64; 6] = [0, PAGE, MIB2, GIB, GIB512, GIB512 + GIB];

impl World {
    fn new(cache: &str) -> Self {
        let format = Format::by_name("x86-64").expect("a format");
        let mut builder = Builder::new(format);
        let roots = [builder.table(), builder.table()];
        for (root, va) in roots.iter().flat_map(|root| PAGES.map(|va| (*root, va))) {
            let at = builder.entry(root, VirtAddr(va), Level(0)).expect("base pages only");
            let leaf = Leaf {
                pfn: Pfn(va >> 12),
                rights: Rights::READ | Rights::WRITE | Rights::EXECUTE | Rights::USER,
                global: false,
                accessed: false,
                dirty: false,
                cache_disable: false,
                write_through: false,
            };
            builder.put(at, format.encode_leaf(Level(0), leaf));
        }
        let config = WalkCacheConfig::parse(cache).expect("a good description");
        let mmu = Mmu::new(Tables::Radix(format), None).with_walk_cache(config);
        let memory = builder.memory.clone();
        let mut world = Self { mmu: mmu.expect("four levels"), memory, builder, roots };
        world.switch(1);
        world
    }

    fn switch(&mut self, asid: u16) {
        let root = self.roots[usize::from(asid) - 1];
        self.mmu.load_root(Asid(asid), root, &self.memory).expect("a good root");
    }

    /// How many entries the load of `va` reads, and why it faults.
    fn load(&mut self, va: u64) -> (u64, Option<FaultCause>) {
        self.access(va, AccessKind::Read)
    }

    fn access(&mut self, va: u64, kind: AccessKind) -> (u64, Option<FaultCause>) {
        let counters = *self.mmu.counters();
        let now = counters.walks.total() + 1;
        let result = self.mmu.translate(&mut self.memory, VirtAddr(va), Access::user(kind), now);
        (self.mmu.counters().walk_reads - counters.walk_reads, result.err().map(|f| f.cause))
    }

    /// Where the entry of `level` for `va` is in the first space.
    fn entry(&mut self, va: u64, level: u8) -> PhysAddr {
        self.builder.entry(self.roots[0], VirtAddr(va), Level(level)).expect("no large page")
    }
}

#[test]
fn a_walk_starts_at_the_deepest_table_known() {
    let mut world = World::new("l1=4,l2=4,l3=4");
    assert_eq!(world.load(0), (4, None));
    // Its neighbour needs the PTE alone, a page of another table the PDE too, and so on.
    assert_eq!(world.load(PAGE), (1, None));
    assert_eq!(world.load(MIB2), (2, None));
    assert_eq!(world.load(GIB), (3, None));
    assert_eq!(world.load(GIB512), (4, None));
    assert_eq!(world.load(GIB512 + GIB), (3, None));
    assert_eq!(world.mmu.counters().walk_cache_hits, [1, 1, 2, 0]);
    assert_eq!(world.mmu.counters().walks.total(), 6);
}

#[test]
fn each_level_has_its_own_entries_or_all_share_them() {
    // Without PDEs every walk that hits reads the PDE and the PTE at least.
    let mut world = World::new("l2=1");
    assert_eq!(PAGES.map(|va| world.load(va).0), [4, 2, 2, 4, 4, 4]);
    assert_eq!(world.load(GIB512 + GIB), (2, None));
    // A walk fills all three entries. Only the one that a walk starts from is used: so the PML4E
    // makes room for the second PDE, and the fourth walk has nowhere to start from.
    let mut world = World::new("all=3");
    assert_eq!(PAGES.map(|va| world.load(va).0), [4, 1, 2, 4, 4, 3]);
}

#[test]
fn an_invalidation_of_any_page_drops_all_that_the_space_has() {
    let mut world = World::new("l1=4,l2=4,l3=4");
    for flush in [
        |mmu: &mut Mmu| mmu.flush_page(VirtAddr(GIB512), Some(Asid(1)), Globals::Keep),
        |mmu: &mut Mmu| mmu.flush_asid(Asid(1)),
    ] {
        for asid in [1, 2] {
            world.switch(asid);
            world.load(0);
            assert_eq!(world.load(PAGE), (1, None));
        }
        flush(&mut world.mmu);
        assert_eq!(world.load(PAGE), (1, None));
        world.switch(1);
        assert_eq!(world.load(PAGE), (4, None));
    }
    for flush in [Mmu::flush_all, Mmu::flush_non_global] {
        flush(&mut world.mmu);
        assert_eq!(world.mmu.walk_cache().map(|cache| cache.pointers().count()), Some(0));
    }
}

#[test]
fn a_fault_drops_the_path_and_is_not_cached() {
    let mut world = World::new("l1=4,l2=4,l3=4");
    // Nothing there: the tables down to it are read, and not kept.
    assert_eq!(world.load(2 * PAGE), (4, Some(FaultCause::NotPresent)));
    assert_eq!(world.load(0), (4, None));
    // A path known: one entry tells that nothing is there, and the path goes.
    assert_eq!(world.load(2 * PAGE), (1, Some(FaultCause::NotPresent)));
    assert_eq!(world.load(0), (4, None));
    assert_eq!(world.mmu.counters().faults, 2);
}

#[test]
fn rights_given_without_an_invalidation_are_found() {
    let mut world = World::new("l1=4,l2=4,l3=4");
    let pde = world.entry(0, 1);
    let width = world.builder.format.geometry().entry;
    let raw = world.memory.read_entry(pde, width).expect("memory");
    const RW: u64 = 2;
    world.memory.write_entry(pde, width, raw & !RW).expect("memory");
    assert_eq!(world.load(0), (4, None));
    // The fault is found by the PTE and what the cache says, then by all four entries.
    assert_eq!(world.access(0, AccessKind::Write), (5, Some(FaultCause::Protection)));
    assert_eq!(world.load(0), (4, None));
    world.memory.write_entry(pde, width, raw).expect("memory");
    assert_eq!(world.access(0, AccessKind::Write), (5, None));
    assert_eq!(world.access(PAGE, AccessKind::Write), (1, None));
}

#[test]
fn descriptions_read_back_and_errors_name_the_part() {
    for text in ["l1=1x32:lru", "l1=8x4:plru,l2=1x4:fifo,l3=1x2:random:7", "all=1x24:lru"] {
        assert_eq!(WalkCacheConfig::parse(text).expect(text).to_string(), text);
    }
    for (text, part, hint) in [
        ("", "", "l1=32"),
        ("l0=4", "l0=4", "l1=32"),
        ("l1", "l1", "l1=32"),
        ("l1=4,l1=4", "l1=4", "given twice"),
        ("l1=4,all=4", "all=4", "given twice"),
        ("all=4,l2=4", "l2=4", "given twice"),
        ("l1=3x4", "l1=3x4", "power of two"),
        ("l1=0", "l1=0", "1 to 4096"),
        ("l2=1x4@4K", "l2=1x4@4K", "page sizes"),
    ] {
        let error = WalkCacheConfig::parse(text).expect_err(text);
        assert_eq!(error.part, part, "{text}");
        assert!(error.to_string().contains(hint), "{text}: {error}");
    }
}

#[test]
fn page_tables_have_the_levels_that_a_cache_is_for() {
    for (format, text, part, hint) in [
        ("sv39", "l1=4,l3=4", "l3", "levels 1 to 2"),
        ("ia32", "l2=4", "l2", "give l1 or all"),
        ("linear", "all=4", "all", "one level"),
        ("hashed", "l1=4", "l1=1x4:lru", "no tree"),
    ] {
        let tables = Tables::by_name(format, 1024).expect("tables");
        let config = WalkCacheConfig::parse(text).expect("a good description");
        let error = Mmu::new(tables, None).with_walk_cache(config).expect_err(format);
        assert_eq!(error.part, part, "{format}");
        assert!(error.to_string().contains(hint), "{format}: {error}");
    }
}

proptest! {
    #[test]
    fn no_description_panics(text in "[l0-9alx=,:@KM]{0,20}") {
        if let Ok(config) = WalkCacheConfig::parse(&text) {
            prop_assert_eq!(WalkCacheConfig::parse(&config.to_string()), Ok(config));
        }
    }
}
