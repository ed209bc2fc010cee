//! The compact textual form of a TLB's geometry.
//!
//! ```text
//!   TLB    := ENTRIES                       unified, fully associative, LRU
//!           | PART { "," PART }
//!   PART   := LEVEL "=" ARRAY
//!           | "asid" "=" BITS                 ASIDs of so many bits; 16 if left out
//!           | "untagged"                      the same as asid=0
//!           | "software"                      misses are exceptions
//!   LEVEL  := "l1" | "l1i" | "l1d" | "l2" | "l2i" | "l2d"
//!   ARRAY  := SETS "x" WAYS [ ":" POLICY [ ":" SEED ] ] [ "@" SIZE { "+" SIZE } ]
//!   POLICY := "lru" | "plru" | "fifo" | "random"
//!   SIZE   := NUMBER ( "B" | "K" | "M" | "G" | "T" )
//! ```
//!
//! `l1` excludes `l1i` and `l1d`, and of those two one does not go without the other; the second
//! level likewise. A level that has several arrays, each for pages of other sizes, is given
//! several times: `l1d=16x4@4K,l1d=8x4@2M+4M,l1d=1x4@1G`. What `Display` writes, `parse` reads
//! back to the same value.

use super::config::{
    ASID_BITS_MAX, ArrayConfig, Arrays, LevelConfig, PageSizes, TlbConfig, TlbConfigError,
    TlbConfigReason,
};
use super::entry::Side;
use super::replacement::Replacement;
use crate::PageSize;
use core::{fmt, str::FromStr};

/// The units of page sizes, and the binary logarithm of each.
const UNITS: [(char, u8); 5] = [('B', 0), ('K', 10), ('M', 20), ('G', 30), ('T', 40)];

impl TlbConfig {
    /// Reads a description such as `64` or `l1i=16x4,l1d=16x4:plru,l2=128x12:lru`.
    ///
    /// ```
    /// use pagewalk_mmu::tlb::TlbConfig;
    ///
    /// let config = TlbConfig::parse("l1=1x64:fifo,l2=128x12").unwrap();
    /// assert_eq!(config.to_string(), "l1=1x64:fifo,l2=128x12:lru");
    /// let error = TlbConfig::parse("l1=12x4").unwrap_err();
    /// assert!(error.to_string().contains("power of two"));
    /// ```
    ///
    /// # Errors
    /// The part that is wrong, and what would be accepted in its place.
    pub fn parse(text: &str) -> Result<Self, TlbConfigError> {
        if let Ok(entries) = text.parse() {
            let array = ArrayConfig::new(1, entries, Replacement::Lru)
                .map_err(|error| at(text, TlbConfigReason::Geometry(error)))?;
            let l1 = LevelConfig::Unified(array.into());
            return Ok(Self { l1, l2: None, asid_bits: ASID_BITS_MAX, software: false });
        }
        let mut parts = Parts::default();
        for part in text.split(',') {
            parts.add(part)?;
        }
        parts.finish(text)
    }
}

impl FromStr for TlbConfig {
    type Err = TlbConfigError;

    fn from_str(text: &str) -> Result<Self, TlbConfigError> {
        Self::parse(text)
    }
}

impl fmt::Display for TlbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_level(f, "l1", &self.l1)?;
        if let Some(l2) = &self.l2 {
            f.write_str(",")?;
            write_level(f, "l2", l2)?;
        }
        match self.asid_bits {
            0 => f.write_str(",untagged")?,
            ASID_BITS_MAX => {}
            bits => write!(f, ",asid={bits}")?,
        }
        f.write_str(if self.software { ",software" } else { "" })
    }
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Random { seed } if *seed != Self::DEFAULT_SEED => write!(f, ":{seed}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ArrayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}:{}", self.sets(), self.ways(), self.replacement())?;
        if self.pages() == PageSizes::ALL {
            return Ok(());
        }
        for (n, page) in self.pages().iter().enumerate() {
            f.write_str(if n == 0 { "@" } else { "+" })?;
            write_size(f, page)?;
        }
        Ok(())
    }
}

/// The parts given so far.
#[derive(Default)]
struct Parts {
    l1: Level,
    l2: Level,
    asid_bits: Option<u8>,
    software: bool,
}

/// The parts of one level given so far.
#[derive(Default)]
struct Level {
    unified: Option<Arrays>,
    instruction: Option<Arrays>,
    data: Option<Arrays>,
}

impl Parts {
    fn add(&mut self, part: &str) -> Result<(), TlbConfigError> {
        match part {
            "untagged" => {
                self.asid_bits = Some(0);
                return Ok(());
            }
            "software" => {
                self.software = true;
                return Ok(());
            }
            _ => {}
        }
        let unknown = || at(part, TlbConfigReason::UnknownPart);
        let (name, value) = part.split_once('=').ok_or_else(unknown)?;
        let result = match name {
            "l1" => self.l1.add(None, value),
            "l1i" => self.l1.add(Some(Side::Instruction), value),
            "l1d" => self.l1.add(Some(Side::Data), value),
            "l2" => self.l2.add(None, value),
            "l2i" => self.l2.add(Some(Side::Instruction), value),
            "l2d" => self.l2.add(Some(Side::Data), value),
            "asid" => self.set_asid_bits(value),
            _ => Err(TlbConfigReason::UnknownPart),
        };
        result.map_err(|reason| at(part, reason))
    }

    fn set_asid_bits(&mut self, text: &str) -> Result<(), TlbConfigReason> {
        let bits = text.parse().ok().filter(|&bits| bits <= ASID_BITS_MAX);
        self.asid_bits = Some(bits.ok_or(TlbConfigReason::AsidBits)?);
        Ok(())
    }

    fn finish(self, text: &str) -> Result<TlbConfig, TlbConfigError> {
        let refuse = |reason| at(text, reason);
        let l1 = self.l1.finish().map_err(refuse)?;
        Ok(TlbConfig {
            l1: l1.ok_or_else(|| refuse(TlbConfigReason::NoFirstLevel))?,
            l2: self.l2.finish().map_err(refuse)?,
            asid_bits: self.asid_bits.unwrap_or(ASID_BITS_MAX),
            software: self.software,
        })
    }
}

impl Level {
    fn add(&mut self, side: Option<Side>, text: &str) -> Result<(), TlbConfigReason> {
        let is_split = self.instruction.is_some() || self.data.is_some();
        let (place, contradicts) = match side {
            None => (&mut self.unified, is_split),
            Some(Side::Instruction) => (&mut self.instruction, self.unified.is_some()),
            Some(Side::Data) => (&mut self.data, self.unified.is_some()),
        };
        if contradicts {
            return Err(TlbConfigReason::Contradicts);
        }
        let array = parse_array(text)?;
        match place {
            None => *place = Some(array.into()),
            Some(arrays) => arrays.add(array).map_err(TlbConfigReason::Geometry)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<LevelConfig>, TlbConfigReason> {
        match (self.unified, self.instruction, self.data) {
            (Some(arrays), ..) => Ok(Some(LevelConfig::Unified(arrays))),
            (None, Some(instruction), Some(data)) => {
                Ok(Some(LevelConfig::Split { instruction, data }))
            }
            (None, None, None) => Ok(None),
            _ => Err(TlbConfigReason::NoOtherSide),
        }
    }
}

fn at(part: &str, reason: TlbConfigReason) -> TlbConfigError {
    TlbConfigError { part: part.into(), reason }
}

impl ArrayConfig {
    /// Reads a number of entries, all in one set, or the grammar's `ARRAY`.
    pub(crate) fn parse(text: &str) -> Result<Self, TlbConfigReason> {
        match text.parse() {
            Ok(entries) => {
                Self::new(1, entries, Replacement::Lru).map_err(TlbConfigReason::Geometry)
            }
            Err(_) => parse_array(text),
        }
    }
}

fn parse_array(text: &str) -> Result<ArrayConfig, TlbConfigReason> {
    let (text, pages) = match text.split_once('@') {
        Some((text, pages)) => (text, parse_pages(pages)?),
        None => (text, PageSizes::ALL),
    };
    let (geometry, policy) = match text.split_once(':') {
        Some((geometry, policy)) => (geometry, parse_policy(policy)?),
        None => (text, Replacement::Lru),
    };
    let (sets, ways) = geometry.split_once('x').ok_or(TlbConfigReason::NotGeometry)?;
    let number = |text: &str| text.parse().map_err(|_| TlbConfigReason::NotGeometry);
    let array = ArrayConfig::new(number(sets)?, number(ways)?, policy)
        .map_err(TlbConfigReason::Geometry)?;
    Ok(array.with_pages(pages))
}

/// Reads the grammar's `POLICY [ ":" SEED ]`.
pub(crate) fn parse_policy(text: &str) -> Result<Replacement, TlbConfigReason> {
    let (name, seed) = match text.split_once(':') {
        Some((name, seed)) => (name, Some(seed)),
        None => (text, None),
    };
    let policy = Replacement::by_name(name).ok_or(TlbConfigReason::UnknownPolicy)?;
    match (policy, seed) {
        (policy, None) => Ok(policy),
        (Replacement::Random { .. }, Some(seed)) => {
            seed.parse().map(|seed| Replacement::Random { seed }).map_err(|_| TlbConfigReason::Seed)
        }
        _ => Err(TlbConfigReason::Seed),
    }
}

fn parse_pages(text: &str) -> Result<PageSizes, TlbConfigReason> {
    let mut pages = PageSizes::only([]);
    for size in text.split('+') {
        pages = pages.with(parse_size(size).ok_or(TlbConfigReason::PageSize)?);
    }
    Ok(pages)
}

fn parse_size(text: &str) -> Option<PageSize> {
    let unit = text.chars().next_back()?;
    let (_, shift) = UNITS.into_iter().find(|&(name, _)| name == unit.to_ascii_uppercase())?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let shift = shift + u8::try_from(number.checked_ilog2()?).ok()?;
    (number.is_power_of_two() && shift < 64).then(|| PageSize::from_shift(shift))
}

fn write_level(f: &mut fmt::Formatter<'_>, name: &str, level: &LevelConfig) -> fmt::Result {
    match level {
        LevelConfig::Unified(arrays) => write_arrays(f, name, "", arrays),
        LevelConfig::Split { instruction, data } => {
            write_arrays(f, name, "i", instruction)?;
            f.write_str(",")?;
            write_arrays(f, name, "d", data)
        }
    }
}

fn write_arrays(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    side: &str,
    arrays: &Arrays,
) -> fmt::Result {
    for (n, array) in arrays.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        write!(f, "{comma}{name}{side}={array}")?;
    }
    Ok(())
}

fn write_size(f: &mut fmt::Formatter<'_>, page: PageSize) -> fmt::Result {
    let unit = UNITS.into_iter().rfind(|&(_, shift)| shift <= page.shift());
    let (name, shift) = unit.unwrap_or(UNITS[0]);
    write!(f, "{}{name}", 1u64 << (page.shift() - shift))
}
