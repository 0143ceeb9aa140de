//! Language models on the Verilated accelerator: the same bits as the functional simulator.

use frugal_compiler::language::{forward, generate, generate_traced};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_isa::Config;
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::synthetic::{shape, write_checkpoint, FloatType};
use frugal_language::{Checkpoint, Precision, QuantisedModel, Reference};
use frugal_language::{Family, ModelConfig};
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::axi::Stalls;
use frugal_testbench::device::SimulationOptions;
use proptest::prelude::*;
use std::path::Path;

fn model(precision: Precision) -> QuantisedModel {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-qwen3"));
    let checkpoint = Checkpoint::open(directory).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let ids: Vec<u32> = (0..128).map(|i| i * 37 % 512).collect();
    let calibration = Calibration::run(&reference, &[&ids]);
    quantise(&checkpoint, &calibration, precision).unwrap()
}

fn check(precision: Precision, config: &Config, tokens: usize, stalls: Option<u64>) {
    let program = forward(&model(precision), config, 0, tokens, 256).unwrap();
    let ids: Vec<u32> = (0..tokens).map(|i| (i * 91 + 7) as u32 % 512).collect();
    let input: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let wanted = GoldenDevice::new(config).unwrap().run(
        &program,
        std::slice::from_ref(&input),
        &RunOptions::default(),
    );
    let options = SimulationOptions { stalls: stalls.map(Stalls::new), ..SimulationOptions::default() };
    let mut device = verilated_device(config, &options, None).unwrap();
    let found = device.run(&program, &[input], &RunOptions::default()).unwrap();
    assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
    assert!(found.outputs == wanted.unwrap().outputs, "{} {precision:?} {stalls:?}", config.name);
    let statistics = &found.statistics;
    println!(
        "{} {precision:?} {tokens} tokens, stalls {stalls:?}: {:?} cycles, utilisation {:?}, {} commands",
        config.name,
        statistics.cycles,
        statistics.utilisation(),
        statistics.commands
    );
}

#[test]
fn the_accelerator_gives_the_logits_of_the_functional_simulator() {
    for name in ["base", "nano", "large"] {
        let config = Config::preset(name).unwrap();
        for precision in [Precision::W8A8, Precision::W4A8] {
            check(precision, &config, 4, None);
            check(precision, &config, 3, Some(7));
        }
    }
    check(Precision::W8A8, &Config::preset("base").unwrap(), 1, None);
    check(Precision::W4A8, &Config::preset("base").unwrap(), 1, None);
}

/// Runs a generation on both, and returns the cycles.
fn generation(
    precision: Precision,
    config: &Config,
    prompts: &[usize],
    tokens: usize,
    stalls: Option<u64>,
) -> u64 {
    let program = generate(&model(precision), config, prompts, 8, tokens).unwrap();
    let ids =
        prompts.iter().enumerate().flat_map(|(b, prompt)| (0..*prompt).map(move |i| i * 91 + 7 + 13 * b));
    let input: Vec<u8> = ids.flat_map(|id| (id as u32 % 512).to_le_bytes()).collect();
    let wanted = GoldenDevice::new(config).unwrap().run(
        &program,
        std::slice::from_ref(&input),
        &RunOptions::default(),
    );
    let options = SimulationOptions { stalls: stalls.map(Stalls::new), ..SimulationOptions::default() };
    let mut device = verilated_device(config, &options, None).unwrap();
    let found = device.run(&program, &[input], &RunOptions::default()).unwrap();
    assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
    assert!(found.outputs == wanted.unwrap().outputs, "{} {precision:?} {stalls:?}", config.name);
    found.statistics.cycles.unwrap()
}

#[test]
fn generations_run_on_the_accelerator() {
    let base = Config::preset("base").unwrap();
    let mut resident = base.clone();
    resident.name = "base with room for the model".into();
    (resident.weight_depth, resident.parameter_depth) = (8192, 1024);
    for precision in [Precision::W8A8, Precision::W4A8] {
        for config in [&base, &resident] {
            let one = generation(precision, config, &[6], 2, None);
            let many = generation(precision, config, &[6], 10, None);
            println!("{} {precision:?}: {} cycles a token at position 12", config.name, (many - one) / 8);
        }
    }
    generation(Precision::W8A8, &base, &[3], 3, Some(11));
}

#[test]
fn sequences_of_different_lengths_share_the_weights() {
    for (name, precision) in
        [("base", Precision::W8A8), ("nano", Precision::W4A8), ("large", Precision::W4A8)]
    {
        let config = Config::preset(name).unwrap();
        generation(precision, &config, &[3, 9, 1, 5, 2], 4, None);
        generation(precision, &config, &[1, 4], 3, Some(5));
    }
}

/// The scratchpad of `nano` holds keys and values of one of the two heads.
#[test]
fn heads_of_a_long_context_take_turns() {
    generation(Precision::W4A8, &Config::preset("nano").unwrap(), &[170], 3, None);
}

/// Runs a generation on both, and compares every intermediate tensor of every position.
fn trace(precision: Precision, config: &Config, prompts: &[usize], tokens: usize, stalls: Option<u64>) {
    let (program, tensors) = generate_traced(&model(precision), config, prompts, 8, tokens).unwrap();
    let ids =
        prompts.iter().enumerate().flat_map(|(b, prompt)| (0..*prompt).map(move |i| i * 91 + 7 + 13 * b));
    let input: Vec<u8> = ids.flat_map(|id| (id as u32 % 512).to_le_bytes()).collect();
    let options = RunOptions { keep_workspace: true, ..RunOptions::default() };
    let golden = GoldenDevice::new(config).unwrap().run(&program, std::slice::from_ref(&input), &options);
    let wanted = golden.unwrap().workspace.unwrap();
    let simulation = SimulationOptions { stalls: stalls.map(Stalls::new), ..SimulationOptions::default() };
    let mut device = verilated_device(config, &simulation, None).unwrap();
    let found = device.run(&program, &[input], &options).unwrap();
    assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
    let found = found.workspace.unwrap();
    for tensor in &tensors {
        for round in 0..tensor.rounds {
            let bytes = tensor.offset + round * tensor.bytes..tensor.offset + (round + 1) * tensor.bytes;
            let differing =
                wanted[bytes.clone()].iter().zip(&found[bytes.clone()]).filter(|(w, f)| w != f).count();
            assert_eq!(
                differing, 0,
                "{} {precision:?} stalls {stalls:?}: bytes of {} of layer {}, pass {}, round {round}",
                config.name, tensor.name, tensor.layer, tensor.pass
            );
            assert!(wanted[bytes].iter().any(|byte| *byte != 0), "{} is empty", tensor.name);
        }
    }
    assert!(found == wanted, "{} {precision:?} stalls {stalls:?}: caches or ids", config.name);
    let instances: usize = tensors.iter().map(|t| t.rounds).sum();
    println!("{} {precision:?} stalls {stalls:?}: {instances} tensors equal, {tokens} tokens", config.name);
}

/// With `FRUGAL_TRACE_TOKENS` so many tokens on all presets, in both precisions, with and without stalls: 32 take minutes.
#[test]
fn every_intermediate_tensor_is_that_of_the_functional_simulator() {
    let preset = |name| Config::preset(name).unwrap();
    if let Ok(tokens) = std::env::var("FRUGAL_TRACE_TOKENS") {
        let tokens = tokens.parse().unwrap_or_else(|_| panic!("FRUGAL_TRACE_TOKENS is '{tokens}'"));
        for name in ["nano", "base", "large"] {
            for precision in [Precision::W8A8, Precision::W4A8] {
                for stalls in [None, Some(2026)] {
                    trace(precision, &preset(name), &[4], tokens, stalls);
                }
            }
        }
        return;
    }
    trace(Precision::W8A8, &preset("base"), &[5], 5, Some(3));
    trace(Precision::W4A8, &preset("nano"), &[3], 3, None);
    trace(Precision::W4A8, &preset("large"), &[3, 1], 4, Some(9));
}

/// A small model with random weights.
fn random_model(config: &ModelConfig, precision: Precision, seed: u64) -> QuantisedModel {
    let directory = tempfile::tempdir().unwrap();
    write_checkpoint(directory.path(), config, FloatType::F32, seed).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let ids: Vec<u32> = (0..16).map(|i| i * 7 % config.vocab_size as u32).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint).unwrap(), &[&ids]);
    quantise(&checkpoint, &calibration, precision).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, ..ProptestConfig::default() })]

    /// All families, odd numbers of heads, heads of their own for the logits, sizes that need padding; several sequences and stalls.
    #[test]
    fn random_models_run_on_the_accelerator(
        family in prop::sample::select(vec![Family::Qwen3, Family::Qwen2, Family::Llama]),
        preset in prop::sample::select(vec!["nano", "base", "large"]), four_bit in any::<bool>(), tied in any::<bool>(),
        (kv_heads, shared, half_dim) in (1usize..4, 1usize..4, 2usize..13),
        (hidden_size, intermediate_size, layers, vocab_size) in (8usize..70, 8usize..90, 1usize..3, 10usize..90),
        prompts in prop::collection::vec(1usize..6, 1..4), tokens in 1usize..5, (seed, stalls) in (any::<u64>(), any::<Option<u64>>())
    ) {
        let shape = ModelConfig {
            family, hidden_size, intermediate_size, layers, heads: kv_heads * shared, kv_heads, head_dim: 2 * half_dim, vocab_size,
            max_positions: 16, tied, qkv_bias: family == Family::Qwen2, qk_norm: family == Family::Qwen3, bos: None, eos: vec![],
            ..shape("qwen3-0.6b").unwrap()
        };
        let model = random_model(&shape, if four_bit { Precision::W4A8 } else { Precision::W8A8 }, seed);
        let config = Config::preset(preset).unwrap();
        let program = generate(&model, &config, &prompts, 3, tokens).unwrap();
        let ids = (0..prompts.iter().sum::<usize>()).map(|i| ((i * 13 + 5) % vocab_size) as u32);
        let input: Vec<u8> = ids.flat_map(u32::to_le_bytes).collect();
        let options = RunOptions { keep_workspace: true, ..RunOptions::default() };
        let inputs = std::slice::from_ref(&input);
        let wanted = GoldenDevice::new(&config).unwrap().run(&program, inputs, &options).unwrap();
        let simulation = SimulationOptions { stalls: stalls.map(Stalls::new), ..SimulationOptions::default() };
        let mut device = verilated_device(&config, &simulation, None).unwrap();
        let found = device.run(&program, inputs, &options).unwrap();
        prop_assert_eq!(device.system_mut().model_mut().errors(), 0);
        prop_assert!(found.outputs == wanted.outputs, "ids differ");
        prop_assert!(found.workspace == wanted.workspace, "caches differ");
    }
}
