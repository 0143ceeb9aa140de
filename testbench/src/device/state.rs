//! What the debug registers say, by name.

use super::{AcceleratorModel, SimulationError, System};
use frugal_isa::register;
use frugal_isa::Engine;
use std::fmt;

/// The FSMs of `DEBUG_STATES`, four bits each from bit 0 on.
pub const FSM_NAMES: [&str; 5] = ["dispatch", "load", "matrix", "vector", "store"];

/// The numbers that each FSM shows for its states.
const STATE_NAMES: [&[&str]; 5] = [
    &["idle", "run", "barrier", "end", "stop", "patch", "jump"],
    &["idle", "set up", "transferring"],
    &["idle", "loading the loop nest", "running"],
    &["idle", "loading the loop nest", "running", "draining"],
    &["idle", "set up", "transferring", "waiting for responses"],
];

/// State of the accelerator and of its memory port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    pub status: u32,
    /// Index in the program of the command that is dispatched next.
    pub command_index: u32,
    /// Commands dispatched.
    pub commands: u32,
    pub matrix_steps: u32,
    /// In the order of [`FSM_NAMES`].
    pub states: [u8; 5],
    /// Commands in the queues of load, matrix, vector and store.
    pub queues: [u8; 4],
    /// Tokens by sender and receiver.
    pub tokens: [[u8; 4]; 4],
    /// Read and write bursts that are not finished.
    pub outstanding_bursts: (usize, usize),
}

impl MachineState {
    /// Reads the registers.
    pub fn read<M: AcceleratorModel>(system: &mut System<M>) -> Result<MachineState, SimulationError> {
        let outstanding_bursts = system.outstanding_bursts();
        let states = system.read_register(register::DEBUG_STATES)?;
        let queues = system.read_register(register::DEBUG_QUEUES)?;
        let mut received = [[0; 4]; 4];
        for (to, tokens) in received.iter_mut().enumerate() {
            *tokens = system.read_register(register::DEBUG_TOKENS_LOAD + 4 * to as u32)?.to_le_bytes();
        }
        let tokens = std::array::from_fn(|from| std::array::from_fn(|to| received[to][from]));
        Ok(MachineState {
            status: system.read_register(register::STATUS)?,
            command_index: system.read_register(register::COMMAND_INDEX)?,
            commands: system.read_register(register::COMMANDS)?,
            matrix_steps: system.read_register(register::MATRIX_STEPS)?,
            states: std::array::from_fn(|fsm| (states >> (4 * fsm) & 15) as u8),
            queues: queues.to_le_bytes(),
            tokens,
            outstanding_bursts,
        })
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  status 0x{:x}:", self.status)?;
        for (bit, name) in [
            (register::STATUS_BUSY, "busy"),
            (register::STATUS_DONE, "done"),
            (register::STATUS_ERROR, "error"),
        ] {
            if self.status & bit != 0 {
                write!(f, " {name}")?;
            }
        }
        write!(f, "\n  states:")?;
        for ((name, states), state) in FSM_NAMES.iter().zip(STATE_NAMES).zip(self.states) {
            match states.get(state as usize) {
                Some(state) => write!(f, " {name} {state};")?,
                None => write!(f, " {name} {state}?;")?,
            }
        }
        write!(f, "\n  queues:")?;
        for (engine, level) in Engine::QUEUED.iter().zip(self.queues) {
            write!(f, " {} {level}", engine.name())?;
        }
        write!(f, "\n  tokens:")?;
        let mut any = false;
        for (from, row) in Engine::QUEUED.iter().zip(self.tokens) {
            for (to, count) in Engine::QUEUED.iter().zip(row) {
                if count != 0 {
                    write!(f, " {} to {} {count}", from.name(), to.name())?;
                    any = true;
                }
            }
        }
        if !any {
            write!(f, " none")?;
        }
        let (reads, writes) = self.outstanding_bursts;
        write!(f, "\n  unfinished bursts: {reads} read, {writes} written; {} matrix steps", self.matrix_steps)
    }
}
