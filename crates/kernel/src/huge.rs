//! Large pages behind anonymous memory: when one is mapped, and when it falls apart.
//!
//! ```text
//!   fault, nothing there             part of it is unmapped, protected, moved, advised
//!         │                          or its first frame is a victim
//!         ▼                                        │
//!   region holds all of it ── no ─┐                ▼
//!   policy and advice want it ─ no ┤     split: base pages, same frames, rights and bits
//!   nothing mapped in it ──── no ─┤                │
//!   a run of frames is free ─ no ─┤                ▼
//!         │ yes      (fallback)   ▼         each page on its own from then on
//!   large page              base page
//! ```
//!
//! The rules are Linux's for transparent huge pages. What has fallen apart can become a large page
//! again: see collapse.rs. Only the next size above the base page is used. A large page is taken only if the low
//! watermark of frames stays free, so that it never makes the page daemon run.
//!
//! Invariants:
//! 1. A large page lies in one region, which is anonymous.
//! 2. The replacement policy knows its first frame alone: a large page is looked at as a whole, and
//!    split when its turn has come.
//! 3. All parts of a split page inherit its referenced and modified bits.

use crate::fault::{Fault, Resolution};

use crate::pmap::Resident;
use crate::space::space_in;
use crate::{
    Backing, Errno, Event, FaultCause, HugeAdvice, Kernel, LargePage, Part, Platform, Pmap, Region,
    ReverseMapping, SpaceId, Use,
};
use pagewalk_mmu::{PageSize, Pfn, VirtAddr};
use pagewalk_replacement::PageKind;

/// What large pages are used for (Linux: /sys/kernel/mm/transparent_hugepage/enabled).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HugePolicy {
    /// Nothing.
    #[default]
    Never,
    /// Anonymous memory, unless the program advised against it.
    Always,
    /// Anonymous memory for which the program advised it.
    Madvise,
}

impl HugePolicy {
    /// The names of all policies.
    pub const NAMES: &'static [&'static str] = &["never", "always", "madvise"];

    /// The policy called `name`, one of [`HugePolicy::NAMES`].
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Never, Self::Always, Self::Madvise].into_iter().find(|policy| policy.name() == name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::Madvise => "madvise",
        }
    }

    pub(crate) fn wants(self, region: &Region) -> bool {
        let advised = match self {
            Self::Never => false,
            Self::Always => region.huge != HugeAdvice::Avoid,
            Self::Madvise => region.huge == HugeAdvice::Use,
        };
        advised && region.backing == Backing::Anonymous
    }
}

impl<P: Pmap> Kernel<P> {
    /// The size of large pages, if this machine has any and they are used.
    pub fn large_page(&self) -> Option<PageSize> {
        self.large
    }

    /// How many base pages make a large page.
    pub(crate) fn pages_per(&self, size: PageSize) -> u64 {
        1 << (size.shift() - self.page.shift())
    }

    /// Maps a large page where a fault found nothing, if that can be.
    pub(crate) fn fill_large(
        &mut self,
        platform: &mut impl Platform,
        fault: &Fault,
    ) -> Option<Resolution> {
        let size = self.large?;
        let start = fault.page.page_base(size);
        let pmap = &self.space(fault.space).pmap;
        if !self.config.huge.wants(&fault.region)
            || !holds(&fault.region, start, size)
            || !pmap.has_room_for_large(platform, start)
            || !self.has_room_in_set(fault.space, self.pages_per(size))
        {
            return None;
        }
        let tables = pmap.tables_missing(platform, start);
        let Some(first) = self.allocate_large(size, tables) else {
            self.counters.thp_fault_fallback += 1;
            return None;
        };
        self.counters.thp_fault_alloc += 1;
        self.map_large(
            platform,
            fault,
            LargePage { va: start, size, first: fault.resident(first, fault.region.prot) },
        );
        let pfn = Pfn(first.0 + (fault.page.offset(size) >> self.page.shift()));
        Some(Resolution { cause: FaultCause::ZeroFillLarge, pfn, major: false })
    }

    /// A run of frames, which leaves `spare` and the low watermark free.
    pub(crate) fn allocate_large(&mut self, size: PageSize, spare: u64) -> Option<Pfn> {
        let count = self.pages_per(size);
        if self.refused.refuses() || !self.has_frames_for(count, spare) {
            return None;
        }
        let first =
            self.frames.allocate_run(count as u32, count as u32, Use::Anon { slot: None })?;
        self.counters.pgalloc += count;
        Some(first)
    }

    /// Whether so many frames are free beside `spare` and the low watermark, in a row or not.
    pub(crate) fn has_frames_for(&self, count: u64, spare: u64) -> bool {
        self.frames.free() >= count + spare + self.marks.low
    }

    fn map_large(&mut self, platform: &mut impl Platform, fault: &Fault, large: LargePage) {
        self.parts(large).for_each(|(pfn, _)| platform.zero_frame(pfn));
        self.counters.pgzeroed += self.pages_per(large.size);
        self.enter_run(platform, fault.space, large);
    }

    /// Maps a large page whose frames hold what they should.
    pub(crate) fn enter_run(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        large: LargePage,
    ) {
        let count = self.pages_per(large.size);
        for (pfn, va) in self.parts(large) {
            self.frames.add_mapping(pfn, ReverseMapping { space: id, va });
            if let Some(set) = &mut self.space_mut(id).set {
                set.join(pfn);
            }
            let part = if va == large.va { Part::First } else { Part::Further };
            self.frames.set_part(pfn, part);
        }
        let space = space_in(&mut self.spaces, id);
        space.pmap.enter_large(platform, &mut self.frames, large.va, large.first);
        space.residency.anon_huge += count;
        space.residency.add_anon(count);
        self.admit(platform, large.first.pfn, self.new_page(id, large.va), PageKind::Anon);
        for (pfn, _) in self.parts(large).skip(1) {
            let _unknown = platform.page_loaded(pfn);
        }
    }

    /// The frames of a large page, and the addresses of its base pages.
    pub(crate) fn parts(
        &self,
        large: LargePage,
    ) -> impl DoubleEndedIterator<Item = (Pfn, VirtAddr)> + use<P> {
        let page = self.page;
        (0..self.pages_per(large.size))
            .map(move |n| (Pfn(large.first.pfn.0 + n), VirtAddr(large.va.0 + (n << page.shift()))))
    }

    /// Splits the large page around `va`, if there is one.
    pub(crate) fn split_at(&mut self, platform: &mut impl Platform, id: SpaceId, va: VirtAddr) {
        let space = space_in(&mut self.spaces, id);
        if space.residency.anon_huge == 0 {
            return;
        }
        let Some((large, debt)) = space.pmap.split(platform, &mut self.frames, va) else { return };
        self.discharge(platform, debt);
        self.counters.thp_split_page += 1;
        self.note_apart(id, large);
        for (pfn, va) in self.parts(large).skip(1) {
            self.know(pfn, self.new_page(id, va), PageKind::Anon);
        }
        platform.event(Event::Split { space: id, va: large.va, bytes: large.size.bytes() });
    }

    /// Splits the large pages that a range holds only a part of.
    pub(crate) fn split_ends(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        end: VirtAddr,
    ) {
        let Some(size) = self.large else { return };
        for va in [start, end].into_iter().filter(|va| va.offset(size) != 0) {
            self.split_at(platform, id, va);
        }
    }

    /// Lets go of a large page that was unmapped and flushed.
    pub(crate) fn release_large(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        large: LargePage,
    ) {
        self.note_apart(id, large);
        // Backwards, so that the frames are used again in the order of their numbers.
        for (pfn, va) in self.parts(large).rev() {
            self.release_page(platform, id, va, Resident { pfn, ..large.first });
        }
    }

    /// Notes that the frames of a large page are no longer one.
    fn note_apart(&mut self, id: SpaceId, large: LargePage) {
        for (pfn, _) in self.parts(large) {
            self.frames.set_part(pfn, Part::Base);
        }
        let count = self.pages_per(large.size);
        self.space_mut(id).residency.anon_huge -= count;
    }

    /// Takes advice about large pages for a part of a region. Pages that are there stay as they
    /// are.
    pub(crate) fn advise_huge_part(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        part: &Region,
        advice: HugeAdvice,
    ) -> Result<(), Errno> {
        self.can_have_large_pages()?;
        let change = |region: Region| Region { huge: advice, ..region };
        self.change_part(platform, id, part, change).map_err(|_| Errno::Eagain)
    }

    /// `Einval` if the hardware has no large pages.
    pub(crate) fn can_have_large_pages(&self) -> Result<(), Errno> {
        P::large_page(&self.hardware).map(|_| ()).ok_or(Errno::Einval)
    }
}

/// Whether a region holds all of the large page at `start`.
pub(crate) fn holds(region: &Region, start: VirtAddr, size: PageSize) -> bool {
    region.start <= start && start < region.end && region.end.0 - start.0 >= size.bytes()
}

#[cfg(test)]
mod tests {
    use super::HugePolicy;

    #[test]
    fn names_and_policies_agree() {
        for name in HugePolicy::NAMES {
            assert_eq!(HugePolicy::by_name(name).expect("a name in NAMES").name(), *name);
        }
        assert_eq!(HugePolicy::by_name("sometimes"), None);
    }
}
