//! The TLB's part of an explanation.

use pagewalk_mmu::tlb::{ComparedSet, ComparedWay, Side, Slot, Tlb};
use pagewalk_mmu::{AccessKind, Asid, Hit, PageSize, Source, VirtAddr};

use crate::explain::rights_text;
use crate::record::{TlbAnswer, TlbProbe, TlbSet, TlbWay};

/// What a look-up of `va` for `asid` compares, before it is made; the answer is still to come.
pub fn probe(tlb: &Tlb, access: AccessKind, va: VirtAddr, base: PageSize, asid: Asid) -> TlbProbe {
    let vpn = va.vpn(base);
    let compared = tlb.compared(Side::of(access), vpn, asid);
    TlbProbe {
        geometry: tlb.config().to_string(),
        loaded_by_software: tlb.config().software,
        page_number: vpn.0,
        asid: asid.0,
        compared: compared.iter().map(|set| shown(set, va)).collect(),
        answer: TlbAnswer::Miss,
    }
}

/// What the look-up answered: `hit` is the translation, if there was one.
pub fn answer(probe: &TlbProbe, hit: Option<&Hit>) -> TlbAnswer {
    match hit.map(|hit| hit.source) {
        Some(Source::L1) => TlbAnswer::L1Hit,
        Some(Source::L2) => TlbAnswer::L2Hit,
        Some(Source::Unmapped) => TlbAnswer::Unmapped,
        Some(Source::Walk) | None => {
            let mut entries = probe.compared.iter().flat_map(|set| &set.entries);
            match entries.any(|entry| entry.matches) {
                true => TlbAnswer::Refused,
                false => TlbAnswer::Miss,
            }
        }
    }
}

/// The rights of the entry that a look-up in this level finds: the smallest page's.
pub fn rights(probe: &TlbProbe) -> Option<&str> {
    let mut entries = probe.compared.iter().flat_map(|set| &set.entries);
    entries.find(|entry| entry.matches).map(|entry| entry.rights.as_str())
}

fn shown(set: &ComparedSet, va: VirtAddr) -> TlbSet {
    let side = match set.place.side {
        Some(Side::Instruction) => " instruction",
        Some(Side::Data) => " data",
        None => "",
    };
    let first = set.ways.first().map_or(Slot(0), |way| way.slot);
    TlbSet {
        array: format!("L{}{side}", set.place.level),
        set: set.set,
        sets: set.sets,
        ways: set.ways.len() as u64,
        page_bytes: set.page.bytes(),
        // The number of the page of this size: its low bits picked the set.
        tag: (va.0 >> set.page.shift()) / set.sets,
        entries: set.ways.iter().filter_map(|way| entry(way, first)).collect(),
    }
}

fn entry(way: &ComparedWay, first: Slot) -> Option<TlbWay> {
    let entry = way.entry?;
    Some(TlbWay {
        way: u64::from(way.slot.0 - first.0),
        page_number: entry.vpn.0,
        page_bytes: entry.page.bytes(),
        asid: entry.asid.0,
        global: entry.global,
        frame: entry.pfn.0,
        rights: rights_text(entry.rights),
        dirty: entry.dirty,
        matches: way.matches,
    })
}
