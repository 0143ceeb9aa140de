//! The two primitives of gemmlowp's fixed-point arithmetic, `fixedpoint.h`.

/// `round(x * multiplier / 2^31)`, ties towards plus infinity: gemmlowp's `SaturatingRoundingDoublingHighMul` with an
/// unsigned second operand.
///
/// * `x`: any int32.
/// * `multiplier`: `0..=2^31`, a fraction in units of 2^-31. `2^31` is one and gives `x` back exactly.
///
/// gemmlowp writes `trunc((p + nudge) / 2^31)` with `nudge = p >= 0 ? 2^30 : 1 - 2^30`. For `p < 0` the dividend is at
/// most zero, so truncation is a ceiling, and `ceil((p + 1 - 2^30) / 2^31) = floor((p + 1 - 2^30 + 2^31 - 1) / 2^31) =
/// floor((p + 2^30) / 2^31)`: one adder and an arithmetic shift for both signs. gemmlowp saturates only for
/// `x = multiplier = -2^31`, which an unsigned multiplier excludes.
#[must_use]
pub fn rounding_doubling_high_multiply(x: i32, multiplier: u32) -> i32 {
    debug_assert!(multiplier <= 1 << 31, "multiplier {multiplier} exceeds 2^31");
    ((i64::from(x) * i64::from(multiplier) + (1 << 30)) >> 31) as i32
}

/// `round(x / 2^exponent)`, ties away from zero: gemmlowp's `RoundingDivideByPOT`.
///
/// * `exponent`: `0..=31`.
#[must_use]
pub fn rounding_divide_by_power_of_two(x: i32, exponent: u32) -> i32 {
    debug_assert!(exponent <= 31, "exponent {exponent} exceeds 31");
    let mask = (1i64 << exponent) - 1;
    let remainder = i64::from(x) & mask;
    let threshold = (mask >> 1) + i64::from(x < 0);
    (x >> exponent) + i32::from(remainder > threshold)
}

/// Signed form of [`rounding_doubling_high_multiply`], as gemmlowp multiplies two fixed-point numbers; saturates for
/// `a = b = -2^31`.
pub(crate) fn multiply(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    ((i64::from(a) * i64::from(b) + (1 << 30)) >> 31) as i32
}

/// `x * 2^exponent`, saturating at the int32 bounds: gemmlowp's `SaturatingRoundingMultiplyByPOT` for `exponent > 0`.
pub(crate) fn saturating_shift_left(x: i32, exponent: u32) -> i32 {
    (i64::from(x) << exponent).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// `(a + b) / 2`, ties away from zero: gemmlowp's `RoundingHalfSum`.
pub(crate) fn rounding_half_sum(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    let sign = if sum >= 0 { 1 } else { -1 };
    ((sum + sign) / 2) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// gemmlowp's own text, with int32 operands.
    fn gemmlowp_high_multiply(a: i32, b: i32) -> i32 {
        let overflow = a == b && a == i32::MIN;
        let product = i64::from(a) * i64::from(b);
        let nudge: i64 = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        let high = ((product + nudge) / (1i64 << 31)) as i32;
        if overflow {
            i32::MAX
        } else {
            high
        }
    }

    /// `round(x / 2^exponent)`, ties away from zero, in 128 bits.
    fn divide_reference(x: i32, exponent: u32) -> i32 {
        let divisor = 1i128 << exponent;
        let magnitude = (2 * i128::from(x).abs() + divisor) / (2 * divisor);
        (if x < 0 { -magnitude } else { magnitude }) as i32
    }

    const EDGES: [i32; 17] = [
        i32::MIN,
        i32::MIN + 1,
        -(1 << 30) - 1,
        -(1 << 30),
        -(1 << 30) + 1,
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        (1 << 30) - 1,
        1 << 30,
        (1 << 30) + 1,
        i32::MAX - 1,
        i32::MAX,
    ];

    #[test]
    fn high_multiply_equals_gemmlowp_at_the_edges() {
        for a in EDGES {
            for b in EDGES {
                assert_eq!(multiply(a, b), gemmlowp_high_multiply(a, b), "{a} * {b}");
                if b >= 0 {
                    assert_eq!(
                        rounding_doubling_high_multiply(a, b as u32),
                        gemmlowp_high_multiply(a, b),
                        "{a} * {b}"
                    );
                }
            }
        }
    }

    #[test]
    fn high_multiply_by_one_is_the_identity() {
        for x in EDGES {
            assert_eq!(rounding_doubling_high_multiply(x, 1 << 31), x);
        }
    }

    #[test]
    fn high_multiply_equals_gemmlowp_around_every_tie() {
        // With multiplier 2^30 every odd x is a tie; neighbours of it put the product one either side.
        for x in -5000..5000 {
            for multiplier in (1 << 30) - 2..=(1 << 30) + 2 {
                let expected = gemmlowp_high_multiply(x, multiplier);
                assert_eq!(
                    rounding_doubling_high_multiply(x, multiplier as u32),
                    expected,
                    "{x} * {multiplier}"
                );
            }
        }
    }

    #[test]
    fn divide_by_power_of_two_is_exact_near_zero_and_at_the_extremes() {
        for exponent in 0..=31 {
            for x in (-3000..3000).chain(EDGES) {
                let expected = divide_reference(x, exponent);
                assert_eq!(rounding_divide_by_power_of_two(x, exponent), expected, "{x} / 2^{exponent}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn high_multiply_equals_gemmlowp(a: i32, b: i32) {
            prop_assert_eq!(multiply(a, b), gemmlowp_high_multiply(a, b));
            if b >= 0 {
                prop_assert_eq!(rounding_doubling_high_multiply(a, b as u32), gemmlowp_high_multiply(a, b));
            }
        }

        #[test]
        fn divide_by_power_of_two_equals_the_wide_reference(x: i32, exponent in 0u32..=31) {
            prop_assert_eq!(rounding_divide_by_power_of_two(x, exponent), divide_reference(x, exponent));
        }

        #[test]
        fn half_sum_rounds_away_from_zero(a: i32, b: i32) {
            let sum = i128::from(a) + i128::from(b);
            let expected = if sum >= 0 { (sum + 1) / 2 } else { (sum - 1) / 2 };
            prop_assert_eq!(i128::from(rounding_half_sum(a, b)), expected);
        }
    }
}
