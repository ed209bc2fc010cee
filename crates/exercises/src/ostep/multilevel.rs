//! A page table of two levels in a memory of 128 pages of 32 bytes.

use schemars::JsonSchema;
use serde::Serialize;

use super::OstepData;
use super::options::{Given, Options, switch, valued};
use super::twister::Twister;
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::Body;
use crate::topics::Data;

pub const OPTIONS: &[Options] = &[
    valued('s', "seed", "0"),
    valued('a', "allocated", "64"),
    valued('n', "addresses", "10"),
    switch('c', "solve"),
];

const PAGE_BITS: u32 = 5;
const PAGE: usize = 1 << PAGE_BITS;
const FRAMES: usize = 128;
const PAGES: usize = 1024;
/// The valid bit of an entry.
const VALID: u8 = 0x80;
/// An entry that was never set.
const UNUSED: u8 = 0x7f;

/// Memory, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MultilevelData {
    /// The pages of physical memory, as 64 hexadecimal digits each.
    pub memory: Vec<String>,
    /// The page directory base register: the page that holds the page directory.
    pub pdbr: usize,
    /// The virtual addresses.
    pub addresses: Vec<i64>,
}

struct Machine {
    stream: Twister,
    memory: Vec<u8>,
    used: Vec<bool>,
}

impl Machine {
    /// A frame that is free, drawn at random.
    fn frame(&mut self) -> Result<usize, String> {
        if self.used.iter().all(|&used| used) {
            return Err("-a: memory has 128 pages, too few for so many virtual pages".into());
        }
        loop {
            let frame = self.stream.below(FRAMES as i64) as usize;
            if !std::mem::replace(&mut self.used[frame], true) {
                return Ok(frame);
            }
        }
    }

    /// A frame for a table of entries that are not valid.
    fn table(&mut self) -> Result<usize, String> {
        let frame = self.frame()?;
        self.memory[frame * PAGE..(frame + 1) * PAGE].fill(UNUSED);
        Ok(frame)
    }

    /// Maps a page to a new frame, with a table for it if there is none.
    fn map(&mut self, directory: usize, page: usize) -> Result<(), String> {
        let frame = self.frame()?;
        let at = directory * PAGE + page / PAGE;
        if self.memory[at] & VALID == 0 {
            self.memory[at] = VALID | self.table()? as u8;
        }
        let table = usize::from(self.memory[at] & !VALID);
        self.memory[table * PAGE + page % PAGE] = VALID | frame as u8;
        for byte in frame * PAGE..(frame + 1) * PAGE {
            self.memory[byte] = self.stream.below(31) as u8;
        }
        Ok(())
    }
}

pub fn make(given: &Given) -> Result<Body, String> {
    let (allocated, count) = (given.number('a')?, given.count('n')?);
    let (memory, used) = (vec![0; FRAMES * PAGE], vec![false; FRAMES]);
    let mut machine = Machine { stream: given.stream(), memory, used };
    let pdbr = machine.table()?;
    let mut taken = vec![false; PAGES];
    let mut pages = Vec::new();
    for _ in 0..allocated {
        let page = loop {
            let page = machine.stream.below(PAGES as i64) as usize;
            if !std::mem::replace(&mut taken[page], true) {
                break page;
            }
        };
        pages.push(page as i64);
        machine.map(pdbr, page)?;
    }
    let stream = &mut machine.stream;
    let addresses = (0..count.max(0) as usize).map(|n| {
        let any = stream.random() * 100.0 > 50.0;
        match pages.get(n) {
            Some(page) if !any => page << PAGE_BITS | stream.below(PAGE as i64),
            _ => stream.below((PAGES * PAGE) as i64),
        }
    });
    let addresses: Vec<i64> = addresses.collect();
    let memory = machine.memory;
    let questions = addresses.iter().map(|&one| question(&memory, pdbr, one as usize)).collect();
    let dump =
        memory.chunks(PAGE).map(|page| page.iter().map(|byte| format!("{byte:02x}")).collect());
    let data = MultilevelData { memory: dump.collect(), pdbr, addresses };
    let given = shown(&data);
    let title = "OSTEP: page table of two levels".into();
    Ok(Body { title, given, data: Data::Ostep(OstepData::Multilevel(data)), questions })
}

fn shown(data: &MultilevelData) -> Vec<Block> {
    let text = format!(
        "Pages have 32 bytes. A virtual address has 15 bits: 5 are the index into the page directory, 5 \
         the index into a page table, 5 the offset. An entry of either is a byte: bit 7 is the valid bit, \
         the bits below are the number of a page of physical memory (PFN). The page directory is in \
         page {} (the page directory base register, PDBR). For each virtual address, give the entries \
         that are read, the physical address and the byte there, or say that it faults.",
        data.pdbr
    );
    let rows = data.memory.iter().enumerate();
    let rows = rows.map(|(page, bytes)| vec![page.to_string(), bytes.clone()]);
    let table = Block::table("Physical memory", &["page", "bytes 0 to 31"], rows.collect());
    vec![Block::text(text), table]
}

fn question(memory: &[u8], pdbr: usize, address: usize) -> Question {
    let (directory, table, offset) =
        (address >> 10, address >> PAGE_BITS & (PAGE - 1), address & (PAGE - 1));
    let pde = memory[pdbr * PAGE + directory];
    let next = |entry: u8| (entry & VALID != 0).then_some(usize::from(entry & !VALID));
    let pte = next(pde).map(|frame| memory[frame * PAGE + table]);
    let physical = pte.and_then(next).map(|frame| frame * PAGE + offset);
    let hex_or =
        |number: Option<usize>, word: &str| number.map_or(word.into(), |number| hex(number as u64));
    let meaning = |entry: u8| match next(entry) {
        Some(frame) => format!("valid, page {frame} ({frame:#x})"),
        None => "not valid: a fault".into(),
    };
    Question::new(format!("Virtual address {address:#06x}"))
        .field("pde_index", "index into the page directory", Form::Number, directory.to_string())
        .field("pde", "the page directory entry", Form::Number, hex(pde.into()))
        .field("pte_index", "index into the page table", Form::Number, table.to_string())
        .field("pte", "the page-table entry, or none if there is no table", {
            Form::number_or("none")
        }, hex_or(pte.map(usize::from), "none"))
        .field("physical", "physical address, or fault", Form::number_or("fault"), {
            hex_or(physical, "fault")
        })
        .field("value", "the byte there, or none", Form::number_or("none"), {
            hex_or(physical.map(|at| usize::from(memory[at])), "none")
        })
        .because(format!(
            "{address:#06x} is {directory:05b} {table:05b} {offset:05b} in binary: {directory}, {table}, \
             offset {offset}."
        ))
        .because(format!("Entry {directory} of page {pdbr} is {pde:#04x}: {}.", meaning(pde)))
        .because_all(pte.iter().map(|&pte| {
            let page = pde & !VALID;
            format!("Entry {table} of page {page} is {pte:#04x}: {}.", meaning(pte))
        }))
        .because_all(physical.iter().map(|&at| {
            format!(
                "Physical address = {} × 32 + {offset} = {at} = {at:#x}, where {:#04x} is.",
                at / PAGE,
                memory[at]
            )
        }))
}
