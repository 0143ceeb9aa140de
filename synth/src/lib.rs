//! Board tops and synthesis recipes.
//!
//! Nothing is in here yet: the accelerator runs in simulation so far. What belongs here, and in `constraints/`, is a top for each board
//! (clock, reset, host link, memory behind the AXI port) and the way from its Verilog to a bitstream with Yosys and nextpnr.
