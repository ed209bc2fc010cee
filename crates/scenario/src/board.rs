//! The board: memory, MMU, swap device and files of a word machine; and how the kernel reaches them.
//!
//! A board is cheap to copy: pages that two copies have in common are there once.

use std::ops::Range;
use std::sync::Arc;

use pagewalk_kernel::refill::{self, When};
use pagewalk_kernel::segments::{Registers, SegmentPlatform};
use pagewalk_kernel::{
    CachedTable, CachedTranslation, Event, FileId, Flush, IoError, Platform, Store, SwapSlot,
};
use pagewalk_mmu::radix::R3000;
use pagewalk_mmu::segment::{Descriptor, SegmentTable};
use pagewalk_mmu::tlb::{Globals, TlbEntry};
use pagewalk_mmu::{
    Access, AccessKind, Asid, EntryWidth, Fault, Hit, Level, Mmu, OutOfMemory, PageSize, Pfn,
    PhysAddr, Privilege, Probe, Rights, Source, Step, TableMemory, VirtAddr, WalkObserver,
};

use crate::journal::{Journal, What};

/// Physical memory.
#[derive(Clone, Debug)]
pub struct Ram {
    page: PageSize,
    frames: Vec<Arc<[u8]>>,
}

impl Ram {
    fn new(frames: u64, page: PageSize) -> Self {
        let empty: Arc<[u8]> = vec![0; page.bytes() as usize].into();
        Self { page, frames: vec![empty; frames as usize] }
    }

    /// The bytes of a frame.
    pub fn frame(&self, pfn: Pfn) -> &[u8] {
        &self.frames[pfn.0 as usize]
    }

    /// The bytes of a frame, to be changed.
    pub fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        Arc::make_mut(&mut self.frames[pfn.0 as usize])
    }

    /// How many frames there are.
    pub fn len(&self) -> u64 {
        self.frames.len() as u64
    }

    fn place(&self, at: PhysAddr, width: EntryWidth) -> Result<(Pfn, Range<usize>), OutOfMemory> {
        let offset = (at.0 & (self.page.bytes() - 1)) as usize;
        let (pfn, end) = (at.pfn(self.page), offset + width.bytes() as usize);
        let fits = pfn.0 < self.len() && end as u64 <= self.page.bytes();
        if fits { Ok((pfn, offset..end)) } else { Err(OutOfMemory(at)) }
    }
}

impl TableMemory for Ram {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let (pfn, place) = self.place(at, width)?;
        let mut raw = [0; 8];
        raw[..place.len()].copy_from_slice(&self.frame(pfn)[place]);
        Ok(u64::from_le_bytes(raw))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let (pfn, place) = self.place(at, width)?;
        let bytes = &value.to_le_bytes()[..place.len()];
        self.frame_mut(pfn)[place].copy_from_slice(bytes);
        Ok(())
    }
}

/// A file of a word machine: page by page as memory has them.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its bytes, whole pages.
    pub bytes: Arc<[u8]>,
}

/// Memory, MMU and devices.
#[derive(Clone, Debug)]
pub struct Board {
    /// Physical memory.
    pub ram: Ram,
    /// The MMU; `None` where programs use physical addresses.
    pub mmu: Option<Mmu>,
    /// The table of segments, where there is one.
    pub segments: Option<SegmentTable>,
    /// What was written to each slot.
    pub swap: Vec<Option<Arc<[u8]>>>,
    /// The files.
    pub files: Vec<File>,
    /// Translations that were asked for: the MMU's time.
    pub now: u64,
    /// Loads and stores that programs have made.
    pub references: u64,
    /// Instructions that they have done.
    pub instructions: u64,
    /// Frames from here on are for page tables.
    pub page_frames: u64,
}

impl Board {
    /// A board whose memory is all zeroes.
    pub fn new(
        mmu: Option<Mmu>,
        frames: u64,
        page_frames: u64,
        page: PageSize,
        slots: u64,
    ) -> Self {
        Self {
            ram: Ram::new(frames, page),
            mmu,
            segments: None,
            swap: vec![None; slots as usize],
            files: Vec::new(),
            now: 0,
            references: 0,
            instructions: 0,
            page_frames,
        }
    }

    /// Translates an address as the processor does, and notes each step.
    ///
    /// # Errors
    /// The page fault.
    pub fn translate(
        &mut self,
        va: VirtAddr,
        address: u64,
        kind: AccessKind,
        journal: &mut Journal,
    ) -> Result<Hit, Fault> {
        self.now += 1;
        let before = journal.keeps().then(|| self.clone());
        let Some(mmu) = &mut self.mmu else { unreachable!("physical addresses need no MMU") };
        let mut seen = Seen::default();
        let access = Access::user(kind);
        let mut result = mmu.translate_observed(&mut self.ram, va, access, self.now, &mut seen);
        let by_software = mmu.is_software_loaded();
        if let Err(fault) = &result
            && by_software
        {
            let when = When { now: self.now, instructions: self.instructions };
            result = refill::serve(mmu, &mut self.ram, fault, when);
        }
        let source = result.as_ref().map_or(Source::Walk, |hit| hit.source);
        if mmu.tlb().is_some() {
            let what = match source {
                Source::L1 | Source::L2 if seen.steps.is_empty() => {
                    What::TlbHit { address, source }
                }
                _ => What::TlbMiss { address },
            };
            journal.note(what, before.as_ref().unwrap_or(self));
        }
        for what in seen.steps {
            let board = match what {
                What::TableUpdate => &*self,
                _ => before.as_ref().unwrap_or(self),
            };
            journal.note(what, board);
        }
        let has_tlb = self.mmu.as_ref().is_some_and(|mmu| mmu.tlb().is_some());
        if result.is_ok() && source == Source::Walk && has_tlb {
            journal.note(What::TlbFill { address, by_software }, self);
        }
        result
    }
}

impl Board {
    fn tlb_entries(&self) -> impl Iterator<Item = TlbEntry> {
        let tlb = self.mmu.as_ref().and_then(Mmu::tlb).into_iter();
        tlb.flat_map(|tlb| tlb.entries()).map(|(_, entry)| entry)
    }

    /// The first address whose entry is in the page of a table that an entry of the R3000's TLB maps.
    fn table_mapped(&self, entry: &TlbEntry) -> Option<VirtAddr> {
        let mmu = self.mmu.as_ref()?;
        mmu.cp0()?;
        R3000::mapped_by(entry.vpn.base(self.ram.page))
    }
}

/// The steps of a walk.
#[derive(Default)]
struct Seen {
    steps: Vec<What>,
}

impl WalkObserver for Seen {
    fn step(&mut self, step: &Step) {
        self.steps.push(What::TableRead { step: *step });
    }

    fn probe(&mut self, probe: &Probe) {
        self.steps.push(What::Probe { probe: *probe });
    }

    fn update(&mut self, _: PhysAddr, _: u64) {
        self.steps.push(What::TableUpdate);
    }
}

/// A board as the kernel sees it.
#[derive(Debug)]
pub struct Wires<'a> {
    /// The board.
    pub board: &'a mut Board,
    /// Who hears what happens.
    pub journal: &'a mut Journal,
}

impl Wires<'_> {
    fn note(&mut self, what: What) {
        self.journal.note(what, self.board);
    }

    fn file_page(&self, offset: u64) -> u64 {
        offset >> self.board.ram.page.shift()
    }
}

impl TableMemory for Wires<'_> {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        self.board.ram.read_entry(at, width)
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let old = self.board.ram.read_entry(at, width)?;
        self.board.ram.write_entry(at, width, value)?;
        if self.board.ram.read_entry(at, width)? != old {
            self.note(What::TableWrite { at, raw: value });
        }
        Ok(())
    }
}

impl Platform for Wires<'_> {
    fn frame(&self, pfn: Pfn) -> &[u8] {
        self.board.ram.frame(pfn)
    }

    fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        self.board.ram.frame_mut(pfn)
    }

    fn copy_frame(&mut self, from: Pfn, to: Pfn) {
        self.board.ram.frames[to.0 as usize] = self.board.ram.frames[from.0 as usize].clone();
        if self.board.segments.is_none() {
            self.note(What::Copy { from, to });
        }
    }

    fn zero_frame(&mut self, pfn: Pfn) {
        self.board.ram.frame_mut(pfn).fill(0);
        if pfn.0 < self.board.page_frames && self.board.segments.is_none() {
            self.note(What::Zero { pfn });
        }
    }

    fn flush(&mut self, what: Flush) {
        let Some(mmu) = &mut self.board.mmu else { return };
        let entries = |mmu: &Mmu| mmu.tlb().map_or(0, |tlb| tlb.entries().count());
        let before = entries(mmu);
        match what {
            Flush::Page { asid, va } => mmu.flush_page(va, Some(asid), Globals::Drop),
            Flush::Space { asid } => mmu.flush_asid(asid),
            Flush::All => mmu.flush_all(),
        }
        if entries(mmu) != before {
            self.note(What::Flush { what });
        }
    }

    fn load_root(&mut self, asid: Asid, table: PhysAddr) {
        if let Some(mmu) = &mut self.board.mmu {
            // The kernel makes its tables by the format's own rules.
            mmu.load_root(asid, table, &self.board.ram).expect("the kernel's root is well formed");
        }
    }

    fn root_changed(&mut self, asid: Asid, table: PhysAddr) {
        if self.board.mmu.as_ref().is_some_and(|mmu| mmu.asid() == asid) {
            self.load_root(asid, table);
        }
    }

    fn load_upper_root(&mut self, table: PhysAddr) {
        if let Some(mmu) = &mut self.board.mmu {
            mmu.load_upper_root(table, &self.board.ram).expect("the kernel's root is well formed");
        }
    }

    fn file_read(&mut self, file: FileId, offset: u64, into: Pfn) -> Result<usize, IoError> {
        let bytes = self.board.files[file.0 as usize].bytes.clone();
        let frame = self.board.ram.frame_mut(into);
        let from = (offset as usize).min(bytes.len());
        let len = (bytes.len() - from).min(frame.len());
        frame.fill(0);
        frame[..len].copy_from_slice(&bytes[from..from + len]);
        let page = self.file_page(offset);
        self.note(What::FileRead { file, page, pfn: into });
        Ok(len)
    }

    fn file_write(
        &mut self,
        file: FileId,
        offset: u64,
        from: Pfn,
        len: usize,
    ) -> Result<(), IoError> {
        let data: Vec<u8> = self.board.ram.frame(from)[..len].to_vec();
        let bytes = Arc::make_mut(&mut self.board.files[file.0 as usize].bytes);
        let at = (offset as usize).min(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes[at..end].copy_from_slice(&data[..end - at]);
        let page = self.file_page(offset);
        self.note(What::FileWrite { file, page, pfn: from });
        Ok(())
    }

    fn file_punch(&mut self, file: FileId, range: Range<u64>) -> Result<(), IoError> {
        let bytes = Arc::make_mut(&mut self.board.files[file.0 as usize].bytes);
        let len = bytes.len() as u64;
        bytes[range.start.min(len) as usize..range.end.min(len) as usize].fill(0);
        Ok(())
    }

    fn swap_read(&mut self, slot: SwapSlot, into: Pfn) -> Result<(), IoError> {
        let Some(bytes) = self.board.swap[slot.0 as usize].clone() else {
            return Err(IoError::Io);
        };
        self.board.ram.frames[into.0 as usize] = bytes;
        self.note(What::SwapRead { slot, pfn: into });
        Ok(())
    }

    fn swap_write(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError> {
        let bytes = self.board.ram.frames[from.0 as usize].clone();
        self.board.swap[slot.0 as usize] = Some(bytes);
        self.note(What::SwapWrite { slot, pfn: from });
        Ok(())
    }

    fn event(&mut self, event: Event<'_>) {
        let slot_of = |store| match store {
            Some(Store::Swap(slot)) => Some(slot),
            _ => None,
        };
        let what = match event {
            Event::Evict { pfn, dirty, store, .. } => {
                What::Evict { pfn, slot: slot_of(store), was_dirty: dirty }
            }
            Event::EvictFrom { space, va, pfn, slot } => What::EvictFrom { space, va, pfn, slot },
            Event::Fault { va, cause, pfn, .. } => {
                What::Resolved { va, cause: Some(cause), pfn: Some(pfn) }
            }
            _ => return,
        };
        self.note(what);
    }

    fn cached_translations(&self, visit: &mut dyn FnMut(CachedTranslation)) {
        let page = self.board.ram.page;
        // The R3000's entries that are not valid translate nothing; those of kseg2 are tables'.
        let translates =
            |entry: &TlbEntry| !entry.rights.is_empty() && self.board.table_mapped(entry).is_none();
        for entry in self.board.tlb_entries().filter(translates) {
            for n in 0..entry.page.bytes() >> page.shift() {
                visit(CachedTranslation {
                    asid: entry.asid,
                    va: VirtAddr((entry.vpn.0 + n) << page.shift()),
                    pfn: Pfn(entry.pfn.0 + n),
                    writable: entry.rights.contains(Rights::WRITE) && entry.dirty,
                });
            }
        }
    }

    fn cached_tables(&self, visit: &mut dyn FnMut(CachedTable)) {
        for entry in self.board.tlb_entries() {
            if let Some(va) = self.board.table_mapped(&entry) {
                let (asid, pfn) = (entry.asid, entry.pfn);
                visit(CachedTable { asid, va, level: Level(0), pfn });
            }
        }
    }
}

/// Descriptors are registers: what is loaded is in force. That words were moved for it is told with
/// the descriptor, and not word by word.
impl SegmentPlatform for Wires<'_> {
    fn load_bounds(&mut self, _: PhysAddr, _: u64, _: u64) {}

    fn load_descriptor(&mut self, number: u32, descriptor: Option<Descriptor>) {
        let Some(table) = &mut self.board.segments else { return };
        let old = table.descriptor(number).copied();
        if old == descriptor {
            return;
        }
        // The kernel makes them by the table's own shape.
        let loaded = table.load(Privilege::Supervisor, number, descriptor);
        loaded.expect("a descriptor that fits");
        self.note(What::Descriptor { number, old, new: descriptor });
    }

    fn registers(&self) -> Registers<'_> {
        self.board.segments.as_ref().map_or(Registers::None, Registers::Table)
    }
}
