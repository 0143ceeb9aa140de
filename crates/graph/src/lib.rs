//! Model import: an int8 TensorFlow Lite file becomes a typed, checked [`Graph`].
//!
//! ```text
//! .tflite bytes -> tflite::schema (verified flatbuffer access) -> tflite::read (checks, shape inference) -> Graph
//!                                                                                    Graph -> reference::run -> int8 outputs
//! ```
//!
//! What the types promise after a successful read, so that later passes need not check again:
//! * every tensor an operator touches is int8 (weights included) or int32 (a bias, a shape, axes), with a static shape;
//!   only an input or an output of the graph may be float32 or uint8, with a QUANTIZE or DEQUANTIZE next to it;
//! * operators are in execution order, and each tensor is written once, before it is read;
//! * output shapes, weight and bias shapes and channel counts fit each other, batch included;
//! * padding is explicit, and every multiplier, zero point and clamping bound is resolved to integers.
//!
//! | module | what it holds |
//! |---|---|
//! | [`graph`], [`operator`] | the typed graph; what its layers compute |
//! | [`tflite`] | the reader |
//! | [`error`] | everything that can be wrong with a model |
//! | [`mod@reference`] | a plain executor, bit-exact to TensorFlow Lite Micro |
//! | [`host`] | the operators that run on the host: softmax, reshape, the borders to float32 and uint8 |
//! | [`window`], [`shape`] | kernels, strides and padding; broadcasting |
//! | `random` | random networks for tests, with the feature `random` |
//! | `zoo` | networks of published shapes with random weights, with the feature `zoo` |
//! | [`npy`], `npz` | NumPy arrays; archives of them with the feature `npz` |

pub mod error;
pub mod graph;
pub mod host;
pub mod npy;
#[cfg(feature = "npz")]
pub mod npz;
pub mod operator;
#[cfg(feature = "random")]
pub mod random;
pub mod reference;
pub mod shape;
pub mod tflite;
pub mod window;
#[cfg(feature = "zoo")]
pub mod zoo;

pub use error::{GraphError, LayerProblem, TensorProblem};
pub use graph::{Constant, DataType, Graph, Operator, Quantisation, Tensor, TensorId};
pub use operator::{
    Add, Concatenation, Conv2d, DepthwiseConv2d, FullyConnected, Mean, Mul, OperatorKind, OutputStage, Pad,
    Pool2d, Quantize, Reshape, Softmax, Sub, Unary, UnaryFunction,
};
pub use window::{Padding, Window};
