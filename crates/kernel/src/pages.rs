//! What the policy sees of pages while it decides, and when it is asked.
//!
//! ```text
//!   set_time(now) ─────────────► Policy::set_time
//!   daemon ─┬─ time for it ────► Policy::tick      probe, probe, …             pgscan_harvest
//!           ├─ pages too many ─► Policy::surplus   probe, …      ─► evict      pgsurplus
//!           │                                      launder ─► queue ─► write   pglaunder
//!           └─ frames too few ─► Policy::victim    probe,                      pgscan_kswapd,
//!   fault ──── frames too few ─► Policy::victim    modified,     ─► evict      pgscan_direct
//!                                                  launder ─► queue ─► write   pglaunder
//! ```
//!
//! A look takes the referenced bits of all entries that name the frame, and flushes them. A frame
//! is busy if it is locked, was wanted by one of the last faults, or would need a slot and there is
//! none. Modified is a page that would have to be written if it were evicted.
//!
//! Laundering waits until the decision is made, and for the eviction that it was made for: at most
//! [`LAUNDER_MAX`] pages a decision. See `launder.rs` for how a page is written.
//!
//! Virtual time is the caller's: the machine gives cycles in which its processors worked, neither
//! waiting for devices nor asleep, as Denning's virtual time does not pass while a page is waited
//! for. The unit of a policy's parameters is the same. The harvest comes every
//! [`Config::harvest`](crate::Config::harvest) units for each frame of memory, so that its looks
//! take the same share of time however large memory is.

use crate::space::{Space, space_in};
use crate::{FrameTable, Kernel, Mapping, Platform, Pmap, ReverseMapping, Use, Vmstat};
use alloc::vec::Vec;
use pagewalk_mmu::Pfn;
use pagewalk_replacement::{Activity, Pages, Policy, Probe};

/// The most pages that are laundered for one decision.
pub(crate) const LAUNDER_MAX: usize = 256;

/// What the kernel keeps for a policy that follows time or launders.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicyClock {
    now: u64,
    /// When the next harvest is due.
    harvest_at: u64,
    /// Pages to be written without being evicted.
    pub launder: Vec<Pfn>,
}

impl PolicyClock {
    /// Virtual time.
    pub fn now(&self) -> u64 {
        self.now
    }
}

/// Why a policy looks at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The page daemon wants a frame.
    Daemon,
    /// A fault wants one.
    Direct,
    /// The periodic harvest, or the search for pages too many.
    Harvest,
    /// A fault wants a frame that nobody maps.
    Unmapped,
}

impl<P: Pmap> Kernel<P> {
    /// Whether the policy has any use for the time.
    pub fn follows_time(&self) -> bool {
        self.policy.follows_time()
    }

    /// Virtual time is `now`, in cycles in which processors worked. A time before one that was told
    /// already is ignored. Due harvests come at the next [`Kernel::daemon`].
    pub fn set_time(&mut self, now: u64) {
        if now > self.clock.now {
            self.clock.now = now;
            self.policy.set_time(now);
        }
    }

    /// How often the policy changed its mind about pages, if it has states to change between.
    pub fn activity(&self) -> Option<Activity> {
        self.policy.activity()
    }

    /// Asks the policy for a victim.
    pub(crate) fn choose(&mut self, platform: &mut impl Platform, daemon: bool) -> Option<Pfn> {
        let look = if daemon { Look::Daemon } else { Look::Direct };
        self.ask(platform, look, |policy, pages| policy.victim(pages))
    }

    /// As [`Kernel::choose`], among the frames that nobody maps.
    pub(crate) fn choose_unmapped(&mut self, platform: &mut impl Platform) -> Option<Pfn> {
        self.ask(platform, Look::Unmapped, |policy, pages| policy.victim(pages))
    }

    /// Does what the policy wants done without a frame being wanted.
    #[inline]
    pub(crate) fn follow_policy(&mut self, platform: &mut impl Platform) {
        if self.follows_time() {
            self.harvest(platform);
            self.give_up_surplus(platform);
        }
    }

    fn harvest(&mut self, platform: &mut impl Platform) {
        if self.clock.now < self.clock.harvest_at {
            return;
        }
        let period = self.config.harvest.saturating_mul(self.frames.total()).max(1);
        self.clock.harvest_at = self.clock.now.saturating_add(period);
        self.ask(platform, Look::Harvest, |policy, pages| policy.tick(pages));
        self.launder_queued(platform);
    }

    /// Evicts what the policy gives up, until something cannot go.
    fn give_up_surplus(&mut self, platform: &mut impl Platform) {
        while let Some(pfn) =
            self.ask(platform, Look::Harvest, |policy, pages| policy.surplus(pages))
        {
            let given_up = self.evict_surplus(platform, pfn);
            self.launder_queued(platform);
            if !given_up {
                return;
            }
            self.counters.pgsurplus += 1;
        }
        // A policy with a daemon of its own launders without giving anything up.
        self.launder_queued(platform);
    }

    fn ask<M: Platform, T>(
        &mut self,
        platform: &mut M,
        look: Look,
        question: impl FnOnce(&mut dyn Policy, &mut dyn Pages) -> T,
    ) -> T {
        self.note_swap_limits();
        let room = self.swap.has_room();
        let Self { policy, frames, spaces, counters, objects, recent, clock, .. } = self;
        let launder = &mut clock.launder;
        let mut looks =
            Looks { platform, frames, spaces, counters, objects, recent, launder, look, room };
        question(policy.as_mut(), &mut looks)
    }
}

/// The kernel's part in a decision: everything but the policy.
struct Looks<'a, P: Pmap, M> {
    platform: &'a mut M,
    frames: &'a FrameTable,
    spaces: &'a mut [Option<Space<P>>],
    counters: &'a mut Vmstat,
    objects: &'a crate::object::Objects,
    recent: &'a crate::kernel::Recent,
    launder: &'a mut Vec<Pfn>,
    look: Look,
    /// Whether a page without a slot could get one.
    room: bool,
}

impl<P: Pmap, M: Platform> Looks<'_, P, M> {
    fn count(&mut self) {
        let counters = &mut self.counters;
        *(match self.look {
            Look::Daemon => &mut counters.pgscan_kswapd,
            Look::Direct | Look::Unmapped => &mut counters.pgscan_direct,
            Look::Harvest => &mut counters.pgscan_harvest,
        }) += 1;
    }

    fn is_busy(&self, pfn: Pfn) -> bool {
        let locked = |place: ReverseMapping| {
            let space = self.spaces[place.space.0 as usize].as_ref();
            space.is_some_and(|space| space.regions.is_locked(place.va))
        };
        let swap_full = |place: ReverseMapping| {
            let space = self.spaces[place.space.0 as usize].as_ref();
            space.is_some_and(|space| space.swap_full)
        };
        let room = self.room && !self.frames.reverse(pfn).any(swap_full);
        self.recent.contains(pfn)
            || (self.look == Look::Unmapped && self.frames.mappings(pfn) > 0)
            || self.frames.reverse(pfn).any(locked)
            || (!room && self.needs_slot(pfn) && self.is_modified(pfn))
    }

    /// Whether the page could only be written to a slot that it does not have.
    fn needs_slot(&self, pfn: Pfn) -> bool {
        match self.frames.used(pfn) {
            Use::Anon { slot } => slot.is_none(),
            Use::File { file, index, .. } => {
                file.is_memory() && self.objects.slot(file, index).is_none()
            }
            _ => false,
        }
    }

    fn is_modified(&self, pfn: Pfn) -> bool {
        self.frames.dirty(pfn)
            || self.frames.reverse(pfn).any(|place| {
                let space = self.spaces[place.space.0 as usize].as_ref();
                let found = space.map(|space| space.pmap.lookup(self.platform, place.va));
                matches!(found, Some(Mapping::Resident(now)) if now.modified)
            })
    }
}

impl<P: Pmap, M: Platform> Pages for Looks<'_, P, M> {
    fn probe(&mut self, pfn: Pfn) -> Probe {
        self.count();
        if self.is_busy(pfn) {
            return Probe::Busy;
        }
        let mut answer = Probe::Unreferenced;
        for place in self.frames.reverse(pfn) {
            let pmap = &mut space_in(self.spaces, place.space).pmap;
            if let Some(debt) = pmap.take_referenced(self.platform, self.frames, place.va) {
                self.counters.count_flush(debt.discharge(self.platform));
                self.counters.pgreferenced += 1;
                answer = Probe::Referenced;
            }
        }
        answer
    }

    fn modified(&mut self, pfn: Pfn) -> bool {
        self.is_modified(pfn)
    }

    fn launder(&mut self, pfn: Pfn) {
        if self.launder.len() < LAUNDER_MAX {
            self.launder.push(pfn);
        }
    }
}
