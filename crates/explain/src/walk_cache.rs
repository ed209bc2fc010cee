//! The walk cache's part of an explanation.

use pagewalk_mmu::radix::Radix;
use pagewalk_mmu::{CachedPointer, Level, Tables, WalkCache};

use crate::record::WalkCacheProbe;
use crate::recorder::Recorder;
use crate::split::level_names;

/// Where a walk started: `held` is what the cache held before it.
pub fn probe(
    cache: &WalkCache,
    held: &[CachedPointer],
    tables: &Tables,
    walk: &Recorder<'_>,
) -> WalkCacheProbe {
    let geometry = cache.config().to_string();
    let miss = WalkCacheProbe { geometry: geometry.clone(), entry: None, table: None };
    let (Tables::Radix(format), Some((level, table))) = (tables, walk.start) else { return miss };
    // A walk that starts below the top started at a table that the cache knew.
    let is_start = |pointer: &&CachedPointer| (pointer.level, pointer.table) == (level, table);
    if level == format.geometry().top() || !held.iter().any(|pointer| is_start(&pointer)) {
        return miss;
    }
    let (_, entry) = level_names(format, Level(level.0 + 1));
    WalkCacheProbe { geometry, entry: Some(entry), table: Some(table.0) }
}
