//! `frugal bench simulation`: how fast the simulator is, next to the MAC array alone.

use super::gemm::Product;
use super::record::{self, Row};
use crate::arguments::{BenchSimulation, DeviceKind};
use crate::device::Spinner;
use crate::{config, text};
use frugal_compiler::gemm::GemmOptions;
use frugal_hdl::emit::{self, PortDirection};
use frugal_hdl::mac_array::MacArray;
use frugal_isa::Config;
use frugal_testbench::random::Random;
use frugal_testbench::verilated::{BuildOptions, PortHandle, VerilatedModel};
use serde_json::json;
use std::io::{self, Write};
use std::time::Instant;

/// Fewer cycles than this in a round say nothing.
const LEAST_CYCLES: u64 = 50_000;
/// The two are measured in turn, so that what else the computer does hits both; the best round of each counts.
const ROUNDS: usize = 5;
/// Different inputs that the array gets in turn.
const VECTORS: usize = 64;
/// Steps of one sum.
const DEPTH: usize = 32;

pub fn run(arguments: &BenchSimulation) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let table = arguments.report.record.then(record::find).transpose()?;
    let size = arguments.size as usize;
    let cycles_of_one = (size * size * size / config.peak()) as u64;
    let repeat = LEAST_CYCLES.div_ceil(cycles_of_one.max(1)) as usize;
    let options = GemmOptions { m: size, k: size, n: size, repeat, resident: false };
    let mut product = Product::new(&options, DeviceKind::Verilator, &config, &arguments.simulation)?;
    let mut array = Array::new(&config)?;
    let mut measured = product.measure()?;
    let (mut accelerator_khz, mut array_khz) = (0.0, 0.0);
    for round in 0..ROUNDS {
        if round > 0 {
            measured = product.measure()?;
        }
        accelerator_khz = measured.kilohertz().unwrap_or(0.0).max(accelerator_khz);
        array_khz = array.speed(measured.statistics.cycles.unwrap_or(LEAST_CYCLES)).max(array_khz);
    }
    let cycles = measured.statistics.cycles.unwrap_or(0);
    let utilisation = measured.utilisation(&config).unwrap_or(0.0);
    let ratio = accelerator_khz / array_khz;
    if let Some(table) = &table {
        let row = Row {
            command: record::command_line(),
            cycles,
            macs: measured.macs,
            utilisation,
            bytes_read: measured.statistics.bytes_read,
            bytes_written: measured.statistics.bytes_written,
            simulated_khz: accelerator_khz,
            array_khz: Some(array_khz),
            ..Row::default()
        };
        record::append(table, &config, &row)?;
    }
    let text = if arguments.report.json {
        let object = json!({
            "config": config,
            "size": size,
            "repeat": repeat,
            "cycles": cycles,
            "macs": measured.macs,
            "utilisation": utilisation,
            "rounds": ROUNDS,
            "accelerator_khz": accelerator_khz,
            "array_khz": array_khz,
            "ratio": ratio,
        });
        format!("{object:#}\n")
    } else {
        text::table(&[
            ("accelerator", text::config(&config)),
            ("running", format!("{size} x {size} x {size} products, {repeat} times: every byte is right")),
            (
                "cycles",
                format!("{}, array utilisation {}", text::thousands(cycles), text::percent(utilisation)),
            ),
            (
                "whole accelerator",
                format!("{accelerator_khz:.0} kHz of simulated clock, one thread, best of {ROUNDS}"),
            ),
            ("MAC array alone", format!("{array_khz:.0} kHz, best of {ROUNDS}")),
            ("ratio", format!("{ratio:.2}")),
        ])
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The Verilated MAC array alone.
struct Array {
    model: VerilatedModel,
    operands: Vec<PortHandle>,
    first: PortHandle,
    last: PortHandle,
    vectors: Vec<u64>,
}

impl Array {
    fn new(config: &Config) -> anyhow::Result<Array> {
        let array = MacArray::new(config.rows, config.cols, config.depthwise_taps, config.four_bit);
        let file = emit::emit(&array, "mac_array", "The MAC array alone, to measure the simulator with.")?;
        let mut model = {
            let _spinner = Spinner::start("building the simulator of the MAC array (the first time only)");
            VerilatedModel::new(&file, &BuildOptions::default())?
        };
        let inputs = file.top().ports.iter().filter(|port| port.direction == PortDirection::Input);
        let operands: Vec<PortHandle> = inputs
            .filter(|port| port.name.starts_with("activation") || port.name.starts_with("weight"))
            .map(|port| model.port(&port.name))
            .collect();
        let (first, last, enable) = (model.port("first"), model.port("last"), model.port("enable"));
        model.set(enable, 1);
        let mut random = Random::new(1);
        let vectors = (0..VECTORS * operands.len()).map(|_| random.bits(32)).collect();
        Ok(Array { model, operands, first, last, vectors })
    }

    /// kHz over so many cycles, with other random operands in each.
    fn speed(&mut self, cycles: u64) -> f64 {
        let start = Instant::now();
        for cycle in 0..cycles as usize {
            let chosen = &self.vectors[cycle % VECTORS * self.operands.len()..];
            for (port, value) in self.operands.iter().zip(chosen) {
                self.model.set(*port, *value);
            }
            self.model.set(self.first, (cycle % DEPTH == 0).into());
            self.model.set(self.last, (cycle % DEPTH == DEPTH - 1).into());
            self.model.cycle();
        }
        text::kilohertz(cycles, start.elapsed().as_secs_f64())
    }
}
