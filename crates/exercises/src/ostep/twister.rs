//! The Mersenne Twister MT19937 of M. Matsumoto and T. Nishimura, as CPython's `random` has it.
//!
//! Paper: "Mersenne Twister: A 623-Dimensionally Equidistributed Uniform Pseudorandom Number
//! Generator", ACM TOMACS 8(1), 1998; the initialisation by a key is that of the authors' version of
//! 2002. `random.seed(n)` takes the magnitude of a whole number as the key, in words of 32 bits from
//! the lowest on (at least one); `random.random()` is made of two outputs, 27 and 26 bits of them.

const WORDS: usize = 624;
const MIDDLE: usize = 397;
const UPPER: u32 = 0x8000_0000;
const MATRIX: u32 = 0x9908_b0df;

/// The generator.
pub struct Twister {
    state: [u32; WORDS],
    next: usize,
}

impl Twister {
    /// After `random.seed(seed)`.
    pub fn new(seed: u64) -> Self {
        let words = [seed as u32, (seed >> 32) as u32];
        let mut twister = Self::of_word(19_650_218);
        twister.mix_key(if words[1] == 0 { &words[..1] } else { &words });
        twister
    }

    fn of_word(word: u32) -> Self {
        let mut state = [word; WORDS];
        for n in 1..WORDS {
            let before = state[n - 1];
            state[n] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(n as u32);
        }
        Self { state, next: WORDS }
    }

    fn mix_key(&mut self, key: &[u32]) {
        let mut at = 1;
        for round in 0..WORDS.max(key.len()) {
            let place = round % key.len();
            let mixed = self.state[at] ^ self.before(at).wrapping_mul(1_664_525);
            self.state[at] = mixed.wrapping_add(key[place]).wrapping_add(place as u32);
            at = self.after(at);
        }
        for _ in 1..WORDS {
            let mixed = self.state[at] ^ self.before(at).wrapping_mul(1_566_083_941);
            self.state[at] = mixed.wrapping_sub(at as u32);
            at = self.after(at);
        }
        self.state[0] = UPPER;
    }

    /// The word before one, mixed with itself.
    fn before(&self, at: usize) -> u32 {
        let word = self.state[at - 1];
        word ^ word >> 30
    }

    /// The place after one; the last word is copied to the front when it is passed.
    fn after(&mut self, at: usize) -> usize {
        if at + 1 < WORDS {
            return at + 1;
        }
        self.state[0] = self.state[WORDS - 1];
        1
    }

    fn refill(&mut self) {
        for n in 0..WORDS {
            let joined = self.state[n] & UPPER | self.state[(n + 1) % WORDS] & !UPPER;
            let odd = if joined & 1 == 1 { MATRIX } else { 0 };
            self.state[n] = self.state[(n + MIDDLE) % WORDS] ^ joined >> 1 ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// `random.random()`: a number from 0 up to, but not, 1, of 53 bits.
    pub fn random(&mut self) -> f64 {
        let (high, low) = (u64::from(self.word() >> 5), u64::from(self.word() >> 6));
        (high << 26 | low) as f64 / (1_u64 << 53) as f64
    }

    /// `int(end * random.random())`.
    pub fn below(&mut self, end: i64) -> i64 {
        (end as f64 * self.random()) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What CPython 3.11 prints for `random.seed(n); random.random()` thrice.
    #[test]
    fn the_stream_is_cpythons() {
        let first = |seed| {
            let mut twister = Twister::new(seed);
            [(); 3].map(|()| twister.random())
        };
        assert_eq!(first(0), CPYTHON_0);
        assert_eq!(first(1), CPYTHON_1);
        assert_eq!(first(1 << 40), CPYTHON_2_40);
    }

    /// The thousandth number: the state was refilled.
    #[test]
    fn the_stream_goes_on() {
        let mut twister = Twister::new(7);
        let last = (0..1000).map(|_| twister.random()).last();
        assert_eq!(last, Some(CPYTHON_7_LAST));
    }

    const CPYTHON_0: [f64; 3] = [0.8444218515250481, 0.7579544029403025, 0.420571580830845];
    const CPYTHON_1: [f64; 3] = [0.13436424411240122, 0.8474337369372327, 0.763774618976614];
    const CPYTHON_2_40: [f64; 3] = [0.1036394562812375, 0.6705558677439764, 0.4266543913526999];
    const CPYTHON_7_LAST: f64 = 0.37786262968738116;
}
