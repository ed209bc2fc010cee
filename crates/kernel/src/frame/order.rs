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
    /// Holds the free frames of `order`, for pages in this order, before those that are held already;
    /// frames in use have had their turn.
    pub(crate) fn hold(&mut self, order: &[Pfn]) {
        let end = order.iter().map(|pfn| pfn.0 + 1).max().unwrap_or(0);
        self.use_up_to(end.min(self.total()) as u32);
        let mut first = Vec::with_capacity(order.len());
        let total = self.total();
        for pfn in order.iter().filter(|pfn| pfn.0 < total).map(|pfn| pfn.0 as u32) {
            if self.is_free(pfn) {
                self.unlink(pfn);
                self.frames[pfn as usize].marks = Marks::HELD;
                first.push(pfn);
            } else if self.held.contains(&pfn) {
                self.held.retain(|&held| held != pfn);
                first.push(pfn);
            }
        }
        self.held.extend(first.iter().rev());
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
    fn a_new_order_counts() {
        let mut frames = FrameTable::new(4, 9);
        frames.hold(&[0, 1, 2].map(Pfn));
        frames.hold(&[2, 0, 3].map(Pfn));
        let page = Use::Anon { slot: None };
        let given: Vec<_> = (0..4).filter_map(|_| frames.allocate(page)).collect();
        assert_eq!(given, [2, 0, 3, 1].map(Pfn));
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
