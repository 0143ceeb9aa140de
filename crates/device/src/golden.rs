//! The functional simulator as a device.

use crate::{
    check_config, check_inputs, Device, DeviceError, MemoryImage, Progress, RunOptions, RunResult, Statistics,
};
use frugal_golden::{GoldenError, Machine, Memory, Policy, RunReport, TraceLevel};
use frugal_isa::{Config, Program};
use std::time::Instant;

/// The functional simulator as a device.
pub struct GoldenDevice {
    machine: Machine,
    memory: Memory,
    /// The interleaving of engines.
    pub policy: Policy,
    /// Whether unordered accesses are errors.
    pub check_hazards: bool,
    /// What [`GoldenDevice::report`] keeps of each command's writes.
    pub trace: TraceLevel,
    /// Commands to dispatch before a program counts as endless.
    pub max_commands: Option<u64>,
    report: RunReport,
}

impl GoldenDevice {
    /// A device whose memories are zero; hazards are checked.
    pub fn new(config: &Config) -> Result<GoldenDevice, GoldenError> {
        Ok(GoldenDevice {
            machine: Machine::new(config)?,
            memory: Memory::default(),
            policy: Policy::ProgramOrder,
            check_hazards: true,
            trace: TraceLevel::None,
            max_commands: None,
            report: RunReport::default(),
        })
    }

    /// The machine, to look at its memories.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The memory behind the bus.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What the last successful run did.
    pub fn report(&self) -> &RunReport {
        &self.report
    }
}

impl Device for GoldenDevice {
    fn config(&self) -> &Config {
        self.machine.config()
    }

    fn run(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        options: &RunOptions<'_>,
    ) -> Result<RunResult, DeviceError> {
        check_config(program, self.machine.config())?;
        check_inputs(program, inputs)?;
        let image = MemoryImage::place(program, 0)?;
        self.memory.grow(image.end());
        image.fill(program, inputs, self.memory.as_mut_slice())?;
        let total_commands = program.commands.len() as u64;
        let progress = |commands| {
            if let Some(progress) = options.progress {
                progress(Progress { commands, total_commands, cycles: None });
            }
        };
        let golden = frugal_golden::RunOptions {
            policy: self.policy,
            check_hazards: self.check_hazards,
            trace: self.trace,
            max_commands: self.max_commands,
            progress: options.progress.is_some().then_some(&progress as &dyn Fn(u64)),
        };
        let start = Instant::now();
        self.report = self
            .machine
            .run_with(&program.commands, &mut self.memory, image.bases(), &golden)
            .map_err(DeviceError::run)?;
        let report = &self.report;
        let statistics = Statistics {
            cycles: None,
            commands: report.commands,
            matrix_steps: report.matrix_steps,
            bytes_read: Some(report.bytes_loaded + report.bytes_fetched),
            bytes_written: Some(report.bytes_stored),
            counters: Vec::new(),
            wall_seconds: start.elapsed().as_secs_f64(),
        };
        let memory = self.memory.as_slice();
        Ok(RunResult {
            outputs: image.outputs(program, memory),
            statistics,
            workspace: options.keep_workspace.then(|| memory[image.workspace.clone()].to_vec()),
        })
    }
}
