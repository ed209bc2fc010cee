//! A free list: which block is taken, what is left, and in which order.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::options::{Given, Options, shortened, switch, valued};
use super::{OstepData, QUESTIONS_MAX};
use crate::form::{Form, list};
use crate::quiz::{Block, Question};
use crate::topic::Body;
use crate::topics::{Data, plural};

pub const OPTIONS: &[Options] = &[
    valued('s', "seed", "0"),
    valued('S', "size", "100"),
    valued('b', "baseAddr", "1000"),
    valued('H', "headerSize", "0"),
    valued('a', "alignment", "-1"),
    valued('p', "policy", "BEST"),
    valued('l', "listOrder", "ADDRSORT"),
    switch('C', "coalesce"),
    valued('n', "numOps", "10"),
    valued('r', "range", "10"),
    valued('P', "percentAlloc", "50"),
    valued('A', "allocList", ""),
    switch('c', "compute"),
];

const POLICIES: [&str; 3] = ["BEST", "WORST", "FIRST"];
const ORDERS: [&str; 5] = ["ADDRSORT", "SIZESORT+", "SIZESORT-", "INSERT-FRONT", "INSERT-BACK"];
/// The largest number that an option may be.
const NUMBER_MAX: i64 = 1 << 40;

/// A heap, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FreespaceData {
    /// The address of the heap.
    pub base: i64,
    /// Its bytes.
    pub size: i64,
    /// The bytes of a header before each block.
    pub header: i64,
    /// Sizes are rounded up to a multiple of this, if it is given.
    pub alignment: Option<i64>,
    /// Which free block is taken.
    pub policy: String,
    /// The order of the free list.
    pub order: String,
    /// Neighbours in the list that are neighbours in memory become one block.
    pub coalesce: bool,
    /// What is asked, in order.
    pub operations: Vec<FreespaceOperation>,
}

/// An operation; blocks are numbered in the order of the requests for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum FreespaceOperation {
    /// A block of so many bytes is wanted.
    Alloc {
        /// The block's number.
        block: usize,
        /// The bytes.
        bytes: i64,
    },
    /// A block is given back.
    Free {
        /// The block's number.
        block: usize,
    },
}

struct Heap<'a> {
    data: &'a FreespaceData,
    /// Address and size of the free blocks.
    free: Vec<(i64, i64)>,
    /// The sizes of those in use, by address.
    sizes: BTreeMap<i64, i64>,
}

/// What an allocation found.
struct Found {
    /// Bytes that it needs, header and rounding among them.
    needed: i64,
    /// Address and size of the free block that it takes, if there is one.
    taken: Option<(i64, i64)>,
    /// Free blocks that were looked at.
    looked: usize,
}

impl Heap<'_> {
    fn alloc(&mut self, bytes: i64) -> Found {
        let rounded = match self.data.alignment {
            Some(alignment) => (bytes + alignment - 1) / alignment * alignment,
            None => bytes,
        };
        let needed = rounded + self.data.header;
        let fits = || self.free.iter().enumerate().filter(|(_, block)| block.1 >= needed);
        let (place, looked) = match self.data.policy.as_str() {
            "FIRST" => {
                let first = fits().next().map(|(place, _)| place);
                (first, first.map_or(self.free.len(), |place| place + 1))
            }
            // Of equals the first.
            "BEST" => (fits().min_by_key(|(_, block)| block.1).map(|one| one.0), self.free.len()),
            _ => (fits().rev().max_by_key(|(_, block)| block.1).map(|one| one.0), self.free.len()),
        };
        let taken = place.map(|place| self.free[place]);
        if let (Some(place), Some((address, size))) = (place, taken) {
            if size > needed {
                self.free[place] = (address + needed, size - needed);
            } else {
                self.free.remove(place);
            }
            self.sizes.insert(address, needed);
        }
        Found { needed, taken, looked }
    }

    /// Gives a block back; false if none is in use at this address.
    fn release(&mut self, address: i64) -> bool {
        let Some(size) = self.sizes.remove(&address) else { return false };
        match self.data.order.as_str() {
            "INSERT-FRONT" => self.free.insert(0, (address, size)),
            _ => self.free.push((address, size)),
        }
        match self.data.order.as_str() {
            "ADDRSORT" => self.free.sort_by_key(|block| block.0),
            "SIZESORT+" => self.free.sort_by_key(|block| block.1),
            "SIZESORT-" => self.free.sort_by_key(|block| std::cmp::Reverse(block.1)),
            _ => {}
        }
        if self.data.coalesce {
            self.coalesce();
        }
        true
    }

    fn coalesce(&mut self) {
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for &(address, size) in &self.free {
            match joined.last_mut() {
                Some(last) if last.0 + last.1 == address => last.1 += size,
                _ => joined.push((address, size)),
            }
        }
        self.free = joined;
    }
}

pub fn make(given: &Given) -> Result<Body, String> {
    let choice = |short, all: &[&str]| {
        let text = given.text(short);
        let is_known = all.contains(&text);
        let refused = || format!("-{short} '{}': give one of {}", shortened(text), all.join(", "));
        is_known.then(|| text.to_owned()).ok_or_else(refused)
    };
    let number = |short, least| {
        let number = given.number(short)?;
        let refused = || format!("-{short} {number}: give a number from {least} to {NUMBER_MAX}");
        (least..=NUMBER_MAX).contains(&number).then_some(number).ok_or_else(refused)
    };
    let alignment = match given.number('a')? {
        -1 => None,
        _ => Some(number('a', 1)?),
    };
    let mut data = FreespaceData {
        base: number('b', 0)?,
        size: number('S', 1)?,
        header: number('H', 0)?,
        alignment,
        policy: choice('p', &POLICIES)?,
        order: choice('l', &ORDERS)?,
        coalesce: given.has('C'),
        operations: Vec::new(),
    };
    let is_random = given.text('A').is_empty();
    let operations = if is_random { drawn(given, &data)? } else { listed(given.text('A'))? };
    data.operations = operations;
    let questions = questions(&data, is_random)?;
    let shift = shift(&data, is_random);
    let given = shown(&data, shift);
    let title = "OSTEP: free space".into();
    Ok(Body { title, given, data: Data::Ostep(OstepData::Freespace(data)), questions })
}

fn heap(data: &FreespaceData) -> Heap<'_> {
    Heap { data, free: vec![(data.base, data.size)], sizes: BTreeMap::new() }
}

/// Random operations; what is freed depends on what could be allocated.
fn drawn(given: &Given, data: &FreespaceData) -> Result<Vec<FreespaceOperation>, String> {
    let (count, range, percent) = (given.count('n')?, given.number('r')?, given.number('P')?);
    if percent < 1 || !(0..=NUMBER_MAX).contains(&range) {
        return Err("-P, -r: give a percentage from 1 on, and a range from 0 on".into());
    }
    let mut stream = given.stream();
    let mut heap = heap(data);
    let mut live: Vec<(usize, i64)> = Vec::new();
    let mut operations = Vec::new();
    let mut block = 0;
    while (operations.len() as i64) < count {
        if stream.random() < percent as f64 / 100.0 {
            let bytes = stream.below(range) + 1;
            live.extend(heap.alloc(bytes).taken.map(|(address, _)| (block, address)));
            operations.push(FreespaceOperation::Alloc { block, bytes });
            block += 1;
        } else if !live.is_empty() {
            let place = stream.below(live.len() as i64) as usize;
            let (block, address) = live.remove(place);
            heap.release(address);
            operations.push(FreespaceOperation::Free { block });
        }
    }
    Ok(operations)
}

/// Operations as they are given: `+10,-0`.
fn listed(text: &str) -> Result<Vec<FreespaceOperation>, String> {
    let mut operations = Vec::new();
    let mut block = 0;
    for word in text.split(',') {
        let refused = || format!("-A '{}': give +BYTES or -BLOCK", shortened(word));
        let number = || word.get(1..).and_then(|digits| digits.parse::<u32>().ok());
        let number = i64::from(number().ok_or_else(refused)?);
        match word.as_bytes().first() {
            Some(b'+') if number > 0 => {
                operations.push(FreespaceOperation::Alloc { block, bytes: number });
                block += 1;
            }
            Some(b'-') => operations.push(FreespaceOperation::Free { block: number as usize }),
            _ => return Err(refused()),
        }
    }
    match operations.len() as i64 <= QUESTIONS_MAX {
        true => Ok(operations),
        false => Err(format!("-A: give at most {QUESTIONS_MAX} operations")),
    }
}

fn shown(data: &FreespaceData, shift: i64) -> Vec<Block> {
    let policy = match data.policy.as_str() {
        "BEST" => "the smallest that is large enough",
        "WORST" => "the largest",
        _ => "the first that is large enough",
    };
    let order = match data.order.as_str() {
        "ADDRSORT" => "sorted by address when a block is given back",
        "SIZESORT+" => "sorted by size when a block is given back, smallest first",
        "SIZESORT-" => "sorted by size when a block is given back, largest first",
        "INSERT-FRONT" => "with what is given back at the front",
        _ => "with what is given back at the end",
    };
    let mut text = format!(
        "A heap of {} bytes begins at address {}; at first it is one free block. Of the free blocks, {policy} \
         is taken ({} fit), of several the first in the list; what is left of it stays in its place. The \
         list is {order}.",
        data.size,
        data.base,
        data.policy.to_lowercase()
    );
    if data.header > 0 {
        text.push_str(&format!(" Each block has a header of {} bytes before it.", data.header));
    }
    if shift > 0 {
        text.push_str(" An allocation returns the address behind the header.");
    }
    if let Some(alignment) = data.alignment {
        text.push_str(&format!(" Sizes are rounded up to multiples of {alignment}."));
    }
    if data.coalesce {
        text.push_str(
            " After each release, neighbours in the list that follow each other in memory are joined.",
        );
    }
    vec![Block::text(text)]
}

/// In random mode the scripts' allocations return the address behind the header.
fn shift(data: &FreespaceData, is_random: bool) -> i64 {
    if is_random { data.header } else { 0 }
}

fn questions(data: &FreespaceData, is_random: bool) -> Result<Vec<Question>, String> {
    let mut heap = heap(data);
    let shift = shift(data, is_random);
    // Where each block was; `None` if there was no room.
    let mut blocks: Vec<Option<i64>> = Vec::new();
    let mut questions = Vec::new();
    for &operation in &data.operations {
        let question = match operation {
            FreespaceOperation::Alloc { block, bytes } => {
                let found = heap.alloc(bytes);
                blocks.push(found.taken.map(|(address, _)| address));
                allocated(block, bytes, &found, shift)
            }
            FreespaceOperation::Free { block } => {
                let placed = blocks.iter().filter(|address| address.is_some()).count();
                if !is_random && block >= placed {
                    // As in the scripts: there is no such block, and nothing happens.
                    continue;
                }
                let Some(&Some(address)) = blocks.get(block) else {
                    return Err(format!("-A: block {block} was never allocated"));
                };
                released(block, address, heap.release(address))
            }
        };
        let shown: Vec<u64> =
            heap.free.iter().flat_map(|&(address, size)| [address as u64, size as u64]).collect();
        questions.push(question.field(
            "list",
            "free list afterwards: address and size of each block",
            Form::Numbers,
            list(&shown),
        ));
    }
    Ok(questions)
}

fn allocated(block: usize, bytes: i64, found: &Found, shift: i64) -> Question {
    let Found { needed, taken, looked } = *found;
    let answer = taken.map_or("fail".into(), |(address, _)| (address + shift).to_string());
    let looked_at = plural(looked as u64, "free block", "free blocks");
    let needs = match needed == bytes {
        true => String::new(),
        false => format!("With header and rounding it needs {needed} bytes. "),
    };
    Question::new(format!("Block {block} is allocated: {}.", plural(bytes as u64, "byte", "bytes")))
        .field("returned", "address, or fail", Form::number_or("fail"), answer)
        .field("searched", "free blocks that are looked at", Form::Number, looked.to_string())
        .because(match taken {
            Some((address, size)) => format!(
                "{needs}After {looked_at} the one at {address} is taken; it has {size} bytes, of which {} \
                 are left.",
                size - needed
            ),
            None => format!("{needs}None of {looked_at} is large enough."),
        })
}

fn released(block: usize, address: i64, is_fine: bool) -> Question {
    let answer = if is_fine { "0" } else { "-1" };
    Question::new(format!("Block {block} is given back."))
        .field("returned", "0 if that works, -1 if not", Form::word(&["0", "-1"]), answer)
        .because(match is_fine {
            true => format!("The block that was allocated at {address} goes to the free list."),
            false => format!("Nothing is allocated at {address} any more."),
        })
}
