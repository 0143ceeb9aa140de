//! What happened in a run: the input of everything else in this crate.
//!
//! Cycles are counted from the start of the program: cycle 0 is the first, `Run::cycles` is the number of all of them. An
//! interval from `start` to `finish` holds the cycles `start..finish`, so its length is `finish - start`.

use frugal_isa::{Config, ConfigError};
use serde::Serialize;
use std::ops::Range;
use thiserror::Error;

/// A recorded run of one program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Name of the model.
    pub model: String,
    /// The accelerator.
    pub config: Config,
    /// Cycles from start to done.
    pub cycles: u64,
    pub source: Source,
    /// The layers of the program, in its order.
    pub layers: Vec<LayerFacts>,
    /// Every executed command that belongs to an engine, in program order. Barriers and ends are not among them.
    pub commands: Vec<CommandSpan>,
    /// Hardware performance counters, in the order in which they are shown; may be empty.
    pub counters: Vec<Counter>,
    pub bus: BusFacts,
    /// What lay where in the on-chip memories; may be empty.
    pub occupancy: Vec<OccupancyInterval>,
}

/// Where the cycles come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Counted on the simulated hardware.
    Measured,
    /// Computed by the compiler's cycle model.
    Estimated,
}

/// A layer of the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LayerFacts {
    /// Such as `op03_ADD`.
    pub name: String,
    /// What the layer computes, for people: `convolution 3 x 3`. May be empty.
    pub operator: String,
    /// Multiply-accumulates that the layer's definition asks for.
    pub macs: u64,
    /// Cycles that the cycle model charges to the layer: [`Attribution::layers`](crate::Attribution::layers) of an estimated
    /// run of the same program.
    pub estimated_cycles: Option<u64>,
}

/// The engines that run side by side, each with its own queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    Load = 0,
    Matrix = 1,
    Vector = 2,
    Store = 3,
}

impl Engine {
    /// All of them, in the order of the token masks.
    pub const ALL: [Engine; 4] = [Engine::Load, Engine::Matrix, Engine::Vector, Engine::Store];

    pub fn name(self) -> &'static str {
        match self {
            Engine::Load => "load",
            Engine::Matrix => "matrix",
            Engine::Vector => "vector",
            Engine::Store => "store",
        }
    }

    /// The engine of a command; `None` for those that the control executes itself.
    pub fn of(engine: frugal_isa::Engine) -> Option<Engine> {
        match engine {
            frugal_isa::Engine::Load => Some(Engine::Load),
            frugal_isa::Engine::Matrix => Some(Engine::Matrix),
            frugal_isa::Engine::Vector => Some(Engine::Vector),
            frugal_isa::Engine::Store => Some(Engine::Store),
            frugal_isa::Engine::Control => None,
        }
    }
}

/// One executed command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandSpan {
    /// Place in the program, barriers and ends counted.
    pub index: usize,
    pub engine: Engine,
    /// Index into [`Run::layers`].
    pub layer: usize,
    /// The command for people, as the disassembler shows it. May be empty.
    pub label: String,
    /// Cycle in which it entered its engine's queue, where that is known.
    pub dispatched: Option<u64>,
    /// Cycle in which its engine took it from the queue and began.
    pub start: u64,
    /// First cycle in which its last result is visible. The next command of the same engine may start before.
    pub finish: u64,
    /// Matrix: cycles in which a step was issued to the MAC array, at most `finish - start`. Others: 0.
    pub issued: u64,
    /// Multiply-accumulates, as far as they are known for a single command.
    pub macs: u64,
    /// Load and store: bytes moved over the memory bus.
    pub bytes: u64,
    /// Load: the memory written. Store: the memory read. Others: `None`.
    pub memory: Option<OnChip>,
    /// Matrix and vector: iterations of the loop nest. Load and store: rows.
    pub steps: u64,
    /// For each engine in the order of [`Engine::ALL`], cycles that the command spent at the head of its queue, ready but for a token
    /// of that engine.
    pub waited_for: [u64; 4],
}

/// A memory of the accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnChip {
    Activation,
    Weight,
    Parameter,
    Accumulator,
}

impl OnChip {
    pub const ALL: [OnChip; 4] = [OnChip::Activation, OnChip::Weight, OnChip::Parameter, OnChip::Accumulator];

    pub fn name(self) -> &'static str {
        match self {
            OnChip::Activation => "activation scratchpad",
            OnChip::Weight => "weight scratchpad",
            OnChip::Parameter => "parameter memory",
            OnChip::Accumulator => "accumulator memory",
        }
    }

    /// What one address holds.
    pub fn unit(self) -> &'static str {
        match self {
            OnChip::Activation => "vectors",
            OnChip::Weight => "tiles",
            OnChip::Parameter => "groups",
            OnChip::Accumulator => "rows",
        }
    }

    /// Addresses.
    pub fn depth(self, config: &Config) -> usize {
        match self {
            OnChip::Activation => config.activation_depth,
            OnChip::Weight => config.weight_depth,
            OnChip::Parameter => config.parameter_depth,
            OnChip::Accumulator => config.accumulator_depth,
        }
    }

    /// Bytes of one address.
    pub fn address_bytes(self, config: &Config) -> usize {
        match self {
            OnChip::Activation => config.rows,
            OnChip::Weight => config.tile_bytes(),
            OnChip::Parameter => config.parameter_group_bytes(),
            OnChip::Accumulator => 4 * config.lanes,
        }
    }
}

/// A hardware performance counter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counter {
    pub name: String,
    pub value: u64,
    /// One line for people. When empty, the description of the register of that name is shown.
    pub meaning: String,
}

/// The memory behind the bus.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BusFacts {
    /// Cycles from a request to its first answer, as the memory was set.
    pub latency_cycles: u64,
    /// Bytes read in all: loads and command fetches.
    pub bytes_read: u64,
    /// Bytes written in all.
    pub bytes_written: u64,
}

/// A tensor, a part of one, or a block of weights that kept some addresses of a memory in use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OccupancyInterval {
    pub name: String,
    pub memory: OnChip,
    /// Vectors, tiles, groups or rows.
    pub addresses: Range<u32>,
    /// First cycle.
    pub from: u64,
    /// First cycle in which they are free again.
    pub to: u64,
}

/// A run that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("command {index}: it finishes in cycle {finish}, before its start in cycle {start}")]
    Backwards { index: usize, start: u64, finish: u64 },
    #[error("command {index}: it finishes in cycle {finish}, the run has {cycles} cycles")]
    AfterTheEnd { index: usize, finish: u64, cycles: u64 },
    #[error("command {index}: it was dispatched in cycle {dispatched}, after its start in cycle {start}")]
    Dispatched { index: usize, dispatched: u64, start: u64 },
    #[error("command {index}: layer {layer}, the run has {layers} layers")]
    Layer { index: usize, layer: usize, layers: usize },
    #[error("command {index} follows command {previous}; commands are listed in program order")]
    ProgramOrder { index: usize, previous: usize },
    #[error("command {index} of the {engine} engine starts before command {previous}, which is ahead of it in the queue")]
    EngineOrder { index: usize, previous: usize, engine: &'static str },
    #[error(
        "command {index}: {issued} steps were issued in {cycles} cycles; at most one is issued in a cycle"
    )]
    Issued { index: usize, issued: u64, cycles: u64 },
    #[error("command {index}: a {engine} command issues no steps to the MAC array, {issued} are recorded")]
    IssuedElsewhere { index: usize, issued: u64, engine: &'static str },
    #[error("'{name}' is in the {memory} from cycle {from} to cycle {to} of {cycles}")]
    OccupancyTime { name: String, memory: &'static str, from: u64, to: u64, cycles: u64 },
    #[error("'{name}' is at {start} to {end} in the {memory}, which holds {depth}")]
    OccupancyAddress { name: String, memory: &'static str, start: u32, end: u32, depth: usize },
}

impl Run {
    /// Checks what the parts say of one another. Everything in this crate that takes a run does so first.
    pub fn validate(&self) -> Result<(), RunError> {
        self.config.validate()?;
        let mut previous: Option<&CommandSpan> = None;
        let mut latest: [Option<&CommandSpan>; 4] = [None; 4];
        for command in &self.commands {
            self.check_command(command)?;
            if let Some(previous) = previous.filter(|p| p.index >= command.index) {
                return Err(RunError::ProgramOrder { index: command.index, previous: previous.index });
            }
            previous = Some(command);
            let latest = &mut latest[command.engine as usize];
            if let Some(previous) = latest.filter(|p| p.start > command.start) {
                return Err(RunError::EngineOrder {
                    index: command.index,
                    previous: previous.index,
                    engine: command.engine.name(),
                });
            }
            *latest = Some(command);
        }
        self.occupancy.iter().try_for_each(|interval| self.check_occupancy(interval))
    }

    fn check_command(&self, command: &CommandSpan) -> Result<(), RunError> {
        let CommandSpan { index, engine, layer, dispatched, start, finish, issued, .. } = *command;
        if finish < start {
            return Err(RunError::Backwards { index, start, finish });
        }
        if finish > self.cycles {
            return Err(RunError::AfterTheEnd { index, finish, cycles: self.cycles });
        }
        if let Some(dispatched) = dispatched.filter(|dispatched| *dispatched > start) {
            return Err(RunError::Dispatched { index, dispatched, start });
        }
        if layer >= self.layers.len() {
            return Err(RunError::Layer { index, layer, layers: self.layers.len() });
        }
        if engine != Engine::Matrix && issued != 0 {
            return Err(RunError::IssuedElsewhere { index, issued, engine: engine.name() });
        }
        if issued > finish - start {
            return Err(RunError::Issued { index, issued, cycles: finish - start });
        }
        Ok(())
    }

    fn check_occupancy(&self, interval: &OccupancyInterval) -> Result<(), RunError> {
        let OccupancyInterval { memory, from, to, .. } = *interval;
        let Range { start, end } = interval.addresses;
        let name = || interval.name.clone();
        if from > to || to > self.cycles {
            let cycles = self.cycles;
            return Err(RunError::OccupancyTime { name: name(), memory: memory.name(), from, to, cycles });
        }
        let depth = memory.depth(&self.config);
        if start > end || end as usize > depth {
            return Err(RunError::OccupancyAddress {
                name: name(),
                memory: memory.name(),
                start,
                end,
                depth,
            });
        }
        Ok(())
    }

    /// Multiply-accumulates of all layers.
    pub fn macs(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.macs))
    }

    /// Cycles in which the engine has a command at work.
    pub fn busy(&self, engine: Engine) -> u64 {
        let mut until = 0;
        let mut cycles = 0;
        for command in self.commands.iter().filter(|c| c.engine == engine) {
            cycles += command.finish.saturating_sub(command.start.max(until));
            until = until.max(command.finish);
        }
        cycles
    }

    /// Share of what the MAC array could have done in these cycles, 0.0 to 1.0 for a run that makes sense.
    pub fn utilisation(&self) -> f64 {
        utilisation(self.macs(), self.cycles, &self.config)
    }
}

/// Multiply-accumulates as a share of what the MAC array could do in these cycles; 0 when there are none.
pub(crate) fn utilisation(macs: u64, cycles: u64, config: &Config) -> f64 {
    if cycles == 0 {
        return 0.0;
    }
    macs as f64 / (cycles as f64 * config.peak() as f64)
}
