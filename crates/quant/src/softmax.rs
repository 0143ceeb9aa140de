//! Softmax from int8 to int8, as TensorFlow Lite Micro's reference kernel computes it with gemmlowp fixed point.
//!
//! Formats are written Qi.f: i integer bits, f fractional bits, one sign bit, in an int32. The differences to the row
//! maximum are Q5.26, the exponentials Q0.31, their sum Q12.19, its reciprocal Q0.31.

use crate::error::{check_scale, QuantError};
use crate::exponential::{exp_of_negative, one_over_one_plus};
use crate::fixed_point::{multiply, rounding_divide_by_power_of_two, rounding_doubling_high_multiply};
use crate::multiplier::Multiplier;

/// Integer bits of the scaled difference to the row maximum.
const DIFFERENCE_INTEGER_BITS: u32 = 5;
/// Integer bits of the sum of exponentials.
const SUM_INTEGER_BITS: u32 = 12;
/// The largest row whose sum of exponentials cannot overflow.
pub const MAX_ROW_LENGTH: usize = (1 << SUM_INTEGER_BITS) - 1;

/// The output scale every int8 softmax has: 1/256.
pub const OUTPUT_SCALE: f32 = 1.0 / 256.0;
/// The output zero point every int8 softmax has.
pub const OUTPUT_ZERO_POINT: i32 = -128;

/// The input scaling of one softmax layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SoftmaxParameters {
    /// Takes a difference of quantised inputs to Q5.26; above one, so only its left shift is in use.
    pub input_multiplier: Multiplier,
    /// The most negative difference that is not taken as an exponential of zero.
    pub difference_min: i32,
}

impl SoftmaxParameters {
    /// * `input_scale`: of the int8 input tensor; its zero point cancels.
    /// * `beta`: multiplies the input, 1 in nearly every model.
    ///
    /// # Errors
    /// When the scale is not finite and above zero, or `beta * input_scale` is not above 2^-26, or not finite.
    pub fn new(input_scale: f32, beta: f32) -> Result<SoftmaxParameters, QuantError> {
        check_scale(input_scale)?;
        let out_of_range = QuantError::SoftmaxScale { beta, scale: input_scale };
        if !beta.is_finite() {
            return Err(out_of_range);
        }
        let fraction_bits = 31 - DIFFERENCE_INTEGER_BITS;
        let real = f64::from(beta) * f64::from(input_scale) * f64::from(1u32 << fraction_bits);
        if real <= 1.0 {
            return Err(out_of_range);
        }
        let input_multiplier = Multiplier::from_real(real.min(f64::from(i32::MAX)))?;
        let radius = f64::from((1u32 << DIFFERENCE_INTEGER_BITS) - 1) * f64::from(1u32 << fraction_bits)
            / f64::from(1u32 << input_multiplier.left_shift);
        Ok(SoftmaxParameters { input_multiplier, difference_min: -(radius.floor() as i32) })
    }

    /// Softmax of one row; `input` and `output` have the same length, at most [`MAX_ROW_LENGTH`]. The result has scale
    /// [`OUTPUT_SCALE`] and zero point [`OUTPUT_ZERO_POINT`].
    ///
    /// TensorFlow Lite Micro shifts by more than 31 bits, which C++ leaves undefined, when the sum of exponentials reaches
    /// 512: a nearly uniform row of 512 or more. The result there is the mathematical one, zero.
    ///
    /// # Panics
    /// When the lengths differ or exceed the maximum.
    pub fn apply_row(&self, input: &[i8], output: &mut [i8]) {
        assert_eq!(input.len(), output.len(), "softmax input and output must have the same length");
        assert!(input.len() <= MAX_ROW_LENGTH, "softmax row of {} exceeds {MAX_ROW_LENGTH}", input.len());
        let Some(&maximum) = input.iter().max() else { return };
        let exponential = |x: i8| {
            let difference = i32::from(x) - i32::from(maximum);
            (difference >= self.difference_min).then(|| {
                let shifted = difference << self.input_multiplier.left_shift;
                let scaled = rounding_doubling_high_multiply(shifted, self.input_multiplier.multiplier);
                exp_of_negative(scaled, DIFFERENCE_INTEGER_BITS)
            })
        };
        let sum: i32 = input
            .iter()
            .filter_map(|&x| exponential(x))
            .map(|e| rounding_divide_by_power_of_two(e, SUM_INTEGER_BITS))
            .sum();
        let (reciprocal, bits_over_unit) = reciprocal_of_sum(sum);
        let right_shift = bits_over_unit + 31 - i8::BITS;
        for (y, &x) in output.iter_mut().zip(input) {
            let probability = match exponential(x) {
                Some(e) if right_shift <= 31 => {
                    rounding_divide_by_power_of_two(multiply(reciprocal, e), right_shift)
                }
                _ => 0,
            };
            *y = crate::clamp_i8(probability + OUTPUT_ZERO_POINT);
        }
    }
}

/// One over a sum in Q12.19, `sum >= 1`: the reciprocal in Q0.31 of the sum shifted into `[1, 2)`, and by how many bits.
fn reciprocal_of_sum(sum: i32) -> (i32, u32) {
    let headroom = sum.leading_zeros();
    let bits_over_unit = SUM_INTEGER_BITS - headroom;
    let fraction = (((sum as u32) << headroom) - (1 << 31)) as i32;
    (one_over_one_plus(fraction), bits_over_unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn softmax(scale: f32, beta: f32, input: &[i8]) -> Vec<i8> {
        let mut output = vec![0; input.len()];
        SoftmaxParameters::new(scale, beta).expect("valid scale").apply_row(input, &mut output);
        output
    }

    #[test]
    fn rows_with_a_known_answer() {
        assert_eq!(softmax(0.1, 1.0, &[]), vec![]);
        assert_eq!(softmax(0.1, 1.0, &[-7]), vec![127]);
        assert_eq!(softmax(0.1, 1.0, &[5, 5]), vec![0, 0]);
        assert_eq!(softmax(0.1, 1.0, &[3; 4]), vec![-64; 4]);
        assert_eq!(softmax(1.0, 1.0, &[127, -128]), vec![127, -128]);
        // From the row length at which the right shift exceeds 31 bits.
        assert_eq!(softmax(0.1, 1.0, &[0; 511]), vec![-127; 511]);
        assert_eq!(softmax(0.1, 1.0, &[0; 1024]), vec![-128; 1024]);
        assert_eq!(softmax(0.1, 1.0, &[0; MAX_ROW_LENGTH]), vec![-128; MAX_ROW_LENGTH]);
    }

    #[test]
    fn bad_parameters_are_errors() {
        assert_eq!(SoftmaxParameters::new(0.0, 1.0), Err(QuantError::Scale(0.0)));
        let smallest = 2f32.powi(-26);
        for (scale, beta) in [(smallest, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, f32::INFINITY)] {
            assert_eq!(SoftmaxParameters::new(scale, beta), Err(QuantError::SoftmaxScale { beta, scale }));
        }
        assert!(SoftmaxParameters::new(1.0, f32::NAN).is_err());
        for scale in [smallest * 1.001, 1.0, 16.0, 1e6, f32::MAX] {
            let parameters = SoftmaxParameters::new(scale, 1.0).expect("valid scale");
            parameters.apply_row(&[127, 126, 0, -128], &mut [0; 4]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn probabilities_are_near_the_real_ones(
            scale in 0.001f32..2.0,
            beta in 0.25f32..4.0,
            row in proptest::collection::vec(any::<i8>(), 1..200),
        ) {
            let output = softmax(scale, beta, &row);
            // Relative to the maximum, or the exponentials overflow.
            let maximum = f64::from(*row.iter().max().expect("not empty"));
            let real = |x: i8| (f64::from(beta) * f64::from(scale) * (f64::from(x) - maximum)).exp();
            let sum: f64 = row.iter().map(|&x| real(x)).sum();
            for (&y, &x) in output.iter().zip(&row) {
                let expected = (256.0 * real(x) / sum - 128.0).min(127.0);
                prop_assert!((f64::from(y) - expected).abs() < 0.51, "{} against {}", y, expected);
            }
        }
    }
}
