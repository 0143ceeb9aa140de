//! Verilog for iCE40 UltraPlus chips, which a leaf writes beside its portable text, behind `` `ifdef FRUGAL_ICE40 `` (see [`super::ecp5`]).

/// The macro that chooses the text for iCE40 UltraPlus.
pub const MACRO: &str = "FRUGAL_ICE40";

/// Rows of an `SB_SPRAM256KA`, 16 bits each.
pub const SPRAM_ROWS: usize = 16384;

/// An `SB_MAC16` as two signed products of 8 bits without registers: bits 15..0 of `products` are the low bytes', bits 31..16 the high bytes'.
/// All names are those of wires.
pub(crate) fn byte_products(name: &str, (a, b): (&str, &str), products: &str) -> String {
    format!(
        "SB_MAC16 #(\n\
         \x20   .MODE_8x8(1'b1), .A_SIGNED(1'b1), .B_SIGNED(1'b1), .TOPOUTPUT_SELECT(2'b10), .BOTOUTPUT_SELECT(2'b10)\n\
         ) {name} (\n\
         \x20   .CLK(1'b0), .CE(1'b0), .A({a}), .B({b}), .C(16'd0), .D(16'd0), .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0),\n\
         \x20   .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0), .OLOADTOP(1'b0), .OLOADBOT(1'b0),\n\
         \x20   .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .OHOLDTOP(1'b0), .OHOLDBOT(1'b0), .CI(1'b0), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0),\n\
         \x20   .O({products}), .CO(), .ACCUMCO(), .SIGNEXTOUT()\n\
         );\n"
    )
}

/// A half of a word of single-port RAM. A bit of MASKWREN is four bits of data. All names are those of wires.
pub(crate) fn spram(
    name: &str,
    (enable, write): (&str, &str),
    mask: &str,
    (data, output): (&str, &str),
) -> String {
    format!(
        "SB_SPRAM256KA {name} (\n\
         \x20   .CLOCK(clock), .CHIPSELECT({enable}), .WREN({write}), .MASKWREN({mask}), .ADDRESS(row), .DATAIN({data}), .DATAOUT({output}),\n\
         \x20   .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1)\n\
         );\n"
    )
}
