//! The geometry of a TLB, checked.

use super::replacement::Replacement;
use crate::PageSize;
use alloc::{string::String, vec::Vec};
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

/// The arrays of one level of one side. A page's size says which of them holds it: no two hold
/// pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Arrays(Vec<ArrayConfig>);

impl Arrays {
    /// One more array, beside those that there are.
    ///
    /// # Errors
    /// If one of its page sizes has an array, or there would be too many entries.
    pub fn add(&mut self, array: ArrayConfig) -> Result<(), GeometryError> {
        let shared = |other: &ArrayConfig| other.pages.0 & array.pages.0 != 0;
        if let Some(other) = self.0.iter().find(|other| shared(other)) {
            return Err(GeometryError::SharedPages(PageSizes(other.pages.0 & array.pages.0)));
        }
        let held: u32 = self.0.iter().map(ArrayConfig::entries).sum();
        if array.entries() > ENTRIES_MAX - held {
            return Err(GeometryError::Entries { sets: array.sets, ways: array.ways });
        }
        self.0.push(array);
        Ok(())
    }

    /// The arrays, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &ArrayConfig> {
        self.0.iter()
    }

    /// The number of entries of all arrays.
    pub fn entries(&self) -> u32 {
        self.iter().map(ArrayConfig::entries).sum()
    }
}

impl From<ArrayConfig> for Arrays {
    fn from(array: ArrayConfig) -> Self {
        Self(Vec::from([array]))
    }
}

/// One level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LevelConfig {
    /// Arrays for each side.
    Split {
        /// For instruction fetches.
        instruction: Arrays,
        /// For loads and stores.
        data: Arrays,
    },
    /// Arrays that both sides share.
    Unified(Arrays),
}

/// The bits of the widest ASID.
pub const ASID_BITS_MAX: u8 = u16::BITS as u8;

/// A TLB.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlbConfig {
    /// The first level.
    pub l1: LevelConfig,
    /// The second level.
    pub l2: Option<LevelConfig>,
    /// The low bits of the address space (ASID, PCID) that entries carry, up to [`ASID_BITS_MAX`]:
    /// spaces that agree in them are one to the TLB. With 0 bits, entries carry no tag, and loading
    /// the root drops all that are not global.
    pub asid_bits: u8,
    /// A miss is an exception, and software loads the entry; else the hardware walks.
    pub software: bool,
}

impl TlbConfig {
    /// Whether entries of several address spaces can be told apart.
    #[inline]
    pub const fn is_tagged(&self) -> bool {
        self.asid_bits > 0
    }

    /// The bits of an ASID that entries carry, as a mask.
    pub(crate) fn asid_mask(&self) -> u16 {
        let bits = self.asid_bits.min(ASID_BITS_MAX);
        u16::try_from((1u32 << bits) - 1).unwrap_or(u16::MAX)
    }
}

impl Default for TlbConfig {
    /// Of the size of a desktop core's of the 2020s: 64 + 64 entries over 1536.
    fn default() -> Self {
        Self {
            l1: LevelConfig::Split {
                instruction: ArrayConfig::lru(16, 4).into(),
                data: ArrayConfig::lru(16, 4).into(),
            },
            l2: Some(LevelConfig::Unified(ArrayConfig::lru(128, 12).into())),
            asid_bits: ASID_BITS_MAX,
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
    /// Two arrays side by side hold pages of these sizes.
    SharedPages(PageSizes),
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sets(n) => {
                write!(f, "{n} sets: the set is picked by address bits, so use a power of two")
            }
            Self::Ways(n) => write!(f, "{n} ways: use 1 to {WAYS_MAX}"),
            Self::Entries { sets, ways } => {
                write!(f, "{sets}x{ways} entries: use at most {ENTRIES_MAX} in one level")
            }
            Self::PlruWays(n) => {
                write!(f, "plru over {n} ways: its tree needs a power of two; use that, or lru")
            }
            Self::SharedPages(PageSizes::ALL) => f.write_str(
                "given twice; arrays side by side hold pages of different sizes, as \
                 l1d=16x4@4K,l1d=8x4@2M",
            ),
            Self::SharedPages(pages) => {
                f.write_str("an array given before holds pages of")?;
                pages.iter().try_for_each(|page| write!(f, " {page}"))?;
                f.write_str("; a page size has one array")
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
    /// The part contradicts one given before: a level is unified, or has two sides.
    Contradicts,
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
    /// The first level is missing.
    NoFirstLevel,
    /// One side of a level is missing.
    NoOtherSide,
    /// Not a width of ASIDs.
    AsidBits,
}

impl fmt::Display for TlbConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLB: {:?}: {}", self.part, self.reason)
    }
}

impl fmt::Display for TlbConfigReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPart => f.write_str(
                "expected a number of entries, l1=, l1i=, l1d=, l2=, l2i= or l2d= with \
                 SETSxWAYS[:POLICY][@PAGES], asid=BITS, untagged or software; \
                 example: l1i=16x4,l1d=16x4:plru,l2=128x12",
            ),
            Self::Contradicts => f.write_str(
                "given twice; a level is unified (l1=, l2=) or has two sides (l1i= and l1d=, \
                 l2i= and l2d=)",
            ),
            Self::NotGeometry => {
                f.write_str("expected SETSxWAYS, as 16x4; 1x64 is fully associative")
            }
            Self::Geometry(error) => error.fmt(f),
            Self::UnknownPolicy => {
                f.write_str("no such replacement policy; use one of")?;
                Replacement::NAMES.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Self::Seed => f.write_str("only random takes a seed, a whole number: random:42"),
            Self::PageSize => {
                f.write_str("expected page sizes as @4K+2M (B, K, M, G or T; powers of two)")
            }
            Self::NoFirstLevel => {
                f.write_str("the first level is missing; give l1=, or l1i= and l1d=")
            }
            Self::NoOtherSide => f.write_str(
                "one side of a level is missing; l1i= and l1d= go together, and l2i= and l2d=",
            ),
            Self::AsidBits => {
                write!(f, "expected the width of ASIDs in bits, 0 to {ASID_BITS_MAX}: asid=12")
            }
        }
    }
}

impl error::Error for TlbConfigError {}
