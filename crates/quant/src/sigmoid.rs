//! LOGISTIC and TANH from int8 to int8, in gemmlowp's fixed point, as tables.

use crate::clamp_i8;
use crate::error::{check_scale, check_zero_point, QuantError};
use crate::exponential::{exp_of_negative, one_minus_over_one_plus, one_over_one_plus};
use crate::fixed_point::rounding_divide_by_power_of_two;
use crate::multiplier::{requantise, Multiplier, Rounding};
use crate::table::{Affine, Table};

/// The quantisation that every int8 LOGISTIC writes.
pub const LOGISTIC_OUTPUT: Affine = Affine { scale: 1.0 / 256.0, zero_point: -128 };
/// The quantisation that every int8 TANH writes.
pub const TANH_OUTPUT: Affine = Affine { scale: 1.0 / 128.0, zero_point: 0 };

/// Integer bits of the argument: both functions are saturated beyond 16.
const INTEGER_BITS: u32 = 4;

/// LOGISTIC, `1 / (1 + e^-x)`, written with [`LOGISTIC_OUTPUT`].
///
/// # Errors
/// When the scale is not finite and above zero, not between 2^-27 and 16, or the zero point no int8.
pub fn logistic(input: Affine) -> Result<Table, QuantError> {
    const OUTPUT_INTEGER_BITS: u32 = 8;
    let argument = Argument::new(input)?;
    Ok(Table::from_fn(|x| {
        argument.apply(x, |q4| {
            let probability = rounding_divide_by_power_of_two(logistic_q0(q4), 31 - OUTPUT_INTEGER_BITS);
            clamp_i8(probability + LOGISTIC_OUTPUT.zero_point)
        })
    }))
}

/// TANH, written with [`TANH_OUTPUT`].
///
/// # Errors
/// As [`logistic`].
pub fn tanh(input: Affine) -> Result<Table, QuantError> {
    const OUTPUT_INTEGER_BITS: u32 = 7;
    let argument = Argument::new(input)?;
    Ok(Table::from_fn(|x| {
        argument
            .apply(x, |q4| clamp_i8(rounding_divide_by_power_of_two(tanh_q0(q4), 31 - OUTPUT_INTEGER_BITS)))
    }))
}

/// Takes an int8 to Q4.27.
struct Argument {
    zero_point: i32,
    multiplier: Multiplier,
    /// From this distance to the zero point on, the function is at its bound.
    radius: i32,
}

impl Argument {
    fn new(input: Affine) -> Result<Argument, QuantError> {
        check_scale(input.scale)?;
        check_zero_point(input.zero_point)?;
        let real = f64::from(input.scale) * f64::from(1u32 << (31 - INTEGER_BITS));
        // Outside, the kernel shifts by negative amounts or by more than 31.
        if !(1.0..f64::from(1u32 << 31)).contains(&real) {
            return Err(QuantError::SigmoidScale { scale: input.scale });
        }
        let multiplier = Multiplier::from_real(real)?;
        let largest = ((1i64 << INTEGER_BITS) - 1) << (31 - INTEGER_BITS);
        let radius = (largest >> multiplier.left_shift) as i32;
        Ok(Argument { zero_point: input.zero_point, multiplier, radius })
    }

    fn apply(&self, x: i8, function: impl Fn(i32) -> i8) -> i8 {
        let centred = i32::from(x) - self.zero_point;
        if centred <= -self.radius {
            i8::MIN
        } else if centred >= self.radius {
            i8::MAX
        } else {
            function(requantise(centred, self.multiplier, Rounding::Double))
        }
    }
}

/// `1 / (1 + e^-a)` in Q0.31 for `a` in Q4.27.
fn logistic_q0(a: i32) -> i32 {
    let of_magnitude = || one_over_one_plus(exp_of_negative(-a.abs(), INTEGER_BITS));
    match a {
        0 => 1 << 30,
        1.. => of_magnitude(),
        _ => i32::MAX - of_magnitude(),
    }
}

/// `tanh(a)` in Q0.31 for `a` in Q4.27: `(1 - e^-2a) / (1 + e^-2a)` with the sign of `a`.
fn tanh_q0(a: i32) -> i32 {
    // The same bits with one more integer bit are twice the number.
    let of_magnitude = || one_minus_over_one_plus(exp_of_negative(-a.abs(), INTEGER_BITS + 1));
    match a {
        0 => 0,
        1.. => of_magnitude(),
        _ => -of_magnitude(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_are_within_a_few_units_of_the_real_ones() {
        for i in -1_000_000..=1_000_000 {
            let a = i * 2147;
            let real = f64::from(a) / 2f64.powi(27);
            let error = f64::from(logistic_q0(a)) / 2f64.powi(31) - 1.0 / (1.0 + (-real).exp());
            assert!(error.abs() < 3e-7, "logistic({real}) is off by {error}");
            let error = f64::from(tanh_q0(a)) / 2f64.powi(31) - real.tanh();
            assert!(error.abs() < 3e-7, "tanh({real}) is off by {error}");
        }
    }

    #[test]
    fn bad_parameters_are_errors() {
        for scale in [16.0, 1e-9] {
            let input = Affine { scale, zero_point: 0 };
            assert_eq!(logistic(input), Err(QuantError::SigmoidScale { scale }));
            assert_eq!(tanh(input), Err(QuantError::SigmoidScale { scale }));
        }
        assert_eq!(tanh(Affine { scale: 0.1, zero_point: 200 }), Err(QuantError::ZeroPoint(200)));
    }

    proptest! {
        #[test]
        fn tables_are_near_the_real_functions(scale in 1e-4f32..1.0, zero_point in -128i32..=127) {
            let input = Affine { scale, zero_point };
            let (logistic, tanh) = (logistic(input).expect("valid"), tanh(input).expect("valid"));
            for x in i8::MIN..=i8::MAX {
                let real = f64::from(scale) * f64::from(i32::from(x) - zero_point);
                let expected = (256.0 / (1.0 + (-real).exp()) - 128.0).min(127.0);
                prop_assert!((f64::from(logistic.apply(x)) - expected).abs() < 0.51, "logistic({real})");
                let expected = (128.0 * real.tanh()).min(127.0);
                prop_assert!((f64::from(tanh.apply(x)) - expected).abs() < 0.51, "tanh({real})");
            }
        }
    }
}
