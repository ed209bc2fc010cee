//! The geometry of a walk cache, checked.

use crate::radix::{Geometry, Radix};
use crate::tlb::{ArrayConfig, Arrays, GeometryError, PageSizes, TlbConfigReason};
use crate::{Level, Tables};
use alloc::string::{String, ToString};
use core::{error, fmt};

/// The levels that entries which point to tables can have, 1 being the lowest.
pub(crate) const LEVELS: usize = 4;

/// Which array holds the pointers of each level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WalkCacheConfig {
    /// One array for all levels (AMD).
    Shared(ArrayConfig),
    /// An array for each level (Intel): of level 1 (PDEs) first. At least one is there.
    PerLevel([Option<ArrayConfig>; LEVELS]),
}

impl WalkCacheConfig {
    /// Whether walks of these tables can go through it.
    ///
    /// # Errors
    /// If the tables have no pointers of the levels that it is for.
    pub fn check(&self, tables: &Tables) -> Result<(), WalkCacheError> {
        self.arrays(self.geometry(tables)?).map(drop)
    }

    /// The shape of the trees.
    pub(super) fn geometry<'a>(&self, tables: &'a Tables) -> Result<&'a Geometry, WalkCacheError> {
        match tables {
            Tables::Radix(format) => Ok(format.geometry()),
            Tables::Hashed(_) => {
                Err(WalkCacheError { part: self.to_string(), reason: WalkCacheReason::NoTrees })
            }
        }
    }

    /// The arrays for trees of this geometry, each holding "pages" of the size that an entry of
    /// its level maps.
    pub(super) fn arrays(&self, geometry: &Geometry) -> Result<Arrays, WalkCacheError> {
        let levels = geometry.top().0;
        let span = |level| geometry.level(Level(level)).page();
        let refuse = |level| {
            let part = if level == 0 { String::from("all") } else { alloc::format!("l{level}") };
            WalkCacheError { part, reason: WalkCacheReason::NoSuchLevel { levels } }
        };
        let per_level = match self {
            Self::Shared(_) if levels == 0 => return Err(refuse(0)),
            Self::Shared(array) => {
                return Ok(array.with_pages(PageSizes::only((1..=levels).map(span))).into());
            }
            Self::PerLevel(per_level) => per_level,
        };
        let mut arrays = Arrays::default();
        for (level, array) in (1..).zip(per_level) {
            let Some(array) = array else { continue };
            if level > levels {
                return Err(refuse(level));
            }
            let array = array.with_pages(PageSizes::only([span(level)]));
            arrays.add(array).map_err(|error| WalkCacheError {
                part: alloc::format!("l{level}"),
                reason: WalkCacheReason::Geometry(error),
            })?;
        }
        Ok(arrays)
    }
}

/// Why a walk cache's description was not understood, or does not fit the page tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkCacheError {
    /// The part of the description that is at fault, as it was given.
    pub part: String,
    /// What is wrong with it.
    pub reason: WalkCacheReason,
}

/// What is wrong with a part of a walk cache's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkCacheReason {
    /// No such part.
    UnknownPart,
    /// The part has been given before, or beside `all`.
    Repeated,
    /// The array is not as one of a TLB.
    Array(TlbConfigReason),
    /// The array cannot be built.
    Geometry(GeometryError),
    /// The page tables have no table entries of that level.
    NoSuchLevel {
        /// The highest that they have; 0 if there is none at all.
        levels: u8,
    },
    /// The tables are no trees: there are no pointers to tables.
    NoTrees,
}

impl fmt::Display for WalkCacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "walk cache: {:?}: ", self.part)?;
        match &self.reason {
            WalkCacheReason::UnknownPart => f.write_str(
                "expected all= or l1=, l2=, l3=, l4= with ENTRIES or SETSxWAYS[:POLICY]; \
                 example: l1=32,l2=4,l3=2",
            ),
            WalkCacheReason::Repeated => {
                f.write_str("given twice; each level is given once, or all= for all of them")
            }
            WalkCacheReason::Array(reason) => reason.fmt(f),
            WalkCacheReason::Geometry(error) => error.fmt(f),
            WalkCacheReason::NoSuchLevel { levels: 0 } => {
                f.write_str("the page table has one level, which points to no tables; give none")
            }
            WalkCacheReason::NoSuchLevel { levels: 1 } => {
                f.write_str("table entries of these page tables are of level 1; give l1 or all")
            }
            WalkCacheReason::NoSuchLevel { levels } => {
                write!(f, "table entries of these page tables are of levels 1 to {levels}")
            }
            WalkCacheReason::NoTrees => f.write_str(
                "this machine's page table is no tree, and points to no tables; give none",
            ),
        }
    }
}

impl error::Error for WalkCacheError {}
