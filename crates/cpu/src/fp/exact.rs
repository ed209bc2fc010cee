//! Proofs that the host's result needed no rounding, so that no flag changes in any mode.
//!
//! A program that computes on integers held in floating point may never raise NX; these keep it
//! off the soft path. Each function returns the exact result or `None`: "not proven".
//!
//! Two tools: the error of a host sum is itself computable (Knuth's TwoSum, *TAOCP* 2, §4.2.2,
//! theorem B), and a product of an m-bit and an n-bit significand has at most m + n bits.

use super::Round;
use super::format::Float;

/// An upper bound on the significant bits of a finite number.
fn bits_used<F: Float>(x: F) -> u32 {
    let fraction = F::wide(x.bits()) & F::FRACTION;
    F::PRECISION - fraction.trailing_zeros().min(F::FRACTION_BITS)
}

/// Whether x × y is a significand that fits, whatever its exponent.
fn product_fits<F: Float>(x: F, y: F) -> bool {
    bits_used(x) + bits_used(y) <= F::PRECISION
}

/// a + b.
pub(super) fn add<F: Float>(a: F, b: F, rm: Round) -> Option<F> {
    let sum = a + b;
    // TwoSum: sum + error == a + b exactly, unless it overflows; then error is not a number.
    let b_part = sum - a;
    let a_part = sum - b_part;
    let error = (a - a_part) + (b - b_part);
    // The sign of an exact zero depends on the mode.
    let sign_known = rm == Round::Rne || !sum.is_zero();
    (sum.is_finite() && error.is_zero() && sign_known).then_some(sum)
}

/// a × b.
pub(super) fn mul<F: Float>(a: F, b: F) -> Option<F> {
    let product = a * b;
    let zero = product.is_zero() && (a.is_zero() || b.is_zero());
    (zero || (product.is_settled() && product_fits(a, b))).then_some(product)
}

/// a ÷ b: exact if the quotient times b, itself exact, is a again.
pub(super) fn div<F: Float>(a: F, b: F) -> Option<F> {
    let quotient = a / b;
    let zero = quotient.is_zero() && a.is_zero();
    let settled = quotient.is_settled() && a.is_settled();
    (zero || (settled && product_fits(quotient, b) && quotient * b == a)).then_some(quotient)
}

/// √a: exact if the root's square, itself exact, is a again.
pub(super) fn sqrt<F: Float>(a: F) -> Option<F> {
    let root = a.host_sqrt();
    let square = a.is_settled() && product_fits(root, root) && root * root == a;
    (square || a.is_zero()).then_some(root)
}

/// a × b + c, if the product is exact alone.
pub(super) fn mul_add<F: Float>(a: F, b: F, c: F, rm: Round) -> Option<F> {
    mul(a, b).and_then(|product| add(product, c, rm))
}
