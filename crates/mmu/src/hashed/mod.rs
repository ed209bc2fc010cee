//! Page tables that are one for the whole machine: a hash of space and page finds the entry.
//!
//! ```text
//!              inverted                     hashed                       ppc
//!   (asid, page)                 (asid, page)                 (segment, page)
//!        │ hash                       │ hash                       │ hash, and its complement
//!        ▼                            ▼                            ▼
//!   ┌────────┐   ┌───────┐       ┌───────────────┐       ┌───┬───┬───┬───┬───┬───┬───┬───┐
//!   │ anchor ├──►│ entry │       │ entry, frame  ├─┐     │PTE│PTE│PTE│PTE│PTE│PTE│PTE│PTE│
//!   └────────┘   │  next ├─┐     └───────────────┘ │     └───┴───┴───┴───┴───┴───┴───┴───┘
//!                └───────┘ ▼     ┌───────────────┐ │     ┌───┬───┬───┬───┬───┬───┬───┬───┐
//!      index = frame  ┌───────┐  │ entry, frame  │◄┘     │PTE│PTE│ …  a second group     │
//!                     │ entry │  └───────────────┘       └───┴───┴───┴───┴───┴───┴───┴───┘
//!                     └───────┘
//! ```
//!
//! The tables grow with RAM, not with the address spaces, and are always there in full; so they can
//! be full, or have no place for one entry: what does not fit, software keeps, and puts in when it
//! is asked for ([`HashedTable::make_room`]).
//!
//! Invariants:
//! 1. A table lies in simulated memory alone, as the bits that the hardware reads; a table of
//!    zeroes is empty.
//! 2. A walk makes each reference once and shows it to the observer. It ends, whatever the bits
//!    are: a chain longer than the table has entries is a fault.
//! 3. Referenced and modified bits are written only after all checks passed.
//! 4. Software enters a page of a space once at most; an entry is where its hash leads
//!    ([`HashedTable::audit`]).

mod chain;
mod format;
mod hpt;
mod inverted;
pub mod ppc;

pub use format::Format;
pub use hpt::Hashed;
pub use inverted::Inverted;
pub use ppc::Ppc;

use crate::radix::Leaf;
use crate::{
    Access, ArchFault, Asid, Fault, FaultCause, PageSize, Pfn, PhysAddr, Rights, TableMemory,
    Translation, VirtAddr, Vpn, WalkObserver,
};
use core::fmt;

/// There is no place for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no place for the entry")
    }
}

impl core::error::Error for Full {}

/// An entry, as [`HashedTable::audit`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The space.
    pub asid: Asid,
    /// The page.
    pub vpn: Vpn,
    /// What it is mapped to.
    pub leaf: Leaf,
}

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The word.
    pub at: PhysAddr,
    /// What it should be.
    pub why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table's word at {}: {}", self.at, self.why)
    }
}

impl core::error::Error for Broken {}

/// A page table that is one for the whole machine.
///
/// `root` is what the hardware's base register holds ([`HashedTable::root`]). Software's half
/// (`find` to `make_room`) reads and writes the same bits as the hardware's walk; it takes what lies
/// outside memory for absent, or full.
pub trait HashedTable {
    /// The base page, which all pages are.
    fn base_page(&self) -> PageSize;

    /// The width of a virtual address in bits.
    fn va_bits(&self) -> u8;

    /// Frames that entries can name: numbers below this one.
    fn frames_max(&self) -> u64;

    /// The table's size in bytes.
    fn table_bytes(&self) -> u64;

    /// What the table's address must be a multiple of: a power of two.
    fn table_align(&self) -> u64;

    /// The base register of a table at `base`.
    fn root(&self, base: PhysAddr) -> PhysAddr;

    /// The hardware's look-up of `va` for `access` in the space of `asid`.
    ///
    /// # Errors
    /// The fault that the processor raises.
    fn walk_observed<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault>;

    /// Whether a page with `rights` allows `access`.
    ///
    /// # Errors
    /// The cause, if not.
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause>;

    /// The exception that the architecture raises for `cause`.
    fn arch_fault(&self, cause: FaultCause, access: Access) -> ArchFault;

    /// The rights that an entry has that was asked to have `rights`: what the table cannot
    /// withhold is granted.
    fn granted(&self, rights: Rights) -> Rights;

    /// Makes the table empty.
    fn initialise<M: TableMemory + ?Sized>(&self, memory: &mut M, root: PhysAddr);

    /// What the page is mapped to.
    fn find<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf>;

    /// Enters a page that is not in the table.
    ///
    /// # Errors
    /// If there is no place for it; the table is as it was.
    fn insert<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        leaf: Leaf,
    ) -> Result<(), Full>;

    /// Changes rights and bits of an entry, not its frame. Returns what it was, or `None` if the
    /// page is not in the table.
    fn update<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        change: impl FnOnce(&mut Leaf),
    ) -> Option<Leaf>;

    /// Takes an entry out, and returns what it was.
    fn remove<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf>;

    /// Takes out one entry that stands in the way of a mapping of the page to frame `pfn`, and
    /// returns it. `turn` chooses among several: a caller who counts on meets them all. After one
    /// or a few calls, [`HashedTable::insert`] finds a place; `None` if nothing stands in the way.
    fn make_room<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        pfn: Pfn,
        turn: u64,
    ) -> Option<Mapped>;

    /// Shows every entry, and checks that each is where its hash leads, once.
    ///
    /// # Errors
    /// The first word that is wrong.
    fn audit<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        visit: &mut dyn FnMut(Mapped),
    ) -> Result<(), Broken>;
}
