//! A column of the MAC array whose multipliers take an 8-bit weight or two 4-bit ones.
//!
//! ```text
//! activation -+-> PackedMultiplier --> packed sums of 4 rows --> SplitSums -+-> tree of low halves --+--> PackedSums --> accumulators
//! weight byte-+   (2 registers)        (2 registers)                        +-> tree of high halves -+    (roots, scales)
//!                                      (a part's subtrees)                  +-> NibbleSum, delay -------------^
//! ```
//! A multiplier works on `high * 2^14 + low`: the weight's high nibble, signed, and its low one, 0..=15. |activation * low| is less than
//! 2^11, so the sums of both products over four rows can be read from the sum of the products, the high one up to a carry that the low one's
//! sign tells. Above that each half has a tree of its own. The carries cost no adders: a high sum leaves as a word of *halves* (it
//! stands for half of itself, rounded up, so its last bit is the carry), and a node of the high tree, [`HalvesSum`], takes one carry in
//! and passes the other one on. The root takes one, too; its second operand has none, where it is the sum of a node ([`HalvesSum::settled`]), or else is
//! added with a full adder a bit.
//!
//! * 8-bit weights: a column's sum is 16 * high + low.
//! * 4-bit weights: the low nibble stands for low - 8 (its top bit is inverted on the way in), so 8 times the sum of all activations,
//!   which all columns share ([`ActivationSum`]), is taken off the low sum ([`LowSum`]); each sum is then multiplied by its group's scale.
//!
//! There are as many accumulators as parts, but at least two: accumulator k of column j has channel `k * cols + j`, in depthwise steps (part
//! k) as with 4-bit weights (0 low, 1 high). 8-bit sums are in accumulator 0.

use crate::emit::describe;
use crate::leaves::ecp5::{self, Registers, Term};
use crate::leaves::{inputs, outputs, sign_extend, AccumulateEither, DelayLine, PairSum, SplitBytes};
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

/// A node of the high tree: half of `a` and half of `b`, rounded up, are half of `sum`, rounded up. A settled node's sum is even.
#[derive(LogicBlock)]
pub struct HalvesSum {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub sum: Signal<Out, Bits<32>>,
    _width: usize,
    _is_settled: bool,
}

impl HalvesSum {
    /// The low `width` bits of both inputs are signed; the sum has one more.
    pub fn new(width: usize) -> Self {
        assert!((2..31).contains(&width), "words of 2 to 30 bits, not {width}");
        Self {
            clock: Signal::default(),
            a: Signal::default(),
            b: Signal::default(),
            sum: Signal::default(),
            _width: width,
            _is_settled: false,
        }
    }

    /// The same node, if `is_settled` with both carries in its sum, at the price of a full adder a bit: for a reader that has no time for it.
    pub fn settled(mut self, is_settled: bool) -> Self {
        self._is_settled = is_settled;
        self
    }
}

impl Logic for HalvesSum {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let a = sign_extend(self.a.val().to_u32(), self._width);
            let b = sign_extend(self.b.val().to_u32(), self._width);
            let carry = if self._is_settled { 2 * (b & 1) } else { b & 1 };
            let sum = ((a >> 1) + (b >> 1) + (a & 1)) * 2 + carry;
            self.sum.next = u64::from(sum as u32).into();
        }
    }
    fn connect(&mut self) {
        self.sum.connect();
    }
    fn hdl(&self) -> Verilog {
        let width = self._width;
        if self._is_settled {
            return Verilog::Custom(format!(
                "{}\
                 reg [{width}:0] total;\n\
                 always @(posedge clock) total <= sum_of_both;\n\
                 assign sum = {{{{{extension}{{total[{width}]}}}}, total, 1'b0}};",
                sum_of_halves("sum_of_both", width + 1, (("a", "b"), width)),
                extension = 30 - width,
            ));
        }
        Verilog::Custom(format!(
            "wire signed [{top}:0] a_and_one = {{a[{top}:1], 1'b1}};\n\
             wire signed [{top}:0] b_and_carry = {{b[{top}:1], a[0]}};\n\
             reg signed [{width}:0] total;\n\
             reg carry;\n\
             always @(posedge clock) begin\n\
             \x20   total <= a_and_one + b_and_carry;\n\
             \x20   carry <= b[0];\n\
             end\n\
             assign sum = {{{{{extension}{{total[{width}]}}}}, total[{width}:1], carry}};",
            top = width - 1,
            extension = 31 - width,
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        let (suffix, carry) =
            if self._is_settled { ("_settled", "\nBoth carries are in it.") } else { ("", "") };
        describe(
            &format!("halves_sum_{}{suffix}", self._width),
            &format!(
                "Registered sum of two signed words of {} bits that stand for half of themselves, rounded up.{carry}",
                self._width
            ),
        )
    }
}

/// `name`, of `width` bits: the sum of both words of `from` bits, which are in halves. The carry of the second one goes into the first full adder, that of the
/// first one into the place that the carries leave free.
fn sum_of_halves(name: &str, width: usize, ((a, b), from): ((&str, &str), usize)) -> String {
    let top = width - 1;
    let operand = |wire: &str| match width + 1 - from {
        0 => format!("{wire}[{width}:1]"),
        copies => format!("{{{{{copies}{{{wire}[{}]}}}}, {wire}[{}:1]}}", from - 1, from - 1),
    };
    format!(
        "wire [{top}:0] {name}_a = {};\n\
         wire [{top}:0] {name}_b = {};\n\
         wire [{top}:0] {name}_bits = {name}_a ^ {name}_b ^ {{{top}'d0, {b}[0]}};\n\
         wire [{top}:0] {name}_carries = {name}_a & {name}_b | {{{top}'d0, {b}[0] & ({name}_a[0] | {name}_b[0])}};\n\
         wire [{top}:0] {name} = {name}_bits + {{{name}_carries[{}:0], {a}[0]}};\n",
        operand(a),
        operand(b),
        top - 1,
    )
}

/// A node of the low tree that takes what the low nibbles' offsets add off: `low_a + low_b - excess`.
#[derive(LogicBlock)]
pub struct LowSum {
    pub clock: Signal<In, Clock>,
    pub low_a: Signal<In, Bits<32>>,
    pub low_b: Signal<In, Bits<32>>,
    pub excess: Signal<In, Bits<32>>,
    pub sum: Signal<Out, Bits<32>>,
    _width: usize,
}

impl LowSum {
    /// Of sums that fit in `width` bits.
    pub fn new(width: usize) -> Self {
        Self {
            clock: Signal::default(),
            low_a: Signal::default(),
            low_b: Signal::default(),
            excess: Signal::default(),
            sum: Signal::default(),
            _width: width,
        }
    }
}

impl Logic for LowSum {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let [low_a, low_b, excess] =
                [&self.low_a, &self.low_b, &self.excess].map(|port| port.val().to_u32());
            let sum = low_a.wrapping_add(low_b).wrapping_sub(excess);
            self.sum.next = u64::from(sign_extend(sum, self._width) as u32).into();
        }
    }
    fn connect(&mut self) {
        self.sum.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "{}\
             reg [{top}:0] total;\n\
             always @(posedge clock) total <= difference;\n\
             assign sum = {{{{{extension}{{total[{top}]}}}}, total}};",
            sum_less_excess("difference", self._width),
            top = self._width - 1,
            extension = 32 - self._width,
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("low_sum_{}", self._width),
            "Registered sum of two low sums, less the excess that the offsets of 4-bit weights cause.",
        )
    }
}

/// `name`, of `width` bits: the ports low_a plus low_b less excess, in one full adder a bit and one chain. The one that the inverted excess lacks goes into
/// the place that the carries leave free.
fn sum_less_excess(name: &str, width: usize) -> String {
    let top = width - 1;
    let range = format!("[{top}:0]");
    format!(
        "wire {range} {name}_bits = low_a{range} ^ low_b{range} ^ ~excess{range};\n\
         wire {range} {name}_carries = low_a{range} & low_b{range} | ~excess{range} & (low_a{range} | low_b{range});\n\
         wire {range} {name} = {name}_bits + {{{name}_carries[{}:0], 1'b1}};\n",
        top - 1,
    )
}

/// Sum of 8-bit weights' products: `low + 16 * high`, `high` being a word of halves.
#[derive(LogicBlock)]
pub struct NibbleSum {
    pub clock: Signal<In, Clock>,
    pub low: Signal<In, Bits<32>>,
    pub high: Signal<In, Bits<32>>,
    pub sum: Signal<Out, Bits<32>>,
    _width: usize,
}

impl NibbleSum {
    /// Of sums that fit in `width` bits.
    pub fn new(width: usize) -> Self {
        Self {
            clock: Signal::default(),
            low: Signal::default(),
            high: Signal::default(),
            sum: Signal::default(),
            _width: width,
        }
    }
}

impl Logic for NibbleSum {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let high = self.high.val().to_u32() as i32;
            let sum = self.low.val().to_u32().wrapping_add((((high >> 1) + (high & 1)) << 4) as u32);
            self.sum.next = u64::from(sign_extend(sum, self._width) as u32).into();
        }
    }
    fn connect(&mut self) {
        self.sum.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "wire [{upper_top}:0] upper = {{low[{top}:3], 1'b1}} + {{high[{high_top}:0], high[0]}};\n\
             reg [{top}:0] total;\n\
             always @(posedge clock) total <= {{upper[{upper_top}:1], low[2:0]}};\n\
             assign sum = {{{{{extension}{{total[{top}]}}}}, total}};",
            top = self._width - 1,
            high_top = self._width - 4,
            upper_top = self._width - 3,
            extension = 32 - self._width,
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("nibble_sum_{}", self._width),
            "Low sum and 16 times the high one, which comes in halves: the sum of 8-bit products.",
        )
    }
}

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

/// What offsets of 8 in all low nibbles add to a column's low sum: 8 times the sum of the activations.
#[derive(LogicBlock)]
pub struct ActivationSum {
    pub clock: Signal<In, Clock>,
    pub activation: Vec<Signal<In, Bits<8>>>,
    /// Without it the excess is 0.
    pub four_bit: Signal<In, Bit>,
    pub excess: Signal<Out, Bits<32>>,
    _sums: VecDeque<i32>,
}

impl ActivationSum {
    /// Of `rows` activations, there after `cycles`: one a level of the tree, or with one more a register in front.
    ///
    /// # Panics
    /// For other numbers of cycles.
    pub fn new(rows: usize, cycles: usize) -> Self {
        let levels = rows.ilog2() as usize;
        assert!((levels..=levels + 1).contains(&cycles), "{cycles} cycles for a tree of {levels} levels");
        Self {
            clock: Signal::default(),
            activation: inputs(rows),
            four_bit: Signal::default(),
            excess: Signal::default(),
            _sums: vec![0; cycles].into(),
        }
    }
}

impl Logic for ActivationSum {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let sum: i32 = self.activation.iter().map(|byte| i32::from(byte.val().to_u8() as i8)).sum();
            self._sums.push_back(if self.four_bit.val() { 8 * sum } else { 0 });
            self._sums.pop_front();
            self.excess.next = u64::from(self._sums[0] as u32).into();
        }
    }
    fn connect(&mut self) {
        self.excess.connect();
    }
    fn hdl(&self) -> Verilog {
        let (rows, cycles) = (self.activation.len(), self._sums.len());
        let levels = rows.ilog2() as usize;
        let (mut declarations, mut clocked) = (String::new(), String::new());
        for row in 0..rows {
            let activation = format!("$signed(activation${row})");
            if cycles > levels {
                declarations += &format!("reg signed [7:0] level_0_{row};\n");
                clocked += &format!("    level_0_{row} <= {activation};\n");
            } else {
                declarations += &format!("wire signed [7:0] level_0_{row} = {activation};\n");
            }
        }
        for level in 1..=levels {
            for node in 0..rows >> level {
                let below = level - 1;
                let sum = format!("level_{below}_{} + level_{below}_{}", 2 * node, 2 * node + 1);
                // The last sum is 0 in place of what nobody asked for.
                let sum = if level < levels { sum } else { format!("wanted[{}] ? {sum} : 0", cycles - 2) };
                declarations += &format!("reg signed [{}:0] level_{level}_{node};\n", 7 + level);
                clocked += &format!("    level_{level}_{node} <= {sum};\n");
            }
        }
        let top = 7 + levels;
        Verilog::Custom(format!(
            "{declarations}\
             reg [{}:0] wanted;\n\
             always @(posedge clock) begin\n\
             \x20   wanted <= {{wanted, four_bit}};\n\
             {clocked}end\n\
             assign excess = {{{{{}{{level_{levels}_0[{top}]}}}}, level_{levels}_0, 3'd0}};",
            cycles - 2,
            32 - (top + 1) - 3,
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("activation_sum_{}_in_{}_cycles", self.activation.len(), self._sums.len()),
            "8 times the sum of the activations, through an adder tree with a register a level.",
        )
    }
}

/// One column: `rows` multipliers, two adder trees, and the accumulators.
///
/// Trees are numbered like a heap: `low[k]` is the sum of `low[2k]` and `low[2k + 1]`, and `packed_sum[rows + r]` the product of row r; so
/// part s is `low[parts + s]`. `low[1]`, the sum of all, is in [`PackedSums`]. If `low[3]` is a node, the excess is taken off there. Sums of two and of four rows, `packed_sum[rows / 4..]`, hold both
/// halves.
#[derive(LogicBlock)]
pub struct PackedColumn {
    pub clock: Signal<In, Clock>,
    pub activation: Vec<Signal<In, Bits<8>>>,
    /// Pixels of this column's channels: `taps` of each part. With `depthwise` they take the place of the activations.
    pub tap: Vec<Signal<In, Bits<8>>>,
    pub depthwise: Signal<In, Bit>,
    pub weight: Vec<Signal<In, Bits<32>>>,
    /// A byte holds two weights.
    pub four_bit: Signal<In, Bit>,
    /// Of all low nibbles' offsets, given `excess_cycles` after the activations.
    pub excess: Signal<In, Bits<32>>,
    // Given `scale_cycles` later, when the roots add: the mode and the scales.
    pub four_bit_sums: Signal<In, Bit>,
    pub low_scale: Signal<In, Bits<8>>,
    pub high_scale: Signal<In, Bits<8>>,
    /// With the sum of this column at the accumulators: add it, whether it begins a new total, and whether it is one of each part.
    pub enable: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub by_part: Signal<In, Bit>,
    /// The sum of all rows (of low weights; of high weights), or of each part.
    pub total: Vec<Signal<Out, Bits<32>>>,
    weight_bytes: SplitBytes,
    multiplier: Vec<PackedMultiplier>,
    packed_node: Vec<PairSum>,
    packed_sum: Vec<Signal<Local, Bits<32>>>,
    split: Vec<SplitSums>,
    /// Without node 3.
    low_node: Vec<PairSum>,
    low_less_excess: Vec<LowSum>,
    high_node: Vec<HalvesSum>,
    low: Vec<Signal<Local, Bits<32>>>,
    high: Vec<Signal<Local, Bits<32>>>,
    sums: PackedSums,
    /// All ones if the root takes the excess off.
    excess_at_root: Constant<Bits<32>>,
    /// Sums of parts, as late as the sums of all.
    part: Vec<NibbleSum>,
    part_delay: Vec<DelayLine<32>>,
    accumulator: Vec<AccumulateEither>,
    _rows: usize,
    _words: usize,
    _cols: usize,
    _taps: usize,
    _parts: usize,
    _separate_parts: usize,
    _totals: usize,
    /// First node that sums packed products, and how many nodes are split.
    _first_packed: usize,
    _first_node_end: usize,
    _settled: usize,
    _splits: usize,
}

impl PackedColumn {
    /// The root's second operand, which settles carries and excess if it is a node.
    const SETTLED: usize = 3;

    pub fn new(rows: usize, cols: usize, taps: usize) -> Self {
        let parts = rows / cols;
        let separate_parts = if parts > 1 { parts } else { 0 };
        // Node k of the heap sums products over as many levels as lie below it.
        let levels = |k: usize| (rows.ilog2() - 1 - k.ilog2()) as usize;
        let part_bits = 16 + cols.ilog2() as usize;
        let first_packed = rows >> PackedMultiplier::PACKED_LEVELS;
        // Sums of four rows, and of two where a part has no more.
        let splits = if cols == 2 { rows - first_packed } else { first_packed };
        Self {
            clock: Signal::default(),
            activation: inputs(rows),
            tap: inputs(parts * taps),
            depthwise: Signal::default(),
            weight: inputs(rows / 4),
            four_bit: Signal::default(),
            four_bit_sums: Signal::default(),
            excess: Signal::default(),
            low_scale: Signal::default(),
            high_scale: Signal::default(),
            enable: Signal::default(),
            first: Signal::default(),
            by_part: Signal::default(),
            total: outputs(Self::totals(rows, cols)),
            weight_bytes: SplitBytes::new(rows),
            multiplier: (0..rows).map(|_| PackedMultiplier::default()).collect(),
            packed_node: (first_packed..rows)
                .map(|k| PairSum::new(PackedMultiplier::BITS + levels(k)))
                .collect(),
            packed_sum: (0..2 * rows).map(|_| Signal::default()).collect(),
            split: (0..splits).map(|_| SplitSums::default()).collect(),
            low_node: (2..first_packed)
                .filter(|k| *k != Self::SETTLED)
                .map(|k| PairSum::new(PackedMultiplier::LOW_BITS + levels(k)))
                .collect(),
            low_less_excess: (0..usize::from(Self::is_settled(rows)))
                .map(|_| LowSum::new(PackedMultiplier::LOW_BITS + levels(Self::SETTLED) + 1))
                .collect(),
            high_node: (2..first_packed)
                .map(|k| HalvesSum::new(PackedMultiplier::HIGH_BITS + levels(k)).settled(k == Self::SETTLED))
                .collect(),
            low: (0..first_packed + splits).map(|_| Signal::default()).collect(),
            high: (0..first_packed + splits).map(|_| Signal::default()).collect(),
            sums: PackedSums::new(rows, Self::is_settled(rows)),
            excess_at_root: Constant::new(
                (if Self::is_settled(rows) { 0 } else { u64::from(u32::MAX) }).into(),
            ),
            part: (0..separate_parts).map(|_| NibbleSum::new(part_bits)).collect(),
            part_delay: (0..separate_parts)
                .map(|_| DelayLine::new(parts.ilog2() as usize + PackedSums::LATENCY_CYCLES - 2))
                .collect(),
            accumulator: (0..Self::totals(rows, cols)).map(|_| AccumulateEither::default()).collect(),
            _rows: rows,
            _words: rows / 4,
            _cols: cols,
            _taps: taps,
            _parts: parts,
            _separate_parts: separate_parts,
            _totals: Self::totals(rows, cols),
            _first_packed: first_packed,
            _first_node_end: first_packed.min(Self::SETTLED),
            _settled: usize::from(Self::is_settled(rows)),
            _splits: splits,
        }
    }

    /// Whether the root's second operands are nodes' sums, in which everything is settled that would make the root slow.
    fn is_settled(rows: usize) -> bool {
        rows >> PackedMultiplier::PACKED_LEVELS > Self::SETTLED
    }

    /// Makes the first `products` products of LUTs.
    pub(crate) fn make_in_logic(&mut self, products: usize) {
        self.multiplier
            .iter_mut()
            .take(products)
            .for_each(|multiplier| *multiplier = PackedMultiplier::in_logic());
    }

    /// Totals of a column.
    pub fn totals(rows: usize, cols: usize) -> usize {
        (rows / cols).max(2)
    }

    /// From the operands to the excess.
    pub fn excess_cycles(rows: usize) -> usize {
        Self::scale_cycles(rows) - usize::from(Self::is_settled(rows))
    }

    /// From the operands to the scales: multiplier, and tree but for its root.
    pub fn scale_cycles(rows: usize) -> usize {
        PackedMultiplier::LATENCY_CYCLES + rows.ilog2() as usize - 1
    }

    /// From the operands to the totals.
    pub fn latency_cycles(rows: usize) -> usize {
        Self::scale_cycles(rows) + PackedSums::LATENCY_CYCLES + 1
    }
}

impl Logic for PackedColumn {
    #[hdl_gen]
    fn update(&mut self) {
        for w in 0..self._words {
            self.weight_bytes.words[w].next = self.weight[w].val();
        }
        for k in 0..2 {
            self.low[k].next = 0.into();
            self.high[k].next = 0.into();
        }
        for r in 0..self._rows {
            self.multiplier[r].clock.next = self.clock.val();
            self.multiplier[r].activation.next = self.activation[r].val();
            self.multiplier[r].weight.next = self.weight_bytes.bytes[r].val();
            self.multiplier[r].four_bit.next = self.four_bit.val();
        }
        if self.depthwise.val() {
            for cols in self._cols..(self._cols + 1) {
                for taps in self._taps..(self._taps + 1) {
                    for s in 0..self._parts {
                        for k in 0..self._taps {
                            self.multiplier[s * cols + k].activation.next = self.tap[s * taps + k].val();
                        }
                    }
                }
            }
        }
        for k in 0..self._first_packed {
            self.packed_sum[k].next = 0.into();
        }
        for rows in self._rows..(self._rows + 1) {
            for r in 0..self._rows {
                self.packed_sum[rows + r].next = self.multiplier[r].product.val();
            }
        }
        for first in self._first_packed..(self._first_packed + 1) {
            for k in self._first_packed..self._rows {
                self.packed_node[k - first].clock.next = self.clock.val();
                self.packed_node[k - first].a.next = self.packed_sum[k * 2].val();
                self.packed_node[k - first].b.next = self.packed_sum[k * 2 + 1].val();
                self.packed_sum[k].next = self.packed_node[k - first].sum.val();
            }
            for k in 0..self._splits {
                self.split[k].packed.next = self.packed_sum[first + k].val();
                self.low[first + k].next = self.split[k].low.val();
                self.high[first + k].next = self.split[k].high.val();
            }
        }
        for k in 2..self._first_node_end {
            self.low_node[k - 2].clock.next = self.clock.val();
            self.low_node[k - 2].a.next = self.low[k * 2].val();
            self.low_node[k - 2].b.next = self.low[k * 2 + 1].val();
            self.low[k].next = self.low_node[k - 2].sum.val();
        }
        for k in 0..self._settled {
            self.low_less_excess[k].clock.next = self.clock.val();
            self.low_less_excess[k].low_a.next = self.low[k + 6].val();
            self.low_less_excess[k].low_b.next = self.low[k + 7].val();
            self.low_less_excess[k].excess.next = self.excess.val();
            self.low[k + 3].next = self.low_less_excess[k].sum.val();
        }
        for k in 4..self._first_packed {
            self.low_node[k - 3].clock.next = self.clock.val();
            self.low_node[k - 3].a.next = self.low[k * 2].val();
            self.low_node[k - 3].b.next = self.low[k * 2 + 1].val();
            self.low[k].next = self.low_node[k - 3].sum.val();
        }
        for k in 2..self._first_packed {
            self.high_node[k - 2].clock.next = self.clock.val();
            self.high_node[k - 2].a.next = self.high[k * 2].val();
            self.high_node[k - 2].b.next = self.high[k * 2 + 1].val();
            self.high[k].next = self.high_node[k - 2].sum.val();
        }
        self.sums.clock.next = self.clock.val();
        self.sums.low_a.next = self.low[2].val();
        self.sums.low_b.next = self.low[3].val();
        self.sums.high_a.next = self.high[2].val();
        self.sums.high_b.next = self.high[3].val();
        self.sums.excess.next = self.excess.val() & self.excess_at_root.val();
        self.sums.four_bit.next = self.four_bit_sums.val();
        self.sums.low_scale.next = self.low_scale.val();
        self.sums.high_scale.next = self.high_scale.val();
        for k in 0..self._totals {
            self.accumulator[k].clock.next = self.clock.val();
            self.accumulator[k].enable.next = self.enable.val();
            self.accumulator[k].first.next = self.first.val();
            self.accumulator[k].addend.next = self.sums.high_sum.val();
            self.accumulator[k].other.next = 0.into();
            self.total[k].next = self.accumulator[k].total.val();
        }
        self.accumulator[0].addend.next = self.sums.low_sum.val();
        self.accumulator[0].other.next = self.sums.plain_sum.val();
        for parts in self._parts..(self._parts + 1) {
            for s in 0..self._separate_parts {
                self.part[s].clock.next = self.clock.val();
                self.part[s].low.next = self.low[parts + s].val();
                self.part[s].high.next = self.high[parts + s].val();
                self.part_delay[s].clock.next = self.clock.val();
                self.part_delay[s].value.next = self.part[s].sum.val();
            }
        }
        if self.by_part.val() {
            for s in 0..self._separate_parts {
                self.accumulator[s].addend.next = self.part_delay[s].delayed.val();
                self.accumulator[s].other.next = 0.into();
            }
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "packed_column",
            "Output channels of 8-bit weights (one) or 4-bit weights (two): a multiplier a row, adder trees for the\n\
             low and the high halves of the weights (together at first), group scales, int32 accumulators.",
        )
    }
}
