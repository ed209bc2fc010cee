//! Resident sets: each process has a policy of its own over its own pages (local replacement).
//!
//! ```text
//!              fault of A at its limit                memory is short all the same
//!                        │                                       │
//!                        ▼                                       ▼
//!   A's set ── victim, by A's referenced bits       a page that nobody maps, if there is one;
//!                        │                          else the set furthest above its share gives
//!                        ▼
//!   leaves A alone (evict_from.rs); it leaves memory when it has left all sets
//! ```
//!
//! A set has the frames that a space maps: a shared page is in several sets, and each decides for
//! itself, by the referenced bit of its own entry. How large a set may become is, in this order,
//! RLIMIT_RSS, [`Config::resident`](crate::Config::resident), an equal share of memory. With a policy
//! that sizes sets itself (working set, page-fault frequency, VMS) a process gives up pages at its
//! own faults before it is at that limit.
//!
//! The limit is soft where it must be: a process whose pages are all locked, or needed by the
//! instruction at hand, goes beyond it.
//!
//! A policy is built for so many frames; a set numbers its own, so that its policy is as large as the
//! set and not as memory. A set that outgrows its numbers gets a new policy, which is told of all
//! members again, in the order of their numbers.
//!
//! Invariants:
//! 1. A frame is a member of a space's set exactly if the space maps it.
//! 2. A member is known to the set's policy, or waits to be told to it: it is told when its page has a
//!    name.

use crate::pageout::Kept;
use crate::pages::LAUNDER_MAX;
use crate::space::{Space, space_in};
use crate::{Evicted, FrameTable, Kernel, Mapping, Platform, Pmap, Shortage, SpaceId, Use};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use hashbrown::HashMap;
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::{Page, PageKind, Pages, Policy, PolicyKind, Probe};
use rustc_hash::FxBuildHasher;

/// Whose pages a fault that finds too few frames takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Anybody's: one policy over all of memory.
    #[default]
    Global,
    /// Its own process's: a policy for each process.
    Process,
}

impl Scope {
    /// The names of all, the default first.
    pub const NAMES: &'static [&'static str] = &["global", "process"];

    /// The one called `name`, one of [`Scope::NAMES`].
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Global, Self::Process].into_iter().find(|scope| scope.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Process => "process",
        }
    }
}

/// The fewest pages that a limit can be: those of one instruction that copies, twice.
pub const RESIDENT_MIN: u64 = 16;

/// Members that a new set has numbers for.
const ROOM_MIN: usize = 64;

/// The frames that a space maps, and the policy over them.
#[derive(Clone, Debug)]
pub(crate) struct ResidentSet {
    kind: PolicyKind,
    seed: u64,
    policy: Box<dyn Policy>,
    /// Frames by their number in the set.
    members: Vec<Option<Pfn>>,
    numbers: HashMap<u64, u32, FxBuildHasher>,
    free: Vec<u32>,
    /// Members that the policy does not know yet.
    new: Vec<Pfn>,
    /// The member that is about to be evicted, rather than let go.
    evicting: Option<Pfn>,
}

impl ResidentSet {
    pub fn new(kind: PolicyKind, seed: u64) -> Self {
        Self {
            kind,
            seed,
            policy: kind.build(ROOM_MIN as u64, seed),
            members: Vec::new(),
            numbers: HashMap::default(),
            free: Vec::new(),
            new: Vec::new(),
            evicting: None,
        }
    }

    /// Members.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn contains(&self, pfn: Pfn) -> bool {
        self.numbers.contains_key(&pfn.0)
    }

    /// A space maps the frame; it may have done so before.
    pub fn join(&mut self, pfn: Pfn) {
        if self.contains(pfn) {
            return;
        }
        let number = self.free.pop().unwrap_or(self.members.len() as u32);
        if number as usize == self.members.len() {
            self.members.push(None);
        }
        self.members[number as usize] = Some(pfn);
        self.numbers.insert(pfn.0, number);
        self.new.push(pfn);
        if self.members.len() > ROOM_MIN && (self.members.len() - 1).is_power_of_two() {
            self.outgrow();
        }
    }

    /// The space maps the frame no more.
    pub fn leave(&mut self, pfn: Pfn) {
        let Some(number) = self.numbers.remove(&pfn.0) else { return };
        self.members[number as usize] = None;
        self.free.push(number);
        self.new.retain(|&held| held != pfn);
        match self.evicting == Some(pfn) {
            true => self.policy.evict(Pfn(number.into())),
            false => self.policy.remove(Pfn(number.into())),
        }
    }

    /// Whether numbers and members agree, and the policy knows all but the new.
    pub fn check(&self) -> Result<(), String> {
        for (number, pfn) in self.members.iter().enumerate() {
            let Some(pfn) = pfn else { continue };
            if self.numbers.get(&pfn.0) != Some(&(number as u32)) {
                return Err(format!("member {number} of a set, frame {pfn}, has another number"));
            }
            let is_known = self.policy.contains(Pfn(number as u64));
            if is_known == self.new.contains(pfn) {
                return Err(format!("frame {pfn} of a set is known to its policy: {is_known}"));
            }
        }
        Ok(())
    }

    /// A policy with room for twice as many, which knows nothing yet.
    fn outgrow(&mut self) {
        let room = 2 * (self.members.len() as u64 - 1);
        self.policy = self.kind.build(room, self.seed);
        self.new = self.members.iter().copied().flatten().collect();
    }

    /// Tells the policy of new members; `page` names them.
    fn settle(&mut self, page: impl Fn(Pfn) -> Page) {
        for pfn in core::mem::take(&mut self.new) {
            if let Some(&number) = self.numbers.get(&pfn.0) {
                self.policy.insert_page(Pfn(number.into()), page(pfn));
            }
        }
    }
}

/// What a set's policy sees: one space's own entries.
struct OwnPages<'a, P: Pmap, M> {
    platform: &'a mut M,
    frames: &'a FrameTable,
    space: &'a mut Space<P>,
    id: SpaceId,
    members: &'a [Option<Pfn>],
    recent: &'a crate::kernel::Recent,
    counters: &'a mut crate::Vmstat,
    launder: &'a mut Vec<Pfn>,
    /// A page that would have to be written has somewhere to go.
    room: bool,
}

impl<P: Pmap, M: Platform> OwnPages<'_, P, M> {
    fn frame(&self, number: Pfn) -> Option<Pfn> {
        self.members.get(number.0 as usize).copied().flatten()
    }

    fn places(&self, pfn: Pfn) -> impl Iterator<Item = VirtAddr> + use<'_, P, M> {
        let own = self.frames.reverse(pfn).filter(|place| place.space == self.id);
        own.map(|place| place.va)
    }

    fn is_dirty(&self, pfn: Pfn) -> bool {
        self.frames.dirty(pfn)
            || self.places(pfn).any(|va| {
                let found = self.space.pmap.lookup(self.platform, va);
                matches!(found, Mapping::Resident(now) if now.modified)
            })
    }

    fn is_busy(&self, pfn: Pfn) -> bool {
        self.recent.contains(pfn)
            || self.places(pfn).any(|va| self.space.regions.is_locked(va))
            || (!self.room
                && matches!(self.frames.used(pfn), Use::Anon { slot: None })
                && self.is_dirty(pfn))
    }
}

impl<P: Pmap, M: Platform> Pages for OwnPages<'_, P, M> {
    fn probe(&mut self, number: Pfn) -> Probe {
        self.counters.pgscan_direct += 1;
        let Some(pfn) = self.frame(number) else { return Probe::Busy };
        if self.is_busy(pfn) {
            return Probe::Busy;
        }
        let places: Vec<VirtAddr> = self.places(pfn).collect();
        let mut answer = Probe::Unreferenced;
        for va in places {
            if let Some(debt) = self.space.pmap.take_referenced(self.platform, self.frames, va) {
                self.counters.count_flush(debt.discharge(self.platform));
                self.counters.pgreferenced += 1;
                answer = Probe::Referenced;
            }
        }
        answer
    }

    fn modified(&mut self, number: Pfn) -> bool {
        self.frame(number).is_some_and(|pfn| self.is_dirty(pfn))
    }

    fn launder(&mut self, number: Pfn) {
        let room = self.launder.len() < LAUNDER_MAX;
        self.launder.extend(self.frame(number).filter(|_| room));
    }
}

/// What a set's policy is asked for.
#[derive(Clone, Copy)]
enum Ask {
    /// A page to evict.
    Victim,
    /// One that it would give up anyway.
    Surplus,
}

impl<P: Pmap> Kernel<P> {
    /// A set for a space, if spaces have any.
    pub(crate) fn new_resident_set(&self) -> Option<Box<ResidentSet>> {
        let wanted = self.config.scope == Scope::Process || self.config.resident.is_some();
        wanted.then(|| Box::new(ResidentSet::new(self.config.policy, self.config.seed)))
    }

    /// A space with a limit of its own gets a set, with all that it maps. It gets page tables of its
    /// own as well, as far as there are frames: its policy looks at no shared ones.
    pub fn need_resident_set(&mut self, platform: &mut impl Platform, id: SpaceId) {
        let end = self.space(id).layout.user_end;
        let _as_far_as_frames_go = self.own_tables(platform, id, VirtAddr(0), end);
        self.begin_resident_set(platform, id);
    }

    /// As [`Kernel::need_resident_set`], for a space that shares no tables.
    pub(crate) fn begin_resident_set(&mut self, platform: &impl Platform, id: SpaceId) {
        if self.space(id).set.is_none() {
            let set = ResidentSet::new(self.config.policy, self.config.seed);
            self.space_mut(id).set = Some(Box::new(set));
            self.join_all(platform, id);
        }
    }

    /// A mapping of the frame is gone: it leaves the space's set unless it is mapped there again.
    pub(crate) fn leave_set(&mut self, id: SpaceId, pfn: Pfn) {
        let stays = self.frames.reverse(pfn).any(|place| place.space == id);
        if let Some(set) = self.space_mut(id).set.as_mut().filter(|_| !stays) {
            set.leave(pfn);
        }
    }

    /// All that a space maps is in its set.
    pub(crate) fn join_all(&mut self, platform: &impl Platform, id: SpaceId) {
        let page = self.page.bytes();
        let space = space_in(&mut self.spaces, id);
        let Some(set) = &mut space.set else { return };
        let mut next = VirtAddr(0);
        while let Some((va, mapping)) =
            space.pmap.next_mapping(platform, next, space.layout.user_end)
        {
            if let Mapping::Resident(now) = mapping {
                set.join(now.pfn);
            }
            next = VirtAddr(va.0 + page);
        }
    }

    /// The most pages that a space is to have in memory, if that is bounded.
    pub fn resident_limit(&self, id: SpaceId) -> Option<u64> {
        let space = self.space(id);
        let own = space.limits.resident >> self.page.shift();
        let asked = (space.limits.resident != u64::MAX).then_some(own);
        let fixed = asked.into_iter().chain(self.config.resident).min();
        let limit = fixed.or_else(|| (self.config.scope == Scope::Process).then(|| self.share()));
        // An instruction that copies, twice.
        let least = (4 * self.config.instruction_pages).clamp(2, RESIDENT_MIN);
        limit.map(|pages| pages.max(least))
    }

    /// An equal share of the memory that is not page tables or kept free.
    fn share(&self) -> u64 {
        let live = self.spaces.iter().flatten().filter(|space| !space.is_killed).count() as u64;
        let summary = self.frames.summary();
        let kept = summary.page_table + self.marks.high;
        summary.total.saturating_sub(kept) / live.max(1)
    }

    /// A fault of a space is about to add a page: what is beyond its limit leaves.
    #[inline]
    pub(crate) fn make_room(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Result<(), Shortage> {
        match self.space(id).set.is_some() {
            true => self.make_room_in_set(platform, id, va),
            false => Ok(()),
        }
    }

    /// Whether a space may have so many pages more without giving any up.
    pub(crate) fn has_room_in_set(&self, id: SpaceId, pages: u64) -> bool {
        let space = self.space(id);
        let fits = |limit| space.residency.rss() + pages <= limit;
        space.set.is_none()
            || (self.resident_limit(id).is_none_or(fits) && self.has_room_in_group(id, pages))
    }

    #[cold]
    fn make_room_in_set(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Result<(), Shortage> {
        if matches!(self.space(id).pmap.lookup(platform, va), Mapping::Resident(_)) {
            return Ok(());
        }
        if self.follows_time() {
            while self.give_from_set(platform, id, Ask::Surplus).is_some() {
                self.counters.pgsurplus += 1;
            }
        }
        let limit = self.resident_limit(id).unwrap_or(u64::MAX);
        while self.space(id).residency.rss() >= limit
            && self.give_from_set(platform, id, Ask::Victim).is_some()
        {
            self.counters.pgsteal_own += 1;
        }
        let tables = self.space(id).pmap.tables_missing(platform, va);
        self.make_room_in_group(platform, id, 1 + tables)
    }

    /// A page leaves a space, if it has one to give.
    pub(crate) fn give_victim(&mut self, platform: &mut impl Platform, id: SpaceId) -> bool {
        self.give_from_set(platform, id, Ask::Victim).is_some()
    }

    /// Frees a frame where each process has a set: `Err` if there is nothing to be had.
    pub(crate) fn evict_by_sets(
        &mut self,
        platform: &mut impl Platform,
        daemon: bool,
    ) -> Result<(), Kept> {
        loop {
            if self.frames.unmapped() > 0
                && let Some(pfn) = self.choose_unmapped(platform)
            {
                return self.evict(platform, pfn, daemon);
            }
            match self.set_that_gives(platform) {
                Some(Evicted::Gone) => return Ok(()),
                // Others have it still: they are asked next.
                Some(Evicted::Shared) => {}
                None => return Err(Kept::NoSlot),
            }
        }
    }

    /// The set furthest above its share gives a page, or the next that has one to give.
    fn set_that_gives(&mut self, platform: &mut impl Platform) -> Option<Evicted> {
        let spaces = (0..self.spaces.len() as u32).map(SpaceId);
        let live = spaces.filter(|id| self.spaces[id.0 as usize].is_some());
        let mut by_excess: Vec<(i64, SpaceId)> = live
            .map(|id| {
                let limit = self.resident_limit(id).unwrap_or(0);
                (limit as i64 - self.space(id).residency.rss() as i64, id)
            })
            .collect();
        by_excess.sort_unstable();
        by_excess.into_iter().find_map(|(_, id)| self.give_from_set(platform, id, Ask::Victim))
    }

    /// A page leaves a space: the one that its set's policy names.
    fn give_from_set(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        ask: Ask,
    ) -> Option<Evicted> {
        let given = self.give_named(platform, id, ask);
        self.launder_queued(platform);
        given
    }

    /// As [`Kernel::give_from_set`], without the laundering that the policy asked for.
    fn give_named(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        ask: Ask,
    ) -> Option<Evicted> {
        let mut set = self.space_mut(id).set.take()?;
        let victim = self.ask_set(platform, id, &mut set, ask);
        set.evicting = victim;
        self.space_mut(id).set = Some(set);
        let pfn = victim?;
        let place = self.frames.reverse(pfn).find(|place| place.space == id)?;
        let left = self.leave(platform, place, pfn, false);
        if let Some(set) = &mut self.space_mut(id).set {
            set.evicting = None;
        }
        match left {
            Ok(evicted) => Some(evicted),
            Err(Kept::Io(Some(slot))) => {
                self.swap.drop_names(slot, 1);
                None
            }
            Err(_) => None,
        }
    }

    fn ask_set(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        set: &mut ResidentSet,
        ask: Ask,
    ) -> Option<Pfn> {
        let room = self.swap.has_room() && !self.space(id).swap_full;
        let now = self.clock.now();
        let Self { frames, spaces, recent, counters, identities, clock, .. } = self;
        set.settle(|pfn| {
            let kind = match frames.used(pfn) {
                Use::File { file, .. } if !file.is_memory() => PageKind::File,
                _ => PageKind::Anon,
            };
            Page { id: identities.of(pfn), kind }
        });
        set.policy.set_time(now);
        let space = space_in(spaces, id);
        let members = set.members.as_slice();
        let launder = &mut clock.launder;
        let mut pages =
            OwnPages { platform, frames, space, id, members, recent, counters, launder, room };
        let number = match ask {
            Ask::Victim => set.policy.victim(&mut pages),
            Ask::Surplus => set.policy.surplus(&mut pages),
        };
        number.and_then(|number| set.members.get(number.0 as usize).copied().flatten())
    }
}
