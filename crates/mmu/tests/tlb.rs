//! What a TLB may answer: address spaces, global pages, page sizes, two levels, invalidation.

use pagewalk_mmu::tlb::{
    ASID_BITS_MAX, Allowed, ArrayConfig, Arrays, Dropped, Globals, LevelConfig, Lookup, PageSizes,
    Place, Replacement, Side, Slot, Tlb, TlbConfig, TlbEntry,
};
use pagewalk_mmu::{Asid, PageSize, Pfn, Rights, Vpn};
use proptest::prelude::*;

const BASE: PageSize = PageSize::from_shift(12);
const LARGE: PageSize = PageSize::from_shift(21);
const QUAD: PageSize = PageSize::from_shift(22);
const HUGE: PageSize = PageSize::from_shift(30);
const ONE: Asid = Asid(1);
const TWO: Asid = Asid(2);
/// The first level, where both sides share it.
const L1: Place = Place { level: 1, side: None };

fn tlb(text: &str) -> Tlb {
    Tlb::new(TlbConfig::parse(text).expect("a good description"), BASE)
}

fn entry(vpn: u64, asid: Asid) -> TlbEntry {
    TlbEntry {
        vpn: Vpn(vpn),
        page: BASE,
        asid,
        global: false,
        pfn: Pfn(vpn ^ 0x5000),
        rights: Rights::all(),
        dirty: false,
        allowed: Allowed::ALL.without_stores(),
    }
}

fn global(vpn: u64) -> TlbEntry {
    TlbEntry { global: true, ..entry(vpn, ONE) }
}

fn sized(vpn: u64, page: PageSize) -> TlbEntry {
    TlbEntry { page, ..entry(vpn, ONE) }
}

fn gone(side: Option<Side>, slot: Slot, entry: TlbEntry) -> Dropped {
    Dropped::Entry { side, slot, va: entry.vpn.base(BASE), page: entry.page }
}

fn found(tlb: &mut Tlb, side: Side, vpn: u64, asid: Asid) -> Option<TlbEntry> {
    match tlb.lookup(side, Vpn(vpn), asid, 1000) {
        Lookup::L1 { entry, .. } | Lookup::L2 { entry, .. } => Some(entry),
        Lookup::Miss => None,
    }
}

fn data(tlb: &mut Tlb, vpn: u64, asid: Asid) -> Option<TlbEntry> {
    found(tlb, Side::Data, vpn, asid)
}

#[test]
fn an_entry_serves_its_address_space_and_a_global_one_serves_all() {
    let mut tlb = tlb("64");
    tlb.fill(Side::Data, entry(5, ONE), 1);
    tlb.fill(Side::Data, entry(5, TWO), 2);
    tlb.fill(Side::Data, global(6), 3);
    assert_eq!(data(&mut tlb, 5, ONE), Some(entry(5, ONE)));
    assert_eq!(data(&mut tlb, 5, TWO), Some(entry(5, TWO)));
    assert_eq!(data(&mut tlb, 5, Asid(3)), None);
    assert_eq!(data(&mut tlb, 6, Asid(3)), Some(global(6)));
}

#[test]
fn without_tags_an_entry_serves_whoever_runs() {
    let mut tlb = tlb("l1=1x64,untagged");
    tlb.fill(Side::Data, entry(5, ONE), 1);
    assert_eq!(data(&mut tlb, 5, TWO), Some(entry(5, ONE)));
    assert_eq!(tlb.flush_asid(TWO), 1);
}

#[test]
fn a_new_entry_replaces_what_it_contradicts() {
    let mut tlb = tlb("64");
    tlb.fill(Side::Data, entry(5, ONE), 1);
    tlb.fill(Side::Data, entry(5, TWO), 2);
    let old = TlbEntry { pfn: Pfn(1), ..global(5) };
    tlb.fill(Side::Data, old, 3);
    assert_eq!(tlb.entries().collect::<Vec<_>>(), [(L1, old)]);
    assert_eq!(tlb.take_dropped().count(), 2);
    tlb.fill(Side::Data, entry(5, ONE), 4);
    assert_eq!(tlb.entries().collect::<Vec<_>>(), [(L1, entry(5, ONE))]);
}

#[test]
fn a_space_that_was_flushed_is_flushed_again_once_it_has_entries() {
    let mut tlb = tlb("l1i=1x4,l1d=1x4,l2=4x2");
    for now in 0..3 {
        tlb.fill(Side::Data, entry(5, ONE), now);
        tlb.fill(Side::Data, entry(6, TWO), now);
        assert_eq!(tlb.flush_asid(ONE), 2);
        assert_eq!(tlb.flush_asid(ONE), 0);
    }
    assert_eq!(tlb.flush_asid(TWO), 2);
    tlb.fill_slot(Side::Data, Slot(0), entry(5, TWO));
    assert_eq!(tlb.flush_asid(TWO), 1);
}

#[test]
fn the_sides_are_apart_unless_unified() {
    let mut split = tlb("l1i=1x4,l1d=1x4");
    split.fill(Side::Instruction, entry(5, ONE), 1);
    assert_eq!(found(&mut split, Side::Instruction, 5, ONE), Some(entry(5, ONE)));
    assert_eq!(data(&mut split, 5, ONE), None);

    let mut unified = tlb("4");
    let slot = unified.fill(Side::Instruction, entry(5, ONE), 1).unwrap();
    let hit = unified.lookup(Side::Data, Vpn(5), ONE, 9);
    assert_eq!(hit, Lookup::L1 { slot, entry: entry(5, ONE) });
    assert_eq!(unified.stamps_mut(Side::Instruction), [9, 0, 0, 0]);
}

#[test]
fn a_second_level_hit_fills_the_first_level_that_missed() {
    let mut tlb = tlb("l1i=1x1,l1d=1x1,l2=4x2");
    tlb.fill(Side::Data, entry(5, ONE), 1);
    tlb.fill(Side::Data, entry(6, ONE), 2);
    let hit = Lookup::L2 { slot: Some(Slot(0)), entry: entry(5, ONE) };
    assert_eq!(tlb.lookup(Side::Data, Vpn(5), ONE, 3), hit);
    assert_eq!(tlb.lookup(Side::Instruction, Vpn(5), ONE, 4), hit);
    let again = Lookup::L1 { slot: Slot(0), entry: entry(5, ONE) };
    assert_eq!(tlb.lookup(Side::Data, Vpn(5), ONE, 5), again);
    let dropped = |entry| gone(Some(Side::Data), Slot(0), entry);
    let expected = [dropped(entry(5, ONE)), dropped(entry(6, ONE))];
    assert_eq!(tlb.take_dropped().collect::<Vec<_>>(), expected);
    assert_eq!(tlb.take_dropped().count(), 0);
}

#[test]
fn the_second_level_keeps_its_own_recency() {
    // Pages 0, 4 and 8 share the second level's first set. Page 0 is used all the time, but the
    // first level serves it.
    let mut tlb = tlb("l1=1x8,l2=4x2");
    tlb.fill(Side::Data, entry(0, ONE), 1);
    tlb.fill(Side::Data, entry(4, ONE), 2);
    tlb.lookup(Side::Data, Vpn(0), ONE, 3);
    tlb.fill(Side::Data, entry(8, ONE), 4);
    let second: Vec<_> =
        tlb.entries().filter(|(place, _)| place.level == 2).map(|(_, e)| e.vpn.0).collect();
    assert_eq!(second, [8, 4]);
    assert!(matches!(tlb.lookup(Side::Data, Vpn(0), ONE, 5), Lookup::L1 { .. }));
}

#[test]
fn pages_of_several_sizes_share_an_array() {
    let mut tlb = tlb("l1=4x2");
    tlb.fill(Side::Data, sized(0x207, BASE), 1);
    // Filled through an address in the middle: the entry starts at the page's start.
    tlb.fill(Side::Data, sized(0x4ff, LARGE), 2);
    tlb.fill(Side::Data, sized(0x40000, HUGE), 3);
    assert_eq!(data(&mut tlb, 0x207, ONE), Some(sized(0x207, BASE)));
    for vpn in [0x400, 0x4ff, 0x5ff] {
        assert_eq!(data(&mut tlb, vpn, ONE).map(|e| (e.vpn, e.page)), Some((Vpn(0x400), LARGE)));
    }
    assert_eq!(data(&mut tlb, 0x600, ONE), None);
    assert_eq!(data(&mut tlb, 0x7ffff, ONE).map(|e| e.page), Some(HUGE));
    assert_eq!(data(&mut tlb, 0x80000, ONE), None);
    assert_eq!(tlb.flush_page(Vpn(0x4aa), Some(ONE), Globals::Keep), 1);
    assert_eq!(data(&mut tlb, 0x400, ONE), None);
}

#[test]
fn large_pages_are_indexed_by_their_own_number() {
    // Eight neighbouring large pages fill the four sets evenly.
    let mut tlb = tlb("l1=4x2");
    for page in 0..8 {
        tlb.fill(Side::Data, sized(page << 9, LARGE), page);
    }
    assert_eq!(tlb.take_dropped().count(), 0);
    assert_eq!(tlb.entries().count(), 8);
}

#[test]
fn an_array_is_passed_by_by_pages_that_it_does_not_hold() {
    let mut tlb = tlb("l1i=1x4,l1d=1x4@4K,l2=4x4@4K+2M");
    assert_eq!(tlb.fill(Side::Data, sized(0x200, LARGE), 1), None);
    let hit = Lookup::L2 { slot: None, entry: sized(0x200, LARGE) };
    assert_eq!(tlb.lookup(Side::Data, Vpn(0x210), ONE, 2), hit);
    assert_eq!(tlb.fill(Side::Data, sized(0, HUGE), 3), None);
    assert_eq!(tlb.lookup(Side::Data, Vpn(0), ONE, 4), Lookup::Miss);
    assert_eq!(tlb.entries().count(), 1);
}

#[test]
fn the_list_of_dropped_entries_gives_up_when_it_grows_long() {
    let mut tlb = tlb("1000");
    for vpn in 0..1000 {
        tlb.fill(Side::Data, entry(vpn, ONE), vpn);
    }
    assert_eq!(tlb.flush_asid(ONE), 1000);
    assert_eq!(tlb.take_dropped().collect::<Vec<_>>(), [Dropped::Everything]);
    tlb.fill(Side::Data, entry(1, ONE), 1001);
    assert_eq!(tlb.flush_all(), 1);
    tlb.fill(Side::Data, entry(1, ONE), 1002);
    tlb.flush_page(Vpn(1), None, Globals::Keep);
    assert_eq!(tlb.take_dropped().collect::<Vec<_>>(), [Dropped::Everything]);
}

/// A TLB without geometry: the translations that nothing has invalidated.
#[derive(Default)]
struct Model(Vec<TlbEntry>);

#[derive(Clone, Debug)]
enum Op {
    Access { side: Side, vpn: u64, asid: Asid },
    FlushAll,
    FlushNonGlobal,
    FlushAsid(Asid),
    FlushPage { vpn: u64, asid: Option<Asid>, globals: Globals },
}

impl Model {
    fn lookup(&self, vpn: u64, asid: Asid) -> Option<TlbEntry> {
        let holds = |e: &&TlbEntry| covers(e, vpn) && (e.global || e.asid == asid);
        self.0.iter().find(holds).copied()
    }

    fn flush(&mut self, op: &Op) {
        self.0.retain(|e| match *op {
            Op::Access { .. } => true,
            Op::FlushAll => false,
            Op::FlushNonGlobal => e.global,
            Op::FlushAsid(asid) => e.global || e.asid != asid,
            Op::FlushPage { vpn, asid, globals } => {
                let page_stays = !covers(e, vpn);
                let space_stays = match (e.global, asid) {
                    (true, _) => globals == Globals::Keep,
                    (false, asid) => asid.is_some_and(|asid| e.asid != asid),
                };
                page_stays || space_stays
            }
        });
    }
}

fn covers(entry: &TlbEntry, vpn: u64) -> bool {
    let pages = 1 << (entry.page.shift() - BASE.shift());
    (entry.vpn.0..entry.vpn.0 + pages).contains(&vpn)
}

/// The page table, as it were: every third kilobyte of pages is large, every fifth page global.
fn mapping(vpn: u64, asid: Asid) -> TlbEntry {
    let is_large = (vpn >> 9) % 3 == 1;
    let (vpn, page) = if is_large { (vpn & !0x1ff, LARGE) } else { (vpn, BASE) };
    let number = if is_large { vpn >> 9 } else { vpn };
    let global = number % 5 == 0;
    // A global page is the same in all address spaces.
    let pfn = Pfn(vpn + if global { 0 } else { u64::from(asid.0) << 20 });
    TlbEntry { vpn: Vpn(vpn), page, global, pfn, ..entry(vpn, asid) }
}

fn apply(tlb: &mut Tlb, op: &Op) -> u64 {
    match *op {
        Op::Access { .. } => 0,
        Op::FlushAll => tlb.flush_all(),
        Op::FlushNonGlobal => tlb.flush_non_global(),
        Op::FlushAsid(asid) => tlb.flush_asid(asid),
        Op::FlushPage { vpn, asid, globals } => tlb.flush_page(Vpn(vpn), asid, globals),
    }
}

/// Compares the answers with the model's. `is_roomy`: nothing is ever evicted, so that a TLB has
/// all that the model has.
fn compare(mut tlb: Tlb, ops: &[Op], is_roomy: bool) {
    let mut model = Model::default();
    for (now, op) in (1..).zip(ops) {
        let Op::Access { side, vpn, asid } = *op else {
            let before = model.0.len();
            model.flush(op);
            let removed = apply(&mut tlb, op);
            if is_roomy {
                assert_eq!(removed as usize, before - model.0.len(), "{op:?}");
            }
            continue;
        };
        let expected = model.lookup(vpn, asid);
        match tlb.lookup(side, Vpn(vpn), asid, now) {
            Lookup::Miss => {
                assert!(!is_roomy || expected.is_none(), "{op:?} must hit");
                tlb.fill(side, mapping(vpn, asid), now);
                if expected.is_none() {
                    model.0.push(mapping(vpn, asid));
                }
            }
            Lookup::L1 { slot, entry } => {
                assert_eq!(tlb.entry(side, slot), Some(entry));
                assert_eq!(Some(same_space(entry)), expected.map(same_space), "{op:?}");
            }
            Lookup::L2 { slot, entry } => {
                assert_eq!(slot.and_then(|slot| tlb.entry(side, slot)), Some(entry));
                assert_eq!(Some(same_space(entry)), expected.map(same_space), "{op:?}");
            }
        }
    }
}

/// A global entry is filled by whoever comes first, again after an eviction.
fn same_space(entry: TlbEntry) -> TlbEntry {
    if entry.global { TlbEntry { asid: ONE, ..entry } } else { entry }
}

fn op() -> impl Strategy<Value = Op> {
    let vpn = prop_oneof![0u64..40, 0x1f0u64..0x420];
    let asid = (1u16..4).prop_map(Asid);
    let side = prop_oneof![Just(Side::Instruction), Just(Side::Data)];
    let globals = prop_oneof![Just(Globals::Keep), Just(Globals::Drop)];
    prop_oneof![
        30 => (side, vpn.clone(), asid.clone())
            .prop_map(|(side, vpn, asid)| Op::Access { side, vpn, asid }),
        1 => Just(Op::FlushAll),
        1 => Just(Op::FlushNonGlobal),
        3 => asid.clone().prop_map(Op::FlushAsid),
        4 => (vpn, prop::option::of(asid), globals)
            .prop_map(|(vpn, asid, globals)| Op::FlushPage { vpn, asid, globals }),
    ]
}

proptest! {
    #[test]
    fn a_roomy_tlb_knows_exactly_what_was_not_invalidated(
        ops in prop::collection::vec(op(), 1..300),
    ) {
        compare(tlb("1024"), &ops, true);
    }

    #[test]
    fn a_small_tlb_knows_nothing_that_was_invalidated(
        ops in prop::collection::vec(op(), 1..300),
        l1_policy in 0..4usize,
        l2_policy in 0..4usize,
    ) {
        let [l1, l2] = [l1_policy, l2_policy].map(|policy| Replacement::NAMES[policy]);
        let text = format!("l1i=2x2:{l1},l1d=4x2:{l1},l2=8x4:{l2}");
        compare(tlb(&text), &ops, false);
    }

    /// Who follows the list of dropped entries always knows what the first level holds.
    #[test]
    fn the_first_level_is_what_was_filled_less_what_was_dropped(
        ops in prop::collection::vec(op(), 1..300),
        unified: bool,
    ) {
        let mut tlb = tlb(if unified { "l1=4x2,l2=8x4" } else { "l1i=2x2,l1d=4x2,l2=8x4" });
        let mut known: Vec<(Side, Slot, TlbEntry)> = Vec::new();
        for (now, op) in (1..).zip(&ops) {
            let mut new = None;
            if let Op::Access { side, vpn, asid } = *op {
                new = match tlb.lookup(side, Vpn(vpn), asid, now) {
                    Lookup::L1 { .. } => None,
                    Lookup::L2 { slot, .. } => slot,
                    Lookup::Miss => tlb.fill(side, mapping(vpn, asid), now),
                }.map(|slot| (if unified { Side::Data } else { side }, slot));
            }
            apply(&mut tlb, op);
            for dropped in tlb.take_dropped() {
                match dropped {
                    Dropped::Everything => known.clear(),
                    left @ Dropped::Entry { side, .. } => {
                        let side = side.unwrap_or(Side::Data);
                        let label = (!unified).then_some(side);
                        let index = known.iter().position(|&(of, slot, entry)| {
                            of == side && gone(label, slot, entry) == left
                        });
                        known.swap_remove(index.expect("only what was there is dropped"));
                    }
                }
            }
            if let Some((side, slot)) = new {
                known.push((side, slot, tlb.entry(side, slot).expect("just filled")));
            }
            let first = tlb.entries().filter(|(place, _)| place.level == 1).count();
            prop_assert_eq!(first, known.len());
            for (side, slot, entry) in &known {
                prop_assert_eq!(tlb.entry(*side, *slot), Some(*entry));
            }
        }
    }

    /// Hints or not, and whatever overlaps: the smallest page that holds the address is found.
    #[test]
    fn the_smallest_page_that_is_held_is_found(
        ops in prop::collection::vec((any::<bool>(), 0u64..0xc00, 0..4usize, 1u16..3), 1..200),
        text in prop::sample::select(vec![
            "l1=2x4", "l1=1x16:fifo,l2=4x4", "l1=2x2@4K,l1=1x4@2M+4M,l1=1x1@1G,l2=4x4@4K+2M",
        ]),
    ) {
        let mut tlb = tlb(text);
        for (now, &(is_fill, vpn, size, asid)) in (1..).zip(&ops) {
            let (page, asid) = ([BASE, LARGE, QUAD, HUGE][size], Asid(asid));
            if is_fill {
                let pages = 1 << (page.shift() - BASE.shift());
                let global = vpn % 7 == 0;
                let start = Vpn(vpn & !(pages - 1));
                tlb.fill(Side::Data, TlbEntry { vpn: start, page, global, ..entry(vpn, asid) }, now);
                continue;
            }
            let held: Vec<_> = tlb.entries().collect();
            let smallest = |level| {
                let serves = |e: &TlbEntry| covers(e, vpn) && (e.global || e.asid == asid);
                let held = held.iter().filter(|(place, e)| place.level == level && serves(e));
                held.map(|(_, entry)| *entry).min_by_key(|entry| entry.page)
            };
            match tlb.lookup(Side::Data, Vpn(vpn), asid, now) {
                Lookup::L1 { entry, slot } => {
                    prop_assert_eq!(Some(entry), smallest(1));
                    prop_assert_eq!(tlb.entry(Side::Data, slot), Some(entry));
                }
                Lookup::L2 { entry, .. } => {
                    prop_assert_eq!((None, Some(entry)), (smallest(1), smallest(2)));
                }
                Lookup::Miss => prop_assert_eq!((None, None), (smallest(1), smallest(2))),
            }
        }
    }

    #[test]
    fn every_description_reads_back(
        l1 in level(), l2 in prop::option::of(level()), asid_bits in 0..=ASID_BITS_MAX,
        software: bool,
    ) {
        let config = TlbConfig { l1, l2, asid_bits, software };
        prop_assert_eq!(TlbConfig::parse(&config.to_string()), Ok(config));
    }

    #[test]
    fn no_description_panics(text in "[l12id=x:,@+KMG0-9a-z]{0,32}") {
        if let Ok(config) = TlbConfig::parse(&text) {
            prop_assert_eq!(TlbConfig::parse(&config.to_string()), Ok(config));
        }
    }
}

fn level() -> impl Strategy<Value = LevelConfig> {
    (arrays(), prop::option::of(arrays())).prop_map(|(instruction, data)| match data {
        Some(data) => LevelConfig::Split { instruction, data },
        None => LevelConfig::Unified(instruction),
    })
}

/// An array, and others for what pages it leaves.
fn arrays() -> impl Strategy<Value = Arrays> {
    (array(), prop::collection::vec(array(), 0..3)).prop_map(|(first, others)| {
        let mut arrays = Arrays::from(first);
        others.into_iter().for_each(|other| _ = arrays.add(other));
        arrays
    })
}

fn array() -> impl Strategy<Value = ArrayConfig> {
    let replacement = prop_oneof![
        Just(Replacement::Lru),
        Just(Replacement::TreePlru),
        Just(Replacement::Fifo),
        any::<u64>().prop_map(|seed| Replacement::Random { seed }),
    ];
    let pages = prop::option::of(prop::collection::vec(0u8..64, 1..4));
    (0u32..8, 0u32..8, replacement, pages).prop_map(|(sets, ways, replacement, pages)| {
        let pages = match pages {
            Some(shifts) => PageSizes::only(shifts.into_iter().map(PageSize::from_shift)),
            None => PageSizes::ALL,
        };
        ArrayConfig::new(1 << sets, 1 << ways, replacement)
            .expect("a good geometry")
            .with_pages(pages)
    })
}

#[test]
fn the_default_is_what_its_text_says() {
    let text = "l1i=16x4:lru,l1d=16x4:lru,l2=128x12:lru";
    assert_eq!(TlbConfig::default().to_string(), text);
    assert_eq!(TlbConfig::parse("64").unwrap().to_string(), "l1=1x64:lru");
    assert_eq!(TlbConfig::parse("64").unwrap(), TlbConfig::parse("l1=1x64,asid=16").unwrap());
    let untagged = TlbConfig::parse("l1=1x64,asid=0").unwrap();
    assert_eq!(untagged, TlbConfig::parse("l1=1x64,untagged").unwrap());
}

/// The geometry of a Skylake core (Intel optimization manual, table "TLB parameters").
const SKYLAKE: &str = "l1i=16x8@4K,l1i=1x8@2M+4M,l1d=16x4@4K,l1d=8x4@2M+4M,l1d=1x4@1G,\
                       l2=128x12@4K+2M,l2=4x4@1G,asid=12";

#[test]
fn each_page_size_has_its_array() {
    let mut tlb = tlb(SKYLAKE);
    let entries = |side: &Arrays| side.iter().map(ArrayConfig::entries).collect::<Vec<_>>();
    let LevelConfig::Split { instruction, data } = &tlb.config().l1 else { panic!("split") };
    assert_eq!((entries(instruction), entries(data)), (vec![128, 8], vec![64, 32, 4]));
    // Five huge pages: the first leaves its array, and no other page leaves any.
    let pages = [sized(1, BASE), sized(0x200, LARGE), sized(0x400, QUAD)];
    let huge: Vec<_> = (1..=5).map(|n| sized(n << 18, HUGE)).collect();
    let slots: Vec<_> = (1..)
        .zip(pages.iter().chain(&huge))
        .map(|(now, &entry)| tlb.fill(Side::Data, entry, now).expect("a slot for every size").0)
        .collect();
    // Sets of 4 from 0, 64 and 96 on.
    assert_eq!(slots, [4, 64 + 4, 64 + 4 + 1, 96, 97, 98, 99, 96]);
    let expected = gone(Some(Side::Data), Slot(96), huge[0]);
    assert_eq!(tlb.take_dropped().collect::<Vec<_>>(), [expected]);
    // The second level has it still: it goes where it was.
    let hit = Lookup::L2 { slot: Some(Slot(97)), entry: huge[0] };
    assert_eq!(tlb.lookup(Side::Data, huge[0].vpn, ONE, 20), hit);
    // It holds no 4 MiB pages, and no instruction array holds 1 GiB pages.
    let second = tlb.entries().filter(|(place, _)| place.level == 2).count();
    assert_eq!(second, 7);
    assert_eq!(tlb.fill(Side::Instruction, huge[0], 21), None);
}

#[test]
fn the_second_level_may_have_two_sides() {
    let mut tlb = tlb("l1i=1x1,l1d=1x1,l2i=4x2,l2d=4x2");
    tlb.fill(Side::Data, entry(5, ONE), 1);
    tlb.fill(Side::Data, entry(6, ONE), 2);
    assert_eq!(tlb.lookup(Side::Instruction, Vpn(5), ONE, 3), Lookup::Miss);
    assert!(matches!(tlb.lookup(Side::Data, Vpn(5), ONE, 4), Lookup::L2 { .. }));
    let places: Vec<_> = tlb.entries().map(|(place, _)| place.to_string()).collect();
    assert_eq!(places, ["L1 data TLB", "L2 data TLB", "L2 data TLB"]);
}

#[test]
fn spaces_that_agree_in_the_tags_bits_are_one() {
    let mut tlb = tlb("l1=1x8,asid=2");
    tlb.fill(Side::Data, entry(5, ONE), 1);
    assert_eq!(data(&mut tlb, 5, TWO), None);
    assert_eq!(data(&mut tlb, 5, Asid(5)), Some(entry(5, ONE)));
    // Its successor under the other name takes its place.
    tlb.fill(Side::Data, entry(5, Asid(5)), 2);
    assert_eq!(tlb.entries().count(), 1);
    assert_eq!(tlb.flush_asid(Asid(9)), 1);
}

#[test]
fn errors_name_the_part_and_what_would_do() {
    for (text, part, hint) in [
        ("", "", "example"),
        ("0", "0", "1 to 4096"),
        ("l3=1x4", "l3=1x4", "expected a number"),
        ("l1=12x4", "l1=12x4", "power of two"),
        ("l1=16x4,l2=1048576x2", "l2=1048576x2", "at most 1048576"),
        ("l1=4x12:plru", "l1=4x12:plru", "power of two"),
        ("l1=4x4:mru", "l1=4x4:mru", "lru plru fifo random"),
        ("l1=4x4:lru:3", "l1=4x4:lru:3", "random:42"),
        ("l1=64", "l1=64", "SETSxWAYS"),
        ("l1=4x4@3K", "l1=4x4@3K", "@4K+2M"),
        ("l1=4x4,l1d=4x4", "l1d=4x4", "given twice"),
        ("l1=4x4,l1=8x4", "l1=8x4", "given twice"),
        ("l1=4x4@4K,l1=8x4", "l1=8x4", "pages of 4 KiB"),
        ("l1=4x4@4K+2M,l1=8x4@2M+1G", "l1=8x4@2M+1G", "pages of 2 MiB"),
        ("l1=1024x512@4K,l1=1024x1024@2M", "l1=1024x1024@2M", "in one level"),
        ("l1i=4x4", "l1i=4x4", "l1d="),
        ("l1=4x4,l2i=4x4", "l1=4x4,l2i=4x4", "l2d="),
        ("l1=4x4,asid=17", "asid=17", "0 to 16"),
        ("l2=4x4", "l2=4x4", "first level"),
        ("l1=4x4@16777216T", "l1=4x4@16777216T", "@4K+2M"),
    ] {
        let error = TlbConfig::parse(text).expect_err(text);
        assert_eq!(error.part, part, "{text}");
        assert!(error.to_string().contains(hint), "{text}: {error}");
    }
}
