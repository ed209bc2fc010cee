//! Multiplication, division and bit manipulation: pure functions of two registers and an
//! immediate (M, Zba, Zbb, Zbs).

use crate::op::OpCode;

/// The result of an instruction of the groups `Multiply` and `Bits`.
#[inline(always)]
pub(crate) fn evaluate(code: OpCode, a: u64, b: u64, imm: i32) -> u64 {
    use OpCode::*;
    let (aw, bw) = (a as u32, b as u32);
    let shamt = imm as u32;
    match code {
        Mul => a.wrapping_mul(b),
        Mulh => ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64,
        Mulhsu => ((i128::from(a as i64) * i128::from(b)) >> 64) as u64,
        Mulhu => ((u128::from(a) * u128::from(b)) >> 64) as u64,
        Div => divide(a as i64, b as i64),
        Divu => a.checked_div(b).unwrap_or(u64::MAX),
        Rem => remainder(a as i64, b as i64),
        Remu => a.checked_rem(b).unwrap_or(a),
        Mulw => word(aw.wrapping_mul(bw)),
        Divw => divide(i64::from(aw as i32), i64::from(bw as i32)) as i32 as u64,
        Divuw => word(aw.checked_div(bw).unwrap_or(u32::MAX)),
        Remw => remainder(i64::from(aw as i32), i64::from(bw as i32)) as i32 as u64,
        Remuw => word(aw.checked_rem(bw).unwrap_or(aw)),

        AddUw => b.wrapping_add(u64::from(aw)),
        Sh1add => b.wrapping_add(a << 1),
        Sh2add => b.wrapping_add(a << 2),
        Sh3add => b.wrapping_add(a << 3),
        Sh1addUw => b.wrapping_add(u64::from(aw) << 1),
        Sh2addUw => b.wrapping_add(u64::from(aw) << 2),
        Sh3addUw => b.wrapping_add(u64::from(aw) << 3),
        SlliUw => u64::from(aw) << (shamt & 63),

        Andn => a & !b,
        Orn => a | !b,
        Xnor => !(a ^ b),
        Clz => u64::from(a.leading_zeros()),
        Clzw => u64::from(aw.leading_zeros()),
        Ctz => u64::from(a.trailing_zeros()),
        Ctzw => u64::from(aw.trailing_zeros()),
        Cpop => u64::from(a.count_ones()),
        Cpopw => u64::from(aw.count_ones()),
        Max => (a as i64).max(b as i64) as u64,
        Maxu => a.max(b),
        Min => (a as i64).min(b as i64) as u64,
        Minu => a.min(b),
        SextB => a as i8 as u64,
        SextH => a as i16 as u64,
        ZextH => u64::from(a as u16),
        Rol => a.rotate_left(bw & 63),
        Rolw => word(aw.rotate_left(bw & 31)),
        Ror => a.rotate_right(bw & 63),
        Rori => a.rotate_right(shamt & 63),
        Rorw => word(aw.rotate_right(bw & 31)),
        Roriw => word(aw.rotate_right(shamt & 31)),
        OrcB => or_combine(a),
        Rev8 => a.swap_bytes(),

        Bclr => a & !(1 << (b & 63)),
        Bclri => a & !(1 << (shamt & 63)),
        Bext => a >> (b & 63) & 1,
        Bexti => a >> (shamt & 63) & 1,
        Binv => a ^ 1 << (b & 63),
        Binvi => a ^ 1 << (shamt & 63),
        Bset => a | 1 << (b & 63),
        Bseti => a | 1 << (shamt & 63),
        _ => unreachable!("{code:?} is executed elsewhere"),
    }
}

fn word(value: u32) -> u64 {
    value as i32 as u64
}

/// Division by zero gives -1, overflow the dividend (M, table 7.1).
fn divide(a: i64, b: i64) -> u64 {
    if b == 0 { u64::MAX } else { a.wrapping_div(b) as u64 }
}

/// The remainder of a division by zero is the dividend, that of an overflow 0.
fn remainder(a: i64, b: i64) -> u64 {
    if b == 0 { a as u64 } else { a.wrapping_rem(b) as u64 }
}

/// Each byte becomes all ones if it has any (ORC.B).
fn or_combine(a: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let mut any = a | a >> 4;
    any |= any >> 2;
    any |= any >> 1;
    (any & LOW) * 0xff
}

#[cfg(test)]
mod tests {
    use super::evaluate;
    use crate::op::OpCode;

    #[test]
    fn or_combine_does_not_leak_between_bytes() {
        let value = evaluate(OpCode::OrcB, 0x0100_8000_0010_0001, 0, 0);
        assert_eq!(value, 0xff00_ff00_00ff_00ff);
    }

    #[test]
    fn division_never_traps() {
        let min = i64::MIN as u64;
        assert_eq!(evaluate(OpCode::Div, min, u64::MAX, 0), min);
        assert_eq!(evaluate(OpCode::Rem, min, u64::MAX, 0), 0);
        assert_eq!(evaluate(OpCode::Div, 7, 0, 0), u64::MAX);
        assert_eq!(evaluate(OpCode::Rem, 7, 0, 0), 7);
        assert_eq!(evaluate(OpCode::Divw, 0x8000_0000, u64::MAX, 0), i32::MIN as u64);
        assert_eq!(evaluate(OpCode::Remw, 0x8000_0000, u64::MAX, 0), 0);
    }
}
