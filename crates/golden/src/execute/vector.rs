//! Vector: windows of activations or rows of accumulators, requantised.

use super::matrix::{clamp, inside};
use super::{requantise, rounding, Execution, Stop};
use crate::error::Fault;
use crate::MemoryKind;
use frugal_isa::command::{reduce, Vector};
use frugal_isa::Config;
use frugal_quant::Multiplier;

impl Execution<'_> {
    pub(super) fn vector(&mut self, v: &Vector) -> Result<(), Stop> {
        let (rows, lanes) = (self.config.rows, self.config.lanes);
        if v.source == 1 && (v.kernel_x, v.kernel_y) != (1, 1) {
            return Err(Fault::AccumulatorWindow { kernel_x: v.kernel_x, kernel_y: v.kernel_y }.into());
        }
        if v.first_lane as usize % lanes != 0 {
            return Err(Fault::Lane { field: "first_lane", value: v.first_lane, quantum: lanes }.into());
        }
        let multiplier = Multiplier {
            multiplier: v.multiplier,
            left_shift: v.left_shift as u8,
            right_shift: v.right_shift as u8,
        };
        let mode = rounding(v.single_rounding);
        let mut n = 0u32;
        // Lanes are at most 64.
        let (mut values, mut bytes) = ([0i32; 64], [0u8; 64]);
        for g in 0..v.groups {
            let position = v.first_lane as usize + g as usize * lanes;
            let (lane, chunk) = (position % rows, (position / rows) as u32);
            for y in 0..v.outputs_y {
                for x in 0..v.outputs_x {
                    let values = &mut values[..lanes];
                    if v.source == 1 {
                        let first = self.accumulator_row(v.source_address.wrapping_add(n) as u16)?;
                        values.copy_from_slice(&self.chip.accumulator[first..first + lanes]);
                    } else {
                        self.window(v, lane, chunk, (y, x), values)?;
                    }
                    self.report.vector_steps += u64::from(v.kernel_x) * u64::from(v.kernel_y);
                    let operand_row =
                        v.operand_address.wrapping_add(if v.operand_per_group { g } else { n }) as u16;
                    for value in &mut *values {
                        *value = value.wrapping_add(v.pre_add);
                    }
                    if v.multiply_operand {
                        let first = self.accumulator_row(operand_row)?;
                        let operand = &self.chip.accumulator[first..first + lanes];
                        for (value, operand) in values.iter_mut().zip(operand) {
                            *value = i32::from(*value as i16) * i32::from(*operand as i16);
                        }
                    }
                    for value in &mut *values {
                        *value = requantise(*value, multiplier, mode);
                    }
                    if v.add_operand {
                        let first = self.accumulator_row(operand_row)?;
                        let operand = &self.chip.accumulator[first..first + lanes];
                        for (value, operand) in values.iter_mut().zip(operand) {
                            *value = match v.subtract_operand {
                                true => value.wrapping_sub(*operand),
                                false => value.wrapping_add(*operand),
                            };
                        }
                    } else {
                        for value in &mut *values {
                            *value = value.wrapping_add(v.post_add);
                        }
                    }
                    if v.destination == 1 {
                        self.write_accumulator(v.destination_address.wrapping_add(n) as u16, values)?;
                    } else {
                        for (byte, value) in bytes.iter_mut().zip(&*values) {
                            *byte = clamp(*value, v.minimum, v.maximum);
                        }
                        if v.lookup {
                            let table =
                                self.reads(MemoryKind::Table, v.table as u16, 0..Config::TABLE_BYTES)?;
                            for byte in &mut bytes[..lanes] {
                                *byte = self.chip.table[table * Config::TABLE_BYTES + *byte as usize] as u8;
                            }
                        }
                        let address = v
                            .destination_address
                            .wrapping_add(chunk.wrapping_mul(v.output_stride_group))
                            .wrapping_add(y.wrapping_mul(v.output_stride_y))
                            .wrapping_add(x.wrapping_mul(v.output_stride_x));
                        self.write_bytes(MemoryKind::Activation, address as u16, lane, &bytes[..lanes])?;
                    }
                    n = n.wrapping_add(1);
                }
            }
        }
        Ok(())
    }

    /// Reduces the window of one result.
    fn window(
        &mut self,
        v: &Vector,
        lane: usize,
        chunk: u32,
        (y, x): (u32, u32),
        values: &mut [i32],
    ) -> Result<(), Stop> {
        let (rows, lanes) = (self.config.rows, self.config.lanes);
        let origin = v
            .source_address
            .wrapping_add(chunk.wrapping_mul(v.stride_group))
            .wrapping_add(y.wrapping_mul(v.stride_y))
            .wrapping_add(x.wrapping_mul(v.stride_x));
        let mut first = true;
        for ky in 0..v.kernel_y {
            let iy = (v.start_y as u32).wrapping_add(y.wrapping_mul(v.step_y)).wrapping_add(ky);
            for kx in 0..v.kernel_x {
                let ix = (v.start_x as u32).wrapping_add(x.wrapping_mul(v.step_x)).wrapping_add(kx);
                let mut element = [v.pad_value as u8; 64];
                if inside(iy, v.input_height) && inside(ix, v.input_width) {
                    let address = origin
                        .wrapping_add(ky.wrapping_mul(v.stride_kernel_y))
                        .wrapping_add(kx.wrapping_mul(v.stride_kernel_x));
                    let index = self.reads(MemoryKind::Activation, address as u16, lane..lane + lanes)?;
                    element[..lanes].copy_from_slice(&self.chip.activation[index * rows + lane..][..lanes]);
                }
                for (value, byte) in values.iter_mut().zip(element) {
                    let element = i32::from(byte as i8);
                    *value = match v.reduce {
                        _ if first => element,
                        reduce::MAXIMUM => (*value).max(element),
                        reduce::MINIMUM => (*value).min(element),
                        _ => *value + element,
                    };
                }
                first = false;
            }
        }
        Ok(())
    }
}
