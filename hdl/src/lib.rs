//! The Frugal accelerator as Rust HDL blocks, and the Verilog emitter.
pub mod emit;
pub mod leaves;
