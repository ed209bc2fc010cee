//! Regions: what a program asked for.
//!
//! ```text
//!     start                                   end
//!      ├───────────────┬───────────────────────┤     an ordered set, no two overlap
//!      │   rw-p heap   │  r-xp file 3 + 0x1000 │
//!      └───────────────┴───────────────────────┘
//!        Linux: vm_area_struct; Windows: VAD; FreeBSD: vm_map_entry
//! ```
//!
//! Invariants:
//! 1. Regions are not empty, page-aligned and disjoint.
//! 2. Neighbours that agree in everything are one region.
//! 3. A region knows nothing of frames, slots or page tables.

use crate::{FileId, Prot, Use};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use pagewalk_mmu::{AccessKind, VirtAddr};

/// Where a region's pages come from at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Zeroes.
    Anonymous,
    /// A file, from this offset at the region's start.
    File {
        /// The file.
        file: FileId,
        /// A multiple of the page size.
        offset: u64,
    },
}

/// What the program advised about large pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugeAdvice {
    /// Nothing.
    #[default]
    None,
    /// To use them (MADV_HUGEPAGE).
    Use,
    /// Not to use them (MADV_NOHUGEPAGE).
    Avoid,
}

/// What a fork does with a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForkAdvice {
    /// The child has it, with its pages.
    #[default]
    Inherit,
    /// The child has it not (MADV_DONTFORK).
    Skip,
    /// The child has it, filled with zeroes (MADV_WIPEONFORK).
    Wipe,
}

/// What a region is for, as /proc/PID/maps names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegionName {
    /// No name.
    #[default]
    None,
    /// `[heap]`, made by brk.
    Heap,
    /// `[stack]`, the first stack.
    Stack,
}

/// A region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first address.
    pub start: VirtAddr,
    /// The first address behind it.
    pub end: VirtAddr,
    /// What the program may do.
    pub prot: Prot,
    /// Where its pages come from.
    pub backing: Backing,
    /// Stores are seen by others who map the same, and reach the file.
    pub shared: bool,
    /// Whether mprotect may allow stores (a shared mapping of a file opened for reading may not).
    pub may_write: bool,
    /// Grows downwards on faults below it.
    pub grows_down: bool,
    /// What it is for.
    pub name: RegionName,
    /// What the program advised about large pages.
    pub huge: HugeAdvice,
    /// What the program advised about forks.
    pub fork: ForkAdvice,
}

impl Region {
    /// The size in bytes.
    pub fn len(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether the region has no bytes: never, in a set.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Whether the address lies in it.
    pub fn contains(&self, va: VirtAddr) -> bool {
        self.start <= va && va < self.end
    }

    /// Whether the program may do this. Stores imply loads, as on Linux/RISC-V.
    pub fn allows(&self, kind: AccessKind) -> bool {
        self.prot.intersects(match kind {
            AccessKind::Read => Prot::READ | Prot::WRITE,
            AccessKind::Write => Prot::WRITE,
            AccessKind::Execute => Prot::EXEC,
        })
    }

    /// Whether a store gives the program a page of its own.
    pub fn copies_on_write(&self) -> bool {
        !self.shared && matches!(self.backing, Backing::File { .. })
    }

    /// The rights of a page in a frame of this use: the region's, without stores if a store must
    /// copy the page first.
    pub fn prot_of(&self, used: Use) -> Prot {
        match used {
            // Who may store may load.
            Use::File { .. } if !self.shared && self.prot.contains(Prot::WRITE) => {
                (self.prot - Prot::WRITE) | Prot::READ
            }
            _ => self.prot,
        }
    }

    /// Whether mprotect may set these rights.
    pub fn may_become(&self, prot: Prot) -> bool {
        !self.shared || self.may_write || !prot.contains(Prot::WRITE)
    }

    /// The file and the offset in it that back the page at `va`.
    pub fn file_at(&self, va: VirtAddr) -> Option<(FileId, u64)> {
        match self.backing {
            Backing::Anonymous => None,
            Backing::File { file, offset } => Some((file, offset + (va.0 - self.start.0))),
        }
    }

    /// The part of the region within `[from, to)`.
    pub(crate) fn cut(&self, from: VirtAddr, to: VirtAddr) -> Self {
        let start = self.start.max(from).min(self.end);
        let backing = match self.file_at(start) {
            Some((file, offset)) => Backing::File { file, offset },
            None => Backing::Anonymous,
        };
        Self { start, end: self.end.min(to), backing, ..*self }
    }

    /// Whether `next` continues this region.
    fn joins(&self, next: &Self) -> bool {
        let backing = match self.file_at(self.end) {
            Some((file, offset)) => Backing::File { file, offset },
            None => Backing::Anonymous,
        };
        self.end == next.start
            && *next == Self { start: next.start, end: next.end, backing, ..*self }
    }
}

/// The line of /proc/PID/maps, without the file's device, inode and path, which the kernel does
/// not know: `00010000-00020000 r-xp 00001000 [heap]`.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |on, letter| if on { letter } else { '-' };
        let offset = self.file_at(self.start).map_or(0, |(_, offset)| offset);
        write!(
            f,
            "{:08x}-{:08x} {}{}{}{} {offset:08x}",
            self.start.0,
            self.end.0,
            flag(self.prot.contains(Prot::READ), 'r'),
            flag(self.prot.contains(Prot::WRITE), 'w'),
            flag(self.prot.contains(Prot::EXEC), 'x'),
            if self.shared { 's' } else { 'p' },
        )?;
        match (self.name, self.backing) {
            (RegionName::Heap, _) => f.write_str(" [heap]"),
            (RegionName::Stack, _) => f.write_str(" [stack]"),
            (RegionName::None, Backing::File { file, .. }) => write!(f, " file {}", file.0),
            (RegionName::None, Backing::Anonymous) => Ok(()),
        }
    }
}

/// An ordered set of disjoint regions.
#[derive(Clone, Debug, Default)]
pub struct RegionSet {
    by_start: BTreeMap<u64, Region>,
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
            self.by_start.remove(&below.start.0);
            region = Region { end: region.end, ..below };
        }
        if let Some(above) = self.by_start.get(&region.end.0).copied().filter(|r| region.joins(r)) {
            self.by_start.remove(&above.start.0);
            region.end = above.end;
        }
        self.by_start.insert(region.start.0, region);
    }

    /// Cuts `[from, to)` out, and returns the pieces that were there.
    pub(crate) fn remove(&mut self, from: VirtAddr, to: VirtAddr) -> Vec<Region> {
        self.hint = None;
        let mut pieces = Vec::new();
        while let Some(region) = self.at_or_above(from).copied().filter(|r| r.start < to) {
            self.by_start.remove(&region.start.0);
            for rest in [region.cut(region.start, from), region.cut(to, region.end)] {
                if !rest.is_empty() {
                    self.by_start.insert(rest.start.0, rest);
                }
            }
            pieces.push(region.cut(from, to));
        }
        pieces
    }
}
