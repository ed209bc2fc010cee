//! Runs: frames in a row, for large pages and large tables; mostly aligned to their number.
//!
//! ```text
//!   free list ──► 9 ⇄ 4 ⇄ 5 ⇄ 7 ⇄ 6       doubly linked: a run is taken out of its middle
//!
//!   frames   0    4    8    12   16       used before  │ never used
//!            ├─██─┼────┼─█──┼────┼─       a block whose frames are all free is a run
//!   free       2    4    3    4
//! ```
//!
//! Frames that were used before are looked at first, lowest block first; then the frames that were
//! never used, from the next multiple of the run's length on. What is skipped is free from then
//! on, and is used before anything else.
//!
//! Single frames come off the list's head, as if there were no runs: counting them per block is
//! all that they pay. A run of another length than a block's is searched frame by frame; only
//! tables larger than a frame are such runs.

use super::{END, Frame, FrameTable, Marks, Use};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// Free frames per block.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    /// The binary logarithm of a block's length in frames.
    order: u8,
    /// How many frames of each block were used before and are free.
    free: Vec<u32>,
    /// Blocks whose frames are all free.
    whole: u32,
    /// No block below is whole.
    lowest: usize,
}

impl Blocks {
    pub fn new(frames: u32, order: u8) -> Self {
        Self { order, free: vec![0; (frames >> order) as usize + 1], whole: 0, lowest: 0 }
    }

    #[inline]
    fn len(&self) -> u32 {
        1 << self.order
    }

    #[inline]
    pub fn add(&mut self, pfn: u32) {
        let (len, block) = (self.len(), (pfn >> self.order) as usize);
        self.free[block] += 1;
        if self.free[block] == len {
            self.whole += 1;
            self.lowest = self.lowest.min(block);
        }
    }

    #[inline]
    pub fn remove(&mut self, pfn: u32) {
        let (len, block) = (self.len(), (pfn >> self.order) as usize);
        if self.free[block] == len {
            self.whole -= 1;
        }
        self.free[block] -= 1;
    }

    /// The lowest block whose frames are all free: its first frame.
    fn lowest_whole(&self) -> Option<u32> {
        if self.whole == 0 {
            return None;
        }
        let found = self.free[self.lowest..].iter().position(|&free| free == self.len())?;
        Some(((self.lowest + found) as u32) << self.order)
    }
}

impl FrameTable {
    /// Takes `count` free frames in a row, the first a multiple of `align`, a power of two. Their
    /// bytes are whatever they were. They are freed one by one, in any order.
    pub(crate) fn allocate_run(&mut self, count: u32, align: u32, used: Use) -> Option<Pfn> {
        if count == 1 {
            return self.allocate(used);
        }
        let first = self.find_run(count, align)?;
        self.use_up_to(first + count);
        for pfn in first..first + count {
            self.unlink(pfn);
            self.occupy(pfn, used);
        }
        if count == self.blocks.len() {
            // The run was the lowest that there was.
            self.blocks.lowest = (first >> self.blocks.order) as usize;
        }
        Some(Pfn(u64::from(first)))
    }

    /// The blocks that a large page could have if what they hold were elsewhere, that with the fewest
    /// frames in use first: their first frames.
    pub(crate) fn blocks_by_use(&self) -> Vec<Pfn> {
        let len = self.blocks.len();
        let before = self.frames.len() as u32;
        let first = |block: usize| (block as u32) << self.blocks.order;
        let unused = |block: usize| (first(block) + len).saturating_sub(before.max(first(block)));
        let all = 0..(self.total >> self.blocks.order) as usize;
        let mut blocks: Vec<(u32, u32)> = all
            .map(|block| (len - self.blocks.free[block] - unused(block), first(block)))
            .collect();
        blocks.sort_unstable();
        blocks.into_iter().map(|(_, first)| Pfn(first.into())).collect()
    }

    /// Takes a frame if it is free.
    pub(crate) fn take(&mut self, pfn: Pfn, used: Use) -> bool {
        let number = pfn.0 as u32;
        let is_free = self.is_free(number);
        if is_free {
            self.use_up_to(number + 1);
            self.unlink(number);
            self.occupy(number, used);
        }
        is_free
    }

    /// Whether there is such a run.
    pub(crate) fn has_run(&self, count: u32, align: u32) -> bool {
        self.find_run(count, align).is_some()
    }

    /// The first frame of the run to take.
    fn find_run(&self, count: u32, align: u32) -> Option<u32> {
        debug_assert!(align.is_power_of_two());
        let before = self.frames.len() as u32;
        let is_free = |first: u32| (first..first + count).all(|pfn| self.is_free(pfn));
        let used_before = match count == self.blocks.len() && align == count {
            true => self.blocks.lowest_whole(),
            false => (0..=before.saturating_sub(count) / align)
                .map(|n| n * align)
                .find(|&first| first + count <= before && is_free(first)),
        };
        // The block that the frames used before end in may be free as well.
        let last = before / align * align;
        let next = if is_free(last) { Some(last) } else { before.checked_next_multiple_of(align) };
        let last = self.total.checked_sub(count);
        used_before.or(next.filter(|&next| last.is_some_and(|last| next <= last)))
    }

    pub(super) fn is_free(&self, pfn: u32) -> bool {
        let is_free = |frame: &Frame| frame.used == Use::Free && !frame.marks.contains(Marks::HELD);
        self.frames.get(pfn as usize).is_none_or(is_free)
    }

    /// Gives all frames below `end` an entry; the lowest of them is the next to be taken.
    pub(super) fn use_up_to(&mut self, end: u32) {
        let before = self.frames.len() as u32;
        if before < end {
            self.frames.resize(end as usize, Frame::new(Use::Free, END));
            (before..end).rev().for_each(|pfn| self.link(pfn));
        }
    }

    /// Puts a free frame at the head of the list.
    pub(super) fn link(&mut self, pfn: u32) {
        self.zeroed += u64::from(self.is_zeroed(Pfn(pfn.into())));
        let head = core::mem::replace(self.head_of(pfn), pfn);
        self.frames[pfn as usize].link = head;
        if let Some(head) = self.frames.get_mut(head as usize) {
            head.set_previous(pfn);
        }
        self.blocks.add(pfn);
    }

    /// Takes a free frame out of the list.
    pub(super) fn unlink(&mut self, pfn: u32) {
        let Frame { link: next, .. } = self.frames[pfn as usize];
        self.zeroed -= u64::from(self.is_zeroed(Pfn(pfn.into())));
        let head = self.head_of(pfn);
        if *head == pfn {
            *head = next;
        } else {
            let previous = self.frames[pfn as usize].previous();
            self.frames[previous as usize].link = next;
            if let Some(next) = self.frames.get_mut(next as usize) {
                next.set_previous(previous);
            }
        }
        self.blocks.remove(pfn);
    }

    /// Checks what this file keeps, for the audit.
    pub(crate) fn check_runs(&self) -> Result<(), String> {
        let mut counted = vec![0; self.blocks.free.len()];
        for (head, is_zeroed) in [(self.free_head, false), (self.zero_head, true)] {
            let mut previous = END;
            for pfn in self.list(head) {
                let named = self.frames[pfn.0 as usize].previous();
                if previous != END && named != previous {
                    return Err(format!("frame {pfn} names {named} before it, not {previous}"));
                }
                if self.is_zeroed(pfn) != is_zeroed {
                    return Err(format!("frame {pfn} is on the wrong list of free frames"));
                }
                previous = pfn.0 as u32;
                counted[(pfn.0 >> self.blocks.order) as usize] += 1;
            }
        }
        if self.list(self.zero_head).count() as u64 != self.zeroed {
            return Err(format!("{} frames are counted as zeroed", self.zeroed));
        }
        let whole = counted.iter().filter(|&&free| free == self.blocks.len()).count() as u32;
        let below = counted[..self.blocks.lowest].iter().all(|&free| free != self.blocks.len());
        if counted != self.blocks.free || whole != self.blocks.whole || !below {
            return Err(format!("blocks have {counted:?} free frames, not {:?}", self.blocks));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Use = Use::Table { live: 0 };

    fn single(frames: &mut FrameTable) -> u64 {
        let pfn = frames.allocate(TABLE).expect("a free frame").0;
        frames.check_runs().expect("consistent");
        pfn
    }

    fn run(frames: &mut FrameTable, count: u32) -> Option<u64> {
        let first = frames.allocate_run(count, count, TABLE);
        frames.check_runs().expect("consistent");
        first.map(|pfn| pfn.0)
    }

    fn release(frames: &mut FrameTable, pfns: impl IntoIterator<Item = u64>) {
        for pfn in pfns {
            frames.release(Pfn(pfn));
            frames.check_runs().expect("consistent");
        }
    }

    #[test]
    fn what_a_run_skips_is_used_next() {
        let mut frames = FrameTable::new(16, 2);
        assert_eq!(single(&mut frames), 0);
        assert_eq!(run(&mut frames, 4), Some(4));
        assert_eq!([(); 4].map(|()| single(&mut frames)), [1, 2, 3, 8]);
        assert_eq!(run(&mut frames, 4), Some(12));
        assert_eq!(run(&mut frames, 4), None);
        assert_eq!([(); 3].map(|()| single(&mut frames)), [9, 10, 11]);
        assert_eq!(frames.allocate(TABLE), None);
    }

    #[test]
    fn a_block_is_a_run_as_soon_as_all_of_it_is_free() {
        let mut frames = FrameTable::new(8, 2);
        assert_eq!((run(&mut frames, 4), run(&mut frames, 4)), (Some(0), Some(4)));
        release(&mut frames, [5, 0, 7, 4]);
        assert_eq!(run(&mut frames, 4), None);
        release(&mut frames, [6]);
        assert_eq!(run(&mut frames, 4), Some(4));
        assert_eq!(single(&mut frames), 0);
    }

    #[test]
    fn a_run_may_begin_among_used_frames_and_end_among_new_ones() {
        let mut frames = FrameTable::new(6, 2);
        assert_eq!((single(&mut frames), single(&mut frames)), (0, 1));
        release(&mut frames, [0, 1]);
        assert_eq!(run(&mut frames, 4), Some(0));
        assert_eq!(run(&mut frames, 4), None, "two frames are left");
    }

    #[test]
    fn runs_of_other_lengths_are_found_too() {
        let mut frames = FrameTable::new(16, 3);
        assert_eq!(run(&mut frames, 2), Some(0));
        assert_eq!(run(&mut frames, 16), None);
        release(&mut frames, [1]);
        assert_eq!(run(&mut frames, 2), Some(2));
        release(&mut frames, [0]);
        assert_eq!(run(&mut frames, 2), Some(0));
        assert_eq!(run(&mut frames, 8), Some(8));
        assert!(frames.has_run(4, 4) && !frames.has_run(8, 8));
        assert_eq!(frames.summary().free, 4);
        assert_eq!(frames.summary().peak_used, 12);
    }
}
