//! Random networks through the compiler onto the Verilated accelerator, with random stalls, against the reference executor.
//!
//! The machine's engines overlap here as they do in real programs, so a missing token or a wrong address shows. Failures
//! print the case with its seed and shrink.

use frugal_compiler::{compile, CompileError, CompileOptions};
use frugal_device::{Device, RunOptions};
use frugal_graph::npy::Elements;
use frugal_graph::random::{network, Network, Options};
use frugal_graph::reference;
use frugal_isa::Config;
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::axi::Stalls;
use frugal_testbench::device::SimulationOptions;

/// Shapes of every kind, few enough that each is Verilated once; memories from tight to ample.
fn configs() -> Vec<Config> {
    let config = |rows, cols, lanes, bus_bits, activation_depth, weight_depth, accumulator_depth| Config {
        name: format!("random_{rows}x{cols}"),
        rows,
        cols,
        lanes,
        activation_depth,
        weight_depth,
        parameter_depth: 32,
        accumulator_depth,
        tables: 2,
        four_bit: true,
        row_engine: true,
        counters: true,
        base_registers: 8,
        depthwise_taps: cols.min(4),
        sequential: false,
        queue_depth: 4,
        bus_bits,
    };
    vec![
        config(8, 8, 4, 64, 1024, 128, 128),
        config(8, 4, 2, 128, 512, 256, 64),
        config(16, 8, 4, 64, 256, 64, 64),
        config(16, 16, 8, 128, 512, 128, 256),
        config(32, 8, 2, 128, 128, 32, 64),
    ]
}

/// Compiles, runs and compares every layer; false when the compiler refuses.
fn check(case: &Network, config: &Config, dump_layers: bool, stall_seed: Option<u64>) -> bool {
    let Network { seed, graph, inputs } = case;
    let context = format!("seed {seed} on {}", config.name);
    let compiled = match compile(graph, config, &CompileOptions { dump_layers }) {
        Ok(compiled) => compiled,
        // crates/compiler/tests/random.rs looks at the reasons.
        Err(CompileError::DoesNotFit(_) | CompileError::HostInTheMiddle { .. }) => return false,
        Err(CompileError::Unsupported { .. }) => return false,
        Err(error) => panic!("{context}: {error}"),
    };
    let expected = reference::run_all(graph, inputs).expect("inputs of the graph");
    let prepared = compiled.prepare(inputs).expect("inputs of the graph");
    let simulation =
        SimulationOptions { stalls: stall_seed.map(Stalls::new), ..SimulationOptions::default() };
    let mut device = verilated_device(config, &simulation, None).expect("a device");
    let result = device
        .run(&compiled.program, &prepared, &RunOptions::default())
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(device.system_mut().model_mut().errors(), 0, "{context}: assertions in the Verilog failed");
    for (layout, output) in compiled.program.outputs.iter().zip(&result.outputs) {
        let Some(operator) = graph.operators.iter().find(|op| op.name == layout.name) else { continue };
        let output = Elements::I8(output.iter().map(|x| *x as i8).collect());
        assert!(output == expected[operator.index], "{context}: {} differs", layout.name);
    }
    let results = compiled.finish(&result.outputs).expect("the outputs fit");
    for (id, result) in graph.outputs.iter().zip(&results) {
        if let Some(operator) = graph.operators.iter().find(|operator| operator.outputs.contains(id)) {
            assert!(*result == expected[operator.index], "{context}: output {} differs", operator.name);
        }
    }
    true
}

/// `FRUGAL_RANDOM_NETWORKS` sets how many, `FRUGAL_RANDOM_SEED` the first seed; a failure prints its seed.
#[test]
fn random_networks_give_the_reference_bytes() {
    let setting = |name: &str, default: u64| {
        std::env::var(name)
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is '{text}'")))
    };
    let (first, count) = (setting("FRUGAL_RANDOM_SEED", 0), setting("FRUGAL_RANDOM_NETWORKS", 200));
    let configs = configs();
    let options = Options { max_elements: 1_500, max_macs: 100_000, ..Options::default() };
    let mut compared = 0;
    for seed in first..first + count {
        let case = network(seed, &options);
        let stalls = (seed % 3 != 0).then_some(seed);
        let config = &configs[seed as usize % configs.len()];
        compared += u64::from(check(&case, config, seed % 2 == 0, stalls));
    }
    assert!(3 * compared > count, "only {compared} of {count} networks were compared");
}
