//! Convolutions, fully connected layers and pools.

use frugal_quant::{requantise, Rounding};

use crate::graph::{Graph, Operator};
use crate::operator::{Conv2d, DepthwiseConv2d, FullyConnected, OutputStage, Pool2d};

impl OutputStage {
    /// The int8 output of one accumulator of output channel `channel`, bias included.
    #[must_use]
    pub fn apply(&self, accumulator: i32, channel: usize) -> i8 {
        let scaled = requantise(accumulator, self.multipliers[channel], Rounding::Double);
        self.range.clamp(scaled.saturating_add(self.output_zero_point))
    }

    /// `accumulator + (input - zero point) * weight`, wrapping as the accumulators of the accelerator do.
    fn accumulate(&self, accumulator: i32, input: i8, weight: i8) -> i32 {
        accumulator.wrapping_add((i32::from(input) - self.input_zero_point) * i32::from(weight))
    }
}

/// The sizes of an activation that the reader knows to be NHWC.
fn nhwc(shape: &[usize]) -> [usize; 4] {
    shape.try_into().expect("the reader checked that this activation has four dimensions")
}

pub(super) fn conv_2d(graph: &Graph, operator: &Operator, conv: &Conv2d, input: &[i8]) -> Vec<i8> {
    let [_, height, width, in_channels] =
        nhwc(&graph[operator.inputs[0].expect("checked by the reader")].shape);
    let [batch, out_height, out_width, out_channels] = nhwc(&graph.output(operator).shape);
    let weights = graph.weights(operator).unwrap_or_default();
    let bias = graph.bias(operator);
    let (window, stage) = (&conv.window, &conv.output_stage);
    let mut output = Vec::with_capacity(batch * out_height * out_width * out_channels);
    for (n, y, x) in positions(batch, out_height, out_width) {
        for channel in 0..out_channels {
            let mut accumulator = bias.map_or(0, |bias| bias[channel]);
            for row in window.rows(y, height) {
                for column in window.columns(x, width) {
                    let ky = row + window.padding.top - y * window.stride_height;
                    let kx = column + window.padding.left - x * window.stride_width;
                    let pixel = ((n * height + row) * width + column) * in_channels;
                    let tap =
                        ((channel * window.kernel_height + ky) * window.kernel_width + kx) * in_channels;
                    let pairs =
                        input[pixel..pixel + in_channels].iter().zip(&weights[tap..tap + in_channels]);
                    accumulator = pairs.fold(accumulator, |sum, (&x, &w)| stage.accumulate(sum, x, w));
                }
            }
            output.push(stage.apply(accumulator, channel));
        }
    }
    output
}

pub(super) fn depthwise_conv_2d(
    graph: &Graph,
    operator: &Operator,
    conv: &DepthwiseConv2d,
    input: &[i8],
) -> Vec<i8> {
    let [_, height, width, in_channels] =
        nhwc(&graph[operator.inputs[0].expect("checked by the reader")].shape);
    let [batch, out_height, out_width, out_channels] = nhwc(&graph.output(operator).shape);
    let weights = graph.weights(operator).unwrap_or_default();
    let bias = graph.bias(operator);
    let (window, stage) = (&conv.window, &conv.output_stage);
    let mut output = Vec::with_capacity(batch * out_height * out_width * out_channels);
    for (n, y, x) in positions(batch, out_height, out_width) {
        for channel in 0..out_channels {
            let mut accumulator = bias.map_or(0, |bias| bias[channel]);
            for row in window.rows(y, height) {
                for column in window.columns(x, width) {
                    let ky = row + window.padding.top - y * window.stride_height;
                    let kx = column + window.padding.left - x * window.stride_width;
                    let pixel = ((n * height + row) * width + column) * in_channels;
                    let tap = (ky * window.kernel_width + kx) * out_channels;
                    let value = input[pixel + channel / conv.depth_multiplier];
                    accumulator = stage.accumulate(accumulator, value, weights[tap + channel]);
                }
            }
            output.push(stage.apply(accumulator, channel));
        }
    }
    output
}

pub(super) fn fully_connected(
    graph: &Graph,
    operator: &Operator,
    layer: &FullyConnected,
    input: &[i8],
) -> Vec<i8> {
    let weights = graph.weights(operator).unwrap_or_default();
    let bias = graph.bias(operator);
    let stage = &layer.output_stage;
    let mut output = Vec::with_capacity(layer.batches * layer.output_depth);
    for row in input.chunks_exact(layer.input_depth) {
        for (channel, weights) in weights.chunks_exact(layer.input_depth).enumerate() {
            let start = bias.map_or(0, |bias| bias[channel]);
            let sum = row.iter().zip(weights).fold(start, |sum, (&x, &w)| stage.accumulate(sum, x, w));
            output.push(stage.apply(sum, channel));
        }
    }
    output
}

pub(super) fn pool_2d(
    graph: &Graph,
    operator: &Operator,
    pool: &Pool2d,
    input: &[i8],
    combine: fn(&[i8]) -> i32,
) -> Vec<i8> {
    let [_, height, width, _] = nhwc(&graph[operator.inputs[0].expect("checked by the reader")].shape);
    let [batch, out_height, out_width, channels] = nhwc(&graph.output(operator).shape);
    let mut output = Vec::with_capacity(batch * out_height * out_width * channels);
    let mut elements = Vec::new();
    for (n, y, x) in positions(batch, out_height, out_width) {
        for channel in 0..channels {
            elements.clear();
            for row in pool.window.rows(y, height) {
                for column in pool.window.columns(x, width) {
                    elements.push(input[((n * height + row) * width + column) * channels + channel]);
                }
            }
            output.push(pool.range.clamp(combine(&elements)));
        }
    }
    output
}

/// The mean, rounded half away from zero.
pub(super) fn mean(elements: &[i8]) -> i32 {
    let count = elements.len() as i32;
    let sum: i32 = elements.iter().map(|&x| i32::from(x)).sum();
    if sum > 0 {
        (sum + count / 2) / count
    } else {
        (sum - count / 2) / count
    }
}

pub(super) fn maximum(elements: &[i8]) -> i32 {
    i32::from(elements.iter().copied().max().unwrap_or(i8::MIN))
}

/// Every image, row and column of an output, innermost last.
fn positions(batch: usize, height: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..batch).flat_map(move |n| (0..height).flat_map(move |y| (0..width).map(move |x| (n, y, x))))
}
