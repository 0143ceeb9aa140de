//! Sums and differences of two int8 tensors with scales of their own: the residual connection.

use crate::activation::ActivationRange;
use crate::error::{check_scale, check_zero_point, QuantError};
use crate::multiplier::{requantise, Multiplier, Rounding};

/// Bits by which each operand is shifted left before it is scaled, so that its fraction survives.
pub const ADD_LEFT_SHIFT: u32 = 20;

/// Everything an int8 ADD or SUB needs, by the rules of TensorFlow Lite's `PrepareAdd` and `reference_integer_ops::Add`.
///
/// Each operand becomes `((x - zero_point) << 20) * scale / (2 * max scale)`; the sum, or the first minus the second, is
/// multiplied by `2 * max scale / (2^20 * output scale)`. All three multiplications are [`requantise`] with [`Rounding::Double`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddParameters {
    /// Zero point of the first operand, -128..=127.
    pub zero_point_a: i32,
    /// Zero point of the second operand, -128..=127.
    pub zero_point_b: i32,
    /// Zero point of the sum, -128..=127.
    pub zero_point_output: i32,
    /// `scale_a / (2 * max scale)`, at most one half.
    pub multiplier_a: Multiplier,
    /// `scale_b / (2 * max scale)`, at most one half.
    pub multiplier_b: Multiplier,
    /// `2 * max scale / (2^20 * output scale)`, below one.
    pub multiplier_output: Multiplier,
    /// Bounds of the sum.
    pub range: ActivationRange,
}

impl AddParameters {
    /// Takes the two operands, then the output.
    ///
    /// # Errors
    /// When a scale is not finite and above zero, a zero point is not an int8, or the output scale is so small that the
    /// output multiplier reaches one (TensorFlow Lite aborts there).
    pub fn new(
        scale_a: f32,
        zero_point_a: i32,
        scale_b: f32,
        zero_point_b: i32,
        scale_output: f32,
        zero_point_output: i32,
        range: ActivationRange,
    ) -> Result<AddParameters, QuantError> {
        for scale in [scale_a, scale_b, scale_output] {
            check_scale(scale)?;
        }
        for zero_point in [zero_point_a, zero_point_b, zero_point_output] {
            check_zero_point(zero_point)?;
        }
        let twice_max_scale = 2.0 * f64::from(scale_a.max(scale_b));
        let real_output = twice_max_scale / (f64::from(1u32 << ADD_LEFT_SHIFT) * f64::from(scale_output));
        let multiplier_output = Multiplier::from_real(real_output)?;
        if multiplier_output.left_shift > 0 {
            return Err(QuantError::AddOutputScale { scale: scale_output });
        }
        Ok(AddParameters {
            zero_point_a,
            zero_point_b,
            zero_point_output,
            multiplier_a: Multiplier::from_real(f64::from(scale_a) / twice_max_scale)?,
            multiplier_b: Multiplier::from_real(f64::from(scale_b) / twice_max_scale)?,
            multiplier_output,
            range,
        })
    }

    /// The quantised sum of two quantised elements.
    #[must_use]
    pub fn apply(&self, a: i8, b: i8) -> i8 {
        // Each operand is at most 255 * 2^20 / 2, so the sum stays below 2^28.
        self.finish(self.scaled_a(a) + self.scaled_b(b))
    }

    /// The quantised difference `a - b`.
    ///
    /// The scaled subtrahend is negated, not the subtrahend itself: the two differ where the scaling rounds a tie.
    #[must_use]
    pub fn apply_difference(&self, a: i8, b: i8) -> i8 {
        self.finish(self.scaled_a(a) - self.scaled_b(b))
    }

    fn scaled_a(&self, a: i8) -> i32 {
        let shifted = (i32::from(a) - self.zero_point_a) << ADD_LEFT_SHIFT;
        requantise(shifted, self.multiplier_a, Rounding::Double)
    }

    fn scaled_b(&self, b: i8) -> i32 {
        let shifted = (i32::from(b) - self.zero_point_b) << ADD_LEFT_SHIFT;
        requantise(shifted, self.multiplier_b, Rounding::Double)
    }

    fn finish(&self, sum: i32) -> i8 {
        let output = requantise(sum, self.multiplier_output, Rounding::Double) + self.zero_point_output;
        self.range.clamp(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_scales_add_plainly() {
        let p = AddParameters::new(0.5, 0, 0.5, 0, 0.5, 0, ActivationRange::FULL).expect("valid");
        for a in i8::MIN..=i8::MAX {
            for b in i8::MIN..=i8::MAX {
                assert_eq!(p.apply(a, b), a.saturating_add(b), "{a} + {b}");
                assert_eq!(p.apply_difference(a, b), a.saturating_sub(b), "{a} - {b}");
            }
        }
    }

    #[test]
    fn bad_parameters_are_errors() {
        let full = ActivationRange::FULL;
        assert_eq!(AddParameters::new(0.0, 0, 1.0, 0, 1.0, 0, full), Err(QuantError::Scale(0.0)));
        assert_eq!(AddParameters::new(1.0, 0, 1.0, 0, 1.0, -129, full), Err(QuantError::ZeroPoint(-129)));
        let scale = 2f32.powi(-19);
        assert_eq!(
            AddParameters::new(1.0, 0, 1.0, 0, scale, 0, full),
            Err(QuantError::AddOutputScale { scale })
        );
        assert!(AddParameters::new(1.0, 0, 1.0, 0, scale * 2.1, 0, full).is_ok());
        // Huge ratios flush the small operand to zero instead of failing.
        assert!(AddParameters::new(f32::MAX, 0, f32::MIN_POSITIVE, 0, f32::MAX, 0, full).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// The integer sum is the real sum to within one step of rounding noise.
        #[test]
        fn sum_is_near_the_real_sum(
            scales in (1e-3f32..10.0, 1e-3f32..10.0, 1e-2f32..10.0),
            zero_points in (-128i32..=127, -128i32..=127, -128i32..=127),
            a: i8, b: i8,
        ) {
            let (sa, sb, so) = scales;
            let (za, zb, zo) = zero_points;
            let p = AddParameters::new(sa, za, sb, zb, so, zo, ActivationRange::FULL).expect("valid");
            let real = f64::from(sa) * f64::from(i32::from(a) - za) + f64::from(sb) * f64::from(i32::from(b) - zb);
            let expected = (real / f64::from(so) + f64::from(zo)).clamp(-128.0, 127.0);
            prop_assert!((f64::from(p.apply(a, b)) - expected).abs() <= 0.51, "{} {}", p.apply(a, b), expected);
            let real = f64::from(sa) * f64::from(i32::from(a) - za) - f64::from(sb) * f64::from(i32::from(b) - zb);
            let expected = (real / f64::from(so) + f64::from(zo)).clamp(-128.0, 127.0);
            let difference = p.apply_difference(a, b);
            prop_assert!((f64::from(difference) - expected).abs() <= 0.51, "{} {}", difference, expected);
        }
    }
}
