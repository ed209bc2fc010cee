//! Each replacement policy, computed from stamps, against its textbook form: LRU against a recency
//! list, tree-PLRU against the bits that hardware keeps, FIFO against a queue.

use pagewalk_mmu::tlb::{
    ASID_BITS_MAX, Allowed, ArrayConfig, Dropped, Globals, LevelConfig, Lookup, Replacement, Side,
    Slot, Tlb, TlbConfig, TlbEntry,
};
use pagewalk_mmu::{Asid, PageSize, Pfn, Rights, Vpn};
use proptest::prelude::*;
use std::collections::VecDeque;

const BASE: PageSize = PageSize::from_shift(12);
const ASID: Asid = Asid(0);

/// A textbook policy over the ways of one set.
trait Textbook {
    fn new(ways: usize) -> Self;
    fn filled(&mut self, way: usize);
    fn hit(&mut self, way: usize);
    fn invalidated(&mut self, _way: usize) {}
    fn victim(&self) -> usize;
}

/// The ways in order of their last use, oldest first.
struct RecencyList(Vec<usize>);

impl Textbook for RecencyList {
    fn new(ways: usize) -> Self {
        Self((0..ways).collect())
    }
    fn filled(&mut self, way: usize) {
        self.hit(way);
    }
    fn hit(&mut self, way: usize) {
        self.0.retain(|&other| other != way);
        self.0.push(way);
    }
    fn victim(&self) -> usize {
        self.0[0]
    }
}

/// The bits of a complete binary tree as hardware keeps them: node 1 is the root, node n has the
/// children 2n and 2n + 1, the leaves are the ways. A set bit points right. Each touch makes the
/// bits on the way to the leaf point elsewhere.
struct TreeBits {
    ways: usize,
    points_right: Vec<bool>,
}

impl Textbook for TreeBits {
    fn new(ways: usize) -> Self {
        Self { ways, points_right: vec![false; ways] }
    }
    fn filled(&mut self, way: usize) {
        self.hit(way);
    }
    fn hit(&mut self, way: usize) {
        let mut node = self.ways + way;
        while node > 1 {
            let came_from_right = node % 2 == 1;
            node /= 2;
            self.points_right[node] = !came_from_right;
        }
    }
    fn victim(&self) -> usize {
        let mut node = 1;
        while node < self.ways {
            node = 2 * node + usize::from(self.points_right[node]);
        }
        node - self.ways
    }
}

/// The ways in the order in which they were filled.
struct Queue(VecDeque<usize>);

impl Textbook for Queue {
    fn new(_: usize) -> Self {
        Self(VecDeque::new())
    }
    fn filled(&mut self, way: usize) {
        self.invalidated(way);
        self.0.push_back(way);
    }
    fn hit(&mut self, _: usize) {}
    fn invalidated(&mut self, way: usize) {
        self.0.retain(|&other| other != way);
    }
    fn victim(&self) -> usize {
        self.0[0]
    }
}

/// A set-associative array in the plainest form.
struct Model<P> {
    sets: Vec<(Vec<Option<u64>>, P)>,
    ways: usize,
}

/// What a reference did: the slot, and the page that made room.
#[derive(Debug, PartialEq)]
enum Outcome {
    Hit(usize),
    Filled { slot: usize, evicted: Option<u64> },
}

impl<P: Textbook> Model<P> {
    fn new(sets: u32, ways: u32) -> Self {
        let ways = ways as usize;
        Self { sets: (0..sets).map(|_| (vec![None; ways], P::new(ways))).collect(), ways }
    }

    fn reference(&mut self, page: u64) -> Outcome {
        let set = page as usize % self.sets.len();
        let first = set * self.ways;
        let (pages, policy) = &mut self.sets[set];
        if let Some(way) = pages.iter().position(|&held| held == Some(page)) {
            policy.hit(way);
            return Outcome::Hit(first + way);
        }
        let free = pages.iter().position(Option::is_none);
        let way = free.unwrap_or_else(|| policy.victim());
        let evicted = pages[way].replace(page);
        policy.filled(way);
        Outcome::Filled { slot: first + way, evicted }
    }

    fn invalidate(&mut self, page: u64) -> bool {
        let set = page as usize % self.sets.len();
        let (pages, policy) = &mut self.sets[set];
        let Some(way) = pages.iter().position(|&held| held == Some(page)) else { return false };
        pages[way] = None;
        policy.invalidated(way);
        true
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// A reference; `fast` performs a hit by writing the stamp alone.
    Reference {
        page: u64,
        fast: bool,
    },
    Invalidate(u64),
}

fn ops(pages: u64) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => (0..pages, any::<bool>()).prop_map(|(page, fast)| Op::Reference { page, fast }),
        1 => (0..pages).prop_map(Op::Invalidate),
    ];
    prop::collection::vec(op, 1..400)
}

fn unified(sets: u32, ways: u32, replacement: Replacement) -> Tlb {
    let array = ArrayConfig::new(sets, ways, replacement).expect("a good geometry");
    let l1 = LevelConfig::Unified(array.into());
    Tlb::new(TlbConfig { l1, l2: None, asid_bits: ASID_BITS_MAX, software: false }, BASE)
}

fn entry(page: u64) -> TlbEntry {
    TlbEntry {
        vpn: Vpn(page),
        page: BASE,
        asid: ASID,
        global: false,
        pfn: Pfn(page + 0x1000),
        rights: Rights::all(),
        dirty: true,
        allowed: Allowed::ALL,
    }
}

/// References `page`; a hit is looked up, or performed by a stamp on the slot known to hold it.
fn reference(tlb: &mut Tlb, page: u64, now: u64, known: Option<Slot>) -> Outcome {
    if let Some(slot) = known {
        assert_eq!(tlb.entry(Side::Data, slot).map(|entry| entry.vpn), Some(Vpn(page)));
        tlb.stamps_mut(Side::Data)[slot.0 as usize] = now;
        return Outcome::Hit(slot.0 as usize);
    }
    match tlb.lookup(Side::Data, Vpn(page), ASID, now) {
        Lookup::L1 { slot, entry: found } => {
            assert_eq!(found, entry(page));
            Outcome::Hit(slot.0 as usize)
        }
        Lookup::L2 { .. } => panic!("there is no second level"),
        Lookup::Miss => {
            let slot = tlb.fill(Side::Data, entry(page), now).expect("all sizes are held");
            let mut dropped = tlb.take_dropped().map(|dropped| match dropped {
                Dropped::Entry { side: None, slot: old, va, .. } if old == slot => va.vpn(BASE).0,
                other => panic!("unexpected {other:?}"),
            });
            let evicted = dropped.next();
            assert!(dropped.next().is_none());
            Outcome::Filled { slot: slot.0 as usize, evicted }
        }
    }
}

fn compare<P: Textbook>(sets: u32, ways: u32, replacement: Replacement, ops: &[Op]) {
    let mut tlb = unified(sets, ways, replacement);
    let mut model = Model::<P>::new(sets, ways);
    for (now, op) in (1..).zip(ops) {
        match *op {
            Op::Reference { page, fast } => {
                let expected = model.reference(page);
                let known = match expected {
                    Outcome::Hit(slot) if fast => Some(Slot(slot as u32)),
                    _ => None,
                };
                assert_eq!(reference(&mut tlb, page, now, known), expected, "at {now}");
            }
            Op::Invalidate(page) => {
                let removed = tlb.flush_page(Vpn(page), None, Globals::Drop);
                assert_eq!(removed, u64::from(model.invalidate(page)));
                assert_eq!(tlb.take_dropped().count() as u64, removed);
            }
        }
    }
}

proptest! {
    #[test]
    fn lru_is_a_recency_list(sets in 0u32..3, ways in 1u32..9, ops in ops(40)) {
        compare::<RecencyList>(1 << sets, ways, Replacement::Lru, &ops);
    }

    #[test]
    fn stamps_give_the_way_of_the_plru_bits(sets in 0u32..3, ways in 0u32..5, ops in ops(60)) {
        compare::<TreeBits>(1 << sets, 1 << ways, Replacement::TreePlru, &ops);
    }

    #[test]
    fn fifo_is_a_queue(sets in 0u32..3, ways in 1u32..9, ops in ops(40)) {
        compare::<Queue>(1 << sets, ways, Replacement::Fifo, &ops);
    }

    #[test]
    fn random_depends_on_seed_and_misses_alone(seed: u64, ops in ops(40)) {
        let policy = Replacement::Random { seed };
        let mut with_hits = unified(2, 4, policy);
        let mut without = unified(2, 4, policy);
        let mut now = 0;
        for op in ops {
            let Op::Reference { page, .. } = op else { continue };
            now += 1;
            let outcome = reference(&mut with_hits, page, now, None);
            if outcome != reference(&mut without, page, 1, None) {
                prop_assert!(false, "outcomes differ at {now}");
            }
            // More hits, which must not advance the generator.
            for _ in 0..page % 3 {
                now += 1;
                let hit = reference(&mut with_hits, page, now, None);
                prop_assert!(matches!(hit, Outcome::Hit(_)));
            }
        }
    }
}

#[test]
fn random_uses_every_way_about_equally() {
    let mut tlb = unified(1, 8, Replacement::Random { seed: 7 });
    let mut evictions = [0u32; 8];
    for page in 0..80_008 {
        if let Outcome::Filled { slot, evicted: Some(_) } = reference(&mut tlb, page, page, None) {
            evictions[slot] += 1;
        }
    }
    assert_eq!(evictions.iter().sum::<u32>(), 80_000);
    for (way, &count) in evictions.iter().enumerate() {
        assert!((9_500..10_500).contains(&count), "way {way}: {count} of about 10000");
    }
}

#[test]
fn seeds_differ() {
    let run = |seed| {
        let mut tlb = unified(1, 8, Replacement::Random { seed });
        (0..64).map(|page| reference(&mut tlb, page, page, None)).collect::<Vec<_>>()
    };
    assert_eq!(run(0), run(0));
    assert_ne!(run(1), run(2));
    assert_ne!(run(0), run(1));
}
