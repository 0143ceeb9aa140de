//! Checkpoints of published shapes with random weights: what such a model costs does not depend on what it has learnt.

use crate::config::{Family, ModelConfig};
use half::bf16;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{serialize_to_file, Dtype, TensorView};
use serde_json::json;
use std::io;
use std::path::Path;

/// Standard deviation of the weights, as models of this kind are initialised.
const DEVIATION: f32 = 0.02;

/// Names of the shapes, as `--synthetic` takes them.
pub const NAMES: [&str; 2] = ["qwen3-0.6b", "qwen2.5-0.5b"];

/// The published shape of a model.
pub fn shape(name: &str) -> Option<ModelConfig> {
    let qwen3 = ModelConfig {
        family: Family::Qwen3,
        hidden_size: 1024,
        intermediate_size: 3072,
        layers: 28,
        heads: 16,
        kv_heads: 8,
        head_dim: 128,
        vocab_size: 151_936,
        max_positions: 40_960,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        tied: true,
        qkv_bias: false,
        qk_norm: true,
        bos: Some(151_643),
        eos: vec![151_645],
    };
    match name {
        "qwen3-0.6b" => Some(qwen3),
        "qwen2.5-0.5b" => Some(ModelConfig {
            family: Family::Qwen2,
            hidden_size: 896,
            intermediate_size: 4864,
            layers: 24,
            heads: 14,
            kv_heads: 2,
            head_dim: 64,
            max_positions: 32_768,
            qkv_bias: true,
            qk_norm: false,
            ..qwen3
        }),
        _ => None,
    }
}

/// Number types of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatType {
    F32,
    F16,
    Bf16,
}

/// Writes `config.json` and `model.safetensors` of a model with random weights. The same seed gives the same files.
///
/// # Errors
/// When a file cannot be written.
pub fn write_checkpoint(
    directory: &Path,
    config: &ModelConfig,
    float: FloatType,
    seed: u64,
) -> io::Result<()> {
    std::fs::write(directory.join("config.json"), format!("{:#}\n", config_json(config)))?;
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (number, wanted) in config.tensors().into_iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number as u64);
        let count: usize = wanted.shape.iter().product();
        let centre = if wanted.name.contains("norm") { 1.0 } else { 0.0 };
        let values = (0..count).map(|_| {
            // Uniform with the deviation: 24 random bits are all that the mantissa holds.
            let uniform = (random.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
            centre + uniform * DEVIATION * 3f32.sqrt()
        });
        let bytes = match float {
            FloatType::F32 => values.flat_map(f32::to_le_bytes).collect(),
            FloatType::F16 => values.flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect(),
            FloatType::Bf16 => values.flat_map(|v| bf16::from_f32(v).to_le_bytes()).collect(),
        };
        tensors.push((wanted.name, wanted.shape, bytes));
    }
    let dtype = match float {
        FloatType::F32 => Dtype::F32,
        FloatType::F16 => Dtype::F16,
        FloatType::Bf16 => Dtype::BF16,
    };
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(dtype, shape.clone(), bytes).expect("a tensor has the bytes of its shape");
        (name.as_str(), view)
    });
    serialize_to_file(views, None, &directory.join("model.safetensors")).map_err(io::Error::other)
}

/// A `config.json` that reads as these sizes.
pub fn config_json(config: &ModelConfig) -> serde_json::Value {
    json!({
        "model_type": config.family.name(),
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tied,
        "hidden_act": "silu",
        "bos_token_id": config.bos,
        "eos_token_id": config.eos,
    })
}
