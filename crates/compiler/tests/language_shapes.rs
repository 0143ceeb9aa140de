//! Small random language models of all families and odd shapes: programs on the functional simulator equal the integer model.

use frugal_compiler::language::{generate, LanguageCompileError};
use frugal_device::MemoryImage;
use frugal_golden::{Machine, Memory, RunOptions};
use frugal_isa::Config;
use frugal_language::integer::Cache;
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, ModelConfig, Precision, QuantisedModel, Reference};
use proptest::prelude::*;
use safetensors::tensor::{serialize_to_file, Dtype, TensorView};
use serde_json::json;

#[derive(Clone, Debug)]
struct Shape {
    family: &'static str,
    kv_heads: usize,
    shared: usize,
    head_dim: usize,
    hidden: usize,
    wide: usize,
    layers: usize,
    vocabulary: usize,
    tied: bool,
    seed: u64,
}

fn shapes() -> impl Strategy<Value = Shape> {
    (
        prop::sample::select(vec!["qwen3", "qwen2", "llama"]),
        (1usize..4, 1usize..4, prop::sample::select(vec![4usize, 8, 16, 24, 32])),
        (3usize..12, 3usize..20, 1usize..3),
        (20usize..90, any::<bool>(), any::<u64>()),
    )
        .prop_map(
            |(family, (kv_heads, shared, head_dim), (hidden, wide, layers), (vocabulary, tied, seed))| {
                Shape {
                    family,
                    kv_heads,
                    shared,
                    head_dim,
                    hidden: 6 * hidden,
                    wide: 5 * wide,
                    layers,
                    vocabulary,
                    tied,
                    seed,
                }
            },
        )
}

fn model(shape: &Shape, precision: Precision) -> QuantisedModel {
    model_of(shape, precision, 32)
}

/// Writes the model with random weights, reads it back and quantises it.
fn model_of(shape: &Shape, precision: Precision, positions: usize) -> QuantisedModel {
    let directory = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": shape.family, "vocab_size": shape.vocabulary, "hidden_size": shape.hidden,
        "intermediate_size": shape.wide, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.kv_heads * shape.shared, "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim, "max_position_embeddings": positions, "tie_word_embeddings": shape.tied
    });
    std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    let mut state = shape.seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = ModelConfig::open(directory.path())
        .unwrap()
        .tensors()
        .into_iter()
        .map(|t| {
            let count = t.shape.iter().product::<usize>();
            let centre = if t.name.contains("norm") { 1.0 } else { 0.0 };
            let bytes = (0..count).flat_map(|_| (centre + 0.5 * random()).to_le_bytes()).collect();
            (t.name, t.shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    serialize_to_file(views, None, &directory.path().join("model.safetensors")).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let ids: Vec<u32> = (0..24).map(|i| i * 7 % shape.vocabulary as u32).collect();
    quantise(&checkpoint, &Calibration::run(&reference, &[&ids]), precision).unwrap()
}

/// Ids that the integer model generates after the prompt.
fn greedy(model: &QuantisedModel, prompt: &[u32], tokens: usize) -> Vec<i32> {
    let mut cache = Cache::default();
    let mut next = 0;
    for id in prompt {
        next = largest(&model.step(&mut cache, *id, &mut |_, _, _| {}));
    }
    let mut generated = vec![next as i32];
    while generated.len() < tokens {
        next = largest(&model.step(&mut cache, next, &mut |_, _, _| {}));
        generated.push(next as i32);
    }
    generated
}

fn largest(logits: &[i32]) -> u32 {
    let most = logits.iter().max().unwrap();
    logits.iter().position(|l| l == most).unwrap() as u32
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn programs_equal_the_integer_model(
        shape in shapes(), preset in prop::sample::select(vec!["nano", "base", "large"]), four_bit in any::<bool>(),
        prompts in prop::collection::vec(1usize..7, 1..6), at_once in 1usize..5, tokens in 1usize..5,
        weight_depth in prop::option::of(prop::sample::select(vec![16usize, 32, 64, 128]))
    ) {
        let precision = if four_bit { Precision::W4A8 } else { Precision::W8A8 };
        let model = model(&shape, precision);
        let mut config = Config::preset(preset).unwrap();
        // Without room for all heads of the keys and values.
        config.weight_depth = weight_depth.unwrap_or(config.weight_depth);
        let prompts: Vec<Vec<u32>> = prompts
            .iter()
            .enumerate()
            .map(|(b, length)| (0..*length).map(|i| (i * 5 + 3 + 11 * b) as u32 % shape.vocabulary as u32).collect())
            .collect();
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let program = match generate(&model, &config, &lengths, at_once, tokens) {
            Ok(program) => program,
            Err(LanguageCompileError::Memory { .. } | LanguageCompileError::Context { .. }) => return Err(TestCaseError::reject("too large")),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let image = MemoryImage::place(&program, 0).unwrap();
        let mut memory = Memory::new(image.end());
        let input: Vec<u8> = prompts.iter().flatten().flat_map(|id| id.to_le_bytes()).collect();
        image.fill(&program, &[input], memory.as_mut_slice()).unwrap();
        let options = RunOptions { check_hazards: true, ..RunOptions::default() };
        let mut machine = Machine::new(&config).unwrap();
        if let Err(error) = machine.run_with(&program.commands, &mut memory, image.bases(), &options) {
            return Err(TestCaseError::fail(error.to_string()));
        }
        let found = &image.outputs(&program, memory.as_slice())[0];
        let found: Vec<i32> = found.chunks_exact(4).map(|w| i32::from_le_bytes(w.try_into().unwrap())).collect();
        for (b, prompt) in prompts.iter().enumerate() {
            let own: Vec<i32> = found.iter().skip(b).step_by(prompts.len()).copied().collect();
            prop_assert_eq!(own, greedy(&model, prompt, tokens), "sequence {} of {}", b, prompts.len());
        }
    }
}

/// Keys and values of one head at a time: 8 KV heads of 128 on `base`, whose scratchpad holds those of 80 positions of all heads.
#[test]
fn contexts_reach_as_far_as_one_head_of_keys_and_values_fits() {
    let shape = Shape {
        family: "qwen3",
        kv_heads: 8,
        shared: 2,
        head_dim: 128,
        hidden: 1024,
        wide: 3072,
        layers: 1,
        vocabulary: 32,
        tied: true,
        seed: 5,
    };
    let model = model_of(&shape, Precision::W8A8, 1024);
    let base = Config::preset("base").unwrap();
    let program = generate(&model, &base, &[8], 2, 633).unwrap();
    assert_eq!(program.outputs[0].shape, [633, 1]);
    match generate(&model, &base, &[8], 2, 650) {
        Err(LanguageCompileError::Context { positions: 657, wanted: 4096, .. }) => {}
        other => panic!("{other:?}"),
    }
}
