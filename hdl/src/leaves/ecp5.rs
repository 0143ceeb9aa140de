//! Verilog for Lattice ECP5, which a leaf writes beside its portable text.
//!
//! One file serves all: the text for ECP5 stands behind `` `ifdef FRUGAL_ECP5 ``, which only synthesis for that family defines. Both texts have the
//! same behaviour in every cycle.

/// The macro that chooses the text for ECP5.
pub const MACRO: &str = "FRUGAL_ECP5";

/// One of two texts, chosen when the Verilog is read.
pub(crate) fn choose(ecp5: &str, portable: &str) -> String {
    format!("`ifdef {MACRO}\n{}\n`else\n{}\n`endif", ecp5.trim_end(), portable.trim_end())
}

/// Where a multiplier has registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registers {
    InputsAndOutput,
    Output,
}

/// A signed 18 x 18 bit multiplier with registers of its own, which Yosys does not put there by itself: `product` (36 bits) is `a` times `b`.
/// All three are names of wires. While `zero` is 1, the registers become 0.
pub(crate) fn multiplier(
    name: &str,
    (a, b): (&str, &str),
    product: &str,
    registers: Registers,
    zero: &str,
) -> String {
    let bits = |port: &str, wire: &str, count: usize| -> String {
        (0..count).map(|bit| format!(".{port}{bit}({wire}[{bit}]), ")).collect()
    };
    let inputs = if registers == Registers::InputsAndOutput { "CLK0" } else { "NONE" };
    format!(
        "MULT18X18D #(.REG_INPUTA_CLK(\"{inputs}\"), .REG_INPUTB_CLK(\"{inputs}\"), .REG_OUTPUT_CLK(\"CLK0\")) {name} (\n\
         \x20   {}\n\
         \x20   {}\n\
         \x20   {}\n\
         \x20   .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),\n\
         \x20   .CLK0(clock), .CE0(1'b1), .RST0({zero})\n\
         );",
        bits("A", a, 18).trim_end(),
        bits("B", b, 18).trim_end(),
        bits("P", product, 36).trim_end(),
    )
}

/// The expression `a * b` as a sum of shifted copies of `a`, which Yosys builds from LUTs: multipliers are the scarcer of the two.
///
/// `a` has `a_bits` and `b` has `b_bits`, of which the top one is the sign; the sum has the bits of both.
pub(crate) fn product_in_logic(a: &str, a_bits: usize, b: &str, b_bits: usize) -> String {
    let width = a_bits + b_bits;
    let terms: Vec<String> = (0..b_bits)
        .map(|bit| {
            let sign = match bit {
                0 => "",
                _ if bit == b_bits - 1 => "- ",
                _ => "+ ",
            };
            let zeros = if bit == 0 { String::new() } else { format!(", {bit}'d0") };
            let extension = width - a_bits - bit;
            format!(
                "{sign}({{{width}{{{b}[{bit}]}}}} & {{{{{extension}{{{a}[{}]}}}}, {a}{zeros}}})",
                a_bits - 1
            )
        })
        .collect();
    terms.join("\n    ")
}

/// A 32-bit accumulator: `total <= (first ? 0 : total) + (addend | other)` when `enable`, where `other` is the name of a wire or a zero. Both choices
/// are in the LUTs of the carry chain.
pub(crate) fn accumulator(other: impl Fn(usize) -> String) -> String {
    // A is addend, B other, C total, D first. Bit: (A or B) xor (C and not D). A carry comes from A or B where both sides are equal: that is the cell's
    // two-input half, which sees A and B only, and it is bits 3..0 of the same table, where C and D are 0.
    let init = (0..16)
        .filter(|lut| (lut & 1 | lut >> 1 & 1) ^ (lut >> 2 & 1 & !(lut >> 3) & 1) == 1)
        .fold(0_u32, |init, lut| init | 1 << lut);
    let mut text = String::from("wire [31:0] sum;\nwire [16:0] carry;\nassign carry[0] = 1'b0;\n");
    for slice in 0..16 {
        let (low, high) = (2 * slice, 2 * slice + 1);
        text += &format!(
            "CCU2C #(.INIT0(16'h{init:04x}), .INIT1(16'h{init:04x}), .INJECT1_0(\"NO\"), .INJECT1_1(\"NO\")) slice_{slice} (\n\
             \x20   .CIN(carry[{slice}]), .COUT(carry[{}]), .S0(sum[{low}]), .S1(sum[{high}]),\n\
             \x20   .A0(addend[{low}]), .B0({}), .C0(total[{low}]), .D0(first),\n\
             \x20   .A1(addend[{high}]), .B1({}), .C1(total[{high}]), .D1(first)\n\
             );\n",
            slice + 1,
            other(low),
            other(high),
        );
    }
    text + "always @(posedge clock) if (enable) total <= sum;"
}
