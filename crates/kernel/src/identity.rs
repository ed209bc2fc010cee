//! Which page a frame holds, under a name that stays the page's while it is not in memory; and when
//! it was evicted, so that it is known how soon it was wanted again.
//!
//! ```text
//!   page                      its name is made of                       away, it is found under
//!   new, zeroes               the space, its epoch, the address         nothing: it was zeroes
//!   copied on write           the same and the source's name            its slot
//!   split off a large page    as a new one                              its slot
//!   of a file, of an object   the file, the index                       its name; an object's slot
//!
//!   evicted: number E of all evictions ──► shadow ──► comes back after eviction number R
//!                                                     refault distance = R − E
//! ```
//!
//! A private page keeps its name across swap, fork and mremap(2): the name is its slot's as long as the
//! slot has it. A space's epoch changes whenever pages of its are given back or moved (munmap,
//! MADV_DONTNEED, mremap, …), so that what is mapped there next is another page.
//!
//! As Linux's shadow entries (`mm/workingset.c`), those of files are bounded: by as many as there are
//! frames, the oldest going first. Those of slots are bounded by the slots.
//!
//! Invariants:
//! 1. Every frame that the policy knows has a name, and two pages have one name only if 61 bits of
//!    hash collide.
//! 2. A name depends on what programs did, and not on what was evicted.
//! 3. A slot's shadow is that of the last page that was evicted to it.

use crate::{FileId, Kernel, Platform, Pmap, SpaceId, Store, SwapSlot, Use};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use hashbrown::HashMap;
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::{Page, PageId, PageKind};
use rustc_hash::FxBuildHasher;

/// What is left of a page that was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shadow {
    id: PageId,
    /// The number of its eviction.
    evicted: u64,
}

/// The names of the pages in memory, and the shadows of those that were evicted.
///
/// The maps are never iterated, so that their order shows nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    /// By frame; grows with use.
    names: Vec<PageId>,
    /// Spaces made so far.
    spaces: u64,
    /// Pages evicted so far.
    evictions: u64,
    slots: HashMap<SwapSlot, Shadow, FxBuildHasher>,
    files: HashMap<PageId, u64, FxBuildHasher>,
    /// The shadows of files by age; those that came back are still here, and mean nothing.
    file_order: VecDeque<Shadow>,
}

impl Identities {
    /// A number for a new space, which no other ever has.
    pub fn new_space(&mut self) -> u64 {
        self.spaces += 1;
        self.spaces
    }

    /// The name of the page in a frame.
    pub fn of(&self, pfn: Pfn) -> PageId {
        self.names.get(pfn.0 as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, pfn: Pfn, id: PageId) {
        let at = pfn.0 as usize;
        if self.names.len() <= at {
            self.names.resize(at + 1, PageId::UNKNOWN);
        }
        self.names[at] = id;
    }

    /// A page is evicted to where it can be had back from; there are `bound` frames.
    fn evict(&mut self, id: PageId, store: Option<Store>, bound: u64) {
        self.evictions += 1;
        let shadow = Shadow { id, evicted: self.evictions };
        match store {
            None => {}
            Some(Store::Swap(slot)) => {
                self.slots.insert(slot, shadow);
            }
            Some(Store::File { .. }) => {
                self.files.insert(id, shadow.evicted);
                self.file_order.push_back(shadow);
                self.bound_files(bound);
            }
        }
    }

    fn bound_files(&mut self, bound: u64) {
        while self.file_order.len() as u64 > bound
            && let Some(oldest) = self.file_order.pop_front()
        {
            if self.files.get(&oldest.id) == Some(&oldest.evicted) {
                self.files.remove(&oldest.id);
            }
        }
    }

    /// A page comes back from a slot: its name, and how many pages were evicted since it was.
    fn back_from(&self, slot: SwapSlot) -> Option<(PageId, u64)> {
        let shadow = self.slots.get(&slot)?;
        Some((shadow.id, self.evictions - shadow.evicted))
    }

    /// A page of a file is read: how many pages were evicted since it was, if it was.
    fn back(&mut self, id: PageId) -> Option<u64> {
        self.files.remove(&id).map(|evicted| self.evictions - evicted)
    }
}

/// The name of page `index` of something that is told by numbers. Eight pages in a row have names in
/// a row: where policies look names up, they are near each other, as neighbours are evicted and come
/// back together.
fn name(parts: [u64; 4], index: u64) -> PageId {
    let hash = parts.into_iter().chain([index / RUN]).fold(0, |hash, part| mix(hash ^ part));
    PageId((hash / RUN * RUN + index % RUN).max(1))
}

/// A permutation of all numbers that spreads those in a row (the finaliser of `SplitMix64`).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Pages whose names are in a row.
const RUN: u64 = 8;

const NEW: u64 = 1;
const COPY: u64 = 2;
const FILE: u64 = 3;

/// The name of a file's page.
pub(crate) fn file_page(file: FileId, index: u32) -> PageId {
    name([FILE, file.0.into(), 0, 0], index.into())
}

impl<P: Pmap> Kernel<P> {
    /// The name of the page in a frame, which is the page's own: the same whenever it is in memory,
    /// and in every run of the same programs. [`PageId::UNKNOWN`] for a frame without a page.
    pub fn page_id(&self, pfn: Pfn) -> PageId {
        match self.frames.used(pfn) {
            Use::Anon { .. } | Use::File { .. } => self.identities.of(pfn),
            _ => PageId::UNKNOWN,
        }
    }

    /// A page of zeroes that a space has at an address from now on.
    pub(crate) fn new_page(&self, id: SpaceId, va: VirtAddr) -> PageId {
        let space = self.space(id);
        name([NEW, space.serial, space.epoch, 0], va.0 >> self.page.shift())
    }

    /// A copy that a space has at an address from now on.
    pub(crate) fn copied_page(&self, from: Pfn, id: SpaceId, va: VirtAddr) -> PageId {
        let space = self.space(id);
        let source = self.identities.of(from).0;
        name([COPY, space.serial, space.epoch, source], va.0 >> self.page.shift())
    }

    /// A frame holds a page by itself that can be evicted: the policy gets to know it.
    pub(crate) fn know(&mut self, pfn: Pfn, id: PageId, kind: PageKind) {
        self.identities.set(pfn, id);
        self.policy.insert_page(pfn, Page { id, kind });
    }

    /// As [`Kernel::know`], for a private page whose eviction came to nothing.
    pub(crate) fn know_again(&mut self, pfn: Pfn) {
        self.know(pfn, self.identities.of(pfn), PageKind::Anon);
    }

    /// As [`Kernel::know`], for a page that is new, or was brought in.
    pub(crate) fn admit(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        id: PageId,
        kind: PageKind,
    ) {
        self.know(pfn, id, kind);
        if let Some(next) = platform.page_loaded(pfn) {
            self.policy.reference(pfn, next);
        }
    }

    /// A page was read from a slot: as [`Kernel::admit`], with the name that it had.
    pub(crate) fn admit_from(&mut self, platform: &mut impl Platform, pfn: Pfn, slot: SwapSlot) {
        let (id, distance) = self.identities.back_from(slot).unwrap_or_default();
        self.counters.workingset_refault_anon += 1;
        self.counters.refault_distance += distance;
        self.admit(platform, pfn, id, PageKind::Anon);
    }

    /// A page was read from a file.
    pub(crate) fn admit_of(
        &mut self,
        platform: &mut impl Platform,
        pfn: Pfn,
        file: FileId,
        index: u32,
        kind: PageKind,
    ) {
        let id = file_page(file, index);
        if let Some(distance) = self.identities.back(id) {
            self.counters.workingset_refault_file += 1;
            self.counters.refault_distance += distance;
        }
        self.admit(platform, pfn, id, kind);
    }

    /// The page is evicted to `store`; the frame is freed next.
    pub(crate) fn dismiss(&mut self, pfn: Pfn, store: Option<Store>) {
        self.identities.evict(self.identities.of(pfn), store, self.frames.total());
        self.policy.evict(pfn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_comes_back_knows_how_many_were_evicted_since() {
        let mut identities = Identities::default();
        let file = Some(Store::File { file: FileId(1), offset: 0 });
        identities.evict(PageId(7), Some(Store::Swap(SwapSlot(0))), 2);
        identities.evict(PageId(8), file, 2);
        identities.evict(PageId(9), None, 2);
        assert_eq!(identities.back_from(SwapSlot(0)), Some((PageId(7), 2)));
        assert_eq!(identities.back(PageId(8)), Some(1));
        assert_eq!(identities.back(PageId(8)), None);
    }

    #[test]
    fn shadows_of_files_are_bounded_and_the_oldest_goes_first() {
        let mut identities = Identities::default();
        let file = Some(Store::File { file: FileId(1), offset: 0 });
        for id in [1, 2, 1, 3] {
            identities.evict(PageId(id), file, 2);
        }
        // The first eviction of 1 is forgotten, its second is not.
        assert_eq!((identities.back(PageId(2)), identities.back(PageId(1))), (None, Some(1)));
        assert_eq!((identities.files.len(), identities.file_order.len()), (1, 2));
    }
}
