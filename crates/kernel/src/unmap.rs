//! Letting go of what page-table entries named.
//!
//! ```text
//!   entry held      then
//!   anon frame      modified bit ─► dirty; last owner gone ─► frame free, slot free
//!   large page      each of its frames as an anon frame
//!   file frame      modified bit ─► dirty; last mapping gone and dirty ─► written back; stays cached
//!   object's frame  modified bit ─► dirty; stays cached as long as the object lives
//!   swap slot       last owner gone ─► slot free, and the frame that keeps it
//!   empty table     frame free
//! ```
//!
//! All of it happens after the flush: [`Gather::flush`] hands nothing out before.

use crate::pmap::{Gather, Gathered, Resident};
use crate::{Kernel, Platform, Pmap, ReverseMapping, SpaceId, Use};
use pagewalk_mmu::{Pfn, VirtAddr};

impl<P: Pmap> Kernel<P> {
    /// Flushes, and releases what was gathered.
    pub(crate) fn release_gathered(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        gather: &mut Gather,
    ) {
        if gather.is_empty() {
            return;
        }
        let (released, flushed) = gather.flush(platform);
        self.counters.count_flush(flushed);
        for entry in released {
            match entry {
                Gathered::Page { va, was } => self.release_page(platform, id, va, was),
                Gathered::Large(large) => self.release_large(platform, id, large),
                Gathered::Slot { va, slot } => {
                    self.drop_slot_name(slot);
                    let place = ReverseMapping { space: id, va };
                    self.each_owner(place, |residency| residency.swapped -= 1);
                }
                Gathered::Table(pfn) => self.frames.release(pfn),
            }
        }
    }

    /// Lets go of a page that was unmapped and flushed.
    pub(crate) fn release_page(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
        was: Resident,
    ) {
        let left = self.note_unmapped(ReverseMapping { space: id, va }, was);
        match self.frames.used(was.pfn) {
            Use::Anon { .. } => {
                if was.modified {
                    self.frames.set_dirty(was.pfn, true);
                }
                self.free_unowned(was.pfn);
            }
            Use::File { file, .. } => {
                if was.modified {
                    self.frames.set_dirty(was.pfn, true);
                }
                if left == 0 && !file.is_memory() && self.frames.dirty(was.pfn) {
                    self.write_back_or_keep(platform, was.pfn);
                }
            }
            _ => {}
        }
    }

    /// Writes a dirty page of a file back. After an error, which is counted and told, it stays
    /// dirty in the cache, and is tried again when it is evicted or synchronised.
    fn write_back_or_keep(&mut self, platform: &mut impl Platform, pfn: Pfn) {
        let _told = self.write_back(platform, pfn);
    }
}
