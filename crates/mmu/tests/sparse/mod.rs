//! Physical memory that exists where it is used, and page tables built in it.

use pagewalk_mmu::radix::{Entry, Format, Radix};
use pagewalk_mmu::{EntryWidth, Level, OutOfMemory, PhysAddr, TableMemory, VirtAddr};
use std::collections::BTreeMap;

/// Zero wherever nothing was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse(BTreeMap<u64, u64>);

impl TableMemory for Sparse {
    fn read_entry(&self, at: PhysAddr, _: EntryWidth) -> Result<u64, OutOfMemory> {
        Ok(self.0.get(&at.0).copied().unwrap_or(0))
    }

    fn write_entry(&mut self, at: PhysAddr, _: EntryWidth, value: u64) -> Result<(), OutOfMemory> {
        self.0.insert(at.0, value);
        Ok(())
    }
}

/// Page tables under construction.
pub struct Builder {
    pub format: Format,
    pub memory: Sparse,
    next_table: u64,
}

impl Builder {
    /// Tables from 1 MiB on.
    pub fn new(format: Format) -> Self {
        Self { format, memory: Sparse::default(), next_table: 1 << 20 }
    }

    /// An empty table.
    pub fn table(&mut self) -> PhysAddr {
        let table = PhysAddr(self.next_table);
        self.next_table += 1 << 16;
        table
    }

    /// Where the entry of `level` that maps `va` lies, tables down to there being made. `None` if
    /// a large page is in the way.
    pub fn entry(&mut self, root: PhysAddr, va: VirtAddr, level: Level) -> Option<PhysAddr> {
        let geometry = *self.format.geometry();
        let mut table = root;
        let mut at = geometry.top();
        loop {
            let address = PhysAddr(table.0 + geometry.level(at).index(va) * geometry.entry.bytes());
            if at == level {
                return Some(address);
            }
            let raw = self.memory.read_entry(address, geometry.entry).ok()?;
            table = match self.format.decode(at, raw) {
                Entry::NotPresent => {
                    let next = self.table();
                    self.put(address, self.format.encode_table(at, next));
                    next
                }
                Entry::Table { next, .. } => next,
                Entry::Leaf(_) | Entry::Invalid(_) => return None,
            };
            at = Level(at.0 - 1);
        }
    }

    /// Writes an entry.
    pub fn put(&mut self, at: PhysAddr, raw: u64) {
        let width = self.format.geometry().entry;
        self.memory.write_entry(at, width, raw).expect("sparse memory is everywhere");
    }
}
