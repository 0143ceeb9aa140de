//! Language models: a [`QuantisedModel`] and some positions of one sequence become a program.
//!
//! ```text
//! ids -> scalars -> embedding rows -> residual stream (accumulator memory)
//! for each layer:
//!   norm -> int8 -> queries, keys, values -> norm, rotation -> int8 -> cache in memory
//!   keys and values of all positions -> weight scratchpad: scores -> exponentials -> products -> int8 -> output projection + residual
//!   norm -> int8 -> gate, up -> SiLU, product -> int8 -> down projection + residual
//! norm -> int8 -> head -> logits, argmax
//! ```
//! All positions of a program go through a layer together, so that weights are read once for all of them. Everything is padded to whole
//! vectors: channels that no model has are zero throughout.

use crate::access::Access;
use crate::build::{pack_parameters, ChannelParameters, Ring};
use crate::tokens;
use crate::Value;
use frugal_isa::command::{
    finish, function, layout, row_destination, row_reduce, scalar_use, space, Adjust, Barrier, Branch, End,
    Load, Matrix, Patch, Row, Set, Store, Vector,
};
use frugal_isa::program::Layer as ProgramLayer;
use frugal_isa::{Command, Config, ConfigError, Program, TensorLayout};
use frugal_language::integer::{
    rotation, scale_groups, Linear, Norm, QuantisedModel, Weights, EXPONENTIAL_SHIFT, EXPONENT_OFFSET, GROUP,
};
use thiserror::Error;

/// Why positions of a model cannot be compiled for an accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LanguageCompileError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("positions {start} to {end} are wanted; the model has {limit}")]
    Positions { start: usize, end: usize, limit: usize },
    #[error("{tokens} positions at once need {needed} {unit} of the {memory}; '{config}' has {depth}. Take fewer at once")]
    Memory {
        tokens: usize,
        memory: &'static str,
        unit: &'static str,
        needed: usize,
        depth: usize,
        config: String,
    },
    #[error("the model has 4-bit weights, and '{config}' is built without them")]
    FourBit { config: String },
}

/// Sizes of the padded model.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Bytes of a vector; lanes; columns.
    rows: usize,
    lanes: usize,
    cols: usize,
    hidden: usize,
    wide: usize,
    /// Half a query or key head, and a value head.
    half: usize,
    value: usize,
    heads: usize,
    kv_heads: usize,
    shared: usize,
}

impl Sizes {
    fn of(model: &QuantisedModel, config: &Config) -> Sizes {
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

    fn query_head(&self) -> usize {
        2 * self.half
    }

    /// Bytes of a position in a layer's cache: keys, then values.
    fn cache_row(&self) -> usize {
        (self.kv_heads * (self.query_head() + self.value)).next_multiple_of(16)
    }
}

/// Where the model's channel stands among the padded ones: `None` is a channel of zeros.
type Order = Vec<Option<usize>>;

fn straight(channels: usize, padded: usize) -> Order {
    (0..padded).map(|c| (c < channels).then_some(c)).collect()
}

/// Both halves of each head, padded.
fn by_halves(heads: usize, dim: usize, half: usize) -> Order {
    let head = |h: usize| {
        (0..2 * half).map(move |i| (i % half < dim / 2).then(|| h * dim + i / half * (dim / 2) + i % half))
    };
    (0..heads).flat_map(head).collect()
}

fn by_heads(heads: usize, dim: usize, padded: usize) -> Order {
    (0..heads).flat_map(|h| (0..padded).map(move |i| (i < dim).then_some(h * dim + i))).collect()
}

/// A linear layer in memory.
struct Stored {
    /// Byte offsets of weights, group scales and parameters.
    weights: usize,
    scales: usize,
    parameters: usize,
    /// Reduction steps of a tile, and tiles.
    steps: usize,
    tiles: usize,
    /// Channels of a tile.
    channels: usize,
    four_bit: bool,
}

/// Byte offsets of one layer's constants.
struct StoredLayer {
    input_norm: usize,
    query: Stored,
    key: Stored,
    value: Stored,
    query_norm: Option<usize>,
    key_norm: Option<usize>,
    output: Stored,
    post_norm: usize,
    gate: Stored,
    up: Stored,
    down: Stored,
}

/// Constants of a model, laid out for one accelerator.
struct Constants {
    bytes: Vec<u8>,
}

impl Constants {
    fn append(&mut self, block: impl IntoIterator<Item = u8>) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend(block);
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        offset
    }

    fn words(&mut self, values: impl IntoIterator<Item = i32>) -> usize {
        let bytes: Vec<u8> = values.into_iter().flat_map(i32::to_le_bytes).collect();
        self.append(bytes)
    }

    fn norm(&mut self, norm: &Norm, order: &Order) -> usize {
        self.words(order.iter().map(|c| c.map_or(0, |c| norm.weights[c])))
    }

    /// Weights in the order in which the array reads them.
    fn linear(&mut self, linear: &Linear, outputs: &Order, inputs: &Order, config: &Config) -> Stored {
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
        Stored { weights, scales, parameters, steps, tiles, channels, four_bit }
    }
}

/// What is in the rings.
type Block = (usize, usize);

struct Emitter<'a> {
    model: &'a QuantisedModel,
    config: &'a Config,
    sizes: Sizes,
    start: usize,
    tokens: usize,
    commands: Vec<Command>,
    /// What patched commands may read and write.
    accesses: Vec<Option<Access>>,
    command_layers: Vec<u32>,
    layer: u32,
    /// In a loop: its rounds. The positions move on by one in each of them.
    rounds: Option<usize>,
    weights: Ring<Block>,
    parameters: Ring<Block>,
    /// First of the parameter groups that are zero; those below belong to the ring.
    plain: usize,
    /// First weight tile of keys and values; tiles below belong to the ring.
    keys: usize,
    values: usize,
}

/// Rows of values to norm: where they are and how many.
#[derive(Clone, Copy)]
struct Rows {
    address: usize,
    count: usize,
    stride: usize,
    /// The same rows of so many positions, and from one position to the next.
    positions: usize,
    position_stride: usize,
    groups: usize,
    length: usize,
}

/// Where a norm's results go.
#[derive(Clone, Copy)]
enum Target {
    /// Vectors: address, and from one row to the next.
    Activation(usize, usize),
    /// The rows themselves.
    InPlace,
}

impl Emitter<'_> {
    fn push(&mut self, command: impl Into<Command>) {
        self.commands.push(command.into());
        self.accesses.push(None);
        self.command_layers.push(self.layer);
    }

    /// A command as it is for round 0 of a loop at position 0, and how it changes with them: at once, or, in a loop, in every round.
    fn push_patched(&mut self, command: impl Into<Command>, patches: &[Patch]) {
        let command = command.into();
        let patched = |round: usize| {
            let mut words = command.encode().expect("fields hold their values");
            for patch in patches {
                patch.apply(round as u32, &mut words);
            }
            Command::decode(&words).expect("patches keep commands legal")
        };
        match self.rounds {
            None => self.push(patched(0)),
            Some(rounds) => {
                let mut access = Access::of(&patched(0), self.config);
                for round in 1..rounds {
                    let more = Access::of(&patched(round), self.config);
                    access.reads.extend(more.reads);
                    access.writes.extend(more.writes);
                }
                self.push(Adjust::of(patches));
                self.push(command);
                *self.accesses.last_mut().expect("just pushed") = Some(access.merged());
            }
        }
    }

    fn load(&mut self, space: u32, layout: u32, offset: usize, bytes: usize, address: usize) {
        self.push(Load {
            space,
            layout,
            memory_offset: offset as u32,
            row_bytes: bytes.next_multiple_of(16) as u32,
            address: address as u32,
            ..Load::default()
        });
    }

    fn rows_load(&mut self, offset: usize, values: usize, address: usize) {
        self.load(space::ACCUMULATOR, layout::LINEAR, offset, 4 * values, address);
    }

    /// Matrix commands of a linear layer for all positions: tiles `from..to`.
    fn linear(&mut self, stored: &Stored, from: usize, to: usize, template: &Matrix) {
        let config = self.config;
        let group = config.scale_group() / config.rows;
        // A quarter of the ring at a time, so that loads run ahead.
        let room = (self.keys / 4 / stored.steps).max(1);
        let parameter_groups = stored.channels / config.lanes;
        let parameter_room = (self.plain / 4 / parameter_groups).max(1);
        let mut tile = from;
        while tile < to {
            let count = room.min(parameter_room).min(to - tile);
            let length = count * stored.steps;
            let offset = stored.weights + tile * stored.steps * config.tile_bytes();
            let address = match self.weights.find(&(offset, length)) {
                Some((address, _)) => address,
                None => {
                    let address = self.weights.place((offset, length), length, Value(0));
                    self.load(space::WEIGHT, layout::LINEAR, offset, length * config.tile_bytes(), address);
                    if stored.four_bit {
                        // Scales stand where their tiles do.
                        let offset = stored.scales + tile * stored.steps / group * config.scale_row_bytes();
                        let bytes = length / group * config.scale_row_bytes();
                        self.load(space::WEIGHT, layout::SCALES, offset, bytes, address / group);
                    }
                    address
                }
            };
            let groups = count * parameter_groups;
            let offset = stored.parameters + tile * parameter_groups * config.parameter_group_bytes();
            let parameters = match self.parameters.find(&(offset, groups)) {
                Some((address, _)) => address,
                None => {
                    let address = self.parameters.place((offset, groups), groups, Value(0));
                    let bytes = groups * config.parameter_group_bytes();
                    self.load(space::PARAMETER, layout::LINEAR, offset, bytes, address);
                    address
                }
            };
            let first_row = (tile - from) * stored.channels / config.lanes;
            self.push(Matrix {
                to_accumulator: true,
                row_results: true,
                rescale: true,
                single_rounding: true,
                four_bit: stored.four_bit,
                weight_address: address as u32,
                parameter_address: parameters as u32,
                channels: stored.steps as u32,
                stride_channel: 1,
                tiles: count as u32,
                output_address: template.output_address + first_row as u32,
                output_stride_tile: (config.rows / config.lanes) as u32,
                input_height: 1,
                input_width: template.outputs_x,
                step_x: 1,
                ..template.clone()
            });
            tile += count;
        }
    }

    /// The common part of a linear layer's commands: positions from `activation` on, results in rows from `output` on.
    fn positions(&self, activation: usize, vectors: usize, output: usize, rows: usize) -> Matrix {
        Matrix {
            activation_address: activation as u32,
            stride_x: vectors as u32,
            outputs_x: self.tokens as u32,
            output_address: output as u32,
            output_stride_x: rows as u32,
            ..Matrix::default()
        }
    }

    /// Sum of squares, inverse root, scaling by it and by the weights.
    fn norm(&mut self, norm: &Norm, weights: usize, rows: Rows, scalars: usize, target: Target) {
        let common = Row {
            source_address: rows.address as u32,
            source_stride_x: rows.stride as u32,
            source_stride_y: rows.position_stride as u32,
            rows_x: rows.count as u32,
            rows_y: rows.positions as u32,
            groups: rows.groups as u32,
            length: rows.length as u32,
            ..Row::default()
        };
        self.push(Row {
            function: function::SQUARE,
            multiplier: 1 << 31,
            right_shift: norm.square_shift.into(),
            reduce: row_reduce::SUM,
            finish: finish::INVERSE_SQUARE_ROOT,
            initial: norm.epsilon,
            result_address: scalars as u32,
            ..common.clone()
        });
        let scaled = Row {
            function: function::MULTIPLY,
            operand: true,
            operand_address: weights as u32,
            scalar_use: scalar_use::SCALE,
            scalar_address: scalars as u32,
            left_shift: norm.left_shift.into(),
            right_shift: norm.right_shift.into(),
            shift: norm.shift.into(),
            minimum: -128,
            maximum: 127,
            ..common
        };
        self.push(match target {
            Target::Activation(address, stride) => Row {
                destination: row_destination::ACTIVATION,
                destination_address: address as u32,
                destination_stride_x: stride as u32,
                ..scaled
            },
            Target::InPlace => Row {
                destination: row_destination::ACCUMULATOR,
                destination_address: rows.address as u32,
                destination_stride_x: rows.stride as u32,
                destination_stride_y: rows.position_stride as u32,
                ..scaled
            },
        });
    }

    /// Turns both halves of all heads by the positions' angles.
    fn rotate(&mut self, address: usize, row: usize, heads: usize, table: usize, target: usize) {
        let s = self.sizes;
        let (half, vectors) = (s.half / s.lanes, s.query_head() / s.rows);
        for second in [false, true] {
            let first_byte = if second { s.half } else { 0 };
            let tap = |rows: usize, back: bool| (if back { 0x1_0000 - rows } else { rows }) as u32;
            self.push(Row {
                function: function::MULTIPLY,
                operand: true,
                taps: 2,
                multiplier: 1 << 31,
                shift: frugal_language::integer::ROTATION_BITS
                    + frugal_language::integer::ROTATION_HEADROOM_BITS,
                source_address: (address + if second { half } else { 0 }) as u32,
                source_stride_x: (2 * half) as u32,
                source_stride_y: row as u32,
                source_stride_tap: tap(half, second),
                operand_address: table as u32,
                operand_stride_y: (3 * half) as u32,
                operand_stride_tap: tap(if second { 2 * half } else { half }, false),
                rows_x: heads as u32,
                rows_y: self.tokens as u32,
                groups: half as u32,
                length: s.half as u32,
                destination: row_destination::ACTIVATION,
                destination_address: (target + first_byte / s.rows) as u32,
                first_lane: (first_byte % s.rows) as u32,
                destination_stride_x: vectors as u32,
                destination_stride_y: (heads * vectors) as u32,
                minimum: -128,
                maximum: 127,
                ..Row::default()
            });
        }
    }
}

/// Bump allocation of one memory, with what is missing at the end.
struct Space {
    next: usize,
    most: usize,
}

impl Space {
    fn take(&mut self, count: usize) -> usize {
        let address = self.next;
        self.next += count;
        self.most = self.most.max(self.next);
        address
    }
}

/// First scalar of the tokens' ids.
const ID_SCALARS: usize = 0;
/// Scalars of norms and maxima, of sums, and of the search for the largest logit.
const SCALARS: usize = 64;
const SUM_SCALARS: usize = 128;
const ARGMAX_SCALARS: usize = 192;
/// Round of the loop.
const ROUND_SCALAR: usize = 255;

/// A patch that adds a position and the round to a part of a word.
fn position(at: usize, word: u8, part: u8) -> Patch {
    Patch { scalar: ROUND_SCALAR as u8, add: at as i16, multiplier: 1, word, part, ..Patch::default() }
}

/// Positions that go through the model together.
#[derive(Clone, Copy, Debug)]
struct Pass {
    start: usize,
    tokens: usize,
    /// Positions whose logits are wanted: all, the last, or none.
    head: Head,
    /// In a loop of so many rounds.
    rounds: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    All,
    Last,
    Nothing,
}

/// The program that takes `tokens` positions from `start` on through the model.
///
/// Input `ids` (int32); outputs `logits` (int32, every position) and `next` (int32: the id of the largest logit of every position, in
/// rows of `lanes`, the first of which counts). Keys and values stay in the workspace from one program to the next.
///
/// # Errors
/// When the positions are not in the model, or need more memory than the accelerator has.
pub fn forward(
    model: &QuantisedModel,
    config: &Config,
    start: usize,
    tokens: usize,
) -> Result<Program, LanguageCompileError> {
    program(model, config, &[Pass { start, tokens, head: Head::All, rounds: None }])
}

/// The program that takes a prompt of `prompt` tokens through the model, `at_once` of them at a time, and then generates `tokens` more: each
/// is the one with the largest logit, and goes back into the model, without the host.
///
/// Input `ids` (int32): the prompt. Output `next` (int32): the generated ids, in rows of `lanes`, the first of which counts.
///
/// # Errors
/// As [`forward`].
pub fn generate(
    model: &QuantisedModel,
    config: &Config,
    prompt: usize,
    at_once: usize,
    tokens: usize,
) -> Result<Program, LanguageCompileError> {
    let mut passes: Vec<Pass> = (0..prompt)
        .step_by(at_once.max(1))
        .map(|start| {
            let count = at_once.min(prompt - start);
            let head = if start + count == prompt { Head::Last } else { Head::Nothing };
            Pass { start, tokens: count, head, rounds: None }
        })
        .collect();
    if tokens > 1 {
        passes.push(Pass { start: prompt, tokens: 1, head: Head::Last, rounds: Some(tokens - 1) });
    }
    program(model, config, &passes)
}

fn program(
    model: &QuantisedModel,
    config: &Config,
    passes: &[Pass],
) -> Result<Program, LanguageCompileError> {
    config.validate()?;
    let m = &model.config;
    let start = passes.first().map_or(0, |p| p.start);
    let end = passes.iter().map(|p| p.start + p.tokens - 1 + p.rounds.unwrap_or(1)).max().unwrap_or(0);
    if passes.is_empty() || passes.iter().any(|p| p.tokens == 0) || end > m.max_positions {
        return Err(LanguageCompileError::Positions { start, end, limit: m.max_positions });
    }
    let tokens = passes.iter().map(|p| p.tokens).max().expect("not empty");
    let given: usize = passes.iter().filter(|p| p.rounds.is_none()).map(|p| p.tokens).sum();
    let all_logits = passes.iter().any(|p| p.head == Head::All);
    let results: usize = match all_logits {
        true => tokens,
        false => 1 + passes.iter().filter_map(|p| p.rounds).sum::<usize>(),
    };
    let s = Sizes::of(model, config);
    let mut constants = Constants { bytes: Vec::new() };

    // Constants.
    let hidden_order = straight(m.hidden_size, s.hidden);
    let wide_order = straight(m.intermediate_size, s.wide);
    let query_order = by_halves(s.heads, m.head_dim, s.half);
    let key_order = by_halves(s.kv_heads, m.head_dim, s.half);
    let value_order = by_heads(s.kv_heads, m.head_dim, s.value);
    let mut attention_order = by_heads(s.heads, m.head_dim, s.value);
    attention_order.resize(attention_order.len().next_multiple_of(GROUP.max(config.rows)), None);
    let head_order = by_halves(1, m.head_dim, s.half);
    let planes = |plane: &[i8], id: usize| -> Vec<u8> {
        hidden_order.iter().map(|c| c.map_or(0, |c| plane[id * m.hidden_size + c] as u8)).collect()
    };
    let mut embedding_bytes = Vec::with_capacity(2 * m.vocab_size * s.hidden);
    for id in 0..m.vocab_size {
        embedding_bytes.extend(planes(&model.embedding_high, id));
        embedding_bytes.extend(planes(&model.embedding_low, id));
    }
    let embedding = constants.append(embedding_bytes);
    let half = m.head_dim / 2;
    let mut table = Vec::new();
    for at in start..end {
        let (cosine, sine) = rotation(m, at);
        let padded = |f: &dyn Fn(usize) -> i32| -> Vec<i32> {
            (0..s.half).map(|i| if i < half { f(i) } else { 0 }).collect()
        };
        table.extend(padded(&|i| cosine[i]));
        table.extend(padded(&|i| -sine[i]));
        table.extend(padded(&|i| sine[i]));
    }
    let table = constants.words(table);
    // Zeros: for ids, and as parameters of products that are not rescaled.
    let plain_tiles = end.div_ceil(config.cols).max(s.value / config.cols);
    let plain_groups = plain_tiles * config.cols / config.lanes;
    let zeros = constants.append(vec![0; plain_groups * config.parameter_group_bytes() + 256]);
    let mut stored = Vec::new();
    for layer in &model.layers {
        let c = &mut constants;
        stored.push(StoredLayer {
            input_norm: c.norm(&layer.input_norm, &hidden_order),
            query: c.linear(&layer.query, &query_order, &hidden_order, config),
            key: c.linear(&layer.key, &key_order, &hidden_order, config),
            value: c.linear(&layer.value, &value_order, &hidden_order, config),
            query_norm: layer.query_norm.as_ref().map(|n| c.norm(n, &head_order)),
            key_norm: layer.key_norm.as_ref().map(|n| c.norm(n, &head_order)),
            output: c.linear(&layer.output, &hidden_order, &attention_order, config),
            post_norm: c.norm(&layer.post_norm, &hidden_order),
            gate: c.linear(&layer.gate, &wide_order, &hidden_order, config),
            up: c.linear(&layer.up, &wide_order, &hidden_order, config),
            down: c.linear(&layer.down, &hidden_order, &wide_order, config),
        });
    }
    let final_norm = constants.norm(&model.final_norm, &hidden_order);
    let head_outputs = straight(m.vocab_size, m.vocab_size.next_multiple_of(config.rows));
    let head = constants.linear(&model.head, &head_outputs, &hidden_order, config);
    if !config.four_bit && stored.iter().any(|l| l.query.four_bit) {
        return Err(LanguageCompileError::FourBit { config: config.name.clone() });
    }

    // The caches come first: where they are does not depend on the positions of a program.
    let cache_row = s.cache_row();
    let cache_bytes = m.max_positions * cache_row;
    let ids_offset = m.layers * cache_bytes;
    let id_bytes = (4 * given).next_multiple_of(16) + 16 * passes.len();
    let next_offset = ids_offset + id_bytes;
    let next_row = (4 * config.lanes).next_multiple_of(16);
    let logits_offset = next_offset + results * next_row;
    let logits_row = 4 * head_outputs.len();
    let workspace_bytes = logits_offset + if all_logits { tokens * logits_row } else { 0 };

    // On-chip places.
    let positions = end;
    let score_rows = positions.next_multiple_of(config.rows.max(config.cols)) / s.lanes;
    let key_stride = s.kv_heads * s.query_head() / s.rows;
    let value_stride = positions.div_ceil(s.rows);
    let key_tiles = positions.div_ceil(s.cols) * key_stride;
    let value_tiles = (s.kv_heads * s.value).div_ceil(s.cols) * value_stride;
    let group = config.scale_group() / config.rows;
    let ring = config.weight_depth.saturating_sub(key_tiles + value_tiles) / group * group;
    let short = |memory, unit, needed, depth| LanguageCompileError::Memory {
        tokens,
        memory,
        unit,
        needed,
        depth,
        config: config.name.clone(),
    };
    let largest_steps = stored.iter().map(|l| l.down.steps.max(l.output.steps).max(l.gate.steps)).max();
    let needed = 4 * largest_steps.unwrap_or(1) + key_tiles + value_tiles;
    if needed > config.weight_depth {
        return Err(short("weight scratchpad", "tiles", needed, config.weight_depth));
    }
    if 2 * plain_groups > config.parameter_depth {
        return Err(short("parameter memory", "groups", 2 * plain_groups, config.parameter_depth));
    }
    let mut acc = Space { next: 0, most: 0 };
    let mut act = Space { next: 0, most: 0 };
    let hidden_rows = s.hidden / s.lanes;
    let residual = acc.take(tokens * hidden_rows);
    let norm_rows = acc.take(hidden_rows);
    let head_norm_rows = acc.take(2 * s.query_head() / s.lanes);
    let table_rows = acc.take(tokens * 3 * s.half / s.lanes);
    let scratch = acc.next;
    let embedding_vectors = act.take(tokens * 2 * s.hidden / s.rows);
    let input = act.take(tokens * s.hidden / s.rows);
    let query_vectors = s.heads * s.query_head() / s.rows;
    let key_vectors = s.kv_heads * s.query_head() / s.rows;
    let value_vectors = s.kv_heads * s.value / s.rows;
    let queries = act.take(tokens * query_vectors);
    let keys = act.take((tokens * key_vectors).next_multiple_of(2));
    let values = act.take((tokens * value_vectors).next_multiple_of(2));
    let attention_vectors = attention_order.len() / s.rows;
    let attention = act.take(tokens * attention_vectors);
    let exponentials = act.take(s.shared * tokens * score_rows * s.lanes / s.rows);
    let gated = act.take(tokens * s.wide / s.rows);

    // Whether all weights stay on the chip together.
    let linears = || {
        stored
            .iter()
            .flat_map(|l| [&l.query, &l.key, &l.value, &l.output, &l.gate, &l.up, &l.down])
            .chain([&head])
    };
    let all_tiles: usize = linears().map(|l| l.tiles * l.steps).sum();
    let all_groups: usize = linears().map(|l| l.tiles * l.channels / config.lanes).sum();
    let is_resident = all_tiles <= ring && all_groups <= config.parameter_depth - plain_groups;

    let mut e = Emitter {
        model,
        config,
        sizes: s,
        start,
        tokens,
        commands: Vec::new(),
        accesses: Vec::new(),
        rounds: None,
        command_layers: Vec::new(),
        layer: 0,
        weights: Ring::new(ring),
        parameters: Ring::new(config.parameter_depth.saturating_sub(plain_groups)),
        plain: config.parameter_depth - plain_groups,
        keys: ring,
        values: ring + key_tiles,
    };

    let plain_bytes = plain_groups * config.parameter_group_bytes();
    e.load(space::PARAMETER, layout::LINEAR, zeros, plain_bytes, e.plain);

    // The id that the last search has found.
    let first_id =
        Set { scalar: ID_SCALARS as u32, source: (ARGMAX_SCALARS + 1) as u32, add: true, ..Set::default() };
    let mut id_at = 0;
    let mut pieces = vec![0];
    // Layers are cut the same way in all passes, so that weights of one may serve the next.
    let most = tokens;
    for pass in passes {
        let tokens = pass.tokens;
        (e.start, e.tokens) = (pass.start, tokens);
        // Embedding.
        let mut first_scalar = ID_SCALARS;
        if pass.rounds.is_some() {
            e.push(Set { scalar: ROUND_SCALAR as u32, ..Set::default() });
            e.push(first_id.clone());
            if !is_resident {
                e.weights = Ring::new(ring);
                e.parameters = Ring::new(e.plain);
            }
        } else {
            e.push(Load {
                space: space::PARAMETER,
                layout: layout::SCALARS,
                base_register: 1,
                // From whole 16 bytes on: up to three ids of the pass before come along.
                memory_offset: (ids_offset + id_at / 16 * 16) as u32,
                row_bytes: (id_at % 16 + 4 * tokens).next_multiple_of(16) as u32,
                address: (ID_SCALARS / 4) as u32,
                ..Load::default()
            });
            e.push(Barrier::default());
            first_scalar = ID_SCALARS + id_at % 16 / 4;
            id_at += 4 * tokens;
        }
        let target = e.commands.len();
        pieces.push(target);
        e.rounds = pass.rounds;
        let vectors = s.hidden / s.rows;
        for t in 0..tokens {
            let patch = Patch {
                scalar: (first_scalar + t) as u8,
                multiplier: (2 * s.hidden) as u16,
                word: 1,
                part: 3,
                ..Patch::default()
            };
            e.push(Adjust::of(&[patch]));
            e.load(
                space::ACTIVATION,
                layout::LINEAR,
                embedding,
                2 * s.hidden,
                embedding_vectors + t * 2 * vectors,
            );
        }
        let lane_groups = (s.hidden / s.lanes) as u32;
        for t in 0..tokens {
            let rows = (residual + t * hidden_rows) as u32;
            for low in [false, true] {
                let address = embedding_vectors + (2 * t + usize::from(low)) * vectors;
                e.push(Vector {
                    destination: 1,
                    single_rounding: true,
                    add_operand: low,
                    source_address: address as u32,
                    destination_address: rows,
                    operand_address: rows,
                    groups: lane_groups,
                    stride_group: 1,
                    input_width: 1,
                    input_height: 1,
                    multiplier: 1 << 31,
                    left_shift: u32::from(model.embedding_shift) + if low { 0 } else { 8 },
                    ..Vector::default()
                });
            }
        }
        let table_bytes = 12 * s.half;
        let table_load = Load {
            space: space::ACCUMULATOR,
            memory_offset: table as u32,
            row_bytes: (tokens * table_bytes) as u32,
            address: table_rows as u32,
            ..Load::default()
        };
        let moved = Patch { multiplier: table_bytes as u16, ..position(pass.start - start, 1, 3) };
        e.push_patched(table_load, &[moved]);

        let residual_rows = Rows {
            address: residual,
            count: tokens,
            stride: hidden_rows,
            positions: 1,
            position_stride: 0,
            groups: hidden_rows,
            length: s.hidden,
        };
        let cells = |head: usize| head / s.lanes;
        for (number, (layer, place)) in model.layers.iter().zip(&stored).enumerate() {
            e.layer = number as u32;
            let cache = number * cache_bytes;
            acc.next = scratch;
            e.rows_load(place.input_norm, s.hidden, norm_rows);
            let to_input = Target::Activation(input, vectors);
            e.norm(&layer.input_norm, norm_rows, residual_rows, SCALARS, to_input);

            // Queries, keys, values.
            // Rows of a position: whole tiles, of which the last heads may leave a part.
            let row_of = |linear: &Stored| linear.tiles * linear.channels / s.lanes;
            let (query_row, key_row) = (row_of(&place.query), row_of(&place.key));
            let value_row = row_of(&place.value);
            let key_acc = acc.take(tokens * key_row);
            let value_acc = acc.take(tokens * value_row);
            let query_acc = acc.take(tokens * query_row);
            for (linear, address, row) in [
                (&place.key, key_acc, key_row),
                (&place.value, value_acc, value_row),
                (&place.query, query_acc, query_row),
            ] {
                let template = e.positions(input, vectors, address, row);
                e.linear(linear, 0, linear.tiles, &template);
            }
            for (norm, weights, address, heads, target, at) in [
                (&layer.key_norm, place.key_norm, (key_acc, key_row), s.kv_heads, keys, 0),
                (
                    &layer.query_norm,
                    place.query_norm,
                    (query_acc, query_row),
                    s.heads,
                    queries,
                    cells(s.query_head()),
                ),
            ] {
                let (address, row) = address;
                if let (Some(norm), Some(weights)) = (norm, weights) {
                    let rows = head_norm_rows + at;
                    e.rows_load(weights, s.query_head(), rows);
                    let groups = cells(s.query_head());
                    // As many positions at a time as there are scalars for.
                    let room = ((SUM_SCALARS - SCALARS) / heads).max(1);
                    for first in (0..tokens).step_by(room) {
                        let rows_of = Rows {
                            address: address + first * row,
                            count: heads,
                            stride: groups,
                            positions: room.min(tokens - first),
                            position_stride: row,
                            groups,
                            length: s.query_head(),
                        };
                        e.norm(norm, rows, rows_of, SCALARS, Target::InPlace);
                    }
                }
                e.rotate(address, row, heads, table_rows, target);
            }
            e.push(Row {
                multiplier: 1 << 31,
                source_address: value_acc as u32,
                source_stride_x: value_row as u32,
                rows_x: tokens as u32,
                groups: (s.kv_heads * cells(s.value)) as u32,
                length: (s.kv_heads * s.value) as u32,
                destination: row_destination::ACTIVATION,
                destination_address: values as u32,
                destination_stride_x: value_vectors as u32,
                minimum: -128,
                maximum: 127,
                ..Row::default()
            });

            // Into the cache, and all positions back.
            for (address, vectors, bytes, at) in [
                (keys, key_vectors, s.kv_heads * s.query_head(), 0),
                (values, value_vectors, s.kv_heads * s.value, s.kv_heads * s.query_head()),
            ] {
                let store = Store {
                    space: space::ACTIVATION,
                    base_register: 1,
                    memory_offset: (cache + at) as u32,
                    rows: tokens as u32,
                    row_bytes: bytes as u32,
                    memory_stride: cache_row as u32,
                    address: address as u32,
                    stride: vectors as u32,
                    ..Store::default()
                };
                let moved = Patch { multiplier: cache_row as u16, ..position(pass.start, 1, 3) };
                e.push_patched(store, &[moved]);
            }
            for (layout, at, bytes, address, stride) in [
                (layout::COLUMN, 0, s.kv_heads * s.query_head(), e.keys, key_stride),
                (layout::ROW, s.kv_heads * s.query_head(), s.kv_heads * s.value, e.values, value_stride),
            ] {
                let load = Load {
                    space: space::WEIGHT,
                    layout,
                    base_register: 1,
                    memory_offset: (cache + at) as u32,
                    row_bytes: bytes as u32,
                    memory_stride: cache_row as u32,
                    address: address as u32,
                    stride: stride as u32,
                    ..Load::default()
                };
                e.push_patched(load, &[position(pass.start + tokens - 1, 2, 1)]);
            }
            // Attention, one group of heads after the other, as many positions at a time as there is room for.
            acc.next = scratch;
            let room = config.accumulator_depth.saturating_sub(scratch);
            let each = s.shared * (score_rows + cells(s.value));
            let block = (room / each).min(tokens).min((SUM_SCALARS - SCALARS) / s.shared);
            if block == 0 {
                return Err(short("accumulator memory", "rows", scratch + each, config.accumulator_depth));
            }
            for kv in 0..s.kv_heads {
                for first in (0..tokens).step_by(block) {
                    let count = block.min(tokens - first);
                    acc.next = scratch;
                    let scores = acc.take(s.shared * count * score_rows);
                    let products = acc.take(s.shared * count * cells(s.value));
                    e.attend(
                        kv,
                        first,
                        count,
                        Attend {
                            scores,
                            products,
                            score_rows,
                            queries,
                            query_vectors,
                            exponentials,
                            attention,
                            attention_vectors,
                            key_stride,
                            value_stride,
                        },
                    );
                }
            }
            let template =
                Matrix { add_row: true, ..e.positions(attention, attention_vectors, residual, hidden_rows) };
            e.linear(&place.output, 0, place.output.tiles, &template);

            // Feed-forward.
            e.rows_load(place.post_norm, s.hidden, norm_rows);
            let to_input = Target::Activation(input, vectors);
            e.norm(&layer.post_norm, norm_rows, residual_rows, SCALARS, to_input);
            let tile_rows = place.gate.channels / s.lanes;
            let at_once = (room / (4 * most * tile_rows)).min(place.gate.tiles);
            if at_once == 0 {
                let needed = scratch + 4 * tokens * tile_rows;
                return Err(short("accumulator memory", "rows", needed, config.accumulator_depth));
            }
            for (turn, from) in (0..place.gate.tiles).step_by(at_once).enumerate() {
                let to = (from + at_once).min(place.gate.tiles);
                let rows = (to - from) * tile_rows;
                // Two places take turns.
                let gate = scratch + turn % 2 * 2 * tokens * at_once * tile_rows;
                let up = gate + tokens * rows;
                for (linear, address) in [(&place.gate, gate), (&place.up, up)] {
                    let template = e.positions(input, vectors, address, rows);
                    e.linear(linear, from, to, &template);
                }
                let row = Row {
                    multiplier: 1 << 31,
                    source_stride_x: rows as u32,
                    rows_x: tokens as u32,
                    groups: rows as u32,
                    length: (rows * s.lanes) as u32,
                    ..Row::default()
                };
                e.push(Row {
                    function: function::SILU,
                    source_address: gate as u32,
                    destination: row_destination::ACCUMULATOR,
                    destination_address: gate as u32,
                    destination_stride_x: rows as u32,
                    ..row.clone()
                });
                let first_byte = from * place.gate.channels;
                e.push(Row {
                    function: function::MULTIPLY,
                    operand: true,
                    source_address: up as u32,
                    operand_address: gate as u32,
                    operand_stride_x: rows as u32,
                    shift: layer.gated_shift.into(),
                    destination: row_destination::ACTIVATION,
                    destination_address: (gated + first_byte / s.rows) as u32,
                    first_lane: (first_byte % s.rows) as u32,
                    destination_stride_x: (s.wide / s.rows) as u32,
                    minimum: -128,
                    maximum: 127,
                    ..row
                });
            }
            let template =
                Matrix { add_row: true, ..e.positions(gated, s.wide / s.rows, residual, hidden_rows) };
            e.linear(&place.down, 0, place.down.tiles, &template);
        }

        // Head.
        let (skipped, tokens) = match pass.head {
            Head::All => (0, tokens),
            Head::Last => (tokens - 1, 1),
            Head::Nothing => (0, 0),
        };
        if tokens > 0 {
            e.tokens = tokens;
            e.rows_load(final_norm, s.hidden, norm_rows);
            let to_input = Target::Activation(input, vectors);
            let rows_of = Rows { address: residual + skipped * hidden_rows, count: tokens, ..residual_rows };
            e.norm(&model.final_norm, norm_rows, rows_of, SCALARS, to_input);
            let tile_rows = head.channels / s.lanes;
            let room = config.accumulator_depth.saturating_sub(scratch);
            // Whole 16 bytes and vectors at a time.
            let quantum = config.rows / head.channels.min(config.rows);
            let at_once = (room / (2 * most * tile_rows)).min(head.tiles) / quantum * quantum;
            if at_once == 0 {
                return Err(short(
                    "accumulator memory",
                    "rows",
                    scratch + 2 * tokens * tile_rows,
                    config.accumulator_depth,
                ));
            }
            for (turn, from) in (0..head.tiles).step_by(at_once).enumerate() {
                let to = (from + at_once).min(head.tiles);
                let rows = (to - from) * tile_rows;
                let logits = scratch + turn % 2 * tokens * at_once * tile_rows;
                let template = e.positions(input, vectors, logits, rows);
                e.linear(&head, from, to, &template);
                let channels = rows * s.lanes;
                let first = from * head.channels;
                e.push(Row {
                    multiplier: 1 << 31,
                    source_address: logits as u32,
                    source_stride_x: rows as u32,
                    rows_x: tokens as u32,
                    groups: rows as u32,
                    length: channels.min(m.vocab_size - first) as u32,
                    reduce: row_reduce::ARGMAX,
                    scalar_use: if turn > 0 { scalar_use::CONTINUE } else { scalar_use::NONE },
                    result_address: ARGMAX_SCALARS as u32,
                    initial: first as i32,
                    ..Row::default()
                });
                if pass.head == Head::All {
                    e.push(Store {
                        space: space::ACCUMULATOR,
                        base_register: 1,
                        memory_offset: (logits_offset + 4 * first) as u32,
                        rows: tokens as u32,
                        row_bytes: (4 * channels) as u32,
                        memory_stride: logits_row as u32,
                        address: logits as u32,
                        stride: rows as u32,
                        ..Store::default()
                    });
                }
            }
            // The ids: rows of zeros, to which a scalar is added.
            let id_rows = scratch;
            for t in 0..tokens {
                e.rows_load(zeros, s.lanes, id_rows + t);
                e.push(Row {
                    multiplier: 1 << 31,
                    source_address: (id_rows + t) as u32,
                    scalar_use: scalar_use::ADD,
                    scalar_address: (ARGMAX_SCALARS + 2 * t + 1) as u32,
                    length: s.lanes as u32,
                    destination: row_destination::ACCUMULATOR,
                    destination_address: (id_rows + t) as u32,
                    ..Row::default()
                });
            }
            let first_result = if pass.rounds.is_some() { 1 } else { 0 };
            let store = Store {
                space: space::ACCUMULATOR,
                base_register: 1,
                memory_offset: (next_offset + first_result * next_row) as u32,
                rows: tokens as u32,
                row_bytes: next_row as u32,
                memory_stride: next_row as u32,
                address: id_rows as u32,
                stride: 1,
                ..Store::default()
            };
            let moved = Patch { multiplier: next_row as u16, ..position(0, 1, 3) };
            e.push_patched(store, &[moved]);
        }
        e.rounds = None;
        e.push(Barrier::default());
        if let Some(rounds) = pass.rounds {
            e.push(first_id.clone());
            let next = ROUND_SCALAR as u32;
            e.push(Set { scalar: next, source: next, add: true, value: 1, ..Set::default() });
            e.push(Branch { scalar: next, limit: rounds as u32, target: target as u32, ..Branch::default() });
        }
        pieces.push(e.commands.len());
    }
    e.push(End::default());
    if acc.most > config.accumulator_depth {
        return Err(short("accumulator memory", "rows", acc.most, config.accumulator_depth));
    }
    if act.most > config.activation_depth {
        return Err(short("activation scratchpad", "vectors", act.most, config.activation_depth));
    }
    pieces.push(e.commands.len());
    let (mut commands, command_layers) = (e.commands, e.command_layers);
    // Pieces between barriers are ordered each for itself.
    for piece in pieces.windows(2) {
        tokens::insert(&mut commands[piece[0]..piece[1]], &e.accesses[piece[0]..piece[1]], config);
    }
    let tensor = |name: &str, offset: usize, shape: Vec<usize>, row: usize| TensorLayout {
        name: name.to_owned(),
        strides: if shape.len() == 2 { vec![row, 4] } else { vec![4] },
        shape,
        offset,
        element_bytes: 4,
    };
    Ok(Program {
        name: "language".to_owned(),
        config: config.clone(),
        commands,
        command_layers,
        layers: (0..m.layers).map(|l| ProgramLayer { name: format!("layer {l}"), macs: 0 }).collect(),
        constants: constants.bytes,
        workspace_bytes,
        inputs: vec![tensor("ids", ids_offset, vec![given], 0)],
        outputs: match all_logits {
            true => vec![
                tensor("logits", logits_offset, vec![tokens, m.vocab_size], logits_row),
                tensor("next", next_offset, vec![tokens, 1], next_row),
            ],
            false => vec![tensor("next", next_offset, vec![results, 1], next_row)],
        },
    })
}

/// Places that attention uses.
struct Attend {
    scores: usize,
    products: usize,
    score_rows: usize,
    queries: usize,
    query_vectors: usize,
    exponentials: usize,
    attention: usize,
    attention_vectors: usize,
    key_stride: usize,
    value_stride: usize,
}

impl Emitter<'_> {
    /// Attention of the heads that share keys and values `kv`, for `count` positions from `first` on.
    fn attend(&mut self, kv: usize, first: usize, count: usize, at: Attend) {
        let (s, config) = (self.sizes, self.config);
        let layer = &self.model.layers[self.layer as usize];
        let head = s.query_head() / s.rows;
        let rows_y = at.score_rows * count;
        // Scores of all positions known by the last of these. Counts are stored minus one.
        let last = self.start + first + count - 1;
        let blocks = |size: usize, multiplier: usize, word| Patch {
            shift: size.ilog2() as u8,
            multiplier: multiplier as u16,
            ..position(last, word, 1)
        };
        let scores = Matrix {
            to_accumulator: true,
            row_results: true,
            activation_address: (at.queries + first * at.query_vectors + kv * s.shared * head) as u32,
            stride_x: at.query_vectors as u32,
            stride_y: head as u32,
            outputs_x: count as u32,
            outputs_y: s.shared as u32,
            channels: head as u32,
            stride_channel: 1,
            parameter_address: self.plain as u32,
            weight_address: (self.keys + kv * head) as u32,
            weight_stride_tile: at.key_stride as u32,
            output_address: at.scores as u32,
            output_stride_x: at.score_rows as u32,
            output_stride_y: rows_y as u32,
            output_stride_tile: (config.rows / config.lanes) as u32,
            input_width: count as u32,
            input_height: s.shared as u32,
            step_x: 1,
            step_y: 1,
            ..Matrix::default()
        };
        self.push_patched(scores, &[blocks(s.cols, 1, 6)]);
        let rows = Row {
            source_address: at.scores as u32,
            source_stride_x: at.score_rows as u32,
            source_stride_y: rows_y as u32,
            rows_x: count as u32,
            rows_y: s.shared as u32,
            groups: (s.rows / s.lanes) as u32,
            length: 1,
            length_step: 1,
            ..Row::default()
        };
        let lengths = [blocks(s.rows, s.rows / s.lanes, 4), position(self.start + first, 4, 2)];
        let largest = Row {
            multiplier: 1 << 31,
            reduce: row_reduce::MAXIMUM,
            finish: finish::NEGATE,
            initial: i32::MIN,
            result_address: SCALARS as u32,
            ..rows.clone()
        };
        self.push_patched(largest, &lengths);
        let vectors = at.score_rows * s.lanes / s.rows;
        let exponentials = Row {
            function: function::EXPONENTIAL,
            scalar_use: scalar_use::ADD,
            scalar_address: SCALARS as u32,
            multiplier: layer.exponent.multiplier,
            left_shift: layer.exponent.left_shift.into(),
            right_shift: layer.exponent.right_shift.into(),
            post_add: EXPONENT_OFFSET,
            shift: EXPONENTIAL_SHIFT,
            minimum: 0,
            maximum: 127,
            reduce: row_reduce::SUM,
            finish: finish::RECIPROCAL,
            result_address: SUM_SCALARS as u32,
            destination: row_destination::ACTIVATION,
            destination_address: at.exponentials as u32,
            destination_stride_x: vectors as u32,
            destination_stride_y: (vectors * count) as u32,
            ..rows
        };
        self.push_patched(exponentials, &lengths);
        let value_rows = s.value / s.lanes;
        let products = Matrix {
            to_accumulator: true,
            row_results: true,
            activation_address: at.exponentials as u32,
            stride_x: vectors as u32,
            stride_y: (vectors * count) as u32,
            outputs_x: count as u32,
            outputs_y: s.shared as u32,
            stride_channel: 1,
            tiles: (s.value / s.cols) as u32,
            parameter_address: self.plain as u32,
            weight_address: (self.values + kv * s.value / s.cols * at.value_stride) as u32,
            weight_stride_tile: at.value_stride as u32,
            output_address: at.products as u32,
            output_stride_x: value_rows as u32,
            output_stride_y: (value_rows * count) as u32,
            output_stride_tile: (config.rows / config.lanes) as u32,
            input_width: count as u32,
            input_height: s.shared as u32,
            step_x: 1,
            step_y: 1,
            ..Matrix::default()
        };
        self.push_patched(products, &[blocks(s.rows, 1, 4)]);
        let head = s.value / s.rows;
        let attention = layer.attention;
        self.push(Row {
            function: function::MULTIPLY,
            scalar_use: scalar_use::SCALE,
            scalar_address: SUM_SCALARS as u32,
            left_shift: attention.left_shift.into(),
            factor: attention.factor,
            shift: attention.shift.into(),
            source_address: at.products as u32,
            source_stride_x: value_rows as u32,
            source_stride_y: (value_rows * count) as u32,
            rows_x: count as u32,
            rows_y: s.shared as u32,
            groups: value_rows as u32,
            length: s.value as u32,
            destination: row_destination::ACTIVATION,
            destination_address: (at.attention + first * at.attention_vectors + kv * s.shared * head) as u32,
            destination_stride_x: at.attention_vectors as u32,
            destination_stride_y: head as u32,
            minimum: -128,
            maximum: 127,
            ..Row::default()
        });
    }
}
