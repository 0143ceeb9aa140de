//! The TensorFlow Lite reader: `schema` is verified access to the file, [`read`] checks it and builds the graph.

mod read;
pub(crate) mod schema;

pub use read::{read, MAX_TENSOR_ELEMENTS, SUPPORTED_OPERATORS};
