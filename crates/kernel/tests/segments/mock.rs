//! A machine that is as plain as can be: RAM and files are vectors, registers are the hardware's
//! own types, and every access of a program goes through them.

use pagewalk_kernel::segments::{Geometry, Registers, USER_START};
use pagewalk_kernel::{
    Event, FaultResult, FileId, Fit, Flush, IoError, Layout, Platform, SegmentKernel,
    SegmentPlatform, SpaceId, SwapSlot,
};
use pagewalk_mmu::segment::{BaseBounds, Descriptor, Identity, Placed, SegmentTable, Shape};
use pagewalk_mmu::{
    Access, AccessKind, Asid, EntryWidth, Fault, OutOfMemory, PageSize, Pfn, PhysAddr, Privilege,
    TableMemory, VirtAddr,
};
use std::ops::Range;

pub const PAGE: u64 = 4096;
pub const PAGE_SIZE: PageSize = PageSize::from_shift(12);

/// 64 segments of 64 KiB.
pub fn small_table() -> Geometry {
    Geometry::Table(Shape::new(6, 16).expect("a shape"))
}

pub fn geometries() -> [Geometry; 3] {
    [Geometry::Identity, Geometry::BaseBounds, small_table()]
}

pub struct Mock {
    pub ram: Vec<u8>,
    pub files: Vec<Vec<u8>>,
    /// Answers the next transfers of files, `None` for success.
    pub file_fails: Box<dyn FnMut() -> Option<IoError>>,
    pub bytes_copied: u64,
    pub bus: Identity,
    pub bounds: BaseBounds,
    pub table: SegmentTable,
    geometry: Geometry,
}

impl Mock {
    fn new(geometry: Geometry, frames: u64) -> Self {
        let shape = match geometry {
            Geometry::Table(shape) => shape,
            _ => Shape::DEFAULT,
        };
        Self {
            ram: vec![0xa5; (frames * PAGE) as usize],
            files: Vec::new(),
            file_fails: Box::new(|| None),
            bytes_copied: 0,
            bus: Identity::new(USER_START..(frames * PAGE).max(USER_START + 1)),
            bounds: BaseBounds::new(),
            table: SegmentTable::new(shape),
            geometry,
        }
    }

    /// What the hardware makes of an access.
    pub fn translate(&self, va: u64, bytes: u64, kind: AccessKind) -> Result<Placed, Fault> {
        let access = Access::user(kind);
        match self.geometry {
            Geometry::Identity => self.bus.translate(va, bytes, access),
            Geometry::BaseBounds => self.bounds.translate(va, bytes, access),
            Geometry::Table(_) => self.table.translate(va, bytes, access),
        }
    }
}

fn bytes(pfn: Pfn) -> Range<usize> {
    (pfn.0 * PAGE) as usize..((pfn.0 + 1) * PAGE) as usize
}

impl TableMemory for Mock {
    fn read_entry(&self, at: PhysAddr, _: EntryWidth) -> Result<u64, OutOfMemory> {
        Err(OutOfMemory(at))
    }

    fn write_entry(&mut self, at: PhysAddr, _: EntryWidth, _: u64) -> Result<(), OutOfMemory> {
        Err(OutOfMemory(at))
    }
}

impl Platform for Mock {
    fn frame(&self, pfn: Pfn) -> &[u8] {
        &self.ram[bytes(pfn)]
    }

    fn frame_mut(&mut self, pfn: Pfn) -> &mut [u8] {
        &mut self.ram[bytes(pfn)]
    }

    fn copy_frame(&mut self, from: Pfn, to: Pfn) {
        self.bytes_copied += PAGE;
        self.ram.copy_within(bytes(from), bytes(to).start);
    }

    fn zero_frame(&mut self, pfn: Pfn) {
        self.frame_mut(pfn).fill(0);
    }

    fn flush(&mut self, _: Flush) {
        unreachable!("nothing is cached");
    }

    fn load_root(&mut self, _: Asid, _: PhysAddr) {
        unreachable!("there are no tables");
    }

    fn file_read(&mut self, file: FileId, offset: u64, into: Pfn) -> Result<usize, IoError> {
        if let Some(error) = (self.file_fails)() {
            return Err(error);
        }
        let content = &self.files[file.0 as usize];
        let from = (offset as usize).min(content.len());
        let page = content[from..(from + PAGE as usize).min(content.len())].to_vec();
        let frame = self.frame_mut(into);
        frame.fill(0);
        frame[..page.len()].copy_from_slice(&page);
        Ok(page.len())
    }

    fn file_write(
        &mut self,
        file: FileId,
        offset: u64,
        from: Pfn,
        len: usize,
    ) -> Result<(), IoError> {
        if let Some(error) = (self.file_fails)() {
            return Err(error);
        }
        let page = self.frame(from)[..len].to_vec();
        let content = &mut self.files[file.0 as usize];
        let from = (offset as usize).min(content.len());
        let end = (from + len).min(content.len());
        content[from..end].copy_from_slice(&page[..end - from]);
        Ok(())
    }

    fn file_punch(&mut self, _: FileId, _: Range<u64>) -> Result<(), IoError> {
        unreachable!("there are no mappings of files");
    }

    fn swap_read(&mut self, _: SwapSlot, _: Pfn) -> Result<(), IoError> {
        unreachable!("there is no swap");
    }

    fn swap_write(&mut self, _: SwapSlot, _: Pfn) -> Result<(), IoError> {
        unreachable!("there is no swap");
    }

    fn event(&mut self, _: Event<'_>) {}
}

impl SegmentPlatform for Mock {
    fn load_bounds(&mut self, block: PhysAddr, lower: u64, upper: u64) {
        self.bounds.load(Privilege::Supervisor, block, lower, upper).expect("supervisor");
    }

    fn load_descriptor(&mut self, number: u32, descriptor: Option<Descriptor>) {
        self.table.load(Privilege::Supervisor, number, descriptor).expect("a descriptor");
    }

    fn registers(&self) -> Registers<'_> {
        match self.geometry {
            Geometry::Identity => Registers::None,
            Geometry::BaseBounds => Registers::Bounds(&self.bounds),
            Geometry::Table(_) => Registers::Table(&self.table),
        }
    }
}

/// The mock, the manager, and one program that is active.
pub struct Machine {
    pub mock: Mock,
    pub kernel: SegmentKernel,
    pub space: SpaceId,
}

impl Machine {
    /// A machine whose programs have `frames` frames.
    pub fn new(geometry: Geometry, frames: u64, fit: Fit) -> Self {
        let first = if geometry == Geometry::Identity { USER_START / PAGE } else { 0 };
        let mut mock = Mock::new(geometry, first + frames);
        let mut kernel = SegmentKernel::new(geometry, PAGE_SIZE, first..first + frames, fit);
        let space = kernel.create_space(layout(geometry, first + frames));
        kernel.activate(&mut mock, space);
        Self { mock, kernel, space }
    }

    pub fn audit(&self) {
        if let Err(error) = self.kernel.audit(&self.mock) {
            panic!("{error}");
        }
    }

    /// A load of the program, which may grow a stack; `None` is a signal.
    pub fn load(&mut self, va: u64) -> Option<u8> {
        let at = self.access(va, AccessKind::Read)?;
        Some(self.mock.ram[at as usize])
    }

    /// A store.
    pub fn store(&mut self, va: u64, byte: u8) -> Option<()> {
        let at = self.access(va, AccessKind::Write)?;
        self.mock.ram[at as usize] = byte;
        Some(())
    }

    pub fn access(&mut self, va: u64, kind: AccessKind) -> Option<u64> {
        for _ in 0..2 {
            if let Ok(placed) = self.mock.translate(va, 1, kind) {
                return Some(placed.address);
            }
            let result = self.kernel.fault(&mut self.mock, self.space, VirtAddr(va), kind);
            if !matches!(result, FaultResult::Resolved { .. }) {
                return None;
            }
        }
        panic!("a fault at {va:#x} was resolved, and came back");
    }
}

pub fn layout(geometry: Geometry, frames: u64) -> Layout {
    geometry.layout(frames * PAGE, PAGE_SIZE)
}
