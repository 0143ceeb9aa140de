//! `frugal generate --synthetic`: one token of a model of a published shape, with random weights.

use crate::arguments::{DeviceKind, Generate, PrecisionKind};
use crate::device::{self, Spinner};
use crate::{config, text, UsageError};
use anyhow::{ensure, Context};
use frugal_compiler::language::forward;
use frugal_compiler::{estimate_cycles, CostModel};
use frugal_device::{Device, GoldenDevice, RunOptions, Statistics};
use frugal_isa::{Config, Engine, Program};
use frugal_language::integer::Cache;
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::synthetic::{self, FloatType};
use frugal_language::{Checkpoint, ModelConfig, Precision, QuantisedModel, Reference};
use frugal_testbench::device::Recording;
use serde_json::json;
use std::io::{self, Write};

/// Tokens that calibration sees: random weights have the same ranges everywhere.
const CALIBRATION_TOKENS: u32 = 4;

/// Positions that the caches have room for.
const CONTEXT: usize = 64;

/// What was found.
struct Found {
    program: Program,
    predicted_cycles: u64,
    /// Of the token, and for each layer and the head the cycles from the end of the one before to its own.
    measured: Option<(Statistics, Vec<u64>)>,
}

pub fn run(name: &str, arguments: &Generate) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let shape = synthetic::shape(name).ok_or_else(|| {
        UsageError(format!("--synthetic {name}: there are {}", synthetic::NAMES.join(" and ")))
    })?;
    let precision = match arguments.precision.unwrap_or(PrecisionKind::W8a8) {
        PrecisionKind::W8a8 => Precision::W8A8,
        PrecisionKind::W4a8 => Precision::W4A8,
    };
    let model = {
        let _spinner = Spinner::start(&format!("a random {name}: writing, loading, calibrating, quantising"));
        random_model(&shape, precision, arguments.seed)?
    };
    let found = measure(&model, &config, arguments)?;
    let mut out = io::stdout();
    match arguments.json {
        true => writeln!(out, "{:#}", to_json(name, &model, &config, &found, arguments))?,
        false => write!(out, "{}", to_text(name, &model, &config, &found, arguments))?,
    }
    Ok(())
}

/// The checkpoint on disk, through the loader and the quantiser.
fn random_model(shape: &ModelConfig, precision: Precision, seed: u64) -> anyhow::Result<QuantisedModel> {
    let directory = tempfile::tempdir().context("a folder for the random checkpoint")?;
    synthetic::write_checkpoint(directory.path(), shape, FloatType::Bf16, seed)
        .context("writing the random checkpoint")?;
    let checkpoint = Checkpoint::open(directory.path())?;
    let ids: Vec<u32> = (0..CALIBRATION_TOKENS).map(|i| i * 9973 % shape.vocab_size as u32).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint)?, &[&ids]);
    Ok(quantise(&checkpoint, &calibration, precision)?)
}

fn measure(model: &QuantisedModel, config: &Config, arguments: &Generate) -> anyhow::Result<Found> {
    let id = (arguments.seed % model.config.vocab_size as u64) as u32;
    let (program, wanted) = {
        let _spinner = Spinner::start("compiling, and a token on the functional simulator");
        let program = forward(model, config, 0, 1, CONTEXT)?;
        let wanted = model.step(&mut Cache::default(), id, &mut |_, _, _| {});
        let mut golden = GoldenDevice::new(config)?;
        // They take a word for each byte of memory; small models have them checked in the tests.
        golden.check_hazards = false;
        let result = golden.run(&program, &[id.to_le_bytes().to_vec()], &RunOptions::default())?;
        ensure!(words(&result.outputs[0]) == wanted, "the logits are not those of the integer model");
        (program, wanted)
    };
    let predicted_cycles = estimate_cycles(&program, &CostModel::default());
    let measured = match arguments.device {
        DeviceKind::Golden => None,
        DeviceKind::Serial(_) | DeviceKind::SimulatedBoard(_) => {
            return Err(UsageError(
                "--synthetic measures on verilator or golden: no board holds such a model".into(),
            )
            .into())
        }
        DeviceKind::Verilator => {
            let mut runner = device::open(arguments.device, config, &arguments.simulation, None)?;
            let inputs = [id.to_le_bytes().to_vec()];
            let (result, recording) = runner.run_recorded(&program, &inputs, "a token on the accelerator")?;
            ensure!(
                words(&result.outputs[0]) == wanted,
                "the logits are not those of the functional simulator"
            );
            let recording = recording.context("the device records nothing")?;
            Some((result.statistics, layer_cycles(&program, &recording)))
        }
    };
    Ok(Found { program, predicted_cycles, measured })
}

fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|w| i32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect()
}

/// For each layer of the program the cycles from the end of the layers before it to the end of its own last command.
fn layer_cycles(program: &Program, recording: &Recording) -> Vec<u64> {
    let mut places = [0; 4];
    let mut ends = vec![0; program.layers.len()];
    for (command, layer) in program.commands.iter().zip(&program.command_layers) {
        let engine = command.engine();
        if engine == Engine::Control {
            continue;
        }
        let place = &mut places[engine as usize];
        let finish = recording.engines[engine as usize].finishes.get(*place).copied().unwrap_or(0);
        let end = &mut ends[*layer as usize];
        *end = finish.max(*end);
        *place += 1;
    }
    let before = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(before).map(|(end, before)| end.saturating_sub(before)).collect()
}

/// The most memory that this process had, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?)
}

/// Cycles of the array at its peak, over the cycles measured.
fn utilisation(model: &QuantisedModel, config: &Config, cycles: u64) -> f64 {
    let m = &model.config;
    let rate = if model.precision == Precision::W4A8 { 2.0 } else { 1.0 };
    let least = m.linear_macs() as f64 / rate + (m.attention_macs(0) + m.head_macs()) as f64;
    least / (cycles as f64 * config.peak() as f64)
}

fn to_json(
    name: &str,
    model: &QuantisedModel,
    config: &Config,
    found: &Found,
    arguments: &Generate,
) -> serde_json::Value {
    let measured = found.measured.as_ref().and_then(|(s, layers)| {
        let cycles = s.cycles?;
        let bytes = s.bytes_read.unwrap_or(0) + s.bytes_written.unwrap_or(0);
        Some(json!({
            "cycles": cycles,
            "layer_cycles": layers[..layers.len() - 1],
            "head_cycles": layers.last(),
            "bytes": bytes,
            "bandwidth_share": bytes as f64 / (cycles as f64 * config.bus_bytes() as f64),
            "utilisation": utilisation(model, config, cycles),
            "tokens_per_second": arguments.stated_mhz(config) * 1e6 / cycles as f64,
        }))
    });
    json!({
        "synthetic": name,
        "seed": arguments.seed,
        "model": model.config,
        "precision": model.precision,
        "config": config,
        "commands": found.program.commands.len(),
        "constant_bytes": found.program.constants.len(),
        "predicted_cycles": found.predicted_cycles,
        "measured": measured,
        "clock_mhz": arguments.stated_mhz(config),
        "peak_memory_bytes": peak_bytes(),
        "correct": true,
    })
}

fn to_text(
    name: &str,
    model: &QuantisedModel,
    config: &Config,
    found: &Found,
    arguments: &Generate,
) -> String {
    let m = &model.config;
    let mut rows = vec![
        (
            "model",
            format!(
                "{name} with random weights: {} layers, hidden {}, vocabulary {}, {:?}",
                m.layers,
                m.hidden_size,
                text::thousands(m.vocab_size as u64),
                model.precision
            ),
        ),
        ("device", format!("{}, {}", arguments.device.name(), text::config(config))),
        (
            "program",
            format!(
                "{} commands, {} bytes of constants",
                text::thousands(found.program.commands.len() as u64),
                text::thousands(found.program.constants.len() as u64)
            ),
        ),
        ("golden", "the logits of a token are those of the integer model".to_owned()),
    ];
    match &found.measured {
        Some((statistics, layers)) => {
            let cycles = statistics.cycles.unwrap_or(0);
            let bytes = statistics.bytes_read.unwrap_or(0) + statistics.bytes_written.unwrap_or(0);
            let (head, layers) = layers.split_last().expect("a head");
            let share = bytes as f64 / (cycles.max(1) as f64 * config.bus_bytes() as f64);
            rows.extend([
                ("accelerator", "the same logits, measured cycle by cycle".to_owned()),
                (
                    "a layer",
                    format!(
                        "{} cycles on average",
                        text::thousands(layers.iter().sum::<u64>() / layers.len() as u64)
                    ),
                ),
                ("the head", format!("{} cycles", text::thousands(*head))),
                (
                    "a token",
                    format!(
                        "{} cycles, array {}, {} bytes, bus {} of its limit, {:.2} tokens/s at {} MHz",
                        text::thousands(cycles),
                        text::percent(utilisation(model, config, cycles)),
                        text::thousands(bytes),
                        text::percent(share),
                        arguments.stated_mhz(config) * 1e6 / cycles.max(1) as f64,
                        arguments.stated_mhz(config)
                    ),
                ),
                ("cycle model", text::prediction(found.predicted_cycles, cycles)),
            ]);
        }
        None => rows.push((
            "cycle model",
            format!(
                "{} cycles a token, {:.2} tokens/s at {} MHz",
                text::thousands(found.predicted_cycles),
                arguments.stated_mhz(config) * 1e6 / found.predicted_cycles.max(1) as f64,
                arguments.stated_mhz(config)
            ),
        )),
    }
    if let Some(bytes) = peak_bytes() {
        rows.push(("memory", format!("{:.2} GiB at most", bytes as f64 / f64::from(1u32 << 30))));
    }
    text::table(&rows)
}
