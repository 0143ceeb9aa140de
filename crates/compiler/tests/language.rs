//! Language models: programs on the functional simulator against the integer model, bit for bit.

use frugal_compiler::language::{forward, forward_one_of, generate, generate_traced, step, Run, Traced};
use frugal_device::MemoryImage;
use frugal_golden::{Machine, Memory, RunOptions};
use frugal_isa::{Config, Program};
use frugal_language::integer::{Cache, Step};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, Precision, QuantisedModel, Reference};
use std::path::Path;

fn model(precision: Precision) -> QuantisedModel {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny-qwen3"));
    let checkpoint = Checkpoint::open(directory).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let ids: Vec<u32> = (0..128).map(|i| i * 37 % 512).collect();
    let calibration = Calibration::run(&reference, &[&ids]);
    quantise(&checkpoint, &calibration, precision).unwrap()
}

/// Runs the program with hazard checks on a workspace, which is kept.
fn run(program: &Program, ids: &[u32], workspace: &mut Vec<u8>) -> Vec<Vec<i32>> {
    run_with(program, &[ids], workspace)
}

fn run_with(program: &Program, inputs: &[&[u32]], workspace: &mut Vec<u8>) -> Vec<Vec<i32>> {
    let bytes = |ids: &&[u32]| -> Vec<u8> { ids.iter().flat_map(|id| id.to_le_bytes()).collect() };
    let inputs: Vec<Vec<u8>> = inputs.iter().map(bytes).collect();
    let image = MemoryImage::place(program, 0).unwrap();
    let mut machine = Machine::new(&program.config).unwrap();
    workspace.resize(program.workspace_bytes, 0);
    let base = image.bases()[1] as usize;
    let mut memory = Memory::new(image.end());
    memory.as_mut_slice()[base..base + workspace.len()].copy_from_slice(workspace);
    image.fill(program, &inputs, memory.as_mut_slice()).unwrap();
    let options = RunOptions { check_hazards: true, ..RunOptions::default() };
    machine
        .run_with(&program.commands, &mut memory, image.bases(), &options)
        .unwrap_or_else(|error| panic!("{error}"));
    workspace.copy_from_slice(&memory.as_slice()[base..base + program.workspace_bytes]);
    program
        .outputs
        .iter()
        .map(|tensor| {
            let dense = tensor.gather(workspace);
            dense.chunks_exact(4).map(|w| i32::from_le_bytes(w.try_into().unwrap())).collect()
        })
        .collect()
}

fn check(precision: Precision, config: &Config, chunks: &[usize]) {
    let model = model(precision);
    let mut cache = Cache::default();
    let mut workspace = Vec::new();
    let mut start = 0;
    for tokens in chunks {
        let ids: Vec<u32> = (start..start + tokens).map(|i| (i * 91 + 7) as u32 % 512).collect();
        let program = forward(&model, config, start, *tokens, 256).unwrap();
        let outputs = run(&program, &ids, &mut workspace);
        for (t, id) in ids.iter().enumerate() {
            let wanted = model.step(&mut cache, *id, &mut |_, _, _| {});
            let found = &outputs[0][t * 512..(t + 1) * 512];
            let differing = found.iter().zip(&wanted).filter(|(f, w)| f != w).count();
            assert_eq!(differing, 0, "logits of position {} of {}", start + t, config.name);
            let largest = wanted.iter().max().unwrap();
            let next = wanted.iter().position(|l| l == largest).unwrap();
            assert_eq!(outputs[1][t] as usize, next);
        }
        start += tokens;
    }
}

#[test]
fn eight_bits_give_the_integer_model() {
    for name in ["base", "nano", "large"] {
        check(Precision::W8A8, &Config::preset(name).unwrap(), &[2, 1, 3]);
    }
}

#[test]
fn four_bits_give_the_integer_model() {
    for name in ["base", "nano", "large"] {
        check(Precision::W4A8, &Config::preset(name).unwrap(), &[1, 2, 1]);
    }
}

/// Ids that the integer model generates after a prompt.
fn greedy(model: &QuantisedModel, prompt: &[u32], tokens: usize) -> Vec<i32> {
    let mut cache = Cache::default();
    let mut generated = Vec::new();
    let mut next = 0;
    let mut fed = prompt.to_vec();
    while generated.len() < tokens {
        for id in fed.drain(..) {
            let logits = model.step(&mut cache, id, &mut |_, _, _| {});
            let largest = logits.iter().max().unwrap();
            next = logits.iter().position(|l| l == largest).unwrap();
        }
        generated.push(next as i32);
        fed.push(next as u32);
    }
    generated
}

#[test]
fn whole_generations_run_without_the_host() {
    for (name, precision) in
        [("base", Precision::W8A8), ("nano", Precision::W4A8), ("large", Precision::W4A8)]
    {
        let model = model(precision);
        let prompt: Vec<u32> = (0..7).map(|i| (i * 91 + 7) % 512).collect();
        let program = generate(&model, &Config::preset(name).unwrap(), &[prompt.len()], 4, 12).unwrap();
        let outputs = run(&program, &prompt, &mut Vec::new());
        assert_eq!(outputs[0], greedy(&model, &prompt, 12), "{name}");
    }
}

/// What the integer model calls a traced tensor. Scores and products have no name there.
fn step_of(name: &str) -> Option<Step> {
    Some(match name {
        "embedding" => Step::Embedding,
        "input norm" => Step::InputNorm,
        "queries" => Step::Query,
        "exponentials" => Step::Exponentials,
        "attention" => Step::Attention,
        "residual after attention" => Step::AttentionResidual,
        "norm after attention" => Step::PostNorm,
        "gate" => Step::Gate,
        "up" => Step::Up,
        "gated" => Step::Gated,
        "residual" => Step::Residual,
        "final norm" => Step::FinalNorm,
        "logits" => Step::Logits,
        _ => return None,
    })
}

/// Every traced tensor of a generation, position by position. The presets need no padding for this model, so that values stand
/// in the model's order.
#[test]
fn intermediate_tensors_are_those_of_the_integer_model() {
    for (name, precision) in [("base", Precision::W8A8), ("nano", Precision::W4A8)] {
        let model = model(precision);
        let (prompt, tokens): (Vec<u32>, usize) = (vec![7, 98, 189], 10);
        let config = Config::preset(name).unwrap();
        let (program, traced) = generate_traced(&model, &config, &[prompt.len()], 1, tokens).unwrap();
        let mut workspace = Vec::new();
        let generated = &run(&program, &prompt, &mut workspace)[0];
        let mut cache = Cache::default();
        let mut compared = 0;
        for position in 0..prompt.len() + tokens - 1 {
            let id =
                prompt.get(position).copied().unwrap_or_else(|| generated[position - prompt.len()] as u32);
            let mut steps = std::collections::HashMap::new();
            model.step(&mut cache, id, &mut |layer, step, values| {
                steps.insert((layer, step), values.to_vec());
            });
            // A prompt's tokens are passes of their own, then come the rounds of the loop.
            let (pass, round) = (position.min(prompt.len()), position.saturating_sub(prompt.len()));
            let values = |tensor: &Traced| -> Vec<i32> {
                let bytes = &workspace[tensor.offset + round * tensor.bytes..][..tensor.bytes];
                match tensor.element_bytes {
                    1 => bytes.iter().map(|byte| i32::from(*byte as i8)).collect(),
                    _ => bytes.chunks_exact(4).map(|w| i32::from_le_bytes(w.try_into().unwrap())).collect(),
                }
            };
            let mut found: std::collections::HashMap<_, Vec<i32>> = Default::default();
            for tensor in traced.iter().filter(|t| t.pass == pass) {
                let mut values = values(tensor);
                if tensor.name == "exponentials" {
                    let width = values.len() / model.config.heads;
                    values = values.chunks(width).flat_map(|head| head[..=position].to_vec()).collect();
                }
                match (tensor.name, step_of(tensor.name)) {
                    ("keys and values", _) => {
                        let value = values.split_off(model.config.kv_heads * model.config.head_dim);
                        found.insert((tensor.layer, Step::Key), values);
                        found.insert((tensor.layer, Step::Value), value);
                    }
                    (_, Some(step)) => found.entry((tensor.layer, step)).or_default().extend(values),
                    (_, None) => {}
                }
            }
            // Logits are wanted behind the prompt only.
            assert_eq!(
                found.len() + 2 * usize::from(pass + 1 < prompt.len()),
                steps.len(),
                "position {position}"
            );
            for (key, values) in found {
                assert!(values == steps[&key], "{name}, position {position}: {key:?} differs");
                compared += 1;
            }
        }
        assert!(compared > 600, "{compared} tensors");
    }
}

/// The host chooses the tokens: one program for all of them, whose position is an input.
#[test]
fn steps_of_several_sequences_give_the_integer_model() {
    for (name, precision) in [("base", Precision::W8A8), ("nano", Precision::W4A8)] {
        let model = model(precision);
        let config = Config::preset(name).unwrap();
        let (lengths, rounds) = ([3usize, 9, 1], 14);
        let context = 9 + rounds;
        let id = |sequence: usize, position: usize| ((sequence * 131 + position * 77 + 5) % 512) as u32;
        let mut caches: Vec<Cache> = lengths.iter().map(|_| Cache::default()).collect();
        let mut workspace = Vec::new();
        for (sequence, count) in lengths.into_iter().enumerate() {
            let ids: Vec<u32> = (0..count).map(|position| id(sequence, position)).collect();
            let run = Run { sequence, start: 0, count };
            let program = forward_one_of(&model, &config, run, (lengths.len(), context)).unwrap();
            let logits = &self::run(&program, &ids, &mut workspace)[0];
            for (position, id) in ids.iter().enumerate() {
                let wanted = model.step(&mut caches[sequence], *id, &mut |_, _, _| {});
                assert!(logits[position * 512..(position + 1) * 512] == wanted, "{name}, prompt {sequence}");
            }
        }
        let program = step(&model, &config, &lengths, rounds, context).unwrap();
        for round in 0..rounds {
            let ids: Vec<u32> = (0..3).map(|sequence| id(sequence, lengths[sequence] + round)).collect();
            let outputs = run_with(&program, &[&ids, &[round as u32]], &mut workspace);
            for (sequence, id) in ids.iter().enumerate() {
                let wanted = model.step(&mut caches[sequence], *id, &mut |_, _, _| {});
                let found = &outputs[0][sequence * 512..(sequence + 1) * 512];
                assert!(found == wanted, "{name}, sequence {sequence}, round {round}");
                let largest = wanted.iter().max().unwrap();
                assert_eq!(outputs[1][sequence] as usize, wanted.iter().position(|l| l == largest).unwrap());
            }
        }
    }
}
