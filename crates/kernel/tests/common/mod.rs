//! A machine that is as plain as can be: RAM, files and swap are vectors, the TLB is a map that
//! never forgets unless it is flushed, and devices fail when they are told to.

#![allow(dead_code, reason = "every test file uses a part of it")]

use pagewalk_kernel::{
    Advice, AnyPmap, Attempt, Backing, CachedTranslation, Config, Event, FaultResult, FileId,
    Flush, IoError, Kernel, Layout, MapRequest, Msync, OOM_SCORE_ADJ_MIN, Placement, Platform,
    Pmap, Prot, Signal, SpaceId, Store, SwapSlot, TransferId, Waited,
};
use pagewalk_mmu::hashed::{self, Hashed};
use pagewalk_mmu::radix::{
    Aarch64, Aarch64Controls, AdUpdate, Format, RiscV, RiscVControls, Scheme,
};
use pagewalk_mmu::{
    Access, AccessKind, Asid, EntryWidth, OutOfMemory, Pfn, PhysAddr, TableMemory, Tables, VirtAddr,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// The base page: that of the formats under test, which the test's name says.
pub const PAGE: u64 = match env!("CARGO_CRATE_NAME").as_bytes() {
    [.., b'1', b'6', b'k'] => 16 << 10,
    [.., b'6', b'4', b'k'] => 64 << 10,
    _ => 4 << 10,
};
pub const RW: Prot = Prot::READ.union(Prot::WRITE);

pub const LAYOUT: Layout = Layout {
    user_start: VirtAddr(0x1_0000),
    user_end: VirtAddr(0x8000_0000),
    mmap_base: VirtAddr(0x7000_0000),
    stack_top: VirtAddr(0x8000_0000 - PAGE),
    stack_limit: 64 * PAGE,
};

/// The pages that the TLB holds, in base pages.
const SIZES: [u64; 5] = [1, 512, 1024, 2048, 8192];

/// When a device fails: the next `Some(error)` answers the next transfer.
pub type Faults = Box<dyn FnMut() -> Option<IoError>>;

#[derive(Clone, Copy, Debug)]
struct Cached {
    pfn: Pfn,
    writable: bool,
    dirty: bool,
}

pub struct Mock {
    pub tables: Tables,
    pub ram: Vec<u8>,
    pub files: Vec<Vec<u8>>,
    pub swap: BTreeMap<u32, Vec<u8>>,
    pub roots: BTreeMap<Asid, PhysAddr>,
    pub upper_root: Option<PhysAddr>,
    pub swap_read_fails: Faults,
    pub swap_write_fails: Faults,
    pub file_read_fails: Faults,
    pub file_write_fails: Faults,
    /// Transfers that were begun and are not done.
    pub pending: Vec<TransferId>,
    /// Another processor that stores here whenever a page is about to be written to swap, or was just
    /// copied, and how often its MMU let it.
    pub racer: Option<(Asid, VirtAddr)>,
    pub raced: u32,
    pub events: Vec<String>,
    /// Events are not kept.
    pub quiet: bool,
    /// Flushes have no effect.
    pub deaf: bool,
    /// By space, first base page and number of base pages.
    tlb: BTreeMap<(Asid, u64, u64), Cached>,
}

fn never() -> Faults {
    Box::new(|| None)
}

pub fn always(error: IoError) -> Faults {
    Box::new(move || Some(error))
}

/// Fails once in `one_in` transfers, in a fixed pattern.
pub fn sometimes(one_in: u64, mut seed: u64) -> Faults {
    Box::new(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = seed >> 33;
        let errors = [IoError::Io, IoError::Short, IoError::NoSpace];
        draw.is_multiple_of(one_in).then(|| errors[(draw / one_in % 3) as usize])
    })
}

impl Mock {
    pub fn new(tables: Tables, frames: u64) -> Self {
        Self {
            tables,
            ram: vec![0xa5; (frames * PAGE) as usize],
            files: Vec::new(),
            swap: BTreeMap::new(),
            roots: BTreeMap::new(),
            upper_root: None,
            swap_read_fails: never(),
            swap_write_fails: never(),
            file_read_fails: never(),
            file_write_fails: never(),
            pending: Vec::new(),
            racer: None,
            raced: 0,
            events: Vec::new(),
            quiet: false,
            deaf: false,
            tlb: BTreeMap::new(),
        }
    }

    pub fn heal(&mut self) {
        self.swap_read_fails = never();
        self.swap_write_fails = never();
        self.file_read_fails = never();
        self.file_write_fails = never();
    }

    fn bytes(pfn: Pfn) -> Range<usize> {
        (pfn.0 * PAGE) as usize..((pfn.0 + 1) * PAGE) as usize
    }

    /// The other processor stores, if its TLB or the page tables let it.
    fn race(&mut self) {
        let Some((asid, va)) = self.racer else { return };
        if let Some(pa) = self.translate(asid, va, AccessKind::Write) {
            self.raced += 1;
            self.ram[pa.0 as usize] ^= 0xff;
        }
    }

    /// One access of a program: the physical address, or `None` if the MMU faults.
    fn translate(&mut self, asid: Asid, va: VirtAddr, kind: AccessKind) -> Option<PhysAddr> {
        let page = va.0 / PAGE;
        for pages in SIZES {
            let key = (asid, page / pages * pages, pages);
            let Some(&cached) = self.tlb.get(&key) else { continue };
            let store = kind == AccessKind::Write;
            if !store || (cached.writable && cached.dirty) {
                return Some(PhysAddr(cached.pfn.0 * PAGE + va.0 % (pages * PAGE)));
            }
            self.tlb.remove(&key);
        }
        let tables = self.tables;
        let root = tables.load_root(self, self.roots[&asid]).expect("a loadable root");
        let found =
            tables.walk_observed(self, &root, asid, va, Access::user(kind), &mut ()).ok()?;
        let writable = found.rights.contains(pagewalk_mmu::Rights::WRITE);
        let pages = found.page.bytes() / PAGE;
        assert!(SIZES.contains(&pages), "a page of {pages} pages");
        let key = (asid, page / pages * pages, pages);
        self.tlb.insert(key, Cached { pfn: found.pfn, writable, dirty: found.dirty });
        Some(found.pa)
    }
}

impl TableMemory for Mock {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let from = at.0 as usize;
        let bytes = self.ram.get(from..from + width.bytes() as usize).ok_or(OutOfMemory(at))?;
        let mut raw = [0; 8];
        raw[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(raw))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let (from, len) = (at.0 as usize, width.bytes() as usize);
        let bytes = self.ram.get_mut(from..from + len).ok_or(OutOfMemory(at))?;
        bytes.copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
}

impl Platform for Mock {
    fn frame(&self, pfn: Pfn) -> &[u8] {
        &self.ram[Self::bytes(pfn)]
    }

    fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        &mut self.ram[Self::bytes(pfn)]
    }

    fn copy_frame(&mut self, from: Pfn, to: Pfn) {
        self.ram.copy_within(Self::bytes(from), Self::bytes(to).start);
        self.race();
    }

    fn zero_frame(&mut self, pfn: Pfn) {
        self.frame_mut(pfn).fill(0);
    }

    fn flush(&mut self, what: Flush) {
        if self.deaf {
            return;
        }
        self.tlb.retain(|&(asid, page, pages), _| match what {
            Flush::Page { asid: of, va } => {
                asid != of || !(page..page + pages).contains(&(va.0 / PAGE))
            }
            Flush::Space { asid: of } => asid != of,
            Flush::All => false,
        });
    }

    fn load_root(&mut self, asid: Asid, table: PhysAddr) {
        self.roots.insert(asid, table);
    }

    fn load_upper_root(&mut self, table: PhysAddr) {
        self.upper_root = Some(table);
    }

    fn file_read(&mut self, file: FileId, offset: u64, into: Pfn) -> Result<usize, IoError> {
        if let Some(error) = (self.file_read_fails)() {
            self.frame_mut(into).fill(0xee);
            return Err(error);
        }
        let bytes = self.files[file.0 as usize].clone();
        let from = (offset as usize).min(bytes.len());
        let len = (bytes.len() - from).min(PAGE as usize);
        let frame = self.frame_mut(into);
        frame.fill(0);
        frame[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn file_write(
        &mut self,
        file: FileId,
        offset: u64,
        from: Pfn,
        len: usize,
    ) -> Result<(), IoError> {
        let data = self.frame(from)[..len].to_vec();
        let error = (self.file_write_fails)();
        let written = if error.is_some() { len / 2 } else { len };
        let bytes = &mut self.files[file.0 as usize];
        let at = offset as usize;
        let end = (at + written).min(bytes.len());
        if at < end {
            bytes[at..end].copy_from_slice(&data[..end - at]);
        }
        error.map_or(Ok(()), Err)
    }

    fn file_punch(&mut self, file: FileId, range: Range<u64>) -> Result<(), IoError> {
        if let Some(error) = (self.file_write_fails)() {
            return Err(error);
        }
        let bytes = &mut self.files[file.0 as usize];
        let end = (range.end as usize).min(bytes.len());
        bytes[(range.start as usize).min(end)..end].fill(0);
        Ok(())
    }

    fn swap_read(&mut self, slot: SwapSlot, into: Pfn) -> Result<(), IoError> {
        if let Some(error) = (self.swap_read_fails)() {
            self.frame_mut(into).fill(0xee);
            return Err(error);
        }
        let bytes = self.swap.get(&slot.0).expect("a slot that was written").clone();
        self.frame_mut(into).copy_from_slice(&bytes);
        Ok(())
    }

    fn swap_write(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError> {
        let mut bytes = self.frame(from).to_vec();
        let error = (self.swap_write_fails)();
        if error.is_some() {
            bytes[PAGE as usize / 2..].fill(0xdd);
        }
        self.swap.insert(slot.0, bytes);
        self.race();
        error.map_or(Ok(()), Err)
    }

    fn submit(&mut self, id: TransferId, _store: Store, write: bool) {
        if write {
            self.race();
        }
        self.pending.push(id);
    }

    fn wait(&mut self, id: TransferId) {
        self.pending.retain(|&pending| pending != id);
    }

    fn event(&mut self, event: Event<'_>) {
        if !self.quiet {
            self.events.push(format!("{event:?}"));
        }
    }

    fn cached_translations(&self, visit: &mut dyn FnMut(CachedTranslation)) {
        for (&(asid, page, pages), cached) in &self.tlb {
            for n in 0..pages {
                let (va, pfn) = (VirtAddr((page + n) * PAGE), Pfn(cached.pfn.0 + n));
                visit(CachedTranslation { asid, va, pfn, writable: cached.writable });
            }
        }
    }
}

/// Why a program's access failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Signal(Signal),
    OutOfMemory,
}

/// A kernel with one address space on a mock.
pub struct Machine {
    pub kernel: Kernel<AnyPmap>,
    pub mock: Mock,
    pub space: SpaceId,
}

impl Machine {
    pub fn new(name: &str, config: Config) -> Self {
        let tables = tables(name, config.frames);
        let mut mock = Mock::new(tables, config.frames);
        let mut kernel = Kernel::new(tables, config).expect("enough memory");
        let space = kernel.create_space(&mut mock, LAYOUT).expect("enough memory");
        // Nobody is killed for another's fault, and what a model says of spaces holds: oom.rs tries
        // the rest.
        kernel.set_oom_score_adj(space, OOM_SCORE_ADJ_MIN);
        Self { kernel, mock, space }
    }

    /// With so many frames above the least that the format runs in.
    pub fn tight(name: &str, spare: u64, swap_slots: u64) -> Self {
        let frames = frames_min(name) + spare;
        Self::new(name, Config { frames, swap_slots, ..Config::default() })
    }

    pub fn audit(&self) {
        if let Err(error) = self.kernel.audit(&self.mock) {
            panic!("{}: {error}", self.mock.tables.name());
        }
    }

    /// What a program's instruction does: through the TLB, restarting after faults.
    pub fn access(&mut self, va: VirtAddr, kind: AccessKind) -> Result<PhysAddr, Stop> {
        let asid = self.kernel.asid(self.space);
        let mut waited = Waited::default();
        for _ in 0..20 {
            if let Some(pa) = self.mock.translate(asid, va, kind) {
                return Ok(pa);
            }
            let attempt = self.attempt(va, kind, waited);
            let result = match attempt {
                Attempt::Wait { on, waited: until_now } => {
                    waited = until_now;
                    let first = *self.mock.pending.first().expect("something is under way");
                    self.complete(on.unwrap_or(first));
                    continue;
                }
                Attempt::Done(result) => result,
            };
            waited = Waited::default();
            match result {
                FaultResult::Resolved { .. } => {}
                FaultResult::Signal { signal, addr } => {
                    assert_eq!(addr, va);
                    return Err(Stop::Signal(signal));
                }
                FaultResult::OutOfMemory(_) => return Err(Stop::OutOfMemory),
            }
        }
        panic!("the fault at {va} is resolved again and again");
    }

    /// Has the kernel resolve a fault, or begin to.
    pub fn attempt(&mut self, va: VirtAddr, kind: AccessKind, waited: Waited) -> Attempt {
        let attempt = self.kernel.fault_or_wait(&mut self.mock, self.space, va, kind, waited);
        self.kernel.daemon(&mut self.mock);
        attempt
    }

    /// A transfer is done.
    pub fn complete(&mut self, id: TransferId) {
        self.mock.wait(id);
        let _memory = self.kernel.complete(&mut self.mock, id);
    }

    pub fn load(&mut self, va: u64) -> Result<u8, Stop> {
        self.access(VirtAddr(va), AccessKind::Read).map(|pa| self.mock.ram[pa.0 as usize])
    }

    pub fn store(&mut self, va: u64, byte: u8) -> Result<(), Stop> {
        let pa = self.access(VirtAddr(va), AccessKind::Write)?;
        self.mock.ram[pa.0 as usize] = byte;
        Ok(())
    }

    pub fn map(&mut self, request: MapRequest) -> u64 {
        self.kernel.mmap(&mut self.mock, self.space, request).expect("room").0
    }

    pub fn map_anon(&mut self, pages: u64) -> u64 {
        self.map(MapRequest::anonymous(pages * PAGE, RW))
    }

    pub fn map_file(&mut self, file: u32, pages: u64, prot: Prot, shared: bool) -> u64 {
        let backing = Backing::File { file: FileId(file), offset: 0 };
        self.map(MapRequest { backing, shared, ..MapRequest::anonymous(pages * PAGE, prot) })
    }

    pub fn unmap(&mut self, va: u64, pages: u64) {
        self.kernel
            .munmap(&mut self.mock, self.space, VirtAddr(va), pages * PAGE)
            .expect("a range");
    }

    /// Makes memory so short that everything that can go goes.
    pub fn press(&mut self) {
        let pages = self.kernel.frames().total * 2;
        let hog = self.map_anon(pages);
        for page in 0..pages {
            match self.store(hog + page * PAGE, 1) {
                Ok(()) | Err(Stop::OutOfMemory) => {}
                Err(stop) => panic!("{stop:?}"),
            }
        }
        self.unmap(hog, pages);
    }
}

/// MADV_DONTNEED.
pub const DONTNEED: Advice = Advice::DontNeed { locked: false };

/// MS_SYNC.
pub const SYNC: Msync = Msync { write: true, invalidate: false };

/// Fixed placement.
pub fn at(va: u64) -> Placement {
    Placement::Fixed(VirtAddr(va))
}

/// RISC-V whose hardware leaves referenced and modified bits to software.
pub const SVADE: &str = "sv39-svade";

/// A hashed page table of four entries, most of whose pages are displaced.
pub const TINY: &str = "hashed-tiny";

/// What a format's name ends with where referenced and modified bits are software's, or modified
/// bits alone.
const BY_SOFTWARE: [(&str, bool); 2] = [("-software", false), ("-software-dirty", true)];

/// AArch64 whose hardware leaves bits to software.
pub const AARCH64_BY_SOFTWARE: [&str; 6] = [
    "aarch64-software",
    "aarch64-software-dirty",
    "aarch64-16k-software",
    "aarch64-16k-software-dirty",
    "aarch64-64k-software",
    "aarch64-64k-software-dirty",
];

/// The page tables of a machine by their name.
pub fn tables(name: &str, frames: u64) -> Tables {
    for (suffix, ha) in BY_SOFTWARE {
        if let Some(Format::Aarch64(f)) = name.strip_suffix(suffix).and_then(Format::by_name) {
            let controls = Aarch64Controls { ha, hd: false, ..*f.controls() };
            return Tables::Radix(Format::Aarch64(Aarch64::new(f.granule(), controls)));
        }
    }
    if name == SVADE {
        let controls = RiscVControls { ad: AdUpdate::Svade, ..RiscVControls::default() };
        return Tables::Radix(Format::RiscV(RiscV::new(Scheme::Sv39, controls)));
    }
    if name == TINY {
        return Tables::Hashed(hashed::Format::Hashed(Hashed::with_entries(4)));
    }
    let tree = Format::by_name(name).map(Tables::Radix);
    tree.or_else(|| hashed::Format::by_name(name, frames).map(Tables::Hashed)).expect("a name")
}

/// The least RAM that a kernel runs in, which the machine's tables can grow with.
pub fn frames_min(name: &str) -> u64 {
    let enough = |&frames: &u64| frames >= Kernel::<AnyPmap>::frames_min(&tables(name, frames));
    (1..).find(enough).expect("some size is enough")
}

/// Frames that the machine's own tables take.
pub fn machine_tables(m: &Machine) -> u64 {
    AnyPmap::machine_tables(&m.mock.tables)
}

/// Every kind of tree with pages of [`PAGE`] in which [`LAYOUT`] has room, some with referenced and
/// modified bits set by software.
pub fn trees() -> impl Iterator<Item = &'static str> {
    let fits = |name: &&str| {
        let tables = tables(name, 0);
        tables.base_page().bytes() == PAGE && AnyPmap::user_end_max(&tables) >= LAYOUT.user_end
    };
    Format::NAMES.iter().copied().chain([SVADE]).chain(AARCH64_BY_SOFTWARE).filter(fits)
}

/// Every kind of page table.
pub fn formats() -> impl Iterator<Item = &'static str> {
    let hashed = hashed::Format::NAMES.iter().copied().chain([TINY]);
    trees().chain(hashed.filter(|name| tables(name, 1).base_page().bytes() == PAGE))
}

/// Runs a test on every kind of page table.
pub fn on_all_formats(test: impl Fn(&str)) {
    formats().for_each(test);
}

/// Runs a test on every kind of tree.
pub fn on_all_trees(test: impl Fn(&str)) {
    trees().for_each(test);
}
