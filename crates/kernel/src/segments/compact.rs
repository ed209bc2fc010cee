//! Compaction: all free memory becomes one block, where it is needed.
//!
//! ```text
//!   before          ▒▒▒   A ▒▒ B ▒▒▒▒▒ C ▒ D
//!   AtTheEnd        A B C D ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒     all slide down
//!   Behind B        A B ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ C D     those behind it slide up
//!   Before B        A ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ B C D
//! ```
//!
//! Blocks keep their order, so each slides into free memory or over itself.

use super::{SegmentKernel, SegmentPlatform};
use crate::SpaceId;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

/// Where free memory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Behind everything.
    AtTheEnd,
    /// Behind the block of this domain.
    Behind {
        /// Its space.
        space: SpaceId,
        /// Its place among the space's domains.
        index: usize,
    },
    /// Before the block of this domain.
    Before {
        /// Its space.
        space: SpaceId,
        /// Its place among the space's domains.
        index: usize,
    },
}

/// A block in use, and whose it is.
struct Used {
    frame: u64,
    frames: u64,
    space: usize,
    index: usize,
}

impl SegmentKernel {
    /// Moves blocks until free memory lies in one piece. Returns the new first frame of the domain
    /// that `gap` names, else of the free block.
    pub(super) fn compact(&mut self, platform: &mut impl SegmentPlatform, gap: Gap) -> Pfn {
        self.segment_counters.compactions += 1;
        let used = self.used_blocks();
        let place = |space: SpaceId, index: usize| {
            let is = |block: &Used| block.space == space.0 as usize && block.index == index;
            used.iter().position(is).unwrap_or(used.len())
        };
        let (low, named) = match gap {
            Gap::AtTheEnd => (used.len(), None),
            Gap::Behind { space, index } => (place(space, index) + 1, Some((space, index))),
            Gap::Before { space, index } => (place(space, index), Some((space, index))),
        };
        let pool = self.blocks.pool().clone();
        let (below, above) = used.split_at(low.min(used.len()));
        let mut gap_start = pool.start;
        for block in below {
            self.slide(platform, block, gap_start);
            gap_start += block.frames;
        }
        let mut gap_end = pool.end;
        for block in above.iter().rev() {
            gap_end -= block.frames;
            self.slide(platform, block, gap_end);
        }
        self.blocks.set_gap(gap_start..gap_end);
        for id in (0..self.spaces.len()).filter(|&id| self.spaces[id].is_some()) {
            let id = SpaceId(id as u32);
            for domain in self.space(id).domains.clone() {
                self.load_registers(platform, id, domain.units(self.unit()));
            }
        }
        named.map_or(Pfn(gap_start), |(space, index)| self.space(space).domains[index].frame)
    }

    /// All blocks in use, lowest first.
    fn used_blocks(&self) -> Vec<Used> {
        let mut used = Vec::new();
        for (number, space) in self.spaces.iter().enumerate() {
            for (index, domain) in space.iter().flat_map(|space| space.domains.iter().enumerate()) {
                let frames = domain.frames(self.page);
                used.push(Used { frame: domain.frame.0, frames, space: number, index });
            }
        }
        used.sort_unstable_by_key(|block| block.frame);
        used
    }

    fn slide(&mut self, platform: &mut impl SegmentPlatform, block: &Used, to: u64) {
        self.move_frames(platform, block.frame, to, block.frames);
        self.space_mut(SpaceId(block.space as u32)).domains[block.index].frame = Pfn(to);
    }
}
