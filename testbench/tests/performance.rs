//! The cycles that the project promises, on the Verilated accelerator, and the cycle model against them.
//!
//! Cycles are exact, so these are no timed tests. Networks have published shapes and random weights; where the real ones are small
//! enough to come with the project's tests (resnet8, keyword spotting, wake word), they take the same number of cycles.

use frugal_compiler::gemm::{self, GemmOptions};
use frugal_compiler::language::generate;
use frugal_compiler::{compile, estimate_cycles, CompileOptions, CostModel};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_graph::npy::Elements;
use frugal_graph::{reference, zoo, Graph};
use frugal_isa::{Config, Program};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, Precision, Reference};
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

/// What a generation of models/tiny-qwen3 costs behind its prompts.
struct Decode {
    rounds: u64,
    cycles: u64,
    bytes: u64,
    utilisation: f64,
}

/// So many tokens behind prompts of two, in 8-bit weights; the cycle model must agree, and ids with the functional simulator.
fn decode(config: &Config, sequences: usize, tokens: usize) -> Decode {
    let directory = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-qwen3"));
    let checkpoint = Checkpoint::open(directory).expect("a checkpoint");
    let ids: Vec<u32> = (0..128).map(|i| i * 37 % 512).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint).expect("weights"), &[&ids]);
    let model = quantise(&checkpoint, &calibration, Precision::W8A8).expect("a model");
    let input: Vec<u8> = (0..2 * sequences).flat_map(|i| (i as u32 * 91 % 512).to_le_bytes()).collect();
    let run = |tokens: usize| {
        let program = generate(&model, config, &vec![2; sequences], 2, tokens).expect("a program");
        let mut device = verilated_device(config, &SimulationOptions::default(), None).expect("a device");
        let inputs = std::slice::from_ref(&input);
        let result = device.run(&program, inputs, &RunOptions::default()).expect("it runs");
        let golden =
            GoldenDevice::new(config).expect("a device").run(&program, inputs, &RunOptions::default());
        assert!(golden.expect("it runs").outputs == result.outputs, "ids differ");
        let model_cycles = estimate_cycles(&program, &CostModel::default());
        let statistics = result.statistics;
        let bytes = statistics.bytes_read.expect("bytes") + statistics.bytes_written.expect("bytes");
        (statistics.cycles.expect("cycles"), bytes, program.macs(), model_cycles)
    };
    let (all, alone) = (run(tokens), run(1));
    let (cycles, predicted) = (all.0 - alone.0, all.3 - alone.3);
    let error = predicted as f64 / cycles as f64 - 1.0;
    let utilisation = (all.2 - alone.2) as f64 / (cycles as f64 * config.peak() as f64);
    eprintln!(
        "decode of {sequences} on {}: {cycles} cycles, utilisation {:.1} %, the model says {:+.1} %",
        config.name,
        100.0 * utilisation,
        100.0 * error
    );
    assert!(error.abs() <= MODEL_ERROR, "the model says {predicted}");
    Decode { rounds: tokens as u64 - 1, cycles, bytes: all.1 - alone.1, utilisation }
}

#[test]
fn language_models_keep_bus_and_array_busy() {
    let base = Config::preset("base").expect("a preset");
    // One sequence is as fast as its weights come from memory.
    let one = decode(&base, 1, 4);
    let share = one.bytes as f64 / (one.cycles as f64 * base.bus_bytes() as f64);
    assert!(share >= 0.9, "{:.1} % of the bus, {} cycles a token", 100.0 * share, one.cycles / one.rounds);
    // Where they stay on the chip, the array is the limit.
    let mut resident = Config { weight_depth: 8192, parameter_depth: 1024, ..base.clone() };
    resident.name = "base with room for the model".into();
    assert!(decode(&resident, 1, 4).utilisation >= 0.6);
    // Sixteen sequences share what is streamed.
    assert!(decode(&base, 16, 4).utilisation >= 0.7);
}

#[test]
fn prompts_keep_the_array_busy() {
    let config = Config::preset("base").expect("a preset");
    let directory = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-qwen3"));
    let checkpoint = Checkpoint::open(directory).expect("a checkpoint");
    let ids: Vec<u32> = (0..128).map(|i| i * 37 % 512).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint).expect("weights"), &[&ids]);
    let model = quantise(&checkpoint, &calibration, Precision::W8A8).expect("a model");
    let program = generate(&model, &config, &[128], 32, 1).expect("a program");
    let input: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let (_, cycles) = cycles("a prompt of 128 tokens", &program, &[input]);
    let utilisation = program.macs() as f64 / (cycles as f64 * config.peak() as f64);
    assert!(utilisation >= 0.75, "{:.1} %", 100.0 * utilisation);
}
