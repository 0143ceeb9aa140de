//! What happened in a run, command by command, as `frugal-profile` wants it.
//!
//! ```text
//! Program + Recording of the simulated accelerator --measured--+
//!                                                              +--> Run
//! Program + the compiler's cycle model ------------estimated---+
//! ```

mod occupancy;
mod times;

use frugal_compiler::CostModel;
use frugal_device::Statistics;
use frugal_graph::{Graph, OperatorKind, Window};
use frugal_isa::command::space;
use frugal_isa::{Command, Config, Program, COMMAND_BYTES};
use frugal_profile::{
    attribute, BusFacts, CommandSpan, Counter, Engine, LayerFacts, OnChip, Run, RunError, Source,
};
use frugal_testbench::device::{Recording, SimulationOptions};
use times::Time;
pub use times::TimeError;

/// The run that was recorded on the simulated accelerator. `estimated` is the cycle model's run of the same program.
pub fn measured(
    program: &Program,
    graph: &Graph,
    recording: &Recording,
    statistics: &Statistics,
    latency_cycles: u32,
    estimated: &Run,
) -> Result<Run, RecordingError> {
    let cycles = statistics.cycles.unwrap_or(0);
    let times = times::measured(program, recording)?;
    let mut run = build(program, graph, &times, cycles, Source::Measured);
    infer_dispatch(&mut run.commands);
    for (layer, cycles) in run.layers.iter_mut().zip(attribute(estimated)?.layer_cycles()) {
        layer.estimated_cycles = Some(cycles);
    }
    run.bus = BusFacts {
        latency_cycles: latency_cycles.into(),
        bytes_read: statistics.bytes_read.unwrap_or(0),
        bytes_written: statistics.bytes_written.unwrap_or(0),
    };
    let counters = statistics.counters.iter();
    run.counters = counters
        .map(|counter| Counter {
            name: counter.name.to_owned(),
            value: counter.value,
            meaning: counter.description.to_owned(),
        })
        .collect();
    Ok(run)
}

/// The run as the compiler's cycle model sees it, with a memory of this latency.
pub fn estimated(program: &Program, graph: &Graph, latency_cycles: u32) -> Result<Run, RecordingError> {
    let (times, cycles) = times::estimated(program, &cost_model(latency_cycles))?;
    let mut run = build(program, graph, &times, cycles, Source::Estimated);
    let moved = |engine| run.commands.iter().filter(|c| c.engine == engine).map(|c| c.bytes).sum::<u64>();
    run.bus = BusFacts {
        latency_cycles: latency_cycles.into(),
        bytes_read: moved(Engine::Load) + (program.commands.len() * COMMAND_BYTES) as u64,
        bytes_written: moved(Engine::Store),
    };
    Ok(run)
}

/// Why there is no run: the recording or the program is not what it should be, which is no fault of the user's.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error(transparent)]
    Times(#[from] TimeError),
    #[error("the run contradicts itself, please report this: {0}")]
    Run(#[from] RunError),
}

/// The constants of the cycle model hold for the usual memory; another latency adds to all that waits for memory once.
fn cost_model(latency_cycles: u32) -> CostModel {
    let usual = CostModel::default();
    let more = f64::from(latency_cycles) - f64::from(SimulationOptions::default().latency_cycles);
    CostModel {
        first_fetch: usual.first_fetch + more,
        // Two loads are under way at a time.
        load_latency: usual.load_latency + more / 2.0,
        store_latency: usual.store_latency + more,
        ..usual
    }
}

/// Everything but what only one of the sources knows: bus, counters and estimates.
fn build(program: &Program, graph: &Graph, times: &[Time], cycles: u64, source: Source) -> Run {
    let mut commands: Vec<CommandSpan> =
        (0..program.commands.len()).filter_map(|index| span(program, times, index)).collect();
    share_macs(program, &mut commands);
    let layers = program.layers.iter().map(|layer| LayerFacts {
        name: layer.name.clone(),
        operator: operator(graph, &layer.name),
        macs: layer.macs,
        estimated_cycles: None,
    });
    Run {
        model: program.name.clone(),
        config: program.config.clone(),
        cycles,
        source,
        layers: layers.collect(),
        commands,
        counters: Vec::new(),
        bus: BusFacts { latency_cycles: 0, bytes_read: 0, bytes_written: 0 },
        occupancy: occupancy::intervals(program, times, cycles),
    }
}

fn span(program: &Program, times: &[Time], index: usize) -> Option<CommandSpan> {
    let command = &program.commands[index];
    let engine = Engine::of(command.engine())?;
    let Time { start, finish, issued, waited_for } = times[index];
    let (bytes, memory) = match command {
        Command::Load(load) => (product(&[load.rows, load.row_bytes]), Some(on_chip(load.space))),
        Command::Store(store) => (product(&[store.rows, store.row_bytes]), Some(on_chip(store.space))),
        _ => (0, None),
    };
    Some(CommandSpan {
        index,
        engine,
        layer: program.command_layers[index] as usize,
        label: command.to_string(),
        dispatched: None,
        start,
        finish,
        issued,
        macs: 0,
        bytes,
        memory,
        steps: steps(command),
        waited_for,
    })
}

/// Iterations of the loop nest, or rows of a transfer.
fn steps(command: &Command) -> u64 {
    match command {
        Command::Matrix(m) => {
            product(&[m.kernel_y, m.kernel_x, m.channels, m.tiles, m.outputs_y, m.outputs_x])
        }
        Command::Vector(v) => product(&[v.kernel_y, v.kernel_x, v.groups, v.outputs_y, v.outputs_x]),
        Command::Move(m) => product(&[m.outputs_y, m.outputs_x]),
        Command::Load(load) => u64::from(load.rows),
        Command::Store(store) => u64::from(store.rows),
        Command::Row(r) => product(&[r.rows_y, r.rows_x, r.groups, r.taps]),
        Command::Barrier(_) | Command::End(_) | Command::Adjust(_) | Command::Set(_) | Command::Branch(_) => {
            0
        }
    }
}

fn product(factors: &[u32]) -> u64 {
    factors.iter().fold(1, |product: u64, factor| product.saturating_mul(u64::from(*factor)))
}

fn on_chip(space: u32) -> OnChip {
    match space {
        space::ACTIVATION => OnChip::Activation,
        space::WEIGHT => OnChip::Weight,
        space::PARAMETER => OnChip::Parameter,
        _ => OnChip::Accumulator,
    }
}

/// An engine with nothing to do takes the next command as soon as it is in the queue and has its tokens. So a command that starts
/// later than that came into the queue when it began to wait, or when it started.
fn infer_dispatch(commands: &mut [CommandSpan]) {
    let mut free = [0; 4];
    for command in commands {
        let free = &mut free[command.engine as usize];
        let waited = command.waited_for.iter().max().copied().unwrap_or(0);
        let seen = command.start.saturating_sub(waited);
        command.dispatched = (seen > *free).then_some(seen);
        *free = command.finish;
    }
}

/// A command does not say how many of its multiplications the layer asks for and how many fill up the array, so the layer's
/// multiply-accumulates are shared out among its matrix commands by their steps.
fn share_macs(program: &Program, commands: &mut [CommandSpan]) {
    let mut all = vec![0u64; program.layers.len()];
    let is_matrix = |command: &&mut CommandSpan| command.engine == Engine::Matrix;
    for command in commands.iter_mut().filter(is_matrix) {
        all[command.layer] += command.steps;
    }
    let mut done = vec![0u64; program.layers.len()];
    for command in commands.iter_mut().filter(is_matrix) {
        let layer = command.layer;
        let until = |steps: u64| {
            (u128::from(program.layers[layer].macs) * u128::from(steps) / u128::from(all[layer].max(1)))
                as u64
        };
        let before = until(done[layer]);
        done[layer] += command.steps;
        command.macs = until(done[layer]) - before;
    }
}

/// What a layer computes, for people: `convolution 3 x 3, stride 2`.
fn operator(graph: &Graph, layer: &str) -> String {
    // `op03_HARD_SWISH`
    let plain = || layer.split_once('_').map_or(layer, |(_, name)| name).replace('_', " ").to_lowercase();
    let Some(operator) = graph.operators.iter().find(|operator| operator.name == layer) else {
        return plain();
    };
    let windowed = |what: &str, window: &Window| {
        let mut text = format!("{what} {} x {}", window.kernel_height, window.kernel_width);
        match (window.stride_height, window.stride_width) {
            (1, 1) => {}
            (down, right) if down == right => text += &format!(", stride {down}"),
            (down, right) => text += &format!(", stride {down} x {right}"),
        }
        text
    };
    // Windows of pooling lie side by side, unless something else is said.
    let pooling = |what: &str, window: &Window| match (window.stride_height, window.stride_width)
        == (window.kernel_height, window.kernel_width)
    {
        true => format!("{what} {} x {}", window.kernel_height, window.kernel_width),
        false => windowed(what, window),
    };
    match &operator.kind {
        OperatorKind::Conv2d(conv) => windowed("convolution", &conv.window),
        OperatorKind::DepthwiseConv2d(conv) => windowed("depthwise", &conv.window),
        OperatorKind::FullyConnected(fc) => {
            format!("fully connected {} to {}", fc.input_depth, fc.output_depth)
        }
        OperatorKind::AveragePool2d(pool) => pooling("average pooling", &pool.window),
        OperatorKind::MaxPool2d(pool) => pooling("maximum pooling", &pool.window),
        OperatorKind::Add(_) => "addition".to_owned(),
        _ => plain(),
    }
}

/// Size of a memory, in bytes.
pub fn memory_bytes(memory: OnChip, config: &Config) -> u64 {
    (memory.depth(config) * memory.address_bytes(config)) as u64
}
