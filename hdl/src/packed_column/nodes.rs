//! Nodes of a column's adder trees, and the sum of the activations that all columns share.

use crate::emit::describe;
use crate::leaves::{inputs, sign_extend};
use rust_hdl_core::prelude::*;
use std::collections::VecDeque;

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
pub(super) fn sum_of_halves(name: &str, width: usize, ((a, b), from): ((&str, &str), usize)) -> String {
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
pub(super) fn sum_less_excess(name: &str, width: usize) -> String {
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
    /// Of `rows` activations, there after `cycles`: one a level of the tree, with one more a register in front, and with more registers behind it.
    ///
    /// # Panics
    /// For fewer cycles than levels.
    pub fn new(rows: usize, cycles: usize) -> Self {
        let levels = rows.ilog2() as usize;
        assert!(levels <= cycles, "{cycles} cycles for a tree of {levels} levels");
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
        let (rows, all_cycles) = (self.activation.len(), self._sums.len());
        let levels = rows.ilog2() as usize;
        let cycles = all_cycles.min(levels + 1);
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
        let mut sum = format!("level_{levels}_0");
        for cycle in cycles + 1..=all_cycles {
            let later = format!("sum_{cycle}");
            declarations += &format!("reg signed [{top}:0] {later};\n");
            clocked += &format!("    {later} <= {sum};\n");
            sum = later;
        }
        Verilog::Custom(format!(
            "{declarations}\
             reg [{}:0] wanted;\n\
             always @(posedge clock) begin\n\
             \x20   wanted <= {{wanted, four_bit}};\n\
             {clocked}end\n\
             assign excess = {{{{{}{{{sum}[{top}]}}}}, {sum}, 3'd0}};",
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
