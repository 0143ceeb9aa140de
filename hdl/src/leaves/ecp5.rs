//! Verilog for Lattice ECP5, which a leaf writes beside its portable text.
//!
//! One file serves all: the text for ECP5 stands behind `` `ifdef FRUGAL_ECP5 ``, which only synthesis for that family defines. Both texts have the
//! same behaviour in every cycle.

use frugal_isa::Config;

/// The macro that chooses the text for ECP5.
pub const MACRO: &str = "FRUGAL_ECP5";

/// 18 x 18 bit multipliers of the largest chip.
const MULTIPLIERS: usize = 156;

/// Whether a configuration is so wide that its array and its weights take most of the largest chip's multipliers and block RAMs: what else can be
/// made of LUTs then is.
pub(crate) fn is_crowded(lanes: usize) -> bool {
    lanes > 4
}

/// Products of the MAC array that are made of LUTs because the largest chip's multipliers do not suffice. None if it lacks more than a few.
pub(crate) fn products_in_logic(config: &Config) -> usize {
    // Three for each requantising lane, one for each lane of the row engine, one for its scalars, one for patches.
    let others = 3 * config.lanes + usize::from(config.row_engine) * (config.lanes + 2);
    let missing = (config.rows * config.cols + others).saturating_sub(MULTIPLIERS);
    if missing <= config.rows {
        missing
    } else {
        0
    }
}

/// Block RAMs of the largest chip.
const BLOCK_RAMS: usize = 208;

/// Block RAMs of a memory of `depth` rows of `bytes` bytes, each with an enable: one has four bytes of 512 rows, two of 1024, one of 2048.
fn block_rams(depth: usize, bytes: usize) -> usize {
    match depth {
        ..=512 => bytes.div_ceil(4),
        513..=1024 => bytes.div_ceil(2),
        _ => bytes * depth.div_ceil(2048),
    }
}

/// Pairs of lanes whose lookup tables are made of LUTs because the largest chip's block RAMs are taken: by the other memories of a configuration and by the
/// host link's packet.
pub(crate) fn lookups_in_luts(config: &Config) -> usize {
    if !is_crowded(config.lanes) {
        return 0;
    }
    let Config { rows, cols, lanes, .. } = *config;
    let scales = if config.four_bit { block_rams(config.scale_depth(), 2 * cols) } else { 0 };
    let others = block_rams(config.weight_depth, rows * cols)
        + scales
        + 2 * block_rams(config.activation_depth / 2, rows)
        + block_rams(config.accumulator_depth, 4 * lanes)
        + block_rams(config.parameter_depth, 10 * lanes)
        + 1;
    (lanes / 2).saturating_sub(BLOCK_RAMS.saturating_sub(others))
}

/// One of two texts, chosen when the Verilog is read.
pub(crate) fn choose(ecp5: &str, portable: &str) -> String {
    choose_family(&[(MACRO, ecp5)], portable)
}

/// The text of the family whose macro is defined, or the portable one.
pub(crate) fn choose_family(families: &[(&str, &str)], portable: &str) -> String {
    let mut text = String::new();
    for (number, (family, own)) in families.iter().enumerate() {
        let word = if number == 0 { "ifdef" } else { "elsif" };
        text += &format!("`{word} {family}\n{}\n", own.trim_end());
    }
    text + &format!("`else\n{}\n`endif", portable.trim_end())
}

/// Where a multiplier has registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registers {
    /// At the inputs, in the middle and at the output.
    All,
    InputsAndOutput,
    /// In front of an ALU, which takes the place of the output's.
    InputsAndMiddle,
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
    multiplier_cell(name, (a, b), product, registers, zero, "")
}

/// The same with more pins.
fn multiplier_cell(
    name: &str,
    (a, b): (&str, &str),
    product: &str,
    registers: Registers,
    zero: &str,
    more: &str,
) -> String {
    let clock = |has| if has { "CLK0" } else { "NONE" };
    let inputs = clock(registers != Registers::Output);
    let middle = clock(matches!(registers, Registers::All | Registers::InputsAndMiddle));
    let output = clock(registers != Registers::InputsAndMiddle);
    format!(
        "MULT18X18D #(.REG_INPUTA_CLK(\"{inputs}\"), .REG_INPUTB_CLK(\"{inputs}\"), .REG_PIPELINE_CLK(\"{middle}\"), .REG_OUTPUT_CLK(\"{output}\")) {name} (\n\
         \x20   {},\n\
         \x20   {},\n\
         \x20   {},\n\
         {more}\
         \x20   .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),\n\
         \x20   .CLK0(clock), .CE0(1'b1), .RST0({zero})\n\
         );",
        pins("A", a, 18),
        pins("B", b, 18),
        pins("P", product, 36),
    )
}

/// The pins of a port, one for each bit of a wire.
fn pins(port: &str, wire: &str, count: usize) -> String {
    (0..count).map(|bit| format!(".{port}{bit}({wire}[{bit}])")).collect::<Vec<_>>().join(", ")
}

/// Bits of an ALU.
pub(crate) const ALU_BITS: usize = 54;

/// A DSP slice, two signed multipliers and the ALU that adds up their products: `name`, a wire of [`ALU_BITS`] that is declared here, is the sum of both
/// products of `factors` (18 bits) three clock edges ago, and of `addend` ([`ALU_BITS`]) two edges ago. All are names of wires.
///
/// nextpnr has no delays of an ALU. So whatever enters or leaves the slice does so through a register: the multipliers' and the addend's own inside, and one
/// of the reader's, who takes nothing but a wire to it.
pub(crate) fn slice(name: &str, factors: [(&str, &str); 2], addend: Option<&str>) -> String {
    let mut text = format!("wire [{}:0] {name};\n", ALU_BITS - 1);
    let mut operands = String::new();
    for (factors, side) in factors.into_iter().zip(["a", "b"]) {
        let at = format!("{name}_{side}");
        let upper = side.to_uppercase();
        // nextpnr wants to see the wires that the slice has anyhow: the operands, which the ALU leaves alone, the product, and that it is signed.
        text += &format!(
            "wire [35:0] {at}_product;\nwire [35:0] {at}_operands;\nwire {at}_signed;\n{}\n",
            multiplier_cell(
                &format!("{at}_multiplier"),
                factors,
                &format!("{at}_product"),
                Registers::InputsAndMiddle,
                "1'b0",
                &format!(
                    "    {},\n    {},\n    .SIGNEDP({at}_signed),\n",
                    pins("ROA", &format!("{at}_operands"), 18),
                    (0..18)
                        .map(|bit| format!(".ROB{bit}({at}_operands[{}])", bit + 18))
                        .collect::<Vec<_>>()
                        .join(", "),
                ),
            ),
        );
        operands += &format!(
            "    {},\n    {},\n    .SIGNEDI{upper}({at}_signed),\n",
            pins(&upper, &format!("{at}_operands"), 36),
            pins(&format!("M{upper}"), &format!("{at}_product"), 36),
        );
    }
    // Operation 0100 adds three operands: product A (01), product B (01), and C (011) or nothing (000).
    let operation: u32 = 0b0100 << 7 | if addend.is_some() { 0b011 << 4 } else { 0 } | 0b01 << 2 | 0b01;
    let operation: Vec<String> =
        (0..11).map(|bit| format!(".OP{bit}(1'b{})", operation >> bit & 1)).collect();
    let addend = addend.map(|wire| format!("    {},\n", pins("C", wire, ALU_BITS))).unwrap_or_default();
    text + &format!(
        "ALU54B #(.REG_INPUTC0_CLK(\"CLK0\"), .REG_INPUTC1_CLK(\"CLK0\"), .REG_OUTPUT0_CLK(\"CLK0\"), .REG_OUTPUT1_CLK(\"CLK0\")) {name}_alu (\n\
         {operands}\
         {addend}\
         \x20   {},\n\
         \x20   {},\n\
         \x20   .CLK0(clock), .CE0(1'b1), .RST0(1'b0)\n\
         );\n",
        operation.join(", "),
        pins("R", name, ALU_BITS),
    )
}

/// Depths of a memory that [`registered_memory`] makes without a choice among block RAMs and without leaving half of them empty.
pub(crate) const REGISTERED_DEPTHS: std::ops::RangeInclusive<usize> = 513..=2048;

/// A memory of block RAMs with their own registers behind the row, which Yosys does not use: `output` is what `read_enable` and `read_index` asked for two
/// clock edges ago. Rows of `bytes` bytes are written from the wires `data`, `enable` (of each byte), `write_index` and `valid`.
///
/// Bytes lie side by side, one or two in a block RAM, as the depth has it; port A writes, port B reads.
pub(crate) fn registered_memory(depth: usize, bytes: usize, output: &str) -> String {
    debug_assert!(REGISTERED_DEPTHS.contains(&depth), "depth {depth}");
    let lanes = if depth <= 1024 { 2 } else { 1 };
    let (width, lowest) = (9 * lanes, 2 + lanes);
    let used = (depth - 1).ilog2() as usize + 1;
    let mut text = String::new();
    for first in (0..bytes).step_by(lanes) {
        let mut pins = Vec::new();
        // Below the address, port A has the enables of a word's bytes. A single byte's enable is the block RAM's.
        for bit in 0..14_usize {
            let index = |wire: &str| match bit.checked_sub(lowest) {
                Some(at) if at < used => format!("{wire}[{at}]"),
                _ => "1'b0".into(),
            };
            let below = if bit < lanes && lanes > 1 {
                format!("enable[{}]", first + bit)
            } else {
                index("write_index")
            };
            pins.push(format!(".ADA{bit}({below}), .ADB{bit}({})", index("read_index")));
        }
        for lane in 0..lanes {
            for bit in 0..8 {
                let (pin, of_row) = (9 * lane + bit, 8 * (first + lane) + bit);
                pins.push(format!(".DIA{pin}(data[{of_row}]), .DOB{pin}({output}[{of_row}])"));
            }
        }
        let unused = (0..18).filter(|pin| pin % 9 == 8 || pin / 9 >= lanes);
        pins.extend(unused.map(|pin| format!(".DIA{pin}(1'b0)")));
        let writes = if lanes == 1 { format!("valid && enable[{first}]") } else { "valid".into() };
        text += &format!(
            "DP16KD #(.DATA_WIDTH_A({width}), .DATA_WIDTH_B({width}), .REGMODE_B(\"OUTREG\"), .GSR(\"AUTO\")) bytes_{first} (\n\
             \x20   .CLKA(clock), .CEA(1'b1), .OCEA(1'b0), .WEA({writes}), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),\n\
             \x20   .CLKB(clock), .CEB(read_enable), .OCEB(1'b1), .WEB(1'b0), .RSTB(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),\n\
             \x20   {}\n\
             );\n",
            pins.join(",\n    ")
        );
    }
    text
}

/// `sum = a + b` or `sum = a - b` where `b` counts while `gate` is 1: one carry chain, with the gate in the chain's own LUTs, which Yosys does not do by
/// itself. `a` and `b` are names of wires of `width` bits, and so is `sum`, which is declared here.
fn gated_sum(sum: &str, width: usize, (a, b): (&str, &str), gate: &str, is_negative: bool) -> String {
    // A is a, B is b, C the gate, and D is 1. A carry comes from a where both sides are equal: that is the cell's two-input half, which is bits 3..0 of
    // the same table, where D would be 0.
    let bit = |lut: u32| match lut & 8 {
        0 => lut & 1,
        _ => (lut & 1) ^ (lut >> 1 & lut >> 2 & 1) ^ u32::from(is_negative),
    };
    let init = (0..16).filter(|lut| bit(*lut) == 1).fold(0_u32, |init, lut| init | 1 << lut);
    let slices = width.div_ceil(2);
    let mut text = format!(
        "wire [{}:0] {sum}_s;\nwire [{slices}:0] {sum}_c;\nassign {sum}_c[0] = 1'b{};\nwire [{}:0] {sum} = {sum}_s[{}:0];\n",
        2 * slices - 1,
        u32::from(is_negative),
        width - 1,
        width - 1
    );
    for slice in 0..slices {
        let pins = |half: usize| {
            let at = 2 * slice + half;
            // Beyond the top there is nothing to add.
            let of = |wire: &str| if at < width { format!("{wire}[{at}]") } else { "1'b0".into() };
            format!(
                ".S{half}({sum}_s[{at}]), .A{half}({}), .B{half}({}), .C{half}({gate}), .D{half}(1'b1)",
                of(a),
                of(b)
            )
        };
        text += &format!(
            "CCU2C #(.INIT0(16'h{init:04x}), .INIT1(16'h{init:04x}), .INJECT1_0(\"NO\"), .INJECT1_1(\"NO\")) {sum}_{slice} (\n\
             \x20   .CIN({sum}_c[{slice}]), .COUT({sum}_c[{}]),\n\x20   {},\n\x20   {}\n);\n",
            slice + 1,
            pins(0),
            pins(1)
        );
    }
    text
}

/// `{count}` copies of a wire's top bit, and the wire's bits from `from` on.
fn extended(wire: &str, wire_bits: usize, from: usize, width: usize) -> String {
    let own = wire_bits - from;
    format!("{{{{{}{{{wire}[{}]}}}}, {wire}[{}:{from}]}}", width - own, wire_bits - 1, wire_bits - 1)
}

/// A wire with a signed value.
#[derive(Clone)]
pub(crate) struct Term {
    pub(crate) wire: String,
    pub(crate) bits: usize,
}

/// Rows of a product that are added up one after the other.
pub(crate) const GROUP_ROWS: usize = 4;

/// The sums of [`GROUP_ROWS`] neighbouring rows each of the product of two wires, built from LUTs: multipliers are the scarcer of the two. `a` is signed; of
/// `b`, the top bit is a sign if `b_is_signed`. The text declares what the terms name.
pub(crate) fn product_rows(name: &str, a: &Term, b: &Term, b_is_signed: bool) -> (String, Vec<Term>) {
    let mut text = String::new();
    let mut groups = Vec::new();
    let width = a.bits + 1;
    text += &format!("wire [{}:0] {name}_a = {};\n", width - 1, extended(&a.wire, a.bits, 0, width));
    for first in (0..b.bits).step_by(GROUP_ROWS) {
        let mut sum = Term { wire: format!("{name}_g{first}"), bits: width };
        // A group that began with the sign would have to be negated here.
        assert!(first + 1 < b.bits || !b_is_signed, "the sign of {} is in a group of its own", b.wire);
        text += &format!(
            "wire [{}:0] {} = {name}_a & {{{width}{{{}[{first}]}}}};\n",
            width - 1,
            sum.wire,
            b.wire
        );
        for row in first + 1..(first + GROUP_ROWS).min(b.bits) {
            let shift = row - first;
            let next = format!("{name}_g{first}_{shift}");
            text += &format!(
                "wire [{}:0] {next}_h = {};\n",
                width - 1,
                extended(&sum.wire, sum.bits, shift, width)
            );
            let is_negative = b_is_signed && row == b.bits - 1;
            let operands = (format!("{next}_h"), format!("{name}_a"));
            let gate = format!("{}[{row}]", b.wire);
            text += &gated_sum(&format!("{next}_t"), width, (&operands.0, &operands.1), &gate, is_negative);
            text += &format!(
                "wire [{}:0] {next} = {{{next}_t, {}[{}:0]}};\n",
                width + shift - 1,
                sum.wire,
                shift - 1
            );
            sum = Term { wire: next, bits: width + shift };
        }
        groups.push(sum);
    }
    (text, groups)
}

/// The products of a signed wire with the digits of an unsigned one of `digits` times two bits, built from LUTs; `triple` is three times the signed one, with
/// two bits more. Half as many terms as [`product_rows`] has rows.
pub(crate) fn digit_products(
    name: &str,
    a: &Term,
    triple: &str,
    b: &str,
    digits: usize,
) -> (String, Vec<Term>) {
    let (x, top) = (&a.wire, a.bits - 1);
    let mut text = String::new();
    let mut terms = Vec::new();
    for digit in 0..digits {
        let term = Term { wire: format!("{name}_{digit}"), bits: a.bits + 2 };
        let (low, high) = (2 * digit, 2 * digit + 1);
        text += &format!(
            "wire [{}:0] {} = {b}[{high}] ? ({b}[{low}] ? {triple} : {{{x}[{top}], {x}, 1'b0}}) : ({b}[{low}] ? {{{{2{{{x}[{top}]}}}}, {x}}} : 0);\n",
            term.bits - 1,
            term.wire,
        );
        terms.push(term);
    }
    (text, terms)
}

/// The sum of terms that are each `spacing` bits left of the one before.
pub(crate) fn spaced_sum(name: &str, terms: &[Term], spacing: usize) -> (String, Term) {
    let mut text = String::new();
    let mut terms = terms.to_vec();
    let mut spacing = spacing;
    let mut level = 0;
    while terms.len() > 1 {
        let pairs: Vec<Term> = terms
            .chunks(2)
            .enumerate()
            .map(|(number, pair)| {
                let [low, high] = pair else { return pair[0].clone() };
                let sum = format!("{name}_l{level}_{number}");
                // Both fit, and their sum.
                let width = (low.bits - spacing).max(high.bits) + 1;
                text += &format!(
                    "wire [{top}:0] {sum}_a = {};\nwire [{top}:0] {sum}_b = {};\n",
                    extended(&low.wire, low.bits, spacing, width),
                    extended(&high.wire, high.bits, 0, width),
                    top = width - 1
                );
                text += &gated_sum(
                    &format!("{sum}_t"),
                    width,
                    (&format!("{sum}_a"), &format!("{sum}_b")),
                    "1'b1",
                    false,
                );
                text += &format!(
                    "wire [{}:0] {sum} = {{{sum}_t, {}[{}:0]}};\n",
                    width + spacing - 1,
                    low.wire,
                    spacing - 1
                );
                Term { wire: sum, bits: width + spacing }
            })
            .collect();
        terms = pairs;
        spacing *= 2;
        level += 1;
    }
    (text, terms.remove(0))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of the largest chip is counted right where it matters: `base` has 205 block RAMs without its lookup tables.
    #[test]
    fn lookup_tables_take_the_last_block_rams() {
        let pairs = |name| lookups_in_luts(&Config::preset(name).unwrap());
        assert_eq!(["nano", "base", "large", "huge"].map(pairs), [0, 1, 4, 8]);
    }
}
