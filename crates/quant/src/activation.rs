//! Fused activations: in a quantised network each one is a pair of clamping bounds.

use crate::error::{check_scale, check_zero_point, QuantError};

/// The activations TensorFlow Lite fuses into a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    None,
    /// `max(x, 0)`
    Relu,
    /// `x` clamped to 0..=6
    Relu6,
    /// `x` clamped to -1..=1
    ReluN1To1,
}

/// The bounds of a layer's quantised output, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationRange {
    pub min: i8,
    pub max: i8,
}

impl ActivationRange {
    /// The whole int8 range: no activation.
    pub const FULL: ActivationRange = ActivationRange { min: i8::MIN, max: i8::MAX };

    /// Clamps a value into the range.
    #[must_use]
    pub fn clamp(self, x: i32) -> i8 {
        // Not `Ord::clamp`: that panics for an empty range, and this one saturates at its maximum as TensorFlow Lite does.
        x.max(i32::from(self.min)).min(i32::from(self.max)) as i8
    }
}

impl Activation {
    /// The bounds in units of the output tensor: TensorFlow Lite's `CalculateActivationRangeQuantized`, which divides
    /// in single precision and rounds half away from zero.
    ///
    /// # Errors
    /// When the scale is not finite and above zero, the zero point not an int8, or a bound over the scale not an int32.
    pub fn range(self, output_scale: f32, output_zero_point: i32) -> Result<ActivationRange, QuantError> {
        check_scale(output_scale)?;
        check_zero_point(output_zero_point)?;
        let quantise = |bound: f32| {
            let steps = (bound / output_scale).round();
            // The upper comparison is against 2^31, the nearest single-precision number to i32::MAX.
            if steps < i32::MIN as f32 || steps >= i32::MAX as f32 {
                return Err(QuantError::ActivationBound { bound, scale: output_scale });
            }
            Ok(crate::clamp_i8((steps as i32).saturating_add(output_zero_point)))
        };
        let full = ActivationRange::FULL;
        Ok(match self {
            Activation::None => full,
            Activation::Relu => ActivationRange { min: quantise(0.0)?, ..full },
            Activation::Relu6 => ActivationRange { min: quantise(0.0)?, max: quantise(6.0)? },
            Activation::ReluN1To1 => ActivationRange { min: quantise(-1.0)?, max: quantise(1.0)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_of_each_activation() {
        let range = |activation: Activation, scale, zero_point| {
            let range = activation.range(scale, zero_point).expect("valid parameters");
            (range.min, range.max)
        };
        assert_eq!(range(Activation::None, 0.1, 5), (-128, 127));
        assert_eq!(range(Activation::Relu, 0.1, 5), (5, 127));
        assert_eq!(range(Activation::Relu, 0.1, -128), (-128, 127));
        assert_eq!(range(Activation::Relu6, 6.0 / 255.0, -128), (-128, 127));
        assert_eq!(range(Activation::Relu6, 0.1, -128), (-128, -68));
        assert_eq!(range(Activation::ReluN1To1, 0.25, 3), (-1, 7));
        assert_eq!(range(Activation::ReluN1To1, 0.001, 0), (-128, 127));
        // A tie rounds away from zero: 1 / 0.4 = 2.5.
        assert_eq!(range(Activation::ReluN1To1, 0.4, 0), (-3, 3));
    }

    #[test]
    fn bad_parameters_are_errors() {
        assert_eq!(Activation::Relu.range(0.0, 0), Err(QuantError::Scale(0.0)));
        assert_eq!(Activation::Relu.range(1.0, 128), Err(QuantError::ZeroPoint(128)));
        let tiny = f32::MIN_POSITIVE;
        let error = Err(QuantError::ActivationBound { bound: 6.0, scale: tiny });
        assert_eq!(Activation::Relu6.range(tiny, 0), error);
    }

    proptest! {
        #[test]
        fn relu_bounds_are_ordered_and_hold_the_zero_point(scale in 1e-6f32..1e6, zero_point in -128i32..=127) {
            for activation in [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1] {
                let range = activation.range(scale, zero_point).expect("valid parameters");
                prop_assert!(range.min <= range.max);
                prop_assert!((i32::from(range.min)..=i32::from(range.max)).contains(&zero_point));
            }
        }
    }
}
