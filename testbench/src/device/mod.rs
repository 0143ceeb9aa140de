//! The simulated accelerator as a device.
//!
//! [`SimulatedDevice`] does what a driver does: it places the program in memory, writes the registers over AXI4-Lite cycle by
//! cycle, starts, waits for the `interrupt` pin, and reads the counters. Memory is a [`MemoryModel`](crate::axi::MemoryModel),
//! every cycle is watched by a [`ProtocolChecker`](crate::axi::ProtocolChecker), and a run that does not end well returns the
//! [`MachineState`] from the debug registers.
//!
//! The accelerator itself is anything with its pins, [`AcceleratorModel`].

mod recorder;
mod state;
mod system;

pub use recorder::{EngineRecording, Recording};
pub use state::{MachineState, FSM_NAMES};
pub use system::{AcceleratorModel, AcceleratorPins, InputPins, SimulationOptions, System};

use crate::axi::Violation;
use frugal_device::{
    check_config, check_inputs, Counter, Device, DeviceError, MemoryImage, Progress, RunOptions, RunResult,
    Statistics,
};
use frugal_isa::register::{self, StatusCode};
use frugal_isa::{Command, Config, Engine, Program};
use std::time::Instant;

/// What went wrong in a simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    #[error("register 0x{offset:02x}: no answer on AXI4-Lite within {cycles} cycles")]
    NoRegisterAnswer { offset: u32, cycles: u64 },
    #[error("register 0x{offset:02x}: AXI4-Lite response {response}")]
    RegisterResponse { offset: u32, response: u8 },
    #[error("register {name} reads 0x{actual:x}; '{config}' has 0x{expected:x}")]
    Identity { name: &'static str, config: String, expected: u32, actual: u32 },
    #[error("the machine stopped: {} ({}){command}\n{state}", describe_code(*code), engine.map_or("no engine", Engine::name))]
    Stopped { code: u8, engine: Option<Engine>, command: CommandText, state: Box<MachineState> },
    #[error("no end after {cycles} cycles{command}\n{state}")]
    Timeout { cycles: u64, command: CommandText, state: Box<MachineState> },
    #[error("nothing has moved for {quiet_cycles} cycles, at cycle {cycles}{command}\n{state}")]
    Stuck { quiet_cycles: u64, cycles: u64, command: CommandText, state: Box<MachineState> },
    #[error("{} AXI rules broken, the first: {}", .0.len(), .0[0])]
    Protocol(Vec<Violation>),
}

fn describe_code(code: u8) -> String {
    match StatusCode::from_value(code) {
        Some(known) => known.describe().to_owned(),
        None => format!("unknown status code {code}"),
    }
}

/// The command that is dispatched next: index, layer and disassembly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandText(pub String);

impl std::fmt::Display for CommandText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl CommandText {
    fn new(program: &Program, state: &MachineState) -> CommandText {
        let (next, dispatched, total) = (state.command_index, state.commands, program.commands.len());
        let mut text = if has_branches(program) {
            format!("\n  dispatched {dispatched} commands, in a program of {total}")
        } else {
            format!("\n  dispatched {dispatched} of {total} commands")
        };
        if let Some(command) = program.commands.get(next as usize) {
            let layer = program.command_layers.get(next as usize);
            let layer = layer.and_then(|layer| program.layers.get(*layer as usize));
            let layer = layer.map_or(String::new(), |layer| format!(" (layer '{}')", layer.name));
            text += &format!("; next {next}{layer}: {command}");
        }
        CommandText(text)
    }
}

/// Whether the number of commands that a run dispatches is not that of the program.
fn has_branches(program: &Program) -> bool {
    program.commands.iter().any(|command| matches!(command, Command::Branch(_)))
}

/// What a run leaves in the registers.
struct Counts {
    cycles: u64,
    commands: u64,
    steps: u64,
    counters: Vec<Counter>,
}

/// An accelerator in simulation.
pub struct SimulatedDevice<M: AcceleratorModel> {
    config: Config,
    system: System<M>,
    /// Cycles without progress after which a run is given up.
    quiet_cycles: u64,
    record: bool,
    recording: Option<Recording>,
}

impl<M: AcceleratorModel> SimulatedDevice<M> {
    /// Resets the accelerator and compares its identity registers with `config`.
    pub fn new(
        config: &Config,
        model: M,
        options: &SimulationOptions,
    ) -> Result<SimulatedDevice<M>, SimulationError> {
        let mut system = System::new(model, options.memory(config), options.check_protocol);
        system.reset();
        let mut device = SimulatedDevice {
            config: config.clone(),
            system,
            // A sequential core shows nothing while it is at a vector command.
            quiet_cycles: options.quiet_cycles * if config.sequential { 32 } else { 1 },
            record: false,
            recording: None,
        };
        device.check_identity()?;
        Ok(device)
    }

    /// Whether further runs record when each command started and finished.
    pub fn record(&mut self, record: bool) {
        self.record = record;
    }

    /// The recording of the last run, if there was one with [`SimulatedDevice::record`].
    pub fn take_recording(&mut self) -> Option<Recording> {
        self.recording.take()
    }

    /// Pins, memory and clock.
    pub fn system(&self) -> &System<M> {
        &self.system
    }

    /// Pins, memory and clock, for tests that go further than running programs.
    pub fn system_mut(&mut self) -> &mut System<M> {
        &mut self.system
    }

    fn check_identity(&mut self) -> Result<(), SimulationError> {
        let c = &self.config;
        let shape = c.rows | c.cols << 8 | c.lanes << 16 | c.bus_bytes() << 24;
        for (name, offset, expected) in [
            ("IDENTITY", register::IDENTITY, register::IDENTITY_VALUE),
            ("VERSION", register::VERSION, frugal_isa::ISA_VERSION),
            ("SHAPE", register::SHAPE, shape as u32),
            ("ACTIVATION_DEPTH", register::ACTIVATION_DEPTH, c.activation_depth as u32),
            ("WEIGHT_DEPTH", register::WEIGHT_DEPTH, c.weight_depth as u32),
            ("PARAMETER_DEPTH", register::PARAMETER_DEPTH, c.parameter_depth as u32),
            ("ACCUMULATOR_DEPTH", register::ACCUMULATOR_DEPTH, c.accumulator_depth as u32),
        ] {
            let actual = self.system.read_register(offset)?;
            if actual != expected {
                return Err(SimulationError::Identity { name, config: c.name.clone(), expected, actual });
            }
        }
        Ok(())
    }

    /// Runs the program that is in memory already, and returns its cycles from start to done and its MAC array steps.
    fn execute(
        &mut self,
        program: &Program,
        image: &MemoryImage,
        options: &RunOptions<'_>,
    ) -> Result<Counts, SimulationError> {
        for (number, base) in image.bases().into_iter().enumerate() {
            self.system.write_register(register::BASE_0 + 4 * number as u32, base)?;
        }
        self.system.write_register(register::PROGRAM_ADDRESS, image.program_address())?;
        self.system.write_register(register::PROGRAM_COMMANDS, program.commands.len() as u32)?;
        // The interrupt of the program before stays high until this one starts.
        self.system.arm();
        self.recording = None;
        if self.record {
            self.system.start_recording();
        }
        self.system.write_register(register::CONTROL, register::CONTROL_START)?;
        let ended = self.wait(program, image, options);
        let recorder = self.system.stop_recording();
        ended?;
        let end = self.system.cycles();
        let status = self.system.read_register(register::STATUS)?;
        if status & register::STATUS_ERROR != 0 || status & register::STATUS_DONE == 0 {
            let state = Box::new(MachineState::read(&mut self.system)?);
            let command = CommandText::new(program, &state);
            let number = (status >> 16 & 15) as u8;
            let mut engines = Engine::QUEUED.into_iter().chain([Engine::Control]);
            let engine = engines.find(|engine| *engine as u8 == number);
            return Err(SimulationError::Stopped { code: (status >> 8) as u8, engine, command, state });
        }
        let low = u64::from(self.system.read_register(register::CYCLES_LOW)?);
        let high = u64::from(self.system.read_register(register::CYCLES_HIGH)?);
        let steps = u64::from(self.system.read_register(register::MATRIX_STEPS)?);
        let commands = u64::from(self.system.read_register(register::COMMANDS)?);
        let violations = self.system.finish_checks();
        if !violations.is_empty() {
            return Err(SimulationError::Protocol(violations));
        }
        let cycles = high << 32 | low;
        self.recording = recorder.map(|recorder| recorder.finish(end, cycles));
        let mut counters = Vec::new();
        for register in register::counters() {
            let value = self.system.read_register(register.offset)?.into();
            counters.push(Counter { name: register.name, description: register.description, value });
        }
        Ok(Counts { cycles, commands, steps, counters })
    }

    /// Clocks until the interrupt, or until there is no hope of it.
    fn wait(
        &mut self,
        program: &Program,
        image: &MemoryImage,
        options: &RunOptions<'_>,
    ) -> Result<(), SimulationError> {
        const SLICE: u64 = 16_384;
        let start = self.system.cycles();
        let max_cycles = options.max_cycles.unwrap_or_else(|| self.default_max_cycles(program));
        let mut last_progress = (0, 0, 0);
        let mut quiet_since = start;
        loop {
            let passed = self.system.cycles() - start;
            let left = max_cycles.saturating_sub(passed);
            if self.system.run_until_interrupt(SLICE.min(left).max(1)) {
                return Ok(());
            }
            let cycles = self.system.cycles() - start;
            if cycles >= max_cycles {
                let (command, state) = self.give_up(program)?;
                return Err(SimulationError::Timeout { cycles, command, state });
            }
            // Registers are read only when the bus is silent, or when somebody wants to know.
            let handshakes = self.system.memory().statistics().handshakes;
            let mut now = (handshakes, last_progress.1, last_progress.2);
            if handshakes == last_progress.0 || options.progress.is_some() {
                now.1 = self.system.read_register(register::MATRIX_STEPS)?;
                now.2 = self.system.read_register(register::COMMANDS)?;
            }
            if now != last_progress {
                quiet_since = self.system.cycles();
                last_progress = now;
            }
            let quiet_cycles = self.system.cycles() - quiet_since;
            if quiet_cycles >= self.quiet_cycles {
                let (command, state) = self.give_up(program)?;
                return Err(SimulationError::Stuck { quiet_cycles, cycles, command, state });
            }
            if let Some(watch) = options.watch {
                watch(&self.system.memory().bytes()[image.workspace.clone()]);
            }
            if let Some(progress) = options.progress {
                progress(Progress {
                    commands: u64::from(now.2),
                    total_commands: program.commands.len() as u64,
                    cycles: Some(cycles),
                });
            }
        }
    }

    /// Reads the state of a machine that does not end.
    fn give_up(&mut self, program: &Program) -> Result<(CommandText, Box<MachineState>), SimulationError> {
        let state = Box::new(MachineState::read(&mut self.system)?);
        Ok((CommandText::new(program, &state), state))
    }

    /// Twenty times what the program would take if engines did not overlap (2000 times on a sequential core), and a million. How often branches are taken
    /// nobody knows: a program that has some runs as long as anything moves.
    fn default_max_cycles(&self, program: &Program) -> u64 {
        if has_branches(program) {
            return u64::MAX;
        }
        let memory = self.system.memory().options();
        let beat = u64::from(memory.cycles_per_beat.max(1));
        let bus_bytes = memory.bus_bytes.min(self.config.rows).min(self.config.cols) as u64;
        let latency = u64::from(memory.latency_cycles);
        let transfer = |rows: u32, bytes: u32| {
            let bursts = 1 + u64::from(bytes) / (64 * bus_bytes);
            u64::from(rows) * (u64::from(bytes) / bus_bytes * beat + bursts * (latency + 10))
        };
        let product = |factors: &[u32]| {
            factors.iter().fold(1u64, |product, factor| product.saturating_mul(u64::from(*factor)))
        };
        let estimate = program.commands.iter().fold(0u64, |sum, command| {
            sum.saturating_add(100 + latency).saturating_add(match command {
                Command::Load(load) => transfer(load.rows, load.row_bytes),
                Command::Store(store) => transfer(store.rows, store.row_bytes),
                Command::Matrix(m) => {
                    let groups = (self.config.cols / self.config.lanes) as u64;
                    let results = product(&[m.tiles, m.outputs_y, m.outputs_x]);
                    results.saturating_mul(product(&[m.kernel_y, m.kernel_x, m.channels]).max(groups))
                }
                Command::Vector(v) => product(&[v.groups, v.outputs_y, v.outputs_x, v.kernel_y, v.kernel_x]),
                Command::Move(m) => product(&[m.outputs_y, m.outputs_x]).saturating_mul(2),
                Command::Row(r) => product(&[r.rows_y, r.rows_x, r.groups, r.taps]).saturating_mul(2),
                Command::Barrier(_)
                | Command::End(_)
                | Command::Adjust(_)
                | Command::Set(_)
                | Command::Branch(_) => 0,
            })
        });
        // A sequential core takes hundreds of cycles for what engines do in one.
        let most = if self.config.sequential { 2000 } else { 20 };
        estimate.saturating_mul(most).saturating_add(1_000_000)
    }
}

impl<M: AcceleratorModel> Device for SimulatedDevice<M> {
    fn config(&self) -> &Config {
        &self.config
    }

    fn run(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        options: &RunOptions<'_>,
    ) -> Result<RunResult, DeviceError> {
        check_config(program, &self.config)?;
        check_inputs(program, inputs)?;
        let image = MemoryImage::place(program, 0)?;
        self.system.memory_mut().grow(image.end());
        image.fill(program, inputs, self.system.memory_mut().bytes_mut())?;
        let before = *self.system.memory().statistics();
        let start = Instant::now();
        let result = self.execute(program, &image, options);
        let wall_seconds = start.elapsed().as_secs_f64();
        if result.is_err() {
            // Whatever state it is in, the next program finds a machine that starts.
            self.system.reset();
        }
        let Counts { cycles, commands, steps, counters } = result.map_err(DeviceError::run)?;
        let after = self.system.memory().statistics();
        let bus_bytes = self.config.bus_bytes() as u64;
        let beats = |s: &crate::axi::MemoryStatistics| s.read_beats.iter().sum::<u64>();
        let statistics = Statistics {
            cycles: Some(cycles),
            commands,
            matrix_steps: steps,
            counters,
            bytes_read: Some((beats(after) - beats(&before)) * bus_bytes),
            bytes_written: Some((after.write_beats - before.write_beats) * bus_bytes),
            wall_seconds,
        };
        let memory = self.system.memory().bytes();
        Ok(RunResult {
            outputs: image.outputs(program, memory),
            statistics,
            workspace: options.keep_workspace.then(|| memory[image.workspace.clone()].to_vec()),
        })
    }
}

#[cfg(test)]
mod tests;
