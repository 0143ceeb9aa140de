//! Random networks through the compiler onto the Verilated accelerator, with random stalls, against the reference executor.
//!
//! The machine's engines overlap here as they do in real programs, so a missing token or a wrong address shows. Failures
//! print the case with its seed and shrink.

#[path = "../../crates/compiler/tests/generator/mod.rs"]
mod generator;

use frugal_compiler::{compile, CompileError, CompileOptions};
use frugal_device::{Device, RunOptions};
use frugal_graph::reference;
use frugal_isa::Config;
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::axi::Stalls;
use frugal_testbench::device::SimulationOptions;
use generator::{any_case, Case};
use proptest::prelude::*;

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
        depthwise_taps: cols.min(4),
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

fn check(case: &Case, stall_seed: Option<u64>) -> Result<(), TestCaseError> {
    let (graph, image) = case.graph();
    let options = CompileOptions { dump_layers: case.seed % 2 == 0 };
    let compiled = match compile(&graph, &case.config, &options) {
        Ok(compiled) => compiled,
        Err(CompileError::DoesNotFit(_)) => return Err(TestCaseError::reject("too large")),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    let expected = reference::run(&graph, &image).expect("one input");
    let image: Vec<u8> = image.iter().map(|x| *x as u8).collect();
    let simulation =
        SimulationOptions { stalls: stall_seed.map(Stalls::new), ..SimulationOptions::default() };
    let mut device = verilated_device(&case.config, &simulation, None).expect("a device");
    let result = device
        .run(&compiled.program, &[image], &RunOptions::default())
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
    for (layout, output) in compiled.program.outputs.iter().zip(&result.outputs) {
        let Some(operator) = graph.operators.iter().find(|op| op.name == layout.name) else { continue };
        let output: Vec<i8> = output.iter().map(|x| *x as i8).collect();
        prop_assert!(output == expected[operator.index], "{} differs", layout.name);
    }
    let results = compiled.finish(&result.outputs).expect("the outputs fit");
    prop_assert!(results[0] == *expected.last().expect("a layer"), "the model's output differs");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_give_the_reference_bytes(
        case in any_case(proptest::sample::select(configs())), stall_seed in proptest::option::of(any::<u64>())
    ) {
        check(&case, stall_seed)?;
    }
}
