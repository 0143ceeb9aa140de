//! The cycles that the project promises, on the Verilated accelerator, and the cycle model against them.
//!
//! Cycles are exact, so these are no timed tests. Networks have published shapes and random weights; where the real ones are small
//! enough to come with the project's tests (resnet8, keyword spotting, wake word), they take the same number of cycles.

use frugal_compiler::gemm::{self, GemmOptions};
use frugal_compiler::{compile, estimate_cycles, CompileOptions, CostModel};
use frugal_device::{Device, RunOptions};
use frugal_graph::npy::Elements;
use frugal_graph::{reference, zoo, Graph};
use frugal_isa::{Config, Program};
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::device::SimulationOptions;

/// Largest error of the cycle model.
const MODEL_ERROR: f64 = 0.05;

/// Runs a program and returns its outputs and cycles; the cycle model must agree.
fn cycles(name: &str, program: &Program, inputs: &[Vec<u8>]) -> (Vec<Vec<u8>>, u64) {
    let mut device =
        verilated_device(&program.config, &SimulationOptions::default(), None).expect("a device");
    let result =
        device.run(program, inputs, &RunOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let cycles = result.statistics.cycles.expect("cycles");
    let model = estimate_cycles(program, &CostModel::default());
    let error = model as f64 / cycles as f64 - 1.0;
    eprintln!("{name}: {cycles} cycles, the model says {model}, {:+.1} %", 100.0 * error);
    assert!(error.abs() <= MODEL_ERROR, "{name}: {cycles} cycles, the model says {model}");
    (result.outputs, cycles)
}

/// Runs a network on `base`, compares its outputs, and returns the program and its cycles.
fn network(name: &str, graph: &Graph) -> (Program, u64) {
    let config = Config::preset("base").expect("a preset");
    let compiled = compile(graph, &config, &CompileOptions::default()).expect("it compiles");
    let inputs: Vec<Elements> = zoo::random_inputs(graph, 3);
    let expected = reference::run_all(graph, &inputs).expect("inputs of the graph");
    let prepared = compiled.prepare(&inputs).expect("inputs of the graph");
    let (outputs, cycles) = cycles(name, &compiled.program, &prepared);
    let results = compiled.finish(&outputs).expect("the outputs fit");
    assert!(results.last() == expected.last(), "{name}: the output differs");
    (compiled.program, cycles)
}

fn utilisation(name: &str, graph: &Graph) -> f64 {
    let (program, cycles) = network(name, graph);
    program.macs() as f64 / (cycles as f64 * program.config.peak() as f64)
}

#[test]
fn networks_keep_the_array_busy() {
    for (name, graph, least) in [
        ("resnet8", zoo::resnet8(1), 0.85),
        ("keyword spotting", zoo::ds_cnn(1), 0.70),
        ("MobileNetV1-0.25 96x96", zoo::mobilenet_v1(25, 96, 2, 1), 0.60),
        ("wake word", zoo::wakeword(1), 0.40),
    ] {
        let reached = utilisation(name, &graph);
        assert!(reached >= least, "{name}: {:.1} %", 100.0 * reached);
    }
}

/// A fully connected layer of one row reads each weight for one product: the bus is the limit.
#[test]
fn the_autoencoder_keeps_the_bus_busy() {
    let (program, cycles) = network("autoencoder", &zoo::autoencoder(1));
    let share = program.macs() as f64 / (cycles as f64 * program.config.bus_bytes() as f64);
    assert!(share >= 0.85, "{:.1} % of the bus", 100.0 * share);
}

#[test]
fn matrix_products_keep_the_array_busy() {
    let large = |bus_bits| Config::preset("large").expect("a preset").with_bus_bits(bus_bits);
    for (size, repeat, config, least) in [
        (512, 1, large(128), 0.98),
        (64, 16, large(128), 0.95),
        // The narrow bus takes as long to load two operands as the array to multiply them: 96 % is its limit.
        (64, 256, large(64), 0.95),
        (64, 1, large(128), 0.55),
        (64, 1, large(64), 0.55),
    ] {
        let options = GemmOptions { m: size, k: size, n: size, repeat, resident: false };
        let program = gemm::build(&options, &config).expect("it fits").program;
        let inputs: Vec<Vec<u8>> = program.inputs.iter().map(|input| vec![1; input.elements()]).collect();
        let name = format!("{size}^3 x {repeat} on {} bits", config.bus_bits);
        let (_, cycles) = cycles(&name, &program, &inputs);
        let reached = (size * size * size * repeat) as f64 / (cycles as f64 * config.peak() as f64);
        assert!(reached >= least, "{name}: {:.1} %", 100.0 * reached);
    }
}
