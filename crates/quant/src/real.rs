//! Between float32 and int8: the borders of a quantised network.

use crate::table::Affine;

/// QUANTIZE from float32: `round(x / scale) + zero_point`, half away from zero, saturating.
///
/// The quotient is single precision, as in TensorFlow Lite Micro. What is no number gives the zero point, and what exceeds
/// an int32 the nearest bound; TensorFlow Lite Micro leaves both undefined.
#[must_use]
pub fn quantise(x: f32, quantisation: Affine) -> i8 {
    let steps = (x / quantisation.scale).round() as i32;
    crate::clamp_i8(steps.saturating_add(quantisation.zero_point))
}

/// DEQUANTIZE to float32: `scale * (x - zero_point)`.
#[must_use]
pub fn dequantise(x: i8, quantisation: Affine) -> f32 {
    quantisation.scale * (i32::from(x) - quantisation.zero_point) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dequantised_quantises_back() {
        for scale in [0.1f32, 1.0 / 256.0, 3.7] {
            for zero_point in [-128, -3, 0, 127] {
                let quantisation = Affine { scale, zero_point };
                for x in i8::MIN..=i8::MAX {
                    assert_eq!(quantise(dequantise(x, quantisation), quantisation), x);
                }
            }
        }
    }

    #[test]
    fn ties_and_extremes() {
        let quantisation = Affine { scale: 0.5, zero_point: 3 };
        let cases = [(0.25, 4), (-0.25, 2), (0.24, 3), (1e30, 127), (-1e30, -128), (f32::NAN, 3)];
        for (x, expected) in cases {
            assert_eq!(quantise(x, quantisation), expected, "{x}");
        }
    }
}
