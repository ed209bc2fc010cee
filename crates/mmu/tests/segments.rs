//! Machines without pages, and IA-32's segments, against their manuals and against plain models.

use pagewalk_mmu::segment::ia32::{
    By, Descriptor as Ia32Descriptor, Fields, Kind, Register, Segmentation, Selector,
    TableRegister, Vector,
};
use pagewalk_mmu::segment::{
    BaseBounds, Descriptor, Direction, Identity, Placed, SegmentCause, SegmentTable, SegmentTrap,
    Shape,
};
use pagewalk_mmu::{
    Access, AccessKind, ArchFault, EntryWidth, Fault, FaultCause, OutOfMemory, PhysAddr, Privilege,
    Rights, TableMemory,
};
use proptest::prelude::*;

const READ: Access = Access::user(AccessKind::Read);
const WRITE: Access = Access::user(AccessKind::Write);
const FETCH: Access = Access::user(AccessKind::Execute);

fn cause(result: Result<Placed, Fault>) -> Result<u64, SegmentCause> {
    match result {
        Ok(placed) => Ok(placed.address),
        Err(Fault { cause: FaultCause::Segment(cause), .. }) => Err(cause),
        Err(fault) => panic!("{fault:?} is none of segmentation"),
    }
}

#[test]
fn without_translation_everything_in_ram_passes() {
    let bus = Identity::new(0x1_0000..0x10_0000);
    assert_eq!(cause(bus.translate(0x1_0000, 8, WRITE)), Ok(0x1_0000));
    assert_eq!(cause(bus.translate(0xf_fff8, 8, FETCH)), Ok(0xf_fff8));
    for (va, bytes) in [(0, 1), (0xffff, 1), (0xf_fff9, 8), (0x10_0000, 1), (u64::MAX, 8)] {
        assert_eq!(cause(bus.translate(va, bytes, READ)), Err(SegmentCause::NoRam), "{va:#x}");
    }
    let fault = bus.translate(0, 1, READ).unwrap_err();
    assert_eq!(fault.arch, ArchFault::Segment(SegmentTrap::BusError));
}

/// Text 004: "whenever a process tries to access a forbidden area, a trap is initiated", and the
/// registers are protected by privilege.
#[test]
fn bounds_relocate_and_trap() {
    let mut bounds = BaseBounds::new();
    assert_eq!(cause(bounds.translate(0, 1, READ)), Err(SegmentCause::OutOfBounds), "reset");
    let user = bounds.load(Privilege::User, PhysAddr(0), 0, u64::MAX);
    assert_eq!(user, Err(SegmentCause::Privilege));
    assert_eq!(bounds, BaseBounds::new(), "a refused load changes nothing");

    // A block at 0x4000, below its lower bound: the base is negative.
    bounds.load(Privilege::Supervisor, PhysAddr(0x4000), 0x1_0000, 0x1_3000).unwrap();
    assert_eq!(bounds.base(), 0x4000u64.wrapping_sub(0x1_0000));
    assert_eq!(cause(bounds.translate(0x1_0000, 1, READ)), Ok(0x4000));
    assert_eq!(cause(bounds.translate(0x1_2ff8, 8, WRITE)), Ok(0x6ff8));
    for (va, bytes) in [(0, 1), (0xffff, 1), (0xffff, 2), (0x1_2ff9, 8), (0x1_3000, 1)] {
        let result = cause(bounds.translate(va, bytes, READ));
        assert_eq!(result, Err(SegmentCause::OutOfBounds), "{va:#x} + {bytes}");
    }
    // The same address in another program is another place.
    bounds.load(Privilege::Supervisor, PhysAddr(0x9000), 0x1_0000, 0x1_1000).unwrap();
    assert_eq!(cause(bounds.translate(0x1_0000, 1, READ)), Ok(0x9000));
}

fn up(base: u64, bounds: u64, rights: Rights) -> Option<Descriptor> {
    Some(Descriptor { base, bounds, direction: Direction::Up, rights })
}

#[test]
fn the_segment_number_chooses_base_bounds_and_rights() {
    // Four segments of 4 KiB: number in bits 13:12.
    let mut table = SegmentTable::new(Shape::new(2, 12).unwrap());
    let mut load = |number, descriptor| table.load(Privilege::Supervisor, number, descriptor);
    load(1, up(0x8000, 0x100, Rights::READ | Rights::EXECUTE)).unwrap();
    load(2, up(0x2000, 0x1000, Rights::READ | Rights::WRITE)).unwrap();
    let stack = Descriptor {
        base: 0x5000u64.wrapping_sub(0xf00),
        bounds: 0xf00,
        direction: Direction::Down,
        rights: Rights::READ | Rights::WRITE,
    };
    load(3, Some(stack)).unwrap();
    assert_eq!(load(4, None), Err(SegmentCause::OutsideTable));
    assert_eq!(load(0, up(0, 0x1001, Rights::READ)), Err(SegmentCause::OutOfBounds));
    let user = table.load(Privilege::User, 0, up(0, 1, Rights::READ));
    assert_eq!(user, Err(SegmentCause::Privilege));

    let ask = |va, bytes, access| cause(table.translate(va, bytes, access));
    assert_eq!(ask(0x1000, 4, FETCH), Ok(0x8000));
    assert_eq!(ask(0x10fc, 4, READ), Ok(0x80fc));
    assert_eq!(ask(0x10fd, 4, READ), Err(SegmentCause::OutOfBounds));
    assert_eq!(ask(0x1000, 4, WRITE), Err(SegmentCause::Permission));
    assert_eq!(ask(0x2ff8, 8, WRITE), Ok(0x2ff8));
    assert_eq!(ask(0x2ff9, 8, WRITE), Err(SegmentCause::OutOfBounds), "into the next segment");
    assert_eq!(ask(0x2000, 4, FETCH), Err(SegmentCause::Permission));
    assert_eq!(ask(0x3f00, 8, WRITE), Ok(0x5000));
    assert_eq!(ask(0x3eff, 1, WRITE), Err(SegmentCause::OutOfBounds), "below a stack");
    assert_eq!(ask(0, 1, READ), Err(SegmentCause::InvalidSegment), "null");
    assert_eq!(ask(0x4000, 1, READ), Err(SegmentCause::InvalidSegment), "beyond the table");
    assert_eq!(ask(u64::MAX, 1, READ), Err(SegmentCause::InvalidSegment));
    let fault = table.translate(0x1000, 1, WRITE).unwrap_err();
    assert_eq!(fault.arch, ArchFault::Segment(SegmentTrap::Segment(1)));
}

fn descriptor() -> impl Strategy<Value = Option<Descriptor>> {
    prop::option::of((0..1u64 << 20, 0..=256u64, any::<bool>(), 0..8u8).prop_map(
        |(base, bounds, down, bits)| Descriptor {
            base,
            bounds,
            direction: if down { Direction::Down } else { Direction::Up },
            rights: Rights::from_bits_truncate(bits),
        },
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Byte by byte: an access passes if each of its bytes would, and the whole run that the answer
    /// promises does, too.
    #[test]
    fn an_access_passes_as_its_bytes_do(
        descriptors in prop::collection::vec(descriptor(), 4),
        va in 0..5 * 256u64,
        bytes in 1..9u64,
    ) {
        let mut table = SegmentTable::new(Shape::new(2, 8).unwrap());
        for (number, &descriptor) in descriptors.iter().enumerate() {
            table.load(Privilege::Supervisor, number as u32, descriptor).unwrap();
        }
        let place = |va: u64| {
            let segment = (*descriptors.get(va as usize / 256)?)?;
            let offset = va % 256;
            let valid = match segment.direction {
                Direction::Up => offset < segment.bounds,
                Direction::Down => offset >= segment.bounds,
            };
            (valid && segment.rights.contains(Rights::READ)).then(|| segment.base + offset)
        };
        let found = table.translate(va, bytes, READ);
        let one_segment = va / 256 == (va + bytes - 1) / 256;
        let expected = (va..va + bytes).all(|byte| place(byte).is_some()) && one_segment;
        prop_assert_eq!(found.is_ok(), expected);
        if let Ok(placed) = found {
            prop_assert_eq!(Some(placed.address), place(va));
            for at in placed.first..=placed.last {
                prop_assert_eq!(place(at), Some((placed.address + at).wrapping_sub(va)));
            }
            prop_assert!(placed.first == 0 || place(placed.first - 1).is_none()
                || placed.first % 256 == 0);
            prop_assert!(place(placed.last + 1).is_none() || (placed.last + 1) % 256 == 0);
        }
    }
}

struct Ram(Vec<u8>);

impl TableMemory for Ram {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let bytes = self.0.get(at.0 as usize..).and_then(|b| b.get(..width.bytes() as usize));
        let mut raw = [0; 8];
        let bytes = bytes.ok_or(OutOfMemory(at))?;
        raw[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(raw))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let len = width.bytes() as usize;
        let bytes = self.0.get_mut(at.0 as usize..).and_then(|b| b.get_mut(..len));
        bytes.ok_or(OutOfMemory(at))?.copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
}

const DATA: Kind = Kind::Data { expand_down: false, writable: true };
const CODE: Kind = Kind::Code { conforming: false, readable: true };

fn fields(dpl: u8, kind: Kind) -> Fields {
    Fields { base: 0, limit: 0xf_ffff, granular: true, big: true, dpl, kind }
}

/// The descriptors that Linux/i386 has in its GDT (arch/x86/include/asm/desc_defs.h and
/// kernel/cpu/common.c, whose flags are 0xc09b, 0xc093, 0xc0fb, 0xc0f3; accessed already).
#[test]
fn descriptors_are_bit_for_bit_those_of_linux() {
    let expected = [
        (0, CODE, 0x00cf_9b00_0000_ffff_u64),
        (0, DATA, 0x00cf_9300_0000_ffff),
        (3, CODE, 0x00cf_fb00_0000_ffff),
        (3, DATA, 0x00cf_f300_0000_ffff),
    ];
    for (dpl, kind, raw) in expected {
        let made = Ia32Descriptor::new(fields(dpl, kind)).accessed();
        assert_eq!(made.0, raw, "{made:x?}");
        assert_eq!((made.base(), made.limit(), made.dpl()), (0, u32::MAX, dpl));
        assert_eq!(made.kind(), kind);
    }
}

#[test]
fn base_and_limit_are_scattered_over_the_descriptor() {
    let made = Ia32Descriptor::new(Fields {
        base: 0x1234_5678,
        limit: 0x9_abcd,
        granular: false,
        ..fields(0, DATA)
    });
    assert_eq!(made.0, 0x1249_9234_5678_abcd);
    assert_eq!((made.base(), made.limit()), (0x1234_5678, 0x9_abcd));
    let granular = Ia32Descriptor::new(Fields { limit: 0x9_abcd, ..fields(0, DATA) });
    assert_eq!(granular.limit(), 0x9abc_dfff);
}

#[test]
fn expand_down_turns_the_limit_round() {
    let offsets = |limit, big| {
        let kind = Kind::Data { expand_down: true, writable: true };
        Ia32Descriptor::new(Fields { limit, granular: false, big, ..fields(0, kind) }).offsets()
    };
    assert_eq!(offsets(0x0fff, false), Some((0x1000, 0xffff)));
    assert_eq!(offsets(0x0fff, true), Some((0x1000, u32::MAX)));
    assert_eq!(offsets(0xffff, false), None, "nothing is above");
}

/// What a load of a register came to: the exception and its error code.
type Loaded = Result<(), (Vector, u16)>;

/// A GDT at 0x100 with an LDT at 0x200.
struct Machine {
    ram: Ram,
    segments: Segmentation,
}

const KERNEL_CODE: Selector = Selector::gdt(1, 0);
const KERNEL_DATA: Selector = Selector::gdt(2, 0);
const USER_CODE: Selector = Selector::gdt(3, 3);
const USER_DATA: Selector = Selector::gdt(4, 3);
const CONFORMING: Selector = Selector::gdt(5, 0);
const EXECUTE_ONLY: Selector = Selector::gdt(6, 3);
const READ_ONLY: Selector = Selector::gdt(7, 3);
const ABSENT_DATA: Selector = Selector::gdt(8, 3);
const ABSENT_CODE: Selector = Selector::gdt(9, 3);
const LDT: Selector = Selector::gdt(10, 0);
const OUTSIDE: Selector = Selector::gdt(11, 3);
const LOCAL: Selector = Selector::ldt(0, 3);

impl Machine {
    fn new() -> Self {
        let mut ram = Ram(vec![0; 0x400]);
        let execute_only = Kind::Code { conforming: false, readable: false };
        let conforming = Kind::Code { conforming: true, readable: true };
        let read_only = Kind::Data { expand_down: false, writable: false };
        let ldt = Fields { base: 0x200, limit: 7, granular: false, ..fields(0, Kind::Ldt) };
        let small = Fields { base: 0x1000, limit: 0xfff, granular: false, ..fields(3, DATA) };
        let table = [
            Ia32Descriptor(0),
            Ia32Descriptor::new(fields(0, CODE)),
            Ia32Descriptor::new(fields(0, DATA)),
            Ia32Descriptor::new(fields(3, CODE)),
            Ia32Descriptor::new(fields(3, DATA)),
            Ia32Descriptor::new(fields(0, conforming)),
            Ia32Descriptor::new(fields(3, execute_only)),
            Ia32Descriptor::new(fields(3, read_only)),
            Ia32Descriptor::new(fields(3, DATA)).absent(),
            Ia32Descriptor::new(fields(3, CODE)).absent(),
            Ia32Descriptor::new(ldt),
        ];
        for (n, descriptor) in table.iter().enumerate() {
            ram.write_entry(PhysAddr(0x100 + 8 * n as u64), EntryWidth::Eight, descriptor.0)
                .unwrap();
        }
        ram.write_entry(PhysAddr(0x200), EntryWidth::Eight, Ia32Descriptor::new(small).0).unwrap();
        let mut segments = Segmentation::new();
        let limit = 8 * table.len() as u16 - 1;
        segments.load_gdtr(TableRegister { base: 0x100, limit }).unwrap();
        Self { ram, segments }
    }

    fn in_ring(ring: u8) -> Self {
        let mut machine = Self::new();
        let code = if ring == 0 { KERNEL_CODE } else { USER_CODE };
        machine.load(Register::Cs, code, By::Return).unwrap();
        assert_eq!(machine.segments.cpl(), ring);
        machine
    }

    fn load(&mut self, register: Register, selector: Selector, by: By) -> Loaded {
        let result = self.segments.load(&mut self.ram, register, selector, by);
        result.map_err(|exception| (exception.vector, exception.error_code))
    }
}

/// MOV to a segment register and the far transfers, as the manual's operation sections say.
#[test]
fn loads_are_checked_as_the_manual_says() {
    use Register::{Cs, Ds, Es, Ss};
    use Vector::{GeneralProtection as Gp, InvalidTss as Ts};
    use Vector::{SegmentNotPresent as Np, StackFault as Sf};
    let code = |selector: Selector| selector.error_code();
    let cases: &[(u8, Register, Selector, By, Loaded)] = &[
        (0, Ds, KERNEL_DATA, By::Instruction, Ok(())),
        (0, Ds, USER_DATA, By::Instruction, Ok(())),
        (0, Ds, KERNEL_DATA.with_rpl(3), By::Instruction, Err((Gp, code(KERNEL_DATA)))),
        (3, Ds, KERNEL_DATA, By::Instruction, Err((Gp, code(KERNEL_DATA)))),
        (3, Ds, USER_DATA, By::Instruction, Ok(())),
        (3, Ds, USER_CODE, By::Instruction, Ok(())),
        (3, Ds, EXECUTE_ONLY, By::Instruction, Err((Gp, code(EXECUTE_ONLY)))),
        (3, Ds, CONFORMING.with_rpl(3), By::Instruction, Ok(())),
        (3, Ds, ABSENT_DATA, By::Instruction, Err((Np, code(ABSENT_DATA)))),
        (3, Ds, OUTSIDE, By::Instruction, Err((Gp, code(OUTSIDE)))),
        (3, Ds, LDT, By::Instruction, Err((Gp, code(LDT)))),
        (3, Ds, LOCAL, By::Instruction, Err((Gp, 4))),
        (3, Es, Selector(3), By::Instruction, Ok(())),
        (3, Ds, OUTSIDE, By::TaskSwitch, Err((Ts, code(OUTSIDE)))),
        (3, Ds, ABSENT_DATA, By::TaskSwitch, Err((Np, code(ABSENT_DATA)))),
        (3, Ss, Selector(3), By::Instruction, Err((Gp, 0))),
        (3, Ss, USER_DATA, By::Instruction, Ok(())),
        (3, Ss, USER_DATA.with_rpl(0), By::Instruction, Err((Gp, code(USER_DATA)))),
        (0, Ss, USER_DATA.with_rpl(0), By::Instruction, Err((Gp, code(USER_DATA)))),
        (3, Ss, READ_ONLY, By::Instruction, Err((Gp, code(READ_ONLY)))),
        (3, Ss, ABSENT_DATA, By::Instruction, Err((Sf, code(ABSENT_DATA)))),
        (3, Ss, READ_ONLY, By::TaskSwitch, Err((Ts, code(READ_ONLY)))),
        (3, Cs, Selector::NULL, By::Instruction, Err((Gp, 0))),
        (3, Cs, USER_CODE, By::Instruction, Ok(())),
        (3, Cs, USER_DATA, By::Instruction, Err((Gp, code(USER_DATA)))),
        (3, Cs, KERNEL_CODE, By::Instruction, Err((Gp, code(KERNEL_CODE)))),
        (3, Cs, CONFORMING, By::Instruction, Ok(())),
        (0, Cs, USER_CODE, By::Instruction, Err((Gp, code(USER_CODE)))),
        (3, Cs, ABSENT_CODE, By::Instruction, Err((Np, code(ABSENT_CODE)))),
        (0, Cs, USER_CODE, By::Return, Ok(())),
        (3, Cs, KERNEL_CODE, By::Return, Err((Gp, code(KERNEL_CODE)))),
        (3, Cs, USER_DATA, By::TaskSwitch, Err((Ts, code(USER_DATA)))),
    ];
    for &(ring, register, selector, by, expected) in cases {
        let mut machine = Machine::in_ring(ring);
        let before = *machine.segments.register(register);
        let result = machine.load(register, selector, by);
        let what = format!("ring {ring}, {register:?} ← {selector:x?} by {by:?}");
        assert_eq!(result, expected, "{what}");
        let after = *machine.segments.register(register);
        assert_eq!(after == before, result.is_err() || before.selector == selector, "{what}");
    }
}

#[test]
fn a_conforming_segment_keeps_the_privilege() {
    let mut machine = Machine::in_ring(3);
    machine.load(Register::Cs, CONFORMING, By::Instruction).unwrap();
    assert_eq!(machine.segments.cpl(), 3);
}

#[test]
fn a_load_sets_the_accessed_bit_and_keeps_the_descriptor() {
    let mut machine = Machine::in_ring(3);
    let at = PhysAddr(0x100 + 8 * u64::from(USER_DATA.index()));
    let read = |ram: &Ram| Ia32Descriptor(ram.read_entry(at, EntryWidth::Eight).unwrap());
    assert!(!read(&machine.ram).is_accessed());
    machine.load(Register::Ds, USER_DATA, By::Instruction).unwrap();
    assert!(read(&machine.ram).is_accessed());
    // The hidden part does not see a change of the table until the next load.
    machine.ram.write_entry(at, EntryWidth::Eight, 0).unwrap();
    let read = machine.segments.translate(Register::Ds, 0x1234, 4, READ);
    assert_eq!(cause(read), Ok(0x1234));
    assert!(machine.load(Register::Ds, USER_DATA, By::Instruction).is_err());
}

#[test]
fn a_return_to_user_mode_clears_what_it_could_not_have_loaded() {
    let mut machine = Machine::in_ring(0);
    machine.load(Register::Ds, KERNEL_DATA, By::Instruction).unwrap();
    machine.load(Register::Es, USER_DATA, By::Instruction).unwrap();
    machine.load(Register::Fs, CONFORMING, By::Instruction).unwrap();
    machine.load(Register::Cs, USER_CODE, By::Return).unwrap();
    let has = |register| machine.segments.register(register).descriptor.is_some();
    assert_eq!([Register::Ds, Register::Es, Register::Fs].map(has), [false, true, true]);
    let fault = machine.segments.translate(Register::Ds, 0, 1, READ).unwrap_err();
    let vector = Vector::GeneralProtection;
    assert_eq!(fault.arch, ArchFault::Segment(SegmentTrap::X86 { vector, error_code: 0 }));
}

#[test]
fn the_local_table_is_found_through_the_global_one() {
    let mut machine = Machine::in_ring(0);
    for wrong in [KERNEL_DATA, LOCAL, OUTSIDE] {
        let result = machine.segments.load_ldtr(&machine.ram, wrong);
        assert_eq!(result.unwrap_err().error_code, wrong.error_code(), "{wrong:x?}");
    }
    machine.segments.load_ldtr(&machine.ram, LDT).unwrap();
    machine.load(Register::Ds, LOCAL, By::Instruction).unwrap();
    let ask = |offset, bytes| cause(machine.segments.translate(Register::Ds, offset, bytes, WRITE));
    assert_eq!(ask(0xff8, 8), Ok(0x1ff8));
    assert_eq!(ask(0xff9, 8), Err(SegmentCause::OutOfBounds));
    let beyond = machine.load(Register::Ds, Selector::ldt(1, 3), By::Instruction);
    assert_eq!(beyond, Err((Vector::GeneralProtection, 0xc)));
    let mut user = Machine::in_ring(3);
    assert!(user.segments.load_ldtr(&user.ram, LDT).is_err(), "LLDT is privileged");
    assert!(user.segments.load_gdtr(TableRegister::default()).is_err(), "LGDT is privileged");
}

#[test]
fn accesses_are_checked_by_type_and_limit() {
    let mut machine = Machine::in_ring(3);
    let refused = |machine: &Machine, register, access| {
        cause(machine.segments.translate(register, 0, 4, access)).err()
    };
    machine.load(Register::Ds, READ_ONLY, By::Instruction).unwrap();
    assert_eq!(refused(&machine, Register::Ds, READ), None);
    assert_eq!(refused(&machine, Register::Ds, WRITE), Some(SegmentCause::Permission));
    assert_eq!(refused(&machine, Register::Cs, FETCH), None);
    assert_eq!(refused(&machine, Register::Cs, WRITE), Some(SegmentCause::Permission));
    machine.load(Register::Cs, EXECUTE_ONLY, By::Return).unwrap();
    assert_eq!(refused(&machine, Register::Cs, READ), Some(SegmentCause::Permission));
    assert_eq!(refused(&machine, Register::Es, READ), Some(SegmentCause::InvalidSegment));
    machine.load(Register::Ss, USER_DATA, By::Instruction).unwrap();
    let fault = machine.segments.translate(Register::Ss, 0xffff_ffff, 2, WRITE).unwrap_err();
    let vector = Vector::StackFault;
    assert_eq!(fault.arch, ArchFault::Segment(SegmentTrap::X86 { vector, error_code: 0 }));
    assert_eq!(fault.arch.to_string(), "#SS(0x0)");
}
