//! Radix page tables: what a format says, and the one walker over all of them.
//!
//! ```text
//!   level 2        level 1        level 0
//!   ┌───────┐      ┌───────┐      ┌───────┐
//!   │ table ├─────►│ table ├─────►│ leaf  ├─────► base page
//!   │ leaf  ├──┐   │ absent│      │ absent│
//!   └───────┘  └─► large page     └───────┘
//!   root           next           next
//! ```
//!
//! Invariants:
//! 1. The walker knows no bit of any format; a format never touches memory.
//! 2. A walk reads one entry per level, top down, and stops at the first that is not a table.
//! 3. Accessed and dirty bits are written only after the whole walk has been allowed.

mod aarch64;
mod format;
mod ia32;
mod linear;
mod pae;
mod r3000;
mod riscv;
mod walk;
mod x86;
mod x86_64;

pub use aarch64::{Aarch64, Aarch64Controls, Granule};
pub use format::Format;
pub use ia32::Ia32;
pub use linear::Linear;
pub use pae::Pae;
pub use r3000::R3000;
pub use riscv::{AdUpdate, RiscV, RiscVControls, Scheme};
pub use walk::{Descent, WalkStart, walk, walk_from, walk_observed};
pub use x86::X86Controls;
pub use x86_64::X86_64;

use crate::{
    Access, ArchFault, EntryWidth, FaultCause, Level, OutOfMemory, PageSize, Pfn, PhysAddr, Rights,
    TableMemory, VirtAddr,
};

/// Where one level's index lies in the virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelShape {
    /// The index's lowest bit; also the binary logarithm of what one entry of this level maps.
    pub shift: u8,
    /// The index's width in bits; the table has 2^`bits` entries.
    pub bits: u8,
    /// Whether an entry of this level can be a leaf.
    pub leaf: bool,
}

impl LevelShape {
    /// The index that `va` selects at this level.
    #[inline]
    pub const fn index(self, va: VirtAddr) -> u64 {
        (va.0 >> self.shift) & ((1 << self.bits) - 1)
    }

    /// The page that a leaf of this level maps.
    #[inline]
    pub const fn page(self) -> PageSize {
        PageSize::from_shift(self.shift)
    }
}

/// The shape of a format's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The levels, lowest (base pages) first.
    pub levels: &'static [LevelShape],
    /// The width of an entry.
    pub entry: EntryWidth,
    /// Width of a virtual address in bits.
    pub va_bits: u8,
    /// Width of a physical address in bits that the entries can hold.
    pub pa_bits: u8,
}

impl Geometry {
    /// The base page.
    #[inline]
    pub const fn base_page(&self) -> PageSize {
        self.levels[0].page()
    }

    /// The top level, at which a walk starts.
    #[inline]
    pub const fn top(&self) -> Level {
        Level(self.levels.len() as u8 - 1)
    }

    /// The shape of `level`.
    #[inline]
    pub const fn level(&self, level: Level) -> LevelShape {
        self.levels[level.0 as usize]
    }

    /// The size of a table of `level` in bytes.
    pub const fn table_bytes(&self, level: Level) -> u64 {
        self.entry.bytes() << self.level(level).bits
    }
}

/// The root of a tree, as the processor holds it (CR3, satp). Made by [`Radix::load_root`], which
/// aligns the table's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The top table.
    pub table: PhysAddr,
    /// The top table of the upper half, where a format has a base register of its own for it
    /// (AArch64 TTBR1_EL1) and that is in use; `None` elsewhere.
    pub upper: Option<PhysAddr>,
    /// The top table's entries where the processor reads them once, when the root is loaded (the
    /// PDPTE registers of PAE paging: Intel SDM vol. 3A, 4.4.1); `None` elsewhere.
    pub registers: Option<[u64; 4]>,
}

/// A page-table entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not valid; the other bits are software's.
    NotPresent,
    /// Points to a table of the next lower level.
    Table {
        /// The next table.
        next: PhysAddr,
        /// What this level allows to everything below it (all rights where the format has no
        /// permissions in tables).
        rights: Rights,
    },
    /// Maps a page.
    Leaf(Leaf),
    /// Valid, but malformed.
    Invalid(FaultCause),
}

/// A leaf entry, decoded: also what software asks to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The first base frame of the page.
    pub pfn: Pfn,
    /// What this entry allows.
    pub rights: Rights,
    /// Valid in every address space.
    pub global: bool,
    /// The referenced (accessed) bit.
    pub accessed: bool,
    /// The modified (dirty) bit.
    pub dirty: bool,
    /// Bypass the cache (x86 PCD). Formats without the bit ignore it.
    pub cache_disable: bool,
    /// Write through the cache (x86 PWT). Formats without the bit ignore it.
    pub write_through: bool,
}

/// What the accessed and dirty bits of an entry need before the access may proceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nothing: they are set.
    Nothing,
    /// The hardware writes this value to the entry.
    Write(u64),
    /// Software must set them.
    Fault(FaultCause),
}

/// A radix page-table format.
pub trait Radix {
    /// The shape of the tree.
    fn geometry(&self) -> &Geometry;

    /// Loads the root as the processor does when the base register is written.
    ///
    /// # Errors
    /// The cause, if the root itself is malformed (PAE: reserved bits in a PDPTE) or lies outside
    /// memory.
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        let _ = memory;
        Ok(Root { table, upper: None, registers: None })
    }

    /// Checks the address before any table is read (canonical form, width).
    ///
    /// # Errors
    /// The cause, if the format has no such address.
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause>;

    /// The table that the walk of `va`, which was checked, starts at.
    ///
    /// # Errors
    /// The cause, if there is none for the half of the space that `va` is in.
    fn top_table(&self, root: &Root, va: VirtAddr) -> Result<PhysAddr, FaultCause> {
        let _ = va;
        Ok(root.table)
    }

    /// Decodes an entry of `level`, with all checks that concern the entry alone.
    fn decode(&self, level: Level, raw: u64) -> Entry;

    /// The page that a leaf of `level` tells the TLB to be part of: a run of entries that maps
    /// frames in a row (AArch64's contiguous bit). `None` if it stands for itself.
    fn contiguous(&self, level: Level, raw: u64) -> Option<PageSize> {
        let _ = (level, raw);
        None
    }

    /// Refuses a leaf whose accessed bit software must set, where that goes before the check of
    /// rights (AArch64); elsewhere [`Radix::touch`] says so after it.
    ///
    /// # Errors
    /// [`FaultCause::AccessedClear`].
    fn check_accessed(&self, leaf: &Leaf) -> Result<(), FaultCause> {
        let _ = leaf;
        Ok(())
    }

    /// Whether a page with `rights` (all levels together) allows `access`, under the control bits
    /// in force.
    ///
    /// # Errors
    /// The cause, if not.
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause>;

    /// Whether a valid table entry makes everything below it global (RISC-V).
    fn table_global(&self, raw: u64) -> bool {
        let _ = raw;
        false
    }

    /// Whether an entry of `level` that is, or is not, a leaf has an accessed bit at all: only
    /// then the walker asks [`Radix::touch`].
    fn has_accessed_bit(&self, level: Level, is_leaf: bool) -> bool {
        let _ = (level, is_leaf);
        true
    }

    /// What the accessed and dirty bits of an entry on the way of an allowed access need.
    fn touch(&self, raw: u64, is_leaf: bool, access: Access) -> Touch;

    /// The exception that the architecture raises for `cause`, found out at `level` (`None`:
    /// before an entry was read).
    fn arch_fault(&self, level: Option<Level>, cause: FaultCause, access: Access) -> ArchFault;

    /// Encodes a pointer to the table `next` for an entry of `level`, allowing everything below.
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64;

    /// Encodes a pointer to the table `next` as [`Radix::encode_table`] does, but for stores, which
    /// it forbids to everything below. `None` if the pointers have no rights, or none at this
    /// level.
    fn encode_table_read_only(&self, level: Level, next: PhysAddr) -> Option<u64> {
        let _ = (level, next);
        None
    }

    /// Encodes an entry of the top table that points to the top table itself, for the supervisor
    /// alone: then all tables of the tree are pages of the space that the entry spans. `None` if
    /// an entry that points to a table cannot be read as one that maps a page.
    fn encode_self_map(&self, root: PhysAddr) -> Option<u64> {
        let _ = root;
        None
    }

    /// Encodes a leaf of `level`. Rights that a format cannot withhold are granted: its
    /// implementation says which. The frame must be aligned to the page and fit the format
    /// (checked in debug builds).
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64;

    /// Goes down from the top table `table` as software does that looks for the entry of `va`:
    /// without an opinion on addresses and rights. An entry of level 0 is not read.
    ///
    /// # Errors
    /// If a table lies outside memory.
    #[inline]
    fn descend<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        table: PhysAddr,
        va: VirtAddr,
    ) -> Result<Descent, OutOfMemory> {
        walk::descend(self, memory, table, va)
    }

    /// The rights that the leaf was encoded with. The hardware may withhold some of them until
    /// software has noted an access: where it keeps no dirty bit, a clean page is read-only to it
    /// (AArch64 without FEAT_HAFDBS).
    fn granted(&self, leaf: &Leaf, raw: u64) -> Rights {
        let _ = raw;
        leaf.rights
    }

    /// The number of bits of an invalid entry that software may use.
    fn absent_bits(&self) -> u8;

    /// Encodes an invalid entry that carries `payload`; 0 is the empty entry.
    ///
    /// # Panics
    /// If `payload` has more than [`Radix::absent_bits`] bits.
    fn encode_absent(&self, payload: u64) -> u64;

    /// The payload of an invalid entry.
    fn decode_absent(&self, raw: u64) -> u64;
}
