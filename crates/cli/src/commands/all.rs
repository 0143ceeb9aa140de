//! `frugal bench all`: the table of work, with its targets.

use super::gemm::Product;
use super::network;
use super::record::{self, Row};
use crate::arguments::{BenchAll, SimulationArguments};
use crate::{files, model, text, UsageError};
use anyhow::Context;
use frugal_compiler::gemm::GemmOptions;
use frugal_isa::Config;
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the models of other projects are, seen from the checkout.
const MODELS: &str = "../shared/models";

/// The cycle model should not be further from the measured cycles than this share of them.
const PREDICTION_TARGET: f64 = 0.05;

const SEED: u64 = 1;

/// One line of the table.
struct Case {
    name: &'static str,
    config: &'static str,
    bus_bits: usize,
    work: Work,
    measure: Measure,
    /// What the measure should reach.
    target: f64,
}

enum Work {
    /// A network of the zoo; the real one, if its file is in the folder of models.
    Network { zoo: &'static str, file: Option<&'static str> },
    /// A square product, so many times in one program.
    Gemm { size: usize, repeat: usize },
}

#[derive(Clone, Copy)]
enum Measure {
    /// Of the array.
    Utilisation,
    /// Of the memory bus.
    BusShare,
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Measure::Utilisation => "of the array",
            Measure::BusShare => "of the bus",
        }
    }
}

const fn network(name: &'static str, zoo: &'static str, file: Option<&'static str>, target: f64) -> Case {
    let (work, measure) = (Work::Network { zoo, file }, Measure::Utilisation);
    Case { name, config: "base", bus_bits: 64, work, measure, target }
}

const fn gemm(name: &'static str, size: usize, repeat: usize, bus_bits: usize, target: f64) -> Case {
    let (work, measure) = (Work::Gemm { size, repeat }, Measure::Utilisation);
    Case { name, config: "large", bus_bits, work, measure, target }
}

const CASES: [Case; 10] = [
    network("resnet8", "resnet8", Some("resnet8/resnet8.tflite"), 0.85),
    network("kws", "ds_cnn", Some("kws/kws.tflite"), 0.70),
    network("mobilenet_v1_025_96", "mobilenet_v1_025_96", None, 0.60),
    network("wakeword", "wakeword", Some("wakeword/wakeword.tflite"), 0.40),
    Case { measure: Measure::BusShare, ..network("autoencoder", "autoencoder", None, 0.85) },
    gemm("512 x 512 x 512", 512, 1, 128, 0.98),
    gemm("64 x 64 x 64, 16 times", 64, 16, 128, 0.95),
    // The narrow bus loads two operands in the time of one product: 97 % is its limit.
    gemm("64 x 64 x 64, 256 times", 64, 256, 64, 0.95),
    gemm("64 x 64 x 64, once", 64, 1, 128, 0.55),
    gemm("64 x 64 x 64, once", 64, 1, 64, 0.55),
];

/// A line with its numbers; a device without cycles leaves most of them out.
struct Line {
    case: &'static Case,
    config: Config,
    /// The command that measures this alone.
    command: String,
    /// The network is the zoo's, not a trained one.
    random_weights: bool,
    macs: u64,
    predicted_cycles: u64,
    row: Option<Row>,
}

impl Line {
    fn measured(&self) -> Option<f64> {
        let row = self.row.as_ref()?;
        match self.case.measure {
            Measure::Utilisation => Some(row.utilisation),
            Measure::BusShare => row.bus_share,
        }
    }

    fn reached(&self) -> Option<bool> {
        self.measured().map(|measured| measured >= self.case.target)
    }

    fn prediction_error(&self) -> Option<f64> {
        self.row.as_ref().map(|row| text::error(self.predicted_cycles, row.cycles))
    }

    fn well_predicted(&self) -> Option<bool> {
        self.prediction_error().map(|error| error.abs() <= PREDICTION_TARGET)
    }
}

pub fn run(arguments: &BenchAll) -> anyhow::Result<()> {
    let table = arguments.report.record.then(record::find).transpose()?;
    let models = find_models(arguments.models.as_deref())?;
    let only = arguments.only.as_deref().unwrap_or("");
    let cases: Vec<&'static Case> = CASES.iter().filter(|case| case.name.contains(only)).collect();
    if cases.is_empty() {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        let message = format!("--only {only}: nothing is called so; there are {}", names.join("; "));
        return Err(UsageError(message).into());
    }
    let mut lines = Vec::with_capacity(cases.len());
    for case in cases {
        let line = measure(case, arguments, models.as_deref()).with_context(|| case.name)?;
        if let (Some(table), Some(row)) = (&table, &line.row) {
            record::append(table, &line.config, row)?;
        }
        lines.push(line);
    }
    let text =
        if arguments.report.json { format!("{:#}\n", to_json(arguments, &lines)) } else { to_text(&lines) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The folder that was given, which has to be there, or the usual one if it is.
fn find_models(given: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    match given {
        Some(folder) if folder.is_dir() => Ok(Some(folder.to_owned())),
        Some(folder) => Err(UsageError(format!("--models {}: no such folder", folder.display())).into()),
        None => {
            let current = std::env::current_dir().context("the current folder is unknown")?;
            Ok(files::find_upwards(&current, MODELS))
        }
    }
}

fn measure(case: &'static Case, arguments: &BenchAll, models: Option<&Path>) -> anyhow::Result<Line> {
    let mut config = Config::preset(case.config)?;
    config.bus_bits = case.bus_bits;
    let simulation = SimulationArguments::default();
    match case.work {
        Work::Network { zoo, file } => {
            let path = models.zip(file).map(|(models, file)| models.join(file)).filter(|path| path.exists());
            let (name, graph) = match &path {
                // Folders differ from one computer to the next.
                Some(path) => {
                    (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), model::read(path)?)
                }
                None => (zoo.to_owned(), network::load(zoo, SEED)?),
            };
            let measured = network::measure(&name, &graph, SEED, arguments.device, &config, &simulation)?;
            let command = format!("frugal bench network {name} --config {}", case.config);
            Ok(Line {
                case,
                config,
                macs: measured.macs(),
                predicted_cycles: measured.predicted_cycles,
                row: measured.row(command.clone()),
                command,
                random_weights: path.is_none(),
            })
        }
        Work::Gemm { size, repeat } => {
            let options = GemmOptions { m: size, k: size, n: size, repeat, resident: false };
            let measured = Product::new(&options, arguments.device, &config, &simulation)?.measure()?;
            let repeat = if repeat > 1 { format!(" --repeat {repeat}") } else { String::new() };
            let command = format!(
                "frugal bench gemm --m {size} --k {size} --n {size}{repeat} --config {} --bus-bits {}",
                case.config, case.bus_bits
            );
            Ok(Line {
                case,
                macs: measured.macs,
                predicted_cycles: measured.predicted_cycles,
                row: measured.row(command.clone(), &config),
                config,
                command,
                random_weights: false,
            })
        }
    }
}

fn to_json(arguments: &BenchAll, lines: &[Line]) -> serde_json::Value {
    let rows: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| {
            let row = line.row.as_ref();
            json!({
                "work": line.case.name,
                "command": line.command,
                "random_weights": line.random_weights,
                "config": line.config,
                "cycles": row.map(|row| row.cycles),
                "macs": line.macs,
                "utilisation": row.map(|row| row.utilisation),
                "bus_share": row.and_then(|row| row.bus_share),
                "target": { "measure": line.case.measure.name(), "value": line.case.target },
                "reached": line.reached(),
                "predicted_cycles": line.predicted_cycles,
                "prediction_error": line.prediction_error(),
                "correct": true,
            })
        })
        .collect();
    json!({ "device": arguments.device.name(), "work": rows })
}

fn to_text(lines: &[Line]) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let verdict = |reached: Option<bool>| match reached {
        Some(true) => "reached",
        Some(false) => "missed",
        None => "-",
    };
    let header =
        ["work", "accelerator", "cycles", "MACs", "measured", "", "target", "", "cycle model", "error"];
    let mut cells: Vec<[String; 10]> = vec![header.map(str::to_owned)];
    for line in lines {
        cells.push([
            format!("{}{}", line.case.name, if line.random_weights { " *" } else { "" }),
            format!("{}, {}-bit bus", line.config.name, line.config.bus_bits),
            or_dash(line.row.as_ref().map(|row| text::thousands(row.cycles))),
            text::thousands(line.macs),
            or_dash(line.measured().map(text::percent)),
            line.case.measure.name().to_owned(),
            text::percent(line.case.target),
            verdict(line.reached()).to_owned(),
            text::thousands(line.predicted_cycles),
            or_dash(line.prediction_error().map(|error| format!("{:+.1} %", 100.0 * error))),
        ]);
    }
    // Numbers to the right, words to the left.
    let is_number = [false, false, true, true, true, false, true, false, true, true];
    let widths: Vec<usize> = (0..header.len())
        .map(|column| cells.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &cells {
        let padded: Vec<String> = row
            .iter()
            .zip(widths.iter().zip(is_number))
            .map(|(cell, (&width, number))| match number {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        out += padded.join("  ").trim_end();
        out.push('\n');
    }
    let count =
        |wanted: fn(&Line) -> Option<bool>| lines.iter().filter(|line| wanted(line) == Some(true)).count();
    if lines.iter().any(|line| line.random_weights) {
        out += "* random weights\n";
    }
    out + &format!(
        "\nEvery result is right. {} of {} targets are reached; the cycle model is within {} in {} of {}.\n",
        count(Line::reached),
        lines.len(),
        text::percent(PREDICTION_TARGET),
        count(Line::well_predicted),
        lines.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_the_table_is_in_the_zoo() {
        for case in &CASES {
            if let Work::Network { zoo, .. } = case.work {
                assert!(frugal_graph::zoo::find(zoo).is_some(), "{zoo}");
            }
            assert!(Config::preset(case.config).is_ok(), "{}", case.config);
        }
    }
}
