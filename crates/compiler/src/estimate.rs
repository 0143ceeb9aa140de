//! An estimate of cycles without hardware: engines, queues and tokens as events, transfers and pipelines as constants.
//!
//! It serves two purposes: the pass *order* asks when each command could start, and people ask how good a schedule is.

use crate::unroll::dispatched;
use frugal_isa::command::{layout, row_reduce, space};
use frugal_isa::{Command, Config, Engine, Program, COMMAND_BYTES};

/// Commands that are fetched before the first load can ask for anything.
const FETCH_AHEAD: usize = 4;

/// Constants of the model, in cycles.
#[derive(Clone, Debug, PartialEq)]
pub struct CostModel {
    /// From the start of the program until the first command is dispatched.
    pub first_fetch: f64,
    /// From one dispatch to the next beyond the beats that the command takes on the bus.
    pub fetch_overhead: f64,
    /// Share of the bus that command fetch has while a load could use all of it.
    pub fetch_share: f64,
    /// From the start of a load to its first byte.
    pub load_latency: f64,
    /// From the start of a store to its first byte, and from its last to the answer.
    pub store_latency: f64,
    /// From the last step of a matrix command to its last result.
    pub matrix_drain: f64,
    /// From the last read of a vector command to its last result.
    pub vector_drain: f64,
    /// From the last read of a move to its last write.
    pub move_drain: f64,
    /// From the last term of a row command to its last value, and from there to a reduction's scalar.
    pub row_drain: f64,
    pub row_reduction: f64,
    /// Cycles that an engine loses between two commands.
    pub command_overhead: f64,
}

impl Default for CostModel {
    fn default() -> CostModel {
        CostModel {
            first_fetch: 26.0,
            fetch_overhead: 4.0,
            fetch_share: 0.2,
            load_latency: 25.0,
            store_latency: 25.0,
            matrix_drain: 15.0,
            vector_drain: 16.0,
            move_drain: 6.0,
            row_drain: 20.0,
            row_reduction: 11.0,
            command_overhead: 3.0,
        }
    }
}

/// What a program costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    pub cycles: u64,
    /// Cycles in which load, matrix, vector and store are at work.
    pub busy: [u64; 4],
    /// For each command, the cycle in which it starts.
    pub starts: Vec<f64>,
    /// For each command, the cycle in which its results are there.
    pub ends: Vec<f64>,
    /// No engine can go on: the program deadlocks.
    pub stuck: bool,
}

impl Estimate {
    /// Share of the peak that the layers' own multiply-accumulates reach.
    pub fn utilisation(&self, program: &Program) -> f64 {
        program.macs() as f64 / (self.cycles.max(1) as f64 * program.config.peak() as f64)
    }
}

/// One command as the model sees it.
struct Work {
    engine: Engine,
    /// Cycles before work begins.
    latency: f64,
    /// Cycles of work at full rate.
    cycles: f64,
    /// Cycles from the end of the work to the result.
    drain: f64,
    /// Share of the output stage that it takes at full rate.
    lanes: f64,
}

fn work(command: &Command, config: &Config, model: &CostModel) -> Work {
    let engine = command.engine();
    let bus = config.bus_bytes();
    let base = Work { engine, latency: model.command_overhead, cycles: 0.0, drain: 0.0, lanes: 0.0 };
    match command {
        Command::Load(load) => {
            let rate = match (load.space, load.layout) {
                (space::ACTIVATION, _) => config.rows.min(bus),
                (space::WEIGHT, layout::ROW) => config.cols.min(bus),
                (space::WEIGHT, layout::SCALES) => config.scale_row_bytes().min(bus),
                _ => bus,
            };
            let cycles = f64::from(load.rows) * f64::from(load.row_bytes.div_ceil(rate as u32));
            Work { latency: model.load_latency, cycles, ..base }
        }
        Command::Store(store) => {
            let rate = match store.space {
                space::ACTIVATION => config.rows.min(bus),
                _ => bus,
            };
            let cycles = f64::from(store.rows) * f64::from(store.row_bytes.div_ceil(rate as u32));
            Work { latency: model.store_latency / 2.0, drain: model.store_latency / 2.0, cycles, ..base }
        }
        Command::Matrix(m) => {
            let channels = match (m.depthwise, m.four_bit) {
                (true, _) => config.rows,
                (false, true) => 2 * config.cols,
                (false, false) => config.cols,
            };
            let groups = (channels / config.lanes) as f64;
            let steps = f64::from(m.kernel_y) * f64::from(m.kernel_x) * f64::from(m.channels);
            let rows = f64::from(m.tiles) * f64::from(m.outputs_y);
            let kept = f64::from(m.outputs_x - m.skip) * steps.max(groups);
            let dropped = f64::from(m.skip) * steps.max(if m.depthwise { 2.0 } else { groups });
            let lanes = groups / steps.max(groups);
            Work { cycles: rows * (kept + dropped), drain: model.matrix_drain, lanes, ..base }
        }
        Command::Vector(v) => {
            let window = f64::from(v.kernel_y) * f64::from(v.kernel_x);
            let results = f64::from(v.groups) * f64::from(v.outputs_y) * f64::from(v.outputs_x);
            Work { cycles: results * window, drain: model.vector_drain, lanes: 1.0 / window, ..base }
        }
        Command::Move(m) => {
            let cycles = f64::from(m.outputs_y) * (f64::from(m.outputs_x) + 1.0);
            // Results keep a move from their bank: about as they keep other vector work from the lanes.
            Work { cycles, drain: model.move_drain, lanes: 1.0, ..base }
        }
        Command::Row(r) => {
            let terms = f64::from(r.groups) * f64::from(r.taps) * f64::from(r.rows_y) * f64::from(r.rows_x);
            let reads = if r.operand { 2.0 } else { 1.0 };
            let reduction = if r.reduce == row_reduce::NONE { 0.0 } else { model.row_reduction };
            Work { cycles: terms * reads, drain: model.row_drain + reduction, lanes: 1.0 / reads, ..base }
        }
        Command::Barrier(_) | Command::End(_) | Command::Adjust(_) | Command::Set(_) | Command::Branch(_) => {
            base
        }
    }
}

#[derive(Clone, Copy)]
struct Running {
    command: usize,
    latency: f64,
    cycles: f64,
}

/// How commands reach the queues.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dispatch {
    /// All are there from the beginning, and an engine takes the first of the next so many that can start.
    Immediate { window: usize },
    /// Fetched one after another into queues of limited depth, executed in order.
    Queues,
}

/// What dispatch does before a command, beyond fetching it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Control {
    /// Cycles of control commands and patches.
    cycles: f64,
    /// What was fetched is dropped, and the command is fetched with the whole latency of memory.
    follows_branch: bool,
}

/// What a command waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Commands whose results must be there.
    pub finished: Vec<u32>,
    /// Commands that must have started: earlier ones of the same engine.
    pub started: Vec<u32>,
}

/// Cycles of parts of the microprogram, see [`sequential_cycles`].
mod sequential {
    /// An access of the bus.
    pub const BUS: f64 = 24.0;
    /// A result, before its first tap.
    pub const RESULT: f64 = 60.0;
    pub const TAP: f64 = 63.0;
    pub const STEP: f64 = 10.0;
    pub const DEPTHWISE_STEP: f64 = 1060.0;
    /// A channel of a result: requantised and written.
    pub const CHANNEL: f64 = 218.0;
    /// A lane of a vector command's result, and an element of its window.
    pub const LANE: f64 = 235.0;
    pub const ELEMENT: f64 = 60.0;
    pub const MOVED_BYTE: f64 = 70.0;
}

/// Cycles that a sequential core takes from one command to the next: its instructions are counted in the microprogram
/// (`hdl/src/sequential/microprogram.txt`), two cycles each, and the constants are rounded to what whole networks were measured to take.
fn sequential_cycles(command: &Command) -> f64 {
    use sequential::*;
    let work = match command {
        Command::Load(load) => {
            let words = f64::from(load.rows) * f64::from(load.row_bytes / 4);
            let word = match (load.space, load.layout) {
                (space::WEIGHT, layout::ROW) => 60.0,
                (space::WEIGHT, layout::COLUMN) => 24.0,
                _ => 18.0,
            };
            100.0 + f64::from(load.rows) * 70.0 + words * (word + BUS)
        }
        Command::Store(store) => {
            let words = f64::from(store.rows) * f64::from(store.row_bytes / 4);
            100.0 + f64::from(store.rows) * 70.0 + words * (18.0 + BUS)
        }
        Command::Matrix(m) => {
            let (rows, taps) = (f64::from(m.kernel_y), f64::from(m.kernel_y) * f64::from(m.kernel_x));
            let step = if m.depthwise { DEPTHWISE_STEP } else { STEP };
            let sums = RESULT + rows * 40.0 + taps * (TAP + step * f64::from(m.channels));
            let channels = if m.depthwise { 8.0 } else { 4.0 };
            let channel = if m.to_accumulator && !m.rescale { 90.0 } else { CHANNEL };
            let kept = f64::from(m.outputs_x - m.skip) * (60.0 + channels * channel);
            f64::from(m.tiles) * f64::from(m.outputs_y) * (60.0 + f64::from(m.outputs_x) * sums + kept)
        }
        Command::Vector(v) => {
            let results = f64::from(v.groups) * f64::from(v.outputs_y) * f64::from(v.outputs_x);
            let window = f64::from(v.kernel_y) * (30.0 + f64::from(v.kernel_x) * ELEMENT);
            let source = if v.source == 1 { 12.0 } else { window };
            160.0 + results * 2.0 * (LANE + source)
        }
        Command::Move(m) => {
            let segments = f64::from(m.outputs_y) * f64::from(m.outputs_x);
            100.0 + segments * (60.0 + f64::from(m.bytes) * MOVED_BYTE)
        }
        _ => 0.0,
    };
    // Each of the sixteen words of a command is an access of its own.
    16.0 * (12.0 + BUS) + 40.0 + work
}

/// Commands one after another, on a core that knows no other way.
fn in_sequence(commands: &[&Command]) -> Estimate {
    let mut estimate = Estimate::default();
    let mut now = 0.0;
    for command in commands {
        estimate.starts.push(now);
        let cycles = sequential_cycles(command);
        now += cycles;
        estimate.ends.push(now);
        if let Some(busy) = estimate.busy.get_mut(command.engine() as usize) {
            *busy += cycles.round() as u64;
        }
    }
    estimate.cycles = now.ceil() as u64;
    estimate
}

/// Simulates commands of which each starts when its needs are met.
pub(crate) fn simulate(
    commands: &[&Command],
    needs: &[Needs],
    config: &Config,
    model: &CostModel,
    dispatch: Dispatch,
    control: &[Control],
) -> Estimate {
    if config.sequential && dispatch == Dispatch::Queues {
        return in_sequence(commands);
    }
    let works: Vec<Work> = commands.iter().map(|c| work(c, config, model)).collect();
    let mut estimate = Estimate {
        starts: vec![f64::INFINITY; works.len()],
        ends: vec![f64::INFINITY; works.len()],
        ..Estimate::default()
    };
    let command_beats = (COMMAND_BYTES / config.bus_bytes()) as f64;
    let transfers = |running: &[Option<Running>; 4]| matches!(running[Engine::Load as usize], Some(r) if r.latency <= 0.0);
    let window = match dispatch {
        Dispatch::Immediate { window } => window,
        Dispatch::Queues => 1,
    };
    let mut busy = [0.0; 4];
    let mut queues: [std::collections::VecDeque<usize>; 4] = Default::default();
    let mut running: [Option<Running>; 4] = [None; 4];
    let mut next = 0;
    let mut fetched = if dispatch == Dispatch::Queues { model.first_fetch } else { 0.0 };
    let mut now = 0.0f64;
    let mut last_end = 0.0f64;
    // Results under way: the times at which somebody may become ready.
    let mut pending: Vec<f64> = Vec::new();
    loop {
        // Dispatch.
        while next < works.len() && now >= fetched {
            let engine = works[next].engine;
            if engine == Engine::Control {
                let idle = queues.iter().all(|q| q.is_empty()) && running.iter().all(Option::is_none);
                if !idle || last_end > now {
                    break;
                }
                estimate.starts[next] = now;
                estimate.ends[next] = now;
            } else {
                if dispatch == Dispatch::Queues && queues[engine as usize].len() >= config.queue_depth {
                    break;
                }
                queues[engine as usize].push_back(next);
            }
            next += 1;
            if dispatch == Dispatch::Queues {
                let fetch = if engine == Engine::Control {
                    0.0
                } else if next > FETCH_AHEAD && transfers(&running) {
                    command_beats / model.fetch_share
                } else {
                    model.fetch_overhead + command_beats
                };
                let before = control.get(next).copied().unwrap_or_default();
                let again = if before.follows_branch { model.first_fetch } else { 0.0 };
                fetched = fetched.max(now) + fetch + before.cycles + again;
            }
        }
        // Start.
        for engine in 0..4 {
            if running[engine].is_none() {
                let ready = |command: &usize| {
                    let needs = &needs[*command];
                    needs.finished.iter().all(|d| estimate.ends[*d as usize] <= now)
                        && needs.started.iter().all(|d| estimate.starts[*d as usize] <= now)
                };
                if let Some(place) = queues[engine].iter().take(window).position(ready) {
                    let command = queues[engine].remove(place).expect("the place is in the queue");
                    let work = &works[command];
                    estimate.starts[command] = now;
                    running[engine] = Some(Running { command, latency: work.latency, cycles: work.cycles });
                }
            }
        }
        // Rates until the next event.
        let matrix_lanes = match running[Engine::Matrix as usize] {
            Some(r) if r.latency <= 0.0 => works[r.command].lanes,
            _ => 0.0,
        };
        let fetches =
            dispatch == Dispatch::Queues && (FETCH_AHEAD + 1..works.len()).contains(&next) && fetched > now;
        let rate = |engine: usize, r: &Running| -> f64 {
            if engine == Engine::Load as usize && fetches {
                1.0 - model.fetch_share
            } else if engine == Engine::Vector as usize {
                ((1.0 - matrix_lanes) / works[r.command].lanes.max(1e-9)).clamp(0.02, 1.0)
            } else {
                1.0
            }
        };
        let mut step = f64::INFINITY;
        for (engine, r) in running.iter().enumerate() {
            if let Some(r) = r {
                step = step.min(if r.latency > 0.0 { r.latency } else { r.cycles / rate(engine, r) });
            }
        }
        if next < works.len() && fetched > now {
            step = step.min(fetched - now);
        }
        pending.retain(|t| *t > now);
        for t in &pending {
            step = step.min(t - now);
        }
        if !step.is_finite() {
            estimate.stuck = next < works.len() || queues.iter().any(|q| !q.is_empty());
            break;
        }
        // Advance.
        now += step;
        for engine in 0..4 {
            if let Some(mut r) = running[engine] {
                busy[engine] += step;
                if r.latency > 0.0 {
                    r.latency -= step;
                    if r.latency < 1e-9 {
                        r.latency = 0.0;
                    }
                } else {
                    r.cycles -= step * rate(engine, &r);
                }
                if r.latency <= 0.0 && r.cycles <= 1e-6 {
                    let end = now + works[r.command].drain;
                    estimate.ends[r.command] = end;
                    last_end = last_end.max(end);
                    pending.push(end);
                    running[engine] = None;
                } else {
                    running[engine] = Some(r);
                }
            }
        }
    }
    estimate.cycles = now.ceil() as u64;
    estimate.busy = busy.map(|cycles| cycles.round() as u64);
    estimate
}

/// For each command, the commands whose tokens it takes: the n-th token taken from a counter is the n-th sent.
/// `None` when a token is taken that nobody sends.
pub(crate) fn token_needs(commands: &[Command]) -> Option<Vec<Needs>> {
    let mut sent: [[std::collections::VecDeque<u32>; 4]; 4] = Default::default();
    for (index, command) in commands.iter().enumerate() {
        let own = command.engine() as usize;
        for (to, queue) in sent.get_mut(own).into_iter().flatten().enumerate() {
            if command.tokens().signal >> to & 1 != 0 {
                queue.push_back(index as u32);
            }
        }
    }
    commands
        .iter()
        .map(|command| {
            let mut needed = Needs::default();
            for (from, sent) in sent.iter_mut().enumerate() {
                if command.tokens().wait >> from & 1 != 0 {
                    needed.finished.push(sent[command.engine() as usize].pop_front()?);
                }
            }
            Some(needed)
        })
        .collect()
}

/// Estimates a program with dispatch, queues and tokens. Commands of loops count as often as they are executed: the estimate's
/// commands are those of [`dispatched`](crate::unroll::dispatched).
pub fn estimate(program: &Program, model: &CostModel) -> Estimate {
    let stuck = || Estimate { stuck: true, ..Estimate::default() };
    let Ok(all) = dispatched(program) else { return stuck() };
    let control: Vec<Control> = all
        .iter()
        .map(|d| Control { cycles: f64::from(d.control_cycles), follows_branch: d.follows_branch })
        .collect();
    let commands: Vec<Command> = all.into_iter().map(|d| d.command).collect();
    let references: Vec<&Command> = commands.iter().collect();
    match token_needs(&commands) {
        Some(needs) => simulate(&references, &needs, &program.config, model, Dispatch::Queues, &control),
        None => stuck(),
    }
}

/// Cycles from start to done.
pub fn estimate_cycles(program: &Program, model: &CostModel) -> u64 {
    estimate(program, model).cycles
}
