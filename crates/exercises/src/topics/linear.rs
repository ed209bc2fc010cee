//! The linear page table: page number and offset, one entry for each page.

use std::collections::BTreeMap;

use pagewalk_explain::{DecimalTable, Description, Explanation, Map, Outcome, Query, explain};
use pagewalk_mmu::VirtAddr;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AccessData, Data, Kind};
use crate::draw::Draw;
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "linear",
    about: "translation by a single-level page table: page number, offset, frame, fault",
    variants: &["decimal", "binary"],
    make: Some(make),
};

/// The page table, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinearData {
    /// The size of a page, in addresses.
    pub page_size: u64,
    /// The entries that are valid.
    pub entries: Vec<LinearEntry>,
    /// What is accessed.
    pub accesses: Vec<AccessData>,
}

/// A valid entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinearEntry {
    /// The page.
    pub page: u64,
    /// Its frame.
    pub frame: u64,
    /// `ro`: the page can be read; `rw`: it can be written, too.
    pub rights: String,
}

fn make(draw: &mut Draw, variant: &'static str) -> Body {
    let is_decimal = variant == "decimal";
    let page_size = match is_decimal {
        true => draw.pick(&[10, 100, 100, 1000]),
        false => 1 << draw.between(4, 12),
    };
    let pages = if is_decimal { 20 } else { 1 << draw.between(4, 8) };
    let first = draw.below(pages - 7);
    let frames = draw.distinct(8, 64);
    let entries: Vec<LinearEntry> = (first..first + 8)
        .zip(frames)
        .filter_map(|(page, frame)| {
            let is_valid = page == first || draw.chance(70);
            let rights = if is_decimal || draw.chance(60) { "rw" } else { "ro" };
            is_valid.then(|| LinearEntry { page, frame: frame + 1, rights: rights.into() })
        })
        .collect();
    let accesses = (0..5).map(|n| {
        let is_any = n == 4 || draw.chance(20);
        let page = if is_any { first + draw.below(8) } else { draw.pick(&entries).page };
        let kind = if is_decimal { Kind::Read } else { draw.pick(&[Kind::Read, Kind::Write]) };
        AccessData { kind, address: page * page_size + draw.below(page_size) }
    });
    let accesses = accesses.collect();
    let data = LinearData { page_size, entries, accesses };
    let explanations = explain_all(&data, is_decimal);
    let questions = data.accesses.iter().zip(&explanations);
    let questions =
        questions.map(|(&access, told)| question(&data, access, told, is_decimal)).collect();
    let title = "Translation by a linear page table".into();
    let given = given(&data, first, is_decimal);
    Body { title, given, data: Data::Linear(data), questions }
}

/// The translations, as the engine makes them.
fn explain_all(data: &LinearData, is_decimal: bool) -> Vec<Explanation> {
    if is_decimal {
        let frames: BTreeMap<u64, u64> =
            data.entries.iter().map(|entry| (entry.page, entry.frame)).collect();
        let table = DecimalTable::new(data.page_size, frames);
        let all = data.accesses.iter();
        return table
            .map(|table| all.map(|one| table.explain(one.address)).collect())
            .unwrap_or_default();
    }
    let mut description = Description::new("linear");
    description.set_page(data.page_size);
    for entry in &data.entries {
        let mut map = Map::new(entry.page * data.page_size, entry.frame * data.page_size);
        map.rights = Some(if entry.rights == "rw" { "rwu" } else { "ru" }.into());
        description.add_map(map);
    }
    let Ok((mut scene, _)) = description.build() else { return Vec::new() };
    let query = |one: &AccessData| Query { va: VirtAddr(one.address), access: one.kind.access() };
    data.accesses.iter().map(|one| explain(&mut scene, query(one))).collect()
}

fn number(number: u64, is_decimal: bool) -> String {
    if is_decimal { number.to_string() } else { hex(number) }
}

fn given(data: &LinearData, first: u64, is_decimal: bool) -> Vec<Block> {
    let size = data.page_size;
    let pages = match is_decimal {
        true => format!(
            "Pages and frames have {size} addresses each; all numbers are decimal. (Real machines \
             take a power of two, so that page and offset are bits of the address.)"
        ),
        false => format!(
            "Pages and frames have {size} bytes (2^{}). A page table entry (PTE) holds a valid bit, \
             the number of the frame (also called physical page, PPN or PFN), and the permissions: \
             ro for pages that can only be read, rw for those that can be written, too.",
            size.ilog2()
        ),
    };
    let entry = |page: u64| data.entries.iter().find(|entry| entry.page == page);
    let rows = (first..first + 8).map(|page| {
        let name = number(page, is_decimal);
        let mut row = match entry(page) {
            Some(entry) => {
                vec![name, "1".into(), number(entry.frame, is_decimal), { entry.rights.clone() }]
            }
            None => vec![name, "0".into(), "-".into(), "-".into()],
        };
        row.truncate(if is_decimal { 3 } else { 4 });
        row
    });
    let head = ["page", "valid", "frame", "permissions"];
    let head = &head[..if is_decimal { 3 } else { 4 }];
    let refused = match is_decimal {
        true => "An access to a page whose entry is not valid is a page fault.",
        false => {
            "An access to a page whose entry is not valid, or whose permissions do not allow it, is a page \
             fault."
        }
    };
    let rest = format!("{refused} Entries that are not shown are not valid.");
    vec![
        Block::text(format!("{pages} {rest}")),
        Block::table("The page table of the process", head, rows.collect()),
    ]
}

fn question(
    data: &LinearData,
    access: AccessData,
    told: &Explanation,
    is_decimal: bool,
) -> Question {
    let AccessData { kind, address } = access;
    let size = data.page_size;
    let (page, offset) = (address / size, address % size);
    let show = |value| number(value, is_decimal);
    let physical = match told.outcome {
        Outcome::Translated { physical, .. } => Some(physical),
        Outcome::Placed { .. } | Outcome::Fault { .. } => None,
    };
    let split = match is_decimal {
        true => format!("{address} = {page} × {size} + {offset}: page {page}, offset {offset}."),
        false => format!(
            "The lowest {} bits of {address:#x} are the offset, {offset:#x}; the bits above are the \
             page number, {page:#x}.",
            size.ilog2()
        ),
    };
    let entry = data.entries.iter().find(|entry| entry.page == page);
    let why = match (entry, physical) {
        (None, _) => format!("The entry of page {} is not valid: page fault.", show(page)),
        (Some(entry), None) => format!(
            "The entry of page {} is valid, but its permissions are {}: {} it is a page fault.",
            show(page),
            entry.rights,
            kind.gerund()
        ),
        (Some(entry), Some(physical)) => format!(
            "The entry of page {} says frame {}. Physical address = frame × page size + offset = {} × \
             {} + {} = {}.",
            show(page),
            show(entry.frame),
            show(entry.frame),
            show(size),
            show(offset),
            show(physical)
        ),
    };
    let answer = physical.map_or("fault".into(), show);
    Question::new(format!("The process {} virtual address {}.", kind.does(), show(address)))
        .field("page", "page number", Form::Number, show(page))
        .field("offset", "offset in the page", Form::Number, show(offset))
        .field("physical", "physical address, or fault", Form::number_or("fault"), answer)
        .because(split)
        .because(why)
}
