//! Groups of processes that share a limit on memory, as memory cgroups (without a hierarchy).
//!
//! ```text
//!   fault of A, group at its limit ──► the member that has most in memory gives a page of its set
//!                                      nobody can ──► out of memory in the group: its worst is killed
//! ```
//!
//! A group is charged what its members have in memory and in page tables. A page that two members
//! share is charged to each: it is in both of their resident sets (resident_set.rs), where Linux
//! charges it to who touched it first. Pages that nobody maps are charged to nobody.
//!
//! A space is in one group at most; what it forks or executes is in the same.

use crate::{Kernel, Platform, Pmap, Shortage, SpaceId};
use alloc::vec::Vec;

/// A group of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// What a group has, and may have, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The most (memory.max).
    pub limit: u64,
    /// The most that it ever had (memory.peak).
    pub peak: u64,
    /// Pages that members gave up because the group was at its limit.
    pub steals: u64,
    /// Members that were killed for lack of memory in it.
    pub kills: u64,
}

impl<P: Pmap> Kernel<P> {
    /// Makes a group without members that may have `limit` pages.
    pub fn create_group(&mut self, limit: u64) -> GroupId {
        self.groups.push(Group { limit, ..Group::default() });
        GroupId(self.groups.len() as u32 - 1)
    }

    /// A group; `None` if there is none of that number.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0 as usize)
    }

    /// The group that a space is in.
    pub fn group_of(&self, id: SpaceId) -> Option<GroupId> {
        self.space(id).group
    }

    /// Puts a space into a group. What it has in memory stays until somebody's next fault.
    pub fn join_group(&mut self, platform: &impl Platform, id: SpaceId, group: Option<GroupId>) {
        let group = group.filter(|group| self.group(*group).is_some());
        self.space_mut(id).group = group;
        if group.is_some() {
            self.need_resident_set(platform, id);
        }
    }

    /// What a group is charged now, in pages (memory.current).
    pub fn group_charge(&self, group: GroupId) -> u64 {
        self.members(group).map(|id| self.charge_of(id)).sum()
    }

    /// Makes sure that a space may have `pages` pages more in its group.
    pub(crate) fn make_room_in_group(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        pages: u64,
    ) -> Result<(), Shortage> {
        let Some(group) = self.space(id).group else { return Ok(()) };
        let limit = self.groups[group.0 as usize].limit;
        loop {
            let charge = self.group_charge(group).saturating_add(pages);
            if charge <= limit {
                let peak = &mut self.groups[group.0 as usize].peak;
                *peak = charge.max(*peak);
                return Ok(());
            }
            if !self.take_from_group(platform, group) {
                return Err(Shortage::GroupLimit { pages: limit });
            }
            self.groups[group.0 as usize].steals += 1;
        }
    }

    /// Whether a space's group has room for so many pages.
    pub(crate) fn has_room_in_group(&self, id: SpaceId, pages: u64) -> bool {
        let Some(group) = self.space(id).group else { return true };
        self.group_charge(group).saturating_add(pages) <= self.groups[group.0 as usize].limit
    }

    /// Whether `other` can be killed for what `asked` lacks.
    pub(crate) fn is_candidate(&self, asked: SpaceId, other: SpaceId, shortage: Shortage) -> bool {
        !matches!(shortage, Shortage::GroupLimit { .. })
            || self.space(asked).group == self.space(other).group
    }

    /// The member that has most gives a page, or the next that has one to give.
    fn take_from_group(&mut self, platform: &mut impl Platform, group: GroupId) -> bool {
        let mut members: Vec<(u64, SpaceId)> =
            self.members(group).map(|id| (self.space(id).residency.rss(), id)).collect();
        members.sort_unstable_by(|a, b| b.cmp(a));
        members.into_iter().any(|(_, id)| self.give_victim(platform, id))
    }

    fn charge_of(&self, id: SpaceId) -> u64 {
        let space = self.space(id);
        space.residency.rss() + space.pmap.tables()
    }

    fn members(&self, group: GroupId) -> impl Iterator<Item = SpaceId> + '_ {
        let of_group = move |(index, space): (usize, &Option<crate::space::Space<P>>)| {
            let is_member = space.as_ref().is_some_and(|space| space.group == Some(group));
            is_member.then_some(SpaceId(index as u32))
        };
        self.spaces.iter().enumerate().filter_map(of_group)
    }
}
