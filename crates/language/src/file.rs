//! A quantised model as one file: a safetensors file whose metadata hold the format's version, the sizes, and every number that is not
//! in a tensor; the tokenizer comes along as bytes. What is read back is what was written, bit for bit.
//!
//! | tensor | type, shape |
//! |---|---|
//! | `embedding.high`, `embedding.low` | I8, vocabulary x hidden |
//! | `*.weight` | W8A8: I8, outputs x inputs; W4A8: U8, two values a byte, low half first |
//! | `*.scales` | W4A8: U8, outputs x groups |
//! | `*.bias`, `*.multiplier`, `*.shifts` | I32, U32, U8 x 2 (left, right), an output each |
//! | `*.norm` | I32, weights of a norm |
//! | `tokenizer` | U8, the bytes of tokenizer.json |

use crate::config::ModelConfig;
use crate::error::LanguageError;
use crate::integer::{
    scale_groups, AttentionScale, Channel, Layer, Linear, Norm, Precision, QuantisedModel, Weights,
};
use frugal_quant::Multiplier;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Version of the format; another one is refused.
const VERSION: u32 = 1;
const FORMAT_KEY: &str = "frugal.quantised";
const MODEL_KEY: &str = "frugal.model";
const TOKENIZER: &str = "tokenizer";

/// What is not in tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    config: ModelConfig,
    precision: Precision,
    embedding_shift: u8,
    logit_scale: f64,
    final_norm: NormHeader,
    head: LinearHeader,
    layers: Vec<LayerHeader>,
}

#[derive(Serialize, Deserialize)]
struct NormHeader {
    square_shift: u8,
    epsilon: i32,
    left_shift: u8,
    right_shift: u8,
    shift: u8,
}

#[derive(Serialize, Deserialize)]
struct LinearHeader {
    inputs: usize,
    outputs: usize,
    /// Of 4-bit weights: inputs whose groups of scales begin anew.
    segment: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct LayerHeader {
    input_norm: NormHeader,
    query: LinearHeader,
    key: LinearHeader,
    value: LinearHeader,
    query_norm: Option<NormHeader>,
    key_norm: Option<NormHeader>,
    /// Significand, left and right shift.
    exponent: (u32, u8, u8),
    /// Left shift, factor, shift.
    attention: (u8, i32, u8),
    output: LinearHeader,
    post_norm: NormHeader,
    gate: LinearHeader,
    up: LinearHeader,
    gated_shift: u8,
    down: LinearHeader,
}

/// Collects tensors.
#[derive(Default)]
struct Writer {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Writer {
    fn add(&mut self, name: String, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) {
        self.tensors.push((name, dtype, shape.to_vec(), bytes));
    }

    fn norm(&mut self, name: &str, norm: &Norm) -> NormHeader {
        let bytes = norm.weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.add(format!("{name}.norm"), Dtype::I32, &[norm.weights.len()], bytes);
        let Norm { square_shift, epsilon, left_shift, right_shift, shift, .. } = *norm;
        NormHeader { square_shift, epsilon, left_shift, right_shift, shift }
    }

    fn linear(&mut self, name: &str, linear: &Linear) -> LinearHeader {
        let (inputs, outputs) = (linear.inputs, linear.outputs());
        let segment = match &linear.weights {
            Weights::Int8(values) => {
                self.add(format!("{name}.weight"), Dtype::I8, &[outputs, inputs], as_bytes(values));
                None
            }
            Weights::Int4 { values, scales, segment } => {
                let pair = |pair: &[i8]| pair[0] as u8 & 15 | (pair.get(1).map_or(0, |v| *v as u8)) << 4;
                let packed: Vec<u8> = values.chunks(2).map(pair).collect();
                self.add(format!("{name}.weight"), Dtype::U8, &[packed.len()], packed);
                let groups = scale_groups(inputs, *segment);
                self.add(format!("{name}.scales"), Dtype::U8, &[outputs, groups], scales.clone());
                Some(*segment)
            }
        };
        let channels = &linear.channels;
        let bias = channels.iter().flat_map(|c| c.bias.to_le_bytes()).collect();
        self.add(format!("{name}.bias"), Dtype::I32, &[outputs], bias);
        let multiplier = channels.iter().flat_map(|c| c.multiplier.multiplier.to_le_bytes()).collect();
        self.add(format!("{name}.multiplier"), Dtype::U32, &[outputs], multiplier);
        let shifts = channels.iter().flat_map(|c| [c.multiplier.left_shift, c.multiplier.right_shift]);
        self.add(format!("{name}.shifts"), Dtype::U8, &[outputs, 2], shifts.collect());
        LinearHeader { inputs, outputs, segment }
    }

    fn layer(&mut self, number: usize, layer: &Layer) -> LayerHeader {
        let name = |part: &str| format!("layers.{number}.{part}");
        let exponent = layer.exponent;
        let AttentionScale { left_shift, factor, shift } = layer.attention;
        LayerHeader {
            input_norm: self.norm(&name("input"), &layer.input_norm),
            query: self.linear(&name("query"), &layer.query),
            key: self.linear(&name("key"), &layer.key),
            value: self.linear(&name("value"), &layer.value),
            query_norm: layer.query_norm.as_ref().map(|norm| self.norm(&name("query"), norm)),
            key_norm: layer.key_norm.as_ref().map(|norm| self.norm(&name("key"), norm)),
            exponent: (exponent.multiplier, exponent.left_shift, exponent.right_shift),
            attention: (left_shift, factor, shift),
            output: self.linear(&name("output"), &layer.output),
            post_norm: self.norm(&name("post"), &layer.post_norm),
            gate: self.linear(&name("gate"), &layer.gate),
            up: self.linear(&name("up"), &layer.up),
            gated_shift: layer.gated_shift,
            down: self.linear(&name("down"), &layer.down),
        }
    }
}

/// The bytes of a file with the model and, if there is one, its tokenizer (`tokenizer.json`).
///
/// # Panics
/// If the model's tensors do not have the sizes that they say.
pub fn write(model: &QuantisedModel, tokenizer: Option<&[u8]>) -> Vec<u8> {
    let mut writer = Writer::default();
    let shape = [model.config.vocab_size, model.config.hidden_size];
    writer.add("embedding.high".into(), Dtype::I8, &shape, as_bytes(&model.embedding_high));
    writer.add("embedding.low".into(), Dtype::I8, &shape, as_bytes(&model.embedding_low));
    let layers = model.layers.iter().enumerate().map(|(number, layer)| writer.layer(number, layer)).collect();
    let header = Header {
        config: model.config.clone(),
        precision: model.precision,
        embedding_shift: model.embedding_shift,
        logit_scale: model.logit_scale,
        layers,
        final_norm: writer.norm("final", &model.final_norm),
        head: writer.linear("head", &model.head),
    };
    if let Some(bytes) = tokenizer {
        writer.add(TOKENIZER.into(), Dtype::U8, &[bytes.len()], bytes.to_vec());
    }
    let header = serde_json::to_string(&header).expect("numbers and names");
    let metadata =
        HashMap::from([(FORMAT_KEY.to_owned(), VERSION.to_string()), (MODEL_KEY.to_owned(), header)]);
    let views = writer.tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view =
            TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor has the bytes of its shape");
        (name.as_str(), view)
    });
    safetensors::serialize(views, Some(metadata)).expect("names are different")
}

/// Whether bytes begin like a safetensors file with a quantised model; damaged ones may not.
pub fn is_quantised(bytes: &[u8]) -> bool {
    bytes.len() > 8
        && bytes[8..bytes.len().min(4096)].windows(FORMAT_KEY.len()).any(|w| w == FORMAT_KEY.as_bytes())
}

/// Reads a file's model, and its tokenizer's bytes if they came along. `path` is what errors call it.
///
/// # Errors
/// For anything that [`write`] does not write: other versions, damaged or missing tensors, impossible numbers.
pub fn read(path: &Path, bytes: &[u8]) -> Result<(QuantisedModel, Option<Vec<u8>>), LanguageError> {
    let broken = |reason: String| LanguageError::Quantised { path: path.to_owned(), reason };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
    let metadata = metadata.metadata().clone().unwrap_or_default();
    let Some(version) = metadata.get(FORMAT_KEY) else {
        return Err(broken("it is not one that frugal quantise wrote".into()));
    };
    if *version != VERSION.to_string() {
        return Err(broken(format!(
            "its format is version {version}, and this program knows version {VERSION}"
        )));
    }
    let header = metadata.get(MODEL_KEY).ok_or_else(|| broken(format!("it has no {MODEL_KEY}")))?;
    let header: Header = serde_json::from_str(header).map_err(|error| broken(error.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
    Reader { file }.model(header).map_err(broken)
}

/// Takes tensors out of a file, and says in words what is wrong with it.
struct Reader<'a> {
    file: SafeTensors<'a>,
}

impl<'a> Reader<'a> {
    fn tensor(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8], String> {
        let view = self.file.tensor(name).map_err(|_| format!("tensor '{name}' is missing"))?;
        match view.dtype() == dtype && view.shape() == shape {
            true => Ok(view.data()),
            false => Err(format!(
                "tensor '{name}' is {:?} {:?}; {dtype:?} {shape:?} belongs here",
                view.dtype(),
                view.shape()
            )),
        }
    }

    fn norm(&self, name: &str, header: &NormHeader, length: usize) -> Result<Norm, String> {
        let bytes = self.tensor(&format!("{name}.norm"), Dtype::I32, &[length])?;
        let weights: Vec<i32> = bytes.chunks_exact(4).map(i32_of).collect();
        if weights.iter().any(|w| i16::try_from(*w).is_err()) {
            return Err(format!("tensor '{name}.norm' has weights of more than 16 bits"));
        }
        let NormHeader { square_shift, epsilon, left_shift, right_shift, shift } = *header;
        shifts(name, &[square_shift, left_shift, right_shift, shift])?;
        Ok(Norm { square_shift, epsilon, left_shift, right_shift, weights, shift })
    }

    fn linear(
        &self,
        name: &str,
        header: &LinearHeader,
        (outputs, inputs): (usize, usize),
        precision: Precision,
    ) -> Result<Linear, String> {
        if (header.outputs, header.inputs) != (outputs, inputs) {
            let found = (header.outputs, header.inputs);
            return Err(format!("'{name}' is {found:?}; the model's sizes make it {:?}", (outputs, inputs)));
        }
        let weight = format!("{name}.weight");
        let weights = match (header.segment, precision) {
            (None, Precision::W8A8) => {
                let bytes = self.tensor(&weight, Dtype::I8, &[outputs, inputs])?;
                Weights::Int8(bytes.iter().map(|b| *b as i8).collect())
            }
            (Some(segment), Precision::W4A8) => {
                if segment == 0 || inputs % segment != 0 {
                    return Err(format!("'{name}' has segments of {segment} in {inputs} inputs"));
                }
                let count = outputs * inputs;
                let bytes = self.tensor(&weight, Dtype::U8, &[count.div_ceil(2)])?;
                let nibble = |n: u8| ((n << 4) as i8) >> 4;
                let mut values: Vec<i8> =
                    bytes.iter().flat_map(|byte| [nibble(*byte), (*byte as i8) >> 4]).collect();
                values.truncate(count);
                let groups = scale_groups(inputs, segment);
                let scales = self.tensor(&format!("{name}.scales"), Dtype::U8, &[outputs, groups])?;
                Weights::Int4 { values, scales: scales.to_vec(), segment }
            }
            _ => return Err(format!("'{name}' has not the weights of its precision")),
        };
        let bias = self.tensor(&format!("{name}.bias"), Dtype::I32, &[outputs])?;
        let multiplier = self.tensor(&format!("{name}.multiplier"), Dtype::U32, &[outputs])?;
        let pairs = self.tensor(&format!("{name}.shifts"), Dtype::U8, &[outputs, 2])?;
        let channels = bias.chunks_exact(4).zip(multiplier.chunks_exact(4)).zip(pairs.chunks_exact(2));
        let channels = channels.map(|((bias, significand), pair)| {
            let multiplier = multiplier_of(name, (i32_of(significand) as u32, pair[0], pair[1]))?;
            Ok(Channel { bias: i32_of(bias), multiplier })
        });
        Ok(Linear { inputs, weights, channels: channels.collect::<Result<_, String>>()? })
    }

    fn layer(&self, number: usize, h: &LayerHeader, c: &ModelConfig, p: Precision) -> Result<Layer, String> {
        let name = |part: &str| format!("layers.{number}.{part}");
        let (query, key) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let (hidden, wide) = (c.hidden_size, c.intermediate_size);
        let head_norm = |part: &str, header: &Option<NormHeader>| match (header, c.qk_norm) {
            (Some(header), true) => self.norm(&name(part), header, c.head_dim).map(Some),
            (None, false) => Ok(None),
            _ => {
                Err(format!("'{}' has a norm where the model has none, or none where it has one", name(part)))
            }
        };
        let linear = |part: &str, header, shape| self.linear(&name(part), header, shape, p);
        let (left_shift, factor, shift) = h.attention;
        shifts(&name("attention"), &[left_shift, shift, h.gated_shift])?;
        if i16::try_from(factor).is_err() {
            return Err(format!("'{}' has a factor of more than 16 bits", name("attention")));
        }
        Ok(Layer {
            input_norm: self.norm(&name("input"), &h.input_norm, hidden)?,
            query: linear("query", &h.query, (query, hidden))?,
            key: linear("key", &h.key, (key, hidden))?,
            value: linear("value", &h.value, (key, hidden))?,
            query_norm: head_norm("query", &h.query_norm)?,
            key_norm: head_norm("key", &h.key_norm)?,
            exponent: multiplier_of(&name("exponent"), h.exponent)?,
            attention: AttentionScale { left_shift, factor, shift },
            output: linear("output", &h.output, (hidden, query))?,
            post_norm: self.norm(&name("post"), &h.post_norm, hidden)?,
            gate: linear("gate", &h.gate, (wide, hidden))?,
            up: linear("up", &h.up, (wide, hidden))?,
            gated_shift: h.gated_shift,
            down: linear("down", &h.down, (hidden, wide))?,
        })
    }

    fn model(&self, header: Header) -> Result<(QuantisedModel, Option<Vec<u8>>), String> {
        let Header { config, precision, embedding_shift, logit_scale, .. } = header;
        config.check()?;
        if header.layers.len() != config.layers {
            return Err(format!(
                "it has {} layers, and its sizes say {}",
                header.layers.len(),
                config.layers
            ));
        }
        if embedding_shift > 16 || !logit_scale.is_finite() || logit_scale <= 0.0 {
            return Err("the scales of embedding and logits are impossible".into());
        }
        let shape = [config.vocab_size, config.hidden_size];
        let plane = |name: &str| -> Result<Vec<i8>, String> {
            Ok(self.tensor(name, Dtype::I8, &shape)?.iter().map(|b| *b as i8).collect())
        };
        let layers =
            header.layers.iter().enumerate().map(|(l, layer)| self.layer(l, layer, &config, precision));
        let layers = layers.collect::<Result<_, String>>()?;
        let head_shape = (config.vocab_size, config.hidden_size);
        let model = QuantisedModel {
            embedding_high: plane("embedding.high")?,
            embedding_low: plane("embedding.low")?,
            final_norm: self.norm("final", &header.final_norm, config.hidden_size)?,
            head: self.linear("head", &header.head, head_shape, Precision::W8A8)?,
            config,
            precision,
            embedding_shift,
            layers,
            logit_scale,
        };
        let tokenizer = self.file.tensor(TOKENIZER).ok().map(|view| view.data().to_vec());
        Ok((model, tokenizer))
    }
}

fn as_bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|v| *v as u8).collect()
}

fn i32_of(bytes: &[u8]) -> i32 {
    i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn shifts(name: &str, shifts: &[u8]) -> Result<(), String> {
    match shifts.iter().all(|shift| *shift <= 31) {
        true => Ok(()),
        false => Err(format!("'{name}' has shifts above 31 bits")),
    }
}

fn multiplier_of(
    name: &str,
    (multiplier, left_shift, right_shift): (u32, u8, u8),
) -> Result<Multiplier, String> {
    shifts(name, &[left_shift, right_shift])?;
    match multiplier <= 1 << 31 {
        true => Ok(Multiplier { multiplier, left_shift, right_shift }),
        false => Err(format!("'{name}' has a multiplier above 2^31")),
    }
}
