//! What a look-up compares: the sets that it picks, against the look-ups themselves.

use pagewalk_mmu::tlb::{
    Allowed, ComparedSet, Lookup, Place, Side, Slot, Tlb, TlbConfig, TlbEntry,
};
use pagewalk_mmu::{Asid, PageSize, Pfn, Rights, Vpn};
use proptest::prelude::*;

const BASE: PageSize = PageSize::from_shift(12);
const LARGE: PageSize = PageSize::from_shift(21);
const GEOMETRIES: &[&str] = &[
    "l1=4x2",
    "l1=1x8",
    "l1i=4x2,l1d=2x2,l2=8x4",
    "l1=4x2@4K,l1=2x2@2M,l2=8x2",
    "l1=4x2,untagged",
];

fn tlb(text: &str) -> Tlb {
    Tlb::new(TlbConfig::parse(text).expect("a good description"), BASE)
}

fn entry(vpn: u64, page: PageSize, asid: u16, global: bool) -> TlbEntry {
    let vpn = Vpn(vpn & !(page.bytes() / BASE.bytes() - 1));
    TlbEntry {
        vpn,
        page,
        asid: Asid(asid),
        global,
        pfn: Pfn(vpn.0 + 0x1000),
        rights: Rights::all(),
        dirty: true,
        allowed: Allowed::ALL,
    }
}

fn matching(sets: &[ComparedSet], level: u8) -> Vec<TlbEntry> {
    let sets = sets.iter().filter(|set| set.place.level == level);
    let ways = sets.flat_map(|set| &set.ways).filter(|way| way.matches);
    ways.map(|way| way.entry.expect("an empty way matches nothing")).collect()
}

#[test]
fn a_page_number_picks_a_set_and_all_its_ways_are_compared() {
    let mut tlb = tlb("l1=4x2");
    tlb.fill(Side::Data, entry(0x403, BASE, 1, false), 1);
    tlb.fill(Side::Data, entry(0x503, BASE, 1, false), 2);
    tlb.fill(Side::Data, entry(0x404, BASE, 1, false), 3);
    let [set] = &tlb.compared(Side::Data, Vpn(0x403), Asid(1))[..] else { panic!("one set") };
    assert_eq!((set.set, set.sets, set.page), (3, 4, BASE));
    assert_eq!(set.place, Place { level: 1, side: None });
    let ways: Vec<_> = set.ways.iter().map(|w| (w.slot, w.entry.unwrap().vpn, w.matches)).collect();
    assert_eq!(ways, [(Slot(6), Vpn(0x403), true), (Slot(7), Vpn(0x503), false)]);
    // The same page of another space does not match.
    let other = tlb.compared(Side::Data, Vpn(0x403), Asid(2));
    assert_eq!(matching(&other, 1), []);
}

#[test]
fn an_empty_array_is_shown_by_its_smallest_page() {
    let tlb = tlb("l1i=4x2,l1d=2x2,l2=8x4");
    let sets = tlb.compared(Side::Instruction, Vpn(0x403), Asid(1));
    let shown: Vec<_> = sets.iter().map(|s| (s.place, s.set, s.sets, s.ways.len())).collect();
    let l1 = Place { level: 1, side: Some(Side::Instruction) };
    assert_eq!(shown, [(l1, 3, 4, 2), (Place { level: 2, side: None }, 3, 8, 4)]);
    assert!(sets.iter().flat_map(|s| &s.ways).all(|way| way.entry.is_none() && !way.matches));
}

#[test]
fn pages_of_each_size_pick_their_own_set() {
    let mut tlb = tlb("l1=4x2");
    tlb.fill(Side::Data, entry(0x403, BASE, 1, false), 1);
    tlb.fill(Side::Data, entry(0x400, LARGE, 1, false), 2);
    let sets = tlb.compared(Side::Data, Vpn(0x403), Asid(1));
    let shown: Vec<_> = sets.iter().map(|s| (s.page, s.set)).collect();
    assert_eq!(shown, [(BASE, 3), (LARGE, 2)]);
    assert_eq!(matching(&sets, 1).len(), 2, "the smaller is the one that is used");
}

proptest! {
    /// A level has an entry that matches exactly if the look-up finds it there.
    #[test]
    fn what_matches_is_what_a_look_up_finds(
        geometry in prop::sample::select(GEOMETRIES),
        fills in prop::collection::vec((0u64..2048, any::<bool>(), 0u16..3, any::<bool>()), 0..40),
        vpn in 0u64..2048,
        asid in 0u16..3,
        fetch in any::<bool>(),
    ) {
        let mut tlb = tlb(geometry);
        let side = if fetch { Side::Instruction } else { Side::Data };
        for (now, (vpn, large, asid, global)) in (1..).zip(fills) {
            let page = if large { LARGE } else { BASE };
            tlb.fill(side, entry(vpn, page, asid, global), now);
        }
        let sets = tlb.compared(side, Vpn(vpn), Asid(asid));
        for set in &sets {
            prop_assert!(set.set < set.sets);
            for way in set.ways.iter().filter(|_| set.place.level == 1) {
                prop_assert_eq!(way.entry, tlb.entry(side, way.slot));
            }
        }
        match tlb.lookup(side, Vpn(vpn), Asid(asid), 1000) {
            Lookup::L1 { entry, .. } => prop_assert!(matching(&sets, 1).contains(&entry)),
            Lookup::L2 { entry, .. } => {
                prop_assert_eq!(matching(&sets, 1), []);
                prop_assert!(matching(&sets, 2).contains(&entry));
            }
            Lookup::Miss => {
                prop_assert_eq!(matching(&sets, 1), []);
                prop_assert_eq!(matching(&sets, 2), []);
            }
        }
    }
}
