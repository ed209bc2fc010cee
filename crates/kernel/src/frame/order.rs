//! Frames that have their turn: which frame the first pages get, one after the other.
//!
//! ```text
//!   held    ──► 7 ──► 4 ──► 6        pages of programs and of files, in this order
//!   free list ─► never used ─► …     page tables; pages once none is held
//! ```
//!
//! A story that is told with frame numbers needs them to be its own. A frame that was held and is
//! freed is one like all others.

use super::{FrameTable, Marks, Use};
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

impl FrameTable {
    /// Holds the free frames of `order`, for pages in this order; frames in use have had their turn.
    pub(crate) fn hold(&mut self, order: &[Pfn]) {
        let end = order.iter().map(|pfn| pfn.0 + 1).max().unwrap_or(0);
        self.use_up_to(end.min(self.total()) as u32);
        let mut held = Vec::with_capacity(order.len());
        for pfn in order.iter().map(|pfn| pfn.0 as u32) {
            if u64::from(pfn) < self.total() && self.is_free(pfn) {
                self.unlink(pfn);
                self.frames[pfn as usize].marks = Marks::HELD;
                held.push(pfn);
            }
        }
        held.reverse();
        self.held.splice(0..0, held);
    }

    /// The next held frame, if `used` is for a page.
    pub(super) fn take_held(&mut self, used: Use) -> Option<u32> {
        match used {
            Use::Table { .. } | Use::MachineTable => None,
            _ => self.held.pop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_get_the_held_frames_in_order_and_tables_do_not() {
        let mut frames = FrameTable::new(8, 9);
        frames.hold(&[7, 4, 9, 0].map(Pfn));
        let page = Use::Anon { slot: None };
        let mut take = |used| frames.allocate(used).map(|pfn| pfn.0);
        assert_eq!(take(page), Some(7));
        assert_eq!(take(Use::Table { live: 0 }), Some(1));
        assert_eq!([take(page), take(page), take(page)], [Some(4), Some(0), Some(2)]);
        assert_eq!(frames.free(), 3);
        frames.check_runs().expect("consistent");
        frames.release(Pfn(4));
        assert_eq!(frames.free_list().count(), 4);
        frames.check_runs().expect("consistent");
    }

    #[test]
    fn tables_take_held_frames_when_there_are_no_others() {
        let mut frames = FrameTable::new(2, 9);
        frames.hold(&[0, 1].map(Pfn));
        let table = Use::Table { live: 0 };
        assert_eq!(frames.allocate_run(2, 1, table), None);
        assert_eq!(frames.allocate(table), Some(Pfn(0)));
        assert_eq!(frames.free_list().collect::<Vec<_>>(), [Pfn(1)]);
    }
}
