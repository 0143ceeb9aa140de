//! Attention: scores, exponentials and products of some positions at a time.

use super::constants::Sizes;
use super::emitter::{position, Emitter, SCALARS, SUM_SCALARS};
use super::trace::Standing;
use frugal_isa::command::{finish, function, row_destination, row_reduce, scalar_use, Matrix, Patch, Row};
use frugal_isa::Command;
use frugal_language::integer::{EXPONENTIAL_SHIFT, EXPONENT_OFFSET};

/// Some positions of one sequence, and the heads of some keys and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub run: usize,
    /// Which of the pass's loads of keys and values it needs, and the first head of that load.
    pub load: usize,
    pub first_kv: usize,
    /// First of the keys and values, and how many.
    pub kv: usize,
    pub kvs: usize,
    /// First line, its position, and how many.
    pub line: usize,
    pub position: usize,
    pub count: usize,
    /// Where it works: accumulator rows, vectors of exponentials, scalars, keys and values.
    pub scores: usize,
    pub products: usize,
    pub exponentials: usize,
    pub scalars: usize,
    pub keys: usize,
    pub values: usize,
}

/// Sizes and places that all units share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attend {
    pub score_rows: usize,
    pub queries: usize,
    pub query_vectors: usize,
    pub attention: usize,
    pub attention_vectors: usize,
    pub cached: CachedHeads,
}

/// Heads of keys and values that are in the weight scratchpad together: those of one sequence when there is room for them, else some of
/// them, which are loaded when their turn comes. Their memory grows with the positions, that of the other parts does not: it is what
/// bounds the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CachedHeads {
    pub heads: usize,
    /// Tiles from a block of positions to the next of the keys, and from a block of channels to the next of the values.
    pub key_stride: usize,
    pub value_stride: usize,
    pub key_tiles: usize,
    pub value_tiles: usize,
    /// How many loads stand in the scratchpad, so that the next one need not wait for the products of this one.
    pub slots: usize,
}

impl CachedHeads {
    pub fn of(s: &Sizes, positions: usize, heads: usize, slots: usize) -> CachedHeads {
        let key_stride = heads * s.query_head() / s.rows;
        let value_stride = positions.div_ceil(s.rows);
        CachedHeads {
            heads,
            key_stride,
            value_stride,
            key_tiles: positions.div_ceil(s.cols) * key_stride,
            value_tiles: (heads * s.value).div_ceil(s.cols) * value_stride,
            slots,
        }
    }

    /// Tiles of one load.
    pub fn tiles(&self) -> usize {
        self.key_tiles + self.value_tiles
    }

    pub fn all(&self) -> usize {
        self.slots * self.tiles()
    }

    /// Tiles that stay for weights, of the linear layer with so many reduction steps: four blocks of one tile of outputs.
    pub fn blocks(steps: usize) -> usize {
        4 * steps
    }

    /// As many heads as fit; more loads than one at a time only where half of the scratchpad stays for weights.
    pub fn choose(
        s: &Sizes,
        positions: usize,
        runs: usize,
        steps: usize,
        depth: usize,
    ) -> Option<CachedHeads> {
        let shares = (0..).map(|halvings| s.kv_heads.div_ceil(1 << halvings));
        let heads = shares.take_while(|heads| *heads > 1).chain([1]);
        heads.into_iter().find_map(|heads| {
            let loads = runs * s.kv_heads.div_ceil(heads);
            (1..=loads.min(3)).rev().map(|slots| CachedHeads::of(s, positions, heads, slots)).find(|cached| {
                let fits = cached.all() + CachedHeads::blocks(steps) <= depth;
                fits && (cached.slots == 1 || cached.all() <= depth / 2)
            })
        })
    }
}

/// What an `adjust` costs when commands come as slowly as they do while loads have the bus.
const ADJUST_CYCLES: usize = 40;

/// Blocks of `size` positions, minus one: all that the last line of the unit knows. Counts are stored minus one.
fn blocks(u: &Unit, size: usize, multiplier: usize, word: u8) -> Patch {
    Patch {
        shift: size.ilog2() as u8,
        multiplier: multiplier as u16,
        ..position(u.position + u.count - 1, word, 1)
    }
}

impl Emitter<'_> {
    /// Units one after the other, or several at a time, each a step further than the next, so that neither engine waits for the other.
    pub fn attend(
        &mut self,
        units: &[Unit],
        at: &Attend,
        in_turn: bool,
        mut keys: impl FnMut(&mut Self, &Unit),
    ) {
        let Sizes { lanes, rows, value, shared, .. } = self.sizes;
        let heads = |u: &Unit| u.kvs * shared * u.count;
        let lags = if in_turn { [0, 1, 2, 3] } else { [0; 4] };
        for turn in 0..units.len() + lags[3] {
            let unit = |lag: usize| turn.checked_sub(lag).and_then(|i| units.get(i));
            if let Some(u) = unit(lags[0]) {
                keys(self, u);
                self.scores(u, at);
                self.trace(
                    "scores",
                    Standing::words(u.scores, heads(u), at.score_rows * lanes, at.score_rows),
                );
            }
            if let Some(u) = unit(lags[1]) {
                self.exponentials(u, at);
                let vectors = at.score_rows * lanes / rows;
                let bytes = at.score_rows * lanes;
                self.trace("exponentials", Standing::vectors(u.exponentials, heads(u), bytes, vectors));
            }
            if let Some(u) = unit(lags[2]) {
                self.products(u, at);
                self.trace("products", Standing::words(u.products, heads(u), value, value / lanes));
            }
            if let Some(u) = unit(lags[3]) {
                self.divide(u, at);
            }
        }
    }

    /// A product over the blocks of positions that are known. In a loop with few rounds it takes all blocks of the last round each time:
    /// what is not known yet has exponentials of zero, and costs fewer cycles than an `adjust`.
    fn push_blocks(&mut self, command: Matrix, patch: Patch, steps_a_block: usize) {
        let Some(rounds) = self.rounds else { return self.push_patched(command, &[patch]) };
        let extra = (patch.amount(rounds as u32 - 1) - patch.amount(0)) as usize;
        if extra * steps_a_block / 2 > ADJUST_CYCLES {
            return self.push_patched(command, &[patch]);
        }
        let mut words = Command::from(command).encode().expect("fields hold their values");
        patch.apply(rounds as u32 - 1, &mut words);
        self.push(Command::decode(&words).expect("patches keep commands legal"));
    }

    fn scores(&mut self, u: &Unit, at: &Attend) {
        let (s, config) = (self.sizes, self.config);
        let head = s.query_head() / s.rows;
        let rows_y = at.score_rows * u.count;
        for kv in 0..u.kvs {
            let scores = Matrix {
                to_accumulator: true,
                row_results: true,
                activation_address: (at.queries + u.line * at.query_vectors + (u.kv + kv) * s.shared * head)
                    as u32,
                stride_x: at.query_vectors as u32,
                stride_y: head as u32,
                outputs_x: u.count as u32,
                outputs_y: s.shared as u32,
                channels: head as u32,
                stride_channel: 1,
                parameter_address: self.plain as u32,
                weight_address: (u.keys + (u.kv - u.first_kv + kv) * head) as u32,
                weight_stride_tile: at.cached.key_stride as u32,
                output_address: (u.scores + kv * s.shared * rows_y) as u32,
                output_stride_x: at.score_rows as u32,
                output_stride_y: rows_y as u32,
                output_stride_tile: (config.rows / config.lanes) as u32,
                input_width: u.count as u32,
                input_height: s.shared as u32,
                step_x: 1,
                step_y: 1,
                ..Matrix::default()
            };
            let steps = s.shared * u.count * head;
            self.push_blocks(scores, blocks(u, s.cols, 1, 6), steps);
        }
    }

    fn exponentials(&mut self, u: &Unit, at: &Attend) {
        let s = self.sizes;
        let layer = &self.model.layers[self.layer as usize];
        let rows_y = at.score_rows * u.count;
        let rows = Row {
            source_address: u.scores as u32,
            source_stride_x: at.score_rows as u32,
            source_stride_y: rows_y as u32,
            rows_x: u.count as u32,
            rows_y: (u.kvs * s.shared) as u32,
            groups: (s.rows / s.lanes) as u32,
            length: 1,
            length_step: 1,
            ..Row::default()
        };
        let lengths = [blocks(u, s.rows, s.rows / s.lanes, 4), position(u.position, 4, 2)];
        let largest = Row {
            multiplier: 1 << 31,
            reduce: row_reduce::MAXIMUM,
            finish: finish::NEGATE,
            initial: i32::MIN,
            result_address: (SCALARS + u.scalars) as u32,
            ..rows.clone()
        };
        self.push_patched(largest, &lengths);
        let vectors = at.score_rows * s.lanes / s.rows;
        let exponentials = Row {
            function: function::EXPONENTIAL,
            scalar_use: scalar_use::ADD,
            scalar_address: (SCALARS + u.scalars) as u32,
            multiplier: layer.exponent.multiplier,
            left_shift: layer.exponent.left_shift.into(),
            right_shift: layer.exponent.right_shift.into(),
            post_add: EXPONENT_OFFSET,
            shift: EXPONENTIAL_SHIFT,
            minimum: 0,
            maximum: 127,
            reduce: row_reduce::SUM,
            finish: finish::RECIPROCAL,
            result_address: (SUM_SCALARS + u.scalars) as u32,
            destination: row_destination::ACTIVATION,
            destination_address: u.exponentials as u32,
            destination_stride_x: vectors as u32,
            destination_stride_y: (vectors * u.count) as u32,
            ..rows
        };
        self.push_patched(exponentials, &lengths);
    }

    fn products(&mut self, u: &Unit, at: &Attend) {
        let (s, config) = (self.sizes, self.config);
        let vectors = at.score_rows * s.lanes / s.rows;
        let value_rows = s.value / s.lanes;
        for kv in 0..u.kvs {
            let products = Matrix {
                to_accumulator: true,
                row_results: true,
                activation_address: (u.exponentials + kv * s.shared * u.count * vectors) as u32,
                stride_x: vectors as u32,
                stride_y: (vectors * u.count) as u32,
                outputs_x: u.count as u32,
                outputs_y: s.shared as u32,
                stride_channel: 1,
                tiles: (s.value / s.cols) as u32,
                parameter_address: self.plain as u32,
                weight_address: (u.values
                    + (u.kv - u.first_kv + kv) * s.value / s.cols * at.cached.value_stride)
                    as u32,
                weight_stride_tile: at.cached.value_stride as u32,
                output_address: (u.products + kv * s.shared * u.count * value_rows) as u32,
                output_stride_x: value_rows as u32,
                output_stride_y: (value_rows * u.count) as u32,
                output_stride_tile: (config.rows / config.lanes) as u32,
                input_width: u.count as u32,
                input_height: s.shared as u32,
                step_x: 1,
                step_y: 1,
                ..Matrix::default()
            };
            let steps = s.shared * u.count * s.value / s.cols;
            self.push_blocks(products, blocks(u, s.rows, 1, 4), steps);
        }
    }

    /// Division by the sums of exponentials.
    fn divide(&mut self, u: &Unit, at: &Attend) {
        let s = self.sizes;
        let layer = &self.model.layers[self.layer as usize];
        let value_rows = s.value / s.lanes;
        let head = s.value / s.rows;
        let attention = layer.attention;
        self.push(Row {
            function: function::MULTIPLY,
            scalar_use: scalar_use::SCALE,
            scalar_address: (SUM_SCALARS + u.scalars) as u32,
            left_shift: attention.left_shift.into(),
            factor: attention.factor,
            shift: attention.shift.into(),
            source_address: u.products as u32,
            source_stride_x: value_rows as u32,
            source_stride_y: (value_rows * u.count) as u32,
            rows_x: u.count as u32,
            rows_y: (u.kvs * s.shared) as u32,
            groups: value_rows as u32,
            length: s.value as u32,
            destination: row_destination::ACTIVATION,
            destination_address: (at.attention + u.line * at.attention_vectors + u.kv * s.shared * head)
                as u32,
            destination_stride_x: at.attention_vectors as u32,
            destination_stride_y: head as u32,
            minimum: -128,
            maximum: 127,
            ..Row::default()
        });
    }
}
