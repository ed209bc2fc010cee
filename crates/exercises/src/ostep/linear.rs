//! A linear page table: one entry for each page, the valid bit on top.

use schemars::JsonSchema;
use serde::Serialize;

use super::options::{Given, Options, switch, valued};
use super::segmentation::check;
use super::{OstepData, QUESTIONS_MAX};
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::Body;
use crate::topics::Data;

pub const OPTIONS: &[Options] = &[
    valued('A', "addresses", "-1"),
    valued('s', "seed", "0"),
    valued('a', "asize", "16k"),
    valued('p', "physmem", "64k"),
    valued('P', "pagesize", "4k"),
    valued('n', "numaddrs", "5"),
    valued('u', "used", "50"),
    switch('v', ""),
    switch('c', ""),
];

/// The valid bit of an entry.
const VALID: u64 = 0x8000_0000;
/// Frames and pages that are drawn at most.
const FRAMES_MAX: i64 = 1 << 16;

/// The page table, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinearData {
    /// The bytes of a page.
    pub page_size: i64,
    /// The entries, from page 0 on: bit 31 says that an entry is valid, the bits below are the frame.
    pub entries: Vec<u64>,
    /// The virtual addresses.
    pub addresses: Vec<i64>,
}

pub fn make(given: &Given) -> Result<Body, String> {
    let (asize, psize, page) = (given.size('a')?, given.size('p')?, given.size('P')?);
    let used = given.number('u')?;
    if asize < 1 || psize <= asize {
        return Err("-p: physical memory must be larger than the address space (-a)".into());
    }
    if psize >= 1 << 30 {
        return Err("-p: physical memory must be smaller than 1g".into());
    }
    if page < 1 || asize % page != 0 || psize % page != 0 {
        return Err("-P: both -a and -p must be multiples of the page size".into());
    }
    let power = |size: i64| size.count_ones() == 1;
    if !power(asize) || !power(page) {
        return Err("-a, -P: address space and page size must be powers of two".into());
    }
    let (pages, frames) = (asize / page, psize / page);
    if frames > FRAMES_MAX {
        return Err(format!("-P: give pages so large that memory has at most {FRAMES_MAX} frames"));
    }
    let mut stream = given.stream();
    let mut taken = vec![false; frames as usize];
    let mut entries = Vec::new();
    for _ in 0..pages {
        entries.push(loop {
            if stream.random() * 100.0 <= 100.0 - used as f64 {
                break 0;
            }
            let frame = stream.below(frames) as usize;
            if !std::mem::replace(&mut taken[frame], true) {
                break VALID | frame as u64;
            }
        });
    }
    let addresses = match given.list('A')? {
        Some(all) => all,
        None => (0..given.count('n')?).map(|_| stream.below(asize)).collect(),
    };
    check(&addresses, asize)?;
    debug_assert!(addresses.len() as i64 <= QUESTIONS_MAX);
    let data = LinearData { page_size: page, entries, addresses };
    let questions = data.addresses.iter().map(|&address| question(&data, address)).collect();
    let given = shown(&data, asize, psize);
    let title = "OSTEP: linear page table".into();
    Ok(Body { title, given, data: Data::Ostep(OstepData::Linear(data)), questions })
}

fn shown(data: &LinearData, asize: i64, psize: i64) -> Vec<Block> {
    let text = format!(
        "An address space of {asize} bytes, a physical memory of {psize} bytes, pages of {} bytes. The \
         highest bit (bit 31) of an entry of the page table is the valid bit; if it is set, the bits \
         below are the number of the frame (PFN). For each virtual address, give the physical address, \
         or say that it is invalid.",
        data.page_size
    );
    let rows = data.entries.iter().enumerate();
    let rows = rows.map(|(page, entry)| vec![page.to_string(), format!("0x{entry:08x}")]);
    vec![Block::text(text), Block::table("The page table", &["VPN", "entry"], rows.collect())]
}

fn question(data: &LinearData, address: i64) -> Question {
    let (page, offset) = ((address / data.page_size) as u64, (address % data.page_size) as u64);
    let entry = data.entries.get(page as usize).copied().unwrap_or(0);
    let frame = (entry & VALID != 0).then_some(entry & !VALID);
    let physical = frame.map(|frame| frame * data.page_size as u64 + offset);
    let answer = physical.map_or("invalid".into(), hex);
    let bits = data.page_size.ilog2();
    Question::new(format!("Virtual address {address:#x} (decimal {address})"))
        .field("vpn", "virtual page number (VPN)", Form::Number, page.to_string())
        .field("physical", "physical address, or invalid", Form::number_or("invalid"), answer)
        .because(format!(
            "The lowest {bits} bits are the offset, {offset:#x}; above them is the VPN, {page}."
        ))
        .because(match (frame, physical) {
            (Some(frame), Some(physical)) => format!(
                "Entry {page} is 0x{entry:08x}: valid, frame {frame:#x}. Physical address = {frame:#x} × \
                 {:#x} + {offset:#x} = {physical:#x} (decimal {physical}).",
                data.page_size
            ),
            _ => format!("Entry {page} is 0x{entry:08x}: its valid bit is clear."),
        })
}
