//! Pass *pack*: convolutions of few channels gather their windows.
//!
//! A vector holds the channels of one pixel, so an image of three channels would use three of its lanes. Where a convolution is the
//! only reader of such an input of the model, the input lies densely, moves gather each window into consecutive bytes, and the product
//! becomes one over those bytes.

use crate::layer::{Network, Operation, Packed, Product, Segment, Weights};
use frugal_isa::Config;

/// Runs the pass.
pub fn pack(network: &mut Network, config: &Config) {
    for index in 0..network.layers.len() {
        let input = network.layers[index].inputs[0];
        let readers = network.layers.iter().filter(|layer| layer.inputs.contains(&input)).count();
        let is_output = network.outputs.iter().any(|output| output.tensor == input);
        if !network.inputs.contains(&input) || readers != 1 || is_output {
            continue;
        }
        let place = network.tensors[input].place;
        let aliased = network.tensors.iter().any(|tensor| tensor.alias_of == Some(input));
        if aliased {
            continue;
        }
        let Operation::Product(product) = &network.layers[index].operation else { continue };
        let Some(packed) = packed(product, place.channels, config) else { continue };
        // Bytes of a row are counted in 15 bits, a segment's place in 16, the way to the next segment in 8.
        let row_bytes = place.width * place.channels;
        let reach = (product.window.padding.left + product.window.kernel_width) * place.channels;
        if row_bytes + reach >= 1 << 15 || product.window.stride_width * place.channels > 255 {
            continue;
        }
        network.layers[index].operation = Operation::Packed(packed);
        network.tensors[input].place = place.dense(config);
    }
}

/// The gathered form of a product, if it is shorter.
fn packed(product: &Product, channels: usize, config: &Config) -> Option<Packed> {
    let window = &product.window;
    let Weights::Dense { .. } = product.weights else { return None };
    let unpacked = window.kernel_height * window.kernel_width * channels.div_ceil(config.rows);
    let tiles = product.bias.len().div_ceil(config.cols);
    // Moves and products overlap, so the longer of the two counts.
    let cycles = |segments: &[Segment]| {
        let vectors = segments.last().map_or(1, |segment| segment.vector + 1);
        segments.len().max(tiles * vectors.max(config.cols / config.lanes))
    };
    let row_bytes = window.kernel_width * channels;
    let (tight, loose) = (
        segments(window.kernel_height, row_bytes, config.rows, true),
        segments(window.kernel_height, row_bytes, config.rows, false),
    );
    let segments = if cycles(&tight) < cycles(&loose) { tight } else { loose };
    let vectors = segments.last()?.vector + 1;
    let shorter = cycles(&segments) < tiles * unpacked.max(config.cols / config.lanes);
    // A window is not divided: several of them and their weights must fit.
    let fits = 8 * vectors <= config.weight_depth.min(config.activation_depth);
    (shorter && fits).then(|| Packed { product: product.clone(), segments, vectors })
}

/// Kernel rows one after another. Tightly, a segment ends where its vector ends and the next one goes on; otherwise a segment
/// that fits a vector is not divided.
fn segments(rows: usize, row_bytes: usize, vector_bytes: usize, tight: bool) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut end = 0;
    for kernel_row in 0..rows {
        let mut first = 0;
        while first < row_bytes {
            let left = row_bytes - first;
            let room = vector_bytes - end % vector_bytes;
            if !tight && left.min(vector_bytes) > room {
                end += room;
                continue;
            }
            let bytes = left.min(room);
            let (vector, lane) = (end / vector_bytes, end % vector_bytes);
            segments.push(Segment { kernel_row, first, bytes, vector, lane });
            first += bytes;
            end += bytes;
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_every_byte_once_and_stay_in_their_vectors() {
        for (rows, row_bytes, vector_bytes) in [(3, 9, 16), (10, 4, 16), (7, 21, 16), (3, 9, 8), (1, 64, 32)]
        {
            for tight in [false, true] {
                let segments = segments(rows, row_bytes, vector_bytes, tight);
                let total: usize = segments.iter().map(|segment| segment.bytes).sum();
                assert_eq!(total, rows * row_bytes);
                let mut end = 0;
                for segment in &segments {
                    let start = segment.vector * vector_bytes + segment.lane;
                    assert!(start >= end && segment.lane + segment.bytes <= vector_bytes, "{segments:?}");
                    end = start + segment.bytes;
                }
                assert!(!tight || end == rows * row_bytes);
            }
        }
    }
}
