//! Inverted and hashed page tables: one table for all processes, found by a hash.
//!
//! The tables are those of the `mmu` crate, as bits in memory; what is given is read back from
//! these bits. The hash itself is given: it is an arbitrary function, and nothing to learn.

use pagewalk_explain::SparseMemory;
use pagewalk_mmu::hashed::{Hashed, HashedTable, Inverted};
use pagewalk_mmu::radix::Leaf;
use pagewalk_mmu::{
    Asid, EntryWidth, Pfn, PhysAddr, Probe, ProbeKind, Rights, TableMemory, VirtAddr, Vpn,
    WalkObserver,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Data, Kind};
use crate::draw::Draw;
use crate::form::{Form, hex, list};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const INVERTED: Topic = Topic {
    name: "inverted",
    about: "look-ups in an inverted page table: hash anchor, chain, match of PID and page",
    variants: &[],
    make: Some(make_inverted),
};

pub(crate) const HASHED: Topic = Topic {
    name: "hashed",
    about: "look-ups in a hashed page table, whose entries hold the frame numbers",
    variants: &[],
    make: Some(make_hashed),
};

/// Frames of the inverted table, and entries of the hashed one.
const PLACES: u64 = 16;
/// Pages that are mapped.
const PAGES: usize = 10;
/// Bytes of an entry, and of an anchor.
const ENTRY_BYTES: u64 = 16;
const ANCHOR_BYTES: u64 = 4;

/// The table, and what is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChainData {
    /// The bytes of a page.
    pub page_bytes: u64,
    /// `inverted`: for each hash the first entry of its chain. Empty for `hashed`, where the hash is
    /// the first entry.
    pub anchors: Vec<Option<u64>>,
    /// The valid entries.
    pub entries: Vec<ChainEntry>,
    /// What is looked up.
    pub lookups: Vec<ChainLookup>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChainEntry {
    /// Its index in the table.
    pub index: u64,
    /// The process.
    pub pid: u16,
    /// The page.
    pub page: u64,
    /// The frame; absent in an inverted table, where it is the index.
    pub frame: Option<u64>,
    /// The next entry of the chain.
    pub next: Option<u64>,
}

/// A look-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChainLookup {
    /// The process.
    pub pid: u16,
    /// The virtual address.
    pub address: u64,
    /// What the hash function gives for the process and the page.
    pub hash: u64,
}

/// What is read on the way.
#[derive(Default)]
struct Tags(Vec<PhysAddr>);

impl WalkObserver for Tags {
    fn probe(&mut self, probe: &Probe) {
        if probe.what == ProbeKind::Tag {
            self.0.push(probe.at);
        }
    }
}

/// Either table, at address 0 of a memory of its own.
struct Table<T> {
    table: T,
    memory: SparseMemory,
    /// Where the entries begin.
    entries: u64,
    hash: fn(&T, Asid, Vpn) -> u64,
}

fn make_inverted(draw: &mut Draw, _: &'static str) -> Body {
    let hash = |table: &Inverted, asid, vpn| {
        table.anchor_of(PhysAddr(0), asid, vpn).map_or(0, |at| at.0 / ANCHOR_BYTES)
    };
    let table = Inverted::new(PLACES);
    let entries = table.anchors() * ANCHOR_BYTES;
    let mut table = Table { table, memory: SparseMemory::new(1 << 20), entries, hash };
    let pages = table.fill(draw);
    let anchors = (0..PLACES).map(|anchor| {
        let raw = table.memory.read_entry(PhysAddr(anchor * ANCHOR_BYTES), EntryWidth::Four);
        raw.ok().filter(|raw| raw >> 31 == 1).map(|raw| raw & 0x7fff_ffff)
    });
    let anchors = anchors.collect();
    let data = table.data(draw, anchors, &pages, false);
    table.body("Look-ups in an inverted page table", data)
}

fn make_hashed(draw: &mut Draw, _: &'static str) -> Body {
    let hash = |table: &Hashed, asid, vpn| {
        table.home_of(PhysAddr(0), asid, vpn).map_or(0, |at| at.0 / ENTRY_BYTES)
    };
    let table = Hashed::with_entries(PLACES);
    let mut table = Table { table, memory: SparseMemory::new(1 << 20), entries: 0, hash };
    let pages = table.fill(draw);
    let data = table.data(draw, Vec::new(), &pages, true);
    table.body("Look-ups in a hashed page table", data)
}

impl<T: HashedTable> Table<T> {
    /// Maps pages of three processes; the same page number may be in several.
    fn fill(&mut self, draw: &mut Draw) -> Vec<(Asid, Vpn)> {
        self.table.initialise(&mut self.memory, PhysAddr(0));
        let first = draw.between(0x10, 0x400);
        let frames = draw.distinct(PLACES as usize, PLACES);
        let mut mapped: Vec<(Asid, Vpn)> = Vec::new();
        let mut hashes: Vec<u64> = Vec::new();
        let mut tries = 0;
        while mapped.len() < PAGES && tries < 1000 {
            tries += 1;
            let asid = Asid(draw.between(1, 3) as u16);
            let vpn = Vpn(first + draw.below(12));
            let hash = (self.hash)(&self.table, asid, vpn);
            let in_chain = hashes.iter().filter(|&&other| other == hash).count();
            // Chains are wanted, but not of all pages.
            let is_welcome = if mapped.len() % 2 == 1 { in_chain > 0 } else { in_chain < 2 };
            if mapped.contains(&(asid, vpn)) || in_chain > 2 || !(is_welcome || tries > 500) {
                continue;
            }
            let leaf = Leaf {
                pfn: Pfn(frames[mapped.len()]),
                rights: Rights::READ | Rights::WRITE | Rights::USER,
                global: false,
                accessed: true,
                dirty: true,
                cache_disable: false,
                write_through: false,
            };
            if self.table.insert(&mut self.memory, PhysAddr(0), asid, vpn, leaf).is_ok() {
                mapped.push((asid, vpn));
                hashes.push(hash);
            }
        }
        mapped
    }

    /// The table as it is in memory, and what to look up.
    fn data(
        &self,
        draw: &mut Draw,
        anchors: Vec<Option<u64>>,
        pages: &[(Asid, Vpn)],
        with_frames: bool,
    ) -> ChainData {
        let word = |at: u64| self.memory.read_entry(PhysAddr(at), EntryWidth::Eight).unwrap_or(0);
        let entries = (0..PLACES).filter_map(|index| {
            let at = self.entries + index * ENTRY_BYTES;
            let (tag, data) = (word(at), word(at + 8));
            let (is_valid, has_next) = (tag >> 63 == 1, data >> 63 == 1);
            is_valid.then_some(ChainEntry {
                index,
                pid: (tag >> 36) as u16,
                page: tag & ((1 << 36) - 1),
                frame: with_frames.then_some(data >> 8 & ((1 << 28) - 1)),
                next: has_next.then_some(data >> 36 & ((1 << 27) - 1)),
            })
        });
        let entries: Vec<ChainEntry> = entries.collect();
        let page_bytes = self.table.base_page().bytes();
        // Those at the end of a chain are the most work.
        let linked = |&&(asid, vpn): &&(Asid, Vpn)| {
            let entry = entries.iter().find(|one| (one.pid, one.page) == (asid.0, vpn.0));
            entry.is_some_and(|one| entries.iter().any(|other| other.next == Some(one.index)))
        };
        let behind: Vec<(Asid, Vpn)> = pages.iter().filter(linked).copied().collect();
        let lookups = (0..5).map(|n| {
            let (mut asid, vpn) = match n {
                0 | 1 if !behind.is_empty() => draw.pick(&behind),
                _ => draw.pick(pages),
            };
            if n == 4 {
                asid = Asid(asid.0 % 3 + 1);
            }
            let address = vpn.base(self.table.base_page()).0 + draw.below(page_bytes);
            ChainLookup { pid: asid.0, address, hash: (self.hash)(&self.table, asid, vpn) }
        });
        let lookups = lookups.collect();
        ChainData { page_bytes, anchors, entries, lookups }
    }

    fn body(mut self, title: &str, data: ChainData) -> Body {
        let lookups = data.lookups.clone();
        let questions = lookups.iter().map(|one| self.question(&data, one)).collect();
        let given = given(&data);
        Body { title: title.into(), given, data: Data::Chain(data), questions }
    }

    fn question(&mut self, data: &ChainData, lookup: &ChainLookup) -> Question {
        let ChainLookup { pid, address, hash } = *lookup;
        let (page, offset) = (address / data.page_bytes, address % data.page_bytes);
        let mut tags = Tags::default();
        let found = self.table.walk_observed(
            &mut self.memory,
            PhysAddr(0),
            Asid(pid),
            VirtAddr(address),
            Kind::Read.access(),
            &mut tags,
        );
        let physical = found.ok().map(|found| found.pa.0);
        // The home of a hash may hold nothing: it is read all the same, and matches nothing.
        let compared = tags.0.iter().map(|at| (at.0 - self.entries) / ENTRY_BYTES);
        let compared: Vec<u64> =
            compared.filter(|index| data.entries.iter().any(|one| one.index == *index)).collect();
        let (first, start) = match data.anchors.is_empty() {
            true => {
                (Some(hash), format!("The hash is {hash}: the look-up begins at entry {hash}."))
            }
            false => {
                let first = data.anchors.get(hash as usize).copied().flatten();
                let leads = first.map_or("is empty".into(), |first| format!("says entry {first}"));
                (first, format!("The hash is {hash}, and anchor {hash} {leads}."))
            }
        };
        let is_empty = first.is_none_or(|first| data.entries.iter().all(|one| one.index != first));
        let text = format!(
            "Process {pid} reads virtual address {address:#x}. The hash of PID {pid} and page \
             {page:#x} is {hash}."
        );
        Question::new(text)
            .field("page", "page number", Form::Number, hex(page))
            .field("compared", "valid entries that are compared, in order", Form::Numbers, {
                list(&compared)
            })
            .field("physical", "physical address, or fault", Form::number_or("fault"), {
                physical.map_or("fault".into(), hex)
            })
            .because(format!(
                "Page number = {address:#x} / {:#x} = {page:#x}, offset {offset:#x}.",
                data.page_bytes
            ))
            .because(start)
            .because_all(compared.iter().map(|&index| compare(data, index, pid, page)))
            .because(match physical {
                Some(physical) => format!(
                    "Physical address = frame × page size + offset = {:#x} × {:#x} + {offset:#x} = \
                     {physical:#x}.",
                    physical / data.page_bytes,
                    data.page_bytes
                ),
                None if is_empty => "There is no chain: page fault.".into(),
                None => "The chain ends here: page fault.".into(),
            })
    }
}

/// What the comparison with an entry says.
fn compare(data: &ChainData, index: u64, pid: u16, page: u64) -> String {
    let Some(entry) = data.entries.iter().find(|one| one.index == index) else {
        return format!("Entry {index} is empty.");
    };
    let has = format!("Entry {index} has PID {} and page {:#x}", entry.pid, entry.page);
    let goes_on = match entry.next {
        Some(next) => format!("go on with entry {next}"),
        None => "and there is no next one".into(),
    };
    match ((entry.pid, entry.page) == (pid, page), entry.frame) {
        (true, Some(frame)) => format!("{has}: it matches, and says frame {frame:#x}."),
        (true, None) => format!("{has}: it matches, and its index {index:#x} is the frame."),
        (false, _) if entry.page == page => {
            format!("{has}: the page is right, but the PID is another; {goes_on}.")
        }
        (false, _) => format!("{has}: no match; {goes_on}."),
    }
}

fn given(data: &ChainData) -> Vec<Block> {
    let is_inverted = !data.anchors.is_empty();
    let text = match is_inverted {
        true => {
            "An inverted page table (IPT) has one entry for each frame of memory, and serves all \
                 processes. The hash of PID and page number picks an anchor of the hash anchor table, \
                 which names the first entry of a chain. If the PID and the page number of an entry \
                 match, the entry's index is the frame; if not, the look-up goes on with the next \
                 entry of the chain. At its end there is a page fault."
        }
        false => {
            "A hashed page table (HPT) serves all processes; its entries contain the frame numbers, \
                  so that a frame can be shared. The hash of PID and page number is the index of the \
                  first entry of a chain. If the PID and the page number of an entry match, the \
                  entry says the frame; if not, the look-up goes on with the next entry of the \
                  chain. At its end, or if the first entry is empty, there is a page fault."
        }
    };
    let show = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
    let pages = format!(
        "Pages have {:#x} bytes. Page and frame numbers are hexadecimal, the indices of entries decimal.",
        data.page_bytes
    );
    let mut blocks = vec![Block::text(format!("{text} {pages}"))];
    if is_inverted {
        let rows = (0_u64..).zip(&data.anchors);
        let rows = rows.map(|(hash, &first)| vec![hash.to_string(), show(first)]);
        blocks.push(Block::table("Hash anchor table", &["hash", "first entry"], rows.collect()));
    }
    let rows = data.entries.iter().map(|entry| {
        let mut row = vec![entry.index.to_string(), entry.pid.to_string(), hex(entry.page)];
        row.extend(entry.frame.map(hex));
        row.push(show(entry.next));
        row
    });
    let head: &[&str] = match is_inverted {
        true => &["entry", "PID", "page", "next"],
        false => &["entry", "PID", "page", "frame", "next"],
    };
    let caption = "The table; entries that are not shown are empty";
    blocks.push(Block::table(caption, head, rows.collect()));
    blocks
}
