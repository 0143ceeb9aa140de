//! Language models: programs on the functional simulator against the integer model, bit for bit.

use frugal_compiler::language::{forward, generate};
use frugal_device::MemoryImage;
use frugal_golden::{Machine, Memory, RunOptions};
use frugal_isa::{Config, Program};
use frugal_language::integer::Cache;
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
    let input: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let image = MemoryImage::place(program, 0).unwrap();
    let mut machine = Machine::new(&program.config).unwrap();
    workspace.resize(program.workspace_bytes, 0);
    let base = image.bases()[1] as usize;
    let mut memory = Memory::new(image.end());
    memory.as_mut_slice()[base..base + workspace.len()].copy_from_slice(workspace);
    image.fill(program, &[input], memory.as_mut_slice()).unwrap();
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
