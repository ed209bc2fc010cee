//! Two segments, chosen by the top bit: one grows up from its base, the other down.

use schemars::JsonSchema;
use serde::Serialize;

use super::OstepData;
use super::options::{Given, Options, switch, valued};
use super::relocation::{place, quarter_to_half};
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::Body;
use crate::topics::Data;

pub const OPTIONS: &[Options] = &[
    valued('s', "seed", "0"),
    valued('A', "addresses", "-1"),
    valued('a', "asize", "1k"),
    valued('p', "physmem", "16k"),
    valued('n', "numaddrs", "5"),
    valued('b', "b0", "-1"),
    valued('l', "l0", "-1"),
    valued('B', "b1", "-1"),
    valued('L', "l1", "-1"),
    switch('c', ""),
];

/// The registers, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentationData {
    /// The size of the address space.
    pub size: i64,
    /// The lower half, which grows up from its base.
    pub segment0: SegmentationRegisters,
    /// The upper half, which grows down to its base: that is the address behind its last byte.
    pub segment1: SegmentationRegisters,
    /// The virtual addresses.
    pub addresses: Vec<i64>,
}

/// The registers of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentationRegisters {
    /// The base.
    pub base: i64,
    /// The limit: how many bytes it has.
    pub limit: i64,
}

pub fn make(given: &Given) -> Result<Body, String> {
    let (size, psize) = (given.size('a')?, given.size('p')?);
    if psize <= 4 || size < 1 {
        return Err("-a, -p: give a size above 0, and a physical memory above 4".into());
    }
    if psize <= size {
        return Err("-p: physical memory must be larger than the address space (-a)".into());
    }
    let mut stream = given.stream();
    let (mut limit0, mut limit1) = (given.size('l')?, given.size('L')?);
    let (mut base0, mut base1) = (given.size('b')?, given.size('B')?);
    for limit in [&mut limit0, &mut limit1] {
        if *limit == -1 {
            *limit = quarter_to_half(size, stream.random());
        }
    }
    if (base0 == -1 || base1 == -1) && psize <= 2 * size {
        return Err(
            "-p: to draw bases, physical memory must be larger than two address spaces".into()
        );
    }
    let mut placed = |fits: &dyn Fn(i64) -> bool| {
        let found = place(&mut stream, psize, fits);
        found.ok_or("-l, -L: there is hardly room for so large a segment")
    };
    if base0 == -1 {
        base0 = placed(&|base| base + limit0 < psize)?;
    }
    // From here on the lowest address of segment 1.
    base1 = match base1 {
        -1 => placed(&|base| {
            base + limit1 < psize && (base > base0 + limit0 || base + limit1 < base0)
        })?,
        end => end - limit1,
    };
    if psize < base0 + limit0 - 1 || psize < base1 {
        return Err("-b, -B: a segment is not in physical memory".into());
    }
    if base1 < 0 {
        return Err("-B, -L: segment 1 would begin below address 0".into());
    }
    if 2 * limit0 > size || 2 * limit1 > size {
        return Err("-l, -L: a segment has at most half of the address space (-a)".into());
    }
    if limit0 + base0 > base1 && base1 > base0 {
        return Err("-b, -B: the segments overlap in physical memory".into());
    }
    let addresses = match given.list('A')? {
        Some(all) => all,
        None => (0..given.count('n')?).map(|_| stream.below(size)).collect(),
    };
    check(&addresses, size)?;
    let data = SegmentationData {
        size,
        segment0: SegmentationRegisters { base: base0, limit: limit0 },
        segment1: SegmentationRegisters { base: base1 + limit1, limit: limit1 },
        addresses,
    };
    let questions = data.addresses.iter().map(|&address| question(&data, address)).collect();
    let given = shown(&data, psize);
    let title = "OSTEP: segmentation".into();
    Ok(Body { title, given, data: Data::Ostep(OstepData::Segmentation(data)), questions })
}

/// All addresses are in the address space, and not too many.
pub fn check(addresses: &[i64], size: i64) -> Result<(), String> {
    if addresses.len() as i64 > super::QUESTIONS_MAX {
        return Err(format!("-A: give at most {} addresses", super::QUESTIONS_MAX));
    }
    match addresses.iter().find(|&&address| !(0..size).contains(&address)) {
        Some(address) => Err(format!("-A {address}: the address space has only 0 to {}", size - 1)),
        None => Ok(()),
    }
}

fn shown(data: &SegmentationData, psize: i64) -> Vec<Block> {
    let text = format!(
        "An address space of {} bytes has two segments in a physical memory of {psize} bytes. The top \
         bit of a virtual address says which: segment 0 (the lower half) grows up from its base, \
         segment 1 (the upper half) grows down from its base, which is the address behind its last \
         byte. For each virtual address, give the physical address, or say that it is a segmentation \
         violation.",
        data.size
    );
    let row = |name: &str, grows: &str, registers: &SegmentationRegisters| {
        let SegmentationRegisters { base, limit } = *registers;
        vec![name.into(), hex(base as u64), base.to_string(), limit.to_string(), grows.into()]
    };
    let rows = vec![row("0", "up", &data.segment0), row("1", "down", &data.segment1)];
    let head = ["segment", "base", "(decimal)", "limit", "grows"];
    vec![Block::text(text), Block::table("The registers", &head, rows)]
}

fn question(data: &SegmentationData, address: i64) -> Question {
    let is_upper = 2 * address >= data.size;
    let (physical, why) = match is_upper {
        true => {
            let SegmentationRegisters { base, limit } = data.segment1;
            let below = data.size - address;
            let physical = (below <= limit).then_some(base - below);
            let distance = format!(
                "{address} is in the upper half, {below} below the end of the address space; the \
                 limit is {limit}"
            );
            (
                physical,
                match physical {
                    Some(physical) => format!("{distance}: {base} − {below} = {physical}."),
                    None => format!("{distance}: a violation."),
                },
            )
        }
        false => {
            let SegmentationRegisters { base, limit } = data.segment0;
            let physical = (address < limit).then_some(base + address);
            (
                physical,
                match physical {
                    Some(physical) => format!(
                        "{address} is in the lower half and below the limit, {limit}: {base} + {address} = \
                     {physical}."
                    ),
                    None => format!(
                        "{address} is in the lower half, and not below the limit, {limit}: a violation."
                    ),
                },
            )
        }
    };
    let answer = physical.map_or("violation".into(), |physical| hex(physical as u64));
    Question::new(format!("Virtual address {address:#x} (decimal {address})"))
        .field("segment", "segment", Form::Number, u8::from(is_upper).to_string())
        .field("physical", "physical address, or violation", Form::number_or("violation"), answer)
        .because(why)
}
