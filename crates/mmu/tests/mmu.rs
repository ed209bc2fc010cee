//! An MMU with a TLB against the bare walker: whatever software does to the page table, as long as
//! it invalidates what it narrows, both give the same answers and leave the same memory.

mod sparse;

use pagewalk_mmu::radix::{
    Aarch64, Aarch64Controls, AdUpdate, Entry, Format, Granule, Leaf, Radix, RiscV, RiscVControls,
    Root, Scheme, Touch,
};
use pagewalk_mmu::tlb::{Globals, Side, TlbConfig};
use pagewalk_mmu::{
    Access, AccessKind, Asid, FaultCause, Level, Mmu, MmuCounters, Pfn, PhysAddr, Privilege,
    Rights, Source, TableMemory, Tables, VirtAddr, WalkCacheConfig,
};
use proptest::prelude::*;
use sparse::{Builder, Sparse};

/// A page of the test's address spaces.
#[derive(Clone, Copy, Debug)]
struct Page {
    va: VirtAddr,
    level: Level,
    global: bool,
    /// Where its leaf lies in each space; the same place if it is global.
    leaf: [PhysAddr; 2],
}

/// Two address spaces with the same layout: base pages, large pages, and an upper half that they
/// share, of global pages.
struct World {
    format: Format,
    roots: [PhysAddr; 2],
    /// The table of the upper half, where it has a base register of its own.
    upper: Option<PhysAddr>,
    pages: Vec<Page>,
    memory: Sparse,
}

const BASE_PAGES: u64 = 6;
const LARGE_PAGES: u64 = 3;

impl World {
    fn new(format: Format) -> Self {
        let mut builder = Builder::new(format);
        let roots = [builder.table(), builder.table()];
        let geometry = *format.geometry();
        let upper_start = match geometry.va_bits {
            32 => 1 << 31,
            bits => u64::MAX << (bits - 1),
        };
        let upper = matches!(format, Format::Aarch64(_)).then(|| builder.table());
        let mut pages = Vec::new();
        for (start, global) in [(0, false), (upper_start, true)] {
            let layout = layout(start, &format);
            let roots = upper.filter(|_| global).map_or(roots, |upper| [upper; 2]);
            if global {
                share(&mut builder, roots, layout[0].0);
            }
            for (va, level) in layout {
                // Two spaces cannot share a leaf that lies in the top table.
                if global && level == geometry.top() {
                    continue;
                }
                let leaf = roots.map(|root| builder.entry(root, va, level).expect("free"));
                assert_eq!(leaf[0] == leaf[1], global);
                pages.push(Page { va, level, global, leaf });
            }
        }
        Self { format, roots, upper, pages, memory: builder.memory }
    }

    fn leaf(&self, page: &Page, space: usize, number: u64, rights: Rights) -> u64 {
        let geometry = self.format.geometry();
        let order = geometry.level(page.level).shift - geometry.base_page().shift();
        let pfn = Pfn((number + 16 * space as u64) << order);
        let leaf = Leaf {
            pfn,
            rights,
            global: page.global,
            accessed: false,
            dirty: false,
            cache_disable: false,
            write_through: false,
        };
        self.format.encode_leaf(page.level, leaf)
    }
}

/// Base pages in the second large page's range from `start`, large pages behind them.
fn layout(start: u64, format: &Format) -> Vec<(VirtAddr, Level)> {
    let [base, large] = [0, 1].map(|level| format.geometry().level(Level(level)).page().bytes());
    let small = (0..BASE_PAGES).map(|n| (VirtAddr(start + large + n * base), Level(0)));
    let large = (0..LARGE_PAGES).map(|n| (VirtAddr(start + (2 + n) * large), Level(1)));
    small.chain(large).collect()
}

/// Makes both roots point to one table for the addresses around `va`. Its accessed bit is set
/// beforehand, because a global entry of the TLB spares the second space a walk.
fn share(builder: &mut Builder, roots: [PhysAddr; 2], va: VirtAddr) {
    let top = builder.format.geometry().top();
    let [first, second] = roots.map(|root| builder.entry(root, va, top).expect("a root"));
    let table = builder.table();
    let raw = builder.format.encode_table(top, table);
    let access = Access::supervisor(AccessKind::Read);
    let raw = match builder.format.touch(raw, false, access) {
        Touch::Write(touched) if builder.format.has_accessed_bit(top, false) => touched,
        _ => raw,
    };
    builder.put(first, raw);
    builder.put(second, raw);
}

#[derive(Clone, Debug)]
enum Op {
    Access {
        space: usize,
        page: usize,
        offset: u64,
        access: Access,
    },
    /// An address that no table maps.
    Wild {
        va: u64,
        access: Access,
    },
    /// Makes an absent page present. Nothing is invalidated.
    Map {
        space: usize,
        page: usize,
        number: u64,
        rights: Rights,
    },
    /// Gives a page all rights except USER (which takes some from the supervisor), and sets its
    /// dirty bit. Nothing is invalidated.
    Widen {
        space: usize,
        page: usize,
        dirty: bool,
    },
    /// Takes rights away, clears bits, moves or removes the page, and invalidates.
    Narrow {
        space: usize,
        page: usize,
        change: Change,
        flush: Flush,
    },
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Remove,
    Rights(Rights),
    Move(u64),
    ClearAccessedAndDirty,
}

#[derive(Clone, Copy, Debug)]
enum Flush {
    Page,
    PageEverywhere,
    Space,
    All,
}

/// The MMU under test and its memory, and the memory of the bare walker.
struct Twins {
    world: World,
    mmu: Mmu,
    walked: Sparse,
    space: Option<usize>,
    now: u64,
}

impl Twins {
    fn new(format: Format, tlb: Option<&str>) -> Self {
        Self::with_walk_cache(format, tlb, None)
    }

    fn with_walk_cache(format: Format, tlb: Option<&str>, walk_cache: Option<&str>) -> Self {
        let world = World::new(format);
        let config = tlb.map(|text| TlbConfig::parse(text).expect("a good description"));
        let walked = world.memory.clone();
        let mut mmu = Mmu::new(Tables::Radix(format), config);
        if let Some(text) = walk_cache {
            let config = WalkCacheConfig::parse(text).expect("a good description");
            mmu = mmu.with_walk_cache(config).expect("levels that the format has");
        }
        if let Some(upper) = world.upper {
            mmu.load_upper_root(upper, &world.memory).expect("a good root");
        }
        Self { world, mmu, walked, space: None, now: 0 }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Access { space, page, offset, access } => {
                self.switch(space);
                let page = &self.world.pages[page % self.world.pages.len()];
                let bytes = self.world.format.geometry().level(page.level).page().bytes();
                self.access(VirtAddr(page.va.0 + offset % bytes), access);
            }
            Op::Wild { va, access } => {
                self.switch(0);
                self.access(VirtAddr(va), access);
            }
            Op::Map { space, page, number, rights } => {
                let page = self.page(page);
                if self.raw(&page, space) == 0 {
                    let raw = self.world.leaf(&page, space, number, rights);
                    self.put(&page, space, raw);
                }
            }
            Op::Widen { space, page, dirty } => {
                let page = self.page(page);
                self.edit(&page, space, |leaf| {
                    // What EL0 may write, EL1 may not execute (AArch64).
                    let both = Rights::USER | Rights::EXECUTE_SUPERVISOR;
                    let kept = if leaf.rights.contains(both) { Rights::WRITE } else { both };
                    leaf.rights |= Rights::all() - Rights::USER - kept;
                    leaf.dirty |= dirty;
                });
            }
            Op::Narrow { space, page, change, flush } => {
                let page = self.page(page);
                self.narrow(&page, space, change);
                self.flush(&page, space, flush);
            }
        }
        assert_eq!(self.world.memory, self.walked, "after {op:?}");
    }

    fn switch(&mut self, space: usize) {
        if self.space != Some(space) {
            let root = self.world.roots[space];
            let asid = Asid(space as u16 + 1);
            self.mmu.load_root(asid, root, &self.world.memory).expect("a good root");
            self.space = Some(space);
        }
    }

    fn access(&mut self, va: VirtAddr, access: Access) {
        self.now += 1;
        let expected = self.world.format.walk(&mut self.walked, self.mmu.root(), va, access);
        let hit = self.mmu.translate(&mut self.world.memory, va, access, self.now);
        match (hit, expected) {
            (Ok(hit), Ok(walk)) => {
                assert_eq!(hit.pa, walk.pa, "{va} {access:?} {:?}", hit.source);
                assert_eq!(hit.page, walk.page);
                let side = Side::of(access.kind);
                let tlb = self.mmu.tlb();
                if let Some(held) = tlb.zip(hit.slot).map(|(tlb, slot)| tlb.entry(side, slot)) {
                    let held = held.expect("a hit's slot holds the entry");
                    assert_eq!((held.pfn, held.page), (walk.pfn, walk.page));
                    assert_eq!(held.global, walk.global);
                    // A cached entry may allow less than the table does by now, never more.
                    assert!(walk.rights.contains(held.rights));
                    assert!(walk.dirty || !held.dirty);
                    assert!(held.allowed.contains(access));
                }
            }
            (hit, expected) => assert_eq!(hit.err(), expected.err(), "{va} {access:?}"),
        }
    }

    fn page(&self, page: usize) -> Page {
        self.world.pages[page % self.world.pages.len()]
    }

    fn raw(&self, page: &Page, space: usize) -> u64 {
        let width = self.world.format.geometry().entry;
        self.world.memory.read_entry(page.leaf[space], width).expect("memory everywhere")
    }

    fn put(&mut self, page: &Page, space: usize, raw: u64) {
        let width = self.world.format.geometry().entry;
        for memory in [&mut self.world.memory, &mut self.walked] {
            memory.write_entry(page.leaf[space], width, raw).expect("memory everywhere");
        }
    }

    fn edit(&mut self, page: &Page, space: usize, edit: impl FnOnce(&mut Leaf)) {
        let raw = self.raw(page, space);
        if let Entry::Leaf(mut leaf) = self.world.format.decode(page.level, raw) {
            edit(&mut leaf);
            self.put(page, space, self.world.format.encode_leaf(page.level, leaf));
        }
    }

    fn narrow(&mut self, page: &Page, space: usize, change: Change) {
        let geometry = self.world.format.geometry();
        let order = geometry.level(page.level).shift - geometry.base_page().shift();
        match change {
            Change::Remove => self.put(page, space, 0),
            Change::Rights(rights) => self.edit(page, space, |leaf| leaf.rights = rights),
            Change::Move(number) => {
                self.edit(page, space, |leaf| leaf.pfn = Pfn(number << order));
            }
            Change::ClearAccessedAndDirty => self.edit(page, space, |leaf| {
                leaf.accessed = false;
                leaf.dirty = false;
            }),
        }
    }

    fn flush(&mut self, page: &Page, space: usize, flush: Flush) {
        let asid = Asid(space as u16 + 1);
        match flush {
            Flush::Page if !page.global => {
                self.mmu.flush_page(page.va, Some(asid), Globals::Keep);
            }
            Flush::Page => self.mmu.flush_page(page.va, Some(asid), Globals::Drop),
            Flush::PageEverywhere => self.mmu.flush_page(page.va, None, Globals::Drop),
            Flush::Space if !page.global => self.mmu.flush_asid(asid),
            Flush::Space | Flush::All => self.mmu.flush_all(),
        }
    }
}

fn check_counters(counters: &MmuCounters, has_l2: bool) {
    let MmuCounters { l1_misses, l2_hits, l2_misses, walks, .. } = *counters;
    for (l1_misses, l2_hits, l2_misses, walks) in [
        (l1_misses.fetches, l2_hits.fetches, l2_misses.fetches, walks.fetches),
        (l1_misses.loads, l2_hits.loads, l2_misses.loads, walks.loads),
        (l1_misses.stores, l2_hits.stores, l2_misses.stores, walks.stores),
    ] {
        if has_l2 {
            assert_eq!(l1_misses, l2_hits + l2_misses);
            assert_eq!(walks, l2_misses);
        } else {
            assert_eq!((l2_hits, l2_misses), (0, 0));
            assert_eq!(walks, l1_misses);
        }
    }
    assert!(counters.faults <= walks.total() && counters.rewalks <= walks.total());
}

fn formats() -> Vec<Format> {
    let svade = RiscVControls { ad: AdUpdate::Svade, ..RiscVControls::default() };
    let named = Format::NAMES.iter().filter_map(|name| Format::by_name(name));
    let by_software = [false, true].map(|ha| {
        let controls = Aarch64Controls { ha, hd: false, ..Aarch64Controls::default() };
        Format::Aarch64(Aarch64::new(Granule::Kib4, controls))
    });
    named.chain([Format::RiscV(RiscV::new(Scheme::Sv39, svade))]).chain(by_software).collect()
}

fn rights() -> impl Strategy<Value = Rights> {
    (0..16u8).prop_map(|bits| Rights::from_bits_truncate(bits << 1) | Rights::READ)
}

fn access() -> impl Strategy<Value = Access> {
    let kinds = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];
    (0..3usize, 0..4u8).prop_map(move |(kind, privilege)| {
        let privilege = if privilege == 0 { Privilege::Supervisor } else { Privilege::User };
        Access { kind: kinds[kind], privilege }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let at = (0..2usize, 0..64usize);
    let change = prop_oneof![
        Just(Change::Remove),
        rights().prop_map(Change::Rights),
        (0..16u64).prop_map(Change::Move),
        Just(Change::ClearAccessedAndDirty),
    ];
    let flush = prop_oneof![
        4 => Just(Flush::Page),
        2 => Just(Flush::PageEverywhere),
        1 => Just(Flush::Space),
        1 => Just(Flush::All),
    ];
    prop_oneof![
        12 => (at.clone(), any::<u64>(), access()).prop_map(|((space, page), offset, access)| {
            Op::Access { space, page, offset, access }
        }),
        1 => (any::<u64>(), access()).prop_map(|(va, access)| Op::Wild { va, access }),
        4 => (at.clone(), 0..16u64, rights()).prop_map(|((space, page), number, rights)| {
            Op::Map { space, page, number, rights }
        }),
        2 => (at.clone(), any::<bool>())
            .prop_map(|((space, page), dirty)| Op::Widen { space, page, dirty }),
        2 => (at, change, flush).prop_map(|((space, page), change, flush)| {
            Op::Narrow { space, page, change, flush }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tlb_changes_nothing_but_the_cost(ops in prop::collection::vec(op(), 1..250)) {
        let tlbs = ["l1i=2x2,l1d=2x2:plru,l2=4x4", "l1=1x4:fifo", "64", "l1=2x4:random,untagged"];
        for format in formats() {
            for tlb in tlbs {
                let mut twins = Twins::new(format, Some(tlb));
                ops.iter().for_each(|op| twins.run(op));
                check_counters(twins.mmu.counters(), tlb.contains("l2"));
            }
            let mut twins = Twins::new(format, None);
            ops.iter().for_each(|op| twins.run(op));
            prop_assert_eq!(twins.mmu.counters().l1_misses.total(), 0);
            prop_assert_eq!(twins.mmu.counters().walks.total(), twins.now);
        }
    }
}

impl Twins {
    /// Every pointer that the walk cache holds is in the tables.
    fn check_pointers(&self) {
        let geometry = *self.world.format.geometry();
        for held in self.mmu.walk_cache().into_iter().flat_map(|cache| cache.pointers()) {
            let root = Root {
                table: self.world.roots[usize::from(held.asid.0) - 1],
                upper: self.world.upper,
                registers: None,
            };
            let mut table = self.world.format.top_table(&root, held.va).expect("a table");
            for level in (held.level.0 + 1..=geometry.top().0).rev().map(Level) {
                let index = geometry.level(level).index(held.va);
                let at = PhysAddr(table.0 + index * geometry.entry.bytes());
                let raw = self.world.memory.read_entry(at, geometry.entry).expect("memory");
                match self.world.format.decode(level, raw) {
                    Entry::Table { next, .. } => table = next,
                    other => panic!("{held:?} is stale: {other:?}"),
                }
            }
            assert_eq!(table, held.table, "{held:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_walk_cache_changes_nothing_but_the_cost(ops in prop::collection::vec(op(), 1..200)) {
        for format in formats() {
            let caches: &[&str] = match format.geometry().top().0 {
                0 => continue,
                1 => &["l1=1", "all=2x1:fifo"],
                _ => &["l1=2x2,l2=1", "l2=2", "all=3"],
            };
            for (&cache, tlb) in caches.iter().zip([Some("2"), None, Some("l1=1x2,untagged")]) {
                let mut twins = Twins::with_walk_cache(format, tlb, Some(cache));
                let mut bare = Twins::new(format, tlb);
                for op in &ops {
                    twins.run(op);
                    twins.check_pointers();
                    bare.run(op);
                }
                let [with, without] = [&twins, &bare].map(|twins| *twins.mmu.counters());
                prop_assert_eq!(with.walks, without.walks);
                prop_assert_eq!(with.faults, without.faults);
                prop_assert_eq!(with.walk_writes, without.walk_writes);
                let hits: u64 = with.walk_cache_hits.iter().sum();
                prop_assert!(hits <= with.walks.total());
            }
        }
    }
}

/// One user page of `rights` under x86-64.
fn one_page(tlb: &str, rights: Rights) -> (Twins, Page) {
    let mut twins = Twins::new(Format::by_name("x86-64").unwrap(), Some(tlb));
    let page = twins.page(0);
    let raw = twins.world.leaf(&page, 0, 7, rights);
    twins.put(&page, 0, raw);
    twins.switch(0);
    (twins, page)
}

impl Twins {
    fn user(&mut self, va: VirtAddr, kind: AccessKind) -> Result<Source, FaultCause> {
        self.now += 1;
        let hit = self.mmu.translate(&mut self.world.memory, va, Access::user(kind), self.now);
        hit.map(|hit| hit.source).map_err(|fault| fault.cause)
    }
}

#[test]
fn a_load_a_store_and_a_fetch_are_counted_each_for_itself() {
    let (mut twins, page) = one_page("l1i=1x4,l1d=1x4,l2=4x4", Rights::all());
    assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::Walk));
    assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::L1));
    // The entry's dirty bit is clear: the walk that sets it is made although the TLB hits.
    assert_eq!(twins.user(page.va, AccessKind::Write), Ok(Source::Walk));
    assert_eq!(twins.user(page.va, AccessKind::Write), Ok(Source::L1));
    assert_eq!(twins.user(page.va, AccessKind::Execute), Ok(Source::L2));
    let counters = *twins.mmu.counters();
    let kinds = |counts: pagewalk_mmu::KindCounts| (counts.fetches, counts.loads, counts.stores);
    assert_eq!(kinds(counters.l1_misses), (1, 1, 1));
    assert_eq!(kinds(counters.l2_hits), (1, 0, 0));
    assert_eq!(kinds(counters.l2_misses), (0, 1, 1));
    assert_eq!(kinds(counters.walks), (0, 1, 1));
    // Four levels twice; accessed bits of four entries, then the dirty bit of one.
    assert_eq!((counters.walk_reads, counters.walk_writes), (8, 5));
    assert_eq!((counters.rewalks, counters.faults), (1, 0));
}

#[test]
fn software_may_widen_without_an_invalidation() {
    let (mut twins, page) = one_page("64", Rights::READ | Rights::USER);
    assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::Walk));
    assert_eq!(twins.user(page.va, AccessKind::Write), Err(FaultCause::Protection));
    // The fault dropped the entry, and was not cached itself.
    assert_eq!(twins.mmu.tlb().unwrap().entries().count(), 0);
    assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::Walk));
    twins.edit(&page, 0, |leaf| leaf.rights |= Rights::WRITE);
    assert_eq!(twins.user(page.va, AccessKind::Write), Ok(Source::Walk));
    assert_eq!(twins.user(page.va, AccessKind::Write), Ok(Source::L1));
    assert_eq!((twins.mmu.counters().rewalks, twins.mmu.counters().faults), (2, 1));
}

#[test]
fn what_was_not_found_is_looked_for_again_once_it_may_be_there() {
    let (mut twins, page) = one_page("l1i=1x4,l1d=1x4,l2=4x4", Rights::all());
    let raw = twins.world.leaf(&page, 0, 7, Rights::all());
    twins.put(&page, 0, 0);
    assert_eq!(twins.user(page.va, AccessKind::Read), Err(FaultCause::NotPresent));
    twins.put(&page, 0, raw);
    // Somebody else brings the entry to the other side and to the second level meanwhile.
    assert_eq!(twins.user(page.va, AccessKind::Execute), Ok(Source::Walk));
    assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::L2));
    assert_eq!(twins.mmu.counters().l2_misses.total(), 2);

    let (mut twins, page) = one_page("64", Rights::all());
    twins.put(&page, 0, 0);
    assert_eq!(twins.user(page.va, AccessKind::Write), Err(FaultCause::NotPresent));
    twins.put(&page, 0, raw);
    assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::Walk));
    // The entry that the load filled is found, and refuses the store.
    assert_eq!(twins.user(page.va, AccessKind::Write), Ok(Source::Walk));
    assert_eq!((twins.mmu.counters().rewalks, twins.mmu.counters().faults), (1, 1));
}

#[test]
fn a_faulting_walk_is_counted_with_what_it_read() {
    let (mut twins, page) = one_page("64", Rights::all());
    twins.put(&page, 0, 0);
    assert_eq!(twins.user(page.va, AccessKind::Read), Err(FaultCause::NotPresent));
    let counters = twins.mmu.counters();
    assert_eq!((counters.walks.loads, counters.faults), (1, 1));
    assert_eq!((counters.walk_reads, counters.walk_writes), (4, 0));
}

#[test]
fn loading_the_root_empties_an_untagged_tlb_alone() {
    for (tlb, kept) in [("l1=1x64,untagged", 0), ("l1=1x64", 1)] {
        let (mut twins, page) = one_page(tlb, Rights::all());
        assert_eq!(twins.user(page.va, AccessKind::Read), Ok(Source::Walk));
        twins.switch(1);
        assert_eq!(twins.mmu.tlb().unwrap().entries().count(), kept);
        assert_eq!(twins.mmu.counters().entries_flushed, 1 - kept as u64);
        assert_eq!(twins.user(page.va, AccessKind::Read), Err(FaultCause::NotPresent));
    }
}

#[test]
fn a_refused_root_changes_nothing() {
    let format = Format::by_name("pae").unwrap();
    let mut twins = Twins::new(format, Some("l1=1x64,untagged"));
    twins.switch(0);
    let (root, asid) = (*twins.mmu.root(), twins.mmu.asid());
    let mut builder = Builder::new(format);
    let bad = builder.table();
    // Bit 1 of a PDPTE is reserved.
    builder.put(bad, builder.format.encode_table(Level(2), PhysAddr(0x1000)) | 2);
    assert_eq!(twins.mmu.load_root(Asid(9), bad, &builder.memory), Err(FaultCause::Reserved));
    assert_eq!((*twins.mmu.root(), twins.mmu.asid()), (root, asid));
    assert_eq!(twins.mmu.counters().root_loads, 1);
}
