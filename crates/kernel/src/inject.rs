//! Frames that are refused although there are some: tests let every allocation fail in its turn.
//!
//! ```text
//!   who needs frames ── reserve_* ──► free, or reclaimed ──► allocate: cannot fail any more
//!                           └───────► refused: Shortage
//! ```
//!
//! Whoever takes frames reserves them first (`pageout.rs`; a large page: `huge.rs`), and that alone
//! can fail. So refusing reservations shows every way in which memory runs out, however much there is.
//! Devices fail below the [`crate::Platform`], where tests have their own.

use crate::{Kernel, Pmap};

/// Which reservations are refused.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RefusedFrames {
    /// Reservations are counted, and may be refused.
    pub armed: bool,
    seen: u64,
    first: u64,
    count: u64,
}

impl RefusedFrames {
    /// Counts a reservation; whether it is refused.
    pub fn refuses(&mut self) -> bool {
        if !self.armed {
            return false;
        }
        let number = self.seen;
        self.seen += 1;
        number >= self.first && number - self.first < self.count
    }
}

impl<P: Pmap> Kernel<P> {
    /// Of the reservations of frames from now on, `count` are refused, from number `first` on, the
    /// next being 0. A count of 0 refuses none.
    pub const fn refuse_frames(&mut self, first: u64, count: u64) {
        self.refused = RefusedFrames { armed: true, seen: 0, first, count };
    }

    /// How many reservations there were since [`Kernel::refuse_frames`].
    pub const fn reservations(&self) -> u64 {
        self.refused.seen
    }
}
