//! The loader and the float32 reference against a forward pass written anew in double precision, for all families and number types.

use frugal_language::synthetic::{shape, write_checkpoint, FloatType};
use frugal_language::{Checkpoint, Family, ModelConfig, Reference};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

/// All tensors of a file in double precision, read without the loader.
fn tensors(directory: &Path) -> HashMap<String, Vec<f64>> {
    let bytes = std::fs::read(directory.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |name: &str| -> Vec<f64> {
        let view = file.tensor(name).unwrap();
        match view.dtype() {
            Dtype::F32 => {
                view.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
            }
            // A bfloat16 is the upper half of a float32.
            Dtype::BF16 => {
                view.data().chunks(2).map(|b| f32::from_le_bytes([0, 0, b[0], b[1]]).into()).collect()
            }
            Dtype::F16 => view.data().chunks(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
            other => panic!("{other:?}"),
        }
    };
    file.names().into_iter().map(|name| (name.to_owned(), values(name))).collect()
}

/// A half-precision number: sign, 5 bits of exponent, 10 of mantissa.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * if exponent == 0 {
        mantissa * 2f64.powi(-24)
    } else {
        (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15)
    }
}

/// Logits of the last id: the architecture as its authors describe it, one formula after the other.
fn forward(c: &ModelConfig, t: &HashMap<String, Vec<f64>>, ids: &[u32]) -> Vec<f64> {
    let norm = |x: &[f64], weights: &[f64]| -> Vec<f64> {
        let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
        x.iter().zip(weights).map(|(v, w)| v / (mean + c.rms_norm_eps).sqrt() * w).collect()
    };
    let linear = |x: &[f64], weights: &[f64], bias: Option<&Vec<f64>>| -> Vec<f64> {
        let rows = weights.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, v)| w * v).sum::<f64>());
        rows.enumerate().map(|(o, sum)| sum + bias.map_or(0.0, |b| b[o])).collect()
    };
    // Both halves of a head turn against each other.
    let rotate = |x: &[f64], position: usize| -> Vec<f64> {
        let half = c.head_dim / 2;
        let angle =
            |i: usize| position as f64 * c.rope_theta.powf(-2.0 * (i % half) as f64 / c.head_dim as f64);
        let other = |i: usize| if i < half { -x[i + half] } else { x[i - half] };
        (0..c.head_dim).map(|i| x[i] * angle(i).cos() + other(i) * angle(i).sin()).collect()
    };
    // Keys and values of each position, layer by layer.
    let mut caches: Vec<[Vec<Vec<f64>>; 2]> = vec![Default::default(); c.layers];
    let mut last = Vec::new();
    for (position, id) in ids.iter().enumerate() {
        let embedding = &t["model.embed_tokens.weight"];
        let mut x = embedding[*id as usize * c.hidden_size..][..c.hidden_size].to_vec();
        for (layer, [keys, values]) in caches.iter_mut().enumerate() {
            let get = |name: &str| &t[&format!("model.layers.{layer}.{name}")];
            let project = |input: &[f64], which: &str| {
                let bias = c.qkv_bias.then(|| get(&format!("self_attn.{which}_proj.bias")));
                linear(input, get(&format!("self_attn.{which}_proj.weight")), bias)
            };
            let heads = |input: &[f64], which: &str| -> Vec<f64> {
                let all = project(input, which);
                let head = |head: &[f64]| match c.qk_norm {
                    true => rotate(&norm(head, get(&format!("self_attn.{which}_norm.weight"))), position),
                    false => rotate(head, position),
                };
                all.chunks(c.head_dim).flat_map(head).collect()
            };
            let input = norm(&x, get("input_layernorm.weight"));
            let query = heads(&input, "q");
            keys.push(heads(&input, "k"));
            values.push(project(&input, "v"));
            let mut attention = Vec::new();
            for (h, query) in query.chunks(c.head_dim).enumerate() {
                let first = h / (c.heads / c.kv_heads) * c.head_dim;
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|key| {
                        let key = &key[first..first + c.head_dim];
                        query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() / (c.head_dim as f64).sqrt()
                    })
                    .collect();
                let weights: Vec<f64> = scores.iter().map(|s| s.exp()).collect();
                let sum: f64 = weights.iter().sum();
                attention.extend((0..c.head_dim).map(|i| {
                    weights
                        .iter()
                        .zip(values.iter())
                        .map(|(w, value)| w / sum * value[first + i])
                        .sum::<f64>()
                }));
            }
            let output = linear(&attention, get("self_attn.o_proj.weight"), None);
            x.iter_mut().zip(output).for_each(|(x, o)| *x += o);
            let input = norm(&x, get("post_attention_layernorm.weight"));
            let gate = linear(&input, get("mlp.gate_proj.weight"), None);
            let up = linear(&input, get("mlp.up_proj.weight"), None);
            let gated: Vec<f64> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            let down = linear(&gated, get("mlp.down_proj.weight"), None);
            x.iter_mut().zip(down).for_each(|(x, d)| *x += d);
        }
        let head = if c.tied { "model.embed_tokens.weight" } else { "lm_head.weight" };
        last = linear(&norm(&x, &t["model.norm.weight"]), &t[head], None);
    }
    last
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn logits_are_those_of_the_formulas(
        family in prop::sample::select(vec![Family::Qwen3, Family::Qwen2, Family::Llama]),
        float in prop::sample::select(vec![FloatType::F32, FloatType::F16, FloatType::Bf16]),
        (kv_heads, shared, half_dim) in (1usize..4, 1usize..5, 1usize..9),
        (hidden_size, intermediate_size, layers, vocab_size) in (3usize..40, 3usize..50, 1usize..4, 5usize..60),
        tied in any::<bool>(), (theta, eps) in (10.0f64..1e6, 1e-7f64..1e-3), seed in any::<u64>()
    ) {
        let config = ModelConfig {
            family, hidden_size, intermediate_size, layers, heads: kv_heads * shared, kv_heads, head_dim: 2 * half_dim, vocab_size,
            max_positions: 16, tied, rope_theta: theta, rms_norm_eps: eps, qkv_bias: family == Family::Qwen2,
            qk_norm: family == Family::Qwen3, bos: None, eos: vec![]
        };
        let directory = tempfile::tempdir().unwrap();
        write_checkpoint(directory.path(), &config, float, seed).unwrap();
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        prop_assert_eq!(checkpoint.config(), &config);
        let ids: Vec<u32> = (0..7).map(|i| (i * 11 + 3) % vocab_size as u32).collect();
        let logits = Reference::new(&checkpoint).unwrap().logits(&ids);
        let found = &logits[(ids.len() - 1) * vocab_size..];
        let wanted = forward(&config, &tensors(directory.path()), &ids);
        let largest = wanted.iter().fold(1e-9f64, |m, v| m.max(v.abs()));
        for (found, wanted) in found.iter().zip(&wanted) {
            prop_assert!((f64::from(*found) - wanted).abs() < 1e-4 * largest, "{} instead of {}", found, wanted);
        }
    }
}

#[test]
fn published_shapes_have_their_published_number_of_parameters() {
    let parameters = |name: &str| -> usize {
        shape(name).unwrap().tensors().iter().map(|t| t.shape.iter().product::<usize>()).sum()
    };
    assert_eq!(parameters("qwen3-0.6b"), 596_049_920);
    assert_eq!(parameters("qwen2.5-0.5b"), 494_032_768);
    assert!(shape("qwen9").is_none());
}
