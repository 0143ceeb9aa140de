//! Errors of a run: which command, which engine, what is wrong.

use crate::hazard::Hazard;
use crate::MemoryKind;
use frugal_isa::command::EncodeError;
use frugal_isa::register::StatusCode;
use frugal_isa::{ConfigError, DecodeError, Engine};
use std::fmt;
use thiserror::Error;

/// Why a program did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GoldenError {
    #[error("command {index} ({}): {fault}\n  {index}: {disassembly}", engine.name())]
    Command { index: usize, engine: Engine, disassembly: String, fault: Fault },
    #[error("{0}")]
    Deadlock(Box<Deadlock>),
    #[error("{} ({commands} commands)", StatusCode::MissingEnd)]
    MissingEnd { commands: usize },
    #[error("command {index}: {} (branch to command {target} of {commands})", StatusCode::MissingEnd)]
    Target { index: usize, target: u32, commands: usize },
    #[error("no end after {limit} commands were dispatched; the next is {index}: {disassembly}")]
    Endless { limit: u64, index: usize, disassembly: String },
    #[error("base register {register} is 0x{value:08x}; it must be a multiple of 16")]
    MisalignedBase { register: usize, value: u32 },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl GoldenError {
    /// The status code that the hardware stops with, where it notices the error at all.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            GoldenError::MissingEnd { .. } | GoldenError::Target { .. } => Some(StatusCode::MissingEnd),
            GoldenError::Command { fault, engine, .. } => match fault {
                Fault::Illegal(DecodeError::UnknownOpcode(_)) | Fault::RowEngine { .. } => {
                    Some(StatusCode::IllegalOpcode)
                }
                // The hardware ignores bits outside the fields.
                Fault::Illegal(DecodeError::ReservedBits { .. }) => None,
                Fault::Illegal(_)
                | Fault::AdjustedControl
                | Fault::FourBit { .. }
                | Fault::Scalars { .. }
                | Fault::BaseRegister { .. } => Some(StatusCode::IllegalField),
                Fault::BusAddress { .. } if *engine == Engine::Store => Some(StatusCode::WriteError),
                Fault::BusAddress { .. } => Some(StatusCode::ReadError),
                _ => None,
            },
            _ => None,
        }
    }

    /// The hazard, if this is one.
    pub fn hazard(&self) -> Option<&Hazard> {
        match self {
            GoldenError::Command { fault: Fault::Hazard(hazard), .. } => Some(hazard),
            _ => None,
        }
    }
}

/// What a command did wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("{0}")]
    Illegal(DecodeError),
    #[error("an adjust command changes a command of an engine, and this is none")]
    AdjustedControl,
    #[error("an adjust command cannot change it: {0}")]
    Unencodable(EncodeError),
    #[error("{access} address {address} of the {memory}, which is {depth} deep")]
    Depth { access: &'static str, memory: MemoryKind, address: u32, depth: usize },
    #[error("{access} bytes 0x{address:08x} to 0x{end:x}; the memory behind the bus ends at 0x{size:x}")]
    BusAddress { access: &'static str, address: u32, end: u64, size: usize },
    #[error("{field} is {value}; it must be a multiple of {quantum}")]
    Lane { field: &'static str, value: u32, quantum: usize },
    #[error("configuration '{config}' has no 4-bit weights")]
    FourBit { config: String },
    #[error("configuration '{config}' has no row engine, and so no '{command}' commands")]
    RowEngine { config: String, command: &'static str },
    #[error("configuration '{config}' has no row engine, and so no scalars to load")]
    Scalars { config: String },
    #[error("base_register is {value}; configuration '{config}' has {registers}")]
    BaseRegister { value: u32, registers: usize, config: String },
    #[error("first_row is {value}; it must be below {limit}")]
    FirstRow { value: u32, limit: usize },
    #[error(
        "a segment of {bytes} bytes from lane {lane} on does not end within the {rows} bytes of a vector"
    )]
    Segment { bytes: u32, lane: u32, rows: usize },
    #[error("input_width is 0; a source row holds bytes")]
    EmptyRow,
    #[error("source 1 has no window, but the window is {kernel_x} x {kernel_y}")]
    AccumulatorWindow { kernel_x: u32, kernel_y: u32 },
    #[error("{0}")]
    Hazard(Box<Hazard>),
}

/// State of one queue in a deadlock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueState {
    pub engine: Engine,
    /// Commands in the queue.
    pub level: usize,
    /// Index and disassembly of the first of them.
    pub head: Option<(usize, String)>,
    /// Engines whose token the head waits for.
    pub missing: Vec<Engine>,
    /// Engines that have 240 tokens of this engine already, so that the head's might not fit.
    pub full: Vec<Engine>,
}

/// No engine can start and nothing can be dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// Commands dispatched.
    pub dispatched: usize,
    /// Commands of the program.
    pub commands: usize,
    /// Disassembly of the next command to dispatch.
    pub next: String,
    /// Why it cannot be dispatched.
    pub next_reason: &'static str,
    pub queues: Vec<QueueState>,
    /// Tokens by sender and receiver.
    pub tokens: [[u8; 4]; 4],
}

fn names(engines: &[Engine]) -> String {
    engines.iter().map(|e| e.name()).collect::<Vec<_>>().join(" and ")
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "deadlock: {} of {} commands dispatched", self.dispatched, self.commands)?;
        writeln!(f, "  next: {} ({})", self.next, self.next_reason)?;
        for queue in &self.queues {
            write!(f, "  {:<6} queue: {}", queue.engine.name(), queue.level)?;
            if let Some((index, disassembly)) = &queue.head {
                write!(f, ", head {index}: {disassembly}")?;
            }
            if !queue.missing.is_empty() {
                write!(f, " (no token from {})", names(&queue.missing))?;
            }
            if !queue.full.is_empty() {
                write!(f, " (240 tokens to {})", names(&queue.full))?;
            }
            writeln!(f)?;
        }
        write!(f, "  tokens:")?;
        let mut any = false;
        for (from, row) in Engine::QUEUED.iter().zip(self.tokens) {
            for (to, count) in Engine::QUEUED.iter().zip(row) {
                if count != 0 {
                    write!(f, " {} to {}: {count};", from.name(), to.name())?;
                    any = true;
                }
            }
        }
        if !any {
            write!(f, " none")?;
        }
        Ok(())
    }
}
