//! A warm walk in each format: all entries in the host's cache, accessed and dirty bits set.
//!
//! `cargo bench -p pagewalk-mmu --bench walk`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use pagewalk_mmu::radix::{Format, Leaf, Radix};
use pagewalk_mmu::{
    Access, AccessKind, EntryWidth, Level, OutOfMemory, Pfn, PhysAddr, Rights, TableMemory,
    VirtAddr,
};
use std::hint::black_box;

struct Ram(Vec<u8>);

impl TableMemory for Ram {
    #[inline]
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let tail = self.0.get(at.0 as usize..).ok_or(OutOfMemory(at))?;
        match width {
            EntryWidth::Four => tail.first_chunk().map(|b| u32::from_le_bytes(*b).into()),
            EntryWidth::Eight => tail.first_chunk().map(|b| u64::from_le_bytes(*b)),
        }
        .ok_or(OutOfMemory(at))
    }

    #[inline]
    fn write_entry(&mut self, at: PhysAddr, width: EntryWidth, v: u64) -> Result<(), OutOfMemory> {
        let len = width.bytes() as usize;
        let start = at.0 as usize;
        let place = self.0.get_mut(start..start + len).ok_or(OutOfMemory(at))?;
        place.copy_from_slice(&v.to_le_bytes()[..len]);
        Ok(())
    }
}

fn warm(c: &mut Criterion) {
    let mut group = c.benchmark_group("walk/warm");
    for name in Format::NAMES {
        let format = Format::by_name(name).expect("a name in NAMES");
        let geometry = *format.geometry();
        let page = geometry.base_page();
        let mut ram = Ram(vec![0; 0x10_0000]);
        // One table per level, the lowest of them full.
        let top = geometry.top().0;
        for level in 1..=top {
            let at = PhysAddr(u64::from(top - level) * page.bytes());
            let pointer = format.encode_table(Level(level), PhysAddr(at.0 + page.bytes()));
            ram.write_entry(at, geometry.entry, pointer).expect("in memory");
        }
        let pages = 512;
        for index in 0..pages {
            let at = PhysAddr(u64::from(top) * page.bytes() + index * geometry.entry.bytes());
            let leaf = Leaf {
                pfn: Pfn(index),
                rights: Rights::all(),
                global: false,
                accessed: true,
                dirty: true,
                cache_disable: false,
                write_through: false,
            };
            let raw = format.encode_leaf(Level(0), leaf);
            ram.write_entry(at, geometry.entry, raw).expect("in memory");
        }
        let root = format.load_root(&ram, PhysAddr(0)).expect("a good root");
        let access = Access::user(AccessKind::Read);
        let mut va = 0;
        group.bench_function(*name, |b| {
            b.iter(|| {
                va = (va + 5 * page.bytes() + 8) % (pages * page.bytes());
                format.walk(&mut ram, &root, black_box(VirtAddr(va)), black_box(access))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, warm);
criterion_main!(benches);
