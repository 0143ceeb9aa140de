//! Whatever can run a Frugal program.
//!
//! One trait, [`Device`], stands for the functional simulator ([`GoldenDevice`]), the simulated hardware and boards, so that
//! one test suite and one command line serve all of them. [`MemoryImage`] is how every device places a program in memory.

mod golden;
mod image;
pub mod link;

pub use golden::GoldenDevice;
pub use image::MemoryImage;

use frugal_isa::command::EncodeError;
use frugal_isa::{Config, Program, TensorLayout};
use std::error::Error;

/// Runs programs. On-chip memories and bus memory keep their contents from one run to the next.
pub trait Device {
    /// Sizes of the accelerator.
    fn config(&self) -> &Config;

    /// Runs a program on the dense bytes of each of its inputs.
    fn run(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        options: &RunOptions<'_>,
    ) -> Result<RunResult, DeviceError>;
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Commands dispatched or executed so far.
    pub commands: u64,
    /// Commands of the program; one with branches may dispatch more.
    pub total_commands: u64,
    /// Cycles so far, where the device has them.
    pub cycles: Option<u64>,
}

/// How to run a program.
#[derive(Clone, Copy, Default)]
pub struct RunOptions<'a> {
    /// Cycles after which a device with cycles gives up; without it the device chooses from the program's size, or for a program with
    /// branches gives up only when nothing moves.
    pub max_cycles: Option<u64>,
    /// Return the whole workspace too.
    pub keep_workspace: bool,
    /// Called now and then.
    pub progress: Option<&'a dyn Fn(Progress)>,
    /// Shown the workspace now and then while a device with cycles runs.
    pub watch: Option<Watch<'a>>,
}

/// What is shown the workspace.
pub type Watch<'a> = &'a dyn Fn(&[u8]);

/// A performance counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Name of its register.
    pub name: &'static str,
    /// What it counts.
    pub description: &'static str,
    pub value: u64,
}

/// What a run cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Clock cycles from start to done, where the device has them.
    pub cycles: Option<u64>,
    /// Commands dispatched; in a loop, a command counts every time.
    pub commands: u64,
    /// Cycles in which the MAC array was given work.
    pub matrix_steps: u64,
    /// Bytes that loads and command fetches read, where the device counts them.
    pub bytes_read: Option<u64>,
    /// Bytes that stores wrote, where the device counts them.
    pub bytes_written: Option<u64>,
    /// Performance counters, where the device has them.
    pub counters: Vec<Counter>,
    /// Time that the run took, without placing it in memory.
    pub wall_seconds: f64,
}

impl Statistics {
    /// Share of the cycles in which the MAC array was given work.
    pub fn utilisation(&self) -> Option<f64> {
        self.cycles.filter(|cycles| *cycles > 0).map(|cycles| self.matrix_steps as f64 / cycles as f64)
    }
}

/// Outputs and cost of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// Dense bytes of each output.
    pub outputs: Vec<Vec<u8>>,
    pub statistics: Statistics,
    /// The workspace after the run, with [`RunOptions::keep_workspace`].
    pub workspace: Option<Vec<u8>>,
}

/// Why a program could not be run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("program '{program}' takes {expected} inputs ({names}), {given} were given")]
    InputCount { program: String, expected: usize, names: String, given: usize },
    #[error("input '{tensor}' of shape {shape:?} takes {expected} bytes, {given} were given")]
    InputLength { tensor: String, shape: Vec<usize>, expected: usize, given: usize },
    #[error(
        "program '{program}' was compiled for '{wanted}', where {field} is {expected}; this device has {actual}. Compile \
         the model for '{device}'"
    )]
    Config {
        program: String,
        wanted: String,
        device: String,
        field: &'static str,
        expected: usize,
        actual: usize,
    },
    #[error("program '{program}' needs {needed} bytes of memory; addresses have 32 bits")]
    MemorySize { program: String, needed: u64 },
    #[error("command {index} cannot be encoded: {source}")]
    Encode { index: usize, source: EncodeError },
    /// The device's own error.
    #[error("{0}")]
    Run(#[source] Box<dyn Error + Send + Sync>),
}

impl DeviceError {
    /// Wraps an error of the device itself.
    pub fn run(error: impl Error + Send + Sync + 'static) -> DeviceError {
        DeviceError::Run(Box::new(error))
    }
}

/// Checks that the program can run on the accelerator: the same shape, memories and queues at least as deep.
pub fn check_config(program: &Program, device: &Config) -> Result<(), DeviceError> {
    let wanted = &program.config;
    let check = |field, expected: usize, actual: usize, fits: bool| {
        if fits {
            return Ok(());
        }
        Err(DeviceError::Config {
            program: program.name.clone(),
            wanted: wanted.name.clone(),
            device: device.name.clone(),
            field,
            expected,
            actual,
        })
    };
    let same = |field, expected, actual| check(field, expected, actual, expected == actual);
    let deep = |field, expected, actual| check(field, expected, actual, expected <= actual);
    same("rows", wanted.rows, device.rows)?;
    same("cols", wanted.cols, device.cols)?;
    same("lanes", wanted.lanes, device.lanes)?;
    deep("activation_depth", wanted.activation_depth, device.activation_depth)?;
    deep("weight_depth", wanted.weight_depth, device.weight_depth)?;
    deep("parameter_depth", wanted.parameter_depth, device.parameter_depth)?;
    deep("accumulator_depth", wanted.accumulator_depth, device.accumulator_depth)?;
    deep("queue_depth", wanted.queue_depth, device.queue_depth)
}

/// Checks number and lengths of the inputs.
pub fn check_inputs(program: &Program, inputs: &[Vec<u8>]) -> Result<(), DeviceError> {
    if inputs.len() != program.inputs.len() {
        let names: Vec<_> = program.inputs.iter().map(|tensor| tensor.name.as_str()).collect();
        return Err(DeviceError::InputCount {
            program: program.name.clone(),
            expected: program.inputs.len(),
            names: names.join(", "),
            given: inputs.len(),
        });
    }
    for (tensor, input) in program.inputs.iter().zip(inputs) {
        let expected = dense_bytes(tensor);
        if input.len() != expected {
            return Err(DeviceError::InputLength {
                tensor: tensor.name.clone(),
                shape: tensor.shape.clone(),
                expected,
                given: input.len(),
            });
        }
    }
    Ok(())
}

/// Bytes of the tensor without gaps.
pub fn dense_bytes(tensor: &TensorLayout) -> usize {
    tensor.elements() * tensor.element_bytes
}
