//! Pass *emit*: writes the commands of every layer, as if they were executed one at a time.
//!
//! What overlaps with what is not decided here: buffers and blocks of weights take turns, and the passes after this one find
//! out which commands do not need each other's results.

use crate::allocate::Allocation;
use crate::build::{group_quantum, pack_parameters, ChannelParameters, Constants, Planned, Ring, Value};
use crate::layer::{vector_quantum, Network, Operation, Placement, Pool, PoolKind, Product};
use crate::tile::{chunks_of_tiles, output_chunks, ranges, transferable, Cut, Operand, Plan, ProductCut};
use frugal_isa::command::{reduce, space, Load, Matrix, Store, Vector};
use frugal_isa::{Command, Config};
use frugal_quant::{average_multiplier, ActivationRange, AddParameters, Multiplier};
use std::ops::Range;

/// Base registers.
const CONSTANTS: u32 = 0;
const WORKSPACE: u32 = 1;

/// Most results of one part of an addition: more would only make what follows wait.
const MAX_PART: usize = 256;

/// Steps of the vector unit that are worth a command of their own.
const WORTHWHILE_STEPS: usize = 96;

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
    /// For each input of the model, the rows that are on the chip.
    loaded_rows: Vec<usize>,
    layer: usize,
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
        loaded_rows: vec![0; network.tensors.len()],
        layer: 0,
        accumulator_turn: 0,
    };
    for (index, layer) in network.layers.iter().enumerate() {
        emitter.layer = index;
        let plan = &allocation.plans[index];
        match (&layer.operation, &plan.cut) {
            (Operation::Product(product), Cut::Product(cut)) => emitter.product(product, plan, cut),
            (Operation::Add(parameters), Cut::Vector { chunks }) => emitter.add(parameters, plan, *chunks),
            (Operation::Pool(pool), Cut::Vector { chunks }) => emitter.pool(pool, plan, *chunks),
            _ => unreachable!("the pass tile cuts products and vector layers as such"),
        }
    }
    Emitted { planned: emitter.planned, constants: emitter.constants.bytes }
}

impl Emitter<'_> {
    fn push(&mut self, command: impl Into<Command>, reads: Vec<Value>, writes: Option<Value>) {
        let padded = vector_quantum(self.config) > 1;
        let layer = self.layer as u32;
        self.planned.push(Planned { command: command.into(), layer, reads, writes, padded });
    }

    fn value(&mut self) -> Value {
        self.next_value += 1;
        Value(self.next_value - 1)
    }

    fn tensor_value(&self, tensor: usize) -> Value {
        Value(tensor as u32)
    }

    fn place(&self, tensor: usize) -> Placement {
        self.network.tensors[tensor].place
    }

    fn output(&self) -> usize {
        self.network.layers[self.layer].output
    }

    fn input(&self, position: usize) -> usize {
        self.network.layers[self.layer].inputs[position]
    }

    fn resident_view(&self, tensor: usize, base: usize) -> View {
        let place = self.place(tensor);
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
        let offset = self.allocation.workspace[tensor].expect("a staged tensor is in the workspace");
        let bytes = self.config.rows;
        let value = self.tensor_value(tensor);
        for [rows, length, first, memory_stride, address, stride] in
            self.transfers(&self.place(tensor), region, view)
        {
            let load = Load {
                space: space::ACTIVATION,
                base_register: WORKSPACE,
                memory_offset: (offset + first * bytes) as u32,
                rows: rows as u32,
                row_bytes: (length * bytes) as u32,
                memory_stride: (memory_stride * bytes) as u32,
                address: address as u32,
                stride: field(stride as i64),
                ..Load::default()
            };
            self.push(load, vec![value], Some(value));
        }
    }

    fn store_region(&mut self, tensor: usize, region: &Region, view: &View) {
        let offset = self.allocation.workspace[tensor].expect("a stored tensor is in the workspace");
        let bytes = self.config.rows;
        let value = self.tensor_value(tensor);
        for [rows, length, first, memory_stride, address, stride] in
            self.transfers(&self.place(tensor), region, view)
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

    /// Makes a region of an input readable and says where.
    fn stage(&mut self, position: usize, operand: &Operand, buffers: &mut Buffers, region: Region) -> View {
        let tensor = self.input(position);
        let place = self.place(tensor);
        match operand {
            Operand::Resident(base) => {
                let view = self.resident_view(tensor, *base);
                let loaded = self.loaded_rows[tensor];
                if self.network.inputs.contains(&tensor) && loaded < region.y.end {
                    let missing = Region { y: loaded..region.y.end, x: 0..place.width, c: 0..place.pixel };
                    self.load_region(tensor, &missing, &view);
                    self.loaded_rows[tensor] = region.y.end;
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

    // Products.

    fn product(&mut self, product: &Product, plan: &Plan, cut: &ProductCut) {
        let place = self.place(self.output());
        let all_tiles = product.bias.len().div_ceil(self.config.cols);
        let mut input_buffers = Buffers::of(&plan.inputs[0]);
        let mut output_buffers = Buffers::of(&plan.output);
        let blocks: Vec<Range<usize>> = ranges(all_tiles, cut.tiles).collect();
        let boxes: Vec<(Range<usize>, Range<usize>)> = ranges(place.height, plan.rows)
            .flat_map(|y| ranges(place.width, plan.columns).map(move |x| (y.clone(), x)))
            .collect();
        let mut pieces = Vec::new();
        if cut.tiles_outside {
            for block in &blocks {
                pieces.extend(boxes.iter().map(|(y, x)| (block.clone(), y.clone(), x.clone())));
            }
        } else {
            for (y, x) in &boxes {
                pieces.extend(blocks.iter().map(|block| (block.clone(), y.clone(), x.clone())));
            }
        }
        let mut output_view = None;
        for (block, y, x) in pieces {
            let last_block = block.end == all_tiles;
            let whole = cut.whole_pixels || matches!(plan.output, Operand::Resident(_));
            let c = if whole {
                0..place.pixel
            } else {
                transferable(output_chunks(&block, self.config), &place, self.config)
            };
            let region = Region { y, x, c };
            let view = match output_view {
                Some(view) if whole && block.start > 0 && !cut.tiles_outside => view,
                _ => self.output_view(&plan.output, &mut output_buffers, &region),
            };
            output_view = Some(view);
            self.product_piece(product, plan, cut, &mut input_buffers, &block, &region, &view);
            if self.stored() && (!whole || last_block) {
                self.store_region(self.output(), &region, &view);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn product_piece(
        &mut self,
        product: &Product,
        plan: &Plan,
        cut: &ProductCut,
        buffers: &mut Buffers,
        block: &Range<usize>,
        region: &Region,
        view: &View,
    ) {
        let window = product.window;
        let input = self.place(self.input(0));
        let block_chunks = chunks_of_tiles(product, block.clone(), self.config);
        let mut reductions = Vec::new();
        for ky in ranges(window.kernel_height, cut.kernel_height) {
            for kx in ranges(window.kernel_width, cut.kernel_width) {
                for c in ranges(block_chunks.len(), cut.chunks.max(1)) {
                    let c = block_chunks.start + c.start..block_chunks.start + c.end;
                    reductions.push(Reduction { ky: ky.clone(), kx: kx.clone(), c });
                }
            }
        }
        // Depthwise layers cut the kernel only; their tiles choose their own channels.
        if matches!(product.weights, crate::layer::Weights::Depthwise { .. }) {
            reductions.clear();
            for ky in ranges(window.kernel_height, cut.kernel_height) {
                for kx in ranges(window.kernel_width, cut.kernel_width) {
                    reductions.push(Reduction { ky: ky.clone(), kx, c: block_chunks.clone() });
                }
            }
        }
        let rows = window.rows(region.y.start, input.height).start
            ..window.rows(region.y.end - 1, input.height).end.max(1);
        let columns = window.columns(region.x.start, input.width).start
            ..window.columns(region.x.end - 1, input.width).end.max(1);
        let groups = self.config.cols / self.config.lanes;
        let results = region.y.len() * region.x.len();
        let rows_needed = results * block.len() * groups;
        let accumulators = if reductions.len() > 1 { self.accumulators(rows_needed) } else { 0 };
        let partial = self.value();
        let last = reductions.len() - 1;
        let (parameter_address, parameter_value) = self.parameter_block(product, block);
        for (index, reduction) in reductions.into_iter().enumerate() {
            let (weight_address, weight_value) = self.weight_block(product, block, &reduction);
            let wanted = Region { y: rows.clone(), x: columns.clone(), c: reduction.c.clone() };
            let source = self.stage(0, &plan.inputs[0], buffers, wanted);
            let mut weight_offset = 0;
            for (tiles, c) in self.runs(product, block, &reduction) {
                let start_y = (region.y.start * window.stride_height + reduction.ky.start) as i64
                    - window.padding.top as i64;
                let start_x = (region.x.start * window.stride_width + reduction.kx.start) as i64
                    - window.padding.left as i64;
                let steps = reduction.ky.len() * reduction.kx.len() * c.len();
                let lane = tiles.start * self.config.cols;
                let first_group = (tiles.start - block.start) * groups;
                let (stride_y, stride_x) = (window.stride_height as i64, window.stride_width as i64);
                let matrix = Matrix {
                    accumulate: index > 0,
                    to_accumulator: index < last,
                    activation_address: source.address(start_y, start_x, c.start),
                    weight_address: (weight_address + weight_offset) as u32,
                    parameter_address: (parameter_address + first_group) as u32,
                    accumulator_address: (accumulators + first_group * results) as u32,
                    output_address: view.address(
                        region.y.start as i64,
                        region.x.start as i64,
                        lane / self.config.rows,
                    ),
                    output_lane: (lane % self.config.rows) as u32,
                    pad_value: i32::from(product.pad_value),
                    channels: c.len() as u32,
                    kernel_x: reduction.kx.len() as u32,
                    kernel_y: reduction.ky.len() as u32,
                    outputs_x: region.x.len() as u32,
                    outputs_y: region.y.len() as u32,
                    tiles: tiles.len() as u32,
                    output_zero_point: product.output_zero_point,
                    stride_kernel_x: field(source.pixel as i64),
                    stride_kernel_y: field(source.row as i64),
                    stride_x: field(stride_x * source.pixel as i64),
                    stride_y: field(stride_y * source.row as i64),
                    output_stride_x: field(view.pixel as i64),
                    output_stride_y: field(view.row as i64),
                    output_stride_tile: 1,
                    stride_channel: 1,
                    input_width: input.width as u32,
                    input_height: input.height as u32,
                    start_x: start_x as i32,
                    start_y: start_y as i32,
                    step_x: window.stride_width as u32,
                    step_y: window.stride_height as u32,
                    kernel_step_x: 1,
                    kernel_step_y: 1,
                    minimum: i32::from(product.range.min),
                    maximum: i32::from(product.range.max),
                    ..Matrix::default()
                };
                weight_offset += tiles.len() * steps;
                let mut reads = vec![self.tensor_value(self.input(0)), weight_value, parameter_value];
                if index > 0 {
                    reads.push(partial);
                }
                let writes = if index < last { partial } else { self.tensor_value(self.output()) };
                self.push(matrix, reads, Some(writes));
            }
        }
    }

    /// Column tiles of a block that read the same vectors of channels.
    fn runs(
        &self,
        product: &Product,
        block: &Range<usize>,
        reduction: &Reduction,
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let mut runs: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        for tile in block.clone() {
            let all = chunks_of_tiles(product, tile..tile + 1, self.config);
            let c = all.start.max(reduction.c.start)..all.end.min(reduction.c.end);
            match runs.last_mut() {
                Some((tiles, run)) if *run == c => tiles.end += 1,
                _ => runs.push((tile..tile + 1, c)),
            }
        }
        runs
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

    /// Address of a block of weights, which is loaded unless it is there.
    fn weight_block(
        &mut self,
        product: &Product,
        block: &Range<usize>,
        reduction: &Reduction,
    ) -> (usize, Value) {
        let key = BlockKey {
            layer: self.layer,
            tiles: block.clone(),
            ky: reduction.ky.clone(),
            kx: reduction.kx.clone(),
            c: reduction.c.clone(),
        };
        if let Some(found) = self.weights.find(&key) {
            return found;
        }
        let config = self.config;
        let input = self.place(self.input(0));
        let runs = self.runs(product, block, reduction);
        let steps = reduction.ky.len() * reduction.kx.len();
        let tiles: usize = runs.iter().map(|(tiles, c)| tiles.len() * c.len() * steps).sum();
        let offset = self.constants.offset(key.clone(), || {
            let mut bytes = Vec::with_capacity(tiles * config.tile_bytes());
            for (run, chunks) in runs {
                for tile in run {
                    for ky in reduction.ky.clone() {
                        for kx in reduction.kx.clone() {
                            for c in chunks.clone() {
                                pack_tile(product, (tile, ky, kx, c), &input, config, &mut bytes);
                            }
                        }
                    }
                }
            }
            bytes
        });
        let value = self.value();
        let address = self.weights.place(key, tiles, value);
        self.load_linear(space::WEIGHT, offset, config.tile_bytes(), address, tiles, value);
        (address, value)
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

    /// Address of the first parameter group of a block of column tiles; loaded unless it is there.
    fn parameter_block(&mut self, product: &Product, block: &Range<usize>) -> (usize, Value) {
        let config = self.config;
        let groups = config.cols / config.lanes;
        let quantum = group_quantum(config);
        let all_tiles = product.bias.len().div_ceil(config.cols);
        let all_groups = (all_tiles * groups).next_multiple_of(quantum);
        let tiles = if 2 * all_groups <= config.parameter_depth { 0..all_tiles } else { block.clone() };
        // Tells parameters from weights: no reduction is empty.
        let key = BlockKey { layer: self.layer, tiles: tiles.clone(), ky: 0..0, kx: 0..0, c: 0..0 };
        let first = (block.start - tiles.start) * groups;
        if let Some((address, value)) = self.parameters.find(&key) {
            return (address + first, value);
        }
        let count = (tiles.len() * groups).next_multiple_of(quantum);
        let offset = self.constants.offset(key.clone(), || {
            let channels: Vec<ChannelParameters> = (0..count * config.lanes)
                .map(|lane| {
                    let channel = tiles.start * config.cols + lane;
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

    // Vector layers.

    /// Boxes of a vector layer.
    fn vector_regions(&self, plan: &Plan, chunks: usize) -> Vec<Region> {
        let place = self.place(self.output());
        let mut regions = Vec::new();
        for y in ranges(place.height, plan.rows) {
            for x in ranges(place.width, plan.columns) {
                for c in ranges(place.pixel, chunks) {
                    if c.start < place.chunks {
                        regions.push(Region { y: y.clone(), x: x.clone(), c });
                    }
                }
            }
        }
        regions
    }

    /// Groups of lanes that hold channels in a range of vectors.
    fn lane_groups(&self, place: &Placement, c: &Range<usize>) -> Range<usize> {
        let end = (c.end * self.config.rows).min(place.channels);
        c.start * self.config.rows / self.config.lanes..end.div_ceil(self.config.lanes)
    }

    /// A sum of two tensors: each operand is scaled into accumulators, then the sum into the output. Three parts of the work are
    /// under way at a time, so that none waits for the pipeline.
    fn add(&mut self, parameters: &AddParameters, plan: &Plan, chunks: usize) {
        let place = self.place(self.output());
        let mut buffers: Vec<Buffers> = plan.inputs.iter().map(Buffers::of).collect();
        let mut output_buffers = Buffers::of(&plan.output);
        // The operand that was computed first comes first.
        let order: [usize; 2] = if self.input(0) <= self.input(1) { [0, 1] } else { [1, 0] };
        for region in self.vector_regions(plan, chunks) {
            let views: Vec<View> =
                (0..2).map(|p| self.stage(p, &plan.inputs[p], &mut buffers[p], region.clone())).collect();
            let output = self.output_view(&plan.output, &mut output_buffers, &region);
            let parts = self.add_parts(&place, &region);
            let mut slots: Vec<(usize, Value)> = Vec::new();
            for step in 0..parts.len() + 2 {
                // The first operand of this part, the second of the part before, the sum of the one before that.
                if let Some(part) = parts.get(step) {
                    let slot = (self.accumulators(part.results()), self.value());
                    slots.push(slot);
                    self.add_operand(parameters, order[0], part, &views, slot, false);
                }
                if let Some(part) = step.checked_sub(1).and_then(|step| parts.get(step)) {
                    self.add_operand(parameters, order[1], part, &views, slots[step - 1], true);
                }
                if let Some(part) = step.checked_sub(2).and_then(|step| parts.get(step)) {
                    self.add_sum(parameters, part, &output, slots[step - 2]);
                }
            }
            if self.stored() {
                self.store_region(self.output(), &region, &output);
            }
        }
    }

    /// Cuts a region of an addition into parts: three are under way at a time, and four fit the accumulators. The last part is
    /// cut once more, for what follows waits for it.
    fn add_parts(&self, place: &Placement, region: &Region) -> Vec<Part> {
        let room = (self.config.accumulator_depth / 4).clamp(1, MAX_PART);
        let groups = self.lane_groups(place, &region.c);
        let group_count = groups.len().min(room);
        let columns = region.x.len().min(room / group_count);
        let rows =
            if columns == region.x.len() { region.y.len().min(room / group_count / columns) } else { 1 };
        let mut parts = Vec::new();
        for y in ranges(region.y.len(), rows) {
            for x in ranges(region.x.len(), columns) {
                for g in ranges(groups.len(), group_count) {
                    parts.push(Part {
                        y: region.y.start + y.start..region.y.start + y.end,
                        x: region.x.start + x.start..region.x.start + x.end,
                        groups: groups.start + g.start..groups.start + g.end,
                    });
                }
            }
        }
        if let Some(last) = parts.pop() {
            let middle = last.y.start + last.y.len().div_ceil(2);
            let halves = [last.y.start..middle, middle..last.y.end];
            let halves = halves.into_iter().filter(|y| !y.is_empty());
            parts.extend(halves.map(|y| Part { y, x: last.x.clone(), groups: last.groups.clone() }));
        }
        parts
    }

    /// Strides and counts that the three commands of an addition share.
    fn add_command(&self, part: &Part, view: &View) -> (Vector, u32) {
        let lane = part.groups.start * self.config.lanes;
        let address = view.address(part.y.start as i64, part.x.start as i64, lane / self.config.rows);
        let vector = Vector {
            first_lane: (lane % self.config.rows) as u32,
            groups: part.groups.len() as u32,
            outputs_x: part.x.len() as u32,
            outputs_y: part.y.len() as u32,
            input_width: 1,
            input_height: 1,
            ..Vector::default()
        };
        (vector, address)
    }

    fn add_operand(
        &mut self,
        parameters: &AddParameters,
        position: usize,
        part: &Part,
        views: &[View],
        (slot, value): (usize, Value),
        accumulate: bool,
    ) {
        let view = &views[position];
        let (zero_point, multiplier) = match position {
            0 => (parameters.zero_point_a, parameters.multiplier_a),
            _ => (parameters.zero_point_b, parameters.multiplier_b),
        };
        let (vector, address) = self.add_command(part, view);
        let vector = Vector {
            destination: 1,
            add_operand: accumulate,
            source_address: address,
            destination_address: slot as u32,
            operand_address: slot as u32,
            stride_x: field(view.pixel as i64),
            stride_y: field(view.row as i64),
            stride_group: 1,
            pre_add: -zero_point,
            multiplier: multiplier.multiplier,
            left_shift: frugal_quant::add::ADD_LEFT_SHIFT + u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            ..vector
        };
        let mut reads = vec![self.tensor_value(self.input(position))];
        // In place, other lanes of the same vectors may hold sums already.
        let plan = &self.allocation.plans[self.layer];
        if plan.inputs[position] == plan.output && matches!(plan.output, Operand::Resident(_)) {
            reads.push(self.tensor_value(self.output()));
        }
        if accumulate {
            reads.push(value);
        }
        self.push(vector, reads, Some(value));
    }

    fn add_sum(
        &mut self,
        parameters: &AddParameters,
        part: &Part,
        view: &View,
        (slot, value): (usize, Value),
    ) {
        let (vector, address) = self.add_command(part, view);
        let multiplier = parameters.multiplier_output;
        let vector = Vector {
            source: 1,
            source_address: slot as u32,
            destination_address: address,
            output_stride_x: field(view.pixel as i64),
            output_stride_y: field(view.row as i64),
            output_stride_group: 1,
            multiplier: multiplier.multiplier,
            left_shift: u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            post_add: parameters.zero_point_output,
            minimum: i32::from(parameters.range.min),
            maximum: i32::from(parameters.range.max),
            ..vector
        };
        let output = self.tensor_value(self.output());
        self.push(vector, vec![value], Some(output));
    }

    fn pool(&mut self, pool: &Pool, plan: &Plan, chunks: usize) {
        let (input, output) = (self.place(self.input(0)), self.place(self.output()));
        let window = pool.window;
        let mut buffers = Buffers::of(&plan.inputs[0]);
        let mut output_buffers = Buffers::of(&plan.output);
        for region in self.vector_regions(plan, chunks) {
            let wanted = Region {
                y: window.rows(region.y.start, input.height).start
                    ..window.rows(region.y.end - 1, input.height).end,
                x: window.columns(region.x.start, input.width).start
                    ..window.columns(region.x.end - 1, input.width).end,
                c: region.c.clone(),
            };
            let source = self.stage(0, &plan.inputs[0], &mut buffers, wanted);
            let view = self.output_view(&plan.output, &mut output_buffers, &region);
            // Outputs that average over equally many pixels share a command.
            let average = pool.kind == PoolKind::Average;
            let rows =
                equal_runs(&region.y, |y| if average { window.rows(y, input.height).len() } else { 0 });
            let columns =
                equal_runs(&region.x, |x| if average { window.columns(x, input.width).len() } else { 0 });
            for (y, height) in &rows {
                for (x, width) in &columns {
                    let multiplier = if average {
                        average_multiplier((height * width) as u32).expect("kernels are at most 256 x 256")
                    } else {
                        Multiplier::IDENTITY
                    };
                    let groups = self.lane_groups(&output, &region.c);
                    let place = (y, x, &groups);
                    if !(average && self.pool_in_parts(pool, &input, place, (&source, &view), multiplier)) {
                        self.pool_command(pool, &input, place, (&source, &view), multiplier);
                    }
                }
            }
            if self.stored() {
                self.store_region(self.output(), &region, &view);
            }
        }
    }

    /// An average over a whole image, as sums of a few rows each: it can begin while the image's last rows are computed.
    fn pool_in_parts(
        &mut self,
        pool: &Pool,
        input: &Placement,
        (y, x, groups): (&Range<usize>, &Range<usize>, &Range<usize>),
        (source, view): (&View, &View),
        multiplier: Multiplier,
    ) -> bool {
        let window = pool.window;
        let row_steps = window.kernel_width * groups.len();
        let rows = WORTHWHILE_STEPS.div_ceil(row_steps);
        let inside = window.padding == Default::default() && window.kernel_height <= input.height;
        if y.len() * x.len() != 1
            || !inside
            || 2 * rows > window.kernel_height
            || groups.len() > self.config.accumulator_depth
        {
            return false;
        }
        let value = self.value();
        let slot = self.accumulators(groups.len());
        for part in ranges(window.kernel_height, rows) {
            let first = part.start == 0;
            let vector = Vector {
                destination: 1,
                destination_address: slot as u32,
                add_operand: !first,
                operand_address: slot as u32,
                source_address: source.address(
                    (y.start * window.stride_height + part.start) as i64,
                    (x.start * window.stride_width) as i64,
                    groups.start * self.config.lanes / self.config.rows,
                ),
                kernel_y: part.len() as u32,
                start_y: (y.start * window.stride_height + part.start) as i32,
                multiplier: Multiplier::IDENTITY.multiplier,
                left_shift: 0,
                right_shift: 0,
                ..self.pool_vector(pool, input, (y, x, groups), (source, view), multiplier)
            };
            let mut reads = vec![self.tensor_value(self.input(0))];
            if !first {
                reads.push(value);
            }
            self.push(vector, reads, Some(value));
        }
        let vector = Vector {
            source: 1,
            source_address: slot as u32,
            kernel_x: 1,
            kernel_y: 1,
            ..self.pool_vector(pool, input, (y, x, groups), (source, view), multiplier)
        };
        let writes = self.tensor_value(self.output());
        self.push(vector, vec![value], Some(writes));
        true
    }

    fn pool_command(
        &mut self,
        pool: &Pool,
        input: &Placement,
        place: (&Range<usize>, &Range<usize>, &Range<usize>),
        views: (&View, &View),
        multiplier: Multiplier,
    ) {
        let vector = self.pool_vector(pool, input, place, views, multiplier);
        let reads = vec![self.tensor_value(self.input(0))];
        let writes = self.tensor_value(self.output());
        self.push(vector, reads, Some(writes));
    }

    fn pool_vector(
        &self,
        pool: &Pool,
        input: &Placement,
        (y, x, groups): (&Range<usize>, &Range<usize>, &Range<usize>),
        (source, view): (&View, &View),
        multiplier: Multiplier,
    ) -> Vector {
        let window = pool.window;
        let start_y = (y.start * window.stride_height) as i64 - window.padding.top as i64;
        let start_x = (x.start * window.stride_width) as i64 - window.padding.left as i64;
        let lane = groups.start * self.config.lanes;
        let chunk = lane / self.config.rows;
        let ActivationRange { min, max } = pool.range;
        Vector {
            single_rounding: true,
            reduce: if pool.kind == PoolKind::Average { reduce::SUM } else { reduce::MAXIMUM },
            source_address: source.address(start_y, start_x, chunk),
            destination_address: view.address(y.start as i64, x.start as i64, chunk),
            first_lane: (lane % self.config.rows) as u32,
            kernel_x: window.kernel_width as u32,
            kernel_y: window.kernel_height as u32,
            groups: groups.len() as u32,
            outputs_x: x.len() as u32,
            outputs_y: y.len() as u32,
            stride_kernel_x: field(source.pixel as i64),
            stride_kernel_y: field(source.row as i64),
            stride_x: field((window.stride_width * source.pixel) as i64),
            stride_y: field((window.stride_height * source.row) as i64),
            stride_group: 1,
            output_stride_group: 1,
            output_stride_x: field(view.pixel as i64),
            output_stride_y: field(view.row as i64),
            multiplier: multiplier.multiplier,
            left_shift: u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            minimum: i32::from(min),
            maximum: i32::from(max),
            input_width: input.width as u32,
            input_height: input.height as u32,
            start_x: start_x as i32,
            start_y: start_y as i32,
            step_x: window.stride_width as u32,
            step_y: window.stride_height as u32,
            pad_value: if pool.kind == PoolKind::Average { 0 } else { -128 },
            ..Vector::default()
        }
    }
}

/// A part of an addition whose results fit the accumulators.
struct Part {
    y: Range<usize>,
    x: Range<usize>,
    groups: Range<usize>,
}

impl Part {
    fn results(&self) -> usize {
        self.y.len() * self.x.len() * self.groups.len()
    }
}

/// Runs of positions with the same property.
fn equal_runs(positions: &Range<usize>, property: impl Fn(usize) -> usize) -> Vec<(Range<usize>, usize)> {
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    for position in positions.clone() {
        let value = property(position);
        match runs.last_mut() {
            Some((run, same)) if *same == value => run.end += 1,
            _ => runs.push((position..position + 1, value)),
        }
    }
    runs
}

/// Appends one weight tile: column after column, each of `rows` reduction lanes.
fn pack_tile(
    product: &Product,
    (tile, ky, kx, c): (usize, usize, usize, usize),
    input: &Placement,
    config: &Config,
    bytes: &mut Vec<u8>,
) {
    for column in 0..config.cols {
        let output = tile * config.cols + column;
        for row in 0..config.rows {
            let channel = c * config.rows + row;
            let weight = if output < product.bias.len() && channel < input.channels {
                product.weights.at(output, ky, kx, channel, &product.window)
            } else {
                0
            };
            bytes.push(weight as u8);
        }
    }
}
