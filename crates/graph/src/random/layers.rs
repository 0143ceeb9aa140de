//! Random layers on what a draft holds so far.

use frugal_quant::sigmoid::{LOGISTIC_OUTPUT, TANH_OUTPUT};
use frugal_quant::{Activation, Affine};

use super::draft::{blank, per_tensor, Draft};
use super::Choice;
use crate::graph::{Constant, DataType, Quantisation, TensorId};
use crate::operator::{
    Add, Concatenation, Conv2d, DepthwiseConv2d, FullyConnected, Mean, Mul, OperatorKind, Pad, Pool2d,
    Reshape, Softmax, Sub, Unary, UnaryFunction,
};
use crate::shape::broadcast;
use crate::window::{place, Padding, PaddingScheme, Window};

/// Rows beyond this overflow TensorFlow Lite Micro's softmax.
const MAX_SOFTMAX_ROW: usize = 511;

/// Kernels, mostly the common ones.
const KERNELS: [(usize, usize); 14] = [
    (1, 1),
    (1, 1),
    (3, 3),
    (3, 3),
    (2, 2),
    (5, 5),
    (1, 3),
    (3, 1),
    (2, 3),
    (4, 10),
    (10, 4),
    (15, 1),
    (25, 5),
    (1, 15),
];

/// An elementwise operator of two operands.
#[derive(Clone, Copy)]
enum Binary {
    Add,
    Sub,
    Mul,
}

impl Draft<'_> {
    /// Adds a layer of some kind, if one fits what is there.
    pub fn layer(&mut self, choice: Choice) {
        self.layer_count += 1;
        let input = self.source();
        // A choice that does not fit adds nothing.
        let _ = match choice {
            Choice::Conv => self.conv(input),
            Choice::Depthwise => self.depthwise(input),
            Choice::FullyConnected => self.fully_connected(input),
            Choice::Add => self.residual(input, Binary::Add),
            Choice::Sub => self.residual(input, Binary::Sub),
            Choice::Mul => self.residual(input, Binary::Mul),
            Choice::Broadcast => self.broadcast(input),
            Choice::Gate => self.gate(input),
            Choice::AveragePool => self.pool(input, OperatorKind::AveragePool2d),
            Choice::MaxPool => self.pool(input, OperatorKind::MaxPool2d),
            Choice::Mean => self.mean(input),
            Choice::Pad => self.pad(input),
            Choice::Concatenation => self.concatenation(input),
            Choice::Unary => self.unary(input),
            Choice::Requantise => self.requantise(input),
            Choice::Reshape => self.reshape(input),
            Choice::Softmax => self.softmax(input),
        };
    }

    /// The latest value, mostly.
    fn source(&mut self) -> TensorId {
        if self.random.once_in(4) {
            *self.random.pick(&self.values)
        } else {
            *self.values.last().expect("there is an input")
        }
    }

    /// The shape of an input: an image of any proportions, sometimes one column, mostly alone.
    pub fn image_shape(&mut self) -> Vec<usize> {
        let batch = if self.random.once_in(3) { self.random.within(1, self.options.max_batch) } else { 1 };
        let channels = match self.random.within(0, 3) {
            0 => 1,
            1 => self.random.within(1, 4),
            _ => self.random.within(1, self.options.max_channels),
        };
        let pixels = (self.options.max_elements / (batch * channels)).max(1);
        let side = pixels.isqrt().min(24);
        let (height, width) = match self.random.within(0, 5) {
            0 => (self.random.within(1, pixels.min(64)), 1),
            1 => (1, self.random.within(1, pixels.min(64))),
            _ => (self.random.within(1, side), self.random.within(1, side)),
        };
        vec![batch, height, width, channels]
    }

    fn image(&self, id: TensorId) -> Option<[usize; 4]> {
        self.graph[id].shape.as_slice().try_into().ok()
    }

    /// A scale, kept from growing or shrinking over many layers, with any zero point.
    fn with_scale(&mut self, scale: f32) -> Affine {
        Affine { scale: scale.clamp(1e-4, 16.0), zero_point: self.random.zero_point() }
    }

    fn fits(&self, shape: &[usize]) -> Option<()> {
        (shape.iter().product::<usize>() <= self.options.max_elements).then_some(())
    }

    fn activation_function(&mut self) -> Activation {
        *self.random.pick(&[
            Activation::None,
            Activation::None,
            Activation::Relu,
            Activation::Relu6,
            Activation::ReluN1To1,
        ])
    }

    /// A window on an image, and the height and width of its output.
    fn window(&mut self, height: usize, width: usize) -> Option<(Window, usize, usize)> {
        let (mut kernel_height, mut kernel_width) = *self.random.pick(&KERNELS);
        let mut stride = || if self.random.once_in(2) { 1 } else { self.random.within(1, 3) };
        let (stride_height, stride_width) = (stride(), stride());
        let scheme = if self.random.once_in(2) {
            (kernel_height, kernel_width) = (kernel_height.min(height), kernel_width.min(width));
            PaddingScheme::Valid
        } else {
            PaddingScheme::Same
        };
        let (rows, top, bottom) = place(scheme, height, kernel_height, stride_height)?;
        let (columns, left, right) = place(scheme, width, kernel_width, stride_width)?;
        let padding = Padding { top, left, bottom, right };
        Some((Window { kernel_height, kernel_width, stride_height, stride_width, padding }, rows, columns))
    }

    /// Weights whose sums over `reduction` products spread over the output's range, and mostly a bias.
    fn weights(
        &mut self,
        input: TensorId,
        shape: Vec<usize>,
        axis: usize,
        reduction: usize,
        output: Affine,
    ) -> Vec<Option<TensorId>> {
        let input_scale = self.affine(input).scale;
        let channels = shape[axis];
        // TensorFlow Lite Micro's DEPTHWISE_CONV_2D follows an operand that is left out.
        let depthwise = axis == 3;
        let typical = f64::from(output.scale / input_scale) / (73.0 * (reduction as f64).sqrt());
        let count = if self.random.once_in(3) { 1 } else { channels };
        let scales: Vec<f32> = (0..count)
            .map(|_| {
                let factor = match self.random.within(0, 19) {
                    // Multipliers of zero and just above it, and large ones.
                    0 => 2f64.powi(self.random.integer(-45, -15)),
                    1 => self.random.real(5.0, 500.0),
                    _ => self.random.real(0.2, 2.0),
                };
                (typical * factor).clamp(1e-12, 1e6) as f32
            })
            .collect();
        let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * input_scale).collect();
        let elements = self.random.bytes(shape.iter().product());
        let weights = Constant::I8(elements);
        let weights = self.tensor(shape, DataType::I8, Some(symmetric(scales, axis)), Some(weights));
        let mut operands = vec![Some(input), Some(weights)];
        if self.random.once_in(4) {
            // No bias: an operand left out, or none.
            if self.random.once_in(2) && !depthwise {
                operands.push(None);
            }
            return operands;
        }
        let reach = 73 * 73 * (reduction as f64).sqrt() as i32;
        let elements = (0..channels).map(|_| self.random.integer(-reach, reach)).collect();
        let bias = Constant::I32(elements);
        operands.push(Some(self.tensor(
            vec![channels],
            DataType::I32,
            Some(symmetric(bias_scales, 0)),
            Some(bias),
        )));
        operands
    }

    fn conv(&mut self, input: TensorId) -> Option<TensorId> {
        let [batch, height, width, channels] = self.image(input)?;
        let (window, rows, columns) = self.window(height, width)?;
        let taps = window.kernel_height * window.kernel_width * channels;
        let pixels = batch * rows * columns;
        let most = (self.options.max_elements / pixels).min(self.options.max_macs / (pixels * taps));
        let outputs = self.random.within(1, self.options.max_channels.min(most.max(1)));
        let shape = vec![batch, rows, columns, outputs];
        self.fits(&shape)?;
        (pixels * outputs * taps <= self.options.max_macs).then_some(())?;
        let affine = self.random.affine();
        let weights = vec![outputs, window.kernel_height, window.kernel_width, channels];
        let inputs = self.weights(input, weights, 0, taps, affine);
        let output_stage = blank::output_stage(self.activation_function());
        Some(self.operator(OperatorKind::Conv2d(Conv2d { window, output_stage }), inputs, shape, affine))
    }

    fn depthwise(&mut self, input: TensorId) -> Option<TensorId> {
        let [batch, height, width, channels] = self.image(input)?;
        let (window, rows, columns) = self.window(height, width)?;
        let depth_multiplier = if self.random.once_in(3) { self.random.within(1, 4) } else { 1 };
        let outputs = channels * depth_multiplier;
        let shape = vec![batch, rows, columns, outputs];
        self.fits(&shape)?;
        let taps = window.kernel_height * window.kernel_width;
        (batch * rows * columns * outputs * taps <= self.options.max_macs).then_some(())?;
        let affine = self.random.affine();
        let weights = vec![1, window.kernel_height, window.kernel_width, outputs];
        let inputs = self.weights(input, weights, 3, taps, affine);
        let output_stage = blank::output_stage(self.activation_function());
        let kind = OperatorKind::DepthwiseConv2d(DepthwiseConv2d { window, depth_multiplier, output_stage });
        Some(self.operator(kind, inputs, shape, affine))
    }

    fn fully_connected(&mut self, input: TensorId) -> Option<TensorId> {
        let shape = self.shape(input);
        let (last, elements) = (*shape.last()?, shape.iter().product::<usize>());
        // Rows of the innermost dimension, or of everything behind the first.
        let keep_dims = shape.len() > 1 && self.random.once_in(3);
        let input_depth = if keep_dims { last } else { elements / shape[0] };
        let batches = elements / input_depth;
        let most = (self.options.max_macs / elements).clamp(1, self.options.max_channels);
        let output_depth = self.random.within(1, most);
        let mut output_shape = vec![batches, output_depth];
        if keep_dims {
            output_shape = shape;
            *output_shape.last_mut()? = output_depth;
        }
        self.fits(&output_shape)?;
        let affine = self.random.affine();
        let inputs = self.weights(input, vec![output_depth, input_depth], 0, input_depth, affine);
        let output_stage = blank::output_stage(self.activation_function());
        let layer = FullyConnected { batches, input_depth, output_depth, output_stage };
        Some(self.operator(OperatorKind::FullyConnected(layer), inputs, output_shape, affine))
    }

    fn binary(&mut self, which: Binary, a: TensorId, b: TensorId) -> Option<TensorId> {
        let shape = broadcast(&self.shape(a), &self.shape(b))?;
        self.fits(&shape)?;
        let (scale_a, scale_b) = (self.affine(a).scale, self.affine(b).scale);
        let scale = match which {
            Binary::Mul => scale_a * scale_b * self.random.real(10.0, 200.0) as f32,
            // Now and then so large that little is left.
            _ if self.random.once_in(12) => (scale_a + scale_b) * self.random.real(5.0, 300.0) as f32,
            _ => (scale_a + scale_b) * self.random.real(0.2, 1.5) as f32,
        };
        let affine = self.with_scale(scale);
        let activation = self.activation_function();
        let kind = match which {
            Binary::Add => OperatorKind::Add(Add { parameters: blank::ADD, activation }),
            Binary::Sub => OperatorKind::Sub(Sub { parameters: blank::ADD, activation }),
            Binary::Mul => OperatorKind::Mul(Mul { parameters: blank::MUL, activation }),
        };
        let (a, b) = if self.random.once_in(2) { (a, b) } else { (b, a) };
        Some(self.operator(kind, vec![Some(a), Some(b)], shape, affine))
    }

    /// With an earlier tensor of the same shape, or itself.
    fn residual(&mut self, input: TensorId, which: Binary) -> Option<TensorId> {
        let shape = self.shape(input);
        let others: Vec<TensorId> =
            self.values.iter().copied().filter(|id| self.graph[*id].shape == shape).collect();
        let other = *self.random.pick(&others);
        self.binary(which, input, other)
    }

    /// With an earlier tensor or a constant that is broadcast, or a constant of the same shape.
    fn broadcast(&mut self, input: TensorId) -> Option<TensorId> {
        let which = *self.random.pick(&[Binary::Add, Binary::Sub, Binary::Mul]);
        let shape = self.shape(input);
        let others: Vec<TensorId> = self
            .values
            .iter()
            .copied()
            .filter(|id| {
                self.graph[*id].shape != shape && broadcast(&self.graph[*id].shape, &shape).is_some()
            })
            .collect();
        if !others.is_empty() && self.random.once_in(2) {
            let other = *self.random.pick(&others);
            return self.binary(which, input, other);
        }
        let last = *shape.last()?;
        let constant_shape = match self.random.within(0, 4) {
            0 => vec![],
            1 => vec![last],
            2 => vec![1; shape.len() - 1].into_iter().chain([last]).collect(),
            3 => shape,
            _ => shape.iter().map(|&size| if self.random.once_in(2) { 1 } else { size }).collect(),
        };
        let affine = self.random.affine();
        let constant = self.constant(constant_shape, affine);
        self.binary(which, input, constant)
    }

    fn gate(&mut self, input: TensorId) -> Option<TensorId> {
        let [batch, _, _, channels] = self.image(input)?;
        let squeezed = self.mean_over(input, vec![1, 2], true)?;
        let middle = self.random.within(1, channels.div_ceil(2));
        let hidden = self.pointwise(squeezed, [batch, 1, 1, middle], Activation::Relu);
        let scores = self.pointwise(hidden, [batch, 1, 1, channels], Activation::None);
        let gate = self.function(scores, UnaryFunction::Logistic, LOGISTIC_OUTPUT);
        self.binary(Binary::Mul, input, gate)
    }

    /// A 1x1 convolution.
    fn pointwise(&mut self, input: TensorId, shape: [usize; 4], activation: Activation) -> TensorId {
        let channels = *self.shape(input).last().expect("an image");
        let affine = self.random.affine();
        let inputs = self.weights(input, vec![shape[3], 1, 1, channels], 0, channels, affine);
        let output_stage = blank::output_stage(activation);
        let padding = Padding::default();
        let window = Window { kernel_height: 1, kernel_width: 1, stride_height: 1, stride_width: 1, padding };
        let kind = OperatorKind::Conv2d(Conv2d { window, output_stage });
        self.operator(kind, inputs, shape.to_vec(), affine)
    }

    fn pool(&mut self, input: TensorId, kind: fn(Pool2d) -> OperatorKind) -> Option<TensorId> {
        let [batch, height, width, channels] = self.image(input)?;
        let (window, rows, columns) = self.window(height, width)?;
        let pool = Pool2d { window, activation: self.activation_function(), range: blank::RANGE };
        let affine = self.affine(input);
        Some(self.operator(kind(pool), vec![Some(input)], vec![batch, rows, columns, channels], affine))
    }

    fn mean(&mut self, input: TensorId) -> Option<TensorId> {
        let rank = self.shape(input).len();
        let axes = match self.random.within(0, 3) {
            0 if rank == 4 => vec![1, 2],
            1 if rank == 4 => vec![2, 1],
            _ => (0..self.random.within(1, 3)).map(|_| self.random.within(0, rank - 1)).collect(),
        };
        let keep_dims = self.random.once_in(2);
        self.mean_over(input, axes, keep_dims)
    }

    fn mean_over(&mut self, input: TensorId, axes: Vec<usize>, keep_dims: bool) -> Option<TensorId> {
        let shape = self.shape(input);
        let output_shape: Vec<usize> = (0..shape.len())
            .filter(|dimension| keep_dims || !axes.contains(dimension))
            .map(|dimension| if axes.contains(&dimension) { 1 } else { shape[dimension] })
            .collect();
        if output_shape.is_empty() {
            return None;
        }
        let affine = self.affine(input);
        let affine = match self.random.within(0, 2) {
            0 => affine,
            _ => {
                let scale = affine.scale * self.random.real(0.1, 1.5) as f32;
                self.with_scale(scale)
            }
        };
        // From either end.
        let from_end = self.random.once_in(3);
        let number = |axis: &usize| *axis as i32 - if from_end { shape.len() as i32 } else { 0 };
        let numbers = axes.iter().map(number).collect();
        let operand = self.numbers(vec![axes.len()], numbers);
        let kind = OperatorKind::Mean(Mean { axes, keep_dims, parameters: blank::MEAN });
        Some(self.operator(kind, vec![Some(input), Some(operand)], output_shape, affine))
    }

    fn pad(&mut self, input: TensorId) -> Option<TensorId> {
        let shape = self.shape(input);
        let image_only = shape.len() == 4 && self.random.once_in(2);
        let paddings: Vec<(usize, usize)> = (0..shape.len())
            .map(|dimension| match dimension {
                0 | 3 if image_only => (0, 0),
                _ if self.random.once_in(3) => (0, 0),
                _ => (self.random.within(0, 3), self.random.within(0, 3)),
            })
            .collect();
        let output_shape: Vec<usize> =
            shape.iter().zip(&paddings).map(|(size, (before, after))| size + before + after).collect();
        self.fits(&output_shape)?;
        let affine = self.affine(input);
        let numbers = paddings.iter().flat_map(|&(before, after)| [before as i32, after as i32]).collect();
        let mut inputs = vec![Some(input), Some(self.numbers(vec![shape.len(), 2], numbers))];
        let value_given = self.random.once_in(3);
        if value_given {
            inputs.push(Some(self.constant(vec![1], affine)));
        }
        let kind = OperatorKind::Pad(Pad { paddings, value: 0, value_given });
        Some(self.operator(kind, inputs, output_shape, affine))
    }

    fn concatenation(&mut self, input: TensorId) -> Option<TensorId> {
        let shape = self.shape(input);
        let affine = self.affine(input);
        let axis =
            if self.random.once_in(2) { shape.len() - 1 } else { self.random.within(0, shape.len() - 1) };
        let mut inputs = vec![input];
        let mut output_shape = shape.clone();
        for _ in 0..self.random.within(0, 3) {
            let goes_with = |other: &[usize]| {
                other.len() == shape.len()
                    && (0..shape.len())
                        .all(|dimension| dimension == axis || other[dimension] == shape[dimension])
            };
            let others: Vec<TensorId> =
                self.values.iter().copied().filter(|id| goes_with(&self.graph[*id].shape)).collect();
            let other = if self.random.once_in(4) {
                let mut shape = shape.clone();
                shape[axis] = self.random.within(1, 6);
                self.constant(shape, affine)
            } else {
                *self.random.pick(&others)
            };
            let size = self.graph[other].shape[axis];
            output_shape[axis] += size;
            if self.fits(&output_shape).is_none() {
                output_shape[axis] -= size;
                break;
            }
            // A converter puts a QUANTIZE before an input of another quantisation.
            let other = if self.affine(other) == affine { other } else { self.requantise_to(other, affine) };
            inputs.push(other);
        }
        if self.random.once_in(2) {
            inputs.reverse();
        }
        let kind = OperatorKind::Concatenation(Concatenation { axis });
        Some(self.operator(kind, inputs.into_iter().map(Some).collect(), output_shape, affine))
    }

    fn function(&mut self, input: TensorId, function: UnaryFunction, affine: Affine) -> TensorId {
        let kind = OperatorKind::Unary(Unary { function, table: blank::TABLE });
        let shape = self.shape(input);
        self.operator(kind, vec![Some(input)], shape, affine)
    }

    fn unary(&mut self, input: TensorId) -> Option<TensorId> {
        let affine = self.affine(input);
        let scale = affine.scale * self.random.real(0.05, 2.0) as f32;
        let other = self.with_scale(scale);
        let (function, output) = match self.random.within(0, 6) {
            0 => (UnaryFunction::Logistic, LOGISTIC_OUTPUT),
            1 => (UnaryFunction::Tanh, TANH_OUTPUT),
            2 => (UnaryFunction::Relu, affine),
            3 => (UnaryFunction::Relu, other),
            4 => (UnaryFunction::Relu6, affine),
            5 => {
                let alpha = *self.random.pick(&[0.0, 0.01, 0.1, 0.2, 0.25, 0.3, 1.0, 1.7]);
                (UnaryFunction::LeakyRelu { alpha }, other)
            }
            _ => (UnaryFunction::HardSwish, other),
        };
        // Sigmoids take scales below 16 only.
        let fixed = matches!(function, UnaryFunction::Logistic | UnaryFunction::Tanh);
        (!fixed || affine.scale < 8.0).then_some(())?;
        Some(self.function(input, function, output))
    }

    fn requantise(&mut self, input: TensorId) -> Option<TensorId> {
        let affine = self.affine(input);
        let scale = match self.random.within(0, 3) {
            0 => affine.scale,
            1 => affine.scale * *self.random.pick(&[0.25, 0.5, 2.0, 4.0]),
            _ => affine.scale * self.random.real(0.1, 4.0) as f32,
        };
        let output = self.with_scale(scale);
        Some(self.requantise_to(input, output))
    }

    fn requantise_to(&mut self, input: TensorId, affine: Affine) -> TensorId {
        self.function(input, UnaryFunction::Quantize, affine)
    }

    fn reshape(&mut self, input: TensorId) -> Option<TensorId> {
        let shape = self.shape(input);
        let affine = self.affine(input);
        let (form, output_shape, operand) = match self.random.within(0, 3) {
            0 if shape.len() < 4 => {
                let axis = self.random.within(0, shape.len());
                let mut output_shape = shape.clone();
                output_shape.insert(axis, 1);
                let rank = output_shape.len() as i32;
                let number = axis as i32 - if self.random.once_in(2) { rank } else { 0 };
                (Reshape::ExpandDims, output_shape, Some(self.numbers(vec![1], vec![number])))
            }
            1 => {
                let mut output_shape: Vec<usize> = shape.iter().copied().filter(|&size| size != 1).collect();
                if output_shape.is_empty() {
                    output_shape = vec![1];
                }
                (Reshape::Squeeze, output_shape, None)
            }
            _ => {
                let output_shape = self.factors(shape.iter().product());
                let mut numbers: Vec<i32> = output_shape.iter().map(|&size| size as i32).collect();
                if self.random.once_in(3) {
                    *numbers.first_mut()? = -1;
                }
                let operand = (!self.random.once_in(4)).then(|| self.numbers(vec![numbers.len()], numbers));
                (Reshape::Reshape, output_shape, operand)
            }
        };
        let mut inputs = vec![Some(input)];
        inputs.extend(operand.map(Some));
        Some(self.operator(OperatorKind::Reshape(form), inputs, output_shape, affine))
    }

    /// A shape of so many elements, mostly of four dimensions.
    fn factors(&mut self, elements: usize) -> Vec<usize> {
        let rank = *self.random.pick(&[1, 2, 3, 4, 4, 4]);
        let mut rest = elements;
        let mut shape: Vec<usize> = (1..rank)
            .map(|_| {
                let divisors: Vec<usize> = (1..=rest.min(64)).filter(|divisor| rest % divisor == 0).collect();
                let size = *self.random.pick(&divisors);
                rest /= size;
                size
            })
            .collect();
        let position = self.random.within(0, shape.len());
        shape.insert(position, rest);
        shape
    }

    fn softmax(&mut self, input: TensorId) -> Option<TensorId> {
        let shape = self.shape(input);
        (*shape.last()? <= MAX_SOFTMAX_ROW).then_some(())?;
        let beta = *self.random.pick(&[1.0, 1.0, 0.5, 1.7]);
        let kind = OperatorKind::Softmax(Softmax { beta, parameters: blank::SOFTMAX });
        Some(self.operator(kind, vec![Some(input)], shape, LOGISTIC_OUTPUT))
    }
}

/// Zero points of zero; one scale is per tensor.
fn symmetric(scales: Vec<f32>, axis: usize) -> Quantisation {
    match scales[..] {
        [scale] => per_tensor(Affine { scale, zero_point: 0 }),
        _ => Quantisation::PerChannel { zero_points: vec![0; scales.len()], scales, axis },
    }
}
