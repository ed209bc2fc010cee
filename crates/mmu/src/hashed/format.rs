//! Any hashed page table, chosen at run time.

use super::{Broken, Full, Hashed, HashedTable, Inverted, Mapped, Ppc};
use crate::radix::Leaf;
use crate::{
    Access, ArchFault, Asid, Fault, FaultCause, PageSize, Pfn, PhysAddr, Rights, TableMemory,
    Translation, VirtAddr, Vpn, WalkObserver,
};

/// A page table that is one for the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One entry for each frame.
    Inverted(Inverted),
    /// Entries with frame numbers.
    Hashed(Hashed),
    /// The 32-bit PowerPC.
    Ppc(Ppc),
}

/// Runs `$body` with `$table` bound to the concrete table.
macro_rules! each {
    ($self:expr, $table:ident => $body:expr) => {
        match $self {
            Format::Inverted($table) => $body,
            Format::Hashed($table) => $body,
            Format::Ppc($table) => $body,
        }
    };
}

impl Format {
    /// The names of all.
    pub const NAMES: &'static [&'static str] = &["inverted", "hashed", "ppc"];

    /// The table called `name`, one of [`Format::NAMES`], for `frames` frames of RAM.
    pub fn by_name(name: &str, frames: u64) -> Option<Self> {
        Some(match name {
            "inverted" => Self::Inverted(Inverted::new(frames)),
            "hashed" => Self::Hashed(Hashed::new(frames)),
            "ppc" => Self::Ppc(Ppc::new(frames)),
            _ => return None,
        })
    }

    /// The name, one of [`Format::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inverted(_) => "inverted",
            Self::Hashed(_) => "hashed",
            Self::Ppc(_) => "ppc",
        }
    }
}

impl HashedTable for Format {
    #[inline]
    fn base_page(&self) -> PageSize {
        each!(self, table => table.base_page())
    }

    fn va_bits(&self) -> u8 {
        each!(self, table => table.va_bits())
    }

    fn frames_max(&self) -> u64 {
        each!(self, table => table.frames_max())
    }

    fn table_bytes(&self) -> u64 {
        each!(self, table => table.table_bytes())
    }

    fn table_align(&self) -> u64 {
        each!(self, table => table.table_align())
    }

    fn root(&self, base: PhysAddr) -> PhysAddr {
        each!(self, table => table.root(base))
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
        each!(self, table => table.walk_observed(memory, root, asid, va, access, observer))
    }

    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        each!(self, table => table.permit(rights, access))
    }

    fn arch_fault(&self, cause: FaultCause, access: Access) -> ArchFault {
        each!(self, table => table.arch_fault(cause, access))
    }

    fn granted(&self, rights: Rights) -> Rights {
        each!(self, table => table.granted(rights))
    }

    fn initialise<M: TableMemory + ?Sized>(&self, memory: &mut M, root: PhysAddr) {
        each!(self, table => table.initialise(memory, root));
    }

    fn find<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        each!(self, table => table.find(memory, root, asid, vpn))
    }

    fn insert<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        leaf: Leaf,
    ) -> Result<(), Full> {
        each!(self, table => table.insert(memory, root, asid, vpn, leaf))
    }

    fn update<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        change: impl FnOnce(&mut Leaf),
    ) -> Option<Leaf> {
        each!(self, table => table.update(memory, root, asid, vpn, change))
    }

    fn remove<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        each!(self, table => table.remove(memory, root, asid, vpn))
    }

    fn make_room<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        pfn: Pfn,
        turn: u64,
    ) -> Option<Mapped> {
        each!(self, table => table.make_room(memory, root, asid, vpn, pfn, turn))
    }

    fn audit<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        visit: &mut dyn FnMut(Mapped),
    ) -> Result<(), Broken> {
        each!(self, table => table.audit(memory, root, visit))
    }
}
