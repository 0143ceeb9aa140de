//! The machine: on-chip memories, dispatch, queues and tokens.
//!
//! Engines execute whole commands at once, when their tokens are there. Which interleaving results is up to the
//! [`Policy`]; a program with the right tokens gives the same result in all of them. A command occupies its place in the
//! queue until it is finished, so a queue never holds more than in hardware, where the command in execution may have left it.
//!
//! Dispatch executes the control commands itself, in program order. Branches make a command of the program run many times: commands
//! in queues, traces and the hazard checker are told apart by their *sequence number*, the count of commands dispatched before.

use crate::error::{Deadlock, Fault, GoldenError, QueueState};
use crate::execute::{Execution, Stop};
use crate::hazard::Hazards;
use crate::memory::Memory;
use crate::random::Random;
use crate::trace::{CommandTrace, Recorder, TraceLevel};
use frugal_isa::command::{Patch, Tokens};
use frugal_isa::register::BASE_REGISTERS;
use frugal_isa::{Command, Config, Engine, COMMAND_BYTES, MEMORY_QUANTUM};
use std::borrow::Cow;
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
    /// Commands to dispatch before a program counts as endless; [`RunOptions::MAX_COMMANDS`] without it.
    pub max_commands: Option<u64>,
    /// Called after every command with the commands finished so far.
    pub progress: Option<&'a dyn Fn(u64)>,
}

impl RunOptions<'_> {
    /// Commands that a program may dispatch unless told otherwise.
    pub const MAX_COMMANDS: u64 = 1 << 32;
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
    /// One entry for each command of the four engines, in the order of dispatch; empty at [`TraceLevel::None`].
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
    /// Words of the scalar memory; zero when a program starts.
    pub scalar: Vec<u32>,
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
            scalar: vec![0; Config::SCALARS],
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

    /// Words of the scalar memory, as the last program left them.
    pub fn scalar(&self) -> &[u32] {
        &self.chip.scalar
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
            Config::SCALARS,
            config.scale_depth(),
        ];
        let hazards = options.check_hazards.then(|| Hazards::new(depths, config.rows / config.lanes));
        self.chip.scalar.fill(0);
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
            dispatched: 0,
            adjustments: None,
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

/// A command in a queue.
struct Queued<'a> {
    /// Index in the program.
    index: usize,
    sequence: usize,
    /// Borrowed from the program, or owned if it was adjusted.
    command: Cow<'a, Command>,
}

struct Schedule<'a> {
    commands: &'a [Command],
    queue_depth: usize,
    /// Next command to dispatch.
    next: usize,
    /// Commands dispatched.
    dispatched: u64,
    /// What the last command, an `adjust`, does to the next one: patches and their scalars.
    adjustments: Option<Vec<(Patch, u32)>>,
    finished: u64,
    queues: [VecDeque<Queued<'a>>; 4],
    tokens: [[u8; 4]; 4],
    execution: Execution<'a>,
}

impl<'a> Schedule<'a> {
    fn run(mut self, options: &RunOptions<'_>) -> Result<RunReport, GoldenError> {
        let mut order = Order::new(options.policy);
        let limit = options.max_commands.unwrap_or(RunOptions::MAX_COMMANDS);
        loop {
            let Some(next) = self.commands.get(self.next) else {
                return Err(GoldenError::MissingEnd { commands: self.next });
            };
            if self.dispatched >= limit {
                return Err(GoldenError::Endless { limit, index: self.next, disassembly: next.to_string() });
            }
            let turn = match &mut order {
                Order::Program => {
                    if self.can_dispatch() {
                        Some(DISPATCH)
                    } else {
                        (0..4).filter(|e| self.ready(*e)).min_by_key(|e| self.queues[*e][0].sequence)
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
                        report.commands = self.dispatched;
                        report.bytes_fetched = self.dispatched * COMMAND_BYTES as u64;
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

    /// The engines that a command of dispatch waits for, as a mask.
    fn waits_for(command: &Command) -> u8 {
        match command {
            Command::Barrier(barrier) if barrier.engines != 0 => barrier.engines as u8 & 15,
            Command::Barrier(_) | Command::End(_) => 15,
            _ => 0,
        }
    }

    fn can_dispatch(&self) -> bool {
        let command = &self.commands[self.next];
        if self.execution.config.sequential {
            // Nothing is dispatched before the command before has finished: a token from a later one never comes.
            return self.queues.iter().all(|queue| queue.is_empty());
        }
        match command.engine() {
            Engine::Control => {
                let mask = Self::waits_for(command);
                Engine::QUEUED.iter().all(|e| mask & e.mask() == 0 || self.queues[*e as usize].is_empty())
            }
            engine => self.queues[engine as usize].len() < self.queue_depth,
        }
    }

    /// Dispatches the next command; true when it was the program's end.
    fn dispatch(&mut self) -> Result<bool, GoldenError> {
        let index = self.next;
        let commands = self.commands;
        let mut command = Cow::Borrowed(&commands[index]);
        if let Some(adjustments) = self.adjustments.take() {
            command = Cow::Owned(adjusted(&command, &adjustments).map_err(|fault| self.error(index, fault))?);
        }
        command.check_fields().map_err(|error| self.error(index, Fault::Illegal(error)))?;
        if command.needs_row_engine() && !self.execution.config.row_engine {
            let config = self.execution.config.name.clone();
            return Err(self.error(index, Fault::RowEngine { config, command: command.spec().mnemonic }));
        }
        let engine = command.engine();
        if let Some(hazards) = &mut self.execution.hazards {
            hazards.dispatch(index, engine);
        }
        let sequence = self.dispatched as usize;
        self.dispatched += 1;
        self.next += 1;
        if engine != Engine::Control {
            self.queues[engine as usize].push_back(Queued { index, sequence, command });
            return Ok(false);
        }
        self.finished += 1;
        if let Some(target) = self.control(&command).map_err(|stop| self.stopped(index, stop))? {
            if target as usize >= commands.len() {
                return Err(GoldenError::Target { index, target, commands: commands.len() });
            }
            self.next = target as usize;
        }
        Ok(matches!(*command, Command::End(_)))
    }

    /// Executes a command of dispatch; returns where a taken branch goes.
    fn control(&mut self, command: &Command) -> Result<Option<u32>, Stop> {
        match command {
            Command::Set(set) => {
                let source = if set.add { self.execution.control_scalar(set.source)? } else { 0 };
                self.execution.set_scalar(set.scalar, source.wrapping_add(set.value as u32))?;
            }
            Command::Branch(branch) => {
                let scalar = self.execution.control_scalar(branch.scalar)?;
                return Ok((scalar < branch.limit).then_some(branch.target));
            }
            Command::Adjust(adjust) => {
                let mut adjustments = Vec::new();
                for patch in adjust.patches().into_iter().filter(|patch| patch.part != 0) {
                    let scalar = self.execution.control_scalar(u32::from(patch.scalar))?;
                    adjustments.push((patch, scalar));
                }
                self.adjustments = Some(adjustments);
            }
            _ => {
                if let Some(hazards) = &mut self.execution.hazards {
                    hazards.barrier(Self::waits_for(command));
                }
            }
        }
        Ok(None)
    }

    /// Engines whose token the command at the head lacks, and engines whose token might not fit.
    fn blocked(&self, engine: usize, masks: Tokens) -> (Vec<Engine>, Vec<Engine>) {
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
        let Some(head) = self.queues[engine].front() else { return false };
        let masks = head.command.tokens();
        if masks.wait == 0 && masks.signal == 0 {
            return true;
        }
        let (missing, full) = self.blocked(engine, masks);
        missing.is_empty() && full.is_empty()
    }

    fn execute(&mut self, engine: usize) -> Result<(), GoldenError> {
        let head = self.queues[engine].pop_front();
        let Queued { index, sequence, command } = head.expect("a ready queue has a head");
        let masks = command.tokens();
        for other in 0..4 {
            self.tokens[other][engine] -= masks.wait >> other & 1;
        }
        if let Some(hazards) = &mut self.execution.hazards {
            hazards.begin(sequence, masks.wait);
        }
        let done = self.execution.command(index, sequence, &command);
        done.map_err(|stop| {
            let fault = stop.describe(self.execution.hazards.as_ref(), self.commands);
            Self::error_of(index, &command, fault)
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
        Self::error_of(index, &self.commands[index], fault)
    }

    fn error_of(index: usize, command: &Command, fault: Fault) -> GoldenError {
        GoldenError::Command { index, engine: command.engine(), disassembly: command.to_string(), fault }
    }

    fn stopped(&self, index: usize, stop: Stop) -> GoldenError {
        self.error(index, stop.describe(self.execution.hazards.as_ref(), self.commands))
    }

    fn deadlock(&self) -> Deadlock {
        let queues = Engine::QUEUED
            .into_iter()
            .map(|engine| {
                let queue = &self.queues[engine as usize];
                let head = queue.front().map(|head| (head.index, head.command.to_string()));
                let (missing, full) = queue
                    .front()
                    .map(|head| self.blocked(engine as usize, head.command.tokens()))
                    .unwrap_or_default();
                QueueState { engine, level: queue.len(), head, missing, full }
            })
            .collect();
        let next = &self.commands[self.next];
        let next_reason = match next.engine() {
            Engine::Control if Self::waits_for(next) == 15 => "waits until all engines are idle",
            Engine::Control => "waits until some engines are idle",
            _ => "its queue is full",
        };
        Deadlock {
            dispatched: self.dispatched as usize,
            commands: self.commands.len(),
            next: next.to_string(),
            next_reason,
            queues,
            tokens: self.tokens,
        }
    }
}

/// The command as an `adjust` changes it.
fn adjusted(command: &Command, adjustments: &[(Patch, u32)]) -> Result<Command, Fault> {
    if command.engine() == Engine::Control {
        return Err(Fault::AdjustedControl);
    }
    let mut words = command.encode().map_err(Fault::Unencodable)?;
    for (patch, scalar) in adjustments {
        patch.apply(*scalar, &mut words);
    }
    Command::decode(&words).map_err(Fault::Illegal)
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
