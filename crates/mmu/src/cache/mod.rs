//! Data caches: levels of sets × ways of lines, which data references and walks go through.
//!
//! ```text
//!   load, store, walk ──► L1 ──miss──► L2 ──miss──► L3 ──miss──► memory
//!                          │ ▲          │ ▲
//!                          │ └── line ──┘ └── line …          each level that missed is filled
//!                          └── a dirty line that makes room ──► the level below
//! ```
//!
//! The caches hold no bytes: only which lines are where, so that what a reference costs follows.
//! They are indexed and tagged by physical address, write-back and write-allocate, and neither
//! inclusive nor exclusive. What the kernel and devices do to memory passes them by, and so do
//! instruction fetches.
//!
//! Invariants:
//! 1. A line is at most once in a level.
//! 2. Look-ups of a level are the misses of the level above; of the first, all references.
//! 3. A line that is written back is no look-up. A level that has it notes that it is dirty, one
//!    that has not takes it in.

mod config;

pub use config::{CacheConfig, CacheError, CacheLevelConfig, CacheReason};

use crate::PhysAddr;
use crate::tlb::Chooser;
use alloc::{vec, vec::Vec};

/// The most levels.
pub const LEVELS_MAX: usize = 3;

/// A hierarchy of caches.
#[derive(Clone, Debug)]
pub struct Caches {
    config: CacheConfig,
    levels: Vec<Level>,
}

/// Who refers to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// The program's loads and stores.
    Data,
    /// Walks of page tables, by hardware or by a refill handler.
    Walk,
}

/// What is done to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineAccess {
    /// It is read.
    Read,
    /// It is written, in part or whole.
    Write,
}

/// What one level has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// For data references.
    pub data: LookupCounts,
    /// For walks.
    pub walks: LookupCounts,
    /// Dirty lines that it handed down.
    pub writebacks: u64,
}

/// Look-ups by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupCounts {
    /// The line was there.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

impl Caches {
    /// Empty caches.
    pub fn new(config: CacheConfig) -> Self {
        let levels = config.levels().iter().map(|level| Level::new(level, &config)).collect();
        Self { config, levels }
    }

    /// The geometry.
    pub const fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// The counters, first level first.
    pub fn counters(&self) -> impl Iterator<Item = &CacheCounters> {
        self.levels.iter().map(|level| &level.counters)
    }

    /// `bytes` bytes from `at` on are read or written: one reference to each line that has some.
    pub fn refer(&mut self, at: PhysAddr, bytes: u64, access: LineAccess, by: Requester) {
        let shift = self.config.line_shift();
        let last = at.0.wrapping_add(bytes.max(1) - 1);
        for line in at.0 >> shift..=last >> shift {
            refer(&mut self.levels, line, access, by);
        }
    }
}

/// One reference to a line, at the first of these levels.
fn refer(levels: &mut [Level], line: u64, access: LineAccess, by: Requester) {
    let Some((level, below)) = levels.split_first_mut() else { return };
    if level.look_up(line, access, by) {
        return;
    }
    // The line is read, even if all of it is about to be written.
    refer(below, line, LineAccess::Read, by);
    fill(level, below, line, access == LineAccess::Write);
}

/// Puts a line into a level that lacks it; a dirty line that makes room goes down.
fn fill(level: &mut Level, below: &mut [Level], line: u64, dirty: bool) {
    if let Some(left) = level.insert(line, dirty) {
        level.counters.writebacks += 1;
        write_back(below, left);
    }
}

fn write_back(levels: &mut [Level], line: u64) {
    let Some((level, below)) = levels.split_first_mut() else { return };
    match level.find(line) {
        Some(slot) => level.dirty[slot] = true,
        None => fill(level, below, line, true),
    }
}

/// One level.
#[derive(Clone, Debug)]
struct Level {
    /// Line number + 1 of each slot; 0 has none.
    tags: Vec<u64>,
    dirty: Vec<bool>,
    /// The time of the last reference to each slot, by the level's own clock.
    stamps: Vec<u64>,
    now: u64,
    set_mask: u64,
    ways: usize,
    chooser: Chooser,
    counters: CacheCounters,
}

impl Level {
    fn new(config: &CacheLevelConfig, whole: &CacheConfig) -> Self {
        let sets = config.sets(whole.line_shift());
        let slots = (sets * u64::from(config.ways())) as usize;
        Self {
            tags: vec![0; slots],
            dirty: vec![false; slots],
            stamps: vec![0; slots],
            now: 0,
            set_mask: sets - 1,
            ways: config.ways() as usize,
            chooser: Chooser::new(config.replacement(), slots),
            counters: CacheCounters::default(),
        }
    }

    /// Whether the line is here; counted.
    fn look_up(&mut self, line: u64, access: LineAccess, by: Requester) -> bool {
        let found = self.find(line);
        let counts = match by {
            Requester::Data => &mut self.counters.data,
            Requester::Walk => &mut self.counters.walks,
        };
        counts.hits += u64::from(found.is_some());
        counts.misses += u64::from(found.is_none());
        if let Some(slot) = found {
            self.stamp(slot);
            self.dirty[slot] |= access == LineAccess::Write;
        }
        found.is_some()
    }

    fn find(&self, line: u64) -> Option<usize> {
        let first = self.first_slot(line);
        let way = self.tags[first..first + self.ways].iter().position(|&tag| tag == line + 1)?;
        Some(first + way)
    }

    /// Puts the line in; returns the dirty line that makes room, if there is one.
    fn insert(&mut self, line: u64, dirty: bool) -> Option<u64> {
        let first = self.first_slot(line);
        let set = first..first + self.ways;
        let free = self.tags[set.clone()].iter().position(|&tag| tag == 0);
        let way = free.unwrap_or_else(|| self.chooser.victim(&self.stamps[set], first));
        let slot = first + way;
        let left = (self.dirty[slot] && self.tags[slot] != 0).then(|| self.tags[slot] - 1);
        self.tags[slot] = line + 1;
        self.dirty[slot] = dirty;
        self.stamp(slot);
        self.chooser.filled(slot);
        left
    }

    /// The slot is the one used last.
    fn stamp(&mut self, slot: usize) {
        self.now += 1;
        self.stamps[slot] = self.now;
    }

    fn first_slot(&self, line: u64) -> usize {
        (line & self.set_mask) as usize * self.ways
    }
}
