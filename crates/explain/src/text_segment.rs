//! Segmentation's part of an explanation as text.

use crate::record::{Check, Explanation, Outcome, Range, SegmentDescriptor, SegmentProbe};
use crate::text::{Base, flags, line, push_binary};

/// What segmentation made of an address.
pub fn push_segment(
    out: &mut String,
    segment: &SegmentProbe,
    explanation: &Explanation,
    base: Base,
) {
    if segment.base.is_none() && segment.split.is_empty() {
        line(out, format_args!("  no translation: the address is physical"));
    }
    push_choice(out, segment, explanation.address, base);
    if let Some(descriptor) = &segment.descriptor {
        push_descriptor(out, descriptor, base);
    }
    for check in &segment.checks {
        push_check(out, check, base);
    }
    let is_last = matches!(explanation.outcome, Outcome::Placed { .. });
    if let (Some(start), Some(address)) = (segment.base, segment.address) {
        let what = if is_last { "" } else { ", the linear address" };
        let [offset, start, sum] =
            [segment.offset, start, address].map(|number| base.number(number));
        line(out, format_args!("  base + offset: {start} + {offset} = {sum}{what}"));
    }
    if !explanation.split.is_empty() {
        line(out, format_args!(""));
    }
}

/// How the segment is chosen.
fn push_choice(out: &mut String, segment: &SegmentProbe, address: u64, base: Base) {
    match (&segment.split[..], base) {
        ([], _) => return,
        ([number, offset], Base::Decimal) => line(
            out,
            format_args!(
                "  {address} = {} x {} + {}: segment {}, offset {}",
                number.value,
                // The offset's width is that of the lower part.
                1u64 << number.low.unwrap_or(0),
                offset.value,
                number.value,
                offset.value
            ),
        ),
        ([_, _], Base::Hexadecimal) => push_binary(out, &segment.split),
        (selector, _) => {
            let parts = selector.iter().map(|part| match part.name.split_once(": ") {
                Some((_, table)) => table.to_owned(),
                None => format!("{} {}", part.name, part.value),
            });
            let parts: Vec<_> = parts.collect();
            let raw =
                selector.iter().fold(0, |raw, part| raw | part.value << part.low.unwrap_or(0));
            let selector = base.number(raw);
            line(out, format_args!("  {} = {selector}: {}", segment.unit, parts.join(", ")));
        }
    }
    if segment.split.len() == 2 {
        line(out, format_args!(""));
    }
}

fn push_descriptor(out: &mut String, descriptor: &SegmentDescriptor, base: Base) {
    let SegmentDescriptor { number, raw, bits, base: start, offsets, rights } = descriptor;
    let raw = raw.map(|raw| format!(" = {}", base.raw(raw, 64))).unwrap_or_default();
    let offsets = match offsets {
        Some((first, last)) => format!("{} to {}", base.number(*first), base.number(*last)),
        None => "none".into(),
    };
    let start = base.number(*start);
    line(
        out,
        format_args!("  descriptor {number}{raw}: base {start}, offsets {offsets}, {rights}"),
    );
    let flags = flags(bits);
    if !flags.is_empty() {
        line(out, format_args!("       {flags}"));
    }
}

fn push_check(out: &mut String, check: &Check, base: Base) {
    let verdict = if check.passed { "yes" } else { "no" };
    match check.range {
        Some(Range { value, first, last }) => {
            let [value, first, last] = [value, first, last].map(|number| base.number(number));
            let relation = if check.passed { "in" } else { "not in" };
            let what = &check.what;
            line(out, format_args!("  {what}? {verdict}: {value} is {relation} {first} to {last}"));
        }
        None => line(out, format_args!("  {}? {verdict}", check.what)),
    }
}
