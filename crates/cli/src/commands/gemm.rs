//! `frugal bench gemm`: matrix products, checked byte by byte.

use super::record::{self, Row};
use crate::arguments::{BenchGemm, DeviceKind, SimulationArguments};
use crate::{config, device, text};
use anyhow::bail;
use frugal_compiler::gemm::{self, GemmOptions};
use frugal_device::Statistics;
use frugal_isa::Config;
use frugal_testbench::random::Random;
use serde_json::json;
use std::io::{self, Write};

/// What a product cost.
pub struct Measured {
    pub macs: u64,
    pub commands: usize,
    pub statistics: Statistics,
}

impl Measured {
    pub fn utilisation(&self, config: &Config) -> Option<f64> {
        self.statistics.cycles.map(|cycles| text::utilisation(self.macs, cycles, config))
    }

    pub fn kilohertz(&self) -> Option<f64> {
        self.statistics.cycles.map(|cycles| text::kilohertz(cycles, self.statistics.wall_seconds))
    }
}

/// Runs a product on random bytes; results that are not those of plain loops are an error.
pub fn measure(
    options: &GemmOptions,
    kind: DeviceKind,
    config: &Config,
    simulation: &SimulationArguments,
) -> anyhow::Result<Measured> {
    let built = gemm::build(options, config)?;
    let GemmOptions { m, k, n, repeat, .. } = *options;
    let mut random = Random::new(1);
    let mut bytes = |count: usize| -> Vec<i8> { (0..count).map(|_| random.next_u64() as i8).collect() };
    let (a, b) = (bytes(m * k), bytes(k * n));
    let operand = |name: &str| -> Vec<u8> {
        let elements = if name == "A" { &a } else { &b };
        elements.iter().map(|x| *x as u8).collect()
    };
    let mut runner = device::open(kind, config, simulation, None)?;
    for (program, what) in built.preload.iter().map(|p| (p, "loading")).chain([(&built.program, "product")]) {
        let inputs: Vec<Vec<u8>> = program.inputs.iter().map(|tensor| operand(&tensor.name)).collect();
        let result = runner.run(program, &inputs, what)?;
        if what == "loading" {
            continue;
        }
        let expected = gemm::reference(m, k, n, &a, &b);
        for (tensor, output) in program.outputs.iter().zip(&result.outputs) {
            let wrong = output.iter().zip(&expected).position(|(got, wanted)| *got as i8 != *wanted);
            if let Some(index) = wrong.or((output.len() != expected.len()).then_some(expected.len())) {
                let wrongs =
                    output.iter().zip(&expected).filter(|(got, wanted)| **got as i8 != **wanted).count();
                bail!(
                    "{} of {} elements of {} are wrong, the first in row {}, column {}: {}, a plain product gives {}",
                    text::thousands(wrongs as u64),
                    text::thousands(expected.len() as u64),
                    tensor.name,
                    index / n,
                    index % n,
                    output.get(index).map_or("nothing".into(), |got| (*got as i8).to_string()),
                    expected.get(index).map_or("nothing".into(), i8::to_string)
                );
            }
        }
        let macs = [m, k, n, repeat].iter().map(|size| *size as u64).product();
        return Ok(Measured { macs, commands: program.commands.len(), statistics: result.statistics });
    }
    bail!("the program is missing")
}

pub fn run(arguments: &BenchGemm) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let table = arguments.report.record.then(record::find).transpose()?;
    let options = GemmOptions {
        m: arguments.m as usize,
        k: arguments.k as usize,
        n: arguments.n as usize,
        repeat: arguments.repeat as usize,
        resident: arguments.resident,
    };
    let measured = measure(&options, arguments.device, &config, &arguments.simulation)?;
    let statistics = &measured.statistics;
    if let (Some(table), Some(cycles), Some(utilisation), Some(speed)) =
        (&table, statistics.cycles, measured.utilisation(&config), measured.kilohertz())
    {
        let row = Row {
            command: record::command_line(),
            cycles,
            macs: measured.macs,
            utilisation,
            bytes_read: statistics.bytes_read,
            bytes_written: statistics.bytes_written,
            simulated_khz: speed,
            array_khz: None,
        };
        record::append(table, &config, &row)?;
    }
    let text = if arguments.report.json {
        let object = json!({
            "m": options.m,
            "k": options.k,
            "n": options.n,
            "repeat": options.repeat,
            "resident": options.resident,
            "device": arguments.device.name(),
            "config": config,
            "cycles": statistics.cycles,
            "macs": measured.macs,
            "utilisation": measured.utilisation(&config),
            "bytes_read": statistics.bytes_read,
            "bytes_written": statistics.bytes_written,
            "wall_seconds": statistics.wall_seconds,
            "simulated_khz": measured.kilohertz(),
            "commands": measured.commands,
            "correct": true,
        });
        format!("{object:#}\n")
    } else {
        to_text(&options, arguments.device, &config, &measured)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn to_text(options: &GemmOptions, kind: DeviceKind, config: &Config, measured: &Measured) -> String {
    let GemmOptions { m, k, n, repeat, resident } = *options;
    let statistics = &measured.statistics;
    let times = if repeat > 1 { format!(", {repeat} times") } else { String::new() };
    let on_chip = if resident { ", right matrix on the chip" } else { "" };
    let mut rows = vec![
        ("product", format!("({m} x {k}) by ({k} x {n}){times}{on_chip}: every byte is right")),
        ("device", format!("{}, {}", kind.name(), text::config(config))),
    ];
    if let (Some(cycles), Some(utilisation)) = (statistics.cycles, measured.utilisation(config)) {
        let formula = format!("MACs / (cycles x {} x {})", config.rows, config.cols);
        rows.push(("cycles", text::thousands(cycles)));
        rows.push(("MACs", text::thousands(measured.macs)));
        rows.push(("array utilisation", format!("{} = {formula}", text::percent(utilisation))));
    } else {
        rows.push(("MACs", text::thousands(measured.macs)));
    }
    for (label, bytes) in [("bytes read", statistics.bytes_read), ("bytes written", statistics.bytes_written)]
    {
        if let Some(bytes) = bytes {
            rows.push((label, text::thousands(bytes)));
        }
    }
    let speed =
        measured.kilohertz().map_or(String::new(), |speed| format!(", {speed:.0} kHz of simulated clock"));
    rows.push(("wall time", format!("{}{speed}", text::seconds(statistics.wall_seconds))));
    text::table(&rows)
}
