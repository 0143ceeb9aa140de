//! Products of activations with both halves of a weight byte, together in one word, and sums of them.

use crate::emit::describe;
use crate::leaves::ecp5::{self, Registers, Term};
use crate::leaves::{inputs, outputs, sign_extend};
use rust_hdl_core::prelude::*;
use std::collections::VecDeque;

/// Products of an activation with both nibbles of a weight, in one multiplication of 8 x 18 bits.
#[derive(LogicBlock, Default)]
pub struct PackedMultiplier {
    pub clock: Signal<In, Clock>,
    pub activation: Signal<In, Bits<8>>,
    pub weight: Signal<In, Bits<8>>,
    /// The low nibble is a weight of its own: its top bit is inverted.
    pub four_bit: Signal<In, Bit>,
    /// Activation times `high * 2^14 + low`, the low nibble being 0..=15, sign-extended from 26 bits.
    pub product: Signal<Out, Bits<32>>,
    _operands: (i8, u8),
    _in_logic: bool,
}

impl PackedMultiplier {
    pub const LATENCY_CYCLES: usize = 2;
    /// One that is made of LUTs, where the chip has no multiplier left.
    pub fn in_logic() -> Self {
        Self { _in_logic: true, ..Self::default() }
    }

    /// Place of the high nibble.
    pub const SHIFT: usize = 14;
    /// Bits of a product.
    pub const BITS: usize = PackedMultiplier::SHIFT + 12;
    /// Bits of a low product.
    pub const LOW_BITS: usize = 12;
    /// Bits of a high product in halves.
    pub const HIGH_BITS: usize = 13;
    /// Levels of an adder tree above which the low sum no longer fits below the high one.
    pub const PACKED_LEVELS: usize = PackedMultiplier::SHIFT - PackedMultiplier::LOW_BITS;
}

impl Logic for PackedMultiplier {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let (activation, weight) = self._operands;
            let product = i32::from(activation) * PackedMultiplier::packed(weight);
            self.product.next = u64::from(product as u32).into();
            let inverted = if self.four_bit.val() { 8 } else { 0 };
            self._operands = (self.activation.val().to_u8() as i8, self.weight.val().to_u8() ^ inverted);
        }
    }
    fn connect(&mut self) {
        self.product.connect();
    }
    fn hdl(&self) -> Verilog {
        let portable = "reg signed [7:0] activation_operand;\n\
             reg [7:0] weight_operand;\n\
             reg signed [25:0] packed_product;\n\
             wire signed [17:0] packed_weights = {weight_operand[7:4], 10'd0, weight_operand[3:0]};\n\
             always @(posedge clock) begin\n\
             \x20   activation_operand <= activation;\n\
             \x20   weight_operand <= {weight[7:4], weight[3] ^ four_bit, weight[2:0]};\n\
             \x20   packed_product <= activation_operand * packed_weights;\n\
             end";
        let instance = ecp5::multiplier(
            "multiplier",
            ("factor", "packed_weights"),
            "packed_product",
            Registers::InputsAndOutput,
            "1'b0",
        );
        let ecp5 = format!(
            "wire [17:0] factor = {{{{10{{activation[7]}}}}, activation}};\n\
             wire [17:0] packed_weights = {{weight[7:4], 10'd0, weight[3] ^ four_bit, weight[2:0]}};\n\
             wire [35:0] packed_product;\n\
             {instance}"
        );
        let ecp5 = if self._in_logic { Self::rows_of_luts() } else { ecp5 };
        Verilog::Custom(format!(
            "{}\nassign product = {{{{6{{packed_product[25]}}}}, packed_product[25:0]}};",
            ecp5::choose(&ecp5, portable)
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "packed_multiplier",
            "Products of an activation with the high nibble of a weight byte, signed, and the low one, 0 to 15,\n\
             in one multiplication: 2^14 times the one, plus the other.",
        )
    }
}

impl PackedMultiplier {
    /// What stands for both nibbles of a weight in one factor.
    fn packed(weight: u8) -> i32 {
        (i32::from(weight as i8 >> 4) << Self::SHIFT) + i32::from(weight & 15)
    }

    /// Both products from rows of LUTs, and the low one's sign below the high one.
    fn rows_of_luts() -> String {
        let term = |wire: &str, bits| Term { wire: wire.into(), bits };
        let (low, low_sum) =
            ecp5::product_rows("low", &term("activation_operand", 8), &term("low_nibble", 4), false);
        let (high, high_sum) =
            ecp5::product_rows("high", &term("activation_operand", 8), &term("high_nibble", 4), true);
        let (low_sum, high_sum) = (&low_sum[0], &high_sum[0]);
        format!(
            "reg [7:0] activation_operand;\n\
             reg [3:0] low_nibble;\n\
             reg [3:0] high_nibble;\n\
             reg [25:0] packed_product;\n\
             {low}{high}\
             wire [11:0] low_product = {low_sum}[11:0];\n\
             wire [11:0] high_product = {high_sum}[11:0];\n\
             always @(posedge clock) begin\n\
             \x20   activation_operand <= activation;\n\
             \x20   low_nibble <= {{weight[3] ^ four_bit, weight[2:0]}};\n\
             \x20   high_nibble <= weight[7:4];\n\
             \x20   packed_product <= {{high_product + {{12{{low_product[11]}}}}, {{2{{low_product[11]}}}}, low_product}};\n\
             end",
            low_sum = low_sum.wire,
            high_sum = high_sum.wire,
        )
    }
}

/// Sums of packed products, of four rows each, which ECP5's DSP slices add up themselves: for columns that can wait for it.
///
/// ```text
/// rows 0, 1 -> slice (3 registers) -----------> addend of the other slice (2 registers) -> register -> sum
/// rows 2, 3 -> 2 registers -> other slice (3) -----------------------------^
/// ```
#[derive(LogicBlock)]
pub struct PackedProducts {
    pub clock: Signal<In, Clock>,
    pub activation: Vec<Signal<In, Bits<8>>>,
    pub weight: Vec<Signal<In, Bits<8>>>,
    /// The low nibbles are weights of their own: their top bits are inverted.
    pub four_bit: Signal<In, Bit>,
    /// Sum k of the packed products of rows 4k to 4k + 3, [`PackedProducts::LATENCY_CYCLES`] later.
    pub sum: Vec<Signal<Out, Bits<32>>>,
    _stages: VecDeque<Vec<i32>>,
}

impl PackedProducts {
    pub const LATENCY_CYCLES: usize = 6;
    /// Rows of a sum.
    pub const ROWS: usize = 1 << PackedMultiplier::PACKED_LEVELS;
    /// Bits of a sum.
    const SUM_BITS: usize = PackedMultiplier::BITS + PackedMultiplier::PACKED_LEVELS;

    /// Of `rows` rows, a multiple of [`PackedProducts::ROWS`].
    pub fn new(rows: usize) -> Self {
        let sums = rows / Self::ROWS;
        Self {
            clock: Signal::default(),
            activation: inputs(rows),
            weight: inputs(rows),
            four_bit: Signal::default(),
            sum: outputs(sums),
            _stages: vec![vec![0; sums]; Self::LATENCY_CYCLES - 1].into(),
        }
    }

    fn portable(&self) -> String {
        let (mut declarations, mut clocked) = (String::new(), String::new());
        for row in 0..self.weight.len() {
            declarations += &format!(
                "reg signed [7:0] activation_operand_{row};\n\
                 reg [7:0] weight_operand_{row};\n\
                 reg signed [25:0] product_{row};\n\
                 wire signed [17:0] packed_weights_{row} = {{weight_operand_{row}[7:4], 10'd0, weight_operand_{row}[3:0]}};\n"
            );
            clocked += &format!(
                "    activation_operand_{row} <= activation${row};\n\
                 \x20   weight_operand_{row} <= {};\n\
                 \x20   product_{row} <= activation_operand_{row} * packed_weights_{row};\n",
                Self::weights(row),
            );
        }
        for sum in 0..self.sum.len() {
            let row = Self::ROWS * sum;
            declarations += &format!(
                "reg signed [26:0] first_pair_{sum};\nreg signed [26:0] second_pair_{sum};\n\
                 reg signed [27:0] early_{sum};\nreg signed [27:0] late_{sum};\n"
            );
            clocked += &format!(
                "    first_pair_{sum} <= product_{row} + product_{};\n\
                 \x20   second_pair_{sum} <= product_{} + product_{};\n\
                 \x20   early_{sum} <= first_pair_{sum} + second_pair_{sum};\n\
                 \x20   late_{sum} <= early_{sum};\n\
                 \x20   total_{sum} <= late_{sum};\n",
                row + 1,
                row + 2,
                row + 3,
            );
        }
        format!("{declarations}always @(posedge clock) begin\n{clocked}end")
    }

    fn ecp5(&self) -> String {
        let (mut text, mut clocked) = (String::new(), String::new());
        for sum in 0..self.sum.len() {
            for row in Self::ROWS * sum..Self::ROWS * (sum + 1) {
                let (mut activation, mut weights) = (format!("activation${row}"), format!("inverted_{row}"));
                text += &format!("wire [7:0] inverted_{row} = {};\n", Self::weights(row));
                if row % Self::ROWS >= 2 {
                    for cycle in 1..=2 {
                        let (later, later_weights) =
                            (format!("activation_{row}_{cycle}"), format!("weights_{row}_{cycle}"));
                        text += &format!("reg [7:0] {later};\nreg [7:0] {later_weights};\n");
                        clocked +=
                            &format!("    {later} <= {activation};\n    {later_weights} <= {weights};\n");
                        (activation, weights) = (later, later_weights);
                    }
                }
                text += &format!(
                    "wire [17:0] factor_{row} = {{{{10{{{activation}[7]}}}}, {activation}}};\n\
                     wire [17:0] packed_weights_{row} = {{{weights}[7:4], 10'd0, {weights}[3:0]}};\n"
                );
            }
            let factor = |row: usize| {
                let row = Self::ROWS * sum + row;
                (format!("factor_{row}"), format!("packed_weights_{row}"))
            };
            let [first, second, third, fourth] = [0, 1, 2, 3].map(factor);
            let (early, late) = (format!("early_{sum}"), format!("late_{sum}"));
            let both = |a: &(String, String), b: &(String, String), name: &str, addend| {
                ecp5::slice(name, [(&a.0, &a.1), (&b.0, &b.1)], addend)
            };
            text += &both(&first, &second, &early, None);
            text += &both(&third, &fourth, &late, Some(&early));
            clocked += &format!("    total_{sum} <= {late}[{}:0];\n", Self::SUM_BITS - 1);
        }
        format!("{text}always @(posedge clock) begin\n{clocked}end")
    }

    /// Both nibbles of a row's weight byte, the low one as 0..=15.
    fn weights(row: usize) -> String {
        format!("{{weight${row}[7:4], weight${row}[3] ^ four_bit, weight${row}[2:0]}}")
    }
}

impl Logic for PackedProducts {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let inverted = if self.four_bit.val() { 8 } else { 0 };
            let products: Vec<i32> = (self.activation.iter().zip(&self.weight))
                .map(|(activation, weight)| {
                    let (activation, weight) =
                        (activation.val().to_u8() as i8, weight.val().to_u8() ^ inverted);
                    i32::from(activation) * PackedMultiplier::packed(weight)
                })
                .collect();
            self._stages.push_back(products.chunks(Self::ROWS).map(|rows| rows.iter().sum()).collect());
            let sums = self._stages.pop_front().expect("there are always as many stages");
            for (signal, sum) in self.sum.iter_mut().zip(sums) {
                signal.next = u64::from(sum as u32).into();
            }
        }
    }
    fn connect(&mut self) {
        self.sum.iter_mut().for_each(|sum| sum.connect());
    }
    fn hdl(&self) -> Verilog {
        let sums = 0..self.sum.len();
        let totals: String =
            sums.clone().map(|sum| format!("reg signed [{}:0] total_{sum};\n", Self::SUM_BITS - 1)).collect();
        let results: Vec<String> = sums
            .map(|sum| format!("assign sum${sum} = {{{{4{{total_{sum}[27]}}}}, total_{sum}}};"))
            .collect();
        Verilog::Custom(format!(
            "{totals}{}\n{}",
            ecp5::choose(&self.ecp5(), &self.portable()),
            results.join("\n")
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("packed_products_{}", self.weight.len()),
            "Products of activations with the high nibbles of weight bytes, signed, and the low ones, 0 to 15: 2^14 times the\n\
             one, plus the other, and sums of four of them.",
        )
    }
}

/// A sum of packed products, of four rows at most, as low and high sum: wires.
#[derive(LogicBlock, Default)]
pub struct SplitSums {
    pub packed: Signal<In, Bits<32>>,
    /// Signed.
    pub low: Signal<Out, Bits<32>>,
    /// In halves.
    pub high: Signal<Out, Bits<32>>,
}

impl Logic for SplitSums {
    fn update(&mut self) {
        let packed = self.packed.val().to_u32();
        self.low.next = u64::from(sign_extend(packed, PackedMultiplier::SHIFT) as u32).into();
        self.high.next = u64::from((packed as i32 >> (PackedMultiplier::SHIFT - 1)) as u32).into();
    }
    fn connect(&mut self) {
        self.low.connect();
        self.high.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "assign low = {{18{packed[13]}}, packed[13:0]};\nassign high = {{13{packed[31]}}, packed[31:13]};"
                .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("split_sums", "Low and high sum of packed products, the high one in halves.")
    }
}
