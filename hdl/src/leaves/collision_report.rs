//! What the simulation says of a row that is read while it is written.
use super::prelude::*;

/// The report of a RAM that does not make it itself, because only some of its readers must not read what is written.
#[derive(LogicBlock, Default)]
pub struct CollisionReport {
    pub clock: Signal<In, Clock>,
    /// A reader that uses the whole row.
    pub read: Signal<In, Bit>,
    pub read_row: Signal<In, Bits<16>>,
    pub write: Signal<In, Bit>,
    pub write_row: Signal<In, Bits<16>>,
}

impl Logic for CollisionReport {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        let check = collision_check("read", "read_row", "write", "write_row");
        Verilog::Custom(format!("`ifndef SYNTHESIS\nalways @(posedge clock) begin\n{check}end\n`endif"))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("collision_report", "Reports a row that is read while it is written; nothing is made of it.")
    }
}

/// The check of a clock edge, of wires.
pub(super) fn collision_check(read: &str, read_row: &str, write: &str, write_row: &str) -> String {
    format!(
        "    if ({read} && {write} && {read_row} == {write_row})\n\
         \x20       $error(\"%m: row %0d is read while it is written\", {read_row});\n"
    )
}
