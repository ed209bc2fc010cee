//! The daemon that zeroes free frames while a processor has nothing else to do.
//!
//! ```text
//!   state     condition                                        then
//!   zeroing   zeroed < 4/5 of the free frames                  zeroes one more, if there is time
//!   zeroing   zeroed ≥ 4/5                                     resting
//!   resting   zeroed ≥ 2/3                                     nothing
//!   resting   zeroed < 2/3                                     zeroing
//! ```
//!
//! A new page takes a zeroed frame if there is one: its fault is shorter by that. The bounds are
//! FreeBSD's (`ZIDLE_LO`, `ZIDLE_HI` in `sys/vm/vm_zeroidle.c`, up to version 9), and for its reason:
//! between them it rests, so that it does not run at every pause for one frame.
//!
//! The caller says how many frames fit the time that is idle, and charges their zeroing as any other.

use crate::{Kernel, Platform, Pmap, Use};
use pagewalk_mmu::Pfn;

/// What the daemon does at its next chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Zeroing {
    /// Too few frames are zeroed.
    #[default]
    Zeroing,
    /// Enough are.
    Resting,
}

impl Zeroing {
    /// The state that follows, with so many of the free frames zeroed.
    const fn next(self, zeroed: u64, free: u64) -> Self {
        match self {
            Self::Zeroing if zeroed * 5 >= free * 4 => Self::Resting,
            Self::Resting if zeroed * 3 < free * 2 => Self::Zeroing,
            same => same,
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Zeroes free frames, at most so many, and says how many. Called while nobody can run.
    pub fn zero_ahead(&mut self, platform: &mut impl Platform, frames_max: u64) -> u64 {
        for done in 0..frames_max {
            self.zeroing = self.zeroing.next(self.frames.zeroed(), self.frames.free());
            if self.zeroing == Zeroing::Resting {
                return done;
            }
            let Some(pfn) = self.frames.dirty_next() else { return done };
            platform.zero_frame(pfn);
            self.frames.keep_zeroed(pfn);
            self.counters.pgzero_ahead += 1;
        }
        frames_max
    }

    /// A frame of zeroes for a page; the caller reserved it.
    pub(crate) fn allocate_zero_page(&mut self, platform: &mut impl Platform, used: Use) -> Pfn {
        let found = self.frames.allocate_zeroed(used);
        let (pfn, is_zeroed) = found.expect("the fault reserved its frames");
        self.counters.pgalloc += 1;
        self.counters.pgzeroed += 1;
        match is_zeroed {
            true => self.counters.pgzero_hit += 1,
            false => platform.zero_frame(pfn),
        }
        pfn
    }
}

#[cfg(test)]
mod tests {
    use super::Zeroing::{Resting, Zeroing};

    #[test]
    fn it_rests_between_the_bounds() {
        let states = [(Zeroing, 0), (Zeroing, 79), (Zeroing, 80), (Resting, 67), (Resting, 66)];
        let next = states.map(|(state, zeroed)| state.next(zeroed, 100));
        assert_eq!(next, [Zeroing, Zeroing, Resting, Resting, Zeroing]);
        assert_eq!(Zeroing.next(0, 0), Resting);
    }
}
