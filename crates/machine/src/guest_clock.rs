//! Time and chance for system calls: the virtual clock at the moment of the call, and the machine's
//! seeded generator.

use pagewalk_linux::Clock;

use crate::cost::CostModel;

/// The splitmix64 generator of Steele, Lea and Flood (OOPSLA 2014): one addition and a mix.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator; every seed gives another sequence.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The clock that one system call sees.
#[derive(Debug)]
pub struct GuestClock<'a> {
    /// The hart that makes the call.
    pub hart: u32,
    /// How many there are.
    pub harts: u32,
    /// Cycles passed when the call began.
    pub cycles: u64,
    /// What a cycle is in nanoseconds.
    pub cost: &'a CostModel,
    /// The machine's generator.
    pub random: &'a mut SplitMix64,
}

impl Clock for GuestClock<'_> {
    fn now_ns(&self) -> u64 {
        self.cost.nanoseconds(self.cycles)
    }

    fn hart(&self) -> u32 {
        self.hart
    }

    fn harts(&self) -> u32 {
        self.harts
    }

    fn random(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let bytes = self.random.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    /// The reference implementation's first outputs for seed 1234567.
    #[test]
    fn known_sequence() {
        let mut generator = SplitMix64::new(1_234_567);
        let outputs = [generator.next(), generator.next(), generator.next()];
        assert_eq!(
            outputs,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
