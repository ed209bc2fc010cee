//! The daemon that launders ahead of need: evictions then find pages clean.
//!
//! ```text
//!   at the end of each entry into the kernel, unless frames are plenty (2 · high free) or a swap
//!   device is at work:
//!
//!   state        a look                                    after a lap of the hand over all frames
//!   resting      at 16 frames: are they idle, modified?    modified > 1/4 of the idle: laundering
//!   laundering   at 64; idle modified pages are written    modified ≤ 1/8 of the idle: resting
//!                behind, up to a cluster of 16             a write failed (at once): resting
//! ```
//!
//! Idle is a page of anonymous memory, or of an object, whose referenced bits are clear: none has used
//! it since the policy looked last. The bits are read and not taken, so that the policy decides as it
//! would without the daemon. A policy that takes no bits (FIFO) leaves no page idle.
//!
//! Between the bounds the state stays, so that the daemon does not begin for one page. That it waits
//! for a device with nothing to do keeps it out of the way of page-in, and makes clusters: what it
//! asks for occupies the device, and the next run comes when that is done.
//!
//! A page's bytes leave at once, and the device is at work for as long as they take: a store that
//! comes meanwhile makes the page modified again, and a read of the slot comes after.

use crate::frame::Part;
use crate::launder::Writing;
use crate::{Kernel, Mapping, Platform, Pmap, Use};
use pagewalk_mmu::Pfn;

const LOOKS_RESTING: u64 = 16;
const LOOKS_LAUNDERING: u64 = 64;
/// Pages written together.
const CLUSTER: u32 = 16;

/// What the daemon does at its next chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Few idle pages are modified.
    #[default]
    Resting,
    /// Too many are.
    Laundering,
}

/// The daemon.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LaunderAhead {
    state: State,
    /// The next frame.
    hand: u64,
    /// Pages found idle in this lap.
    idle: u64,
    /// Of these, those that were modified.
    modified: u64,
}

impl LaunderAhead {
    /// The lap is over.
    fn end_lap(&mut self) {
        self.state = match self.state {
            State::Resting if self.modified * 4 > self.idle => State::Laundering,
            State::Laundering if self.modified * 8 <= self.idle => State::Resting,
            same => same,
        };
        (self.hand, self.idle, self.modified) = (0, 0, 0);
    }
}

impl<P: Pmap> Kernel<P> {
    /// Runs the daemon once.
    pub(crate) fn launder_ahead(&mut self, platform: &mut impl Platform) {
        if self.frames.free() >= 2 * self.marks.high || !platform.swap_is_idle() {
            return;
        }
        let looks = match self.laundering.state {
            State::Resting => LOOKS_RESTING,
            State::Laundering => LOOKS_LAUNDERING,
        };
        let mut written = 0;
        for _ in 0..looks {
            if self.laundering.hand >= self.frames.total() {
                self.laundering.end_lap();
                return;
            }
            let pfn = Pfn(self.laundering.hand);
            self.laundering.hand += 1;
            self.counters.pgscan_launder += 1;
            let Some(modified) = self.idle_page(platform, pfn) else { continue };
            self.laundering.idle += 1;
            self.laundering.modified += u64::from(modified);
            if !modified || self.laundering.state == State::Resting {
                continue;
            }
            if !self.launder(platform, pfn, Writing::Behind) {
                self.laundering.state = State::Resting;
                return;
            }
            self.counters.pglaunder_ahead += 1;
            written += 1;
            if written == CLUSTER {
                return;
            }
        }
    }

    /// Whether the page in the frame is modified; `None` if it is not idle, or not of the daemon's.
    fn idle_page(&self, platform: &impl Platform, pfn: Pfn) -> Option<bool> {
        let is_swappable = match self.frames.used(pfn) {
            Use::Anon { .. } => true,
            Use::File { file, .. } => file.is_memory(),
            _ => false,
        };
        if !is_swappable || !self.policy.contains(pfn) || self.frames.part(pfn) != Part::Base {
            return None;
        }
        let mut modified = self.frames.dirty(pfn);
        for place in self.frames.reverse(pfn) {
            let found = self.space(place.space).pmap.lookup(platform, place.va);
            if let Mapping::Resident(now) = found {
                if now.referenced {
                    return None;
                }
                modified |= now.modified;
            }
        }
        Some(modified)
    }
}

#[cfg(test)]
mod tests {
    use super::{LaunderAhead, State};

    #[test]
    fn between_the_bounds_the_state_stays() {
        let cases = [
            (State::Resting, 25, State::Resting),
            (State::Resting, 26, State::Laundering),
            (State::Laundering, 13, State::Laundering),
            (State::Laundering, 12, State::Resting),
        ];
        for (state, modified, expected) in cases {
            let mut daemon = LaunderAhead { state, hand: 7, idle: 100, modified };
            daemon.end_lap();
            assert_eq!((daemon.state, daemon.hand, daemon.idle), (expected, 0, 0), "{modified}");
        }
    }
}
