//! Lanes of the row unit: what row commands do to a value after it is scaled.
//!
//! ```text
//! result --> saturate --> segment, fraction --> factors, addend --> product --> sum --> bias --> shift --> clamp --> value
//!     cycle  1            2                     3                   4           5       6        7         8
//! ```
//! Every function is `(addend + x * y) >> amount`, rounded:
//!
//! | function | addend | x | y | amount |
//! |---|---|---|---|---|
//! | none | result | 0 | 0 | 0 |
//! | multiply | sum of the terms before | z | operand | shift |
//! | square | 0 | z | z | shift |
//! | power of two | segment's value | fraction | segment's slope | shift, and the whole part of -z |
//! | SiLU | max(z, 0), less the segment's value | fraction | segment's slope, negated | 15 |
//!
//! While there are no terms, the lanes' multipliers are lent to the vector engine, whose commands never run beside row commands.
//!
//! z is the result, saturated to 16 bits. The definitions are in `frugal_quant::piecewise`.

use crate::emit::describe;
use crate::leaves::{inputs, outputs};
use frugal_isa::command::function;
use frugal_quant::segments::{Segment, POWER_OF_TWO, SILU_TAIL};
use rust_hdl_core::prelude::*;

/// A value's terms, as they enter. The lanes' own data are in [`Term`].
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    valid: bool,
    first: bool,
    count: u32,
    clamped: bool,
    bounds: (i8, i8),
}

#[derive(Clone, Copy, Debug, Default)]
struct Term {
    addend: i32,
    product: i32,
    amount: u32,
}

#[derive(LogicBlock)]
pub struct RowLanes {
    pub clock: Signal<In, Clock>,
    // One term, together.
    pub valid: Signal<In, Bit>,
    /// Begins a new sum of terms.
    pub first: Signal<In, Bit>,
    pub result: Vec<Signal<In, Bits<32>>>,
    /// Signed 16 bits.
    pub operand: Vec<Signal<In, Bits<16>>>,
    /// A `function` of row commands.
    pub operation: Signal<In, Bits<3>>,
    pub shift: Signal<In, Bits<5>>,
    /// Lanes from this one on are zero.
    pub count: Signal<In, Bits<8>>,
    /// Clamp to the bounds.
    pub clamped: Signal<In, Bit>,
    pub minimum: Signal<In, Bits<8>>,
    pub maximum: Signal<In, Bits<8>>,
    /// [`RowLanes::LATENCY_CYCLES`] later.
    pub value: Vec<Signal<Out, Bits<32>>>,
    /// The multipliers take these factors, signed, instead of a term's.
    pub lent: Signal<In, Bit>,
    pub factor_a: Vec<Signal<In, Bits<16>>>,
    pub factor_b: Vec<Signal<In, Bits<16>>>,
    /// What the multipliers made of their factors of [`RowLanes::PRODUCT_CYCLES`] ago.
    pub product: Vec<Signal<Out, Bits<32>>>,
    _lanes: usize,
    /// Terms in stages 1 to 4, the oldest first.
    _terms: Vec<(Control, Vec<Term>)>,
    /// Products behind the multipliers' factors and behind the multipliers.
    _products: [Vec<i32>; 2],
    _sum: (Control, Vec<(i32, u32)>),
    _biased: (Control, Vec<(i64, u32)>),
    _shifted: (Control, Vec<i32>),
}

impl RowLanes {
    pub const LATENCY_CYCLES: usize = 8;
    /// Registers in front of a multiplier, behind it, and behind that.
    pub const PRODUCT_CYCLES: usize = 3;

    pub fn new(lanes: usize) -> Self {
        Self {
            clock: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            result: inputs(lanes),
            operand: inputs(lanes),
            operation: Signal::default(),
            shift: Signal::default(),
            count: Signal::default(),
            clamped: Signal::default(),
            minimum: Signal::default(),
            maximum: Signal::default(),
            value: outputs(lanes),
            lent: Signal::default(),
            factor_a: inputs(lanes),
            factor_b: inputs(lanes),
            product: outputs(lanes),
            _lanes: lanes,
            _terms: vec![Default::default(); 4],
            _products: [vec![0; lanes], vec![0; lanes]],
            _sum: (Control::default(), vec![(0, 0); lanes]),
            _biased: (Control::default(), vec![(0, 0); lanes]),
            _shifted: (Control::default(), vec![0; lanes]),
        }
    }

    /// What one lane makes of a term.
    fn term(&self, lane: usize) -> Term {
        let result = self.result[lane].val().to_u32() as i32;
        let z = result.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
        let operand = i32::from(self.operand[lane].val().to_u16() as i16);
        let shift = self.shift.val().to_u32();
        match self.operation.val().to_u32() {
            function::NONE => Term { addend: result, product: 0, amount: 0 },
            function::MULTIPLY => Term { addend: 0, product: z * operand, amount: shift },
            function::SQUARE => Term { addend: 0, product: z * z, amount: shift },
            function::EXPONENTIAL => {
                let n = -z.min(0);
                let Segment(value, slope) = POWER_OF_TWO[(n as usize >> 6) & 15];
                let amount = (6 + shift + (n as u32 >> 10)).min(31);
                Term { addend: value << 6, product: slope * (n & 63), amount }
            }
            function::SILU => {
                let x = z.abs();
                let (segment, fraction) = match x {
                    0..4096 => (x >> 8, (x & 255) << 3),
                    4096..12288 => (16 + ((x - 4096) >> 9), (x & 511) << 2),
                    _ => (32 + ((x - 12288) >> 11), x & 2047),
                };
                let Segment(value, slope) = SILU_TAIL[segment as usize];
                Term { addend: (z.max(0) << 15) - (value << 11), product: -slope * fraction, amount: 15 }
            }
            // Not a function; the hardware refuses the command.
            _ => Term { addend: result, product: 0, amount: 0 },
        }
    }
}

impl Logic for RowLanes {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let (control, shifted) = &self._shifted;
        for (lane, (port, shifted)) in self.value.iter_mut().zip(shifted).enumerate() {
            let counted = if lane as u32 >= control.count { 0 } else { *shifted };
            let (low, high) = (i32::from(control.bounds.0), i32::from(control.bounds.1));
            let value = match control.clamped {
                true if counted < low => low,
                true if counted > high => high,
                _ => counted,
            };
            port.next = u64::from(value as u32).into();
        }
        let biased = &self._biased;
        self._shifted = (biased.0, biased.1.iter().map(|(b, amount)| (b >> amount) as i32).collect());
        let half = |amount: u32| (1i64 << amount) >> 1;
        let sum = &self._sum;
        self._biased =
            (sum.0, sum.1.iter().map(|(s, amount)| (i64::from(*s) + half(*amount), *amount)).collect());
        let factors = self.factor_a.iter().zip(&self.factor_b);
        let products: Vec<i32> = if self.lent.val() {
            factors
                .map(|(a, b)| i32::from(a.val().to_u16() as i16) * i32::from(b.val().to_u16() as i16))
                .collect()
        } else {
            self._terms[2].1.iter().map(|term| term.product).collect()
        };
        let [made, leaving] = &mut self._products;
        for (port, product) in self.product.iter_mut().zip(leaving.iter()) {
            port.next = u64::from(*product as u32).into();
        }
        *leaving = std::mem::replace(made, products);
        let (control, terms) = self._terms.remove(0);
        for ((sum, amount), term) in self._sum.1.iter_mut().zip(&terms) {
            if control.valid {
                let before = if control.first { term.addend } else { *sum };
                *sum = before.wrapping_add(term.product);
            }
            *amount = term.amount;
        }
        self._sum.0 = control;
        let control = Control {
            valid: self.valid.val(),
            first: self.first.val(),
            count: self.count.val().to_u32(),
            clamped: self.clamped.val(),
            bounds: (self.minimum.val().to_u8() as i8, self.maximum.val().to_u8() as i8),
        };
        let mut terms: Vec<Term> = (0..self._lanes).map(|lane| self.term(lane)).collect();
        terms.resize(self._lanes, Term::default());
        self._terms.push((control, terms));
    }
    fn connect(&mut self) {
        self.value.iter_mut().chain(&mut self.product).for_each(|port| port.connect());
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(self.verilog())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("row_lanes_{}", self._lanes),
            "What row commands do to a scaled value: (addend + x * y) >> amount, rounded; see docs/architecture.md, Row.",
        )
    }
}

impl RowLanes {
    fn verilog(&self) -> String {
        let lanes = self._lanes;
        // Value and slope; the SiLU's slope is subtracted.
        let power = POWER_OF_TWO.iter().map(|s| (s.0, s.1));
        let silu = SILU_TAIL.iter().map(|s| (s.0, -s.1));
        let mut cases = String::new();
        for (index, (value, slope)) in power.chain(silu).enumerate() {
            let word = (value as u32) << 16 | (slope as u32 & 0xffff);
            cases += &format!("    6'd{index}: segment = 32'h{word:08x};\n");
        }
        let mut text = format!(
            "function [31:0] segment(input [5:0] index);\n\
             \x20   case (index)\n{cases}\x20   default: segment = 32'd0;\n    endcase\nendfunction\n"
        );
        text += "reg valid_1, valid_2, valid_3, valid_4;\n\
             reg first_1, first_2, first_3, first_4;\n\
             reg [2:0] operation_1;\n\
             // Decoded early: the lanes lie far apart.\n\
             reg multiplies_2, squares_2, raises_2, bends_2, passes_2, takes_z_2, takes_segment_2;\n\
             reg [4:0] shift_1, shift_2;\n\
             reg [7:0] count_1, count_2, count_3, count_4, count_5, count_6;\n\
             reg clamped_1, clamped_2, clamped_3, clamped_4, clamped_5, clamped_6, clamped_7;\n\
             reg [15:0] bounds_1, bounds_2, bounds_3, bounds_4, bounds_5, bounds_6, bounds_7;\n\
             wire signed [31:0] lowest = {{24{bounds_7[7]}}, bounds_7[7:0]};\n\
             wire signed [31:0] highest = {{24{bounds_7[15]}}, bounds_7[15:8]};\n\
             initial begin\n\
             \x20   valid_1 = 0; valid_2 = 0; valid_3 = 0; valid_4 = 0;\n\
             end\n\
             always @(posedge clock) begin\n\
             \x20   valid_1 <= valid; valid_2 <= valid_1; valid_3 <= valid_2; valid_4 <= valid_3;\n\
             \x20   first_1 <= first; first_2 <= first_1; first_3 <= first_2; first_4 <= first_3;\n\
             \x20   operation_1 <= operation;\n\
             \x20   multiplies_2 <= operation_1 == 3'd1; squares_2 <= operation_1 == 3'd2; raises_2 <= operation_1 == 3'd3;\n\
             \x20   bends_2 <= operation_1 == 3'd4; passes_2 <= operation_1 == 3'd0 || operation_1 > 3'd4;\n\
             \x20   takes_z_2 <= operation_1 == 3'd1 || operation_1 == 3'd2; takes_segment_2 <= operation_1 == 3'd3 || operation_1 == 3'd4;\n\
             \x20   shift_1 <= shift; shift_2 <= shift_1;\n\
             \x20   count_1 <= count; count_2 <= count_1; count_3 <= count_2; count_4 <= count_3;\n\
             \x20   count_5 <= count_4; count_6 <= count_5;\n\
             \x20   clamped_1 <= clamped; clamped_2 <= clamped_1; clamped_3 <= clamped_2; clamped_4 <= clamped_3;\n\
             \x20   clamped_5 <= clamped_4; clamped_6 <= clamped_5; clamped_7 <= clamped_6;\n\
             \x20   bounds_1 <= {maximum, minimum}; bounds_2 <= bounds_1; bounds_3 <= bounds_2; bounds_4 <= bounds_3;\n\
             \x20   bounds_5 <= bounds_4; bounds_6 <= bounds_5; bounds_7 <= bounds_6;\n\
             end\n";
        let join = |name: &str| -> String {
            let parts: Vec<String> = (0..lanes).rev().map(|l| format!("{name}${l}")).collect();
            format!("{{{}}}", parts.join(", "))
        };
        text += &format!(
            "wire [{top}:0] results = {results};\n\
             wire [{half_top}:0] operands = {operands};\n\
             wire [{half_top}:0] factors_a = {factors_a};\n\
             wire [{half_top}:0] factors_b = {factors_b};\n\
             wire [{top}:0] values;\n\
             assign {value} = values;\n\
             wire [{top}:0] products;\n\
             assign {product} = products;\n\
             `ifndef SYNTHESIS\n\
             always @(posedge clock) if (lent && valid_2) $error(\"%m: a term without a multiplier\");\n\
             `endif\n\
             genvar l;\n\
             generate for (l = 0; l < {lanes}; l = l + 1) begin : lane\n",
            top = 32 * lanes - 1,
            half_top = 16 * lanes - 1,
            results = join("result"),
            operands = join("operand"),
            value = join("value"),
            factors_a = join("factor_a"),
            factors_b = join("factor_b"),
            product = join("product"),
        );
        text += "    wire signed [31:0] scaled = results[32*l +: 32];\n\
             \x20   wire fits = scaled[31:15] == {17{scaled[15]}};\n\
             \x20   reg signed [31:0] scaled_1, scaled_2;\n\
             \x20   reg signed [15:0] z_1, z_2, factor_1, factor_2;\n\
             \x20   wire [15:0] magnitude = z_1[15] ? -z_1 : z_1;\n\
             \x20   wire is_power = operation_1 == 3'd3;\n\
             \x20   wire [15:0] middle = magnitude - 16'd4096;\n\
             \x20   wire [15:0] far = magnitude - 16'd12288;\n\
             \x20   reg [5:0] index_2, whole_2;\n\
             \x20   reg [10:0] fraction_2;\n\
             \x20   reg [31:0] found;\n\
             \x20   reg signed [15:0] x_3, y_3;\n\
             \x20   reg signed [31:0] addend_3, addend_4, multiplied_4, multiplied_5;\n\
             \x20   reg [4:0] amount_3, amount_4, amount_5, amount_6;\n\
             \x20   reg signed [31:0] sum_5, shifted_7, bounded_8;\n\
             \x20   reg signed [32:0] biased_6;\n\
             \x20   reg beyond_7;\n\
             \x20   wire [6:0] power_shift = {2'd0, shift_2} + 7'd6 + {1'b0, whole_2};\n\
             \x20   wire [32:0] half = (33'd1 << amount_5) >> 1;\n\
             \x20   wire signed [32:0] moved = biased_6 >>> amount_6;\n\
             \x20   wire signed [31:0] counted = beyond_7 ? 32'd0 : shifted_7;\n\
             \x20   assign values[32*l +: 32] = bounded_8;\n\
             \x20   assign products[32*l +: 32] = multiplied_5;\n\
             \x20   always @(*) begin\n\
             \x20       found = segment(index_2);\n\
             \x20   end\n\
             \x20   always @(posedge clock) begin\n\
             \x20       scaled_1 <= scaled;\n\
             \x20       z_1 <= fits ? scaled[15:0] : {scaled[31], {15{~scaled[31]}}};\n\
             \x20       factor_1 <= operands[16*l +: 16];\n\
             \x20       scaled_2 <= scaled_1;\n\
             \x20       z_2 <= z_1;\n\
             \x20       factor_2 <= factor_1;\n\
             \x20       whole_2 <= z_1[15] ? magnitude[15:10] : 6'd0;\n\
             \x20       if (is_power) begin\n\
             \x20           index_2 <= z_1[15] ? {2'd0, magnitude[9:6]} : 6'd0;\n\
             \x20           fraction_2 <= z_1[15] ? {5'd0, magnitude[5:0]} : 11'd0;\n\
             \x20       end else if (magnitude < 16'd4096) begin\n\
             \x20           index_2 <= 6'd16 + {2'd0, magnitude[11:8]};\n\
             \x20           fraction_2 <= {magnitude[7:0], 3'd0};\n\
             \x20       end else if (magnitude < 16'd12288) begin\n\
             \x20           index_2 <= 6'd32 + {2'd0, middle[12:9]};\n\
             \x20           fraction_2 <= {middle[8:0], 2'd0};\n\
             \x20       end else begin\n\
             \x20           index_2 <= 6'd48 + {1'b0, far[15:11]};\n\
             \x20           fraction_2 <= far[10:0];\n\
             \x20       end\n\
             \x20       x_3 <= {16{takes_z_2}} & z_2 | {16{takes_segment_2}} & {5'd0, fraction_2};\n\
             \x20       y_3 <= {16{multiplies_2}} & factor_2 | {16{squares_2}} & z_2 | {16{takes_segment_2}} & found[15:0];\n\
             \x20       addend_3 <= {32{passes_2}} & scaled_2;\n\
             \x20       amount_3 <= {5{takes_z_2}} & shift_2;\n\
             \x20       if (raises_2) begin\n\
             \x20           addend_3 <= {10'd0, found[31:16], 6'd0};\n\
             \x20           amount_3 <= power_shift > 7'd31 ? 5'd31 : power_shift[4:0];\n\
             \x20       end\n\
             \x20       if (bends_2) begin\n\
             \x20           addend_3 <= {1'b0, z_2[15] ? 16'd0 : z_2, 15'd0} - {5'd0, found[31:16], 11'd0};\n\
             \x20           amount_3 <= 5'd15;\n\
             \x20       end\n\
             \x20       if (lent) begin\n\
             \x20           x_3 <= factors_a[16*l +: 16]; y_3 <= factors_b[16*l +: 16];\n\
             \x20       end\n\
             \x20       multiplied_4 <= x_3 * y_3;\n\
             \x20       multiplied_5 <= multiplied_4;\n\
             \x20       addend_4 <= addend_3;\n\
             \x20       amount_4 <= amount_3;\n\
             \x20       if (valid_4) sum_5 <= (first_4 ? addend_4 : sum_5) + multiplied_4;\n\
             \x20       amount_5 <= amount_4;\n\
             \x20       biased_6 <= {sum_5[31], sum_5} + half;\n\
             \x20       amount_6 <= amount_5;\n\
             \x20       shifted_7 <= moved[31:0];\n\
             \x20       beyond_7 <= l >= {24'd0, count_6};\n\
             \x20       bounded_8 <= clamped_7 && counted < lowest ? lowest : clamped_7 && counted > highest ? highest : counted;\n\
             \x20   end\n\
             end endgenerate\n";
        text
    }
}
