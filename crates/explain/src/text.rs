//! An explanation as text of at most 100 columns.
//!
//! ```text
//!   Virtual address 0x00403004 on ia32: a user's read
//!
//!      31      22 21      12 11        0
//!     |0000000001|0000000011|000000000100|
//!      directory  table      offset
//!
//!   1  PDE 1 at 0x1004: 0x00002027  P R/W U/S A        next table at 0x2000
//!   …
//!   Physical address 0x5004 = frame 0x5, offset 0x4
//! ```

use std::fmt::Write;

use crate::record::{BitField, Explanation, Outcome, Part, Reference, TlbAnswer, TlbProbe, Update};

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
    push_split(out, explanation, base);
    line(out, format_args!(""));
    if let Some(tlb) = &explanation.tlb {
        push_tlb(out, tlb, base);
    }
    push_references(out, explanation, base);
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
    fn number(self, value: u64) -> String {
        match self {
            Self::Hexadecimal => format!("{value:#x}"),
            Self::Decimal => value.to_string(),
        }
    }

    /// An entry's bits, all of them.
    fn raw(self, value: u64, width: u8) -> String {
        match self {
            Self::Hexadecimal => format!("{value:#0digits$x}", digits = usize::from(width) / 4 + 2),
            Self::Decimal => value.to_string(),
        }
    }
}

fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let start = out.len();
    // Writing to a string does not fail.
    let _ = out.write_fmt(arguments);
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

fn push_split(out: &mut String, explanation: &Explanation, base: Base) {
    let drawn = base == Base::Hexadecimal && explanation.split.iter().all(|p| p.high.is_some());
    if drawn {
        push_binary(out, &explanation.split);
        return;
    }
    let Outcome::Translated { page_bytes, .. } = explanation.outcome else {
        let parts =
            explanation.split.iter().map(|p| format!("{} {}", p.name, base.number(p.value)));
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
    if explanation.split.len() > 2 {
        let parts =
            explanation.split.iter().map(|p| format!("{} {}", p.name, base.number(p.value)));
        line(out, format_args!("  {}", parts.collect::<Vec<_>>().join(", ")));
    }
}

/// The address in binary, cut into its parts, with bit numbers above and names below.
fn push_binary(out: &mut String, parts: &[Part]) {
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
    let answer = match tlb.answer {
        TlbAnswer::L1Hit => "hit in the first level",
        TlbAnswer::L2Hit => "hit in the second level; copied into the first",
        TlbAnswer::Refused => "an entry that does not allow the access: the tables are asked",
        TlbAnswer::Miss => "miss: the tables are asked",
    };
    let page = base.number(tlb.page_number);
    line(out, format_args!("  TLB ({}): page {page}, space {}", tlb.geometry, tlb.asid));
    for way in &tlb.compared {
        let verdict = if way.matches { "match" } else { "no match" };
        let space = if way.global { "global".into() } else { format!("space {}", way.asid) };
        line(
            out,
            format_args!(
                "    {} set {}: page {}, {space}: {verdict}",
                way.array,
                way.set,
                base.number(way.page_number)
            ),
        );
    }
    line(out, format_args!("    {answer}"));
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
    for (number, (reference, place)) in (1..).zip(explanation.references.iter().zip(&places)) {
        line(out, format_args!("  {number}  {place:width$}  {}", reference.decision));
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
fn flags(bits: &[BitField]) -> String {
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
