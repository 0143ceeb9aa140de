//! Products of activations with both halves of a weight byte, together in one word, and sums of them.

use crate::emit::describe;
use crate::leaves::ecp5::{self, Registers, Term};
use crate::leaves::sign_extend;
use rust_hdl_core::prelude::*;

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
            let packed = (i32::from(weight as i8 >> 4) << PackedMultiplier::SHIFT) + i32::from(weight & 15);
            self.product.next = u64::from((i32::from(activation) * packed) as u32).into();
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
