//! Products: boxes of outputs, blocks of column tiles, blocks of the reduction.

use super::{field, window_columns, window_rows, BlockKey, Buffers, Emitter, Reduction, Region, View};
use crate::build::Value;
use crate::layer::{Placement, Product};
use crate::tile::{chunks_of_tiles, output_chunks, ranges, transferable, Operand, Plan, ProductCut};
use frugal_isa::command::{space, Matrix};
use frugal_isa::Config;
use std::ops::Range;

impl Emitter<'_> {
    pub(super) fn product(&mut self, product: &Product, plan: &Plan, cut: &ProductCut) {
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
        let rows = window_rows(&window, &region.y, input.height);
        let columns = window_columns(&window, &region.x, input.width);
        let groups = self.config.cols / self.config.lanes;
        let results = region.y.len() * region.x.len();
        let rows_needed = results * block.len() * groups;
        let accumulators = if reductions.len() > 1 { self.accumulators(rows_needed) } else { 0 };
        let partial = self.value();
        let last = reductions.len() - 1;
        let all_groups = product.bias.len().div_ceil(self.config.cols) * groups;
        let (parameter_address, parameter_value) =
            self.parameter_block(product, block.start * groups..block.end * groups, all_groups);
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
