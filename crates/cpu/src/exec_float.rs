//! Floating-point instructions (F and D): registers and rounding modes around [`crate::fp`].

use crate::fp::{self, Float, Round};
use crate::hart::Hart;
use crate::op::{Op, OpCode};

/// A format as a register holds it: single precision is NaN-boxed.
trait Register: Float {
    fn read(register: u64) -> Self::Bits;
    fn write(bits: Self::Bits) -> u64;
    /// With the sign inverted.
    fn negated(bits: Self::Bits) -> Self::Bits;
}

impl Register for f32 {
    #[inline(always)]
    fn read(register: u64) -> u32 {
        fp::unbox(register)
    }

    #[inline(always)]
    fn write(bits: u32) -> u64 {
        fp::boxed(bits)
    }

    #[inline(always)]
    fn negated(bits: u32) -> u32 {
        bits ^ 1 << 31
    }
}

impl Register for f64 {
    #[inline(always)]
    fn read(register: u64) -> u64 {
        register
    }

    #[inline(always)]
    fn write(bits: u64) -> u64 {
        bits
    }

    #[inline(always)]
    fn negated(bits: u64) -> u64 {
        bits ^ 1 << 63
    }
}

/// Executes a floating-point computation; `None` if its rounding mode is invalid.
#[inline(always)]
pub(crate) fn execute(hart: &mut Hart, op: Op) -> Option<()> {
    use OpCode::*;
    match op.code {
        FaddS => binary::<f32>(hart, op, fp::add::<f32>),
        FsubS => binary::<f32>(hart, op, fp::sub::<f32>),
        FmulS => binary::<f32>(hart, op, fp::mul::<f32>),
        FdivS => binary::<f32>(hart, op, fp::div::<f32>),
        FaddD => binary::<f64>(hart, op, fp::add::<f64>),
        FsubD => binary::<f64>(hart, op, fp::sub::<f64>),
        FmulD => binary::<f64>(hart, op, fp::mul::<f64>),
        FdivD => binary::<f64>(hart, op, fp::div::<f64>),
        FsqrtS => unary::<f32, f32>(hart, op, fp::sqrt::<f32>),
        FsqrtD => unary::<f64, f64>(hart, op, fp::sqrt::<f64>),
        FcvtSD => unary::<f64, f32>(hart, op, fp::narrow),
        FcvtDS => unary::<f32, f64>(hart, op, |a, _, flags| fp::widen(a, flags)),

        FmaddS => fused::<f32>(hart, op, false, false),
        FmsubS => fused::<f32>(hart, op, false, true),
        FnmsubS => fused::<f32>(hart, op, true, false),
        FnmaddS => fused::<f32>(hart, op, true, true),
        FmaddD => fused::<f64>(hart, op, false, false),
        FmsubD => fused::<f64>(hart, op, false, true),
        FnmsubD => fused::<f64>(hart, op, true, false),
        FnmaddD => fused::<f64>(hart, op, true, true),

        FsgnjS => exact::<f32>(hart, op, |a, b, _| fp::sgnj::<f32>(a, b)),
        FsgnjnS => exact::<f32>(hart, op, |a, b, _| fp::sgnjn::<f32>(a, b)),
        FsgnjxS => exact::<f32>(hart, op, |a, b, _| fp::sgnjx::<f32>(a, b)),
        FminS => exact::<f32>(hart, op, fp::min::<f32>),
        FmaxS => exact::<f32>(hart, op, fp::max::<f32>),
        FsgnjD => exact::<f64>(hart, op, |a, b, _| fp::sgnj::<f64>(a, b)),
        FsgnjnD => exact::<f64>(hart, op, |a, b, _| fp::sgnjn::<f64>(a, b)),
        FsgnjxD => exact::<f64>(hart, op, |a, b, _| fp::sgnjx::<f64>(a, b)),
        FminD => exact::<f64>(hart, op, fp::min::<f64>),
        FmaxD => exact::<f64>(hart, op, fp::max::<f64>),

        FeqS => compare::<f32>(hart, op, fp::eq::<f32>),
        FltS => compare::<f32>(hart, op, fp::lt::<f32>),
        FleS => compare::<f32>(hart, op, fp::le::<f32>),
        FeqD => compare::<f64>(hart, op, fp::eq::<f64>),
        FltD => compare::<f64>(hart, op, fp::lt::<f64>),
        FleD => compare::<f64>(hart, op, fp::le::<f64>),
        FclassS => to_x(hart, op, |a| u64::from(fp::classify::<f32>(f32::read(a)))),
        FclassD => to_x(hart, op, |a| u64::from(fp::classify::<f64>(a))),
        FmvXW => to_x(hart, op, |a| a as i32 as u64),
        FmvXD => to_x(hart, op, |a| a),
        FmvWX => from_x(hart, op, |a| fp::boxed(a as u32)),
        FmvDX => from_x(hart, op, |a| a),

        FcvtWS => to_integer::<f32, _>(hart, op, |a, rm, fl| fp::to_i32::<f32>(a, rm, fl) as u64),
        FcvtWuS => {
            to_integer::<f32, _>(hart, op, |a, rm, fl| fp::to_u32::<f32>(a, rm, fl) as i32 as u64)
        }
        FcvtLS => to_integer::<f32, _>(hart, op, |a, rm, fl| fp::to_i64::<f32>(a, rm, fl) as u64),
        FcvtLuS => to_integer::<f32, _>(hart, op, fp::to_u64::<f32>),
        FcvtWD => to_integer::<f64, _>(hart, op, |a, rm, fl| fp::to_i32::<f64>(a, rm, fl) as u64),
        FcvtWuD => {
            to_integer::<f64, _>(hart, op, |a, rm, fl| fp::to_u32::<f64>(a, rm, fl) as i32 as u64)
        }
        FcvtLD => to_integer::<f64, _>(hart, op, |a, rm, fl| fp::to_i64::<f64>(a, rm, fl) as u64),
        FcvtLuD => to_integer::<f64, _>(hart, op, fp::to_u64::<f64>),

        FcvtSW => from_integer::<f32>(hart, op, |a, rm, fl| fp::from_i32::<f32>(a as i32, rm, fl)),
        FcvtSWu => from_integer::<f32>(hart, op, |a, rm, fl| fp::from_u32::<f32>(a as u32, rm, fl)),
        FcvtSL => from_integer::<f32>(hart, op, |a, rm, fl| fp::from_i64::<f32>(a as i64, rm, fl)),
        FcvtSLu => from_integer::<f32>(hart, op, fp::from_u64::<f32>),
        FcvtDW => from_integer::<f64>(hart, op, |a, rm, fl| fp::from_i32::<f64>(a as i32, rm, fl)),
        FcvtDWu => from_integer::<f64>(hart, op, |a, rm, fl| fp::from_u32::<f64>(a as u32, rm, fl)),
        FcvtDL => from_integer::<f64>(hart, op, |a, rm, fl| fp::from_i64::<f64>(a as i64, rm, fl)),
        FcvtDLu => from_integer::<f64>(hart, op, fp::from_u64::<f64>),
        code => unreachable!("{code:?} is executed elsewhere"),
    }
}

type Flags = fp::Flags;

/// The rounding mode of an instruction: its own, or with 7 the dynamic one.
#[inline(always)]
fn round(hart: &Hart, op: Op) -> Option<Round> {
    let rm = op.imm as u8;
    Round::from_bits(if rm == 7 { hart.frm } else { rm })
}

#[inline(always)]
fn read<F: Register>(hart: &Hart, register: u8) -> F::Bits {
    F::read(hart.f[register as usize & 31])
}

#[inline(always)]
fn write<F: Register>(hart: &mut Hart, op: Op, bits: F::Bits) -> Option<()> {
    hart.f[op.rd as usize & 31] = F::write(bits);
    Some(())
}

#[inline(always)]
fn binary<F: Register>(
    hart: &mut Hart,
    op: Op,
    f: impl FnOnce(F::Bits, F::Bits, Round, &mut Flags) -> F::Bits,
) -> Option<()> {
    let rm = round(hart, op)?;
    let (a, b) = (read::<F>(hart, op.rs1), read::<F>(hart, op.rs2));
    let result = f(a, b, rm, &mut hart.fflags);
    write::<F>(hart, op, result)
}

#[inline(always)]
fn unary<F: Register, G: Register>(
    hart: &mut Hart,
    op: Op,
    f: impl FnOnce(F::Bits, Round, &mut Flags) -> G::Bits,
) -> Option<()> {
    let rm = round(hart, op)?;
    let result = f(read::<F>(hart, op.rs1), rm, &mut hart.fflags);
    write::<G>(hart, op, result)
}

/// rs1 × rs2 + rs3, with the product or the addend negated.
#[inline(always)]
fn fused<F: Register>(hart: &mut Hart, op: Op, product: bool, addend: bool) -> Option<()> {
    let rm = round(hart, op)?;
    let (a, b) = (read::<F>(hart, op.rs1), read::<F>(hart, op.rs2));
    let c = read::<F>(hart, (op.imm >> 8) as u8);
    let a = if product { F::negated(a) } else { a };
    let c = if addend { F::negated(c) } else { c };
    let result = fp::mul_add::<F>(a, b, c, rm, &mut hart.fflags);
    write::<F>(hart, op, result)
}

#[inline(always)]
fn exact<F: Register>(
    hart: &mut Hart,
    op: Op,
    f: impl FnOnce(F::Bits, F::Bits, &mut Flags) -> F::Bits,
) -> Option<()> {
    let (a, b) = (read::<F>(hart, op.rs1), read::<F>(hart, op.rs2));
    let result = f(a, b, &mut hart.fflags);
    write::<F>(hart, op, result)
}

#[inline(always)]
fn compare<F: Register>(
    hart: &mut Hart,
    op: Op,
    f: impl FnOnce(F::Bits, F::Bits, &mut Flags) -> bool,
) -> Option<()> {
    let (a, b) = (read::<F>(hart, op.rs1), read::<F>(hart, op.rs2));
    hart.x[op.rd as usize] = u64::from(f(a, b, &mut hart.fflags));
    Some(())
}

#[inline(always)]
fn to_integer<F: Register, T: FnOnce(F::Bits, Round, &mut Flags) -> u64>(
    hart: &mut Hart,
    op: Op,
    f: T,
) -> Option<()> {
    let rm = round(hart, op)?;
    let a = read::<F>(hart, op.rs1);
    hart.x[op.rd as usize] = f(a, rm, &mut hart.fflags);
    Some(())
}

#[inline(always)]
fn from_integer<F: Register>(
    hart: &mut Hart,
    op: Op,
    f: impl FnOnce(u64, Round, &mut Flags) -> F::Bits,
) -> Option<()> {
    let rm = round(hart, op)?;
    let result = f(hart.x[op.rs1 as usize], rm, &mut hart.fflags);
    write::<F>(hart, op, result)
}

#[inline(always)]
fn to_x(hart: &mut Hart, op: Op, f: impl FnOnce(u64) -> u64) -> Option<()> {
    hart.x[op.rd as usize] = f(hart.f[op.rs1 as usize & 31]);
    Some(())
}

#[inline(always)]
fn from_x(hart: &mut Hart, op: Op, f: impl FnOnce(u64) -> u64) -> Option<()> {
    hart.f[op.rd as usize & 31] = f(hart.x[op.rs1 as usize]);
    Some(())
}
