//! How many frames are kept free.
//!
//! ```text
//!   free frames
//!    high ┄┄┄┄┄┄┄┄┄┄┄┄ the daemon stops
//!    low  ┄┄┄┄┄┄┄┄┄┄┄┄ the daemon starts
//!    min  ┄┄┄┄┄┄┄┄┄┄┄┄ a fault evicts for itself before it goes on
//!    0
//! ```
//!
//! As Linux (`init_per_zone_wmark_min`, `__setup_per_zone_wmarks`): min is the square root of 16
//! times the memory in KiB, low is 5/4 and high 3/2 of it. Linux is not made for a megabyte: there
//! min would be an eighth of memory, so that it is bounded to 1/32 here, and from below by what
//! one fault can take.

/// Bounds of free frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it a fault evicts for itself.
    pub min: u64,
    /// Below it the page daemon runs.
    pub low: u64,
    /// The page daemon runs until there are so many.
    pub high: u64,
}

impl Watermarks {
    /// The default for `frames` frames of `frame_bytes`, of which a fault takes at most
    /// `fault_max`.
    pub fn scaled(frames: u64, frame_bytes: u64, fault_max: u64) -> Self {
        let memory_kib = frames * frame_bytes / 1024;
        let linux = (memory_kib * 16).isqrt() * 1024 / frame_bytes;
        let min = linux.min(frames / 32).max(fault_max);
        Self { min, low: min + (min / 4).max(1), high: min + (min / 2).max(2) }
    }

    /// No frame is kept free: pages are evicted one by one, when a fault needs the frame. For
    /// experiments in which a policy must see exactly so many frames.
    pub const fn none() -> Self {
        Self { min: 0, low: 0, high: 0 }
    }
}
