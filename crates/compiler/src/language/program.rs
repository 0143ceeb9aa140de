//! From passes to a program: sizes, constants, places on the chip and in memory, loops, and the order of commands.

use super::attention::{Attend, CachedHeads};
use super::constants::{by_halves, by_heads, straight, Constants, Sizes, Stored, StoredLayer};
use super::emitter::{
    Emitter, Held, Space, Turns, ARGMAX_SCALARS, ID_SCALARS, LINES, ROUND_SCALAR, SCALARS, SUM_SCALARS,
};
use super::parts::{Model, Places, Workspace};
use super::trace::{Trace, Traced};
use super::{Head, LanguageCompileError, Pass, Run};
use crate::tokens;
use frugal_isa::command::{layout, space, Barrier, Branch, End, Load, Set};
use frugal_isa::program::Layer as ProgramLayer;
use frugal_isa::{Config, Program, TensorLayout};
use frugal_language::integer::{rotation, QuantisedModel, GROUP};

pub(super) fn program(
    model: &QuantisedModel,
    config: &Config,
    passes: &[Pass],
    (sequences, context): (usize, usize),
    is_traced: bool,
) -> Result<(Program, Vec<Traced>), LanguageCompileError> {
    config.validate()?;
    if !config.row_engine {
        return Err(LanguageCompileError::RowEngine { config: config.name.clone() });
    }
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

    // Keys and values have the end of the weight scratchpad, the ring the rest.
    let positions = end;
    let score_rows = positions.next_multiple_of(config.rows.max(config.cols)) / s.lanes;
    let largest_steps = stored.iter().flat_map(StoredLayer::linears).map(|l| l.steps).max().unwrap_or(1);
    let most_runs = passes.iter().map(|p| p.runs.len()).max().unwrap_or(1);
    let cached = CachedHeads::choose(&s, positions, most_runs, largest_steps, config.weight_depth);
    let Some(cached) = cached else {
        let caches = CachedHeads::of(&s, positions, 1, 1).tiles();
        let weights = CachedHeads::blocks(largest_steps);
        return Err(LanguageCompileError::Context {
            positions,
            caches,
            weights,
            depth: config.weight_depth,
            wanted: (weights + caches).next_power_of_two(),
            config: config.name.clone(),
        });
    };
    if 2 * plain_groups > config.parameter_depth {
        return Err(short("parameter memory", "groups", 2 * plain_groups, config.parameter_depth));
    }
    let ring = (config.weight_depth - cached.all()) / config.scale_tiles() * config.scale_tiles();

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
    let kvs = room(slots).min(cached.heads);
    let block = (room(slots) / kvs).min(longest);
    let unit_vectors = kvs * s.shared * block * score_rows * s.lanes / s.rows;

    let attention_vectors = attention_order.len() / s.rows;
    let query_vectors = s.heads * s.query_head() / s.rows;
    let embedding_vectors = act.take(lines * 2 * s.hidden / s.rows);
    let input = act.take(lines * s.hidden / s.rows);
    let queries = act.take(lines * query_vectors);
    let newest = act.take(lines * s.cache_row() / s.rows);
    let attention = act.take(lines * attention_vectors);
    let exponentials = act.take(slots * unit_vectors);
    let gated = act.take(lines * s.wide / s.rows);
    if acc.next > config.accumulator_depth {
        return Err(short("accumulator memory", "rows", acc.next, config.accumulator_depth));
    }
    if act.most > config.activation_depth {
        return Err(short("activation scratchpad", "vectors", act.most, config.activation_depth));
    }
    let attend = Attend { score_rows, queries, query_vectors, attention, attention_vectors, cached };
    let places = Places {
        residual,
        norm_rows,
        head_norm_rows,
        table_rows,
        embedding_vectors,
        input,
        newest,
        exponentials,
        gated,
        attend,
        slots,
        block,
        kvs,
        unit_vectors,
        keys: ring,
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
