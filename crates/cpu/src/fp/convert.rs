//! FCVT: between the formats, and from and to integers.
//!
//! To an integer, no soft arithmetic is needed: what lies between a number and its truncation is
//! computed exactly by the host, and beyond 2^53 all numbers are integers.

use super::format::Float;
use super::{Flags, Round, soft};

/// FCVT.W: to a signed 32-bit integer. On RV64 the register gets it sign-extended.
#[inline]
pub fn to_i32<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> i32 {
    match round_small(F::host(a).to_f64(), rm) {
        Some((value, inexact)) if value == i64::from(value as i32) => {
            flags.raise(inexact);
            value as i32
        }
        _ => to_integer::<F>(a, i32::MIN.into(), i32::MAX.into(), rm, flags) as i32,
    }
}

/// FCVT.WU: to an unsigned 32-bit integer.
///
/// On RV64 the register gets it *sign*-extended all the same: `x as i32 as i64 as u64`. Manual:
/// "FCVT.W\[U\].S sign-extends the 32-bit result to the destination register width."
#[inline]
pub fn to_u32<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> u32 {
    match round_small(F::host(a).to_f64(), rm) {
        Some((value, inexact)) if value == i64::from(value as u32) => {
            flags.raise(inexact);
            value as u32
        }
        _ => to_integer::<F>(a, 0, u32::MAX.into(), rm, flags) as u32,
    }
}

/// FCVT.L: to a signed 64-bit integer.
#[inline]
pub fn to_i64<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> i64 {
    match round_small(F::host(a).to_f64(), rm) {
        Some((value, inexact)) => {
            flags.raise(inexact);
            value
        }
        None => to_integer::<F>(a, i64::MIN.into(), i64::MAX.into(), rm, flags) as i64,
    }
}

/// FCVT.LU: to an unsigned 64-bit integer.
#[inline]
pub fn to_u64<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> u64 {
    match round_small(F::host(a).to_f64(), rm) {
        Some((value, inexact)) if value >= 0 => {
            flags.raise(inexact);
            value as u64
        }
        _ => to_integer::<F>(a, 0, u64::MAX.into(), rm, flags) as u64,
    }
}

/// `a` rounded to an integer, and `Flags::NX` if that changed it; `None` from ±2^62 on and for
/// NaNs, so that no later step can overflow.
#[inline]
fn round_small(a: f64, rm: Round) -> Option<(i64, u8)> {
    const LIMIT: f64 = (1u64 << 62) as f64;
    if !(-LIMIT < a && a < LIMIT) {
        return None;
    }
    let truncated = a as i64;
    // Exact both ways: where there is a fraction, |a| < 2^53.
    let fraction = a - truncated as f64;
    if fraction == 0.0 {
        return Some((truncated, 0));
    }
    let away = if fraction < 0.0 { -1 } else { 1 };
    let step = match rm {
        Round::Rtz => false,
        Round::Rdn => fraction < 0.0,
        Round::Rup => fraction > 0.0,
        Round::Rne => fraction.abs() > 0.5 || (fraction.abs() == 0.5 && truncated & 1 != 0),
        Round::Rmm => fraction.abs() >= 0.5,
    };
    Some((if step { truncated + away } else { truncated }, Flags::NX))
}

/// The rest of the conversions: large numbers, infinities, NaNs, and what the result cannot hold.
///
/// Manual, "F", the table "Domains of float-to-integer conversions and behavior for invalid
/// inputs": a NaN converts as +∞ does. "If the rounded result is not representable in the
/// destination format, it is clipped to the nearest value and the invalid flag is set", and
/// not NX.
#[cold]
#[inline(never)]
fn to_integer<F: Float>(a: F::Bits, min: i128, max: i128, rm: Round, flags: &mut Flags) -> i128 {
    let a = F::host(a).to_f64();
    if a.is_nan() {
        flags.raise(Flags::NV);
        return max;
    }
    // Numbers of 2^62 and more are integers; `as` saturates, far outside of what anyone holds.
    let (value, inexact) = match round_small(a, rm) {
        Some((value, inexact)) => (value.into(), inexact),
        None => (a as i128, 0),
    };
    let clipped = value.clamp(min, max);
    flags.raise(if clipped == value { inexact } else { Flags::NV });
    clipped
}

/// FCVT from W: from a signed 32-bit integer. Always exact in `f64`.
#[inline]
pub fn from_i32<F: Float>(value: i32, rm: Round, flags: &mut Flags) -> F::Bits {
    from_i64::<F>(value.into(), rm, flags)
}

/// FCVT from WU: from an unsigned 32-bit integer. Always exact in `f64`.
#[inline]
pub fn from_u32<F: Float>(value: u32, rm: Round, flags: &mut Flags) -> F::Bits {
    from_i64::<F>(value.into(), rm, flags)
}

/// FCVT from L: from a signed 64-bit integer.
#[inline]
pub fn from_i64<F: Float>(value: i64, rm: Round, flags: &mut Flags) -> F::Bits {
    let fits = value.unsigned_abs() <= 1 << F::PRECISION;
    if fits || (rm == Round::Rne && flags.has(Flags::NX)) {
        return F::from_i64(value).bits();
    }
    from_magnitude::<F>(value < 0, value.unsigned_abs(), rm, flags)
}

/// FCVT from LU: from an unsigned 64-bit integer.
#[inline]
pub fn from_u64<F: Float>(value: u64, rm: Round, flags: &mut Flags) -> F::Bits {
    let fits = value <= 1 << F::PRECISION;
    if fits || (rm == Round::Rne && flags.has(Flags::NX)) {
        return F::from_u64(value).bits();
    }
    from_magnitude::<F>(false, value, rm, flags)
}

#[cold]
#[inline(never)]
fn from_magnitude<F: Float>(
    negative: bool,
    magnitude: u64,
    rm: Round,
    flags: &mut Flags,
) -> F::Bits {
    soft::round_pack::<F>(negative, 127, magnitude.into(), rm, flags)
}

/// FCVT.D.S: to the wider format. Exact; a NaN becomes the canonical one.
#[inline]
pub fn widen(a: u32, flags: &mut Flags) -> u64 {
    let wide = f64::from(f32::from_bits(a));
    if wide.is_nan() {
        if f32::is_signaling(a) {
            flags.raise(Flags::NV);
        }
        return f64::CANONICAL_NAN;
    }
    wide.to_bits()
}

/// FCVT.S.D: to the narrower format.
#[inline]
pub fn narrow(a: u64, rm: Round, flags: &mut Flags) -> u32 {
    let exact = f64::from_bits(a);
    let result = exact as f32;
    // The same number (or infinity) in any mode; or else rounded, with nothing to report.
    if f64::from(result) == exact
        || (rm == Round::Rne && flags.has(Flags::NX) && result.is_settled())
    {
        return result.to_bits();
    }
    soft::narrow(a, rm, flags)
}
