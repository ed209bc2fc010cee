//! Denning's working set, exactly: the pages that were referenced in the last `tau` units of time.
//!
//! Paper: P. J. Denning, "The Working Set Model for Program Behavior", Communications of the ACM
//! 11(5), 1968.
//!
//! ```text
//!        t − tau                     t
//!   ────────(────────────────────────]────►  time of the process itself
//!      a  b    c   a     c   c    d           W(t, tau) = { a, c, d },  w(t, tau) = 3
//! ```
//!
//! The pages stand in a list in the order of their last references; what leaves the window leaves
//! the list at its old end. So a reference costs O(1), and what is remembered is the window.
//!
//! Invariants:
//! 1. After [`WorkingSets::size`] the list holds exactly the pages of W(t, tau).
//! 2. A reference at t to a page that is not in W(t − 1, tau) is one to a *missing page*: a fault,
//!    if the window is the policy.
//! 3. Over a string of N references that is followed by none, the windows add up as Denning and
//!    Schwartz (CACM 15(3), 1972) say: s(tau + 1) = s(tau) + m(tau) / N, with s the average size and
//!    m the number of missing pages.
//!
//! ```
//! use pagewalk_replacement::WorkingSets;
//!
//! let mut windows = WorkingSets::new(3);
//! for (now, page) in [(1, 7), (2, 8), (3, 7), (4, 9)] {
//!     windows.reference(page, now);
//! }
//! assert_eq!(windows.size(4), 3);
//! assert_eq!(windows.size(5), 2); // 8 was referenced at 2, which is not within (2, 5]
//! assert_eq!(windows.size(100), 0);
//! ```

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    page: u32,
    last: u64,
    older: u32,
    newer: u32,
}

/// The working set of one process; see the module.
#[derive(Clone, Debug)]
pub struct WorkingSets {
    tau: u64,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Where the pages in the list stand.
    places: BTreeMap<u32, u32>,
    oldest: u32,
    newest: u32,
    missing: u64,
}

impl WorkingSets {
    /// No page was referenced yet; the window is `tau` long, at least 1.
    pub fn new(tau: u64) -> Self {
        Self {
            tau: tau.max(1),
            entries: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            oldest: NONE,
            newest: NONE,
            missing: 0,
        }
    }

    /// A page is referenced, at a time from 1 on. Times never go back, and a time that
    /// [`WorkingSets::size`] was asked for is over.
    pub fn reference(&mut self, page: u32, now: u64) {
        // As the working set was just before: W(now − 1, tau).
        self.expire(now.saturating_sub(1));
        if self.newest != NONE && self.entries[self.newest as usize].page == page {
            self.entries[self.newest as usize].last = now;
            return;
        }
        match self.places.get(&page).copied() {
            Some(place) => {
                self.unlink(place);
                self.append(place, page, now);
            }
            None => {
                self.missing += 1;
                let place = self.free.pop().unwrap_or(self.entries.len() as u32);
                self.places.insert(page, place);
                self.append(place, page, now);
            }
        }
    }

    /// How many pages the working set has at the time `now`, all references of that time made.
    pub fn size(&mut self, now: u64) -> usize {
        self.expire(now);
        self.places.len()
    }

    /// References so far to pages that were not in the working set just before, first ones among
    /// them.
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    fn expire(&mut self, now: u64) {
        while self.oldest != NONE {
            let place = self.oldest;
            let Entry { page, last, .. } = self.entries[place as usize];
            if now < last.saturating_add(self.tau) {
                return;
            }
            self.unlink(place);
            self.free.push(place);
            self.places.remove(&page);
        }
    }

    fn append(&mut self, place: u32, page: u32, last: u64) {
        let entry = Entry { page, last, older: self.newest, newer: NONE };
        match self.entries.get_mut(place as usize) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        match self.newest {
            NONE => self.oldest = place,
            newest => self.entries[newest as usize].newer = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Entry { older, newer, .. } = self.entries[place as usize];
        match older {
            NONE => self.oldest = newer,
            _ => self.entries[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.entries[newer as usize].older = older,
        }
    }
}
