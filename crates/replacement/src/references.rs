//! References to pages since they were loaded, for policies that count the load as none.
//!
//! Hardware sets the referenced bit when the instruction that faulted is made again: the first
//! reference that is found is the one that the page was loaded for. It says nothing new, and is
//! dropped.

use crate::frame_set::FrameSet;
use crate::{Pages, Probe};
use pagewalk_mmu::Pfn;

#[derive(Clone, Debug)]
pub(crate) struct References {
    /// Taken from the hardware by a harvest, and not yet by a decision.
    seen: FrameSet,
    /// Loaded, and the reference that it was loaded for not yet found.
    fresh: FrameSet,
}

impl References {
    pub(crate) fn new(frames: u64) -> Self {
        Self { seen: FrameSet::new(frames), fresh: FrameSet::new(frames) }
    }

    pub(crate) fn load(&mut self, frame: Pfn) {
        self.fresh.insert(frame);
    }

    pub(crate) fn forget(&mut self, frame: Pfn) {
        self.seen.remove(frame);
        self.fresh.remove(frame);
    }

    /// Takes the bit out of the hardware and keeps it.
    pub(crate) fn harvest(&mut self, frame: Pfn, pages: &mut dyn Pages) {
        if pages.probe(frame) == Probe::Referenced && !self.fresh.remove(frame) {
            self.seen.insert(frame);
        }
    }

    /// Whether the page was referenced since the last time this was asked; `None` if it is busy.
    pub(crate) fn take(&mut self, frame: Pfn, pages: &mut dyn Pages) -> Option<bool> {
        let answer = pages.probe(frame);
        if answer == Probe::Busy {
            return None;
        }
        let now = answer == Probe::Referenced && !self.fresh.remove(frame);
        Some(self.seen.remove(frame) || now)
    }
}
