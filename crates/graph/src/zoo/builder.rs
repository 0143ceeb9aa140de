//! A network that grows layer by layer, each one calibrated on what a random image gives.
//!
//! A trained network has its batch normalisation folded into weights and biases, so that what comes out of a layer is of the
//! order of one whatever went in. Random weights get the same here: sums of products are measured channel by channel, and
//! scales and biases chosen so that each channel has a mean and a deviation as after a batch normalisation.

use frugal_quant::softmax::{OUTPUT_SCALE, OUTPUT_ZERO_POINT};
use frugal_quant::{Activation, ActivationRange, AddParameters, Affine, Multiplier, SoftmaxParameters};

use super::sums::{self, Image};
use crate::graph::{Constant, DataType, Graph, Operator, Quantisation, Tensor, TensorId};
use crate::operator::{
    Add, Conv2d, DepthwiseConv2d, FullyConnected, OperatorKind, OutputStage, Pool2d, Reshape, Softmax,
};
use crate::random::Random;
use crate::reference;
use crate::window::{place, Padding, PaddingScheme, Window};

/// Deviation of the weights: few are beyond the 127 at which they are clamped.
const WEIGHT_DEVIATION: f64 = 36.0;

/// Deviation of what a fully connected layer gives.
const FULLY_CONNECTED_DEVIATION: f64 = 1.5;

/// With fewer pixels than this, the deviation over a channel says nothing.
const LEAST_PIXELS: usize = 16;

/// Kernel, stride and padding of a layer with a window.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Height and width.
    pub kernel: (usize, usize),
    pub stride: usize,
    pub scheme: PaddingScheme,
}

impl Shape {
    pub fn same(kernel: (usize, usize), stride: usize) -> Shape {
        Shape { kernel, stride, scheme: PaddingScheme::Same }
    }

    pub fn valid(kernel: (usize, usize), stride: usize) -> Shape {
        Shape { kernel, stride, scheme: PaddingScheme::Valid }
    }
}

/// What makes a layer with weights of its sums.
struct Weighted {
    weights: Vec<i8>,
    /// Of the weights.
    shape: Vec<usize>,
    /// The weights' dimension of the output channels.
    axis: usize,
    /// Whether each output channel has a scale of its own.
    per_channel: bool,
    /// Sums of products, the channels innermost.
    sums: Vec<i32>,
    activation: Activation,
}

pub(super) struct Builder {
    graph: Graph,
    random: Random,
    /// For each tensor, its elements for the image of the calibration; of a constant, none.
    values: Vec<Vec<i8>>,
}

impl Builder {
    /// A network with one input. The reals of its elements are from -1 to 1.
    pub fn new(name: &str, seed: u64, shape: &[usize]) -> (Builder, TensorId) {
        let graph = Graph {
            name: name.to_owned(),
            tensors: vec![],
            operators: vec![],
            inputs: vec![],
            outputs: vec![],
        };
        let mut builder = Builder { graph, random: Random::new(seed), values: vec![] };
        let image = random_elements(&mut builder.random, shape.iter().product());
        let affine = Affine { scale: 2.0 / 255.0, zero_point: 0 };
        let input = builder.activation("input".to_owned(), shape.to_vec(), affine, image);
        builder.graph.inputs.push(input);
        (builder, input)
    }

    pub fn finish(mut self, output: TensorId) -> Graph {
        self.graph.outputs.push(output);
        self.graph
    }

    /// Height, width and channels of an activation NHWC.
    pub fn image_size(&self, id: TensorId) -> [usize; 3] {
        match self.graph[id].shape[..] {
            [_, height, width, channels] => [height, width, channels],
            _ => panic!("{} is no image", self.graph[id].name),
        }
    }

    pub fn conv(
        &mut self,
        input: TensorId,
        channels: usize,
        shape: Shape,
        activation: Activation,
    ) -> TensorId {
        let image = self.image(input);
        let (window, rows, columns) = window(shape, image.height, image.width);
        let weights_shape = vec![channels, shape.kernel.0, shape.kernel.1, image.channels];
        let weights = random_weights(&mut self.random, weights_shape.iter().product());
        let sums = sums::conv_2d(self.image(input), &window, (rows, columns), &weights);
        let weighted =
            Weighted { weights, shape: weights_shape, axis: 0, per_channel: true, sums, activation };
        self.weighted(input, weighted, vec![1, rows, columns, channels], |output_stage| {
            OperatorKind::Conv2d(Conv2d { window, output_stage })
        })
    }

    pub fn depthwise(&mut self, input: TensorId, shape: Shape, activation: Activation) -> TensorId {
        let image = self.image(input);
        let (window, rows, columns) = window(shape, image.height, image.width);
        let channels = image.channels;
        let weights_shape = vec![1, shape.kernel.0, shape.kernel.1, channels];
        let weights = random_weights(&mut self.random, weights_shape.iter().product());
        let sums = sums::depthwise(self.image(input), &window, (rows, columns), &weights);
        let weighted =
            Weighted { weights, shape: weights_shape, axis: 3, per_channel: true, sums, activation };
        self.weighted(input, weighted, vec![1, rows, columns, channels], |output_stage| {
            OperatorKind::DepthwiseConv2d(DepthwiseConv2d { window, depth_multiplier: 1, output_stage })
        })
    }

    pub fn fully_connected(
        &mut self,
        input: TensorId,
        output_depth: usize,
        activation: Activation,
    ) -> TensorId {
        let input_depth = self.graph[input].element_count();
        let shape = vec![output_depth, input_depth];
        let weights = random_weights(&mut self.random, output_depth * input_depth);
        let flat = Image { height: 1, width: 1, channels: input_depth, ..self.elements(input) };
        let (window, ..) = window(Shape::valid((1, 1), 1), 1, 1);
        let sums = sums::conv_2d(flat, &window, (1, 1), &weights);
        let weighted = Weighted { weights, shape, axis: 0, per_channel: false, sums, activation };
        self.weighted(input, weighted, vec![1, output_depth], |output_stage| {
            OperatorKind::FullyConnected(FullyConnected {
                batches: 1,
                input_depth,
                output_depth,
                output_stage,
            })
        })
    }

    pub fn add(&mut self, a: TensorId, b: TensorId, activation: Activation) -> TensorId {
        let (affine_a, affine_b) = (self.affine(a), self.affine(b));
        let real =
            |affine: Affine, x: i8| f64::from(affine.scale) * f64::from(i32::from(x) - affine.zero_point);
        let pairs = self.values[a.0].iter().zip(&self.values[b.0]);
        let output = output_affine(pairs.map(|(&x, &y)| real(affine_a, x) + real(affine_b, y)), activation);
        let parameters = AddParameters::new(
            affine_a.scale,
            affine_a.zero_point,
            affine_b.scale,
            affine_b.zero_point,
            output.scale,
            output.zero_point,
            range(activation, output),
        )
        .expect("scales of calibrated tensors");
        let shape = self.graph[a].shape.clone();
        self.plain(OperatorKind::Add(Add { parameters, activation }), &[a, b], shape, output)
    }

    /// The mean of the whole image.
    pub fn global_average_pool(&mut self, input: TensorId) -> TensorId {
        let [height, width, _] = self.image_size(input);
        self.pool(input, Shape::valid((height, width), 1), OperatorKind::AveragePool2d)
    }

    pub fn max_pool(&mut self, input: TensorId, shape: Shape) -> TensorId {
        self.pool(input, shape, OperatorKind::MaxPool2d)
    }

    fn pool(&mut self, input: TensorId, shape: Shape, kind: fn(Pool2d) -> OperatorKind) -> TensorId {
        let [height, width, channels] = self.image_size(input);
        let (window, rows, columns) = window(shape, height, width);
        let affine = self.affine(input);
        let pool = Pool2d { window, activation: Activation::None, range: ActivationRange::FULL };
        self.plain(kind(pool), &[input], vec![1, rows, columns, channels], affine)
    }

    /// RESHAPE to one row.
    pub fn flatten(&mut self, input: TensorId) -> TensorId {
        let (count, affine) = (self.graph[input].element_count(), self.affine(input));
        let shape = Constant::I32(vec![1, count as i32]);
        let name = format!("reshape_{}/shape", self.graph.operators.len());
        let shape = self.constant(name, vec![2], None, shape);
        self.plain(OperatorKind::Reshape(Reshape::Reshape), &[input, shape], vec![1, count], affine)
    }

    pub fn softmax(&mut self, input: TensorId) -> TensorId {
        let parameters =
            SoftmaxParameters::new(self.affine(input).scale, 1.0).expect("the scale of a calibrated tensor");
        let shape = self.graph[input].shape.clone();
        let affine = Affine { scale: OUTPUT_SCALE, zero_point: OUTPUT_ZERO_POINT };
        self.plain(OperatorKind::Softmax(Softmax { beta: 1.0, parameters }), &[input], shape, affine)
    }

    /// Chooses scales and biases of a layer with weights, and adds it.
    fn weighted(
        &mut self,
        input: TensorId,
        layer: Weighted,
        shape: Vec<usize>,
        kind: impl FnOnce(OutputStage) -> OperatorKind,
    ) -> TensorId {
        let channels = layer.shape[layer.axis];
        let input_affine = self.affine(input);
        let (scales, bias) = self.normalise(&layer, channels, f64::from(input_affine.scale));
        let accumulators: Vec<i32> =
            layer.sums.iter().zip(bias.iter().cycle()).map(|(sum, bias)| sum + bias).collect();
        let units: Vec<f64> =
            scales.iter().map(|scale| f64::from(*scale) * f64::from(input_affine.scale)).collect();
        let reals = accumulators.iter().zip(units.iter().cycle()).map(|(sum, unit)| f64::from(*sum) * unit);
        // A few outputs of one image do not show the range that other images need.
        let reach = if layer.per_channel { 0.0 } else { 3.0 * FULLY_CONNECTED_DEVIATION };
        let output = output_affine(reals.chain([-reach, reach]), layer.activation);
        let multiplier = |scale: &f32| {
            Multiplier::from_scales(input_affine.scale, *scale, output.scale).expect("scales above zero")
        };
        let output_stage = OutputStage {
            multipliers: scales.iter().map(multiplier).collect(),
            input_zero_point: input_affine.zero_point,
            output_zero_point: output.zero_point,
            activation: layer.activation,
            range: range(layer.activation, output),
        };
        let elements = accumulators
            .iter()
            .enumerate()
            .map(|(index, sum)| output_stage.apply(*sum, index % channels))
            .collect();
        let kind = kind(output_stage);
        let name = layer_name(&kind, self.graph.operators.len());
        let bias_scales = scales.iter().map(|scale| scale * input_affine.scale).collect();
        let (weight_scales, bias_scales) = if layer.per_channel {
            (per_channel(scales, layer.axis), per_channel(bias_scales, 0))
        } else {
            (per_tensor(scales[0], 0), per_tensor(bias_scales[0], 0))
        };
        let weights = Constant::I8(layer.weights);
        let weights = self.constant(format!("{name}/weights"), layer.shape, Some(weight_scales), weights);
        let bias =
            self.constant(format!("{name}/bias"), vec![channels], Some(bias_scales), Constant::I32(bias));
        let inputs = [input, weights, bias];
        let output = self.activation(name, shape, output, elements);
        self.operator(kind, &inputs, output);
        output
    }

    /// A scale for the weights of each channel and a bias for each, so that the reals have a mean and a deviation as after a
    /// batch normalisation.
    fn normalise(&mut self, layer: &Weighted, channels: usize, input_scale: f64) -> (Vec<f32>, Vec<i32>) {
        let pixels = layer.sums.len() / channels;
        let all = moments(layer.sums.iter());
        let each_alone = layer.per_channel && pixels >= LEAST_PIXELS;
        let (mut scales, mut biases) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let (mean, deviation) = match each_alone {
                true => moments(layer.sums.iter().skip(channel).step_by(channels)),
                // The channels are as different from each other as pixels are.
                false => (0.0, (all.0 * all.0 + all.1 * all.1).sqrt()),
            };
            // A channel that hardly changes stays small.
            let deviation = deviation.max(0.05 * all.1).max(1.0);
            let (low, high) = match layer.activation {
                Activation::None => (-0.3, 0.3),
                _ => (0.0, 1.0),
            };
            let wanted_mean = self.random.real(low, high);
            let wanted_deviation =
                if layer.per_channel { self.random.real(0.8, 1.6) } else { FULLY_CONNECTED_DEVIATION };
            scales.push((wanted_deviation / (deviation * input_scale)) as f32);
            biases.push((wanted_mean * deviation / wanted_deviation - mean).round() as i32);
        }
        (scales, biases)
    }

    /// Adds an operator without weights, computed by the reference executor.
    fn plain(
        &mut self,
        kind: OperatorKind,
        inputs: &[TensorId],
        shape: Vec<usize>,
        affine: Affine,
    ) -> TensorId {
        let name = layer_name(&kind, self.graph.operators.len());
        let output = self.activation(name, shape, affine, vec![]);
        self.operator(kind, inputs, output);
        let operator = self.graph.operators.last().expect("just added");
        let operands: Vec<&[i8]> = inputs.iter().map(|id| self.values[id.0].as_slice()).collect();
        self.values[output.0] = reference::run_operator(&self.graph, operator, &operands);
        output
    }

    fn operator(&mut self, kind: OperatorKind, inputs: &[TensorId], output: TensorId) {
        let index = self.graph.operators.len();
        let name = format!("op{index:02}_{}", kind.name());
        let inputs = inputs.iter().copied().map(Some).collect();
        self.graph.operators.push(Operator { index, name, kind, inputs, outputs: vec![output] });
    }

    fn activation(&mut self, name: String, shape: Vec<usize>, affine: Affine, elements: Vec<i8>) -> TensorId {
        let quantisation = Some(per_tensor(affine.scale, affine.zero_point));
        self.graph.tensors.push(Tensor { name, shape, data_type: DataType::I8, quantisation, data: None });
        self.values.push(elements);
        TensorId(self.graph.tensors.len() - 1)
    }

    fn constant(
        &mut self,
        name: String,
        shape: Vec<usize>,
        quantisation: Option<Quantisation>,
        data: Constant,
    ) -> TensorId {
        let data_type = match data {
            Constant::I8(_) => DataType::I8,
            Constant::I32(_) => DataType::I32,
        };
        self.graph.tensors.push(Tensor { name, shape, data_type, quantisation, data: Some(data) });
        self.values.push(vec![]);
        TensorId(self.graph.tensors.len() - 1)
    }

    fn affine(&self, id: TensorId) -> Affine {
        let (scale, zero_point) = self.graph[id].per_tensor().expect("activations have one scale");
        Affine { scale, zero_point }
    }

    fn elements(&self, id: TensorId) -> Image<'_> {
        let elements = &self.values[id.0];
        Image {
            height: 1,
            width: 1,
            channels: elements.len(),
            elements,
            zero_point: self.affine(id).zero_point,
        }
    }

    fn image(&self, id: TensorId) -> Image<'_> {
        let [height, width, channels] = self.image_size(id);
        Image { height, width, channels, ..self.elements(id) }
    }
}

/// `conv_2d_3`: the name of the tensor that a layer writes.
fn layer_name(kind: &OperatorKind, index: usize) -> String {
    format!("{}_{index}", kind.name().to_lowercase())
}

/// The window with its padding, and the height and width of its output.
fn window(shape: Shape, height: usize, width: usize) -> (Window, usize, usize) {
    let Shape { kernel: (kernel_height, kernel_width), stride, scheme } = shape;
    let place = |size, kernel| place(scheme, size, kernel, stride).expect("the kernel fits the image");
    let (rows, top, bottom) = place(height, kernel_height);
    let (columns, left, right) = place(width, kernel_width);
    let padding = Padding { top, left, bottom, right };
    let (stride_height, stride_width) = (stride, stride);
    (Window { kernel_height, kernel_width, stride_height, stride_width, padding }, rows, columns)
}

/// Scale and zero point for real numbers, as TensorFlow Lite's converter chooses them: from the least to the greatest, and
/// zero an integer.
fn output_affine(reals: impl Iterator<Item = f64>, activation: Activation) -> Affine {
    let (least, greatest) =
        reals.fold((0.0f64, 0.0f64), |(least, greatest), real| (least.min(real), greatest.max(real)));
    let (least, greatest) = match activation {
        Activation::None => (least, greatest),
        Activation::Relu => (0.0, greatest),
        Activation::Relu6 => (0.0, greatest.min(6.0)),
        Activation::ReluN1To1 => (least.max(-1.0), greatest.min(1.0)),
    };
    let scale = ((greatest - least) / 255.0).max(1e-6);
    let zero_point = (-128.0 - least / scale).round().clamp(-128.0, 127.0);
    Affine { scale: scale as f32, zero_point: zero_point as i32 }
}

fn range(activation: Activation, output: Affine) -> ActivationRange {
    activation.range(output.scale, output.zero_point).expect("the scale is no smaller than 1e-6")
}

/// Mean and standard deviation.
fn moments<'s>(sums: impl Iterator<Item = &'s i32>) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for &x in sums {
        count += 1.0;
        sum += f64::from(x);
        squares += f64::from(x) * f64::from(x);
    }
    let mean = sum / f64::max(count, 1.0);
    (mean, (squares / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt())
}

fn per_tensor(scale: f32, zero_point: i32) -> Quantisation {
    Quantisation::PerTensor { scale, zero_point }
}

/// The scales of symmetric weights.
fn per_channel(scales: Vec<f32>, axis: usize) -> Quantisation {
    // One scale reads as one for the whole tensor.
    match scales[..] {
        [scale] => per_tensor(scale, 0),
        _ => Quantisation::PerChannel { zero_points: vec![0; scales.len()], scales, axis },
    }
}

pub(super) fn random_elements(random: &mut Random, count: usize) -> Vec<i8> {
    (0..count).map(|_| random.bits() as i8).collect()
}

/// Weights of a bell curve, clamped to the symmetric range.
fn random_weights(random: &mut Random, count: usize) -> Vec<i8> {
    let mut weight = || {
        // Four 16-bit uniform numbers; each has the variance 65536^2 / 12.
        let bits = random.bits();
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
        let normal = (sum as f64 - 131_070.0) / (65_536.0 * (4.0f64 / 12.0).sqrt());
        (normal * WEIGHT_DEVIATION).round().clamp(-127.0, 127.0) as i8
    };
    (0..count).map(|_| weight()).collect()
}
