//! Move: segments of bytes from rows of the activation scratchpad to vectors of it.

use super::matrix::inside;
use super::{Execution, Stop};
use crate::error::Fault;
use crate::MemoryKind;
use frugal_isa::command::Move;

impl Execution<'_> {
    pub(super) fn move_bytes(&mut self, m: &Move) -> Result<(), Stop> {
        let rows = self.config.rows;
        let (lane, bytes) = (m.first_lane as usize, m.bytes as usize);
        if lane + bytes > rows {
            return Err(Fault::Segment { bytes: m.bytes, lane: m.first_lane, rows }.into());
        }
        if m.input_width == 0 {
            return Err(Fault::EmptyRow.into());
        }
        // A segment is at most a vector of 64 bytes.
        let mut segment = [0u8; 64];
        for y in 0..m.outputs_y {
            let iy = (m.start_y as u32).wrapping_add(y.wrapping_mul(m.step_y));
            let row = m.source_address.wrapping_add(y.wrapping_mul(m.stride_y));
            for x in 0..m.outputs_x {
                let first = (m.start_x as u32).wrapping_add(x.wrapping_mul(m.step_x));
                let segment = &mut segment[..bytes];
                // The vector read last, and its bytes.
                let mut held: Option<(u32, usize)> = None;
                for (i, byte) in segment.iter_mut().enumerate() {
                    let position = first.wrapping_add(i as u32);
                    *byte = m.pad_value as u8;
                    if inside(iy, m.input_height) && inside(position, m.input_width) {
                        let position = u32::from(position as u16);
                        let vector = position / rows as u32;
                        let index = match held {
                            Some((number, index)) if number == vector => index,
                            _ => {
                                let address = row.wrapping_add(vector) as u16;
                                self.reads(MemoryKind::Activation, address, 0..rows)?
                            }
                        };
                        held = Some((vector, index));
                        *byte = self.chip.activation[index * rows + position as usize % rows];
                    }
                }
                let address = m
                    .destination_address
                    .wrapping_add(y.wrapping_mul(m.output_stride_y))
                    .wrapping_add(x.wrapping_mul(m.output_stride_x));
                self.write_bytes(MemoryKind::Activation, address as u16, lane, segment)?;
                self.report.vector_steps += 1;
            }
        }
        Ok(())
    }
}
