//! The page cache: which frame holds a page of a file.
//!
//! A hash table of frame numbers only: the key, (file, page index), is in the frame table. It is
//! never iterated, so that its order shows nowhere.

use crate::{FileId, FrameTable, Use};
use core::hash::{Hash, Hasher};
use hashbrown::HashTable;
use pagewalk_mmu::Pfn;
use rustc_hash::FxHasher;

/// (file, page index) → frame.
#[derive(Clone, Debug, Default)]
pub struct PageCache {
    table: HashTable<u32>,
}

impl PageCache {
    /// The frame that holds the page.
    pub fn find(&self, frames: &FrameTable, file: FileId, index: u32) -> Option<Pfn> {
        let found = self.table.find(hash(file, index), |&pfn| is(frames, pfn, file, index))?;
        Some(Pfn(u64::from(*found)))
    }

    /// Pages held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no page is held.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a frame, whose entry in the frame table says what it holds.
    pub(crate) fn insert(&mut self, frames: &FrameTable, pfn: Pfn) {
        if let Some(hash) = hash_of(frames, pfn.0 as u32) {
            let rehash = |&pfn: &u32| hash_of(frames, pfn).unwrap_or(0);
            self.table.insert_unique(hash, pfn.0 as u32, rehash);
        }
    }

    /// Removes a frame, before its entry in the frame table changes.
    pub(crate) fn remove(&mut self, frames: &FrameTable, pfn: Pfn) {
        let Some(hash) = hash_of(frames, pfn.0 as u32) else { return };
        if let Ok(entry) = self.table.find_entry(hash, |&held| u64::from(held) == pfn.0) {
            entry.remove();
        }
    }
}

fn hash(file: FileId, index: u32) -> u64 {
    let mut hasher = FxHasher::default();
    (file, index).hash(&mut hasher);
    hasher.finish()
}

fn hash_of(frames: &FrameTable, pfn: u32) -> Option<u64> {
    match frames.used(Pfn(u64::from(pfn))) {
        Use::File { file, index, .. } => Some(hash(file, index)),
        _ => None,
    }
}

fn is(frames: &FrameTable, pfn: u32, wanted: FileId, at: u32) -> bool {
    let used = frames.used(Pfn(u64::from(pfn)));
    matches!(used, Use::File { file, index, .. } if file == wanted && index == at)
}
