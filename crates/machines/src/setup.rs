//! What the simulator makes of a description: the values of `pagewalk run`'s options.
//!
//! Arrays, walk caches and caches that say `not_modelled` are left out; everything else that a
//! checked description holds can be built.

use std::collections::BTreeSet;

use pagewalk_machine::{CostModel, Hardware};
use pagewalk_mmu::WalkCacheConfig;
use pagewalk_mmu::cache::CacheConfig;
use pagewalk_mmu::tlb::TlbConfig;
use serde::Serialize;

use crate::description::{DataCache, Description, Loading, TlbArray, WalkCache};
use crate::facts;
use crate::size::compact;

/// The options that stand for a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// `--mmu`.
    pub mmu: String,
    /// `--tlb`.
    pub tlb: String,
    /// `--walk-cache`.
    pub walk_cache: Option<String>,
    /// `--cache`.
    pub cache: Option<String>,
    /// `--ram`.
    pub ram: String,
    /// What real ones have and the simulated one has not.
    pub not_modelled: Vec<String>,
}

impl Description {
    /// What translates addresses, in a machine with `ram_bytes` of RAM.
    ///
    /// # Errors
    /// If the simulator has not got it, which no checked description brings about.
    pub fn hardware(&self, ram_bytes: u64) -> Result<Hardware, String> {
        let tables = facts::tables(&self.mmu.name, self.mmu.linear, ram_bytes);
        tables.map(Hardware::Paged).ok_or_else(|| format!("no MMU {}", self.mmu.name))
    }

    /// The TLB.
    ///
    /// # Errors
    /// If it cannot be built, which no checked description brings about.
    pub fn tlb(&self) -> Result<TlbConfig, String> {
        TlbConfig::parse(&self.tlb_text()).map_err(|error| error.to_string())
    }

    /// The cache of pointers to page tables.
    ///
    /// # Errors
    /// If it cannot be built, which no checked description brings about.
    pub fn walk_cache(&self) -> Result<Option<WalkCacheConfig>, String> {
        let text = self.walk_cache_text();
        let config = text.as_deref().map(WalkCacheConfig::parse).transpose();
        config.map_err(|error| error.to_string())
    }

    /// The data caches.
    ///
    /// # Errors
    /// If they cannot be built, which no checked description brings about.
    pub fn cache(&self) -> Result<Option<CacheConfig>, String> {
        let config = self.cache_text().as_deref().map(CacheConfig::parse).transpose();
        config.map_err(|error| error.to_string())
    }

    /// What everything takes.
    pub fn cost(&self) -> CostModel {
        self.cost_model
    }

    /// The options of `pagewalk run` that it stands for.
    pub fn setup(&self) -> Setup {
        Setup {
            mmu: self.mmu.name.clone(),
            tlb: self.tlb_text(),
            walk_cache: self.walk_cache_text(),
            cache: self.cache_text(),
            ram: compact(self.memory.ram),
            not_modelled: self.not_modelled(),
        }
    }

    /// What the machine has and the simulated one has not, in sentences.
    pub fn not_modelled(&self) -> Vec<String> {
        let mmu = self.mmu.differs.clone().into_iter();
        let arrays = self.tlb.arrays.iter().filter_map(|array| {
            let why = array.not_modelled.as_ref()?;
            let side = array.side.letter();
            Some(format!("TLB L{}{side}, {} entries: {why}", array.level, array.entries))
        });
        let walk_caches = self
            .walk_caches
            .iter()
            .filter_map(|cache| Some(format!("{}: {}", cache.name, cache.not_modelled.as_ref()?)));
        let caches = self.caches.iter().filter_map(|cache| {
            let why = cache.not_modelled.as_ref()?;
            Some(format!("cache L{}{}: {why}", cache.level, cache.side.letter()))
        });
        mmu.chain(arrays).chain(walk_caches).chain(caches).collect()
    }

    /// The TLB as `--tlb` takes it.
    fn tlb_text(&self) -> String {
        let arrays = self.tlb.arrays.iter().filter(|array| array.not_modelled.is_none());
        let mut parts: Vec<String> = arrays.map(|array| self.array_text(array)).collect();
        match self.tlb.asid_bits {
            0 => parts.push("untagged".into()),
            bits if bits < u16::BITS as u8 => parts.push(format!("asid={bits}")),
            _ => {}
        }
        if self.tlb.load == Loading::Software {
            parts.push("software".into());
        }
        parts.join(",")
    }

    /// The walk caches as `--walk-cache` takes them.
    fn walk_cache_text(&self) -> Option<String> {
        let caches = self.walk_caches.iter().filter(|cache| cache.not_modelled.is_none());
        let part = |cache: &WalkCache| {
            format!("l{}={}x{}:lru", cache.level, cache.entries / cache.ways, cache.ways)
        };
        joined(caches.map(part))
    }

    /// The caches as `--cache` takes them.
    fn cache_text(&self) -> Option<String> {
        let caches = || self.caches.iter().filter(|cache| cache.is_modelled());
        let part =
            |cache: &DataCache| format!("l{}={}:{}", cache.level, compact(cache.bytes), cache.ways);
        let line = caches().next().map(|first| format!("line={}", first.line));
        joined(caches().map(part).chain(line))
    }

    fn array_text(&self, array: &TlbArray) -> String {
        let TlbArray { level, entries, ways, .. } = array;
        let policy = array.replacement.unwrap_or_default().name();
        let side = array.side.letter();
        let geometry = format!("l{level}{side}={}x{ways}:{policy}", entries / ways);
        match array.pages == self.mmu.pages {
            true => geometry,
            false => format!("{geometry}@{}", array.pages_text("B")),
        }
    }
}

/// Parts with commas between; `None` if there are none.
fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// What is wrong with a file of costs.
pub type CostError = String;

/// The costs of `base`, with those that the TOML text `changes` sets in their place.
///
/// # Errors
/// What is wrong with the text.
pub fn overlay(base: &CostModel, changes: &str) -> Result<CostModel, CostError> {
    let changed = CostModel::from_toml(changes)?;
    let keys: toml::Table = toml::from_str(changes).map_err(|error| error.to_string())?;
    let fields = |model: &CostModel| serde_json::to_value(model).map_err(|error| error.to_string());
    let (mut result, changed) = (fields(base)?, fields(&changed)?);
    for key in keys.keys() {
        result[key] = changed[key].clone();
    }
    serde_json::from_value(result).map_err(|error| error.to_string())
}

/// The keys of the cost model.
pub(crate) fn cost_keys() -> BTreeSet<String> {
    let model = serde_json::to_value(CostModel::default()).unwrap_or_default();
    model.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_laid_over_those_of_the_machine() {
        let base = CostModel { clock_mhz: 25, trap: 7, ..CostModel::default() };
        let both = overlay(&base, "trap = 9\nwalk_read = 1\n").unwrap();
        assert_eq!(both, CostModel { trap: 9, walk_read: 1, ..base });
        assert_eq!(overlay(&base, ""), Ok(base));
        assert!(overlay(&base, "trup = 1").unwrap_err().contains("trup"));
    }
}
