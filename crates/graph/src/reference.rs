//! A plain executor: one loop nest for each operator, nothing clever, bit-exact to TensorFlow Lite Micro.

use frugal_quant::{requantise, Rounding};
use thiserror::Error;

use crate::error::Shape;
use crate::graph::{
    Conv2d, DepthwiseConv2d, FullyConnected, Graph, Operator, OperatorKind, OutputStage, Pool2d,
};
use crate::host;

/// Why a graph cannot be run on an input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    #[error("the model has {0} inputs; the reference executor takes models with one")]
    InputCount(usize),
    #[error("the input has {found} elements; shape {shape} needs {needed}")]
    InputLength { found: usize, needed: usize, shape: Shape<usize> },
}

/// Runs the graph; the output of each operator, in order. The model's own output is usually the last.
///
/// # Errors
/// When the graph does not have exactly one input, or `input` has not its number of elements.
pub fn run(graph: &Graph, input: &[i8]) -> Result<Vec<Vec<i8>>, RunError> {
    let [input_id] = graph.inputs[..] else { return Err(RunError::InputCount(graph.inputs.len())) };
    let needed = graph[input_id].element_count();
    if input.len() != needed {
        let shape = (&graph[input_id].shape).into();
        return Err(RunError::InputLength { found: input.len(), needed, shape });
    }
    // The operator that writes each tensor.
    let mut writers = vec![None; graph.tensors.len()];
    let mut outputs: Vec<Vec<i8>> = Vec::with_capacity(graph.operators.len());
    for operator in &graph.operators {
        let operands: Vec<&[i8]> = operator
            .inputs
            .iter()
            .map(|id| match *id {
                None => &[][..],
                Some(id) if id == input_id => input,
                Some(id) => match writers[id.0] {
                    Some(writer) => &outputs[writer] as &[i8],
                    None => graph[id].as_i8().unwrap_or_default(),
                },
            })
            .collect();
        let output = run_operator(graph, operator, &operands);
        writers[operator.outputs[0].0] = Some(outputs.len());
        outputs.push(output);
    }
    Ok(outputs)
}

/// Runs one operator on its activations, in the order of [`Operator::inputs`]. Weights, bias and shape come from the graph;
/// what stands in their places is ignored.
///
/// # Panics
/// When an activation has not the number of elements of its tensor.
#[must_use]
pub fn run_operator(graph: &Graph, operator: &Operator, operands: &[&[i8]]) -> Vec<i8> {
    let input = operands[0];
    let elements = graph.input(operator, 0).map_or(0, |tensor| tensor.element_count());
    assert_eq!(input.len(), elements, "{}: elements of the input", operator.name);
    match &operator.kind {
        OperatorKind::Conv2d(conv) => conv_2d(graph, operator, conv, input),
        OperatorKind::DepthwiseConv2d(conv) => depthwise_conv_2d(graph, operator, conv, input),
        OperatorKind::FullyConnected(layer) => fully_connected(graph, operator, layer, input),
        OperatorKind::Add(add) => {
            assert_eq!(operands[1].len(), elements, "{}: elements of the second operand", operator.name);
            input.iter().zip(operands[1]).map(|(&a, &b)| add.parameters.apply(a, b)).collect()
        }
        OperatorKind::AveragePool2d(pool) => pool_2d(graph, operator, pool, input, mean),
        OperatorKind::MaxPool2d(pool) => pool_2d(graph, operator, pool, input, maximum),
        OperatorKind::Reshape => host::reshape(input),
        OperatorKind::Softmax(softmax) => {
            let row_length = graph.output(operator).shape.last().copied().unwrap_or(1);
            host::softmax(&softmax.parameters, row_length, input)
        }
    }
}

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

fn conv_2d(graph: &Graph, operator: &Operator, conv: &Conv2d, input: &[i8]) -> Vec<i8> {
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

fn depthwise_conv_2d(graph: &Graph, operator: &Operator, conv: &DepthwiseConv2d, input: &[i8]) -> Vec<i8> {
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

fn fully_connected(graph: &Graph, operator: &Operator, layer: &FullyConnected, input: &[i8]) -> Vec<i8> {
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

fn pool_2d(
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
fn mean(elements: &[i8]) -> i32 {
    let count = elements.len() as i32;
    let sum: i32 = elements.iter().map(|&x| i32::from(x)).sum();
    if sum > 0 {
        (sum + count / 2) / count
    } else {
        (sum - count / 2) / count
    }
}

fn maximum(elements: &[i8]) -> i32 {
    i32::from(elements.iter().copied().max().unwrap_or(i8::MIN))
}

/// Every image, row and column of an output, innermost last.
fn positions(batch: usize, height: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..batch).flat_map(move |n| (0..height).flat_map(move |y| (0..width).map(move |x| (n, y, x))))
}
