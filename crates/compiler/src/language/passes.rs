//! Embedding, layers and head of a pass, and from passes to a program.

use super::attention::{Attend, Unit};
use super::constants::{by_halves, by_heads, straight, Constants, Sizes, Stored, StoredLayer};
use super::emitter::{
    position, Emitter, Halved, Held, Rows, Space, Target, Turns, ARGMAX_SCALARS, ID_SCALARS, LINES,
    ROUND_SCALAR, SCALARS, SUM_SCALARS,
};
use super::trace::{Standing, Trace, Traced};
use super::{Head, LanguageCompileError, Pass, Run};
use crate::tokens;
use frugal_isa::command::{
    function, layout, row_destination, row_reduce, scalar_use, space, Adjust, Barrier, Branch, End, Load,
    Matrix, Patch, Row, Set, Store, Vector,
};
use frugal_isa::program::Layer as ProgramLayer;
use frugal_isa::{Config, Program, TensorLayout};
use frugal_language::integer::{rotation, Layer, QuantisedModel, GROUP};

/// What the constants hold, and where.
struct Model {
    embedding: usize,
    /// Cosines and sines of the positions from `start` on.
    table: usize,
    start: usize,
    id_row: usize,
    layers: Vec<StoredLayer>,
    final_norm: usize,
    head: Stored,
}

/// Workspace offsets.
struct Workspace {
    cache_bytes: usize,
    ids: usize,
    /// Round of a stepped pass.
    round: usize,
    next: usize,
    next_row: usize,
    logits: usize,
    logits_row: usize,
    sequences: usize,
}

/// Places on the chip.
struct Places {
    residual: usize,
    norm_rows: usize,
    head_norm_rows: usize,
    table_rows: usize,
    embedding_vectors: usize,
    input: usize,
    /// Keys and values of each line, as they go to the cache.
    cached: usize,
    exponentials: usize,
    gated: usize,
    attend: Attend,
    /// Units of attention at a time, and lines of each.
    slots: usize,
    block: usize,
    /// Keys and values of each, and vectors of its exponentials.
    kvs: usize,
    unit_vectors: usize,
    /// Weight tiles of keys and values: the first, those of one sequence, how many sequences.
    keys: usize,
    key_tiles: usize,
    sequence_tiles: usize,
    sequence_slots: usize,
}

pub(super) fn program(
    model: &QuantisedModel,
    config: &Config,
    passes: &[Pass],
    (sequences, context): (usize, usize),
    is_traced: bool,
) -> Result<(Program, Vec<Traced>), LanguageCompileError> {
    config.validate()?;
    let m = &model.config;
    let start = passes.iter().flat_map(|p| &p.runs).map(|r| r.start).min().unwrap_or(0);
    let end = passes.iter().map(Pass::end).max().unwrap_or(0);
    if passes.is_empty() || passes.iter().any(|p| p.lines() == 0) || end > context.min(m.max_positions) {
        return Err(LanguageCompileError::Positions { start, end, limit: context.min(m.max_positions) });
    }
    let lines = passes.iter().map(Pass::lines).max().expect("not empty");
    let given: usize = passes.iter().filter(|p| !p.loops()).map(Pass::lines).sum();
    let all_logits = passes.iter().any(|p| p.head == Head::All);
    let results: usize = match all_logits {
        true => lines,
        false => {
            sequences * (1 + passes.iter().filter(|p| p.loops()).filter_map(|p| p.rounds).sum::<usize>())
        }
    };
    let short = |memory, unit, needed, depth| LanguageCompileError::Memory {
        tokens: lines,
        memory,
        unit,
        needed,
        depth,
        config: config.name.clone(),
    };
    if lines > LINES {
        return Err(short("scalar memory", "ids", lines, LINES));
    }
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
    // Rows to which ids are added: the second word becomes the id plus one.
    let id_row = constants.words((0..s.lanes.max(4)).map(|lane| i32::from(lane == 1)));
    // Zeros: parameters of products that are not rescaled.
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
    let mut head = constants.linear(&model.head, &head_outputs, &hidden_order, config);
    if !config.four_bit && stored.iter().any(|l| l.query.four_bit) {
        return Err(LanguageCompileError::FourBit { config: config.name.clone() });
    }

    // The caches come first: where they are does not depend on the positions of a program.
    let cache_bytes = context * s.cache_row();
    let ids = sequences * m.layers * cache_bytes;
    let round = ids + (4 * given).next_multiple_of(16) + 16 * passes.len();
    let next = round + 16;
    let next_row = (4 * config.lanes).next_multiple_of(16);
    let logits = next + results * next_row;
    let logits_row = 4 * head_outputs.len();
    let mut workspace_bytes = logits + if all_logits { lines * logits_row } else { 0 };
    let needed = (workspace_bytes + constants.bytes.len()) as u64;
    if needed > u64::from(u32::MAX) {
        return Err(LanguageCompileError::Addresses { needed });
    }
    let workspace = Workspace { cache_bytes, ids, round, next, next_row, logits, logits_row, sequences };

    // Keys and values of some sequences have the end of the weight scratchpad, the ring the rest.
    let positions = end;
    let score_rows = positions.next_multiple_of(config.rows.max(config.cols)) / s.lanes;
    let key_stride = s.kv_heads * s.query_head() / s.rows;
    let value_stride = positions.div_ceil(s.rows);
    let key_tiles = positions.div_ceil(s.cols) * key_stride;
    let value_tiles = (s.kv_heads * s.value).div_ceil(s.cols) * value_stride;
    let sequence_tiles = key_tiles + value_tiles;
    let largest_steps = stored.iter().flat_map(StoredLayer::linears).map(|l| l.steps).max().unwrap_or(1);
    let most_runs = passes.iter().map(|p| p.runs.len()).max().unwrap_or(1);
    let fits = |slots: &usize| {
        *slots == 1
            || slots * sequence_tiles <= config.weight_depth / 2
                && slots * sequence_tiles + 4 * largest_steps <= config.weight_depth
    };
    let sequence_slots = (1..=most_runs.min(3)).rev().find(fits).unwrap_or(1);
    let needed = 4 * largest_steps + sequence_slots * sequence_tiles;
    if needed > config.weight_depth {
        return Err(short("weight scratchpad", "tiles", needed, config.weight_depth));
    }
    if 2 * plain_groups > config.parameter_depth {
        return Err(short("parameter memory", "groups", 2 * plain_groups, config.parameter_depth));
    }
    let ring =
        (config.weight_depth - sequence_slots * sequence_tiles) / config.scale_tiles() * config.scale_tiles();

    let mut acc = Space { next: 0, most: 0 };
    let mut act = Space { next: 0, most: 0 };
    let hidden_rows = s.hidden / s.lanes;
    let residual = acc.take(lines * hidden_rows);
    let norm_rows = acc.take(hidden_rows);
    let head_norm_rows = acc.take(2 * s.query_head() / s.lanes);
    let table_rows = acc.take(lines * 3 * s.half / s.lanes);
    let scratch = Turns::new(acc.next, config.accumulator_depth);

    // Units of attention: four at a time, so that no engine waits, or fewer when there is no room for them.
    let each = s.shared * (score_rows + s.value / s.lanes);
    let scalars = SUM_SCALARS - SCALARS;
    let room = |slots: usize| (scratch.room() / slots / each).min(scalars / slots / s.shared);
    let Some(slots) = [4, 1].into_iter().find(|slots| room(*slots) > 0) else {
        return Err(short("accumulator memory", "rows", acc.next + each, config.accumulator_depth));
    };
    let longest = passes.iter().flat_map(|p| &p.runs).map(|r| r.count).max().unwrap_or(1);
    let kvs = room(slots).min(s.kv_heads);
    let block = (room(slots) / kvs).min(longest);
    let unit_vectors = kvs * s.shared * block * score_rows * s.lanes / s.rows;

    let attention_vectors = attention_order.len() / s.rows;
    let query_vectors = s.heads * s.query_head() / s.rows;
    let embedding_vectors = act.take(lines * 2 * s.hidden / s.rows);
    let input = act.take(lines * s.hidden / s.rows);
    let queries = act.take(lines * query_vectors);
    let cached = act.take(lines * s.cache_row() / s.rows);
    let attention = act.take(lines * attention_vectors);
    let exponentials = act.take(slots * unit_vectors);
    let gated = act.take(lines * s.wide / s.rows);
    if acc.next > config.accumulator_depth {
        return Err(short("accumulator memory", "rows", acc.next, config.accumulator_depth));
    }
    if act.most > config.activation_depth {
        return Err(short("activation scratchpad", "vectors", act.most, config.activation_depth));
    }
    let attend =
        Attend { score_rows, queries, query_vectors, attention, attention_vectors, key_stride, value_stride };
    let places = Places {
        residual,
        norm_rows,
        head_norm_rows,
        table_rows,
        embedding_vectors,
        input,
        cached,
        exponentials,
        gated,
        attend,
        slots,
        block,
        kvs,
        unit_vectors,
        keys: ring,
        key_tiles,
        sequence_tiles,
        sequence_slots,
    };

    let plain = config.parameter_depth - plain_groups;
    let (kept_tiles, kept_groups) =
        keep(stored.iter_mut().flat_map(StoredLayer::linears_mut).chain([&mut head]), ring, plain, config);

    let mut e = Emitter {
        model,
        config,
        sizes: s,
        lines,
        commands: Vec::new(),
        accesses: Vec::new(),
        rounds: None,
        command_layers: Vec::new(),
        layer: 0,
        weights: Held::new(ring - kept_tiles),
        parameters: Held::new(plain - kept_groups),
        plain,
        scratch,
        trace: is_traced.then(|| Trace { next: workspace_bytes.next_multiple_of(16), ..Trace::default() }),
    };
    let plain_bytes = plain_groups * config.parameter_group_bytes();
    e.load(space::PARAMETER, layout::LINEAR, zeros, plain_bytes, plain);
    let stored = Model { embedding, table, start, id_row, layers: stored, final_norm, head };
    let mut id_at = 0;
    let mut pieces = vec![0];
    for (number, pass) in passes.iter().enumerate() {
        if let Some(trace) = &mut e.trace {
            trace.pass = number;
        }
        e.lines = pass.lines();
        e.scratch.restart();
        // Scalars of the lines' ids.
        let mut scalars: Vec<usize> =
            pass.runs.iter().map(|run| ARGMAX_SCALARS + 2 * run.sequence + 1).collect();
        if pass.loops() {
            e.push(Set { scalar: ROUND_SCALAR as u32, ..Set::default() });
            e.push(Barrier::default());
            e.weights.restart();
            e.parameters.restart();
        } else {
            e.push(Load {
                space: space::PARAMETER,
                layout: layout::SCALARS,
                base_register: 1,
                // From whole 16 bytes on: up to three ids of the pass before come along.
                memory_offset: (workspace.ids + id_at / 16 * 16) as u32,
                row_bytes: (id_at % 16 + 4 * e.lines).next_multiple_of(16) as u32,
                address: (ID_SCALARS / 4) as u32,
                ..Load::default()
            });
            if pass.rounds.is_some() {
                e.push(Load {
                    space: space::PARAMETER,
                    layout: layout::SCALARS,
                    base_register: 1,
                    memory_offset: workspace.round as u32,
                    row_bytes: 16,
                    address: (ROUND_SCALAR / 4) as u32,
                    ..Load::default()
                });
            }
            e.push(Barrier::default());
            scalars = (0..e.lines).map(|t| ID_SCALARS + id_at % 16 / 4 + t).collect();
            id_at += 4 * e.lines;
        }
        let target = e.commands.len();
        pieces.push(target);
        e.rounds = pass.rounds;
        e.layer = 0;
        e.embed(pass, &scalars, &stored, &places);
        for (number, layer) in model.layers.iter().enumerate() {
            e.layer = number as u32;
            let stored_layer = &stored.layers[number];
            let later = stored.layers[number + 1..].iter().flat_map(StoredLayer::linears);
            let ahead: Vec<&Stored> = stored_layer.linears()[3..].iter().copied().chain(later).collect();
            e.attention(pass, layer, stored_layer, &ahead, &workspace, &places)?;
            e.feed_forward(layer, &stored.layers[number], &places)?;
        }
        if pass.head != Head::Nothing {
            e.head(pass, &stored, &workspace, &places)?;
        }
        e.rounds = None;
        e.order(target);
        e.push(Barrier::default());
        if let (true, Some(rounds)) = (pass.loops(), pass.rounds) {
            let next = ROUND_SCALAR as u32;
            e.push(Set { scalar: next, source: next, add: true, value: 1, ..Set::default() });
            e.push(Branch { scalar: next, limit: rounds as u32, target: target as u32, ..Branch::default() });
        }
        pieces.push(e.commands.len());
    }
    e.push(End::default());
    pieces.push(e.commands.len());
    let (mut commands, command_layers) = (e.commands, e.command_layers);
    let trace = e.trace.unwrap_or_default();
    workspace_bytes = workspace_bytes.max(trace.next);
    // Pieces between barriers are ordered each for itself.
    for piece in pieces.windows(2) {
        tokens::insert(&mut commands[piece[0]..piece[1]], &e.accesses[piece[0]..piece[1]], config);
    }
    let tensor = |name: &str, offset: usize, shape: Vec<usize>, strides: Vec<usize>| TensorLayout {
        name: name.to_owned(),
        strides,
        shape,
        offset,
        element_bytes: 4,
    };
    let w = &workspace;
    let program = Program {
        name: "language".to_owned(),
        config: config.clone(),
        commands,
        command_layers,
        layers: layers(model, passes),
        constants: constants.bytes,
        workspace_bytes,
        inputs: match passes.iter().any(|p| p.is_stepped) {
            true => {
                vec![tensor("ids", w.ids, vec![given], vec![4]), tensor("round", w.round, vec![1], vec![4])]
            }
            false => vec![tensor("ids", w.ids, vec![given], vec![4])],
        },
        outputs: match all_logits {
            true => vec![
                tensor("logits", w.logits, vec![lines, m.vocab_size], vec![w.logits_row, 4]),
                tensor("next", w.next, vec![lines, 1], vec![w.next_row, 4]),
            ],
            false => {
                let strides = vec![sequences * w.next_row, w.next_row];
                vec![tensor("next", w.next, vec![results / sequences, sequences], strides)]
            }
        },
    };
    Ok((program, trace.tensors))
}

/// Layers of the model and its head, with the multiply-accumulates that the model asks for in all passes and rounds.
fn layers(model: &QuantisedModel, passes: &[Pass]) -> Vec<ProgramLayer> {
    let m = &model.config;
    let runs = || passes.iter().flat_map(|pass| pass.runs.iter().map(move |run| (pass, run)));
    let positions = runs().flat_map(|(pass, run)| run.start..run.start + run.count + pass.times() - 1);
    let all: u64 = positions.map(|at| m.linear_macs() + m.attention_macs(at)).sum();
    let heads = |(pass, run): (&Pass, &Run)| match pass.head {
        Head::Nothing => 0,
        Head::Last => pass.times(),
        Head::All => run.count,
    };
    let heads: usize = runs().map(heads).sum();
    let layer = |l: usize| ProgramLayer { name: format!("layer {l}"), macs: all / m.layers as u64 };
    let head = ProgramLayer { name: "head".to_owned(), macs: heads as u64 * m.head_macs() };
    (0..m.layers).map(layer).chain([head]).collect()
}

/// Share of the memories that keeps weights and parameters when not all of them fit, in eighths.
const KEPT_EIGHTHS: usize = 5;

/// Chooses the tiles of linear layers that stay on the chip, and returns how many tiles and parameter groups those are: all of them where they
/// fit; else the first ones of a round, which are then there while the ring fills.
fn keep<'a>(
    linears: impl Iterator<Item = &'a mut Stored>,
    tiles: usize,
    groups: usize,
    config: &Config,
) -> (usize, usize) {
    let linears: Vec<&mut Stored> = linears.collect();
    let all = linears.iter().fold((0, 0), |(t, g), l| (t + l.tiles * l.steps, g + l.rows(config.lanes)));

    let most = match all.0 <= tiles && all.1 <= groups {
        true => (tiles, groups),
        false => (tiles * KEPT_EIGHTHS / 8, groups * KEPT_EIGHTHS / 8),
    };
    let mut left = most;
    for linear in linears {
        let each = (linear.steps, linear.channels / config.lanes);
        linear.kept = linear.tiles.min(left.0 / each.0).min(left.1 / each.1);
        left = (left.0 - linear.kept * each.0, left.1 - linear.kept * each.1);
        if linear.kept < linear.tiles {
            break;
        }
    }
    (most.0 - left.0, most.1 - left.1)
}

impl Emitter<'_> {
    fn accumulator_short(&self, needed: usize) -> LanguageCompileError {
        LanguageCompileError::Memory {
            tokens: self.lines,
            memory: "accumulator memory",
            unit: "rows",
            needed: self.scratch.first + needed,
            depth: self.config.accumulator_depth,
            config: self.config.name.clone(),
        }
    }

    /// How many of `units` fit at a time, so that two such pieces can take turns: a multiple of `quantum`.
    fn piece(&self, each: usize, units: usize, quantum: usize) -> Result<usize, LanguageCompileError> {
        let fits = |count: usize| count / each / quantum * quantum;
        match (fits(self.scratch.room() / 2), fits(self.scratch.room())) {
            (0, 0) => Err(self.accumulator_short(each * quantum)),
            (0, _) => Ok(quantum),
            (some, _) => Ok(some.min(units.next_multiple_of(quantum))),
        }
    }

    fn residual_rows(&self, p: &Places) -> Rows {
        let hidden_rows = self.sizes.hidden / self.sizes.lanes;
        Rows {
            address: p.residual,
            count: self.lines,
            stride: hidden_rows,
            positions: 1,
            position_stride: 0,
            groups: hidden_rows,
            length: self.sizes.hidden,
        }
    }

    fn residual_standing(&self, p: &Places) -> Standing {
        let hidden = self.sizes.hidden;
        Standing::words(p.residual, self.lines, hidden, hidden / self.sizes.lanes)
    }

    /// The residual stream of all lines, from rows of the embedding; cosines and sines of their positions.
    fn embed(&mut self, pass: &Pass, scalars: &[usize], stored: &Model, p: &Places) {
        let s = self.sizes;
        let (vectors, hidden_rows) = (s.hidden / s.rows, s.hidden / s.lanes);
        for (t, scalar) in scalars.iter().enumerate() {
            let patch = Patch {
                scalar: *scalar as u8,
                multiplier: (2 * s.hidden) as u16,
                word: 1,
                part: 3,
                ..Patch::default()
            };
            self.push(Adjust::of(&[patch]));
            let address = p.embedding_vectors + t * 2 * vectors;
            self.load(space::ACTIVATION, layout::LINEAR, stored.embedding, 2 * s.hidden, address);
        }
        for t in 0..scalars.len() {
            let rows = (p.residual + t * hidden_rows) as u32;
            for low in [false, true] {
                let address = p.embedding_vectors + (2 * t + usize::from(low)) * vectors;
                self.push(Vector {
                    destination: 1,
                    single_rounding: true,
                    add_operand: low,
                    source_address: address as u32,
                    destination_address: rows,
                    operand_address: rows,
                    groups: hidden_rows as u32,
                    stride_group: 1,
                    input_width: 1,
                    input_height: 1,
                    multiplier: 1 << 31,
                    left_shift: u32::from(self.model.embedding_shift) + if low { 0 } else { 8 },
                    ..Vector::default()
                });
            }
        }
        let row_bytes = 12 * s.half;
        let mut line = 0;
        for run in &pass.runs {
            let load = Load {
                space: space::ACCUMULATOR,
                memory_offset: stored.table as u32,
                row_bytes: (run.count * row_bytes) as u32,
                address: (p.table_rows + line * 3 * s.half / s.lanes) as u32,
                ..Load::default()
            };
            let moved = Patch { multiplier: row_bytes as u16, ..position(run.start - stored.start, 1, 3) };
            self.push_patched(load, &[moved]);
            line += run.count;
        }
        self.trace("embedding", self.residual_standing(p));
    }

    /// Heads of queries or keys: projected, normed, rotated, as int8 from `target` on, so many vectors from line to line.
    #[allow(clippy::too_many_arguments)]
    fn heads(
        &mut self,
        linear: &Stored,
        norm: Option<(&frugal_language::integer::Norm, usize)>,
        norm_rows: usize,
        heads: usize,
        (target, target_row): (usize, usize),
        p: &Places,
    ) -> Result<(), LanguageCompileError> {
        let s = self.sizes;
        let cells = s.query_head() / s.lanes;
        let tile_rows = linear.channels / s.lanes;
        // Whole tiles and whole heads.
        let quantum = (linear.channels / s.query_head()).max(1);
        let mut at_once = self.piece(self.lines * cells, heads, quantum)?;
        // At least two pieces, so that the array has something to do while the first one's heads are normed and turned.
        if self.lines >= 4 {
            at_once = at_once.min(heads.div_ceil(2).next_multiple_of(quantum));
        }
        for first in (0..heads).step_by(at_once) {
            let count = at_once.min(heads - first);
            let from = first * cells / tile_rows;
            let to = (from + (count * cells).div_ceil(tile_rows)).min(linear.tiles);
            // The last heads may leave a part of their tile.
            let row = (to - from) * tile_rows;
            let address = self.scratch.take(self.lines * row);
            let template = self.positions(p.input, s.hidden / s.rows, address, row);
            let halved = if first == 0 { Halved::First } else { Halved::Nothing };
            self.linear(linear, from, to, &template, halved);
            if let Some((norm, weights)) = norm {
                if first == 0 {
                    self.rows_load(weights, s.query_head(), norm_rows);
                }
                // As many lines at a time as there are scalars for.
                let room = ((SUM_SCALARS - SCALARS) / count).max(1);
                for line in (0..self.lines).step_by(room) {
                    let rows = Rows {
                        address: address + line * row,
                        count,
                        stride: cells,
                        positions: room.min(self.lines - line),
                        position_stride: row,
                        groups: cells,
                        length: s.query_head(),
                    };
                    self.norm(norm, norm_rows, rows, SCALARS, Target::InPlace);
                }
            }
            let target = target + first * s.query_head() / s.rows;
            self.rotate((address, row), count, p.table_rows, (target, target_row));
        }
        Ok(())
    }

    fn attention(
        &mut self,
        pass: &Pass,
        layer: &Layer,
        stored: &StoredLayer,
        ahead: &[&Stored],
        workspace: &Workspace,
        p: &Places,
    ) -> Result<(), LanguageCompileError> {
        let s = self.sizes;
        let number = self.layer as usize;
        let layers = self.model.layers.len();
        let cache = |run: &Run| (run.sequence * layers + number) * workspace.cache_bytes;
        let vectors = s.hidden / s.rows;
        self.rows_load(stored.input_norm, s.hidden, p.norm_rows);
        let residual = self.residual_rows(p);
        self.norm_lines(&layer.input_norm, p.norm_rows, residual, p.input, vectors);
        self.trace("input norm", Standing::vectors(p.input, self.lines, s.hidden, vectors));

        // Keys and values, into the caches.
        let key_bytes = s.kv_heads * s.query_head();
        let cached_row = s.cache_row() / s.rows;
        let key_norm = layer.key_norm.as_ref().zip(stored.key_norm);
        self.heads(&stored.key, key_norm, p.head_norm_rows, s.kv_heads, (p.cached, cached_row), p)?;
        let tile_rows = stored.value.channels / s.lanes;
        let value_rows = s.kv_heads * s.value / s.lanes;
        let quantum = (s.rows / stored.value.channels).max(1);
        let at_once = self.piece(self.lines * tile_rows, stored.value.tiles, quantum)?;
        for from in (0..stored.value.tiles).step_by(at_once) {
            let to = (from + at_once).min(stored.value.tiles);
            let row = (to - from) * tile_rows;
            let address = self.scratch.take(self.lines * row);
            let template = self.positions(p.input, vectors, address, row);
            self.linear(&stored.value, from, to, &template, Halved::Nothing);
            let first = from * tile_rows;
            let groups = row.min(value_rows - first);
            self.push(Row {
                multiplier: 1 << 31,
                source_address: address as u32,
                source_stride_x: row as u32,
                rows_x: self.lines as u32,
                groups: groups as u32,
                length: (groups * s.lanes) as u32,
                destination: row_destination::ACTIVATION,
                destination_address: (p.cached + (key_bytes + first * s.lanes) / s.rows) as u32,
                destination_stride_x: cached_row as u32,
                minimum: -128,
                maximum: 127,
                ..Row::default()
            });
        }
        let cached = Standing::vectors(p.cached, self.lines, s.cache_row(), cached_row);
        self.trace("keys and values", cached);
        let mut line = 0;
        for run in &pass.runs {
            let store = Store {
                space: space::ACTIVATION,
                base_register: 1,
                memory_offset: cache(run) as u32,
                rows: run.count as u32,
                row_bytes: s.cache_row() as u32,
                memory_stride: s.cache_row() as u32,
                address: (p.cached + line * cached_row) as u32,
                stride: cached_row as u32,
                ..Store::default()
            };
            let moved = Patch { multiplier: s.cache_row() as u16, ..position(run.start, 1, 3) };
            self.push_patched(store, &[moved]);
            line += run.count;
        }
        let norm = layer.query_norm.as_ref().zip(stored.query_norm);
        let rows = p.head_norm_rows + s.query_head() / s.lanes;
        let target = (p.attend.queries, p.attend.query_vectors);
        self.heads(&stored.query, norm, rows, s.heads, target, p)?;
        let queries = Standing::vectors(target.0, self.lines, s.heads * s.query_head(), target.1);
        self.trace("queries", queries);
        self.load_ahead(ahead);

        // Attention, a few lines of the heads that share keys and values at a time.
        let mut units = Vec::new();
        let mut line = 0;
        for (run, positions) in pass.runs.iter().enumerate() {
            let keys = p.keys + run % p.sequence_slots * p.sequence_tiles;
            for kv in (0..s.kv_heads).step_by(p.kvs) {
                let kvs = p.kvs.min(s.kv_heads - kv);
                for first in (0..positions.count).step_by(p.block) {
                    let slot = units.len() % p.slots;
                    let count = p.block.min(positions.count - first);
                    let scores = self.scratch.first + slot * (self.scratch.room() / p.slots);
                    units.push(Unit {
                        run,
                        kv,
                        kvs,
                        line: line + first,
                        position: positions.start + first,
                        count,
                        scores,
                        products: scores + kvs * s.shared * count * p.attend.score_rows,
                        exponentials: p.exponentials + slot * p.unit_vectors,
                        scalars: slot * (SUM_SCALARS - SCALARS) / p.slots,
                        keys,
                        values: keys + p.key_tiles,
                    });
                }
            }
            line += positions.count;
        }
        // Products are two units behind the keys that are loaded.
        let in_turn = p.slots == 4 && (pass.runs.len() == 1 || p.sequence_slots == 3);
        let mut loaded = None;
        let attend = p.attend;
        self.attend(&units, &attend, in_turn, |e, unit| {
            if loaded != Some(unit.run) {
                loaded = Some(unit.run);
                let run = &pass.runs[unit.run];
                e.load_cache(cache(run), run, unit, &attend);
            }
        });
        self.scratch.restart();
        let vectors = attend.attention_vectors;
        self.trace("attention", Standing::vectors(attend.attention, self.lines, vectors * s.rows, vectors));
        let hidden_rows = s.hidden / s.lanes;
        let from = self.positions(p.attend.attention, p.attend.attention_vectors, p.residual, hidden_rows);
        let template = Matrix { add_row: true, ..from };
        self.linear(&stored.output, 0, stored.output.tiles, &template, Halved::Last);
        self.trace("residual after attention", self.residual_standing(p));
        Ok(())
    }

    /// Keys and values of all positions that a run knows, from its cache to the weight scratchpad.
    fn load_cache(&mut self, cache: usize, run: &Run, unit: &Unit, attend: &Attend) {
        let s = self.sizes;
        let key_bytes = s.kv_heads * s.query_head();
        for (layout, at, bytes, address, stride) in [
            (layout::COLUMN, 0, key_bytes, unit.keys, attend.key_stride),
            (layout::ROW, key_bytes, s.kv_heads * s.value, unit.values, attend.value_stride),
        ] {
            let load = Load {
                space: space::WEIGHT,
                layout,
                base_register: 1,
                memory_offset: (cache + at) as u32,
                row_bytes: bytes as u32,
                memory_stride: s.cache_row() as u32,
                address: address as u32,
                stride: stride as u32,
                ..Load::default()
            };
            self.push_patched(load, &[position(run.start + run.count - 1, 2, 1)]);
        }
    }

    fn feed_forward(
        &mut self,
        layer: &Layer,
        stored: &StoredLayer,
        p: &Places,
    ) -> Result<(), LanguageCompileError> {
        let s = self.sizes;
        let vectors = s.hidden / s.rows;
        self.rows_load(stored.post_norm, s.hidden, p.norm_rows);
        let residual = self.residual_rows(p);
        self.norm_lines(&layer.post_norm, p.norm_rows, residual, p.input, vectors);
        self.trace("norm after attention", Standing::vectors(p.input, self.lines, s.hidden, vectors));
        let tile_rows = stored.gate.channels / s.lanes;
        let quantum = (s.rows / stored.gate.channels).max(1);
        let at_once = self.piece(2 * self.lines * tile_rows, stored.gate.tiles, quantum)?;
        for from in (0..stored.gate.tiles).step_by(at_once) {
            let to = (from + at_once).min(stored.gate.tiles);
            let rows = (to - from) * tile_rows;
            let gate = self.scratch.take(2 * self.lines * rows);
            let up = gate + self.lines * rows;
            let first = if from == 0 { Halved::First } else { Halved::Nothing };
            for (linear, address, halved) in [(&stored.gate, gate, first), (&stored.up, up, Halved::Nothing)]
            {
                let template = self.positions(p.input, vectors, address, rows);
                self.linear(linear, from, to, &template, halved);
            }
            for (name, address) in [("gate", gate), ("up", up)] {
                self.trace(name, Standing::words(address, self.lines, rows * s.lanes, rows));
            }
            let row = Row {
                multiplier: 1 << 31,
                source_stride_x: rows as u32,
                rows_x: self.lines as u32,
                groups: rows as u32,
                length: (rows * s.lanes) as u32,
                ..Row::default()
            };
            self.push(Row {
                function: function::SILU,
                source_address: gate as u32,
                destination: row_destination::ACCUMULATOR,
                destination_address: gate as u32,
                destination_stride_x: rows as u32,
                ..row.clone()
            });
            let first_byte = from * stored.gate.channels;
            self.push(Row {
                function: function::MULTIPLY,
                operand: true,
                source_address: up as u32,
                operand_address: gate as u32,
                operand_stride_x: rows as u32,
                shift: layer.gated_shift.into(),
                destination: row_destination::ACTIVATION,
                destination_address: (p.gated + first_byte / s.rows) as u32,
                first_lane: (first_byte % s.rows) as u32,
                destination_stride_x: (s.wide / s.rows) as u32,
                minimum: -128,
                maximum: 127,
                ..row
            });
        }
        let hidden_rows = s.hidden / s.lanes;
        let template =
            Matrix { add_row: true, ..self.positions(p.gated, s.wide / s.rows, p.residual, hidden_rows) };
        self.trace("gated", Standing::vectors(p.gated, self.lines, s.wide, s.wide / s.rows));
        self.linear(&stored.down, 0, stored.down.tiles, &template, Halved::Last);
        self.trace("residual", self.residual_standing(p));
        Ok(())
    }

    /// Final norm, logits and largest logit of the lines that want them; their ids to memory.
    fn head(
        &mut self,
        pass: &Pass,
        stored: &Model,
        workspace: &Workspace,
        p: &Places,
    ) -> Result<(), LanguageCompileError> {
        let s = self.sizes;
        let m = &self.model.config;
        self.layer = self.model.layers.len() as u32;
        let (vectors, hidden_rows) = (s.hidden / s.rows, s.hidden / s.lanes);
        // A run of many positions is alone in its pass.
        let skipped = if pass.head == Head::Last { pass.runs[0].count - 1 } else { 0 };
        let first_sequence = if pass.head == Head::All { 0 } else { pass.runs[0].sequence };
        self.lines -= skipped;
        let lines = self.lines;
        self.rows_load(stored.final_norm, s.hidden, p.norm_rows);
        let rows = Rows { address: p.residual + skipped * hidden_rows, ..self.residual_rows(p) };
        let final_norm = &self.model.final_norm;
        self.norm_lines(final_norm, p.norm_rows, rows, p.input, vectors);
        self.trace("final norm", Standing::vectors(p.input, lines, s.hidden, vectors));
        let tile_rows = stored.head.channels / s.lanes;
        let argmax = ARGMAX_SCALARS + 2 * first_sequence;
        // Whole vectors at a time.
        let quantum = (s.rows / stored.head.channels).max(1);
        let at_once = self.piece(lines * tile_rows, stored.head.tiles, quantum)?;
        for (turn, from) in (0..stored.head.tiles).step_by(at_once).enumerate() {
            let to = (from + at_once).min(stored.head.tiles);
            let rows = (to - from) * tile_rows;
            let logits = self.scratch.take(lines * rows);
            let template = self.positions(p.input, vectors, logits, rows);
            let halved = if from == 0 { Halved::First } else { Halved::Nothing };
            self.linear(&stored.head, from, to, &template, halved);
            let channels = rows * s.lanes;
            self.trace("logits", Standing::words(logits, lines, channels, rows));
            let first = from * stored.head.channels;
            self.push(Row {
                multiplier: 1 << 31,
                source_address: logits as u32,
                source_stride_x: rows as u32,
                rows_x: lines as u32,
                groups: rows as u32,
                length: channels.min(m.vocab_size - first) as u32,
                reduce: row_reduce::ARGMAX,
                scalar_use: if turn > 0 { scalar_use::CONTINUE } else { scalar_use::NONE },
                result_address: argmax as u32,
                initial: first as i32,
                ..Row::default()
            });
            if pass.head == Head::All {
                self.push(Store {
                    space: space::ACCUMULATOR,
                    base_register: 1,
                    memory_offset: (workspace.logits + 4 * first) as u32,
                    rows: lines as u32,
                    row_bytes: (4 * channels) as u32,
                    memory_stride: workspace.logits_row as u32,
                    address: logits as u32,
                    stride: rows as u32,
                    ..Store::default()
                });
            }
        }
        // The ids: added to rows that tell them from nothing.
        let id_rows = self.scratch.take(lines);
        for t in 0..lines {
            self.rows_load(stored.id_row, s.lanes, id_rows + t);
            self.push(Row {
                multiplier: 1 << 31,
                source_address: (id_rows + t) as u32,
                scalar_use: scalar_use::ADD,
                scalar_address: (argmax + 2 * t + 1) as u32,
                length: s.lanes as u32,
                destination: row_destination::ACCUMULATOR,
                destination_address: (id_rows + t) as u32,
                ..Row::default()
            });
        }
        let next_row = workspace.next_row;
        let first_result = if pass.loops() { workspace.sequences } else { first_sequence };
        let store = Store {
            space: space::ACCUMULATOR,
            base_register: 1,
            memory_offset: (workspace.next + first_result * next_row) as u32,
            rows: lines as u32,
            row_bytes: next_row as u32,
            memory_stride: next_row as u32,
            address: id_rows as u32,
            stride: 1,
            ..Store::default()
        };
        if !pass.loops() {
            self.push(store);
            return Ok(());
        }
        let moved = Patch { multiplier: (workspace.sequences * next_row) as u16, ..position(0, 1, 3) };
        self.push_patched(store, &[moved]);
        Ok(())
    }
}
