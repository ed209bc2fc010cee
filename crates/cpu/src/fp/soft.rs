//! The reference: IEEE 754 arithmetic in integers, for every rounding mode and every flag.
//!
//! An operand is *unpacked* into a sign, an exponent and a significand whose leading one is in
//! bit 63. The operation computes on those in 128 bits, exactly, or with everything that fell off
//! the low end gathered ("jammed") into bit 0, the *sticky* bit. [`round_pack`] does the rest for
//! all operations alike: it alone looks at the rounding mode, but for the sign of a zero sum.
//!
//! ```text
//!  127                                    128 − p  127 − p                       0
//! ┌────────────────────────────────────────┬───────┬─────────────────────────────┐
//! │ 1 …     the p bits that are kept       │ half  │ the rest, sticky in bit 0   │
//! └────────────────────────────────────────┴───────┴─────────────────────────────┘
//! ```
//!
//! Why a sticky bit is enough: rounding asks of the dropped bits only whether they are zero, below,
//! at or above one half, and bit 0 lies below the half in every case.

use super::format::Float;
use super::{Flags, Round};

/// A number that is neither zero nor infinite: ± significand × 2^(exponent − 63).
#[derive(Clone, Copy)]
struct Finite {
    negative: bool,
    exponent: i32,
    /// Bit 63 is set.
    significand: u64,
}

enum Unpacked {
    Nan,
    Infinite,
    Zero,
    Finite(Finite),
}

use Unpacked as U;

fn is_negative<F: Float>(bits: F::Bits) -> bool {
    F::wide(bits) & F::SIGN != 0
}

fn unpack<F: Float>(bits: F::Bits) -> Unpacked {
    let magnitude = F::wide(bits) & !F::SIGN;
    if magnitude == 0 {
        return U::Zero;
    }
    if magnitude >= F::INFINITY {
        return if magnitude == F::INFINITY { U::Infinite } else { U::Nan };
    }
    let biased = (magnitude >> F::FRACTION_BITS) as i32;
    let fraction = magnitude & F::FRACTION;
    // Subnormal numbers have the exponent of the smallest normal one, and no implicit one.
    let unaligned = if biased == 0 { fraction } else { fraction | F::MIN_NORMAL };
    let exponent = biased.max(1) - F::MAX_EXPONENT;
    let shift = unaligned.leading_zeros();
    // Bit 63 stands for 2^exponent once a normal number's leading one has moved there.
    let normal_shift = 63 - F::FRACTION_BITS;
    U::Finite(Finite {
        negative: is_negative::<F>(bits),
        exponent: exponent - (shift - normal_shift) as i32,
        significand: unaligned << shift,
    })
}

fn signed<F: Float>(negative: bool, magnitude: u64) -> F::Bits {
    F::from_wide(if negative { magnitude | F::SIGN } else { magnitude })
}

fn zero<F: Float>(negative: bool) -> F::Bits {
    signed::<F>(negative, 0)
}

fn infinity<F: Float>(negative: bool) -> F::Bits {
    signed::<F>(negative, F::INFINITY)
}

/// An operation without a meaningful result: NV, and the canonical NaN.
fn invalid<F: Float>(flags: &mut Flags) -> F::Bits {
    flags.raise(Flags::NV);
    F::CANONICAL_NAN
}

/// The result of an operation with a NaN among its operands: NV only if one is signaling.
fn propagate<F: Float>(operands: &[F::Bits], flags: &mut Flags) -> F::Bits {
    debug_assert!(operands.iter().any(|&bits| F::is_nan(bits)));
    if operands.iter().any(|&bits| F::is_signaling(bits)) {
        flags.raise(Flags::NV);
    }
    F::CANONICAL_NAN
}

/// `significand` without its low `dropped` bits, rounded, and whether that changed the value.
fn round(negative: bool, significand: u128, dropped: u32, rm: Round) -> (u64, bool) {
    const HALF: u128 = 1 << 127;
    debug_assert!(dropped > 64);
    // The dropped bits, moved to the top: a fraction of the last kept bit, with HALF for 1/2.
    let (kept, rest) = match dropped {
        ..128 => ((significand >> dropped) as u64, significand << (128 - dropped)),
        128 => (0, significand),
        _ => (0, u128::from(significand != 0)),
    };
    let up = match rm {
        Round::Rne => rest > HALF || (rest == HALF && kept & 1 == 1),
        Round::Rmm => rest >= HALF,
        Round::Rtz => false,
        Round::Rdn => negative && rest != 0,
        Round::Rup => !negative && rest != 0,
    };
    (kept + u64::from(up), rest != 0)
}

/// Packs ± significand × 2^(exponent − 127), rounded, and raises NX, UF and OF as that requires.
///
/// `significand` is not zero, but its leading one may be anywhere as long as a sticky bit, if any,
/// ends up below the half (see the picture above).
pub(super) fn round_pack<F: Float>(
    negative: bool,
    exponent: i32,
    significand: u128,
    rm: Round,
    flags: &mut Flags,
) -> F::Bits {
    debug_assert_ne!(significand, 0, "zero has no leading one to normalise");
    let shift = significand.leading_zeros();
    let significand = significand << shift;
    let mut exponent = exponent - shift as i32;

    // 1. Round as if the exponent had no bounds.
    let dropped = 128 - F::PRECISION;
    let (mut kept, inexact) = round(negative, significand, dropped, rm);
    let carried = kept == F::MIN_NORMAL << 1;

    // 2. Below the normal range: fewer bits can be kept, so round again, from the exact value.
    //    The number is tiny unless step 1 carried it up to the smallest normal one.
    if exponent < F::MIN_EXPONENT {
        let tiny = !(carried && exponent + 1 == F::MIN_EXPONENT);
        let below = (F::MIN_EXPONENT - exponent) as u32;
        let (kept, inexact) = round(negative, significand, dropped + below, rm);
        if inexact {
            flags.raise(Flags::NX | if tiny { Flags::UF } else { 0 });
        }
        // A carry into the implicit one makes the biased exponent 1, which is what it means.
        debug_assert!(kept <= F::MIN_NORMAL);
        return signed::<F>(negative, kept);
    }

    if carried {
        kept >>= 1;
        exponent += 1;
    }
    // 3. Above the normal range: infinity, unless the mode rounds towards zero here.
    if exponent > F::MAX_EXPONENT {
        flags.raise(Flags::OF | Flags::NX);
        let to_infinity = match rm {
            Round::Rne | Round::Rmm => true,
            Round::Rtz => false,
            Round::Rdn => negative,
            Round::Rup => !negative,
        };
        return signed::<F>(negative, F::INFINITY - u64::from(!to_infinity));
    }

    if inexact {
        flags.raise(Flags::NX);
    }
    debug_assert_eq!(kept >> F::FRACTION_BITS, 1);
    let biased = (exponent + F::MAX_EXPONENT) as u64;
    signed::<F>(negative, (biased << F::FRACTION_BITS) | (kept & F::FRACTION))
}

/// A term of a sum: ± significand × 2^(exponent − 126). Bit 127 is left for the carry.
struct Term {
    negative: bool,
    exponent: i32,
    /// Bit 126 is set, bit 127 is not; bit 0 is not.
    significand: u128,
}

impl Term {
    fn from(x: Finite) -> Term {
        Term {
            negative: x.negative,
            exponent: x.exponent,
            significand: u128::from(x.significand) << 63,
        }
    }

    /// The exact product: p + p significant bits, and 2p < 126.
    fn product(a: Finite, b: Finite) -> Term {
        // [2^126, 2^128), its low bits 0; halved it is worth 2^(a.exponent + b.exponent − 125).
        let product = (u128::from(a.significand) * u128::from(b.significand)) >> 1;
        let shift = product.leading_zeros() - 1;
        debug_assert!(shift <= 1);
        Term {
            negative: a.negative != b.negative,
            exponent: a.exponent + b.exponent + 1 - shift as i32,
            significand: product << shift,
        }
    }
}

/// Shifts right, and jams what falls off into bit 0.
fn shift_right_jam(significand: u128, distance: u32) -> u128 {
    if distance >= 128 {
        return u128::from(significand != 0);
    }
    let shifted = significand >> distance;
    shifted | u128::from(shifted << distance != significand)
}

/// a + b, neither zero.
///
/// Aligning jams bits only if the exponents differ by more than the low zeros of the smaller term,
/// at least 20. The leading one of a difference then is in bit 125 or 126, so that the sticky bit
/// stays where it belongs; any deeper cancellation is exact.
fn sum<F: Float>(a: Term, b: Term, rm: Round, flags: &mut Flags) -> F::Bits {
    let (large, small) =
        if (a.exponent, a.significand) >= (b.exponent, b.significand) { (a, b) } else { (b, a) };
    let aligned = shift_right_jam(small.significand, large.exponent.abs_diff(small.exponent));
    let significand = if large.negative == small.negative {
        large.significand + aligned
    } else {
        large.significand - aligned
    };
    if significand == 0 {
        return zero::<F>(rm == Round::Rdn);
    }
    round_pack::<F>(large.negative, large.exponent + 1, significand, rm, flags)
}

/// The sign of ±0 + ±0: theirs, or else that of an exact zero difference.
fn zero_sum<F: Float>(a: bool, b: bool, rm: Round) -> F::Bits {
    zero::<F>(if a == b { a } else { rm == Round::Rdn })
}

/// FADD. FSUB is this with the sign of `b` flipped.
pub(super) fn add<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    let (a_negative, b_negative) = (is_negative::<F>(a), is_negative::<F>(b));
    match (unpack::<F>(a), unpack::<F>(b)) {
        (U::Nan, _) | (_, U::Nan) => propagate::<F>(&[a, b], flags),
        (U::Infinite, U::Infinite) if a_negative != b_negative => invalid::<F>(flags),
        (U::Infinite, _) => a,
        (_, U::Infinite) => b,
        (U::Zero, U::Zero) => zero_sum::<F>(a_negative, b_negative, rm),
        (_, U::Zero) => a,
        (U::Zero, _) => b,
        (U::Finite(x), U::Finite(y)) => sum::<F>(Term::from(x), Term::from(y), rm, flags),
    }
}

/// FMUL.
pub(super) fn mul<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    let negative = is_negative::<F>(a) != is_negative::<F>(b);
    match (unpack::<F>(a), unpack::<F>(b)) {
        (U::Nan, _) | (_, U::Nan) => propagate::<F>(&[a, b], flags),
        (U::Infinite, U::Zero) | (U::Zero, U::Infinite) => invalid::<F>(flags),
        (U::Infinite, _) | (_, U::Infinite) => infinity::<F>(negative),
        (U::Zero, _) | (_, U::Zero) => zero::<F>(negative),
        (U::Finite(x), U::Finite(y)) => {
            let product = Term::product(x, y);
            round_pack::<F>(negative, product.exponent + 1, product.significand, rm, flags)
        }
    }
}

/// FDIV.
pub(super) fn div<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    let negative = is_negative::<F>(a) != is_negative::<F>(b);
    match (unpack::<F>(a), unpack::<F>(b)) {
        (U::Nan, _) | (_, U::Nan) => propagate::<F>(&[a, b], flags),
        (U::Infinite, U::Infinite) | (U::Zero, U::Zero) => invalid::<F>(flags),
        (U::Infinite, _) => infinity::<F>(negative),
        (U::Zero, _) | (_, U::Infinite) => zero::<F>(negative),
        (U::Finite(_), U::Zero) => {
            flags.raise(Flags::DZ);
            infinity::<F>(negative)
        }
        (U::Finite(x), U::Finite(y)) => {
            // Both significands are in [2^63, 2^64), so the quotient is in (2^62, 2^64): at least
            // 63 bits, and the remainder's stickiness goes into the lowest.
            let dividend = u128::from(x.significand) << 63;
            let divisor = u128::from(y.significand);
            let quotient = dividend / divisor;
            let sticky = u128::from(quotient * divisor != dividend);
            let exponent = x.exponent - y.exponent + (127 - 63);
            round_pack::<F>(negative, exponent, quotient | sticky, rm, flags)
        }
    }
}

/// FSQRT.
pub(super) fn sqrt<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    match unpack::<F>(a) {
        U::Nan => propagate::<F>(&[a], flags),
        U::Zero => a,
        _ if is_negative::<F>(a) => invalid::<F>(flags),
        U::Infinite => a,
        U::Finite(x) => {
            // √(m × 2^2k) = √m × 2^k: shift by one more where the exponent is odd. With m in
            // [2^126, 2^128) its root has 64 bits, and stickiness goes into the lowest.
            let odd = x.exponent.rem_euclid(2);
            let radicand = u128::from(x.significand) << (63 + odd);
            let root = radicand.isqrt();
            let sticky = u128::from(root * root != radicand);
            let exponent = (x.exponent - odd) / 2 + (127 - 63);
            round_pack::<F>(false, exponent, root | sticky, rm, flags)
        }
    }
}

/// FMADD: a × b + c, rounded once.
pub(super) fn mul_add<F: Float>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    rm: Round,
    flags: &mut Flags,
) -> F::Bits {
    let product_negative = is_negative::<F>(a) != is_negative::<F>(b);
    let c_negative = is_negative::<F>(c);
    match (unpack::<F>(a), unpack::<F>(b), unpack::<F>(c)) {
        // "The fused multiply-add instructions must set the invalid operation exception flag when
        // the multiplicands are ∞ and zero, even when the addend is a quiet NaN."
        (U::Infinite, U::Zero, _) | (U::Zero, U::Infinite, _) => invalid::<F>(flags),
        (U::Nan, _, _) | (_, U::Nan, _) | (_, _, U::Nan) => propagate::<F>(&[a, b, c], flags),
        (U::Infinite, _, z) | (_, U::Infinite, z) => {
            if matches!(z, U::Infinite) && c_negative != product_negative {
                return invalid::<F>(flags);
            }
            infinity::<F>(product_negative)
        }
        (_, _, U::Infinite) => c,
        (U::Zero, _, U::Zero) | (_, U::Zero, U::Zero) => {
            zero_sum::<F>(product_negative, c_negative, rm)
        }
        (U::Zero, _, _) | (_, U::Zero, _) => c,
        (U::Finite(x), U::Finite(y), U::Zero) => {
            let product = Term::product(x, y);
            round_pack::<F>(product_negative, product.exponent + 1, product.significand, rm, flags)
        }
        (U::Finite(x), U::Finite(y), U::Finite(z)) => {
            sum::<F>(Term::product(x, y), Term::from(z), rm, flags)
        }
    }
}

/// FCVT.S.D.
#[cold]
#[inline(never)]
pub(super) fn narrow(a: u64, rm: Round, flags: &mut Flags) -> u32 {
    let negative = is_negative::<f64>(a);
    match unpack::<f64>(a) {
        U::Nan => {
            propagate::<f64>(&[a], flags);
            f32::CANONICAL_NAN
        }
        U::Infinite => infinity::<f32>(negative),
        U::Zero => zero::<f32>(negative),
        U::Finite(x) => {
            let significand = u128::from(x.significand);
            round_pack::<f32>(negative, x.exponent + (127 - 63), significand, rm, flags)
        }
    }
}
