//! Prints when each command of a compiled model would start, by the estimator: `timeline MODEL.tflite CONFIG`.

use frugal_compiler::estimate::estimate;
use frugal_compiler::{compile, CompileOptions, CostModel};
use frugal_isa::Config;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, config] = &arguments[..] else { return Err("usage: timeline MODEL.tflite CONFIG".into()) };
    let graph = frugal_graph::tflite::read(&std::fs::read(model)?)?;
    let compiled = compile(&graph, &Config::preset(config)?, &CompileOptions::default())?;
    let program = &compiled.program;
    for layer in &compiled.layers {
        println!("{}: {}", layer.name, layer.cut);
    }
    let estimate = estimate(program, &CostModel::default());
    let mut last_end = [0.0f64; 5];
    for (index, command) in program.commands.iter().enumerate() {
        let engine = command.engine() as usize;
        let (start, end) = (estimate.starts[index], estimate.ends[index]);
        println!(
            "{index:4} {start:9.0} {end:9.0} idle {:6.0} {:24} {command}",
            start - last_end[engine],
            program.layers[program.command_layers[index] as usize].name
        );
        last_end[engine] = end;
    }
    println!("{} cycles, utilisation {:.1} %", estimate.cycles, 100.0 * estimate.utilisation(program));
    Ok(())
}
