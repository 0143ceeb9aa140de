//! Load and store: rows of bytes between the bus and an on-chip memory.

use super::{Execution, Stop};
use crate::error::Fault;
use crate::MemoryKind;
use frugal_isa::command::{layout, space, Load, Store};

fn memory_of(value: u32, layout: u32) -> MemoryKind {
    match value {
        space::ACTIVATION => MemoryKind::Activation,
        space::WEIGHT if layout == layout::SCALES => MemoryKind::Scale,
        space::WEIGHT => MemoryKind::Weight,
        space::PARAMETER if layout == layout::TABLE => MemoryKind::Table,
        space::PARAMETER if layout == layout::SCALARS => MemoryKind::Scalar,
        space::PARAMETER => MemoryKind::Parameter,
        _ => MemoryKind::Accumulator,
    }
}

impl Execution<'_> {
    fn bus_fault(&self, access: &'static str, address: u32, length: usize) -> Stop {
        let end = u64::from(address) + length as u64;
        Fault::BusAddress { access, address, end, size: self.memory.len() }.into()
    }

    fn has_base(&self, value: u32) -> Result<(), Stop> {
        let registers = self.config.base_registers;
        if (value as usize) < registers {
            return Ok(());
        }
        Err(Fault::BaseRegister { value, registers, config: self.config.name.clone() }.into())
    }

    pub(super) fn load(&mut self, load: &Load) -> Result<(), Stop> {
        self.has_base(load.base_register)?;
        let first = self.bases[load.base_register as usize].wrapping_add(load.memory_offset);
        let length = load.row_bytes as usize;
        let limit = match load.layout {
            _ if load.space != space::WEIGHT => usize::MAX,
            layout::COLUMN => self.config.cols,
            layout::ROW => self.config.rows,
            _ => usize::MAX,
        };
        if load.first_row as usize >= limit {
            return Err(Fault::FirstRow { value: load.first_row, limit }.into());
        }
        if memory_of(load.space, load.layout) == MemoryKind::Scale {
            self.needs_four_bit()?;
        }
        if memory_of(load.space, load.layout) == MemoryKind::Scalar && !self.config.row_engine {
            return Err(Fault::Scalars { config: self.config.name.clone() }.into());
        }
        let mut bytes = vec![0; length];
        for row in 0..load.rows {
            let from = first.wrapping_add(row.wrapping_mul(load.memory_stride));
            let source =
                self.memory.get(from, length).ok_or_else(|| self.bus_fault("reads", from, length))?;
            bytes.copy_from_slice(source);
            if let Some(hazards) = &mut self.hazards {
                hazards.read_bus(from, length)?;
            }
            self.report.bytes_loaded += length as u64;
            match (load.space, load.layout) {
                (space::WEIGHT, layout::COLUMN) => self.load_column(load, row, &bytes)?,
                (space::WEIGHT, layout::ROW) => self.load_row(load, row, &bytes)?,
                (space::PARAMETER, layout::SCALARS) => self.load_scalars(load, row, &bytes)?,
                _ => {
                    let memory = memory_of(load.space, load.layout);
                    let (_, width) = self.shape(memory);
                    let start = load.address.wrapping_add(row.wrapping_mul(load.stride));
                    for (chunk, part) in bytes.chunks(width).enumerate() {
                        self.write_bytes(memory, start.wrapping_add(chunk as u32) as u16, 0, part)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Memory row `row` holds scalars; an address of the command stands for four of them.
    fn load_scalars(&mut self, load: &Load, row: u32, bytes: &[u8]) -> Result<(), Stop> {
        let start = load.address.wrapping_add(row.wrapping_mul(load.stride));
        for (quad, part) in bytes.chunks(16).enumerate() {
            // An address beyond the memory stays beyond it.
            let quad = (start.wrapping_add(quad as u32) & 0xffff).min(u32::from(u16::MAX) / 4);
            for (word, value) in part.chunks(4).enumerate() {
                self.write_bytes(MemoryKind::Scalar, (4 * quad) as u16 + word as u16, 0, value)?;
            }
        }
        Ok(())
    }

    /// Memory row `row` is one column of the right operand.
    fn load_column(&mut self, load: &Load, row: u32, bytes: &[u8]) -> Result<(), Stop> {
        let (rows, cols) = (self.config.rows, self.config.cols as u32);
        let column = load.first_row + row;
        let first = load.address.wrapping_add((column / cols).wrapping_mul(load.stride));
        let first_byte = (column % cols) as usize * rows;
        for (tile, part) in bytes.chunks(rows).enumerate() {
            self.write_bytes(MemoryKind::Weight, first.wrapping_add(tile as u32) as u16, first_byte, part)?;
        }
        Ok(())
    }

    /// Memory row `row` is one row of the right operand.
    fn load_row(&mut self, load: &Load, row: u32, bytes: &[u8]) -> Result<(), Stop> {
        let (rows, cols) = (self.config.rows, self.config.cols);
        let k = (load.first_row + row) as usize;
        let first = load.address.wrapping_add((k / rows) as u32);
        for (n, byte) in bytes.iter().enumerate() {
            let tile = first.wrapping_add(((n / cols) as u32).wrapping_mul(load.stride));
            let at = (n % cols) * rows + k % rows;
            self.write_bytes(MemoryKind::Weight, tile as u16, at, std::slice::from_ref(byte))?;
        }
        Ok(())
    }

    pub(super) fn store(&mut self, store: &Store) -> Result<(), Stop> {
        self.has_base(store.base_register)?;
        let first = self.bases[store.base_register as usize].wrapping_add(store.memory_offset);
        let length = store.row_bytes as usize;
        let memory = memory_of(store.space, layout::LINEAR);
        let (_, width) = self.shape(memory);
        let mut bytes = Vec::with_capacity(length + width);
        for row in 0..store.rows {
            let start = store.address.wrapping_add(row.wrapping_mul(store.stride));
            bytes.clear();
            for chunk in 0..length.div_ceil(width) {
                let address = start.wrapping_add(chunk as u32) as u16;
                let index = self.reads(memory, address, 0..width.min(length - chunk * width))?;
                if memory == MemoryKind::Activation {
                    bytes.extend_from_slice(&self.chip.activation[index * width..][..width]);
                } else {
                    let values = &self.chip.accumulator[index * width / 4..][..width / 4];
                    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                }
            }
            bytes.truncate(length);
            let to = first.wrapping_add(row.wrapping_mul(store.memory_stride));
            match self.memory.get_mut(to, length) {
                Some(target) => target.copy_from_slice(&bytes),
                None => return Err(self.bus_fault("writes", to, length)),
            }
            if let Some(hazards) = &mut self.hazards {
                hazards.write_bus(to, length)?;
            }
            self.recorder.write(MemoryKind::Bus, to, 0, &bytes);
            self.report.bytes_stored += length as u64;
        }
        Ok(())
    }
}
