//! From a graph to a TensorFlow Lite file, so that other implementations can run it.

use flatbuffers::{
    FlatBufferBuilder, Push, PushAlignment, TableFinishedWIPOffset, UnionWIPOffset, Vector, WIPOffset,
};
use frugal_quant::Activation;
use thiserror::Error;

use super::schema::{builtin, slot, tensor_type};
use crate::error::Shape;
use crate::graph::{Constant, DataType, Graph, Operator, Quantisation, Tensor, TensorId};
use crate::operator::{OperatorKind, Reshape, UnaryFunction};
use crate::window::{place, PaddingScheme, Window};

/// Why a graph cannot be a TensorFlow Lite file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    #[error("{what} {number} does not fit the file's 32 bits")]
    Number { what: &'static str, number: usize },
    #[error("{holder} names tensor {index}, and there are {count}")]
    DanglingTensor { holder: String, index: usize, count: usize },
    #[error("layer {layer}: a padding of {padding:?} rows and columns is neither SAME nor VALID")]
    Padding { layer: String, padding: (usize, usize) },
    #[error("layer {layer}: input of shape {shape}; 4 dimensions are needed")]
    Rank { layer: String, shape: Shape<usize> },
}

type Table = WIPOffset<TableFinishedWIPOffset>;
type Builder<'f> = FlatBufferBuilder<'f>;

/// Where the bytes of a constant begin: the schema asks for a multiple of this.
const BUFFER_ALIGNMENT: usize = 16;

/// Writes a graph as the bytes of a TensorFlow Lite file. [`crate::tflite::read`] reads what it has written as the same
/// graph, if the graph came from there; of tensors that are neither int8 nor int32, no data is written.
///
/// What the layers compute is written as their tensors' quantisation and their options: of a graph that was made by hand,
/// multipliers, zero points and tables that disagree with its tensors are lost.
///
/// # Errors
/// When a size does not fit 32 bits, an operator or the graph names a tensor that is not there, or a window has a padding
/// that TensorFlow Lite does not know.
pub fn write(graph: &Graph) -> Result<Vec<u8>, WriteError> {
    let mut builder = FlatBufferBuilder::new();
    let b = &mut builder;
    // By convention the first buffer is empty, and that of every tensor without data.
    let mut buffers = vec![table(b, |_| {})];
    let mut tensors = Vec::with_capacity(graph.tensors.len());
    for tensor in &graph.tensors {
        tensors.push(write_tensor(b, tensor, &mut buffers)?);
    }
    let mut codes: Vec<Code> = Vec::new();
    let mut operators = Vec::with_capacity(graph.operators.len());
    for operator in &graph.operators {
        let code = Code::of(&operator.kind);
        let index = codes.iter().position(|other| *other == code).unwrap_or_else(|| {
            codes.push(code);
            codes.len() - 1
        });
        operators.push(write_operator(b, graph, operator, index as u32)?);
    }
    let ids = |holder: &str, ids: &[TensorId]| {
        ids.iter().map(|id| tensor_index(graph, holder, *id)).collect::<Result<Vec<i32>, _>>()
    };
    let inputs = b.create_vector(&ids("the graph's inputs", &graph.inputs)?);
    let outputs = b.create_vector(&ids("the graph's outputs", &graph.outputs)?);
    let name = b.create_string(&graph.name);
    let (tensors, operators) = (b.create_vector(&tensors), b.create_vector(&operators));
    let subgraph = table(b, |b| {
        b.push_slot_always(slot(0), tensors);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), outputs);
        b.push_slot_always(slot(3), operators);
        b.push_slot_always(slot(4), name);
    });
    let codes: Vec<Table> = codes.iter().map(|code| code.write(b)).collect();
    let codes = b.create_vector(&codes);
    let (buffers, subgraphs) = (b.create_vector(&buffers), b.create_vector(&[subgraph]));
    let description = b.create_string("written by Frugal");
    let model = table(b, |b| {
        b.push_slot_always(slot(0), super::read::SCHEMA_VERSION);
        b.push_slot_always(slot(1), codes);
        b.push_slot_always(slot(2), subgraphs);
        b.push_slot_always(slot(3), description);
        b.push_slot_always(slot(4), buffers);
    });
    b.finish(model, Some("TFL3"));
    Ok(builder.finished_data().to_vec())
}

/// Writes a table; `fill` pushes its fields.
fn table<'f>(builder: &mut Builder<'f>, fill: impl FnOnce(&mut Builder<'f>)) -> Table {
    let start = builder.start_table();
    fill(builder);
    builder.end_table(start)
}

fn number(what: &'static str, number: usize) -> Result<i32, WriteError> {
    i32::try_from(number).map_err(|_| WriteError::Number { what, number })
}

fn tensor_index(graph: &Graph, holder: &str, id: TensorId) -> Result<i32, WriteError> {
    let count = graph.tensors.len();
    if id.0 >= count {
        return Err(WriteError::DanglingTensor { holder: holder.to_string(), index: id.0, count });
    }
    number("the tensor index", id.0)
}

/// Sixteen bytes that begin on a multiple of sixteen.
#[derive(Clone, Copy)]
struct Block([u8; BUFFER_ALIGNMENT]);

impl Push for Block {
    type Output = Block;

    unsafe fn push(&self, destination: &mut [u8], _written: usize) {
        destination[..BUFFER_ALIGNMENT].copy_from_slice(&self.0);
    }

    fn alignment() -> PushAlignment {
        PushAlignment::new(BUFFER_ALIGNMENT)
    }
}

/// A vector of bytes that begins on a multiple of [`BUFFER_ALIGNMENT`].
fn aligned_bytes<'f>(builder: &mut Builder<'f>, bytes: &[u8]) -> WIPOffset<Vector<'f, u8>> {
    let blocks = bytes.chunks(BUFFER_ALIGNMENT);
    builder.start_vector::<Block>(blocks.len());
    // A flatbuffer is written from its end; zeros after the last byte are not part of the vector.
    for chunk in blocks.rev() {
        let mut block = Block([0; BUFFER_ALIGNMENT]);
        block.0[..chunk.len()].copy_from_slice(chunk);
        builder.push(block);
    }
    builder.end_vector::<u8>(bytes.len())
}

fn write_tensor<'f>(
    b: &mut Builder<'f>,
    tensor: &Tensor,
    buffers: &mut Vec<Table>,
) -> Result<Table, WriteError> {
    let data = match &tensor.data {
        None => None,
        Some(Constant::I8(elements)) => Some(elements.iter().map(|&x| x as u8).collect::<Vec<u8>>()),
        Some(Constant::I32(elements)) => Some(elements.iter().flat_map(|x| x.to_le_bytes()).collect()),
    };
    let mut buffer = 0u32;
    if let Some(data) = data {
        let data = aligned_bytes(b, &data);
        buffer = buffers.len() as u32;
        buffers.push(table(b, |b| b.push_slot_always(slot(0), data)));
    }
    let sizes = tensor.shape.iter().map(|&size| number("the size", size)).collect::<Result<Vec<_>, _>>()?;
    let (name, shape) = (b.create_string(&tensor.name), b.create_vector(&sizes));
    let quantisation = match &tensor.quantisation {
        None => None,
        Some(Quantisation::PerTensor { scale, zero_point }) => {
            Some(write_quantisation(b, &[*scale], &[*zero_point], 0))
        }
        Some(Quantisation::PerChannel { scales, zero_points, axis }) => {
            Some(write_quantisation(b, scales, zero_points, number("the axis", *axis)?))
        }
    };
    let tensor_type = match tensor.data_type {
        DataType::I8 => tensor_type::INT8,
        DataType::U8 => tensor_type::UINT8,
        DataType::I32 => tensor_type::INT32,
        DataType::F32 => tensor_type::FLOAT32,
        DataType::Other(code) => code,
    };
    Ok(table(b, |b| {
        b.push_slot_always(slot(0), shape);
        b.push_slot(slot(1), tensor_type, 0);
        b.push_slot(slot(2), buffer, 0);
        b.push_slot_always(slot(3), name);
        if let Some(quantisation) = quantisation {
            b.push_slot_always(slot(4), quantisation);
        }
    }))
}

fn write_quantisation(b: &mut Builder<'_>, scales: &[f32], zero_points: &[i32], axis: i32) -> Table {
    let zero_points: Vec<i64> = zero_points.iter().map(|&zero_point| i64::from(zero_point)).collect();
    let (scales, zero_points) = (b.create_vector(scales), b.create_vector(&zero_points));
    table(b, |b| {
        b.push_slot_always(slot(2), scales);
        b.push_slot_always(slot(3), zero_points);
        b.push_slot(slot(6), axis, 0);
    })
}

/// An operator's number and the first version of it that takes int8.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Code {
    number: i32,
    version: i32,
}

impl Code {
    fn of(kind: &OperatorKind) -> Code {
        let (number, version) = match kind {
            OperatorKind::Conv2d(_) => (builtin::CONV_2D, 3),
            OperatorKind::DepthwiseConv2d(_) => (builtin::DEPTHWISE_CONV_2D, 3),
            OperatorKind::FullyConnected(_) => (builtin::FULLY_CONNECTED, 4),
            OperatorKind::Add(_) => (builtin::ADD, 2),
            OperatorKind::Sub(_) => (builtin::SUB, 2),
            OperatorKind::Mul(_) => (builtin::MUL, 2),
            OperatorKind::AveragePool2d(_) => (builtin::AVERAGE_POOL_2D, 2),
            OperatorKind::MaxPool2d(_) => (builtin::MAX_POOL_2D, 2),
            OperatorKind::Mean(_) => (builtin::MEAN, 2),
            OperatorKind::Pad(pad) if pad.value_given => (builtin::PADV2, 2),
            OperatorKind::Pad(_) => (builtin::PAD, 2),
            OperatorKind::Concatenation(_) => (builtin::CONCATENATION, 2),
            OperatorKind::Unary(unary) => match unary.function {
                UnaryFunction::Logistic => (builtin::LOGISTIC, 2),
                UnaryFunction::Tanh => (builtin::TANH, 2),
                UnaryFunction::Relu => (builtin::RELU, 2),
                UnaryFunction::Relu6 => (builtin::RELU6, 2),
                UnaryFunction::LeakyRelu { .. } => (builtin::LEAKY_RELU, 2),
                UnaryFunction::HardSwish => (builtin::HARD_SWISH, 1),
                UnaryFunction::Quantize => (builtin::QUANTIZE, 2),
            },
            OperatorKind::Quantize(_) => (builtin::QUANTIZE, 1),
            OperatorKind::Dequantize(_) => (builtin::DEQUANTIZE, 2),
            OperatorKind::Reshape(Reshape::Reshape) => (builtin::RESHAPE, 1),
            OperatorKind::Reshape(Reshape::ExpandDims) => (builtin::EXPAND_DIMS, 1),
            OperatorKind::Reshape(Reshape::Squeeze) => (builtin::SQUEEZE, 1),
            OperatorKind::Softmax(_) => (builtin::SOFTMAX, 2),
        };
        Code { number, version }
    }

    fn write(self, b: &mut Builder<'_>) -> Table {
        table(b, |b| {
            // The old field, for numbers that fit it.
            b.push_slot(slot(0), self.number.min(127) as i8, 0);
            b.push_slot(slot(2), self.version, 1);
            b.push_slot(slot(3), self.number, 0);
        })
    }
}

fn write_operator(
    b: &mut Builder<'_>,
    graph: &Graph,
    operator: &Operator,
    code: u32,
) -> Result<Table, WriteError> {
    let inputs = operator
        .inputs
        .iter()
        .map(|id| id.map_or(Ok(-1), |id| tensor_index(graph, &operator.name, id)))
        .collect::<Result<Vec<i32>, _>>()?;
    let outputs = operator
        .outputs
        .iter()
        .map(|id| tensor_index(graph, &operator.name, *id))
        .collect::<Result<Vec<i32>, _>>()?;
    let options = write_options(b, graph, operator)?;
    let (inputs, outputs) = (b.create_vector(&inputs), b.create_vector(&outputs));
    Ok(table(b, |b| {
        b.push_slot(slot(0), code, 0);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), outputs);
        if let Some((options_type, options)) = options {
            b.push_slot(slot(3), options_type, 0);
            b.push_slot_always(slot(4), options);
        }
    }))
}

/// The options of an operator, and their number in the schema's union of options.
fn write_options(
    b: &mut Builder<'_>,
    graph: &Graph,
    operator: &Operator,
) -> Result<Option<(u8, WIPOffset<UnionWIPOffset>)>, WriteError> {
    let (options_type, options) = match &operator.kind {
        OperatorKind::Conv2d(conv) => {
            let w = WindowFields::of(graph, operator, &conv.window)?;
            let activation = activation_code(conv.output_stage.activation);
            let options = table(b, |b| {
                b.push_slot(slot(0), w.padding, 0);
                b.push_slot(slot(1), w.stride_width, 0);
                b.push_slot(slot(2), w.stride_height, 0);
                b.push_slot(slot(3), activation, 0);
            });
            (1, options)
        }
        OperatorKind::DepthwiseConv2d(conv) => {
            let w = WindowFields::of(graph, operator, &conv.window)?;
            let depth_multiplier = number("the depth multiplier", conv.depth_multiplier)?;
            let activation = activation_code(conv.output_stage.activation);
            let options = table(b, |b| {
                b.push_slot(slot(0), w.padding, 0);
                b.push_slot(slot(1), w.stride_width, 0);
                b.push_slot(slot(2), w.stride_height, 0);
                b.push_slot(slot(3), depth_multiplier, 0);
                b.push_slot(slot(4), activation, 0);
            });
            (2, options)
        }
        OperatorKind::AveragePool2d(pool) | OperatorKind::MaxPool2d(pool) => {
            let w = WindowFields::of(graph, operator, &pool.window)?;
            let options = table(b, |b| {
                b.push_slot(slot(0), w.padding, 0);
                b.push_slot(slot(1), w.stride_width, 0);
                b.push_slot(slot(2), w.stride_height, 0);
                b.push_slot(slot(3), w.kernel_width, 0);
                b.push_slot(slot(4), w.kernel_height, 0);
                b.push_slot(slot(5), activation_code(pool.activation), 0);
            });
            (5, options)
        }
        OperatorKind::FullyConnected(layer) => {
            let keep_num_dims = graph.output(operator).shape != [layer.batches, layer.output_depth];
            let activation = activation_code(layer.output_stage.activation);
            let options = table(b, |b| {
                b.push_slot(slot(0), activation, 0);
                b.push_slot(slot(2), keep_num_dims, false);
            });
            (8, options)
        }
        OperatorKind::Softmax(softmax) => (9, table(b, |b| b.push_slot(slot(0), softmax.beta, 0.0))),
        OperatorKind::Concatenation(concatenation) => {
            let axis = number("the axis", concatenation.axis)?;
            (10, table(b, |b| b.push_slot(slot(0), axis, 0)))
        }
        OperatorKind::Add(add) => (11, activation_options(b, add.activation)),
        OperatorKind::Mul(mul) => (21, activation_options(b, mul.activation)),
        OperatorKind::Sub(sub) => (28, activation_options(b, sub.activation)),
        OperatorKind::Mean(mean) => (27, table(b, |b| b.push_slot(slot(0), mean.keep_dims, false))),
        OperatorKind::Unary(unary) => match unary.function {
            UnaryFunction::LeakyRelu { alpha } => (75, table(b, |b| b.push_slot(slot(0), alpha, 0.0))),
            _ => return Ok(None),
        },
        // Which dimensions go and what the new shape is, the operands and the output say.
        OperatorKind::Pad(_)
        | OperatorKind::Reshape(_)
        | OperatorKind::Quantize(_)
        | OperatorKind::Dequantize(_) => return Ok(None),
    };
    Ok(Some((options_type, options.as_union_value())))
}

/// Options whose first field is the fused activation.
fn activation_options(b: &mut Builder<'_>, activation: Activation) -> Table {
    table(b, |b| b.push_slot(slot(0), activation_code(activation), 0))
}

fn activation_code(activation: Activation) -> i8 {
    match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::ReluN1To1 => 2,
        Activation::Relu6 => 3,
    }
}

/// A window as options hold it.
struct WindowFields {
    padding: i8,
    kernel_height: i32,
    kernel_width: i32,
    stride_height: i32,
    stride_width: i32,
}

impl WindowFields {
    fn of(graph: &Graph, operator: &Operator, window: &Window) -> Result<WindowFields, WriteError> {
        let shape = graph.input(operator, 0).map(|tensor| tensor.shape.as_slice()).unwrap_or_default();
        let &[_, height, width, _] = shape else {
            return Err(WriteError::Rank { layer: operator.name.clone(), shape: shape.into() });
        };
        let matches = |scheme: PaddingScheme| {
            let rows = place(scheme, height, window.kernel_height, window.stride_height);
            let columns = place(scheme, width, window.kernel_width, window.stride_width);
            let (Some((rows, top, bottom)), Some((columns, left, right))) = (rows, columns) else {
                return false;
            };
            let padding = window.padding;
            (padding.top, padding.bottom, padding.left, padding.right) == (top, bottom, left, right)
                && graph.output(operator).shape.get(1..3) == Some(&[rows, columns])
        };
        let padding = match (matches(PaddingScheme::Same), matches(PaddingScheme::Valid)) {
            (true, _) => 0,
            (false, true) => 1,
            _ => {
                let padding =
                    (window.padding.top + window.padding.bottom, window.padding.left + window.padding.right);
                return Err(WriteError::Padding { layer: operator.name.clone(), padding });
            }
        };
        Ok(WindowFields {
            padding,
            kernel_height: number("the kernel height", window.kernel_height)?,
            kernel_width: number("the kernel width", window.kernel_width)?,
            stride_height: number("the stride", window.stride_height)?,
            stride_width: number("the stride", window.stride_width)?,
        })
    }
}
