//! The compact textual form of a walk cache's geometry.
//!
//! ```text
//!   CACHE := "all" "=" ARRAY                  one array for the entries of all levels
//!          | LEVEL "=" ARRAY { "," LEVEL "=" ARRAY }
//!   LEVEL := "l1" | "l2" | "l3" | "l4"        of the entry that points to a table; x86: PDE,
//!                                             PDPTE, PML4E, PML5E
//!   ARRAY := ENTRIES | SETS "x" WAYS [ ":" POLICY [ ":" SEED ] ]      as of a TLB
//! ```

use super::config::{LEVELS, WalkCacheConfig, WalkCacheError, WalkCacheReason};
use crate::tlb::{ArrayConfig, PageSizes, TlbConfigReason};
use core::{fmt, str::FromStr};

impl WalkCacheConfig {
    /// Reads a description such as `l1=32,l2=4,l3=2` or `all=24`.
    ///
    /// ```
    /// use pagewalk_mmu::WalkCacheConfig;
    ///
    /// let config = WalkCacheConfig::parse("l1=32,l2=2x2:fifo").unwrap();
    /// assert_eq!(config.to_string(), "l1=1x32:lru,l2=2x2:fifo");
    /// let error = WalkCacheConfig::parse("l0=4").unwrap_err();
    /// assert!(error.to_string().contains("l1=32"));
    /// ```
    ///
    /// # Errors
    /// The part that is wrong, and what would be accepted in its place.
    pub fn parse(text: &str) -> Result<Self, WalkCacheError> {
        let mut per_level = [None; LEVELS];
        let mut shared = None;
        for part in text.split(',') {
            let refuse = |reason| WalkCacheError { part: part.into(), reason };
            let unknown = || refuse(WalkCacheReason::UnknownPart);
            let (name, array) = part.split_once('=').ok_or_else(unknown)?;
            let is_repeated = match name {
                "all" => per_level.iter().any(Option::is_some) || shared.is_some(),
                _ => shared.is_some(),
            };
            let place = match name {
                "all" => &mut shared,
                "l1" => &mut per_level[0],
                "l2" => &mut per_level[1],
                "l3" => &mut per_level[2],
                "l4" => &mut per_level[3],
                _ => return Err(unknown()),
            };
            if is_repeated || place.is_some() {
                return Err(refuse(WalkCacheReason::Repeated));
            }
            *place = Some(parse_array(array).map_err(|r| refuse(WalkCacheReason::Array(r)))?);
        }
        Ok(shared.map_or(Self::PerLevel(per_level), Self::Shared))
    }
}

impl FromStr for WalkCacheConfig {
    type Err = WalkCacheError;

    fn from_str(text: &str) -> Result<Self, WalkCacheError> {
        Self::parse(text)
    }
}

impl fmt::Display for WalkCacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(array) => write!(f, "all={array}"),
            Self::PerLevel(levels) => {
                let mut comma = "";
                for (level, array) in (1..).zip(levels) {
                    if let Some(array) = array {
                        write!(f, "{comma}l{level}={array}")?;
                        comma = ",";
                    }
                }
                Ok(())
            }
        }
    }
}

fn parse_array(text: &str) -> Result<ArrayConfig, TlbConfigReason> {
    let array = ArrayConfig::parse(text)?;
    // Which "pages" an array holds follows from its levels.
    if array.pages() == PageSizes::ALL { Ok(array) } else { Err(TlbConfigReason::PageSize) }
}
