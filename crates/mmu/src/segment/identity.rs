//! No translation: the program's addresses are those on the bus.
//!
//! ```text
//!   0          first                                     end
//!   ├─ ROM, I/O ─┼──────────────── RAM ───────────────────┤┄┄ nothing
//!        bus error            every access passes            bus error
//! ```
//!
//! Two programs share all of memory, and each can overwrite the other. No RAM answers below
//! `first`, as on boards that have ROM or devices at address 0; so the one protection that such a
//! machine gives is that a null pointer meets a bus error.

use super::{Placed, SegmentCause, SegmentTrap, fault, lies_within};
use crate::{Access, Fault};
use core::ops::Range;

/// A memory bus without translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    ram: Range<u64>,
}

impl Identity {
    /// A bus on which RAM answers to the addresses in `ram`.
    ///
    /// # Panics
    /// If `ram` is empty.
    pub fn new(ram: Range<u64>) -> Self {
        assert!(!ram.is_empty(), "a machine has memory");
        Self { ram }
    }

    /// Where RAM answers.
    pub fn ram(&self) -> &Range<u64> {
        &self.ram
    }

    /// An access of `bytes`, at least one.
    ///
    /// # Errors
    /// A bus error, if a byte is not in RAM.
    pub fn translate(&self, va: u64, bytes: u64, access: Access) -> Result<Placed, Fault> {
        let (first, last) = (self.ram.start, self.ram.end - 1);
        if lies_within(va, bytes, first, last) {
            Ok(Placed { address: va, first, last })
        } else {
            Err(fault(va, access, SegmentCause::NoRam, SegmentTrap::BusError))
        }
    }
}
