//! TensorFlow Lite files: `schema` is verified access to one, [`read`] checks it and builds the graph, [`fn@write`] writes a
//! graph for other implementations.

mod read;
pub(crate) mod schema;
mod write;

pub use read::{read, MAX_TENSOR_ELEMENTS, SUPPORTED_OPERATORS};
pub use write::{write, WriteError};
