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
//! In columns of eight rows one [`PackedProducts`], which ECP5 makes of DSP slices, takes the place of multipliers and packed sums.
//!
//! * 8-bit weights: a column's sum is 16 * high + low.
//! * 4-bit weights: the low nibble stands for low - 8 (its top bit is inverted on the way in), so 8 times the sum of all activations,
//!   which all columns share ([`ActivationSum`]), is taken off the low sum ([`LowSum`]); each sum is then multiplied by its group's scale.
//!
//! There are as many accumulators as parts, but at least two: accumulator k of column j has channel `k * cols + j`, in depthwise steps (part
//! k) as with 4-bit weights (0 low, 1 high). 8-bit sums are in accumulator 0.

mod nodes;
mod products;
mod sums;

use crate::emit::describe;
use crate::leaves::{inputs, outputs, AccumulateEither, DelayLine, PairSum, SplitBytes};
pub use nodes::{ActivationSum, HalvesSum, LowSum, NibbleSum};
pub use products::{PackedMultiplier, PackedProducts, SplitSums};
use rust_hdl_core::prelude::*;
pub use sums::PackedSums;

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
    /// In place of both, where the sums of four rows are made in DSP slices: one.
    products: Vec<PackedProducts>,
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
    /// Rows that have a multiplier each, and the end of the nodes that add them up: 0 and the first such node, where slices do.
    _single_rows: usize,
    _packed_end: usize,
    _single_parts: usize,
    _sliced: usize,
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
        let is_sliced = Self::is_sliced(rows, cols);
        let single_rows = if is_sliced { 0 } else { rows };
        let packed_end = if is_sliced { first_packed } else { rows };
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
            multiplier: (0..single_rows).map(|_| PackedMultiplier::default()).collect(),
            packed_node: (first_packed..packed_end)
                .map(|k| PairSum::new(PackedMultiplier::BITS + levels(k)))
                .collect(),
            products: (0..usize::from(is_sliced)).map(|_| PackedProducts::new(rows)).collect(),
            packed_sum: (0..if is_sliced { 2 * first_packed } else { 2 * rows })
                .map(|_| Signal::default())
                .collect(),
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
            _single_rows: single_rows,
            _packed_end: packed_end,
            _single_parts: if is_sliced { 0 } else { parts },
            _sliced: usize::from(is_sliced),
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

    /// Whether sums of four rows are made in DSP slices. That takes two cycles more, of which wide arrays have none to spare; and sums of parts of two
    /// rows are wanted, too, if there are such parts.
    fn is_sliced(rows: usize, cols: usize) -> bool {
        rows == 8 && (4..=8).contains(&cols)
    }

    /// From the operands to the excess.
    pub fn excess_cycles(rows: usize, cols: usize) -> usize {
        Self::scale_cycles(rows, cols) - usize::from(Self::is_settled(rows))
    }

    /// From the operands to the scales: multiplier, and tree but for its root.
    pub fn scale_cycles(rows: usize, cols: usize) -> usize {
        let levels = rows.ilog2() as usize - 1;
        if Self::is_sliced(rows, cols) {
            return PackedProducts::LATENCY_CYCLES + levels - PackedMultiplier::PACKED_LEVELS;
        }
        PackedMultiplier::LATENCY_CYCLES + levels
    }

    /// From the operands to the totals.
    pub fn latency_cycles(rows: usize, cols: usize) -> usize {
        Self::scale_cycles(rows, cols) + PackedSums::LATENCY_CYCLES + 1
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
        for r in 0..self._single_rows {
            self.multiplier[r].clock.next = self.clock.val();
            self.multiplier[r].activation.next = self.activation[r].val();
            self.multiplier[r].weight.next = self.weight_bytes.bytes[r].val();
            self.multiplier[r].four_bit.next = self.four_bit.val();
        }
        for p in 0..self._sliced {
            self.products[p].clock.next = self.clock.val();
            self.products[p].four_bit.next = self.four_bit.val();
            for r in 0..self._rows {
                self.products[p].activation[r].next = self.activation[r].val();
                self.products[p].weight[r].next = self.weight_bytes.bytes[r].val();
            }
        }
        if self.depthwise.val() {
            for cols in self._cols..(self._cols + 1) {
                for taps in self._taps..(self._taps + 1) {
                    for s in 0..self._single_parts {
                        for k in 0..self._taps {
                            self.multiplier[s * cols + k].activation.next = self.tap[s * taps + k].val();
                        }
                    }
                    for p in 0..self._sliced {
                        for s in 0..self._parts {
                            for k in 0..self._taps {
                                self.products[p].activation[s * cols + k].next = self.tap[s * taps + k].val();
                            }
                        }
                    }
                }
            }
        }
        for k in 0..self._first_packed {
            self.packed_sum[k].next = 0.into();
        }
        for rows in self._rows..(self._rows + 1) {
            for r in 0..self._single_rows {
                self.packed_sum[rows + r].next = self.multiplier[r].product.val();
            }
        }
        for first in self._first_packed..(self._first_packed + 1) {
            for k in self._first_packed..self._packed_end {
                self.packed_node[k - first].clock.next = self.clock.val();
                self.packed_node[k - first].a.next = self.packed_sum[k * 2].val();
                self.packed_node[k - first].b.next = self.packed_sum[k * 2 + 1].val();
                self.packed_sum[k].next = self.packed_node[k - first].sum.val();
            }
            for p in 0..self._sliced {
                for k in 0..self._splits {
                    self.packed_sum[first + k].next = self.products[p].sum[k].val();
                }
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
