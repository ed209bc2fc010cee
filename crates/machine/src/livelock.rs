//! Out of memory in all but name: the machine does nothing any more but read again what it has just
//! dropped.
//!
//! ```text
//!   memory   █████████████████████████░░░░     █ private pages, which cannot go: swap is full, or none
//!                                      ▲ │     ░ pages of files: text, mapped files
//!                    wanted at once: read └► dropped
//! ```
//!
//! There is always a victim, so that no fault ever fails, and nobody is killed; yet programs stand still.
//! Linux's reclaim takes each page that it drops for progress (mm/page_alloc.c: `should_reclaim_retry`
//! gives up after 16 rounds without any), which is why systemd-oomd watches pressure instead, and
//! kills after seconds in which tasks mostly stalled. The rule here takes from both. An interval of 1024
//! refaults was of no use if
//!
//! ```text
//!   1   no private page can go: swap has no room
//!   2   half of memory or more is private pages and page tables
//!   3   15 of 16 pages read from files had been dropped before, on average fewer evictions ago than
//!       there are frames: they would still be there if the private pages were not
//!   4   programs computed for less than a hundredth of the time
//!   5   nine tenths of it or more went into waiting for devices
//! ```
//!
//! After 10 s of virtual time, and 16 refaults for each frame, in which all intervals were of no use,
//! the worst process is killed, as if a fault had found no memory. One interval that was of use starts
//! it all over again.
//!
//! A program that scans a file larger than memory is not meant, nor one whose private pages wait on swap:
//! both get on, however slowly.

use crate::machine::Machine;
use crate::report::CycleParts;

/// Refaults in an interval.
const INTERVAL: u64 = 1024;
/// Rounds through memory (Linux: MAX_RECLAIM_RETRIES).
const ROUNDS: u64 = 16;
const LASTS_NS: u64 = 10_000_000_000;

/// What was counted when.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    refaults: u64,
    refaults_file: u64,
    distance: u64,
    file_pages: u64,
    cycles: u64,
    compute: u64,
    lost: u64,
}

impl Mark {
    /// Whether what happened since `before` was of no use, in a machine of so many frames.
    fn is_useless_since(&self, before: &Self, frames: u64) -> bool {
        let refaults = self.refaults - before.refaults;
        let again = self.refaults_file - before.refaults_file;
        let read = self.file_pages - before.file_pages;
        let passed = self.cycles.saturating_sub(before.cycles);
        again > 0
            && again * 16 >= read * 15
            && (self.distance - before.distance) / refaults.max(1) <= frames
            && (self.compute - before.compute).saturating_mul(100) < passed
            && (self.lost - before.lost).saturating_mul(10) >= passed.saturating_mul(9)
    }
}

/// The watch for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Livelock {
    /// When the last interval ended.
    last: Mark,
    /// Since when all intervals were of no use.
    began: Mark,
}

impl Machine {
    /// Ends an interval if it is over, and kills if it is time.
    #[inline]
    pub(crate) fn watch_for_livelock(&mut self) {
        let counters = self.os.counters();
        let refaults = counters.workingset_refault_anon + counters.workingset_refault_file;
        if refaults - self.livelock.last.refaults >= INTERVAL {
            self.end_interval(refaults);
        }
    }

    #[cold]
    fn end_interval(&mut self, refaults: u64) {
        let (now, frames) = (self.mark(refaults), self.os.frames());
        let last = std::mem::replace(&mut self.livelock.last, now);
        let stuck = !self.os.swap_has_room()
            && 2 * (frames.anon + frames.page_table) >= frames.total
            && now.is_useless_since(&last, frames.total);
        if !stuck {
            self.livelock.began = now;
            return;
        }
        let began = self.livelock.began;
        let cycles = now.cycles.saturating_sub(began.cycles);
        if self.config.cost.nanoseconds(cycles) >= LASTS_NS
            && now.refaults - began.refaults >= ROUNDS * frames.total
        {
            self.livelock.began = now;
            let space = self.current_space();
            self.lend(|os, platform| os.kill_for_thrashing(platform, space));
        }
    }

    fn mark(&self, refaults: u64) -> Mark {
        let counters = self.os.counters();
        let CycleParts { compute, disk, .. } = self.cycle_parts_of_all();
        Mark {
            refaults,
            refaults_file: counters.workingset_refault_file,
            distance: counters.refault_distance,
            file_pages: (counters.pgpgin << 10) >> self.memory.ram.page().shift(),
            cycles: self.elapsed_cycles(),
            compute,
            lost: disk.saturating_add(self.pressure.full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;

    /// As bad as can be, in a machine of 100 frames.
    const STUCK: Mark = Mark {
        refaults: 1000,
        refaults_file: 1000,
        distance: 50_000,
        file_pages: 1000,
        cycles: 1_000_000,
        compute: 1000,
        lost: 999_000,
    };

    #[test]
    fn each_condition_counts() {
        let is_useless = |mark: Mark| mark.is_useless_since(&Mark::default(), 100);
        assert!(is_useless(STUCK));
        let useful = [
            Mark { refaults_file: 0, file_pages: 0, ..STUCK },
            Mark { file_pages: 1100, ..STUCK },
            Mark { distance: 101_000, ..STUCK },
            Mark { compute: 10_000, ..STUCK },
            Mark { lost: 899_000, ..STUCK },
        ];
        for mark in useful {
            assert!(!is_useless(mark), "{mark:?}");
        }
    }
}
