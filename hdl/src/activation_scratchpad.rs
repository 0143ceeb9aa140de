//! Activation scratchpad: vectors of `rows` bytes in two interleaved banks.
//!
//! Even addresses lie in bank 0, odd ones in bank 1. Each bank reads one vector and writes one vector a cycle, so that while the
//! matrix engine streams through a tensor, whoever else reads finds the other bank free.
//!
//! | port | priority | handshake |
//! |---|---|---|
//! | matrix read | first | always served |
//! | vector read | second | `vector_ready` in the same cycle; data in the next |
//! | store read | third | `store_ready` in the same cycle; data in the next |
//! | result write | first | always served; written a cycle later |
//! | move write | first | always served, because the byte mover avoids the bank that a result of the cycle before is written to |
//! | load write | second | `load_ready` in the same cycle |
//!
//! Read data appear one cycle after the request; another reader's request replaces them, so take them at once.
//!
//! The vector unit may read a vector while other bytes of it are written: a vector command in place reads the lanes of one group while the results of the
//! group before arrive. What is read of the bytes that are written means nothing. Matrix and store reads use whole vectors; theirs that meet a write are reported.
//!
//! Results come from far and late, so they have a register here. Whoever gets a token with a result reads more than a cycle later.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, CollisionReport, SimpleRam};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct ActivationScratchpad {
    pub clock: Signal<In, Clock>,
    // Matrix read.
    /// A step; `even` or `odd`, never both, if it reads: that is known early, the step late.
    pub matrix_step: Signal<In, Bit>,
    pub matrix_even: Signal<In, Bit>,
    pub matrix_odd: Signal<In, Bit>,
    pub matrix_address: Signal<In, Bits<16>>,
    pub matrix_data: Vec<Signal<Out, Bits<32>>>,
    // Vector read.
    pub vector_enable: Signal<In, Bit>,
    /// It may read in this cycle, for which stores wait: whether it does is known late.
    pub vector_may_read: Signal<In, Bit>,
    pub vector_address: Signal<In, Bits<16>>,
    pub vector_ready: Signal<Out, Bit>,
    pub vector_data: Vec<Signal<Out, Bits<32>>>,
    // Store read.
    pub store_enable: Signal<In, Bit>,
    pub store_address: Signal<In, Bits<16>>,
    pub store_ready: Signal<Out, Bit>,
    pub store_data: Vec<Signal<Out, Bits<32>>>,
    // Result write.
    /// By the bank that is written in the next cycle; never both.
    pub result_even: Signal<In, Bit>,
    pub result_odd: Signal<In, Bit>,
    pub result_address: Signal<In, Bits<16>>,
    pub result_enable: Vec<Signal<In, Bits<4>>>,
    pub result_data: Vec<Signal<In, Bits<32>>>,
    // Move write.
    pub move_even: Signal<In, Bit>,
    pub move_odd: Signal<In, Bit>,
    pub move_address: Signal<In, Bits<16>>,
    pub move_enable: Vec<Signal<In, Bits<4>>>,
    pub move_data: Vec<Signal<In, Bits<32>>>,
    // Load write.
    pub load_valid: Signal<In, Bit>,
    pub load_address: Signal<In, Bits<16>>,
    pub load_enable: Vec<Signal<In, Bits<4>>>,
    pub load_data: Vec<Signal<In, Bits<32>>>,
    pub load_ready: Signal<Out, Bit>,
    even: SimpleRam,
    odd: SimpleRam,
    even_report: CollisionReport,
    odd_report: CollisionReport,
    // The result that is written.
    writes_even: DFF<Bit>,
    writes_odd: DFF<Bit>,
    written_row: DFF<Bits<16>>,
    written_enable: Vec<DFF<Bits<4>>>,
    written_data: Vec<DFF<Bits<32>>>,
    matrix_bank: DFF<Bit>,
    vector_bank: DFF<Bit>,
    store_bank: DFF<Bit>,
    matrix_even_read: Signal<Local, Bit>,
    matrix_odd_read: Signal<Local, Bit>,
    vector_conflict: Signal<Local, Bit>,
    store_conflict: Signal<Local, Bit>,
    store_waits: Signal<Local, Bit>,
    vector_odd: Signal<Local, Bit>,
    store_odd: Signal<Local, Bit>,
    vector_granted: Signal<Local, Bit>,
    vector_even_read: Signal<Local, Bit>,
    vector_odd_read: Signal<Local, Bit>,
    store_granted: Signal<Local, Bit>,
    store_even_read: Signal<Local, Bit>,
    store_odd_read: Signal<Local, Bit>,
    load_odd: Signal<Local, Bit>,
    even_taken: Signal<Local, Bit>,
    odd_taken: Signal<Local, Bit>,
    move_row: Signal<Local, Bits<16>>,
    load_granted: Signal<Local, Bit>,
    load_even_write: Signal<Local, Bit>,
    load_odd_write: Signal<Local, Bit>,
    matrix_row: Signal<Local, Bits<16>>,
    vector_row: Signal<Local, Bits<16>>,
    store_row: Signal<Local, Bits<16>>,
    result_row: Signal<Local, Bits<16>>,
    load_row: Signal<Local, Bits<16>>,
    row_mask: Constant<Bits<16>>,
    _words: usize,
}

impl ActivationScratchpad {
    /// `depth` vectors of `rows` bytes.
    pub fn new(rows: usize, depth: usize) -> Self {
        let words = rows / 4;
        Self {
            clock: Signal::default(),
            matrix_step: Signal::default(),
            matrix_even: Signal::default(),
            matrix_odd: Signal::default(),
            matrix_even_read: Signal::default(),
            matrix_odd_read: Signal::default(),
            vector_conflict: Signal::default(),
            store_conflict: Signal::default(),
            store_waits: Signal::default(),
            matrix_address: Signal::default(),
            matrix_data: outputs(words),
            vector_enable: Signal::default(),
            vector_may_read: Signal::default(),
            vector_address: Signal::default(),
            vector_ready: Signal::default(),
            vector_data: outputs(words),
            store_enable: Signal::default(),
            store_address: Signal::default(),
            store_ready: Signal::default(),
            store_data: outputs(words),
            result_even: Signal::default(),
            result_odd: Signal::default(),
            result_address: Signal::default(),
            result_enable: inputs(words),
            result_data: inputs(words),
            move_even: Signal::default(),
            move_odd: Signal::default(),
            move_address: Signal::default(),
            move_enable: inputs(words),
            move_data: inputs(words),
            load_valid: Signal::default(),
            load_address: Signal::default(),
            load_enable: inputs(words),
            load_data: inputs(words),
            load_ready: Signal::default(),
            even: SimpleRam::new(depth / 2, words).allowing_collisions(),
            odd: SimpleRam::new(depth / 2, words).allowing_collisions(),
            even_report: CollisionReport::default(),
            odd_report: CollisionReport::default(),
            writes_even: DFF::default(),
            writes_odd: DFF::default(),
            written_row: DFF::default(),
            written_enable: (0..words).map(|_| DFF::default()).collect(),
            written_data: (0..words).map(|_| DFF::default()).collect(),
            matrix_bank: DFF::default(),
            vector_bank: DFF::default(),
            store_bank: DFF::default(),
            vector_odd: Signal::default(),
            store_odd: Signal::default(),
            vector_granted: Signal::default(),
            vector_even_read: Signal::default(),
            vector_odd_read: Signal::default(),
            store_granted: Signal::default(),
            store_even_read: Signal::default(),
            store_odd_read: Signal::default(),
            load_odd: Signal::default(),
            even_taken: Signal::default(),
            odd_taken: Signal::default(),
            move_row: Signal::default(),
            load_granted: Signal::default(),
            load_even_write: Signal::default(),
            load_odd_write: Signal::default(),
            matrix_row: Signal::default(),
            vector_row: Signal::default(),
            store_row: Signal::default(),
            result_row: Signal::default(),
            load_row: Signal::default(),
            row_mask: Constant::new((depth as u64 / 2 - 1).into()),
            _words: words,
        }
    }
}

impl Logic for ActivationScratchpad {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, writes_even, writes_odd, written_row, matrix_bank, vector_bank, store_bank);
        self.even.clock.next = self.clock.val();
        self.odd.clock.next = self.clock.val();
        self.matrix_row.next = self.matrix_address.val() >> 1;
        self.vector_row.next = self.vector_address.val() >> 1;
        self.store_row.next = self.store_address.val() >> 1;
        self.result_row.next = self.result_address.val() >> 1;
        self.load_row.next = self.load_address.val() >> 1;
        self.move_row.next = self.move_address.val() >> 1;

        // Who reads which bank.
        self.vector_odd.next = self.vector_address.val().get_bit(0);
        self.store_odd.next = self.store_address.val().get_bit(0);
        self.matrix_even_read.next = self.matrix_step.val() & self.matrix_even.val();
        self.matrix_odd_read.next = self.matrix_step.val() & self.matrix_odd.val();
        self.vector_conflict.next = self.matrix_even.val();
        if self.vector_odd.val() {
            self.vector_conflict.next = self.matrix_odd.val();
        }
        self.vector_granted.next = !(self.matrix_step.val() & self.vector_conflict.val());
        self.vector_ready.next = self.vector_granted.val();
        self.vector_even_read.next =
            self.vector_enable.val() & self.vector_granted.val() & !self.vector_odd.val();
        self.vector_odd_read.next =
            self.vector_enable.val() & self.vector_granted.val() & self.vector_odd.val();
        self.store_conflict.next = self.matrix_even.val();
        if self.store_odd.val() {
            self.store_conflict.next = self.matrix_odd.val();
        }
        self.store_waits.next = self.vector_may_read.val() & (self.vector_odd.val() == self.store_odd.val());
        self.store_granted.next =
            !(self.matrix_step.val() & self.store_conflict.val()) & !self.store_waits.val();
        self.store_ready.next = self.store_granted.val();
        self.store_even_read.next =
            self.store_enable.val() & self.store_granted.val() & !self.store_odd.val();
        self.store_odd_read.next = self.store_enable.val() & self.store_granted.val() & self.store_odd.val();

        self.even.read_enable.next =
            self.matrix_even_read.val() | self.vector_even_read.val() | self.store_even_read.val();
        self.odd.read_enable.next =
            self.matrix_odd_read.val() | self.vector_odd_read.val() | self.store_odd_read.val();
        self.even.read_address.next = self.store_row.val() & self.row_mask.val();
        self.odd.read_address.next = self.store_row.val() & self.row_mask.val();
        if self.matrix_even_read.val() {
            self.even.read_address.next = self.matrix_row.val() & self.row_mask.val();
        } else if self.vector_may_read.val() & !self.vector_odd.val() {
            self.even.read_address.next = self.vector_row.val() & self.row_mask.val();
        }
        if self.matrix_odd_read.val() {
            self.odd.read_address.next = self.matrix_row.val() & self.row_mask.val();
        } else if self.vector_may_read.val() & self.vector_odd.val() {
            self.odd.read_address.next = self.vector_row.val() & self.row_mask.val();
        }
        if self.matrix_even_read.val() | self.matrix_odd_read.val() {
            self.matrix_bank.d.next = self.matrix_odd_read.val();
        }
        if self.vector_enable.val() {
            self.vector_bank.d.next = self.vector_odd.val();
        }
        if self.store_enable.val() {
            self.store_bank.d.next = self.store_odd.val();
        }
        for w in 0..self._words {
            self.matrix_data[w].next = self.even.read_data[w].val();
            self.vector_data[w].next = self.even.read_data[w].val();
            self.store_data[w].next = self.even.read_data[w].val();
        }
        if self.matrix_bank.q.val() {
            for w in 0..self._words {
                self.matrix_data[w].next = self.odd.read_data[w].val();
            }
        }
        if self.vector_bank.q.val() {
            for w in 0..self._words {
                self.vector_data[w].next = self.odd.read_data[w].val();
            }
        }
        if self.store_bank.q.val() {
            for w in 0..self._words {
                self.store_data[w].next = self.odd.read_data[w].val();
            }
        }

        // Who writes which bank.
        self.writes_even.d.next = self.result_even.val();
        self.writes_odd.d.next = self.result_odd.val();
        self.written_row.d.next = self.result_row.val() & self.row_mask.val();
        for w in 0..self._words {
            self.written_enable[w].clock.next = self.clock.val();
            self.written_enable[w].d.next = self.result_enable[w].val();
            self.written_data[w].clock.next = self.clock.val();
            self.written_data[w].d.next = self.result_data[w].val();
        }
        self.load_odd.next = self.load_address.val().get_bit(0);
        self.even_taken.next = self.writes_even.q.val() | self.move_even.val();
        self.odd_taken.next = self.writes_odd.q.val() | self.move_odd.val();
        self.load_granted.next = !self.even_taken.val();
        if self.load_odd.val() {
            self.load_granted.next = !self.odd_taken.val();
        }
        self.load_ready.next = self.load_granted.val();
        self.load_even_write.next = self.load_valid.val() & !self.load_odd.val() & !self.even_taken.val();
        self.load_odd_write.next = self.load_valid.val() & self.load_odd.val() & !self.odd_taken.val();
        self.even.write_address.next = self.load_row.val() & self.row_mask.val();
        self.odd.write_address.next = self.load_row.val() & self.row_mask.val();
        if self.move_even.val() {
            self.even.write_address.next = self.move_row.val() & self.row_mask.val();
        }
        if self.move_odd.val() {
            self.odd.write_address.next = self.move_row.val() & self.row_mask.val();
        }
        if self.writes_even.q.val() {
            self.even.write_address.next = self.written_row.q.val();
        }
        if self.writes_odd.q.val() {
            self.odd.write_address.next = self.written_row.q.val();
        }
        self.even.write_valid.next = self.even_taken.val() | self.load_even_write.val();
        self.odd.write_valid.next = self.odd_taken.val() | self.load_odd_write.val();
        self.even_report.clock.next = self.clock.val();
        self.even_report.read.next = self.matrix_even_read.val() | self.store_even_read.val();
        self.even_report.read_row.next = self.even.read_address.val();
        self.even_report.write.next = self.even.write_valid.val();
        self.even_report.write_row.next = self.even.write_address.val();
        self.odd_report.clock.next = self.clock.val();
        self.odd_report.read.next = self.matrix_odd_read.val() | self.store_odd_read.val();
        self.odd_report.read_row.next = self.odd.read_address.val();
        self.odd_report.write.next = self.odd.write_valid.val();
        self.odd_report.write_row.next = self.odd.write_address.val();
        for w in 0..self._words {
            self.even.write_enable[w].next = self.load_enable[w].val();
            self.odd.write_enable[w].next = self.load_enable[w].val();
            self.even.write_data[w].next = self.load_data[w].val();
            self.odd.write_data[w].next = self.load_data[w].val();
        }
        if self.move_even.val() {
            for w in 0..self._words {
                self.even.write_enable[w].next = self.move_enable[w].val();
                self.even.write_data[w].next = self.move_data[w].val();
            }
        }
        if self.move_odd.val() {
            for w in 0..self._words {
                self.odd.write_enable[w].next = self.move_enable[w].val();
                self.odd.write_data[w].next = self.move_data[w].val();
            }
        }
        if self.writes_even.q.val() {
            for w in 0..self._words {
                self.even.write_enable[w].next = self.written_enable[w].q.val();
                self.even.write_data[w].next = self.written_data[w].q.val();
            }
        }
        if self.writes_odd.q.val() {
            for w in 0..self._words {
                self.odd.write_enable[w].next = self.written_enable[w].q.val();
                self.odd.write_data[w].next = self.written_data[w].q.val();
            }
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "activation_scratchpad",
            "Vectors in two banks, even and odd addresses. Reads: matrix before vector before store; writes: results\n\
             and moves before loads. Read data appear one cycle after the request.",
        )
    }
}
