//! RISC-V floating point: the F and D extensions' arithmetic, as pure functions on raw bits.
//!
//! Every function takes operands as the bits that a register holds, a rounding mode, and the
//! accrued exception flags (`fcsr.fflags`), and returns the bits that the instruction writes. What
//! IEEE 754 leaves open is settled as the *RISC-V Unprivileged Manual* does, in the chapter on "F":
//!
//! - a NaN result is always the canonical NaN ("NaN Generation and Propagation");
//! - tininess is detected after rounding, so underflow needs a result that is tiny *and* inexact
//!   ("Subnormal Arithmetic");
//! - a conversion to an integer that cannot hold the value saturates and raises only NV
//!   ("Single-Precision Floating-Point Conversion and Move Instructions");
//! - FMIN and FMAX are IEEE 754-2019's minimumNumber and maximumNumber, with -0 below +0.
//!
//! ```text
//!  instruction ──► host      the host's own adder, multiplier …; kept when the result proves
//!                   │        that no flag can change
//!                   ▼        not proven
//!                  exact     the same, with a proof that the result needed no rounding
//!                   │
//!                   ▼        not proven
//!                  soft      unpack ──► integer arithmetic ──► round and pack
//! ```
//!
//! The flags are sticky, and nearly every program rounds early and never clears them. From then on
//! an inexact result changes nothing, so the host's result is the whole answer: `host` is a handful
//! of instructions when inlined.
//!
//! Architecture invariant: nothing here reads or writes the host's floating-point environment. The
//! host is only asked for what Rust promises of `f32` and `f64`, correct rounding to nearest even;
//! its NaNs are never handed on.
//!
//! | file | concept |
//! | --- | --- |
//! | `format` | what binary32 and binary64 look like; NaN-boxing |
//! | `host` | FADD, FSUB, FMUL, FDIV, FSQRT, FMADD: the fast path |
//! | `exact` | proofs that the host did not round |
//! | `soft` | unpack, round and pack: the reference for every mode and flag |
//! | `compare` | FEQ, FLT, FLE, FMIN, FMAX, FCLASS, FSGNJ |
//! | `convert` | FCVT between formats, and from and to integers |
//!
//! ```
//! use pagewalk_cpu::fp::{self, Flags, Round};
//!
//! let mut flags = Flags::default();
//! let third = fp::div::<f64>(1f64.to_bits(), 3f64.to_bits(), Round::Rup, &mut flags);
//! assert_eq!(third, (1f64 / 3.0).next_up().to_bits());
//! assert_eq!(flags, Flags(Flags::NX));
//! ```

mod compare;
mod convert;
mod exact;
mod format;
mod host;
mod soft;

pub use compare::{class, classify, eq, le, lt, max, min, sgnj, sgnjn, sgnjx};
pub use convert::{
    from_i32, from_i64, from_u32, from_u64, narrow, to_i32, to_i64, to_u32, to_u64, widen,
};
pub use format::{Float, boxed, unbox};
pub use host::{add, div, mul, mul_add, sqrt, sub};

/// Rounding mode, as the `rm` field of an instruction or `fcsr.frm` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Round {
    /// To nearest, ties to even.
    #[default]
    Rne = 0,
    /// Towards zero.
    Rtz = 1,
    /// Down, towards −∞.
    Rdn = 2,
    /// Up, towards +∞.
    Rup = 3,
    /// To nearest, ties to the larger magnitude.
    Rmm = 4,
}

impl Round {
    /// Every mode, in the order of its encoding.
    pub const ALL: [Round; 5] = [Round::Rne, Round::Rtz, Round::Rdn, Round::Rup, Round::Rmm];

    /// The mode that the three bits select; `None` for 5 and 6 (reserved) and for 7, which means
    /// DYN in an instruction (take `frm` instead) and is reserved in `frm` itself.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Round> {
        match bits {
            0 => Some(Round::Rne),
            1 => Some(Round::Rtz),
            2 => Some(Round::Rdn),
            3 => Some(Round::Rup),
            4 => Some(Round::Rmm),
            _ => None,
        }
    }
}

/// Accrued exceptions, as `fcsr.fflags` holds them: raised by instructions, cleared by software.
///
/// ```text
///   4    3    2    1    0
/// ┌────┬────┬────┬────┬────┐
/// │ NV │ DZ │ OF │ UF │ NX │
/// └────┴────┴────┴────┴────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Inexact: the result was rounded.
    pub const NX: u8 = 1;
    /// Underflow: the rounded result was tiny, and inexact.
    pub const UF: u8 = 2;
    /// Overflow: the rounded result was beyond the largest finite number.
    pub const OF: u8 = 4;
    /// Divide by zero: a finite number other than zero was divided by zero.
    pub const DZ: u8 = 8;
    /// Invalid operation: a signaling NaN, ∞ − ∞, 0 × ∞, 0 ÷ 0, √−1, an integer out of range.
    pub const NV: u8 = 16;

    /// Sets the flags in `mask`; none is ever cleared.
    #[inline]
    pub const fn raise(&mut self, mask: u8) {
        self.0 |= mask;
    }

    /// Whether every flag of `mask` is raised.
    #[inline]
    #[must_use]
    pub const fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

impl core::ops::BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}
