//! Constants of a language model, laid out for one accelerator: padded sizes, weights in the array's order, parameters, scales.

use crate::build::{pack_parameters, ChannelParameters};
use frugal_isa::Config;
use frugal_language::integer::{scale_groups, Linear, Norm, QuantisedModel, Weights, GROUP};

/// Sizes of the padded model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of a vector; lanes; columns.
    pub rows: usize,
    pub lanes: usize,
    pub cols: usize,
    pub hidden: usize,
    pub wide: usize,
    /// Half a query or key head, and a value head.
    pub half: usize,
    pub value: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub shared: usize,
}

impl Sizes {
    pub fn of(model: &QuantisedModel, config: &Config) -> Sizes {
        let m = &model.config;
        // Whole groups of scales, and whole vectors; heads move in multiples of 16 bytes.
        let vector = config.rows.max(GROUP);
        let half = (m.head_dim / 2).next_multiple_of(config.lanes).next_multiple_of((config.rows / 2).max(8));
        Sizes {
            rows: config.rows,
            lanes: config.lanes,
            cols: config.cols,
            // These are outputs as well: whole tiles.
            hidden: m.hidden_size.next_multiple_of(vector.max(2 * config.cols)),
            wide: m.intermediate_size.next_multiple_of(vector.max(2 * config.cols)),
            half,
            // Heads of values are inputs of the output projection: whole groups of scales each.
            value: m.head_dim.next_multiple_of(vector),
            heads: m.heads,
            kv_heads: m.kv_heads,
            shared: m.heads / m.kv_heads,
        }
    }

    pub fn query_head(&self) -> usize {
        2 * self.half
    }

    /// Bytes of a position in a layer's cache: keys, then values.
    pub fn cache_row(&self) -> usize {
        (self.kv_heads * (self.query_head() + self.value)).next_multiple_of(16)
    }
}

/// Where the model's channel stands among the padded ones: `None` is a channel of zeros.
pub(super) type Order = Vec<Option<usize>>;

pub(super) fn straight(channels: usize, padded: usize) -> Order {
    (0..padded).map(|c| (c < channels).then_some(c)).collect()
}

/// Both halves of each head, padded.
pub(super) fn by_halves(heads: usize, dim: usize, half: usize) -> Order {
    let head = |h: usize| {
        (0..2 * half).map(move |i| (i % half < dim / 2).then(|| h * dim + i / half * (dim / 2) + i % half))
    };
    (0..heads).flat_map(head).collect()
}

pub(super) fn by_heads(heads: usize, dim: usize, padded: usize) -> Order {
    (0..heads).flat_map(|h| (0..padded).map(move |i| (i < dim).then_some(h * dim + i))).collect()
}

/// A linear layer in memory.
pub(super) struct Stored {
    /// Byte offsets of weights, group scales and parameters.
    pub weights: usize,
    pub scales: usize,
    pub parameters: usize,
    /// Reduction steps of a tile, and tiles.
    pub steps: usize,
    pub tiles: usize,
    /// Channels of a tile.
    pub channels: usize,
    pub four_bit: bool,
    /// First tiles whose weights and parameters stay on the chip once they are there.
    pub kept: usize,
}

/// Byte offsets of one layer's constants.
pub(super) struct StoredLayer {
    pub input_norm: usize,
    pub query: Stored,
    pub key: Stored,
    pub value: Stored,
    pub query_norm: Option<usize>,
    pub key_norm: Option<usize>,
    pub output: Stored,
    pub post_norm: usize,
    pub gate: Stored,
    pub up: Stored,
    pub down: Stored,
}

/// Constants of a model, laid out for one accelerator.
pub(super) struct Constants {
    pub bytes: Vec<u8>,
}

impl Constants {
    pub fn append(&mut self, block: impl IntoIterator<Item = u8>) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend(block);
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        offset
    }

    pub fn words(&mut self, values: impl IntoIterator<Item = i32>) -> usize {
        let bytes: Vec<u8> = values.into_iter().flat_map(i32::to_le_bytes).collect();
        self.append(bytes)
    }

    pub fn norm(&mut self, norm: &Norm, order: &Order) -> usize {
        self.words(order.iter().map(|c| c.map_or(0, |c| norm.weights[c])))
    }

    /// Weights in the order in which the array reads them.
    pub fn linear(&mut self, linear: &Linear, outputs: &Order, inputs: &Order, config: &Config) -> Stored {
        let (four_bit, values) = match &linear.weights {
            Weights::Int8(values) => (false, values),
            Weights::Int4 { values, .. } => (true, values),
        };
        let channels = if four_bit { 2 * config.cols } else { config.cols };
        let (steps, tiles) = (inputs.len() / config.rows, outputs.len().div_ceil(channels));
        let output = |o: usize| outputs.get(o).copied().flatten();
        let weight = |o: usize, i: usize| match (output(o), inputs[i]) {
            (Some(o), Some(i)) => values[o * linear.inputs + i],
            _ => 0,
        };
        let mut bytes = Vec::with_capacity(tiles * steps * config.tile_bytes());
        for tile in 0..tiles {
            for step in 0..steps {
                for column in 0..config.cols {
                    for row in 0..config.rows {
                        let (o, i) = (tile * channels + column, step * config.rows + row);
                        bytes.push(if four_bit {
                            weight(o, i) as u8 & 15 | (weight(o + config.cols, i) as u8) << 4
                        } else {
                            weight(o, i) as u8
                        });
                    }
                }
            }
        }
        let weights = self.append(bytes);
        let mut scales = 0;
        if let Weights::Int4 { scales: values, segment, .. } = &linear.weights {
            let groups = scale_groups(linear.inputs, *segment);
            // The model's group whose inputs stand in a group of the padded ones.
            let group_of = |inputs: &[Option<usize>]| {
                let group = |i: usize| i / segment * segment.div_ceil(GROUP) + i % segment / GROUP;
                let mut found = inputs.iter().flatten().map(|i| group(*i));
                let first = found.next();
                assert!(found.all(|g| Some(g) == first), "a group of scales is padded as a whole");
                first
            };
            let model_groups: Vec<Option<usize>> =
                inputs.chunks(config.scale_group()).map(group_of).collect();
            let mut bytes = Vec::with_capacity(tiles * model_groups.len() * channels);
            for tile in 0..tiles {
                for group in &model_groups {
                    bytes.extend((0..channels).map(|j| match (output(tile * channels + j), group) {
                        (Some(o), Some(group)) => values[o * groups + group],
                        _ => 0,
                    }));
                }
            }
            scales = self.append(bytes);
        }
        let parameters: Vec<ChannelParameters> = (0..tiles * channels)
            .map(|o| match output(o) {
                Some(o) => {
                    let channel = linear.channels[o];
                    ChannelParameters {
                        bias: channel.bias,
                        multiplier: channel.multiplier.multiplier,
                        right_shift: channel.multiplier.right_shift,
                        left_shift: channel.multiplier.left_shift,
                    }
                }
                None => ChannelParameters::default(),
            })
            .collect();
        let parameters = self.append(pack_parameters(&parameters, config));
        Stored { weights, scales, parameters, steps, tiles, channels, four_bit, kept: 0 }
    }
}

impl StoredLayer {
    /// In the order of their use.
    pub fn linears(&self) -> [&Stored; 7] {
        [&self.key, &self.value, &self.query, &self.output, &self.gate, &self.up, &self.down]
    }

    pub fn linears_mut(&mut self) -> [&mut Stored; 7] {
        [
            &mut self.key,
            &mut self.value,
            &mut self.query,
            &mut self.output,
            &mut self.gate,
            &mut self.up,
            &mut self.down,
        ]
    }
}

impl Stored {
    /// Accumulator rows of all its outputs, for vectors of so many lanes.
    pub fn rows(&self, lanes: usize) -> usize {
        self.tiles * self.channels / lanes
    }
}
