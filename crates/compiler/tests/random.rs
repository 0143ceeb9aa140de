//! Random networks on random accelerators, layer by layer against the reference executor, with hazards checked and engines
//! interleaved at random.
//!
//! `FRUGAL_RANDOM_NETWORKS` sets how many, `FRUGAL_RANDOM_SEED` the first seed; a failure prints its seed.

use frugal_compiler::{compile, ChipMemory, CompileError, CompileOptions};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_golden::Policy;
use frugal_graph::npy::Elements;
use frugal_graph::random::{network, Choice, Network, Options, Random};
use frugal_graph::reference;
use frugal_isa::Config;
use std::collections::BTreeMap;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is '{text}'")))
}

/// What became of a network.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Equal,
    DoesNotFit,
    HostInTheMiddle,
    Unsupported,
}

/// Compiles, runs and compares every layer.
fn check(case: &Network, config: &Config, dump_layers: bool) -> Outcome {
    let Network { seed, graph, inputs } = case;
    let context = format!("seed {seed}, {config:?}");
    let compiled = match compile(graph, config, &CompileOptions { dump_layers }) {
        Ok(compiled) => compiled,
        Err(CompileError::DoesNotFit(shortage)) => {
            assert!(shortage.needs > shortage.has, "{context}: {shortage:?}");
            if shortage.memory != ChipMemory::Accumulator && shortage.preset.is_none() {
                let huge = Config::preset("huge").expect("a preset");
                let error =
                    compile(graph, &huge, &CompileOptions { dump_layers }).expect_err("no preset would do");
                assert!(!matches!(error, CompileError::DoesNotFit(_)), "{context}: {error}");
            }
            return Outcome::DoesNotFit;
        }
        Err(CompileError::HostInTheMiddle { .. }) => return Outcome::HostInTheMiddle,
        Err(CompileError::Unsupported { problem, .. })
            if ["over the images of a batch", "kernels may be 256"]
                .iter()
                .any(|text| problem.contains(text)) =>
        {
            return Outcome::Unsupported
        }
        Err(error) => panic!("{context}: {error}"),
    };
    let expected = reference::run_all(graph, inputs).expect("inputs of the graph");
    let prepared = compiled.prepare(inputs).expect("inputs of the graph");
    for policy in [Policy::ProgramOrder, Policy::Random(*seed), Policy::Random(!seed)] {
        let mut device = GoldenDevice::new(config).expect("a valid configuration");
        device.policy = policy;
        let result = device
            .run(&compiled.program, &prepared, &RunOptions::default())
            .unwrap_or_else(|error| panic!("{context}, {policy:?}: {error}"));
        for (layout, output) in compiled.program.outputs.iter().zip(&result.outputs) {
            let Some(operator) = graph.operators.iter().find(|op| op.name == layout.name) else {
                continue;
            };
            let output = Elements::I8(output.iter().map(|x| *x as i8).collect());
            assert!(output == expected[operator.index], "{context}: {} differs", layout.name);
        }
        let results = compiled.finish(&result.outputs).expect("the outputs fit");
        for (id, result) in graph.outputs.iter().zip(&results) {
            let Some(operator) = graph.operators.iter().find(|operator| operator.outputs.contains(id)) else {
                continue;
            };
            assert!(*result == expected[operator.index], "{context}: output {} differs", operator.name);
        }
    }
    let model = frugal_compiler::CostModel::default();
    assert!(!frugal_compiler::estimate::estimate(&compiled.program, &model).stuck, "{context}");
    Outcome::Equal
}

/// Any shape of the array; memories from the smallest on.
fn random_config(random: &mut Random) -> Config {
    let rows = 1 << random.within(3, 5);
    let cols = (1usize << random.within(1, 5)).min(rows);
    let lanes = (1usize << random.within(1, 5)).min(cols);
    let mut depth = |low, high| 1usize << random.within(low, high);
    Config {
        name: "random".into(),
        rows,
        cols,
        lanes,
        activation_depth: depth(6, 12),
        weight_depth: depth(4, 9),
        parameter_depth: depth(2, 7).max(2 * rows / lanes),
        accumulator_depth: depth(2, 9),
        tables: depth(0, 3),
        four_bit: true,
        row_engine: true,
        counters: true,
        base_registers: 8,
        depthwise_taps: depth(1, 3).min(cols),
        sequential: false,
        queue_depth: depth(1, 4),
        bus_bits: 64 << depth(0, 1).ilog2(),
    }
}

fn run(networks: u64, options: &Options, config: impl Fn(u64) -> Config) -> BTreeMap<Outcome, u64> {
    let first = setting("FRUGAL_RANDOM_SEED", 0);
    let mut outcomes = BTreeMap::new();
    for seed in first..first + setting("FRUGAL_RANDOM_NETWORKS", networks) {
        let case = network(seed, options);
        *outcomes.entry(check(&case, &config(seed), seed % 2 == 0)).or_insert(0) += 1;
    }
    eprintln!("{outcomes:?}");
    outcomes
}

#[test]
fn random_networks_on_random_accelerators() {
    let outcomes = run(400, &Options::default(), |seed| random_config(&mut Random::new(!seed)));
    assert!(outcomes[&Outcome::Equal] > outcomes.values().sum::<u64>() / 4, "{outcomes:?}");
}

#[test]
fn random_networks_on_presets() {
    let choices = Choice::ALL.into_iter().filter(|choice| *choice != Choice::Softmax).collect();
    let options = Options { choices, ..Options::default() };
    let outcomes =
        run(400, &options, |seed| Config::preset(Config::PRESETS[seed as usize % 3]).expect("a preset"));
    assert!(!outcomes.contains_key(&Outcome::DoesNotFit), "{outcomes:?}");
    assert!(outcomes[&Outcome::Equal] > outcomes.values().sum::<u64>() * 9 / 10, "{outcomes:?}");
}
