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
//!
//! The ordered set is in `region_set.rs`.

use crate::{FileId, NameId, Prot, Use};
use bitflags::bitflags;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HugeAdvice {
    /// Nothing.
    #[default]
    None,
    /// To use them (MADV_HUGEPAGE).
    Use,
    /// Not to use them (MADV_NOHUGEPAGE).
    Avoid,
}

bitflags! {
    /// What the program said about a region besides its rights. In brackets Linux's flag, and the
    /// letters that VmFlags in /proc/PID/smaps has for it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct RegionFlags: u16 {
        /// Its pages are brought in, and stay (VM_LOCKED, lo).
        const LOCKED = 1;
        /// With `LOCKED`: pages are brought in when they are touched, not before
        /// (VM_LOCKONFAULT, lf).
        const LOCK_ON_FAULT = 1 << 1;
        /// Not counted as a promise of memory (VM_NORESERVE, nr).
        const NO_RESERVE = 1 << 2;
        /// Will be read from front to back (VM_SEQ_READ, sr).
        const SEQUENTIAL = 1 << 3;
        /// Will be read here and there (VM_RAND_READ, rr).
        const RANDOM = 1 << 4;
        /// A child of fork does not have it (VM_DONTCOPY, dc).
        const DONT_FORK = 1 << 5;
        /// A child of fork has it, full of zeroes (VM_WIPEONFORK, wf).
        const WIPE_ON_FORK = 1 << 6;
        /// Left out of core dumps (VM_DONTDUMP, dd).
        const DONT_DUMP = 1 << 7;
        /// Pages with the same bytes may be merged (VM_MERGEABLE, mg).
        const MERGEABLE = 1 << 8;
        /// Both bits of a lock.
        const LOCK = Self::LOCKED.bits() | Self::LOCK_ON_FAULT.bits();
        /// What a program expects of the order of its references.
        const ORDER = Self::SEQUENTIAL.bits() | Self::RANDOM.bits();
    }
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
    /// `[vdso]`: code that the kernel gives every program.
    Vdso,
    /// `[anon:…]`, named by the program (PR_SET_VMA_ANON_NAME).
    Anon(NameId),
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
    /// What else it said.
    pub flags: RegionFlags,
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

    /// Whether pages must be copied at once if mprotect sets these rights: no store to locked pages
    /// is to wait for a copy (Linux: mprotect_fixup). A lock on fault promises nothing.
    pub fn owes_locked_copies(&self, prot: Prot) -> bool {
        !self.shared
            && self.flags & RegionFlags::LOCK == RegionFlags::LOCKED
            && !self.prot.contains(Prot::WRITE)
            && prot.contains(Prot::WRITE)
    }

    /// Whether the memory that it may take counts as promised (Linux: accountable_mapping): only
    /// pages that stores make the program's own.
    pub fn is_accountable(&self) -> bool {
        !self.shared
            && self.prot.contains(Prot::WRITE)
            && !self.flags.contains(RegionFlags::NO_RESERVE)
    }

    /// Whether it counts against RLIMIT_DATA (Linux: is_data_mapping).
    pub fn is_data(&self) -> bool {
        !self.shared && self.prot.contains(Prot::WRITE) && !self.grows_down
    }

    /// What a child of fork has of it: nothing, or the region without its lock, which is not
    /// inherited.
    pub fn forked(&self) -> Option<Self> {
        let flags = self.flags - RegionFlags::LOCK;
        (!flags.contains(RegionFlags::DONT_FORK)).then_some(Self { flags, ..*self })
    }

    /// Whether a child of fork begins with the pages.
    pub(crate) fn is_copied_by_fork(&self) -> bool {
        !self.shared && !self.flags.intersects(RegionFlags::DONT_FORK | RegionFlags::WIPE_ON_FORK)
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
    pub(crate) fn joins(&self, next: &Self) -> bool {
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
            (RegionName::Vdso, _) => f.write_str(" [vdso]"),
            // The name itself is the kernel's to tell.
            (RegionName::Anon(id), _) => write!(f, " [anon:#{}]", id.0),
            (RegionName::None, Backing::File { file, .. }) if file.is_memory() => {
                write!(f, " object {}", file.number())
            }
            (RegionName::None, Backing::File { file, .. }) => write!(f, " file {}", file.0),
            (RegionName::None, Backing::Anonymous) => Ok(()),
        }
    }
}
