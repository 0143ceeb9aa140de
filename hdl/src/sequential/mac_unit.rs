//! Dot products of activation vectors and weight tiles, from scratch memory with one port.
//!
//! ```text
//! scratch memory --> vector (8 bytes) --+
//!        |                              v
//!        +-----------> weights --> DotProduct --> + --> ring of four sums
//! ```
//! A step reads ten words: the vector, then the four columns of a tile, each in two halves. Sums stand in a ring: that of the column in turn is first, takes
//! both halves, and goes last. `start` begins `steps` + 1 steps, or with `one_word` the product of `operand` and the word at `address`, which ends
//! up last; `done` is high in the last cycle.

use crate::emit::describe;
use crate::leaves::{DotProduct, PackBytes};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock, Default)]
pub struct MacUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub one_word: Signal<In, Bit>,
    pub done: Signal<Out, Bit>,
    /// What is put into the registers below, each at its own signal.
    pub value: Signal<In, Bits<32>>,
    pub put_vectors: Signal<In, Bit>,
    pub put_weights: Signal<In, Bit>,
    pub put_steps: Signal<In, Bit>,
    pub put_stride: Signal<In, Bit>,
    /// Bits 7..0 the pad value, bit 8: it stands for all vectors.
    pub put_pad: Signal<In, Bit>,
    pub put_operand: Signal<In, Bit>,
    pub clear: Signal<In, Bit>,
    /// The ring turns.
    pub take: Signal<In, Bit>,
    /// In bytes.
    pub address: Signal<In, Bits<16>>,
    pub sum: Signal<Out, Bits<32>>,
    pub product: Signal<Out, Bits<32>>,
    /// The tile behind the last one.
    pub weights: Signal<Out, Bits<16>>,
    pub vector: Vec<Signal<Out, Bits<32>>>,
    /// A step is done.
    pub step: Signal<Out, Bit>,
    // The scratch memory; rows of four bytes.
    pub read: Signal<Out, Bit>,
    pub read_row: Signal<Out, Bits<16>>,
    pub read_data: Signal<In, Bits<32>>,
    running: DFF<Bit>,
    single: DFF<Bit>,
    phase: DFF<Bits<4>>,
    /// The word that comes.
    coming: DFF<Bit>,
    coming_phase: DFF<Bits<4>>,
    vectors: DFF<Bits<16>>,
    tile: DFF<Bits<16>>,
    stride: DFF<Bits<16>>,
    steps: DFF<Bits<16>>,
    pad: DFF<Bits<9>>,
    held: Vec<DFF<Bits<32>>>,
    sums: Vec<DFF<Bits<32>>>,
    dot: DotProduct,
    padding: PackBytes,
    total: Signal<Local, Bits<32>>,
    half: Signal<Local, Bits<4>>,
    incoming: Signal<Local, Bits<32>>,
    second: Signal<Local, Bit>,
    weight: Signal<Local, Bit>,
}

impl MacUnit {
    pub fn new() -> Self {
        Self {
            vector: (0..2).map(|_| Signal::default()).collect(),
            held: (0..2).map(|_| DFF::default()).collect(),
            sums: (0..4).map(|_| DFF::default()).collect(),
            ..Self::default()
        }
    }
}

impl Logic for MacUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            running,
            single,
            phase,
            coming,
            coming_phase,
            vectors,
            tile,
            stride,
            steps,
            pad
        );
        for v in 0..2 {
            self.held[v].clock.next = self.clock.val();
            self.held[v].d.next = self.held[v].q.val();
            self.vector[v].next = self.held[v].q.val();
        }
        for s in 0..4 {
            self.sums[s].clock.next = self.clock.val();
            self.sums[s].d.next = self.sums[s].q.val();
        }

        // Reads.
        self.half.next = self.phase.q.val() - 2;
        // Nothing is read for a vector outside the image.
        self.read.next = self.running.q.val() & !(self.pad.q.val().get_bit(8) & (self.phase.q.val() < 2));
        self.read_row.next = (self.tile.q.val() >> 2) | bit_cast::<16, 4>(self.half.val());
        if self.phase.q.val() < 2 {
            self.read_row.next = (self.vectors.q.val() >> 2) | bit_cast::<16, 4>(self.phase.q.val());
        }
        if self.single.q.val() {
            self.read_row.next = self.address.val() >> 2;
        }
        self.step.next = false;
        self.coming.d.next = self.running.q.val();
        self.coming_phase.d.next = self.phase.q.val();
        if self.running.q.val() {
            self.phase.d.next = self.phase.q.val() + 1;
            if self.phase.q.val() == 9 {
                self.phase.d.next = 0.into();
                self.step.next = !self.single.q.val();
                if !self.single.q.val() {
                    self.vectors.d.next = self.vectors.q.val() + self.stride.q.val();
                    self.tile.d.next = self.tile.q.val() + 32;
                    self.steps.d.next = self.steps.q.val() - 1;
                }
                if self.single.q.val() | !self.steps.q.val().any() {
                    self.running.d.next = false;
                }
            }
        }
        self.done.next = self.coming.q.val() & !self.running.q.val();
        if self.start.val() {
            self.running.d.next = true;
            self.single.d.next = self.one_word.val();
            self.phase.d.next = 0.into();
            if self.one_word.val() {
                self.phase.d.next = 9.into();
            }
        }

        // What was read.
        for b in 0..4 {
            self.padding.bytes[b].next = self.pad.q.val().get_bits::<8>(0);
        }
        self.incoming.next = self.read_data.val();
        if self.pad.q.val().get_bit(8) {
            self.incoming.next = self.padding.word.val();
        }
        self.second.next = self.coming_phase.q.val().get_bit(0);
        self.weight.next = self.coming.q.val() & (self.coming_phase.q.val() >= 2);
        if self.coming.q.val() & (self.coming_phase.q.val() == 0) {
            self.held[0].d.next = self.incoming.val();
        }
        if self.coming.q.val() & (self.coming_phase.q.val() == 1) {
            self.held[1].d.next = self.incoming.val();
        }
        self.dot.a.next = self.held[0].q.val();
        if self.second.val() {
            self.dot.a.next = self.held[1].q.val();
        }
        self.dot.b.next = self.read_data.val();
        self.total.next = self.sums[0].q.val() + self.dot.sum.val();
        if self.weight.val() {
            self.sums[0].d.next = self.total.val();
        }
        if (self.weight.val() & self.second.val()) | self.take.val() {
            for s in 0..3 {
                self.sums[s].d.next = self.sums[s + 1].q.val();
            }
            self.sums[3].d.next = self.sums[0].q.val();
            if self.weight.val() {
                self.sums[3].d.next = self.total.val();
            }
        }
        self.sum.next = self.sums[0].q.val();
        self.product.next = self.sums[3].q.val();
        self.weights.next = self.tile.q.val();

        // What is put.
        if self.put_vectors.val() {
            self.vectors.d.next = self.value.val().get_bits::<16>(0);
        }
        if self.put_weights.val() {
            self.tile.d.next = self.value.val().get_bits::<16>(0);
        }
        if self.put_steps.val() {
            self.steps.d.next = self.value.val().get_bits::<16>(0);
        }
        if self.put_stride.val() {
            self.stride.d.next = self.value.val().get_bits::<16>(0);
        }
        if self.put_pad.val() {
            self.pad.d.next = self.value.val().get_bits::<9>(0);
        }
        if self.put_operand.val() {
            self.held[1].d.next = self.value.val();
        }
        if self.clear.val() {
            for s in 0..4 {
                self.sums[s].d.next = 0.into();
            }
        }
        if self.reset.val() {
            self.running.d.next = false;
            self.coming.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("mac_unit", "Dot products of activation vectors and weight tiles, four columns at a time, from scratch memory with one port.")
    }
}
