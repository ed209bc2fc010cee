//! `fp` on its own: results pinned, and the same whether the host's arithmetic answered or not.
//!
//! Every pinned case is among those that `tests/softfloat` checks, bit by bit and flag by flag,
//! against Berkeley SoftFloat, and was pinned while that check passed. It has to be run by hand:
//! its C code builds on x86-64 Linux only. If a pin fails here, run it to see the operands:
//!
//! ```text
//! cargo test --manifest-path crates/cpu/tests/softfloat/Cargo.toml
//! ```

use pagewalk_cpu::fp::{self, Flags, Float, Round};

#[path = "fp/cases.rs"]
mod cases;

use cases::{integers, table, triples};

/// Random operand triples per operation, format and rounding mode.
const CASES: usize = 10_000;

/// FNV-1a over results and flags.
struct Digest(u64);

impl Digest {
    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 ^= self.0 >> 32;
    }
}

/// One number for what `operation` does with all `operands`.
///
/// With NX raised beforehand it has to do the same: that is when the host's arithmetic answers.
fn digest<T>(operands: impl Iterator<Item = T>, operation: impl Fn(&T, &mut Flags) -> u64) -> u64 {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    for operands in operands {
        let (mut clear, mut inexact) = (Flags(0), Flags(Flags::NX));
        let result = operation(&operands, &mut clear);
        assert_eq!(operation(&operands, &mut inexact), result);
        assert_eq!(inexact.0, clear.0 | Flags::NX);
        digest.add(result);
        digest.add(clear.0.into());
    }
    digest.0
}

fn all_triples<F: Float>() -> impl Iterator<Item = [u64; 3]> {
    let table = table::<F>();
    let pairs: Vec<_> = table.iter().flat_map(|&a| table.iter().map(move |&b| [a, b, a])).collect();
    pairs.into_iter().chain(triples::<F>().take(CASES))
}

/// Digests of every operation that rounds, in one mode.
fn rounding<F: Float>(rm: Round) -> Vec<(&'static str, u64)> {
    let n = F::from_wide;
    let w = F::wide;
    let all = all_triples::<F>;
    let ints = || integers(CASES);
    vec![
        ("add", digest(all(), |x, f| w(fp::add::<F>(n(x[0]), n(x[1]), rm, f)))),
        ("sub", digest(all(), |x, f| w(fp::sub::<F>(n(x[0]), n(x[1]), rm, f)))),
        ("mul", digest(all(), |x, f| w(fp::mul::<F>(n(x[0]), n(x[1]), rm, f)))),
        ("div", digest(all(), |x, f| w(fp::div::<F>(n(x[0]), n(x[1]), rm, f)))),
        ("sqrt", digest(all(), |x, f| w(fp::sqrt::<F>(n(x[0]), rm, f)))),
        ("mul_add", {
            // Random operands only: the table's triples are too many for here.
            let random = triples::<F>().take(CASES);
            digest(random, |x, f| w(fp::mul_add::<F>(n(x[0]), n(x[1]), n(x[2]), rm, f)))
        }),
        ("to_i32", digest(all(), |x, f| fp::to_i32::<F>(n(x[0]), rm, f) as u64)),
        ("to_u32", digest(all(), |x, f| fp::to_u32::<F>(n(x[0]), rm, f).into())),
        ("to_i64", digest(all(), |x, f| fp::to_i64::<F>(n(x[0]), rm, f) as u64)),
        ("to_u64", digest(all(), |x, f| fp::to_u64::<F>(n(x[0]), rm, f))),
        ("from_i32", digest(ints(), |&x, f| w(fp::from_i32::<F>(x as i32, rm, f)))),
        ("from_u32", digest(ints(), |&x, f| w(fp::from_u32::<F>(x as u32, rm, f)))),
        ("from_i64", digest(ints(), |&x, f| w(fp::from_i64::<F>(x as i64, rm, f)))),
        ("from_u64", digest(ints(), |&x, f| w(fp::from_u64::<F>(x, rm, f)))),
    ]
}

/// Digests of the operations that do not round.
fn exact<F: Float>() -> Vec<(&'static str, u64)> {
    let n = F::from_wide;
    let w = F::wide;
    let all = all_triples::<F>;
    vec![
        ("eq", digest(all(), |x, f| fp::eq::<F>(n(x[0]), n(x[1]), f).into())),
        ("lt", digest(all(), |x, f| fp::lt::<F>(n(x[0]), n(x[1]), f).into())),
        ("le", digest(all(), |x, f| fp::le::<F>(n(x[0]), n(x[1]), f).into())),
        ("min", digest(all(), |x, f| w(fp::min::<F>(n(x[0]), n(x[1]), f)))),
        ("max", digest(all(), |x, f| w(fp::max::<F>(n(x[0]), n(x[1]), f)))),
        ("sgnj", digest(all(), |x, _| w(fp::sgnj::<F>(n(x[0]), n(x[1]))))),
        ("sgnjn", digest(all(), |x, _| w(fp::sgnjn::<F>(n(x[0]), n(x[1]))))),
        ("sgnjx", digest(all(), |x, _| w(fp::sgnjx::<F>(n(x[0]), n(x[1]))))),
        ("classify", digest(all(), |x, _| fp::classify::<F>(n(x[0])).into())),
    ]
}

/// Everything, a line each: what `fp/pinned.txt` holds.
fn report() -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut line = |format: &str, rm: &str, digests: Vec<(&str, u64)>| {
        for (operation, digest) in digests {
            writeln!(text, "{format} {rm} {operation} {digest:016x}").expect("a string");
        }
    };
    for rm in Round::ALL {
        let name = format!("{rm:?}");
        line("s", &name, rounding::<f32>(rm));
        line("d", &name, rounding::<f64>(rm));
        let narrow = digest(all_triples::<f64>(), |x, f| fp::narrow(x[0], rm, f).into());
        line("d", &name, vec![("narrow", narrow)]);
    }
    line("s", "-", exact::<f32>());
    line("d", "-", exact::<f64>());
    let widen = digest(all_triples::<f32>(), |x, f| fp::widen(x[0] as u32, f));
    line("s", "-", vec![("widen", widen)]);
    text
}

#[test]
fn results_and_flags_are_those_pinned() {
    let (report, pinned) = (report(), include_str!("fp/pinned.txt"));
    let changed: Vec<_> = report.lines().filter(|line| !pinned.contains(line)).collect();
    assert!(changed.is_empty(), "not as pinned:\n{}", changed.join("\n"));
    assert_eq!(report, pinned);
}

#[test]
#[ignore = "writes the pins: run only when tests/softfloat passes"]
fn pin() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fp/pinned.txt");
    std::fs::write(path, report()).expect("pins are written");
}

/// The other three multiply-adds by sign flips, as `mul_add` documents it.
#[test]
fn the_fused_family() {
    let [a, b, c] = [3.0f64, 5.0, 7.0].map(f64::to_bits);
    let negated = |x: u64| fp::sgnjn::<f64>(x, x);
    let compute =
        |a, b, c| f64::from_bits(fp::mul_add::<f64>(a, b, c, Round::Rne, &mut Flags::default()));
    assert_eq!(compute(a, b, c), 22.0, "FMADD = a × b + c");
    assert_eq!(compute(a, b, negated(c)), 8.0, "FMSUB = a × b − c");
    assert_eq!(compute(negated(a), b, c), -8.0, "FNMSUB = −(a × b) + c");
    assert_eq!(compute(negated(a), b, negated(c)), -22.0, "FNMADD = −(a × b) − c");
}

#[test]
fn nan_boxing() {
    assert_eq!(fp::boxed(0x3f80_0000), 0xffff_ffff_3f80_0000);
    assert_eq!(fp::unbox(0xffff_ffff_3f80_0000), 0x3f80_0000);
    assert_eq!(fp::unbox(0xffff_ffff_0000_0000), 0);
    assert_eq!(fp::unbox(0xffff_fffe_3f80_0000), f32::CANONICAL_NAN);
    assert_eq!(fp::unbox(0x7fff_ffff_3f80_0000), f32::CANONICAL_NAN);
    assert_eq!(fp::unbox(0), f32::CANONICAL_NAN);
    for bits in [u64::from(f32::CANONICAL_NAN), <f32 as Float>::NAN] {
        assert_eq!(bits, 0x7fc0_0000);
    }
    for bits in [f64::CANONICAL_NAN, <f64 as Float>::NAN] {
        assert_eq!(bits, 0x7ff8_0000_0000_0000);
    }
}

#[test]
fn rounding_modes_and_flags_are_encoded_as_in_fcsr() {
    for (encoding, rm) in Round::ALL.into_iter().enumerate() {
        assert_eq!(Round::from_bits(encoding as u8), Some(rm));
        assert_eq!(rm as usize, encoding);
    }
    assert!((5..=255).all(|reserved| Round::from_bits(reserved).is_none()));

    let mut flags = Flags(Flags::UF);
    flags |= Flags(Flags::NX);
    flags.raise(Flags::NV);
    assert_eq!(flags, Flags(0b10011));
    assert!(flags.has(Flags::NV | Flags::UF) && !flags.has(Flags::NV | Flags::OF));
}
