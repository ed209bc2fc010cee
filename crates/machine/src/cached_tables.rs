//! RAM as walks see it on a machine with caches.

use std::cell::RefCell;

use pagewalk_mmu::cache::{Caches, LineAccess, Requester};
use pagewalk_mmu::{EntryWidth, OutOfMemory, PhysAddr, TableMemory};

use crate::ram::Ram;

/// RAM behind the caches: every entry that a walk reads or writes goes through them.
pub struct CachedTables<'a> {
    ram: &'a mut Ram,
    caches: RefCell<&'a mut Caches>,
}

impl<'a> CachedTables<'a> {
    /// RAM behind `caches`.
    pub fn new(ram: &'a mut Ram, caches: &'a mut Caches) -> Self {
        Self { ram, caches: RefCell::new(caches) }
    }
}

impl TableMemory for CachedTables<'_> {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let raw = self.ram.read_entry(at, width)?;
        self.caches.borrow_mut().refer(at, width.bytes(), LineAccess::Read, Requester::Walk);
        Ok(raw)
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        self.ram.write_entry(at, width, value)?;
        self.caches.get_mut().refer(at, width.bytes(), LineAccess::Write, Requester::Walk);
        Ok(())
    }
}
