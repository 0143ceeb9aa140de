//! Random networks on random accelerators, layer by layer against the reference executor, with hazards checked and engines
//! interleaved at random.

mod generator;

use frugal_compiler::{compile, ChipMemory, CompileError, CompileOptions};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_golden::Policy;
use frugal_graph::reference;
use frugal_isa::Config;
use generator::{any_case, Case};
use proptest::prelude::*;

/// Compiles and compares every layer; false when the accelerator is too small.
fn check(case: &Case) -> Result<bool, TestCaseError> {
    let (graph, image) = case.graph();
    let options = CompileOptions { dump_layers: case.seed % 2 == 0 };
    let compiled = match compile(&graph, &case.config, &options) {
        Ok(compiled) => compiled,
        Err(CompileError::DoesNotFit(shortage)) => {
            prop_assert!(shortage.needs > shortage.has, "{:?}", shortage);
            if shortage.memory != ChipMemory::Accumulator {
                prop_assert!(shortage.preset.is_some(), "{:?}", shortage);
            }
            return Ok(false);
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    let expected = reference::run(&graph, &image).expect("one input");
    let image: Vec<u8> = image.iter().map(|x| *x as u8).collect();
    for policy in [Policy::ProgramOrder, Policy::Random(case.seed), Policy::Random(!case.seed)] {
        let mut device = GoldenDevice::new(&case.config).expect("a valid configuration");
        device.policy = policy;
        let result = device
            .run(&compiled.program, std::slice::from_ref(&image), &RunOptions::default())
            .map_err(|error| TestCaseError::fail(format!("{policy:?}: {error}")))?;
        for (layout, output) in compiled.program.outputs.iter().zip(&result.outputs) {
            let Some(operator) = graph.operators.iter().find(|op| op.name == layout.name) else {
                continue;
            };
            let output: Vec<i8> = output.iter().map(|x| *x as i8).collect();
            prop_assert!(output == expected[operator.index], "{} differs", layout.name);
        }
        let results = compiled.finish(&result.outputs).expect("the outputs fit");
        if let Some(expected) = expected.last() {
            prop_assert!(results[0] == *expected, "the model's output differs");
        }
    }
    let model = frugal_compiler::CostModel::default();
    prop_assert!(!frugal_compiler::estimate::estimate(&compiled.program, &model).stuck);
    Ok(true)
}

/// Depths from `low` to `high` as exponents of two.
fn depth(low: u32, high: u32) -> impl Strategy<Value = usize> {
    (low..=high).prop_map(|exponent| 1usize << exponent)
}

/// Any shape of the array; memories from the smallest on.
fn any_config() -> impl Strategy<Value = Config> {
    let shape = (3u32..=5).prop_flat_map(|rows| (Just(rows), 1..=rows)).prop_flat_map(|(rows, cols)| {
        (1..=cols).prop_map(move |lanes| (1usize << rows, 1usize << cols, 1usize << lanes))
    });
    let depths = (depth(5, 11), depth(3, 9), depth(2, 7), depth(2, 9), depth(1, 4));
    (shape, depths, any::<bool>()).prop_map(|((rows, cols, lanes), depths, wide)| Config {
        name: "random".into(),
        rows,
        cols,
        lanes,
        activation_depth: depths.0,
        weight_depth: depths.1,
        parameter_depth: depths.2.max(2 * rows / lanes),
        accumulator_depth: depths.3,
        tables: 2,
        depthwise_taps: cols.min(4),
        queue_depth: depths.4,
        bus_bits: if wide { 128 } else { 64 },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_on_random_accelerators(case in any_case(any_config())) {
        check(&case)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_on_presets(
        case in any_case(proptest::sample::select(&Config::PRESETS[..3]).prop_map(|name| Config::preset(name).unwrap()))
    ) {
        prop_assert!(check(&case)?, "every such network fits a preset");
    }
}
