//! Non-linearities of language models, made of straight segments: what the row commands compute, bit for bit.
//!
//! | function | input | result | largest error |
//! |---|---|---|---|
//! | [`power_of_two`] | units of 2^-10 | units of 2^-15, shifted | 1.5e-4 of the value |
//! | [`silu`] | units of 2^-11 | units of 2^-11 | 9e-4 |
//! | [`reciprocal`] | an integer | [`Scale`] | 1.4e-4 of the value |
//! | [`inverse_square_root`] | an integer | [`Scale`] | 1.0e-4 of the value |
//!
//! Each is a table lookup, one multiplication and one rounding shift: `(value + slope * fraction) >> shift`.

use crate::segments::{Segment, INVERSE_SQUARE_ROOT, POWER_OF_TWO, RECIPROCAL, SILU_TAIL};

/// `x >> shift`, rounded to nearest, half up; exact for any shift below 64.
#[must_use]
pub fn round_shift(x: i64, shift: u32) -> i64 {
    match shift {
        0 => x,
        // Only the sign would be left of it.
        63.. => 0,
        _ => (x + (1 << (shift - 1))) >> shift,
    }
}

/// `2^(min(z, 0) / 1024)` in units of 2^-15, shifted right by `shift` with rounding.
#[must_use]
pub fn power_of_two(z: i16, shift: u32) -> i32 {
    let n = -i32::from(z.min(0));
    let (whole, fraction) = (n >> 10, n & 1023);
    let Segment(value, slope) = POWER_OF_TWO[(fraction >> 6) as usize];
    let exact = (value << 6) + slope * (fraction & 63);
    round_shift(i64::from(exact), (6 + shift + whole as u32).min(31)) as i32
}

/// `z * sigmoid(z)`; z and the result in units of 2^-11.
///
/// `x * sigmoid(x)` is `max(x, 0) - |x| * sigmoid(-|x|)`, and only the second term needs a table.
#[must_use]
pub fn silu(z: i16) -> i32 {
    let x = i32::from(z).abs();
    let (segment, fraction) = match x {
        0..4096 => (x >> 8, (x & 255) << 3),
        4096..12288 => (16 + ((x - 4096) >> 9), (x & 511) << 2),
        _ => (32 + ((x - 12288) >> 11), x & 2047),
    };
    let Segment(value, slope) = SILU_TAIL[segment as usize];
    let positive = i32::from(z.max(0)) << 15;
    round_shift(i64::from(positive - (value << 11) - slope * fraction), 15) as i32
}

/// A factor: `mantissa * 2^-16 * 2^-exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// 2^15 - 1 ..= 2^16.
    pub mantissa: u32,
    pub exponent: u32,
}

impl Scale {
    /// The word that the scalar memory holds.
    #[must_use]
    pub fn word(self) -> u32 {
        self.mantissa | self.exponent << 24
    }

    /// What a word stands for; any word is one.
    #[must_use]
    pub fn of_word(word: u32) -> Scale {
        Scale { mantissa: word & 0x1_ffff, exponent: word >> 24 }
    }

    /// As a multiplier of [`crate::requantise`], with shifts of its own.
    #[must_use]
    pub fn multiplier(self, left_shift: u32, right_shift: u32) -> crate::Multiplier {
        crate::Multiplier {
            multiplier: self.mantissa << 15,
            left_shift: left_shift as u8,
            right_shift: (right_shift + self.exponent).min(31) as u8,
        }
    }
}

/// Bits of a segment's fraction.
const FRACTION_BITS: u32 = 12;

/// Leading one's position and the bits behind it: five for the segment, twelve for the fraction.
fn normalise(sum: i64) -> (u32, usize, i32) {
    let sum = sum.max(1) as u64;
    let position = sum.ilog2();
    let aligned = (sum << (63 - position)) << 1;
    ((position), (aligned >> 59) as usize, (aligned >> (59 - FRACTION_BITS)) as i32 & 0xfff)
}

fn mantissa(Segment(value, slope): Segment, fraction: i32) -> u32 {
    let exact = i64::from((value << FRACTION_BITS) + slope * fraction);
    round_shift(exact, FRACTION_BITS) as u32
}

/// `1 / sum`; a sum below 1 counts as 1. The hardware's sums have 48 bits.
#[must_use]
pub fn reciprocal(sum: i64) -> Scale {
    let (position, segment, fraction) = normalise(sum);
    Scale { mantissa: mantissa(RECIPROCAL[segment], fraction), exponent: position }
}

/// `1 / sqrt(sum)`; a sum below 1 counts as 1. The hardware's sums have 48 bits.
#[must_use]
pub fn inverse_square_root(sum: i64) -> Scale {
    let (position, segment, fraction) = normalise(sum);
    let odd = (position as usize & 1) * 32;
    Scale { mantissa: mantissa(INVERSE_SQUARE_ROOT[odd + segment], fraction), exponent: position / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chord of `f` over [a, b], moved to equal errors, in units of `1 / unit`.
    fn chord(f: impl Fn(f64) -> f64, a: f64, b: f64, unit: f64) -> Segment {
        let (first, last) = (f(a), f(b));
        let deviations = (0..=400).map(|i| {
            let t = f64::from(i) / 400.0;
            f(a + (b - a) * t) - (first + (last - first) * t)
        });
        let (low, high) = deviations.fold((0.0f64, 0.0f64), |(l, h), d| (l.min(d), h.max(d)));
        let value = (first + (low + high) / 2.0) * unit;
        Segment(value.round() as i32, ((last - first) * unit).round() as i32)
    }

    fn assert_close(table: &[Segment], made: impl Iterator<Item = Segment>) {
        // Libraries of other machines may round the functions' last bits otherwise.
        for (i, (Segment(a, b), Segment(c, d))) in table.iter().zip(made).enumerate() {
            assert!((a - c).abs() <= 1 && (b - d).abs() <= 1, "segment {i}: {a}, {b} but {c}, {d}");
        }
    }

    #[test]
    fn tables_are_the_functions_chords() {
        let power = |i: i32| f64::from(i) / 16.0;
        let made = (0..16).map(|i| chord(|f| (-f).exp2(), power(i), power(i + 1), 32768.0));
        assert_close(&POWER_OF_TWO, made);
        let edge = |i: i32| match i {
            0..16 => f64::from(i) / 8.0,
            16..32 => 2.0 + f64::from(i - 16) / 4.0,
            _ => 6.0 + f64::from(i - 32),
        };
        let tail = |x: f64| x / (1.0 + x.exp());
        assert_eq!(SILU_TAIL[0], Segment(7, 1929));
        assert_close(&SILU_TAIL[1..42], (1..42).map(|i| chord(tail, edge(i), edge(i + 1), 32768.0)));
        let octave = |i: i32| 1.0 + f64::from(i) / 32.0;
        assert_close(&RECIPROCAL, (0..32).map(|i| chord(|f| 1.0 / f, octave(i), octave(i + 1), 65536.0)));
        let both = (0..64).map(|i| {
            let two = f64::from(1 + i / 32);
            chord(|f| f.powf(-0.5), two * octave(i % 32), two * octave(i % 32 + 1), 65536.0)
        });
        assert_close(&INVERSE_SQUARE_ROOT, both);
    }

    #[test]
    fn power_of_two_is_right_at_every_input() {
        let mut worst = 0.0f64;
        for z in -32768..=0i16 {
            let real = (f64::from(z) / 1024.0).exp2() * 32768.0;
            let found = f64::from(power_of_two(z, 0));
            // Half a unit of rounding, and the segments' error.
            assert!((found - real).abs() <= 0.5 + 1.5e-4 * real, "2^({z}/1024): {found} but {real}");
            worst = worst.max((found - real).abs() / real.max(4096.0));
        }
        println!("largest error of power_of_two above 1/8: {worst:.2e} of the value");
        for shift in 0..32 {
            for z in (-32768..=32767i16).step_by(37) {
                let real = (f64::from(z.min(0)) / 1024.0).exp2() * 32768.0 / f64::from(shift).exp2();
                let found = f64::from(power_of_two(z, shift));
                assert!((found - real).abs() <= 0.5 + 1.5e-4 * real, "{z} >> {shift}: {found} but {real}");
            }
        }
    }

    #[test]
    fn silu_is_right_at_every_input() {
        let (mut worst, mut squares) = (0.0f64, 0.0);
        for z in i16::MIN..=i16::MAX {
            let x = f64::from(z) / 2048.0;
            let error = f64::from(silu(z)) / 2048.0 - x / (1.0 + (-x).exp());
            worst = worst.max(error.abs());
            squares += error * error;
        }
        println!("silu: largest error {worst:.2e}, rms {:.2e}", (squares / 65536.0f64).sqrt());
        assert!(worst < 9e-4);
        assert_eq!(silu(0), 0);
    }

    #[test]
    fn scales_are_right_over_all_magnitudes() {
        let (mut worst, mut worst_root) = (0.0f64, 0.0f64);
        let sums =
            (1..1i64 << 17).chain((17..48).flat_map(|p| (0..4099).map(move |i| (1 << p) + (i << p) / 4099)));
        for sum in sums {
            let value = |s: Scale| f64::from(s.mantissa) / 65536.0 / f64::from(s.exponent).exp2();
            let (scale, root) = (reciprocal(sum), inverse_square_root(sum));
            for s in [scale, root] {
                assert!(((1 << 15) - 1..=1 << 16).contains(&s.mantissa), "{sum}: {s:?}");
                assert_eq!(Scale::of_word(s.word()), s);
            }
            worst = worst.max((value(scale) * sum as f64 - 1.0).abs());
            worst_root = worst_root.max((value(root) * (sum as f64).sqrt() - 1.0).abs());
        }
        println!("largest errors: reciprocal {worst:.2e}, inverse square root {worst_root:.2e} of the value");
        assert!(worst < 1.4e-4 && worst_root < 1.0e-4);
        for none in [0, -1, i64::MIN] {
            assert_eq!(reciprocal(none), reciprocal(1));
            assert_eq!(inverse_square_root(none), inverse_square_root(1));
        }
    }
}
