//! The out-of-memory killer: when reclaim finds nothing more, the worst space of all gives its memory.
//!
//! ```text
//!   fault of A ──► no frame, no victim ──► the space with the highest badness
//!                                              ├── A itself ──► the fault fails, A is killed
//!                                              └── B: all of it unmapped now; A's fault goes on;
//!                                                     B's processes end when they would run next
//! ```
//!
//! Badness is Linux's (mm/oom_kill.c, `oom_badness`), in pages:
//!
//! ```text
//!   resident + swapped + page tables + oom_score_adj × (RAM + swap) / 1000
//! ```
//!
//! Linux divides first; where that leaves nothing, below 1000 pages, a thousandth is a page here. An
//! `oom_score_adj` of -1000 is never killed. Of two that are as bad the younger goes: the one with
//! the higher number.
//!
//! Who watches the whole machine can also find that it stands still though no fault fails, and have the
//! worst killed ([`Kernel::kill_for_thrashing`]).
//!
//! The victim's memory is taken here and at once, as Linux's `oom_reaper` takes it: else it would come
//! when the victim next runs, which can be long after. Its page tables stay until it has ended, empty.
//!
//! Invariants:
//! 1. A space is killed once: what was killed has no regions and is never chosen again.
//! 2. Each kill is told once, by [`Kernel::take_oom_kills`], to whoever ends the processes.
//! 3. A fault that kills another space finds memory or kills again: it ends, for there are finitely
//!    many spaces.

use crate::{Event, Kernel, Platform, Pmap, Residency, Shortage, SpaceId};
use alloc::vec::Vec;
use core::fmt;

/// Never killed for lack of memory (OOM_SCORE_ADJ_MIN).
pub const OOM_SCORE_ADJ_MIN: i16 = -1000;
/// Killed first (OOM_SCORE_ADJ_MAX).
pub const OOM_SCORE_ADJ_MAX: i16 = 1000;

/// A space that was killed for lack of memory, and why it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// The space.
    pub victim: SpaceId,
    /// The space whose fault found no memory.
    pub asked: SpaceId,
    /// What was short.
    pub shortage: Shortage,
    /// In pages; `None` if the victim was not chosen: all spaces are exempt, and it is the one
    /// whose fault failed.
    pub badness: Option<i64>,
    /// What the victim held.
    pub held: Residency,
    /// Its `oom_score_adj`.
    pub score_adj: i16,
    /// Spaces that it was chosen from.
    pub candidates: u64,
}

impl fmt::Display for OomKill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, badness, candidates, .. } = self;
        match badness {
            None => f.write_str("no process may be killed instead")?,
            Some(badness) => write!(f, "badness {badness}, the worst of {candidates}")?,
        }
        write!(
            f,
            ": {} pages in memory, {} on swap, {} of tables",
            held.rss(),
            held.swapped,
            held.page_tables
        )?;
        match self.score_adj {
            0 => Ok(()),
            adj => write!(f, ", oom_score_adj {adj}"),
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Sets how soon a space is killed for lack of memory: thousandths of RAM and swap that are
    /// added to what it holds, from [`OOM_SCORE_ADJ_MIN`] to [`OOM_SCORE_ADJ_MAX`].
    pub fn set_oom_score_adj(&mut self, id: SpaceId, adj: i16) {
        self.space_mut(id).oom_score_adj = adj.clamp(OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX);
    }

    /// How soon a space is killed.
    pub fn oom_score_adj(&self, id: SpaceId) -> i16 {
        self.space(id).oom_score_adj
    }

    /// How bad a space is, in pages; `None` if it is never killed.
    pub fn badness(&self, id: SpaceId) -> Option<i64> {
        let adj = i64::from(self.oom_score_adj(id));
        let held = self.residency(id);
        let pages = held.rss() + held.swapped + held.page_tables;
        let exempt = adj == i64::from(OOM_SCORE_ADJ_MIN) || self.is_killed(id);
        (!exempt).then(|| pages as i64 + adj * (self.memory_pages() as i64 / 1000).max(1))
    }

    /// What /proc/PID/oom_score says: 0 is never killed, 667 holds nothing, 1333 holds all there is;
    /// `oom_score_adj` counts two thirds.
    pub fn oom_score(&self, id: SpaceId) -> u64 {
        let total = (self.memory_pages() as i64).max(1);
        let score = |badness: i64| (1000 + badness * 1000 / total) * 2 / 3;
        self.badness(id).map_or(0, |badness| score(badness).max(0) as u64)
    }

    /// The spaces that were killed since this was last asked.
    pub fn take_oom_kills(&mut self) -> Vec<OomKill> {
        core::mem::take(&mut self.oom_kills)
    }

    /// Whether there are any.
    pub fn has_oom_kills(&self) -> bool {
        !self.oom_kills.is_empty()
    }

    /// Whether the space's memory was taken: its processes are about to end.
    pub fn is_killed(&self, id: SpaceId) -> bool {
        self.space(id).is_killed
    }

    /// Kills the worst space because memory is too small for what runs, `asked` being what runs now.
    /// When that is so is the caller's to say: no fault has failed.
    pub fn kill_for_thrashing(&mut self, platform: &mut impl Platform, asked: SpaceId) {
        self.kill_worst(platform, asked, Shortage::Thrashing);
    }

    /// Whether a page could be written to swap that was not before.
    pub fn swap_has_room(&self) -> bool {
        self.swap.has_room()
    }

    /// Kills the worst space for a fault of `asked`, and returns it. It is `asked` itself if that is
    /// the worst, or if no other may be killed: its memory is left to whoever ends it.
    pub(crate) fn kill_worst(
        &mut self,
        platform: &mut impl Platform,
        asked: SpaceId,
        shortage: Shortage,
    ) -> SpaceId {
        let spaces = (0..self.spaces.len() as u32).map(SpaceId);
        let live = spaces
            .filter(|id| self.spaces[id.0 as usize].is_some())
            .filter(|&id| self.is_candidate(id, shortage));
        let candidates: Vec<(i64, SpaceId)> =
            live.filter_map(|id| Some((self.badness(id)?, id))).collect();
        let worst = candidates.iter().max().copied();
        let victim = worst.map_or(asked, |(_, id)| id);
        let kill = OomKill {
            victim,
            asked,
            shortage,
            badness: worst.map(|(badness, _)| badness),
            held: self.residency(victim),
            score_adj: self.oom_score_adj(victim),
            candidates: candidates.len() as u64,
        };
        self.counters.oom_kill += 1;
        self.note_group_kill(victim);
        platform.event(Event::OomKill { kill: &kill });
        self.oom_kills.push(kill);
        self.space_mut(victim).is_killed = true;
        if victim != asked {
            self.empty_space(platform, victim);
        }
        victim
    }

    /// RAM and swap.
    fn memory_pages(&self) -> u64 {
        self.frames.total().saturating_add(self.swap.capacity())
    }
}
