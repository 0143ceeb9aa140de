//! Prints when each command of a compiled model started and finished on the Verilated accelerator, beside the cycle model:
//! `timeline MODEL.tflite CONFIG`, or `timeline gemm:SIZExREPEAT CONFIG` for products of square matrices.
//! `BUS_BITS` in the environment sets the width of the bus.

use frugal_compiler::estimate::estimate;
use frugal_compiler::gemm::{self, GemmOptions};
use frugal_compiler::{compile, CompileOptions, CostModel};
use frugal_device::{Device, RunOptions};
use frugal_isa::{Config, Engine};
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::device::SimulationOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, config] = &arguments[..] else { return Err("usage: timeline MODEL.tflite CONFIG".into()) };
    let mut config = Config::preset(config)?;
    if let Ok(bits) = std::env::var("BUS_BITS") {
        config = config.with_bus_bits(bits.parse()?);
    }
    let program = &match model.strip_prefix("gemm:") {
        Some(size) => {
            let (size, repeat) = size.split_once('x').unwrap_or((size, "1"));
            let size = size.parse()?;
            let options = GemmOptions { m: size, k: size, n: size, repeat: repeat.parse()?, resident: false };
            gemm::build(&options, &config)?.program
        }
        None => {
            let graph = frugal_graph::tflite::read(&std::fs::read(model)?)?;
            compile(&graph, &config, &CompileOptions::default())?.program
        }
    };
    let model = estimate(program, &CostModel::default());
    let mut device = verilated_device(&config, &SimulationOptions::default(), None)?;
    device.record(true);
    let inputs: Vec<Vec<u8>> = program.inputs.iter().map(|input| vec![7; input.elements()]).collect();
    let result = device.run(program, &inputs, &RunOptions::default())?;
    let recording = device.take_recording().ok_or("no recording")?;
    let mut numbers = [0usize; 4];
    for (index, command) in program.commands.iter().enumerate() {
        let engine = command.engine();
        if engine == Engine::Control {
            continue;
        }
        let (record, number) = (&recording.engines[engine as usize], &mut numbers[engine as usize]);
        println!(
            "{index:4} {:8} {:8} model {:8.0} {:8.0} waits {:?} {:24} {command}",
            record.starts[*number],
            record.finishes[*number],
            model.starts[index],
            model.ends[index],
            record.waits[*number],
            program.layers[program.command_layers[index] as usize].name,
        );
        *number += 1;
    }
    println!("{} cycles, model {}", result.statistics.cycles.unwrap_or(0), model.cycles);
    for counter in &result.statistics.counters {
        println!("{:24} {}", counter.name, counter.value);
    }
    Ok(())
}
