//! The geometry of caches, checked, and its compact textual form.
//!
//! ```text
//!   CACHES := PART { "," PART }
//!   PART   := ( "l1" | "l2" | "l3" ) "=" SIZE ":" WAYS [ ":" POLICY [ ":" SEED ] ]
//!           | "line" "=" SIZE                            64 bytes if left out
//!   SIZE   := NUMBER [ ( "K" | "M" | "G" ) [ "iB" ] ]
//!   POLICY := as of a TLB
//! ```

use super::LEVELS_MAX;
use crate::tlb::{Replacement, TlbConfigReason, WAYS_MAX, parse_policy};
use alloc::{string::String, vec::Vec};
use core::{error, fmt, str::FromStr};

/// The most lines of one level.
const LINES_MAX: u64 = 1 << 24;

/// The longest and the shortest line in bytes; an entry of a page table lies in one line.
const LINE_MIN: u64 = 8;
const LINE_MAX: u64 = 4096;

/// Bytes of a line where nothing is said.
const LINE_DEFAULT: u64 = 64;

/// A hierarchy of caches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheConfig {
    levels: Vec<CacheLevelConfig>,
    line: u64,
}

/// One level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheLevelConfig {
    bytes: u64,
    ways: u32,
    replacement: Replacement,
}

impl CacheLevelConfig {
    /// The size in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The lines of each set.
    pub const fn ways(&self) -> u32 {
        self.ways
    }

    /// The replacement policy.
    pub const fn replacement(&self) -> Replacement {
        self.replacement
    }

    /// The number of sets, lines being of 2^`line_shift` bytes; a power of two.
    pub(super) const fn sets(&self, line_shift: u32) -> u64 {
        (self.bytes >> line_shift) / self.ways as u64
    }

    fn check(&self, line: u64) -> Result<(), CacheReason> {
        let Self { bytes, ways, replacement } = *self;
        if ways == 0 || ways > WAYS_MAX {
            return Err(CacheReason::Ways(ways));
        }
        let set = line * u64::from(ways);
        if bytes % set != 0 || !(bytes / set).is_power_of_two() {
            return Err(CacheReason::Sets { bytes, set });
        }
        if bytes / line > LINES_MAX {
            return Err(CacheReason::TooLarge { lines: bytes / line });
        }
        match replacement {
            Replacement::TreePlru if !ways.is_power_of_two() => Err(CacheReason::PlruWays(ways)),
            _ => Ok(()),
        }
    }
}

impl CacheConfig {
    /// The levels, the first first: one to three.
    pub fn levels(&self) -> &[CacheLevelConfig] {
        &self.levels
    }

    /// The binary logarithm of a line's size in bytes.
    pub const fn line_shift(&self) -> u32 {
        self.line.trailing_zeros()
    }

    /// Reads a description such as `l1=32KiB:8,l2=256KiB:8,l3=8MiB:16`.
    ///
    /// ```
    /// use pagewalk_mmu::cache::CacheConfig;
    ///
    /// let config = CacheConfig::parse("l1=32K:8,l2=1MiB:16:plru,line=128").unwrap();
    /// assert_eq!(config.to_string(), "l1=32KiB:8:lru,l2=1MiB:16:plru,line=128");
    /// let error = CacheConfig::parse("l1=48KiB:8").unwrap_err();
    /// assert!(error.to_string().contains("power of two"));
    /// ```
    ///
    /// # Errors
    /// The part that is wrong, and what would be accepted in its place.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        let mut parts: [Option<(&str, CacheLevelConfig)>; LEVELS_MAX] = [None; LEVELS_MAX];
        let mut line = None;
        for part in text.split(',') {
            let refuse = |reason| CacheError { part: part.into(), reason };
            let Some((name, value)) = part.split_once('=') else {
                return Err(refuse(CacheReason::UnknownPart));
            };
            let repeated = match name {
                "line" => line.replace(parse_line(value).map_err(refuse)?).is_some(),
                _ => {
                    let level = ["l1", "l2", "l3"].iter().position(|known| *known == name);
                    let place =
                        &mut parts[level.ok_or_else(|| refuse(CacheReason::UnknownPart))?];
                    place.replace((part, parse_level(value).map_err(refuse)?)).is_some()
                }
            };
            if repeated {
                return Err(refuse(CacheReason::Repeated));
            }
        }
        let line = line.unwrap_or(LINE_DEFAULT);
        let given = parts.iter().take_while(|part| part.is_some()).count();
        if given == 0 || parts[given..].iter().any(Option::is_some) {
            return Err(CacheError { part: text.into(), reason: CacheReason::Gap });
        }
        for (part, level) in parts.iter().flatten() {
            level.check(line).map_err(|reason| CacheError { part: (*part).into(), reason })?;
        }
        Ok(Self { levels: parts.iter().flatten().map(|&(_, level)| level).collect(), line })
    }
}

impl FromStr for CacheConfig {
    type Err = CacheError;

    fn from_str(text: &str) -> Result<Self, CacheError> {
        Self::parse(text)
    }
}

impl fmt::Display for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, level) in self.levels.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}l{}=", n + 1)?;
            write_size(f, level.bytes)?;
            write!(f, ":{}:{}", level.ways, level.replacement)?;
        }
        if self.line != LINE_DEFAULT { write!(f, ",line={}", self.line) } else { Ok(()) }
    }
}

fn parse_level(text: &str) -> Result<CacheLevelConfig, CacheReason> {
    let (size, rest) = text.split_once(':').ok_or(CacheReason::NotGeometry)?;
    let (ways, policy) = match rest.split_once(':') {
        Some((ways, policy)) => (ways, parse_policy(policy).map_err(CacheReason::Policy)?),
        None => (rest, Replacement::Lru),
    };
    Ok(CacheLevelConfig {
        bytes: parse_size(size).ok_or(CacheReason::NotGeometry)?,
        ways: ways.parse().map_err(|_| CacheReason::NotGeometry)?,
        replacement: policy,
    })
}

fn parse_line(text: &str) -> Result<u64, CacheReason> {
    let line = parse_size(text).filter(|line| line.is_power_of_two());
    line.filter(|line| (LINE_MIN..=LINE_MAX).contains(line)).ok_or(CacheReason::Line)
}

/// The units of sizes, and the binary logarithm of each.
const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &text[digits.len()..];
    let shift = match unit {
        "" => 0,
        unit => UNITS.iter().find(|(name, _)| unit == *name || unit == &name[..1])?.1,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn write_size(f: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    match UNITS.iter().find(|(_, shift)| bytes.trailing_zeros() >= *shift && bytes > 0) {
        Some((name, shift)) => write!(f, "{}{name}", bytes >> shift),
        None => write!(f, "{bytes}"),
    }
}

/// Why a description of caches was not understood, or cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheError {
    /// The part of the description that is at fault, as it was given.
    pub part: String,
    /// What is wrong with it.
    pub reason: CacheReason,
}

/// What is wrong with a part of a description of caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheReason {
    /// No such part.
    UnknownPart,
    /// The part has been given before.
    Repeated,
    /// The first level, or one between two others, is missing.
    Gap,
    /// Not `SIZE:WAYS`.
    NotGeometry,
    /// The replacement policy is none of a TLB's.
    Policy(TlbConfigReason),
    /// Not the size of a line.
    Line,
    /// The number of ways is none or too large.
    Ways(u32),
    /// The sets that `bytes` make are no power of two.
    Sets {
        /// The size of the level.
        bytes: u64,
        /// The size of one set.
        set: u64,
    },
    /// Too many lines.
    TooLarge {
        /// The lines asked for.
        lines: u64,
    },
    /// Tree-PLRU over a number of ways that is no power of two.
    PlruWays(u32),
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "caches: {:?}: ", self.part)?;
        match &self.reason {
            CacheReason::UnknownPart => f.write_str(
                "expected l1=, l2= or l3= with SIZE:WAYS[:POLICY], or line=BYTES; \
                 example: l1=32KiB:8,l2=256KiB:8,l3=8MiB:16",
            ),
            CacheReason::Repeated => f.write_str("given twice"),
            CacheReason::Gap => f.write_str("give l1, then l2 and l3 below it if there are such"),
            CacheReason::NotGeometry => f.write_str("expected SIZE:WAYS, as 32KiB:8"),
            CacheReason::Policy(reason) => reason.fmt(f),
            CacheReason::Line => {
                write!(f, "expected the bytes of a line, a power of two, {LINE_MIN} to {LINE_MAX}")
            }
            CacheReason::Ways(n) => write!(f, "{n} ways: use 1 to {WAYS_MAX}"),
            CacheReason::Sets { bytes, set } => write!(
                f,
                "{bytes} bytes in sets of {set}: the set is picked by address bits, so the number \
                 of sets must be a power of two"
            ),
            CacheReason::TooLarge { lines } => {
                write!(f, "{lines} lines: use at most {LINES_MAX} in one level")
            }
            CacheReason::PlruWays(n) => {
                write!(f, "plru over {n} ways: its tree needs a power of two; use that, or lru")
            }
        }
    }
}

impl error::Error for CacheError {}
