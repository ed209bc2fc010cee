//! Base and limit: is an address within the limit, and where does it lie?

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
    valued('a', "asize", "1k"),
    valued('p', "physmem", "16k"),
    valued('n', "addresses", "5"),
    valued('b', "b", "-1"),
    valued('l', "l", "-1"),
    switch('c', "compute"),
];

/// How often a place is drawn before it counts as impossible.
const TRIES: usize = 1_000_000;

/// The registers, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RelocationData {
    /// The base register.
    pub base: i64,
    /// The limit register: addresses below it are allowed.
    pub limit: i64,
    /// The virtual addresses.
    pub addresses: Vec<i64>,
}

pub fn make(given: &Given) -> Result<Body, String> {
    let (asize, psize) = (given.size('a')?, given.size('p')?);
    let (mut limit, mut base) = (given.size('l')?, given.size('b')?);
    let count = given.count('n')?;
    if asize < 1 {
        return Err("-a: the address space needs a size of at least 1".into());
    }
    if psize <= asize {
        return Err("-p: physical memory must be larger than the address space (-a)".into());
    }
    let mut stream = given.stream();
    if limit == -1 {
        limit = quarter_to_half(asize, stream.random());
    }
    if base == -1 {
        base = place(&mut stream, psize, |base| base + limit < psize)
            .ok_or("-l: hardly a base leaves room for so large a limit")?;
    }
    if base + limit > psize {
        return Err("-b, -l: base + limit is beyond physical memory (-p)".into());
    }
    let addresses: Vec<i64> = (0..count).map(|_| stream.below(asize)).collect();
    let questions = addresses.iter().map(|&address| question(base, limit, address)).collect();
    let text = format!(
        "An address space of {asize} bytes is placed in a physical memory of {psize} bytes by a base \
         register and a limit register (also called bounds). For each virtual address, give the \
         physical address, or say that it is a segmentation violation."
    );
    let rows = vec![
        vec!["base".into(), hex(base as u64), base.to_string()],
        vec!["limit".into(), hex(limit as u64), limit.to_string()],
    ];
    let table = Block::table("The registers", &["register", "hexadecimal", "decimal"], rows);
    let data = Data::Ostep(OstepData::Relocation(RelocationData { base, limit, addresses }));
    let title = "OSTEP: relocation".into();
    Ok(Body { title, given: vec![Block::text(text), table], data, questions })
}

/// An address below `end` that is drawn until it fits; `None` if none is found.
pub fn place(stream: &mut Twister, end: i64, fits: impl Fn(i64) -> bool) -> Option<i64> {
    (0..TRIES).map(|_| stream.below(end)).find(|&address| fits(address))
}

/// A length from a quarter to half of a size.
pub fn quarter_to_half(size: i64, random: f64) -> i64 {
    let quarter = size as f64 / 4.0;
    (quarter + quarter * random) as i64
}

fn question(base: i64, limit: i64, address: i64) -> Question {
    let is_valid = address < limit;
    let answer = match is_valid {
        true => hex((base + address) as u64),
        false => "violation".into(),
    };
    let why = match is_valid {
        true => format!(
            "{address} is below the limit, {limit}: {base} + {address} = {} = {answer}.",
            base + address
        ),
        false => format!("{address} is not below the limit, {limit}: a segmentation violation."),
    };
    Question::new(format!("Virtual address {address:#x} (decimal {address})"))
        .field("physical", "physical address, or violation", Form::number_or("violation"), answer)
        .because(why)
}
