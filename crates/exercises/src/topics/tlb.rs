//! Look-ups in a TLB: sets and tags, address spaces, replacement.

use pagewalk_mmu::tlb::{Allowed, Lookup, Side, Tlb, TlbConfig, TlbEntry};
use pagewalk_mmu::{Asid, PageSize, Pfn, Rights, Vpn};
use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use crate::draw::Draw;
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "tlb",
    about: "TLB look-ups: set, tag, hit or miss, with ASIDs or flushed at each switch",
    variants: &["tagged", "untagged"],
    make: Some(make),
};

/// References that are asked.
const REFERENCES: usize = 8;

/// The TLB, and what is looked up in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbData {
    /// Sets: the lowest bits of the page number choose one.
    pub sets: u64,
    /// Entries of a set.
    pub ways: u64,
    /// Of a full set, `lru` replaces the entry used least recently, `fifo` that loaded first.
    pub replacement: String,
    /// Entries are tagged with an ASID; if not, the TLB is flushed when the ASID changes.
    pub tagged: bool,
    /// The bytes of a page.
    pub page_bytes: u64,
    /// The page tables.
    pub pages: Vec<TlbPage>,
    /// The references, in order, from an empty TLB on.
    pub references: Vec<TlbReference>,
}

/// A page of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbPage {
    /// The address space.
    pub asid: u16,
    /// The page.
    pub page: u64,
    /// Its frame.
    pub frame: u64,
}

/// A reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbReference {
    /// The address space that runs.
    pub asid: u16,
    /// The virtual address.
    pub address: u64,
}

fn make(draw: &mut Draw, variant: &'static str) -> Body {
    let tagged = variant == "tagged";
    let (sets, ways) = draw.pick(&[(2, 2), (4, 2), (4, 1), (1, 4), (2, 1), (1, 3)]);
    let replacement = if ways == 1 { "lru" } else { draw.pick(&["lru", "lru", "fifo"]) };
    let page_bits = draw.pick(&[6_u32, 8, 12]);
    let first = draw.between(0x10, 0x60);
    let frames = draw.distinct(10, 0x80);
    let pages: Vec<TlbPage> = frames
        .into_iter()
        .enumerate()
        .map(|(n, frame)| TlbPage {
            asid: 1 + (n / 5) as u16,
            page: first + (n % 5) as u64,
            frame: frame + 0x10,
        })
        .collect();
    let mut references = Vec::new();
    let mut recent: Vec<TlbPage> = Vec::new();
    let mut asid = 1;
    for n in 0..REFERENCES {
        if n > 0 && draw.chance(30) {
            asid = 3 - asid;
        }
        let of_space = |page: &&TlbPage| page.asid == asid;
        let known: Vec<TlbPage> = recent.iter().filter(of_space).copied().collect();
        let all: Vec<TlbPage> = pages.iter().filter(of_space).copied().collect();
        let page =
            if !known.is_empty() && draw.chance(55) { draw.pick(&known) } else { draw.pick(&all) };
        recent.push(page);
        let address = page.page << page_bits | draw.below(1 << page_bits);
        references.push(TlbReference { asid, address });
    }
    let data = TlbData {
        sets,
        ways,
        replacement: replacement.into(),
        tagged,
        page_bytes: 1 << page_bits,
        pages,
        references,
    };
    let title = "Look-ups in a TLB".into();
    let questions = questions(&data);
    Body { title, given: given(&data), data: Data::Tlb(data), questions }
}

fn given(data: &TlbData) -> Vec<Block> {
    let TlbData { sets, ways, page_bytes, .. } = *data;
    let shape = match (sets, ways) {
        (1, _) => {
            format!("The TLB is fully associative and has {ways} entries: one set, no index.")
        }
        (_, 1) => format!(
            "The TLB is direct-mapped and has {sets} entries: the lowest {} of a page number choose \
             the set, the bits above are the tag.",
            super::plural(u64::from(sets.ilog2()), "bit", "bits")
        ),
        _ => format!(
            "The TLB has {} entries in {sets} sets of {ways}: the lowest {} of a page number choose \
             the set, the bits above are the tag.",
            sets * ways,
            super::plural(u64::from(sets.ilog2()), "bit", "bits")
        ),
    };
    let victim = match (ways, data.replacement.as_str()) {
        (1, _) => "A new entry takes the place of the old one.",
        (_, "fifo") => "If a set is full, the entry that was loaded first is replaced (FIFO).",
        _ => "If a set is full, the entry that was used least recently is replaced (LRU).",
    };
    let spaces = match data.tagged {
        true => {
            "Entries are tagged with the address-space ID (ASID), so that they stay when another \
                 process runs; an entry of another ASID is no hit."
        }
        false => {
            "Entries have no ASID: whenever another process runs than before, the TLB is flushed \
                  (all entries are invalidated)."
        }
    };
    let text = format!(
        "{shape} {victim} {spaces} Pages have {page_bytes:#x} bytes. The TLB is empty at first, and a \
         miss loads it from the page table."
    );
    let rows =
        data.pages.iter().map(|page| vec![page.asid.to_string(), hex(page.page), hex(page.frame)]);
    let table = Block::table("The page tables", &["ASID", "page", "frame"], rows.collect());
    vec![Block::text(text), table]
}

fn questions(data: &TlbData) -> Vec<Question> {
    let text = format!("l1={}x{}:{}", data.sets, data.ways, data.replacement);
    let Ok(config) = TlbConfig::parse(&text) else { return Vec::new() };
    let page_size = PageSize::from_shift(data.page_bytes.ilog2() as u8);
    let mut tlb = Tlb::new(config, page_size);
    let mut running = None;
    let mut hits = 0;
    let mut questions = Vec::new();
    for (now, reference) in (1..).zip(&data.references) {
        let mut why = Vec::new();
        let is_switch = running.is_some_and(|running| running != reference.asid);
        if is_switch && !data.tagged {
            tlb.flush_all();
            why.push(
                "Another process runs than before, so the TLB was flushed: it is empty.".into(),
            );
        }
        running = Some(reference.asid);
        let (vpn, asid) = (Vpn(reference.address / data.page_bytes), Asid(reference.asid));
        let is_hit = tlb.lookup(Side::Data, vpn, asid, now) != Lookup::Miss;
        hits += u64::from(is_hit);
        let before = entries_of(&tlb, data, vpn);
        let frame = data.pages.iter().find(|one| (one.asid, one.page) == (asid.0, vpn.0));
        let frame = frame.map_or(0, |page| page.frame);
        if !is_hit {
            tlb.fill(Side::Data, entry(vpn, asid, frame, page_size), now);
        }
        let left = before.iter().find(|one| !entries_of(&tlb, data, vpn).contains(one));
        questions.push(question(data, reference, is_hit, frame, why, &before, left));
    }
    questions.push(
        Question::new("All in all:")
            .field("hits", "number of hits", Form::Number, hits.to_string())
            .field("misses", "number of misses", Form::Number, {
                (REFERENCES as u64 - hits).to_string()
            })
            .because(format!("{hits} of the {REFERENCES} references hit, the others miss.")),
    );
    questions
}

fn entry(vpn: Vpn, asid: Asid, frame: u64, page: PageSize) -> TlbEntry {
    let rights = Rights::READ | Rights::WRITE | Rights::USER;
    let (global, dirty, allowed) = (false, true, Allowed::ALL);
    TlbEntry { vpn, page, asid, global, pfn: Pfn(frame), rights, dirty, allowed }
}

/// What the set of a page holds: address spaces and pages, in order.
fn entries_of(tlb: &Tlb, data: &TlbData, vpn: Vpn) -> Vec<(u16, u64)> {
    let entries = tlb.entries().filter(|(_, entry)| entry.vpn.0 % data.sets == vpn.0 % data.sets);
    let mut all: Vec<_> = entries.map(|(_, entry)| (entry.asid.0, entry.vpn.0)).collect();
    all.sort_unstable();
    all
}

fn question(
    data: &TlbData,
    reference: &TlbReference,
    is_hit: bool,
    frame: u64,
    mut why: Vec<String>,
    before: &[(u16, u64)],
    left: Option<&(u16, u64)>,
) -> Question {
    let TlbReference { asid, address } = *reference;
    let (page, offset) = (address / data.page_bytes, address % data.page_bytes);
    let (set, tag) = (page % data.sets, page / data.sets);
    let physical = frame * data.page_bytes + offset;
    why.push(format!(
        "Page number {page:#x}, offset {offset:#x}; set {page:#x} mod {} = {set}, tag {tag:#x}.",
        data.sets
    ));
    let shown = |&(asid, page): &(u16, u64)| match data.tagged {
        true => format!("page {page:#x} of ASID {asid}"),
        false => format!("page {page:#x}"),
    };
    let holds = match before {
        [] => "is empty".into(),
        all => format!("holds {}", all.iter().map(shown).collect::<Vec<_>>().join(", ")),
    };
    let other = before.iter().any(|one| one.1 == page && one.0 != asid);
    why.push(match (is_hit, other) {
        (true, _) => format!("Set {set} {holds}: a hit."),
        (false, true) => {
            format!("Set {set} {holds}: the page is there, but of another ASID: a miss.")
        }
        (false, false) => format!("Set {set} {holds}: a miss."),
    });
    if let Some(left) = left {
        let reason = match (data.ways, data.replacement.as_str()) {
            (1, _) => "whose place it was",
            (_, "fifo") => "which was loaded first",
            _ => "which was used least recently",
        };
        why.push(format!("The new entry replaces {}, {reason}.", shown(left)));
    }
    why.push(format!(
        "The frame is {frame:#x}: physical address = {frame:#x} × {:#x} + {offset:#x} = {physical:#x}.",
        data.page_bytes
    ));
    Question::new(format!("Process with ASID {asid} reads virtual address {address:#x}."))
        .field("set", "set (index)", Form::Number, set.to_string())
        .field("tag", "tag", Form::Number, hex(tag))
        .field(
            "result",
            "hit or miss",
            Form::word(&["hit", "miss"]),
            match is_hit {
                true => "hit",
                false => "miss",
            },
        )
        .field("physical", "physical address", Form::Number, hex(physical))
        .because_all(why)
}
