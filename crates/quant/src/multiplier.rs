//! Requantisation: an int32 accumulator times a positive real number, in integers.

use crate::error::{check_scale, QuantError};
use crate::fixed_point::{rounding_divide_by_power_of_two, rounding_doubling_high_multiply};

/// Most elements an average may have.
pub const MAX_AVERAGE_COUNT: u32 = 1 << 16;

/// A non-negative real number as the output stage holds it: `multiplier * 2^-31 * 2^(left_shift - right_shift)`.
///
/// At most one of the shifts is non-zero when it comes from [`Multiplier::from_real`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multiplier {
    /// The significand in units of 2^-31: `0..=2^31`.
    pub multiplier: u32,
    /// Applied to the accumulator before the multiplication, wrapping: `0..=31` bits.
    pub left_shift: u8,
    /// Applied after the multiplication, rounding: `0..=31` bits.
    pub right_shift: u8,
}

impl Multiplier {
    /// Exactly one, in both rounding modes.
    pub const IDENTITY: Multiplier = Multiplier { multiplier: 1 << 31, left_shift: 0, right_shift: 0 };

    /// Exactly zero.
    pub const ZERO: Multiplier = Multiplier { multiplier: 0, left_shift: 0, right_shift: 0 };

    /// The fixed-point form of a real multiplier, by the rules of TensorFlow Lite's `QuantizeMultiplier`: the
    /// significand of `frexp` in `[0.5, 1)` times 2^31, rounded half away from zero; 2^31 is renormalised to 2^30
    /// with one more shift; below 2^-32 the result is zero.
    ///
    /// # Errors
    /// For a NaN, infinite or negative number, and for numbers that need more than 31 left shifts: 2^31 and above, or
    /// rounding up to it.
    pub fn from_real(real: f64) -> Result<Multiplier, QuantError> {
        if !real.is_finite() || real < 0.0 {
            return Err(QuantError::MultiplierNotFinite(real));
        }
        if real == 0.0 {
            return Ok(Multiplier::ZERO);
        }
        let (significand, mut shift) = frexp(real);
        let mut multiplier = (significand * f64::from(1u32 << 31)).round() as u32;
        if multiplier == 1 << 31 {
            multiplier = 1 << 30;
            shift += 1;
        }
        if shift < -31 {
            return Ok(Multiplier::ZERO);
        }
        if shift > 31 {
            return Err(QuantError::MultiplierTooLarge(real));
        }
        let left_shift = shift.max(0) as u8;
        let right_shift = (-shift).max(0) as u8;
        Ok(Multiplier { multiplier, left_shift, right_shift })
    }

    /// The multiplier of a layer with weights: `input * weight / output` in double precision, in that order.
    ///
    /// # Errors
    /// When a scale is not finite and above zero, or the quotient is too large.
    pub fn from_scales(input: f32, weight: f32, output: f32) -> Result<Multiplier, QuantError> {
        for scale in [input, weight, output] {
            check_scale(scale)?;
        }
        Multiplier::from_real(f64::from(input) * f64::from(weight) / f64::from(output))
    }

    /// The real number this stands for, exactly.
    #[must_use]
    pub fn to_real(self) -> f64 {
        let exponent = i32::from(self.left_shift) - i32::from(self.right_shift) - 31;
        f64::from(self.multiplier) * 2f64.powi(exponent)
    }
}

/// How [`requantise`] rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// gemmlowp, and so TensorFlow Lite Micro: round to nearest after the multiplication (ties up) and again after the
    /// right shift (ties away from zero).
    Double,
    /// One rounding: the multiplication truncates towards minus infinity, the right shift rounds ties up. Together with
    /// [`average_multiplier`] it gives the exact mean.
    Single,
}

/// `x * m`, rounded to an int32.
///
/// The left shift wraps at 32 bits, as a shifter does; nothing after it can overflow. In detail, with `s` the shifted
/// `x`, `M` the multiplier and `n` the right shift:
/// * [`Rounding::Double`]: `h = (s*M + 2^30) >> 31`, then `h / 2^n` with ties away from zero;
/// * [`Rounding::Single`]: `h = (s*M) >> 31`, then `(h + 2^(n-1)) >> n`, or `h` alone for `n = 0`.
#[must_use]
pub fn requantise(x: i32, m: Multiplier, rounding: Rounding) -> i32 {
    debug_assert!(m.left_shift <= 31 && m.right_shift <= 31, "shift out of range in {m:?}");
    let shifted = x.wrapping_shl(u32::from(m.left_shift));
    match rounding {
        Rounding::Double => {
            let high = rounding_doubling_high_multiply(shifted, m.multiplier);
            rounding_divide_by_power_of_two(high, u32::from(m.right_shift))
        }
        Rounding::Single => {
            let high = (i64::from(shifted) * i64::from(m.multiplier)) >> 31;
            let half = (1i64 << m.right_shift) >> 1;
            ((high + half) >> m.right_shift) as i32
        }
    }
}

/// The multiplier with which `requantise(sum, m, Rounding::Single)` is `sum / count` rounded half away from zero, exactly,
/// for every `|sum| <= 128 * count`: the mean of `count` int8 values as AVERAGE_POOL_2D defines it.
///
/// `M = floor(2^(31+n) / count) + 1` exceeds the exact quotient by `e`, `0 < e <= 1`, so the result is
/// `floor(sum/count + 1/2 + sum*e/2^(31+n))`. The excess pushes a negative tie below its integer, which is away from zero,
/// and leaves a positive tie at it. Every other value is at least `1/(2*count)` from a tie, and
/// `|sum|*e/2^(31+n) <= 128*count / (2^30*count) = 2^-23`, less than that for every count up to 2^16. `n` must be at least one,
/// which holds from `count = 3`; a count of two is computed as twice the sum over four, and one is the identity.
///
/// # Errors
/// When `count` is zero or above [`MAX_AVERAGE_COUNT`].
pub fn average_multiplier(count: u32) -> Result<Multiplier, QuantError> {
    match count {
        0 => return Err(QuantError::AverageCount(count)),
        1 => return Ok(Multiplier::IDENTITY),
        2 => return Ok(Multiplier { left_shift: 1, ..average_multiplier(4)? }),
        _ if count > MAX_AVERAGE_COUNT => return Err(QuantError::AverageCount(count)),
        _ => {}
    }
    // The largest n with M <= 2^31: floor(log2(count)), one less for a power of two.
    let right_shift = (count - 1).ilog2();
    let multiplier = ((1u64 << (31 + right_shift)) / u64::from(count) + 1) as u32;
    Ok(Multiplier { multiplier, left_shift: 0, right_shift: right_shift as u8 })
}

/// C's `frexp` for a finite number above zero: `real = significand * 2^exponent` with the significand in `[0.5, 1)`.
fn frexp(real: f64) -> (f64, i32) {
    const MANTISSA_BITS: u32 = 52;
    const EXPONENT_MASK: u64 = 0x7ff;
    let exponent_field = (real.to_bits() >> MANTISSA_BITS) & EXPONENT_MASK;
    if exponent_field == 0 {
        // Subnormal: scale into the normal range first.
        let (significand, exponent) = frexp(real * 2f64.powi(64));
        return (significand, exponent - 64);
    }
    let mantissa = real.to_bits() & ((1 << MANTISSA_BITS) - 1);
    (f64::from_bits((1022 << MANTISSA_BITS) | mantissa), exponent_field as i32 - 1022)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The documented formulas in 128 bits.
    fn reference(x: i32, m: Multiplier, rounding: Rounding) -> i32 {
        let shifted = ((i128::from(x) << m.left_shift) as u32) as i32;
        let product = i128::from(shifted) * i128::from(m.multiplier);
        let n = u32::from(m.right_shift);
        let result = match rounding {
            Rounding::Double => {
                let high = (product + (1 << 30)).div_euclid(1 << 31);
                let magnitude = (2 * high.abs() + (1i128 << n)) / (2i128 << n);
                magnitude * high.signum()
            }
            Rounding::Single => {
                let high = product.div_euclid(1 << 31);
                if n == 0 {
                    high
                } else {
                    (high + (1i128 << (n - 1))).div_euclid(1i128 << n)
                }
            }
        };
        i32::try_from(result).expect("nothing overflows after the left shift")
    }

    /// TensorFlow Lite's `MultiplyByQuantizedMultiplier`, from gemmlowp's text.
    fn tensorflow_lite(x: i32, multiplier: i32, shift: i32) -> i32 {
        let left = shift.max(0);
        let right = (-shift).max(0);
        let product = i64::from(x.wrapping_mul(1i32.wrapping_shl(left as u32))) * i64::from(multiplier);
        let nudge: i64 = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        let high = ((product + nudge) / (1i64 << 31)) as i32;
        let mask = ((1i64 << right) - 1) as i32;
        let remainder = high & mask;
        let threshold = (mask >> 1) + i32::from(high < 0);
        (high >> right) + i32::from(remainder > threshold)
    }

    fn round_half_away(sum: i64, count: i64) -> i64 {
        let magnitude = (2 * sum.abs() + count) / (2 * count);
        magnitude * sum.signum()
    }

    fn assert_mean(sum: i32, count: u32) {
        let m = average_multiplier(count).expect("count is in range");
        let mean = requantise(sum, m, Rounding::Single);
        assert_eq!(
            i64::from(mean),
            round_half_away(i64::from(sum), i64::from(count)),
            "{sum} / {count} with {m:?}"
        );
    }

    #[test]
    fn identity_returns_every_input() {
        for rounding in [Rounding::Double, Rounding::Single] {
            for x in [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX] {
                assert_eq!(requantise(x, Multiplier::IDENTITY, rounding), x, "{rounding:?}");
            }
        }
    }

    #[test]
    fn extremes_match_the_wide_reference() {
        let values = [i32::MIN, i32::MIN + 1, -(1 << 30), -1, 0, 1, 1 << 30, i32::MAX - 1, i32::MAX];
        let multipliers = [0, 1, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, 1 << 31];
        for x in values {
            for multiplier in multipliers {
                for left_shift in 0..=31 {
                    for right_shift in 0..=31 {
                        let m = Multiplier { multiplier, left_shift, right_shift };
                        for rounding in [Rounding::Double, Rounding::Single] {
                            let expected = reference(x, m, rounding);
                            assert_eq!(requantise(x, m, rounding), expected, "{x} {m:?} {rounding:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn from_real_follows_quantize_multiplier() {
        let half = Multiplier { multiplier: 1 << 30, left_shift: 0, right_shift: 0 };
        assert_eq!(Multiplier::from_real(0.5), Ok(half));
        assert_eq!(Multiplier::from_real(1.0), Ok(Multiplier { left_shift: 1, ..half }));
        assert_eq!(Multiplier::from_real(0.25), Ok(Multiplier { right_shift: 1, ..half }));
        assert_eq!(Multiplier::from_real(0.0), Ok(Multiplier::ZERO));
        // The significand rounds up to 2^31 and is renormalised.
        assert_eq!(Multiplier::from_real(1.0 - 2f64.powi(-40)), Ok(Multiplier { left_shift: 1, ..half }));
        // A tie rounds away from zero: (2^30 + 1/2) * 2^-31.
        let tie = Multiplier::from_real(0.5 + 2f64.powi(-32)).map(|m| m.multiplier);
        assert_eq!(tie, Ok((1 << 30) + 1));
    }

    #[test]
    fn from_real_flushes_small_numbers_to_zero() {
        let smallest = Multiplier { multiplier: 1 << 30, left_shift: 0, right_shift: 31 };
        assert_eq!(Multiplier::from_real(2f64.powi(-32)), Ok(smallest));
        // 2^-32 less a little rounds back up to it.
        assert_eq!(Multiplier::from_real(2f64.powi(-32) * (1.0 - 2f64.powi(-40))), Ok(smallest));
        assert_eq!(Multiplier::from_real(2f64.powi(-32) * 0.999), Ok(Multiplier::ZERO));
        assert_eq!(Multiplier::from_real(f64::MIN_POSITIVE), Ok(Multiplier::ZERO));
        assert_eq!(Multiplier::from_real(f64::from_bits(1)), Ok(Multiplier::ZERO));
    }

    #[test]
    fn from_real_rejects_what_cannot_be_held() {
        let largest = 2f64.powi(31) * (1.0 - 2f64.powi(-31));
        assert_eq!(
            Multiplier::from_real(largest),
            Ok(Multiplier { multiplier: (1 << 31) - 1, left_shift: 31, right_shift: 0 })
        );
        for real in [2f64.powi(31), 2f64.powi(31) * (1.0 - 2f64.powi(-40)), f64::MAX] {
            assert_eq!(Multiplier::from_real(real), Err(QuantError::MultiplierTooLarge(real)));
        }
        for real in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE] {
            assert!(matches!(Multiplier::from_real(real), Err(QuantError::MultiplierNotFinite(_))), "{real}");
        }
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(Multiplier::from_scales(1.0, scale, 1.0), Err(QuantError::Scale(_))), "{scale}");
        }
    }

    #[test]
    fn average_is_exact_for_every_sum_of_small_counts() {
        for count in 1..=300u32 {
            for sum in -128 * count as i32..=128 * count as i32 {
                assert_mean(sum, count);
            }
        }
    }

    #[test]
    fn average_is_exact_around_every_tie_of_powers_of_two_and_their_neighbours() {
        for exponent in 1..=16u32 {
            for count in [(1u32 << exponent) - 1, 1 << exponent, (1 << exponent) + 1] {
                if count > MAX_AVERAGE_COUNT {
                    continue;
                }
                for mean in -128..=128i32 {
                    let centre = mean * count as i32;
                    for tie in [centre - count as i32 / 2, centre, centre + count as i32 / 2] {
                        for sum in tie - 2..=tie + 2 {
                            if sum.unsigned_abs() <= 128 * count {
                                assert_mean(sum, count);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn average_multiplier_is_normalised_and_bounded() {
        for count in 1..=MAX_AVERAGE_COUNT {
            let m = average_multiplier(count).expect("count is in range");
            assert!((1 << 30..=1 << 31).contains(&m.multiplier), "{count}: {m:?}");
            assert!(m.left_shift <= 1 && m.right_shift <= 16, "{count}: {m:?}");
            // The extreme sums of every count.
            assert_mean(128 * count as i32, count);
            assert_mean(-128 * count as i32, count);
        }
        assert_eq!(average_multiplier(0), Err(QuantError::AverageCount(0)));
        assert_eq!(average_multiplier(65_537), Err(QuantError::AverageCount(65_537)));
    }

    fn any_multiplier() -> impl Strategy<Value = Multiplier> {
        (0u32..=1 << 31, 0u8..=31, 0u8..=31).prop_map(|(multiplier, left_shift, right_shift)| Multiplier {
            multiplier,
            left_shift,
            right_shift,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50_000))]

        #[test]
        fn requantise_equals_the_wide_reference(x: i32, m in any_multiplier()) {
            for rounding in [Rounding::Double, Rounding::Single] {
                prop_assert_eq!(requantise(x, m, rounding), reference(x, m, rounding), "{:?}", rounding);
            }
        }

        #[test]
        fn requantise_equals_tensorflow_lite(x: i32, significand in 1i32 << 30..=i32::MAX, shift in -31i32..=31) {
            let m = Multiplier {
                multiplier: significand as u32,
                left_shift: shift.max(0) as u8,
                right_shift: (-shift).max(0) as u8,
            };
            prop_assert_eq!(requantise(x, m, Rounding::Double), tensorflow_lite(x, significand, shift));
        }

        #[test]
        fn from_real_is_the_nearest_significand(significand in 0.5f64..1.0, exponent in -30i32..=30) {
            let real = significand * 2f64.powi(exponent);
            let m = Multiplier::from_real(real).expect("in range");
            prop_assert!(((m.to_real() - real) / real).abs() <= 2f64.powi(-31));
            prop_assert!((1 << 30..1 << 31).contains(&m.multiplier));
            prop_assert!(m.left_shift == 0 || m.right_shift == 0);
        }

        #[test]
        fn frexp_reassembles(bits in 1u64..0x7ff0_0000_0000_0000) {
            let real = f64::from_bits(bits);
            let (significand, exponent) = frexp(real);
            prop_assert!((0.5..1.0).contains(&significand));
            // In two steps: 2^exponent alone may be subnormal or infinite.
            let half = exponent / 2;
            prop_assert_eq!(significand * 2f64.powi(half) * 2f64.powi(exponent - half), real);
        }

        #[test]
        fn average_is_exact_for_sampled_counts(count in 1u32..=MAX_AVERAGE_COUNT, position in -1.0f64..=1.0) {
            assert_mean((position * 128.0 * f64::from(count)) as i32, count);
        }
    }
}
