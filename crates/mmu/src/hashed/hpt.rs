//! The hashed page table: entries with frame numbers, in chains.
//!
//! ```text
//!   (asid, page) ── hash ──►  entry: asid, page, bits, frame, next     16 bytes (chain.rs)
//!                             home of the hash │
//!                                              ▼ the next entry of the same hash, near by
//! ```
//!
//! The look-up:
//! 1. Hash the address-space number and the page number: the entry's *home*.
//! 2. Read the tag there. Does it match? Then the entry's data word names the frame.
//! 3. If not, go on with the entry that its link names; at the chain's end, page fault.
//!
//! A frame can stand in several entries, so pages are shared. The number of entries is free: more
//! of them for more sharing and for fewer collisions. The default is two for each frame, rounded up
//! to a power of two: 0.8 to 1.6 % of RAM.
//!
//! Entries that are not at home lie in places that are others' homes. Invariants:
//! 1. If any entry of a hash is in the table, one is at home; the chain from there has all entries
//!    of that hash, and no other. So an entry that comes home to a stranger makes it move.
//! 2. An entry lies in its home or among the [`WINDOW`] places after it.

use super::chain::{self, ENTRY_BYTES, Entries, INDEX_BITS, PAGE, Raw, VA_BITS, hash, tag};
use super::{Broken, Full, HashedTable, Mapped};
use crate::radix::Leaf;
use crate::{
    Access, ArchFault, Asid, Fault, FaultCause, Level, PageSize, Pfn, PhysAddr, Rights,
    TableMemory, Translation, VirtAddr, Vpn, WalkObserver,
};

/// How far from its home an entry may be.
pub const WINDOW: u64 = 64;

/// Entries for each frame, unless it is said otherwise.
const ENTRIES_PER_FRAME: u64 = 2;
/// The fewest entries are 2^2.
const BITS_MIN: u8 = 2;

/// A hashed page table of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// There are 2^n entries.
    bits: u8,
}

impl Hashed {
    /// The table for `frames` frames of RAM.
    pub fn new(frames: u64) -> Self {
        Self::with_entries(frames.saturating_mul(ENTRIES_PER_FRAME))
    }

    /// A table of `entries` entries, rounded up to a power of two: at least 4, at most 2^27,
    /// whatever is asked for.
    pub fn with_entries(entries: u64) -> Self {
        let entries = entries.clamp(1 << BITS_MIN, 1 << INDEX_BITS);
        Self { bits: entries.next_power_of_two().ilog2() as u8 }
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        1 << self.bits
    }

    /// Where the home of a page lies; `None` if the page is beyond the address space.
    pub fn home_of(&self, root: PhysAddr, asid: Asid, vpn: Vpn) -> Option<PhysAddr> {
        let tag = tag(asid, vpn)?;
        Some(PhysAddr(root.0.wrapping_add(self.home(tag) * ENTRY_BYTES)))
    }

    fn home(&self, tag: u64) -> u64 {
        hash(tag, self.bits)
    }

    fn table(&self, root: PhysAddr) -> Entries {
        Entries { base: root, count: self.entries() }
    }

    /// The place `distance` after `home`, around the end.
    fn after(&self, home: u64, distance: u64) -> u64 {
        (home + distance) & (self.entries() - 1)
    }

    /// How many places there are after a home.
    fn window(&self) -> u64 {
        WINDOW.min(self.entries() - 1)
    }

    fn find_tag<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        tag: u64,
    ) -> Option<chain::Found> {
        self.table(root).find(memory, Some(self.home(tag)), |_, entry| entry.tag == tag)
    }

    /// An empty place near `home`.
    fn empty_place<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        home: u64,
    ) -> Option<u64> {
        let table = self.table(root);
        (1..=self.window())
            .map(|distance| self.after(home, distance))
            .find(|&place| table.read(memory, place).is_ok_and(|entry| !entry.is_valid()))
    }

    /// Moves the entry at `from`, which is not at home, to another place near its home.
    fn move_stranger<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        from: u64,
        stranger: Raw,
    ) -> Option<()> {
        let table = self.table(root);
        let home = self.home(stranger.tag);
        let to = self.empty_place(memory, root, home)?;
        let previous = table.find(memory, Some(home), |_, entry| entry.next() == Some(from))?;
        table.write(memory, to, stranger).ok()?;
        table.link(memory, previous.index, Some(to)).ok()
    }

    fn remove_found<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        found: &chain::Found,
    ) -> Option<()> {
        let table = self.table(root);
        match (found.previous, found.entry.next()) {
            // The second of the chain comes home.
            (None, Some(second)) => {
                let moved = table.read(memory, second).ok()?;
                table.write(memory, found.index, moved).ok()?;
                table.write(memory, second, Raw::EMPTY).ok()
            }
            (None, None) => table.write(memory, found.index, Raw::EMPTY).ok(),
            (Some(previous), next) => {
                table.link(memory, previous, next).ok()?;
                table.write(memory, found.index, Raw::EMPTY).ok()
            }
        }
    }
}

impl HashedTable for Hashed {
    #[inline]
    fn base_page(&self) -> PageSize {
        PAGE
    }

    fn va_bits(&self) -> u8 {
        VA_BITS
    }

    fn frames_max(&self) -> u64 {
        1 << chain::FRAME_BITS
    }

    fn table_bytes(&self) -> u64 {
        self.entries() * ENTRY_BYTES
    }

    fn table_align(&self) -> u64 {
        ENTRY_BYTES
    }

    fn root(&self, base: PhysAddr) -> PhysAddr {
        base
    }

    fn walk_observed<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        let fault =
            |level, cause| Fault { va, access, level, cause, arch: self.arch_fault(cause, access) };
        let tag = tag(asid, va.vpn(PAGE)).ok_or(fault(None, FaultCause::NonCanonical))?;
        let table = self.table(root);
        table
            .search(memory, Some(self.home(tag)), tag, 0, observer)
            .and_then(|hit| table.finish(memory, &hit, None, va, access, observer))
            .map_err(|cause| fault(Some(Level(0)), cause))
    }

    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        chain::permit(rights, access)
    }

    fn arch_fault(&self, _: FaultCause, _: Access) -> ArchFault {
        ArchFault::PageFault
    }

    fn granted(&self, rights: Rights) -> Rights {
        chain::granted(rights)
    }

    fn initialise<M: TableMemory + ?Sized>(&self, memory: &mut M, root: PhysAddr) {
        self.table(root).clear(memory);
    }

    fn find<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        Some(self.find_tag(memory, root, tag(asid, vpn)?)?.entry.leaf())
    }

    /// Full if no place near enough is empty, though others may be.
    fn insert<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        leaf: Leaf,
    ) -> Result<(), Full> {
        let tag = tag(asid, vpn).ok_or(Full)?;
        debug_assert!(self.find_tag(memory, root, tag).is_none(), "a page is entered once");
        let (table, home) = (self.table(root), self.home(tag));
        if leaf.pfn.0 >= self.frames_max() {
            return Err(Full);
        }
        let resident = table.read(memory, home).map_err(|_| Full)?;
        if resident.is_valid() && self.home(resident.tag) == home {
            // The second of the chain: the first stays at home.
            let place = self.empty_place(memory, root, home).ok_or(Full)?;
            let entry = Raw::new(tag, &leaf, resident.next());
            table.write(memory, place, entry).map_err(|_| Full)?;
            return table.link(memory, home, Some(place)).map_err(|_| Full);
        }
        if resident.is_valid() {
            self.move_stranger(memory, root, home, resident).ok_or(Full)?;
        }
        table.write(memory, home, Raw::new(tag, &leaf, None)).map_err(|_| Full)
    }

    fn update<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        change: impl FnOnce(&mut Leaf),
    ) -> Option<Leaf> {
        let found = self.find_tag(memory, root, tag(asid, vpn)?)?;
        let was = found.entry.leaf();
        let mut leaf = was;
        change(&mut leaf);
        debug_assert_eq!(leaf.pfn, was.pfn, "an update keeps the frame");
        if leaf != was {
            self.table(root).write(memory, found.index, found.entry.with_leaf(&leaf)).ok()?;
        }
        Some(was)
    }

    fn remove<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        let found = self.find_tag(memory, root, tag(asid, vpn)?)?;
        self.remove_found(memory, root, &found)?;
        Some(found.entry.leaf())
    }

    /// A stranger at home, else the entry in one of the places near by. That one may make room
    /// farther away, if another of its chain comes home in its place: then the next is in the way.
    fn make_room<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        _: Pfn,
        turn: u64,
    ) -> Option<Mapped> {
        let (table, home) = (self.table(root), self.home(tag(asid, vpn)?));
        let resident = table.read(memory, home).ok().filter(Raw::is_valid)?;
        let victim = match self.home(resident.tag) == home {
            true => {
                let distance = 1 + turn % self.window();
                table.read(memory, self.after(home, distance)).ok().filter(Raw::is_valid)?
            }
            false => resident,
        };
        let (asid, vpn) = chain::page_of(victim.tag)?;
        let found = self.find_tag(memory, root, victim.tag)?;
        self.remove_found(memory, root, &found)?;
        Some(Mapped { asid, vpn, leaf: found.entry.leaf() })
    }

    fn audit<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        visit: &mut dyn FnMut(Mapped),
    ) -> Result<(), Broken> {
        let table = self.table(root);
        let at_home = |&index: &u64| {
            table
                .read(memory, index)
                .is_ok_and(|entry| entry.is_valid() && self.home(entry.tag) == index)
        };
        let heads = (0..table.count).filter(at_home).count() as u64;
        // A chain begins at home, or not at all.
        let first = |tag| Some(self.home(tag)).filter(at_home);
        table.audit(memory, self.bits, heads, first, false, visit)
    }
}
