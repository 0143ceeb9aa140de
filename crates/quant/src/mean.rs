//! The mean over any axes, with a scale of its own for the output.

use crate::error::{check_scale, check_zero_point, QuantError};
use crate::multiplier::{requantise, Multiplier, Rounding, MAX_AVERAGE_COUNT};

/// Everything an int8 MEAN needs: `clamp(requantise(sum - count * input_zero_point, multiplier, Double) +
/// output_zero_point)`.
///
/// This is the arithmetic of MEAN; AVERAGE_POOL_2D has another one, [`crate::average_multiplier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeanParameters {
    /// Elements in each mean.
    pub count: u32,
    /// Zero point of the input, -128..=127.
    pub input_zero_point: i32,
    /// Zero point of the mean, -128..=127.
    pub output_zero_point: i32,
    /// `input scale / (output scale * count)`, by two roundings: first the quotient of the scales becomes a fixed-point
    /// number, and then its significand is divided by the count, truncating. The significand may be as small as 2^29.
    pub multiplier: Multiplier,
}

impl MeanParameters {
    /// Follows TensorFlow Lite's `QuantizedMeanOrSum`.
    ///
    /// # Errors
    /// When a scale is not finite and above zero, a zero point is not an int8, the quotient of the scales is too large, or
    /// the count is zero or above [`MAX_AVERAGE_COUNT`].
    pub fn new(
        count: u32,
        input_scale: f32,
        input_zero_point: i32,
        output_scale: f32,
        output_zero_point: i32,
    ) -> Result<MeanParameters, QuantError> {
        for scale in [input_scale, output_scale] {
            check_scale(scale)?;
        }
        for zero_point in [input_zero_point, output_zero_point] {
            check_zero_point(zero_point)?;
        }
        if !(1..=MAX_AVERAGE_COUNT).contains(&count) {
            return Err(QuantError::AverageCount(count));
        }
        let quotient = Multiplier::from_real(f64::from(input_scale) / f64::from(output_scale))?;
        let exponent = i32::from(quotient.left_shift) - i32::from(quotient.right_shift);
        // As many bits as the count takes away, unless the right shift would exceed 31.
        let shift = (count.ilog2() as i32).min(31 + exponent);
        let exponent = exponent - shift;
        let multiplier = Multiplier {
            multiplier: ((u64::from(quotient.multiplier) << shift) / u64::from(count)) as u32,
            left_shift: exponent.max(0) as u8,
            right_shift: (-exponent).max(0) as u8,
        };
        Ok(MeanParameters { count, input_zero_point, output_zero_point, multiplier })
    }

    /// The quantised mean of `count` quantised elements from their sum.
    #[must_use]
    pub fn apply(&self, sum: i32) -> i8 {
        let centred = sum - self.count as i32 * self.input_zero_point;
        let scaled = requantise(centred, self.multiplier, Rounding::Double);
        crate::clamp_i8(scaled.saturating_add(self.output_zero_point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_parameters_are_errors() {
        assert_eq!(MeanParameters::new(0, 1.0, 0, 1.0, 0), Err(QuantError::AverageCount(0)));
        assert_eq!(MeanParameters::new(65_537, 1.0, 0, 1.0, 0), Err(QuantError::AverageCount(65_537)));
        assert_eq!(MeanParameters::new(1, 0.0, 0, 1.0, 0), Err(QuantError::Scale(0.0)));
        assert_eq!(MeanParameters::new(1, 1.0, -129, 1.0, 0), Err(QuantError::ZeroPoint(-129)));
        // The smallest quotients: no room for another shift.
        let smallest = MeanParameters::new(1000, 2f32.powi(-32), 0, 1.0, 0).expect("valid");
        assert_eq!(smallest.multiplier.right_shift, 31);
        assert_eq!(smallest.apply(127_000), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn mean_is_near_the_real_mean(
            count in 1u32..=MAX_AVERAGE_COUNT,
            scales in (1e-2f32..1.0, 1e-2f32..1.0),
            zero_points in (-128i32..=127, -128i32..=127),
            position in -1.0f64..=1.0,
        ) {
            let (si, so) = scales;
            let (zi, zo) = zero_points;
            let p = MeanParameters::new(count, si, zi, so, zo).expect("valid");
            let sum = (position * 127.0 * f64::from(count)) as i32;
            let real = f64::from(si) * (f64::from(sum) / f64::from(count) - f64::from(zi));
            let expected = (real / f64::from(so) + f64::from(zo)).clamp(-128.0, 127.0);
            prop_assert!((f64::from(p.apply(sum)) - expected).abs() <= 1.01, "{} {}", p.apply(sum), expected);
        }
    }
}
