//! The fast path of arithmetic: the host computes, and its result stands if no flag can change.
//!
//! Each function asks two questions. *Is rounding to nearest even, with NX raised already?* Then
//! the host rounds as wanted and inexactness needs no report. *Is the result clear of NV, DZ, OF
//! and UF?* A finite result has none of the first three; for UF see each. Anything else goes to a
//! cold function: try `exact`, then `soft`.

use super::format::Float;
use super::{Flags, Round, exact, soft};

/// Whether the host's rounding is the one asked for, and inexactness is old news.
#[inline(always)]
fn host_will_do(rm: Round, flags: &Flags) -> bool {
    rm == Round::Rne && flags.has(Flags::NX)
}

/// FADD: a + b.
#[inline]
pub fn add<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    if host_will_do(rm, flags) {
        let sum = F::host(a) + F::host(b);
        // A sum is a multiple of the smallest subnormal number: a subnormal one is exact, no UF.
        if sum.is_finite() {
            return sum.bits();
        }
    }
    add_slow::<F>(a, b, rm, flags)
}

#[cold]
#[inline(never)]
fn add_slow<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    match exact::add(F::host(a), F::host(b), rm) {
        Some(sum) => sum.bits(),
        None => soft::add::<F>(a, b, rm, flags),
    }
}

/// FSUB: a − b.
#[inline]
pub fn sub<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    // A NaN with its sign flipped is the same NaN: its sign is never looked at.
    add::<F>(a, F::from_wide(F::wide(b) ^ F::SIGN), rm, flags)
}

/// FMUL: a × b.
#[inline]
pub fn mul<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    if host_will_do(rm, flags) {
        let product = F::host(a) * F::host(b);
        if product.is_settled() {
            return product.bits();
        }
    }
    mul_slow::<F>(a, b, rm, flags)
}

#[cold]
#[inline(never)]
fn mul_slow<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    match exact::mul(F::host(a), F::host(b)) {
        Some(product) => product.bits(),
        None => soft::mul::<F>(a, b, rm, flags),
    }
}

/// FDIV: a ÷ b.
#[inline]
pub fn div<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    if host_will_do(rm, flags) {
        let quotient = F::host(a) / F::host(b);
        if quotient.is_settled() {
            return quotient.bits();
        }
    }
    div_slow::<F>(a, b, rm, flags)
}

#[cold]
#[inline(never)]
fn div_slow<F: Float>(a: F::Bits, b: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    match exact::div(F::host(a), F::host(b)) {
        Some(quotient) => quotient.bits(),
        None => soft::div::<F>(a, b, rm, flags),
    }
}

/// FSQRT: √a.
#[inline]
pub fn sqrt<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    if host_will_do(rm, flags) {
        let root = F::host(a).host_sqrt();
        // Roots are nowhere near the ends of the range.
        if root.is_finite() {
            return root.bits();
        }
    }
    sqrt_slow::<F>(a, rm, flags)
}

#[cold]
#[inline(never)]
fn sqrt_slow<F: Float>(a: F::Bits, rm: Round, flags: &mut Flags) -> F::Bits {
    match exact::sqrt(F::host(a)) {
        Some(root) => root.bits(),
        None => soft::sqrt::<F>(a, rm, flags),
    }
}

/// FMADD: a × b + c, rounded once.
///
/// The other three are this one with sign bits flipped beforehand ([`sgnjn`](super::sgnjn) of an
/// operand with itself): FMSUB flips c, FNMSUB flips a, FNMADD flips a and c.
#[inline]
pub fn mul_add<F: Float>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    rm: Round,
    flags: &mut Flags,
) -> F::Bits {
    if host_will_do(rm, flags)
        && let Some(result) = F::host(a).host_mul_add(F::host(b), F::host(c))
    {
        return result.bits();
    }
    mul_add_slow::<F>(a, b, c, rm, flags)
}

#[cold]
#[inline(never)]
fn mul_add_slow<F: Float>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    rm: Round,
    flags: &mut Flags,
) -> F::Bits {
    match exact::mul_add(F::host(a), F::host(b), F::host(c), rm) {
        Some(result) => result.bits(),
        None => soft::mul_add::<F>(a, b, c, rm, flags),
    }
}
