//! Writes the report of an invented run with many layers and a slow memory, to look at: `many_layers FOLDER`.

use frugal_isa::Config;
use frugal_profile::report::Options;
use frugal_profile::{
    report, trace, BusFacts, CommandSpan, Counter, Engine, LayerFacts, OccupancyInterval, OnChip, Run, Source,
};
use std::path::Path;

/// Pairs of a depthwise and a pointwise convolution.
const PAIRS: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder] = &arguments[..] else { return Err("usage: many_layers FOLDER".into()) };
    let run = invented();
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("trace.json"), trace::json(&run)?)?;
    std::fs::write(folder.join("report.html"), report::html(&run, &Options { clock_megahertz: 50.0 })?)?;
    Ok(())
}

fn invented() -> Run {
    let config = Config::preset("large").expect("a preset");
    let mut run = Run {
        model: "invented_mobile_network".into(),
        cycles: 0,
        source: Source::Measured,
        layers: Vec::new(),
        commands: Vec::new(),
        counters: vec![Counter { name: "MATRIX_STEPS".into(), value: 0, meaning: String::new() }],
        bus: BusFacts { latency_cycles: 40, bytes_read: 0, bytes_written: 0 },
        occupancy: Vec::new(),
        config,
    };
    let (mut loaded, mut computed) = (30, 0);
    for number in 0..2 * PAIRS {
        let depthwise = number % 2 == 0;
        let (channels, pixels) = (16u64 << (number / 8), 1024u64 >> (2 * (number / 8)));
        let (steps, macs, weights) = match depthwise {
            true => (9 * pixels * channels / 16, 9 * pixels * channels, 9 * channels),
            false => (pixels * channels * channels / 256, pixels * channels * channels, channels * channels),
        };
        let name = format!("{}_{number}", if depthwise { "depthwise" } else { "pointwise" });
        layer(&mut run, &name, macs, (steps, weights), (&mut loaded, &mut computed));
    }
    run.cycles = computed + 100;
    let index = run.commands.len();
    let store =
        CommandSpan { bytes: 1024, ..span(index, Engine::Store, 2 * PAIRS - 1, computed, run.cycles) };
    run.commands.push(store);
    run.bus.bytes_read =
        run.commands.iter().filter(|c| c.engine == Engine::Load).map(|c| c.bytes + 64).sum::<u64>();
    run.bus.bytes_written = 1024;
    run.counters[0].value = run.commands.iter().map(|c| c.issued).sum();
    run
}

/// Appends a layer of one load and four matrix commands.
fn layer(
    run: &mut Run,
    name: &str,
    macs: u64,
    (steps, weights): (u64, u64),
    (loaded, computed): (&mut u64, &mut u64),
) {
    let number = run.layers.len();
    // A memory that gives four bytes a cycle.
    let load = span(run.commands.len(), Engine::Load, number, *loaded, *loaded + 40 + weights / 4);
    *loaded = load.finish;
    run.commands.push(CommandSpan { bytes: weights, memory: Some(OnChip::Weight), ..load });
    let begun = (*computed).max(*loaded);
    let waited = begun - *computed;
    *computed = begun;
    for part in 0..4 {
        let issued = (steps / 4).max(1);
        let mut matrix = span(run.commands.len(), Engine::Matrix, number, *computed, *computed + issued + 12);
        matrix.issued = issued;
        matrix.steps = issued;
        matrix.waited_for[0] = if part == 0 { waited } else { 0 };
        *computed = matrix.finish;
        run.commands.push(matrix);
    }
    let tiles = (weights / 256).max(1) as u32;
    let first = (number as u32 % 8) * 128;
    run.occupancy.push(OccupancyInterval {
        name: name.to_owned(),
        memory: OnChip::Weight,
        addresses: first..(first + tiles).min(1024),
        from: run.commands[run.commands.len() - 5].start,
        to: *computed,
    });
    let cycles = *computed - begun + waited;
    run.layers.push(LayerFacts {
        name: name.to_owned(),
        operator: if number % 2 == 0 { "depthwise 3 x 3".into() } else { "convolution 1 x 1".into() },
        macs,
        estimated_cycles: Some(cycles * (97 + number as u64 % 7) / 100),
    });
}

fn span(index: usize, engine: Engine, layer: usize, start: u64, finish: u64) -> CommandSpan {
    CommandSpan {
        index,
        engine,
        layer,
        label: String::new(),
        dispatched: None,
        start,
        finish,
        issued: 0,
        macs: 0,
        bytes: 0,
        memory: None,
        steps: 0,
        waited_for: [0; 4],
    }
}
