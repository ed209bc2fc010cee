//! An explanation as text of at most 100 columns.
//!
//! ```text
//!   Virtual address 0x403004 on ia32: user, read
//!
//!      31      22 21      12 11         0
//!     |0000000001|0000000011|000000000100|
//!      directory  table      offset
//!
//!     tables at 0x1000
//!     1  PDE 0x1 at 0x1004 = 0x00002027  next table at 0x2000
//!   …
//!   Physical address 0x5004: frame 0x5, offset 0x4 in a page of 4 KiB
//! ```

use std::fmt::Write;

use crate::record::{
    BitField, Explanation, Outcome, Part, Reference, TlbAnswer, TlbException, TlbProbe, TlbSet,
    TlbWay, Update,
};
use crate::text_segment::push_segment;

/// Lines are not longer.
const COLUMNS: usize = 100;

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// `0x1f`, and the split in binary.
    #[default]
    Hexadecimal,
    /// `31`, and the split as divisions.
    Decimal,
}

/// The explanation as text.
pub fn text(explanation: &Explanation, base: Base) -> String {
    let mut text = String::new();
    let out = &mut text;
    let Explanation { mmu, address, access, privilege, .. } = explanation;
    line(
        out,
        format_args!("Virtual address {} on {mmu}: {privilege}, {access}", base.number(*address)),
    );
    line(out, format_args!(""));
    if let Some(segment) = &explanation.segment {
        push_segment(out, segment, explanation, base);
    }
    if !explanation.split.is_empty() {
        push_split(out, &explanation.split, explanation, base);
        line(out, format_args!(""));
    }
    if let Some(tlb) = &explanation.tlb {
        push_tlb(out, tlb, base);
    }
    // The first handler is the one that reads the table.
    let (first, others) = explanation.exceptions.split_at(explanation.exceptions.len().min(1));
    first.iter().for_each(|exception| push_exception(out, exception, base));
    if let Some(cache) = &explanation.walk_cache {
        let found = match (&cache.entry, cache.table) {
            (Some(entry), Some(table)) => {
                format!("has the {entry}; the walk starts at its table, {}", base.number(table))
            }
            _ => "has nothing: the walk starts at the top".into(),
        };
        line(out, format_args!("  walk cache ({}): {found}", cache.geometry));
    }
    push_references(out, explanation, base);
    first.iter().for_each(|exception| push_handler(out, exception));
    for exception in others {
        push_exception(out, exception, base);
        push_handler(out, exception);
    }
    if let Some(permission) = &explanation.permission {
        let verdict = match &permission.reason {
            None => "allowed".to_owned(),
            Some(reason) => format!("refused: {reason}"),
        };
        let rights = &permission.rights;
        line(out, format_args!("  rights {rights}, {privilege} {access}: {verdict}"));
    }
    for update in &explanation.updates {
        push_update(out, update, base);
    }
    push_outcome(out, &explanation.outcome, base);
    text
}

impl Base {
    pub(crate) fn number(self, value: u64) -> String {
        match self {
            Self::Hexadecimal => format!("{value:#x}"),
            Self::Decimal => value.to_string(),
        }
    }

    /// An entry's bits, all of them.
    pub(crate) fn raw(self, value: u64, width: u8) -> String {
        match self {
            Self::Hexadecimal => format!("{value:#0digits$x}", digits = usize::from(width) / 4 + 2),
            Self::Decimal => value.to_string(),
        }
    }
}

/// Adds a line, without blanks at its end.
pub(crate) fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let start = out.len();
    // Writing to a string does not fail.
    let _ = out.write_fmt(arguments);
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

pub(crate) fn push_split(out: &mut String, split: &[Part], explanation: &Explanation, base: Base) {
    let drawn = base == Base::Hexadecimal && split.iter().all(|p| p.high.is_some());
    if drawn {
        push_binary(out, split);
        return;
    }
    let Outcome::Translated { page_bytes, .. } = explanation.outcome else {
        let parts = split.iter().map(|p| format!("{} {}", p.name, base.number(p.value)));
        return line(out, format_args!("  {}", parts.collect::<Vec<_>>().join(", ")));
    };
    let (number, offset) = (explanation.address / page_bytes, explanation.address % page_bytes);
    let address = explanation.address;
    line(
        out,
        format_args!(
            "  {} = {} x {} + {}: page {}, offset {}",
            base.number(address),
            base.number(number),
            base.number(page_bytes),
            base.number(offset),
            base.number(number),
            base.number(offset),
        ),
    );
    if split.len() > 2 {
        let parts = split.iter().map(|p| format!("{} {}", p.name, base.number(p.value)));
        line(out, format_args!("  {}", parts.collect::<Vec<_>>().join(", ")));
    }
}

/// The address in binary, cut into its parts, with bit numbers above and names below.
pub(crate) fn push_binary(out: &mut String, parts: &[Part]) {
    let mut columns: [String; 4] = ["   ".into(), "  |".into(), "   ".into(), "   ".into()];
    for part in parts {
        let (high, low) = (part.high.unwrap_or(0), part.low.unwrap_or(0));
        let digits = usize::from(high - low) + 1;
        let bits = format!("{:0digits$b}", part.value);
        let numbers = match high == low {
            true => high.to_string(),
            false => {
                let rest = digits.saturating_sub(decimal_digits(high));
                format!("{high}{low:>rest$}", rest = rest.max(decimal_digits(low) + 1))
            }
        };
        let cells = [numbers, bits, part.name.clone(), format!("{:#x}", part.value)];
        let width = cells.iter().map(String::len).max().unwrap_or(0);
        for (column, cell) in columns.iter_mut().zip(&cells) {
            let _ = write!(column, "{cell:width$}");
        }
        columns[1].push('|');
        for n in [0, 2, 3] {
            columns[n].push(' ');
        }
    }
    for column in columns {
        line(out, format_args!("{column}"));
    }
}

const fn decimal_digits(number: u8) -> usize {
    match number {
        0..=9 => 1,
        10..=99 => 2,
        _ => 3,
    }
}

fn push_tlb(out: &mut String, tlb: &TlbProbe, base: Base) {
    let page = base.number(tlb.page_number);
    line(out, format_args!("  TLB ({}): page {page}, space {}", tlb.geometry, tlb.asid));
    if tlb.answer != TlbAnswer::Unmapped {
        tlb.compared.iter().for_each(|set| push_set(out, set, base));
    }
    let answer = match tlb.answer {
        TlbAnswer::L1Hit => "hit in the first level",
        TlbAnswer::L2Hit => "hit in the second level; copied into the first",
        TlbAnswer::Refused => "an entry that does not allow the access",
        TlbAnswer::Miss => "miss",
        TlbAnswer::Unmapped => "not asked",
    };
    let then = match tlb.answer {
        // Whoever is asked is said below.
        TlbAnswer::Refused | TlbAnswer::Miss if tlb.loaded_by_software => ": an exception",
        TlbAnswer::Refused | TlbAnswer::Miss => ": the tables are asked",
        _ => "",
    };
    line(out, format_args!("    {answer}{then}"));
}

/// So many entries of a set are shown; of larger ones those that match, or have the page in
/// another space.
const ENTRIES_SHOWN: usize = 12;

fn push_set(out: &mut String, set: &TlbSet, base: Base) {
    let TlbSet { array, set: number, sets, ways, page_bytes, tag, entries } = set;
    let place = match sets {
        1 => array.clone(),
        _ => format!("{array}, set {number} of {sets}"),
    };
    let held = match entries.len() {
        0 => "no entry".to_owned(),
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    };
    let size = page_size(*page_bytes);
    let looked_for = format!("pages of {size}, tag {}", base.number(*tag));
    let ways = if *ways == 1 { "1 way".into() } else { format!("{ways} ways") };
    line(out, format_args!("    {place}: {looked_for}; {ways}, {held}"));
    let is_large = entries.len() > ENTRIES_SHOWN;
    let is_shown = |way: &&TlbWay| !is_large || way.matches;
    for way in entries.iter().filter(is_shown) {
        push_way(out, way, base);
    }
    let others = entries.iter().filter(|way| !is_shown(way)).count();
    if others > 0 {
        line(out, format_args!("      {others} entries of other pages or spaces: no match"));
    }
}

fn push_way(out: &mut String, way: &TlbWay, base: Base) {
    let space = if way.global { "global".into() } else { format!("space {}", way.asid) };
    let (page, frame) = (base.number(way.page_number), base.number(way.frame));
    let dirty = if way.dirty { "" } else { ", not dirty" };
    let rights = match way.rights.contains(['r', 'w', 'x']) {
        true => way.rights.as_str(),
        false => "not valid",
    };
    let verdict = if way.matches { "match" } else { "no match" };
    line(
        out,
        format_args!(
            "      way {}: page {page}, {}, {space}: {verdict}; frame {frame}, {rights}{dirty}",
            way.way,
            page_size(way.page_bytes),
        ),
    );
}

fn push_exception(out: &mut String, exception: &TlbException, base: Base) {
    let TlbException { exception: name, cause, vector, registers, .. } = exception;
    line(out, format_args!("  exception: {name}: {cause}"));
    if let Some(vector) = vector {
        line(out, format_args!("       the processor goes on at {}", base.number(*vector)));
    }
    let width = registers.iter().map(|register| register.name.len()).max().unwrap_or(0);
    for register in registers {
        let value = base.raw(register.value, 32);
        line(out, format_args!("       {:width$}  {value}  {}", register.name, register.meaning));
    }
}

fn push_handler(out: &mut String, exception: &TlbException) {
    line(out, format_args!("  handler: {}", exception.handler));
}

fn push_references(out: &mut String, explanation: &Explanation, base: Base) {
    if explanation.references.is_empty() {
        return;
    }
    if explanation.references.iter().any(|reference| reference.at.is_some()) {
        line(out, format_args!("  tables at {}", base.number(explanation.root)));
    }
    let places: Vec<String> = explanation.references.iter().map(|r| place(r, base)).collect();
    let width = places.iter().map(String::len).max().unwrap_or(0);
    let decision = explanation.references.iter().map(|r| r.decision.len()).max().unwrap_or(0);
    let is_wide = width + decision > COLUMNS - "  1    ".len();
    for (number, (reference, place)) in (1..).zip(explanation.references.iter().zip(&places)) {
        if is_wide {
            line(out, format_args!("  {number}  {place}"));
            line(out, format_args!("       {}", reference.decision));
        } else {
            line(out, format_args!("  {number}  {place:width$}  {}", reference.decision));
        }
        let flags = flags(&reference.bits);
        if !flags.is_empty() {
            line(out, format_args!("       {flags}"));
        }
    }
}

fn place(reference: &Reference, base: Base) -> String {
    let Reference { entry, index, at, raw, width, .. } = reference;
    let index = index.map(|index| format!(" {}", base.number(index))).unwrap_or_default();
    let at = match at {
        Some(at) => format!(" at {}", base.number(*at)),
        None => String::new(),
    };
    format!("{entry}{index}{at} = {}", base.raw(*raw, *width))
}

/// The fields: one bit as its name if it is set, a wider one with its value.
pub(crate) fn flags(bits: &[BitField]) -> String {
    let shown =
        bits.iter().filter(|field| field.value != 0).map(|field| match field.high == field.low {
            true => field.name.clone(),
            false => format!("{} {:#x}", field.name, field.value),
        });
    let clear = bits.iter().filter(|field| field.value == 0 && field.high == field.low);
    let clear: Vec<&str> = clear.map(|field| field.name.as_str()).collect();
    let set = shown.collect::<Vec<_>>().join(", ");
    match (set.is_empty(), clear.is_empty()) {
        (_, true) => set,
        (true, false) => format!("clear: {}", clear.join(" ")),
        (false, false) => format!("{set}; clear: {}", clear.join(" ")),
    }
}

fn push_update(out: &mut String, update: &Update, base: Base) {
    let names = match update.set.is_empty() {
        true => String::new(),
        false => format!(": {} set", update.set.join(" and ")),
    };
    line(
        out,
        format_args!(
            "  the entry at {} becomes {}{names}",
            base.number(update.at),
            base.number(update.after)
        ),
    );
}

fn push_outcome(out: &mut String, outcome: &Outcome, base: Base) {
    match outcome {
        Outcome::Translated { physical, frame, page_bytes, offset } => line(
            out,
            format_args!(
                "Physical address {}: frame {}, offset {} in a page of {}",
                base.number(*physical),
                base.number(*frame),
                base.number(*offset),
                page_size(*page_bytes),
            ),
        ),
        Outcome::Placed { physical } => {
            line(out, format_args!("Physical address {}", base.number(*physical)));
        }
        Outcome::Fault { cause, exception, level } => {
            let level = level.map(|level| format!(" at level {level}")).unwrap_or_default();
            line(out, format_args!("Fault: {exception}: {cause}{level}"));
        }
    }
}

fn page_size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}
