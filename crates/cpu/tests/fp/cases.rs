//! The operands that `fp` is tested on. Shared by `tests/fp.rs`, which pins the results, and
//! `tests/softfloat`, which checks them against Berkeley SoftFloat.

use pagewalk_cpu::fp::Float;

/// Magnitudes where conversions turn, in either format.
fn interesting() -> impl Iterator<Item = f64> {
    let mut values = vec![0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 10.0, 1.0 / 3.0];
    for limit in [31, 32, 63, 64].map(|bits| 2f64.powi(bits)) {
        values.extend([limit - 1.0, limit - 0.5, limit, limit + 0.5, limit + 1.0, limit + 1.5]);
        values.extend([limit.next_down(), f64::from((limit as f32).next_down())]);
    }
    values.extend([24, 53].map(|bits| 2f64.powi(bits) + 1.0));
    values.extend([f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), f64::from(f32::EPSILON)]);
    // Halfway to what binary32 cannot hold, at both ends.
    values.extend([2f64.powi(128) - 2f64.powi(103), 2f64.powi(-150), 2f64.powi(-126).next_down()]);
    values.push(2f64.powi(-126) - 2f64.powi(-151));
    values.into_iter()
}

/// Both signs of every value that has ever broken a floating-point unit.
pub fn table<F: Float>() -> Vec<u64> {
    let one = (F::MAX_EXPONENT as u64) << F::FRACTION_BITS;
    let max = F::INFINITY - 1;
    let mut bits = vec![
        0,
        1,
        2,
        3,
        F::MIN_NORMAL / 2,
        F::MIN_NORMAL - 2,
        F::MIN_NORMAL - 1,
        F::MIN_NORMAL,
        F::MIN_NORMAL + 1,
        F::MIN_NORMAL * 2 - 1,
        F::MIN_NORMAL * 2,
        one - 2,
        one - 1,
        one + 1,
        one + 2,
        max - 1,
        max,
        F::INFINITY - F::MIN_NORMAL,
        F::INFINITY,
        F::INFINITY | 1,
        F::INFINITY | (F::QUIET - 1),
        F::NAN,
        F::NAN | 1,
        F::INFINITY | F::FRACTION,
        // Near the square roots of the ends of the range, and the precision's reach from them.
        one - (((F::MAX_EXPONENT as u64) / 2) << F::FRACTION_BITS),
        one + (((F::MAX_EXPONENT as u64) / 2) << F::FRACTION_BITS) + 1,
        (u64::from(F::PRECISION) << F::FRACTION_BITS) + 1,
        (u64::from(F::PRECISION) << F::FRACTION_BITS) | F::FRACTION,
        F::INFINITY - (u64::from(F::PRECISION) << F::FRACTION_BITS) - 1,
        one - (u64::from(F::PRECISION) << F::FRACTION_BITS),
        one - (u64::from(F::PRECISION) << F::FRACTION_BITS) + 1,
        one - (u64::from(F::PRECISION + 1) << F::FRACTION_BITS),
    ];
    let narrow = |x: f64| u64::from((x as f32).to_bits());
    bits.extend(interesting().map(|x| if F::WIDTH == 64 { x.to_bits() } else { narrow(x) }));
    let negative = bits.clone().into_iter().map(|x| x | F::SIGN);
    bits.extend(negative);
    bits
}

/// Marsaglia's xorshift, 64 bits, with Vigna's multiplier.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit
    }

    /// Dense, sparse, all ones with holes, or short: what makes ties and carries.
    pub fn fraction<F: Float>(&mut self) -> u64 {
        let random = self.next();
        let bit = 1 << self.below(F::FRACTION_BITS.into());
        F::FRACTION
            & match self.below(5) {
                0 => random,
                1 => bit | (1 << self.below(F::FRACTION_BITS.into())),
                2 => !(bit | (1 << self.below(F::FRACTION_BITS.into()))),
                3 => !(bit - 1),
                _ => random << self.below(F::FRACTION_BITS.into()),
            }
    }

    /// Three operands whose sums, products and quotients land where it matters.
    fn operands<F: Float>(&mut self) -> [u64; 3] {
        let top = 2 * F::MAX_EXPONENT + 1;
        let bias = F::MAX_EXPONENT;
        let precision = F::PRECISION as i32;
        let spread = [2, 5, precision + 3, 2 * precision + 3][self.below(4) as usize];
        let mut near = |x: i32| x + self.below(2 * spread as u64 + 1) as i32 - spread;
        let base = [near(0), near(top), near(bias), near(bias + 31), near(bias + 63)];
        let any = self.below(top as u64) as i32;
        let base = [any, base[0], base[1], base[2], base[3], base[4]][self.below(6) as usize];
        let mut near = |x: i32| x + self.below(2 * spread as u64 + 1) as i32 - spread;
        // The second: close to the first, or such that the product or the quotient is at an end.
        let second =
            [near(base), near(2 * bias - base), near(bias - base), near(base - bias), near(bias)];
        let second = second[self.below(5) as usize];
        let mut near = |x: i32| x + self.below(2 * spread as u64 + 1) as i32 - spread;
        let third = [near(base + second - bias), near(base)][self.below(2) as usize];
        [base, second, third].map(|exponent| {
            let exponent = exponent.clamp(0, top) as u64;
            let sign = if self.below(2) == 0 { F::SIGN } else { 0 };
            sign | (exponent << F::FRACTION_BITS) | self.fraction::<F>()
        })
    }
}

/// An endless supply of random operands, the same every time.
pub fn triples<F: Float>() -> impl Iterator<Item = [u64; 3]> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || random.operands::<F>())
}

/// Integers around every limit, and random ones of all lengths.
pub fn integers(random_count: usize) -> impl Iterator<Item = u64> {
    let mut values = vec![0, 1, 2, 3, 1 << 62, u64::MAX / 3];
    for bits in [24, 25, 31, 32, 33, 53, 54, 63] {
        values.extend((0..5).map(|i| (1u64 << bits) - 2 + i));
        values.extend((0..5).map(|i| u64::MAX << (bits - 24) | i));
    }
    let negative: Vec<u64> = values.iter().map(|x: &u64| x.wrapping_neg()).collect();
    let mut random = Random(3);
    let random = (0..random_count).map(move |_| {
        let long = random.next() >> random.below(64);
        long << random.below(40)
    });
    values.into_iter().chain(negative).chain(random)
}
