//! Multi-level page tables of real processors: entries as the bits that they are in memory.

use std::collections::BTreeMap;

use pagewalk_explain::{Description, Explanation, Map, Outcome, Query, explain};
use pagewalk_mmu::VirtAddr;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AccessData, Data, Kind};
use crate::draw::Draw;
use crate::form::{Form, hex, list};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "processor",
    about: "translation by the page tables of real processors, from the bits in memory",
    variants: &["ia32", "pae", "x86-64", "sv32", "sv39", "sv48"],
    make: Some(make),
};

/// Where the top table lies.
const ROOT: u64 = 0x1000;

/// The tables, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RealData {
    /// The format, as `--mmu` names it.
    pub format: String,
    /// The physical address of the top table.
    pub root: u64,
    /// The bytes of an entry.
    pub entry_bytes: u64,
    /// The entries in memory that are not zero, as far as they are needed.
    pub memory: Vec<Word>,
    /// What is accessed, in user mode.
    pub accesses: Vec<AccessData>,
}

/// A word of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Word {
    /// Its physical address.
    pub address: u64,
    /// Its bits.
    pub raw: u64,
}

/// What one needs to know of a format.
struct Facts {
    /// As people call it.
    name: &'static str,
    /// The split and the bits.
    text: &'static str,
    /// The size of a large page; 0 if none is drawn.
    large: u64,
    entry_bytes: u64,
    va_bits: u8,
    pa_bits: u8,
}

fn facts(format: &str) -> Facts {
    match format {
        "ia32" => Facts {
            name: "IA-32",
            text: "IA-32 splits a virtual address of 32 bits 10/10/12: page directory, page table, \
                   offset. Entries have four bytes: bit 0 is P (present, the valid bit), bit 1 R/W \
                   (can be written), bit 2 U/S (the user may), bits 31 to 12 are the address of the \
                   frame. A right must be given at both levels. A PDE with bit 7 (PS) set maps a \
                   page of 4 MiB: its bits 31 to 22 are those of the physical address, and the \
                   offset has 22 bits. CR3 (PDBR) holds the address of the page directory.",
            large: 4 << 20,
            entry_bytes: 4,
            va_bits: 32,
            pa_bits: 32,
        },
        "pae" => Facts {
            name: "IA-32 with PAE",
            text: "PAE splits a virtual address of 32 bits 2/9/9/12: page-directory-pointer table, page \
                   directory, page table, offset. Entries have eight bytes: bit 0 is P (present, the \
                   valid bit); in PDEs and PTEs bit 1 is R/W (can be written), bit 2 U/S (the user \
                   may), bit 63 XD (cannot be executed); bits 51 to 12 are the address of the frame. \
                   A right must be given by PDE and PTE. A PDE with bit 7 (PS) set maps a page of 2 \
                   MiB, with an offset of 21 bits. CR3 holds the address of the pointer table.",
            large: 2 << 20,
            entry_bytes: 8,
            va_bits: 32,
            pa_bits: 36,
        },
        "x86-64" => Facts {
            name: "x86-64",
            text: "x86-64 splits the lower 48 bits of a virtual address 9/9/9/9/12: PML4, pointer table, \
                   page directory, page table, offset. Bits 63 to 48 must be copies of bit 47, or the \
                   address is not canonical and faults before any table is read. Entries have eight \
                   bytes: bit 0 is P (present, the valid bit), bit 1 R/W (can be written), bit 2 U/S \
                   (the user may), bit 63 XD (cannot be executed), bits 51 to 12 are the address of \
                   the frame. A right must be given at every level. A PDE with bit 7 (PS) set maps a \
                   page of 2 MiB, with an offset of 21 bits. CR3 holds the address of the PML4.",
            large: 2 << 20,
            entry_bytes: 8,
            va_bits: 48,
            pa_bits: 40,
        },
        "sv32" => Facts {
            name: "RISC-V Sv32",
            text: "Sv32 splits a virtual address of 32 bits 10/10/12: VPN[1], VPN[0], offset. Entries have \
                   four bytes: bit 0 is V (valid), bit 1 R, bit 2 W, bit 3 X, bit 4 U (the user may), \
                   and the bits from 10 up are the PPN, the number of the frame. An entry with R, W \
                   and X clear points to the next table; otherwise it is a leaf. A leaf of the top \
                   table maps a page of 4 MiB, with an offset of 22 bits. satp holds the number of \
                   the top table's frame.",
            large: 4 << 20,
            entry_bytes: 4,
            va_bits: 32,
            pa_bits: 34,
        },
        "sv48" => Facts {
            name: "RISC-V Sv48",
            text: "Sv48 splits the lower 48 bits of a virtual address 9/9/9/9/12: VPN[3] to VPN[0], \
                   offset. Bits 63 to 48 must be copies of bit 47, or the address faults before any \
                   table is read. Entries have eight bytes: bit 0 is V (valid), bit 1 R, bit 2 W, bit \
                   3 X, bit 4 U (the user may), and bits 53 to 10 are the PPN, the number of the \
                   frame. An entry with R, W and X clear points to the next table; otherwise it is a \
                   leaf. A leaf one level above the last maps a page of 2 MiB, with an offset of 21 \
                   bits. satp holds the number of the top table's frame.",
            large: 2 << 20,
            entry_bytes: 8,
            va_bits: 48,
            pa_bits: 40,
        },
        _ => Facts {
            name: "RISC-V Sv39",
            text: "Sv39 splits the lower 39 bits of a virtual address 9/9/9/12: VPN[2] to VPN[0], offset. \
                   Bits 63 to 39 must be copies of bit 38, or the address faults before any table is \
                   read. Entries have eight bytes: bit 0 is V (valid), bit 1 R, bit 2 W, bit 3 X, bit \
                   4 U (the user may), and bits 53 to 10 are the PPN, the number of the frame. An \
                   entry with R, W and X clear points to the next table; otherwise it is a leaf. A \
                   leaf one level above the last maps a page of 2 MiB, with an offset of 21 bits. satp \
                   holds the number of the top table's frame.",
            large: 2 << 20,
            entry_bytes: 8,
            va_bits: 39,
            pa_bits: 40,
        },
    }
}

fn make(draw: &mut Draw, format: &'static str) -> Body {
    let facts = facts(format);
    let maps = draw_maps(draw, &facts);
    let accesses = draw_accesses(draw, &facts, &maps);
    let explanations: Vec<Explanation> =
        accesses.iter().filter_map(|&access| told(format, &maps, access)).collect();
    let data = RealData {
        format: format.into(),
        root: ROOT,
        entry_bytes: facts.entry_bytes,
        memory: words(format, &facts, &maps, &explanations),
        accesses,
    };
    let questions = explanations.iter().zip(&data.accesses);
    let questions = questions.map(|(told, &access)| question(told, access)).collect();
    let width = 2 * facts.entry_bytes as usize;
    let rows =
        data.memory.iter().map(|word| vec![hex(word.address), format!("0x{:0width$x}", word.raw)]);
    let given = vec![
        Block::text(facts.text),
        Block::text(format!(
            "The top table is at physical address {ROOT:#x}. All accesses are the user's. Memory that \
             is not shown holds zeroes where tables are; bits that are not named do not matter."
        )),
        Block::table("Physical memory", &["address", "contents"], rows.collect()),
    ];
    let title = format!("Translation on {}", facts.name);
    Body { title, given, data: Data::Real(data), questions }
}

/// Pages to map: two close together, one far away, one large.
fn draw_maps(draw: &mut Draw, facts: &Facts) -> Vec<Map> {
    let reach = if facts.va_bits == 32 { 32 } else { facts.va_bits - 1 };
    let first = draw.below(1 << (reach - 12)) & !3;
    let far = draw.below(1 << (reach - 12));
    let mut pages = vec![first, first + 1, first + 2];
    let large = facts.large >> 12;
    // No page stands where the large one will.
    let large_page = draw.below(1 << (reach - 12)) / large * large;
    pages.push(far);
    pages.retain(|page| page / large != large_page / large);
    pages.dedup();
    let frame_bits = facts.pa_bits.min(32) - 12;
    let mut maps: Vec<Map> = pages
        .into_iter()
        .map(|page| {
            let mut map = Map::new(page << 12, draw.between(0x100, (1 << frame_bits) - 1) << 12);
            map.rights = Some(draw.pick(&["ru", "rwu", "rwu", "rxu"]).into());
            map
        })
        .collect();
    let frame = draw.between(1, (1 << (frame_bits + 12)) / facts.large - 1) * facts.large;
    let mut map = Map::new(large_page << 12, frame);
    map.page = Some(facts.large);
    map.rights = Some("rwu".into());
    maps.push(map);
    maps
}

fn draw_accesses(draw: &mut Draw, facts: &Facts, maps: &[Map]) -> Vec<AccessData> {
    let mut accesses = Vec::new();
    for map in
        [draw.pick(&maps[..2.min(maps.len())]), draw.pick(maps), maps[maps.len() - 1].clone()]
    {
        let kind = draw.pick(&[Kind::Read, Kind::Read, Kind::Write]);
        accesses.push(AccessData { kind, address: map.va + draw.below(map.page.unwrap_or(4096)) });
    }
    // In the neighbourhood of a page: the last table has no entry.
    let near = maps[0].va ^ (draw.between(8, 63) << 12);
    accesses.push(AccessData { kind: Kind::Read, address: near | draw.below(4096) });
    let odd = match facts.va_bits > 32 {
        true => maps[0].va | 1 << facts.va_bits,
        false => maps[0].va ^ 1 << 31,
    };
    accesses.push(AccessData { kind: Kind::Read, address: odd | draw.below(4096) });
    draw.shuffle(&mut accesses[1..]);
    accesses
}

/// A translation on fresh tables.
fn told(format: &str, maps: &[Map], access: AccessData) -> Option<Explanation> {
    let mut description = Description::new(format);
    description.set_root(ROOT);
    maps.iter().for_each(|map| description.add_map(map.clone()));
    let (mut scene, _) = description.build().ok()?;
    Some(explain(&mut scene, Query { va: VirtAddr(access.address), access: access.kind.access() }))
}

/// The entries on the way to what is accessed, and to all pages.
fn words(format: &str, facts: &Facts, maps: &[Map], asked: &[Explanation]) -> Vec<Word> {
    let pages = maps.iter().map(|map| AccessData { kind: Kind::Read, address: map.va });
    let others: Vec<Explanation> = pages.filter_map(|access| told(format, maps, access)).collect();
    let mut words = BTreeMap::new();
    for reference in asked.iter().chain(&others).flat_map(|told| &told.references) {
        let index = reference.index.unwrap_or_default();
        // PAE's top table is read into registers when CR3 is loaded.
        let at = reference.at.unwrap_or(ROOT + index * facts.entry_bytes);
        if reference.raw != 0 {
            words.insert(at, reference.raw);
        }
    }
    words.into_iter().map(|(address, raw)| Word { address, raw }).collect()
}

fn question(told: &Explanation, access: AccessData) -> Question {
    let AccessData { kind, address } = access;
    let indices: Vec<u64> = told.references.iter().filter_map(|one| one.index).collect();
    let physical = match told.outcome {
        Outcome::Translated { physical, .. } => Some(physical),
        Outcome::Placed { .. } | Outcome::Fault { .. } => None,
    };
    let parts: Vec<String> =
        told.split.iter().map(|part| format!("{} {:#x}", part.name, part.value)).collect();
    Question::new(format!("The process {} virtual address {address:#x}.", kind.does()))
        .field("indices", "indices of the entries that are read, in order", Form::Numbers, {
            list(&indices)
        })
        .field("physical", "physical address, or fault", Form::number_or("fault"), {
            physical.map_or("fault".into(), hex)
        })
        .because(format!("{address:#x} is split into {}.", parts.join(", ")))
        .because_all(told.references.iter().map(|reference| {
            let index = reference.index.unwrap_or_default();
            let place = reference.at.map_or(String::new(), |at| format!(" at {at:#x}"));
            let (entry, raw, decision) = (&reference.entry, reference.raw, &reference.decision);
            format!("The {entry} with index {index} ({index:#x}){place} is {raw:#x}: {decision}.")
        }))
        .because_all(told.permission.iter().filter(|one| !one.allowed).map(|one| {
            let needed = kind.letter();
            format!("The page's rights are {}, and {} needs {needed}.", one.rights, kind.gerund())
        }))
        .because(match &told.outcome {
            Outcome::Translated { physical, offset, page_bytes, .. } => format!(
                "Physical address = {:#x} + offset {offset:#x} = {physical:#x}; the page has {}.",
                physical - offset,
                crate::form::bytes(*page_bytes)
            ),
            Outcome::Placed { physical } => format!("Physical address = {physical:#x}."),
            Outcome::Fault { cause, exception, .. } => format!("It faults: {cause} ({exception})."),
        })
}
