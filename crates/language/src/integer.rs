//! The integer model: what the accelerator computes for a language model, bit for bit, in plain loops.
//!
//! Every step is one that the instruction set has (`docs/architecture.md`, *Matrix* and *Row*), with the same roundings; the compiler
//! turns a [`QuantisedModel`] into commands that give these numbers. Where values are kept:
//!
//! | tensor | type | unit |
//! |---|---|---|
//! | residual stream | int32 | one scale for the whole model |
//! | inputs of all products; keys and values | int8 | a scale of their own, from calibration |
//! | queries and keys before the rotation, gate, up | int32 in the range of 16 bits | from calibration; the gate 2^-11 |
//! | weights | int8 a channel, or 4 bits with integer group scales | a scale a channel |
//! | exponentials of the softmax | 0 ..= 127 | divided by their sum once, after the product with the values |
//! | logits | int32 | one scale |

use crate::config::ModelConfig;
use frugal_quant::piecewise::{inverse_square_root, power_of_two, reciprocal, round_shift, silu};
use frugal_quant::{clamp_i8, requantise, Multiplier, Rounding};

/// Rows of a reduction that share a scale of 4-bit weights.
pub const GROUP: usize = 32;

/// Fraction bits of the rotation's cosines and sines.
pub const ROTATION_BITS: u32 = 14;

/// Bits by which queries and keys are finer before the rotation than after it.
pub const ROTATION_HEADROOM_BITS: u32 = 7;

/// Weights of a linear layer, row by row: all inputs of output 0, then of output 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    Int8(Vec<i8>),
    /// -8 ..= 7, and for each output a scale of each [`GROUP`] of inputs. Groups begin anew with every `segment` of inputs (an
    /// attention head, or all of them), so that a head may be padded by itself; a segment's last group may be shorter.
    Int4 {
        values: Vec<i8>,
        scales: Vec<u8>,
        segment: usize,
    },
}

/// Group scales of one output.
pub fn scale_groups(inputs: usize, segment: usize) -> usize {
    inputs / segment * segment.div_ceil(GROUP)
}

/// What happens to the sum of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    pub bias: i32,
    pub multiplier: Multiplier,
}

/// A linear layer: dot products with int8 inputs, rescaled to int32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    pub inputs: usize,
    pub weights: Weights,
    pub channels: Vec<Channel>,
}

impl Linear {
    pub fn outputs(&self) -> usize {
        self.channels.len()
    }

    /// `outputs` values of one vector of inputs.
    pub fn apply(&self, input: &[i8], output: &mut [i32]) {
        assert_eq!(input.len(), self.inputs);
        for (o, (value, channel)) in output.iter_mut().zip(&self.channels).enumerate() {
            let row = o * self.inputs..(o + 1) * self.inputs;
            let sum = match &self.weights {
                Weights::Int8(weights) => dot(input, &weights[row]),
                Weights::Int4 { values, scales, segment } => {
                    let groups = scale_groups(self.inputs, *segment);
                    let scales = &scales[o * groups..(o + 1) * groups];
                    let row = &values[row];
                    let parts = input.chunks(*segment).zip(row.chunks(*segment));
                    let parts = parts.flat_map(|(x, w)| x.chunks(GROUP).zip(w.chunks(GROUP)));
                    parts
                        .zip(scales)
                        .fold(0i32, |sum, ((x, w), s)| sum.wrapping_add(i32::from(*s) * dot(x, w)))
                }
            };
            *value = requantise(sum.wrapping_add(channel.bias), channel.multiplier, Rounding::Single);
        }
    }
}

/// Dot product of two rows of equal length.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// A root-mean-square norm: squares of 16-bit values are summed, and values scaled by the sum's inverse root and the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Norm {
    /// Right shift that brings values to 16 bits before they are squared.
    pub square_shift: u8,
    /// What the sum of squares begins with.
    pub epsilon: i32,
    /// Shifts around the multiplication by the inverse root.
    pub left_shift: u8,
    pub right_shift: u8,
    /// 16 bits each; the product is shifted right by `shift`.
    pub weights: Vec<i32>,
    pub shift: u8,
}

/// Saturates to 16 bits, as the row unit does before a function.
fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

impl Norm {
    /// The normed values, not clamped.
    pub fn apply(&self, values: &[i32], output: &mut [i32]) {
        let to_square = Multiplier { right_shift: self.square_shift, ..Multiplier::IDENTITY };
        let squares = values.iter().map(|x| {
            let z = saturate(requantise(*x, to_square, Rounding::Single));
            i64::from(z * z)
        });
        let sum = i64::from(self.epsilon) + squares.sum::<i64>();
        let scale = inverse_square_root(sum).multiplier(self.left_shift.into(), self.right_shift.into());
        for ((out, x), weight) in output.iter_mut().zip(values).zip(&self.weights) {
            let z = saturate(requantise(*x, scale, Rounding::Single));
            *out = round_shift(i64::from(z * weight), self.shift.into()) as i32;
        }
    }
}

/// How products of exponentials and values become inputs of the output projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionScale {
    /// Left shift before the division by the sum of exponentials.
    pub left_shift: u8,
    /// 16 bits; the product is shifted right by `shift`.
    pub factor: i32,
    pub shift: u8,
}

/// One decoder layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub input_norm: Norm,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub query_norm: Option<Norm>,
    pub key_norm: Option<Norm>,
    /// From scores below the maximum to exponents, in units of 2^-10.
    pub exponent: Multiplier,
    pub attention: AttentionScale,
    pub output: Linear,
    pub post_norm: Norm,
    pub gate: Linear,
    pub up: Linear,
    /// Right shift of the product of SiLU and up.
    pub gated_shift: u8,
    pub down: Linear,
}

/// Precision of the decoder layers' weights; the head has 8 bits in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    W8A8,
    W4A8,
}

/// A quantised model.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantisedModel {
    pub config: ModelConfig,
    pub precision: Precision,
    /// Embedding rows: `256 * high + low`, shifted left by `embedding_shift` into the residual stream.
    pub embedding_high: Vec<i8>,
    pub embedding_low: Vec<i8>,
    pub embedding_shift: u8,
    pub layers: Vec<Layer>,
    pub final_norm: Norm,
    pub head: Linear,
    /// What one unit of the logits stands for.
    pub logit_scale: f64,
}

/// Exponentials are at most this.
const LARGEST_EXPONENTIAL: i32 = 127;
/// Right shift of exponentials from 2^-15 to 2^-7.
pub const EXPONENTIAL_SHIFT: u32 = 8;
/// Added to exponents, in units of 2^-10, so that the largest exponential is 127 and not 128.
pub const EXPONENT_OFFSET: i32 = -12;

/// Cosines and sines of a position, half a head each, with [`ROTATION_BITS`] fraction bits.
pub fn rotation(config: &ModelConfig, position: usize) -> (Vec<i32>, Vec<i32>) {
    let half = config.head_dim / 2;
    let unit = f64::from(1 << ROTATION_BITS);
    let angle =
        |i: usize| position as f64 * config.rope_theta.powf(-((2 * i) as f64) / config.head_dim as f64);
    let table = |f: fn(f64) -> f64| (0..half).map(|i| (f(angle(i)) * unit).round() as i32).collect();
    (table(f64::cos), table(f64::sin))
}

/// Keys and values of one sequence: for each layer, `kv_heads * head_dim` int8 values a position.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    layers: Vec<(Vec<i8>, Vec<i8>)>,
    positions: usize,
}

impl Cache {
    pub fn positions(&self) -> usize {
        self.positions
    }
}

/// An intermediate tensor of one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Embedding,
    InputNorm,
    Query,
    Key,
    Value,
    /// Exponentials of all heads, one after the other.
    Exponentials,
    Attention,
    AttentionResidual,
    PostNorm,
    Gate,
    Up,
    Gated,
    Residual,
    FinalNorm,
    Logits,
}

/// Shown each intermediate tensor: the layer, which one, its values.
pub type Observer<'a> = &'a mut dyn FnMut(usize, Step, &[i32]);

impl QuantisedModel {
    /// Logits of the token at the cache's next position; keys and values are appended.
    ///
    /// # Panics
    /// If the token is outside the vocabulary.
    pub fn step(&self, cache: &mut Cache, token: u32, observe: Observer<'_>) -> Vec<i32> {
        let hidden = self.hidden(cache, token, observe);
        let mut logits = vec![0; self.head.outputs()];
        self.head.apply(&hidden, &mut logits);
        observe(self.layers.len(), Step::Logits, &logits);
        logits
    }

    /// The head's input for the token at the cache's next position.
    pub fn hidden(&self, cache: &mut Cache, token: u32, observe: Observer<'_>) -> Vec<i8> {
        let config = &self.config;
        let width = config.hidden_size;
        cache.layers.resize_with(self.layers.len(), Default::default);
        let row = token as usize * width..(token as usize + 1) * width;
        let planes = self.embedding_high[row.clone()].iter().zip(&self.embedding_low[row]);
        let mut residual: Vec<i32> = planes
            .map(|(high, low)| (256 * i32::from(*high) + i32::from(*low)) << self.embedding_shift)
            .collect();
        observe(0, Step::Embedding, &residual);
        let (cosine, sine) = rotation(config, cache.positions);
        for (number, layer) in self.layers.iter().enumerate() {
            let input = clamped(&layer.input_norm, &residual);
            observe(number, Step::InputNorm, &wide(&input));
            let attention =
                layer.attend(config, &input, (&cosine, &sine), &mut cache.layers[number], number, observe);
            add(&layer.output, &attention, &mut residual);
            observe(number, Step::AttentionResidual, &residual);
            let input = clamped(&layer.post_norm, &residual);
            observe(number, Step::PostNorm, &wide(&input));
            let gated = layer.gated(&input, number, observe);
            add(&layer.down, &gated, &mut residual);
            observe(number, Step::Residual, &residual);
        }
        cache.positions += 1;
        let hidden = clamped(&self.final_norm, &residual);
        observe(self.layers.len(), Step::FinalNorm, &wide(&hidden));
        hidden
    }
}

fn wide(values: &[i8]) -> Vec<i32> {
    values.iter().map(|v| i32::from(*v)).collect()
}

/// The normed values as int8.
fn clamped(norm: &Norm, values: &[i32]) -> Vec<i8> {
    let mut output = vec![0; values.len()];
    norm.apply(values, &mut output);
    output.into_iter().map(clamp_i8).collect()
}

/// Adds a linear layer's outputs to the residual stream.
fn add(linear: &Linear, input: &[i8], residual: &mut [i32]) {
    let mut output = vec![0; linear.outputs()];
    linear.apply(input, &mut output);
    for (r, o) in residual.iter_mut().zip(output) {
        *r = r.wrapping_add(o);
    }
}

/// Rotates one head by the position's angles and brings it to int8.
fn rotate(head: &[i32], (cosine, sine): (&[i32], &[i32]), output: &mut [i8]) {
    let half = head.len() / 2;
    let shift = ROTATION_BITS + ROTATION_HEADROOM_BITS;
    for i in 0..half {
        let (first, second) = (saturate(head[i]), saturate(head[i + half]));
        let rotated = |sum: i32| clamp_i8(round_shift(i64::from(sum), shift) as i32);
        output[i] = rotated((first * cosine[i]).wrapping_add(second * -sine[i]));
        output[i + half] = rotated((second * cosine[i]).wrapping_add(first * sine[i]));
    }
}

impl Layer {
    /// Projects, norms and rotates the heads of a query or key.
    fn heads(
        projection: &Linear,
        norm: Option<&Norm>,
        head_dim: usize,
        input: &[i8],
        angles: (&[i32], &[i32]),
    ) -> Vec<i8> {
        let mut projected = vec![0; projection.outputs()];
        projection.apply(input, &mut projected);
        let mut rotated = vec![0; projected.len()];
        for (head, output) in projected.chunks(head_dim).zip(rotated.chunks_mut(head_dim)) {
            let mut normed = head.to_vec();
            if let Some(norm) = norm {
                norm.apply(head, &mut normed);
            }
            rotate(&normed, angles, output);
        }
        rotated
    }

    fn attend(
        &self,
        config: &ModelConfig,
        input: &[i8],
        angles: (&[i32], &[i32]),
        (keys, values): &mut (Vec<i8>, Vec<i8>),
        number: usize,
        observe: Observer<'_>,
    ) -> Vec<i8> {
        let dim = config.head_dim;
        let query = Self::heads(&self.query, self.query_norm.as_ref(), dim, input, angles);
        let key = Self::heads(&self.key, self.key_norm.as_ref(), dim, input, angles);
        let mut projected = vec![0; self.value.outputs()];
        self.value.apply(input, &mut projected);
        let value: Vec<i8> = projected.into_iter().map(clamp_i8).collect();
        for (step, tensor) in [(Step::Query, &query), (Step::Key, &key), (Step::Value, &value)] {
            observe(number, step, &wide(tensor));
        }
        keys.extend_from_slice(&key);
        values.extend_from_slice(&value);
        let width = config.kv_heads * dim;
        let positions = keys.len() / width;
        let shared = config.heads / config.kv_heads;
        let mut attention = vec![0i8; config.heads * dim];
        let mut all_exponentials = Vec::with_capacity(config.heads * positions);
        for (h, (query, output)) in query.chunks(dim).zip(attention.chunks_mut(dim)).enumerate() {
            let first = h / shared * dim;
            let at = |cache: &'_ [i8], p: usize| -> Vec<i8> { cache[p * width + first..][..dim].to_vec() };
            let scores: Vec<i32> = (0..positions).map(|p| dot(query, &at(keys, p))).collect();
            let largest = *scores.iter().max().expect("the token's own position");
            let exponentials: Vec<i32> = scores
                .iter()
                .map(|s| {
                    let exponent = requantise(s.wrapping_sub(largest), self.exponent, Rounding::Single);
                    let z = saturate(exponent.wrapping_add(EXPONENT_OFFSET));
                    power_of_two(z as i16, EXPONENTIAL_SHIFT).min(LARGEST_EXPONENTIAL)
                })
                .collect();
            let sum: i64 = exponentials.iter().map(|e| i64::from(*e)).sum();
            let scale = reciprocal(sum).multiplier(self.attention.left_shift.into(), 0);
            for (i, output) in output.iter_mut().enumerate() {
                let product = (0..positions)
                    .map(|p| exponentials[p] * i32::from(values[p * width + first + i]))
                    .fold(0i32, i32::wrapping_add);
                let z = saturate(requantise(product, scale, Rounding::Single));
                let scaled = round_shift(i64::from(z * self.attention.factor), self.attention.shift.into());
                *output = clamp_i8(scaled as i32);
            }
            all_exponentials.extend(exponentials);
        }
        observe(number, Step::Exponentials, &all_exponentials);
        observe(number, Step::Attention, &wide(&attention));
        attention
    }

    /// SiLU of the gate times up, as int8.
    fn gated(&self, input: &[i8], number: usize, observe: Observer<'_>) -> Vec<i8> {
        let (mut gate, mut up) = (vec![0; self.gate.outputs()], vec![0; self.up.outputs()]);
        self.gate.apply(input, &mut gate);
        self.up.apply(input, &mut up);
        observe(number, Step::Gate, &gate);
        observe(number, Step::Up, &up);
        let gated: Vec<i8> = gate
            .iter()
            .zip(&up)
            .map(|(g, u)| {
                let product = saturate(*u) * silu(saturate(*g) as i16);
                clamp_i8(round_shift(i64::from(product), self.gated_shift.into()) as i32)
            })
            .collect();
        observe(number, Step::Gated, &wide(&gated));
        gated
    }
}
