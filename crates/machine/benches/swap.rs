//! The host's time for swapping, through the kernel: a page goes out and another comes in at every
//! fault, to a file in the host's page cache, to memory, and to zswap.
//! `cargo bench -p pagewalk-machine --bench swap`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagewalk_kernel::{
    AnyPmap, Config, Event, FaultResult, FileId, Flush, IoError, Kernel, Layout, MapRequest,
    Platform, Prot, SpaceId, SwapSlot,
};
use pagewalk_machine::{
    Compressor, CostModel, Hardware, Ram, SwapConfig, SwapDevices, SwapStore, ZswapConfig,
};
use pagewalk_mmu::{
    AccessKind, Asid, EntryWidth, OutOfMemory, PageSize, Pfn, PhysAddr, TableMemory, VirtAddr,
};
use std::cell::{LazyCell, RefCell};
use std::ops::Range;

const PAGE: u64 = 4096;
const FRAMES: u64 = 4096;
/// Twice what fits: each page is out when its turn comes.
const PAGES: u64 = 2 * FRAMES;

/// A machine's memory and swap devices, without a processor.
struct Bench {
    ram: Ram,
    swap: SwapDevices,
}

impl TableMemory for Bench {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        self.ram.read_entry(at, width)
    }

    fn write_entry(&mut self, at: PhysAddr, width: EntryWidth, v: u64) -> Result<(), OutOfMemory> {
        self.ram.write_entry(at, width, v)
    }
}

impl Platform for Bench {
    fn frame(&self, pfn: Pfn) -> &[u8] {
        self.ram.frame(pfn)
    }

    fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        self.ram.frame_mut(pfn)
    }

    fn copy_frame(&mut self, from: Pfn, to: Pfn) {
        self.ram.copy_frame(from, to);
    }

    fn zero_frame(&mut self, pfn: Pfn) {
        self.ram.frame_mut(pfn).fill(0);
    }

    fn flush(&mut self, _what: Flush) {}

    fn load_root(&mut self, _asid: Asid, _table: PhysAddr) {}

    fn file_read(&mut self, _file: FileId, _at: u64, _into: Pfn) -> Result<usize, IoError> {
        Err(IoError::Io)
    }

    fn file_write(&mut self, _: FileId, _: u64, _: Pfn, _: usize) -> Result<(), IoError> {
        Err(IoError::Io)
    }

    fn file_punch(&mut self, _file: FileId, _range: Range<u64>) -> Result<(), IoError> {
        Err(IoError::Io)
    }

    fn swap_read(&mut self, slot: SwapSlot, into: Pfn) -> Result<(), IoError> {
        let _busy = self.swap.service_ns(slot, false);
        self.swap.read(slot, self.ram.frame_mut(into))
    }

    fn swap_write(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError> {
        let _busy = self.swap.service_ns(slot, true);
        self.swap.write(slot, self.ram.frame(from))
    }

    fn event(&mut self, _event: Event<'_>) {}
}

struct Machine {
    kernel: Kernel<AnyPmap>,
    bench: Bench,
    space: SpaceId,
    at: u64,
}

impl Machine {
    fn new(swap: SwapDevices, read_ahead: u32) -> Self {
        let page = PageSize::from_shift(12);
        let hardware = Hardware::by_name("sv39", FRAMES * PAGE).expect("a known MMU");
        let tables = *hardware.tables().expect("page tables");
        let swap_slots = swap.slots();
        let config = Config { frames: FRAMES, swap_slots, read_ahead, ..Config::default() };
        let mut kernel = Kernel::new(tables, config).expect("enough memory");
        let mut bench = Bench { ram: Ram::new(FRAMES, page), swap };
        let layout = Layout {
            user_start: VirtAddr(0x1_0000),
            user_end: VirtAddr(0x8000_0000),
            mmap_base: VirtAddr(0x7000_0000),
            stack_top: VirtAddr(0x7fff_f000),
            stack_limit: 8 << 20,
        };
        let space = kernel.create_space(&mut bench, layout).expect("enough memory");
        let request = MapRequest::anonymous(PAGES * PAGE, Prot::READ | Prot::WRITE);
        let at = kernel.mmap(&mut bench, space, request).expect("a place").0;
        let mut machine = Self { kernel, bench, space, at };
        machine.pass();
        machine
    }

    /// One of which every pass moves nearly all pages out and in.
    fn swapping(name: &str, swap: SwapDevices, read_ahead: u32) -> Self {
        let mut machine = Self::new(swap, read_ahead);
        let before = *machine.kernel.counters();
        machine.pass();
        let after = machine.kernel.counters();
        let moved = (after.pswpin - before.pswpin).min(after.pswpout - before.pswpout);
        assert!(moved > PAGES * 9 / 10, "{name}: only {moved} of {PAGES} pages moved");
        machine
    }

    /// Stores to all pages, one after the other.
    fn pass(&mut self) {
        for n in 0..PAGES {
            let va = VirtAddr(self.at + n * PAGE);
            let result = self.kernel.fault(&mut self.bench, self.space, va, AccessKind::Write);
            assert!(matches!(result, FaultResult::Resolved { .. }), "{result:?}");
            if let pagewalk_kernel::Mapping::Resident(now) =
                self.kernel.lookup(&self.bench, self.space, va)
            {
                // Text-like, so that it can be compressed.
                let bytes = self.bench.ram.frame_mut(now.pfn);
                for (at, part) in bytes.chunks_exact_mut(64).enumerate() {
                    part[at % 60..][..4].copy_from_slice(&(n as u32 + at as u32).to_le_bytes());
                }
            }
            self.kernel.daemon(&mut self.bench);
        }
    }
}

fn devices(store: SwapStore) -> SwapDevices {
    let config = SwapConfig { store, ..SwapConfig::temporary(2 * PAGES * PAGE) };
    let page = PageSize::from_shift(12);
    SwapDevices::open(&[config], page, &CostModel::default()).expect("a swap device")
}

fn swapping(c: &mut Criterion) {
    let mut group = c.benchmark_group("out and in");
    group.throughput(Throughput::Elements(PAGES));
    let zswap = |compressor| {
        let config = ZswapConfig { bytes: PAGES * PAGE, compressor };
        devices(SwapStore::Temporary).with_zswap(config, &CostModel::default())
    };
    let cases: [(&str, &dyn Fn() -> SwapDevices, u32); 5] = [
        ("file", &|| devices(SwapStore::Temporary), 0),
        ("file, read-ahead 8", &|| devices(SwapStore::Temporary), 8),
        ("memory", &|| devices(SwapStore::Ram), 0),
        ("zswap lz4", &|| zswap(Compressor::Lz4), 0),
        ("zswap zstd", &|| zswap(Compressor::Zstd), 0),
    ];
    for (name, open, read_ahead) in cases {
        // Made only if the case is asked for.
        let machine = LazyCell::new(|| RefCell::new(Machine::swapping(name, open(), read_ahead)));
        group.bench_function(name, |b| b.iter(|| machine.borrow_mut().pass()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = swapping
}
criterion_main!(benches);
