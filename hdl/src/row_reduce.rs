//! Reduces rows of values: a tree over the lanes, an accumulator over the groups of a row, and the functions of the total.
//!
//! ```text
//! values --> tree (1 register a level) --> accumulator --> [`ScaleUnit`]: leading one, alignment, segment, product, sum --> scalar
//! ```

use crate::emit::describe;
use crate::leaves::{inputs, sign_extend};
use frugal_isa::command::{finish, row_reduce};
use frugal_quant::piecewise::{inverse_square_root, reciprocal};
use frugal_quant::segments::{Segment, INVERSE_SQUARE_ROOT, RECIPROCAL};
use rust_hdl_core::prelude::*;
use std::collections::VecDeque;

/// One group of values, as it leaves the tree.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    valid: bool,
    first: bool,
    last: bool,
    reduce: u32,
    base: u32,
    sum: i64,
    largest: i32,
    lane: u32,
}

/// Sum, maximum, or largest value with its index, of each row of groups of lanes.
#[derive(LogicBlock)]
pub struct RowReduce {
    pub clock: Signal<In, Clock>,
    // One group, together.
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub value: Vec<Signal<In, Bits<32>>>,
    /// Lanes from this one on take no part.
    pub count: Signal<In, Bits<8>>,
    pub reduce: Signal<In, Bits<2>>,
    /// What a sum or maximum begins with; the index of the group's first element.
    pub base: Signal<In, Bits<32>>,
    /// A row's total, [`RowReduce::latency_cycles`] after its last group.
    pub done: Signal<Out, Bit>,
    /// Sum; or maximum, or largest value, in the low 32 bits.
    pub total: Signal<Out, Bits<48>>,
    pub index: Signal<Out, Bits<32>>,
    _lanes: usize,
    _tree: VecDeque<Group>,
    _sum: i64,
    _largest: i32,
    _index: u32,
}

impl RowReduce {
    pub fn new(lanes: usize) -> Self {
        Self {
            clock: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            value: inputs(lanes),
            count: Signal::default(),
            reduce: Signal::default(),
            base: Signal::default(),
            done: Signal::default(),
            total: Signal::default(),
            index: Signal::default(),
            _lanes: lanes,
            _tree: vec![Group::default(); lanes.ilog2() as usize].into(),
            _sum: 0,
            _largest: 0,
            _index: 0,
        }
    }

    /// One register a level of the tree, and the accumulator.
    pub fn latency_cycles(lanes: usize) -> usize {
        lanes.ilog2() as usize + 1
    }
}

impl Logic for RowReduce {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let group = self._tree.pop_front().expect("lanes are at least two");
        self.done.next = group.valid && group.last;
        if group.valid {
            let sum = if group.first { i64::from(group.base as i32) } else { self._sum };
            self._sum = (sum + group.sum) << 16 >> 16;
            let (largest, index) = match (group.first, group.reduce) {
                (false, _) => (self._largest, self._index),
                (true, row_reduce::MAXIMUM) => (group.base as i32, 0),
                (true, _) => (i32::MIN, group.base),
            };
            let better = group.largest > largest;
            self._largest = if better { group.largest } else { largest };
            self._index = if better { group.base.wrapping_add(group.lane) } else { index };
            let total = if group.reduce == row_reduce::SUM { self._sum } else { i64::from(self._largest) };
            self.total.next = (total as u64 & 0xffff_ffff_ffff).into();
            self.index.next = u64::from(self._index).into();
        }
        let mut next = Group {
            valid: self.valid.val(),
            first: self.first.val(),
            last: self.last.val(),
            reduce: self.reduce.val().to_u32(),
            base: self.base.val().to_u32(),
            sum: 0,
            largest: i32::MIN,
            lane: 0,
        };
        for (lane, value) in self.value.iter().enumerate() {
            let value = value.val().to_u32() as i32;
            next.sum += i64::from(value);
            if (lane as u32) < self.count.val().to_u32() && value > next.largest {
                (next.largest, next.lane) = (value, lane as u32);
            }
        }
        self._tree.push_back(next);
    }
    fn connect(&mut self) {
        self.done.connect();
        self.total.connect();
        self.index.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(self.verilog())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("row_reduce_{}", self._lanes),
            "Sum, maximum, or largest value with its index, of rows of groups of lanes.",
        )
    }
}

impl RowReduce {
    fn verilog(&self) -> String {
        let lanes = self._lanes;
        let levels = lanes.ilog2() as usize;
        let mut declarations = String::new();
        let mut steps = String::new();
        // Level 0 are the inputs; a node has a sum, and the largest value with its lane.
        for lane in 0..lanes {
            declarations += &format!(
                "wire signed [37:0] sum_0_{lane} = {{{{6{{value${lane}[31]}}}}, value${lane}}};\n\
                 wire signed [31:0] largest_0_{lane} = value${lane};\n\
                 wire counts_{lane} = 8'd{lane} < count;\n\
                 wire [5:0] lane_0_{lane} = 6'd{lane};\n"
            );
        }
        let controls = |from: &str, to: &str| {
            ["valid", "first", "last", "reduce", "base"]
                .iter()
                .map(|name| format!("    {name}_{to} <= {name}{from};\n"))
                .collect::<String>()
        };
        for level in 1..=levels {
            declarations += &format!(
                "reg valid_{level};\ninitial valid_{level} = 0;\nreg first_{level}, last_{level};\nreg [1:0] reduce_{level};\nreg [31:0] base_{level};\n"
            );
            let from = if level == 1 { String::new() } else { format!("_{}", level - 1) };
            steps += &controls(&from, &level.to_string());
            let below = level - 1;
            for node in 0..lanes >> level {
                let (a, b) = (2 * node, 2 * node + 1);
                let larger = format!("later_{level}_{node} ? largest_{below}_{b} : largest_{below}_{a}");
                // Lanes that take no part follow those that do, so the mask needs not wait for the comparison nor this for the mask.
                let (later, larger) = match level {
                    1 => (format!(" && counts_{b}"), format!("!counts_{a} ? 32'h80000000 : {larger}")),
                    _ => (String::new(), larger),
                };
                declarations += &format!(
                    "reg signed [37:0] sum_{level}_{node};\nreg signed [31:0] largest_{level}_{node};\nreg [5:0] lane_{level}_{node};\n\
                     wire later_{level}_{node} = largest_{below}_{b} > largest_{below}_{a}{later};\n"
                );
                steps += &format!(
                    "    sum_{level}_{node} <= sum_{below}_{a} + sum_{below}_{b};\n\
                     \x20   largest_{level}_{node} <= {larger};\n\
                     \x20   lane_{level}_{node} <= later_{level}_{node} ? lane_{below}_{b} : lane_{below}_{a};\n"
                );
            }
        }
        let top = levels;
        // What the last level is compared with at a row's beginning, chosen while that level is made.
        let before = if levels == 1 { String::new() } else { format!("_{}", levels - 1) };
        declarations += "reg signed [31:0] floor_value;\nreg [31:0] floor_index;\n";
        steps += &format!(
            "    floor_value <= reduce{before} == 2'd2 ? base{before} : 32'h80000000;\n\
             \x20   floor_index <= reduce{before} == 2'd2 ? 32'd0 : base{before};\n"
        );
        format!(
            "{declarations}\
             reg signed [47:0] sum;\n\
             reg signed [31:0] largest;\n\
             reg is_sum;\n\
             wire signed [47:0] sum_before = first_{top} ? {{{{16{{base_{top}[31]}}}}, base_{top}}} : sum;\n\
             wire signed [31:0] largest_before = first_{top} ? floor_value : largest;\n\
             wire [31:0] index_before = first_{top} ? floor_index : index;\n\
             wire above_floor = largest_{top}_0 > floor_value;\n\
             wire above_largest = largest_{top}_0 > largest;\n\
             wire better = first_{top} ? above_floor : above_largest;\n\
             assign total = is_sum ? sum : {{{{16{{largest[31]}}}}, largest}};\n\
             always @(posedge clock) begin\n\
             {steps}\
             \x20   done <= valid_{top} && last_{top};\n\
             \x20   if (valid_{top}) begin\n\
             \x20       is_sum <= reduce_{top} == 2'd1;\n\
             \x20       sum <= sum_before + {{{{10{{sum_{top}_0[37]}}}}, sum_{top}_0}};\n\
             \x20       largest <= better ? largest_{top}_0 : largest_before;\n\
             \x20       index <= better ? base_{top} + {{26'd0, lane_{top}_0}} : index_before;\n\
             \x20   end\n\
             end"
        )
    }
}

/// A total as a scalar word: as it is, negated, its reciprocal or its inverse square root.
///
/// ```text
/// total --> leading one --> aligned to it --> segment --> product --> sum --> word
/// ```
#[derive(LogicBlock)]
pub struct ScaleUnit {
    pub clock: Signal<In, Clock>,
    /// Signed.
    pub total: Signal<In, Bits<48>>,
    /// A `finish` of row commands.
    pub finish: Signal<In, Bits<2>>,
    /// [`ScaleUnit::LATENCY_CYCLES`] later.
    pub word: Signal<Out, Bits<32>>,
    _words: VecDeque<u32>,
}

impl ScaleUnit {
    pub const LATENCY_CYCLES: usize = 6;
}

impl Default for ScaleUnit {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            total: Signal::default(),
            finish: Signal::default(),
            word: Signal::default(),
            _words: vec![0; Self::LATENCY_CYCLES - 1].into(),
        }
    }
}

impl Logic for ScaleUnit {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let total = (self.total.val().to_u64() << 16) as i64 >> 16;
            self._words.push_back(match self.finish.val().to_u32() {
                finish::NONE => total as u32,
                finish::NEGATE => (total as u32).wrapping_neg(),
                finish::RECIPROCAL => reciprocal(total).word(),
                _ => inverse_square_root(total).word(),
            });
            let word = self._words.pop_front().expect("the pipeline's length stays");
            self.word.next = u64::from(word).into();
        }
    }
    fn connect(&mut self) {
        self.word.connect();
    }
    fn hdl(&self) -> Verilog {
        let mut cases = String::new();
        for (index, Segment(value, slope)) in RECIPROCAL.iter().chain(&INVERSE_SQUARE_ROOT).enumerate() {
            debug_assert_eq!(sign_extend(*slope as u32, 12), *slope);
            let word = (*value as u32) << 12 | (*slope as u32 & 0xfff);
            cases += &format!("    7'd{index}: segment = 29'h{word:08x};\n");
        }
        // The leading one by groups of eight bits: one loop over all bits would become a chain as long.
        let first_of_eight = "function [2:0] leading(input [7:0] bits);\n\
             \x20   casez (bits)\n\
             \x20   8'b1???????: leading = 3'd7;\n\
             \x20   8'b01??????: leading = 3'd6;\n\
             \x20   8'b001?????: leading = 3'd5;\n\
             \x20   8'b0001????: leading = 3'd4;\n\
             \x20   8'b00001???: leading = 3'd3;\n\
             \x20   8'b000001??: leading = 3'd2;\n\
             \x20   8'b0000001?: leading = 3'd1;\n\
             \x20   default: leading = 3'd0;\n\
             \x20   endcase\n\
             endfunction\n";
        let any = |group: usize| format!("|total_0[{}:{}]", 8 * group + 7, 8 * group);
        let mut leading_one = format!(
            "wire [7:0] occupied = {{2'b00, {}}};\nwire [2:0] group = leading(occupied);\n",
            (0..6).rev().map(any).collect::<Vec<_>>().join(", ")
        );
        for group in 0..6 {
            leading_one += &format!(
                "wire [2:0] in_group_{group} = leading(total_0[{}:{}]);\n",
                8 * group + 7,
                8 * group
            );
        }
        leading_one += "reg [2:0] in_group;\nalways @(*) begin\n    case (group)\n";
        for group in 0..5 {
            leading_one += &format!("    3'd{group}: in_group = in_group_{group};\n");
        }
        leading_one += "    default: in_group = in_group_5;\n    endcase\nend\n";
        // The table is kept out of block RAM, which would be too slow for the product behind it.
        Verilog::Custom(format!(
            "{first_of_eight}\
             function [28:0] segment(input [6:0] entry);\n\
             \x20   (* rom_style = \"logic\" *)\n\
             \x20   case (entry)\n{cases}\x20   default: segment = 29'd0;\n    endcase\nendfunction\n\
             reg [47:0] total_0, total_1, aligned_2;\n\
             reg [5:0] position_1, position_2, position_3, position_4;\n\
             reg [31:0] plain_0, plain_1, plain_2, plain_3, plain_4;\n\
             reg [1:0] finish_0, finish_1, finish_2, finish_3, finish_4;\n\
             reg [28:0] segment_3;\n\
             reg signed [12:0] fraction_3;\n\
             reg signed [24:0] product_4;\n\
             reg [16:0] value_4;\n\
             wire [47:0] positive = total[47] || total == 48'd0 ? 48'd1 : total;\n\
             {leading_one}\
             wire root = finish_2 == 2'd3;\n\
             wire [5:0] entry_low = {{1'b0, aligned_2[46:42]}};\n\
             wire [6:0] entry = root ? 7'd32 + {{1'b0, position_2[0], entry_low[4:0]}} : {{1'b0, entry_low}};\n\
             wire signed [29:0] exact = $signed({{1'b0, value_4, 12'd0}}) + {{{{5{{product_4[24]}}}}, product_4}};\n\
             wire [29:0] rounded = exact + 30'd2048;\n\
             wire [7:0] exponent = finish_4 == 2'd3 ? {{3'd0, position_4[5:1]}} : {{2'd0, position_4}};\n\
             always @(posedge clock) begin\n\
             \x20   total_0 <= positive;\n\
             \x20   plain_0 <= finish == 2'd1 ? -total[31:0] : total[31:0];\n\
             \x20   finish_0 <= finish;\n\
             \x20   total_1 <= total_0;\n\
             \x20   position_1 <= {{group, in_group}};\n\
             \x20   plain_1 <= plain_0;\n\
             \x20   finish_1 <= finish_0;\n\
             \x20   aligned_2 <= total_1 << (6'd47 - position_1);\n\
             \x20   position_2 <= position_1;\n\
             \x20   plain_2 <= plain_1;\n\
             \x20   finish_2 <= finish_1;\n\
             \x20   segment_3 <= segment(entry);\n\
             \x20   fraction_3 <= {{1'b0, aligned_2[41:30]}};\n\
             \x20   position_3 <= position_2;\n\
             \x20   plain_3 <= plain_2;\n\
             \x20   finish_3 <= finish_2;\n\
             \x20   product_4 <= $signed(segment_3[11:0]) * fraction_3;\n\
             \x20   value_4 <= segment_3[28:12];\n\
             \x20   position_4 <= position_3;\n\
             \x20   plain_4 <= plain_3;\n\
             \x20   finish_4 <= finish_3;\n\
             \x20   word <= finish_4[1] ? {{exponent, 7'd0, rounded[28:12]}} : plain_4;\n\
             end"
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "scale_unit",
            "A row's total as a scalar word: plain, negated, its reciprocal or its inverse square root.",
        )
    }
}
