//! `frugal bench generation`: what sequences gain from sharing the weights.

use super::record::{self, Row};
use crate::arguments::{BenchGeneration, DeviceKind, PrecisionKind};
use crate::language::cost::{Generation, Phase};
use crate::{config, device, files, language, text, UsageError};
use anyhow::{ensure, Context};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_isa::Config;
use frugal_profile::curve::{batch_plot, BatchPoint, BatchSeries};
use serde_json::json;
use std::io::{self, Write};

/// One batch size.
struct Line {
    precision: PrecisionKind,
    batch: usize,
    prompt_tokens: usize,
    phase: Phase,
    predicted_cycles: u64,
    kilohertz: f64,
}

impl Line {
    fn tokens_per_1000_cycles(&self) -> f64 {
        1000.0 / self.phase.cycles_per_token()
    }
}

pub fn run(arguments: &BenchGeneration) -> anyhow::Result<()> {
    if arguments.device != DeviceKind::Verilator {
        return Err(UsageError(
            "a generation is measured in cycles, which only --device verilator has".into(),
        )
        .into());
    }
    let config = config::load(&arguments.config)?;
    let table = arguments.report.record.then(record::find).transpose()?;
    if let Some(plot) = &arguments.plot {
        files::check_writable(plot)?;
    }
    let mut lines = Vec::new();
    for precision in &arguments.precision {
        let language = language::open(&arguments.model, Some(*precision), None)?;
        let prompt = language.tokenizer.encode(&arguments.prompt)?;
        ensure!(!prompt.is_empty(), "the prompt is empty: there is nothing to go on from");
        for batch in &arguments.batch {
            let batch = *batch as usize;
            let generation = Generation {
                model: &language.model,
                config: &config,
                lengths: vec![prompt.len(); batch],
                tokens: arguments.tokens as usize,
            };
            let line = measure(arguments, *precision, &generation, &prompt)
                .with_context(|| format!("{} at batch {batch}", precision.name()))?;
            if let Some(table) = &table {
                record::append(table, &config, &row(arguments, &line))?;
            }
            lines.push(line);
        }
    }
    if let Some(plot) = &arguments.plot {
        files::write(plot, batch_plot(&series(&config, &lines)).as_bytes())?;
    }
    let text = match arguments.report.json {
        true => format!("{:#}\n", to_json(arguments, &config, &lines)),
        false => to_text(arguments, &config, &lines),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn measure(
    arguments: &BenchGeneration,
    precision: PrecisionKind,
    generation: &Generation<'_>,
    prompt: &[u32],
) -> anyhow::Result<Line> {
    let batch = generation.lengths.len();
    let (program, at_once) = generation.compile()?;
    let alone = generation.prompts_alone(at_once)?;
    let input: Vec<u8> = (0..batch).flat_map(|_| prompt).flat_map(|id| id.to_le_bytes()).collect();
    let input = std::slice::from_ref(&input);
    let mut runner = device::open(arguments.device, generation.config, &arguments.simulation, None)?;
    let result = runner.run(&program, input, &format!("{} at batch {batch}", precision.name()))?;
    let golden = GoldenDevice::new(generation.config)?.run(&program, input, &RunOptions::default())?;
    ensure!(result.outputs == golden.outputs, "the ids are not those of the functional simulator");
    let prompts = runner.run(&alone, input, "measuring the prompts alone")?;
    let cost = generation.cost(&result.statistics, &prompts.statistics);
    let cycles = result.statistics.cycles.unwrap_or(0);
    Ok(Line {
        precision,
        batch,
        prompt_tokens: prompt.len(),
        phase: cost.decode.context("the device has no cycles")?,
        predicted_cycles: generation.predicted_decode_cycles(&program, &alone),
        kilohertz: text::kilohertz(cycles, result.statistics.wall_seconds),
    })
}

fn row(arguments: &BenchGeneration, line: &Line) -> Row {
    let model = arguments.model.file_name().map(|name| name.to_string_lossy().into_owned());
    Row {
        command: format!(
            "frugal bench generation {} --batch {} --precision {} --tokens {}",
            model.unwrap_or_default(),
            line.batch,
            line.precision.name(),
            arguments.tokens
        ),
        cycles: line.phase.cycles,
        macs: line.phase.work.macs,
        utilisation: line.phase.utilisation,
        simulated_khz: line.kilohertz,
        predicted_cycles: Some(line.predicted_cycles),
        bus_share: Some(line.phase.bandwidth),
        ..Row::default()
    }
}

fn series(config: &Config, lines: &[Line]) -> Vec<BatchSeries> {
    let mut all: Vec<BatchSeries> = Vec::new();
    for line in lines {
        let name = format!("{}, {}", config.name, line.precision.name().to_uppercase());
        let point = BatchPoint {
            batch: line.batch,
            utilisation: line.phase.utilisation,
            tokens_per_1000_cycles: line.tokens_per_1000_cycles(),
        };
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => all.push(BatchSeries { name, points: vec![point] }),
        }
    }
    all
}

fn to_json(arguments: &BenchGeneration, config: &Config, lines: &[Line]) -> serde_json::Value {
    let line = |line: &Line| {
        json!({
            "precision": line.precision.name(),
            "batch": line.batch,
            "prompt_tokens": line.prompt_tokens,
            "tokens": line.phase.work.tokens,
            "cycles": line.phase.cycles,
            "macs": line.phase.work.macs,
            "utilisation": line.phase.utilisation,
            "tokens_per_1000_cycles": line.tokens_per_1000_cycles(),
            "bytes_per_token": line.phase.bytes as f64 / line.phase.work.tokens as f64,
            "bandwidth_share": line.phase.bandwidth,
            "predicted_cycles": line.predicted_cycles,
        })
    };
    json!({
        "model": arguments.model,
        "config": config,
        "tokens_of_a_sequence": arguments.tokens,
        "correct": true,
        "batches": lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn to_text(arguments: &BenchGeneration, config: &Config, lines: &[Line]) -> String {
    let mut out = format!(
        "{} on {}, {} tokens behind a prompt of {}\n\n\
         precision  batch  cycles a round  utilisation  tokens per 1000 cycles    bus   estimate\n",
        arguments.model.display(),
        text::config(config),
        arguments.tokens,
        lines.first().map_or(0, |line| line.prompt_tokens),
    );
    for line in lines {
        let rounds = line.phase.work.tokens / line.batch as u64;
        let error = text::error(line.predicted_cycles, line.phase.cycles);
        out += &format!(
            "{:9}  {:5}  {:>14}  {:>11}  {:>22.4}  {:>5}  {:>+7.1} %\n",
            line.precision.name().to_uppercase(),
            line.batch,
            text::thousands(line.phase.cycles / rounds),
            text::percent(line.phase.utilisation),
            line.tokens_per_1000_cycles(),
            text::percent(line.phase.bandwidth),
            100.0 * error
        );
    }
    out
}
