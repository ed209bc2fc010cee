//! Reverse mappings: which page-table entries name a frame.
//!
//! ```text
//!   frame table          slab                                    index
//!   ┌─────────────┐      ┌───────────────────────────┐           (frame, space, address)
//!   │ first place │   ┌─►│ place, frame, next, before├─┐          → place in the slab,
//!   │ link ───────┼───┘  ├───────────────────────────┤ │          of long chains alone
//!   │ mappings: 3 │      │ place, frame, next, before│◄┘
//!   └─────────────┘      └───────────────────────────┘
//! ```
//!
//! Most frames have one mapping, which is in the frame's own entry. More (a page that a fork
//! shares, a page of a file) are chained through a slab, as FreeBSD's pv entries; a new one comes
//! first. A short chain is searched; one of more than [`CHAIN_SHORT`] is in a hash table as well,
//! so that removing a mapping costs the same however many there are.
//!
//! Invariants:
//! 1. A frame with `n` mappings has `n - 1` places in the slab, and none if `n` is 0.
//! 2. If a frame is `indexed`, all of its places in the slab are in the index; else none is.
//! 3. The index is never iterated, so that its order shows nowhere.

use super::{END, FrameTable, Marks, ReverseMapping};
use crate::SpaceId;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use hashbrown::HashTable;
use pagewalk_mmu::{Pfn, VirtAddr};
use rustc_hash::FxHasher;

/// Chains up to this length are searched one by one.
const CHAIN_SHORT: u32 = 8;

/// A chained mapping, or a free place.
#[derive(Clone, Copy, Debug)]
struct Chained {
    va: VirtAddr,
    space: SpaceId,
    pfn: u32,
    next: u32,
    before: u32,
}

// Host memory for each mapping of a frame beside the first.
const _: () = assert!(size_of::<Chained>() == 24);

impl Chained {
    fn mapping(&self) -> ReverseMapping {
        ReverseMapping { space: self.space, va: self.va }
    }

    fn hash(&self) -> u64 {
        hash(self.pfn, self.mapping())
    }
}

/// All chained mappings.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    slab: Vec<Chained>,
    free: u32,
    index: HashTable<u32>,
}

impl Default for Chains {
    fn default() -> Self {
        Self { slab: Vec::new(), free: END, index: HashTable::new() }
    }
}

impl Chains {
    /// Adds a mapping of a frame before `next`, and returns its place.
    fn push(&mut self, pfn: u32, mapping: ReverseMapping, next: u32) -> u32 {
        let ReverseMapping { space, va } = mapping;
        let new = Chained { va, space, pfn, next, before: END };
        let at = self.free;
        let at = if at == END {
            self.slab.push(new);
            (self.slab.len() - 1) as u32
        } else {
            self.free = self.slab[at as usize].next;
            self.slab[at as usize] = new;
            at
        };
        if let Some(next) = self.slab.get_mut(next as usize) {
            next.before = at;
        }
        at
    }

    /// Takes a mapping out of its chain, and returns what it was.
    fn remove(&mut self, at: u32) -> Chained {
        let removed = self.slab[at as usize];
        if let Some(before) = self.slab.get_mut(removed.before as usize) {
            before.next = removed.next;
        }
        if let Some(next) = self.slab.get_mut(removed.next as usize) {
            next.before = removed.before;
        }
        self.slab[at as usize].next = self.free;
        self.free = at;
        removed
    }

    fn search(&self, from: u32, mapping: ReverseMapping) -> u32 {
        let mut at = from;
        while self.slab[at as usize].mapping() != mapping {
            at = self.slab[at as usize].next;
        }
        at
    }

    fn index_one(&mut self, at: u32) {
        let Self { slab, index, .. } = self;
        let hash = slab[at as usize].hash();
        index.insert_unique(hash, at, |&at| slab[at as usize].hash());
    }

    fn unindex_one(&mut self, at: u32) {
        let hash = self.slab[at as usize].hash();
        if let Ok(entry) = self.index.find_entry(hash, |&held| held == at) {
            entry.remove();
        }
    }

    fn each(&mut self, from: u32, act: impl Fn(&mut Self, u32)) {
        let mut at = from;
        while at != END {
            act(self, at);
            at = self.slab[at as usize].next;
        }
    }

    fn find(&self, pfn: u32, mapping: ReverseMapping) -> Option<u32> {
        let is = |&at: &u32| {
            let held = &self.slab[at as usize];
            held.pfn == pfn && held.mapping() == mapping
        };
        self.index.find(hash(pfn, mapping), is).copied()
    }
}

fn hash(pfn: u32, mapping: ReverseMapping) -> u64 {
    let mut hasher = FxHasher::default();
    (pfn, mapping.space.0, mapping.va.0).hash(&mut hasher);
    hasher.finish()
}

impl FrameTable {
    /// The mappings of a frame.
    pub fn reverse(&self, pfn: Pfn) -> impl Iterator<Item = ReverseMapping> + '_ {
        let frame = self.at(pfn);
        let first = (frame.mappings > 0).then(|| frame.first());
        let mut next = if frame.mappings > 1 { frame.link } else { END };
        first.into_iter().chain(core::iter::from_fn(move || {
            let chained = self.chains.slab.get(next as usize)?;
            next = chained.next;
            Some(chained.mapping())
        }))
    }

    /// Some mapping of a frame, if it has any.
    pub(crate) fn first_mapping(&self, pfn: Pfn) -> Option<ReverseMapping> {
        let frame = self.at(pfn);
        (frame.mappings > 0).then(|| frame.first())
    }

    /// Whether the frame is mapped there.
    pub(crate) fn is_mapped_at(&self, pfn: Pfn, mapping: ReverseMapping) -> bool {
        let frame = self.at(pfn);
        match frame.indexed {
            true => frame.first() == mapping || self.chains.find(pfn.0 as u32, mapping).is_some(),
            false => self.reverse(pfn).any(|held| held == mapping),
        }
    }

    /// Adds a mapping, which the frame has not.
    #[inline]
    pub(crate) fn add_mapping(&mut self, pfn: Pfn, mapping: ReverseMapping) {
        let frame = &mut self.frames[pfn.0 as usize];
        frame.mappings += 1;
        if frame.mappings == 1 {
            frame.set_first(mapping);
            frame.link = END;
            self.mapped += 1;
            return;
        }
        if frame.mappings == 2 {
            self.shared += 1;
            self.shared_max = self.shared_max.max(self.shared);
        }
        frame.link = self.chains.push(pfn.0 as u32, mapping, frame.link);
        if frame.indexed {
            self.chains.index_one(frame.link);
        } else if frame.mappings > CHAIN_SHORT + 1 {
            frame.indexed = true;
            self.chains.each(frame.link, Chains::index_one);
        }
    }

    /// Adds a mapping of a private page that another space has as well: neither may store to it,
    /// and what their entries say of stores is here from then on.
    #[inline]
    pub(crate) fn share(&mut self, pfn: Pfn, mapping: ReverseMapping, modified: bool) {
        self.add_mapping(pfn, mapping);
        self.note_shared(pfn, modified);
    }

    /// No entry of a private page allows stores from now on, nor says whether there were some.
    #[inline]
    pub(crate) fn note_shared(&mut self, pfn: Pfn, modified: bool) {
        let frame = &mut self.frames[pfn.0 as usize];
        frame.marks |= Marks::COW;
        frame.dirty |= modified;
    }

    /// Removes a mapping, which the frame has, and returns how many are left.
    pub(crate) fn remove_mapping(&mut self, pfn: Pfn, mapping: ReverseMapping) -> u32 {
        let frame = &mut self.frames[pfn.0 as usize];
        frame.mappings -= 1;
        let left = frame.mappings;
        let is_first = frame.first() == mapping;
        if left == 0 {
            debug_assert!(is_first, "frame {pfn} is not mapped at {}", mapping.va);
            self.mapped -= 1;
            return 0;
        }
        self.shared -= u64::from(left == 1);
        let at = match (is_first, frame.indexed) {
            // The second becomes the first.
            (true, _) => frame.link,
            (false, true) => {
                self.chains.find(pfn.0 as u32, mapping).expect("long chains are indexed")
            }
            (false, false) => self.chains.search(frame.link, mapping),
        };
        if frame.indexed {
            self.chains.unindex_one(at);
        }
        let removed = self.chains.remove(at);
        if is_first {
            frame.set_first(removed.mapping());
        }
        if frame.link == at {
            frame.link = removed.next;
        }
        // Half of the bound, so that a chain around it is not indexed again and again.
        if frame.indexed && left <= CHAIN_SHORT / 2 + 1 {
            frame.indexed = false;
            self.chains.each(frame.link, Chains::unindex_one);
        }
        left
    }

    /// Chained mappings, and those of them that are indexed, for the audit.
    pub(crate) fn chained(&self) -> (usize, usize) {
        let mut free = 0;
        let mut at = self.chains.free;
        while at != END {
            free += 1;
            at = self.chains.slab[at as usize].next;
        }
        (self.chains.slab.len() - free, self.chains.index.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Use;
    use super::*;
    use alloc::collections::BTreeSet;

    fn place(n: u32) -> ReverseMapping {
        ReverseMapping { space: SpaceId(n), va: VirtAddr(u64::from(n % 3) << 12) }
    }

    fn held(frames: &FrameTable, pfn: Pfn) -> BTreeSet<u32> {
        assert_eq!(frames.reverse(pfn).count(), frames.mappings(pfn) as usize);
        frames.reverse(pfn).map(|mapping| mapping.space.0).collect()
    }

    #[test]
    fn mappings_come_and_go_in_any_order() {
        let mut frames = FrameTable::new(4, 2);
        let pfns = [Use::Anon { slot: None }; 2].map(|used| frames.allocate(used).unwrap());
        let mut model = [BTreeSet::new(), BTreeSet::new()];
        let mut draw = 1u64;
        for _ in 0..20_000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (which, n) = ((draw >> 40) as usize % 2, (draw >> 33) as u32 % 24);
            if model[which].insert(n) {
                frames.add_mapping(pfns[which], place(n));
            } else {
                model[which].remove(&n);
                let left = frames.remove_mapping(pfns[which], place(n));
                assert_eq!(left as usize, model[which].len());
            }
            assert_eq!(held(&frames, pfns[which]), model[which]);
            assert_eq!(frames.is_mapped_at(pfns[which], place(n)), model[which].contains(&n));
            let chained: usize = model.iter().map(|set| set.len().saturating_sub(1)).sum();
            let (in_slab, indexed) = frames.chained();
            assert_eq!(in_slab, chained);
            let long: usize = pfns
                .iter()
                .filter(|&&pfn| frames.at(pfn).indexed)
                .map(|&pfn| frames.mappings(pfn) as usize - 1)
                .sum();
            assert_eq!(indexed, long);
        }
    }
}
