//! A board as a device.

use super::{Link, LinkError, Transport};
use crate::{
    check_config, check_inputs, Counter, Device, DeviceError, MemoryImage, Progress, RunOptions, RunResult,
    Statistics,
};
use frugal_isa::link::MEMORY_QUANTUM;
use frugal_isa::register::{self, StatusCode};
use frugal_isa::{Config, Engine, Program};
use std::ops::Range;
use std::time::Instant;

/// Waits without progress after which a program on a sequential core counts as stuck.
const SEQUENTIAL_PATIENCE: u32 = 16;

/// Why a board does not run a program, or is not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{port}: register {name} reads 0x{actual:x}; '{config}' has 0x{expected:x}. The board has a bitstream of another configuration")]
    Config { port: String, name: &'static str, config: String, expected: u32, actual: u32 },
    #[error("{port}: the board was built as {actual:08x}, and {expected:08x} was wanted: its bitstream is of another build. Load it again")]
    Build { port: String, expected: u32, actual: u32 },
    #[error("program '{program}' needs {needed} bytes of memory; the board has {available}")]
    Memory { program: String, needed: usize, available: usize },
    #[error("the machine stopped: {} ({}), dispatching command {index}", code.map_or("unknown status", StatusCode::describe), engine.map_or("no engine", Engine::name))]
    Stopped { code: Option<StatusCode>, engine: Option<Engine>, index: u32 },
    #[error("the program has not ended after {cycles} cycles; states of the engines {states:08x}, commands that wait {queues:08x}")]
    Stuck { cycles: u64, states: u32, queues: u32 },
}

/// A board that runs programs.
pub struct BoardDevice<T> {
    link: Link<T>,
    config: Config,
    /// What stands in the board's memory, as far as it is known: constants and commands are only sent when they differ.
    known: Vec<(usize, Vec<u8>)>,
}

impl<T: Transport> BoardDevice<T> {
    /// The board at the other end of a link, which is of configuration `config`, and of a certain build if one is given.
    ///
    /// # Errors
    /// If the board is of another configuration or build, or does not answer.
    pub fn new(mut link: Link<T>, config: &Config, build: Option<u32>) -> Result<BoardDevice<T>, BoardError> {
        let actual = link.identity().build;
        if let Some(expected) = build.filter(|build| *build != actual) {
            return Err(BoardError::Build { port: link.port(), expected, actual });
        }
        let c = config;
        let shape = c.rows | c.cols << 8 | c.lanes << 16 | c.bus_bytes() << 24;
        for (name, offset, expected) in [
            ("IDENTITY", register::IDENTITY, register::IDENTITY_VALUE),
            ("VERSION", register::VERSION, frugal_isa::ISA_VERSION),
            ("SHAPE", register::SHAPE, shape as u32),
            ("ACTIVATION_DEPTH", register::ACTIVATION_DEPTH, c.activation_depth as u32),
            ("WEIGHT_DEPTH", register::WEIGHT_DEPTH, c.weight_depth as u32),
            ("PARAMETER_DEPTH", register::PARAMETER_DEPTH, c.parameter_depth as u32),
            ("ACCUMULATOR_DEPTH", register::ACCUMULATOR_DEPTH, c.accumulator_depth as u32),
            ("FEATURES", register::FEATURES, c.features()),
        ] {
            let actual = link.read_register(offset)?;
            if actual != expected {
                let (port, config) = (link.port(), c.name.clone());
                return Err(BoardError::Config { port, name, config, expected, actual });
            }
        }
        Ok(BoardDevice { link, config: config.clone(), known: Vec::new() })
    }

    /// The link to the board, which is given back.
    pub fn into_link(self) -> Link<T> {
        self.link
    }

    /// The link to the board.
    pub fn link_mut(&mut self) -> &mut Link<T> {
        &mut self.link
    }

    /// Sends bytes that stay, unless they are there already.
    fn keep(&mut self, address: usize, bytes: &[u8]) -> Result<(), LinkError> {
        if bytes.is_empty() || self.known.iter().any(|(at, known)| *at == address && known == bytes) {
            return Ok(());
        }
        let end = address + bytes.len();
        self.known.retain(|(at, known)| *at >= end || at + known.len() <= address);
        self.send(address, bytes)?;
        self.known.push((address, bytes.to_vec()));
        Ok(())
    }

    /// Sends bytes from `address` on, a multiple of 8; what is missing to a multiple of 8 is sent as zeros.
    fn send(&mut self, address: usize, bytes: &[u8]) -> Result<(), LinkError> {
        let whole = bytes.len() / MEMORY_QUANTUM * MEMORY_QUANTUM;
        self.link.write_memory(address as u32, &bytes[..whole])?;
        if whole == bytes.len() {
            return Ok(());
        }
        let mut rest = bytes[whole..].to_vec();
        rest.resize(MEMORY_QUANTUM, 0);
        self.link.write_memory((address + whole) as u32, &rest)
    }

    /// Sends the inputs; the rest of the workspace stays as it is.
    fn send_inputs(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        image: &MemoryImage,
    ) -> Result<(), LinkError> {
        for (tensor, input) in program.inputs.iter().zip(inputs) {
            let Some(range) = tensor_range(tensor, image.workspace.len()) else { continue };
            let address = image.workspace.start + range.start;
            let mut window = vec![0; image.workspace.len().next_multiple_of(MEMORY_QUANTUM)];
            // What lies between its elements stays.
            if tensor.elements() * tensor.element_bytes < range.len() {
                self.link.read_memory(address as u32, &mut window[range.clone()])?;
            }
            tensor.scatter(input, &mut window);
            self.link.write_memory(address as u32, &window[range])?;
        }
        Ok(())
    }

    /// Starts the program that is in memory and waits for its end.
    fn execute(
        &mut self,
        program: &Program,
        image: &MemoryImage,
        options: &RunOptions<'_>,
    ) -> Result<(), BoardError> {
        for (number, base) in image.bases().into_iter().enumerate() {
            self.link.write_register(register::BASE_0 + 4 * number as u32, base)?;
        }
        self.link.write_register(register::PROGRAM_ADDRESS, image.program_address())?;
        self.link.write_register(register::PROGRAM_COMMANDS, program.commands.len() as u32)?;
        self.link.start()?;
        let mut last = [0; 4];
        // Waits in which nothing has moved. A sequential core counts nothing while it is at a vector command, and takes its time.
        let mut still = 0;
        let patience = if self.config.sequential { SEQUENTIAL_PATIENCE } else { 1 };
        loop {
            if self.link.wait()? {
                break;
            }
            let mut now = [0; 4];
            let moving =
                [register::COMMANDS, register::MATRIX_STEPS, register::READ_BEATS, register::WRITE_BEATS];
            for (value, offset) in now.iter_mut().zip(moving) {
                *value = self.link.read_register(offset)?;
            }
            let cycles = self.cycles()?;
            if let Some(progress) = options.progress {
                progress(Progress {
                    commands: u64::from(now[0]),
                    total_commands: program.commands.len() as u64,
                    cycles: Some(cycles),
                });
            }
            still = if last == now { still + 1 } else { 0 };
            if still >= patience || options.max_cycles.is_some_and(|most| cycles > most) {
                let states = self.link.read_register(register::DEBUG_STATES)?;
                let queues = self.link.read_register(register::DEBUG_QUEUES)?;
                return Err(BoardError::Stuck { cycles, states, queues });
            }
            last = now;
            if let Some(watch) = options.watch {
                let mut workspace = vec![0; image.workspace.len().next_multiple_of(MEMORY_QUANTUM)];
                self.link.read_memory(image.workspace.start as u32, &mut workspace)?;
                watch(&workspace[..image.workspace.len()]);
            }
        }
        let status = self.link.read_register(register::STATUS)?;
        if status & register::STATUS_ERROR != 0 || status & register::STATUS_DONE == 0 {
            let number = (status >> 16 & 15) as u8;
            let mut engines = Engine::QUEUED.into_iter().chain([Engine::Control]);
            let engine = engines.find(|engine| *engine as u8 == number);
            let index = self.link.read_register(register::COMMAND_INDEX)?;
            // The next program finds a machine that starts.
            self.link.write_register(register::CONTROL, register::CONTROL_RESET)?;
            return Err(BoardError::Stopped {
                code: StatusCode::from_value((status >> 8) as u8),
                engine,
                index,
            });
        }
        Ok(())
    }

    fn cycles(&mut self) -> Result<u64, LinkError> {
        let low = u64::from(self.link.read_register(register::CYCLES_LOW)?);
        let high = u64::from(self.link.read_register(register::CYCLES_HIGH)?);
        Ok(high << 32 | low)
    }

    fn run_program(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        options: &RunOptions<'_>,
    ) -> Result<RunResult, BoardError> {
        let image = MemoryImage::place(program, 0).map_err(|_| BoardError::Memory {
            program: program.name.clone(),
            needed: program.workspace_bytes.saturating_add(program.constants.len()),
            available: self.link.identity().memory_bytes as usize,
        })?;
        let available = self.link.identity().memory_bytes as usize;
        let needed = image.commands.end;
        if needed > available {
            return Err(BoardError::Memory { program: program.name.clone(), needed, available });
        }
        // Workspaces of other programs may lie where this one's constants are: what they wrote is not known.
        let workspace = image.workspace.clone();
        self.known.retain(|(at, _)| *at >= workspace.end);
        self.keep(image.constants.start, &program.constants)?;
        let commands: Vec<u8> = program
            .commands
            .iter()
            .flat_map(|command| command.encode_bytes().expect("programs hold legal commands"))
            .collect();
        self.keep(image.commands.start, &commands)?;
        self.send_inputs(program, inputs, &image)?;
        let start = Instant::now();
        let ended = self.execute(program, &image, options);
        if ended.is_err() {
            self.known.clear();
        }
        ended?;
        let wall_seconds = start.elapsed().as_secs_f64();
        let cycles = self.cycles()?;
        let mut counters = Vec::new();
        for register in register::counters() {
            let value = self.link.read_register(register.offset)?.into();
            counters.push(Counter { name: register.name, description: register.description, value });
        }
        let bytes = |name: &str| {
            let beats = counters.iter().find(|counter| counter.name == name).map(|counter| counter.value);
            beats.map(|beats| beats * self.config.bus_bytes() as u64)
        };
        let statistics = Statistics {
            cycles: Some(cycles),
            bytes_read: bytes("READ_BEATS"),
            bytes_written: bytes("WRITE_BEATS"),
            commands: self.link.read_register(register::COMMANDS)?.into(),
            matrix_steps: self.link.read_register(register::MATRIX_STEPS)?.into(),
            counters,
            wall_seconds,
        };
        let mut memory = vec![0; image.workspace.end];
        let mut read = |range: Range<usize>| {
            let whole =
                range.start / MEMORY_QUANTUM * MEMORY_QUANTUM..range.end.next_multiple_of(MEMORY_QUANTUM);
            let mut bytes = vec![0; whole.len()];
            self.link.read_memory((image.workspace.start + whole.start) as u32, &mut bytes)?;
            let from = range.start - whole.start;
            let at = image.workspace.start;
            memory[at + range.start..at + range.end].copy_from_slice(&bytes[from..from + range.len()]);
            Ok::<(), LinkError>(())
        };
        if options.keep_workspace {
            read(0..image.workspace.len())?;
        } else {
            for tensor in &program.outputs {
                if let Some(range) = tensor_range(tensor, image.workspace.len()) {
                    read(range.start..range.end.min(image.workspace.len()))?;
                }
            }
        }
        Ok(RunResult {
            outputs: image.outputs(program, &memory),
            statistics,
            workspace: options.keep_workspace.then(|| memory[image.workspace.clone()].to_vec()),
        })
    }
}

/// Where a tensor lies in a workspace of `length` bytes, in whole multiples of 8.
fn tensor_range(tensor: &frugal_isa::TensorLayout, length: usize) -> Option<Range<usize>> {
    if tensor.shape.contains(&0) {
        return None;
    }
    let last: usize =
        tensor.shape.iter().zip(&tensor.strides).map(|(size, stride)| (size - 1) * stride).sum();
    let start = tensor.offset / MEMORY_QUANTUM * MEMORY_QUANTUM;
    let end = (tensor.offset + last + tensor.element_bytes).next_multiple_of(MEMORY_QUANTUM);
    Some(start..end.min(length.next_multiple_of(MEMORY_QUANTUM)))
}

impl<T: Transport> Device for BoardDevice<T> {
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
        self.run_program(program, inputs, options).map_err(DeviceError::run)
    }
}
