//! Random numbers from a seed.

use frugal_quant::Affine;

/// SplitMix64: a small generator, so that a network is its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high.max(low) - low + 1) as u64) as usize
    }

    /// From `low` to `high`, both included.
    pub fn integer(&mut self, low: i32, high: i32) -> i32 {
        low + self.within(0, (high - low) as usize) as i32
    }

    /// From `low` to `high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.within(1, times) == 1
    }

    /// One of some things, at least one.
    pub fn pick<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.within(0, things.len() - 1)]
    }

    /// Mostly random bytes; sometimes only extremes.
    pub fn bytes(&mut self, count: usize) -> Vec<i8> {
        match self.within(0, 9) {
            0 => vec![*self.pick(&[-128, 127]); count],
            1 => (0..count).map(|_| *self.pick(&[-128, 127])).collect(),
            _ => (0..count).map(|_| self.bits() as i8).collect(),
        }
    }

    /// A zero point: anywhere, often at an end or in the middle.
    pub fn zero_point(&mut self) -> i32 {
        match self.within(0, 7) {
            0 | 1 => -128,
            2 => 0,
            3 => 127,
            _ => self.integer(-128, 127),
        }
    }

    /// A scale as activations have, and a zero point.
    pub fn affine(&mut self) -> Affine {
        let scale = (self.real((0.004f64).ln(), (0.4f64).ln()).exp()) as f32;
        // Powers of two are where ties are.
        let scale = if self.once_in(6) { 2f32.powi(scale.log2().round() as i32) } else { scale };
        Affine { scale, zero_point: self.zero_point() }
    }
}
