//! A set of frames as one bit each, searched a word at a time.

use alloc::vec;
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;

#[derive(Clone, Debug)]
pub(crate) struct FrameSet {
    words: Vec<u64>,
    frames: u64,
    len: usize,
}

impl FrameSet {
    pub(crate) fn new(frames: u64) -> Self {
        Self { words: vec![0; frames.div_ceil(64) as usize], frames, len: 0 }
    }

    /// Whether the frame was not yet in the set.
    pub(crate) fn insert(&mut self, frame: Pfn) -> bool {
        assert!(frame.0 < self.frames, "frame {frame} is outside the policy's frames");
        let (word, bit) = place(frame);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += usize::from(new);
        new
    }

    /// Whether the frame was in the set.
    pub(crate) fn remove(&mut self, frame: Pfn) -> bool {
        let present = self.contains(frame);
        if present {
            let (word, bit) = place(frame);
            self.words[word] &= !bit;
            self.len -= 1;
        }
        present
    }

    pub(crate) fn contains(&self, frame: Pfn) -> bool {
        let (word, bit) = place(frame);
        frame.0 < self.frames && self.words[word] & bit != 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first frame of the set at or after `from`, going round; `None` if the set is empty.
    pub(crate) fn next_circular(&self, from: u64) -> Option<Pfn> {
        self.next_in(from, self.frames).or_else(|| self.next_in(0, from.min(self.frames)))
    }

    /// The first frame of the set in `from..to`.
    fn next_in(&self, from: u64, to: u64) -> Option<Pfn> {
        if from >= to {
            return None;
        }
        let first = (from / 64) as usize;
        let mut mask = u64::MAX << (from % 64);
        for (at, &word) in self.words.iter().enumerate().skip(first) {
            let base = at as u64 * 64;
            if base >= to {
                return None;
            }
            let found = word & mask;
            if found != 0 {
                let frame = base + u64::from(found.trailing_zeros());
                return (frame < to).then_some(Pfn(frame));
            }
            mask = u64::MAX;
        }
        None
    }
}

fn place(frame: Pfn) -> (usize, u64) {
    ((frame.0 / 64) as usize, 1 << (frame.0 % 64))
}
