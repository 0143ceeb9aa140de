//! Integer requantisation and the integer non-linearities, bit-exact to TensorFlow Lite Micro.
//!
//! Pure functions without dependencies: the reference executor, the functional simulator, the compiler and the
//! testbench all take their arithmetic from here, so there is one place where a rounding rule is written.
//!
//! | module | what it holds |
//! |---|---|
//! | [`fixed_point`] | the two gemmlowp primitives: rounding doubling high multiply, rounding divide by a power of two |
//! | [`multiplier`] | [`Multiplier`], [`requantise`] and its two [`Rounding`] modes, the exact mean of [`average_multiplier`] |
//! | [`activation`] | fused activations as clamping bounds of the quantised output |
//! | [`add`], [`mul`] | sum, difference and product of two int8 tensors |
//! | [`mean`] | the mean over any axes |
//! | [`table`] | functions of one int8 as tables: requantisation, rectifiers |
//! | [`sigmoid`], [`mod@hard_swish`] | LOGISTIC, TANH and HARD_SWISH as tables |
//! | [`softmax`] | int8 to int8 softmax |
//! | [`piecewise`] | what row commands compute: powers of two, SiLU, reciprocals, inverse square roots |
//! | [`segments`] | their tables |
//! | [`real`] | between float32 and int8 |
//!
//! # Words
//! *Real* values are `scale * (quantised - zero_point)`. *Accumulator* values are int32 sums of products, in units of
//! `input scale * weight scale`.

pub mod activation;
pub mod add;
pub mod error;
mod exponential;
pub mod fixed_point;
pub mod hard_swish;
pub mod mean;
pub mod mul;
pub mod multiplier;
pub mod piecewise;
pub mod real;
pub mod segments;
pub mod sigmoid;
pub mod softmax;
pub mod table;

pub use activation::{Activation, ActivationRange};
pub use add::AddParameters;
pub use error::QuantError;
pub use hard_swish::hard_swish;
pub use mean::MeanParameters;
pub use mul::MulParameters;
pub use multiplier::{average_multiplier, requantise, Multiplier, Rounding};
pub use softmax::SoftmaxParameters;
pub use table::{Affine, Table};

/// Saturates to the int8 range, -128..=127.
#[must_use]
pub fn clamp_i8(x: i32) -> i8 {
    x.clamp(i32::from(i8::MIN), i32::from(i8::MAX)) as i8
}

#[cfg(test)]
mod tests {
    use super::clamp_i8;

    #[test]
    fn clamp_i8_saturates_at_both_ends() {
        let cases =
            [(i32::MIN, -128), (-129, -128), (-128, -128), (0, 0), (127, 127), (128, 127), (i32::MAX, 127)];
        for (x, expected) in cases {
            assert_eq!(clamp_i8(x), expected, "clamp_i8({x})");
        }
    }
}
