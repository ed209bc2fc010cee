//! Compaction: pages move to other frames, so that a run of frames is free.
//!
//! ```text
//!   before   █ ─ █ ─ ─ ─ ─ █ │ █ █ ─ █ █ T █ █ │ ─ █ █ █ █ █ ─ █      T  a page table: stays
//!            └── fewest in use ┘
//!   after    ─ ─ ─ ─ ─ ─ ─ ─ │ █ █ █ █ █ T █ █ │ █ █ █ █ █ █ █ █
//! ```
//!
//! The free frames of the block are taken first, so that nothing moves to them. A page moves as it
//! would be evicted: all its entries are emptied and flushed before it is copied, so that no store is
//! lost, and name the new frame after. To the replacement policy it is a new page.
//!
//! Linux compacts a zone from both ends (mm/compaction.c); here one block is emptied, as its
//! `alloc_contig_range` does, because one is all that is asked for. Only private pages move.
//!
//! Invariants:
//! 1. Nothing is evicted, and as many frames are free after as before.
//! 2. A page under transfer does not move, nor does a page table, nor what a shared table names.

use crate::frame::Part;
use crate::{Kernel, Platform, Pmap, Resident, Use};
use pagewalk_mmu::Pfn;
use pagewalk_replacement::PageKind;

/// What frames of a run are until something is mapped there.
const HELD: Use = Use::Anon { slot: None };

impl<P: Pmap> Kernel<P> {
    /// Frees a run as long as a block by moving pages, and takes it. `None` if no block can be freed.
    /// The caller made sure that so many frames are free.
    pub(crate) fn compact_run(&mut self, platform: &mut impl Platform, count: u64) -> Option<Pfn> {
        let blocks = self.frames.blocks_by_use();
        let first = blocks.into_iter().find(|&first| self.is_movable_block(first, count))?;
        let frames = || (first.0..first.0 + count).map(Pfn);
        let to_move: alloc::vec::Vec<Pfn> =
            frames().filter(|&pfn| !self.frames.take(pfn, HELD)).collect();
        for from in to_move {
            let to = self.frames.allocate(self.frames.used(from)).expect("as many are free");
            self.move_page(platform, from, to);
            self.frames.take(from, HELD);
            self.counters.pgmigrate_success += 1;
        }
        self.counters.pgalloc += count;
        self.counters.compact_success += 1;
        Some(first)
    }

    /// Whether all that a block holds can move.
    fn is_movable_block(&mut self, first: Pfn, count: u64) -> bool {
        for pfn in (first.0..first.0 + count).map(Pfn) {
            self.counters.compact_migrate_scanned += 1;
            let moves = match self.frames.used(pfn) {
                Use::Free => true,
                Use::Anon { .. } => {
                    self.frames.part(pfn) == Part::Base
                        && !self.transfers.is_writing(pfn)
                        && !self.is_in_shared_table(pfn)
                }
                _ => false,
            };
            if !moves {
                return false;
            }
        }
        true
    }

    fn is_in_shared_table(&self, pfn: Pfn) -> bool {
        let mut places = self.frames.reverse(pfn);
        self.frames.has_shared_tables()
            && places.any(|place| self.shared_at(place.space, place.va).is_some())
    }

    /// Moves a private page to another frame, which is taken already.
    fn move_page(&mut self, platform: &mut impl Platform, from: Pfn, to: Pfn) {
        let owners = self.replace_entries(platform, from, None);
        platform.copy_frame(from, to);
        let name = self.page_id(from);
        for &(place, was) in &owners {
            self.note_unmapped(place, was);
        }
        self.frames.copy_marks(from, to);
        self.move_slot(from, to);
        self.recent.moved(from, to);
        self.policy.remove(from);
        self.frames.release(from);
        for (place, was) in owners {
            self.map_frame(platform, place, Resident { pfn: to, ..was });
        }
        let next = platform.page_moved(from, to);
        self.know(to, name, PageKind::Anon);
        if let Some(next) = next {
            self.policy.reference(to, next);
        }
    }

    /// The slot that a page keeps goes with it.
    fn move_slot(&mut self, from: Pfn, to: Pfn) {
        let Use::Anon { slot: Some(slot) } = self.frames.used(from) else { return };
        let cached = self.swap_cache.find(&self.frames, slot) == Some(from);
        if cached {
            self.swap_cache.remove(&self.frames, from);
        }
        self.frames.set_slot(from, None);
        self.frames.set_slot(to, Some(slot));
        if cached {
            self.swap_cache.insert(&self.frames, to);
        }
    }
}
