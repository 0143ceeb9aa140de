//! The product of two int8 tensors: gates, squeeze-and-excitation.

use crate::activation::ActivationRange;
use crate::error::{check_zero_point, QuantError};
use crate::multiplier::{requantise, Multiplier, Rounding};

/// Everything an int8 MUL needs: `clamp(requantise((a - zero_point_a) * (b - zero_point_b), multiplier, Double) +
/// zero_point_output)`, as TensorFlow Lite's `reference_integer_ops::Mul` computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MulParameters {
    /// Zero point of the first operand, -128..=127.
    pub zero_point_a: i32,
    /// Zero point of the second operand, -128..=127.
    pub zero_point_b: i32,
    /// Zero point of the product, -128..=127.
    pub zero_point_output: i32,
    /// `scale_a * scale_b / scale_output`.
    pub multiplier: Multiplier,
    /// Bounds of the product.
    pub range: ActivationRange,
}

impl MulParameters {
    /// Takes the two operands, then the output.
    ///
    /// # Errors
    /// When a scale is not finite and above zero, a zero point is not an int8, or the multiplier is too large.
    pub fn new(
        scale_a: f32,
        zero_point_a: i32,
        scale_b: f32,
        zero_point_b: i32,
        scale_output: f32,
        zero_point_output: i32,
        range: ActivationRange,
    ) -> Result<MulParameters, QuantError> {
        for zero_point in [zero_point_a, zero_point_b, zero_point_output] {
            check_zero_point(zero_point)?;
        }
        let multiplier = Multiplier::from_scales(scale_a, scale_b, scale_output)?;
        Ok(MulParameters { zero_point_a, zero_point_b, zero_point_output, multiplier, range })
    }

    /// The quantised product of two quantised elements.
    #[must_use]
    pub fn apply(&self, a: i8, b: i8) -> i8 {
        let product = (i32::from(a) - self.zero_point_a) * (i32::from(b) - self.zero_point_b);
        let scaled = requantise(product, self.multiplier, Rounding::Double);
        self.range.clamp(scaled.saturating_add(self.zero_point_output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_parameters_are_errors() {
        let full = ActivationRange::FULL;
        assert_eq!(
            MulParameters::new(1.0, 0, f32::NAN, 0, 1.0, 0, full).map(|_| ()).map_err(|_| ()),
            Err(())
        );
        assert_eq!(MulParameters::new(1.0, 0, 1.0, 128, 1.0, 0, full), Err(QuantError::ZeroPoint(128)));
        assert!(matches!(
            MulParameters::new(1e20, 0, 1e20, 0, 1e-20, 0, full),
            Err(QuantError::MultiplierTooLarge(_))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// The integer product is the real product to within one step of rounding noise.
        #[test]
        fn product_is_near_the_real_product(
            scales in (1e-3f32..1.0, 1e-3f32..1.0, 1e-2f32..10.0),
            zero_points in (-128i32..=127, -128i32..=127, -128i32..=127),
            a: i8, b: i8,
        ) {
            let (sa, sb, so) = scales;
            let (za, zb, zo) = zero_points;
            let p = MulParameters::new(sa, za, sb, zb, so, zo, ActivationRange::FULL).expect("valid");
            let real = f64::from(sa) * f64::from(i32::from(a) - za) * f64::from(sb) * f64::from(i32::from(b) - zb);
            let expected = (real / f64::from(so) + f64::from(zo)).clamp(-128.0, 127.0);
            prop_assert!((f64::from(p.apply(a, b)) - expected).abs() <= 1.01, "{} {}", p.apply(a, b), expected);
        }
    }
}
