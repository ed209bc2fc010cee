//! Comparison, minimum and maximum, classification, sign injection: nothing here rounds.
//!
//! The host's `==`, `<` and `<=` are IEEE 754's, false where an operand is a NaN. So only a false
//! answer makes anyone look for NaNs.

use super::Flags;
use super::format::Float;

/// FEQ: a == b. Quiet: NV only for a signaling NaN.
#[inline]
pub fn eq<F: Float>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> bool {
    let equal = F::host(a) == F::host(b);
    if !equal && (F::is_signaling(a) || F::is_signaling(b)) {
        flags.raise(Flags::NV);
    }
    equal
}

/// FLT: a < b. Signaling: NV for any NaN.
#[inline]
pub fn lt<F: Float>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> bool {
    let less = F::host(a) < F::host(b);
    if !less && (F::is_nan(a) || F::is_nan(b)) {
        flags.raise(Flags::NV);
    }
    less
}

/// FLE: a ≤ b. Signaling: NV for any NaN.
#[inline]
pub fn le<F: Float>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> bool {
    let less = F::host(a) <= F::host(b);
    if !less && (F::is_nan(a) || F::is_nan(b)) {
        flags.raise(Flags::NV);
    }
    less
}

/// FMIN: the smaller operand, −0 below +0; the number if the other one is a NaN. NV only for a
/// signaling NaN.
#[inline]
pub fn min<F: Float>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> F::Bits {
    let (x, y) = (F::host(a), F::host(b));
    if x < y {
        a
    } else if y < x {
        b
    } else if x == y {
        // The same bits, or two zeros: −0 if there is one.
        F::from_wide(F::wide(a) | F::wide(b))
    } else {
        the_number::<F>(a, b, flags)
    }
}

/// FMAX: the larger operand, otherwise as [`min`].
#[inline]
pub fn max<F: Float>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> F::Bits {
    let (x, y) = (F::host(a), F::host(b));
    if x > y {
        a
    } else if y > x {
        b
    } else if x == y {
        // The same bits, or two zeros: +0 if there is one.
        F::from_wide(F::wide(a) & F::wide(b))
    } else {
        the_number::<F>(a, b, flags)
    }
}

/// FMIN or FMAX with a NaN: the operand that is a number, or else the canonical NaN.
#[cold]
#[inline(never)]
fn the_number<F: Float>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> F::Bits {
    if F::is_signaling(a) || F::is_signaling(b) {
        flags.raise(Flags::NV);
    }
    if !F::is_nan(a) {
        a
    } else if !F::is_nan(b) {
        b
    } else {
        F::CANONICAL_NAN
    }
}

/// The bits of [`classify`]'s result. Manual: "F", "Single-Precision Floating-Point Classify
/// Instruction", the table "Format of result of FCLASS instruction".
pub mod class {
    /// −∞.
    pub const NEGATIVE_INFINITY: u32 = 1 << 0;
    /// A negative normal number.
    pub const NEGATIVE_NORMAL: u32 = 1 << 1;
    /// A negative subnormal number.
    pub const NEGATIVE_SUBNORMAL: u32 = 1 << 2;
    /// −0.
    pub const NEGATIVE_ZERO: u32 = 1 << 3;
    /// +0.
    pub const POSITIVE_ZERO: u32 = 1 << 4;
    /// A positive subnormal number.
    pub const POSITIVE_SUBNORMAL: u32 = 1 << 5;
    /// A positive normal number.
    pub const POSITIVE_NORMAL: u32 = 1 << 6;
    /// +∞.
    pub const POSITIVE_INFINITY: u32 = 1 << 7;
    /// A signaling NaN of either sign.
    pub const SIGNALING_NAN: u32 = 1 << 8;
    /// A quiet NaN of either sign.
    pub const QUIET_NAN: u32 = 1 << 9;
}

/// FCLASS: exactly one of the bits in [`class`].
#[inline]
#[must_use]
pub fn classify<F: Float>(a: F::Bits) -> u32 {
    let magnitude = F::wide(a) & !F::SIGN;
    let negative = F::wide(a) & F::SIGN != 0;
    let pick = |if_negative, if_positive| if negative { if_negative } else { if_positive };
    if magnitude > F::INFINITY {
        if magnitude & F::QUIET == 0 { class::SIGNALING_NAN } else { class::QUIET_NAN }
    } else if magnitude == F::INFINITY {
        pick(class::NEGATIVE_INFINITY, class::POSITIVE_INFINITY)
    } else if magnitude >= F::MIN_NORMAL {
        pick(class::NEGATIVE_NORMAL, class::POSITIVE_NORMAL)
    } else if magnitude != 0 {
        pick(class::NEGATIVE_SUBNORMAL, class::POSITIVE_SUBNORMAL)
    } else {
        pick(class::NEGATIVE_ZERO, class::POSITIVE_ZERO)
    }
}

/// FSGNJ: a with b's sign. With b = a, FMV. NaNs are not canonicalised, no flag is raised.
#[inline]
#[must_use]
pub fn sgnj<F: Float>(a: F::Bits, b: F::Bits) -> F::Bits {
    F::from_wide((F::wide(a) & !F::SIGN) | (F::wide(b) & F::SIGN))
}

/// FSGNJN: a with the opposite of b's sign. With b = a, FNEG.
#[inline]
#[must_use]
pub fn sgnjn<F: Float>(a: F::Bits, b: F::Bits) -> F::Bits {
    F::from_wide((F::wide(a) & !F::SIGN) | (!F::wide(b) & F::SIGN))
}

/// FSGNJX: a, its sign flipped if b is negative. With b = a, FABS.
#[inline]
#[must_use]
pub fn sgnjx<F: Float>(a: F::Bits, b: F::Bits) -> F::Bits {
    F::from_wide(F::wide(a) ^ (F::wide(b) & F::SIGN))
}
