//! Where a page was found last: spares a hit the look at its set.
//!
//! ```text
//!   page number mod SIZE ──► slot        right or wrong: the slot's key tells
//! ```
//!
//! A hint is compared like any way, with the key that the address has among pages of the smallest
//! size held: so what it finds is what the look at the sets would find first.

use crate::{PageSize, VirtAddr};
use alloc::boxed::Box;

/// Hints in all; pages that many apart share one.
const SIZE: usize = 512;

/// A slot for each page number.
#[derive(Clone, Debug)]
pub(super) struct Hints {
    slots: Box<[u32; SIZE]>,
    base_shift: u8,
}

impl Hints {
    pub fn new(base_page: PageSize) -> Self {
        Self { slots: Box::new([0; SIZE]), base_shift: base_page.shift() }
    }

    /// Where the page of `va` was last.
    #[inline]
    pub fn slot(&self, va: VirtAddr) -> usize {
        self.slots[self.index(va)] as usize
    }

    /// The page of `va` is in `slot`.
    #[inline]
    pub fn found(&mut self, va: VirtAddr, slot: usize) {
        let index = self.index(va);
        self.slots[index] = slot as u32;
    }

    #[inline]
    const fn index(&self, va: VirtAddr) -> usize {
        (va.0 >> (self.base_shift & 63)) as usize % SIZE
    }
}
