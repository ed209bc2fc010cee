//! Sharing page tables: when tables come to be shared, and when a space gets one of its own.
//!
//! ```text
//!   fork                      child refers to the parent's table: every region of the table's span
//!                             is inherited as it is, and one is private
//!   load, page there          nothing            (referenced bit: all sharers')
//!   load, page on swap        brought in for all sharers
//!   store, or nothing there   ─► the space's own copy, then as ever
//!   mprotect, mremap, mlock … ─► the space's own copy, then as ever
//!   munmap, exit, exec        whole table ─► the space no longer refers to it; else its own copy
//!   page-out, truncation      the entry goes for all sharers, and is flushed for all
//!   one sharer left           the table is his, with all rights
//! ```
//!
//! Memory that is shared anyhow (MAP_SHARED) has tables that nobody needs to copy: where a region
//! covers the whole span of a table, a fault that finds no table first looks for that of another
//! space which maps the same part of the same object with the same rights, and refers to it. Pages
//! that others brought in are there at once, and what this space brings in the others have as well.
//!
//! Invariants:
//! 1. Where a table that is copied on write has an entry, the regions of all its sharers say the
//!    same: a range is the space's own before its region changes, and before an entry is filled.
//! 2. All entries of a table that is not copied on write belong to one shared region in each sharer,
//!    with the same rights, object and place in it.
//! 3. What a space holds (`Residency`) includes what its shared tables hold: a page that comes to or
//!    leaves such a table comes or goes for each sharer.
//! 4. A shared table has no entry of a locked region: reclaim asks the first sharer alone.
//! 5. Reserving the frame of a copy comes first: where it fails nothing has changed, and the call
//!    says ENOMEM or EAGAIN. Ceasing to refer to a table never fails.
//!
//! Spaces with a resident set of their own (`--scope process`, groups) share no tables: what they
//! hold is bounded one by one. Large pages have no table to be shared; a fork splits and copies
//! them as ever.

use crate::cow::without_stores;
use crate::fault::{Fault, Refusal};
use crate::pmap::{Gather, OnWrite, Resident, TableShared};
use crate::space::{Space, space_in};
use crate::{
    FlushDebt, FrameTable, Kernel, Mapping, Platform, Pmap, Region, RegionFlags, Residency,
    ReverseMapping, Sharer, Shortage, SpaceId, Use,
};
use alloc::vec::Vec;
use pagewalk_mmu::{Level, PageSize, Pfn, VirtAddr};

/// Which page tables spaces share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShareTables {
    /// None.
    #[default]
    Off,
    /// Those of a parent and its children, copied on write.
    Fork,
    /// Those of shared mappings.
    Maps,
    /// Both.
    All,
}

impl ShareTables {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Off, Self::Fork, Self::Maps, Self::All];

    /// The names of all choices.
    pub const NAMES: &'static [&'static str] = &["off", "fork", "maps", "all"];

    /// The choice called `name`, one of [`ShareTables::NAMES`].
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Fork => "fork",
            Self::Maps => "maps",
            Self::All => "all",
        }
    }

    const fn forks(self) -> bool {
        matches!(self, Self::Fork | Self::All)
    }

    const fn maps(self) -> bool {
        matches!(self, Self::Maps | Self::All)
    }
}

const BASE: Level = Level(0);

/// Where a sharer has the page that another has at `va`.
fn at(sharer: &Sharer, va: VirtAddr, span: PageSize) -> VirtAddr {
    VirtAddr(sharer.va.0 + va.offset(span))
}

/// How many spaces' page-table entries name a frame: those of a shared table are all its sharers'.
pub(crate) fn owners<P: Pmap>(spaces: &[Option<Space<P>>], frames: &FrameTable, pfn: Pfn) -> u32 {
    if !frames.has_shared_tables() {
        return frames.mappings(pfn);
    }
    let count = |place: ReverseMapping| {
        let space = spaces[place.space.0 as usize].as_ref()?;
        let shared = space.pmap.shared_at(place.va)?;
        Some(frames.sharers(shared.table).len() as u32)
    };
    frames.reverse(pfn).map(|place| count(place).unwrap_or(1)).sum()
}

impl<P: Pmap> Kernel<P> {
    /// How many spaces' page-table entries name a frame; those of a shared table count for each of
    /// its sharers.
    pub fn owners(&self, pfn: Pfn) -> u32 {
        owners(&self.spaces, &self.frames, pfn)
    }

    /// The table of a page, if other spaces refer to it as well.
    pub fn table_shared(&self, id: SpaceId, va: VirtAddr) -> Option<TableShared> {
        self.shared_at(id, va)
    }

    #[inline]
    pub(crate) fn shared_at(&self, id: SpaceId, va: VirtAddr) -> Option<TableShared> {
        self.space(id).pmap.shared_at(va)
    }

    /// Whether a store to a page copies its table first.
    #[inline]
    pub(crate) fn is_copied_on_write(&self, id: SpaceId, va: VirtAddr) -> bool {
        self.shared_at(id, va).is_some_and(|shared| shared.on_write == OnWrite::Copy)
    }

    /// Changes what is counted of all spaces that have the page of `place`.
    pub(crate) fn each_owner(
        &mut self,
        place: ReverseMapping,
        mut change: impl FnMut(&mut Residency),
    ) {
        let Some(shared) = self.shared_at(place.space, place.va) else {
            return change(&mut self.space_mut(place.space).residency);
        };
        let Self { spaces, frames, .. } = self;
        if let Some(table) = frames.shared_table_mut(shared.table) {
            change(&mut table.holds);
            for sharer in &table.sharers {
                change(&mut space_in(spaces, sharer.space).residency);
            }
        }
    }

    /// The mapping that stands for one of a space: its own, or in a shared table that of the table's
    /// first sharer.
    #[inline]
    pub(crate) fn stand_in(&self, place: ReverseMapping) -> ReverseMapping {
        match self.shared_at(place.space, place.va) {
            None => place,
            Some(shared) => self.first_place(shared, place),
        }
    }

    #[cold]
    fn first_place(&self, shared: TableShared, place: ReverseMapping) -> ReverseMapping {
        let span = P::shared_span(&self.hardware);
        match (self.frames.sharers(shared.table), span) {
            ([first, ..], Some(span)) => {
                ReverseMapping { space: first.space, va: at(first, place.va, span) }
            }
            _ => place,
        }
    }

    /// The spaces that have the page of `place`, beside the one that it names.
    pub(crate) fn other_owners(&self, place: ReverseMapping) -> Vec<SpaceId> {
        let table = self.shared_at(place.space, place.va).map(|shared| shared.table);
        let sharers = table.map_or(&[][..], |table| self.frames.sharers(table));
        let spaces = sharers.iter().map(|sharer| sharer.space);
        spaces.filter(|&space| space != place.space).collect()
    }

    fn sharer(&self, id: SpaceId, base: VirtAddr) -> Sharer {
        Sharer { space: id, asid: self.space(id).asid, va: base }
    }

    /// Lets the child of a fork refer to its parent's tables where it can: what they hold is
    /// returned, and what is owed for the parent.
    pub(crate) fn fork_tables(
        &mut self,
        platform: &mut impl Platform,
        parent: SpaceId,
        child: SpaceId,
    ) -> (Result<Residency, Shortage>, FlushDebt) {
        let mut holds = Residency::default();
        let mut debt = FlushDebt::none();
        let may = self.config.share_tables.forks() && self.space(parent).set.is_none();
        let Some(span) = P::shared_span(&self.hardware).filter(|_| may) else {
            return (Ok(holds), debt);
        };
        let end = self.space(parent).layout.user_end;
        let mut next = Some(VirtAddr(0));
        while let Some((va, _)) =
            next.and_then(|from| self.space(parent).pmap.next_mapping(platform, from, end))
        {
            let base = va.page_base(span);
            next = base.0.checked_add(span.bytes()).map(VirtAddr);
            if !self.is_inherited_whole(parent, base, span) {
                continue;
            }
            match self.fork_table(platform, (parent, child), base) {
                Ok((held, owed)) => {
                    holds.add(&held);
                    debt = debt.and(owed);
                }
                Err(shortage) => return (Err(shortage), debt),
            }
        }
        (Ok(holds), debt)
    }

    /// Whether the regions in a table's span are the child's as they are, some of them private.
    fn is_inherited_whole(&self, id: SpaceId, base: VirtAddr, span: PageSize) -> bool {
        let special = RegionFlags::DONT_FORK | RegionFlags::WIPE_ON_FORK | RegionFlags::LOCK;
        let end = VirtAddr(base.0.saturating_add(span.bytes()));
        let mut regions = self.space(id).regions.within(base, end);
        let mut has_private = false;
        regions.all(|region| {
            has_private |= !region.shared;
            !region.flags.intersects(special)
        }) && has_private
    }

    /// Lets the child refer to the table at `base`; a large page is none.
    fn fork_table(
        &mut self,
        platform: &mut impl Platform,
        (parent, child): (SpaceId, SpaceId),
        base: VirtAddr,
    ) -> Result<(Residency, FlushDebt), Shortage> {
        let table = self.space(parent).pmap.table(platform, base, BASE);
        let Some(table) = table.filter(|&table| self.frames.live(table) > 0) else {
            return Ok((Residency::default(), FlushDebt::none()));
        };
        self.refer_to(platform, (parent, child), (base, base), table, OnWrite::Copy)
    }

    /// Lets `new` refer to the table that `owner` has at an address, at another.
    fn refer_to(
        &mut self,
        platform: &mut impl Platform,
        (owner, new): (SpaceId, SpaceId),
        (from, to): (VirtAddr, VirtAddr),
        table: Pfn,
        on_write: OnWrite,
    ) -> Result<(Residency, FlushDebt), Shortage> {
        let missing = self.space(new).pmap.tables_missing(platform, to).saturating_sub(1);
        self.reserve_frames(platform, missing)?;
        let mut debt = FlushDebt::none();
        let holds = match self.frames.shared_table(table) {
            Some(shared) => shared.holds,
            None => {
                let pmap = &mut space_in(&mut self.spaces, owner).pmap;
                debt = pmap.begin_sharing(platform, &mut self.frames, from, on_write);
                self.count_table(platform, owner, from, table)
            }
        };
        let (first, second) = (self.sharer(owner, from), self.sharer(new, to));
        self.frames.add_sharer(table, first, second, holds);
        let space = space_in(&mut self.spaces, new);
        space.pmap.refer_to(platform, &mut self.frames, to, TableShared { table, on_write });
        space.residency.add(&holds);
        let entries = holds.rss() + holds.swapped;
        self.counters.tables_shared += 1;
        *(match on_write {
            OnWrite::Copy => &mut self.counters.table_entries_shared,
            OnWrite::Keep => &mut self.counters.table_entries_found,
        }) += entries;
        Ok((holds, debt))
    }

    /// What a table that was the owner's alone holds: where it maps anonymous memory alone and none
    /// of the owner's is on swap, no entry needs to be looked at.
    fn count_table(
        &self,
        platform: &impl Platform,
        owner: SpaceId,
        base: VirtAddr,
        table: Pfn,
    ) -> Residency {
        let space = self.space(owner);
        let span = P::shared_span(&self.hardware).map_or(0, PageSize::bytes);
        let end = VirtAddr(base.0.saturating_add(span));
        let is_anonymous = |region: Region| region.file_at(region.start).is_none();
        if space.residency.swapped == 0 && space.regions.within(base, end).all(is_anonymous) {
            let rss_anon = u64::from(self.frames.live(table));
            return Residency { rss_anon, ..Residency::default() };
        }
        self.holds_of(platform, owner, base)
    }

    /// What the table of a space at `base` holds.
    pub(crate) fn holds_of(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        base: VirtAddr,
    ) -> Residency {
        let mut holds = Residency::default();
        self.space(id).pmap.visit_table(platform, base, &mut |_, mapping| match mapping {
            Mapping::None => {}
            Mapping::Swapped(_) => holds.swapped += 1,
            Mapping::Resident(now) => match self.frames.used(now.pfn) {
                Use::Anon { .. } => holds.rss_anon += 1,
                _ => holds.rss_file += 1,
            },
        });
        holds
    }

    /// Sees to it that a fault, whose frames are reserved, changes nothing that others have: the
    /// space's own table, or another's that it can refer to, is there afterwards.
    pub(crate) fn ready_tables(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Result<(), Refusal> {
        self.find_table(platform, fault)?;
        if self.changes_others(platform, fault) {
            self.own_table(platform, fault.space, fault.page).map_err(Refusal::OutOfMemory)?;
            // That may have evicted what the fault was to find.
            self.reserve_or_wait(platform, fault)?;
        }
        Ok(())
    }

    fn changes_others(&self, platform: &impl Platform, fault: &Fault) -> bool {
        let pmap = &self.space(fault.space).pmap;
        self.is_copied_on_write(fault.space, fault.page)
            && (fault.stores() || pmap.lookup(platform, fault.page) == Mapping::None)
    }

    /// Gives a space its own copies of the shared tables with entries of a range, before these
    /// change for it alone.
    ///
    /// # Errors
    /// If there is no frame for a copy.
    pub(crate) fn own_tables(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Result<(), Shortage> {
        while let Some(base) = self.space(id).pmap.next_shared(from, to) {
            self.own_table(platform, id, base)?;
        }
        Ok(())
    }

    /// Readies a range to be unmapped: the space no longer refers to shared tables all of whose
    /// entries lie in it, and gets its own copies of others.
    ///
    /// # Errors
    /// If there is no frame for a copy.
    pub(crate) fn part_tables(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Result<(), Shortage> {
        let Some(span) = P::shared_span(&self.hardware) else { return Ok(()) };
        let pmap = &self.space(id).pmap;
        if pmap.next_shared(from, to).is_none() {
            return Ok(());
        }
        // Only the tables at the ends can have other entries.
        for end in [from, VirtAddr(to.0 - 1)] {
            let base = end.page_base(span);
            let last = VirtAddr(base.0.saturating_add(span.bytes()));
            let pmap = &self.space(id).pmap;
            let others = pmap.next_mapping(platform, base, from.min(last)).is_some()
                || pmap.next_mapping(platform, to.max(base), last).is_some();
            if others && pmap.shared_at(end).is_some() {
                self.own_table(platform, id, end)?;
            }
        }
        self.leave_tables(platform, id, from, to);
        Ok(())
    }

    /// The space no longer refers to the shared tables with entries of a range.
    pub(crate) fn leave_tables(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) {
        let mut gather = Gather::default();
        let mut debt = FlushDebt::none();
        while let Some(base) = self.space(id).pmap.next_shared(from, to) {
            if gather.is_full() {
                self.release_gathered(platform, id, &mut gather);
            }
            debt = debt.and(self.leave_table(platform, id, base, &mut gather));
        }
        self.discharge(platform, debt);
        self.release_gathered(platform, id, &mut gather);
    }

    fn leave_table(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        base: VirtAddr,
        gather: &mut Gather,
    ) -> FlushDebt {
        let Some(shared) = self.shared_at(id, base) else { return FlushDebt::none() };
        let Some(table) = self.frames.shared_table(shared.table) else { return FlushDebt::none() };
        let holds = table.holds;
        if let [first, second, ..] = table.sharers[..]
            && first.space == id
        {
            self.stand_in_for(platform, &first, &second);
        }
        let space = space_in(&mut self.spaces, id);
        space.residency.remove(&holds);
        let debt = space.pmap.drop_table(platform, &mut self.frames, base, gather);
        debt.and(self.remove_sharer(platform, shared.table, id))
    }

    /// What a table maps has the mappings of another sharer from now on.
    fn stand_in_for(&mut self, platform: &impl Platform, old: &Sharer, new: &Sharer) {
        let mut resident = Vec::new();
        self.space(old.space).pmap.visit_table(platform, old.va, &mut |va, mapping| {
            if let Mapping::Resident(now) = mapping {
                resident.push((va.0 - old.va.0, now.pfn));
            }
        });
        for (offset, pfn) in resident {
            let place = |sharer: &Sharer| ReverseMapping {
                space: sharer.space,
                va: VirtAddr(sharer.va.0 + offset),
            };
            self.frames.move_mapping(pfn, place(old), place(new));
        }
    }

    /// A space has ceased to refer to a table: the last sharer has it alone.
    fn remove_sharer(
        &mut self,
        platform: &mut impl Platform,
        table: Pfn,
        id: SpaceId,
    ) -> FlushDebt {
        match self.frames.remove_sharer(table, id) {
            Some(last) => {
                space_in(&mut self.spaces, last.space).pmap.end_sharing(platform, last.va)
            }
            None => FlushDebt::none(),
        }
    }

    /// Gives a space its own copy of the shared table of `va`.
    fn own_table(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        va: VirtAddr,
    ) -> Result<(), Shortage> {
        self.reserve_frames(platform, 1)?;
        let Some((shared, span)) = self.shared_at(id, va).zip(P::shared_span(&self.hardware))
        else {
            return Ok(());
        };
        let Self { spaces, frames, swap, counters, .. } = self;
        // Who stands for one of the two tables does so for the other's entries no more.
        let Some(other) = (match *frames.sharers(shared.table) {
            [first, second, ..] if first.space == id => Some(second),
            [first, ..] => Some(Sharer { space: id, asid: first.asid, va: va.page_base(span) }),
            [] => None,
        }) else {
            return Ok(());
        };
        let pmap = &mut space_in(spaces, id).pmap;
        let debt = pmap.copy_table(platform, frames, va, &mut |frames, va, now| {
            let place = ReverseMapping { space: other.space, va: at(&other, va, span) };
            counters.table_entries_copied += 1;
            match now {
                Mapping::None => {}
                Mapping::Swapped(slot) => swap.add_names(slot, 1),
                Mapping::Resident(page) => return copy_entry(frames, place, page),
            }
            (now, now)
        });
        self.counters.tables_copied += 1;
        let debt = debt.and(self.remove_sharer(platform, shared.table, id));
        self.discharge(platform, debt);
        Ok(())
    }
}

/// What stays in a table's entry of which a copy is made, and the copy; `place` is what the frame is
/// mapped at from now on beside where it was.
fn copy_entry(
    frames: &mut FrameTable,
    place: ReverseMapping,
    page: Resident,
) -> (Mapping, Mapping) {
    let kept = match frames.used(page.pfn) {
        Use::Anon { .. } => {
            frames.share(page.pfn, place, page.modified);
            Resident { prot: without_stores(page.prot), modified: false, ..page }
        }
        _ => {
            frames.add_mapping(page.pfn, place);
            page
        }
    };
    let copy = Resident { referenced: false, modified: false, ..kept };
    (Mapping::Resident(kept), Mapping::Resident(copy))
}

/// A shared table that a space may refer to.
struct Offer {
    owner: SpaceId,
    base: VirtAddr,
    table: Pfn,
}

impl<P: Pmap> Kernel<P> {
    /// Before a fault brings a page of a shared region in: lets the space refer to a table that
    /// another has for the same part of the same object.
    pub(crate) fn find_table(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Result<(), Refusal> {
        let region = &fault.region;
        if !self.config.share_tables.maps() || !region.shared {
            return Ok(());
        }
        let Some(offer) = self.offered(platform, fault) else { return Ok(()) };
        let span = P::shared_span(&self.hardware).expect("a table is offered");
        let base = fault.page.page_base(span);
        let spaces = (offer.owner, fault.space);
        let addresses = (offer.base, base);
        let (_, debt) = self
            .refer_to(platform, spaces, addresses, offer.table, OnWrite::Keep)
            .map_err(Refusal::OutOfMemory)?;
        self.discharge(platform, debt);
        Ok(())
    }

    fn offered(&self, platform: &impl Platform, fault: &Fault) -> Option<Offer> {
        let span = P::shared_span(&self.hardware)?;
        let base = fault.page.page_base(span);
        let space = self.space(fault.space);
        let may = covers(&fault.region, base, span)
            && space.set.is_none()
            && space.pmap.has_room_for_large(platform, fault.page);
        let wanted = if may { fault.region.file_at(base)? } else { return None };
        let others = (0..self.spaces.len() as u32).map(SpaceId).filter(|&id| id != fault.space);
        others.filter(|id| self.spaces[id.0 as usize].is_some()).find_map(|owner| {
            let same = |region: &&Region| {
                region.shared
                    && region.prot == fault.region.prot
                    && !region.flags.intersects(RegionFlags::LOCK)
            };
            let space = self.space(owner);
            let mut regions = space.regions.iter().filter(same);
            let base = regions.find_map(|region| base_of(region, wanted, span))?;
            let table = space.pmap.table(platform, base, BASE).filter(|_| space.set.is_none())?;
            // A space has a table once, even if it maps the object twice.
            let mut sharers = self.frames.sharers(table).iter();
            let has_it = sharers.any(|sharer| sharer.space == fault.space);
            (!has_it && !self.is_copied_on_write(owner, base)).then_some(Offer {
                owner,
                base,
                table,
            })
        })
    }
}

/// Whether a region that is not locked has the whole span of a table.
fn covers(region: &Region, base: VirtAddr, span: PageSize) -> bool {
    !region.flags.intersects(RegionFlags::LOCK)
        && region.start <= base
        && base.0.checked_add(span.bytes()).is_some_and(|end| end <= region.end.0)
}

/// Where a region has the part of a file that begins at an offset, if one table has it there.
fn base_of(
    region: &Region,
    (file, offset): (crate::FileId, u64),
    span: PageSize,
) -> Option<VirtAddr> {
    let (of, start) = region.file_at(region.start)?;
    let base = VirtAddr(region.start.0.checked_add(offset.checked_sub(start)?)?);
    (of == file && base.offset(span) == 0 && covers(region, base, span)).then_some(base)
}
