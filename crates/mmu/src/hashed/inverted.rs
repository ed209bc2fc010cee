//! The inverted page table: one entry for each frame of RAM.
//!
//! ```text
//!   (asid, page) ── hash ──►  hash anchor table       inverted page table
//!                             ┌─────────────────┐     ┌────────────────────────┐
//!                             │ L │ first entry ├──►  │ asid, page, bits, next │  entry n is frame n
//!                             └─────────────────┘     └────────────────────────┘
//!                              4 bytes                 16 bytes (chain.rs)
//! ```
//!
//! The look-up:
//! 1. Hash the address-space number and the page number.
//! 2. Read the anchor that the hash picks: the first entry of a chain, or none.
//! 3. Does the entry's tag match? Then the entry's *index* is the frame.
//! 4. If not, go on with the entry that its link names; at the chain's end, page fault.
//!
//! The anchors are as many as there are frames, rounded up to a power of two, so that a chain has
//! about one entry; they come first, the entries follow. The table takes 20 to 24 bytes for each
//! frame, whatever the address spaces are: 0.6 % of RAM.
//!
//! A frame is mapped at one page at a time: sharing is possible only by turns. As on the machines
//! that had such tables (IBM's System/38 and RT PC, HP's PA-RISC under that name), one needs a TLB
//! to run an instruction that touches one frame under two names.

use super::chain::{self, ENTRY_BYTES, Entries, INDEX_BITS, PAGE, Raw, VA_BITS, hash, tag};
use super::{Broken, Full, HashedTable, Mapped};
use crate::radix::Leaf;
use crate::{
    Access, ArchFault, Asid, EntryWidth, Fault, FaultCause, Level, PageSize, Pfn, PhysAddr, Probe,
    ProbeKind, Rights, TableMemory, Translation, VirtAddr, Vpn, WalkObserver,
};

/// An anchor points to an entry.
const LINKED: u64 = 1 << 31;
/// Bytes of an anchor.
const ANCHOR_BYTES: u64 = 4;
/// Anchors are at least so many (2^2): the entries behind them are aligned.
const ANCHOR_BITS_MIN: u8 = 2;

/// An inverted page table for so much RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inverted {
    frames: u32,
    /// There are 2^n anchors.
    anchor_bits: u8,
}

impl Inverted {
    /// The table for `frames` frames of RAM: at least 1, at most 2^27, whatever is asked for.
    pub fn new(frames: u64) -> Self {
        let frames = frames.clamp(1, 1 << INDEX_BITS);
        let anchor_bits = (frames.next_power_of_two().ilog2() as u8).max(ANCHOR_BITS_MIN);
        Self { frames: frames as u32, anchor_bits }
    }

    /// How many anchors there are.
    pub fn anchors(&self) -> u64 {
        1 << self.anchor_bits
    }

    /// Where the anchor of a page lies; `None` if the page is beyond the address space.
    pub fn anchor_of(&self, root: PhysAddr, asid: Asid, vpn: Vpn) -> Option<PhysAddr> {
        tag(asid, vpn).map(|tag| self.anchor_at(root, tag))
    }

    fn anchor_at(&self, root: PhysAddr, tag: u64) -> PhysAddr {
        PhysAddr(root.0.wrapping_add(hash(tag, self.anchor_bits) * ANCHOR_BYTES))
    }

    fn entries(&self, root: PhysAddr) -> Entries {
        let base = PhysAddr(root.0.wrapping_add(self.anchors() * ANCHOR_BYTES));
        Entries { base, count: u64::from(self.frames) }
    }

    /// The first entry of a tag's chain.
    fn first<M: TableMemory + ?Sized>(&self, memory: &M, root: PhysAddr, tag: u64) -> Option<u64> {
        let raw = memory.read_entry(self.anchor_at(root, tag), EntryWidth::Four).ok()?;
        first_of(raw)
    }

    fn find_tag<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        tag: u64,
    ) -> Option<chain::Found> {
        let first = self.first(memory, root, tag);
        self.entries(root).find(memory, first, |_, entry| entry.tag == tag)
    }

    /// Points a tag's anchor to an entry.
    fn set_first<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        tag: u64,
        first: Option<u64>,
    ) -> Result<(), Full> {
        let raw = first.map_or(0, |first| LINKED | first);
        memory.write_entry(self.anchor_at(root, tag), EntryWidth::Four, raw).map_err(|_| Full)
    }

    fn remove_tag<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        tag: u64,
    ) -> Option<Leaf> {
        let entries = self.entries(root);
        let found = self.find_tag(memory, root, tag)?;
        match found.previous {
            None => self.set_first(memory, root, tag, found.entry.next()).ok()?,
            Some(previous) => entries.link(memory, previous, found.entry.next()).ok()?,
        }
        entries.write(memory, found.index, Raw::EMPTY).ok()?;
        Some(Leaf { pfn: Pfn(found.index), ..found.entry.leaf() })
    }

    fn look_up<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        tag: u64,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, FaultCause> {
        let (at, width) = (self.anchor_at(root, tag), EntryWidth::Four);
        let raw = memory.read_entry(at, width).map_err(|_| FaultCause::NoMemory)?;
        let first = first_of(raw);
        let matches = first.is_some();
        observer.probe(&Probe { at, width, raw, what: ProbeKind::Anchor, matches });
        let entries = self.entries(root);
        let hit = entries.search(memory, first, tag, 1, observer)?;
        entries.finish(memory, &hit, Some(Pfn(hit.index)), va, access, observer)
    }
}

/// The entry that an anchor names.
fn first_of(raw: u64) -> Option<u64> {
    (raw & LINKED != 0).then_some(raw & (LINKED - 1))
}

/// The part of an entry that an inverted table keeps: the frame is its index.
fn without_frame(leaf: Leaf) -> Leaf {
    Leaf { pfn: Pfn(0), ..leaf }
}

impl HashedTable for Inverted {
    #[inline]
    fn base_page(&self) -> PageSize {
        PAGE
    }

    fn va_bits(&self) -> u8 {
        VA_BITS
    }

    fn frames_max(&self) -> u64 {
        u64::from(self.frames)
    }

    fn table_bytes(&self) -> u64 {
        self.anchors() * ANCHOR_BYTES + self.frames_max() * ENTRY_BYTES
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
        self.look_up(memory, root, tag, va, access, observer)
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
        for anchor in 0..self.anchors() {
            let at = PhysAddr(root.0.wrapping_add(anchor * ANCHOR_BYTES));
            if memory.write_entry(at, EntryWidth::Four, 0).is_err() {
                return;
            }
        }
        self.entries(root).clear(memory);
    }

    fn find<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        let found = self.find_tag(memory, root, tag(asid, vpn)?)?;
        Some(Leaf { pfn: Pfn(found.index), ..found.entry.leaf() })
    }

    /// Full if the frame is mapped, or not in RAM.
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
        let (entries, index) = (self.entries(root), leaf.pfn.0);
        if index >= entries.count || entries.read(memory, index).map_err(|_| Full)?.is_valid() {
            return Err(Full);
        }
        let first = self.first(memory, root, tag);
        let entry = Raw::new(tag, &without_frame(leaf), first);
        entries.write(memory, index, entry).map_err(|_| Full)?;
        self.set_first(memory, root, tag, Some(index))
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
        let was = Leaf { pfn: Pfn(found.index), ..found.entry.leaf() };
        let mut leaf = was;
        change(&mut leaf);
        debug_assert_eq!(leaf.pfn, was.pfn, "an update keeps the frame");
        if leaf != was {
            let entry = found.entry.with_leaf(&without_frame(leaf));
            self.entries(root).write(memory, found.index, entry).ok()?;
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
        self.remove_tag(memory, root, tag(asid, vpn)?)
    }

    /// Only the frame's other mapping can stand in the way.
    fn make_room<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        _: Asid,
        _: Vpn,
        pfn: Pfn,
        _: u64,
    ) -> Option<Mapped> {
        if pfn.0 >= self.frames_max() {
            return None;
        }
        let entry = self.entries(root).read(memory, pfn.0).ok().filter(Raw::is_valid)?;
        let (asid, vpn) = chain::page_of(entry.tag)?;
        let leaf = self.remove_tag(memory, root, entry.tag)?;
        Some(Mapped { asid, vpn, leaf })
    }

    fn audit<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        visit: &mut dyn FnMut(Mapped),
    ) -> Result<(), Broken> {
        let entries = self.entries(root);
        let mut heads = 0;
        for anchor in 0..self.anchors() {
            let at = PhysAddr(root.0.wrapping_add(anchor * ANCHOR_BYTES));
            let broken = |why| Broken { at, why };
            let raw =
                memory.read_entry(at, EntryWidth::Four).map_err(|_| broken("is not in memory"))?;
            let valid = match first_of(raw) {
                None => raw == 0,
                Some(first) => {
                    heads += 1;
                    first < entries.count
                        && entries.read(memory, first).is_ok_and(|entry| {
                            entry.is_valid() && hash(entry.tag, self.anchor_bits) == anchor
                        })
                }
            };
            if !valid {
                return Err(broken("an anchor that leads to no entry of its hash"));
            }
        }
        let first = |tag| self.first(memory, root, tag);
        entries.audit(memory, self.anchor_bits, heads, first, true, visit)
    }
}
