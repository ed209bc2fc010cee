//! Segmentation's part of an explanation: what chooses the segment, its descriptor, the checks.
//!
//! The hardware's models judge; here it is only written down which checks came before the one that
//! they say failed.

use pagewalk_mmu::segment::ia32::{self, By, Kind, Register, Selector, TableRegister};
use pagewalk_mmu::segment::{
    BaseBounds, Descriptor, Direction, Identity, Placed, SegmentCause, SegmentTable,
};
use pagewalk_mmu::{
    Access, AccessKind, EntryWidth, Fault, FaultCause, PhysAddr, Privilege, Rights, TableMemory,
    VirtAddr,
};

use crate::bits::descriptor_fields;
use crate::explain::{SEGMENTS_PAGING, kind_name};
use crate::memory::SparseMemory;
use crate::record::{Check, Outcome, Range, SegmentDescriptor, SegmentProbe};
use crate::split::part;

/// Segmentation hardware, to look at.
#[derive(Clone, Copy, Debug)]
pub enum SegmentUnit<'a> {
    /// Addresses are physical.
    Identity(&'a Identity),
    /// A pair of bounds.
    Bounds(&'a BaseBounds),
    /// A table of segments.
    Table(&'a SegmentTable),
    /// The segment registers of IA-32: CS for fetches, DS for data.
    Ia32(&'a ia32::Segmentation),
}

/// A refused access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    cause: SegmentCause,
    exception: String,
}

impl Refusal {
    fn of(fault: &Fault) -> Self {
        let cause = match fault.cause {
            FaultCause::Segment(cause) => cause,
            other => unreachable!("segmentation refused with {other:?}"),
        };
        Self { cause, exception: fault.arch.to_string() }
    }

    /// The access's end.
    pub fn outcome(self) -> Outcome {
        let Self { cause, exception } = self;
        Outcome::Fault { cause: cause.describe().into(), exception, level: None }
    }
}

impl SegmentUnit<'_> {
    /// The machine's name.
    pub const fn mmu_name(&self) -> &'static str {
        match self {
            Self::Identity(_) => "none",
            Self::Bounds(_) => "base-bounds",
            Self::Table(_) => "segments",
            Self::Ia32(_) => SEGMENTS_PAGING,
        }
    }

    /// What the hardware makes of an access of a byte.
    pub fn probe(&self, va: VirtAddr, access: Access) -> (SegmentProbe, Result<PhysAddr, Refusal>) {
        let (result, probe) = match *self {
            Self::Identity(bus) => (bus.translate(va.0, 1, access), of_bus(bus, va)),
            Self::Bounds(bounds) => (bounds.translate(va.0, 1, access), of_bounds(bounds, va)),
            Self::Table(table) => (table.translate(va.0, 1, access), of_table(table, va, access)),
            Self::Ia32(segments) => {
                let register = register_of(access.kind);
                let loaded = segments.register(register);
                let result = segments.translate(register, va.0, 1, access);
                (result, of_register(register, loaded.selector, loaded.descriptor, va, access))
            }
        };
        finish(probe, result.map_err(|fault| Refusal::of(&fault)))
    }
}

/// A probe without its answer: the checks with the cause that each failure has, in order.
struct Draft {
    probe: SegmentProbe,
    checks: Vec<(SegmentCause, String, Option<Range>)>,
}

/// Cuts the checks off behind the one that failed.
fn finish(
    draft: Draft,
    result: Result<Placed, Refusal>,
) -> (SegmentProbe, Result<PhysAddr, Refusal>) {
    let Draft { mut probe, checks } = draft;
    let failed = result.as_ref().err().map(|refusal| refusal.cause);
    for (cause, what, range) in checks {
        let passed = failed != Some(cause);
        probe.checks.push(Check { what, range, passed });
        if !passed {
            break;
        }
    }
    let result = result.map(|placed| PhysAddr(placed.address));
    probe.address = result.as_ref().ok().map(|address| address.0);
    (probe, result)
}

fn draft(unit: &str, offset: u64) -> SegmentProbe {
    SegmentProbe {
        unit: unit.into(),
        split: Vec::new(),
        descriptor: None,
        checks: Vec::new(),
        offset,
        base: None,
        address: None,
    }
}

fn of_bus(bus: &Identity, VirtAddr(value): VirtAddr) -> Draft {
    let range = Range { value, first: bus.ram().start, last: bus.ram().end - 1 };
    Draft {
        probe: draft("memory bus", value),
        checks: vec![(SegmentCause::NoRam, "memory answers".into(), Some(range))],
    }
}

fn of_bounds(bounds: &BaseBounds, VirtAddr(value): VirtAddr) -> Draft {
    // Registers that let nothing pass have an upper bound that is not above the lower.
    let range = Range { value, first: bounds.lower(), last: bounds.upper().saturating_sub(1) };
    let checks = vec![(SegmentCause::OutOfBounds, "within the bounds".into(), Some(range))];
    let probe = SegmentProbe { base: Some(bounds.base()), ..draft("bounds registers", value) };
    Draft { probe, checks }
}

fn of_table(table: &SegmentTable, va: VirtAddr, access: Access) -> Draft {
    let shape = table.shape();
    let offset_bits = shape.segment_bytes().trailing_zeros() as u8;
    let (number, offset) = (va.0 >> offset_bits, va.0 & (shape.segment_bytes() - 1));
    let descriptor = u32::try_from(number).ok().and_then(|number| table.descriptor(number));
    let width = shape.va_bits().max(64 - va.0.leading_zeros() as u8);
    let split = vec![
        part("segment", va.0, width - 1, offset_bits),
        part("offset", va.0, offset_bits - 1, 0),
    ];
    let mut checks =
        vec![(SegmentCause::InvalidSegment, format!("segment {number} is valid"), None)];
    if let Some(segment) = descriptor {
        let offsets = offsets(segment, shape.segment_bytes());
        let range = offsets.map(|(first, last)| Range { value: offset, first, last });
        checks.push((SegmentCause::OutOfBounds, "offset within the bounds".into(), range));
        checks.push((SegmentCause::Permission, permission(access), None));
    }
    let shown = descriptor.map(|segment| SegmentDescriptor {
        number,
        raw: None,
        bits: Vec::new(),
        base: segment.base,
        offsets: offsets(segment, shape.segment_bytes()),
        rights: letters(segment.rights),
    });
    let base = descriptor.map(|segment| segment.base);
    let probe = SegmentProbe { split, descriptor: shown, base, ..draft("segment table", offset) };
    Draft { probe, checks }
}

fn offsets(segment: &Descriptor, segment_bytes: u64) -> Option<(u64, u64)> {
    let valid = match segment.direction {
        Direction::Up => 0..segment.bounds,
        Direction::Down => segment.bounds..segment_bytes,
    };
    (!valid.is_empty()).then(|| (valid.start, valid.end - 1))
}

fn of_register(
    register: Register,
    selector: Selector,
    descriptor: Option<ia32::Descriptor>,
    va: VirtAddr,
    access: Access,
) -> Draft {
    let name = if register == Register::Cs { "CS" } else { "DS" };
    let mut checks = vec![(SegmentCause::InvalidSegment, format!("{name} holds a segment"), None)];
    if let Some(segment) = descriptor {
        checks.push((SegmentCause::Permission, permission(access), None));
        let range = wide(segment.offsets());
        let range = range.map(|(first, last)| Range { value: va.0, first, last });
        checks.push((SegmentCause::OutOfBounds, "offset within the limit".into(), range));
    }
    let raw = u64::from(selector.0);
    let probe = SegmentProbe {
        split: vec![
            part("index", raw, 15, 3),
            part(if selector.is_local() { "TI: LDT" } else { "TI: GDT" }, raw, 2, 2),
            part("RPL", raw, 1, 0),
        ],
        descriptor: descriptor.map(|segment| shown(selector, segment)),
        base: descriptor.map(|segment| u64::from(segment.base())),
        ..draft(name, va.0)
    };
    Draft { probe, checks }
}

fn shown(selector: Selector, segment: ia32::Descriptor) -> SegmentDescriptor {
    let rights = match segment.kind() {
        Kind::Data { writable, .. } => {
            if writable {
                "rw-"
            } else {
                "r--"
            }
        }
        Kind::Code { readable, .. } => {
            if readable {
                "r-x"
            } else {
                "--x"
            }
        }
        Kind::Ldt | Kind::System(_) => "---",
    };
    SegmentDescriptor {
        number: u64::from(selector.index()),
        raw: Some(segment.0),
        bits: descriptor_fields(segment.0),
        base: u64::from(segment.base()),
        offsets: wide(segment.offsets()),
        rights: rights.into(),
    }
}

fn wide(offsets: Option<(u32, u32)>) -> Option<(u64, u64)> {
    offsets.map(|(first, last)| (u64::from(first), u64::from(last)))
}

fn permission(access: Access) -> String {
    format!("{} permitted", kind_name(access.kind))
}

fn letters(rights: Rights) -> String {
    let letters = [(Rights::READ, 'r'), (Rights::WRITE, 'w'), (Rights::EXECUTE, 'x')];
    letters
        .map(|(right, letter)| if rights.contains(right) { letter } else { '-' })
        .iter()
        .collect()
}

const fn register_of(kind: AccessKind) -> Register {
    match kind {
        AccessKind::Execute => Register::Cs,
        AccessKind::Read | AccessKind::Write => Register::Ds,
    }
}

/// A GDT, and the selector that is loaded before an access.
#[derive(Clone, Debug)]
pub struct DescriptorTable {
    /// By linear addresses, the GDT being at 0: kernels map it one to one.
    memory: SparseMemory,
    /// How many descriptors the table has.
    len: u16,
    /// `None`: the flat segment of the access's kind and privilege.
    selector: Option<Selector>,
}

/// The most descriptors of a table: 64 KiB.
pub const DESCRIPTORS_MAX: u64 = 8192;

const DESCRIPTOR_BYTES: u64 = 8;

impl DescriptorTable {
    /// A GDT with these descriptors, by index, over flat ones: 1 and 2 are user code and data, 3 and
    /// 4 the kernel's. `selector` is what CS (fetches) or DS (data) is loaded with.
    ///
    /// # Panics
    /// If an index is not below 8192.
    pub fn new(
        descriptors: impl IntoIterator<Item = (u64, u64)>,
        selector: Option<Selector>,
    ) -> Self {
        let memory = SparseMemory::new(DESCRIPTORS_MAX * DESCRIPTOR_BYTES);
        let mut table = Self { memory, len: 0, selector };
        for (index, dpl) in [(USER_CODE, 3), (KERNEL_CODE, 0)] {
            let (code, data) = (flat(CODE, dpl), flat(DATA, dpl));
            table.put(u64::from(index), code.0);
            table.put(u64::from(index) + 1, data.0);
        }
        for (index, raw) in descriptors {
            table.put(index, raw);
        }
        table
    }

    fn put(&mut self, index: u64, raw: u64) {
        let at = PhysAddr(index * DESCRIPTOR_BYTES);
        self.memory.write_entry(at, EntryWidth::Eight, raw).expect("an index below the maximum");
        self.len = self.len.max(index as u16 + 1);
    }

    fn gdtr(&self) -> TableRegister {
        TableRegister { base: 0, limit: (u64::from(self.len) * DESCRIPTOR_BYTES - 1) as u16 }
    }

    fn selector_of(&self, access: Access) -> Selector {
        let (code, rpl) = privilege(access.privilege);
        let index = if access.kind == AccessKind::Execute { code } else { code + 1 };
        self.selector.unwrap_or(Selector::gdt(index, rpl))
    }
}

const USER_CODE: u16 = 1;
const KERNEL_CODE: u16 = 3;
const CODE: Kind = Kind::Code { conforming: false, readable: true };
const DATA: Kind = Kind::Data { expand_down: false, writable: true };

const fn flat(kind: Kind, dpl: u8) -> ia32::Descriptor {
    let (base, limit) = (0, 0xf_ffff);
    ia32::Descriptor::new(ia32::Fields { base, limit, granular: true, big: true, dpl, kind })
}

/// The flat code segment of a privilege, and the privilege level.
const fn privilege(privilege: Privilege) -> (u16, u8) {
    match privilege {
        Privilege::User => (USER_CODE, 3),
        Privilege::Supervisor => (KERNEL_CODE, 0),
    }
}

/// Loads the segment register of an access, and makes the access through it.
pub fn through_selector(
    table: &mut DescriptorTable,
    va: VirtAddr,
    access: Access,
) -> (SegmentProbe, Result<PhysAddr, Refusal>) {
    let (register, selector) = (register_of(access.kind), table.selector_of(access));
    let mut segments = ia32::Segmentation::new();
    // At CPL 0, and with a base of 0.
    segments.load_gdtr(table.gdtr()).expect("at privilege level 0 after reset");
    if register != Register::Cs {
        run_at(&mut segments, access.privilege);
    }
    match segments.load(&mut table.memory, register, selector, By::Return) {
        Ok(()) => {
            let (mut probe, result) = SegmentUnit::Ia32(&segments).probe(va, access);
            if !selector.is_null() {
                let loading = loading(selector, register).into_iter();
                let loading = loading.map(|(_, what, range)| Check { what, range, passed: true });
                probe.checks.splice(0..0, loading);
            }
            (probe, result)
        }
        Err(exception) => {
            let at = PhysAddr(u64::from(selector.index()) * DESCRIPTOR_BYTES);
            let is_inside = exception.cause != SegmentCause::OutsideTable && !selector.is_null();
            let raw = table.memory.read_entry(at, EntryWidth::Eight).ok().filter(|_| is_inside);
            let descriptor = raw.map(ia32::Descriptor);
            let draft = Draft {
                checks: loading(selector, register),
                ..of_register(register, selector, descriptor, va, access)
            };
            let trap = format!("{}({:#x})", exception.vector, exception.error_code);
            finish(draft, Err(Refusal { cause: exception.cause, exception: trap }))
        }
    }
}

/// Sets the privilege level, by a flat code segment that is no part of the table explained.
fn run_at(segments: &mut ia32::Segmentation, who: Privilege) {
    let (index, rpl) = privilege(who);
    let mut flat = DescriptorTable::new([], None);
    let loaded =
        segments.load(&mut flat.memory, Register::Cs, Selector::gdt(index, rpl), By::Return);
    loaded.expect("a flat code segment of that privilege");
}

/// The checks of a load, in order.
fn loading(selector: Selector, register: Register) -> Vec<(SegmentCause, String, Option<Range>)> {
    let name = if register == Register::Cs { "CS" } else { "DS" };
    if selector.is_null() {
        return vec![(SegmentCause::InvalidSegment, format!("{name} may be null"), None)];
    }
    let what = if register == Register::Cs { "code" } else { "data, or code that can be read" };
    vec![
        (
            SegmentCause::OutsideTable,
            format!("descriptor {} is in the table", selector.index()),
            None,
        ),
        (SegmentCause::WrongType, format!("{name} takes the type: {what}"), None),
        (SegmentCause::Privilege, "privilege suffices: CPL and RPL against DPL".into(), None),
        (SegmentCause::NotPresent, "segment present".into(), None),
    ]
}
