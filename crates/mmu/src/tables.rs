//! The page tables of a machine, of whatever kind: what a TLB miss asks.

use crate::hashed::{self, HashedTable};
use crate::radix::{Format, Radix, Root, WalkStart};
use crate::{
    Access, Asid, Fault, FaultCause, PageSize, PhysAddr, Rights, TableMemory, Translation,
    VirtAddr, WalkObserver,
};

/// Page tables that hardware walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// A tree for each address space.
    Radix(Format),
    /// One table for all address spaces.
    Hashed(hashed::Format),
}

impl Tables {
    /// The base page.
    #[inline]
    pub fn base_page(&self) -> PageSize {
        match self {
            Self::Radix(format) => format.geometry().base_page(),
            Self::Hashed(table) => table.base_page(),
        }
    }

    /// The width of a virtual address in bits.
    pub fn va_bits(&self) -> u8 {
        match self {
            Self::Radix(format) => format.geometry().va_bits,
            Self::Hashed(table) => table.va_bits(),
        }
    }

    /// The levels of a tree.
    pub fn levels(&self) -> u8 {
        match self {
            Self::Radix(format) => format.geometry().levels.len() as u8,
            Self::Hashed(_) => 1,
        }
    }

    /// The name, as [`Tables::by_name`] takes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Radix(format) => format.name(),
            Self::Hashed(table) => table.name(),
        }
    }

    /// The tables called `name`, under their default controls, for `frames` frames of RAM: a hashed
    /// table's size depends on them.
    pub fn by_name(name: &str, frames: u64) -> Option<Self> {
        let radix = Format::by_name(name).map(Self::Radix);
        radix.or_else(|| hashed::Format::by_name(name, frames).map(Self::Hashed))
    }

    /// Loads the root as the processor does when its base register is written.
    ///
    /// # Errors
    /// The cause, if the root itself is malformed or lies outside memory.
    pub fn load_root<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        match self {
            Self::Radix(format) => format.load_root(memory, table),
            Self::Hashed(_) => Ok(Root { table, upper: None, registers: None }),
        }
    }

    /// Looks `va` up for `access` in the space of `asid`, setting referenced and modified bits as
    /// the hardware does.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    pub fn walk_observed<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: &Root,
        asid: Asid,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        self.walk_from(memory, root, asid, None, va, access, observer)
    }

    /// [`Tables::walk_observed`], from the table `start` on if there is one; only trees have such.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "a walk and where it starts")]
    pub(crate) fn walk_from<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: &Root,
        asid: Asid,
        start: Option<WalkStart>,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        match self {
            Self::Radix(format) => format.walk_from(memory, root, start, va, access, observer),
            Self::Hashed(hashed) => {
                hashed.walk_observed(memory, root.table, asid, va, access, observer)
            }
        }
    }

    /// Whether a page with `rights` allows `access`, under the control bits in force.
    ///
    /// # Errors
    /// The cause, if not.
    #[inline]
    pub fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        match self {
            Self::Radix(format) => format.permit(rights, access),
            Self::Hashed(table) => table.permit(rights, access),
        }
    }

    /// How many references every successful walk to a base page reads; `None` if that varies.
    pub fn reads_per_walk(&self, root: &Root) -> Option<u64> {
        match self {
            Self::Radix(format) => {
                let levels = format.geometry().levels.len() as u64;
                Some(levels - u64::from(root.registers.is_some()))
            }
            Self::Hashed(_) => None,
        }
    }
}
