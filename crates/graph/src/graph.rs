//! The typed graph.

use std::fmt;
use std::ops::Index;

use crate::operator::OperatorKind;

/// A model with one input per entry of `inputs`, its operators in execution order.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The name in the file, or `main`.
    pub name: String,
    pub tensors: Vec<Tensor>,
    pub operators: Vec<Operator>,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
}

/// An index into [`Graph::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub usize);

/// An activation or a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The name in the file; may be empty, need not be unique.
    pub name: String,
    /// Sizes from the outermost to the innermost dimension; activations are NHWC.
    pub shape: Vec<usize>,
    pub data_type: DataType,
    /// How integers stand for real numbers; absent in a tensor that does not (a shape).
    pub quantisation: Option<Quantisation>,
    /// The elements of a constant int8 or int32 tensor; absent in an activation.
    pub data: Option<Constant>,
}

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    I8,
    /// Of a graph input or output only.
    U8,
    I32,
    /// Of a graph input or output only.
    F32,
    /// Any other type, by its number in the TensorFlow Lite schema. No supported operator accepts it.
    Other(i8),
}

/// The elements of a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    I8(Vec<i8>),
    I32(Vec<i32>),
}

/// Affine quantisation: `real = scale * (quantised - zero_point)`.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantisation {
    PerTensor {
        scale: f32,
        zero_point: i32,
    },
    /// One scale and zero point for each index along dimension `axis`.
    PerChannel {
        scales: Vec<f32>,
        zero_points: Vec<i32>,
        axis: usize,
    },
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// The position in execution order, from zero.
    pub index: usize,
    /// The name in messages and in files of expected outputs: `op03_ADD`.
    pub name: String,
    pub kind: OperatorKind,
    /// The operands in TensorFlow Lite's order; `None` is an optional operand left out (a bias).
    pub inputs: Vec<Option<TensorId>>,
    pub outputs: Vec<TensorId>,
}

impl Graph {
    /// The tensor an operator reads at `position`, if it is there.
    #[must_use]
    pub fn input(&self, operator: &Operator, position: usize) -> Option<&Tensor> {
        operator.inputs.get(position).copied().flatten().map(|id| &self[id])
    }

    /// The tensor an operator writes; every supported operator has one.
    #[must_use]
    pub fn output(&self, operator: &Operator) -> &Tensor {
        &self[operator.outputs[0]]
    }

    /// The weights of a convolution or a fully connected layer.
    #[must_use]
    pub fn weights(&self, operator: &Operator) -> Option<&[i8]> {
        operator.kind.has_weights().then(|| self.input(operator, 1)?.as_i8()).flatten()
    }

    /// The bias of a convolution or a fully connected layer, unless it has none.
    #[must_use]
    pub fn bias(&self, operator: &Operator) -> Option<&[i32]> {
        operator.kind.has_weights().then(|| self.input(operator, 2)?.as_i32()).flatten()
    }

    /// Multiply-accumulate operations of one layer; zero for a layer without weights. Padding counts as computed.
    #[must_use]
    pub fn multiply_accumulates(&self, operator: &Operator) -> u64 {
        let per_output = match &operator.kind {
            OperatorKind::Conv2d(_) => {
                self.input(operator, 1).map_or(0, |weights| weights.shape[1..].iter().product::<usize>())
            }
            OperatorKind::DepthwiseConv2d(depthwise) => {
                depthwise.window.kernel_height * depthwise.window.kernel_width
            }
            OperatorKind::FullyConnected(layer) => layer.input_depth,
            _ => 0,
        };
        self.output(operator).element_count() as u64 * per_output as u64
    }
}

impl Index<TensorId> for Graph {
    type Output = Tensor;

    fn index(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }
}

impl Tensor {
    /// The product of the sizes; one for a scalar.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements of a constant int8 tensor.
    #[must_use]
    pub fn as_i8(&self) -> Option<&[i8]> {
        match &self.data {
            Some(Constant::I8(elements)) => Some(elements),
            _ => None,
        }
    }

    /// The elements of a constant int32 tensor.
    #[must_use]
    pub fn as_i32(&self) -> Option<&[i32]> {
        match &self.data {
            Some(Constant::I32(elements)) => Some(elements),
            _ => None,
        }
    }

    /// Scale and zero point of a tensor that has one of each.
    #[must_use]
    pub fn per_tensor(&self) -> Option<(f32, i32)> {
        match self.quantisation {
            Some(Quantisation::PerTensor { scale, zero_point }) => Some((scale, zero_point)),
            _ => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::I8 => f.write_str("int8"),
            DataType::U8 => f.write_str("uint8"),
            DataType::I32 => f.write_str("int32"),
            DataType::F32 => f.write_str("float32"),
            DataType::Other(code) => match crate::tflite::schema::tensor_type_name(*code) {
                Some(name) => f.write_str(name),
                None => write!(f, "type {code}"),
            },
        }
    }
}
