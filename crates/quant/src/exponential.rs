//! Exponentials and quotients in gemmlowp's fixed point: what softmax, logistic and tanh are made of.
//!
//! Formats are written Qi.f: i integer bits, f fractional bits, one sign bit, in an int32.

use crate::fixed_point::{
    multiply, rounding_divide_by_power_of_two, rounding_half_sum, saturating_shift_left,
};

/// `e^a` in Q0.31 for `a <= 0` with `integer_bits` integer bits, at most 5: a polynomial on the last quarter, then one
/// multiplication for each set bit above.
pub(crate) fn exp_of_negative(a: i32, integer_bits: u32) -> i32 {
    /// `e^-(2^k)` in Q0.31 for k = -2, -1, 0, 1, 2, 3, 4.
    const FACTORS: [i32; 7] =
        [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    let one_quarter = 1i32 << (31 - integer_bits - 2);
    if a == 0 {
        return i32::MAX;
    }
    let quarter = (a & (one_quarter - 1)) - one_quarter;
    let mut result = exp_of_last_quarter(saturating_shift_left(quarter, integer_bits));
    let remainder = quarter.wrapping_sub(a);
    // The number has bits for -2 .. integer_bits - 1.
    for (k, factor) in FACTORS.into_iter().take(integer_bits as usize + 2).enumerate() {
        if remainder & (one_quarter << k) != 0 {
            result = multiply(result, factor);
        }
    }
    result
}

/// `e^a` in Q0.31 for `-1/4 <= a < 0` in Q0.31: the Taylor series around -1/8 to the fourth order.
fn exp_of_last_quarter(a: i32) -> i32 {
    /// `e^(-1/8)`
    const CONSTANT: i32 = 1_895_147_668;
    const ONE_THIRD: i32 = 715_827_883;
    const ONE_EIGHTH: i32 = 1 << 28;
    let x = a + ONE_EIGHTH;
    let x2 = multiply(x, x);
    let x3 = multiply(x2, x);
    let x4 = multiply(x2, x2);
    let x4_over_4 = rounding_divide_by_power_of_two(x4, 2);
    let higher_orders = rounding_divide_by_power_of_two(multiply(x4_over_4 + x3, ONE_THIRD) + x2, 1);
    CONSTANT + multiply(CONSTANT, x + higher_orders)
}

/// `1 / (1 + a)` in Q0.31 for `0 <= a < 1` in Q0.31.
pub(crate) fn one_over_one_plus(a: i32) -> i32 {
    saturating_shift_left(twice_one_over_one_plus(a), 1)
}

/// `(1 - a) / (1 + a)` in Q0.31 for `0 <= a < 1` in Q0.31.
pub(crate) fn one_minus_over_one_plus(a: i32) -> i32 {
    saturating_shift_left(twice_one_over_one_plus(a) - ONE_Q2_29, 2)
}

/// One in Q2.29.
const ONE_Q2_29: i32 = 1 << 29;

/// `2 / (1 + a)` in Q2.29 for `0 <= a < 1` in Q0.31: three Newton-Raphson steps from the line 48/17 - 32/17 d.
fn twice_one_over_one_plus(a: i32) -> i32 {
    const FORTY_EIGHT_OVER_17: i32 = 1_515_870_810;
    const MINUS_THIRTY_TWO_OVER_17: i32 = -1_010_580_540;
    let half_denominator = rounding_half_sum(a, i32::MAX);
    let mut x = FORTY_EIGHT_OVER_17 + multiply(half_denominator, MINUS_THIRTY_TWO_OVER_17);
    for _ in 0..3 {
        let error = ONE_Q2_29 - multiply(half_denominator, x);
        // Q2.29 * Q2.29 is Q4.27.
        x += saturating_shift_left(multiply(x, error), 2);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_within_a_few_units_of_the_real_one() {
        for integer_bits in [4, 5] {
            let fraction_bits = 31 - integer_bits;
            // Dense over the whole range, and every value next to a quarter boundary.
            let dense = (0..=2_000_000).map(|i| -i * 1073);
            let quarters = 1 << (integer_bits + 2);
            let boundaries =
                (0..quarters).flat_map(|q| (-2..=2).map(move |d| -q * (1 << (fraction_bits - 2)) + d));
            for a in dense.chain(boundaries).filter(|&a| a <= 0) {
                let real = (f64::from(a) / 2f64.powi(fraction_bits as i32)).exp();
                let error = f64::from(exp_of_negative(a, integer_bits)) / 2f64.powi(31) - real;
                assert!(error.abs() < 3e-7, "exp({a}) with {integer_bits} integer bits is off by {error}");
            }
            assert_eq!(exp_of_negative(0, integer_bits), i32::MAX);
            assert!(exp_of_negative(i32::MIN, integer_bits) >= 0);
        }
    }

    #[test]
    fn quotients_are_within_a_few_units_of_the_real_ones() {
        for i in 0..1_000_000 {
            let a = i * 2147;
            let real = f64::from(a) / 2f64.powi(31);
            let error = f64::from(one_over_one_plus(a)) / 2f64.powi(31) - 1.0 / (1.0 + real);
            assert!(error.abs() < 1e-8, "1/(1+{a}) is off by {error}");
            let error = f64::from(one_minus_over_one_plus(a)) / 2f64.powi(31) - (1.0 - real) / (1.0 + real);
            assert!(error.abs() < 1e-8, "(1-{a})/(1+{a}) is off by {error}");
        }
    }
}
