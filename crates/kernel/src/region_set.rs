//! The regions of one space, in order, and their sizes.
//!
//! ```text
//!   insert   joins with neighbours that agree       ├──a──┤├──a──┤  ──►  ├─────a──────┤
//!   remove   cuts, and hands out the pieces         ├─────a─────┤   ──►  ├─a─┤ (a) ├─a─┤
//! ```
//!
//! Every change of the map goes through `put` and `take`, which keep the sizes.

use crate::{Backing, FileId, Prot, Region, RegionFlags};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

/// The sizes of a space's regions together, in bytes, as /proc/PID/status tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmSizes {
    /// All of them (VmSize).
    pub total: u64,
    /// Private and writable, stacks aside (VmData without VmStk).
    pub data: u64,
    /// Stacks (VmStk).
    pub stack: u64,
    /// Executable and not writable (VmExe and VmLib).
    pub exec: u64,
    /// Locked (VmLck).
    pub locked: u64,
    /// Promised (a part of Committed_AS).
    pub committed: u64,
}

impl VmSizes {
    /// The sizes that a region counts in.
    fn counted(&mut self, region: &Region) -> impl Iterator<Item = &mut u64> {
        let writable = region.prot.contains(Prot::WRITE);
        let code = region.prot.contains(Prot::EXEC) && !writable && !region.grows_down;
        [
            (true, &mut self.total),
            (region.is_data(), &mut self.data),
            (region.grows_down, &mut self.stack),
            (code, &mut self.exec),
            (region.flags.contains(RegionFlags::LOCKED), &mut self.locked),
            (region.is_accountable(), &mut self.committed),
        ]
        .into_iter()
        .filter_map(|(counts, size)| counts.then_some(size))
    }

    fn add(&mut self, region: &Region) {
        self.counted(region).for_each(|size| *size += region.len());
    }

    fn subtract(&mut self, region: &Region) {
        self.counted(region).for_each(|size| *size -= region.len());
    }
}

/// An ordered set of disjoint regions.
#[derive(Clone, Debug, Default)]
pub struct RegionSet {
    by_start: BTreeMap<u64, Region>,
    sizes: VmSizes,
    /// By how many bytes of each file more, or less, is mapped since somebody asked.
    changes: BTreeMap<FileId, i64>,
    /// The region found last: faults cluster.
    hint: Option<Region>,
}

impl RegionSet {
    /// The region that holds `va`.
    pub fn find(&self, va: VirtAddr) -> Option<&Region> {
        let (_, region) = self.by_start.range(..=va.0).next_back()?;
        region.contains(va).then_some(region)
    }

    /// The region that holds `va`, remembered for the next call.
    pub(crate) fn find_hinted(&mut self, va: VirtAddr) -> Option<Region> {
        if let Some(hint) = self.hint.filter(|hint| hint.contains(va)) {
            return Some(hint);
        }
        self.hint = self.find(va).copied();
        self.hint
    }

    /// The first region that ends above `va`.
    pub fn at_or_above(&self, va: VirtAddr) -> Option<&Region> {
        self.find(va).or_else(|| self.by_start.range(va.0..).next().map(|(_, region)| region))
    }

    /// The last region that starts below `va`.
    pub fn below(&self, va: VirtAddr) -> Option<&Region> {
        self.by_start.range(..va.0).next_back().map(|(_, region)| region)
    }

    /// How many regions there are (Linux: map_count).
    pub fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// How large they are together.
    pub fn sizes(&self) -> VmSizes {
        self.sizes
    }

    /// Whether the page at `va` may not leave memory.
    pub fn is_locked(&self, va: VirtAddr) -> bool {
        self.sizes.locked > 0
            && self.find(va).is_some_and(|region| region.flags.contains(RegionFlags::LOCKED))
    }

    /// How many bytes of `[from, to)` are mapped.
    pub fn mapped_within(&self, from: VirtAddr, to: VirtAddr) -> u64 {
        self.within(from, to).map(|part| part.len()).sum()
    }

    /// The parts of regions within a range, lowest first.
    pub fn within(&self, from: VirtAddr, to: VirtAddr) -> impl Iterator<Item = Region> + '_ {
        let until = move |region: &&Region| region.start < to;
        self.iter_from(from).take_while(until).map(move |region| region.cut(from, to))
    }

    /// How many regions more there would be if regions ended at both ends of a range.
    pub fn splits(&self, from: VirtAddr, to: VirtAddr) -> usize {
        let inside = |va: VirtAddr| self.find(va).is_some_and(|region| region.start < va);
        usize::from(inside(from)) + usize::from(inside(to))
    }

    /// All regions, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Region> + Clone {
        self.by_start.values()
    }

    /// The regions that end above `va`, lowest first.
    pub fn iter_from(&self, va: VirtAddr) -> impl Iterator<Item = &Region> {
        let from = self.find(va).map_or(va.0, |region| region.start.0);
        self.by_start.range(from..).map(|(_, region)| region)
    }

    /// Whether a region has an address in `[from, to)`.
    pub fn overlaps(&self, from: VirtAddr, to: VirtAddr) -> bool {
        self.at_or_above(from).is_some_and(|region| region.start < to)
    }

    /// The first address of `[from, to)` that no region holds.
    pub fn first_hole(&self, from: VirtAddr, to: VirtAddr) -> Option<VirtAddr> {
        let mut va = from;
        while va < to {
            match self.find(va) {
                Some(region) => va = region.end,
                None => return Some(va),
            }
        }
        None
    }

    /// Adds a region where there is none, joining it with its neighbours.
    pub(crate) fn insert(&mut self, mut region: Region) {
        debug_assert!(!region.is_empty());
        debug_assert!(!self.overlaps(region.start, region.end), "{region} overlaps");
        self.hint = None;
        if let Some(below) = self.below(region.start).copied().filter(|r| r.joins(&region)) {
            self.take(below.start);
            region = Region { end: region.end, ..below };
        }
        if let Some(above) = self.by_start.get(&region.end.0).copied().filter(|r| region.joins(r)) {
            self.take(above.start);
            region.end = above.end;
        }
        self.put(region);
    }

    /// Cuts `[from, to)` out, and returns the pieces that were there.
    pub(crate) fn remove(&mut self, from: VirtAddr, to: VirtAddr) -> Vec<Region> {
        self.hint = None;
        let mut pieces = Vec::new();
        while let Some(region) = self.at_or_above(from).copied().filter(|r| r.start < to) {
            self.take(region.start);
            for rest in [region.cut(region.start, from), region.cut(to, region.end)] {
                if !rest.is_empty() {
                    self.put(rest);
                }
            }
            pieces.push(region.cut(from, to));
        }
        pieces
    }

    fn put(&mut self, region: Region) {
        self.sizes.add(&region);
        self.note_change(&region, region.len() as i64);
        self.by_start.insert(region.start.0, region);
    }

    fn take(&mut self, start: VirtAddr) {
        if let Some(region) = self.by_start.remove(&start.0) {
            self.sizes.subtract(&region);
            self.note_change(&region, -(region.len() as i64));
        }
    }

    /// By how many bytes of each file more, or less, is mapped since the last call.
    pub(crate) fn take_changes(&mut self) -> BTreeMap<FileId, i64> {
        core::mem::take(&mut self.changes)
    }

    /// The same, without taking it.
    pub(crate) fn changes(&self) -> &BTreeMap<FileId, i64> {
        &self.changes
    }

    fn note_change(&mut self, region: &Region, bytes: i64) {
        let Backing::File { file, .. } = region.backing else { return };
        let change = self.changes.entry(file).or_default();
        *change += bytes;
        if *change == 0 {
            self.changes.remove(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backing, HugeAdvice, Prot, RegionName};

    fn region(start: u64, end: u64, flags: RegionFlags) -> Region {
        Region {
            start: VirtAddr(start),
            end: VirtAddr(end),
            prot: Prot::READ | Prot::WRITE,
            backing: Backing::Anonymous,
            shared: false,
            may_write: true,
            grows_down: false,
            name: RegionName::None,
            huge: HugeAdvice::None,
            flags,
        }
    }

    #[test]
    fn sizes_follow_cuts_and_joins() {
        let mut set = RegionSet::default();
        set.insert(region(0x1000, 0x4000, RegionFlags::empty()));
        set.insert(region(0x4000, 0x6000, RegionFlags::LOCKED));
        assert_eq!((set.len(), set.sizes().total, set.sizes().locked), (2, 0x5000, 0x2000));
        assert!(set.is_locked(VirtAddr(0x4000)) && !set.is_locked(VirtAddr(0x3fff)));
        assert_eq!(set.splits(VirtAddr(0x1000), VirtAddr(0x5000)), 1);
        let cut = set.remove(VirtAddr(0x2000), VirtAddr(0x5000));
        assert_eq!((cut.len(), set.len()), (2, 2));
        assert_eq!((set.sizes().total, set.sizes().locked), (0x2000, 0x1000));
        assert_eq!(set.mapped_within(VirtAddr(0), VirtAddr(0x5800)), 0x1800);
        set.insert(region(0x2000, 0x5000, RegionFlags::LOCKED));
        assert_eq!((set.len(), set.sizes().locked), (2, 0x4000), "joined with what is above");
    }
}
