//! Execution of single commands: the accesses that all engines share. Each engine's commands have a file of their own.

mod matrix;
mod move_bytes;
mod row;
mod transfer;
mod vector;

use crate::error::Fault;
use crate::hazard::{Conflict, Hazards};
use crate::machine::{Chip, RunReport};
use crate::memory::Memory;
use crate::trace::Recorder;
use crate::MemoryKind;
use frugal_isa::register::BASE_REGISTERS;
use frugal_isa::{Command, Config};
use frugal_quant::{Multiplier, Rounding};
use std::ops::Range;

/// Why a command stopped.
pub(crate) enum Stop {
    Fault(Fault),
    Conflict(Conflict),
}

impl Stop {
    pub fn describe(self, hazards: Option<&Hazards>, commands: &[Command]) -> Fault {
        match self {
            Stop::Fault(fault) => fault,
            Stop::Conflict(conflict) => {
                let hazards = hazards.expect("only the checker finds conflicts");
                Fault::Hazard(Box::new(hazards.describe(&conflict, commands)))
            }
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Conflict> for Stop {
    fn from(conflict: Conflict) -> Stop {
        Stop::Conflict(conflict)
    }
}

/// Everything that commands work on.
pub(crate) struct Execution<'a> {
    pub config: &'a Config,
    pub chip: &'a mut Chip,
    pub memory: &'a mut Memory,
    pub bases: [u32; BASE_REGISTERS],
    pub hazards: Option<Hazards>,
    pub recorder: Recorder,
    pub report: RunReport,
}

impl Execution<'_> {
    /// Executes one command of the four engines.
    pub fn command(&mut self, index: usize, sequence: usize, command: &Command) -> Result<(), Stop> {
        self.recorder.begin(index, sequence);
        match command {
            Command::Load(load) => self.load(load),
            Command::Store(store) => self.store(store),
            Command::Matrix(matrix) => self.matrix(matrix),
            Command::Vector(vector) => self.vector(vector),
            Command::Move(command) => self.move_bytes(command),
            Command::Row(row) => self.row(row),
            Command::Barrier(_)
            | Command::End(_)
            | Command::Adjust(_)
            | Command::Set(_)
            | Command::Branch(_) => Ok(()),
        }
    }

    /// Depth of a memory, and bytes of one of its addresses.
    fn shape(&self, memory: MemoryKind) -> (usize, usize) {
        let config = self.config;
        match memory {
            MemoryKind::Activation => (config.activation_depth, config.rows),
            MemoryKind::Weight => (config.weight_depth, config.tile_bytes()),
            MemoryKind::Parameter => (config.parameter_depth, config.parameter_group_bytes()),
            MemoryKind::Accumulator => (config.accumulator_depth, 4 * config.lanes),
            MemoryKind::Table => (config.tables, Config::TABLE_BYTES),
            MemoryKind::Scalar => (Config::SCALARS, 4),
            MemoryKind::Scale => (config.scale_depth(), config.scale_row_bytes()),
            MemoryKind::Bus => (self.memory.len(), 1),
        }
    }

    /// Announces a read of `bytes` of an on-chip address: checks the depth and the order.
    #[inline]
    fn reads(&mut self, memory: MemoryKind, address: u16, bytes: Range<usize>) -> Result<usize, Stop> {
        let (depth, width) = self.shape(memory);
        let address = u32::from(address);
        if address as usize >= depth {
            return Err(Fault::Depth { access: "reads", memory, address, depth }.into());
        }
        if let Some(hazards) = &mut self.hazards {
            hazards.read(memory, address, bytes, width)?;
        }
        Ok(address as usize)
    }

    /// The same for a write of `bytes`.
    #[inline]
    fn writes(&mut self, memory: MemoryKind, address: u16, bytes: Range<usize>) -> Result<usize, Stop> {
        let (depth, width) = self.shape(memory);
        let address = u32::from(address);
        if address as usize >= depth {
            return Err(Fault::Depth { access: "writes", memory, address, depth }.into());
        }
        if let Some(hazards) = &mut self.hazards {
            hazards.write(memory, address, bytes, width)?;
        }
        Ok(address as usize)
    }

    /// Writes bytes of an on-chip address from `first_byte` on.
    fn write_bytes(
        &mut self,
        memory: MemoryKind,
        address: u16,
        first_byte: usize,
        bytes: &[u8],
    ) -> Result<(), Stop> {
        let index = self.writes(memory, address, first_byte..first_byte + bytes.len())?;
        self.recorder.write(memory, u32::from(address), first_byte, bytes);
        let (_, width) = self.shape(memory);
        let start = index * width + first_byte;
        let target = match memory {
            MemoryKind::Activation => &mut self.chip.activation,
            MemoryKind::Weight => &mut self.chip.weight,
            MemoryKind::Parameter => &mut self.chip.parameter,
            MemoryKind::Scale => &mut self.chip.scale,
            MemoryKind::Accumulator => {
                let values = &mut self.chip.accumulator[start / 4..][..bytes.len() / 4];
                for (value, word) in values.iter_mut().zip(bytes.chunks_exact(4)) {
                    *value = i32::from_le_bytes(word.try_into().expect("chunks of four"));
                }
                return Ok(());
            }
            MemoryKind::Table => {
                for (entry, byte) in self.chip.table[start..].iter_mut().zip(bytes) {
                    *entry = *byte as i8;
                }
                return Ok(());
            }
            MemoryKind::Scalar => {
                self.chip.scalar[index] = u32::from_le_bytes(bytes.try_into().expect("a word"));
                return Ok(());
            }
            MemoryKind::Bus => unreachable!("on-chip memories only"),
        };
        target[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Dispatch reads a scalar.
    pub fn control_scalar(&mut self, scalar: u32) -> Result<u32, Stop> {
        let index = self.reads(MemoryKind::Scalar, scalar as u16, 0..4)?;
        Ok(self.chip.scalar[index])
    }

    /// Dispatch writes a scalar.
    pub fn set_scalar(&mut self, scalar: u32, value: u32) -> Result<(), Stop> {
        let index = self.writes(MemoryKind::Scalar, scalar as u16, 0..4)?;
        self.chip.scalar[index] = value;
        Ok(())
    }

    /// Writes a whole accumulator row.
    fn write_accumulator(&mut self, address: u16, values: &[i32]) -> Result<(), Stop> {
        let row = self.writes(MemoryKind::Accumulator, address, 0..4 * values.len())?;
        if self.recorder.enabled() {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.recorder.write(MemoryKind::Accumulator, u32::from(address), 0, &bytes);
        }
        self.chip.accumulator[row * values.len()..][..values.len()].copy_from_slice(values);
        Ok(())
    }

    /// Refuses what needs the hardware of 4-bit weights where there is none.
    fn needs_four_bit(&self) -> Result<(), Stop> {
        if self.config.four_bit {
            Ok(())
        } else {
            Err(Fault::FourBit { config: self.config.name.clone() }.into())
        }
    }

    /// Announces the read of an accumulator row and returns the index of its first value.
    fn accumulator_row(&mut self, address: u16) -> Result<usize, Stop> {
        let lanes = self.config.lanes;
        Ok(self.reads(MemoryKind::Accumulator, address, 0..4 * lanes)? * lanes)
    }
}

/// Requantisation for any 32-bit multiplier; above 2^31, which no compiler emits, as the hardware's adders wrap.
fn requantise(value: i32, m: Multiplier, rounding: Rounding) -> i32 {
    if m.multiplier <= 1 << 31 {
        return frugal_quant::requantise(value, m, rounding);
    }
    let product = i64::from(value.wrapping_shl(u32::from(m.left_shift))) * i64::from(m.multiplier);
    let (high, below) = match rounding {
        Rounding::Double => {
            let high = ((product + (1 << 30)) >> 31) as i32;
            (high, i64::from(high < 0))
        }
        Rounding::Single => ((product >> 31) as i32, 0),
    };
    match m.right_shift {
        0 => high,
        n => ((i64::from(high) + (1i64 << (n - 1)) - below) >> n) as i32,
    }
}

fn rounding(single: bool) -> Rounding {
    if single {
        Rounding::Single
    } else {
        Rounding::Double
    }
}
