//! The machine as the kernel sees it: memory, TLB, files, the swap device, and the listener.

use std::ops::Range;

use pagewalk_kernel::segments::Registers;
use pagewalk_kernel::{
    CachedTable, CachedTranslation, Event, FileId, Flush, IoError, Platform, SegmentPlatform,
    SpaceId, Store, SwapSlot, TransferId,
};
use pagewalk_linux::Files;
use pagewalk_mmu::radix::R3000;
use pagewalk_mmu::segment::Descriptor;
use pagewalk_mmu::tlb::TlbEntry;
use pagewalk_mmu::{
    AccessKind, Asid, CachedPointer, EntryWidth, Level, OutOfMemory, Pfn, PhysAddr, Rights,
    TableMemory, VirtAddr,
};

use crate::device_queue::{DeviceQueues, Server};
use crate::hart_memory::HartMemory;
use crate::listener::Listener;
use crate::memory::Memory;
use crate::segmentation::Segmentation;
use crate::swap_devices::SwapDevices;
use crate::swap_file::io_error;

/// Everything below the kernel, lent to it for one call.
#[derive(Debug)]
pub struct MachinePlatform<'a> {
    /// RAM and MMU.
    pub memory: &'a mut Memory,
    /// The swap devices.
    pub swap: &'a mut SwapDevices,
    /// Transfers that are under way.
    pub queues: &'a mut DeviceQueues,
    /// The host files that the guest has open.
    pub files: &'a Files,
    /// Who hears of events.
    pub listener: &'a mut Listener,
}

impl MachinePlatform<'_> {
    /// The kernel touches a frame. What devices transfer, they transfer by themselves.
    fn touches(&self, pfn: Pfn, kind: AccessKind) {
        self.memory.kernel_touches(pfn.base(self.memory.ram.page()), kind);
    }

    /// Somebody waits for the transfer of a slot.
    fn charge_swap(&mut self, slot: SwapSlot, write: bool) {
        if self.queues.is_completing() {
            return;
        }
        let waited_ns = &mut self.listener.traffic.swap_ns;
        *waited_ns = waited_ns.saturating_add(self.swap.service_ns(slot, write));
    }

    /// … and for what the transfer entailed.
    fn charge_extra(&mut self) {
        let extra = self.swap.take_extra();
        let traffic = &mut self.listener.traffic;
        traffic.swap_ns = traffic.swap_ns.saturating_add(extra.device_ns);
        traffic.zswap_ns = traffic.zswap_ns.saturating_add(extra.compression_ns);
    }
}

impl TableMemory for MachinePlatform<'_> {
    #[inline]
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        self.memory.kernel_touches(at, AccessKind::Read);
        self.memory.ram.read_entry(at, width)
    }

    #[inline]
    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        self.memory.kernel_touches(at, AccessKind::Write);
        self.memory.ram.write_entry(at, width, value)
    }
}

impl Platform for MachinePlatform<'_> {
    fn frame(&self, pfn: Pfn) -> &[u8] {
        self.touches(pfn, AccessKind::Read);
        self.memory.ram.frame(pfn)
    }

    fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        self.touches(pfn, AccessKind::Write);
        self.memory.ram.frame_mut(pfn)
    }

    fn copy_frame(&mut self, from: Pfn, to: Pfn) {
        self.listener.traffic.frames_copied += 1;
        self.touches(from, AccessKind::Read);
        self.touches(to, AccessKind::Write);
        self.memory.ram.copy_frame(from, to);
    }

    fn zero_frame(&mut self, pfn: Pfn) {
        self.listener.traffic.frames_zeroed += 1;
        self.touches(pfn, AccessKind::Write);
        self.memory.ram.frame_mut(pfn).fill(0);
    }

    fn flush(&mut self, what: Flush) {
        self.listener.traffic.flushes += 1;
        match what {
            Flush::Page { asid, va } => self.memory.flush_page(asid, va),
            Flush::Space { asid } => self.memory.flush_asid(asid),
            Flush::All => self.memory.flush_all(),
        }
    }

    fn load_upper_root(&mut self, table: PhysAddr) {
        self.memory.load_upper_root(table).expect("the kernel's root is well formed");
    }

    fn load_root(&mut self, asid: Asid, table: PhysAddr) {
        // The kernel makes its tables by the format's own rules: a root that the format refuses
        // is a defect of one of the two.
        self.memory.load_root(asid, table).expect("the kernel's root is well formed");
    }

    fn root_changed(&mut self, asid: Asid, table: PhysAddr) {
        if self.memory.runs(asid, table) {
            self.load_root(asid, table);
        }
    }

    fn file_read(&mut self, file: FileId, offset: u64, into: Pfn) -> Result<usize, IoError> {
        self.listener.traffic.file_reads += 1;
        self.listener.traffic.file_deferred += u64::from(self.queues.is_completing());
        let frame = self.memory.ram.frame_mut(into);
        let mut done = 0;
        while done < frame.len() {
            let rest = &mut frame[done..];
            match self.files.read_at(file, offset + done as u64, rest) {
                Ok(0) => break,
                Ok(bytes) => done += bytes,
                Err(error) => return Err(io_error(&error)),
            }
        }
        frame[done..].fill(0);
        Ok(done)
    }

    fn file_write(
        &mut self,
        file: FileId,
        offset: u64,
        from: Pfn,
        len: usize,
    ) -> Result<(), IoError> {
        self.listener.traffic.file_writes += 1;
        let end = self.files.len(file).map_err(|e| io_error(&e))?;
        let len = len.min(end.saturating_sub(offset) as usize);
        let bytes = &self.memory.ram.frame(from)[..len];
        let mut done = 0;
        while done < len {
            match self.files.write_at(file, offset + done as u64, &bytes[done..]) {
                Ok(0) => return Err(IoError::Short),
                Ok(written) => done += written,
                Err(error) => return Err(io_error(&error)),
            }
        }
        Ok(())
    }

    fn file_punch(&mut self, file: FileId, range: Range<u64>) -> Result<(), IoError> {
        self.listener.traffic.file_writes += 1;
        self.files.punch(file, range).map_err(|e| io_error(&e))
    }

    fn swap_read(&mut self, slot: SwapSlot, into: Pfn) -> Result<(), IoError> {
        self.listener.traffic.swap_reads += 1;
        self.charge_swap(slot, false);
        let result = self.swap.read(slot, self.memory.ram.frame_mut(into));
        self.charge_extra();
        result
    }

    fn swap_write(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError> {
        self.listener.traffic.swap_writes += 1;
        self.charge_swap(slot, true);
        let result = self.swap.write(slot, self.memory.ram.frame(from));
        self.charge_extra();
        result
    }

    fn swap_write_behind(&mut self, slot: SwapSlot, from: Pfn) -> Result<(), IoError> {
        self.listener.traffic.swap_writes += 1;
        let cycles = self.memory.time.cost.cycles(self.swap.service_ns(slot, true));
        self.queues.occupy(self.swap.server(slot), self.listener.cycle(), cycles);
        let result = self.swap.write(slot, self.memory.ram.frame(from));
        self.charge_extra();
        result
    }

    fn swap_is_idle(&self) -> bool {
        self.queues.is_swap_idle(self.listener.cycle())
    }

    fn swap_freed(&mut self, slot: SwapSlot) {
        self.swap.forget(slot);
    }

    fn submit(&mut self, id: TransferId, store: Store, write: bool) {
        let cost = self.memory.time.cost;
        let (server, service_ns) = match store {
            Store::Swap(slot) => (self.swap.server(slot), self.swap.service_ns(slot, write)),
            Store::File { .. } => (Server::FILES, cost.file_ns(self.memory.ram.page())),
        };
        self.queues.submit(id, server, self.listener.cycle(), cost.cycles(service_ns));
    }

    fn wait(&mut self, id: TransferId) {
        let now = self.listener.cycle();
        if let Some(done) = self.queues.take(id) {
            self.listener.traffic.waited += done.saturating_sub(now);
            self.listener.advance_to(done);
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.listener.kernel_event(&event);
    }

    fn page_loaded(&mut self, pfn: Pfn) -> Option<u64> {
        self.listener.observer.as_mut()?.page_loaded(pfn)
    }

    fn page_referenced(&mut self, pfn: Pfn) -> Option<u64> {
        self.listener.observer.as_mut()?.page_referenced(pfn)
    }

    fn page_moved(&mut self, from: Pfn, to: Pfn) -> Option<u64> {
        self.listener.observer.as_mut()?.page_moved(from, to)
    }

    fn pages_gone(&mut self, space: SpaceId, from: VirtAddr, to: VirtAddr) {
        if let Some(observer) = &mut self.listener.observer {
            observer.pages_gone(space, from, to);
        }
    }

    fn cached_translations(&self, visit: &mut dyn FnMut(CachedTranslation)) {
        let base = self.memory.ram.page();
        for hart in self.memory.hart_memories() {
            // The R3000's entries that are not valid translate nothing; those of kseg2 are tables'.
            let translates = |entry: &TlbEntry| {
                !entry.rights.is_empty() && table_mapped(hart, entry.vpn.base(base)).is_none()
            };
            for entry in tlb_entries(hart).filter(translates) {
                for n in 0..entry.page.bytes() >> base.shift() {
                    visit(CachedTranslation {
                        asid: entry.asid,
                        va: VirtAddr(entry.vpn.base(base).0 + (n << base.shift())),
                        pfn: Pfn(entry.pfn.0 + n),
                        writable: entry.rights.contains(Rights::WRITE) && entry.dirty,
                    });
                }
            }
        }
    }

    fn cached_tables(&self, visit: &mut dyn FnMut(CachedTable)) {
        let base = self.memory.ram.page();
        for hart in self.memory.hart_memories() {
            for entry in tlb_entries(hart) {
                if let Some(va) = table_mapped(hart, entry.vpn.base(base)) {
                    let (asid, pfn) = (entry.asid, entry.pfn);
                    visit(CachedTable { asid, va, level: Level(0), pfn });
                }
            }
            for held in hart.mmu().walk_cache().into_iter().flat_map(|cache| cache.pointers()) {
                let CachedPointer { asid, va, level, table } = held;
                visit(CachedTable { asid, va, level, pfn: table.pfn(base) });
            }
        }
    }
}

/// What a hart's TLB holds.
fn tlb_entries(hart: &HartMemory) -> impl Iterator<Item = TlbEntry> {
    let tlb = hart.mmu().tlb().into_iter();
    // The R3000's entries have room for the identifier, not for the space's number.
    let is_r3000 = hart.mmu().cp0().is_some();
    let space = move |of: Asid| if is_r3000 { hart.space_of(of) } else { None };
    tlb.flat_map(|tlb| tlb.entries())
        .map(move |(_, entry)| TlbEntry { asid: space(entry.asid).unwrap_or(entry.asid), ..entry })
}

/// An address whose page-table entry is in the page at `va`, where tables are mapped (R3000).
fn table_mapped(hart: &HartMemory, va: VirtAddr) -> Option<VirtAddr> {
    hart.mmu().cp0().and_then(|_| R3000::mapped_by(va))
}

impl SegmentPlatform for MachinePlatform<'_> {
    fn load_bounds(&mut self, block: PhysAddr, lower: u64, upper: u64) {
        self.memory.load_bounds(block, lower, upper);
    }

    fn load_descriptor(&mut self, number: u32, descriptor: Option<Descriptor>) {
        self.memory.load_descriptor(number, descriptor);
    }

    fn registers(&self) -> Registers<'_> {
        match self.memory.segmentation() {
            Segmentation::Bounds(bounds) => Registers::Bounds(bounds),
            Segmentation::Table(table) => Registers::Table(table),
            _ => Registers::None,
        }
    }
}
