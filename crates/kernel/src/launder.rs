//! Laundering: a page is written to where it would be evicted to, and stays.
//!
//! ```text
//!   anon, object, dirty    slot if it has none ─ take modified bits ─ flush ─ write   clean, slot kept
//!   file, dirty                                  take modified bits ─ flush ─ write   clean
//!                                                └ write failed ────────────────────► dirty
//! ```
//!
//! The order is that of page-out: the modified bits are taken, and flushed, *before* the write. A
//! store that comes later finds the bit clear, sets it, and so is not lost; taken after the write,
//! the bit would take that store's mark with it.
//!
//! What is laundered is the policy's to say, or the daemon's (`launder_ahead.rs`); nothing is written
//! that is clean or gone by now. A large page that is dirty is split first, for it is written and
//! evicted part by part (FreeBSD demotes a superpage for that); its first base page is written, and of
//! the others the policy knows from then on.

use crate::frame::Part;
use crate::{FileId, IoError, Kernel, Platform, Pmap, SwapSlot, Use};
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// Who waits for a write to swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// The hart.
    Now,
    /// Nobody: the device is at work meanwhile.
    Behind,
}

impl<P: Pmap> Kernel<P> {
    /// Writes the pages that the policy asked for, in the order in which it did.
    pub(crate) fn launder_queued(&mut self, platform: &mut impl Platform) {
        if self.clock.launder.is_empty() {
            return;
        }
        let mut queue: Vec<Pfn> = core::mem::take(&mut self.clock.launder);
        for pfn in queue.drain(..) {
            self.launder(platform, pfn, Writing::Now);
        }
        self.clock.launder = queue;
    }

    /// Writes a page, and says whether it was and is clean now.
    pub(crate) fn launder(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        writing: Writing,
    ) -> bool {
        if !self.policy.contains(pfn) {
            return false;
        }
        if self.frames.part(pfn) == Part::First {
            let is_dirty = self.frames.dirty(pfn) || self.is_modified(platform, pfn);
            let Some(place) = self.frames.first_mapping(pfn).filter(|_| is_dirty) else {
                return false;
            };
            self.split_at(platform, place.space, place.va);
        }
        self.collect_modified(platform, pfn);
        if !self.frames.dirty(pfn) {
            return false;
        }
        let clean = match self.frames.used(pfn) {
            Use::Anon { slot } => self.launder_anon(platform, pfn, slot, writing),
            Use::File { file, index, .. } if file.is_memory() => {
                self.launder_object(platform, pfn, file, index, writing)
            }
            Use::File { .. } => self.write_back(platform, pfn).is_ok(),
            _ => false,
        };
        if clean {
            self.frames.set_dirty(pfn, false);
            self.counters.pglaunder += 1;
        }
        clean
    }

    fn launder_anon(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        kept: Option<SwapSlot>,
        writing: Writing,
    ) -> bool {
        match kept {
            Some(slot) => self.write_slot(platform, slot, pfn, writing).is_ok(),
            None => self.write_new_slot(platform, pfn, writing).is_some_and(|slot| {
                self.keep_slot(pfn, slot);
                // Clean, or the slot would not be kept.
                self.frames.set_dirty(pfn, false);
                self.drop_pair_name(pfn, slot);
                true
            }),
        }
    }

    fn launder_object(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        file: FileId,
        index: u32,
        writing: Writing,
    ) -> bool {
        match self.objects.slot(file, index) {
            Some(slot) => self.write_slot(platform, slot, pfn, writing).is_ok(),
            None => self.write_new_slot(platform, pfn, writing).is_some_and(|slot| {
                self.objects.set_slot(file, index, Some(slot));
                self.swap.keep(slot);
                self.swap.drop_names(slot, 1);
                true
            }),
        }
    }

    /// Writes the page to a new slot, which has one name. No slot that another page keeps is taken for
    /// it: that one would have to be written again.
    fn write_new_slot(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        writing: Writing,
    ) -> Option<SwapSlot> {
        let slot = self.swap.allocate()?;
        if self.write_slot(platform, slot, pfn, writing).is_err() {
            self.swap.drop_names(slot, 1);
            return None;
        }
        Some(slot)
    }

    fn write_slot(
        &mut self,
        platform: &mut impl Platform,
        slot: SwapSlot,
        pfn: Pfn,
        writing: Writing,
    ) -> Result<(), IoError> {
        if writing == Writing::Now {
            return self.swap_write(platform, slot, pfn);
        }
        let result = platform.swap_write_behind(slot, pfn);
        self.count_swap_write(platform, slot, pfn, result)
    }
}
