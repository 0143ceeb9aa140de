//! `frugal bench gemm`: matrix products, checked byte by byte.

use super::record::{self, Row};
use crate::arguments::{BenchGemm, DeviceKind, SimulationArguments};
use crate::device::{self, Runner};
use crate::{config, text};
use anyhow::{bail, ensure};
use frugal_compiler::gemm::{self, Gemm, GemmOptions};
use frugal_compiler::{estimate_cycles, CostModel};
use frugal_device::Statistics;
use frugal_isa::{Config, Program};
use frugal_testbench::random::Random;
use serde_json::json;
use std::io::{self, Write};

/// What a product cost.
pub struct Measured {
    pub macs: u64,
    pub commands: usize,
    /// Cycles by the compiler's cycle model.
    pub predicted_cycles: u64,
    pub statistics: Statistics,
}

impl Measured {
    pub fn utilisation(&self, config: &Config) -> Option<f64> {
        self.statistics.cycles.map(|cycles| text::utilisation(self.macs, cycles, config))
    }

    pub fn kilohertz(&self) -> Option<f64> {
        self.statistics.cycles.map(|cycles| text::kilohertz(cycles, self.statistics.wall_seconds))
    }

    /// A row of the table of benchmarks, where the device has cycles.
    pub fn row(&self, command: String, config: &Config) -> Option<Row> {
        Some(Row {
            command,
            cycles: self.statistics.cycles?,
            macs: self.macs,
            utilisation: self.utilisation(config)?,
            bytes_read: self.statistics.bytes_read,
            bytes_written: self.statistics.bytes_written,
            simulated_khz: self.kilohertz()?,
            predicted_cycles: Some(self.predicted_cycles),
            ..Row::default()
        })
    }
}

/// A product of random bytes on a device.
pub struct Product {
    options: GemmOptions,
    built: Gemm,
    runner: Runner,
    a: Vec<i8>,
    b: Vec<i8>,
    expected: Vec<i8>,
}

impl Product {
    /// Compiles the product, opens the device, and loads what is to stay on the chip.
    pub fn new(
        options: &GemmOptions,
        kind: DeviceKind,
        config: &Config,
        simulation: &SimulationArguments,
    ) -> anyhow::Result<Product> {
        let built = gemm::build(options, config)?;
        let GemmOptions { m, k, n, .. } = *options;
        let mut random = Random::new(1);
        let mut bytes = |count: usize| -> Vec<i8> { (0..count).map(|_| random.next_u64() as i8).collect() };
        let (a, b) = (bytes(m * k), bytes(k * n));
        let expected = gemm::reference(m, k, n, &a, &b);
        let runner = device::open(kind, config, simulation, None)?;
        let mut product = Product { options: options.clone(), built, runner, a, b, expected };
        if let Some(preload) = product.built.preload.take() {
            let inputs = product.inputs(&preload);
            product.runner.run(&preload, &inputs, "loading")?;
        }
        Ok(product)
    }

    fn inputs(&self, program: &Program) -> Vec<Vec<u8>> {
        let operand = |name: &str| if name == "A" { &self.a } else { &self.b };
        program.inputs.iter().map(|tensor| operand(&tensor.name).iter().map(|x| *x as u8).collect()).collect()
    }

    /// Runs the product; results that are not those of plain loops are an error.
    pub fn measure(&mut self) -> anyhow::Result<Measured> {
        let inputs = self.inputs(&self.built.program);
        let result = self.runner.run(&self.built.program, &inputs, "product")?;
        for output in &result.outputs {
            self.compare(output)?;
        }
        let GemmOptions { m, k, n, repeat, .. } = self.options;
        let macs = [m, k, n, repeat].iter().map(|size| *size as u64).product();
        Ok(Measured {
            macs,
            commands: self.built.program.commands.len(),
            predicted_cycles: estimate_cycles(&self.built.program, &CostModel::default()),
            statistics: result.statistics,
        })
    }

    fn compare(&self, output: &[u8]) -> anyhow::Result<()> {
        let pairs = || output.iter().map(|byte| *byte as i8).zip(&self.expected).enumerate();
        let wrong = pairs().filter(|(_, (got, wanted))| got != *wanted);
        if let Some((index, (got, wanted))) = wrong.clone().next() {
            bail!(
                "{} of {} elements are wrong, the first in row {}, column {}: {got}, a plain product gives {wanted}",
                text::thousands(wrong.count() as u64),
                text::thousands(output.len() as u64),
                index / self.options.n,
                index % self.options.n,
            );
        }
        ensure!(output.len() == self.expected.len(), "the result has {} elements", output.len());
        Ok(())
    }
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
    let measured = Product::new(&options, arguments.device, &config, &arguments.simulation)?.measure()?;
    let statistics = &measured.statistics;
    if let (Some(table), Some(row)) = (&table, measured.row(record::command_line(), &config)) {
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
            "predicted_cycles": measured.predicted_cycles,
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
        rows.push(("cycle model", text::prediction(measured.predicted_cycles, cycles)));
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
