//! Reference strings made shorter, without a difference to LRU and OPT.
//!
//! Paper: S. F. Kaplan, Y. Smaragdakis and P. R. Wilson, "Trace Reduction for Virtual Memory
//! Simulations", SIGMETRICS 1999: *safely allowed drop* (SAD).
//!
//! Of three references in a row to one page, at t1 < t2 < t3, the middle one may go if fewer than
//! `k` other pages are referenced between t1 and t3. In `k` frames or more
//! - LRU evicts the page neither before t2 nor before t3, with it or without it: the page is never
//!   the least recent one; so the victims are the same.
//! - OPT does not evict it either: of the pages that are resident beside it at a fault between, one
//!   at least is not among those few, and its next reference is beyond t3.
//!
//! So the faults are the same, at the same references: those that are kept. Each drop is safe in the
//! string as it is by then, so drops add up.
//!
//! ```text
//!   window: kept references behind the last one of the (k+1)th most recent page, oldest first
//!
//!     … final │ a   b   a   c   a'          a' comes: its two before are both in the window:
//!             │ └prev   └last               the middle one goes
//!             └ can never be dropped any more: told
//! ```
//!
//! Invariants:
//! 1. The window has the last reference of the `k` most recent pages, and of each at most one before.
//! 2. So it never holds more than 2 k references: memory is 4 bytes for each page, and the window.
//! 3. What is told is told in order of time, and the first and the last reference of each page are
//!    among it.
//!
//! ```
//! use pagewalk_replacement::Reducer;
//!
//! let mut kept = Vec::new();
//! let mut reducer = Reducer::new(2);
//! for (time, page) in [0, 1, 0, 1, 0, 1, 2].into_iter().enumerate() {
//!     reducer.reference(page, time as u64, &mut |page, time| kept.push((page, time)));
//! }
//! reducer.finish(&mut |page, time| kept.push((page, time)));
//! assert_eq!(kept, [(0, 0), (1, 1), (0, 4), (1, 5), (2, 6)]);
//! ```

use alloc::vec;
use alloc::vec::Vec;

/// No place in the window.
const NONE: u16 = u16::MAX;

/// The largest `k`: places have 16 bits.
const K_MAX: u64 = 1 << 14;

/// A kept reference that is not final.
#[derive(Clone, Copy, Debug)]
struct Place {
    page: u32,
    time: u64,
    older: u16,
    newer: u16,
}

/// Where a page stands in the window.
#[derive(Clone, Copy, Debug)]
struct Held {
    last: u16,
    previous: u16,
}

const OUT: Held = Held { last: NONE, previous: NONE };

/// The reduction; see the module.
#[derive(Clone, Debug)]
pub struct Reducer {
    k: usize,
    /// By page.
    held: Vec<Held>,
    places: Vec<Place>,
    free: Vec<u16>,
    oldest: u16,
    newest: u16,
    /// Pages whose last reference is in the window.
    pages: usize,
}

impl Reducer {
    /// A reduction that is exact from `k` frames on; `k` is brought into 1 to 16384.
    pub fn new(k: u64) -> Self {
        let k = k.clamp(1, K_MAX) as usize;
        // One more than the window holds: what a new page pushes out goes after it came.
        let places = 2 * k + 2;
        let empty = Place { page: 0, time: 0, older: NONE, newer: NONE };
        Self {
            k,
            held: Vec::new(),
            places: vec![empty; places],
            free: (0..places as u16).rev().collect(),
            oldest: NONE,
            newest: NONE,
            pages: 0,
        }
    }

    /// The number of frames from which on it is exact.
    pub const fn k(&self) -> u64 {
        self.k as u64
    }

    /// A reference; `tell` gets the kept ones, with their times, as they become final. Pages are
    /// numbers from 0 on, without large gaps; times grow.
    pub fn reference(&mut self, page: u32, time: u64, tell: &mut impl FnMut(u32, u64)) {
        let at = page as usize;
        if at >= self.held.len() {
            self.held.resize(at + 1, OUT);
        }
        let Held { last, previous } = self.held[at];
        let kept = match (last, previous) {
            (NONE, _) => {
                self.pages += 1;
                NONE
            }
            (_, NONE) => last,
            _ => {
                self.unlink(last);
                previous
            }
        };
        self.held[at] = Held { last: self.append(page, time), previous: kept };
        while self.pages > self.k {
            self.pop(tell);
        }
    }

    /// Tells what is left.
    pub fn finish(&mut self, tell: &mut impl FnMut(u32, u64)) {
        while self.oldest != NONE {
            self.pop(tell);
        }
    }

    fn append(&mut self, page: u32, time: u64) -> u16 {
        let place = self.free.pop().expect("the window has room for two references of each page");
        self.places[place as usize] = Place { page, time, older: self.newest, newer: NONE };
        match self.newest {
            NONE => self.oldest = place,
            newest => self.places[newest as usize].newer = place,
        }
        self.newest = place;
        place
    }

    fn unlink(&mut self, place: u16) {
        let Place { older, newer, .. } = self.places[place as usize];
        match older {
            NONE => self.oldest = newer,
            _ => self.places[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.places[newer as usize].older = older,
        }
        self.free.push(place);
    }

    /// The oldest reference is final.
    fn pop(&mut self, tell: &mut impl FnMut(u32, u64)) {
        let place = self.oldest;
        let Place { page, time, .. } = self.places[place as usize];
        self.unlink(place);
        let held = &mut self.held[page as usize];
        held.previous = NONE;
        if held.last == place {
            *held = OUT;
            self.pages -= 1;
        }
        tell(page, time);
    }
}
