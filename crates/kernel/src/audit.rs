//! The audit: is everything as the invariants say?
//!
//! Tests call it after every operation; it takes time in proportion to memory and tables.

use crate::{
    FileId, Kernel, Mapping, Part, Platform, Pmap, Prot, Region, Residency, Resident,
    ReverseMapping, SpaceId, SwapSlot, Use,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::PageId;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditError(pub String);

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for AuditError {}

/// Fails the audit with a message unless the condition holds.
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(AuditError(format!($($message)+)));
        }
    };
}

/// What the audit counted, to be compared with what the kernel keeps.
struct Seen {
    /// Page-table entries naming each frame.
    mappings: Vec<u32>,
    /// How many entries of spaces' trees point to this table.
    parents: Vec<u32>,
    /// How often each slot is named.
    names: Vec<u32>,
    /// Whether a frame keeps each slot.
    kept: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Owner {
    Entry(ReverseMapping),
    Frame(Pfn),
    Object(FileId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(place) => write!(f, "page {} of space {}", place.va, place.space.0),
            Self::Frame(pfn) => write!(f, "frame {pfn}"),
            Self::Object(id) => write!(f, "object {}", id.number()),
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// Checks every invariant of the whole system.
    ///
    /// # Errors
    /// The first that does not hold, with the frame, address or slot.
    pub fn audit(&self, platform: &impl Platform) -> Result<(), AuditError> {
        let mut seen = Seen {
            mappings: vec![0; self.frames.total() as usize],
            parents: vec![0; self.frames.total() as usize],
            names: vec![0; self.swap.total() as usize],
            kept: vec![false; self.swap.total() as usize],
        };
        for index in 0..self.spaces.len() {
            if self.spaces[index].is_some() {
                let id = SpaceId(index as u32);
                self.audit_regions(id)?;
                self.audit_tables(platform, id, &mut seen)?;
                self.audit_mappings(platform, id, &mut seen)?;
            }
        }
        let pmaps: Vec<&P> = self.spaces.iter().flatten().map(|space| &space.pmap).collect();
        P::audit_machine_tables(&self.hardware, platform, &pmaps)?;
        self.audit_shared_tables(platform)?;
        self.audit_free_list(platform)?;
        self.audit_transfers(&mut seen)?;
        self.audit_frames(platform, &mut seen)?;
        self.audit_objects(&mut seen)?;
        self.audit_mapped()?;
        self.audit_slots(&seen)?;
        self.audit_tlb(platform)
    }

    fn audit_regions(&self, id: SpaceId) -> Result<(), AuditError> {
        let space = self.space(id);
        let mut end = space.layout.user_start;
        for region in space.regions.iter() {
            check!(!region.is_empty(), "region {region} is empty");
            check!(region.start >= end, "region {region} starts below {end}");
            check!(region.end <= space.layout.user_end, "region {region} ends above user space");
            let aligned = region.start.offset(self.page) == 0 && region.end.offset(self.page) == 0;
            check!(aligned, "region {region} is not aligned to pages");
            end = region.end;
        }
        Ok(())
    }

    fn audit_tables(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        seen: &mut Seen,
    ) -> Result<(), AuditError> {
        let pmap = &self.space(id).pmap;
        let mut count = 0;
        let mut result = Ok(());
        pmap.visit_tables(platform, &mut |table| {
            count += 1;
            if result.is_ok() {
                result = self.audit_table(table.pfn, table.live, seen);
            }
        });
        result?;
        check!(count == pmap.tables(), "space {} has {count} tables, not {}", id.0, pmap.tables());
        Ok(())
    }

    fn audit_table(&self, pfn: Pfn, live: u32, seen: &mut Seen) -> Result<(), AuditError> {
        check!(pfn.0 < self.frames.total(), "a page table is in frame {pfn}, outside memory");
        let used = self.frames.used(pfn);
        let expected = Use::Table { live };
        check!(used == expected, "frame {pfn} is {used:?}, but its table says {expected:?}");
        seen.parents[pfn.0 as usize] += 1;
        Ok(())
    }

    /// Tables that several spaces refer to are known as such, with what they hold.
    fn audit_shared_tables(&self, platform: &impl Platform) -> Result<(), AuditError> {
        let (mut sharers, mut saved) = (0, 0);
        for (pfn, shared) in self.frames.shared_tables() {
            let count = shared.sharers.len();
            check!(count > 1, "the table in frame {pfn} is shared by {count}");
            for sharer in &shared.sharers {
                let id = sharer.space;
                let space = self.spaces[id.0 as usize].as_ref();
                let known = space.is_some_and(|space| {
                    let at = space.pmap.shared_at(sharer.va);
                    space.asid == sharer.asid && at.is_some_and(|at| at.table == pfn)
                });
                check!(known, "space {} does not share the table in frame {pfn}", id.0);
                let counted = Residency { peak_rss: 0, ..shared.holds };
                let holds = self.holds_of(platform, id, sharer.va);
                check!(holds == counted, "frame {pfn} holds {holds:?}, counted as {counted:?}");
            }
            sharers += count as u64;
            saved += count as u64 - 1;
        }
        let mut referred = 0;
        for space in self.spaces.iter().flatten() {
            referred += space.pmap.audit_shared(platform, &self.frames)?;
        }
        check!(referred == sharers, "{referred} tables are referred to by sharers, not {sharers}");
        let counted = self.frames.table_frames_saved().0;
        check!(saved == counted, "{saved} frames of tables are saved, counted as {counted}");
        Ok(())
    }

    fn audit_mappings(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        seen: &mut Seen,
    ) -> Result<(), AuditError> {
        let space = self.space(id);
        let mut counted = Residency::default();
        let mut next = VirtAddr(0);
        while let Some((va, mapping)) =
            space.pmap.next_mapping(platform, next, space.layout.user_end)
        {
            let Some(region) = space.regions.find(va) else {
                return Err(AuditError(format!("{va} is backed by {mapping:?} without a region")));
            };
            let place = ReverseMapping { space: id, va };
            match mapping {
                Mapping::None => {}
                Mapping::Resident(now) => {
                    self.audit_resident(platform, place, region, now, seen)?;
                    counted.anon_huge += u64::from(self.frames.part(now.pfn) != Part::Base);
                    match self.frames.used(now.pfn) {
                        Use::Anon { .. } => counted.rss_anon += 1,
                        _ => counted.rss_file += 1,
                    }
                }
                Mapping::Swapped(slot) => {
                    counted.swapped += 1;
                    self.audit_slot(slot, Owner::Entry(place))?;
                    seen.names[slot.0 as usize] += u32::from(self.stand_in(place) == place);
                }
            }
            next = VirtAddr(va.0 + self.page.bytes());
        }
        self.audit_set(platform, id)?;
        counted.peak_rss = space.residency.peak_rss;
        let kept = space.residency;
        check!(counted == kept, "space {} holds {counted:?}, counted as {kept:?}", id.0);
        Ok(())
    }

    /// A space's resident set has the frames that it maps.
    fn audit_set(&self, platform: &impl Platform, id: SpaceId) -> Result<(), AuditError> {
        let space = self.space(id);
        let Some(set) = &space.set else { return Ok(()) };
        let mut frames = BTreeSet::new();
        let mut next = VirtAddr(0);
        while let Some((va, mapping)) =
            space.pmap.next_mapping(platform, next, space.layout.user_end)
        {
            if let Mapping::Resident(now) = mapping {
                frames.insert(now.pfn);
                check!(set.contains(now.pfn), "{va} of space {} is not in its set", id.0);
            }
            next = VirtAddr(va.0 + self.page.bytes());
        }
        let (mapped, members) = (frames.len(), set.len());
        check!(mapped == members, "space {} maps {mapped} frames, its set has {members}", id.0);
        set.check().map_err(AuditError)
    }

    fn audit_resident(
        &self,
        platform: &impl Platform,
        place: ReverseMapping,
        region: &Region,
        now: Resident,
        seen: &mut Seen,
    ) -> Result<(), AuditError> {
        let (va, pfn) = (place.va, now.pfn);
        check!(pfn.0 < self.frames.total(), "{va} is mapped to frame {pfn}, outside memory");
        let used = self.frames.used(pfn);
        match (used, region.file_at(va)) {
            (Use::Anon { .. }, None) => {}
            (Use::Anon { .. }, Some(_)) => {
                check!(!region.shared, "{va} of a shared file has a private frame {pfn}");
            }
            (Use::File { file, index, .. }, Some((of, offset))) => {
                let right = file == of && u64::from(index) == offset >> self.page.shift();
                check!(right, "{va} is mapped to frame {pfn}, which has another page: {used:?}");
            }
            _ => check!(false, "{va} in {region} is mapped to frame {pfn}, which is {used:?}"),
        }
        let prot = self.prot_of(region, pfn);
        let (writable, allowed) = (now.prot.contains(Prot::WRITE), prot.contains(Prot::WRITE));
        // The last owner's right comes back with its next store.
        let copied = self.is_copied_on_write(place.space, va);
        let behind = allowed && !writable && (self.frames.cow(pfn) || copied);
        check!(
            (writable == allowed || behind) && now.prot.is_empty() == prot.is_empty(),
            "{va} is mapped {:?}, but may be {prot:?}",
            now.prot
        );
        let first = self.stand_in(place);
        let known = self.frames.is_mapped_at(pfn, first);
        check!(known, "frame {pfn} does not know that {va} is mapped to it");
        seen.mappings[pfn.0 as usize] += u32::from(first == place);
        self.audit_part(platform, place, region, now)
    }

    /// A frame is part of a large page if its page is.
    fn audit_part(
        &self,
        platform: &impl Platform,
        place: ReverseMapping,
        region: &Region,
        now: Resident,
    ) -> Result<(), AuditError> {
        let (va, pfn, part) = (place.va, now.pfn, self.frames.part(now.pfn));
        let Some(large) = self.space(place.space).pmap.large_at(platform, va) else {
            check!(part == Part::Base, "frame {pfn} is {part:?}, but {va} is in no large page");
            return Ok(());
        };
        let expected = if va == large.va { Part::First } else { Part::Further };
        check!(part == expected, "frame {pfn} is {part:?}, not {expected:?}: {large:?}");
        let last = VirtAddr(large.va.0 + large.size.bytes() - 1);
        let within = region.contains(large.va) && region.contains(last);
        check!(within && region.file_at(va).is_none(), "{large:?} is not within {region}");
        let anon = self.frames.used(pfn) == Use::Anon { slot: None };
        check!(anon, "frame {pfn} of {large:?} is {:?}", self.frames.used(pfn));
        Ok(())
    }

    fn audit_slot(&self, slot: SwapSlot, owner: Owner) -> Result<(), AuditError> {
        check!(self.swap.is_used(slot), "slot {} of {owner} is not in use", slot.0);
        Ok(())
    }

    /// Frames under transfer are what their transfers say.
    fn audit_transfers(&self, seen: &mut Seen) -> Result<(), AuditError> {
        for slot in self.transfers.named() {
            check!(self.swap.is_used(slot), "slot {} is read, but not in use", slot.0);
            seen.names[slot.0 as usize] += 1;
        }
        for pfn in self.transfers.read_into() {
            let used = self.frames.used(pfn);
            check!(used == Use::Transit, "frame {pfn} is read into, but is {used:?}");
        }
        for (pfn, slot) in self.transfers.written_to() {
            let used = self.frames.used(pfn);
            let expected = Use::Anon { slot: Some(slot) };
            check!(used == expected, "frame {pfn} is written to slot {}, but is {used:?}", slot.0);
            check!(self.transfers.is_writing(pfn), "frame {pfn} is not known to be written");
        }
        Ok(())
    }

    fn audit_free_list(&self, platform: &impl Platform) -> Result<(), AuditError> {
        let mut count = 0;
        for pfn in self.frames.free_list() {
            let used = self.frames.used(pfn);
            check!(used == Use::Free, "frame {pfn} is on the free list, but {used:?}");
            let right =
                !self.frames.is_zeroed(pfn) || platform.frame(pfn).iter().all(|&byte| byte == 0);
            check!(right, "frame {pfn} is not zeroes");
            count += 1;
        }
        let free = self.frames.free();
        check!(count == free, "{count} frames are on the free list, counted as {free}");
        self.frames.check_runs().map_err(AuditError)
    }

    fn audit_frames(&self, platform: &impl Platform, seen: &mut Seen) -> Result<(), AuditError> {
        let mut summary = crate::FrameSummary {
            peak_used: self.frames.summary().peak_used,
            peak_pages: self.frames.summary().peak_pages,
            peak_shared: self.frames.summary().peak_shared,
            total: self.frames.total(),
            ..Default::default()
        };
        let (mut paired, mut chained, mut transit, mut known) = (0, 0, 0, Vec::new());
        for pfn in (0..self.frames.total()).map(Pfn) {
            let used = self.frames.used(pfn);
            let mappings = seen.mappings[pfn.0 as usize];
            let counted = self.frames.mappings(pfn);
            check!(
                counted == mappings && self.frames.reverse(pfn).count() == mappings as usize,
                "frame {pfn} has {mappings} mappings, counted as {counted}"
            );
            chained += mappings.saturating_sub(1) as usize;
            summary.shared += u64::from(mappings > 1);
            let evictable = matches!(used, Use::Anon { .. } | Use::File { .. })
                && self.frames.part(pfn) != Part::Further
                && !self.transfers.is_writing(pfn);
            check!(
                self.policy.contains(pfn) == evictable,
                "frame {pfn} is {used:?}, but the policy knows it: {}",
                !evictable
            );
            if evictable {
                known.push(self.page_id(pfn));
            }
            let parents = seen.parents[pfn.0 as usize] as usize;
            match used {
                Use::Free => summary.free += 1,
                Use::MachineTable => {
                    check!(pfn.0 < self.machine_frames, "frame {pfn} is not the machine's own");
                    summary.page_table += 1;
                }
                Use::Transit => transit += 1,
                Use::Table { .. } => {
                    check!(parents > 0, "frame {pfn} is a page table that no space has");
                    let sharers = self.frames.sharers(pfn).len().max(1);
                    check!(
                        parents == sharers,
                        "the page table in frame {pfn} has {parents} parents and {sharers} sharers"
                    );
                    summary.page_table += 1;
                }
                Use::Anon { slot } => {
                    summary.anon += 1;
                    let named = |slot: SwapSlot| seen.names[slot.0 as usize] > 0;
                    paired += u64::from(slot.is_some_and(named));
                    self.audit_private(platform, pfn, slot, seen)?;
                }
                Use::File { file, index, .. } => {
                    summary.file += 1;
                    let cached = self.cache.find(&self.frames, file, index) == Some(pfn);
                    check!(cached, "frame {pfn} is {used:?}, but the cache does not know it");
                }
            }
        }
        self.audit_known(known)?;
        summary.wired = summary.page_table + transit;
        check!(
            transit == self.transfers.read_into().count() as u64,
            "{transit} frames are read into, but {} transfers read",
            self.transfers.read_into().count()
        );
        let counted = self.frames.summary();
        check!(summary == counted, "frames are {summary:?}, counted as {counted:?}");
        let cached = self.swap_cache.len() as u64;
        check!(cached == paired, "the swap cache has {cached} frames, {paired} have named slots");
        let unmapped = self.frames.unmapped();
        let counted = seen.mappings.iter().filter(|&&mappings| mappings > 0).count() as u64;
        let pages = summary.anon + summary.file;
        check!(pages - counted == unmapped, "{pages} pages, {counted} mapped, {unmapped} not");
        let counted = self.frames.chained().0;
        check!(counted == chained, "{chained} mappings are chained, counted as {counted}");
        let cached = self.cache.len() as u64;
        check!(cached == summary.file, "the cache has {cached} pages in {} frames", summary.file);
        Ok(())
    }

    /// The policy knows exactly the pages that can be evicted, each by a name of its own, and wants
    /// nothing that was not done.
    fn audit_known(&self, mut known: Vec<PageId>) -> Result<(), AuditError> {
        let counted = self.policy.len();
        check!(counted == known.len(), "the policy knows {counted} frames of {}", known.len());
        let waiting = self.clock.launder.len();
        check!(waiting == 0, "{waiting} pages wait to be laundered");
        known.sort_unstable();
        check!(known.first() != Some(&PageId::UNKNOWN), "a page has no name");
        let twice = known.windows(2).find(|pair| pair[0] == pair[1]);
        check!(twice.is_none(), "two pages in memory have one name: {twice:?}");
        Ok(())
    }

    /// A private page has an owner: a mapping, or a name of its slot.
    fn audit_private(
        &self,
        platform: &impl Platform,
        pfn: Pfn,
        slot: Option<SwapSlot>,
        seen: &mut Seen,
    ) -> Result<(), AuditError> {
        let mapped = seen.mappings[pfn.0 as usize] > 0;
        let Some(slot) = slot else {
            check!(mapped, "private frame {pfn} has no mapping and no slot");
            return self.audit_zeroes(platform, pfn);
        };
        self.audit_slot(slot, Owner::Frame(pfn))?;
        let twice = core::mem::replace(&mut seen.kept[slot.0 as usize], true);
        check!(!twice, "slot {} is kept by two frames, one of which is {pfn}", slot.0);
        let named = seen.names[slot.0 as usize] > 0;
        let found = self.swap_cache.find(&self.frames, slot);
        let right = found == named.then_some(pfn);
        check!(right, "slot {} (named: {named}) of frame {pfn} is in {found:?}", slot.0);
        check!(mapped || named, "private frame {pfn} has no mapping, nor has slot {}", slot.0);
        let stored = self.is_modified(platform, pfn);
        check!(!named || !stored, "frame {pfn} was stored to, but others wait for slot {}", slot.0);
        Ok(())
    }

    /// A private page without a slot that is not dirty has no other source than zeroes.
    fn audit_zeroes(&self, platform: &impl Platform, pfn: Pfn) -> Result<(), AuditError> {
        let clean = !self.is_modified(platform, pfn) && !self.frames.dirty(pfn);
        let zeroes =
            !clean || self.frames.lazy(pfn) || platform.frame(pfn).iter().all(|&byte| byte == 0);
        check!(zeroes, "frame {pfn} is clean and has no slot, but is not zero");
        Ok(())
    }

    /// An object's pages are in the cache or on slots, and somebody needs the object.
    fn audit_objects(&self, seen: &mut Seen) -> Result<(), AuditError> {
        let mut cached = 0;
        for (&id, object) in &self.objects.by_id {
            let name = id.number();
            let needed = object.handles > 0 || self.mapped_bytes(id) > 0;
            check!(needed, "object {name} has no handle and no mapping");
            let mut resident = 0;
            for (&index, &slot) in &object.pages {
                let within = u64::from(index) << self.page.shift() < object.len;
                check!(within, "page {index} of object {name} lies behind its end");
                let frame = self.cache.find(&self.frames, id, index);
                resident += u64::from(frame.is_some());
                if let Some(slot) = slot {
                    self.audit_slot(slot, Owner::Object(id))?;
                }
                match (frame, slot) {
                    (Some(pfn), None) => {
                        let dirty = self.frames.dirty(pfn);
                        check!(dirty, "page {index} of object {name} is clean without a slot");
                    }
                    (Some(_), Some(slot)) => {
                        let twice = core::mem::replace(&mut seen.kept[slot.0 as usize], true);
                        check!(!twice, "slot {} is kept by object {name} as well", slot.0);
                    }
                    (None, Some(slot)) => seen.names[slot.0 as usize] += 1,
                    (None, None) => check!(false, "page {index} of object {name} is lost"),
                }
            }
            let counted = object.resident;
            check!(resident == counted, "object {name} has {resident} frames, counted: {counted}");
            cached += resident;
        }
        let is_object = |pfn: &Pfn| matches!(self.frames.used(*pfn), Use::File { file, .. } if file.is_memory());
        let frames = (0..self.frames.total()).map(Pfn).filter(is_object).count() as u64;
        check!(frames == cached, "{frames} frames are objects', which know of {cached}");
        Ok(())
    }

    /// What is counted as mapped of each file is what regions map.
    fn audit_mapped(&self) -> Result<(), AuditError> {
        let mut mapped: BTreeMap<FileId, u64> = BTreeMap::new();
        for space in self.spaces.iter().flatten() {
            let unsettled = space.regions.changes();
            check!(unsettled.is_empty(), "changes of mappings are not settled: {unsettled:?}");
            for region in space.regions.iter() {
                if let Some((file, _)) = region.file_at(region.start) {
                    *mapped.entry(file).or_default() += region.len();
                } else {
                    check!(!region.shared, "{region} is shared, and has no object");
                }
            }
        }
        let counted = &self.objects.mapped;
        check!(mapped == *counted, "regions map {mapped:?}, counted as {counted:?}");
        Ok(())
    }

    fn audit_slots(&self, seen: &Seen) -> Result<(), AuditError> {
        let mut reclaimable = 0;
        for slot in (0..self.swap.total() as u32).map(SwapSlot) {
            let (names, kept) = (seen.names[slot.0 as usize], seen.kept[slot.0 as usize]);
            let counted = (self.swap.names(slot), self.swap.is_kept(slot));
            let right = (names, kept) == counted;
            check!(
                right,
                "slot {} is named {names} times and kept: {kept}; counted: {counted:?}",
                slot.0
            );
            let owned = names > 0 || kept;
            check!(owned == self.swap.is_used(slot), "slot {} is used: {}", slot.0, !owned);
            reclaimable += u64::from(kept && names == 0);
        }
        self.swap.check_areas().map_err(AuditError)?;
        let counted = self.swap.reclaimable();
        check!(reclaimable == counted, "{reclaimable} slots are only kept, counted: {counted}");
        Ok(())
    }

    /// No TLB holds a translation that the page tables do not have.
    fn audit_tlb(&self, platform: &impl Platform) -> Result<(), AuditError> {
        let space = |asid| self.spaces.iter().flatten().find(|space| space.asid == asid);
        let mut result = Ok(());
        platform.cached_translations(&mut |cached| {
            let kernels = self.kernel_map.and_then(|map| map.physical(cached.va));
            if kernels.is_some_and(|pa| pa.pfn(self.page) == cached.pfn) {
                return;
            }
            let now = space(cached.asid).map(|space| space.pmap.lookup(platform, cached.va));
            let right = matches!(now, Some(Mapping::Resident(now)) if now.pfn == cached.pfn
                && (now.prot.contains(Prot::WRITE) || !cached.writable));
            if !right && result.is_ok() {
                result = Err(AuditError(format!("stale TLB entry {cached:?}: now {now:?}")));
            }
        });
        platform.cached_tables(&mut |cached| {
            // The kernel's map never changes.
            if self.kernel_map.is_some_and(|map| map.physical(cached.va).is_some()) {
                return;
            }
            let now = space(cached.asid)
                .and_then(|space| space.pmap.table(platform, cached.va, cached.level));
            if now != Some(cached.pfn) && result.is_ok() {
                result = Err(AuditError(format!("stale pointer {cached:?}: now {now:?}")));
            }
        });
        result
    }
}
