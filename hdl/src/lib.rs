//! The Frugal accelerator as Rust HDL blocks, and the Verilog emitter.
