//! The machine: on-chip memories, dispatch, queues and tokens.
//!
//! Engines execute whole commands at once, when their tokens are there. Which interleaving results is up to the
//! [`Policy`]; a program with the right tokens gives the same result in all of them. A command occupies its place in the
//! queue until it is finished, so a queue never holds more than in hardware, where the command in execution may have left it.

use crate::error::{Deadlock, Fault, GoldenError, QueueState};
use crate::execute::Execution;
use crate::hazard::Hazards;
use crate::memory::Memory;
use crate::random::Random;
use crate::trace::{CommandTrace, Recorder, TraceLevel};
use frugal_isa::register::BASE_REGISTERS;
use frugal_isa::{Command, Config, Engine, COMMAND_BYTES, MEMORY_QUANTUM};
use std::collections::VecDeque;

/// Tokens in a counter from which on no command starts that would add one.
const MAX_TOKENS: u8 = 240;

/// In which order engines and dispatch take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Dispatch as far as possible, then execute the ready command that comes first in the program.
    #[default]
    ProgramOrder,
    /// Choose at random, in a way that lets engines run far ahead of each other; the same seed gives the same order.
    Random(u64),
}

/// How to run a program.
#[derive(Clone, Copy, Default)]
pub struct RunOptions<'a> {
    pub policy: Policy,
    /// Fail when two accesses to the same address are not ordered by tokens.
    pub check_hazards: bool,
    pub trace: TraceLevel,
    /// Called after every command with the commands finished so far.
    pub progress: Option<&'a dyn Fn(u64)>,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Commands dispatched, `end` included.
    pub commands: u64,
    /// Commands executed by load, matrix, vector and store.
    pub engine_commands: [u64; 4],
    /// Steps of the MAC array: what the `MATRIX_STEPS` register counts.
    pub matrix_steps: u64,
    /// Source reads of the vector unit.
    pub vector_steps: u64,
    /// Bytes that loads read.
    pub bytes_loaded: u64,
    /// Bytes that stores wrote.
    pub bytes_stored: u64,
    /// Bytes of the commands themselves.
    pub bytes_fetched: u64,
    /// Tokens, by sender and receiver, that nobody took.
    pub tokens_left: [[u8; 4]; 4],
    /// One entry for each command of the four engines, in program order; empty at [`TraceLevel::None`].
    pub trace: Vec<CommandTrace>,
}

/// On-chip memories of one accelerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chip {
    /// `rows` bytes a vector.
    pub activation: Vec<u8>,
    /// `rows * cols` bytes a tile.
    pub weight: Vec<u8>,
    /// Three times `lanes` words a group, little endian.
    pub parameter: Vec<u8>,
    /// `lanes` values a row.
    pub accumulator: Vec<i32>,
    /// Entries of all tables.
    pub table: Vec<i8>,
    /// For 4-bit weights: two scales a column and row, those of the low weights first.
    pub scale: Vec<u8>,
    /// For each step of a depthwise reduction, the vectors of the results before: the latest first.
    pub history: Vec<u8>,
}

/// A simulated accelerator; its memories keep their contents from one program to the next.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    chip: Chip,
}

impl Machine {
    /// An accelerator whose memories are zero.
    pub fn new(config: &Config) -> Result<Machine, GoldenError> {
        config.validate()?;
        let chip = Chip {
            activation: vec![0; config.activation_bytes()],
            weight: vec![0; config.weight_bytes()],
            parameter: vec![0; config.parameter_depth * config.parameter_group_bytes()],
            accumulator: vec![0; config.accumulator_depth * config.lanes],
            table: vec![0; config.tables * Config::TABLE_BYTES],
            scale: vec![0; config.scale_depth() * config.scale_row_bytes()],
            history: vec![0; Config::DEPTHWISE_STEPS * (config.depthwise_taps - 1) * config.rows],
        };
        Ok(Machine { config: config.clone(), chip })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All bytes of the activation scratchpad.
    pub fn activation(&self) -> &[u8] {
        &self.chip.activation
    }

    /// All bytes of the activation scratchpad, to preset for a test.
    pub fn activation_mut(&mut self) -> &mut [u8] {
        &mut self.chip.activation
    }

    /// All bytes of the weight scratchpad.
    pub fn weight(&self) -> &[u8] {
        &self.chip.weight
    }

    /// All bytes of the weight scratchpad, to preset for a test.
    pub fn weight_mut(&mut self) -> &mut [u8] {
        &mut self.chip.weight
    }

    /// All bytes of the parameter memory.
    pub fn parameter(&self) -> &[u8] {
        &self.chip.parameter
    }

    /// All bytes of the parameter memory, to preset for a test.
    pub fn parameter_mut(&mut self) -> &mut [u8] {
        &mut self.chip.parameter
    }

    /// All values of the accumulator memory.
    pub fn accumulator(&self) -> &[i32] {
        &self.chip.accumulator
    }

    /// All values of the accumulator memory, to preset for a test.
    pub fn accumulator_mut(&mut self) -> &mut [i32] {
        &mut self.chip.accumulator
    }

    /// Entries of all tables of the vector unit, [`Config::TABLE_BYTES`] each.
    pub fn table(&self) -> &[i8] {
        &self.chip.table
    }

    /// Entries of all tables, to preset for a test.
    pub fn table_mut(&mut self) -> &mut [i8] {
        &mut self.chip.table
    }

    /// All group scales, [`Config::scale_row_bytes`] a row.
    pub fn scale(&self) -> &[u8] {
        &self.chip.scale
    }

    /// All group scales, to preset for a test.
    pub fn scale_mut(&mut self) -> &mut [u8] {
        &mut self.chip.scale
    }

    /// Runs a program with the default options.
    pub fn run(
        &mut self,
        commands: &[Command],
        memory: &mut Memory,
        bases: [u32; BASE_REGISTERS],
    ) -> Result<RunReport, GoldenError> {
        self.run_with(commands, memory, bases, &RunOptions::default())
    }

    /// Runs a program. After an error the memories hold what had been written until then.
    pub fn run_with(
        &mut self,
        commands: &[Command],
        memory: &mut Memory,
        bases: [u32; BASE_REGISTERS],
        options: &RunOptions<'_>,
    ) -> Result<RunReport, GoldenError> {
        if let Some((register, &value)) =
            bases.iter().enumerate().find(|(_, base)| *base % MEMORY_QUANTUM != 0)
        {
            return Err(GoldenError::MisalignedBase { register, value });
        }
        let config = &self.config;
        let depths = [
            config.activation_depth,
            config.weight_depth,
            config.parameter_depth,
            config.accumulator_depth,
            config.tables,
            config.scale_depth(),
        ];
        let hazards =
            options.check_hazards.then(|| Hazards::new(commands, depths, config.rows / config.lanes));
        let execution = Execution {
            config,
            chip: &mut self.chip,
            memory,
            bases,
            hazards,
            recorder: Recorder::new(options.trace),
            report: RunReport::default(),
        };
        Schedule {
            commands,
            queue_depth: config.queue_depth,
            next: 0,
            finished: 0,
            queues: Default::default(),
            tokens: [[0; 4]; 4],
            execution,
        }
        .run(options)
    }
}

/// Who takes a turn: an engine, or dispatch.
const DISPATCH: usize = 4;

struct Schedule<'a> {
    commands: &'a [Command],
    queue_depth: usize,
    /// Next command to dispatch.
    next: usize,
    finished: u64,
    queues: [VecDeque<usize>; 4],
    tokens: [[u8; 4]; 4],
    execution: Execution<'a>,
}

impl Schedule<'_> {
    fn run(mut self, options: &RunOptions<'_>) -> Result<RunReport, GoldenError> {
        let mut order = Order::new(options.policy);
        loop {
            if self.next == self.commands.len() {
                return Err(GoldenError::MissingEnd { commands: self.next });
            }
            let turn = match &mut order {
                Order::Program => {
                    if self.can_dispatch() {
                        Some(DISPATCH)
                    } else {
                        (0..4).filter(|e| self.ready(*e)).min_by_key(|e| self.queues[*e][0])
                    }
                }
                Order::Random { .. } => order.turns().into_iter().find(|turn| match *turn {
                    DISPATCH => self.can_dispatch(),
                    engine => self.ready(engine),
                }),
            };
            match turn {
                None => return Err(GoldenError::Deadlock(Box::new(self.deadlock()))),
                Some(DISPATCH) => {
                    let finished = self.finished;
                    let end = self.dispatch()?;
                    if let Some(progress) = options.progress.filter(|_| self.finished != finished) {
                        progress(self.finished);
                    }
                    if end {
                        let mut report = self.execution.report;
                        report.commands = self.next as u64;
                        report.bytes_fetched = (self.next * COMMAND_BYTES) as u64;
                        report.tokens_left = self.tokens;
                        report.trace = self.execution.recorder.finish();
                        return Ok(report);
                    }
                }
                Some(engine) => {
                    self.execute(engine)?;
                    if let Some(progress) = options.progress {
                        progress(self.finished);
                    }
                }
            }
        }
    }

    fn idle(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    fn can_dispatch(&self) -> bool {
        match self.commands[self.next].engine() {
            Engine::Control => self.idle(),
            engine => self.queues[engine as usize].len() < self.queue_depth,
        }
    }

    /// Dispatches the next command; true when it was the program's end.
    fn dispatch(&mut self) -> Result<bool, GoldenError> {
        let index = self.next;
        let command = &self.commands[index];
        command.check_fields().map_err(|error| self.error(index, Fault::Illegal(error)))?;
        self.next += 1;
        match command.engine() {
            Engine::Control => {
                self.finished += 1;
                if let Some(hazards) = &mut self.execution.hazards {
                    hazards.barrier(index);
                }
            }
            engine => self.queues[engine as usize].push_back(index),
        }
        Ok(matches!(command, Command::End(_)))
    }

    /// Engines whose token the command at the head lacks, and engines whose token might not fit.
    fn blocked(&self, engine: usize, index: usize) -> (Vec<Engine>, Vec<Engine>) {
        let masks = self.commands[index].tokens();
        let taken = |e: Engine| masks.wait & e.mask() != 0;
        let missing = Engine::QUEUED
            .into_iter()
            .filter(|from| taken(*from) && self.tokens[*from as usize][engine] == 0)
            .collect();
        let full = Engine::QUEUED
            .into_iter()
            .filter(|to| masks.signal & to.mask() != 0 && self.tokens[engine][*to as usize] >= MAX_TOKENS)
            .collect();
        (missing, full)
    }

    fn ready(&self, engine: usize) -> bool {
        let Some(index) = self.queues[engine].front() else { return false };
        let masks = self.commands[*index].tokens();
        if masks.wait == 0 && masks.signal == 0 {
            return true;
        }
        let (missing, full) = self.blocked(engine, *index);
        missing.is_empty() && full.is_empty()
    }

    fn execute(&mut self, engine: usize) -> Result<(), GoldenError> {
        let index = self.queues[engine].pop_front().expect("a ready queue has a head");
        let command = &self.commands[index];
        let masks = command.tokens();
        for other in 0..4 {
            self.tokens[other][engine] -= masks.wait >> other & 1;
        }
        if let Some(hazards) = &mut self.execution.hazards {
            hazards.begin(index, masks.wait);
        }
        self.execution.command(index, command).map_err(|stop| {
            let fault = stop.describe(self.commands);
            self.error(index, fault)
        })?;
        if let Some(hazards) = &mut self.execution.hazards {
            hazards.finish(masks.signal);
        }
        for other in 0..4 {
            self.tokens[engine][other] += masks.signal >> other & 1;
        }
        self.execution.report.engine_commands[engine] += 1;
        self.finished += 1;
        Ok(())
    }

    fn error(&self, index: usize, fault: Fault) -> GoldenError {
        let command = &self.commands[index];
        GoldenError::Command { index, engine: command.engine(), disassembly: command.to_string(), fault }
    }

    fn deadlock(&self) -> Deadlock {
        let queues = Engine::QUEUED
            .into_iter()
            .map(|engine| {
                let queue = &self.queues[engine as usize];
                let head = queue.front().map(|index| (*index, self.commands[*index].to_string()));
                let (missing, full) =
                    queue.front().map(|index| self.blocked(engine as usize, *index)).unwrap_or_default();
                QueueState { engine, level: queue.len(), head, missing, full }
            })
            .collect();
        let next = &self.commands[self.next];
        let next_reason = match next.engine() {
            Engine::Control => "waits until all engines are idle",
            _ => "its queue is full",
        };
        Deadlock {
            dispatched: self.next,
            commands: self.commands.len(),
            next: next.to_string(),
            next_reason,
            queues,
            tokens: self.tokens,
        }
    }
}

enum Order {
    Program,
    Random { random: Random, turns: [usize; 5] },
}

impl Order {
    fn new(policy: Policy) -> Order {
        match policy {
            Policy::ProgramOrder => Order::Program,
            Policy::Random(seed) => {
                Order::Random { random: Random::new(seed), turns: [0, 1, 2, 3, DISPATCH] }
            }
        }
    }

    /// Who is asked first, second, ...: kept for a while, so that a favoured engine runs ahead, then shuffled.
    fn turns(&mut self) -> [usize; 5] {
        match self {
            Order::Program => [DISPATCH, 0, 1, 2, 3],
            Order::Random { random, turns } => {
                if random.below(4) == 0 {
                    for last in (1..turns.len()).rev() {
                        turns.swap(last, random.below(last + 1));
                    }
                }
                *turns
            }
        }
    }
}
