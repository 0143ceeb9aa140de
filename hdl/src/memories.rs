//! The memories with one read port and one write port: weights, parameters, group scales and accumulators.
//!
//! Read data appear one cycle after the request; weights, which are read early enough, two. Addresses wrap at the depth.
//! What a load writes waits in a register in front of its memory: which bytes they are is decided far away. Its tokens come later than that.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, SimpleRam};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Weight scratchpad, parameter memory and group scales: written by loads, read by the matrix engine.
///
/// Words of which only the low half means something lie in pairs in a word of the memory.
#[derive(LogicBlock)]
pub struct LoadedMemory {
    pub clock: Signal<In, Clock>,
    // Read by the matrix engine.
    pub read_enable: Signal<In, Bit>,
    pub read_address: Signal<In, Bits<16>>,
    pub read_data: Vec<Signal<Out, Bits<32>>>,
    // Written by loads, a cycle later.
    pub write_valid: Signal<In, Bit>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_enable: Vec<Signal<In, Bits<4>>>,
    pub write_data: Vec<Signal<In, Bits<32>>>,
    ram: SimpleRam,
    address_mask: Constant<Bits<16>>,
    low_half: Constant<Bits<32>>,
    low_bytes: Constant<Bits<4>>,
    _whole_words: usize,
    _pairs: usize,
    _name: &'static str,
    _comment: &'static str,
}

impl LoadedMemory {
    /// `halves` of the `words` words, the last ones, have 16 bits.
    fn new(depth: usize, (words, halves): (usize, usize), name: &'static str, comment: &'static str) -> Self {
        let (whole_words, pairs) = (words - halves, halves / 2);
        Self {
            clock: Signal::default(),
            read_enable: Signal::default(),
            read_address: Signal::default(),
            read_data: outputs(words),
            write_valid: Signal::default(),
            write_address: Signal::default(),
            write_enable: inputs(words),
            write_data: inputs(words),
            ram: SimpleRam::new(depth, whole_words + pairs).with_write_register(),
            address_mask: Constant::new((depth as u64 - 1).into()),
            low_half: Constant::new(0xffff_u64.into()),
            low_bytes: Constant::new(3_u64.into()),
            _whole_words: whole_words,
            _pairs: pairs,
            _name: name,
            _comment: comment,
        }
    }

    /// `depth` tiles of `cols` columns of `rows` bytes; word `column * rows / 4 + w`.
    pub fn weights(depth: usize, rows: usize, cols: usize) -> Self {
        let comment = "One tile an address: cols columns of rows bytes, column by column; data come two cycles after the request.";
        let mut memory = Self::new(depth, (rows * cols / 4, 0), "weight_scratchpad", comment);
        memory.ram = memory.ram.with_output_register();
        memory
    }

    /// `depth` rows of `words` words of group scales, a byte each.
    pub fn scales(depth: usize, words: usize) -> Self {
        let comment =
            "One row of group scales an address: of the low weights of all columns, then of the high ones.";
        Self::new(depth, (words, 0), "scale_memory", comment)
    }

    /// `depth` groups of `lanes` biases, `lanes` multipliers and `lanes` shift words.
    pub fn parameters(depth: usize, lanes: usize) -> Self {
        let comment = "One group an address: a bias, a multiplier and a shift word, of which the low half is kept, for each lane.";
        Self::new(depth, (3 * lanes, lanes), "parameter_memory", comment)
    }
}

impl Logic for LoadedMemory {
    #[hdl_gen]
    fn update(&mut self) {
        self.ram.clock.next = self.clock.val();
        self.ram.read_enable.next = self.read_enable.val();
        self.ram.read_address.next = self.read_address.val() & self.address_mask.val();
        self.ram.write_valid.next = self.write_valid.val();
        self.ram.write_address.next = self.write_address.val() & self.address_mask.val();
        for w in 0..self._whole_words {
            self.ram.write_enable[w].next = self.write_enable[w].val();
            self.ram.write_data[w].next = self.write_data[w].val();
            self.read_data[w].next = self.ram.read_data[w].val();
        }
        for first in self._whole_words..(self._whole_words + 1) {
            for p in 0..self._pairs {
                self.ram.write_enable[first + p].next = (self.write_enable[first + p * 2].val()
                    & self.low_bytes.val())
                    | (self.write_enable[first + p * 2 + 1].val() << 2);
                self.ram.write_data[first + p].next = (self.write_data[first + p * 2].val()
                    & self.low_half.val())
                    | (self.write_data[first + p * 2 + 1].val() << 16);
                self.read_data[first + p * 2].next =
                    self.ram.read_data[first + p].val() & self.low_half.val();
                self.read_data[first + p * 2 + 1].next = self.ram.read_data[first + p].val() >> 16;
            }
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(self._name, self._comment)
    }
}

/// Accumulator memory: one row of `lanes` 32-bit values an address.
///
/// Reads: the output stage's partial sums and the vector engine never want the same cycle (the output stage's slot is reserved for one of
/// them), the store engine waits for both. Writes: results go first, loads wait for `load_ready`.
#[derive(LogicBlock)]
pub struct AccumulatorMemory {
    pub clock: Signal<In, Clock>,
    // Partial sums for the output stage.
    pub partial_enable: Signal<In, Bit>,
    pub partial_address: Signal<In, Bits<16>>,
    // Sources and operands of the vector engine.
    pub vector_enable: Signal<In, Bit>,
    pub vector_address: Signal<In, Bits<16>>,
    // Store read.
    /// The others may read in this cycle: whether they do is known late.
    pub others_may_read: Signal<In, Bit>,
    pub store_enable: Signal<In, Bit>,
    pub store_address: Signal<In, Bits<16>>,
    pub store_ready: Signal<Out, Bit>,
    /// Data for whoever read.
    pub read_data: Vec<Signal<Out, Bits<32>>>,
    // Result write.
    /// One comes in the next cycle. The rest comes with it.
    pub result_soon: Signal<In, Bit>,
    pub result_address: Signal<In, Bits<16>>,
    pub result_data: Vec<Signal<In, Bits<32>>>,
    // Load write.
    pub load_valid: Signal<In, Bit>,
    pub load_address: Signal<In, Bits<16>>,
    pub load_enable: Vec<Signal<In, Bits<4>>>,
    pub load_data: Vec<Signal<In, Bits<32>>>,
    pub load_ready: Signal<Out, Bit>,
    ram: SimpleRam,
    /// Loads look at it, and go on without reaching for whoever writes.
    result: DFF<Bit>,
    address_mask: Constant<Bits<16>>,
    _lanes: usize,
}

impl AccumulatorMemory {
    /// `depth` rows of `lanes` values.
    pub fn new(depth: usize, lanes: usize) -> Self {
        Self {
            clock: Signal::default(),
            partial_enable: Signal::default(),
            others_may_read: Signal::default(),
            partial_address: Signal::default(),
            vector_enable: Signal::default(),
            vector_address: Signal::default(),
            store_enable: Signal::default(),
            store_address: Signal::default(),
            store_ready: Signal::default(),
            read_data: outputs(lanes),
            result_soon: Signal::default(),
            result_address: Signal::default(),
            result_data: inputs(lanes),
            load_valid: Signal::default(),
            load_address: Signal::default(),
            load_enable: inputs(lanes),
            load_data: inputs(lanes),
            load_ready: Signal::default(),
            ram: SimpleRam::new(depth, lanes).with_write_register(),
            result: DFF::default(),
            address_mask: Constant::new((depth as u64 - 1).into()),
            _lanes: lanes,
        }
    }
}

impl Logic for AccumulatorMemory {
    #[hdl_gen]
    fn update(&mut self) {
        self.ram.clock.next = self.clock.val();
        self.store_ready.next = !self.others_may_read.val();
        self.ram.read_enable.next =
            self.partial_enable.val() | self.vector_enable.val() | self.store_enable.val();
        self.ram.read_address.next = self.store_address.val() & self.address_mask.val();
        if self.partial_enable.val() {
            self.ram.read_address.next = self.partial_address.val() & self.address_mask.val();
        } else if self.vector_enable.val() {
            self.ram.read_address.next = self.vector_address.val() & self.address_mask.val();
        }
        self.result.clock.next = self.clock.val();
        self.result.d.next = self.result_soon.val();
        self.load_ready.next = !self.result.q.val();
        self.ram.write_address.next = self.load_address.val() & self.address_mask.val();
        if self.result.q.val() {
            self.ram.write_address.next = self.result_address.val() & self.address_mask.val();
        }
        for l in 0..self._lanes {
            self.read_data[l].next = self.ram.read_data[l].val();
            self.ram.write_data[l].next = self.load_data[l].val();
            self.ram.write_enable[l].next = self.load_enable[l].val();
        }
        self.ram.write_valid.next = self.result.q.val() | self.load_valid.val();
        if self.result.q.val() {
            for l in 0..self._lanes {
                self.ram.write_data[l].next = self.result_data[l].val();
                self.ram.write_enable[l].next = 15.into();
            }
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "accumulator_memory",
            "One row of 32-bit lanes an address. Reads: partial sums or vector, then store; writes: results, then loads.",
        )
    }
}
