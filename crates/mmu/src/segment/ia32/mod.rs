//! Segmentation of IA-32, in front of its paging (Intel SDM vol. 3A, chapters 3 and 5).
//!
//! ```text
//!   selector ──load──► GDT or LDT in memory ──checks──► segment register (selector, descriptor)
//!                                                              │
//!   offset ──────────► limit and type check ──────── + base ───┴──► linear address ──► paging
//! ```
//!
//! A descriptor is read when its selector is loaded, and never again: the register's hidden part
//! keeps it, so a change of the table counts only from the next load on.
//!
//! # No-execute without a bit for it
//! IA-32 page tables cannot forbid execution, but a code segment ends at its limit. Where data lies
//! above all code, a limit at the end of the code makes the data not executable: a fetch beyond is
//! a general-protection fault. So OpenBSD/i386 (W^X) and Exec Shield on Linux kept stack and heap
//! from being executed, each moving the limit as executable mappings came and went; so does the
//! kernel that runs programs on this hardware here, with data segments that are flat (base 0, limit
//! 4 GiB − 1). What it cannot do is protect data that lies *below* some code.

mod descriptor;
mod selector;

pub use descriptor::{Descriptor, Fields, Kind};
pub use selector::Selector;

use super::{Placed, SegmentCause, SegmentTrap, fault, lies_within};
use crate::{Access, AccessKind, EntryWidth, Fault, PhysAddr, TableMemory};
use core::fmt;

/// A segment register, by its number in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// Data of string instructions.
    Es = 0,
    /// Code; its selector's RPL is the current privilege level (CPL).
    Cs = 1,
    /// The stack.
    Ss = 2,
    /// Data.
    Ds = 3,
    /// Data.
    Fs = 4,
    /// Data.
    Gs = 5,
}

/// The exceptions of segmentation (6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vector {
    /// #TS, 10: invalid TSS; also what a task switch makes of a bad selector.
    InvalidTss = 10,
    /// #NP, 11: segment not present.
    SegmentNotPresent = 11,
    /// #SS, 12: stack fault.
    StackFault = 12,
    /// #GP, 13: general protection.
    GeneralProtection = 13,
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidTss => "#TS",
            Self::SegmentNotPresent => "#NP",
            Self::StackFault => "#SS",
            Self::GeneralProtection => "#GP",
        })
    }
}

/// An exception that the load of a register raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Which.
    pub vector: Vector,
    /// The selector's index and TI, or 0.
    pub error_code: u16,
    /// Why, in words common to all segmentation.
    pub cause: SegmentCause,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#x}): {}", self.vector, self.error_code, self.cause.describe())
    }
}

impl core::error::Error for Exception {}

/// What loads a segment register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// MOV, POP, LDS …; for CS a far JMP or CALL without a gate.
    Instruction,
    /// For CS a far return or IRET, perhaps to a lower privilege. Else as an instruction.
    Return,
    /// A task switch.
    TaskSwitch,
}

/// The place of a descriptor table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableRegister {
    /// The linear address of the first descriptor, a multiple of 8.
    pub base: u32,
    /// The last valid byte's offset.
    pub limit: u16,
}

/// A segment register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The visible part.
    pub selector: Selector,
    /// The hidden part; `None` after a null selector.
    pub descriptor: Option<Descriptor>,
}

/// GDTR, LDTR and the six segment registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segmentation {
    gdtr: TableRegister,
    /// `None` after a null selector.
    ldtr: Option<TableRegister>,
    registers: [Loaded; 6],
}

/// Bytes of a descriptor.
const DESCRIPTOR_BYTES: u64 = 8;

impl Segmentation {
    /// At privilege level 0, without tables; every register is null, CS too, so that nothing can be
    /// done before it is loaded.
    pub fn new() -> Self {
        Self::default()
    }

    /// The current privilege level.
    pub fn cpl(&self) -> u8 {
        self.register(Register::Cs).selector.rpl()
    }

    /// A segment register.
    pub fn register(&self, register: Register) -> &Loaded {
        &self.registers[register as usize]
    }

    /// LGDT.
    ///
    /// # Errors
    /// #GP(0) if CPL is not 0.
    ///
    /// # Panics
    /// If the base is not aligned to 8, as the manual advises (3.5.1) and this model demands.
    pub fn load_gdtr(&mut self, gdtr: TableRegister) -> Result<(), Exception> {
        assert!(u64::from(gdtr.base).is_multiple_of(DESCRIPTOR_BYTES), "the GDT is aligned to 8");
        if self.cpl() != 0 {
            return Err(general_protection(0, SegmentCause::Privilege));
        }
        self.gdtr = gdtr;
        Ok(())
    }

    /// LLDT. `memory` is indexed by linear addresses, here and below: where paging is on, it is the
    /// caller's to translate them (kernels map their tables one to one).
    ///
    /// # Errors
    /// #GP if CPL is not 0, the selector is not of an LDT in the GDT; #NP if that is not present.
    pub fn load_ldtr<M: TableMemory + ?Sized>(
        &mut self,
        memory: &M,
        selector: Selector,
    ) -> Result<(), Exception> {
        if self.cpl() != 0 {
            return Err(general_protection(0, SegmentCause::Privilege));
        }
        if selector.is_null() {
            self.ldtr = None;
            return Ok(());
        }
        let code = selector.error_code();
        if selector.is_local() {
            return Err(general_protection(code, SegmentCause::OutsideTable));
        }
        let (_, descriptor) =
            self.read(memory, selector).map_err(|cause| general_protection(code, cause))?;
        if descriptor.kind() != Kind::Ldt || descriptor.base() % DESCRIPTOR_BYTES as u32 != 0 {
            return Err(general_protection(code, SegmentCause::WrongType));
        }
        if !descriptor.is_present() {
            let cause = SegmentCause::NotPresent;
            return Err(Exception { vector: Vector::SegmentNotPresent, error_code: code, cause });
        }
        // A table of more than 64 KiB has more descriptors than selectors can name.
        let limit = descriptor.limit().min(0xffff) as u16;
        self.ldtr = Some(TableRegister { base: descriptor.base(), limit });
        Ok(())
    }

    /// Loads a segment register, setting the descriptor's accessed bit in memory.
    ///
    /// A return to a lower privilege also clears the data registers that this privilege could not
    /// have loaded (RET, "return to outer privilege level").
    ///
    /// # Errors
    /// As MOV to a segment register, far JMP, far RET and the task switch (table 7-1) specify. The
    /// register keeps what it had.
    pub fn load<M: TableMemory + ?Sized>(
        &mut self,
        memory: &mut M,
        register: Register,
        selector: Selector,
        by: By,
    ) -> Result<(), Exception> {
        let refuse = |cause| refusal(register, selector, by, cause);
        if selector.is_null() {
            if matches!(register, Register::Cs | Register::Ss) {
                return Err(refuse(SegmentCause::InvalidSegment));
            }
            self.registers[register as usize] = Loaded { selector, descriptor: None };
            return Ok(());
        }
        let (at, descriptor) = self.read(memory, selector).map_err(refuse)?;
        let cpl = self.cpl();
        match register {
            Register::Cs => check_code(descriptor, selector, cpl, by),
            Register::Ss => check_stack(descriptor, selector, cpl),
            _ => check_data(descriptor, selector, cpl),
        }
        .map_err(refuse)?;
        if !descriptor.is_present() {
            return Err(refuse(SegmentCause::NotPresent));
        }
        let descriptor = descriptor.accessed();
        memory
            .write_entry(at, EntryWidth::Eight, descriptor.0)
            .map_err(|_| refuse(SegmentCause::NoRam))?;
        let new_cpl = if by == By::Instruction { cpl } else { selector.rpl() };
        let selector = match register {
            Register::Cs => selector.with_rpl(new_cpl),
            _ => selector,
        };
        self.registers[register as usize] = Loaded { selector, descriptor: Some(descriptor) };
        if register == Register::Cs && new_cpl > cpl {
            self.clear_privileged_data();
        }
        Ok(())
    }

    /// An access of `bytes`, at least one, at `offset` in the segment of `register`: the linear
    /// address. Instructions are fetched through CS, whose type was checked when it was loaded.
    ///
    /// # Errors
    /// #GP(0), and #SS(0) for the limit of SS: the register is null, the type forbids it (5.5), or
    /// a byte is outside the limit (5.3).
    pub fn translate(
        &self,
        register: Register,
        offset: u64,
        bytes: u64,
        access: Access,
    ) -> Result<Placed, Fault> {
        let refuse = |cause| {
            let stack = register == Register::Ss && cause == SegmentCause::OutOfBounds;
            let vector = if stack { Vector::StackFault } else { Vector::GeneralProtection };
            fault(offset, access, cause, SegmentTrap::X86 { vector, error_code: 0 })
        };
        let loaded = self.register(register).descriptor;
        let segment = loaded.ok_or(refuse(SegmentCause::InvalidSegment))?;
        if !permits(segment.kind(), access.kind) {
            return Err(refuse(SegmentCause::Permission));
        }
        let offsets = segment.offsets().map(|(first, last)| (u64::from(first), u64::from(last)));
        match offsets {
            Some((first, last)) if lies_within(offset, bytes, first, last) => {
                Ok(placed(u64::from(segment.base()), offset, first, last))
            }
            _ => Err(refuse(SegmentCause::OutOfBounds)),
        }
    }

    /// Reads the descriptor that a selector points to, and where it lies.
    fn read<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        selector: Selector,
    ) -> Result<(PhysAddr, Descriptor), SegmentCause> {
        let table = if selector.is_local() { self.ldtr } else { Some(self.gdtr) };
        let table = table.ok_or(SegmentCause::OutsideTable)?;
        let offset = u64::from(selector.index()) * DESCRIPTOR_BYTES;
        if offset + DESCRIPTOR_BYTES - 1 > u64::from(table.limit) {
            return Err(SegmentCause::OutsideTable);
        }
        let at = PhysAddr((u64::from(table.base) + offset) & LINEAR);
        let raw = memory.read_entry(at, EntryWidth::Eight).map_err(|_| SegmentCause::NoRam)?;
        Ok((at, Descriptor(raw)))
    }

    fn clear_privileged_data(&mut self) {
        let cpl = self.cpl();
        for register in [Register::Es, Register::Ds, Register::Fs, Register::Gs] {
            let loaded = &mut self.registers[register as usize];
            let conforming = |kind| matches!(kind, Kind::Code { conforming: true, .. });
            if loaded.descriptor.is_some_and(|d| !conforming(d.kind()) && d.dpl() < cpl) {
                *loaded = Loaded::default();
            }
        }
    }
}

/// Linear addresses have 32 bits.
const LINEAR: u64 = u32::MAX as u64;

/// The linear address, and how far it runs without a wrap at 4 GiB.
fn placed(base: u64, offset: u64, first: u64, last: u64) -> Placed {
    let address = (base + offset) & LINEAR;
    let wraps_at = LINEAR + 1 - base;
    if offset < wraps_at {
        Placed { address, first, last: last.min(wraps_at - 1) }
    } else {
        Placed { address, first: first.max(wraps_at), last }
    }
}

/// 5.5, type checking of accesses.
const fn permits(kind: Kind, access: AccessKind) -> bool {
    match (kind, access) {
        (Kind::Code { .. }, AccessKind::Execute) | (Kind::Data { .. }, AccessKind::Read) => true,
        (Kind::Code { readable, .. }, AccessKind::Read) => readable,
        (Kind::Data { writable, .. }, AccessKind::Write) => writable,
        _ => false,
    }
}

/// MOV to DS, ES, FS, GS; privilege as in 5.6.
const fn check_data(
    descriptor: Descriptor,
    selector: Selector,
    cpl: u8,
) -> Result<(), SegmentCause> {
    let bound = match descriptor.kind() {
        Kind::Data { .. } | Kind::Code { conforming: false, readable: true } => true,
        Kind::Code { conforming: true, readable: true } => false,
        _ => return Err(SegmentCause::WrongType),
    };
    if bound && (selector.rpl() > descriptor.dpl() || cpl > descriptor.dpl()) {
        return Err(SegmentCause::Privilege);
    }
    Ok(())
}

/// MOV to SS; 5.7.
const fn check_stack(
    descriptor: Descriptor,
    selector: Selector,
    cpl: u8,
) -> Result<(), SegmentCause> {
    if selector.rpl() != cpl {
        return Err(SegmentCause::Privilege);
    }
    if !matches!(descriptor.kind(), Kind::Data { writable: true, .. }) {
        return Err(SegmentCause::WrongType);
    }
    if descriptor.dpl() != cpl { Err(SegmentCause::Privilege) } else { Ok(()) }
}

/// Far transfers to a code segment; 5.8.1, and RET for returns.
const fn check_code(
    descriptor: Descriptor,
    selector: Selector,
    cpl: u8,
    by: By,
) -> Result<(), SegmentCause> {
    let Kind::Code { conforming, .. } = descriptor.kind() else {
        return Err(SegmentCause::WrongType);
    };
    let (dpl, rpl) = (descriptor.dpl(), selector.rpl());
    let allowed = match by {
        By::Instruction if conforming => dpl <= cpl,
        By::Instruction => rpl <= cpl && dpl == cpl,
        By::Return => rpl >= cpl && if conforming { dpl <= rpl } else { dpl == rpl },
        By::TaskSwitch if conforming => dpl <= rpl,
        By::TaskSwitch => dpl == rpl,
    };
    if allowed { Ok(()) } else { Err(SegmentCause::Privilege) }
}

const fn general_protection(error_code: u16, cause: SegmentCause) -> Exception {
    Exception { vector: Vector::GeneralProtection, error_code, cause }
}

/// The exception of a load that was refused.
fn refusal(register: Register, selector: Selector, by: By, cause: SegmentCause) -> Exception {
    let vector = match (cause, register, by) {
        (SegmentCause::NotPresent, Register::Ss, _) => Vector::StackFault,
        (SegmentCause::NotPresent, ..) => Vector::SegmentNotPresent,
        (_, _, By::TaskSwitch) => Vector::InvalidTss,
        _ => Vector::GeneralProtection,
    };
    Exception { vector, error_code: selector.error_code(), cause }
}
