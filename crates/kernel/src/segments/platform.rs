//! The machine below, with the registers that stand in for page tables.

use crate::Platform;
use pagewalk_mmu::PhysAddr;
use pagewalk_mmu::segment::{BaseBounds, Descriptor, SegmentTable};

/// The registers of a machine, to look at.
#[derive(Clone, Copy, Debug)]
pub enum Registers<'a> {
    /// There are none.
    None,
    /// A pair of bounds.
    Bounds(&'a BaseBounds),
    /// A table of segments.
    Table(&'a SegmentTable),
}

/// A [`Platform`] whose processor has bounds or segments. Loading them is privileged and in force
/// at once.
pub trait SegmentPlatform: Platform {
    /// Loads the bounds: addresses from `lower` up to `upper` lie at `block` and behind it.
    fn load_bounds(&mut self, block: PhysAddr, lower: u64, upper: u64);

    /// Loads the descriptor of a segment, or makes it invalid.
    fn load_descriptor(&mut self, number: u32, descriptor: Option<Descriptor>);

    /// What is loaded, for [`crate::SegmentKernel::audit`].
    fn registers(&self) -> Registers<'_>;
}
