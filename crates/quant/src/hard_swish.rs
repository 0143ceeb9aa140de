//! HARD_SWISH, `x * clamp(x + 3, 0, 6) / 6`, from int8 to int8 in 16-bit fixed point, as a table.

use crate::clamp_i8;
use crate::error::{check_scale, check_zero_point, QuantError};
use crate::fixed_point::rounding_divide_by_power_of_two;
use crate::multiplier::Multiplier;
use crate::table::{Affine, Table};

/// The input is shifted left by this much before anything else.
const HIGH_RESOLUTION_BITS: u32 = 7;

/// HARD_SWISH by the rules of TensorFlow Lite's `HardSwish`.
///
/// # Errors
/// When a scale is not finite and above zero, a zero point is no int8, or the output scale is so small that the output
/// multiplier, `input scale / (128 * output scale)`, reaches one.
pub fn hard_swish(input: Affine, output: Affine) -> Result<Table, QuantError> {
    for side in [input, output] {
        check_scale(side.scale)?;
        check_zero_point(side.zero_point)?;
    }
    let scale = f64::from(input.scale) / f64::from(1 << HIGH_RESOLUTION_BITS);
    let to_output = Multiplier::from_real(scale / f64::from(output.scale))?;
    if to_output.left_shift > 0 {
        return Err(QuantError::HardSwishScale { input: input.scale, output: output.scale });
    }
    // 3.0 becomes 2^15.
    let to_gate = Multiplier::from_real(scale / (3.0 / 32768.0))?;
    Ok(Table::from_fn(|x| {
        let centred = ((i32::from(x) - input.zero_point) << HIGH_RESOLUTION_BITS) as i16;
        let on_output_scale = high_multiply(centred, to_16_bits(to_output.multiplier), Nearest);
        let mut gate = centred;
        // The last bit of a left shift comes after the multiplication, so that only it saturates what counts.
        if to_gate.left_shift > 0 {
            gate = saturating_shift_left(gate, to_gate.left_shift - 1);
        }
        gate = high_multiply(gate, to_16_bits(to_gate.multiplier), Nearest);
        if to_gate.left_shift > 0 {
            gate = saturating_shift_left(gate, 1);
        }
        gate = divide(gate, to_gate.right_shift);
        // From [-1, 1) to [0, 1).
        let gate = ((i32::from(gate) + (1 << 15)) >> 1) as i16;
        let product = high_multiply(gate, on_output_scale, TowardsZero);
        clamp_i8(i32::from(divide(product, to_output.right_shift)) + output.zero_point)
    }))
}

use Round::{Nearest, TowardsZero};

/// How [`high_multiply`] rounds.
enum Round {
    Nearest,
    TowardsZero,
}

/// The significand of a multiplier in units of 2^-15, rounded and saturating.
fn to_16_bits(significand: u32) -> i16 {
    ((u64::from(significand) + (1 << 15)) >> 16).min(i16::MAX as u64) as i16
}

/// `a * b / 2^15`, saturating for `a = b = -2^15`; the nearest is gemmlowp's 16-bit rounding doubling high multiply.
fn high_multiply(a: i16, b: i16, round: Round) -> i16 {
    let product = i32::from(a) * i32::from(b);
    let high = match round {
        Nearest => (product + (1 << 14)) >> 15,
        TowardsZero => product / (1 << 15),
    };
    high.min(i32::from(i16::MAX)) as i16
}

fn saturating_shift_left(x: i16, exponent: u8) -> i16 {
    (i64::from(x) << exponent).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// `x / 2^exponent`, ties away from zero.
fn divide(x: i16, exponent: u8) -> i16 {
    rounding_divide_by_power_of_two(i32::from(x), u32::from(exponent)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_parameters_are_errors() {
        let good = Affine { scale: 1.0, zero_point: 0 };
        let bad = Affine { scale: 1.0 / 128.0, zero_point: 0 };
        let error = QuantError::HardSwishScale { input: 1.0, output: 1.0 / 128.0 };
        assert_eq!(hard_swish(good, bad), Err(error));
        assert_eq!(hard_swish(Affine { zero_point: 128, ..good }, good), Err(QuantError::ZeroPoint(128)));
    }

    proptest! {
        #[test]
        fn the_table_is_near_the_real_function(
            scales in (1e-3f32..0.2, 1e-2f32..0.2),
            zero_points in (-128i32..=127, -128i32..=127),
        ) {
            let input = Affine { scale: scales.0, zero_point: zero_points.0 };
            let output = Affine { scale: scales.1, zero_point: zero_points.1 };
            prop_assume!(scales.0 / scales.1 < 60.0);
            let table = hard_swish(input, output).expect("valid");
            for x in i8::MIN..=i8::MAX {
                let real = f64::from(input.scale) * f64::from(i32::from(x) - input.zero_point);
                let result = real * (real + 3.0).clamp(0.0, 6.0) / 6.0;
                let expected = (result / f64::from(output.scale) + f64::from(output.zero_point)).clamp(-128.0, 127.0);
                prop_assert!((f64::from(table.apply(x)) - expected).abs() < 1.6, "{} {}", table.apply(x), expected);
            }
        }
    }
}
