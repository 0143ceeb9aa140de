//! Integer requantisation, bit-exact to TensorFlow Lite Micro.
