//! Verilated models, AXI memory model and the simulated device.

pub mod axi;
pub mod device;
