//! Board tops, synthesis recipes and proofs.
pub mod boards;
pub mod flow;
pub mod formal;
mod layout;
pub mod netlist;
