//! Small multi-level page tables: every table is shown, word by word.

use std::collections::BTreeMap;

use pagewalk_explain::SparseMemory;
use pagewalk_mmu::radix::{Radix, Root, walk_observed};
use pagewalk_mmu::{PhysAddr, Step, TableMemory, VirtAddr, WalkObserver};
use schemars::JsonSchema;
use serde::Serialize;

use super::small_format::{FRAME_SHIFT, Small, VALID, WRITABLE};
use super::{AccessData, Data, Kind};
use crate::draw::Draw;
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "multilevel",
    about: "translation by small page tables of two or three levels, shown in full",
    variants: &["two", "three"],
    make: Some(make),
};

/// Frames of physical memory.
const FRAMES: u64 = 64;
/// Entries in a row of a table that is shown.
const ROW: usize = 4;

/// The tables, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SmallData {
    /// The width of the offset: pages have 2^n bytes.
    pub offset_bits: u8,
    /// The width of each index, that of the top table first.
    pub index_bits: Vec<u8>,
    /// The frame of the top table.
    pub root: u64,
    /// The frames that hold tables, with their entries of four bytes: bit 0 says that an entry is
    /// valid, bit 1 that its page can be written; the frame's number begins at bit 8.
    pub tables: Vec<SmallTable>,
    /// What is accessed.
    pub accesses: Vec<AccessData>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SmallTable {
    /// The frame that holds it.
    pub frame: u64,
    /// Its entries.
    pub entries: Vec<u64>,
}

fn make(draw: &mut Draw, variant: &'static str) -> Body {
    let levels = if variant == "three" { 3 } else { 2 };
    let format = draw.pick(&Small::of_levels(levels));
    let geometry = *format.geometry();
    let offset_bits = geometry.base_page().shift();
    let mut tree =
        Tree { draw, format, free: Vec::new(), tables: BTreeMap::new(), pages: Vec::new() };
    tree.free = tree.draw.distinct(FRAMES as usize, FRAMES);
    let root = tree.frame();
    tree.grow(root, levels - 1, 0);
    let (tables, pages) = (tree.tables, tree.pages);
    let accesses = (0..5).map(|n| {
        let page = match n {
            0..=2 => draw.pick(&pages),
            _ => draw.below(1 << (geometry.va_bits - offset_bits)),
        };
        let kind = draw.pick(&[Kind::Read, Kind::Read, Kind::Write]);
        AccessData { kind, address: page << offset_bits | draw.below(1 << offset_bits) }
    });
    let data = SmallData {
        offset_bits,
        index_bits: geometry.levels.iter().rev().map(|level| level.bits).collect(),
        root,
        tables: tables.into_iter().map(|(frame, entries)| SmallTable { frame, entries }).collect(),
        accesses: accesses.collect(),
    };
    let questions = data.accesses.iter().map(|&access| question(&data, format, access)).collect();
    let title = format!("Translation by page tables of {levels} levels");
    Body { title, given: given(&data), data: Data::Small(data), questions }
}

/// Tables under construction.
struct Tree<'a> {
    draw: &'a mut Draw,
    format: Small,
    free: Vec<u64>,
    tables: BTreeMap<u64, Vec<u64>>,
    /// The pages that are mapped.
    pages: Vec<u64>,
}

impl Tree<'_> {
    fn frame(&mut self) -> u64 {
        // There are more frames than tables and pages of any tree.
        self.free.pop().unwrap_or_default()
    }

    /// Fills the table of a level in `frame`; `above` are the indices on the way to it.
    fn grow(&mut self, frame: u64, level: usize, above: u64) {
        let bits = self.format.geometry().levels[level].bits;
        let mut entries = vec![0; 1 << bits];
        let used = if level == 0 { 3 } else { 2 };
        for index in self.draw.distinct(used, 1 << bits) {
            let next = self.frame();
            let number = above << bits | index;
            entries[index as usize] = next << FRAME_SHIFT | VALID;
            if level > 0 {
                self.grow(next, level - 1, number);
            } else {
                entries[index as usize] |= if self.draw.chance(60) { WRITABLE } else { 0 };
                self.pages.push(number);
            }
        }
        self.tables.insert(frame, entries);
    }
}

fn level_name(data: &SmallData, level: usize) -> &'static str {
    match (level, data.index_bits.len()) {
        (0, _) => "page table",
        (1, 2) => "page directory",
        (1, _) => "middle table",
        _ => "top table",
    }
}

fn given(data: &SmallData) -> Vec<Block> {
    let page = 1_u64 << data.offset_bits;
    let bits: u8 = data.index_bits.iter().sum::<u8>() + data.offset_bits;
    let parts: Vec<String> = data.index_bits.iter().map(u8::to_string).collect();
    let text = format!(
        "Pages and frames have {page} bytes. A virtual address has {bits} bits: from the top, indices \
         of {} bits, then an offset of {}. Each index selects an entry of a table; an entry of the \
         last table (a PTE) names the frame of the page, one of the tables above it (a PDE) the frame \
         of the next table.",
        parts.join(" and "),
        data.offset_bits
    );
    let format = format!(
        "An entry has four bytes, so that a table just fills a frame. Bit 0 is the valid bit, bit 1 \
         says that the page can be written, and entry >> 8 is the number of the frame. The top table \
         is in frame {:#x}. An entry that is not valid, or a write to a page that cannot be \
         written, is a page fault.",
        data.root
    );
    let mut blocks = vec![Block::text(text), Block::text(format)];
    for table in &data.tables {
        let rows = table.entries.chunks(ROW).enumerate().map(|(row, entries)| {
            let cells = entries.iter().map(|entry| format!("0x{entry:04x}"));
            [hex((row * ROW) as u64)].into_iter().chain(cells).collect()
        });
        let head = ["index", "+0", "+1", "+2", "+3"];
        let caption = format!("Frame {:#x} holds a table", table.frame);
        blocks.push(Block::table(&caption, &head, rows.collect()));
    }
    blocks
}

/// The entries that a walk reads.
#[derive(Default)]
struct Steps(Vec<Step>);

impl WalkObserver for Steps {
    fn step(&mut self, step: &Step) {
        self.0.push(*step);
    }
}

fn question(data: &SmallData, format: Small, access: AccessData) -> Question {
    let AccessData { kind, address } = access;
    let page = format.geometry().base_page();
    let mut memory = SparseMemory::new(FRAMES << data.offset_bits);
    for table in &data.tables {
        for (index, &entry) in (0..).zip(&table.entries) {
            let at = PhysAddr((table.frame << data.offset_bits) + 4 * index);
            // Tables lie in memory.
            let _ = memory.write_entry(at, format.geometry().entry, entry);
        }
    }
    let table = PhysAddr(data.root << data.offset_bits);
    let root = Root { table, upper: None, registers: None };
    let mut steps = Steps::default();
    let va = VirtAddr(address);
    let walked = walk_observed(&format, &mut memory, &root, va, kind.access(), &mut steps);
    let physical = walked.ok().map(|found| found.pa.0);
    let read: Vec<u64> = steps.0.iter().map(|step| step.index).collect();
    let offset = va.offset(page);
    let mut parts: Vec<String> = format
        .geometry()
        .levels
        .iter()
        .enumerate()
        .rev()
        .map(|(level, shape)| format!("{} index {:#x}", level_name(data, level), shape.index(va)))
        .collect();
    parts.push(format!("offset {offset:#x}"));
    let width = usize::from(format.geometry().va_bits);
    let answer = physical.map_or("fault".into(), hex);
    Question::new(format!("The process {} virtual address {address:#x}.", kind.does()))
        .field("indices", "indices of the entries that are read, in order", Form::Numbers, {
            crate::form::list(&read)
        })
        .field("offset", "offset in the page", Form::Number, hex(offset))
        .field("physical", "physical address, or fault", Form::number_or("fault"), answer)
        .because(format!("{address:#x} is {address:0width$b} in binary: {}.", parts.join(", ")))
        .because_all(why(data, &steps.0, kind, offset, physical))
}

fn why(
    data: &SmallData,
    steps: &[Step],
    kind: Kind,
    offset: u64,
    physical: Option<u64>,
) -> Vec<String> {
    let mut frame = data.root;
    let mut sentences = Vec::new();
    for step in steps {
        let next = step.raw >> FRAME_SHIFT;
        let name = level_name(data, usize::from(step.level.0));
        let read =
            format!("Entry {:#x} of the {name} in frame {frame:#x} is {:#06x}:", step.index, {
                step.raw
            });
        let is_last = step.level.0 == 0;
        sentences.push(match (step.raw & VALID != 0, is_last, physical) {
            (false, ..) => format!("{read} its valid bit is clear, so this is a page fault."),
            (true, false, _) => format!("{read} valid, the next table is in frame {next:#x}."),
            (true, true, None) => format!(
                "{read} valid, but bit 1 is clear: {} is a page fault.",
                kind.gerund()
            ),
            (true, true, Some(physical)) => format!(
                "{read} valid, the page is in frame {next:#x}. Physical address = {next:#x} × {:#x} + \
                 {offset:#x} = {physical:#x}.",
                1_u64 << data.offset_bits
            ),
        });
        frame = next;
    }
    sentences
}
