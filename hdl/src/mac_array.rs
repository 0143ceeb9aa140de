//! MAC array: one activation vector times a `rows` x `cols` weight tile each cycle, output stationary.
//!
//! ```text
//! activation words --> multipliers (2 registers) --> adder tree (1 register a level) --> int32 total, one a column
//! weight words ------^                                                          first, enable --^
//! ```
//! **Depthwise**: a column's multipliers take pixels of its own channel instead of the channels of one pixel. The rows of a column form
//! `rows / cols` *parts* of `cols` rows; part s of column j sums channel s * cols + j, and row k of the part takes its pixel k
//! (`tap`). A part is a subtree of the adder tree, with an accumulator of its own where there is more than one part.
//!
//! **Four-bit weights**: an array built for them has [`PackedColumn`]s instead. A weight byte then may hold two weights, a column gives two
//! totals (that of the low weights is `total[j]`, that of the high ones `total[cols + j]`), and every step's sums are multiplied by
//! scales: bytes j and `cols + j` of `scale`, given [`MacArray::scale_cycles`] after the activations.
//!
//! Latency: activations and weights presented in cycle t are in `total` in cycle t + [`MacArray::latency_cycles`]. `enable` and `first` are given
//! together with the activations and delayed inside. There is no stall.

use crate::emit::describe;
use crate::leaves::ecp5::{self, Registers};
use crate::leaves::gowin::{self, Multiplier};
use crate::leaves::{
    inputs, outputs, Accumulate, DelayBit, DelayLine, PairSum, SignExtend16to32, SplitBytes,
};
use crate::packed_column::{ActivationSum, PackedColumn};
use rust_hdl_core::prelude::*;

/// Signed 8 x 8 bit multiplier with a register at its inputs and one at its output, as DSP blocks have them.
#[derive(LogicBlock, Default)]
pub struct PipelinedMultiplier {
    pub clock: Signal<In, Clock>,
    pub activation: Signal<In, Bits<8>>,
    pub weight: Signal<In, Bits<8>>,
    pub product: Signal<Out, Bits<16>>,
    _operands: (i8, i8),
}

impl PipelinedMultiplier {
    pub const LATENCY_CYCLES: usize = 2;
}

impl Logic for PipelinedMultiplier {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let product = i16::from(self._operands.0) * i16::from(self._operands.1);
            self.product.next = u64::from(product as u16).into();
            self._operands = (self.activation.val().to_u8() as i8, self.weight.val().to_u8() as i8);
        }
    }
    fn connect(&mut self) {
        self.product.connect();
    }
    fn hdl(&self) -> Verilog {
        let portable = "reg signed [7:0] activation_operand;\n\
             reg signed [7:0] weight_operand;\n\
             always @(posedge clock) begin\n\
             \x20   activation_operand <= activation;\n\
             \x20   weight_operand <= weight;\n\
             \x20   product <= activation_operand * weight_operand;\n\
             end";
        let instance =
            ecp5::multiplier("multiplier", ("a", "b"), "wide_product", Registers::InputsAndOutput, "1'b0");
        let ecp5 = format!(
            "wire [17:0] a = {{{{10{{activation[7]}}}}, activation}};\n\
             wire [17:0] b = {{{{10{{weight[7]}}}}, weight}};\n\
             wire [35:0] wide_product;\n\
             {instance}\n\
             always @(*) product = wide_product[15:0];"
        );
        let instance =
            gowin::multiplier(Multiplier::Nine, "multiplier", ("a", "b"), "wide_product", (true, false));
        let gowin = format!(
            "wire [8:0] a = {{activation[7], activation}};\n\
             wire [8:0] b = {{weight[7], weight}};\n\
             wire [17:0] wide_product;\n\
             {instance}\n\
             always @(*) product = wide_product[15:0];"
        );
        Verilog::Custom(ecp5::choose_family(&[(ecp5::MACRO, &ecp5), (gowin::MACRO, &gowin)], portable))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "pipelined_multiplier",
            "Signed 8 x 8 bit product; registers at the inputs and at the output.",
        )
    }
}

/// One column: `rows` multipliers, an adder tree and an accumulator, and one for each part where there are several.
///
/// The tree is numbered like a heap: `value[1]` is the sum of all, `value[k]` the sum of `value[2k]` and `value[2k + 1]`, and
/// `value[rows + r]` the product of row r; so part s is `value[parts + s]`.
#[derive(LogicBlock)]
pub struct MacColumn {
    pub clock: Signal<In, Clock>,
    pub activation: Vec<Signal<In, Bits<8>>>,
    /// Pixels of this column's channels: `taps` of each part. With `depthwise` they take the place of the activations.
    pub tap: Vec<Signal<In, Bits<8>>>,
    pub depthwise: Signal<In, Bit>,
    pub weight: Vec<Signal<In, Bits<32>>>,
    /// With the sum of this column at the accumulator: add it, and whether it begins a new total.
    pub enable: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    /// The total is one of each part.
    pub by_part: Signal<In, Bit>,
    /// The sum of all rows, or of each part; without `by_part` only the first means something.
    pub total: Vec<Signal<Out, Bits<32>>>,
    weight_bytes: SplitBytes,
    multiplier: Vec<PipelinedMultiplier>,
    product: Vec<SignExtend16to32>,
    node: Vec<PairSum>,
    value: Vec<Signal<Local, Bits<32>>>,
    accumulator: Accumulate,
    /// Sums of parts, as late as the sum of all.
    part: Vec<DelayLine<32>>,
    part_accumulator: Vec<Accumulate>,
    _rows: usize,
    _words: usize,
    _cols: usize,
    _taps: usize,
    _parts: usize,
    _separate_parts: usize,
}

impl MacColumn {
    pub fn new(rows: usize, cols: usize, taps: usize) -> Self {
        let parts = rows / cols;
        let separate_parts = if parts > 1 { parts } else { 0 };
        // Node k of the heap sums products of 16 bits over as many levels as lie below it.
        let width = |k: usize| 16 + (rows.ilog2() - 1 - k.ilog2()) as usize;
        Self {
            clock: Signal::default(),
            activation: inputs(rows),
            tap: inputs(parts * taps),
            depthwise: Signal::default(),
            weight: inputs(rows / 4),
            enable: Signal::default(),
            first: Signal::default(),
            by_part: Signal::default(),
            total: outputs(parts),
            weight_bytes: SplitBytes::new(rows),
            multiplier: (0..rows).map(|_| PipelinedMultiplier::default()).collect(),
            product: (0..rows).map(|_| SignExtend16to32::default()).collect(),
            node: (1..rows).map(|k| PairSum::new(width(k))).collect(),
            value: (0..2 * rows).map(|_| Signal::default()).collect(),
            accumulator: Accumulate::default(),
            part: (0..separate_parts).map(|_| DelayLine::new(parts.ilog2() as usize)).collect(),
            part_accumulator: (0..separate_parts).map(|_| Accumulate::default()).collect(),
            _rows: rows,
            _words: rows / 4,
            _cols: cols,
            _taps: taps,
            _parts: parts,
            _separate_parts: separate_parts,
        }
    }
}

impl Logic for MacColumn {
    #[hdl_gen]
    fn update(&mut self) {
        for w in 0..self._words {
            self.weight_bytes.words[w].next = self.weight[w].val();
        }
        self.value[0].next = 0.into();
        for r in 0..self._rows {
            self.multiplier[r].clock.next = self.clock.val();
            self.multiplier[r].activation.next = self.activation[r].val();
            self.multiplier[r].weight.next = self.weight_bytes.bytes[r].val();
            self.product[r].value.next = self.multiplier[r].product.val();
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
        for rows in self._rows..(self._rows + 1) {
            for r in 0..self._rows {
                self.value[rows + r].next = self.product[r].extended.val();
            }
        }
        for k in 1..self._rows {
            self.node[k - 1].clock.next = self.clock.val();
            self.node[k - 1].a.next = self.value[k * 2].val();
            self.node[k - 1].b.next = self.value[k * 2 + 1].val();
            self.value[k].next = self.node[k - 1].sum.val();
        }
        self.accumulator.clock.next = self.clock.val();
        self.accumulator.enable.next = self.enable.val();
        self.accumulator.first.next = self.first.val();
        self.accumulator.addend.next = self.value[1].val();
        for parts in self._parts..(self._parts + 1) {
            for s in 0..self._separate_parts {
                self.part[s].clock.next = self.clock.val();
                self.part[s].value.next = self.value[parts + s].val();
                self.part_accumulator[s].clock.next = self.clock.val();
                self.part_accumulator[s].enable.next = self.enable.val();
                self.part_accumulator[s].first.next = self.first.val();
                self.part_accumulator[s].addend.next = self.part[s].delayed.val();
            }
        }
        for s in 0..self._parts {
            self.total[s].next = self.accumulator.total.val();
        }
        if self.by_part.val() {
            for s in 0..self._separate_parts {
                self.total[s].next = self.part_accumulator[s].total.val();
            }
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "mac_column",
            "One output channel: a multiplier a row, an adder tree with a register a level, an int32 accumulator.\n\
             value[1] is the sum of all, value[k] = value[2k] + value[2k + 1], value[rows + r] the product of row r.",
        )
    }
}

/// The columns side by side.
#[derive(LogicBlock)]
pub struct MacArray {
    pub clock: Signal<In, Clock>,
    /// One vector: `rows / 4` words.
    pub activation: Vec<Signal<In, Bits<32>>>,
    /// One tile: word `column * rows / 4 + w`.
    pub weight: Vec<Signal<In, Bits<32>>>,
    // Given together with the activations.
    pub enable: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    /// Given together with the activations.
    pub depthwise: Signal<In, Bit>,
    /// Given together with the activations: a weight byte holds two weights. Not together with `depthwise`.
    pub four_bit: Signal<In, Bit>,
    /// Scales of four-bit weights: `cols` bytes of low ones, then `cols` bytes of high ones. None without them.
    pub scale: Vec<Signal<In, Bits<32>>>,
    /// The vectors of the results before, the latest first: `taps - 1` times `rows / 4` words.
    pub earlier: Vec<Signal<In, Bits<32>>>,
    /// One sum a column; depthwise one a channel, of which there are `rows`; of four-bit weights two a column.
    pub total: Vec<Signal<Out, Bits<32>>>,
    /// The totals are complete: `last` was given with their final step.
    pub total_valid: Signal<Out, Bit>,
    activation_bytes: SplitBytes,
    column: Vec<MacColumn>,
    packed: Vec<PackedColumn>,
    // For packed columns only, one of each.
    activation_sum: Vec<ActivationSum>,
    scale_bytes: Vec<SplitBytes>,
    four_bit_delay: Vec<DelayBit>,
    enable_delay: DelayBit,
    first_delay: DelayBit,
    last_delay: DelayBit,
    depthwise_delay: DelayBit,
    last_enabled: Signal<Local, Bit>,
    _rows: usize,
    _cols: usize,
    _words: usize,
    _taps: usize,
    _parts: usize,
    _earlier_words: usize,
    _plain_cols: usize,
    _packed_cols: usize,
    _packed: usize,
    _scale_words: usize,
    _totals: usize,
}

impl MacArray {
    /// An array whose columns take `taps` pixels of a depthwise channel, and four-bit weights or not.
    pub fn new(rows: usize, cols: usize, taps: usize, four_bit: bool) -> Self {
        let words = rows / 4;
        let before_accumulator = Self::latency_cycles(rows, cols, four_bit) - 1;
        let (plain_cols, packed_cols, packed) = if four_bit { (0, cols, 1) } else { (cols, 0, 0) };
        let totals = if four_bit { PackedColumn::totals(rows, cols) } else { rows / cols };
        // A packed column chooses between parts and the sum of all before the accumulators, a plain one behind them.
        let before_choice = if four_bit { before_accumulator } else { before_accumulator + 1 };
        Self {
            clock: Signal::default(),
            activation: inputs(words),
            weight: inputs(words * cols),
            enable: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            depthwise: Signal::default(),
            four_bit: Signal::default(),
            scale: inputs(packed_cols / 2),
            earlier: inputs((taps - 1) * words),
            total: outputs(totals * cols),
            total_valid: Signal::default(),
            activation_bytes: SplitBytes::new(taps * rows),
            column: (0..plain_cols).map(|_| MacColumn::new(rows, cols, taps)).collect(),
            packed: (0..packed_cols).map(|_| PackedColumn::new(rows, cols, taps)).collect(),
            activation_sum: (0..packed)
                .map(|_| ActivationSum::new(rows, PackedColumn::excess_cycles(rows, cols)))
                .collect(),
            scale_bytes: (0..packed).map(|_| SplitBytes::new(2 * cols)).collect(),
            four_bit_delay: (0..packed).map(|_| DelayBit::new(Self::scale_cycles(rows, cols))).collect(),
            enable_delay: DelayBit::new(before_accumulator),
            first_delay: DelayBit::new(before_accumulator),
            last_delay: DelayBit::new(before_accumulator + 1),
            depthwise_delay: DelayBit::new(before_choice),
            last_enabled: Signal::default(),
            _rows: rows,
            _cols: cols,
            _words: words,
            _taps: taps,
            _parts: rows / cols,
            _earlier_words: (taps - 1) * words,
            _plain_cols: plain_cols,
            _packed_cols: packed_cols,
            _packed: packed,
            _scale_words: packed_cols / 2,
            _totals: totals,
        }
    }

    /// The same array with so many of the first column's products made of LUTs, at most all of them; only columns that take 4-bit weights, too.
    pub fn with_products_in_logic(mut self, products: usize) -> Self {
        for column in self.packed.iter_mut().take(1) {
            column.make_in_logic(products);
        }
        self
    }

    /// Multiplier, one register a level of the tree, accumulator; for four-bit weights one more before the accumulator.
    pub fn latency_cycles(rows: usize, cols: usize, four_bit: bool) -> usize {
        if four_bit {
            return PackedColumn::latency_cycles(rows, cols);
        }
        PipelinedMultiplier::LATENCY_CYCLES + rows.ilog2() as usize + 1
    }

    /// From the activations of a step to its scales.
    pub fn scale_cycles(rows: usize, cols: usize) -> usize {
        PackedColumn::scale_cycles(rows, cols)
    }
}

impl Logic for MacArray {
    #[hdl_gen]
    fn update(&mut self) {
        for w in 0..self._words {
            self.activation_bytes.words[w].next = self.activation[w].val();
        }
        for words in self._words..(self._words + 1) {
            for w in 0..self._earlier_words {
                self.activation_bytes.words[words + w].next = self.earlier[w].val();
            }
        }
        self.enable_delay.clock.next = self.clock.val();
        self.first_delay.clock.next = self.clock.val();
        self.last_delay.clock.next = self.clock.val();
        self.enable_delay.value.next = self.enable.val();
        self.last_enabled.next = self.last.val() & self.enable.val();
        self.first_delay.value.next = self.first.val();
        self.last_delay.value.next = self.last_enabled.val();
        self.depthwise_delay.clock.next = self.clock.val();
        self.depthwise_delay.value.next = self.depthwise.val();
        for c in 0..self._plain_cols {
            self.column[c].clock.next = self.clock.val();
            for r in 0..self._rows {
                self.column[c].activation[r].next = self.activation_bytes.bytes[r].val();
            }
            for words in self._words..(self._words + 1) {
                for w in 0..self._words {
                    self.column[c].weight[w].next = self.weight[c * words + w].val();
                }
            }
            self.column[c].enable.next = self.enable_delay.delayed.val();
            self.column[c].first.next = self.first_delay.delayed.val();
            self.column[c].depthwise.next = self.depthwise.val();
            self.column[c].by_part.next = self.depthwise_delay.delayed.val();
        }
        // Packed columns, and what they share.
        for p in 0..self._packed {
            self.four_bit_delay[p].clock.next = self.clock.val();
            self.four_bit_delay[p].value.next = self.four_bit.val();
            self.activation_sum[p].clock.next = self.clock.val();
            self.activation_sum[p].four_bit.next = self.four_bit.val();
            for r in 0..self._rows {
                self.activation_sum[p].activation[r].next = self.activation_bytes.bytes[r].val();
            }
            for w in 0..self._scale_words {
                self.scale_bytes[p].words[w].next = self.scale[w].val();
            }
            for cols in self._cols..(self._cols + 1) {
                for c in 0..self._packed_cols {
                    self.packed[c].four_bit_sums.next = self.four_bit_delay[p].delayed.val();
                    self.packed[c].excess.next = self.activation_sum[p].excess.val();
                    self.packed[c].low_scale.next = self.scale_bytes[p].bytes[c].val();
                    self.packed[c].high_scale.next = self.scale_bytes[p].bytes[cols + c].val();
                }
            }
        }
        for c in 0..self._packed_cols {
            self.packed[c].clock.next = self.clock.val();
            for r in 0..self._rows {
                self.packed[c].activation[r].next = self.activation_bytes.bytes[r].val();
            }
            for words in self._words..(self._words + 1) {
                for w in 0..self._words {
                    self.packed[c].weight[w].next = self.weight[c * words + w].val();
                }
            }
            self.packed[c].enable.next = self.enable_delay.delayed.val();
            self.packed[c].first.next = self.first_delay.delayed.val();
            self.packed[c].depthwise.next = self.depthwise.val();
            self.packed[c].by_part.next = self.depthwise_delay.delayed.val();
            self.packed[c].four_bit.next = self.four_bit.val();
        }
        for cols in self._cols..(self._cols + 1) {
            for rows in self._rows..(self._rows + 1) {
                for taps in self._taps..(self._taps + 1) {
                    for c in 0..self._packed_cols {
                        for s in 0..self._totals {
                            self.total[s * cols + c].next = self.packed[c].total[s].val();
                        }
                        for s in 0..self._parts {
                            for k in 0..self._taps {
                                self.packed[c].tap[s * taps + k].next =
                                    self.activation_bytes.bytes[k * rows + s * cols + c].val();
                            }
                        }
                    }
                }
            }
        }
        // Channel s * cols + c is part s of column c.
        for cols in self._cols..(self._cols + 1) {
            for rows in self._rows..(self._rows + 1) {
                for taps in self._taps..(self._taps + 1) {
                    for c in 0..self._plain_cols {
                        for s in 0..self._parts {
                            self.total[s * cols + c].next = self.column[c].total[s].val();
                            for k in 0..self._taps {
                                self.column[c].tap[s * taps + k].next =
                                    self.activation_bytes.bytes[k * rows + s * cols + c].val();
                            }
                        }
                    }
                }
            }
        }
        self.total_valid.next = self.last_delay.delayed.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "mac_array",
            "rows x cols multiply-accumulates a cycle: every column takes the dot product of the one activation\n\
             vector with its own weights; depthwise, of the pixels of its own channels.",

        )
    }
}
