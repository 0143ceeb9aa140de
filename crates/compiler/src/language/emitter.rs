//! Commands that all parts of a language model are made of: loads, linear layers, norms, rotations.

use super::constants::{Sizes, Stored};
use super::trace::Trace;
use crate::access::Access;
use crate::build::Ring;
use crate::Value;
use frugal_isa::command::{
    finish, function, layout, row_destination, row_reduce, scalar_use, space, Adjust, Load, Matrix, Patch,
    Row,
};
use frugal_isa::{Command, Config};
use frugal_language::integer::{Norm, QuantisedModel};

/// What stands in a memory: byte offset and addresses.
type Block = (usize, usize);

/// A memory for what linear layers need, weights or parameters: a ring for what comes and goes, and behind it what is kept.
pub(super) struct Held {
    ring: Ring<Block>,
    /// Addresses of the ring.
    depth: usize,
    kept: Vec<(Block, usize)>,
    /// Where the next block is kept.
    next: usize,
}

impl Held {
    /// A ring of so many addresses, and room behind it.
    pub fn new(depth: usize) -> Held {
        Held { ring: Ring::new(depth), depth, kept: Vec::new(), next: depth }
    }

    /// Address of the unit at this byte offset, and how many units follow there.
    fn find(&self, offset: usize, unit_bytes: usize) -> Option<(usize, usize)> {
        let within = |&(start, length): &Block, address: usize| {
            let end = start + length * unit_bytes;
            (start <= offset && offset < end).then(|| {
                let at = (offset - start) / unit_bytes;
                (address + at, length - at)
            })
        };
        let kept = self.kept.iter().find_map(|(block, address)| within(block, *address));
        kept.or_else(|| self.ring.find_map(within))
    }

    /// Tiles of a layer to load together, of so many addresses each: a quarter of the ring, so that loads run ahead; all of those
    /// that are kept.
    fn share(&self, stored: &Stored, each: usize, tile: usize, to: usize) -> usize {
        match tile < stored.kept {
            true => stored.kept - tile,
            false => (self.depth / 4 / each).max(1).min(to - tile),
        }
    }

    fn place(&mut self, block: Block, kept: bool) -> usize {
        if !kept {
            return self.ring.place(block, block.1, Value(0));
        }
        let address = self.next;
        self.kept.push((block, address));
        self.next += block.1;
        address
    }

    /// Forgets what comes and goes.
    pub fn restart(&mut self) {
        self.ring = Ring::new(self.depth);
    }
}

pub(super) struct Emitter<'a> {
    pub model: &'a QuantisedModel,
    pub config: &'a Config,
    pub sizes: Sizes,
    /// Positions that go through the model together, of all sequences.
    pub lines: usize,
    pub commands: Vec<Command>,
    /// What patched commands may read and write.
    pub accesses: Vec<Option<Access>>,
    pub command_layers: Vec<u32>,
    pub layer: u32,
    /// In a loop: its rounds. The positions move on by one in each of them.
    pub rounds: Option<usize>,
    pub weights: Held,
    pub parameters: Held,
    /// First of the parameter groups that are zero; those below are held.
    pub plain: usize,
    /// Accumulator rows that hold what lives for a moment, handed out in turn.
    pub scratch: Turns,
    pub trace: Option<Trace>,
}

/// Addresses handed out one after the other, and from the beginning again: what is handed out holds until as much as there is has been
/// handed out after it.
pub(super) struct Turns {
    pub first: usize,
    pub end: usize,
    next: usize,
}

impl Turns {
    pub fn new(first: usize, end: usize) -> Turns {
        Turns { first, end: end.max(first), next: first }
    }

    pub fn room(&self) -> usize {
        self.end - self.first
    }

    pub fn restart(&mut self) {
        self.next = self.first;
    }

    pub fn take(&mut self, count: usize) -> usize {
        if self.next + count > self.end {
            self.next = self.first;
        }
        let address = self.next;
        self.next += count;
        address
    }
}

/// Which command of a linear layer takes the lines in two halves: a norm in front or behind works on one half meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Halved {
    Nothing,
    First,
    Last,
}

/// The first of so many lines and how many, in two halves where there are enough of them.
pub(super) fn halves(lines: usize) -> Vec<(usize, usize)> {
    match lines {
        0..4 => vec![(0, lines)],
        _ => vec![(0, lines / 2), (lines / 2, lines - lines / 2)],
    }
}

/// Rows of values to norm: where they are and how many.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub address: usize,
    pub count: usize,
    pub stride: usize,
    /// The same rows of so many positions, and from one position to the next.
    pub positions: usize,
    pub position_stride: usize,
    pub groups: usize,
    pub length: usize,
}

/// Where a norm's results go.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Vectors: address, and from one row to the next.
    Activation(usize, usize),
    /// The rows themselves.
    InPlace,
}

impl Emitter<'_> {
    pub fn push(&mut self, command: impl Into<Command>) {
        self.commands.push(command.into());
        self.accesses.push(None);
        self.command_layers.push(self.layer);
    }

    /// A command as it is for round 0 of a loop at position 0, and how it changes with them: at once, or, in a loop, in every round.
    pub fn push_patched(&mut self, command: impl Into<Command>, patches: &[Patch]) {
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

    /// Puts the commands from `first` on into the order in which they could start; an `adjust` stays in front of what it changes.
    ///
    /// Scalars that an `adjust` reads are written by the last commands of a pass, or before it.
    pub fn order(&mut self, first: usize) {
        let commands = self.commands.split_off(first);
        let accesses = self.accesses.split_off(first);
        let layers = self.command_layers.split_off(first);
        struct Item {
            adjust: Option<Command>,
            command: Command,
            given: Option<Access>,
            layer: u32,
        }
        let mut items = Vec::with_capacity(commands.len());
        let mut adjust = None;
        for ((command, given), layer) in commands.into_iter().zip(accesses).zip(layers) {
            match command {
                Command::Adjust(_) => adjust = Some(command),
                command => items.push(Item { adjust: adjust.take(), command, given, layer }),
            }
        }
        let all: Vec<&Command> = items.iter().map(|i| &i.command).collect();
        let reached = |i: &Item| i.given.clone().unwrap_or_else(|| Access::of(&i.command, self.config));
        let accesses: Vec<Access> = items.iter().map(reached).collect();
        let keys = crate::order::keys(&all, &accesses, self.config);
        let mut keyed: Vec<(f64, Item)> = keys.into_iter().zip(items).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, item) in keyed {
            for (command, given) in
                item.adjust.map(|a| (a, None)).into_iter().chain([(item.command, item.given)])
            {
                self.commands.push(command);
                self.accesses.push(given);
                self.command_layers.push(item.layer);
            }
        }
    }

    pub fn load(&mut self, space: u32, layout: u32, offset: usize, bytes: usize, address: usize) {
        self.push(Load {
            space,
            layout,
            memory_offset: offset as u32,
            row_bytes: bytes.next_multiple_of(16) as u32,
            address: address as u32,
            ..Load::default()
        });
    }

    pub fn rows_load(&mut self, offset: usize, values: usize, address: usize) {
        self.load(space::ACCUMULATOR, layout::LINEAR, offset, 4 * values, address);
    }

    /// Address of the tile's weights, and how many tiles up to `to` follow there; they are loaded if they are not.
    fn weight_block(&mut self, stored: &Stored, tile: usize, to: usize) -> (usize, usize) {
        let config = self.config;
        let tile_bytes = stored.steps * config.tile_bytes();
        let offset = stored.weights + tile * tile_bytes;
        if let Some((address, length)) = self.weights.find(offset, config.tile_bytes()) {
            return (address, (length / stored.steps).min(to - tile));
        }
        let count = self.weights.share(stored, stored.steps, tile, to);
        let length = count * stored.steps;
        let address = self.weights.place((offset, length), tile < stored.kept);
        self.load(space::WEIGHT, layout::LINEAR, offset, length * config.tile_bytes(), address);
        if stored.four_bit {
            // Scales stand where their tiles do.
            let group = config.scale_tiles();
            let offset = stored.scales + tile * stored.steps / group * config.scale_row_bytes();
            let bytes = length / group * config.scale_row_bytes();
            self.load(space::WEIGHT, layout::SCALES, offset, bytes, address / group);
        }
        (address, count.min(to - tile))
    }

    /// The same for the tile's parameters.
    fn parameter_block(&mut self, stored: &Stored, tile: usize, to: usize) -> (usize, usize) {
        let config = self.config;
        let groups = stored.channels / config.lanes;
        let offset = stored.parameters + tile * groups * config.parameter_group_bytes();
        if let Some((address, length)) = self.parameters.find(offset, config.parameter_group_bytes()) {
            return (address, (length / groups).min(to - tile));
        }
        let count = self.parameters.share(stored, groups, tile, to);
        let address = self.parameters.place((offset, count * groups), tile < stored.kept);
        let bytes = count * groups * config.parameter_group_bytes();
        self.load(space::PARAMETER, layout::LINEAR, offset, bytes, address);
        (address, count.min(to - tile))
    }

    /// Loads weights and parameters of layers to come, as many as half of the rings hold, so that they are on their way while the
    /// attention waits for keys and values. What is overwritten before it is used is loaded again.
    pub fn load_ahead(&mut self, layers: &[&Stored]) {
        let (mut tiles, mut groups) = (self.weights.depth / 2, self.parameters.depth / 2);
        for stored in layers {
            let mut tile = stored.kept;
            while tile < stored.tiles {
                let each = stored.channels / self.config.lanes;
                let most = (tiles / stored.steps).min(groups / each).min(stored.tiles - tile);
                if most == 0 {
                    return;
                }
                let (_, weights) = self.weight_block(stored, tile, tile + most);
                let (_, count) = self.parameter_block(stored, tile, tile + weights);
                tiles -= count * stored.steps;
                groups -= count * each;
                tile += count;
            }
        }
    }

    /// Matrix commands of a linear layer for all positions: tiles `from..to`.
    pub fn linear(&mut self, stored: &Stored, from: usize, to: usize, template: &Matrix, halved: Halved) {
        let config = self.config;
        let mut tile = from;
        while tile < to {
            let (address, count) = self.weight_block(stored, tile, to);
            let (parameters, count) = self.parameter_block(stored, tile, tile + count);
            let first_row = (tile - from) * stored.channels / config.lanes;
            let is_halved = match halved {
                Halved::Nothing => false,
                Halved::First => tile == from,
                Halved::Last => tile + count == to,
            };
            let lines = template.outputs_x as usize;
            let parts = if is_halved { halves(lines) } else { vec![(0, lines)] };
            for (first, lines) in parts {
                self.push(Matrix {
                    to_accumulator: true,
                    row_results: true,
                    rescale: true,
                    single_rounding: true,
                    four_bit: stored.four_bit,
                    activation_address: template.activation_address + first as u32 * template.stride_x,
                    weight_address: address as u32,
                    parameter_address: parameters as u32,
                    channels: stored.steps as u32,
                    stride_channel: 1,
                    tiles: count as u32,
                    output_address: template.output_address
                        + first_row as u32
                        + first as u32 * template.output_stride_x,
                    output_stride_tile: (config.rows / config.lanes) as u32,
                    outputs_x: lines as u32,
                    input_height: 1,
                    input_width: lines as u32,
                    step_x: 1,
                    ..template.clone()
                });
            }
            tile += count;
        }
    }

    /// The common part of a linear layer's commands: positions from `activation` on, results in rows from `output` on.
    pub fn positions(&self, activation: usize, vectors: usize, output: usize, rows: usize) -> Matrix {
        Matrix {
            activation_address: activation as u32,
            stride_x: vectors as u32,
            outputs_x: self.lines as u32,
            output_address: output as u32,
            output_stride_x: rows as u32,
            ..Matrix::default()
        }
    }

    /// Sum of squares, inverse root, scaling by it and by the weights.
    pub fn norm(&mut self, norm: &Norm, weights: usize, rows: Rows, scalars: usize, target: Target) {
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

    /// The same for rows of all lines, a half of them at a time, into vectors from `address` on, so many each.
    pub fn norm_lines(&mut self, norm: &Norm, weights: usize, rows: Rows, address: usize, vectors: usize) {
        for (first, count) in halves(rows.count) {
            let half = Rows { address: rows.address + first * rows.stride, count, ..rows };
            let target = Target::Activation(address + first * vectors, vectors);
            self.norm(norm, weights, half, SCALARS + first, target);
        }
    }

    /// Turns both halves of all heads by the positions' angles.
    pub fn rotate(
        &mut self,
        (address, row): (usize, usize),
        heads: usize,
        table: usize,
        (target, target_row): (usize, usize),
    ) {
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
                rows_y: self.lines as u32,
                groups: half as u32,
                length: s.half as u32,
                destination: row_destination::ACTIVATION,
                destination_address: (target + first_byte / s.rows) as u32,
                first_lane: (first_byte % s.rows) as u32,
                destination_stride_x: vectors as u32,
                destination_stride_y: target_row as u32,
                minimum: -128,
                maximum: 127,
                ..Row::default()
            });
        }
    }
}

/// Bump allocation of one memory, with what is missing at the end.
pub(super) struct Space {
    pub next: usize,
    pub most: usize,
}

impl Space {
    pub fn take(&mut self, count: usize) -> usize {
        let address = self.next;
        self.next += count;
        self.most = self.most.max(self.next);
        address
    }
}
/// First scalar of a prompt's ids, up to [`LINES`] and three that come along.
pub(super) const ID_SCALARS: usize = 0;
/// Round of the loop.
pub(super) const ROUND_SCALAR: usize = 60;
/// Scalars of norms and maxima, and of sums: so many of each.
pub(super) const SCALARS: usize = 64;
pub(super) const SUM_SCALARS: usize = 128;
/// Scalars of the search for the largest logit, two for each line: its value, and which it is.
pub(super) const ARGMAX_SCALARS: usize = 192;
/// Most positions that go through the model together.
pub(super) const LINES: usize = 32;

/// A patch that adds a position and the round to a part of a word.
pub(super) fn position(at: usize, word: u8, part: u8) -> Patch {
    Patch { scalar: ROUND_SCALAR as u8, add: at as i16, multiplier: 1, word, part, ..Patch::default() }
}
