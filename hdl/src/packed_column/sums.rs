//! The roots of a column's trees.

use super::nodes::{sum_less_excess, sum_of_halves};
use super::products::PackedMultiplier;
use crate::emit::describe;
use crate::leaves::ecp5::{self, Registers, Term};
use crate::leaves::sign_extend;
use rust_hdl_core::prelude::*;

/// The roots of both trees, and their sums as they go to the accumulators.
///
/// `four_bit`: (low - excess) times its scale, and high times its own; else low + 16 * high. The high words are halves.
#[derive(LogicBlock)]
pub struct PackedSums {
    pub clock: Signal<In, Clock>,
    // What the roots add: two words each. The excess, which is 0 without `four_bit`, is taken off here, or earlier, with a settled node.
    pub low_a: Signal<In, Bits<32>>,
    pub low_b: Signal<In, Bits<32>>,
    pub excess: Signal<In, Bits<32>>,
    pub high_a: Signal<In, Bits<32>>,
    /// Even if it comes from a settled node.
    pub high_b: Signal<In, Bits<32>>,
    pub four_bit: Signal<In, Bit>,
    // Unsigned.
    pub low_scale: Signal<In, Bits<8>>,
    pub high_scale: Signal<In, Bits<8>>,
    // LATENCY_CYCLES later: the sum of 8-bit weights, or those of 4-bit ones, and 0 in place of the other, so that no choice stands between the
    // multipliers and the accumulators.
    pub plain_sum: Signal<Out, Bits<32>>,
    pub low_sum: Signal<Out, Bits<32>>,
    pub high_sum: Signal<Out, Bits<32>>,
    _rows: usize,
    _is_settled: bool,
    /// Low sum, high sum, scales, mode.
    _operands: (i32, i32, u8, u8, bool),
}

impl PackedSums {
    pub const LATENCY_CYCLES: usize = 2;
    /// On ECP5, columns of more rows multiply by their scales in LUTs: the multipliers are all needed for the rows.
    const MOST_ROWS_WITH_MULTIPLIERS: usize = 8;

    /// Of columns of `rows` multipliers; `is_settled` if `high_b` comes from a settled node.
    pub fn new(rows: usize, is_settled: bool) -> Self {
        Self {
            clock: Signal::default(),
            low_a: Signal::default(),
            low_b: Signal::default(),
            excess: Signal::default(),
            high_a: Signal::default(),
            high_b: Signal::default(),
            four_bit: Signal::default(),
            low_scale: Signal::default(),
            high_scale: Signal::default(),
            plain_sum: Signal::default(),
            low_sum: Signal::default(),
            high_sum: Signal::default(),
            _rows: rows,
            _is_settled: is_settled,
            _operands: (0, 0, 0, 0, false),
        }
    }
}

impl Logic for PackedSums {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let (low, high, low_scale, high_scale, four_bit) = self._operands;
            let (plain, low_sum, high_sum) = match four_bit {
                true => (0, low * i32::from(low_scale), high * i32::from(high_scale)),
                false => (low + 16 * high, 0, 0),
            };
            self.plain_sum.next = u64::from(plain as u32).into();
            self.low_sum.next = u64::from(low_sum as u32).into();
            self.high_sum.next = u64::from(high_sum as u32).into();
            let [low_a, low_b, excess, high_a, high_b] =
                [&self.low_a, &self.low_b, &self.excess, &self.high_a, &self.high_b]
                    .map(|port| port.val().to_u32() as i32);
            let bits = PackedMultiplier::LOW_BITS + self._rows.ilog2() as usize;
            let excess = if self._is_settled { 0 } else { excess };
            let low = low_a.wrapping_add(low_b).wrapping_sub(excess);
            let half = |word: i32| (word >> 1).wrapping_add(word & 1);
            let high = half(high_a).wrapping_add(half(high_b));
            self._operands = (
                sign_extend(low as u32, bits),
                sign_extend(high as u32, bits),
                self.low_scale.val().to_u8(),
                self.high_scale.val().to_u8(),
                self.four_bit.val(),
            );
        }
    }
    fn connect(&mut self) {
        self.plain_sum.connect();
        self.low_sum.connect();
        self.high_sum.connect();
    }
    fn hdl(&self) -> Verilog {
        let bits = PackedMultiplier::LOW_BITS + self._rows.ilog2() as usize;
        let (factors, products);
        if self._rows > PackedSums::MOST_ROWS_WITH_MULTIPLIERS {
            factors = String::new();
            // Three times the sum is made with the sum, so that two bits of the scale choose a term, and two levels of adders add the four.
            products = ["low", "high"].map(|half| {
                let operand = Term { wire: half.into(), bits };
                let (digits, terms) = ecp5::digit_products(
                    &format!("{half}_term"),
                    &operand,
                    &format!("{half}_triple"),
                    &format!("{half}_factor"),
                    4,
                );
                let (sum, total) = ecp5::spaced_sum(&format!("{half}_total"), &terms, 2);
                format!(
                    "reg [{}:0] {half}_triple;\n\
                     always @(posedge clock) {half}_triple <= {{{{2{{{half}_root[{top}]}}}}, {half}_root}} + {{{half}_root[{top}], {half}_root, 1'b0}};\n\
                     {digits}{sum}always @(posedge clock) {half}_product <= scaled ? {}[{}:0] : 0;\n",
                    bits + 1,
                    total.wire,
                    bits + 8,
                    top = bits - 1,
                )
            });
        } else {
            factors = ["low", "high"]
                .map(|half| {
                    format!(
                        "wire [17:0] {half}_operand = {{{{{}{{{half}[{}]}}}}, {half}}};\n\
                         wire [17:0] {half}_scale_operand = {{9'd0, {half}_factor}};\n",
                        18 - bits,
                        bits - 1,
                    )
                })
                .concat();
            products = ["low", "high"].map(|half| {
                let instance = ecp5::multiplier(
                    &format!("{half}_multiplier"),
                    (&format!("{half}_operand"), &format!("{half}_scale_operand")),
                    &format!("{half}_wide"),
                    Registers::Output,
                    "!scaled",
                );
                format!(
                    "wire [35:0] {half}_wide;\n{instance}\nalways @(*) {half}_product = {half}_wide[{}:0];\n",
                    bits + 8
                )
            });
        }
        let ecp5 = format!("{factors}{}", products.concat());
        let roots = if self._is_settled {
            // One carry, which comes out of the lowest place.
            format!(
                "wire [{top}:0] low_root = low_a[{top}:0] + low_b[{top}:0];\n\
                 wire [{bits}:0] high_root_and_one = {{high_a[{bits}:1], 1'b1}} + {{high_b[{bits}:1], high_a[0]}};\n\
                 wire [{top}:0] high_root = high_root_and_one[{bits}:1];\n",
                top = bits - 1,
            )
        } else {
            sum_less_excess("low_root", bits)
                + &sum_of_halves("high_root", bits, (("high_a", "high_b"), bits + 1))
        };
        let portable = "always @(posedge clock) begin\n\
             \x20   low_product <= scaled ? low * low_factor : 0;\n\
             \x20   high_product <= scaled ? high * high_factor : 0;\n\
             end";
        Verilog::Custom(format!(
            "reg signed [{top}:0] low;\n\
             reg signed [{top}:0] high;\n\
             reg signed [8:0] low_factor;\n\
             reg signed [8:0] high_factor;\n\
             reg scaled;\n\
             reg [{sum_top}:0] plain;\n\
             reg signed [{product_top}:0] low_product;\n\
             reg signed [{product_top}:0] high_product;\n\
             {roots}\
             always @(posedge clock) begin\n\
             \x20   low <= low_root;\n\
             \x20   high <= high_root;\n\
             \x20   low_factor <= {{1'b0, low_scale}};\n\
             \x20   high_factor <= {{1'b0, high_scale}};\n\
             \x20   scaled <= four_bit;\n\
             \x20   plain <= scaled ? 0 : {{{{4{{low[{top}]}}}}, low}} + {{high, 4'd0}};\n\
             end\n\
             {products}\n\
             assign low_sum = {{{{{product_extension}{{low_product[{product_top}]}}}}, low_product}};\n\
             assign high_sum = {{{{{product_extension}{{high_product[{product_top}]}}}}, high_product}};\n\
             assign plain_sum = {{{{{sum_extension}{{plain[{sum_top}]}}}}, plain}};",
            products = ecp5::choose(&ecp5, portable),
            top = bits - 1,
            sum_top = bits + 3,
            product_top = bits + 8,
            product_extension = 32 - (bits + 9),
            sum_extension = 32 - (bits + 4),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("packed_sums_{}{}", self._rows, if self._is_settled { "_one_carry" } else { "" }),
            "The roots of both trees; the sums of 8-bit weights combined, of 4-bit ones multiplied by their scales.",
        )
    }
}
