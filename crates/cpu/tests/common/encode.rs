//! Reads the listing, and encodes instructions by it.

use std::sync::OnceLock;

use super::listing::{Kind, LISTING};
use super::rng::Rng;

/// A field of an instruction: its name, and for each of its bits, from the highest down, the place
/// in the instruction and the place in the field's value.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: &'static str,
    bits: Vec<(u32, u32)>,
}

/// One instruction of the listing.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub kind: Kind,
    /// 2 or 4.
    pub bytes: u64,
    /// The fixed bits, and where they are.
    pub value: u32,
    pub mask: u32,
    pub fields: Vec<Field>,
}

/// The listing, read.
pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let kinds = LISTING.iter();
        kinds.flat_map(|(kind, text)| text.lines().filter_map(|l| Row::parse(*kind, l))).collect()
    })
}

/// The row of an instruction; the first that fits decides.
pub fn find(word: u32) -> Option<&'static Row> {
    let bytes = if word & 3 == 3 { 4 } else { 2 };
    rows().iter().find(|row| row.bytes == bytes && word & row.mask == row.value)
}

/// The row with this name.
pub fn named(name: &str) -> &'static Row {
    rows().iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no {name} in the listing"))
}

impl Row {
    fn parse(kind: Kind, line: &'static str) -> Option<Row> {
        let mut tokens = line.split_whitespace();
        let name = tokens.next()?;
        let mut row = Row { name, kind, bytes: 0, value: 0, mask: 0, fields: Vec::new() };
        let tokens: Vec<_> = tokens.collect();
        let widths = tokens.iter().map(|t| value_bits(t).map_or(t.len(), |bits| bits.len()));
        let width = widths.sum::<usize>() as u32;
        assert!(width == 16 || width == 32, "{line} has {width} bits");
        row.bytes = u64::from(width / 8);
        let mut place = width;
        for token in tokens {
            place = row.add_token(token, place);
        }
        Some(row)
    }

    fn add_token(&mut self, token: &'static str, mut place: u32) -> u32 {
        let Some(values) = value_bits(token) else {
            for digit in token.bytes() {
                place -= 1;
                self.mask |= 1 << place;
                self.value |= u32::from(digit == b'1') << place;
            }
            return place;
        };
        let name = token.split('[').next().expect("split yields one at least");
        if !self.fields.iter().any(|field| field.name == name) {
            self.fields.push(Field { name, bits: Vec::new() });
        }
        let field = self.fields.iter_mut().find(|field| field.name == name).expect("just added");
        for value in values {
            place -= 1;
            field.bits.push((place, value));
        }
        place
    }

    /// The field of this name, whether it may be zero or not, in its full or its short form.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name.trim_start_matches("nz").trim_end_matches('\'') == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The value of a field in a word, without a sign.
    pub fn get(&self, word: u32, name: &str) -> Option<u32> {
        Some(self.field(name)?.get(word))
    }

    /// The value of a field whose highest bit is a sign.
    pub fn get_signed(&self, word: u32, name: &str) -> Option<i64> {
        let field = self.field(name)?;
        let top = field.bits.iter().map(|&(_, value)| value).max()?;
        Some(i64::from((field.get(word) << (31 - top)) as i32 >> (31 - top)))
    }

    /// The word with a field replaced.
    pub fn set(&self, word: u32, name: &str, value: u32) -> u32 {
        let field = self.field(name).unwrap_or_else(|| panic!("{} has no {name}", self.name));
        field
            .bits
            .iter()
            .fold(word, |word, &(place, bit)| word & !(1 << place) | (value >> bit & 1) << place)
    }

    /// An instruction from its fields; the others are zero.
    pub fn make(&self, fields: &[(&str, u32)]) -> u32 {
        fields.iter().fold(self.value, |word, &(name, value)| self.set(word, name, value))
    }

    /// Whether a word that fits the row is an instruction, not a reserved encoding.
    pub fn is_legal(&self, word: u32) -> bool {
        let nonzero = |field: &Field| !field.name.starts_with("nz") || field.get(word) != 0;
        self.fields.iter().all(nonzero) && !matches!(self.get(word, "rm"), Some(5 | 6))
    }

    /// A random instruction of this row; no reserved encoding.
    pub fn random(&self, rng: &mut Rng) -> u32 {
        let all = if self.bytes == 2 { 0xffff } else { u32::MAX };
        loop {
            let word = (rng.next() as u32 & !self.mask | self.value) & all;
            if self.is_legal(word) {
                return word;
            }
        }
    }

    /// The integer register that a field names, or the floating-point one.
    pub fn register(&self, word: u32, name: &str) -> Option<u32> {
        let field = self.field(name)?;
        let number = field.get(word);
        Some(if field.name.ends_with('\'') { number + 8 } else { number })
    }
}

impl Field {
    fn get(&self, word: u32) -> u32 {
        self.bits.iter().fold(0, |value, &(place, bit)| value | (word >> place & 1) << bit)
    }
}

/// The bits of the value that a token names, highest first; `None` for a token of fixed bits.
fn value_bits(token: &str) -> Option<Vec<u32>> {
    if token.bytes().all(|b| b == b'0' || b == b'1') {
        return None;
    }
    if let Some((_, list)) = token.trim_end_matches(']').split_once('[') {
        let number = |text: &str| text.parse::<u32>().expect("a bit number");
        let ranges = list.split('|').flat_map(|part| match part.split_once(':') {
            Some((high, low)) => (number(low)..=number(high)).rev().collect(),
            None => vec![number(part)],
        });
        return Some(ranges.collect());
    }
    let width = match token {
        "rm" => 3,
        "aqrl" => 2,
        "csr" => 12,
        _ if token.ends_with('\'') => 3,
        _ => 5,
    };
    Some((0..width).rev().collect())
}
