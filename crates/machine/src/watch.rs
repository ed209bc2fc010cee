//! Who is shown each page fault, before the kernel handles it and after.

use std::fmt;

use pagewalk_mmu::{Access, Mmu, VirtAddr};

use crate::ram::Ram;
use crate::segmentation::Segmentation;

/// A fault, and the machine at that moment.
#[derive(Clone, Copy, Debug)]
pub struct FaultView<'a> {
    /// How many instructions had been retired: this one has not.
    pub instructions: u64,
    /// The address of the instruction.
    pub pc: u64,
    /// The address that faulted.
    pub va: VirtAddr,
    /// The access that faulted.
    pub access: Access,
    /// What stands in front of the MMU, or in its place.
    pub segmentation: &'a Segmentation,
    /// The MMU; without a part on machines without pages.
    pub mmu: &'a Mmu,
    /// Physical memory.
    pub ram: &'a Ram,
}

/// Sees page faults.
pub trait FaultWatcher: Send {
    /// The hart has faulted.
    fn before(&mut self, fault: &FaultView<'_>);

    /// The kernel has handled it; `result` says how, in a few words.
    fn after(&mut self, fault: &FaultView<'_>, result: &str);
}

/// At most one watcher. A copy of a machine has none.
#[derive(Default)]
pub(crate) struct Watcher(pub Option<Box<dyn FaultWatcher>>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "no watcher" })
    }
}
