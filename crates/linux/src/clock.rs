//! Time and chance, injected: the same inputs give the same run.

/// The machine's virtual clock and seeded randomness.
pub trait Clock {
    /// Virtual nanoseconds since the machine was switched on.
    fn now_ns(&self) -> u64;

    /// The hart that makes the call, counted from 0.
    fn hart(&self) -> u32 {
        0
    }

    /// How many harts there are.
    fn harts(&self) -> u32 {
        1
    }

    /// Fills `buf` from the seeded generator.
    fn random(&mut self, buf: &mut [u8]);
}

/// Seconds between 1970 and the moment at which every machine is switched on: 2025-01-01 UTC.
pub const BOOT_UNIX_S: u64 = 1_735_689_600;

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;
