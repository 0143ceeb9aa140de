//! Verilated models, AXI memory model and the simulated device.
