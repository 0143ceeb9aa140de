//! The float32 forward pass: what the integers are measured against.

use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::LanguageError;

/// A kind of intermediate tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tensor {
    Embedding,
    InputNorm,
    QueryProjection,
    KeyProjection,
    /// After its norm and the rotation.
    Query,
    Key,
    Value,
    /// Input of the output projection.
    Attention,
    AttentionResidual,
    PostNorm,
    Gate,
    Up,
    /// SiLU of the gate times up.
    Gated,
    Residual,
    FinalNorm,
    Logits,
}

/// An intermediate tensor: of a layer, or of what follows the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    pub layer: usize,
    pub tensor: Tensor,
}

/// Shown each intermediate tensor, all positions at once.
pub type Observer<'a> = &'a mut dyn FnMut(Point, &[f32]);

struct Layer {
    input_norm: Vec<f32>,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
    output: Linear,
    post_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// Weights in float32.
pub struct Reference {
    config: ModelConfig,
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Option<Linear>,
}

struct Linear {
    inputs: usize,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
}

/// Outputs of a linear layer for all positions.
fn apply(weights: &[f32], bias: Option<&[f32]>, inputs: usize, x: &[f32]) -> Vec<f32> {
    let outputs = weights.len() / inputs;
    let mut y = Vec::with_capacity(x.len() / inputs * outputs);
    for position in x.chunks(inputs) {
        for (o, row) in weights.chunks(inputs).enumerate() {
            y.push(dot(position, row) + bias.map_or(0.0, |b| b[o]));
        }
    }
    y
}

/// Eight sums side by side: they vectorise, and rounding errors grow less than in one.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a_parts, b_parts) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_parts.zip(b_parts) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl Linear {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        apply(&self.weights, self.bias.as_deref(), self.inputs, x)
    }
}

/// Root-mean-square norm of each row.
fn norm(x: &[f32], weights: &[f32], epsilon: f64) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks(weights.len()) {
        let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + epsilon).sqrt();
        y.extend(row.iter().zip(weights).map(|(v, w)| (f64::from(*v) * scale) as f32 * w));
    }
    y
}

impl Reference {
    /// Converts all weights.
    ///
    /// # Errors
    /// When a weight is not finite.
    pub fn new(checkpoint: &Checkpoint) -> Result<Reference, LanguageError> {
        let config = checkpoint.config().clone();
        let linear = |layer: usize, part: &str, inputs: usize, has_bias: bool| {
            let name = format!("model.layers.{layer}.{part}");
            let weights = checkpoint.tensor(&format!("{name}.weight"))?;
            let bias = match has_bias {
                true => Some(checkpoint.tensor(&format!("{name}.bias"))?),
                false => None,
            };
            Ok::<Linear, LanguageError>(Linear { inputs, weights, bias })
        };
        let (hidden, bias) = (config.hidden_size, config.qkv_bias);
        let layers = (0..config.layers)
            .map(|l| {
                let vector = |part: &str| checkpoint.tensor(&format!("model.layers.{l}.{part}.weight"));
                let head_norm = |part| config.qk_norm.then(|| vector(part)).transpose();
                Ok(Layer {
                    input_norm: vector("input_layernorm")?,
                    query: linear(l, "self_attn.q_proj", hidden, bias)?,
                    key: linear(l, "self_attn.k_proj", hidden, bias)?,
                    value: linear(l, "self_attn.v_proj", hidden, bias)?,
                    query_norm: head_norm("self_attn.q_norm")?,
                    key_norm: head_norm("self_attn.k_norm")?,
                    output: linear(l, "self_attn.o_proj", config.heads * config.head_dim, false)?,
                    post_norm: vector("post_attention_layernorm")?,
                    gate: linear(l, "mlp.gate_proj", hidden, false)?,
                    up: linear(l, "mlp.up_proj", hidden, false)?,
                    down: linear(l, "mlp.down_proj", config.intermediate_size, false)?,
                })
            })
            .collect::<Result<Vec<_>, LanguageError>>()?;
        let head = match config.tied {
            true => None,
            false => {
                let weights = checkpoint.tensor("lm_head.weight")?;
                Some(Linear { inputs: hidden, weights, bias: None })
            }
        };
        Ok(Reference {
            embedding: checkpoint.tensor("model.embed_tokens.weight")?,
            layers,
            norm: checkpoint.tensor("model.norm.weight")?,
            head,
            config,
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Logits of every position: `[positions][vocabulary]`.
    ///
    /// # Panics
    /// If an id is outside the vocabulary.
    pub fn logits(&self, ids: &[u32]) -> Vec<f32> {
        self.logits_observed(ids, &mut |_, _| {})
    }

    /// The same, showing every intermediate tensor.
    ///
    /// # Panics
    /// If an id is outside the vocabulary.
    pub fn logits_observed(&self, ids: &[u32], observe: Observer<'_>) -> Vec<f32> {
        let config = &self.config;
        let width = config.hidden_size;
        let epsilon = config.rms_norm_eps;
        let mut show = |layer, tensor, values: &[f32]| observe(Point { layer, tensor }, values);
        let mut residual: Vec<f32> =
            ids.iter().flat_map(|id| &self.embedding[*id as usize * width..][..width]).copied().collect();
        show(0, Tensor::Embedding, &residual);
        for (l, layer) in self.layers.iter().enumerate() {
            let input = norm(&residual, &layer.input_norm, epsilon);
            show(l, Tensor::InputNorm, &input);
            let mut query = layer.query.apply(&input);
            let mut key = layer.key.apply(&input);
            let value = layer.value.apply(&input);
            show(l, Tensor::QueryProjection, &query);
            show(l, Tensor::KeyProjection, &key);
            if let Some(weights) = &layer.query_norm {
                query = norm(&query, weights, epsilon);
            }
            if let Some(weights) = &layer.key_norm {
                key = norm(&key, weights, epsilon);
            }
            self.rotate(&mut query, config.heads);
            self.rotate(&mut key, config.kv_heads);
            show(l, Tensor::Query, &query);
            show(l, Tensor::Key, &key);
            show(l, Tensor::Value, &value);
            let attention = self.attend(&query, &key, &value);
            show(l, Tensor::Attention, &attention);
            add(&mut residual, &layer.output.apply(&attention));
            show(l, Tensor::AttentionResidual, &residual);
            let input = norm(&residual, &layer.post_norm, epsilon);
            show(l, Tensor::PostNorm, &input);
            let (gate, up) = (layer.gate.apply(&input), layer.up.apply(&input));
            show(l, Tensor::Gate, &gate);
            show(l, Tensor::Up, &up);
            let gated: Vec<f32> = gate.iter().zip(&up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            show(l, Tensor::Gated, &gated);
            add(&mut residual, &layer.down.apply(&gated));
            show(l, Tensor::Residual, &residual);
        }
        let hidden = norm(&residual, &self.norm, epsilon);
        show(config.layers, Tensor::FinalNorm, &hidden);
        let logits = match &self.head {
            Some(head) => head.apply(&hidden),
            None => apply(&self.embedding, None, width, &hidden),
        };
        show(config.layers, Tensor::Logits, &logits);
        logits
    }

    /// Turns the two halves of every head by its position's angles.
    fn rotate(&self, x: &mut [f32], heads: usize) {
        let dim = self.config.head_dim;
        let half = dim / 2;
        for (position, row) in x.chunks_mut(heads * dim).enumerate() {
            let angles: Vec<(f32, f32)> = (0..half)
                .map(|i| {
                    let frequency = self.config.rope_theta.powf(-((2 * i) as f64) / dim as f64);
                    let (sine, cosine) = (position as f64 * frequency).sin_cos();
                    (sine as f32, cosine as f32)
                })
                .collect();
            for head in row.chunks_mut(dim) {
                for (i, (sine, cosine)) in angles.iter().enumerate() {
                    let (a, b) = (head[i], head[i + half]);
                    head[i] = a * cosine - b * sine;
                    head[i + half] = b * cosine + a * sine;
                }
            }
        }
    }

    /// Causal attention of all heads.
    fn attend(&self, query: &[f32], key: &[f32], value: &[f32]) -> Vec<f32> {
        let (dim, heads, kv_heads) = (self.config.head_dim, self.config.heads, self.config.kv_heads);
        let scale = 1.0 / (dim as f32).sqrt();
        let mut output = vec![0.0f32; query.len()];
        let positions = query.len() / (heads * dim);
        let mut scores = Vec::with_capacity(positions);
        for position in 0..positions {
            for head in 0..heads {
                let at = (position * heads + head) * dim;
                let query = &query[at..at + dim];
                let other = |p: usize| (p * kv_heads + head / (heads / kv_heads)) * dim;
                scores.clear();
                scores.extend((0..=position).map(|p| dot(query, &key[other(p)..][..dim]) * scale));
                let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for score in &mut scores {
                    *score = (*score - largest).exp();
                    sum += *score;
                }
                for (p, score) in scores.iter().enumerate() {
                    let weight = score / sum;
                    let values = &value[other(p)..][..dim];
                    for (o, v) in output[at..at + dim].iter_mut().zip(values) {
                        *o += weight * v;
                    }
                }
            }
        }
        output
    }
}

fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}
