//! The faults of OPT on a reference string, computed from the string alone.
//!
//! ```text
//!   resident pages, by the time of their next reference
//!     reference(page, now, next):   has the smallest key, now ─► a hit: its key becomes next
//!                                   else ─► a fault: the greatest key goes if all frames are taken
//! ```
//!
//! A page that is resident and referenced now has `now` as its key, and no key is smaller: so a
//! reference looks at one end of the order or at the other, in O(log n) for n frames.
//!
//! Paper: L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM
//! Systems Journal 5(2), 1966.
//!
//! Invariants:
//! 1. At most as many pages are resident as there are frames.
//! 2. No schedule that has each page in one of so many frames when it is referenced brings pages
//!    in less often, whether it does so at their references or ahead of them; nor where the number of
//!    frames changes on the way, as it does for that schedule.
//!
//! ```
//! use pagewalk_replacement::{Belady, NEVER};
//!
//! // The string of Belady's anomaly: FIFO has 9 faults in 3 frames and 10 in 4.
//! let string = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5];
//! let faults = |frames| {
//!     let mut opt = Belady::new(frames);
//!     for (now, page) in string.iter().enumerate() {
//!         let next = string.iter().skip(now + 1).position(|other| other == page);
//!         opt.reference(*page, now as u64, next.map_or(NEVER, |gap| (now + 1 + gap) as u64));
//!     }
//!     opt.faults()
//! };
//! assert_eq!((faults(3), faults(4)), (7, 6));
//! ```

use alloc::collections::BTreeSet;

/// OPT over a string; see the module.
#[derive(Clone, Debug)]
pub struct Belady {
    frames: usize,
    /// Resident pages, each behind the time of its next reference.
    resident: BTreeSet<(u64, u32)>,
    faults: u64,
}

impl Belady {
    /// So many frames, all free; one at least, as a page must be somewhere when it is referenced.
    pub fn new(frames: u64) -> Self {
        Self { frames: frames.max(1) as usize, resident: BTreeSet::new(), faults: 0 }
    }

    /// A page is referenced at the time `now`, and then at `next`, or [`NEVER`](crate::NEVER) again. Says whether
    /// that was a fault.
    ///
    /// Times grow from reference to reference, and `next` is the `now` of the page's next one.
    pub fn reference(&mut self, page: u32, now: u64, next: u64) -> bool {
        let hit = self.resident.remove(&(now, page));
        if !hit {
            self.faults += 1;
            if self.resident.len() == self.frames {
                self.resident.pop_last();
            }
        }
        debug_assert!(next > now);
        self.resident.insert((next, page));
        !hit
    }

    /// There are so many frames from now on, one at least; if there were more, the pages that are
    /// referenced next after all others leave.
    pub fn set_frames(&mut self, frames: u64) {
        self.frames = frames.max(1) as usize;
        while self.resident.len() > self.frames {
            self.resident.pop_last();
        }
    }

    /// Faults so far, the first of each page among them.
    pub const fn faults(&self) -> u64 {
        self.faults
    }
}
