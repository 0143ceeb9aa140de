//! What a pass is made of: embedding, attention, feed-forward layers and head, as commands.

use super::attention::{Attend, CachedHeads, Unit};
use super::constants::{Stored, StoredLayer};
use super::emitter::{position, Emitter, Halved, Rows, Target, ARGMAX_SCALARS, SCALARS, SUM_SCALARS};
use super::trace::Standing;
use super::{Head, LanguageCompileError, Pass, Run};
use frugal_isa::command::{
    function, layout, row_destination, row_reduce, scalar_use, space, Adjust, Load, Matrix, Patch, Row,
    Store, Vector,
};
use frugal_language::integer::Layer;

/// What the constants hold, and where.
pub(super) struct Model {
    pub embedding: usize,
    /// Cosines and sines of the positions from `start` on.
    pub table: usize,
    pub start: usize,
    pub id_row: usize,
    pub layers: Vec<StoredLayer>,
    pub final_norm: usize,
    pub head: Stored,
}

/// Workspace offsets.
pub(super) struct Workspace {
    pub cache_bytes: usize,
    pub ids: usize,
    /// Round of a stepped pass.
    pub round: usize,
    pub next: usize,
    pub next_row: usize,
    pub logits: usize,
    pub logits_row: usize,
    pub sequences: usize,
}

/// Places on the chip.
pub(super) struct Places {
    pub residual: usize,
    pub norm_rows: usize,
    pub head_norm_rows: usize,
    pub table_rows: usize,
    pub embedding_vectors: usize,
    pub input: usize,
    /// Keys and values of each line, as they go to the cache.
    pub newest: usize,
    pub exponentials: usize,
    pub gated: usize,
    pub attend: Attend,
    /// Units of attention at a time, and lines of each.
    pub slots: usize,
    pub block: usize,
    /// Keys and values of each, and vectors of its exponentials.
    pub kvs: usize,
    pub unit_vectors: usize,
    /// First weight tile of keys and values.
    pub keys: usize,
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
    pub fn embed(&mut self, pass: &Pass, scalars: &[usize], stored: &Model, p: &Places) {
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

    pub fn attention(
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
        self.heads(&stored.key, key_norm, p.head_norm_rows, s.kv_heads, (p.newest, cached_row), p)?;
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
                destination_address: (p.newest + (key_bytes + first * s.lanes) / s.rows) as u32,
                destination_stride_x: cached_row as u32,
                minimum: -128,
                maximum: 127,
                ..Row::default()
            });
        }
        let cached = Standing::vectors(p.newest, self.lines, s.cache_row(), cached_row);
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
                address: (p.newest + line * cached_row) as u32,
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
        let held = p.attend.cached;
        let mut loads = 0;
        for (run, positions) in pass.runs.iter().enumerate() {
            for first_kv in (0..s.kv_heads).step_by(held.heads) {
                let keys = p.keys + loads % held.slots * held.tiles();
                let last_kv = s.kv_heads.min(first_kv + held.heads);
                for kv in (first_kv..last_kv).step_by(p.kvs) {
                    let kvs = p.kvs.min(last_kv - kv);
                    for first in (0..positions.count).step_by(p.block) {
                        let slot = units.len() % p.slots;
                        let count = p.block.min(positions.count - first);
                        let scores = self.scratch.first + slot * (self.scratch.room() / p.slots);
                        units.push(Unit {
                            run,
                            load: loads,
                            kv,
                            first_kv,
                            kvs,
                            line: line + first,
                            position: positions.start + first,
                            count,
                            scores,
                            products: scores + kvs * s.shared * count * p.attend.score_rows,
                            exponentials: p.exponentials + slot * p.unit_vectors,
                            scalars: slot * (SUM_SCALARS - SCALARS) / p.slots,
                            keys,
                            values: keys + held.key_tiles,
                        });
                    }
                }
                loads += 1;
            }
            line += positions.count;
        }
        // Products are two units behind the keys that are loaded, and need theirs until then.
        let stands = |(i, unit): (usize, &Unit)| unit.load - units[i.saturating_sub(2)].load < held.slots;
        let in_turn = p.slots == 4 && units.iter().enumerate().all(stands);
        let mut loaded = None;
        let attend = p.attend;
        self.attend(&units, &attend, in_turn, |e, unit| {
            if loaded != Some(unit.load) {
                loaded = Some(unit.load);
                let run = &pass.runs[unit.run];
                e.load_cache(cache(run), run, unit, &attend.cached);
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

    /// Some heads of keys and values of all positions that a run knows, from its cache to the weight scratchpad.
    fn load_cache(&mut self, cache: usize, run: &Run, unit: &Unit, held: &CachedHeads) {
        let s = self.sizes;
        let heads = held.heads.min(s.kv_heads - unit.first_kv);
        let values = s.kv_heads * s.query_head();
        for (layout, at, head, address, stride) in [
            (layout::COLUMN, 0, s.query_head(), unit.keys, held.key_stride),
            (layout::ROW, values, s.value, unit.values, held.value_stride),
        ] {
            let load = Load {
                space: space::WEIGHT,
                layout,
                base_register: 1,
                memory_offset: (cache + at + unit.first_kv * head) as u32,
                row_bytes: (heads * head) as u32,
                memory_stride: s.cache_row() as u32,
                address: address as u32,
                stride: stride as u32,
                ..Load::default()
            };
            self.push_patched(load, &[position(run.start + run.count - 1, 2, 1)]);
        }
    }

    pub fn feed_forward(
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
    pub fn head(
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
