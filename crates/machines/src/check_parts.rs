//! The rules of arrays and caches: what can be built.

use std::ops::RangeInclusive;

use pagewalk_mmu::cache::CacheConfig;
use pagewalk_mmu::tlb::{ArrayConfig, Replacement};
use toml::Spanned;

use crate::check::{Check, list};
use crate::description::{DataCache, MachineMmu, Reach, Side, TlbArray, WalkCache};
use crate::error::DescriptionError;
use crate::facts::Facts;
use crate::file::{self, Ways};
use crate::size::{compact, parse};

/// The levels of TLBs that the simulator has.
const TLB_LEVELS: RangeInclusive<u8> = 1..=2;
/// The levels of caches that can be described.
const CACHE_LEVELS: RangeInclusive<u8> = 1..=4;
/// The levels of caches that the simulator has …
const MODELLED_CACHE_LEVELS: RangeInclusive<u8> = 1..=3;
/// … and the shortest line of them.
const MODELLED_LINE_MIN: u32 = 8;
/// The largest cache that can be described: 4 GiB.
const CACHE_BYTES_MAX: u64 = 4 << 30;
/// The shortest and the longest line of a cache.
const LINE_BYTES: RangeInclusive<u32> = 4..=4096;

type Result<T> = std::result::Result<T, DescriptionError>;

impl Check<'_> {
    pub(crate) fn arrays(
        &mut self,
        arrays: &Spanned<Vec<Spanned<file::Array>>>,
        mmu: &MachineMmu,
    ) -> Result<Vec<TlbArray>> {
        let mut checked: Vec<TlbArray> = Vec::new();
        for array in arrays.get_ref() {
            let new = self.array(array.get_ref(), mmu)?;
            self.array_fits_in(array, &new, &checked)?;
            checked.push(new);
        }
        self.levels_are_whole(arrays, &checked)?;
        checked.sort_by_key(|array| array.level);
        Ok(checked)
    }

    fn array(&mut self, array: &file::Array, mmu: &MachineMmu) -> Result<TlbArray> {
        let level = *array.level.get_ref();
        if !TLB_LEVELS.contains(&level) {
            return Err(self.refuse(&array.level, format!("level {level}: give 1 or 2")));
        }
        let pages = self.sizes(&array.pages)?;
        for page in array.pages.get_ref() {
            if !mmu.pages.contains(&self.page_bytes(page)?) {
                let has = list(&mmu.pages);
                let problem =
                    format!("{} is no page of this machine: it has {has}", page.get_ref());
                return Err(self.refuse(page, problem));
            }
        }
        let replacement = array.replacement.as_ref().map(|name| self.policy(name)).transpose()?;
        let entries = *array.entries.get_ref();
        let (sets, ways) = self.geometry(&array.entries, &array.ways)?;
        ArrayConfig::new(sets, ways, replacement.unwrap_or_default())
            .map_err(|error| self.refuse(&array.entries, error.to_string()))?;
        Ok(TlbArray {
            level,
            side: *array.side.get_ref(),
            pages,
            entries,
            ways,
            replacement,
            note: array.note.clone(),
            not_modelled: array.not_modelled.clone(),
            provenance: self.provenance(&array.source, array.place.as_ref(), array.checked)?,
        })
    }

    fn policy(&self, name: &Spanned<String>) -> Result<Replacement> {
        Replacement::by_name(name.get_ref()).ok_or_else(|| {
            let names = Replacement::NAMES.join(", ");
            let problem = format!(
                "no replacement policy {:?}: give one of {names}, or leave it out if it is not \
                 known",
                name.get_ref()
            );
            self.refuse(name, problem)
        })
    }

    /// Whether the simulated TLB can have `new` beside the arrays before it: a level is unified or
    /// has two sides, and a page's size says which array holds it.
    fn array_fits_in(
        &self,
        place: &Spanned<file::Array>,
        new: &TlbArray,
        before: &[TlbArray],
    ) -> Result<()> {
        let is_modelled = |array: &&TlbArray| array.not_modelled.is_none();
        let peers = before.iter().filter(is_modelled).filter(|old| old.level == new.level);
        for old in peers.filter(|_| new.not_modelled.is_none()) {
            if (old.side == Side::Unified) != (new.side == Side::Unified) {
                let problem = "a level is unified or has two sides: give the same kind for all, or \
                               say not_modelled = \"…\"";
                return Err(self.refuse(&place.get_ref().side, problem));
            }
            let shared = old.pages.iter().find(|page| new.pages.contains(page));
            if let (Some(&page), true) = (shared, old.side == new.side) {
                let problem = format!(
                    "pages of {} have an array at this level already: a page size has one; join \
                     them, or say not_modelled = \"…\"",
                    compact(page)
                );
                return Err(self.refuse(&place.get_ref().pages, problem));
            }
        }
        Ok(())
    }

    /// Whether each level has both sides, and there is a first.
    fn levels_are_whole(
        &self,
        place: &Spanned<Vec<Spanned<file::Array>>>,
        arrays: &[TlbArray],
    ) -> Result<()> {
        let has = |level, side| {
            arrays.iter().any(|a| a.not_modelled.is_none() && (a.level, a.side) == (level, side))
        };
        for level in TLB_LEVELS {
            if has(level, Side::Instruction) != has(level, Side::Data) {
                let problem = format!(
                    "level {level} has one side alone: give both instruction and data, or unified"
                );
                return Err(self.refuse(place, problem));
            }
        }
        match has(1, Side::Data) || has(1, Side::Unified) {
            true => Ok(()),
            false => Err(self.refuse(place, "the first level is missing: give arrays of level 1")),
        }
    }

    fn walk_cache(&mut self, cache: &Spanned<file::WalkCache>, facts: &Facts) -> Result<WalkCache> {
        let cache = cache.get_ref();
        let reach = parse(cache.reach.get_ref());
        let level = facts.reaches.iter().position(|&known| Some(known) == reach);
        let (Some(reach), Some(level)) = (reach, level) else {
            let problem = match facts.reaches.as_slice() {
                [] => "this MMU has no upper levels to cache: remove the walk cache".to_owned(),
                reaches => format!(
                    "no entry of an upper level leads to {}: they lead to {}",
                    cache.reach.get_ref(),
                    list(reaches)
                ),
            };
            return Err(self.refuse(&cache.reach, problem));
        };
        let (sets, ways) = self.geometry(&cache.entries, &cache.ways)?;
        ArrayConfig::new(sets, ways, Replacement::Lru)
            .map_err(|error| self.refuse(&cache.entries, error.to_string()))?;
        Ok(WalkCache {
            name: cache.name.clone(),
            reach: Reach(reach),
            level: level as u8 + 1,
            entries: *cache.entries.get_ref(),
            ways,
            note: cache.note.clone(),
            not_modelled: cache.not_modelled.clone(),
            provenance: self.provenance(&cache.source, cache.place.as_ref(), cache.checked)?,
        })
    }

    /// The walk caches; entries of one level lie in one.
    pub(crate) fn walk_caches(
        &mut self,
        caches: &[Spanned<file::WalkCache>],
        facts: &Facts,
    ) -> Result<Vec<WalkCache>> {
        let mut checked: Vec<WalkCache> = Vec::new();
        for cache in caches {
            let new = self.walk_cache(cache, facts)?;
            let is_modelled = |cache: &&WalkCache| cache.not_modelled.is_none();
            let mut before = checked.iter().filter(is_modelled).filter(|_| is_modelled(&&new));
            if before.any(|old| old.level == new.level) {
                let problem = "a walk cache given before holds the entries of this level: join \
                               them, or say not_modelled = \"…\"";
                return Err(self.refuse(&cache.get_ref().reach, problem));
            }
            checked.push(new);
        }
        Ok(checked)
    }

    /// The caches; those of loads and stores that are modelled form a hierarchy: one for each
    /// level from the first on, with lines of one length.
    pub(crate) fn caches(&mut self, caches: &[Spanned<file::Cache>]) -> Result<Vec<DataCache>> {
        let mut checked: Vec<DataCache> = Vec::new();
        for cache in caches {
            let new = self.cache(cache)?;
            let old: Vec<&DataCache> = checked.iter().filter(|old| old.is_modelled()).collect();
            if new.is_modelled() {
                self.cache_follows(cache, &new, &old)?;
            }
            checked.push(new);
        }
        Ok(checked)
    }

    fn cache_follows(
        &self,
        place: &Spanned<file::Cache>,
        new: &DataCache,
        before: &[&DataCache],
    ) -> Result<()> {
        let cache = place.get_ref();
        let next = before.len() as u8 + 1;
        if new.level != next || !MODELLED_CACHE_LEVELS.contains(&next) {
            let problem = format!(
                "a cache of level {} behind {} modelled ones: the simulator has levels 1 to 3, one \
                 cache each, given in this order; or say not_modelled = \"…\"",
                new.level,
                before.len()
            );
            return Err(self.refuse(&cache.level, problem));
        }
        let alone = format!("l1={}:{},line={}", new.bytes, new.ways, new.line);
        let line = before.first().map_or(new.line, |first| first.line);
        if new.line != line || new.line < MODELLED_LINE_MIN {
            let problem = format!(
                "lines of {} bytes: the simulator's caches have lines of one length, at least \
                 {MODELLED_LINE_MIN} bytes; or say not_modelled = \"…\"",
                new.line
            );
            return Err(self.refuse(&cache.line, problem));
        }
        let built = CacheConfig::parse(&alone).map(drop);
        built.map_err(|error| self.refuse(&cache.size, error.to_string()))
    }

    fn cache(&mut self, cache: &Spanned<file::Cache>) -> Result<DataCache> {
        let cache = cache.get_ref();
        let level = *cache.level.get_ref();
        if !CACHE_LEVELS.contains(&level) {
            return Err(self.refuse(&cache.level, format!("level {level}: give 1 to 4")));
        }
        let line = *cache.line.get_ref();
        if !LINE_BYTES.contains(&line) || !line.is_power_of_two() {
            let problem = format!("a line of {line} bytes: give a power of two, 4 to 4096");
            return Err(self.refuse(&cache.line, problem));
        }
        let bytes = parse(cache.size.get_ref())
            .filter(|bytes| *bytes <= CACHE_BYTES_MAX && bytes.is_multiple_of(line.into()));
        let Some(bytes) = bytes else {
            let problem = format!(
                "{:?} is no size of a cache with lines of {line} bytes: give a multiple, as 32K, \
                 up to 4G",
                cache.size.get_ref()
            );
            return Err(self.refuse(&cache.size, problem));
        };
        let lines = u32::try_from(bytes / u64::from(line)).unwrap_or(u32::MAX);
        let (sets, ways) = self.sets(lines, &cache.size, &cache.ways)?;
        let is_modelled = cache.not_modelled.is_none();
        if !sets.is_power_of_two() && is_modelled {
            let problem = format!(
                "{sets} sets: the set is picked by address bits, so use a power of two, or say \
                 not_modelled = \"…\""
            );
            return Err(self.refuse(&cache.size, problem));
        }
        Ok(DataCache {
            level,
            side: *cache.side.get_ref(),
            bytes,
            ways,
            line,
            latency: cache.latency.as_ref().map(|latency| *latency.get_ref()),
            note: cache.note.clone(),
            not_modelled: cache.not_modelled.clone(),
            provenance: self.provenance(&cache.source, cache.place.as_ref(), cache.checked)?,
        })
    }

    /// Sets and ways.
    fn geometry(&self, entries: &Spanned<u32>, ways: &Spanned<Ways>) -> Result<(u32, u32)> {
        self.sets(*entries.get_ref(), entries, ways)
    }

    /// Sets and ways of `entries`, which stand at `place`.
    fn sets<T>(
        &self,
        entries: u32,
        place: &Spanned<T>,
        ways: &Spanned<Ways>,
    ) -> Result<(u32, u32)> {
        if entries == 0 {
            return Err(self.refuse(place, "no entries: give at least 1"));
        }
        let number = match ways.get_ref() {
            Ways::Number(number) => *number,
            Ways::Word(word) if word == "full" => entries,
            Ways::Word(word) => {
                let problem = format!("{word:?} ways: give a number, or \"full\"");
                return Err(self.refuse(ways, problem));
            }
        };
        if number == 0 || number > entries {
            let problem = format!("{number} ways of {entries} entries: give 1 to {entries}");
            return Err(self.refuse(ways, problem));
        }
        if !entries.is_multiple_of(number) {
            let problem =
                format!("{entries} entries are no multiple of {number} ways: a set has them all");
            return Err(self.refuse(place, problem));
        }
        Ok((entries / number, number))
    }
}
