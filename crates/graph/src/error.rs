//! Everything that can be wrong with a model, and what to do about it.
//!
//! The messages name the layer or tensor; the caller, who knows it, adds the file.

use std::fmt;

use flatbuffers::InvalidFlatbuffer;
use frugal_quant::multiplier::MAX_AVERAGE_COUNT;
use frugal_quant::QuantError;
use thiserror::Error;

use crate::graph::DataType;
use crate::tflite::{MAX_TENSOR_ELEMENTS, SUPPORTED_OPERATORS};

/// Why a file is not a model that Frugal can take.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GraphError {
    #[error("not a TensorFlow Lite file: bytes 4 to 7 are not \"TFL3\". Pass the .tflite file the converter wrote")]
    NotTflite,
    #[error("damaged TensorFlow Lite file: {}. Copy or convert it again", first_line(.0))]
    Damaged(#[source] Box<InvalidFlatbuffer>),
    #[error(
        "schema version {0}; version 3 is the one in use. Convert the model again with a current converter"
    )]
    SchemaVersion(u32),
    #[error("{0} subgraphs; one is supported. Convert the model without control flow or extra signatures")]
    SubgraphCount(usize),
    #[error("the model has no {0}; at least one is needed")]
    Empty(&'static str),
    #[error("{holder}: {field} names {index}, and there are {count}. The file is inconsistent: convert the model again")]
    DanglingIndex { holder: String, field: &'static str, index: i64, count: usize },
    #[error("tensor {tensor}: {problem}")]
    Tensor { tensor: String, problem: TensorProblem },
    #[error("layer {layer}: {problem}")]
    Layer { layer: String, problem: LayerProblem },
}

/// Why one tensor cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TensorProblem {
    #[error("dynamic shape {0}. Convert the model with a fixed input shape")]
    DynamicShape(Shape<i32>),
    #[error("shape {0} has more than {MAX_TENSOR_ELEMENTS} elements")]
    TooLarge(Shape<i32>),
    #[error("shape {shape} of {data_type} needs {needed} bytes, the buffer holds {found}. The file is inconsistent")]
    DataSize { shape: Shape<usize>, data_type: DataType, needed: usize, found: usize },
    #[error("its data lies outside the flatbuffer (an external or large buffer). Convert to a single file below 2 GB")]
    ExternalData,
    #[error("it is a variable, and stateful models are not supported")]
    Variable,
    #[error("it is stored sparse. Convert the model without sparsity, or densify it")]
    Sparse,
    #[error("custom quantisation. Convert the model with full-integer int8 quantisation")]
    CustomQuantisation,
    #[error("{scales} scales and {zero_points} zero points; there must be as many of one as of the other")]
    QuantisationCounts { scales: usize, zero_points: usize },
    #[error("scale {scale} of channel {channel}; a scale must be finite and above zero. Calibrate the model again")]
    Scale { channel: usize, scale: f32 },
    #[error("zero point {zero_point} of channel {channel}; {data_type} allows {allowed}")]
    ZeroPoint { channel: usize, zero_point: i64, data_type: DataType, allowed: &'static str },
    #[error("quantised along dimension {axis} with {scales} scales, and the shape is {shape}")]
    ChannelCount { axis: i32, scales: usize, shape: Shape<usize> },
    #[error("graph {role} of type {data_type}; int8, uint8 and float32 are supported. Convert with inference_{role}_type = int8")]
    GraphDataType { role: &'static str, data_type: DataType },
    #[error("it is a graph output, and no layer writes it")]
    NeverWritten,
}

/// Why one layer cannot be used. `role` says which of its tensors is meant.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LayerProblem {
    #[error("operator {operator} is not supported. Supported: {}", SUPPORTED_OPERATORS.join(", "))]
    UnsupportedOperator { operator: String },
    #[error(
        "its options are missing or of another operator. The file is inconsistent: convert the model again"
    )]
    OptionsMissing,
    #[error("{found} {what}, {needed} needed. The file is inconsistent: convert the model again")]
    OperandCount { what: &'static str, found: usize, needed: &'static str },
    #[error("no {role}. The file is inconsistent: convert the model again")]
    OperandMissing { role: &'static str },
    #[error(
        "{role} of type {found}; {needed} is needed. Convert the model with full-integer int8 quantisation"
    )]
    OperandType { role: &'static str, found: DataType, needed: DataType },
    #[error("{role} computed by the model; only constants are supported")]
    NotConstant { role: &'static str },
    #[error("the {role} reads a tensor that no earlier layer has written. The file is inconsistent")]
    ReadBeforeWrite { role: &'static str },
    #[error("the output is already written by another layer, a graph input or a constant. The file is inconsistent")]
    WrittenTwice,
    #[error("{role} without a scale. Convert the model with full-integer int8 quantisation")]
    NotQuantised { role: &'static str },
    #[error("the {role} has a scale per channel; an activation needs one common scale")]
    PerChannelActivation { role: &'static str },
    #[error("the weights are quantised along dimension {found}; this operator has its output channels in {needed}")]
    WeightAxis { found: usize, needed: usize },
    #[error("weight zero point {zero_point} of channel {channel}; weights must be symmetric (zero point 0)")]
    WeightZeroPoint { channel: usize, zero_point: i32 },
    #[error("{role} of shape {found}; {needed} dimensions are needed")]
    Rank { role: &'static str, found: Shape<usize>, needed: usize },
    #[error("{role} of shape {found}, and the other operands make it {needed}. The file is inconsistent")]
    ShapeMismatch { role: &'static str, found: Shape<usize>, needed: Shape<usize> },
    #[error("operands of shapes {a} and {b}; sizes must be equal, or one of them 1")]
    Broadcast { a: Shape<usize>, b: Shape<usize> },
    #[error("from {from} to {to}; supported are float32, uint8 and int8 to int8, int8 to uint8, and int8 to float32")]
    Conversion { from: DataType, to: DataType },
    #[error(
        "{role} of type {data_type} in the middle of the model, where everything must be int8. Convert the model with \
         full-integer int8 quantisation"
    )]
    NotAtBorder { role: &'static str, data_type: DataType },
    #[error(
        "{what} {found}; the tensor has {rank} dimensions. The file is inconsistent: convert the model again"
    )]
    Axis { what: &'static str, found: i32, rank: usize },
    #[error("paddings {found} for {rank} dimensions; two numbers, at least 0, are needed for each")]
    Paddings { found: Shape<i32>, rank: usize },
    #[error("a fused activation on a concatenation; it must be a layer of its own")]
    ConcatenationActivation,
    #[error("grouped convolution: {input} input channels, and the weights take {weights}. Use groups=1 or DepthwiseConv2D")]
    GroupedConvolution { input: usize, weights: usize },
    #[error("{output} output channels for {input} input channels; a depthwise convolution needs a multiple")]
    DepthMultiplier { input: usize, output: usize },
    #[error("dilation {height}x{width}; only 1x1 is supported. Train the layer with dilation_rate=1")]
    Dilation { height: i32, width: i32 },
    #[error("{what} {height}x{width}; both must be at least 1")]
    WindowSize { what: &'static str, height: i32, width: i32 },
    #[error(
        "kernel {kernel} without padding on an image of {image}; it must fit inside. Use padding='same'"
    )]
    KernelExceedsImage { kernel: Shape<usize>, image: Shape<usize> },
    #[error("a mean of {height}x{width} elements; at most {MAX_AVERAGE_COUNT} are supported. Use two smaller pools")]
    MeanTooLarge { height: usize, width: usize },
    #[error("a mean of {count} elements; at most {MAX_AVERAGE_COUNT} are supported. Use two smaller means")]
    MeanCount { count: usize },
    #[error("padding scheme {0}; 0 (SAME) and 1 (VALID) exist")]
    PaddingScheme(i8),
    #[error("fused activation {}. Supported: NONE, RELU, RELU_N1_TO_1, RELU6", activation_name(*.0))]
    Activation(i8),
    #[error("weights in format {0} (shuffled); only the default is supported. Convert without the shuffled format")]
    WeightsFormat(i8),
    #[error("{elements} input elements are not a multiple of the {depth} that the weights take")]
    InputDepth { elements: usize, depth: usize },
    #[error(
        "input and output quantisation differ ({input:?} and {output:?}); this operator needs them equal"
    )]
    QuantisationDiffers { input: (f32, i32), output: (f32, i32) },
    #[error(
        "input and output quantisation differ ({input:?} and {output:?}), which TensorFlow Lite Micro's RELU6 ignores: its \
         numbers would be wrong. Fuse the activation into the layer before"
    )]
    Relu6Quantisation { input: (f32, i32), output: (f32, i32) },
    #[error("the output has scale and zero point {found:?}; {needed:?} is needed. Convert the model again with a current converter")]
    FixedOutput { found: (f32, i32), needed: (f32, i32) },
    #[error(
        "softmax over {found} elements; at most {} are supported",
        frugal_quant::softmax::MAX_ROW_LENGTH
    )]
    SoftmaxLength { found: usize },
    #[error("{0}. Calibrate the model again")]
    Arithmetic(#[from] QuantError),
}

/// Sizes, shown as in NumPy: `[1, 32, 32, 3]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape<T>(pub Vec<T>);

impl<T: fmt::Display> fmt::Display for Shape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (position, size) in self.0.iter().enumerate() {
            write!(f, "{}{size}", if position == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl<T: Clone> From<&[T]> for Shape<T> {
    fn from(sizes: &[T]) -> Self {
        Shape(sizes.to_vec())
    }
}

impl<T: Clone> From<&Vec<T>> for Shape<T> {
    fn from(sizes: &Vec<T>) -> Self {
        Shape(sizes.clone())
    }
}

/// The verifier's message without its trace of table fields.
fn first_line(error: &InvalidFlatbuffer) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_string()
}

fn activation_name(code: i8) -> String {
    match code {
        4 => "TANH".to_string(),
        5 => "SIGN_BIT".to_string(),
        other => format!("number {other}"),
    }
}
