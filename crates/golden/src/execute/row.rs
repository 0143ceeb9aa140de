//! Row: values along rows of accumulator memory, and what each row is reduced to.

use super::matrix::clamp;
use super::{requantise, Execution, Stop};
use crate::error::Fault;
use crate::MemoryKind;
use frugal_isa::command::{finish, function, row_destination, row_reduce, scalar_use, Row};
use frugal_quant::piecewise::{inverse_square_root, power_of_two, reciprocal, round_shift, silu, Scale};
use frugal_quant::{Multiplier, Rounding};

/// What a row has been reduced to so far.
struct Reduction {
    /// Sum (48 bits) or maximum.
    accumulated: i64,
    best: i32,
    index: u32,
}

impl Reduction {
    fn take(&mut self, reduce: u32, value: i32, element: u32, outside: bool) {
        match reduce {
            row_reduce::SUM => {
                // 48 bits, as the hardware's adder.
                self.accumulated = (self.accumulated + i64::from(value)) << 16 >> 16;
            }
            row_reduce::MAXIMUM if !outside => {
                self.accumulated = self.accumulated.max(i64::from(value));
            }
            row_reduce::ARGMAX if !outside && value > self.best => {
                self.best = value;
                self.index = element;
            }
            _ => {}
        }
    }
}

impl Execution<'_> {
    pub(super) fn row(&mut self, r: &Row) -> Result<(), Stop> {
        let lanes = self.config.lanes;
        if r.first_lane as usize % lanes != 0 {
            return Err(Fault::Lane { field: "first_lane", value: r.first_lane, quantum: lanes }.into());
        }
        let mut n = 0u32;
        for y in 0..r.rows_y {
            for x in 0..r.rows_x {
                self.one_row(r, y, x, n)?;
                n = n.wrapping_add(1);
            }
        }
        Ok(())
    }

    fn one_row(&mut self, r: &Row, y: u32, x: u32, n: u32) -> Result<(), Stop> {
        let lanes = self.config.lanes;
        let mut multiplier = Multiplier {
            multiplier: r.multiplier,
            left_shift: r.left_shift as u8,
            right_shift: r.right_shift as u8,
        };
        let mut add = 0i32;
        match r.scalar_use {
            scalar_use::ADD => add = self.scalar(r.scalar_address.wrapping_add(n))? as i32,
            scalar_use::SCALE => {
                let scale = Scale::of_word(self.scalar(r.scalar_address.wrapping_add(n))?);
                multiplier = scale.multiplier(r.left_shift, r.right_shift);
            }
            _ => {}
        }
        let mut reduction =
            Reduction { accumulated: i64::from(r.initial), best: i32::MIN, index: r.initial as u32 };
        let best_address = r.result_address.wrapping_add(n.wrapping_mul(2));
        let limit = u64::from(r.length) + u64::from(x) * u64::from(r.length_step);
        // Lanes are at most 64.
        let mut values = [0i32; 64];
        for g in 0..r.groups {
            self.group(r, (y, x, g), add, multiplier, &mut values[..lanes])?;
            for (l, value) in values[..lanes].iter_mut().enumerate() {
                let element = u64::from(g) * lanes as u64 + l as u64;
                let outside = element >= limit;
                if outside {
                    *value = 0;
                }
                if r.destination == row_destination::ACTIVATION {
                    *value = i32::from(clamp(*value, r.minimum, r.maximum) as i8);
                }
                let index = (r.initial as u32).wrapping_add(element as u32);
                reduction.take(r.reduce, *value, index, outside);
            }
            self.write_group(r, (y, x, g), &values[..lanes])?;
        }
        match r.reduce {
            row_reduce::NONE => Ok(()),
            row_reduce::ARGMAX => {
                if r.scalar_use == scalar_use::CONTINUE && reduction.best <= self.scalar(best_address)? as i32
                {
                    return Ok(());
                }
                self.write_scalar(best_address, reduction.best as u32)?;
                self.write_scalar(best_address.wrapping_add(1), reduction.index)
            }
            _ => {
                let acc = reduction.accumulated;
                let word = match r.finish {
                    finish::NONE => acc as u32,
                    finish::NEGATE => (acc as u32).wrapping_neg(),
                    finish::RECIPROCAL => reciprocal(acc).word(),
                    _ => inverse_square_root(acc).word(),
                };
                self.write_scalar(r.result_address.wrapping_add(n), word)
            }
        }
    }

    /// The values of one group of lanes, before clamping and counting.
    fn group(
        &mut self,
        r: &Row,
        (y, x, g): (u32, u32, u32),
        add: i32,
        multiplier: Multiplier,
        values: &mut [i32],
    ) -> Result<(), Stop> {
        let lanes = values.len();
        let row = |base: u32, stride_y: u32, stride_x: u32, k: u32, stride_tap: u32| {
            base.wrapping_add(y.wrapping_mul(stride_y))
                .wrapping_add(x.wrapping_mul(stride_x))
                .wrapping_add(g)
                .wrapping_add(k.wrapping_mul(stride_tap)) as u16
        };
        let mut sums = [0i32; 64];
        for k in 0..r.taps {
            let factors = if r.operand {
                let address =
                    row(r.operand_address, r.operand_stride_y, r.operand_stride_x, k, r.operand_stride_tap);
                Some(self.accumulator_row(address)?)
            } else {
                None
            };
            let address = row(r.source_address, r.source_stride_y, r.source_stride_x, k, r.source_stride_tap);
            let first = self.accumulator_row(address)?;
            for l in 0..lanes {
                let a = self.chip.accumulator[first + l].wrapping_add(add);
                let v = requantise(a, multiplier, Rounding::Single).wrapping_add(r.post_add);
                let z = v.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
                let b = factors.map_or(r.factor, |at| i32::from(self.chip.accumulator[at + l] as i16));
                match r.function {
                    function::MULTIPLY => sums[l] = sums[l].wrapping_add(z * b),
                    function::SQUARE => sums[l] = sums[l].wrapping_add(z * z),
                    function::EXPONENTIAL => values[l] = power_of_two(z as i16, r.shift),
                    function::SILU => values[l] = silu(z as i16),
                    _ => values[l] = v,
                }
            }
            self.report.vector_steps += 1;
        }
        if matches!(r.function, function::MULTIPLY | function::SQUARE) {
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = round_shift(i64::from(sum), r.shift) as i32;
            }
        }
        Ok(())
    }

    fn write_group(&mut self, r: &Row, (y, x, g): (u32, u32, u32), values: &[i32]) -> Result<(), Stop> {
        let (rows, lanes) = (self.config.rows as u32, values.len());
        let first = r
            .destination_address
            .wrapping_add(y.wrapping_mul(r.destination_stride_y))
            .wrapping_add(x.wrapping_mul(r.destination_stride_x));
        match r.destination {
            row_destination::ACTIVATION => {
                let lane = r.first_lane + g * lanes as u32;
                let mut bytes = [0u8; 64];
                for (byte, value) in bytes.iter_mut().zip(values) {
                    *byte = *value as u8;
                }
                let address = first.wrapping_add(lane / rows) as u16;
                self.write_bytes(MemoryKind::Activation, address, (lane % rows) as usize, &bytes[..lanes])
            }
            row_destination::ACCUMULATOR => self.write_accumulator(first.wrapping_add(g) as u16, values),
            _ => Ok(()),
        }
    }

    /// Reads a scalar; addresses wrap.
    fn scalar(&mut self, address: u32) -> Result<u32, Stop> {
        let index = self.reads(MemoryKind::Scalar, (address & 0xff) as u16, 0..4)?;
        Ok(self.chip.scalar[index])
    }

    fn write_scalar(&mut self, address: u32, value: u32) -> Result<(), Stop> {
        self.write_bytes(MemoryKind::Scalar, (address & 0xff) as u16, 0, &value.to_le_bytes())
    }
}
