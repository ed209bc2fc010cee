//! What a translation costs: a first-level hit, a second-level hit, a walk.
//!
//! `cargo bench -p pagewalk-mmu --bench tlb`

#[path = "../tests/sparse/mod.rs"]
mod sparse;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagewalk_mmu::radix::{Format, Leaf, Radix};
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{
    Access, AccessKind, Asid, EntryWidth, Level, Mmu, OutOfMemory, Pfn, PhysAddr, Rights,
    TableMemory, Tables, VirtAddr,
};
use sparse::Builder;
use std::hint::black_box;

/// Physical memory as a slice.
struct Flat(Vec<u64>);

impl TableMemory for Flat {
    #[inline]
    fn read_entry(&self, at: PhysAddr, _: EntryWidth) -> Result<u64, OutOfMemory> {
        self.0.get(at.0 as usize / 8).copied().ok_or(OutOfMemory(at))
    }

    #[inline]
    fn write_entry(&mut self, at: PhysAddr, _: EntryWidth, value: u64) -> Result<(), OutOfMemory> {
        *self.0.get_mut(at.0 as usize / 8).ok_or(OutOfMemory(at))? = value;
        Ok(())
    }
}

/// An MMU over `pages` base pages from address 0 on, and its memory.
fn setup(format: &str, tlb: Option<&str>, pages: u64) -> (Mmu, Flat) {
    let format = Format::by_name(format).expect("a format's name");
    let mut builder = Builder::new(format);
    let root = builder.table();
    for n in 0..pages {
        let at = builder.entry(root, VirtAddr(n << 12), Level(0)).expect("base pages only");
        let leaf = Leaf {
            pfn: Pfn(n),
            rights: Rights::all(),
            global: false,
            accessed: true,
            dirty: true,
            cache_disable: false,
            write_through: false,
        };
        builder.put(at, format.encode_leaf(Level(0), leaf));
    }
    let words = (0..1 << 18).map(|word| {
        builder.memory.read_entry(PhysAddr(word * 8), EntryWidth::Eight).expect("memory everywhere")
    });
    let memory = Flat(words.collect());
    let tlb = tlb.map(|text| TlbConfig::parse(text).expect("a good description"));
    let mut mmu = Mmu::new(Tables::Radix(format), tlb);
    mmu.load_root(Asid(1), root, &memory).expect("a good root");
    (mmu, memory)
}

/// Loads from `pages` pages (a power of two), one after the other, over and over.
fn bench(c: &mut Criterion, name: &str, format: &str, tlb: Option<&str>, pages: u64) {
    const ROUND: u64 = 1024;
    let (mut mmu, mut memory) = setup(format, tlb, pages);
    let mut now = 0;
    let mut group = c.benchmark_group("translate");
    group.throughput(Throughput::Elements(ROUND));
    group.bench_function(name, |b| {
        b.iter(|| {
            for _ in 0..ROUND {
                now += 1;
                let va = VirtAddr((now & (pages - 1)) << 12 | 8);
                let access = Access::user(AccessKind::Read);
                let hit = mmu.translate(&mut memory, black_box(va), access, now);
                black_box(hit.expect("all pages are mapped").pa);
            }
        });
    });
    group.finish();
}

fn translate(c: &mut Criterion) {
    let core = "l1i=16x4,l1d=16x4,l2=128x12";
    bench(c, "L1 hit, x86-64, 16x4", "x86-64", Some(core), 32);
    bench(c, "L1 hit, sv39, 16x4", "sv39", Some(core), 32);
    bench(c, "L1 hit, x86-64, 1x64", "x86-64", Some("64"), 32);
    bench(c, "L2 hit, x86-64, 128x12", "x86-64", Some(core), 512);
    bench(c, "miss, walk and fill, x86-64, 16x4 over 128x12", "x86-64", Some(core), 4096);
    bench(c, "walk without a TLB, x86-64", "x86-64", None, 4096);
    bench(c, "walk without a TLB, sv39", "sv39", None, 4096);
}

criterion_group!(benches, translate);
criterion_main!(benches);
