//! The accelerator with its memory and a register master around it, a clock cycle at a time.
//!
//! ```text
//!   LiteMaster --lite--> +-------------+ --master--> MemoryModel
//!              <-------- | accelerator | <---------- (all outputs registered)
//!                        +-------------+ --> interrupt
//! ```
//! In a cycle the registered outputs of both neighbours are put on the pins, the accelerator settles, its outputs are sampled,
//! and then everything gets its clock edge.

use super::recorder::Recorder;
use super::SimulationError;
use crate::axi::{
    ErrorRange, LiteMaster, LiteMasterPins, LiteSlavePins, MasterPins, MemoryModel, MemoryOptions,
    ProtocolChecker, SlavePins, Stalls, Violation,
};
use frugal_isa::{register, Config, COMMAND_BYTES, COMMAND_WORDS};

/// What drives the accelerator in one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputPins {
    pub memory: SlavePins,
    pub lite: LiteMasterPins,
    pub reset: bool,
}

/// What the accelerator drives in one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceleratorPins {
    pub memory: MasterPins,
    pub lite: LiteSlavePins,
    pub interrupt: bool,
    /// See the pin of that name in the accelerator.
    pub observe: u32,
}

/// Anything with the pins of the accelerator.
pub trait AcceleratorModel {
    /// Puts the inputs on the pins, lets them settle, samples the outputs, then gives the clock its rising edge.
    ///
    /// Payloads need only be sampled where their VALID is high.
    fn cycle(&mut self, inputs: &InputPins, outputs: &mut AcceleratorPins);
}

/// How the world around the accelerator behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationOptions {
    /// See [`MemoryOptions::latency_cycles`].
    pub latency_cycles: u32,
    /// See [`MemoryOptions::cycles_per_beat`].
    pub cycles_per_beat: u32,
    /// See [`MemoryOptions::outstanding`].
    pub outstanding: usize,
    pub stalls: Option<Stalls>,
    pub errors: Vec<ErrorRange>,
    /// Whether broken AXI rules are errors of a run.
    pub check_protocol: bool,
    /// Cycles without a handshake, a dispatched command or a matrix step after which a run is given up.
    pub quiet_cycles: u64,
}

impl Default for SimulationOptions {
    fn default() -> SimulationOptions {
        let memory = MemoryOptions::new(8);
        SimulationOptions {
            latency_cycles: memory.latency_cycles,
            cycles_per_beat: memory.cycles_per_beat,
            outstanding: memory.outstanding,
            stalls: None,
            errors: Vec::new(),
            check_protocol: true,
            quiet_cycles: 1_000_000,
        }
    }
}

impl SimulationOptions {
    /// The memory's share of the options.
    pub fn memory(&self, config: &Config) -> MemoryOptions {
        MemoryOptions {
            bus_bytes: config.bus_bytes(),
            latency_cycles: self.latency_cycles,
            cycles_per_beat: self.cycles_per_beat,
            outstanding: self.outstanding,
            stalls: self.stalls,
            errors: self.errors.clone(),
        }
    }
}

/// Cycles that a register access may take.
const REGISTER_PATIENCE_CYCLES: u64 = 10_000;
/// Cycles of reset.
const RESET_CYCLES: u32 = 8;

/// The accelerator, its memory and a register master.
pub struct System<M> {
    model: M,
    memory: MemoryModel,
    lite: LiteMaster,
    checker: ProtocolChecker,
    check_protocol: bool,
    inputs: InputPins,
    outputs: AcceleratorPins,
    cycles: u64,
    /// The interrupt has been low since [`System::arm`].
    armed: bool,
    fired: bool,
    recorder: Option<Recorder>,
}

impl<M: AcceleratorModel> System<M> {
    /// An accelerator that has not been reset, and an empty memory.
    pub fn new(model: M, memory: MemoryOptions, check_protocol: bool) -> System<M> {
        let checker = ProtocolChecker::new(memory.bus_bytes);
        System {
            model,
            memory: MemoryModel::new(memory, 0),
            lite: LiteMaster::default(),
            checker,
            check_protocol,
            inputs: InputPins::default(),
            outputs: AcceleratorPins::default(),
            cycles: 0,
            armed: false,
            fired: false,
            recorder: None,
        }
    }

    pub fn model_mut(&mut self) -> &mut M {
        &mut self.model
    }

    pub fn memory(&self) -> &MemoryModel {
        &self.memory
    }

    pub fn memory_mut(&mut self) -> &mut MemoryModel {
        &mut self.memory
    }

    /// Clock cycles since the simulation began.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// The accelerator's pins of the last cycle.
    pub fn pins(&self) -> &AcceleratorPins {
        &self.outputs
    }

    /// Read and write bursts under way, where the protocol is checked.
    pub fn outstanding_bursts(&self) -> (usize, usize) {
        self.checker.outstanding()
    }

    /// Resets the accelerator and everything around it; memory contents stay.
    pub fn reset(&mut self) {
        self.memory.reset();
        self.lite = LiteMaster::default();
        self.inputs = InputPins { reset: true, ..InputPins::default() };
        for _ in 0..RESET_CYCLES {
            self.model.cycle(&self.inputs, &mut self.outputs);
            self.cycles += 1;
        }
        self.inputs = InputPins::default();
        self.checker = ProtocolChecker::new(self.memory.options().bus_bytes);
    }

    /// One clock cycle.
    #[inline]
    pub fn cycle(&mut self) {
        self.inputs.lite = *self.lite.pins();
        self.model.cycle(&self.inputs, &mut self.outputs);
        self.cycles += 1;
        if self.check_protocol {
            self.checker.cycle(&self.outputs.memory, &self.inputs.memory);
        }
        self.inputs.memory = self.memory.cycle(&self.outputs.memory);
        self.lite.cycle(&self.outputs.lite);
        if let Some(recorder) = &mut self.recorder {
            recorder.cycle(self.cycles, self.outputs.observe);
        }
        self.fired |= self.armed && self.outputs.interrupt;
        self.armed |= !self.outputs.interrupt;
    }

    /// Forgets the interrupt; the next one counts only after the pin has been low.
    pub fn arm(&mut self) {
        self.armed = !self.outputs.interrupt;
        self.fired = false;
    }

    pub(super) fn start_recording(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    pub(super) fn stop_recording(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }

    /// Puts command words into memory and starts them, as a driver with a damaged program would.
    ///
    /// # Errors
    /// If the registers do not answer.
    pub fn start_raw(
        &mut self,
        address: u32,
        words: &[[u32; COMMAND_WORDS]],
        commands: u32,
    ) -> Result<(), SimulationError> {
        let bytes: Vec<u8> = words.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        let begin = address as usize;
        self.memory.grow(begin + bytes.len().max(COMMAND_BYTES));
        self.memory.bytes_mut()[begin..begin + bytes.len()].copy_from_slice(&bytes);
        self.write_register(register::PROGRAM_ADDRESS, address)?;
        self.write_register(register::PROGRAM_COMMANDS, commands)?;
        self.arm();
        self.write_register(register::CONTROL, register::CONTROL_START)
    }

    /// Clocks until the interrupt, at most `cycles`; true when it came.
    pub fn run_until_interrupt(&mut self, cycles: u64) -> bool {
        for _ in 0..cycles {
            if self.fired {
                return true;
            }
            self.cycle();
        }
        self.fired
    }

    fn access(&mut self, offset: u32) -> Result<u32, SimulationError> {
        for _ in 0..REGISTER_PATIENCE_CYCLES {
            self.cycle();
            if let Some(answer) = self.lite.take() {
                if !answer.is_okay() {
                    return Err(SimulationError::RegisterResponse { offset, response: answer.response });
                }
                return Ok(answer.data);
            }
        }
        self.lite = LiteMaster::default();
        Err(SimulationError::NoRegisterAnswer { offset, cycles: REGISTER_PATIENCE_CYCLES })
    }

    /// Reads a register.
    pub fn read_register(&mut self, offset: u32) -> Result<u32, SimulationError> {
        self.lite.read(offset);
        self.access(offset)
    }

    /// Writes a register.
    pub fn write_register(&mut self, offset: u32, value: u32) -> Result<(), SimulationError> {
        self.lite.write(offset, value);
        self.access(offset).map(|_| ())
    }

    /// Violations since the last call or reset, with the checks at the end of a program.
    pub fn finish_checks(&mut self) -> Vec<Violation> {
        if self.check_protocol {
            self.checker.finish()
        } else {
            Vec::new()
        }
    }
}
