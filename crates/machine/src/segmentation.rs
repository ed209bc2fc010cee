//! What stands between the hart and the page tables, or in their place.
//!
//! ```text
//!   hart ──► Off ───────────────────────────────► MMU: TLB, tables ──► RAM
//!        ──► Ia32: CS for fetches, DS for data ─► MMU
//!        ──► Identity, Bounds, Table ─────────────────────────────────► RAM
//! ```
//!
//! Registers change only by the methods here; whoever calls them drops the host pages.

use pagewalk_mmu::segment::ia32::{
    By, Descriptor as Ia32Descriptor, Fields, Kind, Register, Segmentation as Ia32, Selector,
    TableRegister,
};
use pagewalk_mmu::segment::{BaseBounds, Descriptor, Identity, Placed, SegmentTable};
use pagewalk_mmu::{Access, AccessKind, EntryWidth, Fault, PhysAddr, Privilege, TableMemory};

use crate::harts::HARTS_MAX;
use crate::ram::Ram;

/// A machine's segmentation.
#[derive(Clone, Debug)]
pub enum Segmentation {
    /// None: the program's addresses are linear.
    Off,
    /// Addresses are physical.
    Identity(Identity),
    /// A pair of bounds.
    Bounds(BaseBounds),
    /// A table of segments.
    Table(SegmentTable),
    /// The segments of IA-32, in front of its pages.
    Ia32(FlatSegments),
}

impl Segmentation {
    /// Whether page tables follow.
    pub const fn is_paged(&self) -> bool {
        matches!(self, Self::Off | Self::Ia32(_))
    }

    /// That of another hart of the same kind, as after reset.
    pub(crate) fn of_hart(&self, number: u32, ram: &mut Ram) -> Self {
        match self {
            Self::Ia32(first) => Self::Ia32(FlatSegments::new(ram, first.gdt_of(number))),
            other => other.clone(),
        }
    }

    /// An access of `bytes` at `va`, within one page.
    ///
    /// # Errors
    /// The fault that the hardware raises.
    pub fn translate(&self, va: u64, bytes: u64, access: Access) -> Result<Placed, Fault> {
        match self {
            Self::Off => Ok(Placed { address: va, first: 0, last: u64::MAX }),
            Self::Identity(bus) => bus.translate(va, bytes, access),
            Self::Bounds(bounds) => bounds.translate(va, bytes, access),
            Self::Table(table) => table.translate(va, bytes, access),
            Self::Ia32(segments) => segments.translate(va, bytes, access),
        }
    }

    /// Loads the bounds.
    ///
    /// # Panics
    /// If the machine has none.
    pub fn load_bounds(&mut self, block: PhysAddr, lower: u64, upper: u64) {
        let Self::Bounds(bounds) = self else { unreachable!("bounds loaded on {self:?}") };
        let loaded = bounds.load(Privilege::Supervisor, block, lower, upper);
        loaded.expect("the supervisor may load bounds");
    }

    /// Loads a descriptor.
    ///
    /// # Panics
    /// If the machine has no table, or none that this fits into.
    pub fn load_descriptor(&mut self, number: u32, descriptor: Option<Descriptor>) {
        let Self::Table(table) = self else { unreachable!("a descriptor loaded on {self:?}") };
        let loaded = table.load(Privilege::Supervisor, number, descriptor);
        loaded.expect("the manager knows the table's shape");
    }
}

/// Flat data segments and a code segment that ends where executable memory does, by descriptors in
/// a GDT in RAM, of which each hart has its own.
///
/// ```text
///   GDT   0  null
///         1  user code, base 0, limit: the end of the highest executable region      CS
///         2  user data, base 0, limit 4 GiB − 1                                      SS, DS
///         3  nothing; behind it the next hart's
/// ```
///
/// This is how OpenBSD/i386 and Exec Shield had no-execute on processors without an NX bit: a
/// fetch behind the limit is a #GP, while loads and stores go everywhere.
#[derive(Clone, Debug)]
pub struct FlatSegments {
    segments: Ia32,
    gdt: PhysAddr,
    code_end: u64,
}

const USER_CODE: Selector = Selector::gdt(1, USER);
const USER_DATA: Selector = Selector::gdt(2, USER);
const USER: u8 = 3;
const DESCRIPTORS: u64 = 3;
const DESCRIPTOR_BYTES: u64 = 8;
/// From one hart's GDT to the next one's: those of all harts fit into a frame.
const GDT_STRIDE: u64 = 32;
const _: () = assert!(HARTS_MAX as u64 * GDT_STRIDE <= GRANULE);
/// The unit of a granular limit.
const GRANULE: u64 = 4096;

impl FlatSegments {
    /// Writes the GDT at `gdt`, which the kernel maps one to one, and loads the registers. Nothing
    /// can be executed yet.
    pub fn new<M: TableMemory>(memory: &mut M, gdt: PhysAddr) -> Self {
        let mut flat = Self { segments: Ia32::new(), gdt, code_end: 0 };
        let limit = (DESCRIPTORS * DESCRIPTOR_BYTES - 1) as u16;
        let data = Fields { kind: Kind::Data { expand_down: false, writable: true }, ..FLAT };
        flat.write(memory, Selector::NULL, Ia32Descriptor(0));
        flat.write(memory, USER_DATA, Ia32Descriptor::new(data));
        let gdtr = TableRegister { base: gdt.0 as u32, limit };
        flat.segments.load_gdtr(gdtr).expect("at privilege 0 after reset");
        flat.set_code_end(memory, 0);
        for register in [Register::Ss, Register::Ds] {
            flat.load(memory, register, USER_DATA);
        }
        flat
    }

    /// Where another hart's GDT is, this being the first one's.
    const fn gdt_of(&self, hart: u32) -> PhysAddr {
        PhysAddr(self.gdt.0 + hart as u64 * GDT_STRIDE)
    }

    /// Moves the code segment's limit: addresses below `end`, a multiple of 4 KiB, can be executed.
    pub fn set_code_end<M: TableMemory>(&mut self, memory: &mut M, end: u64) {
        let code = Fields {
            // Without code the limit is a byte, the least that there is, in the null page.
            limit: (end / GRANULE).saturating_sub(1) as u32,
            granular: end > 0,
            kind: Kind::Code { conforming: false, readable: true },
            ..FLAT
        };
        self.write(memory, USER_CODE, Ia32Descriptor::new(code));
        self.load(memory, Register::Cs, USER_CODE);
        self.code_end = end;
    }

    /// The first address that cannot be executed.
    pub const fn code_end(&self) -> u64 {
        self.code_end
    }

    /// The segment registers, to look at.
    pub const fn segments(&self) -> &Ia32 {
        &self.segments
    }

    /// A segment register.
    pub fn register(&self, register: Register) -> Ia32Descriptor {
        self.segments.register(register).descriptor.unwrap_or_default()
    }

    fn translate(&self, va: u64, bytes: u64, access: Access) -> Result<Placed, Fault> {
        let register = match access.kind {
            AccessKind::Execute => Register::Cs,
            AccessKind::Read | AccessKind::Write => Register::Ds,
        };
        self.segments.translate(register, va, bytes, access)
    }

    fn write<M: TableMemory>(&self, memory: &mut M, at: Selector, descriptor: Ia32Descriptor) {
        let at = PhysAddr(self.gdt.0 + u64::from(at.index()) * DESCRIPTOR_BYTES);
        memory.write_entry(at, EntryWidth::Eight, descriptor.0).expect("the GDT lies in RAM");
    }

    fn load<M: TableMemory>(&mut self, memory: &mut M, register: Register, selector: Selector) {
        let loaded = self.segments.load(memory, register, selector, By::Return);
        loaded.expect("the descriptors above are such as may be loaded");
    }
}

const FLAT: Fields = Fields {
    base: 0,
    limit: 0xf_ffff,
    granular: true,
    big: true,
    dpl: USER,
    kind: Kind::Data { expand_down: false, writable: true },
};
