//! Functions of one int8 as tables of 256 entries, each by the integer rules of its TensorFlow Lite Micro kernel.

use std::fmt;

use crate::activation::{Activation, ActivationRange};
use crate::clamp_i8;
use crate::error::{check_scale, check_zero_point, QuantError};
use crate::multiplier::{requantise, Multiplier, Rounding};

/// A function from one byte to another.
///
/// Entry `i` is the result for the byte `i`, so an int8 `x` finds its result at `x as u8`: 0 to 127, then -128 to -1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table(pub [i8; 256]);

impl Table {
    /// The table of a function of an int8.
    #[must_use]
    pub fn from_fn(function: impl Fn(i8) -> i8) -> Table {
        Table(std::array::from_fn(|byte| function(byte as u8 as i8)))
    }

    /// The result for an int8.
    #[must_use]
    pub fn apply(&self, x: i8) -> i8 {
        self.0[usize::from(x as u8)]
    }
}

impl fmt::Debug for Table {
    /// The first and the last results in the order of the int8 inputs; 256 numbers would hide what is around them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} ..= {})", self.apply(i8::MIN), self.apply(i8::MAX))
    }
}

/// Scale and zero point of one side of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    pub scale: f32,
    pub zero_point: i32,
}

impl Affine {
    /// Checks an int8 side.
    fn check_i8(self) -> Result<Affine, QuantError> {
        check_scale(self.scale)?;
        check_zero_point(self.zero_point)?;
        Ok(self)
    }

    /// Checks a uint8 side.
    fn check_u8(self) -> Result<Affine, QuantError> {
        check_scale(self.scale)?;
        if (0..=255).contains(&self.zero_point) {
            Ok(self)
        } else {
            Err(QuantError::UnsignedZeroPoint(self.zero_point))
        }
    }
}

/// QUANTIZE from int8 to int8.
///
/// # Errors
/// When a scale is not finite and above zero, a zero point is out of its range, or the quotient of the scales is too large.
pub fn requantisation(input: Affine, output: Affine) -> Result<Table, QuantError> {
    let rescale = Rescale::new(input.check_i8()?, output.check_i8()?)?;
    Ok(Table::from_fn(|x| clamp_i8(rescale.apply(i32::from(x)))))
}

/// QUANTIZE from uint8 to int8; entry `i` is the result for the uint8 `i`.
///
/// # Errors
/// As [`requantisation`].
pub fn requantisation_from_u8(input: Affine, output: Affine) -> Result<Table, QuantError> {
    let rescale = Rescale::new(input.check_u8()?, output.check_i8()?)?;
    Ok(Table::from_fn(|x| clamp_i8(rescale.apply(i32::from(x as u8)))))
}

/// QUANTIZE from int8 to uint8; the entries are the bits of the uint8 results.
///
/// # Errors
/// As [`requantisation`].
pub fn requantisation_to_u8(input: Affine, output: Affine) -> Result<Table, QuantError> {
    let rescale = Rescale::new(input.check_i8()?, output.check_u8()?)?;
    Ok(Table::from_fn(|x| rescale.apply(i32::from(x)).clamp(0, 255) as u8 as i8))
}

/// RELU with a scale of its own for the output.
///
/// # Errors
/// As [`requantisation`].
pub fn relu(input: Affine, output: Affine) -> Result<Table, QuantError> {
    let rescale = Rescale::new(input.check_i8()?, output.check_i8()?)?;
    let range = ActivationRange {
        min: output.zero_point as i8,
        ..Activation::Relu.range(output.scale, output.zero_point)?
    };
    Ok(Table::from_fn(|x| range.clamp(rescale.apply(i32::from(x)))))
}

/// RELU6 between tensors of the same scale and zero point: TensorFlow Lite Micro only clamps.
///
/// # Errors
/// When the scale is not finite and above zero, or so small that six does not fit 32 bits, or the zero point no int8.
pub fn relu6(quantisation: Affine) -> Result<Table, QuantError> {
    let Affine { scale, zero_point } = quantisation.check_i8()?;
    let range = Activation::Relu6.range(scale, zero_point)?;
    Ok(Table::from_fn(|x| range.clamp(i32::from(x))))
}

/// LEAKY_RELU: negative values times `alpha`.
///
/// # Errors
/// As [`requantisation`], and when `alpha` is negative or not finite.
pub fn leaky_relu(input: Affine, output: Affine, alpha: f32) -> Result<Table, QuantError> {
    let (input, output) = (input.check_i8()?, output.check_i8()?);
    let (input_scale, output_scale) = (f64::from(input.scale), f64::from(output.scale));
    let identity = Multiplier::from_real(input_scale / output_scale)?;
    let sloped = Multiplier::from_real(input_scale * f64::from(alpha) / output_scale)?;
    Ok(Table::from_fn(|x| {
        let centred = i32::from(x) - input.zero_point;
        let multiplier = if centred >= 0 { identity } else { sloped };
        clamp_i8(requantise(centred, multiplier, Rounding::Double).saturating_add(output.zero_point))
    }))
}

/// `(x - input zero point) * input scale / output scale + output zero point`, with double rounding.
struct Rescale {
    multiplier: Multiplier,
    input_zero_point: i32,
    output_zero_point: i32,
}

impl Rescale {
    fn new(input: Affine, output: Affine) -> Result<Rescale, QuantError> {
        Ok(Rescale {
            multiplier: Multiplier::from_real(f64::from(input.scale) / f64::from(output.scale))?,
            input_zero_point: input.zero_point,
            output_zero_point: output.zero_point,
        })
    }

    fn apply(&self, x: i32) -> i32 {
        requantise(x - self.input_zero_point, self.multiplier, Rounding::Double)
            .saturating_add(self.output_zero_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affine(scale: f32, zero_point: i32) -> Affine {
        Affine { scale, zero_point }
    }

    #[test]
    fn equal_scales_move_the_zero_point() {
        let table = requantisation(affine(0.1, 3), affine(0.1, 5)).expect("valid");
        for x in i8::MIN..=i8::MAX {
            assert_eq!(table.apply(x), x.saturating_add(2));
        }
        let flip = requantisation_from_u8(affine(0.1, 128), affine(0.1, 0)).expect("valid");
        let back = requantisation_to_u8(affine(0.1, 0), affine(0.1, 128)).expect("valid");
        for byte in 0..=255u8 {
            assert_eq!(flip.0[usize::from(byte)], (byte ^ 0x80) as i8);
            assert_eq!(back.0[usize::from(byte)], (byte ^ 0x80) as i8);
        }
    }

    #[test]
    fn a_half_rounds_ties_up_and_a_quarter_away_from_zero() {
        let table = requantisation(affine(0.5, 0), affine(1.0, 0)).expect("valid");
        for (x, y) in [(-128, -64), (-3, -1), (-1, 0), (0, 0), (1, 1), (3, 2), (127, 64)] {
            assert_eq!(table.apply(x), y, "{x}");
        }
        // The right shift of a multiplier below one half rounds the other way.
        let table = requantisation(affine(0.25, 0), affine(1.0, 0)).expect("valid");
        for (x, y) in [(-128, -32), (-6, -2), (-3, -1), (-2, -1), (2, 1), (6, 2)] {
            assert_eq!(table.apply(x), y, "{x}");
        }
    }

    #[test]
    fn rectifiers() {
        let table = relu(affine(0.1, -10), affine(0.2, -128)).expect("valid");
        for (x, y) in [(-128, -128), (-10, -128), (-8, -127), (10, -118), (127, -59)] {
            assert_eq!(table.apply(x), y, "{x}");
        }
        let table = relu6(affine(0.1, -10)).expect("valid");
        for (x, y) in [(-128, -10), (-10, -10), (5, 5), (50, 50), (51, 50), (127, 50)] {
            assert_eq!(table.apply(x), y, "{x}");
        }
        let table = leaky_relu(affine(0.1, 0), affine(0.1, 0), 0.25).expect("valid");
        for (x, y) in [(-128, -32), (-4, -1), (0, 0), (9, 9), (127, 127)] {
            assert_eq!(table.apply(x), y, "{x}");
        }
    }

    #[test]
    fn bad_parameters_are_errors() {
        let good = affine(1.0, 0);
        assert_eq!(requantisation(affine(0.0, 0), good), Err(QuantError::Scale(0.0)));
        assert_eq!(requantisation(good, affine(1.0, 128)), Err(QuantError::ZeroPoint(128)));
        assert_eq!(requantisation_from_u8(affine(1.0, -1), good), Err(QuantError::UnsignedZeroPoint(-1)));
        assert_eq!(requantisation_to_u8(good, affine(1.0, 256)), Err(QuantError::UnsignedZeroPoint(256)));
        assert_eq!(leaky_relu(good, good, -0.5), Err(QuantError::MultiplierNotFinite(-0.5)));
        assert!(matches!(
            requantisation(affine(1e20, 0), affine(1e-20, 0)),
            Err(QuantError::MultiplierTooLarge(_))
        ));
    }
}
