//! A small random number generator: the same numbers from the same seed, on every machine and in every release.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// True once in `times` calls on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A value of `width` bits, 1 to 64: one time in four one of the extremes (0, 1, all ones, the least and the greatest
    /// signed value).
    pub fn bits(&mut self, width: u32) -> u64 {
        let mask = u64::MAX >> (64 - width);
        if self.one_in(4) {
            let least = 1 << (width - 1);
            return [0, 1 & mask, mask, least, least - 1][self.below(5) as usize];
        }
        self.next_u64() & mask
    }
}
