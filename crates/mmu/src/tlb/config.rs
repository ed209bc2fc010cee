//! The geometry of a TLB, checked.

use super::replacement::Replacement;
use crate::PageSize;
use alloc::string::String;
use core::{error, fmt};

/// The most entries of one array.
pub const ENTRIES_MAX: u32 = 1 << 20;
/// The most ways of one set: all of them are compared at each look-up.
pub const WAYS_MAX: u32 = 1 << 12;

/// A set of page sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageSizes(u64);

impl PageSizes {
    /// Every page size.
    pub const ALL: Self = Self(u64::MAX);

    /// These page sizes and no other.
    pub fn only(pages: impl IntoIterator<Item = PageSize>) -> Self {
        pages.into_iter().fold(Self(0), Self::with)
    }

    /// These page sizes and `page`.
    #[must_use]
    pub const fn with(self, page: PageSize) -> Self {
        Self(self.0 | 1 << page.shift())
    }

    /// Whether `page` is one of them.
    #[inline]
    pub const fn contains(self, page: PageSize) -> bool {
        self.0 >> page.shift() & 1 == 1
    }

    /// The sizes in the set, smallest first.
    pub fn iter(self) -> impl Iterator<Item = PageSize> {
        (0..64).map(PageSize::from_shift).filter(move |&page| self.contains(page))
    }
}

/// One array: sets × ways, and what happens in a full set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArrayConfig {
    sets: u32,
    ways: u32,
    replacement: Replacement,
    pages: PageSizes,
}

impl ArrayConfig {
    /// An array of `sets` × `ways` entries, for pages of every size.
    ///
    /// # Errors
    /// What is wrong with the geometry, if no such array can be built.
    pub const fn new(
        sets: u32,
        ways: u32,
        replacement: Replacement,
    ) -> Result<Self, GeometryError> {
        if !sets.is_power_of_two() {
            return Err(GeometryError::Sets(sets));
        }
        if ways == 0 || ways > WAYS_MAX {
            return Err(GeometryError::Ways(ways));
        }
        if sets as u64 * ways as u64 > ENTRIES_MAX as u64 {
            return Err(GeometryError::Entries { sets, ways });
        }
        if matches!(replacement, Replacement::TreePlru) && !ways.is_power_of_two() {
            return Err(GeometryError::PlruWays(ways));
        }
        Ok(Self { sets, ways, replacement, pages: PageSizes::ALL })
    }

    /// The same array for pages of these sizes only; others pass it by.
    #[must_use]
    pub const fn with_pages(self, pages: PageSizes) -> Self {
        Self { pages, ..self }
    }

    /// The number of sets, a power of two.
    #[inline]
    pub const fn sets(&self) -> u32 {
        self.sets
    }

    /// The number of ways of each set.
    #[inline]
    pub const fn ways(&self) -> u32 {
        self.ways
    }

    /// The number of entries.
    #[inline]
    pub const fn entries(&self) -> u32 {
        self.sets * self.ways
    }

    /// The replacement policy.
    #[inline]
    pub const fn replacement(&self) -> Replacement {
        self.replacement
    }

    /// The page sizes that it can hold.
    #[inline]
    pub const fn pages(&self) -> PageSizes {
        self.pages
    }

    /// An LRU array whose numbers are known to be good.
    const fn lru(sets: u32, ways: u32) -> Self {
        match Self::new(sets, ways, Replacement::Lru) {
            Ok(config) => config,
            Err(_) => panic!("a built-in geometry is good"),
        }
    }
}

/// The first level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum L1Config {
    /// An array for each side.
    Split {
        /// For instruction fetches.
        instruction: ArrayConfig,
        /// For loads and stores.
        data: ArrayConfig,
    },
    /// One array for both sides.
    Unified(ArrayConfig),
}

/// A TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlbConfig {
    /// The first level.
    pub l1: L1Config,
    /// The second level, shared by both sides.
    pub l2: Option<ArrayConfig>,
    /// Entries carry their address space (ASID, PCID). Without tags, loading the root drops all
    /// entries that are not global.
    pub tagged: bool,
    /// A miss is an exception, and software loads the entry; else the hardware walks.
    pub software: bool,
}

impl Default for TlbConfig {
    /// Of the size of a desktop core's of the 2020s: 64 + 64 entries over 1536.
    fn default() -> Self {
        Self {
            l1: L1Config::Split {
                instruction: ArrayConfig::lru(16, 4),
                data: ArrayConfig::lru(16, 4),
            },
            l2: Some(ArrayConfig::lru(128, 12)),
            tagged: true,
            software: false,
        }
    }
}

/// Why there is no array of some geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// The number of sets is no power of two.
    Sets(u32),
    /// The number of ways is none or too large.
    Ways(u32),
    /// Too many entries altogether.
    Entries {
        /// The sets asked for.
        sets: u32,
        /// The ways asked for.
        ways: u32,
    },
    /// Tree-PLRU over a number of ways that is no power of two.
    PlruWays(u32),
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sets(n) => {
                write!(f, "{n} sets: the set is picked by address bits, so use a power of two")
            }
            Self::Ways(n) => write!(f, "{n} ways: use 1 to {WAYS_MAX}"),
            Self::Entries { sets, ways } => {
                write!(f, "{sets}x{ways} entries: use at most {ENTRIES_MAX} in one array")
            }
            Self::PlruWays(n) => {
                write!(f, "plru over {n} ways: its tree needs a power of two; use that, or lru")
            }
        }
    }
}

impl error::Error for GeometryError {}

/// Why a TLB's description was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlbConfigError {
    /// The part of the description that is at fault, as it was given.
    pub part: String,
    /// What is wrong with it.
    pub reason: TlbConfigReason,
}

/// What is wrong with a part of a TLB's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlbConfigReason {
    /// No such part.
    UnknownPart,
    /// The part has been given before, or contradicts one given before.
    Repeated,
    /// The geometry is not `SETSxWAYS`.
    NotGeometry,
    /// The geometry cannot be built.
    Geometry(GeometryError),
    /// No such replacement policy.
    UnknownPolicy,
    /// The seed is not a number, or the policy takes none.
    Seed,
    /// Not a page size.
    PageSize,
    /// The first level, or one side of it, is missing.
    NoFirstLevel,
}

impl fmt::Display for TlbConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLB: {:?}: ", self.part)?;
        match &self.reason {
            TlbConfigReason::UnknownPart => f.write_str(
                "expected a number of entries, l1=, l1i=, l1d= or l2= with SETSxWAYS[:POLICY], \
                 untagged or software; example: l1i=16x4,l1d=16x4:plru,l2=128x12",
            ),
            TlbConfigReason::Repeated => {
                f.write_str("given twice; each of l1 (or l1i and l1d) and l2 is given once")
            }
            TlbConfigReason::NotGeometry => {
                f.write_str("expected SETSxWAYS, as 16x4; 1x64 is fully associative")
            }
            TlbConfigReason::Geometry(error) => error.fmt(f),
            TlbConfigReason::UnknownPolicy => {
                f.write_str("no such replacement policy; use one of")?;
                Replacement::NAMES.iter().try_for_each(|name| write!(f, " {name}"))
            }
            TlbConfigReason::Seed => {
                f.write_str("only random takes a seed, a whole number: random:42")
            }
            TlbConfigReason::PageSize => {
                f.write_str("expected page sizes as @4K+2M (B, K, M, G or T; powers of two)")
            }
            TlbConfigReason::NoFirstLevel => {
                f.write_str("the first level is missing; give l1=, or l1i= and l1d=")
            }
        }
    }
}

impl error::Error for TlbConfigError {}
