//! Verilog for Gowin chips, which a leaf writes beside its portable text, behind `` `ifdef FRUGAL_GOWIN `` (see [`super::ecp5`]).

/// The macro that chooses the text for Gowin.
pub const MACRO: &str = "FRUGAL_GOWIN";

/// Sizes of a multiplier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Multiplier {
    /// 9 x 9 bits, 18 out.
    Nine,
    /// 18 x 18 bits, 36 out.
    Eighteen,
}

/// A signed multiplier with registers of its own at the inputs and at the output, which Yosys would make of
/// flip-flops, of which these chips have fewer than LUTs. `registers`: at the inputs, and in the middle. All names are those of wires.
pub(crate) fn multiplier(
    size: Multiplier,
    name: &str,
    (a, b): (&str, &str),
    product: &str,
    registers: (bool, bool),
) -> String {
    let (cell, zeros) = match size {
        Multiplier::Nine => ("MULT9X9", "9'd0"),
        Multiplier::Eighteen => ("MULT18X18", "18'd0"),
    };
    let (inputs, middle) = (u8::from(registers.0), u8::from(registers.1));
    format!(
        "{cell} #(\n\
         \x20   .AREG(1'b{inputs}), .BREG(1'b{inputs}), .PIPE_REG(1'b{middle}), .OUT_REG(1'b1),\n\
         \x20   .ASIGN_REG(1'b0), .BSIGN_REG(1'b0), .SOA_REG(1'b0), .MULT_RESET_MODE(\"SYNC\")\n\
         ) {name} (\n\
         \x20   .A({a}), .B({b}), .SIA({zeros}), .SIB({zeros}), .ASIGN(1'b1), .BSIGN(1'b1), .ASEL(1'b0), .BSEL(1'b0),\n\
         \x20   .CE(1'b1), .CLK(clock), .RESET(1'b0), .DOUT({product}), .SOA(), .SOB()\n\
         );"
    )
}
