//! Enumerations too large to run whole: any state by its number, in an order whose prefixes are
//! samples.
//!
//! A state's number is written in mixed radix: each [`Digits::pick`] takes one digit off, and the
//! product of all radices is the number of states. [`Shuffle`] is a permutation of the numbers,
//! the same everywhere, computed and not stored.

/// The digits of a state's number, lowest first.
pub struct Digits {
    rest: u64,
    product: u64,
}

impl Digits {
    pub fn new(number: u64) -> Self {
        Self { rest: number, product: 1 }
    }

    /// The next digit, below `radix`.
    pub fn below(&mut self, radix: u64) -> u64 {
        let digit = self.rest % radix;
        self.rest /= radix;
        self.product = self.product.checked_mul(radix).expect("fewer than 2^64 states");
        digit
    }

    /// The next digit as one of `choices`. A choice listed twice is twice as frequent.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// The next digit as any combination of the bits of `mask`.
    pub fn bits(&mut self, mask: u64) -> u64 {
        let (mut left, mut bits) = (mask, 0);
        while left != 0 {
            let lowest = left & left.wrapping_neg();
            bits |= if self.flag() { lowest } else { 0 };
            left ^= lowest;
        }
        bits
    }

    /// The product of all radices so far: after the last digit, the number of states.
    pub fn product(&self) -> u64 {
        self.product
    }
}

/// A permutation of `0..size`: a Feistel network over the next even number of bits, walked until
/// it comes back below `size`.
pub struct Shuffle {
    size: u64,
    half: u32,
    seed: u64,
}

impl Shuffle {
    pub fn new(size: u64, seed: u64) -> Self {
        assert!(0 < size && size < 1 << 62);
        let bits = 64 - (size - 1).leading_zeros();
        Self { size, half: bits.div_ceil(2).max(1), seed }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where number `n` goes; `n` is taken modulo the size.
    pub fn at(&self, n: u64) -> u64 {
        let mut n = n % self.size;
        loop {
            n = self.rounds(n);
            if n < self.size {
                return n;
            }
        }
    }

    fn rounds(&self, n: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (n >> self.half, n & mask);
        for round in 0..4 {
            let mixed = crate::common::Random(self.seed ^ right << 3 ^ round).next();
            (left, right) = (right, left ^ mixed & mask);
        }
        left << self.half | right
    }
}
