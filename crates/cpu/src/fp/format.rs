//! The two formats, binary32 (S) and binary64 (D), as constants; and NaN-boxing.
//!
//! ```text
//!             sign  exponent (biased)   fraction
//!  binary32   31    30 … 23   (127)     22 … 0
//!  binary64   63    62 … 52  (1023)     51 … 0
//!
//!  exponent   fraction    value
//!  0          0           ±0
//!  0          f           ±0.f × 2^(1 − bias)       subnormal
//!  e          f           ±1.f × 2^(e − bias)
//!  all ones   0           ±∞
//!  all ones   1xxx…       quiet NaN; canonical: positive, the other bits 0
//!  all ones   0xxx… ≠ 0   signaling NaN
//! ```
//!
//! All bit tricks are done in a `u64` with the number in its low bits, so that each is written
//! once for both formats.

use core::fmt::{Debug, LowerHex};
use core::ops::{Add, Div, Mul, Sub};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A floating-point format: `f32` for the instructions that end in `.S`, `f64` for `.D`.
///
/// Sealed: the module's arguments about exactness hold for these two.
pub trait Float:
    sealed::Sealed
    + Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + 'static
{
    /// The unsigned integer of the same width.
    type Bits: Copy + Eq + Debug + LowerHex;

    /// Width in bits.
    const WIDTH: u32;
    /// Bits in a significand, the implicit leading one included.
    const PRECISION: u32;
    /// The largest exponent of a finite number; also the bias.
    const MAX_EXPONENT: i32 = (1 << (Self::WIDTH - Self::PRECISION - 1)) - 1;
    /// The exponent of the smallest normal number.
    const MIN_EXPONENT: i32 = 1 - Self::MAX_EXPONENT;
    /// Bits in the fraction field.
    const FRACTION_BITS: u32 = Self::PRECISION - 1;

    /// The sign bit.
    const SIGN: u64 = 1 << (Self::WIDTH - 1);
    /// +∞: the exponent's field, all ones.
    const INFINITY: u64 = (Self::SIGN - 1) & !Self::FRACTION;
    /// The fraction's field, all ones.
    const FRACTION: u64 = (1 << Self::FRACTION_BITS) - 1;
    /// The smallest normal number; also the implicit leading one of a significand.
    const MIN_NORMAL: u64 = 1 << Self::FRACTION_BITS;
    /// The bit that a quiet NaN has and a signaling one has not.
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);
    /// The canonical NaN, in the low bits of a `u64`.
    const NAN: u64 = Self::INFINITY | Self::QUIET;

    /// The canonical NaN: 0x7fc0_0000 or 0x7ff8_0000_0000_0000.
    const CANONICAL_NAN: Self::Bits;

    /// Zero-extends.
    fn wide(bits: Self::Bits) -> u64;
    /// The low bits.
    fn from_wide(wide: u64) -> Self::Bits;
    /// The host's number with these bits.
    fn host(bits: Self::Bits) -> Self;
    /// The bits of the host's number.
    fn bits(self) -> Self::Bits;
    /// √self, correctly rounded to nearest even.
    fn host_sqrt(self) -> Self;
    /// self × b + c, rounded once to nearest even, where the host has a fast way that is known to
    /// give the right number; `None` where it has not, or where underflow and overflow are near.
    fn host_mul_add(self, b: Self, c: Self) -> Option<Self>;
    /// The same number as an `f64`: exact, but for the bits of a NaN.
    fn to_f64(self) -> f64;
    /// Nearest even.
    fn from_i64(value: i64) -> Self;
    /// Nearest even.
    fn from_u64(value: u64) -> Self;

    /// Whether these bits are a NaN.
    #[inline]
    fn is_nan(bits: Self::Bits) -> bool {
        Self::wide(bits) & !Self::SIGN > Self::INFINITY
    }

    /// Whether these bits are a signaling NaN.
    #[inline]
    fn is_signaling(bits: Self::Bits) -> bool {
        Self::is_nan(bits) && Self::wide(bits) & Self::QUIET == 0
    }

    /// Finite, and above the smallest normal number in magnitude.
    ///
    /// A result of the host for which this holds neither overflowed nor underflowed. The smallest
    /// normal number itself is left out: what rounds up to it may have been tiny still.
    #[inline]
    fn is_settled(self) -> bool {
        let magnitude = Self::wide(self.bits()) & !Self::SIGN;
        magnitude.wrapping_sub(Self::MIN_NORMAL + 1) < Self::INFINITY - Self::MIN_NORMAL - 1
    }

    /// Neither infinite nor a NaN.
    #[inline]
    fn is_finite(self) -> bool {
        Self::wide(self.bits()) & Self::INFINITY != Self::INFINITY
    }

    /// +0 or −0.
    #[inline]
    fn is_zero(self) -> bool {
        Self::wide(self.bits()) & !Self::SIGN == 0
    }
}

impl Float for f32 {
    type Bits = u32;
    const WIDTH: u32 = 32;
    const PRECISION: u32 = f32::MANTISSA_DIGITS;
    const CANONICAL_NAN: u32 = 0x7fc0_0000;

    #[inline]
    fn wide(bits: u32) -> u64 {
        u64::from(bits)
    }

    #[inline]
    fn from_wide(wide: u64) -> u32 {
        wide as u32
    }

    #[inline]
    fn host(bits: u32) -> f32 {
        f32::from_bits(bits)
    }

    #[inline]
    fn bits(self) -> u32 {
        self.to_bits()
    }

    #[inline]
    fn host_sqrt(self) -> f32 {
        self.sqrt()
    }

    /// By way of `f64`, where the product (24 + 24 bits) is exact. The sum is then rounded twice,
    /// which goes wrong only if the first rounding lands on the midpoint of two `f32`s: all
    /// midpoints are `f64`s, and rounding is monotonic, so it never carries a sum across one.
    #[inline]
    fn host_mul_add(self, b: f32, c: f32) -> Option<f32> {
        const DROPPED: u32 = f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS;
        const MIDPOINT: u64 = 1 << (DROPPED - 1);
        let sum = f64::from(self) * f64::from(b) + f64::from(c);
        let result = sum as f32;
        let twice = sum.to_bits() & ((1 << DROPPED) - 1) == MIDPOINT;
        ((!twice && result.is_settled()) || sum == 0.0).then_some(result)
    }

    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline]
    fn from_i64(value: i64) -> f32 {
        value as f32
    }

    #[inline]
    fn from_u64(value: u64) -> f32 {
        value as f32
    }
}

impl Float for f64 {
    type Bits = u64;
    const WIDTH: u32 = 64;
    const PRECISION: u32 = f64::MANTISSA_DIGITS;
    const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

    #[inline]
    fn wide(bits: u64) -> u64 {
        bits
    }

    #[inline]
    fn from_wide(wide: u64) -> u64 {
        wide
    }

    #[inline]
    fn host(bits: u64) -> f64 {
        f64::from_bits(bits)
    }

    #[inline]
    fn bits(self) -> u64 {
        self.to_bits()
    }

    #[inline]
    fn host_sqrt(self) -> f64 {
        self.sqrt()
    }

    /// `f64::mul_add` is one instruction where the target has one, and else a call of the C
    /// library, which is asked only where it is known to be right and quick: glibc rounds
    /// correctly, and picks the instruction at run time on processors that have it.
    #[inline]
    fn host_mul_add(self, b: f64, c: f64) -> Option<f64> {
        const QUICK: bool = cfg!(any(
            target_feature = "fma",
            target_arch = "aarch64",
            all(target_os = "linux", target_env = "gnu"),
        ));
        if !QUICK {
            return None;
        }
        Some(self.mul_add(b, c)).filter(|result| result.is_settled())
    }

    #[inline]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline]
    fn from_i64(value: i64) -> f64 {
        value as f64
    }

    #[inline]
    fn from_u64(value: u64) -> f64 {
        value as f64
    }
}

/// The 32 ones above a NaN-boxed single.
const BOX: u64 = 0xffff_ffff_0000_0000;

/// A single as a 64-bit register holds it: NaN-boxed, all the upper bits ones.
///
/// Manual: "D" extension, "NaN Boxing of Narrower Values".
#[inline]
#[must_use]
pub const fn boxed(single: u32) -> u64 {
    BOX | single as u64
}

/// The single that an instruction reads from a 64-bit register: the canonical NaN unless the
/// register holds a valid box.
///
/// Transfers (FSW, FMV.X.W) take the low bits as they are instead, and must not call this.
#[inline]
#[must_use]
pub const fn unbox(register: u64) -> u32 {
    if register >= BOX { register as u32 } else { <f32 as Float>::CANONICAL_NAN }
}
