//! What is drawn from a seed: SplitMix64 of S. Vigna.
//!
//! The stream depends on the topic as well as on the seed, so that one seed gives unrelated numbers
//! in different topics.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The stream of a seed in a topic.
    pub fn new(topic: &str, seed: u64) -> Self {
        let named = topic.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3) // FNV-1a
        });
        Self(mix(named ^ mix(seed)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True so many times out of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `all`, which is not empty.
    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }

    /// Brings `all` into any order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// `count` different numbers below `end`, in any order; all of them if there are fewer.
    pub fn distinct(&mut self, count: usize, end: u64) -> Vec<u64> {
        let mut drawn = Vec::new();
        while drawn.len() < count && (drawn.len() as u64) < end {
            let number = self.below(end);
            if !drawn.contains(&number) {
                drawn.push(number);
            }
        }
        drawn
    }
}

/// The generator's output function.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_range_and_repeat() {
        let draws = |seed| {
            let mut draw = Draw::new("linear", seed);
            (0..100).map(|_| draw.between(3, 7)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert!((3..=7).all(|number| draws(1).contains(&number)));
        assert!(draws(1).iter().all(|number| (3..=7).contains(number)));
        assert_ne!(Draw::new("tlb", 1).next(), Draw::new("linear", 1).next());
    }

    #[test]
    fn distinct_numbers_are_distinct_and_end() {
        let mut all = Draw::new("", 0).distinct(10, 4);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
    }
}
