//! Physical memory for explanations: what was described, and nothing else.

use std::collections::BTreeMap;

use pagewalk_mmu::{EntryWidth, OutOfMemory, PhysAddr, TableMemory};

/// The unit in which memory is kept.
const BLOCK: u64 = 4096;

/// Memory that is zero where nothing was put, up to its size.
#[derive(Clone, Debug)]
pub struct SparseMemory {
    blocks: BTreeMap<u64, Box<[u8]>>,
    bytes: u64,
}

impl SparseMemory {
    /// Memory of `bytes` bytes, all zero.
    pub const fn new(bytes: u64) -> Self {
        Self { blocks: BTreeMap::new(), bytes }
    }

    /// The size in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts an image in at `at`.
    ///
    /// # Errors
    /// If it reaches beyond the end of memory.
    pub fn put(&mut self, at: PhysAddr, image: &[u8]) -> Result<(), OutOfMemory> {
        let end = at.0.checked_add(image.len() as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(OutOfMemory(at));
        }
        for (offset, &byte) in (at.0..).zip(image) {
            if byte != 0 || self.blocks.contains_key(&(offset / BLOCK)) {
                *self.byte_mut(offset) = byte;
            }
        }
        Ok(())
    }

    fn byte_mut(&mut self, at: u64) -> &mut u8 {
        let block = self.blocks.entry(at / BLOCK).or_insert_with(|| vec![0; BLOCK as usize].into());
        &mut block[(at % BLOCK) as usize]
    }

    fn check(&self, at: PhysAddr, width: EntryWidth) -> Result<(), OutOfMemory> {
        match at.0.checked_add(width.bytes()) {
            Some(end) if end <= self.bytes => Ok(()),
            _ => Err(OutOfMemory(at)),
        }
    }
}

impl TableMemory for SparseMemory {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        self.check(at, width)?;
        let byte = |at: u64| {
            self.blocks.get(&(at / BLOCK)).map_or(0, |block| block[(at % BLOCK) as usize])
        };
        let bytes = (0..width.bytes()).rev().map(|n| byte(at.0 + n));
        Ok(bytes.fold(0, |raw, byte| raw << 8 | u64::from(byte)))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        self.check(at, width)?;
        for n in 0..width.bytes() {
            *self.byte_mut(at.0 + n) = (value >> (8 * n)) as u8;
        }
        Ok(())
    }
}

/// Memory over other memory: writes stay here.
pub struct Overlay<'a, M: ?Sized> {
    below: &'a M,
    written: BTreeMap<u64, u64>,
}

impl<'a, M: TableMemory + ?Sized> Overlay<'a, M> {
    /// Memory that reads as `below` does.
    pub const fn new(below: &'a M) -> Self {
        Self { below, written: BTreeMap::new() }
    }
}

impl<M: TableMemory + ?Sized> TableMemory for Overlay<'_, M> {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        match self.written.get(&at.0) {
            Some(&value) => Ok(value),
            None => self.below.read_entry(at, width),
        }
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        self.below.read_entry(at, width)?;
        self.written.insert(at.0, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_ends_where_it_ends() {
        let mut memory = SparseMemory::new(0x1008);
        memory.write_entry(PhysAddr(0x1000), EntryWidth::Eight, 0x1122_3344_5566_7788).unwrap();
        assert_eq!(memory.read_entry(PhysAddr(0x1004), EntryWidth::Four), Ok(0x1122_3344));
        assert_eq!(memory.read_entry(PhysAddr(0x10), EntryWidth::Eight), Ok(0));
        assert!(memory.read_entry(PhysAddr(0x1008), EntryWidth::Four).is_err());
        assert!(memory.read_entry(PhysAddr(u64::MAX - 3), EntryWidth::Eight).is_err());
        assert!(memory.put(PhysAddr(0x1007), &[1, 2]).is_err());
    }
}
