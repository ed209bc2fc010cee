//! Seeded random numbers, and operands that are likely to go wrong.

/// Marsaglia's xorshift64*: small, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An integer: often an end of a range, or near a power of two.
    pub fn integer(&mut self) -> u64 {
        let power = 1u64 << self.below(64);
        match self.below(12) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => self.pick(&[i64::MIN as u64, i64::MAX as u64, i32::MIN as u64, i32::MAX as u64]),
            4 => power,
            5 => power.wrapping_sub(1),
            6 => power.wrapping_neg(),
            7 => power.wrapping_add(1),
            8 => self.below(256).wrapping_sub(128),
            9 => u64::from(self.next() as u32),
            _ => self.next(),
        }
    }

    /// What a floating-point register may hold: doubles, boxed singles, singles without their box.
    pub fn float(&mut self) -> u64 {
        const BOX: u64 = 0xffff_ffff_0000_0000;
        match self.below(16) {
            0..7 => self.double(),
            7..14 => BOX | u64::from(self.single()),
            14 => u64::from(self.single()),
            _ => self.next(),
        }
    }

    /// A double: zeros, infinities, NaNs, subnormals, integers' limits, all signs.
    fn double(&mut self) -> u64 {
        let sign = self.next() << 63;
        let fraction = self.next() & ((1 << 52) - 1);
        let exponent = |biased: u64| biased << 52;
        sign | match self.below(12) {
            0 => 0,
            1 => exponent(0x7ff),
            2 => exponent(0x7ff) | 1 << 51 | fraction,
            3 => exponent(0x7ff) | 1 | fraction & !(1 << 51),
            4 => fraction >> self.below(52),
            5 => exponent(1) - 1 + self.below(3),
            6 => exponent(0x7fe) | fraction | u64::MAX >> 12 >> self.below(8),
            7 => exponent(1022 + self.below(68)) | fraction >> self.below(52) << self.below(52),
            8 => exponent(1022 + self.below(68)) | self.below(4),
            9 => exponent(1022 + self.below(68)) - self.below(3),
            10 => exponent(0x3ff - 160 + self.below(320)) | fraction,
            _ => (self.next() & ((1 << 63) - 1)) % exponent(0x7ff),
        }
    }

    /// A single, chosen in the same way.
    fn single(&mut self) -> u32 {
        let sign = (self.next() as u32) << 31;
        let fraction = self.next() as u32 & ((1 << 23) - 1);
        let exponent = |biased: u64| (biased as u32) << 23;
        sign | match self.below(12) {
            0 => 0,
            1 => exponent(0xff),
            2 => exponent(0xff) | 1 << 22 | fraction,
            3 => exponent(0xff) | 1 | fraction & !(1 << 22),
            4 => fraction >> self.below(23),
            5 => exponent(1) - 1 + self.below(3) as u32,
            6 => exponent(0xfe) | fraction,
            7 => exponent(126 + self.below(68)) | fraction >> self.below(23) << self.below(23),
            8 => exponent(126 + self.below(68)) | self.below(4) as u32,
            9 => exponent(126 + self.below(68)) - self.below(3) as u32,
            10 => exponent(0x7f - 30 + self.below(60)) | fraction,
            _ => (self.next() as u32 & 0x7fff_ffff) % exponent(0xff),
        }
    }
}
