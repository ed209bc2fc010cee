//! `fp` against Berkeley SoftFloat 3e, built with its RISC-V specialisation: result bits and flags
//! of every operation, in every rounding mode and both formats.
//!
//! Each case is computed with the flags clear, with NX raised (which lets the host's arithmetic
//! answer), and with all but NX raised. SoftFloat keeps its state per thread, and detects tininess
//! after rounding by default. What its Rust wrapper leaves out is filled in here:
//!
//! - conversions to integers are called with `exact = false`, so that NX is not reported; it is
//!   derived from `round_to_integral`;
//! - there is only one `compare`, which is signaling; whether an operand is a signaling NaN, all
//!   that matters to the quiet FEQ, is asked of an addition;
//! - minimum, maximum, classification and sign injection do not exist; written out from the manual.

use std::cmp::Ordering;
use std::fmt::Debug;

use pagewalk_cpu::fp::{self, Flags, Float, Round};
use softfloat_wrapper_riscv::{ExceptionFlags, F32, F64, Float as Soft, RoundingMode};

#[path = "../../fp/cases.rs"]
mod cases;

use cases::{Random, integers, table, triples};

/// Random operand triples per format; `PAGEWALK_FP_CASES` asks for more.
const CASES: usize = 200_000;

fn mode(rm: Round) -> RoundingMode {
    match rm {
        Round::Rne => RoundingMode::TiesToEven,
        Round::Rtz => RoundingMode::TowardZero,
        Round::Rdn => RoundingMode::TowardNegative,
        Round::Rup => RoundingMode::TowardPositive,
        Round::Rmm => RoundingMode::TiesToAway,
    }
}

/// Runs SoftFloat with clear flags, and returns what it raised.
fn soft<T>(operation: impl FnOnce() -> T) -> (T, u8) {
    ExceptionFlags::from_bits(0).set();
    let result = operation();
    let mut flags = ExceptionFlags::default();
    flags.get();
    (result, flags.bits())
}

/// Runs `ours` with each of three initial flags.
fn check<T: PartialEq + Debug>(
    what: &str,
    rm: Round,
    operands: &[u64],
    (expected, raised): (T, u8),
    ours: impl Fn(&mut Flags) -> T,
) {
    for before in [0, Flags::NX, 0x1f & !Flags::NX] {
        let mut flags = Flags(before);
        let result = ours(&mut flags);
        assert!(
            result == expected && flags.0 == before | raised,
            "{what} {rm:?} {operands:x?}: got {result:x?}, flags {before:#07b} -> {:#07b}; \
             SoftFloat: {expected:x?}, raises {raised:#07b}",
            flags.0,
        );
    }
}

/// A format of ours with SoftFloat's type for it.
trait Format: Float {
    type Soft: Soft<Payload = Self::Bits>;
}

impl Format for f32 {
    type Soft = F32;
}

impl Format for f64 {
    type Soft = F64;
}

fn soft_of<F: Format>(wide: u64) -> F::Soft {
    F::Soft::from_bits(F::from_wide(wide))
}

fn random_cases<F: Format>(check: impl FnMut([u64; 3])) {
    let cases = std::env::var("PAGEWALK_FP_CASES").ok().and_then(|n| n.parse().ok());
    triples::<F>().take(cases.unwrap_or(CASES)).for_each(check);
}

fn check_binary<F: Format>(rm: Round, a: u64, b: u64) {
    let (x, y) = (soft_of::<F>(a), soft_of::<F>(b));
    let (p, q) = (F::from_wide(a), F::from_wide(b));
    let m = mode(rm);
    check("add", rm, &[a, b], soft(|| x.add(&y, m).bits()), |f| fp::add::<F>(p, q, rm, f));
    check("sub", rm, &[a, b], soft(|| x.sub(&y, m).bits()), |f| fp::sub::<F>(p, q, rm, f));
    check("mul", rm, &[a, b], soft(|| x.mul(&y, m).bits()), |f| fp::mul::<F>(p, q, rm, f));
    check("div", rm, &[a, b], soft(|| x.div(&y, m).bits()), |f| fp::div::<F>(p, q, rm, f));
}

fn check_mul_add<F: Format>(rm: Round, [a, b, c]: [u64; 3]) {
    let expected =
        soft(|| soft_of::<F>(a).fused_mul_add(&soft_of::<F>(b), &soft_of::<F>(c), mode(rm)).bits());
    check("mul_add", rm, &[a, b, c], expected, |f| {
        fp::mul_add::<F>(F::from_wide(a), F::from_wide(b), F::from_wide(c), rm, f)
    });
}

/// Square root and conversions to integers.
fn check_unary<F: Format>(rm: Round, a: u64) {
    let (x, p, m) = (soft_of::<F>(a), F::from_wide(a), mode(rm));
    check("sqrt", rm, &[a], soft(|| x.sqrt(m).bits()), |f| fp::sqrt::<F>(p, rm, f));

    let integral = x.round_to_integral(RoundingMode::TowardZero).bits() == p;
    let with_nx = |flags: u8| match flags {
        0 if !integral => Flags::NX,
        _ => flags,
    };
    let (value, flags) = soft(|| x.to_i32(m));
    check("to_i32", rm, &[a], (value, with_nx(flags)), |f| fp::to_i32::<F>(p, rm, f));
    let (value, flags) = soft(|| x.to_u32(m));
    check("to_u32", rm, &[a], (value, with_nx(flags)), |f| fp::to_u32::<F>(p, rm, f));
    let (value, flags) = soft(|| x.to_i64(m));
    check("to_i64", rm, &[a], (value, with_nx(flags)), |f| fp::to_i64::<F>(p, rm, f));
    let (value, flags) = soft(|| x.to_u64(m));
    check("to_u64", rm, &[a], (value, with_nx(flags)), |f| fp::to_u64::<F>(p, rm, f));
}

fn check_narrow(rm: Round, a: u64) {
    let expected = soft(|| F64::from_bits(a).to_f32(mode(rm)).bits());
    check("narrow", rm, &[a], expected, |f| fp::narrow(a, rm, f));
}

fn check_widen(a: u64) {
    let expected = soft(|| F32::from_bits(a as u32).to_f64(RoundingMode::TiesToEven).bits());
    check("widen", Round::Rne, &[a], expected, |f| fp::widen(a as u32, f));
}

/// Place in the order −∞ … −0 +0 … +∞ of numbers.
fn order<F: Format>(a: u64) -> i64 {
    let magnitude = (a & !F::SIGN) as i64;
    if a & F::SIGN == 0 { magnitude } else { -1 - magnitude }
}

fn check_compare<F: Format>(a: u64, b: u64) {
    let (p, q) = (F::from_wide(a), F::from_wide(b));
    let (x, y) = (soft_of::<F>(a), soft_of::<F>(b));
    let rm = Round::Rne;

    let (ordering, signaling) = soft(|| x.compare(&y));
    let less = ordering == Some(Ordering::Less);
    let equal = ordering == Some(Ordering::Equal);
    let m = RoundingMode::TiesToEven;
    let (_, quiet) = soft(|| [x.add(&x, m), y.add(&y, m)]);
    let quiet = quiet & Flags::NV;
    check("lt", rm, &[a, b], (less, signaling), |f| fp::lt::<F>(p, q, f));
    check("le", rm, &[a, b], (less || equal, signaling), |f| fp::le::<F>(p, q, f));
    check("eq", rm, &[a, b], (equal, quiet), |f| fp::eq::<F>(p, q, f));

    let [nan_a, nan_b] = [a, b].map(|x| x & !F::SIGN > F::INFINITY);
    let (min, max) = match (nan_a, nan_b) {
        (true, true) => (F::NAN, F::NAN),
        (true, false) => (b, b),
        (false, true) => (a, a),
        _ if order::<F>(a) < order::<F>(b) => (a, b),
        _ => (b, a),
    };
    let (min, max) = (F::from_wide(min), F::from_wide(max));
    check("min", rm, &[a, b], (min, quiet), |f| fp::min::<F>(p, q, f));
    check("max", rm, &[a, b], (max, quiet), |f| fp::max::<F>(p, q, f));

    let sign = |of: u64, flip: bool| ((of & F::SIGN != 0) != flip, a & !F::SIGN);
    let split = |bits: F::Bits| (F::wide(bits) & F::SIGN != 0, F::wide(bits) & !F::SIGN);
    assert_eq!(split(fp::sgnj::<F>(p, q)), sign(b, false));
    assert_eq!(split(fp::sgnjn::<F>(p, q)), sign(b, true));
    assert_eq!(split(fp::sgnjx::<F>(p, q)), sign(a, b & F::SIGN != 0));
}

fn check_classify<F: Format>(a: u64) {
    let x = soft_of::<F>(a);
    let (_, flags) = soft(|| x.add(&x, RoundingMode::TiesToEven));
    let classes = [
        x.is_negative_infinity(),
        x.is_negative_normal(),
        x.is_negative_subnormal() && !x.is_negative_zero(),
        x.is_negative_zero(),
        x.is_positive_zero(),
        x.is_positive_subnormal() && !x.is_positive_zero(),
        x.is_positive_normal(),
        x.is_positive_infinity(),
        x.is_nan() && flags & Flags::NV != 0,
        x.is_nan() && flags & Flags::NV == 0,
    ];
    let expected: u32 = classes.iter().enumerate().map(|(i, &is)| u32::from(is) << i).sum();
    assert_eq!(expected.count_ones(), 1);
    assert_eq!(fp::classify::<F>(F::from_wide(a)), expected, "classify {a:x}");
}

fn check_from_integer<F: Format>(rm: Round, value: u64) {
    let m = mode(rm);
    let (i, u) = (value as i32, value as u32);
    let (l, v) = (value as i64, [value]);
    check("from_i32", rm, &v, soft(|| F::Soft::from_i32(i, m).bits()), |f| {
        fp::from_i32::<F>(i, rm, f)
    });
    check("from_u32", rm, &v, soft(|| F::Soft::from_u32(u, m).bits()), |f| {
        fp::from_u32::<F>(u, rm, f)
    });
    check("from_i64", rm, &v, soft(|| F::Soft::from_i64(l, m).bits()), |f| {
        fp::from_i64::<F>(l, rm, f)
    });
    check("from_u64", rm, &v, soft(|| F::Soft::from_u64(value, m).bits()), |f| {
        fp::from_u64::<F>(value, rm, f)
    });
}

fn binary_table<F: Format>() {
    let table = table::<F>();
    for rm in Round::ALL {
        for &a in &table {
            for &b in &table {
                check_binary::<F>(rm, a, b);
            }
        }
    }
}

fn mul_add_table<F: Format>() {
    // Every third value: coprime to the table's halves, so that both signs are there.
    let table: Vec<u64> = table::<F>().into_iter().step_by(3).collect();
    for rm in Round::ALL {
        for &a in &table {
            for &b in &table {
                for &c in &table {
                    check_mul_add::<F>(rm, [a, b, c]);
                }
            }
        }
    }
}

fn compare_all<F: Format>() {
    let table = table::<F>();
    for &a in &table {
        check_classify::<F>(a);
        for &b in &table {
            check_compare::<F>(a, b);
        }
    }
    random_cases::<F>(|[a, b, c]| {
        check_classify::<F>(a);
        check_compare::<F>(a, b);
        check_compare::<F>(a, c);
    });
}

fn unary_all<F: Format>() {
    for rm in Round::ALL {
        for a in table::<F>() {
            check_unary::<F>(rm, a);
        }
    }
    random_cases::<F>(|[a, ..]| {
        for rm in Round::ALL {
            check_unary::<F>(rm, a);
        }
    });
}

fn from_integer_all<F: Format>() {
    for value in integers(CASES / 4) {
        for rm in Round::ALL {
            check_from_integer::<F>(rm, value);
        }
    }
}

#[test]
fn add_sub_mul_div_on_all_pairs_of_nasty_values() {
    binary_table::<f32>();
    binary_table::<f64>();
}

#[test]
fn add_sub_mul_div_on_random_values_f32() {
    random_cases::<f32>(|[a, b, _]| {
        Round::ALL.into_iter().for_each(|rm| check_binary::<f32>(rm, a, b));
    });
}

#[test]
fn add_sub_mul_div_on_random_values_f64() {
    random_cases::<f64>(|[a, b, _]| {
        Round::ALL.into_iter().for_each(|rm| check_binary::<f64>(rm, a, b));
    });
}

#[test]
fn mul_add_on_triples_of_nasty_values() {
    mul_add_table::<f32>();
    mul_add_table::<f64>();
}

#[test]
fn mul_add_on_random_values() {
    random_cases::<f32>(|abc| {
        Round::ALL.into_iter().for_each(|rm| check_mul_add::<f32>(rm, abc));
    });
    random_cases::<f64>(|abc| {
        Round::ALL.into_iter().for_each(|rm| check_mul_add::<f64>(rm, abc));
    });
}

#[test]
fn sqrt_and_conversions_to_integers() {
    unary_all::<f32>();
    unary_all::<f64>();
}

#[test]
fn conversions_from_integers() {
    from_integer_all::<f32>();
    from_integer_all::<f64>();
}

#[test]
fn conversions_between_the_formats() {
    let check_narrow = |a| {
        Round::ALL.into_iter().for_each(|rm| check_narrow(rm, a));
    };
    table::<f64>().into_iter().for_each(check_narrow);
    table::<f32>().into_iter().for_each(check_widen);
    random_cases::<f32>(|abc| abc.into_iter().for_each(check_widen));
    random_cases::<f64>(|[a, ..]| check_narrow(a));
    // The narrow format's whole range, and a little beyond both ends, in the wide one.
    let mut random = Random(10);
    for _ in 0..CASES {
        let exponent = 1023 - 155 + random.below(290);
        let sign = random.next() & f64::SIGN;
        check_narrow(sign | (exponent << 52) | random.fraction::<f64>());
        check_narrow(sign | (exponent << 52) | (random.fraction::<f32>() << 29));
    }
}

#[test]
fn comparison_minimum_maximum_class_and_sign() {
    compare_all::<f32>();
    compare_all::<f64>();
}
