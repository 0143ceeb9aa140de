//! How good logits are.

/// `ln(sum(exp(logits)))`, stable for large logits.
fn log_sum_exp(logits: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + logits.map(|l| (l - largest).exp()).sum::<f64>().ln()
}

/// Negative log likelihood of a token, in nats.
///
/// # Panics
/// If the token is outside the vocabulary.
pub fn nll(logits: &[f32], token: u32) -> f64 {
    log_sum_exp(logits.iter().map(|l| f64::from(*l))) - f64::from(logits[token as usize])
}

/// Kullback-Leibler divergence of other logits from those of a reference, in nats.
pub fn divergence(reference: &[f32], other: &[f32]) -> f64 {
    let wide = |logits: &'_ [f32]| -> Vec<f64> { logits.iter().map(|l| f64::from(*l)).collect() };
    let (reference, other) = (wide(reference), wide(other));
    let a = log_sum_exp(reference.iter().copied());
    let b = log_sum_exp(other.iter().copied());
    reference.iter().zip(&other).map(|(r, o)| (r - a).exp() * ((r - a) - (o - b))).sum()
}
