//! Verilated models, AXI memory model and the simulated device.

pub mod accelerator;
pub mod axi;
pub mod board;
pub mod compare;
pub mod device;
pub mod netlist;
#[cfg(target_os = "linux")]
pub mod pty;
pub mod random;
pub mod sdram;
pub mod verilated;
