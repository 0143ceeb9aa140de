//! Model import: an int8 TensorFlow Lite file becomes a typed, checked [`Graph`].
//!
//! ```text
//! .tflite bytes -> tflite::schema (verified flatbuffer access) -> tflite::read (checks, shape inference) -> Graph
//!                                                                                    Graph -> reference::run -> int8 outputs
//! ```
//!
//! What the types promise after a successful read, so that later passes need not check again:
//! * every tensor an operator touches is int8 (weights included) or an int32 bias, with a static shape;
//! * operators are in execution order, and each tensor is written once, before it is read;
//! * output shapes, weight and bias shapes and channel counts fit each other, batch included;
//! * padding is explicit, and every multiplier, zero point and clamping bound is resolved to integers.
//!
//! | module | what it holds |
//! |---|---|
//! | [`graph`] | the typed graph |
//! | [`tflite`] | the reader |
//! | [`error`] | everything that can be wrong with a model |
//! | [`mod@reference`] | a plain executor, bit-exact to TensorFlow Lite Micro |
//! | [`host`] | the operators that run on the host: softmax, reshape |
//! | [`npy`], `npz` | NumPy arrays; archives of them with the feature `npz` |

pub mod error;
pub mod graph;
pub mod host;
pub mod npy;
#[cfg(feature = "npz")]
pub mod npz;
pub mod reference;
pub mod tflite;
pub mod window;

pub use error::{GraphError, LayerProblem, TensorProblem};
pub use graph::{
    Add, Constant, Conv2d, DataType, DepthwiseConv2d, FullyConnected, Graph, Operator, OperatorKind,
    OutputStage, Pool2d, Quantisation, Softmax, Tensor, TensorId,
};
pub use window::{Padding, Window};
