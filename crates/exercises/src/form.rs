//! The forms that answers have: how they are written, read and compared.
//!
//! ```text
//!   number     1492   0x5d4   0b101   2^20          size     4096   4KiB   2^12
//!   number or word     0x2a4   fault                decimal  1.01   1   0.5
//!   word       hit                                  numbers  3 1 4   3,1,4   none
//! ```
//!
//! Two answers are the same if they mean the same: `0x10` is `16`, and `4KiB` is `4096`.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// The digits after the point that are read of a decimal number.
const DIGITS: u32 = 9;
/// What an answer is at most long, in bytes.
const LENGTH_MAX: usize = 4096;

/// The form of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Form {
    /// A whole number.
    Number,
    /// A whole number, or one of these words.
    NumberOr {
        /// The words.
        words: Vec<String>,
    },
    /// One of these words.
    Word {
        /// The words.
        words: Vec<String>,
    },
    /// Whole numbers in their order, or `none`.
    Numbers,
    /// Whole numbers in any order, or `none`.
    Set,
    /// Words in their order.
    Words {
        /// The words.
        words: Vec<String>,
    },
    /// A decimal number; right if it is right to so many digits after the point.
    Decimal {
        /// The digits.
        places: u8,
    },
    /// A number of bytes; with a unit if it is large.
    Size,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Number(u64),
    Word(String),
    Numbers(Vec<u64>),
    Words(Vec<String>),
    /// In units of 10^-9.
    Decimal(i128),
}

impl Form {
    /// [`Form::NumberOr`].
    pub fn number_or(word: &str) -> Self {
        Self::NumberOr { words: vec![word.into()] }
    }

    /// [`Form::Word`].
    pub fn word(words: &[&str]) -> Self {
        Self::Word { words: words.iter().map(|&word| word.into()).collect() }
    }

    /// [`Form::Words`].
    pub fn words(words: &[&str]) -> Self {
        Self::Words { words: words.iter().map(|&word| word.into()).collect() }
    }

    /// Whether `given` means what `expected` means.
    ///
    /// # Errors
    /// If `given` is not in this form: the form that is wanted.
    pub fn is_same(&self, given: &str, expected: &str) -> Result<bool, WrongForm> {
        let wrong = || WrongForm { wanted: self.to_string() };
        let given = self.read(given).ok_or_else(wrong)?;
        let expected = self.read(expected).ok_or_else(wrong)?;
        Ok(match (self, &given, &expected) {
            (Self::Decimal { places }, Meaning::Decimal(given), Meaning::Decimal(expected)) => {
                let half = 10_i128.pow(DIGITS.saturating_sub(u32::from(*places))) / 2;
                (given - expected).abs() <= half
            }
            _ => given == expected,
        })
    }

    /// The form in a few words, beside a label; empty for plain numbers.
    pub fn brief(&self) -> String {
        match self {
            Self::Number => String::new(),
            Self::NumberOr { words } => format!("a number, or {}", words.join(" or ")),
            Self::Word { words } => words.join(" or "),
            Self::Numbers => "numbers in their order, or none".into(),
            Self::Set => "numbers in any order, or none".into(),
            Self::Words { words } => format!("words in their order: {}", words.join(" or ")),
            Self::Decimal { places } => format!("to {places} digits after the point"),
            Self::Size => "as 4096, 4KiB or 2^12".into(),
        }
    }

    fn read(&self, text: &str) -> Option<Meaning> {
        let text = text.trim();
        if text.len() > LENGTH_MAX {
            return None;
        }
        let one_of = |words: &[String]| {
            words.iter().find(|word| word.eq_ignore_ascii_case(text)).cloned().map(Meaning::Word)
        };
        match self {
            Self::Number => number(text).map(Meaning::Number),
            Self::NumberOr { words } => one_of(words).or_else(|| number(text).map(Meaning::Number)),
            Self::Word { words } => one_of(words),
            Self::Numbers => numbers(text).map(Meaning::Numbers),
            Self::Set => numbers(text).map(|mut all| {
                all.sort_unstable();
                all.dedup();
                Meaning::Numbers(all)
            }),
            Self::Words { words } => {
                let one = |text: &str| words.iter().find(|word| word.eq_ignore_ascii_case(text));
                parts(text)
                    .map(|part| one(part).cloned())
                    .collect::<Option<_>>()
                    .map(Meaning::Words)
            }
            Self::Decimal { .. } => decimal(text).map(Meaning::Decimal),
            Self::Size => size(text).map(Meaning::Number),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NUMBER: &str = "a whole number, as 1492, 0x5d4, 0b101 or 2^20";
        match self {
            Self::Number => f.write_str(NUMBER),
            Self::NumberOr { words } => write!(f, "{NUMBER}, or {}", words.join(" or ")),
            Self::Word { words } => f.write_str(&words.join(" or ")),
            Self::Numbers => f.write_str("whole numbers in their order, as 3 1 4, or none"),
            Self::Set => f.write_str("whole numbers in any order, as 3 1 4, or none"),
            Self::Words { words } => write!(f, "words in their order, each {}", words.join(" or ")),
            Self::Decimal { places } => {
                write!(f, "a decimal number, as 1.01, right to {places} digits after the point")
            }
            Self::Size => f.write_str("a number of bytes, as 4096, 4KiB or 2^12"),
        }
    }
}

/// An answer is not in the form that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write {wanted}")]
pub struct WrongForm {
    /// The form, in words.
    pub wanted: String,
}

/// A whole number: decimal, hexadecimal, binary, or a power of two.
fn number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "").to_ascii_lowercase();
    if let Some(exponent) = digits.strip_prefix("2^") {
        return 1_u64.checked_shl(exponent.parse().ok()?);
    }
    let (digits, radix) = match (digits.strip_prefix("0x"), digits.strip_prefix("0b")) {
        (Some(rest), _) => (rest, 16),
        (_, Some(rest)) => (rest, 2),
        _ => (digits.as_str(), 10),
    };
    // `from_str_radix` would take a sign.
    let first = digits.chars().next().filter(char::is_ascii_hexdigit);
    first.and_then(|_| u64::from_str_radix(digits, radix).ok())
}

/// The parts of a list.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';', '\t']).filter(|part| !part.is_empty())
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    if ["none", "-"].iter().any(|none| none.eq_ignore_ascii_case(text)) {
        return Some(Vec::new());
    }
    let all: Option<Vec<u64>> = parts(text).map(number).collect();
    all.filter(|all| !all.is_empty())
}

/// A decimal number in units of 10^-[`DIGITS`]; further digits are dropped.
fn decimal(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: String = fraction.chars().chain("0".repeat(DIGITS as usize).chars()).collect();
    let fraction: u64 = fraction.get(..DIGITS as usize)?.parse().ok()?;
    Some(i128::from(whole) * 10_i128.pow(DIGITS) + i128::from(fraction))
}

/// A number of bytes, with or without a unit.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix("bytes").or(lower.strip_suffix("byte")).unwrap_or(&lower);
    if lower.starts_with("0x") || lower.starts_with("2^") {
        return number(lower.trim());
    }
    let bare = lower.strip_suffix("ib").or(lower.strip_suffix('b')).unwrap_or(lower);
    let units = [('k', 10), ('m', 20), ('g', 30), ('t', 40), ('p', 50), ('e', 60)];
    let unit = units.iter().find_map(|&(unit, shift)| Some((bare.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or((bare, 0));
    number(digits.trim())?.checked_mul(1 << shift)
}

/// `number` in hexadecimal, as answers show it.
pub fn hex(number: u64) -> String {
    format!("{number:#x}")
}

/// Numbers as a list.
pub fn list(all: &[u64]) -> String {
    match all {
        [] => "none".into(),
        _ => all.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
    }
}

/// `numerator / denominator` rounded to so many digits after the point, half up.
pub fn ratio(numerator: u64, denominator: u64, places: u8) -> String {
    let unit = 10_u128.pow(u32::from(places));
    let denominator = u128::from(denominator.max(1));
    let scaled = (2 * u128::from(numerator) * unit + denominator) / (2 * denominator);
    match places {
        0 => scaled.to_string(),
        _ => format!("{}.{:0width$}", scaled / unit, scaled % unit, width = usize::from(places)),
    }
}

/// Bytes with the largest unit that leaves a whole number.
pub fn bytes(bytes: u64) -> String {
    let units = [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |&&(shift, _): &&(u32, &str)| bytes >> shift > 0 && bytes.trailing_zeros() >= shift;
    match units.iter().find(fits) {
        Some(&(shift, unit)) => format!("{} {unit}", bytes >> shift),
        None if bytes == 1 => "1 byte".into(),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(form: &Form, given: &str, expected: &str) -> bool {
        form.is_same(given, expected).unwrap()
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        assert!(same(&Form::Number, " 0X10", "16"));
        assert!(same(&Form::Number, "2^4", "0b1_0000"));
        assert!(same(&Form::number_or("fault"), "FAULT", "fault"));
        assert!(!same(&Form::number_or("fault"), "0", "fault"));
        assert!(same(&Form::Numbers, "3, 1,4", "3 1 4"));
        assert!(!same(&Form::Numbers, "1 3 4", "3 1 4"));
        assert!(same(&Form::Set, "4 1 3", "3 1 4"));
        assert!(same(&Form::Set, "None", "none"));
        assert!(same(&Form::words(&["hit", "miss"]), "Hit,miss", "hit miss"));
        assert!(same(&Form::Size, "4 KiB", "4096"));
        assert!(same(&Form::Size, "4k", "2^12"));
        assert!(same(&Form::Size, "1 MB", "1 MiB"));
        assert!(same(&Form::Size, "12 bytes", "12"));
    }

    #[test]
    fn decimals_are_right_to_their_digits() {
        let form = Form::Decimal { places: 2 };
        assert!(same(&form, "1.0133", "1.01"));
        assert!(same(&form, "1.010", "1.01"));
        assert!(!same(&form, "1.02", "1.01"));
        assert!(!same(&form, "1", "1.01"));
        assert!(same(&form, ".5", "0.50"));
    }

    #[test]
    fn the_form_that_is_wanted_is_told() {
        let told = |form: Form, given| form.is_same(given, "1").unwrap_err().to_string();
        assert!(told(Form::Number, "twelve").contains("0x5d4"));
        assert!(told(Form::Decimal { places: 2 }, "1/2").contains("1.01"));
        for bad in ["", "-1", "+1", "0x", "0b2", "2^64", "2^-1", "99999999999999999999", "é", "_"]
        {
            assert!(Form::Number.is_same(bad, "1").is_err(), "{bad}");
        }
        for bad in ["", ".", "-1", "1.2.3", "1e3", "99999999999999999999"] {
            assert!(Form::Decimal { places: 1 }.is_same(bad, "1").is_err(), "{bad}");
        }
        for bad in ["", "KiB", "16EiB", "1 KiBB", "-4"] {
            assert!(Form::Size.is_same(bad, "1").is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        assert_eq!((ratio(101, 100, 2), ratio(2, 3, 2), ratio(5, 2, 0)), {
            ("1.01".into(), "0.67".into(), "3".into())
        });
        assert_eq!((bytes(4096), bytes(4097), bytes(1)), {
            ("4 KiB".into(), "4097 bytes".into(), "1 byte".into())
        });
        assert_eq!((list(&[]), list(&[3, 1])), ("none".into(), "3 1".into()));
    }
}
