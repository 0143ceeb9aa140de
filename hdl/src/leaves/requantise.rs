//! int32 to int8 through a fixed-point multiplier, one value each cycle.
//!
//! ```text
//! value ----> (+ pre_add) << left --> x multiplier --> >> 31 --> >> right, rounded --> (+ post_add) --> clamp
//!             ShiftLeft, 2 cycles     WideMultiply, 3  RoundingShift, 3                ClampPack, 2
//! ```
//! All inputs belong to one value and arrive together; each is delayed inside to the stage that needs it. There is no
//! stall: a value entering in one cycle leaves [`Requantise::LATENCY_CYCLES`] later.
use super::ecp5::{self, Registers};
use super::gowin::{self, Multiplier};
use super::prelude::*;
use super::DelayLine;

/// `shifted = (value + pre_add) << left`, wrapping at 32 bits.
///
/// What is added comes out of a memory and through a choice, late: the first cycle is left to it.
#[derive(LogicBlock, Default)]
pub struct ShiftLeft {
    pub clock: Signal<In, Clock>,
    pub value: Signal<In, Bits<32>>,
    pub pre_add: Signal<In, Bits<32>>,
    pub left: Signal<In, Bits<5>>,
    pub shifted: Signal<Out, Bits<32>>,
    _sum: u32,
    _left: u32,
}

impl ShiftLeft {
    pub const LATENCY_CYCLES: u32 = 2;
}

impl Logic for ShiftLeft {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.shifted.next = u64::from(self._sum << self._left).into();
            self._sum = self.value.val().to_u32().wrapping_add(self.pre_add.val().to_u32());
            self._left = self.left.val().to_u32();
        }
    }
    fn connect(&mut self) {
        self.shifted.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "reg [31:0] value_1, pre_add_1;\n\
             reg [4:0] left_1;\n\
             wire [31:0] biased = value_1 + pre_add_1;\n\
             always @(posedge clock) begin\n\
             \x20   value_1 <= value;\n\
             \x20   pre_add_1 <= pre_add;\n\
             \x20   left_1 <= left;\n\
             \x20   shifted <= biased << left_1;\n\
             end"
            .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("shift_left", "(value + pre_add) << left, wrapping at 32 bits.")
    }
}

/// `product = value * multiplier`: signed 32 bits by unsigned 32 bits, from four 17 x 17 products.
#[derive(LogicBlock, Default)]
pub struct WideMultiply {
    pub clock: Signal<In, Clock>,
    /// Signed.
    pub value: Signal<In, Bits<32>>,
    /// Unsigned, at most 2^31.
    pub multiplier: Signal<In, Bits<32>>,
    /// Signed.
    pub product: Signal<Out, Bits<64>>,
    _pipeline: [i64; 2],
}

impl WideMultiply {
    pub const LATENCY_CYCLES: u32 = 3;

    /// Three multipliers instead of four: the middle products are (high + low)(high + low) less the outer ones. `instance` is a signed multiplier of 18
    /// bits with a register at its output, called by its name and the names of its operands.
    fn karatsuba(instance: impl Fn(&str, &str, &str) -> String) -> String {
        format!(
            "wire [17:0] value_high = {{{{2{{value[31]}}}}, value[31:16]}};\n\
             wire [17:0] value_low = {{2'd0, value[15:0]}};\n\
             wire [17:0] value_both = value_high + value_low;\n\
             wire [17:0] multiplier_high = {{2'd0, multiplier[31:16]}};\n\
             wire [17:0] multiplier_low = {{2'd0, multiplier[15:0]}};\n\
             wire [17:0] multiplier_both = multiplier_high + multiplier_low;\n\
             wire [35:0] high_product, low_product, both_product;\n\
             {}\n\
             {}\n\
             {}\n\
             reg [63:0] outer;\n\
             reg [34:0] middle;\n\
             always @(posedge clock) begin\n\
             \x20   outer <= {{high_product[31:0], low_product[31:0]}};\n\
             \x20   middle <= both_product[34:0] - high_product[34:0] - low_product[34:0];\n\
             \x20   product <= outer + {{{{13{{middle[34]}}}}, middle, 16'd0}};\n\
             end",
            instance("high", "value_high", "multiplier_high"),
            instance("low", "value_low", "multiplier_low"),
            instance("both", "value_both", "multiplier_both"),
        )
    }
}

impl Logic for WideMultiply {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let value = i64::from(self.value.val().to_u32() as i32);
            let multiplier = i64::from(self.multiplier.val().to_u32());
            self.product.next = (self._pipeline[1] as u64).into();
            self._pipeline = [value * multiplier, self._pipeline[0]];
        }
    }
    fn connect(&mut self) {
        self.product.connect();
    }
    fn hdl(&self) -> Verilog {
        let portable = "wire signed [16:0] value_high = {value[31], value[31:16]};\n\
             wire signed [16:0] value_low = {1'b0, value[15:0]};\n\
             wire signed [16:0] multiplier_high = {1'b0, multiplier[31:16]};\n\
             wire signed [16:0] multiplier_low = {1'b0, multiplier[15:0]};\n\
             reg signed [33:0] high_high, high_low, low_high, low_low;\n\
             reg signed [63:0] outer;\n\
             reg signed [34:0] middle;\n\
             always @(posedge clock) begin\n\
             \x20   high_high <= value_high * multiplier_high;\n\
             \x20   high_low <= value_high * multiplier_low;\n\
             \x20   low_high <= value_low * multiplier_high;\n\
             \x20   low_low <= value_low * multiplier_low;\n\
             \x20   outer <= {high_high[31:0], low_low[31:0]};\n\
             \x20   middle <= high_low + low_high;\n\
             \x20   product <= outer + {{13{middle[34]}}, middle, 16'd0};\n\
             end";
        let on_ecp5 = |name: &str, a: &str, b: &str| {
            ecp5::multiplier(name, (a, b), &format!("{name}_product"), Registers::Output, "1'b0")
        };
        let on_gowin = |name: &str, a: &str, b: &str| {
            let product = format!("{name}_product");
            gowin::multiplier(Multiplier::Eighteen, name, (a, b), &product, (false, false))
        };
        let (ecp5, gowin) = (WideMultiply::karatsuba(on_ecp5), WideMultiply::karatsuba(on_gowin));
        Verilog::Custom(ecp5::choose_family(&[(ecp5::MACRO, &ecp5), (gowin::MACRO, &gowin)], portable))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "wide_multiply",
            "Signed 32 bit value times unsigned 32 bit multiplier, in three registered steps.",
        )
    }
}

/// A product of 31 fraction bits, shifted right by 31 + `right` with rounding.
///
/// * double rounding: `h = (product + 2^30) >> 31`, then `(h + 2^(right-1) - (h < 0)) >> right`
/// * single rounding: `h = product >> 31`, then `(h + 2^(right-1)) >> right`
///
/// With `right` 0 the result is `h`. `h` is taken modulo 2^32.
#[derive(LogicBlock, Default)]
pub struct RoundingShift {
    pub clock: Signal<In, Clock>,
    /// Signed.
    pub product: Signal<In, Bits<64>>,
    pub right: Signal<In, Bits<5>>,
    pub single_rounding: Signal<In, Bit>,
    /// Signed.
    pub rounded: Signal<Out, Bits<32>>,
    _high: (i32, u32, bool),
    _biased: (i64, u32),
}

impl RoundingShift {
    pub const LATENCY_CYCLES: u32 = 3;
}

impl Logic for RoundingShift {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let (biased, right) = self._biased;
            self.rounded.next = u64::from((biased >> right) as u32).into();

            let (high, right, single) = self._high;
            let half = (1_i64 << right) >> 1;
            let correction = i64::from(!single && right != 0 && high < 0);
            self._biased = (i64::from(high) + half - correction, right);

            let product = self.product.val().to_u64() as i64;
            let single = self.single_rounding.val();
            let nudge = if single { 0 } else { 1_i64 << 30 };
            self._high = ((product.wrapping_add(nudge) >> 31) as i32, self.right.val().to_u32(), single);
        }
    }
    fn connect(&mut self) {
        self.rounded.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "wire [63:0] nudge = {33'd0, !single_rounding, 30'd0};\n\
             wire [63:0] nudged = product + nudge;\n\
             reg signed [31:0] high;\n\
             reg [4:0] high_right, biased_right;\n\
             reg high_single;\n\
             wire [32:0] half = (33'd1 << high_right) >> 1;\n\
             wire correction = !high_single && high_right != 5'd0 && high[31];\n\
             reg signed [32:0] biased;\n\
             wire signed [32:0] shifted = biased >>> biased_right;\n\
             always @(posedge clock) begin\n\
             \x20   high <= nudged[62:31];\n\
             \x20   high_right <= right;\n\
             \x20   high_single <= single_rounding;\n\
             \x20   biased <= {high[31], high} + half - {32'd0, correction};\n\
             \x20   biased_right <= high_right;\n\
             \x20   rounded <= shifted[31:0];\n\
             end"
            .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("rounding_shift", "Right shift by 31 + right, rounding once or twice.")
    }
}

/// `result32 = value + post_add` (wrapping) and `result8`, the same clamped to `min..=max`; all signed.
#[derive(LogicBlock, Default)]
pub struct ClampPack {
    pub clock: Signal<In, Clock>,
    pub value: Signal<In, Bits<32>>,
    pub post_add: Signal<In, Bits<32>>,
    pub min: Signal<In, Bits<8>>,
    pub max: Signal<In, Bits<8>>,
    pub result32: Signal<Out, Bits<32>>,
    pub result8: Signal<Out, Bits<8>>,
    _sum: i32,
    _range: (i8, i8),
}

impl ClampPack {
    pub const LATENCY_CYCLES: u32 = 2;
}

impl Logic for ClampPack {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let (min, max) = self._range;
            let clamped = if self._sum < i32::from(min) {
                min
            } else if self._sum > i32::from(max) {
                max
            } else {
                self._sum as i8
            };
            self.result32.next = u64::from(self._sum as u32).into();
            self.result8.next = u64::from(clamped as u8).into();
            self._sum = self.value.val().to_u32().wrapping_add(self.post_add.val().to_u32()) as i32;
            self._range = (self.min.val().to_u8() as i8, self.max.val().to_u8() as i8);
        }
    }
    fn connect(&mut self) {
        self.result32.connect();
        self.result8.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "reg signed [31:0] sum;\n\
             reg signed [7:0] sum_min, sum_max;\n\
             wire below = sum < $signed({{24{sum_min[7]}}, sum_min});\n\
             wire above = sum > $signed({{24{sum_max[7]}}, sum_max});\n\
             always @(posedge clock) begin\n\
             \x20   sum <= value + post_add;\n\
             \x20   sum_min <= min;\n\
             \x20   sum_max <= max;\n\
             \x20   result32 <= sum;\n\
             \x20   result8 <= below ? sum_min : above ? sum_max : sum[7:0];\n\
             end"
            .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("clamp_pack", "value + post_add, as 32 bits and clamped to 8 bits.")
    }
}

/// One requantisation lane: see the [module's page](self).
///
/// `result32 = rounded((value + pre_add) << left, multiplier, right) + post_add`, `result8 = clamp(result32, min, max)`.
#[derive(LogicBlock)]
pub struct Requantise {
    pub clock: Signal<In, Clock>,
    // One value and its parameters, together.
    pub value: Signal<In, Bits<32>>,
    pub pre_add: Signal<In, Bits<32>>,
    pub left: Signal<In, Bits<5>>,
    /// Unsigned, at most 2^31; 2^31 stands for 1.0.
    pub multiplier: Signal<In, Bits<32>>,
    pub right: Signal<In, Bits<5>>,
    pub single_rounding: Signal<In, Bit>,
    /// A cycle after the others.
    pub post_add: Signal<In, Bits<32>>,
    pub min: Signal<In, Bits<8>>,
    pub max: Signal<In, Bits<8>>,
    // LATENCY_CYCLES later.
    pub result32: Signal<Out, Bits<32>>,
    pub result8: Signal<Out, Bits<8>>,
    shift_left: ShiftLeft,
    wide_multiply: WideMultiply,
    rounding_shift: RoundingShift,
    clamp_pack: ClampPack,
    delay_multiplier: DelayLine<32>,
    delay_right: DelayLine<5>,
    delay_single: DelayLine<1>,
    delay_post_add: DelayLine<32>,
    delay_min: DelayLine<8>,
    delay_max: DelayLine<8>,
}

impl Requantise {
    const MULTIPLY_AT: u32 = ShiftLeft::LATENCY_CYCLES;
    const ROUND_AT: u32 = Self::MULTIPLY_AT + WideMultiply::LATENCY_CYCLES;
    const CLAMP_AT: u32 = Self::ROUND_AT + RoundingShift::LATENCY_CYCLES;
    pub const LATENCY_CYCLES: u32 = Self::CLAMP_AT + ClampPack::LATENCY_CYCLES;
}

impl Default for Requantise {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            value: Signal::default(),
            pre_add: Signal::default(),
            left: Signal::default(),
            multiplier: Signal::default(),
            right: Signal::default(),
            single_rounding: Signal::default(),
            post_add: Signal::default(),
            min: Signal::default(),
            max: Signal::default(),
            result32: Signal::default(),
            result8: Signal::default(),
            shift_left: ShiftLeft::default(),
            wide_multiply: WideMultiply::default(),
            rounding_shift: RoundingShift::default(),
            clamp_pack: ClampPack::default(),
            delay_multiplier: DelayLine::new(Self::MULTIPLY_AT as usize),
            delay_right: DelayLine::new(Self::ROUND_AT as usize),
            delay_single: DelayLine::new(Self::ROUND_AT as usize),
            delay_post_add: DelayLine::new(Self::CLAMP_AT as usize - 1),
            delay_min: DelayLine::new(Self::CLAMP_AT as usize),
            delay_max: DelayLine::new(Self::CLAMP_AT as usize),
        }
    }
}

impl Logic for Requantise {
    #[hdl_gen]
    fn update(&mut self) {
        self.shift_left.clock.next = self.clock.val();
        self.wide_multiply.clock.next = self.clock.val();
        self.rounding_shift.clock.next = self.clock.val();
        self.clamp_pack.clock.next = self.clock.val();
        self.delay_multiplier.clock.next = self.clock.val();
        self.delay_right.clock.next = self.clock.val();
        self.delay_single.clock.next = self.clock.val();
        self.delay_post_add.clock.next = self.clock.val();
        self.delay_min.clock.next = self.clock.val();
        self.delay_max.clock.next = self.clock.val();

        self.shift_left.value.next = self.value.val();
        self.shift_left.pre_add.next = self.pre_add.val();
        self.shift_left.left.next = self.left.val();

        self.delay_multiplier.value.next = self.multiplier.val();
        self.wide_multiply.value.next = self.shift_left.shifted.val();
        self.wide_multiply.multiplier.next = self.delay_multiplier.delayed.val();

        self.delay_right.value.next = self.right.val();
        self.delay_single.value.next = self.single_rounding.val().into();
        self.rounding_shift.product.next = self.wide_multiply.product.val();
        self.rounding_shift.right.next = self.delay_right.delayed.val();
        self.rounding_shift.single_rounding.next = self.delay_single.delayed.val().get_bit(0);

        self.delay_post_add.value.next = self.post_add.val();
        self.delay_min.value.next = self.min.val();
        self.delay_max.value.next = self.max.val();
        self.clamp_pack.value.next = self.rounding_shift.rounded.val();
        self.clamp_pack.post_add.next = self.delay_post_add.delayed.val();
        self.clamp_pack.min.next = self.delay_min.delayed.val();
        self.clamp_pack.max.next = self.delay_max.delayed.val();

        self.result32.next = self.clamp_pack.result32.val();
        self.result8.next = self.clamp_pack.result8.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "requantise",
            "(value + pre_add) << left, times multiplier / 2^31, >> right with rounding, + post_add, clamped.",
        )
    }
}
