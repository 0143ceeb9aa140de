//! Matrix: a loop nest of dot products and the output stage.

use super::{requantise, rounding, Execution, Stop};
use crate::error::Fault;
use crate::MemoryKind;
use frugal_isa::command::Matrix;
use frugal_isa::Config;
use frugal_quant::Multiplier;

/// Adds the dot products of one activation vector and every column of a tile; `R` is the length of both.
fn accumulate_tile<const R: usize>(vector: &[u8], tile: &[u8], sums: &mut [i32]) {
    let vector: &[u8; R] = vector.try_into().expect("a whole vector");
    for (sum, column) in sums.iter_mut().zip(tile.chunks_exact(R)) {
        let column: &[u8; R] = column.try_into().expect("chunks of R");
        let mut dot = 0;
        for k in 0..R {
            dot += i32::from(vector[k] as i8) * i32::from(column[k] as i8);
        }
        *sum = sum.wrapping_add(dot);
    }
}

/// Adds the scaled dot products of a step with 4-bit weights: those of the low halves of all bytes, then those of the high ones.
fn accumulate_four_bit<const R: usize>(vector: &[u8], tile: &[u8], scales: &[u8], sums: &mut [i32]) {
    let vector: &[u8; R] = vector.try_into().expect("a whole vector");
    let (low_sums, high_sums) = sums.split_at_mut(scales.len() / 2);
    let (low_scales, high_scales) = scales.split_at(scales.len() / 2);
    for (j, column) in tile.chunks_exact(R).enumerate() {
        let (mut low, mut high) = (0, 0);
        for (value, weights) in vector.iter().zip(column) {
            let value = i32::from(*value as i8);
            low += value * i32::from((*weights << 4) as i8 >> 4);
            high += value * i32::from(*weights as i8 >> 4);
        }
        low_sums[j] = low_sums[j].wrapping_add(low * i32::from(low_scales[j]));
        high_sums[j] = high_sums[j].wrapping_add(high * i32::from(high_scales[j]));
    }
}

/// Adds the products of a depthwise step. `column` holds the vector of this result's step and of those before, latest first: row
/// k of a part of `cols` rows takes pixel k of the channel, and rows without a pixel the vector's own lanes.
fn accumulate_depthwise<const R: usize>(column: &[u8], tile: &[u8], cols: usize, sums: &mut [i32]) {
    let taps = column.len() / R;
    for (channel, sum) in sums.iter_mut().enumerate() {
        let (part, j) = (channel / cols * cols, channel % cols);
        for k in 0..cols {
            let operand = if k < taps { column[k * R + channel] } else { column[part + k] };
            let product = i32::from(operand as i8) * i32::from(tile[j * R + part + k] as i8);
            *sum = sum.wrapping_add(product);
        }
    }
}

/// Whether an input coordinate, 16-bit two's complement, is in the image.
pub(super) fn inside(position: u32, size: u32) -> bool {
    let position = position as u16 as i16;
    position >= 0 && (position as u32) < size
}

/// One lane of the output stage.
#[derive(Clone, Copy, Default)]
struct Lane {
    bias: i32,
    multiplier: u32,
    shifts: u32,
}

impl Lane {
    fn multiplier(self) -> Multiplier {
        Multiplier {
            multiplier: self.multiplier,
            left_shift: (self.shifts >> 8 & 31) as u8,
            right_shift: (self.shifts & 31) as u8,
        }
    }
}

impl Execution<'_> {
    /// Parameters of the column tile `t`, which gives `channels` results.
    fn parameters(&mut self, m: &Matrix, t: u32, channels: usize) -> Result<Vec<Lane>, Stop> {
        let lanes = self.config.lanes;
        let groups = channels / lanes;
        let mut result = Vec::with_capacity(channels);
        if m.accumulate && m.to_accumulator && !m.rescale {
            result.resize(channels, Lane::default());
            return Ok(result);
        }
        let width = self.config.parameter_group_bytes();
        for g in 0..groups as u32 {
            let address = m.parameter_address.wrapping_add(t.wrapping_mul(groups as u32)).wrapping_add(g);
            let index = self.reads(MemoryKind::Parameter, address as u16, 0..width)?;
            let words = &self.chip.parameter[index * width..][..width];
            let word = |number: usize| {
                u32::from_le_bytes(words[4 * number..4 * number + 4].try_into().expect("four bytes"))
            };
            result.extend((0..lanes).map(|l| Lane {
                bias: word(l) as i32,
                multiplier: word(lanes + l),
                shifts: word(2 * lanes + l),
            }));
        }
        Ok(result)
    }

    pub(super) fn matrix(&mut self, m: &Matrix) -> Result<(), Stop> {
        let channels = match (m.depthwise, m.four_bit) {
            (true, _) => self.config.rows,
            (false, true) => 2 * self.config.cols,
            (false, false) => self.config.cols,
        };
        let quantum = channels.min(self.config.rows);
        if (!m.to_accumulator || m.row_results) && m.output_lane as usize % quantum != 0 {
            return Err(Fault::Lane { field: "output_lane", value: m.output_lane, quantum }.into());
        }
        if m.four_bit {
            self.needs_four_bit()?;
            self.scale_groups(m)?;
        }
        let mut sums = vec![0; channels];
        let mut number = 0u32;
        for t in 0..m.tiles {
            let parameters = self.parameters(m, t, channels)?;
            for y in 0..m.outputs_y {
                for x in 0..m.outputs_x {
                    match self.config.rows {
                        8 => self.reduce::<8>(m, t, y, x, &mut sums)?,
                        16 => self.reduce::<16>(m, t, y, x, &mut sums)?,
                        32 => self.reduce::<32>(m, t, y, x, &mut sums)?,
                        64 => self.reduce::<64>(m, t, y, x, &mut sums)?,
                        rows => unreachable!("{rows} rows pass Config::validate"),
                    }
                    if x >= m.skip {
                        self.result(m, (t, y, x), number, &parameters, &sums)?;
                        number = number.wrapping_add(1);
                    }
                }
            }
        }
        Ok(())
    }

    /// With 4-bit weights a column tile holds whole groups of the reduction.
    fn scale_groups(&self, m: &Matrix) -> Result<(), Stop> {
        let quantum = self.config.scale_tiles();
        for (field, value) in [
            ("weight_address", m.weight_address),
            ("weight_stride_tile", if m.tiles > 1 { m.weight_stride_tile } else { 0 }),
            ("kernel_y * kernel_x * channels", m.kernel_y.wrapping_mul(m.kernel_x).wrapping_mul(m.channels)),
        ] {
            if value as usize % quantum != 0 {
                return Err(Fault::Lane { field, value, quantum }.into());
            }
        }
        Ok(())
    }

    /// All steps of one result.
    fn reduce<const R: usize>(
        &mut self,
        m: &Matrix,
        t: u32,
        y: u32,
        x: u32,
        sums: &mut [i32],
    ) -> Result<(), Stop> {
        let tile_bytes = self.config.tile_bytes();
        let steps = m.kernel_y.wrapping_mul(m.kernel_x).wrapping_mul(m.channels);
        let tile_stride = if m.weight_stride_tile == 0 { steps } else { m.weight_stride_tile };
        let mut tile = m.weight_address.wrapping_add(t.wrapping_mul(tile_stride));
        let source_stride = if m.depthwise { m.stride_channel } else { 0 };
        let mut step = 0;
        let origin = m
            .activation_address
            .wrapping_add(t.wrapping_mul(source_stride))
            .wrapping_add(y.wrapping_mul(m.stride_y))
            .wrapping_add(x.wrapping_mul(m.stride_x));
        let pad = [m.pad_value as u8; R];
        sums.fill(0);
        for ky in 0..m.kernel_y {
            let iy = (m.start_y as u32)
                .wrapping_add(y.wrapping_mul(m.step_y))
                .wrapping_add(ky.wrapping_mul(m.kernel_step_y));
            for kx in 0..m.kernel_x {
                let ix = (m.start_x as u32)
                    .wrapping_add(x.wrapping_mul(m.step_x))
                    .wrapping_add(kx.wrapping_mul(m.kernel_step_x));
                let is_inside = inside(iy, m.input_height) && inside(ix, m.input_width);
                let mut address = origin
                    .wrapping_add(ky.wrapping_mul(m.stride_kernel_y))
                    .wrapping_add(kx.wrapping_mul(m.stride_kernel_x));
                for _ in 0..m.channels {
                    let weight = self.reads(MemoryKind::Weight, tile as u16, 0..tile_bytes)?;
                    let weights = weight * tile_bytes..(weight + 1) * tile_bytes;
                    let vector: [u8; R] = if is_inside {
                        let vector = self.reads(MemoryKind::Activation, address as u16, 0..R)?;
                        self.chip.activation[vector * R..][..R].try_into().expect("a whole vector")
                    } else {
                        pad
                    };
                    let scales = if m.four_bit {
                        let width = self.config.scale_row_bytes();
                        let row = tile as u16 / self.config.scale_tiles() as u16;
                        let row = self.reads(MemoryKind::Scale, row, 0..width)?;
                        row * width..(row + 1) * width
                    } else {
                        0..0
                    };
                    let tile_weights = &self.chip.weight[weights];
                    if m.four_bit {
                        accumulate_four_bit::<R>(&vector, tile_weights, &self.chip.scale[scales], sums);
                    } else if m.depthwise {
                        let remembered = (self.config.depthwise_taps - 1) * R;
                        let row = step % Config::DEPTHWISE_STEPS * remembered;
                        let history = &mut self.chip.history[row..row + remembered];
                        let mut column = vector.to_vec();
                        column.extend_from_slice(history);
                        history.copy_from_slice(&column[..remembered]);
                        accumulate_depthwise::<R>(&column, tile_weights, self.config.cols, sums);
                    } else {
                        accumulate_tile::<R>(&vector, tile_weights, sums);
                    }
                    step += 1;
                    tile = tile.wrapping_add(1);
                    address = address.wrapping_add(m.stride_channel);
                }
            }
        }
        self.report.matrix_steps += u64::from(steps);
        Ok(())
    }

    /// Bias or partial sum, then requantised lanes, requantised rows or raw sums, group by group.
    fn result(
        &mut self,
        m: &Matrix,
        (t, y, x): (u32, u32, u32),
        number: u32,
        parameters: &[Lane],
        sums: &[i32],
    ) -> Result<(), Stop> {
        let (rows, lanes) = (self.config.rows, self.config.lanes);
        let channels = sums.len();
        let mode = rounding(m.single_rounding);
        let first_lane = m.output_lane as usize + t as usize * channels;
        // Of vectors, or of accumulator rows.
        let output = m
            .output_address
            .wrapping_add(y.wrapping_mul(m.output_stride_y))
            .wrapping_add(x.wrapping_mul(m.output_stride_x))
            .wrapping_add(((first_lane / rows) as u32).wrapping_mul(m.output_stride_tile));
        // Lanes are at most 64.
        let (mut values, mut bytes) = ([0i32; 64], [0u8; 64]);
        for g in 0..channels / lanes {
            let first_row = if m.row_results {
                output.wrapping_add((first_lane % rows / lanes) as u32)
            } else {
                m.accumulator_address.wrapping_add(number.wrapping_mul((channels / lanes) as u32))
            };
            let row = first_row.wrapping_add(g as u32);
            let group = g * lanes..(g + 1) * lanes;
            if m.accumulate {
                let first = self.accumulator_row(row as u16)?;
                values[..lanes].copy_from_slice(&self.chip.accumulator[first..first + lanes]);
            } else {
                for (value, lane) in values.iter_mut().zip(&parameters[group.clone()]) {
                    *value = lane.bias;
                }
            }
            for (value, sum) in values.iter_mut().zip(&sums[group.clone()]) {
                *value = value.wrapping_add(*sum);
            }
            if m.rescale {
                for (value, lane) in values.iter_mut().zip(&parameters[group]) {
                    *value = requantise(*value, lane.multiplier(), mode).wrapping_add(m.output_zero_point);
                }
                if m.add_row {
                    let first = self.accumulator_row(row as u16)?;
                    for (value, old) in values.iter_mut().zip(&self.chip.accumulator[first..first + lanes]) {
                        *value = value.wrapping_add(*old);
                    }
                }
                self.write_accumulator(row as u16, &values[..lanes])?;
            } else if m.to_accumulator {
                self.write_accumulator(row as u16, &values[..lanes])?;
            } else {
                for ((byte, value), lane) in bytes.iter_mut().zip(values).zip(&parameters[group]) {
                    let scaled = requantise(value, lane.multiplier(), mode).wrapping_add(m.output_zero_point);
                    *byte = clamp(scaled, m.minimum, m.maximum);
                }
                let first_byte = first_lane % rows + g * lanes;
                self.write_bytes(MemoryKind::Activation, output as u16, first_byte, &bytes[..lanes])?;
            }
        }
        Ok(())
    }
}

/// Clamps to the two bounds, as the output stage does: the lower first, then the upper.
pub(super) fn clamp(value: i32, minimum: i32, maximum: i32) -> u8 {
    value.max(minimum).min(maximum) as u8
}
