//! Read-ahead: with a page that is wanted from a swap device, its neighbours that are on it as well.
//!
//! ```text
//!   fault on slot 13, window of 8:      slots   8   9  10  11  12 (13) 14  15
//!                                               │   ×   │   │   ×   ▼   │   ×     × free, of an
//!   swap cache                                  ○       ○   ○       ●   ○           object, or cached
//!
//!   ○ in the cache, marked; nobody maps it
//!       ├─ somebody faults on it ──► mark taken: a hit (swap_ra_hit), no read
//!       └─ evicted before ─────────► dropped: its slot has the bytes
//! ```
//!
//! Pages that were evicted together lie together (`swap.rs`), and will be wanted together; and a device
//! needs hardly longer for a row of slots than for one.
//!
//! The window is Linux's (`swapin_nr_pages` and `swap_cluster_readahead`, mm/swap_state.c): a power of
//! two that grows with the hits since the last window, shrinks by half at most, and is one page if
//! nothing hit and the slot is not next to the last one. It is aligned to its size, within the device.
//!
//! Read-ahead takes frames that are free beyond what the page daemon keeps free, and nothing is evicted
//! for it. An error in it is no error: who wants the page reads it again. Slots of memory objects
//! are not read ahead.

use crate::{Kernel, Platform, Pmap, SwapSlot, Use};
use alloc::vec::Vec;
use core::ops::Range;

/// The largest window that can be asked for (Linux: 2^`page_cluster`, at most 2^5).
pub const READ_AHEAD_MAX: u32 = 32;

/// The window's state.
#[derive(Clone, Debug)]
pub(crate) struct ReadAhead {
    /// The largest window; up to 1, nothing is read ahead.
    max: u32,
    /// Pages read ahead that were wanted since the last window.
    hits: u32,
    /// The slot of the last window of which nothing before it had hit.
    previous: u32,
    last: u32,
}

impl ReadAhead {
    /// Windows of up to `max` pages, a power of two.
    pub fn new(max: u32) -> Self {
        // As Linux starts: as if there had been hits.
        Self { max: max.min(READ_AHEAD_MAX), hits: 4, previous: 0, last: 0 }
    }

    /// A page that was read ahead is wanted.
    pub fn hit(&mut self) {
        self.hits += 1;
    }

    /// The slots to be read with this one, itself included, on a device with the slots `area`.
    pub fn window(&mut self, slot: u32, area: &Range<u32>) -> Range<u32> {
        if self.max <= 1 {
            return slot..slot + 1;
        }
        let (within, pages) = (slot - area.start, self.pages(slot));
        let first = area.start + within / pages * pages;
        first..(first + pages).min(area.end)
    }

    fn pages(&mut self, slot: u32) -> u32 {
        let hits = core::mem::take(&mut self.hits);
        let wanted = match hits {
            0 if slot.abs_diff(self.previous) != 1 => 1,
            0 => 2,
            hits => (hits + 2).next_power_of_two().max(4),
        };
        if hits == 0 {
            self.previous = slot;
        }
        self.last = wanted.min(self.max).max(self.last / 2);
        self.last
    }
}

impl<P: Pmap> Kernel<P> {
    /// The slots to be read with one that is wanted: those before it, and those behind.
    pub(crate) fn neighbours(&mut self, slot: SwapSlot) -> [Vec<SwapSlot>; 2] {
        let area = self.swap.areas()[self.swap.place(slot).0].slots();
        let window = self.read_ahead.window(slot.0, &area);
        let wanted = |&slot: &SwapSlot| self.swap.is_on_device_alone(slot);
        [window.start..slot.0, slot.0 + 1..window.end]
            .map(|slots| slots.map(SwapSlot).filter(wanted).collect())
    }

    /// Reads slots into the swap cache as long as there are frames that nobody needs.
    pub(crate) fn read_around(&mut self, platform: &mut impl Platform, slots: &[SwapSlot]) {
        for &slot in slots {
            if self.frames.free() <= self.kept_from_read_ahead() {
                return;
            }
            let pfn = self.allocate_page(Use::Anon { slot: None });
            if !self.swap_read(platform, slot, pfn) {
                self.free_page(pfn);
                continue;
            }
            self.keep_slot(pfn, slot);
            self.admit_from(platform, pfn, slot);
            self.frames.set_read_ahead(pfn, true);
            self.counters.swap_ra += 1;
        }
    }

    /// Somebody wants a page that is in the swap cache.
    pub(crate) fn note_cache_hit(&mut self, pfn: pagewalk_mmu::Pfn) {
        self.counters.swap_cache_hit += 1;
        if self.frames.read_ahead(pfn) {
            self.frames.set_read_ahead(pfn, false);
            self.note_read_ahead_hit();
        }
    }

    /// Somebody wants a page that was read ahead.
    pub(crate) fn note_read_ahead_hit(&mut self) {
        self.read_ahead.hit();
        self.counters.swap_ra_hit += 1;
    }

    /// Frames that read-ahead leaves free.
    pub(crate) fn kept_from_read_ahead(&self) -> u64 {
        self.marks.low + Self::fault_frames_max(&self.hardware)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `__swapin_nr_pages` as mm/swap_state.c states it, one rule after the other.
    fn linux(previous: u32, slot: u32, hits: u32, max: u32, last: u32) -> u32 {
        let mut pages = hits + 2;
        if pages == 2 {
            if slot != previous + 1 && slot + 1 != previous {
                pages = 1;
            }
        } else {
            let mut roundup = 4;
            while roundup < pages {
                roundup *= 2;
            }
            pages = roundup;
        }
        pages.min(max).max(last / 2)
    }

    #[test]
    fn the_window_is_linuxs() {
        for max in [2, 4, 8, 32] {
            let mut state = ReadAhead::new(max);
            let (mut previous, mut last, mut seed) = (0, 0, 7u32);
            for step in 0..2000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hits = if step == 0 { 4 } else { (seed >> 28) % 9 };
                let slot = if seed & 0x400 == 0 { previous + 1 } else { seed >> 16 };
                for _ in 0..if step == 0 { 0 } else { hits } {
                    state.hit();
                }
                let expected = linux(previous, slot, hits, max, last);
                assert_eq!(state.pages(slot), expected, "step {step}");
                last = expected;
                if hits == 0 {
                    previous = slot;
                }
            }
        }
    }

    #[test]
    fn the_window_is_aligned_within_its_device() {
        let mut state = ReadAhead::new(8);
        assert_eq!(state.window(113, &(100..200)), 108..116);
        let mut state = ReadAhead::new(8);
        assert_eq!(state.window(109, &(100..110)), 108..110);
        assert_eq!(ReadAhead::new(0).window(5, &(0..10)), 5..6);
    }
}
