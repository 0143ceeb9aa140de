//! What layers compute: one type for each operator, its integers resolved.

use frugal_quant::{
    Activation, ActivationRange, AddParameters, Affine, MeanParameters, MulParameters, Multiplier,
    SoftmaxParameters, Table,
};

use crate::window::Window;

/// What a layer computes, with everything it needs besides its constants.
///
/// Activations are int8, except where a variant says otherwise. "Elementwise" operands may have different shapes, which are
/// then broadcast as NumPy does (see [`crate::shape::broadcast`]); they may be constants, and both may be the same tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorKind {
    /// Inputs: activations NHWC, weights `[out, kernel_height, kernel_width, in]`, optional int32 bias `[out]`.
    Conv2d(Conv2d),
    /// Inputs: activations NHWC, weights `[1, kernel_height, kernel_width, in * depth_multiplier]`, optional int32 bias.
    DepthwiseConv2d(DepthwiseConv2d),
    /// Inputs: activations, weights `[out, in]`, optional int32 bias `[out]`.
    FullyConnected(FullyConnected),
    /// Elementwise, of two operands.
    Add(Add),
    /// Elementwise: the first operand minus the second.
    Sub(Sub),
    /// Elementwise, of two operands.
    Mul(Mul),
    /// Input: activations NHWC. The mean excludes padding; input and output quantisation are equal.
    AveragePool2d(Pool2d),
    /// Input: activations NHWC. The maximum excludes padding; input and output quantisation are equal.
    MaxPool2d(Pool2d),
    /// Inputs: activations, and the int32 axes as the file has them.
    Mean(Mean),
    /// Inputs: activations, the int32 paddings, and perhaps the value. Input and output quantisation are equal.
    Pad(Pad),
    /// Inputs: any number of activations or constants, all with the quantisation of the output.
    Concatenation(Concatenation),
    /// Input: activations. A function of each element alone.
    Unary(Unary),
    /// A border of the model: its input or output is not int8.
    Quantize(Quantize),
    /// A border of the model: int8 to a float32 output, by the quantisation of the input.
    Dequantize(Affine),
    /// Input: activations, and perhaps an int32 shape or axis. The elements stay as they are.
    Reshape(Reshape),
    /// Input: activations; along the innermost dimension.
    Softmax(Softmax),
}

/// How a layer with weights turns an accumulator into an int8 output.
///
/// `output = clamp(requantise(bias + sum((input - input_zero_point) * weight), multiplier, Double) + output_zero_point)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputStage {
    /// One for each output channel, also when the weights have one common scale.
    pub multipliers: Vec<Multiplier>,
    /// Subtracted from each input; a padded pixel reads as this value.
    pub input_zero_point: i32,
    /// Added after requantisation.
    pub output_zero_point: i32,
    pub activation: Activation,
    /// The bounds of the output, from `activation`.
    pub range: ActivationRange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    pub window: Window,
    pub output_stage: OutputStage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepthwiseConv2d {
    pub window: Window,
    /// Output channels per input channel: output `c` reads input `c / depth_multiplier`.
    pub depth_multiplier: usize,
    pub output_stage: OutputStage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullyConnected {
    /// Rows of the input matrix: the input has `batches * input_depth` elements.
    pub batches: usize,
    pub input_depth: usize,
    pub output_depth: usize,
    pub output_stage: OutputStage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// To be used with [`AddParameters::apply`].
    pub parameters: AddParameters,
    pub activation: Activation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sub {
    /// To be used with [`AddParameters::apply_difference`].
    pub parameters: AddParameters,
    pub activation: Activation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mul {
    pub parameters: MulParameters,
    pub activation: Activation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool2d {
    pub window: Window,
    pub activation: Activation,
    /// The bounds of the output, from `activation`.
    pub range: ActivationRange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mean {
    /// The dimensions of the input that are averaged over, ascending, each once.
    pub axes: Vec<usize>,
    /// Whether those dimensions remain, with size 1.
    pub keep_dims: bool,
    pub parameters: MeanParameters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Elements before and after, for each dimension of the input.
    pub paddings: Vec<(usize, usize)>,
    /// What the new elements are: the zero point, unless the model gives another value.
    pub value: i8,
    /// Whether the model gives the value (PADV2 rather than PAD).
    pub value_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concatenation {
    /// The dimension along which the inputs follow each other.
    pub axis: usize,
}

/// A function of one int8, as a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unary {
    /// Where the table comes from, for messages and for writing the model.
    pub function: UnaryFunction,
    pub table: Table,
}

/// The operators that [`Unary`] stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryFunction {
    Logistic,
    Tanh,
    /// With another scale for the output than for the input, perhaps.
    Relu,
    Relu6,
    LeakyRelu {
        alpha: f32,
    },
    HardSwish,
    /// From int8 to int8: another scale and zero point.
    Quantize,
}

/// QUANTIZE at a border of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantize {
    /// A float32 input of the model to int8 of this quantisation: [`frugal_quant::real::quantise`].
    FromF32(Affine),
    /// A uint8 input of the model to int8; entry `i` is the result for the uint8 `i`.
    FromU8(Table),
    /// int8 to a uint8 output of the model; the entries are the bits of the uint8 results.
    ToU8(Table),
}

/// The operators that only give the elements another shape, which is that of the output tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshape {
    Reshape,
    ExpandDims,
    Squeeze,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    pub beta: f32,
    pub parameters: SoftmaxParameters,
}

impl OperatorKind {
    /// The name in the TensorFlow Lite schema.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            OperatorKind::Conv2d(_) => "CONV_2D",
            OperatorKind::DepthwiseConv2d(_) => "DEPTHWISE_CONV_2D",
            OperatorKind::FullyConnected(_) => "FULLY_CONNECTED",
            OperatorKind::Add(_) => "ADD",
            OperatorKind::Sub(_) => "SUB",
            OperatorKind::Mul(_) => "MUL",
            OperatorKind::AveragePool2d(_) => "AVERAGE_POOL_2D",
            OperatorKind::MaxPool2d(_) => "MAX_POOL_2D",
            OperatorKind::Mean(_) => "MEAN",
            OperatorKind::Pad(Pad { value_given: false, .. }) => "PAD",
            OperatorKind::Pad(_) => "PADV2",
            OperatorKind::Concatenation(_) => "CONCATENATION",
            OperatorKind::Unary(unary) => unary.function.name(),
            OperatorKind::Quantize(_) => "QUANTIZE",
            OperatorKind::Dequantize(_) => "DEQUANTIZE",
            OperatorKind::Reshape(Reshape::Reshape) => "RESHAPE",
            OperatorKind::Reshape(Reshape::ExpandDims) => "EXPAND_DIMS",
            OperatorKind::Reshape(Reshape::Squeeze) => "SQUEEZE",
            OperatorKind::Softmax(_) => "SOFTMAX",
        }
    }

    /// Whether input 1 is a weight tensor.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        matches!(
            self,
            OperatorKind::Conv2d(_) | OperatorKind::DepthwiseConv2d(_) | OperatorKind::FullyConnected(_)
        )
    }
}

impl UnaryFunction {
    /// The name in the TensorFlow Lite schema.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            UnaryFunction::Logistic => "LOGISTIC",
            UnaryFunction::Tanh => "TANH",
            UnaryFunction::Relu => "RELU",
            UnaryFunction::Relu6 => "RELU6",
            UnaryFunction::LeakyRelu { .. } => "LEAKY_RELU",
            UnaryFunction::HardSwish => "HARD_SWISH",
            UnaryFunction::Quantize => "QUANTIZE",
        }
    }
}
