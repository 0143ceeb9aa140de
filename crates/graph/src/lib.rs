//! Model import: TensorFlow Lite files to a typed graph.
