//! What can be wrong with a quantisation parameter.

use std::fmt;

/// A parameter outside the range in which the integer arithmetic is defined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuantError {
    /// A real multiplier that is NaN, infinite or negative.
    MultiplierNotFinite(f64),
    /// A real multiplier of 2^31 or more: it needs more than 31 left shifts.
    MultiplierTooLarge(f64),
    /// A scale that is not a finite number above zero.
    Scale(f32),
    /// A zero point outside the int8 range.
    ZeroPoint(i32),
    /// A zero point outside the uint8 range.
    UnsignedZeroPoint(i32),
    /// An activation bound that does not fit an int32 in units of this output scale.
    ActivationBound { bound: f32, scale: f32 },
    /// The ADD output scale is so small that a shift beyond the arithmetic of TensorFlow Lite would be needed.
    AddOutputScale { scale: f32 },
    /// The product of softmax beta and input scale, outside `2^-26 < beta * scale`, or not finite.
    SoftmaxScale { beta: f32, scale: f32 },
    /// The input scale of LOGISTIC or TANH, outside `2^-27 <= scale < 16`.
    SigmoidScale { scale: f32 },
    /// The HARD_SWISH output scale is not above a 128th of the input scale.
    HardSwishScale { input: f32, output: f32 },
    /// An average over no elements, or over more than [`crate::multiplier::MAX_AVERAGE_COUNT`].
    AverageCount(u32),
}

impl fmt::Display for QuantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuantError::MultiplierNotFinite(real) => {
                write!(f, "the requantisation multiplier is {real}; it must be finite and not negative")
            }
            QuantError::MultiplierTooLarge(real) => {
                write!(f, "the requantisation multiplier is {real:.3e}; it must be below 2^31")
            }
            QuantError::Scale(scale) => write!(f, "the scale is {scale}; it must be finite and above zero"),
            QuantError::ZeroPoint(zero_point) => {
                write!(f, "the zero point is {zero_point}; an int8 tensor needs one in -128..=127")
            }
            QuantError::UnsignedZeroPoint(zero_point) => {
                write!(f, "the zero point is {zero_point}; a uint8 tensor needs one in 0..=255")
            }
            QuantError::ActivationBound { bound, scale } => {
                write!(f, "the activation bound {bound} at scale {scale} does not fit 32 bits")
            }
            QuantError::AddOutputScale { scale } => {
                write!(f, "the output scale {scale} of the addition is too small for its input scales")
            }
            QuantError::SoftmaxScale { beta, scale } => {
                write!(f, "softmax with beta {beta} and input scale {scale}; their product must be finite and above 2^-26")
            }
            QuantError::SigmoidScale { scale } => {
                write!(f, "the input scale is {scale}; this operator needs one from 2^-27 to 16")
            }
            QuantError::HardSwishScale { input, output } => {
                write!(f, "the output scale {output} is not above a 128th of the input scale {input}")
            }
            QuantError::AverageCount(count) => {
                write!(
                    f,
                    "an average over {count} elements; 1..={} are supported",
                    crate::multiplier::MAX_AVERAGE_COUNT
                )
            }
        }
    }
}

impl std::error::Error for QuantError {}

/// Accepts a scale: finite and above zero.
pub(crate) fn check_scale(scale: f32) -> Result<(), QuantError> {
    if scale.is_finite() && scale > 0.0 {
        Ok(())
    } else {
        Err(QuantError::Scale(scale))
    }
}

/// Accepts an int8 zero point.
pub(crate) fn check_zero_point(zero_point: i32) -> Result<(), QuantError> {
    if (-128..=127).contains(&zero_point) {
        Ok(())
    } else {
        Err(QuantError::ZeroPoint(zero_point))
    }
}
