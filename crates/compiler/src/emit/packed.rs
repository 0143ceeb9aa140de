//! Packed products: gather windows by moves, then reduce over the gathered bytes.

use super::{field, window_rows, BlockKey, Buffers, Emitter, Region, View};
use crate::build::Value;
use crate::layer::{Packed, Placement, Weights};
use crate::tile::{ranges, Operand, Plan};
use frugal_isa::command::{space, Matrix, Move};
use frugal_isa::Config;
use std::ops::Range;

impl Emitter<'_> {
    /// Plan inputs: the image, the buffers of gathered windows.
    pub(super) fn packed(&mut self, packed: &Packed, plan: &Plan, tiles: usize) {
        let place = self.place(self.output());
        let all_tiles = packed.product.bias.len().div_ceil(self.config.cols);
        let mut images = Buffers::of(&plan.inputs[0]);
        let mut windows = Buffers::of(&plan.inputs[1]);
        let mut outputs = Buffers::of(&plan.output);
        for y in ranges(place.height, plan.rows) {
            for x in ranges(place.width, plan.columns) {
                let region = Region { y: y.clone(), x, c: 0..place.pixel };
                let base = windows.next();
                let gathered = (base, self.value());
                self.gather(packed, &region, &plan.inputs[0], &mut images, gathered);
                let view = self.output_view(&plan.output, &mut outputs, &region);
                for block in ranges(all_tiles, tiles) {
                    self.packed_block(packed, &region, gathered, &view, &block);
                }
                if self.stored() {
                    self.store_region(self.output(), &region, &view);
                }
            }
        }
    }

    /// Moves the windows of a region of outputs to a buffer.
    fn gather(
        &mut self,
        packed: &Packed,
        region: &Region,
        operand: &Operand,
        images: &mut Buffers,
        (base, windows): (usize, Value),
    ) {
        let window = packed.product.window;
        let input = self.place(self.input(0));
        let rows = window_rows(&window, &region.y, input.height);
        let wanted = Region { y: rows, x: 0..input.row, c: 0..1 };
        let source = self.stage(0, operand, images, wanted);
        for segment in &packed.segments {
            let start_y = (region.y.start * window.stride_height + segment.kernel_row) as i64
                - window.padding.top as i64;
            let start_x = ((region.x.start * window.stride_width) as i64 - window.padding.left as i64)
                * input.channels as i64
                + segment.first as i64;
            let gather = Move {
                source_address: source.address(start_y, 0, 0),
                destination_address: field((base + segment.vector) as i64),
                first_lane: segment.lane as u32,
                bytes: segment.bytes as u32,
                outputs_x: region.x.len() as u32,
                outputs_y: region.y.len() as u32,
                stride_y: field((window.stride_height * source.row) as i64),
                output_stride_x: packed.vectors as u32,
                output_stride_y: field((packed.vectors * region.x.len()) as i64),
                input_width: (input.width * input.channels) as u32,
                input_height: input.height as u32,
                start_x: start_x as i32,
                start_y: start_y as i32,
                step_x: (window.stride_width * input.channels) as u32,
                step_y: window.stride_height as u32,
                pad_value: i32::from(packed.product.pad_value),
                ..Move::default()
            };
            let reads = vec![self.tensor_value(self.input(0))];
            self.push(gather, reads, Some(windows));
        }
    }

    fn packed_block(
        &mut self,
        packed: &Packed,
        region: &Region,
        (base, windows): (usize, Value),
        view: &View,
        block: &Range<usize>,
    ) {
        let config = self.config;
        let product = &packed.product;
        let groups = config.cols / config.lanes;
        let input = self.place(self.input(0));
        let key =
            BlockKey { layer: self.layer, tiles: block.clone(), ky: 0..1, kx: 0..1, c: 0..packed.vectors };
        let tiles = block.len() * packed.vectors;
        let (weight_address, weight_value) = match self.weights.find(&key) {
            Some(found) => found,
            None => {
                let offset = self.constants.offset(key.clone(), || pack_tiles(packed, block, &input, config));
                let value = self.value();
                let address = self.weights.place(key, tiles, value);
                self.load_linear(space::WEIGHT, offset, config.tile_bytes(), address, tiles, value);
                (address, value)
            }
        };
        let all_groups = product.bias.len().div_ceil(config.cols) * groups;
        let (parameter_address, parameter_value) =
            self.parameter_block(product, block.start * groups..block.end * groups, all_groups);
        let lane = block.start * config.cols;
        let matrix = Matrix {
            activation_address: base as u32,
            weight_address: weight_address as u32,
            parameter_address: parameter_address as u32,
            output_address: view.address(region.y.start as i64, region.x.start as i64, lane / config.rows),
            output_lane: (lane % config.rows) as u32,
            channels: packed.vectors as u32,
            outputs_x: region.x.len() as u32,
            outputs_y: region.y.len() as u32,
            tiles: block.len() as u32,
            output_zero_point: product.output_zero_point,
            stride_x: packed.vectors as u32,
            stride_y: field((packed.vectors * region.x.len()) as i64),
            stride_channel: 1,
            output_stride_x: field(view.pixel as i64),
            output_stride_y: field(view.row as i64),
            output_stride_tile: 1,
            input_width: 1,
            input_height: 1,
            minimum: i32::from(product.range.min),
            maximum: i32::from(product.range.max),
            ..Matrix::default()
        };
        let reads = vec![windows, weight_value, parameter_value];
        let output = self.tensor_value(self.output());
        self.push(matrix, reads, Some(output));
    }
}

/// Weight tiles of gathered windows: column tile, vector.
fn pack_tiles(packed: &Packed, block: &Range<usize>, input: &Placement, config: &Config) -> Vec<u8> {
    let (rows, channels) = (config.rows, input.channels);
    let product = &packed.product;
    let Weights::Dense { .. } = product.weights else { unreachable!("only dense products are packed") };
    let mut bytes = vec![0; block.len() * packed.vectors * config.tile_bytes()];
    for (number, tile) in block.clone().enumerate() {
        for segment in &packed.segments {
            for column in 0..config.cols {
                let output = tile * config.cols + column;
                if output >= product.bias.len() {
                    break;
                }
                let start = (number * packed.vectors + segment.vector) * config.tile_bytes()
                    + column * rows
                    + segment.lane;
                for (i, byte) in bytes[start..start + segment.bytes].iter_mut().enumerate() {
                    let at = segment.first + i;
                    let (kx, c) = (at / channels, at % channels);
                    *byte = product.weights.at(output, segment.kernel_row, kx, c, &product.window) as u8;
                }
            }
        }
    }
    bytes
}
