//! Free frames that are all zeroes already, apart from the others.
//!
//! ```text
//!              dirty_next ─► (somebody fills it with zeroes) ─► keep_zeroed
//!     free list ──────────────────────────────────────────────────► zeroed list
//!        ▲  │                                                          │
//!        │  └─ allocate: any page  (zeroed only if there is no other)  │
//!        │                                                             │
//!        └───── release ── in use ◄──── allocate_zeroed: a new page ───┘
//! ```
//!
//! Both lists are made of the same links, and a run takes frames out of either. What a frame that
//! was never used holds nobody knows: it is not zeroed.
//!
//! Invariants:
//! 1. A free frame that was used before is on one list: on that of the zeroed if it is marked.
//! 2. A marked frame is free, and all zeroes.

use super::{END, FrameTable, Marks, Use};
use pagewalk_mmu::Pfn;

impl FrameTable {
    /// Free frames that are zeroes.
    pub fn zeroed(&self) -> u64 {
        self.zeroed
    }

    /// Whether the frame is free and all zeroes.
    pub(crate) fn is_zeroed(&self, pfn: Pfn) -> bool {
        self.at(pfn).marks.contains(Marks::ZEROED)
    }

    /// Takes a free frame for a page of zeroes, and says whether it is one already.
    pub(crate) fn allocate_zeroed(&mut self, used: Use) -> Option<(Pfn, bool)> {
        match self.zero_head {
            END => self.allocate(used).map(|pfn| (pfn, false)),
            head => {
                self.unlink(head);
                self.occupy(head, used);
                Some((Pfn(u64::from(head)), true))
            }
        }
    }

    /// The frame that is to be zeroed next: it is on no list until [`FrameTable::keep_zeroed`].
    pub(crate) fn dirty_next(&mut self) -> Option<Pfn> {
        let pfn = match self.free_head {
            END => self.use_first()?,
            head => {
                self.unlink(head);
                head
            }
        };
        Some(Pfn(u64::from(pfn)))
    }

    /// The frame, which is on no list, is all zeroes now.
    pub(crate) fn keep_zeroed(&mut self, pfn: Pfn) {
        self.at_mut(pfn).marks = Marks::ZEROED;
        self.link(pfn.0 as u32);
    }

    /// The head of the list that a free frame belongs to.
    pub(super) fn head_of(&mut self, pfn: u32) -> &mut u32 {
        match self.frames[pfn as usize].marks.contains(Marks::ZEROED) {
            true => &mut self.zero_head,
            false => &mut self.free_head,
        }
    }
}
