//! Segmentation: the top bits of the address choose one of several pairs of base and bounds.

use pagewalk_mmu::segment::{Descriptor, Direction, SegmentCause, SegmentTable, Shape};
use pagewalk_mmu::{FaultCause, Privilege, Rights};
use schemars::JsonSchema;
use serde::Serialize;

use super::{AccessData, Data, Kind};
use crate::draw::Draw;
use crate::form::{Form, hex};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "segments",
    about: "translation by a segment table with bounds, directions and rights",
    variants: &[],
    make: Some(make),
};

/// The segment table, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentsData {
    /// The width of the segment number, the top bits of an address.
    pub number_bits: u8,
    /// The width of the offset, the bits below.
    pub offset_bits: u8,
    /// The valid segments.
    pub segments: Vec<SegmentData>,
    /// What is accessed.
    pub accesses: Vec<AccessData>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentData {
    /// Its number.
    pub number: u32,
    /// Where its offset 0 lies, or would lie.
    pub base: u64,
    /// The first offset that is not valid; in a segment that grows down, the first that is.
    pub bounds: u64,
    /// Offsets from the bounds on are valid, not those below.
    pub grows_down: bool,
    /// Of `r`, `w`, `x`.
    pub rights: String,
}

fn make(draw: &mut Draw, _: &'static str) -> Body {
    let (number_bits, offset_bits) = draw.pick(&[(2, 8), (2, 10), (3, 8), (2, 12)]);
    let size = 1_u64 << offset_bits;
    let all = 1_u32 << number_bits;
    let missing = draw.below(u64::from(all) - 1) as u32;
    let mut segments = Vec::new();
    let mut place = draw.between(1, 4) * size;
    for number in (0..all).filter(|&number| number != missing) {
        let grows_down = number == all - 1;
        let rights = if grows_down { "rw" } else { draw.pick(&["rx", "rw", "r", "rwx"]) };
        let bounds = draw.between(size / 8, size * 3 / 4);
        let base = place + draw.below(size / 4);
        place += size + draw.below(size);
        segments.push(SegmentData { number, base, bounds, grows_down, rights: rights.into() });
    }
    draw.shuffle(&mut segments);
    let mut places: Vec<u64> = segments.iter().map(|segment| segment.base).collect();
    places.sort_unstable();
    segments.sort_by_key(|segment| segment.number);
    let accesses = (0..6).map(|n| {
        // The fifth goes to the segment that there is not.
        let number = if n == 4 { missing } else { draw.pick(&segments).number };
        let segment = segments.iter().find(|segment| segment.number == number);
        let offset = match segment {
            Some(segment) if n % 3 == 2 => (segment.bounds + draw.below(3)).saturating_sub(1),
            _ => draw.below(size),
        };
        let kind = Kind::draw(draw);
        AccessData { kind, address: u64::from(number) << offset_bits | offset.min(size - 1) }
    });
    let accesses = accesses.collect();
    let data = SegmentsData { number_bits, offset_bits, segments, accesses };
    let table = table_of(&data);
    let questions = data.accesses.iter().map(|&access| question(&data, &table, access)).collect();
    let title = "Segmentation".into();
    Body { title, given: given(&data), data: Data::Segments(data), questions }
}

fn given(data: &SegmentsData) -> Vec<Block> {
    let SegmentsData { number_bits, offset_bits, .. } = *data;
    let text = format!(
        "A virtual address has {} bits: the upper {number_bits} are the segment number, the lower \
         {offset_bits} the offset. The number chooses a pair of base and bounds from the segment \
         table. In a segment that grows up, offsets below the bounds are valid; in one that grows \
         down (a stack), those from the bounds on. Physical address = base + offset. The hardware \
         first looks whether the segment is valid, then at the bounds, then at the rights; what \
         fails first is the cause of the trap.",
        number_bits + offset_bits
    );
    let rows = (0..1_u32 << number_bits).map(|number| {
        let segment = data.segments.iter().find(|segment| segment.number == number);
        match segment {
            None => vec![number.to_string(), "no".into(), "-".into(), "-".into(), "-".into(), {
                "-".into()
            }],
            Some(segment) => vec![
                number.to_string(),
                "yes".into(),
                hex(segment.base),
                hex(segment.bounds),
                if segment.grows_down { "down" } else { "up" }.into(),
                segment.rights.clone(),
            ],
        }
    });
    let head = ["segment", "valid", "base", "bounds", "grows", "rights"];
    vec![Block::text(text), Block::table("Segment table", &head, rows.collect())]
}

/// The hardware's table.
fn table_of(data: &SegmentsData) -> SegmentTable {
    let shape = Shape::new(data.number_bits, data.offset_bits).unwrap_or(Shape::DEFAULT);
    let mut table = SegmentTable::new(shape);
    for segment in &data.segments {
        let mut rights = Rights::empty();
        rights.set(Rights::READ, segment.rights.contains('r'));
        rights.set(Rights::WRITE, segment.rights.contains('w'));
        rights.set(Rights::EXECUTE, segment.rights.contains('x'));
        let direction = if segment.grows_down { Direction::Down } else { Direction::Up };
        let SegmentData { base, bounds, number, .. } = *segment;
        let descriptor = Descriptor { base, bounds, direction, rights };
        // The bounds are below a segment's size: it is not refused.
        let _ = table.load(Privilege::Supervisor, number, Some(descriptor));
    }
    table
}

fn question(data: &SegmentsData, table: &SegmentTable, access: AccessData) -> Question {
    let AccessData { kind, address } = access;
    let (number, offset) = split(data, address);
    let placed = table.translate(address, 1, kind.access());
    let cause = match placed.as_ref().map_err(|fault| fault.cause) {
        Ok(_) => "none",
        Err(FaultCause::Segment(SegmentCause::InvalidSegment)) => "invalid",
        Err(FaultCause::Segment(SegmentCause::OutOfBounds)) => "bounds",
        Err(_) => "rights",
    };
    let physical = placed.as_ref().ok().map(|placed| placed.address);
    let answer = physical.map_or("trap".into(), hex);
    let causes = Form::word(&["none", "invalid", "bounds", "rights"]);
    Question::new(format!("The program {} virtual address {address:#x}.", kind.does()))
        .field("segment", "segment number", Form::Number, number.to_string())
        .field("offset", "offset in the segment", Form::Number, hex(offset))
        .field("physical", "physical address, or trap", Form::number_or("trap"), answer)
        .field("cause", "cause of the trap, or none", causes, cause)
        .because(format!(
            "{address:#x} is {address:0width$b} in binary: segment {number}, offset {offset:#x}.",
            width = usize::from(data.number_bits + data.offset_bits)
        ))
        .because_all(why(data, access, physical))
}

fn split(data: &SegmentsData, address: u64) -> (u32, u64) {
    ((address >> data.offset_bits) as u32, address & ((1 << data.offset_bits) - 1))
}

fn why(data: &SegmentsData, access: AccessData, physical: Option<u64>) -> Vec<String> {
    let (number, offset) = split(data, access.address);
    let Some(segment) = data.segments.iter().find(|segment| segment.number == number) else {
        return vec![format!("Segment {number} is not valid: the hardware traps.")];
    };
    let SegmentData { base, bounds, grows_down, rights, .. } = segment;
    let (is_valid, relation) = match grows_down {
        true => (offset >= *bounds, "not below"),
        false => (offset < *bounds, "below"),
    };
    let direction = if *grows_down { "down" } else { "up" };
    if !is_valid {
        return vec![
            format!(
                "Segment {number} grows {direction}, so an offset must be {relation} the bounds; \
             {offset:#x} is not {relation} {bounds:#x}: the hardware traps."
            )
            .replace("not not below", "below"),
        ];
    }
    let mut sentences = vec![format!(
        "Segment {number} grows {direction}, and {offset:#x} is {relation} the bounds {bounds:#x}."
    )];
    let gerund = access.kind.gerund();
    sentences.push(match physical {
        Some(physical) => format!(
            "Its rights, {rights}, allow {gerund}. Physical address = {base:#x} + {offset:#x} = \
             {physical:#x}."
        ),
        None => format!(
            "Its rights are {rights}; {gerund} needs {}: the hardware traps.",
            access.kind.letter()
        ),
    });
    sentences
}
