//! Depthwise convolutions: the engine walks down columns or along rows of the image, a vector of channels at a time.

use super::{field, window_columns, window_rows, BlockKey, Buffers, Emitter, Region, View};
use crate::build::Value;
use crate::layer::{Product, Weights};
use crate::taps::{self, Direction, TapPart};
use crate::tile::{ranges, transferable, DepthwiseCut, Plan};
use frugal_isa::command::{space, Matrix};
use frugal_isa::Config;
use std::ops::Range;

/// One side of the image: outputs of the region, and how to get from one to the next.
struct Side {
    outputs: Range<usize>,
    stride: usize,
    padding: usize,
    size: usize,
    source_pitch: usize,
    output_pitch: usize,
}

impl Emitter<'_> {
    pub(super) fn depthwise(&mut self, product: &Product, plan: &Plan, cut: &DepthwiseCut) {
        let place = self.place(self.output());
        let mut inputs = Buffers::of(&plan.inputs[0]);
        let mut outputs = Buffers::of(&plan.output);
        for y in ranges(place.height, plan.rows) {
            for x in ranges(place.width, plan.columns) {
                for c in ranges(place.chunks, cut.chunks) {
                    let moved = transferable(c.clone(), &place, self.config);
                    let region = Region { y: y.clone(), x: x.clone(), c: moved };
                    let view = self.output_view(&plan.output, &mut outputs, &region);
                    self.depthwise_piece(product, plan, cut.direction, &mut inputs, (&region, &c), &view);
                    if self.stored() {
                        self.store_region(self.output(), &region, &view);
                    }
                }
            }
        }
    }

    fn depthwise_piece(
        &mut self,
        product: &Product,
        plan: &Plan,
        direction: Direction,
        inputs: &mut Buffers,
        (region, chunks): (&Region, &Range<usize>),
        view: &View,
    ) {
        let config = self.config;
        let window = product.window;
        let input = self.place(self.input(0));
        let parts = taps::parts(&window, direction, config);
        let (_, walk_stride, _) = direction.sides(&window);
        let overread = parts.iter().map(|part| part.overread(walk_stride)).max().unwrap_or(0);
        let mut wanted = Region {
            y: window_rows(&window, &region.y, input.height),
            x: window_columns(&window, &region.x, input.width),
            c: chunks.clone(),
        };
        match direction {
            Direction::Vertical => wanted.y.start = wanted.y.start.saturating_sub(overread),
            Direction::Horizontal => wanted.x.start = wanted.x.start.saturating_sub(overread),
        }
        let source = self.stage(0, &plan.inputs[0], inputs, wanted);
        let vertical = Side {
            outputs: region.y.clone(),
            stride: window.stride_height,
            padding: window.padding.top,
            size: input.height,
            source_pitch: source.row,
            output_pitch: view.row,
        };
        let horizontal = Side {
            outputs: region.x.clone(),
            stride: window.stride_width,
            padding: window.padding.left,
            size: input.width,
            source_pitch: source.pixel,
            output_pitch: view.pixel,
        };
        let (walk, cross) = match direction {
            Direction::Vertical => (&vertical, &horizontal),
            Direction::Horizontal => (&horizontal, &vertical),
        };
        let groups = config.rows / config.lanes;
        let results = region.y.len() * region.x.len() * chunks.len();
        let accumulators = if parts.len() > 1 { self.accumulators(results * groups) } else { 0 };
        let partial = self.value();
        let (parameter_address, parameter_value) =
            self.parameter_block(product, chunks.start * groups..chunks.end * groups, input.chunks * groups);
        let last = parts.len() - 1;
        for (index, part) in parts.iter().enumerate() {
            let (weight_address, weight_value) =
                self.depthwise_weights(product, direction, (index, part), chunks);
            let start_walk = (walk.outputs.start * walk.stride + part.first) as i64
                - walk.padding as i64
                - (part.skip * walk.stride) as i64;
            let start_cross =
                (cross.outputs.start * cross.stride + part.cross.start) as i64 - cross.padding as i64;
            let (start_y, start_x) = match direction {
                Direction::Vertical => (start_walk, start_cross),
                Direction::Horizontal => (start_cross, start_walk),
            };
            let output = view.address(region.y.start as i64, region.x.start as i64, chunks.start);
            let matrix = Matrix {
                depthwise: true,
                skip: part.skip as u32,
                accumulate: index > 0,
                to_accumulator: index < last,
                activation_address: source.address(start_y, start_x, chunks.start),
                weight_address: weight_address as u32,
                parameter_address: parameter_address as u32,
                accumulator_address: accumulators as u32,
                output_address: field(i64::from(output) - (part.skip * walk.output_pitch) as i64),
                pad_value: i32::from(product.pad_value),
                kernel_x: part.count as u32,
                kernel_y: part.cross.len() as u32,
                outputs_x: (walk.outputs.len() + part.skip) as u32,
                outputs_y: cross.outputs.len() as u32,
                tiles: chunks.len() as u32,
                output_zero_point: product.output_zero_point,
                stride_kernel_x: field((part.step * walk.source_pitch) as i64),
                stride_kernel_y: field(cross.source_pitch as i64),
                stride_x: field((walk.stride * walk.source_pitch) as i64),
                stride_y: field((cross.stride * cross.source_pitch) as i64),
                output_stride_x: field(walk.output_pitch as i64),
                output_stride_y: field(cross.output_pitch as i64),
                output_stride_tile: 1,
                stride_channel: 1,
                input_width: walk.size as u32,
                input_height: cross.size as u32,
                start_x: start_walk as i32,
                start_y: start_cross as i32,
                step_x: walk.stride as u32,
                step_y: cross.stride as u32,
                kernel_step_x: part.step as u32,
                kernel_step_y: 1,
                minimum: i32::from(product.range.min),
                maximum: i32::from(product.range.max),
                ..Matrix::default()
            };
            let mut reads = vec![self.tensor_value(self.input(0)), weight_value, parameter_value];
            if index > 0 {
                reads.push(partial);
            }
            let writes = if index < last { partial } else { self.tensor_value(self.output()) };
            self.push(matrix, reads, Some(writes));
        }
    }

    /// Address of the weights of a part for some vectors of channels; loaded unless they are there.
    fn depthwise_weights(
        &mut self,
        product: &Product,
        direction: Direction,
        (index, part): (usize, &TapPart),
        chunks: &Range<usize>,
    ) -> (usize, Value) {
        let config = self.config;
        let key = BlockKey {
            layer: self.layer,
            tiles: chunks.clone(),
            ky: index..index + 1,
            kx: part.cross.clone(),
            c: 0..0,
        };
        if let Some(found) = self.weights.find(&key) {
            return found;
        }
        let count = chunks.len() * part.steps();
        let offset =
            self.constants.offset(key.clone(), || pack_tiles(product, direction, part, chunks, config));
        let value = self.value();
        let address = self.weights.place(key, count, value);
        self.load_linear(space::WEIGHT, offset, config.tile_bytes(), address, count, value);
        (address, value)
    }
}

/// Weight tiles of a part: vector of channels, cross side, walking side. Channel `s * cols + j` of a vector takes its weights from
/// column j, rows `s * cols` on: one for each pixel that the step has.
fn pack_tiles(
    product: &Product,
    direction: Direction,
    part: &TapPart,
    chunks: &Range<usize>,
    config: &Config,
) -> Vec<u8> {
    let Weights::Depthwise { elements, outputs, .. } = &product.weights else {
        unreachable!("a depthwise layer has depthwise weights")
    };
    let window = &product.window;
    let (_, stride, _) = direction.sides(window);
    let mut bytes = Vec::with_capacity(chunks.len() * part.steps() * config.tile_bytes());
    for chunk in chunks.clone() {
        for cross in part.cross.clone() {
            for index in 0..part.count {
                let mut tile = vec![0; config.tile_bytes()];
                for lane in 0..config.rows {
                    let channel = chunk * config.rows + lane;
                    let (row, column) = (lane / config.cols * config.cols, lane % config.cols);
                    for back in 0..config.depthwise_taps {
                        let Some(walk) = part.kernel_index(index, back, stride) else { continue };
                        let (ky, kx) = match direction {
                            Direction::Vertical => (walk, cross),
                            Direction::Horizontal => (cross, walk),
                        };
                        if channel < *outputs {
                            let weight = elements[(ky * window.kernel_width + kx) * outputs + channel];
                            tile[column * config.rows + row + back] = weight as u8;
                        }
                    }
                }
                bytes.extend(tile);
            }
        }
    }
    bytes
}
