//! FIFO: first in, first out.
//!
//! Paper: the oldest of all; analysed in L. A. Belady, "A study of replacement algorithms for a
//! virtual-storage computer", IBM Systems Journal 5(2), 1966.
//!
//! The idea:
//! 1. The pages stand in a queue in the order in which they were loaded.
//! 2. The victim is the head of the queue.
//! 3. References are not looked at: a page lives as long as the others take to be loaded.
//! 4. A busy frame goes to the tail, as if it were loaded again.
//! 5. It costs nothing at a reference, which was its attraction.
//!
//! ```
//! use pagewalk_mmu::Pfn;
//! use pagewalk_replacement::{Fifo, Policy, Probe};
//!
//! let mut fifo = Fifo::new(3);
//! for frame in [2, 0, 1] {
//!     fifo.insert(Pfn(frame));
//! }
//! // Frame 2 came first. That it was used meanwhile does not help it.
//! assert_eq!(fifo.victim(&mut |_: Pfn| Probe::Referenced), Some(Pfn(2)));
//! fifo.remove(Pfn(2));
//! assert_eq!(fifo.victim(&mut |_: Pfn| Probe::Unreferenced), Some(Pfn(0)));
//! ```
//!
//! Known weakness: the pages used all the time are among the oldest. And more memory can mean more
//! faults (Belady's anomaly): 1 2 3 4 1 2 5 1 2 3 4 5 has 9 faults in 3 frames and 10 in 4.

use crate::{Pages, Policy, Probe};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// No frame: the end of the queue.
const NONE: u32 = u32::MAX;
/// Not in the queue.
const OUT: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

/// FIFO; see the module for paper, idea and example.
#[derive(Clone, Debug)]
pub struct Fifo {
    links: Vec<Link>,
    head: u32,
    tail: u32,
    len: usize,
}

impl Fifo {
    /// An empty queue for `frames` frames.
    ///
    /// # Panics
    /// If there are 2^32 − 2 frames or more.
    pub fn new(frames: u64) -> Self {
        assert!(frames < u64::from(OUT), "frame numbers have 32 bits");
        let out = Link { previous: OUT, next: OUT };
        Self { links: vec![out; frames as usize], head: NONE, tail: NONE, len: 0 }
    }

    fn link(&mut self, frame: u32) -> &mut Link {
        &mut self.links[frame as usize]
    }

    fn push_tail(&mut self, frame: u32) {
        let tail = self.tail;
        *self.link(frame) = Link { previous: tail, next: NONE };
        match tail {
            NONE => self.head = frame,
            _ => self.link(tail).next = frame,
        }
        self.tail = frame;
        self.len += 1;
    }

    fn unlink(&mut self, frame: u32) {
        let Link { previous, next } = *self.link(frame);
        match previous {
            NONE => self.head = next,
            _ => self.link(previous).next = next,
        }
        match next {
            NONE => self.tail = previous,
            _ => self.link(next).previous = previous,
        }
        *self.link(frame) = Link { previous: OUT, next: OUT };
        self.len -= 1;
    }
}

impl Policy for Fifo {
    fn insert(&mut self, frame: Pfn) {
        assert!((frame.0 as usize) < self.links.len(), "frame {frame} is outside the queue");
        if !self.contains(frame) {
            self.push_tail(frame.0 as u32);
        }
    }

    fn remove(&mut self, frame: Pfn) {
        if self.contains(frame) {
            self.unlink(frame.0 as u32);
        }
    }

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        for _ in 0..self.len {
            let frame = self.head;
            // A victim goes to the tail as well: it is loaded again, or its eviction failed and
            // the next call must find another.
            self.unlink(frame);
            self.push_tail(frame);
            if pages.probe(Pfn(u64::from(frame))) != Probe::Busy {
                return Some(Pfn(u64::from(frame)));
            }
        }
        None
    }

    fn queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        let mut next = self.head;
        let frames = core::iter::from_fn(|| {
            let frame = next;
            next = self.links.get(frame as usize)?.next;
            Some(Pfn(u64::from(frame)))
        });
        vec![("queue", frames.collect())]
    }

    fn contains(&self, frame: Pfn) -> bool {
        self.links.get(frame.0 as usize).is_some_and(|link| link.next != OUT)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
