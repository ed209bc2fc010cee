//! What each region holds, as /proc/PID/smaps tells it (Linux: fs/proc/task_mmu.c,
//! Documentation/filesystems/proc.rst).
//!
//! ```text
//!   page in memory ─► rss ┬ mapped once        private ┬ clean
//!                         └ mapped more often  shared  ┴ dirty     pss: its size ÷ mappings
//!   page on swap   ─► swap                                    swap_pss: its size ÷ names
//! ```
//!
//! Proportional sizes are summed in 1/4096 of a byte, as Linux does, and then rounded down.

use crate::frame::Part;
use crate::{
    Kernel, Mapping, Platform, Pmap, Region, RegionFlags, Resident, ReverseMapping, SpaceId, Use,
};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

/// Bits behind the point of a proportional size (Linux: PSS_SHIFT).
const PSS_SHIFT: u32 = 12;

/// What a region holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Pages in memory (Rss).
    pub rss: u64,
    /// The same, each divided by the number of its mappings (Pss).
    pub pss: u64,
    /// Of that, dirty pages (Pss_Dirty).
    pub pss_dirty: u64,
    /// Mapped more than once, as on their device (Shared_Clean).
    pub shared_clean: u64,
    /// Mapped more than once, and changed (Shared_Dirty).
    pub shared_dirty: u64,
    /// Mapped here alone, as on their device (Private_Clean).
    pub private_clean: u64,
    /// Mapped here alone, and changed (Private_Dirty).
    pub private_dirty: u64,
    /// Referenced since reclaim last looked (Referenced).
    pub referenced: u64,
    /// Of no file or object (Anonymous).
    pub anonymous: u64,
    /// Given up, and not stored to since (LazyFree).
    pub lazy_free: u64,
    /// Merged with others of the same bytes (KSM).
    pub ksm: u64,
    /// In large pages (AnonHugePages).
    pub anon_huge: u64,
    /// On swap (Swap).
    pub swap: u64,
    /// The same, each divided by the number of its owners (SwapPss).
    pub swap_pss: u64,
    /// The proportional size of what is locked (Locked).
    pub locked: u64,
}

/// A region and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionUsage {
    /// The region; `region.len()` is its Size.
    pub region: Region,
    /// What it holds.
    pub holds: Holdings,
}

impl Region {
    /// The letters of VmFlags, in Linux's order.
    pub fn vm_flags(&self) -> impl Iterator<Item = &'static str> + use<> {
        use crate::{HugeAdvice, Prot};
        let (prot, flags) = (self.prot, self.flags);
        let has = |flag| flags.contains(flag);
        [
            (prot.contains(Prot::READ), "rd"),
            (prot.contains(Prot::WRITE), "wr"),
            (prot.contains(Prot::EXEC), "ex"),
            // Where stores are never allowed, Linux takes the mapping for a private one.
            (self.shared && self.may_write, "sh"),
            (true, "mr"),
            (self.may_write, "mw"),
            (true, "me"),
            (self.shared, "ms"),
            (self.grows_down, "gd"),
            (has(RegionFlags::LOCKED), "lo"),
            (has(RegionFlags::SEQUENTIAL), "sr"),
            (has(RegionFlags::RANDOM), "rr"),
            (has(RegionFlags::DONT_FORK), "dc"),
            (has(RegionFlags::LOCK_ON_FAULT), "lf"),
            (self.is_accountable(), "ac"),
            (has(RegionFlags::NO_RESERVE), "nr"),
            (has(RegionFlags::WIPE_ON_FORK), "wf"),
            (has(RegionFlags::DONT_DUMP), "dd"),
            (self.huge == HugeAdvice::Use, "hg"),
            (self.huge == HugeAdvice::Avoid, "nh"),
            (has(RegionFlags::MERGEABLE), "mg"),
        ]
        .into_iter()
        .filter_map(|(is, letters)| is.then_some(letters))
    }
}

impl<P: Pmap> Kernel<P> {
    /// All regions of a space, lowest first, with what they hold.
    pub fn smaps(&self, platform: &impl Platform, id: SpaceId) -> Vec<RegionUsage> {
        let usage = |&region| RegionUsage { region, holds: self.holdings(platform, id, &region) };
        self.space(id).regions.iter().map(usage).collect()
    }

    fn holdings(&self, platform: &impl Platform, id: SpaceId, region: &Region) -> Holdings {
        let mut holds = Holdings::default();
        let mut at = region.start;
        while let Some((va, now)) = self.space(id).pmap.next_mapping(platform, at, region.end) {
            match now {
                Mapping::None => {}
                Mapping::Resident(now) => self.count_resident(&mut holds, now),
                Mapping::Swapped(slot) => {
                    let bytes = self.page.bytes();
                    let others = self.other_owners(ReverseMapping { space: id, va }).len() as u64;
                    let names = u64::from(self.swap.names(slot).max(1)) + others;
                    holds.swap += bytes;
                    holds.swap_pss += (bytes << PSS_SHIFT) / names;
                }
            }
            at = VirtAddr(va.0 + self.page.bytes());
        }
        holds.swap += self.swapped_of_object(region);
        for size in [&mut holds.pss, &mut holds.pss_dirty, &mut holds.swap_pss] {
            *size >>= PSS_SHIFT;
        }
        if region.flags.contains(RegionFlags::LOCKED) {
            holds.locked = holds.pss;
        }
        holds
    }

    /// What of a shared object lies on swap: there is nothing of it in the page tables.
    fn swapped_of_object(&self, region: &Region) -> u64 {
        let Some((file, offset)) = region.file_at(region.start) else { return 0 };
        let Some(object) = self.objects.by_id.get(&file).filter(|_| region.shared) else {
            return 0;
        };
        let index = |offset: u64| u32::try_from(offset >> self.page.shift()).unwrap_or(u32::MAX);
        let pages = object.pages.range(index(offset)..index(offset + region.len()));
        let out = pages.filter(|&(&index, slot)| {
            slot.is_some() && self.cache.find(&self.frames, file, index).is_none()
        });
        (out.count() as u64) << self.page.shift()
    }

    fn count_resident(&self, holds: &mut Holdings, now: Resident) {
        let bytes = self.page.bytes();
        let mappings = self.owners(now.pfn);
        let dirty = now.modified || self.frames.dirty(now.pfn);
        let share = (bytes << PSS_SHIFT) / u64::from(mappings.max(1));
        let anonymous = matches!(self.frames.used(now.pfn), Use::Anon { .. });
        holds.rss += bytes;
        holds.pss += share;
        holds.pss_dirty += if dirty { share } else { 0 };
        *match (mappings > 1, dirty) {
            (true, false) => &mut holds.shared_clean,
            (true, true) => &mut holds.shared_dirty,
            (false, false) => &mut holds.private_clean,
            (false, true) => &mut holds.private_dirty,
        } += bytes;
        for (counts, size) in [
            (now.referenced, &mut holds.referenced),
            (anonymous, &mut holds.anonymous),
            (self.frames.merged(now.pfn), &mut holds.ksm),
            (self.frames.lazy(now.pfn) && !dirty, &mut holds.lazy_free),
            (self.frames.part(now.pfn) != Part::Base, &mut holds.anon_huge),
        ] {
            *size += if counts { bytes } else { 0 };
        }
    }
}
