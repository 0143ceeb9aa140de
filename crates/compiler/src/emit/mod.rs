//! Pass *emit*: writes the commands of every layer, as if they were executed one at a time.
//!
//! What overlaps with what is not decided here: buffers and blocks of weights take turns, and the passes after this one find
//! out which commands do not need each other's results. This file stages tensors and blocks of constants; each kind of layer has a
//! file of its own.

mod copy;
mod depthwise;
mod packed;
mod product;
mod vector;

use crate::allocate::Allocation;
use crate::build::{group_quantum, pack_parameters, ChannelParameters, Constants, Planned, Ring, Value};
use crate::layer::{vector_quantum, Network, Operation, Placement, Product};
use crate::tile::{ranges, transferable, Cut, Operand};
use frugal_graph::Window;
use frugal_isa::command::{layout, space, Load, Store};
use frugal_isa::{Command, Config};
use frugal_quant::Table;
use std::collections::HashMap;
use std::ops::Range;

/// Base registers.
const CONSTANTS: u32 = 0;
const WORKSPACE: u32 = 1;

/// Most bytes of one row of a transfer.
const MAX_ROW_BYTES: usize = (1 << 24) - 64;

/// Part of an image: rows, columns, vectors of a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Region {
    y: Range<usize>,
    x: Range<usize>,
    c: Range<usize>,
}

/// Where the vectors of an image or of a part of it lie in the activation scratchpad.
#[derive(Clone, Copy, Debug)]
struct View {
    base: usize,
    y: usize,
    x: usize,
    c: usize,
    row: usize,
    pixel: usize,
}

impl View {
    /// Address of a vector; positions outside the image have one too, modulo 2^16.
    fn address(&self, y: i64, x: i64, c: usize) -> u32 {
        let offset = (y - self.y as i64) * self.row as i64 + (x - self.x as i64) * self.pixel as i64;
        field(self.base as i64 + offset + c as i64 - self.c as i64)
    }
}

/// A value of 16 bits, modulo 2^16.
fn field(value: i64) -> u32 {
    (value & 0xffff) as u32
}

/// Rows of the input that rows `y` of the output read; at least one, also where all of them lie in the padding.
fn window_rows(window: &Window, y: &Range<usize>, height: usize) -> Range<usize> {
    let end = window.rows(y.end - 1, height).end.max(1);
    window.rows(y.start, height).start.min(end - 1)..end
}

/// The same for columns.
fn window_columns(window: &Window, x: &Range<usize>, width: usize) -> Range<usize> {
    let end = window.columns(x.end - 1, width).end.max(1);
    window.columns(x.start, width).start.min(end - 1)..end
}

/// Identifies a block of weights or parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BlockKey {
    layer: usize,
    tiles: Range<usize>,
    ky: Range<usize>,
    kx: Range<usize>,
    c: Range<usize>,
}

/// Part of a reduction.
#[derive(Clone, Debug)]
struct Reduction {
    ky: Range<usize>,
    kx: Range<usize>,
    c: Range<usize>,
}

/// The buffers of a staged operand, and what they hold.
struct Buffers {
    bases: Vec<usize>,
    regions: Vec<Option<Region>>,
    turn: usize,
}

impl Buffers {
    fn of(operand: &Operand) -> Buffers {
        let bases = match operand {
            Operand::Resident(_) => Vec::new(),
            Operand::Staged(bases) => bases.clone(),
        };
        Buffers { regions: vec![None; bases.len()], turn: 0, bases }
    }

    /// The next buffer's address.
    fn next(&mut self) -> usize {
        self.turn = (self.turn + 1) % self.bases.len();
        self.bases[self.turn]
    }
}

/// Everything that the pass makes.
pub struct Emitted {
    pub planned: Vec<Planned>,
    pub constants: Vec<u8>,
}

struct Emitter<'a> {
    network: &'a Network,
    config: &'a Config,
    allocation: &'a Allocation,
    planned: Vec<Planned>,
    constants: Constants<BlockKey>,
    weights: Ring<BlockKey>,
    parameters: Ring<BlockKey>,
    next_value: u32,
    /// For each tensor that begins in memory, whether each of its vectors is on the chip.
    loaded: HashMap<usize, Vec<bool>>,
    tables: Ring<usize>,
    layer: usize,
    /// The image of the batch that is computed.
    image: usize,
    /// All rows of all images count as one image.
    flat: bool,
    accumulator_turn: usize,
}

/// Runs the pass.
pub fn emit(network: &Network, config: &Config, allocation: &Allocation) -> Emitted {
    let mut emitter = Emitter {
        network,
        config,
        allocation,
        planned: Vec::new(),
        constants: Constants::new(),
        weights: Ring::new(config.weight_depth),
        parameters: Ring::new(config.parameter_depth),
        next_value: network.tensors.len() as u32,
        loaded: HashMap::new(),
        tables: Ring::new(config.tables),
        layer: 0,
        image: 0,
        flat: false,
        accumulator_turn: 0,
    };
    for (index, layer) in network.layers.iter().enumerate() {
        emitter.layer = index;
        emitter.flat = layer.operation.is_flat();
        let images = if emitter.flat { 1 } else { network.tensors[layer.output].place.images };
        let plan = &allocation.plans[index];
        for image in 0..images {
            emitter.image = image;
            match (&layer.operation, &plan.cut) {
                (Operation::Product(product), Cut::Product(cut)) => emitter.product(product, plan, cut),
                (Operation::Depthwise(product), Cut::Depthwise(cut)) => emitter.depthwise(product, plan, cut),
                (Operation::Packed(packed), Cut::Packed { tiles }) => emitter.packed(packed, plan, *tiles),
                (Operation::Binary(binary), Cut::Vector { chunks }) => emitter.binary(binary, plan, *chunks),
                (Operation::Pool(pool), Cut::Vector { chunks }) => emitter.pool(pool, plan, *chunks),
                (Operation::Map(map), Cut::Vector { chunks }) => emitter.map(map, plan, *chunks),
                (Operation::Copy(copy), Cut::Copy) => emitter.copy(copy, plan),
                _ => unreachable!("the pass tile cuts every kind of layer as such"),
            }
        }
    }
    Emitted { planned: emitter.planned, constants: emitter.constants.bytes }
}

impl Emitter<'_> {
    fn push(&mut self, command: impl Into<Command>, reads: Vec<Value>, writes: Option<Value>) {
        let padded = vector_quantum(self.config) > 1;
        let layer = self.layer as u32;
        self.planned.push(Planned { command: command.into(), layer, reads, writes, padded, access: None });
    }

    fn value(&mut self) -> Value {
        self.next_value += 1;
        Value(self.next_value - 1)
    }

    fn tensor_value(&self, tensor: usize) -> Value {
        Value(self.network.storage(tensor) as u32)
    }

    /// The image of a tensor, or all of them as one.
    fn place(&self, tensor: usize) -> Placement {
        let place = self.network.tensors[tensor].place;
        if self.flat {
            place.flat()
        } else {
            place
        }
    }

    /// Rows of a tensor before the image that is computed. A tensor of one image serves all.
    fn first_row(&self, tensor: usize) -> usize {
        let place = self.network.tensors[tensor].place;
        self.image.min(place.images - 1) * place.height
    }

    fn output(&self) -> usize {
        self.network.layers[self.layer].output
    }

    fn input(&self, position: usize) -> usize {
        self.network.layers[self.layer].inputs[position]
    }

    /// The image as transfers see it.
    fn lines(&self, tensor: usize) -> Placement {
        self.place(tensor).lines()
    }

    fn resident_view(&self, tensor: usize, base: usize) -> View {
        let place = self.lines(tensor);
        let base = base + self.first_row(tensor) * place.row;
        View { base, y: 0, x: 0, c: 0, row: place.row, pixel: place.pixel }
    }

    fn staged_view(&self, base: usize, region: &Region) -> View {
        let row = (region.x.len() * region.c.len()).next_multiple_of(vector_quantum(self.config));
        let pixel = region.c.len();
        View { base, y: region.y.start, x: region.x.start, c: region.c.start, row, pixel }
    }

    /// Rows of vectors between a region of a tensor in the workspace and a view: (rows, vectors of a row, vectors before the
    /// first and between rows in memory, first and stride on the chip).
    fn transfers(&self, place: &Placement, region: &Region, view: &View) -> Vec<[usize; 6]> {
        let quantum = vector_quantum(self.config);
        let first = |y: usize, x: usize| y * place.row + x * place.pixel + region.c.start;
        let chip = |y: usize, x: usize| view.address(y as i64, x as i64, region.c.start) as usize;
        let (y, x) = (region.y.start, region.x.start);
        if region.c.len() == place.pixel {
            let length = (region.x.len() * place.pixel).next_multiple_of(quantum);
            let most = MAX_ROW_BYTES / self.config.rows;
            if length == place.row && view.row == place.row && region.y.len() * length <= most {
                return vec![[1, region.y.len() * length, first(y, 0), 0, chip(y, 0), 0]];
            }
            return vec![[region.y.len(), length, first(y, x), place.row, chip(y, x), view.row]];
        }
        if region.x.len() == 1 {
            return vec![[region.y.len(), region.c.len(), first(y, x), place.row, chip(y, x), view.row]];
        }
        region
            .y
            .clone()
            .map(|y| [region.x.len(), region.c.len(), first(y, x), place.pixel, chip(y, x), view.pixel])
            .collect()
    }

    fn load_region(&mut self, tensor: usize, region: &Region, view: &View) {
        let bytes = self.config.rows;
        let value = self.tensor_value(tensor);
        let (base_register, offset) = match self.constant_tensor(tensor) {
            Some(offset) => (CONSTANTS, offset),
            None => {
                let offset = self.allocation.workspace[tensor];
                (WORKSPACE, offset.expect("a staged tensor is in the workspace"))
            }
        };
        let offset = offset + self.first_row(tensor) * self.lines(tensor).row * bytes;
        for [rows, length, first, memory_stride, address, stride] in
            self.transfers(&self.lines(tensor), region, view)
        {
            let load = Load {
                space: space::ACTIVATION,
                base_register,
                memory_offset: (offset + first * bytes) as u32,
                rows: rows as u32,
                row_bytes: (length * bytes) as u32,
                memory_stride: (memory_stride * bytes) as u32,
                address: address as u32,
                stride: field(stride as i64),
                ..Load::default()
            };
            let reads = if base_register == WORKSPACE { vec![value] } else { vec![] };
            self.push(load, reads, Some(value));
        }
    }

    fn store_region(&mut self, tensor: usize, region: &Region, view: &View) {
        let bytes = self.config.rows;
        let offset = self.allocation.workspace[tensor].expect("a stored tensor is in the workspace")
            + self.first_row(tensor) * self.lines(tensor).row * bytes;
        let value = self.tensor_value(tensor);
        for [rows, length, first, memory_stride, address, stride] in
            self.transfers(&self.lines(tensor), region, view)
        {
            let store = Store {
                space: space::ACTIVATION,
                base_register: WORKSPACE,
                memory_offset: (offset + first * bytes) as u32,
                rows: rows as u32,
                row_bytes: (length * bytes) as u32,
                memory_stride: (memory_stride * bytes) as u32,
                address: address as u32,
                stride: field(stride as i64),
                ..Store::default()
            };
            self.push(store, vec![value], Some(value));
        }
    }

    /// Offset of a constant tensor's bytes among the constants, if it is one.
    fn constant_tensor(&mut self, tensor: usize) -> Option<usize> {
        let storage = self.network.storage(tensor);
        let tensor = &self.network.tensors[storage];
        let elements = tensor.constant.as_ref()?;
        let key = BlockKey { layer: usize::MAX, tiles: storage..storage + 1, ky: 0..0, kx: 0..0, c: 0..0 };
        let config = self.config;
        Some(self.constants.offset(key, || {
            let mut bytes = vec![0; tensor.place.vectors() * config.rows];
            for (element, value) in elements.iter().enumerate() {
                bytes[tensor.place.byte(element, config)] = *value as u8;
            }
            bytes
        }))
    }

    /// Number of a table on the chip, which is loaded unless it is there.
    fn table(&mut self, table: &Table) -> (u32, Value) {
        let bytes: Vec<u8> = table.0.iter().map(|entry| *entry as u8).collect();
        let key = BlockKey { layer: usize::MAX - 1 - self.layer, tiles: 0..0, ky: 0..0, kx: 0..0, c: 0..0 };
        let offset = self.constants.offset(key, || bytes);
        if let Some((number, value)) = self.tables.find(&offset) {
            return (number as u32, value);
        }
        let value = self.value();
        let number = self.tables.place(offset, 1, value);
        let load = Load {
            space: space::PARAMETER,
            layout: layout::TABLE,
            base_register: CONSTANTS,
            memory_offset: offset as u32,
            row_bytes: Config::TABLE_BYTES as u32,
            address: number as u32,
            ..Load::default()
        };
        self.push(load, vec![], Some(value));
        (number as u32, value)
    }

    /// Makes a region of an input readable and says where.
    fn stage(&mut self, position: usize, operand: &Operand, buffers: &mut Buffers, region: Region) -> View {
        let tensor = self.input(position);
        let place = self.lines(tensor);
        match operand {
            Operand::Resident(base) => {
                let view = self.resident_view(tensor, *base);
                let storage = self.network.storage(tensor);
                let in_memory = self.network.inputs.contains(&storage)
                    || self.network.tensors[storage].constant.is_some();
                if in_memory {
                    for y in self.missing_rows(tensor, &region.y) {
                        self.load_region(tensor, &Region { y, x: 0..place.width, c: 0..place.pixel }, &view);
                    }
                }
                view
            }
            Operand::Staged(_) => {
                let mut region = region;
                let quantum = vector_quantum(self.config);
                if place.pixel % quantum != 0 {
                    region.x.start = region.x.start / quantum * quantum;
                }
                region.c = transferable(region.c, &place, self.config);
                if let Some(index) = buffers.regions.iter().position(|r| r.as_ref() == Some(&region)) {
                    return self.staged_view(buffers.bases[index], &region);
                }
                let base = buffers.next();
                buffers.regions[buffers.turn] = Some(region.clone());
                let view = self.staged_view(base, &region);
                self.load_region(tensor, &region, &view);
                view
            }
        }
    }

    /// Runs of rows that are not on the chip yet; from now on they are.
    fn missing_rows(&mut self, tensor: usize, rows: &Range<usize>) -> Vec<Range<usize>> {
        let (first, row) = (self.first_row(tensor), self.lines(tensor).row);
        let storage = self.network.storage(tensor);
        let vectors = self.network.tensors[storage].place.vectors();
        let loaded = self.loaded.entry(storage).or_insert_with(|| vec![false; vectors]);
        let mut runs: Vec<Range<usize>> = Vec::new();
        for y in rows.clone() {
            let line = &mut loaded[(first + y) * row..(first + y + 1) * row];
            if line.iter().all(|vector| *vector) {
                continue;
            }
            line.fill(true);
            match runs.last_mut() {
                Some(run) if run.end == y => run.end += 1,
                _ => runs.push(y..y + 1),
            }
        }
        runs
    }

    /// Where a region of the output goes.
    fn output_view(&self, operand: &Operand, buffers: &mut Buffers, region: &Region) -> View {
        match operand {
            Operand::Resident(base) => self.resident_view(self.output(), *base),
            Operand::Staged(_) => {
                let base = buffers.next();
                self.staged_view(base, region)
            }
        }
    }

    /// Whether the output has a place in the workspace.
    fn stored(&self) -> bool {
        self.allocation.workspace[self.output()].is_some()
    }

    /// The next rows of the accumulator memory that a partial sum may use.
    fn accumulators(&mut self, rows: usize) -> usize {
        if self.accumulator_turn + rows > self.config.accumulator_depth {
            self.accumulator_turn = 0;
        }
        let start = self.accumulator_turn;
        self.accumulator_turn += rows;
        start
    }

    /// Loads addresses of constants in order.
    fn load_linear(
        &mut self,
        space: u32,
        offset: usize,
        unit_bytes: usize,
        address: usize,
        count: usize,
        value: Value,
    ) {
        let most = MAX_ROW_BYTES / unit_bytes;
        for part in ranges(count, most) {
            let load = Load {
                space,
                base_register: CONSTANTS,
                memory_offset: (offset + part.start * unit_bytes) as u32,
                row_bytes: (part.len() * unit_bytes) as u32,
                address: (address + part.start) as u32,
                ..Load::default()
            };
            self.push(load, vec![], Some(value));
        }
    }

    /// Address of the first of a range of parameter groups of a layer that has `all_groups`; loaded unless they are there.
    fn parameter_block(
        &mut self,
        product: &Product,
        groups: Range<usize>,
        all_groups: usize,
    ) -> (usize, Value) {
        let config = self.config;
        let quantum = group_quantum(config);
        let all_groups = all_groups.next_multiple_of(quantum);
        let loaded = if 2 * all_groups <= config.parameter_depth { 0..all_groups } else { groups.clone() };
        let key = BlockKey { layer: self.layer, tiles: loaded.clone(), ky: 0..0, kx: 0..0, c: 0..0 };
        let first = groups.start - loaded.start;
        if let Some((address, value)) = self.parameters.find(&key) {
            return (address + first, value);
        }
        let count = loaded.len().next_multiple_of(quantum);
        let offset = self.constants.offset(key.clone(), || {
            let channels: Vec<ChannelParameters> = (0..count * config.lanes)
                .map(|lane| {
                    let channel = loaded.start * config.lanes + lane;
                    match (product.bias.get(channel), product.multipliers.get(channel)) {
                        (Some(bias), Some(m)) => ChannelParameters {
                            bias: *bias,
                            multiplier: m.multiplier,
                            right_shift: m.right_shift,
                            left_shift: m.left_shift,
                        },
                        _ => ChannelParameters::default(),
                    }
                })
                .collect();
            pack_parameters(&channels, config)
        });
        let value = self.value();
        let address = self.parameters.place(key, count, value);
        self.load_linear(space::PARAMETER, offset, config.parameter_group_bytes(), address, count, value);
        (address + first, value)
    }
}
