//! Choosing the next token from logits, on the host.

use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws tokens with the probabilities of a softmax at a temperature, among the `top_k` likeliest.
///
/// The same seed and logits give the same tokens on every machine.
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f64,
    top_k: Option<usize>,
    random: ChaCha8Rng,
}

impl Sampler {
    /// `temperature` divides the logits: below 1 likely tokens become likelier, and 0 always takes the likeliest one. Sequences of one
    /// batch draw from streams of their own.
    pub fn new(temperature: f64, top_k: Option<usize>, seed: u64, sequence: u64) -> Sampler {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(sequence);
        Sampler { temperature, top_k, random }
    }

    /// The next token. Of equal logits the first counts as the likelier one, as in the accelerator's argmax.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn pick(&mut self, logits: &[f32]) -> u32 {
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let logit = |id: u32| logits[id as usize];
        let likelier = |a: &u32, b: &u32| logit(*b).total_cmp(&logit(*a)).then(a.cmp(b));
        let kept = self.top_k.unwrap_or(order.len()).clamp(1, order.len());
        if kept < order.len() {
            order.select_nth_unstable_by(kept - 1, likelier);
            order.truncate(kept);
        }
        order.sort_unstable_by(likelier);
        let largest = f64::from(logit(order[0]));
        if self.temperature <= 0.0 {
            return order[0];
        }
        let weight = |id: &u32| ((f64::from(logit(*id)) - largest) / self.temperature).exp();
        let weights: Vec<f64> = order.iter().map(weight).collect();
        // 53 random bits: a number from 0 to below 1.
        let drawn = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut left = drawn * weights.iter().sum::<f64>();
        for (id, weight) in order.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return *id;
            }
        }
        // Rounding may leave a little.
        order[order.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of four tokens is drawn in 40,000 draws.
    fn shares(temperature: f64, top_k: Option<usize>) -> [f64; 4] {
        let logits = [1.0f32, 3.0, 2.0, 2.0];
        let mut sampler = Sampler::new(temperature, top_k, 7, 0);
        let mut counts = [0.0; 4];
        for _ in 0..40_000 {
            counts[sampler.pick(&logits) as usize] += 1.0 / 40_000.0;
        }
        counts
    }

    fn assert_near(found: [f64; 4], weights: [f64; 4]) {
        let sum: f64 = weights.iter().sum();
        for (found, weight) in found.iter().zip(weights) {
            // Five standard deviations of a share are at most 0.0125.
            assert!((found - weight / sum).abs() < 0.0125, "{found} instead of {}", weight / sum);
        }
    }

    #[test]
    fn shares_are_those_of_the_softmax() {
        let e = std::f64::consts::E;
        assert_near(shares(1.0, None), [1.0, e * e, e, e]);
        assert_near(shares(0.5, None), [1.0, e.powi(4), e.powi(2), e.powi(2)]);
        assert_near(shares(1.0, Some(2)), [0.0, e, 1.0, 0.0]);
        assert_near(shares(1.0, Some(99)), [1.0, e * e, e, e]);
    }

    #[test]
    fn one_token_or_no_temperature_is_the_likeliest() {
        let mut sampler = Sampler::new(0.0, None, 7, 0);
        assert!((0..100).all(|_| sampler.pick(&[1.0, 3.0, 2.0]) == 1));
        assert_eq!(Sampler::new(3.0, Some(1), 1, 0).pick(&[0.0, 5.0, 5.0]), 1);
    }

    #[test]
    fn seeds_and_sequences_decide() {
        let logits: Vec<f32> = (0..100).map(|i| (i % 7) as f32).collect();
        let draw = |seed, sequence| -> Vec<u32> {
            let mut sampler = Sampler::new(1.0, None, seed, sequence);
            (0..50).map(|_| sampler.pick(&logits)).collect()
        };
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
    }
}
