//! Compiles a model, estimates its run with the compiler's cycle model, and writes the trace and the report:
//! `estimated MODEL.tflite CONFIG FOLDER`.

use frugal_compiler::access::{Access, Memory};
use frugal_compiler::estimate::{estimate, Estimate};
use frugal_compiler::{compile, CompileOptions, Compiled, CostModel};
use frugal_isa::command::space;
use frugal_isa::{Command, Config, Program, COMMAND_BYTES};
use frugal_profile::report::Options;
use frugal_profile::{
    report, trace, BusFacts, CommandSpan, Engine, LayerFacts, OccupancyInterval, OnChip, Run, Source,
};
use std::collections::VecDeque;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, config, folder] = &arguments[..] else {
        return Err("usage: estimated MODEL.tflite CONFIG FOLDER".into());
    };
    let graph = frugal_graph::tflite::read(&std::fs::read(model)?)?;
    let compiled = compile(&graph, &Config::preset(config)?, &CompileOptions::default())?;
    let name = Path::new(model).file_stem().map_or("model".into(), |stem| stem.to_string_lossy());
    let run = estimated(&name, &compiled);
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("trace.json"), trace::json(&run)?)?;
    std::fs::write(folder.join("report.html"), report::html(&run, &Options::default())?)?;
    for loss in frugal_profile::losses(&run)?.iter().take(3) {
        println!("{}\n  {}", loss.what, loss.remedy);
    }
    Ok(())
}

/// The run as the cycle model sees it.
fn estimated(name: &str, compiled: &Compiled) -> Run {
    let program = &compiled.program;
    let estimate = estimate(program, &CostModel::default());
    let cycles = estimate.ends.iter().fold(estimate.cycles, |last, end| last.max(end.ceil() as u64));
    let commands: Vec<CommandSpan> =
        (0..program.commands.len()).filter_map(|index| span(program, &estimate, index)).collect();
    let moved = |engine| commands.iter().filter(|c| c.engine == engine).map(|c| c.bytes).sum::<u64>();
    Run {
        model: name.to_owned(),
        config: program.config.clone(),
        cycles,
        source: Source::Estimated,
        layers: program
            .layers
            .iter()
            .map(|layer| LayerFacts {
                name: layer.name.clone(),
                operator: operator(&layer.name),
                macs: layer.macs,
                estimated_cycles: None,
            })
            .collect(),
        bus: BusFacts {
            latency_cycles: 0,
            bytes_read: moved(Engine::Load) + (program.commands.len() * COMMAND_BYTES) as u64,
            bytes_written: moved(Engine::Store),
        },
        counters: Vec::new(),
        occupancy: occupancy(program, &estimate),
        commands,
    }
}

/// `CONV_2D` of `op03_CONV_2D`, in small letters.
fn operator(layer: &str) -> String {
    layer.split_once('_').map_or(layer, |(_, operator)| operator).replace('_', " ").to_lowercase()
}

fn span(program: &Program, estimate: &Estimate, index: usize) -> Option<CommandSpan> {
    let command = &program.commands[index];
    let engine = Engine::of(command.engine())?;
    let (start, finish) = (estimate.starts[index].ceil() as u64, estimate.ends[index].ceil() as u64);
    let steps = match command {
        Command::Matrix(m) => {
            product(&[m.kernel_y, m.kernel_x, m.channels, m.tiles, m.outputs_y, m.outputs_x])
        }
        Command::Vector(v) => product(&[v.kernel_y, v.kernel_x, v.groups, v.outputs_y, v.outputs_x]),
        Command::Load(load) => u64::from(load.rows),
        Command::Store(store) => u64::from(store.rows),
        Command::Barrier(_) | Command::End(_) => 0,
    };
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
        issued: if engine == Engine::Matrix { steps.min(finish - start) } else { 0 },
        macs: 0,
        bytes,
        memory,
        steps,
        waited_for: waits(program, estimate, index),
    })
}

fn product(factors: &[u32]) -> u64 {
    factors.iter().map(|factor| u64::from(*factor)).product()
}

fn on_chip(space: u32) -> OnChip {
    match space {
        space::ACTIVATION => OnChip::Activation,
        space::WEIGHT => OnChip::Weight,
        space::PARAMETER => OnChip::Parameter,
        _ => OnChip::Accumulator,
    }
}

/// Cycles that a command at the head of its queue waits for tokens. The n-th token taken from a counter is the n-th sent.
fn waits(program: &Program, estimate: &Estimate, index: usize) -> [u64; 4] {
    let command = &program.commands[index];
    let before = &program.commands[..index];
    let own = command.engine();
    let head = (0..index)
        .rev()
        .find(|i| program.commands[*i].engine() == own)
        .map_or(0.0, |previous| estimate.starts[previous]);
    [0, 1, 2, 3].map(|from| {
        if command.tokens().wait >> from & 1 == 0 {
            return 0;
        }
        let taken = before.iter().filter(|c| c.engine() == own && c.tokens().wait >> from & 1 != 0).count();
        let mut senders = (0..program.commands.len()).filter(|i| {
            let sender = &program.commands[*i];
            sender.engine() as usize == from && sender.tokens().signal & own.mask() != 0
        });
        let sent = senders.nth(taken).map_or(0.0, |sender| estimate.ends[sender]);
        (sent.min(estimate.starts[index]) - head).max(0.0) as u64
    })
}

/// What each command writes, from its start until it was last read before it was written again.
fn occupancy(program: &Program, estimate: &Estimate) -> Vec<OccupancyInterval> {
    let mut order: VecDeque<usize> = (0..program.commands.len()).collect();
    order.make_contiguous().sort_by(|a, b| estimate.starts[*a].total_cmp(&estimate.starts[*b]));
    let mut intervals: Vec<OccupancyInterval> = Vec::new();
    // For each memory and address the interval that it belongs to.
    let mut owners = vec![vec![None::<usize>; 1 << 16]; 4];
    for index in order {
        let access = Access::of(&program.commands[index], &program.config);
        let (start, end) = (estimate.starts[index].ceil() as u64, estimate.ends[index].ceil() as u64);
        for read in access.reads.iter().filter(|span| span.memory != Memory::Workspace) {
            for address in read.addresses.clone() {
                if let Some(owner) = owners[read.memory as usize][address as usize] {
                    intervals[owner].to = intervals[owner].to.max(end);
                }
            }
        }
        for write in access.writes.iter().filter(|span| span.memory != Memory::Workspace) {
            for address in write.addresses.clone() {
                owners[write.memory as usize][address as usize] = Some(intervals.len());
            }
            intervals.push(OccupancyInterval {
                name: program.layers[program.command_layers[index] as usize].name.clone(),
                memory: OnChip::ALL[write.memory as usize],
                addresses: write.addresses.clone(),
                from: start,
                to: end,
            });
        }
    }
    intervals
}
