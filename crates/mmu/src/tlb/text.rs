//! The compact textual form of a TLB's geometry.
//!
//! ```text
//!   TLB    := ENTRIES                       unified, fully associative, LRU
//!           | PART { "," PART }
//!   PART   := ( "l1" | "l1i" | "l1d" | "l2" ) "=" ARRAY
//!           | "untagged" | "software"
//!   ARRAY  := SETS "x" WAYS [ ":" POLICY [ ":" SEED ] ] [ "@" SIZE { "+" SIZE } ]
//!   POLICY := "lru" | "plru" | "fifo" | "random"
//!   SIZE   := NUMBER ( "B" | "K" | "M" | "G" | "T" )
//! ```
//!
//! `l1` excludes `l1i` and `l1d`, and of those two one does not go without the other. What
//! `Display` writes, `parse` reads back to the same value.

use super::config::{ArrayConfig, L1Config, PageSizes, TlbConfig, TlbConfigError, TlbConfigReason};
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
            return Ok(Self {
                l1: L1Config::Unified(array),
                l2: None,
                tagged: true,
                software: false,
            });
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
        match &self.l1 {
            L1Config::Split { instruction, data } => write!(f, "l1i={instruction},l1d={data}")?,
            L1Config::Unified(array) => write!(f, "l1={array}")?,
        }
        if let Some(l2) = &self.l2 {
            write!(f, ",l2={l2}")?;
        }
        f.write_str(if self.tagged { "" } else { ",untagged" })?;
        f.write_str(if self.software { ",software" } else { "" })
    }
}

impl fmt::Display for ArrayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}:{}", self.sets(), self.ways(), self.replacement().name())?;
        if let Replacement::Random { seed } = self.replacement()
            && seed != Replacement::DEFAULT_SEED
        {
            write!(f, ":{seed}")?;
        }
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
    unified: Option<ArrayConfig>,
    instruction: Option<ArrayConfig>,
    data: Option<ArrayConfig>,
    l2: Option<ArrayConfig>,
    untagged: bool,
    software: bool,
}

impl Parts {
    fn add(&mut self, part: &str) -> Result<(), TlbConfigError> {
        match part {
            "untagged" => {
                self.untagged = true;
                return Ok(());
            }
            "software" => {
                self.software = true;
                return Ok(());
            }
            _ => {}
        }
        let unknown = || at(part, TlbConfigReason::UnknownPart);
        let (name, array) = part.split_once('=').ok_or_else(unknown)?;
        let is_split = self.instruction.is_some() || self.data.is_some();
        let (place, contradicts) = match name {
            "l1" => (&mut self.unified, is_split),
            "l1i" => (&mut self.instruction, self.unified.is_some()),
            "l1d" => (&mut self.data, self.unified.is_some()),
            "l2" => (&mut self.l2, false),
            _ => return Err(unknown()),
        };
        if contradicts || place.is_some() {
            return Err(at(part, TlbConfigReason::Repeated));
        }
        *place = Some(parse_array(array).map_err(|reason| at(part, reason))?);
        Ok(())
    }

    fn finish(self, text: &str) -> Result<TlbConfig, TlbConfigError> {
        let l1 = match (self.unified, self.instruction, self.data) {
            (Some(array), ..) => L1Config::Unified(array),
            (None, Some(instruction), Some(data)) => L1Config::Split { instruction, data },
            _ => return Err(at(text, TlbConfigReason::NoFirstLevel)),
        };
        Ok(TlbConfig { l1, l2: self.l2, tagged: !self.untagged, software: self.software })
    }
}

fn at(part: &str, reason: TlbConfigReason) -> TlbConfigError {
    TlbConfigError { part: part.into(), reason }
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

fn parse_policy(text: &str) -> Result<Replacement, TlbConfigReason> {
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
    let (_, shift) = UNITS.into_iter().find(|&(name, _)| name == unit)?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let shift = shift + u8::try_from(number.checked_ilog2()?).ok()?;
    (number.is_power_of_two() && shift < 64).then(|| PageSize::from_shift(shift))
}

fn write_size(f: &mut fmt::Formatter<'_>, page: PageSize) -> fmt::Result {
    let unit = UNITS.into_iter().rfind(|&(_, shift)| shift <= page.shift());
    let (name, shift) = unit.unwrap_or(UNITS[0]);
    write!(f, "{}{name}", 1u64 << (page.shift() - shift))
}
