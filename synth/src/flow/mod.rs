//! From Verilog to timing figures.
pub mod block;
