//! Groups of processes that share a limit on memory, as memory cgroups.
//!
//! ```text
//!   fault of A, a group of A's beyond  max   ──► the member that has most gives a page of its set
//!                                                nobody can ──► out of memory: its worst is killed
//!                                      high  ──► likewise, as long as somebody can
//!   page to be written, its group at   swap  ──► it stays: another is looked for
//! ```
//!
//! Groups form trees: what a member has is charged to its group and to all above, each of which has
//! limits of its own (Documentation/admin-guide/cgroup-v2.rst).
//!
//! A group is charged what its members have in memory and in page tables. A page that two members
//! share is charged to each: it is in both of their resident sets (resident_set.rs), where Linux
//! charges it to who touched it first. Pages that nobody maps are charged to nobody. Who moves to
//! another group takes its charge along.
//!
//! A space is in one group at most; what it forks or executes is in the same.
//!
//! Invariants:
//! 1. A group with members or groups below it is not removed.
//! 2. The group above one has a number of its own: the way up ends.

use crate::{Errno, Kernel, Platform, Pmap, Shortage, SpaceId};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

/// The most groups at once.
pub const GROUPS_MAX: usize = 1024;

/// A group of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// What a group may have, in pages; `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// The most (memory.max).
    pub max: u64,
    /// Beyond it, members give pages as long as they can (memory.high).
    pub high: u64,
    /// The most on swap (memory.swap.max).
    pub swap: u64,
}

impl GroupLimits {
    /// No limits.
    pub const NONE: Self = Self { max: u64::MAX, high: u64::MAX, swap: u64::MAX };
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self::NONE
    }
}

/// What a group may have, and what happened in it and in those below. In pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The group above.
    pub parent: Option<GroupId>,
    /// What it may have.
    pub limits: GroupLimits,
    /// The most that it ever had (memory.peak).
    pub peak: u64,
    /// Pages that members gave up because the group was at a limit.
    pub steals: u64,
    /// Members that were killed for lack of memory (memory.events: oom_kill).
    pub kills: u64,
    /// Times that it would have been beyond `max` (max).
    pub max_hits: u64,
    /// Times that it was beyond `high` (high).
    pub high_hits: u64,
    /// Times that nobody had anything to give (oom).
    pub failures: u64,
    /// Its members' faults (memory.stat: pgfault).
    pub faults: u64,
    /// Those that waited for a device (pgmajfault).
    pub major_faults: u64,
    /// It was removed; another may get its number.
    removed: bool,
}

/// What the members of a group and of those below have, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupUse {
    /// Private pages in memory.
    pub anon: u64,
    /// Those of them that large pages map.
    pub anon_huge: u64,
    /// Mapped pages of files.
    pub file: u64,
    /// Page tables.
    pub tables: u64,
    /// On swap.
    pub swapped: u64,
    /// Members.
    pub spaces: u64,
}

impl GroupUse {
    /// What is charged (memory.current).
    pub const fn charge(&self) -> u64 {
        self.anon + self.file + self.tables
    }
}

impl<P: Pmap> Kernel<P> {
    /// Makes a group without members that may have `max` pages, above which there is none.
    pub fn create_group(&mut self, max: u64) -> GroupId {
        self.add_group(None, GroupLimits { max, ..GroupLimits::NONE })
    }

    /// Makes the group that all others are below from now on.
    pub fn create_root_group(&mut self, max: u64) -> GroupId {
        let id = self.create_group(max);
        self.root_group = Some(id);
        id
    }

    /// The group that all others are below, if there is one.
    pub const fn root_group(&self) -> Option<GroupId> {
        self.root_group
    }

    /// Makes a group without members or limits below another, or below the root.
    ///
    /// # Errors
    /// `Enospc` if there are too many.
    pub fn create_group_in(&mut self, parent: Option<GroupId>) -> Result<GroupId, Errno> {
        match self.groups.iter().filter(|group| !group.removed).count() < GROUPS_MAX {
            true => Ok(self.add_group(parent.or(self.root_group), GroupLimits::NONE)),
            false => Err(Errno::Enospc),
        }
    }

    fn add_group(&mut self, parent: Option<GroupId>, limits: GroupLimits) -> GroupId {
        let group = Group { parent, limits, ..Group::default() };
        let index = match self.groups.iter().position(|group| group.removed) {
            Some(index) => index,
            None => {
                self.groups.push(group);
                self.groups.len() - 1
            }
        };
        self.groups[index] = group;
        GroupId(index as u32)
    }

    /// Removes a group.
    ///
    /// # Errors
    /// `Ebusy` if it has members, or groups below it; `Einval` if there is none.
    pub fn remove_group(&mut self, id: GroupId) -> Result<(), Errno> {
        self.group(id).ok_or(Errno::Einval)?;
        let below = self.groups.iter().any(|group| !group.removed && group.parent == Some(id));
        if below || self.root_group == Some(id) || self.members(id).next().is_some() {
            return Err(Errno::Ebusy);
        }
        self.groups[id.0 as usize].removed = true;
        Ok(())
    }

    /// A group; `None` if there is none of that number.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0 as usize).filter(|group| !group.removed)
    }

    /// Changes what a group may have; members give up at once what is too much, as far as they can.
    pub fn set_group_limits(
        &mut self,
        platform: &mut impl Platform,
        id: GroupId,
        limits: GroupLimits,
    ) {
        if self.group(id).is_none() {
            return;
        }
        self.groups[id.0 as usize].limits = limits;
        self.look_at_swap_limits();
        self.shrink_group(platform, id, limits.max.min(limits.high));
    }

    /// The group that a space is in.
    pub fn group_of(&self, id: SpaceId) -> Option<GroupId> {
        self.space(id).group
    }

    /// Puts a space into a group, or into none. What is too much there stays until somebody's next
    /// fault.
    ///
    /// # Errors
    /// `Enomem` if there are no frames for page tables of its own; it stays where it was.
    pub fn join_group(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        group: Option<GroupId>,
    ) -> Result<(), Errno> {
        let group = group.filter(|group| self.group(*group).is_some());
        if group.is_some() {
            let end = self.space(id).layout.user_end;
            self.own_tables(platform, id, VirtAddr(0), end).map_err(|_| Errno::Enomem)?;
        }
        self.space_mut(id).group = group;
        if group.is_some() {
            self.begin_resident_set(platform, id);
        }
        self.look_at_swap_limits();
        Ok(())
    }

    /// What a group's members have.
    pub fn group_use(&self, group: GroupId) -> GroupUse {
        let mut all = GroupUse::default();
        for id in self.members(group) {
            let held = self.space(id).residency;
            all.anon += held.rss_anon;
            all.anon_huge += held.anon_huge;
            all.file += held.rss_file;
            all.tables += self.space(id).pmap.tables();
            all.swapped += held.swapped;
            all.spaces += 1;
        }
        all
    }

    /// What a group is charged now, in pages (memory.current).
    pub fn group_charge(&self, group: GroupId) -> u64 {
        self.group_use(group).charge()
    }

    /// Makes sure that a space may have `pages` pages more in its groups.
    pub(crate) fn make_room_in_group(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        pages: u64,
    ) -> Result<(), Shortage> {
        let mut next = self.space(id).group;
        while let Some(group) = next {
            self.make_room_in(platform, group, pages)?;
            next = self.groups[group.0 as usize].parent;
        }
        Ok(())
    }

    fn make_room_in(
        &mut self,
        platform: &mut impl Platform,
        group: GroupId,
        pages: u64,
    ) -> Result<(), Shortage> {
        let GroupLimits { max, high, .. } = self.groups[group.0 as usize].limits;
        let charge = self.group_charge(group).saturating_add(pages);
        let of_group = &mut self.groups[group.0 as usize];
        of_group.max_hits += u64::from(charge > max);
        of_group.high_hits += u64::from(charge > high);
        if charge > max.min(high) {
            self.shrink_group(platform, group, max.min(high).saturating_sub(pages));
        }
        let charge = self.group_charge(group).saturating_add(pages);
        let of_group = &mut self.groups[group.0 as usize];
        if charge > max {
            of_group.failures += 1;
            return Err(Shortage::GroupLimit { group, pages: max });
        }
        of_group.peak = of_group.peak.max(charge);
        Ok(())
    }

    /// Takes pages from the members until so many are left, or nobody has one to give.
    fn shrink_group(&mut self, platform: &mut impl Platform, group: GroupId, target: u64) {
        while self.group_charge(group) > target && self.take_from_group(platform, group) {
            self.groups[group.0 as usize].steals += 1;
        }
    }

    /// Whether a space's groups have room for so many pages.
    pub(crate) fn has_room_in_group(&self, id: SpaceId, pages: u64) -> bool {
        self.groups_of(id).all(|group| {
            let limits = self.groups[group.0 as usize].limits;
            self.group_charge(group).saturating_add(pages) <= limits.max.min(limits.high)
        })
    }

    /// Whether a space can be killed for what is short.
    pub(crate) fn is_candidate(&self, id: SpaceId, shortage: Shortage) -> bool {
        match shortage {
            Shortage::GroupLimit { group, .. } => self.is_member(id, group),
            _ => true,
        }
    }

    /// A member of groups was killed for lack of memory.
    pub(crate) fn note_group_kill(&mut self, id: SpaceId) {
        self.note_in_groups(id, |group| group.kills += 1);
    }

    /// A fault of a member was resolved.
    #[inline]
    pub(crate) fn note_group_fault(&mut self, id: SpaceId, major: bool) {
        if !self.groups.is_empty() {
            self.note_in_groups(id, |group| {
                group.faults += 1;
                group.major_faults += u64::from(major);
            });
        }
    }

    fn note_in_groups(&mut self, id: SpaceId, note: impl Fn(&mut Group)) {
        let mut next = self.space(id).group;
        while let Some(group) = next {
            let group = &mut self.groups[group.0 as usize];
            note(group);
            next = group.parent;
        }
    }

    /// Notes which spaces may have no more on swap; called before a page is chosen.
    #[inline]
    pub(crate) fn note_swap_limits(&mut self) {
        if self.groups.iter().any(|group| group.limits.swap != u64::MAX) {
            self.look_at_swap_limits();
        }
    }

    fn look_at_swap_limits(&mut self) {
        for id in (0..self.spaces.len() as u32).map(SpaceId) {
            if self.spaces[id.0 as usize].is_some() {
                self.space_mut(id).swap_full = self.is_swap_full(id);
            }
        }
    }

    fn is_swap_full(&self, id: SpaceId) -> bool {
        self.groups_of(id).any(|group| {
            let limit = self.groups[group.0 as usize].limits.swap;
            limit != u64::MAX && self.group_use(group).swapped >= limit
        })
    }

    /// The member that has most gives a page, or the next that has one to give.
    fn take_from_group(&mut self, platform: &mut impl Platform, group: GroupId) -> bool {
        self.note_swap_limits();
        let mut members: Vec<(u64, SpaceId)> =
            self.members(group).map(|id| (self.space(id).residency.rss(), id)).collect();
        members.sort_unstable_by(|a, b| b.cmp(a));
        members.into_iter().any(|(_, id)| self.give_victim(platform, id))
    }

    /// The groups that a space is in, its own first.
    fn groups_of(&self, id: SpaceId) -> impl Iterator<Item = GroupId> + '_ {
        let above = |group: &GroupId| self.groups[group.0 as usize].parent;
        core::iter::successors(self.space(id).group, above)
    }

    fn is_member(&self, id: SpaceId, group: GroupId) -> bool {
        self.groups_of(id).any(|of| of == group)
    }

    /// The spaces in a group or in one below.
    fn members(&self, group: GroupId) -> impl Iterator<Item = SpaceId> + '_ {
        let live = (0..self.spaces.len() as u32).map(SpaceId);
        live.filter(move |&id| self.spaces[id.0 as usize].is_some() && self.is_member(id, group))
    }
}
