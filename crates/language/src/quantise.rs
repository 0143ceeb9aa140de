//! From a checkpoint to a [`QuantisedModel`]: static calibration on a text, weights rounded to 8 or 4 bits.
//!
//! Calibration runs the float reference and keeps the largest magnitude of every tensor; a scale maps it to the end of the tensor's
//! integer range, or somewhat below where values may exceed it without harm.

use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::LanguageError;
use crate::integer::{
    scale_groups, AttentionScale, Channel, Layer, Linear, Norm, Precision, QuantisedModel, Weights, GROUP,
    ROTATION_HEADROOM_BITS,
};
use crate::reference::{Point, Reference, Tensor};
use frugal_quant::Multiplier;
use std::collections::HashMap;

/// Largest magnitude of every channel of every tensor of a model over a calibration text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    largest: HashMap<Point, Vec<f32>>,
}

impl Calibration {
    /// Runs the reference over the windows of token ids.
    pub fn run(reference: &Reference, windows: &[&[u32]]) -> Calibration {
        let mut calibration = Calibration::default();
        for window in windows {
            reference.logits_observed(window, &mut |point, values| {
                let channels = values.len() / window.len().max(1);
                let largest = calibration.largest.entry(point).or_insert_with(|| vec![0.0; channels]);
                for position in values.chunks(channels.max(1)) {
                    for (largest, value) in largest.iter_mut().zip(position) {
                        *largest = largest.max(value.abs());
                    }
                }
            });
        }
        calibration
    }

    /// The largest magnitude of each channel; a tiny one if it was always zero.
    fn channels(&self, layer: usize, tensor: Tensor) -> Vec<f64> {
        let channels = self.largest.get(&Point { layer, tensor }).map_or(&[][..], |c| c);
        channels.iter().map(|c| f64::from(*c).max(1e-6)).collect()
    }

    /// The largest magnitude of a tensor.
    fn of(&self, layer: usize, tensor: Tensor) -> f64 {
        self.channels(layer, tensor).into_iter().fold(1e-6, f64::max)
    }
}

/// How much of the difference between channels of activations goes over to the weights behind them: their columns are multiplied by
/// what the channels are divided by.
const EQUALISATION: f64 = 0.5;

/// What to divide each channel by, given the channels' largest magnitudes and those of the columns of weights behind them.
fn equalisers(activations: &[f64], columns: &[f64]) -> Vec<f64> {
    let raw: Vec<f64> = activations
        .iter()
        .zip(columns)
        .map(|(a, w)| a.powf(EQUALISATION) / w.max(1e-6).powf(1.0 - EQUALISATION))
        .collect();
    let mean = (raw.iter().map(|s| s.ln()).sum::<f64>() / raw.len() as f64).exp();
    raw.into_iter().map(|s| (s / mean).clamp(1e-3, 1e3)).collect()
}

/// Scale that maps the largest of the equalised channels to 127.
fn equalised_scale(activations: &[f64], equalisers: &[f64]) -> f64 {
    activations.iter().zip(equalisers).map(|(a, s)| a / s).fold(1e-9, f64::max) / 127.0
}

/// Largest magnitude of each column of the weights of some layers with equally many inputs.
fn columns(weights: &[&[f32]], inputs: usize) -> Vec<f64> {
    let mut largest = vec![0.0f64; inputs];
    for row in weights.iter().flat_map(|w| w.chunks(inputs)) {
        for (largest, w) in largest.iter_mut().zip(row) {
            *largest = largest.max(f64::from(w.abs()));
        }
    }
    largest
}

/// Multiplies the columns.
fn scale_columns(weights: &mut [f32], factors: &[f64]) {
    for row in weights.chunks_mut(factors.len()) {
        for (w, f) in row.iter_mut().zip(factors) {
            *w = (f64::from(*w) * f) as f32;
        }
    }
}

/// Bits of the residual stream's largest magnitude. Far below 31: sums may grow beyond what calibration saw.
const RESIDUAL_BITS: i32 = 21;
/// Bits of 16-bit values' largest magnitude: half their range.
const VALUE_BITS: i32 = 14;
/// Bits of the logits' largest magnitude.
const LOGIT_BITS: i32 = 24;
/// What the units of the gate are, a fixed input of the SiLU.
const GATE_BITS: i32 = 11;

/// Quantises the model.
///
/// # Errors
/// What reading the checkpoint gives.
pub fn quantise(
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    precision: Precision,
) -> Result<QuantisedModel, LanguageError> {
    Quantiser { checkpoint, config: checkpoint.config(), calibration, precision }.model()
}

struct Quantiser<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    calibration: &'a Calibration,
    precision: Precision,
}

/// `2^exponent`.
fn power(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}

/// The smallest `shift` with `largest * 2^-shift < 2^bits`, not below zero.
fn shift_to(largest: f64, bits: i32) -> i32 {
    ((largest.log2().floor() as i32) + 1 - bits).max(0)
}

fn multiplier(real: f64) -> Multiplier {
    Multiplier::from_real(real).expect("quotients of scales stay far below 2^31")
}

impl Quantiser<'_> {
    /// Scale of a tensor whose largest magnitude becomes 127.
    fn int8_scale(&self, layer: usize, tensor: Tensor) -> f64 {
        self.calibration.of(layer, tensor) / 127.0
    }

    fn residual_scale(&self) -> f64 {
        let layers = 0..self.config.layers;
        let largest = layers
            .flat_map(|l| [(l, Tensor::AttentionResidual), (l, Tensor::Residual)])
            .map(|(layer, tensor)| self.calibration.of(layer, tensor))
            .fold(0.0, f64::max);
        largest * power(-RESIDUAL_BITS)
    }

    fn model(&self) -> Result<QuantisedModel, LanguageError> {
        let config = self.config;
        let embedding = self.checkpoint.tensor("model.embed_tokens.weight")?;
        let largest = embedding.iter().fold(1e-9f32, |m, v| m.max(v.abs()));
        // The residual stream's unit is a power of two below the embedding's, so that embedding is exact.
        let unit = f64::from(largest) / 32512.0;
        let embedding_shift = (unit / self.residual_scale()).log2().floor().clamp(0.0, 8.0) as u8;
        let residual_scale = unit * power(-i32::from(embedding_shift));
        let mut embedding_high = Vec::with_capacity(embedding.len());
        let mut embedding_low = Vec::with_capacity(embedding.len());
        for value in &embedding {
            let integer = (f64::from(*value) / unit).round() as i32;
            let low = integer as i8;
            embedding_low.push(low);
            embedding_high.push(((integer - i32::from(low)) >> 8) as i8);
        }
        let layers = (0..config.layers)
            .map(|l| self.layer(l, residual_scale))
            .collect::<Result<Vec<_>, LanguageError>>()?;
        let last = config.layers;
        let mut head = if config.tied {
            embedding
        } else {
            drop(embedding);
            self.checkpoint.tensor("lm_head.weight")?
        };
        let hidden = self.calibration.channels(last, Tensor::FinalNorm);
        let equal = equalisers(&hidden, &columns(&[&head], config.hidden_size));
        scale_columns(&mut head, &equal);
        let hidden_scale = equalised_scale(&hidden, &equal);
        let residual = self.calibration.of(last - 1, Tensor::Residual);
        let hidden_scales: Vec<f64> = equal.iter().map(|s| s * hidden_scale).collect();
        let final_norm = self.norm("model.norm.weight", residual, residual_scale, &hidden_scales)?;
        let logit_scale = self.calibration.of(last, Tensor::Logits) * power(-LOGIT_BITS);
        let head = linear(&head, None, config.hidden_size, hidden_scale, &[logit_scale], Precision::W8A8);
        Ok(QuantisedModel {
            config: config.clone(),
            precision: self.precision,
            embedding_high,
            embedding_low,
            embedding_shift,
            layers,
            final_norm,
            head,
            logit_scale,
        })
    }

    fn layer(&self, l: usize, residual_scale: f64) -> Result<Layer, LanguageError> {
        let config = self.config;
        let name = |part: &str| format!("model.layers.{l}.{part}.weight");
        let weights = |part: &str| self.checkpoint.tensor(&name(part));
        let bias = |part: &str| match config.qkv_bias {
            true => self.checkpoint.tensor(&format!("model.layers.{l}.{part}.bias")).map(Some),
            false => Ok(None),
        };
        let (hidden, precision) = (config.hidden_size, self.precision);
        let before = match l {
            0 => self.calibration.of(0, Tensor::Embedding),
            _ => self.calibration.of(l - 1, Tensor::Residual),
        };

        // The attention's input, and the weights behind it.
        let mut query = weights("self_attn.q_proj")?;
        let mut key = weights("self_attn.k_proj")?;
        let mut value = weights("self_attn.v_proj")?;
        let input = self.calibration.channels(l, Tensor::InputNorm);
        let equal = equalisers(&input, &columns(&[&query, &key, &value], hidden));
        for weights in [&mut query, &mut key, &mut value] {
            scale_columns(weights, &equal);
        }
        let input_scale = equalised_scale(&input, &equal);
        let input_scales: Vec<f64> = equal.iter().map(|s| s * input_scale).collect();
        let input_norm = self.norm(&name("input_layernorm"), before, residual_scale, &input_scales)?;

        // Queries and keys: finer than int8 until they are rotated.
        let finer = power(-(ROTATION_HEADROOM_BITS as i32));
        let (query_scale, key_scale) = (self.int8_scale(l, Tensor::Query), self.int8_scale(l, Tensor::Key));
        let head = |part: &str, weights: &[f32], norm: &str, tensor, scale: f64| {
            let projected = self.calibration.of(l, tensor);
            let projected_scale = if config.qk_norm { projected * power(-VALUE_BITS) } else { scale * finer };
            let bias = bias(part)?;
            let projection =
                linear(weights, bias.as_deref(), hidden, input_scale, &[projected_scale], precision);
            let norm = match config.qk_norm {
                true => {
                    let scales = vec![scale * finer; config.head_dim];
                    Some(self.norm(&name(norm), projected, projected_scale, &scales)?)
                }
                false => None,
            };
            Ok::<_, LanguageError>((projection, norm))
        };
        let (query, query_norm) =
            head("self_attn.q_proj", &query, "self_attn.q_norm", Tensor::QueryProjection, query_scale)?;
        let (key, key_norm) =
            head("self_attn.k_proj", &key, "self_attn.k_norm", Tensor::KeyProjection, key_scale)?;

        // Values have a scale a channel, which the output projection's columns take up: those of all heads that share the values.
        let mut output = weights("self_attn.o_proj")?;
        let attention_width = config.heads * config.head_dim;
        let values = self.calibration.channels(l, Tensor::Value);
        let shared = config.heads / config.kv_heads;
        let value_of = |c: usize| c / config.head_dim / shared * config.head_dim + c % config.head_dim;
        let mut behind = vec![0.0f64; values.len()];
        for (c, column) in columns(&[&output], attention_width).into_iter().enumerate() {
            behind[value_of(c)] = behind[value_of(c)].max(column);
        }
        let equal = equalisers(&values, &behind);
        let factors: Vec<f64> = (0..attention_width).map(|c| equal[value_of(c)]).collect();
        scale_columns(&mut output, &factors);
        let value_scale = equalised_scale(&values, &equal);
        let value_scales: Vec<f64> = equal.iter().map(|s| s * value_scale).collect();
        let value_bias = bias("self_attn.v_proj")?;
        let value = linear(&value, value_bias.as_deref(), hidden, input_scale, &value_scales, precision);

        let exponent =
            query_scale * key_scale / (config.head_dim as f64).sqrt() * std::f64::consts::LOG2_E * 1024.0;
        let attention = self.calibration.channels(l, Tensor::Attention);
        let attention_scale = equalised_scale(&attention, &factors);
        // Products are below 127 * 127 * positions; the shifted ones must stay in 31 bits.
        let product_bits = (127.0 * 127.0 * config.max_positions as f64).log2().ceil() as i32;
        let left_shift = (30 - product_bits).clamp(0, 8);
        let (factor, shift) = sixteen_bits(value_scale / attention_scale * power(-left_shift));
        let attention = AttentionScale { left_shift: left_shift as u8, factor, shift };
        let output = segmented(
            &output,
            None,
            (attention_width, config.head_dim),
            attention_scale,
            &[residual_scale],
            precision,
        );

        // The feed-forward layers.
        let (mut gate, mut up) = (weights("mlp.gate_proj")?, weights("mlp.up_proj")?);
        let post = self.calibration.channels(l, Tensor::PostNorm);
        let equal = equalisers(&post, &columns(&[&gate, &up], hidden));
        scale_columns(&mut gate, &equal);
        scale_columns(&mut up, &equal);
        let post_scale = equalised_scale(&post, &equal);
        let post_scales: Vec<f64> = equal.iter().map(|s| s * post_scale).collect();
        let middle = self.calibration.of(l, Tensor::AttentionResidual);
        let post_norm = self.norm(&name("post_attention_layernorm"), middle, residual_scale, &post_scales)?;
        let gate = linear(&gate, None, hidden, post_scale, &[power(-GATE_BITS)], precision);
        let mut down = weights("mlp.down_proj")?;
        let gated = self.calibration.channels(l, Tensor::Gated);
        let equal = equalisers(&gated, &columns(&[&down], config.intermediate_size));
        scale_columns(&mut down, &equal);
        let gated_scale = equalised_scale(&gated, &equal);
        // The units of up are such that products with the SiLU are a power of two finer than the int8 results.
        let coarse: Vec<f64> = equal.iter().map(|s| gated_scale * s * power(GATE_BITS)).collect();
        let up_largest = self.calibration.channels(l, Tensor::Up);
        let room = coarse.iter().zip(&up_largest).map(|(c, u)| power(VALUE_BITS) * c / u);
        let gated_shift = room.fold(f64::MAX, f64::min).log2().floor().clamp(0.0, 31.0) as u8;
        let up_scales: Vec<f64> = coarse.iter().map(|c| c * power(-i32::from(gated_shift))).collect();
        let up = linear(&up, None, hidden, post_scale, &up_scales, precision);
        let down = linear(&down, None, config.intermediate_size, gated_scale, &[residual_scale], precision);
        Ok(Layer {
            input_norm,
            query,
            key,
            value,
            query_norm,
            key_norm,
            exponent: multiplier(exponent),
            attention,
            output,
            post_norm,
            gate,
            up,
            gated_shift,
            down,
        })
    }

    /// A norm of integers in units of `scale`, at most `largest` in real numbers, to results in units of a scale a channel.
    fn norm(
        &self,
        name: &str,
        largest: f64,
        scale: f64,
        output_scales: &[f64],
    ) -> Result<Norm, LanguageError> {
        let weights = self.checkpoint.tensor(name)?;
        let n = weights.len() as f64;
        let square_shift = shift_to(largest / scale, VALUE_BITS);
        // z = x * 2^(left - right) / sqrt(sum of squares) is the normed value times 2^14 / sqrt(n).
        let up = VALUE_BITS - square_shift;
        let unit = scale * power(square_shift);
        let epsilon = (self.config.rms_norm_eps * n / (unit * unit)).round().min(f64::from(i32::MAX));
        let real: Vec<f64> = weights
            .iter()
            .zip(output_scales)
            .map(|(w, scale)| f64::from(*w) * n.sqrt() * power(-VALUE_BITS) / scale)
            .collect();
        let most = real.iter().fold(1e-12f64, |m, w| m.max(w.abs()));
        let shift = (14 - (most.log2().floor() as i32)).clamp(0, 31);
        let integer = |w: &f64| (w * power(shift)).round().clamp(-32768.0, 32767.0) as i32;
        Ok(Norm {
            square_shift: square_shift as u8,
            epsilon: epsilon as i32,
            left_shift: up.max(0) as u8,
            right_shift: (-up).max(0) as u8,
            weights: real.iter().map(integer).collect(),
            shift: shift as u8,
        })
    }
}

/// A factor as 16 bits and a right shift.
fn sixteen_bits(real: f64) -> (i32, u8) {
    let shift = (14 - (real.log2().floor() as i32)).clamp(0, 31);
    ((real * power(shift)).round().clamp(0.0, 32767.0) as i32, shift as u8)
}

/// Quantises the rows of a linear layer; the outputs have one scale, or one each.
pub fn linear(
    weights: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    input_scale: f64,
    output_scales: &[f64],
    precision: Precision,
) -> Linear {
    segmented(weights, bias, (inputs, inputs), input_scale, output_scales, precision)
}

/// The same for inputs that come in segments, whose groups of 4-bit weights begin anew with each.
fn segmented(
    weights: &[f32],
    bias: Option<&[f32]>,
    (inputs, segment): (usize, usize),
    input_scale: f64,
    output_scales: &[f64],
    precision: Precision,
) -> Linear {
    let outputs = weights.len() / inputs;
    let mut channels = Vec::with_capacity(outputs);
    let mut channel = |o: usize, scale: f64| {
        let sum_scale = input_scale * scale;
        let bias = bias.map_or(0.0, |b| (f64::from(b[o]) / sum_scale).round());
        channels.push(Channel {
            bias: bias as i32,
            multiplier: multiplier(sum_scale / output_scales[o % output_scales.len()]),
        });
    };
    let rows = weights.chunks(inputs).enumerate();
    let weights = match precision {
        Precision::W8A8 => {
            let mut values = Vec::with_capacity(weights.len());
            for (o, row) in rows {
                let largest = row.iter().fold(1e-9f32, |m, w| m.max(w.abs()));
                let scale = f64::from(largest) / 127.0;
                values.extend(row.iter().map(|w| (f64::from(*w) / scale).round() as i8));
                channel(o, scale);
            }
            Weights::Int8(values)
        }
        Precision::W4A8 => {
            let mut values = Vec::with_capacity(weights.len());
            let mut scales = Vec::with_capacity(outputs * scale_groups(inputs, segment));
            for (o, row) in rows {
                channel(o, four_bits(row, segment, &mut values, &mut scales));
            }
            Weights::Int4 { values, scales, segment }
        }
    };
    Linear { inputs, weights, channels }
}

/// Largest integer group scale: six bits.
const LARGEST_GROUP_SCALE: f64 = 63.0;

/// Rounds a row to four bits, with the clipping that gives each group the least squared error; returns the row's scale.
fn four_bits(row: &[f32], segment: usize, values: &mut Vec<i8>, scales: &mut Vec<u8>) -> f64 {
    let groups = || row.chunks(segment).flat_map(|part| part.chunks(GROUP));
    let group_scale = |group: &[f32]| f64::from(group.iter().fold(0.0f32, |m, w| m.max(w.abs()))) / 7.0;
    let largest = groups().map(group_scale).fold(1e-10, f64::max);
    let unit = largest / LARGEST_GROUP_SCALE;
    for group in groups() {
        let mut best: Option<(f64, u8, Vec<i8>)> = None;
        for percent in [100, 95, 90, 85, 80, 75, 70] {
            let wanted = group_scale(group) * f64::from(percent) / 100.0;
            let scale = (wanted / unit).round().clamp(1.0, LARGEST_GROUP_SCALE);
            let real = scale * unit;
            let rounded: Vec<i8> =
                group.iter().map(|w| (f64::from(*w) / real).round().clamp(-8.0, 7.0) as i8).collect();
            let error: f64 =
                group.iter().zip(&rounded).map(|(w, q)| (f64::from(*w) - f64::from(*q) * real).powi(2)).sum();
            if best.as_ref().is_none_or(|b| error < b.0) {
                best = Some((error, scale as u8, rounded));
            }
        }
        let (_, scale, rounded) = best.expect("seven candidates");
        scales.push(scale);
        values.extend(rounded);
    }
    unit
}
