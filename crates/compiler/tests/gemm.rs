//! Matrix products on the functional simulator against plain loops.

use frugal_compiler::estimate::estimate;
use frugal_compiler::gemm::{build, reference, GemmOptions};
use frugal_compiler::{CompileError, CostModel};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_golden::Policy;
use frugal_isa::Config;
use proptest::prelude::*;

fn random_bytes(count: usize, seed: u64) -> Vec<i8> {
    let mut state = seed | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as i8
        })
        .collect()
}

fn bytes(elements: &[i8]) -> Vec<u8> {
    elements.iter().map(|x| *x as u8).collect()
}

/// Builds, runs and compares; the estimated cycles of the program.
fn check(options: &GemmOptions, config: &Config, policy: Policy, seed: u64) -> Result<u64, String> {
    let GemmOptions { m, k, n, .. } = *options;
    let gemm = build(options, config).map_err(|error| error.to_string())?;
    let (a, b) = (random_bytes(m * k, seed), random_bytes(k * n, seed ^ 0x5555));
    let mut device = GoldenDevice::new(config).map_err(|error| error.to_string())?;
    device.policy = policy;
    let mut inputs = vec![bytes(&a), bytes(&b)];
    if let Some(preload) = &gemm.preload {
        let b = inputs.pop().expect("two inputs");
        device.run(preload, &[b], &RunOptions::default()).map_err(|error| error.to_string())?;
    }
    let result =
        device.run(&gemm.program, &inputs, &RunOptions::default()).map_err(|error| error.to_string())?;
    if result.outputs[0] != bytes(&reference(m, k, n, &a, &b)) {
        return Err(format!("{options:?} on {}: the result differs", config.name));
    }
    let estimate = estimate(&gemm.program, &CostModel::default());
    if estimate.stuck {
        return Err("the estimate is stuck".to_owned());
    }
    eprintln!(
        "{m}x{k}x{n} times {}{} on {} with {} bits: {} commands, about {} cycles, utilisation {:.1} %",
        options.repeat,
        if options.resident { ", resident" } else { "" },
        config.name,
        config.bus_bits,
        gemm.program.commands.len(),
        estimate.cycles,
        100.0 * estimate.utilisation(&gemm.program)
    );
    Ok(estimate.cycles)
}

fn large() -> Config {
    Config::preset("large").expect("a preset").with_bus_bits(128)
}

fn utilisation(options: &GemmOptions, config: &Config) -> f64 {
    let cycles = check(options, config, Policy::ProgramOrder, 1).unwrap_or_else(|error| panic!("{error}"));
    let macs = options.m * options.k * options.n * options.repeat;
    macs as f64 / (cycles * config.peak() as u64) as f64
}

#[test]
fn large_product_reaches_its_target() {
    let options = GemmOptions { m: 512, k: 512, n: 512, repeat: 1, resident: false };
    assert!(utilisation(&options, &large()) > 0.98);
}

#[test]
fn repeated_small_products_reach_their_target() {
    let options = GemmOptions { m: 64, k: 64, n: 64, repeat: 32, resident: false };
    assert!(utilisation(&options, &large()) > 0.95);
    let options = GemmOptions { m: 64, k: 64, n: 64, repeat: 8, resident: false };
    assert!(utilisation(&options, &large()) > 0.85);
}

#[test]
fn resident_vector_reaches_its_target() {
    let options = GemmOptions { m: 1, k: 512, n: 512, repeat: 1, resident: true };
    assert!(utilisation(&options, &large()) > 0.90);
    check(&options, &Config::preset("large").expect("a preset"), Policy::ProgramOrder, 1).expect("right");
}

#[test]
fn every_preset_computes_products_larger_than_its_memories() {
    for preset in Config::PRESETS {
        let config = Config::preset(preset).expect("a preset");
        for (m, k, n) in [(130, 300, 700), (3, 5000, 40), (700, 20, 33), (1, 1, 1), (65, 129, 257)] {
            let options = GemmOptions { m, k, n, repeat: 2, resident: false };
            check(&options, &config, Policy::Random(7), 3).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn impossible_products_are_named() {
    let options = GemmOptions { m: 1, k: 0, n: 1, repeat: 1, resident: false };
    let error = build(&options, &large()).expect_err("no reduction");
    assert!(matches!(error, CompileError::Product { k: 0, .. }), "{error}");
    let options = GemmOptions { m: 1, k: 4096, n: 4096, repeat: 1, resident: true };
    let text = build(&options, &large()).expect_err("too large").to_string();
    assert!(text.contains("1024 weight tiles"), "{text}");
}

fn any_config() -> impl Strategy<Value = Config> {
    let shape = (3u32..=5).prop_flat_map(|rows| (Just(rows), 1..=rows)).prop_flat_map(|(rows, cols)| {
        (1..=cols).prop_map(move |lanes| (1usize << rows, 1usize << cols, 1usize << lanes))
    });
    (shape, 5u32..=12, 4u32..=10, 4u32..=8, 4u32..=10, 1u32..=4, any::<bool>()).prop_map(
        |((rows, cols, lanes), activation, weight, parameter, accumulator, queue, wide)| Config {
            name: "random".into(),
            rows,
            cols,
            lanes,
            activation_depth: 1 << activation,
            weight_depth: 1 << weight,
            parameter_depth: (1 << parameter).max(2 * rows / lanes),
            accumulator_depth: 1 << accumulator,
            tables: 2,
            four_bit: true,
            row_engine: true,
            counters: true,
            base_registers: 8,
            depthwise_taps: cols.min(4),
            sequential: false,
            queue_depth: 1 << queue,
            bus_bits: if wide { 128 } else { 64 },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_products_on_random_accelerators(
        config in any_config(), m in 1usize..70, k in 1usize..150, n in 1usize..150, repeat in 1usize..4,
        resident: bool, seed: u64,
    ) {
        let options = GemmOptions { m, k, n, repeat, resident };
        if build(&options, &config).map_err(|e| matches!(e, CompileError::Product { .. })) != Err(true) {
            check(&options, &config, Policy::Random(seed), seed).map_err(TestCaseError::fail)?;
        }
    }
}
