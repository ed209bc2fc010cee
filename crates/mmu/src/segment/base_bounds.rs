//! One pair of bounds, and a base that is added.
//!
//! ```text
//!        lower              upper          program's addresses
//!          ├──── block ───────┤
//!           \                  \           physical = (address + base) mod 2⁶⁴
//!            ▼                  ▼
//!   ├────────┼──── block ───────┼──────────┤ RAM
//!
//!   address < lower  or  address ≥ upper   ─► trap
//! ```
//!
//! The comparison is that of the IBM 7030 (Stretch), whose two boundary registers hold the lowest
//! address allowed and the first one above it; the base that relocates is the UNIVAC 1108's. With a
//! lower bound above 0, address 0 traps and yet wastes no memory: the base is the block's place
//! less the lower bound, modulo 2⁶⁴. There are no permissions: what lies within the bounds can be
//! loaded, stored and executed.

use super::{Placed, SegmentCause, SegmentTrap, fault, lies_within, privileged};
use crate::{Access, Fault, PhysAddr, Privilege};

/// The registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaseBounds {
    base: u64,
    lower: u64,
    upper: u64,
}

impl BaseBounds {
    /// Registers after reset: no address is within the bounds.
    pub const fn new() -> Self {
        Self { base: 0, lower: 0, upper: 0 }
    }

    /// Loads the registers: addresses from `lower` up to `upper` lie at `block` and behind it.
    ///
    /// # Errors
    /// [`SegmentCause::Privilege`] in user mode; nothing is changed then.
    pub fn load(
        &mut self,
        who: Privilege,
        block: PhysAddr,
        lower: u64,
        upper: u64,
    ) -> Result<(), SegmentCause> {
        privileged(who)?;
        *self = Self { base: block.0.wrapping_sub(lower), lower, upper };
        Ok(())
    }

    /// The base register: what is added to every address, modulo 2⁶⁴.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The lowest address allowed.
    pub const fn lower(&self) -> u64 {
        self.lower
    }

    /// The first address above those allowed.
    pub const fn upper(&self) -> u64 {
        self.upper
    }

    /// An access of `bytes`, at least one.
    ///
    /// # Errors
    /// A bounds trap, if a byte lies outside the bounds.
    pub fn translate(&self, va: u64, bytes: u64, access: Access) -> Result<Placed, Fault> {
        if self.lower < self.upper && lies_within(va, bytes, self.lower, self.upper - 1) {
            let address = va.wrapping_add(self.base);
            Ok(Placed { address, first: self.lower, last: self.upper - 1 })
        } else {
            Err(fault(va, access, SegmentCause::OutOfBounds, SegmentTrap::Bounds))
        }
    }
}
